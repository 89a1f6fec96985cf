"""The GPT that writes on in the page: its numbers against Python, and how a reader meets it."""

import json
import random
import re
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe

from course_lib.scratch.bpe import Tokenizer
from course_lib.scratch.sampling import Sampling, token_probabilities
from course_tools import browser_model

ADDRESS = "https://course.test/"
PAGE = "book/02-made-up/live.html"
FOLDER = Path(__file__).resolve().parents[2] / "book/assets/gpt"
TEXTS = [
    "",
    " ",
    "  ",
    "\n",
    "HAMLET:\nTo be, or not to be; that's the question.\n\n",
    "We'll don't I'D you’ll 'tis ''s 's'm 're",
    "a  b   c\t\td \n e\r\nf \x0b\x0c\x85g\xa0h\u3000i\ufeffj",
    "12 apples, ½ pear, ² ١٢٣ Ⅷ",
    "naïve Ærøskøbing Ἀχιλλεύς мир שלום مرحبا नमस्ते 今天天氣 한국어",
    "👩‍👩‍👧 🇩🇪 e\u0301 \U0001f600x \x00\x01\x7f\xad\u200b\u2028\u2029",
    "[PAD]<|endoftext|>{}$#@!?--…—",
    "x" * 300 + " " * 40 + "\n" * 9 + "'" * 7,
]


# --- numbers --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def module(browser):
    """An empty page with the model's own files, read."""
    with browser.new_context() as context:
        tab = context.new_page()
        for name in browser_model.FILES:
            tab.add_script_tag(path=FOLDER / name)
        tab.evaluate("""() => {
            window.model = courseGPT.readModel(courseGPT.weights);
            window.counts = courseGPT.readCounts(courseGPT.counts);
        }""")
        yield tab


@pytest.fixture(scope="module")
def tokenizer():
    """Python's tokenizer of the same merges."""
    return browser_model.load_packed(FOLDER)[0]


@pytest.fixture(scope="module")
def reference():
    """The course's own model in float64 with the weights that the page has."""
    return browser_model.load_packed(FOLDER, "float64")[1]


def logits_of(reference, ids):
    """Python's logits of the next token, from what the page reads of these ids."""
    context = reference.config.context
    over, away = len(ids) - context, context // 2 + 1
    read = ids if over <= 0 else ids[-(-over // away) * away :]
    with torch.inference_mode():
        return reference.logits(reference(torch.tensor([read])))[0, -1].numpy()


def some_ids(length, seed, vocabulary):
    return np.random.default_rng(seed).integers(1, vocabulary, length).tolist()


@pytest.mark.parametrize("length", [1, 2, 17, 128, 129, 193, 194, 300])
def test_logits_equal_those_of_python(module, reference, length):
    ids = some_ids(length, length, reference.config.vocabulary)
    found = np.array(module.evaluate("ids => Array.from(model.transformer.logits(ids))", ids))
    wanted = logits_of(reference, ids)
    assert np.std(wanted) > 0.1
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)


def test_the_cache_changes_nothing(module, reference):
    """Tokens one by one over the end of the context, then an edit in the middle."""
    ids = some_ids(200, 5, reference.config.vocabulary)
    walk = [ids[:n] for n in range(120, 200)] + [ids[:50] + ids[60:90], ids[:50], ids[:1], ids[:1]]
    found = module.evaluate(
        "walk => walk.map(ids => Array.from(model.transformer.logits(ids)))", walk
    )
    for n in (0, 8, 9, 72, 79, 80, 81, 82, 83):
        np.testing.assert_allclose(found[n], logits_of(reference, walk[n]), rtol=0, atol=1e-5)


def test_the_window_is_that_of_the_course(module, reference):
    """Where it begins while a text grows: as generate_torch drops the first half."""
    starts = module.evaluate("""() => Array.from({ length: 400 }, (_, n) =>
        n + 1 - model.transformer.window(new Array(n + 1).fill(0)).length)""")
    context, start = reference.config.context, 0
    for length, found in enumerate(starts, start=1):
        if length - start > context:
            start = length - context // 2
        assert found == start


def test_texts_become_the_ids_of_python(module, tokenizer):
    chance = random.Random(3)
    signs = "".join(TEXTS)
    texts = TEXTS + ["".join(chance.choices(signs, k=chance.randrange(1, 60))) for _ in range(500)]
    found = module.evaluate("texts => texts.map(text => model.tokenizer.encode(text))", texts)
    for text, ids in zip(texts, found, strict=True):
        assert ids == tokenizer.encode(text), repr(text)
    back = module.evaluate("all => all.map(ids => model.tokenizer.decode(ids))", found)
    assert back == [tokenizer.decode(ids) for ids in found] == texts


def test_another_tokenizers_merges_too(module):
    """Merges of letters that take several bytes, learned here; with a special token."""
    own = Tokenizer.train(TEXTS * 3, 500)
    texts = TEXTS + ["".join(random.Random(n).choices("".join(TEXTS), k=50)) for n in range(100)]
    found = module.evaluate(
        """([merges, specials, texts]) => {
        const own = new courseGPT.Tokenizer(merges.flat(), specials);
        return [own.tokens.length, texts.map(text => own.encode(text))];
    }""",
        [own.merges, list(own.special_tokens), texts],
    )
    assert found == [len(own), [own.encode(text) for text in texts]]


def test_every_letter_falls_into_the_same_word(module):
    """All of Unicode, but for what Python's own tables do not know yet."""
    known = [
        chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) not in ("Cn", "Cs")
    ]
    lines = [
        "".join(f"a{sign}1{sign}. {sign}" for sign in known[at : at + 500])
        for at in range(0, len(known), 500)
    ]
    from course_lib.scratch.bpe import split_words

    for line in lines:
        found = module.evaluate("text => text.match(courseGPT.WORD)", line)
        assert found == split_words(line)


