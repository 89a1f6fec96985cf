"""Full-batch gradient descent in TensorFlow; twin of course_lib/pytorch/training.py."""

from __future__ import annotations

import math

import tensorflow as tf


def half_squared_error_tf(
    outputs: tf.Tensor, targets: tf.Tensor
) -> tf.Tensor:
    """Half the squared distance of outputs to targets, averaged.

    Both have shape (batch, classes). Raises ``ValueError`` where the shapes differ: broadcasting
    would compare every row with every other row's target.
    """
    if outputs.shape != targets.shape:
        shapes = f"{outputs.shape} and {targets.shape}"
        raise ValueError(f"outputs and targets: make {shapes} equal")
    return tf.reduce_mean(tf.reduce_sum((outputs - targets) ** 2, axis=1)) / 2


def step_tf(
    model: tf.keras.Model,
    x: tf.Tensor,
    y: tf.Tensor,
    learning_rate: float,
) -> tf.Tensor:
    """One step of gradient descent; returns the loss before it.

    The loss is a scalar tensor, left on its device. ``x`` (batch, features) and ``y`` (batch,
    classes) lie on the model's device. Nothing here waits for the device or asks for a number.
    """
    params = model.trainable_variables
    with tf.GradientTape() as tape:
        loss = half_squared_error_tf(model(x), y)  # 2. loss
    gradients = tape.gradient(loss, params)  # 3. gradient
    for param, gradient in zip(params, gradients):
        param.assign_sub(learning_rate * gradient)  # 4. update
    return loss


def train_tf(
    model: tf.keras.Model, x: tf.Tensor, y: tf.Tensor, learning_rate: float, steps: int
) -> list[float]:
    """Take up to ``steps`` steps and return the losses; stop after one that is not finite."""
    losses, step = [], tf.function(step_tf)
    for _ in range(steps):  # 5. repeat
        losses.append(float(step(model, x, y, learning_rate)))
        if not math.isfinite(losses[-1]):
            break
    return losses
