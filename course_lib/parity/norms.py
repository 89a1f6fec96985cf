"""A normalisation that stands before a layer on one side, and after it on the other."""

from __future__ import annotations

import numpy as np

from course_lib.parity.capture import Call
from course_lib.parity.findings import Cause
from course_lib.parity.matching import closest, distance

NORMS = ("LayerNorm", "RMSNorm", "GroupNorm", "BatchNorm1d", "BatchNorm2d")
_CURE = "Put it at the same place in both (norm_first in PyTorch's ready-made encoder layers)."


def moved_norm(mine: Call, call: Call, before: list[Call], tolerance: float) -> Cause | None:
    """Normalised after a shortcut is added (post-norm) on one side, before the layer (pre-norm) on the other.

    ``before`` holds PyTorch's earlier calls.
    """
    calls = [c for c in before if c.inputs and c.outputs]
    if mine.kind in NORMS:
        layer = next((c for c in calls if closest(c.inputs[:1], call.inputs[0])[0] <= tolerance), None)
        added = _added(mine, calls, tolerance)
        if layer and added:
            return Cause(f"PyTorch normalises after it has added the output of {added.name} (post-norm), Keras what"
                         f" {layer.name} gets (pre-norm)", cure=_CURE)
    for c in calls:
        if c.kind in NORMS and closest(c.inputs[:1], call.inputs[0])[0] <= tolerance and (
                closest(c.outputs[:1], mine.inputs[0])[0] <= tolerance):
            return Cause(f"PyTorch gives {mine.name} what {c.name} returns (pre-norm), Keras what {c.name} gets: the"
                         " normalisation does not stand before this layer", cure=_CURE)
    return None


def _added(mine: Call, calls: list[Call], tolerance: float) -> Call | None:
    """The call whose output and another's input PyTorch's normalisation gets, added."""
    want = mine.inputs[0]
    for layer in reversed([c for c in calls if c.kind != "Dropout"]):
        for start in calls:
            a, b = start.inputs[0], layer.outputs[0]
            if a.shape == b.shape == want.shape and a.dtype.kind == "f" and distance(a + b, want) <= tolerance:
                return layer
    return None


def mode_cause(mine: Call, call: Call, tolerance: float) -> Cause | None:
    """One side normalises by the batch, the other by its running statistics."""
    if not mine.kind.startswith("BatchNorm") or mine.layer.running_mean is None:
        return None
    places = tuple(n for n in range(mine.inputs[0].ndim) if n != 1)
    x = mine.inputs[0].astype(np.float64)
    batch = x.mean(axis=places), x.var(axis=places)
    running = call.layer.moving_mean.numpy(), call.layer.moving_variance.numpy()
    own = mine.layer.running_mean.numpy(), mine.layer.running_var.numpy()
    for who, ours, theirs in (("Keras", batch, running), ("PyTorch", own, batch)):
        size, _ = closest([_normalised(mine, x, *ours)], mine.outputs[0])
        after, _ = closest([_normalised(mine, x, *theirs)], call.outputs[0])
        if max(size, after) <= tolerance:
            return _of_mode(who, call, after)
    return None


def _of_mode(who: str, call: Call, after: float) -> Cause:
    other = "PyTorch" if who == "Keras" else "Keras"
    frozen = who == "Keras" and not call.layer.trainable
    return Cause(f"{who} normalises by its running statistics, in inference mode, while training; {other} by the batch's"
                 + (" (trainable=False makes Keras's layer run in inference mode, too)" if frozen else ""), None, after,
                 "PyTorch: .eval() for this layer while training, too; or let Keras's layer train." if who == "Keras"
                 else "Keras: training=False for this layer; or leave PyTorch's in training mode.")


def _normalised(mine: Call, x: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    shape = [1, -1] + [1] * (x.ndim - 2)
    out = (x - mean.reshape(shape)) / np.sqrt(variance.reshape(shape) + mine.layer.eps)
    if mine.layer.weight is None:
        return out
    weight, bias = (p.detach().cpu().numpy().reshape(shape) for p in (mine.layer.weight, mine.layer.bias))
    return out * weight + bias
