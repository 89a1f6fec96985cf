"""What depth and width buy: film reviews, digits, and a task made for depth.

Networks with none to three hidden layers of ReLU are fitted by SGD in batches of 64, cross-entropy,
the rate falling in a straight line to 0. Every size of network gets the same rates, a factor of two
apart. The rate and the epoch are chosen on the validation rows, the mean over seeds and frameworks
deciding on the rate; the test rows are reported for that choice alone. Each seed draws other
weights, batches and, with fewer training snippets, another part of them; both frameworks start
from the same weights and see the same batches.

Tasks: ``reviews``, film reviews on averaged word vectors of 16 numbers, split by film (``spread``
is the standard deviation of the vectors at the start, ``rows`` how many snippets are seen, in as
many steps as with all of them, at one rate); ``digits``, 3,500 MNIST images shrunk to 14×14 and centred;
``negation``, synthetic sentences whose label is whether exactly one of two kinds of words is in
them.
"""

from functools import lru_cache

import numpy as np

from course_lib import parity
from course_lib.data import load
from course_lib.metrics import accuracy
from course_lib.scratch import bag_of_words, negation, text_mlp

CONFIG = {"batch": 64, "width": 16, "length": 40}
BAND = {"train_accuracy": 0.03, "validation_accuracy": 0.02, "test_accuracy": 0.03, "epoch": 10}
RATES = {"reviews": (1.0, 2.0, 4.0), "digits": (0.25, 0.5, 1.0), "negation": (1.0, 2.0, 4.0)}
EPOCHS = {"reviews": 10, "digits": 20, "negation": 20}
ALL = 8281  # training snippets
SEEDS = 3


def rows():
    found = []

    def add(task, hidden, spread=0.1, rows=ALL, rates=None):
        found.extend({"task": task, "hidden": hidden, "spread": spread, "rows": rows, "rate": rate}
                     for rate in rates or RATES[task])

    for hidden in ([], [8], [64], [64, 64], [64, 64, 64]):
        add("reviews", hidden)
    add("reviews", [64], spread=1.0)
    for some in (1000, 2000, 4000):
        add("reviews", [64], rows=some, rates=(2.0,))
    for hidden in ([], [64], [64, 64], [64, 64, 64]):
        add("digits", hidden, rows=3500)
    for hidden in ([], [16], [16, 16]):
        add("negation", hidden, rows=2000)
    return found


@lru_cache(maxsize=4)
def reviews(rows, length, seed):
    """Three pairs of ids (n, length) and labels (n,), and the number of ids."""
    splits = load("reviews")
    kept = np.arange(len(splits.y_train))
    if rows < len(kept):
        kept = np.random.default_rng(seed).permutation(kept)[:rows]
    texts = [splits.text_train[row] for row in kept]
    ids = bag_of_words.word_ids(texts)
    parts = ((texts, splits.y_train[kept]), (splits.text_validation, splits.y_validation),
             (splits.text_test, splits.y_test))
    encoded = [(bag_of_words.encode(some, ids, length), y) for some, y in parts]
    return encoded, len(ids) + 2


def digits():
    """Three pairs of pixels (n, 196) float32 and labels (n,)."""
    splits = load("mnist-5k")

    def shrink(x):
        blocks = x.reshape(len(x), 14, 2, 14, 2)
        return blocks.sum(axis=(2, 4)).reshape(len(x), 196) / 2

    mean = shrink(splits.x_train).mean(axis=0)
    return [(shrink(x) - mean, y) for x, y in (
        (splits.x_train, splits.y_train), (splits.x_validation, splits.y_validation),
        (splits.x_test, splits.y_test))]


def data(config, seed):
    """Three pairs of inputs and labels, and how a model's sizes are called for them."""
    if config["task"] == "digits":
        return digits(), {"features": 196, "classes": 10}
    if config["task"] == "reviews":
        some = config["rows"] < ALL                    # else all seeds see the same snippets
        parts, words = reviews(config["rows"], config["length"], seed if some else 0)
    else:
        parts = [negation.sentences(n, seed=part) for part, n in enumerate((config["rows"], 500, 1000))]
        words = negation.WORDS
    return parts, {"words": words, "width": config["width"], "classes": 2,
                   "spread": config["spread"]}


def twins(config, sizes):
    """A torch model with freshly drawn weights, and a Keras model with the same ones."""
    from course_lib.pytorch import text_mlp as ours
    from course_lib.tensorflow import text_mlp as theirs

    kind = "TextMLP" if "words" in sizes else "FeedForward"
    torch_model = getattr(ours, f"Torch{kind}")(hidden=config["hidden"], **sizes)
    tf_model = getattr(theirs, f"TF{kind}")(hidden=config["hidden"], **sizes)
    parity.copy_weights(torch_model, tf_model)
    return torch_model, tf_model


def fit_torch(model, parts, order, rates):
    """Accuracies (epochs, parts) after each epoch."""
    import torch

    from course_lib.pytorch.text_mlp import train_torch

    tensors = [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in parts]
    found = []

    def after_epoch(model):
        with torch.inference_mode():
            found.append([accuracy(model(x).numpy(), y.numpy()) for x, y in tensors])

    train_torch(model, *tensors[0], order, rates, after_epoch)
    return found


def fit_tf(model, parts, order, rates):
    """The same in TensorFlow."""
    import tensorflow as tf

    from course_lib.tensorflow.text_mlp import train_tf

    tensors = [(tf.constant(x), tf.constant(y)) for x, y in parts]
    found = []

    def after_epoch(model):
        found.append([accuracy(model(x).numpy(), y.numpy()) for x, y in tensors])

    train_tf(model, *tensors[0], order, rates, after_epoch)
    return found


def run(config, seed, framework):
    parts, sizes = data(config, seed)
    full = ALL if config["task"] == "reviews" else config["rows"]
    epochs = round(EPOCHS[config["task"]] * full / config["rows"])
    order = text_mlp.batches(len(parts[0][1]), config["batch"], epochs, seed)
    steps = order.shape[0] * order.shape[1]
    rates = config["rate"] * (1 - np.arange(steps) / steps).reshape(order.shape[:2])
    torch_model, tf_model = twins(config, sizes)
    fit, model = (fit_torch, torch_model) if framework == "pytorch" else (fit_tf, tf_model)
    found = np.array(fit(model, parts, order, rates))
    best = int(found[:, 1].argmax())                   # the first of equals
    train, validation, test = found[best]
    return {"train_accuracy": train, "validation_accuracy": validation, "test_accuracy": test,
            "epoch": best + 1}
