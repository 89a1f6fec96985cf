"""Layers whose layout no fixed rule can say: made of parts, or dependent on the layer's sizes.

A `Rule` of `layouts` names parameters and variables of the layer itself. Here a rule is made for
each pair of layers; its names may lead into parts: ``out_proj.weight`` of a torch module,
``query.kernel`` or ``backward.bias`` of a Keras layer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from course_lib.parity.layouts import LAYOUTS, Rule
from course_lib.parity.weights import ParityError, copy_by_layout

if TYPE_CHECKING:
    import keras
    import torch

# What the parts of Keras's layers are called here, and by which attributes they are reached.
_PARTS = {"query": "_query_dense", "key": "_key_dense", "value": "_value_dense",
          "attention_output": "_output_dense",
          "forward": "forward_layer.cell", "backward": "backward_layer.cell"}


def _heads_of(number: int, heads: int) -> Callable[[np.ndarray], np.ndarray]:
    """From torch's stacked q, k, v take one: (3 heads·d, in) -> (in, heads, d), (3 heads·d) -> (heads, d)."""
    def change(stacked: np.ndarray) -> np.ndarray:
        part = np.split(stacked, 3)[number] if number >= 0 else stacked
        return part.T.reshape(*part.T.shape[:-1], heads, -1)

    return change


def _attention(module, layer) -> Rule:
    """Torch stacks the projections of q, k and v where they have one width, and numbers the rows by head."""
    heads = module.num_heads
    rule: Rule = {}
    for number, (part, letter) in enumerate((("query", "q"), ("key", "k"), ("value", "v"))):
        stacked = module.in_proj_weight is not None
        name = "in_proj_weight" if stacked else f"{letter}_proj_weight"
        rule[f"{part}.kernel"] = (name,), _heads_of(number if stacked else -1, heads)
        rule[f"{part}.bias"] = ("in_proj_bias",), _heads_of(number, heads)
    rule["attention_output.kernel"] = ("out_proj.weight",), lambda w: w.T.reshape(heads, -1, len(w))
    rule["attention_output.bias"] = ("out_proj.bias",), np.array
    return rule


def _both_ways(module, layer) -> Rule | None:
    """Torch's parameters of the way back end in ``_reverse``; a layer of another kind fits no rule."""
    one_way = LAYOUTS.get((_kind(module), type(layer.forward_layer).__name__))
    if one_way is None or not module.bidirectional:
        return None
    return {f"{way}.{attribute}": (tuple(name + suffix for name in names), change)
            for way, suffix in (("forward", ""), ("backward", "_reverse"))
            for attribute, (names, change) in one_way.items()}


def _kind(module) -> str:
    return next((c.__name__ for c in type(module).__mro__ if c.__name__ in ("RNN", "LSTM", "GRU")), "")


def _depthwise(module, layer) -> Rule | None:
    """(channels·multiplier, 1, h, w) -> (h, w, channels, multiplier)"""
    channels = module.in_channels
    if module.groups != channels:
        return None

    def change(w: np.ndarray) -> np.ndarray:
        return w.reshape(channels, -1, *w.shape[2:]).transpose(2, 3, 0, 1)

    return {"kernel": (("weight",), change), "bias": (("bias",), np.array)}


def _bag(module, layer) -> Rule:
    return {"embeddings": (("weight",), np.array)}


# (torch class, Keras class): what makes the rule of one module and one layer, or None if they do not fit.
COMPOSITES: dict[tuple[str, str], Callable[[object, object], Rule | None]] = {
    ("MultiheadAttention", "MultiHeadAttention"): _attention,
    ("RNN", "Bidirectional"): _both_ways,
    ("LSTM", "Bidirectional"): _both_ways,
    ("GRU", "Bidirectional"): _both_ways,
    ("Conv2d", "DepthwiseConv2D"): _depthwise,
    ("EmbeddingBag", "Embedding"): _bag,
}
RULED = {*LAYOUTS, *COMPOSITES}
WITH_PARTS = {"MultiHeadAttention", "Bidirectional"}   # Keras layers that call other layers


def rule_of(kinds: tuple[str, str], module, layer) -> Rule:
    """The rule of two layers, made where none is fixed; empty where they cannot belong together."""
    if kinds in COMPOSITES:
        return COMPOSITES[kinds](module, layer) or {}
    return LAYOUTS.get(kinds, {})


