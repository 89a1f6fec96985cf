"""Hashes that say what changed, and the stamp that an executed notebook carries.

Three kinds of input. *Numbers*: a page's or study's own code and the modules of ``course_lib``
that it imports, whole, through others. *Data*: for each data set that this code names, the entry
in ``course_lib/data/arrays.json``, which holds the hashes of its pinned files and of what its
loader returns (``tests/course_lib/arrays.py`` writes it; a test loads every set and compares).
*Plumbing*, the modules in ``PLUMBING``, is no part of a stamp and is not followed further: where it
changed, ``make test`` runs the page again (``tests/notebooks/ledger.py``), its claims decide.

Nothing here imports ``course_lib`` or a framework: modules are found and hashed from their text.
Hashes of modules ignore comments and docstrings, and do not depend on Python's version.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from functools import cache
from pathlib import Path

from nbformat import NotebookNode

from course_tools.errors import CourseError

LIBRARY = "course_lib"
PLUMBING = {LIBRARY} | {f"{LIBRARY}.{name}" for name in (
    "checks", "data", "metrics", "parity", "plots", "runtime", "study", "widgets")}
ARRAYS = "course_lib/data/arrays.json"
DATA_SUFFIXES = {".json", ".toml", ".csv", ".yml", ".yaml", ".js"}
# Tags that change what running a cell does; the others only change how it is shown.
RUNNING_TAGS = {"raises-exception", "skip-execution"}
# What a run measures or meets by chance: not a reason to rewrite a notebook.
VOLATILE = {"versions", "system", "device", "threads", "scale", "seconds", "peak_memory_mb"}


def digest(*parts: str) -> str:
    """Return a short hexadecimal hash of some texts, told apart from each other."""
    text = "\0".join(parts)
    return hashlib.sha256(text.encode("utf8", "surrogatepass")).hexdigest()[:16]


def tags(cell: NotebookNode) -> set[str]:
    """Return the tags of a cell."""
    return set(cell.metadata.get("tags", []))


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """Return the code cells of a notebook, in order."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def code_hash(notebook: NotebookNode) -> str:
    """Hash what a run executes: every code cell but the set-up cell."""
    parts = []
    for cell in code_cells(notebook):
        if "setup" not in tags(cell):
            parts += [cell.source, " ".join(sorted(tags(cell) & RUNNING_TAGS))]
    return digest(*parts)


def output_hash(notebook: NotebookNode) -> str:
    """Hash all outputs, so that a number changed by hand is found."""
    outputs = [[cell.get("execution_count"), cell.outputs] for cell in code_cells(notebook)]
    return digest(json.dumps(outputs, sort_keys=True, ensure_ascii=False))


def text_hash(notebook: NotebookNode) -> str:
    """Hash everything of a notebook but its outputs and what a run writes into its metadata."""
    cells = [[cell.id, cell.cell_type, cell.source, cell.metadata, cell.get("attachments")]
             for cell in notebook.cells]
    return digest(json.dumps(cells, sort_keys=True, ensure_ascii=False))


# --- modules ----------------------------------------------------------------------------------


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0] if body else None
    is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return body[1:] if is_text and isinstance(first.value.value, str) else body


def _outline(node: object) -> object:
    """Turn syntax into nested lists: no positions, no docstrings, no empty fields."""
    if isinstance(node, list):
        return [_outline(item) for item in node]
    if not isinstance(node, ast.AST):
        return f"{type(node).__name__} {node!r}"
    fields = []
    for name, value in ast.iter_fields(node):
        if name == "body" and isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef,
                                                ast.AsyncFunctionDef)):
            value = _without_docstring(value)
        if name not in ("ctx", "kind", "type_comment") and value not in (None, []):
            fields.append([name, _outline(value)])
    return [type(node).__name__, *fields]


@cache
def source_hash(text: str, name: str = "code") -> str:
    """Hash Python code without its comments, docstrings and layout.

    Raises ``CourseError`` where the text is no Python; ``name`` says whose text it is.
    """
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise CourseError(f"{name}, line {error.lineno}: this is no Python ({error.msg})") from None
    return digest(json.dumps(_outline(tree)))


def module_file(root: Path, module: str) -> Path | None:
    """Return the file of ``course_lib.a.b`` under the repository, or None where there is none."""
    base = root.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parents = package.split(".")
    base = parents[: len(parents) - node.level + 1]
    return ".".join(base + ([node.module] if node.module else []))


