"""Keras 1 to 3 `.h5` files: weights by layer, and whole models with their JSON in attributes.

Configs are brought to Keras 3's layout and then built by `serialization.keras_config`, so that one
set of rules holds for all formats (CVE-2025-9905). Depends on `hdf5`, `state`, `archive`.
Layout: Keras 3.15 `legacy/saving/legacy_h5_format.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.base.messages import escaped
from fastnn.errors import FormatError, told, warn_of_skipped
from fastnn.files.keras.archive import read_json
from fastnn.files.keras.hdf5 import Reader
from fastnn.files.keras.state import as_keras_builds, assign_all, write_run
from fastnn.serialization.encoding import as_json
from fastnn.serialization.keras_names import op_of_class

__all__ = [
    "is_legacy",
    "named_arrays",
    "read_model_config",
    "read_optimizer",
    "read_weights",
    "write_model",
]


#: Where the optimiser's state stands in files that are written here.
_OPTIMIZER = "fastnn/optimizer"


def is_legacy(reader: Reader) -> bool:
    """Whether this HDF5 file lists layers in attributes, as Keras did before `.weights.h5`."""
    return reader.names("model_weights") is not None or reader.texts("", "layer_names") is not None


def _root(reader: Reader) -> str:
    return "model_weights" if reader.names("model_weights") is not None else ""


def _layers(reader: Reader) -> list[tuple[str, list[str]]]:
    """Layers that have weights, with the paths of these, in the file's order."""
    root = _root(reader)
    names = reader.texts(root, "layer_names")
    if names is None:
        raise FormatError(
            f"{reader.label!r} is an HDF5 file without Keras's 'layer_names'\n"
            "  hint: it is neither a .weights.h5 nor a legacy weights file"
        )
    found = []
    for name in names:
        at = f"{root}/{name}"
        inner = reader.texts(at, "weight_names")
        if inner:
            found.append((name, [f"{at}/{w}" for w in inner]))
    return found


def _expected(layer: Any) -> list[Any]:
    return [*layer.trainable_weights, *layer.non_trainable_weights]


def _paired(reader: Reader, model: Any, by_name: bool) -> list[tuple[Any, str, list[str]]]:
    """Each layer that the file gives weights, with its name in the file and the paths of these.

    They pair in the order of layers that have weights, or by name: then layers of either side that
    the other does not know are left out, and a warning says so when these are all.
    """
    saved = _layers(reader)
    have = escaped(", ".join(n for n, _ in saved[:8]))
    layers = [layer for layer in model.layers if layer.weights]
    if by_name:
        named = dict(saved)
        found = [(layer, layer.name, named[layer.name]) for layer in layers if layer.name in named]
        if not found:
            warn_of_skipped(
                reader.label, [f"no layer of the model has a name of the file's: {have}"]
            )
        return found
    if len(saved) != len(layers):
        raise FormatError(
            f"{reader.label!r} does not fit the model: it holds weights of {len(saved)} layers, "
            f"the model has {len(layers)} layers with weights\n"
            f"  hint: the file holds {have}; by_name=True pairs layers of the same name"
        )
    return [(layer, name, paths) for layer, (name, paths) in zip(layers, saved, strict=True)]


def read_weights(reader: Reader, model: Any, skip_mismatch: bool, by_name: bool = False) -> None:
    """Sets the weights of the model's layers, paired in the file's order or by name."""
    values: list[tuple[Any, Any]] = []
    faults: list[str] = []
    for layer, name, paths in _paired(reader, model, by_name):
        wanted = _expected(layer)
        try:
            if len(wanted) != len(paths):
                raise FormatError(
                    f"{reader.label!r} does not fit the model: layer {layer.name!r} has "
                    f"{len(wanted)} weights, {name!r} in the file holds {len(paths)}\n"
                    "  hint: the file was written for another architecture"
                )
            values += [(v, reader.array(p, v.shape)) for v, p in zip(wanted, paths, strict=True)]
        except FormatError as error:
            if not skip_mismatch:
                raise
            faults.append(told(error))
    if not by_name or reader.names(f"{_root(reader)}/top_level_model_weights") is not None:
        values += _top_level(reader, model, skip_mismatch)
    if faults:
        warn_of_skipped(reader.label, faults)
    assign_all(reader, values)


