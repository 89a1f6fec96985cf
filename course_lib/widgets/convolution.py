"""A 3×3 kernel moved over a small image: window, products and sum at every position."""

from __future__ import annotations

from html import escape

import numpy as np
import traitlets

from course_lib.scratch.convolution import convolve, output_size, windows
from course_lib.widgets.base import CourseWidget, module_text

SIDE = 14  # pixels, each way
# The same numbers stand in convolution.js; tests/site/test_convolution_widget.py compares them.
KERNELS = {
    "upright": ((-1, 0, 1), (-2, 0, 2), (-1, 0, 1)),
    "level": ((-1, -2, -1), (0, 0, 0), (1, 2, 1)),
    "blur": ((0.05, 0.1, 0.05), (0.1, 0.4, 0.1), (0.05, 0.1, 0.05)),
    "sharpen": ((0, -1, 0), (-1, 5, -1), (0, -1, 0)),
}
DRAWN = """
..............
..............
...3799973....
..389636983...
..69......85..
..........96..
.........385..
.......38973..
......38963...
.....38963....
....38963.....
...3899999985.
...5888888863.
..............
""".split()


def _drawn() -> list[list[float]]:
    """A two, drawn for the widget: each digit is ninths of full ink."""
    return [[0.0 if ink == "." else round(int(ink) / 9, 2) for ink in line] for line in DRAWN]


class ConvolutionWidget(CourseWidget):
    """An image of 14×14 pixels, a 3×3 kernel, and the sum at one position of the output.

    Output (row, column) is the sum of the nine products of the kernel and the window whose first
    pixel lies at (row · stride - padding, column · stride - padding), as in
    ``course_lib.scratch.convolution.convolve`` with bias 0.

    Parameters
    ----------
    image
        14 rows of 14 pixels in 0..1; they are rounded to two decimals, so that what is shown
        is what is computed with. Without it a drawn two.
    kernel
        "upright" or "level" (edges), "blur" or "sharpen".
    row, column
        The position in the output, counted from 0.
    stride
        1 or 2.
    padding
        0 or 1 pixels of 0 on each side.
    name
        Its name in the page's address; give each widget of a page its own.
    """

    _esm = module_text("convolution")
    _module, _title, _height = "convolution", "A kernel moved over an image", 640

    name = traitlets.Unicode("convolution")
    image = traitlets.List(traitlets.List(traitlets.Float())).tag(sync=True)
    kernel = traitlets.Enum(tuple(KERNELS), "upright").tag(sync=True)
    stride = traitlets.Enum((1, 2), 1).tag(sync=True)
    padding = traitlets.Enum((0, 1), 0).tag(sync=True)
    row = traitlets.Int(4, min=0, max=SIDE - 1).tag(sync=True)
    column = traitlets.Int(8, min=0, max=SIDE - 1).tag(sync=True)

    def __init__(self, image: np.ndarray | None = None, **settings: object) -> None:
        pixels = np.asarray(_drawn() if image is None else image, dtype=np.float64)
        super().__init__(image=pixels.tolist(), **settings)
        last = self.size - 1
        if max(self.row, self.column) > last:
            raise traitlets.TraitError(
                f"row {self.row}, column {self.column} lies outside the output; with stride"
                f" {self.stride} and padding {self.padding} both go from 0 to {last}")

    @traitlets.validate("image")
    def _check_image(self, proposal: dict) -> list[list[float]]:
        rows = proposal["value"]
        if len(rows) != SIDE or any(len(row) != SIDE for row in rows):
            raise traitlets.TraitError(
                f"image has {len(rows)} rows of {sorted({len(row) for row in rows})} pixels; give"
                f" {SIDE} rows of {SIDE}")
        pixels = np.array(rows)
        if not (np.isfinite(pixels).all() and pixels.min() >= 0 and pixels.max() <= 1):
            raise traitlets.TraitError("image holds pixels outside 0..1; divide by the largest")
        return pixels.round(2).tolist()

    @property
    def size(self) -> int:
        """Rows and columns of the output."""
        return output_size(SIDE, 3, self.stride, self.padding)

    @property
    def position(self) -> tuple[int, int]:
        """Row and column; the last ones of the output where it has become smaller than that."""
        return min(self.row, self.size - 1), min(self.column, self.size - 1)

    @property
    def output(self) -> np.ndarray:
        """All sums, (size, size), by the definition in NumPy."""
        maps, kernels = np.array(self.image)[None, None], np.array(KERNELS[self.kernel])[None, None]
        return convolve(maps, kernels, np.zeros(1), self.stride, self.padding)[0, 0]

    @property
    def window(self) -> np.ndarray:
        """The nine pixels under the kernel, (3, 3); outside the image they are 0."""
        view = windows(np.array(self.image)[None, None], (3, 3), self.stride, self.padding)
        return view[0, 0, *self.position]

    def __repr__(self) -> str:
        return (
            f"ConvolutionWidget(kernel={self.kernel!r}, stride={self.stride},"
            f" padding={self.padding}, row={self.row}, column={self.column})")

    def _state(self) -> dict:
        return {
            "image": self.image, "kernel": self.kernel, "stride": self.stride,
            "padding": self.padding, "row": self.row, "column": self.column}

    def _still(self) -> str:
        weights, (row, column) = np.array(KERNELS[self.kernel]), self.position
        terms = " + ".join(f"{p:g}·({w:g})" for p, w in zip(self.window.ravel(), weights.ravel()))
        words = (
            f"A digit of {SIDE} by {SIDE} pixels under the kernel {self.kernel}. At row {row},"
            f" column {column} of the {self.size} by {self.size} output: {terms} ="
            f" {self.output[row, column]:.4g}.")
        return (
            f'<div class="still">{picture(self.image, self, words)}<p>{escape(words)}'
            " With JavaScript you can move it.</p></div>")


def picture(image: list[list[float]], at: ConvolutionWidget, words: str) -> str:
    """The image, in ten greys, and the window on it, as SVG; ``words`` describe it."""
    tenths = np.rint(np.array(image) * 10).astype(int)
    ink = "".join(
        f'<path fill-opacity="{level / 10:g}" d="'
        + "".join(f"M{x} {y}h1v1h-1z" for y, x in np.argwhere(tenths == level)) + '"/>'
        for level in range(1, 11) if (tenths == level).any())
    y, x = (place * at.stride - at.padding for place in at.position)
    return (
        f'<svg viewBox="-1 -1 {SIDE + 2} {SIDE + 2}" role="img" aria-label="{escape(words)}"'
        ' style="max-width:20rem">'
        f'<rect width="{SIDE}" height="{SIDE}" fill="none" stroke="#8a94a3" stroke-width=".1"/>'
        f'<g fill="#222832">{ink}</g><rect x="{x}" y="{y}" width="3" height="3" fill="none"'
        ' stroke="#b34300" stroke-width=".3"/></svg>')
