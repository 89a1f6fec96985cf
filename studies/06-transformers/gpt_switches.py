"""From GPT-2 to 2026, one switch at a time: bits per byte of a small GPT at equal parameters.

Shakespeare's plays, BPE of 1,024 tokens; Othello, As You Like It and Richard II for validation; the
test plays are not opened. Width 64, 2 layers, 4 heads, 64 tokens of context; 300 steps of AdamW at
one rate for all rows, which falls to 0 in the last third. Each row changes one thing in GPT-2's
settings, the last row all of them; the hidden width makes up for parameters lost or won, so that
all rows have between 164,000 and 170,000. Each seed draws other weights and other windows, the
same windows in every row.
"""

from functools import cache

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

CONFIG = {"vocabulary": 1024, "width": 64, "layers": 2, "heads": 4, "context": 64, "batch": 16,
          "steps": 300, "learning_rate": 5e-3, "weight_decay": 0.1, "clip": 1.0}
BAND = {"parameters": 0, "validation": 0.03}
FRAMEWORKS = ("pytorch",)      # equal in float64, as the page shows: one run, not two
SEEDS = 3
SWITCHES = {
    "GPT-2": {},
    "rotary positions": {"positions": "rotary"},
    "RMSNorm, no biases": {"norm": "rms", "bias": False},
    "SwiGLU": {"activation": "swiglu", "ffn_width": 170},
    "grouped keys and values": {"key_value_heads": 2, "ffn_width": 288},
    "all four": {"positions": "rotary", "norm": "rms", "bias": False, "activation": "swiglu",
                 "key_value_heads": 2, "ffn_width": 192},
}


def rows():
    return [{"switch": name} for name in SWITCHES]


@cache
def tokens():
    plays = load("shakespeare")
    tokenizer = Tokenizer.train(plays.train, CONFIG["vocabulary"], ())
    train = np.concatenate([tokenizer.encode(text) for text in plays.train])
    return train, [np.array(tokenizer.encode(text)) for text in plays.validation], plays.validation


def held_out(model):
    import torch
    from torch.nn import functional as F

    _, documents, texts = tokens()
    inputs, targets = map(torch.from_numpy, held_out_windows(documents, model.config.context))
    total = 0.0
    with torch.inference_mode():
        for x, y in zip(inputs.split(64), targets.split(64)):
            scored = y != IGNORED
            logits = model.logits(model(x)[scored])
            total += F.cross_entropy(logits, y[scored], reduction="sum").item()
    return bits_per_byte(total, texts)


def run(config, seed, framework):
    import torch

    from course_lib.pytorch.train import train_torch
    from course_lib.pytorch.transformer import TorchTransformer, token_loss_torch

    shape = TransformerConfig(config["vocabulary"], config["width"], config["layers"],
                              config["heads"], context=config["context"],
                              **SWITCHES[config["switch"]])
    model, random, steps = TorchTransformer(shape), np.random.default_rng(seed), config["steps"]
    optimizer = torch.optim.AdamW(model.parameters(), lr=config["learning_rate"],
                                  betas=(0.9, 0.95), weight_decay=config["weight_decay"])
    batches = (tuple(map(torch.from_numpy, random_windows(
        tokens()[0], config["batch"], config["context"], random))) for _ in range(steps))
    rates = [config["learning_rate"] * decay(step, steps, steps * 2 // 3) for step in range(steps)]
    train_torch(model, batches, optimizer, token_loss_torch(model), rates, config["clip"])
    return {"parameters": count_params(shape), "validation": held_out(model)}
