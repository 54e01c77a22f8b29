"""Callbacks under Keras's names and rules. Depends on `progress`.

Hooks that nobody overrides are never called: with none overridden all epochs run in the core.
"""

from __future__ import annotations

import csv
import inspect
import itertools
import math
import os
import time
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from fastnn import ops
from fastnn.errors import FormatError, nearest, unknown_name
from fastnn.messages import say
from fastnn.progress import Progbar
from fastnn.serial import plain

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "MonitorCallback",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "SwapEMAWeights",
    "TensorBoard",
    "TerminateOnNaN",
]  # fmt: skip

Logs = dict[str, Any]


class Callback:
    """Override the hooks you need; `self.model` and `self.params` are set before training."""

    def __init__(self) -> None:
        self.params: dict[str, Any] = {}
        self._model: Any = None

    @property
    def model(self) -> Any:
        """The model that is trained."""
        return self.__dict__.get("_model")

    def set_params(self, params: dict[str, Any]) -> None:
        """Takes verbose, epochs and steps."""
        self.params = params

    def set_model(self, model: Any) -> None:
        """Takes the model."""
        self._model = model

    #: True for a callback that is called after all others: it sees what they made of an epoch.
    comes_last = False

    def get_state(self) -> dict[str, Any]:
        """What a resumed run needs: numbers, texts, lists of arrays; for `BackupAndRestore`."""
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on from what `get_state` gave in a run that was cut off; after `on_train_begin`."""
        for name, value in state.items():
            setattr(self, name, value)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before the first epoch."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """After the last epoch."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before an epoch."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """After an epoch and its validation; `logs` hold loss, metrics, val_…."""

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a training batch (older name)."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a training batch (older name)."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a training batch."""
        self.on_batch_begin(batch, logs=logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a training batch; `logs` hold running values."""
        self.on_batch_end(batch, logs=logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Before an evaluation."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """After an evaluation."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before an evaluation batch."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After an evaluation batch."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Before a prediction."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """After a prediction."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a prediction batch."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a prediction batch."""


class History(Callback):
    """`history`: one list per key of the logs, in their order; `epoch`: the epoch numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Starts the list of epochs."""
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Appends the values of an epoch."""
        self.epoch.append(epoch)
        for key, value in (logs or {}).items():
            self.history.setdefault(key, []).append(value)

    def __repr__(self) -> str:
        from fastnn.charts import history_text

        return history_text(len(self.epoch), self.history)

    def _repr_html_(self) -> str:
        from fastnn.charts import history_html

        return history_html(self.epoch, self.history)


class CallbackList(Callback):
    """Calls each of several callbacks, and knows which hooks any of them overrides."""

    def __init__(
        self,
        callbacks: Any = None,
        add_history: bool = False,
        add_progbar: bool = False,
        model: Any = None,
        **params: Any,
    ) -> None:
        super().__init__()
        given = callbacks if callbacks is not None else []
        given = given if isinstance(given, list | tuple) else [given]
        self.callbacks: list[Any] = list(_flatten(given))
        for c in self.callbacks:
            if not callable(getattr(c, "on_epoch_end", None)):
                raise TypeError(
                    f"callbacks hold {c!r}, wanted Callback objects\n"
                    "  hint: callbacks=[EarlyStopping(patience=3)]"
                )
        self.callbacks.sort(key=lambda c: getattr(c, "comes_last", False))
        if add_progbar:
            self.callbacks.append(ProgbarLogger())
        if add_history:
            self.callbacks.append(History())
        if model is not None:
            self.set_model(model)
        if params:
            self.set_params(params)

    def append(self, callback: Callback) -> None:
        """Adds a callback at the end."""
        self.callbacks.append(callback)

    def set_params(self, params: dict[str, Any]) -> None:
        """Gives the parameters to all."""
        self.params = params
        for c in self.callbacks:
            c.set_params(params)

    def set_model(self, model: Any) -> None:
        """Gives the model to all."""
        super().set_model(model)
        for c in self.callbacks:
            c.set_model(model)
            if getattr(c, "comes_last", False):
                c.others = [other for other in self.callbacks if other is not c]

    def overrides(self, *hooks: str) -> bool:
        """True when some callback has a body of its own for one of the hooks."""
        return any(
            getattr(type(c), hook, None) is not getattr(Callback, hook) or hook in vars(c)
            for c in self.callbacks
            if type(c) is not History
            for hook in hooks
        )

    def _each(self, hook: str, at: tuple[int, ...], logs: Logs | None) -> None:
        """Calls the hook of every callback; an error is told where it came from."""
        logs = logs if logs is not None else {}
        for c in self.callbacks:
            try:
                getattr(c, hook)(*at, logs)
            except Exception as error:
                place = f"{hook}({at[0]})" if at else hook
                error.add_note(f"  in {place} of callback {type(c).__name__}")
                raise


def _flatten(callbacks: Iterable[Any]) -> Iterable[Any]:
    for c in callbacks:
        if isinstance(c, CallbackList):
            yield from c.callbacks
        elif isinstance(c, list | tuple):
            yield from _flatten(c)
        else:
            yield c


def _forward(hook: str) -> None:
    """Gives CallbackList the hook, under the parameter names of Callback's."""

    def of_run(self: CallbackList, logs: Logs | None = None) -> None:
        self._each(hook, (), logs)

    def of_epoch(self: CallbackList, epoch: int, logs: Logs | None = None) -> None:
        self._each(hook, (epoch,), logs)

    def of_batch(self: CallbackList, batch: int, logs: Logs | None = None) -> None:
        self._each(hook, (batch,), logs)

    forms: dict[str, Callable[..., None]] = {"logs": of_run, "epoch": of_epoch, "batch": of_batch}
    call = forms[list(inspect.signature(getattr(Callback, hook)).parameters)[1]]
    call.__name__ = hook
    call.__doc__ = getattr(Callback, hook).__doc__
    setattr(CallbackList, hook, call)


for _hook in [h for h in vars(Callback) if h.startswith("on_")]:
    _forward(_hook)


class ProgbarLogger(Callback):
    """A progress bar from batch hooks; `fit` has its own, cheaper one."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """A new bar."""
        self._bar = Progbar(self.params.get("steps"), verbose=self.params.get("verbose", 1))
        self._seen = 0
        if self.params.get("verbose"):
            say(f"Epoch {epoch + 1}/{self.params.get('epochs')}")

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Moves the bar."""
        self._seen = batch + 1
        self._bar.show(self._seen, logs or {})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Ends the line."""
        self._bar.show(self._seen, logs or {}, done=True)


class LambdaCallback(Callback):
    """Hooks from functions: `LambdaCallback(on_epoch_end=lambda epoch, logs: …)`.

    Other keyword arguments become attributes; a name that looks like a hook and is none is refused.
    """

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        hooks = {
            "on_epoch_begin": on_epoch_begin, "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin, "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin, "on_train_batch_end": on_train_batch_end,
            **kwargs,
        }  # fmt: skip
        known = [h for h in vars(Callback) if h.startswith("on_")]
        for hook, fn in hooks.items():
            if hook not in known and (hook.startswith("on_") or nearest(hook, known, 1)):
                raise unknown_name("callback hook", hook, known)
            if fn is not None:
                self.__dict__[hook] = fn


def _missing(kind: str, monitor: str, logs: Logs) -> None:
    have = ", ".join(sorted(logs)) or "nothing"
    warnings.warn(
        f"{kind} watches '{monitor}', which is not among the logs: {have}. "
        "Give validation_data or another monitor.",
        stacklevel=4,
    )


class MonitorCallback(Callback):
    """Compares a value of the logs with the best so far; the start of callbacks that watch one.

    With mode "auto" the loss and errors shall fall, the metrics that say so (accuracies, AUC, …)
    shall rise; ValueError when the monitored name is neither the loss nor a metric of the model.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        mode: str = "auto",
        baseline: float | None = None,
        min_delta: float = 0,
    ) -> None:
        super().__init__()
        if mode not in ("auto", "min", "max"):
            warnings.warn(
                f"{type(self).__name__} mode '{mode}' is unknown, fallback to auto mode.",
                stacklevel=3,
            )
            mode = "auto"
        self.monitor, self.mode, self.best = monitor, mode, baseline
        self.min_delta = abs(min_delta)
        self.monitor_op: Any = None

    def _set_monitor_op(self) -> None:
        if self.mode != "auto":
            self.monitor_op = ops.less if self.mode == "min" else ops.greater
            return
        name = self.monitor.removeprefix("val_")
        known = {m.name: m for m in _metrics_of(self.model)}
        direction = "down" if name == "loss" else getattr(known.get(name), "_direction", None)
        if direction is None:
            raise ValueError(
                f"{type(self).__name__}: whether monitor='{self.monitor}' shall rise or fall is "
                f"not known; the model has {', '.join(['loss', *known])}\n"
                "  hint: give mode='min' or mode='max'"
            )
        self.monitor_op = ops.greater if direction == "up" else ops.less

    def _is_improvement(self, value: Any, reference: Any) -> bool:
        if reference is None:
            return True
        if self.monitor_op is None:
            self._set_monitor_op()
        delta = self.min_delta if self.monitor_op is ops.greater else -self.min_delta
        return bool(self.monitor_op(value - delta, reference))


