"""Optimizers: the same names, other updates.

Each run fits a small linear model whose columns are of very different size, so that an ε matters.
"""

from __future__ import annotations

from collections.abc import Callable

import course_lib  # noqa: F401  before the frameworks
import numpy as np
import pytest
import tensorflow as tf
import torch
from course_lib.pytorch.optimizers import TorchRMSprop
from course_lib.tensorflow.optimizers import TFRMSprop
from measuring import Measured, array, establishes, gap, normal

keras = tf.keras.optimizers
STEPS = 20
RATE = 2.0**-7            # a power of two: Keras keeps it exactly
BETAS = (0.875, 1 - 2.0**-9)
KERAS_ADAM = {"learning_rate": RATE, "beta_1": BETAS[0], "beta_2": BETAS[1]}
X, Y = normal(30, 6) * 10.0 ** np.arange(0, -6, -1.0), normal(30, seed=1)
START = normal(6, seed=2)
WHAT = f"weights after {STEPS} steps"


def gradient(weights: np.ndarray) -> np.ndarray:
    """Of half the mean squared error."""
    return X.T @ (X @ weights - Y) / len(Y)


def run_torch(make: Callable, before: Callable | None = None, steps: int = STEPS) -> np.ndarray:
    """Weights after some steps; ``before(optimizer, t)`` may change a setting, t from 1."""
    weights = torch.from_numpy(START.copy()).requires_grad_()
    optimizer = make([weights])
    for t in range(1, steps + 1):
        weights.grad = torch.from_numpy(gradient(weights.detach().numpy()))
        if before:
            before(optimizer, t)
        optimizer.step()
    return weights.detach().numpy().copy()


def run_keras(optimizer: object, before: Callable | None = None, decay: float = 0.0,
              steps: int = STEPS) -> np.ndarray:
    """The same in Keras; ``decay`` is added to the gradient, times the weights."""
    weights = tf.Variable(START)
    for t in range(1, steps + 1):
        if before:
            before(optimizer, t)
        step = gradient(weights.numpy()) + decay * weights.numpy()
        optimizer.apply([tf.constant(step)], [weights])
    return weights.numpy()


def keras_epsilon(epsilon: float = 1e-7) -> Callable:
    """Before each step of torch's Adam: the ε that makes its update Keras's."""

    def set_epsilon(optimizer: torch.optim.Optimizer, t: int) -> None:
        for group in optimizer.param_groups:
            group["eps"] = epsilon / (1 - BETAS[1] ** t) ** 0.5

    return set_epsilon


def default(name: str, *settings: str) -> tuple:
    """Default settings of an optimizer of torch."""
    defaults = getattr(torch.optim, name)([torch.zeros(1, requires_grad=True)]).defaults
    return tuple(defaults[setting] for setting in settings)


def one_step(torch_kind: type, keras_optimizer: object, **options: float) -> tuple[float, float]:
    """The first step of both from 0 at rate 1, where the gradient is ½."""
    weight = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    weight.grad = torch.full_like(weight, 0.5)
    torch_kind([weight], 1.0, eps=0.125, **options).step()
    variable = tf.Variable([0.0], dtype=tf.float64)
    keras_optimizer.apply([tf.constant([0.5], tf.float64)], [variable])
    return -weight.item(), -float(variable[0])


@establishes("adam-epsilon")
def adam_epsilon() -> Measured:
    assert default("Adam", "eps") == (1e-8,) and keras.Adam().epsilon == 1e-7
    theirs = run_keras(keras.Adam(**KERAS_ADAM))

    def adam(params: list) -> torch.optim.Optimizer:
        return torch.optim.Adam(params, RATE, BETAS)

    return Measured(gap(run_torch(adam), theirs), gap(run_torch(adam, keras_epsilon()), theirs),
                    WHAT)


@establishes("optimizer-constants", over=1e-10)
def optimizer_constants() -> Measured:
    def apart(rate: float, momentum: float) -> float:
        return gap(run_torch(lambda params: torch.optim.SGD(params, rate, momentum)),
                   run_keras(keras.SGD(rate, momentum)))

    return Measured(apart(0.1, 0.9), apart(1 / 8, 0.875), f"{WHAT} of SGD with momentum")


@establishes("rmsprop")
def rmsprop() -> Measured:
    assert default("RMSprop", "alpha", "eps") == (0.99, 1e-8)
    assert (keras.RMSprop().rho, keras.RMSprop().epsilon) == (0.9, 1e-7)
    outside, inside = one_step(torch.optim.RMSprop, keras.RMSprop(1.0, 0.5, epsilon=0.125),
                               alpha=0.5)
    assert abs(outside - 0.5 / (0.125**0.5 + 0.125)) < 1e-12 > abs(inside - 1)
    before = gap(run_torch(lambda params: torch.optim.RMSprop(params, RATE)),
                 run_keras(keras.RMSprop(RATE)))
    ours = run_torch(lambda params: TorchRMSprop(params, RATE))
    weights = [tf.Variable(START)]
    optimizer = TFRMSprop(weights, RATE)
    for _ in range(STEPS):
        optimizer.apply([tf.constant(gradient(weights[0].numpy()))], weights)
    return Measured(before, gap(ours, weights[0]), WHAT)


