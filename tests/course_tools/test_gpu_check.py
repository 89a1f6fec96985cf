"""The GPU check: judged on invented records, rehearsed on the CPU, and made to fail."""

import ast
import dataclasses
import json
import math
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from course_tools import gpu_check as check
from course_tools import gpu_parts, probe
from course_tools.cli import main
from course_tools.errors import CourseError
from course_tools.gpu_check import PartRun, Twin, Verdict
from course_tools.probe import Framework

ROOT = Path(__file__).resolve().parents[2]
MLP = check.TWINS[0]
FACTS = {"date": "2030-01-02", "system": "Linux 6 x86_64", "python": "3.11.7",
         "versions": {"torch": "2.13.0", "tensorflow": None}, "driver": "580.10",
         "cards": ["NVIDIA L4"], "course": "abc"}

# --- judgements on invented records ---------------------------------------------------------


def step(framework="torch", precision="float32", ran_on=None, **apart):
    places = {"torch": ["cuda"], "tensorflow": ["gpu"]}[framework]
    sizes = {"loss": 1e-8, "loss_after": 1e-8, "update": 1e-7, **apart}
    if precision == "float64":
        sizes = {"loss": 0.0, "loss_after": 1e-15, "update": 1e-14, **apart}
    return {"kind": "step", "framework": framework, "twin": "mlp", "precision": precision,
            "losses": [0.7, 0.5], "ran_on": ran_on or places, **sizes}


def records(framework, losses=(0.7, 0.5), leave_out=()):
    kept = [p for p in check.TOLERANCES if p not in leave_out]
    return (
        {"kind": "versions", "framework": framework, framework: "9.9", "card": "NVIDIA L4"},
        {"kind": "reference", "framework": framework, "twin": "mlp", "losses": list(losses)},
        *(step(framework, precision) for precision in kept),
        {"kind": "cost", "framework": framework, "twin": "mlp", "rows": 128,
         "milliseconds": 0.25, "peak_mb": 12.5},
    )


def shared(free=(20e3, 19.9e3, 19.5e3, 19.5e3, 19.5e3), means=(64.0,) * 4):
    return {"kind": "shared", "framework": "together", "free_mb": list(free),
            "means": list(means), "expected": 64.0}


def parts(torch=None, tensorflow=None, together=None):
    return [
        together or PartRun("together", "ok", "", (shared(),)),
        torch or PartRun("torch", "ok", "", records("torch")),
        tensorflow or PartRun("tensorflow", "ok", "", records("tensorflow")),
    ]


def failing(verdicts):
    return [verdict.what for verdict in verdicts if not verdict.holds]


def test_a_good_card_passes():
    verdicts = check.judge(parts(), (MLP,), "cuda")
    assert not failing(verdicts)
    assert len(verdicts) == 3 + 2 * 3 + 1 + 1


@pytest.mark.parametrize("precision, tolerance", check.TOLERANCES.items())
@pytest.mark.parametrize("number", ["loss", "loss_after", "update"])
def test_each_number_of_a_step_counts(precision, tolerance, number):
    for size, holds in [(tolerance, True), (1.01 * tolerance, False), (math.nan, False),
                        (math.inf, False)]:
        verdict = check.judge_step(step("torch", precision, **{number: size}), "cuda")
        assert verdict.holds == holds and precision in verdict.what


def test_tf32_does_not_pass_for_float32():
    assert not check.judge_step(step(update=3e-4), "cuda").holds  # what TF32 gives
    assert check.judge_step(step(precision="TF32", update=3e-4), "cuda").holds


