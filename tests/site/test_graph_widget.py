"""The graph widget in a real browser: numbers, keyboard, words, address, look."""

import re
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from course_lib.widgets import GraphWidget, graph
from widget_frames import (
    ADDRESS, contrast, faults, listen, module_in_browser, opened, palettes, said, stop_the_clock, stops,
    wait_for_height, wait_until_said,
)

PAGE = "book/02-made-up/graph.html"
NUMBER = r"−?\d+(\.\d{1,3})?"
SAID = re.compile(rf"(Forward \d of \d: [^.]+ = .+ = {NUMBER}\.( That is the loss: now go back\.)?"
                  rf"|Back \d of \d, through \w: .+ {NUMBER}\.( Every gradient is known\.)?"
                  r"|Only the inputs are known\. .+|First forward .+|The pass forward is done\. .+)")


@pytest.fixture
def context(made_up):
    """A fresh browser profile that may write to the clipboard."""
    context = made_up.context()
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin="https://course.test")
    yield context
    context.close()
    assert made_up.foreign == [] and made_up.complaints == []


# --- numbers --------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["joined", "separate"])
def module(browser, request):
    """A page that holds the module: as it is delivered, and from its two files."""
    with module_in_browser(browser, "graph", request.param == "separate") as tab:
        yield tab


def widgets(each=4):
    """Every graph with random inputs."""
    random = np.random.default_rng(2)
    for kind in graph.GRAPHS:
        for _ in range(each):
            values = random.uniform(-2, 2, len(graph.GRAPHS[kind]["inputs"]))
            yield GraphWidget(graph=kind, values=values)


def test_graphs_equal_those_of_python(module):
    for kind, spec in graph.GRAPHS.items():
        found = module.evaluate("kind => module.GRAPHS[kind]", kind)
        assert found["inputs"] == spec["inputs"] and list(found["inputs"]) == list(spec["inputs"])
        assert found["nodes"] == [list(node) for node in spec["nodes"]]
        assert found["places"] == {name: list(place) for name, place in spec["places"].items()}
        assert module.evaluate("kind => module.lastStep(kind)", kind) == GraphWidget(graph=kind).last_step
    assert module.evaluate("Object.keys(module.GRAPHS)") == list(graph.GRAPHS)
    assert module.evaluate("module.REACH") == graph.REACH


def test_values_slopes_and_gradients_equal_the_engines(module):
    for widget in widgets():
        state = {**widget._state(), "step": widget.last_step}
        found = module.evaluate("state => module.known(state)", state)
        assert found["value"].keys() == widget.numbers.keys() and found["gradient"].keys() == widget.gradients.keys()
        for name, value in widget.numbers.items():
            assert found["value"][name] == pytest.approx(value, rel=1e-12, abs=1e-14)
            assert found["gradient"][name] == pytest.approx(widget.gradients[name], rel=1e-12, abs=1e-14)
        slopes = {(one["child"], one["parent"]): one["slope"] for one in found["local"]}
        assert slopes == pytest.approx(widget.local_derivatives, rel=1e-12, abs=1e-14)


def test_each_step_adds_one_node_and_gradients_grow_to_their_sum(module):
    for widget in widgets(1):
        nodes = graph.GRAPHS[widget.graph]["nodes"]
        for step in range(widget.last_step + 1):
            found = module.evaluate("state => module.known(state)", {**widget._state(), "step": step})
            assert len(found["value"]) == len(widget.values) + min(step, len(nodes))
            assert bool(found["gradient"]) == (step > len(nodes))
    halfway = {"graph": "skip", "values": [1, 0.5, 0.8, 2], "step": 6 + 3}  # through J, e and o
    found = module.evaluate("state => module.known(state)", halfway)
    widget = GraphWidget(graph="skip")
    assert found["gradient"]["h"] == pytest.approx(widget.gradients["e"])  # only the way past, so far
    assert found["gradient"]["h"] != pytest.approx(widget.gradients["h"])


@pytest.mark.parametrize(("value", "text"), [
    (0.5, "0.5"), (-1.0625, "−1.063"), (0, "0"), (-1e-9, "0"), (12.3456, "12.35"), (1, "1"), (-2, "−2")])
def test_numbers_are_short(module, value, text):
    assert module.evaluate("v => module.short(v)", value) == text


