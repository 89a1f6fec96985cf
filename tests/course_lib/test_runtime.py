"""Settings, devices and quiet imports; fresh interpreters where import order matters."""

import importlib.util
import os
import platform
import subprocess
import sys
import types

import numpy as np
import pytest

from course_lib import runtime


def fresh(code, **environment):
    """Run code in a new interpreter; return the finished process."""
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, env={**os.environ, **environment}, timeout=120,
    )  # fmt: skip


# --- settings ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("COURSE_SEED", "-1", runtime.seed),
        ("COURSE_SEED", "one", runtime.seed),
        ("COURSE_THREADS", "0", runtime.threads),
        ("COURSE_THREADS", "many", runtime.threads),
        ("COURSE_SCALE", "huge", runtime.scale),
        ("COURSE_DEVICE", "tpu", runtime.device),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(monkeypatch, name, value, read):
    monkeypatch.setenv("COURSE_DEVICE", "cpu")
    monkeypatch.setenv(name, value)
    with pytest.raises(runtime.SettingError, match=f"{name} is {value!r}"):
        read()


def test_settings_are_read_from_the_environment(monkeypatch):
    monkeypatch.setenv("COURSE_SEED", "3")
    monkeypatch.setenv("COURSE_THREADS", "5")
    monkeypatch.setenv("COURSE_SCALE", "FULL")
    assert (runtime.seed(), runtime.threads(), runtime.scale()) == (3, 5, "full")


def test_defaults(monkeypatch):
    for name in ("COURSE_SEED", "COURSE_THREADS", "COURSE_SCALE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COURSE_DEVICE", "cpu")
    assert runtime.seed() == 0 and runtime.scale() == "quick"
    assert 1 <= runtime.threads() <= runtime.MOST_THREADS


def test_one_seed_repeats_every_random_choice():
    import tensorflow as tf
    import torch

    def draw():
        assert runtime.set_seed(4) == 4
        return np.random.rand(), torch.rand(1).item(), float(tf.random.uniform(()))

    assert draw() == draw()
    runtime.set_seed(5)
    assert np.random.rand() != draw()[0]


# --- the device, without one ---------------------------------------------------------------


@pytest.fixture
def seen(monkeypatch):
    """Say what each framework sees."""

    def say(torch, tensorflow):
        monkeypatch.delenv("COURSE_DEVICE", raising=False)
        monkeypatch.setattr(runtime, "_torch_sees", lambda: torch)
        monkeypatch.setattr(runtime, "_tensorflow_sees", lambda: tensorflow)

    return say


@pytest.mark.parametrize(
    ("torch", "tensorflow", "device"),
    [("cpu", "cpu", "cpu"), ("cuda", "cuda", "cuda"), ("mps", "mps", "mps"),
     ("cuda", "cpu", "cpu"), ("cpu", "cuda", "cpu"), ("mps", "cpu", "cpu")],
)  # fmt: skip
def test_a_gpu_is_used_only_where_both_see_it(seen, torch, tensorflow, device):
    seen(torch, tensorflow)
    assert runtime.device() == runtime.torch_device() == device
    assert runtime.tf_device() == ("/CPU:0" if device == "cpu" else "/GPU:0")


def test_the_scale_follows_the_device(seen, monkeypatch):
    monkeypatch.delenv("COURSE_SCALE", raising=False)
    seen("cuda", "cuda")
    assert runtime.scale() == "full"
    seen("cuda", "cpu")
    assert runtime.scale() == "quick"


def test_a_device_asked_for_in_vain_names_the_blind_framework(seen, monkeypatch):
    seen("cuda", "cpu")
    monkeypatch.setenv("COURSE_DEVICE", "cuda")
    with pytest.raises(runtime.SettingError, match="but tensorflow can see no such device"):
        runtime.device()


