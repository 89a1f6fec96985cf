"""Layers: padding, layouts, recurrent layers, embeddings, attention, starts."""

from __future__ import annotations

import course_lib  # noqa: F401  before the frameworks
import numpy as np
import pytest
import tensorflow as tf
import torch
from course_lib import parity
from measuring import Measured, array, establishes, gap, last, normal
from torch.nn.utils.rnn import pack_padded_sequence

layers = tf.keras.layers
F64 = {"dtype": torch.float64}
K64 = {"dtype": "float64"}


def model(layer: tf.keras.layers.Layer, x: np.ndarray) -> tf.keras.Model:
    """A Keras model of one layer, named as the torch module inside a Sequential is."""
    layer.name = "0"
    made = tf.keras.Sequential([layer])
    made(tf.constant(x))
    return made


def twin(module: torch.nn.Module, layer: tf.keras.layers.Layer, x: np.ndarray) -> tf.keras.Model:
    """A Keras model of one layer with the weights of a torch module; every weight its own."""
    random = np.random.default_rng(1)
    for parameter in module.parameters():
        parameter.data = torch.from_numpy(random.uniform(0.2, 1.2, tuple(parameter.shape)))
    made = model(layer, x)
    parity.copy_weights(torch.nn.Sequential(module), made)
    return made


@establishes("strided-convolution-padding")
def strided_convolution() -> Measured:
    x = normal(2, 3, 8, 8)
    module = torch.nn.Conv2d(3, 4, 3, stride=2, padding=1, **F64)
    same = twin(module, layers.Conv2D(4, 3, strides=2, padding="same", **K64), last(x))
    valid = twin(module, layers.Conv2D(4, 3, strides=2, padding="valid", **K64), last(x))
    ours = last(module(torch.from_numpy(x)))
    padded = layers.ZeroPadding2D(1, **K64)(last(x))
    return Measured(gap(same(last(x)), ours), gap(valid(padded), ours), "outputs")


@establishes("max-pool-padding")
def max_pool() -> Measured:
    x = -np.abs(normal(2, 3, 8, 8))
    ours = last(torch.nn.MaxPool2d(3, 2, padding=1)(torch.from_numpy(x)))
    same = layers.MaxPooling2D(3, 2, padding="same", **K64)(last(x))
    padded = tf.pad(last(x), [[0, 0], [1, 1], [1, 1], [0, 0]], constant_values=-np.inf)
    return Measured(gap(same, ours), gap(layers.MaxPooling2D(3, 2, **K64)(padded), ours), "outputs")


@establishes("average-pool-padding")
def average_pool() -> Measured:
    x = normal(2, 3, 8, 8)
    theirs = layers.AveragePooling2D(3, 1, padding="same", **K64)(last(x))
    before, after = (last(torch.nn.AvgPool2d(3, 1, padding=1, count_include_pad=counted)(
        torch.from_numpy(x))) for counted in (True, False))
    return Measured(gap(before, theirs), gap(after, theirs), "outputs")


@establishes("transposed-convolution")
def transposed_convolution() -> Measured:
    x = normal(2, 3, 5, 5)
    module = torch.nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1, output_padding=1, **F64)
    theirs = twin(module, layers.Conv2DTranspose(4, 3, strides=2, padding="same", **K64),
                  last(x))(last(x))
    before = last(module(torch.from_numpy(x)))
    module.padding, module.output_padding = (0, 0), (0, 0)
    after = last(module(torch.from_numpy(x))[:, :, :10, :10])
    return Measured(gap(before, theirs), gap(after, theirs), "outputs")


@establishes("flatten-order")
def flatten() -> Measured:
    x = normal(2, 3, 4, 5)
    ours = torch.nn.Flatten()(torch.from_numpy(x))
    permuted = layers.Permute((3, 1, 2), **K64)(last(x))
    return Measured(gap(layers.Flatten(**K64)(last(x)), ours),
                    gap(layers.Flatten(**K64)(permuted), ours), "outputs")


