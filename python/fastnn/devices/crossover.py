"""`device="auto"`: whether a step is faster on a GPU, measured once and kept in the cache folder.

The step itself is measured on a batch, on both devices, and what it changes is put back. A software
adapter is never taken. Depends on `cache`, `functions`, `hardware`.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Sequence
from typing import Any

from fastnn import _core
from fastnn.devices.cache import cache_file, keep
from fastnn.devices.choice import CPU
from fastnn.devices.functions import OnDevice
from fastnn.devices.hardware import Adapter, adapters
from fastnn.devices.memory import between_steps
from fastnn.errors import DeviceError
from fastnn.tracing.away import bring_home

__all__ = ["Choice", "chosen_for"]

#: Steps that are timed, and seconds after which no more are.
STEPS, SECONDS = 5, 0.5
#: A GPU is taken where it needs less than this part of the CPU's time: it also warms up and moves.
WORTH = 0.9
#: Entries of the file.
KEPT = 500

#: A device, and why it was chosen.
Choice = tuple[str, str]

_known: dict[str, Choice] = {}


def chosen_for(function: _core.Function, arrays: Sequence[Any]) -> Choice:
    """The device on which a function is faster for a batch like this one.

    Args:
        function: A step, or a predictor.
        arrays: One batch of its inputs.

    Returns:
        The device's name, and a reason for people.
    """
    try:
        found = [a for a in adapters() if not a.is_software]
    except DeviceError as error:
        return CPU, str(error).split("\n")[0]
    if not found:
        return CPU, "there is no GPU but software"
    adapter = found[0]
    key = _key(function, arrays, adapter)
    if key not in _known:
        kept = _read().get(key)
        _known[key] = tuple(kept) if kept is not None else _measured(function, arrays, adapter)
        if kept is None:
            _write(key, _known[key])
    return _known[key]


def _key(function: _core.Function, arrays: Sequence[Any], adapter: Adapter) -> str:
    """What a measurement holds for: machine, versions, graph, sizes."""
    # Variables come in the order of their addresses, so nodes count without their numbers.
    graph = [line for line in function.steps.splitlines() if line.startswith("%")]
    nodes = sorted(re.sub(r"%\d+|\[Int\(\d+\)\]", "", line) for line in graph)
    told = [
        adapter.name, adapter.driver, _core.info()["version"], _core.get_num_threads(), nodes,
        between_steps(), [(a.shape, str(a.dtype)) for a in arrays],
    ]  # fmt: skip
    return hashlib.sha256(repr(told).encode()).hexdigest()


def _measured(function: _core.Function, arrays: Sequence[Any], adapter: Adapter) -> Choice:
    variables = function.variables
    bring_home(variables)
    before = _core.snapshots(variables)
    try:
        try:
            on_gpu = OnDevice(function, adapter.device)
            device = _seconds(lambda: _device_step(on_gpu, arrays))
            on_gpu.home()
        except DeviceError as error:
            return CPU, str(error).split("\n")[0]
        cpu = _seconds(lambda: function(*arrays))
    finally:
        _core.assign_all(variables, before)
    faster = device < WORTH * cpu
    text = f"a step takes {1e3 * device:.2f} ms on {adapter.name}, {1e3 * cpu:.2f} ms on the CPU"
    return (adapter.device if faster else CPU), text


def _device_step(function: OnDevice, arrays: Sequence[Any]) -> None:
    """A step as in an epoch: variables stay on the device."""
    found = function.runnable([a.shape for a in arrays])
    function.bring()
    for at, a in enumerate(arrays):
        function.put(found, at, a)
    function.submit(found)
    function.gpu.wait()


def _seconds(step: Callable[[], Any]) -> float:
    """The time of the fastest of a few steps, after one that compiles."""
    step()
    took: list[float] = []
    end = time.perf_counter() + SECONDS
    while len(took) < STEPS and (not took or time.perf_counter() < end):
        start = time.perf_counter()
        step()
        took.append(time.perf_counter() - start)
    return min(took)


def _read() -> dict[str, Any]:
    """What the file holds; nothing where it cannot be read."""
    try:
        held = json.loads(cache_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(held, dict):
        return {}
    return {
        k: v
        for k, v in held.items()
        if isinstance(v, list) and len(v) == 2 and all(isinstance(part, str) for part in v)
    }


def _write(key: str, choice: Choice) -> None:
    """Adds to the file; a folder that cannot be written keeps nothing."""
    held = {**_read(), key: list(choice)}
    keep(cache_file(), dict(list(held.items())[-KEPT:]))
