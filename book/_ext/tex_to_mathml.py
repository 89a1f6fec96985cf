"""Turn the LaTeX of a formula into MathML that browsers draw without a script.

latex2mathml does the parsing. Its output follows MathML 3, of which browsers keep a core:
they ignore ``columnalign`` and ``mathvariant`` (but for ``normal``), and they space an
operator by its form. So its tree is mended here, rule by rule; and since it lets unknown
commands through as text, what is left over of the LaTeX is refused.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from html import unescape
from xml.etree.ElementTree import Element, tostring

from latex2mathml import commands
from latex2mathml.converter import convert_to_element

NAMESPACE = "http://www.w3.org/1998/Math/MathML"
# Environments that latex2mathml numbers or does not know, and the one that stands for them.
ENVIRONMENTS = {
    "aligned": "split", "align": "split", "align*": "split", "alignedat": "split",
    "gather": "displaylines", "gather*": "displaylines", "gathered": "displaylines",
    "equation": "", "equation*": "", "multline": "displaylines", "multline*": "displaylines",
}
KNOWN_ENVIRONMENTS = {"split", "displaylines", "matrix", "smallmatrix", "array", "cases"}
BRACKETS = {"pmatrix": r"()", "bmatrix": "[]", "vmatrix": "||",
            "Bmatrix": (r"\{", r"\}"), "Vmatrix": (r"\|", r"\|")}
CHILDREN = {"mfrac": 2, "msub": 2, "msup": 2, "munder": 2, "mover": 2, "mroot": 2,
            "msubsup": 3, "munderover": 3}
FUNCTIONS = {name.removeprefix("\\") for name in commands.FUNCTIONS}
LIMIT_NAMES = {"lim", "max", "min", "sup", "inf", "lim sup", "lim inf", "argmax", "argmin",
               "arg max", "arg min", "det", "gcd", "Pr"}
SUMS = set("∑∏∐⋃⋂⨁⨂⨆⋁⋀")
OPENING, BARS = set("([{⟨⌈⌊"), set("|‖∥")
RELATIONS = set("=<>≤≥≠≈≡∼≃≅←→↔⇒⇔↦∈∉⊂⊆∝≪≫:,;∣+−×·±≔")
LETTER_STYLES = {
    "bold": "MATHEMATICAL BOLD", "italic": "MATHEMATICAL ITALIC",
    "bold-italic": "MATHEMATICAL BOLD ITALIC", "sans-serif": "MATHEMATICAL SANS-SERIF",
    "monospace": "MATHEMATICAL MONOSPACE", "script": "MATHEMATICAL SCRIPT",
    "double-struck": "MATHEMATICAL DOUBLE-STRUCK", "fraktur": "MATHEMATICAL FRAKTUR",
}


class FormulaError(ValueError):
    """A formula that cannot be shown; the message says which part of it."""


def formula(tex: str, *, display: bool = False) -> str:
    """The MathML of a LaTeX formula, as a string.

    ``display`` sets it as a block, with limits above and below sums. Raises ``FormulaError``
    where the LaTeX does not parse or holds a command that is not known.
    """
    prepared = prepare(tex)
    try:
        root = convert_to_element(prepared, display="block" if display else "inline")
    except Exception as error:  # latex2mathml raises its own and plain Python errors
        reason = str(error) or type(error).__name__
        raise FormulaError(f"the formula does not parse ({reason})") from error
    refuse_leftovers(root)
    mend(root, display)
    return tostring(root, encoding="unicode")


def prepare(tex: str) -> str:
    """Rewrite what latex2mathml reads wrongly into what it reads well."""
    tex = re.sub(r"(?<!\\)%.*", "", tex)  # comments
    tex = re.sub(r"\\(?:label|tag\*?)\{[^{}]*\}|\\(?:nonumber|notag)\b", "", tex)
    for name, other in ENVIRONMENTS.items():
        for word in ("begin", "end"):
            put = rf"\{word}{{{other}}}" if other else ""
            tex = tex.replace(rf"\{word}{{{name}}}", put)
    for name, (left, right) in BRACKETS.items():
        tex = tex.replace(rf"\begin{{{name}}}", rf"\left{left}\begin{{matrix}}")
        tex = tex.replace(rf"\end{{{name}}}", rf"\end{{matrix}}\right{right}")
    tex = re.sub(r"\\operatorname\*\{([^{}]*)\}", limit_operator, tex)
    tex = re.sub(r"\\mathrm\{([A-Za-z]+)\}", r"\\text{\1}", tex)
    refuse_unbalanced(tex)
    return tex.strip()


def refuse_unbalanced(tex: str) -> None:
    """Raise where braces do not pair or an environment is not one that can be drawn."""
    depth = 0
    for brace in re.findall(r"(?<!\\)(?:\\\\)*([{}])", tex):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            break
    if depth:
        raise FormulaError("its braces { } do not pair")
    if wrong := set(re.findall(r"\\begin\{([^}]*)\}", tex)) - KNOWN_ENVIRONMENTS:
        raise FormulaError(f"the environment {sorted(wrong)[0]!r} is not understood")


def limit_operator(match: re.Match[str]) -> str:
    r"""``\operatorname*{arg\,min}`` becomes an upright name that takes limits below."""
    name = re.sub(r"\\[,;: ]|~", " ", match[1])
    return rf"\mathop{{\text{{{name}}}}}"


def refuse_leftovers(root: Element) -> None:
    """Raise where LaTeX was passed through as if it were text."""
    for element in root.iter():
        text = element.text = unescape(element.text or "")  # characters come as entities
        if element.tag == "mtext":
            continue
        if len(element) != CHILDREN.get(element.tag, len(element)):
            raise FormulaError(f"it lacks an argument, or has one too many ({element.tag})")
        if found := re.search(r"\\\w+|\\|&|\$|#", text):
            raise FormulaError(f"{found[0]!r} is not understood")


def mend(root: Element, display: bool) -> None:
    """Apply every rule to the tree, in place."""
    root.attrib.pop("xmlns", None)
    root.set("xmlns", NAMESPACE)
    for element in list(root.iter()):
        plain_letters(element)
        column_styles(element)
        fences(element)
        if display:
            limits_below(element)
        if element.tag in CHILDREN and element.tag not in {"mfrac", "mroot"}:
            tight_scripts(element)
    for parent in list(root.iter()):
        if parent.tag in {"mrow", "math", "mtd", "mstyle", "msqrt", "mpadded"}:
            space_row(parent)


def plain_letters(element: Element) -> None:
    """Styled letters by their own code points; upright single letters by ``normal``."""
    if element.tag not in {"mi", "mn", "mo"}:
        return
    style, text = element.attrib.pop("mathvariant", None), element.text or ""
    if style in LETTER_STYLES:
        element.text = "".join(styled(letter, style) for letter in text)
    if style == "normal" and len(text) == 1:
        element.set("mathvariant", "normal")
    if element.tag == "mo" and text in {"∞", "∂", "∅", "ℓ"}:
        element.tag = "mi"
    if element.tag == "mi" and text in FUNCTIONS:
        element.tag = "mo"
    if element.tag == "mo" and text == ".":
        element.attrib.update(lspace="0", rspace="0")


def styled(letter: str, style: str) -> str:
    """One letter or digit in a mathematical style, or itself where Unicode has none."""
    name = unicodedata.name(letter, "")
    found = re.fullmatch(r"(LATIN|GREEK) (CAPITAL|SMALL) LETTER (.+)", name)
    tail = f"{found[2]} {found[3]}" if found else name
    if not found and not letter.isdigit():
        return letter
    for prefix in (LETTER_STYLES[style], LETTER_STYLES[style].removeprefix("MATHEMATICAL ")):
        try:
            return unicodedata.lookup(f"{prefix} {tail}")
        except KeyError:
            continue
    return letter


def column_styles(element: Element) -> None:
    """``columnalign`` as a class, since browsers ignore the attribute."""
    if element.tag == "mtable":
        table_columns(element)
    if element.tag == "mtd":
        align = element.attrib.pop("columnalign", None)
        if align in {"left", "right"}:
            element.set("class", f"math-{align}")


def table_columns(table: Element) -> None:
    """Spread a table's ``columnalign`` over its cells; drop attributes that do nothing."""
    if "right" in {cell.get("columnalign") for cell in table.iter("mtd")}:
        table.set("class", "math-aligned")
    aligns = table.attrib.pop("columnalign", "").split()
    for name in ("columnspacing", "rowspacing", "columnlines", "side"):
        table.attrib.pop(name, None)
    for row in table.iter("mtr"):
        for number, cell in enumerate(row.findall("mtd")):
            if aligns and "columnalign" not in cell.attrib:
                cell.set("columnalign", aligns[number % len(aligns)])


