"""Vouch for a study's record whose code changed: run two of its rows again and compare.

The cheapest and the dearest row by recorded seconds, with one seed in every framework. Each value
must equal the recorded one where versions, system, processor, device, threads and scale are those
of the record, and lie within the study's band elsewhere. Then the record takes the new hashes and a note
in ``vouched``; its rows stay as they are. Otherwise the whole study must be run again.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from course_tools import study
from course_tools.errors import CourseError


def ends(record: dict) -> list[dict]:
    """Return the cheapest and the dearest row of a record, by the seconds that its runs took."""
    rows = sorted(record["rows"], key=lambda row: sum(run["seconds"] for run in row["runs"]))
    return [rows[0], rows[-1]] if len(rows) > 1 else rows


def _check_same_study(record: dict, definition: study.Definition, name: str) -> None:
    """Refuse where the study now asks something else than its record answers."""
    asked = {"config": definition.config, "band": definition.band,
             "frameworks": list(definition.frameworks), "rows": definition.rows}
    answered = {**record, "rows": [row["row"] for row in record["rows"]]}
    changed = [part for part, value in asked.items() if answered[part] != value]
    if changed:
        raise CourseError(f"{name}: its {', '.join(changed)} changed, so its record answers another"
                          f" question: run `course study {name}`")


def _outside(record: dict, recorded: dict, row: dict, ran: dict, same: bool) -> list[str]:
    """Name the values of a run that are not what the record lets expect."""
    from course_lib.study import Study

    faults = []
    for measure, value in ran["values"].items():
        where = f"{row}, {ran['framework']}, seed {ran['seed']}: {measure} is {value}"
        before = recorded["values"][measure]
        if same and value != before:
            faults.append(f"{where}, recorded in the same setting is {before}")
        elif not same and not Study(record).holds_in_band(measure, value, ran["framework"], **row):
            low, high = Study(record).limits(measure, ran["framework"], **row)
            faults.append(f"{where}, outside the band from {low:.6g} to {high:.6g}")
    return faults


def vouch(root: Path, path: Path, told: Callable[[str], None] = lambda text: None) -> dict | None:
    """Run the two rows, compare, and write the new hashes; return the note, None where in step.

    Raises ``CourseError``, the record left as it was, where a value lies outside, the record is
    missing or damaged, or the study's rows, CONFIG, BAND or FRAMEWORKS changed.
    """
    name, record_path = study.study_name(path), path.with_suffix(".json")
    problems = study.check_record(root, path)
    if not problems:
        return None
    if not problems[0].startswith(study.STALE):
        raise CourseError(f"{name}: {problems[0]}")
    code, used = study.hashes(root, path)
    record, definition = json.loads(record_path.read_text("utf8")), study.define(path)
    _check_same_study(record, definition, name)
    here = study.setting()
    same, seed, faults = all(record.get(k) == v for k, v in here.items()), record["seeds"][0], []
    for row in ends(record):
        for recorded in (run for run in row["runs"] if run["seed"] == seed):
            ran = study._one(definition, path, row["row"], recorded["framework"], seed)
            told(f"{row['row']} {ran['framework']} seed {seed}: {ran['values']}")
            faults += _outside(record, recorded, row["row"], ran, same)
    if faults:
        raise CourseError("\n".join([f"{name} cannot be vouched for:", *faults,
                                     f"Run the whole study: `course study {name}`"]))
    note = {"rows": [row["row"] for row in ends(record)], "seed": seed,
            "compared": "equal" if same else "within the band", **here}
    record |= {"code_hash": code, "library_hash": used,
               "vouched": [*record.get("vouched", []), note]}
    study._write(record_path, record)
    return note
