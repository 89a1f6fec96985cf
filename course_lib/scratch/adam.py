"""Adam from its formulas (Kingma and Ba 2015, Algorithm 1), with weight decay of either kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np


def moments(
    slope: np.ndarray,
    mean: np.ndarray,
    square: np.ndarray,
    beta_1: float,
    beta_2: float,
) -> tuple[np.ndarray, np.ndarray]:
    """The running means of the gradient, m, and of its square, v, with one gradient more.

    All arrays have one shape; both means start from 0. Lines 7 and 8 of Algorithm 1.
    """
    mean = beta_1 * mean + (1 - beta_1) * slope            # m
    square = beta_2 * square + (1 - beta_2) * slope**2     # v
    return mean, square


def direction(
    mean: np.ndarray,
    square: np.ndarray,
    t: int,
    beta_1: float,
    beta_2: float,
    epsilon: float,
    corrected: bool = True,
    keras_epsilon: bool = False,
) -> np.ndarray:
    """By what theta moves down at rate 1, in step ``t``, counted from 1.

    m_hat / (sqrt(v_hat) + epsilon), lines 9 to 11 of Algorithm 1; the unit of the gradient cancels.

    Parameters
    ----------
    corrected
        False leaves both bias corrections out.
    keras_epsilon
        Add epsilon to the root of v before the correction, as Keras does; the paper calls it
        epsilon hat, at the end of its section 2.
    """
    fix_1, fix_2 = 1 - beta_1**t, 1 - beta_2**t
    if not corrected:
        fix_1 = fix_2 = 1.0
    if keras_epsilon:
        epsilon = epsilon / np.sqrt(fix_2)
    return mean / fix_1 / (np.sqrt(square / fix_2) + epsilon)


def adam(
    gradient: Callable[[np.ndarray], np.ndarray],
    start: np.ndarray,
    learning_rate: float | Sequence[float] | Callable[[int], float],
    beta_1: float,
    beta_2: float,
    epsilon: float,
    steps: int,
    weight_decay: float = 0.0,
    decoupled: bool = True,
    corrected: bool = True,
    keras_epsilon: bool = False,
) -> np.ndarray:
    """Adam, and with ``weight_decay`` AdamW; the whole path.

    Each step is theta <- theta - learning_rate * (direction + weight_decay * theta), with the
    direction from ``moments`` and ``direction`` (Kingma and Ba 2015; the decay as in Loshchilov and
    Hutter 2019).

    Parameters
    ----------
    gradient
        Function of theta that returns an array of theta's shape; called once a step.
    start
        First theta, any shape.
    learning_rate
        In the unit of theta: a number above 0; or one number a step, none below 0; or a function of
        the number of steps taken so far (0, 1, ...), as the schedules of both frameworks are.
    beta_1, beta_2
        What remains of the two running means in a step, at least 0 and below 1.
    epsilon
        Above 0, in the gradient's unit; keeps the division finite where all gradients were 0.
    steps
        How many updates to make, 0 or more.
    weight_decay
        0 or more.
    decoupled
        False adds weight_decay * theta to the gradient (L2) instead, so that the moments see it.
    corrected, keras_epsilon
        As for ``direction``.

    Returns
    -------
    np.ndarray
        ``(steps + 1, *theta.shape)`` float64; row 0 is the start.

    Raises
    ------
    ValueError
        If a setting lies outside its range, there are fewer rates than steps, or the gradient has
        another shape than theta.
    """
    _check_settings(beta_1, beta_2, epsilon, weight_decay)
    rates = _rates(learning_rate, steps)
    theta = np.array(start, dtype=np.float64)
    mean, square, path = np.zeros_like(theta), np.zeros_like(theta), [theta]
    for t, rate in enumerate(rates, start=1):
        slope = _slope(gradient, theta)
        if not decoupled:
            slope = slope + weight_decay * theta
        mean, square = moments(slope, mean, square, beta_1, beta_2)
        move = direction(mean, square, t, beta_1, beta_2, epsilon,
                         corrected, keras_epsilon)
        if decoupled:
            move = move + weight_decay * theta
        theta = theta - rate * move
        path.append(theta)
    return np.stack(path)


def _check_settings(beta_1: float, beta_2: float, epsilon: float, weight_decay: float) -> None:
    for name, beta in (("beta_1", beta_1), ("beta_2", beta_2)):
        _require(0 <= beta < 1, f"{name} is {beta}; give one in 0 <= {name} < 1")
    _require(0 < epsilon < np.inf, f"epsilon is {epsilon}; give one above 0")
    _require(0 <= weight_decay < np.inf, f"weight_decay is {weight_decay}; give 0 or more")


def _rates(
    learning_rate: float | Sequence[float] | Callable[[int], float], steps: int
) -> list[float]:
    """The rate of each step."""
    if callable(learning_rate):
        rates = [float(learning_rate(step)) for step in range(steps)]
    elif np.ndim(learning_rate) == 0:
        _require(0 < learning_rate < np.inf,
                 f"learning_rate is {learning_rate}; give one above 0")
        return [float(learning_rate)] * steps
    else:
        rates = [float(rate) for rate in learning_rate][:steps]
        _require(len(rates) == steps,
                 f"learning_rate has {len(rates)} rates for {steps} steps; give one a step")
    for step, rate in enumerate(rates):
        _require(0 <= rate < np.inf, f"learning_rate is {rate} in step {step}; give 0 or more")
    return rates


def _require(fine: bool, words: str) -> None:
    if not fine:
        raise ValueError(words)


def _slope(gradient: Callable[[np.ndarray], np.ndarray], theta: np.ndarray) -> np.ndarray:
    slope = np.asarray(gradient(theta))
    shapes = f"{slope.shape}, theta {theta.shape}"
    _require(slope.shape == theta.shape, f"gradient {shapes}; make the shapes equal")
    return slope
