"""Classes and functions of the caller's that configs may name: registered ones and scopes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from fastnn.base.arguments import hints_arguments

__all__ = [
    "CustomObjectScope",
    "custom_object_scope",
    "custom_objects",
    "get_custom_objects",
    "get_registered_name",
    "register_keras_serializable",
]


_registered: dict[str, Any] = {}
_scopes: list[dict[str, Any]] = []


@hints_arguments
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


@hints_arguments
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
        ... def twice_over(x):
        ...     return 2 * x
        >>> fastnn.saving.get_registered_name(twice_over)
        'mine>twice_over'
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


@hints_arguments
def get_registered_name(obj: Any) -> str:
    """The name that files use for a registered object, or its own name.

    Args:
        obj: A class or function.

    Returns:
        The name.

    Example:
        >>> fastnn.saving.get_registered_name(fastnn.layers.Dense)
        'Dense'
    """
    return str(getattr(obj, "_registered_name", obj.__name__))


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
