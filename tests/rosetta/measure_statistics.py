"""Activations and statistics: the same names, other functions."""

from __future__ import annotations

import course_lib  # noqa: F401  before the frameworks
import numpy as np
import tensorflow as tf
import torch
from keras import ops
from measuring import Measured, array, establishes, gap, normal
from torch.nn import functional as F

keras = tf.keras


@establishes("gelu", within=1e-8,
             because="TensorFlow keeps 1/√2 in float32: the row gelu-float64")
def gelu() -> Measured:
    x = normal(1000)
    ours = F.gelu(torch.from_numpy(x))
    layer = keras.layers.Activation("gelu", dtype="float64")
    for exact in (keras.activations.gelu, tf.nn.gelu, layer):
        assert gap(exact(tf.constant(x)), ours) < 1e-8
    return Measured(gap(ops.gelu(x), ours), gap(ops.gelu(x, approximate=False), ours), "outputs")


@establishes("gelu-float64", over=1e-10)
def gelu_float64() -> Measured:
    x = normal(1000)
    ours = F.gelu(torch.from_numpy(x))
    written = 0.5 * x * (1 + tf.math.erf(x / np.sqrt(2)))
    return Measured(gap(tf.nn.gelu(x), ours), gap(written, ours), "outputs in float64")


@establishes("softplus-threshold", over=1e-10)
def softplus() -> Measured:
    x = 20 + np.abs(normal(1000))
    t = torch.from_numpy(x)
    theirs = tf.nn.softplus(x)
    return Measured(gap(F.softplus(t), theirs), gap(F.softplus(t, threshold=40), theirs),
                    "outputs above 20")


@establishes("leaky-relu-slope", within=1e-8,
             because="TensorFlow keeps the slope 0.01 in float32")
def leaky_relu() -> Measured:
    x = normal(1000)
    ours = F.leaky_relu(torch.from_numpy(x))
    layer = keras.layers.LeakyReLU
    assert gap(tf.nn.leaky_relu(x), F.leaky_relu(torch.from_numpy(x), 0.2)) < 1e-7
    return Measured(gap(layer(dtype="float64")(x), ours),
                    gap(layer(negative_slope=0.01, dtype="float64")(x), ours), "outputs")


@establishes("standard-deviation")
def standard_deviation() -> Measured:
    x = normal(50)
    theirs = tf.math.reduce_std(x)
    t = torch.from_numpy(x)
    return Measured(gap(t.std(), theirs), gap(t.std(correction=0), theirs),
                    "standard deviation of 50 numbers")


@establishes("median")
def median() -> Measured:
    x = normal(50)
    theirs = ops.median(x)
    t = torch.from_numpy(x)
    return Measured(gap(t.median(), theirs), gap(t.quantile(0.5), theirs),
                    "median of 50 numbers")


@establishes("subnormal-numbers", over=0.5)
def subnormal_numbers() -> Measured:
    def products(dtype: type, scale: float) -> list[np.ndarray]:
        small = np.full(4, scale * 1e-20, dtype)
        with tf.device("/CPU:0"):
            theirs = tf.constant(small) * tf.constant(small)
        return [array(torch.from_numpy(small) ** 2), array(theirs)]

    ours, theirs = products(np.float32, 1.0)
    assert (ours > 0).all() and not theirs.any()
    cured = products(np.float64, 1.0), products(np.float32, 2.0**20)
    return Measured(np.abs(theirs / ours - 1).max(),
                    max(np.abs(b / a - 1).max() for a, b in cured),
                    "1e-20 squared, relative to PyTorch's")


@establishes("norm-of-zero")
def norm_of_zero() -> Measured:
    zero = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    zero.norm().backward()
    point = tf.zeros(3, tf.float64)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(point)
        norm = tf.norm(point)
        square = tf.reduce_sum(point**2)
        safe = tf.sqrt(tf.where(square > 0, square, 1.0)) * tf.cast(square > 0, tf.float64)
    bare = np.nan_to_num(tape.gradient(norm, point).numpy(), nan=np.inf)
    return Measured(gap(bare, zero.grad), gap(tape.gradient(safe, point), zero.grad),
                    "gradient of the norm at 0, not a number counted as infinite")
