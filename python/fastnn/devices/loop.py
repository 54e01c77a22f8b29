"""Epochs of a traced step on a GPU, with the arguments and results of the core's `Loop`.

Depends on `data`, `functions`, `random`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastnn import _core, random
from fastnn.devices.data import Data
from fastnn.devices.functions import OnDevice
from fastnn.devices.resident import Runnable
from fastnn.errors import DataError, DeviceError
from fastnn.tracing.away import at_home

__all__ = ["Loop"]

#: Seconds of work that are submitted at a time: Ctrl-C waits for that of two such portions.
PORTION = 0.02
#: Steps of a portion at most.
STEPS = 64
#: The types of zeros, where they are not float32.
_TYPES = {"int32": "int32", "int8": "int8", "uint8": "uint8", "bool": "bool"}
#: Seconds between heartbeats.
BEAT = 0.1


class Loop:
    """A training or evaluation loop over a step on a GPU."""

    step: OnDevice
    reset: list[Any]
    is_unchanged: bool

    def __init__(
        self, step: OnDevice, results: _core.Function | None, reset: Sequence[Any]
    ) -> None:
        self.step, self.results, self.reset = step, results, list(reset)
        #: Results of the epochs that the last run completed, also when it was interrupted.
        self.finished: list[list[float]] = []
        residence = step.residence
        own = {c.variable.key for c in step.cells}
        read = [] if results is None else results.variables
        #: What the results are made of.
        self._sums = [residence.cell(v) for v in read if v.key in own]
        #: Whether the arrays of the last run are known not to have changed since.
        self.is_unchanged = False
        self._data: Data | None = None
        #: How long a step took when it was last looked at, in seconds.
        self._pace = 0.0

    def run(
        self,
        arrays: Sequence[Any],
        batch_size: int,
        epochs: int,
        *,
        seed: int | None = None,
        first_epoch: int = 0,
        steps: int | None = None,
        heartbeat: Callable[..., Any] | None = None,
        on_batch: Callable[..., Any] | None = None,
    ) -> list[list[float]]:
        """Runs `epochs` epochs, as `_core.Loop.run` does.

        Raises:
            DataError: Arrays have no rows, or a step met bad data: the variables are then those
                of the last epoch, or of the last batch hook.
            GpuDeviceLostError: The GPU was lost: the variables are those of the last epoch.
        """
        finished: list[list[float]] = []
        self.finished = finished
        if batch_size < 1:
            raise DataError(
                f"batch_size is {batch_size}, wanted at least 1\n  hint: 32 is usual"
            )  # fmt: skip
        data = self._uploaded(arrays)
        if data.rows == 0:
            raise DataError(
                "the arrays have 0 rows, wanted at least 1\n  hint: give at least one row"
            )
        run = _Run(self, data, min(batch_size, data.rows), heartbeat, on_batch)
        for epoch in range(first_epoch, first_epoch + epochs):
            for variable in self.reset:
                zeros = np.zeros(variable.shape, _TYPES.get(variable.dtype, "float32"))
                # In a trace, too, what is stored is meant.
                getattr(variable, "store", variable.assign)(zeros)
            order = None if seed is None else random.epoch_order(data.rows, seed, epoch)
            try:
                stop = run.epoch(epoch, order, steps)
                # To the CPU, so that a device that is lost later takes one epoch along.
                self.step.home()
            except BaseException:
                self.finished = finished
                # The steps that were made stand, as far as the device can still tell.
                with contextlib.suppress(DeviceError):
                    self.step.home()
                raise
            finished.append(self.read())
            if stop:
                break
        self.finished = finished  # a hook may have run the loop meanwhile
        return list(finished)

    def _uploaded(self, arrays: Sequence[Any]) -> Data:
        """The arrays on the device: those of the last run where they are unchanged."""
        given = self.step.checked(arrays)
        held = self._data
        same = held is not None and all(
            a is b for a, b in zip(held.arrays, given, strict=True)
        )  # fmt: skip
        data = held if held is not None and same and self.is_unchanged else None
        self._data = None
        data = Data(self.step, given) if data is None else data
        if self.is_unchanged:
            self._data = data
        return data

    def keep_data(self, flag: bool) -> None:
        """Says whether arrays stay as they are from one run to the next."""
        self.is_unchanged = flag
        if not flag:
            self._data = None

    def read(self) -> list[float]:
        """The results of the sums on the CPU."""
        if self.results is None:
            return []
        out = at_home(self.results)()
        return [float(v) for v in (out if isinstance(out, tuple) else (out,))]

    def so_far(self) -> list[float]:
        """The results of the sums on the device."""
        self.step.home(only=self._sums)  # and looks for bad data
        return self.read()


class _Run:
    """One call of `Loop.run`."""

    def __init__(
        self,
        loop: Loop,
        data: Data,
        batch: int,
        heartbeat: Callable[..., Any] | None,
        on_batch: Callable[..., Any] | None,
    ) -> None:
        self.loop, self.step, self.data, self.batch = loop, loop.step, data, batch
        self.heartbeat, self.on_batch = heartbeat, on_batch
        #: Whether the hook is told of the results so far, for which the device is waited for.
        self.tells = getattr(on_batch, "reads_values", True)
        self.beat = time.perf_counter()
        self.prepared: dict[int, Runnable] = {}

    def runnable(self, n: int) -> Runnable:
        """The step for a batch of `n` rows."""
        found = self.prepared.get(n)
        if found is None:
            found = self.prepared[n] = self.step.runnable(self.data.shapes(n))
        return found

    def epoch(self, epoch: int, order: Any, limit: int | None) -> bool:
        """One epoch; True when a callback stopped it."""
        data = self.data
        full, rest = divmod(data.rows, self.batch)
        sizes = [self.batch] * full + ([rest] if rest else [])
        sizes = sizes if limit is None else sizes[:limit]
        data.begin(order)
        at, total = 0, len(sizes)
        while at < total:
            if self.on_batch is not None and self.on_batch(epoch, at, True, None):
                return True
            count = self._portion(sizes, at)
            self.portion(sizes[at], count)
            at += count
            if self.on_batch is not None:
                values = self.loop.so_far() if self.tells else None
                if self.on_batch(epoch, at - 1, False, values):
                    return True
            if self.heartbeat is not None and time.perf_counter() - self.beat >= BEAT:
                stop = self.heartbeat(epoch, at - 1, total, self.loop.so_far())
                self.beat = time.perf_counter()
                if stop:
                    return True
        return False

    def _portion(self, sizes: list[int], at: int) -> int:
        """How many steps from `at` on are submitted together: all of one size."""
        if self.on_batch is not None or not self.data.is_resident:
            return 1
        pace = self.loop._pace
        most = min(STEPS, int(PORTION / pace)) if pace else 1
        count = 1
        while count < most and at + count < len(sizes) and sizes[at + count] == sizes[at]:
            count += 1
        return count

    def portion(self, n: int, count: int) -> None:
        """Submits `count` steps of `n` rows, and waits for what was submitted before."""
        step, data, found = self.step, self.data, self.runnable(n)
        executable = found.executable
        start = time.perf_counter()

        def encode(encoder: Any) -> None:
            compute = encoder.begin_compute_pass()
            for turn in range(count):
                data.gather(compute, found, n)
                executable.encode(compute)
                if executable.copies and turn + 1 < count:
                    compute.end()
                    executable.copy(encoder)
                    compute = encoder.begin_compute_pass()
            compute.end()
            executable.copy(encoder)
            step.gpu.wait()

        with step.gpu.lock:  # another run would fill the same inputs
            step.bring()
            data.fixed(found)
            data.upload(found, n)
            # Hooks see the variables after each batch, and without those of one of bad data.
            copies = step.guard(found) if self.on_batch is not None else ()
            step.submit(found, encode, copies)
        took = (time.perf_counter() - start) / count
        pace = self.loop._pace
        self.loop._pace = took if not pace else 0.5 * (pace + took)
