"""A classifier of texts that averages embeddings; twin of course_lib/tensorflow/pooled_text.py."""

from __future__ import annotations

import torch
from torch.nn import functional as F


class TorchPooledText(torch.nn.Module):
    """Pooled embeddings of the tokens, then one layer.

    Whole numbers (batch, time), filled up with 0 -> logits (batch, classes). ``pooling`` is "mean",
    over the tokens; "sum", over the tokens, divided by ``scale``; or "padded", the mean over all
    places of the batch, which is the bug. ``dtype`` is "float32" or "float64". Embeddings start
    normal with standard deviation 0.1, the layer as the framework draws it.
    """

    pad, scale = 0, 64  # the id that fills up; the divisor of a sum

    def __init__(
        self, tokens: int, width: int, classes: int,
        pooling: str = "mean", dtype: str = "float32",
    ):
        super().__init__()
        kinds = ["mean", "sum", "padded"]
        if pooling not in kinds:
            raise ValueError(f"pooling {pooling!r}: give one of {kinds}")
        self.pooling, kind = pooling, getattr(torch, dtype)
        self.embedding = torch.nn.Embedding(tokens, width, dtype=kind)
        torch.nn.init.normal_(self.embedding.weight, std=0.1)
        self.readout = torch.nn.Linear(width, classes, dtype=kind)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        vectors = self.embedding(ids)               # (batch, time, width)
        if self.pooling == "padded":
            return self.readout(vectors.mean(dim=1))
        mask = (ids != self.pad).unsqueeze(2)            # (batch, time, 1)
        total = (vectors * mask).sum(dim=1)         # (batch, width)
        count = mask.sum(dim=1) if self.pooling == "mean" else self.scale
        return self.readout(total / count)


def step_torch(
    model: torch.nn.Module,
    ids: torch.Tensor,
    labels: torch.Tensor,
    optimizer: torch.optim.Optimizer,
) -> torch.Tensor:
    """One step of the optimizer on cross-entropy; the loss before it.

    ``ids`` (batch, time) and ``labels`` (batch,) are whole numbers on the model's device. The loss
    is a scalar tensor, left there; nothing here waits for the device or asks for a number.
    """
    loss = F.cross_entropy(model(ids), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()


def plain_step_torch(
    model: torch.nn.Module,
    ids: torch.Tensor,
    labels: torch.Tensor,
    learning_rate: float,
) -> torch.Tensor:
    """One step of gradient descent without an optimizer; else like ``step_torch``."""
    loss = F.cross_entropy(model(ids), labels)
    model.zero_grad()
    loss.backward()
    with torch.no_grad():
        for param in model.parameters():
            param -= learning_rate * param.grad
    return loss.detach()
