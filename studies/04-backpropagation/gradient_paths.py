"""Gradient paths: a residual network trained with the whole gradient, or with a part of it.

A network of 196-32-10 units with four residual blocks and tanh is fitted to the 3,500 training
digits, shrunk to 14×14 pixels and centred, by cross-entropy and plain SGD, ten epochs in batches
of 50. A block's input has two ways forward, past the block and through it, and so its gradient has
two summands. "nothing" blocked is the right gradient; "skip" loses the summand that comes past
the block (what code does that overwrites instead of adding), "branch" the one through the block.
The outputs and the loss are the same functions in all three. Every row gets the same tuning
effort: the same seven rates, to be chosen by the mean validation accuracy; the test digits then
judge. Each seed draws other weights and other batches, the same for all and both frameworks.
"""

from functools import cache

import numpy as np

from course_lib import parity
from course_lib.data import load
from course_lib.metrics import accuracy
from course_lib.scratch.optimizers import minibatches

CONFIG = {"epochs": 10, "batch": 50, "hidden": 32, "blocks": 4}
BAND = {"training_loss": 0.03, "validation_accuracy": 0.02, "test_accuracy": 0.015}
BLOCKED = ("nothing", "skip", "branch")
RATES = tuple(2.0**power for power in range(-5, 2))


def rows():
    return [{"blocked": blocked, "learning_rate": rate} for blocked in BLOCKED for rate in RATES]


@cache
def images():
    """Images (n, 196), shrunk and centred, and labels (n,) of the three splits."""
    digits = load("mnist-5k")

    def shrink(x):
        blocks = x.reshape(len(x), 14, 2, 14, 2)
        return blocks.sum(axis=(2, 4)).reshape(len(x), 196) / 2

    mean = shrink(digits.x_train).mean(axis=0)
    return [((shrink(x) - mean).astype(np.float32), y) for x, y in (
        (digits.x_train, digits.y_train), (digits.x_validation, digits.y_validation),
        (digits.x_test, digits.y_test))]


def twins(config):
    """A torch model with freshly drawn weights, and a Keras model with the same ones."""
    from course_lib.pytorch.residual_mlp import TorchResidualMLP
    from course_lib.tensorflow.residual_mlp import TFResidualMLP

    sizes = (196, config["hidden"], 10, config["blocks"], config["blocked"])
    torch_model, tf_model = TorchResidualMLP(*sizes), TFResidualMLP(*sizes)
    parity.copy_weights(torch_model, tf_model)
    return torch_model, tf_model


def fit_torch(model, splits, order, rate):
    import torch

    from course_lib.pytorch.residual_mlp import run_torch

    x, y = (torch.from_numpy(part) for part in splits[0])
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    losses = run_torch(model, x, y, order, optimizer)
    return losses, [model(torch.from_numpy(x)).detach().numpy() for x, _ in splits]


def fit_tf(model, splits, order, rate):
    import tensorflow as tf

    from course_lib.tensorflow.residual_mlp import run_tf

    x, y = (tf.constant(part) for part in splits[0])
    optimizer = tf.keras.optimizers.SGD(learning_rate=rate)
    losses = run_tf(model, x, y, order, optimizer)
    return losses, [model(tf.constant(x)).numpy() for x, _ in splits]


def run(config, seed, framework):
    splits = images()
    order = minibatches(len(splits[0][1]), config["batch"], config["epochs"], seed)
    torch_model, tf_model = twins(config)
    if framework == "pytorch":
        losses, outputs = fit_torch(torch_model, splits, order, config["learning_rate"])
    else:
        losses, outputs = fit_tf(tf_model, splits, order, config["learning_rate"])
    scores = [accuracy(part, split[1]) for part, split in zip(outputs, splits)]
    return {
        "training_loss": float(losses[-len(order) // config["epochs"]:].mean()),
        "validation_accuracy": scores[1],
        "test_accuracy": scores[2],
    }
