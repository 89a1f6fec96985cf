"""The convolution widget in a real browser: numbers, keyboard, mouse, words, address, look."""

import re
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from course_lib.scratch import convolution as scratch
from course_lib.widgets import ConvolutionWidget, convolution
from widget_frames import (
    ADDRESS, contrast, faults, listen, module_in_browser, opened, palettes, said, stop_the_clock, stops,
    wait_for_height, wait_until_heard, wait_until_said,
)

PAGE = "book/02-made-up/convolution.html"
SAID = re.compile(r"Output row \d+, column \d+ of (\d+) × \1: the nine products add up to −?\d+\.\d{2,4}\."
                  r"( The window holds no ink\.| \d of its pixels are padding\.)?")


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
    with module_in_browser(browser, "convolution", request.param == "separate") as tab:
        yield tab


def states(image=None):
    """Every kernel with every stride and padding, on a random image unless one is given."""
    random = np.random.default_rng(4)
    for kernel in convolution.KERNELS:
        for stride in (1, 2):
            for padding in (0, 1):
                pixels = random.random((14, 14)).round(2) if image is None else image
                yield ConvolutionWidget(image=pixels, kernel=kernel, stride=stride, padding=padding, row=3, column=2)


def test_sums_equal_scratch(module):
    for widget in states():
        found = np.array(module.evaluate("state => module.convolve(state)", widget._state()), float)
        kernel = np.array(convolution.KERNELS[widget.kernel], float)
        wanted = scratch.convolve(np.array(widget.image)[None, None], kernel[None, None], np.zeros(1),
                                  widget.stride, widget.padding)[0, 0]
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)
        np.testing.assert_array_equal(wanted, widget.output)


def test_terms_are_window_times_kernel(module):
    for widget in states():
        terms = module.evaluate("state => module.termsAt(state)", widget._state())
        np.testing.assert_array_equal([t["pixel"] for t in terms], widget.window.ravel())
        np.testing.assert_array_equal([t["weight"] for t in terms], np.ravel(convolution.KERNELS[widget.kernel]))
        assert sum(t["product"] for t in terms) == pytest.approx(widget.output[3, 2], abs=1e-12)
        assert not any(t["outside"] for t in terms)


def test_constants_and_sizes_equal_those_of_python(module):
    assert module.evaluate("module.KERNELS") == {
        name: [list(line) for line in kernel] for name, kernel in convolution.KERNELS.items()}
    assert module.evaluate("module.SIDE") == convolution.SIDE
    for size, kernel, stride, padding in ((14, 3, 1, 0), (14, 3, 2, 0), (14, 3, 2, 1), (28, 5, 1, 2), (9, 2, 2, 0)):
        found = module.evaluate("a => module.outputSize(...a)", [size, kernel, stride, padding])
        assert found == scratch.output_size(size, kernel, stride, padding)


@pytest.mark.parametrize(("value", "text"), [
    (0.5, "0.50"), (-1.06, "−1.06"), (0.0265, "0.0265"), (0.033, "0.033"), (0, "0.00"), (-1e-17, "0.00"), (12, "12.00")])
def test_numbers_are_shown_in_full(module, value, text):
    assert module.evaluate("v => module.exact(v)", value) == text


@pytest.mark.parametrize(("value", "text"), [(1, "1"), (-2, "−2"), (0.05, "0.05"), (0.4, "0.4"), (10, "10")])
def test_weights_are_shown_short(module, value, text):
    assert module.evaluate("v => module.exact(v, 0)", value) == text


