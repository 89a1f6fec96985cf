"""``course rosetta``: the page of differences between the frameworks, measured and checked."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from course_tools.commands_notebooks import _passing
from course_tools.errors import CourseError
from course_tools.keep import keep


@click.command()
@click.option("--check", "only_check", is_flag=True,
              help="Write nothing; say whether the page is in step, its numbers left out.")
@click.option("--force", is_flag=True,
              help="Replace a page that was changed by hand; a copy is kept in work/kept.")
@click.option("--root", type=click.Path(path_type=Path, exists=True, file_okay=False),
              help="The course's folder; by default the one around the working folder.")
def rosetta(only_check: bool, force: bool, root: Path | None) -> None:
    """Measure each row of the Rosetta table and write book/rosetta.md."""
    from course_tools import rosetta as table
    from course_tools.editions import find_root

    try:
        root = root.resolve() if root else find_root()
        path = root / table.PAGE
        changed = path.is_file() and table.by_hand(path.read_text("utf8"))
        if changed and not only_check and not force:
            raise CourseError(
                f"{table.PAGE} was changed by hand, so it stays as it is; put the change into the"
                " table's rows, or --force replaces the page and keeps yours in work/kept")
        measured = table.measure(root, _passing)
        made = table.page(root, measured)
    except CourseError as error:
        raise click.ClickException(str(error)) from None
    finally:
        _passing("")
    if not only_check:
        if changed:
            click.echo(f"yours is kept in {keep(root, path)}")
        path.write_text(table.sealed(made), "utf8")
        click.echo(f"{table.PAGE}: {len(measured)} rows measured and written")
        return
    written = path.read_text("utf8") if path.is_file() else ""
    found = table.differences(written, made)
    if not found:
        click.echo(f"{table.PAGE} is in step with its {len(measured)} rows.")
        return
    for heading in found:
        click.echo(f"{table.PAGE}: {heading}")
    click.echo(f"\n{len(found)} out of step. `course rosetta` writes the page.")
    sys.exit(1)
