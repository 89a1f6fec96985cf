"""Working copies: made once, refreshed where nobody wrote, kept where somebody did."""

from __future__ import annotations

import json

import nbformat
import pytest

COPY = "work/03-hill/descent.ipynb"


def copy_of(house) -> dict:
    return json.loads((house.root / COPY).read_text("utf8"))


def change(house, how) -> None:
    notebook = copy_of(house)
    how(notebook)
    (house.root / COPY).write_text(json.dumps(notebook), "utf8")


def write_in(notebook) -> None:
    notebook["cells"][-1]["source"] = "my_answer = 1"


def run_in_lab(notebook) -> None:
    """What running and saving changes: outputs, counts, metadata of cells and of the kernel."""
    notebook["cells"][-1]["outputs"] = [
        {"output_type": "stream", "name": "stdout", "text": "41.9\n"}
    ]
    notebook["cells"][-1]["execution_count"] = 7
    notebook["cells"][-1]["metadata"]["scrolled"] = True
    notebook["metadata"]["language_info"]["version"] = "3.99"


def other_page(house) -> None:
    house.change("book/03-hill/descent.md", "Words.", "Better words.")
    house.course("notebooks")


def kept(house) -> list[str]:
    folder = house.root / "work/kept"
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.ipynb"))


@pytest.fixture
def working(made):
    """A course with one working copy, just made."""
    assert f"{COPY}: made\n" in made.course("work").output
    return made


def test_a_copy_is_the_notebook_and_is_made_once(working, no_kernel):
    cells = [[c["cell_type"], c["source"], c.get("outputs")] for c in copy_of(working)["cells"]]
    original = json.loads(working.portable().read_text("utf8"))
    assert cells == [[c["cell_type"], c["source"], c.get("outputs")] for c in original["cells"]]
    nbformat.validate(nbformat.read(working.root / COPY, as_version=4))
    before = (working.root / COPY).stat().st_mtime_ns
    assert COPY not in working.course("work").output
    assert (working.root / COPY).stat().st_mtime_ns == before


def test_an_untouched_copy_follows_its_page(working, no_kernel):
    other_page(working)
    assert f"{COPY}: renewed: its page changed\n" in working.course("work").output
    assert copy_of(working)["cells"][2]["source"] == ["Better words."] and kept(working) == []


def test_a_copy_that_was_only_run_follows_its_page_and_its_outputs_are_kept(working, no_kernel):
    change(working, run_in_lab)
    ran = (working.root / COPY).read_bytes()
    assert COPY not in working.course("work").output
    other_page(working)
    assert "renewed: its page changed; yours is kept in work/kept/" in working.course("work").output
    assert copy_of(working)["cells"][2]["source"] == ["Better words."]
    (name,) = kept(working)
    assert (working.root / "work/kept" / name).read_bytes() == ran


def test_an_edited_copy_stays_and_the_learner_is_told_once_a_page_changes(working, no_kernel):
    change(working, write_in)
    mine = (working.root / COPY).read_bytes()
    assert COPY not in working.course("work").output
    other_page(working)
    said = working.course("work").output
    assert (
        f"{COPY}: kept as you wrote it; the new edition is notebooks/03-hill/descent.ipynb" in said
    )
    assert (working.root / COPY).read_bytes() == mine


def test_renewing_an_edited_copy_takes_force_and_keeps_each_one(working, no_kernel):
    for number in (1, 2):
        change(working, write_in)
        mine = (working.root / COPY).read_bytes()
        said = working.course("work", "--renew", "descent", fails=True).output
        assert "you wrote in it, so it stays" in said and (working.root / COPY).read_bytes() == mine
        said = working.course("work", "--renew", "descent", "--force").output
        lies = f"work/kept/work/03-hill/descent.{number}.ipynb"
        assert f"made afresh; yours is kept in {lies}" in said
        assert (working.root / lies).read_bytes() == mine and "my_answer" not in str(
            copy_of(working)
        )


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_text("{", "utf8"),
        lambda path: path.write_text(path.read_text("utf8").replace("made_from", "other"), "utf8"),
        lambda path: path.write_text(
            path.read_text("utf8").replace('"metadata": {}', '"metadata": []')
        ),
    ],
)
def test_a_copy_of_which_nobody_knows_stays(working, no_kernel, damage):
    damage(working.root / COPY)
    before = (working.root / COPY).read_bytes()
    other_page(working)
    working.course("work")
    working.course("work", "--renew", "descent", fails=True)
    assert (working.root / COPY).read_bytes() == before


def test_an_attachment_is_a_learners_work(working, no_kernel):
    change(
        working,
        lambda notebook: notebook["cells"][2].update(
            attachments={"mine.png": {"image/png": "aaaa"}}
        ),
    )
    before = (working.root / COPY).read_bytes()
    other_page(working)
    working.course("work")
    assert (working.root / COPY).read_bytes() == before


def test_a_notebook_edited_in_place_is_copied_and_never_refreshed(made, no_kernel):
    made.edit(write_in)
    made.course("work")
    assert copy_of(made)["cells"][-1]["source"] == ["my_answer = 1"]
    made.course("notebooks", "descent", "--check", fails=True)
    made.portable().unlink()
    (made.root / "notebooks/03-hill").mkdir(exist_ok=True)
    made.write("notebooks/03-hill/descent.ipynb", json.dumps(copy_of(made)).replace("my_", "your_"))
    made.course("work")
    assert copy_of(made)["cells"][-1]["source"] == ["my_answer = 1"]


def test_the_first_page_leads_to_the_copies_in_the_order_of_the_book(made, no_kernel):
    for name in ("03-hill/aaa", "01-sea/shore"):
        made.page("More words.", name)
        made.portable(name).parent.mkdir(parents=True, exist_ok=True)
        made.portable(name).write_bytes(made.portable().read_bytes())
    made.write(
        "_toc.yml",
        "root: book/intro\nparts:\n  - chapters:\n      - file: book/03-hill/descent\n"
        "        sections:\n          - file: book/03-hill/aaa\n"
        "      - file: book/01-sea/shore\n",
    )
    made.course("work")
    text = "".join(nbformat.read(made.root / "work/start.ipynb", as_version=4).cells[0].source)
    links = ["03-hill/descent.ipynb", "03-hill/aaa.ipynb", "01-sea/shore.ipynb"]
    places = [text.index(f"- [Going down]({link})") for link in links]
    assert places == sorted(places) and text.index("**3. Hill**") < text.index("**1. Sea**")
    assert all((made.root / "work" / link).is_file() for link in links)


def test_wrong_calls_are_refused_in_words(made, no_kernel):
    assert "needs the NAMES" in made.course("work", "--renew", fails=True).output
    assert "there is no page" in made.course("work", "nothing", fails=True).output
    made.portable().unlink()
    assert "`course notebooks 03-hill/descent` makes it" in made.course("work", fails=True).output
