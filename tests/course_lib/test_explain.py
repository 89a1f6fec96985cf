"""The port doctor: planted differences are named, equal pairs are left alone, nothing is changed."""

import re

import numpy as np
import pytest
import torch
from ported_pairs import EQUAL, PLANTED, Pair

from course_lib import parity


def examined(pair: Pair):
    return parity.explain(pair.torch_model, pair.keras_model, pair.batch, **pair.more)


def named(pair: Pair, report) -> bool:
    """Whether the first finding is the plant, and no other row is blamed."""
    first = report.first
    if first is None or first.stage != pair.stage:
        return False
    return first.row == pair.row and pair.word in first.what


@pytest.mark.parametrize("name", EQUAL)
def test_equal_pairs_get_no_diagnosis(name):
    report = examined(EQUAL[name]())
    assert report.agree, str(report)
    assert report.matched and not report.unmatched and report.sizes


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_difference_is_named(name):
    pair = PLANTED[name]()
    report = examined(pair)
    assert named(pair, report), f"planted {pair.stage}: {pair.row or pair.word}\n{report}"
    assert {f.row for f in report.findings} <= {pair.row, *pair.also}, str(report)


def test_there_are_enough_pairs():
    assert len(EQUAL) >= 10 and len(PLANTED) >= 20


# --- manners ----------------------------------------------------------------------------------


def everything_of(pair):
    """All that explain could change, as plain arrays."""
    torch_optimizer = pair.more["optimizers"][0]
    return {
        "torch": [t.detach().clone().numpy() for t in pair.torch_model.state_dict().values()],
        "gradients": [p.grad.clone().numpy() for p in pair.torch_model.parameters()],
        "modes": [m.training for m in pair.torch_model.modules()],
        "shares": [m.p for m in pair.torch_model.modules() if isinstance(m, torch.nn.Dropout)],
        "hooks": [len(m._forward_hooks) for m in pair.torch_model.modules()],
        "optimizer": [v.numpy().copy() for s in torch_optimizer.state.values() for v in s.values()],
        "random": torch.get_rng_state().numpy(),
        "keras": [v.numpy() for v in pair.keras_model.variables],
        "rates": [layer.rate for layer in pair.keras_model.layers if hasattr(layer, "rate")],
    }


@pytest.mark.parametrize("broken", [False, True])
def test_neither_model_is_changed(broken):
    import keras

    pair = EQUAL["normalised_with_one_convention"]()
    optimizer = torch.optim.SGD(pair.torch_model.parameters(), 0.125, momentum=0.5)
    pair.more["optimizers"] = (optimizer, keras.optimizers.SGD(0.125, momentum=0.5))
    pair.torch_model.train()
    pair.torch_model[3].eval()                       # a mode of its own
    pair.torch_model(torch.from_numpy(pair.batch[0])).sum().backward()
    optimizer.step()
    pair.keras_model.layers[0].kernel.assign_add(np.ones((6, 8)))
    before, call = everything_of(pair), keras.layers.Layer.__call__
    if broken:
        def fail(prediction, target):
            raise RuntimeError("a loss of the user's that fails")

        pair.more["losses"] = (fail, pair.more["losses"][1])
        with pytest.raises(RuntimeError, match="user's"):
            examined(pair)
    else:
        assert not examined(pair).agree
    after = everything_of(pair)
    assert keras.layers.Layer.__call__ is call
    for name, values in before.items():
        np.testing.assert_equal(after[name], values, err_msg=name)


def test_a_report_says_all_of_it_in_words():
    pair = PLANTED["epsilon_of_batch_norm"]()
    report = examined(pair)
    text = str(report)
    assert "4 layers matched, computed in float64" in text
    assert "1. outputs, 1 and batch_normalization" in text and "epsilon is 1e-05 in PyTorch and 0.001 in Keras" in text
    assert "Rosetta row: batch-norm-epsilon" in text and max(map(len, text.splitlines())) <= 96
    assert report.rows == ["batch-norm-epsilon"] and report.first.after < 1e-12 < report.first.before
    assert "The two models agree." in str(examined(EQUAL["two_dense_layers"]()))


