"""What is well with this machine, what is not, and what to do: the judgements of ``course doctor``.

``machine`` gathers facts; each function ``judge_…`` here turns one fact into a ``Finding`` and
looks at nothing else. A check that itself fails is a finding too.
"""

from __future__ import annotations

import difflib
import re
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from course_tools.machine import (
    Browser,
    Cache,
    DataFile,
    Devices,
    Disk,
    Encoding,
    Framework,
    Index,
    Kernel,
    Machine,
    Memory,
    OneDNN,
    Package,
    Port,
    Python,
    Setting,
    Threads,
    cores_for,
)

OLDEST, NEWEST = (3, 11), (3, 13)
GB = 1e9
DISK_LEAST, DISK_ENOUGH = 0.5 * GB, 5 * GB  # a whole .venv takes 3.6 GB on Linux
MEMORY_LEAST, MEMORY_ENOUGH = 2.5 * GB, 2 * GB  # in all; free now (a notebook takes at most 2)

INSTALL = "python -m pip install -r requirements.txt -c requirements.lock"
MEND = f"In the course's folder, with this Python: {INSTALL}"
TITLES = {"torch": "PyTorch", "tensorflow": "TensorFlow"}


@dataclass(frozen=True)
class Finding:
    """What a check found: ``status`` is ok, note or problem; a problem always has advice."""

    status: str
    what: str
    advice: str = ""


def ok(what: str) -> Finding:
    return Finding("ok", what)


def note(what: str, advice: str) -> Finding:
    return Finding("note", what, advice)


def problem(what: str, advice: str) -> Finding:
    return Finding("problem", what, advice)


# --- Python and packages --------------------------------------------------------------------


def judge_python(found: Python) -> Finding:
    """The version, and whether it is the environment that `make` installs into."""
    name = "Python " + ".".join(map(str, found.version))
    ages = f"{OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]}"
    if not OLDEST <= found.version[:2] <= NEWEST:
        return problem(
            f"{name} runs this; the course needs {ages}",
            "Install one of them, delete .venv, and name it: make lab PYTHON=python3.12",
        )
    if found.bits < 64:
        return problem(f"{name} is a 32-bit program; the frameworks have none",
                       "Install the 64-bit Python for this system, and delete .venv.")
    if found.venv is None:
        return ok(f"{name}, outside a checkout of the course")
    if found.prefix == found.venv or found.prefix.resolve() == found.venv.resolve():
        return ok(f"{name}, the project's .venv")
    there = "is not" if found.venv_exists else "is not there yet and this is not"
    return note(
        f"{name} in {found.prefix}: the project's .venv {there} what runs now",
        "What `make` installs goes into .venv: run .venv/bin/course doctor"
        " (Windows: .venv\\Scripts\\course), after `make lab` has made it.",
    )


def judge_package(found: Package) -> Finding | None:
    """A package's version against the range asked for and the tested one."""
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

    if found.installed is None:
        if found.name in TITLES:
            return None  # said of the frameworks
        return problem(f"{found.name} is not installed", MEND)
    name = f"{found.name} {found.installed}"
    version = Version(found.installed)
    if found.asked and not SpecifierSet(found.asked).contains(version, prereleases=True):
        return problem(f"{name} is outside the range {found.asked} of requirements.txt", MEND)
    if found.locked and Version(version.public) != Version(found.locked):
        return note(f"{name}; the tested set holds {found.locked}",
                    f"It may well work. Where something differs, take the tested set: {INSTALL}")
    return ok(name if found.asked or found.locked else f"{name} (no range to compare with)")


# --- frameworks and devices -----------------------------------------------------------------


