"""The parts of ``course gpu-check`` that touch a framework, each run in a process of its own.

``python -m course_tools.gpu_parts PART JOB`` with PART one of together, torch, tensorflow reads
the job (JSON) and appends its records to a file as it goes, so that a crash loses nothing before
it. Nothing is judged here: ``gpu_check`` compares with the tolerances.

A step is taken twice from the same weights: in float64 on the CPU (the reference) and on the
device. Three numbers say how far apart they are: the loss, the loss after the step, and the
update, as the largest difference of a parameter in proportion to the reference's largest change.
"""

from __future__ import annotations

import gc
import importlib
import json
import sys
import time
import weakref
from pathlib import Path
from typing import Any

import course_lib  # noqa: F401  first: it prepares the frameworks' imports
import numpy as np

ROWS = 128  # a batch
WARM_UP, REPEATS, STEPS = 10, 5, 20  # steps before timing; best of REPEATS times STEPS
SIDE = 2048  # of the matrices that both frameworks multiply while they share a card


def pixels(random: np.random.Generator, sizes: dict) -> tuple[np.ndarray, np.ndarray]:
    """A batch of pixel rows in 0..1 (batch, features) and one-hot targets (batch, classes)."""
    x = random.random((ROWS, sizes["features"]))
    return x, np.eye(sizes["classes"])[random.integers(0, sizes["classes"], ROWS)]


def pixels_and_labels(random: np.random.Generator, sizes: dict) -> tuple[np.ndarray, np.ndarray]:
    """A batch of pixel rows in 0..1 (batch, features) and labels (batch,) int64."""
    return random.random((ROWS, sizes["features"])), random.integers(0, sizes["classes"], ROWS)


def images_and_labels(random: np.random.Generator, sizes: dict) -> tuple[np.ndarray, np.ndarray]:
    """A batch of grey images (batch, 28, 28) in 0..1 and labels (batch,) int64."""
    return random.random((ROWS, 28, 28)), random.integers(0, sizes["classes"], ROWS)


def colour_images_and_labels(random: np.random.Generator, sizes: dict) -> tuple[np.ndarray, np.ndarray]:
    """A batch of colour images (batch, 16, 16, 3), standardised, and labels (batch,) int64."""
    return random.standard_normal((ROWS, 16, 16, 3)), random.integers(0, sizes["classes"], ROWS)


def ids_and_labels(random: np.random.Generator, sizes: dict) -> tuple[np.ndarray, np.ndarray]:
    """A batch of token ids (batch, 50), each row filled up with 0 to the right, and labels."""
    ids = random.integers(1, sizes["tokens"], (ROWS, 50))
    ids[np.arange(50) >= random.integers(5, 51, ROWS)[:, None]] = 0
    return ids, random.integers(0, sizes["classes"], ROWS)


def word_ids_and_labels(random: np.random.Generator, sizes: dict) -> tuple[np.ndarray, np.ndarray]:
    """Ids of words (batch, 24), the last ones 0 for padding, and labels (batch,) int64."""
    ids = random.integers(1, sizes["words"], (ROWS, 24))
    ids[np.arange(24) >= random.integers(1, 25, (ROWS, 1))] = 0
    return ids, random.integers(0, sizes["classes"], ROWS)


def frames_and_lengths(random: np.random.Generator, sizes: dict) -> tuple[np.ndarray, ...]:
    """Frames (batch, 40, features), zeros after each row's length; lengths and labels (batch,)."""
    lengths = random.integers(1, 41, ROWS)
    real = np.arange(40) < lengths[:, None]
    x = random.standard_normal((ROWS, 40, sizes["features"])) * real[..., None]
    return x, lengths, random.integers(0, sizes["classes"], ROWS)


def tokens_and_lengths(random: np.random.Generator, sizes: dict) -> tuple[np.ndarray, ...]:
    """Tokens (batch, 40), 0 after each row's length; lengths and labels (batch,)."""
    lengths = random.integers(1, 41, ROWS)
    tokens = random.integers(1, sizes["vocabulary"], (ROWS, 40))
    tokens[np.arange(40) >= lengths[:, None]] = 0
    return tokens, lengths, random.integers(0, sizes["classes"], ROWS)