def test_two_differences_in_one_pair_are_both_found():
    import keras
    from ported_pairs import lend, rows, seeded, sequential, stack

    layers, nn, rng = keras.layers, torch.nn, seeded()
    model = stack(nn.Linear(6, 8), nn.BatchNorm1d(8, momentum=0.125), nn.LeakyReLU(), nn.Linear(8, 3))
    twin = sequential((6,), lambda: layers.Dense(8), lambda: layers.BatchNormalization(momentum=0.875),
                      layers.LeakyReLU, lambda: layers.Dense(3))
    report = examined(lend(Pair(model, twin, (rows(rng)[0], None))))
    assert report.rows == ["batch-norm-epsilon", "leaky-relu-slope"]


@pytest.mark.parametrize("theirs", [
    lambda x, h: 1.5 * h * abs(h), lambda x, h: h**3, lambda x, h: h + 0.01 * h**2, lambda x, h: h[::-1] + x])
def test_what_no_guess_explains_is_not_explained(theirs):
    from ported_pairs import simple

    report = examined(simple(lambda x, h: h * h, theirs, ""))
    assert [(f.row, f.after) for f in report.findings] == [(None, None)]
    assert "own code before them differs" in report.first.what


def test_one_layer_may_differ_in_several_things():
    pair = PLANTED["epsilon_of_batch_norm"]()
    pair.keras_model.layers[1].trainable = False
    pair.keras_model.layers[1].gamma.assign_add(np.ones(8))
    stages = [f.stage for f in examined(pair).findings]
    assert stages == ["layers", "weights", "outputs"]


def test_what_has_no_counterpart_is_said():
    import keras
    from ported_pairs import rows, seeded, sequential, stack

    layers, nn, rng = keras.layers, torch.nn, seeded()
    model = stack(nn.Linear(6, 8), nn.Linear(8, 8), nn.PReLU(), nn.Linear(8, 3))
    twin = sequential((6,), lambda: layers.Dense(8), lambda: layers.Dense(3))
    report = examined(Pair(model, twin, (rows(rng)[0], None)))
    text = str(report)
    assert not report.agree
    assert "PyTorch 1 (Linear): no Keras layer of its kind and size" in text
    assert "PyTorch 2 (PReLU): of a kind that the doctor does not know" in text


def test_a_batch_that_does_not_fit_is_refused_with_both_shapes():
    pair = EQUAL["two_dense_layers"]()
    with pytest.raises(parity.ParityError, match=r"PyTorch model cannot take inputs \[\(4, 5\)\]"):
        parity.explain(pair.torch_model, pair.keras_model, np.zeros((4, 5)))
    with pytest.raises(parity.ParityError, match="losses need labels"):
        parity.explain(pair.torch_model, pair.keras_model, np.zeros((4, 6)), losses=pair.more["losses"])


def test_a_keras_model_without_weights_is_refused():
    import keras

    with pytest.raises(parity.ParityError, match="call it once"):
        parity.explain(torch.nn.Linear(2, 2), keras.Sequential([keras.layers.Dense(2)]), np.zeros((1, 2)))


def test_every_row_that_the_doctor_can_name_exists():
    from pathlib import Path

    from course_lib.parity.rosetta import ROWS

    folder = Path(parity.__file__).parent
    said = set()
    for module in folder.glob("*.py"):
        if module.name != "rosetta.py":
            said |= set(re.findall(r'"([a-z0-9]+(?:-[a-z0-9]+)+)"', module.read_text("utf-8")))
    assert len(said) >= 30 and said - set(ROWS) == set()
    planted = {make().row for make in PLANTED.values()}
    assert planted - {None} <= said | {"rmsprop", "adagrad", "gelu", "initialisers"}


def test_a_pair_with_uncompared_layers_is_not_said_to_agree():
    import keras
    from ported_pairs import rows, seeded, sequential, stack

    layers, rng = keras.layers, seeded()
    model = stack(torch.nn.Linear(6, 8), torch.nn.Linear(8, 3))
    twin = sequential((6,), lambda: layers.Dense(8, use_bias=True), lambda: layers.EinsumDense("ab,bc->ac", 3, bias_axes="c"))
    twin.layers[0].kernel.assign(model[0].weight.detach().numpy().T)
    twin.layers[0].bias.assign(model[0].bias.detach().numpy())
    twin.layers[1].kernel.assign(model[1].weight.detach().numpy().T)
    twin.layers[1].bias.assign(model[1].bias.detach().numpy())
    report = examined(Pair(model, twin, (rows(rng)[0], None)))
    assert not report.findings and not report.agree
    assert "not all was" in str(report) and "EinsumDense" in str(report)


