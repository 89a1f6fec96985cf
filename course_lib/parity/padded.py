"""Padding by hand: a layer's input has been padded before it, on one side alone."""

from __future__ import annotations

import copy
from dataclasses import replace
from itertools import product

import numpy as np

from course_lib.parity.capture import Call
from course_lib.parity.findings import Cause
from course_lib.parity.layer_causes import PADDING_ROWS, activated
from course_lib.parity.matching import closest, distance
from course_lib.parity.settings import added_by, pair_of

_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def unpadded(mine: Call, call: Call) -> Call:
    """Keras's call without what was padded by hand, where that is what PyTorch's layer pads itself."""
    rank = _rank(mine)
    if not rank or not call.inputs or call.layer.padding != "valid" or isinstance(mine.layer.padding, str):
        return call
    wide, amounts = call.inputs[0], pair_of(mine.layer.padding, rank)
    if wide.ndim != rank + 2 or not any(amounts):
        return call
    inner = wide[(slice(None), *(slice(p, -p or None) for p in amounts))]
    if inner.shape[1:-1] != mine.inputs[0].shape[2:] or not _alike(mine, inner, wide, amounts):
        return call
    return replace(call, inputs=[inner, *call.inputs[1:]], unpadded=True)


def _rank(mine: Call) -> int:
    """Of how many axes a layer pads; 0 where it pads none."""
    rank = int(mine.kind[-2]) if mine.kind in PADDING_ROWS else 0
    return rank if rank and mine.inputs and mine.inputs[0].ndim == rank + 2 else 0


def _alike(mine: Call, inner: np.ndarray, wide: np.ndarray, amounts) -> bool:
    """Whether an array was padded as PyTorch's layer pads."""
    sides = [(0, 0), *((p, p) for p in amounts), (0, 0)]
    if mine.kind.startswith("MaxPool"):        # -inf, or whatever is no maximum
        added = np.pad(np.zeros(inner.shape, bool), sides, constant_values=True)
        return bool(inner.size) and wide[added].max() <= inner.min()
    mode = _MODES[getattr(mine.layer, "padding_mode", "zeros")]
    try:
        return np.array_equal(np.pad(inner, sides, mode=mode), wide)
    except ValueError:                         # more than can be reflected
        return False


def hand_padding_cause(mine: Call, call: Call, tolerance: float) -> Cause | None:
    """One side pads by hand, by other amounts than the other's layer pads; proven on the layer's output."""
    rank = _rank(mine)
    if not rank or call.inputs[0].ndim != rank + 2 or isinstance(mine.layer.padding, str):
        return None
    ours, theirs = np.moveaxis(mine.inputs[0], 1, -1), call.inputs[0]
    own = pair_of(mine.layer.padding, rank)
    added = added_by(call.layer, theirs.shape[1:-1])
    for who, wide, narrow in (("Keras", theirs, ours), ("PyTorch", ours, theirs)):
        before = _place(wide, narrow, tolerance)
        if before is None:
            continue
        by_hand = [(b, w - n - b) for b, w, n in zip(before, wide.shape[1:-1], narrow.shape[1:-1], strict=True)]
        sides = [(p, p) for p in own] if who == "Keras" else added
        after = _recomputed(mine, call, added)
        if by_hand != sides and after <= tolerance:
            other = "PyTorch" if who == "Keras" else "Keras"
            strided = max(pair_of(mine.layer.stride, rank)) > 1 and rank == 2
            row = PADDING_ROWS[mine.kind] if strided else None
            return Cause(f"{who}'s input was padded by hand, by {_said(by_hand)}, {other}'s layer pads"
                         f" {_said(sides)}" + (f" ({call.layer.padding!r})" if other == "Keras" else ""), row, after,
                         "" if row else "Pad by the same amounts in both.")
    return None


def _said(sides) -> str:
    return " and ".join(dict.fromkeys(f"{before} before and {after} after" for before, after in sides))


def _place(wide: np.ndarray, narrow: np.ndarray, tolerance: float) -> tuple[int, ...] | None:
    """How much stands in a wide array before a narrow one that it holds; None where it holds it not."""
    spare = [w - n for w, n in zip(wide.shape[1:-1], narrow.shape[1:-1], strict=True)]
    if wide.shape[-1] != narrow.shape[-1] or min(spare) < 0 or not any(spare) or max(spare) > 64:
        return None
    for before in product(*(range(s + 1) for s in spare)):
        part = (slice(None), *(slice(b, b + n) for b, n in zip(before, narrow.shape[1:-1], strict=True)))
        if distance(narrow, wide[part]) <= tolerance:
            return before
    return None


def _recomputed(mine: Call, call: Call, added) -> float:
    """How far PyTorch's layer is from Keras's output, on Keras's input padded as Keras pads."""
    import torch
    from torch.nn import functional as F

    layer = copy.deepcopy(mine.layer)
    layer.padding = (0,) * len(added)
    if hasattr(layer, "padding_mode"):
        layer.padding_mode = "zeros"
    x = torch.from_numpy(np.ascontiguousarray(np.moveaxis(call.inputs[0], -1, 1)))
    fill = float("-inf") if mine.kind.startswith("MaxPool") else 0.0
    with torch.no_grad():
        out = layer(F.pad(x, [n for sides in reversed(added) for n in sides], value=fill)).numpy()
    return closest(activated(mine, call, [out]), call.outputs[0])[0]
