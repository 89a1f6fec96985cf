"""Loader of the spoken vowels: real sequences of different lengths, nine speakers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from course_lib.data.archive import DataError
from course_lib.data.images import stratified

if TYPE_CHECKING:
    from course_lib.data.registry import Card

CEPSTRA = 12  # numbers a frame
SPEAKERS = tuple(f"speaker {number}" for number in range(1, 10))
SHARES = (4, 1)  # of the published training part: training, validation


@dataclass(frozen=True)
class SequenceSplits:
    """Sequences of different lengths and their labels, split.

    ``x_*`` are n arrays of shape (time, features) float32, ``y_*`` (n,) int64.
    """

    x_train: tuple[np.ndarray, ...]
    y_train: np.ndarray
    x_validation: tuple[np.ndarray, ...]
    y_validation: np.ndarray
    x_test: tuple[np.ndarray, ...]
    y_test: np.ndarray
    classes: tuple[str, ...]
    card: Card

    def __repr__(self) -> str:
        sizes = (len(self.y_train), len(self.y_validation), len(self.y_test))
        words = "train {:,}, validation {:,}, test {:,}".format(*sizes)
        lengths = [len(x) for part in (self.x_train, self.x_validation, self.x_test) for x in part]
        return (f"{self.card.name}: {words} sequences of {min(lengths)} to {max(lengths)} steps"
                f" of {self.x_train[0].shape[1]} features")

    def standardised(self) -> SequenceSplits:
        """The same with mean 0 and standard deviation 1 in each feature of the training frames.

        Mean and deviation come from the training part alone and are used in all three.
        """
        frames = np.concatenate(self.x_train).astype(np.float64)   # (frames, features)
        mean, deviation = frames.mean(axis=0), frames.std(axis=0)

        def scaled(part: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
            return tuple(((x - mean) / deviation).astype(np.float32) for x in part)

        return replace(self, x_train=scaled(self.x_train), x_test=scaled(self.x_test),
                       x_validation=scaled(self.x_validation))


def read_ts(path: Path) -> tuple[list[np.ndarray], np.ndarray]:
    """Read a file in the ``.ts`` format: sequences (time, 12) float32 and labels (n,) int64.

    After the line ``@data`` each line is one utterance: 12 series separated by colons, their
    values by commas, and the speaker, 1 to 9, which becomes the label 0 to 8.

    Raises
    ------
    DataError
        If a line has another form; the message names it.
    """
    sequences, labels, data = [], [], False
    for number, line in enumerate(path.read_text("utf8").splitlines(), start=1):
        line = line.strip()
        if not data or not line:
            data = data or line.lower() == "@data"
            continue
        *series, label = line.split(":")
        try:
            sequence = np.array([s.split(",") for s in series], dtype=np.float32).T
            speaker = int(label) - 1
        except ValueError as error:
            raise DataError(f"{path.name}, line {number}: {error}") from None
        if sequence.ndim != 2 or sequence.shape[1] != CEPSTRA or not np.isfinite(sequence).all():
            raise DataError(f"{path.name}, line {number}: expected {CEPSTRA} series of one length"
                            f" and finite numbers, found shape {sequence.shape[::-1]}")
        if not 0 <= speaker < len(SPEAKERS):
            raise DataError(f"{path.name}, line {number}: speaker {label} is not in 1..9")
        sequences.append(sequence)
        labels.append(speaker)
    if not sequences:
        raise DataError(f"{path.name} holds no utterance after a line @data")
    return sequences, np.array(labels, dtype=np.int64)


def load_vowels(paths: tuple[Path, Path], card: Card) -> SequenceSplits:
    """The published test part, and the published training part less a fifth for validation."""
    sequences, labels = read_ts(paths[0])
    test, test_labels = read_ts(paths[1])
    train, validation = stratified(labels, SHARES)
    return SequenceSplits(
        tuple(sequences[row] for row in train), labels[train],
        tuple(sequences[row] for row in validation), labels[validation],
        tuple(test), test_labels, SPEAKERS, card,
    )


def chains(
    sequences: tuple[np.ndarray, ...], labels: np.ndarray, count: int, extra: int,
    random: np.random.Generator,
) -> tuple[list[np.ndarray], np.ndarray]:
    """Who spoke first? Sequences that begin with one utterance and go on with others.

    Each begins with an utterance drawn from ``sequences``; after it come ``extra`` frames of
    others, drawn again and cut at the end. Returns ``count`` arrays (time, features) and the
    labels (count,) of the *first* utterances.
    """
    if count < 1 or extra < 0:
        raise ValueError(f"count {count} must be at least 1, extra {extra} at least 0")
    first = random.integers(len(sequences), size=count)
    found = []
    for row in first:
        parts, frames = [sequences[row]], len(sequences[row]) + extra
        while sum(map(len, parts)) < frames:
            parts.append(sequences[random.integers(len(sequences))])
        found.append(np.concatenate(parts)[:frames])
    return found, labels[first]
