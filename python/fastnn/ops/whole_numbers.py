"""Functions that keep whole numbers whole, which their rows would make floats of. Depends on
`convert`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import _core
from fastnn._core import Tensor
from fastnn.ops.convert import TensorLike, computed
from fastnn.ops.families import name_ops
from fastnn.tracing.symbolic import keras_op

__all__ = ["hard_tanh", "power", "relu", "relu6", "square", "trunc"]

_c = _core.ops


def as_whole(x: TensorLike) -> Any:
    """`x` as int32 when it holds whole numbers or truth values, else None."""
    x = computed(x)
    return None if x.dtype == "float32" else _c.cast(x, dtype="int32")


@keras_op
def square(x: TensorLike) -> Tensor:
    """`x` times x.

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.ops.square(np.array([3.0])).numpy()
        array([9.], dtype=float32)
    """
    whole = as_whole(x)
    return _c.square(x) if whole is None else whole * whole


@keras_op
def trunc(x: TensorLike) -> Tensor:
    """The whole part.

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.ops.trunc(np.array([-1.7, 1.7])).numpy()
        array([-1.,  1.], dtype=float32)
    """
    whole = as_whole(x)
    return _c.trunc(x) if whole is None else whole


@keras_op
def power(x1: TensorLike, x2: TensorLike) -> Tensor:
    """x1 to the power of x2; a whole number to the power of a whole number stays whole.

    Whole powers beyond int32 wrap around, as products do. To a negative number as such the
    result is a float; where an element of an array is negative, it is the power cut to a whole
    number: 1 or -1 for those bases, else 0.

    Args:
        x1: A tensor or array.
        x2: A tensor or array that broadcasts with `x1`.

    Returns:
        A tensor of the common shape.

    Example:
        >>> fastnn.ops.power(np.array([2.0, 3.0]), 2).numpy()
        array([4., 9.], dtype=float32)
    """
    base = as_whole(x1)
    if isinstance(x2, np.integer):
        x2 = int(x2)
    if isinstance(x2, int) and not isinstance(x2, bool):
        return _c.power(x1, x2) if base is None or x2 < 0 else base**x2
    exponent = None if base is None else as_whole(x2)
    return _c.power(x1, x2) if base is None or exponent is None else _whole_power(base, exponent)


def _whole_power(base: Tensor, exponent: Tensor) -> Tensor:
    """The power of int32 tensors by squaring, one factor for each bit that the exponent has."""
    down = exponent < 0
    left = _c.where(down, exponent % 2, exponent)  # the sign of -1 to a negative power
    bits = 31
    if not left.is_traced:
        bits = int(_c.max(left)).bit_length() if left.size else 0
    result, factor = left * 0 + base * 0 + 1, base
    for i in range(bits):
        result = _c.where(left % 2 == 1, result * factor, result)
        left = left // 2
        if i + 1 < bits:
            factor = factor * factor
    return _c.where(_c.logical_and(down, _c.absolute(base) != 1), 0, result)


@keras_op
def relu(x: TensorLike) -> Tensor:
    """`x`, and 0 where it is negative; whole numbers stay whole.

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.ops.relu([-1.0, 2.0]).numpy()
        array([0., 2.], dtype=float32)
    """
    whole = as_whole(x)
    return _c.relu(x) if whole is None else _c.maximum(whole, 0)


@keras_op
def relu6(x: TensorLike) -> Tensor:
    """`x` held between 0 and 6; whole numbers stay whole.

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.ops.relu6([-1.0, 9.0]).numpy()
        array([0., 6.], dtype=float32)
    """
    whole = as_whole(x)
    return _c.relu6(x) if whole is None else _c.clip(whole, 0, 6)


@keras_op
def hard_tanh(x: TensorLike) -> Tensor:
    """`x` held between -1 and 1; whole numbers stay whole.

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.ops.hard_tanh([-3.0, 0.5]).numpy()
        array([-1. ,  0.5], dtype=float32)
    """
    whole = as_whole(x)
    return _c.hard_tanh(x) if whole is None else _c.clip(whole, -1, 1)


name_ops(globals())
