#!/usr/bin/env python3
# -*- coding: utf-8 -*-
"""Sets itself up and does what is asked: ``make book`` calls this; so does ``python make.py book``.

    book        build the website (no framework needed)      serve   look at it
    test        run every test                               lab     open your copies of the notebooks
    notebooks   bring notebooks/ in step with book/          clean   remove what was built
    lock        write requirements.lock from this environment
    bench       time the training loops side by side

Everything is installed into .venv beside this file, once; an interrupted install is picked up again.
"""

# Only what old Pythons can read too, so that they can say that they are too old.
from __future__ import print_function

import hashlib
import os
import shutil
import signal
import subprocess
import sys

OLDEST, NEWEST = (3, 11), (3, 13)
ROOT = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(ROOT, ".venv")
SITE = os.path.join(ROOT, "_build", "html")
LISTS = {"book": "requirements-book.txt", "full": "requirements.txt"}
ON_WINDOWS = os.name == "nt"


class Stop(Exception):
    """One sentence for the reader; the program ends."""


# --- set-up ---------------------------------------------------------------------------------


def check_python():
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        raise Stop(
            "This needs a Python from %d.%d to %d.%d, and this one is %d.%d; install one and name it:"
            " make book PYTHON=python3.12" % (OLDEST + NEWEST + tuple(sys.version_info[:2]))
        )


def tool(name):
    """The path of a program inside .venv."""
    folder, suffix = ("Scripts", ".exe") if ON_WINDOWS else ("bin", "")
    return os.path.join(VENV, folder, name + suffix)


