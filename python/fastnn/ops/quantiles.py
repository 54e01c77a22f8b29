"""Medians, quantiles and percentiles, and what else follows from a sorted axis.

Depends on `_core`, `host`, `order`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from fastnn import _core
from fastnn._core import Tensor
from fastnn.errors import ShapeError
from fastnn.ops import host
from fastnn.ops.convert import Axis, TensorLike, arange, cast, computed, ndim, shape
from fastnn.ops.families import name_ops
from fastnn.ops.order import argsort, sort
from fastnn.ops.shapes import moveaxis, place, places, reshape, transpose
from fastnn.tracing.symbolic import keras_op

__all__ = [
    "argpartition",
    "median",
    "nanmedian",
    "nanpercentile",
    "nanquantile",
    "percentile",
    "quantile",
    "sparsemax",
]

_c = _core.ops

#: How the place between two neighbours is taken.
METHODS = ("linear", "lower", "higher", "midpoint", "nearest")


def _row(name: str, x: TensorLike, axis: Axis) -> tuple[Any, list[int]]:
    """`x` with the axes that are reduced joined as the last one, and which these were."""
    x = computed(x, "float32")
    over = sorted(places(name, axis, shape(x)))
    rest = [i for i in range(ndim(x)) if i not in over]
    sizes = [shape(x)[i] for i in over]
    moved = transpose(x, [*rest, *over]) if over != list(range(len(rest), ndim(x))) else x
    flat = reshape(moved, [*(shape(x)[i] for i in rest), math.prod(sizes)])
    return flat, over


def _quantile(
    name: str, x: TensorLike, q: Any, axis: Axis, method: str, keepdims: bool, skip_nan: bool
) -> Tensor:
    if method not in METHODS:
        raise ValueError(f"{name}: method is {method!r}\n  hint: {', '.join(METHODS)}")
    flat, over = _row(name, x, axis)
    n = shape(flat)[-1]
    if isinstance(n, int) and n == 0:
        raise ShapeError(f"{name}: no elements along axes {over}\n  hint: look at the shape of x")
    ordered = sort(flat, axis=-1)
    missing = _c.is_nan(ordered)
    level = computed(q, "float32")
    if host.has_values(level):
        shares = host.value(name, level)
        if not ((shares >= 0.0) & (shares <= 1.0)).all():
            most = 100 if "percentile" in name else 1
            raise ValueError(f"{name}: q is {q}, wanted 0 to {most}\n  hint: q={most / 2}")
    levels = reshape(level, (-1,))
    counted = _c.sum(1.0 - cast(missing, "float32"), axis=-1, keepdims=True)
    count = counted if skip_nan else cast(n, "float32")
    spot = _c.maximum(levels * (count - 1.0), 0.0)
    low = _c.floor(spot)
    high = _c.minimum(low + 1.0, _c.maximum(count - 1.0, 0.0))
    part = spot - low
    if method == "lower":
        part = part * 0.0
    elif method == "higher":
        part = _c.ceil(part)
    elif method == "midpoint":
        part = _c.where(part > 0.0, 0.5, 0.0)
    elif method == "nearest":
        part = _c.round(spot) - low  # halves to the even place, as in NumPy
    sizes = [*shape(flat)[:-1], levels.shape[0]]

    def at(where: Any) -> Any:
        places = _c.broadcast_to(cast(where, "int32"), shape=sizes)
        return _c.take_along_axis(ordered, places, axis=-1)

    below, above = at(low), at(high)
    # An infinity next to a number must not become NaN where its weight is 0.
    rise = _c.where(part > 0.0, (above - below) * part, 0.0)
    out = _c.where(part >= 1.0, above, below + rise)
    bad = _c.equal(counted, 0.0) if skip_nan else _c.any(missing, axis=-1, keepdims=True)
    out = _c.where(bad, math.nan, out)
    if keepdims:
        kept = list(shape(computed(x)))
        for a in over:
            kept[a] = 1
        out = reshape(moveaxis(out, -1, 0), [levels.shape[0], *kept])
    else:
        out = moveaxis(out, -1, 0)
    if ndim(level) == 0:
        return _c.squeeze(out, axis=[0])
    return reshape(out, [*level.shape, *shape(out)[1:]]) if ndim(level) > 1 else out


def _family(name: str, doc: str, scale: float, skip_nan: bool) -> Callable[..., Tensor]:
    def function(
        x: TensorLike, q: TensorLike, axis: Axis = None, method: str = "linear",
        keepdims: bool = False,
    ) -> Tensor:  # fmt: skip
        level = q if scale == 1.0 else computed(q, "float32") / scale
        return _quantile(name, x, level, axis, method, keepdims, skip_nan)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return keras_op(function)


quantile: Callable[..., Tensor] = _family(
    "quantile",
    """The q-quantiles over `axis`, q from 0 to 1.

    Args:
        x: A tensor or array.
        q: Which quantiles: a number, or several.
        axis: The axis or axes; None: all of them.
        method: How values between two elements are taken: `"linear"`, `"lower"`, `"higher"`,
            `"midpoint"` or `"nearest"`.
        keepdims: Whether the axes stay with size 1.

    Returns:
        A tensor without `axis`, or with size 1 there when `keepdims` is set.

    Example:
        >>> fastnn.ops.quantile(np.array([1.0, 2.0, 3.0]), 0.5).numpy()
        np.float32(2.0)
    """,
    1.0,
    False,
)
percentile: Callable[..., Tensor] = _family(
    "percentile",
    """The q-th percentiles over `axis`, q from 0 to 100.

    Args:
        x: A tensor or array.
        q: Which quantiles: a number, or several.
        axis: The axis or axes; None: all of them.
        method: How values between two elements are taken: `"linear"`, `"lower"`, `"higher"`,
            `"midpoint"` or `"nearest"`.
        keepdims: Whether the axes stay with size 1.

    Returns:
        A tensor without `axis`, or with size 1 there when `keepdims` is set.

    Example:
        >>> fastnn.ops.percentile(np.array([1.0, 2.0, 3.0]), 50).numpy()
        np.float32(2.0)
    """,
    100.0,
    False,
)
nanquantile: Callable[..., Tensor] = _family(
    "nanquantile",
    """`quantile` of the elements that are not NaN.

    Args:
        x: A tensor or array.
        q: Which quantiles: a number, or several.
        axis: The axis or axes; None: all of them.
        method: How values between two elements are taken: `"linear"`, `"lower"`, `"higher"`,
            `"midpoint"` or `"nearest"`.
        keepdims: Whether the axes stay with size 1.

    Returns:
        A tensor without `axis`, or with size 1 there when `keepdims` is set.

    Example:
        >>> fastnn.ops.nanquantile(np.array([1.0, np.nan, 3.0]), 0.5).numpy()
        np.float32(2.0)
    """,
    1.0,
    True,
)
nanpercentile: Callable[..., Tensor] = _family(
    "nanpercentile",
    """`percentile` of elements that are not NaN.

    Args:
        x: A tensor or array.
        q: Which quantiles: a number, or several.
        axis: The axis or axes; None: all of them.
        method: How values between two elements are taken: `"linear"`, `"lower"`, `"higher"`,
            `"midpoint"` or `"nearest"`.
        keepdims: Whether the axes stay with size 1.

    Returns:
        A tensor without `axis`, or with size 1 there when `keepdims` is set.

    Example:
        >>> fastnn.ops.nanpercentile(np.array([1.0, np.nan, 3.0]), 50).numpy()
        np.float32(2.0)
    """,
    100.0,
    True,
)


@keras_op
def median(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The middle element over `axis`, the mean of the two middle ones of an even number.

    Args:
        x: A tensor or array.
        axis: The axis or axes; None: all of them.
        keepdims: Whether the axes stay with size 1.

    Returns:
        A tensor without `axis`, or with size 1 there when `keepdims` is set.

    Example:
        >>> fastnn.ops.median(np.array([3.0, 1.0, 2.0])).numpy()
        np.float32(2.0)
    """
    return _quantile("median", x, 0.5, axis, "linear", keepdims, False)


