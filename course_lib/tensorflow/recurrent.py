"""LSTM classifiers that stop reading where a sequence ends; twin of course_lib/pytorch/recurrent.py."""

from __future__ import annotations

import tensorflow as tf


class TFLSTMClassifier(tf.keras.Model):
    """An LSTM over frames, then logits from its last real state.

    ``call`` takes x (batch, time, features), padded at the end, and lengths (batch,) int64, the
    number of real steps, each at least 1; it returns logits (batch, classes). The forget gates'
    bias starts at ``forget_bias``, 1 as is Keras's default.
    """

    def __init__(
        self, features: int, hidden: int, classes: int,
        forget_bias: float = 1.0, dtype: str = "float32",
    ):
        super().__init__(dtype=dtype)
        layers = tf.keras.layers
        self.lstm = layers.LSTM(hidden, dtype=dtype, name="lstm")
        self.readout = layers.Dense(classes, dtype=dtype, name="readout")
        self.lstm.build((None, None, features))
        self.readout.build((None, hidden))
        self.built = True
        gates = [0.0, forget_bias, 0.0, 0.0]              # i, f, g, o
        self.lstm.cell.bias.assign(tf.repeat(gates, hidden))

    def call(self, x: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
        mask = tf.sequence_mask(lengths, tf.shape(x)[1])  # (batch, time)
        return self.readout(self.lstm(x, mask=mask))


class TFRNNClassifier(tf.keras.Model):
    """A plain RNN with tanh, then logits from its last real state.

    ``x`` and ``lengths`` as in ``TFLSTMClassifier``. The recurrent weights start orthogonal, the
    bias at 0.
    """

    def __init__(
        self, features: int, hidden: int, classes: int, dtype: str = "float32"
    ):
        super().__init__(dtype=dtype)
        layers = tf.keras.layers
        self.rnn = layers.SimpleRNN(hidden, dtype=dtype, name="rnn")
        self.readout = layers.Dense(classes, dtype=dtype, name="readout")
        self.rnn.build((None, None, features))
        self.readout.build((None, hidden))
        self.built = True

    def call(self, x: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
        mask = tf.sequence_mask(lengths, tf.shape(x)[1])
        return self.readout(self.rnn(x, mask=mask))


class TFTextLSTM(tf.keras.Model):
    """Embedding, LSTM, logits: tokens (batch, time) to (batch, classes).

    Tokens are int64, below ``vocabulary``; 0 is padding and stands only at the end. ``lengths``
    (batch,) int64 counts the real tokens. Forget gates start with the bias 1.
    """

    def __init__(
        self, vocabulary: int, features: int, hidden: int, classes: int,
        dtype: str = "float32",
    ):
        super().__init__(dtype=dtype)
        layers = tf.keras.layers
        self.embedding = layers.Embedding(
            vocabulary, features, dtype=dtype, name="embedding")
        self.lstm = layers.LSTM(hidden, dtype=dtype, name="lstm")
        self.readout = layers.Dense(classes, dtype=dtype, name="readout")
        self.embedding.build((None, None))
        self.lstm.build((None, None, features))
        self.readout.build((None, hidden))
        self.built = True

    def call(self, tokens: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
        mask = tf.sequence_mask(lengths, tf.shape(tokens)[1])
        return self.readout(self.lstm(self.embedding(tokens), mask=mask))


def step_tf(
    model: tf.keras.Model,
    x: tf.Tensor,
    lengths: tf.Tensor,
    y: tf.Tensor,
    learning_rate: float,
) -> tf.Tensor:
    """One step of gradient descent; returns the loss before it.

    ``x`` and ``lengths`` are what the model takes, ``y`` (batch,) the labels; all lie on its
    device. The loss is a scalar tensor, left on its device.
    """
    params = model.trainable_variables
    with tf.GradientTape() as tape:
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=y, logits=model(x, lengths))
        loss = tf.reduce_mean(losses)
    gradients = tape.gradient(loss, params)
    for param, gradient in zip(params, gradients):
        param.assign_sub(learning_rate * tf.convert_to_tensor(gradient))
    return loss
