"""A training process is killed in mid-epoch; its checkpoint goes on without losing a row."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
ROWS, BATCH, EPOCHS, EVERY = 240, 8, 2, 4  # 30 batches an epoch, a checkpoint after every 4

# Labels are row numbers, so that the checkpoint says which rows the loader really delivered.
SCRIPT = """
import json, os, sys, time
from pathlib import Path
import numpy as np
from course_lib import runtime
from course_lib.data.shards import Shards
from course_lib.scratch.order import Order

framework, folder, path, pause = sys.argv[1], sys.argv[2], Path(sys.argv[3]), float(sys.argv[4])
rows, batch, epochs, every = map(int, sys.argv[5:])
source, order, trained = Shards(folder), Order(rows, batch, seed=3), []
if framework == "pytorch":
    import torch
    from course_lib.pytorch.classification import TorchClassifier, step_torch
    from course_lib.pytorch.pipelines import loader_torch
    runtime.set_seed(1)
    model = TorchClassifier(12, 5, 10, dtype="float64")
    params, loader = list(model.parameters()), loader_torch(source, order, 2, "float64")
    def step(x, y): step_torch(model, x, y % 10, 0.125)
    def numbers(param): return param.detach().numpy()
    def put(param, array): param.data.copy_(torch.from_numpy(array))
else:
    import tensorflow as tf
    from course_lib.tensorflow.classification import TFClassifier, step_tf
    from course_lib.tensorflow.pipelines import loader_tf
    runtime.set_seed(1)
    model = TFClassifier(12, 5, 10, dtype="float64")
    params, loader = model.trainable_variables, loader_tf(source, order, 2, "float64")
    def step(x, y): step_tf(model, x, y % 10, 0.125)
    def numbers(param): return param.numpy()
    def put(param, array): param.assign(array)

if path.exists():
    with np.load(path, allow_pickle=False) as saved:
        state = json.loads(str(saved["state"]))
        for i, param in enumerate(params):
            put(param, saved[f"arr_{i}"])
    order.load_state_dict(state["order"])
    trained = state["trained"]

def save():
    state = json.dumps({"order": order.state_dict(), "trained": trained})
    with path.with_suffix(".part").open("wb") as out:
        np.savez(out, *map(numbers, params), state=state)
    os.replace(path.with_suffix(".part"), path)
    print("saved", flush=True)

while order.epoch < epochs:
    for x, y in loader:
        step(x, y)
        trained.append(y.numpy().tolist())
        order.advance()
        if len(trained) % every == 0 or order.done == 0:
            save()
        time.sleep(pause)
"""


def start(framework, folder, path, pause=0.0):
    numbers = map(str, (pause, ROWS, BATCH, EPOCHS, EVERY))
    command = [sys.executable, "-c", SCRIPT, framework, str(folder), str(path), *numbers]
    with (path.parent / "said.txt").open("ab") as said:
        return subprocess.Popen(
            command, stdout=said, stderr=said, cwd=ROOT, env={**os.environ, "COURSE_THREADS": "1"})


def saved(path):
    with np.load(path, allow_pickle=False) as archive:
        arrays = [archive[name] for name in archive.files if name != "state"]
        return json.loads(str(archive["state"])), arrays


def finish(process, path):
    code = process.wait(timeout=180)
    assert code == 0, (path.parent / "said.txt").read_text("utf8")
    return saved(path)


@pytest.mark.parametrize("framework", ["pytorch", "tensorflow"])
def test_a_killed_run_goes_on_without_repeating_or_losing_a_row(tmp_path, framework):
    from course_lib.data import card
    from course_lib.data.shards import write_shards

    images = np.random.default_rng(0).integers(0, 256, (ROWS, 3, 4), dtype=np.uint8)
    folder = tmp_path / "shards"
    write_shards(folder, images, np.arange(ROWS), rows=50, card=card("mnist-5k"))

    path = tmp_path / "killed.npz"
    process = start(framework, folder, path, pause=0.05)
    deadline = time.monotonic() + 180
    said = tmp_path / "said.txt"  # the checkpoint itself is not opened while it is written to
    while said.read_text("utf8").count("saved") < 2:
        assert process.poll() is None, said.read_text("utf8")
        assert time.monotonic() < deadline, "no checkpoint in time"
        time.sleep(0.02)
    process.kill()
    process.wait(timeout=30)
    state, _ = saved(path)
    assert state["order"]["epoch"] == 0 and 0 < state["order"]["done"] < ROWS // BATCH
    assert state["order"]["done"] == len(state["trained"])

    state, weights = finish(start(framework, folder, path), path)
    assert len(state["trained"]) == EPOCHS * ROWS // BATCH
    rows = np.concatenate(state["trained"]).reshape(EPOCHS, ROWS)
    for epoch in rows:
        assert sorted(epoch) == list(range(ROWS)), "a row was repeated or lost"
    assert not np.array_equal(rows[0], rows[1])

    straight, straight_weights = finish(
        start(framework, folder, tmp_path / "straight.npz"), tmp_path / "straight.npz")
    assert straight["trained"] == state["trained"]
    for ours, theirs in zip(weights, straight_weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)
