"""The heads of one layer of attention over a sentence: which words each word looks at."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import traitlets

from course_lib.scratch.attention import attend, sinusoidal
from course_lib.widgets.base import CourseWidget, module_text

FEWEST, MOST, HEADS, LETTERS = 2, 24, 8, 20  # words, words, heads, letters of a word
EXAMPLE = ("It’s", "not", "a", "bad", "premise,", "just", "a", "bad", "movie.")


def _drawn() -> np.ndarray:
    """Two heads (2, 9, 9) over the example: the word before, and the word itself; not trained."""
    size = len(EXAMPLE)
    places = 3 * sinusoidal(size + 2, 16)
    q = places[1 : size + 1]
    return np.stack([attend(q, k, k)[1] for k in (places[2:], q)])


class AttentionWidget(CourseWidget):
    """A sentence, and how much each of its words looks at each other word, head by head.

    Parameters
    ----------
    words
        2 to 24 words of at most 20 letters. Without them an example.
    weights
        (heads, words, words): row i of a head is what word i looks at; each row adds up to 1.
        At most 8 heads. Rounded to three decimals. Without them two heads that are made up, not
        trained: they know distances only.
    head
        1 to the number of heads, or 0 for their mean.
    word
        The word that looks, counted from 0.
    name
        Its name in the page's address; give each widget of a page its own.
    """

    _esm = module_text("attention")
    _module, _title, _height = "attention", "Which words a word looks at", 560

    name = traitlets.Unicode("attention")
    words = traitlets.List(traitlets.Unicode()).tag(sync=True)
    weights = traitlets.List(traitlets.List(traitlets.List(traitlets.Float()))).tag(sync=True)
    head = traitlets.Int(1, min=0, max=HEADS).tag(sync=True)
    word = traitlets.Int(0, min=0, max=MOST - 1).tag(sync=True)

    def __init__(
        self, words: Sequence[str] | None = None, weights: np.ndarray | None = None,
        **settings: object,
    ) -> None:
        if (words is None) != (weights is None):
            raise TypeError("give words and weights together, or neither")
        if words is None:
            words, weights = EXAMPLE, _drawn()
        array = _checked(list(words), np.asarray(weights, dtype=np.float64))
        super().__init__(words=list(words), weights=array.round(3).tolist(), **settings)
        if self.head > len(array) or self.word >= len(words):
            raise traitlets.TraitError(
                f"head {self.head}, word {self.word}: there are heads 1 to {len(array)} (0 is"
                f" their mean) and words 0 to {len(words) - 1}")

    @property
    def looks(self) -> np.ndarray:
        """How much the word looks at each word, (words,)."""
        rows = np.array(self.weights)[:, min(self.word, len(self.words) - 1)]
        return rows[min(self.head, len(rows)) - 1] if self.head else rows.mean(axis=0)

    def __repr__(self) -> str:
        return f"AttentionWidget({' '.join(self.words)!r}, head={self.head}, word={self.word})"

    def _state(self) -> dict:
        return {"words": self.words, "weights": self.weights, "head": self.head, "word": self.word}

    def _still(self) -> str:
        row, who = self.looks, f"Head {self.head}" if self.head else "Mean of the heads"
        first = [int(place) for place in np.argsort(-row, kind="stable")[:3]]
        told = ", ".join(f"“{self.words[place]}” {row[place]:.0%}" for place in first)
        words = (
            f"The sentence “{' '.join(self.words)}”, and what its words look at. {who}:"
            f" “{self.words[self.word]}” looks most at {told}.")
        return (
            f'<div class="still">{picture(self, words)}<p>{escape(words)}'
            " With JavaScript you can move it.</p></div>")


def _checked(words: list[str], weights: np.ndarray) -> np.ndarray:
    """The weights, if they belong to the words; raises ``TraitError`` where not."""
    if not FEWEST <= len(words) <= MOST or not all(0 < len(word) <= LETTERS for word in words):
        raise traitlets.TraitError(
            f"{len(words)} words: give {FEWEST} to {MOST}, each of 1 to {LETTERS} letters")
    if weights.ndim != 3 or not 1 <= len(weights) <= HEADS or weights.shape[1:] != (len(words),) * 2:
        raise traitlets.TraitError(
            f"weights have the shape {weights.shape}; give (heads, {len(words)}, {len(words)}), at"
            f" most {HEADS} heads")
    good = np.isfinite(weights).all() and weights.min() >= 0
    if not (good and np.abs(weights.sum(axis=-1) - 1).max() < 1e-3):
        raise traitlets.TraitError(
            "weights: each row must add up to 1 and hold nothing negative; take the softmax over"
            " the last axis")
    return weights


def picture(at: AttentionWidget, words: str) -> str:
    """The shares of the chosen head as a map in ten greys, as SVG; ``words`` describe it."""
    whole, size = np.array(at.weights), len(at.words)
    shares = whole[at.head - 1] if at.head else whole.mean(axis=0)
    tenths = np.rint(shares * 10).astype(int)
    cells = "".join(
        f'<path fill-opacity="{level / 10:g}" d="'
        + "".join(f"M{x} {y}h1v1h-1z" for y, x in np.argwhere(tenths == level)) + '"/>'
        for level in range(1, 11) if (tenths == level).any())
    return (
        f'<svg viewBox="-.2 -.2 {size + 0.4:g} {size + 0.4:g}" role="img"'
        f' aria-label="{escape(words)}" style="max-width:20rem">'
        f'<rect width="{size}" height="{size}" fill="none" stroke="#8a94a3" stroke-width=".1"/>'
        f'<g fill="#222832">{cells}</g><rect y="{at.word}" width="{size}" height="1" fill="none"'
        ' stroke="#b34300" stroke-width=".15"/></svg>')
