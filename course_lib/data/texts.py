"""What several text sets need."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def draw_texts(texts: Sequence[str], characters: int, seed: int) -> list[str]:
    """Draw texts at random until they hold so many characters; the last one is cut.

    Raises ``ValueError`` where all texts together are shorter.
    """
    have = sum(map(len, texts))
    if have < characters:
        raise ValueError(f"the texts hold {have:,} characters, fewer than {characters:,}: ask for less")
    drawn, left = [], characters
    for row in np.random.default_rng(seed).permutation(len(texts)):
        if left == 0:
            break
        drawn.append(texts[row][:left])
        left -= len(drawn[-1])
    return drawn
