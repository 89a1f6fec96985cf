"""Data and loops: modes, types, orders, images."""

from __future__ import annotations

import course_lib  # noqa: F401  before the frameworks
import numpy as np
import pytest
import tensorflow as tf
import torch
from course_lib import parity
from measuring import Measured, array, establishes, gap, last, normal
from torch.nn import functional as F
from torch.utils.data import DataLoader, DistributedSampler

layers = tf.keras.layers


@establishes("training-mode")
def training_mode() -> Measured:
    x = 3 + normal(20, 4)
    ours = torch.nn.BatchNorm1d(4, dtype=torch.float64)(torch.from_numpy(x))
    layer = layers.BatchNormalization(epsilon=1e-5, dtype="float64")
    model = tf.keras.Sequential([tf.keras.Input((4,), dtype="float64"), layer])
    return Measured(gap(model(x), ours), gap(model(x, training=True), ours),
                    "outputs of fresh batch normalisation")


@establishes("keras-input-dtype", over=1e-10)
def keras_input_dtype() -> Measured:
    x = normal(5, 4)
    module = torch.nn.Linear(4, 3, dtype=torch.float64)

    def apart(**entrance) -> float:
        layer = layers.Dense(3, dtype="float64", name="0")
        model = tf.keras.Sequential([tf.keras.Input((4,), **entrance), layer])
        parity.copy_weights(torch.nn.Sequential(module), model)
        return gap(model(x), module(torch.from_numpy(x)))

    return Measured(apart(), apart(dtype="float64"), "outputs")


@establishes("input-dtype", over=1e-10)
def input_dtype() -> Measured:
    x = normal(5, 4)
    single = torch.nn.Linear(4, 3)
    with pytest.raises(RuntimeError):
        single(torch.from_numpy(x))

    def apart(dtype: str) -> float:
        layer = layers.Dense(3, dtype=dtype, name="0")
        model = tf.keras.Sequential([layer])
        model(x)
        module = torch.nn.Linear(4, 3, dtype=getattr(torch, dtype))
        module.load_state_dict(single.state_dict())
        parity.copy_weights(torch.nn.Sequential(module), model)
        return gap(model(x), module.double()(torch.from_numpy(x)))

    return Measured(apart("float32"), apart("float64"),
                    "Keras's outputs, against PyTorch's in float64")


@establishes("gradients-add-up")
def gradients_add_up() -> Measured:
    w = torch.tensor([3.0], dtype=torch.float64, requires_grad=True)
    for _ in range(2):
        (w**2).sum().backward()
    v = tf.Variable([3.0], dtype=tf.float64)
    for _ in range(2):
        with tf.GradientTape() as tape:
            square = tf.reduce_sum(v**2)
        theirs = tape.gradient(square, v)
    before = gap(w.grad, theirs)
    w.grad = None  # what optimizer.zero_grad() does
    (w**2).sum().backward()
    return Measured(before, gap(w.grad, theirs), "gradient of w² at 3, second time")


@establishes("rate-in-a-compiled-step")
def compiled_rate() -> Measured:
    def moved(frozen: bool) -> float:
        settings = type("Settings", (), {"rate": 1.0 if frozen else tf.Variable(1.0)})
        weight = tf.Variable(0.0)

        @tf.function
        def step() -> None:
            weight.assign_add(settings.rate)

        step()
        if frozen:
            settings.rate = 0.0
        else:
            settings.rate.assign(0.0)
        step()
        return float(weight)

    rate, ours = 1.0, torch.zeros(1)
    for _ in range(2):
        ours += rate
        rate = 0.0
    return Measured(abs(moved(True) - ours.item()), abs(moved(False) - ours.item()),
                    "weight after the rate was set to 0")


@establishes("division-in-a-graph", over=1e-9)
def division_in_a_graph() -> Measured:
    pixels = np.arange(256, dtype=np.float32)
    ours = torch.from_numpy(pixels) / 255
    compiled = tf.function(lambda x: x / 255)
    return Measured(gap(compiled(tf.constant(pixels)), ours), gap(tf.constant(pixels) / 255, ours),
                    "the 256 values of a pixel in float32")


