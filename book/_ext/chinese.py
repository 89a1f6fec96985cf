"""Mark Chinese words in English pages as Chinese, so that they are spoken and drawn as such."""

from __future__ import annotations

import re

from sphinx.application import Sphinx

WORDS = re.compile(r"[\u3400-\u9fff]+(?:[，、：；]?[\u3400-\u9fff]+)*")
TEXT = re.compile(r"(?<=>)[^<>]+(?=<)")


def marked(body: str) -> str:
    """HTML in which every run of Chinese characters outside tags says that it is Chinese."""
    return TEXT.sub(lambda text: WORDS.sub(r'<span lang="zh-Hans">\g<0></span>', text[0]), body)


def mark_page(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Mark the body of a page that was written in English."""
    if doctree is not None and not str(app.config.language).startswith("zh"):
        context["body"] = marked(context["body"])


def setup(app: Sphinx) -> dict[str, object]:
    """Register the hook."""
    app.connect("html-page-context", mark_page)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
