"""Reductions, products of matrices, running sums, orders."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn import ops
from fastnn._core import Dim
from fastnn.onnx.values import Call, dtype_of, host, is_known, like, ndim, shape, tensor, traced

__all__ = ["OPS", "along"]

Op = Callable[..., Any]


def along(c: Call, x: Any, axes: Any) -> list[int] | None:
    """The axes of a reduction, from an input or an attribute; None for the value itself."""
    given = c.ints("axes") if axes is None else c.list(axes, "axes")
    if not given:
        return None if c.attr("noop_with_empty_axes", 0) else list(range(ndim(x)))
    return [c.axis(a, ndim(x)) for a in given]


def _reduction(engine: Op, known: Op, pre: Op | None = None) -> Op:
    """A reduction; `pre` is what is done to each element first."""

    def op(c: Call, x: Any, axes: Any = None) -> Any:
        over = along(c, x, axes)
        keep = bool(c.attr("keepdims", 1))
        empty = not traced(x) and 0 in shape(x)
        if is_known(x) or empty:
            a = host(x)
            a = a if pre is None else pre(np, a)
            if over is None:
                return a
            return np.asarray(known(a, tuple(over), keep)).astype(a.dtype, copy=False)
        t = x if pre is None else pre(ops, x)
        if over is None:
            return t
        found = engine(t, axis=over, keepdims=keep)
        # Whole numbers give whole ones, however the engine has them.
        return ops.cast(found, "int32") if dtype_of(t) == "int32" else found

    return op


def _mean(x: Any, axis: list[int], keepdims: bool) -> Any:
    if dtype_of(x) != "int32":
        return ops.mean(x, axis=axis, keepdims=keepdims)
    total, count = ops.sum(x, axis=axis, keepdims=keepdims), math.prod(shape(x)[i] for i in axis)
    count = ops.axis_size(count) if isinstance(count, Dim) else count
    return ops.sign(total) * ops.floor_divide(ops.abs(total), count)


def _of_set(f: Op, low: bool) -> Op:
    """A largest or smallest element, which an empty set has as well."""

    def known(a: Any, axes: Any, keep: bool) -> Any:
        if a.dtype == bool:
            return f(a, axis=axes, keepdims=keep, initial=not low)
        if a.dtype.kind in "iu":
            info = np.iinfo(a.dtype)
            return f(a, axis=axes, keepdims=keep, initial=info.min if low else info.max)
        return f(a, axis=axes, keepdims=keep, initial=-np.inf if low else np.inf)

    return known


def _extreme(engine: Op) -> Op:
    def f(x: Any, axis: Any, keepdims: bool) -> Any:
        if dtype_of(x) != "bool":
            return engine(x, axis=axis, keepdims=keepdims)
        whole = ops.cast(x, "int32")
        return ops.cast(engine(whole, axis=axis, keepdims=keepdims), "bool")

    return f


def _sum(a: Any, axes: Any, keep: bool) -> Any:
    return np.sum(a, axis=axes, keepdims=keep, dtype=None if a.dtype.kind in "O" else a.dtype)


def _log_sum_exp(a: Any, axes: Any, keep: bool) -> Any:
    wide = a.astype(np.float64)
    if not a.size:
        return np.log(np.sum(np.exp(wide), axis=axes, keepdims=keep))
    top = np.max(wide, axis=axes, keepdims=True)
    top = np.where(np.isfinite(top), top, 0)
    found = np.log(np.sum(np.exp(wide - top), axis=axes, keepdims=True)) + top
    return found if keep else np.squeeze(found, axis=axes)


def _root_of(f: Op) -> Op:
    return lambda a, axes, keep: np.sqrt(f(a.astype(np.float64), axes, keep))


def _arg(engine: Op, known: Op) -> Op:
    def op(c: Call, x: Any) -> Any:
        axis = c.axis(c.attr("axis", 0), ndim(x))
        keep, last = bool(c.attr("keepdims", 1)), bool(c.attr("select_last_index", 0))
        if is_known(x) or not traced(x):
            a = host(x)
            found = known(np.flip(a, axis) if last else a, axis)
            found = a.shape[axis] - 1 - found if last else found
            return np.expand_dims(found, axis).astype(np.int64) if keep else np.asarray(
                found, np.int64)  # fmt: skip
        if not last:
            return engine(x, axis=axis, keepdims=keep)
        size = shape(x)[axis]
        end = ops.axis_size(size) if isinstance(size, Dim) else int(size)
        return end - 1 - engine(ops.flip(x, axis=axis), axis=axis, keepdims=keep)

    return op


def _softmax(log: bool) -> Op:
    def op(c: Call, x: Any) -> Any:
        engine = ops.log_softmax if log else ops.softmax
        rank = ndim(x)
        if c.opset >= 13:
            axis = c.axis(c.attr("axis", -1), rank)
            return c.engine(lambda t: engine(t, axis=axis), x)
        axis = c.axis(c.attr("axis", 1), rank) if rank > 1 or c.attr("axis", 1) < rank else 0
        over = list(range(axis, rank))  # before opset 13 all further axes are one
        return c.engine(lambda t: engine(t, axis=over if len(over) > 1 else over[0]), x)

    return op


def _hardmax(c: Call, x: Any) -> Any:
    def hard(t: Any, axes: list[int]) -> Any:
        sizes = shape(t)
        flat = ops.reshape(t, [*sizes[: axes[0]], -1]) if len(axes) > 1 else ops.moveaxis(
            t, axes[0], -1)  # fmt: skip
        places = ops.argmax(flat, axis=-1)
        ones = ops.one_hot(places, shape(flat)[-1])
        return ops.reshape(ones, sizes) if len(axes) > 1 else ops.moveaxis(ones, -1, axes[0])

    if c.opset >= 13:
        axes = [c.axis(c.attr("axis", -1), ndim(x))]
    else:
        axes = list(range(c.axis(c.attr("axis", 1), ndim(x)), ndim(x)))
    return c.engine(lambda t: hard(t, axes), x)


def _matmul(c: Call, a: Any, b: Any) -> Any:
    if is_known(a) and is_known(b) and a.dtype.kind in "iu":
        return np.matmul(a, b)
    if is_known(a) and is_known(b) and a.dtype == np.float64:
        return np.matmul(a, b)
    return c.engine(ops.matmul, a, b)


def _gemm(c: Call, a: Any, b: Any, bias: Any = None) -> Any:
    alpha, beta = float(c.attr("alpha", 1.0)), float(c.attr("beta", 1.0))

    def product(x: Any, y: Any, z: Any) -> Any:
        x = ops.transpose(x) if c.attr("transA", 0) else x
        y = ops.transpose(y) if c.attr("transB", 0) else y
        out = ops.matmul(x, y)
        out = out if alpha == 1.0 else alpha * out
        return out if z is None else out + (z if beta == 1.0 else beta * z)

    return c.engine(product, a, b, bias)


def _einsum(c: Call, *xs: Any) -> Any:
    equation = str(c.attr("equation"))
    if all(is_known(x) for x in xs):
        # NumPy knows no sums of narrow floats.
        narrow = xs[0].dtype.kind not in "fiub"
        given = [x.astype(np.float32) for x in xs] if narrow else xs
        return np.asarray(np.einsum(equation, *given)).astype(xs[0].dtype)
    return c.engine(lambda *ts: ops.einsum(equation, *ts), *xs)


def _running(product: bool) -> Op:
    def op(c: Call, x: Any, axis: Any) -> Any:
        at = c.axis(int(c.host(axis, "axis").reshape(-1)[0]), ndim(x))
        exclusive, reverse = bool(c.attr("exclusive", 0)), bool(c.attr("reverse", 0))
        if is_known(x) or not traced(x):
            a = host(x)
            a = np.flip(a, at) if reverse else a
            f = np.cumprod if product else np.cumsum
            out: Any = f(a, axis=at, dtype=a.dtype)
            if exclusive:
                first: Any = np.full_like(np.take(out, [0], at), 1 if product else 0)
                out = np.concatenate([first, np.delete(out, -1, at)], at)
            return np.flip(out, at) if reverse else out
        t = ops.flip(x, axis=at) if reverse else x
        out = ops.cumprod(t, axis=at) if product else ops.cumsum(t, axis=at)
        if exclusive:
            first = ops.full_like(t[(slice(None),) * at + (slice(0, 1),)], 1 if product else 0)
            out = ops.concatenate([first, out[(slice(None),) * at + (slice(0, -1),)]], axis=at)
        return ops.flip(out, axis=at) if reverse else out

    return op


def _top_k(c: Call, x: Any, k: Any = None) -> Any:
    count = int(c.attr("k", 0)) if k is None else int(c.host(k, "K").reshape(-1)[0])
    axis = c.axis(c.attr("axis", -1), ndim(x))
    largest = bool(c.attr("largest", 1))
    size = shape(x)[axis]
    if count < 0 or (isinstance(size, int) and count > size):
        raise c.wrong(f"K is {count}, the axis has {size} values")
    if not traced(x):
        a = host(x)
        order = np.argsort(-a if largest and a.dtype.kind == "f" else a, axis=axis, kind="stable")
        if largest and a.dtype.kind != "f":
            flipped = np.flip(a, axis)
            order = np.flip(a.shape[axis] - 1 - np.argsort(flipped, axis=axis, kind="stable"), axis)
        places: Any = np.take(order, np.arange(count), axis)
        return like(tensor(np.take_along_axis(a, places, axis)), x) if not is_known(
            x) else np.take_along_axis(a, places, axis), places.astype(np.int64)  # fmt: skip
    t = ops.moveaxis(x, axis, -1)
    if largest:
        values, places = ops.top_k(t, count)
    else:
        places = ops.argsort(t, axis=-1)[..., :count]
        values = ops.take_along_axis(t, places, axis=-1)
    return ops.moveaxis(values, -1, axis), ops.moveaxis(places, -1, axis)


OPS: dict[str, Op] = {
    "ReduceSum": _reduction(ops.sum, _sum),
    "ReduceMean": _reduction(
        _mean, lambda a, axes, keep: np.mean(a, axis=axes, keepdims=keep)),
    "ReduceMax": _reduction(_extreme(ops.max), _of_set(np.max, True)),
    "ReduceMin": _reduction(_extreme(ops.min), _of_set(np.min, False)),
    "ReduceProd": _reduction(
        ops.prod, lambda a, axes, keep: np.prod(a, axis=axes, keepdims=keep, dtype=None
                                                if a.dtype == object else a.dtype)),
    "ReduceL1": _reduction(ops.sum, _sum, lambda m, a: m.abs(a)),
    "ReduceSumSquare": _reduction(ops.sum, _sum, lambda m, a: m.square(a)),
    "ReduceL2": _reduction(
        lambda x, axis, keepdims: ops.sqrt(ops.sum(x, axis=axis, keepdims=keepdims)),
        _root_of(_sum), lambda m, a: m.square(a)),
    "ReduceLogSum": _reduction(
        lambda x, axis, keepdims: ops.log(ops.sum(x, axis=axis, keepdims=keepdims)),
        lambda a, axes, keep: np.log(_sum(a, axes, keep))),
    "ReduceLogSumExp": _reduction(ops.logsumexp, _log_sum_exp),
    "ArgMax": _arg(ops.argmax, np.argmax), "ArgMin": _arg(ops.argmin, np.argmin),
    "Softmax": _softmax(False), "LogSoftmax": _softmax(True), "Hardmax": _hardmax,
    "MatMul": _matmul, "Gemm": _gemm, "Einsum": _einsum, "CumSum": _running(False),
    "CumProd": _running(True), "TopK": _top_k,
}  # fmt: skip
