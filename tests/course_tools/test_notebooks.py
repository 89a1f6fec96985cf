"""One source, two editions: what `course notebooks` executes, keeps, writes and refuses."""

from __future__ import annotations

import json

import nbformat
import pytest


def cell(code: str, *options: str) -> str:
    """A code cell in MyST; ``options`` are lines such as ``:tags: [pytorch]``."""
    return "\n".join(["```{code-cell} ipython3", *options, code, "```"]) + "\n\n"


def test_a_page_becomes_a_portable_notebook_with_a_stamp(made):
    notebook = made.notebook()
    nbformat.validate(notebook)
    assert made.outputs() == "42\n"
    assert [c.cell_type for c in notebook.cells] == ["markdown", "code", "markdown", "code"]
    assert notebook.cells[3].metadata == {"tags": ["pytorch"]}
    assert [c.execution_count for c in notebook.cells if c.cell_type == "code"] == [1, 2]
    stamp = notebook.metadata.course
    assert stamp.device == "cpu" and stamp.scale == "quick" and stamp.seeds == [0]
    assert stamp.seconds > 0 and 20 < stamp.peak_memory_mb < 2000
    assert set(stamp.library_hash) == {"course_lib.tiny"}
    assert notebook.metadata.language_info.name == "python"


def test_nothing_changed_nothing_executed_nothing_written(made, no_kernel):
    before = made.portable().stat().st_mtime_ns
    assert "unchanged" in made.course("notebooks").output
    assert made.portable().stat().st_mtime_ns == before


def test_a_forced_run_with_the_same_result_writes_nothing(made):
    before = made.portable().stat().st_mtime_ns
    assert "--force" in made.course("notebooks", "--force").output
    assert made.portable().stat().st_mtime_ns == before


def test_changed_prose_keeps_the_outputs(made, no_kernel):
    made.change("book/03-hill/descent.md", "Words.", "Other {math}`w`.")
    assert "different prose" in made.course("notebooks", "--check", fails=True).output
    assert "outputs kept" in made.course("notebooks").output
    assert made.notebook().cells[2].source == "Other $w$." and made.outputs() == "42\n"
    made.course("notebooks", "--check")


def test_changed_tags_keep_the_outputs(made, no_kernel):
    made.change("book/03-hill/descent.md", "[pytorch]", "[tensorflow]")
    assert "different prose or tags" in made.course("notebooks", "--check", fails=True).output
    made.course("notebooks")
    assert made.notebook().cells[3].metadata.tags == ["tensorflow"]


def test_a_new_title_elsewhere_changes_the_words_of_a_link(made, no_kernel):
    made.change("book/03-hill/descent.md", "Words.", "{doc}`../intro`")
    made.course("notebooks")
    made.change("book/intro.md", "# The beginning", "# The start")
    assert "different prose" in made.course("notebooks", "--check", fails=True).output
    made.course("notebooks")
    assert made.notebook().cells[2].source == "The start"


def test_changed_code_is_executed(made):
    made.change("book/03-hill/descent.md", "double(21)", "double(4)")
    report = made.course("notebooks", "--check", fails=True).output
    assert "03-hill/descent: different code: code cell 2 differs" in report
    assert "code changed" in made.course("notebooks").output
    assert made.outputs() == "8\n"


def test_a_page_without_its_edition_and_an_edition_without_its_page(made):
    made.page(cell("print(1)"), "03-hill/second")
    made.portable().rename(made.portable("03-hill/old"))
    report = made.course("notebooks", "--check", fails=True).output
    assert "03-hill/descent: there is no portable notebook" in report
    assert "03-hill/second: there is no portable notebook" in report
    assert "notebooks/03-hill/old.ipynb: no page" in report


def test_cells_added_and_removed_are_named(made):
    made.edit(lambda notebook: notebook["cells"].pop())
    report = made.course("notebooks", "--check", fails=True).output
    assert "code cell 2 is missing in the portable edition" in report


# --- by hand ------------------------------------------------------------------------------------


def _prose(notebook):
    notebook["cells"][2]["source"] = "Forged."


