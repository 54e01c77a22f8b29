"""Traces of a step and the sizes that each serves: one for all sizes where the step allows it.

Which inner sizes a trace leaves open is its pattern. It begins with the axes that the model's
inputs leave open, and widens to axes whose size changes from batch to batch. Depends on `_core`,
`errors`, `recent`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from fastnn import _core
from fastnn._core import Dim, SizeGuards
from fastnn.base.recent import Recent
from fastnn.errors import ShapeError

__all__ = ["Pattern", "Traces", "value_in"]

#: How many sizes are remembered with the trace that serves them.
SERVED = 256
_clock = itertools.count()


class Pattern:
    """The inner sizes of some arrays, batch aside: numbers, and expressions where they are open."""

    key: tuple[tuple[str, ...], ...]
    shapes: list[list[Any]]

    __slots__ = ("_computed", "_fixed", "_named", "_numbers", "key", "shapes")

    def __init__(
        self, shapes: Sequence[Sequence[Any]], fixed: frozenset[tuple[int, int]] = frozenset()
    ) -> None:
        #: Arrays and axes whose size the model says: another one is a mistake.
        self._fixed = fixed
        self._numbers: list[tuple[int, int, int]] = []
        self._named: list[tuple[int, int, str]] = []
        self._computed: list[tuple[int, int, Dim]] = []
        own = {str(d) for shape in shapes for d in shape if _is_name(d)}
        told = [[_told(d, own, axis, len(s)) for axis, d in enumerate(s)] for s in shapes]
        for at, shape in enumerate(told):
            for axis, d in enumerate(shape):
                if not isinstance(d, Dim):
                    self._numbers.append((at, axis, d))
                elif _is_name(d):
                    self._named.append((at, axis, str(d)))
                else:
                    self._computed.append((at, axis, d))
        #: Per array, its sizes after the batch.
        self.shapes = told
        #: Hashable; equal patterns have equal keys.
        self.key = tuple(tuple(map(str, shape)) for shape in told)

    @classmethod
    def of(cls, leaves: Sequence[Any]) -> Pattern:
        """That of these arrays and of no others."""
        return cls([a.shape[1:] for a in leaves])

    @property
    def is_open(self) -> bool:
        """Whether more than one size fits."""
        return bool(self._named)

    def sizes(self, leaves: Sequence[Any]) -> dict[str, int] | None:
        """What the open sizes are in these arrays, by name; None where they do not fit."""
        for at, axis, n in self._numbers:
            if leaves[at].shape[axis + 1] != n:
                return None
        found: dict[str, int] = {}
        for at, axis, name in self._named:
            n = leaves[at].shape[axis + 1]
            # A size that is a name is taken to be 1 or more.
            if n == 0 or found.setdefault(name, n) != n:
                return None
        for at, axis, size in self._computed:
            if value_in(size, found) != leaves[at].shape[axis + 1]:
                return None
        return found

    def widened(self, leaves: Sequence[Any]) -> Pattern | None:
        """A pattern that takes these arrays too. Axes that change alike share a size.

        None where a size that the model says is another one.
        """
        found: dict[str, int] = {}
        fresh: dict[tuple[str, int], Dim] = {}
        shapes = []
        for at, (shape, a) in enumerate(zip(self.shapes, leaves, strict=True)):
            sizes: list[Any] = []
            for axis, (d, n) in enumerate(zip(shape, a.shape[1:], strict=True)):
                name = str(d) if _is_name(d) else None
                fits = n == (found.setdefault(name, n) if name else value_in(d, found))
                if not fits and (at, axis) in self._fixed:
                    return None
                if not fits and (str(d), n) not in fresh:
                    fresh[str(d), n] = _fresh(axis, len(shape))
                sizes.append(d if fits else fresh[str(d), n])
            shapes.append(sizes)
        return Pattern(shapes, self._fixed)


def _is_name(d: Any) -> bool:
    return isinstance(d, Dim) and d.names == [str(d)]


def value_in(size: Any, sizes: dict[str, int]) -> int | None:
    """The number that a size is for these sizes by name, None where they leave it open."""
    if isinstance(size, Dim):
        try:
            size = size.bind(sizes)
        except ShapeError:  # they do not go together
            return None
    return None if isinstance(size, Dim) else int(size)


def _told(d: Any, names: set[str], axis: int, rank: int) -> Any:
    """The size, or a name of its own where it is computed from names that no axis has."""
    if isinstance(d, Dim) and not names.issuperset(d.names):
        return _fresh(axis, rank)
    return d


def _fresh(axis: int, rank: int) -> Dim:
    size: Dim = _core.placeholder((None,) * (rank + 1)).shape[axis + 1]
    return size


class Trace:
    """What was traced, and which sizes it serves."""

    guards: SizeGuards | None
    key: Any
    used: int
    value: Any

    __slots__ = ("function", "guards", "key", "used", "value")

    def __init__(
        self, key: Any, function: _core.Function, value: Any, guards: SizeGuards | None
    ) -> None:
        self.key, self.function, self.value, self.guards = key, function, value, guards
        #: When it was found the last time.
        self.used = next(_clock)

    def serves(self, sizes: dict[str, int], leaves: Sequence[Any]) -> bool:
        """Whether it is right for arrays whose open sizes are these."""
        if self.guards is not None and not self.guards.hold(sizes):
            return False
        try:
            self.function.check([a.shape for a in leaves])
        except Exception:
            # Sizes that do not go together are told by a trace for them alone, which knows layers.
            return False
        return True


class Traces:
    """The latest traces of a model, found by the sizes of the data.

    `make(shapes)` traces for inner sizes and gives the function and what is to be kept.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        #: Those of one pattern differ in what they concluded from sizes.
        self._made: dict[Any, tuple[Trace, ...]] = {}
        #: The trace that serves these very sizes.
        self._serving: dict[Any, Trace] = {}
        #: The widest pattern so far, None where the step must know all sizes.
        self._patterns: Recent = Recent(count)

    def find(self, exact: Any) -> Any:
        """What was kept for these sizes, None where `make` has to look further."""
        trace = self._serving.get(exact)
        if trace is None:
            return None
        trace.used = next(_clock)
        return trace.value

    def make(
        self,
        exact: tuple[Any, Any],
        form: Any,
        leaves: Sequence[Any],
        guess: Callable[[], Pattern],
        make: Callable[[Sequence[Any]], tuple[_core.Function, Any]],
        signature: Callable[[], Any],
    ) -> Any:
        """Traces for these arrays unless a trace for other sizes serves them too.

        exact: what `find` did not know: key of the arrays' sizes, and of the model as it is.
        form: key of all but the sizes. guess: the first pattern of this form.
        signature: key of the model as it is after tracing, which may build layers.
        """
        alone = self._made.get(exact)
        if alone:
            return self._serve(exact, alone[0])
        held = self._patterns.find(form)
        pattern = held[0] if held is not None else guess()
        failed = False
        if pattern is not None and all(all(a.shape[1:]) for a in leaves):
            wider = pattern.sizes(leaves) is None
            if wider:
                pattern = pattern.widened(leaves)
            if pattern is not None and pattern.is_open:
                trace, failed = self._open(form, pattern, wider, leaves, make, exact[1], signature)
                if trace is not None:
                    self._patterns.keep(form, (pattern,))
                    return self._serve((exact[0], trace.key[2]), trace)
            elif held is None and pattern is not None:
                self._patterns.keep(form, (pattern,))
        function, value = make(Pattern.of(leaves).shapes)
        if failed:
            self._patterns.keep(form, (None,))
        key = (exact[0], signature())
        trace = Trace(key, function, value, None)
        self._keep(trace)
        return self._serve(key, trace)

    def _open(
        self,
        form: Any,
        pattern: Pattern,
        wider: bool,
        leaves: Sequence[Any],
        make: Callable[[Sequence[Any]], tuple[_core.Function, Any]],
        before: Any,
        signature: Callable[[], Any],
    ) -> tuple[Trace | None, bool]:
        """A trace with open sizes for these arrays, if there can be one; whether tracing failed."""
        found = pattern.sizes(leaves)
        if found is None:
            return None, False
        known = self._made.get((form, pattern.key, before), ())
        for trace in known:
            if trace.serves(found, leaves):
                return trace, False
        guards = SizeGuards(found)
        try:
            with guards:
                function, value = make(pattern.shapes)
        except Exception:
            # The trace for these sizes alone works, or says better what is wrong.
            return None, True
        key = (form, pattern.key, signature())
        trace = Trace(key, function, value, guards)
        if trace.serves(found, leaves):
            self._keep(trace)
            return trace, False
        if not wider:
            self._keep(trace)  # others may fit it
        return None, False

    def _serve(self, exact: Any, trace: Trace) -> Any:
        if len(self._serving) >= SERVED:
            self._serving.clear()
        self._serving[exact] = trace
        trace.used = next(_clock)
        return trace.value

    def _keep(self, trace: Trace) -> None:
        self._made[trace.key] = (trace, *self._made.get(trace.key, ()))
        every = self._every()
        if len(every) > self._count:
            oldest = min(every, key=lambda t: t.used)
            left = tuple(t for t in self._made.get(oldest.key, ()) if t is not oldest)
            self._made[oldest.key] = left
            if not left:
                self._made.pop(oldest.key, None)
        # Nothing that was forgotten is held by the sizes that it served.
        self._serving.clear()

    def _every(self) -> list[Trace]:
        return [trace for traces in self._made.copy().values() for trace in traces]

    def clear(self) -> None:
        """Forgets everything."""
        self._made.clear()
        self._serving.clear()
        self._patterns.clear()

    def keys(self) -> list[Any]:
        """What each trace is for."""
        return [trace.key for trace in self._every()]

    def __len__(self) -> int:
        return len(self._every())
