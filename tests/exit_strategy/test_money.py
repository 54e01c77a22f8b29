"""Promises of the money modules: oracle payouts, equilibrium, monotony, exactness, refusals."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from exit_profiles import TODAY, make_profile_dict
from reference_waterfall import equilibria

from fastnn.exit_strategy.errors import ExitError, Issue
from fastnn.exit_strategy.evaluation import evaluate
from fastnn.exit_strategy.model.table import money_raised
from fastnn.exit_strategy.money.captable import CapTable, Note, OptionGrant, Safe, ShareClass
from fastnn.exit_strategy.money.deals import (
    Assumptions,
    Company,
    cash_after,
    spread_rate,
    worth_by_price,
)
from fastnn.exit_strategy.money.outcomes import (
    parse_assumptions,
    parse_cap_table,
    proceeds,
    run_waterfall,
)
from fastnn.exit_strategy.money.paths import value_option
from fastnn.exit_strategy.money.waterfall import (
    Claim,
    Schedule,
    break_points,
    claim_rows,
    lost_to_preferences,
    pay_many,
    profitable_switch,
)
from fastnn.exit_strategy.profile.profile import Profile
from fastnn.exit_strategy.profile.valuation import dcf, first_chicago, vc_method
from fastnn.exit_strategy.scoring.base_rates import base_rates


def oracle_table() -> CapTable:
    return CapTable(
        6e6,
        6e6,
        (
            ShareClass("Seed", 1e6, 1e6, seniority=3),
            ShareClass("A", 2e6, 8e6, seniority=2),
            ShareClass("B", 2e6, 20e6, participation="capped", cap=2.0, seniority=1),
        ),
        (OptionGrant("options", 1e6, 0.5),),
    )


def make_profile(**changes: Any) -> SimpleNamespace:
    values: dict[str, Any] = {
        "cash": 0.0,
        "debt": 0.0,
        "founder_share": None,
        "currency": "USD",
        "deal": SimpleNamespace(acquirer_stake=None),
        "valuation": SimpleNamespace(low=30e6, mid=60e6, high=100e6),
        "cap_table": oracle_table(),
        "assumptions": Assumptions(),
    }
    return SimpleNamespace(**(values | changes))


def test_waterfall_matches_the_golden_payouts_to_one_dollar(golden: dict[str, Any]) -> None:
    data = golden["waterfall"]
    issues: list[Issue] = []
    table = parse_cap_table({k: data[k] for k in ("common", "options", "classes")}, issues)
    assert not issues
    assert table is not None
    schedule = Schedule(table.claims())
    for price, wanted in data["payouts"].items():
        got = schedule.pay(float(price) * 1e6)
        for holder, amount in wanted.items():
            name = "founders" if holder == "common" else holder
            # The oracle prints millions with four decimals: half a unit is 50 dollars.
            assert got[name] == pytest.approx(amount * 1e6, abs=51), (price, holder)
            if abs(amount * 1e2 - round(amount * 1e2)) < 1e-9:
                assert got[name] == pytest.approx(amount * 1e6, abs=1), (price, holder)
    points = [p.price / 1e6 for p in break_points(table.claims())]
    assert points == pytest.approx(data["break_points_million"], abs=1e-6)


@pytest.mark.parametrize(
    ("price", "founders"),
    [(20, 0), (30, 0.75), (40, 7.5), (60, 19.5), (100, 40.25), (200, 96.3), (400, 200.25)],
)
def test_exact_mode_gives_the_oracle_to_the_cent(price: int, founders: float) -> None:
    pay = Schedule(oracle_table().exact_claims()).pay(Decimal(price) * 10**6)
    assert sum(pay.values()) == pytest.approx(Decimal(price) * 10**6, abs=Decimal("1e-15"))
    assert abs(pay["founders"] - Decimal(str(founders)) * 10**6) < Decimal("1e-12")


def random_table(rng: np.random.Generator) -> list[dict[str, Any]]:
    rows = [{"kind": "common", "due": 0.0, "rank": 9, "units": rng.uniform(1, 10)}]
    for _ in range(rng.integers(1, 5)):
        due = float(rng.choice([rng.uniform(0.5, 20), round(rng.uniform(1, 20))]))
        row = {"kind": str(rng.choice(["none", "none", "capped", "full"])), "due": due,
               "rank": int(rng.integers(1, 4)), "units": rng.uniform(0.2, 5)}  # fmt: skip
        row["cap"] = due * float(rng.choice([1.0, 1.5, 2.0, 3.0]))
        rows.append(row)
    if rng.random() < 0.5:
        rows.append({"kind": "option", "due": 0.0, "rank": 9, "units": rng.uniform(0.1, 2),
                     "strike": rng.uniform(0.1, 4)})  # fmt: skip
    return rows


def as_claims(rows: list[dict[str, Any]]) -> list[Claim[float]]:
    caps = {"none": lambda r: r["due"], "capped": lambda r: r["cap"]}
    return [
        Claim(f"{r['kind']} {i}", r["due"], 0.0, r["rank"], r["units"], r.get("strike", 0.0),
              caps.get(r["kind"], lambda r: None)(r))
        for i, r in enumerate(rows)
    ]  # fmt: skip


@pytest.mark.slow
def test_ten_thousand_random_tables_match_exhaustive_search() -> None:
    rng = np.random.default_rng(20261122)
    checked = 0
    for _ in range(10_000):
        rows = random_table(rng)
        claims = as_claims(rows)
        price = float(rng.uniform(0, 120))
        got = np.array(Schedule(claims).amounts(price))
        found = equilibria(rows, price)
        assert found, (rows, price)
        assert min(np.abs(got - other).max() for other in found) < 1e-6 * max(1.0, price)
        # Equilibria may differ in who converts, not in what anybody gets.
        assert all(np.abs(other - found[0]).max() < 1e-6 * max(1.0, price) for other in found)
        assert profitable_switch(claims, price) is None
        checked += 1
    assert checked == 10_000


def test_payouts_add_up_and_rise_with_the_price() -> None:
    rng = np.random.default_rng(7)
    for _ in range(500):
        claims = as_claims(random_table(rng))
        schedule = Schedule(claims)
        prices = np.sort(rng.uniform(-5, 200, 60))
        rows = np.array([schedule.amounts(float(p)) for p in prices])
        assert (rows >= 0).all()
        assert np.abs(rows.sum(1) - np.maximum(prices, 0)).max() < 1e-9 * 200
        assert (np.diff(rows, axis=0) >= -1e-9).all()


def test_compiled_payouts_equal_the_plain_ones() -> None:
    rng = np.random.default_rng(3)
    prices = np.linspace(-1, 150, 300)
    for _ in range(100):
        claims = as_claims(random_table(rng))
        plain = np.array([Schedule(claims).amounts(float(p)) for p in prices]).T
        assert np.abs(pay_many([claims], prices)[0] - plain).max() < 1e-9
    assert claim_rows(claims).shape == (len(claims), 6)


def test_equal_seniority_shares_in_proportion() -> None:
    table = CapTable(1e6, 1e6, (ShareClass("A", 1e6, 3e6), ShareClass("B", 1e6, 9e6)))
    pay = Schedule(table.claims()).pay(6e6)
    assert pay == {"founders": 0.0, "A": pytest.approx(1.5e6), "B": pytest.approx(4.5e6)}


def test_the_published_wrong_example_is_right_here() -> None:
    # $1m at 1x for 10 % of the shares, $5m sale: holding $1.0m beats converting ($0.5m).
    table = CapTable(9e6, 9e6, (ShareClass("Seed", 1e6, 1e6),))
    assert Schedule(table.claims()).pay(5e6) == pytest.approx({"founders": 4e6, "Seed": 1e6})


def test_conversion_ratio_and_dividends_count() -> None:
    a = ShareClass("A", 1e6, 2e6, accrued_dividend=5e5, conversion_ratio=1.5)
    schedule = Schedule(CapTable(3e6, 3e6, (a,)).claims())
    assert schedule.pay(3e6)["A"] == 2.5e6
    assert schedule.pay(30e6)["A"] == pytest.approx(10e6)  # 1.5 of 4.5 million shares


def test_post_money_safe_owns_its_part_and_pre_money_dilutes_later() -> None:
    post = CapTable(9e6, 9e6, safes=(Safe("S", 1e6, 10e6),))
    assert Schedule(post.claims()).pay(100e6)["S"] == pytest.approx(10e6)  # 10 % after itself
    pre = CapTable(9e6, 9e6, safes=(Safe("S", 1e6, 10e6, post_money=False),))
    assert Schedule(pre.claims()).pay(100e6)["S"] == pytest.approx(100e6 / 11)  # 1/10 of 9m shares
    assert Schedule(post.claims()).pay(5e6)["S"] == 1e6  # cash-out beats 10 % of 5m


def test_discount_only_safe_takes_its_gain_after_all_preferences() -> None:
    table = CapTable(
        8e6, 8e6, (ShareClass("A", 2e6, 4e6),), safes=(Safe("S", 8e5, None, 0.2),)
    )  # fmt: skip
    schedule = Schedule(table.claims())
    assert schedule.pay(4.8e6)["S"] == pytest.approx(8e5)  # money back, level with A
    assert schedule.pay(5.0e6)["S"] == pytest.approx(1e6)  # 800,000 / 0.8
    assert schedule.pay(50e6)["S"] == pytest.approx(1e6)


def test_note_with_interest_is_repaid_first_or_converts() -> None:
    table = CapTable(
        9e6, 9e6, (ShareClass("A", 1e6, 5e6),), notes=(Note("N", 1e6, 0.08, 2.0, 5e6),)
    )
    schedule = Schedule(table.claims())
    assert schedule.pay(1e6) == {"founders": 0.0, "A": 0.0, "N": 1e6}
    assert schedule.pay(3e6)["N"] == pytest.approx(1.16e6)
    shares = 10e6 * 1.16e6 / 5e6
    assert schedule.pay(200e6)["N"] == pytest.approx(200e6 * shares / (10e6 + shares))


def test_lost_to_preferences_is_the_gap_to_common_for_all() -> None:
    claims = oracle_table().claims()
    # At 30m: pro rata is 6/12 of (30m + strikes 0.5m) = 15.25m; founders get 0.75m.
    assert lost_to_preferences(claims, 30e6, {"founders": 1.0}) == pytest.approx(1 - 0.75 / 15.25)


def test_net_price_takes_debt_fees_carve_out_escrow_and_earn_out() -> None:
    a = Assumptions(fee_rate=0.02, fee_fixed=1e5, carve_out=0.1, escrow_rate=0.1, earn_out_rate=0.2)
    profile = make_profile(cash=2e6, debt=5e6, assumptions=a)
    sale = run_waterfall(profile, [50e6])
    # 50 + 2 - 5 - 0.1 - 1.0 = 45.9; less 10 % = 41.31; less 5 and 10.
    assert sale.net_prices == pytest.approx((26.31e6,))
    assert sum(sale.payouts[0]) == pytest.approx(26.31e6)


def test_price_below_debt_is_flagged_and_pays_nobody() -> None:
    sale = run_waterfall(make_profile(debt=50e6), [40e6])
    assert sale.flags == ("price_below_debt",)
    assert sale.payouts[0] == (0.0,) * 5
    result = proceeds(make_profile(debt=200e6), oracle_table(), None, ["ma"])
    assert result.options["ma"].founder_npv == (0.0, 0.0, 0.0)
    assert "price_below_debt" in result.options["ma"].flags


def test_sale_npv_is_the_discounted_closing_and_escrow() -> None:
    a = Assumptions(fee_rate=0.0, escrow_rate=0.1, escrow_release=1.0, escrow_months=12.0)
    table = CapTable(1e6, 1e6)
    result = proceeds(make_profile(assumptions=a), table, a, ["ma"]).options["ma"]
    d = 1.25 ** (-9 / 12)
    assert result.founder_npv[1] == pytest.approx(54e6 * d + 6e6 * d / 1.25)
    assert result.months_to_cash == 9.0
    assert result.control_after == 0.0
    taxed = proceeds(make_profile(), table, Assumptions(fee_rate=0.0, escrow_rate=0.1,
                     escrow_release=1.0, escrow_months=12.0, tax_rate=0.2), ["ma"])  # fmt: skip
    assert taxed.options["ma"].founder_npv[1] == pytest.approx(result.founder_npv[1] * 0.8)


def test_listing_converts_dilutes_and_locks_up() -> None:
    a = Assumptions(ipo_raise=20e6, ipo_spread=0.07, sold_at_ipo=0.0, marketability_discount=0.0,
                    sale_months=0.0)  # fmt: skip
    table = CapTable(6e6, 6e6, (ShareClass("A", 4e6, 50e6),))
    result = proceeds(make_profile(), table, a, ["ipo"]).options["ipo"]
    # 60 % of (60 + 20 x 0.93) x 60 / 80, 20 months out; the preference is gone.
    worth = 0.6 * 60e6 * (60 + 18.6) / 80
    assert result.founder_npv[1] == pytest.approx(worth * 1.25 ** (-20 / 12))
    assert result.control_after == pytest.approx(0.6 * 60 / 80)
    held = proceeds(make_profile(), table, Assumptions(qualified_size=50e6), ["ipo"])
    assert "ipo_not_qualified" in held.options["ipo"].flags
    assert held.options["ipo"].payouts["A"] == pytest.approx(50e6)
    assert [spread_rate(x) for x in (100e6, 400e6, 800e6, 2e9)] == [0.07, 0.0614, 0.055, 0.0331]


def test_licence_pays_people_outside_the_waterfall() -> None:
    a = Assumptions(license_part=0.5, people_part=0.4, founder_people_share=0.25)
    result = proceeds(make_profile(), oracle_table(), a, ["license_hire", "ma"])
    row = result.options["license_hire"]
    assert row.pay_outside_waterfall == pytest.approx(24e6)
    assert row.payouts["B"] == pytest.approx(20e6, rel=0.01)
    assert row.founder_npv[1] > 0


def test_transform_weighs_success_and_failure() -> None:
    a = Assumptions(transform_success=0.4, transform_multiple=2.0, failure_part=0.0, fee_rate=0.0,
                    escrow_rate=0.0)  # fmt: skip
    result = proceeds(make_profile(), CapTable(1.0, 1.0), a, ["transform"]).options["transform"]
    assert result.founder_npv[1] == pytest.approx(0.4 * 120e6 * 1.25 ** (-44 / 12))


def test_price_to_prefer_a_sale_gives_the_npv_of_the_other_option() -> None:
    result = proceeds(make_profile(), oracle_table(), None, ["ipo", "ma", "transform"])
    for other, option, price in result.indifference:
        assert option == "ma"
        at = make_profile(valuation=SimpleNamespace(low=price, mid=price, high=price))
        again = proceeds(at, oracle_table(), None, ["ma"]).options["ma"].founder_npv[1]
        assert again == pytest.approx(result.options[other].founder_npv[1], rel=1e-6)


@pytest.mark.parametrize("option", ["ma", "license_hire"])
def test_the_worth_by_price_is_that_of_the_whole_path(option: str) -> None:
    """With dividends that accrue: the claims are those of the closing, made once."""
    row = ShareClass("A", 2e6, 8e6, dividend_rate=0.08, dividend_from=dt.date(2024, 3, 1))
    table = CapTable(6e6, 5e6, (row,), as_of=dt.date(2026, 11, 1))
    days: list[float] = []

    def claims_in(months: float) -> tuple[Claim[float], ...]:
        days.append(months)
        return table.claims(dt.date(2026, 11, 1) + dt.timedelta(days=round(months * 30.4)))

    company = Company(table.claims(), {"founders": 1.0}, 1.0, 3e6, 1e6, 1.0, float, 2e5, 0.0,
                      claims_in)  # fmt: skip
    a = Assumptions(earn_out_rate=0.1, carve_out=0.05, founder_carve_out=0.3, tax_rate=0.2)
    worth = worth_by_price(option, company, a)
    for price in (0.0, 1e6, 7e6, 2e7, 9e7):
        assert worth(price) == value_option(option, price, company, a).npv
    assert len(days) == 1


def test_without_a_cap_table_ownership_decides_and_is_flagged() -> None:
    result = proceeds(make_profile(founder_share=0.3), None, None, ["ma"])
    assert result.flags == ("no_preference_data",)
    assert result.options["ma"].founder_share == pytest.approx(0.3)
    assert result.lost_to_preferences == pytest.approx(0.0)


def test_proceeds_rise_with_the_price_for_every_option() -> None:
    options = ["ipo", "ma", "transform", "license_hire", "private_round", "dual_track", "ma_buy"]
    before = dict.fromkeys(options, 0.0)
    for price in np.linspace(0, 300e6, 40):
        profile = make_profile(valuation=SimpleNamespace(low=price, mid=price, high=price))
        result = proceeds(profile, oracle_table(), None, options)
        for option in options:
            npv = result.options[option].founder_npv[1]
            assert npv >= before[option] - 1e-6, (option, price)
            before[option] = npv


def test_cash_burns_or_grows_until_the_money_is_shared() -> None:
    """Today's cash is not there when a burning company is sold two years on."""
    assert [cash_after(5e6, 360e3, 0.0, m) for m in (0, 10, 24)] == [5e6, 1.4e6, 0.0]
    assert cash_after(5e6, -100e3, 0.0, 24) == 7.4e6
    assert cash_after(5e6, 500e3, 4e6, 12) == 3e6  # committed money pays first
    assert cash_after(5e6, 100e3, 4e6, 12) == 5e6  # ... and is never cash of its own
    table = CapTable(1.0, 1.0)
    a = Assumptions(fee_rate=0.0, escrow_rate=0.0)
    poor = proceeds(make_profile(cash=5e6, monthly_burn=1e6), table, a, ["ma", "transform", "ipo"])
    none = proceeds(make_profile(cash=0.0), table, a, ["ma", "transform", "ipo"])
    for option in ("ma", "transform", "ipo"):  # five months of cash
        assert poor.options[option].founder_npv == none.options[option].founder_npv
    rich = proceeds(make_profile(cash=5e6, monthly_burn=-1e6), table, a, ["ma"]).options["ma"]
    assert rich.net_price == 60e6 + 5e6 + 9e6
    assert dict(rich.bridge)["cash_change"] == 9e6