def _output(notebook):
    notebook["cells"][3]["outputs"][0]["text"] = "43\n"


def _tag(notebook):
    notebook["cells"][3]["metadata"]["tags"] = []


@pytest.mark.parametrize(("change", "words"), [
    (_output, "outputs were changed by hand"), (_tag, "changed by hand"),
    (lambda notebook: notebook["metadata"].pop("course"), "no stamp"),
])
def test_a_change_by_hand_is_found_and_undone(made, change, words):
    good = made.portable().read_text()
    made.edit(change)
    assert words in made.course("notebooks", "--check", fails=True).output
    made.course("notebooks")
    kept, now = json.loads(good), json.loads(made.portable().read_text())
    assert now["cells"] == kept["cells"]
    made.course("notebooks", "--check")


@pytest.mark.parametrize("change", [
    _prose, lambda notebook: notebook["cells"].pop(),
    lambda notebook: (_prose(notebook), notebook["metadata"].pop("course"))])
def test_cells_written_by_hand_are_replaced_by_force_alone(made, change):
    good = made.portable().read_text("utf8")
    made.edit(change)
    mine = made.portable().read_text("utf8")
    said = made.course("notebooks", fails=True).output
    assert "notebooks/03-hill/descent.ipynb was changed by hand" in said and "--force" in said
    assert made.portable().read_text("utf8") == mine
    assert "yours is kept in work/kept/notebooks/03-hill/descent.1.ipynb" in made.course(
        "notebooks", "--force").output
    kept = made.root / "work/kept/notebooks/03-hill/descent.1.ipynb"
    assert kept.read_text("utf8") == mine
    assert json.loads(made.portable().read_text("utf8"))["cells"] == json.loads(good)["cells"]


def test_a_damaged_notebook_is_named(made):
    made.portable().write_text("{")
    assert "cannot be read as a notebook" in made.course("notebooks", "--check", fails=True).output


# --- the library --------------------------------------------------------------------------------


def test_a_changed_library_is_stale_until_run_again_on_request(made):
    made.change("course_lib/tiny.py", "FACTOR = 2", "FACTOR = 3")
    report = made.course("notebooks", "--check", fails=True).output
    assert "03-hill/descent: stale: course_lib.tiny" in report
    assert "stale: 03-hill/descent" in made.course("notebooks").output
    assert made.outputs() == "42\n"
    made.course("notebooks", "--stale")
    assert made.outputs() == "63\n"
    made.course("notebooks", "--check")


def test_staleness_reaches_through_imports(made, no_kernel):
    made.write("course_lib/deep.py", "NUMBER = 1\n")
    made.change("course_lib/tiny.py", "FACTOR = 2", "from .deep import NUMBER\n\nFACTOR = 2 * NUMBER")
    report = made.course("notebooks", "--check", fails=True).output
    assert "course_lib.deep, course_lib.tiny changed" in report


def test_words_in_the_library_make_nothing_stale(made, no_kernel):
    made.change("course_lib/tiny.py", "A longer explanation", "A clearer explanation")
    made.change("course_lib/tiny.py", "# the formula", "# x times a factor")
    made.course("notebooks", "--check")


def test_changed_plumbing_makes_nothing_stale(made, no_kernel):
    made.change("course_lib/runtime.py", '"threads": 1', '"threads": 2')
    made.course("notebooks", "--check")


def test_a_module_that_no_page_imports_makes_nothing_stale(made, no_kernel):
    made.write("course_lib/unused.py", "NUMBER = 1\n")
    made.course("notebooks", "--check")


def test_a_study_record_that_changed_makes_its_page_stale(house):
    record = house.write("studies/03-hill/rates.json", json.dumps({"rows": [1], "band": {}}))
    house.write("studies/03-hill/rates.py", "x = 1\n")
    house.page(cell('print(open(__import__("os").environ["PYTHONPATH"].split(":")[0]'
                    ' + "/studies/" + "03-hill/rates" + ".json").read())'))
    house.course("notebooks")
    assert "stale" not in house.course("notebooks", "descent", "--check").output
    record.write_text(json.dumps({"rows": [2], "band": {}}))
    report = house.course("notebooks", "descent", "--check", fails=True).output
    assert "stale: studies/03-hill/rates.json changed" in report


