"""Facts about this machine, gathered without judging them; ``doctor`` judges.

Each kind of fact is a frozen dataclass, so that a judgement can be tried on any machine.
"""

from __future__ import annotations

import errno
import importlib.metadata
import importlib.util
import locale
import math
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from course_tools import probe
from course_tools.probe import Framework

FRAMEWORKS = ("torch", "tensorflow")
PACKAGES = ("torch", "tensorflow", "keras", "numpy", "jupyterlab")
PATIENCE = 30  # seconds for a small program to answer


@dataclass(frozen=True)
class Python:
    """This interpreter, and the environment that the course makes for itself."""

    version: tuple[int, int, int]
    prefix: Path
    venv: Path | None  # the project's .venv; None outside a checkout
    venv_exists: bool
    bits: int = 64


@dataclass(frozen=True)
class Package:
    """A package as it is, as requirements.txt asks for it, and as the lock holds it."""

    name: str
    installed: str | None
    asked: str = ""
    locked: str = ""


@dataclass(frozen=True)
class Nvidia:
    """What the NVIDIA driver says through nvidia-smi."""

    found: bool = False
    works: bool = False
    driver: str = ""
    cards: tuple[str, ...] = ()
    said: str = ""


@dataclass(frozen=True)
class Devices:
    """What each framework sees: "cuda", "mps", "cpu", or "" where it does not start."""

    torch: str
    tensorflow: str
    torch_built_for: str = ""        # CUDA version; "" for a CPU build
    tensorflow_built_for: str = ""
    tensorflow_libraries: bool = False  # its CUDA libraries are installed
    metal: str = ""                  # version of tensorflow-metal
    amd: bool = False
    nvidia: Nvidia = Nvidia()
    cards: tuple[str, ...] = ()
    system: str = "Linux"
    processor: str = "x86_64"
    wanted: str = "auto"             # COURSE_DEVICE
    hidden: str | None = None        # CUDA_VISIBLE_DEVICES


@dataclass(frozen=True)
class Threads:
    """Cores that may be used, and threads asked for and taken."""

    chosen: int | None       # runtime.threads(); None where COURSE_THREADS is not valid
    usable: int
    quota: float | None = None  # CPUs' worth of time that the control group allows
    omp: str = ""            # OMP_NUM_THREADS
    torch: int | None = None
    tensorflow: int | None = None


@dataclass(frozen=True)
class OneDNN:
    """Whether TensorFlow computes on the CPU with oneDNN, and what was asked of it."""

    on: bool | None          # None: it does not start, or does not say
    wanted: str = ""         # TF_ENABLE_ONEDNN_OPTS
    offered: bool = True     # TensorFlow's package for this system holds it


@dataclass(frozen=True)
class Setting:
    """An environment variable."""

    name: str
    value: str


@dataclass(frozen=True)
class Cache:
    """The folder of data files. ``error`` says why it cannot be written, "" where it can."""

    folder: Path
    named: bool  # by COURSE_CACHE
    error: str
    complete: bool  # every set that the notebooks load by default is there and whole


@dataclass(frozen=True)
class DataFile:
    """A data set's file: ``state`` is whole, damaged, absent, or why it cannot be read."""

    task: str
    name: str
    full: bool
    state: str
    path: Path
    needed: bool = True  # at the scale that is set


@dataclass(frozen=True)
class Disk:
    """Free bytes where something is kept."""

    what: str
    path: Path
    free: int


@dataclass(frozen=True)
class Memory:
    """Bytes of memory; ``limit`` is the control group's, if any."""

    total: int
    available: int
    limit: int | None = None


@dataclass(frozen=True)
class Port:
    """A port of this machine: ``state`` is free, taken, or why it cannot be opened."""

    number: int
    program: str
    state: str


@dataclass(frozen=True)
class Browser:
    """A browser for the tests: its version, or why it does not start."""

    path: str
    version: str = ""
    error: str = ""


@dataclass(frozen=True)
class Kernel:
    """The ``python3`` kernel of Jupyter: the program it starts."""

    program: str | None  # None where there is no such kernel
    folder: str
    this: str            # this Python's own program
    error: str = ""


@dataclass(frozen=True)
class Encoding:
    """How text is encoded in file names, in files and in what is printed."""

    names: str
    files: str
    printed: str
    system: str = "Linux"


