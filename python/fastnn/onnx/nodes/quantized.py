"""Whole numbers that stand for others by a scale and a zero point; computed on arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.onnx.graph import ELEMENTS, numpy_type
from fastnn.onnx.nodes.casting import cast_array
from fastnn.onnx.nodes.windows import convolve
from fastnn.onnx.values import Call, host, ndim, tensor

__all__ = ["OPS"]

Op = Callable[..., Any]
Array = np.ndarray[Any, Any]


def _spread(c: Call, v: Array, x: Array) -> Array:
    """Scales or zero points, shaped to go with the values."""
    v = np.asarray(v)
    if v.ndim == 0 or (v.size == 1 and not c.attr("block_size", 0)):
        return v.reshape(())
    axis = c.axis(c.attr("axis", 1), x.ndim)
    block = int(c.attr("block_size", 0))
    if block:
        wide = np.repeat(v, block, axis)
        return wide[(slice(None),) * axis + (slice(0, x.shape[axis]),)]
    return v.reshape([-1 if i == axis else 1 for i in range(x.ndim)])


def _limits(name: str) -> tuple[int, int]:
    if name in ("int4", "uint4", "int2", "uint2"):
        bits = int(name.strip("uint"))
        return (0, 2**bits - 1) if name[0] == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    info = np.iinfo(name)
    return int(info.min), int(info.max)


def _to_grid(x: Array, scale: Array, zero: Array | None, name: str) -> Array:
    """Values divided by a scale, as a narrow type."""
    wide = x.astype(np.float32) / scale.astype(np.float32)
    if name.startswith("float"):
        shifted = wide if zero is None else wide + zero.astype(np.float32)
        return cast_array(shifted, name)
    low, high = _limits(name)
    whole = np.rint(wide).astype(np.int64)
    whole = whole if zero is None else whole + zero.astype(np.int64)
    found = np.clip(whole, low, high)
    dtype = numpy_type(name)
    return (found.astype(np.int8) if name[-1] in "42" else found).astype(dtype)


def _quantize(c: Call, x: Any, scale: Any, zero: Any = None) -> Any:
    a, s = c.host(x, "x"), c.host(scale, "y_scale")
    name = "uint8"
    if "output_dtype" in c.node.attrs and c.attr("output_dtype"):
        name = ELEMENTS[c.attr("output_dtype")]
    elif zero is not None:
        name = str(zero.dtype)
    z = None if zero is None else _spread(c, c.host(zero, "y_zero_point"), a)
    return _to_grid(a, _spread(c, s, a), z, name)


def _dequantize(c: Call, x: Any, scale: Any, zero: Any = None) -> Any:
    a, s = c.host(x, "x"), c.host(scale, "x_scale")
    wide = a.astype(np.float32)
    if zero is not None:
        z = _spread(c, c.host(zero, "x_zero_point"), a)
        wide = wide - z.astype(np.float32)
    found = wide * _spread(c, s, a).astype(np.float32)
    name = ELEMENTS[c.attr("output_dtype")] if c.attr("output_dtype") else str(s.dtype)
    return tensor(found) if name == "float32" else found.astype(numpy_type(name))


def _dynamic(c: Call, x: Any) -> Any:
    a = c.host(x, "x")
    low, high = min(float(a.min(initial=0)), 0.0), max(float(a.max(initial=0)), 0.0)
    scale = np.float32((high - low) / 255) or np.float32(1)
    zero = np.clip(np.rint((0 - low) / scale), 0, 255).astype(np.uint8)
    grid = np.clip(np.rint(a / scale) + zero, 0, 255).astype(np.uint8)
    return grid, tensor(scale), zero


def _whole(x: Any, zero: Any, axis: int | None = None) -> Array:
    a = host(x).astype(np.int64)
    if zero is None:
        return a
    z = host(zero).astype(np.int64)
    if z.size == 1:
        return a - z.reshape(())
    if axis is not None:
        z = z.reshape([-1 if i == axis else 1 for i in range(a.ndim)])
    return a - z


def _matmul_integer(c: Call, a: Any, b: Any, za: Any = None, zb: Any = None) -> Any:
    rows = ndim(a) - 2 if ndim(a) > 1 else None
    left = _whole(a, za, rows)
    return np.matmul(left, _whole(b, zb, ndim(b) - 1)).astype(np.int32)


def _requantized(c: Call, wide: Array, scale: Array, out_scale: Any, out_zero: Any) -> Array:
    s, z = host(out_scale).astype(np.float64), host(out_zero)
    found = np.rint(wide * scale / s) + z.astype(np.float64)
    info = np.iinfo(z.dtype)
    return np.clip(found, info.min, info.max).astype(z.dtype)


def _q_matmul(c: Call, a: Any, sa: Any, za: Any, b: Any, sb: Any, zb: Any, sy: Any, zy: Any) -> Any:
    if str(host(a).dtype).startswith("float8"):
        left = (host(a).astype(np.float32) - host(za).astype(np.float32)) * host(sa)
        right = (host(b).astype(np.float32) - host(zb).astype(np.float32)) * host(sb)
        found = np.matmul(left, right) / host(sy)
        return cast_array(found + host(zy).astype(np.float32), str(host(zy).dtype))
    wide = np.matmul(_whole(a, za, ndim(a) - 2), _whole(b, zb, ndim(b) - 1))
    scale = host(sa).astype(np.float64) * host(sb).astype(np.float64)
    return _requantized(c, wide, scale, sy, zy)


def _exact_conv(c: Call, x: Array, w: Array) -> Array:
    """A convolution of small whole numbers, which float32 holds exactly below 2**24."""
    return np.rint(np.asarray(convolve(c, tensor(x.astype(np.float32)),
                                       tensor(w.astype(np.float32))))).astype(np.int64)  # fmt: skip


def _conv_integer(c: Call, x: Any, w: Any, zx: Any = None, zw: Any = None) -> Any:
    return _exact_conv(c, _whole(x, zx), _whole(w, zw, 0)).astype(np.int32)


def _q_conv(
    c: Call, x: Any, sx: Any, zx: Any, w: Any, sw: Any, zw: Any, sy: Any, zy: Any, bias: Any = None
) -> Any:
    wide = _exact_conv(c, _whole(x, zx), _whole(w, zw, 0))
    per = [1, -1, *[1] * (wide.ndim - 2)]
    if bias is not None:
        wide = wide + host(bias).astype(np.int64).reshape(per)
    scale = host(sx).astype(np.float64) * host(sw).astype(np.float64)
    return _requantized(c, wide, scale.reshape(per) if scale.size > 1 else scale, sy, zy)


OPS: dict[str, Op] = {
    "QuantizeLinear": _quantize, "DequantizeLinear": _dequantize, "DynamicQuantizeLinear": _dynamic,
    "MatMulInteger": _matmul_integer, "QLinearMatMul": _q_matmul, "ConvInteger": _conv_integer,
    "QLinearConv": _q_conv,
}  # fmt: skip
