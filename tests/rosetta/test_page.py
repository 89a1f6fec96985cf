"""The page is made of the rows and their measurements, and stays in step with them."""

from __future__ import annotations

import dataclasses
import re

import pytest
from click.testing import CliRunner
from course_lib.parity import rosetta as rows
from course_tools import rosetta as table
from course_tools.cli import main
from measuring import Measured


@pytest.fixture(scope="session")
def committed(root) -> str:
    """The page as it stands in the book."""
    return (root / table.PAGE).read_text("utf8")


def test_the_committed_page_is_in_step(root, taken, committed):
    assert table.differences(committed, table.page(root, taken)) == []


def test_every_row_can_be_linked_and_stands_in_the_index(committed):
    assert re.findall(r"^\(rosetta-([a-z0-9-]+)\)=$", committed, re.M) == list(rows.ROWS)
    assert re.findall(r"\]\(#rosetta-([a-z0-9-]+)\)", committed) == list(rows.ROWS)
    assert re.findall(r"^### (.+)$", committed, re.M) == [r.topic for r in rows.ROWS.values()]


def run(root, taken, monkeypatch, *arguments):
    """The command, with the measurements of this run of the tests."""
    monkeypatch.setattr(
        table, "measure", lambda root, passing: {row: taken[row] for row in rows.ROWS})
    return CliRunner().invoke(main, ["rosetta", *arguments, "--root", str(root)])


def test_the_check_passes_on_the_committed_page(root, taken, monkeypatch, committed):
    result = run(root, taken, monkeypatch, "--check")
    assert result.exit_code == 0 and "in step" in result.output, result.output
    assert (root / table.PAGE).read_text("utf8") == committed


def test_the_check_names_a_row_that_has_changed(root, taken, monkeypatch):
    row = rows.ROWS["adam-epsilon"]
    changed = dataclasses.replace(row, cure="Nothing helps.")
    monkeypatch.setattr(rows, "ROWS", {**rows.ROWS, "adam-epsilon": changed})
    result = run(root, taken, monkeypatch, "--check")
    assert result.exit_code == 1 and f"{table.PAGE}: {row.topic}\n" in result.output


def test_the_command_writes_what_the_check_accepts(root, taken, monkeypatch, tmp_path):
    for page in {row.page.split("#")[0] for row in rows.ROWS.values() if row.page}:
        path = tmp_path / "book" / page
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text((root / "book" / page).read_text("utf8"), "utf8")
    assert run(tmp_path, taken, monkeypatch, "--check").exit_code == 1
    assert run(tmp_path, taken, monkeypatch).exit_code == 0
    assert run(tmp_path, taken, monkeypatch, "--check").exit_code == 0


class Other(dict):
    """Measurements with other numbers, as of another machine."""

    def __missing__(self, row):
        return Measured(123.0, None, self.taken[row].what)


def test_numbers_and_versions_are_left_out_and_words_are_not(root, taken, monkeypatch):
    made = table.page(root, taken)
    other = Other()
    other.taken = taken
    monkeypatch.setattr(table, "versions", lambda: "PyTorch 3, TensorFlow 3 and Keras 4")
    elsewhere = table.page(root, other)
    assert elsewhere != made and table.differences(made, elsewhere) == []
    assert table.differences(made.replace("(outputs)", "(losses)", 1), made) == [
        "Convolution with stride 2: the padding"]
    assert table.differences(made.replace("This page collects", "Here are"), made) == [
        "Rosetta table: what differs between the frameworks"]


@pytest.mark.parametrize("number, words", [
    (0.0, "0"), (12.2, "10"), (0.31, "0.3"), (1.0, "1"), (229, "200"), (4.72e-4, "5e-4"),
    (0.009, "0.009"), (5.02e-9, "5e-9"), (None, "no cure"), (float("inf"), "infinite")])
def test_numbers_have_one_digit(number, words):
    assert table.rounded(number) == words


def test_without_the_measurements_the_command_says_so(tmp_path):
    (tmp_path / "book").mkdir()
    result = CliRunner().invoke(main, ["rosetta", "--root", str(tmp_path)])
    assert result.exit_code == 1 and "holds no measurements" in result.output


def test_a_row_that_does_not_hold_stops_the_command(root, monkeypatch, taken):
    import measuring

    never = measuring.Measurement(lambda: Measured(0.0, 0.0, "outputs"), 1e-6, 1e-12, "")
    monkeypatch.setattr(rows, "ROWS", {"gelu": rows.ROWS["gelu"]})
    monkeypatch.setattr(measuring, "load", lambda: {"gelu": [never]})
    result = CliRunner().invoke(main, ["rosetta", "--check", "--root", str(root)])
    assert result.exit_code == 1 and "gelu: as they come they differ" in result.output
    monkeypatch.setattr(measuring, "load", lambda: {})
    result = CliRunner().invoke(main, ["rosetta", "--check", "--root", str(root)])
    assert result.exit_code == 1 and "gelu: no measurement" in result.output
