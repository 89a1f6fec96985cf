"""The measurements of the Rosetta table, importable, and each taken once a run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import measuring  # noqa: E402


class Taken:
    """Measurements, taken when first asked for."""

    def __init__(self) -> None:
        self.found = measuring.load()
        self.kept: dict[str, measuring.Measured] = {}

    def __getitem__(self, row: str) -> measuring.Measured:
        if row not in self.kept:
            self.kept[row] = self.found[row][0].run()
        return self.kept[row]


@pytest.fixture(scope="session")
def taken() -> Taken:
    """What the measurement of each row found."""
    return Taken()