def _metrics_of(model: Any) -> list[Any]:
    return list(getattr(model, "metrics", None) or [])


class EarlyStopping(MonitorCallback):
    """Stops when `monitor` has not improved by `min_delta` for `patience` epochs."""

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        self.patience, self.verbose, self.baseline = patience, verbose, baseline
        self.restore_best_weights, self.start_from_epoch = restore_best_weights, start_from_epoch
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best_weights: Any = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forgets earlier runs."""
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best = self.best_weights = None

    def get_state(self) -> dict[str, Any]:
        """Patience used up, the best value and the weights that gave it."""
        names = ("wait", "stopped_epoch", "best_epoch", "best", "best_weights")
        return {n: getattr(self, n) for n in names}

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Compares, waits, stops."""
        if self.monitor_op is None:
            self._set_monitor_op()
        current = (logs or {}).get(self.monitor)
        if current is None:
            _missing("EarlyStopping", self.monitor, logs or {})
            return
        if epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self.best_weights, self.best_epoch = self.model.get_weights(), epoch
        self.wait += 1
        if self._is_improvement(current, self.best):
            self.best, self.best_epoch = current, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self._is_improvement(current, self.baseline):
                self.wait = 0
            return
        if self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Says when it stopped; restores the best weights if asked."""
        if self.stopped_epoch > 0 and self.verbose > 0:
            say(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose > 0:
                say(
                    "Restoring model weights from the end of the best epoch: "
                    f"{self.best_epoch + 1}."
                )
            self.model.set_weights(self.best_weights)


class ModelCheckpoint(MonitorCallback):
    """Saves the model after epochs (or every `save_freq` batches); names may hold `{epoch:02d}`."""

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, initial_value_threshold)
        if save_freq != "epoch" and (not isinstance(save_freq, int) or save_freq < 1):
            raise ValueError(
                f"Unrecognized save_freq: {save_freq!r}\n  hint: 'epoch' or a number of batches"
            )
        self.filepath = os.fspath(filepath)
        self.verbose = verbose
        self.save_best_only, self.save_weights_only = save_best_only, save_weights_only
        self.save_freq = save_freq
        self._batches = 0
        self._epoch = 0
        if save_freq != "epoch":
            self.__dict__["on_train_batch_end"] = self._count_batch

    def get_state(self) -> dict[str, Any]:
        """The best value, and batches seen since the last save."""
        return {"best": self.best, "_batches": self._batches}

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Remembers the epoch."""
        self._epoch = epoch

    def _count_batch(self, batch: int, logs: Logs | None = None) -> None:
        self._batches += 1
        if self._batches % int(self.save_freq) == 0:
            self._save(self._epoch, batch, logs or {})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Saves when due."""
        if self.save_freq == "epoch":
            self._save(epoch, None, logs or {})

    def _save(self, epoch: int, batch: int | None, logs: Logs) -> None:
        path = self._path(epoch, batch, logs)
        if self.save_best_only:
            current = logs.get(self.monitor)
            if current is None:
                _missing("ModelCheckpoint", self.monitor, logs)
            elif not self._is_improvement(current, self.best):
                if self.verbose:
                    say(f"\nEpoch {epoch + 1}: {self.monitor} did not improve from {self.best:.5f}")
                return
            else:
                if self.verbose:
                    was = "None" if self.best is None else f"{self.best:.5f}"
                    say(f"\nEpoch {epoch + 1}: {self.monitor} improved from {was} to "
                          f"{current:.5f}, saving model to {path}")  # fmt: skip
                self.best = current
        elif self.verbose:
            say(f"\nEpoch {epoch + 1}: saving model to {path}")
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        if self.save_weights_only:
            self.model.save_weights(path, overwrite=True)
        else:
            self.model.save(path, overwrite=True)
        if self.verbose:
            say(f"\nEpoch {epoch + 1}: finished saving model to {path}")

    def _path(self, epoch: int, batch: int | None, logs: Logs) -> str:
        try:
            extra = {} if batch is None else {"batch": batch + 1}
            return self.filepath.format(epoch=epoch + 1, **extra, **logs)
        except KeyError as error:
            raise KeyError(
                f"the file name {self.filepath!r} uses {error}, the logs hold "
                f"{', '.join(sorted(logs))}\n  hint: give validation_data, or another name"
            ) from None


class LearningRateScheduler(Callback):
    """Sets the learning rate to `schedule(epoch, rate)` before each epoch."""

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        super().__init__()
        self.schedule, self.verbose = schedule, verbose

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Asks the schedule."""
        optimizer = self.model.optimizer
        if not hasattr(optimizer, "learning_rate"):
            raise ValueError("the optimizer has no learning_rate\n  hint: use an Optimizer")
        try:
            rate = self.schedule(epoch, float(np.array(optimizer.learning_rate)))
        except TypeError:
            rate = self.schedule(epoch)
        if not isinstance(rate, float | np.floating | np.float32):
            raise ValueError(
                f"schedule({epoch}) gave {rate!r}, wanted a float\n  hint: return float(rate)"
            )
        optimizer.learning_rate = rate
        if self.verbose > 0:
            say(f"\nEpoch {epoch + 1}: LearningRateScheduler setting learning rate to {rate}.")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Adds `learning_rate` to the logs."""
        if logs is not None:
            logs["learning_rate"] = float(np.array(self.model.optimizer.learning_rate))


class ReduceLROnPlateau(MonitorCallback):
    """Multiplies the learning rate by `factor` after `patience` epochs without improvement."""

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
        **_: Any,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        if factor >= 1.0:
            raise ValueError(f"factor is {factor}, wanted below 1\n  hint: factor=0.1")
        self.factor, self.patience, self.verbose = factor, patience, verbose
        self.cooldown, self.min_lr = cooldown, min_lr
        self.cooldown_counter = self.wait = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forgets earlier runs."""
        self.best = None
        self.cooldown_counter = self.wait = 0

    def get_state(self) -> dict[str, Any]:
        """Patience and cooldown used up, and the best value."""
        return {n: getattr(self, n) for n in ("best", "wait", "cooldown_counter")}

    def in_cooldown(self) -> bool:
        """True while it waits after a reduction."""
        return self.cooldown_counter > 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Compares, waits, reduces; adds `learning_rate` to the logs."""
        if self.monitor_op is None:
            self._set_monitor_op()
        logs = logs if logs is not None else {}
        optimizer = self.model.optimizer
        logs["learning_rate"] = float(np.array(optimizer.learning_rate))
        current = logs.get(self.monitor)
        if current is None:
            _missing("ReduceLROnPlateau", self.monitor, logs)
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self._is_improvement(current, self.best):
            self.best, self.wait = current, 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience:
                old = float(np.array(optimizer.learning_rate))
                if old > np.float32(self.min_lr):
                    new = max(old * self.factor, self.min_lr)
                    optimizer.learning_rate = new
                    if self.verbose > 0:
                        say(f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing learning rate "
                              f"to {new}.")  # fmt: skip
                    self.cooldown_counter, self.wait = self.cooldown, 0


class TerminateOnNaN(Callback):
    """Stops training when the loss is NaN or infinite; RuntimeError instead with `raise_error`."""

    def __init__(self, raise_error: bool = False) -> None:
        super().__init__()
        self.raise_error = raise_error

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Looks at the loss."""
        loss = (logs or {}).get("loss")
        if loss is not None and not math.isfinite(loss):
            if self.raise_error:
                raise RuntimeError(
                    f"NaN or Inf loss encountered at batch {batch}: {loss}\n"
                    "  hint: lower the learning rate, or look for NaN in the data"
                )
            say(f"Batch {batch}: Invalid loss, terminating training")
            self.model.stop_training = True


