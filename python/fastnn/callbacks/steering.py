"""Callbacks that steer a run: learning rates, the end at NaN, mean weights. Depends on `base`."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn._core import Tensor
from fastnn.base.arguments import as_number
from fastnn.base.messages import print_msg
from fastnn.callbacks.base import Callback, Logs
from fastnn.constraints import KeptZeros

__all__ = ["LearningRateScheduler", "SwapEMAWeights", "TerminateOnNaN"]


def _takes_rate(schedule: Callable[..., Any]) -> bool:
    """Whether a schedule is a function of (epoch, rate) rather than of the epoch alone."""
    try:
        inspect.signature(schedule).bind(0, 0.0)
    except TypeError:
        return False
    except ValueError:  # built in C, without a signature
        return True
    return True


class LearningRateScheduler(Callback):
    """Sets the learning rate before each epoch.

    Args:
        schedule: A function of (epoch, rate), or of (epoch), that gives the new rate.
        verbose: 1 prints each rate.

    Raises:
        ValueError: The schedule gives anything but a finite number.

    Example:
        >>> model = fastnn.Sequential([fastnn.Input((1,)), fastnn.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> half = fastnn.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
        >>> history = model.fit([[1.0]], [1.0], epochs=3, verbose=0, callbacks=[half])
        >>> [round(rate, 5) for rate in history.history["learning_rate"]]
        [0.005, 0.0025, 0.00125]
    """

    verbose: int
    schedule: Callable[..., Any]

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        super().__init__()
        self.schedule, self.verbose = schedule, verbose

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Asks the schedule."""
        optimizer = self.model.optimizer
        if not hasattr(optimizer, "learning_rate"):
            raise ValueError("the optimizer has no learning_rate\n  hint: use an Optimizer")
        now = (float(np.array(optimizer.learning_rate)),) if _takes_rate(self.schedule) else ()
        rate: Any = self.schedule(epoch, *now)
        if isinstance(rate, Tensor) and rate.shape == () and "float" in rate.dtype:
            rate = float(rate)
        rate = as_number(rate)
        if not isinstance(rate, float):
            raise ValueError(
                f"schedule({epoch}) gave {rate!r}, wanted a float\n  hint: return float(rate)"
            )
        if not math.isfinite(rate):
            raise ValueError(
                f"schedule({epoch}) gave the learning rate {rate}, wanted a finite number\n"
                "  hint: look for a division by 0 in the schedule"
            )
        optimizer.learning_rate = rate
        if self.verbose > 0:
            print_msg(
                f"\nEpoch {epoch + 1}: LearningRateScheduler setting learning rate to {rate}."
            )

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Adds `learning_rate` to the logs."""
        if logs is not None:
            logs["learning_rate"] = float(np.array(self.model.optimizer.learning_rate))


class TerminateOnNaN(Callback):
    """Stops training when the loss is NaN or infinite.

    `fastnn.debug.find_nan` says where it comes from.

    Args:
        raise_error: Whether a RuntimeError is raised instead.

    Raises:
        RuntimeError: The loss is not finite and `raise_error` is set.

    Example:
        >>> model = fastnn.Sequential([fastnn.Input((1,)), fastnn.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> stop = fastnn.callbacks.TerminateOnNaN()
        >>> len(model.fit([[1.0]], [2.0], epochs=2, verbose=0, callbacks=[stop]).epoch)
        2
    """

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
            print_msg(f"Batch {batch}: Invalid loss, terminating training")
            self.model.stop_training = True


class SwapEMAWeights(Callback):
    """Evaluates on the optimiser's averaged weights.

    The trained weights come back before training goes on; after `fit` the model holds the averages.
    With `swap_on_epoch` callbacks that stand after this one (`ModelCheckpoint`) see and save the
    averages at each epoch's end. Before the first update there are no averages to use.

    Args:
        swap_on_epoch: Whether epochs end on the averages as well.

    Raises:
        ValueError: The optimiser keeps no averages.

    Example:
        >>> model = fastnn.Sequential([fastnn.Input((1,)), fastnn.layers.Dense(1)])
        >>> model.compile(fastnn.optimizers.SGD(0.1, use_ema=True), "mse")
        >>> swap = fastnn.callbacks.SwapEMAWeights()
        >>> history = model.fit([[1.0]], [1.0], epochs=2, verbose=0, callbacks=[swap])
    """

    def __init__(self, swap_on_epoch: bool = False) -> None:
        super().__init__()
        self.swap_on_epoch = swap_on_epoch
        #: The trained weights while the averages are in the model.
        self._trained: list[Any] | None = None
        self._for_test = False

    def set_model(self, model: Any) -> None:
        """Takes the model; ValueError when its optimiser keeps no averages."""
        super().set_model(model)
        if not getattr(model.optimizer, "use_ema", False):
            raise ValueError("the optimizer keeps no averages\n  hint: Adam(use_ema=True)")

    def _put_in(self) -> None:
        averages = self.model.optimizer._averages
        if self._trained is None and averages and int(self.model.optimizer._iterations):
            self._trained = [np.array(v) for v in averages]
            for v, average in averages.items():
                v.assign(KeptZeros.keep(v, average.value))

    def _take_out(self) -> None:
        if self._trained is not None:
            for v, held in zip(self.model.optimizer._averages, self._trained, strict=True):
                v.assign(held)
        self._trained = None

    def get_state(self) -> dict[str, Any]:
        """The trained weights, while the model holds the averages."""
        return {"_trained": self._trained}

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forgets earlier runs: what the model holds is trained on."""
        self._trained, self._for_test = None, False

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Takes the trained weights back."""
        self._take_out()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Puts the averages in."""
        if self.swap_on_epoch:
            self._put_in()

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Puts the averages in, unless they are."""
        self._for_test = self._trained is None
        self._put_in()

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Takes the trained weights back, if the test put the averages in."""
        if self._for_test:
            self._take_out()
        self._for_test = False

    on_predict_begin, on_predict_end = on_test_begin, on_test_end
