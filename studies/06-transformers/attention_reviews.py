"""Fresh or rotten: the mean of word vectors against attention, then the mean.

Snippets of film reviews, cut after 40 words, words that occur less than three times one unknown
word. 'mean' is one layer on the mean of the words' vectors; 'attention' puts one layer of
self-attention with rotary positions before the mean (width 32, 4 heads). 3 epochs of each
framework's own Adam in batches of 64. Both start their word vectors normal with the same standard
deviation, 0.1, and get the same three rates; the rate is chosen by the validation accuracy. Every
run is judged at the epoch that is best in validation, for both rivals alike. Each seed draws other
weights and another order, the same in both frameworks and in every row with that seed.
"""

from functools import cache

import numpy as np

from course_lib import parity
from course_lib.data import load
from course_lib.metrics import accuracy
from course_lib.scratch.bag_of_words import encode, word_ids

CONFIG = {"width": 32, "heads": 4, "epochs": 3, "batch": 64, "words": 40, "start": 0.1}
BAND = {"validation_accuracy": 0.02, "test_accuracy": 0.02}
RATES = (0.001, 0.003, 0.01)
SEEDS = 5


def rows():
    return [{"model": model, "learning_rate": rate} for model in ("mean", "attention")
            for rate in RATES]


@cache
def data(words):
    """The number of ids, then (ids, labels) of training, validation and test."""
    reviews = load("reviews")
    ids = word_ids(reviews.text_train, 3)
    parts = [(encode(text, ids, words), labels) for text, labels in (
        (reviews.text_train, reviews.y_train),
        (reviews.text_validation, reviews.y_validation), (reviews.text_test, reviews.y_test))]
    return len(ids) + 2, parts


def run(config, seed, framework):
    import torch

    from course_lib.pytorch.attention import TorchAttentionText
    from course_lib.pytorch.pooled_text import TorchPooledText

    tokens, ((x, labels), *judges) = data(config["words"])
    attends, found = config["model"] == "attention", []
    sizes = (tokens, config["width"], *([config["heads"]] if attends else []), 2)
    model = (TorchAttentionText if attends else TorchPooledText)(*sizes)
    torch.nn.init.normal_(model.embedding.weight, std=config["start"])
    random = np.random.default_rng(seed)

    def batches(tensor, predict):
        """All batches of all epochs; after each epoch the model is judged."""
        for _ in range(config["epochs"]):
            order = random.permutation(len(x))[: len(x) - len(x) % config["batch"]]
            for rows in order.reshape(-1, config["batch"]):
                yield tensor(x[rows]), tensor(labels[rows])
            found.append([accuracy(predict(part[0]), part[1]) for part in judges])

    if framework == "pytorch":
        from course_lib.pytorch.train import cross_entropy_torch, predict_torch, train_torch

        optimizer = torch.optim.Adam(model.parameters(), config["learning_rate"])
        given = batches(torch.from_numpy, lambda part: predict_torch(model, part))
        train_torch(model, given, optimizer, cross_entropy_torch)
    else:
        import tensorflow as tf

        from course_lib.tensorflow.attention import TFAttentionText
        from course_lib.tensorflow.pooled_text import TFPooledText
        from course_lib.tensorflow.train import cross_entropy_tf, predict_tf, train_tf

        keras_model = (TFAttentionText if attends else TFPooledText)(*sizes)
        parity.copy_weights(model, keras_model)
        optimizer = tf.keras.optimizers.Adam(config["learning_rate"])
        given = batches(tf.constant, lambda part: predict_tf(keras_model, part))
        train_tf(keras_model, given, optimizer, cross_entropy_tf)
    best = int(np.argmax([score for score, _ in found]))
    return {"validation_accuracy": found[best][0], "test_accuracy": found[best][1]}
