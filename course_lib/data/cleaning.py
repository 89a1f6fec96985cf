"""Look for what is wrong with images before a model does: shapes, values, copies, odd labels."""

from __future__ import annotations

import numpy as np

from course_lib.data.archive import DataError


def check_images(
    images: np.ndarray, labels: np.ndarray, classes: int,
    shape: tuple[int, ...] | None = None, name: str = "these images",
) -> None:
    """Refuse images and labels that a model would take without a word.

    Parameters
    ----------
    images
        (n, height, width) or (n, height, width, channels), floats in 0..1.
    labels
        (n,) of whole numbers in 0..classes - 1.
    shape
        The shape that one image must have; any, if it is not given.
    name
        What the message calls the data.

    Raises
    ------
    DataError
        At the first thing that is wrong; the message names it and says what to do.
    """
    one = images.shape[1:]
    if images.ndim not in (3, 4) or (shape is not None and one != tuple(shape)):
        wanted = "(height, width)" if shape is None else tuple(shape)
        raise DataError(f"{name}: each image must have shape {wanted}, not {one}; crop, pad or"
                        " reshape them, the batch axis first")
    if labels.shape != images.shape[:1]:
        raise DataError(f"{name}: {len(images)} images need labels ({len(images)},), not"
                        f" {labels.shape}; were rows dropped from one and not from the other?")
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= classes:
        raise DataError(f"{name}: labels must be whole numbers in 0..{classes - 1}; found"
                        f" {labels.dtype} from {labels.min()} to {labels.max()}. Map names to"
                        " numbers first")
    bad = np.flatnonzero(~np.isfinite(images.reshape(len(images), -1)).all(axis=1))
    if len(bad):
        raise DataError(f"{name}: {len(bad)} images hold missing values, the first is number"
                        f" {bad[0]}; drop them, or fill them on purpose")
    if images.min() < 0 or images.max() > 1:
        raise DataError(f"{name}: pixels must lie in 0..1, not {images.min():g}..{images.max():g};"
                        " divide by 255 if they are bytes")


def same_images(images: np.ndarray) -> np.ndarray:
    """For each image (n, …) the number of the first one that is equal to it, its own if none is.

    ``np.flatnonzero(same_images(x) != np.arange(len(x)))`` are the copies to drop.
    """
    first: dict[bytes, int] = {}
    rows = np.ascontiguousarray(images)
    return np.array([first.setdefault(image.tobytes(), n) for n, image in enumerate(rows)])


def neighbours(
    images: np.ndarray, count: int, among: np.ndarray | None = None, block: int = 500
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest images, by the root of the summed squared differences of pixels.

    Returns numbers (n, count) and distances (n, count), the nearest first. With ``among``
    (m, …) they are sought there, else among ``images`` themselves, each leaving itself out.

    Raises
    ------
    ValueError
        If there are fewer than ``count`` to choose from, or the shapes of the images differ.
    """
    inside = among is None
    among = images if inside else among
    if images.shape[1:] != among.shape[1:]:
        raise ValueError(f"images of shape {images.shape[1:]} cannot be compared with"
                         f" {among.shape[1:]}; make them equal")
    if not 1 <= count <= len(among) - inside:
        raise ValueError(f"count is {count}; it must lie in 1..{len(among) - inside}")
    flat = images.reshape(len(images), -1).astype(np.float64)
    others = flat if inside else among.reshape(len(among), -1).astype(np.float64)
    lengths, found = (others**2).sum(axis=1), []
    for start in range(0, len(flat), block):
        part = flat[start:start + block]
        squares = (part**2).sum(axis=1)[:, None] + lengths - 2 * part @ others.T
        if inside:
            squares[np.arange(len(part)), start + np.arange(len(part))] = np.inf
        near = np.argpartition(squares, count - 1, axis=1)[:, :count]
        far = np.take_along_axis(squares, near, axis=1)
        order = np.argsort(far, axis=1, kind="stable")
        found.append([np.take_along_axis(a, order, axis=1) for a in (near, far)])
    numbers, squares = (np.concatenate(parts) for parts in zip(*found))
    return numbers, np.sqrt(np.maximum(squares, 0))