def test_the_bridge_adds_up_to_the_net_price_at_every_price() -> None:
    a = Assumptions(fee_fixed=1e5, carve_out=0.1, earn_out_rate=0.2)
    profile = make_profile(cash=6e6, debt=1e6, monthly_burn=2e5, assumptions=a)
    sale = run_waterfall(profile, [0.0, 5e6, 50e6])
    for bridge, net, row in zip(sale.bridges, sale.net_prices, sale.payouts, strict=True):
        steps = dict(bridge)
        assert steps.pop("net") == net
        assert sum(steps.values()) == pytest.approx(net, abs=1e-6) or net == 0
        assert sum(row) == pytest.approx(net)


def test_break_points_name_the_headline_price_that_leads_to_them() -> None:
    a = Assumptions(earn_out_rate=0.1)
    profile = make_profile(cash=6e6, debt=1e6, monthly_burn=2e5, assumptions=a)
    points = run_waterfall(profile, [1.0]).break_points
    assert len(points) > 5
    for point in points:
        assert point.headline is not None
        net = run_waterfall(profile, [point.headline]).net_prices[0]
        assert net == pytest.approx(point.price, rel=1e-8)
    rich = run_waterfall(make_profile(cash=50e6), [1.0]).break_points
    assert rich[0].headline == 0.0  # cash alone pays for it


