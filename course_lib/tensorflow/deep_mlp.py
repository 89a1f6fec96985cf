"""A deep stack of dense layers, and its step with or without clipping; twin of course_lib/pytorch/deep_mlp.py."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from course_lib.scratch.initialisation import draw_layers


def fill_tf(
    model: tf.keras.Model, drawn: Sequence[tuple[np.ndarray, np.ndarray]]
) -> None:
    """Give the dense layers of a deep network weights and biases.

    ``drawn`` holds (weight (fan_in, fan_out), bias (fan_out,)) of each, the readout last.
    """
    for layer, (weight, bias) in zip(
            [*model.hidden, model.readout], drawn, strict=True):
        layer.kernel.assign(weight)
        layer.bias.assign(bias)


class TFDeepMLP(tf.keras.Model):
    """A deep stack of dense layers: (batch, features) -> logits.

    ``depth`` counts the layers with weights, the readout among them. Each hidden layer computes
    z = norm(W a + b) and f(z); ``activation`` is "sigmoid", "tanh" or "relu", ``norm`` is "none",
    "layer" (Ba et al. 2016) or "batch" (Ioffe and Szegedy 2015), both with epsilon 1e-5; a
    new batch weighs 1/8 in the running statistics. With ``shortcuts`` a layer hands on
    a + branch * f(z) where both have one shape (He et al. 2016). Weights are drawn by
    ``course_lib.scratch.initialisation`` with the rule ``init`` from ``seed``, the same in both
    frameworks. ``dtype`` is "float32" or "float64".

    Raises ``ValueError`` for a depth below 2, or an activation or norm that is not known.
    """
    def __init__(self, features: int, width: int, depth: int, classes: int,
                 activation: str = "relu", init: str = "he",
                 norm: str = "none", shortcuts: bool = False,
                 branch: float = 1.0, seed: int = 0, dtype: str = "float32"):
        super().__init__(dtype=dtype)
        functions = {"sigmoid": tf.sigmoid, "tanh": tf.tanh,
                     "relu": tf.nn.relu}
        kinds = tf.keras.layers
        norms = {"none": lambda epsilon, **k: kinds.Identity(**k),
                 "layer": kinds.LayerNormalization,
                 "batch": kinds.BatchNormalization}
        if depth < 2 or activation not in functions or norm not in norms:
            raise ValueError(
                f"depth {depth}, {activation!r}, {norm!r}: give 2 or more, one of {list(functions)} and one of {list(norms)}")
        self.f, self.shortcuts = functions[activation], shortcuts
        self.branch = branch
        sizes = [features, *[width] * (depth - 1), classes]
        share = {"momentum": 0.875} if norm == "batch" else {}
        self.hidden = [kinds.Dense(width, dtype=dtype, name=f"layers.{i}")
                       for i in range(depth - 1)]
        self.norms = [norms[norm](epsilon=1e-5, dtype=dtype,
                                  name=f"norms.{i}", **share)
                      for i in range(depth - 1)]
        self.readout = kinds.Dense(classes, dtype=dtype, name="readout")
        for size, layer in zip(sizes, [*self.hidden, self.readout]):
            layer.build((None, size))
        for layer in self.norms:
            layer.build((None, width))
        fill_tf(self, draw_layers(sizes, init, seed))
        self.built = True

    def signals(self, x: tf.Tensor, training: bool = False) -> list[tf.Tensor]:
        """The input z of each activation, and last the logits."""
        found = []
        for layer, norm in zip(self.hidden, self.norms):
            found.append(norm(layer(x), training=training))
            out = self.f(found[-1])                  # (batch, width)
            skip = self.shortcuts and out.shape == x.shape
            x = x + self.branch * out if skip else out
        return [*found, self.readout(x)]

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        return self.signals(x, training)[-1]


def global_norm_tf(gradients: Sequence[tf.Tensor]) -> tf.Tensor:
    """The root of the sum of all squares, without overflow.

    A scalar tensor on the gradients' device; not finite where an entry is not.
    """
    largest = tf.reduce_max([tf.reduce_max(tf.abs(g)) for g in gradients])
    unit = tf.where(largest > 0, largest, tf.ones_like(largest))
    squares = [tf.reduce_sum((g / unit) ** 2) for g in gradients]
    return unit * tf.sqrt(tf.add_n(squares))


def clip_tf(
    gradients: Sequence[tf.Tensor], limit: float
) -> list[tf.Tensor]:
    """Scale all gradients by one number: their norm is at most limit.

    Pascanu et al. (2013, algorithm 1).
    """
    norm = global_norm_tf(gradients)
    scale = limit / tf.maximum(norm, limit)
    return [scale * g for g in gradients]


def step_tf(
    model: tf.keras.Model,
    x: tf.Tensor,
    y: tf.Tensor,
    learning_rate: float,
    limit: float | None = None,
) -> tf.Tensor:
    """One step of SGD, clipped if a limit is given; the loss before it.

    The loss is a scalar tensor, left on its device. ``x`` (batch, features) and the labels ``y``
    (batch,) lie on the model's device.
    """
    params = model.trainable_variables
    with tf.GradientTape() as tape:
        logits = model(x, training=True)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=y, logits=logits))
    gradients = tape.gradient(loss, params)  # computes gradients, no more
    if limit is not None:
        gradients = clip_tf(gradients, limit)
    for param, gradient in zip(params, gradients):
        param.assign_sub(learning_rate * gradient)    # the optimizer
    return loss


def sizes_tf(
    model: tf.keras.Model, x: tf.Tensor, y: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Norms of the gradients in each layer's weights and in its z.

    Two tensors (depth,), from the first layer to the readout, in training mode; nothing is changed
    but the running statistics of batch normalisation. ``x`` and ``y`` as in ``step_tf``.
    """
    weights = [layer.kernel.value for layer in [*model.hidden, model.readout]]
    with tf.GradientTape() as tape:
        signals = model.signals(x, training=True)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=y, logits=signals[-1]))
    found = tape.gradient(loss, [*weights, *signals])
    norms = tf.stack([global_norm_tf([g]) for g in found])
    return norms[:len(weights)], norms[len(weights):]


def predict_tf(model: tf.keras.Model, x: tf.Tensor) -> tf.Tensor:
    """Logits (images, classes) in inference mode."""
    return model(x, training=False)