def masked_tokens(random: np.random.Generator, sizes: dict) -> tuple[np.ndarray, np.ndarray]:
    """Ids of tokens (batch, 40) and targets (batch, 40): a third is asked for, -100 elsewhere."""
    ids = random.integers(0, sizes["vocabulary"], (ROWS, 40))
    return ids, np.where(random.random(ids.shape) < 1 / 3, ids, -100)


def encoder_torch(dtype: str, **sizes):
    """The encoder of the page on BERT."""
    from course_lib.pytorch.transformer import TorchTransformer
    from course_lib.scratch.transformer import bert_config

    return TorchTransformer(bert_config(**sizes, segments=0, mlm_head=False, dtype=dtype))


def encoder_tf(dtype: str, **sizes):
    """The same in TensorFlow."""
    from course_lib.scratch.transformer import bert_config
    from course_lib.tensorflow.transformer import TFTransformer

    return TFTransformer(bert_config(**sizes, segments=0, mlm_head=False, dtype=dtype))


_OPTIMIZERS = weakref.WeakKeyDictionary()  # of each model, from its first step on


def adam_step_torch(model, ids, labels, learning_rate: float, epsilon: float):
    """One step of the course's Adam, whose moments and count last as long as the model.

    A small ``epsilon`` would let rounding decide the sign of a gradient near 0, and with it a step.
    """
    from course_lib.pytorch.adam import TorchAdam, step_torch
    from course_lib.scratch.adam import DYADIC

    if model not in _OPTIMIZERS:
        _OPTIMIZERS[model] = TorchAdam(
            model.parameters(), learning_rate, **DYADIC | {"epsilon": epsilon})
    return step_torch(model, ids, labels, _OPTIMIZERS[model])


def adam_step_tf(model, ids, labels, learning_rate: float, epsilon: float):
    """The same in TensorFlow; the optimizer's variables are made outside the step's trace."""
    import tensorflow as tf
    from course_lib.scratch.adam import DYADIC
    from course_lib.tensorflow.adam import TFAdam, step_tf

    if model not in _OPTIMIZERS:
        with tf.init_scope():
            _OPTIMIZERS[model] = TFAdam(
                model.trainable_variables, learning_rate, **DYADIC | {"epsilon": epsilon})
    return step_tf(model, ids, labels, _OPTIMIZERS[model])


def adamw_step_torch(model, ids, labels, learning_rate: float, epsilon: float, decay: float,
                     limit: float):
    """One step of AdamW with the gradient clipped; otherwise as ``adam_step_torch``."""
    from course_lib.pytorch.adam import TorchAdam
    from course_lib.pytorch.schedules import step_torch
    from course_lib.scratch.adam import DYADIC

    if model not in _OPTIMIZERS:
        _OPTIMIZERS[model] = TorchAdam(
            model.parameters(), learning_rate, **DYADIC | {"epsilon": epsilon},
            weight_decay=decay)
    return step_torch(model, ids, labels, _OPTIMIZERS[model], limit)


def adamw_step_tf(model, ids, labels, learning_rate: float, epsilon: float, decay: float,
                  limit: float):
    """The same in TensorFlow."""
    import tensorflow as tf
    from course_lib.scratch.adam import DYADIC
    from course_lib.tensorflow.adam import TFAdam
    from course_lib.tensorflow.schedules import step_tf

    if model not in _OPTIMIZERS:
        with tf.init_scope():
            _OPTIMIZERS[model] = TFAdam(
                model.trainable_variables, learning_rate, **DYADIC | {"epsilon": epsilon},
                weight_decay=decay)
    return step_tf(model, ids, labels, _OPTIMIZERS[model], limit)


