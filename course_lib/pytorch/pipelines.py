"""Loaders in PyTorch that follow a given order; twin of course_lib/tensorflow/pipelines.py.

Data sets live here, not in a notebook: a worker process that was not forked from the notebook
must be able to import them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from multiprocessing import get_context

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from course_lib.data.shards import Source
from course_lib.scratch.order import Order, row_rng


class TorchImages(Dataset):
    """Rows of a source as (pixels in 0..1, flattened) and labels.

    Indexed by one row number, or by an array of them: (…, features) of ``dtype`` and (…) int64.
    NumPy arrays, which the DataLoader turns into tensors.
    """

    def __init__(self, source: Source, dtype: str = "float32"):
        self.source, self.dtype = source, np.dtype(dtype)

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(
        self, rows: np.ndarray | int
    ) -> tuple[np.ndarray, np.ndarray]:
        images, labels = self.source.read(rows)
        pixels = images.reshape(*np.shape(rows), -1).astype(self.dtype)
        return pixels / self.dtype.type(255), labels


def loader_torch(
    source: Source, order: Order, workers: int = 0, dtype: str = "float32"
) -> Iterable:
    """A DataLoader whose batches are the order's, read whole.

    With ``workers`` processes, which live as long as the loader.
    """
    return DataLoader(
        TorchImages(source, dtype),
        sampler=order,                   # gives arrays of row numbers,
        batch_size=None,                 # so an item is a whole batch
        num_workers=workers,
        persistent_workers=workers > 0,
        multiprocessing_context=_context(workers),
    )


class TorchDraws(Dataset):
    """A random number from each of four sources for a row, (4,) float64.

    A generator of its own, NumPy's global one, torch's global one, and ``row_rng``.
    """

    def __init__(self, seed: int):
        self.seed, self.epoch = seed, 0
        self.own = np.random.default_rng(seed)

    def __len__(self) -> int:
        return 16

    def __getitem__(self, row: int) -> np.ndarray:
        keyed = row_rng(self.seed, self.epoch, row)
        return np.array([
            self.own.random(), np.random.random(), torch.rand(()).item(),
            keyed.random()])


def draws_torch(seed: int, epochs: int, workers: int = 0) -> np.ndarray:
    """The draws of all rows, in batches of 8 by turns: (epochs, rows, 4)."""
    draws = TorchDraws(seed)
    loader = DataLoader(
        draws, batch_size=8, num_workers=workers,
        multiprocessing_context=_context(workers))
    found = []
    for draws.epoch in range(epochs):
        found.append(np.concatenate([batch.numpy() for batch in loader]))
    return np.stack(found)


def _context(workers: int):
    """How worker processes start: never by forking the process that holds TensorFlow.

    A fork copies one thread and every lock that the others held. Linux forks a clean server
    process that has imported this module; other systems start a new Python for each worker.
    """
    if not workers:
        return None
    if sys.platform != "linux":
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context
