"""Windows that score every token once, and scores by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.scratch import language_model
from course_lib.scratch.language_model import IGNORED, bits_per_byte, decay, held_out_windows


def test_targets_are_one_place_on():
    x, y = language_model.random_windows(np.arange(50), 200, 7, np.random.default_rng(0))
    assert x.shape == y.shape == (200, 7) and (y == x + 1).all()
    assert x.min() == 0 and y.max() == 49, "the first and the last token must be reachable"


def test_too_short_a_text_is_named():
    with pytest.raises(ValueError, match="7 tokens hold no window of 7"):
        language_model.random_windows(np.arange(7), 1, 7, np.random.default_rng(0))


@given(st.lists(st.integers(1, 40), min_size=1, max_size=4), st.sampled_from([2, 4, 8]))
def test_every_token_but_the_first_is_scored_once(lengths, time):
    documents = [100 * row + np.arange(length) for row, length in enumerate(lengths)]
    if max(lengths) < 2:
        return
    x, y = held_out_windows(documents, time)
    scored = y != IGNORED
    assert y[scored].tolist() == [i for ids in documents for i in ids[1:].tolist()]
    assert (x[scored] == y[scored] - 1).all(), "each target stands after its own token"
    for row in range(len(x)):                       # half a window before it, where there is one
        first = np.flatnonzero(scored[row])[0]
        assert first >= time // 2 or y[row, first] % 100 == first + 1


def test_bits_per_byte_by_hand():
    assert bits_per_byte(8 * np.log(2), ["ab", "é"]) == pytest.approx(2)   # 4 bytes


def test_the_rate_rises_stays_and_falls():
    rates = [decay(step, 100, 60, warm_up=10) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and rates[9:60] == [1.0] * 51
    assert rates[80] == pytest.approx(0.5) and rates[99] == pytest.approx(1 / 40)
