"""Parameters that no layer holds, such as positions that a model learns itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from course_lib.parity.capture import kind_of
from course_lib.parity.matching import distance
from course_lib.parity.settings import KERAS_KINDS, TORCH_KINDS
from course_lib.parity.stacked import layers_of


@dataclass(frozen=True)
class Lone:
    """A parameter of PyTorch's and the variable of Keras's that holds the same numbers."""

    name: str
    parameter: object
    variable: object
    owner: object                # Keras's layer that holds the variable

    @property
    def where(self) -> str:
        """Both names."""
        return f"{self.name} and {self.variable.path}"

    def value(self) -> np.ndarray:
        """PyTorch's numbers, in Keras's shape."""
        return self._shaped(self.parameter)

    def _shaped(self, tensor) -> np.ndarray:
        return tensor.detach().cpu().numpy().reshape(tuple(self.variable.shape))

    def gradient(self, given: dict) -> np.ndarray | None:
        """PyTorch's gradient, in Keras's shape."""
        found = given.get(id(self.parameter))
        return None if found is None else self._shaped(found)

    def torch_value(self) -> np.ndarray:
        """As `value`, in float64."""
        return self.value().astype(np.float64)

    def parameters(self) -> list:
        """What PyTorch's optimizer must hold."""
        return [self.parameter]


def lone(torch_model, keras_model, tolerance: float) -> list[Lone]:
    """Each parameter outside known layers, with the first Keras weight outside them that is equal."""
    waiting = [(layer, v) for layer in keras_model._flatten_layers()
               if kind_of(layer, KERAS_KINDS) is None for v in layer._trainable_variables]
    found = []
    for path, module in torch_model.named_modules():
        if kind_of(module, TORCH_KINDS) or layers_of(module):
            continue
        for name, parameter in module.named_parameters(recurse=False):
            fitting = [pair for pair in waiting if _equal(parameter, pair[1], tolerance)]
            if fitting:
                layer, variable = fitting[0]
                waiting = [pair for pair in waiting if pair[1] is not variable]
                found.append(Lone(f"{path}.{name}" if path else name, parameter, variable, layer))
    return found


def _equal(parameter, variable, tolerance: float) -> bool:
    """The same numbers, but for axes of length 1."""
    ours, theirs = parameter.detach().cpu().numpy(), variable.numpy()
    same = np.squeeze(ours).shape == np.squeeze(theirs).shape
    return same and distance(np.squeeze(ours), np.squeeze(theirs)) <= tolerance
