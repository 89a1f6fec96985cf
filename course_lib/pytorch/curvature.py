"""Curvature of a loss in PyTorch; twin of course_lib/tensorflow/curvature.py."""

from __future__ import annotations

import math

import torch

from course_lib.pytorch.training import half_squared_error_torch


def hvp_torch(
    model: torch.nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    vector: list[torch.Tensor],
) -> list[torch.Tensor]:
    """The Hessian of the loss times a vector, by differentiating twice.

    ``vector`` and the result hold one tensor for each trainable parameter, shaped like it
    (Pearlmutter 1994).
    """
    params = [p for p in model.parameters() if p.requires_grad]
    loss = half_squared_error_torch(model(x), y)
    gradients = torch.autograd.grad(loss, params, create_graph=True)
    along = sum((g * v).sum() for g, v in zip(gradients, vector))
    return list(torch.autograd.grad(along, params))


def sharpness_torch(
    model: torch.nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    start: list[torch.Tensor] | None = None,
    tolerance: float = 1e-4,
    most: int = 1000,
) -> tuple[float, list[torch.Tensor]]:
    """The largest eigenvalue of the loss's Hessian and its direction, by power iteration.

    Power iteration finds the eigenvalue that is largest in size. Where that one is negative, a
    second run on the Hessian shifted by it finds the largest one.

    Parameters
    ----------
    model, x, y
        As for ``step_torch``.
    start
        Where to begin, one tensor a parameter; by default drawn at random with a fixed seed. The
        direction found a few training steps earlier saves most of the work.
    tolerance
        Stop where a step changes the eigenvalue by less than this share of it, ten steps at least.
        Where several eigenvalues are close, the value found may lie among them.
    most
        Give up after so many steps.

    Raises
    ------
    ValueError
        If the loss or its curvature is not finite.
    RuntimeError
        If ``most`` steps are not enough.
    """
    params = [p for p in model.parameters() if p.requires_grad]
    if start is None:
        random = torch.Generator().manual_seed(0)
        start = [torch.randn(p.shape, generator=random).to(p) for p in params]
    value, direction = _power_torch(model, x, y, start, 0.0, tolerance, most)
    if value < 0:
        shift = -value
        value, direction = _power_torch(model, x, y, start, shift, tolerance, most)
        value -= shift
    return value, direction


def _power_torch(model, x, y, vector, shift, tolerance, most):
    """Power iteration on the Hessian plus ``shift`` times the identity."""
    length, value = _length_torch(vector), math.inf
    vector = [v / (length or 1.0) for v in vector]
    for step in range(most):
        image = [h + shift * v for h, v in zip(hvp_torch(model, x, y, vector), vector)]
        before, value = value, sum((v * h).sum() for v, h in zip(vector, image)).item()
        if not math.isfinite(value):
            raise ValueError("the curvature is not finite; has the loss diverged?")
        length = _length_torch(image)
        settled = abs(value - before) <= tolerance * abs(value)
        if step >= 10 and settled and length**2 <= 1.1 * value**2:  # the image points along it
            return value, vector
        vector = [h / (length or 1.0) for h in image]
    raise RuntimeError(
        f"no eigenvalue to within {tolerance} after {most} steps; allow more, or a wider tolerance"
    )


def _length_torch(vector):
    """The length of a vector that lies in several tensors."""
    return math.sqrt(sum((v * v).sum().item() for v in vector))
