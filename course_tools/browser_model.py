"""Write the course's GPT and its table of counts as files that a page loads when asked.

``weights.js`` holds int8 numbers with one float32 scale a row, the tokenizer's merges and the
configuration; ``counts.js`` a trimmed Kneser-Ney table. Both are classic scripts that put one
object into ``courseGPT``: a page opened from a folder can load neither modules nor JSON.
``book/assets/gpt/model.js`` reads them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from course_lib.pytorch.transformer import TorchTransformer
    from course_lib.scratch import ngram
    from course_lib.scratch.bpe import Tokenizer
    from course_lib.scratch.transformer import TransformerConfig

FILES = ("model.js", "weights.js", "counts.js")
BASE = 0.95  # shares of the table are stored as whole powers of it, in one byte
LIMIT = 1_500_000  # bytes of both files

Table = Mapping[tuple[int, ...], Mapping[int, float]]


# --- weights ------------------------------------------------------------------------------------


def quantise(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Round weights (rows, columns) to int8; return them and a float32 scale for each row.

    A row's largest number becomes 127 or -127, so that no number moves by more than scale / 2.
    """
    if weights.ndim != 2 or not np.isfinite(weights).all():
        raise ValueError(
            f"quantise takes finite numbers of shape (rows, columns),"
            f" not shape {weights.shape}; look at the training for nan"
        )
    scales = (np.abs(weights).max(axis=1) / 127).astype(np.float32)
    safe = np.where(scales > 0, scales, 1).astype(np.float64)
    whole = np.clip(np.rint(weights / safe[:, None]), -127, 127).astype(np.int8)
    return whole, scales


# What model.js computes; any other switch of a TransformerConfig would need code there.
NEEDED = {
    "causal": True,
    "pre_norm": True,
    "final_norm": True,
    "positions": "rotary",
    "norm": "rms",
    "activation": "swiglu",
    "bias": False,
    "tied": True,
    "segments": 0,
    "embedding_norm": False,
    "mlm_head": False,
}


def config_of(config: TransformerConfig) -> dict[str, float]:
    """What model.js must know of a configuration; ``ValueError`` where it cannot compute it."""
    for name, needed in NEEDED.items():
        if getattr(config, name) != needed:
            raise ValueError(
                f"{name} is {getattr(config, name)!r}, but model.js computes only"
                f" {needed!r}: train with that, or teach it to model.js"
            )
    if config.kv_heads != config.heads:
        raise ValueError(
            f"model.js takes as many key heads as query heads, not {config.kv_heads}"
            f" and {config.heads}"
        )
    return {
        "width": config.width,
        "hidden": config.hidden,
        "vocabulary": config.vocabulary,
        "layers": config.layers,
        "heads": config.heads,
        "context": config.context,
        "rotary_base": config.rotary_base,
        "epsilon": config.norm_epsilon,
        "embedding_scale": config.embedding_scale,
    }


