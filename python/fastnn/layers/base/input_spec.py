"""`InputSpec`: what a layer demands of its inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

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
        allow_last_axis_squeeze: Whether a last axis of size 1 may lack, or be there as well.
        name: The key of the input, where inputs are a dict.
        optional: Whether None stands for an input that is not given.

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
    allow_last_axis_squeeze: bool
    name: str | None
    optional: bool

    def __init__(
        self,
        dtype: DTypeLike = None,
        shape: Sequence[int | None] | None = None,
        ndim: int | None = None,
        max_ndim: int | None = None,
        min_ndim: int | None = None,
        axes: dict[int, int] | None = None,
        allow_last_axis_squeeze: bool = False,
        name: str | None = None,
        optional: bool = False,
    ) -> None:
        self.dtype, self.shape = dtype, None if shape is None else tuple(shape)
        self.ndim = len(self.shape) if self.shape is not None else ndim
        self.max_ndim, self.min_ndim, self.axes = max_ndim, min_ndim, dict(axes or {})
        self.allow_last_axis_squeeze, self.name = bool(allow_last_axis_squeeze), name
        self.optional = bool(optional)

    def __repr__(self) -> str:
        said = ("dtype", "shape", "ndim", "max_ndim", "min_ndim", "axes")
        given = [f"{k}={getattr(self, k)}" for k in said if getattr(self, k)]
        return f"InputSpec({', '.join(given)})"

    def get_config(self) -> dict[str, Any]:
        """The arguments.

        Returns:
            A dict, from which `from_config` makes the same demands.

        Example:
            >>> fastnn.layers.InputSpec(ndim=2).get_config()["ndim"]
            2
        """
        names = ("dtype", "shape", "ndim", "max_ndim", "min_ndim", "axes", "optional")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The demands that a config holds.

        Args:
            config: What `get_config` gave.

        Returns:
            An `InputSpec`.

        Example:
            >>> config = fastnn.layers.InputSpec(shape=(None, 3)).get_config()
            >>> fastnn.layers.InputSpec.from_config(config).shape
            (None, 3)
        """
        return cls(**config)

    def check(self, shape: Shape, who: str, index: int = 0) -> None:
        """ShapeError when input `index` of `who`, of this shape, does not meet the demands."""
        where = f"Input {index} of {who} is incompatible with the layer: it"
        rank = len(shape)
        if self.ndim is not None and rank != self.ndim and not self.allow_last_axis_squeeze:
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
        if self.shape is not None:
            wanted, given = self._compared(self.shape), self._compared(shape)
            pairs = zip(wanted, given, strict=False)
            fits = all(w is None or not isinstance(g, int) or w == g for w, g in pairs)
            if len(wanted) != len(given) or not fits:
                raise ShapeError(
                    f"{where} expects inputs of shape {self.shape}, got {shape}\n"
                    "  hint: reshape the input; None in InputSpec(shape=...) fits any size"
                )

    def _compared(self, shape: Sequence[int | None]) -> Sequence[int | None]:
        """The sizes that count: a last axis of size 1 may be left out of both."""
        return shape[:-1] if self.allow_last_axis_squeeze and shape[-1:] == (1,) else shape


def _with_axis(shape: Shape, axis: int, size: int) -> Shape:
    new = list(shape)
    new[axis] = size
    return tuple(new)
