"""LeNet and a network without convolutions of the same size, on digits in place and moved.

LeNet has 61,706 parameters, the network with one hidden layer of 78 units 62,020. Both see the
3,500 training digits in batches of 50 for ten epochs of plain gradient descent, either as they are
or each moved anew in every epoch by up to 4 pixels down or up and right or left. All four get the
same grid of learning rates, a factor of four apart: the rate is chosen on the validation digits,
treated like the training digits. The test digits are then moved by 0 to 4 pixels left, right, up
and down; a moved accuracy is the mean of the four directions. Each seed draws other weights and
batches, the same in both frameworks.
"""

import numpy as np

from course_lib import parity
from course_lib.data import load
from course_lib.metrics import accuracy
from course_lib.scratch.convolution import moved

SEEDS = 3
CONFIG = {"epochs": 10, "batch": 50, "hidden": 78, "most": 4}
BAND = {"validation_accuracy": 0.02, "moved_0": 0.02, "moved_1": 0.03, "moved_2": 0.04,
        "moved_3": 0.06, "moved_4": 0.06, "diverged": 0}
RATES = (0.03125, 0.125, 0.5)


def rows():
    return [{"model": model, "training": training, "learning_rate": rate}
            for model in ("lenet", "mlp") for training in ("in place", "moved")
            for rate in RATES]


def random_moves(images, random, most):
    """Each image moved by its own random distance."""
    return moved(images, *random.integers(-most, most + 1, (2, len(images))))


def at_distance(images, pixels):
    """All images moved left, right, up and down: (4 n, rows, columns)."""
    ways = ((0, -pixels), (0, pixels), (-pixels, 0), (pixels, 0))
    return np.concatenate([moved(images, *way) for way in ways])


def twins(config):
    """A torch model with freshly drawn weights, and a Keras model with the same ones."""
    from course_lib.pytorch.classification import TorchClassifier
    from course_lib.pytorch.lenet import TorchLeNet
    from course_lib.tensorflow.classification import TFClassifier
    from course_lib.tensorflow.lenet import TFLeNet

    if config["model"] == "lenet":
        pair = TorchLeNet(), TFLeNet()
    else:
        sizes = 784, config["hidden"], 10
        pair = TorchClassifier(*sizes), TFClassifier(*sizes)
    parity.copy_weights(*pair)
    return pair


def epochs(digits, prepare, config, seed):
    """The images and labels of each epoch, in batches: (steps, batch, …), the last rest left out."""
    random, size = np.random.default_rng(seed), config["batch"]
    for _ in range(config["epochs"]):
        images = digits.x_train
        if config["training"] == "moved":
            images = random_moves(images, random, config["most"])
        order = random.permutation(len(images))[: len(images) // size * size].reshape(-1, size)
        yield prepare(images)[order], digits.y_train[order]


def fit_torch(model, batches, rate):
    """Train, and return what gives the logits of images; None where the loss is not finite."""
    import torch

    from course_lib.pytorch.lenet import step_torch

    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    for x, y in batches:
        for images, labels in zip(torch.from_numpy(x), torch.from_numpy(y)):
            loss = step_torch(model, images, labels, optimizer)
        if not torch.isfinite(loss):
            return None
    model.eval()

    def logits(images):
        with torch.inference_mode():
            return model(torch.from_numpy(images)).numpy()

    return logits


def fit_tf(model, batches, rate):
    """The same in TensorFlow."""
    import tensorflow as tf

    from course_lib.tensorflow.lenet import step_tf

    optimizer = tf.keras.optimizers.SGD(rate)
    optimizer.build(model.trainable_variables)
    step = tf.function(step_tf)
    for x, y in batches:
        for images, labels in zip(tf.constant(x), tf.constant(y)):
            loss = step(model, images, labels, optimizer)
        if not np.isfinite(loss):
            return None
    forward = tf.function(model, reduce_retracing=True)
    return lambda images: forward(tf.constant(images)).numpy()


def run(config, seed, framework):
    digits = load("mnist-5k")
    mean, deviation = digits.x_train.mean(), digits.x_train.std()

    def prepare(images):
        centred = (images - mean) / deviation
        return centred if config["model"] == "lenet" else centred.reshape(len(images), 784)

    torch_model, tf_model = twins(config)
    batches = epochs(digits, prepare, config, seed)
    rate = config["learning_rate"]
    logits = (fit_torch(torch_model, batches, rate) if framework == "pytorch"
              else fit_tf(tf_model, batches, rate))
    if logits is None:
        return dict.fromkeys(BAND) | {"diverged": 1}
    validation = digits.x_validation
    if config["training"] == "moved":  # always the same moves
        validation = random_moves(validation, np.random.default_rng(0), config["most"])
    found = {"validation_accuracy": accuracy(logits(prepare(validation)), digits.y_validation)}
    for pixels in range(config["most"] + 1):
        images = prepare(at_distance(digits.x_test, pixels))
        found[f"moved_{pixels}"] = accuracy(logits(images), np.tile(digits.y_test, 4))
    return found | {"diverged": 0}
