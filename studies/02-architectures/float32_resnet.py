"""Why float32 twins of a residual network part: rounding, the training, or the kink of ReLU?

An 8-layer network with shortcuts and batch normalisation takes 40 steps of gradient descent in
float64, again with the first kernel multiplied by 1 + nudge for nudges from 1e-11 to 1e-5, and
again in float32. Measured: the largest distance of the losses from those of the first run in the
last ten steps; the distance of the float32 gradient from the float64 gradient at equal weights,
as a share of its length, before the first step; and, between the float32 and the float64 run, the
first step at which a unit has another sign before its activation, and the largest distance of the
losses up to that step. Rows: x * sigmoid(s x) in place of ReLU for s = 1, 8 and 64, which is SiLU
for s = 1 and nears ReLU as s grows; ReLU itself ("sharpness" null), at two rates. Each seed draws
other weights and batches, the same ones in both frameworks.
"""

import numpy as np

from course_lib import parity
from course_lib.data import load

CONFIG = {"steps": 40, "batch": 32, "width": 8, "depth": 8}
NUDGES = ("1e-11", "1e-9", "1e-8", "1e-7", "1e-6", "1e-5")
BAND = {"gradient_error": 1e-5, "first_flip": 40, "before_flip": 1e-5, "apart_float32": 0.3,
        "apart_1e-11": 5e-11, "apart_1e-9": 5e-9, "apart_1e-8": 0.3, "apart_1e-7": 0.3,
        "apart_1e-6": 0.3, "apart_1e-5": 0.3}
SEEDS = 3


def rows():
    smooth = [{"sharpness": s, "learning_rate": 0.125} for s in (1, 8, 64)]
    return smooth + [{"sharpness": None, "learning_rate": rate} for rate in (0.125, 0.0078125)]


def batches(count, config, seed):
    """Row numbers of each batch: one shuffled pass after the other."""
    random, rows = np.random.default_rng(seed), np.empty(0, int)
    for _ in range(config["steps"]):
        if len(rows) < config["batch"]:
            rows = random.permutation(count)
        yield rows[: config["batch"]]
        rows = rows[config["batch"]:]


class Torch:
    """A network, its step and its gradient in PyTorch, with any activation."""

    def __init__(self, classes, sizes, sharpness, dtype):
        import torch
        from torch.nn import functional as F

        from course_lib.pytorch.resnet import TorchResNet

        self.torch, self.F, self.dtype = torch, F, dtype
        self.model = TorchResNet(classes, **sizes, dtype=dtype).train()
        self.activation = F.relu if sharpness is None else (
            lambda h: F.silu(sharpness * h) / sharpness)

    def weights(self):
        return [p.detach().numpy().copy() for p in self.model.parameters()]

    def load(self, weights):
        with self.torch.no_grad():
            for param, array in zip(self.model.parameters(), weights, strict=True):
                param.copy_(self.torch.from_numpy(array))

    def forward(self, x):
        """Logits, and what each activation is given."""
        model, F = self.model, self.F
        before = [model.stem_norm(model.stem(x.permute(0, 3, 1, 2)))]
        h = self.activation(before[0])
        for block in model.blocks:
            inner = block.norm1(block.conv1(h))
            out = block.norm2(block.conv2(self.activation(inner)))
            if out.shape[1] != h.shape[1]:
                h = F.pad(h[:, :, ::2, ::2], (0, 0, 0, 0, 0, out.shape[1] - h.shape[1]))
            before += [inner, out + h]
            h = self.activation(before[-1])
        return model.readout(h.mean(dim=(2, 3))), before

    def gradient(self, x, y):
        """The loss, the sign of each unit, and the gradient of each parameter."""
        logits, before = self.forward(self.torch.from_numpy(x.astype(self.dtype)))
        loss = self.F.cross_entropy(logits, self.torch.from_numpy(y))
        gradients = self.torch.autograd.grad(loss, list(self.model.parameters()))
        return loss.item(), [(h > 0).numpy() for h in before], [g.numpy() for g in gradients]

    def step(self, x, y, rate):
        loss, signs, gradients = self.gradient(x, y)
        with self.torch.no_grad():
            for param, gradient in zip(self.model.parameters(), gradients, strict=True):
                param -= rate * self.torch.from_numpy(gradient)
        return loss, signs


