"""Runs every notebook as Colab starts it: alone in an empty folder. For the public image of Colab.

    python3 .ci/colab.py notebooks --report report.md

Needs Jupyter's nbconvert, which the image has, and nothing of the course: each notebook's first
cell installs that. Ends with 1 if a notebook failed; the report says which, and why.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

LAST_LINES = 25
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def run(path: Path, seconds: int) -> str:
    """Execute one notebook in an empty folder; return what went wrong, or ""."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(path, folder)
        command = [sys.executable, "-m", "jupyter", "nbconvert", "--to", "notebook", "--execute"]
        command += [f"--ExecutePreprocessor.timeout={seconds}", "--output", "done.ipynb", path.name]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode == 0 and (Path(folder) / "done.ipynb").exists():
            return ""
        said = (done.stdout + done.stderr).strip() or f"nbconvert ended with {done.returncode}"
        return "\n".join(COLOURS.sub("", said).splitlines()[-LAST_LINES:])


def write(report: Path, failed: dict[str, str], count: int) -> None:
    """The report, as Markdown for an issue."""
    lines = [f"{len(failed)} of {count} notebooks failed in the public image of Colab."]
    for name, said in failed.items():
        lines += ["", f"**{name}**", "", "```text", said.replace("```", "'''"), "```"]
    report.write_text("\n".join(lines) + "\n", "utf-8")


def main() -> int:
    """Run them all, also after a failure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="the folder that holds NN-chapter/name.ipynb")
    parser.add_argument("--report", type=Path, default=Path("colab.md"), help="where to write what failed")
    parser.add_argument("--timeout", type=int, default=600, help="seconds for one cell")
    chosen = parser.parse_args()
    paths = sorted(chosen.folder.glob("[0-9][0-9]-*/*.ipynb"))
    if not paths:
        chosen.report.write_text(f"There is no notebook under {chosen.folder}.\n", "utf-8")
        print(f"There is no notebook under {chosen.folder}; give the folder notebooks/", file=sys.stderr)
        return 1
    failed = {}
    for path in paths:
        name = path.relative_to(chosen.folder).as_posix()
        said = run(path, chosen.timeout)
        print(f"{'failed' if said else 'ran':6} {name}", flush=True)
        if said:
            failed[name] = said
            print(said, flush=True)
    write(chosen.report, failed, len(paths))
    if os.environ.get("GITHUB_STEP_SUMMARY"):
        with open(os.environ["GITHUB_STEP_SUMMARY"], "a", encoding="utf-8") as summary:
            summary.write(chosen.report.read_text("utf-8"))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
