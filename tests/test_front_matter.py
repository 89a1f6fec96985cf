"""The pages around the chapters: complete, in step with what is there, and their sums right."""

import re
from pathlib import Path

import pytest
import yaml
from pybtex.database import parse_file

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "book"
PAGES = sorted(BOOK.rglob("*.md"))
CHAPTERS = [path for path in sorted(BOOK.glob("[0-9][0-9]-*/*.md")) if path.stem != "index"]
CHINESE = re.compile(r"[\u4e00-\u9fff]")
# How many places of the five documents are known to be wrong; a new one is a new entry.
ENTRIES = 30


def read(name: str) -> str:
    """The source of a page of book/."""
    return (BOOK / name).read_text("utf-8")


def table_of_contents() -> list[str]:
    """The pages that _toc.yml names, in its order."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))
    pages = [page for part in toc["parts"] for page in part["chapters"]]
    return [toc["root"]] + [one["file"] for page in pages for one in (page, *page.get("sections", []))]


def slug(words: str) -> str:
    """The file name that a notebook of this title has: "training loop" -> training-loop."""
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")


def is_there(chapter: str, name: str) -> bool:
    """Whether a chapter has a page of this name."""
    return any(path.stem == slug(name) for path in BOOK.glob(f"{chapter}-*/*.md"))


# --- table of contents ------------------------------------------------------------------------


def test_each_page_is_in_the_contents_once_and_each_entry_is_a_page():
    listed = table_of_contents()
    assert sorted(listed) == sorted(set(listed))
    assert set(listed) == {path.relative_to(ROOT).with_suffix("").as_posix() for path in PAGES}


def test_chapters_come_first_each_with_its_landing_page():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))
    course, *rest = toc["parts"]
    for chapter in course["chapters"]:
        folder = chapter["file"].removesuffix("/index")
        assert chapter["file"] == f"{folder}/index" and chapter["title"][:2] == folder[len("book/") :][:2]
        assert all(page["file"].startswith(folder + "/") for page in chapter["sections"])
    assert not any("/" in page["file"][len("book/") :] for part in rest for page in part["chapters"])


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_page_opens_with_a_short_title_a_standfirst_and_its_goals(path):
    text = path.read_text("utf-8").split("---\n", 2)[-1]
    (title, standfirst, goals) = [block for block in text.split("\n\n") if block.strip()][:3]
    assert re.fullmatch(r"\s*# .{3,36}", title), title
    assert re.fullmatch(r"\*[^*]{10,110}[.?!]\*", standfirst), standfirst
    assert re.match(r"After this page you (can|know)", goals), goals


# --- errata -----------------------------------------------------------------------------------


def errata() -> list[tuple[int, str]]:
    """The entries of the page: number and text."""
    parts = re.split(r"^### (\d+)\. ", read("errata.md"), flags=re.M)[1:]
    return [(int(number), text) for number, text in zip(parts[::2], parts[1::2])]


def test_errata_are_numbered_and_can_be_linked():
    numbers = [number for number, _ in errata()]
    assert numbers == list(range(1, ENTRIES + 1))
    assert re.findall(r"^\(errata-(\d+)\)=$", read("errata.md"), re.M) == [str(n) for n in numbers]


@pytest.mark.parametrize("number", range(1, ENTRIES + 1))
def test_an_entry_says_where_what_and_what_is_right(number):
    text = dict(errata())[number]
    for field in ("Where", "What it says", "What is right", "In this book"):
        (said,) = re.findall(rf"^\*\*{field}\.\*\* (.+)$", text, re.M)
        assert len(said) >= 10
    assert re.search(r"\bD[0-4]\b", text)


@pytest.mark.parametrize("number", range(1, ENTRIES + 1))
def test_an_entry_leads_to_a_page_or_says_that_there_is_none(number):
    (said,) = re.findall(r"^\*\*In this book\.\*\* (.+)$", dict(errata())[number], re.M)
    links = re.findall(r"\]\(([^)#]+)", said)
    missing = re.search(r"[Cc]hapter (\d\d), ((?:\*[^*]+\*(?: and )?)+), not yet written", said)
    assert links or missing, said
    assert all((BOOK / link).exists() for link in links)
    assert ("not yet written" in said) == bool(missing)
    if missing:
        for name in re.findall(r"\*([^*]+)\*", missing[2]):
            assert not is_there(missing[1], name), f"{name} is there now: link to it"


# --- chapter map ------------------------------------------------------------------------------


def sections() -> dict[str, str]:
    """The chapters of the map, by number."""
    parts = re.split(r"^### (\d\d) .*$", read("chapter-map.md").split("### Back matter")[0], flags=re.M)[1:]
    return dict(zip(parts[::2], parts[1::2]))


def test_the_map_has_all_ten_chapters():
    assert list(sections()) == [f"{number:02}" for number in range(10)]


def test_the_map_links_to_each_page_that_is_there():
    text = read("chapter-map.md")
    for page in [*CHAPTERS, *BOOK.glob("*.md")]:
        name = page.relative_to(BOOK).as_posix()
        assert name in {"intro.md", "chapter-map.md"} or f"({name})" in text, f"{name} is not on the map"


def test_the_map_calls_nothing_that_is_there_not_yet_written():
    for chapter, text in sections().items():
        if not any(path.parent.name.startswith(chapter + "-") for path in CHAPTERS):
            assert "ot yet written" in text, chapter
            continue
        assert not text.strip().startswith("Not yet written"), f"chapter {chapter} has begun"
        for name in re.findall(r"^- \*([^*]+)\*: not yet written", text, re.M):
            words = set(slug(name).split("-")) - {"and", "the"}
            for path in CHAPTERS:
                if path.parent.name.startswith(chapter):
                    assert len(words & set(path.stem.split("-"))) < 2, f"{name} is there: {path.name}"


def test_the_drawing_says_in_words_what_it_shows():
    (drawing,) = re.findall(r"<svg.*?</svg>", read("chapter-map.md"), re.S)
    assert 'role="img"' in drawing and 'aria-labelledby="map-title map-text"' in drawing
    (told,) = re.findall(r"<desc[^>]*>(.*?)</desc>", drawing, re.S)
    for word in re.findall(r"<text[^>]*>([\w -]+)</text>", drawing):
        assert word in told, f"the description leaves out {word!r}"


# --- glossary ---------------------------------------------------------------------------------


def glossary() -> dict[str, tuple[str, str]]:
    """Chinese term and sentence of each English term."""
    (body,) = re.findall(r"```\{glossary\}\n(.*?)\n```", read("glossary.md"), re.S)
    entries = [block.split("\n") for block in body.split("\n\n")]
    assert all(len(lines) == 3 for lines in entries)
    return {english: (chinese, sentence.strip()) for english, chinese, sentence in entries}


def test_each_term_has_chinese_and_one_sentence():
    terms = glossary()
    assert len(terms) >= 80
    for english, (chinese, sentence) in terms.items():
        assert not CHINESE.search(english) and CHINESE.search(chinese), english
        assert sentence[0].isupper() and sentence.endswith("."), english
        assert len(re.findall(r"[.!?](?:\s|$)", sentence)) == 1, f"{english}: one sentence"


def test_terms_are_in_order_and_chinese_terms_are_unlike():
    names = list(glossary())
    assert names == sorted(names, key=str.lower)
    chinese = [pair[0] for pair in glossary().values()]
    assert len(set(chinese)) == len(chinese)


def test_the_words_that_the_documents_mix_up():
    terms = glossary()
    chosen = {"key": "键", "precision": "精确率", "backpropagation": "反向传播"}
    assert {name: terms[name][0] for name in chosen} == chosen


def test_chinese_is_marked_as_chinese():
    import sys

    sys.path.insert(0, str(BOOK / "_ext"))
    from chinese import marked

    assert marked('<p title="键">key 键, 反向传播.</p>') == (
        '<p title="键">key <span lang="zh-Hans">键</span>, <span lang="zh-Hans">反向传播</span>.</p>')


# --- references -------------------------------------------------------------------------------

BIBLIOGRAPHY = parse_file(str(BOOK / "references.bib"))


@pytest.mark.parametrize("key", list(BIBLIOGRAPHY.entries))
def test_each_reference_can_be_found(key):
    entry = BIBLIOGRAPHY.entries[key]
    fields = entry.fields
    assert re.fullmatch(r"1[89]\d\d|20[0-2]\d", fields["year"])
    assert any(fields.get(name) for name in ("doi", "eprint", "isbn", "url")), "give a doi, eprint, isbn or url"
    assert entry.persons.get("author") and fields.get("title")
    if "eprint" in fields:
        assert re.fullmatch(r"\d{4}\.\d{4,5}", fields["eprint"]) and fields["archiveprefix"] == "arXiv"
    if "doi" in fields:
        assert re.fullmatch(r"10\.\d{4,5}/\S+", fields["doi"])
    if "isbn" in fields:
        digits = [int(digit) for digit in fields["isbn"].replace("-", "")]
        assert len(digits) == 13 and sum(digits[::2] + [3 * d for d in digits[1::2]]) % 10 == 0


def test_no_work_stands_twice():
    for name in ("doi", "eprint"):
        found = [entry.fields[name] for entry in BIBLIOGRAPHY.entries.values() if name in entry.fields]
        assert len(found) == len(set(found))


def test_each_citation_has_its_reference():
    for page in PAGES:
        for group in re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", page.read_text("utf-8")):
            for key in group.split(","):
                assert key.strip() in BIBLIOGRAPHY.entries, f"{page.name}: {key}"


# --- notation ---------------------------------------------------------------------------------

GREEK = (
    "alpha beta gamma delta epsilon varepsilon zeta eta theta kappa lambda mu nu xi pi rho sigma tau"
    " phi varphi chi psi omega Gamma Delta Theta Lambda Sigma Phi Psi Omega"
).split()


def letters(text: str) -> set[str]:
    """The Greek letters among a text's LaTeX commands."""
    return set(re.findall(r"\\([A-Za-z]+)", text)) & set(GREEK)


