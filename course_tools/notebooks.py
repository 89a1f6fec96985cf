"""Keep the portable notebooks in step with the book's pages: what ``course notebooks`` does.

Code changed: execute. Only prose changed: keep the outputs, write the text anew. Numbers or data
(``course_tools.stamp``) changed: say so, run again on request. Nothing else is executed.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from course_tools import editions, library, stamp, study
from course_tools.errors import CourseError
from course_tools.keep import keep
from course_tools.portable import Book, portable_notebook

SECONDS_BUDGET = {"06": 120.0}  # by chapter
SECONDS_DEFAULT = 60.0
MEMORY_BUDGET_MB = 2000.0
CLAIM_SEEDS = 5
CHANGED_BY_HAND = (
    "notebooks/{name}.ipynb was changed by hand, so it stays as it is. `course notebooks {name}"
    " --force` replaces it and keeps yours in work/kept; to write in a notebook, `course work`"
    " gives you a copy of your own")


@dataclass
class Page:
    """A page of the book and its portable edition as it stands, which may be missing."""

    root: Path
    source: Path

    def __post_init__(self) -> None:
        self.name = editions.page_name(self.source)
        self.portable = editions.portable_path(self.source)
        self.notebook = editions.read_source(self.source)
        self.stored = editions.read_portable(self.portable) if self.portable.is_file() else None

    @property
    def stamp(self) -> dict:
        """Return the stamp of the portable edition, empty where there is none."""
        return dict((self.stored or {}).get("metadata", {}).get("course", {}))


def build(page: Page, book: Book) -> NotebookNode:
    """Return the portable edition of a page without outputs: text, code, tags and ids."""
    notebook = portable_notebook(page.source, page.notebook, book)
    counts: dict[tuple[str, str], int] = {}
    for cell in notebook.cells:
        key = (cell.cell_type, cell.source)
        counts[key] = counts.get(key, 0) + 1
        cell.id = stamp.digest(page.name, *key, str(counts[key]))
    return notebook


def with_outputs(notebook: NotebookNode, executed: NotebookNode, marks: dict) -> NotebookNode:
    """Return ``notebook`` with the outputs of ``executed``, which has the same code, and a stamp."""
    result = copy.deepcopy(notebook)
    for cell, run in zip(stamp.code_cells(result), stamp.code_cells(executed), strict=True):
        cell.outputs = copy.deepcopy(run.outputs)
        cell.execution_count = run.execution_count
    result.metadata["language_info"] = copy.deepcopy(executed.metadata["language_info"])
    front = result.metadata.get("course", {})
    marks = {**marks, "output_hash": stamp.output_hash(result), "text_hash": stamp.text_hash(result)}
    result.metadata["course"] = nbformat.from_dict({**front, **marks})
    return result


def reason_to_execute(page: Page) -> str | None:
    """Say why a page must be executed, or None where its stored outputs still hold."""
    if page.stored is None:
        return "new"
    marks = page.stamp
    if "code_hash" not in marks or "output_hash" not in marks:
        return "the notebook has no stamp"
    if marks["code_hash"] != stamp.code_hash(page.notebook):
        return "code changed"
    cells = len(stamp.code_cells(page.stored)), len(stamp.code_cells(page.notebook))
    if marks["output_hash"] != stamp.output_hash(page.stored) or cells[0] != cells[1]:
        return "outputs were changed by hand"
    return None


def stale_modules(page: Page) -> list[str]:
    """Name the modules and records that a page's outputs depend on and that changed since."""
    then = page.stamp.get("library_hash", {})
    return stamp.changed(then, stamp.used_hash(page.root, page.notebook, page.name))


def by_hand(stored: NotebookNode | None, expected: NotebookNode) -> bool:
    """Say whether a stored notebook holds cells that somebody wrote into it, not ``course``.

    Other tags or metadata on the cells that the page would give are nobody's work.
    """
    if stored is None:
        return False
    marks, cells = stored.metadata.get("course", {}), [
        [(cell.cell_type, cell.source, cell.get("attachments")) for cell in one.cells]
        for one in (stored, expected)]
    return marks.get("text_hash") != stamp.text_hash(stored) and cells[0] != cells[1]


# --- check --------------------------------------------------------------------------------------


def _check_text(page: Page, book: Book) -> list[str]:
    """Compare the stored text, tags and ids with what the page would give."""
    expected, stored = build(page, book), page.stored
    found = []
    for difference in editions.same_code(expected, stored):
        found.append(f"different code: {difference}")
    if page.stamp.get("text_hash") != stamp.text_hash(stored):
        found.append("the portable notebook was changed by hand (to write in a notebook, `course"
                     " work` gives you a copy; `course notebooks` says how to restore this one)")
    if not found and stamp.text_hash(expected) != stamp.text_hash(stored):
        found.append("different prose or tags: the page changed")
    metadata = dict(stored.metadata), dict(expected.metadata)
    for one in metadata:
        one.pop("language_info", None)
        one["course"] = {k: v for k, v in one.get("course", {}).items() if k in ("trains", "because")}
    if not found and metadata[0] != metadata[1]:
        found.append("different metadata: the page's front matter changed")
    return found


