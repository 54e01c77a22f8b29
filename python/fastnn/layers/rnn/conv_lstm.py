"""Recurrent layers of convolutions: an LSTM whose products are convolutions. Depends on `gates`.

Source: Shi et al. 2015, "Convolutional LSTM network".
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, Self

from fastnn import ops
from fastnn._core import Tensor
from fastnn.base.typing import Identifier, Shape, TensorLike
from fastnn.config import standardize_data_format
from fastnn.errors import ShapeError
from fastnn.layers.base.input_spec import InputSpec
from fastnn.layers.base.windows import window_shape
from fastnn.layers.rnn.gates import GatedCell, shown
from fastnn.layers.rnn.lstm import LSTMCell
from fastnn.layers.rnn.rnn import RNN

__all__ = ["ConvLSTM", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "ConvLSTMCell"]


def _sizes(name: str, value: Any, rank: int) -> tuple[int, ...]:
    sizes = (value,) * rank if isinstance(value, int) else tuple(value)
    if len(sizes) != rank or any(not isinstance(n, int) or n < 1 for n in sizes):
        raise ValueError(
            f"The `{name}` argument must be a tuple of {rank} integers above 0. Received: "
            f"{name}={value}\n  hint: {name}=3"
        )
    return sizes


class ConvLSTMCell(GatedCell):
    """A step of an LSTM whose products with inputs and state are convolutions.

    Args:
        rank: The number of axes of a picture: 1, 2 or 3.
        filters: The number of channels of the state.
        kernel_size: The size of the kernels, a number or one an axis.
        strides: Steps of the convolution of the inputs.
        padding: `"valid"` or `"same"`, of the convolution of the inputs.
        data_format: `"channels_last"` or `"channels_first"`; None: the global setting.
        dilation_rate: Gaps of the convolution of the inputs.
        **kwargs: The further arguments of `LSTMCell`.
    """

    filters: int
    unit_forget_bias: bool
    kernel_size: tuple[int, ...]
    strides: tuple[int, ...]
    dilation_rate: tuple[int, ...]
    padding: str
    data_format: str
    input_spec: Any
    kernel: Any
    recurrent_kernel: Any
    bias: Any
    output_size: int

    gates = 4

    def __init__(
        self,
        rank: int,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        activation: Identifier = "tanh",
        recurrent_activation: Identifier = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Identifier = "glorot_uniform",
        recurrent_initializer: Identifier = "orthogonal",
        bias_initializer: Identifier = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Identifier = None,
        recurrent_regularizer: Identifier = None,
        bias_regularizer: Identifier = None,
        kernel_constraint: Identifier = None,
        recurrent_constraint: Identifier = None,
        bias_constraint: Identifier = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if rank not in (1, 2, 3):
            raise ValueError(
                f"Rank {rank} convolutions are not currently implemented. Received: rank={rank}\n"
                "  hint: rank=2"
            )
        self._set(
            filters,
            {
                "activation": activation,
                "recurrent_activation": recurrent_activation,
                "use_bias": use_bias,
                "kernel_initializer": kernel_initializer,
                "recurrent_initializer": recurrent_initializer,
                "bias_initializer": bias_initializer,
                "kernel_regularizer": kernel_regularizer,
                "recurrent_regularizer": recurrent_regularizer,
                "bias_regularizer": bias_regularizer,
                "kernel_constraint": kernel_constraint,
                "recurrent_constraint": recurrent_constraint,
                "bias_constraint": bias_constraint,
                "dropout": dropout,
                "recurrent_dropout": recurrent_dropout,
                "seed": seed,
            },
        )
        self.rank, self.filters, self.unit_forget_bias = rank, self.units, unit_forget_bias
        self.kernel_size = _sizes("kernel_size", kernel_size, rank)
        self.strides = _sizes("strides", strides, rank)
        self.dilation_rate = _sizes("dilation_rate", dilation_rate, rank)
        if padding.lower() not in ("valid", "same"):
            raise ValueError(
                f"`padding` must be 'valid' or 'same'. Received: padding={padding}\n"
                "  hint: padding='same'"
            )
        self.padding = padding.lower()
        self.data_format = standardize_data_format(data_format)
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                "Specifying `strides > 1` is not compatible with `dilation_rate > 1`. Please "
                f"provide `strides=1` or `dilation_rate=1`. Received: strides={self.strides} and "
                f"dilation_rate={self.dilation_rate}\n  hint: strides=1"
            )
        self.dropout_mask_count = 4
        self.state_size: Any = -1  # pictures, whose sizes are known when the cell is built

    _first_bias: Any = LSTMCell._first_bias
    _gates: Any = LSTMCell._gates

    def build(self, inputs_shape: Any, states_shape: Any = None) -> None:
        """Kernels (…, channels, 4 * filters) and (…, filters, 4 * filters), and the bias."""
        shape = tuple(inputs_shape)
        first = self.data_format == "channels_first"
        channels, picture = (shape[1], shape[2:]) if first else (shape[-1], shape[1:-1])
        if None in picture or channels is None:
            raise ShapeError(
                "ConvLSTM layers only support static input shapes for the spatial dimension. "
                f"Received invalid input shape: input_shape={shape}\n"
                "  hint: give all sizes of a picture in Input(shape=...)"
            )
        self.input_spec = InputSpec(ndim=self.rank + 2)
        width = 4 * self.filters
        self.kernel = self._weight("kernel", "kernel", (*self.kernel_size, channels, width))
        self.recurrent_kernel = self._weight(
            "recurrent_kernel", "recurrent", (*self.kernel_size, self.filters, width)
        )
        self.bias = self._weight("bias", "bias", (width,)) if self.use_bias else None
        out = self._picture(picture)
        size = (self.filters, *out) if first else (*out, self.filters)
        self.state_size, self.output_size = [size, size], size  # type: ignore[assignment]
        self.built = True

    def _picture(self, picture: tuple[int, ...]) -> tuple[int, ...]:
        """The sizes of a picture after the convolution of the inputs."""
        moved = window_shape(
            (None, *picture, None), None, self.kernel_size, self.strides, self.padding,
            "channels_last", self.dilation_rate,
        )  # fmt: skip
        return tuple(int(n) for n in moved[1:-1] if n is not None)

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        """Zeros for both states.

        Args:
            batch_size: The number of samples.

        Returns:
            A list of two tensors.
        """
        return [ops.zeros((batch_size, *size)) for size in self.state_size]

    def _convolved(self, x: list[Any], kernel: Any, shared: bool, **how: Any) -> list[Any]:
        """The convolutions of the gates' inputs; of one input for all gates it is one."""
        axis = 1 if self.data_format == "channels_first" else -1
        if shared:
            return list(ops.split(ops.conv(x[0], kernel, **how), 4, axis=axis))
        kernels = ops.split(kernel, 4, axis=-1)
        return [ops.conv(a, w, **how) for a, w in zip(x, kernels, strict=True)]

    def call(self, inputs: Tensor, states: TensorLike, training: bool | None = False) -> Any:
        """(h, [h, c]) of a step."""
        form = {"data_format": self.data_format}
        x = self._dropped("inputs", inputs, training)
        h = self._dropped("states", states[0], training)
        how = {"strides": self.strides, "padding": self.padding, **form}
        z = self._convolved(
            x, self.kernel.value, x[0] is x[1], dilation_rate=self.dilation_rate, **how
        )
        back = self._convolved(h, self.recurrent_kernel.value, h[0] is h[1], padding="same", **form)
        z = [a + b for a, b in zip(z, back, strict=True)]
        if self.bias is not None:
            first = self.data_format == "channels_first"
            shape = (1, self.filters, *(1,) * self.rank) if first else (self.filters,)
            biases = ops.split(self.bias.value, 4)
            z = [a + ops.reshape(b, shape) for a, b in zip(z, biases, strict=True)]
        return self._gates(z, states[1])


