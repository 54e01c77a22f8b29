"""Sequences and optional values, which are lists and None."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn import ops
from fastnn._core import Dim
from fastnn.onnx.graph import Graph
from fastnn.onnx.values import Call, is_known, ndim, shape, tensor

__all__ = ["OPS"]

Op = Callable[..., Any]


def _at(c: Call, place: Any, size: int) -> int:
    at = int(c.host(place, "position").reshape(-1)[0])
    if not -size <= at <= size:
        raise c.wrong(f"position {at} in a sequence of {size}")
    return at + size if at < 0 else at


def _list(c: Call, x: Any) -> list[Any]:
    if not isinstance(x, list):
        raise c.wrong("its input is no sequence")
    return x


def _insert(c: Call, sequence: Any, value: Any, place: Any = None) -> Any:
    values = list(_list(c, sequence))
    at = len(values) if place is None else _at(c, place, len(values))
    return [*values[:at], value, *values[at:]]


def _erase(c: Call, sequence: Any, place: Any = None) -> Any:
    values = list(_list(c, sequence))
    at = len(values) - 1 if place is None else _at(c, place, len(values))
    return [*values[:at], *values[at + 1 :]]


def _item(c: Call, sequence: Any, place: Any) -> Any:
    values = _list(c, sequence)
    at = _at(c, place, len(values))
    if at >= len(values):
        raise c.wrong(f"position {at} in a sequence of {len(values)}")
    return values[at]


def _joined(c: Call, sequence: Any) -> Any:
    values, axis = _list(c, sequence), int(c.attr("axis"))
    fresh = bool(c.attr("new_axis", 0))
    if all(is_known(v) for v in values):
        return (np.stack if fresh else np.concatenate)(values, axis)
    ts = [tensor(v) for v in values]
    return ops.stack(ts, axis=axis) if fresh else ops.concatenate(ts, axis=axis)


def _split(c: Call, x: Any, parts: Any = None) -> Any:
    axis = c.axis(c.attr("axis", 0), ndim(x))
    size = shape(x)[axis]
    if isinstance(size, Dim):
        raise c.wrong("it cuts an axis of open size", "give that size as a number")
    lead = (slice(None),) * axis
    if parts is None:
        whole = [x[(*lead, slice(i, i + 1))] for i in range(size)]
        if c.attr("keepdims", 1):
            return whole
        return [np.squeeze(v, axis) if is_known(v) else ops.squeeze(v, axis) for v in whole]
    sizes = c.host(parts, "split")
    if sizes.ndim == 0:
        each = int(sizes)
        if each < 1:
            raise c.wrong(f"parts of {each}")
        sizes = np.asarray([min(each, size - i) for i in range(0, size, each)])
    ends = np.cumsum(sizes)
    return [x[(*lead, slice(int(e - n), int(e)))] for n, e in zip(sizes, ends, strict=True)]


def _map(c: Call, sequence: Any, *more: Any) -> Any:
    body = c.attr("body")
    if not isinstance(body, Graph):
        raise c.wrong("it has no graph 'body'")
    found = []
    for i, value in enumerate(_list(c, sequence)):
        c.runner.count(1)
        given = [m[i] if isinstance(m, list) else m for m in more]
        found.append(c.runner.run(body, [value, *given]))
    if not found:
        return tuple([] for _ in body.outputs)
    return tuple(list(column) for column in zip(*found, strict=True))


def _optional(c: Call, x: Any = None) -> Any:
    return x


def _element(c: Call, x: Any = None) -> Any:
    if x is None:
        raise c.wrong("the optional value is missing", "ask OptionalHasElement first")
    return x


OPS: dict[str, Op] = {
    "SequenceEmpty": lambda c: [], "SequenceConstruct": lambda c, *xs: list(xs),
    "SequenceInsert": _insert, "SequenceErase": _erase, "SequenceAt": _item,
    "SequenceLength": lambda c, x: np.asarray(len(_list(c, x)), np.int64),
    "ConcatFromSequence": _joined, "SplitToSequence": _split, "SequenceMap": _map,
    "Optional": _optional, "OptionalGetElement": _element,
    "OptionalHasElement": lambda c, x=None: np.asarray(x is not None),
}  # fmt: skip
