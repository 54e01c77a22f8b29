"""Imports by name: what `fastnn` and `fastnn.keras` offer is loaded when it is asked for.

The tables of `fastnn.namespaces` say where a name lives. No other module of fastnn imports another
by name. Depends on `absent` and `namespaces`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

from fastnn.namespaces import (
    MODULES,
    TENSORFLOW,
    TENSORFLOW_BESIDE,
    TENSORFLOW_FUNCTIONS,
    TENSORFLOW_MODULES,
    TENSORFLOW_OPS,
    TENSORFLOW_SPACES,
)

__all__ = ["lazy", "load", "load_beside"]


def load(name: str) -> ModuleType:
    """The public module that a table of kinds names: "layers", or "optimizers.schedules".

    A config or a pickle may name a class of a module that nothing has imported yet.
    """
    first, _, rest = name.partition(".")
    return importlib.import_module(f"{MODULES[first]}.{rest}" if rest else MODULES[first])


def load_beside(name: str) -> ModuleType:
    """The module with the names of TensorFlow that a module has beside Keras's."""
    return importlib.import_module(TENSORFLOW_BESIDE[name])


def _further(where: str, name: str, known: list[str]) -> Any:
    """A name of TensorFlow at the top of `fastnn`, or the error for one that nobody has."""
    if where == "fastnn":
        if name in TENSORFLOW_MODULES:
            return getattr(importlib.import_module(TENSORFLOW_SPACES), name)
        if name in TENSORFLOW or name in TENSORFLOW_OPS:
            return importlib.import_module(TENSORFLOW_FUNCTIONS).at_top(name)
    from fastnn.base.absent import missing  # a large table that few programs need

    raise missing(where, name, [*known, *TENSORFLOW], depth=3)


def lazy(
    package: dict[str, Any], names: dict[str, str], modules: dict[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` for a package that imports what is asked for."""

    def __getattr__(name: str) -> Any:
        if name in modules:
            value = importlib.import_module(modules[name])
        elif name in names:
            value = getattr(importlib.import_module(f"fastnn.{names[name]}"), name)
        else:
            value = _further(package["__name__"], name, [*names, *modules])
        package[name] = value
        return value

    def __dir__() -> list[str]:
        own = [n for n in package if n.startswith("__")]  # not what makes the package lazy
        return sorted({*own, *names, *modules})

    return __getattr__, __dir__
