"""Adam and its relatives on words: six methods, seven learning rates each, on film reviews.

A network on averaged word vectors of 16 numbers, one hidden layer of 64 units with ReLU, is fitted
to the training reviews by cross-entropy, four epochs in batches of 64 at a constant rate: model and
data of the study 02-architectures/mlp. Every method gets the same tuning effort: seven rates a factor
of two apart, around where a first look at one seed, rates a factor of four apart, found its best
(``FIRST`` is the lowest). The rate is meant to be chosen by the mean validation accuracy, the epoch
in each run by its own; the test reviews are reported for that choice.

Methods: ``SGD``; ``momentum`` 7/8; ``RMSprop``, decay 1 - 2^-7; ``Adam`` with betas 7/8 and 1 - 2^-9;
``uncorrected``, the same without bias correction; ``slices``, Adam as Keras takes it from the
gradients of an embedding as they come: the mean of squares v gets the sum of squares over a word's
places in the batch instead of the square of the sum. Each seed draws other weights and other
batches, the same for all methods and both frameworks.
"""

from functools import cache

import numpy as np

from course_lib import parity
from course_lib.data import load
from course_lib.metrics import accuracy
from course_lib.scratch import bag_of_words, text_mlp
from course_lib.scratch.adam import DYADIC

CONFIG = {"epochs": 4, "batch": 64, "width": 16, "hidden": 64, "length": 40}
BAND = {"first_loss": 0.05, "last_loss": 0.05, "validation_accuracy": 0.025, "test_accuracy": 0.03,
        "epoch": 3}
FIRST = {"SGD": -3, "momentum": -5, "RMSprop": -10, "Adam": -10, "uncorrected": -10, "slices": -10}
DECAY = 1 - 2.0**-7
SEEDS = 3


def rows():
    return [{"method": name, "rate": 2.0**power}
            for name, first in FIRST.items() for power in range(first, first + 7)]


@cache
def data(length):
    """Three pairs of ids (n, length) and labels (n,), and the number of ids."""
    splits = load("reviews")
    ids = bag_of_words.word_ids(splits.text_train)
    parts = ((splits.text_train, splits.y_train), (splits.text_validation, splits.y_validation),
             (splits.text_test, splits.y_test))
    return [(bag_of_words.encode(some, ids, length), y) for some, y in parts], len(ids) + 2


def twins(config, words):
    """A torch model with freshly drawn weights, and a Keras model with the same ones."""
    from course_lib.pytorch.text_mlp import TorchTextMLP
    from course_lib.tensorflow.text_mlp import TFTextMLP

    sizes = words, config["width"], (config["hidden"],), 2
    torch_model, tf_model = TorchTextMLP(*sizes), TFTextMLP(*sizes)
    parity.copy_weights(torch_model, tf_model)
    return torch_model, tf_model


def torch_optimizer(model, name, rate):
    import torch

    from course_lib.pytorch.adam import TorchAdam
    from course_lib.pytorch.optimizers import TorchMomentum, TorchRMSprop

    class TorchSlices(TorchAdam):
        """v gets the squares of all places of a word, one by one; torch keeps them if asked."""

        @torch.no_grad()
        def step(self):
            for param, v in zip(self.params, self.squares):
                if param.grad.is_sparse:
                    places, slices = param.grad._indices()[0], param.grad._values()
                    param.grad = param.grad.to_dense()
                    extra = torch.zeros_like(param).index_add_(0, places, slices**2) - param.grad**2
                    v.add_(extra, alpha=(1 - self.beta_2) / self.beta_2)  # is multiplied by beta_2
            super().step()

    params = list(model.parameters())
    model.embedding.sparse = name == "slices"
    return {
        "SGD": lambda: TorchMomentum(params, rate),
        "momentum": lambda: TorchMomentum(params, rate, 0.875),
        "RMSprop": lambda: TorchRMSprop(params, rate, DECAY),
        "Adam": lambda: TorchAdam(params, rate, **DYADIC),
        "uncorrected": lambda: TorchAdam(params, rate, **DYADIC, corrected=False),
        "slices": lambda: TorchSlices(params, rate, **DYADIC),
    }[name]()


def tf_optimizer(model, name, rate):
    import tensorflow as tf

    from course_lib.tensorflow.adam import TFAdam
    from course_lib.tensorflow.optimizers import TFMomentum, TFRMSprop

    params = model.trainable_variables
    made = {
        "SGD": lambda: TFMomentum(params, rate),
        "momentum": lambda: TFMomentum(params, rate, 0.875),
        "RMSprop": lambda: TFRMSprop(params, rate, DECAY),
        "Adam": lambda: TFAdam(params, rate, **DYADIC),
        "uncorrected": lambda: TFAdam(params, rate, **DYADIC, corrected=False),
        "slices": lambda: tf.keras.optimizers.Adam(rate, **DYADIC),
    }[name]()
    if name == "slices":
        made.build(params)
    return made


def fit_torch(model, parts, order, config):
    """Loss on the training rows, and accuracies (train, validation, test), after each epoch."""
    import torch
    from torch.nn import functional as F

    from course_lib.pytorch.adam import train_torch

    optimizer = torch_optimizer(model, config["method"], config["rate"])
    tensors = [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in parts]
    found = []
    for epoch in order:
        train_torch(model, *tensors[0], epoch, optimizer)
        with torch.inference_mode():
            logits = [model(x) for x, _ in tensors]
            loss = F.cross_entropy(logits[0], tensors[0][1]).item()
        found.append([loss, *(accuracy(z.numpy(), y) for z, (_, y) in zip(logits, parts))])
    return found


def fit_tf(model, parts, order, config):
    """The same in TensorFlow; ``slices`` gets its gradients as they come."""
    import tensorflow as tf

    optimizer = tf_optimizer(model, config["method"], config["rate"])
    tensors = [(tf.constant(x), tf.constant(y)) for x, y in parts]
    params, (x, labels) = model.trainable_variables, tensors[0]
    dense = config["method"] != "slices"

    def cross_entropy(logits, labels):
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=labels, logits=logits))

    @tf.function
    def run_epoch(order):
        for batch in order:
            with tf.GradientTape() as tape:
                loss = cross_entropy(model(tf.gather(x, batch)), tf.gather(labels, batch))
            gradients = tape.gradient(loss, params)
            if dense:
                gradients = [tf.convert_to_tensor(g) for g in gradients]
            optimizer.apply(gradients, params)

    found = []
    for epoch in order:
        run_epoch(tf.constant(epoch))
        logits = [model(x) for x, _ in tensors]
        loss = float(cross_entropy(logits[0], tensors[0][1]))
        found.append([loss, *(accuracy(z.numpy(), y) for z, (_, y) in zip(logits, parts))])
    return found


def run(config, seed, framework):
    parts, words = data(config["length"])
    order = text_mlp.batches(len(parts[0][1]), config["batch"], config["epochs"], seed)
    torch_model, tf_model = twins(config, words)
    fit, model = (fit_torch, torch_model) if framework == "pytorch" else (fit_tf, tf_model)
    found = np.array(fit(model, parts, order, config), dtype=float)
    best = int(found[:, 2].argmax())                   # the first of equals
    losses = [loss if loss < 1e6 else None for loss in found[:, 0]]  # nan too
    return {"first_loss": losses[0], "last_loss": losses[-1],
            "validation_accuracy": found[best, 2], "test_accuracy": found[best, 3],
            "epoch": best + 1}
