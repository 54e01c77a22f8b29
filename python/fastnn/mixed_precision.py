"""`keras.mixed_precision`: policies are taken, and everything computes in float32.

A mixed policy asks for speed on devices with half-precision units; on cores there is none to gain,
and float32 gives results that are at least as exact. On a GPU activations take two bytes between
steps while one is set. Losses need no scaling.
"""

from __future__ import annotations

from fastnn.config import dtype_policy, set_dtype_policy
from fastnn.dtype_policies import DTypePolicy
from fastnn.optimizers import LossScaleOptimizer

__all__ = ["LossScaleOptimizer", "Policy", "global_policy", "set_global_policy"]

Policy = DTypePolicy
global_policy = dtype_policy
set_global_policy = set_dtype_policy