@establishes("kernel-layout")
def kernel_layout() -> Measured:
    x = normal(5, 4)
    module = torch.nn.Linear(4, 4, **F64)
    made = twin(module, layers.Dense(4, **K64), x)
    ours, after = module(torch.from_numpy(x)), array(made(x))
    made.layers[0].kernel.assign(module.weight.detach().numpy())  # a square matrix fits both ways
    return Measured(gap(made(x), ours), gap(after, ours), "outputs of a square layer")


@establishes("channels-last")
def channels() -> Measured:
    x = normal(2, 3, 3, 3)  # as many channels as pixels a side: either order fits
    module = torch.nn.Conv2d(3, 4, 2, **F64)
    made = twin(module, layers.Conv2D(4, 2, **K64), x)
    ours = last(module(torch.from_numpy(x)))
    return Measured(gap(made(x), ours), gap(made(last(x)), ours), "outputs")


# --- recurrent layers and text ------------------------------------------------------------------


@establishes("lstm-biases")
def lstm_biases() -> Measured:
    x = normal(2, 6, 4)

    def moved(frozen: bool) -> float:
        module = torch.nn.LSTM(4, 3, batch_first=True, **F64)
        made = twin(module, layers.LSTM(3, return_sequences=True, **K64), x)
        module.bias_hh_l0.requires_grad_(not frozen)
        (module(torch.from_numpy(x))[0] ** 2).sum().backward()
        torch.optim.SGD([p for p in module.parameters() if p.requires_grad], 1 / 8).step()
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(made(x) ** 2)
        bias = made.layers[0].cell.bias
        return gap(module.bias_ih_l0 + module.bias_hh_l0, bias - tape.gradient(loss, bias) / 8)

    return Measured(moved(False), moved(True), "bias after one step")


@establishes("gru-gates")
def gru_gates() -> Measured:
    x = normal(2, 6, 4)
    module = torch.nn.GRU(4, 3, batch_first=True, **F64)
    made = twin(module, layers.GRU(3, return_sequences=True, **K64), x)
    ours, after = module(torch.from_numpy(x))[0], array(made(x))
    cell = made.layers[0].cell
    cell.kernel.assign(module.weight_ih_l0.detach().numpy().T)
    cell.recurrent_kernel.assign(module.weight_hh_l0.detach().numpy().T)
    cell.bias.assign(np.stack([module.bias_ih_l0.detach(), module.bias_hh_l0.detach()]))
    return Measured(gap(made(x), ours), gap(after, ours), "outputs")


@establishes("padded-sequences")
def padded_sequences() -> Measured:
    x, lengths = normal(3, 6, 4), np.array([6, 2, 4])
    module = torch.nn.LSTM(4, 3, batch_first=True, **F64)
    made = twin(module, layers.LSTM(3, **K64), x)
    theirs = made.layers[0](x, mask=np.arange(6) < lengths[:, None])
    before = module(torch.from_numpy(x))[1][0][0]
    packed = pack_padded_sequence(torch.from_numpy(x), torch.from_numpy(lengths),
                                  batch_first=True, enforce_sorted=False)
    return Measured(gap(before, theirs), gap(module(packed)[1][0][0], theirs), "last states")


@establishes("forget-gate-bias")
def forget_gate() -> Measured:
    module = torch.nn.LSTM(4, 64, **F64)
    theirs = model(layers.LSTM(64, **K64), normal(1, 2, 4)).layers[0].cell.bias.numpy()[64:128]

    def ours() -> float:
        return float((module.bias_ih_l0 + module.bias_hh_l0)[64:128].detach().mean())

    before = abs(ours() - theirs.mean())
    with torch.no_grad():
        module.bias_ih_l0[64:128], module.bias_hh_l0[64:128] = 1, 0
    return Measured(before, abs(ours() - theirs.mean()), "mean bias of the forget gate")


