"""The Transformer: one in each wing, equal to its twin and to the models of ``transformers``."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
import torch
from torch.nn import functional as F

from course_lib import parity
from course_lib.pytorch.adam import TorchAdam
from course_lib.pytorch.train import train_torch
from course_lib.pytorch.transformer import (
    TorchCache, TorchTransformer, generate_torch, token_loss_torch)
from course_lib.scratch.sampling import Sampling
from course_lib.scratch.transformer import (
    TransformerConfig, bert_config, check_tokens, count_params, gpt_config, training_flops)
from course_lib.tensorflow.adam import TFAdam
from course_lib.tensorflow.train import train_tf
from course_lib.tensorflow.transformer import (
    TFCache, TFTransformer, generate_tf, token_loss_tf)

SMALL = dict(width=24, layers=2, heads=4, context=16, dtype="float64")
MODERN = dict(positions="rotary", norm="rms", activation="swiglu", key_value_heads=2,
              bias=False, norm_epsilon=1e-6)
CONFIGS = {
    "gpt": gpt_config(30, **SMALL),
    "modern": gpt_config(30, **SMALL, **MODERN, tied=False),
    "one key head": gpt_config(30, **SMALL, key_value_heads=1, positions="rotary"),
    "sinusoidal": gpt_config(30, **SMALL, positions="sinusoidal", embedding_scale=24**0.5,
                             pre_norm=False),
    "bert": bert_config(30, **SMALL),
    "bert, rotary": bert_config(30, **SMALL, positions="rotary", segments=0, pre_norm=True),
}
every_config = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)


def twins(config, seed=0):
    """Both models with the same weights; the biases, which start at 0, at random too."""
    torch.manual_seed(seed)
    torch_model, tf_model = TorchTransformer(config), TFTransformer(config)
    with torch.no_grad():
        for param in torch_model.parameters():
            param += 0.05 * torch.randn_like(param)
    parity.copy_weights(torch_model, tf_model)
    return torch_model, tf_model


def some_tokens(shape=(3, 9), seed=0, vocabulary=30):
    """Ids with many repeats: half of them are 0 … 4."""
    random = np.random.default_rng(seed)
    few = random.integers(0, 5, shape)
    return np.where(random.random(shape) < 0.5, few, random.integers(0, vocabulary, shape))


def right_padding(shape=(3, 9)):
    return np.arange(shape[1]) < np.array([9, 4, 6])[: shape[0], None]


def outputs(config, models, tokens, mask=None, segments=None):
    """Logits of both, (batch, time, vocabulary)."""
    named = dict(tokens=tokens, mask=mask, segments=segments)
    as_torch, as_tf = ({k: make(v) for k, v in named.items() if v is not None}
                       for make in (torch.from_numpy, tf.constant))
    with torch.no_grad():
        ours = models[0].logits(models[0](**as_torch)).numpy()
    return ours, models[1].logits(models[1](**as_tf)).numpy()


# --- the twins ---------------------------------------------------------------------------------


@every_config
@pytest.mark.parametrize("padded", [False, True])
def test_twins_give_the_same_logits(config, padded):
    mask = right_padding() if padded else None
    segments = some_tokens(vocabulary=2, seed=1) % 2 if config.segments else None
    ours, theirs = outputs(config, twins(config), some_tokens(), mask, segments)
    np.testing.assert_allclose(ours, theirs, atol=1e-12)


@pytest.mark.parametrize("asked_only", [False, True])
@every_config
def test_twins_train_alike_through_adamw_with_repeated_tokens(config, asked_only):
    torch_model, tf_model = twins(config)
    random = np.random.default_rng(3)
    mask, batches = right_padding(), []
    for step in range(24):
        tokens = some_tokens(seed=step)
        targets = np.where(mask & (random.random(mask.shape) < 0.5), some_tokens(seed=99), -100)
        batches.append((tokens, targets))
    rates = 2.0**-8 * (1 + np.arange(24) % 3)
    losses = {}
    losses["torch"] = train_torch(
        torch_model, [((torch.from_numpy(x), torch.from_numpy(mask)), torch.from_numpy(y))
                      for x, y in batches],
        TorchAdam(torch_model.parameters(), 2.0**-8, weight_decay=2.0**-6),
        token_loss_torch(torch_model, asked_only=asked_only), rates, clip=1.0)
    losses["tf"] = train_tf(
        tf_model, [((tf.constant(x), tf.constant(mask)), tf.constant(y)) for x, y in batches],
        TFAdam(tf_model.trainable_variables, 2.0**-8, weight_decay=2.0**-6),
        token_loss_tf(tf_model, asked_only=asked_only), rates, clip=1.0, steps_per_call=10)
    report = parity.compare_losses(losses, 1e-12)
    assert report.agree and report.steps == 24, report
    assert losses["torch"][-4:].mean() < losses["torch"][:4].mean() - 0.1


def test_both_start_alike_and_as_the_configuration_says():
    config = gpt_config(500, width=64, layers=8, heads=4, context=100)
    torch.manual_seed(0)
    tf.keras.utils.set_random_seed(0)
    ours = {n: p.detach().numpy() for n, p in TorchTransformer(config).named_parameters()}
    model = TFTransformer(config)
    theirs = {f"{layer.name}.{v.name}": v.numpy()
              for layer in model._flatten_layers() for v in layer._trainable_variables}
    assert config.std == pytest.approx(0.02 * 12**0.5)
    for kind, std in (("qkv", config.std), ("out", config.std / 4), ("down", config.std / 4)):
        part = "attention" if kind != "down" else "ffn"
        for found in (ours[f"blocks.3.{part}.{kind}.weight"],
                      theirs[f"blocks.3.{part}.{kind}.kernel"]):
            assert found.std() == pytest.approx(std, rel=0.1) and abs(found.mean()) < std / 10
    for found in (ours["embedding.weight"], theirs["embedding.embeddings"]):
        assert found.std() == pytest.approx(config.std, rel=0.05)
    zeros = [v for each in (ours, theirs) for n, v in each.items() if n[-4:] in ("bias", "beta")]
    assert len(zeros) == 2 * (8 * 6 + 1) and not any(v.any() for v in zeros)
    # at GPT-2's width the rule is GPT-2's
    assert TransformerConfig(9, width=768).std == 0.02


# --- the models of transformers ----------------------------------------------------------------


def gpt2(config):
    """A GPT-2 of ``transformers`` with our model's weights."""
    from transformers import GPT2Config, GPT2LMHeadModel

    c = config
    theirs = GPT2LMHeadModel(GPT2Config(
        vocab_size=c.vocabulary, n_positions=c.context, n_embd=c.width, n_layer=c.layers,
        n_head=c.heads, n_inner=c.hidden, layer_norm_epsilon=c.norm_epsilon, resid_pdrop=0,
        embd_pdrop=0, attn_pdrop=0)).double().eval()
    ours = twins(c)[0]
    state = {k: v for k, v in ours.state_dict().items()}
    names = {"embedding": "wte", "position_embedding": "wpe", "final_norm": "ln_f"}
    inside = {"norm1": "ln_1", "norm2": "ln_2", "attention.qkv": "attn.c_attn",
              "attention.out": "attn.c_proj", "ffn.up": "mlp.c_fc", "ffn.down": "mlp.c_proj"}
    for layer in range(c.layers):
        names |= {f"blocks.{layer}.{a}": f"h.{layer}.{b}" for a, b in inside.items()}
    given = {}
    for key, value in state.items():
        path, kind = key.rsplit(".", 1)
        name = names[path]
        given[f"transformer.{name}.{kind}"] = value.T if "c_" in name and kind == "weight" else value
    given["lm_head.weight"] = state["embedding.weight"]
    missing, unexpected = theirs.load_state_dict(given, strict=False)
    assert not unexpected and not [m for m in missing if not m.endswith("attn.bias")]
    return theirs


