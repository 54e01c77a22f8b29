"""Names and configs to objects: the one mechanism behind `activation="relu"` and saved models.

A `Table` maps names to classes or functions of one kind. Files can name nothing outside these
tables and the objects that the caller hands in or registered; nothing is imported by name.
Depends on `errors`.
"""

from __future__ import annotations

import inspect
import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from fastnn.base.arguments import takes_numbers
from fastnn.base.lazy import load
from fastnn.config import snake_case
from fastnn.errors import FormatError, unknown_name
from fastnn.tracing.variables import touch

__all__ = [
    "Configurable",
    "CustomObjectScope",
    "FileBudget",
    "Table",
    "custom_object_scope",
    "custom_objects",
    "deserialize_keras_object",
    "file_budget",
    "file_limit",
    "format_errors",
    "get_custom_objects",
    "get_registered_object",
    "reading_file",
    "register_keras_serializable",
    "serialize_keras_object",
]

_registered: dict[str, Any] = {}
_scopes: list[dict[str, Any]] = []
#: The modules whose tables files may name, by the kind of what they hold.
_MODULES = {
    "activation": "activations", "initializer": "initializers", "regularizer": "regularizers",
    "constraint": "constraints", "loss": "losses", "metric": "metrics",
    "learning rate schedule": "optimizers.schedules", "optimizer": "optimizers", "layer": "layers",
    "model": "models",
}  # fmt: skip
_tables: dict[str, Table] = {}


def get_custom_objects() -> dict[str, Any]:
    """The registered objects by name.

    Returns:
        A dict that can be changed.

    Example:
        >>> isinstance(fastnn.saving.get_custom_objects(), dict)
        True
    """
    return _registered


def custom_objects() -> dict[str, Any]:
    """Registered objects overlaid by the scopes that are open."""
    merged = dict(_registered)
    for scope in _scopes:
        merged.update(scope)
    return merged


def register_keras_serializable(
    package: str = "Custom", name: str | None = None
) -> Callable[[Any], Any]:
    """A decorator that lets saved models name a class or function.

    Args:
        package: What stands before the name in files, as in `package>name`.
        name: The name in files; None: its own.

    Returns:
        The decorator.

    Example:
        >>> @fastnn.saving.register_keras_serializable(package="mine")
        ... def doubled(x):
        ...     return 2 * x
        >>> fastnn.saving.get_registered_name(doubled)
        'mine>doubled'
    """

    def register(thing: Any) -> Any:
        key = name or thing.__name__
        if inspect.isclass(thing) and not hasattr(thing, "get_config"):
            raise ValueError(
                f"{key} has no get_config method\n  hint: derive it from a fastnn class"
            )
        thing._registered_name = f"{package}>{key}"
        _registered[f"{package}>{key}"] = _registered[key] = thing
        return thing

    return register


def get_registered_name(thing: Any) -> str:
    """The name that files use for a registered object, or its own name.

    Args:
        thing: A class or function.

    Returns:
        The name.

    Example:
        >>> fastnn.saving.get_registered_name(fastnn.layers.Dense)
        'Dense'
    """
    return str(getattr(thing, "_registered_name", thing.__name__))


@contextmanager
def custom_object_scope(objects: dict[str, Any] | None = None, **named: Any) -> Iterator[None]:
    """Inside this scope names in configs may also mean the given objects.

    Further keyword arguments are objects by name.

    Args:
        objects: Classes and functions by name.
        **named: Given to the function.

    Returns:
        A context manager.

    Example:
        >>> class Own(fastnn.layers.Layer):
        ...     pass
        >>> with fastnn.saving.custom_object_scope({"Own": Own}):
        ...     layer = fastnn.saving.deserialize({"class_name": "Own", "config": {}})
    """
    _scopes.append({**(objects or {}), **named})
    try:
        yield
    finally:
        _scopes.pop()


CustomObjectScope = custom_object_scope


