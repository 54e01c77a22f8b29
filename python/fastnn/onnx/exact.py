"""A graph run on arrays, where every value keeps the type that ONNX gives it.

Depends on `run`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastnn._core import Tensor
from fastnn.errors import DataError, ShapeError
from fastnn.onnx.graph import Graph, ValueType, numpy_type
from fastnn.onnx.nodes.casting import cast_array
from fastnn.onnx.run import Runner
from fastnn.onnx.values import tensor

__all__ = ["ExactModel", "as_declared", "as_given", "named_inputs"]


class ExactModel:
    """A graph with its weights, called on arrays."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def run(
        self, inputs: Any, weights: Mapping[str, Any] | None = None, open_batch: bool = False
    ) -> list[Any]:
        """The outputs for inputs in order or by name."""
        given = named_inputs(self.graph, inputs)
        values = {v.name: as_given(given[v.name], v, open_batch) for v in self.graph.inputs}
        values |= weights or {}
        held = {k: _engine(v) for k, v in self.graph.arrays.items() if v is not None}
        runner = Runner(self.graph)
        runner.open_batch = open_batch
        found = runner.run({**held, **values})
        return [as_declared(x, v) for x, v in zip(found, self.graph.outputs, strict=True)]


def named_inputs(graph: Graph, inputs: Any) -> dict[str, Any]:
    """Inputs by their names."""
    names = [v.name for v in graph.inputs]
    if isinstance(inputs, Mapping):
        lacking = [n for n in names if n not in inputs]
        if lacking:
            raise DataError(
                f"the graph lacks the input {lacking[0]!r}, it got {', '.join(map(repr, inputs))}\n"
                f"  hint: its inputs are {', '.join(names)}"
            )
        return {n: inputs[n] for n in names}
    if inputs is None or isinstance(inputs, np.ndarray | np.generic | int | float | Tensor):
        inputs = [inputs]
    elif len(names) == 1 and graph.inputs[0].sequence:  # a sequence, or a list that holds it
        whole = len(inputs) == 1 and (inputs[0] is None or isinstance(inputs[0], list))
        inputs = inputs if whole else [inputs]
    if len(inputs) != len(names):
        raise DataError(
            f"the graph has {len(names)} inputs, got {len(inputs)}\n"
            f"  hint: its inputs are {', '.join(names)}"
        )
    return dict(zip(names, inputs, strict=True))


def _engine(x: Any) -> Any:
    """What nodes get for an array: float32 goes to the engine, all else keeps its type."""
    return tensor(x) if isinstance(x, np.ndarray) and x.dtype == np.float32 else x


def as_given(x: Any, declared: ValueType, open_batch: bool = False) -> Any:
    """An input as nodes get it."""
    if x is None:
        return None
    if declared.sequence:
        return [_engine(np.asarray(v)) for v in x] if isinstance(x, list) else (
            _engine(x) if isinstance(x, np.ndarray) else x)  # fmt: skip
    if declared.dtype is None:  # an optional array
        return x if isinstance(x, Tensor) else _engine(np.asarray(x))
    a = np.asarray(x)
    if declared.dtype == "object":
        a = a.astype(object)
    elif str(a.dtype) != declared.dtype:
        a = a.astype(numpy_type(declared.dtype))
    if declared.shape is not None:
        fits = len(declared.shape) == a.ndim and all(
            not isinstance(d, int) or d == n or (open_batch and i == 0)
            for i, (d, n) in enumerate(zip(declared.shape, a.shape, strict=False))
        )
        if not fits:
            raise ShapeError(
                f"input {declared.name!r} has shape {a.shape}, the file says {declared.shape}\n"
                "  hint: an array of that shape"
            )
    return _engine(a)


def as_declared(x: Any, declared: ValueType) -> Any:
    """An output as the file declares it: an array, a list of arrays, or None."""
    if isinstance(x, list):
        return [as_declared(v, ValueType("", None, None)) for v in x]
    if x is None:
        return None
    a = np.asarray(x)
    if declared.dtype is None or declared.dtype == str(a.dtype):
        return a
    return cast_array(a, declared.dtype)
