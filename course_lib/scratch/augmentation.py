"""Turning and shifting images in NumPy, each image by its own amount."""

from __future__ import annotations

import numpy as np


def draw_motions(
    random: np.random.Generator, images: int,
    degrees: float = 15.0, pixels: float = 2.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw an angle and a shift for each image, uniformly.

    Returns angles (images,) in radians, within ``degrees`` of 0, and shifts (images, 2) down and
    to the right in pixels, each within ``pixels`` of 0. Raises ``ValueError`` for a negative range.
    """
    if min(images, degrees, pixels) < 0:
        given = f"{images} images, {degrees} degrees, {pixels} pixels"
        raise ValueError(f"ranges must be 0 or more, not {given}")
    limit = np.deg2rad(degrees)
    angle = random.uniform(-limit, limit, images)
    return angle, random.uniform(-pixels, pixels, (images, 2))


def reading_places(
    angle: np.ndarray, shift: np.ndarray, height: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """Where each new pixel reads the old image: rows, columns.

    ``angle`` (n,) in radians, counter-clockwise; ``shift`` (n, 2) down and right in pixels. Both
    results have shape (n, height, width) and are not whole numbers in general.
    """
    middle_row, middle_column = (height - 1) / 2, (width - 1) / 2
    down = np.arange(height)[:, None] - middle_row - shift[:, 0, None, None]
    right = np.arange(width) - middle_column - shift[:, 1, None, None]
    cos, sin = np.cos(angle)[:, None, None], np.sin(angle)[:, None, None]
    rows = cos * down + sin * right + middle_row
    columns = cos * right - sin * down + middle_column
    return rows, columns


def bilinear(
    images: np.ndarray, rows: np.ndarray, columns: np.ndarray
) -> np.ndarray:
    """Read images between their pixels; 0 outside.

    ``images`` (n, height, width); ``rows`` and ``columns`` (n, any, any) say where. The result has
    their shape: each value is a mean of the four pixels around the place, weighted by nearness.
    """
    count, height, width = images.shape
    framed = np.pad(images, ((0, 0), (1, 1), (1, 1)))    # a frame of 0
    rows = np.clip(rows + 1, 0, height + 1)
    columns = np.clip(columns + 1, 0, width + 1)
    top = np.minimum(rows.astype(int), height)
    left = np.minimum(columns.astype(int), width)
    n, a, b = np.arange(count)[:, None, None], rows - top, columns - left
    upper = (1 - b) * framed[n, top, left] + b * framed[n, top, left + 1]
    top = top + 1
    lower = (1 - b) * framed[n, top, left] + b * framed[n, top, left + 1]
    return (1 - a) * upper + a * lower


def warp(
    images: np.ndarray, angle: np.ndarray, shift: np.ndarray
) -> np.ndarray:
    """Turn and shift each image by its own amount.

    ``images`` (n, height, width), ``angle`` (n,) in radians, counter-clockwise, ``shift`` (n, 2)
    down and right in pixels. Raises ``ValueError`` for other shapes.
    """
    check_motions(images.shape, angle.shape, shift.shape)
    return bilinear(images, *reading_places(angle, shift, *images.shape[1:]))


def check_motions(images: tuple, angle: tuple, shift: tuple) -> None:
    """Raise ``ValueError``, naming the shapes and the cure, where one does not fit the others."""
    if len(images) != 3:
        raise ValueError(
            f"images of shape {tuple(images)}: give (n, height, width); one image needs a batch"
            " axis in front, a channel axis must go")
    if tuple(angle) != (images[0],) or tuple(shift) != (images[0], 2):
        raise ValueError(
            f"{images[0]} images need angles ({images[0]},) and shifts ({images[0]}, 2), one for"
            f" each image, not {tuple(angle)} and {tuple(shift)}")
