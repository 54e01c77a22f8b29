"""Models to files and back: safetensors with the layers' configs as JSON metadata.

Names in a config are looked up in closed tables, in what the caller hands in and in what was
registered; nothing is imported by name and no code is read. Depends on `serialization`,
`variables`, `compiling`, `_core`. Format: github.com/huggingface/safetensors.
"""

from __future__ import annotations

import json
import os
import re
from typing import Any

import numpy as np

from fastnn import _core, random
from fastnn.base import tree
from fastnn.base.arguments import hints_arguments, local_path
from fastnn.base.atomic import check_regular
from fastnn.base.messages import escaped
from fastnn.errors import FormatError, check_arguments, nearest, warn_of_skipped
from fastnn.files.compiling import (
    build_optimizer,
    file_settings,
    optimizer_order,
    optimizer_values,
    recompile,
    warn_of_settings,
)
from fastnn.files.pruned import prune_again, pruned_weights, warn_of_pruned
from fastnn.files.variables import assign, named_variables, of_one_state, save_file
from fastnn.layers.preprocessing.host import fed, text_inputs
from fastnn.serialization.custom_objects import (
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    register_keras_serializable,
)
from fastnn.serialization.encoding import as_json
from fastnn.serialization.file_budget import file_limit, format_errors, reading_file
from fastnn.serialization.keras_config import (
    build,
    deserialize,
)
from fastnn.serialization.objects import (
    deserialize_keras_object,
    get_registered_object,
    own_config,
    serialize,
    serialize_keras_object,
)
from fastnn.serialization.shared import making_once, marking_shared
from fastnn.tracing.stored import (
    MODES,
    StoredVariable,
    stored_weights,
    weights_in,
    with_fewer_bits,
)

__all__ = [
    "custom_object_scope", "deserialize", "deserialize_keras_object", "get_custom_objects",
    "get_registered_name", "get_registered_object", "load_model", "load_weights",
    "model_from_json", "register_keras_serializable", "save_model", "save_weights", "serialize",
    "serialize_keras_object",
]  # fmt: skip

FORMAT = "1"
_GLOBAL_STATE = "random/global_state"


@hints_arguments
def model_from_json(json_string: str, custom_objects: dict[str, Any] | None = None) -> Any:
    """The model that `to_json` of fastnn or of Keras wrote, with fresh weights.

    It is compiled when the text holds compile settings.

    Args:
        json_string: The text.
        custom_objects: Classes and functions by name, for what fastnn does not know.

    Returns:
        The model.

    Raises:
        ValueError: The text names a class that is not known.

    Example:
        >>> model = fastnn.Sequential([fastnn.Input((3,)), fastnn.layers.Dense(1)])
        >>> fastnn.models.model_from_json(model.to_json()).count_params()
        4
    """
    if not isinstance(json_string, str | bytes | bytearray):
        raise TypeError(
            f"model_from_json takes text, got {type(json_string).__name__}\n"
            "  hint: use model.to_json()"
        )
    try:
        bare = json_string.removeprefix("\ufeff") if isinstance(json_string, str) else json_string
        config = json.loads(bare)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"not JSON: {error}\n  hint: use model.to_json()") from None
    try:
        with making_once():
            model = deserialize(config, custom_objects)
        settings = config.get("compile_config")
        if isinstance(settings, dict) and settings:
            with custom_object_scope(custom_objects):
                recompile(model, settings, {})
        return model
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError) as error:
        if "\n  hint: " in str(error):
            raise
        raise FormatError(
            f"the text does not describe a model: {type(error).__name__}: {error}\n"
            "  hint: use model.to_json()"
        ) from error


