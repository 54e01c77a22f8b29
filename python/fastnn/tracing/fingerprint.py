"""What a trace of layers was made from, to tell when it is out of date.

Depends on `reads`, `watch`, the standard library and NumPy.

A trace holds numbers and branches that layers' attributes had when it was made. `fingerprint`
gives a value that differs when an attribute does, however it was changed: set anew, or a list,
dict, array or object in it changed in place. So do numbers that the code of the caller's classes
and functions reads from its module, from classes and from functions around it.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Iterable
from typing import Any

import numpy as np

from fastnn.base.caching import cached
from fastnn.tracing.reads import Reads, is_library, reads
from fastnn.tracing.watch import Watch

__all__ = [
    "ABSENT",
    "TRACES",
    "UNTRACED",
    "Same",
    "Seen",
    "Signature",
    "filled",
    "fingerprint",
    "followed",
    "is_ours",
]

#: Attributes of a model that hold its traces and what they were made from: often much, made anew in
#: a copy, and never a layer of its own.
TRACES = frozenset(
    "_device_calls _predict_programs _predictors_placed _step_programs _shortcut _shortcut_of"
    " _signature_at _steps_at _traces_watched".split()
)
#: Attributes that the library sets as it runs, and that no trace depends on.
UNTRACED = TRACES | frozenset(
    "_build_config _building _built_path _compile_config _fits _given_name _functional"
    " _given_input_shape _init_arguments _given_batch_size"
    " _initial_epoch _layer_graph _losses _masks_lost _set_in_calls _call_nodes"
    " _auto_reason _auto_rows _compiled_device _sources_read _resumed _shuffle_seed _tried built"
    " compiled history loss name optimizer _compiled_loss _compiled_metrics _loss_tracker"
    " run_eagerly jit_compile stop_evaluating stop_predicting stop_training".split()
)
_PLAIN = frozenset((bool, int, str, bytes, complex, types.NoneType))
_DEPTH = 6
#: Larger arrays that code reads from its module count by identity: they are not hashed at each run.
_LARGE = 1 << 20
#: The methods of layers and models that a trace runs.
_TRACED = ("__call__", "call", "train_step", "test_step", "predict_step", "compute_loss",
           "compute_metrics", "update_state", "result")  # fmt: skip
_CODE = types.FunctionType | types.BuiltinFunctionType | np.ufunc
#: Classes of the standard library whose objects hold settings.
_SETTINGS = frozenset(("types.SimpleNamespace", "argparse.Namespace"))
ABSENT = object()


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


class Signature(tuple[Any, ...]):
    """A fingerprint that finds traces in a dict: its hash is reckoned once."""

    _hash: int | None = None

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = super().__hash__()
        return self._hash


class Seen:
    """Takes the fingerprints of objects one after the other."""

    mutable: bool

    def __init__(self, opaque: tuple[type, ...]) -> None:
        #: Classes whose objects count by identity: variables and layers, which are walked apart.
        self.opaque = opaque
        #: Whether a value was met that can change without an attribute being set.
        self.mutable = False
        #: Where names were read that may be bound anew (a cell, the dict of a module, a class), the
        #: name, and what it held.
        self.names: list[tuple[Any, str, Any]] = []
        #: Sees whether the fingerprint is to be taken anew.
        self.watch = Watch()
        self._inside: set[int] = set()
        #: Objects whose attributes are in the fingerprint already.
        self._known: dict[int, Any] = {}
        #: Whether objects of a class count by identity, for the classes that were met.
        self._by_identity: dict[type, bool] = {}

    def layer(self, layer: Any) -> tuple[Any, ...]:
        """The fingerprint of a layer: its attributes, of our own layers those that users set."""
        self.watch.complete = False
        if not is_ours(type(layer)):
            return (self.attributes(layer), self.methods(type(layer)))
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
        left_out = UNTRACED | held["_set_in_calls"] if "_set_in_calls" in held else UNTRACED
        if left_out is not UNTRACED:
            self.watch.complete = False
        self.watch.attributes(obj, (k for k in held if k not in left_out))
        return tuple((k, self.value(v, depth)) for k, v in held.items() if k not in left_out)

    def methods(self, cls: type) -> tuple[Any, ...]:
        """What the methods of a class that are traced read from around them."""
        functions, names = _run_in_traces(cls)
        self.watch.complete = False
        found: list[Any] = []
        for name in names:
            held = getattr(cls, name, None)
            if not callable(held) and not hasattr(held, "__get__"):
                self.names.append((cls, name, held))
                found.append((name, self.around(held, 1)))
        return (*found, *(self.surroundings(f, 1) for f in functions))

    def surroundings(self, function: types.FunctionType, depth: int) -> tuple[Any, ...]:
        """What a function of the caller's reads from around it and leaves as it is."""
        said = reads(function.__code__)
        self.watch.complete = False
        found: list[Any] = []
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        for name, cell in cells:
            if name not in said.changed | said.marked and name != "__class__" and filled(cell):
                self.names.append((cell, name, cell.cell_contents))
                found.append(self._read(name, cell.cell_contents, said, depth))
        for name, chain in said.names:
            root = function.__globals__.get(name)
            # What else is read of a class or module is named one by one, of an object it is not.
            keeps_record = name in said.marked and not isinstance(root, type | types.ModuleType)
            if name in said.changed or keeps_record:
                continue
            held, place = followed(function.__globals__, name, chain)
            if held is not ABSENT:
                self.names.append((*place, held))
                found.append((name, chain, self._read(name, held, said, depth)))
        return tuple(found)

    def _read(self, name: str, held: Any, said: Reads, depth: int) -> Any:
        fills = name in said.filled and isinstance(held, list | dict | set | np.ndarray)
        return Same(held) if fills else self.around(held, depth)

    def around(self, held: Any, depth: int = 0) -> Any:
        """The fingerprint of a value that code reads, not one that a layer holds."""
        large = isinstance(held, np.ndarray) and held.nbytes > _LARGE
        # Objects of libraries are not walked through, but for what is called in a trace: layers,
        # losses.
        kind = type(held)
        walked = (
            f"{kind.__module__}.{kind.__name__}" in _SETTINGS
            or isinstance(held, types.FunctionType | types.MethodType | functools.partial)
            or (callable(held) if is_ours(kind) else not is_library(kind))
        )
        opaque = hasattr(held, "__dict__") and not walked
        return Same(held) if large or opaque else self.value(held, depth)

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
            if not is_library(x):
                return (Same(x), *self.surroundings(x, depth))
            self.watch.cells(x.__closure__ or ())
            cells = [c for c in (x.__closure__ or ()) if filled(c)]
            return (Same(x), *(self.value(c.cell_contents, depth) for c in cells))
        if isinstance(x, types.MethodType):
            return (self.value(x.__func__, depth), self.value(x.__self__, depth))
        if isinstance(x, functools.partial):
            return (
                functools.partial,
                *(self.value(v, depth) for v in (x.func, x.args, x.keywords)),
            )
        if isinstance(x, types.BuiltinFunctionType):
            return Same(x)
        if (layers := getattr(x, "_every_layer", None)) is not None and is_ours(layers):
            return (Same(x), *((Same(layer), self.layer(layer)) for layer in layers()))
        if (parts := getattr(x.__class__, "_traced_parts", None)) is not None:
            # Its other attributes follow from what it ran; these count as of the outermost.
            return (Same(x), *(self.value(getattr(x, name)) for name in parts))
        self.mutable = True
        if isinstance(x, list):
            self.watch.items(x)
            return (x.__class__, *(self.value(v, depth) for v in x.copy()))
        if isinstance(x, dict):
            self.watch.names(x, x.copy())
            pairs = [(self.value(k, depth), self.value(v, depth)) for k, v in x.copy().items()]
            return (x.__class__, *pairs)
        if isinstance(x, set | frozenset):
            if isinstance(x, set):
                self.watch.complete &= not x
                self.watch.items(x)
            return (x.__class__, frozenset(self.value(v, depth) for v in x.copy()))
        if isinstance(x, np.ndarray) and x.dtype != object:
            self.watch.complete = False
            return (np.ndarray, x.shape, x.dtype.str, x.tobytes())
        if hasattr(x, "__dict__") and _is_traced(x) and id(x) not in self._known:
            self._known[id(x)] = x
            methods = () if is_library(type(x)) else self.methods(type(x))
            return (Same(x), self.attributes(x, depth), methods)
        return Same(x)


