"""Convolution and pooling, in ONNX: channels, which lie last here, go to the front and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastnn.onnx.builder import TYPES, Builder
from fastnn.onnx.traced import Row, Value

__all__ = ["ROWS"]

Write = Callable[..., Any]


def _to_front(b: Builder, x: str, rank: int) -> str:
    return b.node("Transpose", x, perm=[0, rank - 1, *range(1, rank - 1)])


def _to_back(b: Builder, x: str, rank: int) -> str:
    return b.node("Transpose", x, perm=[0, *range(2, rank), 1])


def _per_axis(values: Any, axes: int) -> list[int]:
    given = [values] if isinstance(values, int) else list(values or [1])
    return given * axes if len(given) == 1 else given


def _placed(
    b: Builder, x: str, row: Row, axes: int, fill: float, window: Sequence[int]
) -> tuple[str, dict[str, Any]]:
    """The array in front layout and where its window goes; open padding is written as a node."""
    attrs: dict[str, Any] = {"strides": _per_axis(row.attrs["strides"], axes)}
    if "dilation" in row.attrs:
        attrs["dilations"] = _per_axis(row.attrs["dilation"], axes)
    padding = row.attrs["padding"]
    padding = [padding] if not isinstance(padding, list) else padding
    if padding == [-1]:
        steps = zip(attrs["strides"], window, strict=True)
        if all(d == 1 for d in attrs.get("dilations", ())) and all(s <= k for s, k in steps):
            return x, attrs | {"auto_pad": "SAME_UPPER"}
        return _padded_same(b, x, attrs, fill, window)
    sides = list(padding) or [0] * 2 * axes
    if any(b.is_open(p) for p in sides):
        zero = [0, 0]
        wide = b.shape([*zero, *sides[0::2], *zero, *sides[1::2]])
        return b.node("Pad", x, wide, b.number(fill)), attrs
    return x, attrs | {"pads": [*sides[0::2], *sides[1::2]]}


def _padded_same(
    b: Builder, x: str, attrs: dict[str, Any], fill: float, window: Sequence[int]
) -> tuple[str, dict[str, Any]]:
    """Padding to ceil(size / stride) places of a dilated window.

    It is written as numbers: ONNX Runtime knows no `auto_pad` of dilated windows, nor of pools
    whose strides are longer than their windows.
    """
    before: list[int | str] = []
    after: list[int | str] = []
    strides, dilations = attrs["strides"], attrs.get("dilations", [1] * len(window))
    for i, (k, stride, dilation) in enumerate(zip(window, strides, dilations, strict=True)):
        if k == 1:
            before.append(0)
            after.append(0)
            continue
        span = (k - 1) * dilation + 1
        if stride == 1:
            before.append((span - 1) // 2)
            after.append(span // 2)
            continue
        size = b.node("Shape", x, start=i + 2, end=i + 3)
        rest = b.node("Mod", b.node("Sub", size, b.ints([1])), b.ints([stride]))
        wide = b.node("Max", b.node("Sub", b.ints([span - 1]), rest), b.ints([0]))
        half = b.node("Div", wide, b.ints([2]))
        before.append(half)
        after.append(b.node("Sub", wide, half))
    if not any(isinstance(n, str) for n in before):
        return x, attrs | {"pads": [*before, *after]}
    sides = [0, 0, *before, 0, 0, *after]
    names = [n if isinstance(n, str) else b.ints([n]) for n in sides]
    return b.node("Pad", x, b.node("Concat", *names, axis=0), b.number(fill)), attrs


def _conv(b: Builder, row: Row, x: Value, w: Value) -> str:
    axes = x.rank - 2
    front = _to_front(b, b.cast(x, "float32"), x.rank)
    name, attrs = _placed(b, front, row, axes, 0.0, w.shape[:axes])
    kernel = b.node("Transpose", b.cast(w, "float32"), perm=[w.rank - 1, w.rank - 2, *range(axes)])
    attrs |= {"group": row.attrs["groups"], "kernel_shape": list(w.shape[:axes])}
    return _to_back(b, b.node("Conv", name, kernel, **attrs), x.rank)


def _transposed(b: Builder, row: Row, dy: Value, w: Value) -> str:
    """Without padding; then what the wanted size leaves is cut, or zeros are added behind."""
    axes = dy.rank - 2
    attrs = {
        "strides": _per_axis(row.attrs["strides"], axes),
        "dilations": _per_axis(row.attrs["dilation"], axes),
        "group": row.attrs["groups"],
        "kernel_shape": list(w.shape[:axes]),
    }
    kernel = b.node("Transpose", b.cast(w, "float32"), perm=[w.rank - 1, w.rank - 2, *range(axes)])
    whole = b.node("ConvTranspose", _to_front(b, b.cast(dy, "float32"), dy.rank), kernel, **attrs)
    padding = row.attrs["padding"]
    sides = list(padding) if isinstance(padding, list) and padding != [-1] else None
    size, over = row.attrs["size"], list(range(2, dy.rank))
    if padding in (-1, [-1]):
        # As many places as the gradient has, with what that takes split as the convolution does.
        spans = [(k - 1) * d + 1 for k, d in zip(w.shape, attrs["dilations"], strict=False)]
        first = []
        for i, (d, span) in enumerate(zip(size, spans, strict=True)):
            places = b.node("Shape", dy.name, start=i + 1, end=i + 2)
            steps = b.node("Mul", b.node("Sub", places, b.ints([1])), b.ints([attrs["strides"][i]]))
            total = b.node("Sub", b.node("Add", steps, b.ints([span])), b.size(d))
            total = b.node("Max", total, b.ints([0]))
            first.append(b.node("Div", total, b.ints([2])))
        starts = first[0] if len(first) == 1 else b.node("Concat", *first, axis=0)
    else:
        starts = b.shape((sides or [0] * 2 * axes)[0::2])
    wanted = b.shape(size)
    ends = b.node("Add", starts, wanted)
    # Zeros behind, as places that no window covers have them, before the cut.
    extent = b.node("Shape", whole, start=2, end=dy.rank)
    lack = b.node("Max", b.node("Sub", ends, extent), b.ints([0]))
    nothing = b.ints([0] * (2 + axes))
    widths = b.node("Concat", nothing, b.ints([0, 0]), lack, axis=0)
    padded = b.node("Pad", whole, widths, b.number(0.0))
    return _to_back(b, b.node("Slice", padded, starts, ends, b.ints(over)), dy.rank)


def _max_pool(b: Builder, row: Row, x: Value) -> list[str]:
    """The values alone: places in the window have no counterpart."""
    axes = x.rank - 2
    front = _to_front(b, b.cast(x, "float32"), x.rank)
    window = _per_axis(row.attrs["window"], axes)
    name, attrs = _placed(b, front, row, axes, float("-inf"), window)
    if row.attrs["strides"] in ((), []):
        attrs["strides"] = [1] * axes
    return [_to_back(b, b.node("MaxPool", name, kernel_shape=window, **attrs), x.rank)]


def _average_pool(b: Builder, row: Row, x: Value) -> str:
    axes = x.rank - 2
    front = _to_front(b, b.cast(x, "float32"), x.rank)
    window = _per_axis(row.attrs["window"], axes)
    name, attrs = _placed(b, front, row, axes, 0.0, window)
    if name != front and not row.attrs["count_padding"]:
        # Open padding is in the array now: sums over the counts of what is no padding.
        ones = b.node("Expand", b.number(1.0), b.node("Shape", front))
        counted, _ = _placed(b, ones, row, axes, 0.0, window)
        pools = [b.node("AveragePool", n, kernel_shape=window, **attrs) for n in (name, counted)]
        return _to_back(b, b.node("Div", *pools), x.rank)
    attrs["count_include_pad"] = int(row.attrs["count_padding"])
    return _to_back(b, b.node("AveragePool", name, kernel_shape=window, **attrs), x.rank)


def _resample(b: Builder, row: Row, x: Value, *tables: Value) -> str:
    """Products with the matrices that the tables stand for."""
    name = _to_front(b, x.name, 4)
    # Columns first: they lie last here.
    for axis, (at, by) in ((3, tables[2:]), (2, tables[:2])):
        size = b.node("Squeeze", b.node("Shape", name, start=axis, end=axis + 1), b.ints([0]))
        beyond = b.array(np.arange(by.shape[1]), "int64")
        first = b.node("Unsqueeze", b.node("Cast", at.name, to=TYPES["int64"]), b.ints([1]))
        places = b.node("Unsqueeze", b.node("Add", first, beyond), b.ints([2]))
        every = b.node("Range", b.number(0, "int64"), size, b.number(1, "int64"))
        chosen = b.node("Cast", b.node("Equal", places, every), to=TYPES["float32"])
        shares = b.node("Mul", chosen, b.node("Unsqueeze", by.name, b.ints([2])))
        matrix = b.node("ReduceSum", shares, b.ints([1]), keepdims=0)
        if axis == 3:
            name = b.node("MatMul", name, b.node("Transpose", matrix, perm=[1, 0]))
        else:
            name = b.node("MatMul", matrix, name)
    return _to_back(b, name, 4)


ROWS: dict[str, Write] = {
    "conv": _conv, "conv_input_grad": _transposed, "max_pool": _max_pool,
    "average_pool": _average_pool, "resample": _resample,
}  # fmt: skip
