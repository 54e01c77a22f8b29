"""`compile`, `fit`, `evaluate`, `predict`: traced once, run by the core's loop.

A training step is one `_core.Function` whose updates are weights, optimiser slots, moving averages,
random states and metric sums; `_core.Loop` runs epochs of it without entering Python.
Depends on `data`, `losses`, `metrics`, `optimizers`, `callbacks`, `progress`.
"""

from __future__ import annotations

import inspect
import time
import warnings
from typing import Any

import numpy as np

from fastnn import _core, metrics, ops, optimizers
from fastnn.base import tree
from fastnn.base.arguments import (
    as_number,
    check_counts,
    check_validation,
    hints_arguments,
    verbosity,
)
from fastnn.callbacks import CallbackList, History
from fastnn.data.batches import IterableData, closing, split_tail, unpack
from fastnn.data.labels import check_class_weight
from fastnn.devices import choice
from fastnn.display.progress import is_terminal
from fastnn.errors import reject_arguments
from fastnn.tracing import variables
from fastnn.tracing.fixed_batch import fixed_batch
from fastnn.tracing.symbolic import value_of
from fastnn.tracing.variables import Variable, gradients, local as _scopes, settle
from fastnn.training.batches import agree, eager_step, logs_of_all, python_epoch
from fastnn.training.compile_utils import CompiledLoss, CompiledMetrics
from fastnn.training.diagnostics import naming_layers
from fastnn.training.inputs import (
    check_class_keys,
    check_labels,
    source_of,
    validation_of,
    weigh_by_class,
)
from fastnn.training.loop import Fit, FitSettings, batches_of, report, warn_of_few
from fastnn.training.predict import predict, predict_on_batch
from fastnn.training.program import Logs, keeping
from fastnn.training.ranks import Ranks, ranks_of
from fastnn.training.step import Tracing

__all__ = ["Trainer"]

_F32 = np.dtype(np.float32)


