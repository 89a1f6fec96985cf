"""Masked language modelling: rows of tokens, and which of them are hidden from the encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

IGNORED = -100  # the target of a token that is not asked for


def pad_tokens(
    texts: Sequence[Sequence[int]], length: int, pad: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Token ids of texts as rows (texts, length), and which are real (texts, length) bool.

    What is longer is cut, what is shorter is filled up with ``pad`` behind. Raises ``ValueError``
    where a text has no token: nothing could be attended to.
    """
    tokens = np.full((len(texts), length), pad, np.int64)
    counts = np.array([min(len(text), length) for text in texts])
    if length < 1 or (counts == 0).any():
        raise ValueError(f"length {length}, {(counts == 0).sum()} empty texts: give each a token")
    for row, text, count in zip(tokens, texts, counts):
        row[:count] = text[:count]
    return tokens, np.arange(length) < counts[:, None]


@dataclass(frozen=True)
class Masking:
    """What becomes of the tokens that the encoder must name (Devlin et al. 2019, section 3.1)."""

    vocabulary: int        # ids are 0 … vocabulary - 1
    mask_id: int           # the token that stands for a hidden one
    first: int             # ids from here on are text, those below are special
    share: float = 0.15    # of the real tokens are chosen
    masked: float = 0.8    # of the chosen become the mask,
    swapped: float = 0.1   # another token; the rest stays as it is

    def __post_init__(self):
        if not (0 < self.share <= 1 and self.masked >= 0 and self.swapped >= 0
                and self.masked + self.swapped <= 1):
            raise ValueError(f"give 0 < share <= 1 and masked, swapped of at most 1 together; got"
                             f" {self.share}, {self.masked}, {self.swapped}")
        if not 0 <= self.mask_id < self.vocabulary or not 0 <= self.first < self.vocabulary:
            raise ValueError(f"mask_id {self.mask_id} and first {self.first} must be ids"
                             f" below {self.vocabulary}")


def mask_tokens(
    tokens: np.ndarray, real: np.ndarray, masking: Masking, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets, both like ``tokens`` (batch, time).

    A target is the token where one was chosen, else ``IGNORED``. Padding is never chosen; a batch
    has one chosen token at least.
    """
    chosen = real & (random.random(tokens.shape) < masking.share)
    if not chosen.any():
        chosen.flat[random.choice(np.flatnonzero(real))] = True
    kind = random.random(tokens.shape)
    other = random.integers(masking.first, masking.vocabulary, tokens.shape)
    swapped = kind < masking.masked + masking.swapped
    inputs = np.where(chosen & swapped, other, tokens)
    inputs = np.where(chosen & (kind < masking.masked), masking.mask_id, inputs)
    return inputs, np.where(chosen, tokens, IGNORED)
