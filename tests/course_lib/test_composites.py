"""Weights of layers made of parts: the same outputs in float64 after copying, and refusals."""

import numpy as np
import pytest
import tensorflow as tf
import torch
from torch import nn

from course_lib import parity
from course_lib.parity import ParityError, composites

L, KIND = tf.keras.layers, {"dtype": "float64", "name": "0"}


def attention(rng, **settings):
    widths = {"kdim": 6, "vdim": 5} if settings.pop("widths", False) else {}
    module = nn.MultiheadAttention(8, 2, batch_first=True, **widths, **settings)
    layer = L.MultiHeadAttention(2, 4, use_bias=settings.get("bias", True), **KIND)
    query, key, value = (rng.normal(size=(3, n, w)) for n, w in (
        (7, 8), (5, widths.get("kdim", 8)), (5, widths.get("vdim", 8))))
    return module, layer, (query, key, value), lambda q, k, v: layer(q, v, k)


def both_ways(rng, kind, layer, **settings):
    module = kind(3, 4, batch_first=True, bidirectional=True, **settings)
    layer = L.Bidirectional(layer(4, return_sequences=True, use_bias=settings.get("bias", True),
                                  dtype="float64"), **KIND)
    return module, layer, (rng.normal(size=(3, 7, 3)),), layer


def depthwise(rng, multiplier):
    module = nn.Conv2d(3, 3 * multiplier, (3, 2), groups=3)
    layer = L.DepthwiseConv2D((3, 2), depth_multiplier=multiplier, **KIND)
    x = rng.normal(size=(2, 3, 6, 7))
    return module, layer, (x,), lambda a: layer(tf.transpose(a, (0, 2, 3, 1)))


def bag(rng):
    layer = L.Embedding(9, 4, **KIND)
    ids = rng.integers(0, 9, (5, 3))
    return nn.EmbeddingBag(9, 4), layer, (ids,), lambda a: tf.reduce_mean(layer(a), axis=1)


KINDS = {
    "attention": attention,
    "attention without biases": lambda rng: attention(rng, bias=False),
    "attention to other widths": lambda rng: attention(rng, widths=True),
    "RNN": lambda rng: both_ways(rng, nn.RNN, L.SimpleRNN),
    "LSTM": lambda rng: both_ways(rng, nn.LSTM, L.LSTM),
    "LSTM without biases": lambda rng: both_ways(rng, nn.LSTM, L.LSTM, bias=False),
    "GRU": lambda rng: both_ways(rng, nn.GRU, L.GRU),
    "depthwise": lambda rng: depthwise(rng, 1),
    "depthwise, two of each": lambda rng: depthwise(rng, 2),
    "bag": bag,
}


def built(name):
    """(torch model, Keras model, inputs, torch's function, Keras's) with numbers all different."""
    rng = np.random.default_rng(0)
    module, layer, inputs, run = KINDS[name](rng)
    run(*map(tf.constant, inputs))
    for p in module.parameters():
        p.data = torch.from_numpy(rng.uniform(-1, 1, tuple(p.shape)))
    twin = tf.keras.Sequential([layer])
    twin.built = True
    return nn.Sequential(module.double()), twin, inputs, module, run


def apart(name, inputs, module, run):
    ours = module(*map(torch.from_numpy, inputs))
    ours = (ours[0] if isinstance(ours, tuple) else ours).detach().numpy()
    theirs = run(*map(tf.constant, inputs)).numpy()
    return np.abs((np.moveaxis(ours, 1, -1) if name.startswith("depth") else ours) - theirs).max()


@pytest.mark.parametrize("name", KINDS)
def test_a_copied_layer_gives_the_same_output(name):
    model, twin, *rest = built(name)
    assert apart(name, *rest) > 1e-2
    parity.copy_weights(model, twin)
    assert apart(name, *rest) < 1e-12


def test_every_rule_is_tried_above():
    tried = {(type(model[0]).__name__, type(twin.layers[0]).__name__)
             for model, twin, *_ in map(built, KINDS)}
    assert tried == set(composites.COMPOSITES)


def test_simple_layers_are_copied_with_them():
    model, twin, *_ = built("attention")
    model.append(nn.Linear(8, 2).double())
    dense = L.Dense(2, name="1", dtype="float64")
    dense.build((None, 8))
    twin._layers.append(dense)
    parity.copy_weights(model, twin)
    np.testing.assert_array_equal(dense.kernel.numpy(), model[1].weight.detach().numpy().T)


def refuse(module, layer, *inputs, words):
    layer(*inputs)
    twin = tf.keras.Sequential([layer])
    twin.built = True
    before = [v.numpy() for v in twin.variables]
    with pytest.raises(ParityError) as caught:
        parity.copy_weights(nn.Sequential(module.double()), twin)
    for word in words:
        assert word in str(caught.value)
    for old, new in zip(before, twin.variables, strict=True):
        np.testing.assert_array_equal(old, new.numpy())


def test_what_does_not_fit_is_refused_and_nothing_is_written():
    x = np.zeros((2, 5, 8))
    refuse(nn.MultiheadAttention(8, 2), L.MultiHeadAttention(2, 8, **KIND), x, x,
           words=("in_proj_weight", "(8, 2, 4)", "(8, 2, 8)", "same sizes"))
    refuse(nn.MultiheadAttention(8, 2, bias=False), L.MultiHeadAttention(2, 4, **KIND), x, x,
           words=("query.bias", "switch the bias"))
    refuse(nn.MultiheadAttention(8, 2, add_bias_kv=True), L.MultiHeadAttention(2, 4, **KIND), x, x,
           words=("bias_k", "no rule"))
    refuse(nn.LSTM(8, 4, bidirectional=True), L.Bidirectional(L.GRU(4), **KIND), x, words=("weight_ih_l0", "no rule"))
    refuse(nn.LSTM(8, 4, 2, bidirectional=True), L.Bidirectional(L.LSTM(4, dtype="float64"), **KIND), x,
           words=("weight_ih_l1", "no rule"))
    refuse(nn.Conv2d(4, 4, 3, groups=2), L.DepthwiseConv2D(3, **KIND), np.zeros((1, 5, 5, 4)), words=("no rule",))


def test_a_layer_without_a_rule_beside_a_composite_is_refused_and_nothing_is_written():
    model, twin, *_ = built("attention")
    model.append(nn.Bilinear(8, 8, 2).double())
    dense = L.Dense(2, name="1", dtype="float64")
    dense.build((None, 8))
    twin._layers.append(dense)
    before = [v.numpy() for v in twin.variables]
    with pytest.raises(ParityError, match="no layout rule for '1.weight' .Bilinear -> Dense"):
        parity.copy_weights(model, twin)
    for old, new in zip(before, twin.variables, strict=True):
        np.testing.assert_array_equal(old, new.numpy())
