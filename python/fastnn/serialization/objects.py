"""Any object as `keras.saving` writes it, and back. Depends on `registry`, `encoding`."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from fastnn.base.arguments import hints_arguments
from fastnn.errors import unknown_name
from fastnn.serialization.custom_objects import (
    custom_object_scope,
    custom_objects,
    get_registered_name,
)
from fastnn.serialization.encoding import to_config
from fastnn.serialization.keras_config import has_no_effect, named_dtype
from fastnn.serialization.keras_layout import in_keras_layout, layer_settings
from fastnn.serialization.keras_names import EXPORTED, own_name
from fastnn.serialization.registry import MODEL_CLASSES, MODULES, _tables, model_class, table
from fastnn.serialization.shared import marked

__all__ = [
    "deserialize_keras_object",
    "get_registered_object",
    "serialize",
    "serialize_keras_object",
]


@hints_arguments
def serialize(layer: Any) -> dict[str, Any]:
    """A layer or model as `{"class_name": …, "config": …}`.

    Args:
        layer: A layer or model.

    Returns:
        A dict that JSON holds.

    Example:
        >>> fastnn.saving.serialize(fastnn.layers.ReLU(name="cut"))["class_name"]
        'ReLU'
    """
    return written(layer)  # type: ignore[no-any-return]


def own_config(thing: Any) -> dict[str, Any]:
    """A layer or model as the configs of fastnn's own files hold it."""
    entry = {"class_name": get_registered_name(type(thing)), "config": thing.get_config()}
    return marked(thing, entry)


def written(thing: Any) -> Any:
    """An object with a config as `keras.saving` writes it; functions and names as configs do."""
    if not hasattr(thing, "get_config") or inspect.isclass(thing):
        return to_config(thing)
    kind = type(thing)
    module = _module_of(kind)
    return {
        "module": module or kind.__module__,
        "class_name": kind.__name__,
        "config": thing.get_config(),
        "registered_name": None if module else get_registered_name(kind),
    }


@hints_arguments
def get_registered_object(
    name: str, custom_objects: dict[str, Any] | None = None, module_objects: Any = None
) -> Any:
    """The registered object of a name, None when there is none.

    Args:
        name: The name in files, as in `package>name`.
        custom_objects: Classes and functions by name, for what fastnn does not know.
        module_objects: Further objects by name.

    Returns:
        A class or function, or None.

    Example:
        >>> fastnn.saving.get_registered_object("nobody>here") is None
        True
    """
    with custom_object_scope(custom_objects):
        found = _custom(name)
    return found if found is not None else (module_objects or {}).get(name)


def _custom(name: Any) -> Any:
    return custom_objects().get(name) if isinstance(name, str) else None


def _module_of(thing: Any) -> str | None:
    """The public module of Keras that offers a class or function of fastnn, else None."""
    own = str(getattr(thing, "__module__", ""))
    for kind, module in MODULES.items():
        # The table of layers need not be there when a layer is.
        there = kind in _tables or own.startswith(f"fastnn.{module}.")
        if there and table(kind).names.get(thing.__name__) is thing:
            return f"keras.{module}"
    return None


@hints_arguments
def serialize_keras_object(obj: Any) -> Any:
    """An object as JSON holds it: `{"module", "class_name", "config", "registered_name"}`.

    Numbers and texts stand for themselves, lists and dicts go part by part. Keras reads it, too.

    Args:
        obj: A layer, loss, metric, optimiser, function, number, text, list or dict.

    Returns:
        What `deserialize_keras_object` reads.

    Raises:
        TypeError: There is no config of it.

    Example:
        >>> config = fastnn.saving.serialize_keras_object(fastnn.layers.ReLU(name="cut"))
        >>> config["class_name"]
        'ReLU'
    """
    if obj is None or isinstance(obj, bool | int | float | str):
        return obj
    if isinstance(obj, tuple):
        return tuple(_each(obj))
    if isinstance(obj, list):
        return _each(obj)
    if isinstance(obj, dict):
        return {k: serialize_keras_object(v) for k, v in obj.items()}
    if isinstance(obj, np.ndarray) and obj.ndim:
        return {
            "class_name": "__numpy__", "config": {"value": obj.tolist(), "dtype": obj.dtype.name},
        }  # fmt: skip
    if not hasattr(obj, "get_config") or inspect.isclass(obj):
        return _serialize_function(obj) if hasattr(obj, "__name__") else to_config(obj)
    kind = type(obj)
    module = _module_of(kind)
    name = None if module else get_registered_name(kind)
    config = obj.get_config()
    if hasattr(obj, "dtype_policy"):
        config = layer_settings(kind, config)
    config = {k: in_keras_layout(serialize_keras_object(v), k) for k, v in config.items()}
    made = {
        "module": module or kind.__module__,
        "class_name": EXPORTED.get(kind.__name__, kind.__name__) if module else kind.__name__,
        "config": config, "registered_name": name,
    }  # fmt: skip
    built = obj.get_build_config() if hasattr(obj, "get_build_config") else None
    return made if built is None else {**made, "build_config": _each(built)}


