"""The graph widget's Python side: its numbers are the engine's, and its settings are checked."""

import json
import math
import re

import numpy as np
import pytest
from course_lib.widgets import GraphWidget
from course_lib.widgets.graph import GRAPHS, OPERATIONS
from traitlets import TraitError

EACH = pytest.mark.parametrize("graph", GRAPHS)


def drawn(graph, seed=0):
    """A widget with random inputs."""
    values = np.random.default_rng(seed).uniform(-2, 2, len(GRAPHS[graph]["inputs"]))
    return GraphWidget(graph=graph, values=values)


def loss_of(graph, v):
    """The loss by hand, with no graph."""
    if graph == "neuron":
        return (math.tanh(v["w1"] * v["x1"] + v["w2"] * v["x2"] + v["b"]) - v["t"]) ** 2 / 2
    h = math.tanh(v["w"] * v["x"])
    out = h + v["v"] * h if graph == "skip" else v["w"] * h
    return (out - v["t"]) ** 2 / 2


@EACH
@pytest.mark.parametrize("seed", range(4))
def test_loss_and_gradients_are_those_of_the_formula(graph, seed):
    widget = drawn(graph, seed)
    inputs = dict(zip(GRAPHS[graph]["inputs"], widget.values))
    assert widget.numbers["J"] == pytest.approx(loss_of(graph, inputs), rel=1e-13)
    gradients = widget.gradients
    assert gradients["J"] == 1
    for name, value in inputs.items():
        up, down = (loss_of(graph, {**inputs, name: value + h}) for h in (1e-6, -1e-6))
        assert gradients[name] == pytest.approx((up - down) / 2e-6, abs=1e-7, rel=1e-6)


@EACH
def test_gradients_are_sums_over_uses_of_local_derivatives(graph):
    widget = drawn(graph, 7)
    gradients, local = widget.gradients, widget.local_derivatives
    for name in widget.numbers:
        uses = [(child, slope) for (child, parent), slope in local.items() if parent == name]
        assert len(uses) == (0 if name == "J" else 2 if (graph, name) in (("skip", "h"), ("shared", "w")) else 1)
        if uses:
            assert gradients[name] == pytest.approx(sum(gradients[c] * s for c, s in uses), rel=1e-13)


@EACH
def test_graphs_are_written_in_an_order_that_can_be_computed_and_drawn(graph):
    spec = GRAPHS[graph]
    there = list(spec["inputs"])
    for name, kind, *arguments in spec["nodes"]:
        assert kind in OPERATIONS and set(arguments) <= set(there) and name not in there
        for one in arguments:  # arguments stand above or beside
            assert spec["places"][one][1] <= spec["places"][name][1]
        there.append(name)
    assert set(there) == set(spec["places"]) and there[-1] == "J"
    places = list(spec["places"].values())
    for i, (column, row) in enumerate(places):  # boxes do not cover each other
        assert 0 <= column <= 3
        assert all(abs(column - c) >= 1 for c, r in places[i + 1:] if r == row)


def test_values_are_rounded_so_that_what_is_shown_is_computed_with():
    widget = GraphWidget(graph="shared", values=[1.04, -0.27, 2])
    assert widget.values == [1.0, -0.3, 2.0]
    assert widget.numbers["a"] == -0.3


@pytest.mark.parametrize(("setting", "words"), [
    ({"graph": "tree"}, "neuron"), ({"values": [1.0]}, "has the 6 inputs w1, x1, w2, x2, b, t"),
    ({"graph": "skip", "values": [0, 0, 0, 2.1]}, "outside -2..2"),
    ({"graph": "skip", "values": [0, 0, 0, float("nan")]}, "outside -2..2"),
    ({"step": -1}, "0"), ({"step": 13}, "the graph 'neuron' has 12"),
    ({"graph": "shared", "step": 11}, "the graph 'shared' has 10")])
def test_a_setting_that_is_no_graph_is_refused(setting, words):
    with pytest.raises(TraitError, match=re.escape(words)):
        GraphWidget(**setting)


@EACH
def test_settings_travel_into_the_frame_and_its_picture(graph):
    widget = GraphWidget(graph=graph, step=3)
    frame = widget.frame().replace("&#39;", "'").replace("&lt;", "<").replace("&amp;", "&")
    state = json.loads(re.search(r'start\(document\.getElementById\("widget"\), (\{.*\})\);', frame)[1])
    assert state == {"graph": graph, "values": list(GRAPHS[graph]["inputs"].values()), "step": 3}
    still = frame.split("<script")[0]
    for name, slope in widget.gradients.items():
        assert f">∂ {slope:.3f}</text>" in still and f">{name}</text>" in still
    assert f"the loss J is {widget.numbers['J']:.3f}" in still


def test_it_says_how_it_was_made():
    assert repr(GraphWidget(graph="shared", step=2)) == (
        "GraphWidget(graph='shared', values=[1.5, 0.5, 1.5], step=2)")
