"""``course gpu-check``: one step of each model on the GPU in both frameworks, and a report.

The parts that touch a framework run in processes of their own (``gpu_parts``); here their records
are judged against the stated tolerances and written down, failures included.
"""

from __future__ import annotations

import datetime
import json
import math
import platform
import re
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from course_tools import machine, probe
from course_tools.errors import CourseError
from course_tools.probe import Framework


@dataclass(frozen=True)
class Twin:
    """A model of the course in both frameworks, its step, and how to call them.

    Names are ``module:name``. Models take ``sizes`` and ``dtype``; steps take the model, the
    arrays that ``batch`` makes out of a random generator and ``sizes``, then ``settings``.
    ``name`` names files, too.
    """

    name: str
    page: str
    torch_model: str
    tf_model: str
    torch_step: str
    tf_step: str
    sizes: dict
    settings: tuple
    batch: str = "course_tools.gpu_parts:pixels"


# Every model of the course; a chapter that brings one adds an entry.
TWINS: tuple[Twin, ...] = (
    Twin(
        name="mlp",
        page="03-gradient-descent/gradient-descent",
        torch_model="course_lib.pytorch.models:TorchMLP",
        tf_model="course_lib.tensorflow.models:TFMLP",
        torch_step="course_lib.pytorch.training:step_torch",
        tf_step="course_lib.tensorflow.training:step_tf",
        sizes={"features": 784, "hidden": 256, "classes": 10},
        settings=(0.01,),
    ),
    Twin(
        name="classifier",
        page="03-gradient-descent/losses-and-activations",
        torch_model="course_lib.pytorch.classification:TorchClassifier",
        tf_model="course_lib.tensorflow.classification:TFClassifier",
        torch_step="course_lib.pytorch.classification:step_torch",
        tf_step="course_lib.tensorflow.classification:step_tf",
        # not gelu: Keras's carries a float32 constant into float64 and is off by 5e-9 there
        sizes={"features": 784, "hidden": 256, "classes": 10, "activation": "relu"},
        settings=(0.5,),
        batch="course_tools.gpu_parts:pixels_and_labels",
    ),
    Twin(
        name="residual-mlp",
        page="04-backpropagation/autograd",
        torch_model="course_lib.pytorch.residual_mlp:TorchResidualMLP",
        tf_model="course_lib.tensorflow.residual_mlp:TFResidualMLP",
        # its own step takes an optimizer; this one is plain gradient descent on the same loss
        torch_step="course_lib.pytorch.classification:step_torch",
        tf_step="course_lib.tensorflow.classification:step_tf",
        sizes={"features": 784, "hidden": 256, "classes": 10, "blocks": 4},
        settings=(0.03125,),
        batch="course_tools.gpu_parts:pixels_and_labels",
    ),
    Twin(
        name="lenet",
        page="02-architectures/cnn",
        torch_model="course_lib.pytorch.lenet:TorchLeNet",
        tf_model="course_lib.tensorflow.lenet:TFLeNet",
        # its own step takes an optimizer; this one is plain gradient descent on the same loss
        torch_step="course_lib.pytorch.classification:step_torch",
        tf_step="course_lib.tensorflow.classification:step_tf",
        sizes={"classes": 10},
        settings=(0.5,),
        batch="course_tools.gpu_parts:images_and_labels",
    ),
    Twin(
        name="pooled-text",
        page="01-datasets/text",
        torch_model="course_lib.pytorch.pooled_text:TorchPooledText",
        tf_model="course_lib.tensorflow.pooled_text:TFPooledText",
        torch_step="course_lib.pytorch.pooled_text:plain_step_torch",
        tf_step="course_lib.tensorflow.pooled_text:plain_step_tf",
        sizes={"tokens": 2048, "width": 32, "classes": 2, "pooling": "mean"},
        settings=(0.5,),
        batch="course_tools.gpu_parts:ids_and_labels",
    ),
    Twin(
        name="attention",
        page="06-transformers/attention",
        torch_model="course_lib.pytorch.attention:TorchAttentionText",
        tf_model="course_lib.tensorflow.attention:TFAttentionText",
        torch_step="course_lib.pytorch.pooled_text:plain_step_torch",
        tf_step="course_lib.tensorflow.pooled_text:plain_step_tf",
        sizes={"tokens": 2048, "width": 64, "heads": 4, "classes": 2, "positions": "rotary"},
        settings=(0.5,),
        batch="course_tools.gpu_parts:ids_and_labels",
    ),
    Twin(
        name="text-mlp",
        page="02-architectures/mlp",
        torch_model="course_lib.pytorch.text_mlp:TorchTextMLP",
        tf_model="course_lib.tensorflow.text_mlp:TFTextMLP",
        torch_step="course_lib.pytorch.text_mlp:step_torch",
        tf_step="course_lib.tensorflow.text_mlp:step_tf",
        sizes={"words": 2048, "width": 32, "hidden": [64, 64], "classes": 2},
        settings=(0.5,),
        batch="course_tools.gpu_parts:word_ids_and_labels",
    ),
    Twin(
        name="adam",
        page="05-adam/adam",
        torch_model="course_lib.pytorch.text_mlp:TorchTextMLP",
        tf_model="course_lib.tensorflow.text_mlp:TFTextMLP",
        torch_step="course_tools.gpu_parts:adam_step_torch",
        tf_step="course_tools.gpu_parts:adam_step_tf",
        sizes={"words": 2048, "width": 32, "hidden": [64, 64], "classes": 2},
        settings=(0.03125, 0.015625),
        batch="course_tools.gpu_parts:word_ids_and_labels",
    ),
    Twin(
        name="adamw",
        page="05-adam/adamw-and-schedules",
        torch_model="course_lib.pytorch.text_mlp:TorchTextMLP",
        tf_model="course_lib.tensorflow.text_mlp:TFTextMLP",
        torch_step="course_tools.gpu_parts:adamw_step_torch",
        tf_step="course_tools.gpu_parts:adamw_step_tf",
        sizes={"words": 2048, "width": 32, "hidden": [64, 64], "classes": 2},
        settings=(0.125, 0.015625, 0.25, 0.03125),
        batch="course_tools.gpu_parts:word_ids_and_labels",
    ),
    Twin(
        name="bert",
        page="06-transformers/bert",
        torch_model="course_tools.gpu_parts:encoder_torch",
        tf_model="course_tools.gpu_parts:encoder_tf",
        torch_step="course_tools.gpu_parts:token_step_torch",
        tf_step="course_tools.gpu_parts:token_step_tf",
        sizes={"vocabulary": 1024, "width": 64, "layers": 2, "heads": 4, "context": 40},
        settings=(0.03125, 0.015625),
        batch="course_tools.gpu_parts:masked_tokens",
    ),
    Twin(
        name="feed-forward",
        page="02-architectures/mlp",
        torch_model="course_lib.pytorch.text_mlp:TorchFeedForward",
        tf_model="course_lib.tensorflow.text_mlp:TFFeedForward",
        torch_step="course_lib.pytorch.text_mlp:step_torch",
        tf_step="course_lib.tensorflow.text_mlp:step_tf",
        sizes={"features": 784, "hidden": [256, 128], "classes": 10},
        settings=(0.01,),
        batch="course_tools.gpu_parts:pixels_and_labels",
    ),
    Twin(
        name="resnet",
        page="02-architectures/resnet",
        torch_model="course_lib.pytorch.resnet:TorchResNet",
        tf_model="course_lib.tensorflow.resnet:TFResNet",
        torch_step="course_lib.pytorch.resnet:step_torch",
        tf_step="course_lib.tensorflow.resnet:step_tf",
        sizes={"classes": 10, "depth": 8},
        settings=(0.01,),
        batch="course_tools.gpu_parts:colour_images_and_labels",
    ),
    Twin(
        name="deep-mlp",
        page="04-backpropagation/deep-gradients",
        torch_model="course_lib.pytorch.deep_mlp:TorchDeepMLP",
        tf_model="course_lib.tensorflow.deep_mlp:TFDeepMLP",
        torch_step="course_lib.pytorch.deep_mlp:step_torch",
        tf_step="course_lib.tensorflow.deep_mlp:step_tf",
        sizes={"features": 196, "width": 64, "depth": 30, "classes": 10, "activation": "tanh",
               "init": "glorot", "shortcuts": True, "branch": 0.1875},
        settings=(0.125, 1.0),  # the gradient's norm is beyond 1, so it is clipped
        batch="course_tools.gpu_parts:pixels_and_labels",
    ),
    Twin(
        name="lstm-frames",
        page="02-architectures/rnn",
        torch_model="course_lib.pytorch.recurrent:TorchLSTMClassifier",
        tf_model="course_lib.tensorflow.recurrent:TFLSTMClassifier",
        torch_step="course_lib.pytorch.recurrent:step_torch",
        tf_step="course_lib.tensorflow.recurrent:step_tf",
        sizes={"features": 12, "hidden": 64, "classes": 9},
        settings=(0.5,),
        batch="course_tools.gpu_parts:frames_and_lengths",
    ),
    Twin(
        name="rnn-frames",
        page="02-architectures/rnn",
        torch_model="course_lib.pytorch.recurrent:TorchRNNClassifier",
        tf_model="course_lib.tensorflow.recurrent:TFRNNClassifier",
        torch_step="course_lib.pytorch.recurrent:step_torch",
        tf_step="course_lib.tensorflow.recurrent:step_tf",
        sizes={"features": 12, "hidden": 64, "classes": 9},
        settings=(0.5,),
        batch="course_tools.gpu_parts:frames_and_lengths",
    ),
    Twin(
        name="lstm-text",
        page="02-architectures/rnn",
        torch_model="course_lib.pytorch.recurrent:TorchTextLSTM",
        tf_model="course_lib.tensorflow.recurrent:TFTextLSTM",
        torch_step="course_lib.pytorch.recurrent:step_torch",
        tf_step="course_lib.tensorflow.recurrent:step_tf",
        sizes={"vocabulary": 2000, "features": 32, "hidden": 64, "classes": 2},
        settings=(2.0,),
        batch="course_tools.gpu_parts:tokens_and_lengths",
    ),
)

