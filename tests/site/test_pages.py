"""What every page must keep, on the course itself and on a made-up book, in a real browser."""

import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe

FIRST = "book/02-made-up/first.html"
WIDTHS = (375, 1440)
# The theme's own pages that no reader is sent to.
LEFT_OUT = {"genindex.html"}
# Looked at in the made-up book, or the same as index.html.
SEEN_ELSEWHERE = {"search.html", "book/intro.html"}


@pytest.fixture(params=["made_up", "real"])
def site(request):
    """Each of the two sites in turn."""
    return request.getfixturevalue(request.param)


def names(site) -> list[str]:
    """The pages that readers see."""
    return [name for name in site.pages() if name not in LEFT_OUT]


def test_no_request_to_another_host_and_no_complaint(site):
    context = site.context()
    for name in names(site):
        tab = site.open(context, name)
        for thing in tab.locator("summary, .framework-tabs label, .theme-switch-button").all():
            if thing.is_visible():
                thing.click()
        tab.wait_for_load_state("networkidle")
        tab.close()
    context.close()
    assert site.foreign == []
    assert site.complaints == []


def test_no_page_names_a_script_style_or_image_of_another_host(site):
    for name, text in site.pages().items():
        loaded = re.findall(r'<(?:script|img|iframe|source)[^>]*\ssrc="(https?:[^"]*)"', text)
        loaded += re.findall(r'<link[^>]*\shref="(https?:[^"]*)"', text)
        assert loaded == [], name
        assert "thebe" not in text and "unpkg" not in text, name


def test_each_figure_says_what_is_to_be_seen(site):
    for name, text in site.pages().items():
        for image in re.findall(r"<img[^>]*>", text):
            assert re.search(r'\salt="[^"]{3,}"', image), f"{name}: {image}"


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_sticks_out_sideways(site, width):
    with site.context(viewport={"width": width, "height": 800}) as context:
        for name in names(site):
            tab = site.open(context, name)
            for folded in tab.locator("details").all():
                folded.evaluate("details => details.open = true")
            over = tab.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            assert over <= 0, f"{name} is {over} px wider than {width} px"
            tab.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(site, scheme):
    pages = {FIRST, "search.html"} if FIRST in site.pages() else set(names(site)) - SEEN_ELSEWHERE
    # In the dark the page is the same but for its colours.
    rules = {"runOnly": ["color-contrast"]} if scheme == "dark" else None
    # Opened parts fade in, and axe would measure the colours half way: ask for no motion.
    with site.context(color_scheme=scheme, reduced_motion="reduce") as context:
        for name in sorted(pages):
            tab = site.open(context, name)
            assert tab.evaluate("document.documentElement.dataset.theme") == scheme
            for folded in tab.locator("details").all():
                folded.evaluate("details => details.open = true")
            found = Axe().run(tab, options=rules)
            assert found.violations_count == 0, f"{name} ({scheme})\n{found.generate_report()}"
            tab.close()


@pytest.mark.parametrize(("motion", "moves"), [("reduce", False), ("no-preference", True)])
def test_opened_parts_fade_in_only_for_readers_who_like_motion(made_up, motion, moves):
    with made_up.context(reduced_motion=motion) as context:
        tab = made_up.open(context, FIRST)
        for folded in tab.locator("details").all():
            folded.evaluate("details => details.open = true")
        assert bool(tab.evaluate("document.getAnimations().length")) == moves


def test_the_root_is_the_start_page_itself(site):
    text = (site.out / "index.html").read_text("utf-8")
    assert "http-equiv" not in text and "Large models, side by side</h1>" in re.sub(r"<a .*?</a>", "", text)
    for address in re.findall(r'\s(?:href|src)="([^"#?:]+)[#?"]', text):
        assert (site.out / address).exists(), address


def test_internal_links_lead_somewhere(site):
    for name, text in site.pages().items():
        for address in re.findall(r'<a[^>]*\shref="([^"#?]+)[#?"]', text):
            if not re.match(r"[a-z]+:", address):
                assert ((site.out / name).parent / address).resolve().exists(), f"{name}: {address}"


