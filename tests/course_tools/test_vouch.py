"""Vouching for a record whose code changed: two rows are run again, and what must then be equal."""

from __future__ import annotations

import json

import pytest

from course_tools import study, vouch
from course_tools.errors import CourseError

STUDY = '''"""Rates on a hill."""
CONFIG = {"steps": 10}
BAND = {"loss": 0.5, "diverged": 0}


def rows():
    return [{"rate": rate} for rate in (0.1, 0.2, 0.3, 9)]


def run(config, seed, framework):
    with open(LOG, "a") as log:
        log.write(f"{config['rate']} {framework} {seed}\\n")
    if config["rate"] == 9:
        return {"loss": None, "diverged": True}
    return {"loss": config["steps"] * config["rate"] + seed, "diverged": False}
'''
SECONDS = {0.1: 2, 0.2: 1, 0.3: 3, 9: 2}  # cheapest 0.2, dearest 0.3
HERE = {"versions": {"torch": "2"}, "device": "cpu", "threads": 1, "seed": 0}


class Bench:
    """A recorded study in a small course."""

    def __init__(self, house):
        self.house, self.root, self.log = house, house.root, house.root / "log.txt"
        self.define(STUDY)
        study.run_study(self.root, self.path, seeds=3)
        record = self.record()
        for row in record["rows"]:
            for run in row["runs"]:
                run["seconds"] = SECONDS[row["row"]["rate"]]
        record["result_hash"] = study._result_hash(record)
        study._write(self.path.with_suffix(".json"), record)
        self.log.unlink()

    def define(self, text, *change):
        assert not change or change[0] in text
        text = text.replace(*change) if change else text
        self.path = self.house.write("studies/03-hill/rates.py", text.replace("LOG", repr(str(self.log))))

    def record(self):
        return json.loads(self.path.with_suffix(".json").read_text())

    def vouch(self):
        return vouch.vouch(self.root, self.path)

    def runs(self):
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def here(monkeypatch):
    from course_lib import runtime

    def be(**other):
        monkeypatch.setattr(runtime, "describe", lambda: {**HERE, **other})

    monkeypatch.setattr(runtime, "set_seed", lambda number: number)
    be()
    return be


@pytest.fixture
def bench(house, here):
    return Bench(house)


FASTER = ('"steps"] * config["rate"]', '"rate"] * config["steps"]')


def test_two_rows_one_seed_both_frameworks_and_the_record_is_in_step(bench):
    before = bench.record()
    bench.define(STUDY, *FASTER)
    report = bench.house.course("study", "rates", "--vouch").output
    assert "03-hill/rates: vouched for, equal" in report
    assert bench.runs() == ["0.2 pytorch 0", "0.2 tensorflow 0", "0.3 pytorch 0", "0.3 tensorflow 0"]
    after = bench.record()
    assert study.check_record(bench.root, bench.path) == []
    assert after["vouched"] == [{"rows": [{"rate": 0.2}, {"rate": 0.3}], "seed": 0, "compared": "equal",
                                 "versions": {"torch": "2"}, "device": "cpu", "threads": 1,
                                 "processor": study.processor()}]
    assert {**after, "code_hash": 0, "vouched": 0} == {**before, "code_hash": 0, "vouched": 0}
    assert "nothing to vouch for" in bench.house.course("study", "rates", "--vouch").output
    assert len(bench.runs()) == 4


def test_a_changed_module_is_vouched_for_too(bench):
    bench.house.write("course_lib/scratch/losses.py", "A = 1\n")
    bench.define(STUDY, "CONFIG", "from course_lib.scratch import losses\nCONFIG")
    bench.vouch()
    bench.house.write("course_lib/scratch/losses.py", "A = 2\n")
    bench.vouch()
    assert len(bench.record()["vouched"]) == 2 and study.check_record(bench.root, bench.path) == []


def test_another_processor_is_another_machine(bench, monkeypatch):
    bench.define(STUDY, *FASTER)
    monkeypatch.setattr(study, "processor", lambda: "another")
    assert study.setting()["processor"] == "another"
    assert "vouched for, within the band" in bench.house.course("study", "rates", "--vouch").output


CLOSE = ('* config["rate"] + seed', '* config["rate"] + seed + 0.25')  # within the band of 0.5


def test_on_the_same_machine_a_value_in_the_band_is_not_enough(bench):
    before = bench.record()
    bench.define(STUDY, *CLOSE)
    report = bench.house.course("study", "rates", "--vouch", fails=True).output
    assert "{'rate': 0.2}, pytorch, seed 0: loss is 2.25, recorded in the same setting is 2" in report
    assert "Run the whole study: `course study 03-hill/rates`" in report
    assert bench.record() == before and study.check_record(bench.root, bench.path)


@pytest.mark.parametrize("other", [{"versions": {"torch": "3"}}, {"threads": 2}, {"device": "cuda"},
                                   {"system": "Darwin arm64"}])
def test_elsewhere_the_band_decides(bench, here, other):
    here(**other)
    bench.define(STUDY, *CLOSE)
    note = bench.vouch()
    assert note["compared"] == "within the band" and note.items() >= other.items()
    assert bench.record()["versions"] == {"torch": "2"}, "where the rows were run stays recorded"


def test_elsewhere_a_value_outside_the_band_is_named(bench, here):
    here(threads=2)
    bench.define(STUDY, '* config["rate"] + seed', '* config["rate"] - 0.6 + seed * (framework > "q")')
    with pytest.raises(CourseError, match=r"rate': 0.3}, tensorflow, seed 0: loss is 2.4, outside the"
                                          r" band from 2.5 to 5.5"):
        bench.vouch()


@pytest.mark.parametrize(("change", "words"), [
    (('"steps": 10', '"steps": 11'), "its config changed"),
    (('"loss": 0.5', '"loss": 0.6'), "its band changed"),
    (("0.3, 9", "0.3, 8"), "its rows changed"),
    (('CONFIG', 'FRAMEWORKS = ("pytorch",)\nCONFIG'), "its frameworks changed"),
])
def test_a_study_that_asks_something_else_cannot_be_vouched_for(bench, change, words):
    bench.define(STUDY.replace('config["steps"]', 'config["STEPS"]'), *change)
    with pytest.raises(CourseError, match=words):
        bench.vouch()
    assert bench.runs() == []


@pytest.mark.parametrize(("text", "words"), [("{}", "damaged"), (None, "not recorded yet")])
def test_without_a_record_there_is_nothing_to_vouch_for(bench, text, words):
    record = bench.path.with_suffix(".json")
    record.write_text(text) if text else record.unlink()
    with pytest.raises(CourseError, match=words):
        bench.vouch()


def test_a_record_changed_by_hand_is_not_vouched_for(bench):
    record = bench.path.with_suffix(".json")
    record.write_text(record.read_text().replace('"loss": 2', '"loss": 3'))
    bench.define(STUDY, *FASTER)
    with pytest.raises(CourseError, match="changed by hand"):
        bench.vouch()


def test_without_a_name_the_studies_are_listed(bench):
    bench.house.write("studies/04-other/new.py", "")
    first, second = bench.house.course("study").output.splitlines()
    assert first.split() == ["03-hill/rates", f"{bench.record()['seconds']:.0f}", "s", "in", "step"]
    assert second.split()[:2] == ["04-other/new", "-"] and "not recorded yet" in second
    bench.define(STUDY, *FASTER)
    assert "stale record: its own code changed" in bench.house.course("study").output
