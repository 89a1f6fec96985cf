"""``course data``: what the data sets are, and fetching them before a class goes offline."""

from __future__ import annotations

import click


@click.group("data")
def data_group() -> None:
    """Name, fetch and check the data sets of the course."""


@data_group.command("list")
def list_sets() -> None:
    """Say what there is: contents, source, size, licence, citation."""
    from course_lib import data

    for name, task in data.REGISTRY.items():
        click.echo(f"{task.embedded.card}\n")
        if task.full:
            click.echo(f"{task.full.card}\n(the full-size set of {name}: --full)\n")
    click.echo(f"cached in {data.cache_folder()}")


@data_group.command("fetch")
@click.argument("names", nargs=-1)
@click.option("--full", is_flag=True, help="Fetch the full-size sets.")
@click.option("--again", is_flag=True, help="Fetch again what is already cached.")
def fetch_sets(names: tuple[str, ...], full: bool, again: bool) -> None:
    """Fetch NAMES, or every set, into the cache and check each file.

    Afterwards the notebooks need no network. COURSE_CACHE names a folder that a class can share.
    """
    from course_lib import data
    from course_lib.data.archive import fetch
    from course_lib.data.registry import entry

    failed = []
    every = [name for name, task in data.REGISTRY.items() if task.full or not full]
    for name in names or every:
        try:
            found = entry(name, full)
            paths = [fetch(name, file, again) for file in found.files]
        except data.DataError as error:
            failed.append(str(error))
        else:
            for path in paths:
                size = path.stat().st_size / 1e6
                click.echo(f"{found.card.name}: {path} ({size:.1f} MB, checked)")
    if failed:
        raise click.ClickException("\n".join(failed))