def bert(config):
    """A BERT of ``transformers`` with our model's weights."""
    from transformers import BertConfig, BertForMaskedLM

    c = config
    theirs = BertForMaskedLM(BertConfig(
        vocab_size=c.vocabulary, hidden_size=c.width, num_hidden_layers=c.layers,
        num_attention_heads=c.heads, intermediate_size=c.hidden, layer_norm_eps=c.norm_epsilon,
        max_position_embeddings=c.context, type_vocab_size=c.segments, hidden_dropout_prob=0,
        attention_probs_dropout_prob=0)).double().eval()
    state, given, at = twins(c)[0].state_dict(), {}, "bert.embeddings."
    outer = {
        "embedding": at + "word_embeddings", "position_embedding": at + "position_embeddings",
        "segment_embedding": at + "token_type_embeddings", "embedding_norm": at + "LayerNorm",
        "mlm_dense": "cls.predictions.transform.dense",
        "mlm_norm": "cls.predictions.transform.LayerNorm"}
    inside = {"norm1": "attention.output.LayerNorm", "norm2": "output.LayerNorm",
              "attention.out": "attention.output.dense", "ffn.up": "intermediate.dense",
              "ffn.down": "output.dense"}
    for layer in range(c.layers):
        outer |= {f"blocks.{layer}.{a}": f"bert.encoder.layer.{layer}.{b}"
                  for a, b in inside.items()}
    for key, value in state.items():
        path, kind = key.rsplit(".", 1)
        if path == "mlm_bias":
            given |= {"cls.predictions.bias": value[:, 0],
                      "cls.predictions.decoder.bias": value[:, 0]}
        elif path.endswith("qkv"):
            layer = path.split(".")[1]
            for name, part in zip(("query", "key", "value"), value.chunk(3)):
                given[f"bert.encoder.layer.{layer}.attention.self.{name}.{kind}"] = part
        else:
            given[f"{outer[path]}.{kind}"] = value
    given["cls.predictions.decoder.weight"] = state["embedding.weight"]
    missing, unexpected = theirs.load_state_dict(given, strict=False)
    assert not unexpected and not missing, (missing, unexpected)
    return theirs


