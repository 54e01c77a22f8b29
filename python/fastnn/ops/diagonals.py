"""Diagonals and triangles of matrices, and what is built along them.

Depends on `_core`, `shapes`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import _core
from fastnn._core import Dim, Tensor
from fastnn.base.typing import DTypeLike
from fastnn.config import stored_dtype
from fastnn.errors import ShapeError
from fastnn.ops.convert import (
    TensorLike,
    arange,
    cast,
    convert_to_tensor,
    eye,
    known_size,
    ones,
    ones_like,
    shape,
    zeros,
)
from fastnn.ops.families import name_ops
from fastnn.ops.shapes import place, reshape, transpose
from fastnn.tracing.symbolic import keras_op

__all__ = [
    "diag",
    "diagflat",
    "diagonal",
    "kron",
    "trace",
    "tri",
    "tril",
    "triu",
    "vander",
]

_c = _core.ops


@keras_op
def tri(N: int | Dim, M: int | Dim | None = None, k: int = 0, dtype: DTypeLike = None) -> Tensor:
    """Ones on and below the k-th diagonal.

    Args:
        N: Rows.
        M: Columns; None: as many as rows.
        k: Which diagonal; 0 is the main one.
        dtype: The type of the result: `"float32"`, `"int32"` or `"bool"`.

    Returns:
        A matrix.

    Example:
        >>> fastnn.ops.tri(2).numpy()
        array([[1., 0.],
               [1., 1.]], dtype=float32)
    """
    if isinstance(N, Dim) or isinstance(M, Dim):
        return tril(ones((N, N if M is None else M), dtype), k)
    return _core.tensor(np.tri(N, M, k, np.float32), dtype=stored_dtype(dtype) if dtype else None)


def as_matrix(name: str, x: TensorLike) -> Any:
    """`x` as a tensor; ShapeError unless it has two axes or more."""
    x = convert_to_tensor(x)
    if x.ndim < 2:
        raise ShapeError(
            f"{name}: got shape {x.shape}, wanted at least two axes\n  hint: reshape it to a matrix"
        )
    return x


def _below(x: Tensor, k: int) -> Any:
    """Which elements of the last two axes lie on the k-th diagonal or below; they may be open."""
    rows, columns = (arange(shape(x)[axis]) for axis in (-2, -1))
    return _c.less_equal(_c.expand_dims(columns, axis=[0]), _c.expand_dims(rows, axis=[1]) + k)


@keras_op
def tril(x: TensorLike, k: int = 0) -> Tensor:
    """`x` with zeros above the k-th diagonal of the last two axes.

    Args:
        x: A tensor or array.
        k: Which diagonal; 0 is the main one.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.tril(np.ones((2, 2))).numpy()
        array([[1., 0.],
               [1., 1.]], dtype=float32)
    """
    x = as_matrix("tril", x)
    keep = _below(x, k)
    return _c.where(keep, x, cast(0, x.dtype))


@keras_op
def triu(x: TensorLike, k: int = 0) -> Tensor:
    """`x` with zeros below the k-th diagonal of the last two axes.

    Args:
        x: A tensor or array.
        k: Which diagonal; 0 is the main one.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.triu(np.ones((2, 2))).numpy()
        array([[1., 1.],
               [0., 1.]], dtype=float32)
    """
    x = as_matrix("triu", x)
    drop = _below(x, k - 1)
    return _c.where(drop, cast(0, x.dtype), x)


@keras_op
def diagonal(x: TensorLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The elements of a diagonal of two axes, as a new last axis.

    Args:
        x: A tensor or array.
        offset: Which diagonal; 0 is the main one.
        axis1: The first of the two axes.
        axis2: The second.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.diagonal(np.array([[1.0, 2.0], [3.0, 4.0]])).numpy()
        array([1., 4.], dtype=float32)
    """
    x = as_matrix("diagonal", x)
    rank = x.ndim
    first, second = (place("diagonal", a, shape(x)) for a in (axis1, axis2))
    if first == second:
        raise ValueError(f"diagonal: axis1 and axis2 are both {axis1}\n  hint: two axes")
    rest = [i for i in range(rank) if i not in (first, second)]
    x = transpose(x, [*rest, first, second])
    n, m = shape(x)[-2:]
    if isinstance(n, int) and isinstance(m, int):
        length = max(0, min(n, m - offset) if offset >= 0 else min(n + offset, m))
    elif str(n) == str(m):
        length = n - abs(offset)
    else:
        raise ShapeError(
            f"diagonal: axes of sizes {n} and {m} have a diagonal whose length is not known\n"
            "  hint: give both a size in Input(shape=...), or make them of one size"
        )
    if isinstance(length, int) and length <= 0:
        return x[..., 0, :0]
    start = offset if offset >= 0 else -offset * m
    flat = reshape(x, [*shape(x)[:-2], n * m])
    places = arange(length) * (m + 1) + start
    return _c.take(flat, places, axis=-1)


