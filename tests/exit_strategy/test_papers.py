"""Promises of the papers: SAFEs, notes and dividends pay what their published texts say."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from reference_waterfall import liquidity_equilibria

from fastnn.exit_strategy.errors import ExitError, Issue
from fastnn.exit_strategy.money.captable import CapTable, Note, OptionGrant, Safe, ShareClass
from fastnn.exit_strategy.money.interest import Accrual, grown
from fastnn.exit_strategy.money.outcomes import parse_cap_table
from fastnn.exit_strategy.money.waterfall import (
    Schedule,
    break_points,
    pay_many,
    payouts_given,
    profitable_switch,
)
from fastnn.exit_strategy.notes import Note as Told


def pay(table: CapTable, price: float) -> dict[str, float]:
    return Schedule(table.claims()).pay(price)


def test_a_post_money_safe_leaves_out_preferred_shares_that_take_their_preference() -> None:
    """Y Combinator's SAFE v1.1: the liquidity capitalization has no holders of cash-out amounts."""
    table = CapTable(
        8e6, 8e6, (ShareClass("A", 2e6, 20e6),), (), (Safe("S", 2e6, 40e6),)
    )  # fmt: skip
    for price, wanted in ((50e6, 2e6), (60e6, 2e6), (70e6, 2.5e6)):
        got = pay(table, price)
        assert got["S"] == pytest.approx(wanted)
        assert got["A"] == 20e6
        assert sum(got.values()) == pytest.approx(price)
    assert pay(table, 200e6)["S"] == pytest.approx(10e6)  # A converts: 5 % of everything
    assert Schedule(table.exact_claims()).pay(Decimal(70_000_000))["S"] == Decimal(2_500_000)


def test_both_readings_of_a_class_that_participates_up_to_a_cap_can_be_stated() -> None:
    """Paid a preference, but not "in lieu of" its part of the rest: 5 % of 8m or of 10m shares."""
    a = ShareClass("A", 2e6, 10e6, participation="capped", cap=2)
    left_out, counted = (
        CapTable(8e6, 8e6, (a,), (), (Safe("S", 2e6, 40e6, counts_capped=way),))
        for way in (None, True)
    )
    assert pay(counted, 60e6)["S"] == pytest.approx(0.05 * 50e6)
    assert pay(left_out, 60e6)["S"] == pytest.approx(50e6 * 8 / 19 / (10 + 8 / 19))
    for table in (left_out, counted):
        assert pay(table, 200e6)["S"] == pytest.approx(10e6)  # A converts
        assert sum(pay(table, 60e6).values()) == pytest.approx(60e6)
    assert left_out.told == ("capped_not_counted",)
    assert counted.told == ()


def random_table(rng: np.random.Generator) -> CapTable:
    common = float(rng.uniform(1e6, 1e7))
    classes = tuple(
        ShareClass(
            f"C{i}", float(rng.uniform(2e5, 4e6)), float(rng.uniform(1e6, 3e7)),
            participation=str(rng.choice(["none", "none", "full", "capped"])),
            seniority=int(rng.integers(1, 4)),
        )
        for i in range(rng.integers(1, 3))
    )  # fmt: skip
    classes = tuple(replace(c, cap=2.0) if c.participation == "capped" else c for c in classes)
    options = (OptionGrant("O", 5e5, float(rng.choice([0.0, 0.5, 4.0]))),)
    safes = tuple(
        Safe(f"S{i}", float(rng.uniform(2e5, 1.5e6)), float(rng.uniform(5e6, 6e7)))
        for i in range(rng.integers(1, 3))
    )
    return CapTable(common, common, classes, options, safes)


