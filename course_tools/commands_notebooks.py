"""``course notebooks``: the portable notebooks, made and checked."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from course_tools.errors import CourseError


def _passing(text: str) -> None:
    """Show progress on a terminal, in one line that is overwritten; nothing elsewhere."""
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[2K{text[:100]}", nl=False, err=True)


def _lasting(text: str) -> None:
    _passing("")
    click.echo(text)


def _check(root: Path, sources: list[Path], whole: bool) -> None:
    from course_tools.notebooks import check

    problems = check(root, sources, whole)
    if not problems:
        click.echo(f"{len(sources)} notebooks are in step with their pages.")
        return
    for name, found in problems.items():
        for problem in found:
            click.echo(f"{name}: {problem}")
    click.echo(f"\n{len(problems)} out of step. `course notebooks` mends pages, `course notebooks"
               " --stale` runs stale ones again, `course study NAME [--vouch]` mends a record.")
    sys.exit(1)


def _report(report) -> None:
    for warning in report.warnings:
        click.echo(f"warning: {warning}")
    for name, modules in report.stale.items():
        click.echo(f"stale: {name} ran with another {', '.join(modules)}")
    if report.stale:
        click.echo("`course notebooks --stale` runs stale notebooks again.")
    if report.few_seeds:
        click.echo(f"claims tried with fewer than 5 seeds: {', '.join(report.few_seeds)}"
                   " (`course notebooks --seeds 5`)")
    for name, message in report.failed.items():
        click.echo(f"\nFAILED {name}\n{message}", err=True)
    if report.failed:
        sys.exit(1)


@click.command()
@click.argument("names", nargs=-1)
@click.option("--check", "only_check", is_flag=True,
              help="Execute and write nothing; name every page that is out of step.")
@click.option("--seeds", default=1, type=click.IntRange(1, 100), metavar="N",
              help="Execute with COURSE_SEED=0..N-1; every claim must hold with each.")
@click.option("--stale", is_flag=True, help="Execute pages again whose numbers or data have changed.")
@click.option("--force", is_flag=True,
              help="Execute the pages even if nothing has changed, and replace notebooks that were"
                   " changed by hand; a copy of those is kept in work/kept.")
@click.option("--root", type=click.Path(path_type=Path, exists=True, file_okay=False),
              help="The course's folder; by default the one around the working folder.")
def notebooks(names: tuple[str, ...], only_check: bool, seeds: int, stale: bool, force: bool,
              root: Path | None) -> None:
    """Bring notebooks/ into step with book/, executing only what has changed.

    NAMES choose pages: gradient-descent, 03-gradient-descent, or a path. Without any, all.
    """
    from course_tools.editions import find_root
    from course_tools.notebooks import Options, choose, update

    try:
        root = root.resolve() if root else find_root()
        sources = choose(root, names)
        if only_check:
            return _check(root, sources, whole=not names)
        report = update(root, sources, Options(seeds, stale, force), _passing, _lasting)
    except CourseError as error:
        raise click.ClickException(str(error)) from None
    _report(report)