@pytest.mark.parametrize("framework, places, device, holds", [
    ("torch", ["cuda"], "cuda", True), ("torch", ["cpu"], "cuda", False),
    ("torch", ["cpu", "cuda"], "cuda", False), ("torch", ["mps"], "mps", True),
    ("torch", ["cpu"], "cpu", True), ("tensorflow", ["gpu"], "cuda", True),
    ("tensorflow", ["gpu"], "mps", True), ("tensorflow", ["cpu"], "mps", False),
    ("tensorflow", ["cpu", "gpu"], "cuda", False), ("tensorflow", ["cpu"], "cpu", True),
])
def test_a_step_must_have_run_on_the_device(framework, places, device, holds):
    verdict = check.judge_step(step(framework, ran_on=places), device)
    assert verdict.holds == holds
    assert holds or "ran on" in verdict.what


@pytest.mark.parametrize("device, wanted", [
    ("cuda", {"float64", "float32", "TF32"}), ("mps", {"float32"}), ("cpu", {"float64", "float32"}),
])
def test_a_precision_without_a_result_fails(device, wanted):
    found = failing(check.judge_steps("mlp", "torch", (), device))
    assert {text.split(", ")[2].split(":")[0] for text in found} == wanted


def test_a_crash_in_one_framework_does_not_lose_the_others_part():
    crashed = PartRun("tensorflow", "crash", "it ended with SIGSEGV", records("tensorflow")[:3])
    verdicts = check.judge(parts(tensorflow=crashed), (MLP,), "cuda")
    wrong = failing(verdicts)
    assert len(wrong) == 1 and "SIGSEGV" in wrong[0], "what it did not come to is no other failure"
    text = check.report(parts(tensorflow=crashed), verdicts, FACTS, "cuda")
    assert "holds: mlp, PyTorch, TF32" in text and "**FAILS**: TensorFlow: crash" in text
    assert "| mlp | PyTorch | 128 | 0.250 | 12.5 |" in text


@pytest.mark.parametrize("name", ["together", "torch", "tensorflow"])
@pytest.mark.parametrize("state", ["crash", "error", "timeout"])
def test_one_failure_is_one_failure(name, state):
    many = tuple(dataclasses.replace(MLP, name=n) for n in ("mlp", "two", "three"))
    failed = PartRun(name, state, "its last words", ())
    rest = {n: PartRun(n, "error", "FileNotFoundError: mlp-weights", ())
            for n in ("torch", "tensorflow")} if name == "together" else {}
    ran = parts(**{**rest, name: failed})
    wrong = failing(check.judge(ran, many[:1] if rest == {} else many, "cuda"))
    assert len(wrong) == 1 and "its last words" in wrong[0]


def test_a_step_that_is_wrong_before_a_crash_is_still_seen():
    crashed = PartRun("torch", "crash", "x", (*records("torch")[:2], step("torch", "float64", loss=1.0)))
    wrong = failing(check.judge(parts(torch=crashed), (MLP,), "cuda"))
    assert len(wrong) == 2 and "differs by loss 1.0e+00" in wrong[1]


def test_a_framework_that_sees_no_gpu_fails_and_is_not_compared():
    blind = PartRun("tensorflow", "blind", check.BLIND, ())
    alone = PartRun("together", "ok", "", ())
    wrong = failing(check.judge(parts(tensorflow=blind, together=alone), (MLP,), "cuda"))
    assert len(wrong) == 1 and "course doctor" in wrong[0]


@pytest.mark.parametrize("losses, holds", [
    ((0.7, 0.5), True), ((0.7, 0.5 + 1e-11), False), ((0.7 + 1e-11, 0.5), False),
    ((0.7, math.nan), False), ((0.7, 0.5 + 1e-13), True),
])
def test_the_frameworks_are_compared_with_each_other(losses, holds):
    both = {"torch": records("torch"), "tensorflow": records("tensorflow", losses)}
    assert check.judge_twins("mlp", both).holds == holds
    assert not check.judge_twins("mlp", {**both, "torch": ()}).holds


