"""One Transformer for GPT, BERT and their kin; twin of course_lib/tensorflow/transformer.py."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from course_lib.scratch.sampling import Sampling, draw, token_probabilities
from course_lib.scratch.transformer import TransformerConfig, check_tokens


def _linear(inputs: int, outputs: int, config: TransformerConfig, std: float, bias=None):
    bias = config.bias if bias is None else bias
    layer = nn.Linear(inputs, outputs, bias, dtype=getattr(torch, config.dtype))
    nn.init.normal_(layer.weight, std=std)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


def _embedding(rows: int, config: TransformerConfig):
    layer = nn.Embedding(rows, config.width, dtype=getattr(torch, config.dtype))
    nn.init.normal_(layer.weight, std=config.std)
    return layer


def _norm(config: TransformerConfig):
    kind, epsilon = getattr(torch, config.dtype), config.norm_epsilon
    if config.norm == "rms":
        return nn.RMSNorm(config.width, epsilon, dtype=kind)
    return nn.LayerNorm(config.width, epsilon, bias=config.bias, dtype=kind)


def _angles(positions: torch.Tensor, pairs: int, base: float, dtype) -> torch.Tensor:
    """How far pair i has turned at each position: position / base^(i / pairs), (time, pairs)."""
    pair = torch.arange(pairs, device=positions.device, dtype=dtype)
    return positions[:, None].to(dtype) * base ** (-pair / pairs)


def _rotate(x: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
    """Turn feature i of a head's first half and i of its second by their angle (Su 2021, 3.2)."""
    first, second = x.chunk(2, dim=-1)             # (batch, heads, time, head width / 2)
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


class TorchCache:
    """Keys and values of the tokens read so far, for each layer: generation needs no others."""

    def __init__(self, config: TransformerConfig, batch: int):
        if not config.causal:
            raise ValueError("a cache needs causal=True: later tokens would change earlier ones")
        room = (batch, config.kv_heads, 0, config.head_width)
        self.keys = [torch.zeros(room, dtype=getattr(torch, config.dtype))] * config.layers
        self.values = list(self.keys)

    @property
    def length(self) -> int:
        return self.keys[-1].shape[2]

    def extend(self, layer: int, k: torch.Tensor, v: torch.Tensor):
        """Add those of the new tokens; return all, (batch, key–value heads, time, head width)."""
        self.keys[layer] = torch.cat([self.keys[layer].to(k.device), k], dim=2)
        self.values[layer] = torch.cat([self.values[layer].to(v.device), v], dim=2)
        return self.keys[layer], self.values[layer]


class TorchAttention(nn.Module):
    """Multi-head attention (Vaswani et al. 2017, section 3.2), heads grouped or not."""

    def __init__(self, config: TransformerConfig, layer: int):
        super().__init__()
        self.config, self.layer = config, layer
        both = (config.heads + 2 * config.kv_heads) * config.head_width
        self.qkv = _linear(config.width, both, config, config.std)
        self.out = _linear(config.width, config.width, config, config.residual_std)

    def forward(self, x, visible, angles, cache):
        c = self.config
        x = self.qkv(x).unflatten(2, (-1, c.head_width)).transpose(1, 2)
        q, k, v = x.split([c.heads, c.kv_heads, c.kv_heads], dim=1)
        if angles is not None:                     # (batch, heads, time, head width)
            q, k = _rotate(q, angles), _rotate(k, angles)
        if cache is not None:
            k, v = cache.extend(self.layer, k, v)
        mixed = F.scaled_dot_product_attention(
            q, k, v, visible, is_causal=c.causal and visible is None,
            enable_gqa=c.heads != c.kv_heads)
        return self.out(mixed.transpose(1, 2).flatten(2))     # (batch, time, width)


