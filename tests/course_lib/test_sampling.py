"""The choice of the next token, by its definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.scratch.sampling import Sampling, draw, token_probabilities

LOGITS = np.log([0.1, 0.4, 0.05, 0.25, 0.2])


@pytest.mark.parametrize("sampling, kept", [
    (Sampling(), [0, 1, 2, 3, 4]), (Sampling(top_k=2), [1, 3]), (Sampling(top_k=9), [0, 1, 2, 3, 4]),
    (Sampling(top_p=0.6), [1, 3]), (Sampling(top_p=0.7), [1, 3, 4]), (Sampling(top_p=0.1), [1]),
    (Sampling(min_p=0.4), [1, 3, 4]), (Sampling(min_p=0.9), [1]), (Sampling(min_p=1.0), [1]),
    (Sampling(top_k=3, top_p=0.5), [1, 3]), (Sampling(top_k=2, min_p=0.7), [1])])
def test_what_is_kept_keeps_its_proportions(sampling, kept):
    wanted = np.zeros(5)
    wanted[kept] = np.exp(LOGITS)[kept] / np.exp(LOGITS)[kept].sum()
    np.testing.assert_allclose(token_probabilities(LOGITS, sampling), wanted, atol=1e-14)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 999), st.floats(0.05, 5))
def test_temperature_divides_the_logits(seed, temperature):
    logits = np.random.default_rng(seed).normal(size=12) * 3
    p = token_probabilities(logits, Sampling(temperature))
    odds = np.log(p[:, None] / p) if (p > 1e-300).all() else None
    if odds is not None:
        gaps = (logits[:, None] - logits) / temperature
        np.testing.assert_allclose(odds, gaps, atol=1e-9)
    assert p.sum() == pytest.approx(1)


def test_temperature_0_takes_the_likeliest_and_ties_go_to_the_smaller_id():
    assert token_probabilities(LOGITS, Sampling(0)).tolist() == [0, 1, 0, 0, 0]
    assert token_probabilities([1, 2, 2], Sampling(top_k=1)).tolist() == [0, 1, 0]
    assert token_probabilities([1, 2, 2], Sampling(0)).tolist() == [0, 1, 0]
    np.testing.assert_allclose(token_probabilities([800.0, 799.0], Sampling()).sum(), 1)


def test_draws_follow_the_probabilities_with_one_uniform_number_each():
    p, random = token_probabilities(LOGITS, Sampling(top_k=3)), np.random.default_rng(0)
    counts = np.bincount([draw(p, random) for _ in range(20_000)], minlength=5) / 20_000
    assert np.abs(counts - p).max() < 0.015 and (counts[p == 0] == 0).all()
    again = np.random.default_rng(0)
    again.random(20_000)
    assert again.random() == random.random()


@pytest.mark.parametrize("settings_, words", [
    (dict(temperature=-1), "temperature"), (dict(temperature=float("nan")), "temperature"),
    (dict(top_k=0), "top_k"), (dict(top_p=0), "top_p"), (dict(top_p=1.5), "top_p"),
    (dict(min_p=-0.1), "min_p")])
def test_settings_out_of_range_say_so(settings_, words):
    with pytest.raises(ValueError, match=words):
        Sampling(**settings_)


@pytest.mark.parametrize("logits", [[[1.0, 2.0]], [1.0, float("nan")], [float("inf"), 0.0]])
def test_logits_must_be_a_finite_row(logits):
    with pytest.raises(ValueError, match="finite logits"):
        token_probabilities(logits, Sampling())
