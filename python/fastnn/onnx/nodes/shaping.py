"""Ops that change shapes, join and cut."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn import ops
from fastnn._core import Dim
from fastnn.onnx.values import Call, is_known, like, ndim, shape, tensor

__all__ = ["OPS", "sizes_array", "transposed"]

Op = Callable[..., Any]


def sizes_array(sizes: Any) -> np.ndarray[Any, Any]:
    """Sizes as int64, or as objects where some are open."""
    sizes = list(sizes)
    if any(isinstance(d, Dim) for d in sizes):
        a = np.empty(len(sizes), object)
        a[:] = sizes
        return a
    return np.asarray(sizes, np.int64).reshape(-1)


def transposed(x: Any, axes: list[int]) -> Any:
    """The axes in another order."""
    return np.transpose(x, axes) if is_known(x) else ops.transpose(x, axes)


def reshaped(x: Any, sizes: list[Any]) -> Any:
    """The same values under another shape."""
    if is_known(x):
        if any(isinstance(d, Dim) for d in sizes):
            return ops.reshape(tensor(x), sizes)
        return x.reshape(sizes)
    return ops.reshape(x, sizes)


def _reshape(c: Call, x: Any, target: Any = None) -> Any:
    wanted = c.ints("shape") if target is None else c.list(target, "shape")
    have = shape(x)
    if not c.attr("allowzero", 0):
        wanted = [have[i] if isinstance(d, int) and d == 0 else d for i, d in enumerate(wanted)]
    if c.runner.runner.open_batch and wanted and have:
        wanted = _for_batch(wanted, have)
    return reshaped(x, wanted)


def _for_batch(wanted: list[Any], have: tuple[Any, ...]) -> list[Any]:
    """A shape written for a batch of 1, for an open batch that stands in front."""
    inner, rest = have[1:], wanted[1:]
    if wanted[0] != 1 or any(isinstance(d, Dim) for d in (*inner, *rest)):
        return wanted
    if -1 in rest or math.prod(rest) == math.prod(inner):
        return [have[0], *rest]
    return wanted


def _flatten(c: Call, x: Any) -> Any:
    have = shape(x)
    axis = c.attr("axis", 1)
    axis = axis + len(have) if axis < 0 else axis
    if not 0 <= axis <= len(have):
        raise c.wrong(f"axis {axis} of {len(have)} axes")
    first = [d for d in have[:axis]]
    if len(first) == 1:
        return reshaped(x, [first[0], math.prod(have[1:]) if all(
            isinstance(d, int) for d in have[1:]) else -1])  # fmt: skip
    left = _product(first)
    return reshaped(x, [left, _product(have[axis:])])


def _product(sizes: Any) -> Any:
    total: Any = 1
    for d in sizes:
        total = d * total if isinstance(d, Dim) else total * d
    return total


def _transpose(c: Call, x: Any) -> Any:
    axes = c.ints("perm", list(range(ndim(x)))[::-1])
    if sorted(axes) != list(range(ndim(x))):
        raise c.wrong(f"perm is {axes} for {ndim(x)} axes")
    return transposed(x, axes)


def _axes_of(c: Call, axes: Any) -> list[int] | None:
    return c.ints("axes") if axes is None else c.list(axes, "axes")


def _squeeze(c: Call, x: Any, axes: Any = None) -> Any:
    over = _axes_of(c, axes)
    have = shape(x)
    if over is None:
        over = [i for i, d in enumerate(have) if d == 1]
    over = [c.axis(a, len(have)) for a in over]
    if is_known(x):
        return np.squeeze(x, tuple(over))
    return ops.squeeze(x, over) if over else x


def _unsqueeze(c: Call, x: Any, axes: Any = None) -> Any:
    given = _axes_of(c, axes) or []
    rank = ndim(x) + len(given)
    over = sorted(c.axis(a, rank) for a in given)
    if len(set(over)) < len(over):
        raise c.wrong(f"axes {given} name one axis twice")
    return np.expand_dims(x, tuple(over)) if is_known(x) else ops.expand_dims(x, over)


def _concat(c: Call, *xs: Any) -> Any:
    axis = c.axis(c.attr("axis", 1), ndim(xs[0]))
    if all(is_known(x) for x in xs):
        return np.concatenate(xs, axis)
    return ops.concatenate([tensor(x) for x in xs], axis=axis)


def _split(c: Call, x: Any, parts: Any = None) -> Any:
    axis = c.axis(c.attr("axis", 0), ndim(x))
    sizes = c.ints("split") if parts is None else c.list(parts, "split")
    whole = shape(x)[axis]
    if sizes is None:
        count = int(c.attr("num_outputs", c.outputs))
        if isinstance(whole, Dim) or count < 1:
            raise c.wrong("it cuts an axis of open size", "give that size as a number")
        each = -(-whole // count)
        sizes = [min(each, max(whole - i * each, 0)) for i in range(count)]
    if isinstance(whole, int) and (sum(sizes) != whole or min(sizes, default=0) < 0):
        raise c.wrong(f"it cuts an axis of {whole} into {sizes}")
    if len(sizes) < c.outputs:
        raise c.wrong(f"it has {c.outputs} outputs for {len(sizes)} parts")
    at, found = 0, []
    for n in sizes:
        found.append(x[(slice(None),) * axis + (slice(at, at + n),)])
        at += n
    return tuple(found)


def _slice(
    c: Call, x: Any, starts: Any = None, ends: Any = None, axes: Any = None, steps: Any = None
) -> Any:
    if starts is None:
        first, last = c.ints("starts"), c.ints("ends")
        over = c.ints("axes", list(range(len(first))))
    else:
        first, last = c.list(starts, "starts"), c.list(ends, "ends")
        over = list(range(len(first))) if axes is None else c.list(axes, "axes")
    by = [1] * len(first) if steps is None else c.list(steps, "steps")
    have = shape(x)
    index: list[Any] = [slice(None)] * len(have)
    for a, f, e, s in zip(over, first, last, by, strict=True):
        if s == 0:
            raise c.wrong("a step is 0")
        axis = c.axis(a, len(have))
        index[axis] = _one(f, e, s, have[axis])
    if is_known(x):
        return x[tuple(index)]
    return ops.get_item(x, tuple(index))


def _one(first: Any, end: Any, step: int, size: Any) -> slice:
    """A slice in Python's terms; sizes may be open."""
    far = 2**31 - 2
    known = isinstance(end, int)
    if known and step > 0 and (end >= far or (isinstance(size, int) and end >= size)):
        end = None
    if step < 0 and isinstance(end, int):
        if isinstance(size, int) and end < 0:
            end = end + size if end + size >= 0 else None
        elif end <= -far:
            end = None
    if isinstance(first, int) and isinstance(size, int):
        first = max(first + size, 0 if step > 0 else -1) if first < 0 else min(first, size)
        if step < 0:
            if first < 0:
                return slice(0, 0, 1)
            first = min(first, size - 1)
    elif isinstance(first, int) and first >= far:
        first = None if step < 0 else first
    return slice(first, end, step)