@pytest.mark.parametrize("seed", range(2))
def test_gpt_equals_gpt2_of_transformers(seed):
    config = CONFIGS["gpt"]
    theirs, (ours, keras_model) = gpt2(config), twins(config)
    tokens = some_tokens(seed=seed)
    with torch.no_grad():
        wanted = theirs(torch.from_numpy(tokens), labels=torch.from_numpy(tokens),
                        output_hidden_states=True)
        hidden = ours(torch.from_numpy(tokens))
        loss = token_loss_torch(ours)(hidden[:, :-1], torch.from_numpy(tokens[:, 1:]))
    theirs_hidden, close = wanted.hidden_states[-1].numpy(), dict(rtol=0, atol=1e-10)
    wanted_loss = torch.nn.CrossEntropyLoss()(      # its own loss takes logits to float32
        wanted.logits[:, :-1].flatten(0, 1), torch.from_numpy(tokens[:, 1:]).flatten()).item()
    assert wanted.loss.item() == pytest.approx(wanted_loss, abs=1e-5)
    np.testing.assert_allclose(hidden.numpy(), theirs_hidden, **close)
    np.testing.assert_allclose(ours.logits(hidden).detach().numpy(), wanted.logits.numpy(), **close)
    assert loss.item() == pytest.approx(wanted_loss, abs=1e-10)
    hidden = keras_model(tf.constant(tokens))
    np.testing.assert_allclose(hidden.numpy(), theirs_hidden, **close)
    np.testing.assert_allclose(keras_model.logits(hidden).numpy(), wanted.logits.numpy(), **close)
    loss = token_loss_tf(keras_model)(hidden[:, :-1], tf.constant(tokens[:, 1:]))
    assert float(loss) == pytest.approx(wanted_loss, abs=1e-10)


@pytest.mark.parametrize("seed", range(2))
def test_bert_equals_bert_of_transformers(seed):
    config = CONFIGS["bert"]
    theirs, (ours, keras_model) = bert(config), twins(config)
    tokens, mask = some_tokens(seed=seed), right_padding()
    segments = (np.arange(9) > 3)[None].repeat(3, 0).astype("int64")
    targets = np.where(mask & (some_tokens(seed=7) > 3), some_tokens(seed=8), -100)
    given = [torch.from_numpy(a) for a in (tokens, mask, segments)]
    with torch.no_grad():
        wanted = theirs(given[0], given[1], given[2], labels=torch.from_numpy(targets),
                        output_hidden_states=True)
        hidden = ours(*given)
        logits, loss = ours.logits(hidden), token_loss_torch(ours)(hidden, torch.from_numpy(targets))
    reached = wanted.hidden_states[-1].numpy()[mask], wanted.logits.numpy()[mask]
    close = dict(rtol=0, atol=1e-10)
    np.testing.assert_allclose(hidden.numpy()[mask], reached[0], **close)
    np.testing.assert_allclose(logits.numpy()[mask], reached[1], **close)
    assert loss.item() == pytest.approx(wanted.loss.item(), abs=1e-10)
    hidden = keras_model(*map(tf.constant, (tokens, mask, segments)))
    np.testing.assert_allclose(hidden.numpy()[mask], reached[0], **close)
    np.testing.assert_allclose(keras_model.logits(hidden).numpy()[mask], reached[1], **close)
    loss = token_loss_tf(keras_model)(hidden, tf.constant(targets))
    assert float(loss) == pytest.approx(wanted.loss.item(), abs=1e-10)


