"""Same weights, same curve; and refusals that say what does not fit."""

import numpy as np
import pytest

from course_lib import parity


def twins(features=6, hidden=4, classes=3, dtype="float64"):
    from course_lib.pytorch.models import TorchMLP
    from course_lib.tensorflow.models import TFMLP

    sizes = {"features": features, "hidden": hidden, "classes": classes, "dtype": dtype}
    return TorchMLP(**sizes), TFMLP(**sizes)


def batch(rows=30, features=6, classes=3, dtype="float64", seed=0):
    random = np.random.default_rng(seed)
    return (random.normal(size=(rows, features)).astype(dtype),
            random.normal(size=(rows, classes)).astype(dtype))


def three_curves(steps, rate, seed=0):
    import tensorflow as tf
    import torch

    from course_lib.pytorch.training import train_torch
    from course_lib.scratch.mlp import step_mlp
    from course_lib.tensorflow.training import train_tf

    torch.manual_seed(seed)
    torch_model, tf_model = twins()
    parity.copy_weights(torch_model, tf_model)
    x, y = batch(seed=seed)
    params = {n: p.detach().numpy().T.copy() for n, p in torch_model.named_parameters()}
    losses = []
    for _ in range(steps):
        loss, params = step_mlp(params, x, y, rate)
        losses.append(loss)
    return {
        "NumPy": losses,
        "PyTorch": train_torch(torch_model, torch.from_numpy(x), torch.from_numpy(y), rate, steps),
        "TensorFlow": train_tf(tf_model, tf.constant(x), tf.constant(y), rate, steps),
    }


@pytest.mark.parametrize("seed", range(3))
def test_three_programs_agree_for_a_hundred_steps_in_float64(seed):
    curves = three_curves(100, 1 / 8, seed)
    report = parity.compare_losses(curves, tolerance=1e-12)
    assert report.agree and report.steps == 100 and report.largest < 1e-12
    assert curves["NumPy"][-1] < 0.9 * curves["NumPy"][0]


