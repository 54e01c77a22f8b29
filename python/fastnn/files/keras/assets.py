"""Files beside the weights of a `.keras` file: vocabularies, and what layers of the caller's add.

A layer's files stand in `assets/<the path of its weights>`; its `save_assets(folder)` writes them
and its `load_assets(folder)` reads them. What a file holds is written into a fresh folder, under
names that stay inside it. Depends on `state`. Layout: Keras 3.15 `saving/saving_lib.py`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from fastnn.base.messages import escaped
from fastnn.errors import FormatError
from fastnn.files.keras.hdf5 import Reader
from fastnn.files.keras.state import places, places_in

__all__ = ["FOLDER", "assets_of", "load_assets"]

FOLDER = "assets/"


def assets_of(model: Any) -> dict[str, bytes]:
    """The files that the layers of a model write, by their names in the archive."""
    found: dict[str, bytes] = {}
    for path, owner, _ in places(model):
        if not hasattr(owner, "save_assets"):
            continue
        with tempfile.TemporaryDirectory() as folder:
            owner.save_assets(folder)
            for file in sorted(Path(folder).rglob("*")):
                if file.is_file():
                    inside = file.relative_to(folder).as_posix()
                    found[f"{FOLDER}{path}/{inside}"] = file.read_bytes()
    return found


def load_assets(model: Any, reader: Reader, assets: dict[str, bytes]) -> None:
    """Hands the layers of a model their files."""
    for path, owner, _ in places_in(reader, model):
        start = f"{FOLDER}{path}/"
        own = {n.removeprefix(start): data for n, data in assets.items() if n.startswith(start)}
        if not own or not hasattr(owner, "load_assets"):
            continue
        with tempfile.TemporaryDirectory() as folder:
            for name, data in own.items():
                file = Path(folder, *_parts(name, reader.label))
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(data)
            owner.load_assets(folder)


def _parts(name: str, label: str) -> list[str]:
    parts = name.split("/")
    if any(p in ("", ".", "..") or "\\" in p or ":" in p or "\0" in p for p in parts):
        raise FormatError(
            f"{label!r}: the name {escaped(name[:80])!r} of a file leads outside its folder\n"
            "  hint: write the file again"
        )
    return parts
