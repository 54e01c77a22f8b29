"""`GradientTape`: gradients of values that were computed one by one, as in TensorFlow.

What is computed inside the tape's block runs lazily as always, but keeps what it was computed from,
so values may be read and branched on before `gradient` is asked. Each operation is a small program
of its own and the gradient is compiled anew for each new structure: `value_and_grad` and `fit` make
one program of the whole step and are several times faster. Depends on `variables`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import numpy as np

from fastnn import _core
from fastnn._core import Tensor
from fastnn.base import tree
from fastnn.base.arguments import hints_arguments
from fastnn.errors import TraceError
from fastnn.tracing.variables import Scope, Variable, current_scope, pulled

__all__ = ["GradientTape"]


def _has_derivatives(source: Tensor) -> bool:
    """Whether there are derivatives by a source; a type of whole numbers would cut them to one."""
    return "float" in source.dtype


def _warn_of_whole_numbers(sources: list[Any]) -> None:
    for source in sources:
        if not _has_derivatives(source):
            warnings.warn(
                f"there is no derivative by a source of type {source.dtype}, which moves in whole "
                "steps: ops.cast(x, 'float32') before the tape watches it",
                stacklevel=3,
            )


class _TapeScope(Scope):
    """Values of variables as a tape records them; assignments write through."""

    eager = True

    def __init__(self, tape: GradientTape) -> None:
        super().__init__()
        self.tapes.append(tape)

    def assign(self, variable: Variable, value: Any) -> Tensor:
        scope: Any = self
        while isinstance(scope, _TapeScope):
            scope.leaves.pop(variable, None)
            scope = scope._outer
        variable.store(value)
        return self.get(variable)


class GradientTape:
    """Records what is computed in its block, for `gradient`.

    Trainable variables are watched when they are read; other tensors with `watch`. What is computed
    before the block, after it, or while it does not record is a constant to the tape. Inside a
    traced step (a `train_step`, `fastnn.jit`) the tape is part of the one compiled program.

    Args:
        persistent: keep the record after the first `gradient`; it goes with the tape.
        watch_accessed_variables: watch trainable variables without being told.

    Example:
        >>> import fastnn as tf
        >>> x = tf.Variable(3.0)
        >>> with tf.GradientTape() as tape:
        ...     y = x**2
        >>> float(tape.gradient(y, x))
        6.0
    """

    def __init__(self, persistent: bool = False, watch_accessed_variables: bool = True) -> None:
        self._persistent = persistent
        self._watches = watch_accessed_variables
        self._recording = _core.Recording()
        #: The scope that the tape adds, None inside a step, which has one.
        self._scope: _TapeScope | None = None
        self._traced: Scope | None = None
        self._records = False
        #: The variables that `watch` was told of.
        self._told: set[Variable] = set()
        #: Of each watched variable the values that were read, by identity, with the tape's own
        #: handles on them: the variable's gradient is the sum of theirs.
        self._read: dict[Variable, dict[int, tuple[Tensor, Tensor]]] = {}
        self._used = False

    def __enter__(self) -> Self:
        scope = current_scope()
        if scope is not None and not scope.eager:
            self._traced = scope
            scope.tapes.append(self)
        else:
            self._scope = self._scope or _TapeScope(self)
            self._scope.__enter__()
        self._start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()
        if self._traced is not None:
            self._traced.tapes.remove(self)
            self._traced = None
        elif self._scope is not None:
            self._scope.__exit__(kind, error, trace)

    def _start(self) -> None:
        self._records = True
        self._recording.start()

    def _stop(self) -> None:
        self._records = False
        self._recording.stop()

    def watches(self, variable: Variable) -> bool:
        """Whether reads of a variable in the block are recorded."""
        return variable in self._told or (self._watches and variable.trainable)

    def note(self, variable: Variable, value: Tensor) -> Tensor:
        """Told by the scope of every read of a variable; gives what the block computes with."""
        if not self._records or not self.watches(variable):
            return value
        values = self._read.setdefault(variable, {})
        found = values.get(id(value))
        if found is None:
            # What was read before the block is a constant to the tape: a handle of its own.
            fresh = self._scope is not None and self._scope._outer is None
            own = value if fresh else self._apart(value)
            found = values[id(value)] = (value, own)
            self._recording.watch(own)
        return found[1]

    def _apart(self, value: Tensor) -> Tensor:
        """The value as a handle from which this tape, unlike others, does not get to the value,
        were that watched as well.
        """
        self._stop()
        between = value.reshape(*value.shape)
        self._start()
        return between.reshape(*value.shape)

    def watch(self, tensor: Any) -> None:
        """Records what is computed from a tensor, or from all tensors of a nested structure."""
        for x in tree.flatten(tensor):
            if isinstance(x, Variable):
                self._told.add(x)
                _ = x.value  # inside the block a read is noted
                continue
            if not isinstance(x, Tensor):
                raise TypeError(
                    f"watch: got a {type(x).__name__}, wanted a tensor\n"
                    "  hint: x = fastnn.constant(array) first, and compute with that x"
                )
            self._recording.watch(x)

    def watched_variables(self) -> tuple[Variable, ...]:
        """The variables that are watched: the trainable ones that were read, those told of."""
        return tuple(self._read)

    @contextmanager
    def stop_recording(self) -> Iterator[None]:
        """A block within the tape's block that is not recorded."""
        self._stop()
        try:
            yield
        finally:
            self._start()

    def reset(self) -> None:
        """Forgets everything."""
        self._recording.close()
        self._read.clear()
        self._told.clear()
        if self._scope is not None:
            self._scope.leaves.clear()
            self._scope.read.clear()
        if self._records:
            self._recording.start()

    @hints_arguments
    def gradient(
        self,
        target: Any,
        sources: Any,
        output_gradients: Any = None,
        unconnected_gradients: str = "none",
    ) -> Any:
        """The derivatives of `target` by each of `sources`, in the structure of `sources`.

        Elements of several targets, or of a target that is no scalar, are summed, weighted by
        `output_gradients`. A source that the target does not depend on, or that is no float, gives
        None, or zeros with `unconnected_gradients="zero"`.

        Raises:
            TypeError: a target is no tensor, for instance because `float()` was taken of it.
            RuntimeError: a second call on a tape that is not persistent.
        """
        kind = getattr(unconnected_gradients, "value", unconnected_gradients)
        if kind not in ("none", "zero"):
            raise ValueError(f"unconnected_gradients is {kind!r}\n  hint: 'none' or 'zero'")
        if self._used and not self._persistent:
            raise RuntimeError(
                "a tape that is not persistent gives one set of gradients, and they were taken\n"
                "  hint: GradientTape(persistent=True)"
            )
        targets = [self._target(t) for t in tree.flatten(target)]
        nested = isinstance(target, dict | list | tuple)
        given = output_gradients
        weights = self._weights(targets, given if nested or given is None else [given])
        leaves = [self._values(s) for s in tree.flatten(sources)]
        flat = [x for values in leaves for x in values]
        totals: list[Any] = [None] * len(flat)
        record = self._recording
        scope = current_scope() if self._scope is None else self._scope
        own = (
            [] if scope is None else [g for g in scope.own_gradients if record.holds(g.results[0])]
        )
        flowing = [
            pair
            for y, dy in zip(targets, weights, strict=True)
            for pair in (pulled(y, dy, own, self._by_results) if own else [(y, dy)])
        ]
        for y, dy in flowing:
            if not record.holds(y):
                continue
            reached = record.depends_on(y, flat)
            wanted = [i for i, x in enumerate(flat) if reached[i] and record.holds(x)]
            _warn_of_whole_numbers([flat[i] for i in wanted])
            wanted = [i for i in wanted if _has_derivatives(flat[i])]
            if not wanted:
                continue
            found = record.gradients(y, [flat[i] for i in wanted], dy)
            for i, g in zip(wanted, found, strict=True):
                totals[i] = g if totals[i] is None else totals[i] + g
        out, at = [], 0
        for source, values in zip(tree.flatten(sources), leaves, strict=True):
            parts = [g for g in totals[at : at + len(values)] if g is not None]
            at += len(values)
            total: Any = None
            for g in parts:
                total = g if total is None else total + g
            for y, dy in zip(tree.flatten(target), weights, strict=True):
                if y is source and isinstance(y, Variable) and y.trainable and not values:
                    # A target that was not read: its gradient by itself.
                    one = _core.tensor(np.ones(y.shape, np.float32)) if dy is None else dy
                    total = one if total is None else total + one
            if total is None and kind == "zero":
                value = source.value if isinstance(source, Variable) else source
                total = _core.ops.multiply(_core.ops.stop_gradient(value), 0.0)
            out.append(total)
        if not self._persistent:
            self._used = True
            self._settle(out)
        return tree.pack(sources, out)

    def note_result(self, results: list[Tensor]) -> None:
        """Told of results that are leaves: their gradient is written by the user."""
        if self._records:
            for x in results:
                self._recording.watch(x)

    def _by_results(self, y: Tensor, xs: Any, dy: Any) -> list[Any]:
        """Gradients by leaves, None where none flows."""
        record = self._recording
        if not record.holds(y):
            return [None] * len(xs)
        at = [i for i, flows in enumerate(record.depends_on(y, xs)) if flows]
        found: list[Any] = [None] * len(xs)
        if at:
            for i, g in zip(at, record.gradients(y, [xs[i] for i in at], dy), strict=True):
                found[i] = g
        return found

    def _settle(self, gradients: list[Any]) -> None:
        """Computes the gradients, unless they are traced, and lets the record go."""
        if not any(isinstance(g, Tensor) and g.is_traced for g in gradients):
            for g in gradients:
                if g is not None:
                    np.asarray(g)
        self._recording.close()

    def _target(self, y: Any) -> Tensor:
        if isinstance(y, Variable):
            return (self._values(y) or [_core.ops.stop_gradient(y.value)])[-1]
        if isinstance(y, Tensor):
            return y
        raise TypeError(
            f"gradient: the target is a {type(y).__name__}, wanted a tensor\n"
            "  hint: float(), .numpy() and NumPy functions leave the tape; use fastnn.ops"
        )

    def _weights(self, targets: list[Tensor], given: Any) -> list[Any]:
        if given is None:
            return [None] * len(targets)
        flat = list(given) if isinstance(given, list) else tree.flatten(given)
        if len(flat) != len(targets):
            raise ValueError(
                f"{len(flat)} output_gradients for {len(targets)} targets\n  hint: one per target"
            )
        return [
            w if w is None or isinstance(w, Tensor) else _core.tensor(np.asarray(w, np.float32))
            for w in flat
        ]

    def _values(self, source: Any) -> list[Tensor]:
        """The tensors whose gradients add up to that of a source."""
        if isinstance(source, Variable):
            return [own for _, own in self._read.get(source, {}).values()]
        if isinstance(source, Tensor):
            return [source]
        raise TypeError(
            f"gradient: a source is a {type(source).__name__}, wanted a variable or a tensor\n"
            "  hint: tape.watch(x) for the tensor x that the target was computed from"
        )

    def jacobian(self, target: Any, sources: Any, **_: Any) -> Any:
        """The derivatives of each element of `target`: axes of the target, then of the source.

        Computed row by row, so the cost grows with the size of the target.
        """
        y = self._target(target)
        if None in y.shape:
            raise TraceError(
                f"jacobian: the target has shape {y.shape}\n  hint: a target of known sizes"
            )
        size = int(np.prod(y.shape))
        kept, self._persistent = self._persistent, True
        try:
            rows = []
            for i in range(size):
                weight = np.zeros(size, np.float32)
                weight[i] = 1.0
                rows.append(
                    tree.flatten(self.gradient(y, sources, weight.reshape(y.shape), "zero"))
                )
        finally:
            self._persistent = kept
        flat = tree.flatten(sources)
        out = []
        for column, source in zip(zip(*rows, strict=True), flat, strict=True):
            stacked = _core.ops.stack(*column, axis=0)
            out.append(stacked.reshape((*y.shape, *source.shape)))
        if not self._persistent:
            self._used = True
            self._settle(out)
        return tree.pack(sources, out)

    def batch_jacobian(self, target: Any, source: Any, **_: Any) -> Any:
        """The jacobian of each sample: (batch, target sizes, source sizes)."""
        whole = self.jacobian(target, source)
        n, rank = int(target.shape[0]), len(target.shape)
        parts = [whole[(i, *(slice(None),) * (rank - 1), i)] for i in range(n)]
        return _core.ops.stack(*parts, axis=0)
