"""Progress in notebooks: one HTML display for a whole `fit`, updated in place.

Depends on `progress`; IPython is only looked at where the user's session has loaded it.
"""

from __future__ import annotations

import os
import time
from collections import deque
from html import escape
from typing import Any

from fastnn.display.progress import format_time, format_value, plain_line

__all__ = ["NotebookDisplay"]


class NotebookDisplay:
    """The running epoch as a bar and the last finished ones as lines.

    Redraws are at least `interval` seconds apart, so that quick epochs do not flood the browser;
    `close` draws what is outstanding. `NO_COLOR` leaves the page's own text colour.
    """

    epochs: int | None
    steps: int | None
    interval: float

    KEPT = 20

    def __init__(self, epochs: int | None, steps: int | None, interval: float = 0.1) -> None:
        self.epochs, self.steps, self.interval = epochs, steps, interval
        self._lines: deque[str] = deque(maxlen=self.KEPT)
        self._left_out = 0
        self._running = ""
        self._handle: Any = None
        self._drawn = 0.0
        self._stale = False
        self._start = time.perf_counter()

    def begin(self, epoch: int) -> None:
        """An epoch starts."""
        self._start = time.perf_counter()

    def during(self, epoch: int, batch: int, logs: dict[str, float]) -> None:
        """Some batches are done."""
        seconds = time.perf_counter() - self._start
        per_step = seconds / max(batch, 1)
        left = f" · {format_time(per_step * (self.steps - batch))} left" if self.steps else ""
        values = "".join(f" - {k}: {format_value(logs[k])}" for k in sorted(logs))
        count = f"{batch}/{self.steps}" if self.steps else str(batch)
        self._running = self._bar(batch) + escape(f"{self._head(epoch)}{count}{left}{values}")
        self._draw()

    def end(self, epoch: int | None, steps: int, logs: dict[str, float], seconds: float) -> None:
        """An epoch, an evaluation or a prediction is over."""
        self._left_out += len(self._lines) == self.KEPT
        head = "" if epoch is None else self._head(epoch)
        self._lines.append(escape(head + plain_line(steps, seconds, logs)))
        self._running = ""
        self._draw()

    def close(self) -> None:
        """Draws what has not been drawn yet."""
        outstanding = self._stale or bool(self._running)
        self._running = ""
        if outstanding:
            self._draw(now=True)

    def _head(self, epoch: int) -> str:
        return f"Epoch {epoch + 1}/{self.epochs} - "

    def _bar(self, batch: int) -> str:
        colour = "" if os.environ.get("NO_COLOR") else ' style="accent-color: #2a9d4a"'
        if not self.steps:
            return f"<progress{colour}></progress> "
        return f'<progress{colour} value="{min(batch, self.steps)}" max="{self.steps}"></progress> '

    def _html(self) -> str:
        lines = [f"… {self._left_out} more epochs"] if self._left_out else []
        lines += [*self._lines, *([self._running] if self._running else [])]
        return "<pre>" + "\n".join(lines) + "</pre>"

    def _draw(self, now: bool = False) -> None:
        clock = time.perf_counter()
        self._stale = True
        if not now and self._handle is not None and clock - self._drawn < self.interval:
            return
        from IPython.display import HTML, display

        content = HTML(self._html())
        if self._handle is None:
            self._handle = display(content, display_id=True)
        else:
            self._handle.update(content)
        self._drawn, self._stale = clock, False