def test_each_greek_letter_of_a_chapter_is_explained():
    explained = letters(read("notation.md").split("## Greek letters")[1].split("## Names")[0])
    assert {"theta", "eta", "lambda", "kappa"} <= explained
    for page in CHAPTERS:
        assert letters(page.read_text("utf-8")) <= explained, page.name


def test_notation_names_code_that_exists():
    library = "".join(path.read_text("utf-8") for path in (ROOT / "course_lib").rglob("*.py"))
    for name in re.findall(r"^\* - `(.+)`$", read("notation.md").split("## Names")[1], re.M):
        for word in name.split("`, `"):
            assert re.search(rf"\b{word}\b", library + read("03-gradient-descent/gradient-descent.md")), word


# --- the sums of the guide to hardware ----------------------------------------------------------


def test_the_sums_of_the_guide_are_right():
    text = read("environment.md").replace("{,}", ",").replace("$", "")
    network = 196 * 32 + 32 + 32 * 10 + 10
    assert f"{network:,}" in text and f"{8 * network:,} bytes" in text
    assert f"{2000 * 4 * (196 + 32 + 10):,} bytes" in text
    h, positions, heads, vocabulary = 768, 1024, 12, 50257
    layer, embedded = 12 * h**2 + 13 * h, (vocabulary * h, positions * h)
    whole = sum(embedded) + 12 * layer + 2 * h
    for number in (*embedded, layer, 12 * layer, 2 * h, whole):
        assert f"{number:,}" in text, number
    activations = positions * h * (34 + 5 * heads * positions / h)
    assert f"{positions * h:,}" in text and f"{activations / 1e6:.1f} MB" in text
    for gigabytes in (4 * whole, 16 * whole, 12 * activations, 16 * positions * vocabulary):
        assert f"{gigabytes / 1e9:.2f} GB" in text, gigabytes
    assert f"{8 * 12 * activations / 1e9:.1f} GB" in text
    operations = 6 * whole * 1e9
    assert f"{operations / 1e17:.1f} \\cdot 10^{{17}}" in text
    assert f"{operations / 1e11 / 86400:.0f} days" in text and round(operations / 1e14 / 3600) == 2