class TorchFeedForward(nn.Module):
    """Two layers for each token by itself; with SwiGLU a third one gates (Shazeer 2020)."""

    def __init__(self, config: TransformerConfig, layer: int):
        super().__init__()
        self.activation = config.activation
        self.up = _linear(config.width, config.hidden, config, config.std)
        if self.activation == "swiglu":
            self.gate = _linear(config.width, config.hidden, config, config.std)
        self.down = _linear(config.hidden, config.width, config, config.residual_std)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.activation == "swiglu":
            return self.down(F.silu(self.gate(x)) * self.up(x))
        tanh = "tanh" if self.activation == "gelu_tanh" else "none"
        return self.down(F.gelu(self.up(x), approximate=tanh))


class TorchBlock(nn.Module):
    """Attention, then the feed-forward network, each added to what came in."""

    def __init__(self, config: TransformerConfig, layer: int):
        super().__init__()
        self.pre_norm = config.pre_norm
        self.norm1, self.norm2 = _norm(config), _norm(config)
        self.attention = TorchAttention(config, layer)
        self.ffn = TorchFeedForward(config, layer)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x, visible, angles, cache):
        if self.pre_norm:
            mixed = self.attention(self.norm1(x), visible, angles, cache)
            x = x + self.dropout(mixed)
            return x + self.dropout(self.ffn(self.norm2(x)))
        mixed = self.attention(x, visible, angles, cache)
        x = self.norm1(x + self.dropout(mixed))
        return self.norm2(x + self.dropout(self.ffn(x)))


