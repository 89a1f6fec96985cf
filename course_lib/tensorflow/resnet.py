"""A residual network for small images, and its step; twin of course_lib/pytorch/resnet.py."""

from __future__ import annotations

import tensorflow as tf


class TFBlock(tf.keras.layers.Layer):
    """relu(F(x) + x), where F is two convolutions, each normalised.

    Without ``shortcut`` it is relu(F(x)), two plain layers. Where F halves the image and doubles
    the channels, the shortcut takes every second pixel and fills the new channels with zeros: it
    has no parameters (He et al. 2016, option A).
    """

    def __init__(self, conv1, norm1, conv2, norm2, shortcut: bool = True):
        super().__init__(dtype=conv1.dtype)
        self.conv1, self.norm1 = conv1, norm1
        self.conv2, self.norm2 = conv2, norm2
        self.shortcut = shortcut

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        out = x                           # (batch, rows, cols, channels)
        if self.conv1.strides[0] == 2:    # "same" would pad the right only
            out = tf.pad(out, [(0, 0), (1, 1), (1, 1), (0, 0)])
        out = self.norm1(self.conv1(out), training=training)
        out = self.conv2(tf.nn.relu(out))
        out = self.norm2(out, training=training)
        if self.shortcut:
            if out.shape[-1] != x.shape[-1]:
                more = out.shape[-1] - x.shape[-1]
                x = tf.pad(x[:, ::2, ::2], [(0, 0)] * 3 + [(0, more)])
            out = out + x
        return tf.nn.relu(out)


class TFResNet(tf.keras.Model):
    """Images (batch, rows, columns, 3) -> logits (batch, classes).

    The networks of He et al. (2016, section 4.2): a first convolution, three stages of n blocks
    with ``width``, 2 and 4 times ``width`` channels, the mean over all pixels, a dense layer;
    ``depth`` = 6 n + 2 layers with weights. ``shortcuts=False`` leaves the plain network with the
    same parameters; ``norm=False`` leaves out batch normalisation and gives the convolutions
    biases. Kernels start as He et al. (2015) draw them, in a normal distribution of variance
    2 / fan_in, which Keras cuts at two deviations. ``dtype`` is "float32" or "float64".

    Raises ``ValueError`` where ``depth`` is not 6 n + 2.
    """
    def __init__(self, classes: int, depth: int = 8, width: int = 8,
                 shortcuts: bool = True, norm: bool = True,
                 dtype: str = "float32"):
        super().__init__(dtype=dtype)
        if depth < 8 or depth % 6 != 2:
            raise ValueError(f"depth {depth}: give 6 n + 2, such as 8, 14, 20")
        self.norm, self.kind = norm, dtype
        self.stem, self.stem_norm = self._layer(3, width)
        self.blocks, channels = [], width
        for stage in range(3):
            for _ in range((depth - 2) // 6):
                inputs, channels = channels, width * 2**stage
                path = f"blocks.{len(self.blocks)}."
                self.blocks.append(TFBlock(
                    *self._layer(inputs, channels, path, "1"),
                    *self._layer(channels, channels, path, "2"), shortcuts))
        self.readout = tf.keras.layers.Dense(classes, dtype=dtype, name="readout")
        self.readout.build((None, channels))
        self.built = True

    def _layer(self, inputs: int, outputs: int, path="", number=""):
        stride = 1 if outputs != 2 * inputs else 2
        names = ("stem", "stem_norm")
        if path:
            names = (path + "conv" + number, path + "norm" + number)
        conv = tf.keras.layers.Conv2D(
            outputs, 3, stride, padding="same" if stride == 1 else "valid",
            use_bias=not self.norm, kernel_initializer="he_normal",
            dtype=self.kind, name=names[0])
        conv.build((None, None, None, inputs))
        if not self.norm:
            return conv, tf.keras.layers.Identity(dtype=self.kind)
        norm = tf.keras.layers.BatchNormalization(
            epsilon=1e-5, momentum=0.875, dtype=self.kind, name=names[1])
        norm.build((None, None, None, outputs))
        return conv, norm

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        x = self.stem_norm(self.stem(x), training=training)
        x = tf.nn.relu(x)
        for block in self.blocks:
            x = block(x, training=training)
        return self.readout(tf.reduce_mean(x, axis=(1, 2)))


def step_tf(
    model: tf.keras.Model,
    x: tf.Tensor,
    y: tf.Tensor,
    learning_rate: float,
) -> tf.Tensor:
    """One step of gradient descent in training mode; the loss before it.

    The loss is a scalar tensor, left on its device. ``x`` (batch, rows, columns, 3) and the labels
    ``y`` (batch,) lie on the model's device. Running statistics move once.
    """
    params = model.trainable_variables
    with tf.GradientTape() as tape:
        logits = model(x, training=True)    # normalise by this batch
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=y, logits=logits))
    gradients = tape.gradient(loss, params)
    for param, gradient in zip(params, gradients):
        param.assign_sub(learning_rate * gradient)
    return loss


def predict_tf(
    model: tf.keras.Model, x: tf.Tensor
) -> tf.Tensor:
    """Logits (images, classes) in inference mode: running statistics.

    ``x`` (images, rows, columns, 3). At most 500 images at a time. The model keeps the mode it had.
    """
    parts = [model(x[start:start + 500], training=False)
             for start in range(0, len(x), 500)]
    return tf.concat(parts, axis=0)
