"""Where a GPT of width 128 passes a table of counts: bits per byte after longer training.

Shakespeare's plays, BPE of 1,024 tokens learned on the 32 training plays; validation on Othello, As
You Like It and Richard II; the test plays (Macbeth, Twelfth Night, Henry V) only at the longest
run. Rotary positions, RMSNorm, SwiGLU, tied embeddings; AdamW, gradients clipped at 1, 2,048 tokens
a step. One run gives every length: the rate is constant after a warm-up, and at two thirds of each
length a copy goes off whose rate falls to 0 in the last third. Each seed draws other weights and
other windows. At the longest length also: the loss beyond that of the table (Kneser-Ney, order 5) on
test tokens after four tokens that stood together in training, and after four that did not; and what
another past costs, with the last tokens the same.
"""

import copy
import os
from functools import cache
from pathlib import Path

import numpy as np

from course_lib.data import load
from course_lib.scratch.bpe import Tokenizer
from course_lib.scratch.language_model import (
    IGNORED,
    bits_per_byte,
    decay,
    held_out_windows,
    random_windows,
)
from course_lib.scratch.ngram import KneserNey
from course_lib.scratch.transformer import TransformerConfig, count_params

LENGTHS = (800, 2400)
CONFIG = {"vocabulary": 1024, "heads": 4, "tokens": 2048, "weight_decay": 0.1, "clip": 1.0}
BAND = {"parameters": 0, **{f"validation_{n}": 0.03 for n in LENGTHS}, "test": 0.03,
        "known": 0.05, "new": 0.05, "another_past": 0.02}
FRAMEWORKS = ("pytorch",)      # equal in float64, as the page shows: one run, not two
SEEDS = 3


def rows():
    return [{"width": 128, "layers": 4, "context": 128, "learning_rate": 3e-3}]


@cache
def tokens():
    """The plays, the tokenizer, the training tokens in one row, and the held-out documents."""
    plays = load("shakespeare")
    tokenizer = Tokenizer.train(plays.train, CONFIG["vocabulary"], ())
    encoded = [[np.array(tokenizer.encode(text)) for text in part]
               for part in (plays.train, plays.validation, plays.test)]
    return plays, tokenizer, np.concatenate(encoded[0]), encoded[1], encoded[2]


def token_losses(model, inputs, targets):
    """-ln P of every target that is not IGNORED, (targets,)."""
    import torch
    from torch.nn import functional as F

    found = []
    with torch.inference_mode():
        for x, y in zip(torch.tensor(inputs).split(64), torch.tensor(targets).split(64)):
            scored = y != IGNORED
            logits = model.logits(model(x)[scored])
            found.append(F.cross_entropy(logits, y[scored], reduction="none").numpy())
    return np.concatenate(found).astype(np.float64)


def held_out(model, documents):
    """-ln P of every token of the documents but the first of each, (tokens,)."""
    return token_losses(model, *held_out_windows(documents, model.config.context))


def another_past(model, documents):
    """What the last 28 of 65 tokens lose when the first 32 are those of another window, in nats."""
    rows = np.concatenate([ids[: len(ids) // 65 * 65].reshape(-1, 65) for ids in documents])
    swapped = np.hstack([np.roll(rows, 1, axis=0)[:, :32], rows[:, 32:]])
    targets = np.where(np.arange(64) >= 36, rows[:, 1:], IGNORED)
    own, other = (token_losses(model, x[:, :-1], targets) for x in (rows, swapped))
    return float(other.mean() - own.mean())


def against_counts(losses, documents):
    """Mean loss beyond the table's, after four tokens that training knew, and after new ones."""
    table = KneserNey(5, CONFIG["vocabulary"]).fit([tokens()[2]])
    known = np.concatenate([table.knows(ids, 4)[1:] for ids in documents])
    beyond = losses - np.concatenate([table.losses(ids)[1:] for ids in documents])
    return float(beyond[known].mean()), float(beyond[~known].mean())


def train(model, optimizer, random, config, steps, first, last):
    """Steps ``first`` to ``last`` of a run of ``steps``, whose last third decays."""
    import torch

    from course_lib.pytorch.train import train_torch
    from course_lib.pytorch.transformer import token_loss_torch

    batches = (tuple(map(torch.from_numpy, random_windows(
        tokens()[2], config["tokens"] // config["context"], config["context"], random))) for _ in range(first, last))
    rates = [config["learning_rate"] * decay(step, steps, steps * 2 // 3)
             for step in range(first, last)]
    train_torch(model, batches, optimizer, token_loss_torch(model), rates, config["clip"])


def optimizer_of(model, config):
    import torch

    return torch.optim.AdamW(model.parameters(), lr=config["learning_rate"], betas=(0.9, 0.95),
                             weight_decay=config["weight_decay"])


def save(model, config, seed, steps, bits):
    """Keep weights where ``COURSE_WEIGHTS`` names a folder, for the model that runs in a browser."""
    folder = os.environ.get("COURSE_WEIGHTS")
    if not folder:
        return
    Path(folder).mkdir(parents=True, exist_ok=True)
    arrays = {name: p.detach().numpy() for name, p in model.state_dict().items()}
    np.savez(Path(folder) / f"seed{seed}-steps{steps}-bits{bits:.4f}.npz", **arrays)
    tokens()[1].save(Path(folder) / "tokenizer.json")


def run(config, seed, framework):
    from course_lib.pytorch.transformer import TorchTransformer

    plays, _, _, validation, test = tokens()
    shape = TransformerConfig(
        config["vocabulary"], config["width"], config["layers"], config["heads"],
        context=config["context"], positions="rotary", norm="rms", activation="swiglu",
        ffn_width=config["width"] * 8 // 3, bias=False)
    model, random, found = TorchTransformer(shape), np.random.default_rng(seed), {}
    optimizer, done = optimizer_of(model, config), 0
    for steps in LENGTHS:
        train(model, optimizer, random, config, steps, done, steps * 2 // 3)
        done = steps * 2 // 3
        branch, its_random = copy.deepcopy(model), copy.deepcopy(random)
        its_optimizer = optimizer_of(branch, config)
        its_optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        train(branch, its_optimizer, its_random, config, steps, done, steps)
        found[f"validation_{steps}"] = bits = bits_per_byte(
            held_out(branch, validation).sum(), plays.validation)
        save(branch, config, seed, steps, bits)
    losses = held_out(branch, test)
    known, new = against_counts(losses, test)
    return {"parameters": count_params(shape), **found,
            "test": bits_per_byte(losses.sum(), plays.test), "known": known, "new": new,
            "another_past": another_past(branch, test)}
