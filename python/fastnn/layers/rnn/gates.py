"""What the cells with gates share, and the layers around them: settings, weights, projections.

The products of the inputs with the kernel are made for all steps at once; only the recurrence runs
step by step. Depends on `rnn`, `dropout`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Self

from fastnn import activations, constraints, initializers, ops, regularizers
from fastnn._core import Tensor
from fastnn.base.typing import Shape, TensorLike
from fastnn.layers.base.layer import Layer
from fastnn.layers.rnn.dropout import DropoutRNNCell, rate_in
from fastnn.layers.rnn.loop import time_major
from fastnn.layers.rnn.rnn import RNN
from fastnn.random import SeedGenerator

__all__ = ["GatedCell", "GatedRNN", "has_row", "parts", "shown"]


def parts(x: TensorLike, n: int) -> list[Any]:
    """`n` equal parts of the last axis."""
    return list(ops.split(x, n, axis=-1))


class GatedCell(Layer, DropoutRNNCell):
    """A cell whose weights are a kernel, a recurrent kernel and a bias of `gates` parts."""

    use_bias: Any
    dropout: float
    recurrent_dropout: float
    seed: Any
    seed_generator: Any
    output_size: int
    activation: Callable[..., Tensor]
    recurrent_activation: Callable[..., Tensor]

    #: The number of parts of the kernels: 4 of an LSTM.
    gates: ClassVar[int] = 1

    units: int
    kernel: Any
    recurrent_kernel: Any
    bias: Any

    def _set(self, units: Any, settings: dict[str, Any]) -> None:
        """Takes the constructor's arguments."""
        if isinstance(units, bool) or not hasattr(units, "__index__") or units <= 0:
            raise ValueError(
                "Received an invalid value for argument `units`, expected a positive integer, got "
                f"{units!r}.\n  hint: {type(self).__name__}(32)"
            )
        self.units = int(units)
        self.activation = activations.get(settings["activation"])
        if "recurrent_activation" in settings:
            self.recurrent_activation = activations.get(settings["recurrent_activation"])
        self.use_bias = settings["use_bias"]
        for kind in ("kernel", "recurrent", "bias"):
            for what, table in _KINDS.items():
                setattr(self, f"{kind}_{what}", table.get(settings[f"{kind}_{what}"]))
        self.dropout = rate_in(settings["dropout"])
        self.recurrent_dropout = rate_in(settings["recurrent_dropout"])
        self.seed = settings["seed"]
        self.seed_generator = SeedGenerator(self.seed)
        self.output_size = self.units

    def _bias_shape(self) -> tuple[int, ...]:
        return (self.units * self.gates,)

    def _first_bias(self) -> Any:
        return self.bias_initializer

    bias_initializer: Any

    def build(self, input_shape: Shape) -> None:
        """Kernel (features, gates * units), recurrent kernel (units, gates * units) and bias."""
        width = self.units * self.gates
        self.kernel = self._weight("kernel", "kernel", (input_shape[-1], width))
        self.recurrent_kernel = self._weight("recurrent_kernel", "recurrent", (self.units, width))
        self.bias = self._weight("bias", "bias", self._bias_shape()) if self.use_bias else None
        self.built = True

    def _weight(self, name: str, kind: str, shape: tuple[Any, ...]) -> Any:
        first = self._first_bias() if kind == "bias" else getattr(self, f"{kind}_initializer")
        return self.add_weight(
            shape=shape,
            name=name,
            initializer=first,
            regularizer=getattr(self, f"{kind}_regularizer"),
            constraint=getattr(self, f"{kind}_constraint"),
        )

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        """Zeros, one tensor (batch, units) a state.

        Args:
            batch_size: The number of samples.

        Returns:
            A list of tensors.
        """
        sizes = self.state_size  # type: ignore[attr-defined]
        sizes = [sizes] if isinstance(sizes, int) else sizes
        return [ops.zeros((batch_size, d)) for d in sizes]

    def project(self, x: TensorLike) -> Any:
        """The products of the inputs with the kernel, and the bias of the inputs."""
        raise NotImplementedError

    def advance(self, z: Any, states: list[Any]) -> tuple[Any, list[Any]]:
        """The output and the next states, from the projected inputs of a step."""
        raise NotImplementedError

    def has_row(self) -> bool:
        """Whether the core has a row for this cell with its activations."""
        return False

    def row(
        self, z: Any, states: list[Any], mask: TensorLike, drop: Any, backwards: bool
    ) -> tuple[Any, list[Any]]:
        """The outputs of all steps, each at its step's place, and the last states."""
        raise NotImplementedError

    def project_all(self, x: TensorLike, step: Any, training: bool | None, axis: int) -> Any:
        """The projected inputs of all steps, which lie along `axis`, under one dropout mask."""
        if not training or not 0 < self.dropout < 1:
            return self.project(x)
        masks = self.get_dropout_mask(step)
        if not isinstance(masks, list):
            return self.project(x * ops.expand_dims(masks, axis))
        kernels = parts(self.kernel.value, self.gates)
        z = ops.concatenate(
            [
                ops.matmul(x * ops.expand_dims(m, axis), w)
                for m, w in zip(masks, kernels, strict=True)
            ],
            axis=-1,
        )
        return z + self.project(ops.zeros_like(x[:1, :1]))

    def _dropped(self, kind: str, x: TensorLike, training: bool | None) -> list[Any]:
        """`x` once a gate, under the masks of the sequence where dropout is on."""
        rate = self.dropout if kind == "inputs" else self.recurrent_dropout
        if not training or not 0 < rate < 1:
            return [x] * self.gates
        masks = self.get_dropout_mask(x) if kind == "inputs" else self.get_recurrent_dropout_mask(x)
        masks = masks if isinstance(masks, list) else [masks] * self.gates
        return [x * m for m in masks]


