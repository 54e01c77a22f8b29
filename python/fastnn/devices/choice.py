"""Which device computes: named by the process, a block, or a model. Depends on `errors`."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from fastnn.errors import unknown_name

__all__ = [
    "AUTO",
    "CPU",
    "chosen",
    "device",
    "get_device",
    "look_for",
    "parsed",
    "placed",
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
    raise unknown_name("device", name, [CPU, "gpu", "gpu:0", *([AUTO] if auto else [])])


def set_device(name: str) -> None:
    """Chooses the device of `fit`, `evaluate` and `predict` for this process.

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
    """A block whose `fit`, `evaluate` and `predict` run on a device, in this thread.

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


def placed(function: Any, own: str | None = None, stays: Iterable[Any] = ()) -> Any:
    """A function on the device chosen here: itself for the CPU.

    Args:
        function: A function of the core.
        own: The device of its model, as `compile` noted it.
        stays: Variables that nobody else reads, which are not brought home after a call.

    Returns:
        The function, or one that is called as it is.
    """
    device = chosen(own)
    if device in (CPU, AUTO):
        return function
    from fastnn.devices.functions import OnDevice

    return OnDevice(function, device, stays)


def look_for(name: str) -> None:
    """Raises GpuUnavailableError where there is no such device; `auto` looks when it runs."""
    global is_used
    if name == CPU:
        return
    if name != AUTO:
        from fastnn.devices.gpu import opened

        opened(name)
    is_used = True
