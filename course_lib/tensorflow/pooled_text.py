"""A classifier of texts that averages embeddings; twin of course_lib/pytorch/pooled_text.py."""

from __future__ import annotations

import tensorflow as tf


class TFPooledText(tf.keras.Model):
    """Pooled embeddings of the tokens, then one layer.

    Whole numbers (batch, time), filled up with 0 -> logits (batch, classes). ``pooling`` is "mean",
    over the tokens; "sum", over the tokens, divided by ``scale``; or "padded", the mean over all
    places of the batch, which is the bug. ``dtype`` is "float32" or "float64". Embeddings start
    normal with standard deviation 0.1, the layer as the framework draws it.
    """

    pad, scale = 0, 64  # the id that fills up; the divisor of a sum

    def __init__(
        self, tokens: int, width: int, classes: int,
        pooling: str = "mean", dtype: str = "float32",
    ):
        super().__init__(dtype=dtype)
        kinds = ["mean", "sum", "padded"]
        if pooling not in kinds:
            raise ValueError(f"pooling {pooling!r}: give one of {kinds}")
        self.pooling, layers = pooling, tf.keras.layers
        self.embedding = layers.Embedding(
            tokens, width, tf.keras.initializers.RandomNormal(stddev=0.1),
            mask_zero=pooling == "mean", dtype=dtype, name="embedding")
        self.average = layers.GlobalAveragePooling1D(dtype=dtype)
        self.readout = layers.Dense(classes, dtype=dtype, name="readout")
        self.embedding.build((None, None))
        self.readout.build((None, width))
        self.built = True

    def call(self, ids: tf.Tensor) -> tf.Tensor:
        vectors = self.embedding(ids)               # (batch, time, width)
        if self.pooling != "sum":                   # heeds a mask, if any
            return self.readout(self.average(vectors))
        mask = tf.cast(ids != self.pad, vectors.dtype)[:, :, None]
        return self.readout(
            tf.reduce_sum(vectors * mask, axis=1) / self.scale)


def step_tf(
    model: tf.keras.Model,
    ids: tf.Tensor,
    labels: tf.Tensor,
    optimizer: tf.keras.optimizers.Optimizer,
) -> tf.Tensor:
    """One step of the optimizer on cross-entropy; the loss before it.

    ``ids`` (batch, time) and ``labels`` (batch,) are whole numbers on the model's device. The loss
    is a scalar tensor, left there; nothing here waits for the device or asks for a number.
    """
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(
                labels=labels, logits=model(ids, training=True)))
    params = model.trainable_variables
    gradients = tape.gradient(loss, params)
    # an embedding's gradient comes in slices; whole, it means the same
    gradients = [tf.convert_to_tensor(g) for g in gradients]
    optimizer.apply(gradients, params)
    return loss


def plain_step_tf(
    model: tf.keras.Model,
    ids: tf.Tensor,
    labels: tf.Tensor,
    learning_rate: float,
) -> tf.Tensor:
    """One step of gradient descent without an optimizer; else like ``step_tf``."""
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(
                labels=labels, logits=model(ids, training=True)))
    params = model.trainable_variables
    for param, gradient in zip(params, tape.gradient(loss, params)):
        param.assign_sub(learning_rate * tf.convert_to_tensor(gradient))
    return loss
