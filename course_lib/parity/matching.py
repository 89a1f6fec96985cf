"""Which torch module belongs to which Keras layer, and whether two arrays hold the same."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from course_lib.parity.capture import Call
from course_lib.parity.settings import LAYOUTS, PAIRS


def align(torch_calls: list[Call], keras_calls: list[Call]) -> list[tuple[Call, Call]]:
    """Pairs of calls, in order: by name where names are equal, else by kind and size.

    The best common order of both runs: layers that have no counterpart are stepped over.
    """
    rows, columns = len(torch_calls), len(keras_calls)
    best = np.zeros((rows + 1, columns + 1))
    for i in range(rows - 1, -1, -1):
        for j in range(columns - 1, -1, -1):
            worth = _worth(torch_calls[i], keras_calls[j])
            best[i, j] = max(best[i + 1, j], best[i, j + 1], worth and worth + best[i + 1, j + 1])
    pairs, i, j = [], 0, 0
    while i < rows and j < columns:
        worth = _worth(torch_calls[i], keras_calls[j])
        if worth and best[i, j] == worth + best[i + 1, j + 1]:
            pairs.append((torch_calls[i], keras_calls[j]))
            i, j = i + 1, j + 1
        elif best[i, j] == best[i + 1, j]:
            i += 1
        else:
            j += 1
    return pairs


def _worth(ours: Call, theirs: Call) -> float:
    """How well two calls fit; 0 where they cannot belong together."""
    kinds = (ours.kind, theirs.kind)
    if kinds not in PAIRS:
        return 0.0
    if kinds not in LAYOUTS:
        return 0.5
    named = 10.0 if ours.name == theirs.name else 0.0
    count = sum(p.numel() for p in ours.layer.parameters())
    sizes = sum(int(np.prod(w.shape)) for w in theirs.layer.trainable_weights)
    return named + (2.0 if count == sizes else 1.0)


def layouts(array: np.ndarray) -> Iterator[np.ndarray]:
    """The array as Keras may hold it: as it is, or with its channels last."""
    yield array
    if array.ndim >= 3:
        yield np.moveaxis(array, 1, -1)


def distance(ours: np.ndarray, theirs: np.ndarray, floor: float = 1e-30) -> float:
    """Largest difference, relative to our largest number (or ``floor``); infinite where shapes differ or a nan is."""
    if ours.shape != theirs.shape:
        return float("inf")
    if not ours.size:
        return 0.0
    with np.errstate(invalid="ignore", over="ignore"):
        gap = np.abs(ours.astype(np.float64) - theirs)
        gap[(ours == theirs) | (np.isnan(ours) & np.isnan(theirs))] = 0.0
        scale = np.abs(ours[np.isfinite(ours)]).max(initial=0.0)
        size = float(gap.max() / max(scale, floor, 1e-30))
    return size if size == size else float("inf")


def closest(candidates: list[np.ndarray], theirs: np.ndarray) -> tuple[float, np.ndarray | None]:
    """(smallest distance to any candidate in any layout, that candidate in Keras's layout)."""
    best, found = float("inf"), None
    for array in candidates:
        for view in layouts(array):
            size = distance(view, theirs)
            if found is None and view.shape == theirs.shape or size < best:
                best, found = size, view
    return best, found
