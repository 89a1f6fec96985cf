"""A plain RNN and an LSTM in NumPy, with masks, and their gradients through time, in float64.

Parameters of a cell are a dict: ``input`` (features, gates * hidden), ``recurrent`` (hidden,
gates * hidden), ``bias`` (gates * hidden,). The RNN has one block of columns, the LSTM four in
the order i, f, g, o: input gate, forget gate, candidate, output gate.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def pad(
    sequences: Sequence[np.ndarray], where: str = "end", time: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Fill up sequences (time, features) with zeros to one length.

    Returns x (batch, time, features) in the sequences' dtype, and mask (batch, time), True at the
    real steps. ``where`` is "end" or "start"; ``time`` is the least length of the result.
    """
    if where not in ("end", "start") or not len(sequences):
        raise ValueError(
            f"where {where!r}: give 'end' or 'start', and some sequences")
    lengths = np.array([len(s) for s in sequences])
    steps = np.arange(max(lengths.max(), time))
    mask = steps < lengths[:, None]                      # (batch, time)
    if where == "start":
        mask = mask[:, ::-1]
    x = np.zeros((*mask.shape, sequences[0].shape[1]), sequences[0].dtype)
    x[mask] = np.concatenate(sequences)
    return x, mask


def init_cell(features: int, hidden: int, gates: int, seed: int = 0) -> dict:
    """Draw weights from U(-1/sqrt(hidden), 1/sqrt(hidden)), biases 0; forget gates 1.

    ``gates`` is 1 for the RNN and 4 for the LSTM, whose forget gates start with the bias 1.
    """
    if gates not in (1, 4):
        raise ValueError(f"gates is {gates}: give 1 for an RNN, 4 for an LSTM")
    random, bound = np.random.default_rng(seed), 1 / np.sqrt(hidden)
    bias = np.zeros(gates * hidden)
    if gates == 4:
        bias[hidden : 2 * hidden] = 1
    return {
        "input": random.uniform(-bound, bound, (features, gates * hidden)),
        "recurrent": random.uniform(-bound, bound, (hidden, gates * hidden)),
        "bias": bias,
    }


def rnn(
    params: dict, x: np.ndarray, mask: np.ndarray
) -> np.ndarray:
    """Hidden states (time + 1, batch, hidden), the first all zeros.

    h_t = tanh(x_t W_x + h_(t-1) W_h + b), Elman (1990). Where ``mask`` (batch, time) is False the
    state stays as it was, so the last row holds the state after each sequence's last real step.
    """
    _check(params, x, mask, 1)
    states = np.zeros((x.shape[1] + 1, len(x), len(params["recurrent"])))
    for t in range(x.shape[1]):
        sums = x[:, t] @ params["input"] + params["bias"]
        new = np.tanh(sums + states[t] @ params["recurrent"])
        states[t + 1] = np.where(mask[:, t, None], new, states[t])
    return states


def rnn_gradients(
    params: dict, x: np.ndarray, mask: np.ndarray, states: np.ndarray,
    back: np.ndarray,
) -> tuple[dict, np.ndarray]:
    """Backpropagation through time, from the gradient at the end.

    ``back`` (batch, hidden) is the gradient of the loss in the last state. Returns the gradient
    of every parameter, and the gradients in all states (time + 1, batch, hidden). Werbos (1990).
    """
    gradients = {name: np.zeros_like(p) for name, p in params.items()}
    flow = np.zeros_like(states)
    flow[-1] = back
    for t in reversed(range(x.shape[1])):
        real = mask[:, t, None]
        sums = np.where(real, flow[t + 1] * (1 - states[t + 1] ** 2), 0)
        _add(gradients, x[:, t], states[t], sums)
        flow[t] = np.where(real, sums @ params["recurrent"].T, flow[t + 1])
    return gradients, flow


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), without overflow."""
    return (1 + np.tanh(x / 2)) / 2


def lstm(
    params: dict, x: np.ndarray, mask: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hidden states, cell states and gates of an LSTM.

    Shapes (time + 1, batch, hidden) twice, (time, batch, 4 hidden) with i, f, g, o after their
    sigmoid or tanh. Hochreiter and Schmidhuber (1997), with the forget gate of Gers et al. (2000).
    Where ``mask`` (batch, time) is False both states stay as they were.
    """
    _check(params, x, mask, 4)
    hidden = len(params["recurrent"])
    states = np.zeros((x.shape[1] + 1, len(x), hidden))
    cells, gates = np.zeros_like(states), []
    for t in range(x.shape[1]):
        sums = x[:, t] @ params["input"] + params["bias"]
        i, f, g, o = np.split(sums + states[t] @ params["recurrent"], 4, 1)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        cell = f * cells[t] + i * g
        real = mask[:, t, None]
        cells[t + 1] = np.where(real, cell, cells[t])
        states[t + 1] = np.where(real, o * np.tanh(cell), states[t])
        gates.append(np.concatenate([i, f, g, o], axis=1))
    return states, cells, np.array(gates)


