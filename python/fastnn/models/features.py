"""Columns of a `FeatureSpace` and crosses of them: what they are and how files say it.

Depends on `serialization`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastnn.serialization.keras_config import deserialize
from fastnn.serialization.keras_names import FEATURES
from fastnn.serialization.objects import serialize_keras_object

__all__ = ["Cross", "Feature", "written"]

_FEATURE_MODES, _CROSS_MODES = ("float", "int", "one_hot"), ("int", "one_hot")


class Cross:
    """A cross of features: their values together as the number of a bin.

    Args:
        feature_names: The names of the features.
        crossing_dim: The number of bins.
        output_mode: `"one_hot"` or `"int"`.
    """

    feature_names: tuple[str, ...]
    crossing_dim: int
    output_mode: str

    def __init__(
        self, feature_names: Iterable[str], crossing_dim: int, output_mode: str = "one_hot"
    ) -> None:
        _check_mode(output_mode, _CROSS_MODES)
        self.feature_names = tuple(feature_names)
        self.crossing_dim, self.output_mode = crossing_dim, output_mode

    @property
    def name(self) -> str:
        """The names joined by `_X_`."""
        return "_X_".join(self.feature_names)

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {
            "feature_names": list(self.feature_names), "crossing_dim": self.crossing_dim,
            "output_mode": self.output_mode,
        }  # fmt: skip

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Cross:
        """A cross from its config."""
        return cls(**config)


class Feature:
    """A column: the type of its values, the layer that reads them, and how they are encoded.

    Args:
        dtype: The type of the input: `"float32"`, `"int32"` or `"string"`.
        preprocessor: The layer.
        output_mode: `"one_hot"` of the layer's whole numbers, or what it gives: `"int"`, `"float"`.
    """

    dtype: str
    preprocessor: Any
    output_mode: str

    def __init__(self, dtype: str, preprocessor: Any, output_mode: str) -> None:
        _check_mode(output_mode, _FEATURE_MODES)
        if isinstance(preprocessor, dict):
            preprocessor = _layer_of(preprocessor)
        self.dtype, self.preprocessor, self.output_mode = dtype, preprocessor, output_mode

    def get_config(self) -> dict[str, Any]:
        """The type, the layer's config and the mode."""
        return {
            "dtype": self.dtype, "preprocessor": serialize_keras_object(self.preprocessor),
            "output_mode": self.output_mode,
        }  # fmt: skip

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Feature:
        """A feature from its config."""
        return cls(**config)


def _check_mode(mode: str, wanted: tuple[str, ...]) -> None:
    if mode not in wanted:
        raise ValueError(
            f"Invalid value for argument `output_mode`. Expected one of {wanted}. Received: "
            f"output_mode={mode}\n  hint: output_mode='one_hot'"
        )


def _layer_of(entry: dict[str, Any]) -> Any:
    # Keras's files name the layer that changes nothing by a class of their own.
    named = {**entry, "class_name": "Identity", "module": "keras.layers"}
    return deserialize(named if entry.get("class_name") == "TFDIdentity" else entry)


def written(part: Feature | Cross) -> dict[str, Any]:
    """The config of a feature or a cross as Keras writes it."""
    name = type(part).__name__
    return {
        "module": FEATURES[name], "class_name": name, "config": part.get_config(),
        "registered_name": name,
    }  # fmt: skip
