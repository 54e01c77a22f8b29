"""Keras's own files: `.keras`, `.weights.h5` and legacy `.h5`, through the extra `keras-files`.

`model.save`, `save_weights`, `load_weights` and `load_model` come here by the file's name or first
bytes. Nothing in a file is run or imported: classes come from closed tables, sizes are checked
before memory is taken (`names`, `archive`, `hdf5`). Depends on `serialization`, `compiling`, h5py.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from fastnn.base.atomic import check_regular, replace_file
from fastnn.errors import FormatError
from fastnn.files.compiling import recompile
from fastnn.files.keras import legacy, state
from fastnn.files.keras.archive import read_archive, write_archive
from fastnn.files.keras.assets import assets_of, load_assets
from fastnn.files.keras.hdf5 import Reader, h5py_or_hint
from fastnn.files.keras.write_config import model_entry
from fastnn.files.variables import of_one_state
from fastnn.serialization.custom_objects import custom_object_scope
from fastnn.serialization.file_budget import file_limit, format_errors, reading_file
from fastnn.serialization.keras_config import restore
from fastnn.serialization.shared import making_once

__all__ = [
    "load_model", "load_weights", "read_weights", "save_legacy", "save_model", "save_weights",
]  # fmt: skip

#: The version of Keras whose layout is written.
KERAS_VERSION = "3.15.1"


def save_model(model: Any, path: str, compiled: bool = True) -> None:
    """Writes a `.keras` file that Keras 3 loads: layers, compile settings, weights, optimiser.

    Without `compiled` as if the model had not been compiled.
    """
    metadata = {
        "keras_version": KERAS_VERSION,
        "date_saved": datetime.now().strftime("%Y-%m-%d@%H:%M:%S"),
    }
    entry, weights, further = of_one_state(
        model,
        lambda: (
            model_entry(model, compiled), state.weights_bytes(model, compiled), assets_of(model)
        ),
    )  # fmt: skip
    if compiled:
        state.warn_of_frozen(model)
    replace_file(
        path, lambda temporary: write_archive(temporary, entry, metadata, weights, further)
    )


def save_legacy(model: Any, path: str, compiled: bool = True) -> None:
    """Writes an `.h5` file that Keras 2 and 3 load: layers, compile settings, weights.

    Without `compiled` as if the model had not been compiled.
    """
    if model.model_kind not in ("functional", "sequential"):
        name = Path(path).stem
        raise NotImplementedError(
            f"cannot write {path!r}: the .h5 format holds Sequential and functional models, "
            f"{model.name!r} is a subclass ({type(model).__name__}), whose layers it could not "
            f"make again\n  hint: save to '{name}.keras' or '{name}.safetensors', or "
            f"save_weights('{name}.weights.h5')"
        )

    def content_of() -> bytes:
        entry = model_entry(model, compiled)
        # The newest layout of HDF5 has no limit of 64 kB for the model's description.
        return state.hdf5_bytes(
            lambda file, _: legacy.write_model(file, model, entry, KERAS_VERSION), libver="latest"
        )

    content = of_one_state(model, content_of)
    if compiled:
        state.warn_of_frozen(model)
    replace_file(path, lambda temporary: Path(temporary).write_bytes(content))


def save_weights(model: Any, path: str) -> None:
    """Writes a `.weights.h5` file that Keras 3 loads."""
    weights = state.weights_bytes(model)
    replace_file(path, lambda temporary: Path(temporary).write_bytes(weights))


def load_model(
    path: str,
    custom_objects: dict[str, Any] | None = None,
    compile: bool = True,
    max_bytes: int | None = None,
) -> Any:
    """The model of a `.keras` or legacy `.h5` file, compiled as it was.

    `max_bytes` bounds the weights (default: twice the file and 16 MiB). Errors: FormatError when
    the file is damaged, names unknown classes or claims sizes that it does not hold.
    """
    check_regular(path)
    limit = file_limit(path, max_bytes)
    with open(path, "rb") as file:
        is_zip = file.read(2) == b"PK"
    h5py_or_hint()
    read = _load_archive if is_zip else _load_legacy
    with custom_object_scope(custom_objects), format_errors(path):
        return read(path, compile, limit)


def _load_archive(path: str, compile: bool, limit: int) -> Any:
    config, weights, further = read_archive(path, limit)
    if not isinstance(config, dict):
        raise FormatError("config.json holds no model\n  hint: was it written by Keras?")
    model = _built(config, limit)
    settings = config.get("compile_config") if compile else None
    with Reader(weights, path, 4 * limit) as reader:
        state.read_places(reader, model, False)
        load_assets(model, reader, further)
        state.read_run(reader, model)
        if isinstance(settings, dict) and settings:
            recompile(model, settings, {})
            state.read_optimizer(reader, model)
    return model


def _load_legacy(path: str, compile: bool, limit: int) -> Any:
    with Reader(path, path, 4 * limit) as reader:
        entry, settings = legacy.read_model_config(reader, path)
        model = _built(entry, limit)
        legacy.read_weights(reader, model, False)
        state.read_run(reader, model)
        if compile and settings is not None and settings["optimizer"] is not None:
            recompile(model, settings, {})
            legacy.read_optimizer(reader, model)
    return model


def _built(entry: dict[str, Any], limit: int) -> Any:
    with reading_file(limit), making_once():
        model = restore(entry)
    if model.model_kind is None:
        raise FormatError(
            f"the config describes {type(model).__name__}, not a model"
            "\n  hint: load_weights for a file of weights"
        )
    return model


def load_weights(
    model: Any,
    path: str,
    skip_mismatch: bool = False,
    max_bytes: int | None = None,
    by_name: bool = False,
) -> None:
    """Reads the weights of a `.weights.h5`, `.keras` or legacy `.h5` file into a built model."""
    check_regular(path)
    limit = file_limit(path, max_bytes)
    with open(path, "rb") as file:
        is_zip = file.read(2) == b"PK"
    h5py_or_hint()
    source = read_archive(path, limit)[1] if is_zip else path
    with format_errors(path), Reader(source, path, 4 * limit) as reader:
        if legacy.is_legacy(reader):
            legacy.read_weights(reader, model, skip_mismatch, by_name)
        elif by_name:
            raise FormatError(
                f"{path!r} lists its layers by order, so by_name=True has no names to pair"
                "\n  hint: leave by_name out; skip_mismatch=True takes what fits"
            )
        else:
            state.read_places(reader, model, skip_mismatch)
        state.read_run(reader, model, whole=False)


def read_weights(path: str, max_bytes: int | None = None) -> dict[str, np.ndarray[Any, Any]]:
    """All weights of a `.weights.h5` or legacy `.h5` file by their paths, without a model."""
    with format_errors(path), Reader(path, path, file_limit(path, max_bytes)) as reader:
        holders = [] if legacy.is_legacy(reader) else reader.holders()
        if not holders:
            return legacy.named_arrays(reader)
        places = [f"{holder}/{name}" for holder in holders for name in reader.names(holder) or ()]
        return {place: reader.array(place, None) for place in places}
