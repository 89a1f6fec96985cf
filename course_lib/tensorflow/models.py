"""Models in TensorFlow; twins of those in course_lib/pytorch/models.py."""

from __future__ import annotations

import tensorflow as tf


class TFMLP(tf.keras.Model):
    """One hidden layer with tanh: (batch, features) -> (batch, classes).

    Weights and biases start as the framework draws them by default. ``dtype`` is "float32" or
    "float64".
    """

    def __init__(
        self, features: int, hidden: int, classes: int, dtype: str = "float32"
    ):
        super().__init__(dtype=dtype)
        Dense = tf.keras.layers.Dense
        self.hidden = Dense(hidden, activation="tanh", dtype=dtype, name="hidden")
        self.readout = Dense(classes, dtype=dtype, name="readout")
        self.hidden.build((None, features))
        self.readout.build((None, hidden))
        self.built = True

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return self.readout(self.hidden(x))
