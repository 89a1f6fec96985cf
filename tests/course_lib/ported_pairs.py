"""Pairs of models for the port doctor's tests: equal ones, and ones with a single planted difference.

Each function returns a `Pair`: twins with the same weights (unless the weights are the plant).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf
import torch
from torch import nn
from torch.nn import functional as F

from course_lib import parity
from course_lib.parity import counterparts
from course_lib.parity.visit import Visit, prepare

keras = tf.keras
L = keras.layers


@dataclass
class Pair:
    """Two models, what they are asked, and what was planted."""

    torch_model: nn.Module
    keras_model: keras.Model
    batch: tuple
    row: str | None = None             # Rosetta row that explains the plant
    stage: str = ""
    word: str = ""                     # in the doctor's sentence, where there is no row
    also: tuple = ()                   # rows of differences that no setting can remove
    more: dict = field(default_factory=dict)


EQUAL: dict[str, Callable[[], Pair]] = {}
PLANTED: dict[str, Callable[[], Pair]] = {}


def equal(make):
    EQUAL[make.__name__] = make
    return make


def planted(make):
    PLANTED[make.__name__] = make
    return make


def seeded(seed=0):
    torch.manual_seed(seed)
    return np.random.default_rng(seed)


def sequential(shape, *layers, dtype="float64", floatx=None):
    """A Keras model of these layers, built in this dtype."""
    before = keras.config.dtype_policy(), keras.config.floatx()
    keras.config.set_dtype_policy(dtype)
    keras.config.set_floatx(floatx or dtype)
    try:
        return keras.Sequential([keras.Input(shape), *(make() for make in layers)])
    finally:
        keras.config.set_dtype_policy(before[0])
        keras.config.set_floatx(before[1])


def stack(*modules, dtype=torch.float64):
    return nn.Sequential(*modules).to(dtype)


def lend(pair: Pair) -> Pair:
    """PyTorch's weights for Keras, by position: the names of these models differ."""
    visit = Visit(pair.torch_model, pair.keras_model)
    prepare(visit, pair.batch, pair.more.get("keras_batch"))
    pair.torch_model.train(False)
    counterparts.layers(visit)
    for ours, theirs in visit.weighted():
        counterparts.lend(ours, theirs)
    pair.torch_model.train(True)
    return pair


def mlp(hidden=8, activation="relu", last=None, dtype="float64", torch_act=nn.ReLU, classes=3):
    model = stack(nn.Linear(6, hidden), torch_act(), nn.Linear(hidden, classes),
                  dtype=getattr(torch, dtype))
    twin = sequential((6,), lambda: L.Dense(hidden, activation=activation),
                      lambda: L.Dense(classes, activation=last), dtype=dtype)
    return model, twin


def rows(rng, n=20, features=6, classes=3, dtype="float64"):
    return rng.normal(size=(n, features)).astype(dtype), rng.integers(0, classes, n)


def entropy(from_logits=True, dtype="float64", **settings):
    return keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits, dtype=dtype, **settings)


def sgd(model, rate=0.125, **settings):
    return torch.optim.SGD(model.parameters(), rate, **settings)


# --- equal pairs ----------------------------------------------------------------------------------


@equal
def two_dense_layers():
    rng = seeded()
    model, twin = mlp()
    return lend(Pair(model, twin, rows(rng), more={
        "losses": (F.cross_entropy, entropy()), "optimizers": (sgd(model), keras.optimizers.SGD(0.125))}))


@equal
def two_dense_layers_in_float32():
    rng = seeded(1)
    model, twin = mlp(dtype="float32", activation="tanh", torch_act=nn.Tanh)
    return lend(Pair(model, twin, rows(rng, dtype="float32"), more={
        "losses": (F.cross_entropy, entropy(dtype="float32")), "optimizers": (sgd(model), keras.optimizers.SGD(0.125))}))


@equal
def logits_here_and_probabilities_there():
    """Each loss knows what its model returns: not a difference."""
    rng = seeded(2)
    model, twin = mlp(last="softmax")
    return lend(Pair(model, twin, rows(rng), more={"losses": (F.cross_entropy, entropy(False))}))


@equal
def the_courses_lenet():
    from course_lib.pytorch.lenet import TorchLeNet
    from course_lib.tensorflow.lenet import TFLeNet

    rng = seeded(3)
    model, twin = TorchLeNet(10, dtype="float64"), TFLeNet(10, dtype="float64")
    parity.copy_weights(model, twin)
    batch = rng.normal(size=(8, 28, 28)), rng.integers(0, 10, 8)
    return Pair(model, twin, batch, more={
        "losses": (F.cross_entropy, entropy()), "optimizers": (sgd(model), keras.optimizers.SGD(0.125))})


@equal
def the_courses_residual_network():
    from course_lib.pytorch.resnet import TorchResNet
    from course_lib.tensorflow.resnet import TFResNet

    rng = seeded(4)
    model, twin = TorchResNet(6, dtype="float64"), TFResNet(6, dtype="float64")
    parity.copy_weights(model, twin)
    return Pair(model, twin, (rng.normal(size=(6, 16, 16, 3)), rng.integers(0, 6, 6)), more={
        "losses": (F.cross_entropy, entropy()), "optimizers": (sgd(model), keras.optimizers.SGD(0.125))})


