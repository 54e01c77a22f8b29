"""Optimisers and learning-rate schedules under Keras's names."""

# ruff: noqa: F403, F405
from __future__ import annotations

from typing import Any

from fastnn.base.absent import answer_missing
from fastnn.base.arguments import hints_arguments
from fastnn.errors import check_arguments
from fastnn.optimizers import adaptive, legacy as legacy, methods, schedules
from fastnn.optimizers.adaptive import *
from fastnn.optimizers.base import Optimizer
from fastnn.optimizers.methods import *
from fastnn.serialization.custom_objects import custom_object_scope
from fastnn.serialization.objects import written
from fastnn.serialization.registry import Registry

__all__ = [
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lamb",
    "Lion",
    "LossScaleOptimizer",
    "Muon",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "ScheduleFreeAdamW",
    "deserialize",
    "get",
    "schedules",
    "serialize",
]

_MEMBERS = [getattr(m, name) for m in (methods, adaptive) for name in m.__all__]
TABLE = Registry("optimizer", _MEMBERS, {m.__name__.lower(): m for m in _MEMBERS})
for _wrong in ("ada_w", "ada_m", "rm_sprop", "rm_sp_rop"):
    TABLE.names.pop(_wrong, None)


@hints_arguments
def get(identifier: Any) -> Optimizer:
    """The optimiser that a name, config or object stands for.

    Args:
        identifier: A name such as `"adam"`, a config, or an `Optimizer`.

    Returns:
        An `Optimizer`.

    Raises:
        ValueError: The name is not known; the hint names the nearest ones.

    Example:
        >>> type(fastnn.optimizers.get("adam")).__name__
        'Adam'
    """
    if isinstance(identifier, dict) and identifier.get("class_name") == "LossScaleOptimizer":
        # What mixed policies of Keras wrap around an optimiser.
        identifier = (identifier.get("config") or {}).get("inner_optimizer")
    found: Optimizer = TABLE.get(identifier)
    return found


class LossScaleOptimizer:
    """Gives the optimiser itself: float32 gradients do not vanish, so the loss is not scaled.

    Args:
        inner_optimizer: An optimiser, or its name.
        **accepted: Keras's settings of the scale, which change nothing here.

    Example:
        >>> type(fastnn.optimizers.LossScaleOptimizer(fastnn.optimizers.SGD())).__name__
        'SGD'
    """

    def __new__(cls, inner_optimizer: Any, **accepted: Any) -> Any:
        """Hands back the optimiser."""
        names = ("dynamic", "dynamic_growth_steps", "initial_scale", "name")
        check_arguments("LossScaleOptimizer()", accepted, names, LossScaleOptimizer)
        return get(inner_optimizer)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Optimizer:
        """The optimiser within, from Keras's config of the wrapper.

        Args:
            config: What Keras's `get_config` gave, with `inner_optimizer`.

        Returns:
            An `Optimizer`.

        Example:
            >>> config = {"inner_optimizer": fastnn.optimizers.serialize(fastnn.optimizers.SGD())}
            >>> type(fastnn.optimizers.LossScaleOptimizer.from_config(config)).__name__
            'SGD'
        """
        return get({"class_name": cls.__name__, "config": config})


@hints_arguments
def serialize(optimizer: Optimizer) -> Any:
    """The config of an optimiser.

    Args:
        optimizer: An `Optimizer`.

    Returns:
        A dict that JSON holds; `deserialize` makes the optimiser of it.

    Example:
        >>> fastnn.optimizers.serialize(fastnn.optimizers.SGD(0.5))["config"]["learning_rate"]
        0.5
    """
    return written(optimizer)


@hints_arguments
def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Optimizer:
    """The optimiser that a config describes.

    Args:
        config: What `serialize` gave.
        custom_objects: Classes and functions by name, for what fastnn does not know.

    Returns:
        An `Optimizer` with fresh slots.

    Raises:
        ValueError: The config names a class that is not known.

    Example:
        >>> config = fastnn.optimizers.serialize(fastnn.optimizers.SGD(0.5))
        >>> float(fastnn.optimizers.deserialize(config).learning_rate)
        0.5
    """
    with custom_object_scope(custom_objects):
        return get(config)


answer_missing(globals())
