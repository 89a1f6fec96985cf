"""The reverse-mode engine against finite differences and both frameworks, on random graphs."""

import numpy as np
import pytest
import tensorflow as tf
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.scratch import autograd as ag
from course_lib.scratch import losses

# --- one graph, three frameworks --------------------------------------------------------------


class Torch:
    """PyTorch's names for the engine's operations."""

    exp, log, tanh, relu = torch.exp, torch.log, torch.tanh, torch.relu
    matmul = torch.matmul

    @staticmethod
    def total(a, axis, keepdims):
        return a.sum() if axis is None else a.sum(dim=axis, keepdim=keepdims)

    @staticmethod
    def mean(a, axis, keepdims):
        return a.mean() if axis is None else a.mean(dim=axis, keepdim=keepdims)

    @staticmethod
    def reshape(a, shape):
        return a.reshape(shape)

    @staticmethod
    def transpose(a, axes):
        return a.permute(axes)

    @staticmethod
    def take(a, index):
        return a[index]


class TF:
    """TensorFlow's names for them."""

    exp, log, tanh, relu = tf.exp, tf.math.log, tf.tanh, tf.nn.relu
    matmul, reshape = tf.matmul, tf.reshape

    @staticmethod
    def total(a, axis, keepdims):
        return tf.reduce_sum(a, axis=axis, keepdims=keepdims)

    @staticmethod
    def mean(a, axis, keepdims):
        return tf.reduce_mean(a, axis=axis, keepdims=keepdims)

    @staticmethod
    def transpose(a, axes):
        return tf.transpose(a, axes)

    @staticmethod
    def take(a, index):
        return tf.gather(a, index, axis=0)


def grow(words, values, library):
    """Follow a recipe: each word makes a new value out of earlier ones; returns one number."""
    values = list(values)
    for word, one, two, extra in words:
        a, b = values[one % len(values)], values[two % len(values)]
        axis = extra % len(a.shape) if len(a.shape) else None
        values.append(follow(word, a, b, axis, extra, library))
    # all values count, so that no part of the graph is idle, and early ones are used again
    parts = [library.mean(library.tanh(value), None, False) for value in values]
    result = parts[0] * parts[0]
    for part in parts[1:]:
        result = result + part * 0.75
    return result


def follow(word, a, b, axis, extra, library):
    """One operation; where shapes do not fit it falls back to one that always does."""
    shape = tuple(a.shape)
    if word in ("add", "subtract", "multiply", "divide"):
        try:
            np.broadcast_shapes(shape, tuple(b.shape))
        except ValueError:
            b = library.mean(b, None, False)
        return {"add": lambda: a + b, "subtract": lambda: a - b, "multiply": lambda: a * b,
                "divide": lambda: a / (b * b + 1.5)}[word]()
    if word == "matmul" and len(shape) == 2:
        return library.matmul(library.transpose(a, (1, 0)), library.tanh(a) * 0.5)
    if word == "power":
        return (a * a + 0.5) ** (extra % 3 - 0.5)
    if word == "exp":
        return library.exp(library.tanh(a))
    if word == "log":
        return library.log(a * a + 0.25)
    if word == "relu":
        return library.relu(a)
    if word in ("total", "mean"):
        return getattr(library, word)(a, axis, bool(extra % 2))
    if word == "reshape":
        return library.reshape(a, (int(np.prod(shape)),))
    if word == "transpose" and len(shape) > 1:
        return library.transpose(a, tuple(np.roll(range(len(shape)), extra % len(shape)).tolist()))
    if word == "take" and len(shape):
        return library.take(a, np.array([0, shape[0] - 1, 0]))
    return library.tanh(a)


class Ours:
    """The engine, with shapes for the recipe to look at."""

    exp, log, tanh, relu = map(staticmethod, (ag.exp, ag.log, ag.tanh, ag.relu))
    matmul, total, mean = map(staticmethod, (ag.matmul, ag.total, ag.mean))
    reshape, transpose, take = map(staticmethod, (ag.reshape, ag.transpose, ag.take))


@pytest.fixture(autouse=True)
def shapes(monkeypatch):
    """A tensor of ours knows its shape in these tests, as those of the frameworks do."""
    monkeypatch.setattr(ag.Tensor, "shape", property(lambda self: self.data.shape), raising=False)


WORDS = ("add", "subtract", "multiply", "divide", "matmul", "power", "exp", "log", "relu", "tanh",
         "total", "mean", "reshape", "transpose", "take")
recipes = st.lists(st.tuples(st.sampled_from(WORDS), st.integers(0, 20), st.integers(0, 20),
                             st.integers(0, 5)), min_size=1, max_size=8)
