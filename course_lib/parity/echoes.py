"""Differences that were said already, and reach a later place on a way past what was put right."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from course_lib.parity.capture import Call
from course_lib.parity.matching import distance


@dataclass
class Echoes:
    """What has been handed on past the layers that were put right: a shortcut carries it further."""

    gaps: list[np.ndarray] = field(default_factory=list)       # Keras's numbers minus PyTorch's
    outputs: list[np.ndarray] = field(default_factory=list)    # of layers that stand elsewhere in Keras

    def add(self, ours: np.ndarray | None, theirs: np.ndarray) -> None:
        """Two inputs of a layer that differ; ``ours`` in Keras's layout."""
        if ours is not None and ours.shape == theirs.shape and theirs.dtype.kind == "f":
            self.gaps.append(theirs.astype(np.float64) - ours)

    def moved(self, call: Call) -> None:
        """A layer that stands elsewhere in Keras is left as it is."""
        self.outputs.append(call.outputs[0])

    def explain(self, ours: np.ndarray | None, theirs: np.ndarray, tolerance: float) -> bool:
        """Whether nothing but an earlier difference parts two arrays."""
        if any(distance(output, theirs) <= tolerance for output in self.outputs):
            return True
        if ours is None or ours.shape != theirs.shape:
            return False
        gaps = self.gaps + [g.mean(axis=tuple(range(1, g.ndim - 1))) for g in self.gaps if g.ndim > 2 == ours.ndim]
        return any(g.shape == ours.shape and distance(ours + g, theirs) <= tolerance for g in gaps)
