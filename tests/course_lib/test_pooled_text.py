"""Padding and what the pooled models make of it, in NumPy and both frameworks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.scratch.padding import check_ids, masked_mean, pad_batch

POOLINGS = ("mean", "sum", "padded")
ragged = st.lists(st.lists(st.integers(1, 30), min_size=1, max_size=9), min_size=1, max_size=6)


@given(ragged, st.integers(0, 4))
def test_the_mask_finds_the_sequences_again(sequences, more):
    longest = max(map(len, sequences))
    ids, mask = pad_batch(sequences, length=longest + more)
    assert ids.shape == mask.shape == (len(sequences), longest + more)
    assert ids.dtype == np.int64 and mask.dtype == bool
    assert [row[m].tolist() for row, m in zip(ids, mask)] == sequences
    assert not ids[~mask].any()


@pytest.mark.parametrize(("sequences", "settings", "words"), [
    ([], {}, "no sequence to pad"), ([[1], []], {}, "sequence 1 is empty"),
    ([[1, 2, 3]], {"length": 2}, "sequence 0 has 3 tokens, more than length 2"),
    ([[4], [1, 0, 2]], {}, "sequence 1 holds the padding id 0"),
    ([[4], [1, 0, 2]], {"pad_id": 4}, "sequence 0 holds the padding id 4")])
def test_what_cannot_be_padded_is_named(sequences, settings, words):
    with pytest.raises(ValueError, match=words):
        pad_batch(sequences, **settings)


@pytest.mark.parametrize("wrong", [-1, 10, 12])
def test_an_id_out_of_range_is_named(wrong):
    with pytest.raises(ValueError, match=rf"id {wrong} at \(1, 0\) is outside the 10 rows .* 1 more"):
        check_ids(np.array([[3, 9], [wrong, -5]]), 10)
    check_ids(np.array([0, 9]), 10)


def test_masked_mean_is_the_mean_of_what_is_there():
    vectors = np.random.default_rng(0).normal(size=(2, 3, 4))
    mask = np.array([[True, True, False], [True, True, True]])
    found = masked_mean(vectors, mask)
    np.testing.assert_allclose(found, [vectors[0, :2].mean(0), vectors[1].mean(0)], atol=1e-15)
    with pytest.raises(ValueError, match=r"need a mask \(2, 3\)"):
        masked_mean(vectors, mask.T)


# --- the models -----------------------------------------------------------------------------


def twins(pooling, dtype="float64", seed=0):
    import torch

    from course_lib import parity
    from course_lib.pytorch.pooled_text import TorchPooledText
    from course_lib.tensorflow.pooled_text import TFPooledText

    torch.manual_seed(seed)
    pair = TorchPooledText(20, 6, 3, pooling, dtype), TFPooledText(20, 6, 3, pooling, dtype)
    parity.copy_weights(*pair)
    return pair


def batch(width=7, seed=0):
    random = np.random.default_rng(seed)
    sequences = [random.integers(1, 20, n).tolist() for n in (5, 1, 3, 5)]
    return pad_batch(sequences, length=width)[0], random.integers(0, 3, 4)


def by_hand(model, pooling, ids):
    table, layer = model.embedding.weight.detach().numpy(), model.readout
    vectors, mask = table[ids], ids != 0
    pooled = {"mean": lambda: masked_mean(vectors, mask), "padded": lambda: vectors.mean(1),
              "sum": lambda: (vectors * mask[:, :, None]).sum(1) / 64}[pooling]()
    return pooled @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()


@pytest.mark.parametrize("pooling", POOLINGS)
def test_outputs_equal_the_formula_in_both(pooling):
    import tensorflow as tf
    import torch

    ours, theirs = twins(pooling)
    ids, _ = batch()
    wanted = by_hand(ours, pooling, ids)
    np.testing.assert_allclose(ours(torch.tensor(ids)).detach().numpy(), wanted, atol=1e-14)
    np.testing.assert_allclose(theirs(tf.constant(ids)).numpy(), wanted, atol=1e-14)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_only_the_padded_mean_heeds_the_width(pooling):
    import tensorflow as tf
    import torch

    ours, theirs = twins(pooling)
    for model, tensor in ((ours, torch.tensor), (theirs, tf.constant)):
        narrow, wide = (np.asarray(model(tensor(batch(width)[0])).detach() if model is ours
                                   else model(tensor(batch(width)[0]))) for width in (5, 50))
        assert np.allclose(narrow, wide, atol=1e-13) == (pooling != "padded")


@pytest.mark.parametrize("step", ["step", "plain_step"])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_twins_take_the_same_steps(pooling, step):
    import tensorflow as tf
    import torch

    from course_lib.pytorch import pooled_text as ours
    from course_lib.tensorflow import pooled_text as theirs

    a, b = twins(pooling)
    start = a.embedding.weight.detach().numpy().copy()
    update_a, update_b = 0.125, 0.125
    if step == "step":
        update_a = torch.optim.SGD(a.parameters(), lr=0.125)
        update_b = tf.keras.optimizers.SGD(0.125)
    run_a, run_b = [], []
    for number in range(10):
        ids, labels = batch(seed=number)
        run_a.append(getattr(ours, f"{step}_torch")(
            a, torch.tensor(ids), torch.tensor(labels), update_a).item())
        run_b.append(float(getattr(theirs, f"{step}_tf")(
            b, tf.constant(ids), tf.constant(labels), update_b)))
    np.testing.assert_allclose(run_a, run_b, atol=1e-14)
    moved = np.abs(a.embedding.weight.detach().numpy() - start)
    assert moved[1:].max() > 1e-4 and (moved[0].max() > 0) == (pooling == "padded")


def test_adam_takes_the_embeddings_gradient_whole():
    """In slices Keras's Adam gives another update; with repeated ids the two must be told apart."""
    import tensorflow as tf

    from course_lib.tensorflow.pooled_text import step_tf

    def table_after(by_step):
        _, model = twins("mean")
        optimizer = tf.keras.optimizers.Adam(0.125)
        for number in range(3):
            ids, labels = (tf.constant(a) for a in batch(seed=number))
            if by_step:
                step_tf(model, ids, labels, optimizer)
                continue
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(
                    labels=labels, logits=model(ids)))
            gradients = tape.gradient(loss, model.trainable_variables)
            whole = [tf.convert_to_tensor(g).numpy() for g in gradients]
            optimizer.apply([tf.constant(g) for g in whole], model.trainable_variables)
        return model.embedding.embeddings.numpy()

    np.testing.assert_array_equal(table_after(True), table_after(False))


def test_an_unknown_pooling_is_refused():
    from course_lib.pytorch.pooled_text import TorchPooledText
    from course_lib.tensorflow.pooled_text import TFPooledText

    for model in (TorchPooledText, TFPooledText):
        with pytest.raises(ValueError, match="'max'.*mean"):
            model(5, 2, 2, "max")
