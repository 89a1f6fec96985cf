"""Forwards or backwards? Three kinds of positions, at the trained lengths and beyond them.

Snippets of film reviews of 4 to 16 words, and the same snippets with their words in reverse, are
to be told apart by one layer of attention (width 32, 4 heads) and a mean: 5 epochs of each
framework's own Adam in batches of 64. Words that occur less than three times in the training
part are one unknown word. Learned positions have a table of 48 rows, of which 16 are ever
trained. Each kind gets the same two rates; the rate is chosen by the validation accuracy on
snippets of 4 to 16 words after the last epoch. The test accuracy is that of snippets of 4 to 16,
17 to 24, 25 to 32 and 33 to 48 words, none cut. Each seed draws other weights and another order,
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
RATES = (0.003, 0.01)
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


def model_of(config):
    """PyTorch's model, freshly drawn."""
    from course_lib.pytorch.attention import TorchAttentionText

    return TorchAttentionText(data()[0], config["width"], config["heads"], 2,
                              config["positions"], config["longest"])


@cache
def keras_parts(width, heads, positions, longest):
    """A Keras model and its compiled forward pass: traced once, used again."""
    import tensorflow as tf

    from course_lib.tensorflow.attention import TFAttentionText

    model = TFAttentionText(data()[0], width, heads, 2, positions, longest)
    return model, tf.function(model, reduce_retracing=True)


def trainer(framework, config):
    """Two functions on arrays: one step, and the logits."""
    import torch

    model = model_of(config)
    if framework == "pytorch":
        from course_lib.pytorch.pooled_text import step_torch

        optimizer = torch.optim.Adam(model.parameters(), config["learning_rate"])

        def logits(x):
            with torch.inference_mode():
                return model(torch.from_numpy(x)).numpy()

        return lambda *arrays: step_torch(model, *map(torch.from_numpy, arrays), optimizer), logits
    import tensorflow as tf

    from course_lib.tensorflow.pooled_text import step_tf

    settings = (config[name] for name in ("width", "heads", "positions", "longest"))
    keras_model, predict = keras_parts(*settings)
    parity.copy_weights(model, keras_model)
    optimizer = tf.keras.optimizers.Adam(config["learning_rate"])
    optimizer.build(keras_model.trainable_variables)
    step = tf.function(step_tf, reduce_retracing=True)
    return (lambda *arrays: step(keras_model, *map(tf.constant, arrays), optimizer),
            lambda x: predict(tf.constant(x)).numpy())


def run(config, seed, framework):
    _, parts = data()
    step, logits = trainer(framework, config)
    random, (x, labels) = np.random.default_rng(seed), parts["train"]
    whole = len(x) - len(x) % config["batch"]
    for _ in range(config["epochs"]):
        for some in random.permutation(len(x))[:whole].reshape(-1, config["batch"]):
            step(x[some], labels[some])
    found = {name: accuracy(logits(part[0]), part[1]) for name, part in parts.items() if name != "train"}
    return {"validation_accuracy": found.pop("validation"), **found}
