"""Images and labels by row number, from memory or from memory-mapped files.

A folder of shards holds ``index.json`` and, for each shard, two ``.npy`` files. The index says
where the data come from (source, size, licence, citation), how many rows each shard has, the shape
and dtype of an image, and the SHA-256 of every file. Nothing is ever unpickled.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from course_lib.data.archive import DataError, sha256

if TYPE_CHECKING:
    from course_lib.data.registry import Card

INDEX, FORMAT = "index.json", 1
PARTS = ("images", "labels")


def _checked_rows(rows: np.ndarray | int, count: int, where: str) -> np.ndarray:
    """Row numbers as int64, any shape; DataError where one does not exist."""
    rows = np.asarray(rows)
    if rows.dtype.kind not in "iu":
        raise DataError(f"{where}: row numbers are whole numbers, not {rows.dtype}")
    if rows.size and not 0 <= rows.min() <= rows.max() < count:
        bad = rows.min() if rows.min() < 0 else rows.max()
        raise DataError(f"{where}: there is no row {bad}; it has rows 0 to {count - 1}")
    return rows.astype(np.int64)


def _checked_pair(images: np.ndarray, labels: np.ndarray, where: str) -> None:
    """Refuse images that are not (n, …) uint8 and labels that are not (n,) int64."""
    if images.dtype != np.uint8 or images.ndim < 2:
        raise DataError(f"{where}: images must be (n, …) uint8, not {images.shape} {images.dtype};"
                        " scale them to 0..255 and round")
    if labels.dtype != np.int64 or labels.shape != images.shape[:1]:
        raise DataError(f"{where}: {len(images)} images need labels ({len(images)},) int64, not"
                        f" {labels.shape} {labels.dtype}")


class Arrays:
    """Images (n, …) uint8 and labels (n,) int64 in memory, read by row number."""

    def __init__(self, images: np.ndarray, labels: np.ndarray):
        _checked_pair(images, labels, "arrays")
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def image_shape(self) -> tuple[int, ...]:
        return self.images.shape[1:]

    def read(self, rows: np.ndarray | int) -> tuple[np.ndarray, np.ndarray]:
        """Return images (*rows.shape, …) and labels (*rows.shape), as copies."""
        rows = _checked_rows(rows, len(self), "arrays")
        return self.images[rows], self.labels[rows]


def write_shards(folder: Path, images: np.ndarray, labels: np.ndarray,
                 rows: int, card: Card) -> None:
    """Write images and labels into a new folder, ``rows`` of them a shard.

    The index is written last: a folder whose writing was cut short has none and is refused.

    Raises
    ------
    DataError
        If the arrays do not fit each other, ``rows`` is below 1, or the folder has an index.
    """
    _checked_pair(images, labels, "write_shards")
    if rows < 1 or not len(images):
        raise DataError(f"write_shards: {len(images)} images, {rows} rows a shard; give 1 or more")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / INDEX).exists():
        raise DataError(f"{folder.name} holds shards already; choose another folder")
    shards = []
    for start in range(0, len(images), rows):
        entry: dict = {"rows": len(labels[start : start + rows])}
        for part, array in zip(PARTS, (images, labels)):
            path = folder / f"{part}-{len(shards):05}.npy"
            np.save(path, array[start : start + rows], allow_pickle=False)
            entry[part] = {"file": path.name, "sha256": sha256(path)}
        shards.append(entry)
    index = {"format": FORMAT, "card": asdict(card), "image_shape": list(images.shape[1:]),
             "dtype": "uint8", "shards": shards}
    (folder / INDEX).write_text(json.dumps(index, indent=1), "utf8")


class Shards:
    """A folder that ``write_shards`` wrote, memory-mapped and read by row number.

    Files are opened when first read, and what travels to a worker process is the folder and the
    index, never the data: a pickled memory map would carry every byte of its file along.

    Parameters
    ----------
    folder
        Where ``index.json`` is.
    verify
        Read every file once and compare its SHA-256 with the index. Without it only shapes and
        dtypes are compared, when a file is first read.

    Raises
    ------
    DataError
        If the index or a shard is missing, damaged, of another shape or dtype, or a row is asked
        for that does not exist. The message names the file and says what to do.
    """

    def __init__(self, folder: Path, verify: bool = True):
        self.folder = Path(folder)
        self._index = _read_index(self.folder / INDEX)
        counts = [shard["rows"] for shard in self._index["shards"]]
        self._starts = np.concatenate([[0], np.cumsum(counts)])
        self._open: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        if verify:
            self.verify()

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getstate__(self) -> dict:
        return {**vars(self), "_open": {}}

    @property
    def image_shape(self) -> tuple[int, ...]:
        return tuple(self._index["image_shape"])

    @property
    def card(self) -> Card:
        """Source, size, licence and citation, as the writer gave them."""
        from course_lib.data.registry import Card

        return Card(**self._index["card"])

    def verify(self) -> None:
        """Compare every file's SHA-256 with the index."""
        for shard in self._index["shards"]:
            for part in PARTS:
                path = self._path(shard[part]["file"])
                if sha256(path) != shard[part]["sha256"]:
                    raise DataError(f"{path.name} in {self.folder.name} is damaged or changed: its"
                                    " SHA-256 is not the index's. Write or copy the shards again.")

    def read(self, rows: np.ndarray | int) -> tuple[np.ndarray, np.ndarray]:
        """Images (*rows.shape, …) and labels (*rows.shape), as copies."""
        rows = _checked_rows(rows, len(self), self.folder.name)
        images = np.empty(rows.shape + self.image_shape, np.uint8)
        labels = np.empty(rows.shape, np.int64)
        shards = np.searchsorted(self._starts, rows, side="right") - 1
        for number in np.unique(shards):
            mine = shards == number
            mapped_images, mapped_labels = self._shard(int(number))
            inside = rows[mine] - self._starts[number]
            images[mine] = mapped_images[inside]
            labels[mine] = mapped_labels[inside]
        return images, labels

    def _shard(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """The mapped arrays of one shard, opened and checked once."""
        if number not in self._open:
            shard = self._index["shards"][number]
            shapes = {"images": (shard["rows"], *self.image_shape), "labels": (shard["rows"],)}
            dtypes = {"images": self._index["dtype"], "labels": "int64"}
            self._open[number] = tuple(
                self._mapped(shard[part]["file"], shapes[part], dtypes[part]) for part in PARTS)
        return self._open[number]

    def _mapped(self, name: str, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        path = self._path(name)
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError, OSError) as error:
            raise DataError(f"{name} in {self.folder.name} cannot be read ({error});"
                            " write or copy the shards again") from None
        if array.shape != shape or array.dtype != dtype:
            raise DataError(f"{name} in {self.folder.name} is {array.shape} {array.dtype}, but the"
                            f" index says {shape} {dtype}; write or copy the shards again")
        return array

    def _path(self, name: str) -> Path:
        path = self.folder / name
        if not path.is_file():
            raise DataError(f"{name} is missing in {self.folder.name}, whose index has"
                            f" {len(self._index['shards'])} shards; write or copy them again")
        return path


class Delayed:
    """A source that waits before each answer: a stand-in for slow storage, in seconds a read."""

    def __init__(self, source: Arrays | Shards, seconds: float):
        if seconds < 0:
            raise ValueError(f"seconds is {seconds}; give 0 or more")
        self.source, self.seconds = source, seconds

    def __len__(self) -> int:
        return len(self.source)

    @property
    def image_shape(self) -> tuple[int, ...]:
        return self.source.image_shape

    def read(self, rows: np.ndarray | int) -> tuple[np.ndarray, np.ndarray]:
        """Wait, then read."""
        time.sleep(self.seconds)
        return self.source.read(rows)


Source = Arrays | Shards | Delayed


def _read_index(path: Path) -> dict:
    """The index of a folder, its fields checked."""
    where = f"{path.name} of {path.parent.name}"
    if not path.is_file():
        raise DataError(f"{where} is missing: write the shards with write_shards, or copy the whole"
                        " folder")
    try:
        index = json.loads(path.read_text("utf8"))
        found = index["format"]
        fields = [shard[part][key] for shard in index["shards"] for part in PARTS
                  for key in ("file", "sha256")]
        counts = [shard["rows"] for shard in index["shards"]]
        sizes = [*counts, *index["image_shape"]]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{where} is damaged ({type(error).__name__}: {error}); write or copy the"
                        " shards again") from None
    if found != FORMAT:
        raise DataError(f"{where} has format {found}; this reader knows {FORMAT}")
    if not all(isinstance(f, str) for f in fields) or not all(
            isinstance(size, int) and size >= 1 for size in sizes) or not counts:
        raise DataError(f"{where} is damaged: every shard needs rows, file names and SHA-256")
    for name in fields[::2]:
        if Path(name).name != name:
            raise DataError(f"{where} names {name!r}; a shard lies in the folder itself")
    return index
