"""The exit process: its chart, where a company stands in it, and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .advice import ROADS, advice_numbers, road

if TYPE_CHECKING:
    from .process import LogEntry, Process, Step, mermaid, seed_mermaid

__all__ = [
    "ROADS",
    "LogEntry",
    "Process",
    "Step",
    "advice_numbers",
    "mermaid",
    "road",
    "seed_mermaid",
]


def __getattr__(name: str) -> Any:
    """The chart and its machine are loaded when they are asked for: a short report needs none."""
    if name in __all__:
        from . import process

        value = getattr(process, name)
        globals()[name] = value
        return value
    from fastnn.base.absent import missing

    raise missing(__name__, name, __all__)
