"""Schedules and clipping: the formulas by hand, both frameworks' own, and both wings."""

import numpy as np
import pytest
from course_lib.scratch import clipping, schedules
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

# --- schedules ----------------------------------------------------------------------------------


def test_the_first_step_of_a_warm_up_moves_and_its_last_is_at_the_peak():
    assert schedules.warm_up(np.arange(6), 4).tolist() == [0.25, 0.5, 0.75, 1, 1, 1]
    assert schedules.warm_up(0, 0) == 1


def test_the_cosine_begins_at_1_is_half_down_half_way_and_stays_at_its_floor():
    assert schedules.cosine(np.array([0, 5, 10, 99]), 10).tolist() == [1, 0.5, 0, 0]
    assert schedules.cosine(np.array([0, 10, 99]), 10, floor=0.25).tolist() == [1, 0.25, 0.25]
    assert 0 < schedules.cosine(9, 10) < 0.03


def test_exponential_falls_by_its_factor_evenly_or_in_stairs():
    steps = np.array([0, 5, 9, 10, 20])
    even, stairs = (schedules.exponential(steps, 10, 0.25, s) for s in (False, True))
    np.testing.assert_allclose(even, [1, 0.5, 0.25**0.9, 0.25, 0.0625], rtol=1e-15)
    assert stairs.tolist() == [1, 1, 1, 0.25, 0.0625]


def test_constant_is_1_and_keeps_the_shape():
    assert schedules.constant(np.arange(3)).tolist() == [1, 1, 1] and schedules.constant(7) == 1


@given(st.integers(0, 50), st.integers(1, 200), st.floats(0, 1))
def test_warm_up_and_cosine_join_at_the_peak(length, after, floor):
    total = length + after
    rates = schedules.warm_up_cosine(np.arange(total + 5), length, total, floor)
    assert rates.shape == (total + 5,) and (rates >= floor * (np.arange(total + 5) >= length)).all()
    np.testing.assert_array_equal(rates[:length], schedules.warm_up(np.arange(length), length))
    assert rates[length] == pytest.approx(1) and (np.diff(rates[length:]) <= 1e-15).all()
    assert rates[total:] == pytest.approx(floor)
    one_by_one = [float(schedules.warm_up_cosine(t, length, total, floor)) for t in range(total)]
    assert one_by_one == rates[:total].tolist()


def rates_torch(make, steps, peak=0.125):
    """The rate that each step of an optimizer of torch uses."""
    import torch

    weight = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([weight], peak)
    schedule, before, found = make(optimizer), 0.0, []
    for _ in range(steps):
        weight.grad = torch.ones_like(weight)
        optimizer.step()
        schedule.step()
        found.append(before - weight.item())
        before = weight.item()
    return np.array(found)


def rates_keras(schedule, steps):
    """The same in Keras."""
    import tensorflow as tf

    weight, before, found = tf.Variable([0.0], dtype="float64"), 0.0, []
    optimizer = tf.keras.optimizers.SGD(schedule)
    for _ in range(steps):
        optimizer.apply([tf.ones_like(weight)], [weight])
        found.append(before - float(weight[0]))
        before = float(weight[0])
    return np.array(found)


def test_warm_up_and_cosine_are_torchs_sequential_schedule():
    from torch.optim import lr_scheduler as lrs

    def make(optimizer):
        return lrs.SequentialLR(optimizer, [
            lrs.LinearLR(optimizer, 1 / 8, total_iters=7),
            lrs.CosineAnnealingLR(optimizer, 32)], [8])

    wanted = 0.125 * schedules.warm_up_cosine(np.arange(40), 8, 40)
    np.testing.assert_allclose(rates_torch(make, 40), wanted, atol=1e-15)


