"""Loaders of image sets."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from course_lib.data.archive import DataError

if TYPE_CHECKING:
    from course_lib.data.registry import Card

DIGITS = tuple("0123456789")


@dataclass(frozen=True)
class ImageSplits:
    """Images and labels, split. ``x_*`` (n, rows, columns) float32 in 0..1, ``y_*`` (n,) int64."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_validation: np.ndarray
    y_validation: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    classes: tuple[str, ...]
    card: Card

    def __repr__(self) -> str:
        sizes = (len(self.y_train), len(self.y_validation), len(self.y_test))
        words = "train {:,}, validation {:,}, test {:,}".format(*sizes)
        return f"{self.card.name}: {words} images of {self.x_train.shape[1:]}"


def read_mnist_csv(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read 784 pixels and a label a line: images (n, 28, 28) uint8, labels (n,) int64."""
    with gzip.open(path, "rt", encoding="ascii") as lines:
        table = np.loadtxt(lines, delimiter=",", dtype=np.float64, ndmin=2)
    if table.shape[1] != 785:
        raise DataError(f"{path.name}: expected 784 pixels and a label a line, not {table.shape[1]}")
    return _checked(table[:, :-1].reshape(-1, 28, 28), table[:, -1], path)


def read_mnist_npz(path: Path) -> tuple[np.ndarray, ...]:
    """Read ``x_train``, ``y_train``, ``x_test``, ``y_test`` of a NumPy archive, never unpickling."""
    with np.load(path, allow_pickle=False) as archive:
        missing = {"x_train", "y_train", "x_test", "y_test"} - set(archive.files)
        if missing:
            raise DataError(f"{path.name} lacks {', '.join(sorted(missing))}")
        train = _checked(archive["x_train"], archive["y_train"], path)
        test = _checked(archive["x_test"], archive["y_test"], path)
    return *train, *test


def _checked(images: np.ndarray, labels: np.ndarray, path: Path) -> tuple[np.ndarray, np.ndarray]:
    if images.ndim != 3 or images.shape[1:] != (28, 28) or labels.shape != images.shape[:1]:
        raise DataError(
            f"{path.name}: expected images (n, 28, 28) and labels (n,), found {images.shape} and"
            f" {labels.shape}"
        )
    if images.min() < 0 or images.max() > 255 or not np.isin(labels, range(10)).all():
        raise DataError(f"{path.name}: pixels must lie in 0..255 and labels in 0..9")
    return images.astype(np.uint8), labels.astype(np.int64)


def without_duplicates(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keep the first of identical images, in their order: a copy must not land in two splits."""
    first: dict[bytes, int] = {}
    for row, image in enumerate(images):
        first.setdefault(image.tobytes(), row)
    keep = np.fromiter(first.values(), dtype=np.int64)
    return images[keep], labels[keep]


def stratified(labels: np.ndarray, shares: tuple[int, ...], seed: int = 0) -> list[np.ndarray]:
    """Shuffled row numbers of each part; every class appears in the proportion ``shares``.

    The parts are disjoint and hold every row once. The seed belongs to the data set, not to a
    run: all seeds of an experiment see the same split.
    """
    if len(shares) < 2 or min(shares) < 1:
        raise ValueError(f"a split needs two or more positive shares, not {shares}")
    random = np.random.default_rng(seed)
    cuts = np.cumsum(shares)[:-1] / sum(shares)
    parts: list[list[np.ndarray]] = [[] for _ in shares]
    for label in np.unique(labels):
        rows = random.permutation(np.flatnonzero(labels == label))
        pieces = np.split(rows, np.round(cuts * len(rows)).astype(int))
        if any(len(piece) == 0 for piece in pieces):
            raise ValueError(
                f"class {label} has {len(rows)} rows, too few for {len(shares)} parts {shares}"
            )
        for part, piece in zip(parts, pieces):
            part.append(piece)
    return [random.permutation(np.concatenate(part)) for part in parts]


def load_mnist_5k(path: Path, card: Card) -> ImageSplits:
    """5,000 digits: 3,500 for training, 500 for validation, 1,000 for the test."""
    images, labels = without_duplicates(*read_mnist_csv(path))
    train, validation, test = stratified(labels, (7, 1, 2))
    return _splits(images, labels, train, validation, images, labels, test, card)


def load_mnist(path: Path, card: Card) -> ImageSplits:
    """The published test set, and the published training set less a twelfth for validation."""
    images, labels, test_images, test_labels = read_mnist_npz(path)
    images, labels = without_duplicates(images, labels)
    train, validation = stratified(labels, (11, 1))
    test = np.arange(len(test_labels))
    return _splits(images, labels, train, validation, test_images, test_labels, test, card)


def _splits(images, labels, train, validation, test_images, test_labels, test, card) -> ImageSplits:
    def scaled(pixels: np.ndarray) -> np.ndarray:
        return (pixels / 255).astype(np.float32)

    return ImageSplits(
        scaled(images[train]), labels[train],
        scaled(images[validation]), labels[validation],
        scaled(test_images[test]), test_labels[test],
        DIGITS, card,
    )
