"""In a real JupyterLab: a widget is alive, its keys its own; a notebook is saved as it was made."""

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
CELLS = ["from course_lib.widgets import DescentWidget\nw = DescentWidget()\nw",
         "print(w.learning_rate, w.start, w.steps, w.surface)",
         "w.momentum = 0.5"]


def free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder for JupyterLab; what it serves lies in work/."""
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(scope="module")
def lab(folder):
    """The address of a notebook in a JupyterLab of its own, with its own settings."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in CELLS])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    (folder / "work").mkdir()
    nbformat.write(notebook, folder / "work/widget.ipynb")
    port, token = free_port(), secrets.token_hex(16)
    own = {f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}",
               "--port-retries=0", f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={folder / 'work'}",
               "--LabApp.news_url=None",
               "--LabApp.check_for_updates_class=jupyterlab.handlers.announcements.NeverCheckForUpdate"]
    with open(folder / "log", "wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env={
            **os.environ, **own, "PYTHONPATH": os.pathsep.join(paths), "COURSE_THREADS": "1"})
    try:
        wait_for(f"http://127.0.0.1:{port}/api?token={token}", server, folder / "log")
        yield f"http://127.0.0.1:{port}/lab/tree/widget.ipynb?token={token}&reset"
    finally:
        server.terminate()
        server.wait(30)


def wait_for(address, server, log) -> None:
    """Wait until the server answers."""
    end = time.monotonic() + 90
    while time.monotonic() < end and server.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    pytest.fail("JupyterLab did not start:\n" + log.read_text()[-3000:], pytrace=False)


def run_cell(tab, number) -> None:
    tab.locator(".jp-CodeCell .cm-content").nth(number).click()
    tab.keyboard.press("Shift+Enter")


def test_keys_move_the_widget_and_python_sees_it_and_answers(lab, browser):
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    tab, complaints, foreign = context.new_page(), [], []
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("request", lambda request: foreign.append(request.url)
           if not request.url.startswith(("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:")) else None)
    tab.set_default_timeout(90_000)
    tab.goto(lab)
    tab.locator(".jp-CodeCell").nth(2).wait_for()
    tab.get_by_text("| Idle").first.wait_for()  # the kernel is there
    run_cell(tab, 0)
    rate = tab.get_by_role("slider", name="Learning rate")
    rate.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "x", "d", "d", "a", "m"):
        tab.keyboard.press(key)  # the letters are commands of JupyterLab that change cells
    assert rate.input_value() == "0.073"
    assert rate.evaluate("node => node === node.getRootNode().activeElement")
    for _ in range(3):
        tab.keyboard.press("Shift+Tab")
    tab.keyboard.press("Enter")  # one step more
    tab.get_by_role("slider", name="Starting point").focus()
    tab.keyboard.press("ArrowLeft")
    tab.keyboard.press("Shift+ArrowDown")
    assert tab.locator(".jp-CodeCell").count() == len(CELLS)
    run_cell(tab, 1)
    said = tab.locator(".jp-CodeCell").nth(1).locator(".jp-OutputArea-output")
    said.get_by_text("ravine").wait_for()
    assert said.inner_text().strip() == "0.073 (4.9, 2.0) 31 ravine"

    run_cell(tab, 2)
    tab.wait_for_function("""() => {
        const host = [...document.querySelectorAll(".jp-OutputArea *")].find((node) => node.shadowRoot);
        return host.shadowRoot.querySelector(".momentum-value").textContent === "0.50";
    }""")
    assert tab.get_by_role("slider", name="Momentum").input_value() == "0.5"
    assert tab.get_by_role("button", name="Copy link").count() == 0

    shade = """() => {
        const host = [...document.querySelectorAll(".jp-OutputArea *")].find((node) => node.shadowRoot);
        return host.dataset.theme;
    }"""
    assert tab.evaluate(shade) == "light"
    tab.evaluate("document.body.dataset.jpThemeLight = 'false'")
    tab.wait_for_function(f"({shade})() === 'dark'")
    assert complaints == [] and foreign == []
    context.close()


def test_a_notebook_that_is_opened_and_saved_stays_as_it_was_made(lab, folder, browser):
    smallest = min((ROOT / "notebooks").rglob("*.ipynb"), key=lambda path: path.stat().st_size)
    path = Path(shutil.copy(smallest, folder / "work/saved.ipynb"))
    before = json.loads(path.read_text("utf8"))
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    tab = context.new_page()
    tab.set_default_timeout(90_000)
    tab.goto(lab.replace("widget.ipynb", "saved.ipynb"))
    tab.locator(".jp-CodeCell").first.wait_for()
    tab.get_by_text("| Idle").first.wait_for()  # the kernel is there: it has said what it is
    with tab.expect_response(lambda answer: answer.request.method == "PUT"
                             and "/api/contents/saved.ipynb" in answer.url) as saved:
        tab.locator(".jp-Notebook").first.click(position={"x": 5, "y": 5})
        tab.keyboard.press("Control+s")
    assert saved.value.ok
    after = json.loads(path.read_text("utf8"))
    for one in (before, after):
        one["metadata"]["language_info"].pop("version")  # that of the Python which is here
    assert after == before
    context.close()
