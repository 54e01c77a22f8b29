"""scikit-learn's multi-layer perceptron: one pass over the data per `partial_fit`."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import sklearn
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor

from rivals import data


def versions(threads: int) -> dict[str, str]:
    return {"scikit-learn": sklearn.__version__}


def mlp_fit(sizes: list[int], batch: int, samples: int) -> Callable[[], float]:
    x, y = data.training_set(sizes, samples)
    kind = MLPRegressor if sizes[-1] == 1 else MLPClassifier
    model = kind(hidden_layer_sizes=tuple(sizes[1:-1]), batch_size=batch, random_state=0)
    y, classes = (y.ravel(), {}) if sizes[-1] == 1 else (y, {"classes": np.arange(sizes[-1])})
    model.partial_fit(x, y, **classes)

    def call() -> float:
        return float(model.partial_fit(x, y).loss_)

    return call


def predict_one(sizes: list[int], how: str) -> Callable[[], float]:
    x, y = data.training_set(sizes, 200)
    kind = MLPRegressor if sizes[-1] == 1 else MLPClassifier
    model = kind(hidden_layer_sizes=tuple(sizes[1:-1]), random_state=0)
    if sizes[-1] == 1:
        model.partial_fit(x, y.ravel())
        return lambda: float(model.predict(x[:1])[0])
    model.partial_fit(x, y, classes=np.arange(sizes[-1]))
    return lambda: float(model.predict_proba(x[:1])[0, 0])


def classifier_fit(name: str, widths: list[int], epochs: int, batch: int) -> Callable[[], float]:
    """The estimator trained from scratch; gives its accuracy on rows that it has not seen."""
    x, y, x_test, y_test = data.classes(name)
    warnings.simplefilter("ignore", ConvergenceWarning)
    model = MLPClassifier(widths, max_iter=epochs, n_iter_no_change=epochs, batch_size=batch,
                          alpha=0, random_state=0)  # fmt: skip
    return lambda: float(model.fit(x, y).score(x_test, y_test))