@pytest.mark.parametrize(("setting", "words"), [
    ({}, "Output row 4, column 8 of 12 × 12: the nine products add up to 3.78."),
    ({"kernel": "blur"}, "add up to 0.222."),
    ({"kernel": "sharpen", "stride": 2, "row": 3, "column": 3}, "row 3, column 3 of 6 × 6: the nine products add up to −0.13."),
    ({"row": 0, "column": 0}, "add up to 0.00. The window holds no ink."),
    ({"padding": 1, "row": 11, "column": 13, "kernel": "blur"}, "of 14 × 14: the nine products add up to 0.0725. 3 of its pixels are padding."),
])
def test_sentences(module, setting, words):
    widget = ConvolutionWidget(**setting)
    sentence = module.evaluate("state => module.sentence(state)", widget._state())
    assert words in sentence and SAID.fullmatch(sentence)
    shown = re.search(r"add up to (−?[\d.]+\d)", sentence)[1].replace("−", "-")
    assert float(shown) == pytest.approx(widget.output[widget.position], abs=1e-12)


def test_states_survive_the_address_and_nonsense_is_passed_over(module):
    for widget in states():
        state = {key: value for key, value in widget._state().items() if key != "image"}
        there = module.evaluate("s => module.toAddress(key => s[key])", state)
        assert all(isinstance(text, str) for text in there.values())
        assert module.evaluate("texts => module.fromAddress(texts)", there) == state
    for nonsense in ({"kernel": "edge"}, {"kernel": "toString"}, {"row": "14"}, {"column": "-1"}, {"row": "1.5"},
                     {"stride": "3"}, {"stride": "0"}, {"padding": "2"}, {"padding": ""}, {"row": "<b>"}, {"image": "1"}):
        assert module.evaluate("texts => module.fromAddress(texts)", nonsense) == {}


# --- keyboard and words ---------------------------------------------------------------------


def test_all_of_it_by_keyboard_alone(made_up, context):
    tab, inside = opened(made_up, context, PAGE)
    assert stops(tab) == ["upright", "1", "0", "copy", "out"]
    assert tab.evaluate("document.activeElement.textContent") == "After the widget."  # no trap
    tab.keyboard.press("Shift+Tab")
    out = inside.get_by_role("slider", name="Position in the output")
    for key in ("ArrowRight", "ArrowDown", "ArrowDown", "ArrowLeft", "ArrowLeft", "ArrowUp"):
        tab.keyboard.press(key)
    wait_until_said(inside, "Output row 5, column 7 of 12 × 12")
    assert out.get_attribute("aria-valuetext") == "row 5, column 7"
    assert out.get_attribute("aria-valuenow") == str(5 * 12 + 7)
    tab.keyboard.press("Home")
    wait_until_said(inside, "row 5, column 0")
    tab.keyboard.press("ArrowLeft")  # the edge
    tab.keyboard.press("End")
    wait_until_said(inside, "row 5, column 11")
    for _ in range(9):
        tab.keyboard.press("ArrowDown")
    wait_until_said(inside, "row 11, column 11")

    for _ in range(2):
        tab.keyboard.press("Shift+Tab")
    tab.keyboard.press("ArrowRight")  # padding 1
    wait_until_said(inside, "of 14 × 14")
    tab.keyboard.press("Shift+Tab")
    tab.keyboard.press("ArrowRight")  # stride 2: the position must come back inside
    wait_until_said(inside, "Output row 6, column 6 of 7 × 7")
    assert inside.get_by_text("Output 7 × 7", exact=True).is_visible()
    tab.keyboard.press("Shift+Tab")
    tab.keyboard.press("ArrowRight")
    assert inside.get_by_role("radio", name="Level").is_checked()


def test_what_is_shown_adds_up(made_up, context):
    _, inside = opened(made_up, context, PAGE)
    cells = [cell.inner_text().replace("−", "-").split() for cell in inside.locator(".terms p").all()]
    assert len(cells) == 9
    products = [float(product) for _, _, _, product in cells]
    for (pixel, times, weight, _), product in zip(cells, products, strict=True):
        assert times == "×" and float(pixel) * float(weight) == pytest.approx(product)
    assert f"{sum(products):.2f}" in said(inside) == "Output row 4, column 8 of 12 × 12: the nine products add up to 3.78."


