"""The stage "state": what layers keep after one batch in training mode."""

from __future__ import annotations

import numpy as np

from course_lib.parity import settings
from course_lib.parity.capture import Call
from course_lib.parity.findings import Finding
from course_lib.parity.matching import distance
from course_lib.parity.visit import Visit


def state(visit: Visit, pairs: list[tuple[Call, Call]]) -> None:
    """Compare settings that show in what layers keep, and the running statistics themselves."""
    done, apart = set(), []
    for ours, theirs in pairs:
        where = f"{ours.name} and {theirs.name}"
        for setting in settings.differing(ours.kind, ours.layer, theirs.kind, theirs.layer):
            if setting.of_state and (where, setting.name) not in done:
                done.add((where, setting.name))
                _of_state(visit, where, setting, ours, theirs)
        if ours.kind.startswith("BatchNorm") and id(ours.layer) not in done:
            done.add(id(ours.layer))
            apart += _variances_apart(visit, ours, theirs)
    if apart:
        names = ", ".join(name for _, name in apart)
        visit.report.notes.append(Finding(
            "state", names, "after one batch the running variances part, the means do not: PyTorch's"
            " is divided by m - 1, Keras's by m", "batch-norm-variance", before=max(apart)[0]))


def _variances_apart(visit: Visit, ours: Call, theirs: Call) -> list[tuple[float, str]]:
    """[(how far the running variances are apart, name)], where the means are not and nothing explains it."""
    mean, variance = (v.numpy() for v in (theirs.layer.moving_mean, theirs.layer.moving_variance))
    gap = distance(ours.layer.running_mean.numpy(), mean)
    spread = distance(ours.layer.running_var.numpy(), variance)
    visit.report.saw("state", max(gap, spread))
    aligned = not any(f.row == "batch-norm-momentum" for f in visit.report.findings)
    found = spread > visit.tolerance and gap <= visit.tolerance and aligned
    return [(spread, ours.name)] if found else []


def _of_state(visit: Visit, where: str, setting: settings.Setting, ours: Call, theirs: Call) -> None:
    """A row of an embedding without gradient is kept for the stage of gradients: Keras's may be 0, too."""
    if setting.row != "embedding-padding":
        visit.report.findings.append(Finding("state", where, str(setting), setting.row))
        return
    ids = [x.ravel() for x in visit.x if x.dtype.kind in "iu"]
    if np.any(np.concatenate(ids or [[]]) == setting.torch):
        visit.unfed.append((where, ours, theirs, setting.torch))
