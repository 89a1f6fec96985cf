"""Every judgement of the doctor on a good and a bad machine, and the command itself."""

import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from click.testing import CliRunner

from course_lib import runtime
from course_lib.data import REGISTRY
from course_tools import doctor, machine, probe
from course_tools.cli import main
from course_tools.doctor import Check, Finding
from course_tools.machine import (
    Browser,
    Cache,
    DataFile,
    Devices,
    Disk,
    Encoding,
    Index,
    Kernel,
    Machine,
    Memory,
    Nvidia,
    OneDNN,
    Package,
    Port,
    Python,
    Setting,
    Threads,
)
from course_tools.probe import Framework

ROOT = Path(__file__).resolve().parents[2]
VENV = Path("/course/.venv")
CARD = Nvidia(True, True, "580.10", ("NVIDIA L4",))
SICK = Nvidia(True, False, said="Failed to initialize NVML: Driver/library version mismatch")
FINE = Framework("torch", "ok", facts={"version": "2.13.0"})
RAN = {"device": "cpu", "threads": 2, "scale": "quick", "seed": 0}
FOLDER = Path("/cache")


def package(installed, asked=">=2.6", locked="2.13.0"):
    return Package("torch", installed, asked, locked)


def framework(state, said=""):
    return Framework("tensorflow", state, said)


def together(state, said="", each=FINE):
    return Framework("together", state, said, RAN if state == "ok" else {}), [each]


def devices(torch, tensorflow, **more):
    return Devices(torch, tensorflow, **more)


def linux(torch, tensorflow, **more):
    built = {"torch_built_for": "13.0", "tensorflow_built_for": "12.5"}
    return Devices(torch, tensorflow, **{**built, "nvidia": CARD, **more})


def mac(torch, tensorflow, **more):
    return Devices(torch, tensorflow, system="Darwin", processor="arm64", **more)


def setting(name, value="1"):
    return Setting(name, value)


def data_file(state, full=False, needed=True):
    return DataFile("mnist-5k", "mnist" if full else "mnist-5k", full, state, FOLDER / "f", needed)


def kernel(program, error=""):
    return Kernel(program, "/share/kernels/python3", "/course/.venv/bin/python", error)


