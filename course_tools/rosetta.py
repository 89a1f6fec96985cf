"""The page of the Rosetta table, made of its rows and of their measurements.

The rows stand in ``course_lib/parity/rosetta.py``, the measurements in ``tests/rosetta``. Numbers
are those of the machine that wrote the page; a comparison leaves them out.
"""

from __future__ import annotations

import importlib
import math
import re
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from course_tools import stamp
from course_tools.errors import CourseError

PAGE = "book/rosetta.md"
SEAL = "% written by `course rosetta`: "
FRAMEWORKS = {"torch": "PyTorch", "tensorflow": "TensorFlow", "keras": "Keras"}
INTRODUCTION = """\
The same model, written in PyTorch and in TensorFlow, gives other numbers, for reasons that no\
 error message names. This page collects those that we have measured: what each framework does,\
 what makes them agree, and by how much they differ before and after. Pages of the book link to\
 its entries where they meet them.

Each entry is established by a measurement of its own in `tests/rosetta`, which runs with the\
 book's tests, so an entry that a new version makes wrong fails by name. Numbers were measured\
 with {versions}; they are the largest difference of one run, rounded to one digit, first with\
 defaults or a naive port, then with the cure. Nearly all are in float64, where agreement means\
 1e-12 or less; the few wider bounds have their reason in the test. `course rosetta` measures\
 again and writes this page.
"""


def _rows() -> tuple[Mapping[str, Any], Mapping[str, str]]:
    """The table's rows and groups."""
    from course_lib.parity import rosetta

    return rosetta.ROWS, rosetta.GROUPS


def measure(root: Path, passing: Callable[[str], None] = lambda text: None) -> dict[str, Any]:
    """Run the measurement of each row, in the order of the rows.

    Raises ``CourseError`` where rows and measurements do not match, or where one breaks its
    promise.
    """
    folder = root / "tests/rosetta"
    if not (folder / "measuring.py").is_file():
        raise CourseError(f"{folder} holds no measurements; run this in a checkout of the course")
    sys.path.insert(0, str(folder))
    try:
        measuring = importlib.import_module("measuring")
        found = measuring.load()
    finally:
        sys.path.remove(str(folder))
    rows, _ = _rows()
    problems = measuring.unmatched(rows, found)
    measured = {}
    if not problems:
        for row in rows:
            passing(row)
            measured[row] = found[row][0].run()
            if wrong := measuring.fault(found[row][0], measured[row]):
                problems.append(f"{row}: {wrong}")
    if problems:
        raise CourseError("the table does not hold here:\n" + "\n".join(problems))
    return measured


def rounded(number: float | None) -> str:
    """One digit: 0.3, 30, 5e-9."""
    if number is None:
        return "no cure"
    if not math.isfinite(number):
        return "infinite"
    mantissa, _, exponent = f"{number:.0e}".partition("e")
    if number == 0 or -3 <= int(exponent) <= 3:
        return f"{float(f'{number:.0e}'):g}"
    return f"{mantissa}e{int(exponent)}"


def _title(root: Path, page: str) -> str:
    """A page's title. ``page`` is below book/."""
    path = root / "book" / page.split("#")[0]
    if not path.is_file():
        raise CourseError(f"the Rosetta table leads to {path}, which is not there")
    return re.search(r"^# (.+)$", path.read_text("utf8"), re.M)[1]


def _entry(root: Path, name: str, row: Any, measured: Any) -> list[str]:
    terms = {
        "PyTorch": row.pytorch,
        "TensorFlow": row.tensorflow,
        "Cure": row.cure,
        "Measured": f"{rounded(measured.before)} → {rounded(measured.after)} ({measured.what}).",
    }
    if row.page:
        terms["Met in"] = f"[{_title(root, row.page)}]({row.page})."
    said = [f"- **{term}.** {text}" for term, text in terms.items()]
    return [f"(rosetta-{name})=", f"### {row.topic}", "", *said, ""]


def versions() -> str:
    """The frameworks and their versions, in words."""
    named = [f"{words} {version(package).split('+')[0]}" for package, words in FRAMEWORKS.items()]
    return ", ".join(named[:-1]) + f" and {named[-1]}"


def page(root: Path, measured: Mapping[str, Any]) -> str:
    """The page's text."""
    rows, groups = _rows()
    lines = ["# Rosetta table: what differs between the frameworks", "",
             INTRODUCTION.format(versions=versions())]
    for kind, words in groups.items():
        links = [f"[{row.topic}](#rosetta-{name})" for name, row in rows.items()
                 if row.kind == kind]
        lines += [f"**{words}.** " + " · ".join(links), ""]
    for kind, words in groups.items():
        lines += [f"## {words}", ""]
        for name, row in rows.items():
            if row.kind == kind:
                lines += _entry(root, name, row, measured[name])
    return "\n".join(lines).rstrip() + "\n"


def sealed(text: str) -> str:
    """The page with a last line by which ``by_hand`` knows it: a comment that no reader sees."""
    return f"{text}\n{SEAL}{stamp.digest(text)}\n"


def unsealed(text: str) -> str:
    """The page without the last line that ``sealed`` put there."""
    return text.rpartition(f"\n{SEAL}")[0] or text


def by_hand(text: str) -> bool:
    """Whether a page is not, letter for letter, one that ``sealed`` returned."""
    return text != sealed(unsealed(text))


def without_numbers(text: str) -> str:
    """The page without what another machine or version measures otherwise."""
    numbers = r"^(- \*\*Measured\.\*\* ).*? → (?:no cure|\S+)"
    text = re.sub(numbers, r"\1… → …", text, flags=re.M)
    return re.sub(r"measured with .*?;", "measured with …;", text)


def differences(written: str, made: str) -> list[str]:
    """The headings under which two texts of the page differ, numbers left out."""
    written, made = unsealed(written), unsealed(made)
    old, new = (_sections(without_numbers(text)) for text in (written, made))
    found = [heading for heading in new if old.get(heading) != new[heading]]
    found += [heading for heading in old if heading not in new]
    if not found and without_numbers(written) != without_numbers(made):
        found = ["the order of its parts"]
    return found


def _sections(text: str) -> dict[str, str]:
    """The page's parts, by heading."""
    parts = re.split(r"^#+ (.+)$", text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))