def _top_level(reader: Reader, model: Any, skip_mismatch: bool) -> list[tuple[Any, Any]]:
    """Weights that the model holds beside its layers, which Keras before 2.6 did not write."""
    at = f"{_root(reader)}/top_level_model_weights"
    names = reader.texts(at, "weight_names") or []
    own = model._own_weights()
    if len(names) != len(own):
        fault = f"the model itself has {len(own)} weights, the file holds {len(names)} of its own"
        if not skip_mismatch:
            raise FormatError(
                f"{reader.label!r} does not fit the model: {fault}\n"
                "  hint: the file was written for another architecture"
            )
        warn_of_skipped(reader.label, [fault])
        return []
    return [(v, reader.array(f"{at}/{n}", v.shape)) for v, n in zip(own, names, strict=True)]


def named_arrays(reader: Reader) -> dict[str, np.ndarray[Any, Any]]:
    """All weights of a legacy file as `layer/weight: array`, without a model."""
    found: dict[str, np.ndarray[Any, Any]] = {}
    root = _root(reader)
    for name, paths in _layers(reader):
        for path in paths:
            short = path.removeprefix(f"{root}/{name}/")
            found[f"{name}/{short}"] = reader.array(path, None)
    return found


def write_model(file: Any, model: Any, entry: dict[str, Any], version: str) -> None:
    """Writes a whole model into an open HDF5 file in the layout of Keras's `.h5` files."""
    settings = entry.get("compile_config") or {}
    file.attrs["keras_version"], file.attrs["backend"] = version, "tensorflow"
    file.attrs["model_config"] = as_json(
        {"class_name": entry["class_name"], "config": entry["config"]}
    )
    if settings.get("optimizer") is not None:
        given = settings["optimizer"]
        training = {k: settings.get(k) for k in ("loss", "metrics", "weighted_metrics")}
        training["loss_weights"] = settings.get("loss_weights")
        training["optimizer_config"] = {
            "class_name": given["class_name"], "config": given["config"],
        }  # fmt: skip
        file.attrs["training_config"] = as_json(training)
    root = file.create_group("model_weights")
    root.attrs["keras_version"], root.attrs["backend"] = version, "tensorflow"
    root.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
    for layer in model.layers:
        _write_weights(root.create_group(layer.name), _expected(layer))
    _write_weights(root.create_group("top_level_model_weights"), model._own_weights())
    if settings.get("optimizer") is not None and model.optimizer.built:
        # Not where Keras looks: it builds the optimiser for none of the layers' weights then.
        optimizer = as_keras_builds(model.optimizer, model)
        _write_weights(file.create_group(_OPTIMIZER), optimizer.variables)
    write_run(file, model)


def _write_weights(group: Any, weights: list[Any]) -> None:
    names: list[str] = []
    for v in weights:
        name = v.path
        while name in names:
            name += "_1"
        names.append(name)
        group.create_dataset(name, data=np.asarray(v))
    group.attrs["weight_names"] = [n.encode() for n in names]


# ---- whole models --------------------------------------------------------------------------------