# A judgement, a fact, the status that it must get, and words that the finding must hold.
CASES = [
    (doctor.judge_python, Python((3, 11, 0), VENV, VENV, True), "ok", "3.11.0, the project's .venv"),
    (doctor.judge_python, Python((3, 13, 9), VENV, VENV, True), "ok", "3.13.9"),
    (doctor.judge_python, Python((3, 10, 9), VENV, VENV, True), "problem", "3.11 to 3.13 PYTHON="),
    (doctor.judge_python, Python((3, 14, 0), VENV, VENV, True), "problem", "3.14.0"),
    (doctor.judge_python, Python((3, 12, 1), VENV, VENV, True, 32), "problem", "32-bit"),
    (doctor.judge_python, Python((3, 12, 1), Path("/usr"), VENV, True), "note", "/usr .venv is not"),
    (doctor.judge_python, Python((3, 12, 1), Path("/usr"), VENV, False), "note", "not there yet"),
    (doctor.judge_python, Python((3, 12, 1), Path("/usr"), None, False), "ok", "outside a checkout"),
    (doctor.judge_package, package("2.13.0"), "ok", "torch 2.13.0"),
    (doctor.judge_package, package("2.13.0+cpu"), "ok", "torch 2.13.0+cpu"),
    (doctor.judge_package, package("2.14.0rc1"), "note", "the tested set holds 2.13.0"),
    (doctor.judge_package, package("2.12.0"), "note", "2.12.0 requirements.lock"),
    (doctor.judge_package, package("2.5.1"), "problem", "outside the range >=2.6 pip install"),
    (doctor.judge_package, package("2.5.1", asked=""), "note", "the tested set"),
    (doctor.judge_package, package("2.5.1", "", ""), "ok", "no range"),
    (doctor.judge_package, package(None), None, ""),
    (doctor.judge_package, Package("numpy", None), "problem", "not installed pip install -r requirements"),
    (doctor.judge_framework, FINE, "ok", "PyTorch 2.13.0 starts and takes a step"),
    (doctor.judge_framework, framework("missing"), "problem", "TensorFlow is not installed pip"),
    (doctor.judge_framework, framework("error", "ImportError: libx.so"), "problem",
     "first step: ImportError: libx.so --force-reinstall tensorflow"),
    (doctor.judge_framework, framework("error", "dlopen libmetal_plugin.dylib"), "problem",
     "uninstall tensorflow-metal"),
    (doctor.judge_framework, framework("error", "x.SettingError: COURSE_THREADS"), None, ""),
    (doctor.judge_framework, framework("crash", "it ended with SIGILL"), "problem", "AVX"),
    (doctor.judge_framework, framework("crash", "it ended with SIGKILL"), "problem", "memory"),
    (doctor.judge_framework, framework("crash", "it ended with SIGABRT"), "problem", "Reinstall"),
    (doctor.judge_framework, framework("timeout", "no answer within 9 s"), "problem",
     "does not finish starting: no answer within 9 s --timeout"),
    (doctor.judge_together, together("ok"), "ok", "device cpu with 2 threads at quick scale"),
    (doctor.judge_together, together("crash", "SIGSEGV"), "problem",
     "not beside the other: SIGSEGV tested set --force-reinstall"),
    (doctor.judge_together, together("error", "runtime.SettingError: COURSE_SEED is 'x'"), None, ""),
    (doctor.judge_together, together("crash", "x", framework("crash")), None, ""),
    (doctor.judge_together, together("timeout", "x", framework("timeout")), None, ""),
    (doctor.judge_together, together("error", "x", framework("error")), None, ""),
    (doctor.judge_devices, devices("cpu", "cpu"), "ok", "neither framework sees a GPU"),
    (doctor.judge_devices, linux("cuda", "cuda", cards=("NVIDIA L4",)), "ok", "cuda (NVIDIA L4)"),
    (doctor.judge_devices, mac("mps", "mps"), "ok", "both frameworks see the GPU: mps"),
    (doctor.judge_devices, linux("cuda", "cpu"), "problem",
     "TensorFlow cannot use NVIDIA L4, PyTorch can requirements-cuda.txt COURSE_DEVICE=cpu"),
    (doctor.judge_devices, linux("cuda", "cpu", tensorflow_libraries=True), "problem",
     "cannot use driver 580.10 update"),
    (doctor.judge_devices, linux("cuda", "cpu", tensorflow_built_for=""), "problem",
     "uninstall tensorflow-cpu"),
    (doctor.judge_devices, linux("cpu", "cuda"), "problem",
     "PyTorch cannot use NVIDIA L4, TensorFlow can built for CUDA 13.0 update NVIDIA's driver"),
    (doctor.judge_devices, linux("cpu", "cpu", torch_built_for=""), "problem",
     "PyTorch and TensorFlow cannot use uninstall torch lacks its CUDA libraries"),
    (doctor.judge_devices, linux("cpu", "cpu", wanted="cpu"), "ok", "COURSE_DEVICE=cpu"),
    (doctor.judge_devices, linux("cpu", "cpu", hidden=""), "note", "hides the card"),
    (doctor.judge_devices, linux("cpu", "cpu", hidden="-1"), "note", "hides the card"),
    (doctor.judge_devices, linux("cpu", "cpu", hidden="0"), "problem", "lacks its CUDA"),
    (doctor.judge_devices, linux("cpu", "cpu", nvidia=SICK), "problem", "version mismatch Restart"),
    (doctor.judge_devices, linux("cpu", "cpu", nvidia=SICK, wanted="cpu"), "ok", "the CPU"),
    (doctor.judge_devices, linux("cuda", "cpu", system="Windows"), "note", "WSL 2"),
    (doctor.judge_devices, linux("cpu", "cpu", system="Windows", torch_built_for=""), "note",
     "pytorch.org WSL 2"),
    (doctor.judge_devices, linux("", "cuda"), "note", "no telling what PyTorch can see"),
    (doctor.judge_devices, linux("cuda", ""), "note", "no telling what TensorFlow can see"),
    (doctor.judge_devices, mac("mps", "cpu"), "note", "TensorFlow cannot use plug-in tensorflow-metal"),
    (doctor.judge_devices, mac("mps", "cpu", metal="1.2.0"), "note", "tensorflow-metal 1.2.0 not fit"),
    (doctor.judge_devices, mac("cpu", "mps"), "note", "PyTorch macOS 14"),
    (doctor.judge_devices, mac("cpu", "cpu"), "ok", "the CPU"),
    (doctor.judge_devices, devices("cuda", "cpu", amd=True), "note", "AMD"),
    (doctor.judge_devices, devices("cuda", "cpu"), "note", "no working NVIDIA driver"),
    (doctor.judge_devices, devices("cpu", "cpu", wanted="cuda"), "problem",
     "COURSE_DEVICE is cuda, but PyTorch and TensorFlow no working NVIDIA driver unset"),
    (doctor.judge_devices, linux("cuda", "cpu", wanted="cuda"), "problem",
     "COURSE_DEVICE is cuda, but TensorFlow can"),
    (doctor.judge_devices, linux("cuda", "cuda", wanted="cuda"), "ok", "both"),
    (doctor.judge_devices, mac("mps", "cpu", wanted="mps"), "problem", "COURSE_DEVICE is mps"),
    (doctor.judge_threads, Threads(2, 2), "ok", "2 threads a framework; 2 usable cores"),
    (doctor.judge_threads, Threads(3, 2), "note", "COURSE_THREADS=2"),
    (doctor.judge_threads, Threads(8, 64, quota=1.5), "note", "1.5 CPUs COURSE_THREADS=2"),
    (doctor.judge_threads, Threads(1, 64, quota=0.5), "ok", "0.5 CPUs"),
    (doctor.judge_threads, Threads(None, 2), None, ""),
    (doctor.judge_threads_taken, Threads(2, 2, torch=2, tensorflow=2), None, ""),
    (doctor.judge_threads_taken, Threads(2, 2), None, ""),
    (doctor.judge_threads_taken, Threads(None, 2, torch=1), None, ""),
    (doctor.judge_threads_taken, Threads(2, 2, torch=4, tensorflow=2), "problem",
     "set 2 threads, but PyTorch took 4 course_lib"),
    (doctor.judge_threads_taken, Threads(2, 2, torch=2, tensorflow=0), "problem", "TensorFlow took 0"),
    (doctor.judge_onednn, OneDNN(None), None, ""),
    (doctor.judge_onednn, OneDNN(True), "ok", "oneDNN"),
    (doctor.judge_onednn, OneDNN(False), "note", "without TF_ENABLE_ONEDNN_OPTS=1 course_lib"),
    (doctor.judge_onednn, OneDNN(False, wanted="1"), "note", "without oneDNN"),
    (doctor.judge_onednn, OneDNN(False, wanted="0"), None, ""),
    (doctor.judge_onednn, OneDNN(False, offered=False), None, ""),
    (doctor.judge_omp, Threads(2, 2), None, ""),
    (doctor.judge_omp, Threads(2, 2, omp="2"), None, ""),
    (doctor.judge_omp, Threads(None, 2, omp="2"), None, ""),
    (doctor.judge_omp, Threads(8, 4, omp="1"), "note", "OMP_NUM_THREADS is 1 use 8 such as 4"),
    (doctor.judge_setting, setting("COURSE_SEED", "3"), "ok", "COURSE_SEED=3"),
    (doctor.judge_setting, setting("COURSE_SEED", ""), "ok", "COURSE_SEED="),
    (doctor.judge_setting, setting("COURSE_SEED", "-1"), "problem", "'-1' a whole number, 0 or more"),
    (doctor.judge_setting, setting("COURSE_THREADS", "two"), "problem", "1 or more; or unset"),
    (doctor.judge_setting, setting("COURSE_SCALE", "FULL"), "ok", ""),
    (doctor.judge_setting, setting("COURSE_SCALE", "big"), "problem", "quick or full"),
    (doctor.judge_setting, setting("COURSE_DEVICE", "gpu"), "problem", "auto or cpu or cuda or mps"),
    (doctor.judge_setting, setting("COURSE_CACHE", "/data"), "ok", ""),
    (doctor.judge_setting, setting("COURSE_PACKAGE", "a.whl"), "ok", ""),
    (doctor.judge_setting, setting("COURSE_REPOSITORY", "someone/course"), "ok", ""),
    (doctor.judge_setting, setting("COURSE_REPOSITORY", "someone"), "problem", "owner/name"),
    (doctor.judge_setting, setting("COURSE_WEBSITE", "https://example.org/x"), "ok", ""),
    (doctor.judge_setting, setting("COURSE_WEBSITE", "example.org"), "problem", "https://"),
    (doctor.judge_setting, setting("COURSE_ALLOW_NETWORK", "yes"), "problem", "0 or 1"),
    (doctor.judge_setting, setting("COURSE_THREAD", "2"), "problem", "mean COURSE_THREADS?"),
    (doctor.judge_setting, setting("course_seed", "2"), "problem", "mean COURSE_SEED?"),
    (doctor.judge_setting, setting("COURSE_GRADES_DB", "x"), "note", "The settings are COURSE_SEED"),
    (doctor.judge_setting, setting("KERAS_BACKEND", "tensorflow"), None, ""),
    (doctor.judge_setting, setting("KERAS_BACKEND", "jax"), "problem", "It should be tensorflow"),
    (doctor.judge_cache, Cache(FOLDER, False, "", False), "ok", "kept in /cache"),
    (doctor.judge_cache, Cache(FOLDER, True, "", True), "ok", "kept in /cache (COURSE_CACHE)"),
    (doctor.judge_cache, Cache(FOLDER, True, "Read-only file system", True), "ok", "read from"),
    (doctor.judge_cache, Cache(FOLDER, True, "Permission denied", False), "problem",
     "cannot be written: Permission denied COURSE_CACHE"),
    (doctor.judge_data_file, data_file("whole"), "ok", "mnist-5k is there and whole"),
    (doctor.judge_data_file, data_file("absent"), "note", "course data fetch mnist-5k"),
    (doctor.judge_data_file, data_file("absent", full=True, needed=False), "ok",
     "only COURSE_SCALE=full mnist-5k --full"),
    (doctor.judge_data_file, data_file("absent", full=True), "note", "fetch mnist-5k --full"),
    (doctor.judge_data_file, data_file("damaged"), "problem", "fetch mnist-5k --again"),
    (doctor.judge_data_file, data_file("damaged", full=True), "problem", "mnist-5k --full --again"),
    (doctor.judge_data_file, data_file("Permission denied"), "problem", "read: Permission denied"),
    (doctor.judge_disk, Disk("course", FOLDER, int(6e9)), "ok", "6.0 GB free for the course (/cache)"),
    (doctor.judge_disk, Disk("course", FOLDER, int(4e9)), "note", "4.0 GB installing"),
    (doctor.judge_disk, Disk("data cache", FOLDER, int(4e8)), "problem", "0.4 GB Make room"),
    (doctor.judge_memory, Memory(int(16e9), int(9e9)), "ok", "16.0 GB of memory, 9.0 GB available"),
    (doctor.judge_memory, Memory(int(16e9), int(1e9)), "note", "close other programs"),
    (doctor.judge_memory, Memory(int(2e9), int(1e9)), "problem", "2.0 GB Colab"),
    (doctor.judge_memory, Memory(int(64e9), int(50e9), int(1e9)), "problem", "1.0 GB container's"),
    (doctor.judge_memory, Memory(int(64e9), int(50e9), int(3e9)), "ok", "3.0 GB available"),
    (doctor.judge_memory, Memory(int(3e9), int(2.5e9), int(64e9)), "ok", "3.0 GB of memory, 2.5"),
    (doctor.judge_port, Port(8888, "JupyterLab", "free"), "ok", "port 8888 is free for JupyterLab"),
    (doctor.judge_port, Port(8000, "the website", "taken"), "note", "8000 taken by itself"),
    (doctor.judge_port, Port(80, "the website", "Permission denied"), "problem", "PORT=8001"),
    (doctor.judge_browsers, [Browser("/b", "Chromium 140")], "ok", "Chromium 140 (/b)"),
    (doctor.judge_browsers, [Browser("/a", "", "no lib"), Browser("/b", "C 1")], "ok", "C 1 (/b)"),
    (doctor.judge_browsers, [Browser("/b", "", "no lib")], "note", "/b: no lib playwright install"),
    (doctor.judge_browsers, [], "note", "make test"),
    (doctor.judge_kernel, kernel("python"), "ok", "starts this Python"),
    (doctor.judge_kernel, kernel("/course/.venv/bin/python3.11"), "ok", "this Python"),
    (doctor.judge_kernel, kernel("/usr/bin/python"), "problem", "/usr/bin/python kernelspec remove"),
    (doctor.judge_kernel, kernel(""), "problem", "starts nothing"),
    (doctor.judge_kernel, kernel(None, "No such kernel"), "problem", "No such kernel pip install"),
    (doctor.judge_encoding, Encoding("utf-8", "UTF-8", "utf_8"), "ok", "UTF-8"),
    (doctor.judge_encoding, Encoding("ascii", "UTF-8", "utf-8"), "problem", "file names LANG"),
    (doctor.judge_encoding, Encoding("utf-8", "ANSI_X3.4-1968", "utf-8"), "problem", "LANG=C.UTF-8"),
    (doctor.judge_encoding, Encoding("utf-8", "cp1252", "utf-8", "Windows"), "note", "PYTHONUTF8=1"),
    (doctor.judge_encoding, Encoding("utf-8", "utf-8", "latin-1"), "note", "printed PYTHONUTF8=1"),
    (doctor.judge_index, Index(True), "ok", "answers"),
    (doctor.judge_index, Index(False, "ERROR: no"), "problem", "ERROR: no proxy"),
]


