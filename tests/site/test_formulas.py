"""LaTeX to MathML: what the course writes is drawn, what cannot be drawn is refused."""

from xml.etree import ElementTree

import pytest
from tex_to_mathml import FormulaError, formula

MATH = "{http://www.w3.org/1998/Math/MathML}"


def tree(tex: str, *, display: bool = True) -> ElementTree.Element:
    """The parsed MathML of a formula."""
    return ElementTree.fromstring(formula(tex, display=display))


def texts(tex: str, tag: str, *, display: bool = True) -> list[str]:
    """The texts of all elements of a kind."""
    return [element.text for element in tree(tex, display=display).iter(MATH + tag)]


@pytest.mark.parametrize("tex", [
    r"\frac{\partial J}{\partial b} = \frac{2}{n}\sum_{i=1}^{n} (\hat y_i - y_i)",
    r"\begin{aligned} a &= b \\ &= \mathbf{x}^\top \mathbf{W} \end{aligned}",
    r"\begin{align*} a &= b \\ c &= d \end{align*}",
    r"f(x) = \begin{cases} 0 & x < 0 \\ x & \text{otherwise} \end{cases}",
    r"\left\lVert \frac{a}{b} \right\rVert_2 \le \lVert x \rVert",
    r"\operatorname*{arg\,min}_\theta \mathcal{L}(\theta), \max_i x_i, \lim_{t \to \infty} x_t",
    r"\begin{pmatrix} 1 & 0 \\ 0 & \kappa \end{pmatrix}^\top \in \mathbb{R}^{n \times d}",
    r"\hat{m}_t = m_t / (1 - \beta_1^t), \quad \bar x, \tilde x, \vec v, \dot x, x', \boldsymbol\theta",
    r"\underbrace{a + b}_{c} \sqrt{\hat v_t} + \epsilon \int_0^1 x\,\mathrm{d}x \binom{n}{k}",
])
def test_what_the_course_writes_is_drawn(tex):
    root = tree(tex)
    assert root.get("display") == "block"
    assert "\\" not in "".join(root.itertext())


def test_signs_of_alignment_become_columns():
    root = tree(r"\begin{aligned} a &= b \\ cd &= e \end{aligned}")
    rows = root.findall(f".//{MATH}mtr")
    assert [[cell.get("class") for cell in row] for row in rows] == [["math-right", "math-left"]] * 2
    assert "&" not in "".join(root.itertext())


def test_letters_have_their_own_code_points():
    assert "𝐱" in texts(r"\mathbf{x}", "mi")
    assert "ℝ" in texts(r"\mathbb{R}", "mi")
    assert "𝜽" in texts(r"\boldsymbol{\theta}", "mi")
    root = tree(r"\mathbf{x} \mathbb{R} \mathcal{L}")
    assert all(element.get("mathvariant") in (None, "normal") for element in root.iter())


def test_limits_stand_below_in_a_block_and_beside_in_a_sentence():
    for tex in (r"\max_i x", r"\lim_{t} x", r"\operatorname*{arg\,max}_i x"):
        assert tree(tex).find(f".//{MATH}munder") is not None
        assert tree(tex, display=False).find(f".//{MATH}msub") is not None


def test_a_matrix_with_an_exponent_is_one_base():
    power = tree(r"\begin{bmatrix} 1 \\ 2 \end{bmatrix}^\top").find(f".//{MATH}msup")
    assert len(power) == 2


def test_bars_do_not_stretch_and_know_their_side():
    bars = tree(r"|x| + |y|").findall(f".//{MATH}mo")
    assert [bar.get("form") for bar in bars if bar.text == "|"] == ["prefix", "postfix"] * 2
    assert {bar.get("stretchy") for bar in bars if bar.text == "|"} == {"false"}
    plus = next(sign for sign in bars if sign.text == "+")
    assert plus.get("form") is None  # a sum, not a sign


def test_a_sign_is_not_a_subtraction():
    minus = [sign for sign in tree(r"-a - b, \exp(-c)").iter(MATH + "mo") if sign.text == "−"]
    assert [sign.get("form") for sign in minus] == ["prefix", None, "prefix"]


@pytest.mark.parametrize(("tex", "reason"), [
    (r"\foo{a}", r"'\\\\foo' is not understood"),
    (r"\frac{a", "braces"),
    (r"\frac{a}", "."),
    (r"a & b", "'&' is not understood"),
    (r"\begin{tabular} x \end{tabular}", "'tabular' is not understood"),
    (r"\left( x", "."),
])
def test_what_cannot_be_drawn_is_refused(tex, reason):
    with pytest.raises(FormulaError, match=reason):
        formula(tex)
