"""Feed-forward networks of any depth, also on averaged words; twin of course_lib/tensorflow/text_mlp.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch.nn import functional as F


class TorchFeedForward(torch.nn.Module):
    """Hidden layers with ReLU, and a readout: (batch, features) -> logits.

    ``hidden`` holds the sizes of the hidden layers; none at all makes a linear model. ``dtype`` is
    "float32" or "float64". Weights start as in He et al. (2015), biases at 0.
    """

    def __init__(
        self, features: int, hidden: Sequence[int], classes: int,
        dtype: str = "float32",
    ):
        super().__init__()
        sizes, kind = [features, *hidden], getattr(torch, dtype)
        self.layers = torch.nn.ModuleList(
            torch.nn.Linear(a, b, dtype=kind)
            for a, b in zip(sizes, sizes[1:]))
        self.readout = torch.nn.Linear(sizes[-1], classes, dtype=kind)
        for layer in (*self.layers, self.readout):
            torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            torch.nn.init.zeros_(layer.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = torch.relu(layer(x))
        return self.readout(x)


class TorchTextMLP(TorchFeedForward):
    """The mean of the words' vectors, then a feed-forward network.

    Word ids (batch, time), 0 for padding -> logits (batch, classes). ``words`` counts the ids,
    ``width`` is the length of a word's vector, drawn from a normal distribution with standard
    deviation ``spread``; the rest is as in ``TorchFeedForward``.
    """

    def __init__(
        self, words: int, width: int, hidden: Sequence[int], classes: int,
        spread: float = 0.1, dtype: str = "float32",
    ):
        super().__init__(width, hidden, classes, dtype)
        self.embedding = torch.nn.Embedding(
            words, width, dtype=getattr(torch, dtype))
        torch.nn.init.normal_(self.embedding.weight, std=spread)

    def average(self, ids: torch.Tensor) -> torch.Tensor:
        mask = (ids != 0).unsqueeze(2)             # (batch, time, 1)
        total = (self.embedding(ids) * mask).sum(dim=1)
        return total / mask.sum(dim=1).clamp(min=1)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return super().forward(self.average(ids))


def step_torch(
    model: torch.nn.Module,
    x: torch.Tensor,
    labels: torch.Tensor,
    learning_rate: float,
) -> torch.Tensor:
    """One step of SGD on cross-entropy; returns the loss before it.

    The loss is a scalar tensor, left on its device. ``x`` is what the model takes, ``labels``
    (batch,) are whole numbers; both lie on the model's device.
    """
    loss = F.cross_entropy(model(x), labels)
    model.zero_grad()
    loss.backward()
    with torch.no_grad():
        for param in model.parameters():
            param -= learning_rate * param.grad
    return loss.detach()


def train_torch(
    model: torch.nn.Module,
    x: torch.Tensor,
    labels: torch.Tensor,
    order: np.ndarray,
    rates: np.ndarray,
    after_epoch: Callable[[torch.nn.Module], None] = lambda model: None,
) -> np.ndarray:
    """A step for each batch of ``order``, at its own learning rate.

    ``order`` holds row numbers (epochs, steps, batch), ``rates`` is (epochs, steps). Returns the
    losses of the batches, each before its step, (epochs * steps,). ``after_epoch`` is called with
    the model after each epoch.
    """
    losses = []
    for rows, epoch_rates in zip(torch.from_numpy(order).to(x.device), rates):
        for batch, rate in zip(rows, epoch_rates):
            losses.append(
                step_torch(model, x[batch], labels[batch], float(rate)))
        after_epoch(model)
    return torch.stack(losses).cpu().numpy()
