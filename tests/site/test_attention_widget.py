"""The attention widget in a real browser: numbers, keyboard, mouse, touch, words, address, look."""

import re
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from course_lib.widgets import AttentionWidget
from widget_frames import (
    ADDRESS, contrast, faults, listen, module_in_browser, opened, palettes, said, stop_the_clock, stops,
    wait_for_height, wait_until_said,
)

PAGE = "book/02-made-up/attention.html"
SAID = re.compile(r"(Head \d|Mean of the heads): “[^”]+” looks most at “[^”]+” (\d+|under 1) %"
                  r"(, “[^”]+” (\d+|under 1) %)* and “[^”]+” (\d+|under 1) %\.")


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
    with module_in_browser(browser, "attention", request.param == "separate") as tab:
        yield tab


def drawn(heads=3, words=5):
    """A widget with random weights."""
    weights = np.random.default_rng(5).dirichlet(np.ones(words), (heads, words))
    return AttentionWidget(words=[f"w{n}" for n in range(words)], weights=weights)


def test_rows_and_their_mean_equal_those_of_python(module):
    widget = drawn()
    for widget.head in range(4):
        for widget.word in range(5):
            found = module.evaluate("state => module.looks(state)", widget._state())
            np.testing.assert_allclose(found, widget.looks, rtol=1e-12, atol=1e-15)
            assert sum(found) == pytest.approx(1, abs=0.003)


def test_the_most_looked_at_come_first_and_ties_in_order(module):
    assert module.evaluate("module.most([0.1, 0.4, 0.4, 0.1])") == [1, 2, 0]


@pytest.mark.parametrize(("share", "text"), [
    (0.4137, "41 %"), (1, "100 %"), (0, "0 %"), (0.004, "under 1 %"), (0.005, "1 %")])
def test_shares_in_per_cent(module, share, text):
    assert module.evaluate("v => module.percent(v)", share) == text


def test_sentences(module):
    weights = [[[0.7, 0.296, 0.004], [0.2, 0.5, 0.3], [0, 0, 1]], [[0.1, 0.8, 0.1]] * 3]
    widget = AttentionWidget(words=["no", "bad", "film"], weights=weights)
    sentence = module.evaluate("state => module.sentence(state)", widget._state())
    assert sentence == "Head 1: “no” looks most at “no” 70 %, “bad” 30 % and “film” under 1 %."
    widget.head = 0
    sentence = module.evaluate("state => module.sentence(state)", widget._state())
    assert sentence == "Mean of the heads: “no” looks most at “bad” 55 %, “no” 40 % and “film” 5 %."
    assert SAID.fullmatch(sentence)


def test_states_survive_the_address_and_nonsense_is_passed_over(module):
    for state in ({"head": 0, "word": 3}, {"head": 2, "word": 0}):
        there = module.evaluate("s => module.toAddress(key => s[key])", state)
        assert all(isinstance(text, str) for text in there.values())
        assert module.evaluate("texts => module.fromAddress(texts)", there) == state
    for nonsense in ({"head": "-1"}, {"word": "1.5"}, {"word": ""}, {"head": "<b>"}, {"word": "100"}, {"words": "1"}):
        assert module.evaluate("texts => module.fromAddress(texts)", nonsense) == {}


# --- keyboard and words ---------------------------------------------------------------------


def test_all_of_it_by_keyboard_alone(made_up, context):
    tab, inside = opened(made_up, context, PAGE)
    assert stops(tab, look="at.name || at.className") == ["head", "copy", "word"]
    assert tab.evaluate("document.activeElement.textContent") == "After the widget."  # no trap
    tab.keyboard.press("Shift+Tab")
    for _ in range(3):
        tab.keyboard.press("ArrowRight")
    wait_until_said(inside, "Head 1: “bad” looks most at")
    tab.keyboard.press("ArrowLeft")
    wait_until_said(inside, "Head 1: “a” looks most at")
    assert inside.locator("input[name=word]:checked").get_attribute("value") == "2"
    for _ in range(2):
        tab.keyboard.press("Shift+Tab")
    tab.keyboard.press("ArrowRight")
    wait_until_said(inside, "Head 2: “a” looks most at")
    tab.keyboard.press("ArrowRight")
    wait_until_said(inside, "Mean of the heads: “a” looks most at")


