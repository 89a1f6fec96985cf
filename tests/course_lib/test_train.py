"""The one step, loop and prediction of each wing, against NumPy and the frameworks' own."""

import numpy as np
import pytest
import tensorflow as tf
import torch
from torch.nn import functional as F

from course_lib import parity
from course_lib.pytorch.adam import TorchAdam
from course_lib.pytorch.models import TorchMLP
from course_lib.pytorch.train import cross_entropy_torch, predict_torch, step_torch, train_torch
from course_lib.scratch.losses import cross_entropy, softmax
from course_lib.tensorflow.adam import TFAdam
from course_lib.tensorflow.models import TFMLP
from course_lib.tensorflow.train import cross_entropy_tf, predict_tf, step_tf, train_tf


def batches(steps=12, rows=10, seed=0):
    random = np.random.default_rng(seed)
    return [(random.normal(size=(rows, 4)), random.integers(0, 3, rows)) for _ in range(steps)]


def as_torch(pairs):
    return [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in pairs]


def as_tf(pairs):
    return [(tf.constant(x), tf.constant(y)) for x, y in pairs]


def twins(seed=0):
    torch.manual_seed(seed)
    pair = TorchMLP(4, 5, 3, "float64"), TFMLP(4, 5, 3, "float64")
    parity.copy_weights(*pair)
    return pair


class TFEmbedder(tf.keras.Model):
    """The mean of a few embeddings, then logits: repeated tokens make slices."""

    def __init__(self):
        super().__init__(dtype="float64")
        self.embedding = tf.keras.layers.Embedding(6, 4, dtype="float64", name="embedding")
        self.readout = tf.keras.layers.Dense(3, dtype="float64", name="readout")

    def call(self, tokens, training=False):
        return self.readout(tf.reduce_mean(self.embedding(tokens), 1))


# --- against the frameworks' own and NumPy -----------------------------------------------------


def linear(seed=0):
    """Softmax regression in both, with the same weights; the weights too."""
    weight = np.random.default_rng(seed).normal(size=(4, 3))
    torch_model = torch.nn.Linear(4, 3, bias=False, dtype=torch.float64)
    tf_model = tf.keras.layers.Dense(3, use_bias=False, dtype="float64")
    tf_model = tf.keras.Sequential([tf.keras.Input((4,), dtype="float64"), tf_model])
    with torch.no_grad():
        torch_model.weight.copy_(torch.from_numpy(weight.T))
    tf_model.set_weights([weight])
    return torch_model, tf_model, weight


@pytest.mark.parametrize("clip", [None, 0.25, 1e9])
def test_a_step_is_numpys_own(clip):
    torch_model, tf_model, weight = linear()
    (x, y), = batches(1)
    p = softmax(x @ weight)
    grad = x.T @ (p - np.eye(3)[y]) / len(x)
    norm = np.linalg.norm(grad)
    assert norm > 0.3
    if clip is not None and norm > clip:
        grad = grad * clip / norm
    ours = step_torch(torch_model, *as_torch([(x, y)])[0],
                      torch.optim.SGD(torch_model.parameters(), 0.5), cross_entropy_torch, clip)
    theirs = step_tf(tf_model, *as_tf([(x, y)])[0], tf.keras.optimizers.SGD(0.5),
                     cross_entropy_tf, clip)
    wanted = np.mean(-np.log(p[np.arange(len(y)), y]))
    assert wanted == pytest.approx(float(np.mean(cross_entropy(x @ weight, np.eye(3)[y]))))
    for loss, found in ((ours, torch_model.weight.detach().numpy().T),
                        (theirs, tf_model.get_weights()[0])):
        assert float(loss) == pytest.approx(wanted, abs=1e-12)
        np.testing.assert_allclose(found, weight - 0.5 * grad, rtol=0, atol=1e-12)


