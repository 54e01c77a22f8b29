"""What `fit`, `evaluate` and `predict` print: a bar on a terminal, one plain line elsewhere.

In a notebook it is one HTML display (see `notebook`). The texts follow Keras's; `NO_COLOR` removes
colours. Depends on `messages`.
"""

from __future__ import annotations

import math
import os
import sys
import time
from typing import Any, TextIO

from fastnn.base.messages import is_interactive_logging_enabled, print_msg, shown

__all__ = ["Progbar", "format_value", "in_notebook", "is_terminal", "plain_line"]

WIDTH = 20
GREEN, BOLD, RESET = "\x1b[32m", "\x1b[1m", "\x1b[0m"


def in_notebook() -> bool:
    """True inside a Jupyter kernel: an IPython shell that talks to a front end."""
    loaded = sys.modules.get("IPython")
    shell = loaded.get_ipython() if loaded is not None and hasattr(loaded, "get_ipython") else None
    return getattr(shell, "kernel", None) is not None


def is_terminal(stream: TextIO | None = None) -> bool:
    """True when messages go to a stream that redraws lines: a terminal or a notebook."""
    if not is_interactive_logging_enabled():
        return False
    stream = sys.stdout if stream is None else stream
    try:
        return stream.isatty() or in_notebook()
    except (AttributeError, ValueError):
        return False


def _coloured() -> bool:
    return not os.environ.get("NO_COLOR")


def format_value(value: Any) -> str:
    """`0.1234`, or `1.2345e-05` below 1e-3, as Keras prints metrics."""
    value = float(value)
    return f"{value:.4f}" if abs(value) > 1e-3 else f"{value:.4e}"


def format_time(seconds: float) -> str:
    """`3s`, `1:05` or `1:02:03`."""
    s = int(seconds)
    if s > 3600:
        return f"{s // 3600}:{s % 3600 // 60:02d}:{s % 60:02d}"
    return f"{s // 60}:{s % 60:02d}" if s > 60 else f"{s}s"


def format_step_time(seconds: float, name: str = "step") -> str:
    """` 20ms/step` with the unit that fits."""
    if seconds >= 1 or seconds == 0:
        return f" {seconds:.0f}s/{name}"
    if seconds >= 1e-3:
        return f" {seconds * 1e3:.0f}ms/{name}"
    return f" {seconds * 1e6:.0f}us/{name}"


def plain_line(steps: int, seconds: float, logs: dict[str, Any]) -> str:
    """`3/3 - 0s - 20ms/step - accuracy: 0.5000 - loss: 0.6704`, keys sorted."""
    line = f"{steps}/{steps} - {format_time(seconds)} -{format_step_time(seconds / max(steps, 1))}"
    for key in sorted(logs):
        line += f" - {key}: {format_value(logs[key])}"
    return line


class Progbar:
    """A bar of 20 cells that redraws its line at most every 50 ms.

    Args:
        target: The number of steps; None: not known.
        width: Cells of the bar.
        verbose: 0 is silent, 1 draws, 2 prints one line at the end.
        interval: Seconds between two drawings.
        stateful_metrics: Names whose last value is shown instead of their mean.
        unit_name: What a step is called.

    Example:
        >>> bar = fastnn.utils.Progbar(10, verbose=0)
        >>> bar.update(5, [("loss", 0.5)])
    """

    target: int | None
    width: int
    verbose: int
    interval: float
    unit_name: str

    def __init__(
        self,
        target: int | None,
        width: int = WIDTH,
        verbose: int = 1,
        interval: float = 0.05,
        stateful_metrics: Any = None,
        unit_name: str = "step",
    ) -> None:
        self.target, self.width, self.verbose = target, width, verbose
        self.interval, self.unit_name = interval, unit_name
        self._stateful = set(stateful_metrics or ())
        self._start = time.perf_counter()
        self._last = 0.0
        self._seen = 0
        self._sums: dict[str, tuple[float, int]] = {}
        self._drawn = 0

    def update(self, current: int, values: Any = None, finalize: bool | None = None) -> None:
        """Shows `current` of `target` steps; values are averaged over steps unless stateful."""
        done = (
            (self.target is not None and current >= self.target) if finalize is None else finalize
        )
        step = max(current - self._seen, 1)
        for key, value in values or ():
            if key in self._stateful:
                self._sums[key] = (float(value), 1)
            else:
                total, count = self._sums.get(key, (0.0, 0))
                self._sums[key] = (total + float(value) * step, count + step)
        self._seen = current
        logs = {k: total / max(count, 1) for k, (total, count) in self._sums.items()}
        self.show(current, logs, done)

    def add(self, n: int, values: Any = None) -> None:
        """Shows n more steps."""
        self.update(self._seen + n, values)

    def show(self, current: int, logs: dict[str, float], done: bool = False) -> None:
        """Draws the line with these values."""
        now = time.perf_counter()
        seconds = now - self._start
        if self.verbose == 2:
            if done:
                steps = self.target or current
                print_msg(plain_line(steps, seconds, logs))
            return
        if not self.verbose or (not done and now - self._last < self.interval):
            return
        if not is_interactive_logging_enabled():
            if done:
                print_msg(plain_line(self.target or current, seconds, logs))
            return
        self._last = now
        self._draw(self._bar(current) + self._timing(current, seconds, done) + self._values(logs))
        if done:
            sys.stdout.write("\n")
            self._drawn = 0
        sys.stdout.flush()

    def _bar(self, current: int) -> str:
        bold, green, reset = (BOLD, GREEN, RESET) if _coloured() else ("", "", "")
        if self.target is None:
            return f"{bold}{current:>7}/Unknown{reset}"
        digits = int(math.log10(max(self.target, 1))) + 1
        filled = int(min(current / max(self.target, 1), 1.0) * self.width)
        left = "━" * (self.width - filled)
        dim = "\x1b[37m" if _coloured() else ""
        rest = left if _coloured() else "-" * len(left)
        count = f"{bold}{current:>{digits}}/{self.target}{reset}"
        return f"{count} {green}{'━' * filled}{reset}{dim}{rest}{reset}"

    def _timing(self, current: int, seconds: float, done: bool) -> str:
        per_step = seconds / current if current else 0.0
        if self.target is None or done:
            head = f" {bold_(format_time(seconds))}"
        else:
            head = f" {bold_(format_time(per_step * (self.target - current)))}"
        return head + format_step_time(per_step, self.unit_name)

    def _values(self, logs: dict[str, float]) -> str:
        return "".join(f" - {k}: {format_value(logs[k])}" for k in sorted(logs))

    def _draw(self, line: str) -> None:
        visible = len(line)
        padding = " " * max(self._drawn - visible, 0)
        sys.stdout.write("\r" + shown(line) + padding)
        self._drawn = visible


def bold_(text: str) -> str:
    """`text` in bold where colours are wanted."""
    return f"{BOLD}{text}{RESET}" if _coloured() else text
