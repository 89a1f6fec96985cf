"""What the loaders of data sets return, as a table of hashes: ``course_lib/data/arrays.json``.

``python -m tests.course_lib.arrays`` loads every set and writes the table. A stamp takes a set's
entry from it and loads nothing; ``test_arrays.py`` loads every set and compares. Only the embedded
sets count, not the full-size ones, which no committed page has run with.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path

import numpy as np

from course_lib import data
from course_tools import stamp

ROOT = Path(__file__).resolve().parents[2]


def _parts(value: object) -> Iterator[bytes]:
    if is_dataclass(value):
        for field in fields(value):
            if field.name != "card":  # words about the data
                yield field.name.encode()
                yield from _parts(getattr(value, field.name))
    elif isinstance(value, np.ndarray) and not value.dtype.hasobject:
        yield f"{value.dtype.str} {value.shape}".encode()
        yield value.tobytes()
    elif isinstance(value, (tuple, list)):
        yield f"{len(value)} parts".encode()
        for part in value:
            yield from _parts(part)
    elif isinstance(value, (str, int, float)):
        yield repr(value).encode("utf8", "surrogatepass") + b"\0"
    elif isinstance(value, Path):
        yield value.read_bytes()  # a font is used as a file
    else:
        raise TypeError(f"a loader returned a {type(value).__name__}; arrays, texts and numbers"
                        " are expected, in tuples and dataclasses")


def array_hash(value: object) -> str:
    """Hash what a loader returns: values, types and shapes of its arrays and texts, in order."""
    found = hashlib.sha256()
    for part in _parts(value):
        found.update(part)
    return found.hexdigest()[:16]


def table() -> dict[str, dict]:
    """Load every data set; return ``{name: {"files": [SHA-256, …], "arrays": hash}}``."""
    return {name: {"files": [file.sha256 for file in task.embedded.files],
                   "arrays": array_hash(data.load(name))}
            for name, task in sorted(data.REGISTRY.items())}


if __name__ == "__main__":
    (ROOT / stamp.ARRAYS).write_text(json.dumps(table(), indent=1) + "\n", "utf8", newline="\n")
