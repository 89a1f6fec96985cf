"""A plugin of pytest: which notebooks have been verified on this machine, and in which state.

``make test`` loads it beside nbval (``-p tests.notebooks.ledger``). A notebook of which every cell passed is remembered in
``_build/verified.json`` with a hash of all that its run depends on: its code and stored outputs,
all of ``course_lib`` that it can import, plumbing too, its data and records, the installed
packages, Python, and the settings ``COURSE_…``. While that hash stays the same the notebook is
passed over, unless it is itself an argument (``make test ARGS=notebooks/…/name.ipynb``). Where
``CI`` is set nothing is passed over and nothing remembered; ``make clean`` forgets.
"""

from __future__ import annotations

import json
import os
import platform
from collections import Counter
from importlib import metadata
from pathlib import Path

import nbformat
import pytest

from course_tools import stamp
from course_tools.errors import CourseError

FILE = "_build/verified.json"
IGNORED = {"COURSE_CACHE"}  # settings that change no number
NOTHING_COLLECTED = 5  # pytest's exit status


def environment() -> str:
    """Hash what a run depends on besides the repository."""
    packages = sorted(f"{found.name} {found.version}" for found in metadata.distributions())
    settings = sorted(f"{name}={value}" for name, value in os.environ.items()
                      if name.startswith(("COURSE_", "TF_ENABLE_")) and name not in IGNORED)
    return stamp.digest(platform.platform(), platform.python_version(), *packages, *settings)


def state(root: Path, path: Path, around: str) -> str | None:
    """Hash all that running a notebook depends on; None where a cell cannot be read as Python."""
    notebook = nbformat.read(path, as_version=4)
    cells = stamp.code_cells(notebook)
    text = "\n\n".join(c.source for c in cells if not stamp.tags(c) & stamp.RUNNING_TAGS)
    try:
        used = stamp.library_hash(root, text, path.stem, plumbing=True)
    except CourseError:
        return None
    used |= stamp.record_hash(root, text)
    sources = [part for cell in cells for part in (cell.source, *sorted(stamp.tags(cell)))]
    return stamp.digest(around, *sources, stamp.output_hash(notebook), json.dumps(used))


class Ledger:
    """What stood in the ledger when the tests began, and what passes now."""

    def __init__(self, root: Path):
        self.root, self.file, self.passed, self.faults = root, root / FILE, Counter(), set()
        self.around = environment()
        self.states = self._states()
        self.verified = {name for name, kept in self._read().items()
                         if kept and kept == self.states.get(name)}

    def _states(self) -> dict[str, str | None]:
        paths = sorted((self.root / "notebooks").glob("*/*.ipynb"))
        return {path.relative_to(self.root).as_posix(): state(self.root, path, self.around)
                for path in paths}

    def _read(self) -> dict[str, str]:
        try:
            return dict(json.loads(self.file.read_text("utf8")))
        except (OSError, ValueError, TypeError):
            return {}  # none yet, or cut off: everything runs

    def _cells(self, name: str) -> int:
        return len(stamp.code_cells(nbformat.read(self.root / name, as_version=4)))

    def pytest_report_header(self) -> str:
        return (f"ledger: {len(self.verified)} of {len(self.states)} notebooks were verified here"
                f" in their present state and are passed over ({FILE})")

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        return True if _name(collection_path, self.root) in self.verified else None

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node) -> None:
        """Tell a worker of xdist what to pass over: all of them must collect the same."""
        node.workerinput["verified"] = sorted(self.verified)

    def pytest_runtest_logreport(self, report) -> None:
        name = report.nodeid.split("::")[0]
        self.passed[name] += report.when == "call" and report.passed
        if not report.passed:
            self.faults.add(name)

    def pytest_sessionfinish(self, session, exitstatus: int) -> None:
        """Remember what passed whole and did not change while it ran."""
        kept = self._read()
        for name, found in self._states().items():
            if name in self.faults:
                kept.pop(name, None)
            elif found and found == self.states.get(name) and self.passed[name] == self._cells(name):
                kept[name] = found
        self.file.parent.mkdir(exist_ok=True)
        self.file.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n", "utf8")
        if exitstatus == NOTHING_COLLECTED and self.verified:
            session.exitstatus = 0


class Worker:
    """The ledger in a worker of xdist: passes over what it is told to."""

    def __init__(self, root: Path, verified: list[str]):
        self.root, self.verified = root, set(verified)

    pytest_ignore_collect = Ledger.pytest_ignore_collect


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else ""


def pytest_configure(config: pytest.Config) -> None:
    """Begin, unless this is continuous integration."""
    if os.environ.get("CI", "").lower() not in ("", "0", "false"):
        return
    told = getattr(config, "workerinput", None)
    ledger = Ledger(config.rootpath) if told is None else Worker(config.rootpath, told["verified"])
    config.pluginmanager.register(ledger, "course-ledger")
