"""Each notebook as Colab starts it: alone in an empty folder, the course not installed.

Colab itself cannot be had here. Its stand-in is an interpreter that sees the installed packages
(as Colab's sees torch and TensorFlow) but not the course, which must come from a local wheel.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import nbformat
import pytest

VERSION = "0.0.0+colab"  # unlike the installed one, so that pip cannot take that for it
ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]-*/*.ipynb"))
STAND_IN = "import sys, types; sys.modules['google.colab'] = types.ModuleType('google.colab')\n"
WHERE = "\nimport course_lib; print('course from', course_lib.__file__)"


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """A wheel of the course, built from a copy that holds only what git would hold."""
    copy = tmp_path_factory.mktemp("source") / "course"
    copy.mkdir()
    for name in ("course_lib", "course_tools", "studies"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    project = (ROOT / "pyproject.toml").read_text()
    assert 'version = "' in project
    lines = [f'version = "{VERSION}"' if l.startswith("version =") else l for l in project.splitlines()]
    (copy / "pyproject.toml").write_text("\n".join(lines))
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(copy / "dist"), str(copy)], check=True)
    (built,) = (copy / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="session")
def colab(tmp_path_factory):
    """A Python that sees the installed packages, but not the course."""
    folder = tmp_path_factory.mktemp("colab")
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    query = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    own = Path(subprocess.check_output([python, "-c", query], text=True).strip())
    (own / "installed.pth").write_text(sysconfig.get_paths()["purelib"])
    return python


def start(python, cells, folder, **environment):
    """Run cells in one interpreter, as a kernel would, in a folder that holds nothing else."""
    kept = {k: v for k, v in os.environ.items() if k not in ("COURSE_PACKAGE", "COURSE_REPOSITORY")}
    return subprocess.run(
        [python, "-c", STAND_IN + "\n".join(cells)],
        capture_output=True, text=True, cwd=folder, env={**kept, **environment}, timeout=300,
    )  # fmt: skip


def first_cells(path):
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert "setup" in cells[0].metadata.tags, f"{path.name}: the first code cell is not the set-up"
    return [cells[0].source, cells[1].source]


def test_there_are_notebooks():
    assert NOTEBOOKS


def test_the_stand_in_does_not_see_the_course(colab, tmp_path):
    ran = start(colab, ["import torch, course_lib"], tmp_path)
    assert "No module named 'course_lib'" in ran.stderr


def test_the_wheel_pins_nothing_and_needs_no_framework(wheel):
    import zipfile

    with zipfile.ZipFile(wheel) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith("/METADATA")]
        metadata = archive.read(name).decode()
        inside = {n.split("/")[0] for n in archive.namelist()}
    needs = [line for line in metadata.splitlines() if line.startswith("Requires-Dist")]
    assert needs and not any("torch" in n or "tensorflow" in n or "keras" in n for n in needs)
    assert not any(sign in need for need in needs for sign in "<>=~" if "extra ==" not in need)
    assert {"course_lib", "course_tools"} <= inside and not {"tests", "book"} & inside


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_starts_alone_in_an_empty_folder(path, wheel, colab, tmp_path):
    shutil.copy(path, tmp_path)
    ran = start(colab, [*first_cells(path), WHERE], tmp_path, COURSE_PACKAGE=str(wheel))
    assert ran.returncode == 0, ran.stderr
    assert "device" in ran.stdout, "the banner did not speak"
    origin = ran.stdout.split("course from ")[1].strip()
    assert Path(origin).is_relative_to(colab.parent.parent), f"not from the wheel: {origin}"


def test_with_no_address_the_cell_says_so_in_words(colab, tmp_path):
    """The address is known only where the course has a repository; without one, words."""
    source = first_cells(NOTEBOOKS[0])[0]
    lines = source.splitlines()
    (at,) = [i for i, line in enumerate(lines) if line.startswith("COURSE = (")]
    lines[at : at + 2] = ['COURSE = ""']
    ran = start(colab, ["\n".join(lines)], tmp_path)
    assert ran.returncode == 0 and "does not know where the course is kept" in ran.stdout


def test_on_an_own_machine_the_cell_does_nothing(tmp_path):
    source = first_cells(NOTEBOOKS[0])[0]
    ran = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, cwd=tmp_path,
        env={k: v for k, v in os.environ.items() if k != "COURSE_PRETEND_COLAB"},
    )  # fmt: skip
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_every_notebook_has_the_same_set_up_cell():
    assert len({first_cells(path)[0] for path in NOTEBOOKS}) == 1


def test_what_the_notebooks_store_names_no_folder_of_one_machine():
    for path in NOTEBOOKS:
        outputs = [c.get("outputs", []) for c in nbformat.read(path, 4).cells]
        assert str(ROOT) not in json.dumps(outputs), path.name
