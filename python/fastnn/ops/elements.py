"""Functions of elements that are built of rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, overload

import numpy as np

from fastnn import _core
from fastnn._core import Tensor
from fastnn.base.finder import answer_earlier
from fastnn.base.typing import DTypeLike
from fastnn.config import dtype_name, stored_dtype
from fastnn.ops import host, rows
from fastnn.ops.convert import TensorLike, cast, computed, promoted
from fastnn.ops.families import name_ops
from fastnn.tracing.rounding import rounded
from fastnn.tracing.symbolic import keras_op

__all__ = [
    "abs",
    "allclose",
    "angle",
    "array_equal",
    "clip",
    "conj",
    "conjugate",
    "divide_no_nan",
    "fabs",
    "fmax",
    "fmin",
    "fmod",
    "heaviside",
    "imag",
    "isclose",
    "isfinite",
    "isinf",
    "isnan",
    "isneginf",
    "isposinf",
    "isreal",
    "nan_to_num",
    "real",
    "round",
    "saturate_cast",
    "signbit",
    "stop_gradient",
    "true_divide",
    "where",
]

_c = _core.ops
answer_earlier(globals())


isfinite: Callable[..., Tensor] = rows.is_finite


isnan: Callable[..., Tensor] = rows.is_nan


isinf: Callable[..., Tensor] = rows.is_inf


abs: Callable[..., Tensor] = rows.absolute


@keras_op
def stop_gradient(variable: TensorLike) -> Tensor:
    """`variable`, through which no gradient flows.

    Args:
        variable: A tensor or array.

    Returns:
        A tensor of its shape.

    Example:
        >>> float(fastnn.grad(lambda x: x * fastnn.ops.stop_gradient(x))(3.0))
        3.0
    """
    return _c.stop_gradient(variable)


@keras_op
def divide_no_nan(x1: TensorLike, x2: TensorLike) -> Tensor:
    """x1 / x2, and 0 where x2 is 0.

    Args:
        x1: A tensor or array.
        x2: A tensor or array that broadcasts with `x1`.

    Returns:
        A tensor of the common shape.

    Example:
        >>> fastnn.ops.divide_no_nan(np.array([1.0, 1.0]), np.array([2.0, 0.0])).numpy()
        array([0.5, 0. ], dtype=float32)
    """
    x2 = computed(x2, "float32")
    zero = x2 == 0.0
    return _c.where(zero, 0.0, _c.divide(x1, _c.where(zero, 1.0, x2)))


@keras_op
def true_divide(x1: TensorLike, x2: TensorLike) -> Tensor:
    """`x1 / x2`, another name of `divide`.

    Args:
        x1: A tensor or array.
        x2: A tensor or array that broadcasts with `x1`.

    Returns:
        A tensor of the common shape.

    Example:
        >>> fastnn.ops.true_divide(np.array([1.0]), np.array([2.0])).numpy()
        array([0.5], dtype=float32)
    """
    return _c.divide(x1, x2)


@keras_op
def clip(x: TensorLike, x_min: TensorLike, x_max: TensorLike) -> Tensor:
    """`x` cut to the range from x_min to x_max.

    Args:
        x: A tensor or array.
        x_min: The lower end.
        x_max: The upper end.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.clip(np.array([-1.0, 0.5, 9.0]), 0.0, 1.0).numpy()
        array([0. , 0.5, 1. ], dtype=float32)
    """
    return _c.minimum(_c.maximum(x, x_min), x_max)


@keras_op
def isclose(
    x1: TensorLike, x2: TensorLike, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor:
    """Where |x1 - x2| <= atol + rtol |x2|, or both are the same infinity.

    Args:
        x1: A tensor or array.
        x2: A tensor or array that broadcasts with `x1`.
        rtol: The difference that is allowed, as a share of `x2`.
        atol: The difference that is allowed besides.
        equal_nan: Whether NaN equals NaN.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.isclose(np.array([1.0, 2.0]), np.array([1.0, 2.1])).numpy()
        array([ True, False])
    """
    x1, x2 = computed(x1, "float32"), computed(x2, "float32")
    near = abs(x1 - x2) <= atol + rtol * abs(x2)
    found = _c.logical_or(_c.equal(x1, x2), _c.logical_and(near, isfinite(x2)))
    if not equal_nan:
        return found
    return _c.logical_or(found, _c.logical_and(isnan(x1), isnan(x2)))


@keras_op
def nan_to_num(
    x: TensorLike, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """`x` with NaN and infinities replaced, infinities by the largest floats unless told.

    Args:
        x: A tensor or array.
        nan: What takes the place of NaN.
        posinf: What takes the place of infinity; None: the largest float.
        neginf: What takes the place of minus infinity; None: the lowest float.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.nan_to_num(np.array([np.nan, 1.0])).numpy()
        array([0., 1.], dtype=float32)
    """
    x = computed(x)
    if x.dtype != "float32":
        return x
    largest = float(np.finfo(np.float32).max)
    high = largest if posinf is None else posinf
    low = -largest if neginf is None else neginf
    x = where(isnan(x), nan, x)
    x = where(_c.equal(x, np.inf), high, x)
    return where(_c.equal(x, -np.inf), low, x)


@overload
def where(condition: TensorLike) -> tuple[Any, ...]: ...
@overload
def where(condition: TensorLike, x1: TensorLike, x2: TensorLike) -> Tensor: ...
@keras_op
def where(condition: TensorLike, x1: TensorLike = None, x2: TensorLike = None) -> Any:
    """x1 where the condition holds, else x2; without them the positions where it holds.

    Args:
        condition: A bool tensor.
        x1: Values where it holds.
        x2: Values elsewhere.

    Returns:
        A tensor, or without values a tuple of positions.

    Example:
        >>> fastnn.ops.where(np.array([True, False]), 1.0, 2.0).numpy()
        array([1., 2.], dtype=float32)
    """
    if x1 is None and x2 is None:
        return host.nonzero(condition)
    if x1 is None or x2 is None:
        raise TypeError("where got x1 or x2 alone\n  hint: where(condition, x1, x2)")
    return _c.where(cast(condition, "bool"), *promoted(x1, x2))


@keras_op
def round(x: TensorLike, decimals: int = 0) -> Tensor:
    """The nearest number with so many decimals, halves to even.

    Args:
        x: A tensor or array.
        decimals: How many decimals.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.round(np.array([1.24, 2.5]), 1).numpy()
        array([1.2, 2.5], dtype=float32)
    """
    found: Tensor = rounded(computed(x), decimals)
    return found


@keras_op
def allclose(
    x1: TensorLike, x2: TensorLike, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor:
    """Whether all elements are close, as `isclose`.

    Args:
        x1: A tensor or array.
        x2: A tensor or array that broadcasts with `x1`.
        rtol: The difference that is allowed, as a share of `x2`.
        atol: The difference that is allowed besides.
        equal_nan: Whether NaN equals NaN.

    Returns:
        A bool tensor without axes.

    Example:
        >>> bool(fastnn.ops.allclose(np.array([1.0]), np.array([1.0 + 1e-9])))
        True
    """
    return _c.all(isclose(x1, x2, rtol, atol, equal_nan))


@keras_op
def array_equal(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Whether both have one shape and the same elements.

    Args:
        x1: A tensor or array.
        x2: A tensor or array that broadcasts with `x1`.

    Returns:
        A bool tensor without axes.

    Example:
        >>> bool(fastnn.ops.array_equal(np.array([1, 2]), np.array([1, 2])))
        True
    """
    a, b = computed(x1), computed(x2)
    return _c.all(_c.equal(a, b)) if a.shape == b.shape else _core.tensor(False)


