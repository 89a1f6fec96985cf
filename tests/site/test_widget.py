"""The widgets in a real browser: numbers, keyboard, words, address, themes, paper, no script."""

import re
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from course_lib.scratch.gradient_descent import gradient_descent
from course_lib.scratch.momentum import heavy_ball
from course_lib.widgets import descent
from widget_frames import (
    contrast, faults, listen, module_in_browser, palettes, said, stop_the_clock, stops, wait_for_height,
    wait_until_drawn, wait_until_heard, wait_until_said,
)
from widget_frames import opened as opened_page

PAGE = "book/02-made-up/widget.html"
ADDRESS = "https://course.test/" + PAGE
SAID = re.compile(r"After \d+ steps? at \(−?[\d.,]+, −?[\d.,]+\), loss [^:]+: [a-z ,]+\.")


@pytest.fixture
def context(made_up):
    """A fresh browser profile that may write to the clipboard."""
    context = made_up.context()
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin="https://course.test")
    yield context
    context.close()
    assert made_up.foreign == [] and made_up.complaints == []


def opened(made_up, context, query=""):
    """The tab with the widget's page, and the inside of its frame, drawn and known to the page."""
    return opened_page(made_up, context, PAGE, query)


# --- numbers --------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["joined", "separate"])
def module(browser, request):
    """A page that holds the module: as it is delivered, and from its two files."""
    with module_in_browser(browser, "descent", request.param == "separate") as tab:
        yield tab


def random_cases(count=60):
    """Settings of all kinds, diverging ones among them."""
    random = np.random.default_rng(3)
    for case in range(count):
        curvatures = [float(c) for c in random.uniform(0.1, 30, 2)]
        yield {"curvatures": curvatures, "start": [float(s) for s in random.uniform(-6, 6, 2)],
               "rate": float(random.uniform(0.001, 0.16)),
               "momentum": 0.0 if case % 3 == 0 else float(random.uniform(0, 0.99)),
               "steps": int(random.integers(0, 101))}


def test_paths_equal_scratch(module):
    cases = list(random_cases())
    paths = module.evaluate(
        "cases => cases.map(c => module.heavyBall(c.curvatures, c.start, c.rate, c.momentum, c.steps))", cases)
    for case, found in zip(cases, paths, strict=True):
        curvatures = np.array(case["curvatures"])
        ball = heavy_ball(lambda t: curvatures * t, case["start"], case["rate"], case["momentum"], case["steps"])  # noqa: B023
        found = np.array(found, np.float64)  # whole numbers come as int
        np.testing.assert_allclose(found, ball, rtol=1e-12, atol=1e-12)
        if case["momentum"] == 0:
            wanted = gradient_descent(lambda t: curvatures * t, case["start"], case["rate"], case["steps"])  # noqa: B023
            np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)


def test_losses_and_constants_equal_those_of_python(module):
    assert module.evaluate("module.SURFACES") == {k: list(v) for k, v in descent.SURFACES.items()}
    assert module.evaluate("module.REACH") == list(descent.REACH)
    assert module.evaluate("module.MOST") == {
        "steps": descent.MOST_STEPS, "learning_rate": descent.MOST_RATE, "momentum": descent.MOST_MOMENTUM}
    widget = descent.DescentWidget(start=(-4, 2.5), learning_rate=0.05, momentum=0.6, steps=25)
    losses = module.evaluate(
        "s => module.heavyBall([1, 25], s.start, s.learning_rate, s.momentum, s.steps)"
        ".map(theta => module.lossAt([1, 25], theta))", widget._state())
    np.testing.assert_allclose(losses, widget.losses, rtol=1e-12, atol=1e-12)


