"""A small model learns from a large one: Keras's `distillation` namespace.

The names are loaded when they are asked for. Depends on `models`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn.base.absent import answer_missing, homes_of

if TYPE_CHECKING:
    from fastnn.distillation.distiller import Distiller
    from fastnn.distillation.terms import (
        DistillationLoss,
        FeatureDistillation,
        LogitsDistillation,
    )

__all__ = ["DistillationLoss", "Distiller", "FeatureDistillation", "LogitsDistillation"]

_MODULES = {
    "distiller": "Distiller",
    "terms": "DistillationLoss FeatureDistillation LogitsDistillation",
}

answer_missing(globals(), homes={**homes_of(__name__, _MODULES), "TABLE": f"{__name__}.table"})
