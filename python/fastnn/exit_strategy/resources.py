"""The shipped data files: read once, hashed, never written.

Files lie in `data/` beside this module; `data_hashes` lets a report say exactly which ones it used.
Standard library only.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

__all__ = ["cached", "data_hash", "data_hashes", "load_json", "read_text"]

_FOLDER = Path(__file__).parent / "data"
P = ParamSpec("P")
R = TypeVar("R")


def cached(maxsize: int | None = None) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return `functools.lru_cache(maxsize)` that leaves signatures to type checkers."""

    def decorate(fn: Callable[P, R]) -> Callable[P, R]:
        return cast("Callable[P, R]", functools.lru_cache(maxsize)(fn))

    return decorate


@cached()
def read_text(name: str) -> str:
    """Return the text of the shipped file `name`."""
    return (_FOLDER / name).read_text(encoding="utf-8")


@cached()
def load_json(name: str) -> Any:
    """Return the parsed shipped file `name`; treat it as read-only, it is shared."""
    return json.loads(read_text(name))


@cached()
def data_hash(name: str) -> str:
    """Return the sha256 of the shipped file `name`."""
    return hashlib.sha256(read_text(name).encode("utf-8")).hexdigest()


def data_hashes(names: tuple[str, ...]) -> dict[str, str]:
    """Return name -> sha256 for the given shipped files."""
    return {name: data_hash(name) for name in names}