def label(value):
    return value.__name__ if callable(value) else None


@pytest.mark.parametrize("judge, fact, status, words", CASES, ids=label)
def test_judgements(judge, fact, status, words):
    finding = judge(fact)
    assert (finding.status if finding else None) == status
    if finding:
        text = f"{finding.what} {finding.advice}"
        missing = [word for word in words.split() if word not in text]
        assert not missing, f"{missing} not in: {text}"
        assert bool(finding.advice) == (status != "ok")
        assert finding.advice.count(". ") <= 4, "advice is short"


@pytest.mark.parametrize("finding, text", [
    (doctor.judge_package(package("2.13.0")), "torch 2.13.0"),
    (doctor.judge_package(package("2.13.0", locked="")), "torch 2.13.0"),
    (doctor.judge_python(Python((3, 12, 1), Path("/usr"), VENV, True)),
     "Python 3.12.1 in /usr: the project's .venv is not what runs now"),
    (doctor.judge_devices(linux("cuda", "cuda")), "both frameworks see the GPU: cuda"),
    (doctor.judge_devices(linux("cpu", "cpu")),
     "PyTorch and TensorFlow cannot use NVIDIA L4: the notebooks run on the CPU"),
    (doctor.judge_cache(Cache(FOLDER, False, "", False)), "data files are kept in /cache"),
    (doctor.judge_browsers([]), "no browser for the tests of the website starts"),
])
def test_words_that_do_not_belong_are_left_out(finding, text):
    assert finding.what == text


