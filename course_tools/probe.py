"""What a framework says about itself, asked in a process that may crash or hang.

``python -m course_tools.probe together torch tensorflow`` imports them as a notebook does,
through ``course_lib``, and takes an optimizer's step in each; ``alone torch`` does so with nothing
around it, so that what it says while it dies is not held back. Each fact is printed as soon as it
is known, one line of JSON.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

MARK = "course-probe "  # before each line of JSON: frameworks print too
HOME = Path(__file__).resolve().parents[1]  # where course_tools and course_lib are


@dataclass(frozen=True)
class Framework:
    """How the import of a framework went: ``state`` is ok, missing, error, crash or timeout."""

    name: str
    state: str
    said: str = ""  # the last line of its error
    facts: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Ended:
    """How a process ended: ``state`` is ok, error, crash or timeout; ``lines`` its output."""

    state: str
    said: str
    lines: tuple[str, ...]


# --- asking, from outside -------------------------------------------------------------------


def last_line(text: str, home: str = os.path.expanduser("~")) -> str:
    """The last line that says something, with the home folder's name left out."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = lines[-1] if lines else ""
    return said.replace(home, "~") if len(home) > 1 else said


def run_module(module: str, *arguments: str, timeout: float, **environment: str) -> Ended:
    """Run ``python -m module`` of the course in a process of its own and wait for its end.

    The current folder is kept off the module path, so that no file there hides a package.
    """
    env = dict(os.environ, **environment)
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [env.get("PYTHONPATH"), str(HOME)]))
    env["PYTHONIOENCODING"] = "utf-8:replace"
    command = [sys.executable, "-P", "-m", module, *arguments]
    try:
        ran = subprocess.run(command, capture_output=True, timeout=timeout, env=env,
                             stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired as late:
        return Ended("timeout", f"no answer within {timeout:g} s", _lines(late.stdout))
    said = last_line((ran.stderr or b"").decode("utf8", "replace"))
    if ran.returncode == 0:
        return Ended("ok", said, _lines(ran.stdout))
    if ran.returncode == 1 and "Error" in said:
        return Ended("error", said, _lines(ran.stdout))
    signalled = "it was killed by" if ran.returncode < 0 else "it ended with"
    died = f"{signalled} {status_name(ran.returncode)}"
    return Ended("crash", f"{died}: {said}" if said else died, _lines(ran.stdout))


def _lines(output: bytes | None) -> tuple[str, ...]:
    return tuple((output or b"").decode("utf8", "replace").splitlines())


def status_name(status: int) -> str:
    """``signal 11 (SIGSEGV)`` for -11, ``status 3`` for 3, hexadecimal for Windows' exceptions."""
    if status < 0:
        known = -status in set(signal.Signals)
        return f"signal {-status}" + (f" ({signal.Signals(-status).name})" if known else "")
    return f"status {status:#x}" if status > 255 else f"status {status}"


def _records(ended: Ended) -> dict[str, dict]:
    """What was said before the end, by name."""
    marked = (line.removeprefix(MARK) for line in ended.lines if line.startswith(MARK))
    return {record.pop("name"): record for record in map(json.loads, marked)}


def look(names: tuple[str, ...], timeout: float) -> tuple[dict[str, Framework], Framework]:
    """Ask frameworks about themselves: each, and all of them in one process as in a notebook.

    Where the common process fails, each framework that has not answered is asked alone.
    """
    ended = run_module(__name__, "together", *names, timeout=timeout)
    records = _records(ended)
    together = Framework("together", ended.state, ended.said, records.get("runtime", {}))
    found = {}
    for name in names:
        if name in records:
            found[name] = _framework(name, records[name])
        else:
            alone = run_module(__name__, "alone", name, timeout=timeout)
            heard = _records(alone).get(name)
            fine = heard and alone.state == "ok"
            found[name] = _framework(name, heard) if fine else Framework(
                name, alone.state, alone.said)
    return found, together


def _framework(name: str, record: dict) -> Framework:
    missing = record.get("missing", False)
    return Framework(name, "missing" if missing else "ok", facts={} if missing else record)


# --- answering, inside ----------------------------------------------------------------------


def _say(name: str, **facts) -> None:
    print(MARK + json.dumps({"name": name, **facts}), flush=True)


def _check_step(name: str, found: list[float]) -> None:
    """From (1, 1), a step of 0.25 down the gradient of the sum of squares ends at (0.5, 0.5)."""
    if found != [0.5, 0.5]:
        raise ArithmeticError(f"a step in {name} ends at {found}, not at [0.5, 0.5]")


def _torch_step(torch) -> None:
    """Kills the process where triton was loaded after TensorFlow: the reason to try it."""
    w = torch.nn.Parameter(torch.ones(2))
    w.square().sum().backward()
    torch.optim.SGD([w], lr=0.25).step()
    _check_step("torch", w.tolist())


def _tensorflow_step(tf) -> None:
    w = tf.Variable([1.0, 1.0])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(w))
    tf.keras.optimizers.SGD(0.25).apply([tape.gradient(loss, w)], [w])
    _check_step("tensorflow", w.numpy().tolist())


def _torch_facts() -> dict:
    torch = importlib.import_module("torch")
    _torch_step(torch)
    from course_lib import runtime

    cards = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    return {
        "version": torch.__version__,
        "sees": runtime._torch_sees(),
        "cards": [torch.cuda.get_device_name(card) for card in cards],
        "built_for": torch.version.cuda or "",
        "amd": bool(torch.version.hip),
        "threads": torch.get_num_threads(),
    }


def _tensorflow_facts() -> dict:
    tf = importlib.import_module("tensorflow")
    _tensorflow_step(tf)
    from course_lib import runtime

    details = tf.config.experimental.get_device_details
    build = tf.sysconfig.get_build_info()
    gpus = tf.config.list_physical_devices("GPU")
    return {
        "version": tf.__version__,
        "sees": runtime._tensorflow_sees(),
        "cards": [details(gpu).get("device_name", gpu.name) for gpu in gpus],
        "built_for": build.get("cuda_version", "") if build.get("is_cuda_build") else "",
        "amd": bool(build.get("is_rocm_build")),
        "threads": tf.config.threading.get_intra_op_parallelism_threads(),
        "onednn": _onednn(),
    }


def _onednn() -> bool | None:
    """Whether TensorFlow computes on the CPU with oneDNN; None where it does not say.

    It turns it on by itself on processors with AVX512-VNNI or newer alone. There is no public
    function that tells.
    """
    try:
        from tensorflow.python.util import _pywrap_util_port

        return bool(_pywrap_util_port.IsMklEnabled())
    except (ImportError, AttributeError):
        return None


FACTS = {"torch": _torch_facts, "tensorflow": _tensorflow_facts}


def _answer(names: list[str]) -> None:
    for name in names:
        try:
            _say(name, **FACTS[name]())
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
            _say(name, missing=True)


def main(mode: str, *names: str) -> None:
    """Print the facts of each framework; ``together`` adds what the course makes of them."""
    if mode == "alone":
        return _answer(list(names))
    from course_lib import runtime  # first: it prepares the imports

    for name in reversed(names):  # all of them, TensorFlow first as on a page, before the first step
        if importlib.util.find_spec(name):
            importlib.import_module(name)
    _answer(list(names))
    _say("runtime", **runtime.describe())


if __name__ == "__main__":
    main(*sys.argv[1:])