def test_votes_change_no_money() -> None:
    table = oracle_table()
    one = proceeds(make_profile(), table, None, ["dual_track"]).options["dual_track"]
    ten = proceeds(make_profile(), replace(table, founder_votes=10.0), None, ["dual_track"])
    assert ten.options["dual_track"].founder_npv == one.founder_npv
    assert ten.options["dual_track"].control_after != one.control_after


def test_what_is_due_grows_until_the_day_of_each_payment() -> None:
    day = dt.date(2026, 1, 1)
    note = Note("N", 10e6, 0.12, 0.0)
    table = CapTable(1.0, 1.0, notes=(note,), as_of=day)
    a = Assumptions(fee_rate=0.0, escrow_rate=0.0, months_to_close=12.0)
    sale = proceeds(make_profile(assumptions=a), table, a, ["ma"]).options["ma"]
    assert sale.payouts["N"] == pytest.approx(11.2e6, rel=1e-3)
    still = proceeds(make_profile(assumptions=a), replace(table, as_of=None), a, ["ma"])
    assert still.options["ma"].payouts["N"] == 10e6


def test_one_meaning_of_value_for_listing_rules_and_money() -> None:
    data = make_profile_dict(country="GB", currency="GBP", cash=10e6, monthly_burn=1e5, debt=0,
                             committed_funds=0)  # fmt: skip
    data |= {"valuation.low": 24e6, "valuation.mid": 25e6, "valuation.high": 26e6}
    made = evaluate(Profile.from_dict(data, today=TODAY), draws=100)
    london = next(v for v in made.gates.venues if v.id == "UK_ESCC")
    shared = made.proceeds.options["ipo"].net_price
    assert london.tests[0].conditions[0].value == pytest.approx(shared)
    assert shared == pytest.approx(25e6 + 10e6 - 14 * 1e5)
    shares = {**data, "valuation.basis": "equity"}
    shares |= {"valuation.low": 34e6, "valuation.mid": 35e6, "valuation.high": 36e6}
    other = Profile.from_dict(shares, today=TODAY)
    assert (other.valuation.low, other.valuation.mid, other.valuation.basis) == (
        24e6,
        25e6,
        "equity",
    )
    with pytest.raises(ExitError) as caught:
        Profile.from_dict({**shares, "valuation.low": 9e6}, today=TODAY)
    assert caught.value.issues[0].field == "valuation.low"


