"""What each op of ONNX computes, by family: functions of a call and its inputs.

Inputs are arrays, tensors, lists (sequences) or None; see `fastnn.onnx.values`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastnn.onnx.nodes import (
    attention,
    casting,
    control,
    elements,
    indexing,
    losses,
    microsoft,
    normalizing,
    quantized,
    recurrent,
    reducing,
    resizing,
    sampling,
    sequences,
    shaping,
    signals,
    tables,
    windows,
)

__all__ = ["KNOWN", "find"]

#: Functions by op, for each domain.
_TABLES: dict[str, dict[str, Callable[..., Any]]] = {
    "": {
        k: f
        for family in (
            attention, casting, control, elements, indexing, losses, normalizing, quantized,
            recurrent, reducing, resizing, sampling, sequences, shaping, signals, windows,
        )
        for k, f in family.OPS.items()
    },
    "ai.onnx.ml": tables.OPS,
    "com.microsoft": microsoft.OPS,
}  # fmt: skip


class _Known:
    """Whether there is a function for an op."""

    def __call__(self, domain: str, op: str) -> bool:
        return op in _TABLES.get(domain, ())

    def names(self, domain: str = "") -> list[str]:
        """The ops of a domain."""
        return sorted(_TABLES.get(domain, ()))


KNOWN = _Known()


def find(domain: str, op: str) -> Callable[..., Any]:
    """The function of an op that is known."""
    return _TABLES[domain][op]
