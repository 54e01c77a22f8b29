"""Further functions of NumPy on arrays: copies, grids, turns, joins and cuts.

Depends on `_core`, `shapes`.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastnn import _core
from fastnn._core import Dim, Tensor
from fastnn.base.arguments import as_number, hints_arguments, whole_number
from fastnn.base.finder import answer_earlier
from fastnn.base.typing import DTypeLike
from fastnn.config import stored_dtype
from fastnn.errors import ShapeError
from fastnn.ops.convert import (
    TensorLike,
    cast,
    convert_to_tensor,
    known_size,
    linspace,
    ndim,
    shape,
    zeros,
)
from fastnn.ops.diagonals import as_matrix
from fastnn.ops.families import name_ops
from fastnn.ops.shapes import concatenate, place, places, reshape, split, transpose
from fastnn.tracing.symbolic import keras_op

__all__ = [
    "append",
    "array_split",
    "copy",
    "dsplit",
    "dstack",
    "empty",
    "empty_like",
    "extract_sequences",
    "flip",
    "fliplr",
    "flipud",
    "full_like",
    "geomspace",
    "hsplit",
    "logspace",
    "meshgrid",
    "rearrange",
    "repeat",
    "roll",
    "rot90",
    "vsplit",
]

_c = _core.ops
answer_earlier(globals())


# ---- making ----------------------------------------------------------------------------------


@keras_op
def copy(x: TensorLike) -> Tensor:
    """`x`: tensors never change, so a copy is the tensor.

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.ops.copy(np.array([1.0])).numpy()
        array([1.], dtype=float32)
    """
    return convert_to_tensor(x)


@hints_arguments
def empty(shape: Sequence[int | None] | int, dtype: DTypeLike = None) -> Tensor:
    """Zeros of this shape.

    Args:
        shape: The sizes; None stands for the batch.
        dtype: The type of the result: `"float32"`, `"int32"` or `"bool"`.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.empty((2, 3)).shape
        (2, 3)
    """
    return zeros(shape, dtype)


@keras_op
def empty_like(x: TensorLike, dtype: DTypeLike = None) -> Tensor:
    """Zeros with the shape of `x`.

    Args:
        x: A tensor or array.
        dtype: The type of the result: `"float32"`, `"int32"` or `"bool"`.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.empty_like(np.ones((2, 3))).shape
        (2, 3)
    """
    return full_like(x, 0, dtype)


@keras_op
def full_like(x: TensorLike, fill_value: TensorLike, dtype: DTypeLike = None) -> Tensor:
    """`fill_value` everywhere, with the shape and type of `x`.

    Args:
        x: A tensor or array.
        fill_value: The value.
        dtype: The type of the result: `"float32"`, `"int32"` or `"bool"`.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.full_like(np.ones(2), 7.0).numpy()
        array([7., 7.], dtype=float32)
    """
    x = convert_to_tensor(x)
    value = cast(fill_value, stored_dtype(dtype) if dtype else x.dtype)
    return _c.broadcast_to(value, shape=list(x.shape))


@keras_op
def logspace(
    start: TensorLike, stop: TensorLike, num: int | Dim = 50, endpoint: bool = True, base: Any = 10,
    dtype: DTypeLike = None, axis: int = 0,
) -> Tensor:  # fmt: skip
    """`num` numbers from base**start to base**stop with even exponents.

    Args:
        start: The first exponent.
        stop: The last exponent.
        num: How many.
        endpoint: Whether `stop` is among them.
        base: The base of the powers.
        dtype: The type of the result: `"float32"`, `"int32"` or `"bool"`.
        axis: Where the axis of the numbers stands in the result.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.logspace(0.0, 2.0, 3).numpy().round(3)
        array([  1.,  10., 100.], dtype=float32)
    """
    if isinstance(num, Dim):
        exponents = linspace(start, stop, num, endpoint, axis=axis)
        out = _c.power(cast(base, "float32"), exponents)
        return out if dtype is None else cast(out, dtype)
    num = whole_number("num", num, 0, "logspace: ")
    a = np.logspace(np.asarray(start), np.asarray(stop), num, endpoint, base, axis=axis)
    return _core.tensor(a, dtype=stored_dtype(dtype) if dtype else None)


@hints_arguments
def geomspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    dtype: DTypeLike = None,
    axis: int = 0,
) -> Tensor:
    """`num` numbers from `start` to `stop`, each a constant multiple of the one before.

    Args:
        start: The first value.
        stop: The last value.
        num: How many.
        endpoint: Whether `stop` is among them.
        dtype: The type of the result: `"float32"`, `"int32"` or `"bool"`.
        axis: Where the axis of the numbers stands in the result.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.geomspace(1.0, 8.0, 4).numpy().round(4)
        array([1., 2., 4., 8.], dtype=float32)
    """
    a = np.geomspace(np.asarray(start), np.asarray(stop), num, endpoint, axis=axis)
    return _core.tensor(a, dtype=stored_dtype(dtype) if dtype else None)


@keras_op
def meshgrid(*x: TensorLike, indexing: str = "xy") -> list[Tensor]:
    """Grids of the coordinates in vectors.

    Args:
        *x: Vectors.
        indexing: `"xy"`, or `"ij"` for rows first.

    Returns:
        A list of tensors.

    Example:
        >>> x, y = fastnn.ops.meshgrid(np.array([1, 2]), np.array([3, 4]))
        >>> x.numpy(), y.numpy()
        (array([[1, 2],
               [1, 2]], dtype=int32), array([[3, 3],
               [4, 4]], dtype=int32))
    """
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid: indexing is {indexing!r}\n  hint: 'xy' or 'ij'")
    vectors = [reshape(v, (-1,)) for v in x]
    sizes = [shape(v)[0] for v in vectors]
    order = list(range(len(vectors)))
    if indexing == "xy" and len(order) > 1:
        order[:2] = [1, 0]
    grids = []
    for i, v in enumerate(vectors):
        at = order.index(i)
        column = reshape(v, [-1 if j == at else 1 for j in range(len(order))])
        grids.append(_c.broadcast_to(column, shape=[sizes[j] for j in order]))
    return grids


# ---- turning and repeating ---------------------------------------------------------------------


@keras_op
def flip(x: TensorLike, axis: int | Sequence[int] | None = None) -> Tensor:
    """Axes in reverse, all when None.

    Args:
        x: A tensor or array.
        axis: The axis or axes; None: all of them.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.flip(np.array([1, 2, 3])).numpy()
        array([3, 2, 1], dtype=int32)
    """
    return _c.flip(x, axis=places("flip", axis, shape(x)))


@keras_op
def fliplr(x: TensorLike) -> Tensor:
    """The second axis in reverse.

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.ops.fliplr(np.array([[1, 2]])).numpy()
        array([[2, 1]], dtype=int32)
    """
    return _c.flip(x, axis=[1])


@keras_op
def flipud(x: TensorLike) -> Tensor:
    """The first axis in reverse.

    Args:
        x: A tensor or array.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> fastnn.ops.flipud(np.array([[1], [2]])).numpy()
        array([[2],
               [1]], dtype=int32)
    """
    return _c.flip(x, axis=[0])


@keras_op
def rot90(array: TensorLike, k: int = 1, axes: Sequence[int] = (0, 1)) -> Tensor:
    """Two axes turned by k quarters, from the first towards the second.

    Args:
        array: A tensor of two axes or more.
        k: How many quarters.
        axes: The two axes.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.rot90(np.array([[1, 2], [3, 4]])).numpy()
        array([[2, 4],
               [1, 3]], dtype=int32)
    """
    x = as_matrix("rot90", array)
    first, second = (place("rot90", a, shape(x)) for a in axes)
    if first == second:
        raise ValueError(f"rot90: axes are {tuple(axes)}, wanted two\n  hint: axes=(0, 1)")
    order = list(range(x.ndim))
    order[first], order[second] = second, first
    k %= 4
    if k == 2:
        return _c.flip(x, axis=[first, second])
    if k == 1:
        return _c.transpose(_c.flip(x, axis=[second]), axes=order)
    return _c.flip(_c.transpose(x, axes=order), axis=[second]) if k == 3 else x


@keras_op
def roll(
    x: TensorLike, shift: int | Sequence[int], axis: int | Sequence[int] | None = None
) -> Tensor:
    """Elements moved along axes, those that fall off come in at the other end.

    Args:
        x: A tensor or array.
        shift: By how many places.
        axis: The axis or axes; None: of the flat array.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.roll(np.array([1, 2, 3]), 1).numpy()
        array([3, 1, 2], dtype=int32)
    """
    x, shift, axis = convert_to_tensor(x), as_number(shift), as_number(axis)
    if axis is None:
        moves = shift if isinstance(shift, int) else sum(shift)
        return reshape(_c.roll(reshape(x, (-1,)), shift=moves, axis=0), x.shape)
    axes = places("roll", axis, shape(x))
    shifts = [shift] * len(axes) if isinstance(shift, int) else list(shift)
    for s, a in zip(shifts, axes * (len(shifts) // len(axes)), strict=True):
        x = _c.roll(x, shift=s, axis=a)
    return x


@keras_op
def repeat(x: TensorLike, repeats: int | Sequence[int], axis: int | None = None) -> Tensor:
    """Each slice along `axis` (each element when None) `repeats` times, or as often as its own.

    Args:
        x: A tensor or array.
        repeats: How many times, or how many times each.
        axis: The axis; None: of the flat array.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.repeat(np.array([1, 2]), 2).numpy()
        array([1, 1, 2, 2], dtype=int32)
    """
    x = convert_to_tensor(x)
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    counts = np.asarray(repeats)
    if counts.ndim == 0 or counts.size == 1:
        return _c.repeat(x, repeats=int(counts.reshape(())), axis=axis)
    n = known_size("repeat", x, axis)
    if counts.shape != (n,):
        raise ShapeError(
            f"repeat: {counts.size} counts for {n} slices along axis {axis}\n"
            "  hint: one count, or one per slice"
        )
    return _c.take(x, np.repeat(np.arange(n, dtype=np.int32), counts), axis=axis)


# ---- joining and cutting -----------------------------------------------------------------------


@keras_op
def append(x1: TensorLike, x2: TensorLike, axis: int | None = None) -> Tensor:
    """x2 after x1 along `axis`; both flat when None.

    Args:
        x1: A tensor or array.
        x2: A tensor or array that broadcasts with `x1`.
        axis: The axis to join along; None joins both flat.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.append(np.array([1, 2]), np.array([3])).numpy()
        array([1, 2, 3], dtype=int32)
    """
    a, b = convert_to_tensor(x1), convert_to_tensor(x2)
    if axis is None:
        a, b, axis = reshape(a, (-1,)), reshape(b, (-1,)), 0
    return concatenate([a, b], axis=axis)


@keras_op
def dstack(xs: Sequence[TensorLike]) -> Tensor:
    """Tensors joined along the third axis.

    Args:
        xs: Tensors.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.dstack([np.array([1, 2]), np.array([3, 4])]).shape
        (1, 2, 2)
    """
    deep = []
    for x in map(convert_to_tensor, xs):
        x = reshape(x, (1, -1)) if x.ndim < 2 else x
        deep.append(_c.expand_dims(x, axis=[-1]) if x.ndim == 2 else x)
    return concatenate(deep, axis=2)


@keras_op
def array_split(
    x: TensorLike, indices_or_sections: int | Sequence[int], axis: int = 0
) -> list[Tensor]:
    """`x` cut along an axis into sections of nearly equal size, the first ones larger.

    Args:
        x: A tensor or array.
        indices_or_sections: A number of sections, or the positions to cut at.
        axis: The axis that is cut.

    Returns:
        A list of tensors.

    Example:
        >>> [part.shape for part in fastnn.ops.array_split(np.arange(7), 3)]
        [(3,), (2,), (2,)]
    """
    indices_or_sections = as_number(indices_or_sections)
    if not isinstance(indices_or_sections, int):
        return split(x, indices_or_sections, axis)
    if indices_or_sections < 1:
        raise ValueError(
            f"array_split: got {indices_or_sections} sections, wanted 1 or more\n"
            "  hint: [k] cuts at position k"
        )
    n, k = shape(x)[place("array_split", axis, shape(x))], indices_or_sections
    # The first n % k sections have one element more; so written, n may be open.
    sizes = [(n + (k - 1 - i)) // k for i in range(k)]
    return split(x, list(itertools.accumulate(sizes))[:-1], axis)


def _cut(name: str, axis: int, doc: str) -> Callable[..., list[Tensor]]:
    def cut(x: TensorLike, indices_or_sections: int | Sequence[int]) -> list[Tensor]:
        along = 0 if name == "hsplit" and ndim(x) == 1 else axis
        return split(x, indices_or_sections, along)

    cut.__name__ = cut.__qualname__ = name
    cut.__doc__ = doc
    return keras_op(cut)


vsplit: Callable[..., list[Tensor]] = _cut(
    "vsplit",
    0,
    """`x` cut along the first axis.

    Args:
        x: A tensor or array.
        indices_or_sections: A number of sections, or the positions to cut at.

    Returns:
        A list of tensors.

    Example:
        >>> [part.numpy().tolist() for part in fastnn.ops.vsplit(np.array([[1], [2]]), 2)]
        [[[1]], [[2]]]
    """,
)
hsplit: Callable[..., list[Tensor]] = _cut(
    "hsplit",
    1,
    """`x` cut along the second axis, a vector along its only one.

    Args:
        x: A tensor or array.
        indices_or_sections: A number of sections, or the positions to cut at.

    Returns:
        A list of tensors.

    Example:
        >>> [part.numpy().tolist() for part in fastnn.ops.hsplit(np.array([1, 2, 3, 4]), 2)]
        [[1, 2], [3, 4]]
    """,
)
dsplit: Callable[..., list[Tensor]] = _cut(
    "dsplit",
    2,
    """`x` cut along the third axis.

    Args:
        x: A tensor or array.
        indices_or_sections: A number of sections, or the positions to cut at.

    Returns:
        A list of tensors.

    Example:
        >>> len(fastnn.ops.dsplit(np.zeros((1, 1, 4)), 2))
        2
    """,
)


@keras_op
def extract_sequences(x: TensorLike, sequence_length: int, sequence_stride: int) -> Tensor:
    """Windows of the last axis: (..., n) to (..., windows, sequence_length).

    Args:
        x: A tensor or array.
        sequence_length: The length of a window.
        sequence_stride: From the start of one to the start of the next.

    Returns:
        (…, windows, sequence_length).

    Example:
        >>> fastnn.ops.extract_sequences(np.arange(6.0), 4, 2).numpy()
        array([[0., 1., 2., 3.],
               [2., 3., 4., 5.]], dtype=float32)
    """
    x = convert_to_tensor(x)
    n = known_size("extract_sequences", x, -1)
    starts = np.arange(0, max(n - sequence_length + 1, 0), sequence_stride, dtype=np.int32)
    places = starts[:, None] + np.arange(sequence_length, dtype=np.int32)
    return _c.take(x, places, axis=-1)


# ---- einops' notation --------------------------------------------------------------------------


@keras_op
def rearrange(tensor: TensorLike, pattern: str, **axes_lengths: int) -> Tensor:
    """Axes split, moved and joined by a pattern: `rearrange(x, "b (h d) n -> b h n d", h=4)`.

    Args:
        tensor: A tensor.
        pattern: Names of the axes before and after `->`; brackets split or join.
        **axes_lengths: Accepted for the sake of Keras.

    Returns:
        A tensor.

    Example:
        >>> fastnn.ops.rearrange(np.zeros((2, 8, 5)), "b (h d) n -> b h n d", h=4).shape
        (2, 4, 5, 2)
    """
    x = convert_to_tensor(tensor)
    left, arrow, right = pattern.partition("->")
    if not arrow:
        raise ValueError(f"rearrange: no '->' in {pattern!r}\n  hint: 'b h w -> b (h w)'")
    given, wanted = _groups(left, pattern), _groups(right, pattern)
    if len(given) != x.ndim:
        raise ShapeError(
            f"rearrange: {left.strip()!r} names {len(given)} axes, the tensor has shape {x.shape}\n"
            "  hint: one name, or one group in brackets, per axis"
        )
    names = [n for group in given for n in group]
    flat = [n for group in wanted for n in group]
    if sorted(names) != sorted(flat) or len(set(names)) < len(names):
        raise ValueError(
            f"rearrange: both sides of {pattern!r} must name the same axes, each once\n"
            "  hint: fastnn.ops.sum or broadcast_to drops or adds an axis"
        )
    sizes: dict[str, int | None] = dict(axes_lengths)
    for group, size in zip(given, x.shape, strict=True):
        unknown = [n for n in group if n not in sizes]
        product = math.prod(sizes[n] or 1 for n in group if n in sizes)
        if len(unknown) > 1:
            raise ValueError(
                f"rearrange: the sizes of {', '.join(unknown)} are not known\n"
                f"  hint: rearrange(x, {pattern!r}, {unknown[0]}=...)"
            )
        if size is not None and (size % product or (not unknown and size != product)):
            raise ShapeError(
                f"rearrange: an axis of size {size} is not ({' '.join(group)}) with "
                f"{', '.join(f'{n}={sizes[n]}' for n in group if n in sizes)}\n"
                "  hint: look at the lengths"
            )
        for n in unknown:
            sizes[n] = None if size is None else size // product
    split_up = reshape(x, [sizes[n] if sizes[n] is not None else -1 for n in names])
    moved = transpose(split_up, [names.index(n) for n in flat])
    out: list[int | None] = []
    for group in wanted:
        known = [sizes[n] for n in group]
        out.append(-1 if None in known else math.prod(k for k in known if k is not None))
    return reshape(moved, out)


def _groups(side: str, pattern: str) -> list[list[str]]:
    groups = []
    for bracket, name in re.findall(r"\(([^()]*)\)|([^\s()]+)", side):
        groups.append([name] if name else bracket.split())
    for name in (n for group in groups for n in group):
        if not name.isidentifier():
            raise ValueError(
                f"rearrange: {name!r} in {pattern!r} is not a name\n"
                "  hint: names such as b, height, c1; '...' and '1' are not supported"
            )
    return groups


name_ops(globals())
