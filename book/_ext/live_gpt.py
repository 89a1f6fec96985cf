"""The directive ``live-gpt``: a recorded sample, and a model that writes on when a reader asks.

The page itself carries the sample and one small script; the model's files lie in
``book/assets/gpt`` and are loaded by that script (see there) and by no other page.
"""

from __future__ import annotations

import hashlib
from html import escape
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

from course_tools.browser_model import FILES, about_files, about_sample, read_record

FOLDER = "book/assets/gpt"
BOX = """<div id="live-gpt" class="live-gpt" data-size="{size}" data-version="{version}"
 data-start="{start}"><div class="live-sample"><p class="live-quiet">{about}</p>
<pre>{sample}</pre></div><p class="live-quiet">{files}</p></div>"""


class LiveGPT(Directive):
    """The sample in plain text; what the script needs to know stands in its attributes."""

    has_content = False

    def run(self) -> list[nodes.Node]:
        """Read the record of the packed model; its change renews the page."""
        env = self.state.document.settings.env
        folder = Path(env.srcdir) / FOLDER
        files = [folder / name for name in FILES]
        for path in [*files, folder / "record.json"]:
            env.note_dependency(str(path))
        record = read_record(folder)
        size = sum(path.stat().st_size for path in files)
        version = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:8]
        html = BOX.format(
            size=f"{size / 1e6:.1f} MB",
            version=version,
            start=escape(record["start"]).replace("\n", "&#10;"),
            about=escape(about_sample(record)),
            files=escape(about_files(record)),
            sample=escape(record["start"] + record["sample"]),
        )
        env.metadata[env.docname]["live_gpt"] = True
        return [nodes.raw("", html, format="html")]


def add_files(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Script and style on the pages that hold the directive, and on no other."""
    if app.env.metadata.get(pagename, {}).get("live_gpt"):
        app.add_css_file("gpt/live.css")
        app.add_js_file("gpt/live.js", loading_method="defer")


def setup(app: Sphinx) -> dict[str, object]:
    """Register the directive and the hook."""
    app.add_directive("live-gpt", LiveGPT)
    app.connect("html-page-context", add_files)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
