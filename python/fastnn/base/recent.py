"""A small cache that forgets what was not used for longest. Depends on the standard library.

Without a lock: each step is one operation of a dictionary, which is atomic. A lock would be found
held by a child forked meanwhile, and by a signal handler or finaliser that calls a model again.
"""

from __future__ import annotations

import itertools
from typing import Any

__all__ = ["Recent"]

_clock = itertools.count()


class Recent:
    """Up to `size` values by key; safe to share between threads."""

    def __init__(self, size: int) -> None:
        self.size = size
        #: A value and when it was last used.
        self._held: dict[Any, list[Any]] = {}

    def find(self, key: Any) -> Any:
        """The value of a key, None when there is none; the key counts as used."""
        entry = self._held.get(key)
        if entry is None:
            return None
        entry[1] = next(_clock)
        return entry[0]

    def keep(self, key: Any, value: Any) -> None:
        """Holds a value, and forgets the least recently used one when there are too many."""
        self._held[key] = [value, next(_clock)]
        while len(self._held) > self.size:
            # By items: hashing a key may take long.
            oldest, _ = min(self._held.copy().items(), key=lambda held: held[1][1])
            self._held.pop(oldest, None)

    def clear(self) -> None:
        """Forgets everything."""
        self._held.clear()

    def __len__(self) -> int:
        return len(self._held)
