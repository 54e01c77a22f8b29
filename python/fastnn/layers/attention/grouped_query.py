"""`GroupedQueryAttention`: several heads of queries share one head of keys. Depends on `heads`.

Source: Ainslie et al. 2023, "GQA: training generalized multi-query transformer models".
"""

from __future__ import annotations

import math
from typing import Any

from fastnn import ops
from fastnn.base.typing import Identifier, Shape, TensorLike
from fastnn.layers.attention.heads import HeadedAttention, check_shapes, positive

__all__ = ["GroupQueryAttention", "GroupedQueryAttention"]


class GroupedQueryAttention(HeadedAttention):
    """Attention in which groups of query heads share a head of keys and values.

    Shapes: query (batch, queries, features), value and key (batch, keys, features) -> (batch,
    queries, features). A query that may see nothing attends to all keys alike.

    Args:
        head_dim: The size of a head.
        num_query_heads: The number of query heads.
        num_key_value_heads: The number of heads of keys and values; it divides the query heads.
        dropout: Share of the attention that is dropped in training.
        use_bias: Whether the projections have biases.
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
        ValueError: The heads of keys do not divide those of queries, or shapes do not fit.

    Example:
        >>> layer = fastnn.layers.GroupQueryAttention(4, num_query_heads=4, num_key_value_heads=2)
        >>> x = np.ones((1, 3, 8))
        >>> layer(x, x, use_causal_mask=True).shape
        (1, 3, 8)
    """

    head_dim: int
    num_query_heads: int
    num_key_value_heads: int
    feature_dim: Any

    def __init__(
        self,
        head_dim: int,
        num_query_heads: int,
        num_key_value_heads: int,
        dropout: float = 0.0,
        use_bias: bool = True,
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
        for name, value in (
            ("head_dim", head_dim), ("num_query_heads", num_query_heads),
            ("num_key_value_heads", num_key_value_heads),
        ):  # fmt: skip
            positive(name, value)
        if num_query_heads % num_key_value_heads:
            raise ValueError(
                "`num_query_heads` must be divisible by `num_key_value_heads`. Received: "
                f"{num_query_heads} and {num_key_value_heads}\n  hint: 8 and 2"
            )
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self._set(
            dropout, sliding_window, flash_attention, kernel_first=kernel_initializer,
            bias_first=bias_initializer, kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer, kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint, head_dim=head_dim, num_query_heads=num_query_heads,
            num_key_value_heads=num_key_value_heads, use_bias=use_bias, use_gate=use_gate,
            seed=seed,
        )  # fmt: skip
        self._inverse_sqrt_head_dim = 1.0 / math.sqrt(float(head_dim))

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        config = super().get_config()
        config.pop("flash_attention", None)
        return config

    def build(self, query_shape: Any, value_shape: Any, key_shape: Any = None) -> None:
        """The projections, for the sizes of the last axes."""
        key_shape = value_shape if key_shape is None else key_shape
        check_shapes(query_shape, value_shape, key_shape)
        heads, shared, size = self.num_query_heads, self.num_key_value_heads, self.head_dim
        self.feature_dim = query_shape[-1]
        query, key = ("bqm,muh->bquh", "uh", heads), ("bkm,mvh->bkvh", "vh", shared)
        for name, shape, (equation, bias, n) in (
            ("query", query_shape, query), ("key", key_shape, key), ("gate", query_shape, query),
            ("value", value_shape, key),
        ):  # fmt: skip
            if name == "gate" and not self.use_gate:
                continue
            more = {"activation": "sigmoid"} if name == "gate" else {}
            dense = self._dense(name, equation, (None, n, size), bias, **more)
            dense.build(shape)
            setattr(self, f"_{name}_dense", dense)
        self._build_attention()
        self._output_dense = self._dense(
            "attention_output", "bquh,uhm->bqm", (None, self.feature_dim), "m"
        )
        self._output_dense.build((None, None, heads, size))
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
        if not (self.dropout > 0 or return_attention_scores):
            scale, causal = self._inverse_sqrt_head_dim, use_causal_mask
            return self._fused(query, key, value, scale, attention_mask, causal), None
        if use_causal_mask:
            attention_mask = self._compute_attention_mask(
                query, value, attention_mask=attention_mask, use_causal_mask=True
            )
        scores = ops.einsum("bquh,bkuh->buqk", query * self._inverse_sqrt_head_dim, key)
        scores = self._masked_softmax(scores, attention_mask)
        kept = self._dropout_layer(scores, training=training) if self.dropout > 0 else scores
        return ops.einsum("buqk,bkuh->bquh", kept, value), scores

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
        repeats = self.num_query_heads // self.num_key_value_heads
        return self._attend(
            GroupedQueryAttention, query, value, key, masks, training, use_causal_mask,
            return_attention_scores, repeats,
        )  # fmt: skip

    def compute_output_shape(
        self, query_shape: Any, value_shape: Any, key_shape: Any = None
    ) -> Shape:
        """(batch, queries, features)."""
        if query_shape[-1] != value_shape[-1]:
            raise ValueError(
                "The last dimension of `query_shape` and `value_shape` must be equal, but are "
                f"{query_shape[-1]}, {value_shape[-1]}. Received: query_shape={query_shape}, "
                f"value_shape={value_shape}\n  hint: project one of them first"
            )
        check_shapes(query_shape, value_shape, key_shape)
        return tuple(query_shape)


#: The name under which Keras exports it; files hold that of the class.
GroupQueryAttention = GroupedQueryAttention
