"""A small book for the tests of the site: notebook pages with planted outputs.

Nothing here was executed; the outputs are written by hand, so that a test knows them.
"""

from __future__ import annotations

import base64
import struct
import zlib
from pathlib import Path

import nbformat
from course_lib.widgets import AttentionWidget, ConvolutionWidget, DescentWidget, GraphWidget
from course_tools.editions import read_source

HEAD = """---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  name: no-such-kernel
  display_name: No kernel
  language: python
---

"""

FIRST = HEAD + r"""# A made-up page

*A surprise, in one line.*

After this page you can

- say what each part of it is for;
- find your way back.

A page with one of everything that the site must show, and a first paragraph of some length.

## Formulas

$$
J(w, b) = \frac{1}{n}\sum_{i=1}^{n} (\hat y_i - y_i)^2
$$ (eq-first)

By {eq}`eq-second` and {eq}`eq-first`, with $\theta_{t+1} = \theta_t - \eta \nabla J(\theta_t)$ and
$\lVert x \rVert_2$, nothing follows {cite}`made2020`.

$$
\begin{aligned}
f(x) &= \begin{cases} 0 & x < 0 \\ x & \text{otherwise} \end{cases} \\
A &= \begin{bmatrix} 1 & 0 \\ 0 & \kappa \end{bmatrix}^\top \mathbf{x} + \text{a long tail} + \underbrace{1 + 1 + 1 + 1 + 1 + 1}_{\text{six}} + \int_0^\infty e^{-x^2/2}\,\mathrm{d}x
\end{aligned}
$$ (eq-second)

## Cells

```{code-cell} ipython3
:tags: [setup]
import math
```

```{code-cell} ipython3
:tags: [pytorch]
print("first pytorch cell")
```

```{code-cell} ipython3
:tags: [tensorflow]
print("first tensorflow cell")
```

```{code-cell} ipython3
:tags: [pytorch]
print("second pytorch cell")
```

```{code-cell} ipython3
:tags: [pytorch]
print("third pytorch cell")
```

```{code-cell} ipython3
:tags: [tensorflow]
print("second tensorflow cell, a line that is much too long for any telephone that was ever held in one hand")
```

A sentence before. **Predict:** what will the lone cell print?

Only one framework here:

```{code-cell} ipython3
:tags: [pytorch]
print("lone pytorch cell")
```

```{code-cell} ipython3
figure()
```

```{code-cell} ipython3
:tags: [raises-exception]
1 / 0
```

```{code-cell} ipython3
from course_lib import runtime
runtime.banner()
```

```{code-cell} ipython3
fig = plt.figure()
plots.show(fig, alt="A grey card.")
```

```{code-cell} ipython3
check("one is one", True)
check("two < three", True)
```

## Exercises

```{exercise} One and $x_1$
:label: ex-made-one

What is one?
```

````{solution} ex-made-one
:class: dropdown

The first solution says $1 = 1$.

```python
one = 1
```
````

```{exercise} Two
:label: ex-made-two

What is two?
```

```{solution} ex-made-two
:class: dropdown

The second solution.
```
"""

SECOND = HEAD + """# Another page

```{code-cell} ipython3
:tags: [pytorch]
print("other pytorch cell")
```

```{code-cell} ipython3
:tags: [tensorflow]
print("other tensorflow cell")
```
"""

WITH_WIDGET = HEAD + """# A page with a widget

A page with a widget between words, and a first paragraph of some length.

## Play

```{code-cell} ipython3
DescentWidget()
```

[After the widget.](first.md)
"""

WITH_CONVOLUTION = WITH_WIDGET.replace("DescentWidget()", "ConvolutionWidget()").replace(
    "A page with a widget\n", "A page with another widget\n", 1)
WITH_GRAPH = WITH_WIDGET.replace("DescentWidget()", "GraphWidget()").replace(
    "A page with a widget\n", "A page with a third widget\n", 1)
WITH_ATTENTION = WITH_WIDGET.replace("DescentWidget()", "AttentionWidget()").replace(
    "A page with a widget\n", "A page with a fourth widget\n", 1)
WITH_LIVE = HEAD + """# A page with a model

A page with a model between words, and a first paragraph of some length.

[Before the model.](first.md)

```{live-gpt}
```

[After the model.](first.md)
"""

# A cell that is one of these calls shows that widget.
WIDGETS = {f"{kind.__name__}()": kind for kind in (
    AttentionWidget, ConvolutionWidget, DescentWidget, GraphWidget)}

STAMP = {
    "versions": {"python": "3.11.5", "torch": "2.13.0", "tensorflow": "2.21.0"},
    "device": "cpu", "threads": 2, "scale": "quick", "seeds": [0, 1, 2, 3, 4],
    "seconds": 21.3, "peak_memory_mb": 1234,
}


def png(width: int, height: int) -> str:
    """A grey PNG of this size, base64."""
    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress((b"\0" + b"\xc0" * width) * height)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return base64.b64encode(data).decode()


def outputs_of(source: str, alt: str | None) -> list[nbformat.NotebookNode]:
    """What a cell of the made-up pages shows."""
    if source.startswith("print("):
        text = source.removeprefix('print("').removesuffix('")') + ", shown\n"
        return [nbformat.v4.new_output("stream", name="stdout", text=text)]
    if source.startswith("check("):
        claims = "".join(f"holds: {line.split(chr(34))[1]}\n" for line in source.splitlines())
        return [nbformat.v4.new_output("stream", name="stdout", text=claims)]
    if "runtime.banner()" in source:
        return [nbformat.v4.new_output("stream", name="stdout", text="device cpu\n")]
    if source == "figure()" or "plots.show(" in source:
        about = {"width": 600, "height": 300} | ({"alt": alt} if alt else {})
        return [nbformat.v4.new_output("display_data", {"image/png": png(600, 300)},
                                       metadata={"image/png": about})]
    if source in WIDGETS:
        widget = WIDGETS[source]()
        return [nbformat.v4.new_output("display_data", {
            "text/html": widget.frame(), "text/plain": repr(widget)})]
    if source == "1 / 0":
        return [nbformat.v4.new_output("error", ename="ZeroDivisionError",
                                       evalue="division by zero",
                                       traceback=["ZeroDivisionError: division by zero"])]
    return []


def write_page(root: Path, name: str, text: str, *, alt: str | None = "A grey card.") -> Path:
    """Write a page and its portable edition; return the path of the source."""
    source = root / "book" / f"{name}.md"
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_text(text, "utf-8")
    notebook = read_source(source)
    notebook.metadata.pop("source_map", None)
    notebook.metadata["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}
    notebook.metadata["course"] = STAMP
    codes = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for number, cell in enumerate(codes, start=1):
        cell.execution_count, cell.outputs = number, outputs_of(cell.source, alt)
    portable = root / "notebooks" / f"{name}.ipynb"
    portable.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, portable)
    return source
