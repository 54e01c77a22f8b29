"""Rows that work element by element, in ONNX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastnn.onnx.builder import TYPES, Builder
from fastnn.onnx.traced import Row, Value

__all__ = ["ROWS", "result_type"]

Write = Callable[..., Any]


def result_type(row: Row) -> str:
    """The type of the row's value."""
    return str(row.results[0].dtype)


def plain(op: str, **attrs: Any) -> Write:
    """One node of the same meaning; operands have the type of the result."""

    def write(b: Builder, row: Row, *xs: Value) -> str:
        return b.node(op, *(b.cast(x, result_type(row)) for x in xs), **attrs)

    return write


def _extreme(op: str, of_truths: str) -> Write:
    """The larger or smaller of two; of truth values ONNX has neither."""

    def write(b: Builder, row: Row, x: Value, y: Value) -> str:
        kind = of_truths if result_type(row) == "bool" else op
        return str(plain(kind)(b, row, x, y))

    return write


def _of_floats(f: Callable[[Builder, str], str]) -> Write:
    """A formula of one float32 operand."""

    def write(b: Builder, row: Row, x: Value) -> str:
        return f(b, b.cast(x, "float32"))

    return write


def compared(op: str, negated: bool = False) -> Write:
    """A comparison of operands of one type."""

    def write(b: Builder, row: Row, x: Value, y: Value) -> str:
        x, y = b.number_like(x), b.number_like(y)
        order = ("bool", "int32", "float32")
        dtype = max(x.dtype, y.dtype, key=order.index)
        if dtype == "bool" and op != "Equal":
            dtype = "int32"
        found = b.node(op, b.cast(x, dtype), b.cast(y, dtype))
        return b.node("Not", found) if negated else found

    return write


def logical(op: str) -> Write:
    """And, or and their like of truth values."""

    def write(b: Builder, row: Row, *xs: Value) -> str:
        return b.node(op, *(b.cast(x, "bool") for x in xs))

    return write


def _to(dtype: str | None) -> Write:
    def write(b: Builder, row: Row, x: Value) -> str:
        wanted = dtype or row.attrs["dtype"]
        if x.dtype == wanted:
            return b.node("Identity", x.name)
        if wanted in ("int8", "uint8") and x.dtype == "float32":
            return b.node("Cast", b.node("Cast", x.name, to=TYPES["int32"]), to=TYPES[wanted])
        return b.node("Cast", x.name, to=TYPES[wanted])

    return write


def _divide_down(b: Builder, row: Row, x: Value, y: Value) -> str:
    dtype = result_type(row)
    a, c = b.cast(x, dtype), b.cast(y, dtype)
    if dtype != "float32":
        return b.node("Div", b.node("Sub", a, b.node("Mod", a, c)), c)
    # As NumPy: the floor of a rounded quotient would be one more where the true one is just below.
    rest, apart = _rest(b, a, c)
    down = b.node("Div", b.node("Sub", a, rest), c)
    one = b.node("Cast", apart, to=TYPES["float32"])
    down = b.node("Round", b.node("Sub", down, one))
    return b.node("Where", b.node("Equal", c, b.number(0.0)), b.node("Div", a, c), down)


def _mod(b: Builder, row: Row, x: Value, y: Value) -> str:
    dtype = result_type(row)
    a, c = b.cast(x, dtype), b.cast(y, dtype)
    if dtype == "int32":
        return b.node("Mod", a, c)
    rest, apart = _rest(b, a, c)
    return b.node("Where", apart, b.node("Add", rest, c), rest)


def _rest(b: Builder, a: str, c: str) -> tuple[str, str]:
    """What a division towards 0 leaves, and where one downwards is another one."""
    rest, zero = b.node("Mod", a, c, fmod=1), b.number(0.0)
    other = b.node("Xor", b.node("Less", rest, zero), b.node("Less", c, zero))
    return rest, b.node("And", other, b.node("Not", b.node("Equal", rest, zero)))


def _where(b: Builder, row: Row, cond: Value, x: Value, y: Value) -> str:
    dtype = result_type(row)
    through = "uint8" if dtype == "bool" else dtype  # runtimes select no truth values
    found = b.node("Where", b.cast(cond, "bool"), b.cast(x, through), b.cast(y, through))
    return found if through == dtype else b.node("Cast", found, to=TYPES[dtype])


def _square(b: Builder, row: Row, x: Value) -> str:
    name = b.cast(x, result_type(row))
    return b.node("Mul", name, name)


