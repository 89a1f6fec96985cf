"""Words, ids and TF-IDF against their definitions; logistic regression against its own gradient."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.scratch import bag_of_words as bag

TEXTS = ["A fine, fine film.", "Not a film: it's dull", "It's fine!", "dull dull dull"]
word = st.sampled_from("a bad film is not so very good dull fine".split())
texts = st.lists(st.lists(word, min_size=1, max_size=7).map(" ".join), min_size=2, max_size=8)


def test_words_are_split_in_lower_case_and_keep_their_apostrophes():
    assert bag.split_words("It’s A—fine film, 'isn't it'? Café 2") == [
        "it’s", "a", "fine", "film", "isn't", "it", "café", "2"]
    assert bag.split_words(" ?! ") == []


def test_ids_go_by_frequency_and_then_by_the_alphabet():
    ids = bag.word_ids(TEXTS)
    assert ids == {"dull": 2, "fine": 3, "a": 4, "film": 5, "it's": 6}
    assert "not" in bag.word_ids(TEXTS, least=1)


def test_no_word_often_enough_is_an_error():
    with pytest.raises(ValueError, match="no word occurs 9 times or more in 4 texts"):
        bag.word_ids(TEXTS, least=9)


def test_rows_are_filled_cut_and_unknown_words_marked():
    ids = bag.word_ids(TEXTS)
    rows = bag.encode(["Dull new film", "fine " * 9, ""], ids, 4)
    assert rows.tolist() == [[2, 1, 5, 0], [3, 3, 3, 3], [0, 0, 0, 0]]
    assert rows.dtype == np.int64
    with pytest.raises(ValueError, match="length is 0"):
        bag.encode(TEXTS, ids, 0)


@given(texts)
def test_tf_idf_is_its_formula(some):
    """Against a dictionary for each text, with no shared code."""
    ids = bag.word_ids(some, least=1)
    rows = bag.encode(some, ids, 8)
    values = bag.tf_idf(rows, bag.inverse_frequency(rows, len(ids) + 2))
    split = [re.findall(r"\w+", text) for text in some]
    for row, got, words in zip(rows, values, split):
        wanted = {w: words.count(w) * (math.log((1 + len(some)) / (1 + sum(w in t for t in split))) + 1)
                  for w in words}
        size = math.sqrt(sum(v * v for v in wanted.values()))
        for w in set(words):
            assert got[row == ids[w]].sum() == pytest.approx(wanted[w] / size)
        assert (got[row == bag.PAD] == 0).all()


def test_unknown_words_and_padding_weigh_nothing():
    rows = np.array([[1, 1, 0, 0], [2, 1, 0, 0]])
    weights = bag.inverse_frequency(rows, 3)
    assert weights[:2].tolist() == [0, 0]
    assert bag.tf_idf(rows, weights).tolist() == [[0, 0, 0, 0], [1, 0, 0, 0]]


def problem(seed=0, n=60, words=9):
    random = np.random.default_rng(seed)
    rows = random.integers(1, words, (n, 5))
    values = bag.tf_idf(rows, bag.inverse_frequency(rows, words))
    labels = (random.random(n) < 0.3 + 0.4 * (rows == 2).any(axis=1)).astype(np.int64)
    return rows, values, labels, words


def objective(theta, rows, values, labels, penalty):
    z = bag.word_scores(rows, values, theta[:-1], theta[-1])
    return np.mean(np.log1p(np.exp(z)) - labels * z) + penalty / 2 * np.sum(theta[:-1] ** 2)


@pytest.mark.parametrize("penalty", [1e-3, 1e-1])
def test_logistic_regression_ends_where_no_direction_leads_down(penalty):
    rows, values, labels, words = problem()
    coef, bias = bag.fit_logistic(rows, values, labels, words, penalty, steps=3000)
    theta = np.append(coef, bias)
    here = objective(theta, rows, values, labels, penalty)
    for place in range(words + 1):
        for step in (1e-3, -1e-3):
            moved = theta.copy()
            moved[place] += step
            assert objective(moved, rows, values, labels, penalty) >= here - 1e-12
    assert here < objective(np.zeros(words + 1), rows, values, labels, penalty) - 1e-3


def test_a_larger_penalty_makes_smaller_coefficients():
    sizes = [np.abs(bag.fit_logistic(*problem(), penalty)[0]).sum() for penalty in (1e-3, 1e-2, 1e-1)]
    assert sizes == sorted(sizes, reverse=True)
