"""Running sums and products, differences, and reductions that pass over NaN.

Depends on `_core`, `reduce`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn import _core
from fastnn._core import Tensor
from fastnn.base.arguments import hints_arguments
from fastnn.base.typing import DTypeLike
from fastnn.ops import reduce, rows
from fastnn.ops.convert import Axis, TensorLike, cast, computed, known_size, shape
from fastnn.ops.families import name_ops
from fastnn.ops.linalg import exact_matmul, scale_of_squares
from fastnn.ops.shapes import concatenate, moveaxis, place, reshape
from fastnn.tracing.symbolic import keras_op

__all__ = [
    "corrcoef",
    "correlate",
    "cumprod",
    "cumsum",
    "diff",
    "nanargmax",
    "nanargmin",
    "nancumprod",
    "nancumsum",
    "nanmax",
    "nanmean",
    "nanmin",
    "nanprod",
    "nanstd",
    "nansum",
    "nanvar",
    "ptp",
    "trapezoid",
]

_c = _core.ops


# ---- running ---------------------------------------------------------------------------------


@hints_arguments
def cumsum(x: TensorLike, axis: int | None = None, dtype: DTypeLike = None) -> Tensor:
    """Running sums along `axis`, of all elements in one row when None.

    Args:
        x: A tensor or array.
        axis: The axis; None: of the flat array.
        dtype: The type of the result: `"float32"`, `"int32"` or `"bool"`.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.cumsum(np.array([1.0, 2.0, 3.0])).numpy()
        array([1., 3., 6.], dtype=float32)
    """
    if dtype is not None:
        x = cast(x, dtype)
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    # The row, so that the graph of a model notes the axis: files read it by another default.
    return rows.cumsum(x, axis=axis)


@keras_op
def cumprod(x: TensorLike, axis: int | None = None, dtype: DTypeLike = None) -> Tensor:
    """Running products along `axis`, of all elements in one row when None.

    Args:
        x: A tensor or array.
        axis: The axis; None: of the flat array.
        dtype: The type of the result: `"float32"`, `"int32"` or `"bool"`.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.cumprod(np.array([1.0, 2.0, 3.0])).numpy()
        array([1., 2., 6.], dtype=float32)
    """
    x = computed(x) if dtype is None else cast(x, dtype)
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    x = cast(x, "int32") if x.dtype == "bool" else x
    at, step = place("cumprod", axis, shape(x)), 1
    n = shape(x)[at]
    if not isinstance(n, int):
        raise _core.ShapeError(
            f"cumprod: axis {axis} of shape {shape(x)} has no known size\n"
            "  hint: another axis, or an input of a fixed size"
        )
    head = (slice(None),) * at
    while step < n:  # each pass doubles how far back the products reach
        front, back = x[(*head, slice(None, step))], x[(*head, slice(step, None))]
        x = concatenate([front, back * x[(*head, slice(None, n - step))]], axis=at)
        step *= 2
    return x


@keras_op
def diff(a: TensorLike, n: int = 1, axis: int = -1) -> Tensor:
    """The n-th differences of neighbours along `axis`.

    Args:
        a: A tensor.
        n: How many times differences are taken.
        axis: The axis along which neighbours are subtracted.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.diff(np.array([1.0, 4.0, 9.0])).numpy()
        array([3., 5.], dtype=float32)
    """
    x = computed(a)
    if n < 0:
        raise ValueError(f"diff: n is {n}, wanted 0 or more\n  hint: n=1")
    head = (slice(None),) * place("diff", axis, shape(x))
    for _ in range(n):
        later, earlier = x[(*head, slice(1, None))], x[(*head, slice(None, -1))]
        x = _c.not_equal(later, earlier) if x.dtype == "bool" else later - earlier
    return x


@keras_op
def trapezoid(y: TensorLike, x: TensorLike = None, dx: float = 1.0, axis: int = -1) -> Tensor:
    """The integral of y along `axis` by trapezoids; x gives the places, else they are dx apart.

    Args:
        y: Values along `axis`.
        x: Their places; None: `dx` apart.
        dx: The distance of two places.
        axis: The axis that is integrated over.

    Returns:
        A tensor without `axis`.

    Example:
        >>> fastnn.ops.trapezoid(np.array([1.0, 2.0, 3.0])).numpy()
        np.float32(4.0)
    """
    y = moveaxis(computed(y, "float32"), axis, -1)
    if x is not None:
        x = computed(x, "float32")
        width: Any = diff(x if x.ndim == 1 else moveaxis(x, axis, -1))
    else:
        width = dx
    return _c.sum(0.5 * width * (y[..., 1:] + y[..., :-1]), axis=-1)


@keras_op
def ptp(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The largest element less the smallest, over `axis`.

    Args:
        x: A tensor or array.
        axis: The axis or axes; None: all of them.
        keepdims: Whether the axes stay with size 1.

    Returns:
        A tensor without `axis`, or with size 1 there when `keepdims` is set.

    Example:
        >>> fastnn.ops.ptp(np.array([3.0, 1.0, 7.0])).numpy()
        np.float32(6.0)
    """
    return reduce.max(x, axis, keepdims) - reduce.min(x, axis, keepdims)


