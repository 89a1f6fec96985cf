"""Adam against its formulas and against both frameworks' own Adam and AdamW, step by step."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.scratch.adam import DYADIC, adam, direction, moments
from course_lib.scratch.text_mlp import text_mlp_gradients

seeds = st.integers(0, 10_000)
dyadic_rates = st.sampled_from([2.0**-k for k in range(4, 11)])  # kept exactly in float32
dyadic_betas = st.sampled_from([(0.875, 1 - 2.0**-9), (0.5, 0.75), (0.0, 0.875), (0.9375, 0.5)])
dyadic_decays = st.sampled_from([0.0, 2.0**-7, 0.125])
EPSILON = 2.0**-10


def bumpy(seed, size=5):
    """A gradient with curvatures of its own and no chaos, which would enlarge rounding; a start."""
    random = np.random.default_rng(seed)
    scale, start = random.uniform(0.1, 3, size), random.normal(size=size)
    target = random.normal(size=size)
    return (lambda theta: scale * np.tanh(theta - target) + 1), start


def by_torch(make, gradient, start, steps, rates=None):
    import torch

    theta = torch.tensor(start, requires_grad=True)
    optimizer, path = make(torch.optim, [theta]), [start]
    for t in range(steps):
        if rates is not None:
            optimizer.param_groups[0]["lr"] = rates[t]
        theta.grad = torch.from_numpy(gradient(theta.detach().numpy()))
        optimizer.step()
        path.append(theta.detach().numpy().copy())
    return np.stack(path)


def by_keras(make, gradient, start, steps, rates=None):
    import tensorflow as tf

    theta = tf.Variable(start)
    optimizer, path = make(tf.keras.optimizers), [start]
    for t in range(steps):
        if rates is not None:
            optimizer.learning_rate = rates[t]
        optimizer.apply([tf.constant(gradient(theta.numpy()))], [theta])
        path.append(theta.numpy().copy())
    return np.stack(path)


def same(ours, theirs):
    np.testing.assert_allclose(ours, theirs, atol=1e-12, rtol=0)


# --- the definition against torch.optim and keras.optimizers ----------------------------------------


@settings(deadline=None, max_examples=12)
@given(seeds, dyadic_rates, dyadic_betas)
def test_adam_equals_torch(seed, rate, betas):
    gradient, start = bumpy(seed)
    ours = adam(gradient, start, rate, *betas, EPSILON, 60)
    same(ours, by_torch(lambda o, p: o.Adam(p, rate, betas, EPSILON), gradient, start, 60))


@settings(deadline=None, max_examples=5)
@given(seeds, dyadic_rates, dyadic_betas)
def test_adam_with_its_epsilon_before_the_correction_equals_keras(seed, rate, betas):
    gradient, start = bumpy(seed)
    theirs = by_keras(lambda o: o.Adam(rate, *betas, EPSILON), gradient, start, 60)
    same(adam(gradient, start, rate, *betas, EPSILON, 60, keras_epsilon=True), theirs)
    outside = adam(gradient, start, rate, *betas, EPSILON, 60)
    assert np.abs(outside - theirs).max() > 1e-7


def test_torch_becomes_keras_by_an_epsilon_of_its_own_in_each_step():
    import torch

    gradient, start = bumpy(5)
    theirs = by_keras(lambda o: o.Adam(0.125, 0.875, 0.75, EPSILON), gradient, start, 20)
    theta = torch.tensor(start, requires_grad=True)
    optimizer = torch.optim.Adam([theta], 0.125, (0.875, 0.75))
    for t in range(1, 21):
        optimizer.param_groups[0]["eps"] = EPSILON / (1 - 0.75**t) ** 0.5
        theta.grad = torch.from_numpy(gradient(theta.detach().numpy()))
        optimizer.step()
        same(theta.detach().numpy(), theirs[t])


@settings(deadline=None, max_examples=6)
@given(seeds, dyadic_rates, dyadic_betas, dyadic_decays)
def test_decoupled_decay_equals_adamw_of_both(seed, rate, betas, decay):
    gradient, start = bumpy(seed)
    ours = adam(gradient, start, rate, *betas, EPSILON, 30, decay)
    same(ours, by_torch(lambda o, p: o.AdamW(p, rate, betas, EPSILON, decay), gradient, start, 30))
    theirs = by_keras(lambda o: o.AdamW(rate, decay, *betas, EPSILON), gradient, start, 30)
    same(adam(gradient, start, rate, *betas, EPSILON, 30, decay, keras_epsilon=True), theirs)


@settings(deadline=None, max_examples=6)
@given(seeds, dyadic_rates, dyadic_betas, dyadic_decays)
def test_coupled_decay_equals_torchs_adam_with_weight_decay(seed, rate, betas, decay):
    gradient, start = bumpy(seed)
    ours = adam(gradient, start, rate, *betas, EPSILON, 30, decay, decoupled=False)
    theirs = by_torch(
        lambda o, p: o.Adam(p, rate, betas, EPSILON, weight_decay=decay), gradient, start, 30)
    same(ours, theirs)


@pytest.mark.parametrize("as_function", [True, False])
def test_a_rate_for_each_step_equals_both(as_function):
    gradient, start = bumpy(7)
    rates = [2.0**-k for k in (3, 5, 2, 4, 8, 3)]
    given_rates = rates.__getitem__ if as_function else rates
    ours = adam(gradient, start, given_rates, 0.875, 0.75, EPSILON, 6, 0.125)
    same(ours, by_torch(
        lambda o, p: o.AdamW(p, 1.0, (0.875, 0.75), EPSILON, 0.125), gradient, start, 6, rates))
    ours = adam(gradient, start, given_rates, 0.875, 0.75, EPSILON, 6, 0.125, keras_epsilon=True)
    same(ours, by_keras(
        lambda o: o.AdamW(1.0, 0.125, 0.875, 0.75, EPSILON), gradient, start, 6, rates))


# --- what the formulas promise ------------------------------------------------------------------


@given(st.floats(0.1, 0.99), st.floats(0.1, 0.999), st.floats(-50, 50), st.integers(1, 60))
def test_a_constant_gradient_is_what_the_corrected_moments_say(beta_1, beta_2, slope, steps):
    mean = square = np.zeros(1)
    for _ in range(steps):
        mean, square = moments(np.array([slope]), mean, square, beta_1, beta_2)
    assert mean[0] / (1 - beta_1**steps) == pytest.approx(slope, rel=1e-9)
    assert square[0] / (1 - beta_2**steps) == pytest.approx(slope**2, rel=1e-9)


@given(st.floats(0.0, 0.99), st.floats(0.0, 0.999), st.floats(1e-3, 1e3), st.booleans())
def test_the_first_step_is_one_rate_with_the_correction(beta_1, beta_2, slope, corrected):
    path = adam(lambda t: np.array([slope, -slope]), np.zeros(2), 0.25, beta_1, beta_2, 1e-15, 1,
                corrected=corrected)
    length = 1.0 if corrected else (1 - beta_1) / np.sqrt(1 - beta_2)
    np.testing.assert_allclose(path[1], [-0.25 * length, 0.25 * length], rtol=1e-6)


@given(seeds, st.floats(2**-10, 2**10))
def test_the_unit_of_the_loss_cancels(seed, unit):
    gradient, start = bumpy(seed)
    ours = adam(gradient, start, 0.125, 0.875, 0.99, 1e-14, 15)
    other = adam(lambda t: unit * gradient(t), start, 0.125, 0.875, 0.99, unit * 1e-14, 15)
    np.testing.assert_allclose(ours, other, rtol=1e-6, atol=1e-6)


def test_a_gradient_that_was_always_zero_moves_nothing_but_decay_does():
    flat = np.zeros_like
    assert (adam(flat, np.ones(3), 0.1, 0.9, 0.999, 1e-8, 5) == 1).all()
    shrunk = adam(flat, np.ones(3), 0.5, 0.9, 0.999, 1e-8, 5, 0.25)
    np.testing.assert_allclose(shrunk[-1], 0.875**5)
    sign_like = adam(flat, np.ones(3), 0.5, 0.9, 0.999, 1e-8, 1, 0.25, decoupled=False)
    np.testing.assert_allclose(sign_like[-1], 0.5, rtol=1e-6)  # g = 0.25 theta; m / sqrt(v) = 1


def test_direction_is_the_formula():
    mean, square = np.array([0.5, -1.0]), np.array([1.0, 16.0])
    ours = direction(mean, square, 2, 0.5, 0.75, 0.125)
    hat_m, hat_v = mean / 0.75, square / (1 - 0.75**2)
    same(ours, hat_m / (np.sqrt(hat_v) + 0.125))
    same(direction(mean, square, 2, 0.5, 0.75, 0.125, corrected=False), [0.5 / 1.125, -1 / 4.125])
    inside = direction(mean, square, 2, 0.5, 0.75, 0.125, keras_epsilon=True)
    factor = np.sqrt(1 - 0.75**2) / 0.75
    same(inside, mean * factor / (np.sqrt(square) + 0.125))


# --- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("changed, words", [
    ({"learning_rate": 0}, "learning_rate"), ({"learning_rate": float("nan")}, "learning_rate"),
    ({"learning_rate": [0.1]}, "1 rates for 2 steps"), ({"learning_rate": [0.1, -1]}, "in step 1"),
    ({"learning_rate": lambda step: float("inf")}, "in step 0"),
    ({"beta_1": 1}, "beta_1"), ({"beta_2": -0.1}, "beta_2"), ({"beta_2": float("nan")}, "beta_2"),
    ({"epsilon": 0}, "epsilon"), ({"weight_decay": -1}, "weight_decay")])
def test_settings_out_of_range_are_refused(changed, words):
    fine = {"learning_rate": 0.1, "beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-8}
    with pytest.raises(ValueError, match=words):
        adam(lambda t: t, np.ones(2), **{**fine, **changed}, steps=2)


def test_a_gradient_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="make the shapes equal"):
        adam(lambda t: t[:, None], np.ones(3), 0.1, 0.9, 0.99, 1e-8, 1)


# --- the wings ----------------------------------------------------------------------------------

WORDS, WIDTH, HIDDEN, CLASSES = 9, 4, (5,), 3


def text_twins(seed, dtype="float64"):
    import torch

    from course_lib import parity
    from course_lib.pytorch.text_mlp import TorchTextMLP
    from course_lib.tensorflow.text_mlp import TFTextMLP

    torch.manual_seed(seed)
    pair = (TorchTextMLP(WORDS, WIDTH, HIDDEN, CLASSES, 0.5, dtype),
            TFTextMLP(WORDS, WIDTH, HIDDEN, CLASSES, 0.5, dtype))
    parity.copy_weights(*pair)
    return pair


def texts(seed, rows=12, steps=60):
    """Word ids in which words repeat and some are padding, labels, and batches of four."""
    random = np.random.default_rng(seed)
    ids = random.integers(0, WORDS, (rows, 7)) * (random.random((rows, 7)) < 0.8)
    order = np.stack([random.permutation(rows)[:4] for _ in range(steps)])
    return ids, random.integers(0, CLASSES, rows), order


def in_numpy(torch_model, ids, labels, order, rate, decay, decoupled, corrected):
    from course_lib.scratch.optimizers import pack, unpack

    params = {n: p.detach().numpy().copy() for n, p in torch_model.named_parameters()}
    params = {n: a if n.startswith("embedding") else a.T for n, a in params.items()}
    losses, batches = [], iter(order)

    def gradient(theta):
        rows = next(batches)
        loss, slopes = text_mlp_gradients(unpack(theta, params), ids[rows], labels[rows])
        losses.append(loss)
        return pack({name: slopes[name] for name in params})

    adam(gradient, pack(params), rate, 0.875, 1 - 2.0**-9, 2.0**-20, len(order), decay, decoupled,
         corrected)
    return losses


def in_wings(pair, data, make_torch, make_tf, rates=None):
    import tensorflow as tf
    import torch

    from course_lib.pytorch.adam import train_torch
    from course_lib.tensorflow.adam import train_tf

    (ids, labels, order), (torch_model, tf_model) = data, pair
    ours = train_torch(torch_model, torch.from_numpy(ids), torch.from_numpy(labels), order,
                       make_torch(list(torch_model.parameters())), rates)
    optimizer = make_tf(tf_model.trainable_variables)
    if hasattr(optimizer, "build"):
        optimizer.build(tf_model.trainable_variables)
    theirs = train_tf(tf_model, tf.constant(ids), tf.constant(labels), order, optimizer, rates)
    return ours, theirs


@pytest.mark.parametrize("decay, decoupled, corrected", [
    (0.0, True, True), (0.0, True, False), (2.0**-4, True, True), (2.0**-4, False, True)])
def test_numpy_pytorch_and_tensorflow_take_the_same_steps(decay, decoupled, corrected):
    from course_lib import parity
    from course_lib.pytorch.adam import TorchAdam
    from course_lib.tensorflow.adam import TFAdam

    pair, data = text_twins(1), texts(1)
    settings_ = {"weight_decay": decay, "decoupled": decoupled, "corrected": corrected}
    in_np = in_numpy(pair[0], *data, 2.0**-6, decay, decoupled, corrected)
    ours, theirs = in_wings(pair, data, lambda p: TorchAdam(p, 2.0**-6, **DYADIC, **settings_),
                            lambda p: TFAdam(p, 2.0**-6, **DYADIC, **settings_))
    runs = {"NumPy": in_np, "PyTorch": ours, "TensorFlow": theirs}
    report = parity.compare_losses(runs, tolerance=1e-12)
    assert report.agree and report.steps == 60, str(report)


@pytest.mark.parametrize("decay, decoupled", [(0.0, True), (0.125, True), (0.125, False)])
def test_the_wings_equal_torch_optim(decay, decoupled):
    import torch

    from course_lib.pytorch.adam import TorchAdam
    from course_lib.tensorflow.adam import TFAdam

    kind = torch.optim.AdamW if decoupled else torch.optim.Adam
    betas, data = (0.875, 1 - 2.0**-9), texts(2)
    ready, _ = in_wings(text_twins(2), data,
                        lambda p: kind(p, 2.0**-6, betas, 2.0**-20, weight_decay=decay),
                        lambda p: TFAdam(p, 2.0**-6, **DYADIC))
    ours, theirs = in_wings(text_twins(2), data,
                            lambda p: TorchAdam(p, 2.0**-6, **DYADIC, weight_decay=decay, decoupled=decoupled),
                            lambda p: TFAdam(p, 2.0**-6, **DYADIC, weight_decay=decay, decoupled=decoupled))
    same(ours, ready)
    same(theirs, ready)


def test_with_a_tiny_epsilon_keras_takes_the_same_steps_too_once_gradients_are_dense():
    """``step_tf`` makes them dense; where epsilon is too small to matter, its place is too."""
    import tensorflow as tf

    from course_lib.pytorch.adam import TorchAdam

    ours, theirs = in_wings(
        text_twins(3), texts(3, steps=30), lambda p: TorchAdam(p, 2.0**-6, **DYADIC | {"epsilon": 2.0**-60}),
        lambda p: tf.keras.optimizers.Adam(2.0**-6, 0.875, 1 - 2.0**-9, 2.0**-60))
    np.testing.assert_allclose(ours, theirs, atol=1e-11)


def test_rates_that_change_reach_both_compiled_and_not():
    from course_lib.pytorch.adam import TorchAdam
    from course_lib.tensorflow.adam import TFAdam

    rates = 2.0 ** -np.arange(4, 24) * (np.arange(20) % 3)
    pair, data = text_twins(4), texts(4, steps=20)
    before = pair[0].embedding.weight.detach().clone()
    ours, theirs = in_wings(pair, data, lambda p: TorchAdam(p, 1.0, **DYADIC), lambda p: TFAdam(p, 1.0, **DYADIC), rates)
    same(ours, theirs)
    assert (pair[0].embedding.weight != before).any()
    unmoved = in_wings(text_twins(4), data, lambda p: TorchAdam(p, 1.0, **DYADIC), lambda p: TFAdam(p, 1.0, **DYADIC),
                       np.zeros(20))
    assert np.abs(ours - unmoved[0]).max() > 1e-3


def test_a_changed_rate_needs_no_new_trace():
    import tensorflow as tf

    from course_lib.tensorflow.adam import TFAdam

    param = tf.Variable([1.0, 2.0], dtype="float64")
    optimizer, traced = TFAdam([param], 0.125, **DYADIC), []

    @tf.function
    def step(slope):
        traced.append(1)
        optimizer.apply([slope], [param])

    wanted = adam(lambda t: np.ones(2), param.numpy(), [0.125, 0.5], 0.875, 1 - 2.0**-9, 2.0**-20, 2)
    step(tf.ones(2, tf.float64))
    optimizer.learning_rate.assign(0.5)
    step(tf.ones(2, tf.float64))
    same(param.numpy(), wanted[-1])
    assert len(traced) == 1


def test_repeated_rows_of_an_embedding_are_summed():
    import tensorflow as tf

    from course_lib.tensorflow.adam import TFAdam

    slices = tf.IndexedSlices(tf.constant([[1.0], [3.0], [1.0]], tf.float64), [1, 1, 2], [3, 1])
    params = [tf.Variable(tf.ones((3, 1), tf.float64)) for _ in range(2)]
    sparse, dense = (TFAdam([param], 0.125, **DYADIC) for param in params)
    for _ in range(3):
        sparse.apply([slices], params[:1])
        dense.apply([tf.convert_to_tensor(slices)], params[1:])
    same(params[0].numpy(), params[1].numpy())
    wanted = adam(lambda t: np.array([[0.0], [4.0], [1.0]]), np.ones((3, 1)), 0.125, 0.875,
                  1 - 2.0**-9, 2.0**-20, 3)
    same(params[0].numpy(), wanted[-1])


@pytest.mark.parametrize("changed", [
    {"learning_rate": -0.1}, {"learning_rate": float("nan")}, {"beta_1": 1.0}, {"beta_2": -0.5},
    {"epsilon": 0.0}, {"weight_decay": -1.0}])
def test_the_wings_refuse_settings_out_of_range(changed):
    from course_lib.pytorch.adam import TorchAdam
    from course_lib.tensorflow.adam import TFAdam

    torch_model, tf_model = text_twins(0)
    settings_ = {"learning_rate": 0.1, **changed}
    with pytest.raises(ValueError, match="got 5"):
        TorchAdam(torch_model.parameters(), **settings_)
    with pytest.raises(ValueError, match="got 5"):
        TFAdam(tf_model.trainable_variables, **settings_)


def test_an_empty_list_of_parameters_is_refused():
    from course_lib.pytorch.adam import TorchAdam
    from course_lib.tensorflow.adam import TFAdam

    for kind in (TorchAdam, TFAdam):
        with pytest.raises(ValueError, match="got 0"):
            kind([], 0.1)
