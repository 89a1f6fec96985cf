"""Give each page the outputs that its portable edition stores, so that no page is executed.

A notebook page is read from ``book/…/name.md``; its outputs lie in ``notebooks/…/name.ipynb``.
Before Sphinx reads the pages, the outputs are put into jupyter-cache under the key that
myst-nb will look for. A page whose portable edition is missing, was never executed or holds
other code stops the build: a cache miss would make myst-nb execute the page.
"""

from __future__ import annotations

from pathlib import Path

import myst_nb.core.execute.cache as cache_client
import nbformat
from course_tools.editions import portable_path, read_source
from course_tools.errors import CourseError
from course_tools.site import BuildStopped
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from myst_nb.core.read import is_myst_markdown_notebook
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

COPIED_METADATA = ("kernelspec", "language_info", "widgets")


def is_notebook(path: Path) -> bool:
    """Whether a source file is a MyST notebook (its front matter says so)."""
    return path.suffix == ".md" and is_myst_markdown_notebook(path.read_text("utf-8"))


def relative(path: Path, root: Path) -> str:
    """The path as a reader of an error message knows it: from the project's root."""
    return path.resolve().relative_to(root.resolve()).as_posix()


def stop(source: Path, root: Path, problem: str) -> BuildStopped:
    """An error that names the page, what is wrong and the command that mends it."""
    name = f"{source.parent.name}/{source.stem}"
    return BuildStopped(
        f"{relative(source, root)}: {problem} The site shows stored outputs and runs "
        f"nothing. Mend it with: course notebooks {name}"
    )


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """The code cells of a notebook, in order."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def read_portable(source: Path, root: Path) -> nbformat.NotebookNode:
    """Read the portable edition of a page, or stop the build."""
    portable = root / portable_path(source)
    if not portable.exists():
        raise stop(source, root, f"its portable edition {relative(portable, root)} is missing.")
    try:
        return nbformat.read(portable, as_version=4)
    except (ValueError, nbformat.reader.NotJSONError) as error:
        problem = f"its portable edition {relative(portable, root)} cannot be read ({error})."
        raise stop(source, root, problem) from error


def with_stored_outputs(source: Path, root: Path) -> nbformat.NotebookNode:
    """The page as a notebook whose code cells carry the outputs of the portable edition."""
    try:
        page = read_source(source)
    except CourseError as error:
        raise BuildStopped(str(error)) from error
    portable = read_portable(source, root)
    written, stored = code_cells(page), code_cells(portable)
    if len(written) != len(stored):
        problem = f"it has {len(written)} code cells, its portable edition has {len(stored)}."
        raise stop(source, root, problem)
    for number, (here, there) in enumerate(zip(written, stored, strict=True), start=1):
        if here.source.strip() != there.source.strip():
            raise stop(source, root, f"code cell {number} differs from its portable edition.")
        if there.execution_count is None and here.source.strip():
            raise stop(source, root, f"code cell {number} was never executed.")
        here.outputs, here.execution_count = there.outputs, there.execution_count
    for key in COPIED_METADATA:
        if key in portable.metadata:
            page.metadata.setdefault(key, portable.metadata[key])
    return page


def fill_cache(app: Sphinx, env: BuildEnvironment, docnames: list[str]) -> None:
    """Put the outputs of every notebook page that is about to be read into jupyter-cache."""
    root = Path(app.srcdir)
    cache = get_cache(env.mystnb_config.execution_cache_path)
    for docname in docnames:
        source = Path(env.doc2path(docname))
        if not source.exists() or not is_notebook(source):
            continue
        notebook = with_stored_outputs(source, root)
        bundle = CacheBundleIn(notebook, str(source), data={})
        cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)


def note_portable(app: Sphinx, docname: str, content: list[str]) -> None:
    """Make a page depend on its portable edition: changed outputs make it stale."""
    source = Path(app.env.doc2path(docname))
    if is_notebook(source):
        app.env.note_dependency(str(Path(app.srcdir) / portable_path(source)))


def refuse_to_execute(notebook: nbformat.NotebookNode, *, cwd: str, **_: object) -> None:
    """Stand in for jupyter-cache's executor: a page that reaches it stops the build."""
    raise BuildStopped(
        f"A page in {cwd} was about to be executed by the site build, because its code is not "
        "the code of its portable edition. Mend it with: course notebooks"
    )


def setup(app: Sphinx) -> dict[str, object]:
    """Register the two hooks and bar the way to the executor."""
    cache_client.single_nb_execution = refuse_to_execute
    app.connect("env-before-read-docs", fill_cache)
    app.connect("source-read", note_portable)
    return {"version": "1", "parallel_read_safe": False, "parallel_write_safe": True}
