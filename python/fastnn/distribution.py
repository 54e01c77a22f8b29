"""Distribution over devices with the one device there is: the cores of this machine.

`keras.distribution` and `tf.distribute` both come here. What stays on one device is accepted and
changes nothing, as all cores are used anyway; what needs several is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from fastnn.base.absent import answer_missing
from fastnn.base.arguments import hints_arguments

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


@hints_arguments
def list_devices(device_type: str | None = None) -> list[str]:
    """The devices: "cpu:0", and none of another type.

    Args:
        device_type: `"cpu"`, `"gpu"`, or None for all.

    Returns:
        A list of names.

    Example:
        >>> fastnn.distribution.list_devices()
        ['cpu:0']
    """
    return ["cpu:0"] if device_type in (None, "cpu", "CPU") else []


@hints_arguments
def get_device_count(device_type: str | None = None) -> int:
    """How many devices there are of a type.

    Args:
        device_type: `"cpu"`, `"gpu"`, or None for all.

    Returns:
        A whole number.

    Example:
        >>> fastnn.distribution.get_device_count("gpu")
        0
    """
    return len(list_devices(device_type))


def _one(where: str, devices: Any) -> None:
    if devices is not None and len(list(devices)) > 1:
        raise ValueError(
            f"{where}: {len(list(devices))} devices, fastnn computes on one: the cores of this "
            "machine\n  hint: leave devices out; set_num_threads says how many cores"
        )


@hints_arguments
def initialize(
    job_addresses: Any = None, num_processes: int | None = None, process_id: int | None = None
) -> None:
    """Accepts one process.

    Args:
        job_addresses: Addresses of processes; one at most.
        num_processes: 1, or None.
        process_id: 0, or None.

    Raises:
        ValueError: There are several processes.

    Example:
        >>> fastnn.distribution.initialize(num_processes=1)
    """
    if (num_processes or 1) > 1:
        raise ValueError(
            f"initialize: {num_processes} processes, fastnn computes in one\n  hint: leave it out"
        )


class DeviceMesh:
    """A mesh of one device.

    Args:
        shape: Sizes of the mesh; their product is 1.
        axis_names: One name an axis.
        devices: Names of devices.

    Raises:
        ValueError: The mesh has more than one place.

    Example:
        >>> fastnn.distribution.DeviceMesh((1,), ["batch"]).shape
        (1,)
    """

    shape: Sequence[int]
    axis_names: Sequence[str]
    devices: Any

    def __init__(self, shape: Sequence[int], axis_names: Sequence[str], devices: Any = None):
        self.shape, self.axis_names = tuple(shape), list(axis_names)
        self.devices = list(devices) if devices is not None else list_devices()
        _one("DeviceMesh", [None] * max([1, *shape]))


class DataParallel:
    """Batches shared among devices: with one device, training as always.

    Args:
        device_mesh: A `DeviceMesh`.
        devices: Names of devices.
        auto_shard_dataset: Changes nothing on one device.

    Example:
        >>> sharing = fastnn.distribution.DataParallel()
    """

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


@hints_arguments
def distribution() -> Any:
    """What `set_distribution` set.

    Returns:
        A distribution, or None.

    Example:
        >>> fastnn.distribution.distribution()
    """
    return _current


@hints_arguments
def set_distribution(value: Any) -> None:
    """Sets the distribution; it changes nothing on one device.

    Args:
        value: A distribution, or None.

    Example:
        >>> fastnn.distribution.set_distribution(None)
    """
    global _current
    _current = value


class Strategy:
    """TensorFlow's strategies with one replica.

    Args:
        devices: Names of devices.

    Example:
        >>> fastnn.distribution.Strategy().num_replicas_in_sync
        1
    """

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
    """TensorFlow's mirrored variables on one device: the variables.

    Args:
        devices: Names of devices.

    Example:
        >>> with fastnn.distribution.MirroredStrategy().scope():
        ...     model = fastnn.Sequential([fastnn.Input((1,)), fastnn.layers.Dense(1)])
    """


class OneDeviceStrategy(Strategy):
    """TensorFlow's strategy for one device: the one that fastnn has.

    Args:
        devices: The name of the device.

    Example:
        >>> fastnn.distribution.OneDeviceStrategy("cpu:0").num_replicas_in_sync
        1
    """


@hints_arguments
def get_strategy() -> Strategy:
    """The strategy of one device.

    Returns:
        A `Strategy`.

    Example:
        >>> fastnn.distribution.get_strategy().num_replicas_in_sync
        1
    """
    return OneDeviceStrategy()


answer_missing(globals())
