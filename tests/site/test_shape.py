"""The shape of a page: head, goals, predictions, folded code, claims, cards, one stylesheet."""

import re

import pytest

FIRST, LANDING = "book/02-made-up/first.html", "book/02-made-up/index.html"


@pytest.fixture
def tab(made_up):
    """The made-up page, open."""
    with made_up.context() as context:
        yield made_up.open(context, FIRST)


def test_the_head_says_where_what_and_how_long(tab):
    assert tab.locator(".kicker").inner_text().lower() == "02 made up · page 1 of 2"
    assert tab.locator("h1 + .standfirst").inner_text() == "A surprise, in one line."
    chips = tab.locator(".standfirst + .page-meta .chips li").all_inner_texts()
    assert chips[:2] == ["2 claims hold, 5 seeds", "21 s on a CPU"] and chips[-1] == "Notebook"


def test_goals_stand_in_a_box_with_their_list(tab):
    assert tab.locator(".goals li").count() == 2
    assert tab.locator(".goals > p").inner_text() == "After this page you can"


def test_a_prediction_is_a_card_and_the_sentence_before_it_is_not(tab):
    cards = tab.locator("p.predict").all_inner_texts()
    assert cards == ["Predict: what will the lone cell print?"]
    assert tab.get_by_text("A sentence before.", exact=True).count() == 1


def test_the_set_up_cell_is_left_out_and_imports_are_folded(tab):
    assert "import math" not in tab.locator("article").inner_html()
    folded = tab.locator("details.folded-code", has_text="Set-up and imports, 2 lines")
    assert folded.count() == 1 and folded.locator("pre").first.is_hidden()


def test_the_code_of_a_figure_is_folded_below_it_and_opens_by_keyboard(tab):
    cell = tab.locator(".figure-cell")
    code = cell.locator("details.folded-code pre")
    assert cell.count() == 1 and code.is_hidden()
    figure, summary = cell.locator("img").bounding_box(), cell.locator("summary")
    assert summary.inner_text() == "Code of this figure, 2 lines"
    assert summary.bounding_box()["y"] >= figure["y"] + figure["height"] - 1
    summary.focus()
    tab.keyboard.press("Enter")
    assert code.is_visible()


def test_claims_are_a_list_that_a_screen_reader_hears_as_holding(tab):
    items = tab.locator("ul.claims > li")
    assert [re.sub(r"\s+", " ", text) for text in items.all_text_contents()] == [
        "holds: one is one", "holds: two < three"]


def test_a_page_can_be_ticked_and_the_tick_stays(made_up):
    with made_up.context() as context:
        tab = made_up.open(context, FIRST)
        button = tab.get_by_role("button", name="Mark this page as done")
        button.focus()
        tab.keyboard.press("Enter")
        assert tab.get_by_role("button", name="Done").get_attribute("aria-pressed") == "true"
        again = made_up.open(context, LANDING)
        assert again.locator(".bd-sidebar-primary a.done").all_text_contents() == ["A made-up page"]
        tab.get_by_role("button", name="Done").click()
        assert made_up.open(context, LANDING).locator("a.done").count() == 0


def test_a_page_is_described_by_its_standfirst(made_up_folder):
    text = (made_up_folder / "_build/html" / FIRST).read_text("utf-8")
    assert '<meta name="description" content="A surprise, in one line. A page with one' in text
    assert '<meta property="og:title" content="A made-up page"' in text


def test_a_landing_page_has_a_card_for_each_page_with_its_picture(made_up):
    with made_up.context() as context:
        tab = made_up.open(context, LANDING)
        cards = tab.locator(".page-card")
        assert cards.locator("a").all_inner_texts() == ["A made-up page", "Another page"]
        assert "A surprise, in one line." in cards.first.inner_text()
        assert "2 claims" in cards.first.inner_text()
        image = cards.first.locator("img")
        assert image.get_attribute("alt") == "A grey card."
        tab.wait_for_function("document.querySelector('.page-card img').naturalWidth > 0")


def test_the_arrows_of_the_menu_have_names(real_folder):
    text = (real_folder / "_build/html/book/02-architectures/cnn.html").read_text("utf-8")
    toggles = re.findall(r"<summary([^>]*)>\s*<span class=\"toctree-toggle\"", text)
    assert len(toggles) >= 6 and ' aria-label="Pages of 02 Architectures"' in toggles
    assert all("aria-label=" in toggle for toggle in toggles)


def test_each_page_loads_one_stylesheet_of_its_own_site(real_folder):
    for path in (real_folder / "_build/html/book").rglob("*.html"):
        sheets = re.findall(r'<link[^>]*rel="stylesheet"[^>]*>', path.read_text("utf-8"))
        assert len(sheets) == 1 and "_static/styles/all-" in sheets[0], path.name


def test_the_icon_font_has_every_icon_that_the_pages_name(real_folder):
    from fontTools.ttLib import TTFont

    out = real_folder / "_build/html"
    sheets = list((out / "_static/styles").glob("all-*.css"))  # one, and one with a page's own style
    css, drawn = "".join(sheet.read_text("utf-8") for sheet in sheets), set()
    for names, sign in re.findall(r'([^{}]*\.fa-[^{}]*)\{content:"([^"]*)"\}', css):
        sign = int(sign.lstrip("\\"), 16) if sign.startswith("\\") else ord(sign)
        drawn |= {(name, sign) for name in re.findall(r"\.(fa-[a-z0-9-]+)", names)}
    used = {name for path in out.rglob("*.html") for name in re.findall(r"\bfa-[a-z0-9-]+", path.read_text("utf-8"))}
    icons = {name: sign for name, sign in drawn if name in used}
    assert "fa-bars" in icons and "fa-magnifying-glass" in icons
    font = TTFont(out / "_static/fonts/icons-subset.woff")
    assert "icons-subset.woff" in css and "webfonts/fa-solid" not in css
    missing = [name for name, sign in icons.items() if sign not in font.getBestCmap()]
    assert missing == []


def test_images_after_the_first_are_loaded_late_and_know_their_size(real_folder):
    text = (real_folder / "_build/html/book/02-architectures/cnn.html").read_text("utf-8")
    images = re.findall(r"<img[^>]*>", text.partition("<article")[2])
    assert len(images) > 2 and "loading=" not in images[0]
    assert all('loading="lazy"' in image and "width" in image and "height" in image for image in images[1:])