# How far a step on the device may lie from float64 on the CPU, in proportion to the loss and to
# the largest update. float64: only the order of a sum differs. float32, in NumPy on this book's
# MLP: 2e-6. TF32 keeps 11 bits of each factor of a product; with factors so rounded, NumPy gives
# 3e-4. Each is allowed ten times that, and TF32 left on by mistake does not pass for float32.
# Rates above are larger where gradients are small: a float32 parameter near 4 is stored to 1e-7,
# and beside a change of 0.005 that rounding alone would be an error of 2e-5.
TOLERANCES = {"float64": 1e-10, "float32": 2e-5, "TF32": 3e-3}
TWIN_TOLERANCE = 1e-12  # both frameworks in float64 on the CPU
LARGEST_SHARE = 0.5  # of the free memory that TensorFlow may take for one small product
FRAMEWORKS = {"torch": "PyTorch", "tensorflow": "TensorFlow"}
PLACES = {"torch": {"cuda": "cuda", "mps": "mps", "cpu": "cpu"},
          "tensorflow": {"cuda": "gpu", "mps": "gpu", "cpu": "cpu"}}
NO_RESULT, NOT_COMPARED = "no result", "the frameworks could not be compared"
BLIND = "it does not start or sees no GPU here; `course doctor` says why"
NO_GPU = ("Neither framework sees a GPU here: run `course doctor`, which says what to install, or"
          " rehearse on the CPU with --device cpu.")


