"""Turn a page's MyST Markdown into plain Markdown, which any notebook program shows well.

What is understood stands in ``DIRECTIVES`` and ``ROLES``; anything else is an error that names
page and line. Blocks are found with the site's own Markdown parser, so that code is never touched.
"""

from __future__ import annotations

import base64
import copy
import difflib
import mimetypes
import os
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from html.parser import HTMLParser
from pathlib import Path

import nbformat
from docutils.parsers.rst.directives.misc import TestDirective
from markdown_it.token import Token
from myst_parser.parsers.directives import parse_directive_text
from nbformat import NotebookNode

from course_tools import editions
from course_tools.browser_model import about_sample, read_record
from course_tools.errors import CourseError
from course_tools.setup_cell import repository

MOST_IMAGE = 500_000  # bytes; a larger picture is left out, its words stay
ADMONITIONS = {
    "note": "Note", "tip": "Tip", "hint": "Hint", "important": "Important", "warning": "Warning",
    "caution": "Caution", "attention": "Attention", "danger": "Danger", "error": "Error",
    "seealso": "See also", "margin": "", "sidebar": "", "admonition": "", "topic": "",
}
CODE = ("code-block", "code", "sourcecode")
DIRECTIVES = ("math", "exercise", "solution", "figure", "image", "dropdown", "table",
              "bibliography", "live-gpt", *CODE, *ADMONITIONS)
ROLES = ("eq", "cite", "cite:p", "cite:t", "doc", "ref", "term", "math", "sub", "sup", "kbd",
         "abbr")
# What the parser may find that no notebook program shows, and what to write in its place.
STRANGERS = {
    "amsmath": "write $$ … $$ (label) around the formula",
    "substitution_block": "write the words out", "substitution_inline": "write the words out",
    "footnote_ref": "put the footnote's words into the text",
    "footnote_reference_open": "put the footnote's words into the text",
    "dl_open": "use a list", "field_list_open": "use a list",
    "span_open": "leave the braces out", "myst_block_break": "leave the +++ out",
}
PLAIN_TAGS = set("a abbr b br code dd del details dl dt em hr i ins kbd li mark ol p pre q s samp"
                 " small strong sub summary sup table tbody td th thead tr u ul var".split())
PLAIN_ATTRIBUTES = {"href", "title", "open", "colspan", "rowspan", "lang", "dir", "start", "align"}
ANYWHERE = ("http://", "https://", "mailto:")


@dataclass(frozen=True)
class Place:
    """Something that a label names: on which page, of which kind, in which words."""

    page: Path
    kind: str  # "equation", "heading", "exercise", "figure", "place"
    title: str = ""
    number: int = 0


@dataclass(frozen=True)
class Directive:
    """A directive as written: its name, argument, options, body, and the body's first line."""

    name: str
    argument: str
    options: dict[str, str]
    body: str
    offset: int


def directive_of(token: Token) -> Directive | None:
    """Return the directive that a fence holds, or None for a plain fence."""
    match = re.match(r"\{([\w:-]+)\}\s*(.*)", token.info.strip())
    if token.type not in ("fence", "colon_fence") or match is None:
        return None
    read = parse_directive_text(TestDirective, match[2], token.content)
    options = {name: value or "" for name, value in read.options.items()}
    return Directive(match[1], " ".join(read.arguments), options, "\n".join(read.body),
                     read.body_offset)


def _slug(title: str) -> str:
    """Return the anchor that the site gives to a heading."""
    return re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")


# --- the book as a whole ------------------------------------------------------------------------


