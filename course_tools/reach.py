"""What some code can reach in ``course_lib``: the modules, and in each only the definitions used.

A page should be run again when something it uses has changed, and only then. So a module counts
with those of its top-level statements whose names occur in the page's code, or in a statement
that counts already. Names are compared as text over all modules: a statement may count without
need, but none that is used is missed, except by a name that is put together at run time.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

TABLE = "REGISTRY"  # a table of which only the entries named in the code count


def words(node: ast.AST) -> set[str]:
    """Return every name, attribute and string constant in some syntax."""
    found: set[str] = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            found.add(part.id)
        elif isinstance(part, ast.Attribute):
            found.add(part.attr)
        elif isinstance(part, ast.alias):
            found.update(part.name.split("."))
        elif isinstance(part, ast.Constant) and isinstance(part.value, str):
            found.add(part.value)
    return found


def _targets(node: ast.stmt) -> set[str] | None:
    """Return the names that a statement defines, or None where it must count in any case."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {node.name}
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return {alias.asname or alias.name.split(".")[0] for alias in node.names}
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    if isinstance(node, (ast.Assign, ast.AnnAssign)) and all(isinstance(t, ast.Name) for t in targets):
        return {target.id for target in targets}
    return None


def _pieces(node: ast.stmt) -> Iterable[ast.stmt]:
    """Split an import of several names, so that each counts alone."""
    if isinstance(node, ast.Import):
        return [ast.Import([alias]) for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [ast.ImportFrom(node.module, [alias], node.level) for alias in node.names]
    return [node]


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


@dataclass
class Module:
    """A module of the library: the statements that wait, and those that count."""

    name: str
    path: Path
    waiting: list[ast.stmt]
    kept: list[ast.stmt] = field(default_factory=list)

    @property
    def package(self) -> str:
        """The package that relative imports start from."""
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]

    def take(self, used: set[str]) -> list[ast.stmt]:
        """Move the statements that the words in use call for to those that count; return them."""
        taken = [node for node in self.waiting if self._wanted(node, used)]
        self.waiting = [node for node in self.waiting if node not in taken]
        taken = [_only_named(node, used) for node in taken]
        self.kept += taken
        return taken

    @staticmethod
    def _wanted(node: ast.stmt, used: set[str]) -> bool:
        defined = _targets(node)
        return defined is None or bool(defined & used) or any(
            name.startswith("__") and name != "__all__" for name in defined)

    def outline(self) -> str:
        """Return the statements that count as Python, in an order that does not depend on the search."""
        return "\n".join(sorted(ast.unparse(node) for node in self.kept))


def _only_named(node: ast.stmt, used: set[str]) -> ast.stmt:
    """Cut the registry to the entries whose key is in use; whole where none is."""
    value = getattr(node, "value", None)
    if _targets(node) != {TABLE} or not isinstance(value, ast.Dict):
        return node
    pairs = [(key, entry) for key, entry in zip(value.keys, value.values)
             if isinstance(key, ast.Constant) and key.value in used]
    if not pairs:
        return node
    cut = ast.Dict([key for key, _ in pairs], [entry for _, entry in pairs])
    return ast.fix_missing_locations(ast.Assign([ast.Name(TABLE, ast.Store())], cut, lineno=1))


def reach(
    text: str, find: Callable[[str], Path | None], imports: Callable[[str, str, str], set[str]],
    name: str,
) -> dict[str, Module]:
    """Return the modules that some code reaches, with the statements of each that count.

    ``find`` gives the file of a module's dotted name, ``imports`` the dotted names that code may
    import (text, package, name of the code).
    """
    used, modules = words(ast.parse(text)), {}
    news = imports(text, "", name)
    while news:
        for module in {part for dotted in news for part in _with_packages(dotted)} - modules.keys():
            path = find(module)
            if path is not None:
                body = ast.parse(path.read_text("utf8")).body
                pieces = [piece for node in body if not _is_text(node) for piece in _pieces(node)]
                modules[module] = Module(module, path, pieces)
        news = set()
        for module in list(modules.values()):
            for node in module.take(used):
                used |= words(node)
                news |= imports(ast.unparse(node), module.package, str(module.path))
                news.add(module.name)  # look again: the words in use have grown
    return dict(sorted(modules.items()))


def _with_packages(dotted: str) -> list[str]:
    parts = dotted.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts) + 1)]