class TensorFlow:
    """The same in TensorFlow."""

    def __init__(self, classes, sizes, sharpness, dtype):
        import tensorflow as tf

        from course_lib.tensorflow.resnet import TFResNet

        self.tf, self.dtype = tf, dtype
        self.model = TFResNet(classes, **sizes, dtype=dtype)
        self.activation = tf.nn.relu if sharpness is None else (
            lambda h: tf.nn.silu(sharpness * h) / sharpness)
        self.traced = tf.function(self._gradient, autograph=False)

    def weights(self):
        return [v.numpy() for v in self.model.trainable_variables]

    def load(self, weights):
        for variable, array in zip(self.model.trainable_variables, weights, strict=True):
            variable.assign(array.astype(variable.dtype))

    def forward(self, x):
        model, tf = self.model, self.tf
        before = [model.stem_norm(model.stem(x), training=True)]
        h = self.activation(before[0])
        for block in model.blocks:
            inner = h
            if block.conv1.strides[0] == 2:
                inner = tf.pad(inner, [(0, 0), (1, 1), (1, 1), (0, 0)])
            inner = block.norm1(block.conv1(inner), training=True)
            out = block.norm2(block.conv2(self.activation(inner)), training=True)
            if out.shape[-1] != h.shape[-1]:
                h = tf.pad(h[:, ::2, ::2], [(0, 0)] * 3 + [(0, out.shape[-1] - h.shape[-1])])
            before += [inner, out + h]
            h = self.activation(before[-1])
        return model.readout(tf.reduce_mean(h, axis=(1, 2))), before

    def _gradient(self, x, y):
        tf = self.tf
        with tf.GradientTape() as tape:
            logits, before = self.forward(x)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))
        gradients = tape.gradient(loss, self.model.trainable_variables)
        return loss, [h > 0 for h in before], gradients

    def gradient(self, x, y):
        found = self.traced(self.tf.constant(x.astype(self.dtype)), self.tf.constant(y))
        loss, signs, gradients = found
        return float(loss), [s.numpy() for s in signs], [g.numpy() for g in gradients]

    def step(self, x, y, rate):
        loss, signs, gradients = self.gradient(x, y)
        for variable, gradient in zip(self.model.trainable_variables, gradients, strict=True):
            variable.assign_sub(rate * gradient)
        return loss, signs


def start(config, classes):
    """Freshly drawn weights, in the order and layout of each framework."""
    sizes = {name: config[name] for name in ("depth", "width")}
    pair = Torch(classes, sizes, None, "float64"), TensorFlow(classes, sizes, None, "float64")
    parity.copy_weights(*(side.model for side in pair))
    return {"pytorch": pair[0].weights(), "tensorflow": pair[1].weights()}


def run(config, seed, framework):
    tiles = load("photo-tiles")
    mean, std = (f(tiles.x_train, axis=(0, 1, 2)) for f in (np.mean, np.std))
    x, y = (tiles.x_train - mean) / std, tiles.y_train
    classes = len(tiles.classes)
    weights = start(config, classes)[framework]
    sizes = {name: config[name] for name in ("depth", "width")}
    kind = {"pytorch": Torch, "tensorflow": TensorFlow}[framework]
    sides = {dtype: kind(classes, sizes, config["sharpness"], dtype)
             for dtype in ("float64", "float32")}
    order = list(batches(len(y), config, seed))

    def trained(dtype, nudge=0.0):
        """The losses (steps,) and each step's signs."""
        side = sides[dtype]
        side.load([(1 + nudge) * weights[0], *weights[1:]])
        steps = [side.step(x[rows], y[rows], config["learning_rate"]) for rows in order]
        return np.array([loss for loss, _ in steps]), [signs for _, signs in steps]

    def gradient(dtype):
        sides[dtype].load(weights)
        found = sides[dtype].gradient(x[order[0]], y[order[0]])[2]
        return np.concatenate([g.ravel().astype(np.float64) for g in found])

    right, single = gradient("float64"), gradient("float32")
    losses, signs = trained("float64")
    losses32, signs32 = trained("float32")
    flipped = [any((a != b).any() for a, b in zip(*pair)) for pair in zip(signs, signs32)]
    first = flipped.index(True) + 1 if any(flipped) else None
    apart = np.abs(losses32 - losses)
    found = {f"apart_{nudge}": np.abs(trained("float64", float(nudge))[0] - losses)[-10:].max()
             for nudge in NUDGES}
    return {
        "gradient_error": float(np.linalg.norm(single - right) / np.linalg.norm(right)),
        "first_flip": first,
        "before_flip": float(apart[:first].max()),
        "apart_float32": float(apart[-10:].max()),
        **{name: float(value) for name, value in found.items()},
    }
