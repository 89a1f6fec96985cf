"""Kneser-Ney: equal to a worked example and to a literal reference, and always a distribution."""

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.scratch import ngram
from course_lib.scratch.ngram import KneserNey


def text(seed, tokens=600, vocab_size=9):
    """Documents that repeat themselves enough for discounts of every order."""
    random = np.random.default_rng(seed)
    table = random.dirichlet(np.full(vocab_size, 0.3), vocab_size)
    found = [0]
    for _ in range(tokens):
        found.append(random.choice(vocab_size, p=table[found[-1]]))
    return [found[:tokens // 2], found[tokens // 2:]]


# --- a literal reference --------------------------------------------------------------------


def literal(documents, order, vocab_size):
    """P(token | context) straight from the paper's formulas, with dictionaries."""
    start = ("<s>",) * (order - 1)
    counts = {order: Counter()}
    for ids in documents:
        marked = start + tuple(ids)
        for i in range(len(ids)):
            counts[order][marked[i:i + order]] += 1
    for size in range(order - 1, 0, -1):
        before = defaultdict(set)
        for gram in counts[size + 1]:
            before[gram[1:]].add(gram[0])
        counts[size] = Counter({gram: len(left) for gram, left in before.items()})

    def cut(size, count):
        n = Counter(counts[size].values())
        if not all(n[k] for k in (1, 2, 3, 4)):
            return {0: 0, 1: 0.5, 2: 1.0}.get(count, 1.5)
        y = n[1] / (n[1] + 2 * n[2])
        k = min(count, 3)
        return min(max(k - (k + 1) * y * n[k + 1] / n[k], 0), k) if k else 0

    def p(token, context, size):
        if size == 0:
            return 1 / vocab_size
        context = context[len(context) - (size - 1):]
        following = {g: c for g, c in counts[size].items() if g[:-1] == context}
        lower = p(token, context, size - 1)
        if not following:
            return lower
        total = sum(following.values())
        count = counts[size].get((*context, token), 0)
        freed = sum(cut(size, c) for c in following.values())
        return (count - cut(size, count)) / total + freed / total * lower

    return lambda token, context: p(token, start + tuple(context), order)


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test_probabilities_equal_the_literal_ones(order):
    documents = text(seed=order)
    model = KneserNey(order, 9).fit(documents)
    wanted = literal(documents, order, 9)
    random = np.random.default_rng(0)
    for context in [(), *(tuple(random.integers(0, 9, k)) for k in (1, 2, 3, 4, 7))]:
        expected = [wanted(token, context) for token in range(9)]
        np.testing.assert_allclose(model.distribution(context), expected, rtol=1e-12)


def test_a_worked_example():
    # 0 1 0 1 1 after a start mark: bigrams (0 1) twice, the three others once. Discounts 0.5, 1.
    model = KneserNey(2, 3).fit([[0, 1, 0, 1, 1]])
    np.testing.assert_allclose(model.tables[0].counts, [2, 2])     # tokens 0, 1: each after two
    np.testing.assert_allclose(model.distribution([0]), [5 / 24, 17 / 24, 2 / 24])
    np.testing.assert_allclose(model.distribution([1]), [11 / 24, 11 / 24, 2 / 24])
    np.testing.assert_allclose(model.distribution([2]), [5 / 12, 5 / 12, 2 / 12])


def test_discounts_are_the_formulas():
    counts = np.array([1, 1, 1, 1, 2, 2, 3, 4, 9])                 # Y = 4 / (4 + 4)
    np.testing.assert_allclose(ngram.discounts(counts), [0, 0.5, 1.25, 1])
    np.testing.assert_allclose(ngram.discounts(counts[:6]), [0, 0.5, 1, 1.5])


@given(st.integers(1, 4), st.integers(0, 5), st.lists(st.integers(0, 8), max_size=6))
@settings(max_examples=60, deadline=None)
def test_every_context_gives_a_distribution(order, seed, context):
    p = KneserNey(order, 9).fit(text(seed, tokens=200)).distribution(context)
    assert p.shape == (9,) and p.min() > 0 and abs(p.sum() - 1) < 1e-12


def test_losses_are_those_of_each_distribution():
    documents = text(3)
    model = KneserNey(3, 9).fit(documents)
    ids = [1, 4, 4, 2, 8]
    each = [-np.log(model.distribution(ids[:i])[ids[i]]) for i in range(5)]
    np.testing.assert_allclose(model.losses(ids), each)


def test_a_context_is_known_where_it_stood_in_training():
    model = KneserNey(3, 4).fit([[0, 1, 2, 0]])
    assert model.knows([0, 1, 2], 1).tolist() == [True, True, True]
    assert model.knows([1, 2, 3, 0], 1).tolist() == [True, True, True, False]
    assert model.knows([0, 1, 1], 2).tolist() == [True, True, True]
    assert model.knows([2, 1, 1], 2).tolist() == [True, False, False]
    with pytest.raises(ValueError, match="between 1 and 2"):
        model.knows([0], 3)


def test_a_longer_memory_predicts_its_own_text_better():
    documents = text(1)
    losses = [KneserNey(n, 9).fit(documents).losses(documents[0]).mean() for n in (1, 2, 3)]
    assert losses[0] > losses[1] > losses[2]


@pytest.mark.parametrize(("call", "words"), [
    (lambda: KneserNey(0, 9), "order 0"), (lambda: KneserNey(7, 1024), "below 2"),
    (lambda: KneserNey(2, 9).fit([]), "nothing to count"),
    (lambda: KneserNey(2, 9).fit([[]]), "nothing to count"),
    (lambda: KneserNey(2, 9).fit([[9]]), r"0\.\.8, not 9\.\.9"),
    (lambda: KneserNey(2, 9).distribution([0]), "call fit first"),
    (lambda: KneserNey(2, 9).fit([[1]]).distribution([-1]), r"0\.\.8"),
    (lambda: KneserNey(2, 9).fit([[1]]).probabilities([[1, 9]]), r"0\.\.8"),
    (lambda: KneserNey(2, 9).fit([[1]]).probabilities([[1]]), r"\(rows, 2\)")])
def test_what_cannot_be_used_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
