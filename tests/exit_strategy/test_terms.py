"""Promises of the terms: warrants, vesting, redemption, ratchets, the pool and persons."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from exit_profiles import TODAY, make_profile_dict
from reference_waterfall import exercise_equilibria

from fastnn.exit_strategy.errors import ExitError, Issue
from fastnn.exit_strategy.evaluation import evaluate
from fastnn.exit_strategy.money.captable import (
    CapTable,
    Note,
    OptionGrant,
    Safe,
    ShareClass,
    Vesting,
)
from fastnn.exit_strategy.money.deals import Assumptions
from fastnn.exit_strategy.money.interest import year_part
from fastnn.exit_strategy.money.outcomes import parse_cap_table, proceeds, run_waterfall
from fastnn.exit_strategy.money.vesting import counted, vested
from fastnn.exit_strategy.money.waterfall import (
    Schedule,
    break_points,
    pay_many,
    profitable_switch,
)
from fastnn.exit_strategy.profile.profile import Profile

JAN = dt.date(2024, 1, 1)


def pay(table: CapTable, price: float, on: dt.date | None = None) -> dict[str, float]:
    return Schedule(table.claims(on)).pay(price)


def faults(table: dict[str, Any]) -> list[Issue]:
    issues: list[Issue] = []
    parse_cap_table(table, issues)
    return issues


# ---- warrants -----------------------------------------------------------------------------------


def test_a_warrant_on_preferred_takes_the_preference_net_of_its_strike() -> None:
    """1m A shares at $10 and a warrant over 100,000 more at $4, 9m common."""
    table = CapTable(
        9e6, 9e6, (ShareClass("A", 1e6, 10e6),), (OptionGrant("W", 1e5, 4.0, share_class="A"),)
    )
    # 4/10 of the preference goes to the class alone, the rest is shared 1,000,000 : 100,000
    assert pay(table, 4e6)["W"] == 0
    got = pay(table, 7.3e6)
    assert got["W"] == pytest.approx(0.3e6)
    assert got["A"] == pytest.approx(7e6)
    assert pay(table, 20e6)["W"] == pytest.approx(1e5 * (10.0 - 4.0))
    high = pay(table, 200e6)  # all convert: the strike joins the pot
    assert high["W"] == pytest.approx(1e5 * ((200e6 + 4e5) / 10.1e6 - 4.0))
    events = {(p.holder, p.event): p.price for p in break_points(table.claims())}
    assert events["W", "exercises"] == pytest.approx(4e6)
    assert ("W", "converts") in events


def test_a_penny_warrant_is_worth_a_share_of_its_class() -> None:
    plain = CapTable(9e6, 9e6, (ShareClass("A", 1e6, 10e6),))
    table = replace(plain, options=(OptionGrant("W", 1e5, 0.0, share_class="A"),))
    for price in (5e6, 30e6, 300e6):
        got = pay(table, price)
        assert got["W"] == pytest.approx(got["A"] / 10)


def random_table(rng: np.random.Generator) -> CapTable:
    common = float(rng.uniform(1e6, 1e7))
    kinds = rng.choice(["none", "none", "full", "capped"], 2)
    classes = []
    for i in range(int(rng.integers(1, 3))):
        shares = float(rng.uniform(2e5, 4e6))
        redeems = rng.random() < 0.3
        kind = str(kinds[i])
        multiple = float(rng.choice([1.0, 1.5]))
        classes.append(
            ShareClass(
                f"C{i}", shares, float(rng.uniform(1e6, 3e7)), multiple, participation=kind,
                cap=2.5 if kind == "capped" else None, seniority=int(rng.integers(1, 3)),
                conversion_ratio=float(rng.choice([1.0, 1.3])),
                redemption_date=JAN if redeems else None,
                redemption_multiple=2.0 if redeems and kind == "none" else 1.0,
            )
        )  # fmt: skip
    options = []
    for i in range(int(rng.integers(0, 2))):
        vesting = Vesting(dt.date(2023, 1, 1), 48, 12, 3, str(rng.choice(["none", "single"])), 0.5)
        options.append(
            OptionGrant(f"O{i}", float(rng.uniform(1e5, 1e6)), float(rng.choice([0.0, 0.5, 4.0])),
                        vesting=vesting, unvested=str(rng.choice(["assumed", "lapse"])))
        )  # fmt: skip
    targets = [c for c in classes if c.participation != "capped"]
    for i, c in enumerate(targets[: int(rng.integers(0, 3))]):
        share = c.invested / c.shares
        strike = float(share) * float(rng.choice([0.0, 0.3, 1.0, 1.7]))
        options.append(OptionGrant(f"W{i}", float(rng.uniform(5e4, 8e5)), strike,
                                   share_class=c.name))  # fmt: skip
    safes = ()
    if rng.random() < 0.5:
        safes = (
            Safe("S", float(rng.uniform(2e5, 1.5e6)), float(rng.uniform(5e6, 6e7)), 0.0, False,
                 counts_pool=bool(rng.random() < 0.5)),
        )  # fmt: skip
    return CapTable(common, common, tuple(classes), tuple(options), safes,
                    pool=float(rng.uniform(0, 1e6)), as_of=JAN)  # fmt: skip


def as_moves(table: CapTable, on: dt.date) -> list[dict[str, Any]]:
    """The table's papers as moves of `exercise_equilibria`, from the terms alone."""
    last = max(c.seniority for c in table.classes)
    papers: list[dict[str, Any]] = [
        {"name": "founders", "moves": [(0.0, last, table.founders, None, 0.0)]}
    ]
    dues, base = {}, float(table.common)
    for c in table.classes:
        multiple = c.multiple
        if c.redemption_date is not None and on >= c.redemption_date:
            multiple = max(multiple, c.redemption_multiple)
        due, units = multiple * c.invested, c.shares * c.conversion_ratio
        dues[c.name] = (c.multiple * c.invested / c.shares, c)
        base += units
        if c.participation == "full":
            moves = [(due, c.seniority, units, None, 0.0)]
        elif c.participation == "capped":
            cap = max(due, (c.cap or 0.0) * c.invested)
            moves = [(due, c.seniority, units, cap, 0.0), (0.0, c.seniority, units, None, 0.0)]
        else:
            moves = [(due, c.seniority, 0.0, None, 0.0), (0.0, c.seniority, units, None, 0.0)]
        papers.append({"name": c.name, "moves": moves})
    for o in table.options:
        n = o.n
        if o.vesting is not None and o.unvested == "lapse":
            months = (on.year - 2023) * 12 + on.month - 1
            done = min(1.0, (months - months % 3) / 48) if months >= 12 else 0.0
            if o.vesting.trigger == "single":
                done += 0.5 * (1 - done)
            n *= done
        if n == 0:
            continue
        nothing = (0.0, last, 0.0, None, 0.0)
        if o.share_class is None:
            moves = [nothing, (0.0, last, n, None, n * o.strike)]
            base += n
        else:
            share, c = dues[o.share_class]
            units = n * c.conversion_ratio
            base += units
            if c.participation == "full":
                moves = [nothing, (n * share, c.seniority, units, None, n * o.strike)]
            else:
                moves = [nothing, (n * share, c.seniority, 0.0, None, n * o.strike),
                         (0.0, c.seniority, units, None, n * o.strike)]  # fmt: skip
        papers.append({"name": o.name, "moves": moves})
    for s in table.safes:
        assert s.valuation_cap is not None
        count = base + (table.pool if s.counts_pool else 0.0)
        units = s.amount / s.valuation_cap * count
        papers.append(
            {"name": s.name,
             "moves": [(s.amount, last, 0.0, None, 0.0), (0.0, last, units, None, 0.0)]}
        )  # fmt: skip
    return papers


