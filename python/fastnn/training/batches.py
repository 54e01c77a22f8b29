"""Epochs batch by batch in Python: for iterables, eager steps and hooks of batches."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from fastnn import _core
from fastnn._core import Tensor
from fastnn.base import tree
from fastnn.callbacks import CallbackList
from fastnn.data.batches import pack
from fastnn.errors import DataError
from fastnn.metrics.metric import metric_variables
from fastnn.tracing.call_context import CallContext
from fastnn.tracing.ranks import stepping
from fastnn.tracing.variables import Scope, Variable
from fastnn.training.inputs import check_labels, fit_inputs, weigh_by_class
from fastnn.training.program import Logs, Program, flat_logs, keeping, underway
from fastnn.training.ranks import Ranks

__all__ = ["NO_BATCHES", "agree", "eager_step", "logs_of_all", "python_epoch"]

#: What is said of an epoch for which there are no data.
NO_BATCHES = "x yielded no batches"


def python_epoch(
    model: Any,
    kind: str,
    batches: Any,
    calls: CallbackList | None,
    classes: Any = None,
    report: Callable[[int, Logs], None] | None = None,
    resumed: tuple[int, list[Any], Any] | None = None,
    ranks: Ranks | None = None,
    ahead: Callable[[], tuple[Program, int]] | None = None,
) -> tuple[Logs, int]:
    """One epoch batch by batch: for iterables, eager steps, batch hooks and several ranks.

    `resumed` says how many batches of it were made before, what the metrics held then, and
    where the batches come from. With `ranks` the epoch is that of all of them, and so are its
    logs; each batch comes with whether it counts. `ahead` makes the first steps of theirs and says
    of which program, and how many.
    """
    train = kind == "train"
    with keeping(model), underway(model):
        model.reset_metrics()
        if ranks is None:
            return _batch_by_batch(model, train, batches, calls, classes, report, resumed)
        with ranks.stepping():
            logs, done = _batch_by_batch(
                model, train, ranks.counted(batches, train), calls, classes, report, resumed,
                ranks, ahead,
            )  # fmt: skip
            return logs, done


def _batch_by_batch(
    model: Any,
    train: bool,
    batches: Any,
    calls: CallbackList | None,
    classes: Any,
    report: Callable[[int, Logs], None] | None,
    resumed: tuple[int, list[Any], Any] | None,
    ranks: Ranks | None = None,
    ahead: Callable[[], tuple[Program, int]] | None = None,
) -> tuple[Logs, int]:
    hook = "train" if train else "test"
    begins = calls is not None and calls.overrides(f"on_{hook}_batch_begin", "on_batch_begin")
    ends = calls is not None and calls.overrides(f"on_{hook}_batch_end", "on_batch_end")
    done, logs, program = 0, {}, None
    kind = "train" if train else "test"
    first, sums, source = resumed or (0, None, None)
    done = first
    if ahead is not None:
        program, done = ahead()
        if model.stop_training:
            batches = ()
    drawn = time.perf_counter()
    for x, y, w in batches:
        if begins:
            with stepping(None):
                getattr(calls, f"on_{hook}_batch_begin")(done)
        try:
            x = fit_inputs(model, x)
            if classes and train:
                w = weigh_by_class(model, y, classes, w)
            if sums is not None:
                _go_on(model, kind, (x, y, w), sums)
                sums = None
            if ranks is not None:
                agree(model, ranks, kind, (x, y, w))
            if model.run_eagerly:
                check_labels(model, y, w)
                logs = eager_step(model, train, (x, y, w))
            else:
                program = model._step_program(kind, (x, y, w))
                check_labels(model, y, w, program)
                program.step(*tree.flatten(x), *tree.flatten(y), *tree.flatten(w))
        except Exception as error:
            error.add_note(f"  in batch {done + 1}")
            raise
        done += 1
        due = report is not None and time.perf_counter() - drawn >= 0.05
        if ranks is not None and ranks.hooks:
            with ranks.totals():
                logs = logs_of_all(model, ranks, logs if program is None else program.read())
                if ends:
                    with stepping(None):
                        getattr(calls, f"on_{hook}_batch_end")(done - 1, logs)
        elif ends or due:
            logs = logs if program is None else program.read()
            if ends:
                getattr(calls, f"on_{hook}_batch_end")(done - 1, logs)
            if due and report is not None:
                report(done, logs)
                drawn = time.perf_counter()
        if ranks is None and (model.stop_training if train else model.stop_evaluating):
            break
    passed = getattr(source, "passed", None)
    if done == first and source is not None and passed is not None:
        # The run was cut off after the last batch of the epoch: only its values are missing.
        program = _go_on(model, kind, source._prepare(passed), sums)
    elif done == first:
        raise DataError(f"{NO_BATCHES}\n  hint: give a fresh generator, or steps_per_epoch")
    if ranks is not None:
        with ranks.totals(keep=True):
            return logs_of_all(model, ranks, logs if program is None else program.read()), done
    if program is not None:
        program.settle()
    return (logs if program is None else program.read()), done


def agree(model: Any, ranks: Ranks, kind: str, batch: tuple[Any, Any, Any]) -> None:
    """Before the first step: the model is built, and every rank has the values of rank 0."""
    if not model.run_eagerly:
        model._step_program(kind, batch)
    elif not model.built:
        model(tree.map_structure(_core.tensor, batch[0]), training=False)
    ranks.agree()


def logs_of_all(model: Any, ranks: Ranks, logs: Logs) -> Logs:
    """The logs of a step or an epoch of all ranks, whose sums the metrics hold."""
    found = {m.name for m in model.metrics}
    values = {k: v for k, v in model.get_metrics_result().items() if k in logs and k in found}
    numbers = {k: _number(v) for k, v in values.items()}
    return logs | numbers | ranks.mean_logs({k: v for k, v in logs.items() if k not in found})


def _go_on(model: Any, kind: str, batch: tuple[Any, Any, Any], sums: Any) -> Program:
    """Gives the metrics what they held when the run was cut off; a batch says the shapes."""
    x, y, w = batch
    program: Program = model._step_program(kind, (fit_inputs(model, x), y, w))
    for v, value in zip(metric_variables(model), sums or (), strict=True):
        v.assign(value)
    return program


def eager_step(model: Any, train: bool, data: Any) -> Logs:
    """One step that runs as it is written, without a trace."""
    tensors = tuple(tree.map_structure(_core.tensor, part) for part in data)
    with Scope(train) as scope, CallContext():
        logs = (model.train_step if train else model.test_step)(pack(*tensors))
    for variable, value in scope.updates():
        variable.assign(value)
    return {k: _number(v) for k, v in flat_logs(logs).items()}


def _number(value: Any) -> Any:
    if isinstance(value, Variable):
        value = value.value
    if isinstance(value, Tensor):
        return float(value) if value.shape == () else value.numpy()
    return value
