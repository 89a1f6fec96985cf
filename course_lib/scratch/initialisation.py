"""How weights start: rules that choose their spread from a layer's size, drawn in float64."""

from __future__ import annotations

import numpy as np

RULES = ("small", "standard", "pytorch", "lecun", "glorot", "he", "orthogonal")


def weight_variance(rule: str, fan_in: int, fan_out: int) -> float:
    """Variance of one weight of a layer with that many inputs and outputs.

    "small" and "standard" ignore the size: 0.01 and 1 squared. "lecun" is 1 / fan_in (LeCun et al.
    2012, section 4.6), "glorot" 2 / (fan_in + fan_out) (Glorot and Bengio 2010, equation 12; the
    default of ``keras.layers.Dense``), "he" 2 / fan_in (He et al. 2015, equation 10), "pytorch"
    1 / (3 fan_in) (the default of ``torch.nn.Linear``), "orthogonal" that of an orthogonal matrix
    (Saxe et al. 2014).

    Raises ``ValueError`` for another rule, or where a size is below 1.
    """
    if rule not in RULES or min(fan_in, fan_out) < 1:
        raise ValueError(
            f"rule {rule!r} for {fan_in} inputs, {fan_out} outputs: give one"
            f" of {', '.join(RULES)}, and sizes of 1 or more")
    return {
        "small": 0.01**2,
        "standard": 1.0,
        "pytorch": 1 / (3 * fan_in),
        "lecun": 1 / fan_in,
        "glorot": 2 / (fan_in + fan_out),
        "he": 2 / fan_in,
        "orthogonal": 1 / max(fan_in, fan_out),
    }[rule]


def draw_weights(
    rule: str, fan_in: int, fan_out: int, random: np.random.Generator
) -> np.ndarray:
    """Weights (fan_in, fan_out), drawn by a rule.

    Uniform for "pytorch" and "glorot", as both frameworks have it; a matrix with orthonormal rows
    or columns, whichever are fewer, for "orthogonal"; else normal. Errors as ``weight_variance``.
    """
    variance = weight_variance(rule, fan_in, fan_out)
    if rule in ("pytorch", "glorot"):
        bound = np.sqrt(3 * variance)        # U(-b, b) has variance b² / 3
        return random.uniform(-bound, bound, (fan_in, fan_out))
    if rule == "orthogonal":
        big, few = max(fan_in, fan_out), min(fan_in, fan_out)
        q, r = np.linalg.qr(random.standard_normal((big, few)))
        q = q * np.sign(np.diag(r))          # else not uniform
        return q if fan_in >= fan_out else q.T
    return random.normal(0, np.sqrt(variance), (fan_in, fan_out))


def draw_layers(
    sizes: list[int], rule: str, seed: int = 0
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weights and biases of each layer between ``sizes``.

    A list of (weight (fan_in, fan_out), bias (fan_out,)), float64. Biases are 0, but for "pytorch"
    they are uniform within ±1/sqrt(fan_in), like the weights. Raises ``ValueError`` where there
    are fewer than two sizes.
    """
    if len(sizes) < 2:
        raise ValueError(f"sizes {sizes}: give those of the inputs and of every layer")
    random, layers = np.random.default_rng(seed), []
    for fan_in, fan_out in zip(sizes, sizes[1:]):
        weight = draw_weights(rule, fan_in, fan_out, random)
        bias = np.zeros(fan_out)
        if rule == "pytorch":
            bias = random.uniform(-1, 1, fan_out) / np.sqrt(fan_in)
        layers.append((weight, bias))
    return layers
