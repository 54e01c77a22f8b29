"""`tf.math`'s functions that `ops` has not, or has with other arguments. Depends on `ops`."""

from __future__ import annotations

import math
from typing import Any

from fastnn import ops
from fastnn._core import Tensor
from fastnn.base.typing import Axis, DTypeLike, TensorLike
from fastnn.errors import DataError
from fastnn.tensorflow.segments import (
    segment_max as segment_max,
    segment_mean as segment_mean,
    segment_min as segment_min,
    segment_prod as segment_prod,
    segment_sum as segment_sum,
    unsorted_segment_max as unsorted_segment_max,
    unsorted_segment_mean as unsorted_segment_mean,
    unsorted_segment_min as unsorted_segment_min,
    unsorted_segment_prod as unsorted_segment_prod,
    unsorted_segment_sqrt_n as unsorted_segment_sqrt_n,
    unsorted_segment_sum as unsorted_segment_sum,
)
from fastnn.tracing.own_gradients import custom_gradient

__all__ = [
    "bincount", "confusion_matrix", "count_nonzero", "cumulative_logsumexp", "digamma",
    "divide_no_nan", "erfcinv", "is_non_decreasing", "is_strictly_increasing", "lbeta", "lgamma",
    "multiply_no_nan", "ndtri", "polyval", "reciprocal_no_nan", "segment_max", "segment_mean",
    "segment_min", "segment_prod", "segment_sum", "softmax", "squared_difference",
    "unsorted_segment_max", "unsorted_segment_mean", "unsorted_segment_min",
    "unsorted_segment_prod", "unsorted_segment_sqrt_n", "unsorted_segment_sum", "xdivy", "xlog1py",
    "xlogy", "zero_fraction",
]  # fmt: skip


def squared_difference(x: TensorLike, y: TensorLike, name: str | None = None) -> Tensor:
    """(x - y)²."""
    return ops.square(ops.subtract(x, y))


def divide_no_nan(x: TensorLike, y: TensorLike, name: str | None = None) -> Tensor:
    """X / y, and 0 where y is 0."""
    return ops.divide_no_nan(x, y)


def _or_zero(at: Any, x: TensorLike, y: TensorLike) -> Tensor:
    return ops.where(ops.equal(at, 0.0), ops.zeros_like(x * y), x * y)


def multiply_no_nan(x: TensorLike, y: TensorLike, name: str | None = None) -> Tensor:
    """X y, and 0 where y is 0."""
    a, b = ops.convert_to_tensor(x, "float32"), ops.convert_to_tensor(y, "float32")
    return _or_zero(b, a, b)


def reciprocal_no_nan(x: TensorLike, name: str | None = None) -> Tensor:
    """1 / x, and 0 where x is 0."""
    return ops.divide_no_nan(1.0, x)


def _of_log(x: TensorLike, y: TensorLike, log: Any) -> Tensor:
    a, b = ops.convert_to_tensor(x, "float32"), ops.convert_to_tensor(y, "float32")
    none = ops.equal(a, 0.0)
    return ops.where(none, ops.zeros_like(a * b), a * log(ops.where(none, ops.ones_like(b), b)))


def xlogy(x: TensorLike, y: TensorLike, name: str | None = None) -> Tensor:
    """X log(y), and 0 where x is 0."""
    return _of_log(x, y, ops.log)


def xlog1py(x: TensorLike, y: TensorLike, name: str | None = None) -> Tensor:
    """X log(1 + y), and 0 where x is 0."""
    return _of_log(x, y, ops.log1p)


def xdivy(x: TensorLike, y: TensorLike, name: str | None = None) -> Tensor:
    """X / y, and 0 where x is 0."""
    return _of_log(x, y, ops.reciprocal)


def polyval(coeffs: Any, x: TensorLike, name: str | None = None) -> Tensor:
    """A polynomial whose first coefficient is that of the highest power."""
    if not coeffs:
        raise DataError("tf.math.polyval: there are no coefficients\n  hint: [3.0, 2.0, 1.0]")
    value = ops.convert_to_tensor(x, "float32")
    total: Any = ops.zeros_like(value)
    for c in coeffs:
        total = total * value + c
    found: Tensor = total
    return found


def cumulative_logsumexp(x: TensorLike, axis: int = 0, name: str | None = None) -> Tensor:
    """Log of the running sums of exp(x) along an axis."""
    value = ops.convert_to_tensor(x, "float32")
    top = ops.max(value, axis=axis, keepdims=True)
    return ops.log(ops.cumsum(ops.exp(value - top), axis=axis)) + top


#: (-1)^k (zeta(k) - 1) / k from k = 2 on: the series of log(gamma(2 + y)) after its first term.
_NEAR_TWO = (
    0.3224670334, -0.06735230105, 0.02058080843, -0.007385551029, 0.002890510330, -0.001192753912,
    0.0005096695248, -0.0002231547585, 0.00009945751278, -0.00004492623674, 0.00002050721277,
)  # fmt: skip
_EULER = 0.5772156649015329


def _floats(x: TensorLike) -> Any:
    return ops.convert_to_tensor(x, "float32")


def _past_whole(x: TensorLike) -> tuple[Any, Any]:
    """The distance of x from the whole number below it, and from the nearest one."""
    past = x - ops.floor(x)
    return past, ops.minimum(past, 1.0 - past)


