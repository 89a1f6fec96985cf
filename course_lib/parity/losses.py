"""Whether the losses of two runs or more are the same, step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class LossReport:
    """How far apart runs are: the largest difference, where, and the first above the tolerance."""

    steps: int
    tolerance: float
    differences: np.ndarray  # (steps,) largest minus smallest loss of each step
    first_over: int | None   # step, counted from 0

    @property
    def largest(self) -> float:
        """The largest difference over all steps; infinite where a loss is not finite."""
        return float(self.differences.max())

    @property
    def agree(self) -> bool:
        """Whether every step is within the tolerance."""
        return self.first_over is None

    def __str__(self) -> str:
        size = f"largest difference over {self.steps} steps {self.largest:.1e}"
        if self.agree:
            return f"{size}, within {self.tolerance:.0e}"
        return f"{size}; step {self.first_over} is the first beyond {self.tolerance:.0e}"


def compare_losses(runs: Mapping[str, Sequence[float]], tolerance: float) -> LossReport:
    """Compare the losses of two runs or more, step by step.

    A loss that is not finite agrees with nothing: it counts as an infinite difference.

    Raises
    ------
    ValueError
        If there are fewer than two runs, no steps, or runs of different lengths.
    """
    lengths = {name: len(losses) for name, losses in runs.items()}
    if len(runs) < 2 or len(set(lengths.values())) != 1 or 0 in lengths.values():
        raise ValueError(f"give two or more runs of the same number of steps, not {lengths}")
    losses = np.array([list(run) for run in runs.values()], dtype=np.float64)  # (runs, steps)
    finite = np.isfinite(losses).all(axis=0)
    differences = np.full(losses.shape[1], np.inf)
    differences[finite] = np.ptp(losses[:, finite], axis=0)
    over = np.flatnonzero(differences > tolerance)
    return LossReport(
        steps=losses.shape[1],
        tolerance=tolerance,
        differences=differences,
        first_over=int(over[0]) if len(over) else None,
    )
