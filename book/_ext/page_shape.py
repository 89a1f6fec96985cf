"""The shape of a page: standfirst, goals, predictions, figures with their code below, claims.

Sources stay plain Markdown; what they say in a fixed way is marked here, so that the style sheet
can show it and the portable edition needs nothing:

- a first paragraph that is all *emphasis* is the standfirst;
- "After this page you can" and its list are the goals;
- a paragraph, or its part, that opens with **Predict** or **Guess** is a card;
- set-up cells matter in Colab alone and are left out; imports (the cell with the banner) are folded;
- the code of a figure stands folded below it, the code of claims below their list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.writers.html5 import HTML5Translator

GOALS = re.compile(r"After this (page|chapter) you (can|know)")
ASKS = re.compile(r"(So )?(predict|guess|decide)\b", re.I)
HOLDS = "holds: "


class folded(nodes.General, nodes.Element):
    """A closed ``<details>``; ``summary`` is its line."""


def visit_folded(self: HTML5Translator, node: folded) -> None:
    """Open the details with their line."""
    self.body.append(self.starttag(node, "details"))
    self.body.append(f"<summary>{self.encode(node['summary'])}</summary>\n")


def depart_folded(self: HTML5Translator, node: folded) -> None:
    """Close what ``visit_folded`` opened."""
    self.body.append("</details>\n")


class PageShape(SphinxTransform):
    """Mark standfirst, goals and predictions."""

    default_priority = 690

    def apply(self, **_: object) -> None:
        """Mark one page, and remember its standfirst for lists of pages."""
        self.standfirst()
        for paragraph in list(self.document.findall(nodes.paragraph)):
            if isinstance(paragraph.parent, nodes.section):
                self.goals(paragraph)
                self.prediction(paragraph)

    def standfirst(self) -> None:
        """The first paragraph below the title, where all of it is emphasis."""
        title = self.document.next_node(nodes.title)
        following = title.next_node(siblings=True, ascend=False, descend=False) if title else None
        if not isinstance(following, nodes.paragraph) or len(following) != 1:
            return
        (only,) = following.children
        if isinstance(only, nodes.emphasis):
            following["classes"].append("standfirst")
            following.children = []
            following.extend(only.children)
            self.env.metadata[self.env.docname]["standfirst"] = following.astext()

    @staticmethod
    def goals(paragraph: nodes.paragraph) -> None:
        """Put the goals and their list into one box."""
        following = paragraph.next_node(siblings=True, descend=False)
        if GOALS.match(paragraph.astext()) and isinstance(following, nodes.bullet_list):
            place = paragraph.parent.index(paragraph)
            section = paragraph.parent
            section.remove(paragraph)
            section.remove(following)
            section.insert(place, nodes.container("", paragraph, following, classes=["goals"]))

    @staticmethod
    def prediction(paragraph: nodes.paragraph) -> None:
        """Make a card of what begins with **Predict** or **Guess**."""
        for place, child in enumerate(paragraph.children):
            if isinstance(child, nodes.strong) and ASKS.match(child.astext()):
                card = nodes.paragraph("", "", *paragraph.children[place:], classes=["predict"])
                before = paragraph.children[:place]
                paragraph.children = []
                paragraph.extend(before)
                paragraph.parent.insert(paragraph.parent.index(paragraph) + 1, card)
                if not paragraph.astext().strip():
                    paragraph.parent.remove(paragraph)
                return


class FoldedCode(SphinxPostTransform):
    """Fold imports, the code of figures and the code of claims; leave set-up cells out."""

    default_priority = 198  # outputs are chosen by now, and myst-nb has folded nothing yet
    formats = ("html",)

    def run(self, **_: object) -> None:
        """Fold what one page has."""
        for cell in list(self.document.findall(is_cell)):
            tags = cell.get("cell_metadata", {}).get("tags", [])
            source, output = part(cell, "cell_code_source"), part(cell, "cell_code_output")
            if source is None or cell.get("hide_mode"):
                continue
            if "setup" in tags:
                cell.parent.remove(cell)
            elif "runtime.banner()" in source.astext():
                fold(cell, [source, output], "Set-up and imports", source)
            elif output is not None and claims_of(output):
                show_claims(output)
                fold(cell, [source], "Code of these claims", source)
            elif output is not None and is_figure(source, output) and not {"pytorch", "tensorflow"} & {*tags}:
                fold(cell, [source], "Code of this figure", source)
                cell["classes"].append("figure-cell")


def is_cell(node: nodes.Node) -> bool:
    """Whether a node is a code cell."""
    return isinstance(node, nodes.container) and node.get("nb_element") == "cell_code"


def part(cell: nodes.container, name: str) -> nodes.Element | None:
    """The source or the outputs of a cell, or None."""
    return next((child for child in cell.children if child.get("nb_element") == name), None)


def is_figure(source: nodes.Element, output: nodes.Element) -> bool:
    """Whether a cell does little else than show a figure: it defines nothing that is read later."""
    code = source.astext()
    defines = re.search(r"^(def|class|for|with) ", code, re.M) and "plt." not in code
    return next(output.findall(nodes.image), None) is not None and "plots.show(" in code and not defines


def claims_of(output: nodes.Element) -> list[str]:
    """The statements of a cell whose outputs are claims that hold, and nothing else; else none."""
    lines = [line for block in output.findall(nodes.literal_block)
             for line in block.astext().splitlines() if line.strip()]
    only = not any(output.findall(nodes.image)) and all(line.startswith(HOLDS) for line in lines)
    return [line.removeprefix(HOLDS) for line in lines] if only else []


def show_claims(output: nodes.Element) -> None:
    """Show the claims as a ticked list."""
    items: Iterator[nodes.list_item] = (
        nodes.list_item("", nodes.paragraph("", "", nodes.inline("", HOLDS, classes=["visually-hidden"]),
                                            nodes.Text(statement)))
        for statement in claims_of(output))
    output.children = []
    output += nodes.bullet_list("", *list(items), classes=["claims"])


def fold(cell: nodes.container, inside: list, words: str, source: nodes.Element) -> None:
    """Move parts of a cell into details below the rest."""
    lines = len(source.astext().strip().splitlines())
    kept = [child for child in cell.children if child not in inside]
    details = folded("", *[child for child in inside if child is not None],
                     summary=f"{words}, {lines} line{'s' if lines != 1 else ''}", classes=["folded-code"])
    cell.children = []
    cell.extend([*kept, details])


def setup(app: Sphinx) -> dict[str, object]:
    """Register the transforms and the folded node."""
    app.add_node(folded, html=(visit_folded, depart_folded))
    app.add_transform(PageShape)
    app.add_post_transform(FoldedCode)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
