"""make.py sets up once, says in one sentence what is wrong, and goes on where it was cut off."""

import ast
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def make(tmp_path):
    """make.py as a module, in a folder that holds the lists and nothing else."""
    for name in ("make.py", "pyproject.toml", *ROOT.glob("requirements*")):
        shutil.copy(ROOT / name, tmp_path)
    spec = importlib.util.spec_from_file_location("make", tmp_path / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def installs(make, monkeypatch):
    """What would have been installed, without doing it."""
    done = []
    monkeypatch.setattr(make, "make_venv", lambda: os.makedirs(make.VENV, exist_ok=True))
    monkeypatch.setattr(make, "pip", lambda *arguments: done.append(arguments))
    return done


def test_every_make_target_is_one_of_make_py_and_helped(make):
    makefile = (ROOT / "Makefile").read_text()
    (line,) = [l for l in makefile.splitlines() if l.startswith("TARGETS :=")]
    assert set(line.split()[2:]) == set(make.TARGETS)
    assert all(target in make.__doc__ for target in make.TARGETS if target != "help")


def test_the_book_needs_no_framework(make, installs):
    make.set_up("book")
    assert installs[0] == ("-r", "requirements-book.txt", "-c", "requirements.lock")
    listed = (ROOT / "requirements-book.txt").read_text().lower()
    assert not any(name in listed for name in ("torch", "tensorflow", "keras", "jax"))
    assert (ROOT / "requirements.txt").read_text().startswith("-r requirements-book.txt\n")


def test_nothing_is_installed_twice(make, installs):
    make.set_up("full")
    once = list(installs)
    make.set_up("full")
    make.set_up("book")  # the larger set holds the smaller
    assert installs == once and len(once) == 2


def test_the_book_alone_does_not_count_as_everything(make, installs):
    make.set_up("book")
    make.set_up("full")
    assert [a[1] for a in installs if a[0] == "-r"] == ["requirements-book.txt", "requirements.txt"]


def test_a_changed_list_is_installed(make, installs, tmp_path):
    make.set_up("full")
    with (tmp_path / "requirements.lock").open("a") as file:
        file.write("six==1.16.0\n")
    make.set_up("full")
    assert len(installs) == 4


def test_an_interrupted_install_is_picked_up_again(make, installs, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    whole = make.pip
    monkeypatch.setattr(make, "pip", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make.set_up("book")
    monkeypatch.setattr(make, "pip", whole)
    make.set_up("book")
    assert len(installs) == 2


@pytest.mark.parametrize("target", ["lab", "notebooks"])
@pytest.mark.parametrize(("asked", "given"), [(None, "1"), ("0", "0")])
def test_notebooks_run_with_fast_convolutions(make, installs, monkeypatch, target, asked, given):
    ran = []
    for name in ("run", "hand_over"):
        monkeypatch.setattr(make, name, lambda *command, **environment: ran.append(environment))
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    if asked:
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", asked)
    getattr(make, target)()
    assert ran[-1] == {"TF_ENABLE_ONEDNN_OPTS": given}


ASKS = """
import signal, sys, time
def ask(*_):
    print("Shut down this server?", flush=True)
    print("answered", sys.stdin.readline().strip(), flush=True)
    sys.exit(3)
signal.signal(signal.SIGINT, ask)
print("serving", flush=True)
while True:
    time.sleep(60)
"""


@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT to a group of processes")
def test_ctrl_c_in_lab_is_answered_by_jupyter(make):
    """Ctrl+C reaches both; the parent waits until the program that it started has answered."""
    program = (f"import sys; sys.path.insert(0, {make.ROOT!r}); import make;"
               f" make.hand_over(sys.executable, '-c', {ASKS!r})")
    started = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert started.stdout.readline() == "serving\n"
    os.killpg(started.pid, signal.SIGINT)
    assert started.stdout.readline() == "Shut down this server?\n"
    os.killpg(started.pid, 0)  # the parent is still there
    out, err = started.communicate("y\n", timeout=60)
    assert out == "answered y\n" and started.returncode == 3, err


@pytest.mark.parametrize("minor", [8, 10, 14, 15])
def test_a_python_too_old_or_too_new_gets_one_sentence(make, monkeypatch, capsys, minor):
    monkeypatch.setattr(make.sys, "version_info", (3, minor, 0, "final", 0))
    assert make.main(["book"]) == 1
    said = capsys.readouterr().err.strip()
    assert said.count("\n") == 0 and f"Python from 3.11 to 3.13, and this one is 3.{minor}" in said


FULL = {
    "a traceback of pip's": "ERROR: Exception:\nTraceback (most recent call last):\n"
    "OSError: [Errno 28] No space left on device",
    "a sentence of pip's": "ERROR: Could not install packages due to an OSError: [Errno 28] No space"
    " left on device",
}


@pytest.mark.parametrize("said", FULL.values(), ids=FULL)
def test_a_full_disk_gets_one_sentence(make, tmp_path, monkeypatch, said):
    pip = tmp_path / "pip"
    pip.mkdir()
    (pip / "__main__.py").write_text(f"print({said!r})\nraise SystemExit(2)\n")
    (pip / "__init__.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(make, "tool", lambda name: sys.executable)
    with pytest.raises(make.Stop, match="^The disk is full: .*Make room") as stopped:
        make.pip("torch")
    assert "\n" not in str(stopped.value)


def test_a_file_that_cannot_be_written_gets_one_sentence(make, installs, monkeypatch, capsys):
    def full(*arguments):
        raise OSError(28, "No space left on device", "/course/.venv/installed-full")

    monkeypatch.setattr(make, "pip", full)
    assert make.main(["lab"]) == 1
    said = capsys.readouterr().err.strip()
    assert said.count("\n") == 0 and "No space left" in said and "installed-full" in said


@pytest.mark.skipif(os.name == "nt", reason="Windows uses no make")
def test_the_makefile_refuses_a_python_too_new_in_one_sentence(tmp_path):
    for name in ("python3", "python"):
        new = tmp_path / name
        new.write_text(f"#!/bin/sh\nexec {sys.executable} -c 'import sys;"
                       """ sys.version_info = (3, 14, 0); exec(sys.argv[1])' "$2"\n""")
        new.chmod(0o755)
    ran = subprocess.run([shutil.which("make"), "-s", "-C", str(ROOT), "help"],
                         capture_output=True, text=True, env={"PATH": str(tmp_path)})  # fmt: skip
    said = [line for line in ran.stderr.splitlines() if not line.startswith("make")]
    assert ran.returncode and len(said) == 1 and "from 3.11 to 3.13 and found none" in said[0]


@pytest.mark.parametrize("encoding", ["cp1252", "gbk", "ascii"])
def test_any_console_shows_what_make_says(encoding):
    code = "import make; make.__doc__ = 'naïve → 中'; raise SystemExit(make.main([]))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True,
                         env={**os.environ, "PYTHONIOENCODING": encoding})  # fmt: skip
    assert ran.returncode == 0 and ran.stdout, ran.stderr


def test_triton_is_the_one_that_the_locked_torch_takes():
    """PyPI's torch 2.13.0 for Linux asks for triton==3.7.1: with another pin pip finds no answer."""
    pins = (ROOT / "requirements.lock").read_text("utf8").splitlines()
    assert {"torch==2.13.0", "triton==3.7.1"} <= set(pins), "renewed? then renew both here"
    assert "\ntriton>=" in (ROOT / "requirements.txt").read_text("utf8")


def test_old_pythons_can_read_the_file_at_all():
    source = (ROOT / "make.py").read_text()
    tree = ast.parse(source, feature_version=(3, 4))
    assert not any(isinstance(node, (ast.JoinedStr, ast.AnnAssign)) for node in ast.walk(tree))
    assert "coding: utf-8" in source.splitlines()[1]


def test_a_missing_network_gets_one_sentence(make, monkeypatch):
    monkeypatch.setattr(make, "tool", lambda name: sys.executable)
    for name, value in {
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": "",
        "PIP_RETRIES": "0", "PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "0",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    with pytest.raises(make.Stop, match="cannot be reached: check the network") as stopped:
        make.pip("no-such-package-of-this-course==1.0", "--target", os.path.join(make.ROOT, "x"))
    assert "\n" not in str(stopped.value)


def test_pip_failing_for_another_reason_shows_what_it_said(make, monkeypatch):
    monkeypatch.setattr(make, "tool", lambda name: sys.executable)
    with pytest.raises(make.Stop, match="(?s)pip could not install.*no such option"):
        make.pip("--nonsense")


@pytest.mark.skipif(os.name == "nt", reason="the fake Python is a shell script; Windows uses no make")
def test_the_makefile_passes_over_a_python_that_exists_and_fails(tmp_path):
    """A version manager's shim can be there and fail."""
    shim = tmp_path / "python3"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    make = shutil.which("make")
    found = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    ran = subprocess.run(
        [make, "-C", str(ROOT), "help", f"PYTHON={sys.executable}"],
        capture_output=True, text=True, env=found,
    )  # fmt: skip
    assert ran.returncode == 0 and "build the website" in ran.stdout
    none = subprocess.run(
        [make, "-C", str(ROOT), "help"],
        capture_output=True, text=True, env={"PATH": str(tmp_path)},
    )  # fmt: skip
    assert none.returncode and "needs a Python from 3.11 to 3.13 and found none" in none.stderr


def test_serve_takes_a_free_port(make, tmp_path, monkeypatch, capsys):
    import socket

    site = tmp_path / "_build" / "html"
    site.mkdir(parents=True)
    (site / "index.html").write_text("<title>here</title>")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("PORT", str(taken.getsockname()[1]))
        threading.Thread(target=make.serve, daemon=True).start()
        said = ""
        for _ in range(100):
            said += capsys.readouterr().out
            if "http://" in said:
                break
            threading.Event().wait(0.05)
        address = said.split("is at ")[1].split()[0]
        assert str(taken.getsockname()[1]) not in address
        assert b"here" in urllib.request.urlopen(address, timeout=5).read()


def test_the_lock_names_no_build_of_one_machine():
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert len(pins) > 100 and all(line.count("==") == 1 for line in pins)
    assert not any(sign in line for line in pins for sign in ("+", "@", "://"))
    assert any(line.startswith("torch==") for line in pins)