def works(*command):
    try:
        return subprocess.call(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False


def make_venv():
    """Create .venv, or mend one that was left half made or whose Python has gone."""
    fits = "import sys; sys.exit(not %r <= sys.version_info[:2] <= %r)" % (OLDEST, NEWEST)
    if works(tool("python"), "-c", fits) and works(tool("python"), "-m", "pip", "--version"):
        return
    print("Creating .venv with Python %d.%d" % tuple(sys.version_info[:2]))
    made = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", VENV], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if made.returncode:
        words = made.stdout.decode(errors="replace").strip()
        stop_if_full(words)
        raise Stop(
            "This Python cannot make a virtual environment (on Debian and Ubuntu the package"
            " python3-venv is missing). It said: " + words
        )


def stop_if_full(words):
    """A full disk in one sentence; pip calls it "ERROR: Exception" and shows a traceback."""
    if "No space left on device" in words or "Disk quota exceeded" in words:
        raise Stop(
            "The disk is full: everything together takes about 5 GB in %s, beside what pip keeps in"
            " its own folders for caches and temporary files. Make room and run this again." % VENV
        )


def fingerprint():
    """Changes when what must be installed changes."""
    digest = hashlib.sha256()
    for name in sorted(LISTS.values()) + ["requirements.lock", "pyproject.toml"]:
        with open(os.path.join(ROOT, name), "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def stamp_path(kind):
    return os.path.join(VENV, "installed-" + kind)


def installed(kind):
    """True where this kind, or the larger one, was installed to its end from today's lists."""
    for name in {kind, "full"}:
        if os.path.exists(stamp_path(name)):
            with open(stamp_path(name)) as file:
                if file.read() == fingerprint():
                    return True
    return False


def set_up(kind):
    """Install what ``kind`` needs: "book" (no framework) or "full". Does nothing the second time."""
    check_python()
    make_venv()
    if installed(kind):
        return
    what = {"book": "what the website needs", "full": "the frameworks, JupyterLab and the test tools"}
    print("Installing %s into .venv; the first time takes some minutes" % what[kind])
    pip("-r", LISTS[kind], "-c", "requirements.lock")
    pip("--no-deps", "--no-build-isolation", "--editable", ".")
    with open(stamp_path(kind), "w") as file:
        file.write(fingerprint())


def pip(*arguments):
    """Run pip install; on a terminal show what it is at; say in one sentence why it failed."""
    command = [tool("python"), "-m", "pip", "install", "--disable-pip-version-check"]
    run = subprocess.Popen(
        command + list(arguments), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    said = []
    for line in run.stdout:
        said.append(line.decode(errors="replace").rstrip())
        if sys.stdout.isatty() and said[-1].startswith(("Collecting", "  Downloading", "Installing")):
            print("\r" + said[-1].strip()[:76].ljust(76), end="", flush=True)
    if sys.stdout.isatty():
        print("\r" + " " * 76 + "\r", end="")
    if run.wait() == 0:
        return
    text = "\n".join(said)
    stop_if_full(text)
    if any(sign in text for sign in ("NewConnectionError", "ConnectTimeout", "from versions: none")):
        raise Stop(
            "The package index cannot be reached: check the network (or pip's index setting) and run"
            " this again; what is already installed stays."
        )
    raise Stop("pip could not install %s:\n%s" % (" ".join(arguments), "\n".join(said[-15:])))


# --- targets --------------------------------------------------------------------------------


def run(*command, **environment):
    """Run a command in the root; end with its status if it fails."""
    status = subprocess.call(command, cwd=ROOT, env=dict(os.environ, **environment))
    if status:
        raise SystemExit(status)


def hand_over(*command, **environment):
    """Run a program that answers Ctrl+C itself, as Jupyter does, which asks before it stops."""
    program = subprocess.Popen(command, cwd=ROOT, env=dict(os.environ, **environment))
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # after the start: it is inherited
    try:
        status = program.wait()
    finally:
        signal.signal(signal.SIGINT, before)
    if status:
        raise SystemExit(status)


def book(arguments=()):
    """Build the website into _build/html."""
    set_up("book")
    run(tool("jupyter-book"), "build", ".", "-W", "-n", "--keep-going", *arguments)
    print("\nThe book is built: %s" % os.path.join(SITE, "index.html"))
    print("Look at it with: make serve   (Windows: python make.py serve)")


def serve(arguments=()):
    """Serve the built website on this machine alone, at a free port."""
    if not os.path.exists(os.path.join(SITE, "index.html")):
        book()
    from functools import partial
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

    handler = partial(SimpleHTTPRequestHandler, directory=SITE)
    try:
        server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", 8000))), handler)
    except OSError:
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    print("The book is at http://127.0.0.1:%d/   (stop with Ctrl+C)" % server.server_port, flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print()


def fast_convolutions():
    """oneDNN in TensorFlow, which turns it on by itself on newer processors alone; 0 keeps it off."""
    return {"TF_ENABLE_ONEDNN_OPTS": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1")}


def lab(arguments=()):
    """Open the learner's own copies of the notebooks in JupyterLab, at the page to begin with."""
    set_up("full")
    run(tool("course"), "work")
    first = os.path.join("work", "start.ipynb")
    hand_over(tool("jupyter"), "lab", first, *arguments, **fast_convolutions())


def notebooks(arguments=()):
    """Bring notebooks/ in step with book/; arguments go to ``course notebooks``."""
    set_up("full")
    run(tool("course"), "notebooks", *arguments, **fast_convolutions())


def browser():
    """Make sure that there is a browser for the tests: Debian's Chromium, else Playwright's own."""
    if shutil.which("chromium"):
        return
    print("Fetching the browser that the tests use")
    if not works(tool("python"), "-m", "playwright", "install", "chromium"):
        raise Stop(
            "The tests look at the website in a browser and found none: install Chromium"
            " (apt-get install chromium), or give Playwright a network to fetch its own."
        )


def test(arguments=()):
    """Fetch the data, then run every test with the network blocked."""
    set_up("full")
    browser()
    run(tool("course"), "data", "fetch")
    run(tool("course"), "notebooks", "--check")
    offline = os.path.join(ROOT, "tests", "_offline")
    chosen = [a for a in arguments if not a.startswith("-")] or ["tests", "notebooks"]
    options = [a for a in arguments if a.startswith("-")]
    pytest = [tool("python"), "-m", "pytest", "-n", "2", "--dist", "loadfile"]
    pytest += ["--nbval-lax", "--nbval-cell-timeout", "120", "-p", "tests.notebooks.ledger"]
    run(*(pytest + options + chosen), PYTHONPATH=offline, COURSE_THREADS="1")


def lock(arguments=()):
    """Write requirements.lock from what is installed: constraints for every system."""
    set_up("full")
    command = [tool("python"), "-m", "pip", "freeze", "--exclude-editable"]
    frozen = subprocess.check_output(command).decode().splitlines()
    lines = sorted((line.split("+")[0] for line in frozen if "==" in line), key=str.lower)
    with open(os.path.join(ROOT, "requirements.lock"), "w", encoding="utf8") as file:
        file.write("# One tested set of versions, for every install: pip install -r … -c requirements.lock\n")
        file.write("# Written by `make lock`. Packages that only other systems need are not pinned.\n")
        file.write("\n".join(lines) + "\n")


def bench(arguments=()):
    """Time the course's training loops beside those that readers know."""
    set_up("full")
    run(tool("python"), os.path.join("benchmarks", "lenet_loops.py"), *arguments)


def clean(arguments=()):
    """Remove what was built; .venv, the notebooks and work/ stay."""
    for name in ("_build", ".pytest_cache", ".hypothesis"):
        shutil.rmtree(os.path.join(ROOT, name), ignore_errors=True)


def show_help(arguments=()):
    print(__doc__.strip())


TARGETS = {
    "book": book, "serve": serve, "test": test, "lab": lab, "notebooks": notebooks,
    "lock": lock, "bench": bench, "clean": clean, "help": show_help,
}  # fmt: skip


def main(words):
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # no console's encoding stops a print
            stream.reconfigure(errors="backslashreplace")
    if not words or words[0] not in TARGETS:
        show_help()
        return 0 if words in ([], ["-h"], ["--help"]) else 2
    try:
        check_python()
        TARGETS[words[0]](words[1:])
    except Stop as stop:
        print("\n%s" % stop, file=sys.stderr)
        return 1
    except OSError as error:  # a full disk, a file that may not be written
        print("\n%s; mend that and run this again." % error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped; run it again to go on.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