@dataclass(frozen=True)
class Index:
    """Whether pip gets an answer from its package index."""

    reached: bool
    said: str = ""


class Machine:
    """Gathers facts, each when it is asked for; the slow ones once."""

    def __init__(self, root: Path | None, timeout: float = 180, online: bool = False):
        self.root, self.timeout, self.online = root, timeout, online

    # --- Python and packages ---

    def python(self) -> list[Python]:
        venv = self.root / ".venv" if self.root else None
        exists = bool(venv and (venv / "pyvenv.cfg").is_file())
        bits = 64 if sys.maxsize > 2**32 else 32
        return [Python(sys.version_info[:3], Path(sys.prefix), venv, exists, bits)]

    def packages(self) -> list[Package]:
        asked, locked = {}, {}
        if self.root:
            asked = read_requirements(self.root / "requirements.txt")
            locked = read_requirements(self.root / "requirements.lock")
        return [
            Package(name, installed_version(name), asked.get(name, ""),
                    locked.get(name, "").removeprefix("=="))
            for name in PACKAGES
        ]

    # --- frameworks and devices ---

    @cached_property
    def _looked(self) -> tuple[dict[str, Framework], Framework]:
        return probe.look(FRAMEWORKS, self.timeout)

    def frameworks(self) -> list[Framework]:
        return list(self._looked[0].values())

    def together(self) -> list[tuple[Framework, list[Framework]]]:
        return [(self._looked[1], self.frameworks())]

    def nvidia(self) -> Nvidia:
        return nvidia_smi()

    def devices(self) -> list[Devices]:
        torch, tf = (self._looked[0][name].facts for name in FRAMEWORKS)
        return [Devices(
            torch=torch.get("sees", ""),
            tensorflow=tf.get("sees", ""),
            torch_built_for=torch.get("built_for", ""),
            tensorflow_built_for=tf.get("built_for", ""),
            tensorflow_libraries=installed_version("nvidia-cuda-runtime-cu12") is not None,
            metal=installed_version("tensorflow-metal") or "",
            amd=torch.get("amd", False) or tf.get("amd", False),
            nvidia=self.nvidia(),
            cards=tuple(torch.get("cards") or tf.get("cards") or ()),
            system=platform.system(),
            processor=platform.machine(),
            wanted=os.environ.get("COURSE_DEVICE", "").strip().lower() or "auto",
            hidden=os.environ.get("CUDA_VISIBLE_DEVICES"),
        )]

    def threads(self) -> list[Threads]:
        from course_lib import runtime

        try:
            chosen = runtime.threads()
        except runtime.SettingError:
            chosen = None
        torch, tf = (self._looked[0][name].facts for name in FRAMEWORKS)
        fine = self._looked[1].state == "ok"  # else they were not prepared by the course
        return [Threads(
            chosen, usable_cores(), cgroup_limits()[0],
            os.environ.get("OMP_NUM_THREADS", "").strip(),
            torch.get("threads") if fine else None, tf.get("threads") if fine else None,
        )]

    def onednn(self) -> list[OneDNN]:
        return [OneDNN(
            self._looked[0]["tensorflow"].facts.get("onednn"),
            os.environ.get("TF_ENABLE_ONEDNN_OPTS", "").strip(),
            platform.system() != "Darwin" and platform.machine().lower() in ("x86_64", "amd64"),
        )]

    # --- settings ---

    def settings(self) -> list[Setting]:
        names = sorted(n for n in os.environ if n.upper().startswith("COURSE_"))
        names += [name for name in ("KERAS_BACKEND",) if name in os.environ]
        return [Setting(name, os.environ[name]) for name in names]

    # --- data ---

    def data_files(self) -> list[DataFile]:
        from course_lib.data import REGISTRY

        full_scale = os.environ.get("COURSE_SCALE", "").strip().lower() == "full"
        found = []
        for task, sets in REGISTRY.items():
            found += data_files(task, sets.embedded, full=False, needed=True)
            if sets.full:
                found += data_files(task, sets.full, full=True, needed=full_scale)
        return found

    def cache(self) -> list[Cache]:
        from course_lib.data import cache_folder

        folder, named = cache_folder(), bool(os.environ.get("COURSE_CACHE", "").strip())
        complete = all(file.state == "whole" for file in self.data_files() if not file.full)
        return [Cache(folder, named, writing_error(folder), complete)]

    # --- disk, memory, ports ---

    def disks(self) -> list[Disk]:
        from course_lib.data import cache_folder

        places = {"course": self.root or Path(sys.prefix), "data cache": cache_folder()}
        found: dict[int, Disk] = {}  # one a disk
        for what, path in places.items():
            path = nearest_folder(path)
            free, device = shutil.disk_usage(path).free, path.stat().st_dev
            what = f"{found[device].what} and the {what}" if device in found else what
            found[device] = Disk(what, path, free)
        return list(found.values())

    def memory(self) -> list[Memory]:
        import psutil

        memory = psutil.virtual_memory()
        return [Memory(memory.total, memory.available, cgroup_limits()[1])]

    def ports(self) -> list[Port]:
        own = os.environ.get("PORT", "")
        site = int(own) if own.isdigit() and int(own) < 65536 else 8000
        programs = {8888: "JupyterLab (`make lab`)", site: "the website (`make serve`)"}
        return [Port(n, program, port_state(n)) for n, program in programs.items()]

    # --- programs ---

    def browsers(self) -> list[list[Browser]]:
        """Browsers in the order in which the tests take them, up to the first that starts."""
        found: list[Browser] = []
        for path in browser_paths():
            found.append(start_browser(path))
            if found[-1].version:
                break
        return [found]

    def kernels(self) -> list[Kernel]:
        try:
            from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
        except ImportError as error:
            return [Kernel(None, "", sys.executable, str(error))]
        try:
            spec = KernelSpecManager().get_kernel_spec("python3")
        except NoSuchKernel as error:
            return [Kernel(None, "", sys.executable, str(error))]
        return [Kernel(spec.argv[0] if spec.argv else "", spec.resource_dir, sys.executable)]

    def encodings(self) -> list[Encoding]:
        printed = getattr(sys.stdout, "encoding", None) or "none"
        files = locale.getpreferredencoding(False)
        return [Encoding(sys.getfilesystemencoding(), files, printed, platform.system())]

    def indexes(self) -> list[Index]:
        return [ask_index(self.timeout)] if self.online else []


