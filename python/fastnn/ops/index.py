"""Reading and writing at positions: gathers, scatters, segments, bins and choices.

Sums at positions are the row `take_grad`, which adds in the order of the positions: the same bits
on any number of threads. Depends on `_core`, `shapes`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastnn import _core
from fastnn._core import Tensor
from fastnn.base.arguments import hints_arguments, is_whole
from fastnn.base.typing import DTypeLike
from fastnn.errors import ShapeError
from fastnn.ops import host, rows
from fastnn.ops.convert import (
    TensorLike,
    arange,
    cast,
    computed,
    convert_to_tensor,
    ndim,
    promoted,
    shape,
    zeros,
)
from fastnn.ops.families import name_ops
from fastnn.ops.reduce import prod
from fastnn.ops.shapes import moveaxis, reshape, stack
from fastnn.ops.whole_numbers import as_whole
from fastnn.tracing.symbolic import keras_op

__all__ = [
    "bincount",
    "digitize",
    "isin",
    "multi_hot",
    "scatter",
    "scatter_update",
    "searchsorted",
    "segment_max",
    "segment_min",
    "segment_prod",
    "segment_sum",
    "select",
    "take_along_axis",
]

_c = _core.ops
#: Rows of whole numbers whose bytes add up exactly in float32.
_EXACT = 1 << 16


@hints_arguments
def take_along_axis(x: TensorLike, indices: TensorLike, axis: int | None = None) -> Tensor:
    """Elements of `x` at `indices` along `axis`; of the flat array when None.

    Args:
        x: A tensor or array.
        indices: Positions; its other axes broadcast with those of `x`.
        axis: The axis; None: of the flat array.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.take_along_axis(np.array([[10, 20]]), np.array([[1]]), axis=1).numpy()
        array([[20]], dtype=int32)
    """
    if axis is None:
        x, indices, axis = reshape(x, (-1,)), reshape(indices, (-1,)), 0
    x, indices = _along_one_shape(computed(x), cast(indices, "int32"), axis)
    # The row, so that the graph of a model notes the axis: files read it by another default.
    return rows.take_along_axis(x, indices, axis=axis)


def _along_one_shape(x: Tensor, indices: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Both with the same sizes but for one axis, where one of them has 1."""
    rank = ndim(x)
    if not is_whole(axis) or ndim(indices) != rank or not -rank <= axis < rank:
        return x, indices  # the row says what is wrong
    others = [i for i in range(rank) if i != axis % rank]
    ones = [(x.shape[i] == 1, indices.shape[i] == 1) for i in others]
    if all(a == b for a, b in ones):
        return x, indices
    wide = {
        i: shape(indices)[i] if a else shape(x)[i] for i, (a, _) in zip(others, ones, strict=True)
    }
    pair = [
        rows.broadcast_to(t, [wide.get(i, shape(t)[i]) for i in range(rank)]) for t in (x, indices)
    ]
    return pair[0], pair[1]


@keras_op
def isin(
    x1: TensorLike, x2: TensorLike, assume_unique: bool = False, invert: bool = False
) -> Tensor:
    """Where the elements of x1 are among those of x2.

    Args:
        x1: A tensor or array.
        x2: A tensor or array that broadcasts with `x1`.
        assume_unique: Accepted for Keras's sake.
        invert: Whether those that are not among them are marked.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.isin(np.array([1, 2, 3]), np.array([2])).numpy()
        array([False,  True, False])
    """
    a, b = convert_to_tensor(x1), reshape(x2, (-1,))
    hits = _c.equal(_c.expand_dims(a, axis=[-1]), b)
    found = _c.any(hits, axis=-1)
    return _c.logical_not(found) if invert else found


@keras_op
def select(
    condlist: Sequence[TensorLike], choicelist: Sequence[TensorLike], default: TensorLike = 0
) -> Tensor:
    """The first of the choices whose condition holds, else `default`.

    Args:
        condlist: Bool tensors.
        choicelist: As many tensors of values.
        default: The value where none holds.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.select([np.array([True, False])], [np.array([1, 1])], default=9).numpy()
        array([1, 9], dtype=int32)
    """
    if len(condlist) != len(choicelist) or not len(condlist):
        raise ValueError(
            f"select: {len(condlist)} conditions for {len(choicelist)} choices\n"
            "  hint: one condition per choice"
        )
    out = convert_to_tensor(default)
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        out = _c.where(condition, *promoted(choice, out))
    return out


