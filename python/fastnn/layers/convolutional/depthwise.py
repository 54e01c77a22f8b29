"""Depthwise convolutions in one and two dimensions. Depends on `base`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnn import ops
from fastnn._core import Tensor
from fastnn.base.typing import Identifier, Shape
from fastnn.layers.convolutional.base import Convolution, positive

__all__ = ["DepthwiseConv1D", "DepthwiseConv2D"]


class _DepthwiseConv(Convolution):
    depth_multiplier: int
    kernel: Any

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        activation: Identifier = None,
        use_bias: bool = True,
        depthwise_initializer: Identifier = "glorot_uniform",
        bias_initializer: Identifier = "zeros",
        depthwise_regularizer: Identifier = None,
        bias_regularizer: Identifier = None,
        activity_regularizer: Identifier = None,
        depthwise_constraint: Identifier = None,
        bias_constraint: Identifier = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.depth_multiplier = positive(depth_multiplier, "depth_multiplier")
        self._take(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias
        )  # fmt: skip
        self._keep(
            ("depthwise", "bias"),
            {
                "depthwise_initializer": depthwise_initializer,
                "depthwise_regularizer": depthwise_regularizer,
                "depthwise_constraint": depthwise_constraint,
                "bias_initializer": bias_initializer, "bias_regularizer": bias_regularizer,
                "bias_constraint": bias_constraint,
            },
        )  # fmt: skip

    def build(self, input_shape: Shape) -> None:
        """Kernel (sizes.., channels, depth_multiplier) and bias."""
        channels = self._channels(input_shape)
        self.compute_output_shape(input_shape)
        shape = (*self.kernel_size, channels, self.depth_multiplier)
        self.kernel = self._weight("kernel", "depthwise", shape)
        self._add_bias(channels * self.depth_multiplier)
        self.built = True

    def call(self, inputs: Tensor) -> Tensor:
        """activation(depthwise_conv(inputs, kernel) + bias)."""
        return self._finished(
            ops.depthwise_conv(
                inputs, self.kernel.value, strides=self.strides, padding=self.padding,
                data_format=self.data_format, dilation_rate=self.dilation_rate,
            )
        )  # fmt: skip

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """The shape with `depth_multiplier` channels for each."""
        channels = input_shape[1 if self.data_format == "channels_first" else -1]
        return self._shape(input_shape, channels * self.depth_multiplier)


class DepthwiseConv1D(_DepthwiseConv):
    """Convolution of sequences channel by channel, with `depth_multiplier` windows each.

    Shapes: (n, steps, channels) ->
    (n, new_steps, channels * depth_multiplier); channels first with
    `data_format="channels_first"`. Weights: `kernel` (size, channels, depth_multiplier) and
    `bias`, one number per channel of the output.

    Args:
        kernel_size: The size of the window: a whole number.
        strides: Its steps.
        padding: `"valid"` (the window stays inside) or `"same"` (as many positions as the input,
            divided by the strides).
        depth_multiplier: Windows of each channel.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        dilation_rate: The distance between the elements of the window; 1 when `strides` are not.
        activation: A function, or its name such as `"relu"`; None leaves the sums as they are.
        use_bias: Whether a bias is added to each filter.
        depthwise_initializer: First values of the kernel: a name, a config or an `Initializer`.
        bias_initializer: First values of the bias.
        depthwise_regularizer: Penalty on the kernel, added to the loss.
        bias_regularizer: Penalty on the bias, added to the loss.
        activity_regularizer: Penalty on the output, added to the loss.
        depthwise_constraint: What the kernel is brought back to after each step.
        bias_constraint: What the bias is brought back to after each step.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ValueError: A size is not a whole number above 0, `padding` or `data_format` is unknown, or
            strides and dilations are both above 1.
        ShapeError: The window does not fit into the input, or the channels are others than the
            layer was built for.

    Example:
        >>> layer = fastnn.layers.DepthwiseConv1D(3, padding="same", depth_multiplier=2)
        >>> layer(np.zeros((2, 10, 3))).shape
        (2, 10, 6)
    """

    rank = 1


class DepthwiseConv2D(_DepthwiseConv):
    """Convolution of images channel by channel, with `depth_multiplier` windows each.

    Shapes: (n, rows, columns, channels) ->
    (n, new_rows, new_columns, channels * depth_multiplier); channels first with
    `data_format="channels_first"`. Weights: `kernel` (rows, columns, channels,
    depth_multiplier) and `bias`, one number per channel of the output.

    Args:
        kernel_size: The size of the window: one number for rows and columns, or a pair.
        strides: Its steps.
        padding: `"valid"` (the window stays inside) or `"same"` (as many positions as the input,
            divided by the strides).
        depth_multiplier: Windows of each channel.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        dilation_rate: The distance between the elements of the window; 1 when `strides` are not.
        activation: A function, or its name such as `"relu"`; None leaves the sums as they are.
        use_bias: Whether a bias is added to each filter.
        depthwise_initializer: First values of the kernel: a name, a config or an `Initializer`.
        bias_initializer: First values of the bias.
        depthwise_regularizer: Penalty on the kernel, added to the loss.
        bias_regularizer: Penalty on the bias, added to the loss.
        activity_regularizer: Penalty on the output, added to the loss.
        depthwise_constraint: What the kernel is brought back to after each step.
        bias_constraint: What the bias is brought back to after each step.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ValueError: A size is not a whole number above 0, `padding` or `data_format` is unknown, or
            strides and dilations are both above 1.
        ShapeError: The window does not fit into the input, or the channels are others than the
            layer was built for.

    Example:
        >>> layer = fastnn.layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2)
        >>> layer(np.zeros((2, 10, 10, 3))).shape
        (2, 10, 10, 6)
    """

    rank = 2