@keras_op
def diag(x: TensorLike, k: int = 0) -> Tensor:
    """The k-th diagonal of a matrix, or the matrix with this vector on it.

    Args:
        x: A vector or a matrix.
        k: Which diagonal; 0 is the main one.

    Returns:
        A matrix or a vector.

    Example:
        >>> fastnn.ops.diag(np.array([1.0, 2.0])).numpy()
        array([[1., 0.],
               [0., 2.]], dtype=float32)
    """
    x = convert_to_tensor(x)
    if x.ndim == 2:
        return diagonal(x, k)
    if x.ndim != 1:
        raise ShapeError(
            f"diag: got shape {x.shape}, wanted a vector or a matrix\n"
            "  hint: diagonal(x, axis1=-2, axis2=-1) for batches of matrices"
        )
    on = eye(shape(x)[0], dtype="bool")
    spread = _c.where(on, _c.expand_dims(x, axis=[-1]), cast(0, x.dtype))
    edge = abs(k)
    widths = [edge, 0, 0, edge] if k < 0 else [0, edge, edge, 0]
    return _c.pad(spread, widths=widths, value=0.0) if k else spread


@keras_op
def diagflat(x: TensorLike, k: int = 0) -> Tensor:
    """A matrix with all elements of `x` on its k-th diagonal.

    Args:
        x: A tensor or array.
        k: Which diagonal; 0 is the main one.

    Returns:
        A matrix.

    Example:
        >>> fastnn.ops.diagflat(np.array([1.0, 2.0]), k=1).shape
        (3, 3)
    """
    return diag(reshape(x, (-1,)), k)


@keras_op
def trace(x: TensorLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The sum of a diagonal.

    Args:
        x: A tensor or array.
        offset: Which diagonal; 0 is the main one.
        axis1: The first of the two axes.
        axis2: The second.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.trace(np.array([[1.0, 2.0], [3.0, 4.0]])).numpy()
        np.float32(5.0)
    """
    return _c.sum(diagonal(x, offset, axis1, axis2), axis=-1)


@keras_op
def vander(x: TensorLike, N: int | None = None, increasing: bool = False) -> Tensor:
    """Powers of a vector as columns, the highest first unless `increasing`.

    Args:
        x: A vector.
        N: The number of columns; None: as many as elements.
        increasing: Whether the lowest power comes first.

    Returns:
        A matrix.

    Example:
        >>> fastnn.ops.vander(np.array([1.0, 2.0]), 3).numpy()
        array([[1., 1., 1.],
               [4., 2., 1.]], dtype=float32)
    """
    x = convert_to_tensor(x)
    n = known_size("vander", x, 0) if N is None else N
    if n == 0:
        return zeros((known_size("vander", x, 0), 0), x.dtype)
    columns = [ones_like(x)]
    for _ in range(n - 1):
        columns.append(columns[-1] * x)
    return _c.stack(*(columns if increasing else columns[::-1]), axis=-1)


@keras_op
def kron(x1: TensorLike, x2: TensorLike) -> Tensor:
    """The Kronecker product: every element of x1 times all of x2.

    Args:
        x1: A tensor or array.
        x2: A tensor or array that broadcasts with `x1`.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.kron(np.array([1.0, 2.0]), np.array([1.0, 10.0])).numpy()
        array([ 1., 10.,  2., 20.], dtype=float32)
    """
    a, b = convert_to_tensor(x1), convert_to_tensor(x2)
    rank = max(a.ndim, b.ndim)
    sa, sb = ([1] * (rank - v.ndim) + list(shape(v)) for v in (a, b))
    wide = reshape(a, [d for n in sa for d in (n, 1)]) * reshape(b, [d for n in sb for d in (1, n)])
    return reshape(wide, [n * m for n, m in zip(sa, sb, strict=True)])


name_ops(globals())