# ---- bins ------------------------------------------------------------------------------------


@keras_op
def searchsorted(sorted_sequence: TensorLike, values: TensorLike, side: str = "left") -> Tensor:
    """Where each value belongs in a sorted vector, before ('left') or after equal elements.

    Args:
        sorted_sequence: A vector in ascending order.
        values: What is looked for.
        side: `"left"` or `"right"` of equal elements.

    Returns:
        Positions, an int32 tensor of the shape of `values`.

    Example:
        >>> fastnn.ops.searchsorted(np.array([1.0, 2.0, 3.0]), np.array([2.5])).numpy()
        array([2], dtype=int32)
    """
    if side not in ("left", "right"):
        raise ValueError(f"searchsorted: side is {side!r}\n  hint: 'left' or 'right'")
    if ndim(sorted_sequence) != 1:
        raise ShapeError(
            f"searchsorted: sorted_sequence has shape {shape(sorted_sequence)}, wanted a vector\n"
            "  hint: search one row at a time"
        )
    if host.has_values(sorted_sequence, values):
        a = host.value("searchsorted", sorted_sequence)
        return host.tensor(a.searchsorted(host.value("searchsorted", values), side))
    v = _c.expand_dims(convert_to_tensor(values), axis=[-1])
    edges = convert_to_tensor(sorted_sequence)
    nan = _c.is_nan(cast(v, "float32"))
    before = _c.less(edges, v) if side == "left" else _c.less_equal(edges, v)
    return _c.sum(cast(_c.logical_or(before, nan), "int32"), axis=-1)


@keras_op
def digitize(x: TensorLike, bins: TensorLike) -> Tensor:
    """The number of the interval between ascending `bins` that each element lies in.

    Args:
        x: A tensor or array.
        bins: The ends of the intervals, ascending.

    Returns:
        Numbers of intervals, an int32 tensor of the shape of `x`.

    Example:
        >>> fastnn.ops.digitize(np.array([0.5, 2.5]), [1.0, 2.0]).numpy()
        array([0, 2], dtype=int32)
    """
    return searchsorted(bins, x, side="right")


@keras_op
def bincount(
    x: TensorLike, weights: TensorLike = None, minlength: int = 0, sparse: bool = False
) -> Tensor:
    """How often each number from 0 on occurs in `x`, or the sums of `weights` there.

    The result has as many columns as the largest number asks, at least `minlength`; while a step is
    traced it has `minlength` and larger numbers are not counted. Rows of a matrix are counted one
    by one.

    Args:
        x: Whole numbers of at least 0.
        weights: What each occurrence counts; None: 1.
        minlength: The least length of the result.
        sparse: Not supported; False.

    Returns:
        A tensor of counts or sums.

    Example:
        >>> fastnn.ops.bincount(np.array([0, 1, 1, 3])).numpy()
        array([1, 2, 0, 1], dtype=int32)
    """
    if sparse:
        raise ValueError("bincount: sparse tensors are not supported\n  hint: sparse=False")
    known = host.has_values(x)
    x = cast(x, "int32")
    size = minlength
    if known:
        values = host.value("bincount", x)
        if values.size and values.min() < 0:
            raise _core.DataError(
                f"bincount: got {values.min()}, wanted numbers from 0 on\n  hint: subtract it"
            )
        size = max(minlength, int(values.max(initial=-1)) + 1)
        if size == 0 or not values.size:  # nothing to count, and rows cannot be told by -1
            dtype = "int32" if weights is None else convert_to_tensor(weights).dtype
            return zeros((*values.shape[:-1], size), dtype)
        if weights is None and values.ndim:
            rows = values.reshape(-1, values.shape[-1])
            counts = np.array([np.bincount(row, minlength=size) for row in rows], np.int32)
            return convert_to_tensor(counts.reshape(*values.shape[:-1], size))
    elif not minlength:
        raise _core.TraceError(
            "bincount: the largest number is not known while a step is traced\n"
            "  hint: bincount(x, minlength=number of classes)"
        )
    hits = _c.one_hot(x, num_classes=size)
    if weights is None:
        return cast(_c.sum(hits, axis=-2), "int32")
    w = convert_to_tensor(weights)
    counted = as_whole(w)
    if counted is None:
        counted = cast(w, "float32")
    total = _c.sum(cast(hits, counted.dtype) * _c.expand_dims(counted, axis=[-1]), axis=-2)
    return cast(total, w.dtype)


