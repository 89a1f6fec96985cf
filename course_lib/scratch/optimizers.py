"""Descent with a memory or a scale for each parameter, and batches drawn from the data."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from course_lib.scratch.arguments import require, slope_of


def minibatches(
    count: int, size: int, epochs: int, seed: int = 0
) -> np.ndarray:
    """Rows of all batches, each epoch in a new order: (steps, size).

    Within an epoch no row comes twice. Rows left over at its end, fewer than ``size``, are left
    out of that epoch.

    Raises
    ------
    ValueError
        If ``size`` is not in 1..``count`` or ``epochs`` is below 1.
    """
    if not 1 <= size <= count or epochs < 1:
        raise ValueError(
            f"{epochs} epochs of batches of {size}:"
            f" give 1 epoch or more, 1 to {count}")
    random = np.random.default_rng(seed)
    full = count // size * size
    orders = [random.permutation(count)[:full] for _ in range(epochs)]
    return np.concatenate(orders).reshape(-1, size)


def nesterov(
    gradient: Callable[[np.ndarray], np.ndarray],
    start: np.ndarray,
    learning_rate: float,
    momentum: float,
    steps: int,
) -> np.ndarray:
    """Momentum that steps on from where it will be; the whole path.

    Each step is v <- momentum * v + g, theta <- theta - learning_rate * (g + momentum * v), with g
    the gradient at theta: the form of both frameworks. It is the method of Nesterov (1983) with a
    constant momentum, followed at its look-ahead points (Sutskever et al. 2013).

    Parameters
    ----------
    gradient
        Function of theta that returns an array of theta's shape; called once a step.
    start
        First theta, any shape.
    learning_rate
        Above 0.
    momentum
        What remains of the velocity in a step, at least 0 and below 1.
    steps
        How many updates to make, 0 or more.

    Returns
    -------
    np.ndarray
        ``(steps + 1, *theta.shape)`` float64; row 0 is the start.

    Raises
    ------
    ValueError
        If the learning rate or the momentum lies outside its range, or the gradient has another
        shape than theta.
    """
    require(0 < learning_rate < np.inf,
            f"learning_rate is {learning_rate}; give one above 0")
    require(0 <= momentum < 1,
            f"momentum is {momentum}; give one in 0 <= momentum < 1")
    theta = np.array(start, dtype=np.float64)
    velocity, path = np.zeros_like(theta), [theta]
    for _ in range(steps):
        slope = slope_of(gradient, theta)
        velocity = momentum * velocity + slope
        theta = theta - learning_rate * (slope + momentum * velocity)
        path.append(theta)
    return np.stack(path)


def rmsprop(
    gradient: Callable[[np.ndarray], np.ndarray],
    start: np.ndarray,
    learning_rate: float,
    decay: float,
    epsilon: float,
    steps: int,
) -> np.ndarray:
    """Divide gradients by their recent root mean square; the path.

    Each step is s <- decay * s + (1 - decay) * g^2, theta <- theta - learning_rate * g / (sqrt(s) +
    epsilon), elementwise, s from 0 (Tieleman and Hinton 2012; epsilon outside the root, as in
    PyTorch).

    Parameters
    ----------
    gradient, start, steps
        As for ``nesterov``.
    learning_rate
        Above 0, in the unit of theta: the gradient's own unit cancels.
    decay
        What remains of the running mean in a step, at least 0 and below 1.
    epsilon
        Above 0, in the gradient's unit; keeps the division finite where all gradients were 0.

    Returns
    -------
    np.ndarray
        ``(steps + 1, *theta.shape)`` float64; row 0 is the start.

    Raises
    ------
    ValueError
        If a setting lies outside its range, or the gradient has another shape than theta.
    """
    require(0 < learning_rate < np.inf,
            f"learning_rate is {learning_rate}; give one above 0")
    require(0 <= decay < 1,
            f"decay is {decay}; give one in 0 <= decay < 1")
    require(0 < epsilon < np.inf,
            f"epsilon is {epsilon}; give one above 0")
    theta = np.array(start, dtype=np.float64)
    square, path = np.zeros_like(theta), [theta]
    for _ in range(steps):
        slope = slope_of(gradient, theta)
        square = decay * square + (1 - decay) * slope**2
        theta = theta - learning_rate * slope / (np.sqrt(square) + epsilon)
        path.append(theta)
    return np.stack(path)


def momentum_factors(
    learning_rate: float, momentum: float, curvatures: np.ndarray, nesterov: bool = False
) -> np.ndarray:
    """By what a step multiplies the error along each eigenvector, in the long run.

    The largest absolute root r of r^2 - (1 + b - x) r + b = 0 with x = learning_rate * curvature,
    b = momentum (Polyak 1964; Goh 2017); for Nesterov's form, of
    r^2 - (1 + b)(1 - x) r + b (1 - x) = 0. Exact for a quadratic loss. ``curvatures`` have any
    shape.
    """
    x = learning_rate * np.asarray(curvatures, dtype=np.float64)
    trace = (1 + momentum) * (1 - x) if nesterov else 1 + momentum - x
    product = momentum * (1 - x) if nesterov else momentum + 0 * x
    root = np.sqrt((trace**2 / 4 - product).astype(complex))
    return np.maximum(np.abs(trace / 2 + root), np.abs(trace / 2 - root))


def best_heavy_ball(curvatures: np.ndarray) -> tuple[float, float]:
    """The learning rate and momentum that make the heavy ball's longest error factor shortest.

    (2 / (sqrt(lambda_max) + sqrt(lambda_min)))^2 and ((sqrt(k) - 1) / (sqrt(k) + 1))^2 with
    k = lambda_max / lambda_min (Polyak 1964). ``curvatures`` must all be above 0.
    """
    low, high = np.sqrt(np.min(curvatures)), np.sqrt(np.max(curvatures))
    require(low > 0, f"the smallest curvature is {np.min(curvatures)}; all must be above 0")
    return float((2 / (high + low)) ** 2), float(((high - low) / (high + low)) ** 2)


def pack(params: dict) -> np.ndarray:
    """All arrays of a dict, one after another, as one vector; ``unpack`` undoes it."""
    return np.concatenate([array.ravel() for array in params.values()])


def unpack(vector: np.ndarray, like: dict) -> dict:
    """A vector as a dict of arrays with the names, order and shapes of ``like``."""
    total = sum(array.size for array in like.values())
    require(vector.shape == (total,), f"the vector has shape {vector.shape}, not ({total},)")
    found, at = {}, 0
    for name, array in like.items():
        found[name] = vector[at : at + array.size].reshape(array.shape)
        at += array.size
    return found
