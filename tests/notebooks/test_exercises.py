"""Every exercise whose answer is code: its solution is solved, its stub not yet, nonsense wrong.

A cell's own statements run as they stand, the stub's functions apart: those are left as they are,
taken from the solution's first code fence, or replaced by nonsense. Around them stand the
notebook's imports, functions and classes.
"""

import ast
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pytest

from course_tools import editions

ROOT = Path(__file__).resolve().parents[2]
SOLUTION = re.compile(
    r"^(?P<fence>`{3,}|:{3,})\{solution\} *(?P<label>[\w-]+)\n(?P<body>.*?)^(?P=fence)\s*$", re.M | re.S
)
FENCE = re.compile(r"^```python\n(.*?)^```", re.M | re.S)


@dataclass
class Exercise:
    """A cell tagged ``exercise``: where it stands, its code, and the solution's first code fence."""

    page: Path
    label: str
    code: str
    solution: str | None

    def __str__(self) -> str:
        return self.label


def exercises(page):
    """The exercises of a page that are marked by a cell."""
    solutions = {m["label"]: m["body"] for m in SOLUTION.finditer(page.read_text("utf8"))}
    for cell in editions.read_source(page).cells:
        if cell.cell_type == "code" and "exercise" in cell.metadata.get("tags", []):
            label = cell.metadata["label"]
            fence = FENCE.search(solutions.get(label, ""))
            yield Exercise(page, label, cell.source, fence[1] if fence else None)


PAGES = editions.find_sources(ROOT)
EXERCISES = [exercise for page in PAGES for exercise in exercises(page)]


@lru_cache
def surroundings(page):
    """The notebook's imports, functions and classes, compiled; no statement of it is run."""
    kept = []
    for cell in editions.read_source(page).cells:
        if cell.cell_type != "code" or "exercise" in cell.metadata.get("tags", []):
            continue
        kinds = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
        kept += [node for node in ast.parse(cell.source).body if isinstance(node, kinds)]
    return compile(ast.Module(kept, []), page.name, "exec")


def is_stub(node):
    """A function whose last statement is ``...``."""
    last = node.body[-1] if isinstance(node, ast.FunctionDef) else None
    return isinstance(last, ast.Expr) and isinstance(last.value, ast.Constant) and last.value.value is ...


def stubs(exercise):
    return [node.name for node in ast.parse(exercise.code).body if is_stub(node)]


def verdict(exercise, capsys, answer=None):
    """Run the cell, with ``answer`` (a namespace of functions) in place of its stubs."""
    names = {"__name__": "__main__"}
    exec(surroundings(exercise.page), names)
    tree = ast.parse(exercise.code)
    if answer is not None:
        tree.body = [node for node in tree.body if not is_stub(node)]
        answer(names)
    capsys.readouterr()
    exec(compile(tree, exercise.label, "exec"), names)
    return capsys.readouterr().out.strip().splitlines()[-1]


def nonsense(*arguments, **named):
    return "nonsense"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_a_page_has_three_exercises_or_more_each_with_a_solution(page):
    text = page.read_text("utf8")
    labels = re.findall(r"^[`:]{3,}\{exercise\}.*\n:label: ([\w-]+)", text, re.M)
    assert len(labels) >= 3
    assert set(labels) == {match["label"] for match in SOLUTION.finditer(text)}
    assert {exercise.label for exercise in exercises(page)} <= set(labels)


@pytest.mark.parametrize("exercise", EXERCISES, ids=str)
def test_the_stub_is_not_yet(exercise, capsys):
    assert stubs(exercise), "the cell holds no function left to write"
    assert verdict(exercise, capsys) == f"{exercise.label}: not yet"


@pytest.mark.parametrize("exercise", EXERCISES, ids=str)
def test_the_solution_is_solved(exercise, capsys):
    assert exercise.solution, "the solution has no fence of Python"

    def solve(names):
        exec(compile(exercise.solution, f"solution of {exercise.label}", "exec"), names)

    assert verdict(exercise, capsys, solve) == f"{exercise.label}: solved"


@pytest.mark.parametrize("exercise", EXERCISES, ids=str)
def test_nonsense_is_wrong(exercise, capsys):
    def answer(names):
        names.update(dict.fromkeys(stubs(exercise), nonsense))

    assert verdict(exercise, capsys, answer).startswith(f"{exercise.label}: wrong")
