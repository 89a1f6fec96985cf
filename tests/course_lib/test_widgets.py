"""The Python side of the widgets: traits, numbers, and the output that needs no kernel."""

import json
import re
import subprocess
import sys
import types
import zipfile
from html.parser import HTMLParser

import numpy as np
import pytest
from course_lib.scratch.gradient_descent import gradient_descent
from course_lib.scratch.convolution import convolve
from course_lib.widgets import AttentionWidget, ConvolutionWidget, DescentWidget, GraphWidget, base
from traitlets import TraitError

WIDGETS = [AttentionWidget, ConvolutionWidget, DescentWidget, GraphWidget]
EACH = pytest.mark.parametrize("kind", WIDGETS)


class Reader(HTMLParser):
    """The tags of a piece of HTML with their attributes, as a browser decodes them."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs) -> None:
        self.tags.append((tag, dict(attrs)))


def frame_of(widget) -> dict:
    """The attributes of the frame in a widget's HTML."""
    ((tag, attributes),) = Reader(widget.frame()).tags
    assert tag == "iframe"
    return attributes


def bundle_of(widget) -> dict:
    data, _ = widget._repr_mimebundle_()
    return data


def test_no_framework_is_imported():
    code = ("import sys, course_lib.widgets\n"
            "print(sorted({'torch', 'tensorflow', 'keras', 'jax'} & set(sys.modules)))")
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


@EACH
def test_the_output_is_live_in_a_notebook_and_html_elsewhere(kind):
    data = bundle_of(kind())
    assert set(data) == {"text/plain", "text/html", "application/vnd.jupyter.widget-view+json"}
    assert data["text/plain"] == repr(kind()) and "0x" not in data["text/plain"]
    assert data["text/html"] == bundle_of(kind())["text/html"]  # the same for every run
    assert len(json.dumps(data["text/html"])) < 32_000


@EACH
def test_the_frame_is_sandboxed_named_and_asks_nobody(kind):
    frame = frame_of(kind())
    assert frame["sandbox"] == "allow-scripts" and len(frame["title"]) > 10
    assert frame["data-course-widget"] == kind().name and frame["id"] == f"widget-{kind().name}"
    document = frame["srcdoc"]
    assert "default-src 'none'" in document
    addresses = set(re.findall(r"https?://[^\"'`\s]+", document))
    assert addresses <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"\b(fetch|XMLHttpRequest|WebSocket|import)\(", document)


@EACH
def test_the_frame_holds_the_module_and_nothing_else_can_end_its_script(kind):
    document = frame_of(kind())["srcdoc"]
    module = base.module_text(kind._module)
    assert "import {" not in module and module.count("export default") == 1
    assert kind._esm == module
    script = document.split('<script type="module">')[1]
    assert script.count("</script>") == 1
    shortened = base.without_comments(module)
    assert shortened in script
    for line in shortened.splitlines():  # all code, no comment of a line's own
        assert line and not line.startswith(("//", "/**"))
    code = [line.strip() for line in module.splitlines()]
    kept = [line for line in code if line and not re.match(r"//|/\*\*|\*", line)]
    assert kept == shortened.splitlines()


@EACH
def test_a_picture_and_words_stand_where_no_script_runs(kind):
    document = frame_of(kind())["srcdoc"].split("<script")[0]
    (picture,) = [attrs for tag, attrs in Reader(document).tags if tag == "svg"]
    assert picture["role"] == "img" and len(picture["aria-label"]) > 40
    assert "With JavaScript you can move it" in document


@EACH
def test_an_unknown_setting_is_refused_with_those_that_exist(kind):
    with pytest.raises(TypeError, match="no setting 'nonsense'; it has name, "):
        kind(nonsense=1)


@pytest.mark.parametrize("name", ["", "Two words", "a.b", "1st", '"><script>'])
def test_a_name_that_an_address_cannot_hold_is_refused(name):
    with pytest.raises(TraitError, match="small letters"):
        DescentWidget(name=name)


def test_each_module_without_its_shared_part_is_refused(tmp_path, monkeypatch):
    (tmp_path / "base.js").write_text("export const a = 1;\n")
    (tmp_path / "lost.js").write_text("export default {};\n")
    monkeypatch.setattr(base, "HERE", tmp_path)
    with pytest.raises(ValueError, match=r"lost\.js does not import"):
        base.module_text("lost")


def test_colab_is_asked_for_its_manager_of_foreign_widgets(monkeypatch):
    """Colab's own documentation asks for this call; the real Colab has not yet seen it."""
    import anywidget._util

    asked = []
    output = types.ModuleType("google.colab.output")
    output.enable_custom_widget_manager = lambda: asked.append(True)
    output._widgets = types.SimpleNamespace(_installed_url=None)
    monkeypatch.setitem(sys.modules, "google.colab.output", output)
    anywidget._util.enable_custom_widget_manager_once.cache_clear()
    DescentWidget()
    anywidget._util.enable_custom_widget_manager_once.cache_clear()
    assert asked == [True]


# --- descent --------------------------------------------------------------------------------


