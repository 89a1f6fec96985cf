"""Shuffle buffers of five sizes on digits stored by class, and on digits shuffled before storing.

A network of 784-32-10 units is fitted to the training digits by three epochs of SGD on
cross-entropy, batches of 50. Rows: how the digits are stored (sorted by class, or in one random
order) and how many wait in the shuffle buffer when they are read (1: read as stored; 3,500: a full
shuffle, drawn anew each epoch). Every row gets the same four learning rates; the rate is chosen on
the validation digits, the test digits are reported. Each seed draws other weights, another stored
order and other shuffles, the same in both frameworks.
"""

import numpy as np

from course_lib import parity
from course_lib.data import load
from course_lib.data.shards import Arrays
from course_lib.metrics import accuracy
from course_lib.scratch.order import Order

CONFIG = {"epochs": 3, "batch": 50, "hidden": 32}
BAND = {"validation_accuracy": 0.05, "test_accuracy": 0.05, "classes_in_a_batch": 0.01}
ORDERS = (
    ("by class", 1), ("by class", 128), ("by class", 512), ("by class", 2048),
    ("by class", 3500), ("shuffled once", 1), ("shuffled once", 128),
)
RATES = (0.03125, 0.125, 0.5, 2.0)


def rows():
    return [{"stored": stored, "buffer": buffer, "learning_rate": rate}
            for stored, buffer in ORDERS for rate in RATES]


def source(digits, stored, seed):
    """The training digits as they lie in storage."""
    if stored == "by class":
        kept = np.argsort(digits.y_train, kind="stable")
    else:
        kept = np.random.default_rng(seed).permutation(len(digits.y_train))
    images = np.round(255 * digits.x_train[kept]).astype(np.uint8)
    return Arrays(images, digits.y_train[kept])


def fit_torch(model, data, order, config, others):
    """Train, and return the logits of the other digits."""
    import torch

    from course_lib.pytorch.classification import step_torch
    from course_lib.pytorch.pipelines import loader_torch

    loader = loader_torch(data, order)
    while order.epoch < config["epochs"]:
        for x, y in loader:
            step_torch(model, x, y, config["learning_rate"])
            order.advance()
    with torch.inference_mode():
        return [model(torch.from_numpy(x)).numpy() for x in others]


def fit_tf(model, data, order, config, others):
    """The same in TensorFlow."""
    import tensorflow as tf

    from course_lib.tensorflow.classification import step_tf
    from course_lib.tensorflow.pipelines import loader_tf

    loader, step = loader_tf(data, order), tf.function(step_tf)
    while order.epoch < config["epochs"]:
        for x, y in loader:
            step(model, x, y, config["learning_rate"])
            order.advance()
    return [model(tf.constant(x)).numpy() for x in others]


def run(config, seed, framework):
    from course_lib.pytorch.classification import TorchClassifier
    from course_lib.tensorflow.classification import TFClassifier

    digits = load("mnist-5k")
    data = source(digits, config["stored"], seed)
    order = Order(len(data), config["batch"], seed, config["buffer"])
    batches = [len(set(data.labels[batch])) for batch in order]
    sizes = data.images[0].size, config["hidden"], 10
    torch_model, tf_model = TorchClassifier(*sizes), TFClassifier(*sizes)
    parity.copy_weights(torch_model, tf_model)
    others = [x.reshape(len(x), -1) for x in (digits.x_validation, digits.x_test)]
    fitted = (fit_torch(torch_model, data, order, config, others) if framework == "pytorch"
              else fit_tf(tf_model, data, order, config, others))
    return {
        "validation_accuracy": accuracy(fitted[0], digits.y_validation),
        "test_accuracy": accuracy(fitted[1], digits.y_test),
        "classes_in_a_batch": float(np.mean(batches)),
    }
