"""Who is told to earn well? A network on the Adult census, audited by sex and race with fairlearn.

    python examples/fairness_adult.py [folder with adult-train.csv and adult-test.csv]

The share of yes differs between groups; thresholds of its own for each group make it equal, and
cost some accuracy. Which of the two is fair is no question for a program.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pandas as pd
from fairlearn.metrics import MetricFrame, demographic_parity_difference, selection_rate
from fairlearn.postprocessing import ThresholdOptimizer
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.metrics import accuracy_score, recall_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fastnn.sklearn import FastNNClassifier

COLUMNS = (
    "age workclass fnlwgt education education-num marital-status occupation relationship race sex "
    "capital-gain capital-loss hours-per-week native-country income"
).split()


def load(folder: str | None, part: str) -> tuple[pd.DataFrame, pd.Series]:
    """Columns, and whether more than 50,000 dollars are earned."""
    place = Path(folder or Path(os.environ.get("FASTNN_DATA", "."), "tabular", "adult"))
    frame = pd.read_csv(
        place / f"adult-{part}.csv", header=None, names=COLUMNS, skipinitialspace=True,
        na_values="?",
    )  # fmt: skip
    kept = frame.drop(columns=["income", "fnlwgt"])
    return kept, frame["income"].str.startswith(">50K").astype(int)


def main(folder: str | None = None, rows: int | None = None) -> dict[str, dict[str, float]]:
    """Gaps and accuracies by `sex` and `race`, before and after."""
    (X, y), (X_test, y_test) = load(folder, "train"), load(folder, "test")
    X, y = X[:rows], y[:rows]
    words = make_pipeline(
        SimpleImputer(strategy="most_frequent"),
        OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype="float32"),
    )
    # Sex and race are not among the inputs; what they go with still is.
    inputs = make_column_transformer(
        (StandardScaler(), make_column_selector(dtype_include="number")),
        (words, make_column_selector(dtype_exclude="number")),
    )
    hidden = ["sex", "race"]
    model = make_pipeline(
        inputs, FastNNClassifier([32], epochs=8, batch_size=128, random_state=0)
    ).fit(X.drop(columns=hidden), y)
    guesses = model.predict(X_test.drop(columns=hidden))

    found: dict[str, dict[str, float]] = {}
    for group in hidden:
        frame = MetricFrame(
            metrics={"says yes": selection_rate, "finds": recall_score, "right": accuracy_score},
            y_true=y_test, y_pred=guesses, sensitive_features=X_test[group],
        )  # fmt: skip
        print(f"\n{frame.by_group.round(3)}")
        fair = ThresholdOptimizer(
            estimator=model, constraints="demographic_parity", prefit=True,
            predict_method="predict_proba",
        )  # fmt: skip
        fair.fit(X.drop(columns=hidden), y, sensitive_features=X[group])
        evened = fair.predict(
            X_test.drop(columns=hidden), sensitive_features=X_test[group], random_state=0
        )
        gaps = [
            float(demographic_parity_difference(y_test, said, sensitive_features=X_test[group]))
            for said in (guesses, evened)
        ]
        right = [float(accuracy_score(y_test, said)) for said in (guesses, evened)]
        print(
            f"{group}: the shares of yes differ by {gaps[0]:.3f}, with a threshold for each group "
            f"by {gaps[1]:.3f}; accuracy {right[0]:.3f}, then {right[1]:.3f}"
        )
        found[group] = {
            "gap": gaps[0], "gap after": gaps[1], "accuracy": right[0], "accuracy after": right[1],
        }  # fmt: skip
    return found


if __name__ == "__main__":
    main(*sys.argv[1:2])
