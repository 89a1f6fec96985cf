"""Framework tabs in a real browser: synced, remembered, by keyboard, without a script, on paper."""

import pytest

FIRST, SECOND = "book/02-made-up/first.html", "book/02-made-up/second.html"


def shown(tab, framework: str) -> list[bool]:
    """Whether each panel of a framework is to be seen."""
    panels = tab.locator(f".framework-tabs .framework-{framework}")
    return [panels.nth(number).is_visible() for number in range(panels.count())]


@pytest.fixture
def context(made_up):
    """A fresh browser profile."""
    context = made_up.context()
    yield context
    context.close()


def test_neighbouring_cells_are_paired_block_by_block(made_up, context):
    tab = made_up.open(context, FIRST)
    sets = tab.locator(".framework-tabs")
    assert sets.count() == 2
    cells = [[sets.nth(n).locator(f".framework-{name} .cell").count()
              for name in ("pytorch", "tensorflow")] for n in range(2)]
    assert cells == [[1, 1], [2, 1]]
    assert "third pytorch cell, shown" in sets.nth(1).text_content()  # outputs travel with cells
    assert tab.locator(".framework-alone").inner_text().startswith("PyTorch")


def test_choice_holds_on_the_page_and_on_the_next(made_up, context):
    tab = made_up.open(context, FIRST)
    assert shown(tab, "pytorch") == [True, True] and shown(tab, "tensorflow") == [False, False]
    tab.locator(".framework-tabs").nth(1).get_by_text("TensorFlow", exact=True).click()
    assert shown(tab, "pytorch") == [False, False] and shown(tab, "tensorflow") == [True, True]
    assert shown(made_up.open(context, SECOND), "tensorflow") == [True]


def test_arrow_keys_move_between_frameworks(made_up, context):
    tab = made_up.open(context, SECOND)
    tab.locator(".framework-tabs input").first.focus()
    tab.keyboard.press("ArrowRight")
    assert shown(tab, "tensorflow") == [True]
    tab.keyboard.press("ArrowLeft")
    assert shown(tab, "pytorch") == [True]


def test_tab_key_reaches_the_tabs_and_shows_where_it_is(made_up, context):
    tab = made_up.open(context, SECOND)
    for _ in range(60):
        tab.keyboard.press("Tab")
        if tab.evaluate("document.activeElement.type === 'radio'"):
            break
    else:
        pytest.fail("60 presses of Tab never reached the framework tabs")
    outline = "getComputedStyle(document.activeElement.nextElementSibling).outlineStyle"
    assert tab.evaluate(outline) == "solid"


def test_address_chooses_the_framework(made_up, context):
    assert shown(made_up.open(context, SECOND + "?framework=tensorflow"), "tensorflow") == [True]
    assert shown(made_up.open(context, FIRST), "tensorflow") == [True, True]  # and is remembered


def test_assistive_technology_finds_named_choices(made_up, context):
    tab = made_up.open(context, SECOND)
    group = tab.get_by_role("group", name="Framework")
    assert group.get_by_role("radio", name="PyTorch").is_checked()
    assert not group.get_by_role("radio", name="TensorFlow").is_checked()


def test_without_a_script_both_can_be_read(made_up):
    with made_up.context(java_script_enabled=False) as context:
        tab = context.new_page()
        tab.goto("https://course.test/" + FIRST)
        for name in ("pytorch", "tensorflow"):
            assert shown(tab, name) == [True, True]
        assert tab.locator(".framework-tabs input").first.is_hidden()
        assert tab.locator(".framework-tabs").get_by_text("TensorFlow", exact=True).first.is_visible()
        assert tab.locator("#framework-switch").is_hidden()
        tops = [tab.locator(f".framework-{name}").first.bounding_box()["y"]
                for name in ("pytorch", "tensorflow")]
        assert tops[0] < tops[1]


def test_paper_shows_both(made_up, context):
    tab = made_up.open(context, FIRST)
    tab.emulate_media(media="print")
    assert shown(tab, "pytorch") == [True, True] and shown(tab, "tensorflow") == [True, True]
    assert tab.locator(".chips a").first.is_hidden()


def test_paper_is_white_and_unfolded_and_the_screen_comes_back(made_up):
    with made_up.context(color_scheme="dark") as context:
        tab = made_up.open(context, FIRST)
        answer = tab.get_by_text("The first solution says")
        for media, theme in (("screen", "dark"), ("print", "light"), ("screen", "dark")):
            tab.emulate_media(media=media)
            tab.wait_for_function(f"document.documentElement.dataset.theme === '{theme}'")
            assert answer.is_visible() == (media == "print")


def pressed(tab) -> list[str]:
    """The buttons of the page's switch that are pressed."""
    return tab.locator("#framework-switch button[aria-pressed=true]").all_inner_texts()


def test_the_switch_chooses_both_and_is_remembered(made_up, context):
    tab = made_up.open(context, FIRST)
    narrow = tab.locator(".bd-article").bounding_box()["width"]
    assert pressed(tab) == ["PyTorch"]
    tab.get_by_role("button", name="Both").focus()
    tab.keyboard.press("Enter")
    assert pressed(tab) == ["Both"]
    assert_beside(tab)
    assert tab.locator(".bd-article").bounding_box()["width"] > narrow + 100
    assert_beside(made_up.open(context, SECOND))
    tab.get_by_role("button", name="TensorFlow").click()
    assert pressed(tab) == ["TensorFlow"]
    assert shown(tab, "pytorch") == [False, False] and shown(tab, "tensorflow") == [True, True]


def test_the_switch_follows_the_tabs(made_up, context):
    tab = made_up.open(context, FIRST)
    tab.locator(".framework-tabs").first.get_by_text("TensorFlow", exact=True).click()
    assert pressed(tab) == ["TensorFlow"]


def assert_beside(tab):
    """The first pair stands in two columns, each under its name."""
    boxes = [tab.locator(f".framework-{name}").first.bounding_box()
             for name in ("pytorch", "tensorflow")]
    assert boxes[0]["y"] == boxes[1]["y"]
    assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"] + 1
    labels = [tab.locator(".framework-tabs .sd-tab-label").nth(n).bounding_box() for n in (0, 1)]
    assert abs(labels[0]["y"] - labels[1]["y"]) < 1
    assert labels[1]["x"] >= boxes[1]["x"] - 1


def test_both_stand_below_each_other_on_a_telephone(made_up):
    with made_up.context(viewport={"width": 375, "height": 800}) as context:
        context.add_init_script("localStorage.setItem('course-columns', 'on')")
        tab = made_up.open(context, FIRST)
        assert shown(tab, "tensorflow") == [True, True] and shown(tab, "pytorch") == [True, True]
        tops = [tab.locator(f".framework-{name}").first.bounding_box()["y"]
                for name in ("pytorch", "tensorflow")]
        assert tops[0] < tops[1]
