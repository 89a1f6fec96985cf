"""Every exercise whose answer is code: solution solved, stub not yet, wrong answers wrong.

A cell's own statements run as they stand, the stub's functions apart: those are left as they are,
taken from the solution's first code fence, or replaced by another answer. Around them stand the
notebook's imports, functions and classes.
"""

import ast
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from wrong_answers import ANY_TYPE, WRONG

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
BY_LABEL = {exercise.label: exercise for exercise in EXERCISES}


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


def written(exercise, code):
    """An answer that consists of the functions in ``code``."""
    return lambda names: exec(compile(code, f"answer to {exercise.label}", "exec"), names)


def changed(exercise, answer):
    """The code of a wrong answer: its text, or the solution with replacements."""
    if isinstance(answer, str):
        return answer
    code = exercise.solution
    for old, new in answer:
        assert old in code, f"{exercise.label}: the solution has no {old!r}"
        code = code.replace(old, new)
    return code


def dressed(function, kind):
    """The same function, its result as a list, tuple, array or tensor."""
    import torch

    def turned(*arguments):
        array = np.asarray(function(*arguments))
        plain = array.tolist()
        return {"list": lambda: plain, "array": lambda: array, "tensor": lambda: torch.tensor(plain),
                "tuple": lambda: tuple(plain) if isinstance(plain, list) else plain}[kind]()

    return turned


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


def test_each_exercise_has_three_wrong_answers_or_more():
    assert WRONG.keys() == BY_LABEL.keys() and min(map(len, WRONG.values())) >= 3
    for label, answers in WRONG.items():
        codes = [changed(BY_LABEL[label], answer) for answer in answers]
        assert len({*codes, BY_LABEL[label].solution}) == len(codes) + 1, label


@pytest.mark.filterwarnings("ignore")  # a wrong answer may divide by 0
@pytest.mark.parametrize(("label", "number"), [
    (label, number) for label in WRONG for number in range(len(WRONG[label]))])
def test_a_wrong_answer_is_wrong_with_a_reason(label, number, capsys):
    exercise = BY_LABEL[label]
    said = verdict(exercise, capsys, written(exercise, changed(exercise, WRONG[label][number])))
    assert re.match(rf"{label}: wrong: \S+", said)


@pytest.mark.parametrize("kind", ["list", "tuple", "array", "tensor"])
@pytest.mark.parametrize("label", ANY_TYPE)
def test_a_right_answer_is_solved_in_any_reasonable_type(label, kind, capsys):
    exercise = BY_LABEL[label]

    def answer(names):
        written(exercise, exercise.solution)(names)
        for stub in stubs(exercise):
            names[stub] = dressed(names[stub], kind)

    assert verdict(exercise, capsys, answer) == f"{label}: solved"


def test_the_leak_may_be_mended_with_the_default_of_word_ids(capsys):
    exercise = BY_LABEL["ex-mlp-leak"]
    code = changed(exercise, [("word_ids(train, least=1)", "word_ids(train)")])
    assert verdict(exercise, capsys, written(exercise, code)) == "ex-mlp-leak: solved"
