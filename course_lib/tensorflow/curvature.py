"""Curvature of a loss in TensorFlow; twin of course_lib/pytorch/curvature.py."""

from __future__ import annotations

import math

import tensorflow as tf

from course_lib.tensorflow.training import half_squared_error_tf


def hvp_tf(
    model: tf.keras.Model,
    x: tf.Tensor,
    y: tf.Tensor,
    vector: list[tf.Tensor],
) -> list[tf.Tensor]:
    """The Hessian of the loss times a vector, by differentiating twice.

    ``vector`` and the result hold one tensor for each trainable parameter, shaped like it
    (Pearlmutter 1994).
    """
    params = model.trainable_variables
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            loss = half_squared_error_tf(model(x), y)
        gradients = inner.gradient(loss, params)
        along = tf.add_n(
            [tf.reduce_sum(g * v) for g, v in zip(gradients, vector)])
    return outer.gradient(along, params, unconnected_gradients="zero")


def sharpness_tf(
    model: tf.keras.Model,
    x: tf.Tensor,
    y: tf.Tensor,
    start: list[tf.Tensor] | None = None,
    tolerance: float = 1e-4,
    most: int = 1000,
) -> tuple[float, list[tf.Tensor]]:
    """The largest eigenvalue of the loss's Hessian and its direction, by power iteration.

    Power iteration finds the eigenvalue that is largest in size. Where that one is negative, a
    second run on the Hessian shifted by it finds the largest one.

    Parameters
    ----------
    model, x, y
        As for ``step_tf``.
    start
        Where to begin, one tensor a parameter; by default drawn at random with a fixed seed. The
        direction found a few training steps earlier saves most of the work.
    tolerance
        Stop where a step changes the eigenvalue by less than this share of it, ten steps at least.
        Where several eigenvalues are close, the value found may lie among them.
    most
        Give up after so many steps.

    Raises
    ------
    ValueError
        If the loss or its curvature is not finite.
    RuntimeError
        If ``most`` steps are not enough.
    """
    params = model.trainable_variables
    if start is None:
        random = tf.random.Generator.from_seed(0)
        start = [tf.cast(random.normal(p.shape), p.dtype) for p in params]
    value, direction = _power_tf(model, x, y, start, 0.0, tolerance, most)
    if value < 0:
        shift = -value
        value, direction = _power_tf(model, x, y, start, shift, tolerance, most)
        value -= shift
    return value, direction


def _power_tf(model, x, y, vector, shift, tolerance, most):
    """Power iteration on the Hessian plus ``shift`` times the identity."""
    length, value = _length_tf(vector), math.inf
    vector = [v / (length or 1.0) for v in vector]
    for step in range(most):
        image = [h + shift * v for h, v in zip(_compiled_hvp(model, x, y, vector), vector)]
        before, value = value, float(sum(tf.reduce_sum(v * h) for v, h in zip(vector, image)))
        if not math.isfinite(value):
            raise ValueError("the curvature is not finite; has the loss diverged?")
        length = _length_tf(image)
        settled = abs(value - before) <= tolerance * abs(value)
        if step >= 10 and settled and length**2 <= 1.1 * value**2:  # the image points along it
            return value, vector
        vector = [h / (length or 1.0) for h in image]
    raise RuntimeError(
        f"no eigenvalue to within {tolerance} after {most} steps; allow more, or a wider tolerance"
    )


def _length_tf(vector):
    """The length of a vector that lies in several tensors."""
    return math.sqrt(sum(float(tf.reduce_sum(v * v)) for v in vector))


_compiled_hvp = tf.function(hvp_tf)  # one graph a model, reused by every step