def test_changes_are_spoken_in_words_and_not_too_often(made_up, context):
    context.clock.install()
    tab, inside = opened(made_up, context, PAGE)
    live = inside.get_by_role("status")
    assert live.get_attribute("aria-live") == "polite" and live.inner_text() == ""
    listen(tab)
    stop_the_clock(tab)
    inside.locator(".out").focus()
    for _ in range(10):
        tab.keyboard.press("ArrowDown")
        tab.clock.run_for(20)
    tab.clock.run_for(900)
    spoken = tab.frames[1].evaluate("spoken")
    assert len(spoken) == 1 and SAID.fullmatch(spoken[0]) and spoken[0] == said(inside)


def test_focus_can_be_seen_on_everything(made_up, context):
    tab, _ = opened(made_up, context, PAGE)
    looks = stops(tab, look="""(() => {
        const style = getComputedStyle(at.matches(".choice input") ? at.nextElementSibling : at);
        return style.outlineStyle + style.outlineWidth;
    })()""")
    assert looks == ["solid3px"] * 5


# --- pointer and touch ----------------------------------------------------------------------


def test_the_mouse_moves_over_the_output_and_a_click_is_kept(made_up, context):
    context.clock.install()
    tab, inside = opened(made_up, context, PAGE)
    out = inside.locator(".out")
    out.scroll_into_view_if_needed()
    box = out.bounding_box()

    def centre(row, column):  # 12 cells and a margin of 0.3 on each side
        cell = box["width"] / 12.6
        return box["x"] + cell * (column + 0.8), box["y"] + cell * (row + 0.8)

    tab.mouse.move(*centre(0, 0))
    for row, column in ((2, 3), (11, 0), (0, 11), (7, 6)):
        tab.mouse.move(*centre(row, column))
        wait_until_said(inside, f"Output row {row}, column {column} of")
    stop_the_clock(tab)
    tab.clock.run_for(1000)
    wait_until_heard(tab)
    assert urlsplit(tab.url).query == ""  # passing over leaves the address alone
    tab.clock.resume()
    tab.mouse.click(*centre(7, 6))
    tab.wait_for_function("location.search.includes('convolution.row=7')")
    assert out.evaluate("node => node.matches(':focus')")
    tab.mouse.move(*centre(7, 6))
    tab.mouse.down()
    tab.mouse.move(box["x"] + 2 * box["width"], box["y"] - 50, steps=4)  # dragged out of it
    tab.mouse.up()
    wait_until_said(inside, "Output row 0, column 11 of")


def test_touch_sets_the_position_and_targets_are_large(made_up):
    with made_up.context(has_touch=True, is_mobile=True, viewport={"width": 320, "height": 700}) as context:
        _, inside = opened(made_up, context, PAGE)
        box = inside.locator(".out").bounding_box()
        inside.locator(".out").tap(position={"x": box["width"] * 3.8 / 12.6, "y": box["height"] * 5.8 / 12.6})
        wait_until_said(inside, "Output row 5, column 3 of")
        for thing in inside.locator("button, .choice label, .out").all():
            size = thing.bounding_box()
            assert size["height"] >= 24 and size["width"] >= 24, thing


# --- address --------------------------------------------------------------------------------


def test_state_goes_into_the_address_and_comes_back(made_up, context):
    tab, inside = opened(made_up, context, PAGE, "?framework=pytorch#play")
    for choice in ("Sharpen", "2"):
        inside.get_by_role("radio", name=choice).check(force=True)
    tab.wait_for_function("location.search.includes('convolution.stride=2')")
    query = urlsplit(tab.url).query
    assert {key: values[0] for key, values in parse_qs(query).items()} == {
        "framework": "pytorch", "convolution.kernel": "sharpen", "convolution.stride": "2",
        "convolution.padding": "0", "convolution.row": "4", "convolution.column": "5"}
    shown = said(inside)
    tab.reload()
    inside.locator(".copy").wait_for()
    wait_until_said(inside, shown)
    assert inside.get_by_role("radio", name="Sharpen").is_checked()


