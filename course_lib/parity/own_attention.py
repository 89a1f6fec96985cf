"""Attention written out in a model's own code, between its projections and what follows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from itertools import combinations, permutations, product

import numpy as np

from course_lib.parity.attention import softmax
from course_lib.parity.findings import Cause
from course_lib.parity.matching import distance

_MOST = 1_000_000         # scores: beyond that, too slow to try


@dataclass(frozen=True)
class _Form:
    """One way to write attention; the defaults are the usual one."""

    heads: int
    scale: str = "1 / the root of the width of a head"
    mask: str = "none"
    softmax: str = "the keys"
    split: str = "(time, heads, width)"
    merge: str = "(time, heads, width)"
    order: tuple[str, ...] = ("queries", "keys", "values")   # of the three projections


_SCALES = {"1 / the root of the width of a head": lambda d, e: d**-0.5, "1": lambda d, e: 1.0,
           "1 / the root of all features": lambda d, e: e**-0.5, "1 / the width of a head": lambda d, e: 1 / d}
_AXES = {"the keys": -1, "the queries": -2, "the heads": 1}
_WORDS = {"heads": "the number of heads", "scale": "the factor of the scores", "mask": "the mask",
          "softmax": "what the softmax goes over", "split": "the order in which features are split",
          "merge": "the order in which heads are joined", "order": "the order of the projections"}


def attention_between(ours: np.ndarray, theirs: np.ndarray, earlier: dict[str, np.ndarray],
                      tolerance: float) -> Cause | None:
    """Both attend to the same three projections, but one of them scales, masks or normalises otherwise."""
    if ours.ndim != 3 or ours.shape != theirs.shape:
        return None
    masks = {"padding": a != 0 for _, a in earlier.items()         # ids of 0
             if a.dtype.kind in "iu" and a.ndim == 2 and len(a) == len(ours)}
    for parts in _projections(earlier, ours.shape):
        few = [a[:1] for a in parts], {name: mask[:1] for name, mask in masks.items()}
        mine = next((form for form in _usual(parts, masks)
                     if distance(_attend(form, *few), ours[:1]) <= tolerance
                     and distance(_attend(form, parts, masks), ours) <= tolerance), None)
        for form in _neighbours(mine, parts, masks) if mine else ():
            after = distance(_attend(form, parts, masks), theirs)
            if after <= tolerance:
                return _told(mine, form, after)
    return None


def _told(mine: _Form, form: _Form, after: float) -> Cause:
    apart = [f.name for f in fields(_Form) if getattr(mine, f.name) != getattr(form, f.name)]
    said = [", ".join(v) if isinstance(v, tuple) else str(v)
            for name in apart for v in (getattr(mine, name), getattr(form, name))]
    texts = [f"{_WORDS[name]} is {said[2 * n]} in PyTorch and {said[2 * n + 1]} in Keras"
             for n, name in enumerate(apart)]
    return Cause("in attention written out, " + "; ".join(texts), None, after, "Write both alike.")


def _projections(earlier: dict[str, np.ndarray], shape) -> Iterator[list[np.ndarray]]:
    """Three arrays (batch, time, features) that may be queries, keys and values, the latest first."""
    found = [a for _, a in earlier.items() if a.ndim == 3 and len(a) == shape[0] and a.dtype.kind == "f"]
    for array in found:
        if array.shape[-1] == 3 * shape[-1]:
            yield np.split(array.astype(np.float64), 3, axis=-1)
    wide = [a.astype(np.float64) for a in found if a.shape[-1] == shape[-1]][:4]
    for three in combinations(wide, 3):
        times = [a.shape[1] for a in three]
        if len(set(times)) == 1 or times.count(shape[1]):
            yield [*reversed(three)]


def _usual(parts, masks) -> Iterator[_Form]:
    """Forms that a right model may have."""
    width = parts[0].shape[-1]
    heads = [h for h in range(1, min(width, 16) + 1) if width % h == 0]
    for order in permutations(("queries", "keys", "values")):
        for h, scale, mask in product(heads, _SCALES, ("none", "causal", *_with_padding(masks))):
            yield _Form(h, scale, mask, order=order)
        for h, scale, axis in product(heads, _SCALES, ("the queries", "the heads")):
            yield _Form(h, scale, softmax=axis, order=order)
        for h, name in product(heads, ("split", "merge")):
            yield replace(_Form(h, order=order), **{name: "(heads, time, width)"})
        for h in heads:
            yield _Form(h, split="(heads, time, width)", merge="(heads, time, width)", order=order)


def _with_padding(masks) -> list[str]:
    return ["padding", "causal and padding"] if masks else []


def _neighbours(mine: _Form, parts, masks) -> Iterator[_Form]:
    """Forms that differ from one in one convention, or in both of the heads' axes."""
    width = parts[0].shape[-1]
    choices = {"scale": list(_SCALES), "softmax": list(_AXES),
               "mask": ["none", "causal", "causal, turned round", *_with_padding(masks),
                        *(["padding, turned round"] if masks else [])],
               "split": ["(time, heads, width)", "(heads, time, width)"],
               "merge": ["(time, heads, width)", "(heads, time, width)"],
               "order": list(permutations(("queries", "keys", "values"))),
               "heads": [h for h in range(1, min(width, 16) + 1) if width % h == 0]}
    for name, values in choices.items():
        yield from (replace(mine, **{name: value}) for value in values if value != getattr(mine, name))
    for value in choices["split"]:                       # heads that are never transposed, or always
        yield replace(mine, split=value, merge=value)


def _attend(form: _Form, parts, masks) -> np.ndarray:
    """What a form gives (batch, time, features); nan where it cannot be."""
    by_role = dict(zip(form.order, parts, strict=True))
    query, key, value = (by_role[role] for role in ("queries", "keys", "values"))
    nothing = np.full(query.shape, np.nan)
    if key.shape[1] != value.shape[1] or len(query) * form.heads * query.shape[1] * key.shape[1] > _MOST:
        return nothing
    q, k, v = (_split(a, form) for a in (query, key, value))
    scores = q @ k.swapaxes(-1, -2) * _SCALES[form.scale](q.shape[-1], query.shape[-1])
    allowed = _allowed(form.mask, scores.shape, masks)
    if allowed is None:
        return nothing
    weights = softmax(np.where(allowed, scores, -np.inf), _AXES[form.softmax])
    heads = weights @ v                                        # (batch, heads, time, width)
    if form.merge == "(time, heads, width)":
        heads = heads.swapaxes(1, 2)
    return heads.reshape(query.shape)


def _split(array: np.ndarray, form: _Form) -> np.ndarray:
    batch, time, _ = array.shape
    if form.split == "(heads, time, width)":
        return array.reshape(batch, form.heads, time, -1)
    return array.reshape(batch, time, form.heads, -1).swapaxes(1, 2)


def _allowed(mask: str, shape, masks) -> np.ndarray | None:
    """Which keys a query may see, broadcast to (batch, heads, time, source); None where that cannot be."""
    allowed = np.ones((1, 1, *shape[2:]), bool)
    if mask.startswith("causal"):
        allowed = np.tri(*shape[2:], dtype=bool)[None, None]
        if mask.endswith("turned round"):
            allowed = ~allowed
    if "padding" in mask:
        real = masks["padding"][:, None, None, :]
        if real.shape[-1] != shape[-1]:
            return None
        allowed = allowed & (~real if mask.endswith("turned round") else real)
    return allowed
