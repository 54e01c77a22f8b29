"""`Program`: a traced step and what its values are called, and the runs that are under way.

Depends on `_core`, `metrics`.
"""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fastnn import _core, ops
from fastnn._core import Tensor
from fastnn.devices.choice import CPU
from fastnn.metrics.metric import metric_variables
from fastnn.tracing.away import at_home
from fastnn.tracing.variables import Variable, read_all

__all__ = ["Logs", "Program", "keep", "keeping", "underway"]


Logs = dict[str, float]


class Program:
    """A traced step: how to run it over data, and what its values are called."""

    loop: Any
    metrics: list[Any]
    names: Any
    reset: list[Variable]
    results: Any
    step: Any
    vectors: list[Any]
    #: What losses and metrics were fed as it was, so that it can be checked before a run.
    fed: Any
    #: Whether the caller's code puts metrics back to the start, not the loop by `reset`.
    by_hand: bool

    #: Where it runs.
    device: str
    #: The same on other devices, by their names.
    placed: dict[str, Placed]

    __slots__ = (
        "by_hand", "device", "fed", "loop", "metrics", "names", "placed", "reset", "results",
        "step", "vectors",
    )  # fmt: skip

    def __init__(
        self,
        step: _core.Function,
        values: dict[str, Any],
        reset: list[Variable],
        vectors: list[Any],
        metrics: list[Any],
        fed: Any = None,
        by_hand: bool = False,
    ) -> None:
        self.fed, self.by_hand = fed, by_hand
        self.step, self.reset, self.vectors, self.metrics = step, reset, vectors, metrics
        self.names = sorted(values)
        self.results = _core.Function([], [values[k] for k in self.names]) if values else None
        self.loop = _core.Loop(step, self.results, reset)
        self.placed = {}
        self.device = CPU

    def on(self, device: str) -> Program:
        """This program on a device."""
        if device == CPU:
            at_home(self.step)
            return self
        found = self.placed.get(device)
        if found is None or not found.step.is_usable:
            found = self.placed[device] = Placed(self, device)
        return found

    def keep_data(self, flag: bool) -> None:
        """Says whether arrays stay as they are from one run of the loop to the next, so that a
        device may keep them; the core's loop reads them in place.
        """

    def settle(self) -> None:
        """Told after an epoch: all that a device changed is copied to the CPU."""

    def go_on(self) -> None:
        """Told after a hook, which may have changed variables on a device."""
        at_home(self.step)

    def logs(self, row: Sequence[float]) -> Logs:
        """Values by name."""
        self.tell_nan(row)
        logs: dict[str, Any] = dict(zip(self.names, row, strict=True))
        for metric in self.vectors:
            value = metric.result()
            logs[metric.name] = value.numpy() if isinstance(value, Tensor) else value
        return dict(sorted(logs.items())) if self.vectors else logs

    def tell_nan(self, row: Sequence[float]) -> None:
        """Warns of a metric that is NaN because of predictions that it cannot count."""
        if not any(value != value for value in row):
            return
        odd = {name for name, value in zip(self.names, row, strict=True) if value != value}
        for metric in self.metrics:
            hint = getattr(metric, "_nan_hint", None)
            if metric.name in odd and hint is not None:
                warnings.warn(
                    f"metric '{metric.name}' is NaN: it counts labels 0 and 1 by predictions from "
                    f"0 to 1, and there were others or NaN. {hint[0].upper()}{hint[1:]}.",
                    stacklevel=7,
                )

    def read(self) -> Logs:
        """The values as they are now."""
        if self.results is None:
            return self.logs(())
        out = at_home(self.results)()
        row = [float(v) for v in (out if isinstance(out, tuple) else (out,))]
        return self.logs(row)


class Placed(Program):
    """A program whose steps run on a GPU."""

    step: Any
    loop: Any
    placed: dict[str, Placed]
    device: str

    __slots__ = ()

    def __init__(self, program: Program, device: str) -> None:
        from fastnn.devices.functions import OnDevice
        from fastnn.devices.loop import Loop

        for name in ("by_hand", "fed", "metrics", "names", "reset", "results", "vectors"):
            setattr(self, name, getattr(program, name))
        self.step = OnDevice(program.step, device)
        self.loop = Loop(self.step, self.results, self.reset)
        self.placed, self.device = program.placed, device

    def keep_data(self, flag: bool) -> None:
        """Lets the loop keep what it uploads, or forget it."""
        self.loop.keep_data(flag)

    def go_on(self) -> None:
        """Nothing: a step on a device looks for itself."""

    def settle(self) -> None:
        """Copies to the CPU what the steps changed: a device that is lost takes one epoch."""
        self.step.home()


def flat_logs(logs: Any) -> Logs:
    """Logs with those of a dict within, as all compiled metrics give one, beside the others."""
    flat: Logs = {}
    for name, value in logs.items():
        if isinstance(value, dict):
            flat |= flat_logs(value)
        else:
            flat[name] = value
    return flat


def keep(name: str, value: Any, updates: list[Any]) -> Any:
    """A variable that keeps a step's own value so that it can be read between epochs."""
    tensor = ops.convert_to_tensor(value, "float32")
    if tensor.shape != ():
        tensor = ops.mean(tensor)
    held = Variable(np.float32(0.0), dtype="float32", trainable=False, name=f"log_{name}")
    updates.append((held, tensor))
    return held.value


_local = threading.local()


@contextlib.contextmanager
def underway(model: Any) -> Iterator[None]:
    """Marks that an epoch of the model sums up its metrics on this thread."""
    _local.models = [*getattr(_local, "models", ()), model]
    try:
        yield
    finally:
        _local.models = _local.models[:-1]


@contextlib.contextmanager
def keeping(model: Any) -> Iterator[None]:
    """What the model does inside leaves the metrics of epochs under way as they were.

    So a callback may evaluate, train or fit between two batches; metrics may be shared by models.
    """
    outer = getattr(_local, "models", ())
    variables = [v for m in outer for v in metric_variables(m)]
    values = read_all(variables)
    try:
        yield
    finally:
        for v, value in zip(variables, values, strict=True):
            v.assign(value)
