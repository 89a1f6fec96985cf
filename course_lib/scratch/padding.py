"""Padding: sequences of different lengths as one rectangle, a mask, and means that heed it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def pad_batch(
    sequences: Sequence[Sequence[int]],
    pad_id: int = 0, length: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Fill up sequences on the right: ids and mask, both (batch, time).

    ``ids`` is int64, ``mask`` bool and True where a token stands. ``time`` is the longest
    sequence, or ``length``.

    Raises
    ------
    ValueError
        If there is no sequence, one is empty, longer than ``length``, or holds ``pad_id``: nobody
        could tell its token from padding. The message names the sequence.
    """
    if not len(sequences):
        raise ValueError("there is no sequence to pad: give one or more")
    longest = max(len(sequence) for sequence in sequences)
    time = longest if length is None else length
    ids = np.full((len(sequences), time), pad_id, np.int64)
    for row, sequence in enumerate(sequences):
        if not len(sequence):
            raise ValueError(
                f"sequence {row} is empty: a mean over it is 0/0; leave it out")
        if len(sequence) > time:
            raise ValueError(
                f"sequence {row} has {len(sequence)} tokens, more than length"
                f" {time}: cut it first")
        if pad_id in sequence:
            raise ValueError(
                f"sequence {row} holds the padding id {pad_id} itself: keep an"
                " id for padding that no text can have")
        ids[row, :len(sequence)] = sequence
    return ids, ids != pad_id


def check_ids(ids: np.ndarray, tokens: int) -> None:
    """Raise ``ValueError`` naming the first id that a table of so many rows does not have.

    ``ids`` of any shape. PyTorch's error does not name it; TensorFlow gives zeros for it on a GPU.
    """
    wrong = np.argwhere((ids < 0) | (ids >= tokens))
    if len(wrong):
        place = tuple(wrong[0].tolist())
        raise ValueError(
            f"id {ids[place]} at {place} is outside the {tokens} rows (0 to {tokens - 1}) of the"
            f" embedding, and {len(wrong) - 1} more are: give the model as many rows as the"
            " tokenizer has tokens")


def masked_mean(vectors: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The mean over time of the vectors whose mask is True.

    ``vectors`` (batch, time, width), ``mask`` (batch, time) bool -> (batch, width).
    """
    if mask.shape != vectors.shape[:2]:
        raise ValueError(f"vectors {vectors.shape} need a mask {vectors.shape[:2]}, not {mask.shape}")
    weights = mask[:, :, None]
    return (vectors * weights).sum(axis=1) / weights.sum(axis=1)