def test_random_tables_with_post_money_paper_match_exhaustive_search() -> None:
    rng = np.random.default_rng(11)
    events = set()
    for _ in range(40):
        table = random_table(rng)
        due = sum(float(c.invested) for c in table.classes) + sum(
            float(s.amount) for s in table.safes
        )
        claims = table.claims()
        schedule = Schedule(claims)
        for factor in rng.uniform(0.3, 4, 2):
            price = float(due * factor)
            got = schedule.pay(price)
            found = liquidity_equilibria(table, price)
            gap = min(max(abs(got[h] - other[h]) for h in got) for other in found)
            assert gap < 1e-6 * price, (table, price)
            assert profitable_switch(claims, price) is None
            assert sum(got.values()) == pytest.approx(price)
            kept = payouts_given(claims, schedule.converted(price), price)
            assert kept == pytest.approx(list(got.values()), rel=1e-9, abs=1e-3)
        events |= {p.event for p in break_points(claims)}
    assert events == {"starts", "exercises", "converts", "reaches_cap"}


def test_the_two_safes_of_the_standard_deal_do_not_favour_each_other() -> None:
    """Y Combinator: $125k for 7 % and $375k most-favoured, signed together; an angel's cap counts.

    "Subsequent Convertible Securities" are those issued after the paper.
    """
    day = dt.date(2024, 1, 10)
    deal = (Safe("YC", 125e3, 125e3 / 0.07, date=day), Safe("YC MFN", 375e3, mfn=True, date=day))
    assert pay(CapTable(9e6, 9e6, safes=deal), 50e6)["YC MFN"] == pytest.approx(375e3)
    angel = Safe("angel", 250e3, 10e6, date=day + dt.timedelta(60))
    paid = pay(CapTable(9e6, 9e6, safes=(*deal, angel)), 50e6)
    assert paid["YC MFN"] == pytest.approx(50e6 * 0.0375)
    assert paid["YC"] == pytest.approx(50e6 * 0.07)
    assert "mfn_undated" not in CapTable(9e6, 9e6, safes=(*deal, angel)).told
    assert (
        "mfn_undated"
        in CapTable(9e6, 9e6, safes=(Safe("x", 1e5, mfn=True), Safe("y", 1e5, 4e6))).told
    )


def test_undated_papers_of_the_standard_deal_are_known_and_both_readings_can_be_stated() -> None:
    """Without days the deal's $375k does not take the cap of its $125k; other paper counts."""
    yc, most = Safe("YC", 125e3, 1_785_714), Safe("YC MFN", 375e3, mfn=True)
    table = CapTable(9e6, 9e6, safes=(yc, most))
    assert pay(table, 50e6)["YC MFN"] == pytest.approx(375e3)
    assert [key for key in table.told if key.startswith("mfn")] == ["mfn_standard_deal"]
    angel = Safe("angel", 250e3, 10e6)
    both = CapTable(9e6, 9e6, safes=(yc, most, angel))
    assert pay(both, 50e6)["YC MFN"] == pytest.approx(50e6 * 0.0375)
    assert {"mfn_standard_deal", "mfn_undated"} <= set(both.told)
    for counts, part in ((True, 375e3 / 1_785_714), (False, 375e3 / 50e6)):
        said = replace(most, mfn_counts_undated=counts)
        table = CapTable(9e6, 9e6, safes=(yc, said, angel))
        assert pay(table, 50e6)["YC MFN"] == pytest.approx(50e6 * part)
        assert not [key for key in table.told if key.startswith("mfn")]
    # a dated pair goes by its days, whatever the field says
    day = dt.date(2024, 1, 10)
    late = CapTable(9e6, 9e6, safes=(
        replace(yc, date=day + dt.timedelta(1)), replace(most, date=day, mfn_counts_undated=False),
    ))  # fmt: skip
    assert pay(late, 50e6)["YC MFN"] == pytest.approx(50e6 * 375e3 / 1_785_714)
    # no other amount or part is the deal's
    for other in (Safe("s", 125e3, 2e6), Safe("s", 150e3, 150e3 / 0.07)):
        assert pay(CapTable(9e6, 9e6, safes=(other, most)), 50e6)["YC MFN"] > 375e3