def test_a_padding_row_is_a_note_where_gradients_are_not_compared():
    pair = PLANTED["a_padding_row"]()
    del pair.more["losses"]
    report = examined(pair)
    assert report.agree and [n.row for n in report.notes] == ["embedding-padding"]
    assert "was not compared" in str(report)


def test_a_stack_without_counterpart_is_said_as_such():
    from ported_pairs import L, Stacked, rows, seeded, sequences, sequential

    rng = seeded()
    twin = sequential((7, 3), lambda: L.LSTM(5, return_sequences=True), lambda: L.Dense(2))
    report = examined(Pair(Stacked(torch.nn.LSTM).double(), twin, (sequences(rng, features=3), None)))
    assert any("cells (LSTM): layers stacked in one module" in text for text in report.unmatched)
    assert not any("LSTMCell" in text for text in report.unmatched)


def test_nothing_is_called_flattened_that_keeps_its_axes():
    from course_lib.parity.orders import order_cause

    image = np.random.default_rng(0).normal(size=(4, 3, 5, 5))
    last = np.moveaxis(image, 1, -1)
    assert order_cause(image.reshape(4, -1), last.reshape(4, -1), 1e-9, [image]).row == "flatten-order"
    assert order_cause(image + 1, last, 1e-9, [image]) is None
    assert order_cause(image.reshape(4, -1) + 1, last.reshape(4, -1), 1e-9, [image]) is None


@pytest.mark.parametrize("name", ["positions_of_the_models_own"])
def test_a_parameter_of_the_models_own_that_is_frozen_on_one_side(name):
    pair = EQUAL[name]()
    pair.torch_model.places.requires_grad_(False)
    report = examined(pair)
    assert [(f.stage, f.what) for f in report.findings] == [("layers", "Keras trains it, PyTorch does not")]
    assert "places" in report.first.where


def test_a_parameter_of_the_models_own_with_other_numbers_is_not_matched():
    pair = EQUAL["positions_of_the_models_own"]()
    pair.keras_model.places.assign_add(np.ones((7, 6)))
    assert any("Placed" in text for text in examined(pair).unmatched)


@pytest.mark.parametrize("name", ["a_shortcut_after_an_activation_layer", "normalised_before_and_not_after",
                                  "same_for_causal", "a_part_stopped_in_pytorch", "padding_by_hand_of_another_amount"])
def test_one_difference_is_said_once(name):
    report = examined(PLANTED[name]())
    known = [f for f in report.findings if f.row or "own code" not in f.what]
    assert len(known) == 1, str(report)


def test_what_a_shortcut_carries_on_is_not_said_again():
    import keras
    from ported_pairs import KIND, L, lend, seeded, sequences
    from torch import nn

    class Carried(nn.Module):
        def __init__(self):
            super().__init__()
            self.start, self.inner, self.readout = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 3)

        def forward(self, x):
            x = self.start(x) ** 3
            x = x + self.inner(x)
            return self.readout(x.mean(dim=1))

    start, inner, readout = L.Dense(8, **KIND), L.Dense(8, **KIND), L.Dense(3, **KIND)
    x = keras.Input((7, 8), dtype="float64")
    h = start(x)
    h = h * abs(h)
    h = h + inner(h)
    twin = keras.Model(x, readout(keras.ops.mean(h, axis=1)))
    report = examined(lend(Pair(Carried().double(), twin, (sequences(seeded()), None))))
    assert len(report.findings) == 1 and "own code before them differs" in report.first.what, str(report)


def test_the_cure_of_a_gelu_says_which_side():
    from ported_pairs import simple
    from torch.nn import functional as F

    def exact(x, h):
        import tensorflow as tf

        return 0.5 * h * (1 + tf.math.erf(h / tf.constant(2, h.dtype) ** 0.5))

    report = examined(simple(lambda x, h: F.gelu(h, approximate="tanh"), exact, ""))
    assert report.rows == ["gelu"] and "Keras: `approximate=True`" in report.first.cure
    cure = examined(PLANTED["formula_of_gelu"]()).first.cure
    assert "Keras: `approximate=False`" in cure
