"""Products of matrices and vectors, and norms."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import _core
from fastnn._core import Tensor
from fastnn.ops.convert import Axis, TensorLike, convert_to_tensor, ndim
from fastnn.ops.elements import abs
from fastnn.ops.reduce import max, sum
from fastnn.ops.shapes import reshape
from fastnn.symbolic import keras_op

__all__ = [
    "dot",
    "matmul",
    "norm",
    "outer",
    "vdot",
]

_c = _core.ops


@keras_op
def matmul(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Matrix product over the last two axes, broadcast over the others."""
    return _c.matmul(x1, x2)


@keras_op
def dot(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Product over the last axis of x1 and the first (of two) of x2, as `numpy.dot`."""
    if ndim(x1) == 0 or ndim(x2) == 0:
        return convert_to_tensor(x1) * x2
    return _c.matmul(x1, x2)


@keras_op
def outer(x1: TensorLike, x2: TensorLike) -> Tensor:
    """The products of all elements of `x1` with all of `x2`."""
    return reshape(x1, (-1, 1)) * reshape(x2, (1, -1))


@keras_op
def vdot(x1: TensorLike, x2: TensorLike) -> Tensor:
    """The sum of the products of elements, both taken as vectors."""
    return sum(reshape(x1, (-1,)) * reshape(x2, (-1,)))


def scale_of_squares(x: Tensor, axis: Axis = None) -> Tensor:
    """The power of two to multiply `x` by so that squares stay in the range of float32; mostly 1.

    One for each slice along `axis`, which stays with size 1. Squares of elements from 2^60 on
    overflow in a sum, small ones are lost. What was scaled is longer than 1e-12, unless it is 0.
    """
    if 0 in x.shape:
        return convert_to_tensor(1.0)
    return scale_for(max(abs(x), axis=axis, keepdims=True))


def scale_for(largest: Tensor) -> Tensor:
    """As `scale_of_squares`, from the size of the largest element."""
    tiny = _c.where(largest > 0.0, 2.0**96, 1.0)
    small = _c.where(largest < 2.0**-80, tiny, _c.where(largest < 2.0**-30, 2.0**60, 1.0))
    return _c.where(largest > 2.0**60, 2.0**-76, small)


@keras_op
def norm(x: TensorLike, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Euclidean norm over `axis`, of any size; `ord` 1 and inf are known too."""
    if ord in (None, 2, "euclidean", "fro"):
        x = convert_to_tensor(x, "float32")
        scale = scale_of_squares(x, axis)
        length = _c.sqrt(sum(_c.square(x * scale), axis=axis, keepdims=True)) / scale
        return length if keepdims else sum(length, axis=axis)
    if ord == 1:
        return sum(abs(x), axis=axis, keepdims=keepdims)
    if ord == np.inf:
        return max(abs(x), axis=axis, keepdims=keepdims)
    raise ValueError(f"norm: ord {ord!r} is not known\n  hint: use None, 1, 2 or numpy.inf")
