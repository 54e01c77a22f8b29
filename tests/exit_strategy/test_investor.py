"""Promises of the investor's view: returns, the price for a return, funds, OPM and PWERM."""

from __future__ import annotations

import datetime as dt
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exit_profiles import TODAY, make_profile_dict

from fastnn.exit_strategy import cli
from fastnn.exit_strategy.errors import ExitError
from fastnn.exit_strategy.evaluation import evaluate
from fastnn.exit_strategy.money.captable import CapTable, OptionGrant, Safe, ShareClass
from fastnn.exit_strategy.money.investor import (
    fund_view,
    internal_rate,
    investor_view,
    price_for_return,
    stake_of,
)
from fastnn.exit_strategy.money.optionpricing import (
    Scenario,
    backsolve,
    black_scholes,
    option_values,
    scenario_values,
)
from fastnn.exit_strategy.money.waterfall import Schedule, break_points
from fastnn.exit_strategy.profile.profile import Profile

CAP_TABLE: dict[str, Any] = {
    "common": 8e6, "founders": 7e6,
    "classes": [
        {"name": "A", "shares": 2e6, "invested": 10e6, "date": "2023-05-01"},
        {"name": "B", "shares": 1e6, "invested": 20e6, "date": "2025-05-01"},
    ],
    "safes": [{"name": "S", "amount": 1e6, "valuation_cap": 20e6}],
    "holders": [
        {"person": "Fund", "paper": "A", "part": 0.5},
        {"person": "Fund", "paper": "B", "part": 0.25},
    ],
}  # fmt: skip


def company(**more: Any) -> Profile:
    rows = {"cap_table": CAP_TABLE, "cash": 0.0, "debt": 0.0, "monthly_burn": 0.0, **more}
    return Profile.from_dict(make_profile_dict(**rows), today=TODAY)


# ---- IRR and multiple ---------------------------------------------------------------------------


def test_the_yearly_return_is_that_of_spreadsheets() -> None:
    """Microsoft's page on XIRR: 37.34 %."""
    days = ["2008-01-01", "2008-03-01", "2008-10-30", "2009-02-15", "2009-04-01"]
    amounts = [-10_000, 2_750, 4_250, 3_250, 2_750]
    flows = [(dt.date.fromisoformat(d), float(a)) for d, a in zip(days, amounts, strict=True)]
    assert internal_rate(flows) == pytest.approx(0.373362535, abs=1e-7)
    assert internal_rate(flows[::-1]) == pytest.approx(0.373362535, abs=1e-7)


def test_returns_without_a_root_are_told() -> None:
    day, later = dt.date(2024, 1, 1), dt.date(2025, 1, 1)
    assert internal_rate([(day, 100.0)]) is None  # nothing was paid
    assert internal_rate([(day, -100.0)]) == -1.0  # all is lost
    assert internal_rate([(day, -100.0), (later, 0.0)]) == -1.0
    assert internal_rate([(day, -100.0), (day, 300.0)]) is None  # no time passes
    assert internal_rate([(day, -100.0), (later, 50.0)]) == pytest.approx(
        0.5 ** (365 / 366) - 1, abs=1e-9
    )
    with pytest.raises(ExitError, match="not finite"):
        internal_rate([(day, float("nan"))])


def test_three_times_in_five_years_is_a_quarter_a_year() -> None:
    day = dt.date(2020, 1, 1)
    rate = internal_rate([(day, -1.0), (day + dt.timedelta(days=5 * 365), 3.0)])
    assert rate == pytest.approx(3**0.2 - 1, abs=1e-12)


def test_a_holders_return_follows_from_all_papers_and_days() -> None:
    made = company(assumptions={"fee_rate": 0.0, "escrow_rate": 0.0})
    on = dt.date(2029, 12, 31)
    (row,) = investor_view(made, "Fund", [300e6], on=on)
    stake = stake_of(made.cap_table, "Fund")  # type: ignore[arg-type]
    assert stake.invested == 5e6 + 5e6
    paid = Schedule(made.cap_table.claims(on)).pay(300e6)  # type: ignore[union-attr]
    assert row.payout == pytest.approx(0.5 * paid["A"] + 0.25 * paid["B"])
    assert row.multiple == pytest.approx(row.payout / 10e6)
    flows = [(dt.date(2023, 5, 1), -5e6), (dt.date(2025, 5, 1), -5e6), (on, row.payout)]
    assert row.rate == pytest.approx(internal_rate(flows))
    (undated,) = investor_view(made, "S", [300e6])
    assert undated.rate is None
    assert undated.multiple is not None


