"""The ledger: a notebook verified here is passed over until something that it depends on changes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tests.notebooks import ledger

ROOT = Path(__file__).resolve().parents[2]

NAME = "notebooks/03-hill/descent.ipynb"
CELLS = ("from course_lib import plots\nfrom course_lib.scratch import hills",
         "print(1)  # 'digits'")
LIBRARY = {"plots": "STYLE = 1\n", "scratch/hills": "HIGH = 1\n", "checks": "", "__init__": ""}


def write(house, *cells, name=NAME):
    made = [nbformat.v4.new_code_cell(code, id=f"c{at}") for at, code in enumerate(cells)]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("Words.", id="w"), *made])
    book.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    house.write(name, nbformat.writes(book))


class Shelf:
    """A small course in a folder."""

    def __init__(self, root):
        self.root = root

    def write(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf8")

    def change(self, path, old, new):
        text = (self.root / path).read_text("utf8")
        assert old in text
        self.write(path, text.replace(old, new))


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A course with one notebook."""
    monkeypatch.delenv("CI", raising=False)
    house = Shelf(tmp_path)
    for name, text in LIBRARY.items():
        house.write(f"course_lib/{name}.py", text)
    house.write("course_lib/data/arrays.json", '{"digits": {"arrays": "1"}, "words": {}}')
    write(house, *CELLS)
    return house


def state(house):
    return ledger.state(house.root, house.root / NAME, "around")


@pytest.mark.parametrize(("path", "text"), [
    ("course_lib/scratch/hills.py", "HIGH = 2\n"), ("course_lib/plots.py", "STYLE = 2\n"),
    ("course_lib/__init__.py", "A = 1\n"),
])
def test_numbers_and_plumbing_are_part_of_a_state(shelf, path, text):
    before = state(shelf)
    shelf.write(path, text)
    assert state(shelf) != before


def test_what_the_notebook_does_not_use_is_not(shelf):
    before = state(shelf)
    shelf.write("course_lib/checks.py", "CHECKED = 1\n")
    shelf.write("course_lib/plots.py", '"""Words."""\nSTYLE = 1  # words\n')
    shelf.change(NAME, "Words.", "Other words.")
    assert state(shelf) == before


@pytest.mark.parametrize("change", [
    lambda house: write(house, CELLS[0], "print(2)  # 'digits'"),
    lambda house: house.change(NAME, '"outputs": []', '"outputs": [{"output_type": "stream",'
                               ' "name": "stdout", "text": "2"}]'),
])
def test_code_and_stored_outputs_are(shelf, change):
    write(shelf, CELLS[0])
    before = state(shelf)
    change(shelf)
    assert state(shelf) != before


def test_data_are(shelf):
    write(shelf, "x = 'digits'")
    before = state(shelf)
    shelf.write("course_lib/data/arrays.json", '{"digits": {"arrays": "2"}, "words": {}}')
    assert state(shelf) != before


def test_a_cell_that_is_no_python_has_no_state(shelf):
    write(shelf, "%time x")
    assert state(shelf) is None


def test_packages_and_settings_are_part_of_the_environment(monkeypatch):
    before = ledger.environment()
    monkeypatch.setenv("COURSE_CACHE", "/elsewhere")
    assert ledger.environment() == before
    monkeypatch.setenv("COURSE_SCALE", "full")
    assert ledger.environment() != before
    monkeypatch.delenv("COURSE_SCALE")
    monkeypatch.setattr(ledger.metadata, "distributions", list)
    assert ledger.environment() != before


def run_tests(house, *arguments, **environment):
    """Run nbval in the course as `make test` does; return the exit status and what it said."""
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "-p", "tests.notebooks.ledger", "-c",
               os.devnull, "--rootdir", str(house.root), *(arguments or ("notebooks",))]
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    kept["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    ran = subprocess.run(command, cwd=house.root, capture_output=True, text=True,
                         check=False, env={**kept, **environment})
    return ran.returncode, ran.stdout + ran.stderr


def kept(house):
    file = house.root / ledger.FILE
    return set(json.loads(file.read_text())) if file.exists() else set()


@pytest.fixture
def small(shelf):
    """Two notebooks that import nothing, one of which fails."""
    write(shelf, "x = 1", "assert x")
    write(shelf, "x = 1", "assert not x", name="notebooks/03-hill/wrong.ipynb")
    return shelf


def test_what_passed_is_passed_over_and_what_failed_is_not(small):
    for number, workers in enumerate([("-n", "2", "--dist", "loadfile"), ("-p", "no:xdist")]):
        status, said = run_tests(small, *workers, "notebooks")
        assert status == 1 and f"ledger: {number} of 2" in said, said
        assert f"1 failed, {3 - 2 * number} passed" in said and kept(small) == {NAME}
    assert "2 passed" in run_tests(small, NAME)[1], "asked for by name, it runs"


def test_nothing_left_to_run_is_no_failure(small):
    (small.root / "notebooks/03-hill/wrong.ipynb").unlink()
    assert run_tests(small)[0] == 0
    status, said = run_tests(small)
    assert status == 0 and "no tests ran" in said and "ledger: 1 of 1" in said


def test_a_changed_notebook_runs_again_and_one_that_fails_is_forgotten(small):
    assert kept(small) == set()
    run_tests(small)
    write(small, "x = 0", "assert x")
    status, said = run_tests(small)
    assert status == 1 and "2 failed" in said and kept(small) == set()


def test_half_a_notebook_is_not_remembered(small):
    assert "1 passed" in run_tests(small, f"{NAME}::Cell 0")[1]
    assert kept(small) == set()


def test_continuous_integration_has_no_ledger(small):
    run_tests(small)
    said = run_tests(small, CI="true")[1]
    assert "3 passed" in said and "ledger" not in said
    (small.root / ledger.FILE).unlink()
    run_tests(small, CI="true")
    assert kept(small) == set()


def test_the_ledger_is_not_committed(root):
    file = root / ".gitignore"
    assert ledger.FILE.split("/")[0] + "/" in file.read_text().splitlines()
