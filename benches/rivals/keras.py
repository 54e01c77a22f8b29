"""Keras on its JAX back end: compile and fit with defaults, predict as users call it."""

from __future__ import annotations

import os
from collections.abc import Callable

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np

from rivals import data


def versions(threads: int) -> dict[str, str]:
    return {"keras": f"{keras.__version__} on {keras.backend.backend()}"}


def build(sizes: list[int]) -> keras.Model:
    last = None if sizes[-1] == 1 else "softmax"
    hidden = [keras.layers.Dense(n, activation="relu") for n in sizes[1:-1]]
    model = keras.Sequential(
        [keras.Input((sizes[0],)), *hidden, keras.layers.Dense(sizes[-1], last)]
    )
    model.set_weights([a for pair in data.layer_weights(sizes) for a in pair])
    return model


def mlp_fit(sizes: list[int], batch: int, samples: int) -> Callable[[], float]:
    x, y = data.training_set(sizes, samples)
    model = build(sizes)
    model.compile("adam", "mse" if sizes[-1] == 1 else "sparse_categorical_crossentropy")

    def call() -> float:
        return model.fit(x, y, batch_size=batch, epochs=1, verbose=0).history["loss"][-1]

    return call


def line_fit() -> Callable[[], float]:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(units=1)])
    model.compile(optimizer="sgd", loss="mean_squared_error")

    def call() -> float:
        return model.fit(data.LINE_X, data.LINE_Y, epochs=100, verbose=0).history["loss"][-1]

    return call


def predict_one(sizes: list[int], how: str) -> Callable[[], float]:
    model, x = build(sizes), data.uniform(1, sizes[0])
    if how == "call":
        return lambda: float(np.asarray(model(x))[0, 0])
    return lambda: float(model.predict(x, verbose=0)[0, 0])
