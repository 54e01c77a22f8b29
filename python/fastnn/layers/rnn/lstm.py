"""The long short-term memory: a cell and its layer. Depends on `gates`.

Source: Hochreiter and Schmidhuber 1997; the order of gates in the weights is Keras's: input,
forget, candidate, output.
"""

from __future__ import annotations

from typing import Any

from fastnn import initializers, ops
from fastnn.base.typing import Identifier, TensorLike
from fastnn.errors import DataError
from fastnn.layers.base.input_spec import InputSpec
from fastnn.layers.rnn.gates import GatedCell, GatedRNN, has_row, parts

__all__ = ["LSTM", "LSTMCell"]


class LSTMCell(GatedCell):
    """A step of a long short-term memory; `RNN(LSTMCell(units))` is `LSTM(units)`.

    Shapes: inputs (batch, features), states [h, c] of (batch, units) -> (h, [h, c]). Weights:
    `kernel` (features, 4 * units), `recurrent_kernel` (units, 4 * units), `bias` (4 * units,), in
    the order input gate, forget gate, candidate, output gate.

    Args:
        units: The number of outputs, a whole number above 0.
        activation: Function of the candidate values and of the output, or its name.
        recurrent_activation: Function of the gates, or its name.
        use_bias: Whether a bias is added.
        kernel_initializer: First values of the kernel: a name, a config or an `Initializer`.
        recurrent_initializer: First values of the recurrent kernel.
        bias_initializer: First values of the bias.
        unit_forget_bias: Whether the bias of the forget gate starts at 1.
        kernel_regularizer: Penalty on the kernel, added to the loss.
        recurrent_regularizer: Penalty on the recurrent kernel.
        bias_regularizer: Penalty on the bias.
        kernel_constraint: What the kernel is brought back to after each step.
        recurrent_constraint: What the recurrent kernel is brought back to.
        bias_constraint: What the bias is brought back to.
        dropout: Share of the inputs that is dropped in training, the same in all steps.
        recurrent_dropout: Share of the state that is dropped in training, the same in all steps.
        seed: Seed of the dropout; a number, a `SeedGenerator` or None.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ValueError: `units` is not a positive whole number, or a name is not known.

    Example:
        >>> cell = fastnn.layers.LSTMCell(4)
        >>> h, states = cell(np.ones((2, 3)), cell.get_initial_state(2))
        >>> h.shape, len(states)
        ((2, 4), 2)
    """

    dropout_mask_count: int
    state_size: list[int]

    gates = 4

    def __init__(
        self,
        units: int,
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
        implementation = kwargs.pop("implementation", 2)
        super().__init__(**kwargs)
        self._set(
            units,
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
        self.unit_forget_bias = unit_forget_bias
        #: 1: each gate has a dropout mask of its own; 2: they share one.
        self.implementation = 1 if self.recurrent_dropout else implementation
        if self.implementation == 1:
            self.dropout_mask_count = self.gates
        self.state_size = [self.units, self.units]

    def _first_bias(self) -> Any:
        if not self.unit_forget_bias:
            return self.bias_initializer

        def first(_: Any, *args: Any, **kwargs: Any) -> Any:
            ones = initializers.get("ones")
            shapes = [(self.bias_initializer, 1), (ones, 1), (self.bias_initializer, 2)]
            made = [make((self.units * n,), *args, **kwargs) for make, n in shapes]
            return ops.concatenate(made)

        return first

    def project(self, x: TensorLike) -> Any:
        """The inputs times the kernel, and their bias."""
        z = ops.matmul(x, self.kernel.value)
        return z if self.bias is None else z + self.bias.value

    def has_row(self) -> bool:
        """Whether the activations are those of the core's row."""
        return has_row(self, LSTMCell, "tanh", "sigmoid")

    def row(
        self, z: Any, states: list[Any], mask: TensorLike, drop: Any, backwards: bool
    ) -> tuple[Any, list[Any]]:
        """The outputs of all steps and the last states, by the core's row."""
        u = self.recurrent_kernel.value
        y, h, c = ops.lstm(z, u, states[0], states[1], mask, drop, backwards)
        return y, [h, c]

    def advance(self, z: Any, states: list[Any]) -> tuple[Any, list[Any]]:
        """The output and the next states, from the projected inputs of a step."""
        z = z + ops.matmul(states[0], self.recurrent_kernel.value)
        return self._gates(parts(z, 4), states[1])

    def _gates(self, z: list[Any], c: Any) -> tuple[Any, list[Any]]:
        let, keep = self.recurrent_activation(z[0]), self.recurrent_activation(z[1])
        c = keep * c + let * self.activation(z[2])
        h = self.recurrent_activation(z[3]) * self.activation(c)
        return h, [h, c]

    def call(self, inputs: TensorLike, states: TensorLike, training: bool | None = False) -> Any:
        """(h, [h, c]) of a step."""
        if len(states) != 2:
            raise DataError(
                f"layer {self.name!r} got {len(states)} states, wanted 2\n  hint: states=[h, c]"
            )
        if self.implementation != 1:
            x = self._dropped("inputs", inputs, training)[0]
            return self.advance(self.project(x), states)
        xs = self._dropped("inputs", inputs, training)
        hs = self._dropped("states", states[0], training)
        kernels = zip(
            parts(self.kernel.value, 4), parts(self.recurrent_kernel.value, 4), strict=True
        )
        z = [
            ops.matmul(x, w) + ops.matmul(h, u)
            for x, h, (w, u) in zip(xs, hs, kernels, strict=True)
        ]
        if self.bias is not None:
            z = [a + b for a, b in zip(z, parts(self.bias.value, 4), strict=True)]
        return self._gates(z, states[1])


class LSTM(GatedRNN):
    """A long short-term memory along the steps of a sequence.

    Shapes: (batch, steps, features) -> (batch, units), or (batch, steps, units) with
    `return_sequences`; the steps may be open. States: [h, c] of (batch, units). Weights as those of
    `LSTMCell`.

    Args:
        units: The number of outputs, a whole number above 0.
        activation: Function of the candidate values and of the output, or its name.
        recurrent_activation: Function of the gates, or its name.
        use_bias: Whether a bias is added.
        kernel_initializer: First values of the kernel: a name, a config or an `Initializer`.
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
        seed: Seed of the dropout; a number, a `SeedGenerator` or None.
        return_sequences: Whether the outputs of all steps are given, not of the last one alone.
        return_state: Whether the last states are given besides.
        go_backwards: Whether it begins with the last step; outputs are then in reversed order.
        stateful: Whether a batch begins with the states that the one before ended with.
        unroll: Whether the steps are written out.
        use_cudnn: Taken for Keras's sake; there is one implementation.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ValueError: `units` is not a positive whole number, or a name is not known.
        ShapeError: The sequences have no steps, or a mask or a state does not fit them.

    Example:
        >>> layer = fastnn.layers.LSTM(4, return_sequences=True)
        >>> layer(np.ones((2, 3, 5))).shape
        (2, 3, 4)
        >>> [w.shape for w in layer.weights]
        [(5, 16), (4, 16), (16,)]
    """

    input_spec: Any

    def __init__(
        self,
        units: int,
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
        unroll: bool = False,
        use_cudnn: Any = "auto",
        **kwargs: Any,
    ) -> None:
        cell = LSTMCell(
            units,
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
            dtype=kwargs.get("dtype"),
            trainable=kwargs.get("trainable", True),
            name="lstm_cell",
            implementation=kwargs.pop("implementation", 2),
        )
        super().__init__(
            cell,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            unroll=unroll,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
        self.input_spec = InputSpec(ndim=3)
        if use_cudnn not in ("auto", True, False):
            raise ValueError(
                "Invalid valid received for argument `use_cudnn`. Expected one of "
                f"{{'auto', True, False}}. Received: use_cudnn={use_cudnn}\n  hint: leave it out"
            )
        self.use_cudnn = use_cudnn

    def get_config(self) -> dict[str, Any]:
        """Without the choice of a library."""
        config = super().get_config()
        config.pop("use_cudnn", None)
        return config
