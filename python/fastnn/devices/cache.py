"""Files of what was measured on this machine, in the user's cache folder. Depends on `base`."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from fastnn.base.atomic import write_text

__all__ = ["cache_file", "keep"]


def cache_file(name: str = "devices.json") -> Path:
    """A file of the cache folder; by default that of `device="auto"`."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache, "fastnn", name)


def keep(path: Path, held: Any) -> bool:
    """Writes JSON in place of a file; says whether the folder let it."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(held))
        return True
    return False
