"""Criteria, weights and scores: consistency, refusals, properties, other libraries' numbers."""

from __future__ import annotations

import copy
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastnn.exit_strategy.criteria import (
    BASE_OPTIONS,
    EXTENDED_OPTIONS,
    KEEPING_OPTIONS,
    ahp,
    check_options,
    load_criteria,
    resolve_weights,
)
from fastnn.exit_strategy.errors import ExitError
from fastnn.exit_strategy.resources import load_json
from fastnn.exit_strategy.scoring.scores import topsis, weighted_sum

TREE = load_criteria()


def test_default_tree_has_seven_groups_and_28_leaves() -> None:
    assert len(TREE.groups) == 7
    assert len(TREE.leaves) == 28
    assert set(TREE.options) == {*BASE_OPTIONS, *EXTENDED_OPTIONS, *KEEPING_OPTIONS}
    for group in range(7):
        own = [w for w, g in zip(TREE.local_weights, TREE.group_of, strict=True) if g == group]
        assert sum(own) == pytest.approx(1.0)


@pytest.mark.parametrize("name", ["founder", "investor", "cfo", "adviser", "equal"])
def test_presets_sum_to_one_and_are_consistent(name: str) -> None:
    made = resolve_weights(name, TREE)
    assert sum(made.values) == pytest.approx(1.0, abs=5e-4)
    assert made.cr is None or made.cr < 0.02


def judgements(rng: np.random.Generator, n: int) -> np.ndarray:
    """A random pairwise matrix on Saaty's scale, 1/9 to 9."""
    above = rng.integers(1, 10, (n, n)) ** rng.choice([-1.0, 1.0], (n, n))
    return np.triu(above, 1) + np.tril(1 / above.T, -1) + np.eye(n)


def test_consistent_matrix_returns_its_own_weights() -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        w = rng.dirichlet(np.ones(7))
        made = ahp(np.divide.outer(w, w), TREE.groups)
        assert np.allclose(made.weights, w, atol=1e-12)
        assert made.cr < 1e-9


def test_inconsistent_matrix_names_the_worst_triad_and_is_refused() -> None:
    matrix = np.ones((7, 7))
    matrix[0, 1] = matrix[1, 2] = 9.0
    matrix[1, 0] = matrix[2, 1] = 1 / 9
    matrix[0, 2], matrix[2, 0] = 1 / 9, 9.0
    made = ahp(matrix, TREE.groups)
    assert made.cr > 0.2
    assert made.worst_triad == ("economics", "stage", "market")
    with pytest.raises(ExitError, match="economics over stage is 9") as caught:
        resolve_weights(matrix.tolist(), TREE)
    assert caught.value.code == "EX204"
    allowed = resolve_weights(matrix.tolist(), TREE, allow_inconsistent=True)
    assert "should be near 81" in allowed.triad_text


@pytest.mark.parametrize(
    ("weights", "code"),
    [
        ("foundr", "EX205"),
        ([0.2] * 7, "EX201"),
        ([0.5, 0.5, -0.1, 0.1, 0, 0, 0], "EX202"),
        ([float("nan")] * 7, "EX202"),
        ([True] * 7, "EX202"),
        ([1.0] * 3, "EX206"),
        ({"economics": 1.0}, "EX206"),
        (5, "EX206"),
        ([[1, 2], [3, 4]], "EX203"),
        ([[1.0] * 7] * 6 + [[0.0] * 7], "EX203"),
        ([["a"] * 7] * 7, "EX203"),
        ([[1.0 + (i > j) for j in range(7)] for i in range(7)], "EX203"),
    ],
)
def test_bad_weights_are_refused(weights: object, code: str) -> None:
    with pytest.raises(ExitError) as caught:
        resolve_weights(weights, TREE)
    assert caught.value.code == code
    assert caught.value.issues[0].hint


def test_options_are_checked() -> None:
    assert check_options("ipo, ma", TREE) == ("ipo", "ma")
    for bad in (("ipo",), ("ipo", "ipo"), ("ipo", "mma"), ()):
        with pytest.raises(ExitError) as caught:
            check_options(bad, TREE)
        assert caught.value.code == "EX207"


def break_x(raw: Any) -> None:
    raw["criteria"][5]["x"] = [1, 1, 0, 2, 3]


def break_fit(raw: Any) -> None:
    raw["criteria"][5]["fit"]["ipo"][0] = 1.5


def break_group(raw: Any) -> None:
    raw["criteria"][5]["group"] = "luck"


def break_sum(raw: Any) -> None:
    raw["group_weights"]["stage"] = 0.9


def break_key(raw: Any) -> None:
    del raw["criteria"][5]["fit"]


