"""Filled cells: the set-up cell, and cells that show what ``course_lib`` holds.

A cell with the option ``:library: course_lib.pytorch.models:TorchLeNet`` is filled with that
object's own source, docstrings cut to their first line. The text is taken from the file; nothing
is imported. Filled cells are written in place into ``book/….md``.
"""

from __future__ import annotations

import ast
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode

from course_tools.editions import block_parser, read_source, root_of
from course_tools.errors import CourseError
from course_tools.setup_cell import setup_cell
from course_tools.stamp import code_cells, module_file, tags

ADDRESS = re.compile(r"\s*(course_lib(?:\.\w+)*)\s*:\s*(\w+(?:\.\w+)*(?:\s*,\s*\w+(?:\.\w+)*)*)\s*")


def _names(statement: ast.stmt) -> set[str]:
    """Return the names that a top-level statement defines."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {statement.name}
    targets = getattr(statement, "targets", None) or [getattr(statement, "target", None)]
    return {node.id for target in targets if target is not None
            for node in ast.walk(target) if isinstance(node, ast.Name)}


def _find(body: list[ast.stmt], name: str) -> ast.stmt | None:
    first, _, rest = name.partition(".")
    found = [s for s in body if isinstance(s, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef,
                                               ast.Assign, ast.AnnAssign)) and first in _names(s)]
    if not found:
        return None
    return _find(getattr(found[-1], "body", []), rest) if rest else found[-1]


def _docstrings(node: ast.AST) -> list[ast.Expr]:
    """Return the docstrings of an object and of all that is defined inside it."""
    found = []
    for inner in ast.walk(node):
        if isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            if ast.get_docstring(inner, clean=False) is not None:
                found.append(inner.body[0])
    return found


def _first_line(lines: list[str], docstring: ast.Expr) -> str:
    """Return a docstring's first line as source, with its own quotes and indentation."""
    text = "\n".join(lines[docstring.lineno - 1 : docstring.end_lineno])
    match = re.fullmatch(r"(?s)(\s*)([rRuU]?)(\"{3}|'{3}|\"|')(.*)\3\s*(#.*)?", text)
    if match is None:
        raise CourseError("a docstring shares its line with other code; give it its own lines")
    indent, prefix, quotes, content, _ = match.groups()
    summary = content.strip().split("\n")[0].rstrip()
    if summary.endswith(quotes[0]) or summary.endswith("\\"):
        summary += " "
    return f"{indent}{prefix}{quotes}{summary}{quotes}"


def object_source(text: str, name: str) -> str:
    """Return the source of one object of a module, docstrings cut to their first line.

    ``name`` may be dotted (``Class.method``). Decorators and comments inside it come along.
    Raises ``LookupError`` where the module defines no such name.
    """
    found = _find(ast.parse(text).body, name)
    if found is None:
        raise LookupError(name)
    lines = text.split("\n")
    decorators = getattr(found, "decorator_list", [])
    start = min([found.lineno, *(d.lineno for d in decorators)])
    cut: dict[int, str | None] = {}
    for docstring in _docstrings(found):
        cut.update(dict.fromkeys(range(docstring.lineno, docstring.end_lineno + 1)))
        cut[docstring.lineno] = _first_line(lines, docstring)
    kept = [cut.get(n, lines[n - 1]) for n in range(start, found.end_lineno + 1)]
    return textwrap.dedent("\n".join(line for line in kept if line is not None)).rstrip()


