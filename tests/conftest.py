"""Shared by all tests: the root of the project, and quiet single-threaded frameworks."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("COURSE_THREADS", "1")
import course_lib  # noqa: E402, F401  before torch and TensorFlow: keeps start-up logs away

# The same examples in every run, so that a test that fails fails again.
settings.register_profile("course", derandomize=True, deadline=None)
settings.load_profile("course")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the project."""
    return ROOT


@pytest.fixture(scope="session")
def notebook_paths(root) -> list[Path]:
    """Every portable notebook."""
    return sorted((root / "notebooks").glob("[0-9][0-9]-*/*.ipynb"))