def judge_framework(found: Framework) -> Finding | None:
    """Whether a framework can be imported and takes an optimizer's step."""
    if "SettingError" in found.said:
        return None  # said of the settings
    title = TITLES.get(found.name, found.name)
    if found.state == "ok":
        return ok(f"{title} {found.facts.get('version', '')} starts and takes a step")
    if found.state == "missing":
        return problem(f"{title} is not installed; the course needs both frameworks", MEND)
    if found.state == "timeout":
        return problem(
            f"{title} does not finish starting: {found.said}",
            f"On a slow disk allow more time (--timeout 600); else reinstall it: {INSTALL}"
            f" --force-reinstall {found.name}",
        )
    return problem(f"{title} fails at its start or its first step: {found.said}", _why_it_dies(found))


def _why_it_dies(found: Framework) -> str:
    if "libmetal_plugin" in found.said:
        return ("Apple's plug-in does not fit this TensorFlow; remove it:"
                " python -m pip uninstall tensorflow-metal")
    if "SIGILL" in found.said:
        return ("This processor lacks instructions that the published build uses (AVX); use"
                " another machine, or Colab.")
    if "SIGKILL" in found.said:
        return "The system ended it, mostly for want of memory: close other programs, try again."
    return f"Reinstall it: {INSTALL} --force-reinstall {found.name}"


def judge_together(found: tuple[Framework, list[Framework]]) -> Finding | None:
    """What a notebook gets: both frameworks in one process, with the course's decisions."""
    both, each = found
    if any(framework.state in ("crash", "timeout", "error") for framework in each):
        return None  # that is said already
    if "SettingError" in both.said:
        return None  # said of the settings and of the devices
    if both.state == "ok":
        ran = both.facts
        return ok(f"notebooks run on device {ran['device']} with {ran['threads']} threads at"
                  f" {ran['scale']} scale, seed {ran['seed']}")
    return problem(
        f"each framework takes a step alone, but not beside the other: {both.said}",
        f"Notebooks would die so. Take the tested set: {INSTALL} --force-reinstall",
    )


def judge_devices(found: Devices) -> Finding:
    """What both frameworks see, and what is missing where a GPU lies idle."""
    seen = {"torch": found.torch, "tensorflow": found.tensorflow}
    silent = [TITLES[name] for name, kind in seen.items() if not kind]
    if found.nvidia.found and not found.nvidia.works and found.wanted != "cpu":
        return problem(f"nvidia-smi fails: {found.nvidia.said or 'it says nothing'}",
                       "Restart the machine; if that does not help, reinstall NVIDIA's driver."
                       " COURSE_DEVICE=cpu does without the card.")
    if silent:
        return note(f"no telling what {' and '.join(silent)} can see before it starts",
                    "Mend what is said of the frameworks first.")
    blind = [name for name, kind in seen.items() if kind == "cpu"]
    wanted = found.wanted in ("cuda", "mps")
    if wanted and any(kind != found.wanted for kind in seen.values()):
        lacking = [name for name, kind in seen.items() if kind != found.wanted]
        return problem(
            f"COURSE_DEVICE is {found.wanted}, but {_titles(lacking)} can see no such device",
            f"{_why_all_blind(lacking, found)} Or unset COURSE_DEVICE.")
    if not blind:
        cards = f" ({', '.join(found.cards)})" if found.cards else ""
        return ok(f"both frameworks see the GPU: {found.torch}{cards}")
    if found.wanted == "cpu":
        return ok("COURSE_DEVICE=cpu: both frameworks use the CPU")
    if len(blind) == 2 and not found.nvidia.works:
        return ok("neither framework sees a GPU: the notebooks run on the CPU")
    return _idle_card(blind, found)


def _idle_card(blind: list[str], found: Devices) -> Finding:
    cards = ", ".join(found.nvidia.cards or found.cards) or "the GPU"
    others = [name for name in TITLES if name not in blind]
    sees = f", {_titles(others)} can" if others else ""
    what = f"{_titles(blind)} cannot use {cards}{sees}: the notebooks run on the CPU"
    if found.hidden is not None and found.hidden.strip() in ("", "-1") and found.nvidia.works:
        return note(what, f"CUDA_VISIBLE_DEVICES is {found.hidden!r}, which hides the card;"
                          " unset it to use the card.")
    advice = _why_all_blind(blind, found)
    if found.nvidia.works and found.system == "Linux":
        return problem(what, f"{advice} To leave the card alone, set COURSE_DEVICE=cpu.")
    return note(what, advice)


