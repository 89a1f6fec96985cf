"""Checks of arguments that the functions of this folder share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np


def require(fine: bool, words: str) -> None:
    """Raise ``ValueError(words)`` unless ``fine``."""
    if not fine:
        raise ValueError(words)


def slope_of(gradient: Callable[[np.ndarray], np.ndarray], theta: np.ndarray) -> np.ndarray:
    """The gradient at theta as an array; ``ValueError`` where its shape is not theta's."""
    slope = np.asarray(gradient(theta))
    shapes = f"{slope.shape}, theta {theta.shape}"
    require(slope.shape == theta.shape, f"gradient {shapes}; make the shapes equal")
    return slope


def whole_steps(step: int | np.ndarray) -> np.ndarray:
    """The steps as an array; ``ValueError`` unless they are whole numbers, 0 or more."""
    step = np.asarray(step)
    require(step.dtype.kind in "iu" and bool(np.all(step >= 0)),
            f"steps are whole numbers, 0 or more; got {step}")
    return step


def rates_of(
    learning_rate: float | Sequence[float] | Callable[[int], float], steps: int
) -> list[float]:
    """The rate of each step, from one rate, one a step, or a function of the step.

    Raises ``ValueError`` where one is below 0 or there are fewer than ``steps``.
    """
    if callable(learning_rate):
        rates = [float(learning_rate(step)) for step in range(steps)]
    elif np.ndim(learning_rate) == 0:
        require(0 < learning_rate < np.inf,
                f"learning_rate is {learning_rate}; give one above 0")
        return [float(learning_rate)] * steps
    else:
        rates = [float(rate) for rate in learning_rate][:steps]
        require(len(rates) == steps,
                f"learning_rate has {len(rates)} rates for {steps} steps; give one a step")
    for step, rate in enumerate(rates):
        require(0 <= rate < np.inf, f"learning_rate is {rate} in step {step}; give 0 or more")
    return rates


def adam_settings(beta_1: float, beta_2: float, epsilon: float, weight_decay: float) -> None:
    """Raise ``ValueError`` where a setting of Adam lies outside its range."""
    for name, beta in (("beta_1", beta_1), ("beta_2", beta_2)):
        require(0 <= beta < 1, f"{name} is {beta}; give one in 0 <= {name} < 1")
    require(0 < epsilon < np.inf, f"epsilon is {epsilon}; give one above 0")
    require(0 <= weight_decay < np.inf, f"weight_decay is {weight_decay}; give 0 or more")


def positive(limit: float) -> float:
    """The limit; ``ValueError`` unless it is finite and above 0."""
    require(0 < limit < np.inf, f"limit is {limit}; give one above 0")
    return limit
