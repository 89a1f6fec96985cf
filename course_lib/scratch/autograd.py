"""Reverse-mode automatic differentiation in NumPy: every gradient of one number in one pass back.

A ``Tensor`` remembers what it was computed from, and for each of those how a gradient passes from
the result back to it: a vector-Jacobian product. ``backward`` walks the graph from the loss to the
inputs and adds up what arrives (Linnainmaa 1976; Rumelhart et al. 1986; Baydin et al. 2018).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


class Tensor:
    """An array that remembers how it was computed.

    ``data`` is float64 of any shape. ``parents`` are pairs of a tensor and its pull, the function
    that takes the gradient of this tensor, in this one's shape, to that tensor's. ``grad`` is None
    before ``backward`` and then has the shape of ``data``. Arrays and numbers that meet a tensor
    become tensors.
    """

    __array_ufunc__ = None        # so that array + tensor comes here too

    def __init__(self, data: Any, parents: tuple = ()):
        self.data = np.asarray(data, dtype=np.float64)
        self.parents = parents
        self.grad: np.ndarray | None = None

    __add__ = lambda a, b: add(a, b)
    __radd__ = lambda a, b: add(b, a)
    __mul__ = lambda a, b: multiply(a, b)
    __rmul__ = lambda a, b: multiply(b, a)
    __neg__ = lambda a: multiply(a, -1.0)
    __sub__ = lambda a, b: add(a, -tensor(b))
    __rsub__ = lambda a, b: add(b, -a)
    __pow__ = lambda a, exponent: power(a, exponent)
    __truediv__ = lambda a, b: multiply(a, tensor(b) ** -1)
    __rtruediv__ = lambda a, b: multiply(b, a ** -1)
    __matmul__ = lambda a, b: matmul(a, b)
    __rmatmul__ = lambda a, b: matmul(b, a)
    __getitem__ = lambda a, index: take(a, index)
    __repr__ = lambda a: f"Tensor(shape {a.data.shape})"


def tensor(value: Any) -> Tensor:
    """The value itself if it is a tensor, else a tensor with no parents."""
    return value if isinstance(value, Tensor) else Tensor(value)


# --- operations: a value, and for each parent what the gradient is multiplied by on its way back


def add(a: Any, b: Any) -> Tensor:
    """a + b, broadcast as NumPy does. Both local derivatives are 1."""
    a, b = tensor(a), tensor(b)
    return Tensor(a.data + b.data, ((a, lambda g: g), (b, lambda g: g)))


def multiply(a: Any, b: Any) -> Tensor:
    """a * b element by element. Each factor's derivative is the other."""
    a, b = tensor(a), tensor(b)
    x, y = a.data, b.data
    return Tensor(x * y, ((a, lambda g: g * y), (b, lambda g: g * x)))


def power(a: Any, exponent: float) -> Tensor:
    """a ** exponent for a constant exponent.

    Raises ``TypeError`` for an exponent that is itself a tensor or an array.
    """
    if not np.isscalar(exponent):
        raise TypeError(
            "the exponent must be a number; write a ** b with tensors as"
            " exp(b * log(a))")
    a = tensor(a)
    x, n = a.data, exponent
    slope = n * x ** (n - 1) if n != 0 else np.zeros_like(x)
    return Tensor(x**n, ((a, lambda g: g * slope),))


def matmul(a: Any, b: Any) -> Tensor:
    """a @ b for matrices and stacks of them: (…, m, k) @ (…, k, n).

    Raises ``ValueError`` for vectors: give them a second axis.
    """
    a, b = tensor(a), tensor(b)
    x, y = a.data, b.data
    if min(x.ndim, y.ndim) < 2:
        raise ValueError(
            f"matmul of {x.shape} and {y.shape}: give both two axes or"
            " more; v.reshape(1, -1) is a row, v.reshape(-1, 1) a column")
    return Tensor(x @ y, (
        (a, lambda g: g @ np.swapaxes(y, -1, -2)),
        (b, lambda g: np.swapaxes(x, -1, -2) @ g)))


def exp(a: Any) -> Tensor:
    """e to the a, its own derivative."""
    a = tensor(a)
    y = np.exp(a.data)
    return Tensor(y, ((a, lambda g: g * y),))


def log(a: Any) -> Tensor:
    """The natural logarithm, with derivative 1/a."""
    a = tensor(a)
    x = a.data
    return Tensor(np.log(x), ((a, lambda g: g / x),))


def tanh(a: Any) -> Tensor:
    """The hyperbolic tangent, with derivative 1 - tanh(a)**2."""
    a = tensor(a)
    y = np.tanh(a.data)
    return Tensor(y, ((a, lambda g: g * (1 - y**2)),))


