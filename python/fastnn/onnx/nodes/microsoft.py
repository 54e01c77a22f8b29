"""Ops of ONNX Runtime's own domain, `com.microsoft`, that its tools write into quantised files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastnn import ops
from fastnn.onnx.nodes import recurrent, windows
from fastnn.onnx.nodes.quantized import (
    OPS as QUANTIZED,
    real,
    requantized,
    to_grid,
    type_of,
    whole_product,
)
from fastnn.onnx.values import Call, host, ndim, shape, tensor, traced

__all__ = ["OPS"]

Op = Callable[..., Any]


def _written(c: Call, y: Any, scale: Any, zero: Any) -> Any:
    """Numbers on the grid of a result."""
    return to_grid(c, y if traced(y) else host(y), scale, zero, type_of(c, zero))


def _of_two(f: Op) -> Op:
    def op(
        c: Call, a: Any, sa: Any, za: Any, b: Any, sb: Any, zb: Any, s: Any, z: Any = None
    ) -> Any:
        return _written(c, f(real(c, a, sa, za), real(c, b, sb, zb)), s, z)

    return op


def _of_one(f: Callable[[Call, Any], Any]) -> Op:
    def op(c: Call, x: Any, sx: Any, zx: Any, s: Any, z: Any = None) -> Any:
        return _written(c, f(c, real(c, x, sx, zx)), s, z)

    return op


def _leaky(c: Call, x: Any) -> Any:
    return ops.where(x < 0.0, x * float(c.attr("alpha", 0.01)), x)


def _softmax(c: Call, x: Any) -> Any:
    axis = c.axis(int(c.attr("axis", -1)), ndim(x))
    if int(c.attr("opset", 13)) < 13:  # over all axes from there on
        flat = ops.reshape(x, [*shape(x)[:axis], -1])
        return ops.reshape(ops.softmax(flat, axis=-1), shape(x))
    return ops.softmax(x, axis=axis)


def _channels_first(f: Callable[[Call, Any], Any]) -> Callable[[Call, Any], Any]:
    def op(c: Call, x: Any) -> Any:
        if not c.attr("channels_last", 0):
            return f(c, x)
        return windows.channels_last(f(c, windows.channels_first(x)))

    return op


def _concat(c: Call, s: Any, z: Any, *parts: Any) -> Any:
    if not parts or len(parts) % 3:
        raise c.wrong(f"{len(parts)} inputs after its scale, wanted three for each part")
    each = [tensor(real(c, *parts[i : i + 3])) for i in range(0, len(parts), 3)]
    return _written(
        c, ops.concatenate(each, axis=c.axis(int(c.attr("axis", 1)), ndim(each[0]))), s, z
    )


def _gemm(
    c: Call, a: Any, sa: Any, za: Any, b: Any, sb: Any, zb: Any, bias: Any = None, s: Any = None,
    z: Any = None,
) -> Any:  # fmt: skip
    def turned(x: Any, name: str) -> Any:
        if not c.attr(name, 0):
            return x
        return ops.transpose(x, [1, 0]) if traced(x) else host(x).T

    wide = whole_product(turned(a, "transA"), za, turned(b, "transB"), zb)
    if bias is not None:
        wide = wide + bias
    by = [sa, sb, float(c.attr("alpha", 1.0))]
    if s is None:
        scale = tensor(host(by[0]) * host(by[1]) * by[2]) if not traced(sa) else sa * sb * by[2]
        return ops.cast(tensor(wide), "float32") * scale
    return requantized(c, wide, by, s, z)


def _lstm(
    c: Call, x: Any, w: Any, r: Any, bias: Any, lengths: Any, h: Any, state: Any, peepholes: Any,
    sw: Any, zw: Any, sr: Any, zr: Any,
) -> Any:  # fmt: skip
    """An LSTM whose weights are whole numbers; what it computes with them is float32."""

    def kernel(v: Any, s: Any, z: Any) -> Any:  # (directions, inputs, 4 * units)
        per = [ndim(v) and shape(s)[0], 1, -1] if ndim(s) == 2 else [-1, 1, 1]
        wide = host(v).astype("float32") - host(z).astype("float32").reshape(per)
        return tensor((wide * host(s).reshape(per)).transpose(0, 2, 1))

    return recurrent.OPS["LSTM"](
        c, x, kernel(w, sw, zw), kernel(r, sr, zr), bias, lengths, h, state, peepholes
    )


OPS: dict[str, Op] = {
    "DynamicQuantizeLSTM": _lstm,
    "QGemm": _gemm,
    "QLinearAdd": _of_two(lambda a, b: a + b),
    "QLinearMul": _of_two(lambda a, b: a * b),
    "QLinearAveragePool": _of_one(_channels_first(windows.OPS["AveragePool"])),
    "QLinearConcat": _concat,
    "QLinearGlobalAveragePool": _of_one(_channels_first(windows.OPS["GlobalAveragePool"])),
    "QLinearLeakyRelu": _of_one(_leaky),
    "QLinearSigmoid": _of_one(lambda _, x: ops.sigmoid(x)),
    "QLinearSoftmax": _of_one(_softmax),
    "QuantizeLinear": QUANTIZED["QuantizeLinear"],
    "DequantizeLinear": QUANTIZED["DequantizeLinear"],
}
