"""Layers under Keras's names, and the table that files and strings are looked up in."""

from __future__ import annotations

import inspect
from typing import Any

from fastnn.layers import activation as _activation
from fastnn.layers import core as _core_layers
from fastnn.layers import merging as _merging
from fastnn.layers import normalization as _normalization
from fastnn.layers import regularization as _regularization
from fastnn.layers import reshaping as _reshaping
from fastnn.layers.activation import *  # noqa: F403
from fastnn.layers.base import InputSpec, Layer
from fastnn.layers.core import *  # noqa: F403
from fastnn.layers.merging import *  # noqa: F403
from fastnn.layers.normalization import *  # noqa: F403
from fastnn.layers.regularization import *  # noqa: F403
from fastnn.layers.reshaping import *  # noqa: F403
from fastnn.serial import Table

_MODULES = (_activation, _core_layers, _merging, _normalization, _regularization, _reshaping)
__all__ = ["InputSpec", "Layer", *(n for m in _MODULES for n in m.__all__)]

TABLE = Table(
    "layer",
    [
        thing
        for module in _MODULES
        for name in module.__all__
        if inspect.isclass(thing := getattr(module, name))
    ],
)


def __getattr__(name: str) -> Any:
    from fastnn.errors import nearest

    close = nearest(name, __all__)
    hint = f"\n  hint: did you mean {', '.join(close)}?" if close and name[0] != "_" else ""
    raise AttributeError(f"fastnn.layers has no {name!r}{hint}")


def serialize(layer: Layer) -> dict[str, Any]:
    """A layer as a config."""
    from fastnn.saving import serialize as to_config

    return to_config(layer)


def deserialize(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
    """The layer that a config describes."""
    from fastnn.saving import deserialize as from_config

    return from_config(config, custom_objects)
