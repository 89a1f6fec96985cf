"""Every construct of a page in plain Markdown, and a clear error for any other."""

from __future__ import annotations

import base64

import pytest

from course_tools.editions import read_source
from course_tools.errors import CourseError
from course_tools.portable import DIRECTIVES, ROLES, Book, portable_notebook

BIB = r"""
@article{polyak1964, author={Polyak, Boris T.}, title={Some methods}, journal={USSR},
  year={1964}, doi={10.1016/0041-5553(64)90137-5}}
@misc{kingma2014, author={Kingma, Diederik P. and Ba, Jimmy}, title={Adam}, year={2014},
  eprint={1412.6980}, archivePrefix={arXiv}, url={https://arxiv.org/abs/1412.6980}}
@book{three2000, author={M{\"u}ller, Ada and B, C. and D, E.}, title={Three}, publisher={P},
  year={2000}}
"""


@pytest.fixture
def turn(house):
    """Turn a page's body into the portable edition's Markdown, cells joined by a rule."""
    house.write("book/references.bib", BIB)
    house.page("(other-top)=\n## Far away\n\n$$a$$ (eq-first)\n\n$$\nb\n$$ (eq-other)\n\n"
               "```{exercise} Elsewhere\n:label: ex-far\nDo.\n```\n\n"
               "(nameless)=\ntext", "04-back/other")

    def turned(body: str) -> str:
        source = house.page(body)
        notebook = portable_notebook(source, read_source(source), Book(house.root))
        texts = [c.source for c in notebook.cells if c.cell_type == "markdown"][1:]
        return "\n\n---\n\n".join(texts)

    return turned


@pytest.mark.parametrize(("myst", "plain"), [
    ("$$\na = b\n$$ (eq-a)\n\nSee {eq}`eq-a`.", "$$\na = b\n\\tag{1}\n$$\n\nSee (1)."),
    ("$$x$$\n\n$$y$$ (eq-y)\n\n```{math}\n:label: eq-z\nz\n```\n\n{eq}`eq-z`, {eq}`eq-y`",
     "$$\nx\n$$\n\n$$\ny\n\\tag{1}\n$$\n\n$$\nz\n\\tag{2}\n$$\n\n(2), (1)"),
    ("$$\na \\\\ b\n$$", "$$\n\\begin{split}\na \\\\ b\n\\end{split}\n$$"),
    ("- item\n\n  $$\n  q\n  $$ (eq-q)", "- item\n\n  $$\n  q\n  \\tag{1}\n  $$"),
    ("$$m$$ (eq-mine)\n\n{eq}`eq-other`",
     "$$\nm\n\\tag{1}\n$$\n\n[(2) of “Going down”](../04-back/other.ipynb)"),
    ("(here)=\n## A title\n\n[](#here), {ref}`here`, {ref}`words <here>`, [](#a-title)",
     "## A title\n\n[A title](#A-title), [A title](#A-title), [words](#A-title),"
     " [A title](#A-title)"),
    ("{ref}`other-top` {ref}`w <nameless>`",
     "[Far away](../04-back/other.ipynb) [w](../04-back/other.ipynb)"),
    ("{doc}`../04-back/other`, {doc}`it </book/04-back/other>`",
     "[Going down](../04-back/other.ipynb), [it](../04-back/other.ipynb)"),
    ("[a *b*](../04-back/other.md#far-away) and [](../04-back/other.md)",
     "[a *b*](../04-back/other.ipynb) and [Going down](../04-back/other.ipynb)"),
    ("[start](../intro.md) {ref}`start`", "start The beginning"),
    ("{term}`loss` {term}`losses <loss>`", "loss losses"),
    ("{math}`x^2` {sub}`2` {sup}`3` {kbd}`Tab` {abbr}`GPU (a card)`",
     "$x^2$ <sub>2</sub> <sup>3</sup> <kbd>Tab</kbd> GPU (a card)"),
    ("## Part\n\n:::{exercise} Walk `x` {eq}`eq-far`\n:label: ex-w\n\nGo {term}`on`.\n:::\n\n"
     "$$f$$ (eq-far)\n\n{ref}`ex-far`",
     "## Part\n\n### Exercise: Walk `x` (1)\n\nGo on.\n\n$$\nf\n\\tag{1}\n$$\n\n"
     "[Elsewhere](../04-back/other.ipynb)"),
    ("````{solution} ex-far\n:class: dropdown\n\n```python\n{term}`a`\n```\nand {term}`b`\n````",
     "<details>\n<summary>Solution</summary>\n\n```python\n{term}`a`\n```\nand b\n\n</details>"),
    (":::{dropdown} More {term}`a`\nBody\n:::",
     "<details>\n<summary>More a</summary>\n\nBody\n\n</details>"),
    ("```{note}\nOne\n\nTwo\n```", "> **Note**\n>\n> One\n>\n> Two"),
    (":::{tip} Said at once\n:::", "> **Tip**\n>\n> Said at once"),
    (":::{admonition} My {term}`a`\n:class: tip\nText\n:::", "> **My a**\n>\n> Text"),
    ("````{warning}\n```{code-block} python\n:caption: Run\nx = 1\n```\n````",
     "> **Warning**\n>\n> *Run*\n>\n> ```python\n> x = 1\n> ```"),
    ("1. one\n\n   ```{note}\n   in {term}`a`\n   ```\n2. two",
     "1. one\n\n   > **Note**\n   >\n   > in a\n2. two"),
    ("```{table} Sizes\n| a | b |\n|---|---|\n| {term}`x` | y |\n```",
     "**Sizes**\n\n| a | b |\n|---|---|\n| x | y |"),
    ("% a remark\nText", "Text"),
    ("`{eq}`, ``{term}`a` ``, \\{x} and `[](a.md)`", "`{eq}`, ``{term}`a` ``, \\{x} and `[](a.md)`"),
    ("````python\n```{note}\n{eq}`no`\n```\n[](gone.md)\n````",
     "````python\n```{note}\n{eq}`no`\n```\n[](gone.md)\n````"),
    ("    {eq}`indented code`", "    {eq}`indented code`"),
    ("Five \\$5, {term}`a`, $x_i$ and $`{eq}`$", "Five \\$5, a, $x_i$ and $`{eq}`$"),
    ("[web](https://example.org/a_(b)) <https://example.org>",
     "[web](https://example.org/a_(b)) <https://example.org>"),
    ("H<sub>2</sub>O<br>\n\n<details>\n<summary>S</summary>\n\nText\n\n</details>",
     "H<sub>2</sub>O<br>\n\n<details>\n<summary>S</summary>\n\nText\n\n</details>"),
    ("a line with {term}`two\nlines`", "a line with two lines"),
])
def test_a_construct_in_plain_markdown(turn, myst, plain):
    assert turn(myst) == plain