def check_page(source: Path, root: Path, book: Book) -> list[str]:
    """Return everything in which a page and its portable edition are out of step."""
    try:
        page = Page(root, source)
        found = [f"code cell {cell.number}: the {cell.what} is not filled with its present source"
                 for cell in library.unfilled(page.notebook, source)]
        if page.stored is None:
            return [*found, "there is no portable notebook"]
        found += _check_text(page, book)
        reason = reason_to_execute(page)
        if reason and not (reason == "code changed" and found):
            found.append(reason)
        if not reason and (stale := stale_modules(page)):
            found.append(f"stale: {', '.join(stale)} changed since it ran (--stale runs it again)")
    except CourseError as error:
        return [str(error)]
    return found


def orphans(root: Path) -> list[Path]:
    """Return portable notebooks that no page stands behind."""
    kept = {editions.portable_path(source).resolve() for source in editions.find_sources(root)}
    found = sorted((root / "notebooks").rglob("*.ipynb"))
    return [path for path in found
            if path.resolve() not in kept and ".ipynb_checkpoints" not in path.parts]


def check(root: Path, sources: list[Path], whole: bool = True) -> dict[str, list[str]]:
    """Return ``{page or file: what is out of step}``, executing nothing.

    ``whole`` adds what belongs to no page: orphan notebooks and the records of studies.
    """
    book = Book(root)
    found = {editions.page_name(source): check_page(source, root, book) for source in sources}
    if whole:
        for path in orphans(root):
            name = path.relative_to(root).as_posix()
            found[name] = ["no page in book/ stands behind this notebook; delete it"]
        for path in study.find_studies(root):
            found[f"studies/{study.study_name(path)}.py"] = study.check_record(root, path)
        for path in study.orphan_records(root):
            found[path.relative_to(root).as_posix()] = ["no study stands behind this record"]
    return {name: problems for name, problems in found.items() if problems}


# --- update -------------------------------------------------------------------------------------


@dataclass
class Options:
    """What ``course notebooks`` was asked for."""

    seeds: int = 1
    stale: bool = False
    force: bool = False