def test_the_cosine_is_kerass_to_float32_and_its_warm_up_begins_at_0():
    import tensorflow as tf

    decay = tf.keras.optimizers.schedules.CosineDecay
    wanted = 0.125 * schedules.cosine(np.arange(50), 40)
    found = rates_keras(decay(0.125, 40), 50)
    np.testing.assert_allclose(found, wanted, atol=1e-8)
    assert np.abs(found - wanted).max() > 1e-12               # Keras computes in float32
    warm = rates_keras(decay(0.0, 32, warmup_target=0.125, warmup_steps=8), 40)
    assert warm[0] == 0
    np.testing.assert_allclose(warm[8:], 0.125 * schedules.cosine(np.arange(32), 32), atol=1e-8)
    np.testing.assert_allclose(warm[1:9], 0.125 * schedules.warm_up(np.arange(8), 8), atol=1e-8)


@pytest.mark.parametrize("staircase", [False, True])
def test_exponential_is_both_frameworks(staircase):
    import tensorflow as tf
    from torch.optim import lr_scheduler as lrs

    wanted = 0.125 * schedules.exponential(np.arange(40), 10, 0.5, staircase)
    ours = rates_torch(lambda o: lrs.StepLR(o, 10, 0.5) if staircase
                       else lrs.ExponentialLR(o, 0.5**0.1), 40)
    theirs = rates_keras(tf.keras.optimizers.schedules.ExponentialDecay(
        0.125, 10, 0.5, staircase=staircase), 40)
    np.testing.assert_allclose(ours, wanted, atol=1e-15)
    np.testing.assert_allclose(theirs, wanted, atol=1e-8)


@pytest.mark.parametrize("call, words", [
    (lambda: schedules.warm_up(-1, 4), "whole numbers"),
    (lambda: schedules.constant(0.5), "whole numbers"),
    (lambda: schedules.cosine(np.array([1.0]), 4), "whole numbers"),
    (lambda: schedules.warm_up(0, -1), "0 steps of warm-up or more"),
    (lambda: schedules.cosine(0, 0), "1 step or more"),
    (lambda: schedules.cosine(0, 4, floor=1.5), "floor is 1.5"),
    (lambda: schedules.exponential(0, 0, 0.5), "every is 0"),
    (lambda: schedules.exponential(0, 2, 1.5), "factor is 1.5"),
    (lambda: schedules.exponential(0, 2, 0.0), "factor is 0.0"),
    (lambda: schedules.warm_up_cosine(0, 8, 8), "8 of 8 steps"),
    (lambda: schedules.warm_up_cosine(0, -1, 8), "-1 of 8 steps"),
])
def test_schedules_say_what_is_wrong(call, words):
    with pytest.raises(ValueError, match=words):
        call()


# --- clipping -----------------------------------------------------------------------------------

GRADIENTS = arrays(np.float64, (3, 2), elements=st.floats(-100, 100).map(lambda x: round(x, 3)))


@given(GRADIENTS, GRADIENTS, st.floats(0.01, 50))
def test_global_clipping_is_one_factor_and_never_lengthens(a, b, limit):
    clipped = clipping.clip_global([a, b], limit)
    before, after = clipping.global_norm([a, b]), clipping.global_norm(clipped)
    assert after == pytest.approx(min(before, limit))
    if before > 0:
        factor = after / before
        np.testing.assert_allclose(clipped[0], factor * a, atol=1e-12)
        np.testing.assert_allclose(clipped[1], factor * b, atol=1e-12)
        assert clipping.turned([a, b], clipped) < 1e-5
    if before <= limit:
        assert all((x == y).all() for x, y in zip(clipped, (a, b)))


@given(GRADIENTS, GRADIENTS, st.floats(0.01, 50))
def test_each_and_value_keep_their_limits(a, b, limit):
    assert all(clipping.global_norm([g]) <= limit * (1 + 1e-12)
               for g in clipping.clip_each([a, b], limit))
    cut = clipping.clip_value([a, b], limit)
    np.testing.assert_array_equal(cut[0], np.sign(a) * np.minimum(np.abs(a), limit))
    assert np.abs(cut[1]).max() <= limit


def test_a_gradient_within_the_limit_stays():
    for kind in (clipping.clip_global, clipping.clip_each, clipping.clip_value):
        assert kind([np.array([0.3, 0.4])], 1.0)[0].tolist() == [0.3, 0.4]