@dataclass(frozen=True)
class PartRun:
    """How a part ended: ok, error, crash, timeout, or blind: its framework sees no GPU."""

    name: str
    state: str
    said: str
    records: tuple[dict, ...]


@dataclass(frozen=True)
class Verdict:
    """Something that was compared: in words, and whether it is as it should be."""

    what: str
    holds: bool


# --- running --------------------------------------------------------------------------------


def choose_device(wanted: str, found: dict[str, Framework]) -> tuple[str, list[str]]:
    """The device to use and the frameworks that see it; ("", []) where none does.

    ``wanted`` is auto, cuda or mps.
    """
    sees = {name: framework.facts.get("sees", "cpu") for name, framework in found.items()}
    kinds = [kind for kind in sees.values() if kind != "cpu"]
    device = wanted if wanted != "auto" else (kinds or [""])[0]
    seeing = [name for name, kind in sees.items() if kind == device]
    return (device, seeing) if seeing else ("", [])


def run_parts(device: str, seeing: list[str], twins: tuple[Twin, ...], timeout: float = 600,
              say: Callable[[str], None] = print) -> list[PartRun]:
    """Run each part in a process of its own: first the weights, then each framework's steps."""
    hide = {"CUDA_VISIBLE_DEVICES": "-1"} if device == "cpu" else {}
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as folder:
        job = Path(folder) / "job.json"
        job.write_text(json.dumps({
            "folder": folder, "device": device, "share": len(seeing) == 2,
            "twins": [asdict(twin) for twin in twins],
        }), "utf8")
        found = []
        for part in ("together", *FRAMEWORKS):
            if part in FRAMEWORKS and part not in seeing:
                found.append(PartRun(part, "blind", BLIND, ()))
                continue
            say(f"running {FRAMEWORKS.get(part, 'both frameworks together')} …")
            ended = probe.run_module("course_tools.gpu_parts", part, str(job), timeout=timeout,
                                     **hide)
            said = "" if ended.state == "ok" else ended.said
            found.append(PartRun(part, ended.state, said, _read(Path(folder) / f"{part}.jsonl")))
    return found


