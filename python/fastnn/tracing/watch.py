"""Tells quickly that nothing has changed since a fingerprint was taken.

Depends on the standard library.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import attrgetter, is_not, itemgetter
from typing import Any

__all__ = ["Watch"]


class Watch:
    """Dicts, lists and closures that a fingerprint was taken through, with what they held.

    They are compared by identity alone, some ten times as fast as a fingerprint: what differs is
    looked at again by that.
    """

    __slots__ = ("_dicts", "_held", "_owners", "complete")

    #: Whether all that can change is among what is watched.
    complete: bool

    def __init__(self) -> None:
        self.complete = True
        self._held: list[tuple[Callable[[Any], Iterable[Any]], Any, int, Iterable[Any]]] = []
        self._owners: list[Any] = []
        self._dicts: list[dict[str, Any]] = []

    def attributes(self, owner: Any, names: Iterable[str]) -> None:
        """Watches these attributes of an object, and that no others come."""
        self._owners.append(owner)
        self._dicts.append(owner.__dict__)
        self.names(owner.__dict__, names)

    def names(self, held: dict[Any, Any], names: Iterable[Any]) -> None:
        """Watches what a dict holds under these names, and that no others come."""
        names = tuple(names)
        # With one name alone `itemgetter` would give no tuple.
        get = itemgetter(*names, names[0]) if names else _nothing
        self._held.append((get, held, len(held), tuple(get(held))))

    def items(self, held: list[Any] | set[Any]) -> None:
        """Watches a list, or that a set stays empty."""
        self._held.append((iter, held, len(held), tuple(held)))

    def cells(self, held: tuple[Any, ...]) -> None:
        """Watches the cells of a closure."""
        try:
            self._held.append((_contents, held, len(held), tuple(_contents(held))))
        except ValueError:  # an empty cell
            self.complete = False

    def is_unchanged(self) -> bool:
        """Whether all is watched, and holds what it held."""
        if not self.complete or any(map(is_not, map(_DICT, self._owners), self._dicts)):
            return False
        try:
            for get, held, size, values in self._held:
                if len(held) != size or (size and any(map(is_not, get(held), values))):
                    return False
        except (KeyError, ValueError):  # a name or the content of a cell is gone
            return False
        return True


_DICT = attrgetter("__dict__")


def _nothing(held: Any) -> tuple[Any, ...]:
    return ()


def _contents(cells: tuple[Any, ...]) -> list[Any]:
    return [cell.cell_contents for cell in cells]
