"""Execute a notebook in a fresh kernel, in an empty folder, and refuse what should not be stored.

The kernel is this Python, whatever kernels the user has installed. Nothing is written: the caller
gets the executed notebook and what the run cost.
"""

from __future__ import annotations

import json
import os
import re
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import psutil
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from course_tools.errors import CourseError
from course_tools.stamp import tags

CELL_SECONDS = 240
MOST_TEXT = 20_000  # characters of text in one cell's outputs
MOST_CELL = 1_000_000  # bytes of one cell's outputs
MOST_NOTEBOOK = 4_000_000  # bytes of a notebook's outputs
HIDDEN = ("MPLBACKEND", "COURSE_PRETEND_COLAB", "COURSE_PACKAGE", "PYTHONSTARTUP",
          "PYTHONWARNINGS", "PYTHONINSPECT")
WIDGET = "application/vnd.jupyter.widget-view+json"
ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
NOISE = re.compile(
    r"^(?:\d{4}-\d\d-\d\d[ T][\d:.,]+.*?: [IWEF] |[IWEF]\d{4} [\d:.]+|(?:WARNING|INFO|ERROR):\w+"
    r"|.*\.py:\d+: \w*Warning: )", re.M)
RUN_DEPENDENT = {
    "a memory address": re.compile(r"\b0x[0-9a-f]{6,}\b"),
    "a time": re.compile(r"\b\d+(?:\.\d+)? ?(?:s|ms|µs|sec|seconds?|minutes?)\b"),
    "a memory size": re.compile(r"\b\d+(?:\.\d+)? ?(?:[MG]i?B|megabytes)\b"),
    "a date": re.compile(r"\b20\d\d-\d\d-\d\d\b"),
}
DESCRIBE = """
def _describe_the_run():
    import json
    try:
        from course_lib import runtime
    except ImportError:
        return "{}"
    return json.dumps(runtime.describe())
print(_describe_the_run())
"""


@dataclass
class Run:
    """An executed notebook: its code cells with outputs, and what the run cost."""

    notebook: NotebookNode
    seconds: float
    peak_memory_mb: float
    description: dict
    warnings: list[str] = field(default_factory=list)


