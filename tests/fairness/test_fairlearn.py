"""fairlearn on our estimator: gaps between groups are measured, and made smaller."""

import warnings

import numpy as np
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("fairlearn", reason="needs the `fairness` extra")

from fairlearn.metrics import MetricFrame, demographic_parity_difference, selection_rate
from fairlearn.postprocessing import ThresholdOptimizer
from fairlearn.reductions import DemographicParity, ExponentiatedGradient
from sklearn.metrics import accuracy_score

from fastnn.sklearn import FastNNClassifier

pytestmark = pytest.mark.filterwarnings("ignore")  # of fairlearn and pandas


@pytest.fixture(scope="module")
def biased():
    """Two groups whose merit is the same, and whose labels are not."""
    rng = np.random.default_rng(0)
    group = rng.integers(0, 2, 3000)
    merit = rng.normal(size=3000)
    proxy = group + 0.3 * rng.normal(size=3000)
    y = (merit + 1.0 * group + 0.3 * rng.normal(size=3000) > 0.5).astype(int)
    return np.column_stack([merit, proxy]).astype("float32"), y, group


def net():
    return FastNNClassifier([16], epochs=8, batch_size=64, random_state=0)


def gap(y, guesses, group):
    return demographic_parity_difference(y, guesses, sensitive_features=group)


def test_a_gap_is_flagged_and_thresholds_by_group_close_it(biased):
    X, y, group = biased
    train, test = slice(0, 2000), slice(2000, None)
    model = net().fit(X[train], y[train])
    guesses = model.predict(X[test])
    frame = MetricFrame(
        metrics={"rate": selection_rate, "accuracy": accuracy_score},
        y_true=y[test], y_pred=guesses, sensitive_features=group[test],
    )  # fmt: skip
    assert frame.difference()["rate"] == pytest.approx(gap(y[test], guesses, group[test]))
    assert frame.difference()["rate"] > 0.1
    for estimator, fitted in ((model, True), (net(), False)):
        fair = ThresholdOptimizer(
            estimator=estimator, constraints="demographic_parity", prefit=fitted,
            predict_method="predict_proba",
        )  # fmt: skip
        fair.fit(X[train], y[train], sensitive_features=group[train])
        said = fair.predict(X[test], sensitive_features=group[test], random_state=0)
        # 1,000 rows: a deviation of 0.03 between two groups of the same rate.
        assert gap(y[test], said, group[test]) < 0.09
        again = fair.predict(X[train], sensitive_features=group[train], random_state=0)
        assert gap(y[train], again, group[train]) < 0.03
        assert accuracy_score(y[test], said) > 0.6


def test_reductions_train_it_with_weights(biased):
    X, y, group = biased
    X, y, group = X[:600], y[:600], group[:600]
    plain = gap(y, net().fit(X, y).predict(X), group)
    fair = ExponentiatedGradient(net(), DemographicParity(), max_iter=5)
    fair.fit(X, y, sensitive_features=group)
    assert gap(y, fair.predict(X, random_state=0), group) < plain / 2
