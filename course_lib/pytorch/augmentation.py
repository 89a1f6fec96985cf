"""Turning and shifting images in PyTorch; twin of course_lib/tensorflow/augmentation.py."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from course_lib.scratch.augmentation import check_motions


def warp_torch(
    images: torch.Tensor, angle: torch.Tensor, shift: torch.Tensor
) -> torch.Tensor:
    """Turn and shift each image by its own amount, 0 outside.

    ``images`` (n, height, width), ``angle`` (n,) in radians, counter-clockwise, ``shift`` (n, 2)
    down and right in pixels; all of one dtype on one device. Raises ``ValueError`` for other
    shapes.
    """
    check_motions(images.shape, angle.shape, shift.shape)
    n, height, width = images.shape
    cos, sin = torch.cos(angle), torch.sin(angle)
    # pixels -> -1..1 from edge to edge; x (columns) comes before y (rows)
    down, right = shift[:, 0] * 2 / height, shift[:, 1] * 2 / width
    tall, wide = height / width, width / height
    to_x = [cos, -sin * tall, sin * tall * down - cos * right]
    to_y = [sin * wide, cos, -sin * wide * right - cos * down]
    theta = torch.stack([torch.stack(to_x, 1), torch.stack(to_y, 1)], 1)
    grid = F.affine_grid(theta, [n, 1, height, width], align_corners=False)
    moved = F.grid_sample(images[:, None], grid, align_corners=False)
    return moved[:, 0]