def test_citations_are_links_and_listed_once_at_the_end(turn):
    text = turn("After {cite}`polyak1964,kingma2014`, {cite:t}`three2000` and {cite:p}`polyak1964`.")
    body, listed = text.split("\n\n---\n\n")
    polyak = "[Polyak, 1964](https://doi.org/10.1016/0041-5553(64)90137-5)"
    assert body == (f"After [{polyak}, [Kingma and Ba, 2014](https://arxiv.org/abs/1412.6980)],"
                    f" Müller et al. [2000] and [{polyak}].")
    assert listed.startswith("## References\n\n- Diederik P. Kingma and Jimmy Ba. Adam. 2014.")
    assert listed.count("\n- ") == 3
    assert "[doi:10.1016/0041-5553(64)90137-5]" in listed


def test_a_bibliography_stands_where_the_page_has_it(turn):
    text = turn("{cite}`polyak1964`\n\n## Read\n\n```{bibliography}\n```\n\nAfter.")
    assert "## Read\n\n- Boris" in text and text.endswith("After.")
    assert "References" not in text


def test_links_to_prose_lead_to_the_website_where_it_is_known(turn, monkeypatch):
    monkeypatch.setenv("COURSE_WEBSITE", "https://example.org/course/")
    assert turn("{doc}`../intro`") == "[The beginning](https://example.org/course/book/intro.html)"


def test_links_to_files_lead_to_the_repository_where_it_is_known(turn, house, monkeypatch):
    house.write("studies/03-hill/rates.py", "")
    assert turn("[study](../../studies/03-hill/rates.py)") == "study"
    monkeypatch.setenv("COURSE_REPOSITORY", "owner/name")
    assert turn("[study](../../studies/03-hill/rates.py)") == (
        "[study](https://github.com/owner/name/blob/main/studies/03-hill/rates.py)")


def test_pictures_travel_with_the_cell_or_become_words(house, turn):
    picture = b"\x89PNG small"
    (house.root / "book/03-hill").mkdir(parents=True, exist_ok=True)
    (house.root / "book/03-hill/hill.png").write_bytes(picture)
    source = house.page("```{figure} hill.png\n:alt: A hill\n:width: 40%\nThe {term}`hill`.\n```\n\n"
                        "![Again](hill.png){width=30px}")
    notebook = portable_notebook(source, read_source(source), Book(house.root))
    last = notebook.cells[-1]
    assert last.source == ("![A hill](attachment:hill.png)\n\n*The hill.*\n\n"
                           "![Again](attachment:hill.png)")
    assert base64.b64decode(last.attachments["hill.png"]["image/png"]) == picture
    (house.root / "book/03-hill/hill.png").write_bytes(b"x" * 600_000)
    assert turn("![A hill](hill.png)") == "*(Picture, on the website: A hill)*"


