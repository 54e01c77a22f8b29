"""All layers by name: the table that files and strings are looked up in. Depends on all layers."""

from __future__ import annotations

import inspect

from fastnn import layers
from fastnn.layers import transformer
from fastnn.layers.base.input_spec import InputSpec
from fastnn.layers.base.layer import Layer
from fastnn.serialization.registry import Registry

__all__ = ["TABLE"]

TABLE = Registry(
    "layer",
    [
        *(c for n in layers.__all__ if inspect.isclass(c := getattr(layers, n))
          and c not in (InputSpec, Layer)),
        *(getattr(transformer, n) for n in transformer.__all__),  # under `fastnn.nn`
    ],
)  # fmt: skip
