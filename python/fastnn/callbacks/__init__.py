"""Callbacks under Keras's names and rules. Those that training has no use for are loaded when they
are asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn.base.absent import answer_missing, homes_of
from fastnn.callbacks.base import (
    Callback,
    CallbackList,
    History,
    LambdaCallback,
    ProgbarLogger,
)

if TYPE_CHECKING:
    from fastnn.callbacks.backup import BackupAndRestore
    from fastnn.callbacks.monitoring import (
        EarlyStopping,
        ModelCheckpoint,
        MonitorCallback,
        ReduceLROnPlateau,
    )
    from fastnn.callbacks.recording import CSVLogger, TensorBoard
    from fastnn.callbacks.steering import LearningRateScheduler, SwapEMAWeights, TerminateOnNaN
    from fastnn.callbacks.trackers import MLflowLogger, OptunaPruning, WandbLogger

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "MLflowLogger",
    "ModelCheckpoint",
    "MonitorCallback",
    "OptunaPruning",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "SwapEMAWeights",
    "TensorBoard",
    "TerminateOnNaN",
    "WandbLogger",
]  # fmt: skip

#: The module of each of the others, below this package.
_MODULES = {
    "backup": "BackupAndRestore",
    "monitoring": "EarlyStopping ModelCheckpoint MonitorCallback ReduceLROnPlateau",
    "recording": "CSVLogger TensorBoard",
    "steering": "LearningRateScheduler SwapEMAWeights TerminateOnNaN",
    "trackers": "MLflowLogger OptunaPruning WandbLogger",
}

answer_missing(
    globals(),
    homes={
        **{name: f"{__name__}.{name}" for name in _MODULES},
        **homes_of(__name__, _MODULES),
    },
)
