"""A deep stack of dense layers, and its step with or without clipping; twin of course_lib/tensorflow/deep_mlp.py."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional as F

from course_lib.scratch.initialisation import draw_layers


def fill_torch(
    model: torch.nn.Module, drawn: Sequence[tuple[np.ndarray, np.ndarray]]
) -> None:
    """Give the dense layers of a deep network weights and biases.

    ``drawn`` holds (weight (fan_in, fan_out), bias (fan_out,)) of each, the readout last.
    """
    with torch.no_grad():
        for layer, (weight, bias) in zip(
                [*model.layers, model.readout], drawn, strict=True):
            layer.weight.copy_(torch.from_numpy(weight.T))
            layer.bias.copy_(torch.from_numpy(bias))


class TorchDeepMLP(torch.nn.Module):
    """A deep stack of dense layers: (batch, features) -> logits.

    ``depth`` counts the layers with weights, the readout among them. Each hidden layer computes
    z = norm(W a + b) and f(z); ``activation`` is "sigmoid", "tanh" or "relu", ``norm`` is "none",
    "layer" (Ba et al. 2016) or "batch" (Ioffe and Szegedy 2015), both with epsilon 1e-5; a
    new batch weighs 1/8 in the running statistics. With ``shortcuts`` a layer hands on
    a + branch * f(z) where both have one shape (He et al. 2016). Weights are drawn by
    ``course_lib.scratch.initialisation`` with the rule ``init`` from ``seed``, the same in both
    frameworks. ``dtype`` is "float32" or "float64".

    Raises ``ValueError`` for a depth below 2, or an activation or norm that is not known.
    """

    def __init__(
        self, features: int, width: int, depth: int, classes: int,
        activation: str = "relu", init: str = "he", norm: str = "none",
        shortcuts: bool = False, branch: float = 1.0, seed: int = 0,
        dtype: str = "float32",
    ):
        super().__init__()
        functions = {"sigmoid": torch.sigmoid, "tanh": torch.tanh,
                     "relu": torch.relu}
        norms = {"none": torch.nn.Identity, "layer": torch.nn.LayerNorm,
                 "batch": torch.nn.BatchNorm1d}
        if depth < 2 or activation not in functions or norm not in norms:
            raise ValueError(
                f"depth {depth}, {activation!r}, {norm!r}: give 2 or more,"
                f" one of {list(functions)} and one of {list(norms)}")
        self.f, self.shortcuts = functions[activation], shortcuts
        self.branch, kind = branch, getattr(torch, dtype)
        sizes = [features, *[width] * (depth - 1), classes]
        share = {"momentum": 0.125} if norm == "batch" else {}
        self.layers = torch.nn.ModuleList(
            torch.nn.Linear(a, b, dtype=kind)
            for a, b in zip(sizes, sizes[1:-1]))
        self.norms = torch.nn.ModuleList(
            norms[norm](width, eps=1e-5, dtype=kind, **share)
            for _ in self.layers)
        self.readout = torch.nn.Linear(width, classes, dtype=kind)
        fill_torch(self, draw_layers(sizes, init, seed))

    def signals(self, x: torch.Tensor) -> list[torch.Tensor]:
        """The input z of each activation, and last the logits."""
        found = []
        for layer, norm in zip(self.layers, self.norms):
            found.append(norm(layer(x)))             # (batch, width)
            out = self.f(found[-1])
            skip = self.shortcuts and out.shape == x.shape
            x = x + self.branch * out if skip else out
        return [*found, self.readout(x)]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.signals(x)[-1]


def global_norm_torch(gradients: Sequence[torch.Tensor]) -> torch.Tensor:
    """The root of the sum of all squares, without overflow.

    A scalar tensor on the gradients' device; not finite where an entry is not.
    """
    largest = torch.stack([g.abs().max() for g in gradients]).max()
    unit = torch.where(largest > 0, largest, torch.ones_like(largest))
    squares = [((g / unit) ** 2).sum() for g in gradients]
    return unit * torch.stack(squares).sum().sqrt()


def clip_torch(
    gradients: Sequence[torch.Tensor], limit: float
) -> list[torch.Tensor]:
    """Scale all gradients by one number: their norm is at most limit.

    Pascanu et al. (2013, algorithm 1).
    """
    norm = global_norm_torch(gradients)
    scale = limit / torch.clamp(norm, min=limit)
    return [scale * g for g in gradients]


def step_torch(
    model: torch.nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    learning_rate: float,
    limit: float | None = None,
) -> torch.Tensor:
    """One step of SGD, clipped if a limit is given; the loss before it.

    The loss is a scalar tensor, left on its device. ``x`` (batch, features) and the labels ``y``
    (batch,) lie on the model's device.
    """
    model.train()
    loss = F.cross_entropy(model(x), y)
    model.zero_grad()
    loss.backward()                       # computes gradients, no more
    params = list(model.parameters())
    gradients = [param.grad for param in params]
    if limit is not None:
        gradients = clip_torch(gradients, limit)
    with torch.no_grad():
        for param, gradient in zip(params, gradients):
            param -= learning_rate * gradient         # the optimizer
    return loss.detach()


def sizes_torch(
    model: torch.nn.Module, x: torch.Tensor, y: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Norms of the gradients in each layer's weights and in its z.

    Two tensors (depth,), from the first layer to the readout, in training mode; nothing is changed
    but the running statistics of batch normalisation. ``x`` and ``y`` as in ``step_torch``.
    """
    model.train()
    signals = model.signals(x)
    loss = F.cross_entropy(signals[-1], y)
    weights = [layer.weight for layer in [*model.layers, model.readout]]
    found = torch.autograd.grad(loss, [*weights, *signals])
    norms = torch.stack([global_norm_torch([g]) for g in found])
    return norms[:len(weights)], norms[len(weights):]


def predict_torch(model: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Logits (images, classes) in inference mode; the model keeps the mode it had."""
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        logits = model(x)
    model.train(was_training)
    return logits
