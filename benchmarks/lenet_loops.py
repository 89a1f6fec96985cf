"""How fast the course's training loops are, beside the loops that readers know.

    python benchmarks/lenet_loops.py              prints a table (about two minutes on two cores)
    make bench ARGS="--threads 4 --repeats 9"

Every form trains the same LeNet (28×28, batch 128, Adam) on the same batches. Each framework
runs in a process of its own; the forms take turns, one epoch each, round after round, so that a
machine whose speed drifts is slow or fast for all of them. The best epoch counts: everything
else that a machine does can only slow a loop down. Building, tracing and one warm-up epoch are
not timed.

D2L's loop is written anew from its description in Zhang, Lipton, Li and Smola, Dive into Deep
Learning (arXiv:2106.11342), without its plotting: a loader, the loss, the update, and after
each batch three running sums (loss, right answers, rows) that are read as Python numbers.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

BATCH, CLASSES, RATE = 128, 10, 1e-3
SIDE = 2048  # of the matrices whose product measures the peak
COURSE = {"pytorch": "the course's loop", "tensorflow": "the course's loop"}
# Operations of one image forward: two for each multiplication with its addition.
CONV1, CONV2 = 2 * 28 * 28 * 6 * 25, 2 * 10 * 10 * 16 * 150
DENSE = 2 * (400 * 120 + 120 * 84 + 84 * 10)
# Backward costs the same again for the weights and for the inputs, but for the first layer's.
OPERATIONS = 3 * (CONV1 + CONV2 + DENSE) - CONV1


def data(batches: int):
    """Images (n, 28, 28), labels (n,), and the order (batches, 128) in which all forms see them."""
    import numpy as np

    from course_lib.data import load

    digits = load("mnist-5k")
    rows = np.arange(batches * BATCH) % len(digits.y_train)
    order = np.random.default_rng(0).permutation(len(rows)).reshape(batches, BATCH)
    return digits.x_train[rows], digits.y_train[rows], order


# --- PyTorch ----------------------------------------------------------------------------------


def torch_forms(x, y, order) -> dict[str, Callable]:
    """Name -> (a fresh model, a function that trains it for one epoch)."""
    import torch
    from torch.nn import functional as F
    from torch.utils.data import DataLoader, TensorDataset

    from course_lib.pytorch.lenet import TorchLeNet, train_epoch_torch

    x, y = torch.from_numpy(x), torch.from_numpy(y)
    rows = order.ravel().tolist()

    def model():
        torch.manual_seed(0)
        return TorchLeNet(CLASSES)

    def plain():
        return model().to(memory_format=torch.contiguous_format)

    def loader(workers: int = 0, keep: bool = False):
        return DataLoader(TensorDataset(x, y), BATCH, sampler=rows, num_workers=workers,
                          persistent_workers=keep)

    def d2l():
        net, batches = plain(), loader()
        optimizer = torch.optim.Adam(net.parameters(), RATE)

        def epoch():
            loss_sum, right, count = 0.0, 0.0, 0
            for features, labels in batches:
                optimizer.zero_grad()
                outputs = net(features)
                loss = F.cross_entropy(outputs, labels)
                loss.backward()
                optimizer.step()
                with torch.no_grad():
                    hits = outputs.argmax(dim=1).to(labels.dtype) == labels
                    loss_sum += float(loss) * len(labels)
                    right += float(hits.to(labels.dtype).sum())
                    count += len(labels)
            return loss_sum / count, right / count

        return net, epoch

    def with_loader(workers, keep=False):
        def form():
            net, batches = plain(), loader(workers, keep)
            optimizer = torch.optim.Adam(net.parameters(), RATE, fused=True)

            def epoch():
                for features, labels in batches:
                    loss = F.cross_entropy(net(features), labels)
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()

            return net, epoch

        return form

    def course():
        net = model()
        optimizer = torch.optim.Adam(net.parameters(), RATE, fused=True)
        return net, lambda: train_epoch_torch(net, x, y, order, optimizer)

    return {
        "D2L's loop": d2l,
        "DataLoader, no worker": with_loader(0),
        "DataLoader, 2 workers": with_loader(2),
        "DataLoader, 2 workers kept": with_loader(2, keep=True),
        "the course's loop": course,
    }


def torch_peak() -> float:
    """Operations a second of a large matrix product in PyTorch."""
    import torch

    a = torch.ones(SIDE, SIDE)
    return 2 * SIDE**3 / best_seconds(lambda: a @ a)


# --- TensorFlow -------------------------------------------------------------------------------


def tf_forms(x, y, order) -> dict[str, Callable]:
    """Name -> (a fresh model, a function that trains it for one epoch)."""
    import tensorflow as tf

    from course_lib.tensorflow.lenet import TFLeNet, step_tf, train_epoch_tf

    keras = tf.keras
    x, y, rows = tf.constant(x), tf.constant(y), tf.constant(order)
    flat = tf.reshape(rows, (-1,))

    def model():
        keras.utils.set_random_seed(0)
        return TFLeNet(CLASSES)

    def d2l():
        net = model()
        optimizer = keras.optimizers.Adam(RATE)
        batches = tf.data.Dataset.from_tensor_slices(
            (tf.gather(x, flat), tf.gather(y, flat))).batch(BATCH)

        def epoch():
            loss_sum, right, count = 0.0, 0.0, 0
            for features, labels in batches:
                with tf.GradientTape() as tape:
                    outputs = net(features)
                    losses = keras.losses.sparse_categorical_crossentropy(
                        labels, outputs, from_logits=True)
                    loss = tf.reduce_mean(losses)
                params = net.trainable_variables
                optimizer.apply_gradients(zip(tape.gradient(loss, params), params))
                hits = tf.cast(tf.argmax(outputs, axis=1), labels.dtype) == labels
                loss_sum += float(tf.reduce_sum(losses))
                right += float(tf.reduce_sum(tf.cast(hits, labels.dtype)))
                count += len(labels)
            return loss_sum / count, right / count

        return net, epoch

    def fit(source, **settings):
        def form():
            net = model()
            net.compile(keras.optimizers.Adam(RATE), jit_compile=False,
                        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                        **settings)
            return net, lambda: net.fit(**source(), epochs=1, shuffle=False, verbose=0)

        return form

    def arrays():
        return {"x": tf.gather(x, flat), "y": tf.gather(y, flat), "batch_size": BATCH}

    def dataset():
        slices = tf.data.Dataset.from_tensor_slices((tf.gather(x, flat), tf.gather(y, flat)))
        return {"x": slices.batch(BATCH).prefetch(tf.data.AUTOTUNE)}

    def course():
        net, optimizer = model(), keras.optimizers.Adam(RATE)
        return net, lambda: train_epoch_tf(net, x, y, order, optimizer)

    def whole_epoch():
        net, optimizer = model(), keras.optimizers.Adam(RATE)
        optimizer.build(net.trainable_variables)

        @tf.function
        def epoch():
            for batch in rows:
                step_tf(net, tf.gather(x, batch), tf.gather(y, batch), optimizer)

        return net, epoch

    return {
        "D2L's loop": d2l,
        "fit, with a metric": fit(arrays, metrics=["accuracy"]),
        "fit, tf.data": fit(dataset),
        "fit, 16 steps an execution": fit(arrays, steps_per_execution=16),
        "the course's loop": course,
        "the whole epoch in one tf.function": whole_epoch,
    }


def tf_peak() -> float:
    """Operations a second of a large matrix product in TensorFlow."""
    import tensorflow as tf

    a = tf.ones((SIDE, SIDE))
    return 2 * SIDE**3 / best_seconds(lambda: tf.linalg.matmul(a, a).numpy())


def best_seconds(work: Callable, times: int = 7) -> float:
    """Seconds of the fastest of several calls."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return min(found)


