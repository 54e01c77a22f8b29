"""`tf.math`'s functions that `ops` has not, or has with other arguments. Depends on `ops`."""

from __future__ import annotations

from typing import Any

from fastnn import ops
from fastnn._core import Tensor
from fastnn.base.typing import Axis, TensorLike
from fastnn.errors import DataError

__all__ = [
    "bincount", "confusion_matrix", "count_nonzero", "cumulative_logsumexp", "divide_no_nan",
    "is_non_decreasing", "is_strictly_increasing", "multiply_no_nan", "polyval",
    "reciprocal_no_nan", "softmax", "squared_difference", "xdivy", "xlog1py", "xlogy",
    "zero_fraction",
]  # fmt: skip


def squared_difference(x: TensorLike, y: TensorLike, name: Any = None) -> Tensor:
    """(x - y)²."""
    return ops.square(ops.subtract(x, y))


def divide_no_nan(x: TensorLike, y: TensorLike, name: Any = None) -> Tensor:
    """X / y, and 0 where y is 0."""
    return ops.divide_no_nan(x, y)


def _or_zero(at: Any, x: Any, y: Any) -> Tensor:
    return ops.where(ops.equal(at, 0.0), ops.zeros_like(x * y), x * y)


def multiply_no_nan(x: TensorLike, y: TensorLike, name: Any = None) -> Tensor:
    """X y, and 0 where y is 0."""
    a, b = ops.convert_to_tensor(x, "float32"), ops.convert_to_tensor(y, "float32")
    return _or_zero(b, a, b)


def reciprocal_no_nan(x: TensorLike, name: Any = None) -> Tensor:
    """1 / x, and 0 where x is 0."""
    return ops.divide_no_nan(1.0, x)


def _of_log(x: TensorLike, y: TensorLike, log: Any) -> Tensor:
    a, b = ops.convert_to_tensor(x, "float32"), ops.convert_to_tensor(y, "float32")
    none = ops.equal(a, 0.0)
    return ops.where(none, ops.zeros_like(a * b), a * log(ops.where(none, ops.ones_like(b), b)))


def xlogy(x: TensorLike, y: TensorLike, name: Any = None) -> Tensor:
    """X log(y), and 0 where x is 0."""
    return _of_log(x, y, ops.log)


def xlog1py(x: TensorLike, y: TensorLike, name: Any = None) -> Tensor:
    """X log(1 + y), and 0 where x is 0."""
    return _of_log(x, y, ops.log1p)


def xdivy(x: TensorLike, y: TensorLike, name: Any = None) -> Tensor:
    """X / y, and 0 where x is 0."""
    return _of_log(x, y, ops.reciprocal)


def polyval(coeffs: Any, x: TensorLike, name: Any = None) -> Tensor:
    """A polynomial whose first coefficient is that of the highest power."""
    if not coeffs:
        raise DataError("tf.math.polyval: there are no coefficients\n  hint: [3.0, 2.0, 1.0]")
    value = ops.convert_to_tensor(x, "float32")
    total: Any = ops.zeros_like(value)
    for c in coeffs:
        total = total * value + c
    found: Tensor = total
    return found


def cumulative_logsumexp(x: TensorLike, axis: int = 0, name: Any = None) -> Tensor:
    """Log of the running sums of exp(x) along an axis."""
    value = ops.convert_to_tensor(x, "float32")
    top = ops.max(value, axis=axis, keepdims=True)
    return ops.log(ops.cumsum(ops.exp(value - top), axis=axis)) + top


def softmax(logits: TensorLike, axis: int | None = None, name: Any = None) -> Tensor:
    """exp(x) over its sum along an axis, the last one unless told."""
    return ops.softmax(logits, axis=-1 if axis is None else axis)


def count_nonzero(
    input: TensorLike, axis: Axis = None, keepdims: bool = False, dtype: Any = None,
    name: Any = None,
) -> Tensor:  # fmt: skip
    """How many elements are not 0."""
    return ops.sum(ops.cast(ops.not_equal(input, 0), "int32"), axis=axis, keepdims=keepdims)


def zero_fraction(value: TensorLike, name: Any = None) -> Tensor:
    """The share of elements that are 0."""
    return ops.mean(ops.cast(ops.equal(value, 0.0), "float32"))


def bincount(
    arr: TensorLike, weights: Any = None, minlength: Any = None, maxlength: Any = None,
    dtype: Any = None, name: Any = None, axis: Any = None, binary_output: bool = False,
) -> Tensor:  # fmt: skip
    """How often each whole number from 0 is there, or the sums of its weights."""
    if axis is not None or binary_output:
        raise DataError(
            "tf.math.bincount: axis and binary_output are not supported\n  hint: map_fn"
        )
    found = ops.bincount(ops.reshape(arr, (-1,)), weights, minlength or 0)
    return found if maxlength is None else found[:maxlength]


def confusion_matrix(
    labels: TensorLike, predictions: TensorLike, num_classes: int | None = None,
    weights: Any = None, dtype: Any = "int32", name: Any = None,
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


def is_non_decreasing(x: TensorLike, name: Any = None) -> Tensor:
    """Whether each element is at least the one before."""
    flat = ops.reshape(x, (-1,))
    return ops.all(flat[1:] >= flat[:-1])


def is_strictly_increasing(x: TensorLike, name: Any = None) -> Tensor:
    """Whether each element is above the one before."""
    flat = ops.reshape(x, (-1,))
    return ops.all(flat[1:] > flat[:-1])
