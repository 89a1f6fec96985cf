"""Formulas as MathML, drawn at build time: no script, no other host, readable aloud.

A renderer for Sphinx's mathematics (``html_math_renderer: mathml``). Equation numbers and
references are Sphinx's own. A formula that cannot be drawn stops the build.
"""

from __future__ import annotations

from functools import lru_cache

from course_tools.site import BuildStopped
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.locale import _
from sphinx.util.math import get_node_equation_number
from sphinx.writers.html5 import HTML5Translator
from tex_to_mathml import FormulaError, formula


@lru_cache(maxsize=4096)
def draw(tex: str, display: bool) -> str:
    """The MathML of a formula; formulas repeat, so each is drawn once."""
    return formula(tex, display=display)


def mathml(self: HTML5Translator, node: nodes.Element, *, display: bool) -> str:
    """The MathML of a node, or an error that names the page, the line and the formula."""
    try:
        return draw(node.astext(), display)
    except FormulaError as error:
        raise BuildStopped(
            f"{node.source or self.builder.current_docname}, line {node.line}: {error} "
            f"in the formula: {node.astext().strip()}"
        ) from error


def visit_inline(self: HTML5Translator, node: nodes.math) -> None:
    """A formula inside a sentence."""
    self.body.append(f'<span class="math">{mathml(self, node, display=False)}</span>')
    raise nodes.SkipNode


def visit_block(self: HTML5Translator, node: nodes.math_block) -> None:
    """A formula of its own, with its number where it has one."""
    self.body.append(self.starttag(node, "div", CLASS="math-block"))
    drawn = mathml(self, node, display=True)
    self.body.append(f'<div class="math-scroll">{drawn}</div>')
    if node["number"]:
        number = get_node_equation_number(self, node)
        self.body.append(f'<span class="eqno">({number})')
        self.add_permalink_ref(node, _("Link to this equation"))
        self.body.append("</span>")
    self.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, object]:
    """Register the renderer."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