@keras_op
def corrcoef(x: TensorLike) -> Tensor:
    """Pearson's correlations of the rows of a matrix.

    Args:
        x: Variables in rows (variables, samples).

    Returns:
        Correlations (variables, variables).

    Example:
        >>> fastnn.ops.corrcoef(np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])).numpy().round(4)
        array([[ 1., -1.],
               [-1.,  1.]], dtype=float32)
    """
    x = computed(x, "float32")
    x = reshape(x, (1, -1)) if x.ndim < 2 else x
    centred = x - _c.mean(x, axis=-1, keepdims=True)
    centred = centred * scale_of_squares(centred, -1)
    c = exact_matmul(centred, rows.transpose(centred, axes=[1, 0]))
    scale = _c.sqrt(_c.sum(_c.square(centred), axis=-1, keepdims=True))
    out = c / scale / rows.transpose(scale, axes=[1, 0])
    return reshape(out, ()) if out.shape == (1, 1) else out


@keras_op
def correlate(x1: TensorLike, x2: TensorLike, mode: str = "valid") -> Tensor:
    """The cross-correlation of two vectors, as `numpy.correlate`.

    Args:
        x1: A tensor or array.
        x2: A tensor or array that broadcasts with `x1`.
        mode: `"valid"`, `"same"` or `"full"`.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.correlate(np.array([1.0, 2.0, 3.0]), np.array([0.0, 1.0])).numpy()
        array([2., 3.], dtype=float32)
    """
    if mode not in ("valid", "same", "full"):
        raise ValueError(f"correlate: mode is {mode!r}\n  hint: 'valid', 'same' or 'full'")
    a, b = computed(x1), computed(x2)
    if a.ndim != 1 or b.ndim != 1:
        raise _core.ShapeError(
            f"correlate: got shapes {a.shape} and {b.shape}, wanted two vectors\n  hint: ravel(x)"
        )
    n, m = (known_size("correlate", v, 0) for v in (a, b))
    swap = n < m
    if swap:
        a, b, n, m = b, a, m, n
    wide = _c.pad(a, widths=[m - 1, m - 1], value=0.0)
    places = np.arange(n + m - 1, dtype=np.int32)[:, None] + np.arange(m, dtype=np.int32)
    out = _c.sum(_c.take(wide, places, axis=0) * b, axis=-1)
    out = _c.flip(out, axis=[0]) if swap else out
    if mode == "full":
        return out
    if mode == "valid":
        return out[m - 1 : n]
    start = (m - 1) // 2 if not swap else m // 2
    return out[start : start + n]


# ---- without NaN -----------------------------------------------------------------------------


