"""What every language model of the course needs: windows of tokens, and its two scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

IGNORED = -100  # a target that no loss counts


def random_windows(
    ids: np.ndarray, batch: int, time: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Tokens and, one place on, what follows each: two arrays (batch, time) out of a long one.

    Raises ``ValueError`` where ``ids`` (tokens,) has no window of ``time + 1`` tokens.
    """
    if len(ids) <= time:
        raise ValueError(f"{len(ids)} tokens hold no window of {time} and the one after it")
    starts = random.integers(0, len(ids) - time, batch)
    rows = ids[starts[:, None] + np.arange(time + 1)]
    return rows[:, :-1], rows[:, 1:]


def held_out_windows(
    documents: Sequence[Sequence[int]], time: int
) -> tuple[np.ndarray, np.ndarray]:
    """Windows (windows, time) and targets that score each token but a document's first once.

    Windows overlap by half, and only the second half of each is scored (in a document's first
    window all of it), so that a token has ``time // 2`` others before it. Targets that are not
    scored are ``IGNORED``.
    """
    inputs, targets = [], []
    for ids in documents:
        ids, scored = np.asarray(ids), 1               # the first target not yet scored
        while scored < len(ids):
            start = max(0, scored - 1 - time // 2)
            row = ids[start : start + time + 1]
            x, y = np.zeros(time, ids.dtype), np.full(time, IGNORED, ids.dtype)
            x[: len(row) - 1] = row[:-1]
            y[scored - 1 - start : len(row) - 1] = row[scored - start :]
            inputs.append(x)
            targets.append(y)
            scored = start + len(row)
    return np.stack(inputs), np.stack(targets)


def bits_per_byte(nats: float, texts: Sequence[str]) -> float:
    """Losses summed over texts, in bits a byte of UTF-8: the same scale for every tokenizer."""
    return nats / np.log(2) / sum(len(text.encode("utf-8")) for text in texts)


def decay(step: int, steps: int, start: int, warm_up: int = 20) -> float:
    """The share of the peak rate at ``step``: warm-up, constant, linear to 0 from ``start`` on."""
    falling = 1.0 if step < start else (steps - step) / (steps - start)
    return min(1.0, (step + 1) / warm_up) * falling
