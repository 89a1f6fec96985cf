"""What one Transformer can be: its switches, and its parameters and FLOPs counted by hand.

The same configuration builds ``course_lib.pytorch.transformer.TorchTransformer`` and
``course_lib.tensorflow.transformer.TFTransformer``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CHOICES = {
    "positions": ("learned", "rotary", "sinusoidal"),
    "norm": ("layer", "rms"),
    "activation": ("gelu", "gelu_tanh", "swiglu"),
}


@dataclass(frozen=True)
class TransformerConfig:
    """The switches of a Transformer; as they stand, those of a small GPT-2.

    Raises ``ValueError`` where they do not fit together.
    """

    vocabulary: int                      # token ids are 0 … vocabulary - 1
    width: int = 64                      # features of a token between the blocks
    layers: int = 2                      # blocks
    heads: int = 4                       # query heads; each is width / heads wide
    key_value_heads: int | None = None   # None: as many as heads; fewer: grouped (Ainslie 2023)
    context: int = 64                    # the longest sequence, in tokens
    ffn_width: int | None = None         # None: 4 × width
    causal: bool = True                  # a token sees itself and those before it
    pre_norm: bool = True                # normalise before a sublayer (GPT-2) or after (2017)
    final_norm: bool = True              # one more norm after the last block
    positions: str = "learned"           # "learned", "rotary" (Su 2021), "sinusoidal" (2017)
    rotary_base: float = 10000.0         # the slowest pair turns by 1 / base a token
    norm: str = "layer"                  # "layer" (Ba 2016) or "rms" (Zhang 2019)
    norm_epsilon: float = 1e-5           # added to the variance
    activation: str = "gelu_tanh"        # "gelu", "gelu_tanh" (GPT-2), "swiglu" (Shazeer 2020)
    bias: bool = True                    # biases in linear layers and layer norms
    tied: bool = True                    # the output layer is the embedding (Press 2017)
    segments: int = 0                    # kinds of segment (BERT 2); 0: no segment embedding
    embedding_norm: bool = False         # normalise the sum of embeddings (BERT)
    embedding_scale: float = 1.0         # times the token embedding (2017: √width)
    mlm_head: bool = False               # dense, GELU, norm and a bias before the logits (BERT)
    dropout: float = 0.0                 # on the embeddings and on each sublayer's output
    initial_std: float | None = None     # of all weights; None: 0.02 · √(768 / width)
    dtype: str = "float32"               # of the parameters: "float32", "float64", …

    def __post_init__(self):
        sizes = ("vocabulary", "width", "layers", "heads", "context", "kv_heads", "hidden")
        for name in sizes:
            size = getattr(self, name)
            if not isinstance(size, (int, np.integer)) or size < 1:
                raise ValueError(f"{name} is {size!r}; give a whole number, 1 or more")
        if self.width % self.heads:
            raise ValueError(
                f"width {self.width} is not a multiple of heads {self.heads}: each head takes an"
                f" equal share; try {self.width // self.heads * self.heads or self.heads}")
        if self.heads % self.kv_heads:
            raise ValueError(
                f"heads {self.heads} is not a multiple of key_value_heads {self.kv_heads}: each"
                " key–value head serves an equal group of query heads")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it can be {choices}")
        if self.positions == "rotary" and self.head_width % 2:
            raise ValueError(
                f"rotary positions turn pairs: width / heads is {self.head_width}, give an even"
                " one")
        if self.positions == "sinusoidal" and self.width % 2:
            raise ValueError(f"sinusoidal positions come in pairs: width {self.width} is odd")
        if not 0 <= self.dropout < 1 or self.segments < 0 or self.norm_epsilon <= 0:
            raise ValueError(
                f"give 0 <= dropout < 1, segments >= 0, norm_epsilon > 0; got {self.dropout},"
                f" {self.segments}, {self.norm_epsilon}")

    @property
    def kv_heads(self) -> int:
        """Heads of keys and values."""
        return self.heads if self.key_value_heads is None else self.key_value_heads

    @property
    def head_width(self) -> int:
        """Features of one head."""
        return self.width // self.heads

    @property
    def hidden(self) -> int:
        """Features between the two layers of the feed-forward network."""
        return 4 * self.width if self.ffn_width is None else self.ffn_width

    @property
    def std(self) -> float:
        """Standard deviation of the weights at the start.

        GPT-2's 0.02 belongs to its width, 768: a layer then makes 0.02 · √768 = 0.55 of an input
        of 1. The same output at another width takes 0.02 · √(768 / width).
        """
        return 0.02 * (768 / self.width) ** 0.5 if self.initial_std is None else self.initial_std

    @property
    def residual_std(self) -> float:
        """The same for the two layers a block that write to the residual stream.

        Where nothing normalises the stream, 2 · layers outputs add up: GPT-2 divides by the root
        of their number (Radford et al. 2019, section 2.3).
        """
        return self.std / (2 * self.layers) ** 0.5 if self.pre_norm else self.std


def gpt_config(vocabulary: int, **switches) -> TransformerConfig:
    """GPT-2's switches (Radford et al. 2019); its smallest: width 768, 12 layers and heads."""
    return TransformerConfig(vocabulary, **switches)