# --- taking turns -----------------------------------------------------------------------------


PARTS = {"pytorch": (torch_forms, torch_peak), "tensorflow": (tf_forms, tf_peak)}


def work(framework: str, batches: int) -> None:
    """The process of one framework: read a form's name a line, answer with an epoch's seconds."""
    import course_lib  # noqa: F401  sets the threads

    answer, sys.stdout = sys.stdout, sys.stderr
    make, peak = PARTS[framework]
    forms = make(*data(batches))
    print(json.dumps(list(forms)), file=answer, flush=True)
    ready: dict[str, Callable] = {}
    for line in sys.stdin:
        name = line.strip()
        if name == "peak":
            print(peak(), file=answer, flush=True)
            continue
        if name not in ready:
            _, ready[name] = forms[name]()
            ready[name]()  # warm up: trace, start workers
        print(best_seconds(ready[name], times=1), file=answer, flush=True)


class Worker:
    """A framework's process, asked one thing at a time."""

    def __init__(self, framework: str, batches: int, threads: int):
        self.framework = framework
        root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        environment = {**os.environ, "COURSE_THREADS": str(threads), "COURSE_DEVICE": "cpu",
                       "PYTHONPATH": path}
        command = [sys.executable, os.path.abspath(__file__), "--work", framework]
        self.process = subprocess.Popen(
            [*command, "--batches", str(batches)], env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.forms = json.loads(self.read())

    def read(self) -> str:
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"the process of {self.framework} ended early; what it said stands above")
        return line

    def ask(self, what: str) -> float:
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        return float(self.read())

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def measure(batches: int, repeats: int, threads: int) -> dict:
    """Time every form in turn; samples a second of each epoch, and each framework's peak."""
    workers = [Worker(name, batches, threads) for name in PARTS]
    rates: dict[tuple[str, str], list[float]] = {}
    peaks: dict[str, list[float]] = {}
    for _ in range(repeats):
        for worker in workers:
            peaks.setdefault(worker.framework, []).append(worker.ask("peak"))
            for form in worker.forms:
                seconds = worker.ask(form)
                rates.setdefault((worker.framework, form), []).append(batches * BATCH / seconds)
    for worker in workers:
        worker.close()
    return {"rates": rates, "peaks": {name: max(found) for name, found in peaks.items()}}


