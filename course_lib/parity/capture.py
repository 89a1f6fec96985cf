"""Watch both models at work, and leave them as they were."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from course_lib.parity import stacked
from course_lib.parity.composites import WITH_PARTS


@dataclass
class Call:
    """One call of one layer: its arrays in, its arrays out. The n-th call of the same layer is ``turn`` n."""

    name: str
    kind: str                    # name of the class, as the tables of layers know it
    layer: object
    turn: int
    inputs: list[np.ndarray]
    outputs: list[np.ndarray]
    arguments: dict[str, object] = field(default_factory=dict)   # by name, tensors as arrays
    turned: bool = False         # steps stood before the batch; here they stand after it
    unpadded: bool = False       # its input was padded by hand as the other's layer pads; here it is not

    @property
    def key(self) -> tuple[int, int]:
        """What tells this call from all others of one run."""
        return id(self.layer), self.turn


def kind_of(layer: object, known: set[str]) -> str | None:
    """The name of the layer's class, or of the nearest base class, that a table knows."""
    return next((c.__name__ for c in type(layer).__mro__ if c.__name__ in known), None)


def arrays(value: object) -> list[np.ndarray]:
    """All tensors in tuples, lists and dicts of tensors, as NumPy arrays."""
    if value is None or isinstance(value, (str, bool, int, float)):
        return []
    if isinstance(value, dict):
        return [array for part in value.values() for array in arrays(part)]
    if isinstance(value, (tuple, list)):
        return [array for part in value for array in arrays(part)]
    if hasattr(value, "detach"):
        return [value.detach().cpu().numpy().copy()]
    if hasattr(value, "numpy"):
        return [np.array(value.numpy())]
    return [value] if isinstance(value, np.ndarray) else []


def _named(function: Callable, args, kwargs) -> dict[str, object]:
    """Arguments by name, tensors as arrays, with the masks that ride on Keras's tensors."""
    try:
        given = inspect.signature(function).bind(*args, **kwargs).arguments
    except TypeError:
        return {}
    masks = {f"{name}_mask": mask for name, value in given.items()
             if (mask := getattr(value, "_keras_mask", None)) is not None}
    return {name: value if isinstance(value, (bool, int, float)) else next(iter(arrays(value)), None)
            for name, value in (masks | given).items()}


def run_torch(model, inputs, known: set[str]) -> tuple[object, list[Call]]:
    """(output, calls of all modules of a known kind in their order), without gradients."""
    import torch

    calls, turns, handles, given = [], Counter(), [], {}
    names = {id(module): path or type(module).__name__ for path, module in model.named_modules()}

    def keep(module, args, kwargs):          # before the call: it may work in place
        given[id(module)] = arrays(list(args)) + arrays(kwargs), _named(module.forward, args, kwargs)

    def hook(module, args, kwargs, output):
        name, kind, turn = names[id(module)], kind_of(module, known), turns[id(module)]
        inputs, arguments = given.pop(id(module))
        parts = stacked.run(module, args, kwargs)
        for n, (part, into, out) in enumerate(parts, start=1):
            calls.append(Call(f"{name} (layer {n} of {len(parts)})", kind, part, turn, arrays(into), arrays(out)))
        if not parts:
            calls.append(Call(name, kind, module, turn, inputs, arrays(output), arguments))
        turns[id(module)] += 1

    try:
        for module in model.modules():
            if kind_of(module, known):
                handles.append(module.register_forward_pre_hook(keep, with_kwargs=True))
                handles.append(module.register_forward_hook(hook, with_kwargs=True))
        with torch.no_grad():
            return model(*inputs), calls
    finally:
        for handle in handles:
            handle.remove()


def run_keras(
    model, inputs, known: set[str], training: bool,
    heal: Callable[[Call], np.ndarray | None] | None = None,
) -> tuple[object, list[Call]]:
    """(output, calls of all layers of a known kind). ``heal`` may replace what a layer returns."""
    import keras
    import tensorflow as tf

    calls, turns, inside = [], Counter(), []
    original = keras.layers.Layer.__call__

    def watched(self, *args, **kwargs):
        kind = None if inside else kind_of(self, known)
        arguments = _named(self.call, args, kwargs) if kind else {}
        inside.extend([self] if kind in WITH_PARTS else [])
        try:
            output = original(self, *args, **kwargs)
        finally:
            del inside[len(inside) - (kind in WITH_PARTS):]
        tensors = tf.nest.flatten(output)
        if kind and all(isinstance(t, tf.Tensor) and hasattr(t, "numpy") for t in tensors):
            given = {k: v for k, v in kwargs.items() if k not in ("training", "mask")}
            call = Call(self.name, kind, self, turns[id(self)],
                        arrays(list(args)) + arrays(given), arrays(output), arguments)
            turns[id(self)] += 1
            calls.append(call)
            better = heal(call) if heal else None
            if better is not None and len(tensors) == 1 and better.shape == tuple(tensors[0].shape):
                healed = tf.constant(better, tensors[0].dtype)
                if hasattr(tensors[0], "_keras_mask"):
                    healed._keras_mask = tensors[0]._keras_mask
                return healed
        return output

    keras.layers.Layer.__call__ = watched
    try:
        return call_keras(model, inputs, training), calls
    finally:
        keras.layers.Layer.__call__ = original


def call_keras(model, inputs, training: bool):
    """The output of a Keras model for one or several inputs."""
    return model(inputs[0] if len(inputs) == 1 else list(inputs), training=training)


@contextmanager
def as_they_were(torch_model, keras_model, torch_optimizer=None) -> Iterator[None]:
    """Put back afterwards: weights, statistics, gradients, modes, optimizer state, random state."""
    import copy

    import tensorflow as tf
    import torch

    tensors = [*torch_model.parameters(), *torch_model.buffers()]
    values = [t.detach().clone() for t in tensors]
    gradients = [None if p.grad is None else p.grad.detach().clone() for p in torch_model.parameters()]
    modes = [(module, module.training) for module in torch_model.modules()]
    state = copy.deepcopy(torch_optimizer.state_dict()) if torch_optimizer else None
    random = torch.get_rng_state()
    variables = [(v, v.numpy()) for v in keras_model.variables]
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, value in zip(tensors, values, strict=True):
                tensor.copy_(value)
        for parameter, gradient in zip(torch_model.parameters(), gradients, strict=True):
            parameter.grad = gradient
        for module, mode in modes:
            module.training = mode
        if torch_optimizer:
            torch_optimizer.load_state_dict(state)
        torch.set_rng_state(random)
        for variable, value in variables:
            variable.assign(tf.constant(value))


@contextmanager
def without_dropout(torch_model, keras_model) -> Iterator[dict[int, float]]:
    """No layer drops anything meanwhile: the frameworks' random numbers cannot be made the same.

    Gives the share that each would drop, by the id of the layer.
    """
    kept = []
    for module in torch_model.modules():
        for name in ("p", "dropout"):
            if isinstance(module.__dict__.get(name), float):
                kept.append((module, name, getattr(module, name)))
    for layer in keras_model._flatten_layers():
        for name in ("rate", "dropout", "recurrent_dropout", "_dropout"):
            if isinstance(layer.__dict__.get(name), float):
                kept.append((layer, name, getattr(layer, name)))
    try:
        for owner, name, _ in kept:
            setattr(owner, name, 0.0)
        yield {id(owner): value for owner, _, value in kept}
    finally:
        for owner, name, value in kept:
            setattr(owner, name, value)
