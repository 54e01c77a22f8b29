"""`keras.mixed_precision`: policies as `fastnn.config` takes them.

Under "mixed_bfloat16" products round their operands where the processor is faster so; what else is
computed is float32. On a GPU activations take two bytes between steps while a mixed policy is set.
Losses need no scaling.
"""

from __future__ import annotations

from fastnn.base.absent import answer_missing
from fastnn.config import dtype_policy, set_dtype_policy
from fastnn.dtype_policies import DTypePolicy
from fastnn.optimizers import LossScaleOptimizer

__all__ = ["LossScaleOptimizer", "Policy", "global_policy", "set_global_policy"]

Policy = DTypePolicy
global_policy = dtype_policy
set_global_policy = set_dtype_policy

answer_missing(globals())
