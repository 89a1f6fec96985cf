"""Warm-up on a deep network of ReLUs: five learning rates, three lengths of warm-up.

A network of eight hidden layers of 64 ReLUs, no normalisation and no shortcuts, is fitted by Adam to
3,500 MNIST images, shrunk to 14×14 and centred, in four epochs of batches of 64, softmax
cross-entropy. The rate rises over 0, 8 or 32 of the 216 steps and then follows a cosine to 0, which
ends at the same step for all. beta_1 is 7/8, beta_2 is 1 - 2**-9, no decay. ``highest_loss`` is the
largest loss of a batch after the first. Each seed draws other weights and other batches, the same
for all rows and both frameworks.
"""

from functools import cache

import numpy as np

from course_lib import parity
from course_lib.data import load
from course_lib.metrics import accuracy
from course_lib.scratch import schedules, text_mlp
from course_lib.scratch.adam import DYADIC

CONFIG = {"epochs": 4, "batch": 64, "hidden": 64, "depth": 8}
BAND = {"training_loss": 0.3, "highest_loss": 20.0, "validation_accuracy": 0.1,
        "test_accuracy": 0.1}
SEEDS = 5


def rows():
    return [{"learning_rate": 2.0**power, "warm_up": length}
            for power in range(-8, -3) for length in (0, 8, 32)]


@cache
def digits():
    """Three pairs of pixels (n, 196) float32 and labels (n,)."""
    splits = load("mnist-5k")

    def shrink(x):
        blocks = x.reshape(len(x), 14, 2, 14, 2)
        return blocks.sum(axis=(2, 4)).reshape(len(x), 196) / 2

    mean = shrink(splits.x_train).mean(axis=0)
    return [((shrink(x) - mean).astype(np.float32), y) for x, y in (
        (splits.x_train, splits.y_train), (splits.x_validation, splits.y_validation),
        (splits.x_test, splits.y_test))]


def fit_torch(model, parts, order, rates):
    """Losses (steps,) and the logits of the three splits."""
    import torch

    from course_lib.pytorch.adam import TorchAdam, train_torch

    tensors = [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in parts]
    optimizer = TorchAdam(model.parameters(), 1.0, **DYADIC)
    found = train_torch(model, *tensors[0], order, optimizer, rates)
    with torch.inference_mode():
        return found, [model(x).numpy() for x, _ in tensors]


def fit_tf(model, parts, order, rates):
    """The same in TensorFlow."""
    import tensorflow as tf

    from course_lib.tensorflow.adam import TFAdam, train_tf

    tensors = [(tf.constant(x), tf.constant(y)) for x, y in parts]
    optimizer = TFAdam(model.trainable_variables, 1.0, **DYADIC)
    found = train_tf(model, *tensors[0], order, optimizer, rates)
    return found, [model(x).numpy() for x, _ in tensors]


def run(config, seed, framework):
    from course_lib.pytorch.text_mlp import TorchFeedForward
    from course_lib.tensorflow.text_mlp import TFFeedForward

    parts = digits()
    order = text_mlp.batches(len(parts[0][1]), config["batch"], config["epochs"], seed)
    order = order.reshape(-1, config["batch"])
    rates = config["learning_rate"] * schedules.warm_up_cosine(
        np.arange(len(order)), config["warm_up"], len(order))
    sizes = 196, [config["hidden"]] * config["depth"], 10
    torch_model, tf_model = TorchFeedForward(*sizes), TFFeedForward(*sizes)
    parity.copy_weights(torch_model, tf_model)
    fit, model = (fit_torch, torch_model) if framework == "pytorch" else (fit_tf, tf_model)
    found, outputs = fit(model, parts, order, rates)
    epoch = len(order) // config["epochs"]
    scores = [accuracy(part, y) for part, (_, y) in zip(outputs, parts)]
    return {"training_loss": float(found[-epoch:].mean()), "highest_loss": float(found[1:].max()),
            "validation_accuracy": scores[1], "test_accuracy": scores[2]}
