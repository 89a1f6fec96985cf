"""Adam and AdamW in PyTorch, and training with them; twin of course_lib/tensorflow/adam.py."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch.nn import functional as F


class TorchAdam:
    """Adam (Kingma and Ba 2015); with ``weight_decay`` AdamW.

    The gradients are those that ``backward`` left in the parameters. ``learning_rate`` may be
    changed between steps. ``epsilon`` is added to the root of the corrected second moment, as in
    ``torch.optim.Adam``. ``decoupled=False`` adds the decay to the gradient instead (L2), and
    ``corrected=False`` leaves both bias corrections out. The defaults are the paper's and PyTorch's.
    """

    def __init__(
        self, params: Iterable, learning_rate: float,
        beta_1: float = 0.9, beta_2: float = 0.999,
        epsilon: float = 1e-8, weight_decay: float = 0.0,
        decoupled: bool = True, corrected: bool = True,
    ):
        self.params = list(params)
        positive = self.params and learning_rate >= 0 and epsilon > 0
        betas = 0 <= beta_1 < 1 and 0 <= beta_2 < 1
        if not (positive and betas and weight_decay >= 0):
            given = (f"{len(self.params)}, {learning_rate}, {epsilon},"
                     f" {beta_1}, {beta_2}, {weight_decay}")
            raise ValueError(
                f"params, rate >= 0, epsilon > 0, 0 <= betas < 1,"
                f" decay >= 0; got {given}")
        self.learning_rate, self.epsilon = learning_rate, epsilon
        self.beta_1, self.beta_2 = beta_1, beta_2
        self.weight_decay, self.decoupled = weight_decay, decoupled
        self.corrected, self.t = corrected, 0
        self.means = [torch.zeros_like(p) for p in self.params]
        self.squares = [torch.zeros_like(p) for p in self.params]

    @torch.no_grad()
    def step(self) -> None:
        self.t += 1
        fix_1, fix_2 = 1 - self.beta_1**self.t, 1 - self.beta_2**self.t
        if not self.corrected:
            fix_1 = fix_2 = 1.0
        for param, m, v in zip(self.params, self.means, self.squares):
            g = param.grad
            if self.weight_decay and not self.decoupled:
                g = g + self.weight_decay * param
            m.mul_(self.beta_1).add_(g, alpha=1 - self.beta_1)
            v.mul_(self.beta_2).addcmul_(g, g, value=1 - self.beta_2)
            move = (m / fix_1) / ((v / fix_2).sqrt() + self.epsilon)
            if self.weight_decay and self.decoupled:
                move = move + self.weight_decay * param
            param -= self.learning_rate * move


def step_torch(
    model: torch.nn.Module,
    x: torch.Tensor,
    labels: torch.Tensor,
    optimizer: TorchAdam,
) -> torch.Tensor:
    """One step on cross-entropy; returns the loss before it.

    The loss is a scalar tensor, left on its device. ``x`` is what the model takes, ``labels``
    (batch,) are whole numbers; both lie on the model's device. The optimizer needs only a method
    ``step``, so those of ``torch.optim`` serve too.
    """
    loss = F.cross_entropy(model(x), labels)
    model.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()


def train_torch(
    model: torch.nn.Module,
    x: torch.Tensor,
    labels: torch.Tensor,
    order: np.ndarray,
    optimizer: TorchAdam,
    rates: np.ndarray | None = None,
) -> np.ndarray:
    """Take one step for each batch of ``order``; returns the losses.

    ``order`` holds row numbers, (steps, batch). ``rates`` (steps,), where given, is what
    ``optimizer.learning_rate`` becomes before each step. The losses are those of each step's own
    batch, before the step, (steps,).
    """
    losses = []
    for i, batch in enumerate(torch.from_numpy(order).to(x.device)):
        if rates is not None:
            optimizer.learning_rate = float(rates[i])
        losses.append(step_torch(model, x[batch], labels[batch], optimizer))
    return torch.stack(losses).cpu().numpy()
