"""Four ways to shorten a gradient that consists of several arrays, and what they do to it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from course_lib.scratch.arguments import positive


def global_norm(gradients: Sequence[np.ndarray]) -> float:
    """The length of all arrays together, as one vector.

    Raises ``ValueError`` where it is not finite: no factor mends an infinite gradient.
    """
    norm = float(np.sqrt(sum((g**2).sum() for g in gradients)))
    if not np.isfinite(norm):
        raise ValueError(f"the gradient's norm is {norm}; look for the cause, clipping hides it")
    return norm


def clip_global(
    gradients: Sequence[np.ndarray], limit: float
) -> list[np.ndarray]:
    """Scale all arrays by one factor, so that together they are no longer than ``limit``.

    The direction stays (Pascanu et al. 2013, algorithm 1).
    """
    norm = global_norm(gradients)
    factor = min(1.0, positive(limit) / norm) if norm else 1.0
    return [factor * g for g in gradients]


def clip_each(
    gradients: Sequence[np.ndarray], limit: float
) -> list[np.ndarray]:
    """Scale each array by itself to ``limit`` at most: shares between arrays change."""
    return [clip_global([g], limit)[0] for g in gradients]


def clip_value(
    gradients: Sequence[np.ndarray], limit: float
) -> list[np.ndarray]:
    """Cut every entry to -``limit``..``limit``."""
    global_norm(gradients)
    return [np.clip(g, -positive(limit), limit) for g in gradients]


def turned(
    gradients: Sequence[np.ndarray], clipped: Sequence[np.ndarray]
) -> float:
    """The angle in degrees between a gradient and what clipping made of it.

    Raises ``ValueError`` where either is 0 and has no direction.
    """
    a = np.concatenate([np.ravel(g) for g in gradients])
    b = np.concatenate([np.ravel(g) for g in clipped])
    sizes = np.linalg.norm(a), np.linalg.norm(b)
    if not all(sizes):
        raise ValueError("a gradient of 0 has no direction")
    a, b = a / sizes[0], b / sizes[1]
    # arccos of a product near 1 would lose half of the digits
    half = np.arctan2(np.linalg.norm(a - b), np.linalg.norm(a + b))
    return float(np.degrees(2 * half))
