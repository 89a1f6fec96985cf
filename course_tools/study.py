"""Studies: experiments too long for a page, run once and recorded.

A study is a short file ``studies/NN-chapter/name.py``. ``course study NN-chapter/name`` runs
every row with every seed in every framework and writes ``studies/NN-chapter/name.json``; a page
reads the record with ``course_lib.study.load``. The file defines::

    '''Learning rates: one line, the record's title.

    What is compared, on which data, split how; from which paper.
    '''
    CONFIG = {"steps": 300, "batch": 64}           # JSON values, the same for every row
    BAND = {"validation_loss": 0.02, "diverged": 0.0}   # one margin for every measured name

    def rows():                                     # list of dicts of JSON values, all alike
        return [{"learning_rate": rate} for rate in (0.01, 0.1, 1.0)]

    def run(config, seed, framework):               # config = {**CONFIG, **row}
        ...
        return {"validation_loss": 0.31, "diverged": 0}

Optional: ``FRAMEWORKS = ("pytorch", "tensorflow")`` (the default; ``("numpy",)`` for a study that
needs neither) and ``SEEDS = 5`` (the default of ``--seeds``, at least 3).

* ``run`` is called with ``framework`` one of FRAMEWORKS, after ``runtime.set_seed(seed)``. It
  returns a flat dict of finite numbers (or bools); ``None`` stands for "no such number", for
  example the final loss of a run that diverged. NaN and infinity are refused, so that nobody
  averages them. Every run must return the same names, those of BAND.
* ``BAND[name]`` is how far beyond the lowest and highest recorded value of a row a repeated run
  may lie, in the measure's own unit: other processors change the digits. The page runs one row
  live with the row's own configuration and asks ``record.holds_in_band``. If the live row is to
  be cheaper than the record's rows, add the quick setting to ``rows()`` as a row of its own.
* Whatever ``run`` needs comes from ``course_lib``; a study imports no other study. Its code, the
  modules of numbers that it imports and the data that it names are hashed (``course_tools.stamp``):
  if one changes, the record is stale and ``course notebooks --check`` says so. Where the change
  should leave the results alone, ``course study NAME --vouch`` (``course_tools.vouch``) makes sure.
* Interrupted, it goes on where it was: finished runs stand in ``name.json.partial``.

The record holds ``study, title, config, band, frameworks, seeds, rows, versions, system,
device, threads, scale, seconds, code_hash, library_hash``, once vouched for ``vouched``; ``rows`` is a list of
``{"row": {...}, "runs": [{"framework", "seed", "seconds", "values": {...}}, ...]}``.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import math
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from course_tools import stamp
from course_tools.errors import CourseError

FRAMEWORKS = ("pytorch", "tensorflow")
LEAST_SEEDS = 3
STALE = "stale record"


# --- files, without running anything ------------------------------------------------------------


def find_studies(root: Path) -> list[Path]:
    """Return the files ``studies/NN-chapter/name.py``, sorted."""
    return sorted(p for p in (root / "studies").glob("[0-9][0-9]-*/*.py") if p.name[0] != "_")


def study_name(path: Path) -> str:
    """Return ``03-gradient-descent/learning_rates`` for a study's path."""
    return f"{path.parent.name}/{path.stem}"


def orphan_records(root: Path) -> list[Path]:
    """Return records that no study stands behind."""
    records = sorted((root / "studies").glob("[0-9][0-9]-*/*.json"))
    return [path for path in records
            if not path.with_name(path.name.split(".")[0] + ".py").is_file()]


def hashes(root: Path, path: Path) -> tuple[str, dict[str, str]]:
    """Return the hash of a study's own code, and of each ``course_lib`` module that it uses."""
    text = path.read_text("utf8")
    return stamp.source_hash(text, str(path)), stamp.library_hash(root, text, str(path))


def check_record(root: Path, path: Path) -> list[str]:
    """Say in what a study's record is out of step with its code; empty where it is not."""
    name, record_path = study_name(path), path.with_suffix(".json")
    if not record_path.is_file():
        return [f"not recorded yet: run `course study {name}`"]
    try:
        record = json.loads(record_path.read_text("utf8"))
        stored = record["code_hash"], record["library_hash"]
    except (ValueError, KeyError, TypeError):
        return [f"its record is damaged: run `course study {name} --force`, which keeps a copy"]
    code, used = hashes(root, path)
    changed = ["its own code"] if stored[0] != code else []
    changed += stamp.changed(stored[1], used)
    if "result_hash" in record and record["result_hash"] != _result_hash(record):
        return [f"the record was changed by hand: run `course study {name} --force`, which keeps"
                " a copy"]
    if not changed:
        return []
    return [f"{STALE}: {', '.join(changed)} changed; run `course study {name}` (--vouch: two rows)"]


