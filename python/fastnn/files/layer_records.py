"""The layers of a functional model and the calls between them as JSON, and back.

Depends on `layer_graph`, `known_ops`, `serialization`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import _core
from fastnn.errors import FormatError
from fastnn.serialization.custom_objects import custom_object_scope
from fastnn.serialization.encoding import to_config
from fastnn.serialization.keras_config import deserialize, functional, is_keras_functional
from fastnn.serialization.objects import own_config
from fastnn.tracing.known_ops import known_ops
from fastnn.tracing.layer_graph import LayerGraph, Place, Record, WrittenSize
from fastnn.tracing.symbolic import OpCall, op_call

__all__ = ["functional_config", "functional_from_config"]


def _encode(value: Any) -> Any:
    """A value of a record, as JSON."""
    if isinstance(value, Place):
        return {"__tensor__": [value.call, value.output, *(["mask"] if value.mask else [])]}
    if isinstance(value, slice):
        return {"__slice__": [value.start, value.stop, value.step]}
    if value is Ellipsis:
        return {"__ellipsis__": True}
    if isinstance(value, WrittenSize):
        return {"__size__": value.text}
    if isinstance(value, tuple):
        return {"__tuple__": [_encode(v) for v in value]}
    if isinstance(value, list):
        return [_encode(v) for v in value]
    if isinstance(value, dict):
        return {"__dict__": {k: _encode(v) for k, v in value.items()}}
    if isinstance(value, np.ndarray | _core.Tensor):
        array = np.asarray(value)
        return {"__array__": array.tolist(), "dtype": str(array.dtype)}
    return to_config(value)


def _decode(value: Any) -> Any:
    """The value of a record that `_encode` wrote."""
    if isinstance(value, list):
        return [_decode(v) for v in value]
    if not isinstance(value, dict):
        return value
    if "__tensor__" in value:
        call, output, *mask = value["__tensor__"]
        return Place(call, output, mask == ["mask"])
    if "__slice__" in value:
        return slice(*value["__slice__"])
    if "__ellipsis__" in value:
        return Ellipsis
    if "__size__" in value:
        return WrittenSize(value["__size__"])
    if "__tuple__" in value:
        return tuple(_decode(v) for v in value["__tuple__"])
    if "__dict__" in value:
        return {k: _decode(v) for k, v in value["__dict__"].items()}
    if "__array__" in value:
        return _core.tensor(np.asarray(value["__array__"], dtype=value["dtype"]))
    return value


def functional_config(model: Any) -> dict[str, Any]:
    """Layers, and the calls between them in order."""
    graph = model._layer_graph
    number = {id(op): i for i, op in enumerate(graph.operations)}
    records, (inputs, outputs) = graph.to_records()
    return {
        "name": model.name,
        "trainable": model._trainable,
        "layers": [_operation_config(op) for op in graph.operations],
        "calls": [
            {
                "operation": number[id(record.operation)],
                "args": [_encode(a) for a in record.args],
                "kwargs": {k: _encode(v) for k, v in record.kwargs.items()},
            }
            for record in records
        ],
        "inputs": _encode(inputs),
        "outputs": _encode(outputs),
    }


def _operation_config(operation: Any) -> dict[str, Any]:
    if isinstance(operation, OpCall):
        return {
            "class_name": "Op",
            "config": {"key": operation.key, "op_name": operation.op_name, "name": operation.name},
        }
    return own_config(operation)


def functional_from_config(cls: Any, config: dict[str, Any], objects: Any = None) -> Any:
    """A functional model from `functional_config`, or from Keras's."""
    if is_keras_functional(config):
        with custom_object_scope(objects):
            return functional(cls, config)
    known = known_ops()
    operations = []
    for entry in config["layers"]:
        if entry.get("class_name") == "Op":
            inner = entry["config"]
            operation = op_call(inner["key"], known, inner["op_name"])
            operation.name = str(inner.get("name") or operation.name)
            operations.append(operation)
        else:
            operations.append(deserialize(entry, objects))
    records = []
    for call in config["calls"]:
        if not 0 <= call["operation"] < len(operations):
            raise FormatError(
                f"a saved model refers to layer {call['operation']}, which it lacks"
                "\n  hint: the file is damaged: save the model again"
            )
        args = tuple(_decode(a) for a in call["args"])
        kwargs = {k: _decode(v) for k, v in call["kwargs"].items()}
        records.append(Record(operations[call["operation"]], args, kwargs))
    ends = [_decode(config["inputs"]), _decode(config["outputs"])]
    inputs, outputs = LayerGraph.from_records(records, ends)
    own = {"name", "trainable", "layers", "calls", "inputs", "outputs"}
    added = {k: v for k, v in config.items() if k not in own}  # what a subclass has beside
    model = cls(inputs=inputs, outputs=outputs, name=config.get("name"), **added)
    model._layer_graph.list_as(operations)
    if not config.get("trainable", True):
        model.trainable = False
    return model
