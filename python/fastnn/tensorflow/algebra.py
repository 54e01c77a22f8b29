"""`tf.linalg`: matrices are the last two axes; arguments and results are TensorFlow's.

Depends on `ops`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastnn import ops
from fastnn._core import Tensor
from fastnn.base.typing import Axis, TensorLike
from fastnn.errors import DataError, ShapeError

__all__ = [
    "adjoint", "band_part", "cholesky_solve", "diag", "diag_part", "eigvalsh", "expm", "lstsq",
    "lu", "matvec", "normalize", "set_diag", "sqrtm", "svd", "tensor_diag", "tensor_diag_part",
    "trace", "triangular_solve",
]  # fmt: skip


def _matrix(name: str, x: TensorLike, axes: int = 2) -> Any:
    x = ops.convert_to_tensor(x)
    if len(x.shape) < axes:
        raise ShapeError(
            f"tf.linalg.{name}: got shape {tuple(x.shape)}, wanted at least {axes} axes\n"
            "  hint: matrices are the last two axes"
        )
    return x


def _only(name: str, **given: Any) -> None:
    """DataError for an argument that only has TensorFlow's default here."""
    for what, (value, default) in given.items():
        if value != default:
            raise DataError(
                f"tf.linalg.{name}: {what}={value!r} is not supported\n  hint: {what}={default!r}"
            )


def diag(diagonal: TensorLike, name: str | None = None, k: int = 0) -> Tensor:
    """Matrices with the last axis on their diagonal."""
    _only("diag", k=(k, 0))
    x = _matrix("diag", diagonal, 1)
    return ops.expand_dims(x, axis=-1) * ops.eye(x.shape[-1], dtype=x.dtype)


def diag_part(input: TensorLike, name: str | None = None, k: int = 0) -> Tensor:
    """The diagonals of matrices."""
    return ops.diagonal(_matrix("diag_part", input), offset=k, axis1=-2, axis2=-1)


def set_diag(
    input: TensorLike, diagonal: TensorLike, name: str | None = None, k: int = 0
) -> Tensor:
    """Matrices with another diagonal."""
    _only("set_diag", k=(k, 0))
    x, new = _matrix("set_diag", input), ops.convert_to_tensor(diagonal)
    rows, columns = x.shape[-2:]
    least = min(rows, columns)
    if not new.shape or new.shape[-1] != least:
        raise ShapeError(
            f"tf.linalg.set_diag: a diagonal of shape {tuple(new.shape)} for matrices of "
            f"{rows} by {columns}\n  hint: {least} elements"
        )
    wide = new
    if columns > least:
        wide = ops.pad(new, [(0, 0)] * (len(new.shape) - 1) + [(0, columns - least)])
    return ops.where(ops.eye(rows, columns) > 0.5, ops.expand_dims(wide, axis=-2), x)


def tensor_diag(diagonal: TensorLike, name: str | None = None) -> Tensor:
    """Elements where both halves of the place are alike, 0 elsewhere: all axes, twice."""
    x = ops.convert_to_tensor(diagonal)
    return ops.reshape(diag(ops.reshape(x, (-1,))), (*x.shape, *x.shape))


def tensor_diag_part(input: TensorLike, name: str | None = None) -> Tensor:
    """The elements where both halves of the place are alike: half of the axes."""
    x = _matrix("tensor_diag_part", input)
    half = len(x.shape) // 2
    sizes = tuple(x.shape[:half])
    if len(x.shape) % 2 or sizes != tuple(x.shape[half:]):
        raise ShapeError(
            f"tf.linalg.tensor_diag_part: got shape {tuple(x.shape)}, wanted the same sizes twice\n"
            "  hint: tf.linalg.diag_part for the diagonals of the last two axes"
        )
    count = math.prod(sizes)
    return ops.reshape(diag_part(ops.reshape(x, (count, count))), sizes)


def eigvalsh(tensor: TensorLike, name: str | None = None) -> Tensor:
    """The eigenvalues of symmetric matrices, smallest first."""
    values: Tensor = ops.eigh(_matrix("eigvalsh", tensor))[0]
    return values


#: How often a matrix is squared at most, and the terms of the series of its exponential.
_SQUARINGS, _TERMS = 14, 9


def expm(input: TensorLike, name: str | None = None) -> Tensor:
    """The exponentials of square matrices: a series of the matrix over 2^n, squared n times."""
    x: Any = ops.convert_to_tensor(_matrix("expm", input), "float32")
    if x.shape[-1] != x.shape[-2]:
        raise ShapeError(
            f"tf.linalg.expm: got shape {tuple(x.shape)}, wanted square matrices\n"
            "  hint: tf.exp for the exponential of each element"
        )
    size = ops.stop_gradient(ops.max(ops.sum(ops.abs(x), axis=-2), axis=-1, keepdims=True))
    size = ops.expand_dims(size, axis=-1)
    times = ops.clip(ops.ceil(ops.log2(ops.maximum(size, 0.5))) + 1.0, 0.0, float(_SQUARINGS))
    part = x * ops.exp2(-times)
    one = ops.eye(x.shape[-1])
    found: Any = one + part / float(_TERMS)
    for n in range(_TERMS - 1, 0, -1):
        found = one + ops.matmul(part, found) / float(n)
    for n in range(_SQUARINGS):
        left = times > float(n)
        # Where the matrix is done its square is not taken, which might overflow.
        base = ops.where(left, found, one)
        found = ops.where(left, ops.matmul(base, base), found)
    result: Tensor = found
    return result


