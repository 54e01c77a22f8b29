"""What a callback is, the list that calls several, and the simplest ones. Depends on `progress`.

Hooks that nobody overrides are never called: with none overridden all epochs run in the core.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from fastnn.base.arguments import takes_numbers
from fastnn.base.messages import print_msg, shown
from fastnn.display.progress import Progbar
from fastnn.errors import nearest, unknown_name

__all__ = ["Callback", "CallbackList", "History", "LambdaCallback", "Logs", "ProgbarLogger"]

Logs = dict[str, Any]


class Callback:
    """Looks at a run of `fit`, `evaluate` or `predict` and changes it: the base of all callbacks.

    Override the hooks you need, such as `on_epoch_end(epoch, logs)`. `self.model` and `self.params`
    are set before training. A hook per batch makes `fit` enter Python for every batch, others cost
    nothing.

    Example:
        >>> class Noted(fastnn.callbacks.Callback):
        ...     def on_train_begin(self, logs=None):
        ...         print(self.params["epochs"], "epochs")
        >>> model = fastnn.Sequential([fastnn.Input((1,)), fastnn.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> history = model.fit([[1.0]], [1.0], epochs=2, verbose=0, callbacks=[Noted()])
        2 epochs
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        takes_numbers(cls)

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


takes_numbers(Callback)


class History(Callback):
    """The logs of a run: what `fit` gives back.

    `history` is a dict with one list per key of the logs, in their order; `epoch` lists the epoch
    numbers, from 0.

    Example:
        >>> model = fastnn.Sequential([fastnn.Input((1,)), fastnn.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> history = model.fit([[1.0]], [1.0], epochs=3, verbose=0)
        >>> history.epoch, list(history.history)
        ([0, 1, 2], ['loss'])
    """

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
        from fastnn.display.charts import history_text

        return shown(history_text(len(self.epoch), self.history))

    def _repr_html_(self) -> str:
        from fastnn.display.charts import history_html

        return history_html(self.epoch, self.history)


class CallbackList(Callback):
    """Several callbacks as one, for loops of one's own.

    Args:
        callbacks: A list of callbacks; None: none.
        add_history: Whether a `History` is added when there is none.
        add_progbar: Whether a `ProgbarLogger` is added when there is none.
        model: The model that the callbacks are told of.

    Example:
        >>> both = fastnn.callbacks.CallbackList([fastnn.callbacks.History()])
        >>> both.on_train_begin()
    """

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
            if inspect.isclass(c) or not callable(getattr(c, "on_epoch_end", None)):
                name = f"{c.__name__}(...)" if inspect.isclass(c) else "EarlyStopping(patience=3)"
                raise TypeError(
                    f"callbacks hold {c!r}, wanted Callback objects\n  hint: callbacks=[{name}]"
                )
        self.callbacks.sort(key=lambda c: getattr(c, "comes_last", False))
        if add_progbar and not any(isinstance(c, ProgbarLogger) for c in self.callbacks):
            self.callbacks.append(ProgbarLogger())
        if add_history and not any(isinstance(c, History) for c in self.callbacks):
            self.callbacks.append(History())
        self._tells_history = add_history
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
            if self._tells_history and isinstance(c, History):
                model.history = c
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
        """Calls the hook of every callback; an error is told where it came from.

        Callbacks that come last are called for the epoch or batch even after an error, so that a
        backup holds what was trained when another callback failed.
        """
        logs = logs if logs is not None else {}
        failed: Exception | None = None
        for c in self.callbacks:
            if failed is not None and not (at and getattr(c, "comes_last", False)):
                continue
            try:
                getattr(c, hook)(*at, logs)
            except Exception as error:
                place = f"{hook}({at[0]})" if at else hook
                error.add_note(f"  in {place} of callback {type(c).__name__}")
                failed = failed or error
        if failed is not None:
            raise failed


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
    """A progress bar from batch hooks, for loops of one's own; `fit` has its own, cheaper one.

    Example:
        >>> bar = fastnn.callbacks.ProgbarLogger()
    """

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """A new bar."""
        self._bar = Progbar(self.params.get("steps"), verbose=self.params.get("verbose", 1))
        self._seen = 0
        if self.params.get("verbose"):
            print_msg(f"Epoch {epoch + 1}/{self.params.get('epochs')}")

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Moves the bar."""
        self._seen = batch + 1
        self._bar.show(self._seen, logs or {})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Ends the line."""
        self._bar.show(self._seen, logs or {}, done=True)


class LambdaCallback(Callback):
    """Hooks from functions, for a line or two.

    Other keyword arguments become attributes; a name that looks like a hook and is none is refused.

    Args:
        on_epoch_begin: Called with (epoch, logs) before an epoch.
        on_epoch_end: Called with (epoch, logs) after an epoch.
        on_train_begin: Called with (logs) before training.
        on_train_end: Called with (logs) after training.
        on_train_batch_begin: Called with (batch, logs) before a batch.
        on_train_batch_end: Called with (batch, logs) after a batch.

    Example:
        >>> seen = []
        >>> def on_epoch_end(epoch, logs):
        ...     seen.append(epoch)
        >>> note = fastnn.callbacks.LambdaCallback(on_epoch_end=on_epoch_end)
        >>> model = fastnn.Sequential([fastnn.Input((1,)), fastnn.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> history = model.fit([[1.0]], [1.0], epochs=2, verbose=0, callbacks=[note])
        >>> seen
        [0, 1]
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