def token_step_torch(model, ids, targets, learning_rate: float, epsilon: float):
    """One step of the course's Adam on the cross-entropy of the tokens asked for."""
    from course_lib.pytorch.adam import TorchAdam
    from course_lib.pytorch.train import step_torch
    from course_lib.pytorch.transformer import token_loss_torch

    if model not in _OPTIMIZERS:
        _OPTIMIZERS[model] = TorchAdam(model.parameters(), learning_rate, epsilon=epsilon)
    return step_torch(model, ids, targets, _OPTIMIZERS[model], token_loss_torch(model))


def token_step_tf(model, ids, targets, learning_rate: float, epsilon: float):
    """The same in TensorFlow."""
    import tensorflow as tf
    from course_lib.tensorflow.adam import TFAdam
    from course_lib.tensorflow.train import step_tf
    from course_lib.tensorflow.transformer import token_loss_tf

    if model not in _OPTIMIZERS:
        with tf.init_scope():
            _OPTIMIZERS[model] = TFAdam(model.trainable_variables, learning_rate, epsilon=epsilon)
    return step_tf(model, ids, targets, _OPTIMIZERS[model], token_loss_tf(model))


def named(path: str) -> Any:
    """The object at ``module:name``."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def batch_of(twin: dict, dtype: str) -> tuple[np.ndarray, ...]:
    """The same batch for everyone, float arrays in ``dtype``."""
    arrays = named(twin["batch"])(np.random.default_rng(0), twin["sizes"])
    return tuple(a.astype(dtype) if a.dtype.kind == "f" else a for a in arrays)


def distance(start: list, reference: list, found: list) -> float:
    """Largest difference of a parameter, in proportion to the largest change in the reference."""
    change = max(float(np.abs(r - s).max()) for s, r in zip(start, reference))
    apart = [np.abs(np.asarray(f, np.float64) - r).max() for f, r in zip(found, reference)]
    return float(np.max(apart)) / change if change else float("inf")


def relative(found: float, reference: float) -> float:
    return abs(found - reference) / max(abs(reference), 1e-30)


class Part:
    """What the two frameworks' parts share: read a job, compare steps, write records."""

    name = ""

    def __init__(self, job: dict):
        self.job, self.device = job, job["device"]
        self.folder = Path(job["folder"])

    def record(self, kind: str, **facts) -> None:
        with (self.folder / f"{self.name}.jsonl").open("a", encoding="utf8") as file:
            file.write(json.dumps({"kind": kind, "framework": self.name, **facts}) + "\n")

    def precisions(self) -> list[tuple[str, str, bool]]:
        """What to run: (its name, the dtype, whether TF32 is allowed)."""
        found = [("float32", "float32", False)]
        if self.device != "mps":  # which has no float64
            found.insert(0, ("float64", "float64", False))
        if self.device == "cuda":
            found.append(("TF32", "float32", True))
        return found

    def run(self) -> None:
        self.record("versions", **self.versions())
        for twin in self.job["twins"]:
            start = self.weights(twin)
            reference = self.two_steps(twin, start, "float64", on="cpu")
            self.record("reference", twin=twin["name"], losses=reference["losses"])
            for label, dtype, tf32 in self.precisions():
                self.allow_tf32(tf32)
                found = self.two_steps(twin, start, dtype, on=self.device)
                self.record(
                    "step", twin=twin["name"], precision=label, losses=found["losses"],
                    ran_on=found["ran_on"],
                    loss=relative(found["losses"][0], reference["losses"][0]),
                    loss_after=relative(found["losses"][1], reference["losses"][1]),
                    update=distance(start, reference["weights"], found["weights"]),
                )
            self.allow_tf32(False)
            self.record("cost", twin=twin["name"], rows=ROWS, **self.cost(twin, start))

    def weights(self, twin: dict) -> list[np.ndarray]:
        """The twin's starting weights in this framework's layout, as ``together`` stored them."""
        path = self.folder / f"{twin['name']}-{self.name}.npz"
        with np.load(path, allow_pickle=False) as stored:
            return [stored[name] for name in stored.files]

    def best(self, step, wait) -> float:
        """Milliseconds a step: the best of several timed rounds after warming up."""
        for _ in range(WARM_UP):
            step()
        wait()
        rounds = []
        for _ in range(REPEATS):
            begin = time.perf_counter()
            for _ in range(STEPS):
                step()
            wait()
            rounds.append((time.perf_counter() - begin) / STEPS * 1e3)
        return min(rounds)


