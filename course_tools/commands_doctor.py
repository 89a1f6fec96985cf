"""``course doctor`` and ``course gpu-check``: what is wrong with this machine and what to do."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

ROOT = click.option(
    "--root", type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The course's folder; by default the one around the working folder.")
WIDTH = 12  # columns for a check's name


def _root(named: Path | None) -> Path | None:
    """The course's folder, found without its other tools; None where there is no checkout."""
    if named:
        return named.resolve()
    for folder in (Path.cwd(), *Path.cwd().parents, Path(__file__).resolve().parents[1]):
        if (folder / "book").is_dir() and (folder / "requirements.txt").is_file():
            return folder
    return None


def _say(text: str) -> None:
    """Print, whatever the terminal can show."""
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    click.echo(text.encode(encoding, "replace").decode(encoding))


def _show(name: str, finding) -> None:
    colour = {"ok": "green", "note": "yellow", "problem": "red"}[finding.status]
    status = click.style(f"{finding.status:<8}", fg=colour, bold=finding.status == "problem")
    _say(f"{status} {name:<{WIDTH}} {finding.what}")
    if finding.advice:
        _say(f"{'':8} {'':{WIDTH}} -> {finding.advice}")


def _count(number: int, word: str) -> str:
    return f"{number or 'no'} {word}{'' if number == 1 else 's'}"


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.option("--online", is_flag=True, help="Also ask whether the package index answers.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), default=180,
              show_default=True, metavar="SECONDS", help="How long a framework may take to start.")
@ROOT
@click.pass_context
def doctor(context, as_json: bool, online: bool, timeout: float, root: Path | None) -> None:
    """Look at Python, packages, devices, threads, settings, data, disk, ports and browser.

    Each problem and each note says what to do. The exit status is 1 where there is a problem.
    """
    from course_tools.doctor import examine
    from course_tools.machine import Machine

    findings = []
    for name, finding in examine(Machine(_root(root), timeout, online)):
        findings.append((name, finding))
        if not as_json:
            _show(name, finding)
    counts = {s: sum(f.status == s for _, f in findings) for s in ("ok", "note", "problem")}
    if as_json:
        rows = [{"check": n, "status": f.status, "what": f.what, "advice": f.advice}
                for n, f in findings]
        _say(json.dumps({"schema": 1, "counts": counts, "findings": rows}, indent=2))
    else:
        _say(f"{_count(counts['problem'], 'problem')}, {_count(counts['note'], 'note')}")
    context.exit(1 if counts["problem"] else 0)
