"""Faults of images and labels: each is found, named, and told how to mend."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.data import DataError
from course_lib.data.cleaning import check_images, neighbours, same_images


def good(n=10, shape=(6, 5)):
    random = np.random.default_rng(0)
    return random.random((n, *shape)), np.arange(n) % 3


def test_good_images_pass_in_silence(capsys):
    assert check_images(*good(), classes=3) is None
    check_images(*good(), classes=3, shape=(6, 5))
    check_images(*good(shape=(6, 5, 3)), classes=3, shape=(6, 5, 3))
    assert capsys.readouterr().out == ""


def spoilt(kind):
    images, labels = good()
    changes = {
        "one image": (images[0], labels),
        "columns": (images.reshape(10, 30), labels),
        "fewer labels": (images, labels[:-1]),
        "a column of labels": (images, labels[:, None]),
        "from one": (images, labels + 1),
        "negative": (images, labels - 1),
        "names": (images, labels.astype(float)),
        "bytes": (images * 255, labels),
        "below 0": (images - 0.5, labels),
    }
    return changes[kind]


@pytest.mark.parametrize("kind, words", [
    ("one image", r"shape \(height, width\), not \(5,\).*batch axis"),
    ("columns", r"not \(30,\).*reshape"),
    ("fewer labels", r"10 images need labels \(10,\), not \(9,\).*dropped"),
    ("a column of labels", r"not \(10, 1\)"),
    ("from one", r"0\.\.2; found int64 from 1 to 3.*Map"),
    ("negative", r"from -1 to 1"),
    ("names", "found float64"),
    ("bytes", r"0\.\.1, not .*divide by 255"),
    ("below 0", r"0\.\.1, not -0\."),
])
def test_each_fault_is_named_with_the_cure(kind, words):
    with pytest.raises(DataError, match="^my set: .*" + words):
        check_images(*spoilt(kind), classes=3, name="my set")


@pytest.mark.parametrize("hole", [np.nan, np.inf, -np.inf])
def test_missing_values_are_counted(hole):
    images, labels = good()
    images[3, 0, 0] = images[3, 1, 1] = images[7, 2, 2] = hole
    with pytest.raises(DataError, match="2 images hold missing.*number 3; drop them, or fill"):
        check_images(images, labels, classes=3)


def test_the_wanted_shape_is_held_to():
    with pytest.raises(DataError, match=r"must have shape \(32, 32\), not \(6, 5\); crop"):
        check_images(*good(), classes=3, shape=(32, 32))


@given(st.lists(st.integers(0, 4), min_size=1, max_size=20))
def test_copies_point_to_the_first(kinds):
    images = np.random.default_rng(0).random((5, 2, 3))[kinds]
    assert same_images(images).tolist() == [kinds.index(kind) for kind in kinds]


def test_copies_are_found_in_a_view_that_is_not_contiguous():
    images = np.random.default_rng(0).random((4, 3, 3))
    images[2] = images[0]
    assert same_images(images[:, ::-1, ::-1]).tolist() == [0, 1, 0, 3]


@pytest.mark.parametrize("block", [1, 3, 500])
def test_neighbours_are_those_of_a_plain_search(block):
    images = np.random.default_rng(1).random((17, 4, 3))
    apart = np.sqrt(((images[:, None] - images) ** 2).sum(axis=(2, 3)))
    np.fill_diagonal(apart, np.inf)
    near, distance = neighbours(images, 4, block=block)
    np.testing.assert_array_equal(near, np.argsort(apart, axis=1)[:, :4])
    np.testing.assert_allclose(distance, np.sort(apart, axis=1)[:, :4], atol=1e-7)


def test_neighbours_among_others():
    others = np.random.default_rng(2).random((9, 4, 3))
    near, distance = neighbours(others[[5, 2]], 1, among=others)
    assert near.tolist() == [[5], [2]]
    assert distance.max() < 1e-6


def test_copies_are_each_others_neighbours_and_not_their_own():
    images = np.random.default_rng(3).random((6, 4))
    images[4] = images[1]
    near, distance = neighbours(images, 1)
    assert near[4, 0] == 1 and near[1, 0] == 4 and distance[1, 0] < 1e-6


def test_too_many_neighbours_and_other_shapes_are_refused():
    images = np.zeros((5, 3, 3))
    for count in (0, 5):
        with pytest.raises(ValueError, match=f"count is {count}; it must lie in 1..4"):
            neighbours(images, count)
    assert neighbours(images, 5, among=images)[0].shape == (5, 5)
    with pytest.raises(ValueError, match=r"\(3, 3\) cannot be compared with \(2, 3\)"):
        neighbours(images, 1, among=np.zeros((4, 2, 3)))