@keras_op
def saturate_cast(x: TensorLike, dtype: DTypeLike) -> Tensor:
    """`x` converted; numbers beyond the limits of an integer type become its limits.

    Args:
        x: A tensor or array.
        dtype: The type of the result: `"float32"`, `"int32"`, `"bool"` or a storage type.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.saturate_cast(np.array([3e9]), "int32").numpy()
        array([2147483647], dtype=int32)
    """
    x, asked, dtype = computed(x), dtype_name(dtype), stored_dtype(dtype)
    if asked in ("int8", "uint8", "int16", "uint16"):
        least, most = np.iinfo(asked).min, np.iinfo(asked).max
        return _c.cast(_c.minimum(_c.maximum(x, int(least)), int(most)), dtype=dtype)
    if asked == "uint32":
        x = _c.maximum(x, 0)
    if dtype == "int32" and x.dtype == "float32":
        # 2^31 - 128 is the largest float32 below the limit; what is above it is the limit itself.
        whole = _c.cast(_c.minimum(_c.maximum(x, -(2.0**31)), 2.0**31 - 128.0), dtype="int32")
        return _c.where(x >= 2.0**31, np.int32(2**31 - 1), whole)
    return _c.cast(x, dtype=dtype)


# ---- complex numbers as far as real ones have them ---------------------------------------------


@keras_op
def real(x: TensorLike) -> Tensor:
    """The real part: `x`, as there are no complex tensors.

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.ops.real(np.array([1.0])).numpy()
        array([1.], dtype=float32)
    """
    return computed(x)


@keras_op
def imag(x: TensorLike) -> Tensor:
    """The imaginary part: zeros, as there are no complex tensors.

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.ops.imag(np.array([1.0])).numpy()
        array([0.], dtype=float32)
    """
    x = computed(x)
    return _c.broadcast_to(_core.tensor(0, dtype=x.dtype), shape=list(x.shape))