@cache
def imported(text: str, package: str = "", name: str = "code") -> frozenset[str]:
    """Return the dotted names that Python code may import from ``course_lib``.

    Names of functions and classes come along (``course_lib.checks.check``): the caller keeps
    those that are modules. Names in strings count too, for ``importlib.import_module``.
    """
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise CourseError(f"{name}, line {error.lineno}: this is no Python ({error.msg})") from None
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = _absolute(node, package)
            found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if re.fullmatch(LIBRARY + r"(\.\w+)+", node.value):
                found.add(node.value)
    return frozenset(name for name in found if name.split(".")[0] == LIBRARY)


def is_plumbing(module: str) -> bool:
    """Say whether a module moves numbers about and makes none; a room not listed makes them."""
    return ".".join(module.split(".")[:2]) in PLUMBING


def reached(root: Path, text: str, name: str = "code", plumbing: bool = False) -> dict[str, Path]:
    """Return the files of the modules that some code imports, directly or through others.

    Packages come with their modules. With ``plumbing`` all of ``course_lib``, without it numbers
    only. Returns ``{module: file}``, sorted.
    """
    waiting, found = list(imported(text, name=name)), {}
    while waiting:
        parts = waiting.pop().split(".")
        for module in (".".join(parts[:length]) for length in range(1, len(parts) + 1)):
            path = module_file(root, module)
            if path is None or module in found or is_plumbing(module) and not plumbing:
                continue
            found[module] = path
            package = module if path.name == "__init__.py" else module.rpartition(".")[0]
            waiting += imported(path.read_text("utf8"), package, str(path))
    return dict(sorted(found.items()))


def _module_hash(path: Path) -> str:
    parts = [source_hash(path.read_text("utf8"), str(path))]
    if path.name == "__init__.py":  # data files that lie in a package are part of it
        parts += [file.read_text("utf8") for file in sorted(path.parent.iterdir())
                  if file.suffix in DATA_SUFFIXES]
    return digest(*parts)


def _data_hash(root: Path, texts: list[str]) -> dict[str, str]:
    """Hash the table's entries of the data sets that some code names in a string."""
    table = root / ARRAYS
    entries = json.loads(table.read_text("utf8")) if table.is_file() else {}
    named = {node.value for text in texts for node in ast.walk(ast.parse(text))
             if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return {f"data/{name}": digest(json.dumps(entry, sort_keys=True))
            for name, entry in sorted(entries.items()) if name in named}


def library_hash(
    root: Path, text: str, name: str = "code", plumbing: bool = False
) -> dict[str, str]:
    """Hash the modules that some Python code imports and the data sets that it names.

    Returns ``{module or data/name: hash}``. A set counts where its name stands as a string in the
    code or in a module of numbers that it reaches. A stamp has no ``plumbing``, the ledger has.
    """
    modules = reached(root, text, name, plumbing)
    texts = [path.read_text("utf8") for module, path in modules.items() if not is_plumbing(module)]
    found = {module: _module_hash(path) for module, path in modules.items()}
    return found | _data_hash(root, [text, *texts])


RECORD = re.compile(r"""["'](\d\d-[\w-]+/[\w-]+)["']""")


def record_hash(root: Path, text: str) -> dict[str, str]:
    """Hash the study records that a notebook's code names: ``study.load("NN-chapter/name")``."""
    found = {}
    for name in sorted(set(RECORD.findall(text))):
        path = root / "studies" / f"{name}.json"
        if path.is_file():
            record = json.loads(path.read_text("utf8"))
            found[f"studies/{name}.json"] = digest(
                json.dumps([record.get("rows"), record.get("band")], sort_keys=True))
    return found


def used_hash(root: Path, notebook: NotebookNode, page: str) -> dict[str, str]:
    """Hash what a notebook's outputs depend on besides its own code.

    A cell that is no Python on its own (a syntax error shown on purpose) is passed over.
    """
    texts = [cell.source for cell in code_cells(notebook) if "setup" not in tags(cell)
             and not tags(cell) & RUNNING_TAGS]
    text = "\n\n".join(texts)
    return {**library_hash(root, text, page), **record_hash(root, text)}


def changed(then: dict[str, str], now: dict[str, str]) -> list[str]:
    """Name what differs between two results of ``library_hash``."""
    return sorted(name for name in then.keys() | now.keys() if then.get(name) != now.get(name))


def stable(stamp: dict) -> dict:
    """Return the part of a stamp that does not change when the same thing is run again."""
    return {name: value for name, value in stamp.items() if name not in VOLATILE}