class Book:
    """What pages say of each other: titles, labels, references, addresses. Read once a run."""

    def __init__(self, root: Path):
        self.root = root.resolve()
        self.parser = editions.block_parser(self.root)
        self.titles: dict[Path, str] = {}
        self.labels: dict[str, Place] = {}
        self.slugs: dict[tuple[Path, str], str] = {}
        self.notebooks: set[Path] = set()
        for path in editions.all_pages(self.root):
            self._read(path.resolve())

    def _read(self, path: Path) -> None:
        text = path.read_text("utf8")
        if editions.is_notebook(text):
            self.notebooks.add(path)
        self._count, self._pending = 0, []
        self._collect(path, text)

    def _name(self, label: str, place: Place, path: Path) -> None:
        old = self.labels.get(label)
        if old is not None and old != place:
            raise CourseError(f"the label {label!r} stands on {old.page} and on {path}; labels are"
                              " unique in the whole book")
        self.labels[label] = place

    def _equation(self, label: str, path: Path) -> None:
        self._count += 1
        self._name(label, Place(path, "equation", number=self._count), path)

    def _collect(self, path: Path, text: str) -> None:
        tokens = self.parser.parse(text + "\n")
        for token, following in zip(tokens, [*tokens[1:], None]):
            if token.type == "myst_target":
                self._pending.append(token.content)
                continue
            if token.type == "math_block_label":
                self._equation(token.info, path)
            elif token.type == "heading_open":
                title = following.content.strip()
                self.titles.setdefault(path, title)
                self.slugs[path, _slug(title)] = title
                self._settle(path, "heading", title)
            elif directive := directive_of(token):
                self._collect_directive(path, directive)
            if token.type in ("fence", "colon_fence", "paragraph_open", "math_block_label"):
                self._settle(path, "place", "")

    def _settle(self, path: Path, kind: str, title: str) -> None:
        for label in self._pending:
            self._name(label, Place(path, kind, title), path)
        self._pending = []

    def _collect_directive(self, path: Path, directive: Directive) -> None:
        label = directive.options.get("label") or directive.options.get("name")
        if directive.name == "math" and label:
            self._equation(label, path)
        elif directive.name == "exercise" and label:
            self._name(label, Place(path, "exercise", directive.argument), path)
        elif directive.name in ("figure", "table", "dropdown"):
            title = directive.argument
            if directive.name == "figure":
                title = directive.body.strip().split("\n")[0]
            self._settle(path, "figure", title)
            if label:
                self._name(label, Place(path, "figure", title), path)
        if directive.name not in (*CODE, "math", "code-cell", "raw", "bibliography", "glossary"):
            self._collect(path, directive.body)

    @cached_property
    def references(self):
        """Return the entries of ``book/references.bib`` by key."""
        from pybtex.database import parse_file

        path = self.root / "book" / "references.bib"
        return parse_file(str(path), "bibtex").entries if path.is_file() else {}

    @cached_property
    def website(self) -> str:
        """Return the website's address: COURSE_WEBSITE, or [tool.course] website, or ""."""
        path = self.root / "pyproject.toml"
        project = tomllib.loads(path.read_text("utf8")) if path.is_file() else {}
        stored = project.get("tool", {}).get("course", {}).get("website", "")
        return os.environ.get("COURSE_WEBSITE", stored).strip().rstrip("/")

    @cached_property
    def repository(self) -> str:
        """Return the repository as ``owner/name``, or ""."""
        return repository(self.root)


# --- one page -----------------------------------------------------------------------------------


@dataclass
class _Page:
    """What is gathered while one page is turned: the level of headings, pictures, citations."""

    path: Path
    book: Book
    level: int = 1
    cited: list[str] = field(default_factory=list)
    attachments: dict[str, dict[str, str]] = field(default_factory=dict)
    has_bibliography: bool = False

    def wrong(self, line: int, words: str) -> CourseError:
        return CourseError(f"{self.path}, line {line}: {words}")


BIBLIOGRAPHY = "\ue000bibliography\ue000"


def _blocks(page: _Page, text: str, line: int) -> str:
    """Turn a piece of Markdown that begins at ``line`` of the page's file."""
    lines = text.split("\n")
    pieces: list[tuple[int, int, list[str]]] = []
    inline: list[tuple[int, int]] = []
    for token in page.book.parser.parse(text):
        if token.map is None:
            continue
        start, end = token.map
        here = line + start
        if token.type in STRANGERS:
            raise page.wrong(here, f"{_kind(token.type)} cannot be shown in a notebook;"
                                   f" {STRANGERS[token.type]}")
        if token.type in ("myst_target", "myst_line_comment"):
            pieces.append((start, end, []))
        elif token.type in ("math_block", "math_block_label"):
            pieces.append((start, end, _formula(page, token, lines, here)))
        elif token.type in ("fence", "colon_fence"):
            if directive := directive_of(token):
                pieces.append((start, end, _nested(page, token, directive, lines, here)))
        elif token.type == "html_block":
            _plain_html(page, token.content, here)
        elif token.type == "heading_open":
            page.level = int(token.tag[1])
        elif token.type == "table_open":
            inline.append((start, end))
        elif token.type == "inline":
            _look_inside(page, token, here)
            if not inline or start >= inline[-1][1]:
                inline.append((start, max(end, start + 1)))
    for start, end in inline:
        turned = _inline(page, "\n".join(lines[start:end]), line + start)
        pieces.append((start, end, turned.split("\n")))
    for start, end, new in sorted(pieces, key=lambda piece: piece[0], reverse=True):
        lines[start:end] = new
    return "\n".join(lines).strip("\n")


