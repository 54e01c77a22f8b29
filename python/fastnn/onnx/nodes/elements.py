"""Ops that work element by element."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn import ops
from fastnn._core import Dim
from fastnn.onnx.values import Call, dtype_of, is_known, like, shape, tensor

__all__ = ["OPS", "binary", "unary"]

Op = Callable[..., Any]


def _all_known(xs: Any) -> bool:
    return all(is_known(x) for x in xs)


def unary(engine: Op, known: Op | None = None) -> Op:
    """A function of one operand; without `known` the engine computes for arrays too."""

    def op(c: Call, x: Any) -> Any:
        if is_known(x) and known is not None and x.dtype != object:
            return np.asarray(known(x)).astype(x.dtype, copy=False)
        return c.engine(engine, x)

    return op


def binary(engine: Op, known: Op) -> Op:
    """A function of two or more operands that are broadcast."""

    def op(c: Call, *xs: Any) -> Any:
        if not xs:
            raise c.wrong("it has no inputs")
        xs = _aligned(c, xs)
        if _all_known(xs):
            c.check(np.broadcast_shapes(*(x.shape for x in xs)))
            return np.asarray(functools.reduce(known, xs))
        _check_broadcast(c, xs)
        return functools.reduce(engine, map(tensor, xs))

    return op


def _aligned(c: Call, xs: Any) -> Any:
    """Before opset 7 the second operand was laid along the first from an axis on."""
    if c.opset >= 7 or not c.attr("broadcast", 0) or len(xs) != 2:
        return xs
    a, b = xs
    axis = c.attr("axis", len(shape(a)) - len(shape(b)))
    axis += len(shape(a)) if axis < 0 else 0
    rest = len(shape(a)) - axis - len(shape(b))
    if axis < 0 or rest < 0:
        raise c.wrong(f"an operand of {len(shape(b))} axes from axis {axis} on")
    sizes = [*shape(b), *[1] * rest]
    return a, (b.reshape(sizes) if is_known(b) else ops.reshape(b, sizes))


def _check_broadcast(c: Call, xs: Any) -> None:
    rank = max(len(shape(x)) for x in xs)
    sizes = [1] * rank
    for x in xs:
        for i, d in enumerate(shape(x)[::-1]):
            if isinstance(d, int):
                sizes[i] = max(sizes[i], d)
    c.check(sizes)


def _kept(f: Op) -> Op:
    """Arrays keep their type: NumPy's rules would widen them."""

    def known(a: Any, b: Any) -> Any:
        found = f(a, b)
        sizes = object in (a.dtype, b.dtype)
        return found if sizes else np.asarray(found).astype(a.dtype, copy=False)

    return known


def _truncated(a: Any, b: Any) -> Any:
    """Division towards zero of whole numbers, of sizes, or plain division."""
    if a.dtype == object or b.dtype == object:
        return a // b
    if a.dtype.kind not in "iu":
        return (a / b).astype(a.dtype)
    b = np.where(b == 0, 1, b).astype(b.dtype) if (b == 0).any() else b
    down = a // b
    if a.dtype.kind == "u":
        return down
    apart = (a % b != 0) & ((a < 0) != (b < 0))
    return (down + apart).astype(a.dtype)


def _divided(a: Any, b: Any) -> Any:
    if "float32" in (a.dtype, b.dtype):
        return ops.divide(a, b)
    down = ops.floor_divide(a, b)
    apart = ops.logical_and(
        ops.not_equal(ops.mod(a, b), 0), ops.logical_xor(ops.less(a, 0), ops.less(b, 0))
    )
    return ops.where(apart, down + 1, down)


def _mod(c: Call, a: Any, b: Any) -> Any:
    if c.attr("fmod", 0):
        return binary(ops.fmod, _kept(np.fmod))(c, a, b)
    return binary(ops.mod, _kept(np.mod))(c, a, b)


def _pow(c: Call, a: Any, b: Any) -> Any:
    if _all_known((a, b)):
        c.check(np.broadcast_shapes(a.shape, b.shape))
        wide = a.astype(np.float64) if b.dtype.kind == "f" and a.dtype.kind in "iu" else a
        return np.asarray(np.power(wide, b)).astype(a.dtype)
    found = ops.power(ops.cast(tensor(a), "float32"), ops.cast(tensor(b), "float32"))
    return ops.cast(found, dtype_of(tensor(a)))


def _compared(engine: Op, known: Op) -> Op:
    def op(c: Call, a: Any, b: Any) -> Any:
        a, b = _aligned(c, (a, b))
        if _all_known((a, b)):
            c.check(np.broadcast_shapes(a.shape, b.shape))
            return np.asarray(known(a, b)).astype(bool)
        _check_broadcast(c, (a, b))
        return engine(tensor(a), tensor(b))

    return op


def _logical(engine: Op, known: Op) -> Op:
    return _compared(engine, known)


