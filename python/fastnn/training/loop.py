"""One call of `fit`: epochs in the core's loop or batch by batch, validation, callbacks, reports.

Depends on `callbacks`, `display`, `batches`, `passes`.
"""

from __future__ import annotations

import functools
import itertools
import math
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn import random
from fastnn.base import tree
from fastnn.base.arguments import is_whole
from fastnn.base.messages import print_msg
from fastnn.callbacks import CallbackList, History, LambdaCallback
from fastnn.data.batches import ArrayData, IterableData, closing
from fastnn.devices import choice
from fastnn.display.reporter import Reporter
from fastnn.errors import DataError
from fastnn.losses.targets import targets_of
from fastnn.tracing.fingerprint import is_ours
from fastnn.tracing.ranks import is_first
from fastnn.training.batches import NO_BATCHES, python_epoch
from fastnn.training.inputs import check_labels
from fastnn.training.passes import batches_of, endless_batches, warn_of_end
from fastnn.training.program import Logs, Program, keeping, underway
from fastnn.training.ranks import Ranks, data_facts, ranks_of

__all__ = ["Fit", "FitSettings"]


#: What a model keeps for the run that it is in.
_OF_A_RUN = (
    "stop_training", "history", "_initial_epoch", "_resumed", "_shuffle_seed", "_sources_read",
)  # fmt: skip


@dataclass(frozen=True)
class FitSettings:
    """What `fit` was told, checked: counts are Python's numbers, None where nothing was said."""

    batch_size: int
    epochs: int
    shuffle: bool
    steps: int | None
    class_weight: Any
    validation: ArrayData | IterableData | None
    validation_steps: int | None
    validation_batch: int
    validation_freq: Any