@pytest.mark.parametrize(("state", "words"), [
    ({"step": 0}, "Only the inputs are known."),
    ({"step": 1}, "Forward 1 of 6: a = w1 · x1 = 0.5 · 1 = 0.5."),
    ({"step": 3}, "Forward 3 of 6: z = a + c + b = 0.5 + (−0.5) + 0.4 = 0.4."),
    ({"step": 6}, "J = ½ e² = ½ (−0.62)² = 0.192. That is the loss: now go back."),
    ({"step": 7}, "Back 1 of 6, through J: e gets 1 × (−0.62) = −0.62."),
    ({"step": 12}, "Back 6 of 6, through a: w1 gets (−0.531) × 1 = −0.531; x1 gets (−0.531) × 0.5 = −0.265."
                   " Every gradient is known."),
    ({"graph": "skip", "values": [1, 0.5, 0.8, 2], "step": 10}, ", added to the −1.168 it had: −2.103."),
    ({"graph": "shared", "values": [1.5, 0.5, 1.5], "step": 10}, "it had: "),
])
def test_sentences(module, state, words):
    sentence = module.evaluate("state => module.sentence(state)", {**GraphWidget()._state(), **state})
    assert words in sentence and SAID.fullmatch(sentence), sentence


def test_states_survive_the_address_and_nonsense_is_passed_over(module):
    for widget in widgets():
        state = {**widget._state(), "step": 5}
        there = module.evaluate("s => module.toAddress(key => s[key])", state)
        assert all(re.fullmatch(r"[\w.-]{1,20}", text) for text in there.values())
        assert module.evaluate("texts => module.fromAddress(texts)", there) == state
    start = {"graph": "skip", "values": [1, 0.5, 0.8, 2], "step": 0}
    for nonsense in ({"step": "13"}, {"step": "-1"}, {"inputs": "2"}, {"inputs": "41414141"}, {"inputs": "202020"},
                     {"inputs": "<b>"}, {"step": "1.5"}):
        assert module.evaluate("texts => module.fromAddress(texts)", {"graph": "skip", **nonsense}) == start
    for nonsense in ({"graph": "tree"}, {"graph": "toString"}, {"step": "3"}, {}):
        assert module.evaluate("texts => module.fromAddress(texts)", nonsense) == {}


# --- keyboard and words ---------------------------------------------------------------------


def test_all_of_it_by_keyboard_alone(made_up, context):
    tab, inside = opened(made_up, context, PAGE)
    assert stops(tab) == ["neuron", "copy", "main forward", "main backward", "reset",
                          "w1", "x1", "w2", "x2", "b", "t"]
    assert tab.evaluate("document.activeElement.textContent") == "After the widget."  # no trap
    inside.get_by_role("button", name="Backward step").focus()
    tab.keyboard.press("Enter")
    wait_until_said(inside, "First forward to the loss J")
    inside.get_by_role("button", name="Forward step").focus()
    for _ in range(6):
        tab.keyboard.press("Enter")
    wait_until_said(inside, "That is the loss: now go back.")
    tab.keyboard.press("Space")
    wait_until_said(inside, "The pass forward is done.")
    tab.keyboard.press("Tab")
    for _ in range(6):
        tab.keyboard.press("Space")
    wait_until_said(inside, "Every gradient is known.")
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")  # Reset
    wait_until_said(inside, "Only the inputs are known.")
    inside.get_by_role("slider", name="w1").focus()
    tab.keyboard.press("ArrowRight")
    inside.locator('.graph g[aria-label="w1, an input: value 0.6"]').wait_for()
    inside.get_by_role("radio", name="Neuron").focus()
    tab.keyboard.press("ArrowRight")
    assert inside.get_by_role("radio", name="Skip").is_checked()
    inside.get_by_role("slider", name="v").wait_for()
    assert inside.get_by_role("slider").count() == 4


def test_what_is_drawn_is_the_engines(made_up, context):
    for kind in graph.GRAPHS:
        widget = GraphWidget(graph=kind)
        tab, inside = opened(made_up, context, PAGE, f"?graph.graph={kind}&graph.step={widget.last_step}")
        wait_until_said(inside, "Every gradient is known.")
        boxes = {}
        for box in inside.locator(".graph g").all():
            name, value, slope = box.locator("text").all_text_contents()
            boxes[name.split(" ")[0]] = [float(t.replace("−", "-").replace("∂\u2009", "")) for t in (value, slope)]
        assert boxes.keys() == widget.numbers.keys()
        for name, (value, slope) in boxes.items():
            assert value == pytest.approx(widget.numbers[name], abs=6e-4)
            assert slope == pytest.approx(widget.gradients[name], abs=6e-4)
        slopes = sorted(float(t.replace("−", "-").strip("×")) for t in inside.locator(".slope").all_text_contents())
        assert slopes == pytest.approx(sorted(widget.local_derivatives.values()), abs=6e-4)
        tab.close()


