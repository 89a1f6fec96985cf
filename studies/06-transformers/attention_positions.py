"""Forwards or backwards? Three kinds of positions, at the trained lengths and beyond them.

Snippets of film reviews of 4 to 16 words, and the same snippets with their words in reverse, are
to be told apart by one layer of attention (width 32, 4 heads) and a mean: 5 epochs of each
framework's own Adam in batches of 64. Words that occur less than three times in the training
part are one unknown word. Learned positions have a table of 48 rows, of which 16 are ever
trained. Each kind gets the same one rate, 0.005, which trial runs of the rotary kind on the
validation part suggested; the last epoch is taken. The test accuracy is that of snippets of 4 to
16, 17 to 24, 25 to 32 and 33 to 48 words, none cut. Each seed draws other weights and another order,
the same in both frameworks and in every row with that seed.
"""

from functools import cache

import numpy as np

from course_lib import parity
from course_lib.data import load
from course_lib.metrics import accuracy
from course_lib.scratch.backwards import both_ways
from course_lib.scratch.bag_of_words import word_ids

CONFIG = {"width": 32, "heads": 4, "epochs": 5, "batch": 64, "longest": 48}
BAND = {"validation_accuracy": 0.04, "test_16": 0.03, "test_24": 0.05, "test_32": 0.06,
        "test_48": 0.08}
KINDS = ("sinusoidal", "learned", "rotary")
RATES = (0.005,)
LENGTHS = {"test_16": (4, 16), "test_24": (17, 24), "test_32": (25, 32), "test_48": (33, 48)}
SEEDS = 5


def rows():
    return [{"positions": kind, "learning_rate": rate} for kind in KINDS for rate in RATES]


@cache
def data():
    """The number of ids, then (ids, labels) of training, validation, and each test length."""
    reviews = load("reviews")
    ids = word_ids(reviews.text_train, 3)
    parts = {"train": both_ways(reviews.text_train, ids, 4, 16),
             "validation": both_ways(reviews.text_validation, ids, 4, 16)}
    parts |= {name: both_ways(reviews.text_test, ids, *span) for name, span in LENGTHS.items()}
    return len(ids) + 2, parts


def run(config, seed, framework):
    from course_lib.pytorch.attention import TorchAttentionText

    tokens, parts = data()[0], dict(data()[1])
    sizes = (tokens, config["width"], config["heads"], 2, config["positions"], config["longest"])
    model = TorchAttentionText(*sizes)
    random, (x, labels) = np.random.default_rng(seed), parts.pop("train")
    whole = len(x) - len(x) % config["batch"]
    order = np.concatenate([random.permutation(len(x))[:whole] for _ in range(config["epochs"])])
    order = order.reshape(-1, config["batch"])
    if framework == "pytorch":
        import torch

        from course_lib.pytorch.train import cross_entropy_torch, predict_torch, train_torch

        batches = ((torch.from_numpy(x[rows]), torch.from_numpy(labels[rows])) for rows in order)
        optimizer = torch.optim.Adam(model.parameters(), config["learning_rate"])
        train_torch(model, batches, optimizer, cross_entropy_torch)
        found = {name: predict_torch(model, part[0]) for name, part in parts.items()}
    else:
        import tensorflow as tf

        from course_lib.tensorflow.attention import TFAttentionText
        from course_lib.tensorflow.train import cross_entropy_tf, predict_tf, train_tf

        keras_model = TFAttentionText(*sizes)
        parity.copy_weights(model, keras_model)
        batches = ((tf.constant(x[rows]), tf.constant(labels[rows])) for rows in order)
        optimizer = tf.keras.optimizers.Adam(config["learning_rate"])
        train_tf(keras_model, batches, optimizer, cross_entropy_tf)
        found = {name: predict_tf(keras_model, part[0]) for name, part in parts.items()}
    scores = {name: accuracy(logits, parts[name][1]) for name, logits in found.items()}
    return {"validation_accuracy": scores.pop("validation"), **scores}