def _filled(x: TensorLike, fill: float) -> Any:
    x = computed(x)
    return x if x.dtype != "float32" else _c.where(_c.is_nan(x), fill, x)


def _count(x: TensorLike, axis: Axis, keepdims: bool) -> Tensor:
    return _c.sum(
        1.0 - cast(_c.is_nan(cast(x, "float32")), "float32"), axis=axis, keepdims=keepdims
    )


def _passing(name: str, reduction: Callable[..., Tensor], fill: float, doc: str) -> Any:
    def reduce_(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return reduction(_filled(x, fill), axis=axis, keepdims=keepdims)

    reduce_.__name__ = reduce_.__qualname__ = name
    reduce_.__doc__ = doc
    return keras_op(reduce_)


nansum: Callable[..., Tensor] = _passing(
    "nansum",
    reduce.sum,
    0.0,
    """Sum over `axis`, NaN counting as 0.

    Args:
        x: A tensor or array.
        axis: The axis or axes; None: all of them.
        keepdims: Whether the axes stay with size 1.

    Returns:
        A tensor without `axis`, or with size 1 there when `keepdims` is set.

    Example:
        >>> fastnn.ops.nansum(np.array([1.0, np.nan, 3.0])).numpy()
        np.float32(4.0)
    """,
)
nanprod: Callable[..., Tensor] = _passing(
    "nanprod",
    reduce.prod,
    1.0,
    """Product over `axis`, NaN counting as 1.

    Args:
        x: A tensor or array.
        axis: The axis or axes; None: all of them.
        keepdims: Whether the axes stay with size 1.

    Returns:
        A tensor without `axis`, or with size 1 there when `keepdims` is set.

    Example:
        >>> fastnn.ops.nanprod(np.array([2.0, np.nan, 3.0])).numpy()
        np.float32(6.0)
    """,
)


@keras_op
def nancumsum(x: TensorLike, axis: int | None = None, dtype: DTypeLike = None) -> Tensor:
    """Running sums, NaN counting as 0.

    Args:
        x: A tensor or array.
        axis: The axis; None: of the flat array.
        dtype: The type of the result: `"float32"`, `"int32"` or `"bool"`.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.nancumsum(np.array([2.0, np.nan, 3.0])).numpy()
        array([2., 2., 5.], dtype=float32)
    """
    return cumsum(_filled(x, 0.0), axis, dtype)


@keras_op
def nancumprod(x: TensorLike, axis: int | None = None, dtype: DTypeLike = None) -> Tensor:
    """Running products, NaN counting as 1.

    Args:
        x: A tensor or array.
        axis: The axis; None: of the flat array.
        dtype: The type of the result: `"float32"`, `"int32"` or `"bool"`.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.nancumprod(np.array([2.0, np.nan, 3.0])).numpy()
        array([2., 2., 6.], dtype=float32)
    """
    return cumprod(_filled(x, 1.0), axis, dtype)


def _extreme(
    x: TensorLike, axis: Axis, keepdims: bool, which: Callable[..., Tensor], fill: float
) -> Any:
    x = computed(x)
    out = which(_filled(x, fill), axis=axis, keepdims=keepdims)
    if x.dtype != "float32":
        return out
    return _c.where(_c.equal(_count(x, axis, keepdims), 0.0), math.nan, out)


@keras_op
def nanmax(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Largest element over `axis` that is not NaN; NaN where all are.

    Args:
        x: A tensor or array.
        axis: The axis or axes; None: all of them.
        keepdims: Whether the axes stay with size 1.

    Returns:
        A tensor without `axis`, or with size 1 there when `keepdims` is set.

    Example:
        >>> fastnn.ops.nanmax(np.array([1.0, np.nan])).numpy()
        np.float32(1.0)
    """
    return _extreme(x, axis, keepdims, reduce.max, -math.inf)


@keras_op
def nanmin(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Smallest element over `axis` that is not NaN; NaN where all are.

    Args:
        x: A tensor or array.
        axis: The axis or axes; None: all of them.
        keepdims: Whether the axes stay with size 1.

    Returns:
        A tensor without `axis`, or with size 1 there when `keepdims` is set.

    Example:
        >>> fastnn.ops.nanmin(np.array([1.0, np.nan])).numpy()
        np.float32(1.0)
    """
    return _extreme(x, axis, keepdims, reduce.min, math.inf)


@keras_op
def nanmean(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Mean over `axis` of the elements that are not NaN; NaN where all are.

    Args:
        x: A tensor or array.
        axis: The axis or axes; None: all of them.
        keepdims: Whether the axes stay with size 1.

    Returns:
        A tensor without `axis`, or with size 1 there when `keepdims` is set.

    Example:
        >>> fastnn.ops.nanmean(np.array([1.0, np.nan, 3.0])).numpy()
        np.float32(2.0)
    """
    total = _c.sum(_filled(cast(x, "float32"), 0.0), axis=axis, keepdims=keepdims)
    return total / _count(x, axis, keepdims)


@keras_op
def nanvar(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Population variance over `axis` of the elements that are not NaN.

    Args:
        x: A tensor or array.
        axis: The axis or axes; None: all of them.
        keepdims: Whether the axes stay with size 1.

    Returns:
        A tensor without `axis`, or with size 1 there when `keepdims` is set.

    Example:
        >>> fastnn.ops.nanvar(np.array([1.0, np.nan, 3.0])).numpy()
        np.float32(1.0)
    """
    x = cast(x, "float32")
    centred = x - nanmean(x, axis, True)
    return nanmean(_c.square(centred), axis, keepdims)


@keras_op
def nanstd(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Population standard deviation over `axis` of the elements that are not NaN.

    Args:
        x: A tensor or array.
        axis: The axis or axes; None: all of them.
        keepdims: Whether the axes stay with size 1.

    Returns:
        A tensor without `axis`, or with size 1 there when `keepdims` is set.

    Example:
        >>> fastnn.ops.nanstd(np.array([1.0, np.nan, 3.0])).numpy()
        np.float32(1.0)
    """
    x = cast(x, "float32")
    centred = x - nanmean(x, axis, True)
    scale = scale_of_squares(_filled(centred, 0.0), axis)
    root = _c.sqrt(nanmean(_c.square(centred * scale), axis, True)) / scale
    return root if keepdims else _c.sum(root, axis=axis)


def _position(x: TensorLike, axis: int | None, keepdims: bool, which: Any, fill: float) -> Any:
    x = computed(x)
    out = which(_filled(x, fill), axis=axis, keepdims=keepdims)
    if x.dtype != "float32":
        return out
    # Where all are NaN there is no position: -1, as Keras answers.
    return _c.where(_c.equal(_count(x, axis, keepdims), 0.0), np.int32(-1), out)


@keras_op
def nanargmax(x: TensorLike, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Position of the largest element that is not NaN; -1 where all are.

    Args:
        x: A tensor or array.
        axis: The axis; None: the array laid flat.
        keepdims: Whether the axes stay with size 1.

    Returns:
        Positions, an int32 tensor.

    Example:
        >>> fastnn.ops.nanargmax(np.array([1.0, np.nan, 3.0])).numpy()
        np.int32(2)
    """
    return _position(x, axis, keepdims, reduce.argmax, -math.inf)


@keras_op
def nanargmin(x: TensorLike, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Position of the smallest element that is not NaN; -1 where all are.

    Args:
        x: A tensor or array.
        axis: The axis; None: the array laid flat.
        keepdims: Whether the axes stay with size 1.

    Returns:
        Positions, an int32 tensor.

    Example:
        >>> fastnn.ops.nanargmin(np.array([1.0, np.nan, 3.0])).numpy()
        np.int32(0)
    """
    return _position(x, axis, keepdims, reduce.argmin, math.inf)


name_ops(globals())
