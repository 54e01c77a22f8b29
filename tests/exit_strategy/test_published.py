"""Worked examples that others have published, each with its source and the value it prints.

Where a page rounds on its way, the exact value stands beside the printed one.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from fastnn.exit_strategy.money import (
    CapTable,
    Note,
    ShareClass,
    adjusted_price,
    backsolve,
    black_scholes,
)
from fastnn.exit_strategy.money.waterfall import Schedule


def paid(table: CapTable, price: float, day: dt.date | None = None) -> dict[str, float]:
    return Schedule(table.claims(day)).pay(price)


# ---- what a sale pays ---------------------------------------------------------------------------
def one_investor(**terms: Any) -> CapTable:
    """$2m for 30 % of the company."""
    return CapTable(7e6, 7e6, (ShareClass("A", 3e6, 2e6, **terms),))


@pytest.mark.parametrize(
    ("terms", "investor"),
    [
        ({}, 3e6),  # converts
        ({"multiple": 2.0}, 4e6),  # keeps its preference
        ({"participation": "full"}, 4.4e6),
    ],
)
def test_a_sale_for_ten_million(terms: dict[str, Any], investor: float) -> None:
    """Gust, "Liquidation Preference" and "Participating Preferred" (docs.equity.gust.com)."""
    assert paid(one_investor(**terms), 10e6)["A"] == pytest.approx(investor)


def test_three_times_participating() -> None:
    """homeworksource.com, question 1018928: $40m for 3m shares worth two common each, of 20m.

    A sale for $300m pays $174m to the investors and $126m to the others.
    """
    table = CapTable(14e6, 14e6, (
        ShareClass("A", 3e6, 40e6, multiple=3.0, participation="full", conversion_ratio=2.0),
    ))  # fmt: skip
    got = paid(table, 300e6)
    assert got == pytest.approx({"founders": 126e6, "A": 174e6})


@pytest.mark.parametrize(("multiple", "investor"), [(1.0, 88e6), (3.0, 136e6)])
def test_forty_on_sixty(multiple: float, investor: float) -> None:
    """tutorsglobe.com, question 51717422: 40 on 60 before the money, participating, sold for 160.

    The page asks; 40 + 40 % of 120, and 120 + 40 % of 40, answer it.
    """
    table = CapTable(60e6, 60e6, (
        ShareClass("VC", 40e6, 40e6, multiple=multiple, participation="full"),
    ))  # fmt: skip
    assert paid(table, 160e6)["VC"] == pytest.approx(investor)


def test_stacked_and_participating_to_a_cap() -> None:
    """FundWave, "Liquidation waterfall, part two": $5m for 37.5 % before $3m for 25 %, both to 2x.

    Series B alone is paid up to $5m, then Series A; from $8m everybody shares.
    """
    table = CapTable(3.75e6, 3.75e6, (
        ShareClass("A", 2.5e6, 3e6, participation="capped", cap=2.0, seniority=2),
        ShareClass("B", 3.75e6, 5e6, participation="capped", cap=2.0, seniority=1),
    ))  # fmt: skip
    assert paid(table, 5e6) == pytest.approx({"founders": 0.0, "A": 0.0, "B": 5e6})
    assert paid(table, 8e6) == pytest.approx({"founders": 0.0, "A": 3e6, "B": 5e6})
    shared = paid(table, 9e6)
    assert shared["founders"] == pytest.approx(0.375e6)
    assert paid(table, 18e6)["A"] == pytest.approx(3e6 + 2.5e6)
    far = paid(table, 40e6)  # both convert
    assert far == pytest.approx({"founders": 15e6, "A": 10e6, "B": 15e6})


# ---- dividends and redemption -------------------------------------------------------------------
def test_dividends_in_arrears_come_before_common() -> None:
    """courseeagle.com, "Cumulative preferred stock": $50,000 at 8 %, half a year and five more.

    $22,000 are due beside the par value.
    """
    row = ShareClass("P", 5000, 50e3, dividend_rate=0.08, dividend_from=dt.date(2020, 7, 1))
    table = CapTable(10_000, 10_000, (row,), as_of=dt.date(2025, 12, 31))
    got = paid(table, 60e3, dt.date(2025, 12, 31))
    assert got["P"] == pytest.approx(60e3)
    assert table.claims(dt.date(2025, 12, 31))[1].due == pytest.approx(72e3, abs=20.0)  # by days


def test_a_year_of_an_eight_per_cent_dividend() -> None:
    """ "Preferred stock cumulative example": an 8 % issue of $100m is owed $8m a year."""
    row = ShareClass("P", 1e6, 100e6, dividend_rate=0.08, dividend_from=dt.date(2025, 1, 1))
    table = CapTable(1e6, 1e6, (row,), as_of=dt.date(2026, 1, 1))
    due = {c.holder: c.due for c in table.claims(dt.date(2026, 1, 1))}
    assert due["P"] == pytest.approx(108e6)


# ---- anti-dilution ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("old", "shares", "price", "after"),
    [(1.0, 2.5e6, 8 / 9, 2_812_500), (2.0, 2e6, 5 / 3, 2_400_000)],
)
def test_two_classes_in_a_broad_weighted_average(
    old: float, shares: float, price: float, after: float
) -> None:
    """Gust, "Anti-Dilution": 7m shares, then 2m at $0.50; A from $1 to 8/9 (printed 0.88)."""
    got = adjusted_price("broad", old, 0.5, 1e6, 7e6)
    assert got == pytest.approx(price)
    assert shares * old / got == pytest.approx(after)


def test_a_full_ratchet_doubles_the_shares() -> None:
    """Gust, "Anti-Dilution": $2 a share, then a round at $1."""
    assert adjusted_price("full_ratchet", 2.0, 1.0, 1e6, 9e6) == 1.0
    table = CapTable(9e6, 9e6, (ShareClass("A", 1e6, 2e6, anti_dilution="full_ratchet"),))
    made = table.round(1e6, price=1.0, name="B")
    assert {r.holder: r.after for r in made.rows}["A"] == pytest.approx(2e6)


def test_a_full_ratchet_of_a_million_shares_at_a_dollar() -> None:
    """audyty.nazwa.pl, "Ratchet agreement": 1m preferred at $1, then 1m common at $0.50."""
    table = CapTable(1e6, 1e6, (ShareClass("P", 1e6, 1e6, anti_dilution="full_ratchet"),))
    made = table.round(5e5, price=0.5, name="new")
    assert {r.holder: r.after for r in made.rows}["P"] == pytest.approx(2e6)


def test_the_average_of_a_hundred_shares_each() -> None:
    """The Business Professor, "Weighted average": 100 common, 100 A at $1, then 100 at $0.50.

    Its formula is OP x (CO + CE) / (CO + NCE): 250 over 300.
    """
    assert adjusted_price("broad", 1.0, 0.5, 50.0, 200.0) == pytest.approx(250 / 300)


# ---- notes in a round ---------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("pre", "price", "shares"),
    [(10e6, 2.5, 10_000), (6e6, 4.0, 6_250)],
)
def test_a_note_takes_the_better_of_cap_and_discount(
    pre: float, price: float, shares: float
) -> None:
    """FundersClub, $25k with a $5m cap and 20 %: at $10m the cap tells, at $6m the discount."""
    note = Note("N", 25e3, valuation_cap=5e6, discount=0.2)
    made = CapTable(pre / 5.0, pre / 5.0, notes=(note,)).round(5e6, price=5.0, name="A")
    assert made.converted["N"] == pytest.approx(price)
    assert {r.holder: r.after for r in made.rows}["N"] == pytest.approx(shares)


@pytest.mark.parametrize(
    ("terms", "price", "shares"),
    [({"valuation_cap": 4e6}, 10 / 3, 3_000), ({"discount": 0.2}, 8.0, 1_250)],
)
def test_ten_thousand_dollars_of_a_note(
    terms: dict[str, float], price: float, shares: float
) -> None:
    """StartupTalky, "What are convertible notes": Series A at $10 on $12m; $3.33 and $8 a share."""
    table = CapTable(1.2e6, 1.2e6, notes=(Note("N", 10e3, **terms),))  # type: ignore[arg-type]
    made = table.round(3e6, price=10.0, name="A")
    assert made.converted["N"] == pytest.approx(price)
    assert {r.holder: r.after for r in made.rows}["N"] == pytest.approx(shares)


def test_interest_of_a_year_converts_with_the_note() -> None:
    """A. Gupta, "Convertible note, part 3": $500k at 5 % for a year convert as $525k."""
    made = CapTable(1e6, 1e6, notes=(Note("N", 500e3, 0.05, 1.0),)).round(5e6, price=5.0, name="A")
    assert {r.holder: r.after for r in made.rows}["N"] == pytest.approx(525e3 / 5.0)


# ---- option pricing -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("stock", "strike", "years", "spread", "rate", "printed"),
    [
        (21.0, 21.0, 0.36, 0.30, 0.05, 1.687),  # jufinance.com, FIN 435, spring 2025
        (40.0, 40.0, 0.25, 0.40, 0.06, 3.47),  # qammunity.org, question 6742603
    ],
)
def test_calls_of_published_solutions(
    stock: float, strike: float, years: float, spread: float, rate: float, printed: float
) -> None:
    assert black_scholes(stock, strike, years, spread, rate) == pytest.approx(printed, abs=0.005)


def test_a_backsolve_is_the_equation_of_two_classes() -> None:
    """finacco.org, "Backsolve valuation method", 5 September 2023: series A and common.

    Equity = A + call at break 1 - A's share above break 2 x call at break 2.
    """
    table = CapTable(6e6, 6e6, (ShareClass("A", 4e6, 8e6),))
    years, spread, rate = 3.0, 0.6, 0.04
    equity = backsolve(table.claims(), "A", 8e6, years=years, volatility=spread, rate=rate)
    first = black_scholes(equity, 8e6, years, spread, rate)
    second = black_scholes(equity, 20e6, years, spread, rate)  # from here on A converts
    assert 8e6 + first - 0.4 * second == pytest.approx(equity)