class TorchPart(Part):
    name = "torch"

    def versions(self) -> dict:
        import torch

        facts = {"torch": torch.__version__, "cuda": torch.version.cuda,
                 "threads": torch.get_num_threads()}
        if self.device == "cuda":
            card = torch.cuda.get_device_properties(0)
            facts |= {"card": card.name, "capability": f"{card.major}.{card.minor}",
                      "memory_mb": round(card.total_memory / 1e6),
                      "cudnn": torch.backends.cudnn.version()}
        return facts

    def allow_tf32(self, allowed: bool) -> None:
        import torch

        torch.set_float32_matmul_precision("high" if allowed else "highest")
        torch.backends.cudnn.allow_tf32 = allowed

    def build(self, twin: dict, start: list, dtype: str, on: str):
        import torch

        model = named(twin["torch_model"])(**twin["sizes"], dtype=dtype)
        with torch.no_grad():
            for target, array in zip(model.state_dict().values(), start, strict=True):
                target.copy_(torch.from_numpy(array))
        data = [torch.from_numpy(a).to(on) for a in batch_of(twin, dtype)]
        return model.to(on), data, named(twin["torch_step"])

    def two_steps(self, twin: dict, start: list, dtype: str, on: str) -> dict:
        model, data, step = self.build(twin, start, dtype, on)
        losses = [step(model, *data, *twin["settings"])]
        weights = [w.detach().cpu().numpy().copy() for w in model.state_dict().values()]
        losses.append(step(model, *data, *twin["settings"]))
        places = {str(w.device.type) for w in model.parameters()} | {losses[0].device.type}
        return {"losses": [loss.item() for loss in losses], "weights": weights,
                "ran_on": sorted(places)}

    def cost(self, twin: dict, start: list) -> dict:
        import torch

        gc.collect()
        if self.device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        model, data, step = self.build(twin, start, "float32", self.device)
        wait = {"cuda": torch.cuda.synchronize, "mps": torch.mps.synchronize}.get(
            self.device, lambda: None)
        time_ms = self.best(lambda: step(model, *data, *twin["settings"]), wait)
        peak = torch.cuda.max_memory_allocated() / 1e6 if self.device == "cuda" else None
        return {"milliseconds": time_ms, "peak_mb": peak}


class TensorFlowPart(Part):
    name = "tensorflow"

    def place(self, on: str) -> str:
        return "/CPU:0" if on == "cpu" else "/GPU:0"

    def versions(self) -> dict:
        import tensorflow as tf

        build = tf.sysconfig.get_build_info()
        facts = {"tensorflow": tf.__version__, "keras": tf.keras.__version__,
                 "cuda": build.get("cuda_version"), "cudnn": build.get("cudnn_version"),
                 "threads": tf.config.threading.get_intra_op_parallelism_threads()}
        if self.device != "cpu":
            gpu = tf.config.list_physical_devices("GPU")[0]
            details = tf.config.experimental.get_device_details(gpu)
            facts["card"] = details.get("device_name", gpu.name)
            facts["memory_growth"] = tf.config.experimental.get_memory_growth(gpu)
        return facts

    def allow_tf32(self, allowed: bool) -> None:
        import tensorflow as tf

        tf.config.experimental.enable_tensor_float_32_execution(allowed)

    def build(self, twin: dict, start: list, dtype: str, on: str):
        import tensorflow as tf

        model = named(twin["tf_model"])(**twin["sizes"], dtype=dtype)
        model.set_weights([array.astype(dtype) for array in start])
        data = [tf.constant(a) for a in batch_of(twin, dtype)]
        return model, data, tf.function(named(twin["tf_step"]))

    def two_steps(self, twin: dict, start: list, dtype: str, on: str) -> dict:
        import tensorflow as tf

        with tf.device(self.place(on)):
            model, data, step = self.build(twin, start, dtype, on)
            losses = [step(model, *data, *twin["settings"])]
            weights = [np.array(w) for w in model.get_weights()]
            losses.append(step(model, *data, *twin["settings"]))
        places = {w.value.device for w in model.weights} | {losses[0].device}
        return {"losses": [float(loss) for loss in losses], "weights": weights,
                "ran_on": sorted({_kind(place) for place in places})}

    def cost(self, twin: dict, start: list) -> dict:
        import tensorflow as tf

        gc.collect()
        if self.device == "cuda":
            tf.config.experimental.reset_memory_stats("GPU:0")
        with tf.device(self.place(self.device)):
            model, data, step = self.build(twin, start, "float32", self.device)
            last = []

            def one() -> None:
                last[:] = [step(model, *data, *twin["settings"])]

            def wait() -> None:
                tf.test.experimental.sync_devices()
                last[0].numpy()

            time_ms = self.best(one, wait)
        peak = None
        if self.device == "cuda":
            peak = tf.config.experimental.get_memory_info("GPU:0")["peak"] / 1e6
        return {"milliseconds": time_ms, "peak_mb": peak}


