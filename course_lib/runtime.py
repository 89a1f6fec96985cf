"""One decision each, for both frameworks: device, threads, seed, scale.

Import ``course_lib`` before the frameworks. It watches for the first ``import`` of torch,
TensorFlow or Keras and prepares each once: triton is loaded before TensorFlow (else their two
copies of LLVM clash and the first ``torch.optim`` kills the process), threads and GPU memory are
set before the first operation, and TensorFlow's start-up log, which reaches file descriptor 2
whatever ``TF_CPP_MIN_LOG_LEVEL`` says, is held back and shown only if the import fails.

Environment variables: ``COURSE_DEVICE`` (auto, cpu, cuda, mps), ``COURSE_THREADS``,
``COURSE_SEED``, ``COURSE_SCALE`` (quick, full).
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.metadata
import importlib.util
import os
import platform
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from types import ModuleType

import numpy as np

MOST_THREADS = 8  # a default for small models; COURSE_THREADS overrides it


class SettingError(ValueError):
    """An environment variable of the course holds something it cannot use."""


# --- settings -------------------------------------------------------------------------------


def _choice(name: str, default: str, allowed: tuple[str, ...]) -> str:
    value = os.environ.get(name, "").strip().lower() or default
    if value not in allowed:
        raise SettingError(f"{name} is {value!r}; it can be {', '.join(allowed)}")
    return value


def _whole_number(name: str, default: int, least: int) -> int:
    text = os.environ.get(name, "").strip()
    if not text:
        return default
    if not text.lstrip("-").isdigit() or int(text) < least:
        raise SettingError(f"{name} is {text!r}; it must be a whole number, {least} or more")
    return int(text)


def threads() -> int:
    """Threads each framework may use: ``COURSE_THREADS``, else the usable cores, at most 8."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return _whole_number("COURSE_THREADS", min(usable or 1, MOST_THREADS), 1)


def seed() -> int:
    """The seed from which every random choice starts: ``COURSE_SEED``, else 0."""
    return _whole_number("COURSE_SEED", 0, 0)


def scale() -> str:
    """``"quick"`` or ``"full"``: ``COURSE_SCALE``, else full where there is a GPU."""
    automatic = "quick" if device() == "cpu" else "full"
    return _choice("COURSE_SCALE", automatic, ("quick", "full"))


def set_seed(number: int | None = None) -> int:
    """Seed Python, NumPy and each framework already imported; return the seed used."""
    number = seed() if number is None else number
    random.seed(number)
    np.random.seed(number % 2**32)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(number)
    if "tensorflow" in sys.modules:
        sys.modules["tensorflow"].keras.utils.set_random_seed(number % 2**32)
    return number


# --- the device -----------------------------------------------------------------------------


def _torch_sees() -> str:
    torch = importlib.import_module("torch")
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _tensorflow_sees() -> str:
    tf = importlib.import_module("tensorflow")
    if not tf.config.list_physical_devices("GPU"):
        return "cpu"
    return "mps" if sys.platform == "darwin" else "cuda"


def device() -> str:
    """``"cpu"``, ``"cuda"`` or ``"mps"``, the same for both frameworks.

    A GPU is used where every installed framework sees it, so that no comparison pits one
    framework's GPU against the other's CPU. ``COURSE_DEVICE`` overrides the choice.

    Raises
    ------
    SettingError
        If ``COURSE_DEVICE`` asks for a device that an installed framework does not see.
    """
    wanted = _choice("COURSE_DEVICE", "auto", ("auto", "cpu", "cuda", "mps"))
    if wanted == "cpu":
        return "cpu"
    looks = {"torch": _torch_sees, "tensorflow": _tensorflow_sees}
    seen = {name: look() for name, look in looks.items() if importlib.util.find_spec(name)}
    if wanted == "auto":
        kinds = set(seen.values())
        return kinds.pop() if len(kinds) == 1 else "cpu"
    blind = [name for name, kind in seen.items() if kind != wanted]
    if blind:
        raise SettingError(
            f"COURSE_DEVICE is {wanted!r}, but {' and '.join(blind)} can see no such device here;"
            " install that framework's GPU build, or set COURSE_DEVICE=cpu"
        )
    return wanted


def torch_device() -> str:
    """The device in PyTorch's words: ``"cpu"``, ``"cuda"`` or ``"mps"``."""
    return device()


def tf_device() -> str:
    """The device in TensorFlow's words: ``"/CPU:0"`` or ``"/GPU:0"``."""
    return "/CPU:0" if device() == "cpu" else "/GPU:0"


# --- preparing the frameworks as they are imported ------------------------------------------


def show_every_sign() -> None:
    """Let no console's encoding (cp1252, GBK, ASCII) stop a print: other signs appear as \\u2026."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a notebook's has none, and needs none
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Hold back what is written to file descriptor 2; show it only if the block raises.

    Where it cannot be held (no room for a temporary file, no descriptor 2) it is shown.
    """
    try:
        sys.stderr.flush()
        saved, holder = os.dup(2), tempfile.TemporaryFile()
    except (OSError, AttributeError):
        yield
        return
    with holder as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(saved, 2)
            held.seek(0)
            os.write(2, held.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)


def _load_triton(after_tensorflow: bool) -> None:
    """Load triton, which torch for Linux brings, while TensorFlow is not loaded yet.

    Loaded after TensorFlow it kills the process (SIGSEGV). Where TensorFlow came first, triton is
    hidden instead: torch then works as its build without triton does, and only
    ``torch.compile`` for a GPU is lost.
    """
    if "triton" in sys.modules:
        return
    if after_tensorflow:
        sys.modules["triton"] = None  # ``import triton`` now raises ImportError
    elif importlib.util.find_spec("triton"):
        try:
            importlib.import_module("triton")
        except ImportError:
            sys.modules["triton"] = None  # broken: torch can do without


