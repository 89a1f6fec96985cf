"""The table of what the loaders return: that it holds, and what changes a hash."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pytest

from course_lib import data
from course_tools import stamp
from tests.course_lib import arrays


@pytest.fixture(scope="module")
def stored(root) -> dict:
    return json.loads((root / stamp.ARRAYS).read_text("utf8"))


def test_every_data_set_is_in_the_table_with_its_pinned_files(stored):
    pinned = {name: [file.sha256 for file in task.embedded.files]
              for name, task in data.REGISTRY.items()}
    assert {name: entry["files"] for name, entry in stored.items()} == pinned, (
        "another pinned file: run `python -m tests.course_lib.arrays`, which makes the pages that use it stale")


@pytest.mark.parametrize("name", sorted(data.REGISTRY))
def test_a_loader_returns_what_the_table_says(name, stored):
    assert arrays.array_hash(data.load(name)) == stored[name]["arrays"], (
        f"the loader of {name} returns something else than the pages ran with. If that is meant,"
        " run `python -m tests.course_lib.arrays`, which makes them stale; if not, mend the loader")


@dataclass
class Splits:
    x: np.ndarray
    words: tuple
    card: str = "card"


def splits(x=(1, 2), dtype=np.int32, words=("a", "bc"), card="card", shape=-1):
    return Splits(np.array(x, dtype).reshape(shape), words, card)


def test_words_about_the_data_leave_the_hash_alone():
    assert arrays.array_hash(splits(card="other")) == arrays.array_hash(splits())


@pytest.mark.parametrize("change", [
    {"x": (1, 3)}, {"x": (2, 1)}, {"dtype": np.int64}, {"shape": (1, 2)}, {"words": ("ab", "c")},
    {"words": ("bc", "a")}, {"words": (("a", "bc"),)},
])
def test_every_change_of_the_data_changes_the_hash(change):
    assert arrays.array_hash(splits(**change)) != arrays.array_hash(splits())


@pytest.mark.parametrize("value", [np.array([None]), {1, 2}])
def test_what_has_no_fixed_bytes_is_refused(value):
    with pytest.raises(TypeError, match="a loader returned a"):
        arrays.array_hash(value)
