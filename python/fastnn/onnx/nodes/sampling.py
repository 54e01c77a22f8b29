"""Sampling between the points of a grid: lookups of neighbours, weighed by how near they are."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn import ops
from fastnn._core import Dim
from fastnn.onnx.nodes.windows import channels_first, channels_last
from fastnn.onnx.values import Call, host, like, ndim, shape, tensor, traced

__all__ = ["OPS"]

Op = Callable[..., Any]


def _whole(size: Any) -> Any:
    """A size as int32; open ones are read when the graph runs."""
    return ops.axis_size(size) if isinstance(size, Dim) else int(size)


def _real(size: Any) -> Any:
    return ops.cast(ops.axis_size(size), "float32") if isinstance(size, Dim) else float(size)


def _cubic(x: Any, a: float) -> Any:
    x = ops.absolute(x)
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
    return ops.where(x <= 1, near, ops.where(x < 2, far, 0.0))


class _Grid:
    """Arrays (n, channels, sizes..) that are read between their points."""

    def __init__(self, x: Any, border: str = "zeros", corners: bool = True) -> None:
        self.count, channels, *self.sizes = shape(x)
        self.border = border
        self.reals = [_real(n) for n in self.sizes]
        self.ends = [(0.0, n - 1.0) if corners else (-0.5, n - 0.5) for n in self.reals]
        #: All points of all arrays, one a row.
        self.points = ops.reshape(channels_last(x), [-1, channels])

    def brought_inside(self, p: Any, axis: int) -> Any:
        """Coordinates by the rule for those outside."""
        if self.border == "border":
            return ops.clip(p, 0.0, self.reals[axis] - 1.0)
        if self.border == "reflection":  # mirrored at the ends until they are inside
            low, high = self.ends[axis]
            span = ops.maximum(tensor(np.float32(high - low) if isinstance(high, float) else
                                      high - low), 1e-30)  # fmt: skip
            away = ops.mod(ops.absolute(p - low), 2.0 * span)
            mirrored = low + ops.where(away > span, 2.0 * span - away, away)
            return ops.where((p < low) | (p > high), mirrored, p)
        return p

    def at(self, of: Any, index: list[Any]) -> Any:
        """Rows at whole coordinates of arrays `of`; zeros outside if no rule says otherwise."""
        flat, inside = of, None
        for axis, (p, n) in enumerate(zip(index, self.reals, strict=True)):
            p = ops.round(self.brought_inside(p, axis))
            here = (p >= 0.0) & (p <= n - 1.0)
            inside = here if inside is None else inside & here
            kept = ops.clip(ops.where(here, p, 0.0), 0.0, n - 1.0)
            flat = flat * _whole(self.sizes[axis]) + ops.cast(kept, "int32")
        found = ops.take(self.points, flat, axis=0)
        return ops.where(ops.expand_dims(inside, -1), found, 0.0)

    def sample(self, points: list[Any], mode: str) -> Any:
        """(n, points.., channels) by the nearest point, or weighed neighbours."""
        of = ops.reshape(ops.iota(self.count), [-1, *[1] * (ndim(points[0]) - 1)])
        if mode == "nearest":
            return self.at(of, [ops.round(p) for p in points])
        if mode == "linear":  # of cubic neighbourhoods each point is brought inside by itself
            points = [self.brought_inside(p, axis) for axis, p in enumerate(points)]
        floors = [ops.floor(p) for p in points]
        steps = (0, 1) if mode == "linear" else (-1, 0, 1, 2)
        total: Any = 0.0
        for offsets in itertools.product(steps, repeat=len(points)):
            share: Any = 1.0
            for p, f, o in zip(points, floors, offsets, strict=True):
                apart = p - (f + float(o))
                near = 1.0 - ops.absolute(apart) if mode == "linear" else _cubic(apart, -0.75)
                share = share * near
            place = [f + float(o) for f, o in zip(floors, offsets, strict=True)]
            total = total + ops.expand_dims(share, -1) * self.at(of, place)
        return total


def _grid_sample(c: Call, x: Any, grid: Any) -> Any:
    t, g = tensor(x), tensor(grid)
    mode = c.attr("mode", "linear")
    mode = {"bilinear": "linear", "bicubic": "cubic"}.get(mode, mode)
    corners = bool(c.attr("align_corners", 0))
    of = _Grid(t, c.attr("padding_mode", "zeros"), corners)
    points = []
    for axis, size in enumerate(of.reals):
        at = g[..., ndim(t) - 3 - axis]
        points.append((at + 1.0) / 2.0 * (size - 1.0) if corners else
                      ((at + 1.0) * size - 1.0) / 2.0)  # fmt: skip
    return like(channels_first(of.sample(points, mode)), x)


def _roi_align(c: Call, x: Any, rois: Any, batch: Any) -> Any:
    ratio = int(c.attr("sampling_ratio", 0))
    way = c.attr("coordinate_transformation_mode", "half_pixel" if c.opset >= 16 else
                 "output_half_pixel")  # fmt: skip
    scale, half = float(c.attr("spatial_scale", 1.0)), 0.5 if way == "half_pixel" else 0.0
    rows, columns = int(c.attr("output_height", 1)), int(c.attr("output_width", 1))
    c.check([shape(rois)[0], shape(x)[1], rows, columns])
    known = not (traced(rois) or traced(batch))
    t, of = tensor(x), host(batch) if known else tensor(batch)
    boxes = host(rois).astype(np.float32) if known else tensor(rois)
    x1, y1, x2, y2 = (boxes[:, i] * scale - half for i in range(4))
    width, height = x2 - x1, y2 - y1
    if way != "half_pixel":
        most = np.maximum if known else ops.maximum
        width, height = most(width, 1.0), most(height, 1.0)
    h, w = height / float(rows), width / float(columns)
    if ratio > 0:
        return like(_aligned(c, t, of, (y1, h), (x1, w), (ratio, ratio)), x)
    if not known:
        raise c.wrong(
            "with sampling_ratio 0 the sizes of boxes say how many points are read, and they are "
            "computed from data", "sampling_ratio=2, or call the model on arrays",
        )  # fmt: skip
    counts = np.maximum(np.ceil(np.stack([h, w], 1)), 1).astype(int)
    pairs, which = np.unique(counts, axis=0, return_inverse=True)
    parts, order = [], []
    for k, (nh, nw) in enumerate(pairs):
        places = np.flatnonzero(which.reshape(-1) == k)
        own = [v[places] for v in (of, y1, h, x1, w)]
        parts.append(_aligned(c, t, own[0], (own[1], own[2]), (own[3], own[4]), (nh, nw)))
        order.append(places)
    if not parts:
        return like(ops.zeros((0, shape(t)[1], rows, columns)), x)
    back = np.argsort(np.concatenate(order)).astype(np.int32)
    return like(ops.take(ops.concatenate(parts, axis=0), back, axis=0), x)


def _aligned(c: Call, x: Any, of: Any, ys: Any, xs: Any, count: tuple[int, int]) -> Any:
    """(boxes, channels, rows, columns) of boxes that begin and go on by `ys` and `xs`."""
    sizes = int(c.attr("output_height", 1)), int(c.attr("output_width", 1))
    grid = _Grid(x)
    taps = []
    for (first, step), bins, n, size in zip((ys, xs), sizes, count, grid.reals, strict=True):
        steps = np.arange(bins)[:, None] + (np.arange(n) + 0.5) / n
        at = tensor(first)[:, None] + tensor(step)[:, None] * tensor(
            steps.reshape(1, -1).astype(np.float32)
        )
        alive = (at >= -1.0) & (at <= size)
        at = ops.maximum(at, 0.0)
        low = ops.minimum(ops.floor(at), size - 1.0)
        high = ops.minimum(low + 1.0, size - 1.0)
        apart = ops.where(low >= size - 1.0, 0.0, at - low)
        taps.append([(p, ops.where(alive, share, 0.0)) for p, share in
                     ((low, 1.0 - apart), (high, apart))])  # fmt: skip
    corners = []
    index = ops.reshape(ops.cast(tensor(of), "int32"), [-1, 1, 1])
    for (y, sy), (x_at, sx) in itertools.product(*taps):
        found = grid.at(index, [y[:, :, None] + 0.0 * x_at[:, None], x_at[:, None]])
        corners.append(found * ops.expand_dims(sy[:, :, None] * sx[:, None], -1))
    (rows, columns), (nh, nw) = sizes, count
    split = [ops.reshape(v, [-1, rows, int(nh), columns, int(nw), v.shape[-1]]) for v in corners]
    if c.attr("mode", "avg") == "max":
        most = ops.maximum(ops.maximum(split[0], split[1]), ops.maximum(split[2], split[3]))
        return channels_first(ops.max(most, axis=(2, 4)))
    return channels_first(ops.mean(sum(split[1:], split[0]), axis=(2, 4)))


def _deform_conv(c: Call, x: Any, w: Any, offset: Any, bias: Any = None, mask: Any = None) -> Any:
    t, k, off = tensor(x), tensor(w), tensor(offset)
    if ndim(t) != 4:
        raise c.wrong("it is over other than two axes", "two spatial axes are read")
    count, channels, height, width = shape(t)
    filters, _, kh, kw = shape(k)
    groups, own = int(c.attr("group", 1)), int(c.attr("offset_group", 1))
    (sh, sw), (dh, dw) = c.ints("strides", [1, 1]), c.ints("dilations", [1, 1])
    top, left, *_ = c.ints("pads", [0, 0, 0, 0])
    rows, columns = shape(off)[2:]
    c.check([count, channels, kh, kw, rows, columns])
    off = ops.reshape(off, [count * own, kh, kw, 2, rows, columns])

    def base(kernel: int, places: Any, by: tuple[int, int, int], axes: tuple[int, int]) -> Any:
        """Where the taps of a kernel begin along an axis."""
        stride, dilation, pad = by
        taps = ops.reshape(ops.iota(kernel), [-1 if i == axes[0] else 1 for i in range(4)])
        at = ops.reshape(ops.iota(places), [-1 if i == axes[1] else 1 for i in range(4)])
        return ops.cast(taps * dilation + at * stride - pad, "float32")

    points = [
        off[:, :, :, 0] + base(kh, rows, (sh, dh, top), (0, 2)),
        off[:, :, :, 1] + base(kw, columns, (sw, dw, left), (1, 3)),
    ]
    each = channels // own
    taken = _Grid(ops.reshape(t, [count * own, each, height, width])).sample(points, "linear")
    if mask is not None:
        m = ops.reshape(tensor(mask), [count * own, kh, kw, rows, columns])
        taken = taken * ops.expand_dims(m, -1)
    taken = channels_first(taken)  # (n * own, channels of each, kernel.., places..)
    terms = channels // groups * math.prod((kh, kw))
    flat = ops.reshape(taken, [count, groups, terms, rows * columns])
    out = ops.matmul(ops.reshape(k, [groups, filters // groups, terms]), flat)
    out = ops.reshape(out, [count, filters, rows, columns])
    return like(out if bias is None else out + ops.reshape(tensor(bias), [1, -1, 1, 1]), x)


OPS: dict[str, Op] = {
    "GridSample": _grid_sample, "RoiAlign": _roi_align, "DeformConv": _deform_conv,
}  # fmt: skip
