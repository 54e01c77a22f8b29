"""What attention layers with heads share: projections, scores, gates. Depends on `einsum_dense`."""

from __future__ import annotations

from typing import Any

from fastnn import constraints, initializers, ops, regularizers
from fastnn.base.typing import TensorLike
from fastnn.config import is_flash_attention_enabled, unique_name
from fastnn.layers.activation import Softmax
from fastnn.layers.attention.masks import causal_mask, joined_mask, window_mask, with_heads
from fastnn.layers.base.layer import Layer
from fastnn.layers.einsum_dense import EinsumDense
from fastnn.layers.regularization import Dropout
from fastnn.tracing.call_context import hidden_masks

__all__ = ["HeadedAttention", "positive"]


def positive(name: str, value: Any, none: bool = False) -> None:
    """ValueError unless `value` is a whole number above 0 (or None where that will do)."""
    if (none and value is None) or (
        not isinstance(value, bool) and hasattr(value, "__index__") and value > 0
    ):
        return
    wanted = "a positive integer or `None`" if none else "a positive integer"
    raise ValueError(
        f"Received an invalid value for argument `{name}`, expected {wanted}. "
        f"Received: {name}={value}\n  hint: {name}=8"
    )


class HeadedAttention(Layer):
    """Queries, keys and values are projected to heads, attend, and are projected back."""

    use_bias: bool
    use_gate: bool
    dropout: float
    kernel_initializer: Any
    bias_initializer: Any
    _query_dense: Any
    _key_dense: Any
    _value_dense: Any
    _output_dense: Any
    _gate_dense: Any
    _softmax: Any
    _dropout_layer: Any

    def _set(self, dropout: float, sliding_window: int | None, flash: Any, **settings: Any) -> None:
        self.supports_masking = True
        self.dropout = dropout
        positive("sliding_window", sliding_window, none=True)
        self.sliding_window = sliding_window
        self._flash_attention = bool(flash) or is_flash_attention_enabled()
        if self._flash_attention and dropout > 0:
            raise ValueError(
                "Dropout is not supported when flash attention is enabled. Please set dropout to "
                "0.0 to use flash attention.\n  hint: leave flash_attention out"
            )
        for kind in ("kernel", "bias"):
            self.__setattr__(f"{kind}_initializer", initializers.get(settings.pop(f"{kind}_first")))
        for kind in ("kernel", "bias"):
            for what, table in (("regularizer", regularizers), ("constraint", constraints)):
                value = table.get(settings.pop(f"{kind}_{what}"))
                self.__setattr__(f"{kind}_{what}", value)
        for name, value in settings.items():
            self.__setattr__(name, value)

    def _dense(self, name: str, equation: str, shape: Any, bias: str, **more: Any) -> EinsumDense:
        """A projection; each has an initialiser of its own, so that seeds give other numbers."""

        def fresh(first: Any) -> Any:
            return type(first).from_config(first.get_config()) if first is not None else None

        return EinsumDense(
            equation,
            output_shape=shape,
            bias_axes=bias if self.use_bias else None,
            name=name,
            kernel_initializer=fresh(self.kernel_initializer),
            bias_initializer=fresh(self.bias_initializer),
            kernel_regularizer=self.kernel_regularizer,
            bias_regularizer=self.bias_regularizer,
            activity_regularizer=self.activity_regularizer,
            kernel_constraint=self.kernel_constraint,
            bias_constraint=self.bias_constraint,
            **more,
        )

    kernel_regularizer: Any
    bias_regularizer: Any
    kernel_constraint: Any
    bias_constraint: Any
    seed: Any
    sliding_window: Any

    @property
    def _sliding_window(self) -> int | None:
        return self.sliding_window  # type: ignore[no-any-return]

    def _build_attention(self, axes: Any = -1) -> None:
        self._softmax = Softmax(axis=axes)
        if self.dropout > 0:
            self._dropout_layer = Dropout(self.dropout, seed=self.seed)
        else:
            unique_name("dropout")  # Keras has the layer all the same, so names count it

    def _compute_causal_mask(self, query: TensorLike, value: TensorLike = None) -> Any:
        return causal_mask(query, value)

    def _compute_sliding_window_mask(self, query: TensorLike, value: TensorLike = None) -> Any:
        return window_mask(query, query if value is None else value, self.sliding_window)

    def _compute_attention_mask(
        self,
        query: TensorLike,
        value: TensorLike,
        query_mask: TensorLike = None,
        value_mask: TensorLike = None,
        key_mask: TensorLike = None,
        attention_mask: TensorLike = None,
        use_causal_mask: bool = False,
    ) -> Any:
        return joined_mask(
            query, value, query_mask, value_mask, key_mask, attention_mask, use_causal_mask,
            self.sliding_window,
        )  # fmt: skip

    def _masked_softmax(self, scores: Any, attention_mask: TensorLike = None, axes: int = 1) -> Any:
        if attention_mask is not None:
            attention_mask = with_heads(attention_mask, len(scores.shape), 2 * axes)
        return self._softmax(scores, mask=attention_mask)

    def _fused(
        self,
        query: TensorLike,
        key: TensorLike,
        value: TensorLike,
        scale: float,
        mask: TensorLike,
        causal: bool,
    ) -> Any:
        """The attention of one op, which need not keep the scores."""
        if mask is not None:
            mask = ops.cast(with_heads(mask, 4, 2), "bool")
        return ops.dot_product_attention(
            query, key, value, mask=mask, scale=scale, is_causal=causal
        )

    def _compute_attention(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    def _attend(
        self,
        base: type,
        query: TensorLike,
        value: TensorLike,
        key: TensorLike,
        masks: dict[str, Any],
        training: bool | None,
        use_causal_mask: bool,
        return_attention_scores: bool,
        repeats: int = 1,
    ) -> Any:
        """What `call` of both layers does. Where causality is all that is masked, no mask is made:
        the op knows it; a subclass with an attention of its own is handed the mask.
        """
        if self._flash_attention and return_attention_scores:
            raise ValueError(
                "Returning attention scores is not supported when flash attention is enabled. "
                "Please disable flash attention to access attention scores.\n"
                "  hint: leave flash_attention out"
            )
        key = value if key is None else key
        own = type(self)._compute_attention is not base._compute_attention  # type: ignore[attr-defined]
        plain = all(m is None for m in masks.values()) and self.sliding_window is None
        alone = use_causal_mask and plain and not own
        if alone:
            mask = None
        else:
            mask = self._compute_attention_mask(
                query, value, **masks, use_causal_mask=use_causal_mask
            )
        with hidden_masks([query, key, value]):
            gate = self._gate_dense(query) if self.use_gate else None
            q, k, v = self._query_dense(query), self._key_dense(key), self._value_dense(value)
        if repeats > 1:
            k, v = (ops.repeat(x, repeats, axis=2) for x in (k, v))
        more: dict[str, Any] = {"use_causal_mask": True} if alone else {}
        if return_attention_scores:
            more["return_attention_scores"] = True
        out, scores = self._compute_attention(
            q, k, v, attention_mask=mask, training=training, **more
        )
        out = self._output_dense(out if gate is None else out * gate)
        return (out, scores) if return_attention_scores else out


def check_shapes(query: TensorLike, value: TensorLike, key: TensorLike) -> None:
    """ValueError unless keys and values have the same axes but the last."""
    if key is not None and tuple(value)[1:-1] != tuple(key)[1:-1]:
        raise ValueError(
            "All dimensions of `value` and `key`, except the last one, must be equal. Received: "
            f"value_shape={tuple(value)} and key_shape={tuple(key)}\n"
            "  hint: one value for each key"
        )