def fences(element: Element) -> None:
    """Bars and norms stay as tall as a line, unless LaTeX's left and right stretch them."""
    if element.tag != "mo" or element.get("stretchy") == "true":
        return
    if element.text in BARS:
        element.text = "‖" if element.text == "∥" else element.text
        element.attrib.update(stretchy="false", symmetric="false", lspace="0", rspace="0")
        element.attrib.pop("fence", None)


def limits_below(element: Element) -> None:
    """In a displayed formula, what stands under ``max`` or ``lim`` goes below it."""
    below = {"msub": "munder", "msubsup": "munderover", "msup": "mover"}
    if element.tag not in below or not len(element):
        return
    base = element[0]
    text = "".join(base.itertext()).replace("\xa0", " ").strip()
    takes = text in LIMIT_NAMES or text in SUMS or (base.tag == "mtext" and "arg" in text)
    if takes and (text not in LIMIT_NAMES or element.tag != "msup"):
        element.tag = below[element.tag]


def tight_scripts(element: Element) -> None:
    """No spaces around the signs of a script, as TeX sets them."""
    for script in element[1:]:
        for sign in script.iter("mo"):
            if (sign.text or "") in RELATIONS and sign.text not in {",", ";"}:
                sign.attrib.update(lspace="0", rspace="0")


