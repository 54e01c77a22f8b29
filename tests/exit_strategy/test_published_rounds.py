"""Rounds, conversions and preferences that courses, calculators and lawyers have worked out.

Each names its source and the value it prints; what a source only asks is answered by hand.
"""

from __future__ import annotations

import datetime as dt

import pytest

from fastnn.exit_strategy.money import CapTable, Note, OptionGrant, Safe, ShareClass, adjusted_price
from fastnn.exit_strategy.money.waterfall import Schedule


def paid(table: CapTable, price: float, day: dt.date | None = None) -> dict[str, float]:
    return Schedule(table.claims(day)).pay(price)


def test_a_narrow_average_over_the_preferred_alone() -> None:
    """felix.fe.training, "Down Rounds Workout": 6m founders' shares, 3m of A at $1.

    $1.5m at $0.40 makes the conversion price 0.667 and the A shares 4.5m.
    """
    assert adjusted_price("narrow_preferred", 1.0, 0.4, 1.5e6, 3e6) == pytest.approx(2 / 3)
    a = ShareClass("A", 3e6, 3e6, anti_dilution="narrow_preferred")
    made = CapTable(6e6, 6e6, (a,)).round(1.5e6, price=0.4, name="B")
    after = {row.holder: row.after for row in made.rows}
    assert after == pytest.approx({"founders": 6e6, "A": 4.5e6, "B": 3.75e6})


@pytest.mark.parametrize(
    ("paper", "shares"),
    [
        (Note("x", 1e5, valuation_cap=6e6, discount=0.2), 66_667),
        (Safe("x", 1e5, 6e6, 0.2), 67_797),
        (Safe("x", 1e5, 6.1e6, 0.2), 66_667),
    ],
)
def test_a_note_and_a_post_money_safe_of_six_million(paper: Note | Safe, shares: int) -> None:
    """two12.co, "How Does a Post-SAFE Convert?", parts 1 to 3: 4m shares, a round at $2.00.

    The note's shares are 1.667 % of 4m; the post-money cap that gives as many is $6.1m.
    """
    safes = (paper,) if isinstance(paper, Safe) else ()
    notes = (paper,) if isinstance(paper, Note) else ()
    table = CapTable(3e6, 3e6, options=(OptionGrant("o", 1e6),), safes=safes, notes=notes)
    made = table.round(2e6, price=2.0, name="A")
    assert {row.holder: row.after for row in made.rows}["x"] == pytest.approx(shares, abs=0.5)


@pytest.mark.parametrize(
    ("participation", "printed", "exact"),
    [("full", 3.9e6, 2e6 + 13e6 / 7), ("none", 2.2e6, 15e6 / 7)],
)
def test_twice_a_million_of_seven(participation: str, printed: float, exact: float) -> None:
    """theinfolist.com, "Liquidation Preference": $1m at $7m post-money, 2x, sold for $15m.

    The page rounds 1/7 up to 14.4 %.
    """
    table = CapTable(
        6e6, 6e6, (ShareClass("A", 1e6, 1e6, multiple=2.0, participation=participation),)
    )
    got = paid(table, 15e6)["A"]
    assert got == pytest.approx(exact)
    assert got == pytest.approx(printed, abs=6e4)


def test_a_cap_above_the_discounted_price_is_disregarded() -> None:
    """Venture Learning Platform (vlp.teju-finance.com), SAFE, section 4, example 1a.

    $300,000, cap $4m, 30 % off, 2m shares, 1m new ones at $2.00: the price is $1.40.
    """
    table = CapTable(2e6, 2e6, safes=(Safe("s", 3e5, 4e6, 0.3, post_money=False),))
    made = table.round(2e6, price=2.0, name="A")
    assert made.converted["s"] == pytest.approx(1.4)
    assert {r.holder: r.after for r in made.rows}["s"] == pytest.approx(3e5 / 1.4)


def test_two_years_of_a_ten_per_cent_dividend() -> None:
    """learnvc.com, "Dividends": $2m at 10 % for two years is $400,000 more to the investors."""
    start, day = dt.date(2007, 1, 1), dt.date(2008, 12, 31)  # 730 days
    terms = {"dividend_rate": 0.1, "dividend_from": start}
    plain, accruing = (
        CapTable(3e6, 3e6, (ShareClass("A", 2e6, 2e6, **t),))  # type: ignore[arg-type]
        for t in ({}, terms)
    )
    assert paid(accruing, 3e6, day)["A"] - paid(plain, 3e6, day)["A"] == pytest.approx(4e5)


def test_eight_cents_a_year_are_sixteen_after_two() -> None:
    """techstartuplawyer.com: $0.08 a share, unpaid in 2007, is a preference of $0.16 in 2008."""
    a = ShareClass("A", 1e6, 1e6, dividend_rate=0.08, dividend_from=dt.date(2007, 1, 1))
    (claim,) = [
        c for c in CapTable(9e6, 9e6, (a,)).claims(dt.date(2008, 12, 31)) if c.holder == "A"
    ]
    assert (claim.due - 1e6) / 1e6 == pytest.approx(0.16)


