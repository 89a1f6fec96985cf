"""Copies of what a command replaces: nothing that a person wrote is ever lost."""

from __future__ import annotations

import shutil
from itertools import count
from pathlib import Path

FOLDER = "work/kept"


def keep(root: Path, path: Path) -> str:
    """Copy a file into ``work/kept`` under a name not yet taken; return the copy's path in root.

    A file outside ``root`` is kept under its name alone. Raises ``OSError`` where it cannot be
    copied: then the caller replaces nothing.
    """
    path, root = path.resolve(), root.resolve()
    inside = path.relative_to(root) if path.is_relative_to(root) else Path(path.name)
    folder = root / FOLDER / inside.parent
    folder.mkdir(parents=True, exist_ok=True)
    names = (folder / f"{path.stem}.{number}{path.suffix}" for number in count(1))
    copy = next(name for name in names if not name.exists())
    shutil.copy2(path, copy)
    return copy.relative_to(root).as_posix()
