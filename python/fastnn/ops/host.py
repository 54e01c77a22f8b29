"""Functions that NumPy computes on values, because the core has no row for them.

They take tensors, arrays and variables whose values are known; while a step is traced, on symbolic
tensors, or where a gradient would have to pass, they raise TraceError. Integers come back as int32,
floats as float32. Depends on `_core`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from fastnn import _core
from fastnn._core import Tensor
from fastnn.base.arguments import as_number, hints_arguments
from fastnn.base.typing import TensorLike
from fastnn.config import COMPUTED
from fastnn.errors import TraceError
from fastnn.ops.families import name_ops
from fastnn.ops.shapes import place
from fastnn.tracing.symbolic import KerasTensor
from fastnn.tracing.variables import Variable

__all__ = [
    "bitwise_and",
    "bitwise_invert",
    "bitwise_left_shift",
    "bitwise_not",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "eig",
    "eigh",
    "gcd",
    "histogram",
    "lcm",
    "left_shift",
    "lu_factor",
    "matrix_rank",
    "nextafter",
    "nonzero",
    "pinv",
    "right_shift",
    "svd",
    "unique",
    "unravel_index",
]

F = TypeVar("F", bound=Callable[..., Any])


def has_values(*xs: Any) -> bool:
    """Whether every argument has values that nothing differentiates."""
    return not any(
        isinstance(x, KerasTensor) or (isinstance(x, Tensor) and (x.is_traced or x.is_recorded))
        for x in (x.value if isinstance(x, Variable) else x for x in xs)
    )


def value(name: str, x: TensorLike) -> Any:
    """`x` as a NumPy array; `name` is the function that asks."""
    if isinstance(x, Variable):
        x = x.value
    if not has_values(x):
        why = (
            "a gradient tape records it, and this function has no derivative"
            if isinstance(x, Tensor) and not x.is_traced
            else "it is being traced and has no values yet"
        )
        mend = (
            "fastnn.ops.stop_gradient(x) where no gradient is needed"
            if isinstance(x, Tensor) and not x.is_traced
            else "call it on arrays, before or after the model, the loss or the jit function"
        )
        raise TraceError(
            f"{name}: NumPy computes it on values, got a tensor of shape {tuple(x.shape)}: {why}\n"
            f"  hint: {mend}"
        )
    if isinstance(x, Tensor):
        wide = COMPUTED.get(x.dtype)
        x = (x if wide is None else x.astype(wide)).numpy()
    return np.asarray(x)


def tensor(x: TensorLike) -> Tensor:
    """A NumPy result as a tensor: whole numbers as int32, floats as float32."""
    a = np.asarray(x)
    if a.dtype.kind in "iu":
        a = a.astype(np.int32)
    elif a.dtype.kind == "f":
        a = a.astype(np.float32)
    return _core.tensor(np.ascontiguousarray(a).reshape(a.shape))


def on_values(fn: F) -> F:
    """Makes a function of NumPy arrays one of tensors: its positional arguments are converted."""

    @functools.wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        out = fn(*(value(fn.__name__, x) for x in args), **kwargs)
        if isinstance(out, tuple):
            return tuple(tensor(x) for x in out)
        return tensor(out)

    return call  # type: ignore[return-value]


def _square(name: str, x: TensorLike) -> Any:
    from fastnn.errors import ShapeError

    a = np.asarray(x, np.float64)
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise ShapeError(
            f"{name}: got shape {a.shape}, wanted square matrices in the last two axes\n"
            "  hint: reshape it to (..., n, n)"
        )
    return a


def _converges(name: str, compute: Callable[[], Any]) -> Any:
    try:
        return compute()
    except np.linalg.LinAlgError as error:
        raise ValueError(
            f"{name}: {str(error).lower()}\n  hint: look for NaN and infinities in the matrix"
        ) from error


# ---- matrices --------------------------------------------------------------------------------


@hints_arguments
@on_values
def eigh(x: TensorLike) -> Any:
    """Eigenvalues, smallest first, and eigenvectors (columns) of symmetric matrices.

    Args:
        x: Symmetric matrices (…, n, n).

    Returns:
        Eigenvalues (…, n) and eigenvectors (…, n, n).

    Example:
        >>> fastnn.ops.eigh(np.array([[2.0, 0.0], [0.0, 3.0]]))[0].numpy()
        array([2., 3.], dtype=float32)
    """
    a = _square("eigh", x)
    return tuple(_converges("eigh", lambda: np.linalg.eigh(a)))


@hints_arguments
@on_values
def eig(x: TensorLike) -> Any:
    """Eigenvalues and eigenvectors (columns) of matrices; they must be real.

    Args:
        x: Matrices (…, n, n).

    Returns:
        Eigenvalues (…, n) and eigenvectors (…, n, n).

    Example:
        >>> fastnn.ops.eig(np.array([[2.0, 0.0], [0.0, 3.0]]))[0].numpy()
        array([2., 3.], dtype=float32)
    """
    a = _square("eig", x)
    w, v = _converges("eig", lambda: np.linalg.eig(a))
    if np.iscomplexobj(w) and np.abs(w.imag).max(initial=0.0) > 0:
        raise ValueError(
            "eig: an eigenvalue is complex, and fastnn has no complex numbers\n"
            "  hint: numpy.linalg.eig(x), or eigh for a symmetric matrix"
        )
    return w.real, v.real


@hints_arguments
def svd(x: TensorLike, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """Singular value decomposition `u, s, vh`, or `s` alone.

    Args:
        x: Matrices (…, m, n).
        full_matrices: Whether u and vh are square.
        compute_uv: Whether u and vh are given.

    Returns:
        (u, s, vh), or s alone.

    Example:
        >>> fastnn.ops.svd(np.array([[2.0, 0.0], [0.0, 3.0]]))[1].numpy()
        array([3., 2.], dtype=float32)
    """
    a = np.asarray(value("svd", x), np.float64)
    factor: Any = np.linalg.svd
    out: Any = _converges("svd", lambda: factor(a, full_matrices, compute_uv))
    return tuple(tensor(part) for part in out) if compute_uv else tensor(out)


@hints_arguments
@on_values
def lu_factor(x: TensorLike) -> Any:
    """LU decomposition with row exchanges, packed in one matrix, and the exchanges, as SciPy's.

    Args:
        x: Matrices (…, n, n).

    Returns:
        The packed factors (…, n, n) and the exchanges (…, n).

    Example:
        >>> fastnn.ops.lu_factor(np.array([[2.0, 1.0], [1.0, 1.0]]))[1].numpy()
        array([0, 1], dtype=int32)
    """
    a = _square("lu_factor", x).copy()
    n = a.shape[-1]
    flat = a.reshape(-1, n, n)
    pivots = np.zeros((len(flat), n), np.int32)
    for m, p in zip(flat, pivots, strict=True):
        for k in range(n):
            at = k + int(np.argmax(np.abs(m[k:, k])))
            p[k] = at
            m[[k, at]] = m[[at, k]]
            if m[k, k] != 0:
                m[k + 1 :, k] /= m[k, k]
                m[k + 1 :, k + 1 :] -= np.outer(m[k + 1 :, k], m[k, k + 1 :])
    return flat.reshape(a.shape), pivots.reshape(a.shape[:-1])


@hints_arguments
def matrix_rank(x: TensorLike, tol: float | None = None) -> Tensor:
    """The number of singular values above `tol`.

    Args:
        x: Matrices (…, m, n).
        tol: Singular values up to it count as 0.

    Returns:
        Ranks, an int32 tensor.

    Example:
        >>> int(fastnn.ops.matrix_rank(np.array([[1.0, 0.0], [0.0, 0.0]])))
        1
    """
    a = value("matrix_rank", x).astype(np.float32)
    return tensor(np.linalg.matrix_rank(a, tol))


@hints_arguments
def pinv(x: TensorLike, rcond: float | None = None) -> Tensor:
    """The Moore-Penrose inverse by singular values.

    Args:
        x: Matrices (…, m, n).
        rcond: Singular values below this share of the largest count as 0.

    Returns:
        Matrices (…, n, m).

    Example:
        >>> fastnn.ops.pinv(np.array([[2.0, 0.0], [0.0, 4.0]])).numpy().round(4)
        array([[0.5 , 0.  ],
               [0.  , 0.25]], dtype=float32)
    """
    a = np.asarray(value("pinv", x), np.float64)
    cut = np.finfo(np.float32).eps * max(a.shape[-2:]) if rcond is None else rcond
    return tensor(_converges("pinv", lambda: np.linalg.pinv(a, cut)))


# ---- whole numbers ---------------------------------------------------------------------------


def _bits(name: str, numpy_name: str, doc: str) -> Callable[..., Tensor]:
    function = getattr(np, numpy_name)

    def call(x: TensorLike, y: TensorLike) -> Tensor:
        a, b = value(name, x), value(name, y)
        for given in (a, b):
            if given.dtype.kind not in "iub":
                raise TypeError(
                    f"{name}: got {given.dtype}, wanted whole numbers or truth values\n"
                    "  hint: fastnn.ops.cast(x, 'int32')"
                )
        return tensor(function(_narrow(a), _narrow(b)))

    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc
    return hints_arguments(call)


def _narrow(a: Any) -> Any:
    return a if a.dtype == np.bool_ else a.astype(np.int32)


bitwise_and: Callable[..., Tensor] = _bits(
    "bitwise_and",
    "bitwise_and",
    """The bits that both numbers have.

    Args:
        x: A tensor or array.
        y: A tensor or array that broadcasts with `x`.

    Returns:
        A tensor of the common shape.

    Example:
        >>> fastnn.ops.bitwise_and(np.array([6]), np.array([3])).numpy()
        array([2], dtype=int32)
    """,
)
bitwise_or: Callable[..., Tensor] = _bits(
    "bitwise_or",
    "bitwise_or",
    """The bits that either number has.

    Args:
        x: A tensor or array.
        y: A tensor or array that broadcasts with `x`.

    Returns:
        A tensor of the common shape.

    Example:
        >>> fastnn.ops.bitwise_or(np.array([6]), np.array([3])).numpy()
        array([7], dtype=int32)
    """,
)
bitwise_xor: Callable[..., Tensor] = _bits(
    "bitwise_xor",
    "bitwise_xor",
    """The bits that one number has alone.

    Args:
        x: A tensor or array.
        y: A tensor or array that broadcasts with `x`.

    Returns:
        A tensor of the common shape.

    Example:
        >>> fastnn.ops.bitwise_xor(np.array([6]), np.array([3])).numpy()
        array([5], dtype=int32)
    """,
)
bitwise_left_shift: Callable[..., Tensor] = _bits(
    "bitwise_left_shift",
    "left_shift",
    """`x` times 2^y, by its bits.

    Args:
        x: A tensor or array.
        y: A tensor or array that broadcasts with `x`.

    Returns:
        A tensor of the common shape.

    Example:
        >>> fastnn.ops.bitwise_left_shift(np.array([3]), np.array([2])).numpy()
        array([12], dtype=int32)
    """,
)
bitwise_right_shift: Callable[..., Tensor] = _bits(
    "bitwise_right_shift",
    "right_shift",
    """`x` over 2^y, by its bits.

    Args:
        x: A tensor or array.
        y: A tensor or array that broadcasts with `x`.

    Returns:
        A tensor of the common shape.

    Example:
        >>> fastnn.ops.bitwise_right_shift(np.array([12]), np.array([2])).numpy()
        array([3], dtype=int32)
    """,
)
left_shift = bitwise_left_shift
right_shift = bitwise_right_shift
gcd: Callable[..., Tensor] = _bits(
    "gcd",
    "gcd",
    """The greatest common divisor.

    Args:
        x: A tensor or array.
        y: A tensor or array that broadcasts with `x`.

    Returns:
        A tensor of the common shape.

    Example:
        >>> fastnn.ops.gcd(np.array([12]), np.array([18])).numpy()
        array([6], dtype=int32)
    """,
)
lcm: Callable[..., Tensor] = _bits(
    "lcm",
    "lcm",
    """The least common multiple.

    Args:
        x: A tensor or array.
        y: A tensor or array that broadcasts with `x`.

    Returns:
        A tensor of the common shape.

    Example:
        >>> fastnn.ops.lcm(np.array([4]), np.array([6])).numpy()
        array([12], dtype=int32)
    """,
)


@hints_arguments
@on_values
def bitwise_not(x: TensorLike) -> Any:
    """All bits turned round.

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.ops.bitwise_invert(np.array([0, 5])).numpy()
        array([-1, -6], dtype=int32)
    """
    if x.dtype.kind not in "iub":
        raise TypeError(
            f"bitwise_not: got {x.dtype}, wanted whole numbers or truth values\n"
            "  hint: fastnn.ops.cast(x, 'int32')"
        )
    return np.invert(_narrow(x))


bitwise_invert = bitwise_not


# ---- sizes that depend on values -------------------------------------------------------------


@hints_arguments
@on_values
def nonzero(x: TensorLike) -> Any:
    """The positions of elements that are not zero, one vector per axis.

    Args:
        x: A tensor or array.

    Returns:
        A tuple of positions, one int32 vector an axis.

    Example:
        >>> [axis.numpy().tolist() for axis in fastnn.ops.nonzero(np.array([0, 3, 0, 5]))]
        [[1, 3]]
    """
    return tuple(np.nonzero(np.atleast_1d(x)))


@hints_arguments
def unique(
    x: TensorLike,
    sorted: bool = True,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    size: int | None = None,
    fill_value: Any = None,
) -> Any:
    """The distinct elements (slices along `axis`), sorted; padded or cut to `size` when given.

    Args:
        x: A tensor or array.
        sorted: Accepted for Keras's sake: the elements are sorted.
        return_index: Whether the first position of each is given.
        return_inverse: Whether the number of each element is given.
        return_counts: Whether it is given how often each occurs.
        axis: Along which slices are compared; None: of the flat array.
        size: How many are given; None: all.
        fill_value: What pads to `size`.

    Returns:
        The elements, and in a tuple what else is asked for.

    Example:
        >>> fastnn.ops.unique(np.array([3, 1, 3])).numpy()
        array([1, 3], dtype=int32)
    """
    a = value("unique", x)
    axis = None if axis is None else place("unique", axis, a.shape)
    distinct: Any = np.unique
    found = distinct(a, return_index, return_inverse, return_counts, axis=axis)
    parts = list(found) if isinstance(found, tuple) else [found]
    if return_inverse:
        at = 2 if return_index else 1
        parts[at] = parts[at].reshape(a.shape if axis is None else (a.shape[axis],))
    if size is not None:
        for i in range(len(parts)):
            if return_inverse and i == (2 if return_index else 1):
                continue
            at = 0 if i or axis is None else axis
            kept = np.take(parts[i], range(min(size, parts[i].shape[at])), axis=at)
            pad = [(0, 0)] * kept.ndim
            pad[at] = (0, size - kept.shape[at])
            first = np.take(parts[i], [0], axis=at).min() if parts[i].size else 0
            fill = (first if fill_value is None else fill_value) if i == 0 else 0
            parts[i] = np.pad(kept, pad, constant_values=fill)
    out = tuple(tensor(p) for p in parts)
    return out if len(out) > 1 else out[0]


@hints_arguments
def histogram(x: TensorLike, bins: int = 10, range: tuple[float, float] | None = None) -> Any:
    """Counts of elements in `bins` equal intervals, and the edges of the intervals.

    Args:
        x: A tensor or array.
        bins: How many intervals.
        range: The lowest and the highest end; None: of the data.

    Returns:
        Counts (bins,) and edges (bins + 1,).

    Example:
        >>> counts, edges = fastnn.ops.histogram(np.array([0.0, 1.0, 1.0]), bins=2)
        >>> counts.numpy(), edges.numpy()
        (array([1, 2], dtype=int32), array([0. , 0.5, 1. ], dtype=float32))
    """
    a = value("histogram", x)
    bins = as_number(bins)
    if not isinstance(bins, int) or bins < 1:
        raise ValueError(f"histogram: bins is {bins!r}, wanted a count\n  hint: bins=10")
    if range is not None and range[0] > range[1]:
        raise ValueError(f"histogram: range {range} ends before it starts\n  hint: (low, high)")
    counts, edges = np.histogram(a, bins, range)
    return tensor(counts), tensor(edges)


@hints_arguments
def unravel_index(indices: TensorLike, shape: Any) -> Any:
    """Positions per axis of flat positions in an array of `shape`; negative ones count back.

    Args:
        indices: Flat positions.
        shape: The sizes of the array.

    Returns:
        A tuple of positions, one tensor an axis.

    Example:
        >>> [axis.numpy().tolist() for axis in fastnn.ops.unravel_index(np.array([5]), (2, 3))]
        [[1], [2]]
    """
    at = value("unravel_index", indices)
    total = int(np.prod(shape))
    if at.size and (at.min() < -total or at.max() >= total):
        raise ValueError(
            f"unravel_index: position {at.flat[np.argmax(np.abs(at))]} is outside an array of "
            f"shape {tuple(shape)}\n  hint: positions lie below {total}"
        )
    return tuple(tensor(i) for i in np.unravel_index(at % max(total, 1), tuple(shape)))


@hints_arguments
@on_values
def nextafter(x1: TensorLike, x2: TensorLike) -> Any:
    """The float32 after x1 in the direction of x2.

    Args:
        x1: A tensor or array.
        x2: A tensor or array that broadcasts with `x1`.

    Returns:
        A tensor of the common shape.

    Example:
        >>> bool(fastnn.ops.nextafter(np.array([1.0]), np.array([2.0])).numpy()[0] > 1)
        True
    """
    return np.nextafter(x1.astype(np.float32), x2.astype(np.float32))


name_ops(globals())
