"""Pack the recorded GPT for the page, measure what rounding and trimming change, draw a sample."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from course_tools import browser_model

START = "HAMLET:\nTo be, or not to"
TEMPERATURE, TOP_K, STEPS, SEED = 0.8, 40, 150, 0
BYTES_OF_AN_ENTRY = 2.9  # of counts.js, about: it is packed again until it fits


def pack_book(model, tokenizer, training: Sequence[str], held_out: Sequence[str],
              folder: Path, say=print) -> dict:
    """Write weights.js, counts.js and record.json into a folder; return the record.

    ``model`` is a trained TorchTransformer; ``training`` and ``held_out`` are texts: the table
    counts the first, and all losses are those of the second.
    """
    state = {name: value.detach().numpy() for name, value in model.state_dict().items()}
    params, config = browser_model.params_of(state), browser_model.config_of(model.config)
    weights = browser_model.pack_weights(params, config, tokenizer)
    (folder / "weights.js").write_text(weights, "utf-8")
    _, packed = browser_model.load_packed(folder)
    texts = [tokenizer.encode(text) for text in held_out]
    per_byte = 1 / math.log(2) / sum(len(text.encode("utf-8")) for text in held_out)
    record = compared(model, packed, texts, per_byte)
    say(json.dumps(record))
    counted = [tokenizer.encode(text) for text in training]
    counts = trimmed(counted, texts, len(tokenizer), per_byte, browser_model.LIMIT - len(weights))
    (folder / "counts.js").write_text(counts.pop("text"), "utf-8")
    record["bits_per_byte"] |= counts.pop("bits_per_byte")
    record |= counts | {"params": sum(values.size for values in params.values())}
    record |= sample(packed, tokenizer)
    (folder / "record.json").write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    return record


def compared(model, packed, texts: Sequence[Sequence[int]], per_byte: float) -> dict:
    """The rounded model against the original: KL in nats, equal arg max, bits per byte.

    Texts are read in windows of the model's context, each from an empty cache. The first token of
    a window is predicted by neither, so the figures serve only to compare the two.
    """
    import torch
    from torch.nn import functional as F

    totals, tokens = np.zeros(4), 0
    for rows in windows(texts, model.config.context):
        with torch.inference_mode():
            read = torch.tensor(rows)
            logs = [F.log_softmax(one.logits(one(read)).double(), dim=-1)[:, :-1]
                    for one in (model, packed)]
            true = read[:, 1:, None]
            totals += [
                float((logs[0].exp() * (logs[0] - logs[1])).sum()),
                float((logs[0].argmax(-1) == logs[1].argmax(-1)).sum()),
                *(-float(one.gather(-1, true).sum()) for one in logs)]
            tokens += true.numel()
    predicted = per_byte * sum(map(len, texts)) / tokens
    return {"kl": totals[0] / tokens, "same_argmax": totals[1] / tokens, "tokens": tokens,
            "bits_per_byte": {"float32": totals[2] * predicted, "int8": totals[3] * predicted}}


def windows(texts: Sequence[Sequence[int]], context: int, rows: int = 32):
    """Whole windows of all texts, a batch at a time: arrays (rows or fewer, context)."""
    cut = [text[at:at + context] for text in texts
           for at in range(0, len(text) - context + 1, context)]
    for at in range(0, len(cut), rows):
        yield np.array(cut[at:at + rows])


def trimmed(counted: Sequence[Sequence[int]], texts: Sequence[Sequence[int]], vocabulary: int,
            per_byte: float, room: int) -> dict:
    """The largest table that fits into ``room`` bytes, and what trimming costs."""
    from course_lib.scratch.ngram import KneserNey

    whole = KneserNey(3, vocabulary).fit(counted)
    most = int(room / BYTES_OF_AN_ENTRY)
    text = browser_model.pack_counts(*browser_model.trim(whole, most))
    while len(text) > room:
        most = int(most * room / len(text) * 0.995)
        text = browser_model.pack_counts(*browser_model.trim(whole, most))
    single, tables = browser_model.unpack_counts(text)
    loss = -sum(math.log(browser_model.probability(single, tables, ids[max(0, t - 2):t], ids[t]))
                for ids in texts for t in range(len(ids)))
    return {
        "text": text, "entries": sum(len(shares) for table in tables for shares in table.values()),
        "entries_whole": sum(len(table.grams) for table in whole.tables[1:]),
        "bits_per_byte": {
            "counts": float(sum(whole.losses(ids).sum() for ids in texts) * per_byte),
            "counts_trimmed": loss * per_byte}}


def sample(model, tokenizer) -> dict:
    """One sample of the packed model, the first that the seed gives."""
    from course_lib.pytorch.transformer import generate_torch
    from course_lib.scratch.sampling import Sampling

    ids = np.array([tokenizer.encode(START)])
    random = np.random.default_rng(SEED)
    ids = generate_torch(model, ids, STEPS, random, Sampling(TEMPERATURE, TOP_K))[0].tolist()
    return {"start": START, "temperature": TEMPERATURE, "top_k": TOP_K, "seed": SEED, "ids": ids,
            "sample": tokenizer.decode(ids)[len(START):]}
