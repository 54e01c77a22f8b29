"""`GPT`: decoders with layer norms, learned positions and GELU, as GPT-2.

Source: Radford et al. 2019; names of weights as in Hugging Face's `GPT2LMHeadModel`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn import activations, ops
from fastnn.applications.language import Array, LanguageModel, SelfAttention
from fastnn.base.typing import TensorLike
from fastnn.layers import Dense, Dropout, Embedding, LayerNormalization
from fastnn.layers.base.layer import Layer
from fastnn.tracing.variables import Variable

__all__ = ["GPT"]


class _Block(Layer):
    def __init__(self, heads: int, hidden: int, epsilon: float, dropout: float, **kw: Any) -> None:
        super().__init__(**kw)
        self.attention_norm = LayerNormalization(epsilon=epsilon, name="attention_norm")
        self.attention = SelfAttention(heads, heads, True, name="attention")
        self.ffn_norm = LayerNormalization(epsilon=epsilon, name="ffn_norm")
        self.hidden = hidden
        self.drop = Dropout(dropout) if dropout else None

    def build(self, input_shape: Any) -> None:
        """Norms, attention, and the two products of the feed-forward part."""
        width = input_shape[-1]
        for layer in (self.attention_norm, self.ffn_norm, self.attention):
            layer.build(input_shape)
        self.wide, self.narrow = Dense(self.hidden, name="wide"), Dense(width, name="narrow")
        self.wide.build((None, None, width))
        self.narrow.build((None, None, self.hidden))
        self.built = True

    def call(self, x: TensorLike, start: Any = 0, cache: Any = None) -> Any:
        """The block's output for `x` (batch, steps, width)."""
        x = x + self._dropped(self.attention(self.attention_norm(x), start, cache))
        y = activations.gelu(self.wide(self.ffn_norm(x)), approximate=True)
        return x + self._dropped(self.narrow(y))

    def _dropped(self, x: TensorLike) -> Any:
        return x if self.drop is None else self.drop(x)


class GPT(LanguageModel):
    """A decoder of GPT-2's kind: token numbers to scores of the next token.

    Shapes: (batch, steps) of int32 -> (batch, steps, vocabulary_size). The scores use the table of
    the embeddings.

    Args:
        vocabulary_size: The number of tokens.
        width: The size of a token's vector.
        layer_count: The number of blocks.
        heads: The number of heads.
        max_length: The most tokens of a text.
        hidden: The width of the feed-forward part; None: four times `width`.
        dropout: Share that is dropped in training after each part.
        epsilon: Added to the variance in the norms.
        **kwargs: `name` and what else every model takes.

    Example:
        >>> model = fastnn.applications.GPT(32, 16, 2, heads=4, max_length=8)
        >>> model(np.array([[1, 2, 3]])).shape
        (1, 3, 32)
    """

    vocabulary_size: int
    width: int
    layer_count: int
    shared_heads: int
    max_length: int
    hidden: int
    dropout: float
    epsilon: float
    embedding: Embedding
    position: Embedding
    drop: Dropout | None
    blocks: list[_Block]
    norm: LayerNormalization

    ignored: tuple[str, ...] = ("attn.bias", "attn.masked_bias", "lm_head.weight")

    def __init__(
        self,
        vocabulary_size: int,
        width: int,
        layer_count: int,
        heads: int,
        max_length: int = 1024,
        hidden: int | None = None,
        dropout: float = 0.0,
        epsilon: float = 1e-5,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.vocabulary_size, self.width, self.layer_count = vocabulary_size, width, layer_count
        self.heads = self.shared_heads = heads
        self.max_length, self.hidden = max_length, hidden or 4 * width
        self.dropout, self.epsilon = dropout, epsilon
        first: dict[str, Any] = {"embeddings_initializer": "normal"}
        self.embedding = Embedding(vocabulary_size, width, name="embedding", **first)
        self.position = Embedding(max_length, width, name="position", **first)
        self.drop = Dropout(dropout) if dropout else None
        self.blocks = [
            _Block(heads, self.hidden, epsilon, dropout, name=f"block_{i}")
            for i in range(layer_count)
        ]
        self.norm = LayerNormalization(epsilon=epsilon, name="norm")

    def scores(self, tokens: Any, start: Any = 0, caches: Any = None) -> Any:
        """Scores (batch, steps, tokens) of the next tokens."""
        at = ops.arange(ops.shape(tokens)[1], dtype="int32") + start
        x = self.embedding(tokens) + self.position(at)
        x = x if self.drop is None else self.drop(x)
        for i, block in enumerate(self.blocks):
            x = block(x, start, None if caches is None else caches[i])
        return ops.matmul(self.norm(x), ops.transpose(self.embedding.embeddings.value))

    def _table(self) -> Variable:
        found: Variable = self.embedding.embeddings
        return found

    def layout(self) -> list[tuple[Variable, list[str], Callable[[Array], Array]]]:
        """The names of Hugging Face's layout; queries, keys and values are parts of one array."""
        same = np.asarray

        def part(i: int) -> Callable[[Array], Array]:
            return lambda a: np.split(a, 3, axis=-1)[i]

        found: list[Any] = []

        def row(v: Variable, name: str, change: Any = same) -> None:
            found.append((v, [name, f"transformer.{name}"], change))

        row(self.embedding.embeddings, "wte.weight")
        row(self.position.embeddings, "wpe.weight")
        for norm, name in ((self.norm, "ln_f"),):
            row(norm.gamma, f"{name}.weight")
            row(norm.beta, f"{name}.bias")
        for i, block in enumerate(self.blocks):
            at, attention = f"h.{i}", block.attention
            for norm, name in ((block.attention_norm, "ln_1"), (block.ffn_norm, "ln_2")):
                row(norm.gamma, f"{at}.{name}.weight")
                row(norm.beta, f"{at}.{name}.bias")
            dense = (attention.query_dense, attention.key_dense, attention.value_dense)
            for j, d in enumerate(dense):
                row(d.kernel, f"{at}.attn.c_attn.weight", part(j))
                row(d.bias, f"{at}.attn.c_attn.bias", part(j))
            for d, name in (
                (attention.output_dense, "attn.c_proj"), (block.wide, "mlp.c_fc"),
                (block.narrow, "mlp.c_proj"),
            ):  # fmt: skip
                row(d.kernel, f"{at}.{name}.weight")
                row(d.bias, f"{at}.{name}.bias")
        return found
