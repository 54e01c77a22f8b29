"""`Attention` and `AdditiveAttention`: one head, no projections. Depends on `masks`.

Sources: Luong et al. 2015 (products), Bahdanau et al. 2014 (sums).
"""

from __future__ import annotations

from typing import Any

from fastnn import ops, random
from fastnn.base.typing import Shape, TensorLike
from fastnn.errors import DataError
from fastnn.layers.attention.masks import causal_mask
from fastnn.layers.base.layer import Layer
from fastnn.random import SeedGenerator

__all__ = ["AdditiveAttention", "Attention"]


class Attention(Layer):
    """Attention by products: a mean of the values, weighed by how alike query and key are.

    It is called on a list [query, value] or [query, value, key]. Shapes: (batch, queries,
    features), (batch, keys, features) -> (batch, queries, features of the values).

    Args:
        use_scale: Whether a learned number scales the scores.
        score_mode: `"dot"` for products, `"concat"` for a sum of tanh(query + key).
        dropout: Share of the attention that is dropped in training.
        seed: Seed of the dropout.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ValueError: The mode is not known, or the inputs are not a list of two or three.

    Example:
        >>> layer = fastnn.layers.Attention()
        >>> query, value = np.zeros((1, 2, 4)), np.arange(12.0).reshape(1, 3, 4)
        >>> layer([query, value]).numpy()[0, 0].round(4)
        array([4., 5., 6., 7.], dtype=float32)
    """

    scale: Any
    concat_score_weight: Any
    seed_generator: SeedGenerator

    def __init__(
        self,
        use_scale: bool = False,
        score_mode: str = "dot",
        dropout: float = 0.0,
        seed: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.use_scale = use_scale
        self.score_mode = score_mode
        self.dropout = dropout
        self.seed = seed
        if dropout > 0:
            self.seed_generator = SeedGenerator(seed)
        if score_mode not in ("dot", "concat"):
            raise ValueError(
                "Invalid value for argument score_mode. Expected one of {'dot', 'concat'}. "
                f"Received: score_mode={score_mode}\n  hint: score_mode='dot'"
            )
        self.supports_masking = True

    def build(self, input_shape: Shape) -> None:
        """The scale, and the weight of `"concat"`."""
        self._check(input_shape)
        self.scale = self.concat_score_weight = None
        if self.use_scale:
            self.scale = self.add_weight(name="scale", shape=(), initializer="ones")
        if self.score_mode == "concat":
            self.concat_score_weight = self.add_weight(
                name="concat_score_weight", shape=(), initializer="ones"
            )
        self.built = True

    def _calculate_scores(self, query: TensorLike, key: TensorLike) -> Any:
        """Scores (batch, queries, keys)."""
        if self.score_mode == "dot":
            scores = ops.matmul(query, ops.swapaxes(key, -2, -1))
            return scores if self.scale is None else scores * self.scale.value
        both = ops.expand_dims(query, -2) + ops.expand_dims(key, -3)
        both = both if self.scale is None else self.scale.value * both
        return self.concat_score_weight.value * ops.sum(ops.tanh(both), axis=-1)

    def _apply_scores(
        self, scores: Any, value: TensorLike, scores_mask: Any = None, training: bool | None = False
    ) -> tuple[Any, Any]:
        """The weighed means of the values, and the weights."""
        if scores_mask is not None:
            hidden = ops.logical_not(ops.cast(scores_mask, "bool"))
            hidden = ops.expand_dims(hidden, -2) if len(hidden.shape) == 2 else hidden
            scores = ops.where(hidden, scores - 1.0e9, scores)
        weights = ops.softmax(scores, axis=-1)
        if training and self.dropout > 0:
            weights = random.dropout(weights, self.dropout, seed=self.seed_generator)
        return ops.matmul(weights, value), weights

    def _calculate_score_mask(self, scores: Any, v_mask: Any, use_causal_mask: bool) -> Any:
        if not use_causal_mask:
            return v_mask
        keys = ops.swapaxes(scores, -2, -1)
        causal = causal_mask(scores, keys)
        if v_mask is None:
            return causal
        return ops.logical_and(ops.expand_dims(ops.cast(v_mask, "bool"), -2), causal)

    def call(
        self,
        inputs: TensorLike,
        mask: TensorLike = None,
        training: bool | None = False,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        """The means of the values, and their weights where they are asked for."""
        self._check(inputs, mask)
        query, value = inputs[0], inputs[1]
        key = inputs[2] if len(inputs) > 2 else value
        q_mask, v_mask = (mask[0], mask[1]) if mask else (None, None)
        scores = self._calculate_scores(query, key)
        scores_mask = self._calculate_score_mask(scores, v_mask, use_causal_mask)
        out, weights = self._apply_scores(scores, value, scores_mask, training)
        if q_mask is not None:
            out = ops.where(ops.expand_dims(ops.cast(q_mask, "bool"), -1), out, 0.0)
        return (out, weights) if return_attention_scores else out

    def compute_mask(self, inputs: TensorLike, mask: TensorLike = None) -> TensorLike:
        """The mask of the query."""
        self._check(inputs, mask)
        if not mask or mask[0] is None:
            return None
        return ops.convert_to_tensor(mask[0])

    def _mask_sources(self, inputs: TensorLike, masks: TensorLike) -> Any:
        return (masks[0],)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """(batch, queries, features of the values)."""
        return (*tuple(input_shape[0])[:-1], input_shape[1][-1])

    def _check(self, inputs: TensorLike, mask: TensorLike = None) -> None:
        name = type(self).__name__
        if not isinstance(inputs, list | tuple) or isinstance(inputs[0], int | None.__class__):
            raise ValueError(
                f"{name} layer must be called on a list of inputs, namely [query, value] or "
                f"[query, value, key]. Received: inputs={inputs}.\n  hint: layer([query, value])"
            )
        if not 2 <= len(inputs) <= 3:
            raise ValueError(
                f"{name} layer accepts inputs list of length 2 or 3, namely [query, value] or "
                f"[query, value, key]. Received length: {len(inputs)}.\n"
                "  hint: layer([query, value])"
            )
        if mask is None:
            return
        if not isinstance(mask, list | tuple):
            raise ValueError(
                f"{name} layer mask must be a list, namely [query_mask, value_mask]. "
                f"Received: mask={mask}.\n  hint: mask=[None, value_mask]"
            )
        if not 2 <= len(mask) <= 3:
            raise ValueError(
                f"{name} layer accepts mask list of length 2 or 3. Received: inputs={inputs}, "
                f"mask={mask}.\n  hint: mask=[None, value_mask]"
            )


class AdditiveAttention(Attention):
    """Attention by sums: a mean of the values, weighed by a sum of tanh(query + key).

    It is called on a list [query, value] or [query, value, key]. Shapes: (batch, queries,
    features), (batch, keys, features) -> (batch, queries, features of the values).

    Args:
        use_scale: Whether learned numbers, one a feature, scale the terms of the sum.
        dropout: Share of the attention that is dropped in training.
        **kwargs: `name`, `trainable`, `dtype`, `seed` and what else every `Layer` takes.

    Example:
        >>> layer = fastnn.layers.AdditiveAttention()
        >>> layer([np.ones((1, 2, 4)), np.ones((1, 3, 4))]).shape
        (1, 2, 4)
    """

    scale: Any
    concat_score_weight: Any

    def __init__(self, use_scale: bool = True, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(use_scale=use_scale, dropout=dropout, **kwargs)

    def build(self, input_shape: Any) -> None:
        """The scale, one number a feature."""
        self._check(input_shape)
        size = input_shape[0][-1]
        if size is None:
            raise DataError(
                f"layer {self.name!r}: the query's last axis is open\n"
                "  hint: give its size in Input(shape=...)"
            )
        self.scale = self.concat_score_weight = None
        if self.use_scale:
            self.scale = self.add_weight(name="scale", shape=(size,), initializer="glorot_uniform")
        self.built = True

    def _calculate_scores(self, query: TensorLike, key: TensorLike) -> Any:
        """Scores (batch, queries, keys)."""
        terms = ops.tanh(ops.expand_dims(query, -2) + ops.expand_dims(key, -3))
        return ops.sum(terms if self.scale is None else self.scale.value * terms, axis=-1)

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {**super().get_config(), "seed": self.seed}
