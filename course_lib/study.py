"""Read the recorded studies: experiments too long for a page, over seeds and frameworks.

``load("03-gradient-descent/learning_rates")`` returns the record that ``course study`` wrote.
Nothing is run and no framework is imported.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

HOUSE = Path(__file__).resolve().parent.parent
# A checkout keeps the records beside course_lib; a wheel brings them as course_studies.
PLACES = (HOUSE / "studies", HOUSE / "course_studies")


@dataclass(frozen=True)
class Spread:
    """One measure of one row over its runs. ``missing`` runs had no such number (diverged)."""

    values: tuple[float, ...]
    missing: int = 0

    @property
    def mean(self) -> float:
        """The mean, or nan where no run has a number."""
        return statistics.fmean(self.values) if self.values else math.nan

    @property
    def std(self) -> float:
        """The standard deviation between runs (n - 1), or nan for fewer than two numbers."""
        return statistics.stdev(self.values) if len(self.values) > 1 else math.nan

    @property
    def low(self) -> float:
        """The lowest number, or nan where there is none."""
        return min(self.values, default=math.nan)

    @property
    def high(self) -> float:
        """The highest number, or nan where there is none."""
        return max(self.values, default=math.nan)

    def __str__(self) -> str:
        if not self.values:
            return "none"
        if math.isnan(self.std):
            text = f"{self.mean:.3g}"
        elif 1e-6 < self.std:                  # both to the deviation's first digit
            places = max(0, -math.floor(math.log10(self.std)))
            text = f"{self.mean:.{places}f} ± {self.std:.{places}f}"
        else:
            text = f"{self.mean:.3g} ± {self.std:.1g}"
        return text + (f" ({self.missing} without)" if self.missing else "")


class Row:
    """One row of a study: what it sets, and what its runs measured."""

    def __init__(self, data: dict):
        self.settings: dict = data["row"]
        self.runs: list[dict] = data["runs"]

    def __getitem__(self, setting: str):
        return self.settings[setting]

    def spread(self, measure: str, framework: str | None = None) -> Spread:
        """Return a measure over the row's seeds, in one framework or in all.

        Raises ``KeyError`` naming what there is, where the measure or framework is unknown.
        """
        runs = [run for run in self.runs if framework in (None, run["framework"])]
        if not runs:
            known = sorted({run["framework"] for run in self.runs})
            raise KeyError(f"no framework {framework!r} in this study; it has {known}")
        if measure not in runs[0]["values"]:
            raise KeyError(f"no measure {measure!r}; the study has {sorted(runs[0]['values'])}")
        values = [run["values"][measure] for run in runs]
        numbers = tuple(float(value) for value in values if value is not None)
        return Spread(numbers, missing=len(values) - len(numbers))


class Study:
    """A recorded study: ``rows``, ``config``, ``band``, ``seeds``, ``frameworks``, ``title``."""

    def __init__(self, data: dict):
        self.data = data
        self.title: str = data["title"]
        self.config: dict = data["config"]
        self.band: dict = data["band"]
        self.seeds: list[int] = data["seeds"]
        self.frameworks: list[str] = data["frameworks"]
        self.rows = [Row(row) for row in data["rows"]]

    def row(self, **settings) -> Row:
        """Return the one row with these settings: ``record.row(learning_rate=0.1)``."""
        found = [row for row in self.rows
                 if all(row.settings.get(name) == value for name, value in settings.items())]
        if len(found) != 1:
            rows = "; ".join(str(row.settings) for row in self.rows)
            raise KeyError(f"{len(found)} rows have {settings}; the study's rows are: {rows}")
        return found[0]

    def limits(self, measure: str, framework: str | None = None, **settings) -> tuple[float, float]:
        """Return the lowest and highest value that a repeated run of a row may have.

        From the lowest to the highest recorded value, widened by the study's stated band.
        """
        spread = self.row(**settings).spread(measure, framework)
        return spread.low - self.band[measure], spread.high + self.band[measure]

    def holds_in_band(
        self, measure: str, value: float | None, framework: str | None = None, **settings
    ) -> bool:
        """Say whether a live value of a row lies where its recorded runs say it should.

        ``None``, nan and infinity (a run with no such number) hold where a recorded run of the
        row had none either.
        """
        if value is None or not math.isfinite(value):
            return self.row(**settings).spread(measure, framework).missing > 0
        low, high = self.limits(measure, framework, **settings)
        return bool(low <= value <= high)

    def table(self, measures: Iterable[str], by_framework: bool = True) -> str:
        """Return the rows as aligned text, ``mean ± standard deviation`` over the seeds."""
        measures = [measures] if isinstance(measures, str) else list(measures)
        frameworks = list(self.frameworks) if by_framework else [None]
        names = list(self.rows[0].settings)
        head = names + [f"{m} {f}" if f else m for m in measures for f in frameworks]
        lines = [head]
        for row in self.rows:
            spreads = [str(row.spread(m, f)) for m in measures for f in frameworks]
            lines.append([f"{row[name]}" for name in names] + spreads)
        widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
        shown = ("  ".join(c.rjust(w) for c, w in zip(line, widths)) for line in lines)
        return "\n".join(shown)


def load(name: str) -> Study:
    """Return the record of a study, such as ``"03-gradient-descent/learning_rates"``.

    Raises ``FileNotFoundError``, with the command that makes it, where there is no record.
    """
    for place in PLACES:
        path = place / f"{name}.json"
        if path.is_file():
            return Study(json.loads(path.read_text("utf8")))
    known = sorted({str(path.relative_to(place).with_suffix("")) for place in PLACES
                    for path in place.glob("*/*.json")})
    raise FileNotFoundError(
        f"there is no record of a study {name!r}. Recorded: {', '.join(known) or 'none'}."
        f" In a checkout of the course, `course study {name}` runs it and writes the record.")
