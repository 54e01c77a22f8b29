"""`predict` and `predict_on_batch`. Depends on `tracing`, `feeding`, `callbacks`, `progress`."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from fastnn.base import tree
from fastnn.base.arguments import as_number, check_counts, verbosity
from fastnn.callbacks import CallbackList
from fastnn.data.batches import IterableData, closing, is_iterable_data
from fastnn.display.progress import is_terminal
from fastnn.errors import DataError, ShapeError, reject_arguments
from fastnn.tracing import variables
from fastnn.training.diagnostics import naming_layers
from fastnn.training.inputs import Feeding
from fastnn.training.loop import batches_of, report, warn_of_few
from fastnn.training.step import Tracing

__all__ = ["Predicting"]

_F32 = np.dtype(np.float32)


class Predicting(Feeding, Tracing):
    """The part of a model that predicts."""

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
        shape, version, function, _ = self._shortcut
        if (
            x.__class__ is np.ndarray
            and x.dtype is _F32
            and x.shape[1:] == shape
            and callbacks is None
            and not unknown
            and x.shape[0]
            and (version == variables._version or self._is_current())
            and (verbose == 0 or not is_terminal())
        ):
            size = 256 if batch_size is None else batch_size
            if size > 0:
                return function.predict((x,), size)[0]  # type: ignore[union-attr]
        if unknown:
            raise reject_arguments("predict()", unknown, type(self).predict)
        check_counts(1, batch_size, 0.0, 0, steps)
        batch_size, steps = as_number([batch_size, steps])
        with naming_layers(self):
            return self._predict(x, batch_size, verbosity(verbose), steps, callbacks)

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
            per = batch_size or 32
            if arrays.by_batch:
                out, _ = self._predict_batches(batches_of(arrays, size, None, None))
            else:
                function, structure = self._predict_function(arrays.x)
                out = tree.pack(structure, function.predict(arrays.leaves, size))
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

    def predict_on_batch(self, x: Any) -> Any:
        """The outputs for one batch."""
        data = self._arrays(x, None, None)
        data = data.dense() if data.by_batch else data
        function, structure = self._predict_function(data.x)
        return tree.pack(structure, function.predict(data.leaves, max(data.n, 1)))


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
