"""Callbacks under Keras's names and rules."""

from fastnn.base.absent import answer_missing
from fastnn.callbacks.backup import BackupAndRestore
from fastnn.callbacks.base import (
    Callback,
    CallbackList,
    History,
    LambdaCallback,
    ProgbarLogger,
)
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

answer_missing(globals())
