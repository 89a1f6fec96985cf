"""SGD with momentum, Nesterov and RMSprop in PyTorch; twin of course_lib/tensorflow/optimizers.py."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

from course_lib.pytorch.training import half_squared_error_torch


class TorchMomentum:
    """SGD with momentum, a heavy ball or Nesterov's; plain SGD at 0.

    The gradients are those that ``backward`` left in the parameters. ``learning_rate`` may be
    changed between steps; it stands outside the velocity, as in ``torch.optim.SGD``.
    """

    def __init__(
        self,
        params: Iterable,
        learning_rate: float,
        momentum: float = 0.0,
        nesterov: bool = False,
    ):
        self.params = list(params)
        if not (self.params and learning_rate > 0 and 0 <= momentum < 1):
            given = f"{len(self.params)}, {learning_rate}, {momentum}"
            raise ValueError(
                f"params, rate > 0, 0 <= momentum < 1; got {given}")
        self.learning_rate = learning_rate
        self.momentum, self.nesterov = momentum, nesterov
        self.velocities = [torch.zeros_like(p) for p in self.params]

    @torch.no_grad()
    def step(self) -> None:
        for param, velocity in zip(self.params, self.velocities):
            velocity.mul_(self.momentum).add_(param.grad)
            move = velocity
            if self.nesterov:
                move = param.grad + self.momentum * velocity
            param -= self.learning_rate * move


class TorchRMSprop:
    """Each gradient over the root of its recent mean square.

    ``epsilon`` stands outside the root, as in ``torch.optim.RMSprop``.
    """

    def __init__(
        self,
        params: Iterable,
        learning_rate: float,
        decay: float = 0.875,
        epsilon: float = 2.0**-20,
    ):
        self.params = list(params)
        positive = self.params and learning_rate > 0 and epsilon > 0
        if not (positive and 0 <= decay < 1):
            given = (
                f"{len(self.params)}, {learning_rate}, {epsilon}, {decay}")
            raise ValueError(
                f"params, rate, epsilon > 0, decay < 1; got {given}")
        self.learning_rate = learning_rate
        self.decay, self.epsilon = decay, epsilon
        self.squares = [torch.zeros_like(p) for p in self.params]

    @torch.no_grad()
    def step(self) -> None:
        for param, square in zip(self.params, self.squares):
            share = (1 - self.decay) * param.grad**2
            square.mul_(self.decay).add_(share)
            scale = square.sqrt() + self.epsilon
            param -= self.learning_rate * param.grad / scale


def step_torch(
    model: torch.nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    optimizer: TorchMomentum | TorchRMSprop,
) -> torch.Tensor:
    """One step with one batch; returns the loss before it.

    ``x`` (batch, features) and ``y`` (batch, classes) lie on the model's device. The optimizer
    needs only a method ``step``, so those of ``torch.optim`` serve too.
    """
    loss = half_squared_error_torch(model(x), y)  # 2. loss
    model.zero_grad()
    loss.backward()  # 3. gradient
    optimizer.step()  # 4. update
    return loss.detach()


def run_torch(
    model: torch.nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    order: np.ndarray,
    optimizer: TorchMomentum | TorchRMSprop,
) -> np.ndarray:
    """Take one step for each row of ``order``; returns the losses.

    ``order`` holds row numbers, (steps, batch). The losses are those of each step's own batch,
    before the step, (steps,).
    """
    rows = torch.from_numpy(order).to(x.device)
    losses = [step_torch(model, x[batch], y[batch], optimizer)
              for batch in rows]
    return torch.stack(losses).cpu().numpy()
