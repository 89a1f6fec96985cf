"""A font with Chinese signs, so that figures can show them: fetched and checked like data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from course_lib.data.archive import DataError

if TYPE_CHECKING:
    from matplotlib.font_manager import FontProperties

    from course_lib.data.registry import Card

SIGNATURES = (b"OTTO", b"\x00\x01\x00\x00", b"true")  # OpenType and TrueType


@dataclass(frozen=True)
class Font:
    """A font file. ``ax.text(x, y, "你好", fontproperties=font.properties())`` draws with it."""

    path: Path
    card: Card

    def properties(self, **settings) -> FontProperties:
        """Matplotlib's description of the font; ``settings`` such as ``size=12`` go to it."""
        from matplotlib.font_manager import FontProperties

        return FontProperties(fname=self.path, **settings)

    def missing(self, text: str) -> list[str]:
        """The signs of a text that the font cannot draw, each once; white space apart."""
        from matplotlib.ft2font import FT2Font

        known = FT2Font(str(self.path)).get_charmap()
        return sorted({sign for sign in text if not sign.isspace() and ord(sign) not in known})

    def check(self, text: str) -> str:
        """Return the text; ``DataError`` names the signs that the font cannot draw."""
        if missing := self.missing(text):
            raise DataError(
                f"{self.card.name} has no {' '.join(missing)}: a figure would show empty boxes;"
                " leave these signs out or load another font")
        return text


def load_font(path: Path, card: Card) -> Font:
    """Take a font file; ``DataError`` where the file is none."""
    if not path.read_bytes()[:4].startswith(SIGNATURES):
        raise DataError(f"{path.name}: not an OpenType or TrueType font")
    return Font(path, card)
