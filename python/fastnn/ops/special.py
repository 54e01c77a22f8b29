"""Elementary functions that are built of rows: angles, hyperbolas, logarithms, the error function.

Depends on `_core`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastnn import _core
from fastnn._core import Tensor
from fastnn.base.arguments import hints_arguments
from fastnn.ops.convert import TensorLike, convert_to_tensor
from fastnn.ops.families import name_ops
from fastnn.tracing.symbolic import keras_op

__all__ = [
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan2",
    "arctanh",
    "bartlett",
    "blackman",
    "cbrt",
    "cosh",
    "deg2rad",
    "erfc",
    "erfinv",
    "exp2",
    "hamming",
    "hanning",
    "hypot",
    "i0",
    "kaiser",
    "ldexp",
    "log2",
    "log10",
    "logaddexp",
    "logaddexp2",
    "rad2deg",
    "sinc",
    "sinh",
    "tan",
]

_c = _core.ops
_LN2 = math.log(2.0)


def _float(x: TensorLike) -> Any:
    return convert_to_tensor(x, "float32")


def _odd(x: TensorLike, of_size: Any) -> Tensor:
    """`of_size` with the sign of `x`; zero and NaN stay."""
    return _c.where(_c.less(x, 0.0), -of_size, of_size)


# ---- angles ----------------------------------------------------------------------------------


@keras_op
def tan(x: TensorLike) -> Tensor:
    """The tangent of radians.

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.ops.tan(np.array([0.0, 1.0])).numpy().round(4)
        array([0.    , 1.5574], dtype=float32)
    """
    x = _float(x)
    return _c.sin(x) / _c.cos(x)


@keras_op
def arcsin(x: TensorLike) -> Tensor:
    """The angle between -pi/2 and pi/2 whose sine is x; NaN outside [-1, 1].

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.ops.arcsin(np.array([0.0, 1.0])).numpy().round(4)
        array([0.    , 1.5708], dtype=float32)
    """
    x = _float(x)
    return _c.arctan(x / _c.sqrt((1.0 - x) * (1.0 + x)))


@keras_op
def arccos(x: TensorLike) -> Tensor:
    """The angle between 0 and pi whose cosine is x; NaN outside [-1, 1].

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.ops.arccos(np.array([1.0, 0.0])).numpy().round(4)
        array([0.    , 1.5708], dtype=float32)
    """
    x = _float(x)
    return 2.0 * _c.arctan(_c.sqrt((1.0 - x) / (1.0 + x)))


@keras_op
def arctan2(x1: TensorLike, x2: TensorLike) -> Tensor:
    """The angle of the point (x2, x1), between -pi and pi.

    Args:
        x1: A tensor or array.
        x2: A tensor or array that broadcasts with `x1`.

    Returns:
        A tensor of the common shape.

    Example:
        >>> fastnn.ops.arctan2(np.array([1.0]), np.array([-1.0])).numpy().round(4)
        array([2.3562], dtype=float32)
    """
    y, x = _float(x1), _float(x2)
    infinite = _c.logical_and(_c.is_inf(y), _c.is_inf(x))
    big = _c.logical_or(_c.equal(x, 0.0), infinite)
    # Where the quotient says nothing, signs do: on the upright axis and in the far corners.
    ratio = _c.where(infinite, _sign(y) * _sign(x), y / _c.where(big, 1.0, x))
    angle = _c.arctan(ratio)
    negative = _c.less(1.0 / _c.where(_c.equal(x, 0.0), x, _sign(x)), 0.0)
    turned = _c.where(negative, angle + math.pi * _sign(y), angle)
    upright = _c.where(_c.equal(y, 0.0), _c.where(negative, math.pi * _sign(y), y),
                       0.5 * math.pi * _sign(y))  # fmt: skip
    out = _c.where(_c.equal(x, 0.0), upright, turned)
    return _c.where(_c.logical_or(_c.is_nan(x), _c.is_nan(y)), math.nan, out)


def _sign(x: TensorLike) -> Any:
    """1 or -1, by the sign bit: -1 for -0."""
    zero = _c.equal(x, 0.0)
    return _c.where(_c.less(_c.where(zero, 1.0 / _c.where(zero, x, 1.0), x), 0.0), -1.0, 1.0)


@keras_op
def deg2rad(x: TensorLike) -> Tensor:
    """Degrees as radians.

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.ops.deg2rad(np.array([180.0])).numpy().round(4)
        array([3.1416], dtype=float32)
    """
    return _float(x) * (math.pi / 180.0)


@keras_op
def rad2deg(x: TensorLike) -> Tensor:
    """Radians as degrees.

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.ops.rad2deg(np.array([np.pi])).numpy().round(3)
        array([180.], dtype=float32)
    """
    return _float(x) * (180.0 / math.pi)


@keras_op
def sinc(x: TensorLike) -> Tensor:
    """sin(pi x) / (pi x), 1 at 0.

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.ops.sinc(np.array([0.0, 0.5])).numpy().round(4)
        array([1.    , 0.6366], dtype=float32)
    """
    x = _float(x)
    zero = _c.equal(x, 0.0)
    angle = math.pi * _c.where(zero, 1.0, x)
    return _c.where(zero, 1.0, _c.sin(angle) / angle)


@keras_op
def hypot(x1: TensorLike, x2: TensorLike) -> Tensor:
    """The length of the vector (x1, x2), without overflow on the way.

    It is infinite where one of the two is, also beside a NaN, as in NumPy.

    Args:
        x1: A tensor or array.
        x2: A tensor or array that broadcasts with `x1`.

    Returns:
        A tensor of the common shape.

    Example:
        >>> fastnn.ops.hypot(np.array([3.0]), np.array([4.0])).numpy()
        array([5.], dtype=float32)
    """
    a, b = _c.absolute(_float(x1)), _c.absolute(_float(x2))
    high, low = _c.maximum(a, b), _c.minimum(a, b)
    plain = _c.logical_or(_c.equal(high, 0.0), _c.is_inf(high))
    ratio = _c.where(plain, 0.0, low / _c.where(plain, 1.0, high))
    length = high * _c.sqrt(1.0 + ratio * ratio)
    return _c.where(_c.logical_or(_c.is_inf(a), _c.is_inf(b)), np.inf, length)


# ---- hyperbolas ------------------------------------------------------------------------------


@keras_op
def sinh(x: TensorLike) -> Tensor:
    """(e^x - e^-x) / 2.

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.ops.sinh(np.array([0.0, 1.0])).numpy().round(4)
        array([0.    , 1.1752], dtype=float32)
    """
    x = _float(x)
    a = _c.absolute(x)
    near = _c.minimum(a, 1.0)
    m = _c.expm1(near)
    small = 0.5 * (m + m / (m + 1.0))
    large = _c.exp(a - _LN2) - _c.exp(-a - _LN2)
    return _odd(x, _c.where(a < 1.0, small, large))


@keras_op
def cosh(x: TensorLike) -> Tensor:
    """(e^x + e^-x) / 2.

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.ops.cosh(np.array([0.0, 1.0])).numpy().round(4)
        array([1.    , 1.5431], dtype=float32)
    """
    x = _float(x)
    return _c.exp(x - _LN2) + _c.exp(-x - _LN2)


@keras_op
def arcsinh(x: TensorLike) -> Tensor:
    """The number whose hyperbolic sine is x.

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.ops.arcsinh(np.array([0.0, 1.0])).numpy().round(4)
        array([0.    , 0.8814], dtype=float32)
    """
    x = _float(x)
    a = _c.absolute(x)
    far = a > 1e9
    near = _c.where(far, 1.0, a)
    square = near * near
    small = _c.log1p(near + square / (1.0 + _c.sqrt(square + 1.0)))
    return _odd(x, _c.where(far, _c.log(_c.maximum(a, 1.0)) + _LN2, small))


@keras_op
def arccosh(x: TensorLike) -> Tensor:
    """The number not below 0 whose hyperbolic cosine is x; NaN below 1.

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.ops.arccosh(np.array([1.0, 2.0])).numpy().round(4)
        array([0.   , 1.317], dtype=float32)
    """
    x = _float(x)
    far = x > 1e9
    t = _c.where(far, 1.0, x) - 1.0
    near = _c.log1p(t + _c.sqrt(t * (t + 2.0)))
    return _c.where(far, _c.log(_c.maximum(x, 1.0)) + _LN2, near)


@keras_op
def arctanh(x: TensorLike) -> Tensor:
    """The number whose hyperbolic tangent is x; NaN outside [-1, 1].

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.ops.arctanh(np.array([0.0, 0.5])).numpy().round(4)
        array([0.    , 0.5493], dtype=float32)
    """
    x = _float(x)
    return 0.5 * (_c.log1p(x) - _c.log1p(-x))


# ---- powers and logarithms -------------------------------------------------------------------


@keras_op
def log2(x: TensorLike) -> Tensor:
    """The logarithm to base 2.

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.ops.log2(np.array([1.0, 8.0])).numpy()
        array([0., 3.], dtype=float32)
    """
    return _c.log(_float(x)) * (1.0 / _LN2)


@keras_op
def log10(x: TensorLike) -> Tensor:
    """The logarithm to base 10.

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.ops.log10(np.array([1.0, 100.0])).numpy()
        array([0., 2.], dtype=float32)
    """
    return _c.log(_float(x)) * (1.0 / math.log(10.0))


@keras_op
def exp2(x: TensorLike) -> Tensor:
    """2 to the power of x.

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.ops.exp2(np.array([0.0, 3.0])).numpy()
        array([1., 8.], dtype=float32)
    """
    return _c.power(2.0, _float(x))


@keras_op
def cbrt(x: TensorLike) -> Tensor:
    """The cube root, negative for negative numbers.

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.ops.cbrt(np.array([-8.0, 27.0])).numpy().round(4)
        array([-2.,  3.], dtype=float32)
    """
    x = _float(x)
    return _odd(x, _c.power(_c.absolute(x), 1.0 / 3.0))


@keras_op
def ldexp(x1: TensorLike, x2: TensorLike) -> Tensor:
    """x1 times 2 to the power of x2.

    Args:
        x1: A tensor or array.
        x2: A tensor or array that broadcasts with `x1`.

    Returns:
        A tensor of the common shape.

    Example:
        >>> fastnn.ops.ldexp(np.array([3.0]), np.array([2])).numpy()
        array([12.], dtype=float32)
    """
    return _float(x1) * _c.power(2.0, _float(x2))


@keras_op
def logaddexp(x1: TensorLike, x2: TensorLike) -> Tensor:
    """log(e^x1 + e^x2), without overflow.

    Args:
        x1: A tensor or array.
        x2: A tensor or array that broadcasts with `x1`.

    Returns:
        A tensor of the common shape.

    Example:
        >>> fastnn.ops.logaddexp(np.array([0.0]), np.array([0.0])).numpy().round(4)
        array([0.6931], dtype=float32)
    """
    a, b = _float(x1), _float(x2)
    high = _c.maximum(a, b)
    # Where both are the same infinity their difference would be NaN.
    gap = _c.where(_c.equal(a, b), 0.0, -_c.absolute(a - b))
    return high + _c.log1p(_c.exp(gap))


@keras_op
def logaddexp2(x1: TensorLike, x2: TensorLike) -> Tensor:
    """log2(2^x1 + 2^x2), without overflow.

    Args:
        x1: A tensor or array.
        x2: A tensor or array that broadcasts with `x1`.

    Returns:
        A tensor of the common shape.

    Example:
        >>> fastnn.ops.logaddexp2(np.array([0.0]), np.array([0.0])).numpy().round(4)
        array([1.], dtype=float32)
    """
    return logaddexp(_float(x1) * _LN2, _float(x2) * _LN2) * (1.0 / _LN2)


# ---- the error function and Bessel's -----------------------------------------------------------

#: A Chebyshev fit of the complement (Numerical Recipes, 1992), relative error 1.2e-7.
_ERFC = (
    0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418,
    0.37409196, 1.00002368, -1.26551223,
)  # fmt: skip
#: The inverse error function in single precision (M. Giles, 2010): the middle and the tail.
_ERFINV = (
    2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087,
    -0.00125372503, -0.00417768164, 0.246640727, 1.50140941,
)  # fmt: skip
_ERFINV_TAIL = (
    -0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773,
    -0.0076224613, 0.00943887047, 1.00167406, 2.83297682,
)  # fmt: skip
#: Abramowitz and Stegun 9.8.1 and 9.8.2.
_I0 = (0.0045813, 0.0360768, 0.2659732, 1.2067492, 3.0899424, 3.5156229, 1.0)
_I0_FAR = (
    0.00392377, -0.01647633, 0.02635537, -0.02057706, 0.00916281, -0.00157565, 0.00225319,
    0.01328592, 0.39894228,
)  # fmt: skip


def _poly(coefficients: tuple[float, ...], x: TensorLike) -> Any:
    total: Any = coefficients[0]
    for c in coefficients[1:]:
        total = total * x + c
    return total


@keras_op
def erfc(x: TensorLike) -> Tensor:
    """1 - erf(x), exact to a few units where it is small.

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.ops.erfc(np.array([0.0, 1.0])).numpy().round(4)
        array([1.    , 0.1573], dtype=float32)
    """
    x = _float(x)
    a = _c.absolute(x)
    t = 1.0 / (1.0 + 0.5 * a)
    far = t * _c.exp(_poly(_ERFC, t) - a * a)
    tail = _c.where(x < 0.0, 2.0 - far, far)
    return _c.where(a < 0.5, 1.0 - _c.erf(x), tail)


@keras_op
def erfinv(x: TensorLike) -> Tensor:
    """The number whose error function is x; NaN outside [-1, 1].

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.ops.erfinv(np.array([0.0, 0.5])).numpy().round(4)
        array([0.    , 0.4769], dtype=float32)
    """
    x = _float(x)
    w = -_c.log((1.0 - x) * (1.0 + x))
    near = _poly(_ERFINV, _c.minimum(w, 5.0) - 2.5)
    tail = _poly(_ERFINV_TAIL, _c.sqrt(_c.minimum(_c.maximum(w, 5.0), 40.0)) - 3.0)
    edge = _c.equal(_c.absolute(x), 1.0)
    out = _c.where(w < 5.0, near, tail) * x
    return _c.where(
        edge, _c.where(x > 0.0, math.inf, -math.inf), _c.where(_c.absolute(x) > 1.0, math.nan, out)
    )


@keras_op
def i0(x: TensorLike) -> Tensor:
    """The modified Bessel function of order 0.

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.ops.i0(np.array([0.0, 1.0])).numpy().round(4)
        array([1.    , 1.2661], dtype=float32)
    """
    a = _c.absolute(_float(x))
    near = _c.minimum(a, 3.75) / 3.75
    far = _c.maximum(a, 3.75)
    large = _c.exp(far) / _c.sqrt(far) * _poly(_I0_FAR, 3.75 / far)
    return _c.where(a < 3.75, _poly(_I0, near * near), large)


# ---- windows ---------------------------------------------------------------------------------


def _window(name: str, x: TensorLike, *more: float) -> Tensor:
    return _core.tensor(getattr(np, name)(int(x), *more).astype(np.float32))


@hints_arguments
def bartlett(x: int) -> Tensor:
    """The triangular window of x points.

    Args:
        x: The number of points.

    Returns:
        A tensor (x,).

    Example:
        >>> fastnn.ops.bartlett(5).numpy()
        array([0. , 0.5, 1. , 0.5, 0. ], dtype=float32)
    """
    return _window("bartlett", x)


@hints_arguments
def blackman(x: int) -> Tensor:
    """Blackman's window of x points.

    Args:
        x: The number of points.

    Returns:
        A tensor (x,).

    Example:
        >>> fastnn.ops.blackman(5).numpy().round(2)
        array([-0.  ,  0.34,  1.  ,  0.34, -0.  ], dtype=float32)
    """
    return _window("blackman", x)


@hints_arguments
def hamming(x: int) -> Tensor:
    """Hamming's window of x points.

    Args:
        x: The number of points.

    Returns:
        A tensor (x,).

    Example:
        >>> fastnn.ops.hamming(5).numpy().round(2)
        array([0.08, 0.54, 1.  , 0.54, 0.08], dtype=float32)
    """
    return _window("hamming", x)


@hints_arguments
def hanning(x: int) -> Tensor:
    """The raised cosine window of x points.

    Args:
        x: The number of points.

    Returns:
        A tensor (x,).

    Example:
        >>> fastnn.ops.hanning(5).numpy().round(2)
        array([0. , 0.5, 1. , 0.5, 0. ], dtype=float32)
    """
    return _window("hanning", x)


@hints_arguments
def kaiser(x: int, beta: float) -> Tensor:
    """Kaiser's window of x points.

    Args:
        x: The number of points.
        beta: How narrow the window is.

    Returns:
        A tensor (x,).

    Example:
        >>> fastnn.ops.kaiser(5, 1.0).numpy().round(2)
        array([0.79, 0.95, 1.  , 0.95, 0.79], dtype=float32)
    """
    return _window("kaiser", x, beta)


name_ops(globals())
