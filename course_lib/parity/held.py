"""What a layer's call holds, in the forms in which Keras's layer may take or return it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from course_lib.parity.capture import Call
from course_lib.parity.matching import distance
from course_lib.parity.settings import RECURRENT


def turned(mine: Call, call: Call, tolerance: float) -> Call:
    """Torch's call with the batch first, where its layer wants steps first and got them."""
    if getattr(mine.layer, "batch_first", True) or not mine.inputs or mine.inputs[0].ndim != 3:
        return mine
    if distance(mine.inputs[0].swapaxes(0, 1), call.inputs[0]) > tolerance:
        return mine

    def turn(array):
        return array.swapaxes(0, 1) if isinstance(array, np.ndarray) and array.ndim == 3 else array

    arguments = {n: turn(a) if n in ("query", "key", "value") else a for n, a in mine.arguments.items()}
    return replace(mine, inputs=[turn(mine.inputs[0]), *mine.inputs[1:]], arguments=arguments,
                   outputs=[turn(mine.outputs[0]), *mine.outputs[1:]], turned=True)


def held(mine: Call, call: Call) -> list[np.ndarray]:
    """What the torch side holds after a call: its outputs, and what Keras's layer may return of them."""
    found = list(mine.outputs)
    if mine.kind == "EmbeddingBag" and mine.inputs[0].ndim == 2:
        found.append(mine.layer.weight.detach().cpu().numpy()[mine.inputs[0]])
    if mine.kind in RECURRENT:
        found += [a[:, -1] for a in found if a.ndim == 3] + [a[0] for a in found if a.ndim == 3]
    if call.kind == "Bidirectional":
        last = [np.concatenate([*a], axis=-1) for a in mine.outputs[1:2]]    # the last state of each way
        found = [_merged(a, call.layer.merge_mode) for a in last + found]
    return found


def _merged(array: np.ndarray, mode: str | None) -> np.ndarray:
    """Both directions of a recurrent layer, joined as Keras's layer joins them."""
    if mode in (None, "concat") or array.shape[-1] % 2:
        return array
    forward, backward = np.split(array, 2, axis=-1)
    return {"sum": forward + backward, "ave": (forward + backward) / 2, "mul": forward * backward}[mode]