def _expand(c: Call, x: Any, target: Any) -> Any:
    wanted = c.list(target, "shape")
    have = shape(x)
    rank = max(len(wanted), len(have))
    left = [1] * (rank - len(have)) + list(have)
    right = [1] * (rank - len(wanted)) + list(wanted)
    sizes = []
    for a, b in zip(left, right, strict=True):
        if not isinstance(a, Dim) and not isinstance(b, Dim) and a != b and 1 not in (a, b):
            raise c.wrong(f"a value of shape {have} does not broadcast to {wanted}")
        sizes.append(b if not isinstance(a, Dim) and a == 1 else a)
    c.check(sizes)
    if is_known(x) and not any(isinstance(d, Dim) for d in sizes):
        return np.broadcast_to(x, sizes).copy()
    return ops.broadcast_to(tensor(x), sizes)


def _tile(c: Call, x: Any, repeats: Any) -> Any:
    times = c.list(repeats, "repeats")
    if len(times) != ndim(x):
        raise c.wrong(f"{len(times)} repeats for {ndim(x)} axes")
    c.check([a * b for a, b in zip(shape(x), times, strict=True) if isinstance(a, int)
             and isinstance(b, int)])  # fmt: skip
    return np.tile(x, times) if is_known(x) else ops.tile(x, times)


