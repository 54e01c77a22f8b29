"""The functions that files and pickles may name between layers: a closed table. And initialisers
by the names that variables are made with.

The modules that hold them enter them when they are imported. Depends on `lazy`.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Mapping
from typing import Any

from fastnn.base.lazy import load

__all__ = ["enter_ops", "initializer_named", "known_ops"]

Functions = Mapping[str, Callable[..., Any]]

#: Where they come from; where two hold a name it is the later one's.
_SOURCES = ("losses", "ops", "activations", "random", "files")
_entered: dict[str, Functions] = {}


def enter_ops(source: str, functions: Functions) -> None:
    """Lets files name these functions; "files" stands for names that only files know."""
    _entered[source] = functions


def known_ops() -> Mapping[str, Callable[..., Any]]:
    """All of them by name."""
    for source in _SOURCES:
        if source not in _entered:
            load(source)
    # The first that has a name counts, and nothing is written to it.
    return ChainMap(*(_entered[source] for source in reversed(_SOURCES)))  # type: ignore[arg-type]


def initializer_named(name: str) -> Callable[..., Any]:
    """The initialiser of a name; ValueError for one that there is not."""
    return load("initializers").get(name)  # type: ignore[no-any-return]
