"""Why two losses of the same predictions differ: guesses that are tried on the numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from course_lib.parity.findings import Cause


def _log_softmax(z):
    z = z - z.max(axis=-1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=-1, keepdims=True))


def _entropy(logs, y):
    """Cross-entropy (n,) of log probabilities (n, ..., classes) and labels or one-hot rows."""
    if y.shape == logs.shape:
        return -(y * logs).sum(axis=-1)
    rows = y.reshape(logs.shape[:-1]).astype(int)
    return -np.take_along_axis(logs, rows[..., None], axis=-1)[..., 0]


def loss_cause(
    predictions: np.ndarray, y: np.ndarray, ours: float, theirs: float,
    torch_loss: object, keras_loss: Callable[..., float], tolerance: float,
) -> Cause | None:
    """The first guess that gives Keras's number of PyTorch's predictions, or None.

    ``predictions`` (n, ...) are PyTorch's, ``keras_loss(a, b)`` calls Keras's loss on two arrays.
    """
    scale = max(abs(ours), abs(theirs), 1e-30)

    def fits(a, b):
        return bool(np.isfinite(a)) and abs(a - b) / scale <= tolerance

    for what, row, cure, guess_ours, guess_theirs in _guesses(
            predictions, y, ours, theirs, torch_loss, keras_loss):
        try:
            with np.errstate(all="ignore"):
                a, b = float(guess_ours()), float(guess_theirs())
        except Exception:  # noqa: BLE001  a guess that cannot be computed here is no explanation
            continue
        if fits(a, ours) and fits(b, theirs):
            return Cause(what, row, abs(b - theirs) / scale, cure)
    return None


def _guesses(z, y, ours, theirs, torch_loss, keras_loss):
    """(what, row, cure, PyTorch's number, Keras's number) of each guess, as functions."""
    z = z.astype(np.float64)
    if z.ndim > 2 and y.ndim == z.ndim - 1 and y.shape == (*z.shape[:1], *z.shape[2:]):
        z = np.moveaxis(z, 1, -1)        # PyTorch's classes stand on axis 1
    n = len(z)

    def same():
        return ours

    def clipped():
        """Keras's logarithms of what it takes for probabilities."""
        if y.shape == z.shape:
            return np.log(np.clip(z / z.sum(axis=-1, keepdims=True), 1e-7, 1 - 1e-7))
        return _log_softmax(np.log(np.clip(z, 1e-7, 1 - 1e-7)))

    shares = z.ndim >= 2 and (z >= 0).all() and np.allclose(z.sum(axis=-1), 1)
    if z.ndim >= 2 and not shares:
        yield ("PyTorch's loss takes logits, Keras's takes them for probabilities",
               "logits-or-probabilities", "", lambda: _entropy(_log_softmax(z), y).mean(),
               lambda: _entropy(clipped(), y).mean())
    if shares:
        yield ("both get probabilities, and PyTorch's loss applies a softmax to them once more",
               "double-softmax", "", lambda: _entropy(_log_softmax(z), y).mean(),
               lambda: _entropy(np.log(z), y).mean())
        yield ("both get probabilities, and Keras's loss applies a softmax to them once more",
               "double-softmax", "", lambda: _entropy(np.log(z), y).mean(),
               lambda: _entropy(_log_softmax(z), y).mean())
    yield ("Keras's loss gets its arguments in PyTorch's order: it wants (y_true, y_pred)",
           "loss-argument-order", "", lambda: keras_loss(z, y.astype(np.float64)), lambda: theirs)
    binary = y.size == z.size and np.isin(y, (0, 1)).all()
    if binary:
        target = y.reshape(z.shape).astype(np.float64)
        soft = lambda w=1.0: (w * target * np.logaddexp(0, -z)  # noqa: E731
                              + (1 - target) * np.logaddexp(0, z)).mean()

        def as_shares():
            p = np.clip(z, 1e-7, 1 - 1e-7)
            return -(target * np.log(p) + (1 - target) * np.log(1 - p)).mean()

        yield ("PyTorch's loss takes logits, Keras's takes them for probabilities",
               "logits-or-probabilities", "", soft, as_shares)
        positive = getattr(torch_loss, "pos_weight", None)
        if positive is not None:
            w = positive.detach().cpu().numpy().astype(np.float64)
            yield (f"PyTorch weights the positive class by {np.round(w, 6).tolist()}, Keras does not", "class-weights",
                   "Give both the same weights.", lambda: soft(w), soft)
    weight = getattr(torch_loss, "weight", None)
    if weight is not None and y.ndim == 1 and z.ndim == 2:
        w = weight.detach().cpu().numpy().astype(np.float64)
        each = lambda: w[y.astype(int)] * _entropy(_log_softmax(z), y)  # noqa: E731
        yield ("with weights of classes PyTorch divides by the sum of the weights, Keras by the"
               " number of examples", "class-weights", "",
               lambda: each().sum() / w[y.astype(int)].sum(), lambda: each().mean())
        yield ("PyTorch's loss weights the classes, Keras's does not", "class-weights",
               "Give both the same weights.", same, lambda: _entropy(_log_softmax(z), y).mean())
    smoothing = getattr(torch_loss, "label_smoothing", 0.0)
    if smoothing:
        yield (f"PyTorch smooths labels by {smoothing:g}, Keras does not", "label-smoothing", "",
               same, lambda: _entropy(_log_softmax(z), y).mean())
    ignored = getattr(torch_loss, "ignore_index", None)
    if ignored is not None and np.any(y == ignored):
        kept = y != ignored
        each = lambda: np.where(kept, _entropy(_log_softmax(z), np.where(kept, y, 0)), 0.0)  # noqa: E731
        yield (f"PyTorch leaves labels of {ignored} out, Keras counts them in the mean", "ignore-index",
               "", lambda: each().sum() / kept.sum(), lambda: each().mean())
        yield (f"PyTorch leaves labels of {ignored} out, Keras takes them for a class", "ignore-index",
               "", same, lambda: _entropy(_log_softmax(z), y).mean())
    if y.size == n and z.size == n:
        flat, target = z.reshape(n, 1), y.reshape(1, n).astype(np.float64)
        for powers, name in ((2, "squared"), (1, "absolute")):
            wide = lambda p=powers: (np.abs(flat - target)**p).mean()  # noqa: E731
            right = lambda p=powers: (np.abs(flat[:, 0] - target[0])**p).mean()  # noqa: E731
            cure = ""
            yield (f"shapes {z.shape} and {y.shape} are broadcast to ({n}, {n}) in PyTorch's {name}"
                   " error", "mse-broadcast", cure, wide, right)
            yield (f"shapes {z.shape} and {y.shape} are broadcast to ({n}, {n}) in Keras's {name}"
                   " error", "mse-broadcast", cure, right, wide)
    if type(torch_loss).__name__ == "KLDivLoss" and z.ndim == 2:
        yield ("PyTorch divides the divergence by the number of elements, Keras by that of rows",
               "kl-divergence", "", same, lambda: ours * z.shape[-1])
    for what, factor in (("the sum over the batch", n), ("the sum over all elements", z.size)):
        cure = "Take the mean in both, or the sum in both (reduction=...)."
        yield f"Keras takes {what}, PyTorch the mean", None, cure, same, lambda f=factor: ours * f
        yield f"PyTorch takes {what}, Keras the mean", None, cure, same, lambda f=factor: ours / f
    yield ("Keras's loss is twice PyTorch's", None, "Look for a factor of one half.", same, lambda: 2 * ours)
    yield ("Keras's loss is half of PyTorch's", None, "Look for a factor of one half.", same, lambda: ours / 2)
