"""Loader of the Wikipedia articles: wikitext to plain text, split by article."""

from __future__ import annotations

import bz2
import html
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from course_lib.data.archive import DataError

if TYPE_CHECKING:
    from course_lib.data.registry import Card

SHARES = (8, 1, 1)  # of the articles: training, validation, test
SHORTEST = 500  # characters that an article must have after cleaning
APPENDIX = re.compile(
    r"^=+ *(?:See also|References|External links|Further reading|Notes|Bibliography|Footnotes"
    r"|Sources|Citations|Works cited|Notes and references) *=+ *$.*", re.M | re.S | re.I)
GONE = re.compile(
    r"<!--.*?-->|<ref[^>]*/>|<ref.*?</ref>|<gallery.*?</gallery>|<math.*?</math>"
    r"|<timeline.*?</timeline>|<source.*?</source>|<score.*?</score>|__[A-Z]+__",
    re.S | re.I)
INNERMOST = re.compile(r"\{\{[^{}]*\}\}|\{\|(?:(?!\{\||\|\}).)*\|\}", re.S)
PICTURE = re.compile(r"\[\[(?:File|Image|Category):(?:[^\[\]]|\[\[[^\[\]]*\]\]|\[[^\[\]]*\])*\]\]", re.I)
LINK = re.compile(r"\[\[(?:[^\[\]|]*\|)?([^\[\]|]*)\]\]")
ADDRESS = re.compile(r"\[(?:https?:|ftp:)?//[^\s\]]*(?:\s+([^\]]*))?\]")


@dataclass(frozen=True)
class Articles:
    """Plain texts of articles, split by article: ``train``, ``validation``, ``test``.

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
        return f"{self.card.name}: articles for {', '.join(words)}"


def plain_text(wikitext: str) -> str:
    """What a reader of the article sees as running text: markup, tables and lists of sources go."""
    text = GONE.sub("", APPENDIX.sub("", wikitext))
    while INNERMOST.search(text):  # templates and tables, from the inside out
        text = INNERMOST.sub("", text)
    text = PICTURE.sub("", re.sub(r"\{\{.*", "", text))  # a template that is never closed
    while LINK.search(text):
        text = LINK.sub(r"\1", text)
    text = ADDRESS.sub(lambda m: m[1] or "", text)
    text = re.sub(r"'{2,}|</?[a-z][^<>]*>", "", text, flags=re.I)
    text = re.sub(r"^=+ *(.*?) *=+ *$", r"\1", text, flags=re.M)
    text = re.sub(r"^[*#:;]+ *", "", html.unescape(html.unescape(text)), flags=re.M)
    text = re.sub(r"\( *[;,]? *\)", "", text.replace("\xa0", " "))  # left by templates
    text = re.sub(r"[ \t]+", " ", text)
    text = re.sub(r" +([,.;:)])", r"\1", text)
    return re.sub(r" *\n\s*", "\n", text).strip()


def read_dump(path: Path) -> list[tuple[str, str]]:
    """Read a dump of MediaWiki packed by bzip2: (title, wikitext) of every article.

    Redirects and pages outside the articles' namespace are left out.

    Raises
    ------
    DataError
        If the file cannot be unpacked or read, or holds no article.
    """
    try:
        root = ET.fromstring(bz2.decompress(path.read_bytes()))
    except (OSError, ValueError, EOFError, ET.ParseError) as error:
        raise DataError(f"{path.name}: not a MediaWiki dump packed by bzip2: {error}") from None
    space = root.tag.partition("}")[0] + "}" if root.tag.startswith("{") else ""
    found = []
    for page in root.iter(f"{space}page"):
        if page.find(f"{space}redirect") is None and page.findtext(f"{space}ns") == "0":
            text = page.findtext(f"{space}revision/{space}text") or ""
            found.append((page.findtext(f"{space}title") or "", text))
    if not found:
        raise DataError(f"{path.name}: holds no article (a page of namespace 0 that is no redirect)")
    return found


def load_wikipedia(path: Path, card: Card) -> Articles:
    """Clean the articles, drop stubs and copies, and split them; the split is always the same."""
    cleaned = {}
    for title, wikitext in read_dump(path):
        text = plain_text(wikitext)
        if len(text) >= SHORTEST and text not in cleaned.values():
            cleaned[title] = text
    if len(cleaned) < len(SHARES):
        raise DataError(f"{path.name}: {len(cleaned)} articles are too few to split in {SHARES}")
    titles = np.array(sorted(cleaned), dtype=object)
    order = np.random.default_rng(0).permutation(len(titles))
    cuts = np.round(np.cumsum(SHARES)[:-1] / sum(SHARES) * len(titles)).astype(int)
    parts = [tuple(titles[rows]) for rows in np.split(order, cuts)]
    texts = [tuple(cleaned[title] for title in part) for part in parts]
    return Articles(*texts, *parts, card)