def test_a_pool_of_a_tenth_out_of_a_million() -> None:
    """solutioninn.com, question 14410794: 1m shares, $3m at $1m pre-money, a pool of 10 % in it.

    Founders keep what 75 % and 10 % leave: 1m shares are 15 % of 6,666,667.
    """
    made = CapTable(1e6, 1e6).round(3e6, pre_money=1e6, name="A", pool=0.1)
    assert sum(r.after for r in made.rows) == pytest.approx(1e6 / 0.15)
    assert made.price == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("pre", "raised", "part"), [(8e6, 2e6, 0.2), (4e6, 1e6, 0.2), (6e6, 1e6, 0.143)]
)
def test_what_the_new_money_owns(pre: float, raised: float, part: float) -> None:
    """bloomitize.com (1m shares at $8 become 1.25m) and esignhub.io, "Pre-Money vs Post-Money"."""
    made = CapTable(1e6, 1e6).round(raised, pre_money=pre, name="A")
    after = {r.holder: r for r in made.rows}
    assert after["A"].after_part == pytest.approx(part, abs=5e-4)
    if pre == 8e6:
        assert (made.price, after["A"].after) == pytest.approx((8.0, 250_000))


def test_interest_of_five_per_cent_converts_too() -> None:
    """aparanagupta.com, convertible notes, part 3: $500,000 at 5 % for a year convert as $525,000.

    With a cap of $5m the discount of 20 % is the lower price until $6.25m pre-money.
    """
    day = dt.date(2022, 1, 1)
    note = Note("n", 5e5, 0.05, date=day, valuation_cap=5e6, discount=0.2)
    for pre, best in ((6e6, 0.8), (6.5e6, 5 / 6.5)):
        table = CapTable(1e7, 1e7, notes=(note,), as_of=day)
        # the page divides pre-money valuations by the shares before the note
        made = table.round(2e6, price=pre / 1e7, date=dt.date(2023, 1, 1), name="A")
        assert made.converted["n"] == pytest.approx(best * pre / 1e7)
        (shadow,) = [c for c in made.after.classes if c.name == "n"]
        assert shadow.invested == pytest.approx(525e3)


@pytest.mark.parametrize(("cap", "price"), [(None, 1.6), (10e6, 1.0)])
def test_a_safe_in_a_round_of_twenty_million(cap: float | None, price: float) -> None:
    """cidian.kuaisou.com, "safe with pre-money valuation cap": $20m over 10m shares, 20 % off."""
    safe = Safe("s", 1e5, cap, 0.2, post_money=False)
    made = CapTable(1e7, 1e7, safes=(safe,)).round(4e6, price=2.0, name="A")
    assert made.converted["s"] == pytest.approx(price)


def test_a_note_owns_its_money_and_interest_over_its_cap() -> None:
    """recaport.com, "SAFE Conversion Simulator": $500,000 and $45,000 over $5.0m are 10.90 %."""
    note = Note("n", 5e5, 0.09, years=1.0, valuation_cap=5e6, post_money=True)
    assert paid(CapTable(1e7, 1e7, notes=(note,)), 10e6)["n"] == pytest.approx(1.09e6)


def test_three_pre_money_caps_over_the_same_shares() -> None:
    """K. Bandarwad, "How multiple Pre-money SAFEs affect dilution": 90,000 and 10,000 shares.

    $0.5m at $2m, $0.75m at $4.25m, $1m at $9m convert into 25,000, 17,647 and 11,111 shares; then
    $5m of $25m post-money and a pool of 10 % of it leave them 70 %.
    """
    rows = [(5e5, 2e6), (7.5e5, 4.25e6), (1e6, 9e6)]
    safes = tuple(
        Safe(f"s{k}", amount, cap, post_money=False, counts_pool=False)
        for k, (amount, cap) in enumerate(rows)
    )
    table = CapTable(9e4, 9e4, options=(OptionGrant("o", 1e4),), safes=safes)
    made = table.round(5e6, pre_money=20e6, name="A", pool=0.1)
    after = {r.holder: r for r in made.rows}
    shares = [after[s.name].after for s in safes]
    assert shares == pytest.approx([25_000, 75e4 / 42.5, 1e5 / 9])
    assert sum(r.after for r in made.rows) == pytest.approx((1e5 + sum(shares)) / 0.7)
    assert after["A"].after_part == pytest.approx(0.2)


def test_pro_rata_of_post_money_safes_is_of_the_capitalization_before_the_pools_increase() -> None:
    """Y Combinator, SAFE quick start, section 3: SAFEs of 15 % with pro rata side letters.

    Others take 25 % of the company, options are 8 % before the round and the unissued pool 10 %
    after it: 25 % / (100 % - 15 %) - 25 % = 4.41 % go to the SAFEs.
    """
    table = CapTable(77e5, 77e5, options=(OptionGrant("o", 8e5),), safes=(Safe("s", 7.5e5, 5e6),))
    new = 0.25 / 0.85
    made = table.round(new * 20e6, pre_money=(1 - new) * 20e6, name="A", pool=0.1, pro_rata=["s"])
    whole = sum(r.after for r in made.rows)
    assert made.bought["s"] / whole == pytest.approx(0.0441, abs=5e-5)
    assert {r.holder: r.after_part for r in made.rows}["unissued pool"] == pytest.approx(0.1)