def _why_all_blind(names: list[str], found: Devices) -> str:
    return " ".join(dict.fromkeys(_why_blind(name, found) for name in names))


def _why_blind(name: str, found: Devices) -> str:
    """Why one framework sees no GPU and what would give it one; one or two sentences."""
    if found.system == "Darwin":
        return _why_blind_on_a_mac(name, found)
    if not found.nvidia.works:
        if found.amd:
            return (f"{TITLES[name]} has no build for AMD cards here; the course has not been"
                    " tried on them.")
        return "There is no working NVIDIA driver here (nvidia-smi)."
    if name == "torch":
        return _why_torch_is_blind(found)
    if found.system == "Windows":
        return "TensorFlow uses no GPU in Windows itself: run the course inside WSL 2."
    if not found.tensorflow_built_for:
        return ("This TensorFlow is a CPU build: python -m pip uninstall tensorflow-cpu, then"
                f" {INSTALL} -r requirements-cuda.txt")
    if not found.tensorflow_libraries:
        return ("TensorFlow lacks its CUDA libraries:"
                " python -m pip install -r requirements-cuda.txt -c requirements.lock")
    return (f"TensorFlow has its CUDA {found.tensorflow_built_for} libraries but cannot use driver"
            f" {found.nvidia.driver}: update NVIDIA's driver.")


def _why_torch_is_blind(found: Devices) -> str:
    if found.torch_built_for:
        return (f"PyTorch is built for CUDA {found.torch_built_for} and cannot use driver"
                f" {found.nvidia.driver}: update NVIDIA's driver.")
    if found.system == "Windows":
        return "This PyTorch is a CPU build: take the CUDA build that pytorch.org names for Windows."
    return f"This PyTorch is a CPU build: python -m pip uninstall torch, then {INSTALL}"


def _why_blind_on_a_mac(name: str, found: Devices) -> str:
    if name == "torch":
        return "PyTorch uses the GPU of Macs with Apple's own processor, from macOS 14 on."
    if found.metal:
        return (f"tensorflow-metal {found.metal} is installed but gives TensorFlow no GPU: it does"
                " not fit this version.")
    return ("TensorFlow sees a Mac's GPU only through Apple's plug-in tensorflow-metal, which is"
            " known to fail in TensorFlow 2.18 and later; the CPU serves at quick scale.")


def _titles(names: Iterable[str]) -> str:
    return " and ".join(TITLES[name] for name in names)


# --- threads --------------------------------------------------------------------------------


def judge_threads(found: Threads) -> Finding | None:
    """Threads asked for against the cores that can really be used."""
    if found.chosen is None:
        return None  # COURSE_THREADS is not valid: said of the settings
    cores = cores_for(found)
    share = "" if found.quota is None else f", the container's share is {found.quota:g} CPUs"
    what = f"{found.chosen} threads a framework; {found.usable} usable cores{share}"
    if found.chosen > cores:
        return note(what, f"More threads than cores slow both frameworks: COURSE_THREADS={cores}")
    return ok(what)


def judge_threads_taken(found: Threads) -> Finding | None:
    """Whether the frameworks took the threads that the course set."""
    took = {"torch": found.torch, "tensorflow": found.tensorflow}
    wrong = {n: t for n, t in took.items() if t is not None and t != found.chosen}
    if found.chosen is None or not wrong:
        return None
    words = " and ".join(f"{TITLES[name]} took {count}" for name, count in wrong.items())
    return problem(
        f"the course set {found.chosen} threads, but {words}",
        "Something imports the framework before the course does (a sitecustomize, a start-up"
        " file): let `import course_lib` come first.",
    )


