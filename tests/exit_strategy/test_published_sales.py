"""Sales and conversions that textbooks, law firms and accelerators have worked out.

Each names its source and the value it prints; what a source only asks is answered by hand.
"""

from __future__ import annotations

import datetime as dt
from fractions import Fraction
from typing import Any

import pytest

from fastnn.exit_strategy.money import CapTable, Note, Safe, ShareClass
from fastnn.exit_strategy.money.rounds import RoundResult
from fastnn.exit_strategy.money.waterfall import Schedule, break_points


def paid(table: CapTable, price: float, day: dt.date | None = None) -> dict[str, float]:
    return Schedule(table.claims(day)).pay(price)


def part(made: RoundResult[CapTable], name: str) -> float:
    """A holder's part of all shares before the new money."""
    before = sum(row.after for row in made.rows if row.holder != "new")
    return next(row.after for row in made.rows if row.holder == name) / before


# ---- what a sale pays ---------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("terms", "investor"),
    [
        ({}, 60e6),
        ({"participation": "full"}, 80e6),
        ({"participation": "capped", "cap": 3.0}, 80e6),
    ],
)
def test_sixty_forty_for_a_hundred_million(terms: dict[str, Any], investor: float) -> None:
    """Feld and Mendelson, "Venture Deals", retold at onstartups, 34194: $50m in, sold for $100m.

    The book prints another figure for the cap of three times: at $80m the cap of $150m is far.
    """
    table = CapTable(4e6, 4e6, (ShareClass("A", 6e6, 50e6, **terms),))
    assert paid(table, 100e6)["A"] == pytest.approx(investor)


def test_four_investors_convert_one_after_the_other() -> None:
    """expertsmind.com, question 30149689: four classes, one with twice its money; D, B, A with C.

    D converts where ten million shares are worth its $5m: 30 + 0.5 x 20 = 40; B at 20 + 1.25 x 28.
    """
    rows = [
        ("A", 5e6, 5e6, 2.0),
        ("B", 10e6, 8e6, 1.0),
        ("C", 10e6, 5e6, 1.0),
        ("D", 5e6, 10e6, 1.0),
    ]
    table = CapTable(10e6, 10e6, tuple(
        ShareClass(name, shares, face, multiple, seniority=k)
        for k, (name, face, shares, multiple) in enumerate(rows, 1)
    ))  # fmt: skip
    found = [
        (point.holder, point.price)
        for point in break_points(table.claims())
        if point.event == "converts"
    ]
    assert [name for name, _ in found[:2]] == ["D", "B"]
    assert sorted(name for name, _ in found[2:]) == ["A", "C"]
    assert [price for _, price in found] == pytest.approx([40e6, 55e6, 76e6, 76e6])


def test_six_investors_of_whom_the_last_three_convert_at_one_price() -> None:
    """tutorsglobe.com, question 52042555: classes A to F of ten million shares, D owed twice and E
    three times its money; A, C, B, then D, E and F together.

    The founders' shares are not given, ten million here; the order is that of what is owed for a
    share: 0.2, 1.0, 1.1 and three times 3.0. A converts at 111 + 0.2 x 20 = 115.
    """
    rows = [("A", 2e6, 1.0), ("B", 11e6, 1.0), ("C", 10e6, 1.0), ("D", 15e6, 2.0),
            ("E", 10e6, 3.0), ("F", 30e6, 1.0)]  # fmt: skip
    for stacked in (False, True):
        table = CapTable(10e6, 10e6, tuple(
            ShareClass(name, 10e6, money, multiple, seniority=k if stacked else 1)
            for k, (name, money, multiple) in enumerate(rows, 1)
        ))  # fmt: skip
        found = [
            (point.holder, point.price)
            for point in break_points(table.claims())
            if point.event == "converts"
        ]
        assert [name for name, _ in found[:3]] == ["A", "C", "B"]
        assert sorted(name for name, _ in found[3:]) == ["D", "E", "F"]
        prices = [115e6, 131e6, 134e6, 210e6, 210e6, 210e6]
        assert [price for _, price in found] == pytest.approx(prices)


@pytest.mark.parametrize(
    ("terms", "price", "investor"),
    [
        ({}, 20e6, 20e6), ({}, 50e6, 30e6), ({}, 90e6, 270e6 / 7), ({}, 300e6, 900e6 / 7),
        ({"participation": "full"}, 50e6, 270e6 / 7), ({"participation": "full"}, 90e6, 390e6 / 7),
        ({"participation": "full"}, 300e6, 1020e6 / 7),
        ({"participation": "capped", "cap": 3.0}, 209e6, 90e6),
        ({"participation": "capped", "cap": 3.0}, 300e6, 900e6 / 7),
    ],
)  # fmt: skip
def test_thirty_on_forty(terms: dict[str, Any], price: float, investor: float) -> None:
    """tutorsglobe.com, question 51717429: $30m on $40m before it; 38.57, 55.71, 128.57, 145.71.

    A cap of three times is left for common shares at $210m.
    """
    table = CapTable(4e6, 4e6, (ShareClass("VC", 3e6, 30e6, **terms),))
    assert paid(table, price)["VC"] == pytest.approx(investor)


def test_a_tenth_keeps_its_million() -> None:
    """The first example of github.com/Ceesaxp/liqpref-waterfall-py: 10 %, $1m, sold for $5m.

    Its README gives the class $4.5m; without participation it keeps its $1m, as 10 % are less.
    """
    table = CapTable(9e6, 9e6, (ShareClass("A", 1e6, 1e6),))
    assert paid(table, 5e6) == pytest.approx({"founders": 4e6, "A": 1e6})


