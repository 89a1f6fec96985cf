"""The definitions in NumPy against formulas, finite differences and both frameworks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from course_lib.scratch.gradient_descent import (
    best_rate,
    error_factors,
    gradient_descent,
    largest_stable_rate,
)
from course_lib.scratch.mlp import (
    half_squared_error,
    init_mlp,
    mlp,
    mlp_gradients,
    step_mlp,
)

sizes = st.integers(1, 5)
curvature_lists = st.lists(st.floats(0.1, 50), min_size=1, max_size=6)


def case(images, features, hidden, classes, seed):
    random = np.random.default_rng(seed)
    params = init_mlp(features, hidden, classes, seed)
    return params, random.normal(size=(images, features)), random.normal(size=(images, classes))


# --- gradient descent -----------------------------------------------------------------------


@given(curvature_lists, st.floats(0.001, 0.1), st.integers(0, 30))
def test_every_coordinate_shrinks_by_its_own_factor(curvatures, rate, steps):
    curvatures = np.array(curvatures)
    path = gradient_descent(lambda t: curvatures * t, np.ones(len(curvatures)), rate, steps)
    powers = np.arange(steps + 1)[:, None]
    assert path.shape == (steps + 1, len(curvatures))
    wanted = error_factors(rate, curvatures) ** powers
    np.testing.assert_allclose(path, wanted, rtol=1e-9, atol=1e-12)


@given(curvature_lists)
def test_the_limit_parts_convergence_from_divergence(curvatures):
    limit = largest_stable_rate(curvatures)
    below = np.abs(error_factors(0.999 * limit, curvatures)).max()
    above = np.abs(error_factors(1.001 * limit, curvatures)).max()
    assert below < 1 < above


@given(curvature_lists, st.floats(0.5, 2))
def test_no_rate_beats_the_best_rate(curvatures, factor):
    low, high = min(curvatures), max(curvatures)
    best = best_rate(curvatures)
    worst = np.abs(error_factors(best, curvatures)).max()
    assert worst == pytest.approx((high / low - 1) / (high / low + 1), abs=1e-9)
    assert worst <= np.abs(error_factors(factor * best, curvatures)).max() + 1e-12


def test_the_start_is_not_changed_and_shapes_are_kept():
    start = np.ones((2, 3))
    path = gradient_descent(lambda t: t, start, 0.5, 2)
    assert path.shape == (3, 2, 3) and (start == 1).all() and path[2, 0, 0] == 0.25
    assert gradient_descent(lambda t: t, 1.0, 0.5, 2).tolist() == [1, 0.5, 0.25]


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_a_rate_that_is_no_rate_is_refused(rate):
    with pytest.raises(ValueError, match="learning_rate"):
        gradient_descent(lambda t: t, 1.0, rate, 1)


def test_a_gradient_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="make the shapes equal"):
        gradient_descent(lambda t: t[:, None], np.ones(3), 0.1, 1)


def test_curvatures_without_a_limit_are_refused():
    with pytest.raises(ValueError, match="no limit"):
        largest_stable_rate([0.0, -1.0])
    with pytest.raises(ValueError, match="above 0"):
        best_rate([0.0, 1.0])


# --- the network ----------------------------------------------------------------------------


@settings(deadline=None)
@given(sizes, sizes, sizes, sizes, st.integers(0, 1000))
def test_gradients_equal_finite_differences(images, features, hidden, classes, seed):
    params, x, targets = case(images, features, hidden, classes, seed)
    loss, gradients = mlp_gradients(params, x, targets)
    assert loss == half_squared_error(mlp(params, x)[0], targets)
    assert gradients.keys() == params.keys()
    for name, array in params.items():
        assert gradients[name].shape == array.shape
        for index in np.ndindex(array.shape):
            values = []
            for shift in (1e-5, -1e-5):
                moved = array.copy()
                moved[index] += shift
                values.append(half_squared_error(mlp({**params, name: moved}, x)[0], targets))
            slope = (values[0] - values[1]) / 2e-5
            assert gradients[name][index] == pytest.approx(slope, abs=1e-7, rel=1e-6)


@settings(deadline=None, max_examples=25)
@given(sizes, sizes, sizes, sizes, st.integers(0, 1000))
def test_a_step_equals_that_of_both_frameworks(images, features, hidden, classes, seed):
    import tensorflow as tf
    import torch

    from course_lib.pytorch.models import TorchMLP
    from course_lib.pytorch.training import step_torch
    from course_lib.tensorflow.models import TFMLP
    from course_lib.tensorflow.training import step_tf

    params, x, targets = case(images, features, hidden, classes, seed)
    torch_model = TorchMLP(features, hidden, classes, "float64")
    tf_model = TFMLP(features, hidden, classes, "float64")
    with torch.no_grad():
        for name, parameter in torch_model.named_parameters():
            parameter.copy_(torch.from_numpy(params[name].T.copy()))
    for name, array in params.items():
        layer, kind = name.split(".")
        getattr(getattr(tf_model, layer), "kernel" if kind == "weight" else "bias").assign(array)

    loss, moved = step_mlp(params, x, targets, 0.125)
    in_torch = step_torch(torch_model, torch.from_numpy(x), torch.from_numpy(targets), 0.125)
    in_tf = step_tf(tf_model, tf.constant(x), tf.constant(targets), 0.125)
    assert float(in_torch) == pytest.approx(loss, rel=1e-12)
    assert float(in_tf) == pytest.approx(loss, rel=1e-12)
    for name, parameter in torch_model.named_parameters():
        np.testing.assert_allclose(parameter.detach().numpy().T, moved[name], atol=1e-13)
    np.testing.assert_allclose(tf_model.hidden.kernel.numpy(), moved["hidden.weight"], atol=1e-13)
    np.testing.assert_allclose(tf_model.hidden.bias.numpy(), moved["hidden.bias"], atol=1e-13)
    np.testing.assert_allclose(tf_model.readout.kernel.numpy(), moved["readout.weight"], atol=1e-13)
    np.testing.assert_allclose(tf_model.readout.bias.numpy(), moved["readout.bias"], atol=1e-13)


@given(arrays.arrays(np.float64, (4, 3), elements=st.floats(-10, 10)))
def test_the_error_of_a_perfect_answer_is_zero_and_of_one_off_is_half_a_class(outputs):
    assert half_squared_error(outputs, outputs) == 0
    assert half_squared_error(outputs + 1, outputs) == pytest.approx(1.5)


def test_a_row_of_targets_is_refused():
    with pytest.raises(ValueError, match=r"\(4, 1\) and \(4,\)"):
        half_squared_error(np.zeros((4, 1)), np.zeros(4))


def test_weights_start_in_the_range_of_torch():
    params = init_mlp(100, 25, 10, seed=1)
    assert {name: p.shape for name, p in params.items()} == {
        "hidden.weight": (100, 25), "hidden.bias": (25,),
        "readout.weight": (25, 10), "readout.bias": (10,),
    }
    for name, bound in (("hidden", 0.1), ("readout", 0.2)):
        weight = params[f"{name}.weight"]
        assert 0.9 * bound < np.abs(weight).max() <= bound
        assert weight.std() == pytest.approx(bound / np.sqrt(3), rel=0.1)
        assert np.abs(params[f"{name}.bias"]).max() <= bound
    assert (init_mlp(3, 2, 1, 7)["hidden.weight"] == init_mlp(3, 2, 1, 7)["hidden.weight"]).all()