def bert_config(vocabulary: int, **switches) -> TransformerConfig:
    """BERT's switches (Devlin et al. 2019): every token sees all, norms after the sublayers."""
    bert = {"causal": False, "pre_norm": False, "final_norm": False, "activation": "gelu",
            "segments": 2, "embedding_norm": True, "norm_epsilon": 1e-12, "mlm_head": True}
    return TransformerConfig(vocabulary, **bert | switches)


def check_tokens(tokens: np.ndarray, vocabulary: int) -> np.ndarray:
    """The tokens, if all are ids of the vocabulary.

    On a GPU an id out of range ends in a device-side assert (PyTorch) or in zeros (TensorFlow):
    check where the ids are made, before they travel.

    Raises
    ------
    ValueError
        If they are no whole numbers, or not in 0 … vocabulary - 1.
    """
    tokens = np.asarray(tokens)
    if tokens.dtype.kind not in "iu":
        raise ValueError(f"tokens are {tokens.dtype}; give whole numbers, such as int64")
    if tokens.size and (tokens.min() < 0 or tokens.max() >= vocabulary):
        raise ValueError(
            f"token ids reach from {tokens.min()} to {tokens.max()}, but the vocabulary has ids"
            f" 0 … {vocabulary - 1}; was the text encoded by another tokenizer?")
    return tokens


def _matrices(config: TransformerConfig) -> tuple[int, int]:
    """Weights that multiply every token: in all blocks, and in the output."""
    c = config
    attention = c.width * (c.heads + 2 * c.kv_heads) * c.head_width + c.width**2
    ffn = c.width * c.hidden * (3 if c.activation == "swiglu" else 2)
    output = c.vocabulary * c.width + c.mlm_head * c.width**2
    return c.layers * (attention + ffn), output


def count_params(config: TransformerConfig) -> int:
    """Trainable parameters; a tied output layer counts once."""
    c = config
    blocks, output = _matrices(c)
    norm = c.width * (2 if c.norm == "layer" and c.bias else 1)
    ffn_bias = c.hidden * (2 if c.activation == "swiglu" else 1) + c.width
    biases = c.bias * ((c.heads + 2 * c.kv_heads) * c.head_width + c.width + ffn_bias)
    embeddings = c.width * (c.segments + (c.context if c.positions == "learned" else 0))
    embeddings += 0 if c.tied else c.vocabulary * c.width
    head = c.mlm_head * (norm + c.width * c.bias + c.vocabulary)
    norms = norm * (2 * c.layers + c.embedding_norm + c.final_norm)
    return blocks + output + c.layers * biases + embeddings + head + norms


def training_flops(config: TransformerConfig, batch: int, time: int) -> int:
    """Floating-point operations of the matrix products of one training step.

    A product of (n, k) and (k, m) takes 2 n k m. The backward pass takes two of that size for each
    of the forward pass, so a step takes 6 a weight and token (Kaplan et al. 2020, section 2.1),
    and 12 · width · time a token and layer for the scores and the mixing of values. Attention is
    counted in full: a kernel may leave out the half that a causal mask hides.
    """
    attention = config.layers * 2 * config.width * time
    return 6 * batch * time * (sum(_matrices(config)) + attention)
