"""Resizing and sampling between the points of a grid."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn import ops
from fastnn._core import Dim
from fastnn.onnx.values import Call, is_known, like, ndim, shape, tensor
from fastnn.ops.resampling import banded, resampled

__all__ = ["OPS"]

Op = Callable[..., Any]
Array = np.ndarray[Any, Any]


# ---- resize: one matrix an axis ------------------------------------------------------------------


def _source(way: str, x: Array, scale: float, size: int, out: float, roi: Any) -> Array:
    """Where in the input the points of an output axis lie."""
    if way == "align_corners":
        return np.zeros_like(x) if out == 1 else x * (size - 1) / (out - 1)
    if way == "asymmetric":
        return x / scale
    if way == "tf_crop_and_resize":
        first, last = roi
        if out == 1:
            return np.full_like(x, (last - first) * (size - 1) / 2)
        return x * ((last - first) * (size - 1) / (out - 1)) + first * (size - 1)
    if way == "pytorch_half_pixel":
        return np.full_like(x, -0.5) if out == 1 else (x + 0.5) / scale - 0.5
    if way == "half_pixel_symmetric":
        offset = size / 2 * (1 - int(out) / out)
        return offset + (x + 0.5) / scale - 0.5
    if way == "tf_half_pixel_for_nn":
        return (x + 0.5) / scale
    return (x + 0.5) / scale - 0.5


def _cubic(x: Array, a: float) -> Array:
    x = np.abs(x)
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def _coefficients(c: Call, ratio: float, scale: float) -> Array:
    """Shares of the neighbours of a point that lies `ratio` behind one of them."""
    mode, smooth = c.attr("mode", "nearest"), bool(c.attr("antialias", 0))
    shrunk = min(scale, 1.0) if smooth else 1.0
    if mode == "nearest":
        if ratio == int(ratio):
            return np.array([0.0, 1.0])
        how = c.attr("nearest_mode", "round_prefer_floor")
        late = {
            "round_prefer_floor": ratio > 0.5, "round_prefer_ceil": ratio >= 0.5, "floor": False,
            "ceil": True,
        }.get(how)  # fmt: skip
        if late is None:
            raise c.wrong(f"there is no nearest_mode {how!r}")
        return np.array([float(not late), float(late)])
    if mode == "linear":
        first = int(math.floor(-1 / shrunk) + 1)
        shares = np.clip(1 - np.abs((np.arange(first, 2 - first) - ratio) * shrunk), 0, 1)
        return shares / shares.sum()
    if mode == "cubic":
        first = int(math.floor(-2 / shrunk) + 1)
        shares = _cubic((np.arange(first, 2 - first) - ratio) * shrunk,
                        float(c.attr("cubic_coeff_a", -0.75)))  # fmt: skip
        return shares / shares.sum() if smooth else shares
    raise c.wrong(f"there is no mode {mode!r}")


def _matrix(c: Call, way: str, size: int, scale: float, out: int, roi: Any) -> tuple[Array, Array]:
    """Shares of the input's points in those of the output, and which lie outside."""
    places = _source(way, np.arange(out, dtype=np.float64), scale, size, size * scale, roi)
    matrix = np.zeros((out, size))
    for i, x in enumerate(places):
        whole = math.floor(x)
        ratio = x - whole if x != whole else 1.0
        shares = _coefficients(c, ratio, scale)
        n = len(shares)
        # With a ratio of 1 the point itself is the later of its two middle neighbours.
        first = (whole if x != whole else whole - 1) - (n // 2 - 1)
        index = np.arange(first, first + n)
        if c.attr("exclude_outside", 0):
            shares = np.where((index < 0) | (index >= size), 0.0, shares)
            shares = shares / shares.sum()
        np.add.at(matrix[i], np.clip(index, 0, size - 1), shares)
    return matrix.astype(np.float32), (places < 0) | (places > size - 1)


def _resized(c: Call, x: Any, axes: list[int], scales: list[float], outs: list[int], way: str,
             roi: Any) -> Any:  # fmt: skip
    t = tensor(x)
    t = ops.cast(t, "float32") if str(t.dtype) != "float32" else t
    outside: Any = None
    for i, axis in enumerate(axes):
        size = shape(t)[axis]
        edges = (roi[i], roi[i + len(axes)]) if roi is not None and len(roi) else (0.0, 1.0)
        kept = way != "tf_crop_and_resize" or edges == (0.0, 1.0)
        if outs[i] == size and scales[i] == 1.0 and kept:
            continue
        _check_known(c, size, outs[i])
        c.check([outs[i], size])
        matrix, beyond = _matrix(c, way, size, scales[i], outs[i], edges)
        if c.attr("mode", "nearest") == "nearest":
            t = ops.take(t, matrix.argmax(1).astype(np.int32), axis=axis)
        else:
            t = resampled(t, axis, banded(matrix))
        if way == "tf_crop_and_resize" and beyond.any():
            mask = beyond.reshape([-1 if a == axis else 1 for a in range(ndim(t))])
            outside = mask if outside is None else outside | mask
    if outside is not None:
        t = ops.where(outside, float(c.attr("extrapolation_value", 0.0)), t)
    return like(t, x)


def _resize(c: Call, x: Any, roi: Any = None, scales: Any = None, sizes: Any = None) -> Any:
    if c.opset < 11:
        roi, scales = None, roi
    axes = [c.axis(a, ndim(x)) for a in c.ints("axes", list(range(ndim(x))))]
    have = [shape(x)[a] for a in axes]
    way = c.attr("coordinate_transformation_mode", "half_pixel" if c.opset > 10 else "asymmetric")
    edges = None if roi is None else [float(v) for v in c.host(roi, "roi").reshape(-1)]
    if scales is not None and c.host(scales, "scales").size:
        by = [float(v) for v in c.host(scales, "scales").reshape(-1)]
        _check_scales(c, by, axes)
        outs = [d if s == 1.0 else _scaled(c, d, s) for d, s in zip(have, by, strict=True)]
    elif sizes is not None:
        outs = c.list(sizes, "sizes")
        policy = c.attr("keep_aspect_ratio_policy", "stretch")
        if policy != "stretch":
            _check_known(c, *outs, *have)
        by = [_ratio(c, o, d) for o, d in zip(outs, have, strict=True)]
        if policy != "stretch":
            factor = (min if policy == "not_larger" else max)(
                o / d for o, d in zip(outs, have, strict=True)
            )
            by = [factor] * len(axes)
            outs = [math.floor(factor * d + 0.5) for d in have]
    else:
        raise c.wrong("it has neither scales nor sizes")
    if c.opset < 11:
        c.node.attrs.setdefault("nearest_mode", "floor")
    if way == "tf_crop_and_resize" and edges is None:
        raise c.wrong("tf_crop_and_resize needs roi")
    return _resized(c, x, axes, by, outs, way, edges)


def _check_known(c: Call, *sizes: Any) -> None:
    if any(isinstance(n, Dim) for n in sizes):
        raise c.wrong("it resizes an axis of open size", "give that size as a number")


def _ratio(c: Call, out: Any, size: Any) -> float:
    if out == size:  # an open size that stays, as that of rows does
        return 1.0
    _check_known(c, out, size)
    return float(out / size)


def _scaled(c: Call, size: Any, scale: float) -> int:
    _check_known(c, size)
    return math.floor(size * scale)


def _check_scales(c: Call, by: list[float], axes: list[int]) -> None:
    if len(by) != len(axes) or not all(0 < s < 1e9 for s in by):
        raise c.wrong(f"{len(by)} scales for {len(axes)} axes, or one that is no positive number")


def _upsample(c: Call, x: Any, scales: Any = None) -> Any:
    given = c.attr("scales") if scales is None else c.host(scales, "scales").reshape(-1)
    by = [float(v) for v in given]
    axes = list(range(ndim(x)))
    _check_scales(c, by, axes)
    outs = [d if s == 1.0 else math.floor(d * s) for d, s in zip(shape(x), by, strict=True)]
    c.node.attrs.setdefault("nearest_mode", "floor")
    return _resized(c, x, axes, by, outs, "asymmetric", None)


# ---- sampling at given points --------------------------------------------------------------------


def _reflected(x: Array, low: float, high: float) -> Array:
    """Coordinates outside, mirrored at the ends until they are inside."""
    span = high - low
    if span <= 0:
        return np.full_like(x, low)
    away = np.abs(x - low) % (2 * span)
    return low + np.where(away > span, 2 * span - away, away)


class _Grid:
    """An array of (channels, sizes..) that is read between its points."""

    def __init__(self, values: Array, border: str, corners: bool) -> None:
        self.values, self.border = values, border
        self.sizes = values.shape[1:]
        self.ends = [(0.0, n - 1.0) if corners else (-0.5, n - 0.5) for n in self.sizes]

    def brought_inside(self, x: Array, axis: int) -> Array:
        """Coordinates by the rule for those outside."""
        if self.border == "border":
            return np.clip(x, 0, self.sizes[axis] - 1)
        if self.border == "reflection":
            low, high = self.ends[axis]
            return np.where((x < low) | (x > high), _reflected(x, low, high), x)
        return x

    def at(self, index: list[Array]) -> Array:
        """Values at whole coordinates; zeros outside unless the rule says otherwise."""
        inside = np.ones(index[0].shape, bool)
        places = []
        for axis, i in enumerate(index):
            i = np.rint(self.brought_inside(i.astype(np.float64), axis)).astype(np.int64)
            inside &= (i >= 0) & (i < self.sizes[axis])
            places.append(np.clip(i, 0, self.sizes[axis] - 1))
        return np.where(inside, self.values[(slice(None), *places)], 0)


def _sample(grid: _Grid, points: list[Array], mode: str) -> Array:
    """(channels, points..) by the nearest point, or weighed neighbours."""
    if mode == "nearest":
        return grid.at([np.rint(p) for p in points])
    points = [grid.brought_inside(p, axis) for axis, p in enumerate(points)]
    floors = [np.floor(p) for p in points]
    steps = (0, 1) if mode == "linear" else (-1, 0, 1, 2)
    total: Any = 0.0
    for offsets in itertools.product(steps, repeat=len(points)):
        share: Any = 1.0
        for p, f, o in zip(points, floors, offsets, strict=True):
            apart = p - (f + o)
            share = share * (1 - np.abs(apart) if mode == "linear" else _cubic(apart, -0.75))
        total = total + share * grid.at([f + o for f, o in zip(floors, offsets, strict=True)])
    return np.asarray(total)


def _grid_sample(c: Call, x: Any, grid: Any) -> Any:
    a, g = c.host(x, "X"), c.host(grid, "grid").astype(np.float64)
    mode = {"bilinear": "linear", "bicubic": "cubic"}.get(c.attr("mode", "linear"),
                                                          c.attr("mode", "linear"))  # fmt: skip
    border, corners = c.attr("padding_mode", "zeros"), bool(c.attr("align_corners", 0))
    out = np.zeros((a.shape[0], a.shape[1], *g.shape[1:-1]), a.dtype)
    for n in range(a.shape[0]):
        points = []
        for axis, size in enumerate(a.shape[2:]):
            at = g[n, ..., g.shape[-1] - 1 - axis]
            points.append((at + 1) / 2 * (size - 1) if corners else ((at + 1) * size - 1) / 2)
        out[n] = _sample(_Grid(a[n], border, corners), points, mode)
    return out if is_known(x) else tensor(out)


def _roi_align(c: Call, x: Any, rois: Any, batch: Any) -> Any:
    a, boxes, of = (c.host(v, n) for v, n in ((x, "X"), (rois, "rois"), (batch, "batch_indices")))
    way = c.attr("coordinate_transformation_mode", "half_pixel" if c.opset >= 16 else
                 "output_half_pixel")  # fmt: skip
    scale, ratio = float(c.attr("spatial_scale", 1.0)), int(c.attr("sampling_ratio", 0))
    rows, columns = int(c.attr("output_height", 1)), int(c.attr("output_width", 1))
    largest = c.attr("mode", "avg") == "max"
    half = 0.5 if way == "half_pixel" else 0.0
    out = np.zeros((len(boxes), a.shape[1], rows, columns), a.dtype)
    c.check(out.shape)
    for k, (box, n) in enumerate(zip(boxes, of, strict=True)):
        x1, y1, x2, y2 = (float(v) * scale - half for v in box)
        width, height = x2 - x1, y2 - y1
        if way != "half_pixel":
            width, height = max(width, 1.0), max(height, 1.0)
        h, w = height / rows, width / columns
        nh = ratio if ratio > 0 else max(math.ceil(h), 1)
        nw = ratio if ratio > 0 else max(math.ceil(w), 1)
        ys = y1 + h * (np.arange(rows)[:, None] + (np.arange(nh) + 0.5) / nh)
        xs = x1 + w * (np.arange(columns)[:, None] + (np.arange(nw) + 0.5) / nw)
        taps = _four(a[int(n)], ys.reshape(-1), xs.reshape(-1))
        split = [t.reshape(-1, rows, nh, columns, nw) for t in taps]
        if largest:
            out[k] = np.maximum.reduce(split).max((2, 4))
        else:
            out[k] = sum(split).mean((2, 4))  # type: ignore[union-attr]
    return out if is_known(x) else tensor(out)


def _four(values: Array, ys: Array, xs: Array) -> list[Array]:
    """The weighed corners around each point of a grid of rows and columns."""
    h, w = values.shape[1:]
    beyond_y, beyond_x = (ys < -1) | (ys > h), (xs < -1) | (xs > w)
    ys, xs = np.maximum(ys, 0), np.maximum(xs, 0)
    y0, x0 = (np.minimum(np.floor(p).astype(int), n - 1) for p, n in ((ys, h), (xs, w)))
    y1, x1 = np.minimum(y0 + 1, h - 1), np.minimum(x0 + 1, w - 1)
    ys, xs = np.where(y0 >= h - 1, y0, ys), np.where(x0 >= w - 1, x0, xs)
    dy, dx = ys - y0, xs - x0
    alive = ~(beyond_y[:, None] | beyond_x[None, :])
    found = []
    for yi, sy in ((y0, 1 - dy), (y1, dy)):
        for xi, sx in ((x0, 1 - dx), (x1, dx)):
            found.append(values[:, yi][:, :, xi] * (sy[:, None] * sx[None, :] * alive))
    return found


def _deform_conv(c: Call, x: Any, w: Any, offset: Any, bias: Any = None, mask: Any = None) -> Any:
    a, k, off = (c.host(v, n) for v, n in ((x, "X"), (w, "W"), (offset, "offset")))
    if a.ndim != 4:
        raise c.wrong("it is over other than two axes", "two spatial axes are read")
    kh, kw = k.shape[2:]
    groups, own = int(c.attr("group", 1)), int(c.attr("offset_group", 1))
    (sh, sw), (dh, dw) = c.ints("strides", [1, 1]), c.ints("dilations", [1, 1])
    top, left, *_ = c.ints("pads", [0, 0, 0, 0])
    rows, columns = off.shape[2:]
    off = off.reshape(a.shape[0], own, kh, kw, 2, rows, columns)
    m = None if mask is None else c.host(mask, "mask").reshape(a.shape[0], own, kh, kw, rows,
                                                                columns)  # fmt: skip
    taken = np.zeros((a.shape[0], a.shape[1], kh, kw, rows, columns), a.dtype)
    c.check(taken.shape)
    each = a.shape[1] // own
    base_y = np.arange(rows)[:, None] * sh - top
    base_x = np.arange(columns)[None, :] * sw - left
    for n, g, i, j in itertools.product(range(a.shape[0]), range(own), range(kh), range(kw)):
        part = slice(g * each, (g + 1) * each)
        points = [base_y + i * dh + off[n, g, i, j, 0], base_x + j * dw + off[n, g, i, j, 1]]
        found = _sample(_Grid(a[n, part], "zeros", True), points, "linear")
        taken[n, part, i, j] = found if m is None else found * m[n, g, i, j]
    filters = k.shape[0] // groups
    flat = taken.reshape(a.shape[0], groups, -1, rows * columns)
    out = np.matmul(k.reshape(groups, filters, -1), flat)
    out = out.reshape(a.shape[0], -1, rows, columns)
    out = out if bias is None else out + c.host(bias, "B").reshape(1, -1, 1, 1)
    return out.astype(a.dtype) if is_known(x) else tensor(out.astype(a.dtype))


OPS: dict[str, Op] = {
    "Resize": _resize, "Upsample": _upsample, "GridSample": _grid_sample, "RoiAlign": _roi_align,
    "DeformConv": _deform_conv,
}  # fmt: skip
