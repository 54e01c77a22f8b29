"""Distribution over devices with the one device there is: the cores of this machine.

`keras.distribution` and `tf.distribute` both come here. What stays on one device is accepted and
changes nothing, as all cores are used anyway; what needs several is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from fastnn.base.absent import answer_missing

__all__ = [
    "DataParallel",
    "DeviceMesh",
    "MirroredStrategy",
    "OneDeviceStrategy",
    "Strategy",
    "distribution",
    "get_device_count",
    "get_strategy",
    "initialize",
    "list_devices",
    "set_distribution",
]

_current: Any = None


def list_devices(device_type: str | None = None) -> list[str]:
    """The devices: "cpu:0", and none of another type."""
    return ["cpu:0"] if device_type in (None, "cpu", "CPU") else []


def get_device_count(device_type: str | None = None) -> int:
    """How many devices there are of a type."""
    return len(list_devices(device_type))


def _one(where: str, devices: Any) -> None:
    if devices is not None and len(list(devices)) > 1:
        raise ValueError(
            f"{where}: {len(list(devices))} devices, fastnn computes on one: the cores of this "
            "machine\n  hint: leave devices out; set_num_threads says how many cores"
        )


def initialize(
    job_addresses: Any = None, num_processes: int | None = None, process_id: int | None = None
) -> None:
    """Accepts one process; ValueError for several."""
    if (num_processes or 1) > 1:
        raise ValueError(
            f"initialize: {num_processes} processes, fastnn computes in one\n  hint: leave it out"
        )


class DeviceMesh:
    """A mesh of one device."""

    def __init__(self, shape: Sequence[int], axis_names: Sequence[str], devices: Any = None):
        self.shape, self.axis_names = tuple(shape), list(axis_names)
        self.devices = list(devices) if devices is not None else list_devices()
        _one("DeviceMesh", [None] * max([1, *shape]))


class DataParallel:
    """Batches shared among devices: with one device, training as always."""

    def __init__(
        self,
        device_mesh: DeviceMesh | None = None,
        devices: Any = None,
        auto_shard_dataset: Any = 1,
    ) -> None:
        _one("DataParallel", devices)
        self.device_mesh = device_mesh

    @contextmanager
    def scope(self) -> Iterator[None]:
        """A block in which nothing differs."""
        yield


def distribution() -> Any:
    """What `set_distribution` set."""
    return _current


def set_distribution(value: Any) -> None:
    """Sets the distribution; it changes nothing on one device."""
    global _current
    _current = value


class Strategy:
    """TensorFlow's strategies with one replica."""

    num_replicas_in_sync = 1

    def __init__(self, devices: Any = None, **_: Any) -> None:
        _one(type(self).__name__, None if isinstance(devices, str) else devices)

    @contextmanager
    def scope(self) -> Iterator[Strategy]:
        """A block in which models are made as always."""
        yield self

    def run(self, fn: Any, args: Any = (), kwargs: Any = None) -> Any:
        """`fn` on the one replica."""
        return fn(*args, **(kwargs or {}))

    def reduce(self, reduce_op: Any, value: Any, axis: int | None = None) -> Any:
        """The value of the one replica."""
        return value

    def experimental_distribute_dataset(self, dataset: Any, options: Any = None) -> Any:
        """The data set itself."""
        return dataset


class MirroredStrategy(Strategy):
    """Mirrored variables on one device: the variables."""


class OneDeviceStrategy(Strategy):
    """The strategy that fastnn has."""


def get_strategy() -> Strategy:
    """The strategy of one device."""
    return OneDeviceStrategy()


answer_missing(globals())
