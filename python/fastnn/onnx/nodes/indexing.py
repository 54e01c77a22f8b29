"""Ops that read and write by index."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn import ops
from fastnn._core import Dim
from fastnn.errors import DataError
from fastnn.onnx.values import Call, dtype_of, host, is_known, ndim, shape, tensor, traced

__all__ = ["OPS"]

Op = Callable[..., Any]


def _gather(c: Call, x: Any, indices: Any) -> Any:
    axis = c.axis(c.attr("axis", 0), ndim(x))
    if is_known(x) and not traced(indices):
        at = host(indices)
        c.check([*np.shape(x)[:axis], *at.shape, *np.shape(x)[axis + 1 :]])
        return np.asarray(np.take(x, at.astype(np.int64), axis))
    size = shape(x)[axis]
    at = _from_front(indices, size)
    return ops.take(tensor(x), at, axis=axis)


def _from_front(indices: Any, size: Any) -> Any:
    """Indices below zero count from the end, once; those that are outside stay so."""
    if is_known(indices) or not traced(indices):
        a = host(indices).astype(np.int64)
        if isinstance(size, int):
            return tensor(_inside(a, size))
        if (a >= 0).all():
            return tensor(a)
    at, end = ops.cast(tensor(indices), "int32"), _number(size)
    from_end = ops.where(ops.less(at, -end), end, at + end)
    return ops.where(ops.less(at, 0), from_end, at)


def _inside(at: Any, sizes: Any) -> Any:
    """Known indices from the front; `sizes` is that of the axis, or one for each of the last."""
    sizes = np.asarray(sizes, np.int64)
    outside = (at < -sizes) | (at >= sizes)
    if outside.any():
        size = int(np.broadcast_to(sizes, at.shape)[outside][0])
        raise DataError(
            f"there is an index {at[outside][0]}, of {size} values\n  hint: {-size} to {size - 1}"
        )
    return np.where(at < 0, at + sizes, at)


def _number(size: Any) -> Any:
    return ops.axis_size(size) if isinstance(size, Dim) else int(size)


def _flat(indices: Any, sizes: Any) -> tuple[Any, Any]:
    """Positions in the axes of `sizes`, laid out flat, and how many there are.

    What is outside of one axis is outside of them all: the row that looks it up refuses it.
    """
    at, flat, outside, stride = tensor(indices), None, None, 1
    for i in reversed(range(len(sizes))):
        part = _from_front(at[..., i], sizes[i])
        over = ops.greater_equal(part, _number(sizes[i]))
        outside = over if outside is None else ops.logical_or(outside, over)
        flat = part * stride if flat is None else flat + part * stride
        stride = stride * sizes[i]
    return ops.where(outside, _number(stride), flat), stride


def _gather_elements(c: Call, x: Any, indices: Any) -> Any:
    axis = c.axis(c.attr("axis", 0), ndim(x))
    if not traced(x) and not traced(indices):
        a, at = host(x), host(indices).astype(np.int64)
        index: Any = list(np.indices(at.shape))
        index[axis] = at
        found = a[tuple(index)]
        return found if is_known(x) else tensor(found)
    at = _from_front(indices, shape(x)[axis])
    t = tensor(x)
    for i, (d, n) in enumerate(zip(shape(t), shape(at), strict=True)):
        if i != axis and isinstance(d, int) and isinstance(n, int) and n < d:
            t = t[(slice(None),) * i + (slice(0, n),)]
    return ops.take_along_axis(t, at, axis=axis)


def _gather_nd(c: Call, x: Any, indices: Any) -> Any:
    skip = int(c.attr("batch_dims", 0))
    if not traced(x) and not traced(indices):
        a, at = host(x), host(indices).astype(np.int64)
        lead = [i.reshape(i.shape + (1,) * (at.ndim - 1 - skip)) for i in
                np.indices(at.shape[:skip])]  # fmt: skip
        found = a[(*lead, *np.moveaxis(at, -1, 0))]
        return found if is_known(x) else tensor(found)
    if skip:
        raise c.wrong("batch_dims while traced", "call the model on arrays")
    depth = shape(indices)[-1]
    sizes = shape(x)
    flat, stride = _flat(indices, sizes[:depth])
    rows = ops.reshape(tensor(x), [stride, *sizes[depth:]])
    return ops.take(rows, flat, axis=0)


_COMBINED = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}


def _written(c: Call, out: Any, index: Any, updates: Any) -> Any:
    """An array in which places hold updates, or what these make of what was there."""
    how = c.attr("reduction", "none")
    if how == "none":
        out[index] = updates
    elif how in _COMBINED:
        _COMBINED[how].at(out, index, updates)
    else:
        raise c.wrong(f"there is no reduction {how!r}")
    return out


def _scatter_elements(c: Call, x: Any, indices: Any, updates: Any) -> Any:
    axis = c.axis(c.attr("axis", 0), ndim(x))
    if any(traced(v) for v in (x, indices, updates)):
        return _scatter_in_engine(c, x, indices, updates, axis)
    a = host(x).copy()
    at = _inside(host(indices).astype(np.int64), a.shape[axis])
    index: Any = list(np.indices(at.shape))
    index[axis] = at
    found = _written(c, a, tuple(index), host(updates))
    return found if is_known(x) else tensor(found)


def _scatter_in_engine(c: Call, x: Any, indices: Any, updates: Any, axis: int) -> Any:
    at, t, u = _from_front(indices, shape(x)[axis]), tensor(x), tensor(updates)
    add = c.attr("reduction", "none")
    row: Any = {"shape": list(shape(t)), "axis": axis}
    if shape(at) != (*shape(t)[:axis], shape(at)[axis], *shape(t)[axis + 1 :]):
        raise c.wrong("indices of another shape while traced", "call the model on arrays")
    if add == "add":
        return t + _added(u, lambda v: ops.take_along_axis_grad(v, at, **row), dtype_of(t))
    if add != "none":
        raise c.wrong(f"reduction {add!r} while traced", "call the model on arrays")
    if shape(at)[axis] == 0:
        return t
    winner = _winners(c, at, row["shape"], axis)
    chosen = ops.take_along_axis(u, ops.maximum(winner, 0), axis=axis)
    return ops.where(ops.greater_equal(winner, 0), chosen, t)


def _added(updates: Any, put: Callable[[Any], Any], dtype: str) -> Any:
    """Sums of updates by place. `put` adds floats, so whole numbers go as four bytes."""
    if dtype != "int32":
        return ops.cast(put(ops.cast(updates, "float32")), dtype)
    total: Any = 0
    for weight in (1, 1 << 8, 1 << 16, 1 << 24):
        part = ops.floor_divide(updates, weight)
        part = part if weight == 1 << 24 else ops.mod(part, 256)
        total = total + ops.cast(put(ops.cast(part, "float32")), "int32") * weight
    return total


def _winners(c: Call, at: Any, sizes: list[Any], axis: int) -> Any:
    """Which of the updates along an axis each place ends with: the last one for it; -1 for none."""
    count = shape(at)[axis]
    if isinstance(count, int) and count >= 1 << 24:
        raise c.wrong(f"{count:,} updates while traced", "call the model on arrays")
    before = (slice(None),) * axis
    order = ops.argsort(at, axis=axis)  # of equal places the later ones stand behind
    at = ops.take_along_axis(at, order, axis=axis)
    at_end = at[(*before, slice(-1, None))]
    following = ops.concatenate([at[(*before, slice(1, None))], at_end * 0 - 1], axis=axis)
    numbers = ops.where(ops.not_equal(at, following), ops.cast(order, "float32") + 1, 0.0)
    found = ops.take_along_axis_grad(numbers, at, shape=sizes, axis=axis)
    return ops.cast(found, "int32") - 1


def _scatter_nd(c: Call, x: Any, indices: Any, updates: Any) -> Any:
    if not any(traced(v) for v in (x, indices, updates)):
        a, at = host(x).copy(), host(indices).astype(np.int64)
        at = _inside(at, a.shape[: at.shape[-1]])
        found = _written(c, a, tuple(np.moveaxis(at, -1, 0)), host(updates))
        return found if is_known(x) else tensor(found)
    depth, sizes_of = shape(indices)[-1], shape(x)
    lead, rest = sizes_of[:depth], sizes_of[depth:]
    if any(isinstance(d, Dim) for d in lead[1:]):
        raise c.wrong("it writes along axes of open size", "give those sizes as numbers")
    flat, stride = _flat(indices, lead)
    flat = ops.reshape(flat, [-1])
    t, u = tensor(x), tensor(updates)
    rows = ops.reshape(t, [stride, *rest])
    values = ops.reshape(u, [-1, *rest])
    how = c.attr("reduction", "none")
    if how == "add":
        put = _added(
            values, lambda v: ops.take_grad(v, flat, shape=[stride, *rest], axis=0), dtype_of(t)
        )
        return ops.reshape(rows + put, sizes_of)
    if how != "none":
        raise c.wrong(f"reduction {how!r} while traced", "call the model on arrays")
    if shape(flat)[0] == 0:
        return t
    winner = _winners(c, flat, [stride], 0)
    chosen = ops.take(values, ops.maximum(winner, 0), axis=0)
    hit = ops.reshape(ops.greater_equal(winner, 0), [stride, *[1] * len(rest)])
    return ops.reshape(ops.where(hit, chosen, rows), sizes_of)


def _tensor_scatter(c: Call, past: Any, update: Any, places: Any = None) -> Any:
    axis = c.axis(c.attr("axis", -2), ndim(past))
    ring = c.attr("mode", "linear") == "circular"
    a, u = c.host(past, "past_cache").copy(), c.host(update, "update")
    first = np.zeros(a.shape[0], np.int64) if places is None else c.host(places, "write_indices")
    for row in range(a.shape[0]):
        at = int(first[row]) + np.arange(u.shape[axis])
        at = at % a.shape[axis] if ring else at
        index = (slice(None),) * (axis - 1) + (at,)
        a[row][index] = u[row]
    return a if is_known(past) else tensor(a)


def _one_hot(c: Call, indices: Any, depth: Any, values: Any) -> Any:
    count = c.host(depth, "depth").reshape(-1)[0]
    if not isinstance(count, Dim):
        count = int(count)
    off, on = c.host(values, "values").reshape(-1)
    axis = c.attr("axis", -1)
    rank = ndim(indices) + 1
    axis = c.axis(axis, rank)
    c.check([*shape(indices), count])
    if not traced(indices):
        known = host(indices)
        at = np.where(known < 0, known + count, known)
        hit = np.expand_dims(at, axis) == np.arange(count).reshape(
            [-1 if i == axis else 1 for i in range(rank)])  # fmt: skip
        return np.where(hit, on, off).astype(values.dtype if is_known(values) else np.float32)
    open_at = ops.cast(tensor(indices), "int32")
    end = ops.axis_size(count) if isinstance(count, Dim) else count
    open_at = ops.where(ops.less(open_at, 0), open_at + end, open_at)
    hot = ops.moveaxis(ops.one_hot(open_at, count), -1, axis)
    return hot if (off, on) == (0, 1) else hot * float(on - off) + float(off)


def _compress(c: Call, x: Any, condition: Any) -> Any:
    chosen = c.host(condition, "condition").astype(bool)
    axis = c.attr("axis")
    if traced(x):
        at = np.flatnonzero(chosen).astype(np.int32)
        flat = ops.reshape(x, [-1]) if axis is None else x
        return ops.take(flat, at, axis=0 if axis is None else c.axis(axis, ndim(x)))
    found = np.compress(chosen, host(x), axis)
    return found if is_known(x) else tensor(found)


def _non_zero(c: Call, x: Any) -> Any:
    return np.asarray(np.nonzero(c.host(x, "X")), np.int64)


def _unique(c: Call, x: Any) -> Any:
    a, axis = c.host(x, "X"), c.attr("axis")
    values, first, back, count = np.unique(a, True, True, True, axis=axis)
    back = back.reshape(-1)
    if not c.attr("sorted", 1):
        order = np.argsort(first, kind="stable")
        values = np.take(values, order, 0 if axis is None else axis)
        first, count = first[order], count[order]
        back = np.argsort(order)[back]
    return (
        values if is_known(x) else tensor(values),
        *(np.asarray(v, np.int64) for v in (first, back, count)),
    )


def _non_max_suppression(
    c: Call, boxes: Any, scores: Any, most: Any = None, overlap: Any = None, least: Any = None
) -> Any:
    b, s = c.host(boxes, "boxes"), c.host(scores, "scores")
    count = 0 if most is None else int(c.host(most, "max_output_boxes_per_class").reshape(-1)[0])
    limit = 0.0 if overlap is None else float(c.host(overlap, "iou_threshold").reshape(-1)[0])
    low = None if least is None else float(c.host(least, "score_threshold").reshape(-1)[0])
    if c.attr("center_point_box", 0):
        middle, half = b[..., :2], b[..., 2:] / 2
        b = np.concatenate([middle - half, middle + half], -1)
    first, last = np.minimum(b[..., :2], b[..., 2:]), np.maximum(b[..., :2], b[..., 2:])
    area = np.prod(last - first, -1)
    found = []
    for n, k in np.ndindex(s.shape[:2]):
        order = np.argsort(-s[n, k], kind="stable")
        kept: list[int] = []
        for i in order:
            if len(kept) >= count or (low is not None and s[n, k, i] <= low):
                break
            inner = np.prod(
                np.maximum(
                    np.minimum(last[n, i], last[n, kept]) - np.maximum(first[n, i], first[n, kept]),
                    0,
                ),
                -1,
            )
            if not (inner / (area[n, i] + area[n, kept] - inner) > limit).any():
                kept.append(int(i))
        found += [(n, k, i) for i in kept]
    return np.asarray(found, np.int64).reshape(-1, 3)


OPS: dict[str, Op] = {
    "Gather": _gather, "GatherElements": _gather_elements, "GatherND": _gather_nd,
    "Scatter": _scatter_elements, "ScatterElements": _scatter_elements, "ScatterND": _scatter_nd,
    "TensorScatter": _tensor_scatter, "OneHot": _one_hot, "Compress": _compress,
    "NonZero": _non_zero, "Unique": _unique, "NonMaxSuppression": _non_max_suppression,
}  # fmt: skip
