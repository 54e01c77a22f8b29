"""Evaluation: the recommendation rule, repeatability, monotony, missing data, closed options."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import reference_sampling as reference
from exit_profiles import TODAY, make_profile_dict
from hypothesis import given, settings, strategies as st
from scipy import stats

from fastnn.exit_strategy.criteria import EXTENDED_OPTIONS, load_criteria, resolve_weights
from fastnn.exit_strategy.errors import ExitError
from fastnn.exit_strategy.evaluation import compare, evaluate, recommend
from fastnn.exit_strategy.profile.profile import Profile
from fastnn.exit_strategy.reading.fields import FIELDS
from fastnn.exit_strategy.report.sentences import change_sentences, reasons
from fastnn.exit_strategy.report.tables import tornado_view
from fastnn.exit_strategy.result import Rank, Result
from fastnn.exit_strategy.scoring.leaves import LEAF_FIELDS
from fastnn.exit_strategy.scoring.ranking import methods_agree
from fastnn.exit_strategy.scoring.scores import Scores, topsis
from fastnn.exit_strategy.wording import percent

BASE = ("ipo", "ma", "transform")


def run(options: tuple[str, ...] = BASE, draws: int = 400, **changes: Any) -> Result:
    company = Profile.from_dict(make_profile_dict(**changes), today=TODAY)
    return evaluate(company, draws=draws, options=options)


def test_contributions_add_up_to_the_score_and_differences_to_the_lead() -> None:
    made = run()
    assert np.allclose(made.scores.contributions.sum(axis=1), made.scores.wsm, atol=1e-12)
    order = [made.options.index(row.option) for row in made.ranking]
    lead = made.scores.wsm[order[0]] - made.scores.wsm[order[1]]
    assert sum(d.difference for d in made.differences) == pytest.approx(lead, abs=1e-12)
    gaps = [d.difference for d in made.differences]
    assert gaps == sorted(gaps, reverse=True)


def test_same_seed_gives_the_same_bytes() -> None:
    assert run().to_json() == run().to_json()
    assert run().to_html() == run().to_html()


def test_flip_moves_another_option_to_first_place() -> None:
    made = run()
    tree = load_criteria()
    assert made.flip is not None
    best = tree.options
    for flip in made.flips:
        assert flip.new_first in best
        if flip.kind == "input":
            leaf = tree.leaf(flip.name)
            column = [x.id for x in tree.leaves].index(flip.name)
            weight = list(made.weights.values())[tree.group_of[column]] / 4
            moved = [
                made.scores.wsm[k] + weight * (leaf.fit(o, flip.then) - leaf.fit(o, flip.now))
                for k, o in enumerate(made.options)
            ]
        else:
            old = np.array(list(made.weights.values()))
            g = made.groups.index(flip.name)
            scale = (old.sum() - flip.then) / (old.sum() - old[g])
            new = old * scale
            new[g] = flip.then
            moved = list(made.scores.groups @ new)
        leader = int(np.argmax(made.scores.wsm))
        rival = made.options.index(flip.new_first)
        assert moved[leader] == pytest.approx(moved[rival], abs=1e-9), flip


def rising() -> list[tuple[str, str]]:
    """Return (option, leaf) whose curve never falls and whose field is a plain number or score."""
    out = []
    for leaf in load_criteria().leaves:
        path = LEAF_FIELDS.get(leaf.id, "")
        plain = any(f.path == path and f.kind in ("score", "market", "number") for f in FIELDS)
        if leaf.computed or not plain or leaf.id in ("need_ratio", "runway_months", "need_24m"):
            continue
        out += [(option, leaf.id) for option in BASE
                if all(b >= a for a, b in zip(leaf.fits[option], leaf.fits[option][1:],
                                              strict=False))]  # fmt: skip
    return out


@pytest.mark.parametrize(("option", "leaf"), rising())
def test_better_value_never_lowers_an_option_whose_curve_rises(option: str, leaf: str) -> None:
    last = -1.0
    for value in (0.1, 0.35, 0.6, 0.7):
        made = run(draws=100, **{LEAF_FIELDS[leaf]: value})
        score = float(made.scores.wsm[made.options.index(option)])
        assert score >= last - 1e-12
        last = score


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    pair=st.sampled_from(rising()),
    values=st.lists(st.floats(0, 1), min_size=2, max_size=2).map(sorted),
    others=st.dictionaries(
        st.sampled_from(sorted(set(LEAF_FIELDS.values()) - {"monthly_burn", "need_24m"})),
        st.sampled_from([0.0, 0.2, 0.5, 0.8, 1.0]),
        max_size=6,
    ),
    burn=st.floats(-1e6, 3e7),
)
def test_no_company_is_scored_lower_for_a_better_value(
    pair: tuple[str, str], values: list[float], others: dict[str, float], burn: float
) -> None:
    option, leaf = pair
    plain = {f.path for f in FIELDS if f.kind in ("score", "market")}
    base = {k: v for k, v in others.items() if k in plain}
    base |= {"monthly_burn": burn, "gross_margin": 1.0}
    worse, better = (run(draws=100, **(base | {LEAF_FIELDS[leaf]: v})) for v in values)
    k = worse.options.index(option)
    assert better.scores.wsm[k] >= worse.scores.wsm[k] - 1e-12


def test_missing_optional_data_is_listed_and_widens_the_answer() -> None:
    known = run(draws=4_000)
    vague = run(
        draws=4_000, **{"tech.strength": None, "tech.moat": None, "market.ipo_window": None}
    )
    assert set(vague.unknown) == {"tech_strength", "moat", "ipo_window"}
    assert known.unknown == ()
    width = {o.option: o.score_p95 - o.score_p05 for o in known.ranking}
    for row in vague.ranking:
        if row.option == "ipo":
            assert row.score_p95 - row.score_p05 > width["ipo"]
    assert "Beta(2, 2)" in vague.leaves["moat"].source


def test_too_much_unknown_weight_is_called_insufficient() -> None:
    required = {row.path for row in FIELDS if row.required} | {
        "valuation.low", "valuation.mid", "valuation.high",
    }  # fmt: skip
    bare = {k: v for k, v in make_profile_dict().items() if k in required}
    made = evaluate(Profile.from_dict(bare, today=TODAY), draws=200)
    assert made.recommendation == "insufficient_information"
    assert made.advice.unknown_weight > 0.4
    assert made.advice.settle


def test_closed_options_are_kept_but_not_ranked_first() -> None:
    made = run(audited_years=0)
    ipo = next(row for row in made.ranking if row.option == "ipo")
    assert not ipo.open
    assert ipo.p_first == 0
    assert made.ranking[-1].option == "ipo"
    assert made.completion["ipo"].gate_factor == 0
    shut = run(audited_years=0, cash=1e6, committed_funds=0,
               **{"deal.class_veto_against_sale": "yes"})  # fmt: skip
    assert shut.recommendation == "none_open"
    assert all(row.p_first == 0 for row in shut.ranking)


def rank(option: str, p_first: float, mean: float) -> Rank:
    return Rank(option, p_first, mean, mean, mean, True, 0.0, mean, mean)


@pytest.mark.parametrize(
    ("first", "second", "unknown", "answer"),
    [
        ((0.60, 0.52), (0.40, 0.50), (), "ma"),
        ((0.59, 0.52), (0.41, 0.50), (), "near_tie"),
        ((0.90, 0.519), (0.10, 0.50), (), "near_tie"),
        ((1.00, 0.90), (0.00, 0.10), "all", "insufficient_information"),
    ],
)
def test_recommendation_needs_certainty_a_lead_and_knowledge(
    first: tuple[float, float], second: tuple[float, float], unknown: Any, answer: str
) -> None:
    tree = load_criteria()
    rows = [rank("ma", *first), rank("ipo", *second)]
    groups = np.array([[second[1]] * 7, [first[1]] * 7])
    scores = Scores(("ipo", "ma"), groups, groups, groups[:, 0], groups[:, 0], groups)
    names = [leaf.id for leaf in tree.leaves] if unknown == "all" else ()
    weights = resolve_weights("founder", tree)
    (agree,) = methods_agree([scores], [(True, True)], weights)
    made = recommend(tree, weights, rows, scores, names, (), agree)
    assert made.answer == answer
    assert made.pair == ("ma", "ipo")


def test_disagreement_of_the_two_methods_is_a_near_tie() -> None:
    tree = load_criteria()
    rows = [rank("ma", 0.9, 0.6), rank("ipo", 0.1, 0.5)]
    groups = np.array([[1.0, 0.0, 0.5, 0.5, 0.5, 0.5, 0.5], [0.62, 0.62, 0.5, 0.5, 0.5, 0.5, 0.5]])
    weights = resolve_weights([0.5, 0.3, 0.1, 0.1, 0, 0, 0], tree)
    scores = Scores(("ipo", "ma"), groups, groups, groups @ weights.values, groups[:, 0], groups)
    assert scores.wsm[1] > scores.wsm[0] - 0.1
    (agree,) = methods_agree([scores], [(True, True)], weights)
    made = recommend(tree, weights, rows, scores, (), (), agree)
    assert made.methods_agree == (scores.wsm.argmax() == topsis(groups, weights.values).argmax())


def test_a_tie_is_a_tie() -> None:
    tree = load_criteria()
    rows = [rank("ma", 0.5, 0.6), rank("ipo", 0.5, 0.6)]
    groups = np.full((2, 7), 0.6)
    scores = Scores(("ipo", "ma"), groups, groups, groups[:, 0], groups[:, 0], groups)
    weights = resolve_weights("equal", tree)
    (agree,) = methods_agree([scores], [(True, True)], weights)
    made = recommend(tree, weights, rows, scores, (), (), agree)
    assert made.answer == "near_tie"
    assert made.methods_agree
    assert made.lead == 0.0


def test_completion_is_the_product_of_its_three_numbers() -> None:
    made = run(options=(*BASE, *EXTENDED_OPTIONS))
    for option, done in made.completion.items():
        if option != "dual_track":
            product = done.base * done.gate_factor * done.readiness_factor
            assert done.value == pytest.approx(min(0.95, max(0.005, product)))
    both = made.completion
    either = 1 - (1 - both["ipo"].value) * (1 - both["ma"].value)
    assert both["dual_track"].value == pytest.approx(either)


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"draws": 10}, "EX501"), ({"draws": True}, "EX501"), ({"draws": 10**9}, "EX503"),
        ({"seed": -1}, "EX501"), ({"kappa": float("nan")}, "EX501"), ({"kappa": -1}, "EX501"),
        ({"threads": 0}, "EX501"), ({"threads": 1.5}, "EX501"),
        ({"options": ("ipo", "mma")}, "EX207"), ({"weights": "me"}, "EX205"),
    ],
)  # fmt: skip
def test_bad_settings_are_refused(settings: dict[str, Any], code: str) -> None:
    with pytest.raises(ExitError) as caught:
        evaluate(Profile.from_dict(make_profile_dict(), today=TODAY), **settings)
    assert caught.value.code == code


def test_contradicting_correlations_are_refused() -> None:
    rows = [["growth_yoy", "market.ipo_window", 0.95], ["growth_yoy", "tech.moat", 0.95],
            ["market.ipo_window", "tech.moat", -0.95]]  # fmt: skip
    with pytest.raises(ExitError) as caught:
        run(correlation=rows)
    assert caught.value.code == "EX120"


def test_presets_and_kappa_change_the_answer_in_the_open() -> None:
    company = Profile.from_dict(make_profile_dict(), today=TODAY)
    made = compare([company, company], weights="cfo", draws=300)
    assert made[0].to_json() == made[1].to_json()
    assert made[0].provenance.weights == "cfo"
    assert set(made[0].other_kappa) == {"kappa20", "no_weight_information", "curve_doubt"}


def test_stated_distribution_is_used() -> None:
    spread = {"growth_yoy": {"dist": "uniform", "low": -0.2, "high": 1.0},
              "need_24m": {"dist": "lognormal", "median": 120e6, "sigma": 0.4}}  # fmt: skip
    made = run(uncertainty=spread, currency="EUR")
    assert made.leaves["growth_yoy"].distribution.kind == "uniform"
    assert made.leaves["need_24m"].distribution.params[0] == pytest.approx(120e6 * 1.1578)
    funds = 65e6
    assert made.leaves["need_ratio"].distribution.params[0] == pytest.approx(120e6 / funds)


def finite(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(finite, value.values()))
    if isinstance(value, list):
        return all(map(finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def test_no_nan_in_results_of_random_companies() -> None:
    rng = random.Random(11)
    edges = [0, 1e-9, 1, 5e5, 3e7, 9e11]
    for _ in range(40):
        changes: dict[str, Any] = {
            key: rng.choice(edges) for key in ("revenue_ttm", "cash", "debt", "need_24m")
        }
        changes["monthly_burn"] = rng.choice([-1e6, 0, 1, 1e9])
        changes["growth_yoy"] = rng.choice([-1, 0, 20])
        low, mid, high = sorted(rng.choice([0, 1, 1e6, 1e9, 1e12]) for _ in range(3))
        high = max(high, 5e4, changes["revenue_ttm"] / 500)  # less is refused: in other units
        changes.update({"valuation.low": low, "valuation.mid": mid, "valuation.high": high})
        for path in ("ebitda_margin", "founder_share", "total_assets", "tech.moat", "opex_fy",
                     "rd_opex_fy"):  # fmt: skip
            if rng.random() < 0.5:
                changes[path] = None
        made = run((*BASE, *EXTENDED_OPTIONS), 100, **changes)
        plain = json.loads(json.dumps(made.to_dict(), allow_nan=False))
        assert finite(plain)
        assert made.ranking[0].score_mean == pytest.approx(made.ranking[0].score_mean)
        for row in plain["ranking"]:
            assert row["p_first"] is not None
            assert row["score_mean"] is not None


def test_total_effects_name_the_inputs_that_matter() -> None:
    made = run(
        draws=4_000, uncertainty={"market.ipo_window": {"dist": "uniform", "low": 0, "high": 1}}
    )
    effects = made.total_effects()
    assert set(effects) == {leaf.id for leaf in load_criteria().leaves} | {"weights"}
    inputs = [name for name in effects if name != "weights"]
    assert max(inputs, key=lambda name: effects[name]["ipo"]) == "ipo_window"
    for shares in effects.values():
        assert all(-0.05 <= share <= 1.05 for share in shares.values())


def test_price_below_debt_is_flagged_in_plain_words() -> None:
    made = run(debt=900e6)
    assert any(note.key == "price_below_debt" for note in made.warnings)
    assert "shareholders get nothing" in " ".join(made.to_terminal().split())


def test_a_saturated_tornado_falls_back_to_the_score_lead() -> None:
    weak = {"audited_years": 0, "revenue_ttm": 1e6, "controls.ipo_readiness": ["no"] * 20}
    made = run(**weak)
    assert made.saturated
    lead = made.ranking[0].score_mean - made.ranking[1].score_mean
    bars = made.lead_tornado()
    swings = [abs(bar.swing) for bar in bars]
    assert swings == sorted(swings, reverse=True)
    assert swings[0] > 0
    assert all(min(b.low, b.high) - 0.02 <= lead <= max(b.low, b.high) + 0.02 for b in bars)
    view = tornado_view(made)
    assert view.lead
    assert view.bars[0] == bars[0]
    assert view.base == pytest.approx(lead)
    assert not tornado_view(run()).lead


@pytest.mark.parametrize(("window", "seen_ones"), [(0.65, {False, True}), (0.15, {False})])
def test_flips_are_called_plausible_only_within_what_may_be(
    window: float, seen_ones: set[bool]
) -> None:
    made = run(**{"market.ipo_window": window, "controls.ipo_readiness": ["yes"] * 20})
    seen = set()
    for flip in made.flips:
        seen.add(flip.plausible)
        if flip.kind == "weight":  # Beta(60 w, 60 (1 - w)) by SciPy
            ends = stats.beta.ppf((0.01, 0.99), 60 * flip.now, 60 * (1 - flip.now))
            assert flip.plausible == bool(ends[0] <= flip.then <= ends[1]), flip
        else:
            spread = made.leaves[flip.name].distribution
            ends = reference.quantile(spread, np.array([0.01, 0.99]))
            inside = bool(ends[0] <= flip.then <= ends[1])
            assert flip.plausible == (inside or flip.distance <= 0.25), flip
    assert seen == seen_ones
    told = change_sentences(made, count=99)
    assert len(told) == max(1, sum(flip.plausible for flip in made.flips))


def test_reports_say_when_nothing_plausible_changes_the_first_place() -> None:
    made = run()
    far = replace(made, flips=tuple(replace(flip, plausible=False) for flip in made.flips))
    (only,) = change_sentences(far)
    assert only.startswith("No plausible change")
    (told,) = change_sentences(replace(made, flips=()))
    assert told.startswith("No single input")


def test_a_first_place_that_rests_on_the_curves_carries_a_warning() -> None:
    made = run()
    both = made.other_kappa["curve_doubt"]
    assert sum(both.values()) == pytest.approx(1.0)
    assert both[made.leader] <= made.ranking[0].p_first + 0.02
    words = " ".join(reasons(made))
    assert percent(both[made.leader]) in words
    assert "not the chance that the option succeeds" in words
