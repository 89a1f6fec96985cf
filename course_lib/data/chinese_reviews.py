"""Loader of the Chinese reviews: short texts on books, hotels and goods, two classes."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from course_lib.data.archive import DataError
from course_lib.data.images import stratified

if TYPE_CHECKING:
    from course_lib.data.registry import Card

CLASSES = ("negative", "positive")  # the label is the place in this tuple
SHARES = (7, 1, 2)  # training, validation, test


@dataclass(frozen=True)
class ChineseReviews:
    """Reviews, split. ``text_*`` n strings, ``y_*`` (n,) int64: 0 negative, 1 positive."""

    text_train: tuple[str, ...]
    y_train: np.ndarray
    text_validation: tuple[str, ...]
    y_validation: np.ndarray
    text_test: tuple[str, ...]
    y_test: np.ndarray
    classes: tuple[str, ...]
    card: Card

    def __repr__(self) -> str:
        sizes = (len(self.y_train), len(self.y_validation), len(self.y_test))
        return "{}: train {:,}, validation {:,}, test {:,} reviews".format(self.card.name, *sizes)


def read_lines(path: Path) -> list[str]:
    """Read one review a line, in UTF-8.

    Raises
    ------
    DataError
        If the file is not UTF-8, or holds no line with a letter in it.
    """
    try:
        lines = path.read_text("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{path.name}: not a text in UTF-8: {error}") from None
    lines = [" ".join(line.split()) for line in lines]
    lines = [line for line in lines if letters(line)]
    if not lines:
        raise DataError(f"{path.name}: holds no review, one on each line")
    return lines


def letters(text: str) -> str:
    """The letters and digits of a text, in lower case: what duplicates are told by."""
    return "".join(re.findall(r"[^\W_]", text.lower()))


def without_duplicates(texts: list[str], labels: np.ndarray) -> np.ndarray:
    """Row numbers of the first of equal reviews; all of them go where their labels differ."""
    rows, seen = defaultdict(list), defaultdict(set)
    for row, text in enumerate(texts):
        rows[letters(text)].append(row)
        seen[letters(text)].add(int(labels[row]))
    kept = [same[0] for text, same in rows.items() if len(seen[text]) == 1]
    return np.array(kept, dtype=np.int64)


def load_chinese_reviews(paths: tuple[Path, Path], card: Card) -> ChineseReviews:
    """Negative and positive reviews: duplicates leave first; then the split, always the same."""
    negative, positive = (read_lines(path) for path in paths)
    texts = negative + positive
    labels = np.repeat(np.array([0, 1], dtype=np.int64), [len(negative), len(positive)])
    kept = without_duplicates(texts, labels)
    parts = []
    for rows in stratified(labels[kept], SHARES):
        parts += [tuple(texts[row] for row in kept[rows]), labels[kept[rows]]]
    return ChineseReviews(*parts, CLASSES, card)
