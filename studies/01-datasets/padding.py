"""Three ways to pool a padded batch, each with the same four learning rates.

6,000 Chinese reviews, negative or positive, in tokens of a byte-pair encoding that is learned on
the training reviews alone and cut at 128. The model averages the tokens' embeddings: over the
tokens ("mean"), over all places of the batch, padding too ("padded"), or adds them up and divides
by a constant ("sum"). Adam, batches of 64 in random order, padded to their longest review. The
rate is chosen on the validation reviews. The test reviews are judged twice: in batches of 64 as
they come, and alone, without any padding; "flips" is the share whose class is another when they
are padded to 128 places. Each seed draws other tokens, weights and batches, the same in both
frameworks and in every row with that seed.
"""

from functools import lru_cache

import numpy as np

from course_lib import parity
from course_lib.data import load
from course_lib.data.texts import draw_texts
from course_lib.metrics import accuracy
from course_lib.scratch.bpe import Tokenizer
from course_lib.scratch.padding import pad_batch

CONFIG = {"reviews": 6000, "characters": 150_000, "tokens": 2048, "longest": 128, "width": 32,
          "batch": 64, "epochs": 3}
BAND = {"validation_accuracy": 0.03, "accuracy_in_batches": 0.03, "accuracy_alone": 0.03,
        "flips": 0.05}


def rows():
    return [{"pooling": pooling, "learning_rate": rate}
            for pooling in ("mean", "sum", "padded") for rate in (0.001, 0.003, 0.01, 0.03)]


@lru_cache(maxsize=None)
def encoded(reviews, characters, tokens, longest, seed):
    """Ids and labels for training, validation and test."""
    data = load("chinese-reviews")
    drawn = draw_texts(data.text_train, characters, seed)
    tokenizer = Tokenizer.train(drawn, tokens)

    def ids(texts):
        return [tokenizer.encode(text)[:longest] for text in texts]

    return ((ids(data.text_train[:reviews]), data.y_train[:reviews]),
            (ids(data.text_validation), data.y_validation), (ids(data.text_test), data.y_test))


def twins(config, seed):
    """A torch model with freshly drawn weights, and a Keras model with the same ones."""
    import torch

    from course_lib.pytorch.pooled_text import TorchPooledText
    from course_lib.tensorflow.pooled_text import TFPooledText

    torch.manual_seed(seed)
    sizes = config["tokens"], config["width"], 2, config["pooling"]
    torch_model, tf_model = TorchPooledText(*sizes), TFPooledText(*sizes)
    parity.copy_weights(torch_model, tf_model)
    return torch_model, tf_model


def logits(predict, sequences, groups, length=None):
    """The logits of all sequences, (n, 2), computed group by group."""
    found = np.zeros((len(sequences), 2), np.float32)
    for rows in groups:
        found[rows] = predict(pad_batch([sequences[row] for row in rows], length=length)[0])
    return found


def in_batches(sequences, batch):
    return np.array_split(np.arange(len(sequences)), range(batch, len(sequences), batch))


def alone(sequences):
    """Groups of one length each: nothing is padded, so each review stands as if alone."""
    lengths = np.array([len(sequence) for sequence in sequences])
    return [np.flatnonzero(lengths == length) for length in np.unique(lengths)]


def fit_torch(model, sequences, labels, batches, rate):
    import torch

    from course_lib.pytorch.pooled_text import step_torch

    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    for rows in batches:
        ids, _ = pad_batch([sequences[row] for row in rows])
        step_torch(model, torch.from_numpy(ids), torch.from_numpy(labels[rows]), optimizer)

    def predict(ids):
        with torch.inference_mode():
            return model(torch.from_numpy(ids)).numpy()

    return predict


def fit_tf(model, sequences, labels, batches, rate):
    import tensorflow as tf

    from course_lib.tensorflow.pooled_text import step_tf

    optimizer = tf.keras.optimizers.Adam(rate)
    step = tf.function(step_tf, reduce_retracing=True)
    for rows in batches:
        ids, _ = pad_batch([sequences[row] for row in rows])
        step(model, tf.constant(ids), tf.constant(labels[rows]), optimizer)
    forward = tf.function(model.call, reduce_retracing=True)
    return lambda ids: forward(tf.constant(ids)).numpy()


def run(config, seed, framework):
    names = "reviews", "characters", "tokens", "longest"
    train, validation, test = encoded(*(config[name] for name in names), seed)
    random, batches = np.random.default_rng(seed), []
    for _ in range(config["epochs"]):
        order = random.permutation(len(train[0]))
        batches += np.array_split(order, range(config["batch"], len(order), config["batch"]))
    torch_model, tf_model = twins(config, seed)
    if framework == "pytorch":
        predict = fit_torch(torch_model, *train, batches, config["learning_rate"])
    else:
        predict = fit_tf(tf_model, *train, batches, config["learning_rate"])
    by_batch = {name: logits(predict, ids, in_batches(ids, config["batch"]))
                for name, (ids, _) in (("validation", validation), ("test", test))}
    by_itself = logits(predict, test[0], alone(test[0]))
    padded = logits(predict, test[0], in_batches(test[0], config["batch"]), config["longest"])
    return {
        "validation_accuracy": accuracy(by_batch["validation"], validation[1]),
        "accuracy_in_batches": accuracy(by_batch["test"], test[1]),
        "accuracy_alone": accuracy(by_itself, test[1]),
        "flips": float(np.mean(by_itself.argmax(1) != padded.argmax(1))),
    }