@pytest.mark.parametrize("found, device, holds", [
    ((shared(),), "cuda", True),
    ((), "cuda", False),
    ((shared(free=(20e3, 19.9e3, 500, 500, 500)),), "cuda", False),  # no memory growth
    ((shared(means=(64.0, 64.0, 64.0, 63.0)),), "cuda", False),
    ((shared(means=(64.0, math.nan)),), "cpu", False),
    ((shared(means=()),), "cpu", False),
    ((shared(free=(None,) * 5),), "cpu", True),
    ((shared(free=(None,) * 5),), "mps", True),
])
def test_sharing_the_card(found, device, holds):
    assert check.judge_sharing(found, device).holds == holds


def sees(torch, tensorflow):
    facts = {"torch": torch, "tensorflow": tensorflow}
    return {n: Framework(n, "ok" if kind else "crash", facts={"sees": kind} if kind else {})
            for n, kind in facts.items()}


@pytest.mark.parametrize("wanted, found, device, seeing", [
    ("auto", sees("cuda", "cuda"), "cuda", ["torch", "tensorflow"]),
    ("auto", sees("mps", "cpu"), "mps", ["torch"]),
    ("auto", sees("cpu", "cuda"), "cuda", ["tensorflow"]),
    ("auto", sees("", "cuda"), "cuda", ["tensorflow"]),
    ("auto", sees("cpu", "cpu"), "", []),
    ("auto", sees("", ""), "", []),
    ("cuda", sees("cuda", "cpu"), "cuda", ["torch"]),
    ("mps", sees("cuda", "cuda"), "", []),
])
def test_the_device(wanted, found, device, seeing):
    assert check.choose_device(wanted, found) == (device, seeing)


# --- the report -----------------------------------------------------------------------------


def numbers(text):
    """The JSON block of a report, read strictly."""
    block = text.split("```json\n")[1].split("\n```")[0]

    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    return json.loads(block, parse_constant=refuse)


def test_a_real_report_names_card_driver_and_versions():
    verdicts = check.judge(parts(), (MLP,), "cuda")
    text = check.report(parts(), verdicts, FACTS, "cuda")
    assert text.splitlines()[0] == "# GPU report: NVIDIA L4, 2030-01-02"
    assert "ehears" not in text.replace('"rehearsal": false', "")
    for words in ("driver 580.10", "torch 2.13.0", "at commit abc", "All 11 checks hold."):
        assert words in text
    assert numbers(text)["card"] == "NVIDIA L4" and numbers(text)["rehearsal"] is False
    assert str(Path.home()) not in text


def test_the_report_says_what_each_framework_says_of_itself():
    text = check.report(parts(), [], FACTS, "cuda")
    assert "\n- PyTorch: torch 9.9, card NVIDIA L4\n" in text
    text = check.report(parts(), [], {**FACTS, "driver": ""}, "cpu")
    assert "NVIDIA driver" not in text and text.startswith("# Rehearsal on the CPU")
    bare = [PartRun("torch", "ok", "", ({"kind": "cost", "twin": "mlp", "rows": 1,
                                         "milliseconds": 2.0, "peak_mb": None},))]
    assert "| 2.000 | not measured |" in check.report(bare, [], FACTS, "cpu")
    assert "Time and memory" not in check.report([], [], FACTS, "cpu")


def test_what_fails_stands_at_the_head_of_the_report_and_nan_is_json():
    bad = PartRun("torch", "ok", "", (*records("torch", leave_out=["float32"]),
                                      step(update=math.nan)))
    verdicts = check.judge(parts(torch=bad), (MLP,), "cuda")
    text = check.report(parts(torch=bad), verdicts, FACTS, "cuda")
    head = text.splitlines()[2:5]
    assert head[0] == "**1 of 11 checks do not hold:**" and "update nan" in head[1]
    assert sum(not v["holds"] for v in numbers(text)["verdicts"]) == 1