@dataclass
class Report:
    """What happened: pages executed, written, left alone, stale, and those that failed."""

    executed: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    stale: dict[str, list[str]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    few_seeds: list[str] = field(default_factory=list)


def _wanted_run(page: Page, options: Options) -> str | None:
    reason = reason_to_execute(page)
    stale = [] if reason else stale_modules(page)
    if reason:
        return reason
    if options.force:
        return "asked for by --force"
    if stale and (options.stale or options.seeds > 1):
        return f"{', '.join(stale)} changed"
    if options.seeds > len(page.stamp.get("seeds", [])):
        return f"claims not yet tried with {options.seeds} seeds"
    return None


def _budget(page: Page, seconds: float, memory: float) -> list[str]:
    allowed = SECONDS_BUDGET.get(page.name[:2], SECONDS_DEFAULT)
    found = []
    if seconds > allowed:
        found.append(f"{page.name} took {seconds:.0f} s; its budget is {allowed:.0f} s")
    if memory > MEMORY_BUDGET_MB:
        found.append(f"{page.name} took {memory:.0f} MB; its budget is {MEMORY_BUDGET_MB:.0f} MB")
    return found


def _tried(before: dict, hashes: dict, seeds: int) -> list[int]:
    """Return the seeds tried now, and those tried before where nothing has changed since."""
    same = all(before.get(name) == value for name, value in hashes.items())
    return sorted({*range(seeds), *(before.get("seeds", []) if same else [])})


def _run(
    page: Page, notebook: NotebookNode, options: Options, report: Report, told: Callable
) -> NotebookNode:
    """Execute a page with every seed asked for; the outputs are those of seed 0."""
    from course_tools.execute import execute  # brings jupyter_client, not needed to check

    hashes = {"code_hash": stamp.code_hash(page.notebook),  # also: every cell is Python
              "library_hash": stamp.used_hash(page.root, page.notebook, page.name)}
    runs, failed = [], []
    for seed in range(options.seeds):
        try:
            runs.append(execute(page.notebook, page.name, page.root, seed,
                                lambda text, seed=seed: told(f"seed {seed}, {text}")))
        except CourseError as error:
            failed.append(str(error))
            if seed == 0:
                break
    if failed:
        raise CourseError("\n".join(failed))
    first = runs[0]
    report.warnings += first.warnings + _budget(page, first.seconds, first.peak_memory_mb)
    marks = {name: value for name, value in first.description.items() if name != "seed"} | {
        "seeds": _tried(page.stamp, hashes, options.seeds), "seconds": round(first.seconds, 1),
        "peak_memory_mb": round(max(run.peak_memory_mb for run in runs)), **hashes}
    return with_outputs(notebook, first.notebook, marks)


def _as_text(notebook: NotebookNode) -> str:
    return nbformat.writes(notebook, version=4, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _content(notebook: NotebookNode) -> str:
    """Return a notebook as text with what a run meets by chance left out of its stamp."""
    bare = copy.deepcopy(notebook)
    bare.metadata["course"] = stamp.stable(bare.metadata.get("course", {}))
    return json.dumps(bare, sort_keys=True)


def write(notebook: NotebookNode, path: Path) -> bool:
    """Write a notebook in one step, unless the file holds the same, stamp apart; say if it did."""
    nbformat.validate(notebook)
    if path.is_file():
        try:
            if _content(editions.read_portable(path)) == _content(notebook):
                return False
        except CourseError:
            pass
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".ipynb.part")
    temporary.write_text(_as_text(notebook), "utf8", newline="\n")
    os.replace(temporary, path)
    return True


def _keep_cells(source: Path, root: Path) -> list[str]:
    """Keep a copy of a page of which a filled cell holds what was not filled in for its notebook.

    The cell is filled all the same: its text belongs into the file that it names.
    """
    page = Page(root, source)
    known = {cell.source for cell in stamp.code_cells(page.stored)} if page.stored else set()
    cells = stamp.code_cells(page.notebook)
    lost = [cell for cell in library.unfilled(page.notebook, source)
            if cells[cell.number - 1].source.strip()
            and cells[cell.number - 1].source not in known]
    return [f"the page as it was is kept in {keep(root, source)}"] if lost else []


def update_page(source: Path, root: Path, book: Book, options: Options, report: Report,
                told: Callable[[str], None]) -> str:
    """Bring one page's portable edition into step; return what was done, in words."""
    name = editions.page_name(source)
    kept = _keep_cells(source, root)
    filled = [cell.what for cell in library.fill(source)]
    page = Page(root, source)
    notebook = build(page, book)
    written_in = by_hand(page.stored, notebook)
    if written_in and not options.force:
        raise CourseError(CHANGED_BY_HAND.format(name=name))
    reason = _wanted_run(page, options)
    if reason:
        told(reason)
        result = _run(page, notebook, options, report, told)
        report.executed.append(name)
    else:
        result = with_outputs(notebook, page.stored, page.stamp)
        if stale := stale_modules(page):
            report.stale[name] = stale
    if len(result.metadata["course"]["seeds"]) < CLAIM_SEEDS:
        report.few_seeds.append(name)
    done = [*kept, f"filled {', '.join(filled)}"] if filled else kept
    if written_in:
        done.append(f"yours is kept in {keep(root, page.portable)}")
    if write(result, page.portable):
        report.written.append(name)
        done.append("written" if reason else "text written, outputs kept")
    if reason:
        marks = result.metadata["course"]
        done.append(f"{reason}; {marks['seconds']:.0f} s, {marks['peak_memory_mb']} MB"
                    + (f", {options.seeds} seeds" if options.seeds > 1 else ""))
    return "; ".join(done) or "unchanged"


def update(root: Path, sources: Iterable[Path], options: Options,
           told: Callable[[str], None], line: Callable[[str], None]) -> Report:
    """Bring pages into step. ``told`` gets passing progress, ``line`` one lasting line a page.

    A page that fails does not stop the others: it stands in ``report.failed``, its notebook as
    it was.
    """
    report, book = Report(), Book(root)
    for source in sources:
        name = editions.page_name(source)
        try:
            done = update_page(source, root, book, options, report,
                               lambda text, name=name: told(f"{name}: {text}"))
            line(f"{name}: {done}")
        except CourseError as error:
            report.failed[name] = str(error)
            line(f"{name}: FAILED")
    return report


def choose(root: Path, names: Iterable[str]) -> list[Path]:
    """Return the pages that names, parts of names or paths stand for; all where there is none."""
    sources, chosen = editions.find_sources(root), []
    known = {editions.page_name(source): source for source in sources}
    for name in names:
        plain = name.replace("\\", "/").rstrip("/")
        plain = plain.removesuffix(".md").removesuffix(".ipynb")
        for folder in ("book/", "notebooks/"):
            plain = plain.split(folder, 1)[-1] if folder in plain else plain
        found = [path for page, path in known.items()
                 if plain in (page, page.split("/")[0], page.split("/")[-1])]
        if not found:
            raise CourseError(f"there is no page {name!r}; the pages are {', '.join(known)}")
        chosen += found
    return [path for path in sources if path in chosen] if chosen else sources