def test_random_tables_with_the_new_terms_match_exhaustive_search() -> None:
    rng = np.random.default_rng(2026)
    on = dt.date(2025, 5, 20)
    seen = set()
    for _ in range(700):
        table = random_table(rng)
        claims = table.claims(on)
        schedule = Schedule(claims)
        papers = as_moves(table, on)
        due = sum(float(c.invested) for c in table.classes)
        for factor in rng.uniform(0.2, 5, 2):
            price = float(due * factor)
            got = schedule.pay(price)
            found = exercise_equilibria(papers, price)
            names = [p["name"] for p in papers]
            assert set(names) == set(got)
            gap = min(
                max(abs(got[n] - x) for n, x in zip(names, net, strict=True)) for net in found
            )
            assert gap < 1e-6 * price, (table, price)
            assert sum(got.values()) == pytest.approx(price)
            assert profitable_switch(claims, price) is None
        seen |= {(p.holder[0], p.event) for p in break_points(claims)}
        exact = Schedule(table.exact_claims(on)).pay(Decimal(int(price)))
        close = schedule.pay(float(int(price)))
        assert {h: float(x) for h, x in exact.items()} == pytest.approx(close, rel=1e-9, abs=1e-3)
    assert {("W", "exercises"), ("W", "converts"), ("O", "exercises"), ("C", "reaches_cap")} <= seen


