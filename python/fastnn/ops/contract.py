"""Contractions by subscripts and by axes: `einsum`, `tensordot`, `dot`, `inner`.

Each pair of operands becomes one matrix product over axes moved into place, so that derivatives
and kernels are those of `matmul`. Depends on `_core`, `shapes`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from fastnn import _core
from fastnn._core import Tensor
from fastnn.base.arguments import as_number
from fastnn.errors import ShapeError
from fastnn.ops.convert import TensorLike, cast, computed, ndim, shape
from fastnn.ops.diagonals import diagonal
from fastnn.ops.families import name_ops
from fastnn.ops.shapes import reshape, transpose
from fastnn.tracing.symbolic import keras_op

__all__ = ["dot", "einsum", "inner", "tensordot"]

_c = _core.ops
Labels = list[str]


#: Whether a layer of this process has rounded products; until then nobody asks for the precision.
rounding = False


def set_precision(name: str) -> str:
    """Sets what products of this thread may round their operands to; gives what it was."""
    global rounding
    rounding = rounding or name != "float32"
    return _core.product_precision(name) if rounding else "float32"


def product(a: Any, b: Any) -> Any:
    """`_c.matmul`, of operands that may be rounded as the policy of the layer around says."""
    if not rounding or (precision := _core.product_precision()) == "float32":
        return _c.matmul(a, b)
    return _c.matmul(a, b, precision=precision)


@keras_op
def einsum(subscripts: str, *operands: TensorLike, **kwargs: Any) -> Tensor:
    """Products of tensors summed over axes: `einsum("bij,bjk->bik", x, y)`.

    Repeated letters of an operand take its diagonal, `...` stands for the axes that are not named,
    and without `->` the letters that occur once stand in the result in alphabetical order.

    Args:
        subscripts: The letters of the axes, as in NumPy.
        *operands: Tensors or arrays.
        **kwargs: Accepted for the sake of Keras.

    Returns:
        A tensor.

    Example:
        >>> x, v = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1.0, 1.0])
        >>> fastnn.ops.einsum("ij,j->i", x, v).numpy()
        array([3., 7.], dtype=float32)
    """
    if set(kwargs) - {"optimize"}:
        raise TypeError(f"einsum got {', '.join(kwargs)}\n  hint: einsum(subscripts, *operands)")
    tensors = [computed(x) for x in operands]
    labels, out = _parsed(subscripts, tensors)
    for i, (x, names) in enumerate(zip(tensors, labels, strict=True)):
        tensors[i], labels[i] = _without_repeats(x, names)
    _check_sizes(subscripts, tensors, labels)
    dtypes = [x.dtype for x in tensors]
    dtype = "float32" if "float32" in dtypes else "int32"
    tensors = [cast(x, dtype) for x in tensors]
    x, names = tensors[0], labels[0]
    for i in range(1, len(tensors)):
        later = {n for rest in labels[i + 1 :] for n in rest} | set(out)
        x, names = _pair(x, names, tensors[i], labels[i], later)
    x, names = _summed(x, names, set(out))
    return transpose(x, [names.index(n) for n in out]) if names != out else x


def _parsed(subscripts: str, tensors: list[Any]) -> tuple[list[Labels], Labels]:
    if not isinstance(subscripts, str):
        raise TypeError(
            f"einsum: the subscripts are a {type(subscripts).__name__}, wanted text\n"
            "  hint: einsum('ij,jk->ik', a, b)"
        )
    text = subscripts.replace(" ", "")
    left, arrow, right = text.partition("->")
    parts = left.split(",")
    if len(parts) != len(tensors) or not re.fullmatch(r"[A-Za-z.,]*", left + right):
        raise ValueError(
            f"einsum: {subscripts!r} has {len(parts)} terms for {len(tensors)} tensors\n"
            "  hint: one term of letters per tensor, separated by commas: 'ij,jk->ik'"
        )
    labels = []
    for i, (part, x) in enumerate(zip(parts, tensors, strict=True)):
        before, dots, after = part.partition("...")
        named = len(before) + len(after)
        if "." in before + after or named > x.ndim or (not dots and named != x.ndim):
            raise ShapeError(
                f"einsum: term {part!r} of {subscripts!r} does not name the axes of operand {i}, "
                f"which has shape {tuple(x.shape)}\n  hint: one letter per axis, or '...'"
            )
        rest = x.ndim - named
        labels.append([*before, *(f"...{rest - j}" for j in range(rest)), *after])
    every = [n for names in labels for n in names]
    dotted = sorted({n for n in every if n.startswith("...")}, key=lambda n: -int(n[3:]))
    if arrow:
        before, dots, after = right.partition("...")
        if dotted and not dots:
            raise ValueError(
                f"einsum: {subscripts!r} has '...' in an operand and none in the result\n"
                "  hint: name the axes that are to be summed"
            )
        out = [*before, *(dotted if dots else []), *after]
        if len(set(out)) < len(out) or set(out) - set(every) or "." in before + after:
            raise ValueError(
                f"einsum: {right!r} repeats a letter or names one that no operand has\n"
                f"  hint: letters of {left!r}, each once"
            )
    else:
        out = [*dotted, *sorted(n for n in set(every) if len(n) == 1 and every.count(n) == 1)]
    return labels, out


def _without_repeats(x: TensorLike, names: Labels) -> tuple[Any, Labels]:
    for name in dict.fromkeys(names):
        while names.count(name) > 1:
            first = names.index(name)
            second = names.index(name, first + 1)
            if shape(x)[first] != shape(x)[second]:
                raise ShapeError(
                    f"einsum: {name!r} names axes of {shape(x)[first]} and {shape(x)[second]} in "
                    "one operand\n  hint: a diagonal needs two axes of one size"
                )
            x = diagonal(x, 0, first, second)
            names = [n for i, n in enumerate(names) if i not in (first, second)] + [name]
    return x, names


def _check_sizes(subscripts: str, tensors: list[Any], labels: list[Labels]) -> None:
    sizes: dict[str, tuple[Any, int]] = {}
    for i, (x, names) in enumerate(zip(tensors, labels, strict=True)):
        for name, size in zip(names, shape(x), strict=True):
            seen, where = sizes.setdefault(name, (size, i))
            if seen != size and None not in (seen, size) and 1 not in (seen, size):
                raise ShapeError(
                    f"einsum {subscripts!r}: axis {name!r} has size {seen} in operand {where} and "
                    f"{size} in operand {i}\n  hint: the same letter means the same size"
                )
            if seen == 1:
                sizes[name] = (size, i)


def _summed(x: TensorLike, names: Labels, keep: set[str]) -> tuple[Any, Labels]:
    """`x` summed over the axes that nobody asks for."""
    gone = [i for i, n in enumerate(names) if n not in keep]
    if not gone:
        return x, names
    return _c.sum(x, axis=gone), [n for n in names if n in keep]


def _pair(a: Any, la: Labels, b: Any, lb: Labels, later: set[str]) -> tuple[Any, Labels]:
    """The product of two operands, summed over what neither the result nor later ones name."""
    a, la = _summed(a, la, later | set(lb))
    b, lb = _summed(b, lb, later | set(la))
    size_a, size_b = (dict(zip(n, shape(x), strict=True)) for n, x in ((la, a), (lb, b)))
    both = [n for n in la if n in size_b]
    batch = [n for n in both if n in later]
    inner = [n for n in both if n not in later]
    free_a, free_b = ([n for n in names if n not in both] for names in (la, lb))
    out = [*batch, *free_a, *free_b]
    plain = a.dtype == "float32" and all(size_a[n] == size_b[n] for n in inner)
    if not inner or not plain or not (free_a or free_b):
        return _by_elements(a, la, b, lb, out, inner), out
    a = transpose(a, [la.index(n) for n in (*batch, *free_a, *inner)])
    b = transpose(b, [lb.index(n) for n in (*batch, *inner, *free_b)])
    a = _grouped(a, len(batch), len(free_a), len(inner))
    b = _grouped(b, len(batch), len(inner), len(free_b))
    made = product(a, b)
    sizes = list(shape(made)[:-2])
    if len(free_a) == 1 and len(free_b) == 1:
        return made, out
    sizes += [size_a[n] for n in free_a] + [size_b[n] for n in free_b]
    return reshape(made, sizes), out


def _grouped(x: TensorLike, batch: int, rows: int, columns: int) -> Any:
    """`x` with its axes after the batch ones joined to two."""
    if rows == columns == 1:
        return x
    sizes = list(shape(x))
    first, second = sizes[batch : batch + rows], sizes[batch + rows :]
    if rows == 1 and columns == 0:
        return _c.expand_dims(x, axis=[-1])
    if rows == 0 and columns == 1:
        return _c.expand_dims(x, axis=[-2])
    joined = [g[0] if len(g) == 1 else math.prod(g) for g in (first, second)]
    return reshape(x, [*sizes[:batch], *joined])


def _by_elements(a: Any, la: Labels, b: Any, lb: Labels, out: Labels, inner: Labels) -> Any:
    """The product with broadcasting: where nothing is summed, sizes are 1, or numbers are whole."""
    wanted = [*out, *inner]
    product = _spread(a, la, wanted) * _spread(b, lb, wanted)
    return _c.sum(product, axis=list(range(len(out), len(wanted)))) if inner else product


def _spread(x: TensorLike, names: Labels, wanted: Labels) -> Any:
    held = [n for n in wanted if n in names]
    x = transpose(x, [names.index(n) for n in held]) if held != names else x
    missing = [i for i, n in enumerate(wanted) if n not in names]
    return _c.expand_dims(x, axis=missing) if missing else x


@keras_op
def tensordot(x1: TensorLike, x2: TensorLike, axes: int | Sequence[Any] = 2) -> Tensor:
    """Products summed over axes: the last `axes` of x1 with the first of x2, or two lists.

    Args:
        x1: A tensor or array.
        x2: A tensor or array that broadcasts with `x1`.
        axes: How many axes, or two lists of them.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.tensordot(np.ones((2, 3)), np.ones((3, 4)), axes=1).shape
        (2, 4)
    """
    a, b = computed(x1), computed(x2)
    axes = as_number(axes)
    if isinstance(axes, int):
        over_a, over_b = list(range(a.ndim - axes, a.ndim)), list(range(axes))
    else:
        first, second = axes
        over_a = [first] if isinstance(first, int) else list(first)
        over_b = [second] if isinstance(second, int) else list(second)
    wrong = (
        (isinstance(axes, int) and axes < 0)
        or len(over_a) != len(over_b)
        or any(not -x.ndim <= i < x.ndim for x, over in ((a, over_a), (b, over_b)) for i in over)
    )
    if wrong:
        raise ShapeError(
            f"tensordot: axes {axes!r} do not fit shapes {tuple(a.shape)} and {tuple(b.shape)}\n"
            "  hint: axes=([axes of x1], [axes of x2])"
        )
    la: Labels = [f"a{i}" for i in range(a.ndim)]
    lb: Labels = [f"b{i}" for i in range(b.ndim)]
    for i, j in zip(over_a, over_b, strict=True):
        if None not in (a.shape[i], b.shape[j]) and a.shape[i] != b.shape[j]:
            raise ShapeError(
                f"tensordot: axis {i} of x1 has size {a.shape[i]}, axis {j} of x2 {b.shape[j]}\n"
                "  hint: summed axes must have one size"
            )
        lb[j % b.ndim] = la[i % a.ndim]
    summed = {la[i % a.ndim] for i in over_a}
    out = [n for n in (*la, *lb) if n not in summed]
    dtype = "float32" if "float32" in (a.dtype, b.dtype) else "int32"
    x, names = _pair(cast(a, dtype), la, cast(b, dtype), lb, set(out))
    return transpose(x, [names.index(n) for n in out]) if names != out else x


@keras_op
def dot(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Product over the last axis of x1 and the last but one (of a vector the only) of x2.

    Args:
        x1: A tensor or array.
        x2: A tensor or array that broadcasts with `x1`.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.dot(np.array([1.0, 2.0]), np.array([3.0, 4.0])).numpy()
        np.float32(11.0)
    """
    if ndim(x1) == 0 or ndim(x2) == 0:
        return computed(x1) * x2
    if ndim(x2) > 2:
        return tensordot(x1, x2, axes=(-1, -2))
    if ndim(x1) == 1 or ndim(x2) == 1 or {_kind(x1), _kind(x2)} <= {"int32", "bool"}:
        return tensordot(x1, x2, axes=(-1, max(ndim(x2) - 2, 0)))
    return product(x1, x2)


def _kind(x: TensorLike) -> str:
    return computed(x).dtype


@keras_op
def inner(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Product over the last axes of both.

    Args:
        x1: A tensor or array.
        x2: A tensor or array that broadcasts with `x1`.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.inner(np.array([1.0, 2.0]), np.array([3.0, 4.0])).numpy()
        np.float32(11.0)
    """
    if ndim(x1) == 0 or ndim(x2) == 0:
        return computed(x1) * x2
    return tensordot(x1, x2, axes=(-1, -1))


name_ops(globals())
