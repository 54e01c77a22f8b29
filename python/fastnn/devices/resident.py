"""Variables that live on a GPU, and how their two copies are kept equal.

A run sends up what was assigned on the CPU. What it changes stays on the device until it is read,
and then only what is read is copied to the CPU. A snapshot that Python holds never changes, so a
variable whose array still lies where it did has not been assigned. Depends on `cells`, `executor`,
`gpu`.
"""

from __future__ import annotations

import contextlib
import os
import weakref
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from fastnn import _core
from fastnn.base.caching import cached
from fastnn.devices.cells import array_of, words_of
from fastnn.devices.executor import Executable
from fastnn.devices.gpu import Gpu
from fastnn.errors import DataError, DeviceError
from fastnn.tracing import away

__all__ = ["Cell", "Constant", "Part", "Ran", "Residence", "Runnable", "residence"]


#: A part of a buffer: offset and length are bytes.
Part = tuple[Any, int, int]


#: Types of which every reading is another array, since NumPy keeps them in another way, and the
#: bits by which two readings are compared.
_COPIED = {"bfloat16": np.uint32, "bool": np.uint8}


class Cell:
    """A variable's memory on a GPU."""

    buffer: Any
    bytes: int
    key: Any
    residence: Residence
    variable: Any

    __slots__ = (
        "__weakref__", "before", "buffer", "bytes", "held", "key", "residence", "shadow",
        "variable", "writers",
    )  # fmt: skip

    def __init__(self, residence: Residence, variable: Any) -> None:
        self.residence, self.variable, self.key = residence, variable, variable.key
        self.bytes = max(4, 4 * variable.size)
        self.buffer = residence.gpu.buffer(self.bytes, f"the variable {variable.name!r}")
        #: The array on the CPU that the device's value was last equal to.
        self.held: Any = None
        #: The array on the CPU before others of the same run were left away: what counts should the
        #: device be lost.
        self.before: Any = None
        #: A second buffer, for the value before a run that may meet bad data.
        self.shadow: Any = None
        #: What has changed it since bad data were last looked for.
        self.writers: Ran = {}

    def __del__(self) -> None:
        if hasattr(self, "buffer"):
            self.residence.gpu.release(self.bytes * (1 if self.shadow is None else 2))

    @property
    def is_newer(self) -> bool:
        """Whether the device has changed the value since `held` was on the CPU."""
        return away.held.get(self.key) is self

    def settle(self) -> None:
        """Notes that the value on the CPU counts."""
        if self.is_newer:
            away.held.pop(self.key, None)
        self.writers = {}

    def is_assigned(self, now: np.ndarray[Any, Any]) -> bool:
        """Whether the value on the CPU is another than the one that `held` is."""
        held, dtype = self.held, self.variable.dtype
        if held is None or dtype not in _COPIED:
            return held is None or held.ctypes.data != now.ctypes.data
        # Where the device has a newer one, an assignment has said so: equal ones need not go up.
        kind = _COPIED[dtype]
        return not np.array_equal(held.view(kind), now.view(kind))


class Runnable:
    """A program with its memory, and which variables a run changes."""

    executable: Executable
    is_guarded: bool
    may_fault: bool
    outputs: list[Any]
    updated: list[Cell]

    __slots__ = ("executable", "is_guarded", "may_fault", "outputs", "updated")

    def __init__(self, executable: Executable, updated: list[Cell], outputs: list[Any]) -> None:
        self.executable, self.updated, self.outputs = executable, updated, outputs
        #: Whether the shadows hold what it changed as it was before its last run.
        self.is_guarded = False
        #: Whether it tells of bad data.
        self.may_fault = bool(executable.fault_parts())


#: Programs that ran, by their numbers.
Ran = dict[int, Runnable]


