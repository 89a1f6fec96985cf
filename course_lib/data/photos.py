"""Colour images: tiles of photographs, split by region, and CIFAR-10 in its binary format."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.image import imread

from course_lib.data.archive import DataError
from course_lib.data.images import ImageSplits, stratified

if TYPE_CHECKING:
    from course_lib.data.registry import Card

PHOTOS = ("astronaut", "cat", "coffee", "galaxies", "retina", "tissue")
TILE = 16  # pixels a side
BLOCK = 5  # tiles a side of a region; one row and one column between regions are thrown away
LEAST_SPREAD = 4.0  # of 255: a flatter tile shows nothing
SHARES = (3, 1, 1)  # of the regions
MOST = (400, 100, 100)  # tiles a photograph and split

CIFAR = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
RECORD = 1 + 3 * 32 * 32  # bytes: a label, then the red, the green and the blue pixels


def read_photo(path: Path) -> np.ndarray:
    """Read a colour photograph, (rows, columns, 3) uint8."""
    pixels = imread(path)
    if pixels.ndim != 3 or pixels.shape[2] not in (3, 4):
        raise DataError(f"{path.name}: expected a colour image, found an array {pixels.shape}")
    if pixels.dtype != np.uint8:  # matplotlib scales the pixels of a PNG to 0..1
        pixels = np.rint(255 * pixels).astype(np.uint8)
    return np.ascontiguousarray(pixels[:, :, :3])


def tiles_of(photo: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cut a photograph into tiles that show something, each with the number of its region.

    ``photo`` (rows, columns, 3) uint8 -> tiles (n, TILE, TILE, 3) uint8, regions (n,) int64. A
    region is a square of BLOCK x BLOCK tiles; between two regions lies the width of a tile, so
    that no two tiles of different regions touch.
    """
    rows, columns = (size // TILE for size in photo.shape[:2])
    if min(rows, columns) < 1:
        raise DataError(f"a photograph of {photo.shape[:2]} pixels is smaller than one tile")
    cut = photo[: rows * TILE, : columns * TILE]
    tiles = cut.reshape(rows, TILE, columns, TILE, 3).swapaxes(1, 2)
    row, column = np.mgrid[:rows, :columns]
    period = BLOCK + 1
    inside = (row % period < BLOCK) & (column % period < BLOCK)
    region = (row // period) * (columns // period + 1) + column // period
    tiles, region = tiles[inside], region[inside]
    spread = tiles.reshape(len(tiles), -1, 3).std(axis=1).mean(axis=1)
    return tiles[spread >= LEAST_SPREAD], region[spread >= LEAST_SPREAD]


def load_photo_tiles(paths: tuple[Path, ...], card: Card) -> ImageSplits:
    """Tiles of six photographs, labelled by their photograph and split by region."""
    if len(paths) != len(PHOTOS):
        raise DataError(f"expected one file for each of {', '.join(PHOTOS)}, not {len(paths)}")
    images: list[list[np.ndarray]] = [[] for _ in SHARES]
    labels: list[list[np.ndarray]] = [[] for _ in SHARES]
    seen: set[bytes] = set()
    for label, path in enumerate(paths):
        tiles, regions = tiles_of(read_photo(path))
        fresh = _first_seen(tiles, seen)
        tiles, regions = tiles[fresh], regions[fresh]
        for part, rows in enumerate(_by_region(regions, label)):
            images[part].append(tiles[rows])
            labels[part].append(np.full(len(rows), label, dtype=np.int64))
    parts = [(np.concatenate(x), np.concatenate(y)) for x, y in zip(images, labels)]
    return _splits(parts, PHOTOS, card)


def _by_region(regions: np.ndarray, seed: int) -> list[np.ndarray]:
    """Row numbers of each split: whole regions, and at most MOST tiles, drawn by a fixed seed."""
    random = np.random.default_rng(seed)
    names = np.unique(regions)
    parts = stratified(np.zeros(len(names), dtype=np.int64), SHARES, seed)
    found = []
    for part, most in zip(parts, MOST):
        rows = np.flatnonzero(np.isin(regions, names[part]))
        found.append(np.sort(random.permutation(rows)[:most]))
    return found


def _first_seen(images: np.ndarray, seen: set[bytes]) -> np.ndarray:
    """Row numbers of the images that are not in ``seen`` and have no earlier copy; adds them."""
    kept = []
    for row, image in enumerate(images):
        pixels = image.tobytes()
        if pixels not in seen:
            seen.add(pixels)
            kept.append(row)
    return np.array(kept, dtype=np.int64)


def read_cifar_batch(content: bytes, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Read records of one label and 3 x 1,024 pixels: images (n, 32, 32, 3), labels (n,)."""
    if not content or len(content) % RECORD:
        raise DataError(f"{name}: {len(content)} bytes are not whole records of {RECORD}")
    table = np.frombuffer(content, dtype=np.uint8).reshape(-1, RECORD)
    labels = table[:, 0].astype(np.int64)
    if labels.max() >= len(CIFAR):
        raise DataError(f"{name}: label {labels.max()}, where 0 to {len(CIFAR) - 1} are expected")
    return table[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels


def read_cifar(path: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Read CIFAR-10's binary archive: the training images and labels, and those of the test.

    Five files ``data_batch_1.bin`` … and ``test_batch.bin`` in the folder ``cifar-10-batches-bin``
    of a .tar.gz. The archive for Python, which holds pickled objects, is never opened.
    """
    names = [f"data_batch_{number}.bin" for number in range(1, 6)] + ["test_batch.bin"]
    batches = []
    with tarfile.open(path) as archive:
        for name in names:
            try:
                member = archive.extractfile(f"cifar-10-batches-bin/{name}")
            except KeyError:
                raise DataError(f"{path.name} lacks {name}; take the binary version") from None
            batches.append(read_cifar_batch(member.read(), name))
    train = (np.concatenate(part) for part in zip(*batches[:5]))
    return [tuple(train), batches[5]]


def load_cifar10(path: Path, card: Card) -> ImageSplits:
    """The published test set, and the published training set less a tenth for validation.

    Of identical images the first is kept, and no training image stands in the test set.
    """
    (images, labels), test = read_cifar(path)
    seen = {image.tobytes() for image in test[0]}
    fresh = _first_seen(images, seen)
    images, labels = images[fresh], labels[fresh]
    train, validation = stratified(labels, (9, 1))
    parts = [(images[train], labels[train]), (images[validation], labels[validation]), test]
    return _splits(parts, CIFAR, card)


def _splits(parts, classes, card) -> ImageSplits:
    arrays = []
    for images, labels in parts:
        arrays += [images.astype(np.float32) / np.float32(255), labels]
    return ImageSplits(*arrays, classes, card)
