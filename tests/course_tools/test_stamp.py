"""Hashes: what must change them and what must not."""

from __future__ import annotations

import nbformat
import pytest

from course_tools import stamp
from course_tools.errors import CourseError

CODE = '''"""Docstring."""
import math


class A:
    """About A."""

    def area(self, r, unit=None):
        """About area."""
        text = f"{r:.2f} m"
        return math.pi * r**2, text, ..., b"x", -1e-3
'''


@pytest.mark.parametrize(("old", "new"), [
    ('"""Docstring."""', '"""Other."""'), ('"""Docstring."""\n', ""), ("About area", "On area"),
    ("return math", "return math  # note\\\n    "), ("import math\n", "import math  # note\n\n\n"),
    ('f"{r:.2f} m"', "f'{r:.2f} m'"),
])
def test_words_and_layout_leave_the_hash_alone(old, new):
    if "note\\\n" in new:
        new = "return (math.pi * r**2, text, ..., b'x', -1e-3)  # "
        old = "return "
    assert old in CODE
    assert stamp.source_hash(CODE.replace(old, new, 1)) == stamp.source_hash(CODE)


@pytest.mark.parametrize(("old", "new"), [
    ("r**2", "r**3"), (":.2f", ":.3f"), ("unit=None", "unit=0"), ("-1e-3", "1e-3"),
    ('b"x"', '"x"'), ("...", "None"), ("class A", "class B"), ("import math", "import cmath as math"),
    ("self, r, unit", "self, unit, r"),
])
def test_every_change_of_meaning_changes_the_hash(old, new):
    assert old in CODE
    assert stamp.source_hash(CODE.replace(old, new, 1)) != stamp.source_hash(CODE)


def test_the_hash_is_the_same_in_every_python():
    """Written down once; a Python whose syntax tree is shaped otherwise would show here."""
    assert stamp.source_hash(CODE) == "8c90b7da39a3749e"


def test_code_that_is_no_python_is_named():
    with pytest.raises(CourseError, match="page, line 2: this is no Python"):
        stamp.source_hash("x\n%time", "page")


@pytest.mark.parametrize(("code", "found"), [
    ("import course_lib.a.b as c", {"course_lib.a.b"}),
    ("from course_lib import a, b", {"course_lib", "course_lib.a", "course_lib.b"}),
    ("def f():\n    from course_lib.a import g", {"course_lib.a", "course_lib.a.g"}),
    ("importlib.import_module('course_lib.a.b')", {"course_lib.a.b"}),
    ("import numpy, course_library", set()),
    ("print('see course_lib.a for more')", set()),
])
def test_imports_are_found_in_the_text(code, found):
    assert stamp.imported(code) == found


@pytest.mark.parametrize(("code", "found"), [
    ("from . import x", "course_lib.a.x"), ("from .x import y", "course_lib.a.x"),
    ("from ..b import y", "course_lib.b"),
])
def test_relative_imports_are_followed(code, found):
    assert found in stamp.imported(code, "course_lib.a")


@pytest.mark.parametrize("file", ["registry.json", "widget.js"])
def test_packages_and_their_data_files_count(house, file):
    house.write("course_lib/data/__init__.py", "from .deep import x\n")
    house.write("course_lib/data/deep.py", "x = 1\n")
    house.write(f"course_lib/data/{file}", "{}")
    first = stamp.library_hash(house.root, "import course_lib.data")
    assert list(first) == ["course_lib", "course_lib.data", "course_lib.data.deep"]
    house.write(f"course_lib/data/{file}", "[]")
    second = stamp.library_hash(house.root, "import course_lib.data")
    assert stamp.changed(first, second) == ["course_lib.data"]


def notebook(setup="a", code="b", tags=()):
    cells = [nbformat.v4.new_code_cell(setup, metadata={"tags": ["setup"]}),
             nbformat.v4.new_code_cell(code, metadata={"tags": list(tags)})]
    return nbformat.v4.new_notebook(cells=cells)


def test_the_code_hash_leaves_the_set_up_cell_and_showing_tags_out():
    same = stamp.code_hash(notebook())
    assert stamp.code_hash(notebook(setup="other")) == same
    assert stamp.code_hash(notebook(tags=["pytorch"])) == same
    assert stamp.code_hash(notebook(code="c")) != same
    assert stamp.code_hash(notebook(tags=["raises-exception"])) != same
