"""Reading pages as the site reads them, finding them, and comparing editions."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from course_tools import editions
from course_tools.errors import CourseError


def notebook(*sources: str) -> nbformat.NotebookNode:
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("words"), *cells])


def test_cells_and_options_are_read_as_myst_nb_reads_them(house):
    source = house.page(
        "Words\n\n````{note}\n```{code-block} python\nx\n```\n````\n\n"
        "```{code-cell} ipython3\n:tags: [pytorch, exercise]\n:label: ex-a\n\nx = 1\n\ny = 2\n```\n")
    read = editions.read_source(source)
    assert [c.cell_type for c in read.cells] == ["markdown", "code", "markdown", "code"]
    assert read.cells[3].source == "x = 1\n\ny = 2"
    assert read.cells[3].metadata == {"tags": ["pytorch", "exercise"], "label": "ex-a"}
    assert read.metadata.source_map[3] == source.read_text().split("\n").index(
        ":tags: [pytorch, exercise]")


def test_a_page_is_read_with_the_sites_own_markdown(house):
    source = house.page(":::{note}\nOne\n:::\n")
    assert "colon_fence" in [t.type for t in editions.block_parser(house.root).parse(
        source.read_text())]
    house.write("_config.yml", "parse: {myst_enable_extensions: [dollarmath]}\n")
    assert editions.markdown_config(house.root).enable_extensions == {"dollarmath"}


@pytest.mark.parametrize(("body", "words"), [
    ("- item\n\n  ```{code-cell} ipython3\n  x\n  ```\n", "line 19: a code cell inside a list"),
    ("```{code-cell} ipython3\n:tags: [a\nx\n```\n", "could not be read"),
])
def test_a_cell_that_would_not_run_is_an_error(house, body, words):
    with pytest.raises(CourseError, match=words):
        editions.read_source(house.page(body))


def test_pages_with_code_are_found_and_prose_is_not(house):
    code = house.page("")
    house.write("book/03-hill/prose.md", "# Prose\n\n````\n```{code-cell}\nx\n```\n````\n")
    house.write("book/03-hill/_draft.md", code.read_text())
    house.write("book/_ext/03-hill/page.md", code.read_text())
    house.write("book/appendix/page.md", code.read_text())
    assert editions.find_sources(house.root) == [code]


def test_a_page_with_code_but_no_front_matter_is_refused(house):
    house.write("book/03-hill/page.md", "# Title\n\n```{code-cell} ipython3\nx\n```\n")
    with pytest.raises(CourseError, match="page.md: not a notebook"):
        editions.find_sources(house.root)


def test_paths_lead_from_one_edition_to_the_other(house):
    source = house.root / "book/03-hill/deep/page.md"
    portable = editions.portable_path(source)
    assert portable == house.root / "notebooks/03-hill/deep/page.ipynb"
    assert editions.source_path(portable, house.root) == source
    assert editions.page_name(source) == "03-hill/deep/page"
    with pytest.raises(CourseError, match="does not lie in the book"):
        editions.portable_path(Path("/elsewhere/page.md"))


def test_the_root_is_found_from_inside_and_from_elsewhere(house, tmp_path_factory, root):
    (house.root / "book/03-hill").mkdir()
    assert editions.find_root(house.root / "book/03-hill") == house.root.resolve()
    assert editions.find_root(tmp_path_factory.mktemp("elsewhere")) == root


@pytest.mark.parametrize(("portable", "found"), [
    (notebook("a", "b"), []),
    (notebook("a", "c"), ["code cell 2 differs"]),
    (notebook("a"), ["code cell 2 is missing in the portable edition"]),
    (notebook("a", "b", "c"), ["code cell 3 of the portable edition is not on the page"]),
    (notebook("b", "a"), ["code cell 1 differs", "code cell 2 differs"]),
])
def test_code_is_compared_cell_by_cell(portable, found):
    assert [str(d) for d in editions.same_code(notebook("a", "b"), portable)] == found


def test_making_and_checking_notebooks_imports_no_framework(made):
    import subprocess
    import sys

    code = ("import sys\nfrom pathlib import Path\nfrom course_tools import notebooks\n"
            f"root = Path({str(made.root)!r})\n"
            "assert notebooks.check(root, notebooks.choose(root, [])) == {}\n"
            "assert not {'torch', 'tensorflow', 'course_lib'} & set(sys.modules)")
    subprocess.run([sys.executable, "-c", code], check=True)
