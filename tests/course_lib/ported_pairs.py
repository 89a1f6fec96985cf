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
