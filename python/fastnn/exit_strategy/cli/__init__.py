"""The commands `fastnn exit ...`; modules are imported when a command runs."""

from __future__ import annotations

from .commands import add_commands, main
from .running import BAD_INPUT, INSUFFICIENT, STALE, Formatter, run

__all__ = ["BAD_INPUT", "INSUFFICIENT", "STALE", "Formatter", "add_commands", "main", "run"]
