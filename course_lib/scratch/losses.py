"""Softmax, cross-entropy and squared error with their gradients in the logits, in float64."""

from __future__ import annotations

import numpy as np


def log_sum_exp(logits: np.ndarray) -> np.ndarray:
    """log(sum(exp(z))) of each row: (batch, classes) -> (batch, 1).

    The largest logit is taken out first, so that exp cannot overflow (Blanchard et al. 2021).
    """
    top = logits.max(axis=1, keepdims=True)
    return top + np.log(np.exp(logits - top).sum(axis=1, keepdims=True))


def softmax(logits: np.ndarray) -> np.ndarray:
    """exp(z_i) / sum_j exp(z_j) of each row, (batch, classes).

    Positive, and each row sums to 1 (Bridle 1990).
    """
    return np.exp(logits - log_sum_exp(logits))


def cross_entropy(logits: np.ndarray, targets: np.ndarray) -> float:
    """-sum_i y_i log p_i with p = softmax(logits), averaged.

    ``targets`` (batch, classes): rows of probabilities, such as one-hot ones.
    """
    _same_shape(logits, targets)
    log_p = logits - log_sum_exp(logits)         # never log(softmax(…))
    return float(-np.sum(targets * log_p, axis=1).mean())


def cross_entropy_gradient(
    logits: np.ndarray, targets: np.ndarray
) -> np.ndarray:
    """The gradient of ``cross_entropy`` in the logits: (p - y) / batch.

    Where each row of ``targets`` sums to 1 (Goodfellow et al. 2016, section 6.2.2.3).
    """
    _same_shape(logits, targets)
    return (softmax(logits) - targets) / len(logits)


def softmax_squared(logits: np.ndarray, targets: np.ndarray) -> float:
    """Half the squared distance of softmax(logits) to targets, averaged.

    Both (batch, classes).
    """
    _same_shape(logits, targets)
    distance = np.sum((softmax(logits) - targets) ** 2, axis=1)
    return float(distance.mean() / 2)


def softmax_squared_gradient(
    logits: np.ndarray, targets: np.ndarray
) -> np.ndarray:
    """The gradient of it: p_i (e_i - sum_j p_j e_j) / batch, e = p - y."""
    _same_shape(logits, targets)
    p = softmax(logits)
    e = p - targets
    return p * (e - (p * e).sum(axis=1, keepdims=True)) / len(logits)


def _same_shape(logits: np.ndarray, targets: np.ndarray) -> None:
    """Raise ``ValueError`` where broadcasting would compare every row with every other's target."""
    if np.ndim(logits) != 2 or np.shape(logits) != np.shape(targets):
        raise ValueError(
            f"logits {np.shape(logits)} and targets {np.shape(targets)}: make both"
            " (batch, classes); one-hot targets are np.eye(classes)[labels]"
        )