@keras_op
def multi_hot(
    inputs: TensorLike, num_classes: int | None = None, axis: int = -1, dtype: DTypeLike = None,
    sparse: bool = False, **kwargs: Any,
) -> Tensor:  # fmt: skip
    """Ones at all the classes that the axis after the batch names.

    Args:
        inputs: Class numbers, (batch, numbers, …) or (numbers,).
        num_classes: The number of classes.
        axis: Where the axis of the classes stands in the result.
        dtype: The type of the result: `"float32"`, `"int32"` or `"bool"`.
        sparse: Not supported; False.
        **kwargs: Accepted for the sake of Keras.

    Returns:
        A tensor with an axis of classes.

    Example:
        >>> fastnn.ops.multi_hot(np.array([0, 2]), 4).numpy()
        array([1., 0., 1., 0.], dtype=float32)
    """
    classes = kwargs.pop("num_tokens", num_classes)
    if sparse or kwargs or classes is None:
        raise TypeError(
            f"multi_hot: got {', '.join(kwargs) or ('sparse' if sparse else 'no num_classes')}\n"
            "  hint: multi_hot(inputs, num_classes)"
        )
    hits = _c.one_hot(cast(inputs, "int32"), num_classes=classes)
    out = _c.max(hits, axis=min(1, ndim(inputs) - 1)) if ndim(inputs) else hits
    out = out if axis in (-1, ndim(out) - 1) else moveaxis(out, -1, axis)
    return cast(out, dtype or "float32")


# ---- scatters --------------------------------------------------------------------------------


def _flat_places(name: str, indices: TensorLike, sizes: Sequence[Any]) -> tuple[Any, int, int]:
    """Positions of indices (…, k) in the first k axes of an array, how many there are, the rest."""
    indices = cast(indices, "int32")
    k = shape(indices)[-1] if ndim(indices) else None
    if k is None or k > len(sizes):
        raise ShapeError(
            f"{name}: indices of shape {shape(indices)} do not point into {tuple(sizes)}\n"
            "  hint: the last axis holds one position per axis"
        )
    total = math.prod(sizes[:k])
    if total > 2**31 - 1:
        raise ShapeError(
            f"{name}: {tuple(sizes[:k])} has {total:,} positions, wanted at most 2,147,483,647\n"
            "  hint: work on parts of it, one after another"
        )
    if host.has_values(indices):
        at = host.value(name, indices).reshape(-1, k)
        limit = np.asarray(sizes[:k])
        at = np.where(at < 0, at + limit, at)
        if at.size and ((at < 0) | (at >= limit)).any():
            bad = at[((at < 0) | (at >= limit)).any(axis=1)][0]
            raise _core.DataError(
                f"{name}: position {tuple(int(i) for i in bad)} is outside {tuple(sizes)}\n"
                "  hint: look at indices"
            )
        flat: Any = np.zeros(len(at), np.int32)
        for i in range(k):
            flat = flat * sizes[i] + at[:, i]
        return flat.astype(np.int32), total, math.prod(sizes[k:])
    at = reshape(indices, (-1, k))
    flat = at[:, 0] * 0
    for i in range(k):
        # Looked up, as that counts from the end and refuses what is outside when the step runs:
        # outside of one axis may be inside of the flat array.
        flat = flat * sizes[i] + _c.take(arange(sizes[i], dtype="int32"), at[:, i], axis=0)
    return flat, total, math.prod(sizes[k:])


