"""The progress line of a batch: how many companies are done, and how much time is left."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from fastnn.exit_strategy.catalogue import text

__all__ = ["Meter"]


class Meter:
    """Writes one line again and again, on a terminal; elsewhere nothing."""

    def __init__(self, lang: str, out: TextIO | None = None) -> None:
        self._lang, self._out = lang, sys.stderr if out is None else out
        self._begun: tuple[float, int] | None = None  # time and count of the first chunk told
        self._width = 0

    def show(self, done: int, total: int | None) -> None:
        """Tell how far a batch is; the time left is what the rows so far took, for the others."""
        if not self._out.isatty():
            return
        now = time.monotonic()
        self._begun = self._begun or (now, done)
        taken, made = now - self._begun[0], done - self._begun[1]
        words = {"done": f"{done:,}", "total": "" if total is None else f"{total:,}"}
        key = "cli.progress" if total is None else "cli.progress_of"
        if total is not None and made > 0:
            key = "cli.progress_left"
            words["left"] = clock(taken / made * max(0, total - done))
        line = text(key, self._lang, **words)
        self._out.write(f"\r{line.ljust(self._width)}")
        self._out.flush()
        self._width = len(line)

    def close(self) -> None:
        """End the line, so that what follows begins on its own."""
        if self._width:
            self._out.write("\n")
            self._width = 0


def clock(seconds: float) -> str:
    """Return a duration as 0:34 or 1:02:09."""
    whole = round(seconds)
    minutes = f"{whole // 60 % 60:02d}" if whole >= 3600 else str(whole // 60)
    hours = f"{whole // 3600}:" if whole >= 3600 else ""
    return f"{hours}{minutes}:{whole % 60:02d}"
