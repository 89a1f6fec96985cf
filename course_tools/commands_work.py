"""``course work``: the learner's own copies of the notebooks."""

from __future__ import annotations

from pathlib import Path

import click

from course_tools.errors import CourseError


@click.command()
@click.argument("names", nargs=-1)
@click.option("--renew", is_flag=True, help="Make the copies of NAMES afresh.")
@click.option(
    "--force",
    is_flag=True,
    help="With --renew: replace what you wrote as well; it is kept in work/kept.",
)
@click.option(
    "--root",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The course's folder; by default the one around the working folder.",
)
def work(names: tuple[str, ...], renew: bool, force: bool, root: Path | None) -> None:
    """Make a copy of each notebook to write in: work/NN-chapter/name.ipynb.

    NAMES choose notebooks: gradient-descent, 03-gradient-descent, or a path. Without any, all. A
    copy in which you wrote stays as it is; one that you only ran follows its page.
    """
    from course_tools import work as copies
    from course_tools.editions import find_root, page_name
    from course_tools.notebooks import choose

    try:
        root = root.resolve() if root else find_root()
        if renew and not names:
            raise CourseError("--renew needs the NAMES of the notebooks to make afresh")
        chosen = [page_name(source) for source in choose(root, names)]
        refused = copies.copy_all(root, chosen, renew, force, click.echo)
    except (CourseError, OSError) as error:
        raise click.ClickException(str(error)) from None
    if refused:
        raise click.ClickException("\n".join(refused))
    click.echo(f"Begin with {copies.FOLDER}/{copies.FIRST_PAGE}; `make lab` opens it.")
