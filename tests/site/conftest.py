"""Fixtures for the tests of the site: two built sites and a real browser.

The browser is offline: pages are handed to it from the built folder under a made-up address,
and every request for another address is refused and written down.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "book/_ext")]

import project  # noqa: E402

ADDRESS = "https://course.test/"
INSTALL = "Install chromium (apt install chromium) or run: playwright install chromium"


@dataclass
class Site:
    """A built site: its project, its pages, and how to open them in a browser."""

    folder: Path
    browser: object
    foreign: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @property
    def out(self) -> Path:
        """The folder of the built pages."""
        return self.folder / "_build/html"

    def pages(self) -> dict[str, str]:
        """The HTML of every page, by its path."""
        return project.pages_of(self.folder)

    def context(self, **options: object):
        """A fresh browser profile (its own storage) that can reach this site alone."""
        context = self.browser.new_context(**({"viewport": {"width": 1440, "height": 900}} | options))
        context.route("**/*", self.answer)
        return context

    def answer(self, route) -> None:
        """Hand out a file of the site; refuse and note everything else."""
        url = route.request.url
        if not url.startswith(ADDRESS):
            self.foreign.append(url)
            route.abort()
            return
        path = self.out / unquote(urlsplit(url).path).lstrip("/")
        path = path / "index.html" if path.is_dir() else path
        if path.is_file():
            route.fulfill(path=path)
        else:
            self.complaints.append(f"missing: {url}")
            route.fulfill(status=404, body="")

    def open(self, context, page: str):
        """Open a page in a new tab; errors on its console are noted."""
        tab = context.new_page()
        tab.on("console", lambda said: said.type in {"error", "warning"}
               and self.complaints.append(f"{page}: {said.text}"))
        tab.on("pageerror", lambda error: self.complaints.append(f"{page}: {error}"))
        tab.goto(ADDRESS + page)
        tab.wait_for_load_state("networkidle")
        return tab


@pytest.fixture(scope="session")
def browser():
    """A real browser; none is a failure, not a skip."""
    from playwright.sync_api import Error, sync_playwright

    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        try:
            chromium = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        except Error as error:
            pytest.fail(f"The site's tests need a browser. {INSTALL}\n{error}", pytrace=False)
        yield chromium
        chromium.close()


def built(folder: Path) -> Path:
    """Build a project and insist that it went well."""
    done = project.build(folder)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return folder


def once(factory, name: str, write) -> Path:
    """Write and build a project once, also where pytest runs in several processes."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return built(write(factory.mktemp(name)))
    folder = factory.getbasetemp().parent / name
    done, failed = folder / "built", folder / "not-built"
    try:
        folder.mkdir()
    except FileExistsError:
        return wait_for(folder, done, failed)
    try:
        built(write(folder))
    except BaseException:
        failed.touch()
        raise
    done.touch()
    return folder


def wait_for(folder: Path, done: Path, failed: Path) -> Path:
    """Wait until another process has built a project."""
    end = time.monotonic() + 300
    while time.monotonic() < end and not failed.exists():
        if done.exists():
            return folder
        time.sleep(0.2)
    pytest.fail(f"{folder.name}: another test process did not build it", pytrace=False)


@pytest.fixture(scope="session")
def made_up_folder(tmp_path_factory) -> Path:
    """The made-up book, built. Not to be changed."""
    return once(tmp_path_factory, "made-up", project.made_up)


@pytest.fixture(scope="session")
def real_folder(tmp_path_factory) -> Path:
    """The course itself, built in a copy. Not to be changed."""
    return once(tmp_path_factory, "real", project.real)


@pytest.fixture
def made_up(made_up_folder, browser) -> Site:
    """The made-up book in the browser."""
    return Site(made_up_folder, browser)


@pytest.fixture
def real(real_folder, browser) -> Site:
    """The course in the browser."""
    return Site(real_folder, browser)
