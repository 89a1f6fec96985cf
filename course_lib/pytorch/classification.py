"""A classifier, its losses and its training step; twin of course_lib/tensorflow/classification.py."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional as F


class TorchClassifier(torch.nn.Module):
    """One hidden layer: (batch, features) -> logits (batch, classes).

    ``activation`` is "sigmoid", "tanh", "relu" or "gelu" (the exact one); ``dtype`` is "float32"
    or "float64". Weights and biases start as the framework draws them by default.
    """

    def __init__(
        self, features: int, hidden: int, classes: int,
        activation: str = "relu", dtype: str = "float32",
    ):
        super().__init__()
        kinds = {"sigmoid": torch.nn.Sigmoid, "tanh": torch.nn.Tanh,
                 "relu": torch.nn.ReLU, "gelu": torch.nn.GELU}
        if activation not in kinds:
            raise ValueError(f"activation {activation!r}: give one of {list(kinds)}")
        kind = getattr(torch, dtype)
        self.hidden = torch.nn.Linear(features, hidden, dtype=kind)
        self.activation = kinds[activation]()
        self.readout = torch.nn.Linear(hidden, classes, dtype=kind)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.readout(self.activation(self.hidden(x)))


def cross_entropy_torch(
    logits: torch.Tensor, labels: torch.Tensor
) -> torch.Tensor:
    """Softmax cross-entropy of logits and whole-number labels, averaged.

    ``logits`` (batch, classes), ``labels`` (batch,).
    """
    return F.cross_entropy(logits, labels)


def softmax_squared_torch(
    logits: torch.Tensor, labels: torch.Tensor
) -> torch.Tensor:
    """Half the squared distance of softmax(logits) to one-hot labels.

    ``logits`` (batch, classes), ``labels`` (batch,) of whole numbers; averaged over the batch.
    """
    targets = F.one_hot(labels, logits.shape[1])
    error = torch.softmax(logits, dim=1) - targets
    return (error**2).sum(dim=1).mean() / 2


def output_squared_torch(
    logits: torch.Tensor, labels: torch.Tensor
) -> torch.Tensor:
    """Half the squared distance of the outputs to one-hot labels.

    ``logits`` (batch, classes), ``labels`` (batch,) of whole numbers; averaged over the batch. No softmax.
    """
    targets = F.one_hot(labels, logits.shape[1])
    return ((logits - targets) ** 2).sum(dim=1).mean() / 2


def step_torch(
    model: torch.nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    learning_rate: float,
    loss_function: Callable = cross_entropy_torch,
) -> torch.Tensor:
    """One step of gradient descent; returns the loss before it.

    The loss is a scalar tensor, left on its device. ``x`` (batch, features) and the labels ``y``
    (batch,) lie on the model's device. Nothing here waits for the device or asks for a number.
    """
    loss = loss_function(model(x), y)
    model.zero_grad()
    loss.backward()
    with torch.no_grad():
        for param in model.parameters():
            param -= learning_rate * param.grad
    return loss.detach()
