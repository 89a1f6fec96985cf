"""LeNet: its shapes, its twin, its training loop in both frameworks."""

import numpy as np
import pytest
import tensorflow as tf
import torch

from course_lib import parity
from course_lib.data import load
from course_lib.metrics import accuracy
from course_lib.pytorch.lenet import TorchLeNet, step_torch, train_epoch_torch
from course_lib.tensorflow.lenet import TFLeNet, step_tf, train_epoch_tf


def twins(**options):
    torch.manual_seed(0)
    pair = TorchLeNet(**options), TFLeNet(**options)
    parity.copy_weights(*pair)
    return pair


def batches(steps, batch=16, dtype="float64"):
    random = np.random.default_rng(0)
    x = random.random((64, 28, 28)).astype(dtype)
    return x, random.integers(0, 10, 64), random.integers(0, 64, (steps, batch))


def train_both(models, optimizers, x, y, order):
    ours = train_epoch_torch(models[0], torch.from_numpy(x), torch.from_numpy(y), order, optimizers[0])
    theirs = train_epoch_tf(models[1], tf.constant(x), tf.constant(y), order, optimizers[1])
    return ours, theirs


def sgd(models):
    return (torch.optim.SGD(models[0].parameters(), lr=1 / 8),
            tf.keras.optimizers.SGD(learning_rate=1 / 8))


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
def test_the_twins_take_the_same_steps_in_float64(activation):
    models = twins(activation=activation, dtype="float64")
    ours, theirs = train_both(models, sgd(models), *batches(50))
    assert len(ours) == 50 and ours[-1] != ours[0]
    assert parity.compare_losses({"PyTorch": ours, "TensorFlow": theirs}, 1e-12).agree


def test_the_parameters_are_those_of_the_paper_with_a_dense_readout():
    by_layer = {name: p.numel() for name, p in TorchLeNet().named_parameters() if "weight" in name}
    assert by_layer == {"conv1.weight": 6 * 25, "conv2.weight": 16 * 6 * 25,
                        "dense1.weight": 400 * 120, "dense2.weight": 120 * 84, "readout.weight": 840}
    assert TFLeNet().count_params() == sum(p.numel() for p in TorchLeNet().parameters())


def test_it_learns_the_digits_in_both_frameworks():
    digits = load("mnist-5k")
    models = twins()
    optimizers = (torch.optim.Adam(models[0].parameters(), lr=2e-3, fused=True),
                  tf.keras.optimizers.Adam(2e-3))
    random = np.random.default_rng(0)
    order = np.concatenate([random.permutation(3500)[:3456].reshape(-1, 64) for _ in range(4)])
    losses = train_both(models, optimizers, digits.x_train, digits.y_train, order)
    assert all(run[-20:].mean() < 0.4 < 2 < run[0] for run in losses)
    logits = (models[0](torch.from_numpy(digits.x_test)).detach().numpy(),
              models[1](tf.constant(digits.x_test)).numpy())
    assert all(accuracy(found, digits.y_test) > 0.85 for found in logits)


def test_a_second_model_trains_after_the_first():
    for _ in range(2):
        models = twins(dtype="float64")
        ours, theirs = train_both(models, sgd(models), *batches(2))
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


@pytest.mark.parametrize("shape", [(2, 27, 28), (2, 784), (2, 1, 28, 28)])
def test_images_of_another_shape_are_refused(shape):
    for model, images in zip(twins(), (torch.zeros(shape), tf.zeros(shape))):
        with pytest.raises(ValueError, match=r"give \(batch, 28, 28\)"):
            model(images)


def test_an_unknown_activation_is_refused():
    for kind in (TorchLeNet, TFLeNet):
        with pytest.raises(ValueError, match="'swish'.*relu"):
            kind(activation="swish")


def test_one_step_returns_the_loss_before_it():
    models = twins()
    x, y, _ = batches(1, dtype="float32")
    for step, model, optimizer, arrays in zip(
            (step_torch, step_tf), models, sgd(models),
            ((torch.from_numpy(x), torch.from_numpy(y)), (tf.constant(x), tf.constant(y)))):
        first, second = float(step(model, *arrays, optimizer)), float(step(model, *arrays, optimizer))
        assert 2 < first < 2.7 and second < first