def test_commands_for_the_default_sets_do_not_fetch_the_full_ones():
    for state in ("absent", "damaged"):
        assert "--full" not in doctor.judge_data_file(data_file(state)).advice


def test_every_check_has_a_good_and_a_bad_case():
    for check in doctor.CHECKS:
        seen = {status for judge, _, status, _ in CASES if judge is check.judge}
        assert seen & {"ok", None} and seen & {"note", "problem"}, check.judge.__name__


# --- the judgements and the rest of the house agree -----------------------------------------


def test_the_pythons_are_those_of_make_py(root):
    text = (root / "make.py").read_text("utf8")
    assert f"OLDEST, NEWEST = {doctor.OLDEST}, {doctor.NEWEST}" in text


def test_every_setting_in_the_code_is_known(root):
    files = [root / "make.py", root / "README.md", *(root / "tests" / "_offline").glob("*.py")]
    for folder in ("course_lib", "course_tools", "book"):
        files += [*(root / folder).rglob("*.py"), *(root / folder).rglob("*.md")]
    pattern = re.compile(r"\bCOURSE_[A-Z]+(?:_[A-Z]+)*\b(?!_)")
    used = {name for file in files for name in pattern.findall(file.read_text("utf8"))}
    assert len(used) >= 8
    assert used <= set(doctor.SETTINGS), used - set(doctor.SETTINGS)


