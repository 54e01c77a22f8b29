"""Files that are either whole or not there. Depends on the standard library.

The new content goes to a temporary file in the same folder, reaches the disk, and takes the place
of the target in one step; a reader, or a crash at any moment, sees the old file or the new one.
Names as in the core (`save/safetensors.rs`): `.{name}.{process}-{count}.fastnn-tmp`.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable

__all__ = ["replace_file"]

TEMPORARY = ".fastnn-tmp"
_count = itertools.count()


def replace_file(path: str, write: Callable[[str], None]) -> None:
    """Calls `write(temporary)` and puts the result in the place of `path`; OSError from the disk.

    A link stays a link: the file behind it is replaced. What killed writers left is removed.
    """
    path = os.path.realpath(path)
    folder, name = os.path.split(path)
    _clear_stale(folder, name)
    # Odd-looking on purpose: the core counts its own, so the two never meet.
    temporary = os.path.join(folder, f".{name}.{os.getpid()}-k{next(_count)}{TEMPORARY}")
    try:
        write(temporary)
        _reach_disk(temporary, os.O_RDWR)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    if os.name == "posix":
        _reach_disk(folder, os.O_RDONLY)


def _reach_disk(path: str, mode: int) -> None:
    handle = os.open(path, mode)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _clear_stale(folder: str, name: str) -> None:
    """Removes temporaries of this target whose writers are gone."""
    if not os.path.isdir(folder):
        return
    for found in os.listdir(folder):
        if not (found.startswith(f".{name}.") and found.endswith(TEMPORARY)):
            continue
        process = found[len(name) + 2 :].partition("-")[0]
        if process.isdigit() and not _alive(int(process)):
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(folder, found))


def _alive(process: int) -> bool:
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
