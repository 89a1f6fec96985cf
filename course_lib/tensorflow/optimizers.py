"""SGD with momentum, Nesterov and RMSprop in TensorFlow; twin of course_lib/pytorch/optimizers.py."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from course_lib.tensorflow.training import half_squared_error_tf


class TFMomentum:
    """SGD with momentum, a heavy ball or Nesterov's; plain SGD at 0.

    ``learning_rate`` is a variable, so that a compiled step sees it change (``assign``); it stands
    outside the velocity, as in ``torch.optim.SGD`` and unlike ``keras.optimizers.SGD``.
    """

    def __init__(
        self,
        params: Iterable,
        learning_rate: float,
        momentum: float = 0.0,
        nesterov: bool = False,
    ):
        zeros = [tf.zeros(p.shape, p.dtype) for p in params]
        if not (zeros and learning_rate > 0 and 0 <= momentum < 1):
            given = f"{len(zeros)}, {learning_rate}, {momentum}"
            raise ValueError(
                f"params, rate > 0, 0 <= momentum < 1; got {given}")
        self.learning_rate = tf.Variable(
            learning_rate, dtype=zeros[0].dtype)
        self.momentum, self.nesterov = momentum, nesterov
        self.velocities = [tf.Variable(zero) for zero in zeros]

    def apply(self, gradients: list, params: list) -> None:
        for g, param, velocity in zip(gradients, params, self.velocities):
            velocity.assign(self.momentum * velocity + g)
            move = velocity
            if self.nesterov:
                move = g + self.momentum * velocity
            param.assign_sub(self.learning_rate * move)


class TFRMSprop:
    """Each gradient over the root of its recent mean square.

    ``epsilon`` stands outside the root, as in ``torch.optim.RMSprop`` and unlike
    ``keras.optimizers.RMSprop``.
    """

    def __init__(
        self,
        params: Iterable,
        learning_rate: float,
        decay: float = 0.875,
        epsilon: float = 2.0**-20,
    ):
        zeros = [tf.zeros(p.shape, p.dtype) for p in params]
        positive = zeros and learning_rate > 0 and epsilon > 0
        if not (positive and 0 <= decay < 1):
            given = f"{len(zeros)}, {learning_rate}, {epsilon}, {decay}"
            raise ValueError(
                f"params, rate, epsilon > 0, decay < 1; got {given}")
        self.learning_rate = tf.Variable(
            learning_rate, dtype=zeros[0].dtype)
        self.decay, self.epsilon = decay, epsilon
        self.squares = [tf.Variable(zero) for zero in zeros]

    def apply(self, gradients: list, params: list) -> None:
        for g, param, square in zip(gradients, params, self.squares):
            square.assign(self.decay * square + (1 - self.decay) * g**2)
            scale = tf.sqrt(square) + self.epsilon
            param.assign_sub(self.learning_rate * g / scale)


def step_tf(
    model: tf.keras.Model,
    x: tf.Tensor,
    y: tf.Tensor,
    optimizer: TFMomentum | TFRMSprop,
) -> tf.Tensor:
    """One step with one batch; returns the loss before it.

    ``x`` (batch, features) and ``y`` (batch, classes) lie on the model's device. The optimizer
    needs only a method ``apply``, so those of ``keras.optimizers`` serve too.
    """
    params = model.trainable_variables
    with tf.GradientTape() as tape:
        loss = half_squared_error_tf(model(x), y)  # 2. loss
    gradients = tape.gradient(loss, params)  # 3. gradient
    optimizer.apply(gradients, params)  # 4. update
    return loss


def run_tf(
    model: tf.keras.Model,
    x: tf.Tensor,
    y: tf.Tensor,
    order: np.ndarray,
    optimizer: TFMomentum | TFRMSprop,
) -> np.ndarray:
    """Take one step for each row of ``order``; returns the losses.

    ``order`` holds row numbers, (steps, batch). The losses are those of each step's own batch,
    before the step, (steps,).
    """

    @tf.function
    def step(batch):
        return step_tf(
            model, tf.gather(x, batch), tf.gather(y, batch), optimizer)

    return tf.stack([step(batch) for batch in tf.constant(order)]).numpy()
