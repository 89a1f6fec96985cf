"""The Python side of the attention widget: what it takes, refuses and says."""

import numpy as np
import pytest
from course_lib.scratch.attention import attend
from course_lib.widgets import AttentionWidget
from traitlets import TraitError

RANDOM = np.random.default_rng(2)
WEIGHTS = RANDOM.dirichlet(np.ones(3), (2, 3))


def test_it_keeps_three_decimals_of_what_it_is_given():
    widget = AttentionWidget(words=["a", "b", "c"], weights=WEIGHTS, head=2, word=1)
    np.testing.assert_array_equal(widget.looks, WEIGHTS[1, 1].round(3))
    widget.head = 0
    np.testing.assert_allclose(widget.looks, WEIGHTS.round(3).mean(axis=0)[1], rtol=1e-12)
    assert widget._state()["words"] == ["a", "b", "c"]


def test_the_example_is_attention():
    weights = np.array(AttentionWidget().weights)
    np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=0.005)
    assert weights[0].argmax(axis=1).tolist() == [0, *range(8)]      # the word before
    assert weights[1].argmax(axis=1).tolist() == [*range(9)]         # the word itself


def test_it_takes_what_attend_returns():
    q = RANDOM.standard_normal((2, 4, 5)).astype(np.float32)
    AttentionWidget(words=list("abcd"), weights=attend(q, q, q)[1])


@pytest.mark.parametrize(("words", "weights", "told"), [
    (["a"], np.ones((1, 1, 1)), "1 words: give 2 to 24"),
    (["a", ""], np.full((1, 2, 2), 0.5), "1 to 20 letters"),
    (["a", "b" * 21], np.full((1, 2, 2), 0.5), "1 to 20 letters"),
    (["a", "b"], np.full((2, 2), 0.5), r"give \(heads, 2, 2\)"),
    (["a", "b"], np.full((9, 2, 2), 0.5), "at most 8 heads"),
    (["a", "b"], np.full((1, 3, 3), 1 / 3), r"give \(heads, 2, 2\)"),
    (["a", "b", "c"], WEIGHTS.swapaxes(1, 2), "over the last axis"),
    (["a", "b"], np.array([[[1.5, -0.5], [0, 1]]]), "nothing negative"),
    (["a", "b"], np.array([[[np.nan, 1], [0, 1]]]), "must add up to 1"),
])
def test_weights_that_are_none_are_refused(words, weights, told):
    with pytest.raises(TraitError, match=told):
        AttentionWidget(words=words, weights=weights)


def test_words_and_weights_come_together():
    with pytest.raises(TypeError, match="together"):
        AttentionWidget(words=["a", "b"])


@pytest.mark.parametrize("setting", [{"head": 3}, {"word": 9}])
def test_a_head_or_word_that_is_not_there_is_refused(setting):
    with pytest.raises(TraitError, match="there are heads 1 to 2"):
        AttentionWidget(**setting)
