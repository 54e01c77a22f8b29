"""`predict` and `predict_on_batch`. Depends on `tracing`, `inputs`, `passes`."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from fastnn.base import tree
from fastnn.callbacks import CallbackList
from fastnn.data.batches import IterableData, closing, is_iterable_data
from fastnn.display.progress import is_terminal
from fastnn.errors import DataError, ShapeError
from fastnn.layers.preprocessing.host import read_batches
from fastnn.tracing.fixed_batch import fixed_batch
from fastnn.training.inputs import as_array_data, fit_inputs
from fastnn.training.passes import batches_of, report, warn_of_few

__all__ = ["predict", "predict_on_batch"]


def predict(
    model: Any, x: Any, batch_size: int | None, level: int, steps: int | None, callbacks: Any
) -> Any:
    """The outputs for all samples; `level` is the verbosity."""
    start = time.perf_counter()
    calls = CallbackList(callbacks, model=model) if callbacks else None
    hooks = ("on_predict_batch_begin", "on_predict_batch_end")
    told = calls if calls is not None and calls.overrides(*hooks) else None
    model.stop_predicting = False
    if is_iterable_data(x):
        data = IterableData(read_batches(model, x), "x")
        data.again, data.limit = True, steps
        _begin(calls, level, steps or data.steps())
        with closing(data):
            out, ends = _predict_batches(model, data.batches(steps), told)
        if not model.stop_predicting:
            warn_of_few("x", len(ends), steps)
    else:
        if isinstance(x, tuple) and len(x) in (2, 3) and model._single_input():
            raise DataError("predict takes inputs only, got a tuple (x, y)\n  hint: pass gen[0][0]")
        arrays = as_array_data(model, x, None, None, True)
        batch_size = fixed_batch(model, batch_size, arrays.n)
        size = batch_size or 256
        if steps is not None:
            arrays = arrays.part(0, min(arrays.n, steps * (batch_size or 32)))
        per = batch_size or 32
        _begin(calls, level, arrays.steps(per))
        found = None
        if told is None and not arrays.by_batch and "predict" not in model._sized_steps:
            found = _for_any_rows(model, arrays.x, arrays.part(0, min(per, arrays.n)).x)
        if found is None:
            by_size = "predict" in model._sized_steps
            size = per if told is not None or by_size else size
            out, ends = _predict_batches(model, batches_of(arrays, size, None, None), told)
        else:
            function, structure = found
            model._auto_rows = size
            out = tree.pack(
                structure,
                model._on_its_device(function, arrays.leaves).predict(arrays.leaves, size),
            )
        if told is None:
            ends = [min(i + per, arrays.n) for i in range(0, arrays.n, per)]
    if calls is not None:
        calls.on_predict_end()
    if level and is_terminal():
        report(level, len(ends), {}, time.perf_counter() - start)
    return out


def _for_any_rows(model: Any, x: Any, batch: Any) -> Any:
    """The traced prediction; None where each batch has to know its own size."""
    try:
        return model._predict_function(x)
    except Exception as error:
        if not model._predicts_by_size(error, batch):
            raise
        return None


def _begin(calls: CallbackList | None, level: int, steps: int | None) -> None:
    if calls is not None:
        calls.set_params({"verbose": level, "epochs": 1, "steps": steps})
        calls.on_predict_begin()


def _predict_batches(
    model: Any, batches: Any, told: CallbackList | None = None
) -> tuple[Any, list[int]]:
    """The joined outputs, and the row where each batch ends.

    `told` hears of every batch, and may set `model.stop_predicting`.
    """
    ends: list[int] = []
    parts: list[list[Any]] = []
    structure: Any = None
    waiting = _Waiting(parts)
    for x, _, _ in batches:
        if told is not None:
            told.on_predict_batch_begin(len(ends))
        x = fit_inputs(model, x, True)
        function, structure = _for_any_rows(model, x, x) or model._predict_function(x)
        leaves = tree.flatten(x)
        if "predict" in model._sized_steps:
            parts.append(_called(function, leaves))
        else:
            waiting.add(model._on_its_device(function, leaves), leaves)
        ends.append((ends[-1] if ends else 0) + leaves[0].shape[0])
        if told is not None:
            waiting.run()
            told.on_predict_batch_end(len(ends) - 1, {"outputs": tree.pack(structure, parts[-1])})
            if model.stop_predicting:
                break
    waiting.run()
    if not parts:
        raise DataError("x yielded no batches\n  hint: give a fresh generator, or steps")
    flat = [_joined(column) for column in zip(*parts, strict=True)]
    return tree.pack(structure, flat), ends


class _Waiting:
    """Batches that a device predicts in one go; those of the CPU are predicted as they come."""

    def __init__(self, parts: list[list[Any]]) -> None:
        self._parts = parts
        self._held: list[list[Any]] = []
        self._runner: Any = None

    def add(self, runner: Any, leaves: list[Any]) -> None:
        """Takes a batch, whose outputs come after those of the batches before."""
        if self._held and not (runner is self._runner and self._goes_on(leaves)):
            self.run()
        self._runner = runner
        most = getattr(runner, "batches_at_once", 1)
        # A generator may fill the same memory again.
        self._held.append(leaves if most == 1 else [np.array(a) for a in leaves])
        if len(self._held) >= most:
            self.run()

    def _goes_on(self, leaves: list[Any]) -> bool:
        """Whether a batch has the sizes of those before; the last of them may have fewer rows."""
        first, last = self._held[0], self._held[-1]
        alike = all(a.shape[1:] == b.shape[1:] for a, b in zip(first, leaves, strict=True))
        return alike and len(last[0]) == len(first[0]) >= len(leaves[0]) > 0

    def run(self) -> None:
        """Predicts what waits."""
        held, self._held = self._held, []
        if held:
            rows = len(held[0][0])
            joined = [np.concatenate(c) if len(held) > 1 else c[0] for c in zip(*held, strict=True)]
            self._parts.append(self._runner.predict(joined, rows))


def predict_on_batch(model: Any, x: Any) -> Any:
    """The outputs for one batch."""
    data = as_array_data(model, x, None, None, True)
    data = data.dense() if data.by_batch else data
    fixed_batch(model, data.n)
    function, structure = _for_any_rows(model, data.x, data.x) or model._predict_function(data.x)
    if "predict" in model._sized_steps:
        return tree.pack(structure, _called(function, data.leaves))
    out = model._on_its_device(function, data.leaves).predict(data.leaves, max(data.n, 1))
    return tree.pack(structure, out)


def _called(function: Any, leaves: list[Any]) -> list[Any]:
    """The outputs of a function that is traced for the rows of this batch alone."""
    return [np.array(out) for out in tree.flatten(function(*leaves))]


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