# --- small questions ------------------------------------------------------------------------


def installed_version(name: str) -> str | None:
    """The version of an installed distribution, None where there is none."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def read_requirements(path: Path) -> dict[str, str]:
    """Package -> version range of a requirements file, following ``-r``; markers are honoured."""
    from packaging.requirements import Requirement

    found: dict[str, str] = {}
    for line in path.read_text("utf8").splitlines():
        line = re.sub(r"(^|\s)#.*", "", line).strip()
        if line.startswith("-r "):
            found |= read_requirements(path.parent / line[3:].strip())
        elif line and not line.startswith("-"):
            wanted = Requirement(line)
            if wanted.marker is None or wanted.marker.evaluate():
                found[wanted.name.lower()] = str(wanted.specifier)
    return found


def nvidia_smi() -> Nvidia:
    """Ask the NVIDIA driver for its version and its cards."""
    program = shutil.which("nvidia-smi")
    if not program:
        return Nvidia()
    command = [program, "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        ran = subprocess.run(command, capture_output=True, encoding="utf8", errors="replace", timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Nvidia(found=True, said=str(error))
    rows = [line.rsplit(",", 1) for line in ran.stdout.splitlines() if "," in line]
    if ran.returncode or not rows:
        return Nvidia(found=True, said=probe.last_line(ran.stdout + ran.stderr))
    cards = tuple(row[0].strip() for row in rows)
    return Nvidia(True, True, rows[0][1].strip(), cards)


def usable_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cgroup_limits(
    tree: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")
) -> tuple[float | None, int | None]:
    """What a container allows: CPUs' worth of time and bytes of memory; None for no limit."""
    cpus, memory = [], []
    for folder in _cgroup_folders(tree, own):
        quota, period = (_words(folder / "cpu.max") + ["max", "100000"])[:2]
        if quota != "max":
            cpus.append(int(quota) / int(period))
        memory += [int(word) for word in _words(folder / "memory.max") if word != "max"]
    quota = _words(tree / "cpu" / "cpu.cfs_quota_us")  # the older kind of control groups
    period = _words(tree / "cpu" / "cpu.cfs_period_us")
    if quota and period and int(quota[0]) > 0:
        cpus.append(int(quota[0]) / int(period[0]))
    memory += [int(word) for word in _words(tree / "memory" / "memory.limit_in_bytes")]
    memory = [size for size in memory if size < 2**60]  # a huge number means no limit
    return min(cpus, default=None), min(memory, default=None)


