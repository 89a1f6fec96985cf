"""Who spoke first? A plain RNN and LSTMs whose forget gates start more or less open.

Chains of vowels: one utterance, then 40 frames of others. The label is the first speaker,
so what the first frames said must be kept over 40 others. Rows: a plain RNN with orthogonal
recurrent weights, and LSTMs whose forget gates start with the bias 0, 1 (Keras's default) or 3; 32
units each. 200 steps of Adam on 32 fresh chains of training utterances, the norm of the gradient
clipped at 1. Each row gets the same three rates; the rate is chosen on 300 chains of validation
utterances, and 600 chains of test utterances are reported. Always naming the commonest
speaker of the test part is right on 0.24 of them. Each
seed draws other weights and other chains, the same in both frameworks.
"""

from functools import cache

import numpy as np

from course_lib import parity
from course_lib.data import load
from course_lib.data.vowels import chains
from course_lib.metrics import accuracy
from course_lib.scratch.recurrent import pad

CONFIG = {"hidden": 32, "steps": 200, "batch": 32, "extra": 40}
BAND = {"validation_accuracy": 0.15, "test_accuracy": 0.15}
CELLS = ("rnn", "lstm, bias 0", "lstm, bias 1", "lstm, bias 3")
RATES = (0.005, 0.01, 0.02)
SEEDS = 3


def rows():
    return [{"cell": cell, "learning_rate": rate} for cell in CELLS for rate in RATES]


def fresh_torch(config):
    """A torch model of the row's cell with freshly drawn weights."""
    from course_lib.pytorch.recurrent import TorchLSTMClassifier, TorchRNNClassifier

    sizes = 12, config["hidden"], 9
    if config["cell"] == "rnn":
        return TorchRNNClassifier(*sizes)
    return TorchLSTMClassifier(*sizes, forget_bias=float(config["cell"][-1]))


@cache
def keras_parts(hidden, plain):
    """A Keras model, its optimizer, compiled step and forward pass: traced once, used again."""
    import tensorflow as tf

    from course_lib.tensorflow.recurrent import TFLSTMClassifier, TFRNNClassifier

    model = (TFRNNClassifier if plain else TFLSTMClassifier)(12, hidden, 9)
    optimizer = tf.keras.optimizers.Adam(0.01, global_clipnorm=1.0)
    params = model.trainable_variables
    optimizer.build(params)

    @tf.function(reduce_retracing=True)
    def step(x, lengths, y):
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
                labels=y, logits=model(x, lengths))
            loss = tf.reduce_mean(losses)
        optimizer.apply(tape.gradient(loss, params), params)

    return model, optimizer, step, tf.function(model, reduce_retracing=True)


def fit_torch(model, batches, config):
    """Train; return a function from arrays to logits."""
    import torch

    params = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(params, config["learning_rate"])
    for x, lengths, y in batches:
        logits = model(torch.from_numpy(x), torch.from_numpy(lengths))
        loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(y))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        optimizer.step()

    def predict(x, lengths):
        with torch.inference_mode():
            return model(torch.from_numpy(x), torch.from_numpy(lengths)).numpy()

    return predict


def fit_tf(torch_model, batches, config):
    """The same in TensorFlow, from the torch model's weights and a fresh optimizer."""
    import tensorflow as tf

    model, optimizer, step, predict = keras_parts(config["hidden"], config["cell"] == "rnn")
    parity.copy_weights(torch_model, model)
    for variable in optimizer.variables:
        variable.assign(tf.zeros_like(variable))
    optimizer.learning_rate.assign(config["learning_rate"])
    for arrays in batches:
        step(*map(tf.constant, arrays))
    return lambda x, lengths: predict(tf.constant(x), tf.constant(lengths)).numpy()


def run(config, seed, framework):
    vowels, extra = load("vowels").standardised(), config["extra"]
    random = np.random.default_rng(seed)

    def drawn(part, count, random):
        found, labels = chains(getattr(vowels, f"x_{part}"), getattr(vowels, f"y_{part}"), count,
                               extra, random)
        x, mask = pad(found)
        return x, mask.sum(axis=1), labels

    batches = (drawn("train", config["batch"], random) for _ in range(config["steps"]))
    fit = fit_torch if framework == "pytorch" else fit_tf
    predict = fit(fresh_torch(config), batches, config)
    found = {}
    for part, count in (("validation", 300), ("test", 600)):
        *arrays, labels = drawn(part, count, np.random.default_rng(1000 + seed))
        found[f"{part}_accuracy"] = accuracy(predict(*arrays), labels)
    return found
