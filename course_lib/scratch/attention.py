"""Attention in NumPy: scaled dot products, masks, several heads, and two kinds of positions."""

from __future__ import annotations

import numpy as np


def softmax(x: np.ndarray, axis: int = -1) -> np.ndarray:
    """Positive numbers with the sum 1 along ``axis``; -inf gives 0."""
    powers = np.exp(x - x.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


def attend_by_hand(
    q: np.ndarray, k: np.ndarray, v: np.ndarray
) -> np.ndarray:
    """One query at a time: (n, d), (m, d), (m, e) -> (n, e)."""
    outputs = np.zeros((len(q), v.shape[1]))
    for i in range(len(q)):
        scores = np.array([q[i] @ k[j] for j in range(len(k))])
        powers = np.exp(scores / np.sqrt(q.shape[1]))
        weights = powers / powers.sum()          # they add up to 1
        for j in range(len(k)):
            outputs[i] += weights[j] * v[j]
    return outputs


def check_shapes(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> None:
    """Raise ``ValueError`` where queries, keys and values do not fit each other."""
    if q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2]:
        raise ValueError(
            f"q {q.shape}, k {k.shape}, v {v.shape}: queries and keys need the same number of"
            " features, keys and values the same number of positions")


def check_mask(allowed: np.ndarray, shape: tuple[int, ...]) -> None:
    """Raise ``ValueError`` where a mask does not fit the weights, or leaves a query no key."""
    allowed = np.asarray(allowed)
    if allowed.dtype != bool:
        raise ValueError(f"allowed is {allowed.dtype}: give booleans, True where a query may look")
    try:
        whole = np.broadcast_to(allowed, shape)
    except ValueError:
        raise ValueError(
            f"allowed {allowed.shape} does not broadcast to the weights {shape}; a mask of keys"
            " (batch, keys) needs two axes in between: mask[:, None, None, :]") from None
    if not whole.any(axis=-1).all():
        raise ValueError("a query may look at no key: its weights would be 0 / 0")


def attend(
    q: np.ndarray, k: np.ndarray, v: np.ndarray,
    allowed: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """softmax(q kᵀ / √d) v, and the weights: Vaswani (2017), eq. 1.

    ``q`` (..., queries, d), ``k`` (..., keys, d), ``v`` (..., keys, e) -> outputs (..., queries,
    e), weights (..., queries, keys). ``allowed``, True where a query may look at a key, is
    broadcast to the weights. Raises ``ValueError`` where shapes do not fit, or where a query may
    look at no key: its weights would be 0 / 0.
    """
    check_shapes(q, k, v)
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])
    if allowed is not None:
        check_mask(allowed, scores.shape)
        scores = np.where(allowed, scores, -np.inf)
    weights = softmax(scores)                    # over the keys
    return weights @ v, weights


def causal(time: int) -> np.ndarray:
    """(time, time): position i may look at j, no later than i."""
    return np.arange(time)[:, None] >= np.arange(time)


def split_heads(x: np.ndarray, heads: int) -> np.ndarray:
    """(batch, time, width) -> (batch, heads, time, width / heads)."""
    batch, time, width = x.shape
    if heads < 1 or width % heads:
        raise ValueError(
            f"width {width} does not divide into {heads} heads")
    return x.reshape(batch, time, heads, -1).swapaxes(1, 2)


def join_heads(x: np.ndarray) -> np.ndarray:
    """(batch, heads, time, d) -> (batch, time, heads * d)."""
    batch, heads, time, d = x.shape
    return x.swapaxes(1, 2).reshape(batch, time, heads * d)


def multi_head(
    params: dict, x: np.ndarray, heads: int,
    allowed: np.ndarray | None = None, rotary: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Self-attention in heads; Vaswani (2017), section 3.2.2.

    ``params`` holds "query", "key", "value" and "output", each a pair of a matrix (width, width)
    and a bias (width,). ``x`` (batch, time, width) -> outputs of the same shape, and weights
    (batch, heads, time, time). ``allowed`` is broadcast to the weights.
    """
    def through(name, array):
        weight, bias = params[name]
        return array @ weight + bias

    q, k, v = (split_heads(through(name, x), heads)
               for name in ("query", "key", "value"))
    if rotary:
        q, k = rotate(q), rotate(k)
    outputs, weights = attend(q, k, v, allowed)
    return through("output", join_heads(outputs)), weights


def sinusoidal(time: int, width: int) -> np.ndarray:
    """Positions (time, width); Vaswani (2017), section 3.5."""
    if width % 2:
        raise ValueError(f"width {width}: make it even, for pairs")
    rates = 10000.0 ** (-np.arange(0, width, 2) / width)
    angles = np.arange(time)[:, None] * rates    # (time, width / 2)
    pairs = np.stack([np.sin(angles), np.cos(angles)], axis=-1)
    return pairs.reshape(time, width)


def rotate(
    x: np.ndarray, first: int = 0, base: float = 100.0
) -> np.ndarray:
    """Turn each pair of features of (..., time, d) by its position.

    Rotary positions, Su et al. (2021), section 3.2: features 2i and 2i + 1 of position t turn by
    t * base^(-2i / d). ``first`` is the position of the first row. The paper's base is 10,000, for
    texts of many hundred tokens; 100 serves short ones.
    """
    time, d = x.shape[-2:]
    if d % 2:
        raise ValueError(f"{d} features a head: make it even, for pairs")
    rates = base ** (-np.arange(0, d, 2) / d)
    angles = (first + np.arange(time))[:, None] * rates
    a, b = x[..., 0::2], x[..., 1::2]            # (..., time, d / 2)
    c, s = np.cos(angles), np.sin(angles)
    turned = np.stack([a * c - b * s, a * s + b * c], axis=-1)
    return turned.reshape(x.shape)
