"""What `fit` shows of its epochs: a bar, plain lines, or one display in a notebook.

Depends on `progress` and `notebook`.
"""

from __future__ import annotations

import time
from typing import Any

from fastnn.base.messages import print_msg
from fastnn.display.progress import (
    Progbar,
    bold_,
    in_notebook,
    is_terminal,
    plain_line,
)

__all__ = ["Reporter"]


class Reporter:
    """Prints the epochs of a `fit`: 0 nothing, 1 a bar or plain lines, 2 plain lines."""

    epochs: int
    steps: int | None
    bar: Any
    silent: Any

    def __init__(self, verbose: int, epochs: int, steps: int | None) -> None:
        self.epochs, self.steps = epochs, steps
        self.bar = verbose == 1 and is_terminal()
        self.silent = verbose == 0
        self._progbar: Progbar | None = None
        self._display: Any = None
        if self.bar and in_notebook():
            from fastnn.display.notebook import NotebookDisplay

            self._display = NotebookDisplay(epochs, steps)
        self._start = 0.0
        self._epoch = -1

    def begin(self, epoch: int) -> None:
        """An epoch starts."""
        if self.silent or epoch == self._epoch:
            return
        self._epoch = epoch
        self._start = time.perf_counter()
        if self._display is not None:
            self._display.begin(epoch)
        elif self.bar:
            print(bold_(f"Epoch {epoch + 1}/{self.epochs}"), flush=True)
            self._progbar = Progbar(self.steps)

    def during(self, epoch: int, batch: int, logs: dict[str, float]) -> None:
        """Some batches are done."""
        if self._display is not None:
            self._display.during(epoch, batch, logs)
        elif self.bar and self._progbar is not None and epoch == self._epoch:
            self._progbar.show(batch, logs)

    def end(
        self, epoch: int, steps: int, logs: dict[str, float], seconds: float | None = None
    ) -> None:
        """An epoch is over."""
        if self.silent:
            return
        if self.bar and self._progbar is not None:
            self._progbar.target = steps
            self._progbar.show(steps, logs, done=True)
            return
        took = time.perf_counter() - self._start if seconds is None else seconds
        if self._display is not None:
            self._display.end(epoch, steps, logs, took)
            return
        head = f"Epoch {epoch + 1}/{self.epochs} - "
        print_msg(head + plain_line(steps, took, logs))

    def close(self) -> None:
        """The fit is over, or was interrupted."""
        if self._display is not None:
            self._display.close()
