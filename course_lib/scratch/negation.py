"""Synthetic sentences that no sum of word weights can judge: 'not' turns praise into blame."""

from __future__ import annotations

import numpy as np

PRAISE, BLAME = ("good", "fine"), ("bad", "dull")
NOT = ("not", "hardly")
FILLER = tuple(f"filler{number}" for number in range(20))
WORDS = 2 + len(PRAISE) + len(BLAME) + len(NOT) + len(FILLER)  # ids; 0 padding, 1 unknown
LENGTH = 8


def sentences(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Ids (count, 8) and labels (count,): 1 for 'good' or 'not bad', 0 for 'bad' or 'not good'.

    Each sentence holds one word of praise or of blame, in half of the sentences one of negation,
    and four to six words that mean nothing, in any order. Synthetic: drawn from ``seed``.
    """
    random = np.random.default_rng((seed, 271828))
    rows = np.zeros((count, LENGTH), np.int64)
    praise, negated = random.integers(0, 2, (2, count))
    for row, good, turned in zip(rows, praise, negated):
        words = [2 + random.integers(2) + (0 if good else 2)]
        words += [6 + random.integers(2)] if turned else []
        words += (8 + random.integers(0, len(FILLER), random.integers(4, 7))).tolist()
        row[: len(words)] = random.permutation(words)
    return rows, (praise != negated).astype(np.int64)
