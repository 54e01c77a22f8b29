"""Memory that the ranks of one machine share, in which the core sums without sending anything."""

from __future__ import annotations

import contextlib
import mmap
import os
import tempfile
from typing import Any

from fastnn import _core

__all__ = ["shared_team"]

#: Where files are memory that processes can map.
FOLDER = "/dev/shm"
#: More ranks than this are on no machine of today, or share so little that messages do as well.
MOST = 256


def shared_team(mpi: Any, comm: Any) -> Any:
    """A `Team` of all ranks of a communicator; None where they are not on one machine, or where it
    has no memory to share. The answer is the same on all ranks.
    """
    near = comm.Split_type(mpi.COMM_TYPE_SHARED)
    together = near.Get_size() == comm.Get_size() <= MOST
    near.Free()
    if not all(comm.allgather(together)):
        return None
    size, path = _core.Team.bytes(comm.Get_size()), None
    first = comm.Get_rank() == 0
    with contextlib.ExitStack() as stack:
        if first:
            with contextlib.suppress(OSError):
                path = _make(size)
                stack.callback(_remove, path)
        path = comm.bcast(path, root=0)
        memory = None
        if path is not None:
            with contextlib.suppress(OSError, ValueError):
                memory = _map(path, size)
        # The file can go once everybody has it: memory lasts as long as somebody has mapped it.
        if not all(comm.allgather(memory is not None)):
            return None
    return _core.Team(memory, comm.Get_rank(), comm.Get_size())


def _make(size: int) -> str:
    """A file of zeros for which there is room: a write to memory without room would kill."""
    handle, path = tempfile.mkstemp(prefix="fastnn-ranks-", dir=FOLDER)
    try:
        os.posix_fallocate(handle, 0, size)
    except OSError:
        _remove(path)
        raise
    finally:
        os.close(handle)
    return path


def _map(path: str, size: int) -> mmap.mmap:
    handle = os.open(path, os.O_RDWR)
    try:
        return mmap.mmap(handle, size)
    finally:
        os.close(handle)


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)