def test_terms_that_are_rare_are_told() -> None:
    a, note = ShareClass("A", 1e6, 4e6), Note("N", 1e6, 0.08, 1.0)
    assert CapTable(9e6, 9e6, (a,), notes=(note,)).told == ()
    for key, table in {
        "rate_high": CapTable(9e6, 9e6, (a,), notes=(replace(note, interest=0.8),)),
        "multiple_low": CapTable(9e6, 9e6, (replace(a, multiple=0.5),)),
        "notes_with_classes": CapTable(9e6, 9e6, (replace(a, seniority=0),), notes=(note,)),
    }.items():
        assert table.told == (key,)
    loan = Note("L", 1e6, accruals=(Accrual(0.6, dt.date(2025, 1, 1)),))
    assert CapTable(9e6, 9e6, notes=(loan,)).told == ("rate_high",)
    assert CapTable(9e6, 9e6, (replace(a, multiple=0.0),)).told == ()


def test_most_favoured_paper_becomes_identical_to_the_one_it_takes() -> None:
    """The amended SAFE is "identical" to the later one: discount and pool go with the cap."""
    later = Safe("later", 1e6, 10e6, counts_pool=True, date=dt.date(2024, 5, 1))
    first = Safe("first", 5e5, discount=0.2, mfn=True, date=dt.date(2024, 1, 1))
    table = CapTable(9e6, 9e6, pool=1e6, safes=(first, later))
    paid = pay(table, 50e6)
    assert paid["first"] == pytest.approx(paid["later"] / 2)


def test_a_change_of_control_multiplies_the_principal_or_all_that_is_owed() -> None:
    """2x of 1m at 8 % for a year: 2.16m, or 2m and 80,000 of interest."""
    note = Note("N", 1e6, 0.08, 1.0, multiple=2.0)
    assert pay(CapTable(9e6, 9e6, notes=(note,)), 10e6)["N"] == pytest.approx(2.16e6)
    alone = replace(note, multiple_on_interest=False)
    assert pay(CapTable(9e6, 9e6, notes=(alone,)), 10e6)["N"] == pytest.approx(2.08e6)
    issues: list[Issue] = []
    row = {"name": "N", "principal": "1m", "interest": "8%", "years": 1, "multiple": "2x",
           "multiple_on_interest": "no"}  # fmt: skip
    table = parse_cap_table({"common": 9e6, "notes": [row]}, issues)
    assert table is not None, issues
    assert pay(table, 10e6)["N"] == pytest.approx(2.08e6)


