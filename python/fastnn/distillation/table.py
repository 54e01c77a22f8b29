"""What `distillation` has by name: the table that configs are looked up in."""

from __future__ import annotations

from fastnn.distillation.distiller import Distiller
from fastnn.distillation.terms import FeatureDistillation, LogitsDistillation
from fastnn.serialization.registry import Registry

__all__ = ["TABLE"]

TABLE = Registry("distillation", [Distiller, FeatureDistillation, LogitsDistillation])
