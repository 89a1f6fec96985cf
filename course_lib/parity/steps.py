"""What is done along the steps of a sequence: means, the last step, shifts, weights by softmax."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from course_lib.parity.attention import softmax
from course_lib.parity.findings import Cause
from course_lib.parity.guesses import Guess, told_apart
from course_lib.parity.matching import distance, layouts

_ALL, _REAL = "the mean over all steps", "the mean over the steps that are not padding"


def taken_cause(ours: np.ndarray, theirs: np.ndarray, earlier: dict[str, np.ndarray],
                tolerance: float) -> Cause | None:
    """One vector is made of a sequence on both sides, but not in the same way."""
    if ours.ndim != 2 or ours.shape != theirs.shape:
        return None
    masks = {}
    for name, array in earlier.items():
        for steps in layouts(array):
            if steps.ndim != 3 or steps.dtype.kind != "f" or len(steps) != len(ours):
                continue
            if steps.shape[-1] == ours.shape[-1]:
                if steps.shape[:2] not in masks:
                    masks[steps.shape[:2]] = _masks(steps.shape[:2], earlier)
                guesses = _taken(steps.astype(np.float64), masks[steps.shape[:2]], earlier)
                found = told_apart(guesses, ours, theirs, tolerance)
                if found:
                    a, b, after = found
                    row = "embedding-padding" if (a, b) == (_ALL, _REAL) else None
                    return Cause(f"PyTorch takes {a}, Keras {b}, of {name}", row, after,
                                 "" if row else "Take the same in both.")
    return None


def _taken(steps: np.ndarray, masks: list[np.ndarray], earlier: dict[str, np.ndarray]) -> Iterator[Guess]:
    """Ways to make one vector (batch, features) of the steps (batch, time, features)."""
    yield _ALL, steps.mean(axis=1)
    yield "the sum over all steps", steps.sum(axis=1)
    yield "the maximum over all steps", steps.max(axis=1)
    yield "the last step", steps[:, -1]
    yield "the first step", steps[:, 0]
    if steps.shape[-1] % 2 == 0:
        half = steps.shape[-1] // 2
        yield "the last step forwards and the first backwards", np.concatenate(
            [steps[:, -1, :half], steps[:, 0, half:]], axis=-1)
    for kept in masks:
        yield from _taken_of_some(steps, kept)
    yield from _weighted(steps, earlier)


def _taken_of_some(steps: np.ndarray, kept: np.ndarray) -> Iterator[Guess]:
    count = np.maximum(kept.sum(axis=1, keepdims=True), 1)
    total = (steps * kept[..., None]).sum(axis=1)
    yield _REAL, total / count
    yield "the sum over the steps that are not padding, divided by the number of all", total / kept.shape[1]
    yield "the sum over the steps that are not padding", total
    yield "the maximum over the steps that are not padding", np.where(
        kept[..., None], steps, -np.inf).max(axis=1)
    last = kept.shape[1] - 1 - kept[:, ::-1].argmax(axis=1)
    yield "the last step that is not padding", steps[np.arange(len(steps)), last]


def _masks(shape: tuple[int, int], earlier: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Which steps may be padding (False): ids of 0, vectors of zeros, equal vectors at the end."""
    found = []
    for array in earlier.values():
        if array.dtype.kind in "iub" and array.shape == shape:
            found.append(array != 0)
        elif array.ndim == 3 and array.shape[:2] == shape:
            found.append(np.any(array != 0, axis=-1))
            equal = np.all(array == array[:, -1:], axis=-1)
            run = np.logical_and.accumulate(equal[:, ::-1], axis=1)[:, ::-1]
            found.append(~(run & (run.sum(axis=1, keepdims=True) > 1)))
    some = [kept for kept in found if kept.any(axis=1).all() and not kept.all()]
    return list({kept.tobytes(): kept for kept in some}.values())


def _weighted(steps: np.ndarray, earlier: dict[str, np.ndarray]) -> Iterator[Guess]:
    """Sums of the steps, weighted by a softmax of scores (batch, time)."""
    for _, array in earlier.items():
        scores = array[..., 0] if array.ndim == 3 and array.shape[-1] == 1 else array
        if scores.shape == steps.shape[:2] and scores.dtype.kind == "f":
            scores = scores.astype(np.float64)
            for axis, words in ((1, "steps"), (0, "batch")):
                yield (f"the steps weighted by a softmax over the {words}",
                       np.einsum("bt,btf->bf", softmax(scores, axis), steps))


def shift_cause(ours: np.ndarray, theirs: np.ndarray, tolerance: float) -> Cause | None:
    """The same numbers, some steps (or pixels) earlier or later; only where both sides overlap."""
    for view in layouts(ours):
        if view.shape != theirs.shape or view.ndim not in (3, 4):
            continue
        reach = [min(n // 2, 32 if view.ndim == 3 else 3) for n in view.shape[1:-1]]
        shifts = product(*(range(-n, n + 1) for n in reach))
        for shift in sorted(shifts, key=lambda s: sum(map(abs, s))):
            mine, other = view[_overlap(shift)], theirs[_overlap([-s for s in shift])]
            size = distance(mine, other)
            if any(shift) and np.ptp(mine) and size <= tolerance:
                return _shifted(shift, size)
    return None


def _overlap(shift) -> tuple[slice, ...]:
    return (slice(None), *(slice(max(s, 0), min(s, 0) or None) for s in shift))


def _shifted(shift, size: float) -> Cause:
    if len(shift) == 1:
        way = "earlier" if shift[0] > 0 else "later"
        return Cause(f"Keras's numbers are PyTorch's, {abs(shift[0])} step{'s' * (abs(shift[0]) > 1)} {way}, as if the"
                     " two padded by other amounts before the first step", None, size,
                     "Pad alike in both; a causal layer is padded before the first step alone.")
    return Cause(f"Keras's numbers are PyTorch's, shifted by {tuple(-s for s in shift)} pixels, as if the two"
                 " padded by other amounts at the first edges", None, size, "Pad alike in both.")


def softmax_cause(ours: np.ndarray, theirs: np.ndarray, before: list[np.ndarray],
                  tolerance: float) -> Cause | None:
    """Both take a softmax of the same numbers, but along another axis."""
    for array in before:
        if array.size == ours.size and array.ndim > 1 and array.dtype.kind == "f":
            guesses = [(f"axis {axis} of {array.ndim}", softmax(array.astype(np.float64), axis))
                       for axis in range(array.ndim)]
            found = told_apart(guesses, ours, theirs, tolerance)
            if found:
                return Cause(f"PyTorch's softmax goes over {found[0]}, Keras's over {found[1]}, counted from 0"
                             " in PyTorch's layout", None, found[2], "Name the same axis in both.")
    return None
