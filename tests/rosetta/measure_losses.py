"""Losses: what they take, and what their mean divides by."""

from __future__ import annotations

import warnings

import course_lib  # noqa: F401  before the frameworks
import numpy as np
import pytest
import tensorflow as tf
import torch
from measuring import Measured, array, establishes, gap, normal
from torch.nn import functional as F

losses = tf.keras.losses
LOGITS = 3 * normal(6, 4)
LABELS = np.array([0, 3, 1, 1, 2, 0])
HOT = np.eye(4)[LABELS]


def ours(logits: np.ndarray = LOGITS, labels: np.ndarray = LABELS, **options) -> torch.Tensor:
    """PyTorch's cross-entropy."""
    return F.cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels), **options)


def theirs(scores: object = LOGITS, **options) -> tf.Tensor:
    """Keras's cross-entropy with integer labels, as a function: it keeps float64."""
    return tf.reduce_mean(losses.sparse_categorical_crossentropy(LABELS, scores, **options))


@establishes("logits-or-probabilities")
def logits_or_probabilities() -> Measured:
    return Measured(gap(theirs(), ours()), gap(theirs(from_logits=True), ours()), "loss")


@establishes("double-softmax")
def double_softmax() -> Measured:
    probabilities = torch.from_numpy(LOGITS).softmax(1)
    twice = F.cross_entropy(probabilities, torch.from_numpy(LABELS))
    right = theirs(from_logits=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras says that it repairs this
        repaired = theirs(tf.keras.activations.softmax(tf.constant(LOGITS)), from_logits=True)
    behind_tf = theirs(tf.nn.softmax(tf.constant(LOGITS)), from_logits=True)
    assert gap(repaired, right) < 1e-12 and gap(behind_tf, twice) < 1e-12
    return Measured(gap(twice, right), gap(ours(), right), "loss")


@establishes("probabilities-clipped", over=10)
def probabilities_clipped() -> Measured:
    logits, labels = np.array([[0.0, 50.0, 0.0]]), np.array([0])

    def loss_and_gradient(probabilities: bool) -> tuple[float, np.ndarray]:
        z = tf.Variable(logits)
        with tf.GradientTape() as tape:
            scores = tf.nn.softmax(z) if probabilities else z
            loss = losses.sparse_categorical_crossentropy(
                labels, scores, from_logits=not probabilities)[0]
        return float(loss), tape.gradient(loss, z).numpy()

    stopped, gradient = loss_and_gradient(True)
    assert not np.any(gradient)
    z = torch.from_numpy(logits).requires_grad_()
    loss = F.cross_entropy(z, torch.from_numpy(labels))
    loss.backward()
    right = loss.item()
    cured, gradient = loss_and_gradient(False)
    return Measured(abs(stopped - right), max(abs(cured - right), gap(gradient, z.grad)),
                    "loss of a confident mistake")


@establishes("class-weights")
def class_weights() -> Measured:
    weights = np.array([1.0, 2.0, 0.5, 4.0])
    each = losses.SparseCategoricalCrossentropy(from_logits=True, dtype="float64")(
        LABELS, LOGITS, sample_weight=weights[LABELS])
    tensor = torch.from_numpy(weights)
    summed = ours(weight=tensor, reduction="sum") / len(LABELS)
    return Measured(gap(ours(weight=tensor), each), gap(summed, each), "loss")


@establishes("kl-divergence")
def kl_divergence() -> Measured:
    p, q = (torch.from_numpy(normal(6, 4, seed=seed)).softmax(1) for seed in (1, 2))
    right = tf.reduce_mean(losses.KLD(p.numpy(), q.numpy()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch says that `mean` is not the formula
        mean = F.kl_div(q.log(), p)
    return Measured(gap(mean, right), gap(F.kl_div(q.log(), p, reduction="batchmean"), right),
                    "loss")


@establishes("label-smoothing")
def label_smoothing() -> Measured:
    smoothed = ours(label_smoothing=0.125)
    with pytest.raises(TypeError):
        losses.SparseCategoricalCrossentropy(from_logits=True, label_smoothing=0.125)
    cured = tf.reduce_mean(losses.categorical_crossentropy(
        HOT, LOGITS, from_logits=True, label_smoothing=0.125))
    return Measured(gap(theirs(from_logits=True), smoothed), gap(cured, smoothed), "loss")


@establishes("mse-broadcast")
def mse_broadcast() -> Measured:
    y = normal(6)
    prediction = y[:, None] + 0.1
    keras = losses.MeanSquaredError(dtype="float64")(y, prediction)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch says that it broadcasts
        wide = torch.nn.MSELoss()(torch.from_numpy(prediction), torch.from_numpy(y))
    right = torch.nn.MSELoss()(torch.from_numpy(prediction), torch.from_numpy(y[:, None]))
    return Measured(gap(wide, keras), gap(right, keras), "loss")


@establishes("loss-argument-order")
def loss_argument_order() -> Measured:
    p = np.array([[0.8, 0.1, 0.1]])
    y = np.array([[1.0, 0.0, 0.0]])
    right = F.nll_loss(torch.from_numpy(p).log(), torch.tensor([0]))
    swapped = losses.categorical_crossentropy(p, y)[0]
    return Measured(gap(swapped, right), gap(losses.categorical_crossentropy(y, p)[0], right),
                    "loss")


@establishes("ignore-index")
def ignore_index() -> Measured:
    counted = ours(ignore_index=0)
    loss = losses.SparseCategoricalCrossentropy
    weighted = loss(from_logits=True, dtype="float64")(
        LABELS, LOGITS, sample_weight=(LABELS != 0).astype(float))
    ignored = loss(from_logits=True, ignore_class=0, dtype="float64")(LABELS, LOGITS)
    return Measured(gap(weighted, counted), gap(ignored, counted), "loss")


@establishes("loss-object-float32", over=1e-11)
def loss_object() -> Measured:
    loss = losses.SparseCategoricalCrossentropy
    return Measured(gap(loss(from_logits=True)(LABELS, LOGITS), ours()),
                    gap(loss(from_logits=True, dtype="float64")(LABELS, LOGITS), ours()), "loss")


@establishes("class-axis")
def class_axis() -> Measured:
    logits, labels = normal(2, 4, 4), np.array([[0, 3, 1, 1], [2, 0, 3, 2]])
    right = tf.reduce_mean(losses.sparse_categorical_crossentropy(labels, logits, from_logits=True))
    t, y = torch.from_numpy(logits), torch.from_numpy(labels)  # (rows, steps, classes)
    return Measured(gap(F.cross_entropy(t, y), right),
                    gap(F.cross_entropy(t.transpose(1, 2), y), right), "loss of 4 steps, 4 classes")


@establishes("cosine-similarity")
def cosine_similarity() -> Measured:
    a, b = normal(6, 4, seed=1), normal(6, 4, seed=2)
    value = F.cosine_similarity(torch.from_numpy(a), torch.from_numpy(b))
    keras = array(losses.cosine_similarity(a, b))
    return Measured(gap(value, keras), gap(value, -keras), "similarity of each pair")


@establishes("poisson-loss")
def poisson_loss() -> Measured:
    rate, counts = np.exp(normal(6)), np.array([0.0, 1, 2, 0, 3, 1])
    keras = losses.poisson(counts, rate)
    t, y = torch.from_numpy(rate), torch.from_numpy(counts)
    return Measured(gap(F.poisson_nll_loss(t, y), keras),
                    gap(F.poisson_nll_loss(t, y, log_input=False, eps=1e-7), keras), "loss")