def judge_omp(found: Threads) -> Finding | None:
    """Whether OMP_NUM_THREADS, which NumPy's libraries obey, says something else."""
    if not found.omp or found.chosen is None or found.omp == str(found.chosen):
        return None
    return note(
        f"OMP_NUM_THREADS is {found.omp}, the course's frameworks use {found.chosen}",
        f"NumPy obeys the first, the frameworks COURSE_THREADS: unset OMP_NUM_THREADS, or set"
        f" both to one number, such as {min(found.chosen, cores_for(found))}.",
    )


def judge_onednn(found: OneDNN) -> Finding | None:
    """Whether TensorFlow uses its fast convolutions on the CPU."""
    if found.on is None or not found.offered:
        return None
    if found.on:
        return ok("TensorFlow computes on the CPU with oneDNN")
    if found.wanted == "0":
        return None  # it was turned off on purpose
    return note("TensorFlow computes on the CPU without oneDNN, which speeds up convolutions",
                "Set TF_ENABLE_ONEDNN_OPTS=1, and let `import course_lib` come first.")


# --- settings -------------------------------------------------------------------------------


def _whole_number(least: int) -> Callable[[str], str]:
    def wrong(value: str) -> str:
        fits = re.fullmatch(r"-*\d+", value) and not value.startswith("--")
        return "" if fits and int(value) >= least else f"a whole number, {least} or more"
    return wrong


def _one_of(*allowed: str) -> Callable[[str], str]:
    return lambda value: "" if value.lower() in allowed else " or ".join(allowed)


def _repository(value: str) -> str:
    from course_tools.setup_cell import GITHUB

    return "" if GITHUB.fullmatch(value) else "owner/name or https://github.com/owner/name"


def _address(value: str) -> str:
    return "" if re.fullmatch(r"https?://\S+", value) else "an address, https://…"


def _anything(value: str) -> str:
    return ""


# Setting -> what it should be, "" where the value is one. An empty value counts as unset.
SETTINGS: dict[str, Callable[[str], str]] = {
    "COURSE_SEED": _whole_number(0),
    "COURSE_THREADS": _whole_number(1),
    "COURSE_SCALE": _one_of("quick", "full"),
    "COURSE_DEVICE": _one_of("auto", "cpu", "cuda", "mps"),
    "COURSE_CACHE": _anything,  # judged where the cache is
    "COURSE_REPOSITORY": _repository,
    "COURSE_WEBSITE": _address,
    "COURSE_PACKAGE": _anything,
    "COURSE_PRETEND_COLAB": _anything,
    "COURSE_ALLOW_NETWORK": _one_of("0", "1"),
    "KERAS_BACKEND": _one_of("tensorflow"),
}


def judge_setting(found: Setting) -> Finding | None:
    """Whether an environment variable is one of the course's, and its value valid."""
    if found.name not in SETTINGS:
        return _unknown_setting(found.name)
    value = found.value.strip()
    wanted = SETTINGS[found.name](value) if value else ""
    if wanted:
        return problem(f"{found.name} is {value!r}", f"It should be {wanted}; or unset it.")
    if found.name == "KERAS_BACKEND":
        return None  # the course sets it itself
    return ok(f"{found.name}={value}")


def _unknown_setting(name: str) -> Finding:
    known = [known for known in SETTINGS if known.startswith("COURSE_")]
    near = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.75)
    if near:
        return problem(f"{name} is no setting of the course, so it does nothing",
                       f"Did you mean {near[0]}?")
    return note(f"{name} is no setting of the course, so it does nothing",
                f"The settings are {', '.join(known)}.")


# --- data -----------------------------------------------------------------------------------


def judge_cache(found: Cache) -> Finding:
    """Whether data can be kept. A complete shared cache need not be writable."""
    where = f"{found.folder}" + (" (COURSE_CACHE)" if found.named else "")
    if not found.error:
        return ok(f"data files are kept in {where}")
    if found.complete:
        return ok(f"data files are read from {where}, which cannot be written ({found.error})")
    return problem(
        f"the data cache {where} cannot be written: {found.error}",
        "Let COURSE_CACHE name a folder of your own, or have whoever keeps this one run"
        " `course data fetch`.",
    )