@pytest.mark.parametrize(("myst", "words"), [
    ("text\n\n```{tabs} a\n```", "line 19: the directive {tabs}"),
    ("text\n{numref}`x`", "line 18: the role {numref}"),
    ("````{note}\ntext\n\n```{raw} html\n<b>\n```\n````", "line 20: the directive {raw}"),
    ("- list\n\n  {who}`x`", "line 19: the role {who}"),
    ("{eq}`eq-ohter`", "Did you mean eq-other"),
    ("{eq}`other-top`", "no equation but a heading"),
    ("{ref}`nameless`", "has no title"),
    ("{doc}`gone`", "no page 'gone'"),
    ("[x](gone.md)", "leads nowhere"),
    ("[x](#gone)", "nothing on this page"),
    ("{cite}`poliak1964`", "Did you mean polyak1964"),
    ("\\begin{align}\na\n\\end{align}", "write \\$\\$"),
    ("{{ words }}", "a substitution"),
    ("text[^1]\n\n[^1]: foot", "a footnote"),
    ("term\n: words", "a definition list"),
    (":field: words", "a field list"),
    ("[words]{.red}", "text with attributes"),
    ("`code`{l=py}", "code with attributes"),
    ("> ```{note}\n> x\n> ```", "stands in a quotation"),
    ("- ```{note}\n  x\n  ```", "a list mark's own line"),
    ("<div class='x'>\n\n</div>", "the HTML <div>"),
    ("a <b class='x'>b</b>", "the HTML <b class=…>"),
    ("<script>alert(1)</script>", "the HTML <script>"),
    ("![](hill.png)", "no alternative text"),
    ("![x](gone.png)", "no picture"),
    ("![x](https://example.org/a.png)", "another host"),
    ("<project:#x>", r"write the link project:#x"),
    ("[words][far]\n\n[far]: ../intro.md", "leads nowhere in a notebook"),
])
def test_what_is_not_understood_is_an_error_with_page_and_line(turn, myst, words):
    with pytest.raises(CourseError, match=words.replace("{", r"\{")) as caught:
        turn(myst)
    assert "03-hill/descent.md, line " in str(caught.value)


def test_an_unknown_directive_or_role_lists_what_is_known(turn):
    for text, known in (("```{tabs}\n```", DIRECTIVES), ("{tabs}`x`", ROLES)):
        with pytest.raises(CourseError) as caught:
            turn(text)
        assert all(name in str(caught.value) for name in known)


def test_a_live_model_is_a_sample_and_a_link(house, turn, monkeypatch):
    with pytest.raises(CourseError, match="descent.md, line 1[0-9]: the record of the packed model"):
        turn("```{live-gpt}\n```")
    house.write("book/assets/gpt/record.json",
                '{"start": "A:\\nTo", "sample": " be\\n", "temperature": 0.8, "top_k": 40}')
    plain = turn("```{live-gpt}\n```")
    assert "after “A: / To”, drawn at temperature 0.8 from the 40 likeliest tokens." in plain
    assert "```text\nA:\nTo be\n```" in plain
    assert plain.endswith("The model itself writes on the website, in your browser.")
    monkeypatch.setenv("COURSE_WEBSITE", "https://example.org/c")
    assert "[the website](https://example.org/c/book/03-hill/descent.html#live-gpt)" in turn(
        "```{live-gpt}\n```")


def test_one_label_for_two_things_is_refused(turn):
    with pytest.raises(CourseError, match="label 'eq-other' stands on"):
        turn("$$a$$ (eq-other)")


def test_code_cells_pass_unchanged_and_label_only_cells_go(house):
    code = "text = '''\n{eq}`x`\n\n(label)=\n'''"
    source = house.page(f"(label)=\n\n```{{code-cell}} ipython3\n{code}\n```\n")
    notebook = portable_notebook(source, read_source(source), Book(house.root))
    assert [c.cell_type for c in notebook.cells] == ["markdown", "code", "code"]
    assert notebook.cells[2].source == code


def test_front_matter_leaves_only_what_notebooks_need(house):
    source = house.page("Text")
    text = source.read_text().replace("kernelspec:", "course: {trains: false}\nkernelspec:", 1)
    source.write_text(text)
    notebook = portable_notebook(source, read_source(source), Book(house.root))
    assert notebook.metadata == {
        "course": {"trains": False},
        "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}}
