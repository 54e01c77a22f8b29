"""`Llama`: decoders with RMS norms, rotary positions and gated feed-forward parts.

Source: Touvron et al. 2023, "LLaMA"; names of weights as in Hugging Face's `LlamaForCausalLM`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn import activations, ops
from fastnn.applications.language import Array, LanguageModel, SelfAttention
from fastnn.base.typing import TensorLike
from fastnn.layers import Dense, Embedding, RMSNormalization
from fastnn.layers.base.layer import Layer
from fastnn.layers.transformer.positions import rotary_rates
from fastnn.tracing.variables import Variable

__all__ = ["Llama"]


class _Block(Layer):
    gate: Any
    up: Any
    down: Any

    def __init__(self, heads: int, shared: int, hidden: int, rope: float, pairs: bool,
                 scaling: dict[str, Any] | None, epsilon: float, **kwargs: Any
                 ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self.attention_norm = RMSNormalization(epsilon=epsilon, name="attention_norm")
        self.attention = SelfAttention(heads, shared, False, rope, pairs, scaling, name="attention")
        self.hidden = hidden
        self.ffn_norm = RMSNormalization(epsilon=epsilon, name="ffn_norm")

    def build(self, input_shape: Any) -> None:
        """Norms, attention, and the three products of the feed-forward part."""
        width = input_shape[-1]
        for layer in (self.attention_norm, self.ffn_norm, self.attention):
            layer.build(input_shape)
        for name, size, into in (("gate", self.hidden, width), ("up", self.hidden, width),
                                 ("down", width, self.hidden)):  # fmt: skip
            dense = Dense(size, use_bias=False, name=name)
            dense.build((None, None, into))
            setattr(self, name, dense)
        self.built = True

    def call(self, x: TensorLike, start: Any = 0, cache: Any = None) -> Any:
        """The block's output for `x` (batch, steps, width)."""
        x = x + self.attention(self.attention_norm(x), start, cache)
        y = self.ffn_norm(x)
        return x + self.down(activations.silu(self.gate(y)) * self.up(y))


class Llama(LanguageModel):
    """A decoder of Llama's kind: token numbers to scores of the next token.

    Shapes: (batch, steps) of int32 -> (batch, steps, vocabulary_size).

    Args:
        vocabulary_size: The number of tokens.
        width: The size of a token's vector.
        layer_count: The number of blocks.
        heads: The number of query heads.
        shared_heads: The number of heads of keys and values; None: as many as queries.
        hidden: The width of the feed-forward part.
        max_length: The most tokens of a text.
        rope: The base of the rotary positions.
        interleaved: Whether neighbours are turned together (llama2.c), not halves (Hugging Face).
        epsilon: Added to the mean square in the norms.
        tied: Whether scores use the table of the embeddings.
        rope_scaling: How the angles of positions are stretched for longer texts, as in Hugging
            Face's configs: `rope_type` "linear", "llama3" or "yarn" with their numbers.
        **kwargs: `name` and what else every model takes.

    Example:
        >>> model = fastnn.applications.Llama(32, 16, 2, heads=4, hidden=24, max_length=8)
        >>> model(np.array([[1, 2, 3]])).shape
        (1, 3, 32)
    """

    vocabulary_size: int
    width: int
    layer_count: int
    heads: int
    shared_heads: int
    hidden: int
    max_length: int
    rope: float
    interleaved: bool
    epsilon: float
    tied: bool
    embedding: Embedding
    blocks: list[_Block]
    norm: RMSNormalization
    head: Dense | None

    ignored: tuple[str, ...] = ("rotary_emb.inv_freq", "lm_head.weight")

    def __init__(
        self,
        vocabulary_size: int,
        width: int,
        layer_count: int,
        heads: int,
        shared_heads: int | None = None,
        hidden: int | None = None,
        max_length: int = 2048,
        rope: float = 10000.0,
        interleaved: bool = False,
        epsilon: float = 1e-5,
        tied: bool = True,
        rope_scaling: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.vocabulary_size, self.width, self.layer_count = vocabulary_size, width, layer_count
        self.heads, self.shared_heads = heads, shared_heads or heads
        self.hidden, self.max_length = hidden or 4 * width, max_length
        self.rope, self.interleaved, self.epsilon, self.tied = rope, interleaved, epsilon, tied
        self.rope_scaling = rope_scaling
        rotary_rates(width // heads, rope, rope_scaling)  # refuses what is not there
        self.embedding = Embedding(vocabulary_size, width, name="embedding")
        self.blocks = [
            _Block(heads, self.shared_heads, self.hidden, rope, interleaved, rope_scaling, epsilon,
                   name=f"block_{i}")
            for i in range(layer_count)
        ]  # fmt: skip
        self.norm = RMSNormalization(epsilon=epsilon, name="norm")
        self.head = None if tied else Dense(vocabulary_size, use_bias=False, name="head")

    def scores(self, tokens: Any, start: Any = 0, caches: Any = None) -> Any:
        """Scores (batch, steps, tokens) of the next tokens."""
        x = self.embedding(tokens)
        for i, block in enumerate(self.blocks):
            x = block(x, start, None if caches is None else caches[i])
        x = self.norm(x)
        if self.head is not None:
            return self.head(x)
        return ops.matmul(x, ops.transpose(self.embedding.embeddings.value))

    def _table(self) -> Variable:
        found: Variable = self.embedding.embeddings
        return found

    def layout(self) -> list[tuple[Variable, list[str], Callable[[Array], Array]]]:
        """The names of Hugging Face's layout; its products are transposed."""
        same, turn = np.asarray, np.transpose
        found: list[Any] = [
            (self.embedding.embeddings, ["model.embed_tokens.weight"], same),
            (self.norm.scale, ["model.norm.weight"], same),
        ]
        for i, block in enumerate(self.blocks):
            at, attention = f"model.layers.{i}", block.attention
            rows = [
                (block.attention_norm.scale, "input_layernorm", same),
                (block.ffn_norm.scale, "post_attention_layernorm", same),
                (attention.query_dense.kernel, "self_attn.q_proj", turn),
                (attention.key_dense.kernel, "self_attn.k_proj", turn),
                (attention.value_dense.kernel, "self_attn.v_proj", turn),
                (attention.output_dense.kernel, "self_attn.o_proj", turn),
                (block.gate.kernel, "mlp.gate_proj", turn),
                (block.up.kernel, "mlp.up_proj", turn),
                (block.down.kernel, "mlp.down_proj", turn),
            ]
            found += [(v, [f"{at}.{name}.weight"], change) for v, name, change in rows]
        if self.head is not None:
            found.append((self.head.kernel, ["lm_head.weight"], turn))
        return found