def test_limit_and_factor_tell_what_the_run_does(module):
    for case in random_cases(40):
        curvatures, momentum = np.array(case["curvatures"]), case["momentum"]
        limit = module.evaluate("([c, m]) => module.limitOf(c, m)", [case["curvatures"], momentum])
        for share in (0.98, 1.02):
            # By the matrix that a step multiplies (theta, velocity) by.
            wanted = [np.abs(np.linalg.eigvals([[1 - share * limit * c, -share * limit * momentum], [c, momentum]])).max()
                      for c in curvatures]
            found = [module.evaluate("([c, r, m]) => module.factor(c, r, m).size", [float(c), share * limit, momentum])
                     for c in curvatures]
            np.testing.assert_allclose(found, wanted, rtol=1e-7)
            assert (max(found) > 1) == (share > 1)


@pytest.mark.parametrize(("setting", "words"), [
    ({"steps": 0}, "After 0 steps at (5.00, 3.00), loss 125.00: this is the start."),
    ({"steps": 1}, "After 1 step at (4.65, −2.25), loss 74.09: converging, leaping from side to side."),
    ({}, "After 30 steps at (0.57, 0.00), loss 0.16: converging."),
    ({"learning_rate": 0.01}, "After 30 steps at (3.70, 0.00), loss 6.84: converging, but crawling."),
    ({"learning_rate": 0.081}, "After 30 steps at (0.40, 6.29), loss 495.06: diverging."),
    ({"learning_rate": 0.081, "start": [5, 0.5], "steps": 2}, "going to diverge."),
    ({"learning_rate": 0.08, "start": [0, 3]}, "leaping to and fro for ever."),
    ({"learning_rate": 0.08, "start": [5, 0]}, ": converging."),  # nothing moves along the steep way
    ({"learning_rate": 0.05, "momentum": 0.9}, "swinging to and fro."),
    ({"surface": "bowl", "learning_rate": 0.04}, "at (0.00, 0.00), loss 0.000: arrived at the minimum."),
    ({"learning_rate": 0.16, "steps": 100}, "over a billion"),
])
def test_sentences(module, setting, words):
    state = {**descent.DescentWidget()._state(), **setting}
    assert words in module.evaluate("state => module.sentence(state)", state)


def test_states_survive_the_address_and_nonsense_is_passed_over(module):
    random = np.random.default_rng(5)
    for _ in range(30):
        state = {"surface": str(random.choice(["bowl", "ravine"])), "steps": int(random.integers(0, 101)),
                 "start": [round(float(random.uniform(-6, 6)), 1), round(float(random.uniform(-3.5, 3.5)), 1)],
                 "learning_rate": round(float(random.uniform(0.001, 0.16)), 3),
                 "momentum": round(float(random.uniform(0, 0.99)), 2)}
        there = module.evaluate("s => module.toAddress(key => s[key])", state)
        assert all(isinstance(text, str) for text in there.values())
        assert module.evaluate("texts => module.fromAddress(texts)", there) == state
    for nonsense in ({"surface": "hill"}, {"surface": "toString"}, {"x": "7", "y": "0"}, {"x": "1"},
                     {"rate": "0"}, {"rate": "NaN"}, {"rate": "1e-2"}, {"momentum": "1"}, {"steps": "2.5"},
                     {"steps": "-1"}, {"steps": ""}, {"momentum": "<b>"}):
        assert module.evaluate("texts => module.fromAddress(texts)", nonsense) == {}


# --- keyboard and words ---------------------------------------------------------------------


