"""Callbacks that report to other programs: Optuna, MLflow, Weights & Biases. Depends on `base`.

Each library comes with an extra and is imported when its callback is made.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastnn.callbacks.base import Callback, Logs
from fastnn.callbacks.monitoring import MonitorCallback
from fastnn.errors import reject_arguments
from fastnn.tracing.ranks import is_first

__all__ = ["MLflowLogger", "OptunaPruning", "WandbLogger"]


def _absent(what: str, package: str, extra: str) -> ImportError:
    return ImportError(
        f"fastnn.callbacks.{what} needs {package}, which is not installed\n"
        f'  hint: pip install "fastnn-rs[{extra}]"'
    )


def _numbers(logs: Logs | None) -> dict[str, float]:
    """The values of the logs that are single numbers."""
    return {k: float(v) for k, v in (logs or {}).items() if np.ndim(v) == 0}


class OptunaPruning(MonitorCallback):
    """Reports an epoch's value to an Optuna trial, and stops where its pruner gives the trial up.

    Stopping raises `optuna.TrialPruned`, which `study.optimize` counts as such. Needs Optuna
    (extra `[tune]`).

    Args:
        trial: The trial that the objective was given.
        monitor: The name in the logs.

    Raises:
        ImportError: Optuna is not installed.
        ValueError: The study wants the value to rise and it should fall, or the reverse.

    Example:
        >>> import optuna
        >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
        >>> def objective(trial):
        ...     model = fastnn.Sequential([fastnn.Input((1,)), fastnn.layers.Dense(1)])
        ...     rate = trial.suggest_float("rate", 1e-3, 1e-1, log=True)
        ...     model.compile(fastnn.optimizers.SGD(rate), "mse")
        ...     prune = fastnn.callbacks.OptunaPruning(trial, monitor="loss")
        ...     run = model.fit([[1.0]], [2.0], epochs=5, verbose=0, callbacks=[prune])
        ...     return run.history["loss"][-1]
        >>> study = optuna.create_study(direction="minimize")
        >>> study.optimize(objective, n_trials=3)
        >>> len(study.trials)
        3
    """

    trial: Any

    def __init__(self, trial: Any, monitor: str = "val_loss") -> None:
        super().__init__(monitor)
        try:
            import optuna
        except ImportError:
            raise _absent("OptunaPruning", "Optuna", "tune") from None
        self._pruned, self.trial = optuna.TrialPruned, trial

    def _compare(self) -> None:
        """Compares which way the value shall go with what the study wants."""
        directions = getattr(self.trial.study, "directions", ()) if self._studied() else ()
        if len(directions) > 1:
            raise ValueError(
                "OptunaPruning: the study has several objectives, of which Optuna prunes none\n"
                "  hint: leave the callback out, or give the study one direction"
            )
        try:
            self._set_monitor_op()
        except ValueError:  # a metric that does not say which way it goes
            return
        wants = "MAXIMIZE" if self.monitor_op.__name__ == "greater" else "MINIMIZE"
        if directions and directions[0].name != wants:
            other = "maximize" if wants == "MAXIMIZE" else "minimize"
            raise ValueError(
                f"OptunaPruning watches {self.monitor!r}, but the study is to "
                f"{directions[0].name.lower()}: it would prune the best trials\n"
                f"  hint: create_study(direction={other!r}), or another monitor"
            )

    def _studied(self) -> bool:
        return hasattr(self.trial, "study")  # a fixed trial has none

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Reports the value; raises where the trial is given up."""
        value = _numbers(logs).get(self.monitor)
        if value is None:
            have = ", ".join(sorted(logs or {})) or "nothing"
            warnings.warn(
                f"OptunaPruning watches {self.monitor!r}, which is not among the logs: {have}. "
                "Give validation_data or another monitor.",
                stacklevel=3,
            )
            return
        if self.monitor_op is None:  # metrics say their names once an epoch was run
            self._compare()
        self.trial.report(value, epoch)
        if self.trial.should_prune():
            raise self._pruned(f"pruned in epoch {epoch + 1} at {self.monitor} {value:.4g}")


