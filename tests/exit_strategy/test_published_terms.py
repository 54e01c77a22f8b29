"""More worked examples that others have published: SAFEs, ratchets, caps, option pricing, sales.

Each names its source and the value it prints. Where a page rounds on its way, the exact value
stands beside the printed one; where a page is wrong, the test says what is right and why.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import replace
from typing import Any

import pytest
from exit_profiles import TODAY, make_profile_dict

from fastnn.exit_strategy.money import (
    Assumptions,
    CapTable,
    Note,
    Safe,
    Scenario,
    ShareClass,
    black_scholes,
    internal_rate,
    option_values,
    proceeds,
    run_waterfall,
    scenario_values,
)
from fastnn.exit_strategy.money.rounds import RoundResult
from fastnn.exit_strategy.money.waterfall import Schedule, break_points
from fastnn.exit_strategy.profile import Profile

#: A sale without fees, escrow or waiting, so that what is shared is the price.
PLAIN = Assumptions(months_to_close=0.0, fee_rate=0.0, escrow_rate=0.0, discount_rate=0.0)


def paid(table: CapTable, price: float, day: dt.date | None = None) -> dict[str, float]:
    return Schedule(table.claims(day)).pay(price)


def after(made: RoundResult[CapTable]) -> dict[str, float]:
    return {row.holder: row.after for row in made.rows}


def company(**changes: Any) -> Profile:
    """A company without cash or debt, so that the price is what its shares are worth."""
    bare = {"cash": 0.0, "debt": 0.0, "monthly_burn": 0.0, "committed_funds": None}
    return Profile.from_dict(make_profile_dict(**{**bare, **changes}), today=TODAY)


# ---- SAFEs of the form before 2018 --------------------------------------------------------------
@pytest.mark.parametrize(
    ("paper", "fully_diluted", "pre", "raised", "price", "shares", "printed"),
    [
        ({"valuation_cap": 5e6}, 11e6, 10e6, 1e6, 0.4545, 220_000, 220_022),
        ({"valuation_cap": 8e6, "discount": 0.15}, 11e6, 10e6, 1e6, 0.72727, 137_500, 137_500),
        ({"discount": 0.2}, 10.5e6, 2e6, 400e3, 0.152, 131_250, 131_578),
    ],
)
def test_the_safe_primer_of_y_combinator(
    paper: dict[str, float], fully_diluted: float, pre: float, raised: float, price: float,
    shares: float, printed: float,
) -> None:  # fmt: skip
    """Y Combinator, "SAFE Primer", retold by FundersClub: cap, cap and discount, discount.

    The new price is the pre-money valuation over all shares, the pool to be adopted included. The
    primer rounds prices to three figures before it divides.
    """
    amount = 20e3 if "valuation_cap" not in paper else 100e3
    pool = 1e6 if fully_diluted == 11e6 else 0.0
    common = fully_diluted - pool
    safe = Safe("S", amount, post_money=False, **paper)  # type: ignore[arg-type]
    made = CapTable(common, common, safes=(safe,), pool=pool).round(
        raised, price=pre / fully_diluted, name="A"
    )
    assert made.converted["S"] == pytest.approx(price, rel=3e-3)
    assert after(made)["S"] == pytest.approx(shares)
    assert after(made)["S"] == pytest.approx(printed, rel=3e-3)


@pytest.mark.parametrize(
    ("amount", "common", "paper", "price", "shares"),
    [
        (200e3, 5e6, {"valuation_cap": 4e6}, 0.80, 250_000),
        (300e3, 2e6, {"valuation_cap": 4e6, "discount": 0.3}, 1.40, 300e3 / 1.4),
    ],
)
def test_a_cap_over_the_shares_outstanding(
    amount: float, common: float, paper: dict[str, float], price: float, shares: float
) -> None:
    """teju-finance.com, "Simple Agreement for Equity", examples 1 and 1a: a round at $2 a share.

    Its discount rate of 70 % is a discount of 30 %.
    """
    safe = Safe("S", amount, post_money=False, **paper)  # type: ignore[arg-type]
    made = CapTable(common, common, safes=(safe,)).round(2e6, price=2.0, name="A")
    assert made.converted["S"] == pytest.approx(price)
    assert after(made)["S"] == pytest.approx(shares)


def test_a_discount_safe_of_half_a_million() -> None:
    """wolf.tixi.dk, "SAFE": $500k at 20 % off $2.00 are 312,500 of 3,312,500 shares, 9.4 %."""
    made = CapTable(3e6, 3e6, safes=(Safe("S", 500e3, discount=0.2, post_money=False),)).round(
        2e6, price=2.0, name="A"
    )
    assert after(made)["S"] == pytest.approx(312_500)
    assert after(made)["S"] / 3_312_500 == pytest.approx(0.094, abs=5e-4)


# ---- anti-dilution ------------------------------------------------------------------------------
def test_a_full_ratchet_in_a_table_of_thirds() -> None:
    """CEOpedia, "Full ratchet": options, common and A (at $2) of 1,000 each; 1,000 B at $1.

    A becomes 2,000: 20, 20, 40 and 20 %.
    """
    made = CapTable(2000, 1000, (ShareClass("A", 1000, 2000, anti_dilution="full_ratchet"),)).round(
        1000, price=1.0, name="B"
    )
    parts = {row.holder: row.after_part for row in made.rows}
    assert parts == pytest.approx({"founders": 0.2, "common": 0.2, "A": 0.4, "B": 0.2})


def test_a_full_ratchet_lowers_the_price_that_triggers_it() -> None:
    """tutorsglobe.com, question 51396865: 1,000 shares, and 2,000 at $5 with a full ratchet.

    $8,000 on $12,000 for 40 %: $4 a share without the ratchet, $2 with it, 4,000 new shares, and
    3,000 more for the first investor.
    """
    plain = CapTable(1000, 1000, (ShareClass("early", 2000, 10_000),))
    assert plain.round(8000, pre_money=12_000, name="B").price == pytest.approx(4.0)
    row = replace(plain.classes[0], anti_dilution="full_ratchet")
    made = replace(plain, classes=(row,)).round(8000, pre_money=12_000, name="B")
    assert made.price == pytest.approx(2.0)
    assert after(made) == pytest.approx({"founders": 1000, "early": 5000, "B": 4000})


def test_the_ratchet_of_a_payments_company_at_its_listing() -> None:
    """Square's prospectus, 2015, and The Wall Street Journal: a loss of $93m to the others.

    Series E: $150m at $15.46345; 20 % more is promised in a listing, which was priced at $9.
    """
    shares = 150e6 / 15.46345
    table = CapTable(300e6, 300e6, (ShareClass("E", shares, 150e6, ipo_ratchet=1.2),))
    plain = replace(table, classes=(replace(table.classes[0], ipo_ratchet=None),))
    value = 9.0 * (300e6 + 180e6 / 9.0)  # all shares at the offer price, the new ones included
    listed = company(cap_table=None, **{"valuation.low": value, "valuation.mid": value,
                                        "valuation.high": value})  # fmt: skip
    terms = replace(PLAIN, ipo_raise=0.0, months_to_list=0.0)
    made = proceeds(listed, table, terms, ("ipo",)).options["ipo"]
    assert made.payouts["E"] == pytest.approx(180e6)
    assert made.payouts["founders"] / 300e6 == pytest.approx(9.0)
    assert 180e6 - shares * 9.0 == pytest.approx(93e6, abs=0.5e6)
    kept = proceeds(listed, plain, terms, ("ipo",)).options["ipo"].payouts
    assert made.payouts["founders"] < kept["founders"]


# ---- what a sale pays ---------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("price", "none", "full", "capped"),
    [(1e6, 1e6, 1e6, 1e6), (2e6, 2e6, 2e6, 2e6), (10e6, 2.5e6, 4e6, 4e6), (24e6, 6e6, 7.5e6, 7.5e6),
     (26e6, 6.5e6, 8e6, 8e6), (31e6, 7.75e6, 9.25e6, 8e6), (33e6, 8.25e6, 9.75e6, 8.25e6)],
)  # fmt: skip
def test_a_cap_of_four_times(price: float, none: float, full: float, capped: float) -> None:
    """VentureSouth, "Capped participation preferreds: the real impact": $2m for 25 %.

    From $26m to $32m the cap holds the investors at $8m; above they convert.
    """
    for terms, wanted in (
        ({}, none), ({"participation": "full"}, full),
        ({"participation": "capped", "cap": 4.0}, capped),
    ):  # fmt: skip
        table = CapTable(3e6, 3e6, (ShareClass("P", 1e6, 2e6, **terms),))  # type: ignore[arg-type]
        assert paid(table, price)["P"] == pytest.approx(wanted), terms


def test_twice_the_money_and_three_years_of_dividends() -> None:
    """studyx.ai, question 101121965: $2m, 2x, 8 % a year, sold after three years for $10m.

    $4.0m + $0.48m.
    """
    row = ShareClass("A", 1e6, 2e6, 2.0, dividend_rate=0.08, dividend_from=dt.date(2023, 1, 1))
    table = CapTable(3e6, 3e6, (row,), as_of=dt.date(2023, 1, 1))
    assert paid(table, 10e6, dt.date(2025, 12, 31))["A"] == pytest.approx(4.48e6)


def test_redemption_at_a_premium_with_a_dividend_in_arrears() -> None:
    """Investing.com, "Preferred stock redeemable": 10,000 shares of $100, at $110 after 5 years.

    With a year of 6 % unpaid the company owes $116 a share, $1.16m. A sale after that day pays
    the class as much; one before it only the preference and the dividend.
    """
    row = ShareClass(
        "P", 10_000, 1e6, accrued_dividend=60e3, redemption_date=dt.date(2026, 6, 30),
        redemption_multiple=1.10,
    )  # fmt: skip
    table = CapTable(1e6, 1e6, (row,), as_of=dt.date(2026, 1, 1))
    assert paid(table, 2e6, dt.date(2026, 6, 30))["P"] == pytest.approx(1.16e6)
    assert paid(table, 2e6, dt.date(2026, 6, 30))["P"] / 10_000 == pytest.approx(116.0)
    assert paid(table, 2e6, dt.date(2026, 6, 29))["P"] == pytest.approx(1.06e6)


def test_a_carve_out_of_a_sale_below_the_preferences() -> None:
    """waterfalls.app, "Carve out": $50m raised, sold for $40m, 15 % set aside: $6m and $34m."""
    table = CapTable(5e6, 5e6, (ShareClass("P", 5e6, 50e6, participation="full"),))
    made = run_waterfall(
        replace(company(), cap_table=table, assumptions=replace(PLAIN, carve_out=0.15)), [40e6]
    )
    assert dict(made.bridges[0])["carve_out"] == pytest.approx(-6e6)
    assert dict(zip(made.holders, made.payouts[0], strict=True))["P"] == pytest.approx(34e6)


def test_a_note_that_is_paid_off_when_the_company_is_sold() -> None:
    """Gust, "Convertible note financing terms, part IV": $100k at 10 % for six months: $105k."""
    table = CapTable(1e6, 1e6, notes=(Note("N", 100e3, 0.10, 0.5),))
    assert paid(table, 30e6)["N"] == pytest.approx(105e3)


def test_an_earn_out_is_worth_its_chance_and_its_wait() -> None:
    """walterallison.com, "What is an earnout actually worth at signing?", May 2026, at 14 % a year.

    $20m in a year (70 %), $15m in two (50 %), $15m in three (40 %). The page prints "about 18
    million", but its own formula gives 12.28 + 5.77 + 4.05 = 22.10: the page is wrong.
    """
    worth = 0.0
    for years, money, chance in ((1, 20e6, 0.7), (2, 15e6, 0.5), (3, 15e6, 0.4)):
        terms = replace(
            PLAIN, discount_rate=0.14, earn_out_rate=money / 150e6, earn_out_months=12.0 * years,
            earn_out_probability=chance,
        )  # fmt: skip
        price = {f"valuation.{end}": 150e6 for end in ("low", "mid", "high")}
        row = proceeds(company(**price), CapTable(1e6, 1e6), terms, ("ma",)).options["ma"]
        worth += row.founder_npv[1] - (150e6 - money)
    assert worth == pytest.approx(14e6 / 1.14 + 7.5e6 / 1.14**2 + 6e6 / 1.14**3)
    assert worth == pytest.approx(22.10e6, abs=0.01e6)


# ---- option pricing -----------------------------------------------------------------------------
#: teju-finance.com, "Valuing financing alternatives": $10m for 10 of 25 million shares of a firm
#: worth $15m, four years, 5 % a year (yearly compounding), 40 %. Every structure is worth $10m.
FIRM: dict[str, float] = {"years": 4.0, "volatility": 0.4, "rate": math.log(1.05)}


@pytest.mark.parametrize(
    ("strike", "printed"),
    [(17.1, 5.0), (15.1, 5.66), (37.8, 1.62), (10.0, 7.88), (60.0, 0.62), (9.5, 8.15), (60.8, 0.60),
     (75.0, 0.35)],
)  # fmt: skip
def test_the_calls_behind_five_deal_structures(strike: float, printed: float) -> None:
    got = black_scholes(15.0, strike, FIRM["years"], FIRM["volatility"], FIRM["rate"])
    assert got == pytest.approx(printed, abs=0.02)


@pytest.mark.parametrize(
    ("terms", "breaks"),
    [
        ({"multiple": 1.51}, [15.1, 37.75]),  # convertible preferred
        ({"multiple": 0.92, "participation": "full"}, [9.2]),
        ({"multiple": 0.95, "participation": "capped", "cap": 3.0}, [9.5, 60.75, 75.0]),
    ],
)
def test_three_preferred_structures_are_worth_the_money(
    terms: dict[str, Any], breaks: list[float]
) -> None:
    table = CapTable(15.0, 15.0, (ShareClass("VC", 10.0, 10.0, **terms),))
    claims = table.claims()
    assert [p.price for p in break_points(claims)] == pytest.approx(breaks)
    values = option_values(claims, 15.0, **FIRM)
    assert values["VC"] == pytest.approx(10.0, abs=0.05)
    assert values["founders"] == pytest.approx(5.0, abs=0.05)


def test_the_venture_capital_method_with_three_outcomes() -> None:
    """A question of a CFA question bank (gaodun.com, 403t9s): $200m, $42m or nothing in 4 years.

    At 25 % a year the firm is worth $33.04m after the money and $28.04m before the $5m.
    """
    table = CapTable(1e6, 1e6)
    exits = [Scenario(1 / 3, 200e6, 4.0), Scenario(1 / 3, 42e6, 4.0), Scenario(1 / 3, 0.0, 4.0)]
    post = sum(scenario_values(lambda years: table.claims(), exits, 0.25).values())
    assert post == pytest.approx(33.04e6, abs=0.005e6)
    assert table.round(5e6, pre_money=post - 5e6, name="A").post_money == pytest.approx(post)


# ---- rounds that follow one another -------------------------------------------------------------
def test_three_rounds_of_the_venture_capital_method() -> None:
    """vcmethod.com, "Venture capital method (with dilution)": $37.5m in year five.

    Three investors want 50, 40 and 25 % a year; each round's price follows, and at the exit every
    one of them has it.
    """
    table = CapTable(1e6, 1e6)
    rounds = (  # raised, pre-money, new shares, price
        (1.5e6, 2_912_312.76, 515_055, 2.91),
        (1.0e6, 12_210_641.40, 124_077, 8.06),
        (1.0e6, 29_000_000.00, 56_522, 17.69),
    )
    for name, (raised, pre, shares, price) in zip("ABC", rounds, strict=True):
        made = table.round(raised, pre_money=pre, name=name)
        assert after(made)[name] == pytest.approx(shares, abs=1)
        assert made.price == pytest.approx(price, abs=0.006)
        table = made.after
    got = paid(table, 37.5e6)
    assert sum(after(made).values()) == pytest.approx(1_695_653, abs=1)
    wanted = {"A": (11_390_625, 0, 0.50), "B": (2_744_000, 2, 0.40), "C": (1_250_000, 4, 0.25)}
    for name, (worth, year, rate) in wanted.items():
        assert got[name] == pytest.approx(worth, rel=1e-5)
        raised = dict(zip("ABC", (row[0] for row in rounds), strict=True))[name]
        start = dt.date(2001, 1, 1) + dt.timedelta(days=365 * year)
        flows = [(start, -raised), (dt.date(2001, 1, 1) + dt.timedelta(days=365 * 5), got[name])]
        assert internal_rate(flows) == pytest.approx(rate, abs=1e-4)


def test_a_pool_topped_up_before_the_money_costs_the_founders_three_million() -> None:
    """deckmetric.com, "Option pool shuffle": $20m before $5m with a pool of 12 % after it.

    The founders' own shares are worth $17m, and $3m more if the pool comes after the money.
    """
    table = CapTable(8e6, 8e6)
    before = table.round(5e6, pre_money=20e6, pool=0.12, name="A")
    assert 8e6 * before.price == pytest.approx(17e6)
    later = table.round(5e6, pre_money=20e6, pool=0.12, pool_after_money=True, name="A")
    assert 8e6 * later.price == pytest.approx(20e6)
