"""Convolutions in one, two and three dimensions. Depends on `base`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnn import ops
from fastnn._core import Tensor
from fastnn.base.typing import Identifier, Shape
from fastnn.errors import ShapeError
from fastnn.layers.base.low_rank import Adapted, LowRank
from fastnn.layers.convolutional.base import Convolution, positive

__all__ = ["Conv1D", "Conv2D", "Conv3D"]


class _Conv(Convolution, LowRank):
    filters: int
    groups: int
    _adapted = "kernel"
    kernel: Adapted = Adapted("kernel")

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        groups: int = 1,
        activation: Identifier = None,
        use_bias: bool = True,
        kernel_initializer: Identifier = "glorot_uniform",
        bias_initializer: Identifier = "zeros",
        kernel_regularizer: Identifier = None,
        bias_regularizer: Identifier = None,
        activity_regularizer: Identifier = None,
        kernel_constraint: Identifier = None,
        bias_constraint: Identifier = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self._take_rank(lora_rank, lora_alpha)
        self.filters = positive(filters, "filters")
        if isinstance(groups, bool) or not isinstance(groups, int) or groups <= 0:
            raise ValueError(
                "The number of groups must be a positive integer. "
                f"Received: groups={groups}.\n  hint: groups=1"
            )
        if filters % groups:
            raise ValueError(
                "The number of filters must be evenly divisible by the number of groups. "
                f"Received: groups={groups}, filters={filters}."
                f"\n  hint: filters={filters - filters % groups or groups}"
            )
        self.groups = groups
        self._take(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias,
            causal=self.rank == 1,
        )  # fmt: skip
        self._keep(
            ("kernel", "bias"),
            {
                "kernel_initializer": kernel_initializer, "bias_initializer": bias_initializer,
                "kernel_regularizer": kernel_regularizer, "bias_regularizer": bias_regularizer,
                "kernel_constraint": kernel_constraint, "bias_constraint": bias_constraint,
            },
        )  # fmt: skip

    def build(self, input_shape: Shape) -> None:
        """Kernel (sizes.., channels / groups, filters) and bias (filters,)."""
        channels = self._channels(input_shape)
        if channels % self.groups:
            raise ShapeError(
                "The number of input channels must be evenly divisible by the number of groups. "
                f"Received groups={self.groups}, but the input has {channels} channels (full input "
                f"shape is {tuple(input_shape)}).\n  hint: a divisor of {channels}"
            )
        self.compute_output_shape(input_shape)
        self.kernel = self._weight(
            "kernel", "kernel", (*self.kernel_size, channels // self.groups, self.filters)
        )
        self._add_bias(self.filters)
        self.built = True
        self._adapt_as_given()

    def call(self, inputs: Tensor) -> Tensor:
        """activation(conv(inputs, kernel) + bias)."""
        return self._finished(
            ops.conv(
                inputs, self._with_adapters(), strides=self.strides, padding=self.padding,
                data_format=self.data_format, dilation_rate=self.dilation_rate,
            )
        )  # fmt: skip

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape with `filters` channels at the positions of the window."""
        return self._shape(input_shape, self.filters)


class Conv1D(_Conv):
    """Convolution of sequences: `filters` windows move over the positions.

    Shapes: (n, steps, channels) -> (n, new_steps, filters);
    channels first with `data_format="channels_first"`. Weights: `kernel`
    (size, channels / groups, filters) and `bias` (filters,).

    Args:
        filters: The number of windows, which is that of the output's channels.
        kernel_size: The size of the window: a whole number.
        strides: Its steps.
        padding: `"valid"` (the window stays inside), `"same"` (as many steps as the input, divided
            by the strides) or `"causal"` (no step sees a later one).
        data_format: `"channels_last"` (default) or `"channels_first"`.
        dilation_rate: The distance between the elements of the window; 1 when `strides` are not.
        groups: Groups of channels that are convolved apart; they divide channels and filters.
        activation: A function, or its name such as `"relu"`; None leaves the sums as they are.
        use_bias: Whether a bias is added to each filter.
        kernel_initializer: First values of the kernel: a name, a config or an `Initializer`.
        bias_initializer: First values of the bias.
        kernel_regularizer: Penalty on the kernel, added to the loss.
        bias_regularizer: Penalty on the bias, added to the loss.
        activity_regularizer: Penalty on the output, added to the loss.
        kernel_constraint: What the kernel is brought back to after each step.
        bias_constraint: What the bias is brought back to after each step.
        lora_rank: The rank of a trained change of a frozen kernel (`enable_lora`); None for none.
        lora_alpha: The change is multiplied by `lora_alpha / lora_rank`; None for `lora_rank`.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ValueError: A size is not a whole number above 0, `padding` or `data_format` is unknown, or
            strides and dilations are both above 1.
        ShapeError: The window does not fit into the input, or the channels are others than the
            layer was built for.

    Example:
        >>> layer = fastnn.layers.Conv1D(8, 3, padding="same", activation="relu")
        >>> layer(np.zeros((2, 10, 3))).shape
        (2, 10, 8)
    """

    rank = 1