def test_per_tensor_clipping_turns_and_global_clipping_does_not():
    gradient = [np.array([3.0, 0.0]), np.array([4.0])]
    assert clipping.turned(gradient, clipping.clip_each(gradient, 1.0)) == pytest.approx(
        45 - np.degrees(np.arctan2(3, 4)))
    assert clipping.turned(gradient, clipping.clip_global(gradient, 1.0)) < 1e-6
    assert clipping.turned([np.array([1.0, 0])], [np.array([0.0, -2])]) == pytest.approx(90)
    assert clipping.turned([np.array([1.0])], [np.array([-2.0])]) == pytest.approx(180)


def test_scratch_clipping_is_both_frameworks():
    import tensorflow as tf
    import torch

    random = np.random.default_rng(0)
    gradients = [5 * random.normal(size=(4, 3)), random.normal(size=3)]
    tensors = [torch.zeros(g.shape, dtype=torch.float64, requires_grad=True) for g in gradients]
    for tensor, g in zip(tensors, gradients):
        tensor.grad = torch.from_numpy(g.copy())
    norm = torch.nn.utils.clip_grad_norm_(tensors, 1.0)
    assert float(norm) == pytest.approx(clipping.global_norm(gradients), rel=1e-14)
    ours = clipping.clip_global(gradients, 1.0)
    for tensor, g in zip(tensors, ours):
        np.testing.assert_allclose(tensor.grad.numpy(), g, rtol=1e-6)
    for settings_, wanted in (({"global_clipnorm": 1.0}, ours),
                              ({"clipnorm": 1.0}, clipping.clip_each(gradients, 1.0)),
                              ({"clipvalue": 0.5}, clipping.clip_value(gradients, 0.5))):
        weights = [tf.Variable(np.zeros_like(g)) for g in gradients]
        tf.keras.optimizers.SGD(1.0, **settings_).apply(
            [tf.constant(g) for g in gradients], weights)
        for weight, g in zip(weights, wanted):
            np.testing.assert_allclose(-weight.numpy(), g, atol=1e-15)


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("kind", ["clip_global", "clip_each", "clip_value"])
def test_clipping_refuses_a_limit_that_is_none(kind, limit):
    with pytest.raises(ValueError, match="limit is"):
        getattr(clipping, kind)([np.ones(3)], limit)


