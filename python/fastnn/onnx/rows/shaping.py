"""Rows that move, cut, join, index and make values, in ONNX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.onnx.builder import TYPES, Builder
from fastnn.onnx.rows.elements import result_type
from fastnn.onnx.traced import Row, Value

__all__ = ["ROWS"]

Write = Callable[..., Any]
#: Ends of slices from here on stand for "to the end".
_OPEN_END = 1 << 62


def _reshape(b: Builder, row: Row, x: Value) -> str:
    return b.node("Reshape", x.name, b.shape(row.attrs["shape"], minus_one=True))


def _expand_dims(b: Builder, row: Row, x: Value) -> str:
    return b.with_axes("Unsqueeze", x.name, _list(row.attrs["axis"]))


def _squeeze(b: Builder, row: Row, x: Value) -> str:
    axes = [a % x.rank for a in _list(row.attrs["axis"])]
    return b.with_axes("Squeeze", x.name, axes) if axes else b.node("Identity", x.name)


def _list(value: Any) -> list[int]:
    return [value] if isinstance(value, int) else list(value)


def _transpose(b: Builder, row: Row, x: Value) -> str:
    axes = row.attrs["axes"]
    order = range(x.rank)[::-1] if axes in (None, "none") else [a % x.rank for a in axes]
    return b.node("Transpose", x.name, perm=list(order))


def _broadcast_to(b: Builder, row: Row, x: Value) -> str:
    return b.node("Expand", x.name, b.shape(row.attrs["shape"]))


def _cut(
    b: Builder, x: str, begin: list[Any], end: list[Any], axes: list[int], step: list[int]
) -> str:
    """A slice along axes; sizes may be open."""
    whole = all(a == 0 and e == _OPEN_END and s == 1 for a, e, s in zip(begin, end, step,
                                                                        strict=True))  # fmt: skip
    if whole:
        return b.node("Identity", x)
    return b.node("Slice", x, b.shape(begin), b.shape(end), b.ints(axes), b.ints(step))


def _flip(b: Builder, row: Row, x: Value) -> str:
    axis = row.attrs["axis"]
    axes = list(range(x.rank)) if axis in (None, "none") else [a % x.rank for a in _list(axis)]
    if not axes:
        return b.node("Identity", x.name)
    n = len(axes)
    return _cut(b, x.name, [-1] * n, [-(_OPEN_END)] * n, axes, [-1] * n)


def _slice(b: Builder, row: Row, x: Value) -> str:
    begin, end, step = (list(row.attrs[k]) for k in ("begin", "end", "step"))
    end = [
        e if b.is_open(e) or abs(e) < _OPEN_END else -_OPEN_END if s < 0 else _OPEN_END
        for e, s in zip(end, step, strict=True)
    ]
    moved = [
        i
        for i, (f, e, s) in enumerate(zip(begin, end, step, strict=True))
        if b.is_open(f) or b.is_open(e) or (f, e, s) != (0, _OPEN_END, 1)
    ]
    if not moved:
        return b.node("Identity", x.name)
    chosen = ([values[i] for i in moved] for values in (begin, end, step))
    begins, ends, steps = chosen
    return _cut(b, x.name, begins, ends, moved, steps)


def _pad(b: Builder, row: Row, x: Value) -> str:
    widths = row.attrs["widths"]
    order = [*widths[0::2], *widths[1::2]]
    if x.dtype == "bool":
        wide = b.node("Cast", x.name, to=TYPES["int32"])
        value = b.number(int(float(row.attrs["value"]) != 0), "int32")
        return b.node("Cast", b.node("Pad", wide, b.shape(order), value), to=TYPES["bool"])
    return b.node("Pad", x.name, b.shape(order), b.number(float(row.attrs["value"]), x.dtype))


def _concatenate(b: Builder, row: Row, *xs: Value) -> str:
    names = [b.cast(x, result_type(row)) for x in xs]
    return b.node("Concat", *names, axis=row.attrs["axis"] % xs[0].rank)


def _stack(b: Builder, row: Row, *xs: Value) -> str:
    axis = row.attrs["axis"] % (xs[0].rank + 1)
    names = [b.with_axes("Unsqueeze", b.cast(x, result_type(row)), [axis]) for x in xs]
    return b.node("Concat", *names, axis=axis)


def _tile(b: Builder, row: Row, x: Value) -> str:
    repeats, name = row.attrs["repeats"], x.name
    if len(repeats) > x.rank:
        name = b.with_axes("Unsqueeze", name, list(range(len(repeats) - x.rank)))
    repeats = [1] * (x.rank - len(repeats)) + list(repeats)
    return b.node("Tile", name, b.shape(repeats))


def _repeat(b: Builder, row: Row, x: Value) -> str:
    axis = row.attrs["axis"] % x.rank
    wide = b.with_axes("Unsqueeze", x.name, [axis + 1])
    times = [*[1] * (axis + 1), row.attrs["repeats"], *[1] * (x.rank - axis - 1)]
    many = b.node("Expand", wide, b.shape(times))
    whole = b.node("Shape", x.name)
    pieces = [b.node("Slice", whole, b.ints([0]), b.ints([axis]))] if axis else []
    size = b.node("Shape", x.name, start=axis, end=axis + 1)
    pieces.append(b.node("Mul", size, b.size(row.attrs["repeats"])))
    if axis + 1 < x.rank:
        pieces.append(b.node("Slice", whole, b.ints([axis + 1]), b.ints([x.rank])))
    shape = pieces[0] if len(pieces) == 1 else b.node("Concat", *pieces, axis=0)
    return b.node("Reshape", many, shape)


def _roll(b: Builder, row: Row, x: Value) -> str:
    axis = row.attrs["axis"] % x.rank
    size = b.node("Shape", x.name, start=axis, end=axis + 1)
    cut = b.node("Mod", b.node("Sub", size, b.size(row.attrs["shift"])), size)
    where = b.ints([axis])
    late = b.node("Slice", x.name, cut, size, where)
    early = b.node("Slice", x.name, b.ints([0]), cut, where)
    return b.node("Concat", late, early, axis=axis)


# ---- made from nothing -------------------------------------------------------------------------


def _iota(b: Builder, row: Row) -> str:
    dtype = row.attrs["dtype"]
    if not b.is_open(row.attrs["stop"]):
        return b.array(np.arange(row.attrs["stop"]), dtype)
    stop = b.with_axes("Squeeze", b.size(row.attrs["stop"]), [0])
    found = b.node("Range", b.number(0, "int64"), stop, b.number(1, "int64"))
    return b.node("Cast", found, to=TYPES[dtype])


def _axis_size(b: Builder, row: Row) -> str:
    size = b.with_axes("Squeeze", b.size(row.attrs["size"]), [0])
    return b.node("Cast", size, to=TYPES["int32"])


def _full(b: Builder, row: Row) -> str:
    dtype, value = row.attrs["dtype"], float(row.attrs["value"])
    return b.node("Expand", b.number(value, dtype), b.shape(row.attrs["shape"]))


def _eye(b: Builder, row: Row) -> str:
    n, m, k = (row.attrs[key] for key in ("n", "m", "k"))
    m = n if m in (None, "none") else m
    if not b.is_open(n) and not b.is_open(m):
        return b.array(np.eye(n, m, k), "float32")
    zeros = b.node("Expand", b.number(0.0), b.shape([n, m]))
    return b.node("EyeLike", zeros, k=k, dtype=TYPES["float32"])


def _one_hot(b: Builder, row: Row, x: Value) -> str:
    count = row.attrs["num_classes"]
    if b.is_open(count):
        stop = b.with_axes("Squeeze", b.size(count), [0])
        steps = b.node("Range", b.number(0, "int64"), stop, b.number(1, "int64"))
        classes = b.node("Cast", steps, to=TYPES["int32"])
    else:
        classes = b.array(np.arange(count), "int32")
    index = b.with_axes("Unsqueeze", b.cast(x, "int32"), [x.rank])
    return b.node("Cast", b.node("Equal", index, classes), to=TYPES["float32"])


# ---- by index ----------------------------------------------------------------------------------


def _take(b: Builder, row: Row, x: Value, indices: Value) -> str:
    axis, name = row.attrs["axis"], x.name
    index = b.cast(indices, "int32")
    if axis in (None, "none"):
        name, axis = b.node("Reshape", name, b.ints([-1])), 0
        return b.node("Gather", name, index, axis=0)
    return b.node("Gather", name, index, axis=axis % x.rank)


def _take_along_axis(b: Builder, row: Row, x: Value, indices: Value) -> str:
    axis = row.attrs["axis"] % x.rank
    index, name = b.cast(indices, "int32"), x.name
    others = [i for i in range(x.rank) if i != axis]
    if any(x.shape[i] != indices.shape[i] for i in others):
        name = _fitted(b, name, index, axis, x.rank)
        index = _fitted(b, index, name, axis, x.rank)
    return b.node("GatherElements", name, index, axis=axis)


def _fitted(b: Builder, x: str, other: str, axis: int, rank: int) -> str:
    """`x` broadcast against the axes of `other`, except one."""
    one = b.ints([1])
    whole = b.node("Shape", other)
    parts = [b.node("Slice", whole, b.ints([0]), b.ints([axis]))] if axis else []
    parts.append(one)
    if axis + 1 < rank:
        parts.append(b.node("Slice", whole, b.ints([axis + 1]), b.ints([rank])))
    return b.node("Expand", x, b.node("Concat", *parts, axis=0) if len(parts) > 1 else parts[0])


def _take_grad(b: Builder, row: Row, dy: Value, indices: Value) -> str:
    axis, shape = row.attrs["axis"], row.attrs["shape"]
    index = b.node("Cast", indices.name, to=TYPES["int64"])
    table = b.node("Expand", b.number(0, result_type(row)), b.shape(shape))
    rank, dy_name = len(shape), b.cast(dy, result_type(row))
    index = b.with_axes("Unsqueeze", index, [indices.rank])
    if axis in (None, "none"):
        flat = b.node("Reshape", table, b.ints([-1]))
        added = b.node("ScatterND", flat, index, dy_name, reduction="add")
        return b.node("Reshape", added, b.shape(shape, minus_one=True))
    axis %= rank
    front = [axis, *[i for i in range(rank) if i != axis]]
    if axis:
        table = b.node("Transpose", table, perm=front)
        at = list(range(axis, axis + indices.rank))
        rest = [i for i in range(dy.rank) if i not in at]
        dy_name = b.node("Transpose", dy_name, perm=[*at, *rest])
    added = b.node("ScatterND", table, index, dy_name, reduction="add")
    back = [front.index(i) for i in range(rank)]
    return b.node("Transpose", added, perm=back) if axis else added


def _take_along_axis_grad(b: Builder, row: Row, dy: Value, indices: Value) -> str:
    shape, axis = row.attrs["shape"], row.attrs["axis"] % dy.rank
    table = b.node("Expand", b.number(0, result_type(row)), b.shape(shape))
    index, given = b.cast(indices, "int32"), b.cast(dy, result_type(row))
    return b.node("ScatterElements", table, index, given, axis=axis, reduction="add")


def _starts(b: Builder, x: Value, start: Value, axes: list[int], sizes: list[str]) -> list[str]:
    """Where a window begins along each axis: counted from the end below zero, then kept inside."""
    flat = b.node("Reshape", b.node("Cast", start.name, to=TYPES["int64"]), b.ints([-1]))
    found = []
    for i, axis in enumerate(axes):
        whole = b.node("Shape", x.name, start=axis, end=axis + 1)
        at = b.node("Slice", flat, b.ints([i]), b.ints([i + 1]))
        below = b.node("Less", at, b.ints([0]))
        at = b.node("Where", below, b.node("Add", at, whole), at)
        at = b.node("Max", at, b.ints([0]))
        found.append(b.node("Min", at, b.node("Sub", whole, sizes[i])))
    return found


def _dynamic_slice(b: Builder, row: Row, x: Value, start: Value) -> str:
    if not row.attrs["axes"]:
        return x.name
    axes = [a % x.rank for a in row.attrs["axes"]]
    sizes = [b.size(d) for d in row.attrs["sizes"]]
    starts = _starts(b, x, start, axes, sizes)
    ends = [b.node("Add", s, d) for s, d in zip(starts, sizes, strict=True)]
    joined = [n[0] if len(n) == 1 else b.node("Concat", *n, axis=0) for n in (starts, ends)]
    return b.node("Slice", x.name, *joined, b.ints(axes))


def _update_slice(b: Builder, row: Row, x: Value, part: Value, start: Value) -> str:
    """Inside the window the part, outside what was there: by the places along each axis."""
    if 0 in part.shape:  # open sizes are sampled above 0
        return x.name
    axes = [a % x.rank for a in row.attrs["axes"]]
    sizes = [b.node("Shape", part.name, start=a, end=a + 1) for a in axes]
    starts = _starts(b, x, start, axes, sizes)
    inside, name = None, b.cast(part, x.dtype)
    for axis, first, size in zip(axes, starts, sizes, strict=True):
        whole = b.with_axes("Squeeze", b.node("Shape", x.name, start=axis, end=axis + 1), [0])
        places = b.node("Range", b.number(0, "int64"), whole, b.number(1, "int64"))
        place = b.node("Sub", places, first)
        last = b.node("Sub", size, b.ints([1]))
        name = b.node("Gather", name, b.node("Min", b.node("Max", place, b.ints([0])), last),
                      axis=axis)  # fmt: skip
        here = b.node("And", b.node("GreaterOrEqual", place, b.ints([0])),
                      b.node("LessOrEqual", place, last))  # fmt: skip
        shape = [1] * x.rank
        shape[axis] = -1
        here = b.node("Reshape", here, b.ints(shape))
        inside = here if inside is None else b.node("And", inside, here)
    return name if inside is None else b.node("Where", inside, name, x.name)


def _unslice(b: Builder, row: Row, dy: Value) -> str:
    """The places that a slice reads get their values, all others zero."""
    shape, name, rank = row.attrs["shape"], dy.name, dy.rank
    flat = b.node("Expand", b.number(0, dy.dtype), b.shape(shape))
    count = b.node("ReduceProd", b.node("Shape", flat), keepdims=0)
    numbers = b.node("Range", b.number(0, "int64"), count, b.number(1, "int64"))
    places = Value(b.node("Reshape", numbers, b.shape(shape, minus_one=True)), (0,) * rank, "int64")
    chosen = b.node("Reshape", _slice(b, row, places), b.ints([-1, 1]))
    added = b.node("ScatterND", b.node("Reshape", flat, b.ints([-1])), chosen,
                   b.node("Reshape", name, b.ints([-1])))  # fmt: skip
    return b.node("Reshape", added, b.shape(shape, minus_one=True))


ROWS: dict[str, Write] = {
    "reshape": _reshape, "expand_dims": _expand_dims, "squeeze": _squeeze,
    "transpose": _transpose, "broadcast_to": _broadcast_to, "flip": _flip, "slice": _slice,
    "unslice": _unslice, "pad": _pad, "concatenate": _concatenate, "stack": _stack, "tile": _tile,
    "repeat": _repeat, "roll": _roll, "iota": _iota, "axis_size": _axis_size, "full": _full,
    "eye": _eye, "one_hot": _one_hot, "take": _take, "take_along_axis": _take_along_axis,
    "take_grad": _take_grad, "take_along_axis_grad": _take_along_axis_grad,
    "dynamic_slice": _dynamic_slice, "update_slice": _update_slice,
}  # fmt: skip
