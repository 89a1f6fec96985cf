"""Models in PyTorch; twins of those in course_lib/tensorflow/models.py."""

from __future__ import annotations

import torch


class TorchMLP(torch.nn.Module):
    """One hidden layer with tanh: (batch, features) -> (batch, classes).

    Weights and biases start as the framework draws them by default. ``dtype`` is "float32" or
    "float64".
    """

    def __init__(
        self, features: int, hidden: int, classes: int, dtype: str = "float32"
    ):
        super().__init__()
        kind = getattr(torch, dtype)
        self.hidden = torch.nn.Linear(features, hidden, dtype=kind)
        self.readout = torch.nn.Linear(hidden, classes, dtype=kind)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.readout(torch.tanh(self.hidden(x)))
