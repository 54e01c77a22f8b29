"""Models to Keras's configs: `{module, class_name, config, …}` and functional `inbound_nodes`.

Depends on `serialization`, `layer_graph`, `layers`. Layout: Keras 3.15 `models/functional.py`,
`saving/serialization_lib.py`.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from fastnn import _core
from fastnn.base import tree
from fastnn.files.compiling import as_keras_writes, file_settings, has_own
from fastnn.layers import InputLayer, Layer
from fastnn.serialization.encoding import FunctionName, to_config
from fastnn.serialization.keras_layout import Ready, in_keras_layout, layer_settings, policy
from fastnn.serialization.keras_names import (
    EXPORTED,
    MODELS,
    Op,
    module_of,
    op_of_function,
)
from fastnn.serialization.registry import model_class
from fastnn.serialization.shared import marked, marking_shared, unmarked
from fastnn.tracing.layer_graph import LayerGraph, Place, Record
from fastnn.tracing.symbolic import OPERATORS, KerasTensor, OpCall

__all__ = ["built_for", "model_entry"]


def model_entry(model: Any, compiled: bool = True) -> dict[str, Any]:
    """The whole of `config.json`: layers, how they were built, compile settings where wanted."""
    with marking_shared():
        entry = _entry(model)
    settings = file_settings(model) if compiled else None
    if settings is None:
        entry["compile_config"] = {}
    elif has_own(model, "get_compile_config"):
        entry["compile_config"] = {
            k: v if as_keras_writes(v) else in_keras_layout(v, k) for k, v in settings.items()
        }
    else:
        entry["compile_config"] = _compiled(settings)
    return entry


def _compiled(settings: dict[str, Any]) -> dict[str, Any]:
    order = ("optimizer", "loss", "loss_weights", "metrics", "weighted_metrics")
    return {
        **{k: in_keras_layout(settings.get(k), k) for k in order},
        "run_eagerly": False,
        "steps_per_execution": 1,
        "jit_compile": "auto",
    }


#: Keys of our configs of models that are made anew of their layers.
_OF_LAYERS = {
    "functional": {"layers", "calls", "inputs", "outputs"},
    "sequential": {"layers"},
}
_NONE = {""}  # a key that no config has


def _entry(layer: Any) -> dict[str, Any]:
    """One layer or model in Keras's layout."""
    kind = type(layer)
    with unmarked():
        given = (
            {}
            if kind in (model_class("Functional"), model_class("Sequential"))
            else layer.get_config()
        )
    if kind is model_class("Functional"):
        named: tuple[str, str, Any] = MODELS["Functional"][-1], "Functional", "Functional"
        config = _functional(layer)
    elif kind is model_class("Sequential"):
        named = MODELS["Sequential"][0], "Sequential", None
        config = _sequential(layer)
    elif _OF_LAYERS.get(layer.model_kind, _NONE) <= given.keys():
        named = kind.__module__, kind.__name__, getattr(kind, "_registered_name", kind.__name__)
        config = _functional(layer) if layer.model_kind == "functional" else _sequential(layer)
        added = given.keys() - config.keys() - _OF_LAYERS[layer.model_kind]
        config |= _in_layout(layer, {k: v for k, v in given.items() if k in added})
    elif kind is model_class("FeatureSpace"):
        named = MODELS["FeatureSpace"][0], "FeatureSpace", None
        config = _in_layout(layer, given)
    else:
        full = getattr(kind, "_registered_name", kind.__name__)
        module = module_of(kind.__name__, None) if kind.__module__.startswith("fastnn.") else None
        name = EXPORTED.get(kind.__name__, kind.__name__) if module else kind.__name__
        named = (module or kind.__module__, name, None if module else full)
        config = _in_layout(layer, given)
    entry = Ready(module=named[0], class_name=named[1], config=config, registered_name=named[2])
    built = built_for(layer)
    if built is not None:
        entry["build_config"] = built
    if layer.model_kind is not None:
        entry["compile_config"] = {}
    return marked(layer, entry)