def test_all_of_it_by_keyboard_alone(made_up, context):
    context.clock.install()
    tab, inside = opened(made_up, context)
    reached = stops(tab)
    assert reached == ["ravine", "copy", "handle", "main play", "step", "reset", "steps", "rate", "momentum"]
    # and out again: no trap
    assert tab.evaluate("document.activeElement.textContent") == "After the widget."
    for _ in range(9):
        tab.keyboard.press("Shift+Tab")

    tab.keyboard.press("ArrowLeft")  # the two surfaces
    wait_until_said(inside, "at (0.00, 0.00)")
    assert inside.get_by_role("radio", name="Bowl").is_checked()
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("Tab")
    tab.keyboard.press("Tab")
    handle = inside.get_by_role("slider", name="Starting point")
    for key in ("ArrowLeft", "ArrowDown", "Shift+ArrowLeft", "Shift+ArrowUp", "Shift+ArrowUp"):
        tab.keyboard.press(key)
    wait_until_said(inside, "After 30 steps at (0.44")  # 3.9 * 0.93^30
    assert handle.get_attribute("aria-valuetext") == "theta 1 is 3.9, theta 2 is 3.5"  # the edge
    assert handle.get_attribute("aria-valuenow") == "3.9"
    tab.keyboard.press("Home")
    wait_until_said(inside, "at (0.57, 0.00)")

    for _ in range(3):
        tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")  # Reset
    wait_until_said(inside, "After 0 steps")
    tab.keyboard.press("Shift+Tab")
    tab.keyboard.press("Space")  # Step
    wait_until_said(inside, "After 1 step at")
    tab.keyboard.press("Shift+Tab")
    tab.keyboard.press("Enter")  # Play
    assert inside.get_by_role("button", name="Pause").is_visible()
    wait_until_said(inside, re.compile(r"After ([4-9]|\d\d) steps"))
    tab.keyboard.press("Enter")  # Pause
    inside.get_by_role("button", name="Play").wait_for()
    stop_the_clock(tab)
    rest = said(inside)
    tab.clock.run_for(1000)  # nine steps, were it still playing
    assert said(inside) == rest and "After 100 steps" not in rest
    tab.clock.resume()

    for _ in range(4):
        tab.keyboard.press("Tab")
    rate = inside.get_by_role("slider", name="Learning rate")
    for _ in range(11):
        tab.keyboard.press("ArrowRight")
    assert rate.input_value() == "0.081"
    tab.keyboard.press("Tab")
    for _ in range(5):
        tab.keyboard.press("ArrowRight")
    assert inside.get_by_role("slider", name="Momentum").input_value() == "0.05"
    assert inside.locator("#limit").inner_text() == "limit 0.084"


def test_focus_can_be_seen_on_everything(made_up, context):
    tab, inside = opened(made_up, context)
    looks = stops(tab, look="""(() => {
        const shown = at.matches(".choice input") ? at.nextElementSibling : at.querySelector(".ring") ?? at;
        const style = getComputedStyle(shown);
        return at.querySelector(".ring") ? style.stroke : style.outlineStyle + style.outlineWidth;
    })()""")
    assert len(looks) == 9
    for look in looks:
        assert look == "solid3px" or look.startswith("rgb"), look


def test_changes_are_spoken_in_words_and_not_too_often(made_up, context):
    context.clock.install()
    tab, inside = opened(made_up, context)
    live = inside.get_by_role("status")
    assert live.get_attribute("aria-live") == "polite" and live.inner_text() == ""
    listen(tab)
    stop_the_clock(tab)
    inside.get_by_role("slider", name="Learning rate").focus()
    for _ in range(14):
        tab.keyboard.press("ArrowRight")
        tab.clock.run_for(20)
    tab.clock.run_for(900)
    spoken = tab.frames[1].evaluate("spoken")
    assert len(spoken) == 1 and SAID.fullmatch(spoken[0]) and spoken[0].endswith(": diverging.")
    assert spoken[0] == said(inside)
    inside.get_by_role("button", name="Reset").click()
    inside.get_by_role("slider", name="Learning rate").focus()
    tab.keyboard.press("Home")
    inside.get_by_role("button", name="Play").click()
    tab.clock.run_for(6000)
    inside.get_by_role("button", name="Pause").click()
    tab.clock.run_for(900)
    spoken = tab.frames[1].evaluate("spoken.slice(1)")
    assert 2 <= len(spoken) <= 4 and all(SAID.fullmatch(words) for words in spoken)
    assert "but crawling" in spoken[-1]