def _not(c: Call, x: Any) -> Any:
    return np.logical_not(x) if is_known(x) else ops.logical_not(x)


def _where(c: Call, cond: Any, a: Any, b: Any) -> Any:
    if _all_known((cond, a, b)):
        c.check(np.broadcast_shapes(cond.shape, a.shape, b.shape))
        return np.where(cond, a, b)
    return like(ops.where(tensor(cond), tensor(a), tensor(b)), a)


def _clip(c: Call, x: Any, low: Any = None, high: Any = None) -> Any:
    low = c.attr("min") if low is None and "min" in c.node.attrs else low
    high = c.attr("max") if high is None and "max" in c.node.attrs else high
    if is_known(x) and not any(v is not None and not is_known(v) and not isinstance(v, float)
                               for v in (low, high)):  # fmt: skip
        out = x if low is None else np.maximum(x, np.asarray(low, x.dtype))
        return out if high is None else np.minimum(out, np.asarray(high, x.dtype))
    if (
        not is_known(x)
        and dtype_of(x) == "float32"
        and all(
            v is None or isinstance(v, float) or (is_known(v) and v.size == 1) for v in (low, high)
        )
    ):  # one row for two known bounds
        a = -math.inf if low is None else float(np.asarray(low).reshape(()))
        b = math.inf if high is None else float(np.asarray(high).reshape(()))
        # Where the bounds cross, the upper one wins.
        return ops.clip(x, min(a, b), b)
    x = tensor(x)
    if low is not None:
        x = ops.maximum(x, ops.cast(ops.reshape(tensor(low), ()), dtype_of(x)))
    if high is not None:
        x = ops.minimum(x, ops.cast(ops.reshape(tensor(high), ()), dtype_of(x)))
    return x


def _is_inf(c: Call, x: Any) -> Any:
    up, down = c.attr("detect_positive", 1), c.attr("detect_negative", 1)
    if is_known(x):
        found = np.isinf(x)
        return found & ((x > 0) & bool(up) | (x < 0) & bool(down))
    found = ops.isinf(x)
    if not up:
        found = ops.logical_and(found, ops.less(x, 0))
    if not down:
        found = ops.logical_and(found, ops.greater(x, 0))
    return found


def _is_nan(c: Call, x: Any) -> Any:
    return np.isnan(x) if is_known(x) else ops.isnan(x)


def _with(f: Callable[..., Any], **attrs: float) -> Op:
    """A function of a tensor with attributes as further arguments, by their names and defaults."""

    def op(c: Call, x: Any) -> Any:
        given = [float(c.attr(k, v)) for k, v in attrs.items()]
        return c.engine(lambda t: f(t, *given), x)

    return op


def _prelu(c: Call, x: Any, slope: Any) -> Any:
    if is_known(x) and is_known(slope):
        return np.where(x < 0, slope * x, x).astype(x.dtype)
    return c.engine(lambda t, s: ops.where(ops.less(t, 0), s * t, t), x, slope)


def _elu(x: Any, alpha: float) -> Any:
    return ops.where(ops.less(x, 0), alpha * ops.expm1(ops.minimum(x, 0.0)), x)


def _selu(x: Any, alpha: float, gamma: float) -> Any:
    return gamma * _elu(x, alpha)


def _gelu(c: Call, x: Any) -> Any:
    by_tanh = c.attr("approximate", "none") == "tanh"
    return c.engine(lambda t: ops.gelu(t, approximate=by_tanh), x)


def _shrink(x: Any, bias: float, at: float) -> Any:
    return ops.where(ops.less(x, -at), x + bias, ops.where(ops.greater(x, at), x - bias, 0.0 * x))


def _mean(c: Call, *xs: Any) -> Any:
    total = binary(ops.add, np.add)(c, *xs)
    if is_known(total):
        return (total / len(xs)).astype(total.dtype)
    return total / float(len(xs))


def _bitwise(engine: Op, known: Op) -> Op:
    def op(c: Call, *xs: Any) -> Any:
        if _all_known(xs):
            return known(*xs)
        return engine(*map(tensor, xs))

    return op


def _bit_shift(c: Call, x: Any, by: Any) -> Any:
    left = c.attr("direction") == "LEFT"
    if _all_known((x, by)):
        return (np.left_shift if left else np.right_shift)(x, by)
    return (ops.left_shift if left else ops.right_shift)(tensor(x), tensor(by))


def _erf(c: Call, x: Any) -> Any:
    if is_known(x) and x.dtype == np.float64:
        return np.vectorize(math.erf, otypes=[np.float64])(x)
    return c.engine(ops.erf, x)


def _identity(c: Call, x: Any) -> Any:
    return x


