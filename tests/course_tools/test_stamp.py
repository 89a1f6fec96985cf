"""Hashes: what must change them and what must not."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest

from course_tools import editions, stamp, study
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


# --- the three kinds of input -----------------------------------------------------------------

LIBRARY = {
    "__init__": "from course_lib import runtime\n",
    "runtime": "THREADS = 1\n",
    "checks": "def check(): pass\n",
    "widgets/__init__": "from course_lib.scratch.hills import slope\n",
    "data/__init__": "from course_lib.data.loaders import load\n",
    "data/loaders": "def load(name): return 1\n",
    "scratch/__init__": "",
    "scratch/hills": "def slope(): return 1\n",
    "scratch/valleys": "DEEP = 2\n",
    "pytorch/__init__": "",
    "pytorch/models": "from course_lib.data import load\nfrom .layers import depth\n",
    "pytorch/layers": "from ..scratch import valleys\ndef depth(): return valleys.DEEP\n",
    "tensorflow/__init__": "",
    "tensorflow/models": "class TFModel: pass\n",
    "optimal/__init__": "BEST = 1\n",
}
PAGE = """
from course_lib import checks, optimal, runtime, widgets
from course_lib.data import load
from course_lib.pytorch.models import depth
digits = load("digits")
"""
REACHED = ["course_lib.optimal", "course_lib.pytorch", "course_lib.pytorch.layers",
           "course_lib.pytorch.models", "course_lib.scratch", "course_lib.scratch.valleys"]
TABLE = {"digits": {"files": ["0a"], "arrays": "1b"}, "words": {"files": ["2c"], "arrays": "3d"}}


@pytest.fixture
def library(house):
    for name, text in LIBRARY.items():
        house.write(f"course_lib/{name}.py", text)
    house.write(stamp.ARRAYS, json.dumps(TABLE))
    return house


def test_numbers_are_what_is_imported_through_others_plumbing_left_out(library):
    assert list(stamp.library_hash(library.root, PAGE)) == [*REACHED, "data/digits"]


@pytest.mark.parametrize("module", ["pytorch/models", "pytorch/layers", "scratch/valleys", "optimal/__init__"])
def test_a_changed_module_of_numbers_is_stale_whole(library, module):
    """Also where the page uses nothing of what changed, and where two imports lie between."""
    before = stamp.library_hash(library.root, PAGE)
    library.write(f"course_lib/{module}.py", LIBRARY[module] + "def unused(): return 1\n")
    name = f"course_lib.{module.replace('/', '.')}".removesuffix(".__init__")
    assert stamp.changed(before, stamp.library_hash(library.root, PAGE)) == [name]
    library.write(f"course_lib/{module}.py", f'"""Words."""\n{LIBRARY[module]}  # more\n')
    assert stamp.library_hash(library.root, PAGE) == before


@pytest.mark.parametrize("module", ["__init__", "runtime", "checks", "widgets/__init__", "data/__init__",
                                    "data/loaders", "scratch/hills", "tensorflow/models"])
def test_changed_plumbing_and_what_no_import_reaches_is_not(library, module):
    before = stamp.library_hash(library.root, PAGE)
    library.write(f"course_lib/{module}.py", "CHANGED = 1\n")
    assert stamp.library_hash(library.root, PAGE) == before


def test_with_plumbing_everything_imported_counts(library):
    found = stamp.library_hash(library.root, PAGE, plumbing=True)
    assert {name for name in found if "." in name or name == "course_lib"} == {
        f"course_lib.{name.replace('/', '.')}".removesuffix(".__init__")
        for name in LIBRARY if not name.startswith("tensorflow")}
    library.write("course_lib/widgets/hill.js", "1")
    again = stamp.library_hash(library.root, PAGE, plumbing=True)
    assert stamp.changed(found, again) == ["course_lib.widgets"]


@pytest.mark.parametrize("part", ["files", "arrays"])
def test_changed_data_are_stale_where_they_are_named(library, part):
    before = stamp.library_hash(library.root, PAGE)
    for name, found in (("words", []), ("digits", ["data/digits"])):
        changed = {**TABLE, name: {**TABLE[name], part: "ff"}}
        library.write(stamp.ARRAYS, json.dumps(changed))
        assert stamp.changed(before, stamp.library_hash(library.root, PAGE)) == found


def test_data_named_in_a_module_of_numbers_count(library):
    library.write("course_lib/scratch/valleys.py", "DEEP = 'words'\n")
    assert "data/words" in stamp.library_hash(library.root, PAGE)


def test_the_plumbing_of_the_course_is_all_there(root):
    """A name that no module bears any more would hide a room that makes numbers."""
    assert all(stamp.module_file(root, module) for module in stamp.PLUMBING)


def test_a_line_in_the_runtime_makes_no_page_and_no_record_stale(root, monkeypatch):
    pages = [editions.read_source(source) for source in editions.find_sources(root)]
    assert pages

    def all_hashes():
        return [stamp.used_hash(root, page, "page") for page in pages] + [
            study.hashes(root, path) for path in study.find_studies(root)]

    before, read = all_hashes(), Path.read_text

    def changed(path, *rest):
        return read(path, *rest) + ("\nLINE = 1\n" if path.name == WHICH[0] else "")

    monkeypatch.setattr(Path, "read_text", changed)
    for WHICH[0], same in (("runtime.py", True), ("registry.py", True), ("losses.py", False)):
        assert (all_hashes() == before) is same


WHICH = [""]
