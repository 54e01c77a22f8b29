"""Variables whose newest values a device holds, and how these get to the CPU. Depends on `_core`.

A run on a device leaves what it changed there. Whoever reads variables on the CPU, one by one or
by a function of the core, has them copied there before; while nothing is away, that costs one look.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

from fastnn import _core

__all__ = ["assigning", "at_home", "bring_home", "held", "staying"]

#: What is away: by the key of its variable what holds the value, whose `residence` fetches it.
held: dict[int, Any] = {}


def bring_home(variables: Iterable[Any] | None = None) -> None:
    """Copies to the CPU what is away, of one moment for each device.

    Args:
        variables: Of which variables; other values among them are passed over. None: all.

    Raises:
        DataError: A run that changed one of them met bad data.
        DeviceError: The device does not give them any more; the values on the CPU stand.
    """
    with staying(variables):
        pass


@contextlib.contextmanager
def staying(variables: Iterable[Any] | None) -> Iterator[None]:
    """A block in which these variables (None: all) are on the CPU, and stay as they are for it."""
    wanted = None if variables is None else list(variables)
    with contextlib.ExitStack() as stack:
        for residence, cells in _locked(wanted, stack):
            residence.fetch(cells)
        yield


@contextlib.contextmanager
def assigning(variables: Iterable[Any]) -> Iterator[None]:
    """A block that sets these variables on the CPU, which then counts for whatever is away."""
    wanted = list(variables)
    with contextlib.ExitStack() as stack:
        _locked(wanted, stack)
        yield
        for residence, cells in _by_residence(wanted):
            residence.replaced(cells)


def at_home(function: _core.Function) -> _core.Function:
    """A function of the core, whose variables are on the CPU."""
    if held:
        bring_home(function.variables)
    return function


def _locked(
    wanted: Iterable[Any] | None, stack: contextlib.ExitStack
) -> list[tuple[Any, list[Any]]]:
    """What is away of these variables, whose devices are locked until `stack` ends.

    Others may leave while a device is waited for, one by one as a run begins: what is away is known
    only once the devices of all that is found are locked.
    """
    locked: set[int] = set()
    while True:
        found = _by_residence(wanted)
        if locked.issuperset(id(residence) for residence, _ in found):
            return found
        stack.close()  # devices are locked in one order, so that nobody waits for each other
        for residence, _ in sorted(found, key=lambda each: id(each[0])):
            stack.enter_context(residence.gpu.lock)
        locked = {id(residence) for residence, _ in found}


def _by_residence(variables: Iterable[Any] | None) -> list[tuple[Any, list[Any]]]:
    if not held:
        return []
    if variables is None:
        cells = list(held.values())
    else:
        keys = (v.key for v in variables if isinstance(v, _core.Variable))
        cells = [cell for cell in map(held.get, keys) if cell is not None]
    found: dict[int, tuple[Any, list[Any]]] = {}
    for cell in cells:
        found.setdefault(id(cell.residence), (cell.residence, []))[1].append(cell)
    return list(found.values())