def _kind(token_type: str) -> str:
    return {"dl_open": "a definition list", "field_list_open": "a field list",
            "amsmath": "a bare \\begin{…} block", "span_open": "text with attributes",
            "myst_block_break": "a block break"}.get(
        token_type, "a footnote" if "footnote" in token_type else "a substitution")


def _nested(page: _Page, token: Token, directive: Directive, lines: list[str],
            here: int) -> list[str]:
    """Turn a directive, with the indentation of the list that it may stand in."""
    first = lines[token.map[0]]
    indent = first[: first.index(token.markup)] if token.markup in first else ">"
    if indent.strip():
        raise page.wrong(here, f"the directive {{{directive.name}}} stands in a quotation or on a"
                               " list mark's own line; put it into its own block")
    new = _directive(page, directive, here)
    return [indent + text if text else "" for text in new.split("\n")]


# --- formulas -----------------------------------------------------------------------------------


def _several_lines(formula: str) -> str:
    """Wrap a formula with bare line breaks as the site does, which notebooks would drop."""
    if r"\\" in formula and r"\begin{" not in formula:
        return "\\begin{split}\n" + formula + "\n\\end{split}"
    return formula


def _display(formula: str, number: int) -> str:
    formula = _several_lines(formula.strip("\n"))
    if "\n\n" in formula or re.search(r"\n\s*\n", formula):
        formula = re.sub(r"\n\s*\n", "\n", formula)
    return f"$$\n{formula}\n" + (f"\\tag{{{number}}}\n" if number else "") + "$$"


def _formula(page: _Page, token: Token, lines: list[str], here: int) -> list[str]:
    first = lines[token.map[0]]
    indent = first[: first.index("$$")]
    if indent.strip():
        raise page.wrong(here, "a displayed formula in a quotation; put it into its own block")
    number = 0
    if token.type == "math_block_label":
        number = page.book.labels[token.info].number
    body = "\n".join(text.strip() for text in token.content.strip("\n").split("\n"))
    return [indent + text for text in _display(body, number).split("\n")]


# --- directives ---------------------------------------------------------------------------------


def _directive(page: _Page, directive: Directive, here: int) -> str:
    name = directive.name
    below = here + 1 + directive.offset
    turn: dict[str, Callable[[], str]] = {
        "math": lambda: _math(page, directive),
        "exercise": lambda: _exercise(page, directive, here, below),
        "solution": lambda: _folded(page, "Solution", directive.body, below),
        "dropdown": lambda: _folded(
            page, _inline(page, directive.argument, here), directive.body, below),
        "figure": lambda: _figure(page, directive, here, below),
        "image": lambda: _figure(page, directive, here, below),
        "table": lambda: _table(page, directive, here, below),
        "bibliography": lambda: _bibliography(page),
        "live-gpt": lambda: _live_gpt(page, here),
        **dict.fromkeys(CODE, lambda: _code(directive)),
        **dict.fromkeys(ADMONITIONS, lambda: _admonition(page, directive, here, below)),
    }
    if name not in turn:
        raise page.wrong(here, f"the directive {{{name}}} is unknown to the portable edition; it"
                               f" knows {', '.join(sorted(DIRECTIVES))}"
                               + _near(name, DIRECTIVES))
    return turn[name]()


def _near(word: str, known) -> str:
    close = difflib.get_close_matches(word, list(known), 1)
    return f". Did you mean {close[0]}?" if close else ""


def _math(page: _Page, directive: Directive) -> str:
    label = directive.options.get("label") or directive.options.get("name")
    body = "\n".join(filter(None, [directive.argument, directive.body]))
    return _display(body, page.book.labels[label].number if label else 0)


def _exercise(page: _Page, directive: Directive, here: int, below: int) -> str:
    title = _inline(page, directive.argument, here)
    heading = "#" * min(page.level + 1, 6)
    words = f"Exercise: {title}" if title else "Exercise"
    return f"{heading} {words}\n\n{_blocks(page, directive.body, below)}"


