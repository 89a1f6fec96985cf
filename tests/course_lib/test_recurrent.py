"""RNN and LSTM: masks, gradients through time, weights to and from both frameworks, the wings."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.scratch import recurrent

KINDS = {"RNN": 1, "LSTM": 4}


def case(kind, features=3, hidden=4, lengths=(5, 2, 1), seed=0, size=1.0):
    """A cell with a bias that is not 0, padded sequences and their mask."""
    random = np.random.default_rng(seed)
    params = recurrent.init_cell(features, hidden, KINDS[kind], seed)
    params["bias"] = params["bias"] + random.normal(size=params["bias"].shape)
    sequences = [size * random.normal(size=(n, features)) for n in lengths]
    return params, *recurrent.pad(sequences), sequences


def last_state(kind, params, x, mask):
    if kind == "RNN":
        return recurrent.rnn(params, x, mask)[-1]
    return recurrent.lstm(params, x, mask)[0][-1]


def gradients(kind, params, x, mask, back):
    if kind == "RNN":
        states = recurrent.rnn(params, x, mask)
        return recurrent.rnn_gradients(params, x, mask, states, back)[0]
    return recurrent.lstm_gradients(params, x, mask, recurrent.lstm(params, x, mask), back)[0]


def torch_layer(kind, params):
    import torch

    layer = getattr(torch.nn, kind)(len(params["input"]), len(params["recurrent"]),
                                    batch_first=True, dtype=torch.float64)
    arrays = recurrent.to_torch(params)
    layer.load_state_dict({name: torch.tensor(array) for name, array in arrays.items()})
    return layer


def keras_layer(kind, params):
    import tensorflow as tf

    make = {"RNN": tf.keras.layers.SimpleRNN, "LSTM": tf.keras.layers.LSTM}[kind]
    layer = make(len(params["recurrent"]), dtype="float64")
    layer.build((None, None, len(params["input"])))
    layer.set_weights(recurrent.to_keras(params))
    return layer


# --- padding and masks ------------------------------------------------------------------------


def test_padding_behind_and_in_front():
    sequences = [np.ones((2, 1)), 2 * np.ones((3, 1))]
    x, mask = recurrent.pad(sequences)
    assert x[..., 0].tolist() == [[1, 1, 0], [2, 2, 2]]
    assert mask.tolist() == [[True, True, False], [True] * 3]
    x, mask = recurrent.pad(sequences, "start", time=4)
    assert x[..., 0].tolist() == [[0, 0, 1, 1], [0, 2, 2, 2]]
    assert mask.tolist() == [[False, False, True, True], [False, True, True, True]]
    assert recurrent.pad([np.ones((2, 3), np.float32)])[0].dtype == np.float32


@pytest.mark.parametrize("sequences, where", [([np.ones((2, 1))], "left"), ([], "end")])
def test_padding_says_what_it_needs(sequences, where):
    with pytest.raises(ValueError, match="'end' or 'start'"):
        recurrent.pad(sequences, where)


@pytest.mark.parametrize("kind", KINDS)
@given(lengths=st.lists(st.integers(1, 6), min_size=1, max_size=4), more=st.integers(0, 5),
       seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_a_masked_state_does_not_depend_on_the_padding(kind, lengths, more, seed):
    params, _, _, sequences = case(kind, lengths=lengths, seed=seed)
    for where in ("end", "start"):
        x, mask = recurrent.pad(sequences, where, time=max(lengths) + more)
        found = last_state(kind, params, np.where(mask[..., None], x, 7.0), mask)
        for row, sequence in enumerate(sequences):
            alone = last_state(kind, params, sequence[None], np.ones((1, len(sequence)), bool))
            np.testing.assert_allclose(found[row], alone[0], atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_without_the_mask_it_does(kind):
    params, x, mask, _ = case(kind)
    apart = last_state(kind, params, x, mask) - last_state(kind, params, x, np.ones_like(mask))
    assert np.abs(apart[0]).max() == 0 and np.abs(apart[1:]).max(axis=1).min() > 1e-3


# --- gradients --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_gradients_equal_differences(kind, seed):
    params, x, mask, _ = case(kind, seed=seed)
    back = np.random.default_rng(seed + 9).normal(size=(3, 4))
    found = gradients(kind, params, x, mask, back)
    for name, param in params.items():
        for index in np.ndindex(*param.shape):
            ends = []
            for step in (1e-5, -1e-5):
                moved = {key: value.copy() for key, value in params.items()}
                moved[name][index] += step
                ends.append(np.sum(last_state(kind, moved, x, mask) * back))
            assert found[name][index] == pytest.approx((ends[0] - ends[1]) / 2e-5, abs=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_states_and_gradients_equal_pytorch(kind):
    import torch
    from torch.nn.utils.rnn import pack_padded_sequence

    params, x, mask, _ = case(kind)
    back = np.random.default_rng(5).normal(size=(3, 4))
    layer = torch_layer(kind, params)
    packed = pack_padded_sequence(torch.tensor(x), torch.tensor(mask.sum(1)), batch_first=True,
                                  enforce_sorted=False)
    last = layer(packed)[1]
    last = (last[0] if kind == "LSTM" else last)[0]
    np.testing.assert_allclose(last.detach().numpy(), last_state(kind, params, x, mask), atol=1e-15)
    (last * torch.tensor(back)).sum().backward()
    theirs = {name: p.grad.numpy() for name, p in layer.named_parameters()}
    np.testing.assert_allclose(theirs["bias_ih_l0"], theirs["bias_hh_l0"], rtol=1e-14)
    theirs["bias_hh_l0"] = np.zeros_like(theirs["bias_hh_l0"])
    for name, ours in gradients(kind, params, x, mask, back).items():
        np.testing.assert_allclose(ours, recurrent.from_torch(theirs)[name], atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_states_and_gradients_equal_keras(kind):
    import tensorflow as tf

    params, x, mask, _ = case(kind)
    back = np.random.default_rng(5).normal(size=(3, 4))
    layer = keras_layer(kind, params)
    with tf.GradientTape() as tape:
        last = layer(tf.constant(x), mask=tf.constant(mask))
        loss = tf.reduce_sum(last * back)
    np.testing.assert_allclose(last.numpy(), last_state(kind, params, x, mask), atol=1e-15)
    theirs = [g.numpy() for g in tape.gradient(loss, layer.trainable_variables)]
    for name, ours in gradients(kind, params, x, mask, back).items():
        np.testing.assert_allclose(ours, recurrent.from_keras(theirs)[name], atol=1e-14)


def test_the_gradients_in_the_states_are_those_of_a_later_start():
    """d last / d h_t: the same cell, started at step t from another state."""
    import torch

    for kind in KINDS:
        params, x, _, _ = case(kind, lengths=(6,))
        mask, back = np.ones((1, 6), bool), np.ones((1, 4))
        if kind == "RNN":
            states = recurrent.rnn(params, x, mask)
            flows = [recurrent.rnn_gradients(params, x, mask, states, back)[1]]
            runs = [states]
        else:
            run = recurrent.lstm(params, x, mask)
            flows, runs = recurrent.lstm_gradients(params, x, mask, run, back)[1:], run[:2]
        for t in range(6):
            start = [torch.tensor(r[t][None], requires_grad=True) for r in runs]
            given = tuple(start) if kind == "LSTM" else start[0]
            torch_layer(kind, params)(torch.tensor(x[:, t:]), given)[0][:, -1].sum().backward()
            for flow, state in zip(flows, start):
                np.testing.assert_allclose(flow[t], state.grad[0].numpy(), atol=1e-14)


# --- weights ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_weights_travel_to_both_frameworks_and_back(kind):
    params, *_ = case(kind)
    arrays = {n: p.detach().numpy() for n, p in torch_layer(kind, params).named_parameters()}
    arrays["bias_hh_l0"] = arrays["bias_hh_l0"] + 0.5      # a torch layer that uses its second bias
    for found, shift in ((recurrent.from_torch(arrays), 0.5),
                         (recurrent.from_keras(keras_layer(kind, params).get_weights()), 0)):
        np.testing.assert_array_equal(found["input"], params["input"])
        np.testing.assert_array_equal(found["recurrent"], params["recurrent"])
        np.testing.assert_allclose(found["bias"], params["bias"] + shift, atol=1e-15)


def test_forget_gates_start_open():
    bias = recurrent.init_cell(2, 3, 4)["bias"]
    assert bias.tolist() == [0] * 3 + [1] * 3 + [0] * 6


# --- what does not fit ------------------------------------------------------------------------


def test_a_cell_says_what_does_not_fit():
    params, x, mask, _ = case("LSTM")
    with pytest.raises(ValueError, match="give 1 for an RNN, 4 for an LSTM"):
        recurrent.init_cell(2, 3, 3)
    with pytest.raises(ValueError, match=r"make them \(hidden, 1 \* hidden\)"):
        recurrent.rnn(params, x, mask)
    with pytest.raises(ValueError, match=r"make it \(batch, time, 3\)"):
        recurrent.lstm(params, x[..., :2], mask)
    with pytest.raises(ValueError, match=r"make it \(batch, time, 3\)"):
        recurrent.lstm(params, x[0], mask)
    for wrong in (mask[:, :-1], mask.astype(float), mask.T):
        with pytest.raises(ValueError, match=r"make it bool \(3, 5\)"):
            recurrent.lstm(params, x, wrong)


# --- the wings --------------------------------------------------------------------------------


def twins(name, dtype="float64", **more):
    import torch

    from course_lib import parity
    from course_lib.pytorch import recurrent as ours
    from course_lib.tensorflow import recurrent as theirs

    torch.manual_seed(0)
    sizes = {"vocabulary": 11} if name.startswith("Text") else {}
    sizes |= {"features": 3, "hidden": 5, "classes": 4, "dtype": dtype, **more}
    pair = getattr(ours, f"Torch{name}")(**sizes), getattr(theirs, f"TF{name}")(**sizes)
    parity.copy_weights(*pair)
    return pair


def batch(name, seed=0):
    random = np.random.default_rng(seed)
    lengths = np.array([6, 1, 3, 6, 2])
    if name.startswith("Text"):
        x = random.integers(1, 11, (5, 6)) * (np.arange(6) < lengths[:, None])
    else:
        x, _ = recurrent.pad([random.normal(size=(n, 3)) for n in lengths])
    return x, lengths, random.integers(4, size=5)


MODELS = ("LSTMClassifier", "RNNClassifier", "TextLSTM")


@pytest.mark.parametrize("name", MODELS)
def test_twins_take_the_same_steps(name):
    import tensorflow as tf
    import torch

    from course_lib.pytorch.recurrent import step_torch
    from course_lib.tensorflow.recurrent import step_tf

    a, b = twins(name)
    runs = [], []
    for seed in range(10):
        arrays = batch(name, seed % 2)
        runs[0].append(step_torch(a, *map(torch.tensor, arrays), 0.5).item())
        runs[1].append(float(step_tf(b, *map(tf.constant, arrays), 0.5)))
    np.testing.assert_allclose(*runs, atol=1e-13)
    assert runs[0][-2] < runs[0][0]


@pytest.mark.parametrize("name", MODELS)
def test_an_answer_does_not_depend_on_the_padding(name):
    import tensorflow as tf
    import torch

    a, b = twins(name)
    x, lengths, _ = batch(name)
    for row, length in enumerate(lengths):
        one = x[row : row + 1, :length], lengths[row : row + 1]
        for model, make in ((a, torch.tensor), (b, tf.constant)):
            alone, many = model(*map(make, one)), model(make(x), make(lengths))
            apart = np.abs(np.asarray(many[row].detach() if model is a else many[row])
                           - np.asarray(alone[0].detach() if model is a else alone[0]))
            assert apart.max() < 1e-14


def test_forget_bias_and_the_second_bias():
    import torch

    for bias in (0.0, 3.0):
        a, b = twins("LSTMClassifier", forget_bias=bias)
        wanted = [0.0] * 5 + [bias] * 5 + [0.0] * 10
        assert b.lstm.cell.bias.numpy().tolist() == wanted
        assert a.lstm.bias_ih_l0.tolist() == wanted and not a.lstm.bias_hh_l0.any()
        assert not a.lstm.bias_hh_l0.requires_grad
        learned = sum(p.numel() for p in a.parameters() if p.requires_grad)
        assert learned == sum(int(np.prod(v.shape)) for v in b.trainable_variables)
    a, _ = twins("RNNClassifier")
    weights = a.rnn.weight_hh_l0.detach()
    torch.testing.assert_close(weights @ weights.T, torch.eye(5, dtype=torch.float64))


def test_two_trained_biases_move_twice_as_far():
    import torch

    from course_lib.pytorch.recurrent import step_torch

    arrays, moves = [torch.tensor(v) for v in batch("LSTMClassifier")], []
    for both in (False, True):
        model, _ = twins("LSTMClassifier")
        model.lstm.bias_hh_l0.requires_grad_(both)
        before = (model.lstm.bias_ih_l0 + model.lstm.bias_hh_l0).detach().clone()
        step_torch(model, *arrays, 0.5)
        moves.append((model.lstm.bias_ih_l0 + model.lstm.bias_hh_l0).detach() - before)
    torch.testing.assert_close(moves[1], 2 * moves[0])