# --- filled cells -------------------------------------------------------------------------------

SHOWN = '''def double(x):
    """Return twice x."""
    return FACTOR * x  # the formula'''


@pytest.fixture
def filled(house):
    house.page(cell("FACTOR = 5") + cell("", ":tags: [pytorch]",
                                         ":library: course_lib.tiny:double")
               + cell("print(double(2))"))
    report = house.course("notebooks", "--check", fails=True).output
    assert "library cell course_lib.tiny:double is not filled" in report
    assert "set-up cell is not filled" in report
    assert "filled set-up cell, library cell" in house.course("notebooks").output
    return house


def test_filled_cells_are_written_into_the_page(filled, no_kernel):
    page = (filled.root / "book/03-hill/descent.md").read_text()
    assert f":library: course_lib.tiny:double\n{SHOWN}\n```" in page
    assert "COURSE_PRETEND_COLAB" in page
    assert filled.outputs() == "10\n"
    filled.course("notebooks", "--check")


def test_a_changed_library_object_changes_the_page_and_is_executed(filled):
    filled.change("course_lib/tiny.py", "FACTOR * x  #", "FACTOR * x + 1  #")
    assert "is not filled" in filled.course("notebooks", "--check", fails=True).output
    filled.course("notebooks")
    assert filled.outputs() == "11\n"


def test_a_library_cell_changed_on_the_page_is_found_and_mended(filled, no_kernel):
    filled.change("book/03-hill/descent.md", "    return FACTOR", "    return 2 * FACTOR")
    assert "is not filled" in filled.course("notebooks", "--check", fails=True).output
    filled.course("notebooks")
    filled.course("notebooks", "--check")


def test_code_written_into_a_library_cell_is_kept(filled):
    filled.change("book/03-hill/descent.md", "    return FACTOR", "    return 2 * FACTOR")
    mine = (filled.root / "book/03-hill/descent.md").read_text()
    said = filled.course("notebooks").output
    assert "the page as it was is kept in work/kept/book/03-hill/descent.1.md" in said
    assert (filled.root / "work/kept/book/03-hill/descent.1.md").read_text() == mine
    filled.change("course_lib/tiny.py", "# the formula", "# a formula")
    said = filled.course("notebooks").output
    assert "filled library cell" in said and "kept" not in said


def test_another_address_of_the_course_executes_nothing(filled, no_kernel):
    filled.change("pyproject.toml", 'repository = ""', 'repository = "owner/name"')
    assert "set-up cell is not filled" in filled.course("notebooks", "--check", fails=True).output
    filled.course("notebooks")
    setup = filled.notebook().cells[1].source
    assert "https://github.com/owner/name/archive/refs/heads/main.zip" in setup
    assert filled.outputs() == "10\n"
    filled.course("notebooks", "--check")


@pytest.mark.parametrize(("address", "words"), [
    ("course_lib.gone:double", "there is no module course_lib.gone"),
    ("course_lib.tiny:treble", "course_lib.tiny defines no treble; it defines FACTOR, double"),
    ("numpy:array", "expected course_lib.module:Name"),
])
def test_an_unknown_library_address_names_page_and_address(house, address, words):
    house.page(cell("", f":library: {address}"))
    for arguments in ([], ["--check"]):
        report = house.course("notebooks", *arguments, fails=True).output
        assert words in report and address in report and "descent.md, code cell 2" in report


def test_a_page_without_a_set_up_cell_is_refused(house):
    house.page(cell("print(1)"))
    house.change("book/03-hill/descent.md", ":tags: [setup]", ":tags: [other]")
    assert "first code cell" in house.course("notebooks", fails=True).output


# --- failures -----------------------------------------------------------------------------------


