"""Shared by all tests: the root of the project, and quiet single-threaded frameworks."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("COURSE_THREADS", "1")
import course_lib  # noqa: E402, F401  before torch and TensorFlow: keeps start-up logs away

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the project."""
    return ROOT


@pytest.fixture(scope="session")
def notebook_paths(root) -> list[Path]:
    """Every portable notebook."""
    return sorted((root / "notebooks").glob("[0-9][0-9]-*/*.ipynb"))
