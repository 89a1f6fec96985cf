"""The benchmark of training loops: every form does the same work, and the table says what was timed.

How fast they are is measured by hand (`make bench`), never asserted here.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import lenet_loops as bench  # noqa: E402

BATCHES = 4


def weights(net):
    if hasattr(net, "get_weights"):
        return net.get_weights()
    return [p.detach().contiguous().numpy() for p in net.parameters()]


@pytest.mark.parametrize("make", [bench.torch_forms, bench.tf_forms])
def test_every_form_trains_the_same_model_on_the_same_batches(make):
    forms = make(*bench.data(BATCHES))
    ends = {}
    for name, form in forms.items():
        net, epoch = form()
        before = [w.copy() for w in weights(net)]
        epoch()
        ends[name] = weights(net)
        assert all(np.abs(a - b).max() > 1e-4 for a, b in zip(before, ends[name])), name
    reference = ends["the course's loop"]
    for name, found in ends.items():
        for ours, theirs in zip(reference, found):
            np.testing.assert_allclose(theirs, ours, rtol=0, atol=2e-4, err_msg=name)


def test_the_operations_are_those_of_the_model():
    """Counted again from the layers' own shapes: positions times weights, twice."""
    from course_lib.pytorch.lenet import TorchLeNet

    sizes = {n: p.numel() for n, p in TorchLeNet(10).named_parameters() if n.endswith("weight")}
    positions = {"conv1.weight": 28 * 28, "conv2.weight": 10 * 10}
    forward = {name: 2 * size * positions.get(name, 1) for name, size in sizes.items()}
    assert bench.OPERATIONS == 3 * sum(forward.values()) - forward["conv1.weight"]


def test_the_table_names_every_form_and_what_was_missed():
    rates = {("pytorch", form): [100.0, 90.0] for form in
             ("D2L's loop", "DataLoader, no worker", "DataLoader, 2 workers")}
    rates["pytorch", "the course's loop"] = [150.0, 210.0]
    rates |= {("tensorflow", form): [100.0, 50.0] for form in ("D2L's loop", "fit, tf.data")}
    rates["tensorflow", "the course's loop"] = [290.0, 200.0]
    text = bench.report({"rates": rates, "peaks": {"pytorch": 1e9, "tensorflow": 1e9}})
    assert "| pytorch | the course's loop | 210 | 180 | 2.10 |" in text
    assert "reached  PyTorch: twice the DataLoader with 2 workers: 2.10" in text
    assert "MISSED   TensorFlow: 3 times D2L's loop: 2.90" in text
    assert "reached  TensorFlow: no slower than the best fit: 2.90" in text


def test_a_short_trial_runs_from_end_to_end_and_says_that_it_is_one():
    ran = subprocess.run(
        [sys.executable, "benchmarks/lenet_loops.py", "--batches", "2", "--repeats", "1", "--threads", "1"],
        cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    assert "a trial, not a measurement" in ran.stdout
    for name in ("D2L's loop", "DataLoader, 2 workers kept", "fit, 16 steps an execution",
                 "the whole epoch in one tf.function"):
        assert name in ran.stdout
    assert ran.stdout.count("| pytorch |") == 5 and ran.stdout.count("| tensorflow |") == 6


@pytest.mark.parametrize("words", [["--repeats", "0"], ["--threads", "-1"], ["--batches", "0"]])
def test_numbers_that_make_no_sense_are_refused(words, capsys):
    with pytest.raises(SystemExit):
        bench.main(words)
    assert "1 or more" in capsys.readouterr().err
