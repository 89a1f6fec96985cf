"""``course live-gpt``: pack the recorded GPT for the page on which it writes."""

from __future__ import annotations

from pathlib import Path

import click

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command("live-gpt")
@click.argument("weights", type=FILE)
@click.argument("tokenizer", type=FILE)
@click.option("--heads", default=4, show_default=True, help="Attention heads of the model.")
@click.option("--context", default=128, show_default=True, help="Its longest sequence, in tokens.")
def live_gpt(weights: Path, tokenizer: Path, heads: int, context: int) -> None:
    """Write book/assets/gpt from WEIGHTS (.npz, as studies/06-transformers/gpt_length.py saves
    them) and TOKENIZER (.json): int8 weights, a trimmed table of counts, what both cost, a sample.

    The losses are those of the plays of validation.
    """
    import numpy as np

    from course_lib.data import load
    from course_lib.scratch.bpe import Tokenizer
    from course_tools import browser_record
    from course_tools.editions import find_root

    plays = load("shakespeare")
    with np.load(weights) as state:
        model = browser_record.model_of(dict(state), heads, context)
    record = browser_record.pack_book(
        model,
        Tokenizer.load(tokenizer),
        plays.train,
        plays.validation,
        find_root() / "book/assets/gpt",
        weights.stem,
    )
    bits = ", ".join(f"{name} {value:.3f}" for name, value in record["bits_per_byte"].items())
    click.echo(
        f"bits per byte: {bits}; KL {record['kl']:.1e} nats a token, the same arg max"
        f" {record['same_argmax']:.1%}; {record['entries']:,} of"
        f" {record['entries_whole']:,} n-grams. {record['start']}{record['sample']}"
    )
