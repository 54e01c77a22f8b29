"""Conditions that weights are brought back to after each update. Depends on `ops`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn import ops
from fastnn._core import Tensor
from fastnn.base.absent import answer_missing
from fastnn.base.arguments import hints_arguments
from fastnn.config import epsilon
from fastnn.serialization.custom_objects import custom_object_scope
from fastnn.serialization.encoding import Configurable
from fastnn.serialization.objects import written
from fastnn.serialization.registry import Registry

__all__ = ["Constraint", "MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm", "get", "max_norm",
           "min_max_norm", "non_neg", "unit_norm"]  # fmt: skip


class Constraint(Configurable):
    """What weights are brought back to after each step: the base of all constraints.

    Called with a weight, gives the nearest value that meets the condition; subclasses define
    `__call__`.

    Example:
        >>> class AtMostOne(fastnn.constraints.Constraint):
        ...     def __call__(self, w):
        ...         return fastnn.ops.minimum(w, 1.0)
        >>> AtMostOne()(np.array([0.5, 3.0])).numpy()
        array([0.5, 1. ], dtype=float32)
    """

    def __call__(self, w: Tensor) -> Tensor:
        """Brings a weight back to the condition; subclasses override it."""
        return w


def _norms(w: Tensor, axis: int | Sequence[int]) -> Tensor:
    return ops.norm(w, axis=axis, keepdims=True)


class MaxNorm(Constraint):
    """Norms along some axes of at most a value.

    Args:
        max_value: The largest norm.
        axis: The axis or axes of each vector; 0 for the columns of a dense kernel.

    Example:
        >>> fastnn.constraints.MaxNorm(1.0)(np.array([[3.0], [4.0]])).numpy().round(4)
        array([[0.6],
               [0.8]], dtype=float32)
    """

    max_value: float
    axis: int | Sequence[int]

    def __init__(self, max_value: float = 2, axis: int | Sequence[int] = 0) -> None:
        self.max_value, self.axis = max_value, axis

    def __call__(self, w: Tensor) -> Tensor:
        """Brings a weight back to the condition."""
        norms = _norms(w, self.axis)
        return w * (ops.clip(norms, 0, self.max_value) / (epsilon() + norms))


class NonNeg(Constraint):
    """No negative weights: they become zero.

    Example:
        >>> fastnn.constraints.NonNeg()(np.array([-1.0, 2.0])).numpy()
        array([0., 2.], dtype=float32)
    """

    def __call__(self, w: Tensor) -> Tensor:
        """Brings a weight back to the condition."""
        return ops.maximum(w, 0.0)


class UnitNorm(Constraint):
    """Norms along some axes equal to 1.

    Args:
        axis: The axis or axes of each vector; 0 for the columns of a dense kernel.

    Example:
        >>> fastnn.constraints.UnitNorm()(np.array([[3.0], [4.0]])).numpy().round(4)
        array([[0.6],
               [0.8]], dtype=float32)
    """

    def __init__(self, axis: int | Sequence[int] = 0) -> None:
        self.axis = axis

    def __call__(self, w: Tensor) -> Tensor:
        """Brings a weight back to the condition."""
        return w / (epsilon() + _norms(w, self.axis))


class MinMaxNorm(Constraint):
    """Norms along some axes between two values.

    Args:
        min_value: The smallest norm.
        max_value: The largest norm.
        rate: 1 enforces it at once, less gradually.
        axis: The axis or axes of each vector; 0 for the columns of a dense kernel.

    Example:
        >>> fastnn.constraints.MinMaxNorm(0.5, 1.0)(np.array([[3.0], [4.0]])).numpy().round(4)
        array([[0.6],
               [0.8]], dtype=float32)
    """

    min_value: float
    max_value: float
    rate: float
    axis: int | Sequence[int]

    def __init__(
        self,
        min_value: float = 0.0,
        max_value: float = 1.0,
        rate: float = 1.0,
        axis: int | Sequence[int] = 0,
    ) -> None:
        self.min_value, self.max_value, self.rate, self.axis = min_value, max_value, rate, axis

    def __call__(self, w: Tensor) -> Tensor:
        """Brings a weight back to the condition."""
        norms = _norms(w, self.axis)
        goal = self.rate * ops.clip(norms, self.min_value, self.max_value)
        return w * ((goal + (1 - self.rate) * norms) / (epsilon() + norms))


max_norm = MaxNorm
min_max_norm = MinMaxNorm
non_neg = NonNeg
unit_norm = UnitNorm


class KeptZeros:
    """Zeros where a weight was pruned, after whatever constrained it before.

    It holds an array, so no config names it; files note it beside the weights.
    """

    inner: Any

    def __init__(self, mask: np.ndarray[Any, Any], inner: Any) -> None:
        self.mask, self.inner = mask, inner

    def __call__(self, value: Any) -> Any:
        """The weight with its zeros."""
        value = value if self.inner is None else self.inner(value)
        return self.zeroed(value)

    def zeroed(self, value: Any) -> Any:
        """A value with the zeros alone."""
        # A choice, not a product: zero times infinity is no zero.
        return ops.where(self.mask, value, 0.0)

    @classmethod
    def keep(cls, variable: Any, value: Any) -> Any:
        """A value for a variable, such as an average, with the zeros of one that was pruned."""
        held = variable.constraint
        return held.zeroed(value) if isinstance(held, cls) else value

    @classmethod
    def hold(cls, variable: Any, mask: np.ndarray[Any, Any]) -> None:
        """Makes a variable keep its zeros from here on, where the mask is False."""
        before = variable.constraint
        variable.constraint = cls(mask, before.inner if isinstance(before, cls) else before)
        variable.assign(np.where(mask, np.asarray(variable), np.float32(0)))


TABLE = Registry("constraint", [MaxNorm, MinMaxNorm, NonNeg, UnitNorm],
              {"nonneg": NonNeg, "maxnorm": MaxNorm, "unitnorm": UnitNorm})  # fmt: skip


@hints_arguments
def get(identifier: Any) -> Any:
    """The constraint that a name, config or object stands for; None for None.

    Args:
        identifier: A name such as `"non_neg"`, a config, a `Constraint`, or None.

    Returns:
        A `Constraint`, or None.

    Raises:
        ValueError: The name is not known; the hint names the nearest ones.

    Example:
        >>> type(fastnn.constraints.get("non_neg")).__name__
        'NonNeg'
    """
    return TABLE.get(identifier)


def serialize(constraint: Constraint) -> Any:
    """A constraint as a config."""
    return written(constraint)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The constraint that a config describes."""
    with custom_object_scope(custom_objects):
        return get(config)


answer_missing(globals())
