"""One step, one training loop, one prediction; twin of course_lib/pytorch/train.py."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice

import numpy as np
import tensorflow as tf


def cross_entropy_tf(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Mean cross-entropy of logits (batch, classes) and labels (batch,), a scalar."""
    return tf.reduce_mean(
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits))


def step_tf(
    model: tf.keras.Model, inputs, targets, optimizer, loss: Callable, clip: float | None = None,
) -> tf.Tensor:
    """One step; returns the loss before it, a scalar tensor left on its device.

    ``inputs`` is what the model takes: a tensor, or a tuple of several.
    ``loss(outputs, targets)`` makes a scalar. ``optimizer`` is of ``keras.optimizers`` or has
    a method ``apply`` like ``TFAdam``. ``clip``, where given, is the most that the norm of all
    gradients together may be. Gradients of embeddings are made dense: Keras's optimizers take other
    steps by the slices that TensorFlow gives.

    Raises ``ValueError`` where a parameter that is trained takes no part in the loss.
    """
    params = model.trainable_variables
    arguments = inputs if isinstance(inputs, tuple) else (inputs,)
    with tf.GradientTape() as tape:
        value = loss(model(*arguments, training=True), targets)
    grads = tape.gradient(value, params)
    unused = [param.path for grad, param in zip(grads, params) if grad is None]
    if unused:
        raise ValueError(f"no gradient for {', '.join(unused)}: they take no part in the loss;"
                         " build the model without them, or freeze them (trainable = False)")
    grads = [tf.convert_to_tensor(grad) for grad in grads]
    if clip is not None:
        grads, _ = tf.clip_by_global_norm(grads, clip)
    optimizer.apply(grads, params)
    return value


def train_tf(
    model: tf.keras.Model, batches: Iterable, optimizer, loss: Callable,
    rates: Iterable | None = None, clip: float | None = None, steps_per_call: int = 1,
) -> np.ndarray:
    """One step for each (inputs, targets) of ``batches``; returns the losses, (steps,).

    Each loss is that of the step's own batch, before the step. ``rates``, where given, holds the
    learning rate of each step. The step is compiled; ``steps_per_call`` batches of one shape are
    stacked and taken in one call, which saves the way between Python and the graph.
    """
    @tf.function(reduce_retracing=True)
    def run(stacked, step_rates):
        losses = tf.TensorArray(model.compute_dtype, 0, dynamic_size=True)
        for i in tf.range(len(step_rates)):
            if rates is not None:
                optimizer.learning_rate.assign(step_rates[i])
            inputs, targets = tf.nest.map_structure(lambda part, i=i: part[i], stacked)
            losses = losses.write(i, step_tf(model, inputs, targets, optimizer, loss, clip))
        return losses.stack()

    if isinstance(optimizer, tf.keras.optimizers.Optimizer) and not optimizer.built:
        optimizer.build(model.trainable_variables)
    kind = optimizer.learning_rate.dtype
    losses, batches = [], iter(batches)
    given = iter(rates) if rates is not None else None
    while chunk := list(islice(batches, steps_per_call)):
        step_rates = list(islice(given, len(chunk))) if given else [0.0] * len(chunk)
        stacked = tf.nest.map_structure(lambda *parts: tf.stack(parts), *chunk)
        losses.append(run(stacked, tf.constant(step_rates, kind)))
    if not losses:
        raise ValueError("no batches: give (inputs, targets), one or more; a used-up generator?")
    return tf.concat(losses, axis=0).numpy()


def predict_tf(model: tf.keras.Model, inputs, batch_size: int = 256) -> np.ndarray:
    """The model's outputs for all rows, in inference mode, ``batch_size`` rows at a time.

    ``inputs`` as for ``step_tf``, or arrays in place of tensors.
    """
    arguments, parts = inputs if isinstance(inputs, tuple) else (inputs,), []
    for start in range(0, len(arguments[0]), batch_size):
        rows = [tf.convert_to_tensor(a[start : start + batch_size]) for a in arguments]
        parts.append(model(*rows, training=False).numpy())
    return np.concatenate(parts)
