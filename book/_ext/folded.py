"""Solutions are folded away in ``<details>``: closed, opened by keyboard, no script needed.

sphinx-exercise leaves the folding to a script and puts a link into the title, which cannot be
clicked apart from the title. Here a solution with ``:class: dropdown`` becomes a ``<details>``
element whose summary is plain text.
"""

from __future__ import annotations

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.writers.html5 import HTML5Translator
from sphinx_exercise.nodes import depart_solution_node, solution_node, visit_solution_node

class PlainTitles(SphinxPostTransform):
    """Unwrap the link in a folded solution's title (after sphinx-exercise has made it)."""

    default_priority = 30
    formats = ("html",)

    def run(self, **_: object) -> None:
        """Replace the link by its children, so that numbers and formulas stay."""
        for solution in self.document.findall(solution_node):
            title = solution.next_node(nodes.title)
            if title is None or "dropdown" not in solution["classes"]:
                continue
            for link in list(title.findall(nodes.reference)):
                link.parent.replace(link, link.children)


def visit_solution(self: HTML5Translator, node: solution_node) -> None:
    """Open a folded solution; the title follows as its summary."""
    if "dropdown" not in node["classes"]:
        visit_solution_node(self, node)
        return
    node["classes"] = ["solution-folded"]
    self.body.append(self.starttag(node, "details"))
    title = node.pop(0)
    self.body.append("<summary>")
    for child in title.children:
        child.walkabout(self)
    self.body.append("</summary>\n")


def depart_solution(self: HTML5Translator, node: solution_node) -> None:
    """Close what ``visit_solution`` opened."""
    if "solution-folded" in node["classes"]:
        self.body.append("</details>\n")
    else:
        depart_solution_node(self, node)


def setup(app: Sphinx) -> dict[str, object]:
    """Register the transforms and the HTML of solutions."""
    app.setup_extension("sphinx_exercise")
    app.add_post_transform(PlainTitles)
    app.add_node(solution_node, override=True, html=(visit_solution, depart_solution))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
