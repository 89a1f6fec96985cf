"""Adam and AdamW in TensorFlow, and training with them; twin of course_lib/pytorch/adam.py."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import tensorflow as tf


class TFAdam:
    """Adam (Kingma and Ba 2015); with ``weight_decay`` AdamW.

    ``learning_rate`` is a variable, so that a compiled step sees it change (``assign``).
    ``epsilon`` is added to the root of the corrected second moment, as in ``torch.optim.Adam`` and
    unlike ``keras.optimizers.Adam``; the gradients of an embedding are made dense first, which
    Keras's optimizers leave to you. ``decoupled=False`` adds the decay to the gradient instead
    (L2), and ``corrected=False`` leaves both bias corrections out. The defaults are the paper's and
    PyTorch's.
    """

    def __init__(
        self, params: Iterable, learning_rate: float,
        beta_1: float = 0.9, beta_2: float = 0.999,
        epsilon: float = 1e-8, weight_decay: float = 0.0,
        decoupled: bool = True, corrected: bool = True,
    ):
        zeros = [tf.zeros(p.shape, p.dtype) for p in params]
        positive = zeros and learning_rate >= 0 and epsilon > 0
        betas = 0 <= beta_1 < 1 and 0 <= beta_2 < 1
        if not (positive and betas and weight_decay >= 0):
            given = (f"{len(zeros)}, {learning_rate}, {epsilon},"
                     f" {beta_1}, {beta_2}, {weight_decay}")
            raise ValueError(
                f"params, rate >= 0, epsilon > 0, 0 <= betas < 1,"
                f" decay >= 0; got {given}")
        self.learning_rate = tf.Variable(
            learning_rate, dtype=zeros[0].dtype)
        self.epsilon = epsilon
        self.beta_1, self.beta_2 = beta_1, beta_2
        self.weight_decay, self.decoupled = weight_decay, decoupled
        self.corrected = corrected
        self.t = tf.Variable(0.0, dtype=tf.float64)
        self.means = [tf.Variable(zero) for zero in zeros]
        self.squares = [tf.Variable(zero) for zero in zeros]

    def apply(self, gradients: list, params: list) -> None:
        self.t.assign_add(1.0)
        fixes = 1 - self.beta_1**self.t, 1 - self.beta_2**self.t
        if not self.corrected:
            fixes = 1.0, 1.0
        for g, param, m, v in zip(
                gradients, params, self.means, self.squares):
            g = tf.convert_to_tensor(g)            # IndexedSlices too
            fix_1, fix_2 = (tf.cast(fix, g.dtype) for fix in fixes)
            if self.weight_decay and not self.decoupled:
                g = g + self.weight_decay * param
            m.assign(self.beta_1 * m + (1 - self.beta_1) * g)
            v.assign(self.beta_2 * v + (1 - self.beta_2) * g**2)
            move = (m / fix_1) / (tf.sqrt(v / fix_2) + self.epsilon)
            if self.weight_decay and self.decoupled:
                move = move + self.weight_decay * param
            param.assign_sub(self.learning_rate * move)


def step_tf(
    model: tf.keras.Model,
    x: tf.Tensor,
    labels: tf.Tensor,
    optimizer: TFAdam,
) -> tf.Tensor:
    """One step on cross-entropy; returns the loss before it.

    The loss is a scalar tensor, left on its device. ``x`` is what the model takes, ``labels``
    (batch,) are whole numbers; both lie on the model's device. The optimizer needs only a method
    ``apply``, so those of ``keras.optimizers`` serve too: the gradients are made dense for them.
    """
    params = model.trainable_variables
    with tf.GradientTape() as tape:
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=labels, logits=model(x, training=True))
        loss = tf.reduce_mean(losses)
    gradients = tape.gradient(loss, params)
    optimizer.apply([tf.convert_to_tensor(g) for g in gradients], params)
    return loss


def train_tf(
    model: tf.keras.Model,
    x: tf.Tensor,
    labels: tf.Tensor,
    order: np.ndarray,
    optimizer: TFAdam,
    rates: np.ndarray | None = None,
) -> np.ndarray:
    """Take one step for each batch of ``order``; returns the losses.

    ``order`` holds row numbers, (steps, batch). ``rates`` (steps,), where given, is what
    ``optimizer.learning_rate`` becomes before each step. The losses are those of each step's own
    batch, before the step, (steps,).
    """
    @tf.function
    def run(rows, step_rates):
        losses = tf.TensorArray(model.compute_dtype, len(rows))
        for i in tf.range(len(rows)):
            if rates is not None:
                optimizer.learning_rate.assign(step_rates[i])
            loss = step_tf(model, tf.gather(x, rows[i]),
                           tf.gather(labels, rows[i]), optimizer)
            losses = losses.write(i, loss)
        return losses.stack()

    given = np.zeros(len(order)) if rates is None else rates
    return run(tf.constant(order),
               tf.constant(given, model.compute_dtype)).numpy()