def judge_data_file(found: DataFile) -> Finding:
    """Whether a data set is there and is what was published."""
    full = " --full" if found.full else ""
    if found.state == "whole":
        return ok(f"{found.name} is there and whole")
    if found.state == "absent":
        fetch = f"course data fetch {found.task}{full}"
        if not found.needed:
            return ok(f"{found.name} is not there; only COURSE_SCALE=full needs it (`{fetch}`)")
        return note(f"{found.name} is not there yet",
                    f"The first notebook that needs it fetches it; to be offline then: {fetch}")
    if found.state == "damaged":
        return problem(f"{found.path} is damaged or changed (its SHA-256 differs)",
                       f"Fetch it again: course data fetch {found.task}{full} --again")
    return problem(f"{found.path} cannot be read: {found.state}",
                   "Give yourself the right to read it, or let COURSE_CACHE name another folder.")


# --- disk, memory, ports --------------------------------------------------------------------


def judge_disk(found: Disk) -> Finding:
    """Free space where the course writes."""
    what = f"{found.free / GB:.1f} GB free for the {found.what} ({found.path})"
    if found.free < DISK_LEAST:
        return problem(what, "Make room: notebooks, the site and data could not be written."
                             " COURSE_CACHE moves the data to another disk.")
    if found.free < DISK_ENOUGH:
        return note(what, "Enough to run what is installed; installing anew takes about 5 GB,"
                          " with CUDA libraries about twice that.")
    return ok(what)


def judge_memory(found: Memory) -> Finding:
    """Memory in all, the container's limit included, and what is free of it now."""
    total = min(found.total, found.limit or found.total)
    available = min(found.available, total)
    limited = " (the container's limit)" if total < found.total else ""
    what = f"{total / GB:.1f} GB of memory{limited}, {available / GB:.1f} GB available"
    if total < MEMORY_LEAST:
        return problem(what, "Both frameworks and a notebook need about 2.5 GB: give the machine or"
                             " the container more, or use Colab.")
    if available < MEMORY_ENOUGH:
        return note(what, "A notebook takes up to 2 GB: close other programs or kernels first.")
    return ok(what)


def judge_port(found: Port) -> Finding:
    """Whether JupyterLab and the website find their usual ports free."""
    if found.state == "free":
        return ok(f"port {found.number} is free for {found.program}")
    if found.state == "taken":
        return note(f"port {found.number} of {found.program} is taken",
                    "Another one is taken by itself: read the address that the program prints.")
    return problem(f"port {found.number} for {found.program} cannot be opened: {found.state}",
                   "Allow programs to listen on 127.0.0.1, or choose another port: `make lab"
                   " ARGS=--port=8899`, `make serve PORT=8001`.")


# --- programs -------------------------------------------------------------------------------


def judge_browsers(found: list[Browser]) -> Finding:
    """A browser is needed by the tests alone."""
    starts = [browser for browser in found if browser.version]
    if starts:
        return ok(f"for the tests: {starts[0].version} ({starts[0].path})")
    tried = "; ".join(f"{browser.path}: {browser.error}" for browser in found)
    return note(
        "no browser for the tests of the website starts" + (f" ({tried})" if tried else ""),
        "Only the tests need one; `make test` fetches it, and so does"
        " `python -m playwright install --with-deps chromium`.",
    )


def judge_kernel(found: Kernel) -> Finding:
    """Whether the notebooks' kernel is this Python."""
    again = "python -m ipykernel install --sys-prefix"
    if found.program is None:
        return problem(f"Jupyter has no kernel named python3: {found.error}", MEND)
    if found.program in ("python", "python3") or _same_program(found.program, found.this):
        return ok(f"the kernel python3 starts this Python ({found.folder or 'built in'})")
    return problem(
        f"the kernel python3 in {found.folder} starts {found.program or 'nothing'}, not this Python",
        f"Remove it (jupyter kernelspec remove python3), then: {again}",
    )


