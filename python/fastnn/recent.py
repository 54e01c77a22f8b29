"""A small cache that forgets what was not used for longest. Depends on the standard library."""

from __future__ import annotations

import threading
from typing import Any

__all__ = ["Recent"]

_lock = threading.Lock()


class Recent:
    """Up to `size` values by key; safe to share between threads."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._held: dict[Any, Any] = {}

    def find(self, key: Any) -> Any:
        """The value of a key, None when there is none; the key counts as used."""
        with _lock:
            value = self._held.pop(key, None)
            if value is not None:
                self._held[key] = value
        return value

    def keep(self, key: Any, value: Any) -> None:
        """Holds a value, and forgets the least recently used one when there are too many."""
        with _lock:
            self._held[key] = value
            if len(self._held) > self.size:
                del self._held[next(iter(self._held))]

    def clear(self) -> None:
        """Forgets everything."""
        with _lock:
            self._held.clear()

    def __len__(self) -> int:
        return len(self._held)
