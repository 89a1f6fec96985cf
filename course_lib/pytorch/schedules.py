"""Training under a schedule, with clipped gradients, in PyTorch; twin of course_lib/tensorflow/schedules.py."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from course_lib.pytorch.adam import TorchAdam
from course_lib.pytorch.deep_mlp import global_norm_torch


def clip_global_torch(gradients: list, limit: float) -> list:
    """All gradients by one factor, together ``limit`` long at most.

    As ``torch.nn.utils.clip_grad_norm_``, without its 1e-6, and with a norm whose squares do not
    overflow. Nothing waits for the device.
    """
    factor = torch.clamp(limit / global_norm_torch(gradients), max=1.0)
    return [g * factor for g in gradients]


def step_torch(
    model: torch.nn.Module,
    x: torch.Tensor,
    labels: torch.Tensor,
    optimizer: TorchAdam,
    limit: float,
) -> torch.Tensor:
    """One step on cross-entropy, the gradient clipped; returns the loss before it.

    The loss is a scalar tensor, left on its device. ``x`` is what the model takes, ``labels``
    (batch,) are whole numbers; both lie on the model's device. ``limit`` is the gradient's longest
    norm, infinite for none. The optimizer needs only a method ``step``, so those of ``torch.optim``
    serve too.
    """
    loss = F.cross_entropy(model(x), labels)
    model.zero_grad()
    loss.backward()
    params = [p for p in model.parameters() if p.grad is not None]
    clipped = clip_global_torch([p.grad for p in params], limit)
    for param, gradient in zip(params, clipped):
        param.grad = gradient
    optimizer.step()
    return loss.detach()


def train_torch(
    model: torch.nn.Module,
    x: torch.Tensor,
    labels: torch.Tensor,
    order: np.ndarray,
    optimizer: TorchAdam,
    rates: np.ndarray,
    limit: float,
) -> np.ndarray:
    """A step for each batch of ``order``, at its own learning rate.

    ``order`` holds row numbers, (steps, batch); ``rates`` (steps,) is what
    ``optimizer.learning_rate`` becomes before each step. Returns the losses of the batches, each
    before its step, (steps,).
    """
    losses = []
    for batch, rate in zip(torch.from_numpy(order).to(x.device), rates):
        optimizer.learning_rate = float(rate)
        losses.append(
            step_torch(model, x[batch], labels[batch], optimizer, limit))
    return torch.stack(losses).cpu().numpy()
