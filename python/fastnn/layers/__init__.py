"""Layers under Keras's names, and the table that files and strings are looked up in."""

# ruff: noqa: F403, F405
from __future__ import annotations

import inspect
from typing import Any

from fastnn.base.absent import answer_missing
from fastnn.layers.activation import *
from fastnn.layers.base.layer import InputSpec, Layer
from fastnn.layers.core import *
from fastnn.layers.merging import *
from fastnn.layers.normalization import *
from fastnn.layers.regularization import *
from fastnn.layers.reshaping import *
from fastnn.serialization.registry import Table

__all__ = [
    "ELU",
    "Activation",
    "ActivityRegularization",
    "Add",
    "AlphaDropout",
    "Average",
    "BatchNormalization",
    "Concatenate",
    "Cropping1D",
    "Cropping2D",
    "Dense",
    "Dot",
    "Dropout",
    "Embedding",
    "Flatten",
    "GaussianDropout",
    "GaussianNoise",
    "GroupNormalization",
    "Identity",
    "Input",
    "InputLayer",
    "InputSpec",
    "Lambda",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "Masking",
    "Maximum",
    "Minimum",
    "Multiply",
    "Normalization",
    "PReLU",
    "Permute",
    "RMSNormalization",
    "ReLU",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "Softmax",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "Subtract",
    "UnitNormalization",
    "UpSampling1D",
    "UpSampling2D",
    "Wrapper",
    "ZeroPadding1D",
    "ZeroPadding2D",
    "add",
    "average",
    "concatenate",
    "dot",
    "maximum",
    "minimum",
    "multiply",
    "subtract",
]

TABLE = Table(
    "layer",
    [c for n in __all__ if inspect.isclass(c := globals().get(n)) and c not in (InputSpec, Layer)],
)

answer_missing(globals())


def serialize(layer: Layer) -> dict[str, Any]:
    """A layer as a config."""
    from fastnn.files.native import serialize as to_config

    return to_config(layer)


def deserialize(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
    """The layer that a config describes."""
    from fastnn.files.native import deserialize as from_config

    return from_config(config, custom_objects)
