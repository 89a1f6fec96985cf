"""The port doctor: where and why a PyTorch model and a Keras model part."""

from __future__ import annotations

from collections.abc import Callable

from course_lib.parity import capture
from course_lib.parity.counterparts import layers, weights
from course_lib.parity.findings import Report
from course_lib.parity.gradients import gradients, unfed
from course_lib.parity.outputs import outputs
from course_lib.parity.training import loss
from course_lib.parity.updates import update
from course_lib.parity.visit import Visit, prepare
from course_lib.parity.weights import ParityError


def explain(
    torch_model, keras_model, batch, *,
    keras_batch=None, losses: tuple[Callable, Callable] | None = None,
    optimizers: tuple | None = None, steps: int = 3, tolerance: float | None = None,
) -> Report:
    """Find where two models part, by how much, and why; neither model is changed.

    The stages, in order: dtypes, layers that belong together, weights, each layer's output in
    inference and in training mode, running statistics, loss, gradients, and the update of the
    optimizers. A layer that differs is put right before the next one is looked at, so that a
    second difference further on is found, too. Dropout is off meanwhile.

    Parameters
    ----------
    torch_model, keras_model
        The two models. The Keras model must have been built (call it once). Layers belong
        together by equal names, else by equal weights, else by order, kind and size.
    batch
        ``x`` or ``(x, y)``: NumPy arrays as PyTorch takes them; ``x`` may be a tuple of arrays (two
        inputs without labels: ``((a, b), None)``).
    keras_batch
        The same as Keras takes it, where it differs. Images (n, c, h, w) are turned to
        (n, h, w, c) without being asked where the first convolution says so.
    losses
        ``(torch_loss(prediction, target), keras_loss(y_true, y_pred))``.
    optimizers
        ``(torch optimizer of this model's parameters, Keras optimizer)``. Both get PyTorch's
        gradients for ``steps`` updates; their own state is put back.
    tolerance
        Largest relative difference that counts as equal; by default 1e-9 in float64 and 1e-4 in
        float32.

    Raises
    ------
    ParityError
        If the Keras model is not built, a model cannot take the batch, or arguments are missing.
    """
    if not keras_model.built:
        raise ParityError(f"Keras model {keras_model.name!r} has no weights yet; call it once on a batch")
    with capture.as_they_were(torch_model, keras_model, optimizers[0] if optimizers else None), \
            capture.without_dropout(torch_model, keras_model) as shares:
        visit = Visit(torch_model, keras_model, losses, optimizers, steps, shares)
        prepare(visit, batch, keras_batch, tolerance)
        layers(visit)
        weights(visit)
        outputs(visit, "outputs", training=False)
        outputs(visit, "training outputs", training=True)
        if losses:
            loss(visit)
            gradients(visit)
        else:
            unfed(visit)
        if optimizers:
            update(visit)
        return visit.report
