"""Test files that run again on each instruction set below the one that is in use."""

import os
import subprocess
import sys

import pytest

from fastnn import _core


def each_lower_set(test):
    """A test that takes `isa`, once for each of them, but not within such a run."""
    lower = [isa for isa in _core.info()["isa_available"] if isa != "avx512"]
    once = pytest.mark.skipif("FASTNN_ISA" in os.environ, reason="already a run under one set")
    return pytest.mark.parametrize("isa", lower)(once(test))


def assert_holds_on(isa: str, file: str) -> None:
    """Runs a test file in a process that is limited to one instruction set."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", file],
        env={**os.environ, "FASTNN_ISA": isa},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