@pytest.mark.parametrize("clip", [None, 0.05])
def test_a_run_is_torchs_own_loop(clip):
    model, stock = twins()[0], twins()[0]
    pairs, rates = as_torch(batches()), 0.01 * (1 + np.arange(12) % 4)
    found = train_torch(model, pairs, torch.optim.AdamW(model.parameters(), 1.0),
                        cross_entropy_torch, rates, clip)
    optimizer, wanted, loss = torch.optim.AdamW(stock.parameters(), 1.0), [], torch.nn.CrossEntropyLoss()
    for (x, y), rate in zip(pairs, rates):
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        value = loss(stock(x), y)
        value.backward()
        if clip:
            torch.nn.utils.clip_grad_norm_(stock.parameters(), clip)
        optimizer.step()
        wanted.append(value.item())
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4 if clip else 1e-12)


@pytest.mark.parametrize("steps_per_call", [1, 5, 12, 50])
def test_a_run_is_keras_own_fit(steps_per_call):
    (_, model), (_, stock) = twins(), twins()
    pairs = batches()
    found = train_tf(model, as_tf(pairs), tf.keras.optimizers.Adam(2.0**-5), cross_entropy_tf,
                     steps_per_call=steps_per_call)
    stock.compile(tf.keras.optimizers.Adam(2.0**-5),
                  tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True, dtype="float64"))
    losses = []
    for x, y in pairs:
        losses.append(stock.evaluate(x, y, verbose=0))
        stock.train_on_batch(x, y)
    assert found.shape == (12,)
    np.testing.assert_allclose(found, losses, rtol=0, atol=1e-6)  # evaluate's mean is float32
    for ours, theirs in zip(model.get_weights(), stock.get_weights()):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)


def test_embeddings_take_dense_steps_as_torchs_adam_does():
    random = np.random.default_rng(1)
    pairs = [(random.integers(0, 3, (5, 4)), random.integers(0, 3, 5)) for _ in range(20)]
    model = TFEmbedder()
    model(tf.constant(pairs[0][0]))
    torch_model = torch.nn.Sequential()
    torch_model.embedding = torch.nn.Embedding(6, 4, dtype=torch.float64)
    torch_model.readout = torch.nn.Linear(4, 3, dtype=torch.float64)
    torch_model.forward = lambda x: torch_model.readout(torch_model.embedding(x).mean(1))
    parity.copy_weights(torch_model, model)
    ours = train_torch(torch_model, as_torch(pairs), TorchAdam(torch_model.parameters(), 2.0**-4),
                       cross_entropy_torch)
    theirs = train_tf(model, as_tf(pairs), TFAdam(model.trainable_variables, 2.0**-4),
                      cross_entropy_tf, steps_per_call=4)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)
    # rows 3 … 5 never occur: a dense Adam leaves them, for their gradient is 0
    assert len(set(np.concatenate([x for x, _ in pairs]).ravel())) == 3


@pytest.mark.parametrize("clip", [None, 0.1])
def test_twins_agree_with_rates_and_clipping(clip):
    torch_model, tf_model = twins()
    rates = 2.0**-5 * (1 + np.arange(12) % 3)
    ours = train_torch(torch_model, as_torch(batches()), TorchAdam(torch_model.parameters(), 1.0),
                       cross_entropy_torch, rates, clip)
    theirs = train_tf(tf_model, as_tf(batches()), TFAdam(tf_model.trainable_variables, 1.0),
                      cross_entropy_tf, rates, clip, steps_per_call=5)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)
    still = train_torch(torch_model, as_torch(batches(3)), TorchAdam(torch_model.parameters(), 1.0),
                        cross_entropy_torch, np.zeros(3), clip)
    with torch.no_grad():
        again = [F.cross_entropy(torch_model(x), y).item() for x, y in as_torch(batches(3))]
    np.testing.assert_allclose(still, again, atol=1e-12)


