"""How fast the tiles of products are on an adapter, as `fastnn gpu tune` measured them: a file of
the cache folder, read when a GPU is opened. Depends on `cache`, `hardware`.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

from fastnn import _core
from fastnn.devices.cache import cache_file, keep
from fastnn.devices.hardware import Adapter

__all__ = ["keep_speeds", "kept_speeds", "prefixed", "speeds_file"]

#: What the file says that it is.
FORMAT = "fastnn tiles 1"


def speeds_file() -> Path:
    """The file."""
    return cache_file("tiles.json")


def prefixed(speeds: dict[str, int]) -> dict[str, int]:
    """Speeds by tile as the planner's limits name them."""
    return {f"tile_{tile}": speed for tile, speed in speeds.items()}


def kept_speeds(adapter: Adapter) -> dict[str, int]:
    """What was measured on an adapter: a number for each tile, 0 for one that must not run.

    Nothing where nothing was measured with this driver and this version of fastnn. A file that is
    spoiled, or something else, is ignored with a warning.
    """
    found = _read().get(_key(adapter))
    return {} if found is None else dict(found)


def keep_speeds(adapter: Adapter, speeds: dict[str, int]) -> bool:
    """Keeps what was measured; False where the cache folder cannot be written."""
    adapters = {**_read(), _key(adapter): speeds}
    return keep(speeds_file(), {"format": FORMAT, "adapters": adapters})


def _key(adapter: Adapter) -> str:
    version = _core.info()["version"]
    return f"{adapter.name}; {adapter.api}; {adapter.driver}; fastnn {version}"


def _read() -> dict[str, dict[str, int]]:
    path = speeds_file()
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeError) as error:
        return _ignored(path, str(error))
    try:
        held = json.loads(text)
    except ValueError as error:
        return _ignored(path, f"it is no JSON ({error})")
    if not isinstance(held, dict) or held.get("format") != FORMAT:
        return _ignored(path, f"its format is not {FORMAT!r}")
    adapters = held.get("adapters")
    if not isinstance(adapters, dict) or not all(map(_is_whole, adapters.values())):
        return _ignored(path, "its adapters have other tiles, or speeds that are no numbers")
    return adapters


def _is_whole(speeds: Any) -> bool:
    """Whether this is a speed for every tile, of which one may run."""
    return (
        isinstance(speeds, dict)
        and set(speeds) == set(_core.gpu_tiles())
        and all(type(s) is int and 0 <= s < 2**32 for s in speeds.values())
        and any(speeds.values())
    )


def _ignored(path: Path, why: str) -> dict[str, dict[str, int]]:
    warnings.warn(
        f"{path} is ignored: {why}. `fastnn gpu tune` writes it anew.", RuntimeWarning, stacklevel=2
    )
    return {}