def _log_gamma(x: TensorLike) -> Any:
    left = x < 0.5
    a = ops.where(left, 1.0 - x, x)  # log(gamma(x)) = log(pi / |sin(pi x)|) - log(gamma(1 - x))
    low = a < 1.5
    y = ops.where(low, a - 1.0, a - 2.0)
    series = ops.zeros_like(y)
    for c in reversed(_NEAR_TWO):
        series = (series + c) * y
    near = (1.0 - _EULER + series) * y - ops.where(low, ops.log(a), 0.0)
    moved = a < 8.0
    z = ops.where(moved, a + 6.0, a)
    product = a * (a + 1.0) * (a + 2.0) * (a + 3.0) * (a + 4.0) * (a + 5.0)
    r = 1.0 / z
    rest = r * (1.0 / 12.0 - r * r * (1.0 / 360.0 - r * r / 1260.0))
    far = (z - 0.5) * ops.log(z) - z + 0.5 * math.log(2.0 * math.pi) + rest
    far = far - ops.log(ops.where(moved, product, 1.0))
    far = ops.where(ops.isinf(a), a, far)
    right = ops.where(a < 2.5, near, far)
    mirrored = math.log(math.pi) - ops.log(ops.sin(math.pi * _past_whole(x)[1])) - right
    return ops.where(left, mirrored, right)


@custom_gradient
def _lgamma(x: TensorLike) -> Any:
    return _log_gamma(x), lambda upstream: upstream * digamma(x)


def lgamma(x: TensorLike, name: str | None = None) -> Tensor:
    """The logarithm of the absolute value of the gamma function."""
    found: Tensor = _lgamma(_floats(x))
    return found


def digamma(x: TensorLike, name: str | None = None) -> Tensor:
    """The derivative of `lgamma`; NaN at 0 and at negative whole numbers."""
    x = _floats(x)
    left = x < 0.5
    a = ops.where(left, 1.0 - x, x)  # digamma(x) = digamma(1 - x) - pi / tan(pi x)
    z = a + 6.0
    r = 1.0 / (z * z)
    found = ops.log(z) - 0.5 / z - r * (1 / 12 - r * (1 / 120 - r * (1 / 252 - r / 240)))
    for k in range(6):
        found = found - 1.0 / (a + float(k))
    past, distance = _past_whole(x)
    pole = ops.logical_and(left, ops.equal(distance, 0.0))
    angle = math.pi * ops.where(left, ops.where(pole, 0.25, distance), 0.25)
    turned = math.pi * ops.cos(angle) / ops.sin(angle)
    mirrored = found - ops.where(past > 0.5, -turned, turned)
    return ops.where(pole, math.nan, ops.where(left, mirrored, found))


def lbeta(x: TensorLike, name: str | None = None) -> Tensor:
    """The logarithm of the beta function of the numbers along the last axis."""
    x = _floats(x)
    return ops.sum(lgamma(x), axis=-1) - lgamma(ops.sum(x, axis=-1))


def ndtri(x: TensorLike, name: str | None = None) -> Tensor:
    """The quantile of the standard normal distribution."""
    return math.sqrt(2.0) * ops.erfinv(2.0 * _floats(x) - 1.0)


def erfcinv(x: TensorLike, name: str | None = None) -> Tensor:
    """The number whose complementary error function is x."""
    return ops.erfinv(1.0 - _floats(x))


def softmax(logits: TensorLike, axis: int | None = None, name: str | None = None) -> Tensor:
    """exp(x) over its sum along an axis, the last one unless told."""
    return ops.softmax(logits, axis=-1 if axis is None else axis)


def count_nonzero(
    input: TensorLike, axis: Axis = None, keepdims: bool = False, dtype: DTypeLike = None,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """How many elements are not 0."""
    return ops.sum(ops.cast(ops.not_equal(input, 0), "int32"), axis=axis, keepdims=keepdims)


def zero_fraction(value: TensorLike, name: str | None = None) -> Tensor:
    """The share of elements that are 0."""
    return ops.mean(ops.cast(ops.equal(value, 0.0), "float32"))


def bincount(
    arr: TensorLike,
    weights: Any = None,
    minlength: Any = None,
    maxlength: Any = None,
    dtype: DTypeLike = None,
    name: str | None = None,
    axis: Axis = None,
    binary_output: bool = False,
) -> Tensor:
    """How often each whole number from 0 is there, or the sums of its weights."""
    if axis is not None or binary_output:
        raise DataError(
            "tf.math.bincount: axis and binary_output are not supported\n  hint: map_fn"
        )
    found = ops.bincount(ops.reshape(arr, (-1,)), weights, minlength or 0)
    return found if maxlength is None else found[:maxlength]


def confusion_matrix(
    labels: TensorLike, predictions: TensorLike, num_classes: int | None = None,
    weights: Any = None, dtype: DTypeLike = "int32", name: str | None = None,
) -> Tensor:  # fmt: skip
    """How often each label (row) was taken for each class (column)."""
    true, told = ops.cast(labels, "int32"), ops.cast(predictions, "int32")
    count = num_classes
    if count is None:
        count = int(ops.maximum(ops.max(true), ops.max(told))) + 1
    elif not true.is_traced and bool(ops.any(ops.maximum(true, told) >= count)):
        raise DataError(
            f"tf.math.confusion_matrix: a class is outside 0 to {count - 1}\n  hint: num_classes"
        )
    rows, columns = ops.one_hot(true, count), ops.one_hot(told, count)
    if weights is not None:
        rows = rows * ops.expand_dims(ops.cast(weights, "float32"), axis=-1)
    return ops.cast(ops.matmul(ops.transpose(rows), columns), dtype)


def is_non_decreasing(x: TensorLike, name: str | None = None) -> Tensor:
    """Whether each element is at least the one before."""
    flat = ops.reshape(x, (-1,))
    return ops.all(flat[1:] >= flat[:-1])


def is_strictly_increasing(x: TensorLike, name: str | None = None) -> Tensor:
    """Whether each element is above the one before."""
    flat = ops.reshape(x, (-1,))
    return ops.all(flat[1:] > flat[:-1])