@establishes("embedding-padding")
def embedding_padding() -> Measured:
    ids = np.array([[3, 1, 0, 0], [2, 5, 4, 0]])
    module = torch.nn.Embedding(6, 4, padding_idx=0, **F64)
    made = model(layers.Embedding(6, 4, mask_zero=True, **K64), ids)
    parity.copy_weights(torch.nn.Sequential(module), made)
    vectors = made.layers[0](ids)
    mask = made.layers[0].compute_mask(ids)
    theirs = layers.GlobalAveragePooling1D(**K64)(vectors, mask=mask)
    bag = torch.nn.EmbeddingBag.from_pretrained(module.weight, mode="mean", padding_idx=0)
    x = torch.from_numpy(ids)
    assert not np.any(module.weight[0].detach().numpy())
    module(x).sum().backward()
    assert not np.any(module.weight.grad[0].numpy()) and np.any(module.weight.grad[1].numpy())
    return Measured(gap(module(x).mean(1), theirs), gap(bag(x), theirs), "mean word vectors")


@establishes("mask-dropped")
def mask_dropped() -> Measured:
    ids = np.array([[3, 1, 0, 0]])
    module = torch.nn.Embedding(6, 4, **F64)
    made = model(layers.Embedding(6, 4, mask_zero=True, **K64), ids)
    parity.copy_weights(torch.nn.Sequential(module), made)
    ours = module(torch.from_numpy(ids))[:, :2].mean(1)
    average, embed = layers.GlobalAveragePooling1D(**K64), made.layers[0]
    before = average(embed(ids) * 1.0)
    after = average(embed(ids) * 1.0, mask=embed.compute_mask(ids))
    return Measured(gap(before, ours), gap(after, ours), "mean word vectors after a product with 1")


@establishes("ids-not-whole")
def ids_not_whole() -> Measured:
    ids = np.array([[1.9, 0.2]])
    module = torch.nn.Embedding(6, 4, **F64)
    made = model(layers.Embedding(6, 4, **K64), ids)
    parity.copy_weights(torch.nn.Sequential(module), made)
    with pytest.raises(RuntimeError):
        module(torch.from_numpy(ids))
    meant = np.rint(ids).astype(np.int64)
    ours = module(torch.from_numpy(meant))
    return Measured(gap(made(ids), ours), gap(made(meant), ours), "word vectors of rounded ids")


@establishes("ids-out-of-range", over=1e-2)
def ids_out_of_range() -> Measured:
    ids, table = np.array([6]), normal(6, 4)
    for look_up in (lambda: torch.nn.functional.embedding(torch.from_numpy(ids),
                                                          torch.from_numpy(table)),
                    lambda: tf.gather(table, ids)):
        with pytest.raises((IndexError, tf.errors.InvalidArgumentError)):
            look_up()
    compiled = tf.function(tf.gather, jit_compile=True)(tf.constant(table), tf.constant(ids))
    assert gap(compiled[0], table[-1]) == 0
    with pytest.raises(tf.errors.InvalidArgumentError):
        tf.debugging.assert_less(ids, len(table))
    return Measured(float(np.abs(array(compiled)).max()), 0.0,
                    "what TensorFlow returns where PyTorch raises; with the check both raise")


@establishes("padding-alone", over=1)
def padding_alone() -> Measured:
    ids, table = np.zeros((1, 3), np.int64), normal(6, 4)
    bag = torch.nn.EmbeddingBag.from_pretrained(torch.from_numpy(table), mode="mean", padding_idx=0)
    ours, real = bag(torch.from_numpy(ids)), ids != 0
    vectors = tf.gather(table, ids)
    mean = array(layers.GlobalAveragePooling1D(**K64)(vectors, mask=tf.constant(real)))
    assert np.isnan(mean).all()
    total = tf.reduce_sum(vectors * real[..., None], axis=1)
    return Measured(np.inf, gap(total / np.maximum(real.sum(1, keepdims=True), 1), ours),
                    "mean word vectors, not a number counted as infinite")