shape_sets = st.sampled_from([
    ((2, 3), (3,), ()), ((2, 1), (1, 3), (2, 3)), ((4,), (1,), (1, 4)), ((2, 1, 3), (4, 1), (1,)),
    ((), (), ()), ((3, 3), (3, 3), (1, 1)), ((1, 2), (2, 1), (5, 1, 1))])


def drawn(shape_set, seed):
    """Numbers away from 0, where relu has a corner."""
    random = np.random.default_rng(seed)
    return [random.choice([-1, 1], shape) * random.uniform(0.1, 1.5, shape) for shape in shape_set]


def of_ours(words, arrays):
    inputs = [ag.Tensor(array) for array in arrays]
    result = grow(words, inputs, Ours)
    ag.backward(result)
    return float(result.data), [one.grad for one in inputs]


def of_torch(words, arrays):
    inputs = [torch.tensor(array, dtype=torch.float64, requires_grad=True) for array in arrays]
    result = grow(words, inputs, Torch)
    result.backward()
    return result.item(), [one.grad.numpy() for one in inputs]


def of_tf(words, arrays):
    inputs = [tf.constant(array, tf.float64) for array in arrays]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        result = grow(words, inputs, TF)
    gradients = [tf.convert_to_tensor(g) for g in tape.gradient(result, inputs)]
    return float(result), [g.numpy() for g in gradients]


def same(ours, theirs):
    assert ours[0] == pytest.approx(theirs[0], rel=1e-12, abs=1e-12)
    for mine, other in zip(ours[1], theirs[1], strict=True):
        assert mine.shape == other.shape
        np.testing.assert_allclose(mine, other, rtol=1e-11, atol=1e-12 * max(1, np.abs(other).max()))


@settings(max_examples=40)
@given(recipes, shape_sets, st.integers(0, 100))
def test_random_graphs_equal_torch_autograd(words, shape_set, seed):
    arrays = drawn(shape_set, seed)
    same(of_ours(words, arrays), of_torch(words, arrays))


@settings(max_examples=20)
@given(recipes, shape_sets, st.integers(0, 100))
def test_random_graphs_equal_the_gradient_tape(words, shape_set, seed):
    arrays = drawn(shape_set, seed)
    same(of_ours(words, arrays), of_tf(words, arrays))


@settings(max_examples=30)
@given(recipes, shape_sets, st.integers(0, 100))
def test_random_graphs_equal_finite_differences(words, shape_set, seed):
    arrays = drawn(shape_set, seed)
    direction = [np.random.default_rng(seed + 1).standard_normal(a.shape) for a in arrays]
    _, gradients = of_ours(words, arrays)
    slope = sum(np.sum(g * d) for g, d in zip(gradients, direction))

    def value(h):
        moved = [ag.Tensor(a + h * d) for a, d in zip(arrays, direction)]
        return float(grow(words, moved, Ours).data)

    # two steps: where a corner of relu lies between, they disagree and say nothing
    steps = [(value(h) - value(-h)) / (2 * h) for h in (1e-5, 5e-6)]
    if abs(steps[0] - steps[1]) < 1e-6 * max(1, abs(slope)):
        assert slope == pytest.approx(steps[1], rel=1e-5, abs=1e-6)


def test_the_three_libraries_really_differ_where_a_pull_is_wrong(monkeypatch):
    """The tests above can fail: a sum that is not undone, a use that overwrites."""
    words, arrays = [("multiply", 0, 1, 0), ("add", 3, 0, 0)], drawn(((2, 3), (3,), ()), 0)
    monkeypatch.setattr(ag, "tanh", lambda a: ag.Tensor(
        np.tanh(ag.tensor(a).data), ((ag.tensor(a), lambda g: g),)))
    monkeypatch.setattr(Ours, "tanh", staticmethod(ag.tanh))
    with pytest.raises(AssertionError):
        same(of_ours(words, arrays), of_torch(words, arrays))


# --- single operations ------------------------------------------------------------------------


def gradient(function, *arrays):
    """The gradients of the sum of what a function of tensors returns."""
    inputs = [ag.Tensor(a) for a in arrays]
    ag.backward(ag.total(function(*inputs)))
    return [one.grad for one in inputs]


def test_a_value_that_is_used_twice_gets_the_sum():
    assert gradient(lambda x: x * x + x, 3.0)[0] == 7
    assert gradient(lambda x: x + x + x, [1.0, 2.0])[0].tolist() == [3, 3]
    w, g = np.array([[0.5, -1.0], [2.0, 0.25]]), None
    g = gradient(lambda w: w @ (w @ w), w)[0]  # a shared weight
    one = torch.tensor(w, requires_grad=True)
    (one @ (one @ one)).sum().backward()
    np.testing.assert_allclose(g, one.grad.numpy(), rtol=1e-14)


