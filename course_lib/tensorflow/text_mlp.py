"""Feed-forward networks of any depth, also on averaged words; twin of course_lib/pytorch/text_mlp.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf


class TFFeedForward(tf.keras.Model):
    """Hidden layers with ReLU, and a readout: (batch, features) -> logits.

    ``hidden`` holds the sizes of the hidden layers; none at all makes a linear model. ``dtype`` is
    "float32" or "float64". Weights start as in He et al. (2015), biases at 0.
    """

    def __init__(
        self, features: int, hidden: Sequence[int], classes: int,
        dtype: str = "float32",
    ):
        super().__init__(dtype=dtype)
        self.hidden = [
            tf.keras.layers.Dense(
                size, activation="relu", kernel_initializer="he_normal",
                dtype=dtype, name=f"layers.{i}")
            for i, size in enumerate(hidden)]
        self.readout = tf.keras.layers.Dense(
            classes, kernel_initializer="he_normal",
            dtype=dtype, name="readout")
        sizes = [features, *hidden]
        for layer, size in zip((*self.hidden, self.readout), sizes):
            layer.build((None, size))
        self.built = True

    def call(self, x: tf.Tensor) -> tf.Tensor:
        for layer in self.hidden:
            x = layer(x)
        return self.readout(x)


class TFTextMLP(TFFeedForward):
    """The mean of the words' vectors, then a feed-forward network.

    Word ids (batch, time), 0 for padding -> logits (batch, classes). ``words`` counts the ids,
    ``width`` is the length of a word's vector, drawn from a normal distribution with standard
    deviation ``spread``; the rest is as in ``TFFeedForward``.
    """

    def __init__(
        self, words: int, width: int, hidden: Sequence[int], classes: int,
        spread: float = 0.1, dtype: str = "float32",
    ):
        super().__init__(width, hidden, classes, dtype)
        start = tf.keras.initializers.RandomNormal(stddev=spread)
        self.embedding = tf.keras.layers.Embedding(
            words, width, embeddings_initializer=start,
            dtype=dtype, name="embedding")
        self.embedding.build((None, None))

    def average(self, ids: tf.Tensor) -> tf.Tensor:
        vectors = self.embedding(ids)              # (batch, time, width)
        mask = tf.cast(ids != 0, vectors.dtype)[:, :, None]
        total = tf.reduce_sum(vectors * mask, axis=1)
        return total / tf.maximum(tf.reduce_sum(mask, axis=1), 1)

    def call(self, ids: tf.Tensor) -> tf.Tensor:
        return super().call(self.average(ids))


def step_tf(
    model: tf.keras.Model,
    x: tf.Tensor,
    labels: tf.Tensor,
    learning_rate: float,
) -> tf.Tensor:
    """One step of SGD on cross-entropy; returns the loss before it.

    The loss is a scalar tensor, left on its device. ``x`` is what the model takes, ``labels``
    (batch,) are whole numbers; both lie on the model's device.
    """
    params = model.trainable_variables
    with tf.GradientTape() as tape:
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=labels, logits=model(x, training=True))
        loss = tf.reduce_mean(losses)
    gradients = tape.gradient(loss, params)
    for param, gradient in zip(params, gradients):
        dense = tf.convert_to_tensor(gradient)     # IndexedSlices too
        param.assign_sub(learning_rate * dense)
    return loss


def train_tf(
    model: tf.keras.Model,
    x: tf.Tensor,
    labels: tf.Tensor,
    order: np.ndarray,
    rates: np.ndarray,
    after_epoch: Callable[[tf.keras.Model], None] = lambda model: None,
) -> np.ndarray:
    """A step for each batch of ``order``, at its own learning rate.

    ``order`` holds row numbers (epochs, steps, batch), ``rates`` is (epochs, steps). Returns the
    losses of the batches, each before its step, (epochs * steps,). ``after_epoch`` is called with
    the model after each epoch.
    """
    @tf.function
    def run_epoch(rows, epoch_rates):
        losses = tf.TensorArray(model.compute_dtype, len(epoch_rates))
        for i in tf.range(len(epoch_rates)):
            batch = rows[i]
            loss = step_tf(model, tf.gather(x, batch),
                           tf.gather(labels, batch), epoch_rates[i])
            losses = losses.write(i, loss)
        return losses.stack()

    losses = []
    for rows, epoch_rates in zip(tf.constant(order),
                                 tf.constant(rates, model.compute_dtype)):
        losses.append(run_epoch(rows, epoch_rates))
        after_epoch(model)
    return tf.concat(losses, axis=0).numpy()
