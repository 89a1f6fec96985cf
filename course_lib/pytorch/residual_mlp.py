"""A classifier whose hidden layers are added to what they read; twin of course_lib/tensorflow/residual_mlp.py."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F


class TorchResidualMLP(torch.nn.Module):
    """h <- h + tanh(block(h)), a few times: (batch, features) -> logits.

    The first layer has tanh too. ``blocked`` cuts one of the two ways by which a gradient comes
    back to a block's input: "skip" is the way past the block, "branch" the way through it,
    "nothing" cuts none. The outputs are the same. ``dtype`` is "float32" or "float64".
    """

    def __init__(
        self, features: int, hidden: int, classes: int, blocks: int = 4,
        blocked: str = "nothing", dtype: str = "float32",
    ):
        super().__init__()
        if blocked not in ("nothing", "skip", "branch"):
            raise ValueError(
                f"blocked {blocked!r}: give nothing, skip or branch")
        kind, self.blocked = getattr(torch, dtype), blocked
        self.first = torch.nn.Linear(features, hidden, dtype=kind)
        self.blocks = torch.nn.ModuleList(
            torch.nn.Linear(hidden, hidden, dtype=kind)
            for _ in range(blocks))
        self.readout = torch.nn.Linear(hidden, classes, dtype=kind)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.tanh(self.first(x))
        for block in self.blocks:
            skip = h.detach() if self.blocked == "skip" else h
            read = h.detach() if self.blocked == "branch" else h
            h = skip + torch.tanh(block(read))
        return self.readout(h)


def step_torch(
    model: torch.nn.Module,
    x: torch.Tensor,
    labels: torch.Tensor,
    optimizer: torch.optim.Optimizer,
) -> torch.Tensor:
    """One step on cross-entropy; returns the loss before it.

    The loss is a scalar tensor, left on its device. ``x`` (batch, features) and ``labels``
    (batch,) lie on the model's device.
    """
    loss = F.cross_entropy(model(x), labels)
    optimizer.zero_grad()
    loss.backward()                    # computes gradients
    optimizer.step()                   # changes parameters
    return loss.detach()


def run_torch(
    model: torch.nn.Module,
    x: torch.Tensor,
    labels: torch.Tensor,
    order: np.ndarray,
    optimizer: torch.optim.Optimizer,
) -> np.ndarray:
    """A step for each batch of ``order``; the losses, each before its step.

    ``order`` holds row numbers (steps, batch). Returns (steps,).
    """
    losses = [
        step_torch(model, x[rows], labels[rows], optimizer)
        for rows in torch.from_numpy(order).to(x.device)]
    return torch.stack(losses).cpu().numpy()
