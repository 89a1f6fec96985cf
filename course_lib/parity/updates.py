"""The stage "update": both optimizers get the same gradients."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from course_lib.parity import copied, update_rules
from course_lib.parity.capture import Call
from course_lib.parity.composites import parameters_of, rule_of
from course_lib.parity.findings import Finding
from course_lib.parity.gradients import torch_gradient
from course_lib.parity.lone import Lone
from course_lib.parity.visit import Visit

_FACTORS = (1.0, 0.5, -0.25)       # of the gradients in the steps that follow each other


@dataclass(frozen=True)
class _Row:
    """A parameter that both train."""

    variable: object
    ours: Call
    theirs: Call
    attribute: str
    names: list[str]

    def gradient(self, given: dict) -> np.ndarray | None:
        """PyTorch's gradient, in Keras's layout."""
        return torch_gradient(given, self.ours, self.theirs, self.attribute, self.names)

    def torch_value(self) -> np.ndarray:
        """PyTorch's number, in Keras's layout."""
        return copied.variables(self.ours, self.theirs)[self.attribute][2].astype(np.float64)

    @property
    def name(self) -> str:
        """PyTorch's name of the layer."""
        return self.ours.name

    def parameters(self) -> list:
        """What PyTorch's optimizer must hold."""
        return [p for p in self.ours.layer.parameters() if p.requires_grad]


@dataclass
class _Moves:
    """Where parameters start and end, by Keras's path; ``gradients`` of each step."""

    start: dict[str, np.ndarray]
    gradients: list[dict[str, np.ndarray]] = field(default_factory=list)
    ours: dict[str, np.ndarray] = field(default_factory=dict)
    theirs: dict[str, np.ndarray] = field(default_factory=dict)
    sparse: dict[str, np.ndarray] = field(default_factory=dict)  # Keras's, with slices as a tape gives them

    @property
    def size(self) -> float:
        """How far PyTorch's parameters moved."""
        return max(max((np.abs(self.ours[n] - v).max() for n, v in self.start.items()), default=0.0), 1e-30)

    def apart(self, one: dict, other: dict) -> float:
        """The largest difference of two ends, as a share of what PyTorch moved."""
        return max((np.abs(one[n] - other[n]).max() for n in self.start), default=0.0) / self.size


def update(visit: Visit) -> None:
    """Both optimizers get PyTorch's gradients; what separates their updates is tried in NumPy."""
    rows, twice = _parameters(visit)
    if not rows:
        visit.report.unmatched.append("update: no parameter that both train")
        return
    moves = _move(visit, rows)
    gap = moves.apart(moves.ours, moves.theirs)
    visit.report.saw("update", gap)
    for name in twice:
        visit.report.notes.append(Finding(
            "update", name, "PyTorch updates two biases that are added, so their sum moves twice as far"
            " with SGD as Keras's one", "lstm-biases"))
    _compare(visit, moves, gap)
    if moves.sparse:
        gap = moves.apart(moves.sparse, moves.theirs)
        if gap > visit.tolerance:
            visit.report.findings.append(Finding(
                "update", "embeddings", "Keras updates an embedding otherwise when its gradient comes as"
                " IndexedSlices with repeated rows, as it does from a tape", "embedding-gradients",
                before=gap))


def _parameters(visit: Visit) -> tuple[dict[str, _Row | Lone], list[str]]:
    """(parameters that both train, by Keras's path; layers in which PyTorch trains two biases for one)"""
    from torch.nn import Parameter

    rows, twice = {}, []
    for ours, theirs in visit.weighted():
        kinds = (ours.kind, theirs.kind)
        own, rule = parameters_of(kinds, ours.layer), rule_of(kinds, ours.layer, theirs.layer)
        for attribute, (variable, names, value) in copied.variables(ours, theirs).items():
            parts = [own.get(n) for n in names]
            if not all(isinstance(p, Parameter) for p in parts) or value.shape != tuple(variable.shape):
                continue
            trained = all(p.requires_grad for p in parts)
            if rule[attribute][1] is np.add:
                twice += [f"{ours.name} and {theirs.name}"] if trained else []
            elif trained and theirs.layer.trainable:
                rows[variable.path] = _Row(variable, ours, theirs, attribute, names)
    for one in visit.lone:
        if one.parameter.requires_grad and one.owner.trainable:
            rows[one.variable.path] = one
    return rows, twice


def _move(visit: Visit, rows: dict[str, _Row]) -> _Moves:
    """Let both optimizers take their steps from one start, with the same gradients."""
    base = visit.torch_gradients or _made_up(visit.torch_model)
    mine = {n: row for n, row in rows.items() if row.gradient(base) is not None}
    moves = _Moves({n: row.variable.numpy().astype(np.float64) for n, row in mine.items()})
    for step in range(visit.steps):
        given = {key: g * _FACTORS[step % 3] for key, g in base.items()}
        moves.gradients.append({n: row.gradient(given) for n, row in mine.items()})
        for p in visit.torch_model.parameters():
            p.grad = given.get(id(p))
        visit.optimizers[0].step()
    moves.ours = {n: row.torch_value() for n, row in mine.items()}
    moves.theirs = _keras_ends(visit, mine, moves, {})
    _forgotten(visit, mine)
    if any(id(row.variable) in visit.sparse for row in mine.values()):
        moves.sparse = _keras_ends(visit, mine, moves, visit.sparse)
    return moves