def _folded(page: _Page, title: str, body: str, below: int) -> str:
    inside = _blocks(page, body, below)
    return f"<details>\n<summary>{title}</summary>\n\n{inside}\n\n</details>"


def _quoted(text: str) -> str:
    return "\n".join(("> " + line).rstrip() for line in text.split("\n"))


def _admonition(page: _Page, directive: Directive, here: int, below: int) -> str:
    given, body = directive.argument, directive.body
    if ADMONITIONS[directive.name] and given:  # {note} takes its first line as text
        given, body, below = "", f"{given}\n{body}".strip("\n"), here
    title = ADMONITIONS[directive.name] or _inline(page, given, here)
    inside = _blocks(page, body, below)
    return _quoted(f"**{title}**\n\n{inside}" if title else inside)


def _code(directive: Directive) -> str:
    ticks = max([len(run) for run in re.findall(r"`{3,}", directive.body)], default=2) + 1
    caption = directive.options.get("caption")
    head = f"*{caption}*\n\n" if caption else ""
    return f"{head}{'`' * ticks}{directive.argument}\n{directive.body}\n{'`' * ticks}"


def _table(page: _Page, directive: Directive, here: int, below: int) -> str:
    title = _inline(page, directive.argument, here)
    return (f"**{title}**\n\n" if title else "") + _blocks(page, directive.body, below)


def _bibliography(page: _Page) -> str:
    page.has_bibliography = True
    return BIBLIOGRAPHY


def _live_gpt(page: _Page, here: int) -> str:
    """The recorded sample; the model itself writes on the website alone."""
    try:
        record = read_record(page.book.root / "book/assets/gpt")
    except (OSError, ValueError) as error:
        raise page.wrong(here, f"the record of the packed model cannot be read: {error}") from None
    inside = page.path.relative_to(page.book.root).with_suffix(".html").as_posix()
    there = f"{page.book.website}/{inside}#live-gpt" if page.book.website else ""
    sample = (record["start"] + record["sample"]).strip("\n")
    return (f"{about_sample(record)}\n\n```text\n{sample}\n```\n\n"
            f"The model itself writes on {_linked('the website', there)}, in your browser.")


def _figure(page: _Page, directive: Directive, here: int, below: int) -> str:
    alt = directive.options.get("alt", "").strip()
    picture = _picture(page, directive.argument, alt, here)
    caption = _blocks(page, directive.body, below) if directive.name == "figure" else ""
    first, _, rest = caption.partition("\n\n")
    shown = f"\n\n*{first}*" if first and "*" not in first else f"\n\n{first}" if first else ""
    return picture + shown + (f"\n\n{rest}" if rest else "")


def _picture(page: _Page, address: str, alt: str, here: int) -> str:
    """Return Markdown for a picture: attached to the cell, or in words where it is too large."""
    if not alt:
        raise page.wrong(here, f"the picture {address} has no alternative text (:alt: …)")
    if address.startswith(ANYWHERE):
        raise page.wrong(here, f"the picture {address} lies on another host; keep it in book/")
    path = _local(page, address)
    if path is None or not path.is_file():
        raise page.wrong(here, f"there is no picture {address}")
    kind = mimetypes.guess_type(path.name)[0] or ""
    content = path.read_bytes()
    if len(content) > MOST_IMAGE or not kind.startswith("image/"):
        return f"*(Picture, on the website: {alt})*"
    page.attachments[path.name] = {kind: base64.b64encode(content).decode()}
    words = re.sub(r"([\[\]])", r"\\\1", alt)
    return f"![{words}](attachment:{path.name})"


# --- inline text --------------------------------------------------------------------------------

INLINE = re.compile(r"""
    (?P<escape>\\[^\n])
  | \{(?P<role>[\w+:-]+)\}(?P<ticks>`+)(?P<content>(?s:.+?))(?P=ticks)
  | (?P<code>(?<!`)(?P<fence>`+)(?!`)(?s:.*?)(?<!`)(?P=fence)(?!`))
  | (?P<stray>`+)
  | (?P<math>\$\$(?s:.*?)\$\$ | \$(?:\\.|[^$\\])+?\$)
  | (?P<auto><[^<>\s]+>)
  | (?P<image>!)?\[(?P<text>(?:[^\[\]\\`]|\\.|`[^`]*`|\[[^\[\]]*\])*)\]
    \((?P<address><[^<>\n]*>|[^\s()<>]*(?:\([^\s()]*\)[^\s()]*)*)(?P<title>\s+"[^"]*")?\)
    (?P<attributes>\{[^{}`\n]*\})?
""", re.X)


