"""Class balance: 350 fours and 20 nines, as they are, with class weights, with batches half of each.

A network of 32 hidden units, two classes, batches of 50 of the training split of mnist-5k. "as
they are": rows are drawn with equal chance. "weights": the same batches, each loss times the
inverse share of its class, divided by the sum of the weights in the batch. "even batches": 25
fours and 25 nines in each batch. 100 and 300 steps. Evaluated on the test digits: the share of
nines found, of fours found, their mean (balanced accuracy), and the accuracy in a population with
the training set's shares. Each seed draws other images, weights and batches, the same in both
frameworks.
"""

from functools import lru_cache

import numpy as np

from course_lib import parity
from course_lib.data import load

CONFIG = {"hidden": 32, "batch": 50, "rate": 0.125, "common": 350, "rare": 20}
BAND = {"accuracy": 0.02, "nines_found": 0.08, "fours_found": 0.03, "balanced": 0.04}
METHODS = ("as they are", "weights", "even batches")


@lru_cache
def the_digits():
    return load("mnist-5k")


def rows():
    return [{"method": method, "steps": steps} for method in METHODS for steps in (100, 300)]


def prepare(config, seed):
    """Training rows and labels (0 four, 1 nine), test rows and labels, batches, class weights."""
    random, digits = np.random.default_rng(seed), the_digits()
    common, rare = config["common"], config["rare"]
    fours = random.permutation(np.flatnonzero(digits.y_train == 4))[:common]
    nines = random.permutation(np.flatnonzero(digits.y_train == 9))[:rare]
    chosen = np.concatenate([fours, nines])
    images, y = digits.x_train[chosen], (digits.y_train[chosen] == 9).astype(np.int64)
    kept = np.isin(digits.y_test, (4, 9))
    test, y_test = digits.x_test[kept], (digits.y_test[kept] == 9).astype(np.int64)
    mean, half = images.mean(axis=0), config["batch"] // 2
    order = random.integers(len(y), size=(config["steps"], config["batch"]))
    if config["method"] == "even batches":
        order = np.concatenate([random.integers(common, size=(config["steps"], half)),
                                common + random.integers(rare, size=(config["steps"], half))], 1)
    weights = np.array([1.0, common / rare if config["method"] == "weights" else 1.0], np.float32)
    flat = [(a - mean).reshape(len(a), -1) for a in (images, test)]
    return flat[0], y, flat[1], y_test, order, weights


def fit_torch(model, x, y, test, order, weights, rate):
    import torch
    from torch.nn import functional as F

    from course_lib.pytorch.classification import step_torch

    weight = torch.from_numpy(weights)
    for rows_ in order:
        step_torch(model, torch.from_numpy(x[rows_]), torch.from_numpy(y[rows_]), rate,
                   lambda logits, labels: F.cross_entropy(logits, labels, weight=weight))
    with torch.inference_mode():
        return model(torch.from_numpy(test)).numpy().argmax(axis=1)


def fit_tf(model, x, y, test, order, weights, rate):
    import tensorflow as tf

    from course_lib.tensorflow.classification import step_tf

    def loss(logits, labels):
        each = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        weight = tf.gather(weights, labels)
        return tf.reduce_sum(weight * each) / tf.reduce_sum(weight)

    step = tf.function(step_tf)
    for rows_ in order:
        step(model, tf.constant(x[rows_]), tf.constant(y[rows_]), rate, loss)
    return model(tf.constant(test)).numpy().argmax(axis=1)


def run(config, seed, framework):
    from course_lib.pytorch.classification import TorchClassifier
    from course_lib.tensorflow.classification import TFClassifier

    x, y, test, y_test, order, weights = prepare(config, seed)
    torch_model = TorchClassifier(784, config["hidden"], 2)
    tf_model = TFClassifier(784, config["hidden"], 2)
    parity.copy_weights(torch_model, tf_model)
    model, fit = (torch_model, fit_torch) if framework == "pytorch" else (tf_model, fit_tf)
    answers = fit(model, x, y, test, order, weights, config["rate"])
    nines = float(np.mean(answers[y_test == 1] == 1))
    fours = float(np.mean(answers[y_test == 0] == 0))
    share = config["rare"] / (config["rare"] + config["common"])
    return {"accuracy": share * nines + (1 - share) * fours, "nines_found": nines,
            "fours_found": fours, "balanced": (nines + fours) / 2}
