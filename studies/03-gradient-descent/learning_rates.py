"""Learning rates of full-batch gradient descent on a small network, from 1/16 to 2.

A network of 196-32-10 units with tanh is fitted to the first 2,000 training digits, shrunk
to 14×14 pixels and centred, by half the squared error to one-hot targets. Each seed draws other
weights, the same in both frameworks. Validation digits alone are looked at; the test digits stay
for the page. The rates span the limit 2/sharpness of the first step and the edge of stability of
Cohen et al. (2021), arXiv:2103.00065.
"""

import numpy as np

from course_lib import parity
from course_lib.data import load
from course_lib.metrics import accuracy

CONFIG = {"steps": 400, "hidden": 32, "images": 2000}
BAND = {
    "training_loss": 0.02,
    "validation_accuracy": 0.02,
    "rises": 80,
    "limit": 0.1,
    "diverged": 0,
}
RATES = (0.0625, 0.125, 0.25, 0.5, 1.0, 1.5, 2.0)


def rows():
    return [{"learning_rate": rate} for rate in RATES]


def images(count):
    """Shrunk and centred images (n, 196) and their targets: ``count`` for training, validation."""
    digits = load("mnist-5k")

    def shrink(x):
        blocks = x.reshape(len(x), 14, 2, 14, 2)
        return blocks.sum(axis=(2, 4)).reshape(len(x), 196) / 2

    x = shrink(digits.x_train[:count])
    targets = np.eye(10, dtype=np.float32)[digits.y_train[:count]]
    mean = x.mean(axis=0)
    return x - mean, targets, shrink(digits.x_validation) - mean, digits.y_validation


def twins(hidden):
    """A torch model with freshly drawn weights, and a Keras model with the same ones."""
    from course_lib.pytorch.models import TorchMLP
    from course_lib.tensorflow.models import TFMLP

    torch_model, tf_model = TorchMLP(196, hidden, 10), TFMLP(196, hidden, 10)
    parity.copy_weights(torch_model, tf_model)
    return torch_model, tf_model


def fit_torch(model, x, y, x_validation, config):
    import torch

    from course_lib.pytorch.curvature import sharpness_torch
    from course_lib.pytorch.training import train_torch

    x, y, x_validation = (torch.from_numpy(a) for a in (x, y, x_validation))
    limit = 2 / sharpness_torch(model, x, y)[0]
    losses = train_torch(model, x, y, config["learning_rate"], config["steps"])
    return limit, losses, model(x_validation).detach().numpy()


def fit_tf(model, x, y, x_validation, config):
    import tensorflow as tf

    from course_lib.tensorflow.curvature import sharpness_tf
    from course_lib.tensorflow.training import train_tf

    x, y, x_validation = (tf.constant(a) for a in (x, y, x_validation))
    limit = 2 / sharpness_tf(model, x, y)[0]
    losses = train_tf(model, x, y, config["learning_rate"], config["steps"])
    return limit, losses, model(x_validation).numpy()


def run(config, seed, framework):
    x, y, x_validation, y_validation = images(config["images"])
    torch_model, tf_model = twins(config["hidden"])
    data = (x, y, x_validation, config)
    if framework == "pytorch":
        limit, losses, outputs = fit_torch(torch_model, *data)
    else:
        limit, losses, outputs = fit_tf(tf_model, *data)
    diverged = not np.isfinite(losses[-1])
    return {
        "training_loss": None if diverged else losses[-1],
        "validation_accuracy": None if diverged else accuracy(outputs, y_validation),
        "rises": None if diverged else int((np.diff(losses) > 0).sum()),
        "limit": limit,
        "diverged": diverged,
    }
