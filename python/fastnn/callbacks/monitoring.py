"""Callbacks that watch a value of the logs: stop, save or slow down by it. Depends on `base`."""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np

from fastnn import ops
from fastnn.base.arguments import as_number, is_whole, local_path
from fastnn.base.messages import print_msg
from fastnn.callbacks.base import Callback, Logs
from fastnn.tracing.ranks import is_first

__all__ = ["EarlyStopping", "ModelCheckpoint", "MonitorCallback", "ReduceLROnPlateau"]


def _missing(kind: str, monitor: str, logs: Logs) -> None:
    have = ", ".join(sorted(logs)) or "nothing"
    warnings.warn(
        f"{kind} watches {monitor!r}, which is not among the logs: {have}. "
        "Give validation_data or another monitor.",
        stacklevel=4,
    )


class MonitorCallback(Callback):
    """Compares a value of the logs with the best so far: the base of callbacks that watch one.

    With mode `"auto"` the loss and errors shall fall, the metrics that say so (accuracies, AUC, …)
    shall rise. NaN and infinity are never the best: nothing finite could beat them.

    Args:
        monitor: The name in the logs.
        mode: `"min"`, `"max"` or `"auto"`.
        baseline: Where the best starts; None: the first value is the best.
        min_delta: By how much a value has to be better to count.

    Raises:
        ValueError: `mode="auto"` and the name is neither the loss nor a metric of the model.

    Example:
        >>> issubclass(fastnn.callbacks.EarlyStopping, fastnn.callbacks.MonitorCallback)
        True
    """

    monitor: str
    best: Any
    min_delta: float

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
                f"{type(self).__name__} mode {mode!r} is unknown, fallback to auto mode.",
                stacklevel=3,
            )
            mode = "auto"
        self.monitor, self.mode, self.best = monitor, mode, as_number(baseline)
        self.min_delta = abs(as_number(min_delta))
        self.monitor_op: Any = None

    def _set_monitor_op(self) -> None:
        if self.mode != "auto":
            self.monitor_op = ops.less if self.mode == "min" else ops.greater
            return
        name = self.monitor.removeprefix("val_")
        known = {m.name: m for m in _metrics_of(self.model)}
        direction = "down" if name == "loss" else getattr(known.get(name), "_direction", None)
        if direction is None and name not in known:
            raise ValueError(
                f"{type(self).__name__}: monitor='{self.monitor}' is no metric of the model, whose "
                f"logs have {', '.join(dict.fromkeys(['loss', *known]))}\n  hint: one of those, "
                "with val_ before it for validation data, or mode='min' or 'max' for logs of a "
                "callback"
            )
        if direction is None:
            raise ValueError(
                f"{type(self).__name__}: whether monitor='{self.monitor}' shall rise or fall is "
                f"not known; the model has {', '.join(dict.fromkeys(['loss', *known]))}\n"
                "  hint: give mode='min' or mode='max'"
            )
        self.monitor_op = ops.greater if direction == "up" else ops.less

    def _is_improvement(self, value: Any, reference: Any) -> bool:
        if not _is_finite(value):
            return False
        if reference is None or not _is_finite(reference):
            return True
        if self.monitor_op is None:
            self._set_monitor_op()
        delta = self.min_delta if self.monitor_op is ops.greater else -self.min_delta
        return bool(self.monitor_op(value - delta, reference))


def _is_finite(value: Any) -> bool:
    return bool(np.isfinite(np.asarray(value, np.float64)).all())


def _metrics_of(model: Any) -> list[Any]:
    return list(getattr(model, "metrics", None) or [])