class Conv2D(_Conv):
    """Convolution of images: `filters` windows move over the positions.

    Shapes: (n, rows, columns, channels) -> (n, new_rows, new_columns, filters);
    channels first with `data_format="channels_first"`. Weights: `kernel`
    (rows, columns, channels / groups, filters) and `bias` (filters,).

    Args:
        filters: The number of windows, which is that of the output's channels.
        kernel_size: The size of the window: one number for rows and columns, or a pair.
        strides: Its steps.
        padding: `"valid"` (the window stays inside) or `"same"` (as many positions as the input,
            divided by the strides).
        data_format: `"channels_last"` (default) or `"channels_first"`.
        dilation_rate: The distance between the elements of the window; 1 when `strides` are not.
        groups: Groups of channels that are convolved apart; they divide channels and filters.
        activation: A function, or its name such as `"relu"`; None leaves the sums as they are.
        use_bias: Whether a bias is added to each filter.
        kernel_initializer: First values of the kernel: a name, a config or an `Initializer`.
        bias_initializer: First values of the bias.
        kernel_regularizer: Penalty on the kernel, added to the loss.
        bias_regularizer: Penalty on the bias, added to the loss.
        activity_regularizer: Penalty on the output, added to the loss.
        kernel_constraint: What the kernel is brought back to after each step.
        bias_constraint: What the bias is brought back to after each step.
        lora_rank: The rank of a trained change of a frozen kernel (`enable_lora`); None for none.
        lora_alpha: The change is multiplied by `lora_alpha / lora_rank`; None for `lora_rank`.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ValueError: A size is not a whole number above 0, `padding` or `data_format` is unknown, or
            strides and dilations are both above 1.
        ShapeError: The window does not fit into the input, or the channels are others than the
            layer was built for.

    Example:
        >>> layer = fastnn.layers.Conv2D(8, 3, padding="same", activation="relu")
        >>> layer(np.zeros((2, 10, 10, 3))).shape
        (2, 10, 10, 8)
    """

    rank = 2


class Conv3D(_Conv):
    """Convolution of volumes: `filters` windows move over the positions.

    Shapes: (n, depth, rows, columns, channels) -> (n, new_depth, new_rows, new_columns, filters);
    channels first with `data_format="channels_first"`. Weights: `kernel`
    (depth, rows, columns, channels / groups, filters) and `bias` (filters,).

    Args:
        filters: The number of windows, which is that of the output's channels.
        kernel_size: The size of the window: one number for all axes, or three.
        strides: Its steps.
        padding: `"valid"` (the window stays inside) or `"same"` (as many positions as the input,
            divided by the strides).
        data_format: `"channels_last"` (default) or `"channels_first"`.
        dilation_rate: The distance between the elements of the window; 1 when `strides` are not.
        groups: Groups of channels that are convolved apart; they divide channels and filters.
        activation: A function, or its name such as `"relu"`; None leaves the sums as they are.
        use_bias: Whether a bias is added to each filter.
        kernel_initializer: First values of the kernel: a name, a config or an `Initializer`.
        bias_initializer: First values of the bias.
        kernel_regularizer: Penalty on the kernel, added to the loss.
        bias_regularizer: Penalty on the bias, added to the loss.
        activity_regularizer: Penalty on the output, added to the loss.
        kernel_constraint: What the kernel is brought back to after each step.
        bias_constraint: What the bias is brought back to after each step.
        lora_rank: The rank of a trained change of a frozen kernel (`enable_lora`); None for none.
        lora_alpha: The change is multiplied by `lora_alpha / lora_rank`; None for `lora_rank`.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ValueError: A size is not a whole number above 0, `padding` or `data_format` is unknown, or
            strides and dilations are both above 1.
        ShapeError: The window does not fit into the input, or the channels are others than the
            layer was built for.

    Example:
        >>> layer = fastnn.layers.Conv3D(8, 3, padding="same", activation="relu")
        >>> layer(np.zeros((2, 5, 5, 5, 3))).shape
        (2, 5, 5, 5, 8)
    """

    rank = 3
