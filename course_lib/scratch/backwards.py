"""Real texts forwards and backwards, and a table of word pairs that tells which is which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from course_lib.scratch.bag_of_words import PAD, encode, split_words


def backwards(rows: np.ndarray) -> np.ndarray:
    """Each row's words in reverse; the padding stays behind them. (n, time) -> (n, time)."""
    turned = rows.copy()
    for row, new in zip(rows, turned):
        words = row[row != PAD]
        new[: len(words)] = words[::-1]
    return turned


def both_ways(
    texts: Sequence[str], ids: dict[str, int], shortest: int, longest: int
) -> tuple[np.ndarray, np.ndarray]:
    """The texts of ``shortest`` to ``longest`` words, then the same backwards.

    Returns ids (2 n, longest) and labels (2 n,): 1 for forwards, 0 for backwards. Raises
    ``ValueError`` where no text is that long.
    """
    kept = [text for text in texts if shortest <= len(split_words(text)) <= longest]
    if not kept:
        raise ValueError(f"no text has {shortest} to {longest} words")
    rows = encode(kept, ids, longest)
    labels = np.repeat([1, 0], len(rows))
    return np.concatenate([rows, backwards(rows)]), labels


def count_pairs(rows: np.ndarray) -> Counter:
    """How often word a stands right before b: {(a, b): times}."""
    real = (rows[:, 1:] != PAD).ravel()
    pairs = zip(rows[:, :-1].ravel()[real].tolist(),
                rows[:, 1:].ravel()[real].tolist())
    return Counter(pairs)


def forwards_score(counts: Counter, row: np.ndarray) -> float:
    """Sum of log (n(a, b) + 0.1) / (n(b, a) + 0.1) over neighbours."""
    words = row[row != PAD].tolist()
    return sum(np.log((counts[a, b] + 0.1) / (counts[b, a] + 0.1))
               for a, b in zip(words, words[1:]))