@keras_op
def conjugate(x: TensorLike) -> Tensor:
    """The conjugate: `x`, as there are no complex tensors.

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.ops.conj(np.array([1.0])).numpy()
        array([1.], dtype=float32)
    """
    return computed(x)


conj = conjugate


@keras_op
def isreal(x: TensorLike) -> Tensor:
    """True everywhere, as there are no complex tensors.

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.ops.isreal(np.array([1.0])).numpy()
        array([ True])
    """
    x = computed(x)
    return _c.broadcast_to(_core.tensor(True), shape=list(x.shape))


@keras_op
def angle(x: TensorLike) -> Tensor:
    """The angle of a number in the plane: 0, pi for negative ones.

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.ops.angle(np.array([1.0, -1.0])).numpy().round(4)
        array([0.    , 3.1416], dtype=float32)
    """
    x = computed(x, "float32")
    return _c.where(x < 0.0, math.pi, _c.where(_c.is_nan(x), x, 0.0))


# ---- signs and remainders ----------------------------------------------------------------------


@keras_op
def fabs(x: TensorLike) -> Tensor:
    """The size of a number, as float32.

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.ops.fabs(np.array([-1, 2])).numpy()
        array([1., 2.], dtype=float32)
    """
    return _c.absolute(computed(x, "float32"))


@keras_op
def fmod(x1: TensorLike, x2: TensorLike) -> Tensor:
    """The remainder with the sign of x1.

    Args:
        x1: A tensor or array.
        x2: A tensor or array that broadcasts with `x1`.

    Returns:
        A tensor of the common shape.

    Example:
        >>> fastnn.ops.fmod(np.array([-7.0]), np.array([3.0])).numpy()
        array([-1.], dtype=float32)
    """
    a, b = computed(x1), computed(x2)
    rest = _c.mod(_c.absolute(a), _c.absolute(b))
    return _c.where(_c.less(a, 0), -rest, rest)


@keras_op
def fmax(x1: TensorLike, x2: TensorLike) -> Tensor:
    """The larger element; where one is NaN, the other.

    Args:
        x1: A tensor or array.
        x2: A tensor or array that broadcasts with `x1`.

    Returns:
        A tensor of the common shape.

    Example:
        >>> fastnn.ops.fmax(np.array([1.0, np.nan]), np.array([2.0, 3.0])).numpy()
        array([2., 3.], dtype=float32)
    """
    return _other(x1, x2, _c.maximum)


@keras_op
def fmin(x1: TensorLike, x2: TensorLike) -> Tensor:
    """The smaller element; where one is NaN, the other.

    Args:
        x1: A tensor or array.
        x2: A tensor or array that broadcasts with `x1`.

    Returns:
        A tensor of the common shape.

    Example:
        >>> fastnn.ops.fmin(np.array([1.0, np.nan]), np.array([2.0, 3.0])).numpy()
        array([1., 3.], dtype=float32)
    """
    return _other(x1, x2, _c.minimum)


def _other(x1: TensorLike, x2: TensorLike, choose: Any) -> Tensor:
    a, b = computed(x1), computed(x2)
    if "float32" not in (a.dtype, b.dtype):
        return choose(a, b)
    a, b = computed(a, "float32"), computed(b, "float32")
    return _c.where(_c.is_nan(a), b, _c.where(_c.is_nan(b), a, choose(a, b)))


@keras_op
def signbit(x: TensorLike) -> Tensor:
    """True for negative numbers and -0.

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.ops.signbit(np.array([-0.0, 1.0])).numpy()
        array([ True, False])
    """
    x = computed(x, "float32")
    zero = _c.equal(x, 0.0)
    return _c.less(_c.where(zero, 1.0 / _c.where(zero, x, 1.0), x), 0.0)


@keras_op
def heaviside(x1: TensorLike, x2: TensorLike) -> Tensor:
    """0 below zero, x2 at zero, 1 above.

    Args:
        x1: A tensor or array.
        x2: The value at zero.

    Returns:
        A tensor of the common shape.

    Example:
        >>> fastnn.ops.heaviside(np.array([-1.0, 0.0, 1.0]), 0.5).numpy()
        array([0. , 0.5, 1. ], dtype=float32)
    """
    x = computed(x1, "float32")
    step = _c.where(x < 0.0, 0.0, _c.where(x > 0.0, 1.0, x))
    return _c.where(_c.equal(x, 0.0), computed(x2, "float32"), step)


@keras_op
def isposinf(x: TensorLike) -> Tensor:
    """Where x is infinite and positive.

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.ops.isposinf(np.array([np.inf, 1.0])).numpy()
        array([ True, False])
    """
    return _c.equal(computed(x, "float32"), math.inf)


@keras_op
def isneginf(x: TensorLike) -> Tensor:
    """Where x is infinite and negative.

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.ops.isneginf(np.array([-np.inf, 1.0])).numpy()
        array([ True, False])
    """
    return _c.equal(computed(x, "float32"), -math.inf)


name_ops(globals())
