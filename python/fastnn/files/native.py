"""Models to files and back: safetensors with the layers' configs as JSON metadata.

Names in a config are looked up in closed tables, in what the caller hands in and in what was
registered; nothing is imported by name and no code is read. Depends on `layers`, `optimizers`,
`losses`, `metrics`, `_core`. Format: github.com/huggingface/safetensors.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from fastnn import _core
from fastnn._core import Dim
from fastnn.base import tree
from fastnn.base.arguments import local_path
from fastnn.config import snake_case
from fastnn.errors import FormatError, nearest, unknown_name, warn_of_skipped
from fastnn.files import keras as keras_files
from fastnn.files.atomic import check_regular
from fastnn.files.keras.archive import read_json
from fastnn.files.keras.read_config import (
    build,
    functional,
    is_keras_entry,
    is_keras_functional,
    restore,
)
from fastnn.files.keras.write_config import built_for
from fastnn.serialization.registry import (
    as_json,
    custom_object_scope,
    custom_objects,
    deserialize_keras_object,
    file_limit,
    format_errors,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    plain,
    reading_file,
    register_keras_serializable,
    serialize_keras_object,
)
from fastnn.tracing.sizes import note_sizes, read_size, written_size
from fastnn.tracing.symbolic import KerasTensor, OpCall, call_again, op_call

__all__ = [
    "custom_object_scope", "deserialize", "deserialize_keras_object", "get_custom_objects",
    "get_registered_name", "get_registered_object", "load_model", "load_weights",
    "model_from_json", "register_keras_serializable", "save_model", "save_weights", "serialize",
    "serialize_keras_object",
]  # fmt: skip

FORMAT = "1"
_GLOBAL_STATE = "random/global_state"


# ---- configs ---------------------------------------------------------------------------------


def serialize(thing: Any) -> dict[str, Any]:
    """`{"class_name": …, "config": …}` of a layer or model."""
    return {"class_name": get_registered_name(type(thing)), "config": thing.get_config()}


def _find_class(name: str) -> Any:
    from fastnn import layers
    from fastnn.models import Functional, Sequential

    known = {"Sequential": Sequential, "Functional": Functional, "Model": Functional}
    found = custom_objects().get(name) or custom_objects().get(name.rpartition(">")[2])
    if found is not None:
        return found
    if name in known:
        return known[name]
    if name in layers.TABLE.names:
        return layers.TABLE.names[name]
    error = unknown_name("layer class in a config", name, [*layers.TABLE.names, *known])
    raise ValueError(
        f"{error}\n  hint: for your own class pass "
        f"custom_objects={{{name!r}: {name.split('>')[-1]}}}"
    )


def deserialize(config: Any, objects: dict[str, Any] | None = None) -> Any:
    """The layer or model that a config describes."""
    if is_keras_entry(config):
        with custom_object_scope(objects):
            return restore(config)
    if not isinstance(config, dict) or not isinstance(config.get("class_name"), str):
        raise ValueError(
            f"not a config of a layer: {str(config)[:200]}\n  hint: use serialize(layer)"
        )
    inner = config.get("config")
    if not isinstance(inner, dict):
        raise ValueError(
            f"the config of {config['class_name']} is not a dict"
            "\n  hint: give what get_config() returned"
        )
    with custom_object_scope(objects):
        return _find_class(config["class_name"]).from_config(dict(inner))


def model_from_json(text: str, custom_objects: dict[str, Any] | None = None) -> Any:
    """The model that `to_json` wrote, with fresh weights."""
    try:
        config = json.loads(text.removeprefix("\ufeff"))
    except json.JSONDecodeError as error:
        raise FormatError(f"not JSON: {error}\n  hint: use model.to_json()") from None
    return deserialize(config, custom_objects)


def _encode(value: Any, places: dict[Any, list[Any]]) -> Any:
    if isinstance(value, KerasTensor):
        return {"__tensor__": places[id(value)]}
    if isinstance(value, slice):
        return {"__slice__": [value.start, value.stop, value.step]}
    if value is Ellipsis:
        return {"__ellipsis__": True}
    if isinstance(value, Dim):
        return {"__size__": written_size(value, places)}
    if isinstance(value, tuple):
        return {"__tuple__": [_encode(v, places) for v in value]}
    if isinstance(value, list):
        return [_encode(v, places) for v in value]
    if isinstance(value, dict):
        return {"__dict__": {k: _encode(v, places) for k, v in value.items()}}
    if isinstance(value, np.ndarray | _core.Tensor):
        array = np.asarray(value)
        return {"__array__": array.tolist(), "dtype": str(array.dtype)}
    return plain(value)


def _decode(value: Any, tensors: dict[tuple[Any, ...], Any]) -> Any:
    if isinstance(value, list):
        return [_decode(v, tensors) for v in value]
    if not isinstance(value, dict):
        return value
    if "__tensor__" in value:
        key = tuple(value["__tensor__"])
        if key not in tensors:
            raise FormatError(
                f"a saved model refers to the missing tensor {list(key)}"
                "\n  hint: the file is damaged: save the model again"
            )
        return tensors[key]
    if "__slice__" in value:
        return slice(*value["__slice__"])
    if "__ellipsis__" in value:
        return Ellipsis
    if "__size__" in value:
        return read_size(value["__size__"], tensors)
    if "__tuple__" in value:
        return tuple(_decode(v, tensors) for v in value["__tuple__"])
    if "__dict__" in value:
        return {k: _decode(v, tensors) for k, v in value["__dict__"].items()}
    if "__array__" in value:
        return _core.tensor(np.asarray(value["__array__"], dtype=value["dtype"]))
    return value


def functional_config(model: Any) -> dict[str, Any]:
    """Layers, and the calls between them in order."""
    operations = model._operations
    number = {id(op): i for i, op in enumerate(operations)}
    places: dict[Any, list[Any]] = {}
    calls = []
    for at, node in enumerate(model._order):
        for i, x in enumerate(tree.flatten(node.outputs)):
            places[id(x)] = [at, i]
            if node.starts:
                note_sizes(x, at, i, places)
            if x.mask is not None:
                places[id(x.mask)] = [at, i, "mask"]
        calls.append(
            {
                "operation": number[id(node.operation)],
                "args": [_encode(a, places) for a in node.args],
                "kwargs": {k: _encode(v, places) for k, v in node.kwargs.items()},
            }
        )
    return {
        "name": model.name,
        "trainable": model._trainable,
        "layers": [_operation_config(op) for op in operations],
        "calls": calls,
        "inputs": _encode(model._inputs, places),
        "outputs": _encode(model._outputs, places),
    }


def _operation_config(operation: Any) -> dict[str, Any]:
    if isinstance(operation, OpCall):
        return {
            "class_name": "Op",
            "config": {"key": operation.key, "op_name": operation.op_name, "name": operation.name},
        }
    return serialize(operation)


def _known_ops() -> dict[str, Any]:
    from fastnn import activations, ops, random
    from fastnn.losses import functions as losses

    known = {k: getattr(ops, k) for k in ops.__all__}
    known |= {k: v for k, v in activations.TABLE.names.items() if callable(v)}
    known |= {f.__name__: f for f in losses._FUNCTIONS if f.__name__ not in known}
    known |= {**ops.IN_FILES, "dropout": random.dropout}
    return known


def functional_from_config(cls: Any, config: dict[str, Any], objects: Any = None) -> Any:
    """A functional model from `functional_config`, or from Keras's."""
    if is_keras_functional(config):
        with custom_object_scope(objects):
            return functional(cls, config)
    known = _known_ops()
    operations = []
    for entry in config["layers"]:
        if entry.get("class_name") == "Op":
            inner = entry["config"]
            operation = op_call(inner["key"], known, inner["op_name"])
            operation.name = str(inner.get("name") or operation.name)
            operations.append(operation)
        else:
            operations.append(deserialize(entry, objects))
    tensors: dict[tuple[Any, ...], Any] = {}
    for at, call in enumerate(config["calls"]):
        if not 0 <= call["operation"] < len(operations):
            raise FormatError(
                f"a saved model refers to layer {call['operation']}, which it lacks"
                "\n  hint: the file is damaged: save the model again"
            )
        operation = operations[call["operation"]]
        args = tuple(_decode(a, tensors) for a in call["args"])
        kwargs = {k: _decode(v, tensors) for k, v in call["kwargs"].items()}
        outputs = call_again(operation, args, kwargs)
        for i, x in enumerate(tree.flatten(outputs)):
            tensors[at, i] = x
            if x.mask is not None:
                tensors[at, i, "mask"] = x.mask
    inputs, outputs = _decode(config["inputs"], tensors), _decode(config["outputs"], tensors)
    model = cls(inputs=inputs, outputs=outputs, name=config.get("name"))
    if not config.get("trainable", True):
        model.trainable = False
    return model


