"""A language model of counts: interpolated modified Kneser-Ney smoothing.

Chen and Goodman (1999), doi:10.1006/csla.1999.0128, section 3. Tokens are whole numbers; a table
of n-grams is a sorted array of packed integers with a count beside each, so that fitting is a few
sorts and looking up is a binary search.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FALLBACK = (0.5, 1.0, 1.5)  # discounts where too few n-grams are rare (a choice of ours)


@dataclass(frozen=True)
class Table:
    """The n-grams of one order, and what smoothing needs of each context.

    ``grams`` (distinct,) are packed and sorted, ``counts`` beside them. ``contexts`` are the
    n-grams without their last token; ``totals`` sums a context's counts, ``left`` is the share of
    its probability that discounting frees for the shorter context.
    """

    grams: np.ndarray
    counts: np.ndarray
    contexts: np.ndarray
    totals: np.ndarray
    left: np.ndarray
    discounts: np.ndarray  # (4,), for counts of 0, 1, 2 and 3 or more


def discounts(counts: np.ndarray) -> np.ndarray:
    """What is taken off counts of 0, 1, 2 and 3 or more: equation 26 of Chen and Goodman."""
    n1, n2, n3, n4 = (int(np.sum(counts == k)) for k in (1, 2, 3, 4))
    if min(n1, n2, n3, n4) == 0:
        return np.array([0.0, *FALLBACK])
    y = n1 / (n1 + 2 * n2)
    found = np.array([0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3])
    return np.clip(found, 0, (0, 1, 2, 3))


def table(grams: np.ndarray, counts: np.ndarray, base: int) -> Table:
    """Discounts, totals and freed shares of sorted n-grams with their counts."""
    cut = discounts(counts)
    contexts, row = np.unique(grams // base, return_inverse=True)
    totals = np.bincount(row, counts)
    freed = np.bincount(row, cut[np.minimum(counts, 3)])
    return Table(grams, counts, contexts, totals, freed / totals, cut)


def find(sorted_keys: np.ndarray, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each key stands in a sorted array, and whether it is there at all."""
    place = np.searchsorted(sorted_keys, keys).clip(max=len(sorted_keys) - 1)
    return place, sorted_keys[place] == keys


class KneserNey:
    """An n-gram model: the next token's probability given the ``order - 1`` tokens before it.

    Each document is preceded by ``order - 1`` start marks, which are never predicted. The longest
    n-grams are counted as they occur; a shorter one by how many different tokens precede it.
    The shortest context falls back on the uniform distribution.
    """

    def __init__(self, order: int, vocab_size: int):
        if order < 1 or vocab_size < 1 or (vocab_size + 1) ** order >= 2**63:
            raise ValueError(
                f"order {order} with {vocab_size} tokens: both must be 1 or more, and"
                " (vocab_size + 1) ** order below 2 ** 63; take a smaller order or vocabulary")
        self.order, self.vocab_size, self.base = order, vocab_size, vocab_size + 1
        self.tables: list[Table] = []

    def fit(self, documents: Sequence[Sequence[int]]) -> KneserNey:
        """Count the n-grams of token ids, one sequence a document; returns itself."""
        keys = [self._pack(self._windows(ids)) for ids in documents if len(ids)]
        if not keys:
            raise ValueError("there is nothing to count: give at least one document with tokens")
        grams, counts = np.unique(np.concatenate(keys), return_counts=True)
        tables = [table(grams, counts, self.base)]
        for size in range(self.order - 1, 0, -1):    # drop the first token, count what differed
            grams, counts = np.unique(grams % self.base**size, return_counts=True)
            tables.append(table(grams, counts, self.base))
        self.tables = tables[::-1]                   # the shortest first
        return self

    def probabilities(self, windows: np.ndarray) -> np.ndarray:
        """P(last token | the ones before it) of each row of ``windows`` (rows, order)."""
        if not self.tables:
            raise ValueError("the model has counted nothing: call fit first")
        windows = np.asarray(windows)
        if windows.ndim != 2 or windows.shape[1] != self.order:
            raise ValueError(f"windows must be (rows, {self.order}), not {windows.shape}")
        self._check(windows, self.base)
        self._check(windows[:, -1], self.vocab_size)
        keys = self._pack(windows)
        p = np.full(len(keys), 1 / self.vocab_size)
        for size, t in enumerate(self.tables, start=1):
            gram = keys % self.base**size
            row, known = find(t.contexts, gram // self.base)
            place, seen = find(t.grams, gram)
            count = np.where(seen, t.counts[place], 0)
            kept = count - t.discounts[np.minimum(count, 3)]
            p = np.where(known, kept / t.totals[row] + t.left[row] * p, p)
        return p

    def distribution(self, context: Sequence[int]) -> np.ndarray:
        """Probabilities (vocab_size,) of the next token after a context of any length."""
        before = np.asarray(list(context), np.int64)
        self._check(before, self.vocab_size)
        last = self._windows(np.append(before, 0))[-1]
        windows = np.tile(last, (self.vocab_size, 1))
        windows[:, -1] = np.arange(self.vocab_size)
        return self.probabilities(windows)

    def losses(self, ids: Sequence[int]) -> np.ndarray:
        """-ln P of each token of a document (tokens,), in nats."""
        return -np.log(self.probabilities(self._windows(ids)))

    def knows(self, ids: Sequence[int], size: int) -> np.ndarray:
        """Whether the ``size`` tokens before each token of a document stood there in training."""
        if not 1 <= size < self.order:
            raise ValueError(f"size must lie between 1 and {self.order - 1}, not {size}")
        keys = self._pack(self._windows(ids))
        return find(self.tables[size].contexts, keys % self.base**(size + 1) // self.base)[1]

    def _windows(self, ids: Sequence[int]) -> np.ndarray:
        """Every token with the ``order - 1`` before it, (tokens, order)."""
        ids = np.asarray(ids, np.int64)
        self._check(ids, self.vocab_size)
        marked = np.concatenate([np.full(self.order - 1, self.vocab_size), ids])
        return np.lib.stride_tricks.sliding_window_view(marked, self.order)

    def _pack(self, windows: np.ndarray) -> np.ndarray:
        """Each row as one whole number in base ``vocab_size + 1``."""
        return windows.astype(np.int64) @ self.base ** np.arange(self.order - 1, -1, -1)

    def _check(self, ids: np.ndarray, below: int) -> None:
        if ids.size and not (0 <= ids.min() and ids.max() < below):
            raise ValueError(
                f"token ids must lie in 0..{below - 1}, not {ids.min()}..{ids.max()}: use the"
                " tokenizer whose size was given")
