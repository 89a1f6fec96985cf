"""The ``course`` command."""

from __future__ import annotations

import click

from course_tools.commands_data import data_group


@click.group()
def main() -> None:
    """Make, check and teach the course."""


main.add_command(data_group)