def test_steps_are_spoken(made_up, context):
    context.clock.install()
    tab, inside = opened(made_up, context, PAGE)
    live = inside.get_by_role("status")
    assert live.get_attribute("aria-live") == "polite" and live.inner_text() == ""
    listen(tab)
    stop_the_clock(tab)
    inside.get_by_role("button", name="Forward step").focus()
    for _ in range(3):
        tab.keyboard.press("Enter")
        tab.clock.run_for(20)
    tab.clock.run_for(900)
    spoken = tab.frames[1].evaluate("spoken")
    assert len(spoken) == 1 and SAID.fullmatch(spoken[0]) and spoken[0] == said(inside)
    assert spoken[0].startswith("Forward 3 of 6")


def test_buttons_that_do_nothing_now_say_so(made_up, context):
    tab, inside = opened(made_up, context, PAGE)
    forward, back = (inside.get_by_role("button", name=name) for name in ("Forward step", "Backward step"))
    assert [b.get_attribute("aria-disabled") for b in (forward, back)] == ["false", "true"]
    for _ in range(6):
        forward.click()
    wait_until_said(inside, "now go back")
    assert [b.get_attribute("aria-disabled") for b in (forward, back)] == ["true", "false"]


def test_focus_can_be_seen_on_everything(made_up, context):
    tab, _ = opened(made_up, context, PAGE)
    looks = stops(tab, look="""(() => {
        const style = getComputedStyle(at.matches(".choice input") ? at.nextElementSibling : at);
        return style.outlineStyle + style.outlineWidth;
    })()""")
    assert looks == ["solid3px"] * 11


# --- address --------------------------------------------------------------------------------


def test_state_goes_into_the_address_and_comes_back(made_up, context):
    tab, inside = opened(made_up, context, PAGE, "?framework=pytorch#play")
    inside.get_by_role("radio", name="Shared").check(force=True)
    inside.get_by_role("slider", name="x").focus()
    tab.keyboard.press("ArrowLeft")
    for _ in range(2):
        inside.get_by_role("button", name="Forward step").click()
    tab.wait_for_function("location.search.includes('graph.step=2')")
    query = urlsplit(tab.url).query
    assert {key: values[0] for key, values in parse_qs(query).items()} == {
        "framework": "pytorch", "graph.graph": "shared", "graph.step": "2", "graph.inputs": "352435"}
    shown = said(inside)
    tab.reload()
    inside.locator(".copy").wait_for()
    wait_until_said(inside, shown)
    assert inside.get_by_role("slider", name="x").input_value() == "0.4"


def test_nonsense_in_the_address_changes_nothing(made_up, context):
    _, inside = opened(made_up, context, PAGE, "?graph.graph=tree&graph.step=99&graph.inputs=<b>")
    assert said(inside).startswith("Only the inputs are known.")
    assert inside.get_by_role("radio", name="Neuron").is_checked()


def test_a_copied_link_leads_to_what_was_seen(made_up, context):
    tab, inside = opened(made_up, context, PAGE)
    inside.get_by_role("button", name="Forward step").click()
    inside.get_by_role("button", name="Copy link").click()
    inside.get_by_role("button", name="Link copied").wait_for()
    link = tab.evaluate("navigator.clipboard.readText()")
    assert link.startswith(ADDRESS + PAGE) and link.endswith("#widget-graph") and "graph.step=1" in link


# --- look -----------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_theme_follows_the_page_and_axe_finds_nothing(made_up, scheme):
    other = {"light": "dark", "dark": "light"}[scheme]
    with made_up.context(color_scheme=other) as context:  # the page's choice, not the system's
        context.add_init_script(f"localStorage.setItem('mode', '{scheme}'); localStorage.setItem('theme', '{scheme}')")
        tab, inside = opened(made_up, context, PAGE, "?graph.graph=skip&graph.step=10")
        inside.locator(f'#widget[data-theme="{scheme}"]').wait_for()
        back = inside.locator(".card").evaluate("node => getComputedStyle(node).backgroundColor")
        assert back == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 30)"}[scheme]
        assert faults(Axe().run(tab.frames[1])) == []


