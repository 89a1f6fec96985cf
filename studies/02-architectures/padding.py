"""What padding costs: the last real state, the last step of a padded row, or padding in front.

An LSTM of 32 units tells nine speakers by their vowels: the published training part (216 of its
270 utterances; the other 54 are for validation), the published 370 test utterances. 30 epochs of
plain gradient descent in batches of 27, each padded with zeros to its longest utterance. Rows:
'last real' reads the state after the last real frame; 'end of row' pads behind and reads the last
step; 'padded before' pads in front and reads the last step. Each gets the same three rates, a
factor of four apart; the rate is chosen by the validation accuracy. Test utterances are classified
alone, with no padding, and in one batch, padded to the longest, 29 frames; ``changed`` is the share
whose answer differs. Each seed draws other weights and another order, the same in both frameworks
and in every row with that seed.
"""

from functools import cache

import numpy as np

from course_lib import parity
from course_lib.data import load
from course_lib.metrics import accuracy
from course_lib.scratch.recurrent import pad

CONFIG = {"hidden": 32, "epochs": 30, "batch": 27}
BAND = {"validation_accuracy": 0.06, "test_alone": 0.03, "test_padded": 0.03, "changed": 0.05,
        "training_loss": 0.05}
READINGS = ("last real", "end of row", "padded before")
RATES = (0.25, 1.0, 4.0)
SEEDS = 5


def rows():
    return [{"reading": reading, "learning_rate": rate} for reading in READINGS for rate in RATES]


def batch(sequences, reading):
    """Padded frames (batch, time, 12), and how many steps the model is told to read (batch,)."""
    x, mask = pad(sequences, "start" if reading == "padded before" else "end")
    real = reading == "last real"
    return x, mask.sum(axis=1) if real else np.full(len(x), x.shape[1])


@cache
def keras_parts(hidden):
    """A Keras model, its compiled step and its compiled forward pass: traced once, used again."""
    import tensorflow as tf

    from course_lib.tensorflow.recurrent import TFLSTMClassifier, step_tf

    model = TFLSTMClassifier(12, hidden, 9)
    step = tf.function(step_tf, reduce_retracing=True)
    return model, step, tf.function(model, reduce_retracing=True)


def trainer(framework, config):
    """Two functions on arrays: one step, which returns the loss; and the logits.

    Both begin with the same freshly drawn weights, PyTorch's.
    """
    import torch

    from course_lib.pytorch.recurrent import TorchLSTMClassifier, step_torch

    model = TorchLSTMClassifier(12, config["hidden"], 9)
    if framework == "pytorch":
        def step(*arrays):
            tensors = map(torch.from_numpy, arrays)
            return step_torch(model, *tensors, config["learning_rate"]).item()

        def logits(x, lengths):
            with torch.inference_mode():
                return model(torch.from_numpy(x), torch.from_numpy(lengths)).numpy()

        return step, logits
    import tensorflow as tf

    keras_model, compiled, predict = keras_parts(config["hidden"])
    parity.copy_weights(model, keras_model)
    rate = tf.constant(config["learning_rate"])

    def step_keras(*arrays):
        return float(compiled(keras_model, *map(tf.constant, arrays), rate))

    return step_keras, lambda x, lengths: predict(tf.constant(x), tf.constant(lengths)).numpy()


def alone(logits, sequences, reading):
    """Logits with no padding: those of one length at a time."""
    lengths = np.array([len(s) for s in sequences])
    found = np.empty((len(sequences), 9))
    for length in np.unique(lengths):
        same = np.flatnonzero(lengths == length)
        found[same] = logits(*batch([sequences[row] for row in same], reading))
    return found


def run(config, seed, framework):
    vowels, reading = load("vowels").standardised(), config["reading"]
    step, logits = trainer(framework, config)
    random = np.random.default_rng(seed)
    for _ in range(config["epochs"]):
        order = random.permutation(len(vowels.y_train)).reshape(-1, config["batch"])
        losses = [step(*batch([vowels.x_train[row] for row in rows_], reading),
                       vowels.y_train[rows_]) for rows_ in order]
    if not np.isfinite(losses).all():
        return dict.fromkeys(BAND)
    one_by_one = alone(logits, vowels.x_test, reading)
    together = logits(*batch(vowels.x_test, reading))
    validation = logits(*batch(vowels.x_validation, reading))
    return {
        "validation_accuracy": accuracy(validation, vowels.y_validation),
        "test_alone": accuracy(one_by_one, vowels.y_test),
        "test_padded": accuracy(together, vowels.y_test),
        "changed": float(np.mean(one_by_one.argmax(1) != together.argmax(1))),
        "training_loss": float(np.mean(losses)),
    }