@pytest.mark.parametrize("fault", [break_x, break_fit, break_group, break_sum, break_key])
def test_bad_criteria_file_is_refused(tmp_path: Path, fault: Any) -> None:
    raw = copy.deepcopy(load_json("criteria_default.json"))
    fault(raw)
    path = tmp_path / "criteria.json"
    path.write_text(json.dumps(raw))
    with pytest.raises(ExitError) as caught:
        load_criteria(path)
    assert caught.value.code in ("EX206", "EX201")


def test_own_criteria_file_is_used(tmp_path: Path) -> None:
    raw = copy.deepcopy(load_json("criteria_default.json"))
    raw["criteria"][4]["fit"]["ipo"] = [1, 1, 1, 1, 1]
    path = tmp_path / "criteria.json"
    path.write_text(json.dumps(raw))
    assert load_criteria(path).leaves[4].fit("ipo", 5.0) == 1.0


def test_curve_that_rises_never_falls_with_a_better_value() -> None:
    rising = 0
    for leaf in TREE.leaves:
        for option, fits in leaf.fits.items():
            if all(b >= a for a, b in itertools.pairwise(fits)):
                rising += 1
                low, high = leaf.x[0], leaf.x[-1]
                points = np.linspace(low - abs(low), high * 1.5 + 1, 60)
                got = [leaf.fit(option, float(x)) for x in points]
                assert all(b >= a - 1e-15 for a, b in itertools.pairwise(got)), leaf.id
    assert rising > 60


def test_weighted_sum_rank_ignores_scale_and_dominated_options() -> None:
    rng = np.random.default_rng(5)
    for _ in range(200):
        matrix, weights = rng.random((4, 7)), rng.dirichlet(np.ones(7))
        order = np.argsort(-weighted_sum(matrix, weights))
        assert (order == np.argsort(-weighted_sum(matrix, weights * 3))).all()
        assert np.allclose(topsis(matrix, weights), topsis(matrix, weights * 3), atol=1e-12)
        dominated = np.vstack([matrix, matrix.min(axis=0) * 0.9])
        assert (np.argsort(-weighted_sum(dominated, weights))[:4] == order).all()


def test_topsis_gives_equal_options_the_same_closeness() -> None:
    assert topsis(np.full((3, 4), 0.5), [0.25] * 4).tolist() == [0.5, 0.5, 0.5]
    assert topsis(np.zeros((2, 2)), [0.5, 0.5]).tolist() == [0.5, 0.5]
    with pytest.raises(ExitError):
        topsis(np.array([[np.nan, 1.0]]), [0.5, 0.5])


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore:Alternatives with indices")
def test_topsis_weighted_sum_and_ahp_agree_with_pymcdm() -> None:
    methods = pytest.importorskip("pymcdm.methods")
    normalise = pytest.importorskip("pymcdm.normalizations").vector_normalization
    judge = pytest.importorskip("pymcdm.weights.subjective").AHP
    rng = np.random.default_rng(7)
    other = methods.TOPSIS(normalise)
    for _ in range(1_000):
        rows, columns = int(rng.integers(2, 8)), int(rng.integers(2, 10))
        matrix, weights = rng.random((rows, columns)) + 1e-3, rng.dirichlet(np.ones(columns))
        want = other(matrix, weights, np.ones(columns))
        assert np.allclose(topsis(matrix, weights), want, atol=1e-9)
    for _ in range(1_000):
        n = int(rng.integers(3, 9))
        matrix = judgements(rng, n)
        theirs = judge(matrix=matrix)
        made = ahp(matrix, [str(k) for k in range(n)])
        assert np.allclose(made.weights, theirs(), atol=1e-9)
        # each library has a random index of its own; the consistency index is the same
        assert made.ci == pytest.approx(theirs.get_cr() * judge.RI_M[n - 1], abs=1e-9)
        # a positive matrix's eigenvector is also the limit of repeated multiplication
        power = np.ones(n)
        for _ in range(500):
            power = matrix @ power
            power /= power.sum()
        assert np.allclose(made.weights, power, atol=1e-9)


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
def test_topsis_and_weighted_sum_agree_with_scikit_criteria() -> None:
    skcriteria = pytest.importorskip("skcriteria")
    from skcriteria.agg.simple import WeightedSumModel
    from skcriteria.agg.topsis import TOPSIS
    from skcriteria.preprocessing.scalers import VectorScaler

    rng = np.random.default_rng(9)
    for _ in range(1_000):
        rows, columns = int(rng.integers(2, 8)), int(rng.integers(2, 10))
        matrix, weights = rng.random((rows, columns)) + 1e-3, rng.dirichlet(np.ones(columns))
        table = skcriteria.mkdm(matrix, [max] * columns, weights=weights)
        scaled = VectorScaler(target="matrix").transform(table)
        close = TOPSIS().evaluate(scaled).e_.similarity
        assert np.allclose(topsis(matrix, weights), close, atol=1e-9)
        plain = WeightedSumModel().evaluate(table).e_.score
        assert np.allclose(weighted_sum(matrix, weights), plain, atol=1e-9)
