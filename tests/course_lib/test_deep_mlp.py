"""Deep stacks: NumPy, PyTorch and TensorFlow are one network, and gradients have the foretold size."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.scratch import activations
from course_lib.scratch.deep_signal import (
    deep_gradients,
    forward_and_back,
    gaussian_mean,
    normalised_factor,
    safe_norm,
    shortcut_factors,
)
from course_lib.scratch.initialisation import draw_layers, weight_variance

FUNCTIONS = {name: (getattr(activations, name), getattr(activations, f"{name}_slope"))
             for name in ("sigmoid", "tanh", "relu")}


def batch(rows=8, features=6, classes=3, seed=0):
    random = np.random.default_rng(seed)
    return random.standard_normal((rows, features)), random.integers(0, classes, rows)


def twins(depth=5, width=7, **settings):
    from course_lib.pytorch.deep_mlp import TorchDeepMLP
    from course_lib.tensorflow.deep_mlp import TFDeepMLP

    settings = {"dtype": "float64", **settings}
    return (TorchDeepMLP(6, width, depth, 3, **settings),
            TFDeepMLP(6, width, depth, 3, **settings))


def sizes_in_both(pair, x, y):
    import tensorflow as tf
    import torch

    from course_lib.pytorch.deep_mlp import sizes_torch
    from course_lib.tensorflow.deep_mlp import sizes_tf

    ours = sizes_torch(pair[0], torch.from_numpy(x), torch.from_numpy(y))
    theirs = sizes_tf(pair[1], tf.constant(x), tf.constant(y))
    return [np.stack([t.numpy() for t in found]) for found in (ours, theirs)]


# --- backpropagation by hand --------------------------------------------------------------------


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("init", ["small", "glorot", "he", "pytorch"])
def test_both_frameworks_have_our_gradients_also_where_they_are_tiny(name, init):
    x, y = batch()
    layers = draw_layers([6, *[7] * 11, 3], init, seed=1)
    _, weights, sums = deep_gradients(layers, *FUNCTIONS[name], x, np.eye(3)[y])
    wanted = np.stack([[np.linalg.norm(g) for g in part] for part in (weights, sums)])
    pair = twins(12, activation=name, init=init, seed=1)
    for found in sizes_in_both(pair, x, y):
        np.testing.assert_allclose(found, wanted, rtol=1e-10)
    assert (wanted > 0).all() and (init != "small" or wanted[0, 0] < 1e-12)


def test_gradients_are_the_differences_of_the_loss():
    x, y = batch()
    layers = draw_layers([6, 5, 4, 3], "glorot", seed=2)
    targets, (f, slope) = np.eye(3)[y], FUNCTIONS["tanh"]
    _, weights, _ = deep_gradients(layers, f, slope, x, targets)
    for number, (weight, _) in enumerate(layers):
        for index in [(0, 0), (2, 1)]:
            losses = []
            for step in (1e-6, -1e-6):
                weight[index] += step
                losses.append(deep_gradients(layers, f, slope, x, targets)[0])
                weight[index] -= step
            assert weights[number][index] == pytest.approx(
                (losses[0] - losses[1]) / 2e-6, abs=1e-8)


def test_targets_that_are_no_rows_of_classes_are_refused():
    x, y = batch()
    with pytest.raises(ValueError, match="logits' shape"):
        deep_gradients(draw_layers([6, 3], "he"), *FUNCTIONS["relu"], x, y)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000))
def test_in_a_relu_network_weight_times_gradient_is_the_same_in_every_layer(seed):
    x, y = batch(seed=seed)
    layers = draw_layers([6, 7, 7, 7, 3], "lecun", seed)
    _, weights, _ = deep_gradients(layers, *FUNCTIONS["relu"], x, np.eye(3)[y])
    each = [np.sum(w * g) for (w, _), g in zip(layers, weights)]
    np.testing.assert_allclose(each, each[0], rtol=1e-9, atol=1e-12)


# --- sizes foretold -----------------------------------------------------------------------------


@pytest.mark.parametrize("f, wanted", [
    (lambda z: z**2, 1.0), (lambda z: z**4, 3.0), (np.cos, np.exp(-0.5)),
    (activations.relu, 1 / np.sqrt(2 * np.pi)), (activations.relu_slope, 0.5)])
def test_means_over_a_normal_distribution(f, wanted):
    assert gaussian_mean(f) == pytest.approx(wanted, abs=1e-5)


@settings(deadline=None, max_examples=30)
@given(st.floats(0.1, 4), st.floats(0.1, 9))
def test_relu_halves_the_gain_at_any_size(gain, q):
    squares, factors = forward_and_back(*FUNCTIONS["relu"], np.full(5, gain), q)
    np.testing.assert_allclose(factors, gain / 2, rtol=1e-5)
    np.testing.assert_allclose(squares, q * gain * (gain / 2) ** np.arange(5), rtol=1e-4)


def test_the_factors_of_normalisation():
    assert normalised_factor(*FUNCTIONS["relu"], "layer") == pytest.approx(1, abs=1e-5)
    assert normalised_factor(*FUNCTIONS["relu"], "batch") == pytest.approx(
        np.pi / (np.pi - 1), abs=1e-4)
    assert normalised_factor(*FUNCTIONS["tanh"], "layer") == pytest.approx(
        normalised_factor(*FUNCTIONS["tanh"], "batch"))
    with pytest.raises(ValueError, match="layer"):
        normalised_factor(*FUNCTIONS["relu"], "none")


@pytest.mark.parametrize("name, init", [("sigmoid", "glorot"), ("tanh", "he"), ("relu", "he")])
def test_wide_layers_keep_the_foretold_factor(name, init):
    x, y = batch(features=200)
    widths = [200] * 9 + [3]
    gains = [a * weight_variance(init, a, b) for a, b in zip(widths, widths[1:])]
    squares, factors = forward_and_back(*FUNCTIONS[name], gains, np.mean(x**2))
    logs = []
    for seed in range(5):
        layers = draw_layers(widths, init, seed)
        _, _, sums = deep_gradients(layers, *FUNCTIONS[name], x, np.eye(3)[y])
        logs.append(np.diff([np.log(np.sum(d**2)) for d in sums[:-1]]))
    np.testing.assert_allclose(-np.mean(logs, axis=0), np.log(factors[:-1]), atol=0.15)
    assert len(squares) == len(gains) == len(factors) + 1


def test_shortcuts_add_one():
    linear = (lambda z: z, lambda z: np.ones_like(z))
    np.testing.assert_allclose(shortcut_factors(*linear, 2.0, 0.5, 3), 1.5, rtol=1e-6)
    found = shortcut_factors(*FUNCTIONS["tanh"], 1.0, 1.0, 20)
    assert (found > 1).all() and (np.diff(found) < 0).all()  # h grows, tanh saturates
    np.testing.assert_array_equal(shortcut_factors(*FUNCTIONS["tanh"], 1.0, 0.0, 4), 1.0)


# --- norms and clipping -------------------------------------------------------------------------


@settings(deadline=None)
@given(st.lists(st.one_of(st.just(0.0), st.floats(1e-9, 1e3), st.floats(-1e3, -1e-9)),
                min_size=1, max_size=9), st.integers(-200, 200))
def test_the_safe_norm_is_the_norm_at_any_scale(entries, power):
    scale = 2.0**power
    wanted = np.linalg.norm(entries)
    found = safe_norm([scale * np.array(entries[:1]), scale * np.array(entries)[1:]]
                      if len(entries) > 1 else [scale * np.array(entries)])
    assert found == pytest.approx(scale * wanted, rel=1e-12, abs=0)


@pytest.mark.parametrize("size", [1e25, 1e-25])
def test_norms_of_float32_gradients_neither_overflow_nor_vanish(size):
    import tensorflow as tf
    import torch

    from course_lib.pytorch.deep_mlp import global_norm_torch
    from course_lib.tensorflow.deep_mlp import global_norm_tf

    arrays = [np.full(3, size, np.float32), np.full((2, 3), size, np.float32)]
    with np.errstate(over="ignore"):
        assert not 0 < np.sqrt(sum(np.float32(np.sum(a**2)) for a in arrays)) < np.inf
    assert safe_norm(arrays) == pytest.approx(3 * size, rel=1e-6)
    ours = global_norm_torch([torch.from_numpy(a) for a in arrays])
    theirs = global_norm_tf([tf.constant(a) for a in arrays])
    assert float(ours) == pytest.approx(3 * size, rel=1e-6)
    assert float(theirs) == pytest.approx(3 * size, rel=1e-6)


def test_a_norm_of_zeros_is_zero_and_one_with_infinity_is_not_finite():
    import tensorflow as tf
    import torch

    from course_lib.pytorch.deep_mlp import global_norm_torch
    from course_lib.tensorflow.deep_mlp import global_norm_tf

    for entries, zero in (([0.0, 0.0], True), ([np.inf, 1.0], False), ([np.nan, 1.0], False)):
        found = (safe_norm([np.array(entries)]), float(global_norm_torch([torch.tensor(entries)])),
                 float(global_norm_tf([tf.constant(entries)])))
        assert all(value == 0 if zero else not np.isfinite(value) for value in found)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000), st.sampled_from([0.25, 1.0, 4.0, 64.0]))
def test_clipping_equals_both_frameworks_own(seed, limit):
    import tensorflow as tf
    import torch

    from course_lib.pytorch.deep_mlp import clip_torch
    from course_lib.tensorflow.deep_mlp import clip_tf

    random = np.random.default_rng(seed)
    arrays = [random.standard_normal((3, 2)), 5 * random.standard_normal(4)]
    ours = clip_torch([torch.from_numpy(a) for a in arrays], limit)
    theirs = clip_tf([tf.constant(a) for a in arrays], limit)
    ready_tf, _ = tf.clip_by_global_norm([tf.constant(a) for a in arrays], limit)
    params = [torch.zeros(a.shape, dtype=torch.float64, requires_grad=True) for a in arrays]
    for param, array in zip(params, arrays):
        param.grad = torch.from_numpy(array.copy())
    torch.nn.utils.clip_grad_norm_(params, limit)
    for mine, yours, tfs, param in zip(ours, theirs, ready_tf, params):
        np.testing.assert_allclose(mine.numpy(), yours.numpy(), rtol=1e-12)
        np.testing.assert_allclose(mine.numpy(), tfs.numpy(), rtol=1e-12)
        np.testing.assert_allclose(mine.numpy(), param.grad.numpy(), rtol=2e-6)  # + 1e-6


# --- the twins ----------------------------------------------------------------------------------

KINDS = [
    {"activation": "sigmoid", "init": "glorot"},
    {"activation": "tanh", "init": "orthogonal", "norm": "layer"},
    {"activation": "tanh", "init": "pytorch", "norm": "batch"},
    {"activation": "relu", "init": "he", "shortcuts": True, "branch": 0.25},
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k["init"])
def test_twins_are_born_equal(kind):
    from course_lib import parity

    ours, theirs = twins(seed=3, **kind)
    before = [v.numpy() for v in theirs.weights]
    parity.copy_weights(ours, theirs)
    assert all((a == b.numpy()).all() for a, b in zip(before, theirs.weights))


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k["init"])
def test_sixty_steps_are_the_same_clipped_and_in_use(kind):
    import tensorflow as tf
    import torch

    from course_lib import parity
    from course_lib.pytorch.deep_mlp import predict_torch, step_torch
    from course_lib.tensorflow.deep_mlp import predict_tf, step_tf

    x, y = batch(rows=16)
    ours, theirs = twins(4, seed=4, **kind)
    step, data = tf.function(step_tf), (tf.constant(x), tf.constant(y))
    runs = {"torch": [step_torch(ours, torch.from_numpy(x), torch.from_numpy(y), 1 / 8, 0.5).item()
                      for _ in range(60)],
            "tf": [float(step(theirs, *data, 1 / 8, 0.5)) for _ in range(60)]}
    report = parity.compare_losses(runs, tolerance=1e-12)
    assert report.agree, str(report)
    assert runs["torch"][-1] < runs["torch"][0]
    in_use = predict_torch(ours, torch.from_numpy(x)).numpy() - predict_tf(theirs, data[0]).numpy()
    # running variances are unbiased in torch and biased in Keras: 16/15 of each other
    assert np.abs(in_use).max() < (0.5 if kind.get("norm") == "batch" else 1e-10)


def test_a_step_without_a_limit_is_plain_descent():
    import torch

    from course_lib.pytorch.deep_mlp import step_torch

    x, y = (torch.from_numpy(part) for part in batch())
    plain, clipped, far = (twins(seed=5)[0] for _ in range(3))
    before = [p.detach().clone() for p in plain.parameters()]
    step_torch(plain, x, y, 0.5)
    for param, old in zip(plain.parameters(), before):
        np.testing.assert_allclose(param.detach(), old - 0.5 * param.grad, rtol=1e-12)
    step_torch(far, x, y, 0.5, 1e6)
    step_torch(clipped, x, y, 0.5, 1e-3)
    moves = [np.sqrt(sum(((p - b) ** 2).sum().item() for p, b in zip(m.parameters(), before)))
             for m in (plain, far, clipped)]
    assert moves[0] == pytest.approx(moves[1], rel=1e-12)
    assert moves[2] == pytest.approx(0.5e-3, rel=1e-9)


def test_shortcuts_add_a_share_of_each_layer_where_shapes_agree():
    import torch

    model, _ = twins(3, shortcuts=True, branch=0.25, seed=6)
    x = torch.from_numpy(batch()[0])
    first = torch.relu(model.layers[0](x))
    second = first + 0.25 * torch.relu(model.layers[1](first))
    torch.testing.assert_close(model(x), model.readout(second))


@pytest.mark.parametrize("wrong", [{"depth": 1}, {"activation": "ReLU"}, {"norm": "group"}])
def test_unknown_settings_are_refused_in_both(wrong):
    from course_lib.pytorch.deep_mlp import TorchDeepMLP
    from course_lib.tensorflow.deep_mlp import TFDeepMLP

    settings = {"depth": 3, **wrong}
    for make in (TorchDeepMLP, TFDeepMLP):
        with pytest.raises(ValueError, match="give 2 or more"):
            make(features=6, width=7, classes=3, **settings)


def test_weights_that_do_not_fit_are_refused():
    from course_lib.pytorch.deep_mlp import fill_torch
    from course_lib.tensorflow.deep_mlp import fill_tf

    ours, theirs = twins(3)
    for fill, model in ((fill_torch, ours), (fill_tf, theirs)):
        for sizes in ([6, 7, 7], [6, 7, 7, 7, 3], [6, 8, 7, 3]):
            with pytest.raises((ValueError, RuntimeError)):
                fill(model, draw_layers(sizes, "he"))