def _dropout(c: Call, x: Any, ratio: Any = None, training: Any = None) -> Any:
    """At inference the values themselves; asked to train, those that chance leaves."""
    mask: Any = None
    on = training is not None and bool(c.host(training, "training_mode").reshape(()))
    rate = 0.5 if ratio is None else float(c.host(ratio, "ratio").reshape(()))
    if on and rate > 0.0:
        state = np.random.RandomState(c.attr("seed"))
        mask = state.uniform(0, 1.0, shape(x)) >= rate
        scale = 1.0 / (1.0 - rate)
        x = like(tensor(x) * tensor(mask.astype(np.float32)) * scale, x)
    if c.outputs < 2:
        return x
    sizes = shape(x)
    if mask is None:
        mask = ops.ones(sizes, "bool") if any(isinstance(d, Dim) for d in sizes) else np.ones(
            sizes, bool)  # fmt: skip
    return x, mask


def _sigmoid(x: Any) -> Any:
    return (1 / (1 + np.exp(-x.astype(np.float64)))).astype(x.dtype)


_UNARY: dict[str, tuple[Op, Op | None]] = {
    "Abs": (ops.absolute, np.abs), "Neg": (ops.negative, np.negative),
    "Sign": (ops.sign, np.sign), "Reciprocal": (ops.reciprocal, np.reciprocal),
    "Sqrt": (ops.sqrt, np.sqrt), "Exp": (ops.exp, np.exp), "Log": (ops.log, np.log),
    "Sin": (ops.sin, np.sin), "Cos": (ops.cos, np.cos), "Tan": (ops.tan, np.tan),
    "Asin": (ops.arcsin, np.arcsin), "Acos": (ops.arccos, np.arccos),
    "Atan": (ops.arctan, np.arctan), "Sinh": (ops.sinh, np.sinh), "Cosh": (ops.cosh, np.cosh),
    "Asinh": (ops.arcsinh, np.arcsinh), "Acosh": (ops.arccosh, np.arccosh),
    "Atanh": (ops.arctanh, np.arctanh), "Tanh": (ops.tanh, np.tanh),
    "Sigmoid": (ops.sigmoid, _sigmoid), "Floor": (ops.floor, np.floor),
    "Ceil": (ops.ceil, np.ceil), "Round": (ops.round, np.round),
    "Relu": (ops.relu, lambda x: np.maximum(x, np.zeros((), x.dtype))),
    "Softplus": (ops.softplus, None), "Softsign": (ops.softsign, None), "Mish": (ops.mish, None),
    "HardSwish": (ops.hard_silu, None),
}  # fmt: skip

OPS: dict[str, Op] = {
    **{name: unary(*pair) for name, pair in _UNARY.items()},
    "Add": binary(ops.add, np.add), "Sub": binary(ops.subtract, np.subtract),
    "Mul": binary(ops.multiply, np.multiply), "Div": binary(_divided, _truncated),
    "Max": binary(ops.maximum, _kept(np.maximum)), "Min": binary(ops.minimum, _kept(np.minimum)),
    "Sum": binary(ops.add, np.add), "Mean": _mean, "Mod": _mod, "Pow": _pow,
    "Equal": _compared(ops.equal, np.equal), "Less": _compared(ops.less, np.less),
    "LessOrEqual": _compared(ops.less_equal, np.less_equal),
    "Greater": _compared(ops.greater, np.greater),
    "GreaterOrEqual": _compared(ops.greater_equal, np.greater_equal),
    "And": _logical(ops.logical_and, np.logical_and),
    "Or": _logical(ops.logical_or, np.logical_or),
    "Xor": _logical(ops.logical_xor, np.logical_xor), "Not": _not, "Where": _where,
    "Clip": _clip, "IsInf": _is_inf, "IsNaN": _is_nan, "PRelu": _prelu, "Gelu": _gelu,
    "LeakyRelu": _with(lambda x, a: ops.where(ops.less(x, 0), a * x, x), alpha=0.01),
    "Elu": _with(_elu, alpha=1.0),
    "Selu": _with(_selu, alpha=1.67326319217681884765625, gamma=1.05070102214813232421875),
    "Celu": _with(lambda x, a: ops.celu(x, alpha=a), alpha=1.0),
    "ThresholdedRelu": _with(lambda x, a: ops.where(ops.greater(x, a), x, 0.0 * x), alpha=1.0),
    "HardSigmoid": _with(lambda x, a, b: ops.clip(a * x + b, 0.0, 1.0), alpha=0.2, beta=0.5),
    "Swish": _with(lambda x, a: x * ops.sigmoid(a * x), alpha=1.0),
    "Shrink": _with(_shrink, bias=0.0, lambd=0.5),
    "BitwiseAnd": _bitwise(ops.bitwise_and, np.bitwise_and),
    "BitwiseOr": _bitwise(ops.bitwise_or, np.bitwise_or),
    "BitwiseXor": _bitwise(ops.bitwise_xor, np.bitwise_xor),
    "BitwiseNot": _bitwise(ops.bitwise_not, np.bitwise_not), "BitShift": _bit_shift,
    "Erf": _erf, "Identity": _identity, "Dropout": _dropout,
}  # fmt: skip
