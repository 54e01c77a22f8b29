"""Learning rates as functions of the step, computed inside the compiled step.

Depends on `ops`. Sources: Loshchilov & Hutter 2017 (cosine, restarts).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fastnn import _core, ops
from fastnn.base.absent import answer_missing
from fastnn.serialization.custom_objects import custom_object_scope
from fastnn.serialization.encoding import Configurable
from fastnn.serialization.objects import written
from fastnn.serialization.registry import Registry

__all__ = [
    "CosineDecay", "CosineDecayRestarts", "ExponentialDecay", "InverseTimeDecay",
    "LearningRateSchedule", "PiecewiseConstantDecay", "PolynomialDecay",
]  # fmt: skip

_c = _core.ops


class LearningRateSchedule(Configurable):
    """A learning rate that follows the number of the step: the base of all schedules.

    Called with the step number (a tensor), gives the learning rate; subclasses define `__call__`.

    Example:
        >>> class Halving(fastnn.optimizers.schedules.LearningRateSchedule):
        ...     def __call__(self, step):
        ...         return 0.1 / 2 ** (step // 100)
        >>> float(Halving()(250))
        0.025
    """

    def __call__(self, step: Any) -> Any:
        """Gives the learning rate at a step."""
        raise NotImplementedError(
            f"{type(self).__name__} must define __call__(self, step)"
            "\n  hint: def __call__(self, step): return the learning rate"
        )


def _step(step: Any) -> Any:
    return ops.convert_to_tensor(step, "float32")


class ExponentialDecay(LearningRateSchedule):
    """initial * rate ^ (step / decay_steps).

    Args:
        initial_learning_rate: The rate at step 0.
        decay_steps: The number of steps of the decay.
        decay_rate: The factor of each `decay_steps` steps.
        staircase: Whether the rate changes only every `decay_steps` steps.
        name: The name of the optimizer.

    Example:
        >>> schedule = fastnn.optimizers.schedules.ExponentialDecay(0.1, 100, 0.5)
        >>> round(float(schedule(200)), 6)
        0.025
    """

    initial_learning_rate: float
    decay_steps: float
    decay_rate: float
    staircase: bool
    name: str

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        _positive(decay_steps)
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, decay_steps
        self.decay_rate, self.staircase, self.name = decay_rate, staircase, name

    def __call__(self, step: Any) -> Any:
        """Gives the learning rate at a step."""
        p = _step(step) / float(self.decay_steps)
        p = _c.floor(p) if self.staircase else p
        return self.initial_learning_rate * _c.power(float(self.decay_rate), p)


class InverseTimeDecay(LearningRateSchedule):
    """initial / (1 + rate * step / decay_steps).

    Args:
        initial_learning_rate: The rate at step 0.
        decay_steps: The number of steps of the decay.
        decay_rate: How fast the rate falls.
        staircase: Whether the rate changes only every `decay_steps` steps.
        name: The name of the optimizer.

    Example:
        >>> schedule = fastnn.optimizers.schedules.InverseTimeDecay(0.1, 100, 1.0)
        >>> round(float(schedule(100)), 6)
        0.05
    """

    initial_learning_rate: float
    decay_steps: float
    decay_rate: float
    staircase: bool
    name: str

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        _positive(decay_steps)
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, decay_steps
        self.decay_rate, self.staircase, self.name = decay_rate, staircase, name

    def __call__(self, step: Any) -> Any:
        """Gives the learning rate at a step."""
        p = _step(step) / float(self.decay_steps)
        p = _c.floor(p) if self.staircase else p
        return self.initial_learning_rate / (1.0 + self.decay_rate * p)


class PiecewiseConstantDecay(LearningRateSchedule):
    """values[i] while the step is at most boundaries[i], the last value after.

    Args:
        boundaries: Step numbers that rise.
        values: Rates, one more than boundaries.
        name: The name of the optimizer.

    Raises:
        ValueError: The numbers of boundaries and values do not fit.

    Example:
        >>> schedule = fastnn.optimizers.schedules.PiecewiseConstantDecay([100], [0.1, 0.01])
        >>> [round(float(schedule(step)), 4) for step in (100, 101)]
        [0.1, 0.01]
    """

    boundaries: Sequence[float]
    values: Sequence[float]
    name: str

    def __init__(
        self, boundaries: Sequence[float], values: Sequence[float], name: str = "PiecewiseConstant"
    ) -> None:
        if len(boundaries) != len(values) - 1:
            raise ValueError(
                f"PiecewiseConstantDecay: {len(boundaries)} boundaries need "
                f"{len(boundaries) + 1} values, got {len(values)}\n  hint: one value more"
            )
        self.boundaries, self.values, self.name = list(boundaries), list(values), name

    def __call__(self, step: Any) -> Any:
        """Gives the learning rate at a step."""
        s = _step(step)
        rate: Any = ops.convert_to_tensor(float(self.values[-1]))
        for bound, value in reversed(list(zip(self.boundaries, self.values, strict=False))):
            rate = _c.where(s <= float(bound), float(value), rate)
        return rate


class PolynomialDecay(LearningRateSchedule):
    """From an initial to a last rate over `decay_steps`, along (1 - share of the way)^power.

    Args:
        initial_learning_rate: The rate at step 0.
        decay_steps: The number of steps of the decay.
        end_learning_rate: The rate at the end.
        power: 1 for a straight line.
        cycle: Whether the decay starts again with more steps each time.
        name: The name of the optimizer.

    Example:
        >>> schedule = fastnn.optimizers.schedules.PolynomialDecay(0.1, 100, 0.0)
        >>> round(float(schedule(50)), 6)
        0.05
    """

    initial_learning_rate: float
    decay_steps: float
    end_learning_rate: float
    power: float
    cycle: bool
    name: str

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        _positive(decay_steps)
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, decay_steps
        self.end_learning_rate, self.power = end_learning_rate, power
        self.cycle, self.name = cycle, name

    def __call__(self, step: Any) -> Any:
        """Gives the learning rate at a step."""
        s, total = _step(step), float(self.decay_steps)
        if self.cycle:
            cycles = _c.where(s == 0.0, 1.0, _c.ceil(s / total))
            span = total * cycles
        else:
            s, span = _c.minimum(s, total), ops.convert_to_tensor(total)
        drop = self.initial_learning_rate - self.end_learning_rate
        return drop * _c.power(1.0 - s / span, float(self.power)) + self.end_learning_rate


class CosineDecay(LearningRateSchedule):
    """Half a cosine from the initial rate to alpha times it, after a linear warm-up if asked.
    Source: Loshchilov & Hutter 2017.

    Args:
        initial_learning_rate: The rate at step 0.
        decay_steps: The number of steps of the decay.
        alpha: The share of the initial rate (of `warmup_target` with a warm-up) that is left at the
            end.
        name: The name of the optimizer.
        warmup_target: The rate at the end of the warm-up; None: no warm-up.
        warmup_steps: The steps of the warm-up.

    Example:
        >>> schedule = fastnn.optimizers.schedules.CosineDecay(0.1, 100)
        >>> round(float(schedule(50)), 6)
        0.05
    """

    initial_learning_rate: float
    decay_steps: float
    alpha: float
    name: str
    warmup_target: float | None
    warmup_steps: int

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ) -> None:
        _positive(decay_steps)
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, decay_steps
        self.alpha, self.name = alpha, name
        self.warmup_target, self.warmup_steps = warmup_target, warmup_steps

    def _decay(self, step: Any, start: float) -> Any:
        share = step / float(self.decay_steps)
        cosine = 0.5 * (1.0 + _c.cos(math.pi * share))
        return start * ((1.0 - self.alpha) * cosine + self.alpha)

    def __call__(self, step: Any) -> Any:
        """Gives the learning rate at a step."""
        s = _step(step)
        if self.warmup_target is None:
            return self._decay(_c.minimum(s, float(self.decay_steps)), self.initial_learning_rate)
        warm = float(self.warmup_steps)
        s = _c.minimum(s, float(self.decay_steps) + warm)
        slope = (self.warmup_target - self.initial_learning_rate) / max(warm, 1.0)
        return _c.where(
            s < warm,
            self.initial_learning_rate + slope * s,
            self._decay(s - warm, self.warmup_target),
        )


class CosineDecayRestarts(LearningRateSchedule):
    """Cosine decays one after another. Source: Loshchilov & Hutter 2017.

    Args:
        initial_learning_rate: The rate at step 0.
        first_decay_steps: The steps of the first decay.
        t_mul: How many times as long each decay is as the one before.
        m_mul: How many times as high each decay starts as the one before.
        alpha: The share of the initial rate that is left at the end of a decay.
        name: The name of the optimizer.

    Example:
        >>> schedule = fastnn.optimizers.schedules.CosineDecayRestarts(0.1, 100)
        >>> [round(float(schedule(step)), 4) for step in (0, 50, 100)]
        [0.1, 0.05, 0.1]
    """

    initial_learning_rate: float
    first_decay_steps: float
    t_mul: float
    m_mul: float
    alpha: float
    name: str

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: float,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:
        _positive(first_decay_steps)
        self.initial_learning_rate, self.first_decay_steps = (
            initial_learning_rate,
            first_decay_steps,
        )
        self.t_mul, self.m_mul, self.alpha, self.name = t_mul, m_mul, alpha, name

    def __call__(self, step: Any) -> Any:
        """Gives the learning rate at a step."""
        share = _step(step) / float(self.first_decay_steps)
        if self.t_mul == 1.0:
            restart = _c.floor(share)
            share = share - restart
        else:
            t = self.t_mul
            restart = _c.floor(_c.log(1.0 - share * (1.0 - t)) / math.log(t))
            sum_r = (1.0 - _c.power(t, restart)) / (1.0 - t)
            share = (share - sum_r) / _c.power(t, restart)
        height = _c.power(float(self.m_mul), restart)
        cosine = 0.5 * height * (1.0 + _c.cos(math.pi * share))
        return self.initial_learning_rate * ((1.0 - self.alpha) * cosine + self.alpha)


def _positive(steps: float) -> None:
    if not steps > 0:
        raise ValueError(f"decay_steps is {steps}, wanted > 0\n  hint: decay_steps=1000")


TABLE = Registry(
    "learning rate schedule",
    [
        CosineDecay, CosineDecayRestarts, ExponentialDecay, InverseTimeDecay,
        PiecewiseConstantDecay, PolynomialDecay,
    ],
)  # fmt: skip


def serialize(learning_rate_schedule: LearningRateSchedule) -> Any:
    """A schedule as a config."""
    return written(learning_rate_schedule)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The schedule that a config describes."""
    with custom_object_scope(custom_objects):
        return TABLE.get(config)


answer_missing(globals())