class TorchTransformer(nn.Module):
    """Tokens (batch, time) -> hidden states (batch, time, width); ``logits`` go on from there.

    ``mask`` (batch, time), True for a real token, hides padding. ``segments`` (batch, time) are
    kinds of segment, 0 where not given. With ``cache`` the tokens go on after those it holds.

    Raises ``ValueError`` where tokens are no (batch, time) of whole numbers, too long, or (seen on
    the CPU) no ids; where a mask or segments do not fit them.
    """

    def __init__(self, config: TransformerConfig):
        super().__init__()
        self.config = c = config
        self.embedding = _embedding(c.vocabulary, c)
        if c.positions == "learned":
            self.position_embedding = _embedding(c.context, c)
        if c.segments:
            self.segment_embedding = _embedding(c.segments, c)
        if c.embedding_norm:
            self.embedding_norm = _norm(c)
        self.dropout = nn.Dropout(c.dropout)
        self.blocks = nn.ModuleList(TorchBlock(c, layer) for layer in range(c.layers))
        if c.final_norm:
            self.final_norm = _norm(c)
        if c.mlm_head:
            self.mlm_dense = _linear(c.width, c.width, c, c.std)
            self.mlm_norm = _norm(c)
            kind = self.embedding.weight.dtype     # one number a token
            self.mlm_bias = nn.Embedding(c.vocabulary, 1, dtype=kind)
            nn.init.zeros_(self.mlm_bias.weight)
        if not c.tied:
            self.head = _linear(c.width, c.vocabulary, c, c.std, bias=False)

    def forward(self, tokens, mask=None, segments=None, cache=None) -> torch.Tensor:
        past = 0 if cache is None else cache.length
        self._check(tokens, mask, segments, cache, past)
        seen = past + tokens.shape[1]
        positions = torch.arange(past, seen, device=tokens.device)
        x = self._embed(tokens, positions, segments)
        visible = angles = None
        if mask is not None or cache is not None:  # (batch or 1, 1, time, seen)
            keys = torch.arange(seen, device=tokens.device)
            visible = (keys <= positions[:, None]) | (not self.config.causal)
            if mask is not None:                   # padding sees itself: no empty row
                visible = visible & (mask[:, None] | (keys == positions[:, None]))
            visible = visible.view(-1, 1, *visible.shape[-2:])
        if self.config.positions == "rotary":
            pairs = self.config.head_width // 2
            angles = _angles(positions, pairs, self.config.rotary_base, x.dtype)
        for block in self.blocks:
            x = block(x, visible, angles, cache)
        return self.final_norm(x) if self.config.final_norm else x

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Hidden states (batch, time, width) -> logits (batch, time, vocabulary)."""
        bias = None
        if self.config.mlm_head:
            hidden = self.mlm_norm(F.gelu(self.mlm_dense(hidden)))
            bias = self.mlm_bias.weight[:, 0]
        weight = self.embedding.weight if self.config.tied else self.head.weight
        return F.linear(hidden, weight, bias)

    def _embed(self, tokens, positions, segments):
        c, x = self.config, self.embedding(tokens) * self.config.embedding_scale
        if c.segments:
            kinds = torch.zeros_like(tokens) if segments is None else segments
            x = x + self.segment_embedding(kinds)
        if c.positions == "learned":
            x = x + self.position_embedding(positions)
        if c.positions == "sinusoidal":            # sin, cos, sin, … (Vaswani 2017, section 3.5)
            angles = _angles(positions, c.width // 2, 10000.0, x.dtype)
            x = x + torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)
        return self.dropout(self.embedding_norm(x) if c.embedding_norm else x)

    def _check(self, tokens, mask, segments, cache, past):
        if tokens.ndim != 2 or tokens.is_floating_point():
            raise ValueError(f"tokens are {tokens.dtype} {tuple(tokens.shape)};"
                             " give whole numbers (batch, time)")
        if past + tokens.shape[1] > self.config.context:
            raise ValueError(f"{past + tokens.shape[1]} tokens, but the context is"
                             f" {self.config.context}: cut the sequence, or build with a longer"
                             " one")
        if mask is not None and (mask.dtype != torch.bool or mask.shape != tokens.shape):
            raise ValueError(f"mask is {mask.dtype} {tuple(mask.shape)}; give bool"
                             f" {tuple(tokens.shape)}, True for a real token")
        if segments is not None and (not self.config.segments or segments.shape != tokens.shape):
            raise ValueError(f"segments {tuple(segments.shape)}: give {tuple(tokens.shape)}, and"
                             f" build with segments >= 1 (here {self.config.segments})")
        if mask is not None and cache is not None:
            raise ValueError("give mask or cache, not both: a cache holds no padding")
        if tokens.device.type == "cpu" and not torch.compiler.is_compiling():
            check_tokens(tokens.numpy(), self.config.vocabulary)  # elsewhere it would stall


def token_loss_torch(
    model: TorchTransformer, ignored: int = -100, asked_only: bool = False
) -> Callable:
    """The loss (hidden, targets) -> scalar: mean cross-entropy, targets ``ignored`` left out.

    ``asked_only`` takes no logits for those left out: faster where most are, but a GPU waits until
    it knows how many.
    """
    def loss(hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if asked_only:
            asked = targets != ignored
            hidden, targets = hidden[asked][None], targets[asked]
        logits = model.logits(hidden)              # (batch, time, vocabulary)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=ignored)

    return loss


@torch.inference_mode()
def generate_torch(
    model: TorchTransformer, tokens: np.ndarray, steps: int,
    random: np.random.Generator, sampling: Sampling = Sampling(), cache: bool = True,
) -> np.ndarray:
    """Write ``steps`` tokens after ``tokens`` (batch, time); returns both, (batch, time + steps).

    Where the context is full, its last half stays and the model reads on from there. With
    ``cache`` each token is read once; without, the whole window again for each. Dropout is off.
    """
    config, device = model.config, model.embedding.weight.device
    tokens = check_tokens(tokens, config.vocabulary)
    if tokens.ndim != 2 or not tokens.size:
        raise ValueError(f"tokens have shape {tokens.shape}; give (batch, time), a token at least")
    training, start, kept = model.training, max(0, tokens.shape[1] - config.context), None
    model.eval()
    for _ in range(steps):
        if tokens.shape[1] - start > config.context:
            start, kept = tokens.shape[1] - max(1, config.context // 2), None
        if cache and kept is None:
            kept, read = TorchCache(config, len(tokens)), start
        new = torch.from_numpy(tokens[:, read if cache else start:]).to(device)
        hidden = model(new, cache=kept)[:, -1:]
        logits = model.logits(hidden)[:, 0].double().cpu().numpy()
        read = tokens.shape[1]
        chosen = [draw(token_probabilities(row, sampling), random) for row in logits]
        tokens = np.concatenate([tokens, np.array(chosen, tokens.dtype)[:, None]], axis=1)
    model.train(training)
    return tokens
