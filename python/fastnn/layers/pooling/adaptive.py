"""Pooling to a number of positions that is given. Depends on `layers.base`."""

from __future__ import annotations

from typing import Any

from fastnn import ops
from fastnn._core import Tensor
from fastnn.base.typing import Shape, TensorLike
from fastnn.config import standardize_data_format
from fastnn.layers.base.input_spec import InputSpec
from fastnn.layers.base.layer import Layer
from fastnn.layers.base.windows import per_axis

__all__ = [
    "AdaptiveAveragePooling1D", "AdaptiveAveragePooling2D", "AdaptiveAveragePooling3D",
    "AdaptiveMaxPooling1D", "AdaptiveMaxPooling2D", "AdaptiveMaxPooling3D",
]  # fmt: skip


class _Adaptive(Layer):
    rank: int
    output_size: Any
    data_format: str
    input_spec: Any

    def __init__(self, output_size: Any, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.output_size = per_axis(output_size, self.rank, "output_size")
        self.data_format = standardize_data_format(data_format)
        self.input_spec = InputSpec(ndim=self.rank + 2)
        self._build_at_init()

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape with `output_size` positions."""
        if self.data_format == "channels_first":
            return (input_shape[0], input_shape[1], *self.output_size)
        return (input_shape[0], *self.output_size, input_shape[-1])


class _AdaptiveMax(_Adaptive):
    def call(self, inputs: TensorLike) -> Tensor:
        """The largest elements."""
        return ops.adaptive_max_pool(inputs, self.output_size, data_format=self.data_format)


class _AdaptiveAverage(_Adaptive):
    def call(self, inputs: TensorLike) -> Tensor:
        """The means."""
        return ops.adaptive_average_pool(inputs, self.output_size, data_format=self.data_format)


class AdaptiveMaxPooling1D(_AdaptiveMax):
    """The largest elements of `output_size` windows that together cover sequences, by channel.

    Window i of m over n positions reaches from floor(i n / m) to ceil((i + 1) n / m). Shapes:
    (n, steps, channels) -> output_size positions, the same channels.

    Args:
        output_size: How many positions.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.layers.AdaptiveMaxPooling1D(4)(np.zeros((2, 8, 3))).shape
        (2, 4, 3)
    """

    rank = 1


class AdaptiveMaxPooling2D(_AdaptiveMax):
    """The largest elements of `output_size` windows that together cover images, by channel.

    Window i of m over n positions reaches from floor(i n / m) to ceil((i + 1) n / m). Shapes:
    (n, rows, columns, channels) -> output_size positions, the same channels.

    Args:
        output_size: How many positions: one number for all axes, or one an axis.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.layers.AdaptiveMaxPooling2D(4)(np.zeros((2, 8, 8, 3))).shape
        (2, 4, 4, 3)
    """

    rank = 2


class AdaptiveMaxPooling3D(_AdaptiveMax):
    """The largest elements of `output_size` windows that together cover volumes, by channel.

    Window i of m over n positions reaches from floor(i n / m) to ceil((i + 1) n / m). Shapes:
    (n, depth, rows, columns, channels) -> output_size positions, the same channels.

    Args:
        output_size: How many positions: one number for all axes, or one an axis.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.layers.AdaptiveMaxPooling3D(2)(np.zeros((2, 4, 4, 4, 3))).shape
        (2, 2, 2, 2, 3)
    """

    rank = 3


class AdaptiveAveragePooling1D(_AdaptiveAverage):
    """The means of `output_size` windows that together cover sequences, by channel.

    Window i of m over n positions reaches from floor(i n / m) to ceil((i + 1) n / m). Shapes:
    (n, steps, channels) -> output_size positions, the same channels.

    Args:
        output_size: How many positions.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.layers.AdaptiveAveragePooling1D(4)(np.zeros((2, 8, 3))).shape
        (2, 4, 3)
    """

    rank = 1


class AdaptiveAveragePooling2D(_AdaptiveAverage):
    """The means of `output_size` windows that together cover images, by channel.

    Window i of m over n positions reaches from floor(i n / m) to ceil((i + 1) n / m). Shapes:
    (n, rows, columns, channels) -> output_size positions, the same channels.

    Args:
        output_size: How many positions: one number for all axes, or one an axis.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.layers.AdaptiveAveragePooling2D(4)(np.zeros((2, 8, 8, 3))).shape
        (2, 4, 4, 3)
    """

    rank = 2


class AdaptiveAveragePooling3D(_AdaptiveAverage):
    """The means of `output_size` windows that together cover volumes, by channel.

    Window i of m over n positions reaches from floor(i n / m) to ceil((i + 1) n / m). Shapes:
    (n, depth, rows, columns, channels) -> output_size positions, the same channels.

    Args:
        output_size: How many positions: one number for all axes, or one an axis.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.layers.AdaptiveAveragePooling3D(2)(np.zeros((2, 4, 4, 4, 3))).shape
        (2, 2, 2, 2, 3)
    """

    rank = 3
