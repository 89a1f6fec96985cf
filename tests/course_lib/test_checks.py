import re

import numpy as np
import pytest

from course_lib import checks
from course_lib.checks import ClaimFailed, check


@pytest.fixture
def exercise(capsys):
    """What ``checks.exercise`` prints after the label."""

    def said(*arguments, **named):
        assert checks.exercise(*arguments, **named) is None, "a cell would show it a second time"
        return capsys.readouterr().out.strip().removeprefix("ex: ")

    return said


def test_a_claim_that_holds_is_printed_without_numbers(capsys):
    check("accuracy is at least 0.9", np.float64(0.95) >= 0.9)
    assert capsys.readouterr().out == "holds: accuracy is at least 0.9\n"


def test_a_claim_that_fails_is_printed_and_raises(capsys):
    with pytest.raises(ClaimFailed, match="at least 0.9"):
        check("accuracy is at least 0.9", False)
    assert capsys.readouterr().out == "FAILS: accuracy is at least 0.9\n"


@pytest.mark.parametrize("many", [np.array([True, True]), 1, "yes", None, [True]])
def test_a_claim_needs_one_truth_value(many):
    with pytest.raises(TypeError, match="one True or False"):
        check("something", many)


def stub(x): ...


def documented_stub(x):
    """Double x."""


def unwritten(x):
    raise NotImplementedError


def half_written(x):
    return ...


DOUBLES = [((2,), 4), ((np.array([1.0, 2.0]),), np.array([2.0, 4.0]))]


@pytest.mark.parametrize("answer", [stub, documented_stub, unwritten, half_written, ..., None])
def test_unanswered_exercises_are_not_yet(exercise, answer):
    assert exercise("ex", answer, returns=DOUBLES) == "not yet"


@pytest.mark.parametrize("answer", [stub, documented_stub, ...])
def test_a_stub_is_not_yet_even_where_only_predicates_check(exercise, answer):
    assert exercise("ex", answer, holds=[("doubles", lambda f: f(2) == 4)]) == "not yet"


def test_a_right_answer_is_solved(exercise):
    assert exercise("ex", lambda x: 2 * x, returns=DOUBLES) == "solved"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda x: 3 * x, "gave 6, expected 4"),
        ([].append, "gave None"),
        (lambda x: 1 / 0, "raised ZeroDivisionError"),
        (lambda x: 2 * float(x) if np.ndim(x) == 0 else x, "an array of shape (2,)"),
        (lambda: 4, "raised TypeError"),
        (lambda x: np.asarray(2.0 * x).reshape(-1, 1), "shape (1, 1)"),
    ],
)
def test_a_wrong_answer_says_why(exercise, answer, words):
    verdict = exercise("ex", answer, returns=DOUBLES)
    assert verdict.startswith("wrong: ") and words in verdict


def test_expected_exceptions(exercise):
    def strict(x):
        if x < 0:
            raise ValueError("negative")
        return x

    cases = {"returns": [((1,), 1)], "raises": [((-1,), ValueError)]}
    assert exercise("ex", strict, **cases) == "solved"
    assert "expected ValueError" in exercise("ex", lambda x: x, **cases)
    assert "raised KeyError" in exercise("ex", lambda x: {1: 1}[x], **cases)


def test_an_answer_cannot_spoil_the_next_case(exercise):
    def changes_its_input(x):
        x *= 2
        return x

    shared = np.ones(3)
    cases = [((shared,), 2 * np.ones(3)), ((shared,), 2 * np.ones(3))]
    assert exercise("ex", changes_its_input, returns=cases) == "solved"


def test_tensors_of_both_frameworks_are_compared_as_arrays(exercise):
    import tensorflow as tf
    import torch

    expected = [((), np.array([1.0, 2.0]))]
    torch_answer = lambda: torch.tensor([1.0, 2.0], requires_grad=True)  # noqa: E731
    assert exercise("ex", torch_answer, returns=expected) == "solved"
    assert exercise("ex", lambda: tf.constant([1.0, 2.0]), returns=expected) == "solved"
    assert exercise("ex", lambda: tf.constant([1.0, 2.1]), returns=expected).startswith("wrong")


def test_strings_and_nested_values(exercise):
    nested = [((), ("a", {"k": [1.0, 2]}))]
    assert exercise("ex", lambda: ("a", {"k": [1.0, 2]}), returns=nested) == "solved"
    assert exercise("ex", lambda: ("a", {"k": [1.0, 3]}), returns=nested).startswith("wrong")
    assert exercise("ex", lambda: ("b", {"k": [1.0, 2]}), returns=nested).startswith("wrong")


def test_an_exercise_that_checks_nothing_is_refused(exercise):
    with pytest.raises(ValueError, match="checks nothing"):
        exercise("ex", lambda x: x)


def test_a_verdict_stays_on_one_line(capsys):
    checks.exercise("ex", lambda x: x + 1, returns=[((np.eye(2),), np.eye(2))])
    said = capsys.readouterr().out
    assert said.count("\n") == 1 and "wrong" in said and "[[2. 1.] [1. 2.]]" in said


class Thing:
    def method(self): ...


@pytest.mark.parametrize("got", [
    np.float64(1.5), np.float32(1.5), [np.int64(3), (np.True_,)], {"a": np.str_("b")}, Thing(), Thing,
    Thing().method, np.sum, max, "".join, [lambda x: x], [Thing()] * 9, np.array([Thing()] * 2),
], ids=lambda got: type(got).__name__)  # fmt: skip
def test_a_verdict_shows_no_address_and_no_type_of_numpy(exercise, got):
    def raises(x):
        raise ValueError(f"not {got} {got!r} {[got]!r}")

    for verdict in (exercise("ex", lambda x: got, returns=[((got,), 77)]),
                    exercise("ex", raises, returns=[((1,), 77)]),
                    exercise("ex", lambda: got, raises=[((), KeyError)])):
        assert verdict.startswith("wrong")
        assert not re.search(r"0x|np\.|<function|<class|<bound|_\b", verdict), verdict


def test_functions_and_numbers_keep_their_names_and_values(exercise):
    verdict = exercise("ex", lambda f: [np.float64(1.5)], returns=[((Thing.method,), 77)])
    assert "for (the function Thing.method) it gave [1.5], expected 77" in verdict


def test_right_numbers_in_another_container_are_right(exercise):
    path = [((), [[1.0, 2.0], [3.0, 4.0]])]
    assert exercise("ex", lambda: np.array([[1.0, 2.0], [3.0, 4.0]]), returns=path) == "solved"
    assert exercise("ex", lambda: ((1, 2), (3, 4)), returns=path) == "solved"
    assert exercise("ex", lambda: np.array([[1.0, 2.0]]), returns=path).startswith("wrong")
    assert exercise("ex", lambda: 3.0, returns=path).startswith("wrong")
    assert exercise("ex", lambda: "ab", returns=[((), ["a", "c"])]).startswith("wrong")
    for true in (True, np.True_, np.array(True)):
        assert exercise("ex", lambda true=true: true, returns=[((), True)]) == "solved"
        assert exercise("ex", lambda true=true: true, returns=[((), False)]).startswith("wrong")
    assert exercise("ex", lambda: 1, returns=[((), True)]).startswith("wrong")
