"""What a model's own code does between two layers: guesses that are tried on the numbers.

Each guess computes what PyTorch would hand on under it. A guess counts only where it gives
Keras's numbers, and PyTorch's own at the same time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from course_lib.parity.matching import closest, distance, layouts


@dataclass(frozen=True)
class Cause:
    """A guess that fits: what it is, its Rosetta row, and how far it is from Keras's numbers."""

    what: str
    row: str | None
    after: float
    cure: str = ""


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


def rounded_cause(ours: np.ndarray, theirs: np.ndarray, tolerance: float) -> Cause | None:
    """Keras got the same numbers, rounded to float32 on their way."""
    size, _ = closest([ours.astype(np.float32).astype(np.float64)], theirs)
    if ours.dtype == np.float64 and size <= min(tolerance, 1e-12):
        return Cause("Keras's numbers are PyTorch's, rounded to float32", "keras-input-dtype", size)
    return None


def function_cause(before: list[np.ndarray], ours: np.ndarray, theirs: np.ndarray,
                   tolerance: float) -> Cause | None:
    """Both sides apply a function to the same numbers, but not the same one."""
    for array in before:
        for view in layouts(array.astype(np.float64)):
            if view.size != ours.size or view.size != theirs.size or view.size > 200_000:
                continue
            named = {}
            for name, function in FUNCTIONS.items():
                value = function(view)
                for side, target in (("ours", ours), ("theirs", theirs)):
                    if side not in named:
                        size, _ = closest([value, value.reshape(len(value), -1)], target)
                        if size <= tolerance:
                            named[side] = name, size
            if len(named) == 2 and named["ours"][0] != named["theirs"][0]:
                (ours_name, _), (theirs_name, size) = named["ours"], named["theirs"]
                return Cause(
                    f"PyTorch applies {ours_name}, Keras {theirs_name}",
                    _row_of(ours_name, theirs_name), size,
                    "" if _row_of(ours_name, theirs_name) else "Apply the same function in both.")
    return None


def _flattened(image, after) -> Cause:
    if image.ndim == 3:
        return Cause("the same numbers in another order: PyTorch flattens channel by channel, Keras step"
                     " by step", "flatten-order", after, "Keras: `Permute((2, 1))` before `Flatten`.")
    return Cause("the same numbers in another order: PyTorch flattens channel by channel, Keras pixel by"
                 " pixel", "flatten-order", after)


def order_cause(ours: np.ndarray, theirs: np.ndarray, tolerance: float,
                images: list[np.ndarray]) -> Cause | None:
    """The same numbers in another order: flattened channels first or last, or axes swapped."""
    if ours.size != theirs.size:
        return None
    for image in images:
        if image.ndim >= 3 and image.size == ours.size:
            last = np.moveaxis(image, 1, -1).reshape(theirs.shape)
            if distance(last, theirs) <= tolerance:
                return _flattened(image, distance(last, theirs))
    for image in images:
        if image.ndim >= 3 and ours.ndim == 2 and ours.shape == theirs.shape and (
                ours.shape[1] % image.shape[1] == 0):
            last = np.moveaxis(ours.reshape(len(ours), image.shape[1], -1), 1, -1).reshape(ours.shape)
            if distance(last, theirs) <= tolerance:
                return _flattened(image, distance(last, theirs))
    for axes in ((1, 0, 2), (0, 2, 1), (1, 0)):
        if ours.ndim == len(axes) and distance(ours.transpose(axes), theirs) <= tolerance:
            return Cause(f"the same numbers with axes in the order {axes}", None,
                         distance(ours.transpose(axes), theirs),
                         "Give both the same axes (in PyTorch: batch_first=True, permute).")
    flat = np.sort(ours.ravel()), np.sort(theirs.ravel())
    if distance(*flat) <= tolerance:
        return Cause("the same numbers in another order", None, distance(*flat),
                     "Look for a reshape that mixes axes, or for parts that are joined in another order.")
    return None


def sum_cause(ours: np.ndarray, theirs: np.ndarray, earlier: dict[str, np.ndarray],
              tolerance: float) -> Cause | None:
    """One side adds what the other does not (a shortcut), or multiplies by a number."""
    if ours.ndim >= 3 and ours.shape != theirs.shape:
        ours = np.moveaxis(ours, 1, -1)
    if ours.shape != theirs.shape:
        return None
    gap = ours.astype(np.float64) - theirs
    for name, array in earlier.items():
        for view in layouts(array):
            if view.shape != gap.shape:
                continue
            for sign, with_it, without in ((1, "PyTorch", "Keras"), (-1, "Keras", "PyTorch")):
                if distance(view, sign * gap) <= 10 * tolerance and np.abs(view).max() > 0:
                    return Cause(f"{with_it} adds {name}, {without} does not", None,
                                 distance(view, sign * gap), "Add the shortcut in both.")
    slope, shift = np.polyfit(ours.ravel().astype(np.float64), theirs.ravel().astype(np.float64), 1)
    if np.ptp(ours) and abs(shift) > 1e-3 and distance(slope * ours + shift, theirs) <= 10 * tolerance:
        return Cause(f"Keras's numbers are PyTorch's times {slope:.6g}, plus {shift:.6g}", None,
                     distance(slope * ours + shift, theirs), "Scale and shift in both, or in neither.")
    inside = np.abs(ours) > 1e-3 * np.abs(ours).max(initial=0)
    if inside.any():
        ratios = theirs[inside].astype(np.float64) / ours[inside]
        factor = float(np.median(ratios))
        if factor and abs(factor - 1) > 1e-3 and distance(ours * factor, theirs) <= tolerance:
            after = distance(ours * factor, theirs)
            for n in ours.shape:
                if n > 1 and abs(factor**2 - n / (n - 1)) < 1e-6:
                    return Cause(f"Keras's numbers are PyTorch's times the root of {n}/{n - 1}: PyTorch"
                                 f" divides by a standard deviation of {n - 1}, Keras of {n}",
                                 "standard-deviation", after)
            return Cause(f"Keras's numbers are PyTorch's times {factor:.6g}", None, after,
                         "Scale in both, or in neither.")
    return None