def parameters_of(kinds: tuple[str, str], module) -> dict:
    """Torch's parameters and buffers that a rule may name, by their names."""
    deep = kinds in COMPOSITES
    return {**dict(module.named_parameters(recurse=deep)), **dict(module.named_buffers(recurse=deep))}


def variable_of(layer, attribute: str):
    """The Keras variable that a rule names, or None: of the layer, of its cell, or of a part."""
    part, _, own = attribute.rpartition(".")
    owner = getattr(layer, "cell", layer)
    for step in _PARTS.get(part, part).split(".") if part else ():
        owner = getattr(owner, step, None)
    return getattr(owner, own, None)


# --- copying ------------------------------------------------------------------------------------


def copy_weights(torch_model: torch.nn.Module, keras_model: keras.Model) -> None:
    """Copy every parameter of a torch model into the Keras layer that bears its module's path.

    A Keras layer is named like the torch module: ``readout``, or ``blocks.0.attn.qkv``. The tables
    ``LAYOUTS`` and ``COMPOSITES`` say how arrays are laid out on either side; the parts of a
    composite layer (attention, bidirectional) may have any names. Running statistics of batch
    normalisation are copied too. Nothing is written unless all fits.

    Raises
    ------
    ParityError
        If a parameter has no layer, no rule, another shape or another dtype, or if a Keras
        variable would be left as it was.
    """
    pairs = _composites(torch_model, keras_model)
    fitted = [one for path, (module, layer) in pairs.items() for one in _fitted(path, module, layer)]
    modules = {id(m) for module, _ in pairs.values() for m in module.modules()}
    layers = {id(part) for _, layer in pairs.values() for part in layer._flatten_layers()}
    copy_by_layout(_TorchRest(torch_model, modules), _KerasRest(keras_model, layers))
    for variable, array in fitted:
        variable.assign(array)


def _composites(torch_model, keras_model) -> dict:
    """Path -> (module, layer) of all composites."""
    named = {}
    if keras_model.built:                # else `copy_by_layout` says what is wrong
        for layer in keras_model._flatten_layers():
            named.setdefault(layer.name, layer)
    return {path: (module, named[path]) for path, module in torch_model.named_modules()
            if path in named and (type(module).__name__, type(named[path]).__name__) in COMPOSITES}


def _fitted(path: str, module, layer) -> list[tuple]:
    """[(Keras variable, its array)], where the parameters of the module fill all of the layer."""
    kinds = (type(module).__name__, type(layer).__name__)
    own, found, used = parameters_of(kinds, module), [], set()
    for attribute, (names, change) in rule_of(kinds, module, layer).items():
        variable, given = variable_of(layer, attribute), [own.get(name) for name in names]
        if variable is None and not any(g is not None for g in given):
            continue
        if variable is None or any(g is None for g in given):
            raise ParityError(f"{path}: {' + '.join(names)} in torch, {attribute} in Keras: only one of"
                              " them is there; switch the bias on, or off, in both")
        array = change(*(g.detach().cpu().numpy() for g in given))
        if array.shape != tuple(variable.shape) or str(array.dtype) != variable.dtype:
            raise ParityError(f"{path}: {' + '.join(names)} is {array.dtype} {array.shape} in Keras's"
                              f" layout, {attribute} is {variable.dtype} {tuple(variable.shape)}; build"
                              " both models with the same sizes and dtype")
        found.append((variable, array))
        used.update(names)
    left = {n for n, p in own.items() if p is not None} - used
    left |= {v.path for v in layer.weights} - {v.path for v, _ in found}
    if left:
        raise ParityError(f"{path}: no rule for {', '.join(sorted(left))} ({kinds[0]} -> {kinds[1]});"
                          " build both models of layers that have one")
    return found


class _TorchRest:
    """A torch model without the modules that are copied already."""

    def __init__(self, model, without: set[int]):
        self.model, self.without = model, without

    def named_modules(self):
        return [(path, m) for path, m in self.model.named_modules() if id(m) not in self.without]


class _KerasRest:
    """A Keras model without the layers that are copied already."""

    def __init__(self, model, without: set[int]):
        self.model, self.without = model, without
        self.built, self.name = model.built, model.name

    def _flatten_layers(self, include_self=True):
        layers = self.model._flatten_layers(include_self=include_self)
        return [layer for layer in layers if id(layer) not in self.without]
