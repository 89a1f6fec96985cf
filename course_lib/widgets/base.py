"""What all widgets share: their module's text, and an output that lives without a kernel."""

from __future__ import annotations

import json
import re
from functools import cache
from html import escape
from pathlib import Path

import anywidget
import traitlets

HERE = Path(__file__).resolve().parent
IMPORT = re.compile(r'^import \{[^}]*\} from "\./base\.js";\n', re.M)
NAME = re.compile(r"[a-z][a-z0-9-]*")

# Nothing but the module itself runs in the frame, and nothing is fetched.
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'"
FRAME = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
<style>:root{{color-scheme:light dark}}:root[data-theme=light]{{color-scheme:light}}
:root[data-theme=dark]{{color-scheme:dark}}body{{margin:0}}
.still{{margin:0;padding:1rem;border-radius:.6rem;background:#fff;color:#222832;font:15px/1.45 system-ui,sans-serif}}
.still svg{{display:block;width:100%;height:auto}}</style></head>
<body><div id="widget">{still}</div><script type="module">
{module}
start(document.getElementById("widget"), {state});
</script></body></html>"""


@cache
def module_text(name: str) -> str:
    """The one module of a widget: ``name.js`` with ``base.js`` in place of its import of it."""
    base, own = ((HERE / f"{part}.js").read_text("utf-8") for part in ("base", name))
    if not IMPORT.search(own):
        raise ValueError(f'{name}.js does not import {{ … }} from "./base.js"')
    return IMPORT.sub(lambda match: base, own, count=1)


def without_comments(module: str) -> str:
    """A module without lines of comment, empty lines and indentation, to keep outputs small."""
    module = re.sub(r"^\s*/\*\*.*?\*/\s*$", "", module, flags=re.M | re.S)
    lines = (line.strip() for line in module.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("//"))


def _in_quotes(document: str) -> str:
    """HTML as the value of an attribute in single quotes, of which JavaScript has few."""
    return document.replace("&", "&amp;").replace("'", "&#39;").replace("<", "&lt;")


class CourseWidget(anywidget.AnyWidget):
    """A widget whose output also lives without a kernel.

    A subclass sets ``_module`` (the name of its JavaScript file), ``_title`` and ``_height`` (of
    its frame before a page gives it the height it needs), makes ``_esm`` by ``module_text``, and
    says in ``_still`` what stands where no script runs.
    """

    name = traitlets.Unicode(help="Unique on its page: its address starts with it.")
    _module, _title, _height = "", "", 0

    def __init__(self, **settings: object) -> None:
        unknown = sorted(set(settings) - set(self.trait_names()))
        if unknown:
            raise TypeError(
                f"{type(self).__name__} has no setting {unknown[0]!r}; it has"
                f" {', '.join(['name', *self._state()])}")
        super().__init__(**settings)

    @traitlets.validate("name")
    def _check_name(self, proposal: dict) -> str:
        if not NAME.fullmatch(proposal["value"]):
            raise traitlets.TraitError(
                f"name is {proposal['value']!r}; make it small letters, digits and hyphens")
        return proposal["value"]

    def _state(self) -> dict:
        """The traits that both sides share, as JSON."""
        raise NotImplementedError

    def _still(self) -> str:
        """The picture, in HTML, for a page without scripts."""
        raise NotImplementedError

    def frame(self) -> str:
        """The widget as HTML that needs no kernel, no other file and no network."""
        document = FRAME.format(
            policy=POLICY, title=escape(self._title), still=self._still(),
            module=without_comments(module_text(self._module)), state=json.dumps(self._state()))
        return (
            f'<iframe class="course-widget" id="widget-{self.name}" data-course-widget="{self.name}"'
            f' title="{escape(self._title)}" sandbox="allow-scripts" width="100%"'
            f" height=\"{self._height}\" style=\"border:0\" srcdoc='{_in_quotes(document)}'>"
            "Run this cell to see its interactive picture.</iframe>")

    def _repr_mimebundle_(self, **kwargs: object) -> tuple[dict, dict] | None:
        """anywidget's own bundle, and text/html for where there is no kernel."""
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is None:
            return None
        data, metadata = bundle
        return {**data, "text/html": self.frame(), "text/plain": repr(self)}, metadata
