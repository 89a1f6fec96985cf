"""A classifier whose hidden layers are added to what they read; twin of course_lib/pytorch/residual_mlp.py."""

from __future__ import annotations

import numpy as np
import tensorflow as tf


class TFResidualMLP(tf.keras.Model):
    """h <- h + tanh(block(h)), a few times: (batch, features) -> logits.

    The first layer has tanh too. ``blocked`` cuts one of the two ways by which a gradient comes
    back to a block's input: "skip" is the way past the block, "branch" the way through it,
    "nothing" cuts none. The outputs are the same. ``dtype`` is "float32" or "float64".
    """

    def __init__(
        self, features: int, hidden: int, classes: int, blocks: int = 4,
        blocked: str = "nothing", dtype: str = "float32",
    ):
        super().__init__(dtype=dtype)
        if blocked not in ("nothing", "skip", "branch"):
            raise ValueError(
                f"blocked {blocked!r}: give nothing, skip or branch")
        Dense, self.blocked = tf.keras.layers.Dense, blocked
        self.first = Dense(hidden, dtype=dtype, name="first")
        self.blocks = [Dense(hidden, dtype=dtype, name=f"blocks.{i}")
                       for i in range(blocks)]
        self.readout = Dense(classes, dtype=dtype, name="readout")
        self.first.build((None, features))
        for layer in (*self.blocks, self.readout):
            layer.build((None, hidden))
        self.built = True

    def call(self, x: tf.Tensor) -> tf.Tensor:
        h = tf.tanh(self.first(x))
        for block in self.blocks:
            skip = tf.stop_gradient(h) if self.blocked == "skip" else h
            read = tf.stop_gradient(h) if self.blocked == "branch" else h
            h = skip + tf.tanh(block(read))
        return self.readout(h)


def step_tf(
    model: tf.keras.Model,
    x: tf.Tensor,
    labels: tf.Tensor,
    optimizer: tf.keras.optimizers.Optimizer,
) -> tf.Tensor:
    """One step on cross-entropy; returns the loss before it.

    The loss is a scalar tensor, left on its device. ``x`` (batch, features) and ``labels``
    (batch,) lie on the model's device.
    """
    params = model.trainable_variables
    with tf.GradientTape() as tape:
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=labels, logits=model(x, training=True))
        loss = tf.reduce_mean(losses)
    gradients = tape.gradient(loss, params)    # computes gradients
    optimizer.apply(gradients, params)         # changes parameters
    return loss


def run_tf(
    model: tf.keras.Model,
    x: tf.Tensor,
    labels: tf.Tensor,
    order: np.ndarray,
    optimizer: tf.keras.optimizers.Optimizer,
) -> np.ndarray:
    """A step for each batch of ``order``; the losses, each before its step.

    ``order`` holds row numbers (steps, batch). Returns (steps,).
    """
    optimizer.build(model.trainable_variables)
    step = tf.function(step_tf)
    losses = [
        step(model, tf.gather(x, rows), tf.gather(labels, rows), optimizer)
        for rows in tf.constant(order)]
    return tf.stack(losses).numpy()