@pytest.mark.parametrize("value", ["0", "1", "-1", "7", "x", "1.5", "--2", " 3 ", "²"])
@pytest.mark.parametrize("name, ask", [("COURSE_SEED", runtime.seed),
                                       ("COURSE_THREADS", runtime.threads)])
def test_numbers_are_judged_as_runtime_judges_them(monkeypatch, name, ask, value):
    monkeypatch.setenv(name, value)
    try:
        ask()
        refused = False
    except ValueError:
        refused = True
    assert (doctor.judge_setting(Setting(name, value)).status == "problem") == refused


@pytest.mark.parametrize("value", ["quick", "full", "Full", "fast", ""])
def test_scales_are_judged_as_runtime_judges_them(monkeypatch, value):
    monkeypatch.setenv("COURSE_SCALE", value)
    monkeypatch.setenv("COURSE_DEVICE", "cpu")
    try:
        runtime.scale()
        refused = False
    except ValueError:
        refused = True
    assert (doctor.judge_setting(Setting("COURSE_SCALE", value)).status == "problem") == refused


# --- facts ----------------------------------------------------------------------------------


def test_requirements_are_read_with_what_they_include(tmp_path):
    (tmp_path / "a.txt").write_text("-r b.txt\ntorch>=2.6,<3  # why\n\n# no\nx; python_version<'3'\n")
    (tmp_path / "b.txt").write_text("NumPy>=1.26\n")
    found = machine.read_requirements(tmp_path / "a.txt")
    assert found == {"numpy": ">=1.26", "torch": "<3,>=2.6"}


def test_the_course_names_a_range_and_a_lock_for_its_packages():
    found = {package.name: package for package in Machine(ROOT).packages()}
    assert all(found[n].asked and found[n].locked and found[n].installed for n in
               ("torch", "tensorflow", "numpy", "jupyterlab"))
    assert found["keras"].locked and machine.installed_version("no-such-package") is None


def test_container_limits_are_the_smallest_on_the_way_up(tmp_path):
    own = tmp_path / "cgroup"
    own.write_text("0::/a/b\n")
    inner = tmp_path / "fs" / "a" / "b"
    inner.mkdir(parents=True)
    (inner / "cpu.max").write_text("max 100000\n")
    (inner / "memory.max").write_text("3000000000\n")
    (inner.parent / "cpu.max").write_text("150000 100000\n")
    (inner.parent / "memory.max").write_text("max\n")
    assert machine.cgroup_limits(tmp_path / "fs", own) == (1.5, 3_000_000_000)
    assert machine.cgroup_limits(tmp_path / "none", own) == (None, None)


def test_container_limits_of_the_older_kind(tmp_path):
    for name, text in {"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000",
                       "memory/memory.limit_in_bytes": str(2**31)}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert machine.cgroup_limits(tmp_path, tmp_path / "none") == (2.0, 2**31)
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("-1")
    (tmp_path / "memory/memory.limit_in_bytes").write_text(str(2**63 - 4096))
    assert machine.cgroup_limits(tmp_path, tmp_path / "none") == (None, None)


def test_a_taken_port_is_seen():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        number = server.getsockname()[1]
        assert machine.port_state(number) == "taken"
    assert machine.port_state(number) == "free"


def cached(monkeypatch, folder):
    """An empty cache, and the digits as the only data set."""
    monkeypatch.setenv("COURSE_CACHE", str(folder))
    for name in set(REGISTRY) - {"mnist-5k"}:
        monkeypatch.delitem(REGISTRY, name)
    return folder / REGISTRY["mnist-5k"].embedded.file.cached_name


def test_a_damaged_data_file_is_found(monkeypatch, tmp_path):
    path = cached(monkeypatch, tmp_path)
    assert [f.state for f in Machine(ROOT).data_files()] == ["absent", "absent"]
    path.write_bytes(b"not the digits")
    damaged = Machine(ROOT).data_files()[0]
    assert damaged.state == "damaged" and damaged.path == path
    assert not Machine(ROOT).cache()[0].complete
    path.unlink()
    path.mkdir()
    assert doctor.judge_data_file(Machine(ROOT).data_files()[0]).status == "problem"


