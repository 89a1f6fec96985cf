"""A page imports public names only: what it shows, a reader can import too."""

import ast
from pathlib import Path

import pytest

from course_tools import editions

PAGES = editions.find_sources(Path(__file__).resolve().parents[2])


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_a_page_imports_no_private_name(page):
    cells = [c for c in editions.read_source(page).cells if c.cell_type == "code"]
    imports = [node for cell in cells for node in ast.walk(ast.parse(cell.source))
               if isinstance(node, ast.ImportFrom)]
    assert imports
    names = {alias.name for node in imports if node.module != "__future__" for alias in node.names}
    assert not {name for name in names if name.startswith("_")}
