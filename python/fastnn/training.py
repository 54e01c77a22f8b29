"""`compile`, `fit`, `evaluate`, `predict`: traced once, run by the core's loop.

A training step is one `_core.Function` whose updates are weights, optimiser slots, moving averages,
random states and metric sums; `_core.Loop` runs epochs of it without entering Python.
Depends on `data`, `losses`, `metrics`, `optimizers`, `callbacks`, `progress`.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from fastnn import _core, metrics, ops, optimizers, tree
from fastnn._core import Tensor
from fastnn.callbacks import CallbackList, History
from fastnn.compiled import CompiledLoss, CompiledMetrics
from fastnn.data import (
    ArrayData,
    IterableData,
    as_arrays,
    check_features,
    class_weights,
    closing,
    is_iterable_data,
    pack,
    split_tail,
    unpack,
)
from fastnn.errors import DataError, ShapeError, reject_arguments
from fastnn.fitting import Fit, Logs, Program, batches_of, keep, report, warn_of_few
from fastnn.layers.base import CallContext
from fastnn.progress import is_terminal
from fastnn.recent import Recent
from fastnn.symbolic import value_of
from fastnn.variables import Scope, Variable, current_scope, structure_version

__all__ = ["Trainer"]

_F32 = np.dtype(np.float32)
#: How many compiled steps and predictors a model keeps: one per shape of the data, batch aside.
KEPT_STEPS, KEPT_PREDICTORS = 32, 16


class Trainer:
    """The training half of `Model`."""

    optimizer: Any
    built: bool
    name: str
    trainable_variables: list[Variable]

    def _init_training(self) -> None:
        self.compiled = False
        self.stop_training = False
        self.history: Any = None
        self._compiled_loss: CompiledLoss | None = None
        self._compiled_metrics: CompiledMetrics | None = None
        self._loss_tracker: metrics.Mean | None = None
        self._compile_config: dict[str, Any] | None = None
        self._programs: Recent = Recent(KEPT_STEPS)
        self._predictor: _core.Function | None = None
        self._predictor_shape: Any = None
        self._predictors: Recent = Recent(KEPT_PREDICTORS)
        self._signature_at: tuple[int, Any] = (-1, None)
        self._shuffle_seed: int | None = None
        self._initial_epoch = 0
        self.run_eagerly = False

    def __getstate__(self) -> dict[str, Any]:
        """What a copy or a pickle takes along: all but the traces, which are made anew."""
        state: dict[str, Any] = super().__getstate__()  # type: ignore[assignment]
        state.update(_programs=Recent(KEPT_STEPS), _predictors=Recent(KEPT_PREDICTORS))
        state.update(_predictor=None, _predictor_shape=None)
        state.update(_signature_at=(-1, None), _fast=False)
        return state

    # ---- compile -------------------------------------------------------------------------------

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: Any = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
        **unknown: Any,
    ) -> None:
        """Chooses optimiser, loss and metrics; unknown names are refused here.

        `jit_compile` and `steps_per_execution` are accepted and change nothing: every epoch is one
        compiled execution. `run_eagerly=True` runs `train_step` batch by batch without tracing.
        """
        if unknown:
            raise reject_arguments("compile()", unknown, type(self).compile)
        if steps_per_execution != "auto" and int(steps_per_execution) < 1:
            raise ValueError(
                f"steps_per_execution is {steps_per_execution}, wanted 1 or more\n  hint: leave it"
            )
        self.optimizer = optimizers.get(optimizer)
        self._compiled_loss = None if loss is None else CompiledLoss(loss, loss_weights)
        self._compiled_metrics = CompiledMetrics(
            metrics, weighted_metrics, getattr(self, "output_names", None)
        )
        self._loss_tracker = _mean("loss")
        self._compile_config = {
            "optimizer": optimizer,
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
        }
        self.run_eagerly = bool(run_eagerly)
        self.loss = loss
        self.compiled = True
        self.stop_training = False
        self._programs.clear()

    def _require_compiled(self, verb: str) -> None:
        if not self.compiled:
            raise RuntimeError(
                f"{verb} needs a compiled model\n"
                "  hint: model.compile(optimizer='adam', loss='mse') before it"
            )

    @property
    def metrics(self) -> list[Any]:
        """The loss tracker, compiled metrics, losses of outputs, and metrics held as attributes."""
        found: list[Any] = [self._loss_tracker] if self._loss_tracker is not None else []
        if self._compiled_metrics is not None:
            found += self._compiled_metrics.metrics
        if self._compiled_loss is not None:
            found += self._compiled_loss.trackers
        for layer in self._every_layer():  # type: ignore[attr-defined]
            if layer is self or not isinstance(layer, Trainer):
                for value in layer.__dict__.values():
                    for m in value if isinstance(value, list | tuple) else [value]:
                        if isinstance(m, metrics.Metric):
                            found.append(m)
        return list({id(m): m for m in found}.values())

    @property
    def metrics_names(self) -> list[str]:
        """Names of the metrics."""
        return [m.name for m in self.metrics]

    def reset_metrics(self) -> None:
        """All metrics back to the start."""
        for m in self.metrics:
            m.reset_state()

    def get_metrics_result(self) -> dict[str, Any]:
        """Values of all metrics by name."""
        values: dict[str, Any] = {}
        for m in self.metrics:
            result = value_of(m.result())
            if isinstance(result, dict):
                values.update(result)
            else:
                values[m.name] = result
        return values

    # ---- one step ------------------------------------------------------------------------------

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The compiled loss plus the losses that layers and penalties add."""
        parts: list[Any] = []
        if self._compiled_loss is not None:
            names = getattr(self, "output_names", None)
            parts.append(self._compiled_loss(y, y_pred, sample_weight, names))
        scope = current_scope()
        added = list(scope.losses) if scope is not None else [
            v for layer in self._every_layer() for v in layer._losses  # type: ignore[attr-defined]
        ]  # fmt: skip
        parts += [ops.sum(v) for v in added] + self._penalties()  # type: ignore[attr-defined]
        if not parts:
            raise ValueError(
                "there is no loss to minimise\n  hint: compile(loss='mse') or use add_loss"
            )
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Updates the compiled metrics and gives all values."""
        if self._compiled_metrics is not None:
            names = getattr(self, "output_names", None)
            self._compiled_metrics.update(y, y_pred, sample_weight, names)
        return self.get_metrics_result()

    def train_step(self, data: Any) -> dict[str, Any]:
        """One training step; override it for other training.

        `data` is what `fit` was given: x, (x, y) or (x, y, sample_weight), as tensors of a batch.
        """
        x, y, weights = unpack(data)
        y_pred = self(x, training=True)  # type: ignore[operator]
        loss = self.compute_loss(x, y, y_pred, weights, True)
        variables = self.trainable_variables
        scale = self.optimizer.loss_scale_factor
        # Gradients come before anything reads the loss: run eagerly, a read forgets its inputs.
        grads = gradients(loss * scale if scale else loss, variables) if variables else []
        self._track(loss, x)
        if variables:
            self.optimizer.apply(grads, variables)
        else:
            warnings.warn("the model does not have any trainable weights", stacklevel=2)
        return self.compute_metrics(x, y, y_pred, weights)

    def test_step(self, data: Any) -> dict[str, Any]:
        """One evaluation step on a batch; override it with `train_step`."""
        x, y, weights = unpack(data)
        y_pred = self(x, training=False)  # type: ignore[operator]
        self._track(self.compute_loss(x, y, y_pred, weights, False), x)
        return self.compute_metrics(x, y, y_pred, weights)

    def predict_step(self, data: Any) -> Any:
        """The model's output for a batch."""
        x, _, _ = unpack(data)
        return self(x, training=False)  # type: ignore[operator]

    def _track(self, loss: Any, x: Any) -> None:
        if self._loss_tracker is not None:
            first = tree.flatten(x)[0]
            self._loss_tracker.update_state(loss, _core.ops.extent(first, axis=[0]))

    # ---- tracing -------------------------------------------------------------------------------

    def _trainable_signature(self) -> Any:
        version = structure_version()
        if self._signature_at[0] != version:
            signature = tuple(id(v) for v in self.trainable_variables)
            self._signature_at = (version, signature)
        return self._signature_at[1]

    def _program(self, kind: str, data: tuple[Any, Any, Any]) -> Program:
        x, y, w = data
        key = (kind, _tree_key(x), _tree_key(y), _tree_key(w), self._trainable_signature())
        program: Program | None = self._programs.find(key)
        if program is None:
            program = self._trace(kind, data)
            key = (*key[:4], self._trainable_signature())
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
        with Scope(training=train) as scope, CallContext(train), _batch_is_open():
            logs = (self.train_step if train else self.test_step)(pack(*inputs))
        updates = scope.updates()
        found = self.metrics
        reset = list({v: None for m in found for v in m.variables})
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

    # ---- data ----------------------------------------------------------------------------------

    def _fit_inputs(self, x: Any) -> Any:
        """`x` brought to the shapes that the model wants."""
        want = self._input_shapes()  # type: ignore[attr-defined]
        if want is None:
            return tree.map_structure(lambda a: a[:, None] if a.ndim == 1 else a, x)
        names, shapes = want
        leaves = self._match_inputs(x, names)
        if len(leaves) != len(shapes):
            raise DataError(
                f"x has {len(leaves)} arrays, model '{self.name}' has {len(shapes)} inputs"
                f" ({', '.join(names)})\n  hint: give a list or dict of {len(shapes)} arrays"
            )
        fixed = []
        for i, (a, shape) in enumerate(zip(leaves, shapes, strict=True)):
            where = self._expects(names[i], shape)  # type: ignore[attr-defined]
            if a.shape[1:] != tuple(shape[1:]) and self._takes(a, shape):
                fixed.append(a)
                continue
            fixed.append(check_features("x" if len(leaves) == 1 else f"x[{i}]", a, shape, where))
        return fixed[0] if not isinstance(x, dict | list | tuple) else (
            dict(zip(names, fixed, strict=True)) if isinstance(x, dict) else fixed
        )  # fmt: skip

    def _takes(self, array: Any, shape: Any) -> bool:
        """Whether inputs of another shape than that of the symbolic input are fine as they are."""
        return False

    @staticmethod
    def _match_inputs(x: Any, names: list[str]) -> list[Any]:
        if isinstance(x, dict) and all(n in x for n in names):
            return [x[n] for n in names]
        if isinstance(x, dict):
            missing = [n for n in names if n not in x]
            raise DataError(
                f"x lacks the input '{missing[0]}', it has {', '.join(map(repr, x))}\n"
                f"  hint: name the arrays after the inputs: {', '.join(names)}"
            )
        return tree.flatten(x)

    def _arrays(self, x: Any, y: Any, weights: Any) -> ArrayData:
        if isinstance(x, list) and x and isinstance(x[0], tuple | list) is False and not isinstance(
            x[0], int | float | str | bool | np.generic
        ) and self._single_input():  # fmt: skip
            x = x[0] if len(x) == 1 else np.stack([np.asarray(v) for v in x])
        data = ArrayData(as_arrays(x, "x"), as_arrays(y, "y"), as_arrays(weights, "sample_weight"))
        data.x = self._fit_inputs(data.x)
        data.leaves = tree.flatten(data.x) + tree.flatten(data.y) + tree.flatten(data.weights)
        return data

    def _single_input(self) -> bool:
        want = self._input_shapes()  # type: ignore[attr-defined]
        return want is not None and len(want[1]) == 1

    def _check_labels(self, data: ArrayData) -> None:
        if self._compiled_loss is not None and data.y is not None:
            self._compiled_loss.check_labels(data.y, getattr(self, "_output_sizes", None))

    def _source(
        self, x: Any, y: Any, weights: Any, classes: Any, shuffle: bool, name: str = "x"
    ) -> ArrayData | IterableData:
        if is_iterable_data(x):
            if y is not None:
                raise ValueError(
                    f"{name} yields its own targets, so y must not be given\n"
                    "  hint: fit(generator) with batches (x, y)"
                )
            if weights is not None:
                raise ValueError(
                    f"{name} yields its own weights\n  hint: yield batches (x, y, sample_weight)"
                )
            return IterableData(x, name, shuffle)
        data = self._arrays(x, y, weights)
        if classes:
            if not isinstance(classes, dict):
                raise ValueError(
                    f"class_weight is {classes!r}, wanted a dict\n  hint: {{0: 1.0, 1: 5.0}}"
                )
            data.weights = class_weights(data.y, classes, data.weights)
            data.leaves = tree.flatten(data.x) + tree.flatten(data.y) + [data.weights]
        self._check_labels(data)
        return data

    # ---- fit -----------------------------------------------------------------------------------

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Any = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: Any = 1,
        **unknown: Any,
    ) -> History:
        """Trains for `epochs - initial_epoch` epochs and gives the History.

        x, y: arrays, lists, dicts, frames, or a generator, dataset or iterable of batches.
        Logs are means over the epoch weighted by batch size; `validation_split` takes the tail.
        """
        if unknown:
            raise reject_arguments("fit()", unknown, type(self).fit)
        self._require_compiled("fit")
        _check_counts(epochs, batch_size, validation_split, initial_epoch, steps_per_epoch)
        data = self._source(x, y, sample_weight, class_weight, shuffle)
        validation: Any = None
        if validation_data is not None:
            validation = self._validation(validation_data)
        elif validation_split:
            if isinstance(data, IterableData):
                raise ValueError(
                    "validation_split needs arrays, x yields batches\n"
                    "  hint: give validation_data=another_generator"
                )
            data, validation = split_tail(data, validation_split)
        run = Fit(self, data, batch_size or 32, epochs, shuffle)
        run.validation, run.validation_steps = validation, validation_steps
        run.validation_batch = validation_batch_size or batch_size or 32
        run.validation_freq = validation_freq
        run.steps, run.class_weight = steps_per_epoch, class_weight
        return run.run(initial_epoch, _verbosity(verbose), callbacks)

    def _validation(self, given: Any) -> ArrayData | IterableData:
        if is_iterable_data(given):
            return IterableData(given, "validation_data")
        x, y, w = unpack(given)
        return self._source(x, y, w, None, False, "validation_data")

    # ---- evaluate ------------------------------------------------------------------------------

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
        **unknown: Any,
    ) -> Any:
        """Loss and metrics over the data: a number when there is only the loss, else a list."""
        if unknown:
            raise reject_arguments("evaluate()", unknown, type(self).evaluate)
        self._require_compiled("evaluate")
        _check_counts(1, batch_size, 0.0, 0, steps)
        data = self._source(x, y, sample_weight, None, False)
        level = _verbosity(verbose)
        calls = CallbackList(callbacks, model=self) if callbacks else None
        start = time.perf_counter()
        if isinstance(data, IterableData):
            data.limit = steps
        with closing(data):
            logs, done = self._evaluate(data, batch_size or 32, steps, calls)
        if level:
            report(level, done, logs, time.perf_counter() - start)
        return logs if return_dict else self._in_order(logs)

    def _evaluate(
        self, data: Any, batch_size: int, steps: int | None, calls: CallbackList | None = None
    ) -> tuple[Logs, int]:
        if calls is not None:
            calls.on_test_begin()
        if isinstance(data, IterableData) or steps is not None or self.run_eagerly or (
            calls is not None and calls.overrides("on_test_batch_begin", "on_test_batch_end")
        ):  # fmt: skip
            batches = batches_of(data, batch_size, steps, None)
            logs, done = self._python_epoch("test", batches, calls)
            if isinstance(data, IterableData):
                warn_of_few(data.name, done, steps)
        else:
            program = self._program("test", (data.x, data.y, data.weights))
            rows = program.loop.run(data.leaves, batch_size, 1)
            logs, done = program.logs(rows[0]), data.steps(batch_size)
        if calls is not None:
            calls.on_test_end(logs)
        return logs, done

    def _in_order(self, logs: Logs, found: list[Any] | None = None) -> Any:
        compiled = self._compiled_metrics
        later = compiled.metrics if compiled is not None and compiled.by_output else []
        found = self.metrics if found is None else found
        names = [m.name for m in found if not any(m is other for other in later)]
        first = [logs[n] for n in names if n in logs]
        rest = [logs[k] for k in sorted(logs) if k not in names]
        values = first + rest
        return values[0] if len(values) == 1 else values

    def _python_epoch(
        self,
        kind: str,
        batches: Any,
        calls: CallbackList | None,
        classes: Any = None,
        report: Callable[[int, Logs], None] | None = None,
    ) -> tuple[Logs, int]:
        """One epoch batch by batch: for iterables, eager steps and batch hooks."""
        self.reset_metrics()
        train = kind == "train"
        hook = "train" if train else "test"
        begins = calls is not None and calls.overrides(f"on_{hook}_batch_begin", "on_batch_begin")
        ends = calls is not None and calls.overrides(f"on_{hook}_batch_end", "on_batch_end")
        done, logs, program = 0, {}, None
        drawn = time.perf_counter()
        for x, y, w in batches:
            if begins:
                getattr(calls, f"on_{hook}_batch_begin")(done)
            try:
                x = self._fit_inputs(x)
                if classes and train:
                    w = class_weights(y, classes, w)
                if self.run_eagerly:
                    logs = self._eager_step(train, (x, y, w))
                else:
                    program = self._program(kind, (x, y, w))
                    program.step(*tree.flatten(x), *tree.flatten(y), *tree.flatten(w))
            except Exception as error:
                error.add_note(f"  in batch {done + 1}")
                raise
            done += 1
            due = report is not None and time.perf_counter() - drawn >= 0.05
            if ends or due:
                logs = logs if program is None else program.read()
                if ends:
                    getattr(calls, f"on_{hook}_batch_end")(done - 1, logs)
                if due and report is not None:
                    report(done, logs)
                    drawn = time.perf_counter()
            if self.stop_training and train:
                break
        if done == 0:
            raise DataError(
                "x yielded no batches\n  hint: give a fresh generator, or steps_per_epoch"
            )
        return (logs if program is None else program.read()), done

    def _eager_step(self, train: bool, data: Any) -> Logs:
        tensors = tuple(tree.map_structure(_core.tensor, part) for part in data)
        with Scope(train) as scope, CallContext(train):
            logs = (self.train_step if train else self.test_step)(pack(*tensors))
        for variable, value in scope.updates():
            variable.assign(value)
        return {k: _number(v) for k, v in logs.items()}

    # ---- single batches ------------------------------------------------------------------------

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """One update on one batch; gives its loss and metrics."""
        self._require_compiled("train_on_batch")
        data = self._source(x, y, sample_weight, class_weight, False)
        return self._on_batch("train", data, return_dict)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """The loss and metrics of one batch."""
        self._require_compiled("test_on_batch")
        data = self._source(x, y, sample_weight, None, False)
        return self._on_batch("test", data, return_dict)

    def _on_batch(self, kind: str, data: Any, return_dict: bool) -> Any:
        found = None
        if self.run_eagerly:
            self.reset_metrics()
            logs = self._eager_step(kind == "train", (data.x, data.y, data.weights))
        else:
            program = self._program(kind, (data.x, data.y, data.weights))
            found = program.metrics
            for m in found:
                m.reset_state()
            program.step(*data.leaves)
            logs = program.read()
        return logs if return_dict else self._in_order(logs, found)

    def predict_on_batch(self, x: Any) -> Any:
        """The outputs for one batch."""
        data = self._arrays(x, None, None)
        function, structure = self._predict_function(data.x)
        return tree.pack(structure, function.predict(data.leaves, max(data.n, 1)))

    # ---- predict -------------------------------------------------------------------------------

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
        **unknown: Any,
    ) -> Any:
        """The outputs for all samples, in order, as float32 arrays."""
        if (
            x.__class__ is np.ndarray
            and x.dtype is _F32
            and x.shape[1:] == self._predictor_shape
            and callbacks is None
            and not unknown
            and x.shape[0]
            and (verbose == 0 or not is_terminal())
        ):
            size = 256 if batch_size is None else batch_size
            if size > 0:
                return self._predictor.predict((x,), size)[0]  # type: ignore[union-attr]
        if unknown:
            raise reject_arguments("predict()", unknown, type(self).predict)
        _check_counts(1, batch_size, 0.0, 0, steps)
        return self._predict(x, batch_size, _verbosity(verbose), steps, callbacks)

    def _predict(
        self, x: Any, batch_size: int | None, level: int, steps: int | None, callbacks: Any
    ) -> Any:
        start = time.perf_counter()
        calls = CallbackList(callbacks, model=self) if callbacks else None
        if calls is not None:
            calls.on_predict_begin()
        if is_iterable_data(x):
            data = IterableData(x, "x")
            data.limit = steps
            with closing(data):
                out, ends = self._predict_batches(data.batches(steps))
            warn_of_few("x", len(ends), steps)
        else:
            if isinstance(x, tuple) and len(x) in (2, 3) and self._single_input():
                raise DataError(
                    "predict takes inputs only, got a tuple (x, y)\n  hint: pass gen[0][0]"
                )
            arrays = self._arrays(x, None, None)
            size = batch_size or 256
            if steps is not None:
                arrays = arrays.part(0, min(arrays.n, steps * (batch_size or 32)))
            function, structure = self._predict_function(arrays.x)
            flat = function.predict(arrays.leaves, size)
            out, per = tree.pack(structure, flat), batch_size or 32
            ends = [min(i + per, arrays.n) for i in range(0, arrays.n, per)]
        if calls is not None:
            for i, (a, b) in enumerate(zip([0, *ends], ends, strict=False)):
                calls.on_predict_batch_begin(i)
                calls.on_predict_batch_end(i, {"outputs": _rows(out, a, b)})
            calls.on_predict_end()
        if level and is_terminal():
            report(level, len(ends), {}, time.perf_counter() - start)
        return out

    def _predict_batches(self, batches: Any) -> tuple[Any, list[int]]:
        """The joined outputs, and the row where each batch ends."""
        ends: list[int] = []
        parts: list[list[Any]] = []
        structure: Any = None
        for x, _, _ in batches:
            x = self._fit_inputs(x)
            function, structure = self._predict_function(x)
            leaves = tree.flatten(x)
            parts.append(function.predict(leaves, leaves[0].shape[0]))
            ends.append((ends[-1] if ends else 0) + leaves[0].shape[0])
        if not parts:
            raise DataError("x yielded no batches\n  hint: give a fresh generator, or steps")
        flat = [_joined(column) for column in zip(*parts, strict=True)]
        return tree.pack(structure, flat), ends

    def _predict_function(self, x: Any) -> tuple[_core.Function, Any]:
        key = _tree_key(x)
        found = self._predictors.find(key)
        if found is not None:
            return found  # type: ignore[no-any-return]
        feeds: list[Tensor] = []

        def stand_in(a: Any) -> Tensor:
            feed = _core.placeholder((None, *a.shape[1:]), dtype=str(a.dtype))
            feeds.append(feed)
            return feed

        inputs = tree.map_structure(stand_in, x)
        with Scope(training=False) as scope, CallContext(False):
            out = self.predict_step(pack(inputs))
        function = _core.Function(feeds, tree.flatten(out), scope.updates())
        self._predictors.keep(key, (function, out))
        plain = len(feeds) == 1 and isinstance(out, Tensor) and feeds[0].dtype == "float32"
        if plain and not scope.updates():
            self._predictor, self._predictor_shape = function, tuple(feeds[0].shape[1:])
            self._fast = not scope.losses and self._callable_fast()  # type: ignore[attr-defined]
        return function, out

    def _forget_traces(self) -> None:
        self._programs.clear()
        self._predictors.clear()
        self._predictor = self._predictor_shape = None
        self._fast = False


