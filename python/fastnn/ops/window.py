"""Windows of a tensor at places that may be computed: reading one, writing one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn import _core
from fastnn._core import Tensor
from fastnn.base.arguments import as_number, is_whole
from fastnn.errors import ShapeError
from fastnn.ops.convert import TensorLike, cast, convert_to_tensor, ndim, sizes_of
from fastnn.ops.families import name_ops
from fastnn.tracing.symbolic import keras_op

__all__ = [
    "slice",
    "slice_update",
]

_c = _core.ops
_END = 2**63 - 1  # the open end of a static slice


def _starts(op: str, start_indices: Any, rank: int) -> list[Any] | Tensor:
    """One start per axis: numbers and scalar tensors in a list, or one tensor of them."""
    if isinstance(start_indices, list | tuple | np.ndarray):
        found: list[Any] | Tensor = [int(n) if is_whole(n) else n for n in start_indices]
        count = len(found)
    else:
        found = cast(start_indices, "int32")
        count = found.shape[0] if ndim(found) == 1 else -1
    if count != rank:
        raise ShapeError(
            f"{op}: start_indices are {start_indices!r}, wanted one start for each of {rank} axes\n"
            "  hint: start axes that are taken whole at 0"
        )
    return found


def _rest(op: str, size: Any, starts: list[Any] | Tensor, axis: int) -> int | None:
    """How much of an axis there is from its start on; None for an open axis from 0 on."""
    start = starts[axis] if isinstance(starts, list) else None
    if not isinstance(start, int) or (size is None and start != 0):
        raise ShapeError(
            f"{op}: shape is -1 for axis {axis} of size {size}, whose start is {start!r}\n"
            "  hint: -1 needs a start and a size that are known; give the size itself"
        )
    if size is None:
        return None
    return size - min(max(start + size if start < 0 else start, 0), size)


def _chosen(starts: list[Any] | Tensor, axes: list[int]) -> Tensor:
    """The starts of these axes as one int32 tensor."""
    if isinstance(starts, list):
        picked = [cast(starts[axis], "int32") for axis in axes]
        return picked[0] if len(picked) == 1 else _c.stack(*picked)
    return starts if len(axes) == starts.shape[0] else _c.take(starts, axes, axis=0)


@keras_op
def slice(
    inputs: TensorLike,
    start_indices: Any = None,
    shape: Sequence[int | None] | None = None,
    *,
    begin: Sequence[int] | None = None,
    end: Sequence[int] | None = None,
    step: Sequence[int] | None = None,
) -> Tensor:
    """The window of `inputs` of a given shape that begins at `start_indices`.

    A negative start counts from the end of its axis. A window that would leave the tensor is moved
    inside, as in JAX.

    Args:
        inputs: tensor of any type.
        start_indices: one start per axis: numbers or int32 scalars, which may be computed; or one
            int32 tensor of them.
        shape: the window's size along each axis; -1 takes all from a known start on, None an open
            axis whole.
        begin: NumPy's lower bounds instead, one per axis.
        end: NumPy's upper bounds.
        step: NumPy's steps.

    Returns:
        A tensor of that shape, with the type of `inputs`.

    Raises:
        ShapeError: a size is larger than its axis, or there is not one start and size per axis.

    Example:
        >>> fastnn.ops.slice([[1, 2, 3], [4, 5, 6]], start_indices=(1, 0), shape=(1, 2)).tolist()
        [[4, 5]]
    """
    x = convert_to_tensor(inputs)
    if begin is not None:
        return _c.slice(x, begin=begin, end=end, step=step)
    starts = _starts("slice", start_indices, x.ndim)
    given = [] if shape is None else as_number(list(shape))
    rests = [is_whole(size) and size == -1 for size in given]
    sizes = sizes_of("slice", [0 if rest else s for s, rest in zip(given, rests, strict=True)])
    if len(sizes) != x.ndim:
        raise ShapeError(
            f"slice: shape is {tuple(sizes)}, wanted one size for each of {x.ndim} axes\n"
            "  hint: shape=x.shape takes all from the starts on"
        )
    for i in (i for i, rest in enumerate(rests) if rest):
        sizes[i] = _rest("slice", x.shape[i], starts, i)
    axes = [i for i, size in enumerate(sizes) if size is not None and size != x.shape[i]]
    if not axes:
        return x
    known = isinstance(starts, list) and all(isinstance(starts[i], int) for i in axes)
    if known and all(x.shape[i] is not None and 0 <= sizes[i] <= x.shape[i] for i in axes):
        first, last = [0] * x.ndim, [_END] * x.ndim
        for i in axes:
            n, size, at = x.shape[i], sizes[i], starts[i]
            first[i] = min(max(at + n if at < 0 else at, 0), n - size)
            last[i] = first[i] + size
        return _c.slice(x, begin=first, end=last, step=[1] * x.ndim)
    return _c.dynamic_slice(x, _chosen(starts, axes), axes=axes, sizes=[sizes[i] for i in axes])


@keras_op
def slice_update(inputs: TensorLike, start_indices: Any, updates: TensorLike) -> Tensor:
    """`inputs` with `updates` in the window that begins at `start_indices`.

    A negative start counts from the end of its axis. A window that would leave the tensor is moved
    inside, as in JAX. A compiled function that assigns the result to the variable it came from
    changes the variable in place, at the cost of the window.

    Args:
        inputs: tensor of any type.
        start_indices: one start per axis: numbers or int32 scalars, which may be computed; or one
            int32 tensor of them.
        updates: tensor with as many axes, no larger than `inputs` along any.

    Returns:
        A tensor of the shape and type of `inputs`.

    Raises:
        ShapeError: `updates` does not fit, or there is not one start per axis.

    Example:
        >>> fastnn.ops.slice_update([1, 2, 3, 4], (1,), [9, 9]).tolist()
        [1, 9, 9, 4]
    """
    x = convert_to_tensor(inputs)
    part = convert_to_tensor(updates)
    part = part if part.dtype == x.dtype else cast(part, x.dtype)
    starts = _starts("slice_update", start_indices, x.ndim)
    if part.ndim != x.ndim:
        raise ShapeError(
            f"slice_update: updates have the shape {part.shape}, inputs {x.shape}\n"
            "  hint: give updates an axis of size 1 for every axis with one place"
        )
    axes = [i for i in range(x.ndim) if part.shape[i] != x.shape[i]]
    if not axes:
        return part
    return _c.update_slice(x, part, _chosen(starts, axes), axes=axes)


name_ops(globals())