def _read(path: Path) -> tuple[dict, ...]:
    """The records of a part; a line that a crash cut short is left out."""
    records = []
    for line in path.read_text("utf8").splitlines() if path.is_file() else ():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return tuple(records)


# --- judging --------------------------------------------------------------------------------


def judge(parts: list[PartRun], twins: tuple[Twin, ...], device: str) -> list[Verdict]:
    """Every comparison, and everything that should have been compared and was not.

    What a part that failed did not come to is no failure of its own, nor is the error of a part
    that misses the weights which the first one did not come to store: one verdict says it all.
    """
    records = {part.name: part.records for part in parts}
    whole = {part.name: part.state == "ok" for part in parts}
    verdicts = [judge_part(part) for part in parts
                if part.state != "error" or part.name == "together" or whole["together"]]
    seeing = [part.name for part in parts if part.name in FRAMEWORKS and part.state != "blind"]
    for twin in twins:
        for name in seeing:
            found = judge_steps(twin.name, name, records[name], device)
            verdicts += [v for v in found if whole[name] or not v.what.endswith(NO_RESULT)]
        if len(seeing) == 2:
            found = judge_twins(twin.name, records)
            both = all(whole[name] for name in seeing)
            verdicts += [found] if both or not found.what.endswith(NOT_COMPARED) else []
    if len(seeing) == 2 and whole["together"]:
        verdicts.append(judge_sharing(records["together"], device))
    return verdicts


def judge_part(part: PartRun) -> Verdict:
    """Whether a part came to its end."""
    title = FRAMEWORKS.get(part.name, "both frameworks in one process")
    if part.state == "ok":
        return Verdict(f"{title}: ran to the end", True)
    return Verdict(f"{title}: {part.state}: {part.said or 'it said nothing'}", False)


def judge_steps(twin: str, name: str, records: tuple[dict, ...], device: str) -> list[Verdict]:
    """Each step of a model in one framework: is it there, where it ran, how far it is off."""
    steps = [r for r in records if r["kind"] == "step" and r["twin"] == twin]
    found = [judge_step(step, device) for step in steps]
    wanted = [p for p in TOLERANCES if not (p == "float64" and device == "mps")
              and not (p == "TF32" and device != "cuda")]
    missing = [p for p in wanted if p not in [step["precision"] for step in steps]]
    found += [Verdict(f"{twin}, {FRAMEWORKS[name]}, {p}: {NO_RESULT}", False) for p in missing]
    return found


