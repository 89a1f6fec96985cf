"""Ten ways to train one text model, nine trials each.

Film reviews, split by film, words averaged into 16 numbers, one hidden layer of 64 ReLU: the model
of 02-architectures/mlp. Every run reads the training snippets three times in batches of 64. Every
method gets nine trials: nine learning rates, a factor of two apart, where the rate is all there is
to tune; three rates times three decays, where there is a decay, too. Momentum and beta_1 stay at
7/8, RMSprop's decay at 7/8, beta_2 at 1 - 2**-9. ``scheduled`` is a warm-up over 32 steps and a
cosine to 0, fixed beforehand. The trial is meant to be chosen by the mean validation accuracy; the
test snippets then judge. Each seed draws other weights and other batches, the same for all methods
and both frameworks.
"""

from functools import cache

import numpy as np

from course_lib import parity
from course_lib.data import load
from course_lib.metrics import accuracy
from course_lib.scratch import bag_of_words, losses, schedules, text_mlp
from course_lib.scratch.adam import DYADIC

CONFIG = {"epochs": 3, "batch": 64, "width": 16, "hidden": 64, "length": 40, "warm_up": 32}
BAND = {
    "training_loss": 0.02,
    "validation_loss": 0.05,
    "validation_accuracy": 0.015,
    "test_accuracy": 0.015,
    "size": 0.02,
    "diverged": 0,
}
SEEDS = 5
# method -> powers of two: rates, decays
TRIALS = {
    "SGD": (range(-3, 6), ()),
    "momentum": (range(-6, 3), ()),
    "RMSprop": (range(-12, -3), ()),
    "Adam": (range(-11, -2), ()),
    "Adam, L2": ((-10, -8, -6), (-16, -13, -10)),
    "AdamW": ((-10, -8, -6), (-3, 0, 3)),
    "SGD, scheduled": (range(-3, 6), ()),
    "momentum, scheduled": (range(-6, 3), ()),
    "Adam, scheduled": (range(-11, -2), ()),
    "AdamW, scheduled": ((-10, -8, -6), (-3, 0, 3)),
}


def rows():
    return [{"method": method, "learning_rate": 2.0**rate, "decay": decay}
            for method, (rates, decays) in TRIALS.items()
            for rate in rates
            for decay in ([2.0**power for power in decays] or [0.0])]


@cache
def snippets(length):
    """Ids (n, length) and labels (n,) of the three splits, and the number of ids."""
    splits = load("reviews")
    ids = bag_of_words.word_ids(splits.text_train)
    parts = ((splits.text_train, splits.y_train),
             (splits.text_validation, splits.y_validation),
             (splits.text_test, splits.y_test))
    found = [(bag_of_words.encode(texts, ids, length), labels) for texts, labels in parts]
    return found, len(ids) + 2


def twins(config, words):
    """A torch model with freshly drawn weights, and a Keras model with the same ones."""
    from course_lib.pytorch.text_mlp import TorchTextMLP
    from course_lib.tensorflow.text_mlp import TFTextMLP

    sizes = words, config["width"], [config["hidden"]], 2
    torch_model, tf_model = TorchTextMLP(*sizes), TFTextMLP(*sizes)
    parity.copy_weights(torch_model, tf_model)
    return torch_model, tf_model


def plan(config, rows, seed):
    """The batches (steps, batch) and the rate of each step."""
    order = text_mlp.batches(rows, config["batch"], config["epochs"], seed)
    order = order.reshape(-1, config["batch"])
    steps = np.arange(len(order))
    factors = schedules.constant(steps)
    if "scheduled" in config["method"]:
        factors = schedules.warm_up_cosine(steps, config["warm_up"], len(order))
    return order, config["learning_rate"] * factors


def fit_torch(model, parts, order, rates, config):
    """Logits of the three splits, and the root mean square of the word vectors."""
    import torch

    from course_lib.pytorch.adam import TorchAdam, train_torch
    from course_lib.pytorch.optimizers import TorchMomentum, TorchRMSprop

    params, rate, decay = list(model.parameters()), float(rates[0]), config["decay"]
    optimizer = {
        "SGD": lambda: TorchMomentum(params, rate),
        "momentum": lambda: TorchMomentum(params, rate, 0.875),
        "RMSprop": lambda: TorchRMSprop(params, rate),
    }.get(config["method"].split(",")[0], lambda: TorchAdam(
        params, rate, **DYADIC, weight_decay=decay,
        decoupled=config["method"] != "Adam, L2"))()
    tensors = [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in parts]
    train_torch(model, *tensors[0], order, optimizer, rates)
    with torch.inference_mode():
        logits = [model(x).numpy() for x, _ in tensors]
        return logits, model.embedding.weight.square().mean().sqrt().item()


def fit_tf(model, parts, order, rates, config):
    """The same in TensorFlow."""
    import tensorflow as tf

    from course_lib.tensorflow.adam import TFAdam, train_tf
    from course_lib.tensorflow.optimizers import TFMomentum, TFRMSprop

    params, rate, decay = model.trainable_variables, float(rates[0]), config["decay"]
    optimizer = {
        "SGD": lambda: TFMomentum(params, rate),
        "momentum": lambda: TFMomentum(params, rate, 0.875),
        "RMSprop": lambda: TFRMSprop(params, rate),
    }.get(config["method"].split(",")[0], lambda: TFAdam(
        params, rate, **DYADIC, weight_decay=decay,
        decoupled=config["method"] != "Adam, L2"))()
    tensors = [(tf.constant(x), tf.constant(y)) for x, y in parts]
    train_tf(model, *tensors[0], order, optimizer, rates)
    size = tf.sqrt(tf.reduce_mean(model.embedding.embeddings**2))
    return [model(x).numpy() for x, _ in tensors], float(size)


def run(config, seed, framework):
    parts, words = snippets(config["length"])
    order, rates = plan(config, len(parts[0][1]), seed)
    torch_model, tf_model = twins(config, words)
    fit, model = (fit_torch, torch_model) if framework == "pytorch" else (fit_tf, tf_model)
    outputs, size = fit(model, parts, order, rates, config)
    training, validation, _ = (
        losses.cross_entropy(part.astype(np.float64), np.eye(2)[y])
        for part, (_, y) in zip(outputs, parts))
    scores = [accuracy(part, y) for part, (_, y) in zip(outputs, parts)]
    diverged = not training < 1e6  # nan too
    found = {"training_loss": training, "validation_loss": validation,
             "validation_accuracy": scores[1], "test_accuracy": scores[2], "size": size}
    return {**({name: None for name in found} if diverged else found), "diverged": diverged}