def test_playing_ends_with_the_last_step_and_starts_anew(made_up, context):
    tab, inside = opened(made_up, context, "?descent.steps=98&descent.rate=0.05")
    inside.get_by_role("button", name="Play").click()
    wait_until_said(inside, "After 100 steps")
    inside.get_by_role("button", name="Play").click()
    wait_until_said(inside, re.compile(r"After \d{1,2} steps"))


def test_a_run_that_flies_away_ends_by_itself(made_up, context):
    tab, inside = opened(made_up, context, "?descent.steps=0&descent.rate=0.16")
    inside.get_by_role("button", name="Play").click()
    inside.get_by_role("button", name="Play").wait_for()
    steps = int(inside.locator("input.steps").input_value())
    assert 3 <= steps <= 8 and said(inside).endswith(": diverging.")


def test_reduced_motion_shows_the_run_at_once(made_up):
    with made_up.context(reduced_motion="reduce") as context:
        context.clock.install()
        tab, inside = opened(made_up, context)
        stop_the_clock(tab)
        inside.get_by_role("button", name="Show all").click()
        tab.clock.run_for(60)
        assert said(inside).startswith("After 100 steps")
        assert inside.get_by_role("button", name="Pause").count() == 0


# --- pointer and touch ----------------------------------------------------------------------


def test_start_is_dragged_and_placed_by_a_click(made_up, context):
    tab, inside = opened(made_up, context)
    inside.locator(".map").scroll_into_view_if_needed()
    knob, box = inside.locator(".knob").bounding_box(), inside.locator(".map").bounding_box()
    tab.mouse.move(knob["x"] + knob["width"] / 2, knob["y"] + knob["height"] / 2)
    tab.mouse.down()
    tab.mouse.move(box["x"] + box["width"] / 4, box["y"] + box["height"] * 3 / 4, steps=5)
    tab.mouse.up()
    handle = inside.get_by_role("slider", name="Starting point")
    inside.locator('.handle[aria-valuetext="theta 1 is −3.0, theta 2 is −1.8"]').wait_for()
    inside.locator(".map").click(position={"x": box["width"] * 0.75, "y": box["height"] * 0.5})
    inside.locator('.handle[aria-valuetext="theta 1 is 3.0, theta 2 is 0.0"]').wait_for()
    assert handle.evaluate("node => node.matches(':focus')")


def test_touch_places_the_start_and_targets_are_large(made_up):
    with made_up.context(has_touch=True, viewport={"width": 320, "height": 700}) as context:
        tab, inside = opened(made_up, context)
        box = inside.locator(".map").bounding_box()
        # A click: Chromium's emulated finger lands some pixels off inside a sandboxed frame.
        inside.locator(".map").click(position={"x": box["width"] * 0.25, "y": box["height"] * 0.5})
        inside.locator('.handle[aria-valuetext^="theta 1 is −3.0"]').wait_for()
        for thing in inside.locator("button, .choice label, input[type=range], .handle .hit").all():
            size = thing.bounding_box()
            assert size["height"] >= 24 and size["width"] >= 24, thing


# --- address --------------------------------------------------------------------------------


def test_state_goes_into_the_address_and_comes_back(made_up, context):
    tab, inside = opened(made_up, context, "?framework=pytorch#play")
    inside.get_by_role("slider", name="Momentum").focus()
    tab.keyboard.press("End")
    inside.get_by_role("radio", name="Bowl").check(force=True)
    tab.wait_for_function("location.search.includes('descent.surface=bowl')")
    assert tab.evaluate("location.hash") == "#play"
    query = urlsplit(tab.url).query
    assert {key: values[0] for key, values in parse_qs(query).items()} == {
        "framework": "pytorch", "descent.surface": "bowl", "descent.x": "5", "descent.y": "3",
        "descent.rate": "0.07", "descent.momentum": "0.99", "descent.steps": "30"}
    shown = said(inside)
    tab.reload()
    inside.locator(".copy").wait_for()
    wait_until_said(inside, shown)
    assert inside.get_by_role("slider", name="Momentum").input_value() == "0.99"
    assert inside.get_by_role("radio", name="Bowl").is_checked()


