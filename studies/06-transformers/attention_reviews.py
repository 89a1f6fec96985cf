"""Fresh or rotten: the mean of word vectors against attention, then the mean.

Snippets of film reviews, cut after 40 words, words that occur less than three times one unknown
word. 'mean' is one layer on the mean of the words' vectors; 'attention' puts one layer of
self-attention with rotary positions before the mean (width 32, 4 heads). 4 epochs of each
framework's own Adam in batches of 64. Both get the same two rates; the rate is chosen by the
validation accuracy. Every run is judged at the epoch that is best in validation, for both rivals
alike. Each seed draws other weights and another order, the same in both frameworks and in every
row with that seed.
"""

from functools import cache

import numpy as np

from course_lib import parity
from course_lib.data import load
from course_lib.metrics import accuracy
from course_lib.scratch.bag_of_words import encode, word_ids

CONFIG = {"width": 32, "heads": 4, "epochs": 4, "batch": 64, "words": 40}
BAND = {"validation_accuracy": 0.02, "test_accuracy": 0.02}
RATES = (0.001, 0.003)
SEEDS = 5


def rows():
    return [{"model": model, "learning_rate": rate} for model in ("mean", "attention")
            for rate in RATES]


@cache
def data(words):
    """The number of ids, then (ids, labels) of training, validation and test."""
    reviews = load("reviews")
    ids = word_ids(reviews.text_train, 3)
    parts = [(encode(text, ids, words), labels) for text, labels in (
        (reviews.text_train, reviews.y_train),
        (reviews.text_validation, reviews.y_validation), (reviews.text_test, reviews.y_test))]
    return len(ids) + 2, parts


def trainer(framework, config):
    """Two functions on arrays: one step, and the logits. Both begin with PyTorch's weights."""
    import torch

    from course_lib.pytorch.attention import TorchAttentionText
    from course_lib.pytorch.pooled_text import TorchPooledText, step_torch

    attends, tokens = config["model"] == "attention", data(config["words"])[0]
    sizes = (tokens, config["width"], config["heads"], 2) if attends else (tokens, config["width"], 2)
    model = (TorchAttentionText if attends else TorchPooledText)(*sizes)
    if framework == "pytorch":
        optimizer = torch.optim.Adam(model.parameters(), config["learning_rate"])

        def logits(x):
            with torch.inference_mode():
                return model(torch.from_numpy(x)).numpy()

        return lambda *arrays: step_torch(model, *map(torch.from_numpy, arrays), optimizer), logits
    import tensorflow as tf

    from course_lib.tensorflow.attention import TFAttentionText
    from course_lib.tensorflow.pooled_text import TFPooledText, step_tf

    keras_model = (TFAttentionText if attends else TFPooledText)(*sizes)
    parity.copy_weights(model, keras_model)
    optimizer = tf.keras.optimizers.Adam(config["learning_rate"])
    optimizer.build(keras_model.trainable_variables)
    step, predict = (tf.function(f, reduce_retracing=True) for f in (step_tf, keras_model))
    return (lambda *arrays: step(keras_model, *map(tf.constant, arrays), optimizer),
            lambda x: predict(tf.constant(x)).numpy())


def run(config, seed, framework):
    (x, labels), validation, test = data(config["words"])[1]
    step, logits = trainer(framework, config)
    random, found = np.random.default_rng(seed), []
    whole = len(x) - len(x) % config["batch"]
    for _ in range(config["epochs"]):
        for some in random.permutation(len(x))[:whole].reshape(-1, config["batch"]):
            step(x[some], labels[some])
        found.append([accuracy(logits(part[0]), part[1]) for part in (validation, test)])
    best = int(np.argmax([score for score, _ in found]))
    return {"validation_accuracy": found[best][0], "test_accuracy": found[best][1]}
