"""Gradient descent with momentum: the heavy ball as its formula says it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def heavy_ball(
    gradient: Callable[[np.ndarray], np.ndarray],
    start: np.ndarray,
    learning_rate: float,
    momentum: float,
    steps: int,
) -> np.ndarray:
    """Roll a heavy ball down the loss and return the whole path.

    Each step is velocity <- momentum * velocity + gradient(theta), theta <- theta -
    learning_rate * velocity, and the velocity starts at 0 (Polyak 1964). This is the convention
    of ``torch.optim.SGD``. Keras keeps ``-learning_rate * velocity`` instead: the same path as
    long as the learning rate stays the same. A momentum of 0 is gradient descent. A path that
    diverges is returned as it is.

    Parameters
    ----------
    gradient
        Function of theta that returns an array of theta's shape.
    start
        First theta, any shape.
    learning_rate
        Length of a step in units of the velocity, above 0.
    momentum
        Share of the velocity that a step keeps, from 0 to below 1.
    steps
        How many updates to make, 0 or more.

    Returns
    -------
    np.ndarray
        ``(steps + 1, *theta.shape)`` float64; row 0 is the start.

    Raises
    ------
    ValueError
        If the learning rate is not a positive number, the momentum is not in [0, 1), or the
        gradient has another shape.
    """
    if not 0 < learning_rate < np.inf:
        raise ValueError(f"learning_rate is {learning_rate}; give one above 0")
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum is {momentum}; give one from 0 to below 1")
    theta = np.array(start, dtype=np.float64)
    velocity, path = np.zeros_like(theta), [theta]
    for _ in range(steps):
        slope = np.asarray(gradient(theta))
        if slope.shape != theta.shape:
            shapes = f"{slope.shape}, theta {theta.shape}"
            raise ValueError(f"gradient {shapes}; make the shapes equal")
        velocity = momentum * velocity + slope
        theta = theta - learning_rate * velocity
        path.append(theta)
    return np.stack(path)
