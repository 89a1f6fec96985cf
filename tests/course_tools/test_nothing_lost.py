"""What a learner wrote survives every command of the course, byte for byte, or a copy is kept.

The commands are taken from the `course` group and from make.py: a new one fails here by name until
it is listed.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from course_tools import rosetta
from course_tools.cli import main

ROOT = Path(__file__).resolve().parents[2]
COPY, NOTEBOOK = "work/03-hill/descent.ipynb", "notebooks/03-hill/descent.ipynb"
RECORD, REPORT = "studies/03-hill/rates.json", "gpu-rehearsal.md"
STUDY = (
    '"""Rates."""\nCONFIG = {}\nBAND = {"loss": 1.0}\nFRAMEWORKS = ("numpy",)\nSEEDS = 3\n\n'
    'def rows():\n    return [{"rate": 1}]\n\n'
    'def run(config, seed, framework):\n    return {"loss": seed}\n'
)
# Each command with the ways in which it is called here; with --force too, where it has one.
CALLS = {
    "data fetch": [[], ["--again"], ["--full"]],
    "data list": [[]],
    "doctor": [[], ["--json"]],
    "gpu-check": [["--device", "cpu"], ["--device", "cpu", "--output", REPORT]],
    "live-gpt": [["no.npz", "no.json"]],  # writes a model's numbers, which nobody writes by hand
    "notebooks": [[], ["--check"], ["--stale"], ["--seeds", "2"], ["descent"]],
    "rosetta": [[], ["--check"]],
    "study": [["rates"], ["rates", "--again"]],
    "work": [[], ["--renew", "descent"], ["descent"]],
}
TARGETS = {"book", "serve", "test", "lab", "notebooks", "lock", "bench", "clean", "help"}


def commands(group: click.Group = main, before: str = "") -> dict[str, click.Command]:
    """Every command of a group, and of the groups in it, by its words."""
    found = {}
    for name, command in group.commands.items():
        inner = isinstance(command, click.Group)
        found |= commands(command, f"{before}{name} ") if inner else {before + name: command}
    return found


def options(command: click.Command) -> set[str]:
    return {option for parameter in command.params for option in parameter.opts}


def answer(path: Path) -> None:
    """Write into a notebook as a learner does: a cell's code, and a cell of one's own."""
    notebook = json.loads(path.read_text("utf8"))
    notebook["cells"][-1]["source"] = "my_answer = 1"
    notebook["cells"].append(
        {"cell_type": "markdown", "id": "mine", "metadata": {}, "source": "Why?"}
    )
    path.write_text(json.dumps(notebook), "utf8")


@pytest.fixture
def world(made, monkeypatch, tmp_path):
    """A course in which somebody wrote into everything that a command might replace."""
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(made.root)
    made.course("work")
    made.write("studies/03-hill/rates.py", STUDY)
    made.course("study", "rates")
    record = made.root / RECORD
    record.write_text(record.read_text("utf8").replace('"loss": 2', '"loss": 7'), "utf8")
    for path in (COPY, NOTEBOOK, "work/start.ipynb"):
        answer(made.root / path)
    made.write(rosetta.PAGE, rosetta.sealed("# The table\n").replace("table", "table, and mine"))
    made.write(REPORT, "# What I saw\n")
    made.write("work/mine.py", "x = 1\n")
    stand_in(monkeypatch)
    return made


def stand_in(monkeypatch) -> None:
    """In place of what computes for minutes or needs a network: what it would have returned."""
    from course_lib.data import DataError
    from course_tools import doctor, gpu_check

    def offline(*_, **__):
        raise DataError("there is no network here")

    monkeypatch.setattr("course_lib.data.archive.fetch", offline)
    monkeypatch.setattr(rosetta, "measure", lambda *_: {})
    monkeypatch.setattr(rosetta, "page", lambda *_: "# The table\n")
    monkeypatch.setattr(doctor, "examine", lambda machine: [])
    for name, value in {
        "environment": {"date": "2026-01-01"},
        "run_parts": [],
        "judge": [],
        "device_name": "card",
        "report": "# Rehearsal on the CPU: none\n",
    }.items():
        monkeypatch.setattr(gpu_check, name, lambda *_, value=value: value)


def written(root: Path) -> dict[str, bytes]:
    """Everything that somebody wrote, by its path."""
    paths = (COPY, NOTEBOOK, RECORD, REPORT, rosetta.PAGE, "work/start.ipynb", "work/mine.py")
    return {path: (root / path).read_bytes() for path in paths}


def call(root: Path, name: str, *arguments: str) -> click.testing.Result:
    """Run a command on this course; whatever it says, it says it in words."""
    known = options(commands()[name])
    place = ["--root", str(root)] if "--root" in known else []
    result = CliRunner().invoke(main, [*name.split(), *arguments, *place])
    assert isinstance(result.exception, (SystemExit, type(None))), repr(result.exception)
    return result


def test_every_command_is_tried_here():
    assert set(CALLS) == set(commands())


@pytest.mark.parametrize(
    ("name", "arguments"), [(n, a) for n, calls in CALLS.items() for a in calls]
)
def test_no_command_changes_what_somebody_wrote(world, name, arguments):
    before = written(world.root)
    result = call(world.root, name, *arguments)
    assert written(world.root) == before, result.output
    assert not (world.root / "work/kept").exists()


REPLACED = {
    "gpu-check": REPORT,
    "notebooks": NOTEBOOK,
    "rosetta": rosetta.PAGE,
    "study": RECORD,
    "work": COPY,
}


def test_every_command_with_force_is_tried_here():
    assert set(REPLACED) == {name for name, one in commands().items() if "--force" in options(one)}


@pytest.mark.parametrize("name", REPLACED)
def test_force_replaces_its_own_file_alone_and_keeps_a_copy(world, name):
    before = written(world.root)
    results = [call(world.root, name, *arguments, "--force") for arguments in CALLS[name]]
    said = "".join(result.output for result in results)
    after = written(world.root)
    assert [path for path in before if after[path] != before[path]] == [REPLACED[name]], said
    kept = [path for path in (world.root / "work/kept").rglob("*") if path.is_file()]
    assert [path.read_bytes() for path in kept] == [before[REPLACED[name]]]
    assert kept[0].relative_to(world.root).as_posix() in said


@pytest.mark.parametrize("name", REPLACED)
def test_a_refusal_says_what_to_do(world, name):
    said = "".join(call(world.root, name, *arguments).output for arguments in CALLS[name])
    assert "--force" in said and "work/kept" in said.replace("\n", " ") or name == "gpu-check"
    assert Path(REPLACED[name]).name in said or "descent" in said


# --- make.py ------------------------------------------------------------------------------------


@pytest.fixture
def make(world, monkeypatch):
    """make.py beside that course: it installs nothing, and the programs it calls are `course`."""
    shutil.copy(ROOT / "make.py", world.root)
    spec = importlib.util.spec_from_file_location("make", world.root / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.called = []

    def run(*command, **environment):
        module.called.append([Path(command[0]).stem, *command[1:]])
        if module.called[-1][0] == "course":
            (words,) = {
                one for one in commands() if command[1:][: len(one.split())] == tuple(one.split())
            }
            call(world.root, words, *command[1 + len(words.split()) :])

    for name in ("set_up", "browser"):
        monkeypatch.setattr(module, name, lambda *_: None)
    for name in ("run", "hand_over"):
        monkeypatch.setattr(module, name, run)
    monkeypatch.setattr(module, "tool", lambda name: str(Path(sys.executable).with_name(name)))
    monkeypatch.setattr("http.server.ThreadingHTTPServer.serve_forever", lambda self: None)
    return module


def test_every_target_is_tried_here(make):
    assert set(make.TARGETS) == TARGETS


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_no_target_changes_what_somebody_wrote(make, world, target):
    before = written(world.root)
    make.TARGETS[target]()
    assert written(world.root) == before


def test_lab_opens_the_first_page_of_the_copies(make, world):
    make.lab(["--no-browser"])
    assert make.called == [
        ["course", "work"],
        ["jupyter", "lab", str(Path("work/start.ipynb")), "--no-browser"],
    ]