def test_a_whole_data_file_is_whole(monkeypatch, tmp_path):
    from course_lib.data.archive import cache_folder

    name = REGISTRY["mnist-5k"].embedded.file.cached_name
    if not (cache_folder() / name).is_file():
        pytest.fail("run `course data fetch` first, as `make test` does")
    shutil.copy(cache_folder() / name, tmp_path / name)
    cached(monkeypatch, tmp_path)
    assert Machine(ROOT).data_files()[0].state == "whole" and Machine(ROOT).cache()[0].complete


def test_full_size_sets_are_needed_at_full_scale(monkeypatch, tmp_path):
    cached(monkeypatch, tmp_path)
    assert [f.needed for f in Machine(ROOT).data_files()] == [True, False]
    monkeypatch.setenv("COURSE_SCALE", "full")
    assert [f.needed for f in Machine(ROOT).data_files()] == [True, True]


def test_a_cache_that_is_no_folder_is_found(monkeypatch, tmp_path):
    cached(monkeypatch, tmp_path / "deep" / "cache")
    assert Machine(ROOT).cache()[0].error == ""
    (tmp_path / "deep").write_text("a file")
    cached(monkeypatch, tmp_path / "deep")
    assert doctor.judge_cache(Machine(ROOT).cache()[0]).status == "problem"