def has_row(cell: GatedCell, base: type, *names: str) -> bool:
    """Whether a cell steps as its base class does, with activations of these names."""
    own = type(cell)
    if own.advance is not base.advance or own.call is not base.call:  # type: ignore[attr-defined]
        return False
    used = [cell.activation, getattr(cell, "recurrent_activation", None)]
    return all(f is activations.get(n) for f, n in zip(used, names, strict=False))


_KINDS: dict[str, Any] = {
    "initializer": initializers, "regularizer": regularizers, "constraint": constraints,
}  # fmt: skip

#: Arguments of a cell that the layer around it shows as its own.
_SHOWN = (
    "units", "activation", "recurrent_activation", "use_bias", "unit_forget_bias", "reset_after",
    *(f"{kind}_{what}" for what in _KINDS for kind in ("kernel", "recurrent", "bias")),
    "dropout", "recurrent_dropout", "seed",
)  # fmt: skip


def shown(name: str) -> property:
    """A property of a layer that is its cell's attribute of this name."""

    def get(self: Any) -> Any:
        return getattr(self.__dict__["cell"], name)

    get.__doc__ = "The cell's argument of this name."
    return property(get)


class GatedRNN(RNN):
    """A layer around a cell with gates; the inputs of all steps are projected at once."""

    def inner_loop(
        self,
        sequences: TensorLike,
        initial_state: TensorLike,
        mask: TensorLike,
        training: bool | None = False,
    ) -> tuple[Any, Any, Any]:
        """The last output, all outputs where they are returned, and the last states."""
        cell = self.cell
        drop = None
        if training and 0 < cell.recurrent_dropout < 1:
            masks = cell.get_recurrent_dropout_mask(initial_state[0])
            drop = ops.concatenate(masks, axis=-1) if isinstance(masks, list) else masks
        if not cell.has_row():
            if drop is not None or getattr(cell, "implementation", 2) == 1:
                return super().inner_loop(sequences, initial_state, mask, training)
            z = cell.project_all(time_major(sequences), sequences[:, 0], training, axis=0)
            return self._recur(cell.advance, z, initial_state, initial_state[0], mask)
        z = cell.project_all(sequences, sequences[:, 0], training, axis=1)
        y, states = cell.row(z, initial_state, mask, drop, self.go_backwards)
        last = states[0]
        if self.zero_output_for_mask and mask is not None:
            end = mask[:, :1] if self.go_backwards else mask[:, -1:]
            last = ops.where(end, last, 0.0)
            y = ops.where(ops.expand_dims(mask, -1), y, 0.0)
        if not self.return_sequences:
            return last, None, states
        return last, ops.flip(y, axis=1) if self._turned() else y, states

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """A layer; the cell is made from its arguments."""
        return cls(**config)


for _name in _SHOWN:
    setattr(GatedRNN, _name, shown(_name))
