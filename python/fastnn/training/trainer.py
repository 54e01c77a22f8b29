"""`fit`, `evaluate`, `predict`: traced once, run by the core's loop.

A training step is one `_core.Function` whose updates are weights, optimiser slots, moving averages,
random states and metric sums; `_core.Loop` runs epochs of it without entering Python.
Depends on `data`, `callbacks`, `progress`.
"""

from __future__ import annotations

import time
from typing import Any

from fastnn.base.arguments import (
    as_number,
    check_counts,
    check_validation,
    hints_arguments,
    verbosity,
)
from fastnn.base.typing import TensorLike
from fastnn.callbacks import CallbackList, History
from fastnn.data.batches import IterableData, closing, split_tail
from fastnn.data.labels import check_class_weight
from fastnn.devices import choice
from fastnn.display.progress import is_terminal
from fastnn.errors import reject_arguments
from fastnn.tracing import variables
from fastnn.tracing.fingerprint import TRACES
from fastnn.tracing.fixed_batch import fixed_batch
from fastnn.tracing.variables import local as _scopes, settle
from fastnn.training.batches import agree, eager_step, logs_of_all, python_epoch
from fastnn.training.compiled import Compiled
from fastnn.training.diagnostics import naming_layers
from fastnn.training.inputs import (
    check_class_keys,
    check_labels,
    source_of,
    validation_of,
    weigh_by_class,
)
from fastnn.training.loop import Fit, FitSettings
from fastnn.training.passes import batches_of, report, warn_of_few
from fastnn.training.predict import predict, predict_on_batch
from fastnn.training.program import Logs, keeping
from fastnn.training.ranks import Ranks, ranks_of

__all__ = ["Trainer"]

#: A batch that all rows are in.
_ALL_ROWS = 1 << 40


#: How Keras 2 was told to read data ahead, which happens by itself here.
READING = frozenset({"max_queue_size", "use_multiprocessing", "workers"})


