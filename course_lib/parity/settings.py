"""What is set on either side of a pair of layers, and what PyTorch computes with Keras's settings."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from course_lib.parity.composites import RULED

# Pairs of layers that have no weights to copy but settings, or an order, to get wrong.
ACTIVATIONS = ("ReLU", "GELU", "LeakyReLU", "Sigmoid", "Tanh", "SiLU", "ELU", "Softmax", "Softplus")
RECURRENT = ("RNN", "LSTM", "GRU")
WEIGHTLESS = {
    ("Dropout", "Dropout"), ("Flatten", "Flatten"),
    ("MaxPool2d", "MaxPooling2D"), ("AvgPool2d", "AveragePooling2D"),
    ("MaxPool1d", "MaxPooling1D"), ("AvgPool1d", "AveragePooling1D"),
    ("MaxPool2d", "AveragePooling2D"), ("AvgPool2d", "MaxPooling2D"),
    *((a, "Activation") for a in ACTIVATIONS),
    *((a, b) for a in ACTIVATIONS for b in ("ReLU", "LeakyReLU", "ELU", "Softmax")),
}
PAIRS = RULED | WEIGHTLESS
TORCH_KINDS, KERAS_KINDS = {a for a, _ in PAIRS}, {b for _, b in PAIRS}


@dataclass(frozen=True)
class Setting:
    """One setting that differs: its values, and the torch module with Keras's value."""

    name: str
    torch: object
    keras: object
    row: str | None
    changed: Callable[[np.ndarray], np.ndarray] | None = None  # torch input -> output
    of_state: bool = False       # shows in running statistics, not in outputs

    def __str__(self) -> str:
        ours, theirs = (f"{v:g}" if isinstance(v, float) else v for v in (self.torch, self.keras))
        return f"{self.name} is {ours} in PyTorch and {theirs} in Keras"


def _with(module, **values):
    """The module's function with other attributes, on NumPy arrays."""
    def run(array):
        import torch

        other = copy.deepcopy(module)
        for name, value in values.items():
            setattr(other, name, value)
        with torch.no_grad():
            return other(torch.from_numpy(array)).numpy()

    return run


def pair_of(value, rank=2):
    """A setting of each axis."""
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * rank


def differing(torch_kind: str, module, keras_kind: str, layer, rank: int = 0) -> list[Setting]:
    """All settings of a pair of layers that do not say the same; ``rank`` is that of Keras's input."""
    found = []

    def compare(name, ours, theirs, row=None, same=None, of_state=False, **values):
        equal = np.isclose(ours, theirs, rtol=1e-6, atol=0) if same is None else same
        if not equal:
            run = _with(module, **values) if values else None
            found.append(Setting(name, ours, theirs, row, run, of_state))

    if torch_kind.startswith("BatchNorm"):
        axis = layer.axis if isinstance(layer.axis, int) else layer.axis[0]
        compare("axis of the channels", "1, the last one in Keras's layout", axis, None,
                same=not rank or axis % rank == rank - 1)
        compare("epsilon", module.eps, layer.epsilon, "batch-norm-epsilon", eps=layer.epsilon)
        momentum = module.momentum
        compare("weight of a new batch in the running statistics", momentum, 1 - layer.momentum,
                "batch-norm-momentum", of_state=True,
                same=momentum is not None and bool(np.isclose(momentum, 1 - layer.momentum, rtol=1e-5)))
    elif torch_kind == "LayerNorm":
        axes = [layer.axis] if isinstance(layer.axis, int) else list(layer.axis)
        ours = [-n for n in range(len(module.normalized_shape), 0, -1)]
        compare("axes", ours, axes, None,
                same=not rank or sorted(a % rank for a in axes) == [a % rank for a in ours])
        compare("epsilon", module.eps, layer.epsilon, "layer-norm-epsilon", eps=layer.epsilon)
    elif torch_kind == "GroupNorm":
        compare("epsilon", module.eps, layer.epsilon, "group-norm-epsilon", eps=layer.epsilon)
        compare("number of groups", module.num_groups, layer.groups, num_groups=layer.groups)
    elif torch_kind == "RMSNorm":
        import torch

        eps = torch.finfo(module.weight.dtype).eps if module.eps is None else module.eps
        compare("epsilon", eps, layer.epsilon, "rms-norm-epsilon", eps=layer.epsilon)
    elif (torch_kind, keras_kind) == ("LeakyReLU", "LeakyReLU"):
        slope = float(layer.negative_slope)
        compare("slope", module.negative_slope, slope, "leaky-relu-slope",
                negative_slope=float(np.float32(slope)))     # TensorFlow keeps it in float32
    elif {torch_kind[:3], keras_kind[:3]} == {"Max", "Ave"} or {torch_kind[:3], keras_kind[:3]} == {
            "Avg", "Max"}:
        compare("kind of pooling", torch_kind, keras_kind, same=False)
    elif torch_kind in ("MaxPool1d", "AvgPool1d", "Conv1d", "MaxPool2d", "AvgPool2d", "Conv2d"):
        found += _windows(torch_kind, module, layer)
    elif torch_kind == "ConvTranspose2d":
        found += _transposed(module, layer)
    elif torch_kind == "Embedding":
        if module.padding_idx is not None:
            row = "embedding-padding"
            found.append(Setting("row without gradient", module.padding_idx, None, row, of_state=True))
    elif torch_kind in RECURRENT:
        both_ways = keras_kind == "Bidirectional"
        layer = layer.forward_layer if both_ways else layer
        if bool(module.bidirectional) != both_ways or getattr(layer, "go_backwards", False):
            compare("direction", "both ways" if module.bidirectional else "forwards",
                    "backwards" if layer.go_backwards else "forwards", same=False)
        ours = {"RNN": getattr(module, "nonlinearity", "tanh")}.get(torch_kind, "tanh")
        theirs = layer.activation.__name__
        compare("activation", ours, theirs, same=ours == theirs)
        if torch_kind != "RNN":
            gate = layer.recurrent_activation.__name__
            compare("activation of the gates", "sigmoid", gate, same=gate == "sigmoid")
        if torch_kind == "GRU":
            compare("place of the reset gate", "after the product", "before it: reset_after=False",
                    same=bool(layer.reset_after))
        compare("first axis", "batch" if module.batch_first else "steps: batch_first=False", "batch",
                same=bool(module.batch_first))
    return found


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """What "same" adds before and after an axis (TensorFlow's rule; more of it after)."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def added_by(layer, sizes) -> list[tuple[int, int]]:
    """What a layer of Keras's pads itself, (before, after) each axis of these sizes."""
    rank = len(sizes)
    kernel = pair_of(layer.kernel_size if hasattr(layer, "kernel_size") else layer.pool_size, rank)
    dilation = pair_of(getattr(layer, "dilation_rate", 1), rank)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    if layer.padding == "causal":
        return [(r - 1, 0) for r in reach]
    if layer.padding == "valid":
        return [(0, 0)] * rank
    return [same_padding(*three) for three in zip(sizes, reach, pair_of(layer.strides, rank), strict=True)]


