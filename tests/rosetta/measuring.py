"""How a row of the Rosetta table is established: one measurement, before its cure and after."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

MODULES = ("measure_layers", "measure_statistics", "measure_losses", "measure_optimizers",
           "measure_loops", "measure_gradients", "measure_schedules")
OVER, WITHIN = 1e-6, 1e-12


@dataclass(frozen=True)
class Measured:
    """The largest difference between the frameworks: as they come, and with the row's cure.

    ``after`` is None where no cure makes the numbers equal; ``what`` then says why.
    """

    before: float
    after: float | None
    what: str


@dataclass(frozen=True)
class Measurement:
    """A function that measures, and the bounds that its row promises."""

    run: Callable[[], Measured]
    over: float      # the difference before is larger than this
    within: float    # and after not larger than this
    because: str     # why another bound than WITHIN


MEASUREMENTS: dict[str, list[Measurement]] = {}


def establishes(row: str, over: float = OVER, within: float = WITHIN, because: str = ""
                ) -> Callable[[Callable[[], Measured]], Callable[[], Measured]]:
    """Say which row of the table a function establishes. Another bound needs a reason."""
    if within > WITHIN and not because:
        raise ValueError(f"{row}: say because of what the bound is {within:g}")

    def enter(measure: Callable[[], Measured]) -> Callable[[], Measured]:
        @functools.wraps(measure)
        def run() -> Measured:
            import torch

            with torch.random.fork_rng(devices=[]):  # the draws of torch, and no one else's
                torch.manual_seed(0)
                return measure()

        MEASUREMENTS.setdefault(row, []).append(Measurement(run, over, within, because))
        return run

    return enter


def load() -> dict[str, list[Measurement]]:
    """Import every module of measurements; returns them by row."""
    for module in MODULES:
        importlib.import_module(module)
    return MEASUREMENTS


def unmatched(rows: Iterable[str], measurements: dict[str, list[Measurement]]) -> list[str]:
    """What is wrong between rows and measurements: each row has one, each one a row."""
    rows = list(rows)
    problems = [f"{row}: no measurement" for row in rows if not measurements.get(row)]
    problems += [f"{row}: {len(found)} measurements" for row, found in measurements.items()
                 if len(found) > 1]
    return problems + [f"{row}: a measurement of no row" for row in measurements if row not in rows]


def fault(measurement: Measurement, measured: Measured) -> str:
    """How a measurement breaks its promise, or "" where it keeps it."""
    if not measured.before > measurement.over:
        return f"as they come they differ by {measured.before:.1e}, not by {measurement.over:.0e}"
    if measured.after is not None and not measured.after <= measurement.within:
        return f"with the cure they differ by {measured.after:.1e}, over {measurement.within:.0e}"
    return ""


# --- what the measurements share ----------------------------------------------------------------


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    """Normal numbers in float64."""
    return np.random.default_rng(seed).standard_normal(shape)


def array(value: object) -> np.ndarray:
    """A tensor of either framework, or numbers, as float64."""
    detach = getattr(value, "detach", None)
    value = detach() if detach else value
    return np.asarray(value, dtype=np.float64)


def gap(a: object, b: object) -> float:
    """The largest difference between two arrays of one shape."""
    a, b = array(a), array(b)
    if a.shape != b.shape:
        raise ValueError(f"shapes {a.shape} and {b.shape}")
    return float(np.abs(a - b).max())


def last(images: object) -> np.ndarray:
    """Channels from the second place to the last."""
    return np.moveaxis(array(images), 1, -1)
