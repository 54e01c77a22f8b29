"""Reductions under NumPy's names, all over `axis` (None: all axes)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fastnn import _core
from fastnn._core import Tensor
from fastnn.base.arguments import as_number
from fastnn.base.typing import DTypeLike
from fastnn.errors import ShapeError
from fastnn.ops.convert import Axis, TensorLike, cast, computed, ndim, ones_like, shape
from fastnn.ops.families import name_ops
from fastnn.ops.shapes import places, reshape
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
    """Sum over `axis`, all axes when None.

    Args:
        x: A tensor or array.
        axis: The axis or axes; None: all of them.
        keepdims: Whether the axes stay with size 1.

    Returns:
        A tensor without `axis`, or with size 1 there when `keepdims` is set.

    Example:
        >>> fastnn.ops.sum(np.array([[1.0, 2.0], [3.0, 4.0]]), axis=0).numpy()
        array([4., 6.], dtype=float32)
    """
    return _c.sum(x, axis=axis, keepdims=keepdims)


@keras_op
def mean(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Mean over `axis`, all axes when None.

    Args:
        x: A tensor or array.
        axis: The axis or axes; None: all of them.
        keepdims: Whether the axes stay with size 1.

    Returns:
        A tensor without `axis`, or with size 1 there when `keepdims` is set.

    Example:
        >>> fastnn.ops.mean(np.array([[1.0, 2.0], [3.0, 4.0]]), axis=0).numpy()
        array([2., 3.], dtype=float32)
    """
    return _c.mean(x, axis=axis, keepdims=keepdims)


@keras_op
def max(
    x: TensorLike, axis: Axis = None, keepdims: bool = False, initial: float | None = None
) -> Tensor:
    """Largest element over `axis`, at least `initial`; NaN wins.

    Args:
        x: A tensor or array.
        axis: The axis or axes; None: all of them.
        keepdims: Whether the axes stay with size 1.
        initial: A value that takes part as well.

    Returns:
        A tensor without `axis`, or with size 1 there when `keepdims` is set.

    Example:
        >>> fastnn.ops.amax(np.array([[1.0, 5.0], [2.0, 3.0]]), axis=1).numpy()
        array([5., 3.], dtype=float32)
    """
    out = _c.max(_padded(x, axis, initial), axis=axis, keepdims=keepdims)
    return out if initial is None else _c.maximum(out, cast(initial, out.dtype))


amax = max


@keras_op
def min(
    x: TensorLike, axis: Axis = None, keepdims: bool = False, initial: float | None = None
) -> Tensor:
    """Smallest element over `axis`, at most `initial`; NaN wins.

    Args:
        x: A tensor or array.
        axis: The axis or axes; None: all of them.
        keepdims: Whether the axes stay with size 1.
        initial: A value that takes part as well.

    Returns:
        A tensor without `axis`, or with size 1 there when `keepdims` is set.

    Example:
        >>> fastnn.ops.amin(np.array([[1.0, 5.0], [2.0, 3.0]]), axis=1).numpy()
        array([1., 2.], dtype=float32)
    """
    out = _c.min(_padded(x, axis, initial), axis=axis, keepdims=keepdims)
    return out if initial is None else _c.minimum(out, cast(initial, out.dtype))


def _padded(x: TensorLike, axis: Axis, initial: float | None) -> TensorLike:
    """`x`, with one more slice of `initial` where it has none along `axis`."""
    if initial is None or 0 not in shape(x):
        return x
    x = computed(x)
    wide = [0] * (2 * ndim(x))
    for a in places("max or min", axis, shape(x)):
        wide[2 * a] = 1 if x.shape[a] == 0 else 0
    return _c.pad(x, widths=wide, value=float(initial))


amin = min


@keras_op
def prod(
    x: TensorLike, axis: Axis = None, keepdims: bool = False, dtype: DTypeLike = None
) -> Tensor:
    """Product over `axis`, all axes when None; whole numbers stay whole.

    Args:
        x: A tensor or array.
        axis: The axis or axes; None: all of them.
        keepdims: Whether the axes stay with size 1.
        dtype: The type of the result: `"float32"`, `"int32"` or `"bool"`.

    Returns:
        A tensor without `axis`, or with size 1 there when `keepdims` is set.

    Example:
        >>> fastnn.ops.prod(np.array([2, 3, 4])).numpy()
        np.int32(24)
    """
    x = computed(x if dtype is None else cast(x, dtype))
    if x.dtype == "float32":
        return _c.prod(x, axis=axis, keepdims=keepdims)
    x = cast(x, "int32")
    gone = places("prod", axis, shape(x))
    for a in gone:
        x = _halved(x, a)
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
    """True where every element over `axis` is true.

    Args:
        x: A tensor or array.
        axis: The axis or axes; None: all of them.
        keepdims: Whether the axes stay with size 1.

    Returns:
        A tensor without `axis`, or with size 1 there when `keepdims` is set.

    Example:
        >>> fastnn.ops.all(np.array([True, False])).numpy()
        np.False_
    """
    return _c.all(x, axis=axis, keepdims=keepdims)


