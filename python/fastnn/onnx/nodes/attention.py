"""Attention over sequences, and turning by position."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn import ops
from fastnn._core import Dim
from fastnn.onnx.values import Call, like, ndim, shape, tensor

__all__ = ["OPS"]

Op = Callable[..., Any]
_LOW = -math.inf


def _heads(x: Any, count: int) -> Any:
    """(batch, time, heads * size) as (batch, heads, time, size)."""
    n, time, width = shape(x)
    return ops.transpose(ops.reshape(x, [n, time, count, width // count]), [0, 2, 1, 3])


def _places(size: Any) -> Any:
    return ops.iota(size) if isinstance(size, Dim) else tensor(np.arange(size, dtype=np.int32))


def _mask(c: Call, given: Any, t: Any, s: Any, past: Any, lengths: Any) -> Any:
    """What is added to the scores: 0 where a query may look, -inf where not."""
    total: Any = None
    if given is not None:
        m = tensor(given)
        width = shape(m)[-1]
        lacking = s - width if isinstance(s, int) and isinstance(width, int) else 0
        if str(m.dtype) == "bool":
            m = ops.where(m, 0.0, _LOW)
        if lacking > 0:  # a shorter mask hides the keys behind it
            m = ops.pad(m, [(0, 0)] * (ndim(m) - 1) + [(0, lacking)], constant_values=_LOW)
        total = m
    left, right = int(c.attr("left_window_size", -1)), int(c.attr("right_window_size", -1))
    causal = bool(c.attr("is_causal", 0))
    if causal or left >= 0 or right >= 0:
        first: Any = past
        if lengths is not None:
            first = ops.reshape(tensor(lengths), [-1, 1, 1, 1]) - (
                ops.axis_size(t) if isinstance(t, Dim) else int(t))  # fmt: skip
        rows = ops.reshape(_places(t), [1, 1, -1, 1]) + first
        ahead = ops.reshape(_places(s), [1, 1, 1, -1]) - rows
        for seen in (
            ops.less_equal(ahead, 0) if causal else None,
            ops.less_equal(ahead, right) if right >= 0 else None,
            ops.greater_equal(ahead, -left) if left >= 0 else None,
        ):
            if seen is not None:
                bias = ops.where(seen, 0.0, _LOW)
                total = bias if total is None else total + bias
    if lengths is not None:
        alive = ops.less(ops.reshape(_places(s), [1, 1, 1, -1]),
                         ops.reshape(tensor(lengths), [-1, 1, 1, 1]))  # fmt: skip
        padded = ops.where(alive, 0.0, _LOW)
        total = padded if total is None else total + padded
    return total


def _softmax(scores: Any) -> Any:
    """Softmax of rows; a row that may look at nothing gives zeros."""
    top = ops.max(scores, axis=-1, keepdims=True)
    shown = ops.exp(scores - ops.where(ops.isinf(top), 0.0, top))
    total = ops.sum(shown, axis=-1, keepdims=True)
    return shown / ops.where(ops.equal(total, 0), 1.0, total)


def _attention(
    c: Call, q: Any, k: Any, v: Any, mask: Any = None, past_k: Any = None, past_v: Any = None,
    lengths: Any = None,
) -> Any:  # fmt: skip
    flat = ndim(q) == 3
    qt, kt, vt = (tensor(x) for x in (q, k, v))
    if flat:
        heads, shared = int(c.attr("q_num_heads")), int(c.attr("kv_num_heads"))
        qt, kt, vt = _heads(qt, heads), _heads(kt, shared), _heads(vt, shared)
    heads, shared = shape(qt)[1], shape(kt)[1]
    past: Any = 0
    if past_k is not None:
        past = shape(past_k)[2]
        kt = ops.concatenate([tensor(past_k), kt], axis=2)
        vt = ops.concatenate([tensor(past_v), vt], axis=2)
    if past.__class__ is not int:
        past = ops.axis_size(past)
    present = kt, vt
    if heads != shared:
        kt, vt = (ops.repeat(x, heads // shared, axis=1) for x in (kt, vt))
    scale = c.attr("scale")
    root = math.sqrt(1 / math.sqrt(shape(qt)[-1]) if scale is None else abs(float(scale)))
    sign = -1.0 if scale is not None and float(scale) < 0 else 1.0
    scores = ops.matmul(qt * (root * sign), ops.transpose(kt * root, [0, 1, 3, 2]))
    kept, mode = scores, int(c.attr("qk_matmul_output_mode", 0))
    cap = float(c.attr("softcap", 0.0))
    if cap > 0:
        scores = cap * ops.tanh(scores / cap)
    kept = scores if mode == 1 else kept
    added = _mask(c, mask, shape(qt)[2], shape(kt)[2], past, lengths)
    scores = scores if added is None else scores + added
    kept = scores if mode == 2 else kept
    shares = _softmax(scores)
    kept = shares if mode == 3 else kept
    out = ops.matmul(shares, vt)
    if flat:
        n, _, t, size = shape(out)
        out = ops.reshape(ops.transpose(out, [0, 2, 1, 3]), [n, t, heads * size])
    results = (out, *present, kept)
    return tuple(like(r, q) for r in results)[: max(c.outputs, 1)]


def _rotary(c: Call, x: Any, cos: Any, sin: Any, places: Any = None) -> Any:
    t = tensor(x)
    flat = ndim(t) == 3
    if flat:
        t = _heads(t, int(c.attr("num_heads", 0)) or 1)
    size = shape(t)[-1]
    turned = int(c.attr("rotary_embedding_dim", 0)) or size
    part, rest = t[..., :turned], t[..., turned:]
    waves = []
    for table in (cos, sin):
        w = tensor(table)
        w = w if places is None else ops.take(w, tensor(places), axis=0)
        waves.append(ops.expand_dims(w[..., : turned // 2], 1))
    if c.attr("interleaved", 0):
        a, b = part[..., 0::2], part[..., 1::2]
    else:
        a, b = part[..., : turned // 2], part[..., turned // 2 :]
    real, other = a * waves[0] - b * waves[1], a * waves[1] + b * waves[0]
    if c.attr("interleaved", 0):
        out = ops.reshape(ops.stack([real, other], axis=-1), shape(part))
    else:
        out = ops.concatenate([real, other], axis=-1)
    out = ops.concatenate([out, rest], axis=-1) if turned != size else out
    if flat:
        n, heads, time, width = shape(out)
        out = ops.reshape(ops.transpose(out, [0, 2, 1, 3]), [n, time, heads * width])
    return like(out, x)


OPS: dict[str, Op] = {"Attention": _attention, "RotaryEmbedding": _rotary}
