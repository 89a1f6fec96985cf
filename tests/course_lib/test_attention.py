"""Attention from scratch against both frameworks, the twins of one layer, and refusals."""

import numpy as np
import pytest
import tensorflow as tf
import torch
from course_lib import parity
from course_lib.pytorch import attention as torch_wing
from course_lib.pytorch.pooled_text import step_torch
from course_lib.scratch import attention as scratch
from course_lib.tensorflow import attention as tf_wing
from course_lib.tensorflow.pooled_text import step_tf
from torch.nn import functional as F

KINDS = ("none", "sinusoidal", "learned", "rotary")
WIDTH, HEADS = 12, 3


def near(found, wanted, tolerance=1e-12):
    assert np.shape(found) == np.shape(wanted)
    assert np.abs(np.asarray(found) - np.asarray(wanted)).max() < tolerance


def draw(*shape, seed=0):
    return np.random.default_rng((seed, *shape)).standard_normal(shape)


def drawn_params():
    return {name: (draw(WIDTH, WIDTH, seed=n), draw(WIDTH, seed=n))
            for n, name in enumerate(("query", "key", "value", "output"), start=1)}


def some_ids():
    """Ids of eight texts, the last ones 0, each with a word or more."""
    ids = np.random.default_rng(3).integers(1, 30, (8, 11))
    return np.where(np.arange(11) < [[11], [1], [4], [7], [9], [2], [10], [5]], ids, 0)


def masks(ids):
    """Which key each query may see: none, causal, padding, both."""
    real = (ids != 0)[:, None, None]
    later = scratch.causal(ids.shape[1])
    return {"none": None, "causal": later, "padding": real, "both": real & later}


# --- one head -------------------------------------------------------------------------------


def test_the_loops_and_the_matrices_agree():
    q, k, v = draw(4, 6), draw(7, 6), draw(7, 5)
    near(scratch.attend_by_hand(q, k, v), scratch.attend(q, k, v)[0])


@pytest.mark.parametrize("name", ["none", "causal", "padding", "both"])
def test_attend_equals_both_frameworks(name):
    ids = some_ids()
    allowed = masks(ids)[name]
    q, k, v = (draw(8, HEADS, 11, 4, seed=n) for n in range(3))
    found, weights = scratch.attend(q, k, v, allowed)
    near(weights.sum(axis=-1), np.ones(weights.shape[:-1]))
    mask = None if allowed is None else torch.tensor(np.broadcast_to(allowed, weights.shape).copy())
    near(found, F.scaled_dot_product_attention(*map(torch.tensor, (q, k, v)), attn_mask=mask).numpy())
    turned = [a.swapaxes(1, 2) for a in (q, k, v)]          # Keras: (batch, time, heads, d)
    mask = None if allowed is None else np.broadcast_to(allowed, weights.shape)
    keras = tf.keras.ops.dot_product_attention(*map(tf.constant, turned), mask=mask)
    near(found, keras.numpy().swapaxes(1, 2))


def test_is_causal_is_our_causal_mask():
    q, k, v = (torch.tensor(draw(2, 5, 4, seed=n)) for n in range(3))
    found, _ = scratch.attend(q.numpy(), k.numpy(), v.numpy(), scratch.causal(5))
    near(found, F.scaled_dot_product_attention(q, k, v, is_causal=True).numpy())


def test_large_scores_do_not_overflow():
    q = np.array([[1e4, 0.0], [0.0, 1e4]])
    near(scratch.attend(q, q, q)[1], np.eye(2))


def test_one_number_worked_out_by_hand():
    """Scores 2 and 0, d = 4: softmax(1, 0) = 0.731, 0.269."""
    weights = scratch.attend(np.array([[1.0, 1, 0, 0]]), np.array([[1.0, 1, 0, 0], [0, 0, 1, 1]]), np.eye(2))[1]
    near(weights, [[1 / (1 + np.exp(-1)), 1 / (1 + np.exp(1))]])


# --- several heads --------------------------------------------------------------------------


def torch_layer(params):
    """An nn.MultiheadAttention with our parameters: matrices turned, three of them stacked."""
    layer = torch.nn.MultiheadAttention(WIDTH, HEADS, batch_first=True, dtype=torch.float64)
    three = [params[name] for name in ("query", "key", "value")]
    layer.load_state_dict({name: torch.tensor(array) for name, array in {
        "in_proj_weight": np.concatenate([w.T for w, _ in three]),
        "in_proj_bias": np.concatenate([b for _, b in three]),
        "out_proj.weight": params["output"][0].T.copy(), "out_proj.bias": params["output"][1]}.items()})
    return layer