def _shape(c: Call, x: Any) -> Any:
    have = shape(x)
    start, end = c.attr("start", 0), c.attr("end", len(have))
    return sizes_array(have[slice(start, end)])


def _size(c: Call, x: Any) -> Any:
    total = _product(shape(x))
    a = np.empty((), object if isinstance(total, Dim) else np.int64)
    a[()] = total
    return a


def _pad(c: Call, x: Any, pads: Any = None, value: Any = None, axes: Any = None) -> Any:
    widths = c.list(pads, "pads") if pads is not None else c.ints("pads", c.ints("paddings"))
    over = list(range(ndim(x))) if axes is None else [
        c.axis(a, ndim(x)) for a in c.list(axes, "axes")]  # fmt: skip
    if len(widths) != 2 * len(over):
        raise c.wrong(f"{len(widths)} pads for {len(over)} axes")
    pairs: list[tuple[Any, Any]] = [(0, 0)] * ndim(x)
    for i, a in enumerate(over):
        pairs[a] = (widths[i], widths[i + len(over)])
    mode = c.attr("mode", "constant")
    fill = c.attr("value", 0.0) if value is None else c.host(value, "constant_value").reshape(-1)
    fill = fill if isinstance(fill, float) else (fill[0].item() if fill.size else 0)
    c.check([d + max(a, 0) + max(b, 0) for d, (a, b) in zip(shape(x), pairs, strict=True)
             if isinstance(d, int) and isinstance(a, int) and isinstance(b, int)])  # fmt: skip
    if any(isinstance(w, int) and w < 0 for pair in pairs for w in pair):
        x, pairs = _cropped(x, pairs)
    if is_known(x):
        names = {"constant": "constant", "reflect": "reflect", "edge": "edge", "wrap": "wrap"}
        if mode not in names:
            raise c.wrong(f"there is no mode {mode!r}")
        more = {"constant_values": fill} if mode == "constant" else {}
        return np.pad(x, pairs, mode=names[mode], **more)  # type: ignore[call-overload]
    if mode == "constant":
        return ops.pad(x, pairs, constant_values=fill)
    return _gathered(c, x, pairs, mode)


def _cropped(x: Any, pairs: list[tuple[Any, Any]]) -> Any:
    """Negative widths cut."""
    index, rest = [], []
    for a, b in pairs:
        index.append(slice(-a if a < 0 else None, b if b < 0 else None))
        rest.append((max(a, 0), max(b, 0)))
    return x[tuple(index)], rest


def _gathered(c: Call, x: Any, pairs: list[tuple[Any, Any]], mode: str) -> Any:
    """Borders that repeat what is inside, by places along each axis."""
    for axis, (a, b) in enumerate(pairs):
        if a == 0 and b == 0:
            continue
        n = shape(x)[axis]
        if isinstance(n, Dim):
            raise c.wrong(f"mode {mode!r} on an axis of open size", "give that size as a number")
        names = {"reflect": "reflect", "edge": "edge", "wrap": "wrap"}
        if mode not in names:
            raise c.wrong(f"there is no mode {mode!r}")
        places = np.pad(np.arange(n), (a, b), mode=names[mode])  # type: ignore[call-overload]
        x = ops.take(x, places.astype(np.int32), axis=axis)
    return x