class ConvolvedLSTM(RNN):
    """An LSTM of convolutions along a sequence of pictures; subclasses say of how many axes."""

    input_spec: Any

    #: The number of axes of a picture: 1, 2 or 3.
    rank = 2

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        activation: Identifier = "tanh",
        recurrent_activation: Identifier = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Identifier = "glorot_uniform",
        recurrent_initializer: Identifier = "orthogonal",
        bias_initializer: Identifier = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Identifier = None,
        recurrent_regularizer: Identifier = None,
        bias_regularizer: Identifier = None,
        activity_regularizer: Identifier = None,
        kernel_constraint: Identifier = None,
        recurrent_constraint: Identifier = None,
        bias_constraint: Identifier = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: Any = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        **kwargs: Any,
    ) -> None:
        cell = ConvLSTMCell(
            self.rank,
            filters,
            kernel_size,
            strides=strides,
            padding=padding,
            data_format=data_format,
            dilation_rate=dilation_rate,
            activation=activation,
            recurrent_activation=recurrent_activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            unit_forget_bias=unit_forget_bias,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            seed=seed,
            name="conv_lstm_cell",
        )
        super().__init__(
            cell,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
        self.input_spec = InputSpec(ndim=self.rank + 3)

    def compute_output_shape(self, sequences_shape: Any, initial_state_shape: Any = None) -> Shape:
        """(batch, picture), with the steps where sequences are returned; and the states."""
        cell, shape = self.cell, tuple(sequences_shape)
        first = cell.data_format == "channels_first"
        picture = cell._picture(shape[3:] if first else shape[2:-1])
        size = (cell.filters, *picture) if first else (*picture, cell.filters)
        output = (*shape[:2], *size) if self.return_sequences else (shape[0], *size)
        state = (shape[0], *size)
        return (output, state, state) if self.return_state else output

    def compute_mask(self, inputs: TensorLike, mask: TensorLike = None) -> TensorLike:
        """The mask of the steps where sequences are returned."""
        mask = mask if self.return_sequences else None
        return [mask, None, None] if self.return_state else mask

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """A layer; the cell is made from its arguments."""
        return cls(**config)


for _name in (
    "filters", "kernel_size", "strides", "padding", "data_format", "dilation_rate", "activation",
    "recurrent_activation", "use_bias", "unit_forget_bias", "dropout", "recurrent_dropout", "seed",
    *(f"{kind}_{what}" for what in ("initializer", "regularizer", "constraint")
      for kind in ("kernel", "recurrent", "bias")),
):  # fmt: skip
    setattr(ConvolvedLSTM, _name, shown(_name))


class ConvLSTM(ConvolvedLSTM):
    """An LSTM of convolutions along a sequence of pictures, of any rank.

    Args:
        rank: The number of axes of a picture: 1, 2 or 3.
        *args: Those of `ConvLSTM2D`: `filters`, `kernel_size` and so on.
        **kwargs: The same by name.
    """

    def __init__(self, rank: int, *args: Any, **kwargs: Any) -> None:
        self.rank = rank
        super().__init__(*args, **kwargs)


_self, *_others = inspect.signature(ConvolvedLSTM.__init__).parameters.values()
_rank = inspect.Parameter("rank", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=int)
# Configs name the arguments of a constructor by its signature.
ConvLSTM.__init__.__signature__ = inspect.Signature([_self, _rank, *_others])  # type: ignore[attr-defined]


class ConvLSTM1D(ConvolvedLSTM):
    """An LSTM of convolutions along a sequence of rows.

    Shapes: (batch, steps, rows, channels) -> the rows of `filters` channels after the
    last step, or after all steps with `return_sequences`.

    Args:
        filters: The number of channels of the state.
        kernel_size: The size of the kernels, a number or one an axis.
        strides: Steps of the convolution of the inputs.
        padding: `"valid"` or `"same"`, of the convolution of the inputs.
        data_format: `"channels_last"` or `"channels_first"`; None: the global setting.
        dilation_rate: Gaps of the convolution of the inputs.
        activation: Function of the candidate values and of the output, or its name.
        recurrent_activation: Function of the gates, or its name.
        use_bias: Whether a bias is added.
        kernel_initializer: First values of the kernel.
        recurrent_initializer: First values of the recurrent kernel.
        bias_initializer: First values of the bias.
        unit_forget_bias: Whether the bias of the forget gate starts at 1.
        kernel_regularizer: Penalty on the kernel, added to the loss.
        recurrent_regularizer: Penalty on the recurrent kernel.
        bias_regularizer: Penalty on the bias.
        activity_regularizer: Penalty on the output, added to the loss.
        kernel_constraint: What the kernel is brought back to after each step.
        recurrent_constraint: What the recurrent kernel is brought back to.
        bias_constraint: What the bias is brought back to.
        dropout: Share of the inputs that is dropped in training, the same in all steps.
        recurrent_dropout: Share of the state that is dropped in training, the same in all steps.
        seed: Seed of the dropout.
        return_sequences: Whether the outputs of all steps are given, not of the last one alone.
        return_state: Whether the last states are given besides.
        go_backwards: Whether it begins with the last step.
        stateful: Whether a batch begins with the states that the one before ended with.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> layer = fastnn.layers.ConvLSTM1D(5, kernel_size=3)
        >>> layer(np.ones((1, 2, 4, 3))).shape
        (1, 2, 5)
    """

    rank = 1


class ConvLSTM2D(ConvolvedLSTM):
    """An LSTM of convolutions along a sequence of pictures.

    Shapes: (batch, steps, rows, columns, channels) -> the pictures of `filters` channels after the
    last step, or after all steps with `return_sequences`.

    Args:
        filters: The number of channels of the state.
        kernel_size: The size of the kernels, a number or one an axis.
        strides: Steps of the convolution of the inputs.
        padding: `"valid"` or `"same"`, of the convolution of the inputs.
        data_format: `"channels_last"` or `"channels_first"`; None: the global setting.
        dilation_rate: Gaps of the convolution of the inputs.
        activation: Function of the candidate values and of the output, or its name.
        recurrent_activation: Function of the gates, or its name.
        use_bias: Whether a bias is added.
        kernel_initializer: First values of the kernel.
        recurrent_initializer: First values of the recurrent kernel.
        bias_initializer: First values of the bias.
        unit_forget_bias: Whether the bias of the forget gate starts at 1.
        kernel_regularizer: Penalty on the kernel, added to the loss.
        recurrent_regularizer: Penalty on the recurrent kernel.
        bias_regularizer: Penalty on the bias.
        activity_regularizer: Penalty on the output, added to the loss.
        kernel_constraint: What the kernel is brought back to after each step.
        recurrent_constraint: What the recurrent kernel is brought back to.
        bias_constraint: What the bias is brought back to.
        dropout: Share of the inputs that is dropped in training, the same in all steps.
        recurrent_dropout: Share of the state that is dropped in training, the same in all steps.
        seed: Seed of the dropout.
        return_sequences: Whether the outputs of all steps are given, not of the last one alone.
        return_state: Whether the last states are given besides.
        go_backwards: Whether it begins with the last step.
        stateful: Whether a batch begins with the states that the one before ended with.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> layer = fastnn.layers.ConvLSTM2D(5, kernel_size=3)
        >>> layer(np.ones((1, 2, 4, 4, 3))).shape
        (1, 2, 2, 5)
    """

    rank = 2


class ConvLSTM3D(ConvolvedLSTM):
    """An LSTM of convolutions along a sequence of volumes.

    Shapes: (batch, steps, depth, rows, columns, channels) -> the volumes of `filters` channels
    after the last step, or after all steps with `return_sequences`.

    Args:
        filters: The number of channels of the state.
        kernel_size: The size of the kernels, a number or one an axis.
        strides: Steps of the convolution of the inputs.
        padding: `"valid"` or `"same"`, of the convolution of the inputs.
        data_format: `"channels_last"` or `"channels_first"`; None: the global setting.
        dilation_rate: Gaps of the convolution of the inputs.
        activation: Function of the candidate values and of the output, or its name.
        recurrent_activation: Function of the gates, or its name.
        use_bias: Whether a bias is added.
        kernel_initializer: First values of the kernel.
        recurrent_initializer: First values of the recurrent kernel.
        bias_initializer: First values of the bias.
        unit_forget_bias: Whether the bias of the forget gate starts at 1.
        kernel_regularizer: Penalty on the kernel, added to the loss.
        recurrent_regularizer: Penalty on the recurrent kernel.
        bias_regularizer: Penalty on the bias.
        activity_regularizer: Penalty on the output, added to the loss.
        kernel_constraint: What the kernel is brought back to after each step.
        recurrent_constraint: What the recurrent kernel is brought back to.
        bias_constraint: What the bias is brought back to.
        dropout: Share of the inputs that is dropped in training, the same in all steps.
        recurrent_dropout: Share of the state that is dropped in training, the same in all steps.
        seed: Seed of the dropout.
        return_sequences: Whether the outputs of all steps are given, not of the last one alone.
        return_state: Whether the last states are given besides.
        go_backwards: Whether it begins with the last step.
        stateful: Whether a batch begins with the states that the one before ended with.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> layer = fastnn.layers.ConvLSTM3D(5, kernel_size=3)
        >>> layer(np.ones((1, 2, 4, 4, 4, 3))).shape
        (1, 2, 2, 2, 5)
    """

    rank = 3
