"""`OnnxModel`: a graph of ONNX that predicts, trains further and is saved like any other model.

Depends on `model`, `fastnn.onnx`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from fastnn import ops
from fastnn._core import Dim, Tensor
from fastnn.base import tree
from fastnn.errors import DataError, FastnnError, FormatError, ShapeError
from fastnn.models.model import Model
from fastnn.tracing.symbolic import KerasTensor, is_symbolic
from fastnn.tracing.variables import current_scope

__all__ = ["OnnxModel"]

#: Types of inputs as the engine computes with them.
_ENGINE = {
    "bool": "bool",
    **dict.fromkeys(("float32", "float16", "float64", "bfloat16"), "float32"),
}


class OnnxModel(Model):
    """A graph of ONNX as a model: what `fastnn.onnx.load` gives.

    Args:
        graph: The graph, as its config or as it was read.
        weights: Name, shape and whether it is trained, of each array that the graph leaves out.
        open_batch: Whether a first axis of fixed size takes any number of rows.
        name: The name of the model; made from the class name when left out.
        **kwargs: Given to `Model`.

    Raises:
        FormatError: The graph cannot run.
    """

    model_kind: str = "subclassed"

    def __init__(
        self,
        graph: Any,
        weights: Sequence[Any] = (),
        open_batch: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        from fastnn.onnx.graph import Graph
        from fastnn.onnx.nodes import KNOWN
        from fastnn.onnx.weights import variable_names

        super().__init__(name=name, **kwargs)
        if isinstance(graph, Mapping):
            graph = Graph.from_config(graph)
            graph.check(KNOWN)
        self._onnx_graph: Any = graph
        self._open_batch = bool(open_batch)
        self._given_weights: list[Any] = [
            [str(n), [int(d) for d in shape], bool(trained)] for n, shape, trained in weights
        ]
        self._by_name: dict[str, Any] = {}
        plain = variable_names([n for n, _, _ in self._given_weights])
        for key, shape, trained in self._given_weights:
            if key not in graph.arrays or any(d < 0 for d in shape):
                raise FormatError(
                    f"the graph has no place for the weight {key!r}\n  hint: damaged?"
                )
            self._by_name[key] = self.add_weight(shape, "zeros", trainable=trained, name=plain[key])
        lacking = [k for k, v in graph.arrays.items() if v is None and k not in self._by_name]
        if lacking:
            raise FormatError(f"there is no weight {lacking[0]!r} for the graph\n  hint: damaged?")
        self._set_inputs()
        self.built = True

    def _set_inputs(self) -> None:
        declared = self._onnx_graph.inputs
        shapes = [v.shape for v in declared]
        leads = {s[0] for s in shapes if s}
        rows = next(iter(leads)) if len(leads) == 1 else None
        #: The number of rows that the file was written for, if it was for one number.
        self._rows = rows if isinstance(rows, int) and not self._open_batch else None
        self._leading = self._rows
        #: The first sizes, where inputs differ in them: numbers, None for rows, and other names.
        self._leads = (
            _leads([s[0] if s else None for s in shapes])
            if len(leads) > 1 and not self._open_batch
            else None
        )
        self._symbolic: list[KerasTensor] | None = None
        if declared and all(shapes) and all(v.dtype not in (None, "object") for v in declared):
            self._symbolic = [
                KerasTensor(
                    (None, *(d if isinstance(d, int) else None for d in v.shape[1:])),
                    dtype=_ENGINE.get(v.dtype, "int32"), name=v.name,
                )
                for v in declared
            ]  # fmt: skip
        ends = self._onnx_graph.outputs
        #: Whether the engine has all types of inputs and outputs, and rows lie in front.
        self._plain = self._symbolic is not None and all(
            v.dtype == "float32" for v in (*declared, *ends)
        )

    # ---- what it takes and gives ---------------------------------------------------------------

    @property
    def input_names(self) -> list[str]:
        """Names of the inputs, as in the file."""
        return [v.name for v in self._onnx_graph.inputs]

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs, as in the file."""
        return [v.name for v in self._onnx_graph.outputs]

    @property
    def inputs(self) -> list[KerasTensor]:
        """The symbolic inputs; AttributeError where an input is no array of rows."""
        if self._symbolic is None:
            raise AttributeError(
                f"inputs of model {self.name!r} are no arrays of rows\n"
                "  hint: call it: model(x), or model([x, y])"
            )
        return self._symbolic

    def _input_shapes(self) -> tuple[list[str], list[tuple[int | None, ...]]] | None:
        if self._symbolic is None:
            return None
        return self.input_names, [x.shape for x in self._symbolic]

    def _single_input(self) -> bool:
        return len(self._onnx_graph.inputs) == 1

    # ---- calls ---------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the model, on one input, several, or a list or dict of them."""
        if len(args) > 1:
            args = (list(args),)
        if not args and not kwargs and not self._onnx_graph.inputs:
            return self._exact({})
        if args and not self._plain and current_scope() is None and _is_data(args[0]):
            return self._exact(args[0])
        if args:
            args = (self._checked(args[0]), *args[1:])
        return super().__call__(*args, **kwargs)

    def _trace_for_calls(self, x: Any) -> None:
        """What needs numbers goes on being run on arrays."""
        with contextlib.suppress(FastnnError):
            super()._trace_for_calls(x)

    def _exact(self, inputs: Any) -> Any:
        """The outputs for arrays, with the types of the file: tensors where fastnn has them."""
        from fastnn.onnx.exact import ExactModel
        from fastnn.onnx.values import tensor

        held = {k: v.value for k, v in self._by_name.items()}
        found = ExactModel(self._onnx_graph).run(inputs, held, self._open_batch)
        kept = ("float32", "int32", "bool")
        given = [
            tensor(x) if isinstance(x, np.ndarray) and str(x.dtype) in kept else x for x in found
        ]
        return given[0] if len(given) == 1 else given

    def _checked(self, inputs: Any) -> Any:
        """The inputs, whose fixed sizes are those of the file."""
        leaves = tree.flatten(inputs)
        for x, v in zip(leaves, self._onnx_graph.inputs, strict=False):
            have = getattr(x, "shape", None)
            if have is None or v.shape is None or is_symbolic(x) or v.shape == [] == list(have):
                continue
            wanted = [None if i == 0 and self._open_batch else d for i, d in enumerate(v.shape)]
            known = zip(wanted, have, strict=False)
            if len(wanted) != len(have) or any(
                isinstance(d, int) and isinstance(n, int) and d != n for d, n in known
            ):
                hint = (
                    "fastnn.onnx.load(..., open_batch=True) takes any number of rows"
                    if len(wanted) == len(have) and self._rows
                    else "an array of that shape"
                )
                raise ShapeError(
                    f"input {v.name!r} of model {self.name!r} has shape {tuple(have)}, the file "
                    f"says {tuple(v.shape)}\n  hint: {hint}"
                )
        return inputs

    def call(self, inputs: Any) -> Any:
        """Runs the graph on tensors."""
        from fastnn.onnx.exact import named_inputs
        from fastnn.onnx.run import Runner
        from fastnn.onnx.values import tensor

        graph = self._onnx_graph
        given = named_inputs(graph, inputs)
        values: dict[str, Any] = {}
        for v in graph.inputs:
            x = given[v.name]
            dtype = _ENGINE.get(v.dtype or "", "int32")
            values[v.name] = ops.cast(x, dtype) if isinstance(x, Tensor) and v.dtype else x
        values |= {k: v.value for k, v in self._by_name.items()}
        runner = Runner(graph)
        runner.open_batch = self._open_batch
        found = runner.run(values)
        if any(isinstance(x, list) or x is None for x in found):
            raise DataError(
                f"model {self.name!r} gives sequences, which no trace holds\n"
                "  hint: call the model on arrays"
            )
        outputs = [tensor(x) for x in found]
        return outputs[0] if len(outputs) == 1 else outputs

    def _traced_prediction(
        self, x: Any, shapes: Any = None, context: Any = None, rows: Any = None
    ) -> tuple[Any, Any, Any]:
        if rows is None and shapes is None and not isinstance(x, dict):
            rows = self._leads  # for a file; `predict` gives rows
            if rows is not None and any(isinstance(d, Dim) for d in rows):
                try:
                    return super()._traced_prediction(x, shapes, context, rows)
                except ShapeError:  # some programs give each input's rows a name of its own
                    rows = tuple(None if isinstance(d, Dim) else d for d in rows)
        return super()._traced_prediction(x, shapes, context, rows)

    def predict(self, x: Any, batch_size: int | None = None, *args: Any, **kwargs: Any) -> Any:
        """The outputs for all rows, in order.

        A file that was written for a fixed number of rows gets so many at a time.

        Args:
            x: An array, or a list or dict of arrays.
            batch_size: Rows of a batch.
            *args: As for `Model.predict`.
            **kwargs: As for `Model.predict`.

        Returns:
            An array, or a list of them.

        Raises:
            ShapeError: The rows are no multiple of what the file was written for, or results of
                several parts cannot be joined, as they are not by rows.
        """
        from fastnn.onnx.exact import named_inputs

        rows = self._rows
        if rows is None:
            return super().predict(x, batch_size, *args, **kwargs)
        given = named_inputs(self._onnx_graph, x)
        leaves = [np.asarray(given[s.name], s.dtype) for s in self.inputs]
        count = len(leaves[0]) if leaves and leaves[0].ndim else 0
        if count % rows or not count or any(len(a) != count for a in leaves):
            raise ShapeError(
                f"model {self.name!r} was written for {rows} rows at a time, got {count}\n"
                "  hint: fastnn.onnx.load(..., open_batch=True) takes any number of rows"
            )
        parts = []
        for at in range(0, count, rows):
            part = [a[at : at + rows] for a in leaves]
            function, structure = self._predict_function(part[0] if len(part) == 1 else part)
            found = self._on_its_device(function, part)(*part)
            parts.append([np.asarray(v) for v in (found if isinstance(found, tuple) else [found])])
        if len(parts) == 1:
            return tree.pack(structure, parts[0])
        for label, array in zip(self.output_names, parts[0], strict=True):
            if array.shape[:1] != (rows,):
                raise ShapeError(
                    f"model {self.name!r} was written for {rows} rows at a time, and its output "
                    f"{label!r} of shape {array.shape} has no row for each of them, so those of "
                    f"{count} rows cannot be joined\n"
                    f"  hint: predict {rows} rows at a time, or fastnn.onnx.load(..., "
                    "open_batch=True)"
                )
        joined = [np.concatenate(column) for column in zip(*parts, strict=True)]
        return tree.pack(structure, joined)

    # ---- config --------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """The graph and what its weights are, without their values."""
        return {
            "name": self.name,
            "trainable": self._trainable,
            "graph": self._onnx_graph.to_config(),
            "weights": self._given_weights,
            "open_batch": self._open_batch,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """A model of `get_config`, with weights of zero."""
        return cls(**{k: v for k, v in config.items() if k != "dtype"})


def _leads(sizes: list[int | str | None]) -> tuple[int | Dim | None, ...]:
    """First sizes of inputs; the first that is named is that of rows, whose name is None."""
    names = [d for d in sizes if isinstance(d, str)]
    return tuple(
        Dim.named(d) if isinstance(d, str) and d != names[0] else d if isinstance(d, int) else None
        for d in sizes
    )


def _is_data(x: Any) -> bool:
    """Whether nothing in `x` is symbolic or traced."""
    leaves = tree.flatten(x)
    return not is_symbolic(x) and not any(isinstance(v, Tensor) and v.is_traced for v in leaves)