def test_tables_with_warrants_are_paid_alike_one_by_one_and_together() -> None:
    table = CapTable(
        9e6, 9e6, (ShareClass("A", 1e6, 10e6),), (OptionGrant("W", 1e5, 4.0, share_class="A"),)
    )
    prices = np.linspace(1e5, 1e8, 25)
    many = pay_many([table.claims()], prices)[0]
    plain = np.array([Schedule(table.claims()).amounts(float(p)) for p in prices]).T
    assert np.array_equal(many, plain)


@pytest.mark.parametrize(
    ("row", "word"),
    [
        ({"n": 1e5, "strike": 1, "share_class": "Z"}, "not a class"),
        ({"n": 1e5, "strike": 1, "share_class": "B"}, "up to a cap"),
        ({"n": 1e5, "unvested": "lapse"}, "no vesting"),
        ({"n": 1e5, "unvested": "gone", "vesting": {"start": "2024-01-01"}}, "not known"),
        ({"n": 1e5, "vesting": {"start": "2024-01-01", "trigger": "triple"}}, "not known"),
        ({"n": 1e5, "vesting": {"start": "2024-01-01", "months": 6}}, "cliff"),
        ({"n": 1e5, "vesting": {"start": "2024-01-01", "accelerated": 1.5}}, "no part"),
        ({"n": 1e5, "vesting": {"months": 48}}, "missing"),
        ({"n": 1e5, "vesting": {"start": "2024-01-01", "trigger": "double"},
          "unvested": "lapse"}, "double trigger"),
        ({"n": -5, "strike": 1}, "not an amount"),
    ],
)  # fmt: skip
def test_grants_that_cannot_be_are_refused_by_name(row: dict[str, Any], word: str) -> None:
    table = {
        "common": 1e6,
        "classes": [
            {"name": "A", "shares": 1e5, "invested": 1e6},
            {"name": "B", "shares": 1e5, "invested": 1e6, "participation": "capped", "cap": 2},
        ],
        "options": [{"name": "W", **row}],
    }
    found = faults(table)
    assert any(word in issue.message for issue in found), found
    assert all(issue.hint and issue.field.startswith("cap_table") for issue in found)


# ---- vesting ------------------------------------------------------------------------------------


def test_vesting_counts_whole_months_after_the_cliff() -> None:
    """The usual grant: four years, a year's cliff, monthly."""
    plan = Vesting(JAN)
    days = [dt.date(2024, 12, 31), dt.date(2025, 1, 1), dt.date(2025, 2, 1), dt.date(2030, 1, 1)]
    assert [float(vested(plan, day) * 48) for day in days] == [0, 12, 13, 48]
    quarterly = replace(plan, every=3)
    assert float(vested(quarterly, dt.date(2025, 3, 31)) * 48) == 12
    assert vested(replace(plan, months=0, cliff=0), JAN) == 1
    month_end = Vesting(dt.date(2024, 1, 31))
    assert float(vested(month_end, dt.date(2025, 2, 28)) * 48) == 13


def test_triggers_decide_what_a_sale_pays_and_when() -> None:
    half = dt.date(2026, 1, 1)
    grant = OptionGrant("G", 4.8e6, 0.0, vesting=Vesting(JAN))
    assert counted(grant, half) == (1, 0.5)  # the buyer goes on with the rest
    lapse = replace(grant, unvested="lapse")
    assert counted(lapse, half) == (0.5, 0.5)
    single = replace(lapse, vesting=Vesting(JAN, trigger="single", accelerated=0.5))
    assert counted(single, half) == (0.75, 0.75)
    double = replace(grant, vesting=Vesting(JAN, trigger="double"))
    assert counted(double, half) == (1, 0.5)
    common = CapTable(2.4e6, 2.4e6, options=(lapse,), as_of=JAN)
    assert pay(common, 10e6, half)["G"] == pytest.approx(5e6)
    assert "G" not in pay(common, 10e6, dt.date(2024, 6, 1))  # before the cliff nothing counts
    assert replace(common, options=(grant,)).at_closing(half) == {"G": 0.5}


