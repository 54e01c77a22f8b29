"""Callbacks that steer a run: learning rates, the end at NaN, mean weights. Depends on `base`."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from fastnn.callbacks.base import Callback, Logs
from fastnn.messages import say

__all__ = ["LearningRateScheduler", "SwapEMAWeights", "TerminateOnNaN"]


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