def test_broken_bytes_are_shown_as_python_shows_them(module, tokenizer):
    for seed in range(50):
        ids = some_ids(40, seed, len(tokenizer))
        assert module.evaluate("ids => model.tokenizer.decode(ids)", ids) == tokenizer.decode(ids)


@pytest.mark.parametrize(
    ("temperature", "top_k"), [(1, None), (0.5, 10), (2, 3), (0, None), (0.8, 1)]
)
def test_temperature_and_top_k_are_those_of_the_course(module, temperature, top_k):
    logits = np.random.default_rng(1).normal(0, 3, 64).round(1)  # with ties
    found = module.evaluate(
        "a => Array.from(courseGPT.probabilities(...a))",
        [logits.tolist(), temperature, top_k or 64],
    )
    wanted = token_probabilities(logits, Sampling(temperature, top_k))
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=0)


def test_draws_follow_the_probabilities(module):
    p = [0.0, 0.2, 0.0, 0.5, 0.3, 0.0]
    chances = [0, 0.19, 0.2, 0.69, 0.71, 0.999999999]
    found = module.evaluate(
        "([p, all]) => all.map(chance => courseGPT.draw(p, chance))", [p, chances]
    )
    assert found == [1, 1, 3, 3, 4, 4]


def test_the_table_of_counts_is_that_of_python(module, tokenizer):
    single, tables = browser_model.unpack_counts((FOLDER / "counts.js").read_text("utf-8"))
    contexts = [[], tokenizer.encode("To be, or not to"), [len(single) - 1] * 3]
    contexts += [list(context) for table in tables for context in list(table)[:: len(table) // 5]]
    for ids in contexts:
        found = module.evaluate("ids => Array.from(counts.probabilities(ids))", ids)
        wanted = [
            browser_model.probability(single, tables, ids, token) for token in range(len(single))
        ]
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-15)
        assert min(found) > 0 and sum(found) == pytest.approx(1, abs=1e-5)


# --- the page -------------------------------------------------------------------------------


@pytest.fixture
def context(made_up):
    """A fresh browser profile; another host or a complaint is a fault."""
    context = made_up.context()
    yield context
    context.close()
    assert made_up.foreign == [] and made_up.complaints == []


def loaded(made_up, context):
    """The page with its model, asked for."""
    tab = made_up.open(context, PAGE)
    load(tab)
    return tab


def load(tab):
    tab.get_by_role("button", name="Load the model").click()
    box(tab).wait_for()


def box(tab):
    return tab.get_by_role("textbox", name="A beginning")


def spoken(tab):
    return tab.locator("#live-gpt [role=status]").inner_text()


def wait_for_news(tab, words):
    tab.locator(".live-news", has_text=words).wait_for(timeout=60_000)


def record():
    return json.loads((FOLDER / "record.json").read_text("utf-8"))


def test_without_a_script_there_is_a_sample(made_up):
    with made_up.context(java_script_enabled=False) as context:
        tab = context.new_page()
        tab.goto(ADDRESS + PAGE)
        shown = tab.locator("#live-gpt pre").inner_text()
        assert shown.strip() == (record()["start"] + record()["sample"]).strip()
        assert tab.get_by_role("button", name="Load the model").count() == 0


def test_nothing_is_loaded_before_a_reader_asks(made_up, context):
    tab = context.new_page()
    asked = []
    tab.on("request", lambda request: asked.append(re.sub(r".*/|\?.*", "", request.url)))
    tab.goto(ADDRESS + PAGE)
    tab.wait_for_load_state("networkidle")
    assert "live.js" in asked and not set(browser_model.FILES) & set(asked)
    button = tab.get_by_role("button", name="Load the model")
    size = sum((FOLDER / name).stat().st_size for name in browser_model.FILES)
    assert button.inner_text() == f"Load the model, {size / 1e6:.1f} MB"
    load(tab)
    assert set(browser_model.FILES) <= set(asked)
    assert tab.evaluate("document.activeElement.id") == "live-text"
    assert spoken(tab) == "The model is here."


def test_other_pages_do_not_know_of_it(made_up):
    for name, text in made_up.pages().items():
        assert ("gpt/live.js" in text) == (name == PAGE)


def test_a_file_that_does_not_arrive_is_said_and_asked_for_again(made_up):
    with made_up.context() as context:
        lost = []
        context.route(
            "**/weights.js*",
            lambda route: lost.append(1) or route.abort() if not lost else route.fallback(),
        )
        tab = made_up.open(context, PAGE)
        button = tab.get_by_role("button", name="Load the model")
        button.click()
        tab.get_by_text("The model did not arrive").first.wait_for()
        load(tab)
        assert len(lost) == 1


def test_it_works_from_a_folder(made_up, browser):
    with browser.new_context() as context:
        tab = context.new_page()
        tab.goto((made_up.out / PAGE).as_uri())
        load(tab)
        tab.get_by_role("button", name="One token").click()
        wait_for_news(tab, "It drew")


def rows(tab, who):
    """What the bars show: token as spoken, and probability."""
    lines = tab.locator(f".live-by-{who} tbody tr")
    return [
        (line.locator("th .live-unseen").inner_text(), line.locator(".live-p").inner_text())
        for line in lines.all()
    ]


def test_bars_show_what_the_model_says(made_up, context, reference, tokenizer):
    tab = loaded(made_up, context)
    text = "HAMLET:\nTo be, or not to"
    box(tab).fill(text)
    tab.get_by_role("slider", name="Temperature").fill("1")
    tab.get_by_role("slider", name="Top-k").fill("2")  # the five likeliest
    ids = tokenizer.encode(text)
    logits = logits_of(reference, ids)
    p = token_probabilities(logits, Sampling(1, 5))
    best = np.argsort(-logits)[:8]
    tab.wait_for_function(
        "wanted => document.querySelector('.live-by-gpt .live-p').textContent === wanted",
        arg=f"{100 * p[best[0]]:.1f} %",
    )
    shown = rows(tab, "gpt")
    assert [q for _, q in shown] == [f"{100 * p[id]:.1f} %" for id in best[:5]] + ["cut"] * 3
    for id, (name, _) in zip(best, shown, strict=True):
        plain = tokenizer.decode([int(id)])
        assert ("byte" if "\ufffd" in plain else plain.replace("\n", " new line ").strip()) in name
        assert ("space" in name) == plain.startswith(" ")
    single, tables = browser_model.unpack_counts((FOLDER / "counts.js").read_text("utf-8"))
    counted = np.array(
        [browser_model.probability(single, tables, ids, t) for t in range(len(single))]
    )
    top = np.sort(counted)[::-1][:5]
    assert [q for _, q in rows(tab, "counts")][:5] == [f"{100 * q:.1f} %" for q in top / top.sum()]


def test_the_likeliest_tokens_are_those_of_python(made_up, context, reference, tokenizer):
    tab = loaded(made_up, context)
    box(tab).fill("ROMEO:\nO, ")
    tab.get_by_role("slider", name="Temperature").fill("0")
    ids = tokenizer.encode("ROMEO:\nO, ")
    for _ in range(6):
        before = box(tab).input_value()
        tab.get_by_role("button", name="One token").click()
        ids.append(int(logits_of(reference, ids).argmax()))
        tab.wait_for_function(
            "before => document.getElementById('live-text').value !== before", arg=before
        )
        assert box(tab).input_value() == tokenizer.decode(ids)
        assert spoken(tab).endswith("100.0 %")


def test_all_of_it_by_keyboard_alone(made_up, context):
    tab = made_up.open(context, PAGE)
    tab.get_by_role("link", name="Before the model.").focus()
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    box(tab).wait_for()
    tab.keyboard.press("Control+A")
    tab.keyboard.type("JULIET:\nMy ")
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")  # write on
    tab.wait_for_function("document.getElementById('live-text').value.length > 30")
    assert tab.evaluate("document.activeElement.textContent") == "Stop"
    tab.keyboard.press("Enter")  # stop
    wait_for_news(tab, "to compute one")
    assert tab.evaluate("document.activeElement.textContent") == "Write on"
    assert box(tab).input_value().startswith("JULIET:\nMy ")
    tab.keyboard.press("Space")
    tab.keyboard.press("Escape")
    wait_for_news(tab, "to compute one")
    assert not tab.locator(".live-news").inner_text().startswith("200 tokens")
    seen = []
    for _ in range(6):
        tab.keyboard.press("Tab")
        seen.append(
            tab.evaluate(
                "document.activeElement.id || document.activeElement.value"
                " || document.activeElement.textContent"
            )
        )
    assert seen == [
        "One token",
        "Start again",
        "live-temperature",
        "live-top",
        "gpt",
        "After the model.",
    ]
    tab.keyboard.press("Shift+Tab")
    tab.keyboard.press("ArrowRight")
    assert tab.get_by_role("radio", name="Table of counts").is_checked()
    tab.keyboard.press("Shift+Tab")
    tab.keyboard.press("End")
    assert (
        tab.get_by_role("slider", name="Top-k").get_attribute("aria-valuetext").startswith("all ")
    )
    tab.keyboard.press("Shift+Tab")
    tab.keyboard.press("Home")
    slider = tab.get_by_role("slider", name="Temperature")
    assert slider.get_attribute("aria-valuetext") == "0: always the likeliest"


def test_it_stops_by_itself_and_speaks_only_then(made_up, context):
    tab = loaded(made_up, context)
    tab.evaluate("""() => {
        window.said = [];
        const status = document.querySelector('#live-gpt [role=status]');
        const listen = () => said.push(status.textContent);
        new MutationObserver(listen).observe(status, { childList: true });
    }""")
    before = box(tab).input_value()
    tab.get_by_role("button", name="Write on").click()
    wait_for_news(tab, "200 tokens in")
    said = tab.evaluate("said")
    assert said[0] == "Writing." and len(said) == 2 and said[1].startswith("200 tokens: ")
    assert box(tab).input_value()[len(before) :].strip() == said[1].removeprefix("200 tokens: ")
    assert box(tab).is_editable()
    tab.get_by_role("button", name="Start again").click()
    assert box(tab).input_value() == before


def test_the_counts_write_too(made_up, context, tokenizer):
    tab = loaded(made_up, context)
    tab.get_by_role("radio", name="Table of counts").check()
    tab.get_by_role("slider", name="Temperature").fill("0")
    tab.get_by_role("button", name="One token").click()
    wait_for_news(tab, "It drew")
    single, tables = browser_model.unpack_counts((FOLDER / "counts.js").read_text("utf-8"))
    ids = tokenizer.encode(record()["start"])
    p = [browser_model.probability(single, tables, ids, token) for token in range(len(single))]
    assert box(tab).input_value() == tokenizer.decode([*ids, int(np.argmax(p))])


def test_an_empty_box_begins_anew(made_up, context):
    tab = loaded(made_up, context)
    box(tab).fill("")
    tab.get_by_role("button", name="One token").click()
    wait_for_news(tab, "It drew")


def test_twenty_tokens_a_second_on_a_slow_processor(made_up, context):
    """A processor slowed to a quarter; what is counted is the time that computing takes."""
    tab = loaded(made_up, context)
    context.new_cdp_session(tab).send("Emulation.setCPUThrottlingRate", {"rate": 4})
    tab.get_by_role("button", name="Write on").click()
    wait_for_news(tab, "to compute one took")
    each = float(re.search(r"took ([\d.]+) ms", tab.locator(".live-news").inner_text())[1])
    assert 0 < each < 50


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_when_it_is_loaded(made_up, scheme):
    with made_up.context(color_scheme=scheme, reduced_motion="reduce") as context:
        tab = loaded(made_up, context)
        found = Axe().run(tab)
        assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_it_fits_and_can_be_hit(made_up, width):
    with made_up.context(viewport={"width": width, "height": 900}) as context:
        tab = loaded(made_up, context)
        assert tab.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
        for part in tab.locator("#live-gpt :is(button, input, textarea)").all():
            size = part.bounding_box()
            assert size["width"] >= 24 and size["height"] >= 24, part.evaluate("e => e.outerHTML")


def test_what_was_rounded_and_trimmed_is_said(made_up, context):
    tab = loaded(made_up, context)
    said, bits = tab.locator("#live-gpt").inner_text(), record()["bits_per_byte"]
    for name in ("float32", "int8", "counts", "counts_trimmed"):
        assert f"{bits[name]:.3f}" in said
    assert f"{record()['entries']:,} stay" in said