def test_rotary_grouped_swiglu_equals_llama_of_transformers():
    from transformers import LlamaConfig, LlamaForCausalLM

    config, c = CONFIGS["modern"], CONFIGS["modern"]
    theirs = LlamaForCausalLM(LlamaConfig(
        vocab_size=c.vocabulary, hidden_size=c.width, intermediate_size=c.hidden,
        num_hidden_layers=c.layers, num_attention_heads=c.heads, num_key_value_heads=c.kv_heads,
        max_position_embeddings=c.context, rms_norm_eps=c.norm_epsilon,
        tie_word_embeddings=False)).double().eval()
    models, given = twins(config), {}
    names = {"embedding": "model.embed_tokens", "final_norm": "model.norm", "head": "lm_head"}
    inside = {"norm1": "input_layernorm", "norm2": "post_attention_layernorm",
              "attention.out": "self_attn.o_proj", "ffn.up": "mlp.up_proj",
              "ffn.gate": "mlp.gate_proj", "ffn.down": "mlp.down_proj"}
    for layer in range(c.layers):
        names |= {f"blocks.{layer}.{a}": f"model.layers.{layer}.{b}" for a, b in inside.items()}
    parts = [c.heads * c.head_width] + 2 * [c.kv_heads * c.head_width]
    for key, value in models[0].state_dict().items():
        path, kind = key.rsplit(".", 1)
        if path.endswith("qkv"):
            for name, part in zip("qkv", value.split(parts)):
                given[f"model.layers.{path.split('.')[1]}.self_attn.{name}_proj.{kind}"] = part
        else:
            given[f"{names[path]}.{kind}"] = value
    theirs.load_state_dict(given)
    tokens = some_tokens()
    with torch.no_grad():
        wanted = theirs(torch.from_numpy(tokens)).logits.numpy()
    for ours in outputs(config, models, tokens):        # its rotations are float32
        np.testing.assert_allclose(ours, wanted, rtol=0, atol=1e-5)


# --- what may be seen --------------------------------------------------------------------------

CAUSAL = [name for name, config in CONFIGS.items() if config.causal]


@pytest.mark.parametrize("name", CAUSAL)
def test_a_later_token_changes_no_earlier_output(name):
    models, tokens = twins(CONFIGS[name]), some_tokens()
    other = tokens.copy()
    other[:, 5] = (other[:, 5] + 1) % 30
    before, after = outputs(CONFIGS[name], models, tokens), outputs(CONFIGS[name], models, other)
    for a, b in zip(before, after):
        np.testing.assert_allclose(a[:, :5], b[:, :5], rtol=0, atol=1e-14)
        assert np.abs(a[:, 5:] - b[:, 5:]).max(axis=(0, 2)).min() > 1e-4


def test_in_an_encoder_it_changes_them_all():
    models, tokens = twins(CONFIGS["bert"]), some_tokens()
    other = tokens.copy()
    other[:, 5] = (other[:, 5] + 1) % 30
    pairs = zip(outputs(CONFIGS["bert"], models, tokens), outputs(CONFIGS["bert"], models, other))
    assert all(np.abs(a - b).max(axis=(0, 2)).min() > 1e-5 for a, b in pairs)


