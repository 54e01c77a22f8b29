"""Optimisers and learning-rate schedules under Keras's names."""

# ruff: noqa: F403, F405
from __future__ import annotations

from typing import Any

from fastnn.base.absent import answer_missing
from fastnn.optimizers import methods, schedules
from fastnn.optimizers.base import Optimizer
from fastnn.optimizers.methods import *
from fastnn.serialization.registry import Table, custom_object_scope, plain

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lamb",
    "Lion",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "deserialize",
    "get",
    "schedules",
    "serialize",
]

_MEMBERS = [getattr(methods, name) for name in methods.__all__]
TABLE = Table("optimizer", _MEMBERS, {m.__name__.lower(): m for m in _MEMBERS})
for _wrong in ("ada_w", "ada_m", "rm_sprop", "rm_sp_rop"):
    TABLE.names.pop(_wrong, None)


def get(identifier: Any) -> Any:
    """The optimiser for a name, a config or an object."""
    return TABLE.get(identifier)


def serialize(optimizer: Optimizer) -> Any:
    """An optimiser as a config."""
    return plain(optimizer)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The optimiser that a config describes."""
    with custom_object_scope(custom_objects):
        return get(config)


answer_missing(globals())