def test_the_day_of_the_sale_decides_what_has_vested() -> None:
    """A sale in 9 months vests more than one today; the report says what is deferred."""
    company = Profile.from_dict(
        make_profile_dict(
            cap_table={
                "common": 6e6,
                "options": [
                    {"name": "G", "n": 1e6, "strike": 0.5, "unvested": "lapse",
                     "vesting": {"start": "2026-01-01", "months": 48, "cliff": 12}},
                    {"name": "H", "n": 1e6, "strike": 0.5,
                     "vesting": {"start": "2026-01-01", "months": 48, "cliff": 12}},
                ],
            }
        ),
        today=TODAY,
    )  # fmt: skip
    made = run_waterfall(company, [50e6])
    got = dict(zip(made.holders, made.payouts[0], strict=True))
    assert made.at_closing.keys() <= {"H"}
    assert {"unvested_assumed", "unvested_lapse"} <= set(made.flags)
    assert got["H"] > got.get("G", 0.0)
    result = evaluate(company, draws=100)
    assert any(note.key == "unvested_lapse" for note in result.warnings)


# ---- redemption, conversion price, pool ---------------------------------------------------------


def test_redeemable_shares_take_at_least_their_redemption_price_from_its_day_on() -> None:
    row = ShareClass("A", 2e6, 10e6, redemption_date=dt.date(2027, 1, 1), redemption_multiple=1.5)
    table = CapTable(8e6, 8e6, (row,), as_of=JAN)
    assert pay(table, 30e6, dt.date(2026, 12, 31))["A"] == pytest.approx(10e6)
    assert pay(table, 30e6, dt.date(2027, 1, 1))["A"] == pytest.approx(15e6)
    assert pay(table, 12e6, dt.date(2027, 1, 1))["A"] == pytest.approx(12e6)
    assert pay(table, 100e6, dt.date(2027, 1, 1))["A"] == pytest.approx(20e6)  # converts
    runs = replace(row, dividend_rate=0.08, dividend_from=dt.date(2026, 1, 1))
    late = pay(replace(table, classes=(runs,)), 40e6, dt.date(2027, 1, 1))
    assert late["A"] == pytest.approx(15e6 + 0.8e6)
    assert table.accrues


def test_a_conversion_price_says_how_many_common_shares_a_class_becomes() -> None:
    stated = ShareClass("A", 1e6, 10e6, conversion_price=8.0)
    table = CapTable(1.25e6, 1.25e6, (stated,))
    assert pay(table, 100e6)["A"] == pytest.approx(50e6)
    both = {"common": 1e6, "classes": [{"name": "A", "shares": 1e6, "invested": 1e7,
                                        "conversion_price": 8, "conversion_ratio": 2}]}  # fmt: skip
    assert any("twice" in issue.message for issue in faults(both))


def test_the_unissued_pool_counts_only_where_the_paper_says_so() -> None:
    """Y Combinator's liquidity capitalization leaves the unissued pool out."""
    table = CapTable(9e6, 9e6, safes=(Safe("S", 1e6, 20e6),), pool=1e6)
    assert pay(table, 60e6)["S"] == pytest.approx(3e6)
    said = replace(table, safes=(Safe("S", 1e6, 20e6, counts_pool=True),))
    whole = (9e6 + 0.05 * 1e6) / 0.95
    units = 0.05 * (whole + 1e6)
    assert pay(said, 60e6)["S"] == pytest.approx(60e6 * units / (9e6 + units))
    before = replace(table, safes=(Safe("S", 1e6, 20e6, post_money=False, counts_pool=True),))
    assert pay(before, 60e6)["S"] == pytest.approx(60e6 * 0.5 / 9.5)
    mixed = replace(said, safes=(*said.safes, Safe("T", 1e6, 20e6)),
                    classes=(ShareClass("A", 2e6, 20e6),))  # fmt: skip
    got = pay(mixed, 70e6)
    assert sum(got.values()) == pytest.approx(70e6)
    assert got["S"] > got["T"]
    assert profitable_switch(mixed.claims(), 70e6) is None


