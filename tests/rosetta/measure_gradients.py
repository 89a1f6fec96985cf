"""Gradients: where a function has a corner, and what happens around the pass back."""

from __future__ import annotations

from collections.abc import Callable

import course_lib  # noqa: F401  before the frameworks
import numpy as np
import pytest
import tensorflow as tf
import torch
from measuring import Measured, establishes, gap


def torch_gradients(function: Callable, *arrays: object) -> list[np.ndarray]:
    """The gradients of the sum of a function's values."""
    inputs = [torch.tensor(a, dtype=torch.float64, requires_grad=True) for a in arrays]
    function(*inputs).sum().backward()
    return [one.grad.numpy() for one in inputs]


def tf_gradients(function: Callable, *arrays: object, **settings: object) -> list:
    """The same; None where TensorFlow knows of no way from an input to the value."""
    inputs = [tf.Variable(np.array(a, np.float64)) for a in arrays]
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(function(*inputs))
    found = tape.gradient(value, inputs, **settings)
    return [None if one is None else one.numpy() for one in found]


@establishes("max-ties")
def max_ties() -> Measured:
    row = [[2.0, 2.0, 1.0]]
    (theirs,) = tf_gradients(lambda x: tf.reduce_max(x, axis=1), row)
    (ours,) = torch_gradients(lambda x: x.max(dim=1).values, row)
    (cured,) = torch_gradients(lambda x: x.amax(dim=1), row)
    assert ours.tolist() == [[1, 0, 0]] and theirs.tolist() == [[0.5, 0.5, 0]]
    return Measured(gap(ours, theirs), gap(cured, theirs), "gradients of the maximum of 2, 2, 1")


@establishes("maximum-ties")
def maximum_ties() -> Measured:
    def by_relu(relu: Callable) -> Callable:
        return lambda a, b: b + relu(a - b)

    ours, theirs = torch_gradients(torch.maximum, 1.0, 1.0), tf_gradients(tf.maximum, 1.0, 1.0)
    assert ours == [0.5, 0.5] and theirs == [1, 0]
    cured = torch_gradients(by_relu(torch.relu), 1.0, 1.0), tf_gradients(by_relu(tf.nn.relu), 1.0, 1.0)
    return Measured(gap(ours, theirs), gap(*cured), "gradients at a = b")


@establishes("rounding-gradient")
def rounding() -> Measured:
    (ours,) = torch_gradients(torch.round, [0.3, 1.6])
    assert tf_gradients(tf.round, [0.3, 1.6]) == [None] == tf_gradients(tf.floor, [0.3, 1.6])
    (cured,) = tf_gradients(tf.round, [0.3, 1.6], unconnected_gradients="zero")
    return Measured(np.inf, gap(ours, cured), "gradients of round, None counted as infinite")


@establishes("deviation-of-equal-values")
def deviation() -> Measured:
    def rooted(sqrt: Callable, mean: Callable) -> Callable:
        return lambda x: sqrt(mean((x - mean(x)) ** 2) + 1e-12)

    equal = [1.0, 1.0, 1.0]
    (ours,) = torch_gradients(lambda x: x.std(correction=0), equal)
    (theirs,) = tf_gradients(tf.math.reduce_std, equal)
    cured = (torch_gradients(rooted(torch.sqrt, torch.mean), equal)[0],
             tf_gradients(rooted(tf.sqrt, tf.reduce_mean), equal)[0])
    return Measured(gap(ours, np.nan_to_num(theirs, nan=np.inf)), gap(*cured),
                    "gradients of the deviation of 1, 1, 1, not a number counted as infinite")


@establishes("selu-at-zero")
def selu() -> Measured:
    scale, alpha = 1.0507009873554805, 1.6732632423543772

    def written(where: Callable, exp: Callable) -> Callable:
        return lambda x: scale * where(x > 0, x, alpha * (exp(x) - 1))

    (ours,), (theirs,) = torch_gradients(torch.selu, [0.0]), tf_gradients(tf.nn.selu, [0.0])
    cured = (torch_gradients(written(torch.where, torch.exp), [0.0])[0],
             tf_gradients(written(tf.where, tf.exp), [0.0])[0])
    return Measured(gap(ours, theirs), gap(*cured), "gradient at 0")


@establishes("zero-log-zero")
def zero_log_zero() -> Measured:
    p = [0.0, 0.5]

    def masked(x: torch.Tensor) -> torch.Tensor:
        return torch.special.xlogy(x[x > 0], x[x > 0])

    (theirs,) = tf_gradients(lambda x: tf.math.xlogy(x, x), p)
    (ours,) = torch_gradients(lambda x: torch.special.xlogy(x, x), p)
    (cured,) = torch_gradients(masked, p)
    return Measured(gap(np.nan_to_num(ours, nan=np.inf, neginf=np.inf), theirs), gap(cured, theirs),
                    "gradients of Σ p log p at 0 and ½, what is not finite counted as infinite")


@establishes("vector-loss")
def vector_loss() -> Measured:
    x = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    with pytest.raises(RuntimeError, match="scalar outputs"):
        (x**2).backward()
    v = tf.Variable([1.0, 2.0], dtype=tf.float64)
    with tf.GradientTape(persistent=True) as tape:
        losses = v**2
        mean = tf.reduce_mean(losses)
    (x**2).mean().backward()
    return Measured(gap(tape.gradient(losses, v), x.grad), gap(tape.gradient(mean, v), x.grad),
                    "gradients of two squares, PyTorch with their mean")


@establishes("changed-before-backward")
def changed_before_backward() -> Measured:
    w = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    square = w**2
    with torch.no_grad():
        w -= 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        square.backward()
    v = tf.Variable(3.0, dtype=tf.float64)
    with tf.GradientTape() as tape:
        square = v**2
    v.assign_sub(1)
    stale = tape.gradient(square, v)
    now = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    (now**2).backward()
    with tf.GradientTape() as tape:
        square = v**2
    return Measured(gap(stale, now.grad), gap(tape.gradient(square, v), now.grad),
                    "gradient of w² after w went from 3 to 2, against that at 2")


@establishes("unwatched-tensor")
def unwatched_tensor() -> Measured:
    with pytest.raises(RuntimeError, match="does not require grad"):
        (torch.tensor(3.0, dtype=torch.float64) ** 2).backward()
    x = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    (x**2).backward()
    c = tf.constant(3.0, tf.float64)
    with tf.GradientTape() as tape:
        square = c**2
    assert tape.gradient(square, c) is None
    with tf.GradientTape() as tape:
        tape.watch(c)
        square = c**2
    return Measured(np.inf, gap(tape.gradient(square, c), x.grad),
                    "gradient of c² at 3, None counted as infinite")