class Trainer(Tracing):
    """The training half of `Model`."""

    compiled: bool
    stop_training: bool
    run_eagerly: bool

    optimizer: Any
    built: bool
    name: str
    trainable_variables: list[Variable]

    def _takes(self, array: Any, shape: Any) -> bool:
        """Whether inputs of another shape than that of the symbolic input are fine as they are."""
        return False

    def _single_input(self) -> bool:
        want = self._input_shapes()  # type: ignore[attr-defined]
        return want is not None and len(want[1]) == 1

    def _init_training(self) -> None:
        self.compiled = False
        self.stop_training = False
        self.history: Any = None
        self._compiled_loss: CompiledLoss | None = None
        self._compiled_metrics: CompiledMetrics | None = None
        self._loss_tracker: metrics.Mean | None = None
        self._compile_config: dict[str, Any] | None = None
        self._init_traces()
        self._shuffle_seed: int | None = None
        self._initial_epoch = 0
        #: Calls of `fit` under way: more than one where a callback calls it too.
        self._fits = 0
        #: Of a resumed run: batches of the epoch that were made, and what its metrics held.
        self._resumed: tuple[int, list[Any]] | None = None
        self.run_eagerly = False

    def __getstate__(self) -> dict[str, Any]:
        """What a copy or a pickle takes along: all but the traces, which are made anew."""
        state: dict[str, Any] = super().__getstate__()  # type: ignore[assignment]
        for name in (
            "_programs",
            "_predictors",
            "_predictors_placed",
            "_device_calls",
            "_shortcut",
            "_shortcut_of",
            "_signature_at",
            "_steps_at",
        ):
            del state[name]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restores what `__getstate__` gave."""
        super().__setstate__(state | {"_fits": 0, "_resumed": None})  # type: ignore[misc]
        self._init_traces()

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
        device: str | None = None,
        **unknown: Any,
    ) -> None:
        """Chooses optimiser, loss and metrics for `fit` and `evaluate`; unknown names are refused
        here.

        Args:
            optimizer: An `Optimizer`, or its name such as `"adam"`.
            loss: A `Loss`, a function of (y_true, y_pred), or a name such as `"mse"`; for several
                outputs a list, or a dict by the names of the outputs.
            loss_weights: Factors of the losses of several outputs, a list or dict.
            metrics: A list of metrics, functions or names such as `"accuracy"`; for several outputs
                a list of lists, or a dict.
            weighted_metrics: Metrics that sample and class weights count for.
            run_eagerly: Whether `train_step` runs in Python for every batch, so that breakpoints
                and prints see values.
            steps_per_execution: Accepted for Keras's sake: every epoch is one compiled execution.
            jit_compile: Accepted for Keras's sake: every epoch is one compiled execution.
            auto_scale_loss: Accepted for Keras's sake: float32 gradients need no scaling.
            device: Where `fit`, `evaluate` and `predict` run: `"cpu"`, `"gpu"`, a GPU such as
                `"gpu:1"`, or `"auto"`, which takes a GPU where it is faster. None: what
                `fastnn.device` or `fastnn.set_device` chose, else the CPU.
            **unknown: Given to the function.

        Raises:
            ValueError: A name is not known; the hint names the nearest ones.
            GpuUnavailableError: `device` is one that this machine lacks.

        Example:
            >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
            >>> model.compile(fastnn.optimizers.Adam(0.01), "mse", metrics=["mae"])
        """
        if unknown:
            raise reject_arguments("compile()", unknown, type(self).compile)
        if steps_per_execution != "auto" and int(steps_per_execution) < 1:
            raise ValueError(
                f"steps_per_execution is {steps_per_execution}, wanted 1 or more\n  hint: leave it"
            )
        placed = None if device is None else choice.parsed(device, auto=True)
        if run_eagerly and placed not in (None, choice.CPU):
            raise ValueError(
                f"run_eagerly=True runs steps in Python, on the CPU; device is {device!r}\n"
                "  hint: leave one of them"
            )
        if placed is not None:
            choice.look_for(placed)
        self._compiled_device = placed
        self.optimizer = optimizers.get(optimizer)
        self._compiled_loss = None if loss is None else CompiledLoss(loss, loss_weights)
        self._compiled_metrics = CompiledMetrics(
            metrics, weighted_metrics, getattr(self, "output_names", None), self._compiled_loss
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
        for layer in self._every_layer():
            if layer is self or not isinstance(layer, Trainer):
                for value in layer.__dict__.values():
                    if isinstance(value, list | tuple):
                        found += [m for m in value if isinstance(m, metrics.Metric)]
                    elif isinstance(value, metrics.Metric):
                        found.append(value)
        return list({id(m): m for m in found}.values())

    @property
    def metrics_names(self) -> list[str]:
        """Names of the metrics."""
        return [m.name for m in self.metrics]

    def reset_metrics(self) -> None:
        """Puts all metrics back to the start.

        Example:
            >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
            >>> model.compile("sgd", "mse")
            >>> model.reset_metrics()
        """
        for m in self.metrics:
            m.reset_state()

    def get_metrics_result(self) -> dict[str, Any]:
        """The values of all metrics.

        Returns:
            A dict: name -> value.

        Example:
            >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
            >>> model.compile("sgd", "mse")
            >>> list(model.get_metrics_result())
            ['loss']
        """
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
        """The compiled loss plus the losses that layers and penalties add.

        Args:
            x: Inputs; not used unless overridden.
            y: Labels.
            y_pred: What the model made of the inputs.
            sample_weight: How much each sample counts.
            training: Not used unless overridden.

        Returns:
            A tensor without axes.

        Raises:
            ValueError: There is no loss at all.

        Example:
            >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
            >>> model.compile("sgd", "mse")
            >>> float(model.compute_loss(y=np.zeros((2, 1)), y_pred=np.ones((2, 1))))
            1.0
        """
        parts: list[Any] = []
        if self._compiled_loss is not None:
            names = getattr(self, "output_names", None)
            parts.append(self._compiled_loss(y, y_pred, sample_weight, names))
        parts += [ops.sum(v) for v in self.losses]  # type: ignore[attr-defined]
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
        """Updates the compiled metrics with a batch and gives all values.

        Args:
            x: Inputs; not used unless overridden.
            y: Labels.
            y_pred: What the model made of the inputs.
            sample_weight: How much each sample counts.

        Returns:
            A dict: name -> value.

        Example:
            >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
            >>> model.compile("sgd", "mse", metrics=["mae"])
            >>> logs = model.compute_metrics(None, np.zeros((2, 1)), np.ones((2, 1)))
            >>> float(logs["mae"])
            1.0
        """
        if self._compiled_metrics is not None:
            names = getattr(self, "output_names", None)
            self._compiled_metrics.update(y, y_pred, sample_weight, names)
        return self.get_metrics_result()

    def _loss_of(self, x: Any, y: Any, y_pred: Any, weights: Any, training: bool) -> Any:
        """`compute_loss` as Keras calls it: by keyword, `training` where an override takes it."""
        given: dict[str, Any] = {"x": x, "y": y, "y_pred": y_pred, "sample_weight": weights}
        parameters = inspect.signature(self.compute_loss).parameters.values()
        if any(p.name == "training" or p.kind is p.VAR_KEYWORD for p in parameters):
            given["training"] = training
        return self.compute_loss(**given)

    def train_step(self, data: Any) -> dict[str, Any]:
        """What training does with one batch; override it for other training.

        It is traced once and compiled, as part of `fit`.

        Args:
            data: What `fit` was given: x, (x, y) or (x, y, sample_weight), as tensors of a batch.

        Returns:
            A dict of logs: name -> value.

        Example:
            >>> class Doubled(fastnn.Sequential):
            ...     def train_step(self, data):
            ...         super().train_step(data)
            ...         return super().train_step(data)
            >>> model = Doubled([fastnn.Input((2,)), fastnn.layers.Dense(1)])
            >>> model.compile("sgd", "mse")
            >>> history = model.fit(np.ones((4, 2)), np.ones(4), verbose=0)
            >>> int(model.optimizer.iterations)
            2
        """
        x, y, weights = unpack(data)
        y_pred = self(x, training=True)  # type: ignore[operator]
        loss = self._loss_of(x, y, y_pred, weights, True)
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
        """What evaluation does with one batch; override it together with `train_step`.

        Args:
            data: x, (x, y) or (x, y, sample_weight), as tensors of a batch.

        Returns:
            A dict of logs: name -> value.

        Example:
            >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
            >>> model.compile("sgd", "mse")
            >>> sorted(model.test_step((np.ones((4, 2)), np.ones((4, 1)))))
            ['loss']
        """
        x, y, weights = unpack(data)
        y_pred = self(x, training=False)  # type: ignore[operator]
        self._track(self._loss_of(x, y, y_pred, weights, False), x)
        return self.compute_metrics(x, y, y_pred, weights)

    def predict_step(self, data: Any) -> Any:
        """What prediction does with one batch: the model's output.

        Args:
            data: Inputs, as tensors of a batch.

        Returns:
            The outputs.

        Example:
            >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
            >>> model.predict_step(np.ones((4, 2), "float32")).shape
            (4, 1)
        """
        x, _, _ = unpack(data)
        return self(x, training=False)  # type: ignore[operator]

    def _track(self, loss: Any, x: Any) -> None:
        if self._loss_tracker is not None:
            first = tree.flatten(x)[0]
            self._loss_tracker.update_state(loss, _core.ops.extent(first, axis=[0]))

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
        """Trains for `epochs - initial_epoch` epochs.

        Logs are means over the epoch, weighted by batch size. The step is traced and compiled once;
        an epoch over arrays runs in Rust with Python's lock released.

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
            **unknown: Given to the function.

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
        if unknown:
            raise reject_arguments("fit()", unknown, type(self).fit)
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
        check_class_keys(self, classes or {})
        data = source_of(self, x, y, sample_weight, shuffle)
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
        sample_weight: Any = None,
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
            **unknown: Given to the function.

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
        if unknown:
            raise reject_arguments("evaluate()", unknown, type(self).evaluate)
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
            data.limit = steps
        with closing(data), naming_layers(self):
            batch_size = fixed_batch(self, batch_size, getattr(data, "n", None))
            if calls is not None:
                calls.set_params({"verbose": level, "epochs": 1, "steps": steps or (
                    data.steps() if isinstance(data, IterableData) else data.steps(batch_size or 32)
                )})  # fmt: skip
            logs, done = self._evaluate(data, batch_size or 32, steps, calls)
        if level:
            report(level, done, logs, time.perf_counter() - start)
        return logs if return_dict else self._in_order(logs)

    def _evaluate(
        self,
        data: Any,
        batch_size: int,
        steps: int | None,
        calls: CallbackList | None = None,
        ranks: Ranks | None = None,
    ) -> tuple[Logs, int]:
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
            if isinstance(data, IterableData):
                warn_of_few(data.name, done, steps)
        else:
            with keeping(self):
                check_labels(self, data.y, data.weights, program)
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
            **unknown: Given to the function.

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
        function = self._quick(x)
        if (
            function is not None
            and callbacks is None
            and not unknown
            and (verbose == 0 or not is_terminal())
        ):
            size = 256 if batch_size is None else batch_size
            if size > 0:
                return function.predict((x,), size)[0]
        if unknown:
            raise reject_arguments("predict()", unknown, type(self).predict)
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
        function = self._quick(x)
        if function is not None:
            return function.predict((x,), len(x))[0]
        settle("predict_on_batch")
        with naming_layers(self):
            return predict_on_batch(self, x)

    def _quick(self, x: Any) -> _core.Function | None:
        """The function that predicts these rows, if they need no other look; else None."""
        shape, version, function, _ = self._shortcut
        if (
            x.__class__ is np.ndarray
            and x.dtype is _F32
            and x.shape[1:] == shape
            and not choice.is_used
            and x.shape[0]
            and (version == variables._version or self._is_current())
            and getattr(_scopes, "scope", None) is None
        ):
            return function
        return None

    # ---- single batches ------------------------------------------------------------------------

    @hints_arguments
    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
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
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
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
            program = self._program(kind, (data.x, data.y, data.weights))
            check_labels(self, data.y, data.weights, program)
            found = program.metrics
            for m in found:
                m.reset_state()
            program.step(*data.leaves)
            logs = program.read()
        return logs if return_dict else self._in_order(logs, found)


def _mean(name: str) -> metrics.Mean:
    return metrics.Mean(name=name)
