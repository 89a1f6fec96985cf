"""Whether the weights of two models are the same, and if not, what went wrong in copying."""

from __future__ import annotations

from itertools import permutations

import numpy as np

from course_lib.parity.capture import Call
from course_lib.parity.composites import parameters_of, rule_of, variable_of
from course_lib.parity.findings import Finding
from course_lib.parity.matching import distance


def owner(layer):
    """Where a layer keeps its variables: itself, or the cell of a recurrent layer."""
    return getattr(layer, "cell", layer)


def variables(ours: Call, theirs: Call) -> dict[str, tuple[object, list[str], np.ndarray]]:
    """Keras's name of a variable -> (variable, torch's names, torch's value in Keras's layout)."""
    found = {}
    kinds = (ours.kind, theirs.kind)
    own = parameters_of(kinds, ours.layer)
    for attribute, (names, change) in rule_of(kinds, ours.layer, theirs.layer).items():
        variable = variable_of(theirs.layer, attribute)
        given = [own[name].detach().cpu().numpy() for name in names if own.get(name) is not None]
        if variable is not None and len(given) == len(names):
            found[attribute] = variable, list(names), change(*given)
    return found


def judge(ours: Call, theirs: Call, tolerance: float,
          others: dict[str, np.ndarray]) -> tuple[list[Finding], float]:
    """(findings about the weights of one pair of layers, the largest difference).

    ``others`` holds the right numbers of all variables, by words for each: some may have been exchanged.
    """
    findings, largest = [], 0.0
    where = f"{ours.name} and {theirs.name}"
    table = variables(ours, theirs)
    for attribute, (variable, names, value) in table.items():
        actual = variable.numpy()
        size = distance(value, actual)
        if size <= tolerance:
            largest = max(largest, size)
            continue
        largest = max(largest, size)
        if value.shape != actual.shape:
            what = (f"{attribute} has shape {actual.shape} in Keras; PyTorch's"
                    f" {' + '.join(names)} would need {value.shape}")
            cure = "Make the sizes equal."
            if ours.kind == "GRU" and not theirs.layer.reset_after:
                cure = "Keras: reset_after=True, as PyTorch's GRU is made."
            findings.append(Finding("weights", where, what, None, cure))
            continue
        findings.append(_cause(ours, attribute, names, value, actual, where, size, tolerance, others))
    own = rule_of((ours.kind, theirs.kind), ours.layer, theirs.layer)
    for attribute in dict.fromkeys(("bias", "kernel", "gamma", "beta", *own)):
        variable = variable_of(theirs.layer, attribute)
        if variable is not None and hasattr(variable, "shape") and attribute not in table:
            if np.abs(variable.numpy() - (attribute in ("gamma", "moving_variance"))).max() > 0:
                findings.append(Finding(
                    "weights", where, f"Keras has a {attribute} that PyTorch has not", None,
                    f"Switch it off in Keras (for a bias: use_bias=False), or on in PyTorch."))
    return findings, largest


def _swapped(value: np.ndarray, actual: np.ndarray, tolerance: float) -> tuple[str, np.ndarray] | None:
    """(in words, PyTorch's numbers with its axes in Keras's order), where this makes them equal."""
    names = {4: ("rows", "columns", "third axis", "fourth axis"), 2: ("rows", "columns")}.get(value.ndim)
    for order in permutations(range(value.ndim)):
        guess = value.transpose(order)
        if list(order) != sorted(order) and guess.shape == actual.shape and distance(guess, actual) <= tolerance:
            moved = [n for n, axis in enumerate(order) if n != axis]
            if names and len(moved) == 2:
                return f"its {names[moved[0]]} and {names[moved[1]]} exchanged", guess
            return f"its axes in the order {order}", guess
    return None


def _cause(ours, attribute, names, value, actual, where, size, tolerance, others) -> Finding:
    raw = [dict(ours.layer.named_parameters()).get(name) for name in names]
    raw = [r.detach().cpu().numpy() for r in raw if r is not None]

    def found(what, row, guess=None, cure=""):
        after = None if guess is None else distance(guess, actual)
        return Finding("weights", where, what, row, cure, size, after)

    if attribute == "bias" and len(raw) == 2 and raw[0].shape == actual.shape:
        for name, one in zip(names, raw, strict=True):
            if distance(one, actual) <= tolerance:
                return found(f"Keras's bias holds {name} alone, not the sum of {' and '.join(names)}",
                             "lstm-biases", one)
    if ours.kind == "GRU" and raw:
        plain = np.stack(raw) if attribute == "bias" else raw[0].T
        if plain.shape == actual.shape and distance(plain, actual) <= tolerance:
            return found(f"{attribute} was copied with PyTorch's order of gates", "gru-gates", plain)
    if raw and raw[0].shape == actual.shape and raw[0].ndim >= 2:
        if distance(raw[0], actual) <= tolerance:
            row = "kernel-layout" if raw[0].ndim == 2 else None
            return found(f"{attribute} was copied without putting its axes in Keras's order",
                         row, raw[0], "" if row else "Permute the axes of the kernel.")
    swapped = _swapped(value, actual, tolerance)
    if swapped:
        return found(f"{attribute} was transposed: it holds PyTorch's numbers with {swapped[0]}", None, swapped[1],
                     "Permute the axes of the kernel; course_lib.parity.copy_weights does.")
    if attribute.startswith("moving_"):
        start = float(attribute == "moving_variance")
        if np.all(actual == start):
            return found(f"{attribute} stands at its start, {start:g}: running statistics were not"
                         " copied", None, np.full_like(actual, start),
                         "Copy the buffers too, not only the parameters:"
                         " course_lib.parity.copy_weights does.")
    for words, other in others.items():
        for what, guess in ((words, other), (f"the absolute {words}", np.abs(other))):
            if guess.shape == actual.shape and np.ptp(actual) and distance(guess, actual) <= tolerance:
                return found(f"{attribute} holds {what}", None, guess, "Copy each to its own place.")
    return found(f"{attribute} holds other numbers: not copied, or trained on", "initialisers")
