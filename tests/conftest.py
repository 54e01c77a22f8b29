"""Shared fixtures: where the data lies, a seeded generator, and fresh interpreters."""

import os
import signal
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]

# A shell that starts the tests in the background has them, and all they start, ignore Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data sets: `FASTNN_DATA`, or `../shared/data` beside the checkout."""
    folder = Path(os.environ.get("FASTNN_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip("no data folder: set FASTNN_DATA to the folder of data sets")
    return folder


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """A generator seeded by the test's own name: stable, and different from test to test."""
    return np.random.default_rng(zlib.crc32(request.node.name.encode()))


@pytest.fixture
def run_python():
    """Run a program text in a fresh interpreter; fails the test on a non-zero exit."""

    def run(program: str, *args: str, timeout: float = 300, **env: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", program, *args],
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**os.environ, **env},
            check=False,
        )
        assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return run
