"""Turning and shifting: against rot90 and slices, and equal in NumPy and both frameworks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.scratch.augmentation import bilinear, draw_motions, reading_places, warp


def in_torch(*arrays):
    import torch

    from course_lib.pytorch.augmentation import warp_torch

    return warp_torch(*(torch.from_numpy(a) for a in arrays)).numpy()


def in_tf(*arrays):
    import tensorflow as tf

    from course_lib.tensorflow.augmentation import warp_tf

    return warp_tf(*(tf.constant(a) for a in arrays)).numpy()


EVERYWHERE = pytest.mark.parametrize("move", [warp, in_torch, in_tf], ids=["numpy", "torch", "tf"])
FRAMEWORKS = pytest.mark.parametrize("move", [in_torch, in_tf], ids=["torch", "tf"])


def some_images(*shape, seed=0):
    return np.random.default_rng(seed).random(shape)


@EVERYWHERE
def test_no_motion_changes_nothing(move):
    images = some_images(3, 5, 8)
    np.testing.assert_allclose(move(images, np.zeros(3), np.zeros((3, 2))), images, atol=1e-14)


@EVERYWHERE
def test_a_positive_angle_turns_counter_clockwise(move):
    images = some_images(4, 6, 6)
    turns = np.arange(4)
    found = move(images, turns * np.pi / 2, np.zeros((4, 2)))
    for turn, image, moved in zip(turns, images, found):
        np.testing.assert_allclose(moved, np.rot90(image, turn), atol=1e-13)


@EVERYWHERE
def test_whole_shifts_go_down_and_right_and_leave_zeros(move):
    images = some_images(2, 5, 7)
    found = move(images, np.zeros(2), np.array([[1.0, 2.0], [-2.0, 0.0]]))
    np.testing.assert_allclose(found[0, 1:, 2:], images[0, :-1, :-2], atol=1e-13)
    np.testing.assert_allclose(found[1, :-2], images[1, 2:], atol=1e-13)
    assert abs(found[0, 0]).max() < 1e-13 and abs(found[0, :, :2]).max() < 1e-13
    assert abs(found[1, -2:]).max() < 1e-13


@EVERYWHERE
def test_half_a_pixel_is_the_mean_of_two(move):
    images = some_images(1, 3, 4)
    found = move(images, np.zeros(1), np.array([[0.0, 0.5]]))
    np.testing.assert_allclose(found[0, :, 1:], (images[0, :, 1:] + images[0, :, :-1]) / 2, atol=1e-14)
    np.testing.assert_allclose(found[0, :, 0], images[0, :, 0] / 2, atol=1e-14)  # 0 outside


@EVERYWHERE
def test_far_away_nothing_is_left(move):
    far = np.array([[40.0, 0], [0, -40.0], [4e6, 4e6]])
    assert abs(move(some_images(3, 9, 9), np.full(3, 0.3), far)).max() == 0


@EVERYWHERE
def test_each_image_has_its_own_motion(move):
    images, (angle, shift) = some_images(5, 7, 7), draw_motions(np.random.default_rng(1), 5)
    whole = move(images, angle, shift)
    for k in range(5):
        alone = move(images[k:k + 1], angle[k:k + 1], shift[k:k + 1])
        np.testing.assert_allclose(whole[k:k + 1], alone, atol=1e-14)


@FRAMEWORKS
@given(seed=st.integers(0, 1000), height=st.integers(1, 12), width=st.integers(1, 12))
@settings(max_examples=25, deadline=None)
def test_the_frameworks_make_the_same_images(move, seed, height, width):
    random = np.random.default_rng(seed)
    images, motions = random.random((4, height, width)), draw_motions(random, 4, 180, 5)
    np.testing.assert_allclose(move(images, *motions), warp(images, *motions), atol=1e-12)


@FRAMEWORKS
def test_float32_stays_float32_and_near(move):
    images = some_images(20, 28, 28)
    motions = draw_motions(np.random.default_rng(2), 20, 45, 5)
    found = move(images.astype(np.float32), *(m.astype(np.float32) for m in motions))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, warp(images, *motions), atol=2e-5)


@EVERYWHERE
def test_shapes_that_do_not_fit_are_refused_with_the_cure(move):
    with pytest.raises(ValueError, match=r"\(28, 28\).*needs a batch axis"):
        move(np.zeros((28, 28)), np.zeros(28), np.zeros((28, 2)))
    with pytest.raises(ValueError, match=r"\(4, 28, 28, 1\).*channel axis must go"):
        move(np.zeros((4, 28, 28, 1)), np.zeros(4), np.zeros((4, 2)))
    with pytest.raises(ValueError, match=r"4 images need angles \(4,\).*not \(1,\)"):
        move(np.zeros((4, 28, 28)), np.zeros(1), np.zeros((4, 2)))
    with pytest.raises(ValueError, match=r"shifts \(4, 2\).*\(2, 4\)"):
        move(np.zeros((4, 28, 28)), np.zeros(4), np.zeros((2, 4)))


@given(st.integers(0, 200), st.floats(0, 180), st.floats(0, 20))
def test_motions_stay_in_their_range(seed, degrees, pixels):
    angle, shift = draw_motions(np.random.default_rng(seed), 30, degrees, pixels)
    assert angle.shape == (30,) and shift.shape == (30, 2)
    assert abs(angle).max() <= np.deg2rad(degrees) and abs(shift).max() <= pixels


def test_motions_fill_their_range_and_a_negative_one_is_refused():
    angle, shift = draw_motions(np.random.default_rng(0), 2000, 10, 3)
    for values, limit in ((angle, np.deg2rad(10)), (shift[:, 0], 3), (shift[:, 1], 3)):
        assert values.min() < -0.95 * limit and values.max() > 0.95 * limit
    with pytest.raises(ValueError, match="0 or more, not .*-1"):
        draw_motions(np.random.default_rng(0), 5, degrees=-1)


def test_places_of_no_motion_are_the_pixels_themselves():
    rows, columns = reading_places(np.zeros(1), np.zeros((1, 2)), 3, 4)
    assert rows.tolist() == [[[r] * 4 for r in range(3)]]
    assert columns.tolist() == [[[0, 1, 2, 3]] * 3]


def test_bilinear_keeps_the_shape_of_the_places():
    images, places = some_images(2, 3, 4), np.full((2, 1, 5), 1.25)
    found = bilinear(images, places, places)
    wanted = (0.75 * (0.75 * images[:, 1, 1] + 0.25 * images[:, 1, 2])
              + 0.25 * (0.75 * images[:, 2, 1] + 0.25 * images[:, 2, 2]))
    assert found.shape == (2, 1, 5)
    np.testing.assert_allclose(found, np.broadcast_to(wanted[:, None, None], found.shape))


# --- what can be known of a GPU without one ---------------------------------------------------


def test_the_torch_warp_leaves_nothing_on_the_cpu():
    import torch

    from course_lib.pytorch.augmentation import warp_torch

    shapes = (8, 28, 28), (8,), (8, 2)
    with torch.device("meta"):
        moved = warp_torch(*(torch.zeros(shape, device="meta") for shape in shapes))
    assert moved.device.type == "meta" and moved.shape == (8, 28, 28)


def test_the_tensorflow_warp_lies_on_the_gpu():
    import tensorflow as tf

    from course_lib.tensorflow.augmentation import warp_tf

    def on_gpu(images, angle, shift):
        with tf.device("/GPU:0"):
            return warp_tf(images, angle, shift)

    arrays = tf.zeros((8, 28, 28)), tf.zeros(8), tf.zeros((8, 2))
    graph = tf.function(on_gpu, autograph=False).get_concrete_function(*arrays).graph
    compute = [op for op in graph.get_operations()
               if op.type not in {"Placeholder", "NoOp", "Identity", "Const"}]
    assert len(compute) > 10
    assert [op.name for op in compute if "GPU:0" not in op.device] == []