def test_outputs_are_equal_after_copying():
    import tensorflow as tf
    import torch

    torch_model, tf_model = twins()
    parity.copy_weights(torch_model, tf_model)
    x, _ = batch()
    ours = torch_model(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(tf_model(tf.constant(x)).numpy(), ours, atol=1e-14)


def test_a_copy_is_a_copy_and_square_layers_are_transposed():
    torch_model, tf_model = twins(4, 4, 4)
    parity.copy_weights(torch_model, tf_model)
    weight = torch_model.hidden.weight.detach().numpy().copy()
    torch_model.hidden.weight.data.zero_()
    np.testing.assert_array_equal(tf_model.hidden.kernel.numpy(), weight.T)


def unchanged(tf_model):
    return [w.copy() for w in tf_model.get_weights()]


def refuse(torch_model, tf_model, *words):
    """copy_weights refuses, names what these words say, and writes nothing."""
    before = unchanged(tf_model)
    with pytest.raises(parity.ParityError) as caught:
        parity.copy_weights(torch_model, tf_model)
    for word in words:
        assert word in str(caught.value)
    for old, new in zip(before, tf_model.get_weights()):
        np.testing.assert_array_equal(old, new)


def keras_layers(*layers, features=6):
    import tensorflow as tf

    return tf.keras.Sequential([tf.keras.Input((features,), dtype="float32"), *layers])


def test_another_width_is_refused_by_name():
    refuse(twins(hidden=4)[0], twins(hidden=5)[1], "hidden.weight", "(4, 6)", "(6, 5)")


def test_a_misshapen_last_parameter_leaves_the_first_ones_alone():
    torch_model, _ = twins(classes=3)
    _, tf_model = twins(classes=2)
    refuse(torch_model, tf_model, "readout.weight")


def test_another_dtype_is_refused():
    torch_model, _ = twins(dtype="float64")
    _, tf_model = twins(dtype="float32")
    refuse(torch_model, tf_model, "hidden.weight", "float64", "float32")


def test_a_module_without_a_layer_is_refused():
    import tensorflow as tf
    import torch

    torch_model = torch.nn.Sequential(torch.nn.Linear(6, 4))
    tf_model = keras_layers(tf.keras.layers.Dense(4, name="first"))
    refuse(torch_model, tf_model, "weight, bias of module '0'", "first", "name=")


def test_a_layer_without_a_module_is_refused():
    import tensorflow as tf
    import torch

    dense = tf.keras.layers.Dense
    tf_model = keras_layers(dense(4, name="0"), dense(3, name="extra"))
    refuse(torch.nn.Sequential(torch.nn.Linear(6, 4)), tf_model, "extra")


def test_a_bias_on_one_side_only_is_refused():
    import tensorflow as tf
    import torch

    dense = tf.keras.layers.Dense
    refuse(torch.nn.Sequential(torch.nn.Linear(6, 4)),
           keras_layers(dense(4, use_bias=False, name="0")), "0.bias", "use_bias")
    refuse(torch.nn.Sequential(torch.nn.Linear(6, 4, bias=False)),
           keras_layers(dense(4, name="0")), "bias")


def test_a_kind_of_layer_without_a_rule_is_refused():
    import tensorflow as tf
    import torch

    refuse(torch.nn.Sequential(torch.nn.PReLU(6)),
           keras_layers(tf.keras.layers.PReLU(name="0")), "0.weight", "LAYOUTS")
    refuse(torch.nn.Sequential(torch.nn.LayerNorm(6)),
           keras_layers(tf.keras.layers.Dense(6, name="0")), "0.weight", "LayerNorm -> Dense")


def test_a_parameter_of_the_model_itself_is_refused():
    import torch

    torch_model, tf_model = twins()
    torch_model.scale = torch.nn.Parameter(torch.ones(1))
    refuse(torch_model, tf_model, "scale")


def test_two_layers_of_one_name_are_refused():
    import tensorflow as tf
    import torch

    class Twice(tf.keras.Model):
        def __init__(self):
            super().__init__()
            self.a = tf.keras.layers.Dense(4, name="0")
            self.b = tf.keras.layers.Dense(4, name="0")

        def call(self, x):
            return self.a(x) + self.b(x)

    tf_model = Twice()
    tf_model(tf.zeros((1, 6)))
    refuse(torch.nn.Sequential(torch.nn.Linear(6, 4)), tf_model, "two Keras layers", "'0'")


def test_a_model_that_is_not_built_is_refused():
    import tensorflow as tf
    import torch

    tf_model = tf.keras.Sequential([tf.keras.layers.Dense(4, name="0")])
    refuse(torch.nn.Sequential(torch.nn.Linear(6, 4)), tf_model, "call it once")


def test_nested_modules_are_found_by_their_path():
    import tensorflow as tf
    import torch

    torch_model = torch.nn.ModuleDict({"block": torch.nn.Sequential(torch.nn.Linear(6, 4))})
    tf_model = keras_layers(tf.keras.layers.Dense(4, name="block.0"))
    parity.copy_weights(torch_model, tf_model)
    np.testing.assert_array_equal(
        tf_model.layers[0].kernel.numpy(), torch_model["block"][0].weight.detach().numpy().T)


# --- every kind of layer ---------------------------------------------------------------------


def channels_last(array):
    return np.moveaxis(array, 1, -1)


def kinds():
    """Name, torch module, Keras layer, input in torch's layout, whether channels move to the end."""
    import tensorflow as tf
    import torch

    k, t = tf.keras.layers, torch.nn
    to = {"dtype": torch.float64}
    image, signal, flat, steps = (2, 4, 7, 6), (2, 4, 9), (5, 4), (2, 6, 4)
    yield "embedding", t.Embedding(9, 3, **to), k.Embedding(9, 3, name="0"), (2, 5), False
    yield "conv1d", t.Conv1d(4, 3, 3, **to), k.Conv1D(3, 3, name="0"), signal, True
    yield "conv2d", t.Conv2d(4, 6, (3, 2), **to), k.Conv2D(6, (3, 2), name="0"), image, True
    yield "no bias", t.Conv2d(4, 6, 3, bias=False, **to), k.Conv2D(6, 3, use_bias=False, name="0"), image, True
    yield "groups", t.Conv2d(4, 6, 3, groups=2, **to), k.Conv2D(6, 3, groups=2, name="0"), image, True
    yield ("transposed", t.ConvTranspose2d(4, 6, (2, 3), stride=2, **to),
           k.Conv2DTranspose(6, (2, 3), strides=2, name="0"), image, True)
    norm = {"epsilon": 1e-5, "name": "0"}
    yield "batch norm 1", t.BatchNorm1d(4, **to), k.BatchNormalization(**norm), flat, False
    yield "batch norm 2", t.BatchNorm2d(4, **to), k.BatchNormalization(**norm), image, True
    yield "layer norm", t.LayerNorm(4, **to), k.LayerNormalization(**norm), steps, False
    yield "group norm", t.GroupNorm(2, 4, **to), k.GroupNormalization(2, **norm), image, True
    yield "rms norm", t.RMSNorm(4, eps=1e-5, **to), k.RMSNormalization(**norm), steps, False
    rnn = {"return_sequences": True, "name": "0"}
    yield "rnn", t.RNN(4, 3, batch_first=True, **to), k.SimpleRNN(3, **rnn), steps, False
    yield "lstm", t.LSTM(4, 3, batch_first=True, **to), k.LSTM(3, **rnn), steps, False
    yield "lstm, no bias", t.LSTM(4, 3, bias=False, batch_first=True, **to), k.LSTM(3, use_bias=False, **rnn), steps, False
    yield "gru", t.GRU(4, 3, batch_first=True, **to), k.GRU(3, **rnn), steps, False


def all_different(module, random):
    """Give every parameter and statistic a value of its own, so that no mix-up stays unseen."""
    import torch

    for tensor in [*module.parameters(), *module.buffers()]:
        if tensor.is_floating_point():
            tensor.data = torch.from_numpy(random.uniform(0.2, 1.2, tuple(tensor.shape)))


@pytest.mark.parametrize("number", range(15))
def test_a_copied_layer_gives_the_same_output(number):
    import tensorflow as tf
    import torch

    tf.keras.config.set_dtype_policy("float64")
    try:
        name, module, layer, shape, moved = list(kinds())[number]
        random = np.random.default_rng(number)
        all_different(module, random)
        x = random.integers(0, 9, shape) if name == "embedding" else random.normal(size=shape)
        theirs = channels_last(x) if moved else x
        model = tf.keras.Sequential([layer])
        model(tf.constant(theirs))
        parity.copy_weights(torch.nn.Sequential(module), model)
        ours = module.eval()(torch.from_numpy(x))
        ours = (ours[0] if isinstance(ours, tuple) else ours).detach().numpy()
        found = model(tf.constant(theirs)).numpy()
        np.testing.assert_allclose(found, channels_last(ours) if moved else ours, rtol=0, atol=1e-12, err_msg=name)
    finally:
        tf.keras.config.set_dtype_policy("float32")


def test_every_rule_is_tried_above():
    tried = {(type(module).__name__, type(layer).__name__) for _, module, layer, *_ in kinds()}
    assert tried | {("Linear", "Dense")} == set(parity.LAYOUTS)


def test_a_second_recurrent_layer_inside_one_module_is_refused():
    import tensorflow as tf
    import torch

    model = tf.keras.Sequential([tf.keras.layers.LSTM(3, name="0")])
    model(tf.zeros((1, 2, 4)))
    refuse(torch.nn.Sequential(torch.nn.LSTM(4, 3, num_layers=2)), model, "0.weight_ih_l1")


def test_dropout_has_nothing_to_copy():
    import tensorflow as tf
    import torch

    model = keras_layers(tf.keras.layers.Dropout(0.5), tf.keras.layers.Dense(4, name="0"))
    parity.copy_weights(torch.nn.Sequential(torch.nn.Linear(6, 4)), model)


# --- comparing losses -----------------------------------------------------------------------


def test_the_report_names_the_first_step_and_the_largest_difference():
    report = parity.compare_losses(
        {"a": [1, 1, 1, 1], "b": [1, 1 + 1e-13, 1.25, 1], "c": [1, 1, 1.5, 1]}, 1e-12)
    assert (report.steps, report.first_over, report.largest, report.agree) == (4, 2, 0.5, False)
    assert "step 2" in str(report) and "5.0e-01" in str(report)


def test_runs_within_the_tolerance_agree():
    report = parity.compare_losses({"a": [1.0, 2.0], "b": [1.0, 2.0 + 1e-14]}, 1e-12)
    assert report.agree and report.first_over is None and "within" in str(report)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_agrees_with_nothing(bad):
    report = parity.compare_losses({"a": [1.0, bad], "b": [1.0, bad]}, 1e-12)
    assert report.first_over == 1 and report.largest == float("inf")


@pytest.mark.parametrize("runs", [
    {"a": [1.0]}, {}, {"a": [1.0], "b": [1.0, 2.0]}, {"a": [], "b": []}])
def test_runs_that_cannot_be_compared_are_refused(runs):
    with pytest.raises(ValueError, match="same number of steps"):
        parity.compare_losses(runs, 1e-12)
