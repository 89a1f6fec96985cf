"""``course doctor`` and ``course gpu-check``: what is wrong with this machine and what to do."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from course_tools.errors import CourseError
from course_tools.keep import keep

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


def refuse_other(path: Path, force: bool) -> bool:
    """Return whether a file that is no report of this command lies where one is to be written.

    Without ``force`` that raises ``CourseError``.
    """
    from course_tools.gpu_check import is_report

    other = path.exists() and not is_report(path)
    if other and not force:
        raise CourseError(f"{path} is no report of this command and stays as it is; choose another"
                          " --output, or --force replaces it and keeps a copy")
    return other


@click.command("gpu-check")
@click.option("--device", type=click.Choice(["auto", "cuda", "mps", "cpu"]), default="auto",
              help="What to run on; cpu is a rehearsal and no evidence about a GPU.")
@click.option("--output", type=click.Path(path_type=Path), metavar="PATH",
              help="The report's file (….md), or a folder such as studies/gpu-reports to keep it"
                   " in; by default gpu-report.md here.")
@click.option("--force", is_flag=True,
              help="Replace a file that is no such report; a copy is kept in work/kept.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), default=600,
              show_default=True, metavar="SECONDS", help="How long each part may take.")
@ROOT
@click.pass_context
def gpu_check(context, device: str, output: Path | None, force: bool, timeout: float,
              root: Path | None) -> None:
    """Take one step of each model on the GPU in both frameworks, and write a report.

    Attach the report to an issue. Exit status: 0 all is as it should be, 1 something is not,
    2 there is no GPU.
    """
    from course_tools import gpu_check as check
    from course_tools import machine, probe

    if device == "cpu":
        seeing = list(check.FRAMEWORKS)
    else:
        device, seeing = check.choose_device(
            device, probe.look(machine.FRAMEWORKS, timeout)[0])
        if not device:
            _say(check.NO_GPU)
            context.exit(2)
    facts = check.environment(_root(root))
    try:
        path = check.report_path(output, device, "card", facts["date"])
        refuse_other(path, force)  # before the work, not after
        parts = check.run_parts(device, seeing, check.TWINS, timeout, _say)
        verdicts = check.judge(parts, check.TWINS, device)
        card = check.device_name(parts, facts, device)
        path = check.report_path(output, device, card, facts["date"])
        if refuse_other(path, force):
            _say(f"yours is kept in {keep(_root(root) or Path.cwd(), path)}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(check.report(parts, verdicts, facts, device), "utf8")
    except (CourseError, OSError) as error:
        raise click.ClickException(str(error)) from None
    wrong = [verdict for verdict in verdicts if not verdict.holds]
    for verdict in wrong:
        _say(f"FAILS  {verdict.what}")
    kind = "rehearsal on the CPU, no evidence about a GPU" if device == "cpu" else card
    _say(f"{len(verdicts) - len(wrong)} of {len(verdicts)} checks hold ({kind}): {path}")
    context.exit(1 if wrong else 0)
