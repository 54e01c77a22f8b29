"""`fastnn gpu tune`: measures how fast each tile of products is on an adapter, and keeps it.

Depends on `executor`, `functions`, `gpu`, `speeds`.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from fastnn import _core
from fastnn.base.arguments import hints_arguments
from fastnn.devices.executor import Executable
from fastnn.devices.functions import row_program
from fastnn.devices.gpu import Gpu, opened
from fastnn.devices.speeds import keep_speeds, prefixed, speeds_file
from fastnn.errors import DeviceError, GpuInternalError, GpuUnavailableError

__all__ = ["tune"]

#: Rows, columns and depth of the product that is timed: of the largest tiles there are enough to
#: keep a card busy. On a software adapter a smaller one serves, whose figures mean little.
SIZE, SOFTWARE_SIZE = 2048, 256
#: Products of one submission, and submissions that are timed at most.
TIMES, SUBMISSIONS = 4, 10
#: Seconds after which no more are.
SECONDS = 1.0


@hints_arguments
def tune(device: str = "gpu:0", *, software: bool = False) -> dict[str, int]:
    """Measures the tiles of products on an adapter, and keeps what it finds.

    What was found holds for this adapter, its driver and this version of fastnn: programs that
    are planned from now on, in this process and in later ones, take tiles by it. A tile whose
    results are wrong, or which the driver refuses, is never taken.

    Args:
        device: The adapter's name.
        software: Whether an adapter that is a program on the CPU may be measured.

    Returns:
        Million operations a second by tile (rows x columns x depth); 0 for one that must not run.

    Raises:
        GpuUnavailableError: There is no such adapter, or it is software and `software` is False.
        DeviceError: No tile gives right results, or the cache folder cannot be written.

    Example:
        >>> fastnn.devices.tune("gpu:0")  # doctest: +SKIP
        {'128x128x16': 21450000, ...}
    """
    gpu = opened(device)
    if gpu.adapter.is_software and not software:
        raise GpuUnavailableError(
            f"{device} is {gpu.adapter.name}, a driver that runs on the CPU: what is measured "
            "there says nothing of a card\n"
            "  hint: --software (software=True) measures it all the same"
        )
    n = SOFTWARE_SIZE if gpu.adapter.is_software else SIZE
    draw = np.random.default_rng(0)
    arrays = [draw.normal(size=(n, n)).astype(np.float32) for _ in range(2)]
    want = arrays[0] @ arrays[1]
    speeds = {tile: _speed(gpu, tile, arrays, want) for tile in _core.gpu_tiles()}
    if not any(speeds.values()):
        raise DeviceError(
            f"no tile gives right products on {device} ({gpu.adapter.name}, {gpu.adapter.driver})\n"
            "  hint: a newer driver; device='cpu' until then"
        )
    if not keep_speeds(gpu.adapter, speeds):
        raise DeviceError(
            f"{speeds_file()} cannot be written\n  hint: XDG_CACHE_HOME names another cache folder"
        )
    gpu.limits.update(prefixed(speeds))
    return speeds


def _speed(gpu: Gpu, tile: str, arrays: list[np.ndarray[Any, Any]], want: Any) -> int:
    """Million operations a second of one tile; 0 where it does not fit, fails, or is wrong."""
    only = {**gpu.limits, **prefixed({t: int(t == tile) for t in _core.gpu_tiles()})}
    n = want.shape[0]
    program = row_program("matmul", [([n, n], "float32")] * 2, {}, only)
    rows, columns, _ = tile.split("x")
    if all(f"tiles of {rows} by {columns}" not in k["name"] for k in program["kernels"]):
        return 0
    try:
        executable = Executable(gpu, program, [])
        for at, a in enumerate(arrays):
            gpu.write(executable.inputs[at], a)
        took = min(_submissions(gpu, executable))
        buffer, size = executable.outputs[0]
        got = gpu.read([(buffer, 0, size)])[0].view(np.float32).reshape(n, n)
    except GpuInternalError:
        return 0
    # Sums of n products of numbers near one, whose rounding grows with the square root of n.
    is_right = bool(np.abs(got - want).max() <= 1e-6 * n)
    return max(1, int(2e-6 * n**3 / took)) if is_right else 0


def _submissions(gpu: Gpu, executable: Executable) -> list[float]:
    """Seconds of a run, of several submissions of several runs, after one that warms up."""

    def submission() -> None:
        def encode(encoder: Any) -> None:
            compute = encoder.begin_compute_pass()
            for _ in range(TIMES):
                executable.encode(compute)
            compute.end()

        gpu.submit(encode)
        gpu.wait()

    submission()
    took: list[float] = []
    end = time.perf_counter() + SECONDS
    while len(took) < SUBMISSIONS and (not took or time.perf_counter() < end):
        start = time.perf_counter()
        submission()
        took.append((time.perf_counter() - start) / TIMES)
    return took
