"""Augmentation: moving, turning and mirroring digits, and flipping the batch axis by mistake.

A network of 64 hidden units is fitted to n digits of the training split of mnist-5k by 1,000
steps on batches of 50; rows differ in what is done to each batch. "shift": each image by up to two
pixels. "shift and turn": also by up to 15 degrees. "mirror": each image left to right with
probability 1/2, which is no digit any more. "batch axis, half": the order of the batch is
reversed before half of the steps, the labels stay. "batch axis, always": before every step.
Evaluated on the 1,000 test digits, as they are. Each seed draws other images, weights, batches
and motions, the same in both frameworks.
"""

from functools import lru_cache

import numpy as np

from course_lib import parity
from course_lib.data import load
from course_lib.metrics import accuracy
from course_lib.scratch.augmentation import draw_motions

CONFIG = {"hidden": 64, "batch": 50, "rate": 0.125, "steps": 1000, "degrees": 15.0, "pixels": 2.0}
BAND = {"test_accuracy": 0.03, "train_accuracy": 0.03}
KINDS = ("none", "shift", "shift and turn", "mirror", "batch axis, half", "batch axis, always")
SEEDS = 3


@lru_cache
def the_digits():
    return load("mnist-5k")


def rows():
    return [{"augmentation": kind, "images": images}
            for kind in KINDS for images in (250, 1000, 3500)]


def prepare(config, seed):
    """Images, labels, their mean image, and what each step does: row numbers, motions, flips."""
    random, digits = np.random.default_rng([seed, config["images"]]), the_digits()
    chosen = random.permutation(len(digits.y_train))[: config["images"]]
    steps, batch = config["steps"], config["batch"]
    order = random.integers(len(chosen), size=(steps, batch))
    angle, shift = draw_motions(random, steps * batch, config["degrees"], config["pixels"])
    flips = random.random((steps, batch)) < 0.5
    plan = order, angle.reshape(steps, batch), shift.reshape(steps, batch, 2), flips
    images, labels = digits.x_train[chosen], digits.y_train[chosen]
    return digits, images, labels, images.mean(axis=0), plan


def changed(kind, images, angle, shift, flips, warp):
    """The batch (NumPy, or the framework's through ``warp``) after augmentation of one kind."""
    if kind.startswith("shift"):
        turn = angle if kind == "shift and turn" else np.zeros_like(angle)
        return warp(images, turn.astype(np.float32), shift.astype(np.float32))
    if kind == "mirror":
        return np.where(flips[:, None, None], images[:, :, ::-1], images)
    if kind == "batch axis, always" or (kind == "batch axis, half" and flips[0]):
        return np.flip(images, axis=0)
    return images


def fit_torch(model, images, labels, mean, plan, others, config):
    import torch

    from course_lib.pytorch.augmentation import warp_torch
    from course_lib.pytorch.classification import step_torch

    def warp(*arrays):
        return warp_torch(*map(torch.from_numpy, arrays)).numpy()

    for rows_, *how in zip(*plan):
        x = changed(config["augmentation"], images[rows_], *how, warp) - mean
        step_torch(model, torch.from_numpy(x.reshape(len(x), -1)),
                   torch.from_numpy(labels[rows_]), config["rate"])
    with torch.inference_mode():
        return [model(torch.from_numpy((a - mean).reshape(len(a), -1))).numpy() for a in others]


def fit_tf(model, images, labels, mean, plan, others, config):
    import tensorflow as tf

    from course_lib.tensorflow.augmentation import warp_tf
    from course_lib.tensorflow.classification import step_tf

    moved, step = tf.function(warp_tf), tf.function(step_tf)

    def warp(*arrays):
        return moved(*map(tf.constant, arrays)).numpy()

    for rows_, *how in zip(*plan):
        x = changed(config["augmentation"], images[rows_], *how, warp) - mean
        step(model, tf.constant(x.reshape(len(x), -1)), tf.constant(labels[rows_]),
             config["rate"])
    return [model(tf.constant((a - mean).reshape(len(a), -1))).numpy() for a in others]


def run(config, seed, framework):
    from course_lib.pytorch.classification import TorchClassifier
    from course_lib.tensorflow.classification import TFClassifier

    digits, images, labels, mean, plan = prepare(config, seed)
    torch_model = TorchClassifier(784, config["hidden"], 10)
    tf_model = TFClassifier(784, config["hidden"], 10)
    parity.copy_weights(torch_model, tf_model)
    model, fit = (torch_model, fit_torch) if framework == "pytorch" else (tf_model, fit_tf)
    train, test = fit(model, images, labels, mean, plan, (images, digits.x_test), config)
    return {"train_accuracy": accuracy(train, labels),
            "test_accuracy": accuracy(test, digits.y_test)}