def lstm_gradients(
    params: dict, x: np.ndarray, mask: np.ndarray,
    run: tuple[np.ndarray, np.ndarray, np.ndarray], back: np.ndarray,
) -> tuple[dict, np.ndarray, np.ndarray]:
    """Backpropagation through time in an LSTM, from the end.

    ``run`` is what ``lstm`` returned, ``back`` (batch, hidden) the gradient of the loss in the
    last hidden state. Returns the gradient of every parameter, and the gradients in all hidden
    and all cell states, (time + 1, batch, hidden) each.
    """
    states, cells, gates = run
    gradients = {name: np.zeros_like(p) for name, p in params.items()}
    flow, flow_cell = np.zeros_like(states), np.zeros_like(cells)
    flow[-1] = back
    for t in reversed(range(x.shape[1])):
        i, f, g, o = np.split(gates[t], 4, axis=1)
        real, squashed = mask[:, t, None], np.tanh(cells[t + 1])
        at_cell = flow_cell[t + 1] + flow[t + 1] * o * (1 - squashed**2)
        sums = np.concatenate([
            at_cell * g * i * (1 - i), at_cell * cells[t] * f * (1 - f),
            at_cell * i * (1 - g**2), flow[t + 1] * squashed * o * (1 - o),
        ], axis=1)
        sums = np.where(real, sums, 0)
        _add(gradients, x[:, t], states[t], sums)
        flow[t] = np.where(real, sums @ params["recurrent"].T, flow[t + 1])
        flow_cell[t] = np.where(real, at_cell * f, flow_cell[t + 1])
    return gradients, flow, flow_cell


def to_torch(params: dict) -> dict:
    """The arrays of PyTorch's layers, with a second bias of 0.

    Matrices are (out, in) there. PyTorch adds two biases; the whole bias goes into the first.
    """
    return {
        "weight_ih_l0": params["input"].T,
        "weight_hh_l0": params["recurrent"].T,
        "bias_ih_l0": params["bias"],
        "bias_hh_l0": np.zeros_like(params["bias"]),
    }


def from_torch(arrays: dict) -> dict:
    """Our parameters out of those of PyTorch's ``RNN`` or ``LSTM``."""
    return {
        "input": arrays["weight_ih_l0"].T,
        "recurrent": arrays["weight_hh_l0"].T,
        "bias": arrays["bias_ih_l0"] + arrays["bias_hh_l0"],
    }


def to_keras(params: dict) -> list[np.ndarray]:
    """What ``set_weights`` of a Keras ``SimpleRNN`` or ``LSTM`` takes."""
    return [params["input"], params["recurrent"], params["bias"]]


def from_keras(weights: list[np.ndarray]) -> dict:
    """Our parameters out of a Keras layer's ``get_weights``."""
    names = ("input", "recurrent", "bias")
    return dict(zip(names, weights, strict=True))


def _add(gradients: dict, x: np.ndarray, state: np.ndarray, sums: np.ndarray) -> None:
    """Add one step's share: every step uses the same weights, so their gradients are summed."""
    gradients["input"] += x.T @ sums
    gradients["recurrent"] += state.T @ sums
    gradients["bias"] += sums.sum(axis=0)


def _check(params: dict, x: np.ndarray, mask: np.ndarray, gates: int) -> None:
    """Raise ``ValueError`` where shapes do not fit, which broadcasting might hide."""
    hidden, columns = params["recurrent"].shape
    if columns != gates * hidden or params["bias"].shape != (columns,):
        raise ValueError(f"recurrent is {params['recurrent'].shape} and bias {params['bias'].shape}:"
                         f" make them (hidden, {gates} * hidden) and ({gates} * hidden,)")
    if x.ndim != 3 or x.shape[2] != len(params["input"]):
        raise ValueError(f"x is {x.shape}: make it (batch, time, {len(params['input'])})")
    if mask.shape != x.shape[:2] or mask.dtype != bool:
        raise ValueError(f"mask is {mask.dtype} {mask.shape}: make it bool {x.shape[:2]}")
