"""Functions of elements that are built of rows."""

from __future__ import annotations

import numpy as np

from fastnn import _core
from fastnn._core import Tensor
from fastnn.ops import rows
from fastnn.ops.convert import TensorLike, convert_to_tensor
from fastnn.symbolic import keras_op

__all__ = [
    "abs",
    "clip",
    "divide_no_nan",
    "isclose",
    "isfinite",
    "isinf",
    "isnan",
    "nan_to_num",
    "stop_gradient",
    "true_divide",
    "where",
]

_c = _core.ops


isfinite = rows.is_finite


isnan = rows.is_nan


isinf = rows.is_inf


abs = rows.absolute


@keras_op
def stop_gradient(x: TensorLike) -> Tensor:
    """`x`, through which no gradient flows."""
    return _c.stop_gradient(x)


@keras_op
def divide_no_nan(x1: TensorLike, x2: TensorLike) -> Tensor:
    """x1 / x2, and 0 where x2 is 0."""
    x2 = convert_to_tensor(x2, "float32")
    zero = x2 == 0.0
    return _c.where(zero, 0.0, x1 / _c.where(zero, 1.0, x2))


@keras_op
def true_divide(x1: TensorLike, x2: TensorLike) -> Tensor:
    """`x1 / x2`, another name of `divide`."""
    return _c.divide(x1, x2)


@keras_op
def where(condition: TensorLike, x1: TensorLike, x2: TensorLike) -> Tensor:
    """x1 where the condition holds, else x2."""
    return _c.where(condition, x1, x2)


@keras_op
def clip(x: TensorLike, x_min: TensorLike, x_max: TensorLike) -> Tensor:
    """`x` cut to the range from x_min to x_max."""
    return _c.minimum(_c.maximum(x, x_min), x_max)


@keras_op
def isclose(
    x1: TensorLike, x2: TensorLike, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor:
    """Where |x1 - x2| <= atol + rtol |x2|, or both are the same infinity."""
    x1, x2 = convert_to_tensor(x1, "float32"), convert_to_tensor(x2, "float32")
    near = abs(x1 - x2) <= atol + rtol * abs(x2)
    found = _c.logical_or(_c.equal(x1, x2), _c.logical_and(near, isfinite(x2)))
    if not equal_nan:
        return found
    return _c.logical_or(found, _c.logical_and(isnan(x1), isnan(x2)))


@keras_op
def nan_to_num(
    x: TensorLike, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """`x` with NaN and infinities replaced, infinities by the largest floats unless told."""
    x = convert_to_tensor(x, "float32")
    largest = float(np.finfo(np.float32).max)
    high = largest if posinf is None else posinf
    low = -largest if neginf is None else neginf
    x = where(isnan(x), nan, x)
    x = where(_c.equal(x, np.inf), high, x)
    return where(_c.equal(x, -np.inf), low, x)
