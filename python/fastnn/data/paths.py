"""The files that a pattern, or several, stand for. Depends on the standard library."""

from __future__ import annotations

import glob
import os
from typing import Any

from fastnn.errors import DataError

__all__ = ["files_of", "one_path"]


def one_path(value: Any) -> str:
    """A path as text: a string, bytes, a path object or an array of one text."""
    if hasattr(value, "item"):
        value = value.item()
    return os.fsdecode(value)


def files_of(patterns: Any, where: str) -> list[str]:
    """The files of these patterns, sorted within each; DataError where one fits nothing."""
    if hasattr(patterns, "as_numpy_iterator"):
        patterns = list(patterns.as_numpy_iterator())
    single = isinstance(patterns, str | bytes | os.PathLike) or getattr(patterns, "ndim", 1) == 0
    out = []
    for pattern in [patterns] if single else patterns:
        path = os.path.expanduser(one_path(pattern))
        found = [path] if os.path.exists(path) else sorted(glob.glob(path))
        if not found:
            raise DataError(f"{where}: no file fits {path!r}\n  hint: os.listdir() of the folder")
        out += found
    return out
