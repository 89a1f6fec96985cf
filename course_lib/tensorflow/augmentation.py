"""Turning and shifting images in TensorFlow; twin of course_lib/pytorch/augmentation.py."""

from __future__ import annotations

import tensorflow as tf

from course_lib.scratch.augmentation import check_motions


def warp_tf(
    images: tf.Tensor, angle: tf.Tensor, shift: tf.Tensor
) -> tf.Tensor:
    """Turn and shift each image by its own amount, 0 outside.

    ``images`` (n, height, width), ``angle`` (n,) in radians, counter-clockwise, ``shift`` (n, 2)
    down and right in pixels; all of one dtype on one device. Raises ``ValueError`` for other
    shapes.
    """
    check_motions(images.shape, angle.shape, shift.shape)
    n, height, width = images.shape
    middle_row, middle_column = (height - 1) / 2, (width - 1) / 2
    cos, sin = tf.cos(angle)[:, None, None], tf.sin(angle)[:, None, None]
    rows = tf.cast(tf.range(height), images.dtype)[:, None]
    columns = tf.cast(tf.range(width), images.dtype)
    down = rows - middle_row - shift[:, 0, None, None]
    right = columns - middle_column - shift[:, 1, None, None]
    rows = cos * down + sin * right + middle_row + 1
    columns = cos * right - sin * down + middle_column + 1
    framed = tf.pad(images, [[0, 0], [1, 1], [1, 1]])    # a frame of 0
    rows = tf.clip_by_value(rows, 0, height + 1)
    columns = tf.clip_by_value(columns, 0, width + 1)
    top = tf.minimum(tf.floor(rows), height)
    left = tf.minimum(tf.floor(columns), width)
    a, b = rows - top, columns - left
    flat = tf.reshape(framed, [n, -1])
    first = tf.cast(top * (width + 2) + left, tf.int32)

    def read(step):
        return tf.gather(flat, first + step, batch_dims=1)

    upper = (1 - b) * read(0) + b * read(1)
    lower = (1 - b) * read(width + 2) + b * read(width + 3)
    return (1 - a) * upper + a * lower
