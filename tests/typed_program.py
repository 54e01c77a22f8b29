"""A user's program under `mypy --strict`; `make lint` checks its types, nobody runs it.

Names must be found under `fastnn`, `fastnn.keras` and their submodules, and subclasses of Layer,
Model and Callback written with the natural annotations must fit.
"""

import numpy as np

import fastnn
import fastnn as keras
from fastnn import keras as in_tensorflow
from fastnn.keras.callbacks import EarlyStopping
from fastnn.keras.layers import Dense, Input
from fastnn.keras.optimizers.schedules import CosineDecay
from fastnn.layers import Dropout
from fastnn.losses import MeanSquaredError
from fastnn.losses.lookup import mse
from fastnn.metrics import AUC


class Linear(keras.Layer):
    """A layer with annotations."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.units = units

    def build(self, input_shape: tuple[int, ...]) -> None:
        """Makes the weight."""
        self.w = self.add_weight(shape=(input_shape[-1], self.units))

    def call(self, inputs: fastnn.Tensor) -> fastnn.Tensor:
        """Multiplies."""
        return keras.ops.matmul(inputs, self.w)


class StopAtOnce(keras.callbacks.Callback):
    """A callback with annotations."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Stops."""
        self.model.stop_training = True


def train() -> float:
    """Every spelling of an import ends at the same names."""
    model = keras.Sequential([Input((4,)), Dense(3, activation="relu"), Dropout(0.1), Linear(1)])
    optimizer = keras.optimizers.Adam(CosineDecay(1e-3, 100))
    model.compile(optimizer=optimizer, loss=MeanSquaredError(), metrics=[AUC(), mse])
    callbacks = [EarlyStopping("loss"), StopAtOnce()]
    x, y = np.zeros((4, 4)), np.zeros((4, 1))
    history: keras.callbacks.History = model.fit(x, y, epochs=2, callbacks=callbacks)
    a = in_tensorflow.Input((3,))
    functional: in_tensorflow.Model = in_tensorflow.Model(a, 2 * -a + fastnn.ops.tanh(a))
    total: fastnn.Tensor = keras.ops.sum(functional(x))
    loss: float = history.history["loss"][0] + float(total)
    return loss
