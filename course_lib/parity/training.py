"""The stages "loss" and "gradients": what both models are trained on."""

from __future__ import annotations

import numpy as np

from course_lib.parity import capture, copied
from course_lib.parity.capture import Call
from course_lib.parity.composites import parameters_of, rule_of
from course_lib.parity.findings import Cause, Finding, of_cause
from course_lib.parity.loss_causes import loss_cause
from course_lib.parity.matching import closest, distance
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
    ours = float(_loss_torch(visit, mine))
    keras = float(_loss_keras(visit, visit.keras_y, given))
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


def _loss_torch(visit: Visit, prediction):
    import torch

    value = visit.losses[0](prediction, torch.from_numpy(np.ascontiguousarray(visit.y)))
    return value.mean() if value.ndim else value


def _loss_keras(visit: Visit, y, prediction):
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
        visit.losses[0], lambda a, b: float(_loss_keras(visit, a, tf.constant(b))), visit.tolerance)
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


def gradients(visit: Visit) -> None:
    """Gradients of the loss at the same weights, in training mode."""
    differ = {f.stage for f in visit.report.findings} & {"outputs", "training outputs", "loss"}
    visit.torch_gradients = _torch_gradients(visit)
    if differ:
        visit.report.unmatched.append("gradients: the outputs or the losses differ already")
        unfed(visit)
        return
    found = _keras_gradients(visit)
    excused = {f.where for f in visit.report.findings if f.stage == "layers"}
    # What is 0 but for rounding, such as a bias before batch normalisation, is called equal.
    floor = 1e-3 * max((float(g.abs().max()) for g in visit.torch_gradients.values()), default=0.0)
    for ours, theirs in visit.weighted():
        for attribute, (variable, names, _) in copied.variables(ours, theirs).items():
            gradient = found.get(id(variable))
            mine = torch_gradient(visit.torch_gradients, ours, theirs, attribute, names)
            where = f"{ours.name} and {theirs.name}"
            nothing = gradient is None and mine is None or where in excused
            if attribute == "embeddings" and gradient is not None:
                gradient = _fed(visit, where, gradient, floor)
            if not attribute.startswith("moving_") and not nothing:
                _compare(visit, f"{where}, {attribute}", mine, gradient, floor)


def unfed(visit: Visit) -> None:
    """Rows without gradient in PyTorch, where Keras's gradients are not compared."""
    for where, ours, _, row in visit.unfed:
        visit.report.notes.append(Finding(
            "gradients", where, f"PyTorch gives row {row} no gradient (padding_idx); whether Keras trains it was not"
            f" compared{_not_zero(ours, row)}", "embedding-padding"))


def _not_zero(ours: Call, row: int) -> str:
    return "; the row is not zero" if ours.layer.weight.detach().numpy()[row].any() else ""


def _fed(visit: Visit, where: str, gradient: np.ndarray, floor: float) -> np.ndarray:
    """Keras's gradient without the row that PyTorch gives none; where that row is not 0, it is said."""
    for place, ours, _, row in visit.unfed:
        if place != where or not np.any(gradient[row]):
            continue
        size = float(np.abs(gradient[row]).max() / max(np.abs(gradient).max(), floor, 1e-30))
        if size > 10 * visit.tolerance:
            visit.report.findings.append(Finding(
                "gradients", where, f"PyTorch gives row {row} no gradient, Keras trains it like every"
                f" other{_not_zero(ours, row)}", "embedding-padding", before=size))
        gradient = gradient.copy()
        gradient[row] = 0.0
    return gradient


def _torch_gradients(visit: Visit) -> dict:
    """PyTorch's gradients by the id of the parameter."""
    visit.torch_model.train(True)
    visit.torch_model.zero_grad(set_to_none=True)
    _loss_torch(visit, visit.torch_model(*visit.torch_inputs())).backward()
    return {id(p): p.grad.detach().clone() for p in visit.torch_model.parameters() if p.grad is not None}


def _keras_gradients(visit: Visit) -> dict:
    """Keras's gradients by the id of the variable; those that come as slices are kept as such, too."""
    import tensorflow as tf

    params = visit.keras_model.trainable_variables
    with tf.GradientTape() as tape:
        out = capture.call_keras(visit.keras_model, visit.keras_inputs(), True)
        value = _loss_keras(visit, visit.keras_y, out)
    found = dict(zip(map(id, params), tape.gradient(value, params), strict=True))
    visit.sparse |= {key: g for key, g in found.items() if isinstance(g, tf.IndexedSlices)}
    return {key: tf.convert_to_tensor(g).numpy() for key, g in found.items() if g is not None}


def _compare(visit: Visit, where: str, mine, gradient, floor: float) -> None:
    if gradient is None or mine is None:
        side = "Keras" if gradient is None else "PyTorch"
        visit.report.findings.append(Finding(
            "gradients", where, f"{side} has no gradient here", None,
            "Look for detach, no_grad or stop_gradient, and for frozen layers."))
        return
    gap = distance(mine, gradient, floor)
    visit.report.saw("gradients", gap)
    if gap > 10 * visit.tolerance:
        zero = [s for s, g in (("PyTorch", mine), ("Keras", gradient)) if not np.any(g)]
        what = f"{zero[0]}'s gradient is 0: something stops it" if zero else "the gradients part"
        visit.report.findings.append(Finding(
            "gradients", where, what, None,
            "Look for detach, no_grad, stop_gradient, clipping, and custom gradients.", gap))


def torch_gradient(given: dict, ours: Call, theirs: Call, attribute: str,
                   names: list[str]) -> np.ndarray | None:
    """PyTorch's gradient in Keras's layout; two biases that are added have the same one."""
    kinds = (ours.kind, theirs.kind)
    _, change = rule_of(kinds, ours.layer, theirs.layer)[attribute]
    own = parameters_of(kinds, ours.layer)
    found = [given.get(id(own[name])) for name in names if name in own]
    arrays = [g.numpy() for g in found if g is not None]
    if change is np.add:
        return arrays[0] if arrays else None
    return change(*arrays) if len(arrays) == len(names) else None
