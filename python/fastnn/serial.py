"""Names and configs to objects: the one mechanism behind `activation="relu"` and saved models.

A `Table` maps names to classes or functions of one kind. Files can name nothing outside these
tables and the objects that the caller hands in or registered; nothing is imported by name.
Depends on `errors`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from fastnn.config import snake_case
from fastnn.errors import unknown_name

__all__ = [
    "Configurable",
    "CustomObjectScope",
    "Table",
    "custom_object_scope",
    "custom_objects",
    "get_custom_objects",
    "register_keras_serializable",
]

_registered: dict[str, Any] = {}
_scopes: list[dict[str, Any]] = []


def get_custom_objects() -> dict[str, Any]:
    """The registered custom objects by name."""
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
    """A decorator that lets saved models name this class or function."""

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
    """The name that files use for a registered object, or its own name."""
    return str(getattr(thing, "_registered_name", thing.__name__))


@contextmanager
def custom_object_scope(objects: dict[str, Any] | None = None, **named: Any) -> Iterator[None]:
    """Inside this scope names in configs may also mean `objects`."""
    _scopes.append({**(objects or {}), **named})
    try:
        yield
    finally:
        _scopes.pop()


CustomObjectScope = custom_object_scope


class Configurable:
    """Something that can be described by its constructor's arguments and made again from them."""

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments: for each parameter, the attribute of that name."""
        config = {}
        for name, p in inspect.signature(type(self).__init__).parameters.items():
            if name == "self" or p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL):
                continue
            if not hasattr(self, name):
                raise NotImplementedError(
                    f"{type(self).__name__} keeps no attribute '{name}', so its config is unknown\n"
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
        return [plain(v) for v in value]
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
            raise ValueError(f"a config of {self.kind} has no class_name: {config!r}"[:500])
        found = custom_objects().get(name) or self.find(config["class_name"])
        inner = config.get("config") or {}
        if isinstance(inner, str):
            return found
        return found.from_config(inner) if hasattr(found, "from_config") else found(**inner)
