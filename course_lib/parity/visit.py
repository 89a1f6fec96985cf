"""What one visit to the port doctor holds: two models, what they are given, and what was found."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from course_lib.parity import capture, settings
from course_lib.parity.composites import RULED
from course_lib.parity.findings import Finding, Report
from course_lib.parity.weights import ParityError

# Relative differences that are called equal: rounding of one pass, with room for depth.
TOLERANCES = {"float64": 1e-9, "float32": 1e-4}


@dataclass
class Visit:
    """Two models on the doctor's table; each stage reads it, and adds to its report."""

    torch_model: object
    keras_model: object
    losses: tuple | None = None
    optimizers: tuple | None = None
    steps: int = 3
    shares: dict = field(default_factory=dict)        # id of a layer -> what it drops
    report: Report = field(default_factory=Report)
    tolerance: float = 0.0
    x: list = field(default_factory=list)             # arrays as PyTorch takes them
    keras_x: list = field(default_factory=list)
    y: np.ndarray | None = None
    keras_y: np.ndarray | None = None
    pairs: list = field(default_factory=list)         # (torch's call, Keras's call)
    lone: list = field(default_factory=list)          # parameters that no layer holds
    unfed: list = field(default_factory=list)         # (where, torch's call, Keras's, row without gradient)
    predictions: dict = field(default_factory=dict)   # training mode: "torch", "keras" (healed)
    torch_gradients: dict = field(default_factory=dict)
    sparse: dict = field(default_factory=dict)        # id of a Keras variable -> its IndexedSlices

    def torch_inputs(self) -> list:
        """The inputs as torch tensors."""
        import torch

        return [torch.from_numpy(np.ascontiguousarray(a)) for a in self.x]

    def keras_inputs(self) -> list:
        """The inputs as TensorFlow tensors."""
        import tensorflow as tf

        return [tf.constant(a) for a in self.keras_x]

    def weighted(self) -> list[tuple]:
        """Each matched pair of layers with weights, once."""
        once = {}
        for ours, theirs in self.pairs:
            if (ours.kind, theirs.kind) in RULED:
                once.setdefault((id(ours.layer), id(theirs.layer)), (ours, theirs))
        return list(once.values())


def prepare(visit: Visit, batch, keras_batch=None, tolerance: float | None = None) -> None:
    """Arrays for both models in their dtypes, and the tolerance that belongs to these."""
    ours, theirs = _dtypes(visit)
    weaker = "float32" if "float32" in (ours, theirs) else ours
    visit.tolerance = tolerance or TOLERANCES.get(weaker, 2e-2)
    x, visit.y = _split(batch)
    visit.keras_y = visit.y
    if keras_batch is None:
        keras_x = [np.moveaxis(a, 1, -1) if _is_image(visit.torch_model, a) else a for a in x]
    else:
        keras_x, visit.keras_y = _split(keras_batch)
    if any(a.dtype.kind == "f" and str(a.dtype) != ours for a in x):
        visit.report.notes.append(Finding(
            "dtype", "the batch", f"it is {x[0].dtype} and was given to the models as {ours}: PyTorch"
            " refuses another dtype than its weights', Keras casts in silence", "input-dtype"))
    visit.x = [_cast(a, ours) for a in x]
    visit.keras_x = [_cast(a, theirs) for a in keras_x]


def run_both(visit: Visit, training: bool, heal=None) -> tuple:
    """(torch output, torch calls, Keras output, Keras calls); ``heal`` as in `capture.run_keras`."""
    visit.torch_model.train(training)
    try:
        ours = capture.run_torch(visit.torch_model, visit.torch_inputs(), settings.TORCH_KINDS)
    except Exception as error:
        shapes = [a.shape for a in visit.x]
        raise ParityError(f"the PyTorch model cannot take inputs {shapes}: {error}") from error
    try:
        theirs = capture.run_keras(
            visit.keras_model, visit.keras_inputs(), settings.KERAS_KINDS, training, heal)
    except Exception as error:
        shapes = [a.shape for a in visit.keras_x]
        raise ParityError(f"the Keras model cannot take inputs {shapes}; give keras_batch=(x, y) as"
                          f" it wants them: {error}") from error
    return *ours, *theirs


def _dtypes(visit: Visit) -> tuple[str, str]:
    ours = _dtype_of(p for p in visit.torch_model.parameters() if p.is_floating_point())
    theirs = _dtype_of(v for v in visit.keras_model.weights if "float" in str(v.dtype))
    visit.report.dtypes = (ours, theirs)
    if ours != theirs:
        visit.report.findings.append(Finding(
            "dtype", "all parameters", f"PyTorch computes in {ours}, Keras in {theirs}",
            "input-dtype", "Build both models with the same dtype."))
    return ours, theirs


def _dtype_of(tensors) -> str:
    kinds = {str(t.dtype).removeprefix("torch.") for t in tensors}
    return kinds.pop() if len(kinds) == 1 else (", ".join(sorted(kinds)) or "float32")


def _is_image(torch_model, array) -> bool:
    """Whether the model's first convolution says that axis 1 of the array holds channels."""
    import torch

    first = next((m for m in torch_model.modules()
                  if isinstance(m, (torch.nn.Conv2d, torch.nn.ConvTranspose2d))), None)
    return (array.ndim == 4 and first is not None and array.shape[1] == first.in_channels
            and array.shape[-1] != first.in_channels)


def _split(batch):
    """(list of input arrays, labels or None)"""
    if isinstance(batch, tuple) and len(batch) == 2:
        x, y = batch                     # two inputs without labels: ((a, b), None)
    else:
        x, y = batch, None
    parts = x if isinstance(x, (tuple, list)) else [x]
    return [np.asarray(a) for a in parts], None if y is None else np.asarray(y)


def _cast(array, dtype):
    return array.astype(dtype) if array.dtype.kind == "f" and dtype in ("float32", "float64") else array
