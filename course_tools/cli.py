"""The ``course`` command."""

from __future__ import annotations

import click

from course_tools.commands_data import data_group
from course_tools.commands_doctor import doctor, gpu_check
from course_tools.commands_live import live_gpt
from course_tools.commands_notebooks import notebooks
from course_tools.commands_rosetta import rosetta
from course_tools.commands_study import study


@click.group()
def main() -> None:
    """Make, check and teach the course."""


main.add_command(data_group)
main.add_command(doctor)
main.add_command(gpu_check)
main.add_command(live_gpt)
main.add_command(notebooks)
main.add_command(rosetta)
main.add_command(study)
