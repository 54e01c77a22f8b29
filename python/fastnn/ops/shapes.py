"""The same elements in another shape or order; tensors joined, cut and padded."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn import _core
from fastnn._core import Dim, Tensor
from fastnn.base.arguments import as_number, hints_arguments
from fastnn.base.tensors import TensorShape
from fastnn.errors import ShapeError
from fastnn.ops.convert import Axis, TensorLike, cast, convert_to_tensor, known_size, ndim, shape
from fastnn.ops.families import name_ops
from fastnn.ops.rows import expand_dims as _expand_dims
from fastnn.tracing.size_vectors import Sizes, joined_sizes, stacked_sizes
from fastnn.tracing.symbolic import KerasTensor, keras_op

__all__ = [
    "concatenate",
    "expand_dims",
    "get_item",
    "hstack",
    "moveaxis",
    "pad",
    "ravel",
    "reshape",
    "split",
    "squeeze",
    "stack",
    "swapaxes",
    "take",
    "transpose",
    "unstack",
    "vstack",
]

_c = _core.ops


@keras_op
def reshape(x: TensorLike, newshape: Sequence[int | None] | int) -> Tensor:
    """The same elements under another shape; one size may be -1, None is an open batch.

    Args:
        x: A tensor or array.
        newshape: The sizes; one may be -1 and follows from the others.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.reshape(np.arange(6), (2, -1)).shape
        (2, 3)
    """
    newshape = as_number(newshape)
    new = [newshape] if isinstance(newshape, int) else list(newshape)
    if any(d is None for d in new[1:]):
        raise ShapeError(
            f"reshape: the new shape {tuple(new)} leaves a size open that is not the batch\n"
            "  hint: one size may be -1: it is worked out from the others"
        )
    return _c.reshape(x, shape=new)


@keras_op
def transpose(x: TensorLike, axes: Sequence[int] | None = None) -> Tensor:
    """Axes in another order, reversed when None.

    Args:
        x: A tensor or array.
        axes: The axes in their new order; None: reversed.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.transpose(np.zeros((2, 3))).shape
        (3, 2)
    """
    order = list(axes) if axes is not None else list(range(ndim(x)))[::-1]
    return _c.transpose(x, axes=order)


@keras_op
def swapaxes(x: TensorLike, axis1: int, axis2: int) -> Tensor:
    """Two axes exchanged.

    Args:
        x: A tensor or array.
        axis1: The first of the two axes.
        axis2: The second.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.swapaxes(np.zeros((2, 3)), 0, 1).shape
        (3, 2)
    """
    order = list(range(ndim(x)))
    i, j = (place("swapaxes", a, shape(x)) for a in (axis1, axis2))
    order[i], order[j] = order[j], order[i]
    return _c.transpose(x, axes=order)


@keras_op
def moveaxis(
    x: TensorLike, source: int | Sequence[int], destination: int | Sequence[int]
) -> Tensor:
    """Axes moved to other places; the rest keeps its order.

    Args:
        x: A tensor or array.
        source: The axes to move.
        destination: Their new places.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.moveaxis(np.zeros((2, 3, 4)), 0, -1).shape
        (3, 4, 2)
    """
    rank = ndim(x)
    start, end = (places("moveaxis", v, shape(x)) for v in (source, destination))
    if len(start) != len(end):
        raise ValueError(
            f"moveaxis: source {source!r} and destination {destination!r} differ in their number "
            "of axes\n  hint: one new place for each axis"
        )
    order = [i for i in range(rank) if i not in start]
    for to, axis in sorted(zip(end, start, strict=True)):
        order.insert(to, axis)
    return _c.transpose(x, axes=order)


@keras_op
def ravel(x: TensorLike) -> Tensor:
    """All elements in one axis.

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.ops.ravel(np.array([[1, 2], [3, 4]])).numpy()
        array([1, 2, 3, 4], dtype=int32)
    """
    return _c.reshape(x, shape=[-1])


@keras_op
def squeeze(x: TensorLike, axis: Axis = None) -> Tensor:
    """Axes of size 1 removed.

    Args:
        x: A tensor or array.
        axis: Axes of size 1; None: all of them.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.squeeze(np.zeros((2, 1))).shape
        (2,)
    """
    if axis is None:
        gone = {i for i, d in enumerate(shape(x)) if d == 1}
    else:
        gone = set(places("squeeze", axis, shape(x)))
    return _c.squeeze(x, axis=sorted(gone)) if gone else convert_to_tensor(x)


def places(name: str, axis: Axis, sizes: Sequence[Any]) -> list[int]:
    """Axes counted from the front, all of them for None; one that `sizes` lacks is a ShapeError."""
    if axis is None:
        return list(range(len(sizes)))
    axis = as_number(axis)
    return [place(name, a, sizes) for a in (axis if hasattr(axis, "__iter__") else [axis])]


def place(name: str, axis: int, sizes: Sequence[Any]) -> int:
    """One axis counted from the front; a remainder would take axis 5 of three axes for axis 2."""
    rank, axis = len(sizes), as_number(axis)
    if not isinstance(axis, int):
        raise TypeError(
            f"{name}: axis is {axis!r}, wanted a whole number\n  hint: axis=-1 is the last one"
        )
    if not -rank <= axis < rank:
        given = ", ".join(str(d) for d in sizes) + ("," if rank == 1 else "")
        raise ShapeError(
            f"{name}: axis {axis} is out of range for shape ({given})\n  hint: "
            + (f"use -{rank} to {rank - 1}" if rank else "a tensor without axes has none")
        )
    return axis % rank


# ---- joining and cutting ---------------------------------------------------------------------


def _each(xs: Sequence[TensorLike]) -> Sequence[TensorLike]:
    """The tensors of a list; nested lists are tensors, which the core would take for a list."""
    if any(x.__class__ in (list, tuple, TensorShape, Sizes) for x in xs):
        return [convert_to_tensor(x) if isinstance(x, list | tuple) else x for x in xs]
    return xs


def _joined(xs: Sequence[TensorLike], axis: int = -1) -> Tensor:
    return _c.concatenate(*_each(xs), axis=axis)


_joined.__name__ = "concatenate"
#: `concatenate` as the graph of a model notes it, with the axis; files read it by this default.
joined = keras_op(_joined)


@hints_arguments
def concatenate(xs: Sequence[TensorLike], axis: int | None = 0) -> Tensor:
    """Tensors joined along an axis, the first unless told.

    Args:
        xs: Tensors whose other sizes agree.
        axis: The axis to join along; None joins them as flat ones.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.concatenate([np.array([1, 2]), np.array([3])]).numpy()
        array([1, 2, 3], dtype=int32)
    """
    if axis is None:
        xs, axis = [reshape(x, (-1,)) for x in xs], 0
    sizes = joined_sizes(xs) if axis in (0, -1) else None
    return joined(xs, axis=axis) if sizes is None else sizes  # type: ignore[return-value]


@hints_arguments
def expand_dims(x: TensorLike, axis: int | Sequence[int]) -> Tensor:
    """A new axis of size 1.

    Args:
        x: A tensor or array.
        axis: Where the new axis stands, or several such places.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.expand_dims(np.array([1.0, 2.0]), 0).shape
        (1, 2)
    """
    if x.__class__ is Dim and axis in (0, -1):
        return Sizes((x,))  # type: ignore[return-value]
    out: Any = _expand_dims(x, axis)
    if isinstance(x, KerasTensor) and x.dtype == "string":
        out.dtype = "string"  # the rule of sizes knows numbers alone
    return out


def _stacked(x: Sequence[TensorLike], axis: int = 0) -> Tensor:
    return _c.stack(*_each(x), axis=axis)


_stacked.__name__ = "stack"
_stack = keras_op(_stacked)


@hints_arguments
def stack(x: Sequence[TensorLike], axis: int = 0) -> Tensor:
    """Tensors joined along a new axis.

    Args:
        x: Tensors of one shape.
        axis: Where the new axis stands.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.stack([np.array([1, 2]), np.array([3, 4])]).numpy()
        array([[1, 2],
               [3, 4]], dtype=int32)
    """
    sizes = stacked_sizes(x) if axis in (0, -1) else None
    return _stack(x, axis=axis) if sizes is None else sizes  # type: ignore[return-value]


@keras_op
def hstack(xs: Sequence[TensorLike]) -> Tensor:
    """Tensors side by side: along the second axis, vectors along their only one.

    Args:
        xs: Tensors.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.hstack([np.array([1, 2]), np.array([3])]).numpy()
        array([1, 2, 3], dtype=int32)
    """
    tensors = [convert_to_tensor(x) for x in xs]
    return concatenate(tensors, axis=0 if ndim(tensors[0]) == 1 else 1)


@keras_op
def vstack(xs: Sequence[TensorLike]) -> Tensor:
    """Tensors below each other: along the first axis, vectors as rows.

    Args:
        xs: Tensors.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.vstack([np.array([1, 2]), np.array([3, 4])]).numpy()
        array([[1, 2],
               [3, 4]], dtype=int32)
    """
    tensors = [convert_to_tensor(x) for x in xs]
    rows = [_c.expand_dims(t, axis=0) if ndim(t) == 1 else t for t in tensors]
    return concatenate(rows, axis=0)


@keras_op
def split(x: TensorLike, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Tensor]:
    """`x` cut along an axis into equal sections or at positions.

    Args:
        x: A tensor or array.
        indices_or_sections: A number of equal sections, or the positions to cut at.
        axis: The axis that is cut.

    Returns:
        A list of tensors.

    Example:
        >>> [part.numpy().tolist() for part in fastnn.ops.split(np.array([1, 2, 3, 4]), 2)]
        [[1, 2], [3, 4]]
    """
    at = place("split", axis, shape(x))
    size = shape(x)[at]
    indices_or_sections = as_number(indices_or_sections)
    if isinstance(indices_or_sections, int):
        if indices_or_sections < 1:
            raise ValueError(
                f"split: got {indices_or_sections} sections, wanted 1 or more\n"
                "  hint: [k] cuts at position k"
            )
        if not isinstance(size, int):
            return _equal_parts(convert_to_tensor(x), indices_or_sections, at)
        if size % indices_or_sections:
            raise ValueError(
                f"split: {size} along axis {axis} is not a multiple of {indices_or_sections}\n"
                "  hint: give positions: split(x, [k1, k2], axis)"
            )
        step = size // indices_or_sections
        cuts = [i * step for i in range(indices_or_sections + 1)]
    else:
        cuts = [0, *indices_or_sections, size]
    x = convert_to_tensor(x)
    head = (slice(None),) * at
    return [x[(*head, slice(a, b))] for a, b in itertools.pairwise(cuts)]


def _equal_parts(x: Tensor, count: int, axis: int) -> list[Tensor]:
    """Equal sections of an open axis; that there are as many is seen once its size is known."""
    sizes = list(shape(x))
    sizes[axis : axis + 1] = [count, sizes[axis] // count]
    parts = _c.reshape(x, shape=sizes)
    head = (slice(None),) * axis
    return [parts[(*head, i)] for i in range(count)]


@keras_op
def unstack(x: TensorLike, num: int | None = None, axis: int = 0) -> list[Tensor]:
    """The slices of `x` along an axis.

    Args:
        x: A tensor or array.
        num: How many; None: the size of the axis.
        axis: The axis that is taken apart.

    Returns:
        A list of tensors.

    Example:
        >>> [row.numpy().tolist() for row in fastnn.ops.unstack(np.array([[1, 2], [3, 4]]))]
        [[1, 2], [3, 4]]
    """
    at = place("unstack", axis, shape(x))
    n = as_number(num) if num is not None else shape(x)[at]
    if not isinstance(n, int):
        raise ShapeError(
            f"unstack: the number of outputs is the size {n} of axis {axis}, open (None)\n"
            "  hint: give that axis a size in Input(shape=...)"
        )
    if not isinstance(shape(x)[axis], int):
        x = convert_to_tensor(x)
        head = (slice(None),) * at
        return [x[(*head, i)] for i in range(n)]
    return [squeeze(p, axis) for p in split(x, n, axis)]


#: Borders beside a constant, and what NumPy calls them.
_BORDERS = {"reflect": "reflect", "symmetric": "symmetric", "edge": "edge", "wrap": "wrap"}


@keras_op
def pad(
    x: TensorLike, pad_width: Any, mode: str = "constant", constant_values: float | None = None
) -> Tensor:
    """`x` with a border; `pad_width` and `mode` as in NumPy: a constant, or the elements within.

    Args:
        x: A tensor or array.
        pad_width: Elements before and after each axis, as in NumPy.
        mode: `"constant"`, `"reflect"`, `"symmetric"` or `"edge"`.
        constant_values: The constant; None: 0.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.pad(np.array([1, 2]), (1, 0)).numpy()
        array([0, 1, 2], dtype=int32)
    """
    widths = np.broadcast_to(np.asarray(pad_width), (ndim(x), 2)).tolist()
    if mode == "constant":
        value = 0.0 if constant_values is None else constant_values
        return _c.pad(x, widths=[w for pair in widths for w in pair], value=value)
    if mode not in _BORDERS or constant_values is not None:
        raise ValueError(
            f"pad: mode {mode!r} with constant_values={constant_values!r}\n"
            "  hint: 'constant', or 'reflect', 'symmetric', 'edge', 'wrap' without a value"
        )
    x = convert_to_tensor(x)
    for axis, (before, after) in enumerate(widths):
        if not before and not after:
            continue
        size = known_size("pad", x, axis)
        places = np.pad(np.arange(size, dtype=np.int32), (before, after), mode=_BORDERS[mode])  # type: ignore[call-overload]
        x = _c.take(x, places, axis=axis)
    return x


# ---- picking ---------------------------------------------------------------------------------


@keras_op
def take(x: TensorLike, indices: TensorLike, axis: int | None = None) -> Tensor:
    """Slices of `x` at `indices` along `axis`, of the flat array when None.

    Args:
        x: A tensor or array.
        indices: Positions; negative ones count from the end.
        axis: The axis; None: of the flat array.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.take(np.array([10, 20, 30]), np.array([2, 0])).numpy()
        array([30, 10], dtype=int32)
    """
    if axis is None:
        x, axis = ravel(x), 0
    return _c.take(x, cast(indices, "int32"), axis=axis)


@keras_op
def get_item(x: TensorLike, key: Any) -> Tensor:
    """`x[key]`.

    Args:
        x: A tensor or array.
        key: An index, a slice, or a tuple of them.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.get_item(np.array([1, 2, 3]), 1).numpy()
        np.int32(2)
    """
    return convert_to_tensor(x)[key]


name_ops(globals())