def _added(data: Any, at: Any, sizes: list[Any]) -> Any:
    """Zeros of `sizes` with rows of `data` added at positions; whole numbers add up exactly.

    The row adds floats: a whole number goes as four bytes, whose sums are exact for 65,536 rows.
    """
    x = as_whole(data)
    if x is None:
        return _c.take_grad(data, at, shape=sizes, axis=0)
    parts = [x % 256, x // 256 % 256, x // 65536 % 256, x // 16777216]
    rows_ = cast(stack(parts, axis=-1), "float32")
    count = shape(x)[0]
    known = isinstance(count, int)
    blocks = [slice(i, i + _EXACT) for i in range(0, count, _EXACT)] if known else [slice(None)]
    total = zeros(sizes, "int32")
    for block in blocks:
        sums = cast(_c.take_grad(rows_[block], at[block], shape=[*sizes, 4], axis=0), "int32")
        for i, weight in enumerate((1, 256, 65536, 16777216)):
            total = total + sums[..., i] * weight
    return cast(total, data.dtype)


@keras_op
def scatter(indices: TensorLike, values: TensorLike, shape: Sequence[int]) -> Tensor:
    """Zeros of `shape` with `values` added at positions; where positions repeat, values add up.

    Args:
        indices: Positions (n, axes).
        values: Values (n, …).
        shape: The shape of the result.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.scatter(np.array([[0], [2]]), np.array([5.0, 7.0]), (4,)).numpy()
        array([5., 0., 7., 0.], dtype=float32)
    """
    values = computed(values)
    flat, total, rest = _flat_places("scatter", indices, list(shape))
    out = _added(reshape(values, (-1, rest)), flat, [total, rest])
    return reshape(out, list(shape))


@keras_op
def scatter_update(
    inputs: TensorLike, indices: TensorLike, updates: TensorLike, reduction: str | None = None
) -> Tensor:
    """`inputs` with `updates` put at positions; of repeated positions the last one counts.

    `reduction`: 'add', 'max', 'min' or 'mul' joins what stands there with what comes.

    Args:
        inputs: A tensor.
        indices: Positions (n, axes).
        updates: Values (n, …).
        reduction: `"add"`, `"max"`, `"min"`, `"mul"`, or None to replace.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.scatter_update(np.zeros(3), np.array([[1]]), np.array([9.0])).numpy()
        array([0., 9., 0.], dtype=float32)
    """
    x = computed(inputs)
    sizes = shape(x)
    if None in sizes:
        raise ShapeError(
            f"scatter_update: inputs have shape {sizes}, wanted known sizes\n"
            "  hint: a fixed batch size, or fastnn.ops.where"
        )
    updates = cast(updates, x.dtype)
    flat, total, rest = _flat_places("scatter_update", indices, sizes)
    new = reshape(updates, (-1, rest))
    table = reshape(x, (total, rest))
    if reduction is None:
        out = _last(table, flat, new, total)
    elif reduction == "add":
        out = table + _added(new, flat, [total, rest])
    elif reduction in ("max", "min", "mul"):
        kind = "prod" if reduction == "mul" else reduction
        joined = _segments(kind, new, flat, total)
        two = {"max": _c.maximum, "min": _c.minimum, "mul": _c.multiply}[reduction]
        out = cast(two(table, cast(joined, x.dtype)), x.dtype)
    else:
        raise ValueError(
            f"scatter_update: reduction is {reduction!r}\n"
            "  hint: None, 'add', 'max', 'min' or 'mul'"
        )
    return reshape(out, sizes)


def _last(table: Any, flat: Any, new: Any, total: int) -> Any:
    """`table` with rows replaced by the last of the `new` ones for their position."""
    if isinstance(flat, np.ndarray):
        winner: Any = np.full(total, -1, np.int32)
        winner[flat] = np.arange(len(flat), dtype=np.int32)
        if not len(flat):
            return table
    else:
        count = shape(flat)[0]
        if not count:
            return table
        order = np.arange(count, dtype=np.int32)
        hit = _c.equal(_c.expand_dims(flat, axis=[0]), np.arange(total, dtype=np.int32)[:, None])
        winner = _c.max(_c.where(hit, order, np.int32(-1)), axis=1)
    chosen = _c.take(new, _c.maximum(winner, np.int32(0)), axis=0)
    return _c.where(_c.expand_dims(_c.greater_equal(winner, np.int32(0)), axis=[1]), chosen, table)


# ---- segments --------------------------------------------------------------------------------


def _number_of(name: str, ids: Any, given: int | None) -> int:
    if given is not None:
        return given
    if not host.has_values(ids):
        raise _core.TraceError(
            f"{name}: the number of segments is not known while a step is traced\n"
            f"  hint: {name}(data, ids, num_segments=n)"
        )
    return int(host.value(name, ids).max(initial=-1)) + 1


def _segments(kind: str, data: Any, ids: Any, total: int) -> Any:
    """Rows of `data` joined by id; ids outside are dropped.

    Products and extremes compare all ids with all segments: memory grows with their product.
    Empty segments hold the identity of the operation, infinities included.
    """
    rank = ndim(data)
    ids = cast(ids, "int32")
    if kind == "sum":
        inside = _c.logical_and(_c.greater_equal(ids, 0), _c.less(ids, total))
        at = _c.where(inside, ids, cast(total, "int32"))
        sizes = [total + 1, *shape(data)[1:]]
        return _added(data, at, sizes)[:total]
    hit = _c.equal(_c.expand_dims(ids, axis=[0]), _c.expand_dims(arange(total), axis=[1]))
    hit = reshape(hit, [total, shape(ids)[0], *[1] * (rank - 1)])
    whole = data.dtype == "int32"
    rows = _c.expand_dims(data, axis=[0])
    if kind == "prod":  # whole numbers stay whole
        return prod(_c.where(hit, rows, np.int32(1) if whole else 1.0), axis=1)
    low = np.int32(-(2**31)) if whole else -math.inf
    high = np.int32(2**31 - 1) if whole else math.inf
    join, fill = (_c.max, low) if kind == "max" else (_c.min, high)
    return join(_c.where(hit, rows, fill), axis=1)


def _segment(kind: str, doc: str) -> Any:
    name = f"segment_{kind}"

    def segment(
        data: TensorLike, segment_ids: TensorLike, num_segments: int | None = None,
        sorted: bool = False,
    ) -> Tensor:  # fmt: skip
        data = computed(data)
        data = cast(data, "int32") if data.dtype == "bool" else data
        if ndim(segment_ids) != 1 or shape(segment_ids)[0] != shape(data)[0]:
            raise ShapeError(
                f"{name}: data of shape {shape(data)} and ids of shape {shape(segment_ids)}, "
                "wanted one id per slice of the first axis\n  hint: segment_ids of shape (n,)"
            )
        total = _number_of(name, segment_ids, num_segments)
        return _segments(kind, data, segment_ids, total)

    segment.__name__ = segment.__qualname__ = name
    segment.__doc__ = doc
    return keras_op(segment)


segment_sum: Callable[..., Tensor] = _segment(
    "sum",
    """Sums of the slices that share an id; 0 where there are none.

    Args:
        data: A tensor; its slices along the first axis are joined.
        segment_ids: The segment of each slice, whole numbers from 0.
        num_segments: How many segments; None: the largest number plus 1.
        sorted: Accepted for Keras's sake.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.segment_sum(np.array([1.0, 5.0, 2.0]), np.array([0, 0, 1])).numpy()
        array([6., 2.], dtype=float32)
    """,
)
segment_max: Callable[..., Tensor] = _segment(
    "max",
    """Largest of the slices that share an id; the lowest number if none.

    Args:
        data: A tensor; its slices along the first axis are joined.
        segment_ids: The segment of each slice, whole numbers from 0.
        num_segments: How many segments; None: the largest number plus 1.
        sorted: Accepted for Keras's sake.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.segment_max(np.array([1.0, 5.0, 2.0]), np.array([0, 0, 1])).numpy()
        array([5., 2.], dtype=float32)
    """,
)
segment_min: Callable[..., Tensor] = _segment(
    "min",
    """Smallest of the slices that share an id; the highest if none.

    Args:
        data: A tensor; its slices along the first axis are joined.
        segment_ids: The segment of each slice, whole numbers from 0.
        num_segments: How many segments; None: the largest number plus 1.
        sorted: Accepted for Keras's sake.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.segment_min(np.array([1.0, 5.0, 2.0]), np.array([0, 0, 1])).numpy()
        array([1., 2.], dtype=float32)
    """,
)
segment_prod: Callable[..., Tensor] = _segment(
    "prod",
    """Products of the slices that share an id; 1 where there are none.

    Args:
        data: A tensor; its slices along the first axis are joined.
        segment_ids: The segment of each slice, whole numbers from 0.
        num_segments: How many segments; None: the largest number plus 1.
        sorted: Accepted for Keras's sake.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.segment_prod(np.array([1.0, 5.0, 2.0]), np.array([0, 0, 1])).numpy()
        array([5., 2.], dtype=float32)
    """,
)


name_ops(globals())
