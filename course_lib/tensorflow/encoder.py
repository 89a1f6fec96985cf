"""An encoder that judges a text; twin of course_lib/pytorch/encoder.py."""

from __future__ import annotations

import tensorflow as tf

from course_lib.tensorflow.transformer import TFTransformer


class TFEncoderClassifier(tf.keras.Model):
    """The mean of a text's hidden states, then logits: (batch, time) to (batch, classes).

    ``mask`` (batch, time) is True for a real token; every row needs one. ``encoder`` is trained
    too. The last layer starts at 0, so that pre-trained weights meet no random ones.
    """

    def __init__(self, encoder: TFTransformer, classes: int):
        super().__init__(dtype=encoder.config.dtype)
        self.encoder, self.supports_masking = encoder, True
        self.readout = tf.keras.layers.Dense(
            classes, kernel_initializer="zeros", dtype=encoder.config.dtype, name="readout")
        self(tf.zeros((1, 1), tf.int64), tf.ones((1, 1), tf.bool))

    def call(self, tokens: tf.Tensor, mask: tf.Tensor, training: bool = False) -> tf.Tensor:
        hidden = self.encoder(tokens, mask, training=training)    # (batch, time, width)
        real = tf.cast(mask[:, :, None], hidden.dtype)
        mean = tf.reduce_sum(hidden * real, 1) / tf.reduce_sum(real, 1)
        return self.readout(mean)
