"""Which device computes: named by the process, a block, or a model.

Depends on `away`, `recent`.
"""

from __future__ import annotations

import re
import threading
from types import TracebackType
from typing import Any, Self

from fastnn import _core
from fastnn.base.arguments import hints_arguments
from fastnn.base.recent import Recent
from fastnn.tracing.away import at_home

__all__ = [
    "AUTO",
    "CPU",
    "Placements",
    "chosen",
    "device",
    "get_device",
    "look_for",
    "parsed",
    "set_device",
]

CPU, AUTO = "cpu", "auto"

#: Whether anything but the CPU was ever chosen: until then nobody has to ask.
is_used = False
#: What `set_device` chose for the process; None until it was called: the CPU.
_process: str | None = None
_local = threading.local()


def parsed(name: Any, auto: bool = False) -> str:
    """The name of a device as it is kept: `cpu`, `gpu:0`, or, where it may be, `auto`."""
    text = str(name).strip().lower()
    text = text.removeprefix("/").removeprefix("device:")
    number = re.fullmatch(r"(cpu|gpu)(?::(\d+))?", text)
    if number is not None and number[1] == CPU and int(number[2] or 0) == 0:
        return CPU
    if number is not None and number[1] == "gpu":
        return f"gpu:{int(number[2] or 0)}"
    if text == AUTO and auto:
        return AUTO
    # The nearest name to "cuda" or "mps" is "cpu", which is not what was meant.
    known = ", ".join(map(repr, [CPU, "gpu", "gpu:1", *([AUTO] if auto else [])]))
    raise ValueError(f"unknown device: {name!r}\n  hint: one of {known}; `fastnn info` lists GPUs")


@hints_arguments
def set_device(name: str) -> None:
    """Chooses the device for this process: of models, and of functions of `jit` and `grad`.

    A GPU is looked for at once, so that one that cannot be used is told here. Models compiled
    with a device of their own, and blocks of `fastnn.device`, come before it.

    Args:
        name: `"cpu"`, `"gpu"`, or a GPU by its number in `fastnn info`, such as `"gpu:1"`.

    Raises:
        GpuUnavailableError: wgpu is not installed, or there is no such adapter.
        ValueError: The name is none of a device.

    Example:
        >>> fastnn.set_device("cpu")
        >>> fastnn.get_device()
        'cpu'
    """
    global _process
    found = parsed(name)
    look_for(found)
    _process = found


@hints_arguments
def get_device() -> str:
    """The device that computes here, unless a model was compiled for another.

    Returns:
        `"cpu"`, or a GPU such as `"gpu:0"`.

    Example:
        >>> fastnn.get_device()
        'cpu'
    """
    stack = getattr(_local, "stack", None)
    if stack:
        return str(stack[-1])
    return _process or CPU


class device:
    """A block in which models and functions of `jit` and `grad` run on a device, in this thread.

    Args:
        name: As for `set_device`.

    Raises:
        GpuUnavailableError: wgpu is not installed, or there is no such adapter.
        ValueError: The name is none of a device.

    Example:
        >>> with fastnn.device("cpu"):
        ...     fastnn.get_device()
        'cpu'
    """

    name: str

    def __init__(self, name: str) -> None:
        self.name = parsed(name)

    def __enter__(self) -> Self:
        look_for(self.name)
        _local.stack = [*getattr(_local, "stack", ()), self.name]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _local.stack = _local.stack[:-1]


def chosen(own: str | None) -> str:
    """The device of a model that was compiled with `own`: that, else the block's or process's."""
    return own if own is not None else get_device()


class Placements:
    """Functions of the core on the devices that they are called for, the latest ones."""

    def __init__(self, count: int) -> None:
        #: By the number of the function and the device's name.
        self._held = Recent(count)

    def on(self, function: _core.Function, device: str) -> Any:
        """A function on a device: itself on the CPU, else one that is called as it is."""
        if device in (CPU, AUTO):
            return at_home(function)
        found = self._held.find((id(function), device))
        if found is None or not found.is_usable:
            from fastnn.devices.functions import OnDevice

            # It holds the function, so that no other gets its number.
            found = OnDevice(function, device)
            self._held.keep((id(function), device), found)
        return found

    def clear(self) -> None:
        """Forgets all."""
        self._held.clear()


def look_for(name: str) -> None:
    """Raises GpuUnavailableError where there is no such device; `auto` looks when it runs."""
    global is_used
    if name == CPU:
        return
    if name != AUTO:
        from fastnn.devices.gpu import opened

        opened(name)
    is_used = True