def library_source(root: Path, address: str) -> str:
    """Return the text for ``course_lib.module:Name[, Name…]``.

    Raises ``CourseError`` naming the address where its form, module or name is wrong.
    """
    match = ADDRESS.fullmatch(str(address))
    if match is None:
        raise CourseError(f"library address {address!r}: expected course_lib.module:Name")
    module, names = match[1], [name.strip() for name in match[2].split(",")]
    path = module_file(root, module)
    if path is None:
        raise CourseError(f"library address {address!r}: there is no module {module}")
    text, parts = path.read_text("utf8"), []
    for name in names:
        try:
            parts.append(object_source(text, name))
        except SyntaxError as error:
            raise CourseError(f"{path}, line {error.lineno}: no Python ({error.msg})") from None
        except LookupError:
            defined = sorted(set().union(*map(_names, ast.parse(text).body)))
            raise CourseError(f"library address {address!r}: {module} defines no {name}; it defines"
                              f" {', '.join(defined) or 'nothing'}") from None
        except CourseError as error:
            raise CourseError(f"library address {address!r}: {error}") from None
    return "\n\n\n".join(parts)


def wanted_source(root: Path, cell: NotebookNode) -> str | None:
    """Return what a filled cell must hold, or None for a cell that its author writes."""
    if "setup" in tags(cell):
        return setup_cell(root)
    if "library" in cell.metadata:
        return library_source(root, cell.metadata["library"])
    return None


@dataclass(frozen=True)
class Unfilled:
    """A cell of a page whose text is not what it should be filled with; numbers from 1."""

    number: int
    what: str
    wanted: str


def unfilled(notebook: NotebookNode, path: Path) -> list[Unfilled]:
    """Return the cells of a page that must be filled anew.

    Raises ``CourseError`` naming page and cell for an unknown address, and where the first code
    cell is not the set-up cell.
    """
    root, found = root_of(path), []
    cells = code_cells(notebook)
    where = [number for number, cell in enumerate(cells, start=1) if "setup" in tags(cell)]
    if where != [1]:
        raise CourseError(f"{path}: the first code cell, and no other, must have :tags: [setup]"
                          f" (it may be empty: it is filled in); now it is {where or 'none'}")
    for number, cell in enumerate(cells, start=1):
        try:
            wanted = wanted_source(root, cell)
        except CourseError as error:
            raise CourseError(f"{path}, code cell {number}: {error}") from None
        if wanted is not None and wanted != cell.source:
            what = "set-up cell" if number == 1 else f"library cell {cell.metadata['library']}"
            found.append(Unfilled(number, what, wanted))
    return found


def _fences(text: str, root: Path) -> list:
    """Return the tokens of a page's code cells, in order."""
    tokens = block_parser(root).parse(text + "\n")
    return [t for t in tokens
            if t.type == "fence" and t.level == 0 and t.info.startswith("{code-cell}")]


def _options_end(lines: list[str]) -> int:
    """Return how many lines of a cell's content are its options."""
    if lines and lines[0].startswith("---"):
        ends = [n for n, line in enumerate(lines[1:], start=1) if line.startswith("---")]
        return ends[0] + 1 if ends else len(lines)
    count = 0
    while count < len(lines) and lines[count].lstrip().startswith(":"):
        count += 1
    return count


def _refill(lines: list[str], token, wanted: str) -> None:
    """Replace the content of one code cell, keeping its options; lengthen its fence if needed."""
    start, end = token.map
    inside = lines[start + 1 : end - 1]
    ticks = max([len(run) for run in re.findall(r"^\s*(`{3,})", wanted, re.M)], default=2) + 1
    fence = "`" * max(ticks, len(token.markup))
    lines[start:end] = [
        fence + lines[start].lstrip("`"), *inside[: _options_end(inside)],
        *wanted.split("\n"), fence]


def fill(path: Path) -> list[Unfilled]:
    """Fill the set-up and library cells of a page in place; return the cells that changed."""
    path = Path(path)
    changes = unfilled(read_source(path), path)
    if changes:
        text, root = path.read_text("utf8"), root_of(path)
        lines, fences = text.split("\n"), _fences(text, root)
        for change in reversed(changes):
            _refill(lines, fences[change.number - 1], change.wanted)
        path.write_text("\n".join(lines), "utf8", newline="\n")
        left = unfilled(read_source(path), path)
        if left:  # the reader sees something else than we wrote: leave the page as it was
            path.write_text(text, "utf8", newline="\n")
            raise CourseError(f"{path}: code cell {left[0].number} cannot be filled")
    return changes
