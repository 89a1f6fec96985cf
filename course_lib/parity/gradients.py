"""The stage "gradients": of one loss at the same weights, and what stops them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from course_lib.parity import capture, copied
from course_lib.parity.capture import Call
from course_lib.parity.composites import parameters_of, rule_of
from course_lib.parity.findings import Finding
from course_lib.parity.matching import distance
from course_lib.parity.stops import keras_unstopped, torch_unstopped
from course_lib.parity.training import loss_keras, loss_torch
from course_lib.parity.visit import Visit


def gradients(visit: Visit) -> None:
    """Gradients of the loss at the same weights, in training mode."""
    differ = {f.stage for f in visit.report.findings} & {"outputs", "training outputs", "loss"}
    visit.torch_gradients = _torch_gradients(visit)
    if differ:
        visit.report.unmatched.append("gradients: the outputs or the losses differ already")
        unfed(visit)
        return
    found = _keras_gradients(visit)
    # What is 0 but for rounding, such as a bias before batch normalisation, is called equal.
    floor = 1e-3 * max((float(g.abs().max()) for g in visit.torch_gradients.values()), default=0.0)
    rows = _rows(visit, found, floor)
    parted = [said for row in rows if (said := _compared(visit, row, visit.torch_gradients, found, floor))]
    stopped = _stopped(visit, rows, found, floor, parted) if parted else None
    visit.report.findings += [stopped] if stopped else parted


@dataclass(frozen=True)
class _Row:
    """A parameter of both models: where it is, PyTorch's gradient in Keras's layout, Keras's variable."""

    where: str
    gradient: Callable[[dict], np.ndarray | None]
    variable: int
    layer: str


def _rows(visit: Visit, found: dict, floor: float) -> list[_Row]:
    """All parameters whose gradients are compared."""
    excused = {f.where for f in visit.report.findings if f.stage == "layers"}
    rows = []
    for ours, theirs in visit.weighted():
        where = f"{ours.name} and {theirs.name}"
        for attribute, (variable, names, _) in copied.variables(ours, theirs).items():
            if attribute == "embeddings" and id(variable) in found:
                found[id(variable)] = _fed(visit, where, found[id(variable)], floor)
            if not attribute.startswith("moving_") and where not in excused:
                rows.append(_Row(f"{where}, {attribute}", partial(
                    torch_gradient, ours=ours, theirs=theirs, attribute=attribute, names=names), id(variable), where))
    return rows + [_Row(one.where, one.gradient, id(one.variable), one.where) for one in visit.lone
                   if one.where not in excused]


def _stopped(visit: Visit, rows: list[_Row], found: dict, floor: float, parted: list[Finding]) -> Finding | None:
    """The side that stops a gradient, where all gradients agree when it does not."""
    for side, by, cure in (("PyTorch", "detach or no_grad", "Keras: tf.stop_gradient at the same place."),
                           ("Keras", "stop_gradient", "PyTorch: detach at the same place.")):
        mine, theirs = visit.torch_gradients, found
        try:
            if side == "PyTorch":
                with torch_unstopped():
                    mine = _torch_gradients(visit)
            else:
                with keras_unstopped():
                    theirs = _keras_gradients(visit)
        except Exception:  # noqa: BLE001  what cannot run so is no explanation
            continue
        if any(_parted(row, mine, theirs, floor) > 10 * visit.tolerance for row in rows):
            continue
        other = "Keras" if side == "PyTorch" else "PyTorch"
        what = (f"{side} has no gradient here" if all("no gradient" in f.what for f in parted)
                else f"{side}'s gradients lack a part")
        places = [row.layer for row in rows if row.where in {f.where for f in parted}]
        return Finding("gradients", "; ".join(dict.fromkeys(places)), f"{what}: {by} stops what flows in {other}",
                       None, cure, _worst(parted),
                       max(_parted(row, mine, theirs, floor) for row in rows))
    return None


def _worst(parted: list[Finding]) -> float:
    return max((f.before for f in parted if np.isfinite(f.before)), default=float("nan"))


def _parted(row: _Row, given: dict, found: dict, floor: float) -> float:
    """How far two gradients are apart; infinite where one side has none."""
    mine, gradient = row.gradient(given), found.get(row.variable)
    if mine is None or gradient is None:
        return 0.0 if mine is gradient else float("inf")
    return distance(mine, gradient, floor)


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
        if place != where:
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
    loss_torch(visit, visit.torch_model(*visit.torch_inputs())).backward()
    return {id(p): p.grad.detach().clone() for p in visit.torch_model.parameters() if p.grad is not None}


def _keras_gradients(visit: Visit) -> dict:
    """Keras's gradients by the id of the variable; those that come as slices are kept as such, too."""
    import tensorflow as tf

    params = visit.keras_model.trainable_variables
    with tf.GradientTape() as tape:
        out = capture.call_keras(visit.keras_model, visit.keras_inputs(), True)
        value = loss_keras(visit, visit.keras_y, out)
    found = dict(zip(map(id, params), tape.gradient(value, params), strict=True))
    visit.sparse |= {key: g for key, g in found.items() if isinstance(g, tf.IndexedSlices)}
    return {key: tf.convert_to_tensor(g).numpy() for key, g in found.items() if g is not None}


def _compared(visit: Visit, row: _Row, given: dict, found: dict, floor: float) -> Finding | None:
    """What is to be said of one parameter's gradients."""
    mine, gradient = row.gradient(given), found.get(row.variable)
    gap = _parted(row, given, found, floor)
    if np.isfinite(gap):
        visit.report.saw("gradients", gap)
    if gap <= 10 * visit.tolerance:
        return None
    if gradient is None or mine is None:
        side = "Keras" if gradient is None else "PyTorch"
        return Finding("gradients", row.where, f"{side} has no gradient here", None,
                       "Look for detach, no_grad or stop_gradient, and for frozen layers.")
    zero = [s for s, g in (("PyTorch", mine), ("Keras", gradient)) if not np.any(g)]
    what = f"{zero[0]}'s gradient is 0: something stops it" if zero else "the gradients part"
    return Finding("gradients", row.where, what, None,
                   "Look for detach, no_grad, stop_gradient, clipping, and custom gradients.", gap)


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
