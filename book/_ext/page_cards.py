"""Cards: the pages of a chapter with a picture each, and the chapters of the course.

``{page-cards}`` stands on a chapter's landing page, ``{chapter-cards}`` on the start page. What a
card says is generated from ``_toc.yml``, the pages' titles and standfirsts, and the stored
notebooks: nothing is counted by hand.
"""

from __future__ import annotations

import base64
import json
from html import escape
from pathlib import Path

import nbformat
from docutils import nodes
from page_meta import claim_count, notebook_of, reading_minutes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective


class cards(nodes.General, nodes.Element):
    """Stands where the cards will be; ``kind`` is "pages" or "chapters"."""


class Cards(SphinxDirective):
    """The directive: remembers its place."""

    def run(self) -> list[nodes.Node]:
        """Return the placeholder, and have the page written again at every build."""
        kind = self.name.removesuffix("-cards").rstrip("s") + "s"
        self.env.metadata[self.env.docname]["cards"] = kind
        return [cards(kind=kind)]


def children(env: BuildEnvironment, docname: str) -> list[str]:
    """The pages below a page in the table of contents, in order."""
    return list(env.toctree_includes.get(docname, []))


def chapters(env: BuildEnvironment) -> list[str]:
    """The landing pages of the chapters."""
    return [name for name in children(env, env.config.root_doc) if name.endswith("/index")]


def counted(number: int, word: str) -> str:
    """``3 pages``, ``1 page``."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def picture(app: Sphinx, notebook: Path, name: str) -> tuple[str, str] | None:
    """Write a page's chosen figure beside the site's images: its file name and what it shows.

    The front matter's ``course: {picture: 2}`` chooses the second figure; else it is the first.
    """
    content = nbformat.read(notebook, as_version=4)
    figures = [out for cell in content.cells if cell.cell_type == "code" for out in cell.outputs
               if "image/png" in out.get("data", {})]
    if not figures:
        return None
    chosen = app.env.metadata[name].get("course", {})
    chosen = json.loads(chosen) if isinstance(chosen, str) else chosen
    figure = figures[min(int((chosen or {}).get("picture", 1)), len(figures)) - 1]
    target = Path(app.outdir) / "_images" / f"card-{name.replace('/', '-')}.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(base64.b64decode(figure.data["image/png"]))
    return target.name, figure.metadata.get("image/png", {}).get("alt", "")


def page_card(app: Sphinx, fromdoc: str, name: str) -> str:
    """One page as a card."""
    env = app.env
    address = app.builder.get_relative_uri(fromdoc, name)
    title, said = env.titles[name].astext(), env.metadata[name].get("standfirst", "")
    notebook, facts, shown = notebook_of(app, name), "", ""
    if notebook is not None:
        content = json.loads(notebook.read_text("utf-8"))
        facts = f"{reading_minutes(content)} minutes · {counted(claim_count(content), 'claim')}"
        if drawn := picture(app, notebook, name):
            up = "../" * fromdoc.count("/")
            shown = (f'<img src="{up}_images/{escape(drawn[0])}" alt="{escape(drawn[1])}" loading="lazy"'
                     ' width="640" height="360">')
    return (f'<li class="page-card">{shown}<div><a href="{escape(address)}">{escape(title)}</a>'
            f"<p>{escape(said)}</p><p class=\"card-facts\">{facts}</p></div></li>")


def chapter_card(app: Sphinx, fromdoc: str, name: str) -> str:
    """One chapter as a card: its pages' names and the time that they take."""
    env, pages = app.env, children(app.env, name)
    address = app.builder.get_relative_uri(fromdoc, name)
    number, title = name.split("/")[-2][:2], env.titles[name].astext()
    said = env.metadata[name].get("standfirst", "")
    notebooks = [notebook for page in pages if (notebook := notebook_of(app, page))]
    minutes = sum(reading_minutes(json.loads(path.read_text("utf-8"))) for path in notebooks)
    return (f'<li class="chapter-card"><span class="card-number">{number}</span>'
            f'<div><a href="{escape(address)}">{escape(title)}</a><p>{escape(said)}</p>'
            f'<p class="card-facts">{counted(len(pages), "page")} · {minutes} minutes</p></div></li>')


def fill(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Put the cards where their placeholder stands."""
    for place in list(doctree.findall(cards)):
        if place["kind"] == "pages":
            items = [page_card(app, docname, name) for name in children(app.env, docname)]
        else:
            items = [chapter_card(app, docname, name) for name in chapters(app.env)]
        if not items:
            place.parent.remove(place)
            continue
        html = f'<ul class="course-cards course-{place["kind"]}">{"".join(items)}</ul>'
        place.replace_self(nodes.raw("", html, format="html"))


def write_again(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Pages with cards show other pages: they are written at every build."""
    return [name for name, known in env.metadata.items() if "cards" in known]


def setup(app: Sphinx) -> dict[str, object]:
    """Register the two directives and the hooks."""
    app.add_node(cards)
    app.add_directive("page-cards", Cards)
    app.add_directive("chapter-cards", Cards)
    app.connect("doctree-resolved", fill)
    app.connect("env-updated", write_again)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
