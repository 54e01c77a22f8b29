"""`InputSpec`: what a layer demands of its inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnn.base.typing import DTypeLike, Shape
from fastnn.errors import ShapeError

__all__ = ["InputSpec"]


class InputSpec:
    """What a layer demands of an input: its rank, and sizes along some axes.

    A layer that sets `self.input_spec` refuses other inputs with a `ShapeError`.

    Args:
        dtype: The type of the input: `"float32"`, `"int32"` or `"bool"`.
        shape: All sizes, None where any will do.
        ndim: The number of axes, batch included.
        max_ndim: The largest number of axes.
        min_ndim: The smallest number of axes.
        axes: Sizes by axis, as in `{-1: 8}`.

    Example:
        >>> fastnn.layers.InputSpec(min_ndim=2, axes={-1: 8}).axes
        {-1: 8}
    """

    dtype: DTypeLike
    shape: Sequence[int | None] | None
    ndim: int | None
    max_ndim: int | None
    min_ndim: int | None
    axes: dict[int, int]

    def __init__(
        self,
        dtype: DTypeLike = None,
        shape: Sequence[int | None] | None = None,
        ndim: int | None = None,
        max_ndim: int | None = None,
        min_ndim: int | None = None,
        axes: dict[int, int] | None = None,
        **_: Any,
    ) -> None:
        self.dtype, self.shape = dtype, None if shape is None else tuple(shape)
        self.ndim = len(self.shape) if self.shape is not None else ndim
        self.max_ndim, self.min_ndim, self.axes = max_ndim, min_ndim, dict(axes or {})

    def check(self, shape: Shape, who: str, index: int = 0) -> None:
        """ShapeError when input `index` of `who`, of this shape, does not meet the demands."""
        where = f"Input {index} of {who} is incompatible with the layer: it"
        rank = len(shape)
        if self.ndim is not None and rank != self.ndim:
            raise ShapeError(
                f"{where} expects inputs of {self.ndim} axes, got {rank}: shape {shape}\n"
                "  hint: reshape the input or add the missing axis with x[..., None]"
            )
        if self.min_ndim is not None and rank < self.min_ndim:
            raise ShapeError(
                f"{where} expects inputs of at least {self.min_ndim} axes, got shape {shape}\n"
                f"  hint: the first axis is the batch: shape (n, {'…' if rank else 'features'})"
            )
        if self.max_ndim is not None and rank > self.max_ndim:
            raise ShapeError(
                f"{where} expects inputs of at most {self.max_ndim} axes, got shape {shape}\n"
                "  hint: flatten the input first: layers.Flatten()"
            )
        for axis, size in self.axes.items():
            if size is not None and shape[axis] not in (size, None):
                raise ShapeError(
                    f"{where} was built for {size} features on axis {axis}, "
                    f"the input has {shape[axis]}: shape {shape}\n"
                    f"  hint: give inputs of shape {_with_axis(shape, axis, size)} "
                    "or build a new layer"
                )


def _with_axis(shape: Shape, axis: int, size: int) -> Shape:
    new = list(shape)
    new[axis] = size
    return tuple(new)