def test_the_sums_of_storage_are_right():
    text = read("environment.md")
    for pixels, unit, scale in ((70_000 * 28 * 28, "MB", 1e6), (60_000 * 32 * 32 * 3, "MB", 1e6),
                                (1_281_167 * 224 * 224 * 3, "GB", 1e9)):
        assert f"| {pixels / scale:.0f} {unit} | {4 * pixels / scale:.0f} {unit} |" in text


def test_the_program_of_the_guide_prints_what_the_guide_says(capsys):
    (program,) = re.findall(r"```python\n(h, layers.*?)```", read("environment.md"), re.S)
    exec(program, {})
    parameters, adam, activations = map(float, capsys.readouterr().out.split())
    assert (parameters, round(adam, 2), round(activations, 2)) == (124_439_808, 1.99, 1.08)


def test_the_guides_name_what_make_and_course_have():
    from course_tools.cli import main

    known = set(re.search(r"^TARGETS := (.*)$", (ROOT / "Makefile").read_text(), re.M)[1].split())
    for page in BOOK.glob("*.md"):
        text = page.read_text("utf-8")
        for target in re.findall(r"`(?:[A-Z_]+=\S+ )?(?:make|python make\.py) (\w+)`", text):
            assert target in known, f"{page.name}: make {target}"
        for command in re.findall(r"`(?:\.venv[/\\]\w+[/\\])?course ([\w-]+)", text):
            assert command in main.commands, f"{page.name}: course {command}"