def relu(a: Any) -> Tensor:
    """max(a, 0), with derivative 1 above 0, else 0 (at 0 too)."""
    a = tensor(a)
    x = a.data
    return Tensor(np.maximum(x, 0), ((a, lambda g: g * (x > 0)),))


def total(a: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The sum over axes. Every summand gets the gradient of the sum."""
    a = tensor(a)
    shape = a.data.shape
    kept = a.data.sum(axis=axis, keepdims=True).shape

    def pull(g):
        return np.broadcast_to(g.reshape(kept), shape)

    return Tensor(a.data.sum(axis=axis, keepdims=keepdims), ((a, pull),))


def mean(a: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The mean over axes: the sum over the number of summands."""
    summed = total(a, axis, keepdims)
    return summed * (summed.data.size / tensor(a).data.size)


def reshape(a: Any, shape: Any) -> Tensor:
    """The same numbers in another shape; the gradient goes back into the old one."""
    a = tensor(a)
    before = a.data.shape
    return Tensor(a.data.reshape(shape), ((a, lambda g: g.reshape(before)),))


def transpose(a: Any, axes: Any = None) -> Tensor:
    """The axes in another order, as ``np.transpose``: without axes, reversed."""
    a = tensor(a)
    back = None if axes is None else np.argsort(np.arange(a.data.ndim)[list(axes)])
    pull = lambda g: np.transpose(g, back)  # noqa: E731
    return Tensor(np.transpose(a.data, axes), ((a, pull),))


def take(a: Any, index: Any) -> Tensor:
    """a[index]. What was read twice is paid twice.

    ``index`` is any NumPy index of whole numbers or slices.
    """
    a = tensor(a)
    shape = a.data.shape

    def pull(g):
        gradient = np.zeros(shape)
        np.add.at(gradient, index, g)  # gradient[index] += g loses twins
        return gradient

    return Tensor(a.data[index], ((a, pull),))


def cross_entropy(logits: Any, labels: np.ndarray) -> Tensor:
    """Softmax cross-entropy of logits and whole-number labels, averaged.

    ``logits`` (batch, classes), ``labels`` (batch,). The largest logit of each row is taken out
    as a constant: the value does not depend on it, so no gradient flows there.
    """
    logits = tensor(logits)
    shapes = (logits.data.shape, np.shape(labels))
    if logits.data.ndim != 2 or shapes[1] != shapes[0][:1]:
        raise ValueError(
            f"logits {shapes[0]} and labels {shapes[1]}: make them"
            " (batch, classes) and (batch,)")
    z = logits - logits.data.max(axis=1, keepdims=True)
    log_p = z - log(total(exp(z), axis=1, keepdims=True))
    return -mean(log_p[np.arange(len(labels)), labels])


# --- the pass back


def unbroadcast(g: np.ndarray, shape: tuple) -> np.ndarray:
    """Sum a gradient over the axes along which a value was repeated."""
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))  # axes in front
    stretched = tuple(
        i for i, n in enumerate(shape) if n == 1 and g.shape[i] != 1)
    return g.sum(axis=stretched, keepdims=True)


def in_order(loss: Tensor) -> list[Tensor]:
    """All tensors that a loss was computed from, each after its parents.

    No recursion: a graph may be deeper than Python's stack.
    """
    order, seen = [], set()
    waiting = [(loss, False)]
    while waiting:
        node, parents_done = waiting.pop()
        if parents_done:
            order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            waiting.append((node, True))
            waiting += [(parent, False) for parent, _ in node.parents]
    return order


def backward(loss: Tensor) -> None:
    """Put the gradient of a loss into ``grad`` of all it was computed from.

    Each call begins anew; within it, a tensor that is used more than once gets the sum.

    Raises
    ------
    TypeError
        If the loss is not a tensor: then it depends on nothing that is known.
    ValueError
        If it holds more than one number: a gradient belongs to one.
    """
    if not isinstance(loss, Tensor):
        raise TypeError(f"backward needs a Tensor, not {type(loss).__name__}")
    if loss.data.size != 1:
        raise ValueError(
            f"backward needs one number, not shape {loss.data.shape}:"
            " take a sum or a mean first")
    order = in_order(loss)
    for node in order:
        node.grad = np.zeros_like(node.data)
    loss.grad = np.ones_like(loss.data)
    for node in reversed(order):
        for parent, pull in node.parents:
            local = unbroadcast(pull(node.grad), parent.data.shape)
            parent.grad = parent.grad + local             # not =