@establishes("adagrad")
def adagrad() -> Measured:
    assert default("Adagrad", "initial_accumulator_value", "eps") == (0, 1e-10)
    assert (keras.Adagrad().initial_accumulator_value, keras.Adagrad().epsilon) == (0.1, 1e-7)
    outside, inside = one_step(torch.optim.Adagrad, keras.Adagrad(1.0, 0.25, epsilon=0.125),
                               initial_accumulator_value=0.25)
    assert abs(outside - 0.5 / (0.5**0.5 + 0.125)) < 1e-12
    assert abs(inside - 0.5 / 0.625**0.5) < 1e-12
    def ours(**options: float) -> np.ndarray:
        return run_torch(lambda params: torch.optim.Adagrad(params, RATE, **options))

    before = gap(ours(), run_keras(keras.Adagrad(RATE)))
    return Measured(before, gap(ours(initial_accumulator_value=0.125, eps=0.0), run_keras(
        keras.Adagrad(RATE, initial_accumulator_value=0.125, epsilon=0.0))), WHAT)


@establishes("adadelta")
def adadelta() -> Measured:
    assert default("Adadelta", "lr", "rho", "eps") == (1, 0.9, 1e-6)
    assert (keras.Adadelta().rho, keras.Adadelta().epsilon) == (0.95, 1e-7)
    ours = run_torch(torch.optim.Adadelta)
    same = run_torch(lambda params: torch.optim.Adadelta(params, 1.0, 0.875, 2.0**-20))
    return Measured(gap(ours, run_keras(keras.Adadelta())),
                    gap(same, run_keras(keras.Adadelta(1.0, 0.875, 2.0**-20))), WHAT)


@establishes("momentum-buffer")
def momentum_buffer() -> Measured:
    def slower(optimizer: torch.optim.Optimizer, t: int) -> None:
        if t == 10:
            optimizer.param_groups[0]["lr"] /= 8

    def keras_slower(optimizer: object, t: int) -> None:
        if t == 10:
            optimizer.learning_rate = 1 / 64

    def keras_rescaled(optimizer: object, t: int) -> None:
        keras_slower(optimizer, t)
        if t == 10:
            for velocity in optimizer.momentums:
                velocity.assign(velocity / 8)

    ours = run_torch(lambda params: torch.optim.SGD(params, 1 / 8, 0.875), slower)
    return Measured(gap(run_keras(keras.SGD(1 / 8, 0.875), keras_slower), ours),
                    gap(run_keras(keras.SGD(1 / 8, 0.875), keras_rescaled), ours),
                    f"{WHAT}, the rate an eighth from step 10")


@establishes("adam-weight-decay")
def adam_weight_decay() -> Measured:
    theirs = run_keras(keras.Adam(**KERAS_ADAM, weight_decay=0.125))

    def ours(kind: type) -> np.ndarray:
        return run_torch(lambda params: kind(params, RATE, BETAS, weight_decay=0.125),
                         keras_epsilon())

    return Measured(gap(ours(torch.optim.Adam), theirs), gap(ours(torch.optim.AdamW), theirs), WHAT)


@establishes("adamw-decay-default")
def adamw_decay() -> Measured:
    assert default("AdamW", "weight_decay") == (0.01,) and keras.AdamW().weight_decay == 0.004
    def ours(**options: float) -> np.ndarray:
        return run_torch(lambda params: torch.optim.AdamW(params, RATE, BETAS, **options),
                         keras_epsilon())

    return Measured(gap(ours(), run_keras(keras.AdamW(**KERAS_ADAM))),
                    gap(ours(weight_decay=2.0**-7),
                        run_keras(keras.AdamW(**KERAS_ADAM, weight_decay=2.0**-7))), WHAT)


@establishes("sgd-weight-decay")
def sgd_weight_decay() -> Measured:
    ours = run_torch(lambda params: torch.optim.SGD(params, 1 / 8, 0.875, weight_decay=0.125))
    return Measured(gap(run_keras(keras.SGD(1 / 8, 0.875, weight_decay=0.125)), ours),
                    gap(run_keras(keras.SGD(1 / 8, 0.875), decay=0.125), ours), WHAT)


