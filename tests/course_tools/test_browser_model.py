"""The packed model: what rounding changes, and what a page reads back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from course_lib.pytorch.transformer import TorchTransformer
from course_lib.scratch.bpe import Tokenizer
from course_lib.scratch.ngram import KneserNey
from course_lib.scratch.transformer import TransformerConfig
from course_tools import browser_model, browser_record

FOLDER = Path(__file__).resolve().parents[2] / "book/assets/gpt"
CONFIG = TransformerConfig(
    vocabulary=264, width=16, layers=2, heads=2, context=8, ffn_width=21, **browser_model.NEEDED
)


def a_state(config: TransformerConfig) -> dict[str, np.ndarray]:
    torch.manual_seed(0)
    return {name: value.numpy() for name, value in TorchTransformer(config).state_dict().items()}


# --- weights ------------------------------------------------------------------------------------


def test_no_number_moves_by_more_than_half_a_scale():
    weights = np.random.default_rng(0).normal(size=(50, 33)) * np.logspace(-6, 3, 50)[:, None]
    weights[7] = 0
    whole, scales = browser_model.quantise(weights)
    assert whole.dtype == np.int8 and scales.dtype == np.float32
    back = whole * scales[:, None].astype(np.float64)
    assert (np.abs(back - weights) <= scales[:, None] * 0.5001).all()
    assert (np.abs(whole).max(axis=1) == np.where(np.arange(50) == 7, 0, 127)).all()


@pytest.mark.parametrize("weights", [np.ones(3), np.array([[1.0, np.nan]]), np.array([[np.inf]])])
def test_what_cannot_be_rounded_is_refused(weights):
    with pytest.raises(ValueError, match="finite numbers of shape"):
        browser_model.quantise(weights)


def test_weights_come_back_rounded():
    tokenizer = Tokenizer.train(["to be or not to be, that is the question"], 264)
    state = a_state(CONFIG)
    params = browser_model.params_of(state)
    text = browser_model.pack_weights(params, browser_model.config_of(CONFIG), tokenizer)
    back, content = browser_model.unpack_weights(text)
    assert list(back) == list(params)
    for name, values in params.items():
        if values.ndim == 1:
            np.testing.assert_array_equal(back[name], values)
        else:
            scale = np.abs(values).max(axis=1, keepdims=True) / 127
            assert (np.abs(back[name] - values) <= 0.501 * scale).all()
            assert np.abs(back[name] - values).max() > 0
    assert content["config"] == browser_model.config_of(CONFIG)
    assert content["merges"] == [i for pair in tokenizer.merges for i in pair]
    again = browser_model.state_of(params)
    assert set(again) == set(state)
    for name, values in state.items():
        np.testing.assert_array_equal(again[name], values)


def test_another_file_is_refused():
    with pytest.raises(ValueError, match="no file of weights"):
        browser_model.unpack_weights(browser_model.pack_counts(np.ones(2) / 2, []))


@pytest.mark.parametrize(
    ("switch", "words"),
    [
        ({"positions": "learned"}, "positions is 'learned'"),
        ({"bias": True}, "bias is True"),
        ({"norm": "layer"}, "norm is 'layer'"),
        ({"tied": False}, "tied is False"),
        ({"key_value_heads": 1}, "not 1 and 2"),
    ],
)
def test_what_the_page_cannot_compute_is_refused(switch, words):
    with pytest.raises(ValueError, match=words):
        browser_model.config_of(replace(CONFIG, **switch))


# --- the table of counts ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def counted():
    """A fitted table of order 3 of texts in which tokens depend on those before."""
    random, texts = np.random.default_rng(2), []
    likely = random.dirichlet(np.full(12, 0.2), (12, 12))
    for _ in range(20):
        text = [0, 0]
        for _ in range(150):
            text.append(int(random.choice(12, p=likely[text[-2], text[-1]])))
        texts.append(text)
    return KneserNey(3, 12).fit(texts), texts


def losses(single, tables, texts):
    return -np.mean(
        [
            np.log(browser_model.probability(single, tables, text[:t], text[t]))
            for text in texts
            for t in range(2, len(text))
        ]
    )


def test_an_untrimmed_table_is_the_whole_one(counted):
    model, texts = counted
    single, tables = browser_model.trim(model, 10**6)
    for context in ([3], [0, 4], [5, 7, 9], [11, 11]):
        whole = model.distribution([0, 0, *context])  # no start mark in sight
        found = [browser_model.probability(single, tables, [0, 0, *context], t) for t in range(12)]
        np.testing.assert_allclose(found, whole, rtol=1e-9)


def test_trimming_costs_little_by_little_and_keeps_a_distribution(counted):
    model, texts = counted
    costs = []
    for most in (10**6, 200, 50, 1):
        single, tables = browser_model.trim(model, most)
        assert sum(len(shares) for table in tables for shares in table.values()) <= most
        for context in ([0, 0], [3, 4], [7]):
            p = [browser_model.probability(single, tables, context, t) for t in range(12)]
            assert min(p) > 0 and sum(p) == pytest.approx(1)
        costs.append(losses(single, tables, texts))
    assert costs == sorted(costs) and costs[-1] > costs[0] + 0.3


def test_the_most_useful_n_grams_stay(counted):
    """Better than as many that are merely the most frequent."""
    model, texts = counted
    single, tables = browser_model.trim(model, 60)
    _, whole = browser_model.trim(model, 10**6)
    three = model.tables[2]
    frequent = {}
    for at in np.argsort(-three.counts)[:60]:
        gram, base = int(three.grams[at]), model.base
        context = (gram // base**2, gram // base % base)
        if context in whole[1]:
            frequent.setdefault(context, {})[gram % base] = whole[1][context][gram % base]
    assert losses(single, tables, texts) < losses(single, [{}, frequent], texts)


def test_shares_are_rounded_down_to_powers():
    shares = {(1,): {0: 0.5, 200: 0.3, 201: 1e-4}, (300,): {299: 1.0}}
    pairs = {(299, 299): {5: 0.25}, (0, 0): {0: 0.1}}
    single = np.full(301, 1 / 301)
    text = browser_model.pack_counts(single, [shares, pairs])
    back, tables = browser_model.unpack_counts(text)
    np.testing.assert_allclose(back, single, rtol=1e-6)
    for table, wanted in zip(tables, (shares, pairs), strict=True):
        assert {context: set(found) for context, found in table.items()} == {
            context: set(found) for context, found in wanted.items()
        }
        for context, found in table.items():
            for token, share in found.items():
                true = wanted[context][token]
                assert browser_model.BASE * true < share <= true * (1 + 1e-9)


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(ValueError, match="above 0 and is at most 1"):
        browser_model.pack_counts(np.ones(2) / 2, [{(0,): {1: share}}])


@pytest.mark.parametrize("model", [KneserNey(2, 5), KneserNey(3, 5)])
def test_a_table_of_another_order_or_without_counts_is_refused(model):
    with pytest.raises(ValueError, match="fitted table of order 3"):
        browser_model.trim(model, 5)


# --- packing ------------------------------------------------------------------------------------


def test_packing_measures_writes_and_is_the_same_every_time(tmp_path, monkeypatch):
    texts = [
        "HAMLET:\nTo be, or not to be, that is the question.\n" * 5,
        "What a piece of work!\n" * 9,
    ]
    tokenizer = Tokenizer.train(texts, 264, ())
    monkeypatch.setattr(browser_model, "LIMIT", 19_000)
    monkeypatch.setattr(browser_record, "STEPS", 20)
    state = {name: value * 3 for name, value in a_state(CONFIG).items()}
    model = browser_record.model_of(state, heads=2, context=8)
    assert model.config == CONFIG
    record = browser_record.pack_book(model, tokenizer, texts, texts[:1], tmp_path, "tiny")
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(files) == {"weights.js", "counts.js", "record.json"}
    assert len(files["weights.js"]) + len(files["counts.js"]) <= 19_000
    assert json.loads(files["record.json"]) == record
    bits = record["bits_per_byte"]
    assert 0 < record["kl"] < 0.1 and 0 < abs(bits["int8"] - bits["float32"]) < 0.1
    assert record["tokens"] == len(tokenizer.encode(texts[0])) - 1
    assert bits["counts"] < 1 and bits["counts"] <= bits["counts_trimmed"] < bits["float32"]
    assert 0 < record["entries"] <= record["entries_whole"]
    assert len(record["ids"]) == len(tokenizer.encode(record["start"])) + 20
    browser_record.pack_book(model, tokenizer, texts, texts[:1], tmp_path, "tiny")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == files


def test_a_model_differs_from_itself_by_nothing():
    model = browser_record.model_of(a_state(CONFIG), heads=2, context=8)
    found = browser_record.compared(model, model, [np.arange(30)], ["x" * 60])
    assert found["kl"] == 0 and found["same_argmax"] == 1 and found["tokens"] == 29
    bits = found["bits_per_byte"]
    assert bits["int8"] == bits["float32"] == pytest.approx(np.log2(264) * 29 / 60, rel=0.5)


# --- the files of the book ----------------------------------------------------------------------


def test_the_books_files_are_small_enough_and_as_recorded():
    sizes = {name: (FOLDER / name).stat().st_size for name in ("weights.js", "counts.js")}
    assert sum(sizes.values()) <= browser_model.LIMIT
    record = json.loads((FOLDER / "record.json").read_text("utf-8"))
    params, content = browser_model.unpack_weights((FOLDER / "weights.js").read_text("utf-8"))
    assert record["params"] == sum(values.size for values in params.values())
    assert content["config"]["vocabulary"] == len(params["embedding"])
    single, tables = browser_model.unpack_counts((FOLDER / "counts.js").read_text("utf-8"))
    assert record["entries"] == sum(len(shares) for table in tables for shares in table.values())
    assert record["kl"] < 2e-3 and record["same_argmax"] > 0.97
    bits = record["bits_per_byte"]
    assert abs(bits["int8"] - bits["float32"]) < 2e-3
    assert bits["counts"] < bits["counts_trimmed"]


def test_the_recorded_sample_is_likely_text_of_the_model():
    """Each of its tokens was among the k likeliest when it was drawn."""
    record = json.loads((FOLDER / "record.json").read_text("utf-8"))
    tokenizer, model = browser_model.load_packed(FOLDER)
    ids = record["ids"]
    before = tokenizer.encode(record["start"])
    assert ids[: len(before)] == before
    assert tokenizer.decode(ids) == record["start"] + record["sample"]
    read = ids[: model.config.context]
    with torch.inference_mode():
        logits = model.logits(model(torch.tensor([read])))[0].numpy()
    for t in range(len(before), len(read)):
        rank = (logits[t - 1] > logits[t - 1][read[t]]).sum()
        assert rank <= record["top_k"]
