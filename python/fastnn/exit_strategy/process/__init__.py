"""The exit process: its chart, where a company stands in it, and what to do next."""

from __future__ import annotations

from .advice import advice_numbers
from .process import ROADS, LogEntry, Process, Step, mermaid, road, seed_mermaid

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