@pytest.mark.parametrize("kind", ["clip_global", "clip_each", "clip_value"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_clipping_refuses_a_gradient_that_is_not_finite(kind, value):
    with pytest.raises(ValueError, match="norm is"):
        getattr(clipping, kind)([np.array([1.0, value])], 1.0)


def test_a_gradient_of_0_stays_and_has_no_direction():
    zero = [np.zeros(2)]
    assert clipping.clip_global(zero, 1.0)[0].tolist() == [0, 0]
    with pytest.raises(ValueError, match="no direction"):
        clipping.turned(zero, zero)


# --- the wings ----------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(GRADIENTS, GRADIENTS, st.floats(0.01, 50))
def test_the_wings_clip_as_scratch_does(a, b, limit):
    import tensorflow as tf
    import torch

    from course_lib.pytorch.schedules import clip_global_torch
    from course_lib.tensorflow.schedules import clip_global_tf

    wanted = clipping.clip_global([a, b], limit)
    ours = clip_global_torch([torch.from_numpy(a), torch.from_numpy(b)], limit)
    theirs = clip_global_tf([tf.constant(a), tf.constant(b)], limit)
    for w, x, y in zip(wanted, ours, theirs):
        np.testing.assert_allclose(x.numpy(), w, atol=1e-12)
        np.testing.assert_allclose(y.numpy(), w, atol=1e-12)


def test_slices_of_an_embedding_are_clipped_by_the_norm_of_their_sum():
    import tensorflow as tf

    from course_lib.tensorflow.schedules import clip_global_tf

    slices = tf.IndexedSlices(tf.constant([[3.0], [3.0], [8.0]]), tf.constant([1, 1, 0]),
                              tf.constant([2, 1]))
    clipped = clip_global_tf([slices], 1.0)[0]
    np.testing.assert_allclose(clipped, [[0.8], [0.6]], rtol=1e-6)
    wrong, _ = tf.clip_by_global_norm([slices], 1.0)
    assert float(tf.norm(tf.convert_to_tensor(wrong[0]))) > 1.05


def twins(seed):
    import torch

    from course_lib import parity
    from course_lib.pytorch.text_mlp import TorchTextMLP
    from course_lib.tensorflow.text_mlp import TFTextMLP

    torch.manual_seed(seed)
    sizes = 20, 4, (5,), 2
    models = TorchTextMLP(*sizes, dtype="float64"), TFTextMLP(*sizes, dtype="float64")
    parity.copy_weights(*models)
    return models


def run_both(limit, decay, seed=0, steps=60):
    """Losses of both wings under warm-up and cosine, and the same in NumPy."""
    import tensorflow as tf
    import torch

    from course_lib.pytorch.adam import TorchAdam
    from course_lib.pytorch.schedules import train_torch
    from course_lib.scratch.adam import DYADIC, adam
    from course_lib.scratch.optimizers import pack, unpack
    from course_lib.scratch.text_mlp import text_mlp_gradients
    from course_lib.tensorflow.adam import TFAdam
    from course_lib.tensorflow.schedules import train_tf

    random = np.random.default_rng(seed)
    x, y = random.integers(1, 20, (24, 6)), random.integers(0, 2, 24)
    order = random.integers(0, 24, (steps, 8))
    rates = 2.0**-6 * schedules.warm_up_cosine(np.arange(steps), 7, steps)
    ours, theirs = twins(seed)
    start = {name: w.detach().numpy() if "embedding" in name else w.detach().numpy().T
             for name, w in ours.named_parameters()}
    start, found, rows = {n: w.copy() for n, w in start.items()}, [], iter(order)

    def gradient(theta):
        batch = next(rows)
        loss, slopes = text_mlp_gradients(unpack(theta, start), x[batch], y[batch])
        found.append(loss)
        slopes = [slopes[name] for name in start]
        return np.concatenate([g.ravel() for g in clipping.clip_global(slopes, limit)])

    adam(gradient, pack(start), rates, 0.875, 1 - 2.0**-9, 2.0**-20, steps, weight_decay=decay)
    optimizers = (TorchAdam(ours.parameters(), 1.0, **DYADIC, weight_decay=decay),
                  TFAdam(theirs.trainable_variables, 1.0, **DYADIC, weight_decay=decay))
    return found, train_torch(ours, torch.from_numpy(x), torch.from_numpy(y), order, optimizers[0],
                              rates, limit), train_tf(
        theirs, tf.constant(x), tf.constant(y), order, optimizers[1], rates, limit)


def test_scheduled_clipped_adamw_is_one_run_in_numpy_and_both_frameworks():
    runs = np.array(run_both(0.25, 0.125))
    assert runs.shape == (3, 60) and np.ptp(runs, axis=0).max() < 1e-12
    other = np.array(run_both(2.0**-12, 0.125))
    assert np.abs(other - runs).max() > 1e-6                   # the limit does something


def test_a_norm_whose_squares_overflow_clips_to_the_limit():
    import tensorflow as tf
    import torch

    from course_lib.pytorch.schedules import clip_global_torch
    from course_lib.tensorflow.schedules import clip_global_tf

    for size in (1e25, 1e-30):
        wanted = np.full(4, 0.5 if size > 1 else size, np.float32)
        huge = np.full(4, size, np.float32)
        np.testing.assert_allclose(clip_global_torch([torch.from_numpy(huge)], 1.0)[0], wanted, 1e-6)
        np.testing.assert_allclose(clip_global_tf([tf.constant(huge)], 1.0)[0], wanted, 1e-6)
    assert not clip_global_torch([torch.zeros(3)], 1.0)[0].any()
    assert not np.any(clip_global_tf([tf.zeros(3)], 1.0)[0])


def test_an_infinite_limit_does_not_clip():
    import tensorflow as tf
    import torch

    from course_lib.pytorch.schedules import clip_global_torch
    from course_lib.tensorflow.schedules import clip_global_tf

    assert clip_global_torch([torch.tensor([3.0])], float("inf"))[0].item() == 3
    assert float(clip_global_tf([tf.constant([3.0])], float("inf"))[0][0]) == 3