def _in_layout(layer: Any, config: dict[str, Any]) -> dict[str, Any]:
    return {
        k: _function(v)
        if isinstance(v, FunctionName)
        else in_keras_layout(_inner(v, getattr(layer, k, None)), k)
        for k, v in layer_settings(type(layer), config).items()
    }


def _function(name: FunctionName) -> dict[str, Any]:
    """A function of the caller's by name, as Keras writes it."""
    return {
        "module": "builtins",
        "class_name": "function",
        "config": str(name),
        "registered_name": "function",
    }


def _inner(value: Any, attribute: Any) -> Any:
    """Layers inside a config stay objects until here, so that they get entries of their own."""
    if isinstance(attribute, Layer) and isinstance(value, dict):
        return _entry(attribute)
    return value


def built_for(layer: Any) -> dict[str, Any] | None:
    """The input shapes that a layer was built for, None when it needs no building."""
    if isinstance(layer, InputLayer) or not layer.built:
        return None
    if layer.model_kind == "functional":
        return {"input_shape": None}
    if layer.model_kind == "sequential" and layer._functional is not None:
        return {"input_shape": list(layer._functional.inputs[0].shape)}
    return layer.get_build_config()  # type: ignore[no-any-return]


def _sequential(model: Any) -> dict[str, Any]:
    config = {
        "name": model.name,
        "trainable": model._trainable,
        "dtype": policy(),
        "layers": [_entry(layer) for layer in model._stack],
    }
    if model._functional is not None:
        config["build_input_shape"] = list(model._functional.inputs[0].shape)
    return config


# ---- functional models -------------------------------------------------------------------------


class _Histories:
    """`[layer, call, output]` of each symbolic tensor of one functional model.

    Keras counts calls of nested functional models from 1, but only in `output_layers`.
    """

    def __init__(self, graph: LayerGraph) -> None:
        self.graph = graph
        self.records, self.ends = graph.to_records()
        number = {id(n): i for i, n in enumerate(graph.calls)}
        #: The records of each operation's calls, in the order in which they were made.
        self.calls: dict[int, list[Record]] = {}
        self.numbers: dict[int, int] = {}
        for operation in graph.operations:
            made = [number[id(n)] for n in graph.calls_of(operation)]
            self.numbers.update((at, i) for i, at in enumerate(made))
            self.calls[id(operation)] = [self.records[at] for at in made]

    def of(self, place: Place) -> list[Any]:
        """Layer name, number of the call, number of the output."""
        if place.mask:
            raise ValueError(
                f"tensor {self.graph.tensor(place).name!r} is the mask of a layer's output, which "
                "a Keras file cannot say\n"
                "  hint: compute it with fastnn.ops, or save as .safetensors"
            )
        return [self.records[place.call].operation.name, self.numbers[place.call], place.output]

    def end(self, place: Place) -> list[Any]:
        """The same for an entry of `input_layers` or `output_layers`."""
        name, call, output = self.of(place)
        kind = getattr(self.records[place.call].operation, "model_kind", None)
        return [name, call + (kind == "functional"), output]

    def value(self, value: Any) -> Any:
        """An argument of a call."""
        if isinstance(value, Place):
            x = self.graph.tensor(value)
            return {
                "class_name": "__keras_tensor__",
                "config": {
                    "shape": list(x.shape),
                    "dtype": x.dtype,
                    "keras_history": self.of(value),
                },
            }
        if isinstance(value, KerasTensor):
            raise ValueError(
                f"tensor {value.name!r} comes from outside the model, which a Keras file cannot "
                "say\n"
                "  hint: start the model with Input(...) tensors, or save as .safetensors"
            )
        if isinstance(value, slice):
            parts = {k: self.value(getattr(value, k)) for k in ("start", "stop", "step")}
            return {"class_name": "__slice__", "config": parts}
        if value is Ellipsis:
            return {"class_name": "__ellipsis__", "config": {}}
        if isinstance(value, list | tuple):
            return [self.value(v) for v in value]
        if isinstance(value, dict):
            return {k: self.value(v) for k, v in value.items()}
        if isinstance(value, np.ndarray | _core.Tensor):
            array = np.asarray(value)
            inner = {"value": array.tolist(), "dtype": str(array.dtype)}
            return {"class_name": "__numpy__", "config": inner}
        return to_config(value)


