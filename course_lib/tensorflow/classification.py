"""A classifier, its losses and its training step; twin of course_lib/pytorch/classification.py."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf


class TFClassifier(tf.keras.Model):
    """One hidden layer: (batch, features) -> logits (batch, classes).

    ``activation`` is "sigmoid", "tanh", "relu" or "gelu" (the exact one); ``dtype`` is "float32"
    or "float64". Weights and biases start as the framework draws them by default.
    """

    def __init__(
        self, features: int, hidden: int, classes: int,
        activation: str = "relu", dtype: str = "float32",
    ):
        super().__init__(dtype=dtype)
        kinds = ["sigmoid", "tanh", "relu", "gelu"]
        if activation not in kinds:
            raise ValueError(f"activation {activation!r}: give one of {kinds}")
        Dense = tf.keras.layers.Dense
        self.hidden = Dense(
            hidden, activation=activation, dtype=dtype, name="hidden")
        self.readout = Dense(classes, dtype=dtype, name="readout")
        self.hidden.build((None, features))
        self.readout.build((None, hidden))
        self.built = True

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return self.readout(self.hidden(x))


def cross_entropy_tf(
    logits: tf.Tensor, labels: tf.Tensor
) -> tf.Tensor:
    """Softmax cross-entropy of logits and whole-number labels, averaged.

    ``logits`` (batch, classes), ``labels`` (batch,).
    """
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels=labels, logits=logits))


def softmax_squared_tf(
    logits: tf.Tensor, labels: tf.Tensor
) -> tf.Tensor:
    """Half the squared distance of softmax(logits) to one-hot labels.

    ``logits`` (batch, classes), ``labels`` (batch,) of whole numbers; averaged over the batch.
    """
    targets = tf.one_hot(labels, logits.shape[1], dtype=logits.dtype)
    error = tf.nn.softmax(logits) - targets
    return tf.reduce_mean(tf.reduce_sum(error**2, axis=1)) / 2


def output_squared_tf(
    logits: tf.Tensor, labels: tf.Tensor
) -> tf.Tensor:
    """Half the squared distance of the outputs to one-hot labels.

    ``logits`` (batch, classes), ``labels`` (batch,) of whole numbers; averaged over the batch. No softmax.
    """
    targets = tf.one_hot(labels, logits.shape[1], dtype=logits.dtype)
    return tf.reduce_mean(tf.reduce_sum((logits - targets) ** 2, axis=1)) / 2


def step_tf(
    model: tf.keras.Model,
    x: tf.Tensor,
    y: tf.Tensor,
    learning_rate: float,
    loss_function: Callable = cross_entropy_tf,
) -> tf.Tensor:
    """One step of gradient descent; returns the loss before it.

    The loss is a scalar tensor, left on its device. ``x`` (batch, features) and the labels ``y``
    (batch,) lie on the model's device. Nothing here waits for the device or asks for a number.
    """
    params = model.trainable_variables
    with tf.GradientTape() as tape:
        loss = loss_function(model(x), y)
    gradients = tape.gradient(loss, params)
    for param, gradient in zip(params, gradients):
        param.assign_sub(learning_rate * gradient)
    return loss
