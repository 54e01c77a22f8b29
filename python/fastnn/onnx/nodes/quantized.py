"""Whole numbers that stand for others by a scale and a zero point."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn import ops
from fastnn.onnx.graph import ELEMENTS, numpy_type
from fastnn.onnx.nodes.casting import cast_array, cast_to
from fastnn.onnx.nodes.windows import convolve
from fastnn.onnx.values import Call, host, ndim, shape, tensor, traced

__all__ = ["OPS", "real", "requantized", "to_grid", "type_of", "whole_product"]

Op = Callable[..., Any]

#: float32 holds whole numbers up to here, and operands of products are less than 256 from zero.
_EXACT, _MOST = 1 << 24, 255


def _spread(c: Call, v: Any, x: Any) -> Any:
    """Scales or zero points, shaped to go with the values."""
    block = int(c.attr("block_size", 0))
    if math.prod(shape(v)) == 1 and not block:
        return _reshaped(v, [])
    axis = c.axis(c.attr("axis", 1), ndim(x))
    if block:
        wide = ops.repeat(v, block, axis) if traced(v) else np.repeat(host(v), block, axis)
        return wide[(slice(None),) * axis + (slice(0, x.shape[axis]),)]
    return _reshaped(v, [-1 if i == axis else 1 for i in range(ndim(x))])


def _reshaped(v: Any, sizes: list[int]) -> Any:
    return ops.reshape(v, sizes) if traced(v) else host(v).reshape(sizes)


def _float(x: Any) -> Any:
    return ops.cast(tensor(x), "float32")


def _limits(name: str) -> tuple[int, int]:
    if name in ("int4", "uint4", "int2", "uint2"):
        bits = int(name.strip("uint"))
        return (0, 2**bits - 1) if name[0] == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    info = np.iinfo(name)
    return int(info.min), int(info.max)


def type_of(c: Call, zero: Any) -> str:
    """The type of a zero point in the file, which is that of the result."""
    if zero is None:
        return "uint8"
    name = c.type_in_file(zero)
    if name == "int32":  # of an input or a node whose type in the file is not followed
        raise c.wrong("the type of its zero point is not known", "call the model on arrays")
    return name


def to_grid(c: Call, x: Any, scale: Any, zero: Any, name: str) -> Any:
    """Values divided by a scale, as a narrow type; in a trace as int32 within its limits."""
    if traced(x) or traced(scale) or traced(zero):
        if name.startswith("float"):
            raise c.wrong(f"values of {name} cannot be computed with", "call the model on arrays")
        whole = ops.round(_float(x) / _float(scale))
        whole = whole if zero is None else whole + _float(zero)
        return c.narrow(ops.cast(ops.clip(whole, *_limits(name)), "int32"), name)
    wide = host(x).astype(np.float32) / host(scale).astype(np.float32)
    if name.startswith("float"):
        return cast_array(wide if zero is None else wide + host(zero).astype(np.float32), name)
    whole = np.rint(wide).astype(np.float64)
    whole = whole if zero is None else whole + host(zero).astype(np.float64)
    return cast_array(np.clip(whole, *_limits(name)), name)


def _quantize(c: Call, x: Any, scale: Any, zero: Any = None) -> Any:
    z = None if zero is None else _spread(c, zero, x)
    name = ELEMENTS[c.attr("output_dtype")] if c.attr("output_dtype") else type_of(c, zero)
    return to_grid(c, x, _spread(c, scale, x), z, name)


def _dequantize(c: Call, x: Any, scale: Any, zero: Any = None) -> Any:
    name = ELEMENTS[c.attr("output_dtype")] if c.attr("output_dtype") else str(scale.dtype)
    found = real(c, x, scale, zero)
    if traced(found):
        return cast_to(c, found, name)
    return tensor(found) if name == "float32" else host(found).astype(numpy_type(name))


def real(c: Call, x: Any, scale: Any, zero: Any) -> Any:
    """What whole numbers stand for, as a tensor."""
    s, z = _spread(c, scale, x), None if zero is None else _spread(c, zero, x)
    if traced(x) or traced(scale) or traced(zero):
        wide = _float(x) if z is None else _float(x) - _float(z)
        return wide * _float(s)
    found = host(x).astype(np.float32)
    found = found if z is None else found - host(z).astype(np.float32)
    return tensor(found * host(s).astype(np.float32))


def _dynamic(c: Call, x: Any) -> Any:
    t = tensor(x)
    low, high = ops.minimum(ops.min(t), 0.0), ops.maximum(ops.max(t), 0.0)
    scale = (high - low) / 255.0
    scale = ops.where(scale == 0.0, 1.0, scale)
    zero = ops.cast(ops.clip(ops.round(-low / scale), 0, 255), "int32")
    zero = c.narrow(zero, "uint8") if traced(x) else host(zero).astype(np.uint8)
    return to_grid(c, t, scale, zero, "uint8"), scale, zero


def _whole(x: Any, zero: Any, axis: int | None = None) -> Any:
    """Whole numbers less their zero point: int64, or int32 in a trace."""
    if zero is not None and math.prod(shape(zero)) == 1:
        zero = _reshaped(zero, [])
    elif zero is not None and axis is not None and ndim(zero) == 1:
        zero = _reshaped(zero, [-1 if i == axis else 1 for i in range(ndim(x))])
    if traced(x) or traced(zero):
        t = ops.cast(tensor(x), "int32")
        return t if zero is None else t - ops.cast(tensor(zero), "int32")
    a = host(x).astype(np.int64)
    return a if zero is None else a - host(zero).astype(np.int64)


def _digits(w: Any, axes: tuple[int, ...]) -> list[tuple[Any, int]]:
    """Whole numbers as parts and what each counts, by whose products float32 sums are exact.

    Args:
        w: The second operand of a product.
        axes: Its axes that are summed over.
    """
    terms = math.prod(shape(w)[axis] for axis in axes)
    parts: list[tuple[Any, int]] = []
    for bits in (9, 4, 2, 1):
        parts = [(w, 1)]
        while 1 << (bits * len(parts)) <= _MOST:
            rest, count = parts.pop()
            parts += [(rest % (1 << bits), count), (rest // (1 << bits), count << bits)]
        if traced(w):
            most = terms * min(_MOST, 1 << bits)
        else:
            most = max(int(np.abs(p).sum(axes).max(initial=0)) for p, _ in parts)
        if most * _MOST < _EXACT:
            break
    return parts


def _products(f: Op, x: Any, w: Any, axes: tuple[int, ...]) -> Any:
    """Sums of products of whole numbers, exactly, by those of float32, which are faster."""
    known = not (traced(x) or traced(w))
    total: Any = 0
    for part, count in _digits(w, axes):
        found = ops.cast(ops.round(f(_float(x), _float(part))), "int32")
        total = (np.asarray(found).astype(np.int64) if known else found) * count + total
    return total


def whole_product(a: Any, za: Any, b: Any, zb: Any) -> Any:
    """The exact product of matrices of whole numbers, less their zero points."""
    left = _whole(a, za, ndim(a) - 2 if ndim(a) > 1 else None)
    right = _whole(b, zb, ndim(b) - 1)
    axis = max(ndim(b) - 2, 0)
    if isinstance(shape(b)[axis], int):
        return _products(ops.matmul, left, right, (axis,))
    return ops.matmul(tensor(left), tensor(right))


def _whole_conv(c: Call, x: Any, zx: Any, w: Any, zw: Any) -> Any:
    """A convolution; what pads it is zero, which is what the zero point stands for."""
    axes = tuple(range(1, ndim(w)))
    return _products(lambda a, k: convolve(c, a, k), _whole(x, zx), _whole(w, zw, 0), axes)


def _as_int32(x: Any) -> Any:
    return x if traced(x) else host(x).astype(np.int32)


def _matmul_integer(c: Call, a: Any, b: Any, za: Any = None, zb: Any = None) -> Any:
    return _as_int32(whole_product(a, za, b, zb))


def _conv_integer(c: Call, x: Any, w: Any, zx: Any = None, zw: Any = None) -> Any:
    return _as_int32(_whole_conv(c, x, zx, w, zw))


def requantized(c: Call, wide: Any, by: list[Any], out_scale: Any, zero: Any) -> Any:
    """Sums times the scales of both operands, as the narrow type of the result."""
    name = type_of(c, zero)
    low, high = _limits(name)
    if not any(map(traced, (*by, out_scale, wide, zero))):
        scale = math.prod(host(v).astype(np.float32) for v in by) / host(out_scale)
        found = np.rint(host(wide).astype(np.float32) * scale)
        found = found if zero is None else found + host(zero).astype(np.float64)
        return np.clip(found, low, high).astype(name)
    found = ops.round(_float(wide) * (math.prod(map(_float, by)) / _float(out_scale)))
    found = found if zero is None else found + _float(zero)
    return c.narrow(ops.cast(ops.clip(found, low, high), "int32"), name)


def _q_matmul(c: Call, a: Any, sa: Any, za: Any, b: Any, sb: Any, zb: Any, sy: Any, zy: Any) -> Any:
    if str(a.dtype).startswith("float8"):
        left = (host(a).astype(np.float32) - host(za).astype(np.float32)) * host(sa)
        right = (host(b).astype(np.float32) - host(zb).astype(np.float32)) * host(sb)
        found = np.matmul(left, right) / host(sy)
        return cast_array(found + host(zy).astype(np.float32), str(host(zy).dtype))
    return requantized(c, whole_product(a, za, b, zb), [sa, sb], sy, zy)


def _q_conv(
    c: Call, x: Any, sx: Any, zx: Any, w: Any, sw: Any, zw: Any, sy: Any, zy: Any, bias: Any = None
) -> Any:
    wide = _whole_conv(c, x, zx, w, zw)
    per = [1, -1, *[1] * (ndim(wide) - 2)]
    if bias is not None:
        wide = wide + _reshaped(_whole(bias, None), per)
    scale = _reshaped(sw, per if math.prod(shape(sw)) > 1 else [])
    return requantized(c, wide, [sx, scale], sy, zy)


OPS: dict[str, Op] = {
    "QuantizeLinear": _quantize, "DequantizeLinear": _dequantize, "DynamicQuantizeLinear": _dynamic,
    "MatMulInteger": _matmul_integer, "QLinearMatMul": _q_matmul, "ConvInteger": _conv_integer,
    "QLinearConv": _q_conv,
}  # fmt: skip