class FunctionName(str):
    """The name of a function in a config, which in memory brings the function along.

    Written to a file it is a text like any other: the file holds no code.
    """

    function: Callable[..., Any]

    def __new__(cls, function: Callable[..., Any]) -> FunctionName:
        """The name under which files know a function."""
        name = super().__new__(cls, get_registered_name(function))
        name.function = function
        return name


def function_config(function: Any) -> Any:
    """A function as configs hold it: by name, or itself when it has none (a lambda)."""
    if callable(function) and getattr(function, "__name__", "<lambda>") != "<lambda>":
        return FunctionName(function)
    return function


def function_of(config: Any, where: str) -> Any:
    """The function that `function_config` or Keras described; code is never read."""
    if isinstance(config, FunctionName):
        return config.function
    name = config
    if isinstance(config, dict):
        name = config.get("config") if config.get("class_name") == "function" else None
    if callable(config) or config is None:
        return config
    if not isinstance(name, str):
        raise ValueError(
            f"{where} holds code, which is never read from a file or a config\n"
            "  hint: write a Layer subclass and pass it as custom_objects"
        )
    found = custom_objects().get(name)
    if not callable(found):
        raise ValueError(
            f"{where} uses the function {name!r:.80}, which is not known\n"
            f"  hint: custom_objects={{{name!r:.80}: {name:.80}}}"
        )
    return found


def as_json(config: Any, **options: Any) -> str:
    """`config` as JSON text; ValueError for code, which never goes into a file."""

    def refuse(value: Any) -> Any:
        raise ValueError(
            f"a config holds code, which is never written to a file: {value!r}\n"
            "  hint: name the function (def) and pass it as custom_objects on load, or write a "
            "Layer subclass"
        )

    return json.dumps(config, default=refuse, **options)


class FileBudget:
    """What building a model from one file may cost: bytes of weights and calls of layers."""

    def __init__(self, max_bytes: int, max_calls: int = 20_000) -> None:
        self.bytes_left, self.calls_left = max_bytes, max_calls

    def weights(self, shape: Sequence[int], where: str) -> None:
        """Charges a float32 or int32 array before it is made; FormatError when it is too much."""
        size = 4 * math.prod(shape)
        if size > self.bytes_left:
            raise FormatError(
                f"{where}: weights of shape {tuple(shape)} take {size:,} bytes, "
                f"the file leaves room for {self.bytes_left:,}\n"
                "  hint: raise max_bytes= if you trust the file"
            )
        self.bytes_left -= size

    def call(self) -> None:
        """Charges a call of a layer, so that models nested in models cannot explode."""
        self.calls_left -= 1
        if self.calls_left < 0:
            raise FormatError("the file asks for too many calls of layers\n  hint: is it damaged?")


#: Memory that a small file may take beyond twice its size.
_SPARE = 16 << 20


def file_limit(path: str, max_bytes: int | None) -> int:
    """The bytes of weights that a file may ask for: `max_bytes`, or twice its size and 16 MiB."""
    return 2 * os.path.getsize(path) + _SPARE if max_bytes is None else max_bytes


@contextmanager
def format_errors(path: str) -> Iterator[None]:
    """Whatever a layer says of settings that are wrong, the file is at fault: FormatError."""
    try:
        yield
    except FormatError as error:
        text = str(error)
        if path in text and "\n  hint: " in text:
            raise
        text = text if path in text else f"{path!r}: {text}"
        text += "" if "\n  hint: " in text else "\n  hint: is the file damaged, or was it changed?"
        raise FormatError(text) from error
    except (ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError,
            RecursionError, RuntimeError, TypeError, ValueError) as error:  # fmt: skip
        what = str(error) if "\n  hint: " in str(error) else (
            f"{type(error).__name__}: {error}\n  hint: is the file damaged, or was it changed?"
        )  # fmt: skip
        raise FormatError(f"{path!r}: the config does not describe a model: {what}") from error


