"""What a function reads from around it, to tell when a trace of it is out of date.

Captured variables, the globals that its code names, and what it is bound to. Depends on
`fingerprint`, `reads`, `variables`.
"""

from __future__ import annotations

import functools
import operator
import types
from collections.abc import Callable
from typing import Any

from fastnn._core import Tensor
from fastnn.tracing.fingerprint import ABSENT, Same, Seen, filled, fingerprint, followed
from fastnn.tracing.reads import is_library, reads
from fastnn.tracing.variables import Variable, structure_version

__all__ = ["Surroundings"]

#: What names lead through to what they mean: `settings.factor`, `Settings.factor`.
_WAYS = types.ModuleType | type


class Surroundings:
    """The values around a function: by identity where that says all, else by what they hold."""

    mutable: bool
    holds_layers: bool
    has_others: bool
    cells: Any

    def __init__(self, f: Callable[..., Any]) -> None:
        #: Whether a value can change without becoming another object.
        self.mutable = False
        #: Whether a layer is among the values.
        self.holds_layers = False
        self._bound: tuple[Any, ...] = ()
        if isinstance(f, functools.partial):
            self._bound, f = (*f.args, *f.keywords.values()), f.func
        if isinstance(f, types.MethodType):
            self._bound, f = (*self._bound, f.__self__), f.__func__
        elif not isinstance(f, types.FunctionType | types.BuiltinFunctionType | type):
            self._bound = (*self._bound, f)
        #: Which cells there are never changes, what they hold may.
        self.cells = getattr(f, "__closure__", None) or ()
        self._code = None if is_library(f) else getattr(f, "__code__", None)
        self._globals: dict[str, Any] = getattr(f, "__globals__", {})
        self._names: tuple[tuple[str, tuple[str, ...]], ...] | None = None
        #: Reads all of them at once, which is quicker.
        self._read: Callable[[dict[str, Any]], tuple[Any, ...]] | None = None
        #: Whether there are values that no cell holds, as far as is known.
        self.has_others = True
        #: Of each layer, its fingerprint and the structure version that it holds for.
        self._layers: dict[int, tuple[int, Any]] = {}
        #: Values that traces change themselves: their identity counts.
        self._own: set[int] = set()

    def others(self) -> list[Any]:
        """The values that no cell holds, in an order that does not change."""
        if self._names is None:
            found = reads(self._code).names if self._code is not None else ()
            self._names = tuple(n for n in found if followed(self._globals, *n)[0] is not ABSENT)
            self.has_others = bool(self._bound or self._names)
            direct = [n for n, _ in self._names if not isinstance(self._globals[n], _WAYS)]
            if len(direct) == len(self._names) > 0:
                pick = operator.itemgetter(*direct)
                self._read = pick if len(direct) > 1 else lambda names: (pick(names),)
        try:
            if self._read is not None:
                return [*self._bound, *self._read(self._globals)]
        except KeyError:  # one that was deleted
            pass
        return [*self._bound, *[followed(self._globals, *name)[0] for name in self._names]]

    def held(self) -> list[Any]:
        """All values."""
        held = [c.cell_contents if filled(c) else ABSENT for c in self.cells]
        return held + self.others()

    def fingerprint(self) -> tuple[Any, ...]:
        """Equal while a trace holds. Objects are held: an address may come again."""
        held = self.held()
        self.mutable = self.holds_layers = False
        seen = Seen((Tensor, Variable))
        found = []
        for at, x in enumerate(held):
            if at in self._own or isinstance(x, Tensor | Variable):
                found.append(Same(x))
            elif hasattr(type(x), "_every_layer"):
                found.append(self._layer(x))
            else:
                found.append(seen.around(x))
        # Functions among the values read names of their own.
        self.mutable |= seen.mutable or bool(seen.names)
        return tuple(found)

    def note_effects(self, before: tuple[Any, ...]) -> None:
        """Told after a trace what the fingerprint was before it."""
        held = self.held()
        for at, (old, new) in enumerate(zip(before, self.fingerprint(), strict=False)):
            if old != new and not hasattr(type(held[at]), "_every_layer"):
                self._own.add(at)

    def _layer(self, layer: Any) -> Any:
        self.holds_layers = True
        version, known = self._layers.get(id(layer), (-1, None))
        if version == structure_version():
            return known
        kind = next(c for c in type(layer).__mro__ if "_every_layer" in c.__dict__)
        opaque = (kind, Tensor, Variable)
        found, mutable = fingerprint(layer._every_layer(), opaque)
        self.mutable |= mutable
        if not mutable:
            if len(self._layers) > 16:
                self._layers.clear()
            self._layers[id(layer)] = (structure_version(), found)
        return found
