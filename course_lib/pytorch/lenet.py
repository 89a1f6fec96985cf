"""LeNet and its training loop in PyTorch; twin of course_lib/tensorflow/lenet.py."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F


class TorchLeNet(torch.nn.Module):
    """Two convolutions, three dense layers: (batch, 28, 28) -> logits (batch, classes).

    LeCun, Bottou, Bengio and Haffner (1998), figure 2, with ReLU (or "tanh" or "sigmoid") in
    place of the scaled tanh, with plain average pooling, and with a dense readout. ``dtype`` is
    "float32" or "float64". Weights and biases start as the framework draws them by default.
    """

    def __init__(
        self, classes: int = 10, activation: str = "relu", dtype: str = "float32"
    ):
        super().__init__()
        kinds = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh, "sigmoid": torch.nn.Sigmoid}
        if activation not in kinds:
            raise ValueError(f"activation {activation!r}: give one of {list(kinds)}")
        kind = getattr(torch, dtype)
        self.activation = kinds[activation]()
        self.conv1 = torch.nn.Conv2d(1, 6, 5, padding=2, dtype=kind)
        self.conv2 = torch.nn.Conv2d(6, 16, 5, dtype=kind)
        self.pool = torch.nn.AvgPool2d(2)
        self.dense1 = torch.nn.Linear(16 * 5 * 5, 120, dtype=kind)
        self.dense2 = torch.nn.Linear(120, 84, dtype=kind)
        self.readout = torch.nn.Linear(84, classes, dtype=kind)
        self.to(memory_format=torch.channels_last)  # faster on CPUs; the numbers are the same

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[1:] != (28, 28):
            raise ValueError(f"images have shape {tuple(x.shape)}; give (batch, 28, 28)")
        x = self.pool(self.activation(self.conv1(x[:, None])))  # (batch, 6, 14, 14)
        x = self.pool(self.activation(self.conv2(x)))           # (batch, 16, 5, 5)
        x = x.flatten(1)                                        # (batch, 400)
        x = self.activation(self.dense1(x))                     # (batch, 120)
        x = self.activation(self.dense2(x))                     # (batch, 84)
        return self.readout(x)


def step_torch(
    model: torch.nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    optimizer: torch.optim.Optimizer,
) -> torch.Tensor:
    """One step with one batch; returns the loss before it.

    ``x`` (batch, 28, 28) and the labels ``y`` (batch,) lie on the model's device. The loss is a
    scalar tensor, left there: nothing waits for the device.
    """
    loss = F.cross_entropy(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()


def train_epoch_torch(
    model: torch.nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    order: np.ndarray,
    optimizer: torch.optim.Optimizer,
) -> np.ndarray:
    """Take one step for each row of ``order``; returns the losses (steps,).

    ``order`` holds row numbers of ``x`` and ``y``, (steps, batch).
    """
    rows = torch.from_numpy(order).to(x.device)
    losses = [step_torch(model, x[batch], y[batch], optimizer) for batch in rows]
    return torch.stack(losses).cpu().numpy()