def _kind(place: str) -> str:
    """``gpu`` or ``cpu`` out of TensorFlow's name of a device."""
    return "gpu" if "GPU" in place else "cpu" if "CPU" in place else place


class TogetherPart(Part):
    """Make the twins' weights on the CPU, then hold the card with both frameworks at once."""

    name = "together"

    def run(self) -> None:
        for twin in self.job["twins"]:
            self.store_weights(twin)
        if self.job["share"]:
            self.share()

    def store_weights(self, twin: dict) -> None:
        """Draw weights in torch, copy them into the Keras twin, store both layouts."""
        import torch

        torch.manual_seed(0)
        model = named(twin["torch_model"])(**twin["sizes"], dtype="float64")
        self.store(twin, "torch", [w.numpy() for w in model.state_dict().values()])
        import tensorflow as tf

        from course_lib import parity

        with tf.device("/CPU:0"):
            keras_model = named(twin["tf_model"])(**twin["sizes"], dtype="float64")
            parity.copy_weights(model, keras_model)
            self.store(twin, "tensorflow", keras_model.get_weights())
        self.record("weights", twin=twin["name"],
                    parameters=sum(p.numel() for p in model.parameters()))

    def store(self, twin: dict, name: str, arrays: list[np.ndarray]) -> None:
        path = self.folder / f"{twin['name']}-{name}.npz"
        np.savez(path, **{f"w{row:04d}": array for row, array in enumerate(arrays)})

    def free_mb(self) -> float | None:
        import torch

        return torch.cuda.mem_get_info()[0] / 1e6 if self.device == "cuda" else None

    def share(self) -> None:
        """Multiply matrices in turn: torch, TensorFlow, torch, TensorFlow, all kept alive."""
        import tensorflow as tf
        import torch

        side = SIDE if self.device != "cpu" else SIDE // 8
        ones = np.ones((side, side), np.float32)
        free, sums, kept = [self.free_mb()], [], []
        for _ in range(2):
            with torch.no_grad():
                a = torch.from_numpy(ones).to(self.device)
                kept += [a, a @ a]
                sums.append(float(kept[-1].mean()))
            free.append(self.free_mb())
            with tf.device("/CPU:0" if self.device == "cpu" else "/GPU:0"):
                b = tf.constant(ones)
                kept += [b, b @ b]
                sums.append(float(tf.reduce_mean(kept[-1])))
            free.append(self.free_mb())
        self.record("shared", free_mb=free, means=sums, expected=float(side))


PARTS = {part.name: part for part in (TogetherPart, TorchPart, TensorFlowPart)}


def main(part: str, job: str) -> None:
    PARTS[part](json.loads(Path(job).read_text("utf8"))).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
