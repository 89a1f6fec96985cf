"""The `course` command on consoles and disks that are not as they should be."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from course_tools import cli

COURSE = [sys.executable, "-c", "import sys; sys.argv[0] = 'course'\n"
          "import click; from course_tools.cli import main\n"
          "main.command('say')(lambda: click.echo('\\u0159 \\u2192 \\u4e2d'))\n"
          "main()"]  # fmt: skip


@pytest.mark.parametrize("setting", [
    {"PYTHONIOENCODING": "cp1252"}, {"PYTHONIOENCODING": "gbk"}, {"PYTHONIOENCODING": "ascii"},
    {"LC_ALL": "C", "PYTHONIOENCODING": ""}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
], ids=str)  # fmt: skip
@pytest.mark.parametrize("words", [["data", "list"], ["data", "fetch", "ř→中"], ["say"]], ids=str)
def test_any_console_shows_what_a_command_says(setting, words):
    ran = subprocess.run([*COURSE, *words], capture_output=True, env={**os.environ, **setting})
    assert ran.returncode == (1 if "fetch" in words else 0), ran.stderr
    assert b"Traceback" not in ran.stderr and ran.stdout + ran.stderr


@pytest.mark.parametrize(("number", "advice"), [
    (errno.ENOSPC, "make room"), (errno.EACCES, "the right"), (errno.EROFS, "another place"),
])  # fmt: skip
def test_a_file_that_cannot_be_written_ends_a_command_in_one_sentence(number, advice):
    @click.command()
    def writes():
        raise OSError(number, os.strerror(number), "/course/notebooks/x.ipynb")

    group = cli.InWords("course", commands={"writes": writes})
    result = CliRunner().invoke(group, ["writes"])
    assert result.exit_code == 1 and advice in result.output
    assert result.output.startswith("Error: /course/notebooks/x.ipynb: ")
    assert result.output.count("\n") == 1


def test_other_errors_are_not_hidden():
    @click.command()
    def breaks():
        raise OSError(errno.EINVAL, "a fault of ours")

    group = cli.InWords("course", commands={"breaks": breaks})
    assert isinstance(CliRunner().invoke(group, ["breaks"]).exception, OSError)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a disk that is always full")
def test_a_full_disk_behind_a_redirected_list_is_one_sentence():
    with open("/dev/full", "wb") as full:
        ran = subprocess.run([*COURSE, "data", "list"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert ran.returncode and "No space left on device; make room" in ran.stderr
    assert "Traceback" not in ran.stderr
