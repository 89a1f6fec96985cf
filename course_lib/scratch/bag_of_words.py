"""Texts as rows of word ids, as TF-IDF weights, and logistic regression on them, in NumPy."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

PAD, UNKNOWN = 0, 1  # ids that stand for no word: filling at the end, and any word not listed


def split_words(text: str) -> list[str]:
    """The words of a text in lower case; an apostrophe within a word belongs to it."""
    return re.findall(r"\w+(?:['’]\w+)*", text.lower())


def word_ids(texts: Sequence[str], least: int = 2) -> dict[str, int]:
    """Give every word that occurs ``least`` times or more an id, 2 for the most frequent.

    Call it with the training texts alone. Raises ``ValueError`` where no word is left.
    """
    counts = Counter(word for text in texts for word in split_words(text))
    kept = sorted((-n, word) for word, n in counts.items() if n >= least)
    if not kept:
        raise ValueError(f"no word occurs {least} times or more in {len(texts)} texts")
    return {word: number for number, (_, word) in enumerate(kept, start=2)}


def encode(
    texts: Sequence[str], ids: dict[str, int], length: int
) -> np.ndarray:
    """Texts as whole numbers (texts, length): words, then ``PAD``.

    A word that has no id becomes ``UNKNOWN``; what is longer than ``length`` words is cut.
    """
    if length < 1:
        raise ValueError(f"length is {length}: a row needs a place or more")
    rows = np.full((len(texts), length), PAD, dtype=np.int64)
    for row, text in zip(rows, texts):
        words = split_words(text)[:length]
        row[: len(words)] = [ids.get(word, UNKNOWN) for word in words]
    return rows


def inverse_frequency(rows: np.ndarray, words: int) -> np.ndarray:
    """log((1 + n) / (1 + texts that hold the word)) + 1 for every id.

    ``rows`` (n, length) of training texts, ``words`` the number of ids; the result is (words,) and
    0 for padding and unknown words. The smoothed form of Manning et al. (2008), section 6.2.
    """
    ordered = np.sort(rows, axis=1)
    first = np.diff(ordered, axis=1, prepend=-1) > 0   # once a text
    texts = np.bincount(ordered[first], minlength=words)
    weights = np.log((1 + len(rows)) / (1 + texts)) + 1
    weights[[PAD, UNKNOWN]] = 0
    return weights


def tf_idf(rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The value of each place: its word's weight, over the row's length.

    ``rows`` (n, length) of ids, ``weights`` (words,). A word that occurs twice has two places,
    whose values add up. Every row as a vector over the words has length 1, or 0 with no known
    word.
    """
    values = weights[rows]                             # (n, length)
    times = (rows[:, :, None] == rows[:, None, :]).sum(axis=2)
    size = np.sqrt((values**2 * times).sum(axis=1, keepdims=True))
    return values / np.where(size > 0, size, 1)


def word_scores(
    rows: np.ndarray, values: np.ndarray, coef: np.ndarray, bias: float
) -> np.ndarray:
    """The sum of the values times their words' coefficients: (n,)."""
    return (values * coef[rows]).sum(axis=1) + bias


def largest_curvature(rows: np.ndarray, values: np.ndarray, words: int) -> float:
    """The largest eigenvalue of X'X / n, for the vectors X of the texts, by power iteration.

    The values must not be negative. Twenty rounds from equal entries, and 5 % to be safe.
    """
    direction, size = np.ones(words), 0.0
    for _ in range(20):
        direction /= np.linalg.norm(direction) or 1.0
        along = word_scores(rows, values, direction, 0.0)
        direction = np.bincount(rows.ravel(), (values * along[:, None]).ravel(),
                                minlength=words) / len(rows)
        size = float(np.linalg.norm(direction))
    return 1.05 * size


def fit_logistic(
    rows: np.ndarray,
    values: np.ndarray,
    labels: np.ndarray,
    words: int,
    penalty: float,
    steps: int = 150,
) -> tuple[np.ndarray, float]:
    """Logistic regression: coefficients (words,) and a bias.

    Makes the mean cross-entropy of labels 0 and 1, plus penalty / 2 times the squared length of
    the coefficients, small by accelerated gradient descent (Nesterov 1983).
    """
    theta, n = np.zeros(words + 1), len(labels)        # the bias is last
    ahead, t = theta, 1.0
    top = largest_curvature(rows, values, words)
    rate = 1 / (top / 2 + penalty)
    scale = np.append(np.ones(words), top)             # the bias steps less
    for _ in range(steps):
        z = word_scores(rows, values, ahead[:-1], ahead[-1])
        error = (1 / (1 + np.exp(-z)) - labels) / n    # (p - y) / n
        slope = np.bincount(rows.ravel(), (values * error[:, None]).ravel(),
                            minlength=words)
        gradient = np.append(slope + penalty * ahead[:-1], error.sum())
        before, theta = theta, ahead - rate * scale * gradient
        t_before, t = t, (1 + np.sqrt(1 + 4 * t * t)) / 2
        ahead = theta + (t_before - 1) / t * (theta - before)
    return theta[:-1], float(theta[-1])
