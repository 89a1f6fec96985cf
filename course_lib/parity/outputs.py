"""The stages "outputs" and "training outputs": each layer on the same numbers, one after the other."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from course_lib.parity import capture
from course_lib.parity.between import between_cause
from course_lib.parity.capture import Call
from course_lib.parity.echoes import Echoes
from course_lib.parity.findings import Cause, Finding, of_cause
from course_lib.parity.held import held, turned
from course_lib.parity.layer_causes import activated, layer_finding
from course_lib.parity.matching import align, closest
from course_lib.parity.norms import NORMS, moved_norm
from course_lib.parity.padded import hand_padding_cause, unpadded
from course_lib.parity.settings import ACTIVATIONS, RECURRENT
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
    doubt: tuple[Cause, str] | None = None       # of an activation that may have been matched wrongly
    echoes: Echoes = field(default_factory=Echoes)

    def __post_init__(self) -> None:
        self.partner = {theirs.key: ours for ours, theirs in self.pairs}
        self.position = {ours.key: n for n, ours in enumerate(self.ours)}
        self.known = {f.where for f in self.visit.report.findings if _is_said(f)}

    def heal(self, call: Call) -> np.ndarray | None:
        """Look at one call of Keras's; PyTorch's numbers for it, if they are others."""
        mine = self.partner.get(call.key)
        if mine is None:
            return None
        mine, call = turned(mine, call, self.visit.tolerance), unpadded(mine, call)
        forms = held(mine, call)
        gap, fitting = closest(activated(mine, call, forms), call.outputs[0])
        self._close(mine, call)
        if gap > self.visit.tolerance and mine.kind in ACTIVATIONS and self._doubted(mine, call):
            return None
        if np.isfinite(gap):
            self.visit.report.saw(self.stage, gap)
        if gap > self.visit.tolerance and mine.kind in RECURRENT:     # of several states not the nearest
            fitting = next((a for a in forms if a.shape == call.outputs[0].shape), fitting)
        healed = fitting is not None and fitting.shape == call.outputs[0].shape
        if gap > self.visit.tolerance:
            count = len(self.visit.report.findings)
            if self._judge(mine, call, gap):
                return None
            if not healed and len(self.visit.report.findings) > count:
                self.open_ended.append(self.visit.report.findings[-1])
        self.before, self.last, self.doubt = forms, f"{mine.name} and {call.name}", None
        return fitting.astype(call.outputs[0].dtype) if healed and gap > self.visit.tolerance else None

    def _close(self, mine: Call, call: Call) -> None:
        """An output of another shape could not be put right: perhaps what follows did that."""
        if self.open_ended:
            given, _ = closest(mine.inputs[:1], call.inputs[0])
            finding = self.open_ended.pop()
            if given <= self.visit.tolerance:
                self.visit.report.findings.remove(finding)

    def _doubted(self, mine: Call, call: Call) -> bool:
        """An activation on other numbers may have been matched wrongly: what follows will say."""
        if closest(mine.inputs[:1], call.inputs[0])[0] <= self.visit.tolerance:
            return False
        cause = self._between(mine, mine.inputs[0], call.inputs[0])
        if cause and not self.doubt:
            self.doubt = cause, f"between {self.last} and {mine.name} and {call.name}"
        return True

    def _judge(self, mine: Call, call: Call, gap: float) -> bool:
        """Say why one pair of calls parts: what it was given, or what it does. Whether to leave it as it is."""
        where = f"{mine.name} and {call.name}"
        given, view = closest(mine.inputs[:1], call.inputs[0]) if mine.inputs and call.inputs else (0.0, None)
        if given <= self.visit.tolerance:
            if where not in self.known:
                self.known.add(where)
                self.visit.report.findings.append(
                    layer_finding(self.stage, where, mine, call, gap, self.visit.tolerance))
            return False
        if self.echoes.explain(view, call.inputs[0], self.visit.tolerance):
            return False
        moved = moved_norm(mine, call, self._before(mine), self.visit.tolerance)
        stays = moved is not None and mine.kind in NORMS
        if stays:
            self.echoes.moved(mine, call)
        cause = hand_padding_cause(mine, call, self.visit.tolerance)
        if cause is None:
            cause, where = self._on_the_way(mine, call, where, moved)
            self.echoes.add(view, call.inputs[0])
        if where not in self.known:
            self.known.add(where)
            self.visit.report.findings.append(of_cause(
                self.stage, where, cause,
                "the layers get different numbers: the models' own code before them differs",
                "Compare what each forward or call method does here.",
                given if np.isfinite(given) else gap))
        return stays

    def _on_the_way(self, mine: Call, call: Call, where: str, moved: Cause | None) -> tuple[Cause | None, str]:
        """(why a pair of calls gets other numbers, where)"""
        cause = moved or self._between(mine, mine.inputs[0], call.inputs[0])
        if cause is None and self.doubt:
            return self.doubt
        return cause, f"between {self.last} and {where}"

    def _before(self, mine: Call | None) -> list[Call]:
        """PyTorch's calls before one of them; all, where none is named."""
        return self.ours if mine is None else self.ours[:self.position[mine.key]]

    def _between(self, call: Call | None, mine: np.ndarray, theirs: np.ndarray) -> Cause | None:
        """Why the numbers part before a call of PyTorch's, or at the end."""
        earlier = {"the model's input" + (f" number {n}" if n else ""): x
                   for n, x in enumerate(self.visit.x)}
        for c in self._before(call):
            name = c.name + (f", call {c.turn + 1}" if c.turn else "")
            earlier |= {f"the input of {name}": c.inputs[0]} if c.inputs else {}
            earlier |= {f"the output of {name}": c.outputs[0]} if c.outputs else {}
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
        if self.echoes.explain(closest([mine], theirs)[1], theirs, self.visit.tolerance):
            return
        cause = self._between(None, mine, theirs)
        cause = cause or (self.doubt and self.doubt[0])
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
