"""Requests that wait at the same time become one batch. Depends on NumPy."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any, Protocol

import numpy as np

__all__ = ["Joiner"]

Array = np.ndarray[Any, Any]


class Served(Protocol):
    """What computes answers."""

    def run(self, arrays: Sequence[Array], batch_size: int) -> list[Array]:
        """The outputs for a batch of inputs, row by row."""

    def pack(self, outputs: list[Array]) -> Any:
        """The outputs as a caller gets them."""

    def note(self, arrays: Sequence[Array], seconds: float) -> None:
        """Takes in how long a run took."""


class _Request:
    """One caller's rows, and where the answer goes."""

    __slots__ = ("arrays", "future", "key", "rows", "served", "since")

    def __init__(self, served: Served, arrays: Sequence[Array]) -> None:
        self.served, self.arrays, self.rows = served, arrays, int(arrays[0].shape[0])
        #: Rows of one size and type, for one model, fit into one array.
        self.key = (id(served), *((a.shape[1:], a.dtype.char) for a in arrays))
        self.future: Future[Any] = Future()
        self.since = time.monotonic()


class Joiner:
    """One thread that runs what waits, as many requests at a time as fit.

    Args:
        max_rows: Rows of a batch; a larger request runs alone.
        max_delay: Seconds that a request waits at most for others to join it. What comes while a
            batch runs is joined without a wait.
        batches: How many batches were made before.
    """

    batches: int

    def __init__(self, max_rows: int, max_delay: float, batches: int = 0) -> None:
        self._max_rows, self._max_delay = max_rows, max_delay
        self._waiting: deque[_Request] = deque()
        self._rows = 0
        self._ready = threading.Condition()
        self._closed = self._busy = False
        self.batches = batches
        self._thread = threading.Thread(target=self._serve, name="fastnn-joiner", daemon=True)
        self._thread.start()

    @property
    def closed(self) -> bool:
        """Whether it takes no more requests."""
        return self._closed

    @property
    def idle(self) -> bool:
        """Whether nothing waits or runs."""
        return not (self._waiting or self._busy)

    def submit(self, served: Served, arrays: Sequence[Array]) -> Future[Any] | None:
        """Queues a request, whose future gets the outputs; None when closed."""
        request = _Request(served, arrays)
        with self._ready:
            if self._closed:
                return None
            self._waiting.append(request)
            self._rows += request.rows
            self._ready.notify()
        return request.future

    def close(self) -> None:
        """Takes no more requests; those that wait are answered."""
        with self._ready:
            self._closed = True
            self._ready.notify()

    def wait(self, seconds: float | None = None) -> None:
        """Waits until the thread of a closed one has ended, at most so long; not on that thread."""
        if threading.current_thread() is not self._thread:
            self._thread.join(seconds)

    def _take(self) -> list[_Request]:
        """The requests of the next batch, once there is one; none when closed."""
        with self._ready:
            while not self._waiting:
                if self._closed:
                    return []
                self._ready.wait()
            until = self._waiting[0].since + self._max_delay
            while self._rows < self._max_rows and not self._closed:
                left = until - time.monotonic()
                if left <= 0:
                    break
                self._ready.wait(left)
            first = self._waiting.popleft()
            taken, rows, others = [first], first.rows, deque[_Request]()
            while self._waiting and rows < self._max_rows:
                request = self._waiting.popleft()
                if request.key == first.key and rows + request.rows <= self._max_rows:
                    taken.append(request)
                    rows += request.rows
                else:
                    others.append(request)
            self._waiting.extendleft(reversed(others))
            self._rows -= rows
            self._busy = True
        return taken

    def _serve(self) -> None:
        while taken := self._take():
            asked = [r for r in taken if r.future.set_running_or_notify_cancel()]
            if asked:
                self.batches += 1
                self._answer(asked)
            self._busy = False
            del taken, asked  # an idle thread keeps no caller's arrays

    def _answer(self, requests: list[_Request]) -> None:
        served = requests[0].served
        try:
            columns = zip(*(r.arrays for r in requests), strict=True)
            joined = [c[0] if len(c) == 1 else np.concatenate(c) for c in columns]
            start = time.thread_time()
            outputs = served.run(joined, self._max_rows)
            served.note(joined, time.thread_time() - start)
        except BaseException as error:
            if len(requests) == 1:
                requests[0].future.set_exception(error)
                return
            for request in requests:  # one of them is at fault; the others have their answer
                self._answer([request])
            return
        start = 0
        for request in requests:
            part = slice(start, start + request.rows)
            start = part.stop
            # A copy: whoever keeps an answer does not keep those of the others.
            whole = len(requests) == 1
            own = outputs if whole else [o[part].copy() for o in outputs]
            request.future.set_result(served.pack(own))
