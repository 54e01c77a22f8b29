"""Explanations and fairness beside SALib, SHAP and fairlearn; needs the `peers` extra."""

from __future__ import annotations

import numpy as np
import pytest
from exit_profiles import TODAY, make_profile_dict
from test_model import made_table

from fastnn.exit_strategy.contracts import CurveTable, Distribution, SamplingSpec
from fastnn.exit_strategy.evaluation import evaluate
from fastnn.exit_strategy.model.card import audit
from fastnn.exit_strategy.model.fit import (
    FitSettings,
    calibrate,
    ensemble_logits,
    fit_encoder,
    fit_network,
    mean_log_probability,
)
from fastnn.exit_strategy.model.network import ExitNetwork
from fastnn.exit_strategy.profile.profile import Profile
from fastnn.exit_strategy.scoring.uncertainty import total_effects

pytestmark = pytest.mark.peers


def uniform_spec() -> SamplingSpec:
    """Two options on five uniform inputs, fixed weights: a function SALib can sample as well."""
    curves = tuple(
        CurveTable((0.0, k / 10, 1.0), ((0.0, 0.2, 1.0), (1.0, 0.7, 0.1))) for k in range(2, 7)
    )
    return SamplingSpec(
        options=("ipo", "ma"),
        leaves=tuple("abcde"),
        group_of=(0, 0, 1, 1, 2),
        group_weights=(0.5, 0.3, 0.2),
        local_weights=(0.7, 0.3, 0.6, 0.4, 1.0),
        inputs=tuple(Distribution("uniform", (0.0, 0.5 + k / 10)) for k in range(5)),
        curves=curves,
        computed=np.full((2, 5, 3), np.nan),
    )


@pytest.mark.filterwarnings("ignore")
def test_total_effects_agree_with_salib() -> None:
    sobol = pytest.importorskip("SALib.analyze.sobol")
    sample = pytest.importorskip("SALib.sample.sobol")
    spec = uniform_spec()
    leaves, weights = total_effects(spec, kappa=None, draws=100_000, seed=3)
    bounds = [list(d.params) for d in spec.inputs]
    problem = {"num_vars": 5, "names": list(spec.leaves), "bounds": bounds}
    x = sample.sample(problem, 2**13, calc_second_order=False, seed=1)
    for option in range(2):
        score = np.zeros(len(x))
        for k, curve in enumerate(spec.curves):
            assert curve is not None
            weight = spec.group_weights[spec.group_of[k]] * spec.local_weights[k]
            score += weight * np.interp(x[:, k], curve.x, curve.fits[option])
        wanted = sobol.analyze(problem, score, calc_second_order=False, seed=1)["ST"]
        assert leaves[:, option] == pytest.approx(wanted, abs=0.01)
    assert weights == pytest.approx([0.0, 0.0], abs=1e-9)


@pytest.mark.filterwarnings("ignore")
def test_additive_contributions_are_shapley_values() -> None:
    shap = pytest.importorskip("shap")
    made = evaluate(Profile.from_dict(make_profile_dict(), today=TODAY), draws=200)
    order = [made.options.index(row.option) for row in made.ranking]
    parts = made.scores.contributions
    first, second = parts[order[0]], parts[order[1]]
    explainer = shap.explainers.Permutation(lambda x: x.sum(axis=1), second[None, :])
    values = explainer(first[None, :], max_evals=4 * len(first) + 1).values[0]
    assert values == pytest.approx(first - second, abs=1e-9)
    assert sum(d.difference for d in made.differences) == pytest.approx(values.sum(), abs=1e-9)


@pytest.mark.filterwarnings("ignore")
def test_integrated_gradients_rank_features_as_shap_does() -> None:
    shap = pytest.importorskip("shap")
    table, later = made_table(2500), made_table(40, 9)
    encoder = fit_encoder(table)
    x = encoder.encode_table(table)
    train = (x[500:], table.outcome[500:], np.ones(2000, np.float32))
    stop = (x[:500], table.outcome[:500])
    nets = tuple(fit_network(train, stop, FitSettings(epochs=20), k)[0] for k in range(3))
    terms = calibrate(mean_log_probability(ensemble_logits(nets, stop[0])), stop[1])
    model = ExitNetwork("made", encoder, nets, terms, {"": tuple(np.median(x, axis=0))}, {})
    start = np.median(x, axis=0).astype(np.float32)
    rows = encoder.encode_table(later)
    blocks = encoder.blocks()

    def chance(points: np.ndarray) -> np.ndarray:
        return model.predict(points.astype(np.float32))[:, 2]

    explainer = shap.explainers.Permutation(chance, start[None, :], seed=1)
    values = explainer(rows, max_evals=2 * (2 * rows.shape[1] + 1)).values
    agree = []
    for row, value in zip(rows, values, strict=True):
        told = model.explain_row(row, start, "ipo")
        ours = np.array([told.contributions[name] for name in blocks])
        theirs = np.array([value[index].sum() for index in blocks.values()])
        assert theirs.sum() == pytest.approx(ours.sum(), abs=2e-3)
        agree.append(np.corrcoef(ours, theirs)[0, 1])
    assert np.median(agree) > 0.95


@pytest.mark.filterwarnings("ignore")
def test_audit_agrees_with_fairlearn() -> None:
    metrics = pytest.importorskip("fairlearn.metrics")
    table = made_table(4000, 5)
    rng = np.random.default_rng(2)
    p = rng.dirichlet([8, 2, 1], 4000)
    chosen = p[:, 1] >= np.quantile(p[:, 1], 0.9)
    for name, rows in audit(table, p).items():
        groups = {
            "region": ["New York, Boston" if r == "Boston" else "other" if r == "Austin" else r
                       for r in table.columns["region"]],
            "sector": list(table.columns["category_code"]),
            "age": ["under 3" if a < 3 else "3 to 7" if a < 7 else "7 and over"
                    for a in table.numbers("age_years")],
        }[name]  # fmt: skip
        frame = metrics.MetricFrame(
            metrics={"selected": metrics.selection_rate, "tpr": metrics.true_positive_rate},
            y_true=table.outcome == 1, y_pred=chosen, sensitive_features=groups,
        ).by_group  # fmt: skip
        assert {row["group"] for row in rows} == set(frame.index)
        for row in rows:
            wanted = frame.loc[row["group"]]
            assert row["selection_rate"] == pytest.approx(wanted["selected"], abs=1e-12)
            assert row["tpr"] == pytest.approx(wanted["tpr"], abs=1e-12)
