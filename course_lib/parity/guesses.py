"""How guesses are tried: each says what one side may have computed, and must give its numbers."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from course_lib.parity.matching import closest

Guess = tuple[str, np.ndarray]      # in words; the numbers, in PyTorch's layout


def told_apart(guesses: Iterable[Guess], ours: np.ndarray, theirs: np.ndarray,
               tolerance: float) -> tuple[str, str, float] | None:
    """(what gives PyTorch's numbers, what gives Keras's, how far from them), where both are found."""
    named: dict[str, tuple[str, float]] = {}
    for words, value in guesses:
        for side, target in (("ours", ours), ("theirs", theirs)):
            if side not in named and value.size == target.size:
                size, _ = closest([value], target)
                if size <= tolerance:
                    named[side] = words, size
        if len(named) == 2:
            break
    if len(named) < 2 or named["ours"][0] == named["theirs"][0]:
        return None
    return named["ours"][0], named["theirs"][0], named["theirs"][1]


def distinct(earlier: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Each array once, the latest first, by the first words for it."""
    found = {}
    for name, array in earlier.items():
        found.setdefault((array.shape, array.tobytes()), (name, array))
    return dict(reversed(list(found.values())))
