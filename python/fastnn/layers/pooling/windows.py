"""Pooling over windows in one, two and three dimensions. Depends on `layers.base`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnn import ops
from fastnn._core import Tensor
from fastnn.base.typing import Shape, TensorLike
from fastnn.config import standardize_data_format
from fastnn.layers.base.input_spec import InputSpec
from fastnn.layers.base.layer import Layer
from fastnn.layers.base.windows import per_axis, standard_padding, window_shape

__all__ = [
    "AveragePooling1D", "AveragePooling2D", "AveragePooling3D", "MaxPooling1D", "MaxPooling2D",
    "MaxPooling3D",
]  # fmt: skip


class _Pooling(Layer):
    rank: int
    pool_size: Any
    strides: Any
    padding: str
    data_format: str
    input_spec: Any

    def __init__(
        self,
        pool_size: int | Sequence[int] = 2,  # of averages too, as in Keras 2
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.pool_size = per_axis(pool_size, self.rank, "pool_size")
        steps = self.pool_size if strides is None else strides
        self.strides = per_axis(steps, self.rank, "strides")
        self.padding = standard_padding(padding)
        self.data_format = standardize_data_format(data_format)
        self.input_spec = InputSpec(ndim=self.rank + 2)
        self._build_at_init()

    def _given(self) -> dict[str, Any]:
        return {
            "pool_size": self.pool_size, "strides": self.strides, "padding": self.padding,
            "data_format": self.data_format,
        }  # fmt: skip

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape with the positions of the window."""
        return window_shape(
            input_shape, None, self.pool_size, self.strides, self.padding, self.data_format
        )


class _MaxPooling(_Pooling):
    def call(self, inputs: TensorLike) -> Tensor:
        """The largest element of each window."""
        return ops.max_pool(inputs, **self._given())


class _AveragePooling(_Pooling):
    def call(self, inputs: TensorLike) -> Tensor:
        """The mean of each window."""
        return ops.average_pool(inputs, **self._given())


class MaxPooling1D(_MaxPooling):
    """The largest element of each window of sequences, channel by channel.

    Shapes: (n, steps, channels) -> fewer positions, the same channels.

    Args:
        pool_size: The size of the window: a whole number.
        strides: Its steps; None: the size of the window.
        padding: `"valid"` (the window stays inside) or `"same"` (as many positions as the input,
            divided by the strides).
        data_format: `"channels_last"` (default) or `"channels_first"`.
        name: The name of the layer.
        **kwargs: `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ShapeError: The window does not fit into the input.

    Example:
        >>> fastnn.layers.MaxPooling1D(2)(np.zeros((2, 8, 3))).shape
        (2, 4, 3)
    """

    rank = 1


class MaxPooling2D(_MaxPooling):
    """The largest element of each window of images, channel by channel.

    Shapes: (n, rows, columns, channels) -> fewer positions, the same channels.

    Args:
        pool_size: The size of the window: one number for all axes, or one an axis.
        strides: Its steps; None: the size of the window.
        padding: `"valid"` (the window stays inside) or `"same"` (as many positions as the input,
            divided by the strides).
        data_format: `"channels_last"` (default) or `"channels_first"`.
        name: The name of the layer.
        **kwargs: `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ShapeError: The window does not fit into the input.

    Example:
        >>> fastnn.layers.MaxPooling2D(2)(np.zeros((2, 8, 8, 3))).shape
        (2, 4, 4, 3)
    """

    rank = 2


class MaxPooling3D(_MaxPooling):
    """The largest element of each window of volumes, channel by channel.

    Shapes: (n, depth, rows, columns, channels) -> fewer positions, the same channels.

    Args:
        pool_size: The size of the window: one number for all axes, or one an axis.
        strides: Its steps; None: the size of the window.
        padding: `"valid"` (the window stays inside) or `"same"` (as many positions as the input,
            divided by the strides).
        data_format: `"channels_last"` (default) or `"channels_first"`.
        name: The name of the layer.
        **kwargs: `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ShapeError: The window does not fit into the input.

    Example:
        >>> fastnn.layers.MaxPooling3D(2)(np.zeros((2, 4, 4, 4, 3))).shape
        (2, 2, 2, 2, 3)
    """

    rank = 3


class AveragePooling1D(_AveragePooling):
    """The mean of each window of sequences, channel by channel. Positions beside the input do not
    count.

    Shapes: (n, steps, channels) -> fewer positions, the same channels.

    Args:
        pool_size: The size of the window: a whole number.
        strides: Its steps; None: the size of the window.
        padding: `"valid"` (the window stays inside) or `"same"` (as many positions as the input,
            divided by the strides).
        data_format: `"channels_last"` (default) or `"channels_first"`.
        name: The name of the layer.
        **kwargs: `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ShapeError: The window does not fit into the input.

    Example:
        >>> fastnn.layers.AveragePooling1D(2)(np.zeros((2, 8, 3))).shape
        (2, 4, 3)
    """

    rank = 1


class AveragePooling2D(_AveragePooling):
    """The mean of each window of images, channel by channel. Positions beside the input do not
    count.

    Shapes: (n, rows, columns, channels) -> fewer positions, the same channels.

    Args:
        pool_size: The size of the window: one number for all axes, or one an axis.
        strides: Its steps; None: the size of the window.
        padding: `"valid"` (the window stays inside) or `"same"` (as many positions as the input,
            divided by the strides).
        data_format: `"channels_last"` (default) or `"channels_first"`.
        name: The name of the layer.
        **kwargs: `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ShapeError: The window does not fit into the input.

    Example:
        >>> fastnn.layers.AveragePooling2D(2)(np.zeros((2, 8, 8, 3))).shape
        (2, 4, 4, 3)
    """

    rank = 2


class AveragePooling3D(_AveragePooling):
    """The mean of each window of volumes, channel by channel. Positions beside the input do not
    count.

    Shapes: (n, depth, rows, columns, channels) -> fewer positions, the same channels.

    Args:
        pool_size: The size of the window: one number for all axes, or one an axis.
        strides: Its steps; None: the size of the window.
        padding: `"valid"` (the window stays inside) or `"same"` (as many positions as the input,
            divided by the strides).
        data_format: `"channels_last"` (default) or `"channels_first"`.
        name: The name of the layer.
        **kwargs: `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ShapeError: The window does not fit into the input.

    Example:
        >>> fastnn.layers.AveragePooling3D(2)(np.zeros((2, 4, 4, 4, 3))).shape
        (2, 2, 2, 2, 3)
    """

    rank = 3