def overview(root: Path) -> list[str]:
    """Return a line for each study: its name, the seconds recorded, in step or not."""
    lines = []
    for path in find_studies(root):
        problems, seconds = check_record(root, path), "-"
        if path.with_suffix(".json").is_file():
            seconds = f"{json.loads(path.with_suffix('.json').read_text('utf8'))['seconds']:.0f}"
        state = problems[0].split(";")[0] if problems else "in step"
        lines.append(f"{study_name(path):<44} {seconds:>6} s  {state}")
    return lines


def by_hand(record_path: Path) -> bool:
    """Say whether a file lies where a record belongs that `course study` did not write so."""
    if not record_path.is_file():
        return False
    try:
        record = json.loads(record_path.read_text("utf8"))
        return record.get("result_hash", _result_hash(record)) != _result_hash(record)
    except (ValueError, AttributeError):
        return True


def _result_hash(record: dict) -> str:
    kept = {name: record.get(name) for name in ("config", "band", "rows", "seeds", "frameworks")}
    return stamp.digest(json.dumps(kept, sort_keys=True))


def choose(root: Path, name: str) -> Path:
    """Return the study that a name or path stands for; ``CourseError`` lists what there is."""
    plain = name.replace("\\", "/").removesuffix(".py").removesuffix(".json")
    plain = plain.split("studies/")[-1]
    known = {study_name(path): path for path in find_studies(root)}
    found = [p for full, p in known.items() if plain in (full, full.split("/")[-1])]
    if len(found) != 1:
        raise CourseError(f"{len(found)} studies are called {name!r}; there are"
                          f" {', '.join(known) or 'none'}")
    return found[0]


# --- the study as defined -----------------------------------------------------------------------


@dataclass(frozen=True)
class Definition:
    """What a study file defines, checked."""

    title: str
    config: dict
    band: dict[str, float]
    frameworks: tuple[str, ...]
    seeds: int
    rows: list[dict]
    run: Callable[[dict, int, str], dict]


def _need(condition: bool, path: Path, words: str) -> None:
    if not condition:
        raise CourseError(f"{path}: {words} (course_tools/study.py says what a study defines)")


def _plain(value: object, path: Path, words: str) -> object:
    """Return a value as JSON gives it back; ``CourseError`` where it is no JSON value."""
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise CourseError(f"{path}: {words} must hold JSON values only ({error})") from None
    return json.loads(text)