def gradients(loss: Any, variables: Sequence[Variable]) -> list[Tensor]:
    """Gradients of a scalar by variables, inside a trace or on lazy values."""
    scope = current_scope()
    if scope is None:
        return _core.gradients(loss, [v.value for v in variables])
    return _core.gradients(loss, [scope.leaf(v) for v in variables])


@contextmanager
def _batch_is_open() -> Iterator[None]:
    """Says why a size is None to who computes with it while a step is traced."""
    try:
        yield
    except TypeError as error:
        if "NoneType" in str(error):
            error.add_note(
                "  the step is traced once for batches of any size, so ops.shape(x)[0] is None\n"
                "  hint: keep None in shapes for ops and random, or compile(run_eagerly=True)"
            )
        raise


def _rows(out: Any, start: int, end: int) -> Any:
    """The outputs of one batch."""
    return tree.map_structure(lambda a: a[start:end], out)


def _joined(parts: tuple[Any, ...]) -> Any:
    """The outputs of all batches in one array."""
    sizes = sorted({p.shape[1:] for p in parts})
    if len(sizes) > 1:
        raise ShapeError(
            f"the batches gave outputs of different sizes, such as {sizes[0]} and {sizes[-1]} per "
            "sample, which make no one array\n"
            "  hint: model.predict_on_batch(batch) for each, or pad the batches to one size"
        )
    return np.concatenate(parts)


