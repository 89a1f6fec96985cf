"""A network with one hidden layer in NumPy: loss, and gradients by the chain rule."""

from __future__ import annotations

import numpy as np

def init_mlp(features: int, hidden: int, classes: int, seed: int = 0) -> dict:
    """Draw weights and biases from U(-1/sqrt(fan_in), 1/sqrt(fan_in)), as torch.nn.Linear does.

    Returns ``hidden.weight`` (features, hidden), ``hidden.bias`` (hidden,), ``readout.weight``
    (hidden, classes) and ``readout.bias`` (classes,), all float64.
    """
    random = np.random.default_rng(seed)

    def layer(name: str, rows: int, columns: int) -> dict:
        bound = 1 / np.sqrt(rows)
        return {
            f"{name}.weight": random.uniform(-bound, bound, (rows, columns)),
            f"{name}.bias": random.uniform(-bound, bound, columns),
        }

    return layer("hidden", features, hidden) | layer("readout", hidden, classes)


def mlp(params: dict, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Outputs (images, classes) and hidden units (images, hidden)."""
    hidden = np.tanh(x @ params["hidden.weight"] + params["hidden.bias"])
    outputs = hidden @ params["readout.weight"] + params["readout.bias"]
    return outputs, hidden


def half_squared_error(outputs: np.ndarray, targets: np.ndarray) -> float:
    """Half the squared distance of outputs to targets, averaged over images.

    Both have shape (images, classes). Raises ``ValueError`` where the shapes differ: broadcasting
    would compare every image with every other image's target.
    """
    if outputs.shape != targets.shape:
        raise ValueError(f"outputs and targets: make {outputs.shape} and {targets.shape} equal")
    return float(np.mean(np.sum((outputs - targets) ** 2, axis=1)) / 2)


def mlp_gradients(
    params: dict, x: np.ndarray, targets: np.ndarray
) -> tuple[float, dict]:
    """The loss and its gradient with respect to every parameter.

    By the chain rule, from the output back (Rumelhart et al. 1986). ``x`` (images, features),
    ``targets`` (images, classes). Gradients have their parameters' names and shapes.
    """
    outputs, hidden = mlp(params, x)
    loss = half_squared_error(outputs, targets)
    error = (outputs - targets) / len(x)               # (images, classes)
    back = error @ params["readout.weight"].T * (1 - hidden**2)
    return loss, {
        "hidden.weight": x.T @ back,
        "hidden.bias": back.sum(axis=0),
        "readout.weight": hidden.T @ error,
        "readout.bias": error.sum(axis=0),
    }


def step_mlp(
    params: dict, x: np.ndarray, targets: np.ndarray, learning_rate: float
) -> tuple[float, dict]:
    """One step of gradient descent: the loss before it, and new parameters after it."""
    loss, gradients = mlp_gradients(params, x, targets)
    moved = {name: params[name] - learning_rate * gradients[name] for name in params}
    return loss, moved