def keras_layer(params):
    """A Keras MultiHeadAttention with our parameters, each matrix cut into heads."""
    layer = tf.keras.layers.MultiHeadAttention(HEADS, WIDTH // HEADS, dtype="float64")
    layer.build((None, None, WIDTH), (None, None, WIDTH))
    arrays = []
    for name in ("query", "key", "value"):
        weight, bias = params[name]
        arrays += [weight.reshape(WIDTH, HEADS, -1), bias.reshape(HEADS, -1)]
    layer.set_weights([*arrays, params["output"][0].reshape(HEADS, -1, WIDTH), params["output"][1]])
    return layer


@pytest.mark.parametrize("name", ["none", "causal", "padding", "both"])
def test_several_heads_equal_both_layers(name):
    params, ids, x = drawn_params(), some_ids(), draw(8, 11, WIDTH)
    allowed = masks(ids)[name]
    found, weights = scratch.multi_head(params, x, HEADS, allowed)
    whole = np.broadcast_to(True if allowed is None else allowed, weights.shape)
    tensor = torch.tensor(x)
    given, theirs = torch_layer(params)(                     # True blocks
        tensor, tensor, tensor, attn_mask=torch.tensor(~whole).flatten(0, 1), average_attn_weights=False)
    near(found, given.detach().numpy())
    near(weights, theirs.detach().numpy())
    given, theirs = keras_layer(params)(                     # True attends
        tf.constant(x), tf.constant(x), attention_mask=whole[:, 0], return_attention_scores=True)
    near(found, given.numpy())
    near(weights, theirs.numpy())


def test_a_mask_taken_for_the_other_convention_is_found():
    params, x = drawn_params(), torch.tensor(draw(2, 5, WIDTH))
    wrong = torch.tensor(scratch.causal(5))                  # not inverted
    wanted = scratch.multi_head(params, x.numpy(), HEADS, scratch.causal(5))[0]
    given = torch_layer(params)(x, x, x, attn_mask=wrong)[0].detach().numpy()
    assert not np.abs(given - wanted).max() < 0.01


def test_heads_come_back_as_they_were():
    x = draw(2, 5, WIDTH)
    near(scratch.join_heads(scratch.split_heads(x, HEADS)), x, 1e-300)
    near(scratch.split_heads(x, HEADS)[:, 1], x[:, :, 4:8], 1e-300)


# --- positions ------------------------------------------------------------------------------


def test_without_positions_attention_follows_a_permutation():
    x, order = draw(1, 7, WIDTH), np.random.default_rng(1).permutation(7)
    params = drawn_params()
    near(scratch.multi_head(params, x, HEADS)[0][:, order],
         scratch.multi_head(params, x[:, order], HEADS)[0])
    with_positions = scratch.multi_head(params, x, HEADS, rotary=True)[0][:, order]
    assert np.abs(with_positions - scratch.multi_head(params, x[:, order], HEADS, rotary=True)[0]).max() > 0.01


def test_rotary_scores_know_distances_only_and_keep_lengths():
    q, k = draw(6, 8), draw(6, 8, seed=1)
    near(scratch.rotate(q) @ scratch.rotate(k).T, scratch.rotate(q, 40) @ scratch.rotate(k, 40).T)
    near(np.linalg.norm(scratch.rotate(q), axis=1), np.linalg.norm(q, axis=1))
    near(scratch.rotate(q)[0], q[0])
    near(scratch.rotate(np.array([[1.0, 0], [1, 0]]))[1], [np.cos(1), np.sin(1)])


def test_sines_by_their_formula():
    table = scratch.sinusoidal(9, 6)
    for t in range(9):
        for i in range(3):
            near(table[t, 2 * i:2 * i + 2], [f(t / 10000 ** (2 * i / 6)) for f in (np.sin, np.cos)])


def test_positions_of_the_wings_equal_scratch():
    ids, x = some_ids(), draw(8, HEADS, 11, 4)
    near(torch_wing.sinusoidal_torch(torch.tensor(ids), 6).numpy(), scratch.sinusoidal(11, 6))
    near(tf_wing.sinusoidal_tf(tf.constant(ids), 6).numpy(), scratch.sinusoidal(11, 6))
    near(torch_wing.rotate_torch(torch.tensor(x)).numpy(), scratch.rotate(x))
    near(tf_wing.rotate_tf(tf.constant(x)).numpy(), scratch.rotate(x))


# --- the twins ------------------------------------------------------------------------------


def twins(kind, dtype="float64"):
    model = torch_wing.TorchAttentionText(30, WIDTH, 2, 2, kind, dtype=dtype)
    keras = tf_wing.TFAttentionText(30, WIDTH, 2, 2, kind, dtype=dtype)
    parity.copy_weights(model, keras)
    return model, keras


def in_numpy(model, ids):
    """The model's logits, written out with scratch."""
    def arrays(layer):
        return layer.weight.detach().numpy().T, layer.bias.detach().numpy()

    params = {name: arrays(getattr(model, name)) for name in ("query", "key", "value", "output")}
    x = model.embedding.weight.detach().numpy()[ids]
    if model.kind == "sinusoidal":
        x = x + scratch.sinusoidal(ids.shape[1], x.shape[2])
    if model.kind == "learned":
        x = x + model.table.weight.detach().numpy()[:ids.shape[1]]
    real = ids != 0
    y, _ = scratch.multi_head(params, x, model.heads, real[:, None, None], model.kind == "rotary")
    mean = ((x + y) * real[..., None]).sum(axis=1) / real.sum(axis=1, keepdims=True)
    weight, bias = arrays(model.readout)
    return mean @ weight + bias


@pytest.mark.parametrize("kind", KINDS)
def test_twins_and_numpy_give_the_same_logits(kind):
    model, keras = twins(kind)
    ids = some_ids()
    near(model(torch.tensor(ids)).detach().numpy(), in_numpy(model, ids))
    near(keras(tf.constant(ids)).numpy(), in_numpy(model, ids))


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_does_not_depend_on_the_neighbours(kind):
    model, keras = twins(kind)
    ids = some_ids()
    for row in ids:
        alone = row[row != 0][None]
        near(model(torch.tensor(alone)).detach().numpy(), in_numpy(model, ids)[(ids == row).all(axis=1)])
        near(keras(tf.constant(alone)).numpy(), model(torch.tensor(alone)).detach().numpy())


@pytest.mark.parametrize("kind", KINDS)
def test_twins_train_alike_for_60_steps(kind):
    model, keras = twins(kind)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.25)
    keras_optimizer = tf.keras.optimizers.SGD(0.25)
    keras_optimizer.build(keras.trainable_variables)
    ids, labels = some_ids(), np.array([0, 1] * 4)
    compiled = tf.function(step_tf)
    for _ in range(60):
        loss = step_torch(model, torch.tensor(ids), torch.tensor(labels), optimizer).item()
        near(float(compiled(keras, tf.constant(ids), tf.constant(labels), keras_optimizer)), loss)
    assert loss < 0.5


