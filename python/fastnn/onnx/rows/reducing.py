"""Rows that reduce axes, order values or contract them, in ONNX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastnn.onnx.builder import TYPES, Builder
from fastnn.onnx.rows.elements import result_type
from fastnn.onnx.traced import Row, Value

__all__ = ["ROWS", "reduce"]

Write = Callable[..., Any]


def _axes(axis: Any, rank: int) -> list[int]:
    if axis in (None, "none"):
        return list(range(rank))
    return [a % rank for a in ([axis] if isinstance(axis, int) else axis)]


def reduce(b: Builder, op: str, x: str, axes: list[int], keepdims: bool) -> str:
    """A reduction over known axes; over none it is the value itself."""
    if not axes:
        return b.node("Identity", x)
    since = 13 if op == "ReduceSum" else 18
    return b.with_axes(op, x, axes, since, keepdims=int(keepdims))


def _reduced(op: str, through: str | None = None) -> Write:
    def write(b: Builder, row: Row, x: Value) -> str:
        dtype = result_type(row)
        axes = _axes(row.attrs["axis"], x.rank)
        kind = through or ("int32" if dtype == "bool" else dtype)  # truth values are not reduced
        found = reduce(b, op, b.cast(x, kind), axes, row.attrs["keepdims"])
        if kind == dtype:
            return found
        return b.node("Cast", found, to=TYPES[dtype])

    return write


def _arg(op: str) -> Write:
    def write(b: Builder, row: Row, x: Value) -> str:
        axis, keep = row.attrs["axis"], int(row.attrs["keepdims"])
        name = b.cast(x, "float32" if x.dtype == "float32" else "int32")
        if axis in (None, "none"):
            flat = b.node("Reshape", name, b.ints([-1]))
            found = b.node(op, flat, axis=0, keepdims=0)
            if keep:
                found = b.node("Reshape", found, b.ints([1] * x.rank))
        else:
            found = b.node(op, name, axis=axis % x.rank, keepdims=keep)
        return b.node("Cast", found, to=TYPES["int32"])

    return write


def _variance(root: bool) -> Write:
    def write(b: Builder, row: Row, x: Value) -> str:
        name, axes = b.cast(x, "float32"), _axes(row.attrs["axis"], x.rank)
        apart = b.node("Sub", name, reduce(b, "ReduceMean", name, axes, True))
        square = b.node("Mul", apart, apart)
        found = reduce(b, "ReduceMean", square, axes, row.attrs["keepdims"])
        return b.node("Sqrt", found) if root else found

    return write


def _sum_to(b: Builder, row: Row, x: Value) -> str:
    wanted, have = list(row.results[0].shape), list(x.shape)
    lead = len(have) - len(wanted)
    inner = [i for i in range(lead, len(have)) if wanted[i - lead] == 1 and have[i] != 1]
    name = b.cast(x, result_type(row))
    name = reduce(b, "ReduceSum", name, inner, True) if inner else name
    return reduce(b, "ReduceSum", name, list(range(lead)), False)


def _extent(b: Builder, row: Row, x: Value) -> str:
    axes = _axes(row.attrs["axis"], x.rank)
    sizes = b.node("Gather", b.node("Shape", x.name), b.ints(axes)) if axes else b.ints([1])
    count = b.node("ReduceProd", sizes, keepdims=0)
    return b.node("Cast", count, to=TYPES["float32"])


def _matmul(b: Builder, row: Row, x: Value, y: Value) -> str:
    dtype = result_type(row)
    names = []
    for value, flag in ((x, "transpose_a"), (y, "transpose_b")):
        name = b.cast(value, dtype)
        if row.attrs[flag] and value.rank > 1:
            order = [*range(value.rank - 2), value.rank - 1, value.rank - 2]
            name = b.node("Transpose", name, perm=order)
        names.append(name)
    return b.node("MatMul", *names)


def _dot(b: Builder, row: Row, x: Value, y: Value) -> str:
    dtype = result_type(row)
    a, c = b.cast(x, dtype), b.cast(y, dtype)
    if x.rank == 0 or y.rank == 0:
        return b.node("Mul", a, c)
    if y.rank <= 2:
        return b.node("MatMul", a, c)
    left, right = "abcdefg"[: x.rank - 1], "hijklmn"[: y.rank - 2]
    return b.node("Einsum", a, c, equation=f"{left}z,{right}zy->{left}{right}y")


def _cumsum(b: Builder, row: Row, x: Value) -> str:
    axis = b.number(row.attrs["axis"] % x.rank, "int64")
    return b.node("CumSum", b.cast(x, result_type(row)), axis)


def _sorted(b: Builder, row: Row, x: Value) -> list[str]:
    axis = row.attrs["axis"] % x.rank
    size = b.node("Shape", x.name, start=axis, end=axis + 1)
    return _ordered(b, x, size, axis, 0)


def _top_k(b: Builder, row: Row, x: Value) -> list[str]:
    return _ordered(b, x, b.ints([row.attrs["k"]]), x.rank - 1, 1)


def _ordered(b: Builder, x: Value, count: str, axis: int, largest: int) -> list[str]:
    x = b.number_like(x)
    name = b.cast(x, "int32") if x.dtype == "bool" else x.name
    values, places = b.nodes_of("TopK", [name, count], 2, axis=axis, largest=largest, sorted=1)
    if x.dtype == "bool":
        values = b.node("Cast", values, to=TYPES["bool"])
    return [values, b.node("Cast", places, to=TYPES["int32"])]


ROWS: dict[str, Write] = {
    "sum": _reduced("ReduceSum"), "mean": _reduced("ReduceMean"), "max": _reduced("ReduceMax"),
    "min": _reduced("ReduceMin"), "prod": _reduced("ReduceProd"),
    "any": _reduced("ReduceMax", "int32"), "all": _reduced("ReduceMin", "int32"),
    "logsumexp": _reduced("ReduceLogSumExp"), "argmax": _arg("ArgMax"), "argmin": _arg("ArgMin"),
    "variance": _variance(False), "std": _variance(True), "sum_to": _sum_to, "extent": _extent,
    "matmul": _matmul, "dot": _dot, "cumsum": _cumsum, "sort": _sorted, "top_k": _top_k,
}  # fmt: skip
