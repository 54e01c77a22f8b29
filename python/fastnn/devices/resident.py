"""Variables that live on a GPU, and how their two copies are kept equal.

A run brings variables to the device once, and home before Python goes on. A snapshot that Python
holds never changes, so a variable whose array still lies where it did has not been assigned.
Depends on `cells`, `gpu`.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn import _core
from fastnn.devices.cells import array_of, words_of
from fastnn.devices.executor import Executable
from fastnn.devices.gpu import Gpu

__all__ = ["Cell", "Residence", "residence"]


#: A part of a buffer: offset and length are bytes.
Part = tuple[Any, int, int]
#: Programs that ran, by their numbers.
Ran = dict[int, Executable]


class Cell:
    """A variable's memory on a GPU."""

    __slots__ = ("__weakref__", "buffer", "bytes", "gpu", "held", "is_newer", "variable")

    def __init__(self, gpu: Gpu, variable: Any) -> None:
        self.gpu, self.variable = gpu, variable
        self.bytes = max(4, 4 * variable.size)
        self.buffer = gpu.buffer(self.bytes, f"the variable {variable.name!r}")
        #: The array at home that the device's value was last equal to.
        self.held: Any = None
        #: Whether the device has changed the value since.
        self.is_newer = False

    def __del__(self) -> None:
        if hasattr(self, "buffer"):
            self.gpu.release(self.bytes)

    def is_assigned(self, now: np.ndarray[Any, Any]) -> bool:
        """Whether the value at home is another than the one that `held` is."""
        held = self.held
        if held is None or self.variable.dtype != "bfloat16":
            return held is None or held.ctypes.data != now.ctypes.data
        # NumPy has no such type: every reading is another array.
        return not np.array_equal(held.view(np.uint32), now.view(np.uint32))


class Constant:
    """A captured array's memory on a GPU, which nothing changes."""

    __slots__ = ("buffer", "bytes", "gpu")

    def __init__(self, gpu: Gpu, tensor: Any) -> None:
        array = tensor.numpy()
        self.gpu, self.bytes = gpu, max(4, 4 * array.size)
        self.buffer = gpu.buffer(self.bytes, "a captured array")
        if array.size:
            gpu.write(self.buffer, words_of(array, tensor.dtype))

    def __del__(self) -> None:
        if hasattr(self, "buffer"):
            self.gpu.release(self.bytes)


class Residence:
    """The variables on one GPU."""

    def __init__(self, gpu: Gpu) -> None:
        self.gpu = gpu
        self._cells: weakref.WeakValueDictionary[int, Cell] = weakref.WeakValueDictionary()

    def cell(self, variable: Any) -> Cell:
        """The memory of a variable, which all functions share that use it."""
        with self.gpu.lock:
            found = self._cells.get(variable.key)
            if found is None:
                found = self._cells[variable.key] = Cell(self.gpu, variable)
            return found

    def bring(self, cells: Sequence[Cell]) -> None:
        """Sends to the device what has been assigned at home."""
        with self.gpu.lock:
            for cell in cells:
                now = cell.variable.numpy()
                if cell.is_assigned(now):
                    if now.size:
                        self.gpu.write(cell.buffer, words_of(now, cell.variable.dtype))
                    cell.held, cell.is_newer = now, False

    def home(
        self, cells: Sequence[Cell], ran: Ran, further: Sequence[Part] = (), held: Any = None
    ) -> list[Any]:
        """Brings values home that the device changed, all of one moment.

        Args:
            cells: Of which variables.
            ran: What has run since bad data were last looked for; emptied.
            further: Parts of buffers that are wanted as well.
            held: The variables whose values are left where bad data were met; None: `cells`.

        Returns:
            The words of `further`.

        Raises:
            DataError: What ran met bad data. Variables are then those of the last coming home.
        """
        with self.gpu.lock:
            newer = [c for c in cells if c.is_newer]
            executables = list(ran.values())
            faults = [part for e in executables for part in e.fault_parts()]
            parts = [*faults, *further, *((c.buffer, 0, 4 * c.variable.size) for c in newer)]
            words = self.gpu.read(parts)
            ran.clear()
            _tell(executables, words[: len(faults)], cells if held is None else held)
            rest = words[len(faults) + len(further) :]
            # What was assigned at home meanwhile is later than any step.
            news = [
                (c, array_of(w, c.variable.dtype, c.variable.shape))
                for c, w in zip(newer, rest, strict=True)
                if not c.is_assigned(c.variable.numpy())
            ]
            _core.assign_all([c.variable for c, _ in news], [value for _, value in news])
            for cell, _ in news:
                cell.held, cell.is_newer = cell.variable.numpy(), False
            return words[len(faults) : len(faults) + len(further)]


def _tell(executables: list[Executable], words: list[Any], held: Sequence[Cell]) -> None:
    """Raises where a program met bad data; the values at home are then the ones that count."""
    at = 0
    for executable in executables:
        count = len(executable.fault_parts())
        try:
            executable.tell_faults(words[at : at + count])
        except Exception:
            for cell in held:
                if cell.is_newer:
                    cell.held, cell.is_newer = None, False
            raise
        at += count


def residence(gpu: Gpu) -> Residence:
    """The residence of a GPU."""
    if gpu.residence is None:
        gpu.residence = Residence(gpu)
    found: Residence = gpu.residence
    return found