def test_a_position_outside_comes_back_inside_and_nonsense_changes_nothing(made_up, context):
    _, inside = opened(made_up, context, PAGE, "?convolution.row=13&convolution.column=2&convolution.kernel=<b>")
    wait_until_said(inside, "Output row 11, column 2 of 12 × 12")
    assert inside.get_by_role("radio", name="Upright").is_checked()


def test_a_copied_link_leads_to_what_was_seen(made_up, context):
    tab, inside = opened(made_up, context, PAGE)
    inside.locator(".out").focus()
    tab.keyboard.press("ArrowRight")
    inside.get_by_role("button", name="Copy link").click()
    inside.get_by_role("button", name="Link copied").wait_for()
    link = tab.evaluate("navigator.clipboard.readText()")
    assert link.startswith(ADDRESS + PAGE) and link.endswith("#widget-convolution") and "convolution.column=9" in link


# --- look -----------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_theme_follows_the_page_and_axe_finds_nothing(made_up, scheme):
    other = {"light": "dark", "dark": "light"}[scheme]
    with made_up.context(color_scheme=other) as context:  # the page's choice, not the system's
        context.add_init_script(f"localStorage.setItem('mode', '{scheme}'); localStorage.setItem('theme', '{scheme}')")
        tab, inside = opened(made_up, context, PAGE, "?convolution.padding=1&convolution.row=0")
        inside.locator(f'#widget[data-theme="{scheme}"]').wait_for()
        back = inside.locator(".card").evaluate("node => getComputedStyle(node).backgroundColor")
        assert back == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 30)"}[scheme]
        assert faults(Axe().run(tab.frames[1])) == []


def test_the_frame_of_the_window_can_be_seen_on_paper_and_on_ink():
    for colors in palettes():
        assert contrast(colors["path"], colors["back"]) >= 3
        assert contrast(colors["main"], colors["back"]) >= 3
        assert contrast(colors["text"], colors["back"]) >= 4.5
        assert contrast(colors["path"], colors["text"]) >= 1.5  # it also has paper beside it


@pytest.mark.parametrize("width", [320, 375, 768, 1440])
def test_it_fits_and_the_frame_is_as_high_as_the_widget(made_up, width):
    with made_up.context(viewport={"width": width, "height": 900}) as context:
        tab, inside = opened(made_up, context, PAGE, "?convolution.kernel=blur")
        wait_for_height(tab, "#widget-convolution")
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.frames[1].evaluate("document.documentElement.scrollWidth <= innerWidth")
        card = inside.locator(".card").bounding_box()
        for part in inside.locator("button, .choice, svg, .terms p, .said").all():
            box = part.bounding_box()
            assert box["x"] >= card["x"] and box["x"] + box["width"] <= card["x"] + card["width"] + 0.5
        for cell in inside.locator(".terms p").all():
            assert cell.evaluate("node => node.scrollWidth <= node.clientWidth + 1")


def test_without_a_script_a_picture_stands_there(made_up, browser):
    context = browser.new_context()
    context.route("**/*", lambda route: route.fulfill(
        path=made_up.out / urlsplit(route.request.url).path.lstrip("/"),
        headers={"Content-Security-Policy": "script-src 'none'", "Content-Type": "text/html; charset=utf-8"})
        if route.request.url == ADDRESS + PAGE else route.abort())
    tab = context.new_page()
    tab.goto(ADDRESS + PAGE)
    inside = tab.frame_locator("#widget-convolution")
    assert inside.get_by_role("img").is_visible() and inside.get_by_role("radio").count() == 0
    assert inside.get_by_text("= 3.78. With JavaScript").is_visible()
    context.close()


def test_paper_shows_picture_and_words_without_buttons(made_up):
    with made_up.context(color_scheme="dark") as context:
        tab, inside = opened(made_up, context, PAGE)
        tab.emulate_media(media="print")
        assert inside.locator(".out").is_visible() and inside.locator(".said").is_visible()
        for thing in inside.locator("button, .hint").all():
            assert thing.is_hidden()