@establishes("l2-regularizer")
def l2_regularizer() -> Measured:
    weights, optimizer = tf.Variable(START), keras.SGD(1 / 8)
    penalty = tf.keras.regularizers.L2(2.0**-4)
    for _ in range(STEPS):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((tf.linalg.matvec(X, weights) - Y) ** 2) / 2 + penalty(weights)
        optimizer.apply([tape.gradient(loss, weights)], [weights])

    def ours(decay: float) -> np.ndarray:
        return run_torch(lambda params: torch.optim.SGD(params, 1 / 8, weight_decay=decay))

    return Measured(gap(ours(2.0**-4), weights), gap(ours(2.0**-3), weights), WHAT)


@establishes("gradient-clipping", within=1e-6,
             because="clip_grad_norm_ divides by the norm + 1e-6, Keras by the norm")
def gradient_clipping() -> Measured:
    gradients = [normal(4, 3, seed=1), 5 * normal(3, seed=2)]
    tensors = [torch.zeros(g.shape, dtype=torch.float64, requires_grad=True) for g in gradients]
    for tensor, g in zip(tensors, gradients):
        tensor.grad = torch.from_numpy(g.copy())
    torch.nn.utils.clip_grad_norm_(tensors, 1.0)

    def theirs(**options: float) -> np.ndarray:
        variables = [tf.Variable(np.zeros_like(g)) for g in gradients]
        keras.SGD(1.0, **options).apply([tf.constant(g) for g in gradients], variables)
        return -np.concatenate([array(v).ravel() for v in variables])

    ours = np.concatenate([t.grad.numpy().ravel() for t in tensors])
    return Measured(gap(theirs(clipnorm=1.0), ours), gap(theirs(global_clipnorm=1.0), ours),
                    "one step at rate 1")


@establishes("clipping-overflow", over=0.5, within=1e-6, because="float32, where norms overflow")
def clipping_overflow() -> Measured:
    from course_lib.pytorch.deep_mlp import clip_torch
    from course_lib.tensorflow.deep_mlp import clip_tf

    huge = np.full(4, 1e25, np.float32)
    tensor = torch.zeros(4, requires_grad=True)
    tensor.grad = torch.from_numpy(huge.copy())
    torch.nn.utils.clip_grad_norm_([tensor], 1.0)
    assert not tensor.grad.any()
    with tf.device("/CPU:0"):
        for how, wrong in (("clipnorm", 0.0), ("global_clipnorm", np.nan)):
            variable = tf.Variable(tf.zeros(4))
            keras.SGD(1.0, **{how: 1.0}).apply([tf.constant(huge)], [variable])
            np.testing.assert_array_equal(array(variable), np.full(4, wrong))
        assert np.isnan(array(tf.clip_by_global_norm([tf.constant(huge)], 1.0)[0][0])).all()
        theirs = clip_tf([tf.constant(huge)], 1.0)[0]
    ours = clip_torch([torch.from_numpy(huge)], 1.0)[0]
    assert gap(ours, np.full(4, 0.5)) < 1e-6
    return Measured(np.inf, gap(ours, theirs), "clipped gradients, NaN counted as infinite")


@establishes("cosine-schedule", within=1e-7, because="Keras computes its schedules in float32")
def cosine_schedule() -> Measured:
    def ours(total: int, steps: int) -> np.ndarray:
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.125)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, total)
        rates = []
        for _ in range(steps):
            rates.append(schedule.get_last_lr()[0])
            optimizer.step()
            schedule.step()
        return np.array(rates)

    def theirs(total: int, steps: int) -> np.ndarray:
        schedule = keras.schedules.CosineDecay(0.125, total)
        return np.array([float(schedule(step)) for step in range(steps)])

    return Measured(gap(ours(20, 40), theirs(20, 40)), gap(ours(40, 40), theirs(40, 40)),
                    "rates of 40 steps, T = 20, then T = 40")


@establishes("exponential-schedule", within=1e-7, because="Keras computes its schedules in float32")
def exponential_schedule() -> Measured:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.125)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 10, 0.5)
    ours = []
    for _ in range(40):
        ours.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()

    def theirs(**options: bool) -> np.ndarray:
        decay = keras.schedules.ExponentialDecay(0.125, 10, 0.5, **options)
        return np.array([float(decay(step)) for step in range(40)])

    return Measured(gap(ours, theirs()), gap(ours, theirs(staircase=True)), "rates of 40 steps")


