"""Products and norms, and the linear algebra of square matrices.

On known values NumPy computes in float64. While a step is traced, or a tape records, the same
functions are composed of rows by elimination, column by column, so gradients flow; a matrix may
have `LARGEST` columns there, because each column is a few nodes of the graph. `eigh`, `svd` and
the like are in `host`. Depends on `_core`, `host`, `shapes`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _core
from fastnn._core import Tensor
from fastnn.base.arguments import as_number, hints_arguments
from fastnn.config import COMPUTED
from fastnn.errors import ShapeError
from fastnn.ops import host, rows
from fastnn.ops.contract import einsum
from fastnn.ops.convert import Axis, TensorLike, computed, convert_to_tensor, shape
from fastnn.ops.diagonals import diagonal, tril
from fastnn.ops.elements import abs
from fastnn.ops.reduce import max, min, sum
from fastnn.ops.shapes import concatenate, moveaxis, place, reshape, stack, swapaxes
from fastnn.tracing.symbolic import keras_op

__all__ = [
    "cdist",
    "cholesky",
    "cholesky_inverse",
    "cross",
    "det",
    "inv",
    "jvp",
    "logdet",
    "lstsq",
    "matmul",
    "matrix_power",
    "norm",
    "outer",
    "qr",
    "slogdet",
    "solve",
    "solve_triangular",
    "vdot",
]

#: Columns of a matrix that is eliminated while a step is traced.
LARGEST = 64

_c = _core.ops


@keras_op
def matmul(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Matrix product over the last two axes, broadcast over the others; vectors as in NumPy.

    Args:
        x1: A tensor or array.
        x2: A tensor or array that broadcasts with `x1`.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.matmul(np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]])).numpy()
        array([[11.]], dtype=float32)
    """
    if (
        x1.__class__ is x2.__class__ is Tensor
        and x1.dtype == x2.dtype == "float32"
        and x1.ndim > 1
        and x2.ndim > 1
    ):
        return _c.matmul(x1, x2)
    # The product reads a right operand of a storage type as it lies in memory.
    a, b = computed(x1), convert_to_tensor(x2)
    if a.ndim == 0 or b.ndim == 0:
        raise ShapeError(
            f"matmul: got shapes {tuple(a.shape)} and {tuple(b.shape)}, wanted at least one axis\n"
            "  hint: multiply(x1, x2) for numbers"
        )
    row, column = a.ndim == 1, b.ndim == 1
    a = _c.expand_dims(a, axis=[0]) if row else a
    b = _c.expand_dims(b, axis=[1]) if column else b
    floats = "float32" in (a.dtype, COMPUTED.get(b.dtype, b.dtype))
    # Whole numbers stay whole, and exact.
    out = _c.matmul(a, b) if floats else einsum("...ij,...jk->...ik", a, b)
    gone = [-2] * row + [-1] * column
    return _c.squeeze(out, axis=gone) if gone else out


@keras_op
def outer(x1: TensorLike, x2: TensorLike) -> Tensor:
    """The products of all elements of `x1` with all of `x2`.

    Args:
        x1: A tensor or array.
        x2: A tensor or array that broadcasts with `x1`.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.outer(np.array([1.0, 2.0]), np.array([3.0, 4.0])).numpy()
        array([[3., 4.],
               [6., 8.]], dtype=float32)
    """
    return reshape(x1, (-1, 1)) * reshape(x2, (1, -1))


@keras_op
def vdot(x1: TensorLike, x2: TensorLike) -> Tensor:
    """The sum of the products of elements, both taken as vectors.

    Args:
        x1: A tensor or array.
        x2: A tensor or array that broadcasts with `x1`.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.vdot(np.array([1.0, 2.0]), np.array([3.0, 4.0])).numpy()
        np.float32(11.0)
    """
    return sum(reshape(x1, (-1,)) * reshape(x2, (-1,)))


def scale_of_squares(x: Tensor, axis: Axis = None) -> Tensor:
    """The power of two to multiply `x` by so that squares stay in the range of float32; mostly 1.

    One for each slice along `axis`, which stays with size 1. Squares of elements from 2^60 on
    overflow in a sum, small ones are lost. What was scaled is longer than 1e-12, unless it is 0.
    """
    if 0 in x.shape:
        return computed(1.0)
    return scale_for(max(abs(x), axis=axis, keepdims=True))


def shrink_for(epsilon: float) -> float:
    """The power of two to multiply by, before squares are added to epsilon times its square.

    Squares of values up to 1e30 stay finite, epsilon keeps its digits, and as powers of two are
    exact, values of ordinary size get the bits of the plain formula. 1 for an epsilon below 1e-13.
    """
    if epsilon < 2.0**-43:
        return 1.0
    bits = 56.0 + math.log2(epsilon) / 2
    return 2.0 ** -(46 if bits > 46 else int(bits))


