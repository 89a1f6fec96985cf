"""Activations and losses against both frameworks, differences, and logits of any size."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from course_lib.scratch import activations, losses

NAMES = ("sigmoid", "tanh", "relu", "gelu")
# No subnormal numbers: TensorFlow's kernels take them for 0, so ReLU's slope at 1e-309 is 0 there.
elements = st.floats(-700, 700, allow_subnormal=False)
numbers = arrays.arrays(np.float64, st.integers(1, 20), elements=elements)
moderate = st.floats(-20, 20)


@st.composite
def logits_and_labels(draw, size=1e4):
    rows, classes = draw(st.integers(1, 6)), draw(st.integers(2, 7))
    logits = draw(arrays.arrays(np.float64, (rows, classes), elements=st.floats(-size, size)))
    labels = draw(arrays.arrays(np.int64, rows, elements=st.integers(0, classes - 1)))
    return logits, labels, np.eye(classes)[labels]


def torch_loss(name, logits, labels):
    """The loss and its gradient in the logits, in PyTorch."""
    import torch

    from course_lib.pytorch import classification

    z = torch.tensor(logits, requires_grad=True)
    loss = getattr(classification, f"{name}_torch")(z, torch.tensor(labels))
    loss.backward()
    return loss.item(), z.grad.numpy()


def tf_loss(name, logits, labels):
    """The loss and its gradient in the logits, in TensorFlow."""
    import tensorflow as tf

    from course_lib.tensorflow import classification

    z = tf.Variable(logits)
    with tf.GradientTape() as tape:
        loss = getattr(classification, f"{name}_tf")(z, tf.constant(labels))
    return float(loss), tape.gradient(loss, z).numpy()


def slope_by_differences(function, at, h=1e-5):
    found = np.empty_like(at)
    for index in np.ndindex(*at.shape):
        step = np.zeros_like(at)
        step[index] = h
        found[index] = (function(at + step) - function(at - step)) / (2 * h)
    return found


# --- activations ----------------------------------------------------------------------------


@given(numbers)
@settings(max_examples=50, deadline=None)
def test_values_and_slopes_equal_pytorch(x):
    import torch

    functions = {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu": torch.relu,
                 "gelu": torch.nn.functional.gelu}
    for name in NAMES:
        inputs = torch.tensor(x, requires_grad=True)
        value = functions[name](inputs)
        value.sum().backward()
        wanted = getattr(activations, name)(x), getattr(activations, f"{name}_slope")(x)
        np.testing.assert_allclose(value.detach().numpy(), wanted[0], rtol=1e-14, atol=1e-13)
        np.testing.assert_allclose(inputs.grad.numpy(), wanted[1], rtol=1e-14, atol=1e-13)


@given(numbers)
@settings(max_examples=30, deadline=None)
def test_values_and_slopes_equal_tensorflow(x):
    """GELU to 1e-7 only: a constant of tf.nn.gelu has passed through float32."""
    import tensorflow as tf

    functions = {"sigmoid": tf.sigmoid, "tanh": tf.tanh, "relu": tf.nn.relu, "gelu": tf.nn.gelu}
    for name in NAMES:
        inputs = tf.Variable(x)
        with tf.GradientTape() as tape:
            value = functions[name](inputs)
        wanted = getattr(activations, name)(x), getattr(activations, f"{name}_slope")(x)
        near = 1e-7 if name == "gelu" else 1e-13
        np.testing.assert_allclose(value.numpy(), wanted[0], rtol=1e-13, atol=near)
        np.testing.assert_allclose(tape.gradient(value, inputs).numpy(), wanted[1],
                                   rtol=1e-13, atol=near)


@given(moderate.filter(lambda x: abs(x) > 1e-3))
def test_slopes_equal_differences(x):
    h = 1e-5
    for name in NAMES:
        f, slope = getattr(activations, name), getattr(activations, f"{name}_slope")
        assert float(slope(x)) == pytest.approx(float((f(x + h) - f(x - h)) / (2 * h)), abs=1e-7)


@given(moderate)
def test_identities(x):
    assert float(activations.sigmoid(x) + activations.sigmoid(-x)) == pytest.approx(1, abs=1e-15)
    by_sigmoid = 2 * float(activations.sigmoid(2 * x)) - 1
    assert float(activations.tanh(x)) == pytest.approx(by_sigmoid, abs=1e-15)
    assert float(activations.gelu(x) - activations.gelu(-x)) == pytest.approx(x, abs=1e-14)
    assert 0 <= float(activations.sigmoid_slope(x)) <= 0.25
    assert float(activations.leaky_relu(x, 1.0)) == x


def test_far_slopes_keep_their_digits():
    """1 - s would be 0 there."""
    assert float(activations.sigmoid_slope(100.0)) == pytest.approx(np.exp(-100.0))
    assert float(activations.tanh_slope(-50.0)) == pytest.approx(4 * np.exp(-100.0))
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        activations.sigmoid(np.array([-1e3, 1e3]))


def test_leaky_relu_and_the_gelu_by_tanh_equal_the_frameworks():
    import tensorflow as tf
    import torch
    from torch.nn import functional as F

    x = np.linspace(-9, 9, 181)
    np.testing.assert_allclose(activations.leaky_relu(x), F.leaky_relu(torch.tensor(x)).numpy())
    np.testing.assert_allclose(activations.leaky_relu(x, 0.2), tf.nn.leaky_relu(x).numpy())
    ours = activations.gelu_tanh(x)
    theirs = F.gelu(torch.tensor(x), approximate="tanh").numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-13)
    np.testing.assert_allclose(ours, tf.keras.ops.gelu(x).numpy(), atol=1e-6)
    assert 1e-4 < np.abs(ours - activations.gelu(x)).max() < 1e-3


# --- losses -----------------------------------------------------------------------------------


@given(logits_and_labels())
def test_softmax_is_a_distribution_at_any_size(case):
    logits, _, _ = case
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        p = losses.softmax(logits)
    assert (p >= 0).all()
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-11)
    shifted = losses.softmax(logits + 1024.0)
    np.testing.assert_allclose(shifted, p, atol=1e-11)


@pytest.mark.parametrize("theirs", [torch_loss, tf_loss], ids=["pytorch", "tensorflow"])
@given(case=logits_and_labels())
@settings(max_examples=40, deadline=None)
def test_losses_and_gradients_equal_the_frameworks(theirs, case):
    logits, labels, targets = case
    for name in ("cross_entropy", "softmax_squared"):
        loss, gradient = theirs(name, logits, labels)
        assert getattr(losses, name)(logits, targets) == pytest.approx(loss, rel=1e-12, abs=1e-12)
        ours = getattr(losses, f"{name}_gradient")(logits, targets)
        np.testing.assert_allclose(ours, gradient, atol=1e-11)


@given(logits_and_labels(size=8))
@settings(max_examples=40, deadline=None)
def test_gradients_equal_differences(case):
    logits, _, targets = case
    for name in ("cross_entropy", "softmax_squared"):
        numeric = slope_by_differences(lambda z: getattr(losses, name)(z, targets), logits)
        ours = getattr(losses, f"{name}_gradient")(logits, targets)
        np.testing.assert_allclose(ours, numeric, atol=1e-8)


def test_cross_entropy_takes_targets_that_are_not_one_hot():
    import torch

    random = np.random.default_rng(0)
    logits, targets = random.normal(size=(5, 4)), random.dirichlet(np.ones(4), 5)
    z = torch.tensor(logits, requires_grad=True)
    loss = torch.nn.functional.cross_entropy(z, torch.tensor(targets))
    loss.backward()
    assert losses.cross_entropy(logits, targets) == pytest.approx(loss.item(), abs=1e-14)
    ours = losses.cross_entropy_gradient(logits, targets)
    np.testing.assert_allclose(ours, z.grad.numpy(), atol=1e-15)


def test_a_sure_mistake_moves_cross_entropy_alone():
    logits, targets = np.array([[0.0, 60.0]]), np.array([[1.0, 0.0]])
    np.testing.assert_allclose(losses.cross_entropy_gradient(logits, targets), [[-1, 1]])
    assert np.abs(losses.softmax_squared_gradient(logits, targets)).max() < 1e-20


def test_losses_refuse_targets_that_would_broadcast():
    for name in ("cross_entropy", "cross_entropy_gradient", "softmax_squared",
                 "softmax_squared_gradient"):
        with pytest.raises(ValueError, match="one-hot"):
            getattr(losses, name)(np.zeros((4, 1)), np.zeros(4))
        with pytest.raises(ValueError, match="one-hot"):
            getattr(losses, name)(np.zeros((4, 3)), np.zeros((4, 1)))


def test_squared_error_of_the_outputs_has_prediction_minus_target_as_gradient():
    random = np.random.default_rng(1)
    logits, labels = random.normal(size=(6, 3)), np.array([0, 1, 2, 2, 1, 0])
    wanted = (logits - np.eye(3)[labels]) / 6
    for theirs in (torch_loss, tf_loss):
        np.testing.assert_allclose(theirs("output_squared", logits, labels)[1], wanted, atol=1e-15)


# --- the classifiers --------------------------------------------------------------------------


@pytest.mark.parametrize("activation", NAMES)
def test_twins_take_the_same_steps(activation):
    import tensorflow as tf
    import torch

    from course_lib import parity
    from course_lib.pytorch import classification as ours
    from course_lib.tensorflow import classification as theirs

    torch.manual_seed(0)
    a = ours.TorchClassifier(5, 4, 3, activation, "float64")
    b = theirs.TFClassifier(5, 4, 3, activation, "float64")
    parity.copy_weights(a, b)
    random = np.random.default_rng(0)
    x, y = random.normal(size=(20, 5)), random.integers(3, size=20)
    near = 1e-8 if activation == "gelu" else 1e-13
    for name in ("cross_entropy", "softmax_squared", "output_squared"):
        run_a = [ours.step_torch(a, torch.tensor(x), torch.tensor(y), 0.125,
                                 getattr(ours, f"{name}_torch")).item() for _ in range(10)]
        run_b = [float(theirs.step_tf(b, tf.constant(x), tf.constant(y), 0.125,
                                      getattr(theirs, f"{name}_tf"))) for _ in range(10)]
        np.testing.assert_allclose(run_a, run_b, atol=near)
        assert run_a[-1] < run_a[0]


def test_an_unknown_activation_is_refused():
    from course_lib.pytorch.classification import TorchClassifier
    from course_lib.tensorflow.classification import TFClassifier

    for model in (TorchClassifier, TFClassifier):
        with pytest.raises(ValueError, match="softsign.*sigmoid"):
            model(3, 2, 2, "softsign")


def test_a_keras_loss_with_sample_weights_divides_by_the_batch():
    import tensorflow as tf

    z, y = tf.constant([[2.0, 0.0], [0.0, 1.0]]), np.array([0, 0])
    each = tf.nn.sparse_softmax_cross_entropy_with_logits(y, z).numpy()
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    weighted = loss(y, z, sample_weight=np.array([1.0, 5.0]))
    assert float(weighted) == pytest.approx((each[0] + 5 * each[1]) / 2, rel=1e-6)
