"""How each kind of layer keeps its parameters on either side.

A rule says for each Keras variable which torch parameters fill it, and how their arrays change.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

# Keras variable -> (torch parameters, their arrays -> the array in Keras's layout).
Rule = dict[str, tuple[tuple[str, ...], Callable[..., np.ndarray]]]


def _axes(*order: int) -> Callable[[np.ndarray], np.ndarray]:
    """Put the axes of an array in another order."""
    return lambda array: np.transpose(array, order)


def _gates(rows: np.ndarray) -> np.ndarray:
    """GRU: torch stacks its gates r, z, n; Keras z, r, n. ``rows`` (3 units, ...)."""
    reset, update, new = np.split(rows, 3)
    return np.concatenate([update, reset, new])


def _with_bias(kernel: Callable[[np.ndarray], np.ndarray]) -> Rule:
    return {"kernel": (("weight",), kernel), "bias": (("bias",), np.array)}


_DENSE = _with_bias(np.transpose)  # (out, in) -> (in, out)
_SCALED: Rule = {"gamma": (("weight",), np.array), "beta": (("bias",), np.array)}
_BATCH_NORM: Rule = {
    **_SCALED,
    "moving_mean": (("running_mean",), np.array),
    "moving_variance": (("running_var",), np.array),
}
# Both put the gates of an LSTM in the order i, f, g, o; torch keeps two biases and adds them.
_RECURRENT: Rule = {
    "kernel": (("weight_ih_l0",), np.transpose),
    "recurrent_kernel": (("weight_hh_l0",), np.transpose),
    "bias": (("bias_ih_l0", "bias_hh_l0"), np.add),
}
_GRU: Rule = {
    "kernel": (("weight_ih_l0",), lambda w: _gates(w).T),
    "recurrent_kernel": (("weight_hh_l0",), lambda w: _gates(w).T),
    "bias": (("bias_ih_l0", "bias_hh_l0"), lambda i, h: np.stack([_gates(i), _gates(h)])),
}

# (torch class, Keras class): its rule.
LAYOUTS: dict[tuple[str, str], Rule] = {
    ("Linear", "Dense"): _DENSE,
    ("Embedding", "Embedding"): {"embeddings": (("weight",), np.array)},
    ("Conv1d", "Conv1D"): _with_bias(_axes(2, 1, 0)),           # (out, in, k) -> (k, in, out)
    ("Conv2d", "Conv2D"): _with_bias(_axes(2, 3, 1, 0)),        # (out, in, h, w) -> (h, w, in, out)
    ("ConvTranspose2d", "Conv2DTranspose"): _with_bias(_axes(2, 3, 1, 0)),  # (in, out, h, w) -> …
    ("BatchNorm1d", "BatchNormalization"): _BATCH_NORM,
    ("BatchNorm2d", "BatchNormalization"): _BATCH_NORM,
    ("LayerNorm", "LayerNormalization"): _SCALED,
    ("GroupNorm", "GroupNormalization"): _SCALED,
    ("RMSNorm", "RMSNormalization"): {"scale": (("weight",), np.array)},
    ("RNN", "SimpleRNN"): _RECURRENT,
    ("LSTM", "LSTM"): _RECURRENT,
    ("GRU", "GRU"): _GRU,
}
