"""Batch normalisation against both frameworks and differences; the residual twins."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.scratch.normalisation import batch_norm, batch_norm_backward, running_average

shapes = st.tuples(st.integers(2, 5), st.integers(1, 3), st.integers(1, 3), st.integers(1, 4))


def case(shape, seed=0):
    random = np.random.default_rng(seed)
    channels = shape[-1]
    return (3 + 2 * random.standard_normal(shape), random.normal(size=channels),
            random.normal(size=channels), random.standard_normal(shape))


def by_torch(x, scale, shift, gradient):
    import torch

    layer = torch.nn.BatchNorm2d(x.shape[-1], eps=1e-5, momentum=0.125, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(scale))
        layer.bias.copy_(torch.from_numpy(shift))
    inputs = torch.tensor(x.transpose(0, 3, 1, 2), requires_grad=True)
    y = layer(inputs)
    y.backward(torch.tensor(gradient.transpose(0, 3, 1, 2)))
    found = (y.detach().numpy().transpose(0, 2, 3, 1), inputs.grad.numpy().transpose(0, 2, 3, 1),
             layer.weight.grad.numpy(), layer.bias.grad.numpy())
    return found, layer.running_mean.numpy(), layer.running_var.numpy()


def by_keras(x, scale, shift, gradient):
    import tensorflow as tf

    layer = tf.keras.layers.BatchNormalization(epsilon=1e-5, momentum=0.875, dtype="float64")
    layer.build(x.shape)
    layer.gamma.assign(scale)
    layer.beta.assign(shift)
    inputs = tf.Variable(x)
    with tf.GradientTape() as tape:
        y = layer(inputs, training=True)
    found = tape.gradient(y, [inputs, layer.gamma.value, layer.beta.value], gradient)
    return ((y.numpy(), *(g.numpy() for g in found)),
            layer.moving_mean.numpy(), layer.moving_variance.numpy())


@given(shape=shapes, seed=st.integers(0, 99))
@settings(max_examples=15, deadline=None)
@pytest.mark.parametrize("theirs", [by_torch, by_keras], ids=["pytorch", "tensorflow"])
def test_batch_norm_equals_the_frameworks_forwards_and_backwards(theirs, shape, seed):
    x, scale, shift, gradient = case(shape, seed)
    y, kept = batch_norm(x, scale, shift)
    ours = (y, *batch_norm_backward(gradient, scale, kept))
    found, mean, variance = theirs(x, scale, shift, gradient)
    for a, b in zip(ours, found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
    count = x.size // shape[-1]
    unbiased = count / (count - 1) if theirs is by_torch else 1
    axes = (0, 1, 2)
    np.testing.assert_allclose(mean, running_average(0.0, x.mean(axes), 0.125), atol=1e-12)
    wanted = running_average(1.0, unbiased * x.var(axes), 0.125)
    np.testing.assert_allclose(variance, wanted, rtol=1e-12)


@given(shape=shapes, seed=st.integers(0, 99))
@settings(max_examples=10, deadline=None)
def test_backward_equals_differences(shape, seed):
    x, scale, shift, gradient = case(shape, seed)

    def loss(x, scale, shift):
        return np.sum(batch_norm(x, scale, shift, epsilon=0.1)[0] * gradient)

    _, kept = batch_norm(x, scale, shift, epsilon=0.1)
    ours = batch_norm_backward(gradient, scale, kept)
    for place, wanted in enumerate(ours):
        at = [x, scale, shift]
        for index in np.ndindex(*at[place].shape):
            step = np.zeros_like(at[place])
            step[index] = 1e-5
            up, down = ([a + s * step if k == place else a for k, a in enumerate(at)]
                        for s in (1, -1))
            slope = (loss(*up) - loss(*down)) / 2e-5
            assert slope == pytest.approx(wanted[index], abs=1e-6)


def test_the_output_is_normalised_and_forgets_shift_and_scale_of_its_input():
    x, _, _, _ = case((6, 4, 4, 3))
    y, _ = batch_norm(x, np.ones(3), np.zeros(3), epsilon=0)
    np.testing.assert_allclose(y.mean((0, 1, 2)), 0, atol=1e-14)
    np.testing.assert_allclose(y.std((0, 1, 2)), 1)
    again, _ = batch_norm(8 * x - 5, np.ones(3), np.zeros(3), epsilon=0)
    np.testing.assert_allclose(again, y, atol=1e-13)


@pytest.mark.parametrize(("x", "scale", "words"), [
    (np.zeros((4, 3)), np.ones(4), "the last axis of x holds the channels"),
    (np.zeros(3), np.ones(3), "the last axis of x holds the channels"),
    (np.zeros((1, 1, 1, 3)), np.ones(3), "one value a channel"),
])
def test_what_cannot_be_normalised_is_refused(x, scale, words):
    with pytest.raises(ValueError, match=words):
        batch_norm(x, scale, np.zeros_like(scale))


# --- the twins ----------------------------------------------------------------------------------


def twins(seed=0, dtype="float64", **sizes):
    import torch

    from course_lib import parity
    from course_lib.pytorch.resnet import TorchResNet
    from course_lib.tensorflow.resnet import TFResNet

    torch.manual_seed(seed)
    pair = TorchResNet(3, width=4, dtype=dtype, **sizes), TFResNet(3, width=4, dtype=dtype, **sizes)
    parity.copy_weights(*pair)
    return pair


def data(count=12, size=8, seed=0):
    random = np.random.default_rng(seed)
    return random.standard_normal((count, size, size, 3)), random.integers(3, size=count)


def steps(pair, x, y, rate, count):
    import tensorflow as tf
    import torch

    from course_lib.pytorch.resnet import step_torch
    from course_lib.tensorflow.resnet import step_tf

    step = tf.function(step_tf)
    ours = [step_torch(pair[0], torch.tensor(x), torch.tensor(y), rate).item()
            for _ in range(count)]
    theirs = [float(step(pair[1], tf.constant(x), tf.constant(y), rate)) for _ in range(count)]
    return np.array(ours), np.array(theirs)


@pytest.mark.parametrize("size", [8, 7], ids=["even", "odd"])
@pytest.mark.parametrize("sizes", [{}, {"shortcuts": False}, {"norm": False}, {"depth": 14}],
                         ids=["residual", "plain", "no norm", "14 layers"])
def test_twins_take_the_same_steps(sizes, size):
    pair = twins(**sizes)
    ours, theirs = steps(pair, *data(size=size), 2.0**-6, 8)
    np.testing.assert_allclose(ours, theirs, atol=1e-12)
    assert ours[-1] < ours[0]


def test_predictions_agree_once_the_running_variances_do():
    """PyTorch keeps the unbiased variance: n / (n - 1) times Keras's, beside the start of 1."""
    import tensorflow as tf
    import torch

    from course_lib.pytorch.resnet import predict_torch
    from course_lib.tensorflow.resnet import predict_tf

    pair, count = twins(), 5
    x, y = data()
    steps(pair, x, y, 2.0**-6, count)
    ours = predict_torch(pair[0], torch.tensor(x)).numpy()
    theirs = predict_tf(pair[1], tf.constant(x)).numpy()
    assert 1e-6 < np.abs(ours - theirs).max() < 0.5
    pixels = {4: 12 * 64, 8: 12 * 16, 16: 12 * 4}                  # by channels
    for layer in pair[1]._flatten_layers():
        if isinstance(layer, tf.keras.layers.BatchNormalization):
            n = pixels[layer.gamma.shape[0]]
            start = 0.875**count
            layer.moving_variance.assign(start + (layer.moving_variance - start) * n / (n - 1))
    np.testing.assert_allclose(ours, predict_tf(pair[1], tf.constant(x)).numpy(), atol=1e-12)


