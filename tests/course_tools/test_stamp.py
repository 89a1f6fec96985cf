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
    first = stamp.library_hash(house.root, "import course_lib.data\nprint(course_lib.data.x)")
    assert list(first) == ["course_lib", "course_lib.data", "course_lib.data.deep"]
    house.write(f"course_lib/data/{file}", "[]")
    second = stamp.library_hash(house.root, "import course_lib.data\nprint(course_lib.data.x)")
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


# --- what a page reaches ----------------------------------------------------------------------

MODELS = """
import numpy as np
from course_lib.data import photos, words

SIZES = (1, 2)

class Small:
    def run(self, x):
        return _halve(x)

class Large:
    def run(self, x):
        return x * SIZES[1]

def _halve(x):
    return np.divide(x, 2)

if SIZES:
    SIZES = SIZES[:1]
"""


def hashes(house, models, page="from course_lib import models\nmodels.Small().run(1)"):
    house.write("course_lib/models.py", models)
    return stamp.library_hash(house.root, page)


@pytest.fixture
def models(house):
    house.write("course_lib/__init__.py", "")
    house.write("course_lib/data/__init__.py", "")
    house.write("course_lib/data/photos.py", "def load(): return 1\n")
    house.write("course_lib/data/words.py", "def load(): return 2\n")
    return house


@pytest.mark.parametrize(("old", "new"), [
    ("_halve(x)\n\n", "_halve(x) + 1\n\n"), ("np.divide(x, 2)", "np.divide(x, 3)"),
    ("import numpy as np", "import cupy as np"), ("SIZES[:1]", "SIZES[1:]"),
])
def test_a_definition_in_use_counts_and_what_it_calls(models, old, new):
    assert old in MODELS
    before, after = hashes(models, MODELS), hashes(models, MODELS.replace(old, new))
    assert stamp.changed(before, after) == ["course_lib.models"]


@pytest.mark.parametrize(("old", "new"), [
    ("x * SIZES[1]", "x * SIZES[0]"), ("class Large", "class Huge"),
    ("def _halve", "def _new(): return 1\n\ndef _halve"), ("photos, words", "words"),
])
def test_a_definition_out_of_use_does_not(models, old, new):
    assert old in MODELS
    assert hashes(models, MODELS) == hashes(models, MODELS.replace(old, new))


def test_a_module_counts_once_a_name_in_use_imports_it(models):
    assert "course_lib.data.photos" not in hashes(models, MODELS)
    used = MODELS.replace("np.divide(x, 2)", "photos.load()")
    assert "course_lib.data.photos" in hashes(models, used)
    assert "course_lib.data.words" not in hashes(models, used)


REGISTERED = """
from course_lib.data import photos, words
REGISTRY = {"photos": photos.load, "words": words.load}
def get(name): return REGISTRY[name]
"""


@pytest.mark.parametrize(("page", "reached"), [
    ("get('photos')", {"photos"}), ("get('words'); get('photos')", {"photos", "words"}),
    ("get(name)", {"photos", "words"}),
])
def test_of_the_registry_the_named_entries_count(models, page, reached):
    models.write("course_lib/data/registry.py", REGISTERED)
    found = stamp.library_hash(models.root, f"from course_lib.data.registry import get\n{page}")
    assert {name.rpartition(".")[2] for name in found} == {"course_lib", "data", "registry", *reached}


def test_a_file_that_only_unused_code_names_does_not_count(models):
    for name in ("a", "b"):
        models.write(f"course_lib/{name}.js", "1")
        models.write(f"course_lib/{name}_widget.py", f"def show(): return '{name}'\n")
    page = "from course_lib.a_widget import show\nshow()"
    before = stamp.library_hash(models.root, page)
    models.write("course_lib/b.js", "2")
    assert stamp.library_hash(models.root, page) == before
    models.write("course_lib/a.js", "2")
    assert stamp.changed(before, stamp.library_hash(models.root, page)) == ["course_lib"]