@every_config
def test_padding_changes_nothing(config):
    models, tokens, mask = twins(config), some_tokens(), right_padding()
    padded = outputs(config, models, tokens, mask)
    other = outputs(config, models, np.where(mask, tokens, 29), mask)
    short = outputs(config, models, tokens[1:2, :4])
    for a, b, c in zip(padded, other, short):
        assert np.isfinite(a).all()
        np.testing.assert_allclose(a[mask], b[mask], rtol=0, atol=1e-13)
        np.testing.assert_allclose(a[1, :4], c[0], rtol=0, atol=1e-13)
    if not config.causal:
        unmasked = outputs(config, models, tokens)
        assert all(np.abs(a - b)[mask].max() > 1e-4 for a, b in zip(padded, unmasked))


@pytest.mark.parametrize("name", CAUSAL)
def test_padding_to_the_left_makes_no_nan_and_rotary_does_not_see_it(name):
    config, tokens, mask = CONFIGS[name], some_tokens(), right_padding()[:, ::-1].copy()
    models = twins(config)
    for found in outputs(config, models, tokens, mask):
        assert np.isfinite(found).all()
    if config.positions == "rotary":
        for padded, short in zip(outputs(config, models, tokens, mask),
                                 outputs(config, models, tokens[1:2, 5:])):
            np.testing.assert_allclose(padded[1, 5:], short[0], rtol=0, atol=1e-12)


# --- generation --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CAUSAL)
def test_a_cache_changes_no_logits(name):
    config, tokens = CONFIGS[name], some_tokens()
    torch_model, tf_model = twins(config)
    whole = outputs(config, (torch_model, tf_model), tokens)
    pieces = np.split(tokens, [4, 5, 7], axis=1)
    with torch.no_grad():
        kept = TorchCache(config, 3)
        ours = [torch_model.logits(torch_model(torch.from_numpy(p.copy()), cache=kept)).numpy()
                for p in pieces]
    assert kept.length == 9
    kept = TFCache(config, 3)
    theirs = [tf_model.logits(tf_model(tf.constant(p), cache=kept)).numpy() for p in pieces]
    for parts, at_once in zip((ours, theirs), whole):
        np.testing.assert_allclose(np.concatenate(parts, 1), at_once, rtol=0, atol=1e-12)


@pytest.mark.parametrize("sampling", [
    Sampling(), Sampling(temperature=0), Sampling(0.8, top_k=5), Sampling(top_p=0.7, min_p=0.05)])
@pytest.mark.parametrize("steps, time", [(7, 9), (30, 9), (20, 16), (5, 40)])
def test_both_write_the_same_with_a_cache_and_without(sampling, steps, time):
    """Beyond the context too: 16."""
    config = CONFIGS["modern"]
    torch_model, tf_model = twins(config)
    start = some_tokens((2, time), seed=4)
    written = [
        generate(model, start, steps, np.random.default_rng(5), sampling, cache)
        for generate, model in ((generate_torch, torch_model), (generate_tf, tf_model))
        for cache in (True, False)]
    assert written[0].shape == (2, time + steps) and (written[0][:, :time] == start).all()
    assert all((found == written[0]).all() for found in written)
    if sampling.temperature:
        other = generate_torch(torch_model, start, steps, np.random.default_rng(6), sampling)
        assert (other != written[0]).any()


def test_greedy_generation_is_the_argmax_of_the_whole_model():
    config = CONFIGS["gpt"]
    models = twins(config)
    tokens, greedy = some_tokens((1, 3)), Sampling(temperature=0)
    written = generate_torch(models[0], tokens, 10, np.random.default_rng(0), greedy)
    logits = outputs(config, models, written)[0]
    assert (logits[0, 2:-1].argmax(1) == written[0, 3:]).all()


def test_generation_keeps_the_mode_and_leaves_dropout_out():
    config = replace(CONFIGS["gpt"], dropout=0.5)
    torch_model, tf_model = twins(config)
    start, greedy = some_tokens((1, 3)), Sampling(temperature=0)
    for generate, model in ((generate_torch, torch_model), (generate_tf, tf_model)):
        first, second = (generate(model, start, 12, np.random.default_rng(0), greedy)
                         for _ in range(2))
        assert (first == second).all()
    assert torch_model.training
    tokens = torch.from_numpy(some_tokens())
    assert not torch.equal(torch_model(tokens), torch_model(tokens))
    once, again = (tf_model(tf.constant(some_tokens()), training=True) for _ in range(2))
    assert np.abs(once - again).max() > 0.01


