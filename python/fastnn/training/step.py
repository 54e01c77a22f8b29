"""Steps and predictions, traced for all sizes of the data. Depends on `traces`, `variables`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastnn import _core
from fastnn._core import Tensor
from fastnn.base import tree
from fastnn.config import are_targets_checked
from fastnn.data.batches import pack
from fastnn.devices import choice
from fastnn.errors import ShapeError, TraceError
from fastnn.layers.base.layer import Layer
from fastnn.layers.preprocessing.host import fed
from fastnn.losses.targets import feeding
from fastnn.metrics.metric import metric_variables
from fastnn.tracing.call_context import CallContext
from fastnn.tracing.fingerprint import Seen, Signature, fingerprint, is_ours
from fastnn.tracing.ranks import current_step
from fastnn.tracing.symbolic import value_of
from fastnn.tracing.traces import Pattern, Traces, value_in
from fastnn.tracing.variables import Scope, Variable, structure_version
from fastnn.tracing.watch import Watch
from fastnn.training.diagnostics import batch_is_open
from fastnn.training.program import Program, flat_logs, keep

__all__ = ["KEPT_PREDICTORS", "KEPT_STEPS", "Tracing"]

#: How many traced steps and predictors a model keeps; one serves all sizes where the layers allow.
KEPT_STEPS, KEPT_PREDICTORS = 32, 16

#: What `model(x)` and `predict` run on one plain array: the shape of a row, the structure version
#: at which its trace was last known to be of the layers as they are, the traced inference graph,
#: and whether `model(x)` is that graph and nothing else. One attribute: each costs a call time.
Shortcut = tuple[Any, int, _core.Function | None, bool]
NO_SHORTCUT: Shortcut = (None, -1, None, False)

#: What `compile` chose, which steps are traced with.
_CHOSEN = ("optimizer", "_compiled_loss", "_compiled_metrics")


class Tracing:
    """The part of a model that turns its steps into programs of the core."""

    metrics: Any
    train_step: Any
    test_step: Any
    predict_step: Any
    reset_metrics: Any
    trainable_variables: list[Variable]
    _every_layer: Any
    _shortcut: Shortcut = NO_SHORTCUT
    #: The rows of every batch that predictions are traced for; None: any number.
    _leading: int | None = None
    #: What `compile(device=...)` named.
    _compiled_device: str | None = None
    #: The kinds of steps that are written for batches of known sizes, so each size has its trace.
    _sized_steps: frozenset[str] = frozenset()
    #: Rows of a batch, by which `auto` measures; and what it said.
    _auto_rows: int = 32
    _auto_reason: str = ""

    def _init_traces(self) -> None:
        self._step_programs: Traces = Traces(KEPT_STEPS)
        self._predict_programs: Traces = Traces(KEPT_PREDICTORS)
        #: Predictors on other devices.
        self._predictors_placed = choice.Placements(KEPT_PREDICTORS)
        #: Calls on other devices, made when there is one.
        self._device_calls: Any = None
        self._shortcut = NO_SHORTCUT
        self._shortcut_of: Any = None
        #: The structure version at which the fingerprint was last taken, -1 where a value in it can
        #: change without a new version; and the fingerprint.
        self._signature_at: tuple[int, Any] = (-1, None)
        self._steps_at: tuple[int, Any] = (-1, None)
        #: The version and choices that a fingerprint of steps is for, what tells that it holds, and
        #: the fingerprint: one attribute, for several threads.
        self._traces_watched: tuple[Any, Watch, Any] = (None, Watch(), None)

    def _trace_signature(self, steps: bool = False) -> Any:
        """Equal while layers and their attributes are; for steps also what `compile` chose."""
        version = structure_version()
        kept = self._steps_at if steps else self._signature_at
        if kept[0] == version:
            return kept[1]
        opaque = (Layer, Variable, Tensor)
        if not steps:
            signature, mutable = fingerprint(self._every_layer(), opaque)
            if signature == kept[1]:
                signature = kept[1]
            self._signature_at = (-1 if mutable else version, signature)
            return signature
        chosen = [self.__dict__.get(k) for k in _CHOSEN]
        layers, checked = self._trace_signature(), are_targets_checked()
        layers_at = self._signature_at[0]
        facts = (layers_at, layers, checked, *map(id, chosen))
        before, watch, signature = self._traces_watched
        if layers_at == version and before == facts and watch.is_unchanged():
            self._steps_at = (version, signature)
            return signature
        seen = Seen(opaque)
        trained = tuple(id(v) for v in self.trainable_variables)
        signature = Signature((layers, trained, tuple(map(seen.value, chosen)), checked))
        if signature == kept[1]:
            signature = kept[1]
        self._steps_at = (-1 if layers_at < 0 else version, signature)
        self._traces_watched = (facts, seen.watch, signature)
        return signature

    def _look_again(self) -> None:
        """At the start of a run: optimiser, losses and metrics may have been changed in place."""
        self._steps_at = (-1, self._steps_at[1])

    def _signature_after(self) -> Any:
        """The fingerprint after a trace, which may have built the optimiser's state and metrics."""
        self._look_again()
        return self._trace_signature(True)

    def _is_current(self) -> bool:
        """Whether the shortcut is of the layers as they are."""
        if self._shortcut_of is not self._trace_signature():
            return False
        shape, version, function, whole = self._shortcut
        if version != self._signature_at[0]:
            self._shortcut = (shape, self._signature_at[0], function, whole)
        return True

    def _whole_program(self, kind: str, data: Any, batch_size: int) -> Program | None:
        """The compiled step over whole arrays; None where it has to know the rows of each batch."""
        if kind in self._sized_steps:
            return None
        try:
            return self._step_program(
                kind, data.parts, lambda: data.part(0, min(batch_size, data.n)).parts
            )
        except _SizedStep:
            return None

    def _step_program(
        self,
        kind: str,
        data: tuple[Any, Any, Any],
        batch: Callable[[], tuple[Any, Any, Any]] | None = None,
    ) -> Program:
        """The compiled step for `data`: a batch, or arrays whose first batch `batch` gives.

        A step that mixes the batch with sizes of its own, as `normal((32, 8))` does, cannot be
        traced for any number of rows: it has a trace for each number that comes.
        """
        if kind in self._sized_steps or _rows_differ(data):
            return self._program_of(kind, data, True)
        try:
            return self._program_of(kind, data, False)
        except Exception as error:
            if not _is_about_the_batch(error):
                raise
            try:
                program = self._program_of(kind, data if batch is None else batch(), True)
            except Exception as again:
                if type(again) is not type(error):
                    raise  # what comes after the place where the first trace ended
                raise error from None  # it says how sizes hang together, not numbers
            self._sized_steps |= {kind}
            if batch is not None:
                raise _SizedStep from None
            return program

    def _program_of(self, kind: str, data: tuple[Any, Any, Any], sized: bool) -> Program:
        shared = current_step() is not None
        rows = tuple(len(a) for part in data for a in tree.flatten(part)) if sized else None
        exact = ((kind, shared, rows, *map(_tree_key, data)), self._trace_signature(True))
        program: Program | None = self._step_programs.find(exact)
        if program is None:
            leaves = [a for part in data for a in tree.flatten(part)]
            program = self._step_programs.make(
                exact,
                (kind, shared, rows, *map(_form, data)),
                leaves,
                lambda: self._first_pattern(*data),
                lambda shapes: self._trace_step(kind, data, shapes, rows),
                self._signature_after,
            )
        if not choice.is_used:
            return program
        if shared and choice.chosen(self._compiled_device) == choice.AUTO:
            return program.on(choice.CPU)  # ranks cannot try devices out, each by itself
        leaves = [a for part in data for a in tree.flatten(part)]
        return program.on(self._device_for(program.step, leaves))

    def _trace_step(
        self,
        kind: str,
        data: tuple[Any, Any, Any],
        shapes: Any,
        rows: tuple[int, ...] | None = None,
    ) -> tuple[_core.Function, Program]:
        feeds: list[Tensor] = []

        def stand_in(a: Any) -> Tensor:
            at = len(feeds)
            leading = None if rows is None else rows[at]
            feed = _core.placeholder((leading, *shapes[at]), dtype=str(a.dtype))
            feeds.append(feed)
            return feed

        inputs = tuple(tree.map_structure(stand_in, part) for part in data)
        train = kind == "train"
        targets = tree.flatten(inputs[1])
        with Scope(train, traces=True) as scope, CallContext(), batch_is_open(), feeding(
            targets
        ) as fed:  # fmt: skip
            logs = (self.train_step if train else self.test_step)(pack(*inputs))
        updates = scope.updates()
        found = self.metrics
        # What a subclass does at the start of an epoch is known to its own method alone.
        resets = (self.reset_metrics, *(m.reset_state for m in found))
        by_hand = not all(map(is_ours, resets))
        reset = [] if by_hand else metric_variables(self)
        values: dict[str, Any] = {}
        vectors = []
        tracked = {m.name: m for m in found}
        with Scope(traces=True):
            for name, value in flat_logs(logs).items():
                if name in tracked and _holds_updates(tracked[name], scope):
                    value = value_of(tracked[name].result())
                    if value.shape != ():
                        vectors.append(tracked[name])
                        continue
                    values[name] = value
                else:
                    values[name] = keep(name, value, updates)
        step = _core.Function(feeds, [], updates)
        return step, Program(step, values, reset, vectors, found, fed, by_hand)

    def _first_pattern(self, x: Any, y: Any, w: Any) -> Pattern:
        """Open where the model's inputs are, and in targets and weights where its outputs are."""
        given = self._input_sizes(x)
        pattern = Pattern(given)
        found = pattern.sizes(tree.flatten(x)) if pattern.is_open else None
        fixed = set()
        for part in (y, w):
            for a, out in zip(tree.flatten(part), self._outputs_of(part), strict=True):
                inner = a.shape[1:]
                if out and isinstance(out[-1], int) and len(inner) >= len(out):
                    fixed.add((len(given), len(out) - 1))
                sizes = [_shared(d, n, found) for d, n in zip(out, inner, strict=False)]
                given.append([*sizes, *inner[len(out) :]])
        return Pattern(given, frozenset(fixed))

    def _outputs_of(self, part: Any) -> list[Sequence[Any]]:
        """Per leaf of targets or weights, the sizes after the batch of its output, if known."""
        leaves = tree.flatten(part)
        names = getattr(self, "output_names", None)
        outputs = getattr(self, "outputs", None) if names else None
        if names and outputs and isinstance(part, dict) and set(part) <= set(names):
            by_name = dict(zip(names, outputs, strict=True))
            outputs = tree.flatten({n: by_name[n] for n in part if part[n] is not None})
        elif outputs and len(leaves) == 1:
            outputs = outputs[:1]
        if not outputs or len(outputs) != len(leaves):
            return [()] * len(leaves)
        return [out.spec.shape[1:] for out in outputs]

    def _input_sizes(self, x: Any) -> list[list[Any]]:
        """The sizes of the leaves of `x` after the batch, open where the model's are."""
        leaves = tree.flatten(x)
        given = [list(a.shape[1:]) for a in leaves]
        found = self._input_shapes()  # type: ignore[attr-defined]
        specs = None if found is None else fed(self)
        if found is None or not specs or len(specs) != len(leaves):
            return given
        by_name = dict(zip(found[0], specs, strict=True))
        if isinstance(x, dict) and set(x) != set(by_name):
            return given
        specs = tree.flatten({n: by_name[n] for n in x}) if isinstance(x, dict) else specs
        for at, (a, spec) in enumerate(zip(leaves, specs, strict=True)):
            wanted = spec.spec.shape
            if len(wanted) == a.ndim:
                inner = zip(wanted[1:], a.shape[1:], strict=True)
                given[at] = [n if isinstance(d, int) else d for d, n in inner]
        return given

    def _predict_function(self, x: Any) -> tuple[_core.Function, Any]:
        """The traced prediction, for batches of any size or of that of `x` where it has to know."""
        sized = "predict" in self._sized_steps
        rows = tuple(len(a) for a in tree.flatten(x)) if sized else None
        exact = (("predict", rows, _tree_key(x)), self._trace_signature())
        found = self._predict_programs.find(exact)
        if found is None:
            found = self._predict_programs.make(
                exact,
                ("predict", rows, _form(x)),
                tree.flatten(x),
                lambda: Pattern(self._input_sizes(x)),
                lambda shapes: self._trace_prediction(x, shapes, rows),
                self._trace_signature,
            )
        return found  # type: ignore[no-any-return]

    def _predicts_by_size(self, error: Exception, batch: Any) -> bool:
        """Whether a prediction that has no trace for any number of rows has one for a batch.

        It is then traced for each number that comes, as a step is.
        """
        if "predict" in self._sized_steps or not _is_about_the_batch(error):
            return False
        before, self._sized_steps = self._sized_steps, self._sized_steps | {"predict"}
        try:
            self._predict_function(batch)
        except Exception as again:
            self._sized_steps = before
            if type(again) is not type(error):
                raise  # what comes after the place where the first trace ended
            return False  # the first error says how sizes hang together, not numbers
        return True

    def _trace_prediction(
        self, x: Any, shapes: Any, rows: tuple[int, ...] | None
    ) -> tuple[_core.Function, Any]:
        function, out, scope = self._traced_prediction(x, shapes, rows=rows)
        plain = len(function.inputs) == 1 and isinstance(out, Tensor) and rows is None
        if plain and function.inputs[0][2] == "float32" and not scope.updates():
            # An input of whole numbers may get larger ones than floats tell apart.
            declared = fed(self) if self._input_shapes() is not None else []  # type: ignore[attr-defined]
            floats = bool(declared) and all(t.spec.dtype == "float32" for t in declared)
            if declared and not floats:
                return function, (function, out)
            whole = floats and not scope.losses and self._callable_fast()  # type: ignore[attr-defined]
            shape = tree.flatten(x)[0].shape
            self._shortcut_of = self._trace_signature()  # a first call may have built layers
            self._shortcut = (tuple(shape[1:]), self._signature_at[0], function, whole)
        return function, (function, out)

    def _traced_prediction(
        self,
        x: Any,
        shapes: Sequence[Sequence[Any]] | None = None,
        context: CallContext | None = None,
        rows: tuple[Any, ...] | None = None,
    ) -> tuple[_core.Function, Any, Scope]:
        """The graph of a prediction for these inner sizes, or for all that inputs leave open.

        `context` is told of the layers that are called, and of the inputs in `feeds`.
        """
        sizes = Pattern(self._input_sizes(x)).shapes if shapes is None else shapes
        feeds: list[Tensor] = []

        def stand_in(a: Any) -> Tensor:
            at = len(feeds)
            leading = self._leading if rows is None else rows[at]
            feed = _core.placeholder((leading, *sizes[at]), dtype=str(a.dtype))
            feeds.append(feed)
            return feed

        inputs = tree.map_structure(stand_in, x)
        with Scope(training=False, traces=True) as scope, context or CallContext(False) as calls:
            calls.feeds = feeds
            out = self.predict_step(pack(inputs))
        return _core.Function(feeds, tree.flatten(out), scope.updates()), out, scope

    def _device_for(self, function: _core.Function, arrays: Any) -> str:
        """The device that computes: the one of `compile`, else that of the block or process."""
        device = choice.chosen(self._compiled_device)
        if device != choice.AUTO:
            return device
        from fastnn.devices.crossover import chosen_for

        rows = [a[: self._auto_rows] for a in arrays]
        device, self._auto_reason = chosen_for(function, rows)
        return device

    def _on_its_device(self, function: _core.Function, arrays: Any) -> Any:
        """A predictor on the model's device."""
        if not choice.is_used:
            return function
        return self._predictors_placed.on(function, self._device_for(function, arrays))

    def _forget_traces(self) -> None:
        self._step_programs.clear()
        self._predict_programs.clear()
        self._predictors_placed.clear()
        self._device_calls = None
        self._shortcut, self._shortcut_of = NO_SHORTCUT, None