def test_a_keras_optimizer_goes_on_in_a_second_run():
    _, model = twins()
    optimizer = tf.keras.optimizers.Adam(2.0**-5)
    pairs, whole = as_tf(batches()), twins()[1]
    first = train_tf(model, pairs[:6], optimizer, cross_entropy_tf)
    second = train_tf(model, pairs[6:], optimizer, cross_entropy_tf, steps_per_call=3)
    wanted = train_tf(whole, pairs, tf.keras.optimizers.Adam(2.0**-5), cross_entropy_tf)
    np.testing.assert_allclose(np.concatenate([first, second]), wanted, rtol=0, atol=1e-14)


# --- inputs of several kinds, modes, errors ----------------------------------------------------


class TorchTwo(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.dropout = torch.nn.Linear(3, 2), torch.nn.Dropout(0.5)

    def forward(self, x, scale):
        return self.dropout(self.layer(x)) * scale


class TFTwo(tf.keras.Model):
    def __init__(self):
        super().__init__()
        self.layer, self.dropout = tf.keras.layers.Dense(2, name="layer"), tf.keras.layers.Dropout(0.5)

    def call(self, x, scale, training=False):
        return self.dropout(self.layer(x), training=training) * scale


def test_predictions_are_the_models_in_inference_mode_for_any_batch_size():
    random = np.random.default_rng(0)
    x, scale = random.normal(size=(11, 3)).astype("float32"), np.arange(11, dtype="float32")[:, None]
    inputs = (x, scale)
    torch_model, tf_model = TorchTwo(), TFTwo()
    tf_model(tf.constant(x), tf.constant(scale))
    parity.copy_weights(torch_model, tf_model)
    weight, bias = (p.detach().numpy() for p in torch_model.layer.parameters())
    wanted = (x @ weight.T + bias) * scale
    for size in (4, 11, 256):
        for found in (predict_torch(torch_model, inputs, size), predict_tf(tf_model, inputs, size)):
            np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert torch_model.training and not torch_model.layer.weight.grad
    torch_model.eval()
    predict_torch(torch_model, inputs)
    assert not torch_model.training


def test_a_step_takes_several_inputs_and_trains_with_dropout():
    x, scale = np.ones((64, 3), "float32"), np.ones((64, 1), "float32")
    torch_model, tf_model = TorchTwo().eval(), TFTwo()

    def inputs(make):
        return make(x), make(scale)

    seen = []

    def loss_torch(outputs, targets):
        seen.append((outputs.detach() == 0).float().mean().item())
        return (outputs**2).sum() + targets.sum()

    def loss_tf(outputs, targets):
        seen.append(float(tf.reduce_mean(tf.cast(outputs == 0, "float32"))))
        return tf.reduce_sum(outputs**2) + tf.reduce_sum(targets)

    step_torch(torch_model, inputs(torch.from_numpy), torch.zeros(1),
               torch.optim.SGD(torch_model.parameters(), 0.0), loss_torch)
    step_tf(tf_model, inputs(tf.constant), tf.zeros(1), tf.keras.optimizers.SGD(0.0), loss_tf)
    assert len(seen) == 2 and all(0.3 < share < 0.7 for share in seen)


def test_no_batches_and_unused_parameters_say_so():
    torch_model, tf_model = twins()
    with pytest.raises(ValueError, match="no batches"):
        train_torch(torch_model, [], TorchAdam(torch_model.parameters(), 0.5), cross_entropy_torch)
    with pytest.raises(ValueError, match="no batches"):
        train_tf(tf_model, [], TFAdam(tf_model.trainable_variables, 0.5), cross_entropy_tf)
    (x, y), = batches(1)
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    with pytest.raises(ValueError, match="no gradient for .*weight"):
        step_torch(torch_model, x, y, TorchAdam(torch_model.parameters(), 0.5),
                   lambda outputs, targets: x.requires_grad_().sum())
    with pytest.raises(ValueError, match="no gradient for .*kernel"):
        step_tf(tf_model, tf.constant(x.detach().numpy()), tf.constant(y.numpy()),
                TFAdam(tf_model.trainable_variables, 0.5), lambda outputs, targets: tf.constant(1.0))
