"""Rows that networks are made of: activations, normalisation, losses of logits, in ONNX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastnn.onnx.builder import TYPES, Builder
from fastnn.onnx.rows.reducing import reduce
from fastnn.onnx.traced import Row, Value

__all__ = ["ROWS"]

Write = Callable[..., Any]


def _node(op: str, *attrs: str, **fixed: Any) -> Write:
    """One node; `attrs` are handed on, renamed where ONNX calls them alpha."""

    def write(b: Builder, row: Row, x: Value) -> str:
        given = {("alpha" if k == "negative_slope" else k): row.attrs[k] for k in attrs}
        return b.node(op, b.cast(x, "float32"), **given, **fixed)

    return write


def _between(low: float, high: float) -> Write:
    def write(b: Builder, row: Row, x: Value) -> str:
        return b.node("Clip", b.cast(x, "float32"), b.number(low), b.number(high))

    return write


def _gelu(by_tanh: bool | None) -> Write:
    def write(b: Builder, row: Row, x: Value) -> str:
        name = b.cast(x, "float32")
        tanh = row.attrs["approximate"] if by_tanh is None else by_tanh
        if b.opset >= 20:
            return b.node("Gelu", name, approximate="tanh" if tanh else "none")
        if tanh:
            cube = b.node("Mul", b.node("Mul", name, name), name)
            inner = b.node("Add", name, b.node("Mul", cube, b.number(0.044715)))
            part = b.node("Tanh", b.node("Mul", inner, b.number((2 / 3.141592653589793) ** 0.5)))
        else:
            part = b.node("Erf", b.node("Mul", name, b.number(0.5**0.5)))
        half = b.node("Mul", name, b.number(0.5))
        return b.node("Mul", half, b.node("Add", part, b.number(1.0)))

    return write


def _silu(b: Builder, row: Row, x: Value) -> str:
    name = b.cast(x, "float32")
    return b.node("Mul", name, b.node("Sigmoid", name))


def _mish(b: Builder, row: Row, x: Value) -> str:
    name = b.cast(x, "float32")
    if b.opset >= 18:
        return b.node("Mish", name)
    return b.node("Mul", name, b.node("Tanh", b.node("Softplus", name)))


def _tanh_shrink(b: Builder, row: Row, x: Value) -> str:
    name = b.cast(x, "float32")
    return b.node("Sub", name, b.node("Tanh", name))


def _log_sigmoid(b: Builder, row: Row, x: Value) -> str:
    return b.node("Neg", b.node("Softplus", b.node("Neg", b.cast(x, "float32"))))


def _root_mean_square(b: Builder, row: Row, name: str, rank: int) -> str:
    """The root of the mean square of the last axis, which stays with size 1, and epsilon."""
    square = reduce(b, "ReduceMean", b.node("Mul", name, name), [rank - 1], True)
    return b.node("Sqrt", b.node("Add", square, b.number(row.attrs["epsilon"])))


def _layer_normalize(b: Builder, row: Row, x: Value) -> str:
    name = b.cast(x, "float32")
    apart = b.node("Sub", name, reduce(b, "ReduceMean", name, [x.rank - 1], True))
    return b.node("Div", apart, _root_mean_square(b, row, apart, x.rank))


def _layer_norm(b: Builder, row: Row, x: Value, gamma: Value, beta: Value) -> list[str]:
    """The node that ONNX has for it, or by parts; the mean and the scale are nodes of their own."""
    name, last, center = b.cast(x, "float32"), [x.rank - 1], bool(row.attrs["center"])
    mean = reduce(b, "ReduceMean", name, last, True)
    apart = b.node("Sub", name, mean) if center else name
    root = _root_mean_square(b, row, apart, x.rank)
    flat = b.with_axes("Squeeze", mean, last)
    scale = b.node("Reciprocal", b.with_axes("Squeeze", root, last))
    shift = [] if b.scalars.get(beta.name) == 0.0 else [b.cast(beta, "float32")]

    def column(value: Value) -> str:  # the nodes take no scalar for all columns
        size = b.node("Shape", name, start=x.rank - 1)
        given = b.cast(value, "float32")
        return given if value.rank else b.node("Expand", given, size)

    settings = {"axis": -1, "epsilon": float(row.attrs["epsilon"])}
    if center:
        given = [name, column(gamma), *([column(beta)] if shift else [])]
        return [b.node("LayerNormalization", *given, **settings), flat, scale]
    if b.opset >= 23:
        made = b.node("RMSNormalization", name, column(gamma), **settings)
    else:
        made = b.node("Mul", b.node("Div", name, root), b.cast(gamma, "float32"))
    made = b.node("Add", made, *shift) if shift else made
    return [made, b.node("Expand", b.number(0.0), b.node("Shape", flat)), scale]


def _cross_entropy(b: Builder, row: Row, target: Value, logits: Value) -> str:
    log = b.node("LogSoftmax", b.cast(logits, "float32"), axis=-1)
    product = b.node("Mul", b.cast(target, "float32"), log)
    return b.node("Neg", reduce(b, "ReduceSum", product, [logits.rank - 1], False))


def _sparse_cross_entropy(b: Builder, row: Row, logits: Value, labels: Value) -> str:
    log = b.node("LogSoftmax", b.cast(logits, "float32"), axis=-1)
    last = logits.rank - 1
    index = b.with_axes("Unsqueeze", b.node("Cast", labels.name, to=TYPES["int64"]), [last])
    found = b.node("GatherElements", log, index, axis=last)
    return b.node("Neg", b.with_axes("Squeeze", found, [last]))


def _sigmoid_cross_entropy(b: Builder, row: Row, target: Value, logits: Value) -> str:
    x = b.cast(logits, "float32")
    return b.node("Sub", b.node("Softplus", x), b.node("Mul", x, b.cast(target, "float32")))


ROWS: dict[str, Write] = {
    "softmax": _node("Softmax", "axis"), "softmax_last": _node("Softmax", axis=-1),
    "log_softmax": _node("LogSoftmax", "axis"), "log_softmax_last": _node("LogSoftmax", axis=-1),
    "leaky_relu": _node("LeakyRelu", "negative_slope"), "elu": _node("Elu", "alpha"),
    "selu": _node("Selu", alpha=1.6732632423543772, gamma=1.0507009873554805),
    "celu": _node("Celu", "alpha"), "softsign": _node("Softsign"),
    "hard_sigmoid": _node("HardSigmoid", alpha=1 / 6, beta=0.5), "hard_silu": _node("HardSwish"),
    "relu6": _between(0.0, 6.0), "hard_tanh": _between(-1.0, 1.0), "gelu": _gelu(None),
    "gelu_erf": _gelu(False), "gelu_tanh": _gelu(True), "silu": _silu, "mish": _mish,
    "tanh_shrink": _tanh_shrink, "log_sigmoid": _log_sigmoid, "layer_normalize": _layer_normalize,
    "layer_norm": _layer_norm,
    "softmax_cross_entropy": _cross_entropy,
    "sparse_softmax_cross_entropy": _sparse_cross_entropy,
    "sigmoid_cross_entropy": _sigmoid_cross_entropy,
}  # fmt: skip