def test_money_raised_follows_from_the_cap_table_when_it_is_not_stated() -> None:
    table = {"common": 1e6, "classes": [{"name": "A", "shares": 1e6, "invested": 150e6}],
             "safes": [{"name": "S", "amount": 10e6}]}  # fmt: skip
    data = make_profile_dict(cap_table=table)
    data.pop("total_raised", None)
    data.pop("funding_rounds", None)
    company = Profile.from_dict(data, today=TODAY)
    assert money_raised(company) == 160e6
    assert base_rates(company).ipo == 0.122
    stated = Profile.from_dict({**data, "total_raised": 10e6}, today=TODAY)
    assert money_raised(stated) == 10e6
    assert (
        money_raised(Profile.from_dict({**data, "cap_table": {"common": 1}}, today=TODAY)) is None
    )


@pytest.mark.parametrize(
    "call",
    [
        lambda: dcf([10], 0.03, growth=0.03), lambda: dcf([10], 0.03, growth=0.05),
        lambda: dcf([], 0.1), lambda: dcf([10], -1.0), lambda: dcf([10], float("nan")),
        lambda: first_chicago([0.5, 0.4], [1, 2]), lambda: first_chicago([1.5, -0.5], [1, 2]),
        lambda: first_chicago([1.0], [1, 2]), lambda: first_chicago([], []),
        lambda: vc_method(1e6, 0), lambda: vc_method(1e6, -2),
    ],
)  # fmt: skip
def test_valuation_formulas_refuse_what_they_cannot_mean(call: Any) -> None:
    with pytest.raises(ExitError) as caught:
        call()
    assert caught.value.code == "EX115"


