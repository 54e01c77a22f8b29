"""`StackedRNNCells`: cells one above the other as one cell. Depends on `layers.base`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from fastnn import ops
from fastnn.base import tree
from fastnn.base.arguments import call_parameters
from fastnn.base.typing import Shape, TensorLike
from fastnn.layers.base.layer import Layer
from fastnn.serialization.keras_config import deserialize

__all__ = ["StackedRNNCells"]


class StackedRNNCells(Layer):
    """Cells stacked into one: each takes the output of the one before, all within a step.

    Args:
        cells: Cells, the first one first.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ValueError: A cell lacks `call` or `state_size`.

    Example:
        >>> cell = fastnn.layers.StackedRNNCells([fastnn.layers.GRUCell(4) for _ in range(2)])
        >>> fastnn.layers.RNN(cell)(np.ones((2, 3, 5))).shape
        (2, 4)
    """

    cells: list[Any]

    def __init__(self, cells: Sequence[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for cell in cells:
            if not hasattr(cell, "call"):
                raise ValueError(
                    "All cells must have a `call` method. Received cell without a `call` method: "
                    f"{cell}\n  hint: layers.LSTMCell(units)"
                )
            if not hasattr(cell, "state_size"):
                raise ValueError(
                    "All cells must have a `state_size` attribute. Received cell without a "
                    f"`state_size`: {cell}\n  hint: self.state_size = units"
                )
        self.cells = list(cells)

    @property
    def state_size(self) -> list[Any]:
        """The state sizes of the cells, in order."""
        return [c.state_size for c in self.cells]

    @property
    def output_size(self) -> Any:
        """The number of outputs of the last cell."""
        return _output_size(self.cells[-1])

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        """The first states of the cells.

        Args:
            batch_size: The number of samples.

        Returns:
            A list, one entry a cell: a tensor, or a list of them.

        Example:
            >>> cell = fastnn.layers.StackedRNNCells([fastnn.layers.LSTMCell(4)])
            >>> [s.shape for s in cell.get_initial_state(2)[0]]
            [(2, 4), (2, 4)]
        """
        made = []
        for cell in self.cells:
            make = getattr(cell, "get_initial_state", None)
            size = cell.state_size
            if make is not None:
                made.append(make(batch_size=batch_size))
            elif isinstance(size, int):
                made.append(ops.zeros((batch_size, size)))
            else:
                made.append([ops.zeros((batch_size, d)) for d in size])
        return made

    def call(
        self, inputs: TensorLike, states: TensorLike, training: bool | None = False, **kwargs: Any
    ) -> Any:
        """The output of the last cell, and the next states of all."""
        new_states = []
        for cell, state in zip(self.cells, states, strict=True):
            nested = isinstance(state, list | tuple)
            takes = isinstance(cell, Layer) and call_parameters(type(cell).call)[1]
            given = {**kwargs, "training": training} if takes else kwargs
            run = cell if callable(cell) else cell.call
            inputs, new = run(inputs, list(state) if nested else [state], **given)
            new = list(new) if isinstance(new, list | tuple) else [new]
            new_states.append(new if nested else new[0])
        return inputs, new_states

    def build(self, input_shape: Shape) -> None:
        """Builds the cells, each for the outputs of the one before."""
        batch = tree.flatten(input_shape)[0]
        for cell in self.cells:
            if isinstance(cell, Layer) and not cell.built:
                cell.build(input_shape)
                cell.built = True
            input_shape = (batch, _output_size(cell))
        self.built = True

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """A stack and its cells."""
        config = dict(config)
        cells = [deserialize(c, custom_objects) for c in config.pop("cells")]
        return cls(cells, **config)


def _output_size(cell: Any) -> Any:
    size = getattr(cell, "output_size", None)
    if size is None:
        size = cell.state_size
    return size[0] if isinstance(size, list | tuple) else size
