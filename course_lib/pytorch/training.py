"""Full-batch gradient descent in PyTorch; twin of course_lib/tensorflow/training.py."""

from __future__ import annotations

import math

import torch


def half_squared_error_torch(
    outputs: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """Half the squared distance of outputs to targets, averaged.

    Both have shape (batch, classes). Raises ``ValueError`` where the shapes differ: broadcasting
    would compare every row with every other row's target.
    """
    if outputs.shape != targets.shape:
        shapes = f"{outputs.shape} and {targets.shape}"
        raise ValueError(f"outputs and targets: make {shapes} equal")
    return ((outputs - targets) ** 2).sum(dim=1).mean() / 2


def step_torch(
    model: torch.nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    learning_rate: float,
) -> torch.Tensor:
    """One step of gradient descent; returns the loss before it.

    The loss is a scalar tensor, left on its device. ``x`` (batch, features) and ``y`` (batch,
    classes) lie on the model's device. Nothing here waits for the device or asks for a number.
    """
    loss = half_squared_error_torch(model(x), y)  # 2. loss
    model.zero_grad()
    loss.backward()  # 3. gradient
    with torch.no_grad():
        for param in model.parameters():
            param -= learning_rate * param.grad  # 4. update
    return loss.detach()


def train_torch(
    model: torch.nn.Module, x: torch.Tensor, y: torch.Tensor, learning_rate: float, steps: int
) -> list[float]:
    """Take up to ``steps`` steps and return the losses; stop after one that is not finite."""
    losses = []
    for _ in range(steps):  # 5. repeat
        losses.append(step_torch(model, x, y, learning_rate).item())
        if not math.isfinite(losses[-1]):
            break
    return losses
