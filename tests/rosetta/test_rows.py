"""Each row of the Rosetta table is established by one measurement; a failing test names the row."""

from __future__ import annotations

import dataclasses
import re

import pytest
from course_lib.parity.rosetta import GROUPS, ROWS, Row
from measuring import WITHIN, Measured, Measurement, establishes, fault, unmatched


@pytest.mark.parametrize("row", ROWS)
def test_the_frameworks_differ_and_the_cure_makes_them_agree(taken, row):
    wrong = fault(taken.found[row][0], taken[row])
    assert not wrong, f"{row}: {wrong}"
    assert taken[row].what


def test_each_row_has_one_measurement_and_each_measurement_a_row(taken):
    assert unmatched(ROWS, taken.found) == []


def test_a_wider_bound_has_its_reason(taken):
    for row, (measurement,) in taken.found.items():
        assert measurement.over > 0, row
        assert (measurement.within <= WITHIN) != bool(measurement.because), row


def made_up(before: float = 1.0, after: float | None = 0.0) -> Measurement:
    return Measurement(lambda: Measured(before, after, "outputs"), 1e-6, 1e-12, "")


def test_a_row_without_a_measurement_is_noticed():
    assert unmatched(["a", "b"], {"a": [made_up()]}) == ["b: no measurement"]


def test_a_measurement_without_a_row_or_taken_twice_is_noticed():
    assert unmatched(["a"], {"a": [made_up(), made_up()], "c": [made_up()]}) == [
        "a: 2 measurements", "c: a measurement of no row"]


@pytest.mark.parametrize("before, after, word", [
    (1.0, 0.0, ""), (1.0, None, ""), (0.0, 0.0, "as they come"), (1.0, 1e-3, "with the cure"),
    (float("nan"), 0.0, "as they come"), (1.0, float("nan"), "with the cure")])
def test_a_broken_promise_is_told(before, after, word):
    measurement = made_up(before, after)
    told = fault(measurement, measurement.run())
    assert word in told and bool(word) == bool(told)


def test_a_wider_bound_without_a_reason_is_refused():
    with pytest.raises(ValueError, match="because of what"):
        establishes("a", within=1e-3)


# --- texts --------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", ROWS)
def test_a_row_says_something_in_each_place(row):
    texts = dataclasses.asdict(ROWS[row])
    page = texts.pop("page")
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", row) and texts.pop("kind") in GROUPS
    assert not texts["topic"].endswith(".")
    for name, text in texts.items():
        assert text.strip() == text and text and "—" not in text and "|" not in text, name
        assert text.count("`") % 2 == 0 and (name == "topic" or text[-1] in ".)"), (name, text)
        assert len(text) <= 260, f"{name} is too long for a telephone"
        for word in " ".join(re.findall(r"`([^`]+)`", text)).split():
            assert len(word) <= 40, f"{name}: {word} does not fit on a telephone"
    assert page == page.strip()


def broken_page(root, page: str) -> str:
    """Why a row's page leads nowhere, or ""."""
    name, _, anchor = page.partition("#")
    path = root / "book" / name
    if not path.is_file():
        return f"there is no {path}"
    text = path.read_text("utf8")
    slugs = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
             for title in re.findall(r"^#+ (.+)$", text, re.M)}
    return "" if not anchor or anchor in slugs else f"nothing in {name} is called {anchor}"


@pytest.mark.parametrize("row", [name for name in ROWS if ROWS[name].page])
def test_a_row_leads_to_a_page_that_is_there(root, row):
    assert not broken_page(root, ROWS[row].page)


def test_a_page_or_heading_that_is_not_there_is_noticed(root):
    page = next(row.page for row in ROWS.values() if row.page)
    assert "no " in broken_page(root, "no-such-page.md")
    assert "called" in broken_page(root, page.split("#")[0] + "#no-such-heading")


@pytest.mark.parametrize("row", [name for name in ROWS if ROWS[name].page])
def test_the_page_where_a_row_is_met_links_to_it(root, row):
    text = (root / "book" / ROWS[row].page.split("#")[0]).read_text("utf8")
    assert f"](#rosetta-{row})" in text


def test_rows_are_frozen_and_topics_are_unlike():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Row("a", "b", "c", "d").topic = "e"
    topics = [row.topic for row in ROWS.values()]
    assert len(set(topics)) == len(topics)
