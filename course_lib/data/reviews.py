"""Loader of the film reviews: short texts, two classes, split by film."""

from __future__ import annotations

import bz2
import csv
import io
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from course_lib.data.archive import DataError

if TYPE_CHECKING:
    from course_lib.data.registry import Card

CLASSES = ("rotten", "fresh")  # the label is the place in this tuple
COLUMNS = ("category", "text", "movie_name")
SHARES = (13, 3, 4)  # of the snippets: training, validation, test
SAME_FILM = 3  # two names that share so many identical snippets are one film


@dataclass(frozen=True)
class ReviewSplits:
    """Snippets of reviews, split by film: no film is in two parts.

    ``text_*`` n strings as they were published, ``y_*`` (n,) int64 with 0 for rotten and 1 for
    fresh, ``film_*`` (n,) int64, places in ``films``.
    """

    text_train: tuple[str, ...]
    y_train: np.ndarray
    film_train: np.ndarray
    text_validation: tuple[str, ...]
    y_validation: np.ndarray
    film_validation: np.ndarray
    text_test: tuple[str, ...]
    y_test: np.ndarray
    film_test: np.ndarray
    films: tuple[str, ...]
    classes: tuple[str, ...]
    card: Card

    def __repr__(self) -> str:
        sizes = (len(self.y_train), len(self.y_validation), len(self.y_test))
        words = "train {:,}, validation {:,}, test {:,}".format(*sizes)
        return f"{self.card.name}: {words} snippets on {len(self.films)} films"


def read_reviews(path: Path) -> tuple[list[str], np.ndarray, list[str]]:
    """Read a CSV file packed by bzip2: texts, labels (n,) int64, names of films.

    Rows of the category ``plot`` are left out: they tell a story and judge nothing.

    Raises
    ------
    DataError
        If the file cannot be unpacked or read, lacks a column, holds another category, an empty
        text or no reviews.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(bz2.decompress(path.read_bytes()).decode("utf-8"))))
    except (OSError, ValueError, csv.Error) as error:  # UnicodeDecodeError is a ValueError
        raise DataError(f"{path.name}: not a CSV file in UTF-8, packed by bzip2: {error}") from None
    missing = set(COLUMNS) - set(rows[0] if rows else ())
    if missing:
        raise DataError(f"{path.name} lacks {', '.join(sorted(missing))}")
    rows = [row for row in rows if row["category"] != "plot"]
    strange = {str(row["category"]) for row in rows} - set(CLASSES)
    if strange or not rows:
        found = ", ".join(sorted(strange)) or "no review"
        raise DataError(f"{path.name}: expected reviews that are fresh or rotten, found {found}")
    for number, row in enumerate(rows, start=1):
        if not row["movie_name"] or not words(row["text"] or ""):
            raise DataError(f"{path.name}: review {number} has no text or names no film")
    labels = np.array([CLASSES.index(row["category"]) for row in rows], dtype=np.int64)
    return [row["text"] for row in rows], labels, [row["movie_name"] for row in rows]


def words(text: str) -> str:
    """The text's words in lower case, one space between: what duplicates are told by."""
    return " ".join(re.findall(r"\w+", text.lower()))


def same_films(texts: list[str], films: list[str]) -> list[str]:
    """Give films that are listed under two names one of them, the first in the alphabet.

    Two names are one film where they share ``SAME_FILM`` or more identical snippets; one or two
    can be chance ("An absorbing documentary.").
    """
    named = defaultdict(set)
    for text, film in zip(texts, films, strict=True):
        named[words(text)].add(film)
    shared = Counter(pair for names in named.values() for pair in combinations(sorted(names), 2))
    name = {film: film for film in films}
    for (first, second), count in sorted(shared.items()):
        if count >= SAME_FILM:
            kept, merged = sorted((name[first], name[second]))
            name = {film: kept if now == merged else now for film, now in name.items()}
    return [name[film] for film in films]


def without_duplicates(texts: list[str], labels: np.ndarray) -> np.ndarray:
    """Row numbers of the first of equal snippets; all of them go where their labels differ."""
    rows, seen = defaultdict(list), defaultdict(set)
    for row, text in enumerate(texts):
        rows[words(text)].append(row)
        seen[words(text)].add(int(labels[row]))
    kept = [same[0] for text, same in rows.items() if len(seen[text]) == 1]
    return np.array(kept, dtype=np.int64)


def by_group(groups: np.ndarray, shares: tuple[int, ...], seed: int = 0) -> list[np.ndarray]:
    """Shuffled row numbers of each part; a group is whole in one part, which may miss its share.

    The seed belongs to the data set, not to a run: all seeds of an experiment see the same split.
    """
    if len(shares) < 2 or min(shares) < 1:
        raise ValueError(f"a split needs two or more positive shares, not {shares}")
    names, sizes = np.unique(groups, return_counts=True)
    if len(names) < len(shares):
        raise ValueError(f"{len(names)} groups are too few for {len(shares)} parts {shares}")
    random = np.random.default_rng(seed)
    order = random.permutation(len(names))
    cuts = np.cumsum(shares)[:-1] / sum(shares) * len(groups)
    part = np.searchsorted(cuts, np.cumsum(sizes[order]) - sizes[order] / 2)
    if set(part.tolist()) != set(range(len(shares))):
        raise ValueError(f"the groups are too large to be split in parts {shares}")
    chosen = [names[order[part == number]] for number in range(len(shares))]
    return [random.permutation(np.flatnonzero(np.isin(groups, some))) for some in chosen]


def load_reviews(path: Path, card: Card) -> ReviewSplits:
    """Film reviews: duplicates leave first, then whole films go to one of three parts."""
    texts, labels, films = read_reviews(path)
    films = same_films(texts, films)
    kept = without_duplicates(texts, labels)
    names, film = np.unique([films[row] for row in kept], return_inverse=True)
    film = film.astype(np.int64)
    parts = []
    for rows in by_group(film, SHARES):
        parts += [tuple(texts[kept[row]] for row in rows), labels[kept[rows]], film[rows]]
    return ReviewSplits(*parts, tuple(names.tolist()), CLASSES, card)
