"""Working copies: ``work/NN-chapter/name.ipynb``, where a learner writes, and a first page.

A copy is made of ``notebooks/NN-chapter/name.ipynb`` where it is missing. It carries in its
metadata the hash of the cells that it was made of, so that what a learner wrote is told from
what was only run. No cell that a learner wrote is replaced.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import nbformat
import yaml
from nbformat import NotebookNode

from course_tools import editions, stamp
from course_tools.errors import CourseError
from course_tools.keep import keep

FOLDER = "work"
FIRST_PAGE = "start.ipynb"
MARK = "made_from"  # in metadata.course: the hash of the cells that a copy was made of
OUTPUTS = "made_with"  # and of their outputs
WORDS = """# Start here

These notebooks are yours: write in them, break them, run them as often as you like. Nothing that
you write in a cell is ever replaced without being asked for, and then a copy is kept. A notebook
that you want afresh: `.venv/bin/course work --renew NAME` in a terminal.

Begin with the first one; **Run → Run All Cells** takes about a minute. Each ends in exercises.
"""


def cells_hash(notebook: NotebookNode) -> str:
    """Hash what a person writes: kinds, text and attachments of the cells; no outputs."""
    cells = [
        [cell.cell_type, cell.source, cell.get("attachments") or {}] for cell in notebook.cells
    ]
    return stamp.digest(json.dumps(cells, sort_keys=True, ensure_ascii=False))


def _read(path: Path) -> NotebookNode | None:
    """Return a notebook, or None where the file is none: then nobody knows what it holds."""
    try:
        return editions.read_portable(path)
    except CourseError:
        return None


def is_edited(notebook: NotebookNode | None) -> bool:
    """Say whether a working copy's cells are not, for certain, those that it was made of."""
    marks = {} if notebook is None else notebook.metadata.get("course", {})
    return not marks.get(MARK) or marks[MARK] != cells_hash(notebook)


def was_run(notebook: NotebookNode) -> bool:
    """Say whether a copy's outputs are others than those that it was made with."""
    return notebook.metadata["course"].get(OUTPUTS) != stamp.output_hash(notebook)


def _fresh(original: NotebookNode) -> NotebookNode:
    """Return a working copy. One of a notebook edited by hand counts as edited from the start."""
    made = copy.deepcopy(original)
    marks = made.metadata.setdefault("course", nbformat.from_dict({}))
    by_hand = "text_hash" in marks and marks["text_hash"] != stamp.text_hash(original)
    marks[MARK] = "" if by_hand else cells_hash(made)
    marks[OUTPUTS] = stamp.output_hash(made)
    return made


def _write(notebook: NotebookNode, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = nbformat.writes(notebook, version=4, indent=1, sort_keys=True, ensure_ascii=False)
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(text + "\n", "utf8", newline="\n")
    os.replace(temporary, path)


def _same(one: NotebookNode, other: NotebookNode) -> bool:
    marks = [notebook.metadata.get("course", {}) for notebook in (one, other)]
    return all(marks[0].get(key) == marks[1].get(key) for key in (MARK, OUTPUTS))


def _replace(root: Path, fresh: NotebookNode, path: Path, why: str) -> str:
    """Replace a copy; keep the old one where it holds more than what it was made of."""
    old = _read(path)
    kept = f"; yours is kept in {keep(root, path)}" if is_edited(old) or was_run(old) else ""
    _write(fresh, path)
    return why + kept


def copy_one(root: Path, name: str, renew: bool = False, force: bool = False) -> str:
    """Make or refresh the working copy of a page; return what was done, in words ("" for nothing).

    Raises ``CourseError`` where an edited copy is to be renewed and ``force`` is not given.
    """
    original, path = root / "notebooks" / f"{name}.ipynb", root / FOLDER / f"{name}.ipynb"
    if not original.is_file():
        raise CourseError(f"there is no notebooks/{name}.ipynb; `course notebooks {name}` makes it")
    fresh = _fresh(editions.read_portable(original))
    if not path.exists():
        _write(fresh, path)
        return "made"
    old = _read(path)
    if is_edited(old):
        if renew and not force:
            raise CourseError(
                f"{FOLDER}/{name}.ipynb: you wrote in it, so it stays; `course work --renew"
                f" {name} --force` makes it afresh and keeps yours in {FOLDER}/kept"
            )
        if renew:
            return _replace(root, fresh, path, "made afresh")
        changed = old is None or not _same(old, fresh)
        return f"kept as you wrote it; the new edition is notebooks/{name}.ipynb" if changed else ""
    if renew or not _same(old, fresh):
        return _replace(root, fresh, path, "made afresh" if renew else "renewed: its page changed")
    return ""


# --- the first page -------------------------------------------------------------------------


def reading_order(root: Path) -> list[str]:
    """Return the pages that have a notebook, in the order of the book's contents."""
    made = [editions.page_name(source) for source in editions.find_sources(root)]
    toc, listed = root / "_toc.yml", []
    if toc.is_file():
        nodes = [yaml.safe_load(toc.read_text("utf8"))]
        while nodes:
            node = nodes.pop(0)
            if isinstance(node, dict):
                listed += [str(node["file"])] if "file" in node else []
                nodes[:0] = node.values()
            elif isinstance(node, list):
                nodes[:0] = node
    listed = [name.removeprefix("book/").removesuffix(".md") for name in listed]
    ordered = [name for name in listed if name in made]
    return ordered + [name for name in made if name not in ordered]


def _title(root: Path, name: str) -> str:
    lines = (root / "book" / f"{name}.md").read_text("utf8").split("\n")
    return next((line[2:].strip() for line in lines if line.startswith("# ")), name)


def first_page(root: Path, names: Iterable[str]) -> NotebookNode:
    """Return a notebook that says where to begin and leads to the working copies."""
    lines, chapter = [], ""
    for name in names:
        if name.split("/")[0] != chapter:
            chapter = name.split("/")[0]
            number, _, words = chapter.partition("-")
            lines += ["", f"**{int(number)}. {words.replace('-', ' ').capitalize()}**", ""]
        lines.append(f"- [{_title(root, name)}]({name}.ipynb)")
    cell = nbformat.v4.new_markdown_cell(WORDS + "\n".join(lines), id="start")
    return nbformat.v4.new_notebook(cells=[cell], metadata={"kernelspec": editions.KERNEL})


def make_first_page(root: Path) -> str:
    """Write ``work/start.ipynb`` unless somebody wrote in it; return what was done, in words."""
    path, fresh = root / FOLDER / FIRST_PAGE, _fresh(first_page(root, reading_order(root)))
    old = _read(path) if path.exists() else None
    if path.exists() and (is_edited(old) or _same(old, fresh)):
        return ""
    _write(fresh, path)
    return "made"


def copy_all(
    root: Path, names: Iterable[str], renew: bool, force: bool, line: Callable[[str], None]
) -> list[str]:
    """Make or refresh the working copies of pages and the first page; return what was refused.

    ``line`` gets one line for each copy that was made, replaced or kept. A page that fails does
    not stop the others.
    """
    refused = []
    for name in names:
        try:
            if done := copy_one(root, name, renew, force):
                line(f"{FOLDER}/{name}.ipynb: {done}")
        except CourseError as error:
            refused.append(str(error))
    if done := make_first_page(root):
        line(f"{FOLDER}/{FIRST_PAGE}: {done}")
    return refused
