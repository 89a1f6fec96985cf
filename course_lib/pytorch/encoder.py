"""An encoder that judges a text; twin of course_lib/tensorflow/encoder.py."""

from __future__ import annotations

import torch
from torch import nn

from course_lib.pytorch.transformer import TorchTransformer


class TorchEncoderClassifier(nn.Module):
    """The mean of a text's hidden states, then logits: (batch, time) to (batch, classes).

    ``mask`` (batch, time) is True for a real token; every row needs one. ``encoder`` is trained
    too. The last layer starts at 0, so that pre-trained weights meet no random ones.
    """

    def __init__(self, encoder: TorchTransformer, classes: int):
        super().__init__()
        self.encoder = encoder
        kind = encoder.embedding.weight.dtype
        self.readout = nn.Linear(encoder.config.width, classes, dtype=kind)
        nn.init.zeros_(self.readout.weight)
        nn.init.zeros_(self.readout.bias)

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        hidden = self.encoder(tokens, mask)        # (batch, time, width)
        real = mask[:, :, None].to(hidden.dtype)
        return self.readout((hidden * real).sum(1) / real.sum(1))