def test_the_path_is_the_scratch_definition():
    widget = DescentWidget(surface="ravine", start=(5, 1), learning_rate=0.077, steps=40)
    curvatures = np.array([1.0, 25.0])
    wanted = gradient_descent(lambda t: curvatures * t, [5, 1], 0.077, 40)
    np.testing.assert_array_equal(widget.path, wanted)
    np.testing.assert_allclose(widget.losses, (wanted**2 * curvatures).sum(1) / 2, rtol=1e-14)
    assert widget.losses[0] == 25.0
    widget.momentum = 0.5
    assert not np.allclose(widget.path, wanted)


@pytest.mark.parametrize(("setting", "words"), [
    ({"surface": "hill"}, "bowl"), ({"start": (7, 0)}, "outside the map"),
    ({"start": (0, -3.6)}, "outside the map"), ({"start": (float("nan"), 0)}, "outside the map"),
    ({"learning_rate": 0}, "0.001"), ({"learning_rate": 0.17}, "0.16"),
    ({"learning_rate": float("nan")}, "not a number"), ({"momentum": 1}, "0.99"),
    ({"momentum": -0.1}, "0.0"), ({"steps": 101}, "100"), ({"steps": -1}, "0"),
])
def test_a_setting_outside_the_map_is_refused(setting, words):
    with pytest.raises(TraitError, match=re.escape(words)):
        DescentWidget(**setting)


def test_settings_travel_into_the_frame_and_its_picture():
    widget = DescentWidget(surface="bowl", start=(-2, 1.5), learning_rate=0.02, momentum=0.9, steps=12)
    document = frame_of(widget)["srcdoc"]
    state = json.loads(re.search(r'start\(document\.getElementById\("widget"\), (\{.*\})\);', document)[1])
    assert state == {"surface": "bowl", "start": [-2, 1.5], "learning_rate": 0.02, "momentum": 0.9,
                     "steps": 12}
    end = widget.path[-1]
    assert f"({end[0]:.2f}, {end[1]:.2f})" in document
    (line,) = [attrs for tag, attrs in Reader(document.split("<script")[0]).tags if tag == "polyline"]
    points = np.array([point.split(",") for point in line["points"].split()], float)
    np.testing.assert_allclose(points, widget.path * [100, -100], atol=0.51)


def test_a_path_that_flies_away_can_be_drawn():
    widget = DescentWidget(learning_rate=0.16, momentum=0.0, steps=100)
    still = widget._still()
    assert "nan" not in still and "inf" not in still
    assert "e+" in still.split("loss ")[1]


# --- convolution ----------------------------------------------------------------------------


def test_output_and_window_are_the_scratch_definition():
    image = np.random.default_rng(1).random((14, 14))
    widget = ConvolutionWidget(image=image, kernel="level", stride=2, padding=1, row=0, column=6)
    kernel = np.array([[-1, -2, -1], [0, 0, 0], [1, 2, 1]])
    wanted = convolve(image.round(2)[None, None], kernel[None, None], np.zeros(1), 2, 1)[0, 0]
    np.testing.assert_array_equal(widget.output, wanted)
    np.testing.assert_array_equal(widget.window[0], 0)  # padding
    np.testing.assert_array_equal(widget.window[1:], image.round(2)[:2, 11:14])
    assert widget.size == 7 and widget.output[widget.position] == pytest.approx(np.sum(kernel * widget.window))
    widget.padding = 0  # 6 by 6: the position comes inside
    assert widget.position == (0, 5)
    np.testing.assert_array_equal(widget.window, image.round(2)[:3, 10:13])


@pytest.mark.parametrize(("setting", "words"), [
    ({"kernel": "edge"}, "upright"), ({"stride": 3}, "stride"), ({"padding": 2}, "padding"),
    ({"row": 12}, "with stride 1 and padding 0 both go from 0 to 11"),
    ({"column": 6, "stride": 2}, "both go from 0 to 5"), ({"row": -1}, "0"),
    ({"image": np.zeros((14, 13))}, "give 14 rows of 14"), ({"image": np.zeros((28, 28))}, "28 rows"),
    ({"image": np.full((14, 14), 255.0)}, "outside 0..1"), ({"image": np.full((14, 14), np.nan)}, "outside 0..1"),
])
def test_a_setting_that_is_no_convolution_is_refused(setting, words):
    with pytest.raises(TraitError, match=re.escape(words)):
        ConvolutionWidget(**setting)


def test_image_and_position_travel_into_the_frame_and_its_picture():
    image = np.zeros((14, 14))
    image[5, 6], image[6, 7] = 0.999, 0.254
    widget = ConvolutionWidget(image=image, kernel="sharpen", row=4, column=5)
    document = frame_of(widget)["srcdoc"]
    state = json.loads(re.search(r'start\(document\.getElementById\("widget"\), (\{.*\})\);', document)[1])
    assert state == widget._state() and state["image"][5][6] == 1.0 and state["image"][6][7] == 0.25
    still = document.split("<script")[0]
    assert "= 5. With" in still.replace("\n", " ") and 'x="5" y="4" width="3"' in still


def test_the_modules_travel_in_the_wheel(root, tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=root, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    written = sorted(path.name for path in base.HERE.glob("*.js"))
    assert written == ["attention.js", "base.js", "convolution.js", "descent.js", "graph.js"]
    assert {f"course_lib/widgets/{name}" for name in written} <= set(names)