class EarlyStopping(MonitorCallback):
    """Stops training when a value of the logs has not improved for some epochs.

    Args:
        monitor: The name in the logs, such as `"val_loss"`.
        min_delta: By how much a value has to be better to count.
        patience: How many epochs without improvement are waited for.
        verbose: 1 prints when it stops.
        mode: `"min"`, `"max"` or `"auto"`, which knows losses and metrics.
        baseline: A value that has to be bettered first.
        restore_best_weights: Whether the weights of the best epoch come back at the end.
        start_from_epoch: Epochs before this one are not looked at.

    Raises:
        ValueError: `mode="auto"` and the name is neither the loss nor a metric of the model.

    Example:
        >>> model = fastnn.Sequential([fastnn.Input((1,)), fastnn.layers.Dense(1)])
        >>> model.compile(fastnn.optimizers.SGD(0.0), "mse")
        >>> stop = fastnn.callbacks.EarlyStopping(monitor="loss", patience=2)
        >>> len(model.fit([[1.0]], [1.0], epochs=50, verbose=0, callbacks=[stop]).epoch)
        3
    """

    patience: int
    verbose: int
    baseline: float | None
    restore_best_weights: bool
    start_from_epoch: int
    wait: int
    stopped_epoch: int
    best_epoch: int
    best: Any

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
            print_msg(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is None and self.wait:
            warnings.warn(
                f"EarlyStopping: {self.monitor} was not finite in any epoch, so there are no best "
                "weights to restore; the model keeps those of the last epoch.",
                stacklevel=2,
            )
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose > 0:
                print_msg(
                    "Restoring model weights from the end of the best epoch: "
                    f"{self.best_epoch + 1}."
                )
            self.model.set_weights(self.best_weights)


class ModelCheckpoint(MonitorCallback):
    """Saves the model after epochs, or every so many batches.

    Args:
        filepath: Where to; may hold `{epoch:02d}` and names of the logs such as `{val_loss:.2f}`.
            The ending says the format, as for `Model.save`.
        monitor: The name in the logs that `save_best_only` compares.
        verbose: 1 prints each save.
        save_best_only: Whether only a model better than all before is saved.
        save_weights_only: Whether the weights alone are saved.
        mode: `"min"`, `"max"` or `"auto"`.
        save_freq: `"epoch"`, or a number of batches.
        initial_value_threshold: A value that has to be bettered first.

    Example:
        >>> model = fastnn.Sequential([fastnn.Input((1,)), fastnn.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> save = fastnn.callbacks.ModelCheckpoint("epoch{epoch}.safetensors")
        >>> history = model.fit([[1.0]], [1.0], epochs=2, verbose=0, callbacks=[save])
        >>> again = fastnn.models.load_model("epoch2.safetensors")
    """

    filepath: str
    save_best_only: bool
    save_weights_only: bool

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
        if save_freq != "epoch" and (not is_whole(save_freq) or int(save_freq) < 1):
            raise ValueError(
                f"Unrecognized save_freq: {save_freq!r}\n  hint: 'epoch' or a number of batches"
            )
        self.filepath = local_path(filepath)
        self.verbose = verbose
        self.save_best_only, self.save_weights_only = save_best_only, save_weights_only
        self.save_freq = save_freq if save_freq == "epoch" else int(save_freq)
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
                if self.best is not None:
                    return  # what was saved is the best known
            elif not self._is_improvement(current, self.best):
                if self.verbose:
                    was = f"{current} is no value to go by" if self.best is None else (
                        f"did not improve from {self.best:.5f}"
                    )  # fmt: skip
                    print_msg(f"\nEpoch {epoch + 1}: {self.monitor} {was}")
                return
            else:
                if self.verbose:
                    was = "None" if self.best is None else f"{self.best:.5f}"
                    print_msg(f"\nEpoch {epoch + 1}: {self.monitor} improved from {was} to "
                          f"{current:.5f}, saving model to {path}")  # fmt: skip
                self.best = current
        elif self.verbose:
            print_msg(f"\nEpoch {epoch + 1}: saving model to {path}")
        if not is_first():
            return  # rank 0 writes for all
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        if self.save_weights_only:
            self.model.save_weights(path, overwrite=True)
        else:
            self.model.save(path, overwrite=True)
        if self.verbose:
            print_msg(f"\nEpoch {epoch + 1}: finished saving model to {path}")

    def _path(self, epoch: int, batch: int | None, logs: Logs) -> str:
        try:
            extra = {} if batch is None else {"batch": batch + 1}
            return self.filepath.format(epoch=epoch + 1, **extra, **logs)
        except KeyError as error:
            raise KeyError(
                f"the file name {self.filepath!r} uses {error}, the logs hold "
                f"{', '.join(sorted(logs))}\n  hint: give validation_data, or another name"
            ) from None


class ReduceLROnPlateau(MonitorCallback):
    """Multiplies the learning rate by a factor when a value of the logs stops improving.

    Args:
        monitor: The name in the logs.
        factor: What the rate is multiplied by, below 1.
        patience: How many epochs without improvement are waited for.
        verbose: 1 prints each change.
        mode: `"min"`, `"max"` or `"auto"`.
        min_delta: By how much a value has to be better to count.
        cooldown: Epochs after a change in which nothing is counted.
        min_lr: The lowest rate.

    Raises:
        ValueError: `factor` is 1 or more.

    Example:
        >>> model = fastnn.Sequential([fastnn.Input((1,)), fastnn.layers.Dense(1)])
        >>> model.compile(fastnn.optimizers.SGD(1e-9), "mse")
        >>> slower = fastnn.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1)
        >>> history = model.fit([[1.0]], [1.0], epochs=4, verbose=0, callbacks=[slower])
        >>> [f"{rate:.2e}" for rate in history.history["learning_rate"]]
        ['1.00e-09', '1.00e-09', '5.00e-10', '2.50e-10']
    """

    factor: float
    patience: int
    verbose: int
    cooldown: int
    min_lr: float
    cooldown_counter: int
    wait: int
    best: Any

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
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        factor, min_lr = as_number(factor), as_number(min_lr)
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
                        print_msg(f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing learning rate "
                              f"to {new}.")  # fmt: skip
                    self.cooldown_counter, self.wait = self.cooldown, 0