class CSVLogger(Callback):
    """One row of a CSV file per epoch, keys sorted."""

    def __init__(self, filename: Any, separator: str = ",", append: bool = False) -> None:
        super().__init__()
        self.filename, self.sep, self.append = os.fspath(filename), separator, append
        self._file: Any = None
        self._writer: Any = None
        self.keys: list[str] | None = None
        self._with_header = True
        self._rows_end: int | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Opens the file."""
        if self.append and os.path.exists(self.filename):
            self._with_header = os.path.getsize(self.filename) == 0
        # What a resumed run goes on with is not known yet: older rows go when the first one comes.
        self._file = open(self.filename, "a", newline="")  # noqa: SIM115
        self._rows_end = None if self.append else 0
        self._writer, self.keys = None, None

    def get_state(self) -> dict[str, Any]:
        """The columns, and how long the file is."""
        return {"keys": self.keys, "rows_end": self._file.tell(), "append": self.append}

    def set_state(self, state: dict[str, Any]) -> None:
        """Rows after the last backup are dropped, those before it stay."""
        if state["keys"] is not None:
            self.keys, self._rows_end, self._with_header = state["keys"], state["rows_end"], False

    def _drop_rows(self) -> None:
        if self._rows_end is not None:
            self._file.truncate(self._rows_end)
            self._rows_end = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Writes a row."""
        logs = logs or {}
        self._drop_rows()
        if self.keys is None:
            self.keys = sorted(logs)
            if not any(k.startswith("val_") for k in self.keys):
                self.keys += [f"val_{k}" for k in self.keys]
        if self._writer is None:
            self._writer = csv.DictWriter(
                self._file, ["epoch", *self.keys], delimiter=self.sep, lineterminator=os.linesep
            )
            if self._with_header:
                self._writer.writeheader()
        self._writer.writerow({"epoch": epoch} | {k: logs.get(k, "NA") for k in self.keys})
        self._file.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Closes the file."""
        if self._file is not None:
            self._drop_rows()
            self._file.close()
        self._file = self._writer = None


class SwapEMAWeights(Callback):
    """Puts the optimiser's averaged weights into the model after each epoch or training."""

    def __init__(self, swap_on_epoch: bool = False) -> None:
        super().__init__()
        self.swap_on_epoch = swap_on_epoch

    def _swap(self) -> None:
        averages = self.model.optimizer._averages
        if not averages:
            raise ValueError("the optimizer keeps no averages\n  hint: Adam(use_ema=True)")
        for v, average in averages.items():
            held = np.array(v.numpy())
            v.assign(average.numpy())
            average.assign(held)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Takes the trained weights back."""
        if self.swap_on_epoch and epoch > 0 and self.model.optimizer._averages:
            self._swap()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Puts the averages in."""
        if self.swap_on_epoch:
            self._swap()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Puts the averages in."""
        if not self.swap_on_epoch:
            self._swap()


class BackupAndRestore(Callback):
    """Saves weights, optimiser, random state and callbacks each epoch, and resumes from them.

    A run that was cut off goes on with the same bits and decisions as one that was not. It is
    called after all other callbacks, wherever it stands, to save what they made of the epoch.
    With a number as `save_freq` it also saves every so many batches; an epoch starts again then.
    With `double_checkpoint` the backup before the last is kept too, for a file that got damaged.
    """

    def __init__(
        self,
        backup_dir: Any,
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        super().__init__()
        if not backup_dir:
            raise ValueError(
                "Empty `backup_dir` argument passed\n  hint: BackupAndRestore('backup')"
            )
        if save_freq != "epoch" and (not isinstance(save_freq, int) or save_freq < 1):
            raise ValueError(
                f"Invalid value for argument `save_freq`: {save_freq!r}\n"
                "  hint: 'epoch' or a number of batches"
            )
        self.backup_dir, self.save_freq = os.fspath(backup_dir), save_freq
        self.others: list[Any] = []
        self.delete_checkpoint, self.double_checkpoint = delete_checkpoint, double_checkpoint
        self._current_epoch = self._last_batch_seen = 0
        if save_freq != "epoch":
            self.__dict__["on_train_batch_end"] = self._after_batch

    comes_last = True

    @property
    def _path(self) -> str:
        return os.path.join(self.backup_dir, "backup.safetensors")

    @property
    def _previous(self) -> str:
        return os.path.join(self.backup_dir, "previous.safetensors")

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Restores an earlier backup."""
        from fastnn import saving

        if not self.model.built:
            raise ValueError(
                "BackupAndRestore needs a built model\n"
                "  hint: start the model with Input(shape=...)"
            )
        paths = [p for p in (self._path, self._previous) if os.path.exists(p)]
        for path in paths:
            try:
                position, arrays = saving.load_state(self.model, path)
            except FormatError as error:
                if path == paths[-1]:
                    raise
                warnings.warn(f"{error}; the backup before it is restored", stacklevel=2)
                continue
            self.model._initial_epoch = self._current_epoch = position["epoch"]
            self._revive(position.get("callbacks", []), arrays)
            self.model.stop_training = position.get("stopped", False)
            break

    def _states(self) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Classes and states of the other callbacks, arrays among them apart."""
        states: list[dict[str, Any]] = []
        arrays: dict[str, Any] = {}
        for i, c in enumerate(self.others):
            state = dict(c.get_state()) if hasattr(c, "get_state") else {}
            kept = [k for k, v in state.items() if isinstance(v, list) and v
                    and isinstance(v[0], np.ndarray)]  # fmt: skip
            for key in kept:
                arrays |= {f"callbacks/{i}/{key}/{j}": a for j, a in enumerate(state.pop(key))}
            states.append({"class": type(c).__name__, "state": plain(state), "arrays": kept})
        return states, arrays

    def _revive(self, states: list[Any], arrays: dict[str, Any]) -> None:
        """Hands each callback the state that one of its class had, in their order."""
        waiting = list(self.others)
        for i, entry in enumerate(states):
            c = next((c for c in waiting if type(c).__name__ == entry["class"]), None)
            if c is None:
                continue
            waiting.remove(c)
            state = dict(entry["state"])
            for key in entry["arrays"]:
                names = itertools.takewhile(
                    arrays.__contains__, (f"callbacks/{i}/{key}/{j}" for j in itertools.count())
                )
                state[key] = [arrays[n] for n in names]
            if state:
                c.set_state(state)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Remembers the epoch."""
        self._current_epoch = epoch

    def _after_batch(self, batch: int, logs: Logs | None = None) -> None:
        self._last_batch_seen = batch
        if (batch + 1) % int(self.save_freq) == 0:
            self._save()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Writes the backup."""
        self._current_epoch = epoch + 1
        self._save()

    def _save(self) -> None:
        from fastnn import saving

        os.makedirs(self.backup_dir, exist_ok=True)
        if self.double_checkpoint and os.path.exists(self._path):
            os.replace(self._path, self._previous)
        states, arrays = self._states()
        position = {"epoch": self._current_epoch, "callbacks": states}
        position["stopped"] = bool(self.model.stop_training)
        saving.save_state(self.model, self._path, position, arrays)

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Removes the backup of a finished run."""
        if not self.delete_checkpoint:
            return
        for path in (self._path, self._previous):
            if os.path.exists(path):
                os.remove(path)
        if os.path.isdir(self.backup_dir) and not os.listdir(self.backup_dir):
            os.rmdir(self.backup_dir)


