"""A residual network for small images, and its step; twin of course_lib/tensorflow/resnet.py."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch.nn import functional as F


class TorchBlock(torch.nn.Sequential):
    """relu(F(x) + x), where F is two convolutions, each normalised.

    Without ``shortcut`` it is relu(F(x)), two plain layers. Where F halves the image and doubles
    the channels, the shortcut takes every second pixel and fills the new channels with zeros: it
    has no parameters (He et al. 2016, option A).
    """

    def __init__(self, conv1, norm1, conv2, norm2, shortcut: bool = True):
        super().__init__(OrderedDict(
            conv1=conv1, norm1=norm1, relu=torch.nn.ReLU(),
            conv2=conv2, norm2=norm2))
        self.shortcut = shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = super().forward(x)          # (batch, channels, rows, cols)
        if self.shortcut:
            if out.shape[1] != x.shape[1]:
                more = out.shape[1] - x.shape[1]
                x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, more))
            out = out + x
        return F.relu(out)


class TorchResNet(torch.nn.Module):
    """Images (batch, rows, columns, 3) -> logits (batch, classes).

    The networks of He et al. (2016, section 4.2): a first convolution, three stages of n blocks
    with ``width``, 2 and 4 times ``width`` channels, the mean over all pixels, a dense layer;
    ``depth`` = 6 n + 2 layers with weights. ``shortcuts=False`` leaves the plain network with the
    same parameters; ``norm=False`` leaves out batch normalisation and gives the convolutions
    biases. Kernels start as He et al. (2015) draw them, in a normal distribution of variance
    2 / fan_in. ``dtype`` is "float32" or "float64".

    Raises ``ValueError`` where ``depth`` is not 6 n + 2.
    """

    def __init__(self, classes: int, depth: int = 8, width: int = 8,
                 shortcuts: bool = True, norm: bool = True,
                 dtype: str = "float32"):
        super().__init__()
        if depth < 8 or depth % 6 != 2:
            raise ValueError(f"depth {depth}: give 6 n + 2, such as 8, 14, 20")
        self.norm, self.kind = norm, getattr(torch, dtype)
        self.stem, self.stem_norm = self._layer(3, width)
        self.blocks, channels = torch.nn.ModuleList(), width
        for stage in range(3):
            for _ in range((depth - 2) // 6):
                inputs, channels = channels, width * 2**stage
                self.blocks.append(TorchBlock(
                    *self._layer(inputs, channels),
                    *self._layer(channels, channels), shortcuts))
        self.readout = torch.nn.Linear(channels, classes, dtype=self.kind)

    def _layer(self, inputs: int, outputs: int):
        """A convolution, of stride 2 where channels double, and its norm."""
        stride = 1 if outputs != 2 * inputs else 2
        conv = torch.nn.Conv2d(
            inputs, outputs, 3, stride, padding=1, bias=not self.norm,
            dtype=self.kind)
        torch.nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        if not self.norm:
            torch.nn.init.zeros_(conv.bias)
            return conv, torch.nn.Identity()
        return conv, torch.nn.BatchNorm2d(
            outputs, eps=1e-5, momentum=0.125, dtype=self.kind)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.permute(0, 3, 1, 2)       # PyTorch wants the channels first
        x = F.relu(self.stem_norm(self.stem(x)))
        for block in self.blocks:
            x = block(x)
        return self.readout(x.mean(dim=(2, 3)))


def step_torch(
    model: torch.nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    learning_rate: float,
) -> torch.Tensor:
    """One step of gradient descent in training mode; the loss before it.

    The loss is a scalar tensor, left on its device. ``x`` (batch, rows, columns, 3) and the labels
    ``y`` (batch,) lie on the model's device. Running statistics move once.
    """
    model.train()                       # normalise by this batch
    loss = F.cross_entropy(model(x), y)
    model.zero_grad()
    loss.backward()
    with torch.no_grad():
        for param in model.parameters():
            param -= learning_rate * param.grad
    return loss.detach()


def predict_torch(
    model: torch.nn.Module, x: torch.Tensor
) -> torch.Tensor:
    """Logits (images, classes) in inference mode: running statistics.

    ``x`` (images, rows, columns, 3). At most 500 images at a time. The model keeps the mode it had.
    """
    was_training = model.training
    model.eval()                        # normalise by what was kept
    with torch.inference_mode():
        logits = torch.cat([model(part) for part in x.split(500)])
    model.train(was_training)
    return logits
