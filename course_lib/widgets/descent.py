"""Gradient descent with momentum on a bowl and in a ravine, to move and watch."""

from __future__ import annotations

from html import escape

import numpy as np
import traitlets

from course_lib.scratch.momentum import heavy_ball
from course_lib.widgets.base import CourseWidget, module_text

# The same numbers stand in descent.js; tests/site/test_widget.py compares them.
SURFACES = {"bowl": (25.0, 25.0), "ravine": (1.0, 25.0)}
REACH = (6.0, 3.5)
MOST_STEPS, MOST_RATE, MOST_MOMENTUM = 100, 0.16, 0.99
HEIGHTS = (0.12, 0.4, 0.8, 1.3, 1.9, 2.6, 3.4, 4.4, 5.6)


class DescentWidget(CourseWidget):
    """A map of a quadratic loss, a starting point, a learning rate, a momentum, and the path.

    The loss is (a x² + b y²) / 2 with curvatures (a, b): (25, 25) for the bowl, (1, 25) for the
    ravine. Every step is the heavy ball's, v <- momentum v + gradient, theta <- theta -
    learning_rate v, as in ``course_lib.scratch.momentum``.

    Parameters
    ----------
    surface
        "bowl" or "ravine".
    start
        Starting point (x, y), within (-6, 6) and (-3.5, 3.5).
    learning_rate
        From 0.001 to 0.16.
    momentum
        From 0 to 0.99.
    steps
        How many steps are shown, 0 to 100.
    name
        Its name in the page's address; give each widget of a page its own.
    """

    _esm = module_text("descent")
    _module, _title, _height = "descent", "Gradient descent on a bowl and in a ravine", 800

    name = traitlets.Unicode("descent")
    surface = traitlets.Enum(tuple(SURFACES), "ravine").tag(sync=True)
    start = traitlets.Tuple(
        traitlets.Float(), traitlets.Float(), default_value=(5.0, 3.0)).tag(sync=True)
    learning_rate = traitlets.Float(0.07, min=0.001, max=MOST_RATE).tag(sync=True)
    momentum = traitlets.Float(0.0, min=0.0, max=MOST_MOMENTUM).tag(sync=True)
    steps = traitlets.Int(30, min=0, max=MOST_STEPS).tag(sync=True)

    @traitlets.validate("start")
    def _check_start(self, proposal: dict) -> tuple[float, float]:
        x, y = proposal["value"]
        if not (abs(x) <= REACH[0] and abs(y) <= REACH[1]):
            raise traitlets.TraitError(
                f"start is ({x:g}, {y:g}), outside the map; give one within ±{REACH[0]:g} and"
                f" ±{REACH[1]:g}")
        return x, y

    @traitlets.validate("learning_rate", "momentum")
    def _check_number(self, proposal: dict) -> float:
        if np.isnan(proposal["value"]):
            raise traitlets.TraitError(f"{proposal['trait'].name} is not a number; give one")
        return proposal["value"]

    @property
    def path(self) -> np.ndarray:
        """The points of the path, (steps + 1, 2), by the definition in NumPy."""
        curvatures = np.array(SURFACES[self.surface])
        return heavy_ball(
            lambda theta: curvatures * theta, np.array(self.start),
            self.learning_rate, self.momentum, self.steps)

    @property
    def losses(self) -> np.ndarray:
        """The loss at each point of the path, (steps + 1,)."""
        return (self.path**2 @ np.array(SURFACES[self.surface])) / 2

    def __repr__(self) -> str:
        x, y = self.start
        return (
            f"DescentWidget(surface={self.surface!r}, start=({x:g}, {y:g}),"
            f" learning_rate={self.learning_rate:g}, momentum={self.momentum:g},"
            f" steps={self.steps})")

    def _state(self) -> dict:
        return {
            "surface": self.surface, "start": list(self.start), "steps": self.steps,
            "learning_rate": self.learning_rate, "momentum": self.momentum}

    def _still(self) -> str:
        (x, y), (end_x, end_y) = self.start, self.path[-1]
        words = (
            f"A {self.surface} from above. From ({x:g}, {y:g}), {self.steps} steps at learning rate"
            f" {self.learning_rate:g} and momentum {self.momentum:g} lead to"
            f" ({end_x:.2f}, {end_y:.2f}), loss {self.losses[-1]:.3g}.")
        return (
            f'<div class="still">{picture(self.surface, self.path, words)}<p>{escape(words)}'
            " With JavaScript you can move it.</p></div>")


def picture(surface: str, path: np.ndarray, words: str) -> str:
    """The map and a path (points, 2) as SVG, 100 units to a step of 1; ``words`` describe it."""
    width, height = 200 * REACH[0], 200 * REACH[1]
    first, second = SURFACES[surface]
    rings = "".join(
        f'<ellipse rx="{100 * half * np.sqrt(second / first):.0f}" ry="{100 * half:.0f}"/>'
        for half in reversed(HEIGHTS))
    points = np.clip(np.nan_to_num(path * [100, -100], nan=1e5), -1e5, 1e5)
    line = " ".join(f"{x:.0f},{y:.0f}" for x, y in points)
    dots = "".join(f'<circle cx="{x:.0f}" cy="{y:.0f}" r="6"/>' for x, y in points[1:])
    (x, y), (end_x, end_y) = points[0], points[-1]
    return (
        f'<svg viewBox="{-width / 2:g} {-height / 2:g} {width:g} {height:g}" role="img"'
        f' aria-label="{escape(words)}">'
        f'<g fill="#fff" fill-opacity=".24" stroke="#1259c3" stroke-opacity=".45" stroke-width="2">'
        f'<rect x="{-width / 2:g}" y="{-height / 2:g}" width="{width:g}" height="{height:g}"'
        f' fill="#1259c3" fill-opacity=".3" stroke="none"/>{rings}</g>'
        f'<path d="M-14 0h28M0-14v28" stroke="#222832" stroke-width="4"/>'
        f'<polyline points="{line}" fill="none" stroke="#b34300" stroke-width="3"/>'
        f'<g fill="#b34300">{dots}<circle cx="{end_x:.0f}" cy="{end_y:.0f}" r="13"/></g>'
        f'<circle cx="{x:.0f}" cy="{y:.0f}" r="18" fill="#fff" stroke="#b34300" stroke-width="7"/>'
        "</svg>")