class Constant:
    """A captured array's memory on a GPU, which nothing changes."""

    buffer: Any
    bytes: int
    gpu: Gpu

    __slots__ = ("buffer", "bytes", "gpu")

    def __init__(self, gpu: Gpu, tensor: Any) -> None:
        array = np.asarray(tensor)
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
        #: Functions that use variables here.
        self._users: weakref.WeakSet[Any] = weakref.WeakSet()

    def join(self, user: Any, variables: Sequence[Any]) -> list[Cell]:
        """The memories of the variables of a function, which all functions share that use them."""
        with self.gpu.lock:
            kept = {id(c) for u in self._users for c in u.cells}
            orphans = [c for c in self._away() if id(c) not in kept]
            self.fetch(orphans)  # so that memory goes which no function uses any more
            cells = [self._cell(v) for v in variables]
            self._users.add(user)
            return cells

    def cell(self, variable: Any) -> Cell:
        """The memory of a variable."""
        with self.gpu.lock:
            return self._cell(variable)

    def _cell(self, variable: Any) -> Cell:
        found = self._cells.get(variable.key)
        if found is None:
            found = self._cells[variable.key] = Cell(self, variable)
        return found

    def make_room(self) -> bool:
        """Lets the programs of all functions go, which are made anew when they are called."""
        with self.gpu.lock:
            freed = [user.let_go() for user in list(self._users)]
            if any(freed):
                self.gpu.wait()  # a driver frees what it has finished with
            return any(freed)

    def _away(self) -> list[Cell]:
        return [c for c in list(away.held.values()) if c.residence is self]

    # ---- up ------------------------------------------------------------------------------------

    def bring(self, cells: Sequence[Cell]) -> None:
        """Sends to the device what has been assigned on the CPU, or changed on another device."""
        for cell in cells:
            other = away.held.get(cell.key)
            if other is not None and other is not cell:
                other.residence.fetch([other])
        with self.gpu.lock:
            for cell in cells:
                now = np.asarray(cell.variable)
                if cell.is_assigned(now):
                    if now.size:
                        self.gpu.write(cell.buffer, words_of(now, cell.variable.dtype))
                    cell.settle()
                    cell.held, cell.before = now, None

    def replaced(self, cells: Sequence[Cell]) -> None:
        """Told that variables were set on the CPU while the device had newer values."""
        for cell in cells:
            cell.settle()
            cell.held = cell.before = None

    def note(self, found: Runnable) -> None:
        """Told before a program runs: an interruption in between leaves no change unnoticed."""
        for cell in found.updated:
            away.held[cell.key] = cell
            if found.may_fault:
                cell.writers[id(found)] = found

    def guard(self, found: Runnable) -> list[tuple[Any, Any, int]]:
        """The copies that keep what a program changes as it is before it, should data be bad.

        None, and what it changes has to be copied to the CPU, where memory does not suffice.
        """
        with contextlib.suppress(DeviceError):
            for cell in found.updated:
                if cell.shadow is None:
                    cell.shadow = self.gpu.buffer(cell.bytes, "a value before a step")
            return [(c.buffer, c.shadow, c.bytes) for c in found.updated]
        return []

    # ---- copies to the CPU ------------------------------------------------------------

    def fetch(self, cells: Sequence[Cell]) -> None:
        """Copies values to the CPU that somebody is about to read."""
        if cells:
            with self.gpu.lock:
                self.home(cells, {})
                if not self._away():
                    self.whole(list(self._cells.values()))

    def home(
        self, cells: Sequence[Cell], ran: Ran, further: Sequence[Part] = ()
    ) -> list[np.ndarray[Any, Any]]:
        """Copies values to the CPU that the device changed, all of one moment.

        Args:
            cells: Of which variables.
            ran: What has run since bad data were last looked for; emptied.
            further: Parts of buffers that are wanted as well.

        Returns:
            The words of `further`.

        Raises:
            DataError: What ran met bad data. Variables are then as they were before that, or those
                of the last copy to the CPU.
        """
        with self.gpu.lock:
            newer = [c for c in cells if c.is_newer]
            every = dict(ran)
            for cell in newer:
                every.update(cell.writers)
            faults = [part for r in every.values() for part in r.executable.fault_parts()]
            parts = [*faults, *further, *((c.buffer, 0, 4 * c.variable.size) for c in newer)]
            words = self.gpu.read(parts)
            ran.clear()
            changed: dict[int, list[Cell]] = {number: [] for number in every}
            for cell in list(self._cells.values()):
                for number in every.keys() & cell.writers.keys():
                    changed[number].append(cell)
                    del cell.writers[number]
            self._tell(every, changed, words[: len(faults)])
            # What was assigned on the CPU meanwhile is later than any step.
            news = []
            rest = words[len(faults) + len(further) :]
            for cell, w in zip(newer, rest, strict=True):
                now = np.asarray(cell.variable)
                if cell.is_assigned(now):
                    cell.settle()
                else:
                    news.append((cell, array_of(w, cell.variable.dtype, cell.variable.shape), now))
            _core.assign_all([c.variable for c, _, _ in news], [value for _, value, _ in news])
            for cell, _, now in news:
                cell.held = np.asarray(cell.variable)
                cell.before = now if cell.before is None else cell.before
                cell.settle()
            return words[len(faults) : len(faults) + len(further)]

    def whole(self, cells: Iterable[Cell]) -> None:
        """Told when all variables that are changed together are on the CPU."""
        for cell in cells:
            cell.before = None

    def _tell(self, runs: Ran, changed: dict[int, list[Cell]], words: Sequence[Any]) -> None:
        """Raises where a program met bad data, once what it changed is as it was before."""
        at, told = 0, None
        for number, run in runs.items():
            count = len(run.executable.fault_parts())
            try:
                run.executable.tell_faults(words[at : at + count])
            except DataError as error:
                told = told or error
                if run.is_guarded:
                    self.gpu.copy([(c.shadow, c.buffer, c.bytes) for c in changed[number]])
                else:
                    self._drop(changed[number])
            at += count
        if told is not None:
            raise told

    def forget(self) -> None:
        """Told when the device is lost: what is away stays so, and the values on the CPU count."""
        with self.gpu.lock:
            self._drop(
                [c for c in list(self._cells.values()) if c.is_newer or c.before is not None]
            )

    def _drop(self, cells: Sequence[Cell]) -> None:
        """Takes the values on the CPU for those of these variables, all of one moment."""
        back = [
            c for c in cells if c.before is not None and not c.is_assigned(np.asarray(c.variable))
        ]  # fmt: skip
        _core.assign_all([c.variable for c in back], [c.before for c in back])
        for cell in cells:
            cell.settle()
            cell.held = cell.before = None


def residence(gpu: Gpu) -> Residence:
    """The residence of a GPU."""
    if gpu.residence is None:
        gpu.residence = Residence(gpu)
        _mind_forks()
    found: Residence = gpu.residence
    return found


@cached()
def _mind_forks() -> None:
    """A child cannot ask its parent's device: all is copied to the CPU before there is one."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=away.bring_home, after_in_child=away.held.clear)
