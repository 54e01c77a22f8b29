"""Masks of attention: which query may see which key. Depends on `ops`."""

from __future__ import annotations

from typing import Any

from fastnn import ops
from fastnn.base.typing import TensorLike

__all__ = ["causal_mask", "joined_mask", "window_mask", "with_heads"]


def _positions(x: TensorLike, axis: int) -> Any:
    """The positions along axis 1 of `x`, laid along axis `axis` of three."""
    n = ops.shape(x)[1]
    return ops.reshape(ops.arange(n, dtype="int32"), (1, n, 1) if axis == 1 else (1, 1, n))


def causal_mask(query: TensorLike, value: Any = None) -> Any:
    """True where a key does not come after the query: (1, queries, keys)."""
    return _positions(query, 1) >= _positions(query if value is None else value, 2)


def window_mask(query: TensorLike, value: Any, width: int) -> Any:
    """True where a key is less than `width` positions from the query: (1, queries, keys)."""
    return ops.absolute(_positions(query, 1) - _positions(value, 2)) < width


def joined_mask(
    query: TensorLike,
    value: Any,
    query_mask: TensorLike = None,
    value_mask: TensorLike = None,
    key_mask: TensorLike = None,
    attention_mask: TensorLike = None,
    causal: bool = False,
    window: int | None = None,
) -> Any:
    """All masks in one that is true where every one is: (batch, queries, keys), None for none."""
    masks = []
    if query_mask is not None:
        masks.append(ops.expand_dims(ops.cast(query_mask, "bool"), -1))
    masks += [
        ops.expand_dims(ops.cast(m, "bool"), -2) for m in (value_mask, key_mask) if m is not None
    ]
    if causal:
        masks.append(causal_mask(query, value))
    if window is not None:
        masks.append(window_mask(query, value, window))
    joined = None if attention_mask is None else ops.cast(attention_mask, "bool")
    for mask in masks:
        joined = mask if joined is None else ops.logical_and(joined, mask)
    return joined


def with_heads(mask: TensorLike, rank: int, before: int) -> Any:
    """A mask with as many axes as scores of this rank; new ones come `before` axes from the end."""
    for _ in range(rank - len(mask.shape)):
        mask = ops.expand_dims(mask, axis=-before - 1)
    return mask