def judge_step(step: dict, device: str) -> Verdict:
    """One step on the device against the same step in float64 on the CPU."""
    tolerance = TOLERANCES[step["precision"]]
    name = step["framework"]
    where = f"{step['twin']}, {FRAMEWORKS[name]}, {step['precision']}"
    if step["ran_on"] != [PLACES[name][device]]:
        return Verdict(f"{where}: ran on {' and '.join(step['ran_on'])}, not on {device}", False)
    apart = {"loss": step["loss"], "update": step["update"], "next loss": step["loss_after"]}
    words = ", ".join(f"{what} {size:.1e}" for what, size in apart.items())
    holds = all(size <= tolerance for size in apart.values())  # false for NaN, too
    return Verdict(f"{where}: differs by {words}; allowed {tolerance:.0e}", holds)


def judge_twins(twin: str, records: dict[str, tuple[dict, ...]]) -> Verdict:
    """Both frameworks' float64 losses on the CPU, which the course promises to be equal."""
    losses = [r["losses"] for name in FRAMEWORKS for r in records[name]
              if r["kind"] == "reference" and r["twin"] == twin]
    if len(losses) < 2:
        return Verdict(f"{twin}: {NOT_COMPARED}", False)
    apart = max((abs(a - b) / max(abs(a), 1e-30) for a, b in zip(*losses)), default=math.inf)
    apart = math.inf if any(map(math.isnan, losses[0] + losses[1])) else apart
    words = f"{twin}: both frameworks in float64 on the CPU differ by {apart:.1e}"
    return Verdict(f"{words}; allowed {TWIN_TOLERANCE:.0e}", apart <= TWIN_TOLERANCE)


def judge_sharing(records: tuple[dict, ...], device: str) -> Verdict:
    """Whether both frameworks held the device at once and TensorFlow left memory free."""
    shared = next((r for r in records if r["kind"] == "shared"), None)
    if shared is None:
        return Verdict("one process, both frameworks: they did not share the device", False)
    wrong = [m for m in shared["means"] if not math.isclose(m, shared["expected"], rel_tol=1e-3)]
    if wrong or not shared["means"]:
        return Verdict(f"one process, both frameworks: wrong products {wrong}", False)
    if device != "cuda":
        return Verdict("one process, both frameworks: they computed in turn", True)
    free = shared["free_mb"]  # at first; after torch, TensorFlow, torch, TensorFlow
    took = free[1] - free[2]
    return Verdict(
        f"one process, both frameworks: TensorFlow took {took:.0f} of {free[1]:.0f} MB free",
        took <= LARGEST_SHARE * free[1])


# --- the report -----------------------------------------------------------------------------


def environment(root: Path | None) -> dict:
    """What the report says of the machine: no names of people, folders or hosts."""
    nvidia = machine.nvidia_smi()
    names = ("torch", "tensorflow", "keras", "numpy")
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: machine.installed_version(name) for name in names},
        "driver": nvidia.driver,
        "cards": list(nvidia.cards),
        "course": _commit(root),
    }


def _commit(root: Path | None) -> str:
    """The commit of the course, with a mark where files differ from it; "" if there is none."""
    if root is None:
        return ""
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        ran = subprocess.run(command, capture_output=True, encoding="utf8",
                             errors="replace", timeout=machine.PATIENCE)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ran.stdout.strip() if ran.returncode == 0 else ""


def device_name(parts: list[PartRun], facts: dict, device: str) -> str:
    """The card's name as a framework or the driver says it."""
    said = [r["card"] for part in parts for r in part.records if r.get("card")]
    return (said or facts["cards"] or [device])[0]