@pytest.mark.parametrize(
    ("price", "investor"),
    [(5e6, 5e6), (10e6, 10e6), (20e6, 40e6 / 3), (30e6, 15e6), (40e6, 15e6), (50e6, 50e6 / 3),
     (60e6, 20e6), (80e6, 80e6 / 3), (100e6, 100e6 / 3)],
)  # fmt: skip
def test_twice_the_money_and_a_cap_of_three_times(price: float, investor: float) -> None:
    """scribd.com/document/6879756, "Liquidation preference calculation": $5m on $10m before it."""
    row = ShareClass("A", 1e6, 5e6, 2.0, participation="capped", cap=3.0)
    assert paid(CapTable(2e6, 2e6, (row,)), price)["A"] == pytest.approx(investor)


@pytest.mark.parametrize(
    ("price", "investor"),
    [(8e6, 8e6), (10e6, 10e6), (25e6, 15e6), (40e6, 20e6), (55e6, 20e6), (60e6, 20e6),
     (75e6, 25e6)],
)  # fmt: skip
def test_twice_the_money_and_a_cap_of_four_times(price: float, investor: float) -> None:
    """dfrtw.com, page 157264 (in Chinese), and note 3 of the sheet above."""
    row = ShareClass("A", 1e6, 5e6, 2.0, participation="capped", cap=4.0)
    assert paid(CapTable(2e6, 2e6, (row,)), price)["A"] == pytest.approx(investor)


def test_a_sale_below_the_preference_leaves_founders_nothing() -> None:
    """tzdcd.com on preferences (in Chinese): ten million in, sold for eight."""
    table = CapTable(8e6, 8e6, (ShareClass("A", 2e6, 10e6),))
    assert paid(table, 8e6) == pytest.approx({"founders": 0.0, "A": 8e6})


# ---- SAFEs and notes ----------------------------------------------------------------------------
def test_two_post_money_safes_and_what_the_founder_keeps() -> None:
    """cytlaw, "Post-money SAFE math problems" (Medium): $1m at $10m, $0.6m at $15m: 10, 4, 86 %."""
    table = CapTable(1e7, 1e7, safes=(Safe("S1", 1e6, 10e6), Safe("S2", 6e5, 15e6)))
    made = table.round(1e6, pre_money=50e6, name="new")
    assert [part(made, n) for n in ("S1", "S2", "founders")] == pytest.approx([0.10, 0.04, 0.86])


@pytest.mark.parametrize(
    ("amount", "cap", "printed"), [(8e5, 6.7e6, 0.1194), (5e5, 5.5e6, 0.0909), (5e5, 8.3e6, 0.0602)]
)
def test_a_safe_is_its_money_over_its_cap(amount: float, cap: float, printed: float) -> None:
    """Y Combinator, "Quick start guide to the post-money SAFE" (copy at demo.vibed.pub)."""
    made = CapTable(1e7, 1e7, safes=(Safe("S", amount, cap),)).round(
        1e6, pre_money=50e6, name="new"
    )
    assert part(made, "S") == pytest.approx(amount / cap)
    assert part(made, "S") == pytest.approx(printed, abs=5e-5)


def test_a_safe_that_counts_itself() -> None:
    """hudsonriverperformingarts.com, "SAFE Ireland": $500k at $1.6m with itself, 3m shares."""
    made = CapTable(3e6, 3e6, safes=(Safe("S", 5e5, 1.6e6),)).round(1e6, pre_money=20e6, name="new")
    assert {r.holder: r.after for r in made.rows}["S"] == pytest.approx(1_363_636, abs=1)


def test_a_most_favoured_safe_takes_the_cap_of_the_next() -> None:
    """joinef.com, "Illustrative cap tables", table 3: 10 % for $1.25m at $12.5m, 1 % by its cap.

    The fixed 8 % of its accelerator are left out.
    """
    alone = CapTable(9e6, 9e6, pool=1e6, safes=(
        Safe("MFN", 125e3, mfn=True, date=dt.date(2026, 1, 5)),
        Safe("Investors (1)", 1.25e6, 12.5e6, date=dt.date(2026, 3, 1)),
    ))  # fmt: skip
    made = alone.round(10e6, pre_money=40e6, name="new")
    assert part(made, "MFN") == pytest.approx(0.01)
    assert part(made, "Investors (1)") == pytest.approx(0.10)


def test_a_note_of_a_hundred_thousand_and_a_year() -> None:
    """ccddlaw.com on convertible notes: $100k at 8 % for a year, 20 % off $500: 270 shares."""
    note = Note("N", 100e3, 0.08, 1.0, discount=0.2)
    made = CapTable(20_000, 20_000, notes=(note,)).round(2e6, price=500.0, name="A")
    assert made.converted["N"] == pytest.approx(400.0)
    assert {r.holder: r.after for r in made.rows}["N"] == pytest.approx(270)


def test_a_fixed_part_for_the_accelerator() -> None:
    """sosv.com, "Form of SOSV program investments": $275k convert to their part of the company.

    The capitalization has a pool of at least 10 % and leaves out its increase in the round.
    """
    fixed = Fraction(5, 100)
    safe = Safe("SOSV", 275e3, float(275_000 / fixed))
    made = CapTable(9e6, 9e6, pool=1e6, safes=(safe,)).round(5e6, pre_money=20e6, name="new")
    assert part(made, "SOSV") == pytest.approx(float(fixed))
    more = CapTable(9e6, 9e6, pool=1e6, safes=(safe,)).round(
        5e6, pre_money=20e6, name="new", pool=0.15
    )
    rows = {r.holder: r.after for r in more.rows}
    assert rows["SOSV"] / (9e6 + 1e6 + rows["SOSV"]) == pytest.approx(float(fixed))