def _each(values: Any) -> Any:
    if isinstance(values, dict):
        return {k: serialize_keras_object(v) for k, v in values.items()}
    return [serialize_keras_object(v) for v in values]


def _serialize_function(fn: Any) -> dict[str, Any]:
    module = _module_of(fn)
    return {
        "module": module or "builtins", "class_name": "function", "config": fn.__name__,
        "registered_name": "function" if module else get_registered_name(fn),
    }  # fmt: skip


@hints_arguments
def deserialize_keras_object(
    config: Any, custom_objects: dict[str, Any] | None = None, safe_mode: bool = True
) -> Any:
    """What `serialize_keras_object` described.

    Args:
        config: A config, number, text, list or dict.
        custom_objects: Classes and functions by name, for what fastnn does not know.
        safe_mode: Accepted for Keras's sake: code is never read from a config.

    Returns:
        The object.

    Raises:
        ValueError: The config names a class that is not known.

    Example:
        >>> config = fastnn.saving.serialize_keras_object(fastnn.layers.ReLU(name="cut"))
        >>> fastnn.saving.deserialize_keras_object(config).name
        'cut'
    """
    with custom_object_scope(custom_objects):
        return _revive(config)


def _revive(config: Any) -> Any:
    if isinstance(config, list | tuple):
        return [_revive(c) for c in config]
    if not isinstance(config, dict):
        return config
    name: Any = config.get("class_name")
    inner: Any = config.get("config")
    if not isinstance(name, str) or "config" not in config:
        return {k: _revive(v) for k, v in config.items()}
    if name == "__tuple__":
        return tuple(_revive(inner["value"]))
    if name == "__numpy__":
        return np.asarray(inner["value"], dtype=inner["dtype"])
    wanted = inner if name == "function" else name
    found: Any = _custom(config.get("registered_name")) or _custom(wanted)
    if found is None:
        found = _in_tables(wanted, str(config.get("module") or ""))
    if not isinstance(found, type):
        return found
    inner = {k: _revive(v) if _is_config(v) else v for k, v in (inner or {}).items()}
    if _module_of(found):
        inner = {k: v for k, v in inner.items() if not has_no_effect(k, v)}
        if (
            isinstance(dtype := inner.get("dtype"), dict)
            and dtype.get("class_name") == "DTypePolicy"
        ):
            inner["dtype"] = named_dtype(dtype)
    made: Any = found.from_config(inner)  # type: ignore[attr-defined]
    built = config.get("build_config")
    if built and hasattr(made, "build_from_config") and not made.built:
        made.build_from_config(_revive(built))
    return made


def _is_config(value: Any) -> bool:
    """True for a written tuple or array; objects are made by the class that holds them."""
    return isinstance(value, dict) and value.get("class_name") in ("__tuple__", "__numpy__")


def _in_tables(name: str, module: str) -> Any:
    """The class or function of a name, from the table of a module or from any table."""
    inner = module.removeprefix("keras.").removeprefix("src.")
    kinds = [k for k, m in MODULES.items() if inner == m or inner.startswith(f"{m}.")]
    known: list[str] = []
    if name in MODEL_CLASSES:
        return model_class(name)
    for kind in kinds or MODULES:
        names = table(kind).names
        if (found := names.get(name) or names.get(own_name(name))) is not None:
            return found
        known.extend(names)
    raise unknown_name("class in a config", name, known)