@keras_op
def any(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """True where some element over `axis` is true.

    Args:
        x: A tensor or array.
        axis: The axis or axes; None: all of them.
        keepdims: Whether the axes stay with size 1.

    Returns:
        A tensor without `axis`, or with size 1 there when `keepdims` is set.

    Example:
        >>> fastnn.ops.any(np.array([True, False])).numpy()
        np.True_
    """
    return _c.any(x, axis=axis, keepdims=keepdims)


@keras_op
def std(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Population standard deviation over `axis`.

    Args:
        x: A tensor or array.
        axis: The axis or axes; None: all of them.
        keepdims: Whether the axes stay with size 1.

    Returns:
        A tensor without `axis`, or with size 1 there when `keepdims` is set.

    Example:
        >>> fastnn.ops.std(np.array([1.0, 3.0])).numpy()
        np.float32(1.0)
    """
    return _c.std(x, axis=axis, keepdims=keepdims)


@keras_op
def var(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Population variance over `axis`.

    Args:
        x: A tensor or array.
        axis: The axis or axes; None: all of them.
        keepdims: Whether the axes stay with size 1.

    Returns:
        A tensor without `axis`, or with size 1 there when `keepdims` is set.

    Example:
        >>> fastnn.ops.var(np.array([1.0, 3.0])).numpy()
        np.float32(1.0)
    """
    return _c.variance(x, axis=axis, keepdims=keepdims)


@keras_op
def logsumexp(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """log(sum(exp(x))) over `axis`, without overflow.

    Args:
        x: A tensor or array.
        axis: The axis or axes; None: all of them.
        keepdims: Whether the axes stay with size 1.

    Returns:
        A tensor without `axis`, or with size 1 there when `keepdims` is set.

    Example:
        >>> fastnn.ops.logsumexp(np.array([0.0, 0.0])).numpy().round(4)
        np.float32(0.6931)
    """
    return _c.logsumexp(x, axis=axis, keepdims=keepdims)


@keras_op
def argmax(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Position of the largest element along `axis`, flat when None.

    Args:
        x: A tensor or array.
        axis: The axis; None: of the flat array.
        keepdims: Whether the axes stay with size 1.

    Returns:
        Positions, an int32 tensor.

    Example:
        >>> fastnn.ops.argmax(np.array([[1.0, 5.0], [2.0, 0.0]]), axis=1).numpy()
        array([1, 0], dtype=int32)
    """
    return _c.argmax(_told_apart(x, axis, _c.max), axis=axis, keepdims=keepdims)


@keras_op
def argmin(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Position of the smallest element along `axis`, flat when None.

    Args:
        x: A tensor or array.
        axis: The axis; None: of the flat array.
        keepdims: Whether the axes stay with size 1.

    Returns:
        Positions, an int32 tensor.

    Example:
        >>> fastnn.ops.argmin(np.array([[1.0, 5.0], [2.0, 0.0]]), axis=1).numpy()
        array([0, 1], dtype=int32)
    """
    return _c.argmin(_told_apart(x, axis, _c.min), axis=axis, keepdims=keepdims)


def _told_apart(x: TensorLike, axis: Axis, extreme: Callable[..., Tensor]) -> Tensor:
    """`x`; of whole numbers where the extreme is: the row compares in float32, which blurs them."""
    x = computed(x)
    if x.dtype != "int32" or 0 in x.shape:
        return x
    there = x == extreme(x, axis=axis, keepdims=True)
    return _c.cast(there, dtype="int32") if extreme is _c.max else _c.where(there, -1, 0)


@keras_op
def moments(
    x: TensorLike, axes: Axis, keepdims: bool = False, synchronized: bool = False
) -> tuple[Tensor, Tensor]:
    """Mean and population variance over `axes`.

    Args:
        x: A tensor or array.
        axes: The axes that are taken together.
        keepdims: Whether the axes stay with size 1.
        synchronized: Accepted for Keras's sake.

    Returns:
        Mean and variance.

    Example:
        >>> [part.numpy() for part in fastnn.ops.moments(np.array([1.0, 3.0]), axes=0)]
        [np.float32(2.0), np.float32(1.0)]
    """
    return mean(x, axis=axes, keepdims=keepdims), var(x, axis=axes, keepdims=keepdims)


@keras_op
def count_nonzero(x: TensorLike, axis: Axis = None) -> Tensor:
    """Number of elements that are not zero.

    Args:
        x: A tensor or array.
        axis: The axis or axes; None: all of them.

    Returns:
        Counts, an int32 tensor.

    Example:
        >>> int(fastnn.ops.count_nonzero(np.array([0, 1, 2])))
        2
    """
    return sum(cast(x, "bool").astype("int32"), axis=axis)


@keras_op
def average(
    x: TensorLike, axis: int | Sequence[int] | None = None, weights: TensorLike = None
) -> Tensor:
    """The mean, or the mean by weights of the shape of `x` or of its one `axis`.

    Args:
        x: A tensor or array.
        axis: The axis or axes; None: all of them.
        weights: Weights of the shape of `x` or of its one `axis`; None: all alike.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.average(np.array([1.0, 4.0]), weights=np.array([3.0, 1.0])).numpy()
        np.float32(1.75)
    """
    x = computed(x, "float32")
    if weights is None:
        return mean(x, axis=axis)
    weights = computed(weights, "float32")
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


name_ops(globals())
