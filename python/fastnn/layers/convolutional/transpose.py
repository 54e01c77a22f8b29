"""Transposed convolutions in one, two and three dimensions. Depends on `base`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnn import ops
from fastnn._core import Tensor
from fastnn.base.typing import Identifier, Shape
from fastnn.layers.base.windows import per_axis, transposed_size
from fastnn.layers.convolutional.base import Convolution, positive

__all__ = ["Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"]


class _ConvTranspose(Convolution):
    filters: int
    output_padding: Any
    kernel: Any

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        output_padding: Any = None,
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        activation: Identifier = None,
        use_bias: bool = True,
        kernel_initializer: Identifier = "glorot_uniform",
        bias_initializer: Identifier = "zeros",
        kernel_regularizer: Identifier = None,
        bias_regularizer: Identifier = None,
        activity_regularizer: Identifier = None,
        kernel_constraint: Identifier = None,
        bias_constraint: Identifier = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.filters = positive(filters, "filters")
        self._take(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias
        )  # fmt: skip
        self.output_padding = None
        if output_padding is not None:
            self.output_padding = per_axis(output_padding, self.rank, "output_padding", least=0)
            if any(p >= s for p, s in zip(self.output_padding, self.strides, strict=True)):
                raise ValueError(
                    "`output_padding` must be strictly less than `strides`. Received: "
                    f"output_padding={self.output_padding} and strides={self.strides}"
                    "\n  hint: leave output_padding out"
                )
        self._keep(
            ("kernel", "bias"),
            {
                "kernel_initializer": kernel_initializer, "bias_initializer": bias_initializer,
                "kernel_regularizer": kernel_regularizer, "bias_regularizer": bias_regularizer,
                "kernel_constraint": kernel_constraint, "bias_constraint": bias_constraint,
            },
        )  # fmt: skip

    def build(self, input_shape: Shape) -> None:
        """Kernel (sizes.., filters, channels) and bias (filters,)."""
        channels = self._channels(input_shape)
        self.kernel = self._weight("kernel", "kernel", (*self.kernel_size, self.filters, channels))
        self._add_bias(self.filters)
        self.built = True

    def call(self, inputs: Tensor) -> Tensor:
        """activation(conv_transpose(inputs, kernel) + bias)."""
        return self._finished(
            ops.conv_transpose(
                inputs, self.kernel.value, strides=self.strides, padding=self.padding,
                output_padding=self.output_padding, data_format=self.data_format,
                dilation_rate=self.dilation_rate,
            )
        )  # fmt: skip

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape with `filters` channels at the positions that the windows reach."""
        first = self.data_format == "channels_first"
        extra = self.output_padding or (None,) * self.rank
        sizes = [
            transposed_size(
                size, self.kernel_size[i], self.strides[i], self.padding, extra[i],
                self.dilation_rate[i],
            )
            for i, size in enumerate(input_shape[2:] if first else input_shape[1:-1])
        ]  # fmt: skip
        if first:
            return (input_shape[0], self.filters, *sizes)
        return (input_shape[0], *sizes, self.filters)


class Conv1DTranspose(_ConvTranspose):
    """Transposed convolution of sequences: each position spreads a window over the output.

    Shapes: (n, steps, channels) -> (n, new_steps, filters);
    channels first with `data_format="channels_first"`. Weights: `kernel`
    (size, filters, channels) and `bias` (filters,).

    Args:
        filters: The number of the output's channels.
        kernel_size: The size of the window: a whole number.
        strides: Positions of the output per position of the input.
        padding: `"valid"` (the whole window at each position) or `"same"` (as many positions as
            the input, times the strides).
        output_padding: Positions added at the end, below the strides; None: what `padding` says.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        dilation_rate: The distance between the elements of the window; 1 when `strides` are not.
        activation: A function, or its name such as `"relu"`; None leaves the sums as they are.
        use_bias: Whether a bias is added to each filter.
        kernel_initializer: First values of the kernel: a name, a config or an `Initializer`.
        bias_initializer: First values of the bias.
        kernel_regularizer: Penalty on the kernel, added to the loss.
        bias_regularizer: Penalty on the bias, added to the loss.
        activity_regularizer: Penalty on the output, added to the loss.
        kernel_constraint: What the kernel is brought back to after each step.
        bias_constraint: What the bias is brought back to after each step.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ValueError: A size is not a whole number above 0, `padding` or `data_format` is unknown, or
            strides and dilations are both above 1.
        ShapeError: The window does not fit into the input, or the channels are others than the
            layer was built for.

    Example:
        >>> layer = fastnn.layers.Conv1DTranspose(8, 3, strides=2, padding="same")
        >>> layer(np.zeros((2, 10, 3))).shape
        (2, 20, 8)
    """

    rank = 1


