"""Products of tensors, norms and derivatives along a direction.

Matrices that are solved, inverted or factored are in `matrices`. Depends on `_core`, `contract`,
`shapes`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _core
from fastnn._core import Tensor
from fastnn.base.absent import answer_from
from fastnn.base.arguments import as_number, hints_arguments
from fastnn.config import COMPUTED
from fastnn.errors import ShapeError
from fastnn.ops import contract, host, rows
from fastnn.ops.contract import einsum, product, set_precision
from fastnn.ops.convert import Axis, TensorLike, computed, convert_to_tensor, shape
from fastnn.ops.elements import abs
from fastnn.ops.families import name_ops
from fastnn.ops.reduce import max, min, sum
from fastnn.ops.shapes import moveaxis, places, reshape, stack
from fastnn.tracing.symbolic import keras_op

__all__ = [
    "cdist",
    "cross",
    "jvp",
    "matmul",
    "norm",
    "outer",
    "vdot",
]


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
        return product(x1, x2) if contract.rounding else _c.matmul(x1, x2)
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
    out = product(a, b) if floats else einsum("...ij,...jk->...ik", a, b)
    gone = [-2] * row + [-1] * column
    return _c.squeeze(out, axis=gone) if gone else out


def exact_matmul(x1: TensorLike, x2: TensorLike) -> Tensor:
    """`matmul` in float32 whatever the policy: where a product is a step of another operation."""
    before = set_precision("float32")
    try:
        return matmul(x1, x2)
    finally:
        set_precision(before)


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
    ord = as_number(ord)
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


def _norm_axes(x: TensorLike, ord: Any, axis: Axis) -> tuple[int, ...]:
    axes = tuple(places("norm", axis, shape(x)))
    if ord is None or len(axes) in (1, 2):
        return axes
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
        axisa: The axis of the vectors in x1.
        axisb: The axis of the vectors in x2.
        axisc: Where the axis of the vectors stands in the result.
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


name_ops(globals())
answer_from(globals(), "fastnn.ops")
