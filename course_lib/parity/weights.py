"""The same weights in both frameworks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from course_lib.parity.layouts import LAYOUTS

if TYPE_CHECKING:
    import keras
    import torch


class ParityError(ValueError):
    """Two models cannot be made twins; the message names the parameter and what to do."""


def copy_by_layout(torch_model: torch.nn.Module, keras_model: keras.Model) -> None:
    """`composites.copy_weights` where the table ``LAYOUTS`` has a rule for every layer.

    Nothing is written unless all fits.

    Raises
    ------
    ParityError
        If a parameter has no layer, no rule, another shape or another dtype, or if a Keras
        variable would be left as it was.
    """
    layers = _layers_by_name(keras_model)
    pairs, filled = [], set()
    for path, (module, parameters) in _parameters_by_module(torch_model).items():
        layer = layers.get(path)
        if layer is None:
            raise ParityError(
                f"torch parameters {', '.join(parameters)} of module {path!r} have no Keras layer of"
                f" that name; the Keras model has {', '.join(sorted(layers)) or 'none'}. Name the"
                f" layer that belongs to it: name={path!r}."
            )
        for variable, array in _fitted(path, module, layer, parameters):
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


def _owner(layer):
    """Where a layer keeps its variables: itself, or the cell of a recurrent layer."""
    return getattr(layer, "cell", layer)


def _layers_by_name(model):
    """Layer name -> layer, for all layers that hold weights of their own."""
    if not model.built:
        raise ParityError(
            f"Keras model {model.name!r} has no weights yet; call it once on a batch, or build it"
        )
    layers = model._flatten_layers(include_self=True)
    cells = {id(_owner(layer)) for layer in layers if _owner(layer) is not layer}
    found = {}
    for layer in layers:
        owner = _owner(layer)
        empty = not owner._trainable_variables and not owner._non_trainable_variables
        if empty or id(layer) in cells:
            continue
        if layer.name in found:
            raise ParityError(f"two Keras layers are named {layer.name!r}; give each its own name")
        found[layer.name] = layer
    return found


def _fitted(path, module, layer, parameters) -> Iterator[tuple]:
    """Each Keras variable that a module's parameters fill, and the array in its layout."""
    rule = _rule(path, module, layer, parameters)
    waiting = dict(parameters)
    for attribute, (names, change) in rule.items():
        given = [waiting.pop(name) for name in names if name in waiting]
        if not given:
            continue
        full_name = f"{path}.{names[0]}" if path else names[0]
        if len(given) < len(names):
            raise ParityError(f"module {path!r} lacks one of {', '.join(names)}")
        arrays = [parameter.detach().cpu().numpy() for parameter in given]
        yield _checked(full_name, layer, attribute, arrays[0], change(*arrays))


def _rule(path, module, layer, parameters):
    """The layout rule for a module and its layer; every parameter must stand in it."""
    kinds = (type(module).__name__, type(layer).__name__)
    rule = LAYOUTS.get(kinds, {})
    known = {name for names, _ in rule.values() for name in names}
    for name in parameters:
        if name not in known:
            full_name = f"{path}.{name}" if path else name
            rules = ", ".join(f"{a} -> {b}" for a, b in LAYOUTS)
            raise ParityError(
                f"no layout rule for {full_name!r} ({kinds[0]} -> {kinds[1]}); known: {rules}."
                " Add one to course_lib.parity.LAYOUTS, or build the model of layers that have one."
            )
    return rule


def _checked(full_name, layer, attribute, original, array):
    """The Keras variable for an array, where both have the same shape and dtype."""
    variable = getattr(_owner(layer), attribute, None)
    if variable is None:
        raise ParityError(
            f"{full_name!r} belongs in {layer.name}.{attribute}, which the Keras layer does not"
            f" have; for a bias, pass use_bias=True there or bias=False in torch"
        )
    if array.shape != tuple(variable.shape):
        raise ParityError(
            f"{full_name!r} has shape {original.shape}, in Keras {array.shape}, but"
            f" {layer.name}.{attribute} has {tuple(variable.shape)}; make the sizes equal"
        )
    if str(array.dtype) != variable.dtype:
        raise ParityError(
            f"{full_name!r} is {array.dtype}, {layer.name}.{attribute} is {variable.dtype};"
            " build both models with the same dtype"
        )
    return variable, array
