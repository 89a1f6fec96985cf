"""The set-up cell: the first code cell of every notebook, the same in all of them.

In Colab it installs the course, in plain Python. On a reader's own machine, where the course is
installed already, it does nothing and prints nothing.
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

from course_tools.errors import CourseError

TEMPLATE = '''\
# In Colab this installs the course; on your own machine it does nothing.
import importlib
import os
import subprocess
import sys

COURSE = (
    "{address}")
if "google.colab" in sys.modules or os.environ.get("COURSE_PRETEND_COLAB"):
    COURSE = os.environ.get("COURSE_PACKAGE") or COURSE
    if COURSE:
        pip = [sys.executable, "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, COURSE], check=True)
        importlib.invalidate_caches()
    else:
        print("This copy does not know where the course is kept: put the\\n"
              "address of its zip archive into COURSE and run this again.")'''
GITHUB = re.compile(r"(?:https://github\.com/|git@github\.com:)?([\w.-]+/[\w.-]+?)(?:\.git)?/?")


def repository(root: Path) -> str:
    """Return ``owner/name`` of the course's repository on GitHub, or "" where none is set.

    ``COURSE_REPOSITORY`` overrides ``[tool.course] repository`` of ``pyproject.toml``.
    """
    address = os.environ.get("COURSE_REPOSITORY")
    if address is None:
        path = root / "pyproject.toml"
        project = tomllib.loads(path.read_text("utf8")) if path.is_file() else {}
        address = project.get("tool", {}).get("course", {}).get("repository", "")
    address = address.strip()
    match = GITHUB.fullmatch(address)
    if address and not match:
        raise CourseError(
            f"the repository {address!r} (COURSE_REPOSITORY, or [tool.course] in pyproject.toml)"
            " is neither owner/name nor https://github.com/owner/name")
    return match[1] if match else ""


def archive(repository: str) -> str:
    """Return the address of the zip archive that pip can build the course from."""
    return f"https://github.com/{repository}/archive/refs/heads/main.zip" if repository else ""


def setup_cell(root: Path) -> str:
    """Return the text of the set-up cell for this repository."""
    return TEMPLATE.format(address=archive(repository(root)))
