"""Numbers of categories as vectors: one-hot, multi-hot, counts. Depends on `ops`."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import ops

__all__ = ["counted", "encode", "encode_traced"]

Array = np.ndarray[Any, Any]


def encode(numbers: Array, mode: str, depth: int, weights: Array | None = None) -> Array:
    """Vectors of length `depth`; numbers below 0 leave no trace.

    `one_hot` is one vector a number (one for a last axis of size 1); the other modes join those of
    the last axis: whether a number occurs, how often, or how often times its weight.
    """
    if mode == "one_hot":
        joined = numbers.ndim > 1 and numbers.shape[-1] == 1
        last = numbers if joined else numbers[..., None]
        one: Array = (last == np.arange(depth)).astype(np.float32)
        return one
    if numbers.ndim == 0:
        numbers = numbers[None]
    rows = numbers.reshape(-1, numbers.shape[-1])
    out = np.zeros((len(rows), depth), np.float32)
    at = np.repeat(np.arange(len(rows)), rows.shape[1])
    flat = rows.ravel()
    kept = flat >= 0
    if mode == "multi_hot":
        out[at[kept], flat[kept]] = 1.0
    else:
        np.add.at(out, (at[kept], flat[kept]), 1.0)
    if mode == "tf_idf" and weights is not None:
        out[:, : len(weights)] *= weights
    return out.reshape(*numbers.shape[:-1], depth)


def encode_traced(numbers: Any, mode: str, depth: int, weights: Any = None, axis: int = -1) -> Any:
    """As `encode`, in the core; a number outside is a DataError."""
    numbers = ops.cast(numbers, "int32")
    numbers = ops.where(numbers < 0, numbers - depth, numbers)  # so that none counts from the end
    rank = len(numbers.shape)
    if mode == "one_hot":
        if rank > 1 and numbers.shape[-1] == 1:
            numbers = ops.squeeze(numbers, axis=-1)
        return ops.take(np.eye(depth, dtype=np.float32), numbers, axis=0)
    if rank == 0:
        numbers = ops.expand_dims(numbers, 0)
    vectors = ops.take(np.eye(depth, dtype=np.float32), numbers, axis=0)
    if weights is not None:
        vectors = vectors * ops.expand_dims(ops.cast(weights, "float32"), -1)
    joined = ops.max if mode == "multi_hot" else ops.sum
    return joined(vectors, axis=axis if axis >= 0 else axis - 1)


def counted(shape: tuple[Any, ...], mode: str, depth: Any) -> tuple[Any, ...]:
    """The shape of what `encode` gives."""
    if mode == "one_hot" and (len(shape) < 2 or shape[-1] != 1):
        return (*shape, depth)
    return (*shape[:-1], depth)
