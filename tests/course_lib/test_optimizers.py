"""Momentum, Nesterov and RMSprop against formulas and against both frameworks' own optimizers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.scratch.gradient_descent import best_rate, gradient_descent
from course_lib.scratch.optimizers import (
    best_heavy_ball,
    minibatches,
    momentum_factors,
    nesterov,
    pack,
    rmsprop,
    unpack,
)

seeds = st.integers(0, 10_000)
dyadic_rates = st.sampled_from([2.0**-k for k in range(1, 7)])  # kept exactly in float32
dyadic_shares = st.sampled_from([0.0, 0.5, 0.75, 0.875, 0.9375])
curvature_lists = st.lists(st.floats(0.1, 50), min_size=1, max_size=6)


def bumpy(seed, size=5):
    """A gradient with curvatures of its own, not quadratic, and a start."""
    random = np.random.default_rng(seed)
    scale, start = random.uniform(0.1, 3, size), random.normal(size=size)
    return (lambda theta: scale * theta + np.sin(3 * theta)), start


# --- batches ------------------------------------------------------------------------------------


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 4), seeds)
def test_within_an_epoch_no_row_comes_twice(count, size, epochs, seed):
    size = min(size, count)
    order = minibatches(count, size, epochs, seed)
    full = count // size
    assert order.shape == (epochs * full, size)
    for epoch in order.reshape(epochs, full * size):
        assert len(set(epoch)) == full * size and set(epoch) <= set(range(count))


def test_epochs_and_seeds_differ_and_a_seed_repeats():
    order = minibatches(100, 100, 2, 1)
    assert (order[0] != order[1]).any()
    assert (order == minibatches(100, 100, 2, 1)).all()
    assert (order != minibatches(100, 100, 2, 2)).any()


@pytest.mark.parametrize("count, size, epochs", [(10, 11, 1), (10, 0, 1), (10, 5, 0)])
def test_batches_that_cannot_be_are_refused(count, size, epochs):
    with pytest.raises(ValueError, match="give 1 epoch or more"):
        minibatches(count, size, epochs)


# --- the definitions against torch.optim and keras.optimizers, step by step ------------------------


def by_torch(make, gradient, start, steps):
    import torch

    theta = torch.tensor(start, requires_grad=True)
    optimizer, path = make(torch.optim, [theta]), [start]
    for _ in range(steps):
        theta.grad = torch.from_numpy(gradient(theta.detach().numpy()))
        optimizer.step()
        path.append(theta.detach().numpy().copy())
    return np.stack(path)


def by_keras(make, gradient, start, steps):
    import keras

    theta = keras.Variable(start, dtype="float64")
    optimizer, path = make(keras.optimizers), [start]
    for _ in range(steps):
        optimizer.apply([gradient(theta.numpy())], [theta])
        path.append(theta.numpy().copy())
    return np.stack(path)


@settings(deadline=None, max_examples=20)
@given(seeds, dyadic_rates, dyadic_shares)
def test_nesterov_equals_both_frameworks(seed, rate, momentum):
    gradient, start = bumpy(seed)
    ours = nesterov(gradient, start, rate, momentum, 20)
    on = momentum > 0  # torch refuses Nesterov without momentum
    torchs = by_torch(lambda o, p: o.SGD(p, rate, momentum, nesterov=on), gradient, start, 20)
    keras_ = by_keras(lambda o: o.SGD(rate, momentum, nesterov=on), gradient, start, 20)
    np.testing.assert_allclose(ours, torchs, atol=1e-12, rtol=1e-10)
    np.testing.assert_allclose(ours, keras_, atol=1e-12, rtol=1e-10)


@settings(deadline=None, max_examples=20)
@given(seeds, dyadic_rates, dyadic_shares)
def test_rmsprop_equals_torch_and_keras_has_epsilon_inside(seed, rate, decay):
    gradient, start = bumpy(seed)
    epsilon = 2.0**-10
    ours = rmsprop(gradient, start, rate, decay, epsilon, 20)
    torchs = by_torch(lambda o, p: o.RMSprop(p, rate, decay, epsilon), gradient, start, 20)
    np.testing.assert_allclose(ours, torchs, atol=1e-9, rtol=1e-9)
    keras_ = by_keras(lambda o: o.RMSprop(rate, decay, epsilon=epsilon), gradient, start, 1)[1]
    slope = gradient(start)
    inside = start - rate * slope / np.sqrt((1 - decay) * slope**2 + epsilon)
    np.testing.assert_allclose(keras_, inside, atol=1e-12, rtol=1e-10)
    assert np.abs(keras_ - ours[1]).max() > 1e-7


@given(seeds, dyadic_rates)
def test_without_momentum_nesterov_is_gradient_descent(seed, rate):
    gradient, start = bumpy(seed)
    plain = gradient_descent(gradient, start, rate, 10)
    np.testing.assert_allclose(nesterov(gradient, start, rate, 0.0, 10), plain, rtol=1e-12)


@given(seeds, dyadic_rates, st.floats(0, 0.95))
def test_nesterov_is_the_look_ahead_form(seed, rate, momentum):
    """v <- m v - rate * g(theta + m v), theta <- theta + v, seen at theta + m v (Sutskever 2013)."""
    gradient, theta = bumpy(seed)
    ours, velocity = nesterov(gradient, theta, rate, momentum, 15), np.zeros_like(theta)
    for point in ours:
        np.testing.assert_allclose(point, theta + momentum * velocity, atol=1e-9, rtol=1e-9)
        velocity = momentum * velocity - rate * gradient(theta + momentum * velocity)
        theta = theta + velocity


@given(seeds, st.floats(2**-6, 64))
def test_rmsprop_does_not_see_the_gradients_unit(seed, unit):
    gradient, start = bumpy(seed)
    ours = rmsprop(gradient, start, 0.125, 0.875, 1e-12, 15)
    other = rmsprop(lambda t: unit * gradient(t), start, 0.125, 0.875, unit * 1e-12, 15)
    np.testing.assert_allclose(ours, other, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.875])
def test_rmsprops_first_step_has_the_same_length_everywhere(decay):
    path = rmsprop(lambda t: t, np.array([1e-3, 1.0, -1e3]), 0.25, decay, 1e-15, 1)
    wanted = 0.25 / np.sqrt(1 - decay) * np.array([-1, -1, 1])
    np.testing.assert_allclose(path[1] - path[0], wanted, rtol=1e-9)


def test_a_gradient_that_was_always_zero_moves_nothing():
    assert (rmsprop(lambda t: 0 * t, np.ones(3), 0.1, 0.9, 1e-8, 5) == 1).all()


@pytest.mark.parametrize("rate, momentum, words", [
    (0, 0.5, "learning_rate"), (float("nan"), 0.5, "learning_rate"),
    (0.1, 1, "momentum"), (0.1, -0.1, "momentum"), (0.1, float("nan"), "momentum")])
def test_nesterov_refuses_settings_out_of_range(rate, momentum, words):
    with pytest.raises(ValueError, match=words):
        nesterov(lambda t: t, 1.0, rate, momentum, 1)


@pytest.mark.parametrize("rate, decay, epsilon, words", [
    (0, 0.5, 1e-8, "learning_rate"), (0.1, 1, 1e-8, "decay"), (0.1, 0.5, 0, "epsilon")])
def test_rmsprop_refuses_settings_out_of_range(rate, decay, epsilon, words):
    with pytest.raises(ValueError, match=words):
        rmsprop(lambda t: t, 1.0, rate, decay, epsilon, 1)


def test_a_gradient_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="make the shapes equal"):
        nesterov(lambda t: t[:, None], np.ones(3), 0.1, 0.5, 1)
    with pytest.raises(ValueError, match="make the shapes equal"):
        rmsprop(lambda t: t[:, None], np.ones(3), 0.1, 0.5, 1e-8, 1)


# --- the formulas -------------------------------------------------------------------------------


@given(st.floats(0.01, 3.9), st.floats(0, 0.95), st.booleans())
def test_factors_are_those_of_the_exact_update_matrix(x, momentum, ahead):
    """The pair (theta, v) is multiplied by one matrix a step; its largest eigenvalue is meant."""
    curvature, rate = 2.0, x / 2.0
    if ahead:
        top = [1 - x * (1 + momentum), -rate * momentum**2]
    else:
        top = [1 - x, -rate * momentum]
    matrix = np.array([top, [curvature, momentum]])
    wanted = np.abs(np.linalg.eigvals(matrix)).max()
    found = momentum_factors(rate, momentum, curvature, nesterov=ahead)
    assert found == pytest.approx(wanted, abs=1e-6)


@given(curvature_lists)
def test_the_best_heavy_ball_has_the_root_of_the_condition_number(curvatures):
    kappa = max(curvatures) / min(curvatures)
    rate, momentum = best_heavy_ball(curvatures)
    worst = momentum_factors(rate, momentum, curvatures).max()
    wanted = (np.sqrt(kappa) - 1) / (np.sqrt(kappa) + 1)
    assert worst == pytest.approx(wanted, abs=1e-6)
    plain = momentum_factors(best_rate(curvatures), 0.0, curvatures).max()
    assert plain == pytest.approx((kappa - 1) / (kappa + 1), abs=1e-9)


@given(curvature_lists, st.floats(0.5, 1.5), st.floats(0.0, 0.99))
def test_no_other_setting_of_the_heavy_ball_is_better(curvatures, factor, momentum):
    rate, best = best_heavy_ball(curvatures)
    worst = momentum_factors(rate, best, curvatures).max()
    assert worst <= momentum_factors(factor * rate, momentum, curvatures).max() + 1e-6


@given(st.floats(0.0, 0.95))
def test_the_limit_of_the_heavy_ball_is_1_plus_momentum_times_that_of_plain_descent(momentum):
    limit = 2 * (1 + momentum)
    assert momentum_factors(0.999 * limit, momentum, 1.0) < 1
    assert momentum_factors(1.001 * limit, momentum, 1.0) > 1


def test_curvatures_without_a_best_setting_are_refused():
    with pytest.raises(ValueError, match="above 0"):
        best_heavy_ball([0.0, 1.0])


# --- packing ------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), min_size=1, max_size=4), seeds)
def test_unpack_undoes_pack(shapes, seed):
    random = np.random.default_rng(seed)
    params = {f"p{i}": random.normal(size=shape) for i, shape in enumerate(shapes)}
    again = unpack(pack(params), params)
    assert list(again) == list(params)
    for name, array in params.items():
        np.testing.assert_array_equal(again[name], array)


def test_a_vector_of_another_length_is_refused():
    with pytest.raises(ValueError, match=r"not \(6,\)"):
        unpack(np.zeros(7), {"w": np.zeros((2, 3))})


# --- the wings ----------------------------------------------------------------------------------


def small_twins(seed, dtype="float64"):
    import torch

    from course_lib import parity
    from course_lib.pytorch.models import TorchMLP
    from course_lib.tensorflow.models import TFMLP

    torch.manual_seed(seed)
    pair = TorchMLP(4, 3, 2, dtype), TFMLP(4, 3, 2, dtype)
    parity.copy_weights(*pair)
    return pair


def small_data(seed, rows=12):
    random = np.random.default_rng(seed)
    return random.normal(size=(rows, 4)), random.normal(size=(rows, 2))


def wings(kind, torch_model, tf_model, rate, share):
    from course_lib.pytorch.optimizers import TorchMomentum, TorchRMSprop
    from course_lib.tensorflow.optimizers import TFMomentum, TFRMSprop

    ours, theirs = list(torch_model.parameters()), tf_model.trainable_variables
    if kind == "rmsprop":
        return TorchRMSprop(ours, rate, share), TFRMSprop(theirs, rate, share)
    ahead = kind == "nesterov"
    return TorchMomentum(ours, rate, share, ahead), TFMomentum(theirs, rate, share, ahead)


def by_scratch(kind, torch_model, x, y, order, rate, share):
    from course_lib.scratch.mlp import mlp_gradients

    params = {n: p.detach().numpy().T.copy() for n, p in torch_model.named_parameters()}
    losses, batches = [], iter(order)

    def gradient(theta):
        rows = next(batches)
        loss, gradients = mlp_gradients(unpack(theta, params), x[rows], y[rows])
        losses.append(loss)
        return pack(gradients)

    if kind == "rmsprop":
        rmsprop(gradient, pack(params), rate, share, 2.0**-20, len(order))
    elif kind == "nesterov":
        nesterov(gradient, pack(params), rate, share, len(order))
    else:
        from course_lib.scratch.momentum import heavy_ball

        heavy_ball(gradient, pack(params), rate, share, len(order))
    return losses


@pytest.mark.parametrize("kind", ["momentum", "nesterov", "rmsprop"])
@pytest.mark.parametrize("seed", range(3))
def test_numpy_pytorch_and_tensorflow_take_the_same_steps(kind, seed):
    import tensorflow as tf
    import torch

    from course_lib import parity
    from course_lib.pytorch.optimizers import run_torch
    from course_lib.tensorflow.optimizers import run_tf

    torch_model, tf_model = small_twins(seed)
    x, y = small_data(seed)
    order = minibatches(12, 4, 20, seed)  # 60 steps
    rate = 2.0**-7 if kind == "rmsprop" else 2.0**-4
    in_numpy = by_scratch(kind, torch_model, x, y, order, rate, 0.875)
    ours, theirs = wings(kind, torch_model, tf_model, rate, 0.875)
    in_torch = run_torch(torch_model, torch.from_numpy(x), torch.from_numpy(y), order, ours)
    in_tf = run_tf(tf_model, tf.constant(x), tf.constant(y), order, theirs)
    runs = {"NumPy": in_numpy, "PyTorch": in_torch, "TensorFlow": in_tf}
    report = parity.compare_losses(runs, tolerance=1e-12)
    assert report.agree and report.steps == 60, str(report)


@pytest.mark.parametrize("kind", ["momentum", "nesterov", "rmsprop"])
def test_the_wings_equal_the_ready_made_optimizers(kind):
    """RMSprop with PyTorch alone: Keras puts epsilon elsewhere."""
    import tensorflow as tf
    import torch

    from course_lib.pytorch.optimizers import run_torch
    from course_lib.tensorflow.optimizers import run_tf

    x, y = small_data(3)
    order, rate = minibatches(12, 4, 7, 3), 2.0**-5
    (ours, ours_tf), (ready, ready_tf) = small_twins(3), small_twins(3)
    mine, mine_tf = wings(kind, ours, ours_tf, rate, 0.875)
    if kind == "rmsprop":
        made = torch.optim.RMSprop(ready.parameters(), rate, 0.875, 2.0**-20)
    else:
        made = torch.optim.SGD(ready.parameters(), rate, 0.875, nesterov=kind == "nesterov")
        made_tf = tf.keras.optimizers.SGD(rate, 0.875, nesterov=kind == "nesterov")
        made_tf.build(ready_tf.trainable_variables)
        data = tf.constant(x), tf.constant(y), order
        np.testing.assert_allclose(
            run_tf(ours_tf, *data, mine_tf), run_tf(ready_tf, *data, made_tf), atol=1e-13)
    data = torch.from_numpy(x), torch.from_numpy(y), order
    np.testing.assert_allclose(
        run_torch(ours, *data, mine), run_torch(ready, *data, made), atol=1e-13)


def test_a_rate_that_changes_reaches_a_compiled_step():
    import tensorflow as tf

    from course_lib.tensorflow.optimizers import TFMomentum

    param = tf.Variable(1.0, dtype="float64")
    optimizer = TFMomentum([param], 0.125)
    step = tf.function(lambda slope: optimizer.apply([slope], [param]))
    slope = tf.constant(1.0, tf.float64)
    step(slope)
    optimizer.learning_rate.assign(0.5)
    step(slope)
    assert param.numpy() == 1 - 0.125 - 0.5


def test_momentums_two_conventions_part_when_the_rate_changes():
    """Rate outside the velocity (PyTorch) against inside (Keras), by hand and by the ready-made."""
    import keras
    import torch

    rates, ours, theirs, v, w = [0.5, 0.5, 0.125, 0.125], 1.0, 1.0, 0.0, 0.0
    theta = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    variable = keras.Variable(1.0, dtype="float64")
    ready, ready_keras = torch.optim.SGD([theta], 0.5, 0.75), keras.optimizers.SGD(0.5, 0.75)
    for rate in rates:
        v = 0.75 * v + ours
        ours -= rate * v
        w = 0.75 * w - rate * theirs
        theirs += w
        ready.param_groups[0]["lr"] = rate
        theta.grad = theta.detach().clone()
        ready.step()
        ready_keras.learning_rate = rate
        ready_keras.apply([variable.numpy()], [variable])
    assert float(theta.detach()) == ours and float(variable.numpy()) == theirs
    assert abs(ours - theirs) > 0.1


@pytest.mark.parametrize("settings_", [
    {"learning_rate": 0.0}, {"learning_rate": float("nan")},
    {"learning_rate": 0.1, "share": 1.0}, {"learning_rate": 0.1, "share": -0.5}])
def test_the_wings_refuse_settings_out_of_range(settings_):
    from course_lib.pytorch.optimizers import TorchMomentum, TorchRMSprop
    from course_lib.tensorflow.optimizers import TFMomentum, TFRMSprop

    torch_model, tf_model = small_twins(0)
    values = list(settings_.values())
    for kind in (TorchMomentum, TorchRMSprop):
        with pytest.raises(ValueError, match="got"):
            kind(torch_model.parameters(), *values)
    for kind in (TFMomentum, TFRMSprop):
        with pytest.raises(ValueError, match="got"):
            kind(tf_model.trainable_variables, *values)


def test_an_empty_list_of_parameters_is_refused():
    from course_lib.pytorch.optimizers import TorchMomentum, TorchRMSprop
    from course_lib.tensorflow.optimizers import TFMomentum, TFRMSprop

    for kind in (TorchMomentum, TorchRMSprop, TFMomentum, TFRMSprop):
        with pytest.raises(ValueError, match="got 0"):
            kind([], 0.1)
