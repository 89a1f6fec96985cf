"""LeNet and its training loop in TensorFlow; twin of course_lib/pytorch/lenet.py."""

from __future__ import annotations

import numpy as np
import tensorflow as tf


class TFLeNet(tf.keras.Model):
    """Two convolutions, three dense layers: (batch, 28, 28) -> logits (batch, classes).

    LeCun, Bottou, Bengio and Haffner (1998), figure 2, with ReLU (or "tanh" or "sigmoid") in
    place of the scaled tanh, with plain average pooling, and with a dense readout. ``dtype`` is
    "float32" or "float64". Weights and biases start as the framework draws them by default.

    The maps are flattened channel by channel, as in the torch twin, so that the weights of
    ``dense1`` are the same ones.
    """

    def __init__(
        self, classes: int = 10, activation: str = "relu", dtype: str = "float32"
    ):
        super().__init__(dtype=dtype)
        kinds = ["relu", "tanh", "sigmoid"]
        if activation not in kinds:
            raise ValueError(f"activation {activation!r}: give one of {kinds}")
        Conv, Dense = tf.keras.layers.Conv2D, tf.keras.layers.Dense
        kind = {"activation": activation, "dtype": dtype}
        self.conv1 = Conv(6, 5, padding="same", name="conv1", **kind)
        self.conv2 = Conv(16, 5, name="conv2", **kind)
        self.pool = tf.keras.layers.AveragePooling2D(2, dtype=dtype)
        self.dense1 = Dense(120, name="dense1", **kind)
        self.dense2 = Dense(84, name="dense2", **kind)
        self.readout = Dense(classes, dtype=dtype, name="readout")
        self(tf.zeros((1, 28, 28), dtype))  # builds every layer

    def call(self, x: tf.Tensor) -> tf.Tensor:
        if tuple(x.shape[1:]) != (28, 28):
            raise ValueError(f"images have shape {tuple(x.shape)}; give (batch, 28, 28)")
        x = self.pool(self.conv1(x[..., None]))      # (batch, 14, 14, 6)
        x = self.pool(self.conv2(x))                 # (batch, 5, 5, 16)
        x = tf.transpose(x, (0, 3, 1, 2))            # (batch, 16, 5, 5)
        x = tf.reshape(x, (-1, 16 * 5 * 5))          # (batch, 400)
        return self.readout(self.dense2(self.dense1(x)))


def step_tf(
    model: tf.keras.Model,
    x: tf.Tensor,
    y: tf.Tensor,
    optimizer: tf.keras.optimizers.Optimizer,
) -> tf.Tensor:
    """One step with one batch; returns the loss before it.

    ``x`` (batch, 28, 28) and the labels ``y`` (batch,) lie on the model's device. The loss is a
    scalar tensor, left there: nothing waits for the device.
    """
    params = model.trainable_variables
    with tf.GradientTape() as tape:
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
            y, model(x, training=True))
        loss = tf.reduce_mean(losses)
    optimizer.apply(tape.gradient(loss, params), params)
    return loss


@tf.function
def _batch_step_tf(model, x, y, rows, optimizer):
    return step_tf(model, tf.gather(x, rows), tf.gather(y, rows), optimizer)


def train_epoch_tf(
    model: tf.keras.Model,
    x: tf.Tensor,
    y: tf.Tensor,
    order: np.ndarray,
    optimizer: tf.keras.optimizers.Optimizer,
) -> np.ndarray:
    """Take one step for each row of ``order``; returns the losses (steps,).

    ``order`` holds row numbers of ``x`` and ``y``, (steps, batch).
    """
    optimizer.build(model.trainable_variables)  # its state must exist before it is traced
    rows = tf.constant(order)
    losses = [_batch_step_tf(model, x, y, batch, optimizer) for batch in rows]
    return tf.stack(losses).numpy()
