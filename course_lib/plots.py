"""Figures: one look, and an alternative text for every one of them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Colours of Okabe and Ito's palette, told apart by colour-blind readers; line style and width
# tell them apart in greyscale, and the wide pale line stays visible below the thin dashed one.
PYTORCH = {"color": "#D55E00", "linestyle": "-", "linewidth": 4, "alpha": 0.45, "label": "PyTorch"}
TENSORFLOW = {"color": "#0072B2", "linestyle": "--", "linewidth": 1.8, "label": "TensorFlow"}
NUMPY = {"color": "black", "linestyle": ":", "linewidth": 1.6, "label": "NumPy"}

DOTS_PER_INCH = 160  # of the stored image; pages show it at 100 to the inch, sharp on phones
SHOWN_PER_INCH = 100
SHORTEST_ALT = 16

STYLE = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.figsize": (6.4, 3.6),
    "figure.constrained_layout.use": True,
    "font.size": 11,
    "grid.alpha": 0.3,
    "legend.framealpha": 0.9,
    "savefig.facecolor": "white",
}
plt.rcParams.update(STYLE)


def show(fig: Figure, alt: str) -> None:
    """Show a figure once, with the alternative text that a screen reader speaks.

    Parameters
    ----------
    fig
        A matplotlib figure; it is closed afterwards.
    alt
        What is to be seen, in words: at least 16 characters.
    """
    if not isinstance(alt, str) or len(alt.strip()) < SHORTEST_ALT:
        raise ValueError(
            f"a figure needs an alternative text of at least {SHORTEST_ALT} characters that says"
            f" what is to be seen, not {alt!r}"
        )
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png", dpi=DOTS_PER_INCH)
    width, height = (round(inches * SHOWN_PER_INCH) for inches in fig.get_size_inches())
    plt.close(fig)
    from IPython.display import publish_display_data

    image = {"alt": " ".join(alt.split()), "width": width, "height": height}
    publish_display_data({"image/png": buffer.getvalue()}, metadata={"image/png": image})