class MLflowLogger(Callback):
    """Logs settings, values of every epoch and, if asked, the model to MLflow.

    Logs to the run that is active, or else to one of its own, which ends with the training. Needs
    MLflow (extra `[tracking]`); it works offline with a local store.

    Args:
        params: Settings to log besides epochs, steps, optimizer, loss and number of weights.
        log_model: Whether the model is saved as the artifact `model.safetensors` at the end.

    Raises:
        ImportError: MLflow is not installed.

    Example:
        >>> logger = fastnn.callbacks.MLflowLogger({"width": 32})
    """

    log_params: dict[str, Any]
    log_model: bool

    def __init__(self, params: Mapping[str, Any] | None = None, log_model: bool = False) -> None:
        super().__init__()
        try:
            import mlflow
        except ImportError:
            raise _absent("MLflowLogger", "MLflow", "tracking") from None
        self._mlflow: Any = mlflow
        self.log_params, self.log_model = dict(params or {}), log_model
        self._own = False

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begins a run where none is active, and logs the settings."""
        if not is_first():
            return
        self._own = self._mlflow.active_run() is None
        if self._own:
            self._mlflow.start_run()
        self._mlflow.log_params(_settings(self) | self.log_params)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Logs the values."""
        if not is_first():
            return  # rank 0 logs for all
        self._mlflow.log_metrics(_numbers(logs), step=epoch)

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Logs the model, and ends the run that it began."""
        if not is_first():
            return
        if self.log_model:
            import os
            import tempfile

            with tempfile.TemporaryDirectory() as folder:
                path = os.path.join(folder, "model.safetensors")
                self.model.save(path)
                self._mlflow.log_artifact(path)
        if self._own:
            self._mlflow.end_run()


class WandbLogger(Callback):
    """Logs settings and values of every epoch to Weights & Biases.

    Logs to the run that is active, or else to one of its own, which ends with the training. Needs
    wandb (extra `[tracking]`); with `mode="offline"` nothing leaves the machine.

    Args:
        config: Settings to log besides epochs, steps, optimizer, loss and number of weights.
        **init: Arguments of `wandb.init` for a run of its own, such as `project`, `mode`, `dir`.

    Raises:
        ImportError: wandb is not installed.
        TypeError: `wandb.init` has no argument of a name that is given.

    Example:
        >>> logger = fastnn.callbacks.WandbLogger(project="digits", mode="offline")
    """

    config: dict[str, Any]
    init: dict[str, Any]

    def __init__(self, config: Mapping[str, Any] | None = None, **init: Any) -> None:
        super().__init__()
        try:
            import wandb
        except ImportError:
            raise _absent("WandbLogger", "wandb", "tracking") from None
        takes = inspect.signature(wandb.init).parameters
        unknown = [name for name in init if name not in takes]
        if unknown and all(p.kind is not p.VAR_KEYWORD for p in takes.values()):
            raise reject_arguments("WandbLogger", unknown, wandb.init)
        self._wandb: Any = wandb
        self.config, self.init = dict(config or {}), init
        self._run: Any = None
        self._own = False

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begins a run where none is active, and logs the settings."""
        if not is_first():
            return
        self._own = self._wandb.run is None
        self._run = self._wandb.init(**self.init) if self._own else self._wandb.run
        self._run.config.update(_settings(self) | self.config)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Logs the values."""
        if not is_first():
            return  # rank 0 logs for all
        self._run.log({"epoch": epoch, **_numbers(logs)})

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Ends the run that it began."""
        if self._own:
            self._run.finish()
        self._run = None


def _settings(callback: Callback) -> dict[str, Any]:
    """What a tracker shows of a training, without data."""
    model, params = callback.model, callback.params
    loss = getattr(model, "loss", None)
    named = loss if isinstance(loss, str) else getattr(loss, "name", None) or type(loss).__name__
    rate = getattr(model.optimizer, "learning_rate", None)
    found = {
        "epochs": params.get("epochs"),
        "steps": params.get("steps"),
        "optimizer": type(model.optimizer).__name__,
        "loss": named,
        "weights": model.count_params(),
    }
    if rate is not None and not callable(rate) and np.ndim(rate) == 0:
        found["learning_rate"] = float(rate)
    return {k: v for k, v in found.items() if v is not None}
