"""Both sides hold the same numbers, but in another order."""

from __future__ import annotations

import numpy as np

from course_lib.parity.findings import Cause
from course_lib.parity.matching import distance, layouts

_MOST_CHANNELS = 1024


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
        flattened = ours.ndim < image.ndim > theirs.ndim and image.size == ours.size
        if flattened and distance(image.reshape(ours.shape), ours) <= tolerance:
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
    return None


def blocks_cause(ours: np.ndarray, theirs: np.ndarray, tolerance: float) -> Cause | None:
    """The same channels in another order: joined otherwise, or mixed by a reshape."""
    for view in layouts(ours):
        if view.shape == theirs.shape and 2 <= view.shape[-1] <= _MOST_CHANNELS:
            order = _order_of_channels(view, theirs, tolerance)
            after = np.inf if order is None else distance(view[..., order], theirs)
            if after <= tolerance:
                return _of_blocks(order, after)
    return None


def _of_blocks(order: np.ndarray, after: float) -> Cause:
    """In words, where Keras's channels stand in PyTorch."""
    starts = [0, *(np.flatnonzero(np.diff(order) != 1) + 1), len(order)]
    blocks = [f"{order[a]} to {order[b - 1]}" if b - a > 1 else str(order[a])
              for a, b in zip(starts, starts[1:])]
    if len(blocks) <= max(2, len(order) // 2):
        return Cause("the same channels, joined in another order: Keras's are PyTorch's"
                     f" {', '.join(blocks)}, counted from 0", None, after, "Join the parts in one order.")
    for n in range(2, len(order)):
        if len(order) % n == 0 and np.array_equal(order, np.arange(len(order)).reshape(n, -1).T.ravel()):
            return Cause(f"the same channels in another order: Keras takes one of each of PyTorch's {n} blocks"
                         " in turn, as a reshape without a permutation does", None, after,
                         "Reshape and permute alike in both.")
    return Cause(f"the same channels in another order: Keras's are PyTorch's {', '.join(blocks)}", None,
                 after, "Look for a reshape that mixes axes.")


def _order_of_channels(ours: np.ndarray, theirs: np.ndarray, tolerance: float) -> np.ndarray | None:
    """For each channel of Keras's, the place among ours of the channel that is equal; None without one."""
    mine, other = (a.reshape(-1, a.shape[-1]).astype(np.float64) for a in (ours, theirs))
    scale = np.abs(mine).max(initial=0.0)
    free, order = list(range(mine.shape[1])), []
    for column in other.T:
        fitting = [n for n in free if np.abs(mine[:, n] - column).max() <= tolerance * scale]
        if not fitting:
            return None
        order.append(fitting[0])
        free.remove(fitting[0])
    return None if order == sorted(order) else np.array(order)


def mixed_cause(ours: np.ndarray, theirs: np.ndarray, tolerance: float) -> Cause | None:
    """The same numbers in an order that no other guess explains."""
    if ours.size != theirs.size:
        return None
    flat = np.sort(ours.ravel()), np.sort(theirs.ravel())
    if distance(*flat) <= tolerance:
        return Cause("the same numbers in another order", None, distance(*flat),
                     "Look for a reshape that mixes axes, or for parts that are joined in another order.")
    return None
