"""Learning-rate schedules: the factor of the peak rate in each step, counted from 0."""

from __future__ import annotations

import numpy as np

from course_lib.scratch.arguments import require, whole_steps


def constant(step: int | np.ndarray) -> np.ndarray:
    """1 in every step."""
    return np.ones(np.shape(whole_steps(step)))


def warm_up(step: int | np.ndarray, length: int) -> np.ndarray:
    """Rises in a straight line to 1: (step + 1) / length, then 1.

    The first step, number 0, already moves, and step ``length`` - 1 is the first at 1 (Goyal et al.
    2017). A ``length`` of 0 is no warm-up.
    """
    step = whole_steps(step)
    require(length >= 0, f"length is {length}; give 0 steps of warm-up or more")
    return np.minimum(1.0, (step + 1) / max(length, 1))


def cosine(
    step: int | np.ndarray, total: int, floor: float = 0.0
) -> np.ndarray:
    """Half a wave from 1 down to ``floor``, then level.

    floor + (1 - floor) (1 + cos(pi step / total)) / 2 (Loshchilov and Hutter 2017, equation 5,
    without restarts). Step ``total`` is the first at ``floor``, so the last of ``total`` steps
    still moves.
    """
    step = whole_steps(step)
    require(total >= 1, f"total is {total}; give 1 step or more")
    require(0 <= floor <= 1, f"floor is {floor}; give one in 0..1")
    wave = (1 + np.cos(np.pi * np.minimum(step / total, 1.0))) / 2
    return floor + (1 - floor) * wave


def exponential(
    step: int | np.ndarray, every: int, factor: float,
    staircase: bool = False,
) -> np.ndarray:
    """Falls by ``factor`` in ``every`` steps, evenly or in stairs."""
    step = whole_steps(step)
    require(every >= 1, f"every is {every}; give 1 step or more")
    require(0 < factor <= 1, f"factor is {factor}; give one in 0 < factor <= 1")
    falls = step // every if staircase else step / every
    return factor**falls


def warm_up_cosine(
    step: int | np.ndarray, length: int, total: int, floor: float = 0.0
) -> np.ndarray:
    """Warm-up over ``length`` steps, then the cosine to step ``total``.

    ``total`` counts all steps, those of the warm-up too, and must be larger than ``length``.
    """
    step = whole_steps(step)
    require(0 <= length < total,
            f"{length} of {total} steps are warm-up; leave some for the cosine")
    after = cosine(np.maximum(step - length, 0), total - length, floor)
    return np.where(step < length, warm_up(step, length), after)
