"""`keras.optimizers.legacy`: optimisers with the arguments that they had before Keras 3.

`lr` is the learning rate, and `decay` lets it fall as 1 / (1 + decay * steps). What is made is the
optimiser of today.
"""

from __future__ import annotations

from typing import Any

from fastnn.base.absent import answer_missing
from fastnn.optimizers import methods
from fastnn.optimizers.base import Optimizer as Optimizer
from fastnn.optimizers.schedules import InverseTimeDecay, LearningRateSchedule

__all__ = [
    "SGD", "Adadelta", "Adagrad", "Adam", "Adamax", "Ftrl", "Nadam", "Optimizer", "RMSprop",
]  # fmt: skip


class _Older(type):
    """Makes the optimiser of today, which counts as one of the older class."""

    today: type[Optimizer]

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        kind = cls.__name__
        if "lr" in kwargs:
            if args or "learning_rate" in kwargs:
                raise TypeError(f"{kind} got a learning rate twice\n  hint: leave lr out")
            kwargs["learning_rate"] = kwargs.pop("lr")
        decay = kwargs.pop("decay", 0.0)
        made = cls.today(*args, **kwargs)
        if not decay:
            return made
        rate = args[0] if args else kwargs.get("learning_rate", float(made.learning_rate))
        if isinstance(rate, LearningRateSchedule) or decay < 0:
            raise ValueError(
                f"{kind}: decay={decay} with learning_rate={rate!r}\n"
                "  hint: a schedule says itself how the rate falls; decay is 0 or more"
            )
        kwargs["learning_rate"] = InverseTimeDecay(float(rate), 1, float(decay))
        return cls.today(kwargs.pop("learning_rate"), *args[1:], **kwargs)

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, cls.today)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, cls.today)

    def from_config(cls, config: dict[str, Any]) -> Any:
        """The optimiser of today that a config describes."""
        return cls.today.from_config(config)


def _older(name: str) -> Any:
    today = getattr(methods, name)
    space = {"today": today, "__doc__": today.__doc__, "__module__": __name__}
    return _Older(name, (), space)


Adadelta, Adagrad, Adam, Adamax, Ftrl, Nadam, RMSprop, SGD = map(
    _older, ("Adadelta", "Adagrad", "Adam", "Adamax", "Ftrl", "Nadam", "RMSprop", "SGD")
)

answer_missing(globals())
