"""Why a layer that gets the same numbers as its counterpart returns others."""

from __future__ import annotations

import numpy as np

from course_lib.parity import settings
from course_lib.parity.attention import attention_cause
from course_lib.parity.between import reordered_cause
from course_lib.parity.capture import Call
from course_lib.parity.findings import Cause, Finding, of_cause
from course_lib.parity.functions import function_cause
from course_lib.parity.matching import closest, layouts
from course_lib.parity.norms import mode_cause

# Layers whose input may be padded by hand instead, and their rows.
PADDING_ROWS = {"Conv1d": None, "Conv2d": "strided-convolution-padding", "MaxPool1d": None, "MaxPool2d":
                "max-pool-padding", "AvgPool1d": None, "AvgPool2d": "average-pool-padding"}


def activated(mine: Call, call: Call, candidates: list[np.ndarray]) -> list[np.ndarray]:
    """Torch's numbers after the activation that is part of the Keras layer, if there is one."""
    activation = getattr(call.layer, "activation", None)
    if activation is None or activation.__name__ == "linear" or mine.kind in (
            *settings.RECURRENT, *settings.ACTIVATIONS):
        return candidates
    import tensorflow as tf

    views = [array for one in candidates for array in layouts(one)]
    return [activation(tf.constant(np.ascontiguousarray(array))).numpy() for array in views]


def layer_finding(stage: str, where: str, mine: Call, call: Call, gap: float, tolerance: float) -> Finding:
    """The setting that explains the difference; else what the layer computes instead; else nothing."""
    rank = call.inputs[0].ndim if call.inputs else 0
    found = [s for s in settings.differing(mine.kind, mine.layer, call.kind, call.layer, rank)
             if not s.of_state and not (mine.turned and s.name == "first axis")
             and not (call.unpadded and s.name == "padding")]
    for setting in found:
        after = _tried(setting, mine, call)
        if after is None or after <= tolerance or len(found) == 1:
            return Finding(stage, where, str(setting), setting.row, _cure(setting), gap, after)
    if found:
        what = "; ".join(map(str, found))
        return Finding(stage, where, what, found[0].row, _cure(found[0]), gap)
    cause = _mask_cause(mine, call, tolerance) or mode_cause(mine, call, tolerance)
    cause = cause or (attention_cause(mine, call, tolerance) if mine.kind == "MultiheadAttention" else None)
    cause = (cause or function_cause(mine.inputs[:1], mine.outputs[0], call.outputs[0], tolerance)
             or reordered_cause(mine.outputs[0], call.outputs[0], mine.inputs[:1], tolerance))
    return of_cause(stage, where, cause, "the same input leads to different outputs; no setting that the"
                    " doctor knows explains it", "Compare the layers' settings by hand.", gap)


def _mask_cause(mine: Call, call: Call, tolerance: float) -> Cause | None:
    """A recurrent layer of Keras's obeys a mask that stands at the end of sequences; PyTorch's has none."""
    masks = [m for name, m in call.arguments.items() if name.endswith("mask") and isinstance(m, np.ndarray)]
    if mine.kind not in settings.RECURRENT or call.kind == "Bidirectional" or not masks or masks[0].all():
        return None
    real, steps = masks[0].astype(bool), mine.outputs[0]
    count = real.sum(axis=1)
    if (real != (np.arange(real.shape[1]) < count[:, None])).any() or not count.all() or steps.ndim != 3:
        return None
    held = np.minimum(np.arange(real.shape[1]), count[:, None] - 1)
    still = np.take_along_axis(steps, held[..., None], axis=1)     # the last real step, kept
    after, _ = closest([still, still[:, -1], steps * real[..., None]], call.outputs[0])
    if after > tolerance:
        return None
    return Cause("PyTorch reads the padding at the end of sequences, Keras stops before it: its input bears a"
                 " mask", "padded-sequences", after)


def _tried(setting: settings.Setting, mine: Call, call: Call) -> float | None:
    """How far PyTorch's layer with Keras's setting is from Keras's; None where that cannot be tried."""
    if setting.changed is None:
        return None
    try:
        after, _ = closest(activated(mine, call, [setting.changed(mine.inputs[0])]), call.outputs[0])
    except Exception:  # noqa: BLE001  what cannot be tried is not proven
        return None
    return after


def _cure(setting: settings.Setting) -> str:
    return "" if setting.row else f"Set the {setting.name} alike."
