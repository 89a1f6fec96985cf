"""Adam from its formulas (Kingma and Ba 2015, Algorithm 1), with weight decay of either kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from course_lib.scratch.arguments import adam_settings, rates_of, slope_of

# Settings that float32 holds exactly, as Keras keeps them, where frameworks must agree exactly.
DYADIC = {"beta_1": 0.875, "beta_2": 1 - 2.0**-9, "epsilon": 2.0**-20}


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
    adam_settings(beta_1, beta_2, epsilon, weight_decay)
    rates = rates_of(learning_rate, steps)
    theta = np.array(start, dtype=np.float64)
    mean, square, path = np.zeros_like(theta), np.zeros_like(theta), [theta]
    for t, rate in enumerate(rates, start=1):
        slope = slope_of(gradient, theta)
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
