"""The heavy ball against its closed form, gradient descent, and PyTorch's optimizer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.scratch.gradient_descent import gradient_descent
from course_lib.scratch.momentum import heavy_ball

curvature_lists = st.lists(st.floats(0.1, 50), min_size=1, max_size=6)
rates, momenta, counts = st.floats(0.001, 0.1), st.floats(0, 0.99), st.integers(0, 30)


@settings(deadline=None)
@given(curvature_lists, rates, counts)
def test_without_momentum_it_is_gradient_descent(curvatures, rate, steps):
    slope, start = np.array(curvatures), np.ones(len(curvatures))
    path = heavy_ball(lambda t: slope * t, start, rate, 0.0, steps)
    wanted = gradient_descent(lambda t: slope * t, start, rate, steps)
    np.testing.assert_array_equal(path, wanted)


@settings(deadline=None)
@given(st.floats(0.1, 50), rates, momenta, counts)
def test_on_a_bowl_it_is_a_power_of_a_matrix(curvature, rate, momentum, steps):
    path = heavy_ball(lambda t: curvature * t, 1.0, rate, momentum, steps)
    # (theta, velocity) after a step, from (theta, velocity) before it
    step = np.array([[1 - rate * curvature, -rate * momentum], [curvature, momentum]])
    wanted = [(np.linalg.matrix_power(step, n) @ [1.0, 0.0])[0] for n in range(steps + 1)]
    np.testing.assert_allclose(path, wanted, rtol=1e-8, atol=1e-9)


@settings(deadline=None, max_examples=25)
@given(curvature_lists, st.floats(0.01, 0.95))
def test_the_limit_is_the_larger_the_more_momentum(curvatures, momentum):
    slope = np.array(curvatures)
    limit = 2 * (1 + momentum) / slope.max()
    ends = [np.abs(heavy_ball(lambda t: slope * t, np.ones(len(slope)), share * limit, momentum,
                              1500)[-1][slope.argmax()]) for share in (0.99, 1.01)]
    assert ends[0] < 0.5 and ends[1] > 2


def test_torch_takes_the_same_steps():
    torch = pytest.importorskip("torch")
    theta = torch.tensor([3.0, -2.0], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([theta], lr=0.05, momentum=0.8)
    found = [theta.detach().numpy().copy()]
    for _ in range(20):
        optimizer.zero_grad()
        (theta**4).sum().mul(0.1).backward()
        optimizer.step()
        found.append(theta.detach().numpy().copy())
    path = heavy_ball(lambda t: 0.4 * t**3, [3.0, -2.0], 0.05, 0.8, 20)
    np.testing.assert_allclose(path, found, rtol=0, atol=1e-12)


def test_the_start_is_not_changed_and_shapes_are_kept():
    start = np.ones((2, 3))
    path = heavy_ball(lambda t: t, start, 0.5, 0.5, 2)
    assert path.shape == (3, 2, 3) and (start == 1).all()
    # v = 1, theta = 0.5; v = 0.5 + 0.5, theta = 0
    assert heavy_ball(lambda t: t, 1.0, 0.5, 0.5, 2).tolist() == [1, 0.5, 0]


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_a_rate_that_is_no_rate_is_refused(rate):
    with pytest.raises(ValueError, match="learning_rate"):
        heavy_ball(lambda t: t, 1.0, rate, 0.5, 1)


@pytest.mark.parametrize("momentum", [-0.1, 1, 1.5, float("nan")])
def test_a_momentum_that_is_no_share_is_refused(momentum):
    with pytest.raises(ValueError, match="momentum is"):
        heavy_ball(lambda t: t, 1.0, 0.1, momentum, 1)


def test_a_gradient_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="make the shapes equal"):
        heavy_ball(lambda t: t[:, None], np.ones(3), 0.1, 0.5, 1)
