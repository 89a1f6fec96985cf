"""One Transformer for GPT, BERT and their kin; twin of course_lib/pytorch/transformer.py."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from course_lib.scratch.sampling import Sampling, draw, token_probabilities
from course_lib.scratch.transformer import TransformerConfig, check_tokens

layers = tf.keras.layers


def _normal(std: float):
    return tf.keras.initializers.RandomNormal(stddev=std)


def _linear(inputs: int, outputs: int, config: TransformerConfig, std: float, name: str,
            bias=None):
    bias = config.bias if bias is None else bias
    layer = layers.Dense(outputs, use_bias=bias, kernel_initializer=_normal(std),
                         dtype=config.dtype, name=name)
    layer.build((None, None, inputs))
    return layer


def _embedding(rows: int, config: TransformerConfig, name: str):
    layer = layers.Embedding(rows, config.width, embeddings_initializer=_normal(config.std),
                             dtype=config.dtype, name=name)
    layer.build((None, None))
    return layer


def _norm(config: TransformerConfig, name: str):
    kind = {"epsilon": config.norm_epsilon, "dtype": config.dtype, "name": name}
    if config.norm == "rms":
        layer = layers.RMSNormalization(**kind)
    else:
        layer = layers.LayerNormalization(center=config.bias, **kind)
    layer.build((None, None, config.width))
    return layer


def _angles(positions: tf.Tensor, pairs: int, base: float, dtype) -> tf.Tensor:
    """How far pair i has turned at each position: position / base^(i / pairs), (time, pairs)."""
    pair = tf.cast(tf.range(pairs), dtype)
    return tf.cast(positions[:, None], dtype) * tf.constant(base, dtype) ** (-pair / pairs)


def _rotate(x: tf.Tensor, angles: tf.Tensor) -> tf.Tensor:
    """Turn feature i of a head's first half and i of its second by their angle (Su 2021, 3.2)."""
    first, second = tf.split(x, 2, axis=-1)        # (batch, time, heads, head width / 2)
    cos, sin = tf.cos(angles)[:, None], tf.sin(angles)[:, None]
    return tf.concat([first * cos - second * sin, second * cos + first * sin], axis=-1)


def _gelu(x: tf.Tensor, tanh: bool = False) -> tf.Tensor:
    """GELU with constants of x's dtype: those of ``tf.nn.gelu`` are float32, wrong by 5e-9."""
    if tanh:
        return 0.5 * x * (1 + tf.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3)))
    return 0.5 * x * (1 + tf.math.erf(x * 0.5**0.5))


class TFCache:
    """Keys and values of the tokens read so far, for each layer: generation needs no others."""

    def __init__(self, config: TransformerConfig, batch: int):
        if not config.causal:
            raise ValueError("a cache needs causal=True: later tokens would change earlier ones")
        room = (batch, 0, config.kv_heads, config.head_width)
        self.keys = [tf.zeros(room, config.dtype)] * config.layers
        self.values = list(self.keys)

    @property
    def length(self) -> int:
        return tf.shape(self.keys[-1])[1]

    def extend(self, layer: int, k: tf.Tensor, v: tf.Tensor):
        """Add those of the new tokens; return all, (batch, time, key–value heads, head width)."""
        self.keys[layer] = tf.concat([self.keys[layer], k], axis=1)
        self.values[layer] = tf.concat([self.values[layer], v], axis=1)
        return self.keys[layer], self.values[layer]


