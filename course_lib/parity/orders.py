"""Both sides hold the same numbers, but in another order."""

from __future__ import annotations

import numpy as np

from course_lib.parity.findings import Cause
from course_lib.parity.matching import distance


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