def test_escrow_and_earn_out_come_later_and_count() -> None:
    terms = {"fee_rate": 0.0, "escrow_rate": 0.1, "earn_out_rate": 0.2}
    (row,) = investor_view(company(assumptions=terms), "A", [400e6])
    (plain,) = investor_view(company(assumptions={"fee_rate": 0.0, "escrow_rate": 0.0}), "A",
                             [400e6])  # fmt: skip
    assert row.payout < plain.payout
    assert row.payout == pytest.approx(plain.payout * (0.7 + 0.09 + 0.1))  # all have converted
    assert row.rate is not None
    assert plain.rate is not None
    assert row.rate < plain.rate


@pytest.mark.parametrize("holder", ["A", "B", "S", "Fund"])
@pytest.mark.parametrize("multiple", [0.5, 1.0, 3.0, 10.0])
def test_the_price_for_a_multiple_is_the_lowest_that_gives_it(holder: str, multiple: float) -> None:
    """What price gives me 3x by the end of 2029?"""
    made, on = company(), dt.date(2029, 12, 31)
    row = price_for_return(made, holder, multiple=multiple, on=on)
    assert row.multiple == pytest.approx(multiple, rel=1e-6)
    (less,) = investor_view(made, holder, [row.price * (1 - 1e-6)], on=on)
    assert less.multiple is not None
    assert less.multiple < multiple


def test_the_price_for_a_yearly_rate_gives_that_rate() -> None:
    made, on = company(), dt.date(2029, 12, 31)
    row = price_for_return(made, "Fund", rate=0.25, on=on)
    assert row.rate == pytest.approx(0.25, abs=1e-6)


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda c: investor_view(c, "Nobody", [1e6]), "EX303"),
        (lambda c: investor_view(c, "A", [-1.0]), "EX308"),
        (lambda c: investor_view(c, "A", [float("nan")]), "EX308"),
        (lambda c: investor_view(c, "A", [1e6], on=dt.date(2020, 1, 1)), "EX118"),
        (lambda c: price_for_return(c, "A"), "EX303"),
        (lambda c: price_for_return(c, "A", multiple=3.0, rate=0.2), "EX303"),
        (lambda c: price_for_return(c, "A", multiple=-1.0), "EX308"),
        (lambda c: price_for_return(c, "A", multiple=float("nan")), "EX308"),
        (lambda c: price_for_return(c, "founders", multiple=2.0), "EX303"),
        (lambda c: price_for_return(c, "S", rate=0.2), "EX303"),
        (lambda c: fund_view([], "Fund"), "EX301"),
    ],
)
def test_questions_that_cannot_be_answered_are_refused(call: Any, code: str) -> None:
    made = company()
    with pytest.raises(ExitError) as caught:
        call(made)
    assert caught.value.code == code
    assert caught.value.issues[0].hint


def test_a_sale_before_a_paper_was_paid_for_has_no_yearly_return() -> None:
    table = {"common": 8e6, "founders": 7e6, "classes": [
        {"name": "A", "shares": 2e6, "invested": 8e6, "date": "2026-11-15"}]}  # fmt: skip
    terms = {"months_to_close": 0.5, "escrow_rate": 0}
    made = company(
        cap_table=table, as_of="2026-10-20", assumptions=terms, **{"market.date": "2026-10-01"}
    )
    (row,) = investor_view(made, "A", [60e6])
    assert row.rate is None
    assert row.multiple is not None
    for call in (
        lambda: price_for_return(made, "A", rate=0.25),
        lambda: price_for_return(made, "A", multiple=2.0, on=dt.date(2026, 11, 14)),
        lambda: investor_view(made, "A", [60e6], on=dt.date(2026, 11, 14)),
    ):
        with pytest.raises(
            ExitError, match="A was paid for on 2026-11-15, after the sale"
        ) as caught:
            call()
        assert caught.value.code == "EX118"
    found = price_for_return(made, "A", rate=0.25, on=dt.date(2027, 11, 15))
    assert found.multiple == pytest.approx(1.25, rel=1e-9)


def test_a_company_without_a_cap_table_has_no_investors() -> None:
    bare = make_profile_dict()
    bare.pop("cap_table", None)
    made = Profile.from_dict(bare, today=TODAY)
    with pytest.raises(ExitError, match="no cap table"):
        investor_view(made, "A", [1.0])
    with pytest.raises(ExitError, match="no cap table"):
        fund_view([made], "Fund")


