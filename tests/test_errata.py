"""What the page of errata marks with ✓, run: one test for each of those entries, named by its number."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

import course_lib  # noqa: F401  before the frameworks
import tensorflow as tf
import torch

PAGE = Path(__file__).resolve().parents[1] / "book/errata.md"
keras = tf.keras


def test_each_mark_has_its_test_and_each_test_its_mark():
    entries = re.split(r"^### (\d+)\. ", PAGE.read_text("utf-8"), flags=re.M)[1:]
    marked = {int(number) for number, text in zip(entries[::2], entries[1::2]) if "✓" in text}
    here = [re.match(r"test_(\d+)_", name) for name in dir(sys.modules[__name__])]
    assert marked == {int(found[1]) for found in here if found}


def test_2_adam_divides_by_the_root_of_the_second_moment():
    rate, beta1, beta2, epsilon = 0.125, 0.75, 0.875, 1e-8
    theta = torch.tensor([1.0, -3.0], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([theta], rate, (beta1, beta2), epsilon)
    ours, m, v = np.array([1.0, -3.0]), 0.0, 0.0
    stated = ours.copy()
    for t in range(1, 6):
        optimizer.zero_grad()
        (theta**2).sum().backward()
        optimizer.step()
        gradient = 2 * ours
        m, v = beta1 * m + (1 - beta1) * gradient, beta2 * v + (1 - beta2) * gradient**2
        ours = ours - rate * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + epsilon)
        stated = stated - rate * m / (1 - beta1**t)
    np.testing.assert_allclose(theta.detach().numpy(), ours, rtol=1e-12)
    assert np.abs(stated - ours).max() > 0.1


def test_5_pytorch_refuses_an_empty_list_of_parameters():
    with pytest.raises(ValueError, match="empty parameter list"):
        torch.optim.Adam(torch.nn.Module().parameters())


def test_6_order_of_arguments_training_mode_and_logits():
    target, output = np.array([[0.0, 1.0]], np.float32), np.array([[0.2, 0.8]], np.float32)
    loss = keras.losses.CategoricalCrossentropy()
    assert float(loss(target, output)) == pytest.approx(-np.log(0.8), rel=1e-5)
    assert abs(float(loss(output, target)) - float(loss(target, output))) > 1
    logits = np.log(output) + 3
    told = keras.losses.CategoricalCrossentropy(from_logits=True)
    assert float(told(target, logits)) == pytest.approx(-np.log(0.8), rel=1e-5)
    assert abs(float(loss(target, logits)) - float(told(target, logits))) > 0.1
    model = keras.Sequential([keras.Input((100,)), keras.layers.Dropout(0.5)])
    ones = tf.ones((1, 100))
    assert float(tf.reduce_min(model(ones))) == 1
    assert float(tf.reduce_min(model(ones, training=True))) == 0


def test_14_tensorflow_has_no_backward_and_no_zero_grad():
    optimizer = keras.optimizers.Adam()
    assert not hasattr(optimizer, "zero_grad") and not hasattr(optimizer, "step")
    variable = tf.Variable(3.0)
    with tf.GradientTape() as tape:
        loss = variable**2
    assert not hasattr(loss, "backward")
    assert float(tape.gradient(loss, variable)) == 6


def test_15_convolution_in_both_frameworks_is_this_sum():
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((6, 5)), rng.standard_normal((3, 2))
    ours = np.array([[np.sum(x[i:i + 3, j:j + 2] * w) for j in range(4)] for i in range(4)])
    in_torch = torch.nn.functional.conv2d(torch.tensor(x)[None, None], torch.tensor(w)[None, None])
    in_tf = tf.nn.conv2d(x[None, :, :, None], w[:, :, None, None], 1, "VALID")
    np.testing.assert_allclose(in_torch[0, 0].numpy(), ours, atol=1e-12)
    np.testing.assert_allclose(in_tf[0, :, :, 0].numpy(), ours, atol=1e-12)
    assert np.ptp(ours) > 0.1  # it does depend on the position


def test_16_pooling_has_no_parameters():
    assert list(torch.nn.MaxPool2d(2).parameters()) == []
    pool = keras.layers.MaxPooling2D(2)
    pool.build((None, 8, 8, 3))
    assert pool.weights == []
    wide, narrow = torch.nn.Linear(64 * 14 * 14, 10), torch.nn.Linear(64 * 7 * 7, 10)
    assert narrow.weight.numel() * 4 == wide.weight.numel()


def test_17_the_last_step_of_a_padded_row_is_not_its_last_word():
    torch.manual_seed(0)
    lstm = torch.nn.LSTM(3, 4, batch_first=True)
    row = torch.randn(1, 2, 3)
    padded = torch.cat([row, torch.zeros(1, 5, 3)], dim=1)
    short, long = lstm(row)[0], lstm(padded)[0]
    assert torch.allclose(short[:, -1], long[:, 1], atol=1e-6)
    assert (short[:, -1] - long[:, -1]).abs().max() > 1e-2


def test_19_view_turns_36_rows_into_49():
    features = torch.arange(36.0).repeat_interleave(64 * 7 * 7).reshape(36, 64, 7, 7)
    rows = features.view(-1, 64 * 6 * 6)
    assert rows.shape == (49, 64 * 6 * 6)
    assert sum(len(row.unique()) > 1 for row in rows) == 35
    assert features.flatten(1).shape == (36, 64 * 7 * 7)
    for size in range(20, 32):  # two unpadded halvings
        assert (size // 2 // 2 == 6) == (24 <= size <= 27)


def test_20_a_module_has_no_size_and_softmax_of_one_number_is_one():
    assert not hasattr(torch.nn.Linear(2, 2), "size")
    assert torch.softmax(torch.randn(5, 1), dim=1).eq(1).all()
    with pytest.raises(RuntimeError):
        torch.randn(2, 3, 4, 1).bmm(torch.randn(2, 1, 3, 4))


def test_21_nan_to_num_deletes_nothing():
    data = np.array([1.0, np.nan, 3.0])
    assert np.nan_to_num(data).tolist() == [1.0, 0.0, 3.0]


def test_22_flip_reverses_the_batch_and_rot90_mixes_it_with_the_height():
    images = np.arange(3)[:, None, None] * np.ones((3, 4, 5))  # image k holds only k
    assert np.flip(images, axis=0)[:, 0, 0].tolist() == [2, 1, 0]
    assert np.rot90(images).shape == (4, 3, 5)
    turned = np.rot90(images, axes=(1, 2))
    assert turned.shape == (3, 5, 4) and turned[:, 0, 0].tolist() == [0, 1, 2]


def test_23_weighted_recall_is_accuracy_and_labels_have_no_second_axis():
    rng = np.random.default_rng(0)
    true, said = rng.integers(0, 4, 200), rng.integers(0, 4, 200)
    recalls = [np.mean(said[true == k] == k) for k in range(4)]
    shares = [np.mean(true == k) for k in range(4)]
    assert np.dot(recalls, shares) == pytest.approx(np.mean(true == said), abs=1e-12)
    with pytest.raises(ValueError):
        np.argmax(true, axis=1)


def test_27_only_a_mask_makes_padding_harmless():
    keras.utils.set_random_seed(0)
    for mask, harmless in ((True, True), (False, False)):
        model = keras.Sequential([keras.layers.Embedding(9, 3, mask_zero=mask), keras.layers.LSTM(4)])
        short, padded = np.array([[5, 7]]), np.array([[5, 7, 0, 0, 0]])
        apart = np.abs(model(short).numpy() - model(padded).numpy()).max()
        assert (apart < 1e-6) == harmless
