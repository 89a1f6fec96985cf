"""How the next token is chosen from logits: one function for both frameworks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Sampling:
    """How to sample; as it stands, from the model's own distribution.

    Raises ``ValueError`` where a setting is out of its range.
    """

    temperature: float = 1.0       # logits are divided by it; 0: always the likeliest token
    top_k: int | None = None       # keep the k likeliest tokens (Fan et al. 2018)
    top_p: float | None = None     # keep the fewest that have p together (Holtzman et al. 2020)
    min_p: float | None = None     # keep those with p times the likeliest's share (Nguyen 2024)

    def __post_init__(self):
        if not 0 <= self.temperature < np.inf:
            raise ValueError(f"temperature is {self.temperature}; give 0 or more")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k is {self.top_k}; give 1 or more, or None for all")
        for name in ("top_p", "min_p"):
            share = getattr(self, name)
            if share is not None and not 0 < share <= 1:
                raise ValueError(f"{name} is {share}; give more than 0 and at most 1, or None")


def _softmax(logits: np.ndarray) -> np.ndarray:
    exp = np.exp(logits - logits.max())
    return exp / exp.sum()


def token_probabilities(logits: np.ndarray, sampling: Sampling = Sampling()) -> np.ndarray:
    """Logits (vocabulary,) -> the probabilities to draw from (vocabulary,), float64.

    Temperature first, then top-k, top-p and min-p, each on what the one before it left, with the
    probabilities scaled to 1 again. Of equal logits the smaller id counts as the likelier.

    Raises ``ValueError`` where the logits are not (vocabulary,) or not finite.
    """
    logits = np.asarray(logits, np.float64)
    if logits.ndim != 1 or not np.isfinite(logits).all():
        raise ValueError(f"give finite logits (vocabulary,), not shape {logits.shape}"
                         f" with {(~np.isfinite(logits)).sum()} that are not finite")
    if sampling.temperature == 0:
        return np.eye(len(logits))[logits.argmax()]
    order = np.argsort(-logits, kind="stable")               # the likeliest first
    p = _softmax(logits[order] / sampling.temperature)
    if sampling.top_k is not None:
        p[sampling.top_k:] = 0
        p /= p.sum()
    if sampling.top_p is not None:                           # what stands before makes less than p
        p[np.cumsum(p) - p >= sampling.top_p] = 0
        p /= p.sum()
    if sampling.min_p is not None:
        p[p < sampling.min_p * p[0]] = 0
        p /= p.sum()
    probabilities = np.empty_like(p)
    probabilities[order] = p
    return probabilities


def draw(probabilities: np.ndarray, random: np.random.Generator) -> int:
    """One id by inverting the distribution: one uniform number a token, whatever the settings."""
    ends = np.cumsum(probabilities)
    return int(np.searchsorted(ends, random.random() * ends[-1], side="right"))
