"""The order in which training sees its data: one source of it for every framework."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


def row_rng(seed: int, epoch: int, row: int) -> np.random.Generator:
    """The random numbers of one row in one epoch, whoever asks and whenever.

    Whole numbers of 0 or more. For augmentation in worker processes: no state is kept, so none
    can be copied, and a resumed run draws what the interrupted one would have drawn.
    """
    return np.random.default_rng((seed, epoch, row))


def buffer_shuffle(
    rows: np.ndarray, buffer: int, rng: np.random.Generator
) -> np.ndarray:
    """Shuffle a stream as ``tf.data.Dataset.shuffle(buffer)`` does.

    ``buffer`` rows wait; each time one of them is drawn, the next of the stream takes its place.
    A row can come out at most ``buffer - 1`` places early. 1 changes nothing, ``len(rows)`` or
    more is a full shuffle. The algorithm is TensorFlow's, the random numbers are not.

    Raises
    ------
    ValueError
        If the buffer holds no row.
    """
    if buffer < 1:
        raise ValueError(f"buffer is {buffer}; give 1 or more")
    rows = np.asarray(rows)
    waiting, out = rows[:buffer].copy(), np.empty_like(rows)
    places = rng.integers(buffer, size=max(len(rows) - buffer, 0))
    for i, place in enumerate(places):
        out[i] = waiting[place]
        waiting[place] = rows[buffer + i]
    out[len(places):] = rng.permutation(waiting)
    return out


class Order:
    """The batches of each epoch, and how many were trained on.

    Iterating gives the batches that the present epoch still has, each an array (batch,) of whole
    numbers; the last one of an epoch may be short. Nothing is counted as done until ``advance``
    says so, so that batches which a loader has fetched ahead are not lost when a run stops.

    Parameters
    ----------
    rows
        How many rows the data set has.
    batch
        Rows of a batch.
    seed
        Each epoch's order is drawn anew from (seed, epoch).
    buffer
        None for a permutation; a number for ``buffer_shuffle`` with so many rows waiting.

    Raises
    ------
    ValueError
        If a number is out of its range, or a state belongs to another order.
    """

    def __init__(
        self, rows: int, batch: int, seed: int = 0,
        buffer: int | None = None,
    ):
        if not 1 <= batch <= rows or seed < 0:
            given = f"{rows} rows, batch {batch}, seed {seed}"
            raise ValueError(f"{given}; give 1 <= batch <= rows, seed >= 0")
        self.rows, self.batch = rows, batch
        self.seed, self.buffer = seed, buffer
        self.epoch, self.done = 0, 0        # batches trained on

    def permutation(self, epoch: int) -> np.ndarray:
        """All row numbers in the order of one epoch, (rows,)."""
        rng = np.random.default_rng((self.seed, epoch))
        rows = np.arange(self.rows, dtype=np.int64)
        if self.buffer is None:
            return rng.permutation(rows)
        return buffer_shuffle(rows, self.buffer, rng)

    def __iter__(self) -> Iterator[np.ndarray]:
        rows = self.permutation(self.epoch)
        starts = range(self.done * self.batch, self.rows, self.batch)
        return iter([rows[s:s + self.batch] for s in starts])

    def __len__(self) -> int:
        """How many batches the epoch has left."""
        return -(-self.rows // self.batch) - self.done

    def advance(self) -> None:
        """Count one batch as trained on; after the last, the epoch ends."""
        self.done += 1
        if len(self) == 0:
            self.epoch, self.done = self.epoch + 1, 0

    def state_dict(self) -> dict:
        """What the order is and how far it has come, as whole numbers."""
        return dict(vars(self))

    def load_state_dict(self, state: dict) -> None:
        """Go on from a state, which must be of the same order."""
        _check_state(state, self)
        self.epoch, self.done = state["epoch"], state["done"]


def _check_state(state: dict, order: Order) -> None:
    """Refuse a state that is not of this order, or lies outside it."""
    mine = order.state_dict()
    if missing := sorted(mine.keys() - state.keys()):
        raise ValueError(f"the state lacks {', '.join(missing)}")
    for name in ("rows", "batch", "seed", "buffer"):
        if state[name] != mine[name]:
            raise ValueError(
                f"the state has {name} {state[name]}, this order {mine[name]}:"
                " make the order as it was saved")
    batches = -(-order.rows // order.batch)
    if not (state["epoch"] >= 0 and 0 <= state["done"] < batches):
        raise ValueError(
            f"the state is at epoch {state['epoch']}, batch {state['done']},"
            " which this order does not have")