@establishes("learning-rate-defaults", over=0.1)
def learning_rate_defaults() -> Measured:
    names = ("SGD", "RMSprop", "Adagrad", "Adadelta", "NAdam", "Adamax")

    def rates(*given: float) -> tuple[np.ndarray, np.ndarray]:
        weights = [torch.zeros(1, requires_grad=True)]
        return (np.array([getattr(torch.optim, name)(weights, *given).param_groups[0]["lr"]
                          for name in names]),
                np.array([float(getattr(keras, {"NAdam": "Nadam"}.get(name, name))(
                    *given).learning_rate) for name in names]))

    stated = ([1e-3, 1e-2, 1e-2, 1, 2e-3, 2e-3], [1e-2, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3])
    for found, rate in zip(rates(), stated):
        np.testing.assert_allclose(found, rate, rtol=1e-6)
    return Measured(gap(*rates()), gap(*rates(1 / 8)), "largest difference between default rates")


@establishes("embedding-gradients")
def embedding_gradients() -> Measured:
    table, ids = normal(6, 4), np.array([3, 1, 3, 3, 0, 1])
    targets = normal(6, 4, seed=1)

    def theirs(dense: bool, kind: type = keras.Adam, steps: int = 3, **options: float
               ) -> np.ndarray:
        variable, optimizer = tf.Variable(table), kind(**options or {"learning_rate": RATE})
        for _ in range(steps):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum((tf.gather(variable, ids) - targets) ** 2)
            slices = tape.gradient(loss, variable)
            optimizer.apply([tf.convert_to_tensor(slices) if dense else slices], [variable])
        return variable.numpy()

    for kind, parts in ((keras.SGD, False), (keras.AdamW, True), (keras.RMSprop, True),
                        (keras.Adagrad, True), (keras.Adadelta, True), (keras.Nadam, True),
                        (keras.Ftrl, True), (keras.Lion, False)):
        apart = gap(theirs(False, kind), theirs(True, kind))
        assert (apart > 1e-6) == parts, (kind.__name__, apart)
    weight = torch.from_numpy(table.copy()).requires_grad_()
    optimizer = torch.optim.Adam([weight], RATE, BETAS)
    for t in range(1, STEPS + 1):
        optimizer.zero_grad()
        ((weight[torch.from_numpy(ids)] - torch.from_numpy(targets)) ** 2).sum().backward()
        keras_epsilon()(optimizer, t)
        optimizer.step()
    before, after = (theirs(dense, steps=STEPS, **KERAS_ADAM) for dense in (False, True))
    return Measured(gap(before, weight), gap(after, weight),
                    f"table after {STEPS} steps of Adam")


@establishes("adam-sparse")
def adam_sparse() -> Measured:
    def run(sparse: bool, kind: type, options: dict) -> np.ndarray:
        layer = torch.nn.Embedding(6, 4, sparse=sparse, dtype=torch.float64)
        layer.weight.data.copy_(torch.from_numpy(table))
        optimizer = kind(layer.parameters(), RATE, BETAS, **options)
        for t, ids in enumerate(batches, start=1):
            optimizer.zero_grad()
            (layer(torch.from_numpy(ids)) ** 2).sum().backward()
            if not sparse:
                keras_epsilon()(optimizer, t)
            optimizer.step()
        return layer.weight.detach().numpy()

    table, batches = normal(6, 4), [np.array([3, 1, 3]), np.array([0, 1, 1])] * 5
    with pytest.raises(RuntimeError, match="does not support sparse gradients"):
        run(True, torch.optim.Adam, {})
    variable, optimizer = tf.Variable(table), keras.Adam(**KERAS_ADAM)
    for ids in batches:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.gather(variable, ids) ** 2)
        dense = tf.convert_to_tensor(tape.gradient(loss, variable))
        optimizer.apply([dense], [variable])
    return Measured(gap(run(True, torch.optim.SparseAdam, {}), variable),
                    gap(run(False, torch.optim.Adam, {}), variable),
                    f"table after {len(batches)} steps, other words in each")


@establishes("nadam", over=1e-3, within=1e-7, because="Keras takes powers of 0.96 in float32")
def nadam() -> Measured:
    assert default("NAdam", "momentum_decay") == (4e-3,)
    theirs = run_keras(keras.Nadam(RATE, *BETAS, 2.0**-20))

    def ours(**options: float) -> np.ndarray:
        return run_torch(lambda params: torch.optim.NAdam(params, RATE, BETAS, 2.0**-20, **options))

    return Measured(gap(ours(), theirs), gap(ours(momentum_decay=1), theirs), WHAT)


@establishes("nesterov-without-momentum")
def nesterov() -> Measured:
    with pytest.raises(ValueError):
        torch.optim.SGD([torch.zeros(1, requires_grad=True)], 1 / 8, nesterov=True)
    ours = run_torch(lambda params: torch.optim.SGD(params, 1 / 8, 0.875, nesterov=True))
    return Measured(gap(run_keras(keras.SGD(1 / 8, nesterov=True)), ours),
                    gap(run_keras(keras.SGD(1 / 8, 0.875, nesterov=True)), ours),
                    f"{WHAT}, PyTorch with momentum")