def is_ours(part: Any) -> bool:
    """Whether a class or function is this library's."""
    return str(getattr(part, "__module__", None)).split(".")[0] == "fastnn"


@cached(512)
def _run_in_traces(cls: type) -> tuple[tuple[types.FunctionType, ...], tuple[str, ...]]:
    """The caller's methods that a trace of an object runs, and attributes of its classes they read.

    From those that are called by name: each method, or property, that one of them reads.
    """
    own = [c for c in cls.__mro__ if c is not object and not is_library(c)]
    waiting, seen, functions = list(_TRACED), set(_TRACED), []
    while waiting:
        name = waiting.pop()
        for c in own:
            held = vars(c).get(name)
            held = held.fget if isinstance(held, property) else getattr(held, "__func__", held)
            if isinstance(held, types.FunctionType) and not is_library(held):
                functions.append(held)
                read = reads(held.__code__).attributes - seen
                seen |= read
                waiting += sorted(read)
    names = [n for n in sorted(seen) if any(n in vars(c) for c in own) and n[:2] != "__"]
    return tuple(functions), tuple(names)


def _is_traced(x: Any) -> bool:
    """False for objects that act when weights are made, not when a layer is called."""
    return not type(x).__module__.startswith("fastnn.initializers")


def followed(
    place: dict[str, Any], name: str, chain: tuple[str, ...]
) -> tuple[Any, tuple[Any, str]]:
    """What a name and attributes of it give, and where; `ABSENT` for nothing of the caller's.

    A library's function is named through its module as a rule, and does not change.
    """
    where: tuple[Any, str] = (place, name)
    held = place.get(name, ABSENT)
    for inner in chain:
        if not isinstance(held, type | types.ModuleType) or is_library(held):
            break
        where, held = (held, inner), getattr(held, inner, ABSENT)
    if isinstance(held, type | types.ModuleType | property) or (
        isinstance(held, _CODE) and is_library(held)
    ):
        return ABSENT, where
    return held, where


def filled(cell: Any) -> bool:
    """Whether a cell of a closure holds a value."""
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True


def fingerprint(layers: Iterable[Any], opaque: tuple[type, ...]) -> tuple[Any, bool]:
    """The fingerprint of layers; and whether it must be taken anew each time.

    Else it holds while no attribute of a layer is set anywhere (`variables.structure_version`).
    """
    seen = Seen(opaque)
    parts = tuple((Same(layer), seen.layer(layer)) for layer in layers)
    return parts, seen.mutable or bool(seen.names)