class TensorBoard(Callback):
    """Writes values for TensorBoard through tensorboardX (extra `[tensorboard]`).

    Folders and names are Keras's: `train` and `validation` under `log_dir`, `epoch_loss` by epoch;
    with `update_freq` "batch" or a number of batches also `batch_loss` by batch. `write_graph` adds
    the model's graph as a Mermaid text, `histogram_freq` histograms of the weights.
    """

    def __init__(
        self,
        log_dir: Any = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: Any = "epoch",
        profile_batch: Any = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: Any = None,
    ) -> None:
        super().__init__()
        freq = 1 if update_freq == "batch" else update_freq
        if freq != "epoch" and (isinstance(freq, bool) or not isinstance(freq, int) or freq < 1):
            raise ValueError(
                f"update_freq is {update_freq!r}\n  hint: 'epoch', 'batch' or a number of batches"
            )
        for name, value in (
            ("write_images", write_images), ("profile_batch", profile_batch),
            ("embeddings_freq", embeddings_freq),
        ):  # fmt: skip
            if value:
                warnings.warn(f"TensorBoard: {name} has no effect here", stacklevel=2)
        self.log_dir, self.histogram_freq = os.fspath(log_dir), histogram_freq
        self.write_graph, self.write_steps_per_second = write_graph, write_steps_per_second
        self.update_freq = freq
        self._writers: dict[str, Any] = {}
        self._batches, self._begun = 0, (0, 0.0)
        if freq != "epoch" or write_steps_per_second:
            self.on_train_batch_end = self._after_batch  # type: ignore[method-assign]

    def _writer(self, part: str) -> Any:
        """The event file of `train` or `validation`, opened when first written to."""
        if part not in self._writers:
            try:
                from tensorboardX import SummaryWriter
            except ImportError:
                raise ImportError(
                    "TensorBoard needs tensorboardX, which is not installed\n"
                    '  hint: pip install "fastnn-rs[tensorboard]"'
                ) from None
            self._writers[part] = SummaryWriter(os.path.join(self.log_dir, part))
        return self._writers[part]

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Opens the file of training, with the model's graph."""
        writer, self._batches = self._writer("train"), 0
        if self.write_graph and self.model is not None:
            from fastnn.models.graph import mermaid

            writer.add_text("model", f"```mermaid\n{mermaid(self.model)}```", 0)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Notes when the epoch began."""
        self._begun = (self._batches, time.perf_counter())

    def _after_batch(self, batch: int, logs: Logs | None = None) -> None:
        self._batches += 1
        if self.update_freq != "epoch" and self._batches % self.update_freq == 0:
            self._write("train", "batch_", logs or {}, self._batches)

    def _write(self, part: str, prefix: str, logs: Logs, step: int) -> None:
        for key, value in logs.items():
            if np.ndim(value) == 0:
                self._writer(part).add_scalar(prefix + key, float(value), step)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Writes the values of an epoch, and the learning rate."""
        train = {k: v for k, v in (logs or {}).items() if not k.startswith("val_")}
        optimizer = getattr(self.model, "optimizer", None)
        if optimizer is not None:
            train.setdefault("learning_rate", float(np.asarray(optimizer.learning_rate)))
        if self.write_steps_per_second:
            first, start = self._begun
            train["steps_per_second"] = (self._batches - first) / (time.perf_counter() - start)
        self._write("train", "epoch_", train, epoch)
        validation = {k[4:]: v for k, v in (logs or {}).items() if k.startswith("val_")}
        self._write("validation", "epoch_", validation, epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            for v in self.model.weights:
                self._writer("train").add_histogram(v.path, v.numpy(), epoch)
        for writer in self._writers.values():
            writer.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Closes the files."""
        for writer in self._writers.values():
            writer.close()
        self._writers = {}