def inference(model: Any) -> Any:
    """The traced inference function, for programs without layers, and the structure of its
    outputs; None when no input is known.
    """
    if model._input_shapes() is None:
        return None
    # Floats are not rounded on their way into `predict`, whatever type an input declares.
    arrays = [
        np.zeros(
            (1, *(1 if d is None else d for d in x.shape[1:])),
            "float32" if x.dtype in ("float16", "bfloat16") else x.dtype,
        )
        for x in fed(model)
    ]
    graph = getattr(model, "_layer_graph", None)
    structure = graph.inputs if graph else model.inputs[0] if len(arrays) == 1 else arrays
    return model._traced_prediction(tree.pack(structure, arrays))[:2]


def _check_format(filepath: Any, save_format: str | None) -> None:
    """ValueError where a format is asked for that the ending of the name does not give."""
    endings: dict[str | None, str | tuple[str, ...]]
    endings = {None: "", "keras": ".keras", "h5": (".h5", ".hdf5")}
    wanted = endings.get(save_format, ())
    if not local_path(filepath).endswith(wanted):
        raise ValueError(
            f"save({str(filepath)!r}, save_format={save_format!r}): the ending of the name chooses "
            "the format\n  hint: end it in .keras, .h5 or .safetensors"
        )


def save_model(
    model: Any, filepath: str | os.PathLike[str], overwrite: bool = True, **settings: Any
) -> None:
    """Writes one file with weights, layers, compile settings, optimiser and random state.

    The file is written beside the target and moved into place, so that a killed save leaves the old
    one whole. Keras's formats hold the optimiser's state of what is trained now: a warning says so
    when there is more. Values of metrics are in no file: they start anew with an epoch.

    Args:
        model: A built model.
        filepath: A name that ends in `.keras` gives a file in Keras's format, `.h5` one in its
            older format, any other safetensors.
        overwrite: Whether a file that is there is replaced.
        **settings: `include_optimizer=False` leaves compile settings and the optimiser's state
            out; Keras's `save_format` is checked against the ending, `zipped` changes nothing.

    Raises:
        OSError: The file cannot be written.
        ValueError: `save_format` is not what the ending says.

    Example:
        >>> model = fastnn.Sequential([fastnn.Input((3,)), fastnn.layers.Dense(1)])
        >>> fastnn.models.save_model(model, "m.safetensors")
    """
    from fastnn.files import keras as keras_files

    check_arguments("save()", settings, ("include_optimizer", "save_format", "zipped"), save_model)
    _check_format(filepath, settings.get("save_format"))
    compiled = bool(settings.get("include_optimizer", True))
    path = _target(filepath, overwrite, ".keras", whole=True)
    if not model.built:
        raise ValueError(
            f"model {model.name!r} is not built, so it has no weights to save\n"
            "  hint: call it on data or fit it first"
        )
    _check_names(model)
    if compiled:
        warn_of_settings(model, path)
    if path.endswith((".keras", ".h5", ".hdf5")):
        _refuse_fewer_bits(model, path)
        warn_of_pruned(named_variables(model), path)
    if path.endswith(".keras"):
        return keras_files.save_model(model, path, compiled)
    if path.endswith((".h5", ".hdf5")):
        return keras_files.save_legacy(model, path, compiled)
    tensors, metadata = of_one_state(model, lambda: _content(model, compiled))
    traced = inference(model)
    save_file(path, tensors, metadata, None if traced is None else traced[0])


def _content(model: Any, compiled: bool) -> tuple[dict[str, Any], dict[str, str]]:
    """The arrays of a model's file, and what it says besides."""
    from fastnn.files.keras.write_config import built_for

    variables = named_variables(model)
    with marking_shared():
        config = own_config(model)
    metadata = {
        "fastnn.format": FORMAT,
        "fastnn.config": as_json(config),
        "fastnn.compile": json.dumps(file_settings(model) if compiled else None),
        "fastnn.state": json.dumps(_state(model, variables)),
        "fastnn.build": json.dumps(built_for(model)),
    }
    stored = {n: v.dtype for n, v in variables.items() if isinstance(v, StoredVariable)}
    if stored:
        metadata["fastnn.stored"] = json.dumps(stored)
    if before := sorted({r.name for text in text_inputs(model).values() for r in text.layers}):
        # The graph begins after them: whoever has the graph alone is told.
        metadata["fastnn.before"] = json.dumps(before)
    if pruned := pruned_weights(variables):
        metadata["fastnn.pruned"] = json.dumps(pruned)
    return variables | (optimizer_values(model) if compiled else {}), metadata


