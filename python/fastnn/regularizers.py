"""Weight penalties added to the loss. Depends on `ops`."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import ops
from fastnn._core import Tensor
from fastnn.base.absent import answer_missing
from fastnn.base.arguments import hints_arguments
from fastnn.base.typing import TensorLike
from fastnn.errors import hinted
from fastnn.serialization.custom_objects import custom_object_scope
from fastnn.serialization.encoding import Configurable
from fastnn.serialization.objects import written
from fastnn.serialization.registry import Registry

__all__ = ["L1", "L1L2", "L2", "OrthogonalRegularizer", "Regularizer", "get", "l1", "l1_l2", "l2",
           "orthogonal_regularizer"]  # fmt: skip


def validate_float_arg(value: Any, name: str) -> float:
    """`value` as a float; ValueError unless it is a finite number that is not negative."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float | np.number)
        or not 0 <= value < float("inf")
    ):
        raise ValueError(
            f"Invalid value for argument {name}: expected a non-negative float. "
            f"Received: {name}={value}\n  hint: {name}=0.01"
        )
    return float(value)


class Regularizer(Configurable):
    """A penalty on a weight or an output: the base of all regularisers.

    Called with a tensor, gives a number that is added to the loss; subclasses define `__call__`.

    Example:
        >>> class Spread(fastnn.regularizers.Regularizer):
        ...     def __call__(self, w):
        ...         return 0.1 * (fastnn.ops.max(w) - fastnn.ops.min(w))
        >>> float(Spread()(np.array([1.0, 4.0])))
        0.30000001192092896
    """

    def __call__(self, x: TensorLike) -> Tensor:
        """Gives the penalty of a weight."""
        raise NotImplementedError(
            f"{type(self).__name__} must define __call__(self, x)"
            "\n  hint: def __call__(self, x): return a number to add to the loss"
        )


class L1L2(Regularizer):
    """l1 * sum|w| + l2 * sum w².

    Args:
        l1: The weight of the sum of absolute values.
        l2: The weight of the sum of squares.

    Example:
        >>> float(fastnn.regularizers.L1L2(l1=1.0, l2=0.5)(np.array([-1.0, 2.0])))
        5.5
    """

    l1: float
    l2: float

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1, self.l2 = validate_float_arg(l1, "l1"), validate_float_arg(l2, "l2")

    def __call__(self, x: TensorLike) -> Tensor:
        """Gives the penalty of a weight."""
        total = ops.convert_to_tensor(0.0)
        if self.l1:
            total = total + self.l1 * ops.sum(ops.abs(x))
        if self.l2:
            total = total + self.l2 * ops.sum(ops.square(x))
        return total


class L1(Regularizer):
    """l1 * sum|w|: drives weights to zero.

    Args:
        l1: The weight of the penalty.

    Example:
        >>> float(fastnn.regularizers.L1(0.5)(np.array([-1.0, 2.0])))
        1.5
    """

    l1: float

    def __init__(self, l1: float = 0.01) -> None:
        self.l1 = validate_float_arg(l1, "l1")

    def __call__(self, x: TensorLike) -> Tensor:
        """Gives the penalty of a weight."""
        return self.l1 * ops.sum(ops.abs(x))


class L2(Regularizer):
    """l2 * sum w²: keeps weights small.

    Args:
        l2: The weight of the penalty.

    Example:
        >>> float(fastnn.regularizers.L2(0.5)(np.array([-1.0, 2.0])))
        2.5
    """

    l2: float

    def __init__(self, l2: float = 0.01) -> None:
        self.l2 = validate_float_arg(l2, "l2")

    def __call__(self, x: TensorLike) -> Tensor:
        """Gives the penalty of a weight."""
        return self.l2 * ops.sum(ops.square(x))


class OrthogonalRegularizer(Regularizer):
    """Penalises rows (or columns) of a matrix that are not orthogonal to each other.

    Args:
        factor: The weight of the penalty.
        mode: `"rows"` or `"columns"`.

    Raises:
        ValueError: `mode` is neither.

    Example:
        >>> penalty = fastnn.regularizers.OrthogonalRegularizer(factor=1.0)
        >>> float(penalty(np.array([[1.0, 0.0], [0.0, 1.0]])))
        0.0
    """

    factor: float

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        self.factor = validate_float_arg(factor, "factor")
        if mode not in ("rows", "columns"):
            raise hinted(
                ValueError(
                    'Invalid value for argument `mode`. Expected one of {"rows", "columns"}. '
                    f"Received: mode={mode}"
                ),
                "mode='rows'",
            )
        self.mode = mode

    def __call__(self, x: Tensor) -> Any:
        """Gives the penalty of a weight."""
        if len(x.shape) != 2:
            raise hinted(
                ValueError(
                    "Inputs to OrthogonalRegularizer must have rank 2. "
                    f"Received: inputs.shape={tuple(x.shape)}"
                ),
                "use it for the kernel of Dense",
            )
        axis = 1 if self.mode == "rows" else 0
        x = ops.normalize(x, axis=axis)
        xt = ops.transpose(x)
        product = ops.matmul(x, xt) if self.mode == "rows" else ops.matmul(xt, x)
        size = product.shape[0]
        off = product * (1.0 - ops.eye(size))
        pairs = size * (size - 1.0) / 2.0
        return self.factor * 0.5 * ops.sum(ops.abs(off)) / pairs


TABLE = Registry("regularizer", [Regularizer, L1, L2, L1L2, OrthogonalRegularizer],
              {"l1": L1, "l2": L2, "l1_l2": L1L2, "l1l2": L1L2})  # fmt: skip
l1 = L1
l2 = L2
l1_l2 = L1L2
orthogonal_regularizer = OrthogonalRegularizer


@hints_arguments
def get(identifier: Any) -> Any:
    """The regulariser that a name, config or object stands for; None for None.

    Args:
        identifier: A name such as `"l2"`, a config, a `Regularizer`, or None.

    Returns:
        A `Regularizer`, or None.

    Raises:
        ValueError: The name is not known; the hint names the nearest ones.

    Example:
        >>> type(fastnn.regularizers.get("l2")).__name__
        'L2'
    """
    return TABLE.get(identifier)


def serialize(regularizer: Regularizer) -> Any:
    """A regulariser as a config."""
    return written(regularizer)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The regulariser that a config describes."""
    with custom_object_scope(custom_objects):
        return get(config)


answer_missing(globals())
