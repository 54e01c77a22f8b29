"""Linear algebra of square matrices, and of systems with them.

On known values NumPy computes in float64. While a step is traced, or a tape records, the same
functions are composed of rows by elimination, column by column, so gradients flow; a matrix may
have `LARGEST` columns there, because each column is a few nodes of the graph. `eigh`, `svd` and
the like are in `host`. Depends on `_core`, `host`, `linalg`, `shapes`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import _core
from fastnn._core import Tensor
from fastnn.errors import ShapeError
from fastnn.ops import host, rows
from fastnn.ops.convert import TensorLike, computed, shape
from fastnn.ops.diagonals import diagonal, tril
from fastnn.ops.elements import abs
from fastnn.ops.families import name_ops
from fastnn.ops.linalg import exact_matmul, norm
from fastnn.ops.reduce import sum
from fastnn.ops.shapes import concatenate, stack, swapaxes
from fastnn.tracing.symbolic import keras_op

__all__ = [
    "cholesky",
    "cholesky_inverse",
    "det",
    "inv",
    "logdet",
    "lstsq",
    "matrix_power",
    "qr",
    "slogdet",
    "solve",
    "solve_triangular",
]

#: Columns of a matrix that is eliminated while a step is traced.
LARGEST = 64

_c = _core.ops


def _square(name: str, x: TensorLike) -> tuple[Any, int]:
    x = computed(x, "float32")
    sizes = shape(x)
    if len(sizes) < 2 or sizes[-1] != sizes[-2] or sizes[-1] is None:
        raise ShapeError(
            f"{name}: got shape {sizes}, wanted square matrices in the last two axes\n"
            "  hint: reshape it to (..., n, n)"
        )
    return x, int(sizes[-1])


def _composed(name: str, n: int) -> None:
    if n > LARGEST:
        raise ShapeError(
            f"{name}: {n} columns while a step is traced or a tape records, at most {LARGEST}\n"
            "  hint: call it on arrays, outside the traced function"
        )


def _on_values(name: str, compute: Any, *xs: Any) -> Any:
    arrays = [host.value(name, x).astype(np.float64) for x in xs]
    try:
        out = compute(*arrays)
    except np.linalg.LinAlgError as error:
        raise ValueError(
            f"{name}: {str(error).lower()}\n  hint: look at the matrix: rank, symmetry, NaN"
        ) from error
    return tuple(host.tensor(o) for o in out) if isinstance(out, tuple) else host.tensor(out)


def _unit(n: int, k: int) -> Any:
    """The k-th unit vector as a column."""
    e = np.zeros((n, 1), np.float32)
    e[k] = 1.0
    return e


def _eliminated(a: Any, b: Any, n: int) -> tuple[Any, Any]:
    """Gauss and Jordan with row exchanges: the solution of a x = b, and the pivots with signs."""
    m = concatenate([a, b], axis=-1)
    below = np.arange(n, dtype=np.int32)
    pivots = []
    for k in range(n):
        size = _c.where(below >= k, abs(m[..., :, k]), -1.0)
        at = _c.argmax(size, axis=-1)
        chosen = _c.expand_dims(_c.one_hot(at, num_classes=n), axis=[-1])
        row = sum(chosen * m, axis=-2, keepdims=True)
        here = _unit(n, k) > 0
        m = _c.where(here, row, _c.where(chosen > 0, m[..., k : k + 1, :], m))
        pivot = row[..., :, k : k + 1]
        pivots.append(pivot[..., 0, 0] * _c.where(_c.equal(at, np.int32(k)), 1.0, -1.0))
        scaled = row / pivot
        m = _c.where(here, scaled, m - m[..., :, k : k + 1] * scaled)
    return m[..., n:], stack(pivots, axis=-1)


@keras_op
def solve(a: TensorLike, b: TensorLike) -> Tensor:
    """The x of a x = b; b holds columns (..., n, k), or vectors when it has one axis less than a.

    Args:
        a: Matrices (…, n, n).
        b: Vectors (…, n) or columns (…, n, k).

    Returns:
        A tensor of the shape of `b`.

    Example:
        >>> fastnn.ops.solve(np.array([[2.0, 0.0], [0.0, 4.0]]), np.array([2.0, 4.0])).numpy()
        array([1., 1.], dtype=float32)
    """
    a, n = _square("solve", a)
    b = computed(b, "float32")
    vector = b.ndim == a.ndim - 1
    columns = _c.expand_dims(b, axis=[-1]) if vector else b
    if shape(columns)[-2] != n:
        raise ShapeError(
            f"solve: a has shape {tuple(a.shape)}, b {tuple(b.shape)}\n"
            "  hint: b has as many rows as a"
        )
    if host.has_values(a, b):
        x = _on_values("solve", np.linalg.solve, a, columns)
    else:
        _composed("solve", n)
        lead = [*shape(a)[:-2], n, shape(columns)[-1]]
        if shape(columns)[:-2] != shape(a)[:-2]:
            columns = _c.broadcast_to(columns, shape=lead)
        x, _ = _eliminated(a, columns, n)
    return rows.squeeze(x, axis=[-1]) if vector else x


@keras_op
def inv(x: TensorLike) -> Tensor:
    """The inverse of square matrices.

    Args:
        x: Matrices (…, n, n).

    Returns:
        Matrices of the same shape.

    Example:
        >>> fastnn.ops.inv(np.array([[2.0, 0.0], [0.0, 4.0]])).numpy()
        array([[0.5 , 0.  ],
               [0.  , 0.25]], dtype=float32)
    """
    x, n = _square("inv", x)
    if host.has_values(x):
        return _on_values("inv", np.linalg.inv, x)
    _composed("inv", n)
    unit = _c.broadcast_to(computed(np.eye(n, dtype=np.float32)), shape=list(x.shape))
    return _eliminated(x, unit, n)[0]


@keras_op
def det(x: TensorLike) -> Tensor:
    """The determinant of square matrices.

    Args:
        x: Matrices (…, n, n).

    Returns:
        Determinants (…).

    Example:
        >>> float(fastnn.ops.det(np.array([[2.0, 0.0], [0.0, 3.0]])))
        6.0
    """
    x, n = _square("det", x)
    if host.has_values(x):
        return _on_values("det", np.linalg.det, x)
    _composed("det", n)
    return _c.prod(_eliminated(x, x[..., :1], n)[1], axis=-1)


@keras_op
def slogdet(x: TensorLike) -> tuple[Tensor, Tensor]:
    """The sign of the determinant and the logarithm of its size.

    Args:
        x: Matrices (…, n, n).

    Returns:
        The pair (sign, logarithm).

    Example:
        >>> [float(part) for part in fastnn.ops.slogdet(np.array([[1.0, 0.0], [0.0, -1.0]]))]
        [-1.0, 0.0]
    """
    x, n = _square("slogdet", x)
    if host.has_values(x):
        sign, size = _on_values("slogdet", lambda a: tuple(np.linalg.slogdet(a)), x)
        return sign, size
    _composed("slogdet", n)
    pivots = _eliminated(x, x[..., :1], n)[1]
    return _c.prod(_c.sign(pivots), axis=-1), sum(_c.log(abs(pivots)), axis=-1)


@keras_op
def logdet(x: TensorLike) -> Tensor:
    """The logarithm of the determinant of positive definite matrices, by Cholesky's factor.

    Args:
        x: Positive definite matrices (…, n, n).

    Returns:
        Logarithms (…).

    Example:
        >>> float(fastnn.ops.logdet(np.array([[1.0, 0.0], [0.0, 1.0]])))
        0.0
    """
    factor = cholesky(x)
    return 2.0 * sum(_c.log(diagonal(factor, 0, -2, -1)), axis=-1)


@keras_op
def cholesky(x: TensorLike, upper: bool = False) -> Tensor:
    """The triangular factor l of symmetric positive definite matrices l l^T.

    Args:
        x: Symmetric positive definite matrices (…, n, n).
        upper: Whether the upper triangle is given instead.

    Returns:
        Triangular matrices of the shape of `x`.

    Example:
        >>> fastnn.ops.cholesky(np.array([[4.0, 0.0], [0.0, 9.0]])).numpy()
        array([[2., 0.],
               [0., 3.]], dtype=float32)
    """
    x, n = _square("cholesky", x)
    if host.has_values(x):
        lower = _on_values("cholesky", np.linalg.cholesky, x)
    else:
        _composed("cholesky", n)
        columns: list[Any] = []
        rest = x
        for k in range(n):
            column = rest[..., :, k] / _c.sqrt(rest[..., k : k + 1, k])
            column = _c.where(np.arange(n) >= k, column, 0.0)
            rest = rest - _c.expand_dims(column, axis=[-1]) * _c.expand_dims(column, axis=[-2])
            columns.append(column)
        lower = stack(columns, axis=-1)
    return swapaxes(lower, -2, -1) if upper else lower


@keras_op
def cholesky_inverse(x: TensorLike, upper: bool = False) -> Tensor:
    """The inverse of the matrix whose Cholesky factor is x.

    Args:
        x: A triangular factor (n, n).
        upper: Whether the factor is an upper triangle.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.cholesky_inverse(np.array([[2.0, 0.0], [0.0, 4.0]])).numpy()
        array([[0.25  , 0.    ],
               [0.    , 0.0625]], dtype=float32)
    """
    x, n = _square("cholesky_inverse", x)
    lower = swapaxes(x, -2, -1) if upper else x
    unit = _c.broadcast_to(computed(np.eye(n, dtype=np.float32)), shape=list(x.shape))
    half = solve_triangular(lower, unit, lower=True)
    return _c.matmul(swapaxes(half, -2, -1), half)


@keras_op
def solve_triangular(a: TensorLike, b: TensorLike, lower: bool = False) -> Tensor:
    """The x of a x = b for triangular a, of which the other half is not read.

    Args:
        a: Triangular matrices (…, n, n).
        b: Columns (…, n, k).
        lower: Whether the lower triangle is read.

    Returns:
        A tensor of the shape of `b`.

    Example:
        >>> a, b = np.array([[2.0, 1.0], [0.0, 4.0]]), np.array([[3.0], [4.0]])
        >>> fastnn.ops.solve_triangular(a, b).numpy()
        array([[1.],
               [1.]], dtype=float32)
    """
    a, n = _square("solve_triangular", a)
    b = computed(b, "float32")
    half = tril(a) if lower else swapaxes(tril(swapaxes(a, -2, -1)), -2, -1)
    if host.has_values(half, b):
        return solve(half, b)
    _composed("solve_triangular", n)
    vector = b.ndim == a.ndim - 1
    columns = _c.expand_dims(b, axis=[-1]) if vector else b
    found: list[Any] = [None] * n
    for k in range(n) if lower else range(n - 1, -1, -1):
        total = columns[..., k, :]
        for j in range(k) if lower else range(k + 1, n):
            total = total - half[..., k, j : j + 1] * found[j]
        found[k] = total / half[..., k, k : k + 1]
    x = stack(found, axis=-2)
    return rows.squeeze(x, axis=[-1]) if vector else x


@keras_op
def qr(x: TensorLike, mode: str = "reduced") -> tuple[Tensor, Tensor]:
    """Orthonormal columns q and the triangle r of x = q r; `mode` 'reduced' or 'complete'.

    Args:
        x: Matrices (…, m, n).
        mode: `"reduced"` or `"complete"`.

    Returns:
        The pair (q, r).

    Example:
        >>> [part.shape for part in fastnn.ops.qr(np.ones((3, 2)))]
        [(3, 2), (2, 2)]
    """
    if mode not in ("reduced", "complete"):
        raise ValueError(f"qr: mode is {mode!r}\n  hint: 'reduced' or 'complete'")
    x = computed(x, "float32")
    if host.has_values(x):
        factor: Any = np.linalg.qr
        q, r = _on_values("qr", lambda a: tuple(factor(a, mode)), x)
        return q, r
    n, k = shape(x)[-2], shape(x)[-1]
    if mode == "complete" or n is None or k is None or k > n:
        raise _core.TraceError(
            f"qr: shape {shape(x)} in mode {mode!r} while a step is traced or a tape records\n"
            "  hint: mode='reduced' of matrices with no more columns than rows"
        )
    _composed("qr", k)
    # Householder's reflections, with LAPACK's signs, so both ways give one result.
    q = _c.broadcast_to(computed(np.eye(n, dtype=np.float32)), shape=[*shape(x)[:-1], n])
    r = x
    for i in range(k if k < n else n - 1):
        here = _unit(n, i)[:, 0]
        column = _c.where(np.arange(n) >= i, r[..., :, i], 0.0)
        size = norm(column, axis=-1, keepdims=True)
        first = r[..., i : i + 1, i]
        v = column + _c.where(first < 0.0, -size, size) * here
        v = _c.expand_dims(v / norm(v, axis=-1, keepdims=True), axis=[-1])
        turned = swapaxes(v, -2, -1)
        r = r - 2.0 * _c.matmul(v, _c.matmul(turned, r))
        q = q - 2.0 * _c.matmul(_c.matmul(q, v), turned)
    r = swapaxes(tril(swapaxes(r[..., :k, :], -2, -1)), -2, -1)
    return q[..., :k], r


@keras_op
def lstsq(a: TensorLike, b: TensorLike, rcond: float | None = None) -> Tensor:
    """The x with the smallest |a x - b|; of several the smallest one.

    Args:
        a: A matrix (m, n).
        b: A vector (m,) or columns (m, k).
        rcond: Singular values below this share of the largest count as 0.

    Returns:
        (n,) or (n, k).

    Example:
        >>> fastnn.ops.lstsq(np.array([[1.0], [1.0]]), np.array([1.0, 3.0])).numpy().round(4)
        array([2.], dtype=float32)
    """
    a, b = computed(a, "float32"), computed(b, "float32")
    if a.ndim != 2 or b.ndim not in (1, 2) or shape(a)[0] != shape(b)[0]:
        raise ShapeError(
            f"lstsq: a has shape {tuple(a.shape)}, b {tuple(b.shape)}, wanted a matrix and as many "
            "rows of b\n  hint: a (n, k), b (n,) or (n, m)"
        )
    if host.has_values(a, b):
        cut = np.finfo(np.float32).eps * np.max(a.shape) if rcond is None else rcond
        return _on_values("lstsq", lambda p, q: np.linalg.lstsq(p, q, cut)[0], a, b)
    q, r = qr(a)
    return solve_triangular(r, exact_matmul(swapaxes(q, -2, -1), b))


@keras_op
def matrix_power(x: TensorLike, n: int) -> Tensor:
    """Square matrices multiplied n times by themselves; the inverse for negative n.

    Args:
        x: Matrices (…, n, n).
        n: The power; negative for the inverse.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.matrix_power(np.array([[2.0, 0.0], [0.0, 3.0]]), 2).numpy()
        array([[4., 0.],
               [0., 9.]], dtype=float32)
    """
    x, size = _square("matrix_power", x)
    if n < 0:
        x, n = inv(x), -n
    out: Any = None
    while n:
        if n & 1:
            out = x if out is None else _c.matmul(out, x)
        n >>= 1
        x = _c.matmul(x, x) if n else x
    unit = computed(np.eye(size, dtype=np.float32))
    return _c.broadcast_to(unit, shape=list(x.shape)) if out is None else out


name_ops(globals())