def test_each_word_shows_its_share(made_up, context):
    _, inside = opened(made_up, context, PAGE)
    widget = AttentionWidget()
    shown = [text.replace("< ", "") for text in inside.locator(".words small").all_inner_texts()]
    assert [float(text.split()[0]) for text in shown] == pytest.approx(
        [max(100 * share, 1 if share else 0) for share in widget.looks], abs=0.51)
    assert inside.locator(".words b").all_inner_texts() == widget.words
    wide = inside.locator(".words i").evaluate_all(
        "nodes => nodes.map(n => parseFloat(getComputedStyle(n, '::before').width) / n.clientWidth)")
    assert wide == pytest.approx(list(widget.looks), abs=0.01)


def test_changes_are_spoken_in_words_and_not_too_often(made_up, context):
    context.clock.install()
    tab, inside = opened(made_up, context, PAGE)
    live = inside.get_by_role("status")
    assert live.get_attribute("aria-live") == "polite" and live.inner_text() == ""
    listen(tab)
    stop_the_clock(tab)
    inside.locator("input[name=word]").first.focus()
    for _ in range(5):
        tab.keyboard.press("ArrowRight")
        tab.clock.run_for(20)
    tab.clock.run_for(900)
    spoken = tab.frames[1].evaluate("spoken")
    assert len(spoken) == 1 and SAID.fullmatch(spoken[0]) and spoken[0] == said(inside)


def test_focus_can_be_seen_on_everything(made_up, context):
    tab, _ = opened(made_up, context, PAGE)
    looks = stops(tab, look="""(() => {
        const style = getComputedStyle(at.matches("input") ? at.nextElementSibling : at);
        return style.outlineStyle + style.outlineWidth;
    })()""")
    assert looks == ["solid3px"] * 3


# --- pointer and touch ----------------------------------------------------------------------


def test_the_mouse_shows_a_word_and_a_click_is_kept(made_up, context):
    tab, inside = opened(made_up, context, PAGE)
    labels = inside.locator(".words label")
    labels.first.scroll_into_view_if_needed()
    labels.first.hover()  # a browser's first move has no length
    for place, word in ((3, "bad"), (8, "movie."), (1, "not")):
        labels.nth(place).hover()
        wait_until_said(inside, f"Head 1: “{word}” looks most at")
    assert urlsplit(tab.url).query == ""  # passing over leaves the address alone
    labels.nth(4).click()
    tab.wait_for_function("location.search.includes('attention.word=4')")
    wait_until_said(inside, "“premise,” looks most at")


def test_touch_sets_the_word_and_targets_are_large(made_up):
    with made_up.context(has_touch=True, is_mobile=True, viewport={"width": 320, "height": 700}) as context:
        _, inside = opened(made_up, context, PAGE)
        inside.locator(".words label").nth(5).tap()
        wait_until_said(inside, "Head 1: “just” looks most at")
        for thing in inside.locator("button, .choice label, .words label").all():
            size = thing.bounding_box()
            assert size["height"] >= 24 and size["width"] >= 24, thing


# --- address --------------------------------------------------------------------------------


def test_state_goes_into_the_address_and_comes_back(made_up, context):
    tab, inside = opened(made_up, context, PAGE, "?framework=pytorch#play")
    inside.get_by_role("radio", name="Mean").check(force=True)
    inside.locator(".words label").nth(7).click()
    tab.wait_for_function("location.search.includes('attention.word=7')")
    query = urlsplit(tab.url).query
    assert {key: values[0] for key, values in parse_qs(query).items()} == {
        "framework": "pytorch", "attention.head": "0", "attention.word": "7"}
    wait_until_said(inside, "Mean of the heads: “bad” looks most at")
    shown = said(inside)
    tab.reload()
    inside.locator(".copy").wait_for()
    wait_until_said(inside, shown)
    assert inside.get_by_role("radio", name="Mean").is_checked()