def _expm1(b: Builder, x: str) -> str:
    # Near zero e^x - 1 would lose all digits; tanh(x/2) (e^x + 1) is the same and does not.
    half = b.node("Tanh", b.node("Mul", x, b.number(0.5)))
    return b.node("Mul", half, b.node("Add", b.node("Exp", x), b.number(1.0)))


def _log1p(b: Builder, x: str) -> str:
    # log(u) x / (u - 1) with u = 1 + x has the digits that log(1 + x) loses near zero.
    one = b.number(1.0)
    u = b.node("Add", x, one)
    log = b.node("Log", u)
    small = b.node("Less", b.node("Abs", x), b.number(0.5))
    ratio = b.node("Div", x, b.node("Sub", u, one))
    near = b.node("Where", b.node("Equal", u, one), x, b.node("Mul", log, ratio))
    return b.node("Where", small, near, log)


def _trunc(b: Builder, row: Row, x: Value) -> str:
    if x.dtype != "float32":
        return b.node("Identity", b.cast(x, result_type(row)))
    return b.node("Mul", b.node("Sign", x.name), b.node("Floor", b.node("Abs", x.name)))


def _rounding(op: str) -> Write:
    def write(b: Builder, row: Row, x: Value) -> str:
        return b.node("Identity" if x.dtype != "float32" else op, b.cast(x, result_type(row)))

    return write


def _relu(b: Builder, row: Row, x: Value) -> str:
    dtype = result_type(row)
    if dtype == "float32":
        return b.node("Relu", b.cast(x, dtype))
    return b.node("Max", b.cast(x, dtype), b.number(0, dtype))


def _clip(b: Builder, row: Row, x: Value) -> str:
    dtype = result_type(row)
    low, high = (float(row.attrs[k]) for k in ("min", "max"))
    name = b.cast(x, dtype)
    if dtype != "float32":
        low, high = max(low, -(2.0**31)), min(high, 2.0**31 - 1)
    return b.node("Clip", name, b.number(low, dtype), b.number(high, dtype))


def _is_finite(b: Builder, x: str) -> str:
    return b.node("Not", b.node("Or", b.node("IsNaN", x), b.node("IsInf", x)))


def _unary_float(op: str) -> Write:
    return _of_floats(lambda b, x: b.node(op, x))


ROWS: dict[str, Write] = {
    "add": plain("Add"), "subtract": plain("Sub"), "multiply": plain("Mul"),
    "divide": plain("Div"), "power": plain("Pow"), "maximum": _extreme("Max", "Or"),
    "minimum": _extreme("Min", "And"), "negative": plain("Neg"), "absolute": plain("Abs"),
    "sign": plain("Sign"), "stop_gradient": plain("Identity"),
    "floor_divide": _divide_down, "mod": _mod, "where": _where, "square": _square,
    "trunc": _trunc, "relu": _relu, "clip": _clip,
    "floor": _rounding("Floor"), "ceil": _rounding("Ceil"), "round": _rounding("Round"),
    "reciprocal": _unary_float("Reciprocal"), "sqrt": _unary_float("Sqrt"),
    "exp": _unary_float("Exp"), "exponential": _unary_float("Exp"), "log": _unary_float("Log"),
    "sin": _unary_float("Sin"), "cos": _unary_float("Cos"), "tanh": _unary_float("Tanh"),
    "sigmoid": _unary_float("Sigmoid"), "erf": _unary_float("Erf"),
    "arctan": _unary_float("Atan"), "softplus": _unary_float("Softplus"),
    "is_nan": _unary_float("IsNaN"), "is_inf": _unary_float("IsInf"),
    "is_finite": _of_floats(_is_finite),
    "rsqrt": _of_floats(lambda b, x: b.node("Reciprocal", b.node("Sqrt", x))),
    "expm1": _of_floats(_expm1), "log1p": _of_floats(_log1p),
    "equal": compared("Equal"), "not_equal": compared("Equal", True), "less": compared("Less"),
    "less_equal": compared("LessOrEqual"), "greater": compared("Greater"),
    "greater_equal": compared("GreaterOrEqual"), "logical_and": logical("And"),
    "logical_or": logical("Or"), "logical_xor": logical("Xor"), "logical_not": logical("Not"),
    "to_float": _to("float32"), "to_int": _to("int32"), "to_bool": _to("bool"),
    "to_bfloat16": _to("bfloat16"), "to_float16": _to("float16"), "to_int8": _to("int8"),
    "to_uint8": _to("uint8"), "cast": _to(None),
}  # fmt: skip
