"""Pack the recorded GPT for the page, measure what rounding and trimming change, draw a sample."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from course_lib.scratch.language_model import IGNORED, bits_per_byte, held_out_windows
from course_lib.scratch.ngram import KneserNey
from course_tools import browser_model

START = "HAMLET:\nTo be, or not to"
TEMPERATURE, TOP_K, STEPS, SEED = 0.8, 40, 150, 0


def model_of(state: Mapping[str, np.ndarray], heads: int, context: int):
    """A TorchTransformer of the recorded run from its state; the sizes are those of its arrays."""
    import torch

    from course_lib.pytorch.transformer import TorchTransformer
    from course_lib.scratch.transformer import TransformerConfig

    vocabulary, width = state["embedding.weight"].shape
    layers = sum(name.endswith("norm1.weight") for name in state)
    config = TransformerConfig(
        vocabulary,
        width,
        layers,
        heads,
        context=context,
        ffn_width=len(state["blocks.0.ffn.up.weight"]),
        **browser_model.NEEDED,
    )
    model = TorchTransformer(config)
    model.load_state_dict({name: torch.tensor(value) for name, value in state.items()})
    return model.eval()


def pack_book(
    model, tokenizer, training: Sequence[str], held_out: Sequence[str], folder: Path, source: str
) -> dict:
    """Write weights.js, counts.js and record.json into a folder; return the record.

    ``model`` is a trained TorchTransformer, ``source`` says which; ``training`` and ``held_out``
    are texts: the table counts the first, and all losses are those of the second.
    """
    state = {name: value.detach().numpy() for name, value in model.state_dict().items()}
    params, config = browser_model.params_of(state), browser_model.config_of(model.config)
    weights = browser_model.pack_weights(params, config, tokenizer)
    (folder / "weights.js").write_text(weights, "utf-8")
    _, packed = browser_model.load_packed(folder)
    documents = [np.array(tokenizer.encode(text)) for text in held_out]
    record = {"source": source} | compared(model, packed, documents, held_out)
    record["params"] = sum(values.size for values in params.values())
    counted = [tokenizer.encode(text) for text in training]
    counts, trimming = trimmed(
        counted, documents, held_out, len(tokenizer), browser_model.LIMIT - len(weights)
    )
    (folder / "counts.js").write_text(counts, "utf-8")
    record["bits_per_byte"] |= trimming.pop("bits_per_byte")
    record |= trimming | sample(packed, tokenizer)
    (folder / "record.json").write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    return record


def compared(model, packed, documents: Sequence[np.ndarray], texts: Sequence[str]) -> dict:
    """The rounded model against the original: KL in nats, equal arg max, bits per byte."""
    import torch
    from torch.nn import functional as F

    inputs, targets = map(torch.from_numpy, held_out_windows(documents, model.config.context))
    totals, tokens = np.zeros(4), 0
    for x, y in zip(inputs.split(64), targets.split(64), strict=True):
        scored = y != IGNORED
        with torch.inference_mode():
            logs = [F.log_softmax(one.logits(one(x)[scored]), dim=-1) for one in (model, packed)]
        totals += [
            (logs[0].exp() * (logs[0] - logs[1])).sum().item(),
            (logs[0].argmax(-1) == logs[1].argmax(-1)).sum().item(),
            *(F.nll_loss(one, y[scored], reduction="sum").item() for one in logs),
        ]
        tokens += int(scored.sum())
    bits = {"float32": bits_per_byte(totals[2], texts), "int8": bits_per_byte(totals[3], texts)}
    return {
        "kl": totals[0] / tokens,
        "same_argmax": totals[1] / tokens,
        "tokens": tokens,
        "bits_per_byte": bits,
    }


def trimmed(
    counted: Sequence[Sequence[int]],
    documents: Sequence[np.ndarray],
    texts: Sequence[str],
    vocabulary: int,
    room: int,
) -> tuple[str, dict]:
    """The text of the largest table that fits into ``room`` bytes, and what trimming costs."""
    whole = KneserNey(3, vocabulary).fit(counted)
    most, text = room, " " * 3 * room
    while len(text) > room:
        most = int(most * room / len(text) * 0.995)
        text = browser_model.pack_counts(*browser_model.trim(whole, most))
    single, tables = browser_model.unpack_counts(text)
    nats = -sum(
        math.log(browser_model.probability(single, tables, ids[max(0, t - 2) : t], ids[t]))
        for ids in map(np.ndarray.tolist, documents)
        for t in range(len(ids))
    )
    return text, {
        "entries": sum(len(shares) for table in tables for shares in table.values()),
        "entries_whole": sum(len(table.grams) for table in whole.tables[1:]),
        "bits_per_byte": {
            "counts": bits_per_byte(sum(whole.losses(ids).sum() for ids in documents), texts),
            "counts_trimmed": bits_per_byte(nats, texts),
        },
    }


def sample(model, tokenizer) -> dict:
    """One sample of the packed model, the first that the seed gives."""
    from course_lib.pytorch.transformer import generate_torch
    from course_lib.scratch.sampling import Sampling

    ids = np.array([tokenizer.encode(START)])
    random = np.random.default_rng(SEED)
    ids = generate_torch(model, ids, STEPS, random, Sampling(TEMPERATURE, TOP_K))[0].tolist()
    return {
        "start": START,
        "temperature": TEMPERATURE,
        "top_k": TOP_K,
        "seed": SEED,
        "ids": ids,
        "sample": tokenizer.decode(ids)[len(START) :],
    }