CLASS = {"name": "A", "shares": 1, "invested": 1}


@pytest.mark.parametrize(
    ("data", "code", "field"),
    [
        ({}, "EX301", "cap_table"),
        ([], "EX103", "cap_table"),
        ({"common": 0}, "EX301", "cap_table"),
        ({"common": 1e6, "founders": 2e6}, "EX303", "cap_table.founders"),
        ({"common": float("nan")}, "EX308", "cap_table.common"),
        ({"common": True}, "EX308", "cap_table.common"),
        ({"common": -5}, "EX308", "cap_table.common"),
        ({"common": 1, "clases": []}, "EX306", "cap_table.clases"),
        ({"common": 1, "classes": [{"name": "A", "shares": 0, "invested": 1}]}, "EX302",
         "cap_table.classes[0].shares"),
        ({"common": 1, "classes": [{"name": "A", "shares": 1}]}, "EX303",
         "cap_table.classes[0].invested"),
        ({"common": 1, "classes": [CLASS | {"participation": "ful"}]}, "EX303",
         "cap_table.classes[0].participation"),
        ({"common": 1, "classes": [CLASS | {"participation": "capped"}]}, "EX303",
         "cap_table.classes[0].cap"),
        ({"common": 1, "classes": [{"name": "founders", "shares": 1, "invested": 1}]}, "EX303",
         "cap_table"),
        ({"common": 1, "options": {"n": 0}}, "EX302", "cap_table.options[0].n"),
        ({"common": 1, "safes": [{"name": "S", "amount": 9, "valuation_cap": 8}]}, "EX303",
         "cap_table.safes"),
        ({"common": 1, "notes": [{"name": "N", "principal": 9, "discount": 1}]}, "EX303",
         "cap_table.notes[0].discount"),
        ({"common": 1, "classes": "A"}, "EX103", "cap_table.classes"),
        ({"common": 1, "classes": [7]}, "EX103", "cap_table.classes[0]"),
        ({"common": 1, "classes": [{"name": "A", "shares": 1, "invested": 1, "seniority": 1.5}]},
         "EX103", "cap_table.classes[0].seniority"),
    ],
)  # fmt: skip
def test_bad_cap_tables_name_the_field_and_the_fix(data: Any, code: str, field: str) -> None:
    issues: list[Issue] = []
    table = parse_cap_table(data, issues)
    if table is not None:  # caps that give away the company show when the claims are made
        with pytest.raises(ExitError) as caught:
            table.claims()
        issues = list(caught.value.issues)
    assert (code, field) in [(i.code, i.field) for i in issues], issues
    assert all(i.hint for i in issues)


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"discount_rate": -0.1}, "assumptions.discount_rate"),
        ({"discount": 0.2}, "assumptions.discount"),
        ({"escrow_rate": 1.5}, "assumptions.escrow_rate"),
        ({"escrow_months": 1e9}, "assumptions.escrow_months"),
        ({"tax_rate": "high"}, "assumptions.tax_rate"),
        ({"fee_rate": 0.6, "escrow_rate": 0.6}, "assumptions"),
        ({"tax_rate": float("inf")}, "assumptions.tax_rate"),
    ],
)
def test_bad_assumptions_are_refused(data: Any, field: str) -> None:
    issues: list[Issue] = []
    assert parse_assumptions(data, issues) is None
    assert issues[0].field == field
    assert all(i.code in ("EX307", "EX103") for i in issues)
    assert parse_assumptions({}, []) == Assumptions()