class Trainer(Compiled):
    """The training half of `Model`."""

    built: bool
    name: str

    def _takes(self, array: Any, shape: Any) -> bool:
        """Whether inputs of another shape than that of the symbolic input are fine as they are."""
        return False

    def _single_input(self) -> bool:
        want = self._input_shapes()  # type: ignore[attr-defined]
        return want is not None and len(want[1]) == 1

    def _init_training(self) -> None:
        self._init_compiled()
        self.history: Any = None
        self._init_traces()
        self._shuffle_seed: int | None = None
        self._initial_epoch = 0
        #: Calls of `fit` under way: more than one where a callback calls it too.
        self._fits = 0
        #: Of a resumed run: batches of the epoch that were made, what its metrics held, and where
        #: the orders at random of its data stood.
        self._resumed: tuple[int, list[Any], list[list[int]]] | None = None
        #: What `fit` reads while it runs: the data, and that of the validation.
        self._sources_read: tuple[Any, ...] = ()

    def __getstate__(self) -> dict[str, Any]:
        """What a copy or a pickle takes along: all but the traces, which are made anew."""
        state: dict[str, Any] = super().__getstate__()  # type: ignore[assignment]
        for name in TRACES:
            del state[name]
        return state | {"_sources_read": ()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restores what `__getstate__` gave."""
        super().__setstate__(state | {"_fits": 0, "_resumed": None})  # type: ignore[misc]
        self._init_traces()

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
        sample_weight: TensorLike = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: Any = 1,
        **unknown: Any,
    ) -> History:
        """Trains for `epochs - initial_epoch` epochs.

        Logs are means over the epoch, weighted by batch size. The step is traced and compiled once;
        an epoch over arrays runs in Rust with the GIL released.

        Args:
            x: Inputs: an array, list or frame, a list or dict of them for several inputs, or a
                generator, `PyDataset` or other iterable of batches (x, y) or (x, y, weights).
            y: Labels, (n, …); not given when `x` gives them.
            batch_size: Samples of a batch, 32 when left out.
            epochs: The number of the last epoch.
            verbose: 0 is silent, 1 draws a bar, 2 prints a line an epoch; `"auto"` is 1.
            callbacks: A list of callbacks.
            validation_split: The share of the last samples that is kept for validation, from 0 to
                1.
            validation_data: (x, y), (x, y, weights), or an iterable of batches, for validation.
            shuffle: Whether samples are in another order in each epoch.
            class_weight: A dict: class number -> how much its samples count.
            sample_weight: How much each sample counts, (n,).
            initial_epoch: The number of the first epoch, from 0.
            steps_per_epoch: Batches of an epoch; None: all there are.
            validation_steps: Batches of a validation; None: all there are.
            validation_batch_size: Samples of a batch in validation; None: `batch_size`.
            validation_freq: Every how many epochs validation runs, or a list of epochs.
            **unknown: Keras 2's `workers` and the like, which change nothing here.

        Returns:
            A `History`; its `history` holds one list per name of the logs.

        Raises:
            DataError: The data are no numbers, labels lie outside the classes, or lengths differ.
            ShapeError: The data do not fit the model.
            ValueError: An argument is out of range, as `epochs=-1`.
            RuntimeError: The model has not been compiled.

        Example:
            >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
            >>> model.compile("sgd", "mse")
            >>> x = np.ones((64, 2), "float32")
            >>> history = model.fit(x, np.ones(64), epochs=3, validation_split=0.25, verbose=0)
            >>> sorted(history.history), len(history.epoch)
            (['loss', 'val_loss'], 3)
        """
        if unknown.keys() - READING:
            raise reject_arguments("fit()", unknown.keys() - READING, type(self).fit)
        self._require_compiled("fit")
        settle("fit")
        self._look_again()
        check_counts(
            epochs, batch_size, validation_split, initial_epoch, steps_per_epoch, "steps_per_epoch"
        )
        epochs, batch_size, initial_epoch, steps_per_epoch, validation_split = as_number(
            [epochs, batch_size, initial_epoch, steps_per_epoch, validation_split]
        )
        validation_steps, validation_batch_size, validation_freq = as_number(
            [validation_steps, validation_batch_size, validation_freq]
        )
        check_validation(validation_steps, validation_batch_size, validation_freq)
        classes = None if class_weight is None else check_class_weight(class_weight)
        if classes:
            check_class_keys(self, classes)
        # What losses are traced already needs no look before the trace besides the one after it.
        seen = self._compiled_loss is not None and self._compiled_loss.is_traced
        data = source_of(self, x, y, sample_weight, shuffle, check=not seen or validation_split > 0)
        validation: Any = None
        if validation_data is not None:
            validation = validation_of(self, validation_data)
        elif validation_split:
            if isinstance(data, IterableData):
                raise ValueError(
                    "validation_split needs arrays, x yields batches\n"
                    "  hint: give validation_data=another_generator"
                )
            data, validation = split_tail(data, validation_split)
        if classes and not isinstance(data, IterableData):
            # Rows to train on only: what is validated weighs as it is.
            data.weights = weigh_by_class(self, data.y, classes, data.weights)
            data.join()
        batch_size = fixed_batch(self, batch_size, getattr(data, "n", None))
        if validation is not None:
            validation_batch_size = fixed_batch(
                self, validation_batch_size, getattr(validation, "n", None)
            )
        settings = FitSettings(
            batch_size or 32, epochs, shuffle, steps_per_epoch, classes, validation,
            validation_steps, validation_batch_size or batch_size or 32, validation_freq,
        )  # fmt: skip
        with naming_layers(self):
            return Fit(self, data, settings).run(initial_epoch, verbosity(verbose), callbacks)

    # ---- evaluate ------------------------------------------------------------------------------

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: TensorLike = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
        **unknown: Any,
    ) -> Any:
        """The loss and metrics over data.

        Args:
            x: Inputs, as for `fit`.
            y: Labels, as for `fit`.
            batch_size: Samples of a batch, 32 when left out.
            verbose: 0 is silent, 1 draws a bar, 2 prints a line; `"auto"` is 1.
            sample_weight: How much each sample counts, (n,).
            steps: Batches; None: all there are.
            callbacks: A list of callbacks.
            return_dict: Whether a dict by name is given.
            **unknown: Keras 2's `workers` and the like, which change nothing here.

        Returns:
            A number when there is only the loss, else a list in the order of `metrics_names`; or a
            dict.

        Raises:
            DataError: The data are no numbers, labels lie outside the classes, or lengths differ.
            ShapeError: The data do not fit the model.
            RuntimeError: The model has not been compiled.

        Example:
            >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
            >>> model.compile("sgd", "mse", metrics=["mae"])
            >>> x = np.ones((8, 2), "float32")
            >>> sorted(model.evaluate(x, np.ones(8), verbose=0, return_dict=True))
            ['loss', 'mae']
        """
        if unknown.keys() - READING:
            raise reject_arguments("evaluate()", unknown.keys() - READING, type(self).evaluate)
        self._require_compiled("evaluate")
        settle("evaluate")
        self._look_again()
        check_counts(1, batch_size, 0.0, 0, steps)
        batch_size, steps = as_number([batch_size, steps])
        data = source_of(self, x, y, sample_weight, False)
        level = verbosity(verbose)
        calls = CallbackList(callbacks, model=self) if callbacks else None
        start = time.perf_counter()
        if isinstance(data, IterableData):
            data.again, data.limit = True, steps
        with closing(data), naming_layers(self):
            batch_size = fixed_batch(self, batch_size, getattr(data, "n", None))
            if calls is not None:
                calls.set_params({"verbose": level, "epochs": 1, "steps": steps or (
                    data.steps() if isinstance(data, IterableData) else data.steps(batch_size or 32)
                )})  # fmt: skip
            logs, done = self._evaluate_source(data, batch_size or 32, steps, calls)
        if level:
            report(level, done, logs, time.perf_counter() - start)
        return logs if return_dict else self._in_order(logs)

    def _evaluate_source(
        self,
        data: Any,
        batch_size: int,
        steps: int | None,
        calls: CallbackList | None = None,
        ranks: Ranks | None = None,
    ) -> tuple[Logs, int]:
        self.stop_evaluating = False
        if calls is not None:
            calls.on_test_begin()
        hooks = ("on_test_batch_begin", "on_test_batch_end")
        by_batch = isinstance(data, IterableData) or data.by_batch or self.run_eagerly
        by_batch = by_batch or (calls is not None and calls.overrides(*hooks))
        by_batch = by_batch or steps is not None or ranks is not None
        self._auto_rows = batch_size
        program = None if by_batch else self._whole_program("test", data, batch_size)
        if program is None:
            batches = batches_of(data, batch_size, steps, None, ranks=ranks)
            logs, done = python_epoch(self, "test", batches, calls, ranks=ranks)
            if isinstance(data, IterableData) and not self.stop_evaluating:
                warn_of_few(data.name, done, steps)
        else:
            with keeping(self):
                check_labels(self, data.y, data.weights, program)
                if program.by_hand:
                    self.reset_metrics()
                rows = program.loop.run(data.leaves, batch_size, 1)
                logs, done = program.logs(rows[0]), data.steps(batch_size)
        if calls is not None:
            calls.on_test_end(logs)
        return logs, done

    def _in_order(self, logs: Logs, found: list[Any] | None = None) -> Any:
        names = self._names_in_order(self.metrics if found is None else found, logs)
        values = [logs[name] for name in names]
        return values[0] if len(values) == 1 else values

    # ---- predict ------------------------------------------------------------------------------

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
        **unknown: Any,
    ) -> Any:
        """The outputs for all samples, in order.

        Args:
            x: Inputs, as for `fit`, without labels.
            batch_size: Samples of a batch, 32 when left out.
            verbose: 0 is silent, 1 draws a bar, 2 prints a line; `"auto"` is 1.
            steps: Batches; None: all there are.
            callbacks: A list of callbacks.
            **unknown: Keras 2's `workers` and the like, which change nothing here.

        Returns:
            A float32 array (n, …), or a structure of them for several outputs.

        Raises:
            DataError: The data are no numbers.
            ShapeError: The data do not fit the model.

        Example:
            >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(3)])
            >>> model.predict(np.ones((5, 2)), verbose=0).shape
            (5, 3)
        """
        if (
            callbacks is None
            and steps is None
            and not unknown
            and (verbose == 0 or not is_terminal())
            and (out := self._quick_prediction(x, 256 if batch_size is None else batch_size))
            is not None
        ):
            return out
        if unknown.keys() - READING:
            raise reject_arguments("predict()", unknown.keys() - READING, type(self).predict)
        check_counts(1, batch_size, 0.0, 0, steps)
        batch_size, steps = as_number([batch_size, steps])
        settle("predict")
        with naming_layers(self):
            return predict(self, x, batch_size, verbosity(verbose), steps, callbacks)

    @hints_arguments
    def predict_on_batch(self, x: Any) -> Any:
        """The outputs for one batch.

        Args:
            x: Inputs of a batch.

        Returns:
            An array, or a structure of them for several outputs.

        Raises:
            ShapeError: The data do not fit the model.

        Example:
            >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(3)])
            >>> model.predict_on_batch(np.ones((5, 2))).shape
            (5, 3)
        """
        out = self._quick_prediction(x, _ALL_ROWS)
        if out is not None:
            return out
        settle("predict_on_batch")
        with naming_layers(self):
            return predict_on_batch(self, x)

    def _quick_prediction(self, x: Any, batch_size: int) -> Any:
        """The outputs for an array that needs no other look; else None."""
        shape, version, function, _ = self._shortcut
        if (
            function is not None
            and (version == variables._version or self._is_current())
            and not choice.is_used
            and batch_size.__class__ is int
            and batch_size > 0
            and getattr(_scopes, "scope", None) is None
        ):
            return function.predict_plain(x, shape, batch_size)
        return None

    # ---- single batches ------------------------------------------------------------------------

    @hints_arguments
    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: TensorLike = None,
        class_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """One update on one batch.

        Args:
            x: Inputs of a batch.
            y: Labels of the batch.
            sample_weight: How much each sample counts, (batch,).
            class_weight: A dict: class number -> how much its samples count.
            return_dict: Whether a dict by name is given.

        Returns:
            The loss, or a list of loss and metrics, as running means; or a dict.

        Raises:
            RuntimeError: The model has not been compiled.

        Example:
            >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
            >>> model.compile("sgd", "mse")
            >>> sorted(model.train_on_batch(np.ones((4, 2)), np.ones(4), return_dict=True))
            ['loss']
        """
        self._require_compiled("train_on_batch")
        data: Any = source_of(self, x, y, sample_weight, False)
        if class_weight:
            data.weights = weigh_by_class(self, data.y, class_weight, data.weights)
            data.join()
        return self._on_batch("train", data, return_dict)

    @hints_arguments
    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: TensorLike = None, return_dict: bool = False
    ) -> Any:
        """The loss and metrics of one batch.

        Args:
            x: Inputs of a batch.
            y: Labels of the batch.
            sample_weight: How much each sample counts, (batch,).
            return_dict: Whether a dict by name is given.

        Returns:
            The loss, or a list of loss and metrics, as running means; or a dict.

        Raises:
            RuntimeError: The model has not been compiled.

        Example:
            >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
            >>> model.compile("sgd", "mse")
            >>> sorted(model.test_on_batch(np.ones((4, 2)), np.ones(4), return_dict=True))
            ['loss']
        """
        self._require_compiled("test_on_batch")
        data = source_of(self, x, y, sample_weight, False)
        return self._on_batch("test", data, return_dict)

    def _on_batch(self, kind: str, data: Any, return_dict: bool) -> Any:
        settle(f"{kind}_on_batch")
        if data.by_batch:
            data = data.dense()
        ranks = ranks_of(self) if kind == "train" else None
        with keeping(self), naming_layers(self):
            if ranks is None:
                return self._one_batch(kind, data, return_dict)
            with ranks.together("train_on_batch"), ranks.stepping():
                return self._one_batch_of_all(ranks, data, return_dict)

    def _one_batch_of_all(self, ranks: Ranks, data: Any, return_dict: bool) -> Any:
        """A step of all ranks, each with a batch of its own."""
        logs: Logs = {}
        for _ in ranks.counted(iter([(data.parts, True)]), False):
            if self not in ranks.group.known:
                agree(self, ranks, "train", data.parts)
            logs = self._one_batch("train", data, True)
        with ranks.totals():
            logs = logs_of_all(self, ranks, logs)
        return logs if return_dict else self._in_order(logs)

    def _one_batch(self, kind: str, data: Any, return_dict: bool) -> Any:
        fixed_batch(self, data.n)
        found = None
        if self.run_eagerly:
            self.reset_metrics()
            logs = eager_step(self, kind == "train", (data.x, data.y, data.weights))
        else:
            program = self._step_program(kind, (data.x, data.y, data.weights))
            check_labels(self, data.y, data.weights, program)
            found = program.metrics
            for m in found:
                m.reset_state()
            program.step(*data.leaves)
            logs = program.read()
        return logs if return_dict else self._in_order(logs, found)
