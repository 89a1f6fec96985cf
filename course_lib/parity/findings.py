"""What the port doctor says: findings, notes, and how they read."""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass, field

from course_lib.parity.rosetta import ROWS

STAGES = ("dtype", "layers", "weights", "outputs", "training outputs", "state", "loss",
          "gradients", "update")


@dataclass(frozen=True)
class Cause:
    """A guess that fits: what it is, its Rosetta row, and how far it is from Keras's numbers.

    ``after`` is nan where the numbers leave no doubt but nothing was computed once more.
    """

    what: str
    row: str | None = None
    after: float = float("nan")
    cure: str = ""


@dataclass(frozen=True)
class Finding:
    """One difference: where it is, what it is, and what to do.

    ``row`` is the Rosetta row that explains it, or None where the doctor sees the difference but
    has no name for it. ``before`` is the largest difference, relative to the largest number of
    PyTorch's side; ``after`` is what is left when PyTorch computes with Keras's convention, where
    that was tried: near 0, the explanation is proven, not guessed.
    """

    stage: str
    where: str
    what: str
    row: str | None = None
    cure: str = ""
    before: float = float("nan")
    after: float | None = None

    def __str__(self) -> str:
        known = math.isfinite(self.before)
        size = f" They part by {self.before:.1e}" if known else ""
        if known and self.after is not None and math.isfinite(self.after):
            rest = f"by {self.after:.1e}"
            if self.after > 1e-3 * self.before:
                rest = f"still {rest}, so this is not all of it"
            size += f"; with Keras's convention in PyTorch, {rest}"
        cure = self.cure or (ROWS[self.row].cure if self.row in ROWS else "")
        lines = [f"{self.stage}, {self.where}: {self.what}.{size and size + '.'}"]
        lines += [f"Cure: {cure}"] if cure else []
        lines += [f"Rosetta row: {self.row}"] if self.row else []
        return "\n".join(textwrap.fill(line, 92, subsequent_indent="  ") for line in lines)


def of_cause(stage: str, where: str, cause: Cause | None, otherwise: str, cure: str,
             before: float) -> Finding:
    """The finding of a cause; where there is none, what to say and to do ``otherwise``."""
    if cause is None:
        return Finding(stage, where, otherwise, None, cure, before)
    after = None if math.isnan(cause.after) else cause.after
    return Finding(stage, where, cause.what, cause.row, cause.cure, before, after)


@dataclass
class Report:
    """All that the port doctor found, in the order in which the models part.

    ``findings`` are differences, the first first; ``notes`` are remarks that make no difference
    here, or that no setting can remove; ``unmatched`` names what was not compared;
    ``sizes`` holds the largest relative difference of each stage.
    """

    dtypes: tuple[str, str] = ("", "")
    matched: int = 0
    findings: list[Finding] = field(default_factory=list)
    notes: list[Finding] = field(default_factory=list)
    unmatched: list[str] = field(default_factory=list)
    sizes: dict[str, float] = field(default_factory=dict)

    @property
    def agree(self) -> bool:
        """Whether no difference was found, and nothing was left uncompared."""
        return not self.findings and not self.unmatched

    @property
    def first(self) -> Finding | None:
        """The first difference, or None."""
        return self.findings[0] if self.findings else None

    @property
    def rows(self) -> list[str]:
        """The Rosetta rows of the findings, in order, each once."""
        return list(dict.fromkeys(f.row for f in self.findings if f.row))

    def saw(self, stage: str, size: float) -> None:
        """Remember the largest difference of a stage."""
        self.sizes[stage] = max(size, self.sizes.get(stage, 0.0))

    def __str__(self) -> str:
        kinds = self.dtypes[0] if len(set(self.dtypes)) == 1 else " and ".join(self.dtypes)
        lines = [f"{self.matched} layers matched, computed in {kinds}."]
        for stage in STAGES:
            if stage in self.sizes:
                lines.append(f"  {stage:17} largest difference {self.sizes[stage]:.1e}")
        if self.sizes.get("weights") and any(f.stage == "weights" for f in self.findings):
            lines.append("  (all that follows weights: with PyTorch's weights lent to Keras)")
        if self.agree:
            lines += ["", "The two models agree."]
        elif not self.findings:
            lines += ["", "No difference in what was compared, but not all was: see the end."]
        for number, finding in enumerate(self.findings, start=1):
            lines += ["", f"{number}. {finding}"]
        for title, texts in (("Notes", map(str, self.notes)), ("Not compared", self.unmatched)):
            texts = list(texts)
            if texts:
                lines += ["", f"{title}:"]
                lines += [textwrap.indent(text, "  ") for text in texts]
        return "\n".join(lines)
