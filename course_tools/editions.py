"""The two editions of a notebook: ``book/NN-chapter/name.md`` and ``notebooks/…/name.ipynb``.

Sources are read with myst-nb's own reader and the site's own Markdown settings, so that cells
are exactly what the website sees. Nothing here imports a framework or executes anything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import nbformat
import yaml
from markdown_it.renderer import RendererHTML
from myst_nb.core.config import NbParserConfig
from myst_nb.core.read import create_nb_reader, is_myst_markdown_notebook
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser
from nbformat import NotebookNode

from course_tools.errors import CourseError
from course_tools.stamp import code_cells

CHAPTER = re.compile(r"\d\d-[\w-]+")
# What JupyterLab writes when it saves: then saving an opened notebook changes nothing of it.
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
# What Jupyter Book switches on where _config.yml does not say.
BOOK_EXTENSIONS = ("colon_fence", "dollarmath", "linkify", "substitution", "tasklist")


def find_root(start: Path | None = None) -> Path:
    """Return the course's folder: the nearest one above ``start`` that holds ``book/``.

    From anywhere else it is the folder that holds ``course_tools``, where that is a checkout.
    """
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents, Path(__file__).resolve().parent.parent):
        if (folder / "book").is_dir() and (folder / "pyproject.toml").is_file():
            return folder
    raise CourseError(
        f"{start} is not in a checkout of the course (a folder with book/ and pyproject.toml);"
        " go there first, or name it with --root")


def root_of(source: Path) -> Path:
    """Return the course's folder from the path of a page in ``book/``."""
    source = Path(source).resolve()
    for folder in source.parents:
        if folder.name == "book":
            return folder.parent
    raise CourseError(f"{source} does not lie in the book/ folder of the course")


def portable_path(source: Path) -> Path:
    """Return where the portable edition of ``book/NN-chapter/name.md`` lies."""
    root = root_of(source)
    inside = Path(source).resolve().relative_to(root / "book")
    return root / "notebooks" / inside.with_suffix(".ipynb")


def source_path(portable: Path, root: Path) -> Path:
    """Return where the source of ``notebooks/NN-chapter/name.ipynb`` lies."""
    inside = Path(portable).resolve().relative_to(root.resolve() / "notebooks")
    return root / "book" / inside.with_suffix(".md")


@lru_cache
def _read_config(path: Path, changed: float) -> dict:
    return yaml.safe_load(path.read_text("utf8")) or {}


def site_config(root: Path) -> dict:
    """Return the content of ``_config.yml``, or an empty dict where there is none."""
    path = root / "_config.yml"
    return _read_config(path, path.stat().st_mtime) if path.is_file() else {}


def markdown_config(root: Path) -> MdParserConfig:
    """Return the Markdown settings with which the site reads its pages."""
    config = site_config(root)
    extensions = set((config.get("parse") or {}).get("myst_enable_extensions", BOOK_EXTENSIONS))
    sphinx = (config.get("sphinx") or {}).get("config") or {}
    extensions |= set(sphinx.get("myst_enable_extensions", ()))
    return MdParserConfig(enable_extensions=extensions)


def block_parser(root: Path):
    """Return a parser of the site's Markdown, blocks and inline text alike."""
    return create_md_parser(markdown_config(root), RendererHTML)


def is_notebook(text: str) -> bool:
    """Say whether a page's text is a notebook (front matter naming jupytext's MyST format)."""
    return is_myst_markdown_notebook(text)


def read_source(path: Path) -> NotebookNode:
    """Return a page as a notebook, cell for cell as the site's build sees it.

    ``metadata.source_map`` holds the line (from 0) at which each cell's content starts.
    Raises ``CourseError`` where the page is no notebook or its options cannot be read.
    """
    path = Path(path)
    text = path.read_text("utf8")
    root = root_of(path)
    reader = create_nb_reader(str(path), markdown_config(root), NbParserConfig(), text)
    if reader is None:
        raise CourseError(
            f"{path}: not a notebook. Its front matter must say"
            " jupytext: text_representation: format_name: myst")
    try:
        notebook = reader.read(text)
    except Exception as error:  # the reader raises several kinds, some of them private
        raise CourseError(f"{path}: {error}") from error
    _refuse_nested(notebook, path, text)
    return notebook


def first_line(lines: list[str], start: int) -> int:
    """Return the line, from 1, at which a Markdown cell's text begins in its page's lines."""
    while start < len(lines) and not lines[start].strip():
        start += 1
    return start + 1


def _refuse_nested(notebook: NotebookNode, path: Path, text: str) -> None:
    for start, cell in zip(notebook.metadata["source_map"], notebook.cells):
        first = first_line(text.split("\n"), start)
        for number, line in enumerate(cell.source.split("\n"), start=first):
            if cell.cell_type == "markdown" and re.match(r"\s+`{3,}\{code-cell\}", line):
                raise CourseError(
                    f"{path}, line {number}: a code cell inside a list or another"
                    " block would not be run; cells stand at the left margin")


def page_name(source: Path) -> str:
    """Return ``03-gradient-descent/gradient-descent`` for a page's path."""
    return source.resolve().relative_to(root_of(source) / "book").with_suffix("").as_posix()


def all_pages(root: Path) -> list[Path]:
    """Return every page of the book, prose and notebooks, sorted."""
    found = (root / "book").rglob("*.md")
    return sorted(p for p in found if not any(part[0] in "_." for part in
                                              p.relative_to(root / "book").parts))


def find_sources(root: Path) -> list[Path]:
    """Return the pages ``book/NN-*/**.md`` that hold code cells, sorted.

    Raises ``CourseError`` for a page with code cells whose front matter makes it no notebook.
    """
    sources = []
    for path in all_pages(root):
        if not CHAPTER.fullmatch(path.relative_to(root / "book").parts[0]):
            continue
        text = path.read_text("utf8")
        if not re.search(r"^`{3,}\{code-cell\}", text, re.M):
            continue
        if is_notebook(text):
            sources.append(path)
        elif any(t.type == "fence" and t.info.startswith("{code-cell}")
                 for t in block_parser(root).parse(text)):
            read_source(path)
    return sources


@dataclass(frozen=True)
class Different:
    """A code cell that the two editions do not share; ``number`` counts code cells from 1."""

    number: int
    source: str | None
    portable: str | None

    def __str__(self) -> str:
        if self.portable is None:
            return f"code cell {self.number} is missing in the portable edition"
        if self.source is None:
            return f"code cell {self.number} of the portable edition is not on the page"
        return f"code cell {self.number} differs"


def same_code(source: NotebookNode, portable: NotebookNode) -> list[Different]:
    """Compare the code cells of two editions one by one; empty where they are equal."""
    ours = [cell.source for cell in code_cells(source)]
    theirs = [cell.source for cell in code_cells(portable)]
    length = max(len(ours), len(theirs))
    ours += [None] * (length - len(ours))
    theirs += [None] * (length - len(theirs))
    pairs = enumerate(zip(ours, theirs), start=1)
    return [Different(n, a, b) for n, (a, b) in pairs if a != b]


def read_portable(path: Path) -> NotebookNode:
    """Return a portable notebook; ``CourseError`` where the file is damaged."""
    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    except Exception as error:  # not JSON, not a notebook, wrong version …
        raise CourseError(
            f"{path}: cannot be read as a notebook ({str(error).splitlines()[0]}); delete it and"
            " run `course notebooks`") from None
    return notebook
