"""Three losses and four activations on the digits, each with the same five learning rates.

A network of 196-32-10 units is fitted to the first 2,000 training digits, shrunk to 14×14 pixels
and centred, by 100 steps of full-batch gradient descent. Rows: softmax cross-entropy with each
activation; half the squared distance of the softmax, and of the outputs themselves, to one-hot
labels, with ReLU. Every row gets the same grid of rates, a factor of four apart, so that all are
tuned with equal effort: the rate is chosen on the validation digits, the test digits are reported.
Each seed draws other weights, the same in both frameworks and in every row with that seed.
"""

import numpy as np

from course_lib import parity
from course_lib.data import load
from course_lib.metrics import accuracy

CONFIG = {"steps": 100, "hidden": 32, "images": 2000}
BAND = {"validation_accuracy": 0.02, "test_accuracy": 0.02, "dead_units": 0.1, "diverged": 0}
METHODS = (
    ("cross_entropy", "sigmoid"),
    ("cross_entropy", "tanh"),
    ("cross_entropy", "relu"),
    ("cross_entropy", "gelu"),
    ("softmax_squared", "relu"),
    ("output_squared", "relu"),
)
RATES = (0.125, 0.5, 2.0, 8.0, 32.0)


def rows():
    return [{"loss": loss, "activation": activation, "learning_rate": rate}
            for loss, activation in METHODS for rate in RATES]


def images(count):
    """The digits, and their pixels shrunk and centred: three arrays (n, 196) float32."""
    digits = load("mnist-5k")

    def shrink(x):
        blocks = x.reshape(len(x), 14, 2, 14, 2)
        return blocks.sum(axis=(2, 4)).reshape(len(x), 196) / 2

    x = shrink(digits.x_train[:count])
    mean = x.mean(axis=0)
    return digits, x - mean, shrink(digits.x_validation) - mean, shrink(digits.x_test) - mean


def twins(config):
    """A torch model with freshly drawn weights, and a Keras model with the same ones."""
    from course_lib.pytorch.classification import TorchClassifier
    from course_lib.tensorflow.classification import TFClassifier

    sizes = 196, config["hidden"], 10, config["activation"]
    torch_model, tf_model = TorchClassifier(*sizes), TFClassifier(*sizes)
    parity.copy_weights(torch_model, tf_model)
    return torch_model, tf_model


def fit_torch(model, x, y, others, config):
    """Train, and return the last loss, the hidden units of x and the logits of the others."""
    import torch

    from course_lib.pytorch import classification

    loss_function = getattr(classification, f"{config['loss']}_torch")
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    for _ in range(config["steps"]):
        loss = classification.step_torch(model, x, y, config["learning_rate"], loss_function)
        if not torch.isfinite(loss):
            return None
    with torch.inference_mode():
        hidden = model.activation(model.hidden(x)).numpy()
        return hidden, [model(torch.from_numpy(a)).numpy() for a in others]


def fit_tf(model, x, y, others, config):
    """The same in TensorFlow."""
    import tensorflow as tf

    from course_lib.tensorflow import classification

    loss_function = getattr(classification, f"{config['loss']}_tf")
    step = tf.function(classification.step_tf)
    x, y = tf.constant(x), tf.constant(y)
    for _ in range(config["steps"]):
        loss = step(model, x, y, config["learning_rate"], loss_function)
        if not np.isfinite(loss):
            return None
    return model.hidden(x).numpy(), [model(tf.constant(a)).numpy() for a in others]


def run(config, seed, framework):
    digits, x, *others = images(config["images"])
    torch_model, tf_model = twins(config)
    data = x, digits.y_train[: config["images"]], others, config
    fitted = fit_torch(torch_model, *data) if framework == "pytorch" else fit_tf(tf_model, *data)
    if fitted is None or not all(np.isfinite(logits).all() for logits in fitted[1]):
        return dict.fromkeys(BAND) | {"diverged": 1}
    hidden, (validation, test) = fitted
    return {
        "validation_accuracy": accuracy(validation, digits.y_validation),
        "test_accuracy": accuracy(test, digits.y_test),
        "dead_units": float(np.mean((hidden == 0).all(axis=0))),
        "diverged": 0,
    }