def report(parts: list[PartRun], verdicts: list[Verdict], facts: dict, device: str) -> str:
    """The report in Markdown: what ran, what holds, what does not, and all numbers as JSON."""
    card = device_name(parts, facts, device)
    wrong = [v for v in verdicts if not v.holds]
    title = f"# GPU report: {card}, {facts['date']}"
    if device == "cpu":
        title = "# Rehearsal on the CPU: this is no evidence about a GPU"
    summary = f"All {len(verdicts)} checks hold."
    if wrong:
        summary = f"**{len(wrong)} of {len(verdicts)} checks do not hold:**"
    lines = [title, "", summary, *(f"- {v.what}" for v in wrong), ""]
    lines += ["## Checks", "", *(f"- {'holds' if v.holds else '**FAILS**'}: {v.what}"
                                 for v in verdicts), ""]
    lines += _explanation() + _costs(parts) + _machine_lines(parts, facts)
    everything = {
        "schema": 1, "rehearsal": device == "cpu", "device": device, "card": card,
        "environment": facts, "tolerances": {**TOLERANCES, "twins": TWIN_TOLERANCE},
        "verdicts": [asdict(v) for v in verdicts], "parts": [asdict(p) for p in parts],
    }
    lines += ["## All numbers", "", "```json", json.dumps(_plain(everything), indent=1), "```"]
    return "\n".join(lines) + "\n"


def _explanation() -> list[str]:
    allowed = ", ".join(f"{name} {size:.0e}" for name, size in TOLERANCES.items())
    return [
        "Each model takes one step on the device and the same step in float64 on the CPU, from",
        "the same weights, which `parity.copy_weights` carries from PyTorch to Keras, and on the",
        "same batch. Differences are relative: of the loss, of the update (the largest difference",
        "of a parameter by the largest change of one), and of the loss after the step. Allowed:",
        f"{allowed}. float32 is with TF32 off in both frameworks.", "",
    ]


def _costs(parts: list[PartRun]) -> list[str]:
    rows = [(p.name, r) for p in parts for r in p.records if r["kind"] == "cost"]
    if not rows:
        return []
    lines = ["## Time and memory of a step", "",
             "float32, TF32 off, after warming up; the best of five rounds of 20 steps.", "",
             "| model | framework | batch | milliseconds a step | peak memory, MB |",
             "| --- | --- | --- | --- | --- |"]
    for name, row in rows:
        peak = "not measured" if row["peak_mb"] is None else f"{row['peak_mb']:.1f}"
        lines.append(f"| {row['twin']} | {FRAMEWORKS[name]} | {row['rows']} |"
                     f" {row['milliseconds']:.3f} | {peak} |")
    return [*lines, ""]


def _machine_lines(parts: list[PartRun], facts: dict) -> list[str]:
    versions = {"Python": facts["python"], **{k: v for k, v in facts["versions"].items() if v}}
    lines = ["## Machine", "", f"- {facts['system']}",
             "- " + ", ".join(f"{name} {version}" for name, version in versions.items())]
    if facts["driver"]:
        lines.append(f"- NVIDIA driver {facts['driver']}: {', '.join(facts['cards'])}")
    for part in parts:
        for row in part.records:
            if row["kind"] == "versions":
                kept = {k: v for k, v in row.items() if k not in ("kind", "framework")}
                words = ", ".join(f"{k} {v}" for k, v in kept.items() if v is not None)
                lines.append(f"- {FRAMEWORKS[part.name]}: {words}")
    lines.append(f"- course at commit {facts['course'] or 'unknown'}")
    return [*lines, ""]


def _plain(value):
    """JSON has no NaN and no infinity: say them in words."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def is_report(path: Path) -> bool:
    """Whether a file begins as ``report`` does."""
    with open(path, encoding="utf8", errors="replace") as file:
        return file.readline().startswith(("# GPU report: ", "# Rehearsal on the CPU: "))


def report_path(output: Path | None, device: str, card: str, date: str) -> Path:
    """Where the report goes: ``gpu-report.md`` here, or ``output``: a file.md, else a folder.

    Raises
    ------
    CourseError
        If a rehearsal is to be kept among real reports.
    """
    rehearsal = device == "cpu"
    path = output or Path("gpu-rehearsal.md" if rehearsal else "gpu-report.md")
    if path.suffix != ".md":  # a folder, there or not yet: a name of its own
        words = "rehearsal" if rehearsal else re.sub(r"[^a-z0-9]+", "-", card.lower()).strip("-")
        path = path / f"{date}-{words}.md"
    if rehearsal and path.absolute().parent.name == "gpu-reports":
        raise CourseError("a rehearsal on the CPU is no evidence about a GPU and is not kept in"
                          f" {path.parent}; choose another place with --output")
    return path