def space_row(row: Element) -> None:
    """Space names, signs and slashes in a row as TeX does."""
    before: Element | None = None
    open_bars: set[str] = set()
    for child, after in with_next(list(row)):
        core = innermost(child)
        text = (core.text or "").strip()
        if core.tag == "mo" and text in BARS:
            open_bars ^= {text}
            core.set("form", "prefix" if text in open_bars else "postfix")
        elif core.tag == "mo" and text in {"−", "-", "+", "±"} and starts_term(before):
            core.attrib.update(form="prefix", lspace="0", rspace="0")
        elif core.tag == "mo" and text == "/":
            core.attrib.update(lspace="0.05em", rspace="0.05em")
        elif core.tag == "mo" and re.fullmatch(r"[A-Za-z ]{2,}", text):
            name_spacing(core, before, after)
        before = child


def with_next(children: list[Element]) -> Iterator[tuple[Element, Element | None]]:
    """Each child with the one after it, spaces skipped."""
    for number, child in enumerate(children):
        later = [other for other in children[number + 1:] if other.tag != "mspace"]
        yield child, later[0] if later else None


def innermost(element: Element) -> Element:
    """The base of an element with scripts: for max with a subscript, the name."""
    while element.tag in {"msub", "msup", "msubsup", "munder", "mover", "munderover"}:
        element = element[0]
    return element


def starts_term(before: Element | None) -> bool:
    """Whether a sign after this element is a sign and not a subtraction."""
    if before is None or before.tag == "mspace":
        return True
    text = (before.text or "").strip()
    opens = text in OPENING or text in RELATIONS or before.get("form") == "prefix"
    return before.tag == "mo" and opens


def name_spacing(name: Element, before: Element | None, after: Element | None) -> None:
    """A thin space around sin or max, none before an opening bracket."""
    bracket = after is not None and (innermost(after).text or "").strip() in OPENING
    bare = before is None or starts_term(before)
    name.attrib.update(lspace="0" if bare else "0.167em", rspace="0" if bracket else "0.167em")
    name.attrib.update(movablelimits="false")