def test_order_is_invisible_without_positions_and_visible_with_them():
    ids = some_ids()[:1]
    for kind in KINDS:
        model, _ = twins(kind)
        apart = (model(torch.tensor(ids)) - model(torch.tensor(ids[:, ::-1].copy()))).abs().max().item()
        assert (apart < 1e-14) == (kind == "none")


# --- refusals -------------------------------------------------------------------------------


@pytest.mark.parametrize(("call", "words"), [
    (lambda: scratch.attend(draw(2, 3), draw(4, 5), draw(4, 5)), "same number of features"),
    (lambda: scratch.attend(draw(2, 3), draw(4, 3), draw(5, 3)), "same number of positions"),
    (lambda: scratch.attend(draw(2, 3), draw(4, 3), draw(4, 3), np.ones((2, 4))), "give booleans"),
    (lambda: scratch.attend(draw(2, 3), draw(4, 3), draw(4, 3), np.ones((3, 4), bool)), "does not broadcast"),
    (lambda: scratch.attend(draw(2, 3), draw(4, 3), draw(4, 3), np.zeros((2, 4), bool)), "no key"),
    (lambda: scratch.split_heads(draw(1, 2, 7), 2), "does not divide into 2 heads"),
    (lambda: scratch.split_heads(draw(1, 2, 7), 0), "does not divide"),
    (lambda: scratch.sinusoidal(4, 5), "make it even"),
    (lambda: scratch.rotate(draw(4, 5)), "make it even"),
    (lambda: torch_wing.TorchAttentionText(9, 8, 2, 2, "absolute"), "give one of"),
    (lambda: tf_wing.TFAttentionText(9, 8, 2, 2, "absolute"), "give one of"),
    (lambda: torch_wing.TorchAttentionText(9, 6, 2, 2), "even number of features"),
    (lambda: tf_wing.TFAttentionText(9, 6, 2, 2), "even number of features"),
])
def test_bad_input_is_refused_in_words(call, words):
    with pytest.raises(ValueError, match=words):
        call()
