"""Elements at places: gathered, scattered, masked, counted. Depends on `ops`."""

from __future__ import annotations

import builtins
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fastnn import ops
from fastnn._core import Tensor
from fastnn.base.typing import DTypeLike, TensorLike

__all__ = [
    "boolean_mask", "dynamic_partition", "gather", "gather_nd", "reverse_sequence", "scatter_nd",
    "sequence_mask", "slice_", "strided_slice", "tensor_scatter_nd_add", "tensor_scatter_nd_max",
    "tensor_scatter_nd_min", "tensor_scatter_nd_sub", "tensor_scatter_nd_update", "unique",
    "unique_with_counts", "unravel_index", "where",
]  # fmt: skip


def gather(params: TensorLike, indices: TensorLike, axis: int = 0, batch_dims: int = 0) -> Tensor:
    """Slices of `params` at `indices` along `axis`."""
    if batch_dims == 0:
        return ops.take(params, indices, axis=axis)
    x, at = ops.convert_to_tensor(params), ops.cast(indices, "int32")
    axis = batch_dims if axis == 0 else axis % len(x.shape)
    if batch_dims < 0:
        batch_dims += len(at.shape)
    if not 0 < batch_dims <= min(axis, len(at.shape)):
        raise ValueError(
            f"gather: batch_dims={batch_dims} and axis={axis} of shapes {x.shape} and {at.shape}\n"
            "  hint: batch_dims counts axes that both share, and axis comes after them"
        )
    if axis != batch_dims:  # the gathered axis goes first, and its places back
        moved = gather(ops.moveaxis(x, axis, batch_dims), at, batch_dims, batch_dims)
        more = len(at.shape) - batch_dims
        places = list(range(batch_dims, batch_dims + more))
        return ops.moveaxis(moved, places, list(range(axis, axis + more)))
    # Samples and the gathered axis as one axis, so that one gather reads all.
    batch, n = ops.shape(x)[:batch_dims], ops.shape(x)[batch_dims]
    count = functools.reduce(lambda a, b: a * b, batch)
    rows = ops.reshape(ops.arange(count) * n, (*batch, *[1] * (len(at.shape) - batch_dims)))
    flat = ops.reshape(x, (count * n, *ops.shape(x)[batch_dims + 1 :]))
    return ops.take(flat, ops.where(at < 0, at + n, at) + rows, axis=0)


def gather_nd(
    params: TensorLike, indices: TensorLike, batch_dims: int = 0, name: str | None = None
) -> Tensor:
    """Elements of `params` at positions (…, axes), after `batch_dims` axes that both share."""
    x, at = ops.convert_to_tensor(params), ops.cast(indices, "int32")
    count = ops.shape(at)[-1] or 0
    rows = [
        ops.reshape(ops.arange(ops.shape(at)[d]), [-1 if i == d else 1 for i in range(at.ndim - 1)])
        for d in range(batch_dims)
    ]
    found: Tensor = x[(*rows, *(at[..., i] for i in range(count)))]
    return found


def boolean_mask(tensor: TensorLike, mask: TensorLike, axis: int | None = None) -> Tensor:
    """The elements where the mask, laid on the axes from `axis` on, is true."""
    before = (builtins.slice(None),) * (axis or 0)
    found: Tensor = ops.convert_to_tensor(tensor)[(*before, ops.cast(mask, "bool"))]
    return found


def scatter_nd(indices: TensorLike, updates: TensorLike, shape: Sequence[int]) -> Tensor:
    """Zeros with updates added at positions."""
    return ops.scatter(indices, updates, shape)


def _gathered(tensor: TensorLike, indices: TensorLike, updates: TensorLike, name: str) -> Tensor:
    """`tensor` with updates joined one after the other to what is at positions."""
    x, new = ops.convert_to_tensor(tensor), ops.convert_to_tensor(updates)
    at = np.asarray(ops.convert_to_numpy(indices))
    join = getattr(ops, name)
    for i, place in enumerate(at.reshape(-1, at.shape[-1])):
        rows = ops.reshape(new, (-1, *new.shape[at.ndim - 1 :]))
        where = [[int(n) for n in place]]
        x = ops.scatter_update(x, where, [join(x[tuple(where[0])], rows[i])])
    return x


def tensor_scatter_nd_add(
    tensor: TensorLike, indices: TensorLike, updates: TensorLike, name: str | None = None
) -> Tensor:
    """`tensor` with updates added at positions."""
    x = ops.convert_to_tensor(tensor)
    return x + ops.cast(ops.scatter(indices, updates, x.shape), x.dtype)


def tensor_scatter_nd_sub(
    tensor: TensorLike, indices: TensorLike, updates: TensorLike, name: str | None = None
) -> Tensor:
    """`tensor` with updates subtracted at positions."""
    x = ops.convert_to_tensor(tensor)
    return x - ops.cast(ops.scatter(indices, updates, x.shape), x.dtype)


def tensor_scatter_nd_max(
    tensor: TensorLike, indices: TensorLike, updates: TensorLike, name: str | None = None
) -> Tensor:
    """`tensor` with the larger of element and update at positions."""
    return _gathered(tensor, indices, updates, "maximum")


def tensor_scatter_nd_min(
    tensor: TensorLike, indices: TensorLike, updates: TensorLike, name: str | None = None
) -> Tensor:
    """`tensor` with the smaller of element and update at positions."""
    return _gathered(tensor, indices, updates, "minimum")


