"""The stages "outputs" and "training outputs": each layer on the same numbers, one after the other."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from course_lib.parity import capture
from course_lib.parity.between import between_cause
from course_lib.parity.capture import Call
from course_lib.parity.findings import Finding, of_cause
from course_lib.parity.layer_causes import activated, layer_finding, padding_cause
from course_lib.parity.matching import align, closest, distance
from course_lib.parity.settings import RECURRENT
from course_lib.parity.state import state
from course_lib.parity.visit import Visit, run_both


def outputs(visit: Visit, stage: str, training: bool) -> None:
    """Compare layer by layer; a layer that differs is put right before the next is looked at.

    What the layers keep (running statistics) is compared after a run in training mode.
    """
    buffers, variables = _kept(visit)
    _, ours, _, theirs = run_both(visit, training)
    pairs = align(ours, theirs)
    _put_back(buffers, variables)
    walk = _Walk(visit, stage, ours, pairs)
    out, _, their_out, _ = run_both(visit, training, walk.heal)
    if training:
        state(visit, pairs)
    _put_back(buffers, variables)
    walk.ends(capture.arrays(out), capture.arrays(their_out))
    if training:
        visit.predictions = {"torch": out, "keras": their_out}


def _kept(visit: Visit) -> tuple[list, list]:
    """(PyTorch's buffers, Keras's variables) with their values."""
    buffers = [(m, n, b.clone()) for m in visit.torch_model.modules()
               for n, b in m.named_buffers(recurse=False)]
    return buffers, [(v, v.numpy()) for v in visit.keras_model.variables]


def _put_back(buffers, variables) -> None:
    import torch

    with torch.no_grad():
        for module, name, value in buffers:
            getattr(module, name).copy_(value)
    for variable, value in variables:
        variable.assign(value)


@dataclass
class _Walk:
    """How far a run of both models has been looked at, and what the last layer returned."""

    visit: Visit
    stage: str
    ours: list[Call]
    pairs: list[tuple[Call, Call]]
    before: list[np.ndarray] = field(default_factory=list)
    last: str = "the input"
    open_ended: list[Finding] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.partner = {theirs.key: ours for ours, theirs in self.pairs}
        self.position = {ours.key: n for n, ours in enumerate(self.ours)}
        self.known = {f.where for f in self.visit.report.findings if _is_said(f)}

    def heal(self, call: Call) -> np.ndarray | None:
        """Look at one call of Keras's; PyTorch's numbers for it, if they are others."""
        mine = self.partner.get(call.key)
        if mine is None:
            return None
        mine = _turned(mine, call, self.visit.tolerance)
        held = _held(mine, call)
        gap, fitting = closest(activated(mine, call, held), call.outputs[0])
        self._close(mine, call)
        if np.isfinite(gap):
            self.visit.report.saw(self.stage, gap)
        if gap > self.visit.tolerance and mine.kind in RECURRENT:     # of several states not the nearest
            fitting = next((a for a in held if a.shape == call.outputs[0].shape), fitting)
        healed = fitting is not None and fitting.shape == call.outputs[0].shape
        if gap > self.visit.tolerance:
            count = len(self.visit.report.findings)
            self._judge(mine, call, gap)
            if not healed and len(self.visit.report.findings) > count:
                self.open_ended.append(self.visit.report.findings[-1])
        self.before, self.last = held, f"{mine.name} and {call.name}"
        return fitting.astype(call.outputs[0].dtype) if healed and gap > self.visit.tolerance else None

    def _close(self, mine: Call, call: Call) -> None:
        """An output of another shape could not be put right: perhaps what follows did that."""
        if self.open_ended:
            given, _ = closest(mine.inputs[:1], call.inputs[0])
            finding = self.open_ended.pop()
            if given <= self.visit.tolerance:
                self.visit.report.findings.remove(finding)

    def _judge(self, mine: Call, call: Call, gap: float) -> None:
        """Say why one pair of calls parts: what it was given, or what it does."""
        where = f"{mine.name} and {call.name}"
        given, _ = closest(mine.inputs[:1], call.inputs[0]) if mine.inputs and call.inputs else (0.0, None)
        if given <= self.visit.tolerance:
            if where not in self.known:
                self.known.add(where)
                self.visit.report.findings.append(
                    layer_finding(self.stage, where, mine, call, gap, self.visit.tolerance))
            return
        cause = padding_cause(mine, call)
        if cause is None:
            cause, where = self._between(mine.inputs[0], call.inputs[0]), f"between {self.last} and {where}"
        if where not in self.known:
            self.known.add(where)
            self.visit.report.findings.append(of_cause(
                self.stage, where, cause,
                "the layers get different numbers: the models' own code before them differs",
                "Compare what each forward or call method does here.",
                given if np.isfinite(given) else gap))

    def _between(self, mine: np.ndarray, theirs: np.ndarray):
        """Why the numbers part between two layers."""
        earlier = {"the model's input" + (f" number {n}" if n else ""): x
                   for n, x in enumerate(self.visit.x)}
        earlier |= {f"the output of {c.name}": c.outputs[0] for c in self.ours if c.outputs}
        earlier |= {f"the input of {c.name}": c.inputs[0] for c in self.ours if c.inputs}
        earlier |= {f"the output of {self.last.split(' and ')[0]} in form {n}": a
                    for n, a in enumerate(self.before)}
        return between_cause(mine, theirs, self.before, earlier, self.visit.tolerance)

    def ends(self, mine: list[np.ndarray], theirs: list[np.ndarray]) -> None:
        """Compare what the models return, after their last layer."""
        report, tolerance = self.visit.report, self.visit.tolerance
        if self.open_ended:
            if any(closest(mine, array)[0] > tolerance for array in theirs):
                return
            report.findings.remove(self.open_ended[0])
        for n, array in enumerate(theirs):
            gap, _ = closest(mine[n:n + 1] or mine, array)
            if gap <= tolerance:
                report.saw(self.stage, gap)
            elif "what the models return" in self.known:
                return
            else:
                self.known.add("what the models return")
                self._end(mine[n] if n < len(mine) else mine[0], array, gap)

    def _end(self, mine: np.ndarray, theirs: np.ndarray, gap: float) -> None:
        cause = self._between(mine, theirs)
        found = of_cause(self.stage, "what the models return", cause,
                         "the models' own code after their last layers differs",
                         "Compare the ends of forward and call.", gap)
        if cause and cause.row == "logits-or-probabilities" and self.visit.losses:
            self.visit.report.notes.append(found)     # right or wrong: the losses will say
        else:
            self.visit.report.saw(self.stage, gap)
            self.visit.report.findings.append(found)


def _is_said(finding: Finding) -> bool:
    """Whether a finding explains outputs that differ: not so weights that have been lent since."""
    lent = finding.stage == "weights" and np.isfinite(finding.before)
    return finding.stage != "layers" and not lent


def _turned(mine: Call, call: Call, tolerance: float) -> Call:
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


def _held(mine: Call, call: Call) -> list[np.ndarray]:
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