_budget: ContextVar[FileBudget | None] = ContextVar("file_budget", default=None)


def file_budget() -> FileBudget | None:
    """The budget of the file whose model is being built, None otherwise."""
    return _budget.get()


@contextmanager
def reading_file(max_bytes: int) -> Iterator[FileBudget]:
    """Inside, layers are built for a file's weights: they start at zero and are charged."""
    budget = FileBudget(max_bytes)
    token = _budget.set(budget)
    try:
        yield budget
    finally:
        _budget.reset(token)


class Configurable:
    """Something that can be described by its constructor's arguments and made again from them."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        takes_numbers(cls)

    def __setattr__(self, name: str, value: Any) -> None:
        # Steps that were traced hold settings as numbers, so a setting that changes counts as a
        # change of the model. What an object keeps for itself, and `built`, are no settings.
        if name[0] != "_" and name != "built" and self.__dict__.get(name, value) is not value:
            touch()
        object.__setattr__(self, name, value)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments: for each parameter, the attribute of that name."""
        config = {}
        for name, p in inspect.signature(type(self).__init__).parameters.items():
            if name == "self" or p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL):
                continue
            if not hasattr(self, name):
                raise NotImplementedError(
                    f"{type(self).__name__} keeps no attribute {name!r}, so its config is unknown\n"
                    f"  hint: set self.{name} in __init__ or define get_config"
                )
            config[name] = plain(getattr(self, name))
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """An object made from a config."""
        return cls(**config)


