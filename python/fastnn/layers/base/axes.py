"""Axes that a layer was given, held against the inputs it meets."""

from __future__ import annotations

from collections.abc import Sequence

from fastnn import ops
from fastnn._core import Tensor
from fastnn.base.typing import Shape, TensorLike
from fastnn.errors import ShapeError

__all__ = ["check_axes", "sizes_along", "spread_along"]


def check_axes(axes: Sequence[int], rank: int, where: str) -> None:
    """ShapeError when one of `axes` is none of inputs of `rank` axes; `where` names the layer."""
    if any(not -rank <= a < rank for a in axes):
        given = axes[0] if len(axes) == 1 else list(axes)
        raise ShapeError(
            f"{where}: All `axis` values must be in the range [-ndim, ndim). Received inputs with "
            f"ndim={rank}, while axis={given}\n  hint: axis=-1 is the last one"
        )


def sizes_along(shape: Shape, axes: Sequence[int], where: str) -> list[int]:
    """The sizes of inputs of `shape` along `axes`, all of which must be known."""
    check_axes(axes, len(shape), where)
    sizes = []
    for axis in axes:
        size = shape[axis]
        if size is None:
            raise ShapeError(
                f"{where}: axis {axis} of the input tensor should have a defined dimension but the "
                f"layer received an input with shape {tuple(shape)}\n"
                "  hint: give that size in Input(shape=...)"
            )
        sizes.append(size)
    return sizes


def spread_along(value: TensorLike, shape: Shape, axes: Sequence[int]) -> Tensor:
    """`value`, of the sizes of `axes`, shaped to broadcast against `shape`."""
    wide = [1] * len(shape)
    for axis, size in zip(axes, value.shape, strict=True):
        wide[axis % len(shape)] = size
    if tuple(wide[-len(value.shape) :]) == tuple(value.shape):
        same: Tensor = value
        return same
    return ops.reshape(value, wide)
