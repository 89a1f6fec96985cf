"""Differences that were said already, and reach a later place on a way past what was put right."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from course_lib.parity.capture import Call
from course_lib.parity.matching import distance, layouts


@dataclass
class Echoes:
    """What has been handed on past the layers that were put right: a shortcut carries it further."""

    gaps: list[np.ndarray] = field(default_factory=list)       # Keras's numbers minus PyTorch's
    elsewhere: list[tuple[Call, Call]] = field(default_factory=list)    # layers at another place in Keras

    def add(self, ours: np.ndarray | None, theirs: np.ndarray) -> None:
        """Two inputs of a layer that differ; ``ours`` in Keras's layout."""
        if ours is not None and ours.shape == theirs.shape and theirs.dtype.kind == "f":
            self.gaps.append(theirs.astype(np.float64) - ours)

    def moved(self, mine: Call, call: Call) -> None:
        """A layer that stands elsewhere in Keras is left as it is."""
        self.elsewhere.append((mine, call))

    def explain(self, ours: np.ndarray | None, theirs: np.ndarray, tolerance: float) -> bool:
        """Whether nothing but an earlier difference parts two arrays."""
        if any(_follows(mine, call, ours, theirs, tolerance) for mine, call in self.elsewhere):
            return True
        if ours is None or ours.shape != theirs.shape:
            return False
        return any(g.shape == ours.shape and distance(ours + g, theirs) <= tolerance
                   for gap in self.gaps for g in _and_mean(gap))


def _and_mean(array: np.ndarray) -> list[np.ndarray]:
    """An array in Keras's layout, and its mean over steps or pixels."""
    return [array] + [array.mean(axis=tuple(range(1, array.ndim - 1)))] * (array.ndim > 2)


def _follows(mine: Call, call: Call, ours: np.ndarray | None, theirs: np.ndarray, tolerance: float) -> bool:
    """Keras hands on what the layer returns at its place there, or does without it at its place in PyTorch."""
    if distance(call.outputs[0], theirs) <= tolerance:
        return True
    return ours is not None and any(
        distance(before, theirs) <= tolerance and distance(after, ours) <= tolerance
        for a, b in zip(layouts(mine.inputs[0]), layouts(mine.outputs[0]), strict=True)
        for before, after in zip(_and_mean(a), _and_mean(b), strict=True))