# ---- values ----------------------------------------------------------------------------------


def named_variables(model: Any) -> dict[str, Any]:
    """Every weight and random state under a name that says where it lives."""
    from fastnn.random import SeedGenerator

    found: dict[str, Any] = {}
    seen: set[int] = set()

    def add(name: str, variable: Any) -> None:
        if id(variable) in seen:
            return
        seen.add(id(variable))
        unique, n = name, 0
        while unique in found:
            n += 1
            unique = f"{name}_{n}"
        found[unique] = variable

    def walk(layer: Any, prefix: str) -> None:
        for v in layer._own():
            add(f"{prefix}{v.name}", v)
        for key, value in layer.__dict__.items():
            for i, held in enumerate(_held(value)):
                if isinstance(held, SeedGenerator):
                    add(f"{prefix}{key}/{f'{i}/' if held is not value else ''}state", held.state)
        counts: Counter[str] = Counter()
        for inner in layer._sublayers():
            # Automatic names count per process, files count per model.
            label = inner.name
            base = snake_case(type(inner).__name__)
            if re.fullmatch(rf"{base}(_\d+)?", inner.name):
                label = f"{base}_{counts[base]}" if counts[base] else base
                counts[base] += 1
            walk(inner, f"{prefix}{label}/")

    walk(model, "")
    return found


