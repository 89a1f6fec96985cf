"""One step, one training loop, one prediction; twin of course_lib/tensorflow/train.py."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch.nn import functional as F


def cross_entropy_torch(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of logits (batch, classes) and labels (batch,), a scalar."""
    return F.cross_entropy(logits, labels)


def step_torch(
    model: torch.nn.Module, inputs, targets, optimizer, loss: Callable, clip: float | None = None,
) -> torch.Tensor:
    """One step; returns the loss before it, a scalar tensor left on its device.

    ``inputs`` is what the model takes: a tensor, or a tuple of several.
    ``loss(outputs, targets)`` makes a scalar. ``optimizer`` is of ``torch.optim`` or has a
    method ``step`` like ``TorchAdam``. ``clip``, where given, is the most that the norm of all
    gradients together may be.

    Raises ``ValueError`` where a parameter that is trained takes no part in the loss.
    """
    model.train()
    model.zero_grad()
    arguments = inputs if isinstance(inputs, tuple) else (inputs,)
    value = loss(model(*arguments), targets)
    value.backward()
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    unused = [name for name, p in trained.items() if p.grad is None]
    if unused:
        raise ValueError(f"no gradient for {', '.join(unused)}: they take no part in the loss;"
                         " build the model without them, or freeze them (requires_grad = False)")
    if clip is not None:
        grads = [p.grad for p in trained.values()]
        norm = torch.nn.utils.get_total_norm(grads)
        for grad in grads:                         # clip_grad_norm_ adds 1e-6 to the norm
            grad.mul_(clip / norm.clamp(min=clip))
    optimizer.step()
    return value.detach()


def train_torch(
    model: torch.nn.Module, batches: Iterable, optimizer, loss: Callable,
    rates: Iterable | None = None, clip: float | None = None, steps_per_call: int = 1,
) -> np.ndarray:
    """One step for each (inputs, targets) of ``batches``; returns the losses, (steps,).

    Each loss is that of the step's own batch, before the step. ``rates``, where given, holds the
    learning rate of each step. ``steps_per_call`` is TensorFlow's: here a step is a call.
    """
    losses, rates = [], None if rates is None else iter(rates)
    for inputs, targets in batches:
        if rates is not None:
            _set_rate(optimizer, float(next(rates)))
        losses.append(step_torch(model, inputs, targets, optimizer, loss, clip))
    if not losses:
        raise ValueError("no batches: give (inputs, targets), one or more; a used-up generator?")
    return torch.stack(losses).cpu().numpy()


def predict_torch(model: torch.nn.Module, inputs, batch_size: int = 256) -> np.ndarray:
    """The model's outputs for all rows, in inference mode, ``batch_size`` rows at a time.

    ``inputs`` as for ``step_torch``, or arrays in place of tensors. The model keeps its mode.
    """
    device = next(model.parameters()).device
    arguments = inputs if isinstance(inputs, tuple) else (inputs,)
    arrays, training, parts = [torch.as_tensor(a) for a in arguments], model.training, []
    model.eval()
    with torch.inference_mode():
        for start in range(0, len(arrays[0]), batch_size):
            rows = [a[start : start + batch_size].to(device) for a in arrays]
            parts.append(model(*rows).cpu().numpy())
    model.train(training)
    return np.concatenate(parts)


def _set_rate(optimizer, rate: float) -> None:
    if isinstance(optimizer, torch.optim.Optimizer):
        for group in optimizer.param_groups:
            group["lr"] = rate
    else:
        optimizer.learning_rate = rate
