"""Multi-head attention of both frameworks: one formula in NumPy, and in what the calls differ.

Vaswani et al. (2017), "Attention is all you need", equation (1) and section 3.2.2.
"""

from __future__ import annotations

import numpy as np

from course_lib.parity.capture import Call
from course_lib.parity.composites import parameters_of, rule_of
from course_lib.parity.findings import Cause
from course_lib.parity.matching import distance


def softmax(x: np.ndarray, axis: int = -1) -> np.ndarray:
    """Softmax along one axis; where all is blocked (-inf), every entry counts alike, as in Keras."""
    top = x.max(axis=axis, keepdims=True)
    e = np.exp(np.where(np.isneginf(top), 0.0, x - np.where(np.isneginf(top), 0.0, top)))
    return e / e.sum(axis=axis, keepdims=True)


def attend(mine: Call, theirs: Call, given: dict[str, np.ndarray], bias: np.ndarray) -> np.ndarray:
    """Attention with PyTorch's weights, batch first: (batch, time, features).

    ``given`` holds query, key and value; ``bias`` (batch or 1, heads or 1, time, source) is added
    to the scores, -inf where a query must not look.
    """
    kinds = (mine.kind, theirs.kind)
    own = {n: p.detach().cpu().numpy() for n, p in parameters_of(kinds, mine.layer).items()}
    part = {attribute: change(*(own[n] for n in names))
            for attribute, (names, change) in rule_of(kinds, mine.layer, theirs.layer).items()
            if all(n in own for n in names)}

    def projected(name):
        return np.einsum("bte,ehd->bhtd", given[name], part[f"{name}.kernel"]) + (
            part.get(f"{name}.bias", np.zeros(1))[..., None, :])

    query, key, value = map(projected, ("query", "key", "value"))
    scores = query @ key.swapaxes(-1, -2) / np.sqrt(query.shape[-1]) + bias
    heads = softmax(scores) @ value                                # (batch, heads, time, d)
    return np.einsum("bhtd,hde->bte", heads, part["attention_output.kernel"]) + (
        part.get("attention_output.bias", 0.0))


def attention_cause(mine: Call, theirs: Call, tolerance: float) -> Cause | None:
    """Which of Keras's arguments PyTorch's are not, where these explain Keras's numbers."""
    if not all({"query", "value"} <= call.arguments.keys() for call in (mine, theirs)):
        return None
    ours, keras = _arguments(mine), _arguments(theirs)
    if any(a.ndim != 3 for a in (*ours.values(), *keras.values())):
        return None
    after = distance(attend(mine, theirs, keras, _keras_bias(theirs, keras)), theirs.outputs[0])
    found = [cause for cause in (_of_axes(mine, ours, keras), _of_roles(ours, keras, tolerance),
                                 _of_masks(mine, theirs, ours, keras)) if cause]
    if not found or after > tolerance:
        return None
    return Cause("; ".join(c.what for c in found), found[-1].row, after, " ".join(filter(None, (
        c.cure for c in found))))


def _arguments(call: Call) -> dict[str, np.ndarray]:
    """Query, key and value of a call, whatever their order; Keras's key is its value where none is given."""
    given = call.arguments
    value = given["value"]
    key = given.get("key")
    return {"query": given["query"], "key": value if key is None else key, "value": value}


def _of_axes(mine: Call, ours: dict, keras: dict) -> Cause | None:
    same = all(ours[n].shape == keras[n].shape and np.array_equal(ours[n], keras[n]) for n in ours)
    if mine.layer.batch_first or mine.turned or not same:
        return None
    return Cause("first axis is steps: batch_first=False in PyTorch and batch in Keras",
                 cure="PyTorch: batch_first=True.")


