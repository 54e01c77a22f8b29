"""`Passes`: numbers of passes over a data set. Depends on nothing."""

from __future__ import annotations

__all__ = ["Passes"]


class Passes:
    """Numbers passes from 0, so that each draws its order from its own number.

    A run that goes on after a crash sets `count` to what it was.
    """

    count: int

    def __init__(self) -> None:
        self.count = 0

    def __next__(self) -> int:
        self.count += 1
        return self.count - 1
