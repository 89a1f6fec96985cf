"""Optimizer race: five methods, thirteen learning rates each, on a small network.

A network of 196-32-10 units with tanh is fitted to the first 2,000 training digits, shrunk to
14×14 pixels and centred, by half the squared error to one-hot targets: model, data and loss of
the study learning_rates. Every run reads 20,000 images, ten epochs: gradient descent in steps of
all 2,000, the others in batches of 40 drawn without replacement. Every method gets the same tuning
effort: the same thirteen learning rates, momentum and decay left at 7/8. The rate is meant to be
chosen by the mean validation loss; the test digits then judge. Each seed draws other weights and
other batches, the same for all methods and both frameworks.
"""

from functools import cache

import numpy as np

from course_lib import parity
from course_lib.data import load
from course_lib.metrics import accuracy
from course_lib.scratch.mlp import half_squared_error
from course_lib.scratch.optimizers import minibatches

CONFIG = {"images": 2000, "epochs": 10, "batch": 40, "hidden": 32, "share": 0.875}
BAND = {
    "training_loss": 0.01,
    "validation_loss": 0.01,
    "validation_accuracy": 0.02,
    "test_accuracy": 0.015,
    "diverged": 0,
}
METHODS = ("gradient descent", "SGD", "momentum", "Nesterov", "RMSprop")
RATES = tuple(2.0**power for power in range(-11, 2))


def rows():
    return [{"method": method, "learning_rate": rate} for method in METHODS for rate in RATES]


@cache
def images(count):
    """Images (n, 196), shrunk and centred, one-hot targets and labels of the three splits."""
    digits = load("mnist-5k")

    def shrink(x):
        blocks = x.reshape(len(x), 14, 2, 14, 2)
        return blocks.sum(axis=(2, 4)).reshape(len(x), 196) / 2

    x = shrink(digits.x_train[:count])
    mean = x.mean(axis=0)
    splits = (
        (x, digits.y_train[:count]),
        (shrink(digits.x_validation), digits.y_validation),
        (shrink(digits.x_test), digits.y_test),
    )
    one_hot = np.eye(10, dtype=np.float32)
    return [((part - mean).astype(np.float32), one_hot[labels], labels) for part, labels in splits]


def twins(hidden):
    """A torch model with freshly drawn weights, and a Keras model with the same ones."""
    from course_lib.pytorch.models import TorchMLP
    from course_lib.tensorflow.models import TFMLP

    torch_model, tf_model = TorchMLP(196, hidden, 10), TFMLP(196, hidden, 10)
    parity.copy_weights(torch_model, tf_model)
    return torch_model, tf_model


def order_of(config, seed):
    """The batches: row numbers (steps, batch)."""
    whole = config["method"] == "gradient descent"
    size = config["images"] if whole else config["batch"]
    return minibatches(config["images"], size, config["epochs"], seed)


def fit_torch(model, splits, order, config):
    import torch

    from course_lib.pytorch.optimizers import TorchMomentum, TorchRMSprop, run_torch

    rate, share, params = config["learning_rate"], config["share"], list(model.parameters())
    optimizer = {
        "momentum": lambda: TorchMomentum(params, rate, share),
        "Nesterov": lambda: TorchMomentum(params, rate, share, nesterov=True),
        "RMSprop": lambda: TorchRMSprop(params, rate, share),
    }.get(config["method"], lambda: TorchMomentum(params, rate))()
    x, y = (torch.from_numpy(part) for part in splits[0][:2])
    run_torch(model, x, y, order, optimizer)
    return [model(torch.from_numpy(part[0])).detach().numpy() for part in splits]


def fit_tf(model, splits, order, config):
    import tensorflow as tf

    from course_lib.tensorflow.optimizers import TFMomentum, TFRMSprop, run_tf

    rate, share, params = config["learning_rate"], config["share"], model.trainable_variables
    optimizer = {
        "momentum": lambda: TFMomentum(params, rate, share),
        "Nesterov": lambda: TFMomentum(params, rate, share, nesterov=True),
        "RMSprop": lambda: TFRMSprop(params, rate, share),
    }.get(config["method"], lambda: TFMomentum(params, rate))()
    x, y = (tf.constant(part) for part in splits[0][:2])
    run_tf(model, x, y, order, optimizer)
    return [model(tf.constant(part[0])).numpy() for part in splits]


def run(config, seed, framework):
    splits, order = images(config["images"]), order_of(config, seed)
    torch_model, tf_model = twins(config["hidden"])
    if framework == "pytorch":
        outputs = fit_torch(torch_model, splits, order, config)
    else:
        outputs = fit_tf(tf_model, splits, order, config)
    training, validation, _ = (
        half_squared_error(part.astype(np.float64), split[1])
        for part, split in zip(outputs, splits))
    scores = [accuracy(part, split[2]) for part, split in zip(outputs, splits)]
    diverged = not training < 1e6  # nan too
    return {
        "training_loss": None if diverged else training,
        "validation_loss": None if diverged else validation,
        "validation_accuracy": None if diverged else scores[1],
        "test_accuracy": None if diverged else scores[2],
        "diverged": diverged,
    }