# --- counts ------------------------------------------------------------------------------------


@every_config
def test_parameters_are_counted_as_both_frameworks_count_them(config):
    torch_model, tf_model = twins(config)
    assert sum(p.numel() for p in torch_model.parameters()) == count_params(config)
    assert tf_model.count_params() == count_params(config)


def test_gpt2_small_has_its_known_number_of_parameters():
    config = gpt_config(50257, width=768, layers=12, heads=12, context=1024)
    assert count_params(config) == 124_439_808


@every_config
def test_flops_equal_torchs_counter(config):
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    model = twins(config)[0]
    tokens = torch.from_numpy(some_tokens())
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        F.cross_entropy(model.logits(model(tokens)).flatten(0, 1), tokens.flatten()).backward()
    assert counter.get_total_flops() == training_flops(config, *tokens.shape)


# --- errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize("switches, words", [
    (dict(width=30), "not a multiple of heads 4"), (dict(key_value_heads=3), "key_value_heads 3"),
    (dict(positions="alibi"), "'alibi'"), (dict(norm="batch"), "'batch'"),
    (dict(activation="relu"), "'relu'"), (dict(width=12, positions="rotary"), "even"),
    (dict(layers=0), "layers is 0"), (dict(dropout=1.0), "dropout"), (dict(context=8.5), "context"),
    (dict(width=5, heads=1, positions="sinusoidal"), "odd"), (dict(segments=-1), "segments"),
    (dict(key_value_heads=0), "kv_heads is 0")])
def test_a_configuration_that_does_not_fit_says_so(switches, words):
    with pytest.raises(ValueError, match=words):
        gpt_config(30, **{**SMALL, **switches})


def wrong_calls():
    good, flags = some_tokens(), right_padding()
    return {
        "17 tokens, but the context is 16": (np.zeros((1, 17), "int64"),),
        "reach from 0 to 30": (np.array([[0, 30]]),), "reach from -1": (np.array([[-1, 3]]),),
        "give whole numbers": (np.zeros((2, 3)),), r"\(batch, time\)": (np.zeros(3, "int64"),),
        "mask is .*int64": (good, flags.astype("int64")), "mask is .*bool": (good, flags[:, :4]),
        "segments": (good, None, good[:, :3]),
    }


@pytest.mark.parametrize("words", wrong_calls())
@pytest.mark.parametrize("wing", [0, 1])
def test_a_wrong_input_says_what_was_expected(wing, words):
    make = (torch.from_numpy, tf.constant)[wing]
    named = zip(("tokens", "mask", "segments"), wrong_calls()[words])
    given = {name: make(a) for name, a in named if a is not None}
    with pytest.raises(ValueError, match=words):
        twins(CONFIGS["bert"])[wing](**given)


@pytest.mark.parametrize("wing", [0, 1])
def test_a_cache_is_refused_where_it_cannot_be_right(wing):
    make, cache = ((torch.from_numpy, TorchCache), (tf.constant, TFCache))[wing]
    with pytest.raises(ValueError, match="causal"):
        cache(CONFIGS["bert"], 1)
    model, tokens = twins(CONFIGS["gpt"])[wing], make(some_tokens())
    with pytest.raises(ValueError, match="not both"):
        model(tokens, mask=make(right_padding()), cache=cache(CONFIGS["gpt"], 3))
    kept = cache(CONFIGS["gpt"], 3)
    model(tokens, cache=kept)
    with pytest.raises(ValueError, match="18 tokens"):
        model(tokens, cache=kept)


@pytest.mark.parametrize("tokens", [np.zeros(3, "int64"), np.zeros((1, 0), "int64"),
                                    np.zeros((1, 2)), np.array([[31]])])
def test_generation_refuses_what_is_no_beginning(tokens):
    for generate, model in zip((generate_torch, generate_tf), twins(CONFIGS["gpt"])):
        with pytest.raises(ValueError, match="batch, time|whole numbers|reach"):
            generate(model, tokens, 2, np.random.default_rng(0))


def test_check_tokens_returns_what_is_right():
    assert (check_tokens([[0, 29]], 30) == [[0, 29]]).all()
    with pytest.raises(ValueError, match="another tokenizer"):
        check_tokens([30], 30)
