"""Loaders in TensorFlow that follow a given order; twin of course_lib/pytorch/pipelines.py."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from course_lib.data.shards import Arrays, Source
from course_lib.scratch.order import Order, row_rng


class TFImages:
    """Rows of a source as (pixels in 0..1, flattened) and labels.

    Called with one row number or a tensor of them: (…, features) of ``dtype`` and (…) int64. Arrays
    are gathered by TensorFlow; shards are read by NumPy.
    """

    def __init__(self, source: Source, dtype: str = "float32"):
        self.source, self.dtype = source, tf.as_dtype(dtype)
        self.features = int(np.prod(source.image_shape))
        if isinstance(source, Arrays):
            with tf.device("/CPU:0"):
                self.arrays = [
                    tf.constant(source.images), tf.constant(source.labels)]

    def __len__(self) -> int:
        return len(self.source)

    def __call__(self, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        if isinstance(self.source, Arrays):
            images, labels = (tf.gather(a, rows) for a in self.arrays)
        else:
            images, labels = tf.numpy_function(
                self.source.read, [rows], [tf.uint8, tf.int64])
            labels.set_shape(rows.shape)
        shape = [*tf.unstack(tf.shape(rows)), self.features]
        pixels = tf.reshape(images, shape)
        return tf.cast(pixels, self.dtype) / 255, labels


def loader_tf(
    source: Source, order: Order, workers: int = 0, dtype: str = "float32"
) -> Iterable:
    """A tf.data pipeline whose batches are the order's, read whole.

    With ``workers`` batches read at a time, ahead of the training.
    """
    rows = tf.data.Dataset.from_generator(
        lambda: order, output_signature=tf.TensorSpec([None], tf.int64))
    images = TFImages(source, dtype)
    if not workers:
        return rows.map(images)
    batches = rows.map(images, num_parallel_calls=workers)
    return batches.prefetch(2 * workers)


class TFDraws:
    """A random number from each of four sources for a row, (4,) float64.

    NumPy's global generator called where the map is traced, the same called at each row,
    TensorFlow's own, and ``row_rng``.
    """

    def __init__(self, seed: int):
        self.seed, self.epoch = seed, 0

    def __len__(self) -> int:
        return 16

    def __call__(self, row: tf.Tensor) -> tf.Tensor:
        keyed = tf.numpy_function(
            lambda r: row_rng(self.seed, self.epoch, r).random(),
            [row], tf.float64)
        each = tf.numpy_function(np.random.random, [], tf.float64)
        return tf.stack([
            tf.constant(np.random.random(), tf.float64), each,
            tf.random.uniform([], dtype=tf.float64), keyed])


def draws_tf(seed: int, epochs: int, workers: int = 0) -> np.ndarray:
    """The draws of all rows, some of them at a time: (epochs, rows, 4)."""
    draws = TFDraws(seed)
    rows = tf.data.Dataset.range(len(draws))
    drawn = rows.map(draws, num_parallel_calls=workers or None)
    found = []
    for draws.epoch in range(epochs):
        found.append(np.stack(list(drawn.as_numpy_iterator())))
    return np.stack(found)
