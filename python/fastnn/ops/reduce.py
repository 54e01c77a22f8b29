"""Reductions under NumPy's names, all over `axis` (None: all axes)."""

from __future__ import annotations

from collections.abc import Sequence

from fastnn import _core
from fastnn._core import Tensor
from fastnn.base.arguments import as_number
from fastnn.errors import ShapeError
from fastnn.ops.convert import Axis, TensorLike, cast, convert_to_tensor, ndim, ones_like, shape
from fastnn.ops.shapes import reshape
from fastnn.tracing.symbolic import keras_op

__all__ = [
    "all",
    "amax",
    "amin",
    "any",
    "argmax",
    "argmin",
    "average",
    "count_nonzero",
    "logsumexp",
    "max",
    "mean",
    "min",
    "moments",
    "prod",
    "std",
    "sum",
    "var",
]

_c = _core.ops


@keras_op
def sum(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Sum over `axis`, all axes when None."""
    return _c.sum(x, axis=axis, keepdims=keepdims)


@keras_op
def mean(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Mean over `axis`, all axes when None."""
    return _c.mean(x, axis=axis, keepdims=keepdims)


@keras_op
def max(
    x: TensorLike, axis: Axis = None, keepdims: bool = False, initial: float | None = None
) -> Tensor:
    """Largest element over `axis`, at least `initial`; NaN wins."""
    out = _c.max(_padded(x, axis, initial), axis=axis, keepdims=keepdims)
    return out if initial is None else _c.maximum(out, cast(initial, out.dtype))


amax = max


@keras_op
def min(
    x: TensorLike, axis: Axis = None, keepdims: bool = False, initial: float | None = None
) -> Tensor:
    """Smallest element over `axis`, at most `initial`; NaN wins."""
    out = _c.min(_padded(x, axis, initial), axis=axis, keepdims=keepdims)
    return out if initial is None else _c.minimum(out, cast(initial, out.dtype))


def _padded(x: TensorLike, axis: Axis, initial: float | None) -> TensorLike:
    """`x`, with one more slice of `initial` where it has none along `axis`."""
    if initial is None or 0 not in shape(x):
        return x
    x = convert_to_tensor(x)
    over = range(ndim(x)) if axis is None else [axis] if isinstance(axis, int) else axis
    wide = [0] * (2 * ndim(x))
    for a in over:
        wide[2 * (a % ndim(x))] = 1 if x.shape[a] == 0 else 0
    return _c.pad(x, widths=wide, value=float(initial))


amin = min


@keras_op
def prod(
    x: TensorLike, axis: Axis = None, keepdims: bool = False, dtype: str | None = None
) -> Tensor:
    """Product over `axis`, all axes when None; whole numbers stay whole."""
    x = convert_to_tensor(x) if dtype is None else cast(x, dtype)
    if x.dtype == "float32":
        return _c.prod(x, axis=axis, keepdims=keepdims)
    x = cast(x, "int32")
    over = range(ndim(x)) if axis is None else [axis] if isinstance(axis, int) else axis
    for a in (a % ndim(x) for a in over):
        x = _halved(x, a)
    gone = [a % ndim(x) for a in over]
    return x if keepdims or not gone else _c.squeeze(x, axis=gone)


def _halved(x: Tensor, axis: int) -> Tensor:
    """The product along an axis in whole numbers, which stays as an axis of size 1."""
    head = (slice(None),) * axis
    n = x.shape[axis]
    if n is None:
        raise ShapeError(
            f"prod: whole numbers along the open axis {axis}\n  hint: ops.cast(x, 'float32')"
        )
    if n == 0:
        sizes = [1 if i == axis else d for i, d in enumerate(x.shape)]
        return _c.broadcast_to(_core.tensor(1, dtype="int32"), shape=sizes)
    while n > 1:
        half = n // 2
        product = x[(*head, slice(0, half))] * x[(*head, slice(half, 2 * half))]
        rest = x[(*head, slice(2 * half, n))]
        x = product if n % 2 == 0 else _c.concatenate(product, rest, axis=axis)
        n -= half
    return x


@keras_op
def all(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """True where every element over `axis` is true."""
    return _c.all(x, axis=axis, keepdims=keepdims)


@keras_op
def any(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """True where some element over `axis` is true."""
    return _c.any(x, axis=axis, keepdims=keepdims)


@keras_op
def std(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Population standard deviation over `axis`."""
    return _c.std(x, axis=axis, keepdims=keepdims)


@keras_op
def var(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Population variance over `axis`."""
    return _c.variance(x, axis=axis, keepdims=keepdims)


@keras_op
def logsumexp(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """log(sum(exp(x))) over `axis`, without overflow."""
    return _c.logsumexp(x, axis=axis, keepdims=keepdims)


@keras_op
def argmax(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Position of the largest element along `axis`, flat when None."""
    return _c.argmax(x, axis=axis, keepdims=keepdims)


@keras_op
def argmin(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Position of the smallest element along `axis`, flat when None."""
    return _c.argmin(x, axis=axis, keepdims=keepdims)


@keras_op
def moments(
    x: TensorLike, axes: Axis, keepdims: bool = False, synchronized: bool = False
) -> tuple[Tensor, Tensor]:
    """Mean and population variance over `axes`."""
    return mean(x, axis=axes, keepdims=keepdims), var(x, axis=axes, keepdims=keepdims)


@keras_op
def count_nonzero(x: TensorLike, axis: Axis = None) -> Tensor:
    """Number of elements that are not zero."""
    return sum(cast(x, "bool").astype("int32"), axis=axis)


@keras_op
def average(
    x: TensorLike, axis: int | Sequence[int] | None = None, weights: TensorLike = None
) -> Tensor:
    """The mean, or the mean by weights of the shape of `x` or of its one `axis`."""
    x = convert_to_tensor(x, "float32")
    if weights is None:
        return mean(x, axis=axis)
    weights = convert_to_tensor(weights, "float32")
    if ndim(weights) == 1 and ndim(x) > 1:
        axis = as_number(axis)
        if not isinstance(axis, int):
            raise ShapeError(
                f"average: weights of shape {weights.shape} need one axis, got axis={axis!r}\n"
                "  hint: axis=-1, or weights of the shape of x"
            )
        shape = [1] * ndim(x)
        shape[axis] = weights.shape[0]
        weights = reshape(weights, shape)
    weights = weights * ones_like(x)
    return sum(x * weights, axis=axis) / sum(weights, axis=axis)