@equal
def a_convolution_padded_by_hand():
    rng = seeded(5)
    model = stack(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    twin = sequential((8, 8, 3), lambda: L.ZeroPadding2D(1), lambda: L.Conv2D(4, 3, 2, activation="relu"),
                      lambda: L.MaxPooling2D(2))
    return lend(Pair(model, twin, (rng.normal(size=(4, 3, 8, 8)), None)))


@equal
def flattened_in_the_same_order():
    rng = seeded(6)
    model = stack(nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(48, 4))
    twin = sequential((6, 6, 2), lambda: L.Conv2D(3, 3), lambda: L.Permute((3, 1, 2)), L.Flatten,
                      lambda: L.Dense(4))
    return lend(Pair(model, twin, (rng.normal(size=(5, 2, 6, 6)), None)))


class Recurrent(nn.Module):
    def __init__(self, kind, features=3, units=4):
        super().__init__()
        self.cell = kind(features, units, batch_first=True)
        self.readout = nn.Linear(units, 2)

    def forward(self, x):
        return self.readout(self.cell(x)[0][:, -1])


@equal
def a_gru_over_steps():
    rng = seeded(7)
    model = Recurrent(nn.GRU).double()
    twin = sequential((7, 3), lambda: L.GRU(4), lambda: L.Dense(2))
    return lend(Pair(model, twin, (rng.normal(size=(5, 7, 3)), rng.integers(0, 2, 5)), more={
        "losses": (F.cross_entropy, entropy())}))


class Block(nn.Module):
    """Two dense layers with a shortcut around them, normalised before."""

    def __init__(self, width=6, act=F.gelu, scale=1.0, shortcut=True):
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(width), nn.Linear(width, 12), nn.Linear(12, width)
        self.act, self.scale, self.shortcut = act, scale, shortcut

    def forward(self, x):
        out = self.down(self.act(self.up(self.norm(x)) * self.scale))
        return x + out if self.shortcut else out


def exact_gelu(x):
    return 0.5 * x * (1 + tf.math.erf(x / tf.constant(2, x.dtype)**0.5))


class KerasBlock(keras.Model):
    def __init__(self, width=6, act=None, epsilon=1e-5):
        super().__init__(dtype="float64")
        kind = {"dtype": "float64"}
        self.norm = L.LayerNormalization(epsilon=epsilon, name="norm", **kind)
        self.up, self.down = L.Dense(12, name="up", **kind), L.Dense(width, name="down", **kind)
        self.act = act or exact_gelu

    def call(self, x, training=False):
        return x + self.down(self.act(self.up(self.norm(x))))


def block(seed=8, torch_settings=None, **settings):
    rng = seeded(seed)
    model, twin = Block(**torch_settings or {}).double(), KerasBlock(**settings)
    x = rng.normal(size=(9, 6))
    twin(x)
    parity.copy_weights(model, twin)
    return Pair(model, twin, (x, None))


@equal
def a_block_with_a_shortcut():
    return block()


@equal
def normalised_with_one_convention():
    rng = seeded(9)
    model = stack(nn.Linear(6, 8), nn.BatchNorm1d(8, eps=1e-3, momentum=0.125), nn.LeakyReLU(0.25),
                  nn.Dropout(0.3), nn.Linear(8, 3))
    twin = sequential((6,), lambda: L.Dense(8), lambda: L.BatchNormalization(epsilon=1e-3, momentum=0.875),
                      lambda: L.LeakyReLU(negative_slope=0.25), lambda: L.Dropout(0.3), lambda: L.Dense(3))
    return lend(Pair(model, twin, rows(rng), more={
        "losses": (F.cross_entropy, entropy()),
        "optimizers": (sgd(model, momentum=0.875), keras.optimizers.SGD(0.125, momentum=0.875))}))


class Words(nn.Module):
    def __init__(self, padding=None):
        super().__init__()
        self.embedding = nn.Embedding(11, 5, padding_idx=padding)
        self.readout = nn.Linear(5, 3)

    def forward(self, x):
        return self.readout(self.embedding(x).mean(dim=1))


def words(padding=None, **more):
    rng = seeded(10)
    model = Words(padding).double()
    twin = sequential((6,), lambda: L.Embedding(11, 5), L.GlobalAveragePooling1D, lambda: L.Dense(3))
    ids = rng.integers(0, 11, (8, 6))
    ids[:, 0] = 0
    pair = Pair(model, twin, (ids, rng.integers(0, 3, 8)), more={"losses": (F.cross_entropy, entropy())})
    return lend(pair)


@equal
def averaged_embeddings():
    return words()


@equal
def an_lstm_with_one_bias():
    """The cure of two biases: one of them is 0 and does not train."""
    rng = seeded(11)
    model = Recurrent(nn.LSTM).double()
    with torch.no_grad():
        model.cell.bias_hh_l0.zero_()
    model.cell.bias_hh_l0.requires_grad_(False)
    twin = sequential((7, 3), lambda: L.LSTM(4), lambda: L.Dense(2))
    trained = [p for p in model.parameters() if p.requires_grad]
    return lend(Pair(model, twin, (rng.normal(size=(5, 7, 3)), rng.integers(0, 2, 5)), more={
        "losses": (F.cross_entropy, entropy()),
        "optimizers": (torch.optim.SGD(trained, 0.125), keras.optimizers.SGD(0.125))}))


class Cropped(nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.out = nn.ConvTranspose2d(3, 4, 3, stride=2), nn.Conv2d(4, 1, 1)

    def forward(self, x):
        return self.out(self.up(x)[:, :, :10, :10])


@equal
def a_transposed_convolution_that_is_cropped():
    """The cure of the padding: outputs of different sizes, alike where they are used."""
    rng = seeded(12)
    twin = sequential((5, 5, 3), lambda: L.Conv2DTranspose(4, 3, 2, padding="same"), lambda: L.Conv2D(1, 1))
    return lend(Pair(Cropped().double(), twin, (rng.normal(size=(4, 3, 5, 5)), None)))


class Wired(nn.Module):
    """Two dense layers of one size, called in another order than Keras calls them."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(6, 4), nn.Linear(6, 4)

    def forward(self, x):
        return self.left(x) - self.right(x)


class KerasWired(keras.Model):
    def __init__(self):
        super().__init__(dtype="float64")
        self.left, self.right = (L.Dense(4, name=n, dtype="float64") for n in ("left", "right"))

    def call(self, x, training=False):
        right = self.right(x)
        return self.left(x) - right


@equal
def layers_called_in_another_order():
    rng = seeded(13)
    model, twin = Wired().double(), KerasWired()
    x = rng.normal(size=(5, 6))
    twin(x)
    parity.copy_weights(model, twin)
    return Pair(model, twin, (x, None))


# --- one planted difference each ------------------------------------------------------------------


@planted
def epsilon_of_batch_norm():
    rng = seeded()
    model = stack(nn.Linear(6, 8), nn.BatchNorm1d(8, momentum=0.125), nn.ReLU(), nn.Linear(8, 3))
    twin = sequential((6,), lambda: L.Dense(8), lambda: L.BatchNormalization(momentum=0.875), L.ReLU,
                      lambda: L.Dense(3))
    return lend(Pair(model, twin, rows(rng), "batch-norm-epsilon", "outputs"))


@planted
def momentum_of_batch_norm():
    rng = seeded()
    model = stack(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    twin = sequential((6,), lambda: L.Dense(8), lambda: L.BatchNormalization(epsilon=1e-5), L.ReLU,
                      lambda: L.Dense(3))
    return lend(Pair(model, twin, rows(rng), "batch-norm-momentum", "state"))


@planted
def statistics_not_copied():
    rng = seeded()
    model = stack(nn.Linear(6, 8), nn.BatchNorm1d(8, eps=1e-3, momentum=0.125), nn.Linear(8, 3))
    twin = sequential((6,), lambda: L.Dense(8), lambda: L.BatchNormalization(momentum=0.875),
                      lambda: L.Dense(3))
    pair = lend(Pair(model, twin, rows(rng), None, "weights", "running statistics"))
    with torch.no_grad():
        model(torch.from_numpy(pair.batch[0]))      # in training mode: fills them
    return pair


@planted
def epsilon_of_layer_norm():
    pair = block(epsilon=1e-3)
    pair.row, pair.stage = "layer-norm-epsilon", "outputs"
    return pair


@planted
def epsilon_of_group_norm():
    rng = seeded()
    model = stack(nn.Conv2d(3, 8, 3), nn.GroupNorm(4, 8), nn.ReLU())
    twin = sequential((6, 6, 3), lambda: L.Conv2D(8, 3), lambda: L.GroupNormalization(4), L.ReLU)
    return lend(Pair(model, twin, (rng.normal(size=(4, 3, 6, 6)), None), "group-norm-epsilon", "outputs"))


@planted
def padding_of_a_strided_convolution():
    rng = seeded()
    model = stack(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.ReLU())
    twin = sequential((8, 8, 3), lambda: L.Conv2D(4, 3, 2, padding="same", activation="relu"))
    return lend(Pair(model, twin, (rng.normal(size=(4, 3, 8, 8)), None),
                     "strided-convolution-padding", "outputs"))


@planted
def padding_of_a_maximum_pool():
    rng = seeded()
    model = stack(nn.Conv2d(3, 4, 3), nn.MaxPool2d(3, 2, padding=1))
    twin = sequential((10, 10, 3), lambda: L.Conv2D(4, 3), lambda: L.MaxPooling2D(3, 2, padding="same"))
    return lend(Pair(model, twin, (rng.normal(size=(4, 3, 10, 10)), None), "max-pool-padding", "outputs"))


@planted
def padding_counted_in_a_mean():
    rng = seeded()
    model = stack(nn.Conv2d(3, 4, 3), nn.AvgPool2d(3, 1, padding=1))
    twin = sequential((8, 8, 3), lambda: L.Conv2D(4, 3), lambda: L.AveragePooling2D(3, 1, padding="same"))
    return lend(Pair(model, twin, (rng.normal(size=(4, 3, 8, 8)), None), "average-pool-padding", "outputs"))


@planted
def padding_of_a_transposed_convolution():
    rng = seeded()
    model = stack(nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1, output_padding=1))
    twin = sequential((5, 5, 3), lambda: L.Conv2DTranspose(4, 3, 2, padding="same"))
    return lend(Pair(model, twin, (rng.normal(size=(4, 3, 5, 5)), None), "transposed-convolution", "outputs"))


@planted
def order_of_flattening():
    rng = seeded()
    model = stack(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 4))
    twin = sequential((6, 6, 2), lambda: L.Conv2D(3, 3, activation="relu"), L.Flatten, lambda: L.Dense(4))
    return lend(Pair(model, twin, (rng.normal(size=(5, 2, 6, 6)), None), "flatten-order", "outputs"))


class FlattensItself(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.readout = nn.Conv2d(2, 3, 3), nn.Linear(12, 4)

    def forward(self, x):
        return self.readout(F.max_pool2d(F.relu(self.conv(x)), 2).reshape(len(x), -1))


@planted
def order_of_flattening_without_a_layer():
    rng = seeded()
    twin = sequential((6, 6, 2), lambda: L.Conv2D(3, 3, activation="relu"), L.MaxPooling2D, L.Flatten,
                      lambda: L.Dense(4))
    return lend(Pair(FlattensItself().double(), twin, (rng.normal(size=(5, 2, 6, 6)), None),
                     "flatten-order", "outputs"))


@planted
def formula_of_gelu():
    pair = block(act=keras.ops.gelu)       # its default is the tanh formula
    pair.row, pair.stage = "gelu", "outputs"
    return pair


@planted
def constant_of_gelu():
    pair = block(act=keras.activations.gelu)
    pair.row, pair.stage = "gelu-float64", "outputs"
    return pair


@planted
def slope_of_leaky_relu():
    rng = seeded()
    model = stack(nn.Linear(6, 8), nn.LeakyReLU(), nn.Linear(8, 3))
    twin = sequential((6,), lambda: L.Dense(8), L.LeakyReLU, lambda: L.Dense(3))
    return lend(Pair(model, twin, rows(rng), "leaky-relu-slope", "outputs"))


@planted
def another_activation():
    rng = seeded()
    model, twin = mlp(activation="sigmoid", torch_act=nn.Tanh)
    return lend(Pair(model, twin, rows(rng), None, "outputs", "tanh, Keras sigmoid"))


@planted
def a_shortcut_left_out():
    pair = block(torch_settings={"shortcut": False})
    pair.stage, pair.word = "outputs", "Keras adds the model's input"
    return pair


@planted
def a_scale_left_out():
    pair = block(torch_settings={"scale": 6**0.5, "act": F.relu}, act=keras.activations.relu)
    pair.stage, pair.word = "outputs", "times 0.408248"
    return pair


class Standardised(nn.Module):
    def __init__(self):
        super().__init__()
        self.readout = nn.Linear(6, 3)

    def forward(self, x):
        return self.readout((x - x.mean(dim=1, keepdim=True)) / x.std(dim=1, keepdim=True))


class KerasStandardised(keras.Model):
    def __init__(self):
        super().__init__(dtype="float64")
        self.readout = L.Dense(3, name="readout", dtype="float64")

    def call(self, x, training=False):
        mean, std = tf.reduce_mean(x, 1, keepdims=True), tf.math.reduce_std(x, 1, keepdims=True)
        return self.readout((x - mean) / std)


@planted
def divisor_of_a_standard_deviation():
    rng = seeded()
    model, twin = Standardised().double(), KerasStandardised()
    x = rng.normal(size=(9, 6))
    twin(x)
    parity.copy_weights(model, twin)
    return Pair(model, twin, (x, None), "standard-deviation", "outputs")


@planted
def a_square_kernel_not_transposed():
    rng = seeded()
    model, twin = mlp(hidden=6)
    pair = lend(Pair(model, twin, rows(rng), "kernel-layout", "weights"))
    twin.layers[0].kernel.assign(model[0].weight.detach().numpy())
    return pair


@planted
def one_of_two_biases():
    rng = seeded()
    model = Recurrent(nn.LSTM).double()
    twin = sequential((7, 3), lambda: L.LSTM(4), lambda: L.Dense(2))
    pair = lend(Pair(model, twin, (rng.normal(size=(5, 7, 3)), None), "lstm-biases", "weights"))
    twin.layers[0].cell.bias.assign(model.cell.bias_ih_l0.detach().numpy())
    return pair


@planted
def gates_of_a_gru_in_torchs_order():
    rng = seeded()
    model = Recurrent(nn.GRU).double()
    twin = sequential((7, 3), lambda: L.GRU(4), lambda: L.Dense(2))
    pair = lend(Pair(model, twin, (rng.normal(size=(5, 7, 3)), None), "gru-gates", "weights"))
    twin.layers[0].cell.kernel.assign(model.cell.weight_ih_l0.detach().numpy().T)
    return pair


@planted
def weights_never_copied():
    rng = seeded()
    model, twin = mlp()
    return Pair(model, twin, rows(rng), "initialisers", "weights")


@planted
def another_dtype():
    rng = seeded()
    model, _ = mlp(dtype="float32")
    _, twin = mlp(dtype="float64")
    return lend(Pair(model, twin, rows(rng), "input-dtype", "dtype"))


@planted
def an_input_rounded_to_float32():
    rng = seeded()
    model, _ = mlp()
    twin = sequential((6,), lambda: L.Dense(8, activation="relu"), lambda: L.Dense(3), floatx="float32")
    return lend(Pair(model, twin, rows(rng), "keras-input-dtype", "outputs"))


@planted
def a_frozen_layer():
    rng = seeded()
    model, twin = mlp()
    pair = lend(Pair(model, twin, rows(rng), None, "layers", "PyTorch trains it"))
    twin.layers[0].trainable = False
    return pair


@planted
def dropout_as_the_share_that_is_kept():
    rng = seeded()
    model = stack(nn.Linear(6, 8), nn.Dropout(0.1), nn.Linear(8, 3))
    twin = sequential((6,), lambda: L.Dense(8), lambda: L.Dropout(0.9), lambda: L.Dense(3))
    return lend(Pair(model, twin, rows(rng), None, "layers", "share that is dropped"))


def lossy(losses, row, word="", y=None, last=None, classes=3, torch_last=None):
    rng = seeded()
    model, twin = mlp(last=last, classes=classes)
    if torch_last:
        model.append(torch_last)
    x, labels = rows(rng, classes=max(classes, 2))
    labels = labels if y is None else y(rng, len(x))
    return lend(Pair(model, twin, (x, labels), row, "loss", word, more={"losses": losses}))


@planted
def logits_taken_for_probabilities():
    return lossy((F.cross_entropy, entropy(False)), "logits-or-probabilities")


@planted
def a_softmax_before_a_loss_of_logits():
    return lossy((F.cross_entropy, entropy(False)), "double-softmax", last="softmax",
                 torch_last=nn.Softmax(dim=-1))


@planted
def dtype_of_a_loss():
    return lossy((F.cross_entropy, entropy(dtype="float32")), "loss-object-float32")


@planted
def weights_of_classes():
    weight = np.array([1.0, 2.0, 4.0])
    single = entropy(reduction=None)

    def weighted(y, z):
        return tf.reduce_mean(tf.gather(tf.constant(weight), tf.cast(y, tf.int32)) * single(y, z))

    return lossy((nn.CrossEntropyLoss(torch.from_numpy(weight)), weighted), "class-weights")


@planted
def smoothed_labels():
    return lossy((nn.CrossEntropyLoss(label_smoothing=0.125), entropy()), "label-smoothing")


@planted
def ignored_labels():
    def some(rng, n):
        labels = rng.integers(0, 3, n)
        labels[::4] = -100
        return labels

    kind = entropy(reduction=None)

    def counted(y, z):
        kept = tf.cast(y >= 0, z.dtype)
        return tf.reduce_mean(kept * kind(tf.maximum(y, 0), z))

    return lossy((nn.CrossEntropyLoss(), counted), "ignore-index", y=some)


@planted
def a_broadcast_squared_error():
    return lossy((F.mse_loss, keras.losses.MeanSquaredError(dtype="float64")), "mse-broadcast", classes=1,
                 y=lambda rng, n: rng.normal(size=n))


@planted
def swapped_arguments_of_a_loss():
    one_hot = lambda rng, n: np.eye(3)[rng.integers(0, 3, n)]  # noqa: E731
    right = keras.losses.CategoricalCrossentropy(dtype="float64")

    def swapped(y, p):
        return right(p, y)

    def torch_loss(p, y):
        return -(y * p.clamp(1e-7, 1 - 1e-7).log()).sum(dim=-1).mean()

    return lossy((torch_loss, swapped), "loss-argument-order", y=one_hot, last="softmax",
                 torch_last=nn.Softmax(dim=-1))


@planted
def mean_over_elements_of_a_divergence():
    soft = lambda rng, n: rng.dirichlet(np.ones(3), n)  # noqa: E731
    torch_loss = nn.KLDivLoss(reduction="mean")
    right = keras.losses.KLDivergence(dtype="float64")
    return lossy((torch_loss, lambda y, z: right(y, tf.exp(z))), "kl-divergence", y=soft,
                 last="log_softmax", torch_last=nn.LogSoftmax(dim=-1))


@planted
def a_sum_for_a_mean():
    return lossy((nn.CrossEntropyLoss(reduction="sum"), entropy()), None, "PyTorch takes the sum")


@planted
def steps_before_the_batch():
    rng = seeded()
    model = Recurrent(nn.LSTM).double()
    model.cell.batch_first = False
    twin = sequential((7, 3), lambda: L.LSTM(4), lambda: L.Dense(2))
    return lend(Pair(model, twin, (rng.normal(size=(5, 7, 3)), None), None, "outputs", "batch_first=False"))


@planted
def hard_gates():
    rng = seeded()
    model = Recurrent(nn.LSTM).double()
    twin = sequential((7, 3), lambda: L.LSTM(4, recurrent_activation="hard_sigmoid"), lambda: L.Dense(2))
    return lend(Pair(model, twin, (rng.normal(size=(5, 7, 3)), None), None, "outputs", "activation of the gates"))


@planted
def statistics_along_the_wrong_axis():
    rng = seeded()
    model = stack(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6, eps=1e-3, momentum=0.125), nn.ReLU())
    twin = sequential((8, 8, 3), lambda: L.Conv2D(6, 3), lambda: L.BatchNormalization(axis=1, momentum=0.875), L.ReLU)
    with torch.no_grad():
        model[1].weight.copy_(torch.arange(1, 7))
    return lend(Pair(model, twin, (rng.normal(size=(4, 3, 8, 8)), None), None, "outputs", "axis of the channels"))


@planted
def another_kind_of_pool():
    rng = seeded()
    model = stack(nn.Conv2d(3, 4, 3), nn.MaxPool2d(2))
    twin = sequential((8, 8, 3), lambda: L.Conv2D(4, 3), lambda: L.AveragePooling2D(2))
    return lend(Pair(model, twin, (rng.normal(size=(4, 3, 8, 8)), None), None, "outputs", "kind of pooling"))


@planted
def two_kernels_exchanged():
    pair = EQUAL["layers_called_in_another_order"]()
    left, right = (getattr(pair.keras_model, n).kernel for n in ("left", "right"))
    kept = left.numpy()
    left.assign(right.numpy())
    right.assign(kept)
    pair.stage, pair.word = "weights", "holds PyTorch's weight of right"
    return pair


def ones(rng, n):
    return rng.integers(0, 2, (n, 1)).astype("float64")


@planted
def one_logit_taken_for_a_probability():
    kind = keras.losses.BinaryCrossentropy(dtype="float64")
    return lossy((F.binary_cross_entropy_with_logits, kind), "logits-or-probabilities", y=ones, classes=1)


@planted
def weight_of_the_positive_class():
    kind = keras.losses.BinaryCrossentropy(from_logits=True, dtype="float64")
    weight = torch.tensor([3.0], dtype=torch.float64)
    return lossy((nn.BCEWithLogitsLoss(pos_weight=weight), kind), "class-weights", y=ones, classes=1)


@planted
def a_shift_of_the_input():
    rng = seeded()
    model, twin = Shifted().double(), sequential((6,), lambda: L.Dense(3))
    return lend(Pair(model, twin, (rng.normal(size=(9, 6)), None), None, "outputs", "times 2, plus 1"))


class Shifted(nn.Module):
    def __init__(self):
        super().__init__()
        self.readout = nn.Linear(6, 3)

    def forward(self, x):
        return self.readout((x - 1) / 2)


@planted
def a_penalty_on_weights():
    rng = seeded()
    model, _ = mlp()
    twin = sequential((6,), lambda: L.Dense(8, activation="relu", kernel_regularizer=keras.regularizers.L2(0.25)),
                      lambda: L.Dense(3, kernel_regularizer=keras.regularizers.L2(0.25)))
    return lend(Pair(model, twin, rows(rng), "l2-regularizer", "loss", more={
        "losses": (F.cross_entropy, entropy()),
        "optimizers": (sgd(model, weight_decay=0.25), keras.optimizers.SGD(0.125))}))


@planted
def a_padding_row():
    pair = words(padding=0)
    pair.row, pair.stage = "embedding-padding", "gradients"
    return pair


class Stopped(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden, self.readout = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, x):
        return self.readout(torch.relu(self.hidden(x)).detach())


@planted
def a_gradient_that_is_stopped():
    rng = seeded()
    _, twin = mlp()
    return lend(Pair(Stopped().double(), twin, rows(rng), None, "gradients", "PyTorch has no gradient",
                     more={"losses": (F.cross_entropy, entropy())}))


def driven(make_torch, keras_optimizer, row, word=""):
    rng = seeded()
    model, twin = mlp()
    also = ("adam-epsilon",) if isinstance(keras_optimizer, keras.optimizers.Adam) else ()
    return lend(Pair(model, twin, rows(rng), row, "update", word, also, {
        "losses": (F.cross_entropy, entropy()), "optimizers": (make_torch(model.parameters()), keras_optimizer)}))


@planted
def epsilon_of_adam():
    return driven(lambda p: torch.optim.Adam(p, 1e-3), keras.optimizers.Adam(1e-3), "adam-epsilon")


@planted
def defaults_of_rmsprop():
    return driven(lambda p: torch.optim.RMSprop(p, 1e-3), keras.optimizers.RMSprop(1e-3), "rmsprop")


@planted
def defaults_of_adagrad():
    return driven(lambda p: torch.optim.Adagrad(p, 1e-2), keras.optimizers.Adagrad(1e-2), "adagrad")


@planted
def decay_inside_adam():
    return driven(lambda p: torch.optim.Adam(p, 0.125, weight_decay=0.25),
                  keras.optimizers.Adam(0.125, weight_decay=0.25, epsilon=1e-8), "adam-weight-decay")


@planted
def default_decay_of_adamw():
    return driven(lambda p: torch.optim.AdamW(p, 0.125), keras.optimizers.AdamW(0.125, epsilon=1e-8),
                  "adamw-decay-default")


@planted
def decay_inside_sgd():
    return driven(lambda p: torch.optim.SGD(p, 0.125, momentum=0.875, weight_decay=0.25),
                  keras.optimizers.SGD(0.125, momentum=0.875, weight_decay=0.25), "sgd-weight-decay")


@planted
def default_rates():
    return driven(torch.optim.SGD, keras.optimizers.SGD(), "learning-rate-defaults")


@planted
def clipping_of_each_tensor():
    return driven(lambda p: torch.optim.SGD(p, 0.125), keras.optimizers.SGD(0.125, clipnorm=0.0625),
                  "gradient-clipping")


@planted
def another_rule():
    return driven(lambda p: torch.optim.SGD(p, 0.125), keras.optimizers.Adam(0.125), None, "the rules differ")


@planted
def gradients_of_an_embedding():
    pair = words()
    pair.row, pair.stage = "embedding-gradients", "update"
    rate, betas = 0.125, (0.875, 1 - 2**-9)
    pair.more["optimizers"] = (torch.optim.Adam(pair.torch_model.parameters(), rate, betas, eps=1e-12),
                               keras.optimizers.Adam(rate, *betas, epsilon=1e-12))
    return pair


# --- layers made of parts -------------------------------------------------------------------------


class Attentive(nn.Module):
    """Attention of one sequence to another, and a readout of each step."""

    def __init__(self, batch_first=True, turn=False, **settings):
        super().__init__()
        self.attn = nn.MultiheadAttention(8, 2, batch_first=batch_first, **settings)
        self.readout, self.turn = nn.Linear(8, 3), turn

    def forward(self, x, other=None, **masks):
        other = x if other is None else other
        if self.turn:
            x, other = x.transpose(0, 1), other.transpose(0, 1)
        out = self.attn(x, other, other, **masks)[0]
        return self.readout(out.transpose(0, 1) if self.turn else out)


class KerasAttentive(keras.Model):
    def __init__(self, **settings):
        super().__init__(dtype="float64")
        self.attn = L.MultiHeadAttention(2, 4, name="attn", dtype="float64", **settings)
        self.readout = L.Dense(3, name="readout", dtype="float64")

    def call(self, inputs, training=False):
        x, other = inputs if isinstance(inputs, (tuple, list)) else (inputs, inputs)
        return self.readout(self.attn(x, other))


class Masked(Attentive):
    """With a boolean mask of the pairs, or of the keys, as the second input."""

    def __init__(self, name="attn_mask", turned=False, **settings):
        super().__init__(**settings)
        self.name, self.turned = name, turned

    def forward(self, x, mask):
        return super().forward(x, **{self.name: ~mask if self.turned else mask})


class KerasMasked(KerasAttentive):
    def call(self, inputs, training=False):
        x, mask = inputs
        if mask.shape[0] == x.shape[0]:      # of the keys: the same for all queries
            mask = mask[:, None]
        return self.readout(self.attn(x, x, attention_mask=mask))


def twins(model, twin, *inputs, **more):
    """A pair with weights copied by name."""
    twin([tf.constant(a) for a in inputs] if len(inputs) > 1 else tf.constant(inputs[0]))
    with torch.no_grad():
        for p in model.parameters():         # biases, too: torch starts those of attention at 0
            p.add_(0.125 * torch.randn_like(p))
    parity.copy_weights(model.double(), twin)
    return Pair(model, twin, (inputs if len(inputs) > 1 else inputs[0], None), **more)


def sequences(rng, n=5, steps=7, features=8):
    return rng.normal(size=(n, steps, features))


def causal(steps=7):
    return np.tri(steps, dtype=bool)         # True: allowed


def real(steps=7, lengths=(7, 5, 4, 6, 3)):
    return np.arange(steps) < np.array(lengths)[:, None]   # (batch, steps)


@equal
def attention_to_another_sequence():
    rng = seeded()
    pair = twins(Attentive(), KerasAttentive(), sequences(rng), sequences(rng, steps=4))
    labels = rng.integers(0, 3, (5, 7))
    pair.batch = pair.batch[0], labels
    pair.more = {
        "losses": (lambda z, y: F.cross_entropy(z.mean(dim=1), y[:, 0]),
                   lambda y, z: entropy()(y[:, 0], tf.reduce_mean(z, axis=1))),
        "optimizers": (sgd(pair.torch_model), keras.optimizers.SGD(0.125))}
    return pair


@equal
def attention_with_each_its_own_mask():
    rng = seeded(1)
    return twins(Masked(turned=True), KerasMasked(), sequences(rng), causal())


@equal
def attention_to_real_steps():
    rng = seeded(2)
    return twins(Masked("key_padding_mask", turned=True), KerasMasked(), sequences(rng), real())


@equal
def attention_with_steps_first():
    rng = seeded(3)
    return twins(Attentive(batch_first=False, turn=True, bias=False), KerasAttentive(use_bias=False),
                 sequences(rng))


@planted
def sense_of_an_attention_mask():
    rng = seeded()
    return twins(Masked(), KerasMasked(), sequences(rng), causal().T & ~np.eye(7, dtype=bool) | np.eye(7, k=-1, dtype=bool),
                 row="attention-mask", stage="outputs", word="opposite sense")


@planted
def sense_of_a_causal_mask():
    rng = seeded()
    return twins(Masked(), KerasMasked(), sequences(rng), ~causal(), row="attention-mask", stage="outputs")


@planted
def sense_of_a_padding_mask():
    rng = seeded()
    return twins(Masked("key_padding_mask"), KerasMasked(), sequences(rng), real(),
                 row="attention-mask", stage="outputs")


class KerasCausal(KerasAttentive):
    def call(self, inputs, training=False):
        return self.readout(self.attn(inputs, inputs, use_causal_mask=True))


@planted
def a_mask_on_one_side_alone():
    rng = seeded()
    return twins(Attentive(), KerasCausal(), sequences(rng), stage="outputs", word="PyTorch allows 100%, Keras 57%")


@planted
def attention_along_the_batch():
    rng = seeded()
    return twins(Attentive(batch_first=False), KerasAttentive(), sequences(rng), stage="outputs",
                 word="batch_first=False")


class ThreeInputs(Attentive):
    def forward(self, q, k, v):
        return self.readout(self.attn(q, k, v)[0])


class KerasThreeInputs(KerasAttentive):
    def call(self, inputs, training=False):
        q, k, v = inputs
        return self.readout(self.attn(q, k, v))        # Keras's order is query, value, key


@planted
def keys_given_for_values():
    rng = seeded()
    three = sequences(rng), sequences(rng, steps=4), sequences(rng, steps=4)
    return twins(ThreeInputs(), KerasThreeInputs(), *three, stage="outputs", word="keys and values change places")


@planted
def a_projection_copied_to_another():
    rng = seeded()
    pair = twins(Attentive(), KerasAttentive(), sequences(rng), stage="weights", word="query.kernel holds PyTorch's in_proj_weight of attn, which belongs to key.kernel")
    pair.keras_model.attn._query_dense.kernel.assign(pair.keras_model.attn._key_dense.kernel.numpy())
    return pair


class BothWays(nn.Module):
    def __init__(self, kind=nn.LSTM, take="steps"):
        super().__init__()
        self.cell = kind(3, 4, batch_first=True, bidirectional=True)
        self.readout, self.take = nn.Linear(8, 2), take

    def forward(self, x):
        out, state = self.cell(x)
        if self.take == "last":
            return self.readout(out[:, -1])
        if self.take == "state":
            state = state[0] if isinstance(state, tuple) else state
            return self.readout(torch.cat([state[0], state[1]], dim=-1))
        return self.readout(out)


def both_ways(kind, layer, take, seed=0, **more):
    rng = seeded(seed)
    model = BothWays(kind, take).double()
    twin = sequential((7, 3), lambda: L.Bidirectional(layer(4, return_sequences=take == "steps")),
                      lambda: L.Dense(2))
    return lend(Pair(model, twin, (sequences(rng, features=3), None), **more))


@equal
def an_lstm_both_ways():
    pair = both_ways(nn.LSTM, L.LSTM, "steps", 1)
    return Pair(pair.torch_model, pair.keras_model, (pair.batch[0], np.zeros((5, 7, 2))), more={
        "losses": (F.mse_loss, keras.losses.MeanSquaredError(dtype="float64"))})


@equal
def a_gru_both_ways_to_its_last_states():
    return both_ways(nn.GRU, L.GRU, "state", 2)


@planted
def last_step_of_both_ways():
    return both_ways(nn.LSTM, L.LSTM, "last", stage="outputs",
                     word="PyTorch takes the last step, Keras the last step forwards and the first backwards")


@planted
def directions_exchanged():
    pair = both_ways(nn.GRU, L.GRU, "steps", stage="weights", word="forward.kernel holds PyTorch's weight_ih_l0_reverse")
    there, back = pair.keras_model.layers[0].forward_layer.cell, pair.keras_model.layers[0].backward_layer.cell
    for a, b in zip(there.weights, back.weights, strict=True):
        kept = a.numpy()
        a.assign(b.numpy())
        b.assign(kept)
    return pair


def depthwise(seed, module, layer, **more):
    rng = seeded(seed)
    model = stack(module(), nn.ReLU(), nn.Conv2d(6, 4, 1))
    twin = sequential((8, 8, 3), layer, L.ReLU, lambda: L.Conv2D(4, 1))
    return lend(Pair(model, twin, (rng.normal(size=(4, 3, 8, 8)), None), **more))


@equal
def each_channel_alone():
    return depthwise(1, lambda: nn.Conv2d(3, 6, 3, padding=1, groups=3),
                     lambda: L.DepthwiseConv2D(3, padding="same", depth_multiplier=2))


@planted
def padding_of_a_depthwise_convolution():
    return depthwise(0, lambda: nn.Conv2d(3, 6, 3, stride=2, padding=1, groups=3),
                     lambda: L.DepthwiseConv2D(3, 2, padding="same", depth_multiplier=2),
                     row="strided-convolution-padding", stage="outputs")


class Bag(nn.Module):
    def __init__(self, mode, padding=None):
        super().__init__()
        self.bag, self.readout = nn.EmbeddingBag(11, 5, mode=mode, padding_idx=padding), nn.Linear(5, 3)

    def forward(self, x):
        return self.readout(self.bag(x))


def bags(mode, padding=None, mask=False, seed=0, **more):
    rng = seeded(seed)
    twin = sequential((6,), lambda: L.Embedding(11, 5, mask_zero=mask), L.GlobalAveragePooling1D, lambda: L.Dense(3))
    ids = rng.integers(1, 11, (8, 6))
    ids[:, 4:] = rng.integers(0, 2, (8, 2)) * ids[:, 4:]
    ids[0, 4:], ids[1] = 0, ids[1].clip(1)
    return lend(Pair(Bag(mode, padding).double(), twin, (ids, rng.integers(0, 3, 8)), **more))


@equal
def a_bag_of_embeddings():
    return bags("mean")


@equal
def a_bag_without_padding():
    return bags("mean", padding=0, mask=True)


@planted
def a_sum_of_embeddings():
    return bags("sum", stage="outputs", word="PyTorch takes the sum over all steps, Keras the mean over all steps")


@planted
def padding_counted_in_a_bag():
    return bags("mean", mask=True, row="embedding-padding", stage="outputs",
                word="PyTorch takes the mean over all steps, Keras the mean over the steps that are not padding")


# --- the models' own code between two layers ------------------------------------------------------


class Own(nn.Module):
    """Layers, then code of one's own that takes what they return, then a readout."""

    def __init__(self, code, readout, *layers):
        super().__init__()
        self.parts, self.readout, self.code = nn.ModuleList(layers), readout, code

    def forward(self, x):
        return self.readout(self.code(x, *(part(x) for part in self.parts)))


class KerasOwn(keras.Model):
    def __init__(self, code, readout, *layers):
        super().__init__(dtype="float64")
        self.parts, self.readout, self.code = layers, readout, code

    def call(self, x, training=False):
        return self.readout(self.code(x, *(part(x) for part in self.parts)))


KIND = {"dtype": "float64"}


def own(x, ours, theirs, torch_layers, keras_layers, readout=8, **more):
    """A pair that differs in nothing but its own code."""
    model = Own(ours, nn.Linear(readout, 3), *torch_layers).double()
    twin = KerasOwn(theirs, L.Dense(3, **KIND), *keras_layers)
    twin(tf.constant(x))
    return lend(Pair(model, twin, (x, None), **more))


def dense(*widths, width_in=8):
    """These layers for both models."""
    return [nn.Linear(width_in, w) for w in widths], [L.Dense(w, **KIND) for w in widths]


def heads_of(array, heads=2):
    """(batch, time, features) -> (batch, heads, time, width), in either framework"""
    shape = array.shape
    wide = array.reshape(shape[0], shape[1], heads, -1) if isinstance(array, torch.Tensor) else tf.reshape(
        array, (shape[0], shape[1], heads, -1))
    return wide.swapaxes(1, 2) if isinstance(array, torch.Tensor) else tf.transpose(wide, (0, 2, 1, 3))


def torch_attention(x, q, k, v, scale=0.5, mask=None, axis=-1):
    q, k, v = map(heads_of, (q, k, v))
    scores = scale * q @ k.swapaxes(-1, -2)
    if mask is not None:
        scores = scores.masked_fill(~torch.from_numpy(mask), -1e9)
    return (scores.softmax(dim=axis) @ v).swapaxes(1, 2).reshape(x.shape)


def keras_attention(x, q, k, v, scale=0.5, mask=None, axis=-1):
    q, k, v = map(heads_of, (q, k, v))
    scores = scale * tf.matmul(q, k, transpose_b=True)
    if mask is not None:
        scores = tf.where(mask, scores, tf.constant(-1e9, scores.dtype))
    return tf.reshape(tf.transpose(tf.nn.softmax(scores, axis) @ v, (0, 2, 1, 3)), x.shape)


def written_out(ours=None, theirs=None, seed=0, **more):
    rng = seeded(seed)
    return own(sequences(rng), lambda *a: torch_attention(*a, **ours or {}),
               lambda *a: keras_attention(*a, **theirs or {}), *dense(8, 8, 8), **more)


@equal
def attention_written_out():
    return written_out({"mask": causal()}, {"mask": causal()}, 1)


@planted
def root_of_the_width_left_out():
    return written_out({}, {"scale": 1.0}, stage="outputs",
                       word="1 / the root of the width of a head in PyTorch and 1 in Keras")


@planted
def root_of_the_wrong_width():
    return written_out({}, {"scale": 8**-0.5}, stage="outputs", word="1 / the root of all features in Keras")


@planted
def softmax_over_the_queries():
    return written_out({}, {"axis": -2}, stage="outputs", word="the keys in PyTorch and the queries in Keras")


@planted
def a_causal_mask_turned_round():
    return written_out({"mask": causal()}, {"mask": ~causal()}, stage="outputs",
                       word="the mask is causal in PyTorch and causal, turned round in Keras")


@planted
def a_causal_mask_left_out():
    return written_out({}, {"mask": causal()}, stage="outputs", word="the mask is none in PyTorch and causal in Keras")


def simple(ours, theirs, word, seed=0, x=None, width=8, readout=8, **more):
    """One dense layer, then own code."""
    rng = seeded(seed)
    x = sequences(rng) if x is None else x
    return own(x, ours, theirs, *dense(width), readout, stage="outputs", word=word, **more)


@planted
def a_root_left_out():
    return simple(lambda x, h: h / 8**0.5, lambda x, h: h, "times 2.82843, which is the root of 8")


@planted
def a_root_on_one_side():
    return simple(lambda x, h: h, lambda x, h: h * 4**-0.5, "times 0.5, which is 1 / the root of 4")


@planted
def softmax_over_another_axis():
    return simple(lambda x, h: h.softmax(dim=1), lambda x, h: tf.nn.softmax(h, -1),
                  "PyTorch's softmax goes over axis 1 of 3, Keras's over axis 2 of 3")


@equal
def softmax_over_the_steps():
    return simple(lambda x, h: h.softmax(dim=1), lambda x, h: tf.nn.softmax(h, 1), "", 2)


def pooled(x, scores, axis):
    if isinstance(scores, torch.Tensor):
        return (scores.softmax(dim=axis) * x).sum(dim=1)
    return tf.reduce_sum(tf.nn.softmax(scores, axis) * x, axis=1)


@planted
def weights_of_a_pool_over_the_wrong_axis():
    return simple(lambda x, s: pooled(x, s, 1), lambda x, s: pooled(x, s, -1),
                  "PyTorch takes the steps weighted by a softmax over the steps, Keras the sum over all steps", width=1)


@equal
def a_pool_with_weights():
    return simple(lambda x, s: pooled(x, s, 1), lambda x, s: pooled(x, s, 1), "", 3, width=1)


def mean_of_real(x, h):
    """The mean over steps that are not all zeros."""
    if isinstance(h, torch.Tensor):
        kept = (x != 0).any(dim=-1, keepdim=True)
        return (h * kept).sum(dim=1) / kept.sum(dim=1)
    kept = tf.cast(tf.reduce_any(x != 0, axis=-1, keepdims=True), h.dtype)
    return tf.reduce_sum(h * kept, axis=1) / tf.reduce_sum(kept, axis=1)


def padded(rng):
    return sequences(rng) * real()[..., None]


@planted
def padded_steps_in_a_mean():
    return simple(mean_of_real, lambda x, h: tf.reduce_mean(h, axis=1),
                  "PyTorch takes the mean over the steps that are not padding, Keras the mean over all steps",
                  x=padded(seeded()))


@equal
def a_mean_over_real_steps():
    return simple(mean_of_real, mean_of_real, "", x=padded(seeded(4)))


class Averaged(nn.Module):
    """The mean of embedded words, with padding or without."""

    def __init__(self, real):
        super().__init__()
        self.embedding, self.readout, self.real = nn.Embedding(11, 5), nn.Linear(5, 3), real

    def forward(self, ids):
        out = self.embedding(ids)
        if not self.real:
            return self.readout(out.mean(dim=1))
        kept = (ids != 0).unsqueeze(-1)
        return self.readout((out * kept).sum(dim=1) / kept.sum(dim=1))


def averaged(real, **more):
    pair = bags("mean", mask=True)
    model = Averaged(real).double()
    return lend(Pair(model, pair.keras_model, pair.batch, **more))


@equal
def words_without_padding():
    return averaged(True)


@planted
def padding_counted_in_a_mean_of_words():
    return averaged(False, row="embedding-padding", stage="outputs", word="the steps that are not padding")


def convolved(ours, theirs, seed=0, **more):
    """A convolution along time, padded by hand: (before, after)."""
    rng = seeded(seed)

    class Padded(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.readout = nn.Conv1d(8, 6, 3), nn.Linear(6, 3)

        def forward(self, x):
            return self.readout(self.conv(F.pad(x.transpose(1, 2), ours)).transpose(1, 2))

    twin = sequential((7, 8), lambda: L.ZeroPadding1D(theirs), lambda: L.Conv1D(6, 3), lambda: L.Dense(3))
    return lend(Pair(Padded().double(), twin, (sequences(rng), None), **more))


@equal
def a_causal_convolution():
    return convolved((2, 0), (2, 0), 5)


@planted
def causal_padding_on_the_wrong_side():
    return convolved((2, 0), (0, 2), stage="outputs", word="2 steps earlier")


@planted
def padding_on_both_sides_for_causal():
    return convolved((1, 1), (2, 0), stage="outputs", word="1 step later")


def causal_layer(padding, seed=0, **more):
    rng = seeded(seed)
    x = sequences(rng)
    model = Own(lambda x, h: h.transpose(1, 2)[:, :7], nn.Linear(6, 3), nn.Conv1d(8, 6, 3, padding=padding)).double()
    forward = model.parts[0].forward
    model.parts[0].forward = lambda x: forward(x.transpose(1, 2))
    twin = sequential((7, 8), lambda: L.Conv1D(6, 3, padding="causal"), lambda: L.Dense(3))
    return lend(Pair(model, twin, (x, None), **more))


@equal
def a_causal_convolution_that_is_cropped():
    return causal_layer(2, 6)


@planted
def joined_in_another_order():
    rng = seeded()
    return own(sequences(rng), lambda x, a, b: torch.cat([a, b], dim=-1), lambda x, a, b: tf.concat([b, a], -1),
               *dense(3, 5), stage="outputs", word="joined in another order: Keras's are PyTorch's 3 to 7, 0 to 2")


@equal
def joined_in_one_order():
    rng = seeded(7)
    return own(sequences(rng), lambda x, a, b: torch.cat([a, b], dim=-1), lambda x, a, b: tf.concat([a, b], -1),
               *dense(3, 5))


@planted
def channels_mixed_by_a_reshape():
    return simple(lambda x, h: h, lambda x, h: tf.reshape(tf.transpose(tf.reshape(h, (5, 7, 2, 4)), (0, 1, 3, 2)), h.shape),
                  "one of each of PyTorch's 2 blocks in turn")


@planted
def a_shortcut_after_the_activation():
    return simple(lambda x, h: torch.relu(x + h), lambda x, h: x + tf.nn.relu(h),
                  "PyTorch adds the model's input before ReLU, Keras adds the model's input after ReLU")


@planted
def a_shortcut_left_out_before_an_activation():
    return simple(lambda x, h: torch.tanh(x + h), lambda x, h: tf.tanh(h),
                  "PyTorch adds the model's input before tanh, Keras applies tanh without")


@equal
def a_shortcut_before_an_activation():
    return simple(lambda x, h: F.silu(x + h), lambda x, h: tf.nn.silu(x + h), "", 8)


@planted
def a_shortcut_before_a_mean():
    return simple(lambda x, h: (x + h).mean(dim=1), lambda x, h: tf.reduce_mean(h, axis=1),
                  "PyTorch adds the mean of the model's input over its steps")


@planted
def the_last_step_of_a_padded_sequence():
    def last(x, h):
        return h[torch.arange(5), (x != 0).any(dim=-1).sum(dim=1) - 1]

    return simple(last, lambda x, h: h[:, -1], "PyTorch takes the last step that is not padding, Keras the last step",
                  x=padded(seeded()))


class LastWord(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.cell = nn.Embedding(11, 5), nn.LSTM(5, 4, batch_first=True)
        self.readout = nn.Linear(4, 2)

    def forward(self, ids):
        return self.readout(self.cell(self.embedding(ids))[0][:, -1])


@planted
def a_mask_that_an_lstm_obeys():
    rng = seeded()
    twin = sequential((7,), lambda: L.Embedding(11, 5, mask_zero=True), lambda: L.LSTM(4), lambda: L.Dense(2))
    ids = np.where(real(), rng.integers(1, 11, (5, 7)), 0)
    return lend(Pair(LastWord().double(), twin, (ids, None), "padded-sequences", "outputs"))


class Embedded(nn.Module):
    """Embeddings times a number, plus those of the positions."""

    def __init__(self, factor):
        super().__init__()
        self.words, self.places, self.readout = nn.Embedding(11, 16), nn.Embedding(7, 16), nn.Linear(16, 3)
        self.factor = factor

    def forward(self, ids):
        return self.readout(self.factor * self.words(ids) + self.places(torch.arange(7)))


class KerasEmbedded(keras.Model):
    def __init__(self):
        super().__init__(dtype="float64")
        self.words, self.places = L.Embedding(11, 16, name="words", **KIND), L.Embedding(7, 16, name="places", **KIND)
        self.readout = L.Dense(3, name="readout", **KIND)

    def call(self, ids, training=False):
        return self.readout(4 * self.words(ids) + self.places(tf.range(7)))


def embedded(factor, **more):
    rng = seeded()
    ids, twin = rng.integers(0, 11, (5, 7)), KerasEmbedded()
    twin(tf.constant(ids))
    return lend(Pair(Embedded(factor).double(), twin, (ids, None), **more))


@equal
def embeddings_times_a_root():
    return embedded(4.0)


@planted
def embeddings_without_the_root():
    return embedded(1.0, stage="outputs", word="Keras's numbers hold the output of words 3 times more than PyTorch's: 4"
                    " times, which is the root of 16")


@planted
def images_padded_on_other_edges():
    rng = seeded()

    class Padded(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3, stride=2)

        def forward(self, x):
            return self.conv(F.pad(x, (0, 1, 0, 1)))

    twin = sequential((6, 6, 3), lambda: L.ZeroPadding2D(((1, 0), (1, 0))), lambda: L.Conv2D(4, 3, 2))
    return lend(Pair(Padded().double(), twin, (rng.normal(size=(4, 3, 6, 6)), None), None, "outputs",
                     "shifted by (1, 1) pixels"))


# --- what must not be said ------------------------------------------------------------------------


class RealWords(Words):
    """The mean of the words that are not padding, whose row gets no gradient."""

    def forward(self, x):
        kept = (x != 0).unsqueeze(-1)
        return self.readout((self.embedding(x) * kept).sum(dim=1) / kept.sum(dim=1))


@equal
def a_padding_row_that_neither_trains():
    rng = seeded(20)
    model = RealWords(padding=0).double()
    twin = sequential((6,), lambda: L.Embedding(11, 5, mask_zero=True), L.GlobalAveragePooling1D, lambda: L.Dense(3))
    ids = rng.integers(1, 11, (8, 6))
    ids[:5, 4:] = 0
    return lend(Pair(model, twin, (ids, rng.integers(0, 3, 8)), more={
        "losses": (F.cross_entropy, entropy()), "optimizers": (sgd(model), keras.optimizers.SGD(0.125))}))


class Stacked(nn.Module):
    def __init__(self, kind, layers=2, both=False):
        super().__init__()
        self.cells = kind(3, 4, layers, batch_first=True, bidirectional=both)
        self.readout = nn.Linear(4 * (1 + both), 2)

    def forward(self, x):
        return self.readout(self.cells(x)[0])


def stacked(kind, layer, seed=0, both=False, **more):
    rng = seeded(seed)
    model = Stacked(kind, 3, both).double()
    wrap = L.Bidirectional if both else lambda layer: layer
    twin = sequential((7, 3), *[lambda: wrap(layer(4, return_sequences=True)) for _ in range(3)], lambda: L.Dense(2))
    pair = lend(Pair(model, twin, (sequences(rng, features=3), np.zeros((5, 7, 2))), **more))
    pair.more["losses"] = F.mse_loss, keras.losses.MeanSquaredError(dtype="float64")
    return pair


@equal
def three_grus_in_one_module():
    pair = stacked(nn.GRU, L.GRU, 21)
    pair.more["optimizers"] = sgd(pair.torch_model), keras.optimizers.SGD(0.125)
    return pair


@equal
def three_lstms_in_one_module_both_ways():
    return stacked(nn.LSTM, L.LSTM, 22, both=True)


@planted
def a_layer_of_a_stack_not_copied():
    pair = stacked(nn.GRU, L.GRU, row="initialisers", stage="weights")
    kernel = pair.keras_model.layers[1].cell.recurrent_kernel
    kernel.assign(kernel.numpy()[::-1])
    return pair


@equal
def a_decoder_that_is_cropped():
    """One activation layer in Keras, three in PyTorch; the cure of the padding between them."""
    rng = seeded(23)
    model = stack(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(),
                  nn.ConvTranspose2d(4, 3, 3, 2, 1, output_padding=1), nn.ReLU(), nn.Conv2d(3, 1, 1))
    twin = sequential((6, 6, 2), lambda: L.Conv2D(4, 3, activation="relu"),
                      lambda: L.Conv2D(4, 3, padding="same", activation="relu"), lambda: L.Conv2DTranspose(3, 3, 2),
                      lambda: L.Cropping2D(((1, 0), (1, 0))), L.ReLU, lambda: L.Conv2D(1, 1))
    return lend(Pair(model, twin, (rng.normal(size=(4, 2, 6, 6)), None)))


class Residual(nn.Module):
    """A convolution and a shortcut; one ReLU that works in place is called twice."""

    def __init__(self, relu):
        super().__init__()
        self.stem, self.conv, self.readout = nn.Conv2d(2, 4, 3), nn.Conv2d(4, 4, 3, padding=1), nn.Linear(4, 3)
        self.relu = relu

    def forward(self, x):
        x = self.relu(self.stem(x))
        return self.readout(self.relu(x + self.conv(x)).mean(dim=(2, 3)))


def residual(early, seed=0, relu=None, **more):
    """Keras's ReLU is a layer of its own each time, after the shortcut or before it."""
    rng = seeded(seed)
    x = keras.Input((6, 6, 2), dtype="float64")
    h = L.ReLU(**KIND)(L.Conv2D(4, 3, **KIND)(x))
    out = L.Conv2D(4, 3, padding="same", **KIND)(h)
    out = L.Add(**KIND)([h, L.ReLU(**KIND)(out)]) if early else L.ReLU(**KIND)(L.Add(**KIND)([h, out]))
    twin = keras.Model(x, L.Dense(3, **KIND)(L.GlobalAveragePooling2D(**KIND)(out)))
    model = Residual(relu or nn.ReLU(inplace=True)).double()
    return lend(Pair(model, twin, (rng.normal(size=(4, 2, 6, 6)), None), **more))


@equal
def one_activation_called_twice():
    return residual(False, 24)


@planted
def a_shortcut_after_an_activation_layer():
    return residual(True, stage="outputs", word="PyTorch adds the output of relu before ReLU, before the mean over pixels,"
                    " Keras adds the output of relu after ReLU")


# --- parameters that no layer holds ---------------------------------------------------------------


class Placed(nn.Module):
    """Embedded words, and positions that the model holds itself."""

    def __init__(self):
        super().__init__()
        self.words, self.readout = nn.Embedding(11, 6), nn.Linear(6, 3)
        self.places = nn.Parameter(torch.randn(1, 7, 6))

    def forward(self, ids):
        return self.readout(torch.tanh(self.words(ids) + self.places).mean(dim=1))


class KerasPlaced(keras.Model):
    def __init__(self, trained=True):
        super().__init__(dtype="float64")
        self.words, self.readout = L.Embedding(11, 6, name="words", **KIND), L.Dense(3, name="readout", **KIND)
        self.places = self.add_weight(shape=(7, 6), name="places", dtype="float64")
        self.trained = trained

    def call(self, ids, training=False):
        places = tf.convert_to_tensor(self.places)
        places = places if self.trained else tf.stop_gradient(places)
        return self.readout(tf.reduce_mean(tf.tanh(self.words(ids) + places), axis=1))


def placed(trained=True, seed=0, **more):
    rng = seeded(seed)
    model, twin, ids = Placed().double(), KerasPlaced(trained), rng.integers(0, 11, (8, 7))
    twin(tf.constant(ids))
    twin.places.assign(model.places.detach().numpy()[0])
    pair = lend(Pair(model, twin, (ids, rng.integers(0, 3, 8)), **more))
    pair.more = {"losses": (F.cross_entropy, entropy()), "optimizers": (sgd(model), keras.optimizers.SGD(0.125))}
    return pair


@equal
def positions_of_the_models_own():
    return placed(True, 25)


@planted
def positions_that_are_stopped():
    return placed(False, stage="gradients", word="Keras has no gradient here: stop_gradient")


# --- names for what was only placed ---------------------------------------------------------------


def capped(ours, theirs, **more):
    """A ReLU of one's own before a convolution that Keras pads by hand."""
    rng = seeded()

    class Capped(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.each = nn.Conv2d(2, 4, 1), nn.Conv2d(4, 4, 3, 2, 1, groups=4)
            self.readout = nn.Linear(4, 3)

        def forward(self, x):
            return self.readout(ours(self.each(ours(self.first(x)))).mean(dim=(2, 3)))

    twin = sequential((6, 6, 2), lambda: L.Conv2D(4, 1), lambda: L.ReLU(theirs), lambda: L.ZeroPadding2D(1),
                      lambda: L.DepthwiseConv2D(3, 2), lambda: L.ReLU(theirs), L.GlobalAveragePooling2D,
                      lambda: L.Dense(3))
    return lend(Pair(Capped().double(), twin, (20 * rng.normal(size=(4, 2, 6, 6)), None), **more))


@planted
def a_cap_left_out():
    return capped(F.relu6, None, stage="outputs", word="PyTorch applies ReLU6, Keras ReLU")


@planted
def padding_by_hand_of_another_amount():
    rng = seeded()
    model = stack(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.Conv2d(4, 2, 1))
    twin = sequential((7, 7, 3), lambda: L.ZeroPadding2D(((0, 2), (0, 2))), lambda: L.Conv2D(4, 3, 2, activation="relu"),
                      lambda: L.Conv2D(2, 1))
    return lend(Pair(model, twin, (rng.normal(size=(4, 3, 7, 7)), None), "strided-convolution-padding", "outputs",
                     "Keras's input was padded by hand, by 0 before and 2 after, PyTorch's layer pads 1 before and 1 after"))


@planted
def padding_by_hand_for_a_dilated_layer():
    """Alike in their padding: something else is wrong."""
    rng = seeded()
    model = stack(nn.Conv2d(3, 4, 3, padding=2, dilation=2), nn.Conv2d(4, 2, 1))
    twin = sequential((7, 7, 3), lambda: L.ZeroPadding2D(2), lambda: L.Conv2D(4, 3), lambda: L.Conv2D(2, 1))
    return lend(Pair(model, twin, (rng.normal(size=(4, 3, 7, 7)), None), None, "outputs", "dilation is (2, 2)"))


def causal_by_hand(theirs, seed=0, **more):
    rng = seeded(seed)

    class Causal(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.readout = nn.Conv1d(8, 6, 3, dilation=2), nn.Linear(6, 3)

        def forward(self, x):
            return self.readout(self.conv(F.pad(x.transpose(1, 2), (4, 0))).transpose(1, 2))

    twin = sequential((7, 8), lambda: L.Conv1D(6, 3, padding=theirs, dilation_rate=2), lambda: L.Dense(3))
    return lend(Pair(Causal().double(), twin, (sequences(rng), None), **more))


@equal
def causal_by_hand_and_by_name():
    return causal_by_hand("causal", 26)


@planted
def same_for_causal():
    return causal_by_hand("same", stage="outputs", word="PyTorch's input was padded by hand, by 4 before and 0 after,"
                          " Keras's layer pads 2 before and 2 after ('same')")


@planted
def edges_that_are_reflected():
    rng = seeded()
    model = stack(nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"), nn.Conv2d(4, 2, 1))
    twin = sequential((7, 7, 3), lambda: L.Conv2D(4, 3, padding="same"), lambda: L.Conv2D(2, 1))
    return lend(Pair(model, twin, (rng.normal(size=(4, 3, 7, 7)), None), None, "outputs", "padding mode is reflect"))


@planted
def rows_and_columns_of_a_kernel():
    rng = seeded()
    model = stack(nn.Conv2d(2, 3, 3), nn.Conv2d(3, 1, 1))
    twin = sequential((6, 6, 2), lambda: L.Conv2D(3, 3), lambda: L.Conv2D(1, 1))
    pair = lend(Pair(model, twin, (rng.normal(size=(4, 2, 6, 6)), None), None, "weights", "rows and columns exchanged"))
    twin.layers[0].kernel.assign(model[0].weight.detach().numpy().transpose(3, 2, 1, 0))
    return pair


@planted
def heads_without_a_transpose():
    def theirs(x, q, k, v):
        q, k, v = (tf.reshape(a, (5, 2, 7, 4)) for a in (q, k, v))
        return tf.reshape(tf.nn.softmax(0.5 * tf.matmul(q, k, transpose_b=True)) @ v, x.shape)

    rng = seeded()
    return own(sequences(rng), torch_attention, theirs, *dense(8, 8, 8), stage="outputs",
               word="the order in which heads are joined is (time, heads, width) in PyTorch and (heads, time, width)")


class Deep(nn.Module):
    """Attention written out before other layers of the same width."""

    def __init__(self, attend):
        super().__init__()
        self.parts = nn.ModuleList(nn.Linear(8, 8) for _ in range(3))
        self.more, self.attend = nn.ModuleList(nn.Linear(8, 8) for _ in range(4)), attend

    def forward(self, x):
        x = self.attend(x, *(part(x) for part in self.parts))
        for part in self.more:
            x = torch.tanh(part(x))
        return x


class KerasDeep(keras.Model):
    def __init__(self, attend):
        super().__init__(dtype="float64")
        self.parts = [L.Dense(8, **KIND) for _ in range(3)]
        self.more, self.attend = [L.Dense(8, activation="tanh", **KIND) for _ in range(4)], attend

    def call(self, x, training=False):
        x = self.attend(x, *(part(x) for part in self.parts))
        for part in self.more:
            x = part(x)
        return x


@planted
def root_of_the_wrong_width_before_more_layers():
    x = sequences(seeded())
    twin = KerasDeep(lambda *a: keras_attention(*a, scale=8**-0.5))
    twin(tf.constant(x))
    return lend(Pair(Deep(torch_attention).double(), twin, (x, None), None, "outputs", "1 / the root of all features in Keras"))


class NormedAfter(nn.Module):
    def __init__(self):
        super().__init__()
        self.start, self.norm = nn.Linear(6, 8), nn.LayerNorm(8)
        self.up, self.down, self.readout = nn.Linear(8, 12), nn.Linear(12, 8), nn.Linear(8, 3)

    def forward(self, x):
        x = self.start(x)
        return self.readout(self.norm(x + self.down(torch.relu(self.up(x)))))


class NormedBefore(NormedAfter):
    def forward(self, x):
        x = self.start(x)
        return self.readout(x + self.down(torch.relu(self.up(self.norm(x)))))


class KerasNormed(keras.Model):
    def __init__(self, first):
        super().__init__(dtype="float64")
        self.start, self.norm = L.Dense(8, **KIND), L.LayerNormalization(epsilon=1e-5, **KIND)
        self.up, self.down, self.readout = L.Dense(12, activation="relu", **KIND), L.Dense(8, **KIND), L.Dense(3, **KIND)
        self.first = first

    def call(self, x, training=False):
        x = self.start(x)
        if self.first:
            return self.readout(x + self.down(self.up(self.norm(x))))
        return self.readout(self.norm(x + self.down(self.up(x))))


def normed(kind, first, seed=0, **more):
    rng = seeded(seed)
    twin, x = KerasNormed(first), rng.normal(size=(9, 6))
    twin(tf.constant(x))
    return lend(Pair(kind().double(), twin, (x, None), **more))


@equal
def normalised_before():
    return normed(NormedBefore, True, 27)


@planted
def normalised_before_and_not_after():
    return normed(NormedAfter, True, stage="outputs", word="PyTorch normalises after it has added the output of down"
                  " (post-norm), Keras what up gets (pre-norm)")


@planted
def normalised_after_and_not_before():
    return normed(NormedBefore, False, stage="outputs", word="PyTorch gives up what norm returns (pre-norm), Keras what norm gets")


def frozen_norm(evaluated, seed=0, **more):
    rng = seeded(seed)
    model = stack(nn.Linear(6, 8), nn.BatchNorm1d(8, eps=1e-3, momentum=0.125), nn.Linear(8, 3))
    twin = sequential((6,), lambda: L.Dense(8), lambda: L.BatchNormalization(momentum=0.875), lambda: L.Dense(3))
    with torch.no_grad():
        model[1].running_mean.copy_(torch.randn(8))
    model[1].requires_grad_(False)
    twin.layers[1].trainable = False
    if evaluated:
        model[1].train = lambda mode=True: None
        model[1].training = False
    return lend(Pair(model, twin, rows(rng), **more))


@equal
def a_frozen_normalisation():
    return frozen_norm(True, 28)


@planted
def a_normalisation_frozen_in_keras_alone():
    return frozen_norm(False, stage="training outputs", word="Keras normalises by its running statistics, in inference mode")


@planted
def a_normalisation_frozen_in_pytorch_alone():
    pair = frozen_norm(True)
    layer = pair.keras_model.layers[1]
    pair.torch_model[1].requires_grad_(True)
    layer.trainable = True
    pair.stage, pair.word = "training outputs", "PyTorch normalises by its running statistics, in inference mode"
    return pair


class Twice(nn.Module):
    """One encoder for two views; the second may be taken for a constant."""

    def __init__(self, stop):
        super().__init__()
        self.encoder, self.readout, self.stop = nn.Linear(6, 5), nn.Linear(5, 3), stop

    def forward(self, x):
        other = torch.sigmoid(self.encoder(-x))
        return self.readout(torch.tanh(self.encoder(x)) * (other.detach() if self.stop else other))


class KerasTwice(keras.Model):
    def __init__(self, stop):
        super().__init__(dtype="float64")
        self.encoder, self.readout = L.Dense(5, name="encoder", **KIND), L.Dense(3, name="readout", **KIND)
        self.stop = stop

    def call(self, x, training=False):
        other = tf.sigmoid(self.encoder(-x))
        return self.readout(tf.tanh(self.encoder(x)) * (tf.stop_gradient(other) if self.stop else other))


def twice(ours, theirs, seed=0, **more):
    rng = seeded(seed)
    batch, twin = rows(rng), KerasTwice(theirs)
    twin(tf.constant(batch[0]))
    return lend(Pair(Twice(ours).double(), twin, batch, more={"losses": (F.cross_entropy, entropy())}, **more))


@equal
def a_part_stopped_in_both():
    return twice(True, True, 29)


@planted
def a_part_stopped_in_pytorch():
    return twice(True, False, stage="gradients", word="PyTorch's gradients lack a part: detach")


@planted
def a_part_stopped_in_keras():
    return twice(False, True, stage="gradients", word="Keras's gradients lack a part: stop_gradient")
