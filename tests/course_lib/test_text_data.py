"""The text sets and the font: real ones whole and clean, damaged ones refused by name."""

import bz2
from dataclasses import replace

import numpy as np
import pytest

from course_lib.data import DataError, chinese_reviews, fonts, load, registry, texts, wikipedia

# --- Wikipedia ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def articles():
    return load("wikipedia")


def test_the_articles_are_all_there(articles):
    assert [len(part) for part in (articles.train, articles.validation, articles.test)] == [83, 11, 10]
    assert "2,0" in repr(articles) and len(articles.titles_train) == 83
    assert 2_700_000 < sum(map(len, articles.train + articles.validation + articles.test)) < 2_900_000


def test_no_article_stands_in_two_parts(articles):
    parts = articles.train + articles.validation + articles.test
    titles = articles.titles_train + articles.titles_validation + articles.titles_test
    assert len(set(parts)) == len(set(titles)) == 104


def test_no_markup_is_left(articles):
    text = "\n".join(articles.train + articles.validation + articles.test)
    for markup in ("{{", "}}", "[[", "]]", "<ref", "{|", "|}", "&nbsp;", "'''", "http://", "==", "|thumb"):
        assert markup not in text, markup
    assert "Anarchism" in text and "\n\n" not in text


@pytest.mark.parametrize(("wikitext", "plain"), [
    ("'''Bold''' and ''italic''", "Bold and italic"),
    ("a [[link]], a [[page|named one]] and [http://x.y an address]", "a link, a named one and an address"),
    ("{{box|a={{inner}}}}text{{c}}", "text"),
    ("{|\n|a||b\n{|\n|c\n|}\n|}after", "after"),
    ("x<ref name=a>y</ref><ref name=a/><!-- z -->", "x"),
    ("[[File:a.jpg|thumb|A [[link]] here]]b", "b"),
    ("== Part ==\n* one\n# two\n== References ==\nall this goes", "Part\none\ntwo"),
    ("1&nbsp;&lt;&nbsp;2 &amp;amp; so", "1 < 2 & so"),
    ("town ({{lang|x}}) of", "town of"), ("never {{closed\nnext", "never\nnext")])
def test_markup_becomes_running_text(wikitext, plain):
    assert wikipedia.plain_text(wikitext) == plain


def dump(pages):
    body = "".join(
        f"<page><title>{title}</title><ns>{ns}</ns>{'<redirect/>' if redirect else ''}"
        f"<revision><text>{text}</text></revision></page>" for title, ns, redirect, text in pages)
    return bz2.compress(f"<mediawiki xmlns='http://x'>{body}</mediawiki>".encode())


def test_redirects_talk_stubs_and_copies_stay_out(tmp_path):
    path = tmp_path / "dump.bz2"
    pages = [(f"T{i}", 0, False, f"{i} " + "word " * 200) for i in range(12)]
    pages += [("R", 0, True, "x " * 400), ("Talk", 1, False, "x " * 400), ("Stub", 0, False, "x"),
              ("Copy", 0, False, pages[0][3])]
    path.write_bytes(dump(pages))
    found = wikipedia.load_wikipedia(path, None)
    titles = found.titles_train + found.titles_validation + found.titles_test
    assert sorted(titles) == sorted(f"T{i}" for i in range(12))


@pytest.mark.parametrize(("content", "words"), [
    (b"no archive", "not a MediaWiki dump"), (bz2.compress(b"<a"), "not a MediaWiki dump"),
    (dump([("T", 1, False, "x")]), "holds no article"),
    (dump([("T", 0, False, "x " * 400)]), "1 articles are too few")])
def test_a_damaged_dump_is_named(tmp_path, content, words):
    path = tmp_path / "dump.bz2"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"dump.bz2: {words}"):
        wikipedia.load_wikipedia(path, None)


# --- Chinese reviews ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reviews():
    return load("chinese-reviews")


