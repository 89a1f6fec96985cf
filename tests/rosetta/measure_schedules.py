"""Schedules, clipping and what decays: the same words, other rates and other lengths."""

from __future__ import annotations

from collections.abc import Callable

import course_lib  # noqa: F401  before the frameworks
import numpy as np
import pytest
import tensorflow as tf
import torch
from course_lib.scratch.schedules import warm_up_cosine
from measuring import Measured, array, establishes, gap, normal

keras = tf.keras.optimizers
STEPS, PEAK, LENGTH = 40, 0.125, 8


class Table(keras.schedules.LearningRateSchedule):
    """One rate for each update, in float64."""

    def __init__(self, rates: np.ndarray):
        self.rates = tf.constant(rates)

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        return tf.gather(self.rates, tf.cast(step, tf.int64))


def torch_rates(make: Callable, every: int = 1) -> np.ndarray:
    """The rates that updates use; ``schedule.step()`` is called after each ``every`` updates."""
    weight = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([weight], PEAK)
    schedule, track = make(optimizer), [0.0]
    for step in range(1, STEPS + 1):
        weight.grad = torch.ones_like(weight)
        optimizer.step()
        if step % every == 0:
            schedule.step()
        track.append(-weight.item())
    return np.diff(track)


def keras_rates(schedule: object) -> np.ndarray:
    """The same in Keras."""
    weight, track = tf.Variable([0.0], dtype=tf.float64), [0.0]
    optimizer = keras.SGD(schedule)
    for _ in range(STEPS):
        optimizer.apply([tf.ones_like(weight)], [weight])
        track.append(-float(weight[0]))
    return np.diff(track)


@establishes("warm-up-start")
def warm_up_start() -> Measured:
    lrs = torch.optim.lr_scheduler
    with pytest.raises(ValueError, match="greater than 0"):
        lrs.LinearLR(torch.optim.SGD([torch.zeros(1)], PEAK), 0.0)
    assert lrs.LinearLR(torch.optim.SGD([torch.zeros(1)], 3.0)).get_last_lr() == [1.0]
    ours = torch_rates(lambda optimizer: lrs.SequentialLR(optimizer, [
        lrs.LinearLR(optimizer, 1 / LENGTH, total_iters=LENGTH - 1),
        lrs.CosineAnnealingLR(optimizer, STEPS - LENGTH)], [LENGTH]))
    theirs = keras_rates(keras.schedules.CosineDecay(
        0.0, STEPS - LENGTH, warmup_target=PEAK, warmup_steps=LENGTH))
    assert theirs[0] == 0 < ours[0]
    table = PEAK * warm_up_cosine(np.arange(STEPS), LENGTH, STEPS)
    return Measured(gap(ours, theirs), gap(ours, keras_rates(Table(table))),
                    f"rates of {STEPS} steps")


@establishes("schedule-clock", within=1e-7, because="Keras computes its schedules in float32")
def schedule_clock() -> Measured:
    def ours(every: int) -> np.ndarray:
        return torch_rates(lambda o: torch.optim.lr_scheduler.StepLR(o, 10, 0.5), every)

    theirs = keras_rates(keras.schedules.ExponentialDecay(PEAK, 10, 0.5, staircase=True))
    return Measured(gap(ours(5), theirs), gap(ours(1), theirs),
                    f"rates of {STEPS} updates; PyTorch's schedule called after every fifth, then"
                    " after each")


@establishes("decay-exclusions")
def decay_exclusions() -> Measured:
    kernel, bias, scale = normal(4, 3), normal(3, seed=1), normal(3, seed=2)

    def theirs(*calls: dict) -> np.ndarray:
        weights = [tf.Variable(a, name=n) for a, n in
                   ((kernel, "kernel"), (bias, "bias"), (scale, "scale"))]
        optimizer = keras.AdamW(PEAK, weight_decay=0.5)
        for call in calls:
            optimizer.exclude_from_weight_decay(**call)
        optimizer.apply([tf.zeros_like(w) for w in weights], weights)
        return np.concatenate([array(w).ravel() for w in weights])

    weights = [torch.from_numpy(a.copy()).requires_grad_() for a in (kernel, bias, scale)]
    for weight in weights:
        weight.grad = torch.zeros_like(weight)
    torch.optim.AdamW([{"params": weights[:1]}, {"params": weights[1:], "weight_decay": 0.0}],
                      PEAK, weight_decay=0.5).step()
    ours = np.concatenate([array(w).ravel() for w in weights])
    return Measured(gap(ours, theirs({"var_names": ["bias"]}, {"var_names": ["scale"]})),
                    gap(ours, theirs({"var_names": ["bias", "scale"]})),
                    "weights after a step without gradient")


@establishes("clipping-slices")
def clipping_slices() -> Measured:
    table, ids = normal(6, 4), np.array([3, 1, 3, 3, 0, 1])

    def theirs(dense: bool, **options: float) -> np.ndarray:
        variable = tf.Variable(table)
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.gather(variable, ids) ** 2)
        gradient = tape.gradient(loss, variable)
        assert isinstance(gradient, tf.IndexedSlices)
        gradient = tf.convert_to_tensor(gradient) if dense else gradient
        keras.SGD(1.0, **options).apply([gradient], [variable])
        return table - variable.numpy()

    def ours(clip: Callable, limit: float) -> np.ndarray:
        weight = torch.from_numpy(table.copy()).requires_grad_()
        (weight[torch.from_numpy(ids)] ** 2).sum().backward()
        clip([weight], limit)
        return weight.grad.numpy()

    for option in ("global_clipnorm", "clipnorm"):
        norm = ours(torch.nn.utils.clip_grad_norm_, 1.0)
        assert gap(theirs(False, **{option: 1.0}), norm) > 0.1
        assert gap(theirs(True, **{option: 1.0}), norm) < 1e-6       # PyTorch's 1e-6 in the norm
    value = ours(torch.nn.utils.clip_grad_value_, 0.5)
    return Measured(gap(theirs(False, clipvalue=0.5), value), gap(theirs(True, clipvalue=0.5), value),
                    "gradients clipped by value")