def _functional(model: Any) -> dict[str, Any]:
    histories = _Histories(model._layer_graph)
    inputs, outputs = histories.ends
    return {
        "name": model.name,
        "trainable": model._trainable,
        "layers": [_called(op, histories) for op in histories.graph.operations],
        "input_layers": tree.map_structure(histories.end, inputs),
        "output_layers": tree.map_structure(histories.end, outputs),
    }


def _called(operation: Any, histories: _Histories) -> dict[str, Any]:
    """An entry of `layers`: the layer or op and its calls."""
    calls = [r for r in histories.calls[id(operation)] if r.args or r.kwargs]
    if isinstance(operation, OpCall):
        return _op_entry(operation, calls[0], histories)
    entry = _entry(operation)
    entry["name"] = operation.name
    entry["inbound_nodes"] = [
        {"args": histories.value(list(n.args)), "kwargs": histories.value(n.kwargs)} for n in calls
    ]
    return entry


def _op_entry(operation: OpCall, node: Record, histories: _Histories) -> dict[str, Any]:
    """An op between layers, its arguments divided as Keras divides them."""
    is_method = operation.key in OPERATORS or operation.key.endswith("()")
    name = operation.op_name if is_method else operation.key
    op = op_of_function(name)
    if op is None:
        raise ValueError(
            f"op {name!r} has no counterpart in Keras files\n"
            "  hint: use a layer for it, or save as .safetensors"
        )
    args = list(node.args)
    if operation.key.startswith("__r") and operation.key in OPERATORS:
        args.reverse()
    elif operation.key == "reshape()":
        sizes = args[1:]
        args = [args[0], sizes[0] if len(sizes) == 1 and not isinstance(sizes[0], int) else sizes]
    if not op.call:  # its tensors come after its settings, however many there are
        return _op_record(op, operation, dict(zip(op.config, args, strict=False)),
                          args[len(op.config) :], histories)  # fmt: skip
    if name == "get_item" and isinstance(args[-1], slice):
        args[-1] = (args[-1],)  # Keras reads one slice in a tuple only
    given = _bound(operation, op.call + op.config, args, node.kwargs, is_method)
    extra = [k for k in given if k not in op.call + op.config]
    if extra:
        raise ValueError(
            f"op {name!r} has the argument '{extra[0]}', which Keras's has not"
            "\n  hint: save to .safetensors, or leave the argument out"
        )
    return _op_record(op, operation, given, [given[k] for k in op.call if k in given], histories)


def _op_record(
    op: Op, operation: OpCall, given: dict[str, Any], inputs: list[Any], histories: _Histories
) -> dict[str, Any]:
    return {
        "module": op.module,
        "class_name": op.class_name,
        "config": {"name": operation.name,
                   **{k: histories.value(given[k]) for k in op.config if k in given}},
        "registered_name": op.class_name,
        "name": operation.name,
        "inbound_nodes": [{"args": [histories.value(x) for x in inputs], "kwargs": {}}],
    }  # fmt: skip


def _bound(
    operation: OpCall, names: tuple[str, ...], args: list[Any], kwargs: dict[str, Any], method: bool
) -> dict[str, Any]:
    """Arguments by name, with the function's own defaults, which may differ from Keras's."""
    if method:
        return dict(zip(names, args, strict=False)) | kwargs
    parameters = inspect.signature(operation.fn).parameters
    # Keras divides arguments otherwise than functions order them; names are the same.
    order = list(parameters) if parameters.keys() >= set(names) else names
    given = dict(zip(order, args, strict=False)) | kwargs
    for i, (name, p) in enumerate(parameters.items()):
        if p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) or p.default is p.empty:
            continue
        if name in names and name not in given and i >= len(args):
            given[name] = p.default
    return given