def test_predicting_changes_nothing_and_keeps_the_mode():
    import torch

    from course_lib.pytorch.resnet import predict_torch

    model, _ = twins()
    x, _ = data(count=503)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    together = predict_torch(model, torch.tensor(x))
    assert model.training and together.shape == (503, 3)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    alone = predict_torch(model, torch.tensor(x[-1:]))
    assert torch.allclose(alone, together[-1:], atol=1e-12)


def test_in_training_mode_an_image_is_judged_with_its_neighbours():
    import torch

    model, _ = twins()
    x = torch.tensor(data(count=6)[0])
    assert not torch.allclose(model(x)[:1], model(torch.cat([x[:1], 3 + x[1:]]))[:1], atol=1e-3)


@pytest.mark.parametrize("depth", [8, 20])
def test_depth_counts_the_layers_with_weights(depth):
    import torch

    from course_lib.pytorch.resnet import TorchResNet

    found = TorchResNet(6, depth)
    layers = [m for m in found.modules() if isinstance(m, (torch.nn.Conv2d, torch.nn.Linear))]
    assert len(layers) == depth
    count = sum(p.numel() for p in found.parameters())
    assert count == sum(p.numel() for p in TorchResNet(6, depth, shortcuts=False).parameters())


@pytest.mark.parametrize("depth", [2, 9, 12])
def test_a_depth_that_is_not_six_n_plus_two_is_refused(depth):
    from course_lib.pytorch.resnet import TorchResNet
    from course_lib.tensorflow.resnet import TFResNet

    for model in (TorchResNet, TFResNet):
        with pytest.raises(ValueError, match=f"depth {depth}: give 6 n \\+ 2"):
            model(6, depth)


@pytest.mark.parametrize("shortcuts", [True, False])
def test_with_zeroed_branches_a_deep_residual_network_is_a_shallow_one(shortcuts):
    """Its blocks become the identity; those of the plain network give nothing at all."""
    import torch

    deep, _ = twins(depth=20, shortcuts=shortcuts)
    shallow, _ = twins(depth=8, shortcuts=shortcuts)
    shallow.stem.load_state_dict(deep.stem.state_dict())
    shallow.readout.load_state_dict(deep.readout.state_dict())
    for model in (deep, shallow):
        for block in model.blocks:
            torch.nn.init.zeros_(block.norm2.weight)
    x = torch.tensor(data()[0])
    assert torch.equal(deep(x), shallow(x))
    assert (deep(x).std(0).max() > 0) == shortcuts


def test_a_keras_loop_that_forgets_training_leaves_the_statistics_at_their_start():
    import tensorflow as tf

    _, model = twins()
    x, y = data()
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, model(x)))
    assert all(g is not None for g in tape.gradient(loss, model.trainable_variables))
    assert not np.any(model.stem_norm.moving_mean.numpy())
    assert np.all(model.stem_norm.moving_variance.numpy() == 1)
    model(x, training=True)
    assert np.all(model.stem_norm.moving_mean.numpy())