def params_of(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A TorchTransformer's state, as arrays, under the names of model.js."""
    layers = len({name.split(".")[1] for name in state if name.startswith("blocks.")})
    params = {"embedding": state["embedding.weight"]}
    for i in range(layers):
        block = f"blocks.{i}."
        q, k, v = np.split(state[block + "attention.qkv.weight"], 3)
        params |= {
            f"{i}.norm1": state[block + "norm1.weight"],
            f"{i}.q": q,
            f"{i}.k": k,
            f"{i}.v": v,
            f"{i}.out": state[block + "attention.out.weight"],
            f"{i}.norm2": state[block + "norm2.weight"],
            f"{i}.gate": state[block + "ffn.gate.weight"],
            f"{i}.up": state[block + "ffn.up.weight"],
            f"{i}.down": state[block + "ffn.down.weight"],
        }
    return params | {"norm": state["final_norm.weight"]}


def state_of(params: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The other way round: a TorchTransformer's state from parameters named as in model.js."""
    state = {"embedding.weight": params["embedding"], "final_norm.weight": params["norm"]}
    for i in sorted({name.split(".")[0] for name in params if "." in name}):
        block = f"blocks.{i}."
        state[block + "attention.qkv.weight"] = np.concatenate(
            [params[f"{i}.{name}"] for name in "qkv"]
        )
        state[block + "attention.out.weight"] = params[f"{i}.out"]
        for name in ("norm1", "norm2", "ffn.gate", "ffn.up", "ffn.down"):
            state[f"{block}{name}.weight"] = params[f"{i}.{name.split('.')[-1]}"]
    return state


def pack_weights(
    params: Mapping[str, np.ndarray],
    config: Mapping[str, float],
    tokenizer,
) -> str:
    """The text of ``weights.js``: matrices as int8 by rows, vectors as float32.

    ``params`` are named as in model.js: embedding, norm, and for each layer ``0.norm1``, ``0.q``,
    ``0.k``, ``0.v``, ``0.out``, ``0.norm2``, ``0.gate``, ``0.up``, ``0.down``; matrices have the
    shape (outputs, inputs).
    """
    data, tensors = bytearray(), []
    for name, values in params.items():
        about = {"name": name, "shape": list(values.shape), "at": len(data)}
        if values.ndim == 1:
            data += values.astype("<f4").tobytes()
        else:
            whole, scales = quantise(values)
            data += whole.tobytes() + bytes(-whole.size % 4)
            about["scales"] = len(data)
            data += scales.astype("<f4").tobytes()
        tensors.append(about)
    content = {
        "config": dict(config),
        "special_tokens": list(tokenizer.special_tokens),
        "merges": [i for pair in tokenizer.merges for i in pair],
        "tensors": tensors,
        "data": base64.b64encode(bytes(data)).decode(),
    }
    return _script("weights", content)


def unpack_weights(text: str) -> tuple[dict[str, np.ndarray], dict]:
    """The float32 numbers that a page computes with, by name, and all else that the file holds."""
    content = _content("weights", text)
    data = base64.b64decode(content.pop("data"))
    params = {}
    for about in content.pop("tensors"):
        shape, count = about["shape"], int(np.prod(about["shape"]))
        if "scales" in about:
            whole = np.frombuffer(data, np.int8, count, about["at"]).reshape(shape)
            scales = np.frombuffer(data, "<f4", shape[0], about["scales"])
            params[about["name"]] = whole.astype(np.float32) * scales[:, None]
        else:
            params[about["name"]] = np.frombuffer(data, "<f4", count, about["at"])
    return params, content


# --- the table of counts ------------------------------------------------------------------------


def pack_counts(single: np.ndarray, tables: Sequence[Table]) -> str:
    """The text of ``counts.js``.

    ``single`` holds a probability for each token; ``tables`` (order 2, 3, …) maps a context to
    the shares of the tokens after it: what the order itself gives them. What is left of 1 goes to
    the lower order. Shares are rounded down to powers of ``BASE``.
    """
    data = bytearray(single.astype("<f4").tobytes())
    for table in tables:
        named = {_number(context, len(single)): shares for context, shares in table.items()}
        data += _varint(len(named))
        last = -1
        for context in sorted(named):
            data += _varint(context - last - 1) + _entries(named[context])
            last = context
    content = {
        "vocabulary": len(single),
        "orders": len(tables) + 1,
        "base": BASE,
        "data": base64.b64encode(bytes(data)).decode(),
    }
    return _script("counts", content)


def unpack_counts(text: str) -> tuple[np.ndarray, list[dict[tuple[int, ...], dict[int, float]]]]:
    """``single`` and ``tables`` as a page reads them: shares are powers of ``BASE``."""
    content = _content("counts", text)
    data, vocabulary = base64.b64decode(content["data"]), content["vocabulary"]
    single = np.frombuffer(data, "<f4", vocabulary).astype(np.float64)
    place, tables = iter(data[4 * vocabulary :]), []
    for order in range(2, content["orders"] + 1):
        table, number = {}, -1
        for _ in range(_read_varint(place)):
            number += 1 + _read_varint(place)
            shares, token = {}, -1
            for _ in range(_read_varint(place)):
                token += 1 + _read_varint(place)
                shares[token] = content["base"] ** next(place)
            table[_context(number, order - 1, vocabulary)] = shares
        tables.append(table)
    return single, tables


def probability(
    single: np.ndarray,
    tables: Sequence[Table],
    ids: Sequence[int],
    token: int,
) -> float:
    """P(token | ids) of a table: from order to order, share + what is left · lower order."""
    p = float(single[token])
    for length, table in enumerate(tables, start=1):
        shares = table.get(tuple(ids[-length:])) if len(ids) >= length else None
        if shares is not None:
            p = shares.get(token, 0.0) + (1 - sum(shares.values())) * p
    return p


def trim(model: ngram.KneserNey, most: int) -> tuple[np.ndarray, list[Table]]:
    """A fitted table of order 3, of whose longer n-grams only the ``most`` useful ones stay.

    An n-gram is as useful as its count times the logarithm of its probability over what the
    shorter context gives (Seymore and Rosenfeld 1996, doi:10.1109/ICSLP.1996.607084). N-grams
    with a start mark go. What a trimmed n-gram had falls to the shorter context.
    """
    if model.order != 3 or not model.tables:
        raise ValueError(f"trim takes a fitted table of order 3, not of order {model.order}")
    one, two, three = model.tables
    single = np.full(model.vocab_size, one.left[0] / model.vocab_size)
    single[one.grams] += _shares(one, model.base)[0]
    lower2 = single[two.grams % model.base]
    share2, left2 = _shares(two, model.base)
    ends = np.searchsorted(two.grams, three.grams % model.base**2)
    lower3 = (share2 + left2 * lower2)[ends]
    share3, left3 = _shares(three, model.base)
    seen = np.bincount(ends, three.counts, len(two.grams))  # how often each pair occurs
    useful = [
        seen * np.log(share2 / lower2 + left2),
        three.counts * np.log(share3 / lower3 + left3),
    ]
    for score, table in zip(useful, (two, three), strict=True):
        score[table.grams // model.base % model.base == model.vocab_size] = -np.inf
        score[table.grams // model.base**2 == model.vocab_size] = -np.inf
    least = np.sort(np.concatenate(useful))[::-1][:most][-1]
    stays = [(score >= least) & np.isfinite(score) for score in useful]
    return single, [
        _kept(2, two, share2, stays[0], model.base),
        _kept(3, three, share3, stays[1], model.base),
    ]


def _shares(table: ngram.Table, base: int) -> tuple[np.ndarray, np.ndarray]:
    """What its own order gives each n-gram, and what that order leaves to the shorter context."""
    row = np.searchsorted(table.contexts, table.grams // base)
    cut = table.discounts[np.minimum(table.counts, 3)]
    return (table.counts - cut) / table.totals[row], table.left[row]


def _kept(order: int, table: ngram.Table, shares: np.ndarray, kept: np.ndarray, base: int) -> Table:
    """Context -> shares of the n-grams that stay; the context as token ids."""
    found = {}
    for gram, share in zip(table.grams[kept].tolist(), shares[kept].tolist(), strict=True):
        context = _context(gram // base, order - 1, base)
        found.setdefault(context, {})[gram % base] = share
    return found


def _number(context: tuple[int, ...], vocabulary: int) -> int:
    number = 0
    for token in context:
        number = number * vocabulary + token
    return number


def _context(number: int, length: int, vocabulary: int) -> tuple[int, ...]:
    return tuple(number // vocabulary**n % vocabulary for n in range(length - 1, -1, -1))


def _entries(shares: Mapping[int, float]) -> bytes:
    """The tokens after one context: how many, then distance and power of each."""
    data, last = bytearray(_varint(len(shares))), -1
    for token in sorted(shares):
        data += _varint(token - last - 1) + bytes([power_of(shares[token])])
        last = token
    return bytes(data)


def power_of(share: float) -> int:
    """The smallest power (0 to 255) of ``BASE`` that is no larger than a share."""
    if not 0 < share <= 1:
        raise ValueError(f"a share is {share}; it lies above 0 and is at most 1")
    return min(255, int(np.ceil(np.log(share) / np.log(BASE) - 1e-9)))


def _varint(number: int) -> bytes:
    """A whole number in bytes of seven bits, the lowest first."""
    data = bytearray()
    while number > 127:
        data.append(number % 128 + 128)
        number //= 128
    return bytes([*data, number])


def _read_varint(place: Iterator[int]) -> int:
    number, factor = 0, 1
    for byte in place:
        number += byte % 128 * factor
        if byte < 128:
            return number
        factor *= 128
    raise ValueError("the table ends in the middle of a number; write the file again")


# --- the files ----------------------------------------------------------------------------------


def _script(name: str, content: dict) -> str:
    words = json.dumps(content, separators=(",", ":"))
    return f"(globalThis.courseGPT=globalThis.courseGPT||{{}}).{name}={words};\n"


def _content(name: str, text: str) -> dict:
    start = _script(name, {})[:-4]
    if not text.startswith(start):
        raise ValueError(
            f"this is no file of {name}: it does not begin with {start!r};"
            " write it with pack_" + name
        )
    return json.loads(text[len(start) :].rstrip().rstrip(";"))


def read_record(folder: Path) -> dict:
    """What was measured and written when the files in this folder were made."""
    return json.loads((folder / "record.json").read_text("utf-8"))


def about_sample(record: Mapping) -> str:
    """The sample's heading: what wrote it, and how it was drawn."""
    return (
        f"A recorded sample: what the trained model wrote after “{_one_line(record['start'])}”,"
        f" drawn at temperature {record['temperature']} from the {record['top_k']} likeliest"
        " tokens."
    )


def about_files(record: Mapping) -> str:
    """What was rounded and trimmed for the page, and what that costs."""
    bits = record["bits_per_byte"]
    return (
        f"What you load: the model's weights as whole numbers from −127 to 127 with one scale a"
        f" row (bits per byte on the validation plays {bits['float32']:.3f} before,"
        f" {bits['int8']:.3f} after; KL divergence {record['kl']:.1e} nats a token; the same"
        f" likeliest token in {100 * record['same_argmax']:.1f} %), and a Kneser–Ney table of"
        f" order 3, of whose {record['entries_whole']:,} pairs and triples the"
        f" {record['entries']:,} stay that add most ({bits['counts']:.3f} before,"
        f" {bits['counts_trimmed']:.3f} after)."
    )


def _one_line(text: str) -> str:
    return " / ".join(line for line in text.split("\n") if line)


def load_packed(folder: Path, dtype: str = "float32") -> tuple[Tokenizer, TorchTransformer]:
    """The tokenizer and the model of ``weights.js``, with the numbers that a page computes with."""
    import torch

    from course_lib.pytorch.transformer import TorchTransformer
    from course_lib.scratch.bpe import Tokenizer
    from course_lib.scratch.transformer import TransformerConfig

    params, content = unpack_weights((folder / "weights.js").read_text("utf-8"))
    sizes, merges = content["config"], content["merges"]
    config = TransformerConfig(
        ffn_width=sizes["hidden"],
        norm_epsilon=sizes["epsilon"],
        dtype=dtype,
        **NEEDED,
        **{name: size for name, size in sizes.items() if name not in ("hidden", "epsilon")},
    )
    model = TorchTransformer(config)
    kind = getattr(torch, dtype)
    model.load_state_dict(
        {
            name: torch.tensor(np.array(values), dtype=kind)
            for name, values in state_of(params).items()
        }
    )
    tokenizer = Tokenizer(zip(merges[::2], merges[1::2], strict=True), content["special_tokens"])
    return tokenizer, model.eval()