def test_a_fund_sums_its_stakes_in_its_own_currency() -> None:
    one, two = company(name="One"), company(name="Two", currency="EUR")
    rows = fund_view([one, two], "Fund", currency="USD")
    assert [row.company for row in rows] == ["One", "Two", ""]
    assert rows[0].invested == 10e6
    assert rows[1].invested == pytest.approx(two.rates.convert(10e6, "EUR", "USD"))
    assert rows[2].worth[1] == pytest.approx(rows[0].worth[1] + rows[1].worth[1])
    assert rows[2].multiple == pytest.approx(rows[2].worth[1] / rows[2].invested)
    assert rows[0].rate is not None
    assert rows[1].rate is not None
    assert rows[2].rate is not None
    low, high = sorted((rows[0].rate, rows[1].rate))
    assert low - 1e-9 <= rows[2].rate <= high + 1e-9


def test_what_was_given_is_no_return_on_what_was_bought() -> None:
    """A founder who bought some preferred shares: the multiple is that of those shares."""
    holders = [{"person": "Ada", "paper": "founders", "part": 0.5},
               {"person": "Ada", "paper": "A", "part": 0.05}]  # fmt: skip
    made = company(cap_table={**CAP_TABLE, "holders": holders})
    (ada,) = investor_view(made, "Ada", [200e6])
    (whole,) = investor_view(made, "A", [200e6])
    assert ada.multiple == pytest.approx(whole.multiple)
    assert ada.rate == pytest.approx(whole.rate)
    assert ada.payout > 0.05 * whole.payout
    (row, _) = fund_view([made], "Ada")
    assert row.multiple == pytest.approx(investor_view(made, "A", [500e6])[0].multiple)


# ---- option pricing -----------------------------------------------------------------------------


def test_calls_are_worth_what_textbooks_print() -> None:
    """Brealey, Myers, Allen, lecture slides: $1.70; a valuation workbook's page: 5.83411."""
    assert black_scholes(36.0, 40.0, 90 / 365, 0.40, 0.10) == pytest.approx(1.70, abs=0.005)
    call = black_scholes(10.0, 10.0, 10.0, 0.40, 0.0427)
    assert call == pytest.approx(5.83411, abs=5e-4)
    put = call - 10.0 + 10.0 * math.exp(-0.427)
    assert put == pytest.approx(2.35874, abs=5e-4)


def complex_co() -> CapTable:
    classes = (ShareClass("A", 500, 1000), ShareClass("B", 300, 1500))
    return CapTable(1500, 1500, classes, (OptionGrant("W", 250, 10.0),))


def test_break_points_and_allocation_are_those_of_a_published_guide() -> None:
    """Mercer Capital, "A Layperson's Guide to the Option Pricing Model" (T. Harms, 2016).

    ComplexCo, exhibits 3 and 9: breakpoints and the matrix of marginal allocations.
    """
    claims = complex_co().claims()
    pieces = {start: slopes for start, _, slopes in Schedule(claims).pieces()}
    assert sorted(pieces) == pytest.approx([0, 2500, 5500, 11500, 23000])
    wanted = {
        0: (0.0, 0.4, 0.6, 0.0), 2500: (1.0, 0.0, 0.0, 0.0), 5500: (0.75, 0.25, 0.0, 0.0),
        11500: (0.652, 0.217, 0.130, 0.0), 23000: (0.588, 0.196, 0.118, 0.098),
    }  # fmt: skip
    for start, row in wanted.items():
        assert pieces[start] == pytest.approx(row, abs=5e-4)
    assert [p.price for p in break_points(claims)] == pytest.approx([2500, 5500, 11500, 23000])


def test_option_values_share_all_of_the_equity_and_end_in_the_waterfall() -> None:
    claims = complex_co().claims()
    for equity in (500.0, 20_000.0, 80_000.0):
        got = option_values(claims, equity, years=3.0, volatility=0.6, rate=0.03)
        assert sum(got.values()) == pytest.approx(equity)
        now = option_values(claims, equity, years=0.0, volatility=0.6)
        assert now == pytest.approx(Schedule(claims).pay(equity), abs=1e-6)
    calm = option_values(claims, 20_000.0, years=3.0, volatility=0.3, rate=0.03)
    wild = option_values(claims, 20_000.0, years=3.0, volatility=0.9, rate=0.03)
    assert wild["W"] > calm["W"]  # the guide: more spread, more for the most junior paper


