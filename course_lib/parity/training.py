"""The stage "loss": what both models are trained on."""

from __future__ import annotations

import numpy as np

from course_lib.parity import capture
from course_lib.parity.findings import Cause, Finding, of_cause
from course_lib.parity.loss_causes import loss_cause
from course_lib.parity.matching import closest
from course_lib.parity.visit import Visit
from course_lib.parity.weights import ParityError


def loss(visit: Visit) -> None:
    """Both losses of PyTorch's predictions, so that only the losses can differ."""
    import tensorflow as tf

    if visit.y is None:
        raise ParityError("losses need labels: give batch=(x, y)")
    mine, theirs = visit.predictions["torch"], visit.predictions["keras"]
    given = theirs if _other_ends(visit) else tf.constant(
        closest(capture.arrays(mine), theirs.numpy())[1].astype(theirs.numpy().dtype))
    ours = float(loss_torch(visit, mine))
    keras = float(loss_keras(visit, visit.keras_y, given))
    gap = abs(ours - keras) / max(abs(ours), abs(keras), 1e-30)
    visit.report.saw("loss", gap)
    if gap > visit.tolerance:
        visit.report.findings.append(of_cause(
            "loss", "the losses of the same predictions", _loss_cause(visit, ours, keras, gap),
            f"PyTorch's is {ours:.6g}, Keras's {keras:.6g}; no guess of the doctor's explains it",
            "Compute both by hand for two examples.", gap))
    extra = float(sum(visit.keras_model.losses)) if visit.keras_model.losses else 0.0
    if extra:
        _penalties(visit, extra)


def _other_ends(visit: Visit) -> bool:
    """Whether one model returns logits and the other probabilities: each loss gets its own."""
    return any(n.where == "what the models return" for n in visit.report.notes)


def loss_torch(visit: Visit, prediction):
    """PyTorch's loss of a prediction, as one number."""
    import torch

    value = visit.losses[0](prediction, torch.from_numpy(np.ascontiguousarray(visit.y)))
    return value.mean() if value.ndim else value


def loss_keras(visit: Visit, y, prediction):
    """Keras's loss of a prediction, as one number."""
    import keras
    import tensorflow as tf

    theirs = visit.losses[1]
    function = keras.losses.get(theirs) if isinstance(theirs, str) else theirs
    return tf.reduce_mean(function(tf.constant(y) if isinstance(y, np.ndarray) else y, prediction))


def _loss_cause(visit: Visit, ours: float, keras: float, gap: float) -> Cause | None:
    import tensorflow as tf

    kind = getattr(visit.losses[1], "dtype", None)
    if gap < 1e-6 and kind == "float32" and "float64" in visit.report.dtypes:
        return Cause("Keras's loss computes in float32, whatever it is given", "loss-object-float32")
    cause = loss_cause(
        capture.arrays(visit.predictions["torch"])[0], np.asarray(visit.y), ours, keras,
        visit.losses[0], lambda a, b: float(loss_keras(visit, a, tf.constant(b))), visit.tolerance)
    if cause is None and _other_ends(visit):
        return Cause("Keras's model returns probabilities, and its loss takes them for logits, or"
                     " PyTorch's the other way round", "logits-or-probabilities")
    return cause


def _penalties(visit: Visit, extra: float) -> None:
    decay = visit.optimizers[0].param_groups[0].get("weight_decay", 0.0) if visit.optimizers else 0.0
    twice = {2 * float(r.l2) for layer in visit.keras_model._flatten_layers()
             if (r := getattr(layer, "kernel_regularizer", None)) is not None and hasattr(r, "l2")}
    text = (f"regularizers add {extra:.3g} to Keras's loss in fit; PyTorch's weight_decay"
            f" {decay:g} belongs to a penalty of {decay / 2:g} times the sum of squares")
    finding = Finding("loss", "the penalties on weights", text, "l2-regularizer")
    aligned = len(twice) == 1 and np.isclose(next(iter(twice)), decay, rtol=1e-5)
    (visit.report.notes if aligned else visit.report.findings).append(finding)