def test_an_untouched_widget_leaves_the_address_alone(made_up, context):
    context.clock.install()
    tab, _ = opened(made_up, context)
    stop_the_clock(tab)
    tab.clock.run_for(1000)
    wait_until_heard(tab)
    assert tab.url == ADDRESS


def test_nonsense_in_the_address_changes_nothing(made_up, context):
    _, inside = opened(made_up, context, "?descent.surface=hill&descent.x=9&descent.y=<b>&descent.steps=-3")
    assert said(inside) == "After 30 steps at (0.57, 0.00), loss 0.16: converging."


def test_a_copied_link_leads_to_what_was_seen(made_up, context):
    tab, inside = opened(made_up, context)
    inside.get_by_role("slider", name="Learning rate").focus()
    tab.keyboard.press("ArrowRight")
    inside.get_by_role("button", name="Copy link").click()
    inside.get_by_role("button", name="Link copied").wait_for()
    link = tab.evaluate("navigator.clipboard.readText()")
    assert link.startswith(ADDRESS) and link.endswith("#widget-descent") and "descent.rate=0.071" in link
    shown = said(inside)
    tab.goto("about:blank")
    tab.goto(link)
    inside.locator(".copy").wait_for()
    wait_until_said(inside, shown)
    assert tab.locator("#widget-descent").evaluate("frame => frame.getBoundingClientRect().top < innerHeight / 2")


def test_a_page_takes_no_orders_from_strangers(made_up, context):
    tab, _ = opened(made_up, context)
    height = tab.locator("#widget-descent").bounding_box()["height"]
    tab.evaluate("postMessage({ course: 'widget', height: 4000, state: { rate: '0.1' } }, '*')")
    tab.frames[1].evaluate("""() => parent.postMessage({ course: 'widget', state: {
        'not.a.key': '1', rate: 'javascript:alert(1)', steps: 5, momentum: 'x'.repeat(50) } }, '*')""")
    tab.frames[1].evaluate("() => parent.postMessage({ course: 'widget', height: 1e9 }, '*')")
    wait_until_heard(tab)
    assert tab.locator("#widget-descent").bounding_box()["height"] == height
    assert "javascript" not in tab.url and "xxx" not in tab.url and "0.1" not in tab.url


# --- look -----------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_theme_follows_the_page_and_axe_finds_nothing(made_up, scheme):
    other = {"light": "dark", "dark": "light"}[scheme]
    with made_up.context(color_scheme=other) as context:  # the page's choice, not the system's
        context.add_init_script(f"localStorage.setItem('mode', '{scheme}'); localStorage.setItem('theme', '{scheme}')")
        tab, inside = opened(made_up, context)
        assert tab.evaluate("document.documentElement.dataset.theme") == scheme
        inside.locator(f'#widget[data-theme="{scheme}"]').wait_for()
        back = inside.locator(".card").evaluate("node => getComputedStyle(node).backgroundColor")
        assert back == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 30)"}[scheme]
        assert faults(Axe().run(tab.frames[1])) == []
        tab.evaluate("theme => { document.documentElement.dataset.theme = theme; }", other)
        inside.locator(f'#widget[data-theme="{other}"]').wait_for()


def test_colours_have_contrast_also_in_drawings():
    """axe does not look at drawings: the path on the darkest and the palest part of the map."""
    themes = palettes()
    assert len(themes) == 2
    for colors in themes:
        field, back = colors["field"], colors["back"]
        mixed = "#" + "".join(f"{round(0.36 * int(field[i:i+2], 16) + 0.64 * int(back[i:i+2], 16)):02x}" for i in (1, 3, 5))
        for ground in (back, mixed):
            assert contrast(colors["path"], ground) >= 3
            assert contrast(colors["text"], ground) >= 4.5
        assert contrast(colors["quiet"], back) >= 4.5 and contrast(colors["on-main"], colors["main"]) >= 4.5
        assert contrast(colors["line"], back) >= 3 and contrast(colors["main"], back) >= 3


