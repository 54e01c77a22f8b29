"""Reading ahead: items of an iterator, prepared on a thread while the consumer works.

Order is kept, errors come out where their item would have, and `close` ends the thread. Depends on
the standard library.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

__all__ = ["Prefetch", "gather"]


class Prefetch(Iterator[Any]):
    """`prepare(item)` for each item of `source`, up to `depth` of them ahead of `next`.

    At most `limit` items are read, so that a generator is left where the consumer stopped. A source
    that is `owned` is closed on the thread that ran it; one of the user's stays open.
    """

    def __init__(
        self,
        source: Iterator[Any],
        prepare: Callable[[Any], Any],
        depth: int = 2,
        limit: int | None = None,
        owned: bool = False,
    ) -> None:
        self._source, self._prepare, self._depth = source, prepare, depth
        self._limit, self._owned = limit, owned
        self._ready: deque[Any] = deque()
        self._changed = threading.Condition()
        self._stopped = self._ended = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="fastnn-prefetch", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        error: BaseException | None = None
        try:
            for raw in islice(self._source, self._limit):
                if not self._put(self._prepare(raw)):
                    break
        except BaseException as raised:
            error = raised
        try:
            if self._owned and hasattr(self._source, "close"):
                self._source.close()
        except Exception as raised:
            error = error or raised
        with self._changed:
            self._error, self._ended = error, True
            self._changed.notify_all()

    def _put(self, item: Any) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or len(self._ready) < self._depth)
            if not self._stopped:
                self._ready.append(item)
                self._changed.notify_all()
            return not self._stopped

    def __next__(self) -> Any:
        with self._changed:
            # A bounded wait, since Ctrl-C does not end an unbounded one on every platform.
            while not self._ready and not self._ended and not self._stopped:
                self._changed.wait(0.1)
            if self._ready:
                item = self._ready.popleft()
                self._changed.notify_all()
                return item
            error, self._error = self._error, None
        if error is not None:
            raise error
        raise StopIteration

    def close(self, patience: float = 0.0) -> None:
        """Tells the thread to end and waits up to `patience` seconds for the item it is at."""
        with self._changed:
            self._stopped = True
            self._ready.clear()
            self._changed.notify_all()
        self._thread.join(patience)


def gather(get: Callable[[int], Any], order: Iterable[int], workers: int) -> Iterator[Any]:
    """`get(i)` for each i, in order, on `workers` threads."""
    from concurrent.futures import Future, ThreadPoolExecutor

    pool = ThreadPoolExecutor(workers, thread_name_prefix="fastnn-load")
    waiting: deque[Future[Any]] = deque()
    try:
        for i in order:
            waiting.append(pool.submit(get, i))
            if len(waiting) >= workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