def report(found: dict) -> str:
    """The table: best and median samples a second, against D2L's loop, and share of the peak."""
    lines = ["| framework | form | best, samples/s | median | of D2L's loop | of the peak |",
             "| --- | --- | ---: | ---: | ---: | ---: |"]
    best = {key: max(values) for key, values in found["rates"].items()}
    for (framework, form), values in found["rates"].items():
        rate = best[framework, form]
        share = rate * OPERATIONS / found["peaks"][framework]
        lines.append(f"| {framework} | {form} | {rate:,.0f} | {statistics.median(values):,.0f} |"
                     f" {rate / best[framework, D2L]:.2f} | {share:.0%} |")
    peaks = ", ".join(f"{name} {peak / 1e9:.0f}" for name, peak in found["peaks"].items())
    return "\n".join([*lines, "", f"peak: float32 matrices of {SIDE}×{SIDE}, 10⁹ operations a second: {peaks}",
                      *goals(best)])


D2L = "D2L's loop"


def goals(best: dict) -> list[str]:
    """What the course's loops should reach, and whether they did."""
    ours = {name: best[name, form] for name, form in COURSE.items()}
    fits = max(rate for (_, form), rate in best.items() if form.startswith("fit"))
    wanted = (
        ("PyTorch: 1.2 times D2L's loop", ours["pytorch"] / best["pytorch", D2L], 1.2),
        ("PyTorch: twice the DataLoader with 2 workers",
         ours["pytorch"] / best["pytorch", "DataLoader, 2 workers"], 2.0),
        ("TensorFlow: 3 times D2L's loop", ours["tensorflow"] / best["tensorflow", D2L], 3.0),
        ("TensorFlow: no slower than the best fit", ours["tensorflow"] / fits, 1.0),
    )
    return [f"{'reached' if ratio >= goal else 'MISSED '}  {words}: {ratio:.2f}"
            for words, ratio, goal in wanted]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, default=100, help="batches of 128 in an epoch")
    parser.add_argument("--repeats", type=int, default=7, help="epochs of each form, at least 5")
    parser.add_argument("--threads", type=int, default=2, help="threads of each framework")
    parser.add_argument("--work", choices=list(PARTS), help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if min(chosen.batches, chosen.repeats, chosen.threads) < 1:
        parser.error("batches, repeats and threads are whole numbers, 1 or more")
    if chosen.work:
        return work(chosen.work, chosen.batches)
    if chosen.repeats < 5:
        print(f"{chosen.repeats} repeats are too few to compare: a trial, not a measurement")
    print(f"LeNet, 28×28, batch {BATCH}, {chosen.threads} threads, {chosen.batches} batches an epoch,"
          f" best of {chosen.repeats} interleaved epochs")
    print(report(measure(chosen.batches, chosen.repeats, chosen.threads)))


if __name__ == "__main__":
    main()