@pytest.mark.parametrize(
    ("count", "wanted"),
    [("actual/365", 366 / 365), ("actual/360", 366 / 360), ("actual/actual", 1.0), ("30/360", 1.0)],
)
def test_day_counts_of_a_leap_year(count: str, wanted: float) -> None:
    days, year = year_part(JAN, dt.date(2025, 1, 1), count)
    assert days / year == pytest.approx(wanted)


def test_a_dated_note_without_years_earns_from_its_date() -> None:
    note = Note("N", 1e6, 0.08, date=dt.date(2023, 1, 1), valuation_cap=20e6)
    table = CapTable(9e6, 9e6, notes=(note,), as_of=dt.date(2025, 1, 1))
    assert pay(table, 5e6)["N"] == pytest.approx(1e6 * (1 + 0.08 * 731 / 365))
    year = replace(note, day_count="actual/actual")
    assert pay(replace(table, notes=(year,)), 5e6)["N"] == pytest.approx(1.16e6)
    stated = replace(note, years=1.0)
    assert pay(replace(table, notes=(stated,)), 5e6)["N"] == pytest.approx(1.08e6)


# ---- IPO ratchets -------------------------------------------------------------------------------


def listing(table: CapTable, value: float) -> dict[str, float]:
    company = Profile.from_dict(
        make_profile_dict(**{f"valuation.{k}": value for k in ("low", "mid", "high")},
                          cash=0.0, debt=0.0, monthly_burn=0.0), today=TODAY,
    )  # fmt: skip
    got = proceeds(company, table, Assumptions(), ["ipo"])
    return {**got.options["ipo"].payouts, "flags": got.options["ipo"].flags}  # type: ignore[dict-item]


def test_an_ipo_ratchet_gives_shares_until_the_promise_is_kept_at_the_offer_price() -> None:
    """Square, November 2015: $150m at $15.46345 with 20 % promised, offered at $9.

    Sources: Square's prospectus (Series E conversion price and ratchet); PYMNTS, "Square's IPO miss
    brings $93M penalty", 2015: 10.3 million further shares, the ratchet ends at $18.56.
    """
    series = ShareClass("E", 150e6 / 15.46345, 150e6, ipo_ratchet=1.2)
    rest = 300e6
    table = CapTable(rest, rest, (series,))
    value = 9.0 * (rest + 180e6 / 9.0)  # what all shares are worth at $9
    got = listing(table, value)
    assert got["E"] == pytest.approx(180e6)
    shares = got["E"] / 9.0
    assert (shares - float(series.shares)) / 1e6 == pytest.approx(10.3, abs=0.05)
    assert "ipo_ratchet" in got["flags"]  # type: ignore[operator]
    above = listing(table, 18.57 * (rest + float(series.shares)))
    assert "ipo_ratchet" not in above["flags"]  # type: ignore[operator]
    assert above["E"] == pytest.approx(18.57 * float(series.shares))


def test_a_ratchet_that_takes_everything_is_told() -> None:
    series = ShareClass("E", 1e6, 50e6, ipo_ratchet=3.0)
    got = listing(CapTable(9e6, 9e6, (series,)), 100e6)
    assert got["E"] == pytest.approx(100e6)
    assert got["founders"] == 0
    assert "ipo_ratchet_explodes" in got["flags"]  # type: ignore[operator]
    two = CapTable(9e6, 9e6, (series, replace(series, name="F", invested=25e6)))
    both = listing(two, 100e6)
    assert both["E"] == pytest.approx(2 * both["F"])


def test_options_are_weighed_beside_a_ratchet() -> None:
    table = CapTable(8e6, 8e6, (ShareClass("E", 1e6, 20e6, ipo_ratchet=1.5),),
                     (OptionGrant("O", 1e6, 2.0),))  # fmt: skip
    got = listing(table, 100e6)
    share = got["founders"] / 8e6
    assert got["E"] == pytest.approx(30e6)
    assert got["O"] == pytest.approx(1e6 * (share - 2.0))
    assert got["founders"] + got["E"] + got["O"] == pytest.approx(100e6)