@establishes("seeds")
def seeds() -> Measured:
    ours = torch.randn(1000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    theirs = tf.random.stateless_normal([1000], [0, 0], dtype=tf.float64)
    drawn = np.random.default_rng(0).standard_normal(1000)
    return Measured(gap(ours, theirs), gap(torch.from_numpy(drawn), tf.constant(drawn)),
                    "1,000 draws of one seed")


# --- data ---------------------------------------------------------------------------------------


@establishes("shuffle-buffer", over=0.1)
def shuffle_buffer() -> Measured:
    rows = 1000

    def travelled(order: object) -> float:
        """The mean distance between a row's place before and after, as a share of the rows."""
        return float(np.abs(array(order) - np.arange(rows)).mean() / rows)

    ours = travelled([int(row) for row in DataLoader(
        range(rows), batch_size=None, shuffle=True, generator=torch.Generator().manual_seed(0))])
    theirs = {size: travelled(list(tf.data.Dataset.range(rows).shuffle(size, seed=0)
                                   .as_numpy_iterator())) for size in (10, rows)}
    assert abs(theirs[rows] - ours) < 0.05  # a full buffer shuffles as fully
    order = np.random.default_rng(0).permutation(rows)
    one = [int(row) for row in DataLoader(range(rows), batch_size=None, sampler=order.tolist())]
    two = list(tf.data.Dataset.from_tensor_slices(order).as_numpy_iterator())
    return Measured(abs(theirs[10] - ours), gap(one, two),
                    "mean way of a row, buffer of 10 of 1,000; then the order itself")


@establishes("shuffle-after-batch", over=0.1)
def shuffle_after_batch() -> Measured:
    rows, size = 1000, 50

    def neighbours(batches: object) -> float:
        """The share of rows that are followed, in their batch, by the next row."""
        return float(np.mean([np.diff(array(batch)) == 1 for batch in batches]))

    data = tf.data.Dataset.range(rows)
    wrong = neighbours(data.batch(size).shuffle(rows, seed=0).as_numpy_iterator())
    right = neighbours(data.shuffle(rows, seed=0).batch(size).as_numpy_iterator())
    ours = neighbours(DataLoader(range(rows), size, shuffle=True,
                                 generator=torch.Generator().manual_seed(0)))
    assert abs(right - ours) < 0.01
    order = np.random.default_rng(0).permutation(rows)
    one = array([array(batch) for batch in DataLoader(order, size)])
    two = array(list(tf.data.Dataset.from_tensor_slices(order).batch(size).as_numpy_iterator()))
    return Measured(abs(wrong - ours), gap(one, two),
                    "share of rows followed by the next row; then the batches of one order")


@establishes("unequal-shards")
def unequal_shards() -> Measured:
    rows = list(range(10))
    ours = [len(list(DistributedSampler(rows, 4, rank, shuffle=False))) for rank in range(4)]
    data = tf.data.Dataset.from_tensor_slices(rows)
    theirs = [len(list(data.shard(4, rank))) for rank in range(4)]
    longest = len(rows) // 4
    dropped = [len(list(DistributedSampler(rows, 4, rank, shuffle=False, drop_last=True)))
               for rank in range(4)]
    cut = [len(list(data.shard(4, rank).take(longest))) for rank in range(4)]
    return Measured(gap(ours, theirs), gap(dropped, cut), "rows of each of four shares of ten")


@establishes("flip-of-a-stack")
def flip_of_a_stack() -> Measured:
    x = normal(4, 3, 3)
    theirs = tf.image.flip_up_down(x[..., None])[..., 0]
    t = torch.from_numpy(x)
    return Measured(gap(torch.flipud(t), theirs), gap(torch.flip(t, [1]), theirs), "images")


@establishes("augmentation-mode")
def augmentation_mode() -> Measured:
    x = normal(20, 4, 5, 1)
    flip = layers.RandomFlip("horizontal", seed=0, dtype="float64")
    return Measured(gap(flip(x), torch.from_numpy(x)), gap(flip(x, training=False),
                                                           torch.from_numpy(x)),
                    "images, where evaluation wants them as they are")


@establishes("resize-dtype", over=1)
def resize_dtype() -> Measured:
    x = np.random.default_rng(0).integers(0, 256, (1, 1, 8, 8)).astype(np.uint8)
    wide = tf.image.resize(last(x).astype(np.uint8), (16, 16), method="bilinear")
    assert wide.dtype == tf.float32
    kept = F.interpolate(torch.from_numpy(x), (16, 16), mode="bilinear")
    assert kept.dtype == torch.uint8
    ours = last(F.interpolate(torch.from_numpy(x).float(), (16, 16), mode="bilinear") / 255)
    return Measured(gap(wide, ours), gap(wide / 255, ours), "pixels, where 0 to 1 is wanted")


def resized(method: str, size: int, **options: object) -> tuple[np.ndarray, np.ndarray]:
    """Images of 8 by 8 pixels, resized in both frameworks."""
    x = normal(1, 3, 8, 8).astype(np.float32)
    ours = F.interpolate(torch.from_numpy(x), (size, size), mode=method, **options)
    name = method.removesuffix("-exact")
    return last(ours), array(tf.image.resize(last(x).astype(np.float32), (size, size), name))


@establishes("resize-corners", within=1e-6, because="tf.image.resize computes in float32")
def resize_corners() -> Measured:
    return Measured(gap(*resized("bilinear", 16, align_corners=True)),
                    gap(*resized("bilinear", 16, align_corners=False)), "images of 8 made 16 wide")


@establishes("resize-nearest")
def resize_nearest() -> Measured:
    return Measured(gap(*resized("nearest", 3)), gap(*resized("nearest-exact", 3)),
                    "images of 8 made 3 wide")


@establishes("resize-bicubic", within=1e-6, because="tf.image.resize computes in float32")
def resize_bicubic() -> Measured:
    point = np.zeros((1, 1, 8, 8), np.float32)
    point[0, 0, 4] = 1  # the weight a quarter pixel away tells the cubic's a
    ours = F.interpolate(torch.from_numpy(point), (16, 16), mode="bicubic")[0, 0, 8, 8]
    theirs = tf.image.resize(last(point).astype(np.float32), (16, 16), "bicubic")[0, 8, 8, 0]
    for a, weight in ((-0.75, ours), (-0.5, theirs)):
        assert gap(weight, (a + 2) / 4**3 - (a + 3) / 4**2 + 1) < 1e-6
    return Measured(gap(*resized("bicubic", 16)), gap(*resized("bicubic", 16, antialias=True)),
                    "images of 8 made 16 wide")