def _same_program(one: str, other: str) -> bool:
    """The same file by name; links stay as they are, for they tell environments apart."""
    import os.path

    def plain(path: str) -> str:
        folder, name = os.path.split(os.path.normcase(os.path.normpath(path)))
        return os.path.join(folder, re.sub(r"^python[\d.]*", "python", name))

    return plain(one) == plain(other)


def judge_encoding(found: Encoding) -> Finding:
    """Whether text is UTF-8, as the course writes it."""
    def utf8(name: str) -> bool:
        return name.lower().replace("-", "").replace("_", "") in ("utf8", "utf8sig")

    advice = "Set PYTHONUTF8=1 in the environment" + (
        "." if found.system == "Windows" else ", or a UTF-8 locale such as LANG=C.UTF-8.")
    if not utf8(found.names):
        return problem(f"file names are encoded as {found.names}, not UTF-8", advice)
    if not utf8(found.files):
        judge = note if found.system == "Windows" else problem
        return judge(f"files are encoded as {found.files} where a program names no encoding", advice)
    if not utf8(found.printed):
        return note(f"what is printed is encoded as {found.printed}: some signs cannot be shown",
                    "Set PYTHONUTF8=1 in the environment.")
    return ok("text is encoded as UTF-8")


def judge_index(found: Index) -> Finding:
    """Whether packages and data could be fetched now."""
    if found.reached:
        return ok("the package index answers")
    return problem(f"pip gets nothing from its package index: {found.said}",
                   "Check the network and the proxy, or pip's index setting (pip config list)."
                   " What is installed and cached works without it.")


# --- all of them ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Check:
    """A name, how the facts are gathered, and how each is judged (None: nothing to say)."""

    name: str
    gather: Callable[[Machine], list[Any]]
    judge: Callable[[Any], Finding | None]


CHECKS: tuple[Check, ...] = (
    Check("python", Machine.python, judge_python),
    Check("versions", Machine.packages, judge_package),
    Check("frameworks", Machine.frameworks, judge_framework),
    Check("devices", Machine.devices, judge_devices),
    Check("notebooks", Machine.together, judge_together),
    Check("threads", Machine.threads, judge_threads),
    Check("threads", Machine.threads, judge_threads_taken),
    Check("threads", Machine.threads, judge_omp),
    Check("threads", Machine.onednn, judge_onednn),
    Check("settings", Machine.settings, judge_setting),
    Check("data", Machine.cache, judge_cache),
    Check("data", Machine.data_files, judge_data_file),
    Check("disk", Machine.disks, judge_disk),
    Check("memory", Machine.memory, judge_memory),
    Check("ports", Machine.ports, judge_port),
    Check("browser", Machine.browsers, judge_browsers),
    Check("kernel", Machine.kernels, judge_kernel),
    Check("encoding", Machine.encodings, judge_encoding),
    Check("network", Machine.indexes, judge_index),
)


def examine(
    machine: Machine, checks: Iterable[Check] | None = None
) -> Iterator[tuple[str, Finding]]:
    """Make every check, and give each finding with its check's name as soon as it is known."""
    for check in CHECKS if checks is None else checks:
        try:
            found = [check.judge(fact) for fact in check.gather(machine)]
        except Exception as error:  # a broken check must not hide the others
            yield check.name, _broken(check.name, error)
        else:
            yield from ((check.name, finding) for finding in found if finding)


def _broken(name: str, error: Exception) -> Finding:
    if isinstance(error, ModuleNotFoundError):
        return problem(f"could not look: {error}", MEND)
    said = traceback.format_exception_only(error)[-1].strip()
    return problem(f"could not look: {said}",
                   f"This is a fault of the doctor: report it with this line, as check {name!r}.")
