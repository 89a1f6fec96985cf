"""Twins: the same weights in both frameworks, and whether their losses are the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras
    import torch


class ParityError(ValueError):
    """Two models cannot be made twins; the message names the parameter and what to do."""


Rule = dict[str, tuple[str, Callable[[np.ndarray], np.ndarray]]]

# (torch class, Keras class): torch parameter -> (Keras variable, how its array changes layout).
LAYOUTS: dict[tuple[str, str], Rule] = {
    ("Linear", "Dense"): {
        "weight": ("kernel", np.transpose),  # (out, in) -> (in, out)
        "bias": ("bias", np.array),
    },
}


def copy_weights(torch_model: torch.nn.Module, keras_model: keras.Model) -> None:
    """Copy every parameter of a torch model into the Keras layer that bears its module's path.

    A Keras layer is named like the torch module: ``readout``, or ``blocks.0.attn.qkv``. The table
    ``LAYOUTS`` says how arrays are laid out on either side. Nothing is written unless all fits.

    Raises
    ------
    ParityError
        If a parameter has no layer, no rule, another shape or another dtype, or if a Keras
        variable would be left as it was.
    """
    layers = _layers_by_name(keras_model)
    sources = _parameters_by_module(torch_model)
    pairs, filled = [], set()
    for path, (module, parameters) in sources.items():
        layer = layers.get(path)
        if layer is None:
            raise ParityError(
                f"torch parameters {', '.join(parameters)} of module {path!r} have no Keras layer of"
                f" that name; the Keras model has {', '.join(sorted(layers)) or 'none'}. Name the"
                f" layer that belongs to it: name={path!r}."
            )
        for name, parameter in parameters.items():
            full_name = f"{path}.{name}" if path else name
            variable, array = _fitted(full_name, module, layer, name, parameter)
            pairs.append((variable, array))
            filled.add(id(variable))
    left = [v.path for layer in layers.values() for v in layer.weights if id(v) not in filled]
    if left:
        raise ParityError(
            f"no torch parameter fills the Keras variables {', '.join(left)}; switch them off or"
            " give the torch model a module of that layer's name"
        )
    for variable, array in pairs:
        variable.assign(array)


def _parameters_by_module(model):
    """Module path -> (module, its own parameters and float buffers by name), where it has any."""
    found = {}
    for path, module in model.named_modules():
        own = dict(module.named_parameters(recurse=False))
        own |= {
            name: buffer
            for name, buffer in module.named_buffers(recurse=False)
            if buffer.is_floating_point()
        }
        if own:
            found[path] = (module, own)
    return found


def _layers_by_name(model):
    """Layer name -> layer, for all layers that hold weights of their own."""
    if not model.built:
        raise ParityError(
            f"Keras model {model.name!r} has no weights yet; call it once on a batch, or build it"
        )
    found = {}
    for layer in model._flatten_layers(include_self=True):
        if not layer._trainable_variables and not layer._non_trainable_variables:
            continue
        if layer.name in found:
            raise ParityError(f"two Keras layers are named {layer.name!r}; give each its own name")
        found[layer.name] = layer
    return found


def _fitted(full_name, module, layer, name, parameter):
    """The Keras variable for one torch parameter, and the parameter's array in its layout."""
    kinds = (type(module).__name__, type(layer).__name__)
    rule = LAYOUTS.get(kinds)
    if rule is None or name not in rule:
        known = ", ".join(f"{a} -> {b}" for a, b in LAYOUTS)
        raise ParityError(
            f"no layout rule for {full_name!r} ({kinds[0]} -> {kinds[1]}); known: {known}."
            " Add one to course_lib.parity.LAYOUTS."
        )
    attribute, change = rule[name]
    variable = getattr(layer, attribute, None)
    if variable is None:
        raise ParityError(
            f"{full_name!r} belongs in {layer.name}.{attribute}, which the Keras layer does not"
            f" have; for a bias, pass use_bias=True there or bias=False in torch"
        )
    array = change(parameter.detach().cpu().numpy())
    if array.shape != tuple(variable.shape):
        raise ParityError(
            f"{full_name!r} has shape {tuple(parameter.shape)}, in Keras {array.shape}, but"
            f" {layer.name}.{attribute} has {tuple(variable.shape)}; make the sizes equal"
        )
    if str(array.dtype) != variable.dtype:
        raise ParityError(
            f"{full_name!r} is {array.dtype}, {layer.name}.{attribute} is {variable.dtype};"
            " build both models with the same dtype"
        )
    return variable, array


@dataclass(frozen=True)
class LossReport:
    """How far apart runs are: the largest difference, where, and the first above the tolerance."""

    steps: int
    tolerance: float
    differences: np.ndarray  # (steps,) largest minus smallest loss of each step
    first_over: int | None   # step, counted from 0

    @property
    def largest(self) -> float:
        """The largest difference over all steps; infinite where a loss is not finite."""
        return float(self.differences.max())

    @property
    def agree(self) -> bool:
        """Whether every step is within the tolerance."""
        return self.first_over is None

    def __str__(self) -> str:
        size = f"largest difference over {self.steps} steps {self.largest:.1e}"
        if self.agree:
            return f"{size}, within {self.tolerance:.0e}"
        return f"{size}; step {self.first_over} is the first beyond {self.tolerance:.0e}"


def compare_losses(runs: Mapping[str, Sequence[float]], tolerance: float) -> LossReport:
    """Compare the losses of two runs or more, step by step.

    A loss that is not finite agrees with nothing: it counts as an infinite difference.

    Raises
    ------
    ValueError
        If there are fewer than two runs, no steps, or runs of different lengths.
    """
    lengths = {name: len(losses) for name, losses in runs.items()}
    if len(runs) < 2 or len(set(lengths.values())) != 1 or 0 in lengths.values():
        raise ValueError(f"give two or more runs of the same number of steps, not {lengths}")
    losses = np.array([list(run) for run in runs.values()], dtype=np.float64)  # (runs, steps)
    finite = np.isfinite(losses).all(axis=0)
    differences = np.full(losses.shape[1], np.inf)
    differences[finite] = np.ptp(losses[:, finite], axis=0)
    over = np.flatnonzero(differences > tolerance)
    return LossReport(
        steps=losses.shape[1],
        tolerance=tolerance,
        differences=differences,
        first_over=int(over[0]) if len(over) else None,
    )
