"""What a trace of layers was made from, to tell when it is out of date. Depends on the standard
library and NumPy.

A trace holds numbers and branches that layers' attributes had when it was made. `fingerprint`
gives a value that differs when an attribute does, however it was changed: set anew, or a list,
dict, array or object in it changed in place.
"""

from __future__ import annotations

import types
from collections.abc import Iterable
from typing import Any

import numpy as np

__all__ = ["UNTRACED", "Same", "Seen", "filled", "fingerprint", "is_ours"]

#: Attributes that the library sets as it runs, and that no trace depends on.
UNTRACED = frozenset(
    "_build_config _compile_config _fits _functional _given_input_shape _init_arguments"
    " _initial_epoch _layer_graph _losses _masks_lost _moving _nodes _shortcut _shortcut_of"
    " _predictors _programs _resumed _shuffle_seed _signature_at _steps_at _tried built"
    " compiled history loss name optimizer _compiled_loss _compiled_metrics _loss_tracker"
    " run_eagerly stop_training".split()
)
_PLAIN = frozenset((bool, int, str, bytes, complex, types.NoneType))
_DEPTH = 6


class Same:
    """An object that is equal to itself only; held, so that its address is not used again."""

    value: Any

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)


class Seen:
    """Takes the fingerprints of objects one after the other."""

    mutable: bool

    def __init__(self, opaque: tuple[type, ...]) -> None:
        #: Classes whose objects count by identity: variables and layers, which are walked apart.
        self.opaque = opaque
        #: Whether a value was met that can change without an attribute being set.
        self.mutable = False
        self._inside: set[int] = set()
        #: Objects whose attributes are in the fingerprint already.
        self._known: dict[int, Any] = {}
        #: Whether objects of a class count by identity, for the classes that were met.
        self._by_identity: dict[type, bool] = {}

    def layer(self, layer: Any) -> tuple[Any, ...]:
        """The fingerprint of a layer: its attributes, of our own layers those that users set."""
        if not is_ours(type(layer)):
            return self.attributes(layer)
        known = self.mutable
        hidden = (bool(layer._trainable), *(Same(v) for v in layer._variables))
        shown = {k: v for k, v in layer.__dict__.copy().items() if k[0] != "_"}
        found = (hidden, *((k, self.value(v)) for k, v in shown.items() if k not in UNTRACED))
        self.mutable = known or any(isinstance(v, list | dict | set) for v in shown.values())
        return found

    def attributes(self, obj: Any, depth: int = 0) -> tuple[Any, ...]:
        """The fingerprints of an object's attributes."""
        held = obj.__dict__.copy()
        # What a layer sets in its own calls, a counter say, is no choice of the user's.
        left_out = UNTRACED | held["_moving"] if "_moving" in held else UNTRACED
        return tuple((k, self.value(v, depth)) for k, v in held.items() if k not in left_out)

    def value(self, x: Any, depth: int = 0) -> Any:
        """The fingerprint of a value."""
        kind = x.__class__
        if kind in _PLAIN:
            return (kind, x)
        if kind is float:
            return (kind, x.hex())  # NaN is equal to itself, 0 is not -0
        by_identity = self._by_identity.get(kind)
        if by_identity is None:
            by_identity = issubclass(kind, (*self.opaque, type, types.ModuleType))
            self._by_identity[kind] = by_identity
        if by_identity:
            return Same(x)
        if depth > _DEPTH or id(x) in self._inside:
            return Same(x)
        self._inside.add(id(x))
        try:
            return self._nested(x, depth + 1)
        finally:
            self._inside.discard(id(x))

    def _nested(self, x: Any, depth: int) -> Any:
        if isinstance(x, tuple):
            return (x.__class__, *(self.value(v, depth) for v in x))
        if isinstance(x, types.FunctionType):
            cells = [c for c in (x.__closure__ or ()) if filled(c)]
            self.mutable |= bool(cells)
            return (Same(x), *(self.value(c.cell_contents, depth) for c in cells))
        if isinstance(x, types.MethodType):
            return (Same(x.__func__), self.value(x.__self__, depth))
        if isinstance(x, types.BuiltinFunctionType):
            return Same(x)
        self.mutable = True
        if isinstance(x, list):
            return (x.__class__, *(self.value(v, depth) for v in x.copy()))
        if isinstance(x, dict):
            pairs = [(self.value(k, depth), self.value(v, depth)) for k, v in x.copy().items()]
            return (x.__class__, *pairs)
        if isinstance(x, set | frozenset):
            return (x.__class__, frozenset(self.value(v, depth) for v in x.copy()))
        if isinstance(x, np.ndarray) and x.dtype != object:
            return (np.ndarray, x.shape, x.dtype.str, x.tobytes())
        if hasattr(x, "__dict__") and _is_traced(x) and id(x) not in self._known:
            self._known[id(x)] = x
            return (Same(x), self.attributes(x, depth))
        return Same(x)


def is_ours(part: Any) -> bool:
    """Whether a class or function is this library's."""
    return str(getattr(part, "__module__", None)).split(".")[0] == "fastnn"


def _is_traced(x: Any) -> bool:
    """False for objects that act when weights are made, not when a layer is called."""
    return not type(x).__module__.startswith("fastnn.initializers")


def filled(cell: Any) -> bool:
    """Whether a cell of a closure holds a value."""
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True


def fingerprint(
    layers: Iterable[Any], others: Iterable[Any], opaque: tuple[type, ...]
) -> tuple[Any, bool]:
    """The fingerprint of layers and further objects; and whether it must be taken anew each time.

    Else it holds while no attribute of a layer is set anywhere (`variables.structure_version`);
    `others` may change all the same, so who uses them takes it anew when a run begins.
    """
    seen = Seen(opaque)
    parts = tuple((Same(layer), seen.layer(layer)) for layer in layers)
    mutable = seen.mutable
    return (parts, tuple(seen.value(x) for x in others)), mutable
