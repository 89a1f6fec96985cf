"""Answers to gpt's exercises: right ones in other styles are solved, plausible wrong ones are not."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

spec = importlib.util.spec_from_file_location(
    "exercises_of_pages", Path(__file__).with_name("test_exercises.py"))
pages = importlib.util.module_from_spec(spec)
spec.loader.exec_module(pages)
EXERCISES = {exercise.label: exercise for exercise in pages.EXERCISES}


def size(embeddings=1, biases=13, last=2):
    return lambda layers, width, vocabulary, context: (
        (embeddings * vocabulary + context) * width + layers * (12 * width**2 + biases * width)
        + last * width)


def rows_as_lists(ids, time):
    return [ids[i + 1 : i + 1 + time].tolist() for i in range(0, len(ids) - time, time)]


def top_p(stays, scaled=True, sort_back=True, refuse=True):
    def answer(p, share):
        if refuse and not 0 < share <= 1:
            raise ValueError(share)
        order = np.argsort(-p)
        ends = np.cumsum(p[order])
        kept = np.where(stays(ends, p[order], share), p[order], 0)
        kept = kept / kept.sum() if scaled else kept
        result = np.zeros(len(p))
        result[order if sort_back else slice(None)] = kept
        return result

    return answer


def crossing_stays(ends, p, share):
    return ends - p < share


RIGHT = {
    "ex-gpt-count": [size(), lambda *sizes: np.int64(size()(*sizes))],
    "ex-gpt-targets": [rows_as_lists, lambda ids, time: np.stack(
        [ids[1 + i : 1 + i + time] for i in range(0, len(ids) - time, time)])],
    "ex-gpt-top-p": [top_p(crossing_stays), lambda p, share: top_p(crossing_stays)(p, share).tolist()],
    "ex-gpt-port": [lambda z, t, n: tf.random.categorical(z[None] / t, n),
                    lambda z, t, n: tf.random.categorical(tf.nn.log_softmax(z / t)[None], n)[0].numpy()],
}
WRONG = {
    "ex-gpt-count": [size(embeddings=2), size(biases=0), size(last=0)],
    "ex-gpt-targets": [
        lambda ids, time: np.roll(ids, -1)[: len(ids) // time * time].reshape(-1, time),
        lambda ids, time: np.roll(ids[: len(ids) // time * time].reshape(-1, time), -1, axis=1),
        lambda ids, time: ids[: (len(ids) - 1) // time * time].reshape(-1, time)],
    "ex-gpt-top-p": [
        top_p(lambda ends, p, share: ends <= share), top_p(crossing_stays, scaled=False),
        top_p(crossing_stays, sort_back=False), top_p(crossing_stays, refuse=False)],
    "ex-gpt-port": [
        lambda z, t, n: tf.random.categorical(tf.nn.softmax(z / t)[None], n)[0],
        lambda z, t, n: tf.random.categorical(z[None], n)[0],
        lambda z, t, n: tf.random.categorical(z[None] * t, n)[0]],
}


def verdicts(label, answers, capsys):
    for answer in answers:
        def put(names, answer=answer):
            names[pages.stubs(EXERCISES[label])[0]] = answer

        yield pages.verdict(EXERCISES[label], capsys, put)


@pytest.mark.parametrize("label", RIGHT)
def test_other_styles_are_solved(label, capsys):
    assert set(verdicts(label, RIGHT[label], capsys)) == {f"{label}: solved"}


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("label", WRONG)
def test_plausible_mistakes_are_wrong_with_a_reason(label, capsys):
    found = list(verdicts(label, WRONG[label], capsys))
    assert len(found) >= 3 and all(text.startswith(f"{label}: wrong: ") for text in found), found