def test_pages_have_a_description_and_light_scripts(site):
    for name, text in site.pages().items():
        assert "fontawesome.js" not in text, name
        if name.startswith("book/"):
            assert len(re.findall(r'<meta name="description" content="[^"]{10,}"', text)) == 1, name
            assert "searchindex.js" not in text, name


def test_search_finds_a_word(made_up):
    with made_up.context() as context:
        tab = made_up.open(context, "search.html?q=everything")
        tab.locator("#search-results li").first.wait_for()
        assert "A made-up page" in tab.locator("#search-results").inner_text()


def test_solutions_are_closed_and_open_by_keyboard(made_up):
    with made_up.context() as context:
        tab = made_up.open(context, FIRST)
        folded = tab.locator(".solution-folded").first
        answer = folded.get_by_text("The first solution says")
        assert answer.is_hidden()
        assert folded.locator("summary a").count() == 0
        assert folded.locator("summary").inner_text().startswith("Solution to Exercise 1 (One")
        folded.locator("summary").focus()
        tab.keyboard.press("Enter")
        assert answer.is_visible()
        tab.keyboard.press("Space")
        assert answer.is_hidden()


def test_solutions_open_without_a_script(made_up):
    with made_up.context(java_script_enabled=False) as context:
        tab = context.new_page()
        tab.goto("https://course.test/" + FIRST)
        answer = tab.get_by_text("The first solution says")
        assert answer.is_hidden()
        tab.locator(".solution-folded summary").first.click()
        assert answer.is_visible()


def test_formulas_are_mathml_with_numbers_and_references(made_up):
    with made_up.context() as context:
        tab = made_up.open(context, FIRST)
        assert tab.locator("math[display=block]").count() == 2
        numbers = [n.inner_text()[:3] for n in tab.locator(".math-block .eqno").all()]
        assert numbers == ["(1)", "(2)"]
        links = tab.locator("a[href='#equation-eq-second'], a[href='#equation-eq-first']")
        said = {link.get_attribute("href"): link.inner_text() for link in links.all()}
        assert said["#equation-eq-first"] in {"(1)", "#"} and tab.locator("#equation-eq-first").count() == 1
        sentence = tab.locator("p", has_text="nothing follows").inner_text()
        assert sentence.startswith("By (2) and (1)")
        assert "\\frac" not in tab.locator("article").inner_text()
        assert tab.evaluate("document.fonts.check('16px \"Course Math\"')")


def test_a_wide_formula_scrolls_inside_its_box(made_up):
    with made_up.context(viewport={"width": 375, "height": 800}) as context:
        tab = made_up.open(context, FIRST)
        box = tab.locator(".math-scroll").nth(1)
        assert box.evaluate("box => box.scrollWidth > box.clientWidth")
        assert box.get_attribute("tabindex") == "0"
        assert tab.locator(".math-scroll").first.get_attribute("tabindex") is None


def test_figures_stand_on_white_in_the_dark(made_up):
    with made_up.context(color_scheme="dark") as context:
        style = "image => [getComputedStyle(image).backgroundColor, getComputedStyle(image).filter]"
        image = made_up.open(context, FIRST).locator(".cell_output img").first
        assert image.evaluate(style) == ["rgb(255, 255, 255)", "none"]
        assert image.get_attribute("alt") == "A grey card."


def test_the_start_page_keeps_its_promise(made_up):
    with made_up.context() as context:
        tab = made_up.open(context, "index.html")
        told = dict(re.findall(r"^\| (\d\.\d) \| \S+ \| (\S+) \|$", intro(), re.M))
        assert set(told) == {"0.1", "1.0", "1.9", "2.0", "2.1"}
        for rate, end in told.items():
            assert f"{abs((1 - float(rate)) ** 20):.4f}" == end
            tab.get_by_role("slider", name="Learning rate").fill(rate)
            assert f"After 20 steps w is {end}." in tab.locator("#bowl-said").inner_text()
        slider = tab.get_by_role("slider", name="Learning rate")
        slider.fill("1")
        slider.press("ArrowRight")
        assert tab.locator("#bowl output").inner_text() == "1.05"


def intro() -> str:
    """The source of the start page."""
    return (Path(__file__).resolve().parents[2] / "book/intro.md").read_text("utf-8")
