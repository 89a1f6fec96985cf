"""Both sides apply a function to the same numbers, but not the same one."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from course_lib.parity.findings import Cause
from course_lib.parity.guesses import told_apart
from course_lib.parity.matching import layouts


def _softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def _erf(x):
    return np.vectorize(math.erf, otypes=[np.float64])(x)


def _leaky(slope):
    return lambda x: np.where(x >= 0, x, slope * x)


FUNCTIONS = {
    "nothing": lambda x: x,
    "ReLU": lambda x: np.maximum(x, 0),
    "ReLU6": lambda x: np.clip(x, 0, 6),
    "tanh": np.tanh,
    "sigmoid": lambda x: 0.5 * (1 + np.tanh(x / 2)),
    "GELU, exact": lambda x: 0.5 * x * (1 + _erf(x / math.sqrt(2))),
    "GELU, exact, with the root of 1/2 rounded to float32": lambda x: 0.5 * x * (
        1 + _erf(x * float(np.float32(math.sqrt(0.5))))),
    "GELU, tanh formula": lambda x: 0.5 * x * (
        1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "SiLU": lambda x: x * 0.5 * (1 + np.tanh(x / 2)),
    "leaky ReLU with slope 0.01": _leaky(0.01),
    "leaky ReLU with slope 0.2": _leaky(0.2),
    "leaky ReLU with slope 0.3": _leaky(0.3),
    "ELU": lambda x: np.where(x >= 0, x, np.expm1(np.minimum(x, 0))),
    "softplus": lambda x: np.logaddexp(x, 0),
    "softmax": _softmax,
    "softmax of a softmax": lambda x: _softmax(_softmax(x)),
    "logarithm of softmax": lambda x: np.log(_softmax(x)),
}


def _row_of(ours: str, theirs: str) -> str | None:
    if "GELU" in ours and "GELU" in theirs:
        return "gelu" if "tanh" in ours + theirs else "gelu-float64"
    if "leaky" in ours and "leaky" in theirs:
        return "leaky-relu-slope"
    if {ours, theirs} == {"nothing", "softmax"}:
        return "logits-or-probabilities"
    if "softmax of a softmax" in (ours, theirs):
        return "double-softmax"
    return None


def function_cause(before: list[np.ndarray], ours: np.ndarray, theirs: np.ndarray,
                   tolerance: float) -> Cause | None:
    """Both sides apply a function to the same numbers, but not the same one."""
    for array in before:
        for view in layouts(array.astype(np.float64)):
            if view.size > 200_000:
                continue
            for words, taken in means(view, ours.ndim):
                found = told_apart(((name, shaped) for name, function in FUNCTIONS.items()
                                    for shaped in _shapes(taken(function(view)))), ours, theirs, tolerance)
                if found:
                    return _told(*found, words)
    return None


def _shapes(value: np.ndarray) -> list[np.ndarray]:
    """As it is, and as a flattened vector."""
    return [value, value.reshape(len(value), -1)] if value.ndim > 2 else [value]


def means(view: np.ndarray, rank: int) -> list[tuple[str, Callable]]:
    """What may be done after a function: nothing, or where vectors are looked for the mean over all places."""
    found = [("", lambda x: x)]
    if rank == 2 and view.ndim > 2:
        places = tuple(range(1, view.ndim - 1))
        found.append((", before the mean over the places", lambda x: x.mean(axis=places)))
    return found


def _told(ours: str, theirs: str, after: float, words: str) -> Cause:
    row = _row_of(ours, theirs)
    cure = "" if row else "Apply the same function in both."
    if row == "gelu":
        cure = ("Keras: `approximate=True`, or PyTorch: `approximate=\"none\"`." if "tanh" in ours else
                "Keras: `approximate=False`, or PyTorch: `approximate=\"tanh\"`.")
    return Cause(f"PyTorch applies {ours}, Keras {theirs}{words}", row, after, cure)
