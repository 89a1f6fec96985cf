"""A small GPT against a table of counts: bits per byte after longer and longer training.

Shakespeare's plays, BPE of 1,024 tokens learned on the 32 training plays; validation on Othello, As
You Like It and Richard II; the test plays (Macbeth, Twelfth Night, Henry V) only at the longest
run. Rotary positions, RMSNorm, SwiGLU, tied embeddings; AdamW, gradients clipped at 1, 1,024 tokens
a step (16 windows of 64, or 8 of 128). Context and rate belong to the width. One run gives every length: the rate is constant after a warm-up, and at two thirds of each length a copy
goes off whose rate falls to 0 in the last third. Each seed draws other weights and other windows.
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
from course_lib.scratch.transformer import TransformerConfig, count_params

LENGTHS = (300, 800, 1600)
CONFIG = {"vocabulary": 1024, "heads": 4, "tokens": 1024, "weight_decay": 0.1, "clip": 1.0}
BAND = {"parameters": 0, **{f"validation_{n}": 0.03 for n in LENGTHS}, "test": 0.03}
FRAMEWORKS = ("pytorch",)      # equal in float64, as the page shows: one run, not two
SEEDS = 3


def rows():
    return [{"width": 64, "layers": 2, "context": 64, "learning_rate": 5e-3},
            {"width": 128, "layers": 4, "context": 128, "learning_rate": 3e-3}]


@cache
def tokens():
    """The plays, the tokenizer, the training tokens in one row, and the held-out documents."""
    plays = load("shakespeare")
    tokenizer = Tokenizer.train(plays.train, CONFIG["vocabulary"], ())
    encoded = [[np.array(tokenizer.encode(text)) for text in part]
               for part in (plays.train, plays.validation, plays.test)]
    return plays, tokenizer, np.concatenate(encoded[0]), encoded[1], encoded[2]


def held_out(model, documents, texts):
    """Bits per byte of a model on whole documents."""
    import torch
    from torch.nn import functional as F

    inputs, targets = map(torch.from_numpy, held_out_windows(documents, model.config.context))
    total = 0.0
    with torch.inference_mode():
        for x, y in zip(inputs.split(64), targets.split(64)):
            scored = y != IGNORED
            logits = model.logits(model(x)[scored])
            total += F.cross_entropy(logits, y[scored], reduction="sum").item()
    return bits_per_byte(total, texts)


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
    if not folder or config["width"] < 128:
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
        found[f"validation_{steps}"] = bits = held_out(branch, validation, plays.validation)
        save(branch, config, seed, steps, bits)
    return {"parameters": count_params(shape), **found,
            "test": held_out(branch, test, plays.test)}
