"""Resizing: one matrix an axis."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn import ops
from fastnn._core import Dim
from fastnn.onnx.values import Call, like, ndim, shape, tensor
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


OPS: dict[str, Op] = {"Resize": _resize, "Upsample": _upsample}
