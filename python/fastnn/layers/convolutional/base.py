"""What all convolutions share: checked arguments, weights, bias and activation.

Depends on `layers.base`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastnn import activations, constraints, initializers, ops, regularizers
from fastnn._core import Tensor
from fastnn.base.typing import Identifier
from fastnn.config import standardize_data_format
from fastnn.errors import ShapeError
from fastnn.layers.base.input_spec import InputSpec
from fastnn.layers.base.layer import Layer
from fastnn.layers.base.windows import per_axis, standard_padding, window_shape

__all__ = ["Convolution", "positive"]


def positive(value: Any, name: str) -> int:
    """A whole number above 0."""
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise ValueError(
            f"Invalid value for argument `{name}`. Expected a strictly positive value. "
            f"Received {name}={value}.\n  hint: {name}=32"
        )
    return value


class Convolution(Layer):
    """The base of convolutions over `rank` axes of positions."""

    rank: int
    kernel_size: Any
    strides: Any
    dilation_rate: Any
    padding: str
    data_format: str
    use_bias: bool
    bias: Any
    input_spec: Any
    activation: Callable[..., Tensor]

    def _take(
        self, kernel_size: Any, strides: Any, padding: Any, data_format: Any, dilation_rate: Any,
        activation: Identifier, use_bias: bool, causal: bool = False,
    ) -> None:  # fmt: skip
        """Keeps the arguments of the window under Keras's names."""
        self.kernel_size = per_axis(kernel_size, self.rank, "kernel_size")
        self.strides = per_axis(strides, self.rank, "strides")
        self.dilation_rate = per_axis(dilation_rate, self.rank, "dilation_rate")
        self.padding = standard_padding(padding, causal)
        self.data_format = standardize_data_format(data_format)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.input_spec = InputSpec(min_ndim=self.rank + 2)
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                "`strides > 1` not supported in conjunction with `dilation_rate > 1`. "
                f"Received: strides={self.strides} and dilation_rate={self.dilation_rate}"
                "\n  hint: one of the two is 1"
            )

    def _keep(self, kinds: tuple[str, ...], given: dict[str, Any]) -> None:
        """Keeps initialisers, regularisers and constraints of these kinds of weights."""
        for kind in kinds:
            setattr(self, f"{kind}_initializer", initializers.get(given[f"{kind}_initializer"]))
            setattr(self, f"{kind}_regularizer", regularizers.get(given[f"{kind}_regularizer"]))
            setattr(self, f"{kind}_constraint", constraints.get(given[f"{kind}_constraint"]))

    def _weight(self, name: str, kind: str, shape: tuple[int, ...]) -> Any:
        return self.add_weight(
            name=name,
            shape=shape,
            initializer=getattr(self, f"{kind}_initializer"),
            regularizer=getattr(self, f"{kind}_regularizer"),
            constraint=getattr(self, f"{kind}_constraint"),
        )

    def _channels(self, input_shape: Any) -> int:
        """The channels of the inputs, which later inputs must have too."""
        axis = -1 if self.data_format == "channels_last" else 1
        if len(input_shape) < self.rank + 2 or input_shape[axis] is None:
            raise ShapeError(
                f"inputs of shape {tuple(input_shape)}, wanted the batch, {self.rank} axes of "
                "positions and a known number of channels\n"
                "  hint: give the channels in Input(shape=...)"
            )
        self.input_spec = InputSpec(min_ndim=self.rank + 2, axes={axis: input_shape[axis]})
        return int(input_shape[axis])

    def _add_bias(self, filters: int) -> None:
        self.bias = self._weight("bias", "bias", (filters,)) if self.use_bias else None

    def _finished(self, outputs: Tensor) -> Tensor:
        """With bias and activation."""
        if self.bias is not None:
            bias = self.bias.value
            if self.data_format == "channels_first":
                bias = ops.reshape(bias, (1, -1, *(1,) * self.rank))
            outputs = outputs + bias
        return outputs if self.activation is None else self.activation(outputs)

    def _shape(self, input_shape: Any, filters: int) -> tuple[int | None, ...]:
        return window_shape(
            input_shape, filters, self.kernel_size, self.strides, self.padding, self.data_format,
            self.dilation_rate,
        )  # fmt: skip
