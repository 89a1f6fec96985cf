"""Masked pre-training: what it adds to a small encoder that judges film reviews.

Snippets of film reviews, split by film (8,281 for training, 1,925 for validation, 2,543 for the
test), as tokens of a byte-pair vocabulary learned from the training texts, cut at 40. The encoder
has two layers of width 64 (BERT's switches, no segments, no head of its own). ``pretraining`` is
what it reads first: nothing, or the training reviews without their
labels. Both are then fine-tuned alike, once with all labels and once with the first 1,000: 2 and 6
epochs, one rate for all, the last epoch counts. Each seed draws other weights, batches and masks.

PyTorch only: the page shows that the twins take the same steps, so the other framework would
repeat the runs, not add any.
"""

import copy
from functools import cache

import numpy as np

from course_lib.data import load
from course_lib.metrics import accuracy
from course_lib.scratch.bpe import Tokenizer
from course_lib.scratch.masking import Masking, mask_tokens, pad_tokens
from course_lib.scratch.transformer import bert_config

CONFIG = {"vocabulary": 1024, "width": 64, "layers": 2, "heads": 4, "length": 40,
          "steps": 1000, "batch": 32, "rate": 3e-3, "tuning_rate": 1e-3}
LABELS = {"few": (1000, 6), "all": (8281, 2)}      # how many, epochs
BAND = {"masked_loss": 0.1, "validation_few": 0.03, "test_few": 0.03, "validation_all": 0.02,
        "test_all": 0.02}
FRAMEWORKS = ("pytorch",)
SEEDS = 5


def rows():
    kinds = ("nothing", "reviews")
    return [{"pretraining": kind} for kind in kinds]


@cache
def data(vocabulary, length):
    """The tokenizer; of each part rows and which tokens are real; and its labels."""
    reviews = load("reviews")
    tokenizer = Tokenizer.train(reviews.text_train, vocabulary, ("[PAD]", "[MASK]"))
    texts = {"train": reviews.text_train, "validation": reviews.text_validation,
             "test": reviews.text_test}
    x = {part: pad_tokens([tokenizer.encode(t) for t in some], length)
         for part, some in texts.items()}
    y = {"train": reviews.y_train, "validation": reviews.y_validation, "test": reviews.y_test}
    return tokenizer, x, y


def warm_then_down(rate, steps, warm):
    """A linear rise over ``warm`` steps, then linearly to 0."""
    at = np.arange(steps)
    return rate * np.minimum((at + 1) / warm, (steps - at) / (steps - warm))


def pretrain(model, config, random):
    """Masked language modelling on the row's texts; the mean of the last 100 losses, in nats."""
    import torch

    from course_lib.pytorch.train import train_torch
    from course_lib.pytorch.transformer import token_loss_torch

    tokenizer, x, _ = data(config["vocabulary"], config["length"])
    tokens, real = x["train"]
    masking = Masking(len(tokenizer), mask_id=1, first=2)

    def batches():
        for _ in range(config["steps"]):
            rows_ = random.integers(0, len(tokens), config["batch"])
            inputs, targets = mask_tokens(tokens[rows_], real[rows_], masking, random)
            yield (torch.from_numpy(inputs), torch.from_numpy(real[rows_])), torch.from_numpy(targets)

    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.01)
    rates = warm_then_down(config["rate"], config["steps"], 50)
    losses = train_torch(model, batches(), optimizer,
                         token_loss_torch(model, asked_only=True), rates, clip=1.0)
    return float(losses[-100:].mean())


def tune(encoder, config, labelled, epochs, seed):
    """Fine-tune with the first labels; the accuracies on the validation and the test part."""
    import torch

    from course_lib.pytorch.encoder import TorchEncoderClassifier
    from course_lib.pytorch.train import cross_entropy_torch, predict_torch, train_torch

    _, x, y = data(config["vocabulary"], config["length"])
    random, (tokens, real), size = np.random.default_rng(seed), x["train"], config["batch"]
    whole = labelled // size * size
    order = [rows_ for _ in range(epochs)
             for rows_ in random.permutation(labelled)[:whole].reshape(-1, size)]
    model = TorchEncoderClassifier(encoder, 2)
    batches = (((torch.from_numpy(tokens[rows_]), torch.from_numpy(real[rows_])),
                torch.from_numpy(y["train"][rows_])) for rows_ in order)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.01)
    train_torch(model, batches, optimizer, cross_entropy_torch,
                warm_then_down(config["tuning_rate"], len(order), 20), clip=1.0)
    return [accuracy(predict_torch(model, x[part]), y[part]) for part in ("validation", "test")]


def run(config, seed, framework):
    from course_lib.pytorch.transformer import TorchTransformer

    encoder = TorchTransformer(bert_config(
        config["vocabulary"], width=config["width"], layers=config["layers"],
        heads=config["heads"], context=config["length"], segments=0, mlm_head=False,
        norm_epsilon=1e-5))
    loss = None
    if config["pretraining"] != "nothing":
        loss = pretrain(encoder, config, np.random.default_rng([seed, 1]))
    found = {"masked_loss": loss}
    for name, (labelled, epochs) in LABELS.items():
        scores = tune(copy.deepcopy(encoder), config, labelled, epochs, seed)
        found[f"validation_{name}"], found[f"test_{name}"] = scores
    return found