class _ThisPython(KernelSpecManager):
    """Offers one kernel: the Python that runs this program."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=argv, display_name="Python 3", language="python")


class _Memory(threading.Thread):
    """Samples the resident memory of a process and its children; ``peak`` is in bytes."""

    def __init__(self, pid: int, interval: float = 0.1):
        super().__init__(daemon=True)
        self.root, self.interval = psutil.Process(pid), interval
        self.peak, self.done = 0, threading.Event()

    def run(self) -> None:
        while not self.done.wait(self.interval):
            self.sample()

    def sample(self) -> None:
        total = 0
        try:
            processes = [self.root, *self.root.children(recursive=True)]
        except psutil.Error:
            return
        for process in processes:
            try:
                total += process.memory_info().rss
            except psutil.Error:  # it ended meanwhile
                pass
        self.peak = max(self.peak, total)

    def stop(self) -> float:
        """Stop sampling and return the peak in megabytes."""
        self.sample()
        self.done.set()
        self.join()
        return self.peak / 1e6


def kernel_environment(root: Path, seed: int, home: Path) -> dict[str, str]:
    """Return the environment of a kernel: the caller's, with chance and user settings removed."""
    environment = {name: value for name, value in os.environ.items()
                   if name not in HIDDEN and not name.startswith("PYTEST_")}
    environment.setdefault("COURSE_SCALE", "quick")
    paths = [str(root), *filter(None, [environment.get("PYTHONPATH")])]
    return environment | {
        "PYTHONHASHSEED": "0", "COURSE_SEED": str(seed), "IPYTHONDIR": str(home),
        "PYTHONPATH": os.pathsep.join(paths), "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }


class _Where:
    """Says where in a page a cell stands, for error messages."""

    def __init__(self, page: str, notebook: NotebookNode):
        self.page = page
        codes = [i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
        self.numbers = {index: number for number, index in enumerate(codes, start=1)}
        self.lines = notebook.metadata.get("source_map")

    def __call__(self, index: int) -> str:
        line = f", line {self.lines[index] + 1}" if self.lines else ""
        return f"{self.page}{line}, code cell {self.numbers[index]}"


def _indent(text: str, most: int = 60) -> str:
    lines = ANSI.sub("", text).rstrip().split("\n")
    if len(lines) > most:
        lines = [*lines[:10], f"… {len(lines) - most} lines left out …", *lines[10 - most :]]
    return "\n".join("    " + line for line in lines)


def _said(cell: NotebookNode) -> str:
    """Return what a cell printed before it failed: often the claim that does not hold."""
    texts = [out.text for out in cell.get("outputs", []) if out.output_type == "stream"]
    return f"\n  It printed\n{_indent(''.join(texts))}" if texts else ""


def _failed(where: str, cell: NotebookNode, error: CellExecutionError, seed: int) -> CourseError:
    outputs = cell.get("outputs", [])
    traceback = [line for out in outputs if out.output_type == "error" for line in out.traceback]
    return CourseError(
        f"{where} failed with seed {seed}: {error.ename}: {error.evalue}\n  The cell\n"
        f"{_indent(cell.source)}{_said(cell)}\n"
        f"  Traceback\n{_indent(chr(10).join(traceback) or str(error))}")


def _execute_cells(
    client: NotebookClient, where: _Where, seed: int, told: Callable[[str], None]
) -> None:
    count, total = 0, len(where.numbers)
    for index, cell in enumerate(client.nb.cells):
        if cell.cell_type != "code":
            continue
        count += 1
        told(f"cell {where.numbers[index]} of {total}")
        try:
            client.execute_cell(cell, index, execution_count=count)
        except CellExecutionError as error:
            raise _failed(where(index), cell, error, seed) from None
        except CellTimeoutError:
            raise CourseError(
                f"{where(index)} ran longer than {client.timeout} seconds; make it smaller at"
                f" quick scale\n  The cell\n{_indent(cell.source)}") from None
        except DeadKernelError:
            raise CourseError(
                f"{where(index)}: the kernel died (most often: out of memory)\n  The cell\n"
                f"{_indent(cell.source)}") from None
        if not cell.source.strip():
            cell.execution_count = count


def _describe(client: NotebookClient) -> dict:
    cell = nbformat.v4.new_code_cell(DESCRIBE)
    client.nb.cells.append(cell)
    client.execute_cell(cell, len(client.nb.cells) - 1, store_history=False)
    client.nb.cells.pop()
    text = "".join(out.text for out in cell.outputs if out.get("name") == "stdout")
    return json.loads(text.strip().split("\n")[-1])


def _language_info(client: NotebookClient) -> dict:
    reply = client.wait_for_reply(client.kc.kernel_info())
    return reply["content"]["language_info"]


# --- what is stored ---------------------------------------------------------------------------


def _private_paths(root: Path, folder: Path) -> list[tuple[str, str]]:
    """Return the paths of this machine that must not be stored, and what stands for them."""
    paths = sysconfig.get_paths()
    pairs = [(paths["purelib"], "site-packages"), (paths["platlib"], "site-packages"),
             (paths["stdlib"], "lib/python"), (str(folder), "."), (str(root), "."),
             (str(folder.resolve()), "."), (str(root.resolve()), "."), (sys.prefix, "venv")]
    home = str(Path.home())
    pairs += [("~" + path[len(home):], name) for path, name in pairs
              if path.startswith(home + os.sep)]
    return pairs


def _clean_text(text: str, paths: list[tuple[str, str]]) -> str:
    if "ipykernel_" in text:
        text = re.sub(r"(?<![\w/\\:~.-])[\w/\\:~.-]*ipykernel_\d+[/\\]\d+\.py", "<cell>", text)
    for path, name in paths:
        text = text.replace(path + os.sep, "" if name == "." else name + "/").replace(path, name)
    return text


def _joined(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Join pieces of one stream that follow each other, and apply carriage returns."""
    kept: list[NotebookNode] = []
    for output in outputs:
        last = kept[-1] if kept else None
        if last is not None and output.output_type == last.output_type == "stream" \
                and output.name == last.name:
            last.text += output.text
        else:
            kept.append(output)
    for output in kept:
        if output.output_type == "stream":
            lines = output.text.split("\n")
            output.text = "\n".join(line.rstrip("\r").rsplit("\r", 1)[-1] for line in lines)
    return [out for out in kept if out.output_type != "stream" or out.text]


def _without_model(output: NotebookNode) -> None:
    """Drop a widget's address in the kernel, which ends with the run, where HTML stands beside it.

    Otherwise JupyterLab shows "model not found" in place of the HTML, and no two runs are equal.
    """
    if "text/html" in output.data:
        output.data.pop(WIDGET, None)
        output.metadata.pop(WIDGET, None)


def _clean_outputs(cell: NotebookNode, paths: list[tuple[str, str]]) -> None:
    cell.outputs = _joined(cell.outputs)
    for output in cell.outputs:
        if output.output_type == "stream":
            output.text = _clean_text(output.text, paths)
        elif output.output_type == "error":
            output.evalue = _clean_text(output.evalue, paths)
            output.traceback = [_clean_text(line, paths) for line in output.traceback]
        else:
            _without_model(output)
            for kind, value in output.data.items():
                if isinstance(value, str) and kind.startswith("text/"):
                    output.data[kind] = _clean_text(value, paths)


def _text_of(cell: NotebookNode) -> str:
    parts = []
    for output in cell.outputs:
        if output.output_type == "stream":
            parts.append(output.text)
        elif output.output_type == "error":
            parts += output.traceback
        else:
            parts.append(str(output.data.get("text/plain", "")))
    return "\n".join(parts)


def _refuse_noise(cell: NotebookNode, where: str) -> None:
    for output in cell.outputs:
        text = output.get("text", "") if output.output_type == "stream" else ""
        if output.get("name") == "stderr" or NOISE.search(text):
            raise CourseError(
                f"{where} writes warnings or log lines into the notebook; mend their cause"
                f" (a message shown on purpose is printed)\n{_indent(text, 20)}")


def _refuse_size(cell: NotebookNode, where: str) -> int:
    text = len(_text_of(cell))
    if text > MOST_TEXT:
        raise CourseError(f"{where} prints {text:,} characters; at most {MOST_TEXT:,} are kept")
    size = len(json.dumps(cell.outputs).encode())
    if size > MOST_CELL:
        raise CourseError(f"{where} has {size:,} bytes of outputs, at most {MOST_CELL:,} are kept;"
                          " draw a smaller figure")
    return size


def _refuse_undescribed(cell: NotebookNode, where: str) -> None:
    for output in cell.outputs:
        for kind in output.get("data", {}):
            if kind.startswith("image/") and not output.metadata.get(kind, {}).get("alt"):
                raise CourseError(f"{where} shows a figure without an alternative text; show it"
                                  " with plots.show(fig, alt=\"what is to be seen\")")


def _warn_dependent(cell: NotebookNode, where: str) -> list[str]:
    if "nbval-check-output" not in tags(cell):
        return []
    text = ANSI.sub("", _text_of(cell))
    return [f"{where} is compared on other machines, but shows {what}: {match[0]!r}"
            for what, pattern in RUN_DEPENDENT.items() if (match := pattern.search(text))]


def inspect_outputs(notebook: NotebookNode, where: _Where) -> list[str]:
    """Refuse noise, undescribed figures and oversized outputs; return warnings.

    Raises ``CourseError`` naming page and cell.
    """
    total, warnings = 0, []
    for index in where.numbers:
        cell = notebook.cells[index]
        if "raises-exception" not in tags(cell):
            _refuse_noise(cell, where(index))
        elif not any(out.output_type == "error" for out in cell.outputs):
            raise CourseError(f"{where(index)} is tagged raises-exception and raised none")
        _refuse_undescribed(cell, where(index))
        total += _refuse_size(cell, where(index))
        warnings += _warn_dependent(cell, where(index))
    if total > MOST_NOTEBOOK:
        raise CourseError(f"{where.page} has {total:,} bytes of outputs; at most {MOST_NOTEBOOK:,}")
    return warnings


# --- the run ----------------------------------------------------------------------------------


def execute(
    notebook: NotebookNode,
    page: str,
    root: Path,
    seed: int = 0,
    told: Callable[[str], None] = lambda text: None,
    cell_seconds: int = CELL_SECONDS,
) -> Run:
    """Execute a copy of ``notebook`` from top to bottom and return it with what the run cost.

    ``page`` names it in messages, ``told`` is called with progress. Raises ``CourseError`` for an
    exception in a cell, a timeout, a dead kernel, noise or oversized outputs.
    """
    notebook = nbformat.from_dict(json.loads(json.dumps(notebook)))
    where = _Where(page, notebook)
    with tempfile.TemporaryDirectory(prefix="course-", ignore_cleanup_errors=True) as parent:
        folder, home = Path(parent) / "run", Path(parent) / "ipython"
        folder.mkdir(), home.mkdir()
        bare = nbformat.v4.new_notebook(cells=notebook.cells)
        nbformat.write(bare, folder / f"{Path(page).stem}.ipynb")
        manager = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=_ThisPython())
        client = NotebookClient(
            notebook, km=manager, timeout=cell_seconds, store_widget_state=False,
            record_timing=False, resources={"metadata": {"path": str(folder)}})
        client.log.setLevel("CRITICAL")
        environment, start = kernel_environment(root, seed, home), time.perf_counter()
        with open(Path(parent) / "kernel.log", "wb") as log, \
                client.setup_kernel(env=environment, stderr=log, cleanup_kc=True):
            memory = _Memory(manager.provisioner.pid)
            memory.start()
            try:
                _execute_cells(client, where, seed, told)
            finally:
                peak = memory.stop()
            seconds = time.perf_counter() - start
            description, language = _describe(client), _language_info(client)
        paths = _private_paths(root, folder)
    for index in where.numbers:
        _refuse_size(notebook.cells[index], where(index))
        _clean_outputs(notebook.cells[index], paths)
    notebook.metadata["language_info"] = language
    return Run(notebook, seconds, peak, description, inspect_outputs(notebook, where))