def test_option_values_are_the_mean_payout_of_lognormal_exits() -> None:
    """The same by drawing exits: also where post-money paper makes payouts jump."""
    table = CapTable(8e6, 8e6, (ShareClass("A", 2e6, 10e6), ShareClass("B", 1e6, 15e6)),
                     (OptionGrant("O", 1e6, 1.0),), (Safe("S", 2e6, 20e6),))  # fmt: skip
    claims = table.claims()
    equity, years, spread, rate = 40e6, 3.0, 0.6, 0.04
    got = option_values(claims, equity, years=years, volatility=spread, rate=rate)
    u = (np.arange(20_000) + 0.5) / 20_000
    rng = np.random.default_rng(1)
    z = np.sqrt(2) * np.array([_inverse_erf(2 * x - 1) for x in rng.permutation(u)])
    ends = equity * np.exp((rate - spread**2 / 2) * years + spread * math.sqrt(years) * z)
    schedule = Schedule(claims)
    rows = np.array([schedule.amounts(float(p)) for p in ends])
    mean = rows.mean(axis=0) * math.exp(-rate * years)
    for c, value in zip(claims, mean, strict=True):
        assert got[c.holder] == pytest.approx(value, rel=3e-3), c.holder


def _inverse_erf(x: float) -> float:
    low, high = -6.0, 6.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if math.erf(middle) < x else (low, middle)
    return (low + high) / 2


def test_backsolve_finds_the_equity_of_a_known_price() -> None:
    claims = complex_co().claims()
    got = backsolve(claims, "B", 300 * 6.0, years=3.0, volatility=0.6, rate=0.03)
    value = option_values(claims, got, years=3.0, volatility=0.6, rate=0.03)
    assert value["B"] == pytest.approx(1800.0)
    assert value["founders"] / 1500 < 6.0  # common is worth less than the class of the round
    with pytest.raises(ExitError, match="holds no paper"):
        backsolve(claims, "Z", 1.0, years=3.0, volatility=0.6)


def test_settings_may_be_numbers_of_numpy() -> None:
    claims = complex_co().claims()
    one = option_values(claims, 20_000.0, years=3.0, volatility=0.5, rate=0.0)
    two = option_values(
        claims, np.int64(20_000), years=np.float32(3), volatility=np.float64(0.5), rate=np.int32(0)
    )
    assert one == two
    assert price_for_return(company(), "A", multiple=np.int64(3)).multiple == pytest.approx(3.0)


def test_scenarios_weigh_and_discount_payouts() -> None:
    table = CapTable(8e6, 8e6, (ShareClass("A", 2e6, 10e6),))
    exits = [Scenario(0.25, 100e6, 2.0), Scenario(0.75, 8e6, 1.0)]
    got = scenario_values(lambda years: table.claims(), exits, 0.2)
    assert got["A"] == pytest.approx(0.25 * 20e6 / 1.44 + 0.75 * 8e6 / 1.2)
    assert got["founders"] == pytest.approx(0.25 * 80e6 / 1.44)
    with pytest.raises(ExitError, match="add up"):
        scenario_values(lambda years: table.claims(), exits[:1], 0.2)
    with pytest.raises(ExitError, match="outside"):
        scenario_values(lambda years: table.claims(), [Scenario(1.0, -1.0, 1.0)], 0.2)


@pytest.mark.parametrize(
    "bad",
    [{"years": -1.0}, {"volatility": -0.1}, {"volatility": float("nan")}, {"rate": 5.0},
     {"equity": -1.0}, {"equity": "30m"}],
)  # fmt: skip
def test_option_pricing_refuses_bad_inputs(bad: dict[str, Any]) -> None:
    asked: dict[str, Any] = {"equity": 1e6, "years": 3.0, "volatility": 0.6, "rate": 0.03, **bad}
    with pytest.raises(ExitError) as caught:
        option_values(complex_co().claims(), asked.pop("equity"), **asked)
    assert caught.value.code == "EX308"


# ---- reports and commands -----------------------------------------------------------------------


@pytest.mark.parametrize(("lang", "title"), [("en", "Money back"), ("zh", "的回报")])
def test_the_investors_page_shows_multiples_and_yearly_returns(lang: str, title: str) -> None:
    result = evaluate(company(), draws=100)
    for page in (result.to_html(lang=lang), result.to_markdown(lang=lang)):
        assert title in page
        assert "Fund" in page


