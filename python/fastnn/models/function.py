"""`keras.Function`: calls between symbolic tensors as one. Depends on `models.functional`."""

from __future__ import annotations

from typing import Any

from fastnn import ops
from fastnn.base import tree
from fastnn.errors import DataError
from fastnn.layers import Layer
from fastnn.models.functional import new_input
from fastnn.tracing.layer_graph import LayerGraph
from fastnn.tracing.symbolic import KerasTensor

__all__ = ["Function"]


class Function(Layer):
    """The computation that leads from symbolic inputs to symbolic outputs, without training.

    Unlike a model it takes any tensors that follow from one another, also those in the middle of
    a graph, and has neither `fit` nor files.

    Args:
        inputs: A symbolic tensor, or a list or dict of them.
        outputs: A symbolic tensor, or a list or dict of them.
        name: The name of the function; made from the class name when left out.

    Raises:
        ValueError: The outputs do not follow from the inputs, or one of both is no symbolic tensor.

    Example:
        >>> a, b = fastnn.Input((2,)), fastnn.Input((2,))
        >>> total = fastnn.keras.Function([a, b], {"sum": a + b, "product": a * b})
        >>> total([np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]])])["product"].numpy()
        array([[3., 8.]], dtype=float32)
    """

    operations: list[Any]

    def __init__(self, inputs: Any, outputs: Any, name: str | None = None) -> None:
        super().__init__(name=name)
        for which, value in (("inputs", inputs), ("outputs", outputs)):
            leaves = tree.flatten(value)
            odd = [x for x in leaves if not isinstance(x, KerasTensor)]
            if odd or not leaves:
                raise ValueError(
                    f"Function: {which} hold {odd[0] if odd else value!r}, wanted what Input(...), "
                    "layers and ops return\n  hint: x = Input(shape=...); Function(x, x * 2)"
                )
        self._graph = LayerGraph.between(inputs, outputs, self.name, new_input)
        self.operations = list(self._graph.operations)
        self.built = True

    @property
    def inputs(self) -> list[KerasTensor]:
        """The symbolic inputs."""
        return self._graph.starts

    @property
    def outputs(self) -> list[KerasTensor]:
        """The symbolic outputs."""
        return self._graph.ends

    @property
    def layers(self) -> list[Layer]:
        """The layers among the calls."""
        return [op for op in self.operations if isinstance(op, Layer)]

    def call(self, inputs: Any) -> Any:
        """The outputs for tensors in the structure of the inputs.

        Args:
            inputs: A tensor, or a list or dict of them, as the inputs are.

        Returns:
            A tensor, or the structure of the outputs.
        """
        graph = self._graph
        if isinstance(graph.inputs, dict) and isinstance(inputs, dict):
            missing = [k for k in graph.inputs if k not in inputs]
            if missing:
                raise DataError(
                    f"function {self.name!r} lacks the input {missing[0]!r}\n"
                    f"  hint: name the inputs {', '.join(map(str, graph.inputs))}"
                )
            inputs = {k: inputs[k] for k in graph.inputs}
        given = tree.flatten(inputs)
        if len(given) != len(graph.starts):
            raise DataError(
                f"function {self.name!r} has {len(graph.starts)} inputs, got {len(given)}\n"
                f"  hint: the structure that it was made of, {tree.structure(graph.inputs)}"
            )
        values = [
            ops.cast(v, "int32") if x.dtype == "int32" and v.dtype == "float32" else v
            for x, v in zip(graph.starts, given, strict=True)
        ]
        return graph.run(
            values,
            lambda node, args, kwargs: node.operation(*args, **kwargs),
            None,
            lambda: graph.sizes_in(values),
        )