@pytest.mark.parametrize("width", [320, 375, 768, 1440])
def test_it_fits_and_the_frame_is_as_high_as_the_widget(made_up, width):
    with made_up.context(viewport={"width": width, "height": 900}) as context:
        tab, inside = opened(made_up, context)
        wait_for_height(tab, "#widget-descent")
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.frames[1].evaluate("document.documentElement.scrollWidth <= innerWidth")
        card = inside.locator(".card").bounding_box()
        for part in inside.locator("button, .slider, .map, .chart, .said, .limit span").all():
            box = part.bounding_box()
            assert box["x"] >= card["x"] and box["x"] + box["width"] <= card["x"] + card["width"] + 0.5


def test_the_limits_name_stays_in_the_card_at_every_momentum(made_up):
    with made_up.context(viewport={"width": 320, "height": 900}) as context:
        tab, inside = opened(made_up, context)
        inside.get_by_role("slider", name="Momentum").focus()
        for key in ("Home", *["PageUp"] * 10, "End"):
            tab.keyboard.press(key)
            wait_until_drawn(tab)
            card, name = inside.locator(".card").bounding_box(), inside.locator("#limit").bounding_box()
            assert card["x"] <= name["x"] and name["x"] + name["width"] <= card["x"] + card["width"]


def test_without_a_script_a_picture_stands_there(made_up, browser):
    """Scripts are barred by a header: the browser's own switch does not reach sandboxed frames."""
    context = browser.new_context()
    context.route("**/*", lambda route: route.fulfill(
        path=made_up.out / urlsplit(route.request.url).path.lstrip("/"),
        headers={"Content-Security-Policy": "script-src 'none'", "Content-Type": "text/html; charset=utf-8"})
        if route.request.url == ADDRESS else route.abort())
    tab = context.new_page()
    tab.goto(ADDRESS)
    inside = tab.frame_locator("#widget-descent")
    assert inside.get_by_role("img").is_visible() and inside.get_by_role("button").count() == 0
    assert inside.get_by_text("lead to (0.57, 0.00), loss 0.161. With JavaScript").is_visible()
    context.close()


def test_paper_shows_picture_and_words_without_buttons(made_up):
    with made_up.context(color_scheme="dark") as context:
        tab, inside = opened(made_up, context)
        tab.emulate_media(media="print")
        assert inside.locator(".map").is_visible() and inside.locator(".said").is_visible()
        for thing in inside.locator("button, input[type=range], .hint").all():
            assert thing.is_hidden()
        back = inside.locator(".card").evaluate("node => getComputedStyle(node).backgroundColor")
        assert back == "rgb(255, 255, 255)"


def test_it_lives_in_a_page_that_does_not_know_it(browser):
    """Other viewers of notebooks answer nothing: everything works but for the link."""
    context = browser.new_context(color_scheme="dark")
    context.clock.install()
    asked = []
    context.route("**/*", lambda route: (asked.append(route.request.url), route.fulfill(
        body=f"<!doctype html><title>Any viewer</title>{descent.DescentWidget().frame()}",
        content_type="text/html; charset=utf-8")))
    tab = context.new_page()
    tab.goto("https://viewer.test/")
    inside = tab.frame_locator("iframe")
    inside.get_by_role("button", name="Step", exact=True).click()
    inside.locator(".said", has_text="After 31 steps").wait_for()
    assert inside.locator(".copy").is_hidden()
    assert inside.locator("#widget").get_attribute("data-theme") == "dark"
    stop_the_clock(tab)
    tab.clock.run_for(1000)
    tab.evaluate("() => fetch('/last').then(() => true)")
    asked = [address.removeprefix("https://viewer.test/") for address in asked]
    assert [address for address in asked if address != "favicon.ico"] == ["", "last"]
    context.close()
