"""`keras.mixed_precision`: policies are taken, and everything computes in float32.

A mixed policy asks for speed on devices with half-precision units; on cores there is none to gain,
and float32 gives results that are at least as exact. Losses need no scaling.
"""

from __future__ import annotations

from typing import Any

from fastnn.config import dtype_policy, set_dtype_policy
from fastnn.dtype_policies import DTypePolicy

__all__ = ["LossScaleOptimizer", "Policy", "global_policy", "set_global_policy"]

Policy = DTypePolicy
global_policy = dtype_policy
set_global_policy = set_dtype_policy


def LossScaleOptimizer(inner_optimizer: Any, **_: Any) -> Any:
    """The optimiser itself: float32 gradients do not vanish, so the loss is not scaled.

    Args:
        inner_optimizer: An optimiser, or its name.

    Returns:
        The optimiser.

    Example:
        >>> type(fastnn.mixed_precision.LossScaleOptimizer(fastnn.optimizers.SGD())).__name__
        'SGD'
    """
    return inner_optimizer
