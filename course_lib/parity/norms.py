"""A normalisation that stands before a layer on one side, and after it on the other."""

from __future__ import annotations

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
    for layer in calls:
        for start in calls:
            a, b = start.inputs[0], layer.outputs[0]
            if a.shape == b.shape == want.shape and a.dtype.kind == "f" and distance(a + b, want) <= tolerance:
                return layer
    return None