class Fit:
    """One call of `fit`: epochs, validation, callbacks, reports."""

    model: Any
    data: Any
    settings: FitSettings
    batch_size: Any
    epochs: Any
    shuffle: Any
    steps: Any
    validation: Any
    calls: Any
    history: Any
    report: Any
    ranks: Ranks | None

    #: Batches of arrays for several ranks, where an epoch is so many steps.
    _stream: Any = None

    #: Whether the labels of all rows were looked at.
    _checked: bool = False

    #: The logs of the last epoch that ended.
    last: Logs | None = None

    def __init__(self, model: Any, data: Any, settings: FitSettings) -> None:
        self.model, self.data, self.settings = model, data, settings
        self.batch_size, self.epochs, self.shuffle = (
            settings.batch_size, settings.epochs, settings.shuffle,
        )  # fmt: skip
        self.steps, self.validation = settings.steps, settings.validation
        #: The ranks that train together; None: this process is alone.
        self.ranks = ranks_of(model)

    def run(self, initial_epoch: int, level: int, callbacks: Any) -> History:
        """Trains; whatever interrupts it, finished epochs are in the history.

        A run inside another of the same model, started by a callback, leaves that one its state.
        """
        model = self.model
        kept = {n: getattr(model, n) for n in _OF_A_RUN} if model._fits else {}
        model._fits += 1
        ranks = self.ranks
        try:
            with keeping(model), nullcontext() if ranks is None else ranks.together("fit"):
                return self._run(initial_epoch, level if is_first() else 0, callbacks)
        finally:
            model._fits -= 1
            model._sources_read = ()
            for name, value in kept.items():
                setattr(model, name, value)

    def _run(self, initial_epoch: int, level: int, callbacks: Any) -> History:
        model, data = self.model, self.data
        model.stop_training = False
        model._initial_epoch = initial_epoch
        model._resumed = None
        model._sources_read = (data, self.validation)
        if initial_epoch == 0 or model._shuffle_seed is None:
            model._shuffle_seed = random.make_default_seed()
        arrays = isinstance(data, ArrayData)
        if self.ranks is not None:
            self.ranks.divide(data)
            self.ranks.divide(self.validation)
        steps = self.steps or (self._steps(data, self.batch_size) if arrays else data.steps())
        history = History()
        model.history = history
        calls = CallbackList(callbacks, model=model) if callbacks is not None else None
        params = {"verbose": level, "epochs": self.epochs, "steps": steps}
        history.params = params
        history.set_model(model)
        if calls is not None:
            calls.set_params(params)
            for c in calls.callbacks:
                if type(c) is History:
                    c.set_model(model)
            calls.on_train_begin()
        if self.ranks is not None:
            self.ranks.begin(self._facts(), calls)
        if model._resumed is not None:
            for source, passes in zip(model._sources_read, model._resumed[2], strict=False):
                if isinstance(source, IterableData):
                    source.go_on(passes)
        self.calls, self.history = calls, history
        self.report = Reporter(level, self.epochs, steps) if level else None
        model._auto_rows = self.batch_size
        direct = arrays and self.steps is None and not model.run_eagerly and not data.by_batch
        direct = direct and self.ranks is None
        program = model._whole_program("train", data, self.batch_size) if direct else None
        feed = data if program is not None else self._feed()
        if isinstance(self.validation, IterableData) and self.settings.validation_steps is not None:
            self.validation.again = True
            self.validation.limit = self.settings.validation_steps
        try:
            with closing(feed, self.validation):
                if program is not None:
                    if self._first_batch:
                        self._run_in_python(feed, model._initial_epoch + 1)
                        program = model._step_program("train", data.parts)
                    self._run_in_core(program)
                else:
                    self._run_in_python(feed, self.epochs)
        finally:
            if self.report is not None:
                self.report.close()
        if self.last is not None:
            self._finalize()
        if calls is not None:
            calls.on_train_end(self.last)
        return history

    def _finalize(self) -> None:
        """Gives the optimiser its last word on the weights, where it has one."""
        optimizer = self.model.optimizer
        ours = is_ours(type(optimizer).finalize_variable_values)
        if optimizer.use_ema or not ours:
            optimizer.finalize_variable_values(self.model.trainable_variables)

    def _steps(self, data: ArrayData, batch_size: int) -> int:
        """Batches of an epoch from arrays."""
        return data.steps(batch_size) if self.ranks is None else self.ranks.steps(data, batch_size)

    def _facts(self) -> dict[str, Any]:
        """What `fit` was told, in words, for ranks to compare."""
        kept, own = self.settings, self.ranks is not None and self.ranks.own_data
        told = {
            f"fit({name}=)": str(getattr(kept, name))
            for name in (
                "batch_size", "epochs", "shuffle", "steps", "class_weight", "validation_steps",
                "validation_batch", "validation_freq",
            )
        }  # fmt: skip
        held = data_facts("x, y", self.data, own)
        return told | held | data_facts("of the validation", self.validation, own)

    @property
    def _first_batch(self) -> int:
        """Batches of the first epoch that a run before this one made; 0 unless it resumes one."""
        resumed = self.model._resumed
        return 0 if resumed is None else int(resumed[0])

    def _run_in_core(self, program: Program) -> None:
        model, data, calls, report = self.model, self.data, self.calls, self.report
        if report is not None and model._auto_reason:
            print_msg(f"device {program.device}: {model._auto_reason}")
        check_labels(model, data.y, data.weights, program)
        each = (
            self.validation is not None
            or bool(program.vectors)
            or program.by_hand
            or (calls is not None and calls.overrides("on_epoch_begin", "on_epoch_end"))
        )
        on_batch = self._batch_hooks(program) if calls is not None else None
        settings: Any = None
        program.keep_data(False)
        epoch, chunk = model._initial_epoch, 1 if report is not None else self.epochs
        epoch += bool(self._first_batch)
        while epoch < self.epochs and not model.stop_training:
            count = 1 if each or on_batch else min(chunk, self.epochs - epoch)
            start = time.perf_counter()
            self._begin_epoch(epoch, each)
            if program.by_hand:
                model.reset_metrics()
                model._look_again()
            if each:  # callbacks may have changed a setting of a layer or loss
                current = model._step_program("train", (data.x, data.y, data.weights))
                if current is not program:
                    program.keep_data(False)
                    program = current
                    on_batch = self._batch_hooks(program) if calls is not None else None
            if on_batch is not None:  # looked at anew: the first trace builds the optimiser
                model._look_again()
                settings = model._trace_signature(True)
            program.keep_data(self._data_stay)
            try:
                with underway(model):
                    rows = program.loop.run(
                        data.leaves,
                        self.batch_size,
                        count,
                        seed=model._shuffle_seed if self.shuffle else None,
                        first_epoch=epoch,
                        heartbeat=self._heartbeat(program),
                        on_batch=on_batch,
                    )
            except BaseException:
                for i, row in enumerate(getattr(program.loop, "finished", ())):
                    self.history.on_epoch_end(epoch + i, program.logs(row))
                raise
            seconds = time.perf_counter() - start
            if on_batch is not None:
                self._warn_of_late_settings(settings)
            self._end_epochs(epoch, program, rows, seconds, each)
            epoch += len(rows)
            if seconds < 0.05:
                chunk = chunk * 2 if seconds < 0.025 else chunk
            elif chunk > 1:
                chunk = max(1, chunk // 2)
            if len(rows) < count:
                break
        program.keep_data(False)

    @property
    def _data_stay(self) -> bool:
        """Whether no code of the user's runs between epochs, which might change the arrays."""
        calls = [] if self.calls is None else self.calls.callbacks
        ours = (type(c) for c in calls if type(c) is not LambdaCallback)
        return (
            not isinstance(self.validation, IterableData)
            and len(calls) == sum(c.__module__.startswith("fastnn.") for c in ours)
        )  # fmt: skip

    def _warn_of_late_settings(self, before: Any) -> None:
        """Says that what a hook of a batch changed holds from the next epoch on."""
        self.model._look_again()
        if self.model._trace_signature(True) is not before:
            warnings.warn(
                "a setting of a layer, loss or metric was changed while an epoch ran: it holds from"
                " the next epoch on\n  hint: change it in on_epoch_begin, or keep it in a Variable",
                stacklevel=2,
            )

    def _begin_epoch(self, epoch: int, each: bool) -> None:
        if each and self.calls is not None:
            self.calls.on_epoch_begin(epoch)
            self.model._look_again()
        if self.report is not None:
            self.report.begin(epoch)

    def _end_epochs(
        self, epoch: int, program: Program, rows: list[list[float]], seconds: float, each: bool
    ) -> None:
        history, report = self.history, self.report
        if not each and report is None:
            names, lists = program.names, history.history
            history.epoch.extend(range(epoch, epoch + len(rows)))
            for i, name in enumerate(names):
                lists.setdefault(name, []).extend([row[i] for row in rows])
            if math.isnan(sum(itertools.chain.from_iterable(rows))):  # or of both infinities
                for row in rows:
                    program.tell_nan(row)
            if rows:
                self.last = dict(zip(names, rows[-1], strict=True))
                self._warn_of_nan(epoch, names, rows)
            return
        steps = self.data.steps(self.batch_size)
        for i, row in enumerate(rows):
            logs = program.logs(row)
            if report is not None and i > 0:
                report.begin(epoch + i)
            self._end_epoch(epoch + i, logs, steps, seconds / len(rows))
        self._warn_of_nan(epoch, program.names, rows)

    def _end_epoch(self, epoch: int, logs: Logs, steps: int, seconds: float | None) -> None:
        if self.validation is not None and self._validates(epoch):
            values, _ = self.model._evaluate_source(
                self.validation,
                self.settings.validation_batch,
                self.settings.validation_steps,
                self.calls,
                self.ranks,
            )
            logs.update({f"val_{k}": v for k, v in values.items()})
            logs = dict(sorted(logs.items()))  # as in Keras, in the history too
        if self.calls is not None:
            self.calls.on_epoch_end(epoch, logs)
        self.history.on_epoch_end(epoch, logs)
        if self.report is not None:
            shown = {k: v for k, v in logs.items() if np.ndim(v) == 0}
            self.report.end(epoch, steps, shown, seconds)
        self.last = logs

    def _validates(self, epoch: int) -> bool:
        freq = self.settings.validation_freq
        if is_whole(freq):
            return bool((epoch + 1) % freq == 0)
        return bool(epoch + 1 in freq)

    def _heartbeat(self, program: Program) -> Callable[..., Any] | None:
        """What is called now and then: shows a bar, and hears `stop_training` of other threads."""
        model, report = self.model, self.report
        shows = report is not None and report.bar
        if not shows and threading.current_thread() is threading.main_thread():
            return None

        def beat(epoch: int, batch: int, steps: int, values: Any) -> bool:
            if shows and values is not None:
                report.during(epoch, batch, dict(zip(program.names, values, strict=True)))
            return bool(model.stop_training)

        return beat

    def _batch_hooks(self, program: Program) -> Callable[..., Any] | None:
        calls, model = self.calls, self.model
        if calls is None:
            return None
        begins = calls.overrides("on_train_batch_begin", "on_batch_begin")
        ends = calls.overrides("on_train_batch_end", "on_batch_end")
        if not begins and not ends:
            return None

        def on_batch(epoch: int, batch: int, begin: bool, values: Any) -> bool:
            if begin:
                if begins:
                    calls.on_train_batch_begin(batch)
            elif ends:
                logs = dict(zip(program.names, values or (), strict=True))
                calls.on_train_batch_end(batch, logs)
            program.go_on()
            return bool(model.stop_training)

        on_batch.reads_values = ends  # type: ignore[attr-defined]
        return on_batch

    def _feed(self) -> ArrayData | IterableData:
        """The data batch by batch: seeded, and read no further than this fit goes."""
        model, data = self.model, self.data
        epochs = range(model._initial_epoch, self.epochs)
        done = self._first_batch
        if isinstance(data, IterableData):
            data.seed, data.epoch = model._shuffle_seed, model._initial_epoch
            data.skip = done
            if self.steps is not None and model._resumed is not None:
                # What an unbroken run would have read by now.
                data.skip += model._initial_epoch * self.steps
                data.epoch = 0
        elif self.steps is not None:
            seed = model._shuffle_seed if self.shuffle else None
            start = model._initial_epoch * self.steps + done
            batches = endless_batches(data, self.batch_size, seed, start, self.ranks)
            if self.ranks is not None:
                self._stream = batches
                return data  # type: ignore[no-any-return]
            data = IterableData(batches, "x")
        if isinstance(data, IterableData) and self.steps is not None:
            data.limit = len(epochs) * self.steps - done
        feed: ArrayData | IterableData = data
        return feed

    def _run_in_python(self, data: ArrayData | IterableData, stop: int) -> None:
        """Epochs up to, not including, `stop`, batch by batch."""
        model = self.model
        once, wanted, told = getattr(data, "once", False), None, False
        for epoch in range(model._initial_epoch, stop):
            if model.stop_training:
                break
            start = time.perf_counter()
            first = self._first_batch if epoch == model._initial_epoch else 0
            self._begin_epoch(epoch, True)
            if self.ranks is not None:
                self._begin_together(epoch, first)
            order = None
            if isinstance(data, ArrayData) and self.shuffle:
                order = random.epoch_order(data.n, model._shuffle_seed, epoch)
            left = None if self.steps is None else self.steps - first
            if self._stream is None:
                batches = batches_of(data, self.batch_size, left, order, first, self.ranks)
            else:
                batches = itertools.islice(self._stream, left)
            during = self._during(epoch) if self.report is not None else None
            ahead = None
            steps = self._steps_ahead(data) if first == 0 and self._stream is None else 0
            if steps and isinstance(data, ArrayData):
                ahead = functools.partial(self._run_ahead, data, steps, order, during)
                batches = batches_of(data, self.batch_size, left, order, steps, self.ranks)
            weigh = isinstance(data, IterableData) and not isinstance(self.data, ArrayData)
            try:
                logs, done = python_epoch(
                    model, "train", batches, self.calls,
                    self.settings.class_weight if weigh else None, during,
                    self._resumed(first, data), self.ranks, ahead,
                )  # fmt: skip
            except Exception as error:
                ended = isinstance(error, DataError) and str(error).startswith(NO_BATCHES)
                if ended and epoch > model._initial_epoch:
                    warn_of_end(0, self.steps, epoch)  # what was trained is kept
                    break
                error.add_note(f"  in epoch {epoch + 1}")
                raise
            if not model.stop_training:
                wanted = self.steps if self.steps is not None or not once else wanted or done
                if wanted is not None and done < wanted and not told:
                    warn_of_end(done, wanted, epoch)
                    told = True
            if self.ranks is not None:
                self.ranks.settle()
            self._end_epoch(epoch, dict(logs), done, time.perf_counter() - start)
            if self.ranks is not None:
                self.ranks.stop()

    def _steps_ahead(self, data: ArrayData | IterableData) -> int:
        """How many steps of an epoch of several ranks, from the first on, the core makes alone."""
        ranks = self.ranks
        if ranks is None or ranks.hooks or not isinstance(data, ArrayData):
            return 0
        # A device or data in another form may be those of one rank only.
        can = not (self.model.run_eagerly or data.by_batch or choice.is_used)
        return ranks.whole_steps(data, self.batch_size) if ranks.all_can(can) else 0

    def _run_ahead(
        self, data: ArrayData, steps: int, order: Any, during: Callable[[int, Logs], None] | None
    ) -> tuple[Program, int]:
        """The first steps of an epoch of several ranks, in the core's loop."""
        ranks, model, batch_size = self.ranks, self.model, self.batch_size
        assert ranks is not None
        parts = (data.x, data.y, data.weights)
        program: Program = model._step_program("train", parts)
        ranks.agree()
        if not self._checked:
            check_labels(model, data.y, data.weights, program)
            self._checked = True
        done = 0
        rows = ranks.rows_of_whole_steps(data, batch_size, steps, order)
        ranks.share_whole()
        drawn = time.perf_counter()
        while done < steps:
            begin, pace = time.perf_counter(), min(ranks.pace, steps - done)
            program.loop.run(
                data.leaves,
                batch_size,
                1,
                order=rows[done * batch_size : (done + pace) * batch_size],
                goes_on=True,
            )
            done += pace
            now = time.perf_counter()
            if during is not None and now - drawn >= 0.05:
                during(done, program.read())
                drawn = now
            each = (now - begin) / pace
            if ranks.settle_pace(max(1, min(int(0.04 / each), 2 * ranks.pace))):
                model.stop_training = True
                break
        return program, done

    def _begin_together(self, epoch: int, first: int) -> None:
        """An epoch of several ranks begins; callbacks of a resumed one go on as those of rank 0."""
        ranks = self.ranks
        if ranks is not None:
            ranks.group.place = f"epoch {epoch + 1} of fit"
            if first:
                ranks.follow(self.calls)
            ranks.same_rate()

    def _resumed(self, first: int, data: Any) -> Any:
        """Where an epoch goes on that had begun before; None where it begins."""
        if first == 0:
            return None
        batch, sums, _ = self.model._resumed
        return batch, sums if self.ranks is None else self.ranks.own_sums(sums), data

    def _during(self, epoch: int) -> Callable[[int, Logs], None]:
        report = self.report

        def show(batch: int, logs: Logs) -> None:
            if report is not None:
                report.during(epoch, batch, {k: v for k, v in logs.items() if np.ndim(v) == 0})

        return show

    def _other_cause(self) -> str:
        """Where targets reach the loss otherwise than they were given, they may be the cause."""
        loss = self.model._compiled_loss
        if loss is None or not any(map(targets_of, tree.flatten(loss._chosen or []))):
            return ""
        fed = self.model._step_program("train", (self.data.x, self.data.y, self.data.weights)).fed
        if self.data.y is None or any(who[0] == "loss" for who in fed):
            return ""
        return "; or a step of your own changes targets to some that the loss cannot take"

    def _warn_of_nan(self, epoch: int, names: list[str], rows: list[list[float]]) -> None:
        if "loss" not in names or not rows or math.isfinite(rows[-1][names.index("loss")]):
            return
        at = names.index("loss")
        first = next(i for i, row in enumerate(rows) if not math.isfinite(row[at]))
        where = ""
        parts = {"sample_weight": self.data.weights, "y": self.data.y, "x": self.data.x}
        for what, part in parts.items():
            for a in tree.flatten(part) if part is not None else ():
                if a.dtype == np.float32 and not np.isfinite(a).all():
                    row = int(np.argwhere(~np.isfinite(a))[0][0])
                    where = f"; {what} holds NaN or infinity, first in row {row}"
        if not where:
            for v in self.model.weights:
                if not np.isfinite(np.asarray(v)).all():
                    where = f"; first weight that is not finite: {v.path!r}"
                    break
        warnings.warn(
            f"the loss is {rows[first][at]} in epoch {epoch + first + 1}{where}. "
            f"A smaller learning rate or scaled inputs often mend it{self._other_cause()}.",
            stacklevel=5,
        )