def over_root_mean_square(d: Tensor, axis: Axis, epsilon: float) -> Tensor:
    """`1 / sqrt(mean(d²) + epsilon)` over `axis`, which stays with size 1, for `d` up to 1e30.

    NaN where squares overflow all the same; a plain root would make 0 of them, which nobody sees.
    """
    shrink: Any = shrink_for(float(epsilon))
    if shrink > 2.0**-46 and 0 not in d.shape:
        largest = max(abs(d), axis=axis, keepdims=True)
        # A small epsilon counts beside small squares; a tiny one lets them be scaled up.
        high = _c.where(largest > 2.0**60, 2.0**-76, 1.0)
        shrink = scale_for(largest) if epsilon < 2.0**-100 else high
    power = _c.mean(_c.square(d * shrink), axis=axis, keepdims=True)
    return _c.rsqrt(_finite(power) + epsilon * shrink * shrink) * shrink


def _finite(x: Tensor) -> Tensor:
    return _c.where(_c.equal(x, np.inf), math.nan, x)


def scale_for(largest: Tensor) -> Tensor:
    """As `scale_of_squares`, from the size of the largest element."""
    tiny = _c.where(largest > 0.0, 2.0**96, 1.0)
    small = _c.where(largest < 2.0**-80, tiny, _c.where(largest < 2.0**-30, 2.0**60, 1.0))
    return _c.where(largest > 2.0**60, 2.0**-76, small)


@keras_op
def norm(x: TensorLike, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The norm of vectors along one axis or of matrices over two; of all elements when None.

    Vectors know every number and +-inf as `ord`, matrices 'fro', 1, -1, inf, -inf, and on values 2,
    -2 and 'nuc', which need singular values. Where a norm is 0 its gradient is 0.

    Args:
        x: A tensor or array.
        ord: Which norm; None: the Euclidean one.
        axis: The axis or axes; None: all of them.
        keepdims: Whether the axes stay with size 1.

    Returns:
        A tensor without `axis`, or with size 1 there when `keepdims` is set.

    Example:
        >>> fastnn.ops.norm(np.array([3.0, 4.0])).numpy()
        np.float32(5.0)
    """
    x = computed(x, "float32")
    axes = _norm_axes(x, ord, axis)
    if ord in (None, "fro", "euclidean") or (ord == 2 and len(axes) != 2) or ord == "l2":
        scale = scale_of_squares(x, axis)
        length = _root(sum(_c.square(x * scale), axis=axis, keepdims=True)) / scale
        return length if keepdims else sum(length, axis=axis)
    a = abs(x)
    if len(axes) == 1:
        if ord in (np.inf, -np.inf):
            return (max if ord > 0 else min)(a, axis=axis, keepdims=keepdims)
        if ord == 0:
            return sum(rows.cast(_c.not_equal(x, 0.0), dtype="float32"), axis, keepdims)
        if ord == 1:
            return sum(a, axis=axis, keepdims=keepdims)
        if isinstance(ord, int | float):
            # In units of the element that counts most, as powers leave the range sooner than norms.
            unit = max(a, axis=axis, keepdims=True) if ord > 0 else min(a, axis=axis, keepdims=True)
            usable = _c.logical_and(unit > 0.0, unit < np.inf)
            unit = _c.stop_gradient(_c.where(usable, unit, 1.0))
            length = unit * _root(sum(_c.power(a / unit, ord), axis=axis, keepdims=True), ord)
            return length if keepdims else sum(length, axis=axis)
    elif ord in (1, -1, np.inf, -np.inf):
        over, then = axes if ord in (1, -1) else axes[::-1]
        totals = sum(a, axis=over, keepdims=True)
        out = (max if ord > 0 else min)(totals, axis=then, keepdims=True)
        return out if keepdims else rows.squeeze(out, axis=list(axes))
    elif ord in (2, -2, "nuc"):
        value = host.value(f"norm with ord={ord!r}", x)
        return host.tensor(np.linalg.norm(value.astype(np.float64), ord, axes, keepdims))
    raise ValueError(
        f"norm: ord {ord!r} is not known for {len(axes)} axes\n"
        "  hint: None, 'fro', 1, 2, inf; any number for vectors, 'nuc' for matrices"
    )


def _root(x: Tensor, degree: float = 2) -> Tensor:
    """The root of `degree`, with gradient 0 at 0, where its own would make NaN of a norm's."""
    flat = _c.equal(x, 0.0)
    safe = _c.where(flat, 1.0, x)
    root = _c.sqrt(safe) if degree == 2 else _c.power(safe, 1.0 / degree)
    return _c.where(flat, 0.0 if degree > 0 else _c.power(x, 1.0 / degree), root)


def _norm_axes(x: Any, ord: Any, axis: Axis) -> tuple[int, ...]:
    axis = as_number(axis)
    axes = (
        tuple(range(x.ndim)) if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
    )
    if ord is None or len(axes) in (1, 2):
        return tuple(place("norm", a, shape(x)) for a in axes)
    raise ShapeError(
        f"norm: ord={ord!r} over {len(axes)} axes of shape {tuple(x.shape)}\n"
        "  hint: axis=-1 for vectors, axis=(-2, -1) for matrices"
    )


@keras_op
def cross(
    x1: TensorLike, x2: TensorLike, axisa: int = -1, axisb: int = -1, axisc: int = -1,
    axis: int | None = None,
) -> Tensor:  # fmt: skip
    """The cross product of vectors of two or three numbers along an axis.

    Args:
        x1: A tensor or array.
        x2: A tensor or array that broadcasts with `x1`.
        axisa: The axes of the vectors in x1, in x2 and in the result.
        axisb: The axes of the vectors in x1, in x2 and in the result.
        axisc: The axes of the vectors in x1, in x2 and in the result.
        axis: One axis for all three.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.cross(np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0])).numpy()
        array([0., 0., 1.], dtype=float32)
    """
    if axis is not None:
        axisa = axisb = axisc = axis
    a = moveaxis(computed(x1), axisa, -1)
    b = moveaxis(computed(x2), axisb, -1)
    n, m = shape(a)[-1], shape(b)[-1]
    if n not in (2, 3) or m not in (2, 3):
        raise ShapeError(
            f"cross: the vectors have {n} and {m} numbers, wanted 2 or 3\n  hint: look at the axis"
        )
    ax, ay, az = (a[..., i] if i < n else 0 * a[..., 0] for i in range(3))
    bx, by, bz = (b[..., i] if i < m else 0 * b[..., 0] for i in range(3))
    if n == m == 2:
        return ax * by - ay * bx
    out = stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=-1)
    return moveaxis(out, -1, axisc)


