"""Gradients that one side stops on purpose: what they are when nothing stops them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def torch_unstopped() -> Iterator[None]:
    """``detach`` and ``no_grad`` do nothing meanwhile."""
    import torch

    kept = torch.Tensor.detach, torch.no_grad.__enter__

    def enter(self):
        self.prev = torch.is_grad_enabled()

    try:
        torch.Tensor.detach = lambda self: self
        torch.no_grad.__enter__ = enter
        yield
    finally:
        torch.Tensor.detach, torch.no_grad.__enter__ = kept


@contextmanager
def keras_unstopped() -> Iterator[None]:
    """``stop_gradient`` of TensorFlow and of Keras does nothing meanwhile."""
    import keras
    import tensorflow as tf

    kept = tf.stop_gradient, keras.ops.stop_gradient
    try:
        tf.stop_gradient = keras.ops.stop_gradient = lambda x, *args, **more: x
        yield
    finally:
        tf.stop_gradient, keras.ops.stop_gradient = kept