def test_where_the_report_goes(tmp_path):
    def name(output, device="cuda"):
        return check.report_path(output, device, "NVIDIA H100 80GB", "2030-01-02")

    assert name(None) == Path("gpu-report.md") and name(None, "cpu") == Path("gpu-rehearsal.md")
    assert name(tmp_path / "a.md") == tmp_path / "a.md"
    assert name(tmp_path) == tmp_path / "2030-01-02-nvidia-h100-80gb.md"
    assert name(tmp_path, "cpu") == tmp_path / "2030-01-02-rehearsal.md"
    kept = tmp_path / "studies" / "gpu-reports"
    kept.mkdir(parents=True)
    assert name(kept).parent == kept
    for place in (kept, kept / "x.md"):
        with pytest.raises(CourseError, match="no evidence"):
            name(place, "cpu")


# --- the registry ---------------------------------------------------------------------------


# One dense layer on an encoder that is registered: nothing of its own to go wrong on a GPU.
HEADS = {"TorchEncoderClassifier", "TFEncoderClassifier"}


def parts_of(model) -> set[str]:
    """The names of a model's class and of those of its parts."""
    parts = model.modules() if hasattr(model, "modules") else model._flatten_layers()
    return {type(part).__name__ for part in parts}


@pytest.mark.parametrize("wing, field", [("pytorch", "torch_model"), ("tensorflow", "tf_model")])
def test_every_model_of_the_wings_is_registered(wing, field):
    """A chapter that brings a model adds a Twin to course_tools/gpu_check.py."""
    models = set()
    for path in (ROOT / "course_lib" / wing).glob("*.py"):
        for node in ast.parse(path.read_text("utf8")).body:
            bases = {ast.unparse(b).split(".")[-1] for b in getattr(node, "bases", ())}
            if isinstance(node, ast.ClassDef) and bases & {"Module", "Model", "Layer"}:
                models.add(node.name)
    built = set()
    for twin in check.TWINS:
        built |= parts_of(gpu_parts.named(getattr(twin, field))(**twin.sizes, dtype="float32"))
    missing = models - built - HEADS
    assert HEADS & models and not missing, f"{missing}: add a Twin to gpu_check.TWINS"


def test_registered_names_and_pages_exist():
    assert len({twin.name for twin in check.TWINS}) == len(check.TWINS)
    for twin in check.TWINS:
        assert (ROOT / "book" / twin.page).parent.is_dir()


# --- a real run on the CPU ------------------------------------------------------------------

PLANTED = """
from course_lib.pytorch.training import step_torch as right

def step_torch(model, x, y, learning_rate):  # one per cent too far, in float32 alone
    wide = x.element_size() == 4
    return right(model, x, y, learning_rate * (1.01 if wide else 1))
"""
OTHER = """
from course_lib.tensorflow.training import step_tf as right

def step_tf(model, x, y, learning_rate):  # another update than torch's, in every precision
    return right(model, x, y, learning_rate * 1.000001)
"""
SMALL = {"features": 20, "hidden": 8, "classes": 3}


def planted(folder: Path) -> Twin:
    (folder / "planted_torch.py").write_text(PLANTED)
    (folder / "planted_tf.py").write_text(OTHER)
    return dataclasses.replace(MLP, name="planted", sizes=SMALL, torch_step="planted_torch:step_torch",
                               tf_step="planted_tf:step_tf")


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory):
    """`course gpu-check --device cpu` on the course's models and one with planted faults."""
    folder = tmp_path_factory.mktemp("rehearsal")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder))
        patch.setattr(check, "TWINS", (*check.TWINS, planted(folder)))
        path = folder / "report.md"
        result = CliRunner().invoke(main, ["gpu-check", "--device", "cpu", "--output", str(path)])
    return result, path.read_text("utf8")


def test_the_rehearsal_says_first_that_it_is_one(rehearsal):
    _, text = rehearsal
    assert text.splitlines()[0] == "# Rehearsal on the CPU: this is no evidence about a GPU"
    assert numbers(text)["rehearsal"] is True


