"""`GradientTape`: gradients of values that were computed one by one, as in TensorFlow.

What is computed inside the tape's block runs lazily as always, but keeps what it was computed from,
so values may be read and branched on before `gradient` is asked. Each operation is a small program
of its own and the gradient is compiled anew for each new structure: `value_and_grad` and `fit` make
one program of the whole step and are several times faster. Depends on `variables`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import numpy as np

from fastnn import _core
from fastnn._core import Tensor
from fastnn.base import tree
from fastnn.errors import TraceError
from fastnn.tracing.variables import Scope, Variable, current_scope

__all__ = ["GradientTape"]


class _TapeScope(Scope):
    """Values of variables as a tape records them; assignments write through."""

    eager = True

    def __init__(self, tape: GradientTape) -> None:
        super().__init__()
        self.tape = tape

    def leaf(self, variable: Variable) -> Tensor:
        leaf = self.leaves.get(variable)
        if leaf is None:
            outer = self._outer
            leaf = outer.leaf(variable) if outer is not None else variable.stored()
            self.leaves[variable] = leaf
            self.read.setdefault(variable, []).append(leaf)
            if self.tape._watches and variable.trainable:
                self.tape._recording.watch(leaf)
        return leaf

    def assign(self, variable: Variable, value: Any) -> Tensor:
        scope: Any = self
        while isinstance(scope, _TapeScope):
            scope.leaves.pop(variable, None)
            scope = scope._outer
        variable.store(value)
        return self.leaf(variable)


class GradientTape:
    """Records what is computed in its block, for `gradient`.

    Trainable variables are watched when they are read; other tensors with `watch`. Inside a traced
    step (a `train_step`, `fastnn.jit`) the tape is part of the one compiled program.

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
        self._scope: _TapeScope | None = None
        self._traced: Scope | None = None
        self._used = False

    def __enter__(self) -> Self:
        scope = current_scope()
        if scope is not None and not scope.eager:
            self._traced = scope
            return self
        if self._scope is None:
            self._scope = _TapeScope(self)
        self._scope.__enter__()
        self._recording.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._traced is None and self._scope is not None:
            self._recording.stop()
            self._scope.__exit__(kind, error, trace)

    def watch(self, tensor: Any) -> None:
        """Records what is computed from a tensor, or from all tensors of a nested structure."""
        for x in tree.flatten(tensor):
            if isinstance(x, Variable):
                x = self._scope.leaf(x) if self._scope is not None else x.value
            if not isinstance(x, Tensor):
                raise TypeError(
                    f"watch: got a {type(x).__name__}, wanted a tensor\n"
                    "  hint: x = fastnn.constant(array) first, and compute with that x"
                )
            if self._traced is None:
                self._recording.watch(x)

    def watched_variables(self) -> tuple[Variable, ...]:
        """The trainable variables that were read."""
        read = self._scope.read if self._scope is not None else {}
        return tuple(v for v in read if v.trainable)

    @contextmanager
    def stop_recording(self) -> Iterator[None]:
        """A block within the tape's block that is not recorded."""
        self._recording.stop()
        try:
            yield
        finally:
            self._recording.start()

    def reset(self) -> None:
        """Forgets everything."""
        self._recording.close()
        if self._scope is not None:
            self._scope.leaves.clear()
            self._scope.read.clear()
            self._recording.start()

    def gradient(
        self,
        target: Any,
        sources: Any,
        output_gradients: Any = None,
        unconnected_gradients: str = "none",
    ) -> Any:
        """The derivatives of `target` by each of `sources`, in the structure of `sources`.

        Elements of several targets, or of a target that is no scalar, are summed, weighted by
        `output_gradients`. A source that the target does not depend on gives None, or zeros with
        `unconnected_gradients="zero"`.

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
        for y, dy in zip(targets, weights, strict=True):
            if not self._recorded(y):
                continue
            reached = _core.depends_on(y, flat)
            wanted = [i for i, x in enumerate(flat) if reached[i] and self._recorded(x)]
            if not wanted:
                continue
            for i, g in zip(wanted, _core.gradients(y, [flat[i] for i in wanted], dy), strict=True):
                totals[i] = g if totals[i] is None else totals[i] + g
        out, at = [], 0
        for values in leaves:
            parts = [g for g in totals[at : at + len(values)] if g is not None]
            at += len(values)
            total: Any = None
            for g in parts:
                total = g if total is None else total + g
            if total is None and kind == "zero":
                total = _core.ops.multiply(_core.ops.stop_gradient(values[0]), 0.0)
            out.append(total)
        if self._traced is None and not self._persistent:
            self._used = True
            self._settle(out)
        return tree.pack(sources, out)

    def _recorded(self, x: Tensor) -> bool:
        """Whether the tape has followed a tensor; inside a traced step all are known."""
        return self._traced is not None or x.is_recorded

    def _settle(self, gradients: list[Any]) -> None:
        """Computes the gradients, unless an outer tape records them, and lets the record go."""
        if not any(isinstance(g, Tensor) and g.is_traced for g in gradients):
            for g in gradients:
                if g is not None:
                    g.numpy()
        self._recording.close()

    def _target(self, y: Any) -> Tensor:
        if isinstance(y, Variable):
            return self._values(y)[0]
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
            if self._traced is not None:
                return self._traced.sources(source)
            read = self._scope.read.get(source) if self._scope is not None else None
            return read or [source.stored()]
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
        if self._traced is None and not self._persistent:
            self._used = True
            self._settle(out)
        return tree.pack(sources, out)

    def batch_jacobian(self, target: Any, source: Any, **_: Any) -> Any:
        """The jacobian of each sample: (batch, target sizes, source sizes)."""
        whole = self.jacobian(target, source)
        n, rank = int(target.shape[0]), len(target.shape)
        parts = [whole[(i, *(slice(None),) * (rank - 1), i)] for i in range(n)]
        return _core.ops.stack(*parts, axis=0)