def _held(value: Any) -> list[Any]:
    """The value itself, or what a list, tuple or dict of them holds."""
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, list | tuple) else [value]


def _optimizer_values(model: Any) -> dict[str, Any]:
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None or not model.compiled:
        return {}
    # Layers that were taken off leave state behind that no weight of the model needs.
    inside = set(named_variables(model).values())
    kept = optimizer.part(v for v in optimizer._trainable if v in inside)
    return {f"optimizer/{i}/{v.name}": v for i, v in enumerate(kept.variables)}


def _optimizer_order(model: Any, variables: dict[str, Any]) -> list[str] | None:
    """Names of the optimiser's weights in its own order, which freezing can make its own."""
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None or not model.compiled or not optimizer.built:
        return None
    names = {id(v): name for name, v in variables.items()}
    return [names[id(v)] for v in optimizer._trainable if id(v) in names]


def _build_optimizer(model: Any, order: Any = None) -> None:
    variables = named_variables(model)
    if isinstance(order, list) and all(n in variables for n in map(str, order)):
        model.optimizer.build([variables[n] for n in order])
    else:
        model.optimizer.build(model.trainable_variables)


def _compile_config(model: Any) -> dict[str, Any] | None:
    given = model._compile_config
    if not model.compiled or given is None:
        return None
    try:
        config = {k: plain(v) for k, v in given.items() if k != "optimizer"}
        return {**config, "optimizer": plain(model.optimizer)}
    except (TypeError, NotImplementedError):
        return None


def _inference(model: Any) -> Any:
    """The traced inference function, for programs without Python; None when no input is known."""
    found = model._input_shapes()
    if found is None:
        return None
    arrays = [
        np.zeros((1, *(1 if d is None else d for d in s[1:])), x.dtype)
        for s, x in zip(found[1], model.inputs, strict=True)
    ]
    structure = getattr(model, "_inputs", model.inputs[0] if len(arrays) == 1 else arrays)
    function, _ = model._predict_function(tree.pack(structure, arrays))
    return function