def _inline(page: _Page, text: str, line: int) -> str:
    """Turn roles, links and pictures; code, formulas and escaped characters stay as they are."""

    def turn(match: re.Match) -> str:
        here = line + text.count("\n", 0, match.start())
        if match["role"]:
            return _role(page, match["role"], match["content"].replace("\n", " "), here)
        if match["address"] is not None and match["text"] is not None:
            return _link(page, match, here)
        return match[0]

    return INLINE.sub(turn, text)


def _look_inside(page: _Page, token: Token, here: int) -> None:
    """Refuse inline text that notebooks cannot show: the parser's own view of a paragraph."""
    for child in token.children or []:
        if child.type in STRANGERS:
            raise page.wrong(here, f"{_kind(child.type)} cannot be shown in a notebook;"
                                   f" {STRANGERS[child.type]}")
        if child.type == "html_inline":
            _plain_html(page, child.content, here)
        if child.type == "code_inline" and child.attrs:
            raise page.wrong(here, f"code with attributes (`{child.content}`{{…}}) cannot be shown"
                                   " in a notebook; leave the braces out")
        if child.type == "link_open" and str(child.attrGet("href")).startswith(
                ("project:", "path:", "inv:", "myst:")):
            raise page.wrong(here, f"write the link {child.attrGet('href')} as [words](address)")


class _Plain(HTMLParser):
    def __init__(self):
        super().__init__()
        self.strange: list[str] = []

    def handle_starttag(self, tag: str, attrs) -> None:
        extra = [name for name, _ in attrs if name not in PLAIN_ATTRIBUTES]
        if tag not in PLAIN_TAGS:
            self.strange.append(f"<{tag}>")
        elif extra:
            self.strange.append(f"<{tag} {extra[0]}=…>")
        elif any(str(value).lstrip().lower().startswith("javascript:") for _, value in attrs):
            self.strange.append(f"<{tag}> with a script")


def _plain_html(page: _Page, text: str, here: int) -> None:
    reader = _Plain()
    reader.feed(text)
    reader.close()
    if reader.strange:
        raise page.wrong(here, f"the HTML {reader.strange[0]} is more than a notebook shows"
                               " everywhere; use Markdown or a directive")


def _split_target(content: str) -> tuple[str, str]:
    """Return words and target of ``words <target>`` or of a bare target."""
    match = re.fullmatch(r"(?s)(.+?)\s*<([^<>]+)>", content)
    return (match[1], match[2]) if match else ("", content.strip())


def _role(page: _Page, name: str, content: str, here: int) -> str:
    words, target = _split_target(content)
    if name in ("cite", "cite:p", "cite:t"):
        return _cite(page, name, content, here)
    if name == "eq":
        return _equation(page, target, here)
    if name == "doc":
        return _to_page(page, target, words, here)
    if name == "ref":
        return _to_label(page, target, words, here)
    if name == "term":
        return words or target
    if name == "math":
        return f"${content}$"
    if name in ("sub", "sup", "kbd"):
        return f"<{name}>{content}</{name}>"
    if name == "abbr":
        return content
    raise page.wrong(here, f"the role {{{name}}} is unknown to the portable edition; it knows"
                           f" {', '.join(ROLES)}" + _near(name, ROLES))


# --- links --------------------------------------------------------------------------------------


def _local(page: _Page, address: str) -> Path | None:
    """Return the file that an address means: from the page's folder, or /… from the top."""
    if not address:
        return None
    if address.startswith("/"):
        return (page.book.root / address.lstrip("/")).resolve()
    return (page.path.parent / address).resolve()


def _anchor(title: str) -> str:
    """Return Jupyter's anchor of a heading, or "" where programs disagree on it."""
    return "#" + title.replace(" ", "-") if re.fullmatch(r"[\w ,.:?!'-]+", title) else ""


def _linked(words: str, address: str) -> str:
    return f"[{words}]({address})" if address else words