#: Post-money SAFEs whose counts leap when another paper converts, with prices around the leap.
LEAPS = [
    (
        CapTable(
            5e6, 5e6,
            (ShareClass("C0", 1.6e6, 5e6), ShareClass("C1", 2_327_192.0, 2.5e6, seniority=3)),
            (OptionGrant("O", 355_997.0),),
            (Safe("S0", 1_131_473.0, 8_290_726.0), Safe("S1", 2_354_814.0, 8_290_726.0)),
        ),
        (16e6, 17e6, 18.1673e6, 19.2e6, 19.3e6, 30e6, 60e6),
    ),
    (
        CapTable(
            1e6, 1e6,
            (ShareClass("C0", 3_810_602.6, 14_476_865.0), ShareClass("C1", 2_432_032.0, 2.137e6)),
            (OptionGrant("O0", 1e6, 0.1), OptionGrant("O1", 5e5, 0.5)),
            (
                Safe("S0", 2_814_047.0, 24_799_366.0), Safe("S1", 2_952_998.0, 45_475_599.0),
                Safe("S2", 2_277_693.0, 24_799_366.0),
            ),
        ),
        (40e6, 42e6, 43.347e6, 44.3e6, 44.5e6, 46e6),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("table", "prices"), LEAPS)
def test_whoever_loses_by_having_converted_turns_back(
    table: CapTable, prices: tuple[float, ...]
) -> None:
    """A class that converted at 16.7m would be left with less than its preference at 18m."""
    claims = table.claims()
    schedule = Schedule(claims)
    for price in prices:
        got = schedule.pay(price)
        found = liquidity_equilibria(table, price)
        assert min(max(abs(got[h] - o[h]) for h in got) for o in found) < 1e-6 * price, price
        assert profitable_switch(claims, price) is None
        exact = Schedule(table.exact_claims()).pay(Decimal(str(price)))
        assert {h: float(v) for h, v in exact.items()} == pytest.approx(got, rel=1e-9)


def test_nobody_among_many_holders_of_safes_gains_by_choosing_otherwise() -> None:
    safes = tuple(Safe(f"S{i}", 1e5 + 1e3 * i, 8e6 + 5e5 * i) for i in range(24))
    rows = tuple(ShareClass(f"C{i}", 1e6, 2e6 * (i + 1), seniority=i + 1) for i in range(3))
    claims = CapTable(8e6, 7e6, rows, (OptionGrant("O", 5e5, 1.0),), safes).claims()
    schedule = Schedule(claims)
    for price in (1e6, 9e6, 16e6, 24e6, 31e6, 45e6, 90e6):
        assert sum(schedule.amounts(price)) == pytest.approx(price)
        assert profitable_switch(claims, price) is None


DISCOUNTED = {
    "two discounts": (Safe("S1", 2e6, discount=0.20), Safe("S2", 1e6, discount=0.10)),
    "a discount in a sale beside caps": (
        Safe("S1", 2e6, 20e6, 0.20, discount_in_sale=True), Safe("S2", 1e6, 8e6),
    ),
}  # fmt: skip


@pytest.mark.parametrize("safes", DISCOUNTED.values(), ids=DISCOUNTED)
def test_every_bend_of_the_payouts_is_a_break_point(safes: tuple[Safe, ...]) -> None:
    rows = (ShareClass("A", 2e6, 10e6, participation="capped", cap=2.0),
            ShareClass("B", 1e6, 12e6, seniority=2))  # fmt: skip
    claims = CapTable(8e6, 7e6, rows, (OptionGrant("O", 5e5, 1.0),), safes).claims()
    told = [point.price for point in break_points(claims)]
    before: list[float] = []
    for price, _, slopes in Schedule(claims).pieces():
        bends = any(abs(a - b) > 1e-9 for a, b in zip(slopes, before, strict=False))
        assert not bends or any(price == pytest.approx(at, rel=1e-9) for at in told), price
        before = list(slopes)


def test_many_tables_with_such_paper_pay_as_one_by_one() -> None:
    rng = np.random.default_rng(5)
    prices = np.linspace(0, 2e8, 40)
    claims = random_table(rng).claims()
    plain = np.array([Schedule(claims).amounts(float(p)) for p in prices]).T
    assert np.array_equal(pay_many([claims], prices)[0], plain)


def test_a_discount_works_in_a_sale_only_where_the_form_says_so() -> None:
    """In Y Combinator's forms the liquidity price knows the discount only without a cap."""
    both = CapTable(9e6, 9e6, safes=(Safe("S", 1e6, 20e6, 0.2),))
    assert [pay(both, p)["S"] for p in (5e6, 10e6, 20e6, 30e6)] == pytest.approx(
        [1e6, 1e6, 1e6, 1.5e6]
    )
    agreed = CapTable(9e6, 9e6, safes=(Safe("S", 1e6, 20e6, 0.2, discount_in_sale=True),))
    assert pay(agreed, 5e6)["S"] == pytest.approx(1.25e6)
    alone = CapTable(9e6, 9e6, safes=(Safe("S", 1e6, None, 0.2),))
    assert pay(alone, 5e6)["S"] == pytest.approx(1.25e6)
    refused = CapTable(9e6, 9e6, safes=(Safe("S", 1e6, None, 0.2, discount_in_sale=False),))
    assert pay(refused, 50e6)["S"] == pytest.approx(1e6)
    note = CapTable(9e6, 9e6, notes=(Note("N", 1e6, 0.08, 1.0, 20e6, 0.2),))
    assert pay(note, 5e6)["N"] == pytest.approx(1.08e6)
    usual = CapTable(9e6, 9e6, notes=(Note("N", 1e6, 0.08, 1.0, 20e6, 0.2, multiple=2.0),))
    assert pay(usual, 5e6)["N"] == pytest.approx(2.16e6)


def test_discounted_papers_share_by_what_their_discount_makes_of_them() -> None:
    table = CapTable(1e6, 1e6, safes=(Safe("a", 2e6, None, 0.2), Safe("b", 2e6, None, 0.15)))
    got = pay(table, 4.5e6)  # 2.5m and 2.353m due, 4.5m there
    assert got["a"] == pytest.approx(2_318_181.82, abs=0.01)
    assert got["b"] == pytest.approx(2_181_818.18, abs=0.01)
    assert pay(table, 4.1e6) == pytest.approx({"founders": 0.0, "a": 2.1e6, "b": 2e6})
    assert profitable_switch(table.claims(), 4.5e6) is None
    many = pay_many([table.claims()], [4.5e6])[0, :, 0]
    assert many == pytest.approx(list(got.values()))


def test_a_most_favoured_safe_takes_the_terms_of_later_paper() -> None:
    cap = Safe("cap", 1e6, 10e6, date=dt.date(2024, 5, 1))
    first = Safe("mfn", 5e5, mfn=True, date=dt.date(2024, 1, 1))
    late = replace(first, date=dt.date(2025, 1, 1))
    assert pay(CapTable(9e6, 9e6, safes=(first, cap)), 50e6)["mfn"] == pytest.approx(2.5e6)
    assert pay(CapTable(9e6, 9e6, safes=(late, cap)), 50e6)["mfn"] == pytest.approx(5e5)
    undated = replace(first, date=None)
    assert pay(CapTable(9e6, 9e6, safes=(undated, cap)), 50e6)["mfn"] == pytest.approx(2.5e6)
    two = (undated, replace(undated, name="other"))  # each looks at the other: nothing to take
    assert pay(CapTable(9e6, 9e6, safes=two), 50e6)["mfn"] == pytest.approx(5e5)
    rate = Safe("rate", 1e6, None, 0.2)
    assert pay(CapTable(9e6, 9e6, safes=(undated, rate)), 50e6)["mfn"] == pytest.approx(6.25e5)
    cheaper = Safe("cheap", 1e5, 5e6)
    table = CapTable(9e6, 9e6, safes=(undated, cap, cheaper))
    assert pay(table, 50e6)["mfn"] == pytest.approx(5e6)  # 10 % at the lowest cap


JAN = dt.date(2022, 1, 1)


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        ([Accrual(0.10, JAN, compounding="annual")], 1.21),
        ([Accrual(0.10, JAN)], 1.2),
        ([Accrual(0.10, JAN, dt.date(2022, 12, 31)), Accrual(0.02, dt.date(2023, 1, 1))], 1.12),
        ([Accrual(0.02, dt.date(2023, 1, 1)), Accrual(0.10, JAN, dt.date(2022, 12, 31))], 1.12),
        ([Accrual(0.08, JAN, compounding="quarterly")], 1.02**8),
        ([Accrual(0.12, JAN, compounding="monthly")], 1.01**24),
        ([Accrual(0.10, JAN, compounding="semiannual")], 1.05**4),
        ([Accrual(0.0365, JAN, compounding="daily")], 1.0001**730),
        ([Accrual(0.10, dt.date(2023, 7, 1), day_count="30/360")], 1.05),
        ([Accrual(0.10, dt.date(2025, 1, 1))], 1.0),
        ([Accrual(0.10, JAN, dt.date(2022, 6, 30)),
          Accrual(0.10, dt.date(2022, 7, 1), compounding="annual")],
         (1 + 0.10) * (1 + 0.10 * 184 / 365) + 0.10 * 181 / 365),
    ],
)  # fmt: skip
def test_interest_runs_by_its_steps_its_days_and_its_periods(
    rows: list[Accrual], wanted: float
) -> None:
    assert grown(rows, dt.date(2024, 1, 1), float) == pytest.approx(wanted, rel=1e-12)
    exact = grown(rows, dt.date(2024, 1, 1), lambda x: Decimal(str(x)))
    assert float(exact) == pytest.approx(wanted, rel=1e-12)


