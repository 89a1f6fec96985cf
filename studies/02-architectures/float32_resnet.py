"""Why float32 twins of a residual network part: the rounding, the ReLUs, or the training itself?

An 8-layer network with shortcuts takes 40 steps of gradient descent in float64. At the start and
after the 40 steps, on the same batch of 32 tiles, the float32 gradient is compared with the float64
gradient of the same framework at the same weights: how far apart they are, as a share of the
gradient's length, and how many ReLU units are open in one and closed in the other. Then float64
runs start from kernels of the first layer multiplied by 1 + 1e-9, 1 + 1e-7 and 1 + 1e-5, and a
float32 run from the same kernels: how far their losses lie from those of the first run, at most,
in the last ten of the 40 steps. Rows: with batch normalisation and without, at a large and at a
small rate. Each seed draws other weights and batches, the same ones in both frameworks.
"""

import numpy as np

from course_lib import parity
from course_lib.data import load

CONFIG = {"steps": 40, "batch": 32, "width": 8, "depth": 8}
BAND = {"error_at_start": 1e-2, "flips_at_start": 5, "error_later": 1e-2, "flips_later": 5,
        "apart_1e-9": 0.1, "apart_1e-7": 0.2, "apart_1e-5": 0.3, "apart_float32": 0.3}
SEEDS = 3


def rows():
    return [{"norm": norm, "learning_rate": rate}
            for norm in (True, False) for rate in (0.125, 0.0078125)]


def batches(count, config, seed):
    """Row numbers of each batch: one shuffled pass after the other."""
    random, rows = np.random.default_rng(seed), np.empty(0, int)
    for _ in range(config["steps"]):
        if len(rows) < config["batch"]:
            rows = random.permutation(count)
        yield rows[: config["batch"]]
        rows = rows[config["batch"]:]


class Torch:
    """What the study needs of PyTorch."""

    def __init__(self):
        import torch

        from course_lib.pytorch.resnet import TorchResNet, step_torch

        self.torch, self.make, self.step = torch, TorchResNet, step_torch

    def tensor(self, array):
        return self.torch.from_numpy(array)

    def weights(self, model):
        return [p.detach().numpy().copy() for p in model.parameters()]

    def load(self, model, weights):
        with self.torch.no_grad():
            for param, array in zip(model.parameters(), weights, strict=True):
                param.copy_(self.torch.from_numpy(array))

    def open_units(self, model, x):
        """For each ReLU: which units are open, in training mode."""
        model.train()
        found = []
        with self.torch.no_grad():
            h = model.stem_norm(model.stem(self.tensor(x).permute(0, 3, 1, 2)))
            found.append((h > 0).permute(0, 2, 3, 1).numpy())
            h = h.relu()
            for block in model.blocks:
                inner = block.norm1(block.conv1(h))
                found.append((inner > 0).permute(0, 2, 3, 1).numpy())
                h = block(h)
                found.append((h > 0).permute(0, 2, 3, 1).numpy())
        return found

    def gradient(self, model, x, y):
        model.train()
        model.zero_grad()
        logits = model(self.tensor(x))
        self.torch.nn.functional.cross_entropy(logits, self.tensor(y)).backward()
        return [p.grad.numpy().astype(np.float64) for p in model.parameters()]


class TensorFlow:
    """The same of TensorFlow."""

    def __init__(self):
        import tensorflow as tf

        from course_lib.tensorflow.resnet import TFResNet, step_tf

        self.tf, self.make, self.step = tf, TFResNet, tf.function(step_tf)

    def tensor(self, array):
        return self.tf.constant(array)

    def weights(self, model):
        return [v.numpy() for v in model.trainable_variables]

    def load(self, model, weights):
        for variable, array in zip(model.trainable_variables, weights, strict=True):
            variable.assign(array.astype(variable.dtype))

    def open_units(self, model, x):
        tf, found = self.tf, []
        h = model.stem_norm(model.stem(self.tensor(x)), training=True)
        found.append((h > 0).numpy())
        h = tf.nn.relu(h)
        for block in model.blocks:
            inner = h
            if block.conv1.strides[0] == 2:
                inner = tf.pad(inner, [(0, 0), (1, 1), (1, 1), (0, 0)])
            inner = block.norm1(block.conv1(inner), training=True)
            found.append((inner > 0).numpy())
            h = block(h, training=True)
            found.append((h > 0).numpy())
        return found

    def gradient(self, model, x, y):
        tf = self.tf
        with tf.GradientTape() as tape:
            logits = model(self.tensor(x), training=True)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))
        gradients = tape.gradient(loss, model.trainable_variables)
        return [g.numpy().astype(np.float64) for g in gradients]


def start(config, classes):
    """Freshly drawn weights in the order and layout of either framework."""
    torch, tensorflow = Torch(), TensorFlow()
    sizes = {name: config[name] for name in ("depth", "width", "norm")}
    pair = [side.make(classes, **sizes, dtype="float64") for side in (torch, tensorflow)]
    parity.copy_weights(*pair)
    return {"pytorch": (torch, torch.weights(pair[0])),
            "tensorflow": (tensorflow, tensorflow.weights(pair[1]))}


def error_and_flips(side, models, weights, x, y):
    """Distance of the float32 gradient from the float64 one, and ReLU units that differ."""
    gradients, masks = [], []
    for dtype, model in models.items():
        side.load(model, weights)
        images = x.astype(dtype)
        masks.append(side.open_units(model, images))
        gradients.append(np.concatenate([g.ravel() for g in side.gradient(model, images, y)]))
    flips = sum(int((a != b).sum()) for a, b in zip(*masks))
    right, found = gradients
    return float(np.linalg.norm(found - right) / np.linalg.norm(right)), flips


def train(side, model, x, y, order, rate):
    dtype = str(side.weights(model)[0].dtype)
    return np.array([float(side.step(model, side.tensor(x[rows].astype(dtype)),
                                     side.tensor(y[rows]), rate)) for rows in order])


def run(config, seed, framework):
    tiles = load("photo-tiles")
    mean, std = (f(tiles.x_train, axis=(0, 1, 2)) for f in (np.mean, np.std))
    x, y = (tiles.x_train - mean) / std, tiles.y_train
    classes = len(tiles.classes)
    side, weights = start(config, classes)[framework]
    sizes = {name: config[name] for name in ("depth", "width", "norm")}
    order = list(batches(len(y), config, seed))
    rate = config["learning_rate"]

    models = {dtype: side.make(classes, **sizes, dtype=dtype) for dtype in ("float64", "float32")}

    def trained(dtype, first=1.0):
        side.load(models[dtype], [first * weights[0], *weights[1:]])
        return train(side, models[dtype], x, y, order, rate)

    here = x[order[0]], y[order[0]]
    losses = trained("float64")
    after = side.weights(models["float64"])
    error, flips = error_and_flips(side, models, weights, *here)
    later, later_flips = error_and_flips(side, models, after, *here)
    others = {f"apart_{nudge}": trained("float64", 1 + float(nudge))
              for nudge in ("1e-9", "1e-7", "1e-5")}
    others["apart_float32"] = trained("float32")
    return {"error_at_start": error, "flips_at_start": flips, "error_later": later,
            "flips_later": later_flips,
            **{name: float(np.abs(other - losses)[-10:].max()) for name, other in others.items()}}
