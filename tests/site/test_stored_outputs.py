"""Pages show stored outputs: nothing runs, outputs alone renew a page, a gap stops the build."""

import json
import re

import myst_nb.core.execute.cache as client
import nbformat
import project
import pytest
import stored_outputs
from course_tools.site import BuildStopped
from pages import FIRST, write_page

PAGE, STORED = "book/02-made-up/first.md", "notebooks/02-made-up/first.ipynb"
BUILT = "_build/html/book/02-made-up/first.html"


@pytest.fixture
def copy(tmp_path):
    """A made-up book to damage."""
    return project.made_up(tmp_path)


def said(done) -> str:
    """What a build wrote, on one line and without colours."""
    return " ".join(re.sub(r"\x1b\[[\d;]*m", "", done.stdout + done.stderr).split())


def change(folder, edit) -> None:
    """Edit a stored notebook as nbformat reads it."""
    notebook = nbformat.read(folder / STORED, as_version=4)
    edit([cell for cell in notebook.cells if cell.cell_type == "code"])
    nbformat.write(notebook, folder / STORED)


def test_every_stored_output_is_on_its_page_and_nothing_ran(made_up_folder):
    text = (made_up_folder / BUILT).read_text("utf-8")
    stored = json.loads((made_up_folder / STORED).read_text("utf-8"))
    shown = [line for cell in stored["cells"] for output in cell.get("outputs", [])
             for line in output.get("text", [])]
    assert len(shown) >= 6  # the outputs say ", shown", which no run of the cells would print
    plain = [line.strip().removeprefix("holds: ").replace("<", "&lt;") for line in shown]
    assert all(line in text for line in plain)
    assert "ZeroDivisionError: division by zero" in re.sub(r"<[^>]*>", "", text)


def test_changed_outputs_alone_renew_their_page(copy):
    assert project.build(copy).returncode == 0
    change(copy, lambda cells: cells[1].outputs[0].update(text="a new number, 42\n"))
    again = project.build(copy)
    assert again.returncode == 0, again.stdout[-3000:] + again.stderr[-3000:]
    assert "a new number, 42" in (copy / BUILT).read_text("utf-8")
    assert "02-made-up/second.md" not in said(again)  # and this page alone

    third = project.build(copy, COURSE_REPOSITORY="git@github.com:someone/fork.git")
    assert "Using cached notebook" not in said(third)  # nothing is read again, only written
    links = re.findall(r'href="(https://[^"]*someone/fork[^"]*)"', (copy / BUILT).read_text("utf-8"))
    assert links == [
        f"https://colab.research.google.com/github/someone/fork/blob/main/{STORED}",
        f"https://mybinder.org/v2/gh/someone/fork/main?urlpath=lab/tree/{STORED}",
        f"https://github.com/someone/fork/blob/main/{STORED}",
    ]


@pytest.mark.parametrize(("damage", "words"), [
    (lambda folder: (folder / STORED).unlink(), "first.ipynb is missing"),
    (lambda folder: (folder / STORED).write_text("{"), "first.ipynb cannot be read"),
    (lambda folder: change(folder, lambda cells: cells[2].update(source="print('other')")),
     "code cell 3 differs"),
    (lambda folder: change(folder, lambda cells: cells[2].update(execution_count=None)),
     "code cell 3 was never executed"),
    (lambda folder: (folder / PAGE).write_text(FIRST + "\n```{code-cell} ipython3\n1 + 1\n```\n"),
     "it has 13 code cells, its portable edition has 12"),
])
def test_an_edition_out_of_step_is_refused(copy, damage, words):
    damage(copy)
    with pytest.raises(BuildStopped) as stopped:
        stored_outputs.with_stored_outputs(copy / PAGE, copy)
    assert words in str(stopped.value)
    assert "book/02-made-up/first.md" in str(stopped.value)
    assert "course notebooks 02-made-up/first" in str(stopped.value)


def test_a_missing_edition_stops_the_build_in_words(copy):
    (copy / STORED).unlink()
    done = project.build(copy)
    assert done.returncode != 0
    assert f"{STORED} is missing" in said(done) and "Traceback" not in said(done)
    assert not (copy / BUILT).exists()


def test_a_figure_without_words_stops_the_build(copy):
    write_page(copy, "02-made-up/first", FIRST, alt=None)
    done = project.build(copy)
    assert done.returncode != 0
    assert "first.md: the figure of cell" in said(done) and "plots.show(fig, alt=" in said(done)


def test_a_formula_that_cannot_be_drawn_stops_the_build(copy):
    write_page(copy, "02-made-up/first", FIRST + "\nA slip: $\\fracc{1}{2}$.\n")
    done = project.build(copy)
    assert done.returncode != 0
    assert "first.md" in said(done) and r"\fracc{1}{2}" in said(done)


def test_the_way_to_the_executor_is_barred():
    assert hasattr(client, "single_nb_execution")  # the name that the extension replaces
    with pytest.raises(BuildStopped, match="about to be executed.*course notebooks"):
        stored_outputs.refuse_to_execute(None, cwd="book/02-made-up", allow_errors=False)