def test_a_diamond_of_depth_40_is_walked_once_a_node():
    """A walk that followed every path would take 2**40 steps."""
    x = ag.Tensor(1.0)
    y = x
    for _ in range(40):
        y = y + y
    ag.backward(y)
    assert x.grad == 2.0**40 and len(ag.in_order(y)) == 41


def test_a_chain_deeper_than_pythons_stack():
    x = ag.Tensor(2.0)
    y = x
    for _ in range(10_000):
        y = y * 0.5 + 1.0
    ag.backward(y)
    assert x.grad == 0.5**10_000 and len(ag.in_order(y)) > 10_000


def test_each_pass_back_begins_anew():
    x = ag.Tensor(3.0)
    y = x * x
    z = y + y
    for _ in range(2):
        ag.backward(z)
        assert x.grad == 12 and y.grad == 2
    ag.backward(y)
    assert x.grad == 6


def test_parents_come_before_children():
    a, b = ag.Tensor(1.0), ag.Tensor(2.0)
    loss = (a * b + a) * ag.exp(b)
    order = ag.in_order(loss)
    place = {id(node): i for i, node in enumerate(order)}
    assert len(place) == len(order) and order[-1] is loss
    assert all(place[id(p)] < place[id(n)] for n in order for p, _ in n.parents)


@pytest.mark.parametrize("shape, wide", [
    ((), (2, 3)), ((1,), (2, 3)), ((3,), (2, 3)), ((2, 1), (2, 3)), ((1, 1), (2, 3)), ((2, 3), (2, 3)),
    ((1, 3), (4, 2, 3)), ((0,), (2, 0))])
def test_unbroadcast_is_the_transpose_of_broadcasting(shape, wide):
    random = np.random.default_rng(0)
    v, g = random.standard_normal(shape), random.standard_normal(wide)
    back = ag.unbroadcast(g, shape)
    assert back.shape == shape
    assert np.sum(np.broadcast_to(v, wide) * g) == pytest.approx(np.sum(v * back))


def test_arrays_and_numbers_may_stand_on_the_left():
    x, a = ag.Tensor([1.0, 2.0]), np.array([3.0, 5.0])
    for result, wanted in ((a + x, [4, 7]), (a - x, [2, 3]), (a * x, [3, 10]), (a / x, [3, 2.5]),
                           (1 - x, [0, -1]), (6 / x, [6, 3])):
        assert isinstance(result, ag.Tensor) and result.data.tolist() == wanted
    m = np.eye(2) @ ag.Tensor([[1.0], [2.0]])
    assert isinstance(m, ag.Tensor) and m.data.shape == (2, 1)


def test_what_was_read_twice_is_paid_twice():
    g = gradient(lambda x: x[np.array([0, 2, 0])] * np.array([1.0, 10.0, 100.0]), [5.0, 6.0, 7.0])[0]
    assert g.tolist() == [101, 0, 10]
    assert gradient(lambda x: x[1:, ::2], np.ones((2, 3)))[0].tolist() == [[0, 0, 0], [1, 0, 1]]


def test_corners_are_those_of_the_frameworks():
    ours = gradient(ag.relu, [-1.0, 0.0, 2.0])[0]
    one = torch.tensor([-1.0, 0.0, 2.0], requires_grad=True)
    torch.relu(one).sum().backward()
    v = tf.constant([-1.0, 0.0, 2.0])
    with tf.GradientTape() as tape:
        tape.watch(v)
        y = tf.nn.relu(v)
    assert ours.tolist() == one.grad.tolist() == tape.gradient(y, v).numpy().tolist() == [0, 0, 1]
    assert gradient(lambda x: x**0, [0.0, 2.0])[0].tolist() == [0, 0]


@given(st.integers(1, 6), st.integers(2, 5), st.integers(0, 99), st.sampled_from([1.0, 300.0]))
def test_cross_entropy_is_the_books_and_its_gradient_p_minus_y(rows, classes, seed, scale):
    random = np.random.default_rng(seed)
    z, labels = scale * random.standard_normal((rows, classes)), random.integers(0, classes, rows)
    one_hot = np.eye(classes)[labels]
    logits = ag.Tensor(z)
    loss = ag.cross_entropy(logits, labels)
    ag.backward(loss)
    assert loss.data == pytest.approx(losses.cross_entropy(z, one_hot), rel=1e-12, abs=1e-12)
    np.testing.assert_allclose(
        logits.grad, losses.cross_entropy_gradient(z, one_hot), rtol=1e-10, atol=1e-14)


# --- errors -----------------------------------------------------------------------------------


