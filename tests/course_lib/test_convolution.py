"""Convolution and pooling against the loops of the formula, both frameworks and differences."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.scratch import convolution as conv


@st.composite
def layers(draw):
    """Maps, kernels, bias, stride and padding of a convolution that fits, and a random slope."""
    kernel = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    stride, padding = draw(st.integers(1, 3)), draw(st.integers(0, 2))
    height, width = (draw(st.integers(max(1, k - 2 * padding), 9)) for k in kernel)
    batch, inputs, outputs = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    random = np.random.default_rng(draw(st.integers(0, 2**16)))
    maps = random.normal(size=(batch, inputs, height, width))
    kernels = random.normal(size=(outputs, inputs, *kernel))
    size = [conv.output_size(n, k, stride, padding) for n, k in zip((height, width), kernel)]
    slope = random.normal(size=(batch, outputs, *size))
    return maps, kernels, random.normal(size=outputs), stride, padding, slope


@st.composite
def pools(draw):
    size = draw(st.integers(1, 3))
    stride, padding = draw(st.integers(1, 3)), draw(st.integers(0, size // 2))
    random = np.random.default_rng(draw(st.integers(0, 2**16)))
    height, width = draw(st.integers(size, 8)), draw(st.integers(size, 8))
    # few different numbers, so that windows hold equal ones
    maps = random.integers(-2, 3, size=(2, 3, height, width)).astype(float)
    rows, columns = (conv.output_size(n, size, stride, padding) for n in (height, width))
    return maps, size, stride, padding, random.normal(size=(2, 3, rows, columns))


def by_loops(maps, kernels, bias, stride, padding):
    """The formula, index by index."""
    batch, inputs, height, width = maps.shape
    outputs, _, high, wide = kernels.shape
    rows = (height + 2 * padding - high) // stride + 1
    columns = (width + 2 * padding - wide) // stride + 1
    out = np.empty((batch, outputs, rows, columns))
    for n, o, i, j in np.ndindex(*out.shape):
        out[n, o, i, j] = bias[o]
        for c, u, v in np.ndindex(inputs, high, wide):
            y, x = i * stride + u - padding, j * stride + v - padding
            if 0 <= y < height and 0 <= x < width:
                out[n, o, i, j] += kernels[o, c, u, v] * maps[n, c, y, x]
    return out


@given(layers())
@settings(max_examples=40, deadline=None)
def test_convolution_equals_the_loops_of_the_formula(layer):
    *arguments, slope = layer
    found = conv.convolve(*arguments)
    np.testing.assert_allclose(found, by_loops(*arguments), rtol=1e-12, atol=1e-12)
    assert found.shape == slope.shape and found.dtype == np.float64


@given(layers())
@settings(max_examples=40, deadline=None)
def test_convolution_and_gradients_equal_pytorch(layer):
    import torch

    *arrays, stride, padding, slope = layer
    maps, kernels, bias = tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
    out = torch.nn.functional.conv2d(maps, kernels, bias, stride=stride, padding=padding)
    out.backward(torch.tensor(slope))
    np.testing.assert_allclose(conv.convolve(*arrays, stride, padding), out.detach().numpy(), rtol=1e-12, atol=1e-12)
    found = conv.convolve_gradients(slope, *arrays[:2], stride, padding)
    for ours, tensor in zip(found, tensors, strict=True):
        np.testing.assert_allclose(ours, tensor.grad.numpy(), rtol=1e-12, atol=1e-11)


@given(layers())
@settings(max_examples=30, deadline=None)
def test_convolution_and_gradients_equal_tensorflow(layer):
    import tensorflow as tf

    *arrays, stride, padding, slope = layer
    maps, kernels, bias = (tf.Variable(a) for a in arrays)
    with tf.GradientTape() as tape:
        inputs = tf.pad(tf.transpose(maps, (0, 2, 3, 1)), ((0, 0), (padding,) * 2, (padding,) * 2, (0, 0)))
        out = tf.nn.conv2d(inputs, tf.transpose(kernels, (2, 3, 1, 0)), stride, "VALID") + bias
        out = tf.transpose(out, (0, 3, 1, 2))
        total = tf.reduce_sum(out * slope)
    np.testing.assert_allclose(conv.convolve(*arrays, stride, padding), out.numpy(), rtol=1e-12, atol=1e-12)
    found = conv.convolve_gradients(slope, *arrays[:2], stride, padding)
    for ours, wanted in zip(found, tape.gradient(total, (maps, kernels, bias)), strict=True):
        np.testing.assert_allclose(ours, wanted.numpy(), rtol=1e-12, atol=1e-11)


@given(layers())
@settings(max_examples=10, deadline=None)
def test_gradients_equal_differences(layer):
    *arrays, stride, padding, slope = layer
    found = conv.convolve_gradients(slope, *arrays[:2], stride, padding)
    random = np.random.default_rng(0)
    for place, gradient in enumerate(found):
        direction = random.normal(size=gradient.shape)
        sides = []
        for step in (1e-5, -1e-5):
            there = [a + step * direction if i == place else a for i, a in enumerate(arrays)]
            sides.append(np.sum(slope * conv.convolve(*there, stride, padding)))
        assert (sides[0] - sides[1]) / 2e-5 == pytest.approx(np.sum(gradient * direction), rel=1e-6, abs=1e-6)


@given(pools())
@settings(max_examples=40, deadline=None)
def test_pooling_equals_pytorch_also_where_numbers_are_equal(pool):
    import torch

    maps, size, stride, padding, slope = pool
    kinds = ((torch.nn.functional.max_pool2d, conv.max_pool, conv.max_pool_gradient),
             (torch.nn.functional.avg_pool2d, conv.average_pool, conv.average_pool_gradient))
    for theirs, ours, gradient in kinds:
        tensor = torch.tensor(maps, requires_grad=True)
        out = theirs(tensor, size, stride, padding)
        out.backward(torch.tensor(slope))
        np.testing.assert_allclose(ours(maps, size, stride, padding), out.detach().numpy(), rtol=1e-13, atol=1e-13)
        found = gradient(slope, maps, size, stride, padding)
        np.testing.assert_allclose(found, tensor.grad.numpy(), rtol=1e-13, atol=1e-13)


@given(pools())
@settings(max_examples=30, deadline=None)
def test_pooling_equals_tensorflow_without_padding(pool):
    import tensorflow as tf

    maps, size, stride, _, _ = pool
    kinds = ((tf.nn.max_pool2d, conv.max_pool, conv.max_pool_gradient),
             (tf.nn.avg_pool2d, conv.average_pool, conv.average_pool_gradient))
    for theirs, ours, gradient in kinds:
        wanted = ours(maps, size, stride)
        slope = np.random.default_rng(1).normal(size=wanted.shape)
        inputs = tf.Variable(maps.transpose(0, 2, 3, 1))
        with tf.GradientTape() as tape:
            out = theirs(inputs, size, stride, "VALID")
            total = tf.reduce_sum(out * slope.transpose(0, 2, 3, 1))
        np.testing.assert_allclose(wanted, out.numpy().transpose(0, 3, 1, 2), rtol=1e-13, atol=1e-13)
        theirs_back = tape.gradient(total, inputs).numpy().transpose(0, 3, 1, 2)
        np.testing.assert_allclose(gradient(slope, maps, size, stride), theirs_back, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("size", [1, 2, 7, 28])
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", [0, 1, 2])
def test_the_output_size_counts_the_windows_that_fit(size, kernel, stride, padding):
    starts = [s for s in range(0, size + 2 * padding, stride) if s + kernel <= size + 2 * padding]
    if starts:
        assert conv.output_size(size, kernel, stride, padding) == len(starts)
    else:
        with pytest.raises(ValueError, match="does not fit"):
            conv.output_size(size, kernel, stride, padding)


def test_windows_and_add_windows_are_adjoint():
    random = np.random.default_rng(2)
    maps = random.normal(size=(2, 3, 7, 6))
    view = conv.windows(maps, (3, 2), stride=2, padding=1)
    pieces = random.normal(size=view.shape)
    back = conv.add_windows(pieces, maps.shape, stride=2, padding=1)
    assert np.sum(view * pieces) == pytest.approx(np.sum(maps * back), rel=1e-13)


def test_moved_moves_each_image_by_its_own_pixels():
    images = np.arange(1, 25.0).reshape(2, 3, 4)
    found = conv.moved(images, np.array([1, 0]), np.array([0, -2]))
    np.testing.assert_array_equal(found[0], np.vstack([np.zeros(4), images[0, :2]]))
    np.testing.assert_array_equal(found[1], np.hstack([images[1, :, 2:], np.zeros((3, 2))]))
    np.testing.assert_array_equal(conv.moved(images, 0, 0), images)
    np.testing.assert_array_equal(conv.moved(images, 3, 0), 0 * images)


def test_convolution_commutes_with_moving_and_pooling_only_by_its_stride():
    random = np.random.default_rng(3)
    images = np.zeros((2, 1, 12, 12))
    images[:, :, 4:8, 4:8] = random.random((2, 1, 4, 4))
    kernels, bias = random.normal(size=(3, 1, 3, 3)), np.zeros(3)
    there = conv.moved(images[:, 0], 2, -1)[:, None]

    def shift(maps, down, right):
        flat = maps.reshape(-1, *maps.shape[2:])
        return conv.moved(flat, down, right).reshape(maps.shape)

    out, moved_out = (conv.convolve(x, kernels, bias, padding=1) for x in (images, there))
    np.testing.assert_allclose(moved_out, shift(out, 2, -1), atol=1e-14)
    by_two = conv.max_pool(conv.moved(images[:, 0], 2, 0)[:, None])
    np.testing.assert_array_equal(by_two, shift(conv.max_pool(images), 1, 0))
    by_one = conv.max_pool(conv.moved(images[:, 0], 1, 0)[:, None])
    assert not np.allclose(by_one, shift(conv.max_pool(images), 1, 0))
    assert not np.allclose(by_one, conv.max_pool(images))


MAPS, KERNELS, BIAS = np.zeros((2, 3, 5, 5)), np.zeros((4, 3, 3, 3)), np.zeros(4)


@pytest.mark.parametrize(("call", "words"), [
    (lambda: conv.output_size(5, 0), "give a kernel and a stride of 1 or more"),
    (lambda: conv.output_size(5, 3, 0), "stride 0"),
    (lambda: conv.output_size(5, 3, 1, -1), "padding -1"),
    (lambda: conv.output_size(4, 9), "does not fit into 4 pixels with padding 0 on each side; make the kernel"
                                     " smaller or the padding 3 or more"),
    (lambda: conv.windows(MAPS[0], (3, 3)), "maps have the shape (3, 5, 5); give (batch, channels"),
    (lambda: conv.convolve(MAPS[0], KERNELS, BIAS), "maps have the shape (3, 5, 5)"),
    (lambda: conv.convolve(MAPS, KERNELS[0], BIAS), "kernels have the shape (3, 3, 3); give (out, in"),
    (lambda: conv.convolve(MAPS.transpose(0, 2, 3, 1), KERNELS, BIAS), "channels come second"),
    (lambda: conv.convolve(MAPS, KERNELS, np.zeros(3)), "one number for each of the 4 kernels"),
    (lambda: conv.convolve(MAPS, KERNELS, np.zeros((4, 1))), "bias has the shape (4, 1)"),
    (lambda: conv.convolve(MAPS, np.zeros((4, 3, 7, 7)), BIAS), "padding 1 or more"),
    (lambda: conv.convolve_gradients(np.zeros((2, 4, 5, 5)), MAPS, KERNELS), "the outputs have (2, 4, 3, 3)"),
    (lambda: conv.max_pool(MAPS, 2, padding=2), "give 1 or less"),
    (lambda: conv.max_pool(MAPS, 6), "does not fit"),
    (lambda: conv.max_pool_gradient(np.zeros((2, 3, 3, 3)), MAPS), "the outputs have (2, 3, 2, 2)"),
    (lambda: conv.average_pool_gradient(np.zeros((2, 3, 3)), MAPS), "the outputs have (2, 3, 2, 2)"),
    (lambda: conv.average_pool(MAPS[0]), "give (batch, channels, rows, columns)"),
    (lambda: conv.moved(MAPS, 1, 1), "give (n, height, width)"),
])
def test_what_does_not_fit_is_refused_with_what_to_do(call, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        call()
