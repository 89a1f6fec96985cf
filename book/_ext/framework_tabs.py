"""Executed framework tabs: a cell tagged ``pytorch`` beside one tagged ``tensorflow``.

myst-nb drops code cells that are nested in a tab-set, so cells stand at top level in the
source, and are wrapped here, outputs and all. Neighbouring cells are paired block by block:
PyTorch, TensorFlow, PyTorch, TensorFlow makes two pairs; PyTorch, PyTorch, TensorFlow makes
one pair with two cells on the left. A block without a partner is shown under its framework's
name. The markup and the memory of the choice are sphinx-design's.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.writers.html5 import HTML5Translator
from sphinx_design.shared import create_component
from sphinx_design.tabs import depart_tab_label, sd_tab_label

FRAMEWORKS = {"pytorch": "PyTorch", "tensorflow": "TensorFlow"}

Block = tuple[str, list[nodes.Node]]


def framework_of(node: nodes.Node) -> str | None:
    """The framework that a cell is tagged with, or None."""
    if not isinstance(node, nodes.container) or node.get("nb_element") != "cell_code":
        return None
    tags = node["cell_metadata"].get("tags", [])
    return next((name for name in FRAMEWORKS if name in tags), None)


def blocks_of(parent: nodes.Element) -> Iterator[list[Block]]:
    """The runs of tagged cells among a node's children, each cut into blocks of one framework."""
    run: list[Block] = []
    for framework, cells in groupby(parent.children, key=framework_of):
        if framework:
            run.append((framework, list(cells)))
        elif run:
            yield run
            run = []
    if run:
        yield run


def pairs_of(run: list[Block]) -> list[list[Block]]:
    """Pair the blocks of a run two by two; an odd one out stands alone."""
    return [run[start:start + 2] for start in range(0, len(run), 2)]


def tab_item(framework: str, cells: list[nodes.Node]) -> nodes.container:
    """One tab: the framework's name and its cells."""
    label = nodes.rubric("", FRAMEWORKS[framework], classes=["sd-tab-label"],
                         sync_id=framework, sync_group="framework")
    content = create_component("tab-content", children=cells,
                               classes=["sd-tab-content", f"framework-{framework}"])
    return create_component("tab-item", children=[label, content], classes=["sd-tab-item"])


def tab_set(pair: list[Block]) -> nodes.container:
    """Both frameworks' cells, PyTorch first, as a set of tabs."""
    order = list(FRAMEWORKS)
    items = [tab_item(*block) for block in sorted(pair, key=lambda block: order.index(block[0]))]
    return create_component("tab-set", children=items, classes=["sd-tab-set", "framework-tabs"])


def alone(framework: str, cells: list[nodes.Node]) -> nodes.container:
    """Cells of one framework that have no partner: named, always shown."""
    name = nodes.paragraph("", FRAMEWORKS[framework], classes=["framework-name"])
    content = nodes.container("", *cells, classes=["framework-cells"])
    return nodes.container("", name, content, classes=["framework-alone"])


class FrameworkTabs(SphinxTransform):
    """Wrap neighbouring framework cells of a page in synced tabs."""

    default_priority = 700

    def apply(self, **_: object) -> None:
        """Wrap every run of tagged cells, in place."""
        parents = {id(cell.parent): cell.parent for cell in self.document.findall(framework_of)}
        for parent in parents.values():
            for run in list(blocks_of(parent)):
                self.wrap(parent, run)

    def wrap(self, parent: nodes.Element, run: list[Block]) -> None:
        """Put the wrapped pairs of one run where its cells were."""
        place = parent.index(run[0][1][0])
        for _, cells in run:
            for cell in cells:
                parent.remove(cell)
        new = [tab_set(pair) if len(pair) == 2 else alone(*pair[0]) for pair in pairs_of(run)]
        parent.insert(place, new)
        if any(len(pair) == 2 for pair in pairs_of(run)):
            self.env.metadata[self.env.docname]["framework_tabs"] = True


def visit_tab_label(self: HTML5Translator, node: sd_tab_label) -> None:
    """A tab's label as sphinx-design writes it, less an ARIA attribute that labels may not have."""
    attributes = {"for": node["input_id"]}
    if "sync_id" in node:
        attributes |= {"data-sync-id": node["sync_id"], "data-sync-group": node["sync_group"]}
    self.body.append(self.starttag(node, "label", "", **attributes))


def setup(app: Sphinx) -> dict[str, object]:
    """Register the transform."""
    app.setup_extension("sphinx_design")
    app.add_transform(FrameworkTabs)
    app.add_node(sd_tab_label, override=True, html=(visit_tab_label, depart_tab_label))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
