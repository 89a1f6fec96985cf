"""Networks on averaged words: against both frameworks, differences, and what padding must not do."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.scratch import negation
from course_lib.scratch import text_mlp as scratch

WORDS, WIDTH, CLASSES = 11, 4, 3
DEPTHS = [(), (5,), (5, 3), (6, 5, 4)]


def twins(hidden, dtype="float64"):
    import torch

    from course_lib import parity
    from course_lib.pytorch.text_mlp import TorchTextMLP
    from course_lib.tensorflow.text_mlp import TFTextMLP

    torch.manual_seed(1)
    sizes = WORDS, WIDTH, hidden, CLASSES, 0.5, dtype
    a, b = TorchTextMLP(*sizes), TFTextMLP(*sizes)
    parity.copy_weights(a, b)
    return a, b


def params_of(model):
    arrays = {name: t.detach().numpy() for name, t in model.named_parameters()}
    return {name: a.copy() if name.startswith("embedding") else a.T.copy()
            for name, a in arrays.items()}


def batch(seed=0, n=7, time=6):
    random = np.random.default_rng(seed)
    ids = random.integers(1, WORDS, (n, time))
    for row, length in zip(ids, random.integers(1, time + 1, n)):
        row[length:] = 0
    ids[0, :3] = 4  # a word that repeats
    return ids, random.integers(0, CLASSES, n)


# --- from scratch -----------------------------------------------------------------------------


def test_a_layer_is_its_neurons():
    random = np.random.default_rng(0)
    x, weight, bias = random.normal(size=(5, 3)), random.normal(size=(3, 4)), random.normal(size=4)
    wanted = [[scratch.neuron(row, weight[:, k], bias[k]) for k in range(4)] for row in x]
    np.testing.assert_allclose(scratch.layer(x, weight, bias), wanted, atol=1e-15)
    assert min(map(min, wanted)) == 0 < max(map(max, wanted))


@given(st.integers(0, 99), st.integers(1, 5))
def test_padding_does_not_count(seed, more):
    ids, _ = batch(seed)
    vectors = np.random.default_rng(seed).normal(size=(WORDS, WIDTH))
    longer = np.pad(ids, ((0, 0), (0, more)))
    np.testing.assert_allclose(scratch.average(vectors, longer), scratch.average(vectors, ids))
    first = ids[1][ids[1] > 0]
    np.testing.assert_allclose(scratch.average(vectors, ids)[1], vectors[first].mean(axis=0))


def test_a_row_of_padding_is_zero_and_no_warning():
    with np.errstate(all="raise"):
        assert (scratch.average(np.ones((3, 2)), np.zeros((1, 4), int)) == 0).all()


@pytest.mark.parametrize("hidden", DEPTHS)
def test_gradients_equal_differences(hidden):
    random = np.random.default_rng(0)  # no sum may be exactly 0, where a ReLU has no slope
    params = {name: a + 0.1 * random.normal(size=a.shape)
              for name, a in params_of(twins(hidden)[0]).items()}
    ids, labels = batch()
    _, ours = scratch.text_mlp_gradients(params, ids, labels)
    assert ours.keys() == params.keys()
    for name, array in params.items():
        for index in np.ndindex(*array.shape):
            ends = []
            for step in (1e-6, -1e-6):
                moved = params | {name: array.copy()}
                moved[name][index] += step
                ends.append(scratch.text_mlp_gradients(moved, ids, labels)[0])
            assert ours[name][index] == pytest.approx((ends[0] - ends[1]) / 2e-6, abs=1e-8)


def test_a_word_that_is_not_there_and_the_padding_get_no_gradient():
    params = params_of(twins((5,))[0])
    _, slopes = scratch.text_mlp_gradients(params, np.array([[3, 3, 0], [5, 0, 0]]), np.array([0, 2]))
    moved = np.abs(slopes["embedding.weight"]).sum(axis=1) > 0
    assert np.flatnonzero(moved).tolist() == [3, 5]


@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 3), st.integers(0, 5))
def test_batches_hold_every_row_at_most_once_an_epoch(rows, size, epochs, seed):
    size = min(size, rows)
    order = scratch.batches(rows, size, epochs, seed)
    assert order.shape == (epochs, rows // size, size)
    for epoch in order:
        assert len(set(epoch.ravel().tolist())) == epoch.size and epoch.max() < rows


@pytest.mark.parametrize("given", [(5, 6, 1), (5, 0, 1), (5, 2, 0)])
def test_impossible_batches_are_refused(given):
    with pytest.raises(ValueError, match="batches no larger than the rows"):
        scratch.batches(*given)


# --- the wings --------------------------------------------------------------------------------


@pytest.mark.parametrize("hidden", DEPTHS)
def test_twins_and_numpy_train_alike(hidden):
    import tensorflow as tf
    import torch

    from course_lib.pytorch.text_mlp import train_torch
    from course_lib.tensorflow.text_mlp import train_tf

    a, b = twins(hidden)
    params, (ids, labels) = params_of(a), batch(3, n=40)
    order = scratch.batches(40, 8, epochs=3)
    rates = 0.5 * (1 - np.arange(15) / 16).reshape(3, 5)
    epochs = []
    run_a = train_torch(a, torch.tensor(ids), torch.tensor(labels), order, rates, epochs.append)
    run_b = train_tf(b, tf.constant(ids), tf.constant(labels), order, rates, epochs.append)
    run_c = []
    for rows, rate in zip(order.reshape(-1, 8), rates.ravel()):
        loss, params = scratch.step_text_mlp(params, ids[rows], labels[rows], rate)
        run_c.append(loss)
    np.testing.assert_allclose(run_a, run_b, atol=1e-13)
    np.testing.assert_allclose(run_a, run_c, atol=1e-13)
    assert epochs == [a] * 3 + [b] * 3 and run_a[-5:].mean() < run_a[:5].mean()


def test_padding_changes_no_logit_of_the_twins():
    import tensorflow as tf
    import torch

    a, b = twins((5,))
    ids, _ = batch()
    longer = np.pad(ids, ((0, 0), (0, 3)))
    ids[2] = longer[2] = 0  # nothing but padding
    wanted = scratch.text_mlp(params_of(a), ids)[0]
    for rows in (ids, longer):
        np.testing.assert_allclose(a(torch.tensor(rows)).detach().numpy(), wanted, atol=1e-14)
        np.testing.assert_allclose(b(tf.constant(rows)).numpy(), wanted, atol=1e-14)


def test_weights_start_with_the_stated_spread():
    import torch

    from course_lib.pytorch.text_mlp import TorchTextMLP
    from course_lib.tensorflow.text_mlp import TFTextMLP

    torch.manual_seed(0)
    a, b = TorchTextMLP(3000, 20, (400,), 2, 0.3), TFTextMLP(3000, 20, (400,), 2, 0.3)
    for table in (a.embedding.weight.detach().numpy(), b.embedding.embeddings.numpy()):
        assert table.std() == pytest.approx(0.3, rel=0.03)
    for weight in (a.layers[0].weight.detach().numpy(), b.hidden[0].kernel.numpy()):
        assert weight.std() == pytest.approx(np.sqrt(2 / 20), rel=0.05)
    assert not a.layers[0].bias.any() and not b.hidden[0].bias.numpy().any()


def test_feed_forward_twins_agree_on_numbers_that_are_no_words():
    import tensorflow as tf
    import torch

    from course_lib import parity
    from course_lib.pytorch import text_mlp as ours
    from course_lib.tensorflow import text_mlp as theirs

    a, b = (kind(6, (5, 4), 3, "float64") for kind in (ours.TorchFeedForward, theirs.TFFeedForward))
    parity.copy_weights(a, b)
    random = np.random.default_rng(0)
    x, y = random.normal(size=(9, 6)), random.integers(0, 3, 9)
    for _ in range(5):
        loss = ours.step_torch(a, torch.tensor(x), torch.tensor(y), 0.25)
        assert float(theirs.step_tf(b, tf.constant(x), tf.constant(y), 0.25)) == pytest.approx(
            loss.item(), abs=1e-14)


# --- negation ---------------------------------------------------------------------------------


def test_sentences_are_as_they_are_described():
    rows, labels = negation.sentences(2000)
    praise, blame, turned = (np.isin(rows, some).sum(axis=1) for some in ((2, 3), (4, 5), (6, 7)))
    assert ((praise + blame) == 1).all() and turned.max() == 1 and rows.max() < negation.WORDS
    assert np.array_equal(labels, (praise == 1) != (turned == 1))
    for word in range(2, negation.WORDS):  # no word alone says anything
        assert abs(labels[(rows == word).any(axis=1)].mean() - 0.5) < 0.08
    assert not np.array_equal(rows, negation.sentences(2000, seed=1)[0])
