"""JSON whose objects have each key once. Depends on the standard library.

Python's reader keeps the last value of a key that stands twice: one reader would see another value
than the next.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["single_keys"]


def single_keys(
    refuse: Callable[[str], Exception],
) -> Callable[[list[tuple[str, Any]]], dict[str, Any]]:
    """An `object_pairs_hook` that raises what `refuse` makes of the first key that stands twice."""

    def found(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        out = dict(pairs)
        if len(out) < len(pairs):
            seen: set[str] = set()
            for key, _ in pairs:
                if key in seen:
                    raise refuse(key)
                seen.add(key)
        return out

    return found