def _made_up(torch_model) -> dict:
    """Gradients where no loss gives any."""
    import torch

    rng = np.random.default_rng(0)
    return {id(p): torch.from_numpy(rng.normal(size=tuple(p.shape))).to(p.dtype)
            for p in torch_model.parameters()}


def _keras_ends(visit: Visit, rows: dict[str, _Row], moves: _Moves, sparse: dict) -> dict:
    """Where a fresh optimizer of Keras's takes the parameters; ``sparse``: gradients as slices."""
    import tensorflow as tf

    fresh = type(visit.optimizers[1]).from_config(visit.optimizers[1].get_config())
    variables = [row.variable for row in rows.values()]
    fresh.build(variables)
    for name, row in rows.items():
        row.variable.assign(moves.start[name].astype(row.variable.dtype))
    for step in range(visit.steps):
        given = []
        for name, row in rows.items():
            slices = sparse.get(id(row.variable))
            given.append(tf.constant(moves.gradients[step][name]) if slices is None else tf.IndexedSlices(
                slices.values * _FACTORS[step % 3], slices.indices, slices.dense_shape))
        fresh.apply(given, variables)
    return {name: row.variable.numpy().astype(np.float64) for name, row in rows.items()}


def _forgotten(visit: Visit, rows: dict[str, _Row]) -> None:
    """Parameters that PyTorch's optimizer does not hold."""
    held = {id(p) for group in visit.optimizers[0].param_groups for p in group["params"]}
    missing = [row.name for row in rows.values() if not all(id(p) in held for p in row.parameters())]
    if missing:
        visit.report.findings.append(Finding(
            "update", ", ".join(dict.fromkeys(missing)), "PyTorch's optimizer does not hold these"
            " parameters", None, "Build it from model.parameters()."))


def _compare(visit: Visit, moves: _Moves, gap: float) -> None:
    a, b = (read(o) for read, o in zip(
        (update_rules.torch_settings, update_rules.keras_settings), visit.optimizers, strict=True))
    ours, theirs = (type(o).__name__ for o in visit.optimizers)
    where = f"torch.optim.{ours} and Keras's {theirs}"
    known = a["kind"] in update_rules.KINDS and b["kind"] in update_rules.KINDS
    if known and a["kind"] == b["kind"]:
        _try_settings(visit, where, a, b, moves, gap)
    elif gap > visit.tolerance:
        what = ("the rules differ" if a["kind"] != b["kind"]
                else "the updates part; the doctor does not know this rule")
        visit.report.findings.append(Finding("update", where, what, None, "Use the same rule in both.", gap))


def _try_settings(visit: Visit, where: str, a: dict, b: dict, moves: _Moves, gap: float) -> None:
    """Try each setting that differs alone; all of them together must land where Keras does."""
    def ends(chosen):
        run = update_rules.run(chosen, list(moves.start.values()), [list(g.values()) for g in moves.gradients])
        return dict(zip(moves.start, run, strict=True))

    base = ends(a)
    proven = moves.apart(ends(b), moves.theirs)
    effects = {k: moves.apart(base, ends(a | {k: b[k]})) for k in _differing(a, b)}
    penalized = any(f.row == "l2-regularizer" for f in visit.report.findings)
    for name in sorted(effects, key=effects.get, reverse=True):
        if effects[name] < 1e-12 or penalized and name in ("decay", "decoupled"):
            continue
        row = update_rules.row_of(name, b if name == "decay" else a)
        finding = Finding("update", where, update_rules.say(name, a, b), row,
                          "" if row else "Set both alike.", effects[name], proven)
        threshold = max(visit.tolerance, {"constants": 1e-5, "epsilon_at": 1e-6}.get(name, 0.0))
        (visit.report.findings if effects[name] > threshold else visit.report.notes).append(finding)
    if gap > visit.tolerance and not any(e > visit.tolerance for e in effects.values()):
        visit.report.findings.append(Finding(
            "update", where, "the updates part, though all settings that the doctor knows are alike", None,
            "Compare what happens to the gradients before the update.", gap))


def _differing(a: dict, b: dict) -> list[str]:
    """Settings that are not alike, as float32 would keep them."""
    found = [k for k in a if k in b and a[k] != b[k] and not (
        isinstance(a[k], float) and np.isclose(a[k], b[k], rtol=1e-6, atol=0))]
    return found if a["decay"] or b["decay"] else [k for k in found if k != "decoupled"]