def _address(page: _Page, target: Path) -> str:
    """Return where a portable notebook finds another page of the book; "" where nowhere."""
    if target in page.book.notebooks:
        here = editions.portable_path(page.path).parent
        return Path(os.path.relpath(editions.portable_path(target), here)).as_posix()
    if page.book.website:
        inside = target.relative_to(page.book.root).with_suffix(".html").as_posix()
        return f"{page.book.website}/{inside}"
    return ""


def _to_page(page: _Page, target: str, words: str, here: int) -> str:
    path = _local(page, target.removesuffix(".md") + ".md")
    if path not in page.book.titles:
        raise page.wrong(here, f"there is no page {target!r} in the book")
    words = _inline(page, words, here) or page.book.titles[path]
    return words if path == page.path else _linked(words, _address(page, path))


def _known(page: _Page, label: str, here: int) -> Place:
    if label not in page.book.labels:
        raise page.wrong(here, f"nothing is labelled {label!r}"
                               + (_near(label, page.book.labels) or "; look at its spelling"))
    return page.book.labels[label]


def _equation(page: _Page, label: str, here: int) -> str:
    place = _known(page, label, here)
    if place.kind != "equation":
        raise page.wrong(here, f"{label!r} is no equation but a {place.kind}; use {{ref}}")
    if place.page == page.path:
        return f"({place.number})"
    title = page.book.titles[place.page]
    return _linked(f"({place.number}) of “{title}”", _address(page, place.page))


def _to_label(page: _Page, label: str, words: str, here: int) -> str:
    place = _known(page, label, here)
    if place.kind == "equation":
        return _linked(words, "") or _equation(page, label, here)
    words = _inline(page, words or place.title, here)
    if not words:
        raise page.wrong(here, f"the place {label!r} has no title; write {{ref}}`words <{label}>`")
    if place.page != page.path:
        return _linked(words, _address(page, place.page))
    heading = f"Exercise: {place.title}" if place.kind == "exercise" else place.title
    return _linked(words, _anchor(heading) if place.kind in ("heading", "exercise") else "")


def _link(page: _Page, match: re.Match, here: int) -> str:
    address = match["address"].strip("<>")
    if match["image"]:
        if match["title"]:
            raise page.wrong(here, "a picture with a title; write the words into its [ ]")
        return _picture(page, address, match["text"].strip(), here)
    if match["attributes"]:
        raise page.wrong(here, "a link with attributes {…}; leave them out")
    words = match["text"]
    if address.startswith(ANYWHERE):
        return f"[{_inline(page, words, here)}]({match['address']}{match['title'] or ''})"
    if not address.startswith("#"):
        return _to_file(page, address, words, here)
    label = address[1:]
    if label in page.book.labels:
        return _to_label(page, label, words, here)
    if (page.path, label) in page.book.slugs:
        title = page.book.slugs[page.path, label]
        return _linked(_inline(page, words, here) or title, _anchor(title))
    raise page.wrong(here, f"nothing on this page is called {address}")


def _to_file(page: _Page, address: str, words: str, here: int) -> str:
    path = _local(page, address.split("#")[0])
    if path is not None and path.suffix in ("", ".md") and path.with_suffix(".md") in \
            page.book.titles:
        return _to_page(page, address.split("#")[0], words, here)
    if path is None or not path.exists() or page.book.root not in path.parents:
        raise page.wrong(here, f"the link {address} leads nowhere")
    words = _inline(page, words, here) or path.name
    inside = path.relative_to(page.book.root).as_posix()
    where = f"https://github.com/{page.book.repository}/blob/main/{inside}"
    return _linked(words, where if page.book.repository else "")


# --- citations ----------------------------------------------------------------------------------


def _authors(entry) -> str:
    people = entry.persons.get("author") or entry.persons.get("editor") or []
    names = [" ".join(str(part) for part in (*p.rich_prelast_names, *p.rich_last_names))
             for p in people]
    if not names:
        return str(entry.fields.get("organization") or entry.fields.get("title") or entry.key)
    if len(names) > 2 or names[-1].lower() == "others":
        return f"{names[0]} et al."
    return " and ".join(names)


def _web(entry) -> str:
    fields = entry.fields
    if fields.get("doi"):
        return "https://doi.org/" + fields["doi"].removeprefix("https://doi.org/")
    if fields.get("eprint"):
        return "https://arxiv.org/abs/" + fields["eprint"]
    return fields.get("url", "")


