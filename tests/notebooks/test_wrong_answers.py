"""Wrong answers that a reader may well give are told so, with a reason; other right ones pass."""

import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).resolve().parent)]
from test_exercises import EXERCISES, verdict  # noqa: E402

BY_LABEL = {exercise.label: exercise for exercise in EXERCISES}

WRONG = {
    "ex-bert-words": [
        "def whole_words(starts, chosen):\n    return chosen",
        # to the right alone: the pieces before the chosen one are left
        "def whole_words(starts, chosen):\n    found, on = [], False\n"
        "    for s, c in zip(starts, chosen):\n        on = c or (on and not s)\n"
        "        found.append(on)\n    return found",
        # the word behind as well
        "def whole_words(starts, chosen):\n    w = np.cumsum(starts)\n"
        "    hit = w[np.asarray(chosen, bool)]\n    return np.isin(w, hit) | np.isin(w, hit + 1)",
        "def whole_words(starts, chosen):\n    return [i for i, c in enumerate(chosen) if c]"],
    "ex-bert-bug": [
        "def masked(ids, random):\n    return buggy_masked(ids, random)",
        # every chosen token is the mask
        "def masked(ids, random):\n    asked = random.random(ids.shape) < 0.15\n"
        "    return np.where(asked, 1, ids), np.where(asked, ids, -100)",
        # 80/20/0: none stays
        "def masked(ids, random):\n    asked = random.random(ids.shape) < 0.15\n"
        "    kind = random.random(ids.shape)\n    other = random.integers(2, 1024, ids.shape)\n"
        "    inputs = np.where(asked, np.where(kind < 0.8, 1, other), ids)\n"
        "    return inputs, np.where(asked, ids, -100)",
        # asks for the spoiled tokens
        "def masked(ids, random):\n    inputs, targets = buggy_masked(ids, random)\n"
        "    return inputs, np.where(targets != -100, inputs, -100)",
        # all tokens are asked for
        "def masked(ids, random):\n    return buggy_masked(ids, random)[0], ids"],
    "ex-bert-port": [
        # the mean over all tokens, asked for or not
        "def masked_loss(logits, targets):\n    asked = targets != -100\n"
        "    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(\n"
        "        labels=tf.where(asked, targets, 0), logits=logits)\n"
        "    return tf.reduce_mean(losses * tf.cast(asked, losses.dtype))",
        "def masked_loss(logits, targets):\n"
        "    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(\n"
        "        labels=tf.maximum(targets, 0), logits=logits))",
        "def masked_loss(logits, targets):\n"
        "    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(\n"
        "        labels=targets, logits=logits))",
        # the mean of the texts' means
        "def masked_loss(logits, targets):\n    asked = tf.cast(targets != -100, logits.dtype)\n"
        "    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(\n"
        "        labels=tf.maximum(targets, 0), logits=logits) * asked\n"
        "    each = tf.reduce_sum(losses, 1) / tf.maximum(tf.reduce_sum(asked, 1), 1)\n"
        "    return tf.reduce_mean(each)"],
}
RIGHT = {
    "ex-bert-words": [
        "def whole_words(starts, chosen):\n    word, n = [], -1\n    for s in starts:\n"
        "        n += s\n        word.append(n)\n    hit = {w for w, c in zip(word, chosen) if c}\n"
        "    return [w in hit for w in word]"],
    "ex-bert-port": [
        "def masked_loss(logits, targets):\n    asked = targets != -100\n"
        "    return float(tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(\n"
        "        labels=tf.boolean_mask(targets, asked),"
        " logits=tf.boolean_mask(logits, asked))))"],
}


def answers(table):
    return [pytest.param(label, code, id=f"{label}-{i}")
            for label, codes in table.items() for i, code in enumerate(codes)]


def said(label, code, capsys):
    return verdict(BY_LABEL[label], capsys, lambda names: exec(compile(code, label, "exec"), names))


@pytest.mark.parametrize("label, code", answers(WRONG))
def test_a_plausible_wrong_answer_is_told_why(label, code, capsys):
    words = said(label, code, capsys)
    assert words.startswith(f"{label}: wrong: ") and len(words) > len(label) + 20


@pytest.mark.parametrize("label, code", answers(RIGHT))
def test_another_right_answer_is_solved(label, code, capsys):
    assert said(label, code, capsys) == f"{label}: solved"
