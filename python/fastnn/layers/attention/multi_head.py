"""`MultiHeadAttention`. Depends on `heads`.

Source: Vaswani et al. 2017, "Attention is all you need".
"""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from typing import Any

from fastnn import ops
from fastnn.base.typing import Identifier, TensorLike
from fastnn.layers.attention.heads import HeadedAttention, check_shapes, positive

__all__ = ["MultiHeadAttention"]


class MultiHeadAttention(HeadedAttention):
    """Attention with several heads: each sees keys and values through projections of its own.

    Shapes: query (batch, queries, features), value and key (batch, keys, features) -> (batch,
    queries, features of the query or `output_shape`). Weights of `query`, `key` and `value`
    (features, heads, size of a head) and of `attention_output`. Masks of the inputs are taken; a
    query that may see nothing attends to all keys alike.

    Args:
        num_heads: The number of heads.
        key_dim: The size of a head of queries and keys.
        value_dim: The size of a head of values; None: `key_dim`.
        dropout: Share of the attention that is dropped in training.
        use_bias: Whether the projections have biases.
        output_shape: Sizes of the output after the last projection; None: those of the query.
        attention_axes: The axes that attention runs over; None: all between batch and features.
        sliding_window: How near a key must be to be seen, in positions; None: no bound.
        flash_attention: Taken for Keras's sake; there is one implementation.
        kernel_initializer: First values of the kernels: a name, a config or an `Initializer`.
        bias_initializer: First values of the biases.
        kernel_regularizer: Penalty on the kernels, added to the loss.
        bias_regularizer: Penalty on the biases, added to the loss.
        activity_regularizer: Penalty on the outputs of the projections, added to the loss.
        kernel_constraint: What the kernels are brought back to after each step.
        bias_constraint: What the biases are brought back to after each step.
        use_gate: Whether a sigmoid of the query scales what the heads give.
        seed: Seed of the dropout.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ValueError: A size is not a positive whole number, or keys and values do not go together.

    Example:
        >>> layer = fastnn.layers.MultiHeadAttention(num_heads=2, key_dim=4)
        >>> x = np.ones((1, 3, 8))
        >>> layer(x, x, use_causal_mask=True).shape
        (1, 3, 8)
        >>> layer(x, x, return_attention_scores=True)[1].shape
        (1, 2, 3, 3)
    """

    num_heads: int
    key_dim: int
    value_dim: int
    output_sizes: tuple[int, ...] | None

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: Sequence[int] | int | None = None,
        attention_axes: Sequence[int] | int | None = None,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: Identifier = "glorot_uniform",
        bias_initializer: Identifier = "zeros",
        kernel_regularizer: Identifier = None,
        bias_regularizer: Identifier = None,
        activity_regularizer: Identifier = None,
        kernel_constraint: Identifier = None,
        bias_constraint: Identifier = None,
        use_gate: bool = False,
        seed: Any = None,
        **kwargs: Any,
    ) -> None:
        positive("num_heads", num_heads)
        positive("key_dim", key_dim)
        positive("value_dim", value_dim, none=True)
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self._set(
            dropout, sliding_window, flash_attention, kernel_first=kernel_initializer,
            bias_first=bias_initializer, kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer, kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint, num_heads=num_heads, key_dim=key_dim,
            value_dim=value_dim or key_dim, use_bias=use_bias, use_gate=use_gate, seed=seed,
        )  # fmt: skip
        if isinstance(output_shape, int):
            output_shape = (output_shape,)
        if output_shape is not None and not isinstance(output_shape, list | tuple):
            raise ValueError(
                f"Invalid `output_shape`: {output_shape}. When specified, the `output_shape` "
                "should be of type tuple, list, or int.\n  hint: output_shape=(64,)"
            )
        self.output_sizes = tuple(output_shape) if output_shape else None
        if isinstance(attention_axes, int):
            attention_axes = (attention_axes,)
        if attention_axes is not None and not isinstance(attention_axes, list | tuple):
            raise ValueError(
                "`attention_axes` must be an int, list, or tuple."
                f"Received: attention_axes={attention_axes}\n  hint: attention_axes=(1,)"
            )
        self.attention_axes = attention_axes
        self._inverse_sqrt_key_dim = 1.0 / math.sqrt(float(key_dim))

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        config = super().get_config()
        config.pop("flash_attention", None)
        return {**config, "output_shape": self.output_sizes and list(self.output_sizes)}

    @property
    def query_dense(self) -> Any:
        """The projection of queries."""
        return self._query_dense

    @property
    def key_dense(self) -> Any:
        """The projection of keys."""
        return self._key_dense

    @property
    def value_dense(self) -> Any:
        """The projection of values."""
        return self._value_dense

    @property
    def output_dense(self) -> Any:
        """The projection of what the heads give."""
        return self._output_dense

    def build(self, query_shape: Any, value_shape: Any, key_shape: Any = None) -> None:
        """The projections, for the sizes of the last axes."""
        key_shape = value_shape if key_shape is None else key_shape
        check_shapes(query_shape, value_shape, key_shape)
        for name, shape, size in (
            ("query", query_shape, self.key_dim), ("key", key_shape, self.key_dim),
            ("gate", query_shape, self.value_dim), ("value", value_shape, self.value_dim),
        ):  # fmt: skip
            if name == "gate" and not self.use_gate:
                continue
            equation, bias = _projection(len(shape) - 1, 1, 2)
            sizes = (*(None for _ in shape[1:-1]), self.num_heads, size)
            more = {"activation": "sigmoid"} if name == "gate" else {}
            dense = self._dense(name, equation, sizes, bias, **more)
            dense.build(shape)
            setattr(self, f"_{name}_dense", dense)
        rank = len(value_shape) + 1
        axes = self.attention_axes
        if axes is None:
            axes = tuple(range(1, rank - 2))
        self.attention_axes = tuple(a if a >= 0 else rank - 1 + a for a in axes)
        self._dot_product_equation, self._combine_equation, scores = _equations(
            rank, self.attention_axes
        )
        self._build_attention(list(range(scores - len(self.attention_axes), scores)))
        sizes = self.output_sizes or (query_shape[-1],)
        equation, bias = _projection(len(query_shape) - 1, 2, len(sizes))
        open_axes = tuple(None for _ in query_shape[1:-1])
        self._output_dense = self._dense("attention_output", equation, (*open_axes, *sizes), bias)
        self._output_dense.build((*query_shape[:-1], self.num_heads, self.value_dim))
        self.built = True

    def _compute_attention(
        self,
        query: TensorLike,
        key: TensorLike,
        value: TensorLike,
        attention_mask: TensorLike = None,
        training: bool | None = None,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> tuple[Any, Any]:
        """What the heads give and, where they were computed, the scores."""
        if not (self.dropout > 0 or return_attention_scores or len(query.shape) != 4):
            scale, causal = self._inverse_sqrt_key_dim, use_causal_mask
            return self._fused(query, key, value, scale, attention_mask, causal), None
        if use_causal_mask:
            attention_mask = self._compute_attention_mask(
                query, value, attention_mask=attention_mask, use_causal_mask=True
            )
        query = query * self._inverse_sqrt_key_dim
        scores = ops.einsum(self._dot_product_equation, key, query)
        scores = self._masked_softmax(scores, attention_mask, len(self.attention_axes or (1,)))
        kept = self._dropout_layer(scores, training=training) if self.dropout > 0 else scores
        return ops.einsum(self._combine_equation, kept, value), scores

    def call(
        self,
        query: TensorLike,
        value: TensorLike,
        key: TensorLike = None,
        query_mask: TensorLike = None,
        value_mask: TensorLike = None,
        key_mask: TensorLike = None,
        attention_mask: TensorLike = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
    ) -> Any:
        """The output, and the scores (batch, heads, queries, keys) where they are asked for."""
        masks = {
            "query_mask": query_mask, "value_mask": value_mask, "key_mask": key_mask,
            "attention_mask": attention_mask,
        }  # fmt: skip
        return self._attend(
            MultiHeadAttention, query, value, key, masks, training, use_causal_mask,
            return_attention_scores,
        )  # fmt: skip

    def compute_output_shape(
        self, query_shape: Any, value_shape: Any, key_shape: Any = None
    ) -> Any:
        """(batch, queries, features)."""
        check_shapes(query_shape, value_shape, key_shape)
        query_shape = tuple(query_shape)
        return query_shape[:-1] + self.output_sizes if self.output_sizes else query_shape


def _projection(free: int, bound: int, output: int) -> tuple[str, str]:
    """The equation of a projection, and the letters of its bias."""
    letters = string.ascii_lowercase
    kept, inner = letters[:free], letters[free : free + bound]
    out = letters[free + bound : free + bound + output]
    return f"{kept}{inner},{inner}{out}->{kept}{out}", out


def _equations(rank: int, axes: tuple[int, ...]) -> tuple[str, str, int]:
    """Scores of keys and queries, values by scores, and the rank of the scores."""
    letters = string.ascii_lowercase
    target = letters[:rank]
    fresh = iter(letters[rank:])
    batch = [i for i in range(rank) if i not in (*axes, rank - 1)]
    source = "".join(target[i] if i in batch or i == rank - 1 else next(fresh) for i in range(rank))
    product = "".join(
        [target[i] for i in batch] + [target[i] for i in axes] + [source[i] for i in axes]
    )
    return f"{source},{target}->{product}", f"{product},{source}->{target}", len(product)