def _cgroup_folders(tree: Path, own: Path) -> list[Path]:
    """The control group of this process and those above it."""
    lines = [line for line in _lines(own) if line.startswith("0::")]
    folder = tree / lines[0][3:].strip().lstrip("/") if lines else tree
    return [f for f in (folder, *folder.parents) if f == tree or tree in f.parents]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf8").splitlines()
    except OSError:
        return []


def _words(path: Path) -> list[str]:
    return " ".join(_lines(path)).split()


def data_files(task: str, entry, full: bool, needed: bool) -> list[DataFile]:
    """Look at each file of one data set in the cache, and check it by its SHA-256."""
    from course_lib.data.archive import cache_folder

    paths = {cache_folder() / file.cached_name: file.sha256 for file in entry.files}
    return [DataFile(task, entry.card.name, full, _state(path, expected), path, needed)
            for path, expected in paths.items()]


def _state(path: Path, expected: str) -> str:
    """Say whether a file is whole, damaged or absent, or why it cannot be read."""
    from course_lib.data.archive import sha256

    try:
        return "whole" if sha256(path) == expected else "damaged"
    except FileNotFoundError:
        return "absent"
    except OSError as error:
        return error.strerror or str(error)


def nearest_folder(path: Path) -> Path:
    """The folder itself, or the nearest one above it that exists."""
    path = path.absolute()
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def writing_error(folder: Path) -> str:
    """Why no file can be written into a folder (or into the one it would be made in), else ""."""
    if folder.exists() and not folder.is_dir():
        return "it is a file, not a folder"
    try:
        with tempfile.TemporaryFile(dir=nearest_folder(folder)):
            return ""
    except OSError as error:
        return error.strerror or str(error)


def port_state(number: int) -> str:
    """Try to open a port of this machine: free, taken, or the reason why not."""
    with socket.socket() as server:
        if os.name != "nt":  # there it would open a port that is in use
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind(("127.0.0.1", number))
            server.listen(1)
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, 10048):
                return "taken"
            return error.strerror or str(error)
    return "free"


def browser_paths() -> list[str]:
    """Where a browser for the tests may be: named, the system's, Playwright's own."""
    named = [os.environ.get("CHROMIUM"), shutil.which("chromium"),
             shutil.which("chromium-browser")]
    return [path for path in (*named, playwright_browser()) if path]


def playwright_browser() -> str | None:
    """The Chromium that this version of Playwright would start; None without Playwright."""
    if importlib.util.find_spec("playwright") is None:
        return None
    asked = ("from playwright.sync_api import sync_playwright as s\n"
             "with s() as p: print(p.chromium.executable_path)")
    try:
        ran = subprocess.run([sys.executable, "-c", asked], capture_output=True, encoding="utf8", errors="replace",
                             timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return None
    return ran.stdout.strip() or None


def start_browser(path: str) -> Browser:
    """Start a browser only so far that it says its version."""
    if os.name == "nt":  # there --version opens a window
        there = Path(path).is_file()
        return Browser(path, "found" if there else "", "" if there else "no such file")
    try:
        ran = subprocess.run([path, "--version"], capture_output=True, encoding="utf8", errors="replace",
                             timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired) as error:
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return Browser(path, error=said)
    if ran.returncode or not ran.stdout.strip():
        said = probe.last_line(ran.stderr) or probe.status_name(ran.returncode)
        return Browser(path, error=said)
    return Browser(path, version=ran.stdout.strip().splitlines()[0].strip())


def ask_index(timeout: float) -> Index:
    """Let pip, with its own settings, look up a small package; nothing is installed."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-deps", "--quiet",
               "--ignore-installed", "--disable-pip-version-check", "--retries", "1", "click"]
    try:
        ran = subprocess.run(command, capture_output=True, encoding="utf8", errors="replace", timeout=timeout)
    except subprocess.TimeoutExpired:
        return Index(False, f"pip got no answer within {timeout:g} s")
    return Index(ran.returncode == 0, "" if ran.returncode == 0 else probe.last_line(ran.stderr))


def cores_for(threads: Threads) -> int:
    """Cores that can really be used: the smaller of affinity and the control group's share."""
    share = math.inf if threads.quota is None else max(1, math.ceil(threads.quota))
    return int(min(threads.usable, share))
