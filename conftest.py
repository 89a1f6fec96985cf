"""A browser test that fails is run once more, and both results are told.

Such a test is a defect to mend, not a reason to lose a day's work.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent
TWICE = "tests/site"  # tests that drive a browser


def inside(item: pytest.Item) -> str:
    """The file of a test, from the root."""
    path = item.path
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.as_posix()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give browser tests, and no others, a second run with fresh fixtures."""
    for item in items:
        if inside(item).startswith(TWICE + "/"):
            item.add_marker(pytest.mark.flaky(reruns=1))


def pytest_terminal_summary(terminalreporter) -> None:
    """Name each test that needed a second run, with what the first one said."""
    failed = {report.nodeid for report in terminalreporter.stats.get("failed", [])}
    failed |= {report.nodeid for report in terminalreporter.stats.get("error", [])}
    for report in terminalreporter.stats.get("rerun", []):
        then = "failed again" if report.nodeid in failed else "passed"
        name = report.nodeid
        terminalreporter.section(f"needed a second run, which {then}: {name}", sep="-")
        terminalreporter.line(report.longreprtext)
        if os.environ.get("GITHUB_ACTIONS") == "true":
            said = report.longreprtext.strip().splitlines()[-1:]
            message = " ".join([f"needed a second run, which {then}:", name, *said])
            terminalreporter.line(f"::warning title=A browser test failed once::{message}")