def tensor_scatter_nd_update(
    tensor: TensorLike, indices: TensorLike, updates: TensorLike
) -> Tensor:
    """`tensor` with updates put at positions."""
    return ops.scatter_update(tensor, indices, updates)


def where(
    condition: TensorLike, x: TensorLike = None, y: TensorLike = None, name: str | None = None
) -> Tensor:
    """`x` where the condition is true, else `y`; alone the places (n, axes) where it is true."""
    if x is None and y is None:
        return ops.stack(ops.nonzero(condition), axis=-1)
    return ops.where(condition, x, y)


def slice_(input_: TensorLike, begin: Any, size: Any, name: str | None = None) -> Tensor:
    """The part from `begin` on of so many elements along each axis; -1 is all that follow."""
    x: Any = ops.convert_to_tensor(input_)
    cuts = []
    for axis, (first, count) in enumerate(zip(begin, size, strict=True)):
        start, n = (v.item() if isinstance(v, Tensor) and not v.is_traced else v for v in
                    (first, count))  # fmt: skip
        if isinstance(start, Tensor):
            return ops.slice(x, begin, [_left(x, i, b, s) for i, (b, s) in
                                        enumerate(zip(begin, size, strict=True))])  # fmt: skip
        whole = isinstance(n, int) and n == -1
        cuts.append(builtins.slice(start, ops.shape(x)[axis] if whole else start + n))
    found: Tensor = x[tuple(cuts)]
    return found


def _left(x: TensorLike, axis: int, first: Any, count: Any) -> Any:
    return ops.shape(x)[axis] if isinstance(count, int) and count == -1 else count


def dynamic_partition(
    data: TensorLike, partitions: TensorLike, num_partitions: int, name: str | None = None
) -> list[Tensor]:
    """The slices of `data` in as many tensors, by the number of each."""
    x: Any = ops.convert_to_tensor(data)
    number = ops.cast(partitions, "int32")
    return [x[ops.equal(number, i)] for i in range(num_partitions)]


def reverse_sequence(
    input: TensorLike, seq_lengths: TensorLike, seq_axis: int = 1, batch_axis: int = 0,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """The first elements of each row in reverse, as many as its length."""
    x = ops.moveaxis(input, (batch_axis, seq_axis), (0, 1))
    steps = ops.arange(ops.shape(x)[1])[None]
    length = ops.expand_dims(ops.cast(seq_lengths, "int32"), 1)
    at = ops.where(ops.less(steps, length), length - 1 - steps, steps)
    rank = len(x.shape)
    at = ops.reshape(at, (*ops.shape(at), *[1] * (rank - 2)))
    found = ops.take_along_axis(x, ops.broadcast_to(at, ops.shape(x)), axis=1)
    return ops.moveaxis(found, (0, 1), (batch_axis, seq_axis))


def strided_slice(
    input_: TensorLike, begin: Any, end: Any, strides: Any = None, name: str | None = None
) -> Tensor:
    """Every so manyeth element from `begin` to `end` of the first axes."""
    steps = [1] * len(begin) if strides is None else strides
    x: Any = ops.convert_to_tensor(input_)
    found: Tensor = x[
        tuple(
            builtins.slice(int(a), int(b), int(c))
            for a, b, c in zip(begin, end, steps, strict=True)
        )
    ]
    return found


class Unique(NamedTuple):
    """Elements without repetition, and for each place the number of its element."""

    y: Any
    idx: Tensor


class UniqueWithCounts(NamedTuple):
    """Elements without repetition, for each place the number of its element, and how often."""

    y: Any
    idx: Tensor
    count: Tensor  # type: ignore[assignment]


def unique(x: TensorLike, out_idx: Any = None, name: str | None = None) -> Unique:
    """The elements of a vector without repetition, as they first come, and their numbers."""
    return Unique(*unique_with_counts(x)[:2])


def unique_with_counts(
    x: TensorLike, out_idx: Any = None, name: str | None = None
) -> UniqueWithCounts:
    """As `unique`, and how often each is there."""
    given: Any = ops.convert_to_tensor(x)
    values = given if isinstance(given, np.ndarray) else np.asarray(given)
    found, first, back, counts = np.unique(
        values, return_index=True, return_inverse=True, return_counts=True
    )
    order = np.argsort(first)
    place = np.argsort(order)
    return UniqueWithCounts(
        ops.convert_to_tensor(found[order]),
        ops.convert_to_tensor(place[back.ravel()].astype(np.int32)),
        ops.convert_to_tensor(counts[order].astype(np.int32)),
    )


def sequence_mask(
    lengths: Any, maxlen: Any = None, dtype: DTypeLike = "bool", name: str | None = None
) -> Any:
    """True at the first `lengths` places of a new last axis."""
    given = ops.convert_to_tensor(lengths)
    count = int(ops.max(given)) if maxlen is None else maxlen
    mask = ops.less(ops.arange(count), ops.expand_dims(given, axis=-1))
    return mask if str(dtype) == "bool" else ops.cast(mask, dtype)


def unravel_index(indices: TensorLike, dims: Any, name: str | None = None) -> Tensor:
    """Positions per axis of flat positions in a tensor of sizes `dims`: one row an axis."""
    sizes = tuple(int(d) for d in np.ravel(ops.convert_to_numpy(dims)))
    return ops.stack(list(ops.unravel_index(indices, sizes)), axis=0)
