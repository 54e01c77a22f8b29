"""Layers at several places of one model: marked in its config, made once when it is read.

Layout: `shared_object_id` of Keras 3.15 `saving/serialization_lib.py`. Depends on nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any

__all__ = ["known", "making_once", "marked", "marking_shared", "remembered", "unmarked"]

_KEY = "shared_object_id"
#: Layers written so far by id: their number, the layer (so that the id stays its own), the entry.
_written: ContextVar[dict[int, tuple[int, Any, dict[str, Any]]] | None] = ContextVar(
    "shared_layers_written", default=None
)
#: Layers made so far, by their number and class.
_made: ContextVar[dict[tuple[int, Any], Any] | None] = ContextVar(
    "shared_layers_made", default=None
)


@contextmanager
def _holding(variable: ContextVar[Any], value: Any) -> Iterator[None]:
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


def marking_shared() -> AbstractContextManager[None]:
    """While one model is written: a layer's second entry gets the number of its first."""
    return _holding(_written, {})


def unmarked() -> AbstractContextManager[None]:
    """For a config inside that is not kept, or is written again in another layout."""
    return _holding(_written, None)


def marked(layer: Any, entry: dict[str, Any]) -> dict[str, Any]:
    """The layer's entry, with a number where the layer was written before."""
    written = _written.get()
    is_layer = hasattr(layer, "add_weight") and type(layer).__name__ != "InputLayer"
    if written is not None and is_layer:
        number, _, first = written.setdefault(id(layer), (len(written), layer, entry))
        if first is not entry:
            first[_KEY] = entry[_KEY] = number
    return entry


def making_once() -> AbstractContextManager[None]:
    """While one model is read: entries of one number give one layer."""
    return _holding(_made, {})


def known(entry: dict[str, Any]) -> Any:
    """The layer that an entry of this number gave, or None."""
    made = _made.get()
    return None if made is None else made.get(_place(entry))


def remembered(entry: dict[str, Any], layer: Any) -> Any:
    """The layer, which further entries of the same number give again."""
    made, place = _made.get(), _place(entry)
    if made is not None and place[0] >= 0:
        made[place] = layer
    return layer


def _place(entry: dict[str, Any]) -> tuple[int, Any]:
    number = entry.get(_KEY)
    return (number if isinstance(number, int) else -1, str(entry.get("class_name")))