def test_a_machine_with_one_framework_can_ask(monkeypatch):
    monkeypatch.setenv("COURSE_DEVICE", "auto")
    monkeypatch.setattr(runtime, "_torch_sees", lambda: "cpu")
    monkeypatch.setattr(runtime, "_tensorflow_sees", lambda: pytest.fail("TensorFlow was imported"))
    find = runtime.importlib.util.find_spec
    monkeypatch.setattr(
        runtime.importlib.util, "find_spec", lambda n, *r: None if n == "tensorflow" else find(n, *r)
    )
    assert runtime.device() == "cpu"


def test_memory_growth_is_set_on_every_gpu_before_the_first_operation():
    done = []
    tf = types.SimpleNamespace(
        keras=types.SimpleNamespace(backend=types.SimpleNamespace(backend=lambda: "tensorflow")),
        config=types.SimpleNamespace(
            threading=types.SimpleNamespace(
                set_intra_op_parallelism_threads=lambda n: done.append("threads"),
                set_inter_op_parallelism_threads=lambda n: done.append("threads"),
            ),
            list_physical_devices=lambda kind: ["gpu0", "gpu1"],
            experimental=types.SimpleNamespace(
                set_memory_growth=lambda gpu, on: done.append((gpu, on))
            ),
        ),
        zeros=lambda n: done.append("first operation"),
    )
    runtime._prepare_tensorflow(tf)
    assert done == ["threads"] * 2 + [("gpu0", True), ("gpu1", True), "first operation"]


# --- imports -------------------------------------------------------------------------------


def test_importing_the_course_imports_no_framework():
    code = "import course_lib, sys; print({'torch', 'tensorflow', 'keras'} & set(sys.modules))"
    assert fresh(code).stdout == "set()\n"


def test_both_frameworks_start_without_a_word_and_with_the_threads_asked_for():
    code = """
import course_lib
import tensorflow as tf, torch
print(torch.get_num_threads(), tf.config.threading.get_intra_op_parallelism_threads())
tf.linalg.matmul(tf.ones((2, 2)), tf.ones((2, 2)))
"""
    ran = fresh(code, COURSE_THREADS="2")
    assert (ran.stdout, ran.stderr) == ("2 2\n", "")


@pytest.mark.parametrize("ask", ["course_lib.runtime.device()", "course_lib.runtime.describe()",
                                 "importlib.util.find_spec('torch'), importlib.util.find_spec('tensorflow')"])
def test_asking_before_the_first_import_uses_nothing_up(ask):
    code = f"""
import importlib.util, sys
import course_lib.runtime
{ask}
import tensorflow as tf, torch
print(torch.get_num_threads(), tf.config.threading.get_intra_op_parallelism_threads())
print(any(isinstance(finder, course_lib.runtime._Prepared) for finder in sys.meta_path))
"""
    ran = fresh(code, COURSE_THREADS="3")
    assert (ran.stdout, ran.stderr) == ("3 3\nFalse\n", "")


