"""What a batch computes as columns is what one company gets alone, to the bit."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from exit_profiles import TODAY, make_profile_dict

from fastnn.exit_strategy.batch import evaluate_many
from fastnn.exit_strategy.evaluation import evaluate
from fastnn.exit_strategy.gates.columns import judge_gates_many
from fastnn.exit_strategy.gates.data import load_gates
from fastnn.exit_strategy.gates.judge import judge_gates
from fastnn.exit_strategy.gates.windows import COLUMN_WINDOWS, OPERATORS, WINDOWS, Column, Series
from fastnn.exit_strategy.money.columns import COLUMN_OPTIONS
from fastnn.exit_strategy.money.outcomes import proceeds, proceeds_many
from fastnn.exit_strategy.profile.profile import Profile

GATES = load_gates()
OPTIONS = ("ipo", "ma", "transform", "dual_track", "license_hire", "hold")


def some(rng: np.random.Generator, of: list[Any]) -> Any:
    return of[int(rng.integers(len(of)))]


def facts(rng: np.random.Generator, **changes: Any) -> dict[str, Any]:
    """A company of any size, country and sector, of which more or less is known."""
    size = float(rng.lognormal(0.0, 2.0))

    def years(scale: float) -> list[float | None]:
        made = [None if rng.random() < 0.2 else scale * size * rng.normal(1, 1) for _ in range(3)]
        return made if made[-1] is not None else [*made[:2], scale * size]

    given: dict[str, Any] = {
        "as_of": some(rng, ["2024-03-01", "2025-09-30", "2026-11-20"]), "market.date": None,
        "country": some(rng, ["US", "CN", "GB", "HK", "DE", "FR", "SG", "SE", "CA"]),
        "sector": some(rng, ["software", "ai_application", "biotech", "semiconductor", "other"]),
        "currency": some(rng, ["USD", "CNY", "EUR", "HKD"]),
        "revenue_last_fy": [abs(v or 1.0) for v in years(90e6)],
        "pretax_income_fy": years(20e6), "net_income_fy": years(16e6),
        "operating_cash_flow_fy": years(16e6), "rd_opex_fy": None, "opex_fy": None,
        "total_assets": some(rng, [None, 120e6 * size]),
        "stockholders_equity": some(rng, [None, 80e6 * size]),
        "audited_years": int(rng.integers(5)), "cash": 60e6 * size,
        "monthly_burn": size * float(rng.normal(2e6, 4e6)),
        "committed_funds": some(rng, [None, 5e6]), "debt": some(rng, [None, 0.0, 90e6 * size]),
        "founder_share": some(rng, [None, 0.0, 1.0, 0.4, 1 / 3, 0.7]),
        "valuation.low": 350e6 * size, "valuation.mid": 500e6 * size,
        "valuation.high": 700e6 * size,
        "listing.public_float_pct": some(rng, [None, 0.1, 0.16, 0.3]),
        "listing.free_float_pct": some(rng, [None, 0.05, 0.2]),
        "listing.market_cap": some(rng, [None, 4e9 * size]),
        "listing.offer_size": some(rng, [None, 30e6 * size]),
        "listing.share_price": some(rng, [None, 6.0]),
        "listing.round_lot_holders": some(rng, [None, 500, 3]),
        "deal.operations_in_china": some(rng, [None, "yes", "no"]),
        "deal.acquirer_stake": some(rng, [None, 0.6]),
        "deal.covenant_blocks_sale": some(rng, [None, "yes", "no"]),
        "personal_records_held": some(rng, [None, 5_000_000]),
        "ai_act_class": some(rng, [None, "high_risk_annex_iii", "limited"]),
        "venue_region": some(rng, [None, None, "US", "HK", "EU"]),
        **changes,
    }  # fmt: skip
    return make_profile_dict(**given)


def company(rng: np.random.Generator, **changes: Any) -> Profile:
    return Profile.from_dict(facts(rng, **changes), today=TODAY)


@pytest.mark.parametrize("window", list(WINDOWS))
def test_every_window_reads_a_column_as_it_reads_each_company(window: str) -> None:
    rng = np.random.default_rng(3)
    values = [None, -2.0, 0.0, 1.0, 3.0, 5.0]
    rows = []
    for _ in range(400):
        pairs = tuple((some(rng, values), some(rng, [None, 0.0, 2.0, 4.0])) for _ in range(3))
        shares = tuple(None if a is None or not b else a / b for a, b in pairs)
        plain = Series(tuple(some(rng, values) for _ in range(3)))
        rows.append(Series(shares, pairs) if rng.random() < 0.5 else plain)
    years = np.array([row.years for row in rows], dtype=np.float64)
    column = Column(years, np.array([row.total() for row in rows], dtype=np.float64))
    for op in OPERATORS.values():
        fail, unknown = COLUMN_WINDOWS[window](column, lambda v, op=op: op(v, 1.0))
        made = [
            "fail" if f else "unknown" if u else "pass" for f, u in zip(fail, unknown, strict=True)
        ]
        assert made == [WINDOWS[window](row, lambda v, op=op: op(v, 1.0))[0] for row in rows]


def test_gates_of_many_companies_are_those_of_each() -> None:
    rng = np.random.default_rng(5)
    firms = [company(rng) for _ in range(300)]
    states = set()
    for firm, brief in zip(firms, judge_gates_many(firms, GATES, OPTIONS), strict=True):
        full = judge_gates(firm, GATES, OPTIONS)
        assert brief.regulatory == full.regulatory
        assert [(g.option, g.name, g.word, g.prior) for g in brief.hard] == [
            (g.option, g.name, g.word, g.prior) for g in full.hard
        ]
        states |= {gate.word for gate in full.of("ipo") if gate.name == "venue"}
    assert states == {"pass", "fail", "unknown"}  # the companies are of every kind


def test_a_rule_that_nobody_read_does_not_hide_one_that_was_read() -> None:
    """A batch looks for the first open venue; one by rules from memory is not the last word."""
    rng = np.random.default_rng(5)
    firms = [company(rng) for _ in range(300)]
    unread = tuple({**venue, "read": None} for venue in GATES.venues)
    for venues, word in ((unread + GATES.venues, "pass"), (unread, "pass_unread")):
        gates = dataclasses.replace(GATES, venues=venues)
        made = judge_gates_many(firms, gates, ("ipo",))
        told = [brief.of("ipo")[1].word for brief in made]
        assert told == [judge_gates(firm, gates, ("ipo",)).of("ipo")[1].word for firm in firms]
        assert word in told


@pytest.mark.parametrize(
    "terms",
    [
        {}, {"tax_rate": 0.2, "carve_out": 0.05, "founder_carve_out": 0.5, "sold_at_ipo": 0.1},
        {"ipo_raise": 5e7, "ipo_spread": 0.05, "round_secondary": 0.2, "discount_rate": 0.1},
        {"qualified_price": 1e9},
    ],
)  # fmt: skip
def test_money_of_many_companies_is_that_of_each(terms: dict[str, float]) -> None:
    rng = np.random.default_rng(7)
    firms = [company(rng, assumptions=terms) for _ in range(60)]
    firms.append(company(rng, assumptions=terms, cash=0, debt=9e12, monthly_burn=0))
    for firm, brief in zip(firms, proceeds_many(firms, COLUMN_OPTIONS), strict=True):
        alone = proceeds(firm, firm.cap_table, firm.assumptions, COLUMN_OPTIONS)
        for option in COLUMN_OPTIONS:
            one, other = brief.options[option], alone.options[option]
            for name in ("founder_npv", "months_to_cash", "control_after", "price"):
                assert getattr(one, name) == getattr(other, name), (option, name)


@pytest.mark.parametrize("options", [("ipo", "ma", "transform"), (*COLUMN_OPTIONS, "hold")])
def test_a_batch_of_all_kinds_is_scored_as_each_alone(options: tuple[str, ...]) -> None:
    rng = np.random.default_rng(9)
    table = {"common": 8e6, "founders": 5e6,
             "classes": [{"name": "A", "shares": 2e6, "invested": 2e7}]}  # fmt: skip
    raw = [facts(rng) for _ in range(12)]
    raw += [facts(rng, cap_table=table), facts(rng, assumptions={"escrow_rate": 0.15})]
    made = evaluate_many(raw, draws=200, options=options)
    assert made.failed == 0
    for k, given in enumerate(raw):
        alone = evaluate(given, draws=200, options=options)
        assert made["recommendation"][k] == alone.recommendation
        assert made["lead"][k] == alone.advice.lead
        assert made["unknown_weight"][k] == alone.advice.unknown_weight
        for row in alone.ranking:
            for name in ("p_first", "score_mean", "score_p05", "score_p95"):
                assert made[f"{name}_{row.option}"][k] == getattr(row, name)
            paid = alone.proceeds.options[row.option].founder_npv[1]
            assert made[f"founder_npv_{row.option}"][k] == paid
            assert made[f"p_complete_{row.option}"][k] == alone.completion[row.option].value


def test_scores_of_a_company_do_not_depend_on_its_neighbours() -> None:
    from fastnn.exit_strategy.criteria import load_criteria
    from fastnn.exit_strategy.scoring.scores import score_many

    tree = load_criteria()
    fits = np.random.default_rng(1).random((9, 8, len(tree.leaves)))
    weights = tree.group_weights
    for k, whole in enumerate(score_many(tree, OPTIONS, fits, weights)):
        (alone,) = score_many(tree, OPTIONS, fits[k : k + 1].copy(), weights)
        for field in dataclasses.fields(whole):
            one, other = getattr(whole, field.name), getattr(alone, field.name)
            assert np.array_equal(one, other), field.name