def test_a_post_money_safe_owns_its_part_of_a_ratchets_shares_as_well() -> None:
    """A tenth of all shares, those that the ratchet adds among them, or what it is owed."""
    series = ShareClass("B", 2e6, 20e6, ipo_ratchet=1.2)
    table = CapTable(8e6, 8e6, (series,), safes=(Safe("S", 2e6, 20e6),))
    got = listing(table, 60e6)
    assert got["B"] == pytest.approx(24e6)
    assert got["S"] == pytest.approx(6e6)
    assert got["founders"] == pytest.approx(30e6)
    calm = listing(table, 300e6)  # 33.75 a share: the promise is kept without a ratchet
    assert calm["S"] == pytest.approx(30e6)
    assert calm["B"] == pytest.approx(270e6 * 0.2)
    small = CapTable(8e6, 8e6, (replace(series, invested=2e6),), safes=(Safe("S", 2e6, 20e6),))
    low = listing(small, 10e6)  # a tenth of it is less than its money
    assert low["S"] == pytest.approx(2e6)
    assert low["B"] == pytest.approx(2.4e6)
    assert low["founders"] == pytest.approx(5.6e6)


# ---- persons ------------------------------------------------------------------------------------


def persons_table() -> dict[str, Any]:
    return {
        "common": 8e6, "founders": 6e6,
        "classes": [{"name": "A", "shares": 2e6, "invested": 10e6}],
        "options": [{"name": "pool", "n": 1e6, "strike": 0.5}],
        "holders": [
            {"person": "Ada", "paper": "founders", "units": 4e6},
            {"person": "Bo", "paper": "founders", "part": "1/3"},
            {"person": "Ada", "paper": "A", "part": 0.1, "founder": True},
            {"person": "Fund", "paper": "A", "part": 0.9},
        ],
    }  # fmt: skip


def test_a_person_gets_the_sum_of_all_papers_held() -> None:
    rows = persons_table()
    rows["holders"][1] = {"person": "Bo", "paper": "founders", "units": 2e6}
    issues: list[Issue] = []
    table = parse_cap_table(rows, issues)
    assert table is not None, issues
    got = pay(table, 60e6)
    people = table.by_person(got)
    assert people["Ada"]["founders"] == pytest.approx(got["founders"] * 2 / 3)
    assert people["Ada"]["A"] == pytest.approx(got["A"] * 0.1)
    assert people[""] == {"common": got["common"], "pool": got["pool"]}
    total = sum(sum(papers.values()) for papers in people.values())
    assert total == pytest.approx(60e6)
    assert table.founder_parts() == {"founders": 1.0, "A": pytest.approx(0.1)}


def test_reports_list_persons_in_both_languages() -> None:
    rows = persons_table()
    rows["holders"].pop(1)
    company = Profile.from_dict(make_profile_dict(cap_table=rows), today=TODAY)
    result = evaluate(company, draws=100)
    for lang, word in (("en", "By person"), ("zh", "按人列示")):
        assert word in result.to_html(lang=lang)
        assert word in result.to_markdown(lang=lang)
        assert "Ada" in result.to_html(lang=lang)
    own = result.proceeds.options["ma"]
    alone = evaluate(
        Profile.from_dict(
            make_profile_dict(cap_table={**rows, "holders": rows["holders"][:1]}), today=TODAY
        ),
        draws=100,
    ).proceeds.options["ma"]
    assert own.founder_npv[1] > alone.founder_npv[1]  # the founder's own preferred shares count


@pytest.mark.parametrize(
    ("row", "word"),
    [
        ({"person": "Ada", "paper": "Z", "part": 0.5}, "not a paper"),
        ({"person": "Ada", "paper": "A"}, "part or units"),
        ({"person": "Ada", "paper": "A", "part": 0.5, "units": 5}, "part or units"),
        ({"person": "Ada", "paper": "A", "part": 0.95}, "handed out"),
        ({"person": "Ada", "paper": "A", "units": -1}, "not an amount"),
        ({"person": " ", "paper": "A", "part": 0.05}, "expected a text"),
    ],
)
def test_holdings_that_cannot_be_are_refused(row: dict[str, Any], word: str) -> None:
    rows = persons_table()
    rows["holders"][1] = row
    assert any(word in issue.message for issue in faults(rows)), faults(rows)


