"""The gated recurrent unit: a cell and its layer. Depends on `gates`.

Source: Cho et al. 2014; the order of gates in the weights is Keras's: update, reset, candidate.
"""

from __future__ import annotations

from typing import Any

from fastnn import ops
from fastnn.base.typing import Identifier, TensorLike
from fastnn.layers.base.input_spec import InputSpec
from fastnn.layers.rnn.gates import GatedCell, GatedRNN, has_row, parts

__all__ = ["GRU", "GRUCell"]


class GRUCell(GatedCell):
    """A step of a gated recurrent unit; `RNN(GRUCell(units))` is `GRU(units)`.

    Shapes: inputs (batch, features), states [h] of (batch, units) -> (h, [h]). Weights: `kernel`
    (features, 3 * units), `recurrent_kernel` (units, 3 * units), `bias` (2, 3 * units), one row for
    each product, or (3 * units,) with `reset_after=False`; in the order update gate, reset gate,
    candidate.

    Args:
        units: The number of outputs, a whole number above 0.
        activation: Function of the candidate values, or its name.
        recurrent_activation: Function of the gates, or its name.
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
        reset_after: Whether the reset gate acts on the product with the recurrent kernel, which has
            a bias of its own then, or on the state before it.
        seed: Seed of the dropout; a number, a `SeedGenerator` or None.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ValueError: `units` is not a positive whole number, or a name is not known.

    Example:
        >>> cell = fastnn.layers.GRUCell(4)
        >>> h, states = cell(np.ones((2, 3)), cell.get_initial_state(2))
        >>> h.shape, len(states)
        ((2, 4), 1)
    """

    dropout_mask_count: int
    state_size: int

    gates = 3

    def __init__(
        self,
        units: int,
        activation: Identifier = "tanh",
        recurrent_activation: Identifier = "sigmoid",
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
        reset_after: bool = True,
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
        self.reset_after = reset_after
        #: 1: each gate has a dropout mask of its own; 2: they share one.
        self.implementation = 1 if self.recurrent_dropout else implementation
        if self.implementation == 1:
            self.dropout_mask_count = self.gates
        self.state_size = self.units

    def _bias_shape(self) -> tuple[int, ...]:
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    def _biases(self) -> tuple[Any, Any]:
        """The biases of the inputs and of the state; None where there is none."""
        if self.bias is None:
            return None, None
        value = self.bias.value
        return (value[0], value[1]) if self.reset_after else (value, None)

    def project(self, x: TensorLike) -> Any:
        """The inputs times the kernel, and their bias."""
        z, bias = ops.matmul(x, self.kernel.value), self._biases()[0]
        return z if bias is None else z + bias

    def has_row(self) -> bool:
        """Whether the activations are those of the core's row."""
        return has_row(self, GRUCell, "tanh", "sigmoid")

    def row(
        self, z: Any, states: list[Any], mask: TensorLike, drop: Any, backwards: bool
    ) -> tuple[Any, list[Any]]:
        """The outputs of all steps and the last states, by the core's row."""
        u, bias = self.recurrent_kernel.value, self._biases()[1]
        y, h = ops.gru(z, u, bias, states[0], mask, drop, backwards, self.reset_after)
        return y, [h]

    def advance(self, z: Any, states: TensorLike) -> tuple[Any, list[Any]]:
        """The output and the next states, from the projected inputs of a step."""
        return self._gates(parts(z, 3), _state(states), [_state(states)] * 3)

    def _gates(self, x: list[Any], h: Any, hs: list[Any]) -> tuple[Any, list[Any]]:
        """`hs` is the state as each gate sees it, under its dropout mask."""
        u, bias = self.recurrent_kernel.value, self._biases()[1]
        shared = hs[0] is hs[1] and hs[0] is hs[2]
        if self.reset_after and shared:
            product = ops.matmul(hs[0], u)
            inner = parts(product if bias is None else product + bias, 3)
        else:
            kernels = parts(u, 3)[: 3 if self.reset_after else 2]
            inner = [ops.matmul(a, w) for a, w in zip(hs, kernels, strict=False)]
            if bias is not None:
                inner = [a + b for a, b in zip(inner, parts(bias, 3), strict=False)]
        update = self.recurrent_activation(x[0] + inner[0])
        reset = self.recurrent_activation(x[1] + inner[1])
        if self.reset_after:
            candidate = self.activation(x[2] + reset * inner[2])
        else:
            candidate = self.activation(x[2] + ops.matmul(reset * hs[2], parts(u, 3)[2]))
        h = update * h + (1 - update) * candidate
        return h, [h]

    def call(self, inputs: TensorLike, states: TensorLike, training: bool | None = False) -> Any:
        """(h, [h]) of a step."""
        h = _state(states)
        if self.implementation != 1:
            out, new = self.advance(self.project(self._dropped("inputs", inputs, training)[0]), [h])
        else:
            xs = self._dropped("inputs", inputs, training)
            x = [ops.matmul(a, w) for a, w in zip(xs, parts(self.kernel.value, 3), strict=True)]
            bias = self._biases()[0]
            if bias is not None:
                x = [a + b for a, b in zip(x, parts(bias, 3), strict=True)]
            out, new = self._gates(x, h, self._dropped("states", h, training))
        return out, new if isinstance(states, list | tuple) else new[0]


def _state(states: TensorLike) -> Any:
    return states[0] if isinstance(states, list | tuple) else states


class GRU(GatedRNN):
    """A gated recurrent unit along the steps of a sequence.

    Shapes: (batch, steps, features) -> (batch, units), or (batch, steps, units) with
    `return_sequences`; the steps may be open. States: h of (batch, units). Weights as those of
    `GRUCell`.

    Args:
        units: The number of outputs, a whole number above 0.
        activation: Function of the candidate values, or its name.
        recurrent_activation: Function of the gates, or its name.
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
        reset_after: Whether the reset gate acts on the product with the recurrent kernel, which has
            a bias of its own then, or on the state before it.
        use_cudnn: Taken for Keras's sake; there is one implementation.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ValueError: `units` is not a positive whole number, or a name is not known.
        ShapeError: The sequences have no steps, or a mask or a state does not fit them.

    Example:
        >>> layer = fastnn.layers.GRU(4, return_sequences=True)
        >>> layer(np.ones((2, 3, 5))).shape
        (2, 3, 4)
        >>> [w.shape for w in layer.weights]
        [(5, 12), (4, 12), (2, 12)]
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
        reset_after: bool = True,
        use_cudnn: Any = "auto",
        **kwargs: Any,
    ) -> None:
        cell = GRUCell(
            units,
            activation=activation,
            recurrent_activation=recurrent_activation,
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
            reset_after=reset_after,
            seed=seed,
            dtype=kwargs.get("dtype"),
            trainable=kwargs.get("trainable", True),
            name="gru_cell",
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