@keras_op
def nanmedian(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The `median` of the elements that are not NaN; NaN where all are.

    Args:
        x: A tensor or array.
        axis: The axis or axes; None: all of them.
        keepdims: Whether the axes stay with size 1.

    Returns:
        A tensor without `axis`, or with size 1 there when `keepdims` is set.

    Example:
        >>> fastnn.ops.nanmedian(np.array([1.0, np.nan, 3.0])).numpy()
        np.float32(2.0)
    """
    return _quantile("nanmedian", x, 0.5, axis, "linear", keepdims, True)


@keras_op
def argpartition(x: TensorLike, kth: int, axis: int | None = -1) -> Tensor:
    """Positions with the kth smallest at its place, smaller ones before: the sorted order.

    Args:
        x: A tensor or array.
        kth: The place whose element is as in the sorted order.
        axis: The axis along which is partitioned; None: all elements as one row.

    Returns:
        Positions, an int32 tensor of the shape of `x`; one row of them when `axis` is None.

    Example:
        >>> fastnn.ops.argpartition(np.array([3.0, 1.0, 2.0]), 1).numpy()
        array([1, 2, 0], dtype=int32)
    """
    if axis is None:
        x, axis = reshape(x, (-1,)), -1
    n = shape(x)[place("argpartition", axis, shape(x))]
    if isinstance(n, int) and not -n <= kth < n:
        raise ValueError(f"argpartition: kth is {kth} of {n} elements\n  hint: below {n}")
    return argsort(x, axis=axis)


@keras_op
def sparsemax(x: TensorLike, axis: int = -1) -> Tensor:
    """The probabilities nearest to `x`, many of them 0 (Martins and Astudillo, 2016).

    Args:
        x: A tensor or array.
        axis: The axis whose entries sum to 1.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.ops.sparsemax(np.array([2.0, 1.0, -1.0])).numpy()
        array([1., 0., 0.], dtype=float32)
    """
    x = moveaxis(computed(x, "float32"), axis, -1)
    n = shape(x)[-1]
    down = _c.flip(sort(x, axis=-1), axis=[-1])
    total = _c.cumsum(down, axis=-1)
    rank = cast(arange(1, n + 1), "float32")
    support = cast(1.0 + rank * down > total, "float32")
    size = _c.sum(support, axis=-1, keepdims=True)
    edge = (_c.sum(support * down, axis=-1, keepdims=True) - 1.0) / size
    return moveaxis(_c.maximum(x - edge, 0.0), -1, axis)


name_ops(globals())
