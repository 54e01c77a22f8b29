"""Pooling over all positions. Depends on `layers.base`."""

from __future__ import annotations

from typing import Any

from fastnn import ops
from fastnn._core import Tensor
from fastnn.base.typing import Shape, TensorLike
from fastnn.config import standardize_data_format
from fastnn.errors import ShapeError
from fastnn.layers.base.input_spec import InputSpec
from fastnn.layers.base.layer import Layer

__all__ = [
    "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D",
    "GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D",
]  # fmt: skip


class _Global(Layer):
    rank: int
    data_format: str
    keepdims: bool
    input_spec: Any

    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.data_format = standardize_data_format(data_format)
        self.keepdims = keepdims
        self.input_spec = InputSpec(ndim=self.rank + 2)
        self._build_at_init()

    def _axes(self) -> list[int]:
        first = 2 if self.data_format == "channels_first" else 1
        return list(range(first, first + self.rank))

    def _check_positions(self, inputs: TensorLike) -> None:
        """ShapeError for inputs that are known to have no positions: they have no mean."""
        if any(isinstance(n, int) and n == 0 for n in (inputs.shape[i] for i in self._axes())):
            raise ShapeError(
                f"no positions to average: the inputs have shape {tuple(inputs.shape)}\n"
                "  hint: at least one; pad empty sequences"
            )

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The batch and the channels, with ones between them where `keepdims`."""
        channels = input_shape[1 if self.data_format == "channels_first" else -1]
        ones = (1,) * self.rank if self.keepdims else ()
        if self.data_format == "channels_first":
            return (input_shape[0], channels, *ones)
        return (input_shape[0], *ones, channels)


class _Max(_Global):
    def call(self, inputs: TensorLike) -> Tensor:
        """The largest elements."""
        return ops.max(inputs, axis=self._axes(), keepdims=self.keepdims)


class _Average(_Global):
    def call(self, inputs: TensorLike) -> Tensor:
        """The means."""
        self._check_positions(inputs)
        return ops.mean(inputs, axis=self._axes(), keepdims=self.keepdims)


class GlobalMaxPooling1D(_Max):
    """The largest element of all positions of sequences, channel by channel.

    Shapes: (n, steps, channels) -> (n, channels), or
    (n, 1, channels) with `keepdims`.

    Args:
        data_format: `"channels_last"` (default) or `"channels_first"`.
        keepdims: Whether the axes of positions stay, with one position each.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.layers.GlobalMaxPooling1D()(np.zeros((2, 8, 3))).shape
        (2, 3)
    """

    rank = 1


class GlobalMaxPooling2D(_Max):
    """The largest element of all positions of images, channel by channel.

    Shapes: (n, rows, columns, channels) -> (n, channels), or
    (n, 1, 1, channels) with `keepdims`.

    Args:
        data_format: `"channels_last"` (default) or `"channels_first"`.
        keepdims: Whether the axes of positions stay, with one position each.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.layers.GlobalMaxPooling2D()(np.zeros((2, 8, 8, 3))).shape
        (2, 3)
    """

    rank = 2


class GlobalMaxPooling3D(_Max):
    """The largest element of all positions of volumes, channel by channel.

    Shapes: (n, depth, rows, columns, channels) -> (n, channels), or
    (n, 1, 1, 1, channels) with `keepdims`.

    Args:
        data_format: `"channels_last"` (default) or `"channels_first"`.
        keepdims: Whether the axes of positions stay, with one position each.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.layers.GlobalMaxPooling3D()(np.zeros((2, 4, 4, 4, 3))).shape
        (2, 3)
    """

    rank = 3


class GlobalAveragePooling1D(_Average):
    """The mean of all positions of sequences, channel by channel. A mask leaves steps out.

    A sequence of which the mask leaves no step gives zeros.

    Shapes: (n, steps, channels) -> (n, channels), or
    (n, 1, channels) with `keepdims`.

    Args:
        data_format: `"channels_last"` (default) or `"channels_first"`.
        keepdims: Whether the axes of positions stay, with one position each.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.layers.GlobalAveragePooling1D()(np.zeros((2, 8, 3))).shape
        (2, 3)
    """

    rank = 1

    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(data_format, keepdims, **kwargs)
        self.supports_masking = True

    def call(self, inputs: TensorLike, mask: TensorLike = None) -> Tensor:
        """The mean of the steps that the mask leaves."""
        if mask is None:
            return super().call(inputs)
        self._check_positions(inputs)
        axis = 2 if self.data_format == "channels_first" else 1
        kept = ops.cast(ops.expand_dims(mask, 3 - axis), "float32")
        x = ops.where(ops.cast(kept, "bool"), inputs, 0.0)
        total = ops.sum(x, axis=axis, keepdims=self.keepdims)
        count = ops.sum(kept, axis=axis, keepdims=self.keepdims)
        return total / ops.maximum(count, 1.0)  # zeros, not NaN, where no step is left

    def compute_mask(self, inputs: TensorLike, mask: TensorLike = None) -> TensorLike:
        """None: there are no steps left."""
        return None


class GlobalAveragePooling2D(_Average):
    """The mean of all positions of images, channel by channel.

    Shapes: (n, rows, columns, channels) -> (n, channels), or
    (n, 1, 1, channels) with `keepdims`.

    Args:
        data_format: `"channels_last"` (default) or `"channels_first"`.
        keepdims: Whether the axes of positions stay, with one position each.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.layers.GlobalAveragePooling2D()(np.zeros((2, 8, 8, 3))).shape
        (2, 3)
    """

    rank = 2


class GlobalAveragePooling3D(_Average):
    """The mean of all positions of volumes, channel by channel.

    Shapes: (n, depth, rows, columns, channels) -> (n, channels), or
    (n, 1, 1, 1, channels) with `keepdims`.

    Args:
        data_format: `"channels_last"` (default) or `"channels_first"`.
        keepdims: Whether the axes of positions stay, with one position each.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.layers.GlobalAveragePooling3D()(np.zeros((2, 4, 4, 4, 3))).shape
        (2, 3)
    """

    rank = 3