def read_model_config(reader: Reader, path: str) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The model's entry in Keras 3's layout, and its compile settings."""
    text = reader.text("", "model_config")
    if text is None:
        raise FormatError(
            f"{path!r} holds weights but no model ('model_config' is absent)\n"
            "  hint: build the model and use load_weights"
        )
    entry = modern(read_json(text, "model_config", path), 0)
    settings = reader.text("", "training_config")
    if settings is None:
        return entry, None
    return entry, _settings(read_json(settings, "training_config", path))


def _settings(given: Any) -> dict[str, Any] | None:
    if not isinstance(given, dict):
        return None
    optimizer = given.get("optimizer_config")
    if isinstance(optimizer, dict) and isinstance(optimizer.get("config"), dict):
        config = dict(optimizer["config"])
        if "lr" in config:
            config["learning_rate"] = config.pop("lr")
        optimizer = {"class_name": optimizer.get("class_name"), "config": config}
    keys = ("loss", "loss_weights", "metrics", "weighted_metrics")
    return {"optimizer": optimizer, **{k: given.get(k) for k in keys}}


def modern(entry: Any, level: int) -> dict[str, Any]:
    """A layer's entry of any age with the `module` and the calls of Keras 3."""
    if not isinstance(entry, dict) or not isinstance(entry.get("class_name"), str):
        raise FormatError(f"not an entry of a model's config: {str(entry)[:120]}")
    if level > 64:
        raise FormatError("models are nested deeper than 64 levels\n  hint: damaged file?")
    name, config = entry["class_name"], entry.get("config")
    if name == "Sequential" and isinstance(config, list):  # Keras before 2.2.3
        config = {"layers": config}
    if not isinstance(config, dict):
        raise FormatError(f"the config of {name[:80]!r} is {type(config).__name__}")
    made = {k: v for k, v in entry.items() if k != "config"}
    config = dict(config)
    if name in ("Sequential", "Functional", "Model"):
        made["module"] = "keras"
        made["class_name"] = "Functional" if name == "Model" and "layers" in config else name
        if isinstance(config.get("layers"), list):
            config["layers"] = [modern(x, level + 1) for x in config["layers"]]
        config = {k: v for k, v in config.items() if k != "build_input_shape" or v}
    elif (op := op_of_class(name)) is not None and not {"trainable", "dtype"} & set(config):
        made["module"] = op.module
    else:
        made["module"] = "keras.layers"
        config = _layer_settings(name, config, level)
    made["config"] = config
    if "inbound_nodes" in made:
        made["inbound_nodes"] = _calls(made["inbound_nodes"])
    return made


def _layer_settings(name: str, config: dict[str, Any], level: int) -> dict[str, Any]:
    """Spellings that changed since Keras 1."""
    if isinstance(config.get("layer"), dict):
        config["layer"] = modern(config["layer"], level + 1)
    if name == "InputLayer" and "batch_input_shape" in config:
        config["batch_shape"] = config.pop("batch_input_shape")
    axis = config.get("axis")
    if name == "BatchNormalization" and isinstance(axis, list) and len(axis) == 1:
        config["axis"] = axis[0]
    if name == "LeakyReLU" and "alpha" in config:
        config["negative_slope"] = config.pop("alpha")
    config.pop("input_dtype", None)
    return config


def _calls(nodes: Any) -> list[Any]:
    """`[[["input_1", 0, 0, {}]]]` as args and kwargs; nodes of Keras 3 pass unchanged."""
    if not isinstance(nodes, list):
        raise FormatError("inbound_nodes is not a list\n  hint: damaged file?")
    made = []
    for node in nodes:
        if isinstance(node, dict) or node is None:
            made.append(node)
            continue
        if not isinstance(node, list) or not node:
            raise FormatError(f"a call of a layer is {str(node)[:80]}\n  hint: damaged file?")
        if isinstance(node[0], str):  # a single input, written without its list
            node = [node]
        tensors, kwargs = [], {}
        for place in node:
            if not isinstance(place, list) or len(place) < 3:
                raise FormatError(
                    f"an input of a layer is {str(place)[:80]}\n  hint: damaged file?"
                )
            tensors.append(
                {"class_name": "__keras_tensor__", "config": {"keras_history": place[:3]}}
            )
            if len(place) > 3 and isinstance(place[3], dict):
                kwargs.update(place[3])
        made.append(
            {
                "args": [tensors[0] if len(tensors) == 1 else tensors],
                "kwargs": kwargs,
                "legacy": True,
            }
        )
    return made


def read_optimizer(reader: Reader, model: Any) -> None:
    """The optimiser's state, when its arrays fit this optimiser; older ones kept other state."""
    root = _OPTIMIZER if "optimizer" in (reader.names("fastnn") or []) else "optimizer_weights"
    names = reader.texts(root, "weight_names")
    if not names or not model.compiled:
        return
    # The state of the wrapper around the optimizer of a mixed policy, which float32 does without.
    names = [n for n in names if not n.startswith("loss_scale_optimizer/")]
    model.optimizer.build(model.trainable_variables)
    own = model.optimizer.variables
    if len(own) != len(names):
        warn_of_skipped(reader.label, [
            f"the optimizer's state has {len(names)} arrays, {len(own)} are wanted; it starts anew"
        ])  # fmt: skip
        return
    paths = [f"{root}/{n}" for n in names]
    assign_all(reader, [(v, reader.array(p, v.shape)) for v, p in zip(own, paths, strict=True)])
