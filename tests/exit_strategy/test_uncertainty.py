"""Promises of sampling: golden rank shares, NumPy reference, threads, ties, refusals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import reference_sampling as reference

import fastnn
from fastnn import ensemble
from fastnn.exit_strategy.contracts import CurveTable, Distribution, SamplingSpec
from fastnn.exit_strategy.errors import ExitError
from fastnn.exit_strategy.scoring.uncertainty import (
    lead_runs,
    simulate,
    simulate_many,
    survey,
    total_effects,
)

OPTIONS = ("ipo", "ma", "transform")
EXACT = Distribution("fixed", (0.0,))


def group_spec(scores: np.ndarray, weights: list[float]) -> SamplingSpec:
    """Fixed group scores (options, groups) as computed leaves, one leaf per group."""
    n = scores.shape[1]
    return SamplingSpec(
        options=OPTIONS[: len(scores)],
        leaves=tuple(f"g{i}" for i in range(n)),
        group_of=tuple(range(n)),
        group_weights=tuple(weights),
        local_weights=(1.0,) * n,
        inputs=(EXACT,) * n,
        curves=(None,) * n,
        computed=np.repeat(np.asarray(scores, float)[:, :, None], 3, axis=2),
    )


def mixed_spec(correlation: np.ndarray | None = None) -> SamplingSpec:
    """Every kind of marginal, linear and logarithmic curves, one computed leaf."""
    inf = np.inf
    inputs = (
        Distribution("normal", (0.4, 0.3), -1.0, 2.0),
        Distribution("lognormal", (2e7, 0.6), 0.0, inf),
        Distribution("triangular", (-0.5, 0.1, 1.2)),
        Distribution("pert", (0.0, 12.0, 40.0)),
        Distribution("uniform", (0.2, 0.9)),
        Distribution("beta", (2.0, 3.0), 0.0, 1.0),
        Distribution("normal", (3e7, 2e7), 1e5, inf),
        Distribution("fixed", (0.3,)),
        EXACT,
    )
    log = CurveTable((6.0, 7.0, 8.0), ((0.0, 0.4, 1.0), (0.5, 0.8, 0.7), (1.0, 0.5, 0.1)), True)
    unit = CurveTable((0.0, 0.5, 1.0), ((0.0, 0.5, 1.0), (0.6, 0.6, 0.4), (0.7, 0.5, 0.3)))
    wide = CurveTable((-0.5, 0.3, 1.0), ((0.0, 0.5, 1.0), (0.4, 0.7, 0.8), (1.0, 0.4, 0.1)))
    months = CurveTable((3.0, 6.0, 18.0), ((0.0, 0.2, 1.0), (0.8, 0.8, 0.6), (0.1, 0.4, 0.9)))
    curves = (wide, log, wide, months, unit, unit, log, unit, None)
    computed = np.full((3, 9, 3), np.nan)
    computed[:, 8] = [[0.3, 0.5, 0.8], [0.4, 0.45, 0.5], [0.2, 0.2, 0.2]]
    return SamplingSpec(
        options=OPTIONS,
        leaves=tuple(f"leaf{i}" for i in range(9)),
        group_of=(0, 0, 0, 1, 1, 1, 2, 2, 2),
        group_weights=(0.5, 0.3, 0.2),
        local_weights=(0.4, 0.3, 0.3, 0.3, 0.3, 0.4, 0.2, 0.3, 0.5),
        inputs=inputs,
        curves=curves,
        computed=computed,
        correlation=correlation,
    )


@pytest.mark.parametrize("name", ["frontier", "niche", "stalled", "borderline"])
def test_rank_shares_of_the_golden_profiles(golden: dict[str, Any], name: str) -> None:
    key = next(k for k in golden["profiles"] if k.startswith(name))
    row = golden["profiles"][key]
    order = golden["ahp"]["order"]
    scores = np.array([[row["group_scores"][o][g] for g in order] for o in OPTIONS])
    spec = group_spec(scores, golden["ahp"]["weights_eigenvector"])
    for kappa, field in ((60.0, "p_first_kappa60"), (0.0, "p_first_no_weight_information")):
        got = simulate(spec, kappa=kappa, draws=100_000)
        wanted = [row[field][o] for o in OPTIONS]
        assert got.p_first == pytest.approx(wanted, abs=0.01), field
    fixed = simulate(spec, kappa=None, draws=100)
    assert fixed.score_mean == pytest.approx([row["wsm"][o] for o in OPTIONS], abs=1e-4)


def test_rank_shares_of_the_golden_matrix(golden: dict[str, Any]) -> None:
    data = golden["topsis"]
    spec = group_spec(np.array(data["matrix"]), golden["ahp"]["weights_eigenvector"])
    for name, kappa in (
        ("kappa20", 20.0),
        ("kappa60", 60.0),
        ("kappa200", 200.0),
        ("uniform", 0.0),
    ):
        got = simulate(spec, kappa=kappa, draws=100_000, seed=3).p_first
        assert got == pytest.approx(data["smaa_p_first"][name], abs=0.01), name


@pytest.mark.parametrize("kappa", [60.0, 1.5, 0.0, None])
@pytest.mark.parametrize("correlated", [False, True])
def test_compiled_sampling_agrees_with_numpy(kappa: float | None, correlated: bool) -> None:
    matrix = np.eye(9)
    matrix[0, 4] = matrix[4, 0] = 0.3
    matrix[5, 4] = matrix[4, 5] = -0.5
    spec = mixed_spec(matrix if correlated else None)
    draws = 20_011
    got = simulate(spec, kappa=kappa, draws=draws, seed=2**40 + 17)
    wanted = reference.simulate(spec, kappa, draws, 2**40 + 17)
    assert got.score_mean == pytest.approx(wanted["mean"], abs=1e-5)
    quantiles = np.stack([got.score_p05, got.score_p50, got.score_p95], axis=1)
    assert np.abs(quantiles - wanted["quantiles"]).max() < 1e-5
    # Scores that differ by a rounding may change places in a draw or two.
    assert np.abs(got.p_rank - wanted["p_rank"]).max() <= 2.0 / draws


def test_draws_are_the_philox_streams_of_the_reference() -> None:
    variable = ensemble.Variable(0, 0, 1.0, (0.0, 1.0), ((0.0, 1.0),))
    made = ensemble.Ensemble(
        1, [variable], [3.0, 0.4], dirichlet_sum=1.0, streams=6, draws=3000, seed=99, stream=5
    )
    assert made.sampled_normals() == pytest.approx(reference.normals(6, 3000, 5, 99), abs=1e-6)
    g = np.stack([reference.gamma(a, i, 3000, 5, 99) for i, a in enumerate((3.0, 0.4))])
    assert made.sampled_weights() == pytest.approx(g / g.sum(0), abs=1e-6)


def test_philox_reference_gives_the_published_answers() -> None:
    # Random123, kat_vectors: philox4x32 10.
    zeros = reference.philox(np.zeros((1, 4), np.uint32), (0, 0))[0]
    assert [hex(x) for x in zeros] == ["0x6627e8d5", "0xe169c58d", "0xbc57ac4c", "0x9b00dbd8"]
    ones = reference.philox(np.full((1, 4), 0xFFFFFFFF, np.uint32), (0xFFFFFFFF, 0xFFFFFFFF))[0]
    assert [hex(x) for x in ones] == ["0x408f276d", "0x41c83b0e", "0xa20bc7c6", "0x6d5451fd"]


def test_results_are_the_same_bytes_for_any_threads_and_batches() -> None:
    spec = mixed_spec()
    other = replace(spec, inputs=(Distribution("normal", (0.6, 0.1)), *spec.inputs[1:]))
    alone = simulate(spec, seed=4, threads=1)
    for threads in (1, 2, 3, 8):
        batch = simulate_many([other, spec, other, spec] * 10, seed=4, threads=threads)
        assert len(batch) == 40
        for i, result in enumerate(batch):
            wanted = alone if i % 2 else batch[0]
            for field in ("p_rank", "score_mean", "score_p05", "score_p50", "score_p95"):
                assert getattr(result, field).tobytes() == getattr(wanted, field).tobytes()
    assert simulate(spec, seed=4, profile_index=1).p_rank.tobytes() != alone.p_rank.tobytes()
    assert fastnn.get_num_threads() >= 1


def test_tornado_runs_equal_fixed_inputs() -> None:
    spec = mixed_spec()
    runs = survey(spec, draws=4000, seed=1).tornado
    assert runs.shape == (9, 2, 3)
    base = simulate(spec, draws=4000, seed=1).p_first
    for leaf in range(9):
        for side, level in enumerate((0.1, 0.9)):
            if spec.curves[leaf] is None:
                continue
            x = float(reference.quantile(spec.inputs[leaf], np.array([level]))[0])
            inputs = list(spec.inputs)
            inputs[leaf] = Distribution("fixed", (x,))
            held = simulate(replace(spec, inputs=tuple(inputs)), draws=4000, seed=1).p_first
            assert runs[leaf, side] == pytest.approx(held, abs=2 / 4000), (leaf, side)
    assert runs[7] == pytest.approx(np.stack([base, base]))


def test_one_survey_tells_what_separate_runs_tell() -> None:
    spec = mixed_spec()
    under = {"loose": (20.0, 0.0), "none": (0.0, 0.0), "fixed": (None, 0.0), "doubt": (60.0, 0.15)}
    got = survey(spec, under, draws=4000, seed=3)
    alone = simulate(spec, draws=4000, seed=3)
    for field in ("p_first", "p_rank", "score_mean", "score_p05", "score_p50", "score_p95"):
        assert getattr(got.main, field).tobytes() == getattr(alone, field).tobytes(), field
    assert list(got.first_under) == list(under)
    for name, (kappa, doubt) in under.items():
        one = simulate(replace(spec, curve_doubt=doubt), kappa=kappa, draws=4000, seed=3).p_first
        # With errors of the curves sums are taken in another order: draws next to a tie may differ.
        assert got.first_under[name] == pytest.approx(one, abs=2 / 4000 if doubt else 0), name
        assert np.abs(one - alone.p_first).max() > 0.002, name
    simulate(group_spec(np.eye(3), [1.0] * 3))  # other draws are used between two surveys
    assert survey(spec, under, draws=4000, seed=3).tornado.tobytes() == got.tornado.tobytes()
    many = survey(spec, under, draws=200_000)  # more than is kept
    assert many.first_under.keys() == under.keys()
    with pytest.raises(ExitError, match="EX502"):
        survey(replace(spec, curve_doubt=0.1), under, draws=4000)
    closed = survey(replace(spec, open_options=(True, False, True)), under, draws=4000, seed=3)
    assert all(shares[1] == 0 for shares in closed.first_under.values())


def test_total_effects_match_the_reference_by_definition() -> None:
    spec = mixed_spec()
    leaves, weights = total_effects(spec, draws=40_000, seed=8)
    a = reference.scores(spec, 60.0, 40_000, 8)
    # Redraw leaf 3 alone: the mean squared change over twice the variance.
    za, zb = (reference.normals(9, 40_000, s, 8) for s in (0, 2**31))
    w = reference.weights(spec, 60.0, 40_000, 0, 8)
    curve = spec.curves[3]
    assert curve is not None
    for o in range(3):
        old, new = (
            np.interp(
                reference.quantile(spec.inputs[3], reference.special.ndtr(z[3])),
                curve.x,
                curve.fits[o],
            )
            for z in (za, zb)
        )
        change = w[1] * spec.local_weights[3] * (new - old)
        wanted = (change**2).mean() / (2 * a[o].var())
        assert leaves[3, o] == pytest.approx(wanted, abs=1e-4)
    assert (leaves[7] == 0).all()
    assert (leaves >= 0).all()
    assert ((leaves.sum(0) + weights) > 0.9).all()


def test_ties_are_split_equally_and_closed_options_never_win() -> None:
    spec = group_spec(np.array([[0.5, 0.5]] * 3), [0.6, 0.4])
    assert simulate(spec, draws=9000).p_first == pytest.approx([1 / 3] * 3)
    closed = replace(spec, open_options=(True, False, True))
    got = simulate(closed, draws=9000)
    assert got.p_first[1] == 0.0
    assert got.p_first.sum() == pytest.approx(1.0)
    assert got.p_first[0] == pytest.approx(0.5)
    ahead = group_spec(np.array([[0.5, 0.5], [0.5, 0.5], [0.2, 0.2]]), [0.6, 0.4])
    assert simulate(ahead, draws=9000).p_first == pytest.approx([0.5, 0.5, 0.0])
    assert got.score_mean[1] == pytest.approx(0.5)


def test_scaling_the_weights_keeps_ranks() -> None:
    spec = mixed_spec()
    scaled = replace(spec, group_weights=tuple(3 * w for w in spec.group_weights))
    a, b = simulate(spec), simulate(scaled)
    assert np.abs(a.p_rank - b.p_rank).max() <= 2e-4
    assert b.score_mean == pytest.approx(3 * a.score_mean, rel=1e-5)


def test_a_better_input_never_lowers_a_rising_option() -> None:
    spec = mixed_spec()
    before = -1.0
    for mean in np.linspace(-0.4, 1.0, 15):
        inputs = (Distribution("normal", (float(mean), 0.3), -1.0, 2.0), *spec.inputs[1:])
        score = simulate(replace(spec, inputs=inputs), draws=2000).score_mean[0]
        assert score >= before - 1e-7
        before = score


@pytest.mark.parametrize(
    ("changes", "settings", "code"),
    [
        ({}, {"draws": 0}, "EX501"),
        ({}, {"seed": -1}, "EX501"),
        ({}, {"kappa": float("nan")}, "EX501"),
        ({}, {"draws": 50_000_000}, "EX503"),
        ({"group_weights": (0.0, 0.0, 0.0)}, {}, "EX502"),
        ({"group_of": (0,)}, {}, "EX502"),
        ({"inputs": (Distribution("cauchy", (0.0, 1.0)), *mixed_spec().inputs[1:])}, {}, "EX502"),
        ({"inputs": (Distribution("normal", (0.0, -1.0)), *mixed_spec().inputs[1:])}, {}, "EX502"),
        ({"correlation": np.full((9, 9), 1.0)}, {}, "EX502"),
        ({"open_options": (True,)}, {}, "EX502"),
        ({"curve_doubt": -0.1}, {}, "EX502"),
    ],
)
def test_bad_specifications_are_refused(
    changes: dict[str, Any], settings: dict[str, Any], code: str
) -> None:
    with pytest.raises(ExitError) as caught:
        simulate(replace(mixed_spec(), **changes), **settings)
    assert caught.value.code == code
    assert all(i.hint for i in caught.value.issues)


def test_progress_is_told_and_an_exception_in_it_stops_the_run() -> None:
    seen: list[tuple[int, int]] = []
    simulate_many([mixed_spec()] * 600, draws=64, progress=lambda a, b: seen.append((a, b)))
    assert seen == [(256, 600), (512, 600), (600, 600)]

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate_many([mixed_spec()] * 600, draws=64, progress=stop)


def test_curves_that_are_drawn_too_agree_with_numpy() -> None:
    spec = replace(mixed_spec(), curve_doubt=0.3)
    draws = 20_000
    got = simulate(spec, kappa=30.0, draws=draws, seed=11)
    rng = np.random.default_rng(0)
    w = reference.weights(spec, 30.0, draws, 0, 11)
    errors = np.array([(w * rng.uniform(-0.3, 0.3, w.shape)).sum(0) for _ in OPTIONS])
    scores = reference.scores(replace(spec, curve_doubt=0.0), 30.0, draws, 11) + errors
    first = np.bincount(scores.argmax(0), minlength=3) / draws
    np.testing.assert_allclose(got.p_first, first, atol=0.015)
    np.testing.assert_allclose(got.score_mean, scores.mean(1), atol=0.004)
    spread = np.quantile(scores, 0.95, axis=1) - np.quantile(scores, 0.05, axis=1)
    np.testing.assert_allclose(got.score_p95 - got.score_p05, spread, rtol=0.03)


def test_doubt_of_the_curves_lowers_a_sure_first_place_and_keeps_the_other_draws() -> None:
    scores = np.array([[0.6, 0.6, 0.6], [0.5, 0.5, 0.5]])
    spec = group_spec(scores, [0.5, 0.3, 0.2])
    assert simulate(spec, kappa=None).p_first[0] == 1.0
    doubted = replace(spec, curve_doubt=0.5)
    # the lead is 0.1 plus a sum of six independent uniforms: P by a grid of their convolution
    grid, step = np.zeros(1), 1e-3
    grid[0] = 1.0
    for weight in (0.5, 0.5, 0.3, 0.3, 0.2, 0.2):
        n = round(2 * 0.5 * weight / step) + 1
        grid = np.convolve(grid, np.full(n, 1.0 / n))
    at = (np.arange(len(grid)) - (len(grid) - 1) / 2) * step
    wanted = float(grid[at > -0.1].sum())
    assert simulate(doubted, kappa=None, draws=100_000).p_first[0] == pytest.approx(
        wanted, abs=4e-3
    )
    before = simulate(spec, seed=3)
    simulate(doubted, seed=3)
    np.testing.assert_array_equal(simulate(spec, seed=3).p_rank, before.p_rank)


@pytest.mark.parametrize(
    "row",
    [
        ("normal", 0.4, 0.3, 0.0, -1.0, 2.0),
        ("lognormal", 2e7, 0.6, 0.0, 0.0, 1e12),
        ("triangular", -0.5, 0.1, 1.2, -1.0, 2.0),
        ("pert", 0.0, 12.0, 40.0, 0.0, 50.0),
        ("uniform", 0.2, 0.9, 0.0, 0.0, 0.7),
        ("beta", 0.5, 6.0, 0.0, 0.0, 1.0),
        ("beta", 24.0, 36.0, 0.0, 0.0, 1.0),
        ("fixed", 0.3, 0.0, 0.0, 0.0, 1.0),
    ],
)
def test_quantiles_of_every_marginal_are_scipys(row: tuple[Any, ...]) -> None:
    kind, a, b, c, low, high = row
    count = 3 if kind in ("triangular", "pert") else 2
    dist = Distribution(kind, (a, b, c)[: 1 if kind == "fixed" else count], low, high)
    u = np.array([0.01, 0.1, 0.5, 0.9, 0.99])
    got = ensemble.quantiles((ensemble.KINDS.index(kind), a, b, c, low, high), u)
    np.testing.assert_allclose(got, reference.quantile(dist, u), rtol=1e-3, atol=1e-4)


def test_lead_of_a_held_input_is_the_mean_of_the_draws_with_it_held() -> None:
    spec = mixed_spec()
    runs = lead_runs(spec, 1, 2)
    held = {"normal": 1, "lognormal": 1, "uniform": 1, "pert": 1, "beta": 1, "triangular": 1}
    for leaf, dist in enumerate(spec.inputs):
        if dist.kind not in held:
            continue
        for k, level in enumerate((0.1, 0.9)):
            at = float(reference.quantile(dist, np.array([level]))[0])
            fixed = replace(dist, kind="fixed", params=(at,))
            inputs = (*spec.inputs[:leaf], fixed, *spec.inputs[leaf + 1 :])
            means = simulate(replace(spec, inputs=inputs), kappa=None, draws=40_000).score_mean
            assert runs[leaf, k] == pytest.approx(means[1] - means[2], abs=3e-3)
