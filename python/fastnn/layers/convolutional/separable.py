"""Separable convolutions in one and two dimensions. Depends on `base`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnn import ops
from fastnn._core import Tensor
from fastnn.base.typing import Identifier, Shape
from fastnn.layers.convolutional.base import Convolution, positive

__all__ = ["SeparableConv1D", "SeparableConv2D"]


class _SeparableConv(Convolution):
    filters: int
    depth_multiplier: int
    depthwise_kernel: Any
    pointwise_kernel: Any

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        depth_multiplier: int = 1,
        activation: Identifier = None,
        use_bias: bool = True,
        depthwise_initializer: Identifier = "glorot_uniform",
        pointwise_initializer: Identifier = "glorot_uniform",
        bias_initializer: Identifier = "zeros",
        depthwise_regularizer: Identifier = None,
        pointwise_regularizer: Identifier = None,
        bias_regularizer: Identifier = None,
        activity_regularizer: Identifier = None,
        depthwise_constraint: Identifier = None,
        pointwise_constraint: Identifier = None,
        bias_constraint: Identifier = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.depth_multiplier = positive(depth_multiplier, "depth_multiplier")
        self.filters = positive(filters, "filters")
        self._take(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias
        )  # fmt: skip
        self._keep(
            ("depthwise", "pointwise", "bias"),
            {
                "depthwise_initializer": depthwise_initializer,
                "depthwise_regularizer": depthwise_regularizer,
                "depthwise_constraint": depthwise_constraint,
                "pointwise_initializer": pointwise_initializer,
                "pointwise_regularizer": pointwise_regularizer,
                "pointwise_constraint": pointwise_constraint,
                "bias_initializer": bias_initializer, "bias_regularizer": bias_regularizer,
                "bias_constraint": bias_constraint,
            },
        )  # fmt: skip

    def build(self, input_shape: Shape) -> None:
        """Kernels of both parts and bias (filters,)."""
        channels = self._channels(input_shape)
        self.compute_output_shape(input_shape)
        inner = channels * self.depth_multiplier
        self.depthwise_kernel = self._weight(
            "depthwise_kernel", "depthwise", (*self.kernel_size, channels, self.depth_multiplier)
        )
        self.pointwise_kernel = self._weight(
            "pointwise_kernel", "pointwise", (*(1,) * self.rank, inner, self.filters)
        )
        self._add_bias(self.filters)
        self.built = True

    def call(self, inputs: Tensor) -> Tensor:
        """activation(separable_conv(inputs, kernels) + bias)."""
        return self._finished(
            ops.separable_conv(
                inputs, self.depthwise_kernel.value, self.pointwise_kernel.value,
                strides=self.strides, padding=self.padding, data_format=self.data_format,
                dilation_rate=self.dilation_rate,
            )
        )  # fmt: skip

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape with `filters` channels at the positions of the window."""
        return self._shape(input_shape, self.filters)


class SeparableConv1D(_SeparableConv):
    """Convolution of sequences channel by channel, then across the channels at each position.

    Shapes: (n, steps, channels) -> (n, new_steps, filters);
    channels first with `data_format="channels_first"`. Weights: `depthwise_kernel`
    (size, channels, depth_multiplier), `pointwise_kernel`
    (1, channels * depth_multiplier, filters) and `bias` (filters,).

    Args:
        filters: The number of the output's channels.
        kernel_size: The size of the window: a whole number.
        strides: Its steps.
        padding: `"valid"` (the window stays inside) or `"same"` (as many positions as the input,
            divided by the strides).
        data_format: `"channels_last"` (default) or `"channels_first"`.
        dilation_rate: The distance between the elements of the window; 1 when `strides` are not.
        depth_multiplier: Windows of each channel in the first part.
        activation: A function, or its name such as `"relu"`; None leaves the sums as they are.
        use_bias: Whether a bias is added to each filter.
        depthwise_initializer: First values of the depthwise kernel: a name or an `Initializer`.
        pointwise_initializer: First values of the pointwise kernel.
        bias_initializer: First values of the bias.
        depthwise_regularizer: Penalty on the depthwise kernel, added to the loss.
        pointwise_regularizer: Penalty on the pointwise kernel, added to the loss.
        bias_regularizer: Penalty on the bias, added to the loss.
        activity_regularizer: Penalty on the output, added to the loss.
        depthwise_constraint: What the depthwise kernel is brought back to after each step.
        pointwise_constraint: What the pointwise kernel is brought back to after each step.
        bias_constraint: What the bias is brought back to after each step.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ValueError: A size is not a whole number above 0, `padding` or `data_format` is unknown, or
            strides and dilations are both above 1.
        ShapeError: The window does not fit into the input, or the channels are others than the
            layer was built for.

    Example:
        >>> layer = fastnn.layers.SeparableConv1D(8, 3, padding="same")
        >>> layer(np.zeros((2, 10, 3))).shape
        (2, 10, 8)
    """

    rank = 1


class SeparableConv2D(_SeparableConv):
    """Convolution of images channel by channel, then across the channels at each position.

    Shapes: (n, rows, columns, channels) -> (n, new_rows, new_columns, filters);
    channels first with `data_format="channels_first"`. Weights: `depthwise_kernel`
    (rows, columns, channels, depth_multiplier), `pointwise_kernel`
    (1, 1, channels * depth_multiplier, filters) and `bias` (filters,).

    Args:
        filters: The number of the output's channels.
        kernel_size: The size of the window: one number for rows and columns, or a pair.
        strides: Its steps.
        padding: `"valid"` (the window stays inside) or `"same"` (as many positions as the input,
            divided by the strides).
        data_format: `"channels_last"` (default) or `"channels_first"`.
        dilation_rate: The distance between the elements of the window; 1 when `strides` are not.
        depth_multiplier: Windows of each channel in the first part.
        activation: A function, or its name such as `"relu"`; None leaves the sums as they are.
        use_bias: Whether a bias is added to each filter.
        depthwise_initializer: First values of the depthwise kernel: a name or an `Initializer`.
        pointwise_initializer: First values of the pointwise kernel.
        bias_initializer: First values of the bias.
        depthwise_regularizer: Penalty on the depthwise kernel, added to the loss.
        pointwise_regularizer: Penalty on the pointwise kernel, added to the loss.
        bias_regularizer: Penalty on the bias, added to the loss.
        activity_regularizer: Penalty on the output, added to the loss.
        depthwise_constraint: What the depthwise kernel is brought back to after each step.
        pointwise_constraint: What the pointwise kernel is brought back to after each step.
        bias_constraint: What the bias is brought back to after each step.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ValueError: A size is not a whole number above 0, `padding` or `data_format` is unknown, or
            strides and dilations are both above 1.
        ShapeError: The window does not fit into the input, or the channels are others than the
            layer was built for.

    Example:
        >>> layer = fastnn.layers.SeparableConv2D(8, 3, padding="same")
        >>> layer(np.zeros((2, 10, 10, 3))).shape
        (2, 10, 10, 8)
    """

    rank = 2
