"""Texts judged by one layer of attention; twin of course_lib/tensorflow/attention.py."""

from __future__ import annotations

import torch
from torch.nn import functional as F


def sinusoidal_torch(ids: torch.Tensor, width: int) -> torch.Tensor:
    """Sines and cosines (time, width) for ids (batch, time)."""
    time = torch.arange(ids.shape[1], device=ids.device)
    pairs = torch.arange(0, width, 2, device=ids.device)
    angles = time[:, None] * 10000.0 ** (-pairs.double() / width)
    both = torch.stack([torch.sin(angles), torch.cos(angles)], dim=-1)
    return both.reshape(-1, width)               # float64


def rotate_torch(x: torch.Tensor, base: float = 100.0) -> torch.Tensor:
    """Turn the pairs of features of (batch, heads, time, d)."""
    time, d = x.shape[-2:]
    pairs = torch.arange(0, d, 2, device=x.device)
    rates = base ** (-pairs.double() / d)
    angles = torch.arange(time, device=x.device)[:, None] * rates
    c, s = torch.cos(angles).to(x.dtype), torch.sin(angles).to(x.dtype)
    a, b = x[..., 0::2], x[..., 1::2]            # (…, time, d / 2)
    both = torch.stack([a * c - b * s, a * s + b * c], dim=-1)
    return both.flatten(-2)


class TorchAttentionText(torch.nn.Module):
    """One layer of attention over a text's words, their mean, logits.

    Ids (batch, time), filled up with 0 -> logits (batch, classes). ``positions`` is "none",
    "sinusoidal", "learned" (for up to ``longest`` words) or "rotary". ``dtype`` is "float32" or
    "float64". Vectors and learned positions start normal with standard deviation 0.3: with 0.1 all
    scores start so near 0 that some runs do not leave that plateau for many epochs.
    """

    def __init__(
        self, tokens: int, width: int, heads: int, classes: int,
        positions: str = "rotary", longest: int = 64,
        dtype: str = "float32",
    ):
        super().__init__()
        kinds = ["none", "sinusoidal", "learned", "rotary"]
        if positions not in kinds or width % (2 * heads):
            raise ValueError(
                f"positions {positions!r}, width {width}, {heads} heads:"
                f" give one of {kinds}, an even number of features a head")
        kind = getattr(torch, dtype)
        self.heads, self.kind = heads, positions
        self.embedding = torch.nn.Embedding(tokens, width, dtype=kind)
        torch.nn.init.normal_(self.embedding.weight, std=0.3)
        if positions == "learned":
            self.table = torch.nn.Embedding(longest, width, dtype=kind)
            torch.nn.init.normal_(self.table.weight, std=0.3)
        self.query, self.key, self.value, self.output = (
            torch.nn.Linear(width, width, dtype=kind) for _ in range(4))
        self.readout = torch.nn.Linear(width, classes, dtype=kind)

    def place(self, x: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """Add what says where each word stands."""
        if self.kind == "sinusoidal":
            return x + sinusoidal_torch(ids, x.shape[2]).to(x.dtype)
        if self.kind == "learned":
            time = torch.arange(ids.shape[1], device=ids.device)
            return x + self.table(time)
        return x

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        real = ids != 0                          # (batch, time)
        x = self.place(self.embedding(ids), ids)
        q, k, v = (  # (batch, heads, time, d)
            layer(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value))
        if self.kind == "rotary":
            q, k = rotate_torch(q), rotate_torch(k)
        y = F.scaled_dot_product_attention(
            q, k, v, attn_mask=real[:, None, None])
        x = x + self.output(y.transpose(1, 2).flatten(2))
        mask = real[:, :, None]
        mean = (x * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)
        return self.readout(mean)
