"""The exercises on attention: right answers of other kinds, and wrong ones that sound plausible."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from test_exercises import EXERCISES, verdict

BY_LABEL = {exercise.label: exercise for exercise in EXERCISES if exercise.page.stem == "attention"}


def repaired(divide=lambda q, k: np.sqrt(q.shape[1]), axis=1, end=lambda w, v: w @ v):
    def answer(q, k, v):
        scores = np.asarray(q) @ np.asarray(k).T / divide(q, k)
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return end(powers / powers.sum(axis=axis, keepdims=True), v)
    return answer


def by_loops(q, k, v):
    rows = []
    for one in q:
        weights = np.exp([float(one @ key) / len(one) ** 0.5 for key in k])
        rows.append([float(x) for x in (weights / weights.sum()) @ v])
    return rows


def with_torch(q, k, v):
    return torch.nn.functional.scaled_dot_product_attention(*map(torch.tensor, (q, k, v)))


RIGHT = [
    ("ex-att-spread", "variances", lambda d: [4 * d, 4.0]),
    ("ex-att-spread", "variances", lambda d: np.array([4.0 * d, 4])),
    ("ex-att-bugs", "repaired", by_loops),
    ("ex-att-bugs", "repaired", with_torch),
    ("ex-att-port", "keras_mask", lambda p, a: np.logical_not(p[:, None] | a)),
    ("ex-att-port", "keras_mask", lambda p, a: (~p[:, None, :] & ~a).tolist()),
    ("ex-att-port", "keras_mask", lambda p, a: torch.tensor(~p)[:, None] & torch.tensor(~a)),
]
WRONG = [
    ("ex-att-spread", "variances", lambda d: (d, 1), "expected"),
    ("ex-att-spread", "variances", lambda d: (4 * d, 4 * np.sqrt(d)), "expected"),
    ("ex-att-spread", "variances", lambda d: (2 * np.sqrt(d), 2), "expected"),
    ("ex-att-bugs", "repaired", repaired(axis=0), "must add up to 1"),
    ("ex-att-bugs", "repaired", repaired(axis=None), "must add up to 1"),
    ("ex-att-bugs", "repaired", repaired(end=lambda w, v: (w[:, :, None] * v).max(axis=1)), "is a sum"),
    ("ex-att-bugs", "repaired", repaired(divide=lambda q, k: np.sqrt(len(k))), "compare with attend"),
    ("ex-att-bugs", "repaired", repaired(divide=lambda q, k: q.shape[1]), "compare with attend"),
    ("ex-att-bugs", "repaired", repaired(divide=lambda q, k: 1), "compare with attend"),
    ("ex-att-port", "keras_mask", lambda p, a: p[:, None] | a, "may look at itself"),
    ("ex-att-port", "keras_mask", lambda p, a: ~p[:, None] | ~a, "is blocked"),
    ("ex-att-port", "keras_mask", lambda p, a: ~a, "must be (batch, queries, keys)"),
    ("ex-att-port", "keras_mask", lambda p, a: ~p[:, :, None] & ~a, "(batch, 1, keys)"),
    ("ex-att-port", "keras_mask", lambda p, a: ~p[:, None] & np.tri(*a.shape, dtype=bool),
     "need not be causal"),
]


@pytest.mark.parametrize(("label", "name", "answer"), RIGHT)
def test_right_answers_of_any_kind_are_accepted(label, name, answer, capsys):
    said = verdict(BY_LABEL[label], capsys, lambda names: names.update({name: answer}))
    assert said == f"{label}: solved"


@pytest.mark.parametrize(("label", "name", "answer", "told"), WRONG)
def test_wrong_answers_are_told_why(label, name, answer, told, capsys):
    said = verdict(BY_LABEL[label], capsys, lambda names: names.update({name: answer}))
    assert said.startswith(f"{label}: wrong") and told in said
