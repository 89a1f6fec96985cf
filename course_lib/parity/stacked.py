"""Recurrent layers that stand on each other in one PyTorch module, taken apart: Keras has a layer for each."""

from __future__ import annotations

from weakref import WeakKeyDictionary

KINDS = ("RNN", "LSTM", "GRU")
_MADE: WeakKeyDictionary = WeakKeyDictionary()       # a module -> its layers, which share its parameters


def layers_of(module) -> list:
    """One module of one layer for each layer of a stack, with the same parameters; else nothing."""
    import torch

    if not isinstance(module, torch.nn.RNNBase) or module.num_layers < 2 or module.proj_size:
        return []
    made = _MADE.get(module, [])
    if not all(p is getattr(part, _single(name)) for n, part in enumerate(made)
               for name, p in _own(module, n)) or not made:
        made = _MADE[module] = [_layer(module, n) for n in range(module.num_layers)]
    return made


def _own(module, number: int) -> list[tuple]:
    """(name, parameter) of one layer of a stack."""
    return [(name, p) for name, p in module.named_parameters(recurse=False)
            if name.removesuffix("_reverse").endswith(f"_l{number}")]


def _single(name: str) -> str:
    """What a parameter is called in a module of one layer."""
    start, _, end = name.rpartition("_l")
    return f"{start}_l0" + ("_reverse" if end.endswith("_reverse") else "")


def _layer(module, number: int):
    from torch import nn

    kind = next(c.__name__ for c in type(module).__mro__ if c.__name__ in KINDS)
    ways = 2 if module.bidirectional else 1
    size = module.input_size if number == 0 else ways * module.hidden_size
    more = {"nonlinearity": module.nonlinearity} if kind == "RNN" else {}
    part = getattr(nn, kind)(size, module.hidden_size, 1, module.bias, module.batch_first, 0.0, ways == 2,
                             device="meta", **more)
    for name, parameter in _own(module, number):
        setattr(part, _single(name), parameter)
    return part


def run(module, args, kwargs) -> list[tuple]:
    """(layer, what it gets, what it returns) of each layer of a stack; nothing where it is not taken apart."""
    import torch

    given = [*args, *kwargs.values()]
    parts = layers_of(module)
    if not parts or not isinstance(given[0], torch.Tensor) or given[0].ndim != 3:
        return []
    x, state, found = given[0], (given + [None])[1], []
    ways = 2 if module.bidirectional else 1
    with torch.no_grad():
        for n, part in enumerate(parts):
            own = slice(n * ways, (n + 1) * ways)
            start = tuple(s[own] for s in state) if isinstance(state, tuple) else None if state is None else state[own]
            output = part(x, start)
            found.append((part, [x, start], output))
            x = output[0]
    return found
