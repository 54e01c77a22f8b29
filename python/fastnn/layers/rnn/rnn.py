"""`RNN`: a cell run along a sequence. Depends on `loop`, `stacked`, `dropout`."""

from __future__ import annotations

from typing import Any, Self

from fastnn import ops
from fastnn.base import tree
from fastnn.base.arguments import call_parameters
from fastnn.base.typing import TensorLike
from fastnn.errors import DataError
from fastnn.layers.base.layer import Layer
from fastnn.layers.rnn.dropout import DropoutRNNCell
from fastnn.layers.rnn.loop import check_mask, check_steps, recur, time_major, zeros_like_state
from fastnn.layers.rnn.stacked import StackedRNNCells
from fastnn.serialization.keras_config import deserialize
from fastnn.tracing.call_context import current_call
from fastnn.tracing.fixed_batch import bind_batch
from fastnn.tracing.variables import Variable, suspended_scope

__all__ = ["RNN"]


class RNN(Layer):
    """A recurrent layer: a cell carried along the steps of a sequence.

    Shapes: (batch, steps, features) -> (batch, units), or (batch, steps, units) with
    `return_sequences`. A cell is a layer with `state_size` (a number or a list of them) whose
    `call(inputs, states)` gives the output of a step and the next states; it may have
    `output_size` and `get_initial_state(batch_size)`. The cell is traced once, whatever the number
    of steps, which may be open.

    Args:
        cell: The cell, or a list of cells that are stacked.
        return_sequences: Whether the outputs of all steps are given, not of the last one alone.
        return_state: Whether the last states are given besides.
        go_backwards: Whether it begins with the last step; outputs are then in reversed order.
        stateful: Whether the states at the end of a batch are the first ones of the next batch,
            sample by sample. The size of the batch is then fixed.
        unroll: Whether the steps are written out, so that short sequences may run quicker.
        zero_output_for_mask: Whether masked steps give zeros instead of the output before them; a
            last step too, where only its output is returned.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ValueError: The cell lacks `call` or `state_size`, or the batch of a stateful layer is not
            known or changes.
        ShapeError: The sequences have no steps, or the mask does not fit them.

    Example:
        >>> class Sum(fastnn.layers.Layer):
        ...     state_size = 2
        ...     def call(self, inputs, states):
        ...         total = states[0] + inputs
        ...         return total, [total]
        >>> layer = fastnn.layers.RNN(Sum(), return_sequences=True)
        >>> layer(np.ones((1, 3, 2))).numpy()[0, :, 0]
        array([1., 2., 3.], dtype=float32)
    """

    cell: Any
    supports_masking: Any
    single_state: bool

    def __init__(
        self,
        cell: Any,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        **kwargs: Any,
    ) -> None:
        if isinstance(cell, list | tuple):
            cell = StackedRNNCells(cell)
        if not hasattr(cell, "call"):
            raise ValueError(
                f"Argument `cell` should have a `call` method. Received: cell={cell}\n"
                "  hint: a layer whose call(inputs, states) gives (output, new_states)"
            )
        if not hasattr(cell, "state_size"):
            raise ValueError(
                "The RNN cell should have a `state_size` attribute (single integer or list of "
                f"integers, one integer per RNN state). Received: cell={cell}\n"
                "  hint: self.state_size = units in the cell's __init__"
            )
        super().__init__(**kwargs)
        self.zero_output_for_mask = zero_output_for_mask
        self.cell = cell
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.go_backwards = go_backwards
        self.stateful = stateful
        self.unroll = unroll
        self.supports_masking = True
        self._states: Any = None
        self._batch: int | None = None
        size = cell.state_size
        if size is None:
            raise ValueError(
                "state_size must be specified as property on the RNN cell.\n"
                "  hint: self.state_size = units"
            )
        if not isinstance(size, list | tuple | int):
            raise ValueError(
                "state_size must be an integer, or a list/tuple of integers (one for each state "
                f"tensor). Received: {size!r}\n  hint: self.state_size = [units, units]"
            )
        self.single_state = isinstance(size, int)

    @property
    def state_size(self) -> list[Any]:
        """The sizes of the states, one a state."""
        size = self.cell.state_size
        return [size] if isinstance(size, int) else list(size)

    @property
    def states(self) -> Any:
        """The variables that keep the states of a stateful layer; None before it is built."""
        return self._states

    def _output_size(self) -> Any:
        size = getattr(self.cell, "output_size", None)
        size = self.state_size[0] if size is None else size
        return size[0] if isinstance(size, list | tuple) and len(size) == 1 else size

    def compute_output_shape(self, sequences_shape: Any, initial_state_shape: Any = None) -> Any:
        """(batch, units), with the steps where sequences are returned, and those of the states."""
        batch, steps = sequences_shape[0], sequences_shape[1]
        size = self._output_size()
        sizes = (size,) if isinstance(size, int) else tuple(size)
        output = (batch, steps, *sizes) if self.return_sequences else (batch, *sizes)
        if not self.return_state:
            return output
        states = [
            (batch, s) if isinstance(s, int) else [(batch, d) for d in s] for s in self.state_size
        ]
        return output, *states

    def compute_mask(self, inputs: TensorLike, mask: TensorLike = None) -> TensorLike:
        """The mask of the steps where sequences are returned."""
        mask = tree.flatten(mask)[0] if mask is not None else None
        mask = mask if self.return_sequences else None
        return [mask, *(None for _ in self.state_size)] if self.return_state else mask

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:
        """Builds the cell; makes the states of a stateful layer."""
        if isinstance(self.cell, Layer) and not self.cell.built:
            self.cell.build((sequences_shape[0], *tuple(sequences_shape)[2:]))
            self.cell.built = True
        if self.stateful and self._states is None:
            if sequences_shape[0] is None:
                raise ValueError(
                    "When using `stateful=True` in a RNN, the batch size must be static. Found "
                    f"dynamic batch size: sequence.shape={tuple(sequences_shape)}\n"
                    "  hint: Input(batch_shape=(batch, steps, features))"
                )
            self._batch = int(sequences_shape[0])
            bind_batch(self, self._batch)
            with suspended_scope():
                self._states = tree.map_structure(
                    lambda x: Variable(x, trainable=False, name="rnn_state"),
                    self.get_initial_state(self._batch),
                )
        self.built = True

    def get_initial_state(self, batch_size: Any) -> list[Any]:
        """The first states: what the cell says, else zeros.

        Args:
            batch_size: The number of samples.

        Returns:
            A list, one entry a state.

        Example:
            >>> [s.shape for s in fastnn.layers.LSTM(4).get_initial_state(2)]
            [(2, 4), (2, 4)]
        """
        make = getattr(self.cell, "get_initial_state", None)
        if make is None:
            return [ops.zeros((batch_size, d)) for d in self.state_size]
        made = make(batch_size=batch_size)
        return list(made) if isinstance(made, list | tuple) else [made]

    def reset_states(self) -> None:
        """The same as `reset_state`."""
        self.reset_state()

    def reset_state(self) -> None:
        """Sets the states that a stateful layer keeps to zero: a new sequence begins.

        Example:
            >>> layer = fastnn.layers.LSTM(4, stateful=True)
            >>> y = layer(np.ones((1, 2, 3)))
            >>> layer.reset_state()
            >>> float(fastnn.ops.sum(layer.states[0]))
            0.0
        """
        for v in tree.flatten(self._states) if self._states is not None else ():
            v.assign(ops.zeros_like(v.value))

    # ---- running ---------------------------------------------------------------------------------

    def _first_states(self, sequences: TensorLike, initial_state: TensorLike) -> list[Any]:
        """The states that a call begins with, as tensors."""
        batch = sequences.shape[0]
        if self.stateful and self._batch is not None and batch not in (None, self._batch):
            raise ValueError(
                "If an RNN is stateful, the batch size of the input sequences must be the same as "
                f"the batch size of the initial state. \n- Expected batch size: {self._batch}\n"
                f"- Received batch size: {batch}\n"
                f"  hint: batch_size={self._batch} in fit, evaluate and predict"
            )
        if initial_state is None and self.stateful:
            states = tree.map_structure(lambda v: self._rows(v.value, sequences), self._states)
        elif initial_state is None:
            states = self.get_initial_state(ops.shape(sequences)[0])
        else:
            states = initial_state
        states = list(states) if isinstance(states, list | tuple) else [states]
        if len(states) != len(self.state_size):
            raise DataError(
                f"layer {self.name!r} got {len(states)} initial states, its cell has "
                f"{len(self.state_size)}\n  hint: a list, one tensor a state"
            )
        for x, size in zip(states, self.state_size, strict=True):
            wide = getattr(x, "shape", (None, size))[1:]
            if isinstance(size, int) and tuple(wide) != (size,):
                raise ValueError(
                    f"layer {self.name!r}: an initial state has shape {tuple(x.shape)}, its cell "
                    f"keeps {size} numbers a sample\n  hint: shape (batch, {size})"
                )
        for x in tree.flatten(states):
            given = x.shape[0]
            if isinstance(given, int) and isinstance(batch, int) and given != batch:
                raise ValueError(
                    f"layer {self.name!r}: an initial state is for {given} samples, the batch has "
                    f"{batch}\n  hint: shape (batch, units)"
                )
        return tree.map_structure(lambda x: ops.cast(x, "float32"), states)  # type: ignore[no-any-return]

    def _rows(self, kept: Any, sequences: TensorLike) -> Any:
        """The kept states of the batch, whose size is open in a traced step; another size than the
        kept one is an error of `take`.
        """
        if isinstance(sequences.shape[0], int):
            return kept
        return ops.take(kept, ops.arange(ops.shape(sequences)[0]), axis=0)

    def _keep(self, states: TensorLike) -> None:
        """Assigns the states at the end of a call to a stateful layer's variables."""
        for v, x in zip(tree.flatten(self._states), tree.flatten(states), strict=True):
            n = v.shape[0]
            v.assign(x if x.shape[0] == n else ops.take(x, ops.arange(n), axis=0))

    def _cell_arguments(self, training: bool | None) -> dict[str, Any]:
        takes = isinstance(self.cell, Layer) and call_parameters(type(self.cell).call)[1]
        return {"training": training} if takes else {}

    def inner_loop(
        self,
        sequences: TensorLike,
        initial_state: TensorLike,
        mask: TensorLike,
        training: bool | None = False,
    ) -> tuple[Any, Any, Any]:
        """The last output, all outputs where they are returned, and the last states."""
        arguments = self._cell_arguments(training)
        run = self.cell if callable(self.cell) else self.cell.call

        def step(x: TensorLike, states: TensorLike) -> tuple[Any, Any]:
            return run(x, states, **arguments)  # type: ignore[no-any-return]

        before = self._output_before(sequences, initial_state)
        return self._recur(step, time_major(sequences), initial_state, before, mask)

    def _recur(
        self, step: Any, inputs: TensorLike, states: TensorLike, before: Any, mask: TensorLike
    ) -> tuple[Any, Any, Any]:
        return recur(
            step, inputs, states, before, mask, self.go_backwards, self.unroll,
            self.zero_output_for_mask, self.return_sequences, self._turned(),
        )  # fmt: skip

    def _turned(self) -> bool:
        """Whether outputs against time stand in the order in which they were computed, as the
        layer gives them; `Bidirectional` wants each at its step's place.
        """
        context = current_call()
        return self.go_backwards and not (context and ("in place", id(self)) in context.kept)

    def _output_before(self, sequences: TensorLike, states: TensorLike) -> Any:
        """What masked steps at the start give: the first state where the output is like it."""
        size = self._output_size()
        state = states[-1] if isinstance(states[0], list | tuple) else states[0]
        state = state[0] if isinstance(state, list | tuple) else state
        sizes = (size,) if isinstance(size, int) else tuple(size)
        if tuple(state.shape[1:]) == sizes:
            return state
        return zeros_like_state(sequences, size)

    def call(
        self,
        sequences: TensorLike,
        initial_state: TensorLike = None,
        mask: TensorLike = None,
        training: bool | None = False,
    ) -> Any:
        """The output, and the last states with `return_state`."""
        if self.unroll and not isinstance(sequences.shape[1], int):
            raise ValueError(
                "Cannot unroll a RNN if the time dimension is undefined. \n"
                "- If using a Sequential model, specify the time dimension by passing an `Input()` "
                "as your first layer.\n- If using the functional API, specify the time dimension "
                "by passing a `shape` or `batch_shape` argument to your `Input()`.\n"
                "  hint: Input((steps, features)), or unroll=False"
            )
        check_steps(sequences)
        mask = check_mask(mask, sequences, f"layer {self.name!r}")
        states = self._first_states(sequences, initial_state)
        cells = [c for c in _cells(self.cell) if isinstance(c, DropoutRNNCell)]
        if training:
            _make_masks(self.cell, sequences[:, 0], states)
        try:
            last, outputs, states = self.inner_loop(sequences, states, mask, training)
        finally:
            for cell in cells:
                cell.reset_dropout_mask()
                cell.reset_recurrent_dropout_mask()
        if self.stateful:
            self._keep(states)
        output = outputs if self.return_sequences else last
        return (output, *states) if self.return_state else output

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """A layer and its cell."""
        config = dict(config)
        return cls(deserialize(config.pop("cell"), custom_objects), **config)


def _cells(cell: Any) -> list[Any]:
    return list(cell.cells) if isinstance(cell, StackedRNNCells) else [cell]


def _make_masks(cell: Any, inputs: TensorLike, states: list[Any]) -> None:
    """Makes the dropout masks of a sequence, so that the steps share them."""
    for at, one in enumerate(_cells(cell)):
        state = states[at] if isinstance(cell, StackedRNNCells) else states[0]
        state = state[0] if isinstance(state, list | tuple) else state
        if isinstance(one, DropoutRNNCell):
            one.get_dropout_mask(inputs)
            one.get_recurrent_dropout_mask(state)
        size = getattr(one, "output_size", None)
        inputs = zeros_like_state(inputs, size) if isinstance(size, int) else state