def _trilu(c: Call, x: Any, k: Any = None) -> Any:
    by = 0 if k is None else int(c.host(k, "k").reshape(-1)[0])
    upper = bool(c.attr("upper", 1))
    if is_known(x):
        return np.triu(x, by) if upper else np.tril(x, by)
    rows, columns = shape(x)[-2:]
    down, across = (ops.iota(d) for d in (rows, columns))
    apart = ops.expand_dims(across, 0) - ops.expand_dims(down, 1)
    kept = ops.greater_equal(apart, by) if upper else ops.less_equal(apart, by)
    return ops.where(kept, x, ops.zeros_like(x))


def _depth_to_space(c: Call, x: Any) -> Any:
    n, depth, h, w = shape(x)
    s = int(c.attr("blocksize"))
    if c.attr("mode", "DCR") == "DCR":
        wide = reshaped(x, [n, s, s, depth // (s * s), h, w])
        return reshaped(transposed(wide, [0, 3, 4, 1, 5, 2]), [n, depth // (s * s), h * s, w * s])
    wide = reshaped(x, [n, depth // (s * s), s, s, h, w])
    return reshaped(transposed(wide, [0, 1, 4, 2, 5, 3]), [n, depth // (s * s), h * s, w * s])


def _space_to_depth(c: Call, x: Any) -> Any:
    n, depth, h, w = shape(x)
    s = int(c.attr("blocksize"))
    wide = reshaped(x, [n, depth, h // s, s, w // s, s])
    order = [0, 3, 5, 1, 2, 4] if c.attr("mode", "DCR") == "DCR" else [0, 1, 3, 5, 2, 4]
    return reshaped(transposed(wide, order), [n, depth * s * s, h // s, w // s])


def _center_crop_pad(c: Call, x: Any, target: Any) -> Any:
    wanted = c.list(target, "shape")
    axes = [c.axis(a, ndim(x)) for a in c.ints("axes", list(range(ndim(x))))]
    for axis, want in zip(axes, wanted, strict=True):
        c.check([want])
        have = shape(x)[axis]
        if isinstance(have, Dim) or isinstance(want, Dim):
            raise c.wrong("it crops an axis of open size", "give that size as a number")
        lead = (slice(None),) * axis
        if have > want:
            first = (have - want) // 2
            x = x[(*lead, slice(first, first + want))]
        elif have < want:
            first = (want - have) // 2
            pairs = [(0, 0)] * ndim(x)
            pairs[axis] = (first, want - have - first)
            x = np.pad(x, pairs) if is_known(x) else ops.pad(x, pairs)
    return x


def _reverse_sequence(c: Call, x: Any, lengths: Any) -> Any:
    time, batch = int(c.attr("time_axis", 0)), int(c.attr("batch_axis", 1))
    size = shape(x)[time]
    steps = ops.iota(size) if isinstance(size, Dim) else tensor(np.arange(size, dtype=np.int32))
    count = ops.cast(tensor(lengths), "int32")
    steps, count = (ops.expand_dims(steps, 0), ops.expand_dims(count, 1))
    places = ops.where(ops.less(steps, count), count - 1 - steps, steps)
    order = [batch, time, *[i for i in range(ndim(x)) if i not in (batch, time)]]

    def turned(t: Any) -> Any:
        moved = ops.transpose(t, order)
        index = ops.reshape(places, [*shape(places), *[1] * (ndim(t) - 2)])
        index = ops.broadcast_to(index, shape(moved))
        found = ops.take_along_axis(moved, index, axis=1)
        return ops.transpose(found, [order.index(i) for i in range(ndim(t))])

    return like(turned(tensor(x)), x)


OPS: dict[str, Op] = {
    "Reshape": _reshape, "Flatten": _flatten, "Transpose": _transpose, "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze, "Concat": _concat, "Split": _split, "Slice": _slice,
    "Expand": _expand, "Tile": _tile, "Shape": _shape, "Size": _size, "Pad": _pad,
    "Trilu": _trilu, "DepthToSpace": _depth_to_space, "SpaceToDepth": _space_to_depth,
    "CenterCropPad": _center_crop_pad, "ReverseSequence": _reverse_sequence,
}  # fmt: skip