@keras_op
def cdist(x: TensorLike, y: TensorLike) -> Tensor:
    """Euclidean distances between the rows of x and those of y.

    Args:
        x: Points (n, k).
        y: Points (m, k).

    Returns:
        Distances (n, m).

    Example:
        >>> fastnn.ops.cdist(np.array([[0.0, 0.0]]), np.array([[3.0, 4.0]])).numpy()
        array([[5.]], dtype=float32)
    """
    a = _c.expand_dims(computed(x, "float32"), axis=[-2])
    b = _c.expand_dims(computed(y, "float32"), axis=[-3])
    return norm(a - b, axis=-1)


# ---- square matrices ---------------------------------------------------------------------------


def _square(name: str, x: Any) -> tuple[Any, int]:
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
    return solve_triangular(r, matmul(swapaxes(q, -2, -1), b))


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


@hints_arguments
def jvp(fun: Any, primals: Any, tangents: Any, has_aux: bool = False) -> Any:
    """`fun(*primals)` and its derivative in the direction of `tangents`.

    Computed as the gradient of a gradient, so it takes about three passes.

    Args:
        fun: A function of tensors.
        primals: Its arguments, as a tuple.
        tangents: A direction for each argument.
        has_aux: Whether `fun` gives something besides.

    Returns:
        The value and its derivative in that direction.

    Example:
        >>> [float(part) for part in fastnn.ops.jvp(lambda x: x * x, (3.0,), (1.0,))]
        [9.0, 6.0]
    """
    xs = [computed(x, "float32") for x in primals]
    vs = [computed(v, "float32") for v in tangents]
    recording = _core.Recording()
    for x in xs:
        recording.watch(x)
    recording.start()
    try:
        result = fun(*xs)
        out, aux = result if has_aux else (result, None)
        # The gradient by `out` weighted with this is linear in it, so its value does not matter.
        weight = _c.multiply(_c.stop_gradient(out), 0.0)
        recording.watch(weight)
        total: Any = 0.0
        for g, v in zip(_core.gradients(out, xs, weight), vs, strict=True):
            total = total + sum(g * v)
        (tangent,) = _core.gradients(total, [weight])
    finally:
        recording.stop()
    return (out, tangent, aux) if has_aux else (out, tangent)


if TYPE_CHECKING:  # the package answers with its own names

    def __getattr__(name: str) -> Any: ...