class TFAttention(layers.Layer):
    """Multi-head attention (Vaswani et al. 2017, section 3.2), heads grouped or not."""

    def __init__(self, config: TransformerConfig, layer: int):
        path = f"blocks.{layer}.attention"
        super().__init__(dtype=config.dtype, name=path)
        self.config, self.layer = config, layer
        both = (config.heads + 2 * config.kv_heads) * config.head_width
        self.qkv = _linear(config.width, both, config, config.std, f"{path}.qkv")
        self.out = _linear(config.width, config.width, config, config.residual_std, f"{path}.out")

    def call(self, x, visible, angles, cache):
        c, shape = self.config, tf.shape(x)
        x = tf.reshape(self.qkv(x), (shape[0], shape[1], -1, c.head_width))
        q, k, v = tf.split(x, [c.heads, c.kv_heads, c.kv_heads], axis=2)
        if angles is not None:                     # (batch, time, heads, head width)
            q, k = _rotate(q, angles), _rotate(k, angles)
        if cache is not None:
            k, v = cache.extend(self.layer, k, v)
        if c.heads != c.kv_heads:
            k, v = (tf.repeat(each, c.heads // c.kv_heads, axis=2) for each in (k, v))
        mixed = tf.keras.ops.dot_product_attention(
            q, k, v, mask=visible, is_causal=c.causal and visible is None,
            scale=tf.constant(c.head_width**-0.5, q.dtype))   # a Python number becomes float32
        return self.out(tf.reshape(mixed, (shape[0], shape[1], c.width)))


class TFFeedForward(layers.Layer):
    """Two layers for each token by itself; with SwiGLU a third one gates (Shazeer 2020)."""

    def __init__(self, config: TransformerConfig, layer: int):
        path = f"blocks.{layer}.ffn"
        super().__init__(dtype=config.dtype, name=path)
        self.activation = config.activation
        self.up = _linear(config.width, config.hidden, config, config.std, f"{path}.up")
        if self.activation == "swiglu":
            self.gate = _linear(config.width, config.hidden, config, config.std, f"{path}.gate")
        self.down = _linear(
            config.hidden, config.width, config, config.residual_std, f"{path}.down")

    def call(self, x: tf.Tensor) -> tf.Tensor:
        if self.activation == "swiglu":
            return self.down(tf.nn.silu(self.gate(x)) * self.up(x))
        return self.down(_gelu(self.up(x), self.activation == "gelu_tanh"))


class TFBlock(layers.Layer):
    """Attention, then the feed-forward network, each added to what came in."""

    def __init__(self, config: TransformerConfig, layer: int):
        path = f"blocks.{layer}"
        super().__init__(dtype=config.dtype, name=path)
        self.pre_norm = config.pre_norm
        self.norm1, self.norm2 = _norm(config, f"{path}.norm1"), _norm(config, f"{path}.norm2")
        self.attention = TFAttention(config, layer)
        self.ffn = TFFeedForward(config, layer)
        self.dropout = layers.Dropout(config.dropout, dtype=config.dtype)

    def call(self, x, visible, angles, cache, training=False):
        if self.pre_norm:
            mixed = self.attention(
                self.norm1(x), visible=visible, angles=angles, cache=cache)
            x = x + self.dropout(mixed, training=training)
            return x + self.dropout(self.ffn(self.norm2(x)), training=training)
        mixed = self.attention(x, visible=visible, angles=angles, cache=cache)
        x = self.norm1(x + self.dropout(mixed, training=training))
        return self.norm2(x + self.dropout(self.ffn(x), training=training))


class TFTransformer(tf.keras.Model):
    """Tokens (batch, time) -> hidden states (batch, time, width); ``logits`` go on from there.

    ``mask`` (batch, time), True for a real token, hides padding. ``segments`` (batch, time) are
    kinds of segment, 0 where not given. With ``cache`` the tokens go on after those it holds.

    Raises ``ValueError`` where tokens are no (batch, time) of whole numbers, too long, or (seen on
    the CPU) no ids; where a mask or segments do not fit them.
    """

    def __init__(self, config: TransformerConfig):
        super().__init__(dtype=config.dtype)
        self.config, self.supports_masking = config, True
        c = config
        self.embedding = _embedding(c.vocabulary, c, "embedding")
        if c.positions == "learned":
            self.position_embedding = _embedding(c.context, c, "position_embedding")
        if c.segments:
            self.segment_embedding = _embedding(c.segments, c, "segment_embedding")
        if c.embedding_norm:
            self.embedding_norm = _norm(c, "embedding_norm")
        self.dropout = layers.Dropout(c.dropout, dtype=c.dtype)
        self.blocks = [TFBlock(c, layer) for layer in range(c.layers)]
        if c.final_norm:
            self.final_norm = _norm(c, "final_norm")
        if c.mlm_head:
            self.mlm_dense = _linear(c.width, c.width, c, c.std, "mlm_dense")
            self.mlm_norm = _norm(c, "mlm_norm")
            self.mlm_bias = layers.Embedding(      # one number a token
                c.vocabulary, 1, embeddings_initializer="zeros", dtype=c.dtype, name="mlm_bias")
            self.mlm_bias.build((None, None))
        if not c.tied:
            self.head = _linear(c.width, c.vocabulary, c, c.std, "head", bias=False)
        self(tf.zeros((1, 1), tf.int64))           # Keras counts a model as built once called

    def call(self, tokens, mask=None, segments=None, cache=None, training=False) -> tf.Tensor:
        past = 0 if cache is None else cache.length
        self._check(tokens, mask, segments, cache, past)
        seen = past + tf.shape(tokens)[1]
        positions = tf.range(past, seen)
        x = self._embed(tokens, positions, segments, training)
        visible = angles = None
        if mask is not None or cache is not None:  # (batch or 1, 1, time, seen)
            keys = tf.range(seen)
            visible = (keys <= positions[:, None]) | (not self.config.causal)
            if mask is not None:                   # padding sees itself: no empty row
                visible = visible & (mask[:, None] | (keys == positions[:, None]))
            visible = visible[:, None] if mask is not None else visible[None, None]
        if self.config.positions == "rotary":
            pairs = self.config.head_width // 2
            angles = _angles(positions, pairs, self.config.rotary_base, x.dtype)
        for block in self.blocks:
            x = block(x, visible=visible, angles=angles, cache=cache, training=training)
        return self.final_norm(x) if self.config.final_norm else x

    def logits(self, hidden: tf.Tensor) -> tf.Tensor:
        """Hidden states (batch, time, width) -> logits (batch, time, vocabulary)."""
        if self.config.mlm_head:
            hidden = self.mlm_norm(_gelu(self.mlm_dense(hidden)))
        if not self.config.tied:
            logits = self.head(hidden)
        else:                                      # one product: a batch of them is slower
            flat = tf.reshape(hidden, (-1, self.config.width))
            flat = tf.matmul(flat, self.embedding.embeddings, transpose_b=True)
            logits = tf.reshape(flat, (*_sizes(hidden), self.config.vocabulary))
        return logits + self.mlm_bias.embeddings[:, 0] if self.config.mlm_head else logits

    def _embed(self, tokens, positions, segments, training):
        c, x = self.config, self.embedding(tokens) * self.config.embedding_scale
        if c.segments:
            kinds = tf.zeros_like(tokens) if segments is None else segments
            x = x + self.segment_embedding(kinds)
        if c.positions == "learned":
            x = x + self.position_embedding(positions)
        if c.positions == "sinusoidal":            # sin, cos, sin, … (Vaswani 2017, section 3.5)
            angles = _angles(positions, c.width // 2, 10000.0, x.dtype)
            pairs = tf.stack([tf.sin(angles), tf.cos(angles)], axis=2)
            x = x + tf.reshape(pairs, (-1, c.width))
        x = self.embedding_norm(x) if c.embedding_norm else x
        return self.dropout(x, training=training)

    def _check(self, tokens, mask, segments, cache, past):
        if tokens.shape.rank != 2 or not tokens.dtype.is_integer:
            raise ValueError(f"tokens are {tokens.dtype.name} {tuple(tokens.shape)};"
                             " give whole numbers (batch, time)")
        seen = tf.get_static_value(past + tf.shape(tokens)[1])
        if seen is not None and seen > self.config.context:
            raise ValueError(f"{seen} tokens, but the context is"
                             f" {self.config.context}: cut the sequence, or build with a longer"
                             " one")
        if mask is not None and (mask.dtype != tf.bool or not _fits(mask, tokens)):
            raise ValueError(f"mask is {mask.dtype.name} {tuple(mask.shape)}; give bool"
                             f" {tuple(tokens.shape)}, True for a real token")
        if segments is not None and not (self.config.segments and _fits(segments, tokens)):
            raise ValueError(f"segments {tuple(segments.shape)}: give {tuple(tokens.shape)}, and"
                             f" build with segments >= 1 (here {self.config.segments})")
        if mask is not None and cache is not None:
            raise ValueError("give mask or cache, not both: a cache holds no padding")
        if tf.executing_eagerly() and "CPU" in tokens.device:
            check_tokens(tokens.numpy(), self.config.vocabulary)  # elsewhere it would stall


def _fits(given: tf.Tensor, tokens: tf.Tensor) -> bool:
    return given.shape.rank == 2 and given.shape.is_compatible_with(tokens.shape)


def _sizes(hidden: tf.Tensor) -> tuple:
    """Batch and time, as numbers where they are known."""
    shape = tf.shape(hidden)
    return tuple(hidden.shape[i] or shape[i] for i in (0, 1))


def token_loss_tf(
    model: TFTransformer, ignored: int = -100, asked_only: bool = False
) -> Callable:
    """The loss (hidden, targets) -> scalar: mean cross-entropy, targets ``ignored`` left out.

    ``asked_only`` takes no logits for those left out: faster where most are, but a GPU waits until
    it knows how many.
    """
    def loss(hidden: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        asked = targets != ignored
        if asked_only:
            hidden, targets = (
                tf.boolean_mask(hidden, asked)[None], tf.boolean_mask(targets, asked)[None])
            asked = tf.ones_like(targets, tf.bool)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=tf.where(asked, targets, 0), logits=model.logits(hidden))
        weight = tf.cast(asked, losses.dtype)      # (batch, time)
        return tf.reduce_sum(losses * weight) / tf.reduce_sum(weight)

    return loss


def _reader(model: TFTransformer) -> Callable:
    """The model compiled for generation, once: (tokens, keys, values) -> logits, keys, values."""
    if not hasattr(model, "_compiled_reader"):
        c = model.config
        past = [tf.TensorSpec((None, None, c.kv_heads, c.head_width), c.dtype)] * c.layers

        @tf.function(input_signature=[tf.TensorSpec((None, None), tf.int64), past, past])
        def read(tokens, keys, values):
            cache = TFCache(c, 1)
            cache.keys, cache.values = list(keys), list(values)
            hidden = model(tokens, cache=cache)[:, -1:]
            return model.logits(hidden)[:, 0], cache.keys, cache.values

        model._compiled_reader = read
    return model._compiled_reader


def generate_tf(
    model: TFTransformer, tokens: np.ndarray, steps: int,
    random: np.random.Generator, sampling: Sampling = Sampling(), cache: bool = True,
) -> np.ndarray:
    """Write ``steps`` tokens after ``tokens`` (batch, time); returns both, (batch, time + steps).

    Where the context is full, its last half stays and the model reads on from there. With
    ``cache`` each token is read once; without, the whole window again for each. Dropout is off.
    """
    config, read_tokens = model.config, _reader(model)
    tokens = check_tokens(tokens, config.vocabulary)
    if tokens.ndim != 2 or not tokens.size:
        raise ValueError(f"tokens have shape {tokens.shape}; give (batch, time), a token at least")
    start, kept = max(0, tokens.shape[1] - config.context), None
    for _ in range(steps):
        if tokens.shape[1] - start > config.context:
            start, kept = tokens.shape[1] - max(1, config.context // 2), None
        if kept is None or not cache:
            kept, read = TFCache(config, len(tokens)), start
        new = tf.constant(tokens[:, read:], tf.int64)
        logits, kept.keys, kept.values = read_tokens(new, kept.keys, kept.values)
        read = tokens.shape[1]
        logits = tf.cast(logits, tf.float64).numpy()
        chosen = [draw(token_probabilities(row, sampling), random) for row in logits]
        tokens = np.concatenate([tokens, np.array(chosen, tokens.dtype)[:, None]], axis=1)
    return tokens
