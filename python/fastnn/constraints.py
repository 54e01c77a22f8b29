"""Conditions that weights are brought back to after each update. Depends on `ops`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnn import ops
from fastnn.base.absent import answer_missing
from fastnn.config import epsilon
from fastnn.serialization.registry import Configurable, Table, plain

__all__ = ["Constraint", "MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm", "get", "max_norm",
           "min_max_norm", "non_neg", "unit_norm"]  # fmt: skip


class Constraint(Configurable):
    """Called with a weight, gives the nearest value that meets the condition; here any does."""

    def __call__(self, w: Any) -> Any:
        """Brings a weight back to the condition; subclasses override it."""
        return w


def _norms(w: Any, axis: int | Sequence[int]) -> Any:
    return ops.norm(w, axis=axis, keepdims=True)


class MaxNorm(Constraint):
    """Norms along `axis` at most `max_value`."""

    def __init__(self, max_value: float = 2, axis: int | Sequence[int] = 0) -> None:
        self.max_value, self.axis = max_value, axis

    def __call__(self, w: Any) -> Any:
        """Brings a weight back to the condition."""
        norms = _norms(w, self.axis)
        return w * (ops.clip(norms, 0, self.max_value) / (epsilon() + norms))


class NonNeg(Constraint):
    """No negative weights."""

    def __call__(self, w: Any) -> Any:
        """Brings a weight back to the condition."""
        return ops.maximum(w, 0.0)


class UnitNorm(Constraint):
    """Norms along `axis` equal to 1."""

    def __init__(self, axis: int | Sequence[int] = 0) -> None:
        self.axis = axis

    def __call__(self, w: Any) -> Any:
        """Brings a weight back to the condition."""
        return w / (epsilon() + _norms(w, self.axis))


class MinMaxNorm(Constraint):
    """Norms along `axis` between two values; `rate` 1 enforces it at once, less gradually."""

    def __init__(
        self,
        min_value: float = 0.0,
        max_value: float = 1.0,
        rate: float = 1.0,
        axis: int | Sequence[int] = 0,
    ) -> None:
        self.min_value, self.max_value, self.rate, self.axis = min_value, max_value, rate, axis

    def __call__(self, w: Any) -> Any:
        """Brings a weight back to the condition."""
        norms = _norms(w, self.axis)
        goal = self.rate * ops.clip(norms, self.min_value, self.max_value)
        return w * ((goal + (1 - self.rate) * norms) / (epsilon() + norms))


max_norm, min_max_norm, non_neg, unit_norm = MaxNorm, MinMaxNorm, NonNeg, UnitNorm
TABLE = Table("constraint", [MaxNorm, MinMaxNorm, NonNeg, UnitNorm],
              {"nonneg": NonNeg, "maxnorm": MaxNorm, "unitnorm": UnitNorm})  # fmt: skip


def get(identifier: Any) -> Any:
    """The constraint for None, a name, a config or an object."""
    return TABLE.get(identifier)


def serialize(constraint: Constraint) -> Any:
    """A constraint as a config."""
    return plain(constraint)


def deserialize(config: Any) -> Any:
    """The constraint that a config describes."""
    return get(config)


answer_missing(globals())
