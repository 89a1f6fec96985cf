"""nbval runs every notebook as a test (`make test` passes --nbval-lax). Here: that it can fail."""

import os
import subprocess
import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output


def notebook(folder, source, printed, tags=()):
    cell = new_code_cell(source, metadata={"tags": list(tags)})
    if printed is not None:
        cell.execution_count = 1
        cell.outputs = [new_output("stream", name="stdout", text=printed)]
    book = new_notebook(cells=[cell])
    book.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(book, folder / "page.ipynb")
    return folder / "page.ipynb"


def passes(path):
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "-q", "-p", "no:xdist"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    ran = subprocess.run(
        [*command, "-c", os.devnull, "--rootdir", str(path.parent), str(path)],
        capture_output=True, text=True, cwd=path.parent, env=environment,
    )  # fmt: skip
    assert ran.returncode in (0, 1), ran.stdout + ran.stderr
    return ran.returncode == 0


CLAIM = "from course_lib.checks import check\ncheck('at least 0.9', {value} >= 0.9)"
CHECKED = ["nbval-check-output"]


@pytest.mark.parametrize(
    ("source", "printed", "tags", "good"),
    [
        (CLAIM.format(value=0.95), "holds: at least 0.9\n", CHECKED, True),
        (CLAIM.format(value=0.85), "holds: at least 0.9\n", CHECKED, False),  # a value put in
        (CLAIM.format(value=0.95), "holds: at least 0.99\n", CHECKED, False),  # an output put in
        ("1 / 0", None, [], False),  # an exception put in
        ("1 / 0", None, ["raises-exception"], True),
        ("print(1)", "2\n", [], True),  # not tagged: what it prints may differ elsewhere
    ],
)
def test_a_notebook_passes_only_as_it_was_stored(tmp_path, source, printed, tags, good):
    assert passes(notebook(tmp_path, source, printed, tags)) is good
