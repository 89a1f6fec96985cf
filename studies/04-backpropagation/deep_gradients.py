"""Deep gradients: what trains thirty layers, sixteen networks at five learning rates each.

Networks of 30 dense layers, 64 units wide (one has 2 layers, for comparison), are trained by SGD on
2,000 digits, shrunk to 14×14 pixels, centred and scaled to mean square 1, with softmax
cross-entropy: 200 steps in batches of 50 drawn without replacement. They differ in activation,
start, normalisation, shortcuts and clipping, one remedy at a time. Every network gets the same
tuning effort: the same five learning rates. The rate is meant to be chosen by the mean validation
loss; the test digits then judge. Each seed draws other weights and other batches, the same for both
frameworks.
"""

from functools import cache

import numpy as np

from course_lib.data import load
from course_lib.metrics import accuracy
from course_lib.scratch.initialisation import draw_layers
from course_lib.scratch.optimizers import minibatches

CONFIG = {"images": 2000, "epochs": 5, "batch": 50, "width": 64, "depth": 30}
BAND = {
    "validation_loss": 0.1,
    "validation_accuracy": 0.04,
    "test_accuracy": 0.04,
    "diverged": 0,
}
SHORTCUTS = {"activation": "relu", "init": "glorot", "shortcuts": True}
SMALL = {**SHORTCUTS, "branch": 0.1875}
NETWORKS = {
    "sigmoid": {"activation": "sigmoid", "init": "glorot"},
    "sigmoid, layer norm": {"activation": "sigmoid", "init": "glorot", "norm": "layer"},
    "sigmoid, batch norm": {"activation": "sigmoid", "init": "glorot", "norm": "batch"},
    "sigmoid, shortcuts": {**SHORTCUTS, "activation": "sigmoid"},
    "tanh, Glorot": {"activation": "tanh", "init": "glorot"},
    "tanh, orthogonal": {"activation": "tanh", "init": "orthogonal"},
    "ReLU, PyTorch's start": {"activation": "relu", "init": "pytorch"},
    "ReLU, Glorot": {"activation": "relu", "init": "glorot"},
    "ReLU, He": {"activation": "relu", "init": "he"},
    "ReLU, layer norm": {"activation": "relu", "init": "glorot", "norm": "layer"},
    "ReLU, batch norm": {"activation": "relu", "init": "glorot", "norm": "batch"},
    "ReLU, shortcuts": SHORTCUTS,
    "ReLU, shortcuts, clipped": SHORTCUTS,
    "ReLU, small shortcuts": SMALL,
    "ReLU, small shortcuts, clipped": SMALL,
    "2 layers, ReLU, He": {"activation": "relu", "init": "he", "depth": 2},
}
RATES = tuple(2.0**power for power in (-9, -7, -5, -3, -1))


def rows():
    return [{"network": name, "learning_rate": rate} for name in NETWORKS for rate in RATES]


@cache
def images(count):
    """Images (n, 196), shrunk, centred and scaled, and labels (n,) of the three splits."""
    digits = load("mnist-5k")

    def shrink(x):
        blocks = x.reshape(len(x), 14, 2, 14, 2)
        return blocks.sum(axis=(2, 4)).reshape(len(x), 196) / 2

    x = shrink(digits.x_train[:count])
    mean = x.mean(axis=0)
    spread = np.sqrt(np.mean((x - mean) ** 2))
    splits = (
        (x, digits.y_train[:count]),
        (shrink(digits.x_validation), digits.y_validation),
        (shrink(digits.x_test), digits.y_test),
    )
    return [(((part - mean) / spread).astype(np.float32), labels.astype(np.int64))
            for part, labels in splits]


def settings_of(config):
    """Sizes and settings of the network, for the models of both frameworks."""
    return {"features": 196, "classes": 10, "width": config["width"], "depth": config["depth"],
            **NETWORKS[config["network"]]}


def limit_of(config):
    return 5.0 if "clipped" in config["network"] else None


def fit_torch(config, splits, order, seed):
    import torch

    from course_lib.pytorch.deep_mlp import TorchDeepMLP, predict_torch, step_torch

    model = TorchDeepMLP(**settings_of(config), seed=seed)
    x, y = (torch.from_numpy(part) for part in splits[0])
    rows = torch.from_numpy(order)
    for batch in rows:
        step_torch(model, x[batch], y[batch], config["learning_rate"], limit_of(config))
    return [predict_torch(model, torch.from_numpy(part[0])).numpy() for part in splits]


@cache
def compiled(network, width, depth):
    """A Keras model and its compiled run over all batches: tracing 30 layers takes seconds."""
    import tensorflow as tf

    from course_lib.tensorflow.deep_mlp import TFDeepMLP, step_tf

    config = {"network": network, "width": width, "depth": depth}
    model = TFDeepMLP(**settings_of(config))

    @tf.function
    def run(x, y, order, rate):
        for i in tf.range(len(order)):
            step_tf(model, tf.gather(x, order[i]), tf.gather(y, order[i]), rate, limit_of(config))

    return model, run, [v.numpy() for v in model.weights]


def fit_tf(config, splits, order, seed):
    import tensorflow as tf

    from course_lib.tensorflow.deep_mlp import fill_tf, predict_tf

    model, run, start = compiled(config["network"], config["width"], config["depth"])
    for variable, value in zip(model.weights, start):
        variable.assign(value)
    settings = settings_of(config)
    sizes = [196, *[settings["width"]] * (settings["depth"] - 1), 10]
    fill_tf(model, draw_layers(sizes, settings["init"], seed))
    x, y = (tf.constant(part) for part in splits[0])
    run(x, y, tf.constant(order), tf.constant(config["learning_rate"], tf.float32))
    return [predict_tf(model, tf.constant(part[0])).numpy() for part in splits]


def run(config, seed, framework):
    splits = images(config["images"])
    order = minibatches(config["images"], config["batch"], config["epochs"], seed)
    fit = fit_torch if framework == "pytorch" else fit_tf
    outputs = [part.astype(np.float64) for part in fit(config, splits, order, seed)]
    diverged = not all(np.isfinite(part).all() for part in outputs)
    if diverged:
        return dict.fromkeys(BAND) | {"diverged": 1}
    labels = splits[1][1]
    logits = outputs[1] - outputs[1].max(axis=1, keepdims=True)
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return {
        "validation_loss": float(-log_p[np.arange(len(labels)), labels].mean()),
        "validation_accuracy": accuracy(outputs[1], labels),
        "test_accuracy": accuracy(outputs[2], splits[2][1]),
        "diverged": 0,
    }
