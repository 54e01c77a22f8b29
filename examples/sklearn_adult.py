"""Incomes of the Adult census data: `FastNNClassifier` beside scikit-learn's `MLPClassifier`.

    python examples/sklearn_adult.py [folder with adult-train.csv and adult-test.csv]

Without a folder the files are looked for in $FASTNN_DATA/tabular/adult. The same columns, widths,
epochs and batches for both; then what `class_weight` does for the rarer class, and a search.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import RandomizedSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fastnn.sklearn import FastNNClassifier

COLUMNS = (
    "age workclass fnlwgt education education-num marital-status occupation relationship race sex "
    "capital-gain capital-loss hours-per-week native-country income"
).split()
WIDTHS, EPOCHS, BATCH = (64, 32), 10, 200


def load(folder: str | None, part: str) -> tuple[pd.DataFrame, pd.Series]:
    """Columns, and whether more than 50,000 dollars are earned."""
    place = Path(folder or Path(os.environ.get("FASTNN_DATA", "."), "tabular", "adult"))
    frame = pd.read_csv(
        place / f"adult-{part}.csv", header=None, names=COLUMNS, skipinitialspace=True,
        na_values="?",
    )  # fmt: skip
    return frame.drop(columns=["income", "fnlwgt"]), frame["income"].str.startswith(">50K")


def columns() -> Any:
    """Numbers scaled, words one-hot."""
    words = make_pipeline(
        SimpleImputer(strategy="most_frequent"),
        OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype="float32"),
    )
    return make_column_transformer(
        (StandardScaler(), make_column_selector(dtype_include="number")),
        (words, make_column_selector(dtype_exclude="number")),
    )


def main(folder: str | None = None, rows: int | None = None) -> dict[str, float]:
    """Trains both on the first `rows`; returns accuracies on the test file and seconds."""
    (X, y), (X_test, y_test) = load(folder, "train"), load(folder, "test")
    X, y = X[:rows], y[:rows]
    rivals = {
        "FastNNClassifier": FastNNClassifier(
            WIDTHS, epochs=EPOCHS, batch_size=BATCH, random_state=0
        ),
        "MLPClassifier": MLPClassifier(
            WIDTHS, max_iter=EPOCHS, batch_size=BATCH, alpha=0, random_state=0,
            n_iter_no_change=EPOCHS,
        ),
    }  # fmt: skip
    found: dict[str, float] = {}
    table = columns().fit(X)
    Z, Z_test = table.transform(X), table.transform(X_test)
    print(f"{len(X)} rows, {Z.shape[1]} columns, widths {WIDTHS}, {EPOCHS} epochs")
    for name, model in rivals.items():
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(Z, y)
        found[f"{name} seconds"] = time.perf_counter() - start
        found[name] = model.score(Z_test, y_test)
        print(f"{name:17} accuracy {found[name]:.4f} in {found[f'{name} seconds']:.2f} s")

    for weight in (None, "balanced"):
        net = FastNNClassifier(
            WIDTHS, epochs=EPOCHS, batch_size=BATCH, dropout=0.2, class_weight=weight,
            random_state=0,
        )  # fmt: skip
        score = balanced_accuracy_score(y_test, net.fit(Z, y).predict(Z_test))
        found[f"balanced accuracy, {weight}"] = score
        print(f"class_weight={weight!r}: balanced accuracy {score:.4f}")

    search = RandomizedSearchCV(
        make_pipeline(columns(), FastNNClassifier(epochs=5, random_state=0)),
        {
            "fastnnclassifier__hidden_layer_sizes": [[16], [64], [64, 32]],
            "fastnnclassifier__dropout": [0.0, 0.2],
            "fastnnclassifier__learning_rate": [3e-4, 1e-3, 3e-3],
        },
        n_iter=4, cv=3, random_state=0,
    ).fit(X[:8000], y[:8000])  # fmt: skip
    found["search"] = search.score(X_test, y_test)
    print(f"search on 8,000 rows: {search.best_params_}, accuracy {found['search']:.4f}")
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
