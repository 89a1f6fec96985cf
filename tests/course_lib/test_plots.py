import matplotlib.pyplot as plt
import numpy as np
import pytest

from course_lib import plots


@pytest.fixture
def published(monkeypatch):
    sent = []
    monkeypatch.setattr(
        "IPython.display.publish_display_data", lambda data, metadata: sent.append((data, metadata))
    )
    return sent


def test_a_figure_is_shown_once_with_its_words(published):
    fig, ax = plt.subplots(figsize=(4, 2))
    ax.plot(np.arange(3))
    plots.show(fig, alt="A line that\n  rises from 0 to 2.")
    ((data, metadata),) = published
    assert data["image/png"].startswith(b"\x89PNG")
    assert metadata["image/png"]["alt"] == "A line that rises from 0 to 2."
    assert (metadata["image/png"]["width"], metadata["image/png"]["height"]) == (400, 200)
    assert not plt.fignum_exists(fig.number)


@pytest.mark.parametrize("alt", ["", "   ", "a figure", None])
def test_a_figure_without_words_is_refused(published, alt):
    fig, _ = plt.subplots()
    with pytest.raises(ValueError, match="alternative text"):
        plots.show(fig, alt=alt)
    assert not published
    plt.close(fig)


def test_styles_differ_in_colour_and_in_line():
    styles = [plots.PYTORCH, plots.TENSORFLOW, plots.NUMPY]
    assert len({style["color"] for style in styles}) == 3
    assert len({style["linestyle"] for style in styles}) == 3