def test_interest_and_dividends_run_to_the_day_that_is_asked_for() -> None:
    note = Note("N", 1e6, accruals=(Accrual(0.1, JAN),))
    a = ShareClass("A", 1e6, 2e6, dividend_rate=0.08, dividend_from=JAN)
    b = ShareClass("B", 1e6, 2e6, dividend_rate=0.08, dividend_from=JAN,
                   dividend_compounding="annual")  # fmt: skip
    table = CapTable(1e6, 1e6, (a, b), notes=(note,), as_of=dt.date(2023, 1, 1))
    due = {c.holder: c.due for c in table.claims()}
    assert due == pytest.approx({"founders": 0, "A": 2.16e6, "B": 2.16e6, "N": 1.1e6})
    later = {c.holder: c.due for c in table.claims(dt.date(2024, 1, 1))}
    assert later == pytest.approx({"founders": 0, "A": 2.32e6, "B": 2.3328e6, "N": 1.2e6})
    assert table.accrues
    assert not CapTable(1.0, 1.0).accrues
    assert table.raised == 5e6


def test_periods_of_interest_are_read_and_their_faults_named() -> None:
    row = {
        "name": "N",
        "principal": "1m",
        "accruals": [{"rate": "10%", "start": "2022-01-01", "compounding": "annual"}],
    }
    table = parse_cap_table({"common": 1, "notes": [row]}, [])
    assert table is not None
    assert table.notes[0].accruals == (Accrual(0.1, JAN, compounding="annual"),)
    for change, field in (
        ({"day_count": "act/act"}, "accruals[0]"),
        ({"compounding": "hourly"}, "accruals[0]"),
        ({"end": "2021-01-01"}, "accruals[0].end"),
        ({"rate": -1}, "accruals[0].rate"),
        ({"speed": 1}, "accruals[0].speed"),
    ):
        bad = {**row, "accruals": [{"rate": 0.1, "start": "2022-01-01", **change}]}
        assert parse_cap_table({"common": 1, "notes": [bad]}, issues := []) is None
        assert issues[0].field == f"cap_table.notes[0].{field}"
    assert parse_cap_table({"common": 1, "notes": [{**row, "interest": 0.1}]}, issues := []) is None
    assert "twice" in issues[0].message
    with pytest.raises(ExitError, match="no first day"):
        CapTable(1.0, 1.0, (ShareClass("A", 1.0, 1.0, dividend_rate=0.1),))


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [("classes", "multiple", 1e308), ("classes", "invested", 1e30), ("classes", "shares", 1e19),
     ("notes", "interest", 1e9), ("safes", "amount", 1e300)],
)  # fmt: skip
def test_terms_that_would_drown_all_others_are_refused(kind: str, name: str, value: float) -> None:
    rows = {
        "classes": {"name": "A", "shares": 1, "invested": 1},
        "notes": {"name": "N", "principal": 1},
        "safes": {"name": "S", "amount": 1},
    }
    data = {"common": 1, kind: [{**rows[kind], name: value}]}
    assert parse_cap_table(data, issues := []) is None
    assert (issues[0].code, issues[0].field) == ("EX308", f"cap_table.{kind}[0].{name}")


def test_paper_of_a_day_after_the_figures_is_told() -> None:
    """Its holders are counted, the cash of the figures does not hold what they paid."""
    day = dt.date(2026, 10, 1)
    for rows in (
        {"classes": (ShareClass("A", 1e6, 4e6, date=day),)},
        {"safes": (Safe("S", 1e6, 10e6, date=day),)},
        {"notes": (Note("N", 1e6, 0.08, date=day),)},
    ):
        table = CapTable(9e6, 9e6, **rows, as_of=day)  # type: ignore[arg-type]
        assert "paper_after_figures" not in table.told
        early = replace(table, as_of=day - dt.timedelta(1))
        assert "paper_after_figures" in early.told
    for lang in ("en", "zh"):
        assert Told("paper_after_figures").text(lang)