def _import(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"course_study_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _prepare_frameworks() -> None:
    """Import what frameworks there are through course_lib: threads set, start-up log held back."""
    import course_lib  # noqa: F401

    for name in ("torch", "tensorflow"):
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise


def define(path: Path) -> Definition:
    """Import a study file and check what it defines; ``CourseError`` says what is missing."""
    _prepare_frameworks()
    module = _import(path)
    title = (inspect.getdoc(module) or "").split("\n")[0].strip()
    _need(bool(title), path, "a docstring whose first line is the study's title is missing")
    for name in ("CONFIG", "BAND", "rows", "run"):
        _need(hasattr(module, name), path, f"{name} is missing")
    rows = _plain(list(module.rows()), path, "rows()")
    _need(bool(rows) and all(row and row.keys() == rows[0].keys() for row in rows), path,
          "rows() must return dicts, at least one, all with the same names")
    _need(len({json.dumps(row, sort_keys=True) for row in rows}) == len(rows), path,
          "rows() returns one row twice")
    band = _plain(module.BAND, path, "BAND")
    _need(bool(band) and all(isinstance(v, (int, float)) and v >= 0 for v in band.values()), path,
          "BAND must give a margin of 0 or more for each measure")
    seeds = getattr(module, "SEEDS", 5)
    _need(isinstance(seeds, int) and seeds >= LEAST_SEEDS, path,
          f"SEEDS must be a whole number, {LEAST_SEEDS} or more")
    frameworks = tuple(getattr(module, "FRAMEWORKS", FRAMEWORKS))
    return Definition(title, _plain(module.CONFIG, path, "CONFIG"), band, frameworks, seeds, rows,
                      module.run)


def _values(returned: object, definition: Definition, path: Path, what: str) -> dict:
    _need(isinstance(returned, dict), path, f"run() returned no dict for {what}")
    _need(returned.keys() == definition.band.keys(), path,
          f"run() returned {sorted(returned)} for {what}, BAND names {sorted(definition.band)}")
    values: dict[str, float | int | None] = {}
    for name, value in returned.items():
        try:
            number = None if value is None else float(value)
        except (TypeError, ValueError):
            raise CourseError(f"{path}: run() returned {name}={value!r} for {what}, which is no"
                              " number") from None
        _need(number is None or math.isfinite(number), path,
              f"run() returned {name}={value} for {what}; return None and a measure such as"
              " diverged=1")
        values[name] = number if number is None or not number.is_integer() else int(number)
    return values


# --- running ------------------------------------------------------------------------------------


class _Partial:
    """The runs finished so far, kept beside the study until its record is written."""

    def __init__(self, path: Path, mark: str):
        self.path, self.mark, self.runs = path, mark, {}
        if path.is_file():
            try:
                stored = json.loads(path.read_text("utf8"))
                self.runs = stored["runs"] if stored["mark"] == mark else {}
            except (ValueError, KeyError, TypeError):
                pass  # cut off in the middle of a write: begin again
        self.resumed = len(self.runs)

    @staticmethod
    def key(row: dict, framework: str, seed: int) -> str:
        return json.dumps([row, framework, seed], sort_keys=True)

    def take_over(self, record: dict) -> None:
        """Count the runs of a record as finished."""
        for row in record["rows"]:
            for run in row["runs"]:
                self.runs[self.key(row["row"], run["framework"], run["seed"])] = run

    def keep(self, key: str, run: dict) -> None:
        self.runs[key] = run
        _write(self.path, {"mark": self.mark, "runs": self.runs})


def _write(path: Path, content: dict) -> None:
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf8")
    os.replace(temporary, path)


def processor() -> str:
    """Name the processor by its model and a hash of what it can do: other kinds round otherwise."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts = dict(reversed([line.split(":", 1) for line in lines if ":" in line]))
    facts = {name.strip(): value.strip() for name, value in facts.items()}
    model = facts.get("model name", platform.machine())
    return f"{model} {stamp.digest(facts.get('flags', ''))[:6]}"


def setting() -> dict:
    """Return what runs here: versions, system, processor, device, threads and scale."""
    from course_lib import runtime

    ran = {name: value for name, value in runtime.describe().items() if name != "seed"}
    return ran | {"processor": processor()}


def _one(definition: Definition, path: Path, row: dict, framework: str, seed: int) -> dict:
    from course_lib import runtime

    what = f"{row}, {framework}, seed {seed}"
    runtime.set_seed(seed)
    start = time.perf_counter()
    try:
        returned = definition.run({**definition.config, **row}, seed, framework)
    except CourseError:
        raise
    except Exception as error:
        raise CourseError(f"{path}: run() failed for {what}: {type(error).__name__}: {error}\n"
                          "The finished runs are kept.") from error
    seconds = round(time.perf_counter() - start, 2)
    values = _values(returned, definition, path, what)
    return {"framework": framework, "seed": seed, "seconds": seconds, "values": values}


def run_study(root: Path, path: Path, seeds: int | None = None,
              told: Callable[[str], None] = lambda text: None, again: bool = False) -> dict | None:
    """Run what of a study is not yet recorded and write its record; return the record.

    Returns None, running nothing, where the record is in step and has these seeds or more, unless
    ``again``. Interrupted runs are taken up where they stopped, as long as the code is the same;
    so are the runs of a record in step, where more seeds are asked for.
    """
    code, used = hashes(root, path)
    definition = define(path)
    if seeds is not None and seeds < LEAST_SEEDS:
        raise CourseError(f"a study needs at least {LEAST_SEEDS} seeds, not {seeds}")
    record_path, recorded = path.with_suffix(".json"), None
    if not again and record_path.is_file() and not check_record(root, path):
        recorded = json.loads(record_path.read_text("utf8"))
        if len(recorded["seeds"]) >= (seeds or definition.seeds):
            return None
    seeds = seeds or definition.seeds
    ran = setting()
    mark = stamp.digest(code, json.dumps([used, ran], sort_keys=True))
    partial = _Partial(path.with_name(f"{path.stem}.json.partial"), mark)
    if partial.resumed:
        told(f"going on after {partial.resumed} finished runs")
    elif recorded and all(recorded[name] == value for name, value in ran.items()):
        partial.take_over(recorded)
    rows = _run_rows(definition, path, seeds, partial, told)
    total = round(sum(run["seconds"] for row in rows for run in row["runs"]), 1)
    record = {
        "study": study_name(path), "title": definition.title, "config": definition.config,
        "band": definition.band, "frameworks": list(definition.frameworks),
        "seeds": list(range(seeds)), "rows": rows, **ran, "seconds": total,
        "code_hash": code, "library_hash": used}
    record["result_hash"] = _result_hash(record)
    _write(record_path, record)
    partial.path.unlink(missing_ok=True)
    return record


def _run_rows(definition: Definition, path: Path, seeds: int, partial: _Partial,
              told: Callable[[str], None]) -> list[dict]:
    total = len(definition.rows) * len(definition.frameworks) * seeds
    done, rows = 0, []
    for row in definition.rows:
        runs = []
        for framework in definition.frameworks:
            for seed in range(seeds):
                key, done = partial.key(row, framework, seed), done + 1
                if key not in partial.runs:
                    partial.keep(key, _one(definition, path, row, framework, seed))
                    told(f"{done} of {total}: {row} {framework} seed {seed}:"
                         f" {partial.runs[key]['values']}")
                runs.append(partial.runs[key])
        rows.append({"row": row, "runs": runs})
    return rows
