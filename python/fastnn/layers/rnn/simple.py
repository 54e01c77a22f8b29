"""The fully connected recurrent layer: a cell and its layer. Depends on `gates`."""

from __future__ import annotations

from typing import Any

from fastnn import ops
from fastnn.base.typing import Identifier, TensorLike
from fastnn.layers.base.input_spec import InputSpec
from fastnn.layers.rnn.gates import GatedCell, GatedRNN, has_row

__all__ = ["SimpleRNN", "SimpleRNNCell"]

#: Activations that the core's row has.
_ROWS = ("tanh", "relu", "linear", "sigmoid")


class SimpleRNNCell(GatedCell):
    """A step of a fully connected recurrent layer: the output is fed back as the state.

    Shapes: inputs (batch, features), states [h] of (batch, units) -> (h, [h]). Weights: `kernel`
    (features, units), `recurrent_kernel` (units, units), `bias` (units,).

    Args:
        units: The number of outputs, a whole number above 0.
        activation: Function of the sums, or its name.
        use_bias: Whether a bias is added.
        kernel_initializer: First values of the kernel: a name, a config or an `Initializer`.
        recurrent_initializer: First values of the recurrent kernel.
        bias_initializer: First values of the bias.
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
        >>> cell = fastnn.layers.SimpleRNNCell(4)
        >>> h, states = cell(np.ones((2, 3)), cell.get_initial_state(2))
        >>> h.shape, len(states)
        ((2, 4), 1)
    """

    state_size: int

    gates = 1

    def __init__(
        self,
        units: int,
        activation: Identifier = "tanh",
        use_bias: bool = True,
        kernel_initializer: Identifier = "glorot_uniform",
        recurrent_initializer: Identifier = "orthogonal",
        bias_initializer: Identifier = "zeros",
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
        self._set(
            units,
            {
                "activation": activation,
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
        self.state_size = self.units

    def project(self, x: TensorLike) -> Any:
        """Inputs @ kernel + bias."""
        z = ops.matmul(x, self.kernel.value)
        return z if self.bias is None else z + self.bias.value

    def has_row(self) -> bool:
        """Whether the activation is one of the core's row."""
        return any(has_row(self, SimpleRNNCell, name) for name in _ROWS)

    def row(
        self, z: Any, states: list[Any], mask: TensorLike, drop: Any, backwards: bool
    ) -> tuple[Any, list[Any]]:
        """The outputs of all steps and the last state, by the core's row."""
        u = self.recurrent_kernel.value
        name = next(n for n in _ROWS if has_row(self, SimpleRNNCell, n))
        y, h = ops.simple_rnn(z, u, states[0], mask, drop, backwards, name)
        return y, [h]

    def advance(self, z: Any, states: TensorLike) -> tuple[Any, list[Any]]:
        """The output and the next states, from the projected inputs of a step."""
        z = z + ops.matmul(states[0], self.recurrent_kernel.value)
        h = z if self.activation is None else self.activation(z)
        return h, [h]

    def call(self, inputs: TensorLike, states: TensorLike, training: bool | None = False) -> Any:
        """(h, [h]) of a step."""
        nested = isinstance(states, list | tuple)
        x = self._dropped("inputs", inputs, training)[0]
        h = self._dropped("states", states[0] if nested else states, training)[0]
        out, new = self.advance(self.project(x), [h])
        return out, new if nested else new[0]


class SimpleRNN(GatedRNN):
    """A fully connected recurrent layer along the steps of a sequence.

    Shapes: (batch, steps, features) -> (batch, units), or (batch, steps, units) with
    `return_sequences`; the steps may be open. States: h of (batch, units). Weights as those of
    `SimpleRNNCell`.

    Args:
        units: The number of outputs, a whole number above 0.
        activation: Function of the sums, or its name.
        use_bias: Whether a bias is added.
        kernel_initializer: First values of the kernel: a name, a config or an `Initializer`.
        recurrent_initializer: First values of the recurrent kernel.
        bias_initializer: First values of the bias.
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
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ValueError: `units` is not a positive whole number, or a name is not known.
        ShapeError: The sequences have no steps, or a mask or a state does not fit them.

    Example:
        >>> layer = fastnn.layers.SimpleRNN(4, return_sequences=True)
        >>> layer(np.ones((2, 3, 5))).shape
        (2, 3, 4)
        >>> [w.shape for w in layer.weights]
        [(5, 4), (4, 4), (4,)]
    """

    input_spec: Any

    def __init__(
        self,
        units: int,
        activation: Identifier = "tanh",
        use_bias: bool = True,
        kernel_initializer: Identifier = "glorot_uniform",
        recurrent_initializer: Identifier = "orthogonal",
        bias_initializer: Identifier = "zeros",
        kernel_regularizer: Identifier = None,
        recurrent_regularizer: Identifier = None,
        bias_regularizer: Identifier = None,
        activity_regularizer: Identifier = None,
        kernel_constraint: Identifier = None,
        recurrent_constraint: Identifier = None,
        bias_constraint: Identifier = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        seed: Any = None,
        **kwargs: Any,
    ) -> None:
        cell = SimpleRNNCell(
            units,
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
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
            name="simple_rnn_cell",
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