def test_a_failing_claim_stops_and_leaves_the_notebook_as_it_was(made):
    good = made.portable().read_bytes()
    made.change("book/03-hill/descent.md", "print(tiny.double(21))",
                'print("it is 43: does not hold")\nassert tiny.double(21) == 43, "no claim"')
    report = made.course("notebooks", fails=True).output
    lines = (made.root / "book/03-hill/descent.md").read_text().split("\n")
    line = lines.index(":tags: [pytorch]") + 1
    assert (f"03-hill/descent, line {line}, code cell 2 failed with seed 0:"
            " AssertionError: no claim") in report
    assert "it is 43: does not hold" in report and "assert tiny.double(21) == 43" in report
    assert "Traceback" in report
    assert made.portable().read_bytes() == good
    assert not list(made.root.rglob("*.part"))


def test_a_failing_page_does_not_stop_the_others(made):
    made.page(cell("1 / 0"), "02-bad/first")
    made.change("book/03-hill/descent.md", "double(21)", "double(1)")
    report = made.course("notebooks", fails=True).output
    assert "ZeroDivisionError" in report
    assert made.outputs() == "2\n" and not made.portable("02-bad/first").exists()


@pytest.mark.parametrize(("code", "words"), [
    ("import warnings\nwarnings.warn('old')", "warnings or log lines"),
    ("import os\n_ = os.system('echo E0000 00:00:01.5 1 cuda.cc:1 noise >&2')",
     "warnings or log lines"),
    ("print('2026-01-01 10:00:00.1: I tensorflow/core.cc:1] rebuild')", "warnings or log lines"),
    ("print('x' * 30_000)", "prints 30,001 characters"),
    ("from IPython.display import HTML\nHTML('x' * 2_000_000)", "bytes of outputs"),
    ("from IPython.display import Image\nImage(b'\\x89PNG\\r\\n\\x1a\\n' + b'0' * 99)",
     "alternative text"),
    ("import os\nos._exit(1)", "the kernel died"),
    ("%timeit 1", "no Python"),
])
def test_what_must_not_be_stored_is_refused_with_the_cell(house, code, words):
    house.page(cell(code))
    report = house.course("notebooks", fails=True).output
    assert words in report and "03-hill/descent" in report
    assert not house.portable().exists()


def test_an_exception_shown_on_purpose_is_kept_without_this_machines_paths(house):
    house.page(cell("import json\njson.loads('{')", ":tags: [raises-exception]") + cell("print(7)"))
    house.course("notebooks")
    text = house.portable().read_text()
    assert "JSONDecodeError" in text and house.outputs() == "7\n"
    assert "lib/python/json" in text and str(house.root) not in text and "/lib/python3" not in text


def test_a_widgets_html_is_kept_without_its_address_in_the_kernel(house):
    show = ("from IPython.display import publish_display_data as show\n"
            "kind = 'application/vnd.jupyter.widget-view+json'\n")
    house.page(cell(show + "show({kind: {'model_id': '1'}, 'text/html': '<b>7</b>'}, {kind: {}})\n"
                           "show({kind: {'model_id': '2'}, 'text/plain': 'alone'})"))
    house.course("notebooks")
    notebook = nbformat.read(house.portable(), 4)
    outputs = notebook.cells[-1].outputs
    assert [set(out.data) for out in outputs] == [
        {"text/html"}, {"text/plain", "application/vnd.jupyter.widget-view+json"}]
    assert outputs[0].metadata == {} and "widgets" not in notebook.metadata


def test_an_exception_promised_and_not_raised_is_refused(house):
    house.page(cell("print(1)", ":tags: [raises-exception]"))
    assert "raised none" in house.course("notebooks", fails=True).output


def test_a_cell_that_takes_too_long_is_stopped(house):
    from course_tools import execute
    from course_tools.editions import read_source
    from course_tools.errors import CourseError

    source = house.page(cell("import time\ntime.sleep(60)"))
    with pytest.raises(CourseError, match="03-hill/descent, .*ran longer than 2 seconds"):
        execute.execute(read_source(source), "03-hill/descent", house.root, cell_seconds=2)


