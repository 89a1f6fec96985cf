"""A browser test that fails is run once more, and both results are told; no other test is."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
ONCE = """
import pathlib
import pytest

@pytest.fixture
def fresh():
    return []

def test_flaky(fresh):
    seen = pathlib.Path(__file__).with_suffix(".seen")
    first = not seen.exists()
    seen.touch()
    fresh.append(1)
    assert fresh == [1]
    assert not first, "the mouse was late"
"""
BAD = "def test_bad():\n    assert 1 == 2, 'always'\n"


@pytest.fixture
def project(tmp_path):
    """A folder with this project's rules for a run, and no tests yet."""
    shutil.copy(ROOT / "conftest.py", tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --import-mode=importlib\n")
    return tmp_path


def run(folder: Path, *options: str, **environment: str) -> tuple[int, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST_", "GITHUB_"))
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, "."],
        cwd=folder,
        env=kept | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def put(folder: Path, name: str, text: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


# As make.py runs them: a file's tests stay in one process. (xdist 3.8's loadgroup silently groups
# nothing with pytest 9.2, which keeps a test's id elsewhere than xdist writes the group.)
IN_TWO = ("-n", "2", "--dist", "loadfile")
WAYS = [(), IN_TWO]


@pytest.mark.parametrize("options", WAYS)
def test_a_second_run_that_passes_is_told(project, options):
    put(project, "tests/site/test_once.py", ONCE)
    status, said = run(project, *options)
    assert status == 0 and "1 passed, 1 rerun" in said
    assert "needed a second run, which passed: tests/site/test_once.py::test_flaky -" in said
    assert "AssertionError: the mouse was late" in said and "::warning" not in said


def test_github_is_told_in_a_line_of_its_own(project):
    put(project, "tests/site/test_once.py", ONCE)
    _, said = run(project, GITHUB_ACTIONS="true")
    (line,) = [line for line in said.splitlines() if line.startswith("::warning")]
    assert "which passed: tests/site/test_once.py::test_flaky" in line


@pytest.mark.parametrize("options", WAYS)
def test_a_second_run_that_fails_fails(project, options):
    put(project, "tests/site/test_bad.py", BAD)
    status, said = run(project, *options)
    assert status == 1 and "1 failed, 1 rerun" in said
    assert "which failed again: tests/site/test_bad.py::test_bad" in said


def test_no_other_test_gets_a_second_run(project):
    put(project, "tests/test_once.py", ONCE)
    put(project, "tests/sites/test_once.py", ONCE)
    status, said = run(project)
    assert status == 1 and "2 failed" in said and "second run" not in said


def test_the_cells_of_a_notebook_stay_in_one_process(project):
    for name in "ab":
        cells = ["x = 1", *["x += 1"] * 8, "assert x == 9"]
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
        nbformat.write(book, project / f"{name}.ipynb")
    assert ", ".join(f'"{word}"' for word in IN_TWO) in (ROOT / "make.py").read_text("utf8")
    status, said = run(project, "--nbval-lax", *IN_TWO)
    assert status == 0 and "20 passed" in said, said