def test_drawn_numbers_and_frames_can_be_seen():
    """axe does not look at drawings."""
    for colors in palettes():
        for ink in ("text", "main"):
            assert contrast(colors[ink], colors["back"]) >= 4.5
        for line in ("path", "main", "line"):
            assert contrast(colors[line], colors["back"]) >= 3


@pytest.mark.parametrize("width", [320, 375, 768, 1440])
@pytest.mark.parametrize("kind", graph.GRAPHS)
def test_it_fits_and_nothing_covers_another(made_up, width, kind):
    lowest = "".join("00" for _ in graph.GRAPHS[kind]["inputs"])  # -2 everywhere: long numbers
    step = GraphWidget(graph=kind).last_step
    with made_up.context(viewport={"width": width, "height": 900}) as context:
        tab, inside = opened(made_up, context, PAGE, f"?graph.graph={kind}&graph.step={step}&graph.inputs={lowest}")
        wait_until_said(inside, "Every gradient is known.")
        wait_for_height(tab, "#widget-graph")
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.frames[1].evaluate("document.documentElement.scrollWidth <= innerWidth")
        card = inside.locator(".card").bounding_box()
        for part in inside.locator("button, .choice, svg, .slider, .said, .graph rect, .graph text").all():
            box = part.bounding_box()
            assert box["x"] >= card["x"] and box["x"] + box["width"] <= card["x"] + card["width"] + 0.5
        boxes = inside.locator(".graph g").all()
        for box in boxes:  # text stays inside its frame
            frame = box.locator("rect").bounding_box()
            for text in box.locator("text").all():
                one = text.bounding_box()
                assert one["x"] >= frame["x"] and one["x"] + one["width"] <= frame["x"] + frame["width"]
                assert one["y"] >= frame["y"] - 1 and one["y"] + one["height"] <= frame["y"] + frame["height"] + 1
        halo = 8  # around the letters of a label, of which the browser takes account
        labels = [{"x": b["x"] + halo, "y": b["y"] + halo, "width": b["width"] - 2 * halo, "height": b["height"] - 2 * halo}
                  for b in (label.bounding_box() for label in inside.locator(".slope").all())]
        frames = [rect.bounding_box() for rect in inside.locator(".graph rect").all()]

        def cover(a, b):
            return (min(a["x"] + a["width"], b["x"] + b["width"]) - max(a["x"], b["x"]) > 1
                    and min(a["y"] + a["height"], b["y"] + b["height"]) - max(a["y"], b["y"]) > 1)

        for i, label in enumerate(labels):
            assert not any(cover(label, other) for other in labels[i + 1:] + frames), (width, kind, i)


def test_touch_targets_are_large(made_up):
    with made_up.context(has_touch=True, is_mobile=True, viewport={"width": 320, "height": 700}) as context:
        _, inside = opened(made_up, context, PAGE)
        inside.get_by_role("button", name="Forward step").click()
        wait_until_said(inside, "Forward 1 of 6")
        for thing in inside.locator("button, .choice label, input[type=range]").all():
            size = thing.bounding_box()
            assert size["height"] >= 24 and size["width"] >= 24, thing


def test_without_a_script_a_picture_stands_there(made_up, browser):
    context = browser.new_context()
    context.route("**/*", lambda route: route.fulfill(
        path=made_up.out / urlsplit(route.request.url).path.lstrip("/"),
        headers={"Content-Security-Policy": "script-src 'none'", "Content-Type": "text/html; charset=utf-8"})
        if route.request.url == ADDRESS + PAGE else route.abort())
    tab = context.new_page()
    tab.goto(ADDRESS + PAGE)
    inside = tab.frame_locator("#widget-graph")
    assert inside.get_by_role("img").is_visible() and inside.get_by_role("radio").count() == 0
    assert inside.get_by_text("the loss J is 0.192").is_visible()
    context.close()


def test_paper_shows_graph_and_words_without_buttons(made_up):
    with made_up.context(color_scheme="dark") as context:
        tab, inside = opened(made_up, context, PAGE)
        tab.emulate_media(media="print")
        assert inside.locator(".graph").is_visible() and inside.locator(".said").is_visible()
        for thing in inside.locator("button, input[type=range]").all():
            assert thing.is_hidden()