def test_a_loss_of_many_numbers_is_refused():
    with pytest.raises(ValueError, match=r"one number, not shape \(3,\): take a sum or a mean"):
        ag.backward(ag.Tensor(np.ones(3)) * 2)
    with pytest.raises(TypeError, match="needs a Tensor, not float64"):
        ag.backward(np.float64(1))


def test_a_tensor_as_exponent_and_vectors_in_matmul_are_refused():
    with pytest.raises(TypeError, match=r"exp\(b \* log\(a\)\)"):
        ag.Tensor(2.0) ** ag.Tensor(3.0)
    with pytest.raises(ValueError, match=r"matmul of \(2, 3\) and \(3,\): give both two axes"):
        ag.Tensor(np.ones((2, 3))) @ np.ones(3)


@pytest.mark.parametrize("shape, labels", [((3, 2), 4), ((3,), 3), ((3, 2, 1), 3)])
def test_labels_that_do_not_fit_are_refused(shape, labels):
    with pytest.raises(ValueError, match="make them"):
        ag.cross_entropy(np.ones(shape), np.zeros(labels, int))


def test_shapes_that_do_not_broadcast_are_numpys_error():
    with pytest.raises(ValueError, match="broadcast"):
        ag.Tensor(np.ones(3)) + np.ones(4)


def test_text_is_refused():
    with pytest.raises(ValueError, match="could not convert"):
        ag.Tensor("three")


# --- a network --------------------------------------------------------------------------------


@pytest.mark.parametrize("blocked", ["nothing", "skip", "branch"])
def test_the_engine_trains_the_residual_network_to_both_frameworks_losses(blocked):
    from course_lib import parity
    from course_lib.pytorch.residual_mlp import TorchResidualMLP, run_torch
    from course_lib.tensorflow.residual_mlp import TFResidualMLP, run_tf

    random = np.random.default_rng(0)
    x, y = random.standard_normal((40, 6)), random.integers(0, 3, 40)
    order = random.integers(0, 40, (50, 8))
    torch.manual_seed(0)
    ours = TorchResidualMLP(6, 5, 3, blocks=3, blocked=blocked, dtype="float64")
    theirs = TFResidualMLP(6, 5, 3, blocks=3, blocked=blocked, dtype="float64")
    parity.copy_weights(ours, theirs)
    params = {name: ag.Tensor(value.numpy().T.copy()) for name, value in ours.state_dict().items()}
    engine = []
    for rows in order:
        h = ag.tanh(x[rows] @ params["first.weight"] + params["first.bias"])
        for i in range(3):
            skip = ag.Tensor(h.data) if blocked == "skip" else h
            read = ag.Tensor(h.data) if blocked == "branch" else h
            inner = read @ params[f"blocks.{i}.weight"] + params[f"blocks.{i}.bias"]
            h = skip + ag.tanh(inner)
        loss = ag.cross_entropy(h @ params["readout.weight"] + params["readout.bias"], y[rows])
        ag.backward(loss)
        for param in params.values():
            param.data = param.data - param.grad / 8
        engine.append(float(loss.data))
    curves = {
        "engine": engine,
        "torch": run_torch(ours, torch.from_numpy(x), torch.from_numpy(y), order,
                           torch.optim.SGD(ours.parameters(), 1 / 8)),
        "tf": run_tf(theirs, tf.constant(x), tf.constant(y), order, tf.keras.optimizers.SGD(1 / 8))}
    report = parity.compare_losses(curves, 1e-12)
    assert report.agree, report
    assert engine[-1] < engine[0]


def test_an_unknown_way_to_block_is_refused():
    from course_lib.pytorch.residual_mlp import TorchResidualMLP
    from course_lib.tensorflow.residual_mlp import TFResidualMLP

    for model in (TorchResidualMLP, TFResidualMLP):
        with pytest.raises(ValueError, match="blocked 'both': give nothing, skip or branch"):
            model(4, 3, 2, blocked="both")


def test_what_is_blocked_changes_gradients_and_not_outputs():
    from course_lib.pytorch.residual_mlp import TorchResidualMLP

    torch.manual_seed(0)
    models = [TorchResidualMLP(4, 3, 2, blocks=2, blocked=b, dtype="float64")
              for b in ("nothing", "skip", "branch")]
    x, y = torch.randn(5, 4, dtype=torch.float64), torch.tensor([0, 1, 0, 1, 1])
    for model in models:
        model.load_state_dict(models[0].state_dict())
        torch.nn.functional.cross_entropy(model(x), y).backward()
    assert all(torch.equal(model(x), models[0](x)) for model in models)
    whole, no_skip, no_branch = (model.first.weight.grad for model in models)
    assert not torch.allclose(whole, no_skip) and not torch.allclose(whole, no_branch)
    assert torch.equal(models[0].readout.weight.grad, models[1].readout.weight.grad)
