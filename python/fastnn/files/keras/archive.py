"""The zip around a `.keras` model: three members, read with limits. Depends on `errors`.

Nothing is ever extracted to a path that the file names. Limits: members stored or packed at most
100:1, config at most 64 MiB, JSON at most 256 levels and two million items, no key twice.
Layout: Keras 3.15 `saving/saving_lib.py`.
"""

from __future__ import annotations

import errno
import json
import zipfile
import zlib
from typing import Any, NoReturn

from fastnn.base.json_keys import single_keys
from fastnn.base.messages import escaped
from fastnn.errors import FormatError
from fastnn.serialization.encoding import as_json

__all__ = ["read_archive", "read_json", "write_archive"]

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
MAX_CONFIG = 64 << 20
MAX_RATIO = 100
MAX_DEPTH = 256
MAX_ITEMS = 2_000_000


def _refuse(path: str, what: str, hint: str) -> NoReturn:
    raise FormatError(f"{path!r}: {what}\n  hint: {hint}")


def _twice(key: str) -> FormatError:
    return FormatError(f"the key {key[:80]!r} stands twice in one object")


def read_json(text: str | bytes, what: str, path: str) -> Any:
    """JSON within the limits; FormatError otherwise."""
    if len(text) > MAX_CONFIG:
        _refuse(path, f"{what} has {len(text):,} bytes, at most {MAX_CONFIG:,} are read",
                "a config holds layers, not weights")  # fmt: skip
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        items = text.count(",") + text.count("[") + text.count("{")
        if items > MAX_ITEMS:
            raise FormatError(f"about {items:,} items, at most {MAX_ITEMS:,} are read")
        value = json.loads(text, object_pairs_hook=single_keys(_twice))
        _check_depth(value)
    except RecursionError:
        _refuse(path, f"{what} is nested deeper than {MAX_DEPTH} levels", "is it a model's config?")
    except (ValueError, FormatError) as error:
        _refuse(path, f"{what} is not usable JSON: {error}", "the file may be cut off or damaged")
    return value


def _check_depth(value: Any) -> None:
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise FormatError(f"nested deeper than {MAX_DEPTH} levels")
        inner: list[Any] = []
        for node in level:
            if isinstance(node, dict):
                inner.extend(v for v in node.values() if isinstance(v, dict | list))
            elif isinstance(node, list):
                inner.extend(v for v in node if isinstance(v, dict | list))
        level = inner


def read_archive(path: str, max_bytes: int) -> tuple[Any, bytes, dict[str, bytes]]:
    """The config, the HDF5 bytes and the further files of a `.keras` file."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(archive, path)
            for name in (CONFIG, WEIGHTS):
                if name not in members:
                    have = ", ".join(sorted(members)[:6]) or "nothing"
                    _refuse(path, f"no member {name!r}; it holds {escaped(have[:200])}",
                            "a Keras file has config.json and model.weights.h5")  # fmt: skip
            config = _read(archive, members[CONFIG], MAX_CONFIG, path)
            weights = _read(archive, members[WEIGHTS], max_bytes, path)
            further = _assets(archive, members, max_bytes, path)
    except FormatError:
        raise
    except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError, RuntimeError,
            OverflowError, zipfile.LargeZipFile) as error:  # fmt: skip
        _refuse(path, f"damaged zip: {error}", "write or copy the file again")
    except (OSError, zlib.error) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # a place before the start
            raise
        _refuse(path, f"damaged zip: {error}", "write or copy the file again")
    return read_json(config, CONFIG, path), weights, further


def _assets(
    archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], limit: int, path: str
) -> dict[str, bytes]:
    """The files beside the weights, all of them together within the limit."""
    found: dict[str, bytes] = {}
    for name, info in members.items():
        if name.startswith("assets/") and not name.endswith("/"):
            found[name] = _read(archive, info, limit, path)
            limit -= len(found[name])
    return found


def _members(archive: zipfile.ZipFile, path: str) -> dict[str, zipfile.ZipInfo]:
    members: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        if info.filename in members:
            _refuse(path, f"member {info.filename[:80]!r} stands twice", "write the file again")
        members[info.filename] = info
    return members


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo, limit: int, path: str) -> bytes:
    size = info.file_size
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        _refuse(path, f"member {info.filename!r} is packed in an unknown way", "use plain zip")
    if info.compress_type != zipfile.ZIP_STORED and size > MAX_RATIO * max(info.compress_size, 1):
        packed = info.compress_size
        _refuse(path, f"member {info.filename!r} unpacks {packed:,} bytes to {size:,}",
                f"at most {MAX_RATIO}:1 is read; Keras stores members unpacked")  # fmt: skip
    if size > limit:
        _refuse(path, f"member {info.filename!r} has {size:,} bytes, at most {limit:,} are read",
                "raise max_bytes= if you trust the file")  # fmt: skip
    with archive.open(info) as member:
        data = member.read(size + 1)
    if len(data) != size:
        _refuse(path, f"member {info.filename!r} has {len(data):,} bytes, declared {size:,}",
                "write or copy the file again")  # fmt: skip
    return data


def write_archive(
    path: str, config: Any, metadata: Any, weights: bytes, further: dict[str, bytes]
) -> None:
    """A `.keras` file: members stored unpacked, in Keras's order."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in (
            (METADATA, json.dumps(metadata).encode()),
            (CONFIG, as_json(config).encode()),
            (WEIGHTS, weights),
            *further.items(),
        ):
            archive.writestr(zipfile.ZipInfo(name), data)
