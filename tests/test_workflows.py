"""The workflows fit their schema, and name only what exists here."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".github/workflows"
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text("utf-8")) for path in FOLDER.glob("*.yml")}
# Programs that a step may start besides make: what each one is for is said beside it.
OTHERS = {"docker": "runs the public image of Colab", "sudo": "removes what the runner does not need"}


def targets() -> set[str]:
    """The targets of make.py."""
    spec = importlib.util.spec_from_file_location("make", ROOT / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return set(module.TARGETS)


def steps(workflow: dict) -> list[dict]:
    """Every step of every job."""
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def commands() -> list[tuple[str, str]]:
    """Every command line of every step, with the workflow's name; continued lines are joined."""
    found = []
    for name, workflow in WORKFLOWS.items():
        for step in steps(workflow):
            joined = re.sub(r"\\\n\s*", " ", step.get("run", ""))
            found += [(name, line.strip()) for line in joined.splitlines() if line.strip()]
    return found


def check_schema(*paths: Path) -> subprocess.CompletedProcess[str]:
    """Ask check-jsonschema, offline."""
    command = [str(Path(sys.executable).with_name("check-jsonschema")),
               "--builtin-schema", "vendor.github-workflows", *map(str, paths)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_there_are_three():
    assert set(WORKFLOWS) == {"tests", "pages", "weekly-colab"}


def test_they_fit_the_schema():
    done = check_schema(*sorted(FOLDER.glob("*.yml")))
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_schema_can_refuse(tmp_path):
    wrong = tmp_path / "tests.yml"
    wrong.write_text((FOLDER / "tests.yml").read_text("utf-8").replace("runs-on:", "run-on:"))
    assert check_schema(wrong).returncode != 0


def test_each_command_names_a_target_or_a_known_program():
    known = targets()
    assert commands()
    for workflow, line in commands():
        program, *words = line.split()
        if program == "make":
            named = [word for word in words if "=" not in word]
            assert named and set(named) <= known, f"{workflow}: {line}"
        else:
            assert program in OTHERS, f"{workflow}: {line}"
        for path in re.findall(r"/repository/(\S+)", line):
            assert (ROOT / path).exists(), f"{workflow}: {path} is not in the repository"


def test_actions_have_a_major_version():
    used = [step["uses"] for workflow in WORKFLOWS.values() for step in steps(workflow) if "uses" in step]
    assert used and all(re.fullmatch(r"actions/[a-z-]+@v\d+", name) for name in used), used


def test_what_is_published_is_what_make_book_writes():
    spec = (ROOT / "make.py").read_text("utf-8")
    assert 'SITE = os.path.join(ROOT, "_build", "html")' in spec
    (upload,) = [s for s in steps(WORKFLOWS["pages"]) if "upload-pages-artifact" in s.get("uses", "")]
    assert upload["with"]["path"] == "_build/html"


def test_no_workflow_may_do_more_than_it_must():
    for name, workflow in WORKFLOWS.items():
        assert workflow["permissions"] == {"contents": "read"}, name
        for job in workflow["jobs"].values():
            assert job["timeout-minutes"] <= 180
    jobs = WORKFLOWS["pages"]["jobs"]
    assert jobs["deploy"]["permissions"] == {"pages": "write", "id-token": "write"}
    assert "permissions" not in jobs["build"]
    assert WORKFLOWS["weekly-colab"]["jobs"]["notebooks"]["permissions"]["issues"] == "write"


def test_the_tests_cover_both_ends_of_the_pythons():
    matrix = WORKFLOWS["tests"]["jobs"]["test"]["strategy"]["matrix"]
    namespace = re.search(r"OLDEST, NEWEST = \((\d), (\d+)\), \((\d), (\d+)\)", (ROOT / "make.py").read_text())
    oldest, newest = f"{namespace[1]}.{namespace[2]}", f"{namespace[3]}.{namespace[4]}"
    assert matrix["python"] == [oldest, newest]
    assert matrix["os"] == ["ubuntu-latest", "macos-latest"]


# --- the issue ------------------------------------------------------------------------------

NODE = """
const calls = [];
const context = {{repo: {{owner: 'o', repo: 'r'}}, serverUrl: 'https://github.com', runId: 7, sha: 'abc'}};
const github = {{rest: {{issues: {{
  listForRepo: async (q) => {{ calls.push(['list', q]); return {{data: {open}}}; }},
  createComment: async (q) => {{ calls.push(['comment', q]); }},
  create: async (q) => {{ calls.push(['create', q]); }},
}}}}}};
(async () => {{ {script} }})().then(() => console.log(JSON.stringify(calls)));
"""


def node() -> str:
    """A Node.js: the system's, or the one that Playwright brings."""
    from playwright._impl._driver import compute_driver_executable

    return shutil.which("node") or str(compute_driver_executable()[0])


SAME, OTHER = "{number: 3, title: 'A notebook fails in Colab'}", "{number: 2, title: 'Another'}"


@pytest.mark.parametrize(("already", "does"), [
    ("[]", "create"), (f"[{OTHER}]", "create"), (f"[{OTHER}, {SAME}]", "comment"),
])
def test_a_failure_opens_one_issue_and_then_comments_on_it(tmp_path, already, does):
    (step,) = [s for s in steps(WORKFLOWS["weekly-colab"]) if "github-script" in s.get("uses", "")]
    assert step["if"] == "failure()"
    report = tmp_path / "colab.md"
    report.write_text("1 of 2 notebooks failed")
    script = tmp_path / "script.js"
    script.write_text(NODE.format(open=already, script=step["with"]["script"]))
    done = subprocess.run([node(), str(script)], capture_output=True, text=True, check=False,
                          env={"REPORT": str(report)})
    assert done.returncode == 0, done.stderr
    (_, asked), (kind, sent) = json.loads(done.stdout)
    assert asked["state"] == "open" and kind == does
    assert sent["body"].startswith("1 of 2 notebooks failed") and "runs/7" in sent["body"]
    if does == "create":
        assert sent["title"] == "A notebook fails in Colab"
    else:
        assert sent["issue_number"] == 3


# --- the script that runs the notebooks ------------------------------------------------------


def notebook(folder: Path, name: str, *cells: str) -> None:
    """Write a notebook of code cells."""
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    path = folder / "01-made-up" / f"{name}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(made, path)


def colab(folder: Path, report: Path) -> subprocess.CompletedProcess[str]:
    """Run the script on a folder of notebooks."""
    command = [sys.executable, str(ROOT / ".ci/colab.py"), str(folder), "--report", str(report)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_script_names_what_failed_and_goes_on(tmp_path):
    alone = "import os\nassert os.listdir() == ['good.ipynb'], os.listdir()"
    notebook(tmp_path, "bad", "raise ValueError('planted')")
    notebook(tmp_path, "good", alone)
    report = tmp_path / "report.md"
    done = colab(tmp_path, report)
    assert done.returncode == 1, done.stderr
    assert "failed 01-made-up/bad.ipynb" in done.stdout and "ran    01-made-up/good.ipynb" in done.stdout
    said = report.read_text()
    assert said.startswith("1 of 2 notebooks failed") and "ValueError: planted" in said
    (tmp_path / "01-made-up/bad.ipynb").unlink()
    assert colab(tmp_path, report).returncode == 0


def test_no_notebooks_is_a_failure(tmp_path):
    done = colab(tmp_path, tmp_path / "report.md")
    assert done.returncode == 1 and "There is no notebook" in done.stderr
