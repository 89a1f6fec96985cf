"""Make built pages light: one stylesheet, an icon font with the icons in use, figures loaded late.

The theme's nine stylesheets are joined into one, less the rules for icons that no page names, and
the theme's icon font of 156 kB is replaced by a subset of 5 kB (``assets/fonts/icons-subset.woff``;
a test says which icon it lacks). Images below the first are loaded when they are scrolled to.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

from sphinx.application import Sphinx

SHEET = re.compile(r'\s*<link[^>]*href="([^"]*_static/([^"?]+\.css)[^"]*)"[^>]*/?>')
ICON_RULE = re.compile(r'[^{}]*\.fa-[^{}]*\{content:"[^"]*"\}')
ICON_FONT = re.compile(r'src:url\(\.\./vendor/fontawesome/webfonts/fa-[^;}]*')
ICON_NAME = re.compile(r"\bfa-[a-z0-9-]+")
URL = re.compile(r"url\((['\"]?)(?!data:|https?:|/)([^)'\"]+)\1\)")


def sheets_of(page: str) -> list[str]:
    """The stylesheets that a page loads, as paths below ``_static``, in order."""
    return [name for _, name in SHEET.findall(page)]


def moved(css: str, folder: str) -> str:
    """A stylesheet of ``_static/folder`` with its addresses as from ``_static/styles``."""
    up = "../" + (folder + "/" if folder else "")
    return URL.sub(lambda m: f"url({m[1]}{up}{m[2]}{m[1]})", css) if folder != "styles" else css


def without_unused_icons(css: str, used: set[str]) -> str:
    """Drop the rules of icons that no page names."""
    return ICON_RULE.sub(lambda m: m[0] if used & set(ICON_NAME.findall(m[0])) else "", css)


def joined(static: Path, names: list[str], used: set[str]) -> str:
    """The stylesheets as one."""
    parts = []
    for name in names:
        css = (static / name).read_text("utf-8").removeprefix("\ufeff")
        css = re.sub(r'@charset "[^"]*";|/\*# sourceMappingURL=.*?\*/', "", css)
        css = css.replace('@import "../basic.css";', (static / "basic.css").read_text("utf-8"))
        css = ICON_FONT.sub('src:url(../fonts/icons-subset.woff) format("woff")', css)
        parts.append(moved(without_unused_icons(css, used), name.rpartition("/")[0]))
    return "\n".join(parts)


def one_sheet(page: str, address: str) -> str:
    """A page that loads one stylesheet, where its first one stood."""
    first = SHEET.search(page)
    up = first[1].split("_static/")[0]
    link = f'\n<link rel="stylesheet" type="text/css" href="{up}_static/{address}" />'
    rest = SHEET.sub("", page[first.end():])
    return page[:first.start()] + link + rest


def late_images(page: str) -> str:
    """Let all images but the first of the article wait until they are scrolled to."""
    head, mark, rest = page.partition("<article")
    seen = 0

    def lazy(match: re.Match[str]) -> str:
        nonlocal seen
        seen += 1
        if seen == 1 or "loading=" in match[0]:
            return match[0]
        return match[0].replace("<img", '<img loading="lazy" decoding="async"', 1)

    return head + mark + re.sub(r"<img\b[^>]*>", lazy, rest)


MENU_TOGGLE = re.compile(r'(<a class="(?:current )?reference internal"[^>]*>)([^<]+)(</a>\s*<details[^>]*>\s*<summary)>')


def named_toggles(page: str) -> str:
    """Give each arrow of the menu, which is a picture alone, a name for screen readers."""
    return MENU_TOGGLE.sub(r'\1\2\3 aria-label="Pages of \2">', page)


def make_light(app: Sphinx, error: Exception | None) -> None:
    """Rewrite every built page."""
    if error or app.builder.format != "html":
        return
    out = Path(app.outdir)
    static = out / "_static"
    pages = {path: path.read_text("utf-8") for path in out.rglob("*.html")
             if static not in path.parents}
    used = {name for page in pages.values() for name in ICON_NAME.findall(page)}
    made: dict[tuple[str, ...], str] = {}
    for path, page in pages.items():
        names = tuple(sheets_of(page))
        if not names or names[0].startswith("styles/all-"):
            continue
        if names not in made:
            css = joined(static, list(names), used)
            made[names] = f"styles/all-{hashlib.sha256(css.encode()).hexdigest()[:12]}.css"
            (static / made[names]).write_text(css, "utf-8")
        path.write_text(late_images(named_toggles(one_sheet(page, made[names]))), "utf-8")
    current = {name for page in out.rglob("*.html") if static not in page.parents
               for name in sheets_of(page.read_text("utf-8"))}
    for sheet in (static / "styles").glob("all-*.css"):
        if f"styles/{sheet.name}" not in current:
            sheet.unlink()
    shutil.rmtree(static / "vendor/fontawesome", ignore_errors=True)


def setup(app: Sphinx) -> dict[str, object]:
    """Register the hook, after every other that writes pages."""
    app.connect("build-finished", make_light, priority=950)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
