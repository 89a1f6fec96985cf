"""Filled cells: what is taken from course_lib's text, and the set-up cell."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from course_tools import library
from course_tools.errors import CourseError
from course_tools.setup_cell import repository, setup_cell

MODULE = '''"""Words."""
import functools

LIMIT: int = 3
LOW, HIGH = 1, 2


# above
@functools.cache
@staticmethod
def one(x):
    r"""First \\alpha line
    that goes on.

    More.
    """
    # inside
    return f"""{x}
  kept as it is
"""


class Two(Base):
    \'\'\'
    Begins on the second line.

    More.
    \'\'\'

    size: int = 1  # shown

    def method(self):
        """Only line."""

    class Inner:
        "Ends with a quote: \\""
        x = 1
'''


def shown(name: str) -> str:
    return library.object_source(MODULE, name)


def test_a_function_comes_with_its_decorators_and_one_line_of_docstring():
    assert shown("one") == '''@functools.cache
@staticmethod
def one(x):
    r"""First \\alpha line"""
    # inside
    return f"""{x}
  kept as it is
"""'''


def test_a_class_comes_with_its_methods_docstrings_cut_everywhere():
    assert shown("Two") == """class Two(Base):
    '''Begins on the second line.'''

    size: int = 1  # shown

    def method(self):
        \"\"\"Only line.\"\"\"

    class Inner:
        "Ends with a quote: \\" "
        x = 1"""
    compile(shown("Two"), "cell", "exec")


@pytest.mark.parametrize(("name", "text"), [
    ("LIMIT", "LIMIT: int = 3"), ("HIGH", "LOW, HIGH = 1, 2"),
    ("Two.method", 'def method(self):\n    """Only line."""'),
])
def test_constants_and_methods_can_be_shown(name, text):
    assert shown(name) == text


@pytest.mark.parametrize("name", ["three", "Two.gone", "functools", "x"])
def test_an_unknown_name_is_no_object(name):
    with pytest.raises(LookupError):
        shown(name)


def test_several_names_stand_two_lines_apart(house):
    house.write("course_lib/tiny.py", MODULE)
    assert library.library_source(house.root, "course_lib.tiny: LIMIT, HIGH") == (
        "LIMIT: int = 3\n\n\nLOW, HIGH = 1, 2")


def test_a_module_that_is_no_python_is_named(house):
    house.write("course_lib/tiny.py", "def (:")
    with pytest.raises(CourseError, match="tiny.py, line 1: no Python"):
        library.library_source(house.root, "course_lib.tiny:one")


def test_filling_touches_nothing_but_the_cell(house):
    house.write("course_lib/tiny.py", 'def a():\n    return """\n```\n"""\n')
    body = ("Before  \n\n```{code-cell} ipython3\n---\ntags: [pytorch]\n"
            "library: course_lib.tiny:a\n---\nold\n\nold\n```\n\nAfter")
    source = house.page(body)
    before = source.read_text()
    assert [c.number for c in library.fill(source)] == [1, 2]
    new = 'def a():\n    return """\n```\n"""'
    head = before.replace("```{code-cell} ipython3\n:tags: [setup]\n```",
                          f"```{{code-cell}} ipython3\n:tags: [setup]\n{setup_cell(house.root)}\n```")
    expected = head.replace("```{code-cell} ipython3\n---", "````{code-cell} ipython3\n---").replace(
        "old\n\nold\n```", f"{new}\n````")
    assert source.read_text() == expected
    assert library.fill(source) == []


# --- the set-up cell ----------------------------------------------------------------------------


def run_setup(house, body: str = "", **environment: str) -> subprocess.CompletedProcess:
    """Run the set-up cell's text in a Python whose pip only says what it was asked."""
    code = ("import subprocess\nsubprocess.run = lambda command, **_: print('RUN', command[-1])\n"
            + body + setup_cell(house.root))
    kept = {k: v for k, v in os.environ.items() if not k.startswith("COURSE_")}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          env=kept | environment)


def test_locally_the_set_up_cell_does_and_prints_nothing(house):
    for environment in ({}, {"COURSE_PACKAGE": "a.whl"}):
        ran = run_setup(house, **environment)
        assert ran.stdout == ran.stderr == ""


def test_in_colab_it_installs_the_course(house, monkeypatch):
    colab = "import sys, types\nsys.modules['google.colab'] = types.ModuleType('colab')\n"
    assert "does not know where the course is" in run_setup(house, colab).stdout
    assert "RUN" not in run_setup(house, colab).stdout
    assert run_setup(house, colab, COURSE_PACKAGE="a.whl").stdout == "RUN a.whl\n"
    monkeypatch.setenv("COURSE_REPOSITORY", "https://github.com/owner/name.git")
    address = "https://github.com/owner/name/archive/refs/heads/main.zip"
    assert run_setup(house, COURSE_PRETEND_COLAB="1").stdout == f"RUN {address}\n"
    assert run_setup(house, colab, COURSE_PACKAGE="a.whl").stdout == "RUN a.whl\n"


@pytest.mark.parametrize(("given", "known"), [
    ("owner/name", "owner/name"), ("https://github.com/owner/na.me/", "owner/na.me"),
    ("git@github.com:owner/name.git", "owner/name"), ("", ""),
])
def test_the_repository_has_one_setting_with_an_override(house, monkeypatch, given, known):
    house.write("pyproject.toml", f'[tool.course]\nrepository = "{given}"\n')
    assert repository(house.root) == known
    monkeypatch.setenv("COURSE_REPOSITORY", "")
    assert repository(house.root) == ""


def test_a_repository_that_cannot_be_read_is_named(house, monkeypatch):
    monkeypatch.setenv("COURSE_REPOSITORY", "https://example.org/owner/name")
    with pytest.raises(CourseError, match="example.org.*owner/name"):
        repository(house.root)


def test_the_set_up_cell_fits_a_phone(house):
    assert max(map(len, setup_cell(house.root).split("\n"))) <= 76
    compile(setup_cell(house.root), "cell", "exec")
