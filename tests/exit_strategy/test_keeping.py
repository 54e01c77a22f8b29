"""Promises of the further options: keep, sell a part, sell within, wind down."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from exit_profiles import TODAY, make_profile_dict

from fastnn.exit_strategy import cli
from fastnn.exit_strategy.criteria import KEEPING_OPTIONS
from fastnn.exit_strategy.errors import ExitError
from fastnn.exit_strategy.evaluation import evaluate, suited_options
from fastnn.exit_strategy.money.captable import (
    CapTable,
    Note,
    OptionGrant,
    Safe,
    ShareClass,
    Vesting,
)
from fastnn.exit_strategy.money.deals import Assumptions, Company
from fastnn.exit_strategy.money.outcomes import proceeds
from fastnn.exit_strategy.money.paths import OPTIONS, value_option
from fastnn.exit_strategy.money.waterfall import Schedule
from fastnn.exit_strategy.profile.profile import Profile
from fastnn.exit_strategy.result import Result

#: A profitable firm of which little else is known.
FIRM = {
    "name": "Mittel GmbH", "country": "DE", "sector": "software", "currency": "EUR",
    "as_of": "2026-11-01", "founded": "2012-01-01", "revenue_ttm": "9m", "growth_yoy": 0.08,
    "ebitda_margin": 0.3, "audited_years": 3, "cash": "2.5m", "monthly_burn": -220_000,
    "need_24m": "0.5m", "valuation.low": "15m", "valuation.mid": "20m", "valuation.high": "28m",
    "cap_table": {"common": 1e6, "founders": 0.9e6},
}  # fmt: skip


def company(claims: CapTable, **more: Any) -> Company:
    rows: dict[str, Any] = {"cash": 0.0, "debt": 0.0, "acquirer_stake": 1.0, "usd": float, **more}
    return Company(claims.claims(), claims.founder_parts(), claims.founder_vote_share(), **rows)


PLAIN = CapTable(1e6, 0.8e6)
FREE = Assumptions(discount_rate=0.0, fee_rate=0.0, escrow_rate=0.0)


def firm(**changes: Any) -> Profile:
    return Profile.from_dict({**FIRM, **changes}, today=TODAY)


def test_dividends_go_to_all_shares_and_the_company_is_sold_later() -> None:
    """0.1m a month for 60 months is 6m, of which the founders own 80 %; then 10m are shared."""
    got = value_option("hold", 10e6, company(PLAIN, burn=-1e5), FREE)
    assert got.npv == pytest.approx(0.8 * 6e6 + 0.8 * 10e6)
    assert got.months == 3.0
    assert got.control == pytest.approx(0.8)
    half = value_option("hold", 10e6, company(PLAIN, burn=-1e5),
                        Assumptions(discount_rate=0.0, fee_rate=0.0, escrow_rate=0.0,
                                    dividend_part=0.5))  # fmt: skip
    assert half.npv == pytest.approx(got.npv)  # what is not paid out is there at the sale


def test_a_company_that_burns_is_sold_when_its_cash_ends() -> None:
    got = value_option("hold", 10e6, company(PLAIN, burn=1e5, cash=1e6), FREE)
    assert got.npv == pytest.approx(0.8 * 0.15 * 10e6)
    assert got.months == pytest.approx(10.0)


def test_preferred_shares_take_part_in_dividends_as_converted() -> None:
    table = CapTable(8e6, 8e6, (ShareClass("A", 2e6, 4e6),))
    got = dict(value_option("hold", 10e6, company(table, burn=-1e5), FREE).steps)
    assert got["dividends"] == pytest.approx(6e6)
    assert got["founders_dividends"] == pytest.approx(0.8 * 6e6)


def test_a_secondary_sells_a_part_now_and_keeps_the_rest() -> None:
    owner = company(PLAIN, burn=-1e5)
    kept = value_option("hold", 10e6, owner, FREE)
    got = value_option("secondary", 10e6, owner, FREE)
    sold = 0.8 * (10e6 + 3e5) * 0.2 * 0.85  # the surplus of three months is in the worth
    assert got.npv == pytest.approx(sold + 0.8 * kept.npv)
    assert got.control == pytest.approx(0.8 * 0.8)
    minor = value_option("minority", 10e6, owner, FREE)
    assert minor.control == pytest.approx(0.8 * 0.7)
    assert minor.npv == pytest.approx(0.8 * (10e6 + 9e5) * 0.3 * 0.85 + 0.7 * kept.npv)


def test_buy_outs_are_paid_in_part_later() -> None:
    owner = company(PLAIN)
    got = value_option("mbo", 10e6, owner, FREE)
    assert got.npv == pytest.approx(0.8 * 8.5e6 * (0.6 + 0.4 * 0.9))
    trust = value_option("esop", 10e6, owner, FREE)
    assert trust.npv == pytest.approx(0.8 * 10e6 * (0.3 + 0.7 * 0.9))
    dear = Assumptions(fee_rate=0.0, escrow_rate=0.0)
    assert value_option("esop", 10e6, owner, dear).npv < value_option("mbo", 10e6, owner, dear).npv
    senior = CapTable(8e6, 8e6, (ShareClass("A", 2e6, 6e6),))
    first = value_option("mbo", 10e6, company(senior), FREE)
    assert first.npv == pytest.approx(8.5e6 * 0.96 - 6e6)  # the preference comes first


def test_winding_down_pays_debt_and_cost_first() -> None:
    owner = company(PLAIN, cash=3e6, debt=1e6, burn=1e5)
    got = value_option("wind_down", 10e6, owner, FREE)
    assert got.net == pytest.approx(3e6 - 6e5 + 0.5e6 - 1e6 - 3e5)
    assert got.npv == pytest.approx(0.8 * got.net)
    broke = value_option("wind_down", 10e6, company(PLAIN, debt=5e6), FREE)
    assert (broke.npv, broke.flags) == (0.0, ("price_below_debt",))


def test_in_a_dissolution_papers_take_their_money_back() -> None:
    """A SAFE's Dissolution Event pays its Purchase Amount; nobody takes control, so no multiple."""
    table = CapTable(
        1e6, 0.8e6, (ShareClass("A", 1e5, 1e6),),
        safes=(Safe("capped", 1e6, 2e6), Safe("cheap", 1e6, discount=0.2)),
        notes=(Note("loan", 1e6, 0.1, 1.0, multiple=2.0, valuation_cap=2e6, seniority=0),),
    )  # fmt: skip
    got = value_option("wind_down", 0.0, company(table, cash=9e6), FREE)
    shares = 9e6 - 1.1e6 - 2e6 - 1e6  # A keeps its preference
    assert got.payouts == pytest.approx(
        {"founders": 0.8 * shares, "common": 0.2 * shares, "A": 1e6, "capped": 1e6, "cheap": 1e6,
         "loan": 1.1e6}
    )  # fmt: skip
    assert got.npv == pytest.approx(0.8 * shares)
    poor = value_option("wind_down", 0.0, company(table, cash=2.6e6), FREE)
    assert poor.payouts["loan"] == pytest.approx(1.1e6)
    assert poor.payouts["cheap"] == pytest.approx(0.5e6)  # beside the class, in proportion


