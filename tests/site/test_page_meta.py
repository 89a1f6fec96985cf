"""Links under the title follow a fork and never lead nowhere; the stamp says what it knows."""

import re
import subprocess
from pathlib import Path

import page_meta
import project
import pytest
from pages import STAMP

FIRST = "book/02-made-up/first.html"
PORTABLE = "notebooks/02-made-up/first.ipynb"


@pytest.mark.parametrize("address", [
    "someone/fork", "https://github.com/someone/fork", "https://github.com/someone/fork.git/",
    "git@github.com:someone/fork.git", "ssh://git@github.com/someone/fork.git",
    "https://x-access-token:ghp_secret@github.com/someone/fork", "http://www.github.com/someone/fork",
])
def test_repository_from_an_address_in_any_form(address):
    assert page_meta.owner_and_name(address) == "someone/fork"


@pytest.mark.parametrize("address", [
    "", "fork", "/srv/git/course", "https://example.org/someone/fork",
    "https://github.com/someone", "https://evil.org/github.com/someone/fork", "../some/where",
])
def test_no_repository_from_anything_else(address):
    assert page_meta.owner_and_name(address) == ""


def test_the_first_setting_wins(tmp_path):
    def found(**environ):
        return page_meta.find_repository(tmp_path, "yaml/course", environ)

    assert found() == "yaml/course"
    (tmp_path / "pyproject.toml").write_text('[tool.course]\nrepository = "project/course"\n')
    assert found() == "project/course"
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    address = "https://user:token@github.com/remote/course.git"
    subprocess.run(["git", "-C", tmp_path, "remote", "add", "origin", address], check=True)
    assert found() == "remote/course"
    assert found(GITHUB_REPOSITORY="actions/course") == "actions/course"
    both = {"GITHUB_REPOSITORY": "actions/course", "COURSE_REPOSITORY": "someone/fork"}
    assert found(**both) == "someone/fork"


def links(folder: Path) -> dict[str, str]:
    """The links under the title of the first page, by their words."""
    text = (folder / "_build/html" / FIRST).read_text("utf-8")
    block = re.search(r'<ul class="chips".*?</ul>', text, re.S)[0]
    return {words: address for address, words in re.findall(r'href="([^"]*)"[^>]*>([^<]*)<', block)}


def test_without_a_repository_there_is_only_the_download(made_up_folder):
    assert links(made_up_folder) == {"Notebook": f"../../{PORTABLE}"}
    text = "".join(project.pages_of(made_up_folder).values())
    assert "colab.research" not in text and "mybinder" not in text and "//github.com" not in text


def test_the_download_is_the_portable_edition(made_up_folder):
    built = made_up_folder / "_build/html" / PORTABLE
    assert built.read_bytes() == (made_up_folder / PORTABLE).read_bytes()


def test_addresses_are_quoted():
    block = page_meta.run_links("notebooks/02 a/é.ipynb", "../é.ipynb", "someone/fork", "my/branch")
    assert "/blob/my%2Fbranch/notebooks/02%20a/%C3%A9.ipynb" in block


def test_the_stamp_is_on_the_page(made_up_folder):
    text = (made_up_folder / "_build/html" / FIRST).read_text("utf-8")
    assert "<li>21 s on a CPU</li>" in text and '<li class="chip-claims">2 claims hold, 5 seeds</li>' in text
    for words in ("PyTorch 2.13.0", "CPU, 2 threads", "1.2 GB", "seeds 0 to 4", "quick"):
        assert words in text


def test_every_notebook_page_of_the_course_has_its_stamp(real_folder):
    pages = {name: text for name, text in project.pages_of(real_folder).items()
             if re.match(r"book/\d\d-", name) and 'class="chips"' in text}
    assert pages
    for name, text in pages.items():
        assert '<details class="stamp"><summary>What ran' in text, name
        assert re.search(r"<li>\d+ (s|min) on a [CG]PU</li><li>\d+ min to read</li>", text), name


def test_a_stamp_says_only_what_it_holds():
    assert page_meta.stamp_html({}) == ""
    assert dict(page_meta.stamp_lines({"seconds": 200, "seeds": [3]})) == {
        "Time": "3 min", "Claims held for": "seed 3"}
    assert page_meta.seeds_in_words([0, 2, 7]) == "seeds 0, 2, 7"
    assert "<script" not in page_meta.stamp_html(STAMP | {"device": "<script>"})