def test_the_reviews_are_all_there(reviews):
    sizes = [len(reviews.y_train), len(reviews.y_validation), len(reviews.y_test)]
    assert sizes == [12125, 1732, 3464] and "17,321" in reviews.card.contents
    assert sizes == [len(reviews.text_train), len(reviews.text_validation), len(reviews.text_test)]
    for labels in (reviews.y_train, reviews.y_validation, reviews.y_test):
        assert labels.dtype == np.int64 and 0.47 < labels.mean() < 0.49


def test_no_review_stands_twice(reviews):
    every = reviews.text_train + reviews.text_validation + reviews.text_test
    assert len({chinese_reviews.letters(text) for text in every}) == len(every)


def test_the_labels_fit_the_texts(reviews):
    good, bad = ("很好", "不错", "喜欢"), ("太差", "失望", "垃圾")
    for words, label in ((good, 1), (bad, 0)):
        hits = [y for text, y in zip(reviews.text_train, reviews.y_train) if any(w in text for w in words)]
        assert abs(np.mean(hits) - label) < 0.4


def lines(tmp_path, negative, positive):
    paths = tmp_path / "neg.txt", tmp_path / "pos.txt"
    for path, texts_ in zip(paths, (negative, positive)):
        path.write_text("\n".join(texts_), "utf-8")
    return paths


def test_copies_and_contradictions_leave_before_the_split(tmp_path):
    negative = [f"差 {i}" for i in range(20)] + ["差 1!", "一样", " ", "!!"]
    positive = [f"好 {i}" for i in range(20)] + ["好2", "一 样。"]
    found = chinese_reviews.load_chinese_reviews(lines(tmp_path, negative, positive), None)
    every = found.text_train + found.text_validation + found.text_test
    assert sorted(every) == sorted(negative[:20] + positive[:20])
    assert found.classes[found.y_train[0]] == ("negative" if "差" in found.text_train[0] else "positive")


@pytest.mark.parametrize(("content", "words"), [(b"\xff\xff", "not a text in UTF-8"), (b"\n \n!", "holds no review")])
def test_a_damaged_file_of_reviews_is_named(tmp_path, content, words):
    paths = lines(tmp_path, ["差"], ["好"])
    paths[0].write_bytes(content)
    with pytest.raises(DataError, match=f"neg.txt: {words}"):
        chinese_reviews.load_chinese_reviews(paths, None)


# --- the font -------------------------------------------------------------------------------


def test_the_font_draws_chinese_and_says_what_it_cannot():
    font = load("noto-sans-cjk")
    assert font.check("神经网络读的是词元，不是字母。 abc é") and font.missing("好☒ ☒") == ["☒"]
    with pytest.raises(DataError, match="noto-sans-cjk has no ☒: a figure would show empty boxes"):
        font.check("☒")
    assert font.properties(size=9).get_size() == 9


def test_a_file_that_is_no_font_is_refused(tmp_path):
    path = tmp_path / "font.otf"
    path.write_bytes(b"<html>")
    with pytest.raises(DataError, match="font.otf: not an OpenType or TrueType font"):
        fonts.load_font(path, None)


def test_without_the_font_the_message_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(DataError, match="noto-sans-cjk: could not get .*course data fetch"):
        load("noto-sans-cjk")


# --- drawing --------------------------------------------------------------------------------


def test_a_draw_has_the_characters_asked_for():
    some = ["abcd", "efg", "hi"]
    for characters in (1, 4, 9):
        drawn = texts.draw_texts(some, characters, 0)
        assert sum(map(len, drawn)) == characters and all(drawn)
        assert all(any(text.startswith(d) for text in some) for d in drawn)
    assert texts.draw_texts(some, 9, 1) != texts.draw_texts(some, 9, 3)
    assert texts.draw_texts(some, 9, 1) == texts.draw_texts(some, 9, 1)
    with pytest.raises(ValueError, match="9 characters, fewer than 10"):
        texts.draw_texts(some, 10, 0)


def test_both_files_of_the_reviews_come_from_one_pinned_archive():
    one, two = registry.REGISTRY["chinese-reviews"].embedded.files
    assert one == replace(two, member=one.member, sha256=one.sha256) and one.kind == "sdist"