def test_a_word_or_head_outside_comes_back_inside(made_up, context):
    _, inside = opened(made_up, context, PAGE, "?attention.word=60&attention.head=9")
    wait_until_said(inside, "Head 2: “movie.” looks most at")


def test_a_copied_link_leads_to_what_was_seen(made_up, context):
    tab, inside = opened(made_up, context, PAGE)
    inside.locator("input[name=word]").first.focus()
    tab.keyboard.press("ArrowRight")
    inside.get_by_role("button", name="Copy link").click()
    inside.get_by_role("button", name="Link copied").wait_for()
    link = tab.evaluate("navigator.clipboard.readText()")
    assert link.startswith(ADDRESS + PAGE) and link.endswith("#widget-attention") and "attention.word=1" in link


# --- look -----------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_theme_follows_the_page_and_axe_finds_nothing(made_up, scheme):
    other = {"light": "dark", "dark": "light"}[scheme]
    with made_up.context(color_scheme=other) as context:  # the page's choice, not the system's
        context.add_init_script(f"localStorage.setItem('mode', '{scheme}'); localStorage.setItem('theme', '{scheme}')")
        tab, inside = opened(made_up, context, PAGE, "?attention.head=0")
        inside.locator(f'#widget[data-theme="{scheme}"]').wait_for()
        back = inside.locator(".card").evaluate("node => getComputedStyle(node).backgroundColor")
        assert back == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 30)"}[scheme]
        assert faults(Axe().run(tab.frames[1])) == []


def test_bars_and_frames_can_be_seen():
    for colors in palettes():
        assert contrast(colors["path"], colors["back"]) >= 3
        assert contrast(colors["main"], colors["back"]) >= 3
        assert contrast(colors["main"], colors["faint"]) >= 3  # the bar on its track
        assert contrast(colors["text"], colors["back"]) >= 4.5


@pytest.mark.parametrize("width", [320, 375, 768, 1440])
def test_it_fits_and_the_frame_is_as_high_as_the_widget(made_up, width):
    with made_up.context(viewport={"width": width, "height": 900}) as context:
        tab, inside = opened(made_up, context, PAGE)
        wait_for_height(tab, "#widget-attention")
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.frames[1].evaluate("document.documentElement.scrollWidth <= innerWidth")
        card = inside.locator(".card").bounding_box()
        for part in inside.locator("button, .choice, svg, .words label, .said").all():
            box = part.bounding_box()
            assert box["x"] >= card["x"] and box["x"] + box["width"] <= card["x"] + card["width"] + 0.5


def test_without_a_script_a_picture_stands_there(made_up, browser):
    context = browser.new_context()
    context.route("**/*", lambda route: route.fulfill(
        path=made_up.out / urlsplit(route.request.url).path.lstrip("/"),
        headers={"Content-Security-Policy": "script-src 'none'", "Content-Type": "text/html; charset=utf-8"})
        if route.request.url == ADDRESS + PAGE else route.abort())
    tab = context.new_page()
    tab.goto(ADDRESS + PAGE)
    inside = tab.frame_locator("#widget-attention")
    assert inside.get_by_role("img").is_visible() and inside.get_by_role("radio").count() == 0
    assert inside.get_by_text("With JavaScript you can move it").is_visible()
    context.close()


def test_paper_shows_words_and_shares_without_buttons(made_up):
    with made_up.context(color_scheme="dark") as context:
        tab, inside = opened(made_up, context, PAGE)
        tab.emulate_media(media="print")
        assert inside.locator(".words").is_visible() and inside.locator(".said").is_visible()
        for thing in inside.locator("button, .hint").all():
            assert thing.is_hidden()