def test_papers_may_state_days_to_come() -> None:
    row = {"name": "A", "shares": 1e5, "invested": 1e6, "redemption_date": "2031-01-01"}
    note = {"name": "N", "principal": 1e6,
            "accruals": [{"rate": 0.08, "start": "2025-01-01", "end": "2030-12-31"}]}  # fmt: skip
    grant = {"n": 1e5, "vesting": {"start": "2029-01-01"}}
    assert not faults({"common": 1e6, "classes": [row], "notes": [note], "options": [grant]})
    early = {"name": "S", "amount": 1e6, "date": "2031-01-01"}
    assert any("future" in i.message for i in faults({"common": 1e6, "safes": [early]}))


# ---- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("paper", "where"),
    [
        ({"safes": [{"name": "S", "amount": 1e6, "date": "2018-02-28"}]}, "safes[0].date"),
        ({"notes": [{"name": "N", "principal": 1e6, "date": "2010-01-01"}]}, "notes[0].date"),
        ({"options": [{"n": 1e5, "vesting": {"start": "2015-01-01"}}]}, "options[0].vesting.start"),
        ({"classes": [{"name": "A", "shares": 1e5, "invested": 1e6, "dividend_rate": 0.08,
                       "dividend_from": "2011-01-01"}]}, "classes[0].dividend_from"),
    ],
)  # fmt: skip
def test_papers_older_than_the_company_are_refused(paper: dict[str, Any], where: str) -> None:
    rows = {"common": 1e6, **paper}
    with pytest.raises(ExitError) as caught:
        Profile.from_dict(make_profile_dict(founded="2019-03-01", cap_table=rows), today=TODAY)
    assert [i.field for i in caught.value.issues] == [f"cap_table.{where}"]
    assert caught.value.issues[0].code == "EX118"


@pytest.mark.parametrize(
    ("row", "word"),
    [
        ({"anti_dilution": "half_ratchet"}, "not a term"),
        ({"redemption_multiple": 2}, "no first day"),
        ({"redemption_date": "2027-01-01", "redemption_multiple": 2, "participation": "full"},
         "not modelled"),
        ({"conversion_price": 0}, "conversion price of zero"),
        ({"ipo_ratchet": -1}, "not an amount"),
    ],
)  # fmt: skip
def test_terms_of_a_class_that_cannot_be_are_refused(row: dict[str, Any], word: str) -> None:
    table = {"common": 1e6, "classes": [{"name": "A", "shares": 1e5, "invested": 1e6, **row}]}
    assert any(word in issue.message for issue in faults(table)), faults(table)


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("notes[0].interest",
         {"notes": [{"name": "N", "principal": 1e6, "interest": 8, "years": 2}]}),
        ("notes[0].multiple", {"notes": [{"name": "N", "principal": 1e6, "multiple": 200}]}),
        ("notes[0].accruals[0].rate",
         {"notes": [{"name": "N", "principal": 1e6,
                     "accruals": [{"rate": 8, "start": "2024-01-01"}]}]}),
        ("classes[0].dividend_rate",
         {"classes": [{"name": "A", "shares": 2e6, "invested": 8e6, "dividend_rate": 8,
                       "dividend_from": "2024-01-01"}]}),
        ("classes[0].multiple",
         {"classes": [{"name": "A", "shares": 2e6, "invested": 8e6, "multiple": 100}]}),
        ("classes[0].cap",
         {"classes": [{"name": "A", "shares": 2e6, "invested": 8e6, "participation": "capped",
                       "cap": 300}]}),
        ("classes[0].shares", {"classes": [{"name": "A", "shares": 0.2, "invested": 8e6}]}),
        ("options[0].n", {"options": [{"n": 0.1, "strike": 0.5}]}),
        ("pool", {"pool": 0.1}),
        ("notes[0].accruals[0]",  # also where no other fault stands beside it
         {"notes": [{"name": "N", "principal": 1e6,
                     "accruals": [{"rate": 0.08, "start": "2024-01-01", "compounding": "daily",
                                   "day_count": "actual/actual"}]}]}),
    ],
)  # fmt: skip
def test_per_cent_and_parts_in_the_wrong_unit_are_refused(
    field: str, changes: dict[str, Any]
) -> None:
    given = make_profile_dict(cap_table={"common": 6e6, "founders": 5e6, **changes})
    with pytest.raises(ExitError) as caught:
        Profile.from_dict(given, today=TODAY)
    assert [issue.field for issue in caught.value.issues] == [f"cap_table.{field}"]
    assert all(issue.hint for issue in caught.value.issues)