def test_compared_cells_that_show_a_time_are_warned_of(house):
    code = "print('took 3.2 s at', '0x7fabcdef')"
    house.page(cell(code, ":tags: [nbval-check-output]"), "03-hill/warned")
    house.page(cell(code))
    report = house.course("notebooks").output
    assert "code cell 2 is compared on other machines" in report
    assert "a time: '3.2 s'" in report and "a memory address" in report
    assert "03-hill/warned, line" in report and "descent, line" not in report


# --- what a run sees ----------------------------------------------------------------------------


def test_a_run_sees_an_empty_folder_and_a_fixed_world(house, monkeypatch):
    monkeypatch.setenv("COURSE_PRETEND_COLAB", "1")
    monkeypatch.setenv("COURSE_PACKAGE", "/nowhere.whl")
    house.page(cell("import os, sys\nprint(sorted(os.listdir('.')))\n"
                    "print([os.environ.get('COURSE_' + n) for n in ('SEED', 'SCALE', 'PACKAGE')])\n"
                    "print(hash('a') == hash('a'), os.environ['PYTHONHASHSEED'])\n"
                    "print('\\rhalf\\rdone')\nprint('more')"))
    house.course("notebooks")
    assert house.outputs() == ("['descent.ipynb']\n['0', 'quick', None]\nTrue 0\ndone\nmore\n")


def test_every_seed_must_hold_and_stands_in_the_stamp(made):
    made.change("book/03-hill/descent.md", "print(tiny.double(21))",
                'import os\nseed = int(os.environ["COURSE_SEED"])\nprint(tiny.double(seed))')
    made.course("notebooks", "--seeds", "3")
    assert made.notebook().metadata.course.seeds == [0, 1, 2] and made.outputs() == "0\n"
    assert "unchanged" in made.course("notebooks", "--seeds", "2").output
    made.course("notebooks", "--force")
    assert made.notebook().metadata.course.seeds == [0, 1, 2], "the same code was tried with these"
    good = made.portable().read_bytes()
    made.change("book/03-hill/descent.md", "print(tiny.double(seed))",
                "assert seed < 2, f'seed {seed}'")
    report = made.course("notebooks", "--seeds", "4", fails=True).output
    assert "failed with seed 2" in report and "failed with seed 3" in report
    assert "failed with seed 1" not in report
    assert made.portable().read_bytes() == good
    made.change("book/03-hill/descent.md", "assert seed < 2, f'seed {seed}'", "print(seed)")
    made.course("notebooks")
    assert made.notebook().metadata.course.seeds == [0], "other code was tried with no other seed"


def test_a_page_over_its_budget_is_warned_of(made, monkeypatch):
    monkeypatch.setattr("course_tools.notebooks.SECONDS_DEFAULT", 0.0)
    monkeypatch.setattr("course_tools.notebooks.MEMORY_BUDGET_MB", 1.0)
    report = made.course("notebooks", "--force").output
    assert "its budget is 0 s" in report and "its budget is 1 MB" in report


def test_ids_come_from_the_content(made):
    ids = [c.id for c in made.notebook().cells]
    assert len(set(ids)) == len(ids)
    made.portable().unlink()
    made.course("notebooks")
    assert [c.id for c in made.notebook().cells] == ids
    made.change("book/03-hill/descent.md", "Words.", "Words.\n\n" + cell("x = 1") + cell("x = 1"))
    made.course("notebooks")
    new = [c.id for c in made.notebook().cells]
    assert len(set(new)) == len(new) and set(ids) <= set(new)
    made.portable().unlink()
    made.course("notebooks")
    assert [c.id for c in made.notebook().cells] == new


@pytest.mark.parametrize("name", ["descent", "03-hill", "03-hill/descent",
                                  "book/03-hill/descent.md", "notebooks/03-hill/descent.ipynb"])
def test_a_page_is_chosen_by_any_of_its_names(made, no_kernel, name):
    made.page(cell("print(1)"), "04-other/page")
    assert "descent: unchanged" in made.course("notebooks", name).output


def test_an_unknown_page_lists_the_pages(made):
    report = made.course("notebooks", "ascent", fails=True).output
    assert "no page 'ascent'" in report and "03-hill/descent" in report
