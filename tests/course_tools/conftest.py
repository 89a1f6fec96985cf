"""A small course of its own in a temporary folder, so that no test touches the real book."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nbformat
import pytest
from click.testing import CliRunner, Result

FRONT = """---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  name: python3
  display_name: Python 3
---

"""
SETUP = "```{code-cell} ipython3\n:tags: [setup]\n```\n\n"
CONFIG = """parse:
  myst_enable_extensions: [amsmath, attrs_inline, colon_fence, deflist, dollarmath, fieldlist,
    substitution, tasklist]
"""
RUNTIME = '''"""A stand-in: what ran where."""
def describe():
    return {"versions": {"python": "3"}, "device": "cpu", "threads": 1, "scale": "quick", "seed": 0}


def set_seed(number=None):
    return number
'''
TINY = '''"""A library of one function."""

FACTOR = 2


def double(x):
    """Return twice x.

    A longer explanation, which a cell does not show.
    """
    return FACTOR * x  # the formula
'''

LIBRARY = "from course_lib import tiny\nprint(tiny.double(21))"


def cell(code: str, *options: str) -> str:
    """A code cell in MyST; ``options`` are lines such as ``:tags: [pytorch]``."""
    return "\n".join(["```{code-cell} ipython3", *options, code, "```"]) + "\n\n"


class House:
    """A course in a folder: write pages, run `course`, look at notebooks."""

    def __init__(self, root: Path):
        self.root = root
        if (root / "book").is_dir():
            return  # a copy of a course made before
        self.write("pyproject.toml", '[tool.course]\nrepository = ""\n')
        self.write("_config.yml", CONFIG)
        self.write("book/intro.md", "(start)=\n# The beginning\n")
        self.write("course_lib/__init__.py", "")
        self.write("course_lib/runtime.py", RUNTIME)
        self.write("course_lib/tiny.py", TINY)

    def write(self, path: str, text: str) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf8")
        return file

    def change(self, path: str, old: str, new: str) -> None:
        text = (self.root / path).read_text("utf8")
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {path}"
        self.write(path, text.replace(old, new))

    def page(self, body: str, name: str = "03-hill/descent") -> Path:
        return self.write(f"book/{name}.md", f"{FRONT}# Going down\n\n{SETUP}{body}")

    def portable(self, name: str = "03-hill/descent") -> Path:
        return self.root / "notebooks" / f"{name}.ipynb"

    def notebook(self, name: str = "03-hill/descent") -> nbformat.NotebookNode:
        return nbformat.read(self.portable(name), as_version=4)

    def outputs(self, name: str = "03-hill/descent") -> str:
        cells = [c for c in self.notebook(name).cells if c.cell_type == "code"]
        return "".join(out.get("text", "") for c in cells for out in c.outputs)

    def edit(self, change, name: str = "03-hill/descent") -> None:
        """Change the stored notebook by hand, as JSON."""
        notebook = json.loads(self.portable(name).read_text("utf8"))
        change(notebook)
        self.portable(name).write_text(json.dumps(notebook), "utf8")

    def course(self, *arguments: str, fails: bool = False) -> Result:
        """Run `course …` in this folder; an unexpected exit or exception fails the test."""
        from course_tools.cli import main

        result = CliRunner().invoke(main, [*arguments, "--root", str(self.root)])
        expected = (SystemExit, type(None)) if fails else type(None)
        assert isinstance(result.exception, expected), result.output + repr(result.exception)
        assert (result.exit_code != 0) == fails, result.output
        return result


@pytest.fixture(autouse=True)
def plain_world(monkeypatch) -> None:
    """No setting of the caller's reaches a test."""
    for name in ("COURSE_REPOSITORY", "COURSE_WEBSITE", "COURSE_SEED", "COURSE_SCALE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def house(tmp_path) -> House:
    """A fresh small course."""
    return House(tmp_path / "course")


@pytest.fixture(scope="session")
def made_once(tmp_path_factory) -> Path:
    """A course with one executed page, made once and copied for each test that needs one."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("COURSE_REPOSITORY", "COURSE_WEBSITE", "COURSE_SEED", "COURSE_SCALE"):
            patch.delenv(name, raising=False)
        house = House(tmp_path_factory.mktemp("made") / "course")
        house.page("Words.\n\n" + cell(LIBRARY, ":tags: [pytorch]"))
        house.course("notebooks")
    return house.root


@pytest.fixture
def made(made_once, tmp_path) -> House:
    """A course with one executed page, in step."""
    shutil.copytree(made_once, tmp_path / "course")
    house = House(tmp_path / "course")
    house.course("notebooks", "--check")
    return house


@pytest.fixture
def no_kernel(monkeypatch) -> None:
    """Any execution fails the test."""

    def refuse(*_, **__):
        raise RuntimeError("something was executed")

    monkeypatch.setattr("course_tools.execute.execute", refuse)