def program(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.skipif(os.name == "nt", reason="the stand-ins are shell scripts")
def test_nvidia_smi_is_heard(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.nvidia_smi() == Nvidia()
    program(tmp_path / "nvidia-smi", "echo 'NVIDIA L4, 580.10'; echo 'NVIDIA L4, 580.10'")
    assert machine.nvidia_smi() == Nvidia(True, True, "580.10", ("NVIDIA L4", "NVIDIA L4"))
    program(tmp_path / "nvidia-smi", "echo 'Driver/library version mismatch'; exit 9")
    assert machine.nvidia_smi() == Nvidia(True, said="Driver/library version mismatch")


@pytest.mark.skipif(os.name == "nt", reason="the stand-ins are shell scripts")
def test_browsers_are_started(tmp_path):
    good = program(tmp_path / "good", "echo Chromium 140.0")
    bad = program(tmp_path / "bad", "echo libnss3.so is missing >&2; exit 127")
    assert machine.start_browser(str(good)).version == "Chromium 140.0"
    assert machine.start_browser(str(bad)).error == "libnss3.so is missing"
    assert machine.start_browser(str(tmp_path / "none")).error


def test_a_kernel_of_another_python_is_found(monkeypatch, tmp_path):
    spec = {"argv": ["/other/bin/python", "-m", "ipykernel_launcher"], "display_name": "P",
            "language": "python"}
    folder = tmp_path / "kernels" / "python3"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(json.dumps(spec))
    assert doctor.judge_kernel(Machine(ROOT).kernels()[0]).status == "ok"
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    assert doctor.judge_kernel(Machine(ROOT).kernels()[0]).status == "problem"


def test_the_index_is_asked_only_when_asked(monkeypatch):
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    assert Machine(ROOT).indexes() == []
    (found,) = Machine(ROOT, 60, online=True).indexes()
    assert not found.reached and found.said


# --- frameworks that fail -------------------------------------------------------------------


def fakes(monkeypatch, folder, **sources):
    for name, source in sources.items():
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(source)
    monkeypatch.setenv("PYTHONPATH", str(folder))


ABORTS = "import os, sys\nprint('a last word', file=sys.stderr, flush=True)\nos.abort()\n"
FAILS = "raise ImportError('libcudnn.so.9: cannot open shared object file')\n"
TORCH = """
from types import SimpleNamespace as N
__version__ = "9.9"
count = 1
set_num_threads = lambda n: globals().update(count=n)
get_num_threads = lambda: count
cuda = N(is_available=lambda: True, device_count=lambda: 1, get_device_name=lambda card: "Card")
backends = N(mps=N(is_available=lambda: False))
version = N(cuda="13.0", hip=None)
ones = lambda n: [1.0] * n
class W(list):
    square = sum = lambda self: self
    backward = lambda self: None
    tolist = lambda self: [0.5, 0.5]
nn = N(Parameter=W)
optim = N(SGD=lambda w, lr: N(step=lambda: None))
"""
BLIND_TENSORFLOW = """
from types import SimpleNamespace as N
threading = N(set_intra_op_parallelism_threads=id, set_inter_op_parallelism_threads=id)
config = N(threading=threading, list_physical_devices=lambda kind: [])
zeros = id
"""
DIES = TORCH + """
import os, signal
optim = N(SGD=lambda w, lr: os.kill(os.getpid(), signal.SIGSEGV))
"""


def test_a_framework_that_crashes_is_a_finding_and_the_other_still_answers(monkeypatch, tmp_path):
    fakes(monkeypatch, tmp_path, torch=TORCH, tensorflow=ABORTS)
    found, together = probe.look(machine.FRAMEWORKS, 60)
    assert found["torch"].state == "ok" and found["torch"].facts["cards"] == ["Card"]
    assert found["tensorflow"].state == "crash"
    assert re.search(r"signal 6 .SIGABRT|status", found["tensorflow"].said)
    assert "a last word" in found["tensorflow"].said, "its last words are not held back"
    assert together.state == "crash"
    assert doctor.judge_framework(found["tensorflow"]).status == "problem"


def test_a_framework_that_raises_says_its_last_line(monkeypatch, tmp_path):
    fakes(monkeypatch, tmp_path, torch=FAILS)
    found, together = probe.look(("torch",), 60)
    assert found["torch"].state == "error" and "libcudnn.so.9" in found["torch"].said
    assert together.state == "error"


def test_a_framework_that_hangs_is_a_finding(monkeypatch, tmp_path):
    fakes(monkeypatch, tmp_path, torch="import time\ntime.sleep(600)\n")
    found, _ = probe.look(("torch",), 1)
    assert found["torch"].state == "timeout" and "1 s" in found["torch"].said


def test_a_framework_that_crashes_only_beside_the_other_is_a_finding(monkeypatch, tmp_path):
    beside = "import sys, os\nif 'course_lib' in sys.modules: os.abort()\n" + TORCH
    fakes(monkeypatch, tmp_path, torch=beside)
    found, together = probe.look(("torch",), 60)
    assert found["torch"].state == "ok" and together.state == "crash"
    assert doctor.judge_together((together, list(found.values()))).status == "problem"


@pytest.mark.skipif(os.name == "nt", reason="a process dies by a signal elsewhere")
def test_a_step_that_kills_the_process_is_said_in_words(monkeypatch, tmp_path):
    fakes(monkeypatch, tmp_path, torch=DIES)
    found, together = probe.look(("torch",), 60)
    finding = doctor.judge_framework(found["torch"])
    assert together.state == "crash" and finding.status == "problem"
    assert "first step: it was killed by signal 11 (SIGSEGV)" in finding.what and finding.advice


def test_a_step_that_goes_wrong_is_a_problem(monkeypatch, tmp_path):
    fakes(monkeypatch, tmp_path, torch=TORCH.replace("[0.5, 0.5]", "[1.0, 1.0]"))
    found, _ = probe.look(("torch",), 60)
    assert "ends at [1.0, 1.0], not at [0.5, 0.5]" in doctor.judge_framework(found["torch"]).what


@pytest.mark.parametrize(("name", "value"), [
    ("COURSE_SEED", "x"), ("COURSE_THREADS", "0"), ("COURSE_DEVICE", "tpu"), ("COURSE_DEVICE", "mps"),
])  # fmt: skip
def test_a_wrong_setting_is_said_once(monkeypatch, tmp_path, name, value):
    fakes(monkeypatch, tmp_path, torch=TORCH, tensorflow=BLIND_TENSORFLOW)
    monkeypatch.setattr(machine, "FRAMEWORKS", ("torch",))
    monkeypatch.setenv(name, value)
    machine_ = Machine(ROOT, 60)
    found, together = machine_._looked
    said = [doctor.judge_together((together, list(found.values()))),
            *map(doctor.judge_framework, found.values()),
            *map(doctor.judge_setting, machine_.settings()),
            doctor.judge_devices(devices("cpu", "cpu", wanted=value) if value == "mps"
                                 else devices("cpu", "cpu"))]
    problems = [finding for finding in said if finding and finding.status == "problem"]
    assert len(problems) == 1 and name in problems[0].what
    sentences = problems[0].advice.split(". ")
    assert len(sentences) == len(set(sentences))


def test_one_disk_is_said_once(monkeypatch, tmp_path):
    cached(monkeypatch, ROOT / "_build" / "no-such-cache")
    (disk,) = Machine(ROOT).disks()
    assert disk.what == "course and the data cache"


@pytest.mark.skipif(sys.platform == "darwin" or platform.machine() not in ("x86_64", "AMD64"),
                    reason="TensorFlow has oneDNN for x86-64 on Linux and Windows alone")
@pytest.mark.parametrize(("asked", "on"), [("0", False), ("1", True)])
def test_tensorflow_says_whether_it_uses_onednn(monkeypatch, asked, on):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", asked)
    found, _ = probe.look(("tensorflow",), 120)
    assert found["tensorflow"].facts["onednn"] is on


def test_errors_do_not_name_the_home_folder():
    assert probe.last_line("a\nError: /home/ann/x.so\n\n", "/home/ann") == "Error: ~/x.so"
    assert probe.status_name(-11) == "signal 11 (SIGSEGV)" and probe.status_name(0xC0000005) == "status 0xc0000005"


# --- the command ----------------------------------------------------------------------------


def run(*arguments, checks=None, monkeypatch=None):
    if checks is not None:
        monkeypatch.setattr(doctor, "CHECKS", checks)
    return CliRunner().invoke(main, ["doctor", *arguments])


def always(*findings):
    return (Check("test", lambda machine: list(findings), lambda fact: fact),)


GOOD, NOTED = Finding("ok", "good"), Finding("note", "hm", "try this")
BAD = Finding("problem", "bad", "do this")


@pytest.mark.parametrize("findings, status, last", [
    ([GOOD], 0, "no problems, no notes"),
    ([GOOD, NOTED], 0, "no problems, 1 note"),
    ([BAD, GOOD, NOTED], 1, "1 problem, 1 note"),
    ([BAD, BAD], 1, "2 problems, no notes"),
])
def test_exit_status_and_words(monkeypatch, findings, status, last):
    result = run(checks=always(*findings), monkeypatch=monkeypatch)
    assert result.exit_code == status, result.output
    assert result.output.splitlines()[-1] == last
    for finding in findings:
        assert finding.what in result.output and finding.advice in result.output


def check_schema(text):
    said = json.loads(text)
    assert set(said) == {"schema", "counts", "findings"} and said["schema"] == 1
    for row in said["findings"]:
        assert set(row) == {"check", "status", "what", "advice"}
        assert row["status"] in ("ok", "note", "problem") and row["what"] and row["check"]
        assert bool(row["advice"]) == (row["status"] != "ok")
    for status in ("ok", "note", "problem"):
        rows = [row for row in said["findings"] if row["status"] == status]
        assert said["counts"][status] == len(rows)
    return said


def test_json(monkeypatch):
    result = run("--json", checks=always(GOOD, NOTED, BAD), monkeypatch=monkeypatch)
    assert result.exit_code == 1
    assert [r["status"] for r in check_schema(result.stdout)["findings"]] == ["ok", "note", "problem"]


def test_a_check_that_breaks_is_a_problem_and_hides_no_other(monkeypatch):
    def breaks(machine):
        raise RuntimeError("no such sensor")

    checks = (Check("odd", breaks, lambda fact: fact), *always(GOOD))
    result = run("--json", checks=checks, monkeypatch=monkeypatch)
    first, second = check_schema(result.stdout)["findings"]
    assert first["status"] == "problem" and "RuntimeError: no such sensor" in first["what"]
    assert second["what"] == "good" and result.exit_code == 1


def test_nothing_is_said_where_nothing_is_to_say(monkeypatch):
    silent = (Check("odd", lambda machine: [1], lambda fact: None),)
    assert run(checks=silent, monkeypatch=monkeypatch).output == "no problems, no notes\n"


def test_the_command_on_this_machine(monkeypatch, tmp_path):
    """Everything real: both frameworks, this environment; one set of data damaged, one typo."""
    cached(monkeypatch, tmp_path).write_bytes(b"not the digits")
    monkeypatch.setenv("COURSE_SEEDS", "3")
    monkeypatch.setenv("COURSE_DEVICE", "cpu")
    result = run("--json")
    rows = check_schema(result.stdout)["findings"]
    assert result.exit_code == 1
    problems = [row for row in rows if row["status"] == "problem"]
    assert any("damaged" in row["what"] for row in problems)
    assert any("mean COURSE_SEED?" in row["advice"] for row in problems)
    text = "\n".join(row["what"] for row in rows)
    assert "PyTorch" in text and "TensorFlow" in text and "notebooks run on device cpu" in text
    assert {row["check"] for row in rows} == {check.name for check in doctor.CHECKS} - {"network"}


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_the_command_where_next_to_nothing_is_installed(tmp_path):
    """A new environment with click alone: no framework, no NumPy, no packaging, no Jupyter."""
    venv.create(tmp_path / "env", symlinks=True, with_pip=False)
    few = tmp_path / "few"
    few.mkdir()
    import click

    (few / "click").symlink_to(Path(click.__file__).parent)
    for name in ("course_lib", "course_tools"):
        (few / name).symlink_to(ROOT / name)
    python = tmp_path / "env" / "bin" / "python"
    command = "import sys; sys.argv[0] = 'course'; from course_tools.cli import main; main()"
    env = {"PYTHONPATH": str(few), "PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    ran = subprocess.run([python, "-c", command, "doctor", "--json", "--root", str(ROOT)],
                         capture_output=True, text=True, env=env, timeout=60)
    rows = check_schema(ran.stdout)["findings"]
    assert ran.returncode == 1, ran.stderr
    text = "\n".join(row["what"] + row["advice"] for row in rows)
    assert "No module named" in text and "pip install -r requirements.txt" in text
    assert "Traceback" not in ran.stderr and len(rows) >= 10
    assert {row["check"] for row in rows} >= {"python", "disk", "ports", "encoding", "kernel"}


@pytest.mark.skipif(os.name == "nt", reason="there the console decides")
def test_signs_that_cannot_be_shown_stop_nothing():
    show = ("from course_tools.commands_doctor import _show; from course_tools.doctor import Finding;"
            "_show('data', Finding('note', 'caf\\u00e9 \\u2192', 'go on'))")
    env = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": str(ROOT)}
    ran = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, env=env)
    assert ran.returncode == 0 and "caf? ?" in ran.stdout and "go on" in ran.stdout, ran.stderr
