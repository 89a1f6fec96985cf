"""Mend what the theme does that a page does not need: foreign hosts, dead scripts, redirects.

The template ``templates/layout.html`` leaves out fontawesome (1.5 MB of script) and loads the
search index on the search page alone. Here scripts that would call another host are dropped,
the rest wait until the page is parsed, and the start page becomes the root's index.html.
"""

from __future__ import annotations

import re
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

# Jupyter Book loads these whether or not a page uses them: thebe asks unpkg.com for a kernel,
# solutions fold without togglebutton's script, and there are no comments.
UNUSED = ("sphinx_thebe", "sphinx_togglebutton", "sphinx_comments")
UNUSED_STYLES = ("sphinx-thebe.css", "togglebutton.css")
DESCRIPTION_LENGTH = 155
ADDRESS = re.compile(r'(\s(?:href|src|action|data-content_root|content_root)=")([^"]*)(")')


def drop_unused(app: Sphinx) -> None:
    """Disconnect the extensions that no page uses from every event."""
    for listeners in app.events.listeners.values():
        listeners[:] = [one for one in listeners if one.handler.__module__ not in UNUSED]


def deferred(script: object) -> object:
    """A script that waits until the page is parsed; inline ones and their settings cannot."""
    name = str(getattr(script, "filename", "") or "")
    if not name or "documentation_options" in name:
        return script
    attributes = {**script.attributes, "defer": "defer"}
    return type(script)(script.filename, priority=script.priority, **attributes)


def trim_assets(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Drop unused styles; let scripts wait for the page, but for the search page's own."""
    context["css_files"] = [sheet for sheet in context["css_files"]
                            if getattr(sheet, "filename", "").split("/")[-1] not in UNUSED_STYLES]
    if templatename != "search.html":
        context["script_files"] = [deferred(script) for script in context["script_files"]]
    if doctree is not None:
        standfirst = app.env.metadata[pagename].get("standfirst", "")
        context["page_description"] = shortened(f"{standfirst} {description(doctree)}".strip())
        # docutils gives entries a role that ARIA has given up; their list asks for this one.
        context["body"] = context["body"].replace('role="doc-biblioentry"', 'role="listitem"')


def description(doctree: nodes.document) -> str:
    """The page's first paragraph, cut at a word, for search engines and previews."""
    for paragraph in doctree.findall(nodes.paragraph):
        if "standfirst" in paragraph["classes"] or paragraph.astext().startswith("After this page"):
            continue
        text = " ".join(paragraph.astext().split())
        if len(text) > 40:
            return shortened(text)
    title = doctree.next_node(nodes.title)
    return title.astext() if title else ""


def shortened(text: str) -> str:
    """At most ``DESCRIPTION_LENGTH`` characters, ending with a whole word."""
    if len(text) <= DESCRIPTION_LENGTH:
        return text
    return text[:DESCRIPTION_LENGTH].rsplit(" ", 1)[0].rstrip(",;:") + " …"


def moved_up(page: str, folder: str) -> str:
    """The HTML of a page of ``folder`` (such as "book/") with its addresses as from the root."""

    def moved(match: re.Match[str]) -> str:
        before, address, after = match.groups()
        if re.match(r"[a-z]+:|//|#|/", address):
            return match[0]
        if address.startswith("../"):
            address = address.removeprefix("../") or "./"
        else:
            address = folder + address
        return before + address + after

    return ADDRESS.sub(moved, page)


def write_index(app: Sphinx, error: Exception | None) -> None:
    """Make the start page the root's index.html, in place of Jupyter Book's redirect."""
    if error or app.builder.format != "html":
        return
    out, name = Path(app.outdir), app.config.root_doc
    page = (out / f"{name}.html").read_text("utf-8")
    folder = name.rpartition("/")[0]
    if folder:
        (out / "index.html").write_text(moved_up(page, folder + "/"), "utf-8")
    (out / ".nojekyll").touch()
    for unused in (out / "_static/scripts").glob("fontawesome.js*"):
        unused.unlink()  # the icons come from its font; no page loads the script


def setup(app: Sphinx) -> dict[str, object]:
    """Register the hooks."""
    drop_unused(app)
    app.connect("html-page-context", trim_assets, priority=900)
    app.connect("build-finished", write_index, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
