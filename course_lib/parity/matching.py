"""Which torch module belongs to which Keras layer, and whether two arrays hold the same."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from course_lib.parity.capture import Call
from course_lib.parity.composites import COMPOSITES, RULED, parameters_of, rule_of, variable_of
from course_lib.parity.settings import PAIRS


def align(torch_calls: list[Call], keras_calls: list[Call]) -> list[tuple[Call, Call]]:
    """Pairs of calls: by equal names, then by equal weights, then by order, kind and size.

    By order: the best common order of both runs; what has no counterpart is stepped over, and so is
    a layer without weights that stands after another layer than its like. Two
    layers that are left over at last belong together if no other is of their kind and size.
    """
    waiting = {(c.name, c.turn): c for c in keras_calls}
    named = [(c, other) for c in torch_calls
             if (other := waiting.get((c.name, c.turn))) and _worth(c, other)]
    pairs = named
    for step in (_by_weights, _in_order, _left_over):
        taken = {id(c) for pair in pairs for c in pair}
        places = _places(torch_calls, keras_calls, pairs)
        pairs = pairs + step([c for c in torch_calls if id(c) not in taken],
                             [c for c in keras_calls if id(c) not in taken], places)
    return pairs


def _places(torch_calls: list[Call], keras_calls: list[Call], pairs: list[tuple[Call, Call]]) -> dict[int, int]:
    """Id of a call -> after which matched layer with weights it stands (the id of Keras's call)."""
    partner = {id(c): id(theirs) for ours, theirs in pairs if (ours.kind, theirs.kind) in RULED
               for c in (ours, theirs)}
    found = {}
    for calls in (torch_calls, keras_calls):
        last = 0
        for call in calls:
            last = partner.get(id(call), last)
            found[id(call)] = last
    return found


def _weights(ours: Call, theirs: Call) -> tuple[np.ndarray, np.ndarray] | None:
    """(torch's first parameter in Keras's layout, Keras's) of two layers that may belong together."""
    kinds = (ours.kind, theirs.kind)
    rule = rule_of(kinds, ours.layer, theirs.layer)
    if not rule:
        return None
    attribute, (names, change) = next(iter(rule.items()))
    weight = parameters_of(kinds, ours.layer).get(names[0])
    variable = variable_of(theirs.layer, attribute)
    if weight is None or variable is None:
        return None
    return change(weight.detach().cpu().numpy()), variable.numpy()


def _by_weights(torch_calls: list[Call], keras_calls: list[Call], places: dict) -> list[tuple[Call, Call]]:
    found, taken = [], set()
    for ours in torch_calls:
        for theirs in keras_calls:
            both = _weights(ours, theirs) if ours.turn == theirs.turn and id(theirs) not in taken else None
            if both and np.ptp(both[0]) and distance(*both) < 1e-6 and _worth(ours, theirs):
                found.append((ours, theirs))
                taken.add(id(theirs))
                break
    return found


def _left_over(torch_calls: list[Call], keras_calls: list[Call], places: dict) -> list[tuple[Call, Call]]:
    fitting = [(a, b) for a in torch_calls for b in keras_calls
               if _worth(a, b) >= 1 and a.turn == b.turn]
    return [(a, b) for a, b in fitting
            if sum(a is c for c, _ in fitting) == 1 and sum(b is d for _, d in fitting) == 1]


def _in_order(torch_calls: list[Call], keras_calls: list[Call], places: dict) -> list[tuple[Call, Call]]:
    """The best common order; a layer without weights has no counterpart after another matched layer."""
    def worth_of(ours: Call, theirs: Call) -> float:
        kinds = (ours.kind, theirs.kind)
        elsewhere = places[id(ours)] != places[id(theirs)]
        return 0.0 if kinds not in RULED and elsewhere and kinds[0] != "Dropout" else _worth(ours, theirs)

    rows, columns = len(torch_calls), len(keras_calls)
    best = np.zeros((rows + 1, columns + 1))
    for i in range(rows - 1, -1, -1):
        for j in range(columns - 1, -1, -1):
            worth = worth_of(torch_calls[i], keras_calls[j])
            best[i, j] = max(best[i + 1, j], best[i, j + 1], worth and worth + best[i + 1, j + 1])
    pairs, i, j = [], 0, 0
    while i < rows and j < columns:
        worth = worth_of(torch_calls[i], keras_calls[j])
        if worth and best[i, j] == worth + best[i + 1, j + 1]:
            pairs.append((torch_calls[i], keras_calls[j]))
            i, j = i + 1, j + 1
        elif best[i, j] == best[i + 1, j]:
            i += 1
        else:
            j += 1
    return pairs


def _worth(ours: Call, theirs: Call) -> float:
    """How well two calls fit; 0 where they cannot belong together."""
    kinds = (ours.kind, theirs.kind)
    if kinds not in PAIRS:
        return 0.0
    if kinds not in RULED:
        return 0.5
    module = ours.layer
    several = getattr(module, "num_layers", 1) > 1 or getattr(module, "bidirectional", False)
    if several and (kinds not in COMPOSITES or module.num_layers > 1):
        return 0.0                       # several of Keras's layers in one
    both = _weights(ours, theirs)
    if both is None:                     # a normalisation without weights of its own
        bare = not list(module.parameters(recurse=False)) and not theirs.layer.trainable_weights
        return 1.0 if bare and kinds not in COMPOSITES else 0.0
    if both[0].shape != both[1].shape:
        return 0.0
    return 2.0 if ours.name.split(".")[-1] != theirs.name.split("/")[-1] else 3.0


def layouts(array: np.ndarray) -> Iterator[np.ndarray]:
    """The array as Keras may hold it: as it is, or with its channels last."""
    yield array
    if array.ndim >= 3:
        yield np.moveaxis(array, 1, -1)


def distance(ours: np.ndarray, theirs: np.ndarray, floor: float = 1e-30) -> float:
    """Largest difference, relative to our largest number (or ``floor``); infinite where shapes differ or a nan is."""
    if ours.shape != theirs.shape:
        return float("inf")
    if not ours.size:
        return 0.0
    with np.errstate(invalid="ignore", over="ignore"):
        gap = np.abs(ours.astype(np.float64) - theirs)
        gap[(ours == theirs) | (np.isnan(ours) & np.isnan(theirs))] = 0.0
        scale = np.abs(ours[np.isfinite(ours)]).max(initial=0.0)
        size = float(gap.max() / max(scale, floor, 1e-30))
    return size if size == size else float("inf")


def closest(candidates: list[np.ndarray], theirs: np.ndarray) -> tuple[float, np.ndarray | None]:
    """(smallest distance to any candidate in any layout, that candidate in Keras's layout)."""
    best, found = float("inf"), None
    for array in candidates:
        for view in layouts(array):
            size = distance(view, theirs)
            if found is None and view.shape == theirs.shape or size < best:
                best, found = size, view
    return best, found
