"""Activation functions and their derivatives, as the formulas say them, in float64."""

from __future__ import annotations

import math

import numpy as np


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), any shape, without overflow."""
    small = np.exp(-np.abs(x))               # in (0, 1]: cannot overflow
    return np.where(np.asarray(x) >= 0, 1.0, small) / (1 + small)


def sigmoid_slope(x: np.ndarray) -> np.ndarray:
    """The derivative s(1 - s) of the sigmoid s; at most 1/4, at 0.

    As sigmoid(x) sigmoid(-x), because 1 - s loses all digits where s is near 1.
    """
    return sigmoid(x) * sigmoid(-np.asarray(x))


def tanh(x: np.ndarray) -> np.ndarray:
    """The hyperbolic tangent 2 sigmoid(2x) - 1, any shape."""
    return np.tanh(x)


def tanh_slope(x: np.ndarray) -> np.ndarray:
    """The derivative 1 - tanh(x)**2, as 4 s(1 - s) at 2x, which keeps its digits far out."""
    return 4 * sigmoid_slope(2 * np.asarray(x))


def relu(x: np.ndarray) -> np.ndarray:
    """max(x, 0), any shape (Nair and Hinton 2010)."""
    return np.maximum(x, 0.0)


def relu_slope(x: np.ndarray) -> np.ndarray:
    """1 above 0, else 0, also at 0 as in both frameworks."""
    return np.where(np.asarray(x) > 0, 1.0, 0.0)


def leaky_relu(x: np.ndarray, slope: float = 0.01) -> np.ndarray:
    """x above 0, else ``slope`` times x, any shape (Maas et al. 2013)."""
    return np.where(np.asarray(x) > 0, x, slope * np.asarray(x))


def normal_cdf(x: np.ndarray) -> np.ndarray:
    """The share of a standard normal distribution below x, any shape."""
    erfc = np.vectorize(math.erfc, otypes=[float])
    return erfc(-np.asarray(x) / math.sqrt(2)) / 2


def gelu(x: np.ndarray) -> np.ndarray:
    """x times the share of a normal distribution below x, any shape.

    Hendrycks and Gimpel (2016).
    """
    return x * normal_cdf(x)


def gelu_slope(x: np.ndarray) -> np.ndarray:
    """The derivative of ``gelu`` by the product rule: cdf + x * density."""
    density = np.exp(-np.square(x) / 2) / math.sqrt(2 * math.pi)
    return normal_cdf(x) + x * density


def gelu_tanh(x: np.ndarray) -> np.ndarray:
    """The approximation of ``gelu`` by tanh, any shape.

    Hendrycks and Gimpel (2016), section 2.
    """
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * np.power(x, 3))
    return x * (1 + np.tanh(inner)) / 2
