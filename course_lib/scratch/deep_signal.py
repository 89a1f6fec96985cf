"""What a deep network does to the size of a signal on its way forward and of a gradient on its way back."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Function = Callable[[np.ndarray], np.ndarray]


def deep_gradients(
    layers: list[tuple[np.ndarray, np.ndarray]], f: Function, slope: Function,
    x: np.ndarray, y: np.ndarray,
) -> tuple[float, list[np.ndarray], list[np.ndarray]]:
    """Cross-entropy of a deep network, and its gradients by backpropagation.

    Hidden layers z = a W + b, a = f(z); the last layer's z are the logits (Rumelhart et al. 1986).

    Parameters
    ----------
    layers
        (weight (fan_in, fan_out), bias (fan_out,)) from the input on.
    f, slope
        The activation function and its derivative, of arrays of any shape.
    x, y
        Inputs (batch, features) and one-hot targets (batch, classes).

    Returns
    -------
    tuple
        The loss; the gradient in each weight; the gradient in each z, (batch, fan_out).

    Raises
    ------
    ValueError
        If ``y`` is not one row of classes for each row of ``x``.
    """
    inputs, sums = [x], []
    for weight, bias in layers:
        sums.append(inputs[-1] @ weight + bias)         # z
        inputs.append(f(sums[-1]))                      # a
    logits = sums[-1]
    if logits.shape != y.shape:
        raise ValueError(f"targets {y.shape}: give them the logits' shape, {logits.shape}")
    log_p = logits - logits.max(axis=1, keepdims=True)
    log_p = log_p - np.log(np.exp(log_p).sum(axis=1, keepdims=True))
    delta = (np.exp(log_p) - y) / len(x)                # of the logits
    deltas = [delta]
    for (weight, _), z in zip(layers[:0:-1], sums[-2::-1]):
        delta = delta @ weight.T * slope(z)             # one layer down
        deltas.insert(0, delta)
    weights = [a.T @ d for a, d in zip(inputs, deltas)]
    return float(-(y * log_p).sum(axis=1).mean()), weights, deltas


def gaussian_mean(f: Function, spread: float = 1.0) -> float:
    """The mean of f(spread * z) over a standard normal z, by the midpoint rule.

    Midpoints leave out 0, where ReLU has its kink. Exact to about 1e-6.
    """
    z = (np.arange(8000) + 0.5) / 500 - 8               # -8 to 8
    density = np.exp(-(z**2) / 2)
    return float(np.sum(f(spread * z) * density) / np.sum(density))


def forward_and_back(
    f: Function, slope: Function, gains: np.ndarray, q: float = 1.0,
    bias_variance: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Mean squares of z in each layer, and factors of the gradient's, foretold for wide layers.

    ``gains`` (layers,) are fan_in times the variance of a weight; ``q`` is the mean square of an
    input. Returns the mean squares of z, (layers,), and by what the mean square of the gradient
    in z is multiplied from each layer to the one below, (layers - 1,), for layers of equal width
    (Poole et al. 2016; Schoenholz et al. 2017).
    """
    squares, factors = [], []
    for gain in gains:
        q = gain * q + bias_variance                    # of z
        squares.append(q)
        spread = np.sqrt(q)
        factors.append(gaussian_mean(lambda z: slope(z) ** 2, spread))
        q = gaussian_mean(lambda z: f(z) ** 2, spread)  # of a
    return np.array(squares), np.array(factors[:-1]) * np.asarray(gains)[1:]


def normalised_factor(f: Function, slope: Function, norm: str) -> float:
    """Factor of the gradient's mean square from layer to layer where z is normalised, any weights.

    E[f'(z)²] / E[f(z)²] for "layer", E[f'(z)²] / Var[f(z)] for "batch", z standard normal: layer
    normalisation divides by the size of what comes in, batch normalisation takes its mean away
    first (for ReLU π / (π - 1), Yang et al. 2019). Raises ``ValueError`` for another norm.
    """
    if norm not in ("layer", "batch"):
        raise ValueError(f'norm {norm!r}: give "layer" or "batch"')
    size = gaussian_mean(lambda z: f(z) ** 2)
    if norm == "batch":
        size -= gaussian_mean(f) ** 2
    return gaussian_mean(lambda z: slope(z) ** 2) / size


def shortcut_factors(
    f: Function, slope: Function, gain: float, branch: float, layers: int,
    square: float = 1.0,
) -> np.ndarray:
    """Factors of the gradient's mean square in h, where h + branch * f(h W) is handed on.

    1 + branch² gain E[f'(z)²] for each of ``layers``, with z as large as h has grown from mean
    square ``square``; ``gain`` is the width times the variance of a weight. For an f that is odd:
    then h and f(h W) are uncorrelated, and so are f'(z) and the weights.
    """
    factors = []
    for _ in range(layers):
        spread = np.sqrt(gain * square)
        factors.append(1 + branch**2 * gain * gaussian_mean(lambda z: slope(z) ** 2, spread))
        square += branch**2 * gaussian_mean(lambda z: f(z) ** 2, spread)
    return np.array(factors)


def safe_norm(gradients: list[np.ndarray]) -> float:
    """The root of the sum of all squares, over all arrays, in their own dtype.

    Divided by the largest entry before squaring, so that no square overflows or is lost. Not
    finite where an entry is not.
    """
    largest = max(np.abs(g).max() for g in gradients)
    if largest == 0 or not np.isfinite(largest):
        return float(largest)
    squares = sum(np.sum((g / largest) ** 2) for g in gradients)
    return float(largest * np.sqrt(squares))