def _mean(name: str) -> metrics.Mean:
    return metrics.Mean(name=name)


def _number(value: Any) -> Any:
    if isinstance(value, Variable):
        value = value.value
    if isinstance(value, Tensor):
        return float(value) if value.shape == () else value.numpy()
    return value


def _tree_key(t: Any) -> Any:
    if t.__class__ is np.ndarray:
        return (t.shape[1:], t.dtype.char)
    if t is None:
        return None
    leaves = tuple((a.shape[1:], a.dtype.char) for a in tree.flatten(t))
    return (tree.structure(t), leaves)


def _holds_updates(metric: Any, scope: Scope) -> bool:
    return any(v in scope.values for v in metric.variables)


def _verbosity(verbose: Any) -> int:
    if verbose == "auto" or verbose is True:
        return 1
    if verbose in (0, 1, 2):
        return int(verbose)
    raise ValueError(f"verbose is {verbose!r}\n  hint: 0, 1, 2 or 'auto'")


def _whole(name: str, value: Any, low: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < low:
        raise ValueError(f"{name} is {value!r}, wanted a whole number of at least {low}\n"
                         f"  hint: {name}={max(low, 1)}")  # fmt: skip


def _check_counts(epochs: Any, batch_size: Any, split: Any, initial_epoch: Any, steps: Any) -> None:
    if epochs.__class__ is not int or epochs < 0:
        _whole("epochs", epochs, 0)
    if batch_size is not None and (batch_size.__class__ is not int or batch_size < 1):
        _whole("batch_size", batch_size, 1)
    if split and (not isinstance(split, int | float) or not 0 < split < 1):
        raise ValueError(
            f"validation_split is {split!r}, wanted a number from 0 up to, not including, 1\n"
            "  hint: validation_split=0.2"
        )
    if initial_epoch.__class__ is not int or initial_epoch < 0:
        _whole("initial_epoch", initial_epoch, 0)
    if steps is not None:
        _whole("steps", steps, 1)
