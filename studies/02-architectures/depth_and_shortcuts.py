"""Depth with and without shortcuts: how far each network gets on the tiles that it is trained on.

Networks of 8, 20 and 32 layers with weights (He et al. 2016, section 4.2; 8 channels in the first
stage) are trained on tiles of photographs for 100 steps of plain gradient descent on batches of 32,
with and without shortcuts. With batch normalisation every network gets the same two learning rates.
Without it there is one rate: those rows show what happens to 32 layers, and no more. Measured is
the loss on the training batches themselves, the mean of the last 20 steps: the question is how well
a network can be fitted, not how well it generalises. Each seed draws other weights and batches,
the same ones in both frameworks; with and without shortcuts the weights are equal, too.
"""

import numpy as np

from course_lib import parity
from course_lib.data import load

CONFIG = {"steps": 100, "batch": 32, "width": 8}
BAND = {"training_loss": 0.15, "diverged": 0}
SEEDS = 3


def rows():
    cases = [(True, rate) for rate in (0.0625, 0.25)] + [(False, 0.015625)]
    return [{"norm": norm, "shortcuts": shortcuts, "depth": depth, "learning_rate": rate}
            for norm, rate in cases for shortcuts in (False, True) for depth in (8, 20, 32)]


def twins(config, classes):
    """A torch network with freshly drawn weights, and a Keras network with the same ones."""
    from course_lib.pytorch.resnet import TorchResNet
    from course_lib.tensorflow.resnet import TFResNet

    sizes = {name: config[name] for name in ("depth", "width", "shortcuts", "norm")}
    torch_model, tf_model = TorchResNet(classes, **sizes), TFResNet(classes, **sizes)
    parity.copy_weights(torch_model, tf_model)
    return torch_model, tf_model


def batches(count, config, seed):
    """Row numbers of each batch: one shuffled pass after the other."""
    random, rows = np.random.default_rng(seed), np.empty(0, int)
    for _ in range(config["steps"]):
        if len(rows) < config["batch"]:
            rows = random.permutation(count)
        yield rows[: config["batch"]]
        rows = rows[config["batch"]:]


def losses(config, seed, framework):
    """The loss of every step, up to one that is not finite."""
    import tensorflow as tf
    import torch

    from course_lib.pytorch.resnet import step_torch
    from course_lib.tensorflow.resnet import step_tf

    tiles = load("photo-tiles")
    mean, std = (f(tiles.x_train, axis=(0, 1, 2)) for f in (np.mean, np.std))
    x, y = (tiles.x_train - mean) / std, tiles.y_train
    torch_model, tf_model = twins(config, len(tiles.classes))
    if framework == "pytorch":
        model, step, tensor = torch_model, step_torch, torch.from_numpy
    else:
        model, step, tensor = tf_model, tf.function(step_tf), tf.constant
    found = []
    for rows in batches(len(y), config, seed):
        loss = step(model, tensor(x[rows]), tensor(y[rows]), config["learning_rate"])
        found.append(float(loss))
        if not np.isfinite(found[-1]):
            break
    return found


def run(config, seed, framework):
    found = losses(config, seed, framework)
    if not np.isfinite(found[-1]):
        return {"training_loss": None, "diverged": 1}
    return {"training_loss": float(np.mean(found[-20:])), "diverged": 0}