def _require_tensorflow_backend() -> None:
    """Refuse another backend, be it asked for or, where Keras came first, running already."""
    keras = sys.modules.get("keras")
    running = keras.config.backend() if hasattr(keras, "config") else os.environ["KERAS_BACKEND"]
    if running != "tensorflow":
        raise SettingError(
            f"Keras's backend is {running!r}; the course runs Keras on TensorFlow: set"
            " KERAS_BACKEND=tensorflow and restart"
        )


def _prepare_torch(torch: ModuleType) -> None:
    torch.set_num_threads(threads())


def _prepare_tensorflow(tf: ModuleType) -> None:
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads())
        tf.config.threading.set_inter_op_parallelism_threads(threads())
        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)  # else it takes the whole card
    except RuntimeError:
        return  # already running: too late to change, and no reason to stop
    tf.zeros(1)  # the first operation writes to the log too


def _nothing(module: ModuleType) -> None:
    pass


class _Prepared(importlib.abc.MetaPathFinder):
    """Finds a framework as usual, loads triton before it, and prepares it right after."""

    def __init__(self, name: str, prepare: Callable[[ModuleType], None], quiet: bool):
        self.name, self.prepare, self.quiet = name, prepare, quiet

    def find_spec(self, name, path=None, target=None):
        if name != self.name:
            return None
        sys.meta_path.remove(self)  # so that the search below finds the framework itself
        try:
            spec = importlib.util.find_spec(name)
        finally:
            sys.meta_path.insert(0, self)  # who asks only whether it is there uses nothing up
        if spec is not None and spec.loader is not None:
            self._wrap(spec.loader)
        return spec

    def _wrap(self, loader) -> None:
        """Let the framework be prepared right after the loader has run it."""
        run = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            del loader.exec_module
            _load_triton(self.name != "tensorflow" and "tensorflow" in sys.modules)
            if self.name != "torch":
                _require_tensorflow_backend()
            with quiet_stderr() if self.quiet else nullcontext():
                run(module)
                self.prepare(module)
            if self in sys.meta_path:
                sys.meta_path.remove(self)

        loader.exec_module = exec_module


def prepare_imports() -> None:
    """Watch for the frameworks' first import, and prepare at once those that are already there.

    Called when ``course_lib`` is imported.
    """
    if not os.environ.get("KERAS_BACKEND"):
        os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # an error that matters is raised; at 2
    # oneDNN reports each type it leaves to Eigen on a processor without AVX-512 as an error
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # by itself on newer processors only
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # idle threads leave the cores to others
    if "torch" in sys.modules or "tensorflow" in sys.modules:
        _load_triton("tensorflow" in sys.modules)
    if "keras" in sys.modules:
        _require_tensorflow_backend()
    watched = {finder.name for finder in sys.meta_path if isinstance(finder, _Prepared)}
    for name, prepare, quiet in (
        ("torch", _prepare_torch, False),
        ("keras", _nothing, True),
        ("tensorflow", _prepare_tensorflow, True),
    ):
        if name in sys.modules:
            with quiet_stderr() if quiet else nullcontext():
                prepare(sys.modules[name])
        elif name not in watched:
            sys.meta_path.insert(0, _Prepared(name, prepare, quiet))


# --- saying and measuring what ran ----------------------------------------------------------


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def describe() -> dict:
    """What ran where: versions, device, threads, scale and seed, as plain JSON values."""
    names = ("torch", "tensorflow", "keras", "numpy")
    versions = {name: found for name in names if (found := _version(name))}
    return {
        "versions": {"python": platform.python_version(), **versions},
        "system": f"{platform.system()} {platform.machine()}",
        "device": device(),
        "threads": threads(),
        "scale": scale(),
        "seed": seed(),
    }


def banner() -> None:
    """Print what runs where, so that a reader and a bug report say the same."""
    ran = describe()
    versions = ran["versions"]
    shown = {"torch": "PyTorch", "tensorflow": "TensorFlow", "keras": "Keras", "python": "Python"}
    print(" · ".join(f"{shown[name]} {versions[name]}" for name in shown if name in versions))
    print(
        f"device {ran['device']} · threads {ran['threads']} · scale {ran['scale']}"
        f" · seed {ran['seed']}"
    )


@dataclass
class Cost:
    """Wall time in seconds and the rise of resident memory at its peak, in megabytes."""

    seconds: float = 0.0
    megabytes: float = 0.0


@contextmanager
def measure(interval: float = 0.02) -> Iterator[Cost]:
    """Measure a block: ``with measure() as cost: …``, then ``cost.seconds``, ``cost.megabytes``.

    Memory is the process's resident set, sampled every ``interval`` seconds: what a framework
    allocated before the block and kept for reuse does not count again.
    """
    import psutil

    process, cost, done = psutil.Process(), Cost(), threading.Event()
    before = peak = process.memory_info().rss

    def watch() -> None:
        nonlocal peak
        while not done.wait(interval):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    start = time.perf_counter()
    try:
        yield cost
    finally:
        cost.seconds = time.perf_counter() - start
        done.set()
        watcher.join()
        peak = max(peak, process.memory_info().rss)
        cost.megabytes = (peak - before) / 1e6
