"""The ``course`` command."""

from __future__ import annotations

import errno
import sys

import click

from course_tools.commands_data import data_group
from course_tools.commands_doctor import doctor, gpu_check
from course_tools.commands_live import live_gpt
from course_tools.commands_notebooks import notebooks
from course_tools.commands_rosetta import rosetta
from course_tools.commands_study import study
from course_tools.commands_work import work


ADVICE = {  # what can be wrong with any file that a command touches
    errno.ENOSPC: "make room on that disk",
    errno.EDQUOT: "make room on that disk",
    errno.EACCES: "give yourself the right to it",
    errno.EPERM: "give yourself the right to it",
    errno.EROFS: "choose another place",
}


class InWords(click.Group):
    """A full disk or a file that may not be touched ends any command in one sentence."""

    def invoke(self, ctx: click.Context):
        try:
            return super().invoke(ctx)
        except OSError as error:
            if error.errno not in ADVICE:
                raise
            where = f"{error.filename}: " if error.filename else ""
            raise click.ClickException(f"{where}{error.strerror}; {ADVICE[error.errno]}") from None


@click.group(cls=InWords)
def main() -> None:
    """Make, check and teach the course."""
    for stream in (sys.stdout, sys.stderr):  # any console can show every sign, if only as \u2026
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


main.add_command(data_group)
main.add_command(doctor)
main.add_command(gpu_check)
main.add_command(live_gpt)
main.add_command(notebooks)
main.add_command(rosetta)
main.add_command(study)
main.add_command(work)
