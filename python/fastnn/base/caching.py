"""A cache of results that leaves the function's signature to type checkers.

`functools.lru_cache` gives an object of `(*args, **kwargs)`. Depends on the standard library.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")

__all__ = ["cached"]


def cached(maxsize: int | None = None) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorator that keeps the results of the last `maxsize` arguments, or of all."""

    def decorate(fn: Callable[P, R]) -> Callable[P, R]:
        return cast("Callable[P, R]", functools.lru_cache(maxsize)(fn))

    return decorate
