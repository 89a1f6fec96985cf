"""Studies: run, recorded, resumed after an interruption, and read on a page."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys

import pytest

import course_lib.study
from course_tools import study
from course_tools.errors import CourseError

STUDY = '''"""Rates on a hill.

More words.
"""
from course_lib import runtime
from course_lib.scratch import losses

CONFIG = {"steps": 10}
BAND = {"loss": 0.5, "diverged": 0}
FRAMEWORKS = ("pytorch", "tensorflow")


def rows():
    return [{"rate": 0.1}, {"rate": 9}]


def run(config, seed, framework):
    with open(LOG, "a") as log:
        log.write(f"{config['rate']} {framework} {seed}\\n")
    if config["rate"] < 0:
        return losses.NUMBER
    if config["rate"] == 9:
        return {"loss": None, "diverged": True}
    return {"loss": config["steps"] * config["rate"] + seed, "diverged": False}
'''


class Bench:
    """A study in a small course, with a log of the runs that really happened."""

    def __init__(self, house):
        self.house, self.root = house, house.root
        self.log = house.root / "log.txt"
        house.write("course_lib/scratch/losses.py", "NUMBER = 1\n")
        self.define(STUDY)

    def define(self, text: str) -> None:
        text = text.replace("LOG", repr(str(self.log)))
        self.path = self.house.write("studies/03-hill/rates.py", text)

    def run(self, **options) -> dict | None:
        return study.run_study(self.root, self.path, **options)

    def record(self) -> dict:
        return json.loads(self.path.with_suffix(".json").read_text())

    def runs(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []

    def problems(self) -> list[str]:
        return study.check_record(self.root, self.path)


@pytest.fixture
def bench(house, monkeypatch) -> Bench:
    from course_lib import runtime

    monkeypatch.setattr(runtime, "describe", lambda: {"versions": {}, "device": "cpu", "seed": 0})
    monkeypatch.setattr(runtime, "set_seed", lambda number: number)
    return Bench(house)


def test_every_row_seed_and_framework_is_run_and_recorded(bench):
    report = bench.house.course("study", "rates", "--seeds", "3").output
    assert "12 of 12" in report and "studies/03-hill/rates.json: 12 runs" in report
    assert bench.runs()[:4] == ["0.1 pytorch 0", "0.1 pytorch 1", "0.1 pytorch 2",
                                "0.1 tensorflow 0"]
    record = bench.record()
    assert record["title"] == "Rates on a hill." and record["seeds"] == [0, 1, 2]
    assert record["config"] == {"steps": 10} and record["band"] == {"loss": 0.5, "diverged": 0}
    assert record["device"] == "cpu" and record["study"] == "03-hill/rates"
    assert set(record["library_hash"]) == {"course_lib.scratch.losses"}
    first, last = record["rows"][0]["runs"][1], record["rows"][1]["runs"][-1]
    assert first["seed"] == 1 and first["values"] == {"loss": 2, "diverged": 0}
    assert last["values"] == {"loss": None, "diverged": 1}
    assert bench.problems() == []
    assert sorted(p.name for p in bench.path.parent.glob("rates*")) == ["rates.json", "rates.py"]


def test_seeds_are_five_unless_the_study_says_otherwise(bench):
    assert bench.run()["seeds"] == [0, 1, 2, 3, 4]
    bench.define(STUDY + "\nSEEDS = 3\n")
    assert bench.run()["seeds"] == [0, 1, 2]


def test_a_record_in_step_is_not_run_again_unless_asked(bench):
    bench.run(seeds=3)
    assert bench.run(seeds=3) is None and len(bench.runs()) == 12
    assert bench.run(seeds=3, again=True) and len(bench.runs()) == 24


def test_more_seeds_run_only_what_the_record_lacks(bench):
    first = bench.run(seeds=3)
    assert bench.run(seeds=4)["seeds"] == [0, 1, 2, 3]
    assert bench.runs()[12:] == ["0.1 pytorch 3", "0.1 tensorflow 3", "9 pytorch 3", "9 tensorflow 3"]
    kept = [run for run in bench.record()["rows"][0]["runs"] if run["seed"] < 3]
    assert kept == first["rows"][0]["runs"] and bench.problems() == []
    assert bench.run(seeds=3) is None and len(bench.record()["seeds"]) == 4, "fewer take nothing away"


def test_runs_of_another_machine_are_not_mixed_with_new_ones(bench, monkeypatch):
    from course_lib import runtime

    bench.run(seeds=3)
    monkeypatch.setattr(runtime, "describe", lambda: {"versions": {}, "device": "cuda", "seed": 0})
    bench.run(seeds=4)
    assert len(bench.runs()) == 12 + 16


def test_an_interrupted_study_goes_on_where_it_was(bench, monkeypatch):
    original, calls = study._one, []

    def cut_off(*arguments):
        calls.append(arguments)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(study, "_one", cut_off)
    with pytest.raises(KeyboardInterrupt):
        bench.run(seeds=3)
    assert not bench.path.with_suffix(".json").exists()
    monkeypatch.setattr(study, "_one", original)
    said = []
    bench.run(seeds=3, told=said.append)
    assert said[0] == "going on after 4 finished runs"
    assert len(bench.runs()) == 12 == len(set(bench.runs()))


def test_finished_runs_of_other_code_are_not_used(bench, monkeypatch):
    original = study._one
    monkeypatch.setattr(study, "_one", lambda *a: original(*a) if a[4] == 0 else 1 / 0)
    with pytest.raises(ZeroDivisionError):
        bench.run(seeds=3)
    monkeypatch.setattr(study, "_one", original)
    bench.define(STUDY.replace('* config["rate"]', '+ config["rate"]'))
    bench.run(seeds=3)
    assert bench.runs().count("0.1 pytorch 0") == 2
    assert bench.record()["rows"][0]["runs"][0]["values"]["loss"] == 10.1


@pytest.mark.parametrize(("change", "words"), [
    (lambda b: b.define(STUDY.replace("steps\": 10", "steps\": 11")), "its own code changed"),
    (lambda b: b.house.write("course_lib/scratch/losses.py", "NUMBER = 2\n"), "course_lib.scratch.losses changed"),
    (lambda b: b.path.with_suffix(".json").unlink(), "not recorded yet"),
    (lambda b: b.path.with_suffix(".json").write_text("{}"), "damaged"),
    (lambda b: b.path.with_suffix(".json").write_text(
        json.dumps(b.record()).replace('"loss": 2', '"loss": 1')), "changed by hand"),
])
def test_a_record_out_of_step_fails_the_check(bench, change, words):
    bench.run(seeds=3)
    bench.house.course("notebooks", "--check")
    change(bench)
    report = bench.house.course("notebooks", "--check", fails=True).output
    assert "studies/03-hill/rates.py: " in report and words in report
    assert "course study 03-hill/rates" in report


def test_changed_plumbing_makes_no_record_stale(bench):
    bench.run(seeds=3)
    bench.house.write("course_lib/runtime.py", "OTHER = 1\n")
    assert bench.problems() == []


def test_words_in_a_study_make_no_record_stale(bench):
    bench.run(seeds=3)
    bench.define(STUDY.replace("More words.", "Better words.") + "\n# the end\n")
    assert bench.problems() == []


def test_a_record_without_its_study_fails_the_check(bench):
    bench.run(seeds=3)
    bench.path.unlink()
    report = bench.house.course("notebooks", "--check", fails=True).output
    assert "studies/03-hill/rates.json: no study stands behind" in report


@pytest.mark.parametrize(("old", "new", "words"), [
    ('"""Rates on a hill.\n\nMore words.\n"""', "", "the study's title"),
    ("BAND = ", "BOUND = ", "BAND is missing"),
    ('"loss": 0.5', '"loss": -1', "margin of 0 or more"),
    ('{"rate": 9}', '{"rat": 9}', "all with the same names"),
    ('{"rate": 9}', '{"rate": 0.1}', "one row twice"),
    ('{"rate": 9}', '{"rate": float("inf")}', "JSON values only"),
    ('"loss": None', '"loss": float("nan")', "return None and a measure"),
    ('"loss": None, ', "", "BAND names"),
    ('"loss": None', '"loss": "low"', "no number"),
    ('"loss": None', '"loss": 1 / 0', "run() failed for {'rate': 9}, pytorch, seed 0"),
])
def test_a_wrong_study_is_refused_in_words(bench, old, new, words):
    assert old in STUDY
    bench.define(STUDY.replace(old, new))
    with pytest.raises(CourseError) as caught:
        bench.run(seeds=3)
    assert words in str(caught.value) and "rates.py" in str(caught.value)
    assert not bench.path.with_suffix(".json").exists()


def test_fewer_than_three_seeds_are_no_study(bench):
    with pytest.raises(CourseError, match="at least 3 seeds"):
        bench.run(seeds=2)


def test_an_unknown_study_lists_the_studies(bench):
    assert "03-hill/rates" in bench.house.course("study", "rats", fails=True).output


# --- reading ------------------------------------------------------------------------------------


@pytest.fixture
def record(bench, monkeypatch):
    bench.run(seeds=3)
    monkeypatch.setattr(course_lib.study, "PLACES", (bench.root / "studies",))
    return course_lib.study.load("03-hill/rates")


def test_a_page_reads_mean_and_spread(record):
    spread = record.row(rate=0.1).spread("loss", "pytorch")
    assert spread.values == (1.0, 2.0, 3.0) and spread.mean == 2.0 and spread.std == 1.0
    assert (spread.low, spread.high) == (1.0, 3.0) and str(spread) == "2 ± 1"
    assert len(record.row(rate=0.1).spread("loss").values) == 6
    assert record.rows[0]["rate"] == 0.1
    assert str(record.row(rate=9).spread("loss", "pytorch")) == "none"


@pytest.mark.parametrize(("rate", "value", "holds"), [
    (0.1, 0.5, True), (0.1, 0.49, False), (0.1, 3.5, True), (0.1, 3.51, False),
    (0.1, math.nan, False), (0.1, None, False), (9, math.inf, True), (9, None, True), (9, 1.0, False),
])
def test_a_live_value_lies_in_the_recorded_band_or_not(record, rate, value, holds):
    assert record.holds_in_band("loss", value, rate=rate) is holds


def test_the_table_has_a_line_a_row(record):
    head, first, last = record.table(["loss", "diverged"]).split("\n")
    assert head.split() == ["rate", "loss", "pytorch", "loss", "tensorflow", "diverged", "pytorch",
                            "diverged", "tensorflow"]
    assert first.split() == ["0.1", "2", "±", "1", "2", "±", "1", "0", "±", "0", "0", "±", "0"]
    assert last.split()[:3] == ["9", "none", "none"]
    assert len({len(line) for line in (head, first, last)}) == 1


def test_unknown_names_say_what_there_is(record):
    with pytest.raises(KeyError, match="loss"):
        record.rows[0].spread("los")
    with pytest.raises(KeyError, match="tensorflow"):
        record.rows[0].spread("loss", "jax")
    with pytest.raises(KeyError, match="0 rows have .* 0.1"):
        record.row(rate=3)
    with pytest.raises(FileNotFoundError, match="Recorded: 03-hill/rates.*course study"):
        course_lib.study.load("03-hill/other")


def test_reading_needs_no_framework():
    import subprocess
    import sys

    code = ("import sys, course_lib.study\n"
            "assert not {'torch', 'tensorflow'} & set(sys.modules)")
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_records_travel_in_the_wheel(root, tmp_path):
    import subprocess
    import sys
    import zipfile

    names = [study.study_name(path) for path in study.find_studies(root)
             if path.with_suffix(".json").is_file()]
    assert names
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=root, check=True, capture_output=True)
    wheel = next(tmp_path.glob("*.whl"))
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    code = (f"import sys; sys.path.insert(0, {str(tmp_path / 'installed')!r})\n"
            "import course_lib.study as s\n"
            f"assert s.__file__.startswith({str(tmp_path)!r})\n"
            f"print([len(s.load(name).rows) > 0 for name in {names!r}])")
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert ran.stdout.strip() == str([True] * len(names)), ran.stderr


THREADS = '''"""How many threads a study's frameworks have."""
CONFIG = {}
BAND = {"threads": 0}


