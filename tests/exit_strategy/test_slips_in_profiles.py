"""Profiles as people type them: units, signs and orders that only several fields together show."""

from __future__ import annotations

import random
from typing import Any

import pytest
from exit_profiles import TODAY, make_profile_dict

from fastnn.exit_strategy.batch import evaluate_many
from fastnn.exit_strategy.errors import ExitError
from fastnn.exit_strategy.evaluation import evaluate
from fastnn.exit_strategy.faults import in_chinese
from fastnn.exit_strategy.profile.plausible import doubts
from fastnn.exit_strategy.profile.profile import Profile


def company(**changes: Any) -> Profile:
    return Profile.from_dict(make_profile_dict(**changes), today=TODAY)


def refused(match: str, **changes: Any) -> None:
    with pytest.raises(ExitError, match=match) as caught:
        company(**changes)
    for issue in caught.value.issues:
        assert in_chinese(issue.message), issue.message
        assert in_chinese(issue.hint), issue.hint


def test_amounts_of_a_small_firm_and_none_at_all_are_not_doubted() -> None:
    assert not list(doubts(company(cash=0.0, debt=0.0, monthly_burn=0.0)))
    small: dict[str, Any] = {
        name: None for name, value in make_profile_dict().items() if isinstance(value, list)
    }
    made = company(
        revenue_ttm=900.0, cash=500.0, monthly_burn=120.0, debt=0.0, need_24m=5000.0,
        total_assets=None, stockholders_equity=None, total_raised=None, committed_funds=None,
        **{**small, "valuation.low": 1e4, "valuation.mid": 2e4, "valuation.high": 4e4},
    )  # fmt: skip
    assert made.cash == 500.0
    assert not list(doubts(made))


@pytest.mark.parametrize(
    ("score", "hint"), [("7", "write 0.7 for 7 of 10"), (65, "0.65 for 65 of 100")]
)
def test_a_score_out_of_ten_is_told_as_one(score: object, hint: str) -> None:
    refused(f"(?s)EX105 tech.moat.*{hint}", **{"tech.moat": score})


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        ("burn_far", {"monthly_burn": 44.4e6}),
        ("cash_above_assets", {"total_assets": 15e6, "stockholders_equity": 5e6}),
        ("growth_differs", {"growth_yoy": -0.55}),
        ("amount_tiny", {"monthly_burn": 3.7}),
        ("amount_tiny", {"cash": 60}),
        ("amount_tiny", {"debt": "4"}),
        ("amount_tiny", {"need_24m": 120}),
        ("amount_tiny", {"opex_fy": [25, 50, 80], "rd_opex_fy": None}),
        ("amount_tiny", {"revenue_last_fy": [20, 45e6, 80e6]}),
        ("equity_above_assets", {"stockholders_equity": 220e6}),
        ("revenue_far", {"revenue_last_fy": [20e3, 45e3, 80e3]}),
        ("years_reversed", {"revenue_last_fy": [80e6, 45e6, 20e6]}),
        ("loss_without_sign", {"net_income_fy": [9e6, 12e6, 16e6]}),
    ],
)
def test_what_seldom_stands_together_is_told(key: str, changes: dict[str, Any]) -> None:
    assert list(doubts(company())) == []
    made = company(**changes)
    assert list(doubts(made)) == [key]
    result = evaluate(made, draws=100)
    assert key in {note.key for note in result.warnings}


@pytest.mark.parametrize(
    "changes",
    [{"revenue_last_fy": [80e6, 45e6, 20e6], "revenue_ttm": 30e6},  # it grows again
     {"revenue_last_fy": [80e6, 45e6, 20e6], "revenue_ttm": 15e6, "growth_yoy": -0.3},
     {"net_income_fy": [-9e6, -12e6, 1e6]},  # a tax credit
     {"stockholders_equity": -20e6}, {"monthly_burn": 0.0, "debt": 0.0}],
)  # fmt: skip
def test_what_may_well_be_is_not_doubted(changes: dict[str, Any]) -> None:
    found = set(doubts(company(**changes)))
    assert found <= {"growth_differs", "burn_far"}  # sales that turned


def test_a_chinese_column_names_the_field_that_is_meant() -> None:
    for label, name in (
        ("现金", "cash"),
        ("毛利率", "gross_margin"),
        ("近12个月收入", "revenue_ttm"),
    ):
        with pytest.raises(ExitError, match=f"did you mean '{name}'"):
            company(**{label: 1.0})


def test_no_row_of_a_random_portfolio_is_lost_to_a_doubt() -> None:
    """What is odd may be right: growing losses, cash ahead of sales, burn about zero."""
    draw = random.Random(7)
    rows = []
    for k in range(400):
        v = draw.lognormvariate(17, 1.2)
        rows.append({
            "name": f"company {k}", "as_of": "2026-11-01",
            "country": draw.choice(["US", "CN", "DE"]), "sector": "software",
            "currency": draw.choice(["USD", "CNY", "EUR"]),
            "revenue_ttm": round(v / 6), "growth_yoy": draw.uniform(-0.3, 2.0),
            "ebitda_margin": draw.uniform(-2.0, 0.4), "audited_years": draw.randint(0, 4),
            "cash": round(v / 10), "monthly_burn": round(v / 100 * draw.uniform(-0.2, 1.0)),
            "need_24m": round(v / 4), "founder_share": draw.uniform(0.1, 0.9),
            "valuation.low": v * 0.7, "valuation.mid": v, "valuation.high": v * 1.6,
            "market.date": "2026-10-15", "market.ipo_window": draw.random(),
            "market.ma_activity": draw.random(), "total_raised": round(v / 8),
        })  # fmt: skip
    made = evaluate_many(rows, draws=100)
    assert [error for error in made["errors"] if error] == []
