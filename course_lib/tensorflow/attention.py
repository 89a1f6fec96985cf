"""Texts judged by one layer of attention; twin of course_lib/pytorch/attention.py."""

from __future__ import annotations

import tensorflow as tf


def sinusoidal_tf(ids: tf.Tensor, width: int) -> tf.Tensor:
    """Sines and cosines (time, width) for ids (batch, time)."""
    time = tf.range(tf.shape(ids)[1])
    pairs = tf.cast(tf.range(0, width, 2), tf.float64)
    rates = tf.constant(10000.0, tf.float64) ** (-pairs / width)
    angles = tf.cast(time, tf.float64)[:, None] * rates
    both = tf.stack([tf.sin(angles), tf.cos(angles)], axis=-1)
    return tf.reshape(both, (-1, width))         # float64


def rotate_tf(x: tf.Tensor, base: float = 100.0) -> tf.Tensor:
    """Turn the pairs of features of (batch, heads, time, d)."""
    shape = tf.shape(x)
    time, d = tf.cast(tf.range(shape[-2]), tf.float64), x.shape[-1]
    pairs = tf.cast(tf.range(0, d, 2), tf.float64)
    angles = time[:, None] * tf.constant(base, tf.float64) ** (-pairs / d)
    c, s = (tf.cast(f(angles), x.dtype) for f in (tf.cos, tf.sin))
    a, b = x[..., 0::2], x[..., 1::2]            # (…, time, d / 2)
    both = tf.stack([a * c - b * s, a * s + b * c], axis=-1)
    return tf.reshape(both, shape)


class TFAttentionText(tf.keras.Model):
    """One layer of attention over a text's words, their mean, logits.

    Ids (batch, time), filled up with 0 -> logits (batch, classes). ``positions`` is "none",
    "sinusoidal", "learned" (for up to ``longest`` words) or "rotary". ``dtype`` is "float32" or
    "float64". Vectors and learned positions start normal with standard deviation 0.3: with 0.1 all
    scores start so near 0 that some runs do not leave that plateau for many epochs.
    """

    def __init__(
        self, tokens: int, width: int, heads: int, classes: int,
        positions: str = "rotary", longest: int = 64,
        dtype: str = "float32",
    ):
        super().__init__(dtype=dtype)
        kinds = ["none", "sinusoidal", "learned", "rotary"]
        if positions not in kinds or width % (2 * heads):
            raise ValueError(
                f"positions {positions!r}, width {width}, {heads} heads:"
                f" give one of {kinds}, an even number of features a head")
        layers = tf.keras.layers
        normal = tf.keras.initializers.RandomNormal
        self.heads, self.kind = heads, positions
        self.embedding = layers.Embedding(
            tokens, width, normal(stddev=0.3), dtype=dtype,
            name="embedding")
        self.embedding.build((None, None))
        if positions == "learned":
            self.table = layers.Embedding(
                longest, width, normal(stddev=0.3), dtype=dtype,
                name="table")
            self.table.build((None,))
        self.query, self.key, self.value, self.output_layer = (
            layers.Dense(width, dtype=dtype, name=name)
            for name in ("query", "key", "value", "output"))
        self.readout = layers.Dense(classes, dtype=dtype, name="readout")
        for layer in (self.query, self.key, self.value, self.output_layer,
                      self.readout):
            layer.build((None, None, width))
        self.built = True

    def place(self, x: tf.Tensor, ids: tf.Tensor) -> tf.Tensor:
        """Add what says where each word stands."""
        if self.kind == "sinusoidal":
            return x + tf.cast(sinusoidal_tf(ids, x.shape[2]), x.dtype)
        if self.kind == "learned":
            return x + self.table(tf.range(tf.shape(ids)[1]))
        return x

    def call(self, ids: tf.Tensor) -> tf.Tensor:
        real = ids != 0                          # (batch, time)
        x = self.place(self.embedding(ids), ids)
        split = [self.heads, x.shape[2] // self.heads]
        shape = tf.concat([tf.shape(ids), split], 0)
        q, k, v = (  # (batch, heads, time, d)
            tf.transpose(tf.reshape(layer(x), shape), (0, 2, 1, 3))
            for layer in (self.query, self.key, self.value))
        if self.kind == "rotary":
            q, k = rotate_tf(q), rotate_tf(k)
        scores = tf.matmul(q, k, transpose_b=True) / q.shape[-1] ** 0.5
        scores = tf.where(real[:, None, None], scores, scores.dtype.min)
        y = tf.nn.softmax(scores) @ v
        y = tf.reshape(tf.transpose(y, (0, 2, 1, 3)), tf.shape(x))
        x = x + self.output_layer(y)
        mask = tf.cast(real[:, :, None], x.dtype)
        count = tf.maximum(tf.reduce_sum(mask, axis=1), 1)
        return self.readout(tf.reduce_sum(x * mask, axis=1) / count)