def save_model(
    model: Any, filepath: str | os.PathLike[str], overwrite: bool = True, **_: Any
) -> None:
    """Writes one file with weights, layers, compile settings, optimiser and random state.

    A name that ends in `.keras` gives a file in Keras's format, `.h5` one in its older format
    (without the optimiser's state), any other safetensors.
    """
    path = _target(filepath, overwrite, ".keras", whole=True)
    if not model.built:
        raise ValueError(
            f"model {model.name!r} is not built, so it has no weights to save\n"
            "  hint: call it on data or fit it first"
        )
    _check_names(model)
    if path.endswith(".keras"):
        return keras_files.save_model(model, path)
    if path.endswith((".h5", ".hdf5")):
        return keras_files.save_legacy(model, path)
    variables = named_variables(model)
    metadata = {
        "fastnn.format": FORMAT,
        "fastnn.config": as_json(serialize(model)),
        "fastnn.compile": json.dumps(_compile_config(model)),
        "fastnn.state": json.dumps(_state(model, variables)),
        "fastnn.build": json.dumps(built_for(model)),
    }
    tensors = variables | _optimizer_values(model)
    _core.save_file(path, tensors, metadata, _inference(model))


def _state(model: Any, variables: dict[str, Any]) -> dict[str, Any]:
    return {
        "shuffle_seed": model._shuffle_seed,
        "optimizer_order": _optimizer_order(model, variables),
    }


def _check_names(model: Any) -> None:
    """Refuses names that no file can hold: UTF-8 has no unpaired surrogates, HDF5 no zero bytes."""
    for layer in model._every_layer():
        if any(c == "\0" or "\ud800" <= c <= "\udfff" for c in layer.name):
            raise ValueError(
                f"cannot save layer {layer.name!r}: a name with unpaired surrogates or zero bytes "
                "is no text that a file can hold\n  hint: layer.name = 'another name'"
            )


#: Names that would promise another library's format.
_FOREIGN = (".pt", ".pth", ".pkl", ".pickle", ".joblib", ".onnx", ".pb", ".tflite", ".ckpt", ".npz")


def _target(
    filepath: str | os.PathLike[str], overwrite: bool, keras: str, whole: bool = False
) -> str:
    path = local_path(filepath)
    older = whole and not path.endswith(".weights.h5")
    if not older and path.endswith((".keras", ".h5", ".hdf5")) and not path.endswith(keras):
        name = Path(path).name.split(".")[0]
        raise ValueError(
            f"{path!r}: this kind of Keras file is read, not written, here\n"
            f"  hint: save to '{name}{keras}' for Keras or to '{name}.safetensors'"
        )
    if path.endswith(_FOREIGN):
        raise ValueError(
            f"{path!r}: fastnn does not write {Path(path).suffix} files\n"
            f"  hint: save to '{Path(path).stem}.safetensors', or to '{Path(path).stem}{keras}'"
        )
    if not overwrite and os.path.exists(path):
        raise FileExistsError(f"{path!r} exists\n  hint: overwrite=True")
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise FileNotFoundError(
            f"cannot write {path!r}: there is no folder {folder!r}\n"
            f"  hint: os.makedirs({folder!r}) before saving"
        )
    return path


def _existing(filepath: str | os.PathLike[str]) -> str:
    path = local_path(filepath)
    check_regular(path)
    if os.path.exists(path):
        return path
    folder = os.path.dirname(path) or "."
    names = os.listdir(folder) if os.path.isdir(folder) else []
    close = nearest(os.path.basename(path), names)
    hint = f"did you mean {', '.join(close)}?" if close else f"the folder {folder!r} " + (
        "has no similar file" if os.path.isdir(folder) else "does not exist"
    )  # fmt: skip
    raise FileNotFoundError(f"no file {path!r}\n  hint: {hint}")


def _read(filepath: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, str]]:
    path = _existing(filepath)
    with format_errors(path):
        tensors, metadata = _core.load_file(path)
    return tensors, metadata


def _is_keras(path: str) -> bool:
    """Whether the first bytes are of a zip or of HDF5; FormatError when only the name says so."""
    if path.endswith(".safetensors"):
        return False
    with open(path, "rb") as file:
        head = file.read(8)
    if head[:4] == b"PK\x03\x04" or head == b"\x89HDF\r\n\x1a\n":
        return True
    shown = " ".join(f"{b:02x}" for b in head[:4]) or "none, it is empty"
    for suffixes, kind, expected in (
        ((".keras",), "Keras", "zip (50 4b 03 04)"),
        ((".h5", ".hdf5"), "Keras", "HDF5 (89 48 44 46)"),
    ):
        if path.endswith(suffixes):
            raise FormatError(
                f"{path!r} is not a {kind} file: first bytes {shown}; expected {expected}\n"
                "  hint: the file may be cut off, or have the wrong name"
            )
    return False