@pytest.mark.parametrize(("trigger", "unvested"), [("single", "lapse"), ("none", "assumed")])
def test_in_a_dissolution_what_has_not_vested_lapses(trigger: str, unvested: str) -> None:
    """A quarter has vested; a sale counts the rest: a buyer takes it over, or a term says so."""
    vesting = Vesting(dt.date(2026, 1, 1), 48, 12, trigger=trigger)
    grant = OptionGrant("units", 4e5, 0.0, vesting=vesting, unvested=unvested)
    table = CapTable(1e6, 1e6, options=(grant,), as_of=dt.date(2027, 1, 1))
    got = value_option("wind_down", 0.0, company(table, cash=11e6), FREE)
    assert got.payouts == pytest.approx({"founders": 10e6, "units": 1e6})
    sold = Schedule(table.claims(dt.date(2027, 1, 1))).pay(14e6)
    assert sold == pytest.approx({"founders": 10e6, "units": 4e6})


def test_every_option_has_a_money_model_and_pays_no_more_than_there_is() -> None:
    made = firm()
    got = proceeds(made, made.cap_table, made.assumptions, OPTIONS)
    for option in KEEPING_OPTIONS:
        row = got.options[option]
        low, middle, high = row.founder_npv
        assert 0 <= low <= middle <= high, option
        assert sum(row.payouts.values()) <= row.net_price * (1 + 1e-9), option


def suited(**changes: Any) -> Result:
    return evaluate(firm(**changes), options="suited", draws=1000)


def test_a_profitable_firm_gets_an_answer() -> None:
    result = suited()
    assert result.recommendation == "hold"
    assert result.advice.unknown_weight > 0.4
    assert any(note.key == "sure_all_the_same" for note in result.warnings)
    assert {"hold", "mbo", "esop", "minority", "secondary"} <= set(result.options)


def test_what_earnings_must_pay_for_is_closed_to_a_company_that_burns() -> None:
    result = evaluate(
        firm(monthly_burn=400_000), options=("ma", "hold", "mbo", "esop", "wind_down"), draws=500
    )
    closed = {row.option for row in result.ranking if not row.open}
    assert closed == {"hold", "mbo", "esop"}
    assert "wind_down" in suited_options(firm(monthly_burn=400_000))
    long = evaluate(firm(monthly_burn=50_000), options=("ma", "hold"), draws=500)
    assert all(row.open for row in long.ranking)  # cash for four years


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_reports_speak_of_these_options(lang: str) -> None:
    result = suited()
    texts = (
        result.to_html(lang=lang),
        result.to_markdown(lang=lang),
        result.to_terminal(lang=lang),
    )
    for page in texts:
        assert ("dividends" if lang == "en" else "分红") in page
    assert result.to_dict()["recommendation"] == "hold"


def test_more_options_than_can_be_compared_are_refused() -> None:
    with pytest.raises(ExitError, match="side by side"):
        evaluate(Profile.from_dict(make_profile_dict(), today=TODAY), options=OPTIONS)


def test_the_command_takes_suited(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    import json

    path = tmp_path / "firm.json"
    path.write_text(json.dumps(FIRM), encoding="utf-8")
    assert cli.main(["score", str(path), "--options", "suited", "--draws", "500"]) == 0
    assert "dividends" in capsys.readouterr().out
