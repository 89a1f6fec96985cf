"""One side adds, scales, shifts or rounds what the other does not."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from course_lib.parity.findings import Cause
from course_lib.parity.matching import closest, distance, layouts


def rounded_cause(ours: np.ndarray, theirs: np.ndarray, tolerance: float) -> Cause | None:
    """Keras got the same numbers, rounded to float32 on their way."""
    size, _ = closest([ours.astype(np.float32).astype(np.float64)], theirs)
    if ours.dtype == np.float64 and size <= min(tolerance, 1e-12):
        return Cause("Keras's numbers are PyTorch's, rounded to float32", "keras-input-dtype", size)
    return None


def sum_cause(ours: np.ndarray, theirs: np.ndarray, earlier: dict[str, np.ndarray],
              tolerance: float) -> Cause | None:
    """One side adds what the other does not (a shortcut), or multiplies by a number."""
    if ours.ndim >= 3 and ours.shape != theirs.shape:
        ours = np.moveaxis(ours, 1, -1)
    if ours.shape != theirs.shape:
        return None
    ours = ours.astype(np.float64)
    return (_added(ours - theirs, earlier, tolerance)
            or _scaled_and_shifted(ours, theirs, tolerance)
            or _scaled(ours, theirs, earlier, tolerance)
            or _part_scaled(ours - theirs, earlier, tolerance))


def _added(gap: np.ndarray, earlier: dict[str, np.ndarray], tolerance: float) -> Cause | None:
    for name, array in _and_means(earlier, gap.ndim):
        for view in layouts(array):
            if view.shape != gap.shape:
                continue
            for sign, with_it, without in ((1, "PyTorch", "Keras"), (-1, "Keras", "PyTorch")):
                if distance(view, sign * gap) <= 10 * tolerance and np.abs(view).max() > 0:
                    return Cause(f"{with_it} adds {name}, {without} does not", None,
                                 distance(view, sign * gap), "Add the shortcut in both.")
    return None


def _scaled_and_shifted(ours: np.ndarray, theirs: np.ndarray, tolerance: float) -> Cause | None:
    slope, shift = np.polyfit(ours.ravel(), theirs.ravel().astype(np.float64), 1)
    after = distance(slope * ours + shift, theirs)
    if np.ptp(ours) and abs(shift) > 1e-3 and after <= 10 * tolerance:
        return Cause(f"Keras's numbers are PyTorch's times {slope:.6g}, plus {shift:.6g}", None,
                     after, "Scale and shift in both, or in neither.")
    return None


def _scaled(ours: np.ndarray, theirs: np.ndarray, earlier: dict[str, np.ndarray],
            tolerance: float) -> Cause | None:
    """One is a multiple of the other: a known root, or a number."""
    inside = np.abs(ours) > 1e-3 * np.abs(ours).max(initial=0)
    factor = float(np.median(theirs[inside] / ours[inside])) if inside.any() else 0.0
    after = distance(ours * factor, theirs)
    if not factor or abs(factor - 1) <= 1e-3 or after > tolerance:
        return None
    for n in ours.shape:
        if n > 1 and abs(factor**2 - n / (n - 1)) < 1e-6:
            return Cause(f"Keras's numbers are PyTorch's times the root of {n}/{n - 1}: PyTorch"
                         f" divides by a standard deviation of {n - 1}, Keras of {n}",
                         "standard-deviation", after)
    return Cause(f"Keras's numbers are PyTorch's times {factor:.6g}{_as_root(factor, earlier, tolerance)}",
                 None, after, "Scale in both, or in neither.")


def _part_scaled(gap: np.ndarray, earlier: dict[str, np.ndarray], tolerance: float) -> Cause | None:
    """What both add up holds one part times another number."""
    for name, array in earlier.items():
        for view in layouts(array):
            if view.shape != gap.shape or view.dtype.kind != "f" or not view.any():
                continue
            factor = float((gap * view).sum() / (view.astype(np.float64)**2).sum())
            after = distance(factor * view.astype(np.float64), gap)
            if after <= tolerance and abs(factor) > 1e-3:
                more, less = ("PyTorch", "Keras") if factor > 0 else ("Keras", "PyTorch")
                root = _as_root(abs(factor) + 1, earlier, tolerance)
                return Cause(f"{more}'s numbers hold {name} {abs(factor):.6g} times more than {less}'s"
                             + (f": {abs(factor) + 1:.6g} times{root}, and not once" if root else ""), None, after,
                             "Multiply it by the same in both.")
    return None


def _and_means(earlier: dict[str, np.ndarray], rank: int) -> Iterator[tuple[str, np.ndarray]]:
    """All arrays; where vectors are looked for, also their means over steps or pixels."""
    yield from earlier.items()
    if rank == 2:
        for name, array in earlier.items():
            for view in layouts(array) if array.ndim > 2 else ():
                places = "steps" if array.ndim == 3 else "pixels"
                yield f"the mean of {name} over its {places}", view.mean(axis=tuple(range(1, view.ndim - 1)))


def _as_root(factor: float, earlier: dict[str, np.ndarray], tolerance: float) -> str:
    """Of which size, or of which part of a size, a factor is the root or the inverse."""
    sizes = sorted({n for array in earlier.values() for n in array.shape if n > 1})
    parts = [n // part for n in sizes for part in range(2, n) if n % part == 0]
    for power, words in ((0.5, "the root of {}"), (-0.5, "1 / the root of {}"), (-1, "1 / {}")):
        for n in [*sizes, *parts]:
            if abs(abs(factor) / n**power - 1) < max(1e-9, 0.1 * tolerance):
                return f", which is {'minus ' * (factor < 0)}{words.format(n)}"
    return ""