class Conv2DTranspose(_ConvTranspose):
    """Transposed convolution of images: each position spreads a window over the output.

    Shapes: (n, rows, columns, channels) -> (n, new_rows, new_columns, filters);
    channels first with `data_format="channels_first"`. Weights: `kernel`
    (rows, columns, filters, channels) and `bias` (filters,).

    Args:
        filters: The number of the output's channels.
        kernel_size: The size of the window: one number for rows and columns, or a pair.
        strides: Positions of the output per position of the input.
        padding: `"valid"` (the whole window at each position) or `"same"` (as many positions as
            the input, times the strides).
        output_padding: Positions added at the end, below the strides; None: what `padding` says.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        dilation_rate: The distance between the elements of the window; 1 when `strides` are not.
        activation: A function, or its name such as `"relu"`; None leaves the sums as they are.
        use_bias: Whether a bias is added to each filter.
        kernel_initializer: First values of the kernel: a name, a config or an `Initializer`.
        bias_initializer: First values of the bias.
        kernel_regularizer: Penalty on the kernel, added to the loss.
        bias_regularizer: Penalty on the bias, added to the loss.
        activity_regularizer: Penalty on the output, added to the loss.
        kernel_constraint: What the kernel is brought back to after each step.
        bias_constraint: What the bias is brought back to after each step.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ValueError: A size is not a whole number above 0, `padding` or `data_format` is unknown, or
            strides and dilations are both above 1.
        ShapeError: The window does not fit into the input, or the channels are others than the
            layer was built for.

    Example:
        >>> layer = fastnn.layers.Conv2DTranspose(8, 3, strides=2, padding="same")
        >>> layer(np.zeros((2, 10, 10, 3))).shape
        (2, 20, 20, 8)
    """

    rank = 2


class Conv3DTranspose(_ConvTranspose):
    """Transposed convolution of volumes: each position spreads a window over the output.

    Shapes: (n, depth, rows, columns, channels) -> (n, new_depth, new_rows, new_columns, filters);
    channels first with `data_format="channels_first"`. Weights: `kernel`
    (depth, rows, columns, filters, channels) and `bias` (filters,).

    Args:
        filters: The number of the output's channels.
        kernel_size: The size of the window: one number for all axes, or three.
        strides: Positions of the output per position of the input.
        padding: `"valid"` (the whole window at each position) or `"same"` (as many positions as
            the input, times the strides).
        data_format: `"channels_last"` (default) or `"channels_first"`.
        output_padding: Positions added at the end, below the strides; None: what `padding` says.
        dilation_rate: The distance between the elements of the window; 1 when `strides` are not.
        activation: A function, or its name such as `"relu"`; None leaves the sums as they are.
        use_bias: Whether a bias is added to each filter.
        kernel_initializer: First values of the kernel: a name, a config or an `Initializer`.
        bias_initializer: First values of the bias.
        kernel_regularizer: Penalty on the kernel, added to the loss.
        bias_regularizer: Penalty on the bias, added to the loss.
        activity_regularizer: Penalty on the output, added to the loss.
        kernel_constraint: What the kernel is brought back to after each step.
        bias_constraint: What the bias is brought back to after each step.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ValueError: A size is not a whole number above 0, `padding` or `data_format` is unknown, or
            strides and dilations are both above 1.
        ShapeError: The window does not fit into the input, or the channels are others than the
            layer was built for.

    Example:
        >>> layer = fastnn.layers.Conv3DTranspose(8, 3, strides=2, padding="same")
        >>> layer(np.zeros((2, 5, 5, 5, 3))).shape
        (2, 10, 10, 10, 8)
    """

    rank = 3

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        output_padding: Any = None,
        dilation_rate: int | Sequence[int] = 1,
        activation: Identifier = None,
        use_bias: bool = True,
        kernel_initializer: Identifier = "glorot_uniform",
        bias_initializer: Identifier = "zeros",
        kernel_regularizer: Identifier = None,
        bias_regularizer: Identifier = None,
        activity_regularizer: Identifier = None,
        kernel_constraint: Identifier = None,
        bias_constraint: Identifier = None,
        **kwargs: Any,
    ) -> None:
        # Keras has `data_format` before `output_padding` in three dimensions only.
        super().__init__(
            filters, kernel_size, strides, padding, output_padding, data_format, dilation_rate,
            activation, use_bias, kernel_initializer, bias_initializer, kernel_regularizer,
            bias_regularizer, activity_regularizer, kernel_constraint, bias_constraint, **kwargs,
        )  # fmt: skip
