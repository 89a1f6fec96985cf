"""``course study``: experiments too long for a page, run and recorded."""

from __future__ import annotations

from pathlib import Path

import click

from course_tools.errors import CourseError
from course_tools.keep import keep


@click.command()
@click.argument("name", required=False)
@click.option("--seeds", type=click.IntRange(3, 100), metavar="N",
              help="Run with seeds 0..N-1; by default as many as the study says.")
@click.option("--vouch", is_flag=True,
              help="Its code changed: run two rows again and keep the record if they agree.")
@click.option("--again", is_flag=True, help="Run it even if its record is in step.")
@click.option("--force", is_flag=True,
              help="Replace a record that was changed by hand; a copy is kept in work/kept.")
@click.option("--root", type=click.Path(path_type=Path, exists=True, file_okay=False),
              help="The course's folder; by default the one around the working folder.")
def study(name: str | None, seeds: int | None, vouch: bool, again: bool, force: bool,
          root: Path | None) -> None:
    """Run the study NAME (such as 03-gradient-descent/learning_rates) and record it.

    Interrupted, it goes on where it was when it is called again. Without NAME, list the studies.
    """
    from course_tools import study as studies
    from course_tools import vouch as vouching
    from course_tools.editions import find_root

    try:
        root = root.resolve() if root else find_root()
        if name is None:
            return click.echo("\n".join(studies.overview(root)))
        path = studies.choose(root, name)
        if vouch:
            note = vouching.vouch(root, path, click.echo)
            return click.echo(f"{studies.study_name(path)}: " + (
                f"vouched for, {note['compared']}" if note else "in step, nothing to vouch for"))
        record_path = path.with_suffix(".json")
        changed = studies.by_hand(record_path)
        if changed and not force:
            raise CourseError(
                f"studies/{studies.study_name(path)}.json was changed by hand, so it stays as it"
                " is; --force records the study anew and keeps a copy of yours in work/kept")
        if changed:
            click.echo(f"yours is kept in {keep(root, record_path)}")
        record = studies.run_study(root, path, seeds, click.echo, again)
    except CourseError as error:
        raise click.ClickException(str(error)) from None
    if record is None:
        click.echo(f"{studies.study_name(path)} is recorded and in step; --again runs it anew.")
    else:
        runs = sum(len(row["runs"]) for row in record["rows"])
        click.echo(f"studies/{record['study']}.json: {runs} runs, {record['seconds']:.0f} s")
