"""What the tests of all widgets share: a widget's page in the browser, its module, what axe says."""

from __future__ import annotations

import re
from contextlib import contextmanager
from urllib.parse import urlsplit

import numpy as np
from course_lib.widgets import base

ADDRESS = "https://course.test/"
# What a page must have, and a part of one must not repeat.
OF_PAGES = {"landmark-one-main", "page-has-heading-one", "region"}


def opened(made_up, context, page, query=""):
    """The tab with a widget's page, and the inside of its frame, drawn and known to the page."""
    tab = made_up.open(context, page)
    if query:
        tab.goto(ADDRESS + page + query)
        tab.wait_for_load_state("networkidle")
    inside = tab.frame_locator("iframe.course-widget")
    inside.locator(".copy").wait_for()  # shown once the page has answered
    return tab, inside


def said(inside) -> str:
    """The sentence that the widget shows."""
    return inside.locator(".said").inner_text()


def wait_until_said(inside, words) -> None:
    """Wait for words that stay. For words that pass, give a pattern that also fits what follows them."""
    inside.locator(".said", has_text=words).wait_for()


def stop_the_clock(tab) -> None:
    """Timers and drawings of the tab and its frames run only in `tab.clock.run_for(milliseconds)` from now on.

    The tab's clock must have been installed before it was opened (`context.clock.install()`).
    A loaded machine then cannot make a test of time fail.
    """
    tab.clock.pause_at(tab.evaluate("Date.now()") + 10_000)


def wait_for_height(tab, frame) -> None:
    """Wait until the frame is as high as what stands in it."""
    tab.locator(frame).wait_for()
    tab.frames[1].wait_for_function(
        "Math.abs(innerHeight - document.documentElement.scrollHeight) <= 1")


def wait_until_heard(tab) -> None:
    """Wait until the page has received all that its first frame has said to it so far."""
    tab.evaluate("""() => { window.heard = new Promise((done) => addEventListener(
        "message", ({ data }) => data === "all said" && done(true))); }""")
    tab.frames[1].evaluate("() => parent.postMessage('all said', '*')")
    assert tab.evaluate("() => window.heard")


def wait_until_drawn(tab) -> None:
    """Wait until the first frame has drawn what was asked of it so far. The clock must run."""
    tab.frames[1].evaluate("""() => new Promise((done) =>
        requestAnimationFrame(() => requestAnimationFrame(() => done(true))))""")


@contextmanager
def module_in_browser(browser, name, separate):
    """A page that holds a widget's module: as it is delivered, or from its two files."""
    files = {f"{name}.js": base.module_text(name)}
    if separate:
        files = {one: (base.HERE / one).read_text("utf-8") for one in ("base.js", f"{name}.js")}
    context = browser.new_context()

    def answer(route):
        text = files.get(urlsplit(route.request.url).path.lstrip("/"))
        kind = "text/javascript" if text else "text/html"
        route.fulfill(body=text or "<!doctype html>", content_type=f"{kind}; charset=utf-8")

    context.route("**/*", answer)
    tab = context.new_page()
    tab.goto(ADDRESS)
    tab.evaluate(f"async () => {{ window.module = await import('/{name}.js'); }}")
    yield tab
    context.close()


def stops(tab, most=40, look="at.getAttribute('class') || at.value || at.name"):
    """What Tab reaches inside the widget after the link above it, as ``look`` says of ``at``."""
    tab.get_by_role("link", name="Notebook", exact=True).focus()
    reached = []
    for _ in range(most):
        tab.keyboard.press("Tab")
        found = tab.frames[1].evaluate(f"""() => {{
            const at = document.getElementById("widget").shadowRoot?.activeElement;
            return document.hasFocus() && at ? {look} : "";
        }}""")
        if found:
            reached.append(found)
        elif reached:
            break
    return reached


def listen(tab) -> None:
    """Keep what is said to screen readers in ``spoken``, inside the frame."""
    tab.frames[1].evaluate("""() => {
        window.spoken = [];
        const live = document.getElementById("widget").shadowRoot.querySelector(".live");
        new MutationObserver(() => spoken.push(live.textContent)).observe(live, { childList: true });
    }""")


def faults(found) -> list[str]:
    """What axe found in a frame."""
    assert len(found.response["passes"]) > 10
    return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found.response["violations"]
            if one["id"] not in OF_PAGES]


def palettes() -> list[dict[str, str]]:
    """The colours of the light and the dark theme, by name."""
    style = (base.HERE / "base.js").read_text("utf-8").split("@media")[0]
    parts = re.split(r"data-theme=\"dark\"\]\) \.card", style)
    return [dict(re.findall(r"--(\S+): (#\w{6})", block)) for block in parts]


def luminance(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    parts = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return float(np.dot(parts, [0.2126, 0.7152, 0.0722]))


def contrast(one: str, two: str) -> float:
    low, high = sorted([luminance(one), luminance(two)])
    return (high + 0.05) / (low + 0.05)