def test_the_rehearsal_really_runs_every_model(rehearsal):
    _, text = rehearsal
    said = numbers(text)
    assert [part["state"] for part in said["parts"]] == ["ok", "ok", "ok"]
    for twin in check.TWINS:
        steps = [r for part in said["parts"] for r in part["records"]
                 if r["kind"] == "step" and r["twin"] == twin.name]
        assert {(s["framework"], s["precision"]) for s in steps} == {
            (f, p) for f in check.FRAMEWORKS for p in ("float64", "float32")}
        assert all(s["ran_on"] == ["cpu"] and s["losses"][1] < s["losses"][0] for s in steps)
        assert any(s["update"] > 0 for s in steps), "float32 cannot be exactly float64"
    costs = [r for part in said["parts"] for r in part["records"] if r["kind"] == "cost"]
    assert len(costs) == 2 * (len(check.TWINS) + 1) and all(c["milliseconds"] > 0 for c in costs)


def test_the_models_of_the_course_pass(rehearsal):
    _, text = rehearsal
    verdicts = [Verdict(**v) for v in numbers(text)["verdicts"]]
    assert not [what for what in failing(verdicts) if "planted" not in what]


def test_planted_faults_are_reported_and_set_the_exit_status(rehearsal):
    result, text = rehearsal
    wrong = failing([Verdict(**v) for v in numbers(text)["verdicts"]])
    assert len(wrong) == 2
    assert any("planted, PyTorch, float32" in what for what in wrong)
    assert any("planted: both frameworks in float64" in what for what in wrong)
    assert result.exit_code == 1 and result.output.count("FAILS") == 2
    assert "no evidence about a GPU" in result.output


def test_a_framework_that_crashes_leaves_the_other_ones_results(monkeypatch, tmp_path):
    (tmp_path / "tensorflow").mkdir()
    (tmp_path / "tensorflow" / "__init__.py").write_text("import os\nos.abort()\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    small = dataclasses.replace(MLP, sizes=SMALL)
    found = check.run_parts("cpu", list(check.FRAMEWORKS), (small,), 60, lambda text: None)
    assert [part.state for part in found] == ["crash", "ok", "crash"]
    verdicts = check.judge(found, (small,), "cpu")
    assert any(v.holds and "mlp, PyTorch, float32" in v.what for v in verdicts)
    assert any("TensorFlow: crash" in what for what in failing(verdicts))
    assert "PyTorch, float32" in check.report(found, verdicts, FACTS, "cpu")


# --- the command ----------------------------------------------------------------------------


def command(monkeypatch, found, ran, *arguments):
    monkeypatch.setattr(probe, "look", lambda names, timeout: (found, None))
    monkeypatch.setattr(check, "run_parts", lambda *_, **__: ran)
    monkeypatch.setattr(check, "TWINS", (MLP,))
    return CliRunner().invoke(main, ["gpu-check", *arguments])


def test_without_a_gpu_one_sentence_and_status_2(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    result = command(monkeypatch, sees("cpu", "cpu"), [])
    assert result.exit_code == 2 and result.output.strip() == check.NO_GPU
    assert not list(tmp_path.iterdir())


def test_with_a_good_gpu_status_0_and_a_report(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    result = command(monkeypatch, sees("cuda", "cuda"), parts())
    assert result.exit_code == 0, result.output
    assert (tmp_path / "gpu-report.md").read_text("utf8").startswith("# GPU report: NVIDIA L4")
    assert os.listdir(tmp_path) == ["gpu-report.md"], "nothing is stored elsewhere unasked"


def test_a_report_is_kept_on_request(monkeypatch, tmp_path):
    kept = tmp_path / "studies" / "gpu-reports"
    result = command(monkeypatch, sees("cuda", "cuda"), parts(), "--output", f"{kept}/")
    assert result.exit_code == 0, result.output
    (path,) = kept.iterdir()
    assert path.name.endswith("-nvidia-l4.md")


def test_a_rehearsal_is_not_kept_among_real_reports(monkeypatch, tmp_path):
    kept = tmp_path / "gpu-reports"
    result = command(monkeypatch, {}, parts(), "--device", "cpu", "--output", f"{kept}/")
    assert result.exit_code == 1 and "no evidence" in result.output and not kept.exists()
