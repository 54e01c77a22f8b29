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


@keras_op
def norm(x: TensorLike, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Euclidean norm over `axis`; `ord` 1 and inf are known too."""
    if ord in (None, 2, "euclidean", "fro"):
        return _c.sqrt(sum(_c.square(x), axis=axis, keepdims=keepdims))
    if ord == 1:
        return sum(abs(x), axis=axis, keepdims=keepdims)
    if ord == np.inf:
        return max(abs(x), axis=axis, keepdims=keepdims)
    raise ValueError(f"norm: ord {ord!r} is not known\n  hint: use None, 1, 2 or numpy.inf")