def _windows(kind, module, layer):
    """Padding and stride of convolutions and pools."""
    rank = int(kind[-2])
    kernel, stride = pair_of(module.kernel_size, rank), pair_of(module.stride, rank)
    convolves = kind.startswith("Conv")
    compared = [("size of the window", kernel, pair_of(layer.kernel_size if convolves else layer.pool_size, rank)),
                ("stride", stride, pair_of(layer.strides, rank))]
    if convolves:
        compared.append(("dilation", pair_of(module.dilation, rank), pair_of(layer.dilation_rate, rank)))
    found = [Setting(name, ours, theirs, None) for name, ours, theirs in compared if ours != theirs]
    if found or isinstance(module.padding, str):
        return found
    padding = pair_of(module.padding, rank)
    mode = getattr(module, "padding_mode", "zeros")
    if mode != "zeros" and any(padding) and layer.padding != "valid":
        found.append(Setting("padding mode", mode, "zeros", None, _with_padding(kind, module, layer)))
    if layer.padding == "valid":
        if any(padding):
            found.append(Setting("padding", padding, "'valid', none", None, _with_padding(kind, module, layer)))
        return found
    return found + _amounts(kind, module, layer, padding)


def _amounts(kind, module, layer, padding) -> list[Setting]:
    """Whether both pad by as much; "same" may put more of it after an axis than before."""
    rank = len(padding)
    dilation = pair_of(getattr(module, "dilation", 1), rank)
    reach = [(k - 1) * d + 1 for k, d in zip(pair_of(module.kernel_size, rank), dilation, strict=True)]
    symmetric = layer.padding == "same" and all(
        p == r // 2 for p, r in zip(padding, reach, strict=True)) and set(pair_of(module.stride, rank)) == {1}
    counts = kind.startswith("AvgPool") and any(padding) and module.count_include_pad
    if symmetric and not counts and not (any(r % 2 == 0 for r in reach) and any(padding)):
        return []
    row = {"Conv2d": "strided-convolution-padding", "MaxPool2d": "max-pool-padding",
           "AvgPool2d": "average-pool-padding"}.get(kind)
    ours = f"{padding} on both sides" + (", counted in the mean" if counts else "")
    theirs = "'causal', all of it before" if layer.padding == "causal" else "'same', more of it on the right"
    return [Setting("padding", ours, theirs, row, _with_padding(kind, module, layer))]


def _with_padding(kind, module, layer):
    """The module's function, padded as Keras's layer pads."""
    def run(array):
        import torch
        from torch.nn import functional as F

        other = copy.deepcopy(module)
        other.padding = (0,) * (array.ndim - 2)
        if hasattr(other, "padding_mode"):
            other.padding_mode = "zeros"
        sides = [n for both in reversed(added_by(layer, array.shape[2:])) for n in both]
        x = torch.from_numpy(array)
        with torch.no_grad():
            padded = F.pad(x, sides, value=float("-inf") if kind.startswith("MaxPool") else 0.0)
            if not kind.startswith("AvgPool"):
                return other(padded).numpy()
            return (other(padded) / other(F.pad(torch.ones_like(x), sides))).numpy()

    return run


def _transposed(module, layer):
    """Padding of a transposed convolution: no number of torch's is Keras's 'same' at stride 2."""
    if layer.padding == "valid":
        same = pair_of(module.padding) == (0, 0) and pair_of(module.output_padding) == (0, 0)
    else:
        same = all(s == 1 and p == k // 2 for s, p, k in zip(
            pair_of(module.stride), pair_of(module.padding), pair_of(module.kernel_size), strict=True))
    if same:
        return []
    ours = f"{pair_of(module.padding)}, output padding {pair_of(module.output_padding)}"
    kernel = pair_of(module.kernel_size)

    def cropped(array):
        import torch

        other = copy.deepcopy(module)
        other.padding = other.output_padding = (0, 0)
        with torch.no_grad():
            full = other(torch.from_numpy(array))
        if layer.padding == "valid":
            return full.numpy()
        rows, columns = (n * s for n, s in zip(array.shape[-2:], pair_of(module.stride), strict=True))
        top, left = ((k - s) // 2 if k > s else 0
                     for k, s in zip(kernel, pair_of(module.stride), strict=True))
        return full[..., top:top + rows, left:left + columns].numpy()

    return [Setting("padding", ours, repr(layer.padding), "transposed-convolution", cropped)]
