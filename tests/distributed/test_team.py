"""Processes that sum in memory which they share, without MPI: `fastnn._core.Team`."""

import mmap
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

from fastnn import _core
from fastnn.errors import DataError

#: A process of a team: joins, meets once, then does what it is told.
OTHER = """
import mmap, os, sys, time
from fastnn import _core
handle = os.open(sys.argv[1], os.O_RDWR)
team = _core.Team(mmap.mmap(handle, 0), 1, 2)
print(team.meet(3, 4, 5, (6, 7)), flush=True)
time.sleep(600)
"""


def test_a_process_that_has_ended_is_named_to_those_who_wait_for_it(tmp_path):
    file = tmp_path / "memory"
    file.write_bytes(bytes(_core.Team.bytes(2)))
    handle = os.open(file, os.O_RDWR)
    team = _core.Team(mmap.mmap(handle, 0), 0, 2)
    os.close(handle)
    other = subprocess.Popen(
        [sys.executable, "-c", OTHER, str(file)], stdout=subprocess.PIPE, text=True
    )
    try:
        said = team.meet(3, 4, 5, (8, 9))
        assert said == [[3, 1, 4, 5, 8, 9], [3, 1, 4, 5, 6, 7]]
        assert other.stdout.readline().strip() == str(said)
    finally:
        other.send_signal(signal.SIGKILL)
        other.wait()
        other.stdout.close()
    with pytest.raises(
        DataError, match=rf"(?s)rank 1 of 2 \(process {other.pid}\) has ended.*hint"
    ):
        team.meet(3, 5, 5, (8, 9))


@pytest.mark.parametrize(
    ("length", "rank", "size", "told"),
    [
        (0, 0, 2, "the memory has 0 bytes, wanted"),
        (-1, 0, 2, f"the memory has {_core.Team.bytes(2) - 1} bytes, wanted {_core.Team.bytes(2)}"),
        (None, 2, 2, "rank 2 of 2, wanted one below a size from 2 to 256"),
        (None, 0, 1, "rank 0 of 1"),
        (None, 0, 300, "rank 0 of 300"),
    ],
)
def test_a_team_needs_room_and_a_rank_of_its_own(length, rank, size, told):
    whole = _core.Team.bytes(2)
    memory = np.zeros(whole if length is None else max(whole + length, 0) * bool(length), np.uint8)
    with pytest.raises(DataError, match=re.escape(told)):
        _core.Team(memory, rank, size)


def test_memory_that_cannot_be_written_is_refused():
    with pytest.raises((BufferError, DataError)):
        _core.Team(bytes(_core.Team.bytes(2)), 0, 2)
