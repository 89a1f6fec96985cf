"""Training under a schedule, with clipped gradients, in TensorFlow; twin of course_lib/pytorch/schedules.py."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from course_lib.tensorflow.adam import TFAdam
from course_lib.tensorflow.deep_mlp import global_norm_tf


def clip_global_tf(gradients: list, limit: float) -> list:
    """All gradients by one factor, together ``limit`` long at most.

    As ``tf.clip_by_global_norm``, with the gradients of an embedding made dense: with repeated
    words, the norm of ``IndexedSlices`` is not that of the gradient; and with a norm whose squares do
    not overflow.
    """
    dense = [tf.convert_to_tensor(g) for g in gradients]
    factor = tf.minimum(limit / global_norm_tf(dense), 1.0)
    return [g * factor for g in dense]


def step_tf(
    model: tf.keras.Model,
    x: tf.Tensor,
    labels: tf.Tensor,
    optimizer: TFAdam,
    limit: float,
) -> tf.Tensor:
    """One step on cross-entropy, the gradient clipped; returns the loss before it.

    The loss is a scalar tensor, left on its device. ``x`` is what the model takes, ``labels``
    (batch,) are whole numbers; both lie on the model's device. ``limit`` is the gradient's longest
    norm, infinite for none. The optimizer needs only a method ``apply``, so those of
    ``keras.optimizers`` serve too.
    """
    params = model.trainable_variables
    with tf.GradientTape() as tape:
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=labels, logits=model(x, training=True))
        loss = tf.reduce_mean(losses)
    gradients = tape.gradient(loss, params)
    optimizer.apply(clip_global_tf(gradients, limit), params)
    return loss


def train_tf(
    model: tf.keras.Model,
    x: tf.Tensor,
    labels: tf.Tensor,
    order: np.ndarray,
    optimizer: TFAdam,
    rates: np.ndarray,
    limit: float,
) -> np.ndarray:
    """A step for each batch of ``order``, at its own learning rate.

    ``order`` holds row numbers, (steps, batch); ``rates`` (steps,) is what
    ``optimizer.learning_rate`` becomes before each step. Returns the losses of the batches, each
    before its step, (steps,).
    """
    @tf.function
    def run(rows, step_rates):
        losses = tf.TensorArray(model.compute_dtype, len(rows))
        for i in tf.range(len(rows)):
            optimizer.learning_rate.assign(step_rates[i])
            loss = step_tf(model, tf.gather(x, rows[i]),
                           tf.gather(labels, rows[i]), optimizer, limit)
            losses = losses.write(i, loss)
        return losses.stack()

    return run(tf.constant(order),
               tf.constant(rates, model.compute_dtype)).numpy()
