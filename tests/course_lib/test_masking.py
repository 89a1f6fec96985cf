"""Masked language modelling: what is hidden and how, and the classifier on top of the encoder."""

import numpy as np
import pytest
import tensorflow as tf
import torch

from course_lib import parity
from course_lib.pytorch.encoder import TorchEncoderClassifier
from course_lib.pytorch.train import cross_entropy_torch, train_torch
from course_lib.pytorch.transformer import TorchTransformer
from course_lib.scratch.masking import IGNORED, Masking, mask_tokens, pad_tokens
from course_lib.scratch.transformer import bert_config
from course_lib.tensorflow.encoder import TFEncoderClassifier
from course_lib.tensorflow.train import cross_entropy_tf, train_tf
from course_lib.tensorflow.transformer import TFTransformer

MASKING = Masking(50, mask_id=1, first=2)


def rows(count=400, time=30):
    random = np.random.default_rng(0)
    lengths = random.integers(5, time + 1, count)
    return pad_tokens([random.integers(2, 50, n) for n in lengths], time)


def test_rows_are_cut_and_filled_up():
    tokens, real = pad_tokens([[5, 6], [7, 8, 9, 3], [4]], 3)
    assert tokens.tolist() == [[5, 6, 0], [7, 8, 9], [4, 0, 0]] and tokens.dtype == np.int64
    assert real.tolist() == [[True, True, False], [True] * 3, [True, False, False]]
    for texts, length in (([[1], []], 3), ([[1]], 0)):
        with pytest.raises(ValueError, match="empty texts"):
            pad_tokens(texts, length)


def test_fifteen_in_a_hundred_are_chosen_and_split_80_10_10():
    (tokens, real), random = rows(), np.random.default_rng(1)
    inputs, targets = mask_tokens(tokens, real, MASKING, random)
    chosen = targets != IGNORED
    assert abs(chosen[real].mean() - 0.15) < 0.015 and not chosen[~real].any()
    assert (targets[chosen] == tokens[chosen]).all() and (inputs[~chosen] == tokens[~chosen]).all()
    masked, same = inputs[chosen] == 1, inputs[chosen] == tokens[chosen]
    assert abs(masked.mean() - 0.8) < 0.04
    assert abs(same.mean() - (0.1 + 0.1 / 48)) < 0.03
    swapped = inputs[chosen][~masked & ~same]
    assert swapped.min() >= 2 and swapped.max() <= 49 and len(set(swapped.tolist())) > 30


@pytest.mark.parametrize("masked, swapped", [(1.0, 0.0), (0.0, 1.0), (0.0, 0.0)])
def test_each_kind_alone(masked, swapped):
    tokens, real = rows(50)
    masking = Masking(50, 1, 2, 0.5, masked, swapped)
    inputs, targets = mask_tokens(tokens, real, masking, np.random.default_rng(0))
    chosen = targets != IGNORED
    share = {"mask": (inputs[chosen] == 1).mean(), "same": (inputs[chosen] == tokens[chosen]).mean()}
    assert share["mask"] == masked
    assert share["same"] == 1 if masked + swapped == 0 else share["same"] < 0.1


def test_a_batch_has_one_chosen_token_at_least():
    tokens, real = pad_tokens([[7, 8]], 6)
    for seed in range(20):
        _, targets = mask_tokens(tokens, real, Masking(50, 1, 2, 1e-9), np.random.default_rng(seed))
        assert (targets != IGNORED).sum() == 1 and (targets[0, 2:] == IGNORED).all()


@pytest.mark.parametrize("settings", [
    {"share": 0}, {"share": 1.2}, {"masked": 0.8, "swapped": 0.3}, {"masked": -0.1}, {"mask_id": 50},
    {"first": -1}])
def test_settings_that_do_not_fit_say_so(settings):
    with pytest.raises(ValueError, match="share|below 50"):
        Masking(**{"vocabulary": 50, "mask_id": 1, "first": 2, **settings})


def classifiers(seed=0):
    config = bert_config(50, width=16, layers=2, heads=2, context=12, segments=0, mlm_head=False,
                         dtype="float64")
    torch.manual_seed(seed)
    encoders = TorchTransformer(config), TFTransformer(config)
    parity.copy_weights(*encoders)
    return TorchEncoderClassifier(encoders[0], 3), TFEncoderClassifier(encoders[1], 3)


def test_the_classifier_takes_the_mean_of_the_real_states_alone():
    ours, theirs = classifiers()
    tokens, real = rows(6, 12)
    weight = np.random.default_rng(2).normal(size=(16, 3))
    with torch.no_grad():
        ours.readout.weight.copy_(torch.from_numpy(weight.T))
        hidden = ours.encoder(torch.from_numpy(tokens), torch.from_numpy(real)).numpy()
        found = ours(torch.from_numpy(tokens), torch.from_numpy(real)).numpy()
    theirs.readout.set_weights([weight, np.zeros(3)])
    wanted = np.stack([states[mask].mean(0) for states, mask in zip(hidden, real)]) @ weight
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)
    found = theirs(tf.constant(tokens), tf.constant(real)).numpy()
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)


def test_the_classifiers_start_at_even_odds_and_train_alike():
    ours, theirs = classifiers()
    (tokens, real), labels = rows(240, 12), np.random.default_rng(3).integers(0, 3, 240)
    parts = list(zip(*(np.split(a, 20) for a in (tokens, real, labels))))
    a = train_torch(ours, [((torch.from_numpy(t), torch.from_numpy(m)), torch.from_numpy(y))
                           for t, m, y in parts],
                    torch.optim.SGD(ours.parameters(), 0.125), cross_entropy_torch)
    b = train_tf(theirs, [((tf.constant(t), tf.constant(m)), tf.constant(y)) for t, m, y in parts],
                 tf.keras.optimizers.SGD(0.125), cross_entropy_tf, steps_per_call=7)
    assert a[0] == pytest.approx(np.log(3), abs=1e-12)
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)
    assert len(set(a.round(6))) == 20
