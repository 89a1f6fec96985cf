"""A shortcut that meets its layer on the other side of a function."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from course_lib.parity.findings import Cause
from course_lib.parity.functions import FUNCTIONS
from course_lib.parity.guesses import Guess, told_apart

_MOST = 50_000          # numbers: beyond that, too slow to try


def shortcut_cause(ours: np.ndarray, theirs: np.ndarray, before: list[np.ndarray],
                   earlier: dict[str, np.ndarray], tolerance: float) -> Cause | None:
    """Both apply a function to the same layer's output, and add a shortcut before it, after it, or not."""
    if ours.shape != theirs.shape and ours.size != theirs.size:
        return None
    for out in before:
        pooled = ours.ndim == 2 and out.ndim > 2 and out.shape[:2] == ours.shape
        if out.size != ours.size and not pooled or out.size > _MOST or out.dtype.kind != "f":
            continue
        for name, array in earlier.items():
            if array.shape != out.shape or array.dtype.kind != "f" or np.array_equal(array, out):
                continue
            for function in FUNCTIONS:
                guesses = _forms(function, out.astype(np.float64), name, array.astype(np.float64))
                if pooled:
                    places = tuple(range(2, out.ndim))
                    guesses = ((f"{words}, before the mean over pixels", value.mean(axis=places))
                               for words, value in guesses)
                found = told_apart(guesses, ours, theirs, tolerance)
                if found:
                    return Cause(f"PyTorch {found[0]}, Keras {found[1]}", None, found[2],
                                 "Add the shortcut at the same place in both.")
    return None


def _forms(function: str, out: np.ndarray, name: str, shortcut: np.ndarray) -> Iterator[Guess]:
    apply = FUNCTIONS[function]
    yield f"applies {function} without adding {name}", apply(out)
    yield f"adds {name} before {function}", apply(out + shortcut)
    yield f"adds {name} after {function}", apply(out) + shortcut
    yield f"adds {name} and applies no {function}", out + shortcut
    yield f"applies {function} to {name} alone and adds it", out + apply(shortcut)
    yield f"adds {name}, {function} applied to each of the two", apply(out) + apply(shortcut)
