"""The spoken vowels: read, split, standardised with the training part alone, and chained."""

import numpy as np
import pytest

from course_lib.data import DataError, load, vowels


@pytest.fixture(scope="module")
def splits():
    return load("vowels")


def parts(splits):
    for name in ("train", "validation", "test"):
        yield getattr(splits, f"x_{name}"), getattr(splits, f"y_{name}")


def test_the_utterances_are_all_there(splits):
    assert [len(x) for x, _ in parts(splits)] == [216, 54, 370]
    assert np.bincount(splits.y_train).tolist() == [24] * 9
    assert np.bincount(splits.y_validation).tolist() == [6] * 9
    assert np.bincount(splits.y_test).tolist() == [31, 35, 88, 44, 29, 24, 40, 50, 29]
    lengths = [len(s) for x, _ in parts(splits) for s in x]
    assert (min(lengths), max(lengths), max(map(len, splits.x_test))) == (7, 29, 29)
    for x, y in parts(splits):
        assert y.dtype == np.int64 and len(x) == len(y)
        assert all(s.dtype == np.float32 and s.shape[1] == 12 for s in x)
    assert repr(splits) == ("vowels: train 216, validation 54, test 370 sequences of 7 to 29 steps"
                            " of 12 features")


def test_no_utterance_comes_twice(splits):
    seen = [s.tobytes() for x, _ in parts(splits) for s in x]
    assert len(seen) == len(set(seen)) == 640


def test_labels_fit_their_utterances(splits):
    means = np.stack([np.mean([s.mean(0) for s, label in zip(splits.x_train, splits.y_train)
                               if label == k], axis=0) for k in range(9)])
    averages = np.stack([s.mean(0) for s in splits.x_test])
    nearest = ((averages[:, None] - means) ** 2).sum(2).argmin(1)
    assert np.mean(nearest == splits.y_test) > 0.8


def test_only_the_training_frames_are_standardised_exactly(splits):
    scaled = splits.standardised()
    frames = np.concatenate(scaled.x_train).astype(np.float64)
    np.testing.assert_allclose(frames.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(frames.std(0), 1, atol=1e-5)
    mean = np.concatenate(splits.x_train).mean(0)
    wanted = (splits.x_test[3] - mean) / np.concatenate(splits.x_train).std(0)
    np.testing.assert_allclose(scaled.x_test[3], wanted, atol=1e-4)
    assert np.abs(np.concatenate(scaled.x_test).mean(0)).max() > 1e-3
    assert np.array_equal(scaled.y_test, splits.y_test)


LINE = ":".join(["1.0,2.0"] * 12)


@pytest.mark.parametrize("text, words", [
    ("@data\n" + ":".join(["1.0,2.0"] * 11) + ":3\n", r"line 2: expected 12 series.*\(11, 2\)"),
    ("@data\n" + LINE + ":10\n", "line 2: speaker 10 is not in 1..9"),
    ("@data\n" + LINE + ":one\n", "line 2: invalid literal"),
    ("@data\n\n" + LINE.replace("2.0", "?", 1) + ":1\n", "line 3"),
    ("@data\n" + LINE.replace("2.0", "nan", 1) + ":1\n", "line 2: expected 12 series"),
    ("@data\n" + LINE.replace("1.0,2.0", "1.0", 1) + ":1\n", "line 2"),
    (LINE + ":1\n", "holds no utterance after a line @data"),
])
def test_a_file_of_the_wrong_form_is_refused(tmp_path, text, words):
    path = tmp_path / "vowels.ts"
    path.write_text(text)
    with pytest.raises(DataError, match=words):
        vowels.read_ts(path)


def test_a_right_file_is_read(tmp_path):
    path = tmp_path / "vowels.ts"
    path.write_text("#1,2:3\n@classLabel true 1 2\n@DATA\n" + LINE + ":9\n\n" + LINE + ":1\n")
    (first, _), labels = vowels.read_ts(path)
    assert first.tolist() == [[1.0] * 12, [2.0] * 12] and labels.tolist() == [8, 0]


def test_a_chain_begins_with_the_utterance_of_its_label(splits):
    found, labels = vowels.chains(splits.x_test, splits.y_test, 20, 40, np.random.default_rng(3))
    assert len(found) == len(labels) == 20 and len(set(labels.tolist())) > 3
    for chain, label in zip(found, labels):
        starts = [k for k, s in enumerate(splits.x_test) if np.array_equal(chain[: len(s)], s)]
        assert any(splits.y_test[k] == label and len(chain) == len(splits.x_test[k]) + 40
                   for k in starts)
    alone, _ = vowels.chains(splits.x_test, splits.y_test, 5, 0, np.random.default_rng(3))
    assert max(map(len, alone)) <= 29


@pytest.mark.parametrize("count, extra", [(0, 4), (3, -1)])
def test_a_chain_says_what_it_needs(splits, count, extra):
    with pytest.raises(ValueError, match="at least"):
        vowels.chains(splits.x_test, splits.y_test, count, extra, np.random.default_rng(0))
