"""Gradient descent as its formula says it, and what it does on a quadratic loss."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def gradient_descent(
    gradient: Callable[[np.ndarray], np.ndarray],
    start: np.ndarray,
    learning_rate: float,
    steps: int,
) -> np.ndarray:
    """Follow the negative gradient and return the whole path.

    Each step is theta <- theta - learning_rate * gradient(theta) (Cauchy 1847; Goodfellow et
    al. 2016, equation 4.5). A path that diverges is returned as it is.

    Parameters
    ----------
    gradient
        Function of theta that returns an array of theta's shape.
    start
        First theta, any shape.
    learning_rate
        Length of a step in units of the gradient, above 0.
    steps
        How many updates to make, 0 or more.

    Returns
    -------
    np.ndarray
        ``(steps + 1, *theta.shape)`` float64; row 0 is the start.

    Raises
    ------
    ValueError
        If the learning rate is not a positive number, or the gradient has another shape.
    """
    if not 0 < learning_rate < np.inf:
        raise ValueError(f"learning_rate is {learning_rate}; give one above 0")
    theta = np.array(start, dtype=np.float64)        # 1. start
    path = [theta]
    for _ in range(steps):                           # 5. repeat
        slope = np.asarray(gradient(theta))          # 2. and 3.
        if slope.shape != theta.shape:
            shapes = f"{slope.shape}, theta {theta.shape}"
            raise ValueError(f"gradient {shapes}; make the shapes equal")
        theta = theta - learning_rate * slope        # 4. update
        path.append(theta)
    return np.stack(path)


def error_factors(learning_rate: float, curvatures: np.ndarray) -> np.ndarray:
    """By what one step multiplies the error along each eigenvector: 1 - learning_rate * lambda.

    ``curvatures`` are eigenvalues of the Hessian, any shape; exact for a quadratic loss
    (Nocedal and Wright 2006, section 3.3; Goh 2017).
    """
    return 1 - learning_rate * np.asarray(curvatures, dtype=np.float64)


def largest_stable_rate(curvatures: np.ndarray) -> float:
    """The limit 2 / lambda_max: below it every error factor is shorter than 1.

    ``curvatures`` are eigenvalues of the Hessian, at least one of them above 0.
    """
    top = np.max(curvatures)
    if not top > 0:
        raise ValueError(f"the largest curvature is {top}; without one above 0 there is no limit")
    return float(2 / top)


def best_rate(curvatures: np.ndarray) -> float:
    """The fixed rate 2 / (lambda_min + lambda_max) that makes the longest error factor shortest.

    ``curvatures`` must all be above 0: along a flat direction no rate makes progress.
    """
    low, high = np.min(curvatures), np.max(curvatures)
    if not low > 0:
        raise ValueError(f"the smallest curvature is {low}; all must be above 0 for a best rate")
    return float(2 / (low + high))
