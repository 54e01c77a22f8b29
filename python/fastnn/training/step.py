"""Steps and predictions, traced once per shape of the data. Depends on `_core`, `variables`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn import _core
from fastnn._core import Tensor
from fastnn.base import tree
from fastnn.base.recent import Recent
from fastnn.data.batches import pack
from fastnn.layers.base.layer import Layer
from fastnn.metrics.metric import metric_variables
from fastnn.tracing.call_context import CallContext
from fastnn.tracing.fingerprint import fingerprint
from fastnn.tracing.symbolic import value_of
from fastnn.tracing.variables import Scope, Variable, current_scope, structure_version
from fastnn.training.diagnostics import batch_is_open
from fastnn.training.program import Program, keep

__all__ = ["KEPT_PREDICTORS", "KEPT_STEPS", "Tracing", "gradients"]

#: How many compiled steps and predictors a model keeps: one per shape of the data, batch aside.
KEPT_STEPS, KEPT_PREDICTORS = 32, 16

#: What `model(x)` and `predict` run on one plain array: the shape of a row, the structure version
#: at which its trace was last known to be of the layers as they are, the traced inference graph,
#: and whether `model(x)` is that graph and nothing else. One attribute: each costs a call time.
Shortcut = tuple[Any, int, _core.Function | None, bool]
NO_SHORTCUT: Shortcut = (None, -1, None, False)


class Tracing:
    """The part of a model that turns its steps into programs of the core."""

    metrics: Any
    train_step: Any
    test_step: Any
    predict_step: Any
    trainable_variables: list[Variable]
    _every_layer: Any
    _shortcut: Shortcut = NO_SHORTCUT

    def _init_traces(self) -> None:
        self._programs: Recent = Recent(KEPT_STEPS)
        self._predictors: Recent = Recent(KEPT_PREDICTORS)
        self._shortcut = NO_SHORTCUT
        self._shortcut_of: Any = None
        #: The structure version at which the fingerprint was last taken, -1 where a value in it can
        #: change without a new version; and the fingerprint.
        self._signature_at: tuple[int, Any] = (-1, None)
        self._steps_at: tuple[int, Any] = (-1, None)

    def _signature(self, steps: bool = False) -> Any:
        """Equal while layers and their attributes are; for steps also what `compile` chose."""
        version = structure_version()
        kept = self._steps_at if steps else self._signature_at
        if kept[0] == version:
            return kept[1]
        opaque = (Layer, Variable, Tensor)
        signature: Any
        if steps:
            layers = self._signature()
            trained = tuple(id(v) for v in self.trainable_variables)
            names = ("optimizer", "_compiled_loss", "_compiled_metrics")
            chosen, mutable = fingerprint((), [self.__dict__.get(k) for k in names], opaque)
            signature = (layers, trained, chosen)
            mutable |= self._signature_at[0] < 0
        else:
            signature, mutable = fingerprint(self._every_layer(), (), opaque)
        if signature == kept[1]:
            signature = kept[1]
        kept = (-1 if mutable else version, signature)
        if steps:
            self._steps_at = kept
        else:
            self._signature_at = kept
        return signature

    def _look_again(self) -> None:
        """At the start of a run: optimiser, losses and metrics may have been changed in place."""
        self._steps_at = (-1, self._steps_at[1])

    def _is_current(self) -> bool:
        """Whether the shortcut is of the layers as they are."""
        if self._shortcut_of is not self._signature():
            return False
        shape, version, function, whole = self._shortcut
        if version != self._signature_at[0]:
            self._shortcut = (shape, self._signature_at[0], function, whole)
        return True

    def _program(self, kind: str, data: tuple[Any, Any, Any]) -> Program:
        x, y, w = data
        key = (kind, _tree_key(x), _tree_key(y), _tree_key(w), self._signature(True))
        program: Program | None = self._programs.find(key)
        if program is None:
            program = self._trace(kind, data)
            key = (*key[:4], self._signature(True))
            self._programs.keep(key, program)
        return program

    def _trace(self, kind: str, data: tuple[Any, Any, Any]) -> Program:
        feeds: list[Tensor] = []

        def stand_in(a: Any) -> Tensor:
            feed = _core.placeholder((None, *a.shape[1:]), dtype=str(a.dtype))
            feeds.append(feed)
            return feed

        inputs = tuple(tree.map_structure(stand_in, part) for part in data)
        train = kind == "train"
        with Scope(training=train) as scope, CallContext(train), batch_is_open():
            logs = (self.train_step if train else self.test_step)(pack(*inputs))
        updates = scope.updates()
        found, reset = self.metrics, metric_variables(self)
        values: dict[str, Any] = {}
        vectors = []
        tracked = {m.name: m for m in found}
        with Scope():
            for name, value in logs.items():
                if name in tracked and _holds_updates(tracked[name], scope):
                    value = value_of(tracked[name].result())
                    if value.shape != ():
                        vectors.append(tracked[name])
                        continue
                    values[name] = value
                else:
                    values[name] = keep(name, value, updates)
        step = _core.Function(feeds, [], updates)
        return Program(step, values, reset, vectors, found)

    def _feed_shapes(self, x: Any) -> list[tuple[Any, ...]]:
        """What a trace is made for: the sizes of the leaves of `x`, open where the model's are."""
        leaves = tree.flatten(x)
        given = [(None, *a.shape[1:]) for a in leaves]
        names = getattr(self, "input_names", None)
        specs = getattr(self, "inputs", None) if names else None
        if not names or not specs or len(specs) != len(leaves):
            return given
        by_name = dict(zip(names, specs, strict=True))
        if isinstance(x, dict) and set(x) != set(by_name):
            return given
        specs = tree.flatten({n: by_name[n] for n in x}) if isinstance(x, dict) else specs
        for at, (a, spec) in enumerate(zip(leaves, specs, strict=True)):
            wanted = spec.spec.shape
            if len(wanted) == a.ndim:
                inner = zip(wanted[1:], a.shape[1:], strict=True)
                given[at] = (None, *(n if isinstance(d, int) else d for d, n in inner))
        return given

    def _predict_function(self, x: Any) -> tuple[_core.Function, Any]:
        shapes = self._feed_shapes(x)
        sizes = tuple(tuple(str(d) for d in shape) for shape in shapes)
        kinds = tuple(a.dtype.char for a in tree.flatten(x))
        nesting = None if isinstance(x, np.ndarray) else tree.structure(x)
        key = ((nesting, sizes, kinds), self._signature())
        found = self._predictors.find(key)
        if found is not None:
            return found  # type: ignore[no-any-return]
        feeds: list[Tensor] = []

        def stand_in(a: Any) -> Tensor:
            feed = _core.placeholder(shapes[len(feeds)], dtype=str(a.dtype))
            feeds.append(feed)
            return feed

        inputs = tree.map_structure(stand_in, x)
        with Scope(training=False) as scope, CallContext(False):
            out = self.predict_step(pack(inputs))
        function = _core.Function(feeds, tree.flatten(out), scope.updates())
        key = (key[0], self._signature())  # a first call may have built layers
        self._predictors.keep(key, (function, out))
        plain = len(feeds) == 1 and isinstance(out, Tensor) and feeds[0].dtype == "float32"
        if plain and not scope.updates():
            shape = tree.flatten(x)[0].shape
            whole = not scope.losses and self._callable_fast()  # type: ignore[attr-defined]
            self._shortcut = (tuple(shape[1:]), self._signature_at[0], function, whole)
            self._shortcut_of = key[1]
        return function, out

    def _forget_traces(self) -> None:
        self._programs.clear()
        self._predictors.clear()
        self._shortcut, self._shortcut_of = NO_SHORTCUT, None


def gradients(loss: Any, variables: Sequence[Variable]) -> list[Tensor]:
    """Gradients of a scalar by variables, inside a trace or on lazy values."""
    scope = current_scope()
    if scope is None:
        return _core.gradients(loss, [v.value for v in variables])
    return _core.gradients(loss, [scope.leaf(v) for v in variables])


def _tree_key(t: Any) -> Any:
    if t.__class__ is np.ndarray:
        return (t.shape[1:], t.dtype.char)
    if t is None:
        return None
    leaves = tuple((a.shape[1:], a.dtype.char) for a in tree.flatten(t))
    return (tree.structure(t), leaves)


def _holds_updates(metric: Any, scope: Scope) -> bool:
    return any(v in scope.values for v in metric.variables)