def _cite(page: _Page, role: str, content: str, here: int) -> str:
    parts = []
    for key in (key.strip() for key in content.split(",")):
        if key not in page.book.references:
            raise page.wrong(here, f"book/references.bib has no entry {key!r}"
                                   + _near(key, page.book.references))
        if key not in page.cited:
            page.cited.append(key)
        entry = page.book.references[key]
        names, year = _authors(entry), entry.fields.get("year", "no year")
        if role == "cite:t":
            parts.append(f"{names} [{_linked(year, _web(entry))}]")
        else:
            parts.append(_linked(f"{names}, {year}", _web(entry)))
    text = ", ".join(parts)
    return text if role == "cite:t" else f"[{text}]"


def _without_double_address(entry):
    """Return an entry without the web address that its DOI or arXiv number says again."""
    if not (entry.fields.get("doi") or entry.fields.get("eprint")):
        return entry
    kept = copy.copy(entry)
    kept.fields = type(entry.fields)((k, v) for k, v in entry.fields.items() if k.lower() != "url")
    return kept


def _reference_list(page: _Page) -> str:
    """Return the entries that a page cites as a Markdown list, by author."""
    from pybtex.plugin import find_plugin

    style = find_plugin("pybtex.style.formatting", "plain")()
    backend = find_plugin("pybtex.backends", "markdown")()
    entries = [_without_double_address(page.book.references[key]) for key in page.cited]
    lines = []
    for entry in style.format_entries(style.sort(entries)):
        text = " ".join(entry.text.render(backend).split())
        lines.append("- " + re.sub(r"\\([.()\-+!#])", r"\1", text))
    return "\n".join(lines)


# --- the notebook -------------------------------------------------------------------------------


def _refuse_leftovers(page: _Page, text: str, line: int) -> None:
    """Read the result once more: nothing that only the site understands may be left in it."""
    tokens = page.book.parser.parse(text)
    for token in tokens:
        for part in (token, *(token.children or [])):
            if part.type in ("myst_role", "myst_target", "math_block_label", *STRANGERS) \
                    or directive_of(part):
                words = part.content.strip().split("\n")[0] or part.info
                raise page.wrong(line, f"from here on, {words!r} could not be turned into plain"
                                       " Markdown; write it more simply")
            href = str(part.attrGet("href") or "") if part.type == "link_open" else ""
            if href and not href.startswith((*ANYWHERE, "#")) and not href.endswith(".ipynb"):
                raise page.wrong(line, f"from here on, the link {href} leads nowhere in a notebook;"
                                       " write it as [words](address)")


def _markdown_cells(page: _Page, notebook: NotebookNode) -> None:
    source_lines = page.path.read_text("utf8").split("\n")
    for start, cell in zip(notebook.metadata["source_map"], notebook.cells):
        if cell.cell_type != "markdown":
            continue
        line, page.attachments = editions.first_line(source_lines, start), {}
        cell.source = re.sub(r"(?m)^[ \t]+$", "", _blocks(page, cell.source, line))
        _refuse_leftovers(page, cell.source, line)
        if page.attachments:
            cell.attachments = nbformat.from_dict(page.attachments)


def portable_notebook(source: Path, notebook: NotebookNode, book: Book) -> NotebookNode:
    """Return a page as a notebook in plain Markdown, code cells untouched, without outputs.

    A Markdown cell that holds nothing but labels is dropped; what was cited is listed in a last
    cell, or where the page has its ``{bibliography}``. Raises ``CourseError`` naming page and line.
    """
    page = _Page(Path(source).resolve(), book)
    result = copy.deepcopy(notebook)
    _markdown_cells(page, result)
    result.cells = [c for c in result.cells if c.cell_type != "markdown" or c.source.strip()]
    listed = _reference_list(page) if page.cited else ""
    for cell in result.cells:
        if cell.cell_type == "markdown":
            cell.source = cell.source.replace(BIBLIOGRAPHY, listed).strip("\n")
    if listed and not page.has_bibliography:
        result.cells.append(nbformat.v4.new_markdown_cell(f"## References\n\n{listed}"))
    front = result.metadata.get("course", {})
    result.metadata = nbformat.from_dict({
        "kernelspec": dict(editions.KERNEL),
        **({"course": front} if front else {})})
    return result
