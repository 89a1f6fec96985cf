"""A small graph to step through: values forward, then local derivatives and gradients back."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import traitlets

from course_lib.scratch import autograd
from course_lib.widgets.base import CourseWidget, module_text

# Inputs with their first values, nodes as (name, operation, *arguments), and where each stands:
# (column, row). The same stands in graph.js; tests/site/test_graph_widget.py compares them.
GRAPHS = {
    "neuron": {
        "inputs": {"w1": 0.5, "x1": 1.0, "w2": -1.0, "x2": 0.5, "b": 0.4, "t": 1.0},
        "nodes": (("a", "times", "w1", "x1"), ("c", "times", "w2", "x2"), ("z", "plus", "a", "c", "b"),
                  ("h", "tanh", "z"), ("e", "minus", "h", "t"), ("J", "half square", "e")),
        "places": {"w1": (0, 0), "x1": (1, 0), "w2": (2, 0), "x2": (3, 0), "a": (0.5, 1), "b": (1.5, 1),
                   "c": (2.5, 1), "z": (1.5, 2), "h": (1.5, 3), "t": (2.7, 3), "e": (1.5, 4), "J": (1.5, 5)},
    },
    "skip": {
        "inputs": {"w": 1.0, "x": 0.5, "v": 0.8, "t": 2.0},
        "nodes": (("a", "times", "w", "x"), ("h", "tanh", "a"), ("u", "times", "v", "h"),
                  ("o", "plus", "h", "u"), ("e", "minus", "o", "t"), ("J", "half square", "e")),
        "places": {"w": (0.4, 0), "x": (1.6, 0), "a": (1, 1), "h": (1, 2), "v": (2.6, 2), "u": (2, 3),
                   "o": (1, 4), "t": (2.4, 4), "e": (1, 5), "J": (1, 6)},
    },
    "shared": {
        "inputs": {"w": 1.5, "x": 0.5, "t": 1.5},
        "nodes": (("a", "times", "w", "x"), ("h", "tanh", "a"), ("o", "times", "w", "h"),
                  ("e", "minus", "o", "t"), ("J", "half square", "e")),
        "places": {"w": (0.4, 0), "x": (2, 0), "a": (2, 1), "h": (2, 2), "o": (1.2, 3), "t": (2.6, 3),
                   "e": (1.2, 4), "J": (1.2, 5)},
    },
}
REACH = 2.0  # inputs go from -REACH to REACH

OPERATIONS = {
    "times": lambda a, b: a * b,
    "plus": lambda first, *others: sum(others, start=first),
    "minus": lambda a, b: a - b,
    "tanh": autograd.tanh,
    "half square": lambda a: a * a / 2,
}


class GraphWidget(CourseWidget):
    """A graph of a few numbers, and how far its passes forward and back have come.

    "neuron" is half the squared error of tanh(w1 x1 + w2 x2 + b) to a target t; in "skip" a value
    goes past a product and through it, h + v h with h = tanh(w x); in "shared" a weight is used
    twice, w tanh(w x). All numbers are those of ``course_lib.scratch.autograd``.

    Parameters
    ----------
    graph
        "neuron", "skip" or "shared".
    values
        The inputs from -2 to 2, in the order of ``GRAPHS[graph]["inputs"]``; they are rounded to
        one decimal, so that what is shown is what is computed with.
    step
        Steps done: one forward for each node, then one back for each.
    name
        Its name in the page's address; give each widget of a page its own.
    """

    _esm = module_text("graph")
    _module, _title, _height = "graph", "A small graph, forward and back", 900

    name = traitlets.Unicode("graph")
    graph = traitlets.Enum(tuple(GRAPHS), "neuron").tag(sync=True)
    values = traitlets.List(traitlets.Float()).tag(sync=True)
    step = traitlets.Int(0, min=0).tag(sync=True)

    def __init__(self, values: Sequence[float] | None = None, **settings: object) -> None:
        graph = settings.get("graph", "neuron")
        inputs = GRAPHS[graph]["inputs"] if graph in GRAPHS else {}
        given = list(inputs.values()) if values is None else list(values)
        super().__init__(values=given, **settings)
        if len(self.values) != len(inputs):
            raise traitlets.TraitError(
                f"values has {len(self.values)} numbers; the graph {graph!r} has the"
                f" {len(inputs)} inputs {', '.join(inputs)}")
        if self.step > self.last_step:
            raise traitlets.TraitError(
                f"step is {self.step}; the graph {graph!r} has {self.last_step}")

    @traitlets.validate("values")
    def _check_values(self, proposal: dict) -> list[float]:
        values = np.array(proposal["value"])
        if not (np.abs(values) <= REACH).all():  # so that nan is refused too
            raise traitlets.TraitError(
                f"values holds a number outside -{REACH:g}..{REACH:g}")
        return [float(value) for value in values.round(1)]

    @property
    def last_step(self) -> int:
        """The number of steps after which every gradient is known."""
        return 2 * len(GRAPHS[self.graph]["nodes"])

    def _computed(self) -> dict[str, autograd.Tensor]:
        """The tensors of all inputs and nodes by name."""
        graph = GRAPHS[self.graph]
        made = {name: autograd.Tensor(value) for name, value in zip(graph["inputs"], self.values)}
        for name, kind, *arguments in graph["nodes"]:
            made[name] = OPERATIONS[kind](*(made[one] for one in arguments))
        return made

    @property
    def numbers(self) -> dict[str, float]:
        """The value of every input and node, by the engine."""
        return {name: float(one.data) for name, one in self._computed().items()}

    @property
    def gradients(self) -> dict[str, float]:
        """The gradient of J in every input and node, by the engine."""
        made = self._computed()
        autograd.backward(made["J"])
        return {name: float(one.grad) for name, one in made.items()}

    @property
    def local_derivatives(self) -> dict[tuple[str, str], float]:
        """(node, argument) -> the derivative of one operation alone, by the engine."""
        numbers, found = self.numbers, {}
        for name, kind, *arguments in GRAPHS[self.graph]["nodes"]:
            alone = [autograd.Tensor(numbers[one]) for one in arguments]
            autograd.backward(OPERATIONS[kind](*alone))
            found.update({(name, one): float(t.grad) for one, t in zip(arguments, alone)})
        return found

    def __repr__(self) -> str:
        values = ", ".join(f"{value:g}" for value in self.values)
        return f"GraphWidget(graph={self.graph!r}, values=[{values}], step={self.step})"

    def _state(self) -> dict:
        return {"graph": self.graph, "values": self.values, "step": self.step}

    def _still(self) -> str:
        gradients = self.gradients
        inputs = ", ".join(
            f"{name} = {value:g}" for name, value in zip(GRAPHS[self.graph]["inputs"], self.values))
        slopes = ", ".join(f"{gradients[name]:.3f} in {name}" for name in GRAPHS[self.graph]["inputs"])
        words = (
            f"The graph {self.graph} with {inputs}: the loss J is {self.numbers['J']:.3f}, and its"
            f" gradient is {slopes}.")
        return (
            f'<div class="still">{picture(self, words)}<p>{escape(words)}'
            " With JavaScript you can move it.</p></div>")


def picture(widget: GraphWidget, words: str) -> str:
    """The finished graph as SVG: name, value and gradient in each box; ``words`` describe it."""
    graph, numbers, gradients = GRAPHS[widget.graph], widget.numbers, widget.gradients
    at = {name: (120 * (column + 0.5), 80 * row + 30) for name, (column, row) in graph["places"].items()}
    lines = "".join(
        f'<path d="M{at[one][0]:g} {at[one][1]:g}L{at[name][0]:g} {at[name][1]:g}"/>'
        for name, _, *arguments in graph["nodes"] for one in arguments)
    boxes = "".join(
        f'<rect x="{x - 52:g}" y="{y - 27:g}" width="104" height="54" rx="8"/>' for x, y in at.values())
    texts = "".join(
        f'<text x="{x:g}" y="{y - 9:g}">{name}</text><text x="{x:g}" y="{y + 7:g}">{numbers[name]:.3f}</text>'
        f'<text x="{x:g}" y="{y + 22:g}">∂ {gradients[name]:.3f}</text>'
        for name, (x, y) in at.items())
    height = max(y for _, y in at.values()) + 30
    return (
        f'<svg viewBox="0 0 480 {height:g}" role="img" aria-label="{escape(words)}"'
        ' style="max-width:30rem" font-size="13" text-anchor="middle">'
        f'<g fill="#fff" stroke="#8a94a3" stroke-width="1.5">{lines}{boxes}</g>'
        f'<g fill="#222832">{texts}</g></svg>')