@pytest.fixture
def acme(tmp_path: Path) -> str:
    import json

    rows = make_profile_dict(cap_table=CAP_TABLE)
    path = tmp_path / "acme.json"
    path.write_text(json.dumps(rows, default=str), encoding="utf-8")
    return str(path)


def test_the_command_line_is_read_as_a_profile_is(
    acme: str, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["investor", acme, "--holder", "Fund"]
    assert cli.main([*asked, "--target", "3.5x", "--on", "2029-12-31"]) == 0
    wanted = capsys.readouterr().out
    assert cli.main([*asked, "--target", "3,5x", "--on", "31.12.2029"]) == 0
    assert capsys.readouterr().out == wanted


@pytest.mark.parametrize(
    ("lang", "words"), [("en", "was paid for: give its date"), ("zh", "请写明 S 的 date")]
)
def test_a_return_without_a_day_of_payment_says_what_it_needs(
    acme: str, lang: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["investor", acme, "--holder", "S", "--lang", lang]) == 0
    assert words in capsys.readouterr().out
    assert cli.main(["investor", acme, "--holder", "Fund", "--lang", lang]) == 0
    assert words not in capsys.readouterr().out


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_commands_answer(acme: str, lang: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["investor", acme, "--holder", "Fund", "--lang", lang]) == 0
    assert "x" in capsys.readouterr().out
    asked = ["investor", acme, "--holder", "Fund", "--target", "3x", "--on", "2029-12-31"]
    assert cli.main([*asked, "--lang", lang]) == 0
    assert "3.00x" in capsys.readouterr().out
    assert cli.main([*asked[:4], "--target", "25%", "--lang", lang]) == 0
    assert "+25.0%" in capsys.readouterr().out
    assert cli.main(["fund", acme, acme, "--holder", "Fund", "--lang", lang]) == 0
    assert ("together" if lang == "en" else "合计") in capsys.readouterr().out
    opm = ["opm", acme, "--volatility", "60%", "--years", "3", "--rate", "4%"]
    assert cli.main([*opm, "--lang", lang]) == 0
    assert cli.main([*opm, "--equity", "50m", "--discount", "20%", "--lang", lang]) == 0
    assert cli.main([*opm, "--backsolve", "B=20", "--lang", lang]) == 0
    in_years = capsys.readouterr().out
    assert "60%" in in_years
    assert cli.main([*opm, "--equity", "50", "--lang", lang]) == 0
    assert "10m" in capsys.readouterr().out  # is its unit missing?
    assert cli.main(["opm", acme, "--volatility", "0.6%", "--years", "3", "--lang", lang]) == 0
    assert ("misplaced" if lang == "en" else "写错") in capsys.readouterr().out
    worded = [*opm[:4], "--years", "36 months", "--rate", "4% p.a.", "--backsolve", "B=20"]
    assert cli.main([*worded, "--lang", lang]) == 0
    assert capsys.readouterr().out in in_years


@pytest.mark.parametrize(
    "words",
    [
        ["investor", "--holder", "Nobody"],
        ["investor", "--holder", "A", "--target", "three"],
        ["investor", "--holder", "A", "--target", "1,500x"],
        ["investor", "--holder", "A", "--prices", "1,500"],
        ["investor", "--holder", "A", "--on", "soon"],
        ["opm", "--volatility", "much", "--years", "3"],
        ["opm", "--volatility", "60%", "--years", "-3"],
        ["opm", "--volatility", "60%", "--years", "90 days"],
        ["opm", "--volatility", "60%", "--years", "36"],
        ["opm", "--volatility", "6", "--years", "3"],
        ["opm", "--volatility", "60%", "--years", "3", "--discount", "150%"],
        ["opm", "--volatility", "60%", "--years", "3", "--equity", "50m,60m"],
        ["investor", "--holder", "A", "--on", "1.2.2029"],
        ["opm", "--volatility", "60%", "--years", "3", "--backsolve", "Z=4"],
        ["opm", "--volatility", "60%", "--years", "3", "--backsolve", "B"],
        ["opm", "--volatility", "60%", "--years", "3", "--backsolve", "B=200m"],
    ],
)
def test_the_commands_tell_mistakes(
    acme: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([words[0], acme, *words[1:]]) == 2
    assert "hint" in capsys.readouterr().err
