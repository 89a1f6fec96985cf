"""Claims that a notebook checks, and exercises that it marks."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

RELATIVE, ABSOLUTE = 1e-6, 1e-9  # how close a numeric answer must come


class ClaimFailed(AssertionError):
    """A statement on the page does not hold in this run."""


def check(statement: str, holds: bool) -> None:
    """Print a statement that holds; print and raise where it does not.

    The printed line holds no measured number, so that it is the same on every machine.

    Raises
    ------
    TypeError
        If ``holds`` is not one truth value: an array compared with ``<`` is many.
    ClaimFailed
        If the statement does not hold.
    """
    if not isinstance(holds, (bool, np.bool_)):
        raise TypeError(
            f"check({statement!r}, …) needs one True or False, not {type(holds).__name__};"
            " reduce an array with .all() or .any(), a tensor with bool(…)"
        )
    print(f"{'holds' if holds else 'FAILS'}: {statement}")
    if not holds:
        raise ClaimFailed(statement)


def exercise(
    label: str,
    answer: Any,
    returns: Sequence[tuple[tuple, Any]] = (),
    raises: Sequence[tuple[tuple, type[Exception]]] = (),
    holds: Sequence[tuple[str, Callable[[Any], bool]]] = (),
) -> None:
    """Print whether an answer solves an exercise: ``not yet``, ``wrong`` and why, or ``solved``.

    Never raises because of the answer, so that Run All goes on.

    Parameters
    ----------
    label
        The exercise's label, printed first.
    answer
        The reader's function, or a value where only ``holds`` is given.
    returns
        Pairs of arguments and the value expected for them.
    raises
        Pairs of arguments and the exception expected for them.
    holds
        Pairs of words and a predicate that is called with the answer.
    """
    if not (returns or raises or holds):
        raise ValueError(f"exercise {label!r} checks nothing: give returns, raises or holds")
    print(f"{label}: {_in_words(_verdict(answer, returns, raises, holds))}")


def _verdict(answer, returns, raises, holds) -> str:
    if _unanswered(answer, returns, raises):
        return "not yet"
    for arguments, expected in returns:
        try:
            got = answer(*_copies(arguments))
        except Exception as error:
            return f"wrong: {_call(arguments)} raised {type(error).__name__}: {error}"
        if not _equal(got, expected):
            return f"wrong: {_call(arguments)} gave {_short(got)}, expected {_short(expected)}"
    for arguments, expected in raises:
        try:
            got = answer(*_copies(arguments))
        except expected:
            continue
        except Exception as error:
            name = type(error).__name__
            return f"wrong: {_call(arguments)} raised {name}, expected {expected.__name__}"
        return f"wrong: {_call(arguments)} gave {_short(got)}, expected {expected.__name__}"
    for words, predicate in holds:
        try:
            fine = bool(predicate(answer))
        except Exception as error:
            return f"wrong: {words}: {type(error).__name__}: {error}"
        if not fine:
            return f"wrong: {words}"
    return "solved"


_NAME = r"((?:[\w.]|<\w+>)+)"
_INNER_WORDS = (  # pattern -> what a reader needs of it
    (r"(?: object)? at 0x[0-9a-fA-F]+", ""),
    (r"\bnp\.(?:float|int|uint|str|bytes|longdouble)\w*\(([^()]*)\)", r"\1"),
    (r"\bnp\.(True|False)_", r"\1"),
    (rf"<bound method {_NAME} of <[^<>]*>>", r"the method \1"),
    (rf"<(?:built-in )?(function|method|ufunc) {_NAME}(?: of [^<>]*)?>", r"the \1 \2"),
    (r"<class '(?:\w+\.)*(\w+)'>", r"the class \1"),
    (r"(?:\w+\.)*<locals>\.", ""),
)  # fmt: skip


def _in_words(text: str) -> str:
    """Text without Python's inner words: ``np.float64(2.0)`` -> 2.0, addresses left out."""
    for pattern, words in _INNER_WORDS:
        text = re.sub(pattern, words, text)
    return text


def _unanswered(answer, returns, raises) -> bool:
    """True for ``...``, None, and a function left as its stub or with a ``...`` in its result."""
    if answer is None or answer is ...:
        return True
    code = getattr(answer, "__code__", None)
    if code is None:
        return False
    if code.co_code in _STUBS and set(code.co_consts) <= {None, answer.__doc__}:
        return True
    for arguments, _ in (*returns, *raises):
        try:
            return answer(*_copies(arguments)) is ...
        except NotImplementedError:
            return True
        except Exception:
            return False
    return False


def _stub(): ...


def _documented_stub():
    """Does nothing."""


_STUBS = {_stub.__code__.co_code, _documented_stub.__code__.co_code}


def _copies(arguments: tuple) -> tuple:
    """Copies of arrays, so that an answer that changes its input cannot spoil the next case."""
    return tuple(a.copy() if isinstance(a, np.ndarray) else a for a in arguments)


def _plain(value: Any) -> Any:
    """A tensor of either framework as an array; anything else as it is."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    return value.numpy() if hasattr(value, "numpy") else value


def _equal(got: Any, expected: Any) -> bool:
    got, expected = _plain(got), _plain(expected)
    if isinstance(expected, (bool, np.bool_)):
        return np.asarray(got).dtype == bool and np.ndim(got) == 0 and bool(got == expected)
    if isinstance(expected, (str, bytes, type(None))):
        return isinstance(got, type(expected)) and got == expected
    if isinstance(expected, dict):
        same_keys = isinstance(got, dict) and got.keys() == expected.keys()
        return same_keys and all(_equal(got[key], expected[key]) for key in expected)
    if isinstance(expected, (tuple, list)):
        several = isinstance(got, (tuple, list)) or np.ndim(got) > 0
        same_length = several and not isinstance(got, (str, bytes, dict)) and len(got) == len(expected)
        return same_length and all(map(_equal, got, expected))
    try:
        got, expected = np.asarray(got), np.asarray(expected)
        return got.shape == expected.shape and bool(
            np.allclose(got, expected, rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True)
        )
    except (TypeError, ValueError):
        return bool(got == expected)


def _short(value: Any) -> str:
    value = _plain(value)
    if isinstance(value, np.ndarray) and value.ndim:
        words = f"an array of shape {value.shape}"
        numbers = " ".join(np.array2string(value, precision=4).split())  # on one line
        return words if value.size > 6 else f"{words}: {numbers}"
    text = _in_words(repr(value))
    return text if len(text) <= 80 else text[:77] + "…"


def _call(arguments: tuple) -> str:
    return f"for ({', '.join(_short(a) for a in arguments)}) it"