def plain(value: Any) -> Any:
    """`value` in terms that JSON knows."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(plain(v) for v in value) if type(value) in (list, tuple) else list(value)
    if hasattr(value, "get_config"):
        return {
            "class_name": get_registered_name(type(value)),
            "config": value.get_config(),
        }
    if callable(value) and hasattr(value, "__name__"):
        return get_registered_name(value)
    if hasattr(value, "numpy"):
        return value.numpy().tolist()
    raise TypeError(f"{value!r} cannot be written to a config\n  hint: define get_config")


class Table:
    """A closed table of one kind of object, with the aliases that strings may use."""

    def __init__(self, kind: str, members: list[Any], aliases: dict[str, Any] | None = None):
        self.kind = kind
        _tables[kind] = self
        self.names: dict[str, Any] = {}
        for member in members:
            self.names[member.__name__] = member
            if inspect.isclass(member):
                self.names.setdefault(snake_case(member.__name__), member)
        self.names.update(aliases or {})

    def find(self, name: str) -> Any:
        """The member or custom object of this name; ValueError with the nearest names."""
        custom = custom_objects().get(name)
        if custom is not None:
            return custom
        found = self.names.get(name)
        if found is None:
            found = self.names.get(name.lower())
        if found is None:
            raise unknown_name(self.kind, name, self.names)
        return found

    def get(self, identifier: Any) -> Any:
        """The object for None, a name, a config or a ready object; classes are instantiated."""
        if identifier is None:
            return None
        if isinstance(identifier, str):
            found = self.find(identifier)
            return found() if inspect.isclass(found) else found
        if isinstance(identifier, dict):
            return self.from_config(identifier)
        if inspect.isclass(identifier):
            return identifier()
        if callable(identifier) or hasattr(identifier, "get_config"):
            return identifier
        raise ValueError(f"cannot use {identifier!r} as {self.kind}\n  hint: give a name or object")

    def from_config(self, config: dict[str, Any]) -> Any:
        """The object that `{"class_name": …, "config": …}` describes."""
        name = config.get("registered_name") or config.get("class_name")
        if config.get("class_name") == "function":
            return self.find(config["config"])
        if not isinstance(name, str):
            shown = repr(config)[:300]
            raise ValueError(
                f"a config of {self.kind} has no class_name: {shown}\n"
                "  hint: give what serialize() returned"
            )
        found = custom_objects().get(name) or self.find(config["class_name"])
        inner = config.get("config") or {}
        if isinstance(inner, str):
            return found
        return found.from_config(inner) if hasattr(found, "from_config") else found(**inner)


def table(kind: str) -> Table:
    """The table of a kind. Its module fills it when it is imported, which happens here if need be.

    So what reads configs depends on no module of layers, losses or models.
    """
    if kind not in _tables:
        load(_MODULES[kind])
    return _tables[kind]


#: Names of the classes of models in configs; `Model` alone means a functional one.
MODEL_CLASSES = ("Functional", "Model", "Sequential")


def model_class(name: str) -> Any:
    """`Sequential` or `Functional` for a name in a config."""
    return table("model").names[name]


# ---- layers and models ---------------------------------------------------------------------------


def serialize(thing: Any) -> dict[str, Any]:
    """A layer or model as `{"class_name": …, "config": …}`.

    Args:
        thing: A layer or model.

    Returns:
        A dict that JSON holds.

    Example:
        >>> fastnn.saving.serialize(fastnn.layers.ReLU(name="cut"))["class_name"]
        'ReLU'
    """
    return {"class_name": get_registered_name(type(thing)), "config": thing.get_config()}


def layer_class(name: str) -> Any:
    """The class of layers or models that a config names; ValueError for one nobody knows."""
    found = custom_objects().get(name) or custom_objects().get(name.rpartition(">")[2])
    if found is not None:
        return found
    if name in MODEL_CLASSES:
        return model_class(name)
    names = table("layer").names
    if name in names:
        return names[name]
    error = unknown_name("layer class in a config", name, [*names, *MODEL_CLASSES])
    raise ValueError(
        f"{error}\n  hint: for your own class pass "
        f"custom_objects={{{name!r}: {name.split('>')[-1]}}}"
    )


# ---- any object, as keras.saving writes it -------------------------------------------------------


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
    for kind, module in _MODULES.items():
        if kind in _tables and _tables[kind].names.get(thing.__name__) is thing:
            return f"keras.{module}"
    return None


def serialize_keras_object(obj: Any) -> Any:
    """An object as JSON holds it: `{"module", "class_name", "config", "registered_name"}`.

    Numbers and texts stand for themselves, lists and dicts go part by part.

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
        return {"class_name": "__tuple__", "config": {"value": _each(obj)}}
    if isinstance(obj, list):
        return _each(obj)
    if isinstance(obj, dict):
        return {k: serialize_keras_object(v) for k, v in obj.items()}
    if isinstance(obj, np.ndarray) and obj.ndim:
        return {
            "class_name": "__numpy__", "config": {"value": obj.tolist(), "dtype": obj.dtype.name},
        }  # fmt: skip
    if not hasattr(obj, "get_config") or inspect.isclass(obj):
        return _serialize_function(obj) if hasattr(obj, "__name__") else plain(obj)
    kind = type(obj)
    module = _module_of(kind)
    name = None if module else get_registered_name(kind)
    return {
        "module": module or kind.__module__, "class_name": kind.__name__,
        "config": _each(obj.get_config()), "registered_name": name,
    }  # fmt: skip


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
    return found.from_config(inner)  # type: ignore[attr-defined]


def _is_config(value: Any) -> bool:
    """True for a written tuple or array; objects are made by the class that holds them."""
    return isinstance(value, dict) and value.get("class_name") in ("__tuple__", "__numpy__")


def _in_tables(name: str, module: str) -> Any:
    """The class or function of a name, from the table of a module or from any table."""
    inner = module.removeprefix("keras.").removeprefix("src.")
    kinds = [k for k, m in _MODULES.items() if inner == m or inner.startswith(f"{m}.")]
    known: list[str] = []
    if name in MODEL_CLASSES:
        return model_class(name)
    for kind in kinds or _MODULES:
        names = table(kind).names
        if name in names:
            return names[name]
        known.extend(names)
    raise unknown_name("class in a config", name, known)
