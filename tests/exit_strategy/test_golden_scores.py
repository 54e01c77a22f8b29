"""The specification's golden numbers for AHP, TOPSIS and the four example profiles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastnn.exit_strategy.contracts import Distribution, SamplingSpec
from fastnn.exit_strategy.criteria import _full_matrix, ahp, load_criteria, resolve_weights
from fastnn.exit_strategy.scoring.scores import score, topsis, weighted_sum
from fastnn.exit_strategy.scoring.uncertainty import simulate

OPTIONS = ("ipo", "ma", "transform")


def test_ahp_weights_and_consistency_match_saaty(golden: dict[str, Any]) -> None:
    want = golden["ahp"]
    made = ahp(_full_matrix(want["upper_triangle"]), want["order"])
    assert np.allclose(made.weights, want["weights_eigenvector"], atol=1e-4)
    assert made.lambda_max == pytest.approx(want["lambda_max"], abs=1e-4)
    assert made.ci == pytest.approx(want["CI"], abs=1e-4)
    assert made.cr == pytest.approx(want["CR"]["saaty_RI_1_32"], abs=1e-4)
    assert made.random_index == "Saaty 1980"


def test_topsis_and_weighted_sum_match_two_libraries(golden: dict[str, Any]) -> None:
    want = golden["topsis"]
    weights = ahp(_full_matrix(golden["ahp"]["upper_triangle"]), golden["ahp"]["order"]).weights
    matrix = np.array(want["matrix"])
    assert np.allclose(topsis(matrix, weights), want["closeness"], atol=1e-5)
    assert np.allclose(weighted_sum(matrix, weights), want["wsm"], atol=1e-5)


def test_example_profiles_reach_their_scores(golden: dict[str, Any]) -> None:
    criteria = load_criteria()
    weights = resolve_weights("founder", criteria)
    assert len(golden["profiles"]) == 4
    for name, want in golden["profiles"].items():
        made = score(criteria, OPTIONS, want["profile"], want["economics"], weights.values)
        for row, option in enumerate(OPTIONS):
            groups = dict(zip(criteria.groups, made.groups[row], strict=True))
            assert groups == pytest.approx(want["group_scores"][option], abs=1e-6), name
            assert made.wsm[row] == pytest.approx(want["wsm"][option], abs=1e-6), name
            assert made.topsis[row] == pytest.approx(want["topsis"][option], abs=1e-5), name
            assert made.contributions[row].sum() == pytest.approx(made.wsm[row], abs=1e-12)


def test_example_profiles_reach_their_first_place_chances(golden: dict[str, Any]) -> None:
    criteria = load_criteria()
    weights = resolve_weights("founder", criteria).values
    fixed = Distribution("fixed", (0.0,))
    for name, want in golden["profiles"].items():
        made = score(criteria, OPTIONS, want["profile"], want["economics"], weights)
        spec = SamplingSpec(
            OPTIONS,
            tuple(leaf.id for leaf in criteria.leaves),
            criteria.group_of,
            weights,
            criteria.local_weights,
            (fixed,) * len(criteria.leaves),
            (None,) * len(criteria.leaves),
            np.repeat(made.fits[:, :, None], 3, axis=2),
        )
        for kappa, key in ((60.0, "p_first_kappa60"), (0.0, "p_first_no_weight_information")):
            sim = simulate(spec, kappa=kappa, draws=100_000, seed=1)
            got = dict(zip(OPTIONS, map(float, sim.p_first), strict=True))
            assert got == pytest.approx(want[key], abs=0.01), (name, key)
