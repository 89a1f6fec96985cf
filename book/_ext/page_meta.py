"""Under the title of each notebook page: where to run it, and what its last run was.

The links follow a fork: the repository is taken from COURSE_REPOSITORY, else
GITHUB_REPOSITORY, else the git remote ``origin``, else ``[tool.course] repository`` in
pyproject.toml, else ``repository.url`` in _config.yml. Colab, Binder and GitHub are linked
only where that names a repository on GitHub; the download comes from the site itself.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from urllib.parse import quote

from course_tools.editions import portable_path
from sphinx.application import Sphinx
from sphinx.config import Config
from stored_outputs import is_notebook

NAMES = {"torch": "PyTorch", "tensorflow": "TensorFlow", "keras": "Keras", "numpy": "NumPy",
         "python": "Python", "course_lib": "course_lib"}
GITHUB = re.compile(
    r"(?:(?:https?://(?:[^@/\s]+@)?|ssh://(?:[^@/\s]+@)?|git@)(?:www\.)?github\.com[:/])?"
    r"([A-Za-z0-9][\w.-]*)/([\w.-]+?)(?:\.git)?/?")


def owner_and_name(address: str) -> str:
    """``owner/name`` from an address on GitHub in any common form, or "" from anything else.

    User names, passwords and tokens in the address are dropped.
    """
    found = GITHUB.fullmatch(address.strip())
    return f"{found[1]}/{found[2]}" if found else ""


def git_remote(root: Path) -> str:
    """The address of the git remote ``origin``, or "" where there is none."""
    command = ["git", "-C", str(root), "config", "--get", "remote.origin.url"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    address = done.stdout.strip()
    return address if "github.com" in address else ""


def project_setting(root: Path) -> str:
    """``[tool.course] repository`` of pyproject.toml, or ""."""
    path = root / "pyproject.toml"
    settings = tomllib.loads(path.read_text("utf-8")) if path.exists() else {}
    return settings.get("tool", {}).get("course", {}).get("repository", "")


def find_repository(root: Path, configured: str, environ: Mapping[str, str]) -> str:
    """The first repository that is set, as ``owner/name``; "" where none is known."""
    for address in (environ.get("COURSE_REPOSITORY", ""), environ.get("GITHUB_REPOSITORY", ""),
                    git_remote(root), project_setting(root), configured):
        if address:
            return owner_and_name(address)
    return ""


def find_branch(configured: str, environ: Mapping[str, str]) -> str:
    """The branch that the links lead to."""
    if environ.get("GITHUB_REF_TYPE") == "branch" and environ.get("GITHUB_REF_NAME"):
        return environ["GITHUB_REF_NAME"]
    return configured or "main"


def take_repository(app: Sphinx, config: Config) -> None:
    """Find repository and branch once, as settings: a change of either renews the pages."""
    options = config.html_theme_options
    root = Path(app.srcdir)
    config.course_repository = find_repository(root, options.get("repository_url", ""), os.environ)
    config.course_branch = find_branch(options.get("repository_branch", ""), os.environ)
    options.pop("repository_url", None)


def run_links(notebook: str, download: str, repository: str, branch: str) -> str:
    """The links to run a notebook (its path from the project's root) as items of a list."""
    where, ref = quote(notebook), quote(branch, safe="")
    links = [f'<li><a href="{escape(download)}" download>Notebook</a></li>']
    if repository:
        colab = f"https://colab.research.google.com/github/{repository}/blob/{ref}/{where}"
        binder = f"https://mybinder.org/v2/gh/{repository}/{ref}?urlpath=lab/tree/{where}"
        github = f"https://github.com/{repository}/blob/{ref}/{where}"
        links += [f'<li><a href="{escape(address)}" rel="noopener">{text}</a></li>' for address, text in (
            (colab, "Open in Colab"), (binder, "Open in Binder"), (github, "See on GitHub"))]
    return "".join(links)


# --- what a page holds, counted ---------------------------------------------------------------

WORDS_A_MINUTE, LINES_A_MINUTE = 200, 20


def claim_count(notebook: dict) -> int:
    """How many claims a stored notebook printed as holding."""
    return sum("".join(output.get("text", "")).count("holds: ") for cell in notebook["cells"]
               if cell["cell_type"] == "code" for output in cell["outputs"])


def reading_minutes(notebook: dict) -> int:
    """Minutes to read a page, to the next five: its prose and the code that is not folded."""
    words = lines = 0
    for cell in notebook["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            words += len(text.split("## Exercises")[0].split())
            if "## Exercises" in text:
                break
        elif not ("setup" in cell["metadata"].get("tags", []) or "plots.show(" in text):
            lines += len(text.splitlines())
    minutes = words / WORDS_A_MINUTE + lines / LINES_A_MINUTE
    return max(5, 5 * round(minutes / 5))


def chips(content: dict, links: str) -> str:
    """What a reader wants to know at once: claims, time to run and to read, where to run."""
    stamp, items = content["metadata"].get("course", {}), []
    if number := claim_count(content):
        seeds = len(stamp.get("seeds", []))
        tried = f", {seeds} seed{'s' if seeds != 1 else ''}" if seeds else ""
        items.append(f'<li class="chip-claims">{number} claims hold{tried}</li>')
    if "seconds" in stamp:
        device = {"cpu": "a CPU", "cuda": "a GPU", "mps": "a GPU"}.get(stamp.get("device"), "this machine")
        items.append(f"<li>{duration(stamp['seconds'])} on {device}</li>")
    items.append(f"<li>{reading_minutes(content)} min to read</li>")
    return f'<ul class="chips" aria-label="About this page">{"".join(items)}{links}</ul>'


def duration(seconds: float) -> str:
    """Seconds in words a person would use."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min"


def seeds_in_words(seeds: list[int]) -> str:
    """``[0, 1, 2, 3, 4]`` as "seeds 0 to 4"."""
    if len(seeds) > 2 and seeds == list(range(seeds[0], seeds[-1] + 1)):
        return f"seeds {seeds[0]} to {seeds[-1]}"
    return ("seed " if len(seeds) == 1 else "seeds ") + ", ".join(map(str, seeds))


def stamp_lines(stamp: dict) -> Iterator[tuple[str, str]]:
    """What a stamp says, as pairs of a name and words; what it does not hold is left out."""
    if versions := stamp.get("versions"):
        known = [f"{NAMES.get(key, key)} {value}" for key, value in versions.items()]
        yield "Versions", ", ".join(known)
    if device := stamp.get("device"):
        threads = f", {stamp['threads']} threads" if stamp.get("threads") else ""
        name = {"cpu": "CPU", "cuda": "NVIDIA GPU", "mps": "Apple GPU"}.get(device, device)
        yield "Device", name + threads
    if scale := stamp.get("scale"):
        yield "Scale", {"quick": "quick (small enough for two cores)",
                        "full": "full (all data)"}.get(scale, scale)
    if "seconds" in stamp:
        yield "Time", duration(stamp["seconds"])
    if "peak_memory_mb" in stamp:
        yield "Memory at its peak", f"{stamp['peak_memory_mb'] / 1000:.1f} GB"
    if seeds := stamp.get("seeds"):
        yield "Claims held for", seeds_in_words(seeds)


def stamp_html(stamp: dict) -> str:
    """The stamp as one quiet line that opens to the details; "" where there is none."""
    lines = list(stamp_lines(stamp))
    if not lines:
        return ""
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in lines)
    return (f'<details class="stamp"><summary>What ran</summary>'
            f"<dl>{rows}</dl></details>")


def notebook_of(app: Sphinx, pagename: str) -> Path | None:
    """The portable edition of a page, or None where the page is prose."""
    if pagename not in app.env.found_docs:
        return None
    source = Path(app.env.doc2path(pagename))
    return Path(portable_path(source)) if is_notebook(source) else None


def place_in_chapter(app: Sphinx, pagename: str) -> str:
    """``02 Architectures · page 2 of 4`` above a page's title; "" outside a chapter."""
    includes = app.env.toctree_includes
    parent = next((name for name, below in includes.items() if pagename in below), None)
    if parent is None or not parent.endswith("/index"):
        return ""
    pages = includes[parent]
    number, title = parent.split("/")[-2][:2], app.env.titles[parent].astext()
    return (f'<p class="kicker">{number} {escape(title)} · page {pages.index(pagename) + 1}'
            f" of {len(pages)}</p>")


TITLE = re.compile(r"<h1>.*?</h1>(?:\s*<p class=\"standfirst\">.*?</p>)?", re.S)


def add_meta(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Put the page's place above its title, and chips and stamp under title and standfirst."""
    portable = notebook_of(app, pagename) if doctree is not None else None
    if portable is None:
        return
    inside = portable.relative_to(Path(app.srcdir).resolve()).as_posix()
    links = run_links(inside, context["pathto"](inside, 1),
                      app.config.course_repository, app.config.course_branch)
    content = json.loads(portable.read_text("utf-8"))
    stamp = stamp_html(content["metadata"].get("course", {}))
    block = f'<div class="page-meta">{chips(content, links)}{stamp}</div>'
    head = TITLE.search(context["body"])
    if head:
        new = f"{place_in_chapter(app, pagename)}{head[0]}\n{block}"
        context["body"] = context["body"].replace(head[0], new, 1)


def copy_notebooks(app: Sphinx, error: Exception | None) -> None:
    """Copy each portable notebook into the site, where the download link leads."""
    if error or app.builder.format != "html":
        return
    root = Path(app.srcdir).resolve()
    for portable in filter(None, (notebook_of(app, name) for name in app.env.found_docs)):
        target = Path(app.outdir) / portable.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(portable, target)


def setup(app: Sphinx) -> dict[str, object]:
    """Register the settings and the hooks."""
    app.add_config_value("course_repository", "", "html")
    app.add_config_value("course_branch", "main", "html")
    app.connect("config-inited", take_repository, priority=400)
    app.connect("html-page-context", add_meta, priority=600)
    app.connect("build-finished", copy_notebooks)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