def _json(metadata: dict[str, str], key: str, path: Any) -> Any:
    if key not in metadata:
        raise FormatError(
            f"{os.fspath(path)!r} holds tensors but no fastnn model (no {key!r})\n"
            "  hint: build the model and use load_weights"
        )
    return read_json(metadata[key], f"{key!r}", os.fspath(path))


def load_model(
    filepath: str | os.PathLike[str],
    custom_objects: dict[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
    max_bytes: int | None = None,
) -> Any:
    """The model of a file, with weights, compile settings, optimiser and random state.

    Reads fastnn's safetensors, and Keras's `.keras` and `.h5` with the extra `keras-files`.
    `max_bytes` bounds the weights (default: twice the file's size and 16 MiB). Code is never read
    from a file, whatever `safe_mode` says.
    Errors: FileNotFoundError with similar names; FormatError when the file is not a model.
    """
    from fastnn.models import Model

    if _is_keras(path := _existing(filepath)):
        return keras_files.load_model(path, custom_objects, compile, max_bytes)
    tensors, metadata = _read(filepath)
    config = _json(metadata, "fastnn.config", filepath)
    with format_errors(path), reading_file(file_limit(path, max_bytes)):
        model = deserialize(config, custom_objects)
        if not isinstance(model, Model):
            raise FormatError(
                f"the config describes {type(model).__name__}, not a model"
                "\n  hint: load_weights for a file of weights"
            )
        if "fastnn.build" in metadata:
            _rebuild(model, _json(metadata, "fastnn.build", filepath), path)
    _assign(named_variables(model), tensors, path, False)
    state = _json(metadata, "fastnn.state", filepath)
    state = state if isinstance(state, dict) else {}
    seed = state.get("shuffle_seed")
    model._shuffle_seed = seed if isinstance(seed, int) else None
    settings = _json(metadata, "fastnn.compile", filepath) if compile else None
    if isinstance(settings, dict):
        with custom_object_scope(custom_objects), format_errors(path):
            _recompile(model, settings, tensors, state.get("optimizer_order"))
    elif compile and any(n.startswith("optimizer/") for n in tensors):
        warn_of_skipped(path, ["it holds the state of an optimizer whose settings are not in it"])
    return model


def _recompile(
    model: Any, settings: dict[str, Any], tensors: dict[str, Any], order: Any = None
) -> None:
    from fastnn import losses, metrics, optimizers

    def each(table: Any, value: Any) -> Any:
        if isinstance(value, dict) and "class_name" not in value:
            return {k: each(table, v) for k, v in value.items()}
        if isinstance(value, list):
            return [each(table, v) for v in value]
        return table.get(value) if isinstance(value, dict) else value

    model.compile(
        optimizer=optimizers.get(settings.get("optimizer")),
        loss=each(losses, settings.get("loss")),
        loss_weights=settings.get("loss_weights"),
        metrics=each(metrics, settings.get("metrics")),
        weighted_metrics=each(metrics, settings.get("weighted_metrics")),
    )
    if any(k.startswith("optimizer/") for k in tensors):
        if any(k.count("/") >= 2 and not k.startswith(("optimizer/0/", "optimizer/1/"))
               for k in tensors if k.startswith("optimizer/")):  # fmt: skip
            _build_optimizer(model, order)
        values = _optimizer_values(model)
        held = {k for k in tensors if k.startswith("optimizer/")}
        if held == set(values):
            _assign(values, {k: tensors[k] for k in held}, "the file", False)
        else:
            warn_of_skipped("the file", [
                f"the optimizer's state has {len(held)} tensors, {len(values)} are wanted; it "
                "starts anew"
            ])  # fmt: skip


#: What files hold beside the weights of layers, by the start of the name.
_BESIDE = ("optimizer/", "callbacks/", "metrics/", "random/")


def _assign(
    variables: dict[str, Any], tensors: dict[str, Any], path: str, skip_mismatch: bool
) -> None:
    """Sets variables from tensors of their names: all of them, and no tensor is left over.

    Nothing is set when something does not fit; with `skip_mismatch` the rest is, and a warning
    names what is not. Random states without a place are named in a warning: they are no weights.
    """
    fits, faults = {}, []
    for name, v in variables.items():
        value = tensors.get(name)
        if value is None:
            faults.append(f"it has no tensor {name!r}")
        elif tuple(value.shape) != tuple(v.shape):
            faults.append(
                f"tensor {name!r} has shape {tuple(value.shape)}, the model wants {v.shape}"
            )
        else:
            fits[name] = value
    left = [n for n in tensors if n not in variables and not n.startswith(_BESIDE)]
    states = [n for n in left if n.endswith("/state")]
    left = [n for n in left if n not in states]
    if left:
        shown = ", ".join(map(repr, left[:8])) + (", …" if len(left) > 8 else "")
        faults.append(f"the model has no place for {len(left)} of its tensors: {shown}")
    if faults and not skip_mismatch:
        have = ", ".join(sorted(k for k in tensors if not k.startswith("optimizer/"))[:8])
        hint = f"the file holds {have}"
        if not any(n in tensors for n in variables) and not fits:
            hint += "; call the model on data first, or define build(), so that it has its layers"
        elif left:
            hint += "; skip_mismatch=True takes what fits"
        raise FormatError(f"{path!r} does not fit the model: {faults[0]}\n  hint: {hint}")
    if faults:
        warn_of_skipped(path, faults)
    if states:
        warn_of_skipped(path, [f"no layer draws from the random states {', '.join(states)}"])
    for name, value in fits.items():
        variables[name].assign(value)


def _rebuild(model: Any, given: Any, path: str) -> None:
    """Builds a model of the caller's for the input shapes that it was saved with."""
    if not isinstance(given, dict) or model.built:
        return
    with format_errors(path):
        build(model, given, f"model {model.name!r}")


def save_weights(model: Any, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
    """Writes the weights alone; `.weights.h5` gives a file in Keras's format."""
    path = _target(filepath, overwrite, ".weights.h5")
    _check_names(model)
    if not model.built:
        raise ValueError(f"model {model.name!r} is not built\n  hint: call it on data first")
    if path.endswith(".weights.h5"):
        return keras_files.save_weights(model, path)
    metadata = {"fastnn.format": FORMAT}
    _core.save_file(path, named_variables(model), metadata, None)


def load_weights(model: Any, filepath: str | os.PathLike[str], skip_mismatch: bool = False) -> None:
    """Reads weights from a file of `save_weights` or `save`, or from one of Keras's.

    Errors: FormatError when a weight of the model is not in the file, has another shape, or when
    the file holds weights that the model has no place for. With `skip_mismatch` what fits is taken
    and a warning names the rest.
    """
    if not model.built:
        raise ValueError(
            f"model {model.name!r} is not built, so weights have no place to go\n"
            "  hint: start it with Input(shape=...) or call build first"
        )
    if _is_keras(path := _existing(filepath)):
        return keras_files.load_weights(model, path, skip_mismatch)
    tensors, _ = _read(filepath)
    _assign(named_variables(model), tensors, os.fspath(filepath), skip_mismatch)


def save_state(
    model: Any, path: str, position: dict[str, Any], arrays: dict[str, Any] | None = None
) -> None:
    """Weights, optimiser and all random state, a position and arrays, for BackupAndRestore."""
    from fastnn import random

    variables = named_variables(model)
    tensors = variables | _optimizer_values(model) | (arrays or {})
    if (state := random.global_state()) is not None:
        tensors[_GLOBAL_STATE] = state
    metadata = {
        "fastnn.format": FORMAT,
        "fastnn.position": json.dumps(position),
        "fastnn.state": json.dumps(_state(model, variables)),
    }
    _core.save_file(path, tensors, metadata, None)


def load_state(model: Any, path: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Reads what `save_state` wrote and gives the position and all arrays."""
    from fastnn import random

    tensors, metadata = _read(path)
    state, position = (_json(metadata, f"fastnn.{k}", path) for k in ("state", "position"))
    with format_errors(path):
        _build_optimizer(model, state["optimizer_order"])
        _assign(named_variables(model) | _optimizer_values(model), tensors, path, False)
        model._shuffle_seed = state["shuffle_seed"]
        if _GLOBAL_STATE in tensors:
            random.set_global_state(tensors[_GLOBAL_STATE])
    return dict(position), {k: np.asarray(v) for k, v in tensors.items()}
