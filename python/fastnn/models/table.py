"""All kinds of models by name: the table that files are looked up in."""

from __future__ import annotations

from fastnn.models.feature_space import FeatureSpace
from fastnn.models.functional import Functional
from fastnn.models.onnx_graph import OnnxModel
from fastnn.models.sequential import Sequential
from fastnn.serialization.registry import Registry

__all__ = ["TABLE"]

TABLE = Registry("model", [FeatureSpace, Functional, OnnxModel, Sequential], {"Model": Functional})
