"""Leaks: what a report gains over the truth, on true labels and on labels drawn by lot.

n digits of the training split of mnist-5k are put through a pipeline that ends with a held-out
fifth: its accuracy is the report. The truth is the accuracy of the same model, behind the same
preprocessing, on the 1,000 test digits, which no step has seen. Pipelines: nothing leaks; means
and deviations of each pixel come from all n images, with a floor of 0.1 under the deviation
("statistics") or of a ten millionth ("statistics, no floor"); a quarter of the images is there
twice ("copies"); each image brings four copies, moved by one pixel, before the split
("augment first"); the 30 pixels that tell the classes apart best are chosen on all images
("select first"). Every pipeline runs with the true labels and with labels drawn by lot, for which
no honest accuracy lies above 0.1. A network of 32 hidden units; 20 passes over the data, at least
200 steps. Small n are split several times, and the mean is one run.
"""

from functools import lru_cache

import numpy as np

from course_lib import parity
from course_lib.data import load

CONFIG = {"hidden": 32, "batch": 32, "rate": 0.125, "least_steps": 200, "passes": 20,
          "pixels": 30}
BAND = {"reported": 0.06, "honest": 0.04, "gap": 0.07}
LEAKS = ("none", "statistics", "statistics, no floor", "copies", "augment first", "select first")
SPLITS = {50: 6, 200: 3, 800: 1}
MOVES = ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0))


@lru_cache
def the_digits():
    return load("mnist-5k")


def rows():
    return [{"labels": labels, "leak": leak, "images": images}
            for labels in ("true", "by lot") for leak in LEAKS for images in SPLITS]


def separation(x, y):
    """Of each column of x, the variance between the classes over that within them."""
    means = np.stack([x[y == k].mean(axis=0) for k in np.unique(y)])
    sizes = np.array([np.sum(y == k) for k in np.unique(y)])[:, None]
    between = (sizes * (means - x.mean(axis=0)) ** 2).sum(axis=0)
    total = ((x - x.mean(axis=0)) ** 2).sum(axis=0)
    return between / (total - between + 1e-6 * len(x))


def pipeline(config, random):
    """Training rows, held-out rows and test rows, each with labels, as one split leaves them."""
    digits, leak = the_digits(), config["leak"]
    chosen = random.permutation(len(digits.y_train))[: config["images"]]
    images, y, test, y_test = (digits.x_train[chosen], digits.y_train[chosen], digits.x_test,
                               digits.y_test)
    if config["labels"] == "by lot":
        y, y_test = random.integers(10, size=len(y)), random.integers(10, size=len(y_test))
    if leak == "copies":
        twice = random.permutation(len(y))[: len(y) // 4]
        images, y = np.concatenate([images, images[twice]]), np.concatenate([y, y[twice]])
    if leak == "augment first":
        images = np.concatenate([np.roll(images, move, axis=(1, 2)) for move in MOVES])
        y = np.tile(y, len(MOVES))
    x, test = (a.reshape(len(a), -1).astype(np.float64) for a in (images, test))
    order = random.permutation(len(y))
    held, kept = order[: len(y) // 5], order[len(y) // 5:]
    seen = x if leak.startswith("statistics") else x[kept]
    floor = 1e-7 if leak == "statistics, no floor" else 0.1
    mean, scale = seen.mean(axis=0), np.maximum(seen.std(axis=0), floor)
    x, test = (x - mean) / scale, (test - mean) / scale
    if leak == "select first":
        best = np.argsort(-separation(x, y), kind="stable")[: config["pixels"]]
        x, test = x[:, best], test[:, best]
    parts = (x[kept], y[kept]), (x[held], y[held]), (test, y_test)
    return [(a.astype(np.float32), b) for a, b in parts]


def twins(features, config):
    from course_lib.pytorch.classification import TorchClassifier
    from course_lib.tensorflow.classification import TFClassifier

    torch_model = TorchClassifier(features, config["hidden"], 10)
    tf_model = TFClassifier(features, config["hidden"], 10)
    parity.copy_weights(torch_model, tf_model)
    return torch_model, tf_model


def fit_torch(model, x, y, order, others, rate):
    import torch

    from course_lib.pytorch.classification import step_torch

    x, y = torch.from_numpy(x), torch.from_numpy(y)
    for batch in torch.from_numpy(order):
        step_torch(model, x[batch], y[batch], rate)
    with torch.inference_mode():
        return [model(torch.from_numpy(a)).numpy().argmax(axis=1) for a in others]


def fit_tf(model, x, y, order, others, rate):
    import tensorflow as tf

    from course_lib.tensorflow.classification import step_tf

    step = tf.function(step_tf)
    for batch in order:
        step(model, tf.constant(x[batch]), tf.constant(y[batch]), rate)
    return [model(tf.constant(a)).numpy().argmax(axis=1) for a in others]


def run(config, seed, framework):
    found = []
    for split in range(SPLITS[config["images"]]):
        random = np.random.default_rng([seed, split, config["images"]])
        (x, y), (held, y_held), (test, y_test) = pipeline(config, random)
        steps = max(config["least_steps"], config["passes"] * len(y) // config["batch"])
        order = random.integers(len(y), size=(steps, config["batch"]))
        models = twins(x.shape[1], config)
        model, fit = (models[0], fit_torch) if framework == "pytorch" else (models[1], fit_tf)
        reported, honest = (np.mean(p == t) for p, t in zip(
            fit(model, x, y, order, (held, test), config["rate"]), (y_held, y_test)))
        found.append((reported, honest))
    reported, honest = (float(mean) for mean in np.mean(found, axis=0))
    return {"reported": reported, "honest": honest, "gap": reported - honest}