def trace(x: TensorLike, name: str | None = None) -> Tensor:
    """The sums of the diagonals."""
    return ops.trace(_matrix("trace", x), axis1=-2, axis2=-1)


def band_part(input: TensorLike, num_lower: Any, num_upper: Any, name: str | None = None) -> Tensor:
    """Matrices with zeros but for so many diagonals below and above; -1 keeps all."""
    x = _matrix("band_part", input)
    rows, columns = ops.shape(x)[-2:]
    below = ops.expand_dims(ops.arange(rows), axis=1) - ops.expand_dims(ops.arange(columns), axis=0)
    low, high = int(num_lower), int(num_upper)
    keep = ops.ones_like(below, dtype="bool")
    if low >= 0:
        keep = ops.logical_and(keep, below <= low)
    if high >= 0:
        keep = ops.logical_and(keep, below >= -high)
    return ops.where(keep, x, ops.zeros_like(x))


def adjoint(matrix: TensorLike, name: str | None = None) -> Tensor:
    """The last two axes exchanged; numbers are real."""
    return ops.swapaxes(_matrix("adjoint", matrix), -2, -1)


def matvec(
    a: TensorLike, b: TensorLike, transpose_a: bool = False, name: str | None = None
) -> Tensor:
    """Matrices times vectors."""
    x = adjoint(a) if transpose_a else ops.convert_to_tensor(a)
    return ops.squeeze(ops.matmul(x, ops.expand_dims(b, axis=-1)), axis=-1)


def svd(
    tensor: TensorLike,
    full_matrices: bool = False,
    compute_uv: bool = True,
    name: str | None = None,
) -> Any:
    """(singular values, left vectors, right vectors), or the values alone."""
    x = _matrix("svd", tensor)
    if not compute_uv:
        return ops.svd(x, full_matrices, False)
    left, values, right = ops.svd(x, full_matrices, True)
    return values, left, ops.swapaxes(right, -2, -1)


def triangular_solve(
    matrix: TensorLike, rhs: TensorLike, lower: bool = True, adjoint: bool = False,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """X with matrix x = rhs, of a lower triangle unless told."""
    a = _matrix("triangular_solve", matrix)
    if adjoint:
        return ops.solve_triangular(ops.swapaxes(a, -2, -1), rhs, lower=not lower)
    return ops.solve_triangular(a, rhs, lower=lower)


def cholesky_solve(chol: TensorLike, rhs: TensorLike, name: str | None = None) -> Tensor:
    """X with A x = rhs, of the Cholesky factor of A."""
    return triangular_solve(chol, triangular_solve(chol, rhs), adjoint=True)


def lstsq(
    matrix: TensorLike, rhs: TensorLike, l2_regularizer: float = 0.0, fast: bool = True,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """X of the least squares of matrix x - rhs."""
    _only("lstsq", l2_regularizer=(l2_regularizer, 0.0))
    return ops.lstsq(matrix, rhs)


def normalize(
    tensor: TensorLike, ord: Any = "euclidean", axis: Axis = None, name: str | None = None
) -> tuple[Tensor, Tensor]:
    """A tensor over its norm, and the norm, whose axes stay."""
    x = ops.convert_to_tensor(tensor, "float32")
    kind = None if ord == "euclidean" else ord
    if axis is None:
        flat = ops.norm(ops.reshape(x, (-1,)), kind)
        size = ops.reshape(flat, (1,) * len(x.shape))
    else:
        size = ops.norm(x, kind, axis=axis, keepdims=True)
    return x / size, size


def lu(
    input: TensorLike, output_idx_type: Any = None, name: str | None = None
) -> tuple[Tensor, Tensor]:
    """Both triangles in one matrix, without the ones, and which row stands where."""
    x = _matrix("lu", input)
    factors, swaps = ops.lu_factor(x)
    order = np.broadcast_to(np.arange(x.shape[-2]), np.shape(swaps)).copy()
    for at in np.ndindex(order.shape[:-1]):
        for row, other in enumerate(np.asarray(swaps)[at].tolist()):  # one swap after the other
            order[at][[row, other]] = order[at][[other, row]]
    return factors, ops.convert_to_tensor(order.astype(np.int32))


#: Newton steps of a square root: halves until the scale is found, then the error squares.
_ROOT_STEPS = 20


def sqrtm(input: TensorLike, name: str | None = None) -> Tensor:
    """Matrices whose squares the matrices are, by Newton steps for root and inverse together; NaN
    where there is no real one.
    """
    x = _matrix("sqrtm", input)
    root, inverse = x, ops.eye(x.shape[-1], dtype=x.dtype) + ops.zeros_like(x)
    for _ in range(_ROOT_STEPS):
        root, inverse = (root + ops.inv(inverse)) * 0.5, (inverse + ops.inv(root)) * 0.5
    off = ops.max(ops.abs(ops.matmul(root, root) - x), axis=(-2, -1), keepdims=True)
    found = off <= 0.01 * ops.max(ops.abs(x), axis=(-2, -1), keepdims=True)
    return ops.where(found, root, float("nan"))
