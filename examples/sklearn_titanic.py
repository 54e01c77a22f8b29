"""Survivors of the Titanic: networks in scikit-learn's ensembles, searches and pipelines.

    python examples/sklearn_titanic.py [folder with titanic3.csv]

Without a folder the file is looked for in $FASTNN_DATA/tabular/titanic. Every line is a mean of
cross-validation, with its time, for `FastNNClassifier` and for scikit-learn's `MLPClassifier`.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import fastnn
from fastnn.sklearn import FastNNClassifier, FastNNFeatures

NUMBERS, WORDS = ["age", "sibsp", "parch", "fare"], ["pclass", "sex", "embarked"]


def load(folder: str | None = None) -> tuple[pd.DataFrame, pd.Series]:
    """What was known of the passengers beforehand, and who survived."""
    place = Path(folder or Path(os.environ.get("FASTNN_DATA", "."), "tabular", "titanic"))
    # The file is sorted by class of the ticket; folds want rows of all kinds.
    frame = pd.read_csv(place / "titanic3.csv").sample(frac=1, random_state=0)
    return frame[NUMBERS + WORDS], frame["survived"]


def piped(model: Any) -> Any:
    """The model behind what fills gaps, scales numbers and encodes words."""
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    words = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder())
    return make_pipeline(make_column_transformer((numbers, NUMBERS), (words, WORDS)), model)


def models(net: Any) -> dict[str, Any]:
    """The ensembles of one kind of network."""
    line = LogisticRegression()
    return {
        "alone": net,
        "bagging": BaggingClassifier(net, 5, random_state=0),
        "AdaBoost": AdaBoostClassifier(net, n_estimators=5, random_state=0),
        "voting": VotingClassifier([("net", net), ("line", line)], voting="soft"),
        "stacking": StackingClassifier([("net", net), ("line", line)], cv=3),
    }


def main(
    folder: str | None = None, epochs: int = 60, beside: bool = True
) -> dict[str, list[float]]:
    """Prints and returns mean accuracies of five folds, with MLPClassifier's `beside` ours."""
    X, y = load(folder)
    ours = FastNNClassifier([32, 16], epochs=epochs, batch_size=64, random_state=0)
    theirs = MLPClassifier(
        [32, 16], max_iter=epochs, n_iter_no_change=epochs, batch_size=64, alpha=0, random_state=0
    )
    found: dict[str, list[float]] = {}
    print(f"{len(X)} rows, 5 folds{'':9}FastNNClassifier {'    MLPClassifier' * beside}")
    for (name, a), b in zip(models(ours).items(), models(theirs).values(), strict=True):
        cells, scores = [], []
        for model in (a, b) if beside else (a,):
            start = time.perf_counter()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                scores.append(float(cross_val_score(piped(model), X, y).mean()))
            cells.append(f"{scores[-1]:.3f} in {time.perf_counter() - start:6.2f} s")
        found[name] = scores
        print(f"{name:25} {'   '.join(cells)}")

    features = make_pipeline(FastNNFeatures([32, 8], epochs=epochs, batch_size=64, random_state=0),
                             LogisticRegression())  # fmt: skip
    score = cross_val_score(piped(features), X, y).mean()
    print(f"logistic regression on eight hidden features: {score:.3f}")

    grid = {
        "fastnnclassifier__hidden_layer_sizes": [[16], [32, 16]],
        "fastnnclassifier__dropout": [0.0, 0.3],
    }
    search = GridSearchCV(piped(ours), grid, cv=3, n_jobs=2).fit(X, y)
    print(f"grid search: {search.best_score_:.3f} with {search.best_params_}")

    # Folds and seeds: how far the accuracy of one network scatters.
    print(fastnn.evaluate_stability(lambda: piped(ours), X, y, seeds=3, folds=5, verbose=0))
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