def _state(model: Any, variables: dict[str, Any]) -> dict[str, Any]:
    return {
        "shuffle_seed": model._shuffle_seed,
        "optimizer_order": optimizer_order(model, variables),
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
    from pathlib import Path

    path = local_path(filepath)
    older = whole and not path.endswith(".weights.h5")
    if not older and path.endswith((".keras", ".h5", ".hdf5")) and not path.endswith(keras):
        name = Path(path).name.split(".")[0]
        if whole:
            raise ValueError(
                f"{path!r}: save writes whole models, a file of this name holds weights alone\n"
                f"  hint: model.save_weights({Path(path).name!r}), or model.save('{name}{keras}')"
            )
        raise ValueError(
            f"{path!r}: this kind of Keras file is read, not written, here\n"
            f"  hint: save to '{name}{keras}' for Keras or to '{name}.safetensors'"
        )
    if path.endswith(".onnx") and whole:
        raise ValueError(
            f"{path!r}: save writes models that can be trained further, ONNX files cannot\n"
            f"  hint: model.export({Path(path).name!r}) writes the inference graph"
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
    close = ", ".join(map(escaped, nearest(os.path.basename(path), names)))
    hint = f"did you mean {close}?" if close else f"the folder {folder!r} " + (
        "has no similar file" if os.path.isdir(folder) else "does not exist"
    )  # fmt: skip
    raise FileNotFoundError(f"no file {path!r}\n  hint: {hint}")


def _but_constants(
    tensors: dict[str, Any], variables: dict[str, Any], metadata: dict[str, str], path: Any
) -> dict[str, Any]:
    """The tensors without the arrays that stand in the graph as they are, which are no weights."""
    left = {n for n in tensors if n not in variables and re.fullmatch(r"graph/\d+", n)}
    if not left or "fastnn.graph" not in metadata:
        return tensors
    graph = _json(metadata, "fastnn.graph", path)
    named = graph.get("constants") if isinstance(graph, dict) else None
    own = left.intersection(n for n in named or () if isinstance(n, str))
    return {n: t for n, t in tensors.items() if n not in own}


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
    from fastnn.files.keras.archive import read_json

    if key not in metadata:
        raise FormatError(
            f"{os.fspath(path)!r} holds tensors but no fastnn model (no {key!r})\n"
            "  hint: build the model and use load_weights"
        )
    return read_json(metadata[key], f"{key!r}", os.fspath(path))


def refuse_onnx(path: str) -> None:
    """FormatError for a file that another function reads."""
    if path.endswith(".onnx"):
        raise FormatError(
            f"{path!r} is an ONNX file, not one of a model's layers\n  hint: fastnn.onnx.load(path)"
        )


@hints_arguments
def load_model(
    filepath: str | os.PathLike[str],
    custom_objects: dict[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
    max_bytes: int | None = None,
) -> Any:
    """The model of a file, with weights, compile settings, optimiser and random state.

    Reads fastnn's safetensors, and Keras's `.keras` and `.h5` with the extra `[keras-files]`. Code
    is never read from a file, whatever `safe_mode` says.

    Args:
        filepath: The file.
        custom_objects: Classes and functions by name, for what fastnn does not know.
        compile: Whether the model is compiled as it was when it was saved.
        safe_mode: Accepted for Keras's sake.
        max_bytes: The most memory that the weights may take; by default twice the file's size and
            16 MiB.

    Returns:
        The model.

    Raises:
        FileNotFoundError: There is no such file; the hint names similar ones.
        FormatError: The file is not a model.

    Example:
        >>> fastnn.Sequential([fastnn.Input((3,)), fastnn.layers.Dense(1)]).save("m.safetensors")
        >>> fastnn.models.load_model("m.safetensors").count_params()
        4
    """
    from fastnn.files import keras as keras_files

    refuse_onnx(local_path(filepath))
    if _is_keras(path := _existing(filepath)):
        return keras_files.load_model(path, custom_objects, compile, max_bytes)
    tensors, metadata = _read(filepath)
    config = _json(metadata, "fastnn.config", filepath)
    with format_errors(path), reading_file(file_limit(path, max_bytes)), making_once():
        model = deserialize(config, custom_objects)
        if getattr(model, "model_kind", None) is None:
            raise FormatError(
                f"the config describes {type(model).__name__}, not a model"
                "\n  hint: load_weights for a file of weights"
            )
        if "fastnn.build" in metadata:
            _rebuild(model, _json(metadata, "fastnn.build", filepath), path)
    _take_fewer_bits(model, metadata, path)
    variables = named_variables(model)
    assign(variables, _but_constants(tensors, variables, metadata, path), path, False)
    if "fastnn.pruned" in metadata:
        prune_again(variables, _json(metadata, "fastnn.pruned", path), path)
    state = _json(metadata, "fastnn.state", filepath)
    state = state if isinstance(state, dict) else {}
    seed = state.get("shuffle_seed")
    model._shuffle_seed = seed if isinstance(seed, int) else None
    settings = _json(metadata, "fastnn.compile", filepath) if compile else None
    if isinstance(settings, dict):
        with custom_object_scope(custom_objects), format_errors(path):
            recompile(model, settings, tensors, state.get("optimizer_order"))
    elif compile and any(n.startswith("optimizer/") for n in tensors):
        warn_of_skipped(path, ["it holds the state of an optimizer whose settings are not in it"])
    return model


def _take_fewer_bits(model: Any, metadata: dict[str, str], path: str) -> None:
    """Makes room for the weights that a file stores as int8 or bfloat16, by name."""
    if "fastnn.stored" not in metadata:
        return
    stored = _json(metadata, "fastnn.stored", path)
    names = {id(v): n for n, v in named_variables(model).items()}
    places = {names.get(id(v)): (layer, key) for layer, key, v in weights_in(model._every_layer())}
    if not isinstance(stored, dict):
        raise FormatError(f"{path!r}: 'fastnn.stored' is no table\n  hint: save the model again")
    for name, mode in stored.items():
        if name not in places or mode not in MODES:
            raise FormatError(
                f"{path!r} stores {escaped(str(name))!r} as {escaped(str(mode))!r}, which the "
                "model does not\n  hint: the file is damaged: save the model again"
            )
        with_fewer_bits(*places[name], mode)


def _refuse_fewer_bits(model: Any, path: str) -> None:
    """Keras's formats hold float32 weights: codes without their scales would be other ones."""
    from pathlib import Path

    if stored_weights(model._every_layer()):
        raise ValueError(
            f"{path!r}: weights of {model.name!r} are stored in fewer bits, which Keras's formats "
            f"do not hold\n  hint: save to '{Path(path).name.split('.')[0]}.safetensors'"
        )


def _rebuild(model: Any, given: Any, path: str) -> None:
    """Builds a model of the caller's for the input shapes that it was saved with."""
    if not isinstance(given, dict) or model.built:
        return
    with format_errors(path):
        build(model, given, f"model {model.name!r}")


def _has_weights(model: Any) -> bool:
    """Whether all weights are there; a model of built models may never be called itself."""
    if model.built:
        return True
    inner = [layer for layer in model._every_layer() if layer is not model]
    return all(layer.built for layer in inner) and any(layer.weights for layer in inner)


@hints_arguments
def save_weights(model: Any, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
    """Writes the weights of a model alone.

    Args:
        model: A built model.
        filepath: The file; `.weights.h5` gives one in Keras's format (extra `[keras-files]`).
        overwrite: Whether a file that is there is replaced.

    Raises:
        OSError: The file cannot be written.

    Example:
        >>> model = fastnn.Sequential([fastnn.Input((1,)), fastnn.layers.Dense(1)])
        >>> fastnn.saving.save_weights(model, "w.safetensors")
        >>> fastnn.saving.load_weights(model, "w.safetensors")
    """
    from fastnn.files import keras as keras_files

    path = _target(filepath, overwrite, ".weights.h5")
    _check_names(model)
    if not _has_weights(model):
        raise ValueError(f"model {model.name!r} is not built\n  hint: call it on data first")
    if path.endswith(".weights.h5"):
        _refuse_fewer_bits(model, path)
        return keras_files.save_weights(model, path)
    metadata = {"fastnn.format": FORMAT}
    save_file(path, named_variables(model), metadata, None)


@hints_arguments
def load_weights(
    model: Any,
    filepath: str | os.PathLike[str],
    skip_mismatch: bool = False,
    by_name: bool | None = None,
) -> None:
    """Reads the weights of a model from a file of `save_weights` or `save`, or from one of Keras's.

    Args:
        model: A built model.
        filepath: The file.
        skip_mismatch: Whether what fits is taken, and a warning names the rest.
        by_name: For files that end in `.h5` or `.hdf5`, not in `.weights.h5`: True gives weights to
            the layers that have the names of the file's, in any order, and leaves the others.

    Raises:
        FormatError: A weight is not in the file, has another shape, or is one too many.
        ValueError: The model is not built, or `by_name` is given for another kind of file.

    Example:
        >>> model = fastnn.Sequential([fastnn.Input((1,)), fastnn.layers.Dense(1)])
        >>> model.save("m.safetensors")
        >>> fastnn.saving.load_weights(model, "m.safetensors")
    """
    from fastnn.files import keras as keras_files

    if not _has_weights(model):
        raise ValueError(
            f"model {model.name!r} is not built, so weights have no place to go\n"
            "  hint: start it with Input(shape=...) or call build first"
        )
    path = _existing(filepath)
    if by_name and (path.endswith(".weights.h5") or not path.endswith((".h5", ".hdf5"))):
        raise ValueError(
            f"load_weights({path!r}, by_name=True): only the older .h5 files pair by name\n"
            "  hint: skip_mismatch=True takes what fits; layer.set_weights sets one layer's"
        )
    if _is_keras(path):
        return keras_files.load_weights(model, path, skip_mismatch, by_name=bool(by_name))
    tensors, metadata = _read(filepath)
    variables = named_variables(model)
    assign(variables, _but_constants(tensors, variables, metadata, path), path, skip_mismatch)


def save_state(
    model: Any, path: str, position: dict[str, Any], arrays: dict[str, Any] | None = None
) -> None:
    """Weights, optimiser and all random state, a position and arrays, for BackupAndRestore."""
    variables = named_variables(model)
    tensors = variables | optimizer_values(model) | (arrays or {})
    if (state := random.global_state()) is not None:
        tensors[_GLOBAL_STATE] = state
    metadata = {
        "fastnn.format": FORMAT,
        "fastnn.position": json.dumps(position),
        "fastnn.state": json.dumps(_state(model, variables)),
    }
    save_file(path, tensors, metadata, None)


def load_state(model: Any, path: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Reads what `save_state` wrote and gives the position and all arrays."""
    tensors, metadata = _read(path)
    state, position = (_json(metadata, f"fastnn.{k}", path) for k in ("state", "position"))
    with format_errors(path):
        build_optimizer(model, state["optimizer_order"])
        assign(named_variables(model) | optimizer_values(model), tensors, path, False)
        model._shuffle_seed = state["shuffle_seed"]
        if _GLOBAL_STATE in tensors:
            random.set_global_state(tensors[_GLOBAL_STATE])
    return dict(position), {k: np.asarray(v) for k, v in tensors.items()}