class _SizedStep(Exception):
    """The step is traced by the size of its batches, so arrays are read batch by batch."""


def _rows_differ(data: tuple[Any, Any, Any]) -> bool:
    return len({len(a) for part in data for a in tree.flatten(part)}) > 1


def _is_about_the_batch(error: Exception) -> bool:
    """Whether an error may come from a size that is open, and only from that."""
    if isinstance(error, TypeError):
        return "NoneType" in str(error) or "Dim" in str(error)
    said = str(error)
    return isinstance(error, ShapeError | TraceError) and ("batch" in said or "axis_size" in said)


def _tree_key(t: Any) -> Any:
    if t.__class__ is np.ndarray:
        return (t.shape[1:], t.dtype.char)
    if t is None:
        return None
    leaves = tuple((a.shape[1:], a.dtype.char) for a in tree.flatten(t))
    return (tree.structure(t), leaves)


def _form(t: Any) -> Any:
    """All that a trace depends on but the sizes: structure, axes, types."""
    if t.__class__ is np.ndarray:
        return (t.ndim, t.dtype.char)
    if t is None:
        return None
    return (tree.structure(t), tuple((a.ndim, a.dtype.char) for a in tree.flatten(t)))


def _shared(d: Any, n: int, sizes: dict[str, int] | None) -> Any:
    """The open size of an output for an axis of its targets, where they agree on it."""
    return n if isinstance(d, int) or sizes is None or value_in(d, sizes) != n else d


def _holds_updates(metric: Any, scope: Scope) -> bool:
    return any(v in scope.values for v in metric.variables)
