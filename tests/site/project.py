"""Build sites for the tests: a small made-up book, or the real one, in a folder of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from pages import (
    FIRST,
    SECOND,
    WITH_ATTENTION,
    WITH_CONVOLUTION,
    WITH_GRAPH,
    WITH_LIVE,
    WITH_WIDGET,
    write_page,
)

ROOT = Path(__file__).resolve().parents[2]
TOC = """format: jb-book
root: book/intro
parts:
  - caption: The course
    chapters:
      - file: book/02-made-up/index
        title: 02 Made up
        sections:
          - file: book/02-made-up/first
          - file: book/02-made-up/second
      - file: book/02-made-up/widget
      - file: book/02-made-up/convolution
      - file: book/02-made-up/graph
      - file: book/02-made-up/attention
      - file: book/02-made-up/live
      - file: book/references
"""
LANDING = """# Made up

*A question that the chapter answers?*

A chapter of two pages, and a first paragraph of some length.

```{page-cards}
```
"""
BIBLIOGRAPHY = """@book{made2020,
  author = {Made, Una},
  title = {A Made-up Book},
  publisher = {Nobody},
  year = {2020}
}
"""


def made_up(folder: Path) -> Path:
    """Write the made-up book with the project's own configuration and extensions."""
    for name in ("_ext", "assets"):
        shutil.copytree(ROOT / "book" / name, folder / "book" / name,
                        ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("_config.yml", "pyproject.toml", "book/intro.md", "book/references.md"):
        shutil.copyfile(ROOT / name, folder / name)
    intro = folder / "book/intro.md"
    text = intro.read_text("utf-8")
    text = re.sub(r"\d\d-[a-z-]+/[a-z-]+(\.md)(#[\w-]+)?", r"02-made-up/first\1", text)
    text = re.sub(r"\((?:rosetta|glossary|chapter-map|how-to-use)\.md\)", "(02-made-up/second.md)", text)
    text = re.sub(r"^(:link:) \S+$", r"\1 02-made-up/second", text, flags=re.M)
    intro.write_text(text, "utf-8")
    (folder / "_toc.yml").write_text(TOC)
    (folder / "book/references.bib").write_text(BIBLIOGRAPHY)
    (folder / "book/02-made-up").mkdir(parents=True, exist_ok=True)
    (folder / "book/02-made-up/index.md").write_text(LANDING)
    write_page(folder, "02-made-up/first", FIRST)
    write_page(folder, "02-made-up/second", SECOND)
    write_page(folder, "02-made-up/widget", WITH_WIDGET)
    write_page(folder, "02-made-up/convolution", WITH_CONVOLUTION)
    write_page(folder, "02-made-up/graph", WITH_GRAPH)
    write_page(folder, "02-made-up/attention", WITH_ATTENTION)
    write_page(folder, "02-made-up/live", WITH_LIVE)
    return folder


def real(folder: Path) -> Path:
    """Copy what the site of the course is built from."""
    ignored = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
    for name in ("book", "notebooks", "studies"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in ("_config.yml", "_toc.yml", "pyproject.toml"):
        shutil.copyfile(ROOT / name, folder / name)
    return folder


def build(folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Build a project's site as make does; its pages lie in ``_build/html``."""
    kept = {key: value for key, value in os.environ.items()
            if key not in {"COURSE_REPOSITORY", "GITHUB_REPOSITORY", "GITHUB_REF_TYPE"}}
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", ".", "-W", "-n", "--keep-going"]
    return subprocess.run(command, cwd=folder, env=kept | environ, capture_output=True,
                          text=True, timeout=600, check=False)


def pages_of(folder: Path) -> dict[str, str]:
    """The HTML of every page of a built site, by its path."""
    out = folder / "_build/html"
    return {path.relative_to(out).as_posix(): path.read_text("utf-8")
            for path in sorted(out.rglob("*.html")) if "_static" not in path.parts}