def _of_roles(ours: dict, keras: dict, tolerance: float) -> Cause | None:
    apart = [n for n in ours if distance(ours[n], keras[n]) > tolerance]
    if not apart:
        return None
    if distance(ours["key"], keras["value"]) <= tolerance and distance(ours["value"], keras["key"]) <= tolerance:
        return Cause("keys and values change places: PyTorch is called with (query, key, value), Keras with"
                     " (query, value, key)", cure="Name the arguments: key=, value=.")
    return Cause(f"the {' and the '.join(apart)} that the layers get differ",
                 cure="Compare what each forward or call method does before.")


def _of_masks(mine: Call, theirs: Call, ours: dict, keras: dict) -> Cause | None:
    """Where one side lets a query look and the other does not."""
    try:
        a, b = np.broadcast_arrays(_torch_bias(mine, ours), _keras_bias(theirs, keras))
    except ValueError:
        return None
    if np.array_equal(a, b):
        return None
    free, allowed = np.isfinite(a), np.isfinite(b)
    if _same_masks(mine, theirs, free.shape) or np.array_equal(free, ~allowed):
        return Cause("the mask has the opposite sense: True means blocked in PyTorch and allowed in Keras,"
                     f" which lets queries see {allowed.mean():.0%} of the keys, PyTorch {free.mean():.0%}",
                     "attention-mask")
    return Cause(f"the masks differ: of all pairs of query and key PyTorch allows {free.mean():.0%}, Keras"
                 f" {allowed.mean():.0%}", cure="Give both the same mask, each in its own sense.")


def _same_masks(mine: Call, theirs: Call, shape: tuple[int, ...]) -> bool:
    """Whether both calls got the same booleans."""
    mask = theirs.arguments.get("attention_mask")
    if mask is None:
        return False
    wide = _wide(mask != 0, shape)
    for name in ("attn_mask", "key_padding_mask"):
        given = mine.arguments.get(name)
        if given is not None and given.dtype == bool:
            padding = name == "key_padding_mask"
            if np.array_equal(wide, _wide(given[:, None] if padding else given, shape)):
                return True
    return False


def _wide(mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(time, source), (batch, time, source) or (batch·heads, time, source) as (batch, heads, time, source)."""
    batch, heads = shape[:2]
    if mask.ndim == 3 and len(mask) not in (1, batch):
        mask = mask.reshape(batch, -1, *mask.shape[1:])
    elif mask.ndim == 3:
        mask = mask[:, None]
    return np.broadcast_to(mask, (batch, max(heads, mask.shape[1] if mask.ndim == 4 else 1), *shape[2:]))


def _torch_bias(call: Call, given: dict) -> np.ndarray:
    """PyTorch's masks as what is added to the scores (batch, heads or 1, time, source)."""
    first = (0, 1) if call.layer.batch_first or call.turned else (1, 0)
    batch, time = (given["query"].shape[n] for n in first)
    bias = np.zeros((batch, 1, time, given["key"].shape[first[1]]))
    for name in ("attn_mask", "key_padding_mask"):
        mask = call.arguments.get(name)
        if mask is None:
            continue
        wide = _wide(mask[:, None] if name == "key_padding_mask" else mask, bias.shape)
        bias = bias + (np.where(wide, -np.inf, 0.0) if mask.dtype == bool else wide)
    return bias


def _keras_bias(call: Call, given: dict) -> np.ndarray:
    """Keras's masks, those that ride on its tensors too, in the same form."""
    asked = call.arguments
    batch, time = given["query"].shape[:2]
    allowed = np.ones((batch, 1, time, given["key"].shape[1]), bool)
    if asked.get("attention_mask") is not None:
        allowed = allowed & _wide(asked["attention_mask"] != 0, allowed.shape)
    if asked.get("query_mask") is not None:
        allowed = allowed & asked["query_mask"][:, None, :, None]
    for name in ("value_mask", "key_mask"):
        if asked.get(name) is not None:
            allowed = allowed & asked[name][:, None, None, :]
    if asked.get("use_causal_mask"):
        allowed = allowed & np.tri(*allowed.shape[2:], dtype=bool)
    return np.where(allowed, 0.0, -np.inf)
