"""Batch normalisation, forward and backward, in float64 (Ioffe and Szegedy 2015)."""

from __future__ import annotations

import numpy as np


def batch_norm(
    x: np.ndarray, scale: np.ndarray, shift: np.ndarray,
    epsilon: float = 1e-5,
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Normalise each channel over all else; also what backward needs.

    ``x`` (..., channels); ``scale`` and ``shift`` (channels,). Mean and variance are taken over
    every axis but the last: the images of the batch and their pixels. The variance is the biased
    one, divided by the count. Raises ``ValueError`` where a channel has one value only, or where
    the shapes do not fit.
    """
    _fits(x, scale, shift)
    axes = tuple(range(x.ndim - 1))
    centred = x - x.mean(axis=axes)
    std = np.sqrt(np.mean(centred**2, axis=axes) + epsilon)
    x_hat = centred / std                           # (..., channels)
    return scale * x_hat + shift, (x_hat, std)


def batch_norm_backward(
    gradient: np.ndarray, scale: np.ndarray,
    kept: tuple[np.ndarray, np.ndarray],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients in x, scale and shift, from the gradient in the output.

    ``gradient`` (..., channels); ``kept`` is what ``batch_norm`` returned beside its output.
    """
    x_hat, std = kept
    axes = tuple(range(gradient.ndim - 1))
    to_scale = (gradient * x_hat).sum(axis=axes)    # (channels,)
    to_shift = gradient.sum(axis=axes)              # (channels,)
    count = gradient.size / len(std)
    inner = gradient - to_shift / count - x_hat * to_scale / count
    return scale / std * inner, to_scale, to_shift


def running_average(
    old: np.ndarray, batch: np.ndarray, new_weight: float
) -> np.ndarray:
    """The running statistic after one more batch, (channels,)."""
    return (1 - new_weight) * old + new_weight * batch


def _fits(x: np.ndarray, scale: np.ndarray, shift: np.ndarray) -> None:
    """Raise ``ValueError`` where batch normalisation makes no sense."""
    shapes = np.shape(x), np.shape(scale), np.shape(shift)
    if np.ndim(x) < 2 or not (shapes[0][-1:] == shapes[1] == shapes[2]):
        raise ValueError(
            f"x {shapes[0]}, scale {shapes[1]}, shift {shapes[2]}: the last axis of x holds the"
            " channels, and scale and shift have one number for each"
        )
    if np.size(x) == shapes[0][-1]:
        raise ValueError(
            f"x {shapes[0]} holds one value a channel: its variance is 0; give a larger batch"
        )