@establishes("attention-mask")
def attention_mask() -> Measured:
    x, heads, width = normal(2, 5, 8), 2, 8
    module = torch.nn.MultiheadAttention(width, heads, batch_first=True, bias=False, **F64)
    layer = layers.MultiHeadAttention(heads, width // heads, use_bias=False, **K64)
    layer(x, x)
    parts = np.split(module.in_proj_weight.detach().numpy(), 3)
    layer.set_weights([*(part.T.reshape(width, heads, -1) for part in parts),
                       module.out_proj.weight.detach().numpy().T.reshape(heads, -1, width)])
    mask = np.add.outer(np.arange(5), np.arange(5)) % 2 == 0  # no row all True or all False
    theirs = layer(x, x, attention_mask=mask[None])
    t = torch.from_numpy(x)
    before, after = (module(t, t, t, attn_mask=torch.from_numpy(given), need_weights=False)[0]
                     for given in (mask, ~mask))
    return Measured(gap(before, theirs), gap(after, theirs), "outputs")


# --- normalisation ------------------------------------------------------------------------------


def norm_gap(module: torch.nn.Module, x: np.ndarray, kind: type, *given: int,
             moved: bool = True, **options: float) -> float:
    """How far a Keras norm is from a torch norm in training mode."""
    seen = last(x) if moved else x
    made = kind(*given, **K64, **options)(seen, training=True)
    ours = module(torch.from_numpy(x))
    return gap(last(ours) if moved else ours, made)


@establishes("batch-norm-epsilon")
def batch_norm_epsilon() -> Measured:
    x = 0.1 * normal(4, 3, 5, 5)
    module = torch.nn.BatchNorm2d(3, **F64)
    assert (module.eps, layers.BatchNormalization().epsilon) == (1e-5, 1e-3)
    return Measured(norm_gap(module, x, layers.BatchNormalization),
                    norm_gap(module, x, layers.BatchNormalization, epsilon=1e-5), "outputs")


@establishes("batch-norm-momentum")
def batch_norm_momentum() -> Measured:
    x = 1 + normal(20, 3)
    module = torch.nn.BatchNorm1d(3, **F64)
    assert (module.momentum, layers.BatchNormalization().momentum) == (0.1, 0.99)
    module(torch.from_numpy(x))

    def theirs(**options: float) -> np.ndarray:
        layer = layers.BatchNormalization(**K64, **options)
        layer(x, training=True)
        return layer.moving_mean.numpy()

    return Measured(gap(theirs(), module.running_mean),
                    gap(theirs(momentum=0.9), module.running_mean),
                    "running mean after one batch")


@establishes("batch-norm-variance")
def batch_norm_variance() -> Measured:
    x, n = 2 * normal(20, 3), 20
    module = torch.nn.BatchNorm1d(3, momentum=0.125, **F64)
    layer = layers.BatchNormalization(momentum=0.875, **K64)
    for _ in range(5):
        module(torch.from_numpy(x))
        layer(x, training=True)
    biased, start = layer.moving_variance.numpy(), 0.875**5
    return Measured(gap(biased, module.running_var),
                    gap(start + (biased - start) * n / (n - 1), module.running_var),
                    "running variance after five batches of 20")


@establishes("batch-of-one")
def batch_of_one() -> Measured:
    x = normal(1, 3)
    module = torch.nn.BatchNorm1d(3, **F64)
    layer = layers.BatchNormalization(epsilon=1e-5, **K64)
    with pytest.raises(ValueError):
        module(torch.from_numpy(x))
    ours = module.eval()(torch.from_numpy(x))
    return Measured(gap(layer(x, training=True), ours), gap(layers.BatchNormalization(
        epsilon=1e-5, **K64)(x, training=False), ours), "outputs, against the running statistics")


@establishes("layer-norm-epsilon")
def layer_norm() -> Measured:
    x = 0.1 * normal(4, 5, 6)
    module = torch.nn.LayerNorm(6, **F64)
    kind = layers.LayerNormalization
    return Measured(norm_gap(module, x, kind, moved=False),
                    norm_gap(module, x, kind, moved=False, epsilon=1e-5), "outputs")


@establishes("group-norm-epsilon")
def group_norm() -> Measured:
    x = 0.1 * normal(4, 6, 5, 5)
    module = torch.nn.GroupNorm(2, 6, **F64)
    kind = layers.GroupNormalization
    return Measured(norm_gap(module, x, kind, 2),
                    norm_gap(module, x, kind, 2, epsilon=1e-5), "outputs")


@establishes("rms-norm-epsilon")
def rms_norm() -> Measured:
    x = 0.1 * normal(4, 5, 6)
    kind = layers.RMSNormalization
    machine = torch.nn.RMSNorm(6, eps=np.finfo(np.float64).eps, **F64)
    assert gap(torch.nn.RMSNorm(6, **F64)(torch.from_numpy(x)), machine(torch.from_numpy(x))) == 0
    return Measured(norm_gap(torch.nn.RMSNorm(6, **F64), x, kind, moved=False),
                    norm_gap(torch.nn.RMSNorm(6, eps=1e-6, **F64), x, kind, moved=False),
                    "outputs")


# --- how layers start ---------------------------------------------------------------------------


@establishes("initialisers", over=1e-2)
def initialisers() -> Measured:
    module = torch.nn.Linear(100, 100, **F64)
    made = model(layers.Dense(100, **K64), normal(1, 100))
    kernel = made.layers[0].kernel
    before = abs(kernel.numpy().std() - module.weight.detach().numpy().std())
    assert not np.any(made.layers[0].bias.numpy()) and np.any(module.bias.detach().numpy())
    parity.copy_weights(torch.nn.Sequential(module), made)
    return Measured(before, gap(kernel, module.weight.T),
                    "standard deviation of the weights, then the weights")


@establishes("embedding-start", over=0.1)
def embedding_start() -> Measured:
    module = torch.nn.Embedding(1000, 16, **F64)
    made = model(layers.Embedding(1000, 16, **K64), np.zeros((1, 1)))
    table = made.layers[0].embeddings
    before = abs(table.numpy().std() - module.weight.detach().numpy().std())
    parity.copy_weights(torch.nn.Sequential(module), made)
    return Measured(before, gap(table, module.weight),
                    "standard deviation of the table, then the table")


def extreme(weights: object, sigma: float) -> float:
    """The largest weight, in standard deviations."""
    return float(np.abs(array(weights)).max() / sigma)


@establishes("truncated-normal", over=1, within=1e-2, because="extremes of random draws")
def truncated_normal() -> Measured:
    shape, sigma = (400, 500), 0.02
    theirs = extreme(tf.keras.initializers.TruncatedNormal(0, sigma, seed=0)(shape), sigma)
    trunc = torch.nn.init.trunc_normal_
    before = extreme(trunc(torch.empty(shape), std=sigma), sigma)
    after = extreme(trunc(torch.empty(shape), std=sigma, a=-2 * sigma, b=2 * sigma), sigma)
    return Measured(abs(before - theirs), abs(after - theirs),
                    "largest of 200,000 draws, in σ")


@establishes("he-normal", over=1, within=1e-2, because="extremes of random draws")
def he_normal() -> Measured:
    shape, sigma = (400, 500), (2 / 400) ** 0.5
    drawn = tf.keras.initializers.HeNormal(seed=0)(shape)
    theirs = extreme(drawn, sigma)
    assert abs(array(drawn).std() / sigma - 1) < 0.01  # cut, and as wide as He asks
    before = extreme(torch.nn.init.kaiming_normal_(torch.empty(500, 400), nonlinearity="relu"),
                     sigma)
    wide = sigma / 0.87962566103423978
    after = extreme(torch.nn.init.trunc_normal_(torch.empty(500, 400), std=wide, a=-2 * wide,
                                                b=2 * wide), sigma)
    return Measured(abs(before - theirs), abs(after - theirs),
                    "largest of 200,000 draws, in σ")


@establishes("prelu-start")
def prelu_start() -> Measured:
    x = normal(4, 3)
    ours = torch.nn.PReLU(**F64)(torch.from_numpy(x))
    keras = layers.PReLU(**K64)
    before = keras(x)
    assert keras.alpha.shape == (3,)
    after = layers.PReLU(alpha_initializer=tf.keras.initializers.Constant(0.25), **K64)(x)
    return Measured(gap(before, ours), gap(after, ours), "outputs")
