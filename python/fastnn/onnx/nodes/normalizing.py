"""Normalisation of batches, layers, groups and channels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastnn import ops
from fastnn.onnx.values import Call, like, ndim, shape, tensor

__all__ = ["OPS"]

Op = Callable[..., Any]


def _per_channel(v: Any, rank: int) -> Any:
    return ops.reshape(tensor(v), [1, -1, *[1] * (rank - 2)])


def _batch(c: Call, x: Any, scale: Any, bias: Any, mean: Any, var: Any) -> Any:
    t, rank = tensor(x), ndim(x)
    epsilon = float(c.attr("epsilon", 1e-5))
    if not c.attr("training_mode", 0):
        factor = tensor(scale) * ops.rsqrt(tensor(var) + epsilon)
        shift = tensor(bias) - tensor(mean) * factor
        return like(t * _per_channel(factor, rank) + _per_channel(shift, rank), x)
    over = [0, *range(2, rank)]
    now, spread = ops.mean(t, axis=over), ops.var(t, axis=over)
    momentum = float(c.attr("momentum", 0.9))
    out = (t - _per_channel(now, rank)) * _per_channel(ops.rsqrt(spread + epsilon), rank)
    out = out * _per_channel(scale, rank) + _per_channel(bias, rank)
    running = [
        like(tensor(old) * momentum + new * (1 - momentum), old)
        for old, new in ((mean, now), (var, spread))
    ]
    return (like(out, x), *running[: c.outputs - 1])


def _standard(t: Any, axes: list[int], epsilon: float) -> Any:
    mean = ops.mean(t, axis=axes, keepdims=True)
    scale = ops.rsqrt(ops.mean(ops.square(t - mean), axis=axes, keepdims=True) + epsilon)
    return (t - mean) * scale, mean, scale


def _instance(c: Call, x: Any, scale: Any, bias: Any) -> Any:
    t, rank = tensor(x), ndim(x)
    out, _, _ = _standard(t, list(range(2, rank)), float(c.attr("epsilon", 1e-5)))
    return like(out * _per_channel(scale, rank) + _per_channel(bias, rank), x)


def _layer(c: Call, x: Any, scale: Any, bias: Any = None) -> Any:
    t = tensor(x)
    axes = list(range(c.axis(c.attr("axis", -1), ndim(x)), ndim(x)))
    out, mean, inverse = _standard(t, axes, float(c.attr("epsilon", 1e-5)))
    out = out * tensor(scale)
    out = out if bias is None else out + tensor(bias)
    return (like(out, x), mean, inverse)[: max(c.outputs, 1)]


def _rms(c: Call, x: Any, scale: Any) -> Any:
    t = tensor(x)
    axes = list(range(c.axis(c.attr("axis", -1), ndim(x)), ndim(x)))
    square = ops.mean(ops.square(t), axis=axes, keepdims=True)
    return like(t * ops.rsqrt(square + float(c.attr("epsilon", 1e-5))) * tensor(scale), x)


def _group(c: Call, x: Any, scale: Any, bias: Any) -> Any:
    n, depth, *rest = shape(x)
    groups = int(c.attr("num_groups", 1))
    if groups < 1 or depth % groups:
        raise c.wrong(f"{depth} channels in {groups} groups")
    parts = ops.reshape(tensor(x), [n, groups, depth // groups, *rest])
    out, _, _ = _standard(parts, list(range(2, ndim(x) + 1)), float(c.attr("epsilon", 1e-5)))
    if c.opset < 21:  # a scale a group
        flat = [1, groups, *[1] * (ndim(x) - 1)]
        out = out * ops.reshape(tensor(scale), flat) + ops.reshape(tensor(bias), flat)
        return like(ops.reshape(out, shape(x)), x)
    out = ops.reshape(out, shape(x))
    return like(out * _per_channel(scale, ndim(x)) + _per_channel(bias, ndim(x)), x)


def _local_response(c: Call, x: Any) -> Any:
    size = int(c.attr("size"))
    alpha, beta = float(c.attr("alpha", 1e-4)), float(c.attr("beta", 0.75))
    t = tensor(x)
    before, after = (size - 1) // 2, size - 1 - (size - 1) // 2
    square = ops.pad(ops.square(t), [(0, 0), (before, after), *[(0, 0)] * (ndim(x) - 2)])
    depth = shape(x)[1]
    total = square[:, :depth]
    for i in range(1, size):
        total = total + square[:, i : i + depth]
    return like(t / ops.power(float(c.attr("bias", 1.0)) + total * (alpha / size), beta), x)


def _lp(c: Call, x: Any) -> Any:
    axis, p = c.axis(c.attr("axis", -1), ndim(x)), int(c.attr("p", 2))
    t = tensor(x)
    if p == 1:
        norm = ops.sum(ops.absolute(t), axis=axis, keepdims=True)
    else:
        norm = ops.sqrt(ops.sum(ops.square(t), axis=axis, keepdims=True))
    nothing = ops.equal(norm, 0)
    return like(ops.where(nothing, 0.0 * t, t / ops.where(nothing, 1.0, norm)), x)


def _mean_variance(c: Call, x: Any) -> Any:
    axes = [c.axis(a, ndim(x)) for a in c.ints("axes", [0, 2, 3])]
    t = tensor(x)
    mean = ops.mean(t, axis=axes, keepdims=True)
    spread = ops.sqrt(ops.mean(ops.square(t), axis=axes, keepdims=True) - ops.square(mean))
    return like((t - mean) / (spread + 1e-9), x)


OPS: dict[str, Op] = {
    "BatchNormalization": _batch, "InstanceNormalization": _instance,
    "LayerNormalization": _layer, "RMSNormalization": _rms, "GroupNormalization": _group,
    "LRN": _local_response, "LpNormalization": _lp, "MeanVarianceNormalization": _mean_variance,
}  # fmt: skip