def rows():
    return [{"row": 1}]


def run(config, seed, framework):
    import tensorflow as tf
    import torch

    threads = {"pytorch": torch.get_num_threads,
               "tensorflow": tf.config.threading.get_intra_op_parallelism_threads}
    return {"threads": threads[framework]()}
'''


def test_the_frameworks_have_the_threads_that_the_record_states(tmp_path):
    """In a fresh interpreter: whoever imports a framework first decides."""
    path = tmp_path / "studies" / "03-hill" / "threads.py"
    path.parent.mkdir(parents=True)
    path.write_text(THREADS)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "book").mkdir()
    code = f"from course_tools.cli import main; main(['study', 'threads', '--root', {str(tmp_path)!r}])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                         env={**os.environ, "COURSE_THREADS": "3", "COURSE_DEVICE": "auto"})
    assert ran.returncode == 0, ran.stderr
    record = json.loads(path.with_suffix(".json").read_text())
    measured = {run["values"]["threads"] for row in record["rows"] for run in row["runs"]}
    assert measured == {record["threads"]} == {3}


@pytest.mark.parametrize(("values", "words"), [
    ((0.785, 0.795), "0.790 ± 0.007"), ((0.785, 0.79, 0.795), "0.790 ± 0.005"),
    ((240.0, 260.0, 280.0), "260 ± 20"), ((2.0, 2.0), "2 ± 0"), ((1.25,), "1.25"),
])
def test_mean_and_deviation_have_the_same_decimals(values, words):
    assert str(course_lib.study.Spread(values)) == words
