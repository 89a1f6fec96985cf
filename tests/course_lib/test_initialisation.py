"""How weights start: against torch.nn.init and keras.initializers, and against the formulas."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.scratch.initialisation import RULES, draw_layers, draw_weights, weight_variance

BIG = 600, 400  # enough draws for a variance to 2 %
sizes = st.integers(1, 40)


def drawn(rule, fan_in, fan_out, seed=0):
    return draw_weights(rule, fan_in, fan_out, np.random.default_rng(seed))


def by_torch(rule, fan_in, fan_out):
    """What torch.nn.init draws, in our layout."""
    import torch

    torch.manual_seed(0)
    weight, init = torch.empty(fan_out, fan_in, dtype=torch.float64), torch.nn.init
    fill = {
        "small": lambda: init.normal_(weight, std=0.01),
        "standard": lambda: init.normal_(weight),
        "lecun": lambda: init.kaiming_normal_(weight, nonlinearity="linear"),
        "glorot": lambda: init.xavier_uniform_(weight),
        "he": lambda: init.kaiming_normal_(weight, nonlinearity="relu"),
        "orthogonal": lambda: init.orthogonal_(weight),
    }
    if rule == "pytorch":
        return torch.nn.Linear(fan_in, fan_out, dtype=torch.float64).weight.detach().numpy().T
    return fill[rule]().numpy().T


def by_keras(rule, fan_in, fan_out):
    """What keras.initializers draws; None where it has no such rule."""
    import tensorflow as tf

    kinds, shape = tf.keras.initializers, (fan_in, fan_out)
    made = {
        "small": kinds.RandomNormal(stddev=0.01, seed=0),
        "standard": kinds.RandomNormal(stddev=1.0, seed=0),
        "lecun": kinds.LecunNormal(seed=0),
        "glorot": kinds.GlorotUniform(seed=0),
        "he": kinds.HeNormal(seed=0),
        "orthogonal": kinds.Orthogonal(seed=0),
    }
    return np.asarray(made[rule](shape)) if rule in made else None


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("shape", [BIG, BIG[::-1]], ids=["narrowing", "widening"])
def test_both_frameworks_draw_with_our_variance(rule, shape):
    wanted = weight_variance(rule, *shape)
    assert drawn(rule, *shape).var() == pytest.approx(wanted, rel=0.02)
    assert by_torch(rule, *shape).var() == pytest.approx(wanted, rel=0.02)
    theirs = by_keras(rule, *shape)
    assert theirs is None or theirs.var() == pytest.approx(wanted, rel=0.02)


@pytest.mark.parametrize("rule", ["pytorch", "glorot"])
def test_uniform_rules_end_where_both_frameworks_end(rule):
    bound = np.sqrt(3 * weight_variance(rule, *BIG))
    for found in (drawn(rule, *BIG), by_torch(rule, *BIG), by_keras(rule, *BIG)):
        if found is not None:
            assert 0.99 * bound < np.abs(found).max() <= bound * (1 + 1e-6)


def test_linears_default_is_one_over_the_root_of_fan_in():
    import torch

    layer = torch.nn.Linear(100, 300, dtype=torch.float64)
    weight, bias = draw_layers([100, 300], "pytorch")[0]
    for found in (layer.weight.detach().numpy(), layer.bias.detach().numpy(), weight, bias):
        assert 0.09 < np.abs(found).max() <= 0.1


def test_the_default_of_a_dense_layer_is_glorot_and_zero():
    import tensorflow as tf

    layer = tf.keras.layers.Dense(400)
    layer.build((None, 600))
    assert layer.kernel.numpy().var() == pytest.approx(weight_variance("glorot", *BIG), rel=0.02)
    assert not layer.bias.numpy().any() and not draw_layers([*BIG], "glorot")[0][1].any()


@pytest.mark.parametrize("rule", ["small", "standard", "lecun", "he"])
def test_normal_rules_have_a_normal_share_beyond_two_deviations(rule):
    """Torch's are normal, too; Keras cuts its fan-in rules there, and widens them."""
    deviation = np.sqrt(weight_variance(rule, *BIG))
    for found in (drawn(rule, *BIG), by_torch(rule, *BIG)):
        assert np.mean(np.abs(found) > 2 * deviation) == pytest.approx(0.0455, abs=0.003)
    beyond = np.mean(np.abs(by_keras(rule, *BIG)) > 2.28 * deviation)
    assert (beyond == 0) == (rule in ("lecun", "he"))


@settings(deadline=None)
@given(sizes, sizes, st.integers(0, 10_000))
def test_an_orthogonal_matrix_keeps_lengths_where_it_can(fan_in, fan_out, seed):
    weight = drawn("orthogonal", fan_in, fan_out, seed)
    product = weight @ weight.T if fan_in <= fan_out else weight.T @ weight
    assert weight.shape == (fan_in, fan_out)
    np.testing.assert_allclose(product, np.eye(min(fan_in, fan_out)), atol=1e-12)


def test_orthogonal_matrices_turn_evenly():
    """Without the signs of R, QR of normal numbers prefers some: the mean trace is then not 0."""
    traces = [np.trace(drawn("orthogonal", 3, 3, seed)) for seed in range(2000)]
    assert abs(np.mean(traces)) < 0.1


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(RULES), st.lists(sizes, min_size=2, max_size=5), st.integers(0, 1000))
def test_layers_fit_together_and_a_seed_repeats(rule, widths, seed):
    layers, again = draw_layers(widths, rule, seed), draw_layers(widths, rule, seed)
    assert [w.shape for w, _ in layers] == list(zip(widths, widths[1:]))
    for (weight, bias), (weight_2, bias_2) in zip(layers, again):
        assert weight.dtype == bias.dtype == np.float64
        assert (weight == weight_2).all() and (bias == bias_2).all()
        assert bias.shape == weight.shape[1:]
        assert (rule == "pytorch") == bool(bias.any())


def test_another_seed_draws_other_weights():
    one, other = (draw_layers([5, 5], "he", seed)[0][0] for seed in (0, 1))
    assert (one != other).all()


@pytest.mark.parametrize("rule, fan_in, fan_out", [("He", 3, 3), ("he", 0, 3), ("he", 3, 0)])
def test_unknown_rules_and_empty_layers_are_refused(rule, fan_in, fan_out):
    with pytest.raises(ValueError, match="sizes of 1 or more"):
        drawn(rule, fan_in, fan_out)


def test_a_network_needs_two_sizes():
    with pytest.raises(ValueError, match="every layer"):
        draw_layers([3], "he")
