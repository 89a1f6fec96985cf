"""A network on averaged word embeddings in NumPy: outputs, and gradients by the chain rule.

``params`` names its arrays as the PyTorch twin does: ``embedding.weight`` (words, width),
``layers.0.weight`` (features, hidden) and ``layers.0.bias`` (hidden,) for each hidden layer, and
``readout.weight``, ``readout.bias``. Weights are laid out (in, out), so that x @ weight is a layer.
"""

from __future__ import annotations

import numpy as np

PAD = 0  # the id that fills up short rows


def neuron(x: np.ndarray, weight: np.ndarray, bias: float) -> float:
    """A weighted sum and an activation: relu(w · x + b), with x and w (features,)."""
    return float(max(weight @ x + bias, 0.0))


def layer(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray
) -> np.ndarray:
    """Many neurons at once: (batch, features) -> (batch, neurons)."""
    return np.maximum(x @ weight + bias, 0.0)


def average(vectors: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """The mean vector of each row's words; padding does not count.

    ``vectors`` (words, width), ``ids`` (batch, time) -> (batch, width); 0 for a row of padding.
    """
    mask = (ids != PAD)[:, :, None]                    # (batch, time, 1)
    total = (vectors[ids] * mask).sum(axis=1)
    return total / np.maximum(mask.sum(axis=1), 1)


def text_mlp(
    params: dict, ids: np.ndarray
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Logits (batch, classes) and what goes into each layer.

    ``ids`` (batch, time) are whole numbers.
    """
    inputs = [average(params["embedding.weight"], ids)]
    while (name := f"layers.{len(inputs) - 1}") + ".weight" in params:
        weight, bias = params[name + ".weight"], params[name + ".bias"]
        inputs.append(layer(inputs[-1], weight, bias))
    logits = inputs[-1] @ params["readout.weight"] + params["readout.bias"]
    return logits, inputs


def text_mlp_gradients(
    params: dict, ids: np.ndarray, labels: np.ndarray
) -> tuple[float, dict]:
    """Mean cross-entropy and its gradient in every parameter.

    ``labels`` (batch,) are whole numbers. Gradients have their parameters' names and shapes
    (Rumelhart et al. 1986).
    """
    logits, inputs = text_mlp(params, ids)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    rows = np.arange(len(labels))
    back = np.exp(log_p)
    back[rows, labels] -= 1                            # p - y
    back, found = back / len(labels), {}
    names = [f"layers.{i}" for i in range(len(inputs) - 1)] + ["readout"]
    for name, x in zip(names[::-1], inputs[::-1]):
        found[name + ".weight"] = x.T @ back
        found[name + ".bias"] = back.sum(axis=0)
        back = back @ params[name + ".weight"].T
        if name != names[0]:
            back = back * (x > 0)                      # slope of the ReLU
    found["embedding.weight"] = _shared_out(params, ids, back)
    return float(-log_p[rows, labels].mean()), found


def _shared_out(
    params: dict, ids: np.ndarray, back: np.ndarray
) -> np.ndarray:
    """The gradient of the embeddings: each word's share of its rows' ``back`` (batch, width)."""
    mask = ids != PAD
    share = back / np.maximum(mask.sum(axis=1, keepdims=True), 1)
    slope = np.zeros_like(params["embedding.weight"])
    row, place = np.nonzero(mask)
    np.add.at(slope, ids[row, place], share[row])      # words may repeat
    return slope


def step_text_mlp(
    params: dict, ids: np.ndarray, labels: np.ndarray, learning_rate: float
) -> tuple[float, dict]:
    """One step of gradient descent: the loss before it, and new parameters after it."""
    loss, gradients = text_mlp_gradients(params, ids, labels)
    moved = {name: params[name] - learning_rate * gradients[name] for name in params}
    return loss, moved


def batches(rows: int, batch: int, epochs: int, seed: int = 0) -> np.ndarray:
    """Row numbers (epochs, steps, batch), shuffled anew for each epoch.

    Rows that do not fill a batch are left out of that epoch.
    """
    if not 1 <= batch <= rows or epochs < 1:
        raise ValueError(f"{epochs} epochs of {rows} rows in batches of {batch}: give at least one"
                         " epoch, and batches no larger than the rows")
    random, steps = np.random.default_rng(seed), rows // batch
    orders = [random.permutation(rows)[: steps * batch] for _ in range(epochs)]
    return np.array(orders).reshape(epochs, steps, batch)