def test_a_framework_whose_import_failed_is_prepared_when_it_succeeds(tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('not yet')\n")
    code = f"""
import sys
import course_lib
try:
    import torch
except ImportError as error:
    print(error)
sys.path.remove({str(tmp_path)!r})
import torch
print(torch.get_num_threads())
"""
    ran = fresh(code, PYTHONPATH=str(tmp_path), COURSE_THREADS="3")
    assert ran.stdout == "not yet\n3\n", ran.stderr


def test_what_was_held_back_is_shown_if_the_import_fails(tmp_path):
    package = tmp_path / "tensorflow"
    package.mkdir()
    (package / "__init__.py").write_text(
        "import os\nos.write(2, b'the reason\\n')\nraise ImportError('no CUDA')\n"
    )
    ran = fresh("import course_lib\nimport tensorflow", PYTHONPATH=str(tmp_path))
    assert ran.returncode and "the reason" in ran.stderr and "no CUDA" in ran.stderr


@pytest.mark.parametrize("first", ["", "import keras\n"])
def test_another_keras_backend_is_refused_in_words(first):
    ran = fresh(f"{first}import course_lib\nimport tensorflow", KERAS_BACKEND="torch")
    assert "Keras's backend is 'torch'" in ran.stderr
    assert ran.stderr.rstrip().endswith("set KERAS_BACKEND=tensorflow and restart")


def test_an_empty_keras_backend_is_none():
    ran = fresh("import course_lib, os; print(os.environ['KERAS_BACKEND'])", KERAS_BACKEND="")
    assert ran.stdout == "tensorflow\n", ran.stderr


STEP_IN_EACH = """
import torch, tensorflow as tf, keras
w = torch.nn.Parameter(torch.ones(2))
w.grad = torch.ones(2)
torch.optim.SGD([w], lr=0.5).step()
v = tf.Variable([1.0, 1.0])
keras.optimizers.SGD(0.5).apply([tf.ones(2)], [v])
print(w.tolist(), v.numpy().tolist(), "triton" in sys.modules)
print(torch.get_num_threads(), tf.config.threading.get_intra_op_parallelism_threads())
"""


@pytest.mark.parametrize("order", [
    "course_lib torch tensorflow", "course_lib keras torch", "torch course_lib tensorflow",
    "keras course_lib torch", "torch tensorflow course_lib", "tensorflow torch course_lib",
])  # fmt: skip
def test_both_frameworks_step_in_every_order_of_imports(order):
    """An optimizer's step in each framework, in one fresh process an order, with triton there.

    Of the 24 orders of course_lib, torch, tensorflow and keras these six differ: what counts is who
    of course_lib, torch and TensorFlow comes first, and keras brings TensorFlow, so that the second
    of those two finds everything loaded. A death by signal (-11) is the fault that they look for.
    """
    imports = "".join(f"import {name}\n" for name in order.split())
    ran = fresh(f"import sys\n{imports}{STEP_IN_EACH}", COURSE_THREADS="1")
    assert ran.returncode == 0, f"exit status {ran.returncode}: {ran.stderr[-600:]}"
    triton = importlib.util.find_spec("triton") is not None
    assert ran.stdout.splitlines() == [f"[0.5, 0.5] [0.5, 0.5] {triton}", "1 1"]


@pytest.mark.skipif(sys.platform != "linux" or platform.machine() != "x86_64",
                    reason="triton is published for Linux")
def test_the_tests_run_with_triton():
    assert importlib.util.find_spec("triton"), "without it no death is seen: see requirements.txt"


@pytest.mark.parametrize("encoding", ["cp1252", "gbk", "ascii", "utf-8"])
@pytest.mark.parametrize("printing", ["print(data.card('wikipedia'))", "print('naïve → 中 🙂')",
                                      "print('→ ř 🙂', file=sys.stderr)"])
def test_any_console_shows_what_is_printed(encoding, printing):
    ran = subprocess.run([sys.executable, "-c", f"import sys\nfrom course_lib import data\n{printing}"],
                         capture_output=True, env={**os.environ, "PYTHONIOENCODING": encoding})
    assert ran.returncode == 0 and ran.stdout + ran.stderr, ran.stderr


def test_no_room_for_a_temporary_file_stops_no_import(monkeypatch):
    def full(*arguments, **named):
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(runtime.tempfile, "TemporaryFile", full)
    with runtime.quiet_stderr():
        done = True
    assert done
    monkeypatch.setattr(sys, "stderr", None)  # as under pythonw
    with runtime.quiet_stderr():
        pass


# --- measuring -----------------------------------------------------------------------------


def test_time_and_memory_of_a_block():
    with runtime.measure() as cost:
        block = np.ones(30_000_000)  # 240 MB
    assert cost.seconds > 0 and 200 < cost.megabytes < 400
    del block


def test_a_block_that_raises_is_measured_and_raises():
    with pytest.raises(ZeroDivisionError):
        with runtime.measure() as cost:
            1 / 0
    assert cost.seconds > 0


def test_the_description_is_plain_and_the_banner_says_it(capsys):
    import json

    described = runtime.describe()
    assert json.loads(json.dumps(described)) == described
    runtime.banner()
    said = capsys.readouterr().out
    assert described["versions"]["torch"] in said and f"threads {described['threads']}" in said
