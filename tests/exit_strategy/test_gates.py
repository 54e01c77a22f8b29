"""Gates: each condition at threshold -1, 0, +1; age, overlay, currency, regulators, hard gates."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exit_profiles import TODAY, make_profile_dict

from fastnn.exit_strategy.errors import ExitError
from fastnn.exit_strategy.evaluation import evaluate
from fastnn.exit_strategy.gates.columns import judge_gates_many
from fastnn.exit_strategy.gates.data import check_age, flags_of, load_gates
from fastnn.exit_strategy.gates.facts import facts_of
from fastnn.exit_strategy.gates.hard import runway_months
from fastnn.exit_strategy.gates.judge import judge_gates
from fastnn.exit_strategy.gates.windows import OPERATORS, WINDOWS, Series
from fastnn.exit_strategy.profile.profile import Profile
from fastnn.exit_strategy.reading.fx import load_rates
from fastnn.exit_strategy.report.tables import regulator_table, venue_rows
from fastnn.exit_strategy.wording import venue_name

GATES = load_gates()


def profile(**changes: Any) -> Profile:
    return Profile.from_dict(make_profile_dict(**changes), today=TODAY)


def all_conditions() -> list[tuple[str, dict[str, Any]]]:
    out = []
    for venue in GATES.venues:
        out += [(venue["id"], row) for row in venue["common_all_of"]]
        out += [(venue["id"], row) for test in venue["tests_any_of"] for row in test["all_of"]]
    return out


CONDITIONS = all_conditions()


def series_at(window: str, value: float) -> Series:
    """Return figures that reach exactly `value` under a window."""
    if window in ("sum of last 3 fiscal years", "sum of last 3 years"):
        return Series((0.0, 0.0, value))
    if window == "sum of last 2 fiscal years":
        return Series((9e15, 0.0, value))
    if window == "last fiscal year less the year before":
        return Series((0.0, 7e6, 7e6 + value))
    if window == "sum of the two years before":
        return Series((value / 2, value / 2, 0.0))
    if window == "sum of last 2 years, both positive":
        return Series((0.0, value / 2, value / 2))
    if window.startswith("each of 2 of last 3") or window == "last 3 years in aggregate":
        return Series((value, value, value), ((value, 1.0),) * 3)
    return Series((value, value, value))


@pytest.mark.parametrize("index", range(len(CONDITIONS)))
def test_every_condition_turns_at_its_threshold(index: int) -> None:
    _, row = CONDITIONS[index]
    threshold, op, window = row["value"], row["op"], row.get("window", "")
    step = 0.001 if abs(threshold) < 1 else 1.0
    for value in (threshold - step, threshold, threshold + step):
        state, seen = WINDOWS[window](
            series_at(window, float(value)), lambda v: OPERATORS[op](v, threshold)
        )
        want = {">=": value >= threshold, ">": value > threshold, "==": value == threshold}[op]
        assert state == ("pass" if want else "fail"), (row, value)
        assert seen is not None


def test_every_gate_has_source_date_and_confidence() -> None:
    assert len(GATES.venues) == 21
    assert len(GATES.regulatory) == 16
    for item in GATES.items():
        assert item["source"].strip()
        assert dt.date.fromisoformat(item["checked"])
        assert item["confidence"].strip()
    assert set(GATES.rules["venue_region"]) == {venue["id"] for venue in GATES.venues}
    assert set(GATES.rules["regulatory"]) == {gate["id"] for gate in GATES.regulatory}


def test_unknown_figures_leave_a_gate_unknown_until_they_decide_it() -> None:
    each = WINDOWS["each of last 2 fiscal years"]
    assert each(Series((None, None, 5.0)), lambda v: v >= 2)[0] == "unknown"
    assert each(Series((None, None, 1.0)), lambda v: v >= 2)[0] == "fail"
    either = WINDOWS["last fiscal year or 2 of last 3"]
    assert either(Series((None, 5.0, 1.0)), lambda v: v >= 2)[0] == "unknown"
    assert either(Series((None, 1.0, 1.0)), lambda v: v >= 2)[0] == "fail"
    assert either(Series((None, None, 3.0)), lambda v: v >= 2)[0] == "pass"


@pytest.mark.parametrize(("cap", "state"), [(199e6, "fail"), (200e6, "pass"), (201e6, "pass")])
def test_nyse_opens_at_its_market_value(cap: float, state: str) -> None:
    company = profile(**{
        "listing.market_cap": cap, "listing.offer_size": 60e6, "listing.round_lot_holders": 400,
        "listing.public_shares": 1.1e6, "listing.share_price": 4, "listing.public_float_pct": 0.5,
    })  # fmt: skip
    report = judge_gates(company, GATES, ("ipo",))
    nyse = next(venue for venue in report.venues if venue.id == "NYSE")
    assert nyse.state == state
    gap = nyse.tests[1].conditions[0].gap
    assert gap == pytest.approx(cap - 200e6)


def test_hong_kong_thresholds_are_compared_in_hong_kong_dollars() -> None:
    company = profile(**{"listing.market_cap": 600e6, "listing.rd_years": 4, "fx": {"HKD": 8.0},
                         "venue_region": "HK", "revenue_last_fy": [1e6, 2e6, 50e6]})  # fmt: skip
    report = judge_gates(company, GATES, ("ipo",))
    assert {venue.region for venue in report.venues} == {"HK"}
    commercial = next(venue for venue in report.venues if venue.id == "HKEX_18C_COMM")
    cap, revenue = commercial.tests[0].conditions
    assert cap.value == pytest.approx(4.8e9)
    assert cap.state == "pass"
    assert revenue.value == pytest.approx(400e6)
    assert commercial.rate == pytest.approx(8.0)


def test_note_of_18c_relaxes_the_research_share_between_its_revenue_lines() -> None:
    changes = {"venue_region": "HK", "fx": {"HKD": 8.0}, "listing.rd_years": 3}
    opex = {"opex_fy": [10e6, 10e6, 10e6], "rd_opex_fy": [4e6, 4e6, 4e6]}
    for revenue, threshold in ((25e6, 0.3), (10e6, 0.5), (40e6, 0.5)):
        company = profile(revenue_last_fy=[1e6, 2e6, revenue], **changes, **opex)
        report = judge_gates(company, GATES, ("ipo",))
        early = next(venue for venue in report.venues if venue.id == "HKEX_18C_PRE")
        share = next(row for row in early.common if row.field == "rd_share_of_opex")
        assert share.threshold == threshold


def test_star_market_is_for_chinese_companies() -> None:
    names = {venue.id for venue in judge_gates(profile(), GATES, ("ipo",)).venues}
    assert "SSE_STAR" not in names
    chinese = judge_gates(profile(country="CN"), GATES, ("ipo",))
    assert "SSE_STAR" in {venue.id for venue in chinese.venues}
    filing = next(gate for gate in chinese.regulatory if gate.id == "CN_CSRC_FILING")
    assert filing.state == "applies"
    assert filing.months == 4


@pytest.mark.parametrize(
    ("value", "state"), [(133.8e6, "not"), (133.9e6, "not"), (134e6, "applies")]
)
def test_hsr_applies_above_its_threshold(value: float, state: str) -> None:
    company = profile(**{"valuation.low": value, "valuation.mid": value, "valuation.high": value})
    report = judge_gates(company, GATES, ("ma",))
    hsr = next(gate for gate in report.regulatory if gate.id == "US_HSR_2026")
    assert hsr.state == state


@pytest.mark.parametrize(("stake", "state"), [(0.24, "not"), (0.25, "not"), (0.26, "applies")])
def test_uk_review_applies_above_a_quarter(stake: float, state: str) -> None:
    company = profile(country="GB", **{"deal.acquirer_stake": stake})
    report = judge_gates(company, GATES, ("ma",))
    review = next(gate for gate in report.regulatory if gate.id == "UK_NSIA_AI")
    assert review.state == state


def test_hard_gates_close_options_for_the_stated_reason() -> None:
    company = profile(audited_years=1, cash=10e6, committed_funds=0, monthly_burn=2e6,
                      **{"deal.covenant_blocks_sale": "yes"})  # fmt: skip
    report = judge_gates(company, GATES, ("ipo", "ma", "transform", "dual_track", "private_round"))
    assert runway_months(company) == 5
    closed = {o for o in ("ipo", "ma", "transform", "dual_track") if not report.is_open(o)}
    assert closed == {"ipo", "ma", "transform", "dual_track"}
    assert report.is_open("private_round")
    reasons = {gate.reason.text() for gate in report.hard if gate.state == "fail"}
    assert "accounts audited for 1 of the 2 years needed" in reasons
    assert "runway 5.0 months, needed 6" in reasons
    funded = profile(cash=10e6, committed_funds=0, monthly_burn=2e6,
                     **{"deal.transform_plan_funded": "yes"})  # fmt: skip
    assert judge_gates(funded, GATES, ("transform",)).is_open("transform")


def test_old_expired_and_weak_gates_are_flagged() -> None:
    assert not check_age(GATES, dt.date(2026, 11, 30))
    weak = {**GATES.venues[0], "confidence": "low (not verified)"}
    assert [flag.kind for flag in flags_of(weak, dt.date(2026, 11, 30))] == ["low_confidence"]
    late = check_age(GATES, dt.date(2027, 11, 23))
    old = {flag.id for flag in late if flag.kind == "old"}
    assert len(old) == 20
    expired = {flag.id for flag in late if flag.kind == "expired"}
    assert expired == {"HKEX_18C_COMM", "HKEX_18C_PRE", "US_HSR_2026"}
    assert all(flag.stale for flag in late if flag.kind in ("old", "expired"))
    hsr = next(gate for gate in GATES.regulatory if gate["id"] == "US_HSR_2026")
    assert not flags_of(hsr, dt.date(2027, 2, 16))
    assert flags_of(hsr, dt.date(2027, 2, 17))[0].kind == "expired"
    assert flags_of(hsr, dt.date(2026, 2, 16))[0].kind == "not_yet"


def overlay(tmp_path: Path, **changes: Any) -> Path:
    venue = json.loads(json.dumps(GATES.venues[0]))
    venue.update(changes)
    path = tmp_path / "gates.json"
    path.write_text(json.dumps({"venues": [venue]}))
    return path


def test_overlay_replaces_a_venue_and_is_hashed(tmp_path: Path) -> None:
    path = overlay(tmp_path, checked="2027-02-01", confidence="high")
    gates = load_gates(path)
    assert len(gates.venues) == len(GATES.venues)
    assert gates.checked == dt.date(2027, 2, 1)
    assert len(gates.hashes["overlay"]) == 64


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"source": ""}, "NYSE.source"),
        ({"checked": "soon"}, "NYSE.checked"),
        ({"currency": None}, "NYSE.currency"),
        ({"tests_any_of": []}, "NYSE.tests_any_of"),
        ({"common_all_of": [{"field": "revenu", "op": ">=", "value": 1}]},
         "NYSE.common_all_of[0].field"),
        ({"common_all_of": [{"field": "revenue", "op": "=>", "value": 1}]},
         "NYSE.common_all_of[0].op"),
        ({"common_all_of": [{"field": "revenue", "op": ">=", "value": "x"}]},
         "NYSE.common_all_of[0].value"),
        ({"common_all_of": [{"field": "revenue", "op": ">=", "value": 1, "window": "ever"}]},
         "NYSE.common_all_of[0].window"),
    ],
)  # fmt: skip
def test_bad_overlay_is_refused(tmp_path: Path, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ExitError) as caught:
        load_gates(overlay(tmp_path, **changes))
    assert caught.value.code == "EX403"
    assert field in [issue.field for issue in caught.value.issues]


@pytest.mark.parametrize("text", ["{", "[]", '{"venus": []}', '{"venues": [3]}'])
def test_unreadable_overlay_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "gates.json"
    path.write_text(text)
    with pytest.raises(ExitError) as caught:
        load_gates(path)
    assert caught.value.code == "EX403"


def test_rates_convert_both_ways_and_carry_their_date() -> None:
    rates = load_rates({"HKD": 7.8}, dt.date(2026, 11, 1))
    assert rates.convert(100, "USD", "HKD") == pytest.approx(780)
    assert rates.convert(780, "HKD", "USD") == pytest.approx(100)
    assert rates.rate("EUR", "USD") == pytest.approx(1.1578)
    assert rates.date_of("HKD") == dt.date(2026, 11, 1)
    assert rates.date_of("CNY") == dt.date(2026, 9, 2)
    for source, code in (("XXX", "EX401"), ("KZT", "EX402")):
        with pytest.raises(ExitError) as caught:
            rates.rate(source, "USD")
        assert caught.value.code == code


def test_old_rates_are_warned_about() -> None:
    report = judge_gates(profile(**{"as_of": "2026-01-31", "market.date": None}), GATES, ("ipo",))
    assert any(note.key == "fx_old" for note in report.warnings)
    fresh = judge_gates(profile(), GATES, ("ipo",))
    assert not any(note.key == "fx_old" for note in fresh.warnings)


@pytest.mark.parametrize("country", ["US", "CN", "GB", "HK"])
@pytest.mark.parametrize("scale", [0.05, 0.3, 1.0, 5.0])
def test_gates_of_a_batch_say_what_the_full_report_says(country: str, scale: float) -> None:
    size: dict[str, Any] = {
        "country": country, "revenue_ttm": 90e6 * scale,
        "revenue_last_fy": [v * scale for v in (20e6, 45e6, 80e6)],
        "valuation.low": 350e6 * scale, "valuation.mid": 500e6 * scale,
        "valuation.high": 700e6 * scale,
    }  # fmt: skip
    options = ("ipo", "ma", "transform", "dual_track")
    for changes in ({}, {"net_income_fy": [9e6, 12e6, 16e6]}, {"total_assets": None}):
        company = profile(**size, **changes)
        full = judge_gates(company, GATES, options)
        (brief,) = judge_gates_many([company], GATES, options)
        assert brief.regulatory == full.regulatory
        assert [(g.option, g.name, g.state, g.prior) for g in brief.hard] == [
            (g.option, g.name, g.state, g.prior) for g in full.hard
        ]


def test_operations_in_china_follow_from_the_country_for_every_rule() -> None:
    """A German firm that says nothing of China is not held up by a Chinese review."""
    for country, wanted in (("DE", "not"), ("HK", "unknown"), ("CN", "applies")):
        company = Profile.from_dict(
            make_profile_dict(country=country, personal_records_held=2_000_000), today=TODAY
        )
        report = judge_gates(company, load_gates(), ("ipo", "ma"))
        states = {gate.id: gate.state for gate in report.regulatory}
        assert states.get("CN_CYBER_REVIEW", "not") == wanted, country
        assert states.get("CN_CSRC_FILING", "not") == wanted, country


def states(region: str, **changes: Any) -> dict[str, str]:
    base: dict[str, Any] = {
        "venue_region": region, "as_of": "2026-11-01", "audited_years": 3,
        "fx": {"HKD": 8.0, "CNY": 7.0, "EUR": 1.0}, "revenue_last_fy": [50e6, 100e6, 400e6],
    }  # fmt: skip
    report = judge_gates(profile(**(base | changes)), GATES, ("ipo",))
    return {venue.id: venue.state for venue in report.venues}


@pytest.mark.parametrize(
    ("cap", "part", "state"),
    [(20e9, 0.15, "pass"), (20e9, 0.14, "fail"), (7e9, 0.15, "fail"), (5e9, 0.24, "fail"),
     (5e9, 0.25, "pass"), (60e9, 0.10, "pass"), (40e9, 0.10, "fail"), (40e9, 0.12, "pass")],
)  # fmt: skip
def test_hong_kong_asks_large_companies_for_a_smaller_public_float(
    cap: float, part: float, state: str
) -> None:
    """25 %; above HKD 6bn the higher of 15 % and 1.5bn; above 30bn of 10 % and 4.5bn."""
    given = {"listing.market_cap": cap / 8, "listing.public_float_pct": part,
             "listing.free_float_pct": 0.10}  # fmt: skip
    assert states("HK", **given)["HKEX_MB_8_05"] == state
    early = given | {"as_of": "2025-07-01", "market.date": "2025-06-01"}
    assert states("HK", **early)["HKEX_MB_8_05"] == ("pass" if part >= 0.25 else "fail")


def test_hong_kong_asks_for_shares_that_trade_from_the_first_day() -> None:
    given = {"listing.market_cap": 1e9, "listing.public_float_pct": 0.3}
    assert states("HK", **given)["HKEX_MB_8_05"] == "unknown"
    for part, state in ((0.05, "fail"), (0.08, "pass"), (0.10, "pass")):  # of HKD 8bn
        assert states("HK", **given, **{"listing.free_float_pct": part})["HKEX_MB_8_05"] == state


def test_18c_is_not_met_without_float_and_without_sophisticated_investors() -> None:
    given = {"listing.market_cap": 2e9, "listing.rd_years": 3, "opex_fy": [10e6] * 3,
             "rd_opex_fy": [5e6] * 3}  # fmt: skip
    whole = {"listing.public_float_pct": 0.25, "listing.free_float_pct": 0.1,
             "listing.sophisticated_investors": "yes"}  # fmt: skip
    assert states("HK", **given, **whole)["HKEX_18C_COMM"] == "pass"
    assert states("HK", **given)["HKEX_18C_COMM"] == "unknown"
    for name, value in (("public_float_pct", 0.02), ("sophisticated_investors", "no")):
        changed = whole | {f"listing.{name}": value}
        assert states("HK", **given, **changed)["HKEX_18C_COMM"] == "fail"


@pytest.mark.parametrize(
    ("income", "state"),
    [([-1e6, 4e6, 9e6], "pass"), ([-1e6, 4e6, 8e6], "pass"), ([-3e6, 4e6, 5e6], "fail"),
     ([3e6, 2e6, 7.5e6], "pass"), ([-9e6, 5e6, 5e6], "pass"), ([1e6, 1e6, 11e6], "fail")],
)  # fmt: skip
def test_new_york_has_three_arms_of_its_earnings_test(income: list[float], state: str) -> None:
    given = {"listing.market_cap": 1e8, "listing.round_lot_holders": 400,
             "pretax_income_fy": income, "listing.public_shares": 5e6, "listing.share_price": 10,
             "listing.public_float_pct": 0.5, "net_income_fy": income}  # fmt: skip
    assert states("US", **given)["NYSE"] == state


def test_star_has_two_ways_to_its_first_standard() -> None:
    given = {"country": "CN", "founded": "2019-01-01", "listing.market_cap": 1.2e9 / 7,
             "revenue_last_fy": [5e6, 10e6, 15e6]}  # fmt: skip
    assert states("CN", **given, net_income_fy=[-1e6, -1e6, 1e6])["SSE_STAR"] == "pass"
    assert states("CN", **given, net_income_fy=[-1e6, -1e6, -1e6])["SSE_STAR"] == "fail"


def test_ten_percent_are_enough_in_the_european_union_since_june_2026() -> None:
    given = {"country": "FR", "listing.market_cap": 30e6, "listing.public_float_pct": 0.12}
    assert states("EU", **given)["EURONEXT_REG"] == "pass"
    early = given | {"as_of": "2026-05-01", "market.date": "2026-05-01"}
    assert states("EU", **early)["EURONEXT_REG"] == "fail"


def test_a_rule_whose_fate_is_not_known_takes_the_bare_pass_away() -> None:
    given = {"listing.market_cap": 900e6, "listing.round_lot_holders": 500,
             "listing.public_shares": 5e6, "listing.share_price": 10,
             "listing.public_float_pct": 0.1, "revenue_last_fy": [50e6, 90e6, 120e6]}  # fmt: skip
    assert states("US", **given, country="US")["NASDAQ_GS"] == "pass"
    assert states("US", **given, country="CN")["NASDAQ_GS"] == "unknown"
    large = given | {"listing.offer_size": 90e6}
    assert states("US", **large, country="CN")["NASDAQ_GS"] == "pass"
    company = profile(**given, country="CN", venue_region="US")
    notes = {note.key for note in judge_gates(company, GATES, ("ipo",)).warnings}
    assert "pending_nasdaq_china" in notes


def test_gates_of_a_batch_agree_on_the_alternatives() -> None:
    for cap in (1e8, 2e9, 9e9):
        company = profile(**{"venue_region": "HK", "listing.market_cap": cap,
                             "listing.public_float_pct": 0.16})  # fmt: skip
        full = judge_gates(company, GATES, ("ipo",)).of("ipo")
        brief = judge_gates_many([company], GATES, ("ipo",))[0].of("ipo")
        assert [g.state for g in full] == [g.state for g in brief]


def test_exchange_rates_age_as_well() -> None:
    day = load_rates().date
    assert "rates_old" not in {f.kind for f in check_age(GATES, day + dt.timedelta(days=90))}
    old = [f for f in check_age(GATES, day + dt.timedelta(days=91)) if f.kind == "rates_old"]
    assert old
    assert not old[0].stale
    late = check_age(GATES, day + dt.timedelta(days=200))
    assert any(f.kind == "rates_old" and f.stale for f in late)


def test_the_venues_of_the_pacific_and_of_small_american_firms_are_known() -> None:
    """GEM since 2024, Singapore since 29 October 2025, NYSE American (whose float was not read)."""
    rows = {venue["id"]: venue for venue in GATES.venues}
    assert rows["NYSE_AMERICAN"]["read"] is None
    made = make_profile_dict(
        **{"currency": "SGD", "founded": "2015-01-01", "pretax_income_fy": [8e6, 9e6, 11e6],
           "listing.public_float_pct": 0.25, "listing.share_price": 1.0}
    )  # fmt: skip
    for income, state in ((11e6, "pass"), (9e6, "fail")):
        made["pretax_income_fy"] = [8e6, 9e6, income]
        for key in ("low", "mid", "high"):
            made[f"valuation.{key}"] = 90e6
        report = judge_gates(Profile.from_dict(made, today=TODAY), GATES, ("ipo",))
        found = next(v for v in report.venues if v.id == "SGX_MAINBOARD")
        tests = {test.id: test.state for test in found.tests}
        assert tests["profit"] == state
        assert found.region == "SG"
        american = next(v for v in report.venues if v.id == "NYSE_AMERICAN")
        assert american.state != "pass"


def regulators(**changes: Any) -> dict[str, str]:
    company = Profile.from_dict(make_profile_dict(**changes), today=TODAY)
    report = judge_gates(company, GATES, ("ipo", "ma"))
    return {gate.id: gate.state for gate in report.regulatory}


@pytest.mark.parametrize(
    ("changes", "id_", "state"),
    [
        # turnover bounds turnover in one place: below it no filing, above it the buyer decides
        ({"currency": "EUR", "revenue_ttm": 99e6}, "EU_MERGER", "not"),
        ({"currency": "EUR", "revenue_ttm": 101e6}, "EU_MERGER", "unknown"),
        ({"country": "CN", "currency": "CNY", "revenue_ttm": 799e6}, "CN_SAMR", "not"),
        ({"country": "CN", "currency": "CNY", "revenue_ttm": 801e6}, "CN_SAMR", "unknown"),
        ({"country": "DE", "currency": "CNY", "revenue_ttm": 801e6}, "CN_SAMR", "not"),
        # a company that left China for Singapore, as Manus did, is still reviewed
        ({"country": "SG", "deal.operations_in_china": "yes", "deal.foreign_buyer": "yes"},
         "CN_SECURITY_REVIEW", "applies"),
        ({"country": "CN"}, "CN_SECURITY_REVIEW", "unknown"),
        ({"country": "CN", "deal.foreign_buyer": "no"}, "CN_SECURITY_REVIEW", "not"),
        ({"country": "DE", "deal.foreign_buyer": "yes"}, "DE_AWV", "applies"),
        ({"country": "DE", "deal.foreign_buyer": "yes", "deal.acquirer_stake": 0.19},
         "DE_AWV", "not"),
        ({"country": "DE", "deal.foreign_buyer": "yes", "sector": "commerce"}, "DE_AWV", "gone"),
        ({"country": "FR", "deal.foreign_buyer": "yes"}, "EU_FDI", "applies"),
        ({"country": "GB"}, "UK_MERGER", "unknown"),
    ],
)  # fmt: skip
def test_merger_control_and_screening_of_buyers(
    changes: dict[str, Any], id_: str, state: str
) -> None:
    found = regulators(**changes).get(id_, "gone")
    assert found == state or (state in ("not", "gone") and found in ("not", "gone"))


@pytest.mark.parametrize(
    ("profit", "cash_flow", "revenue", "cap", "state"),
    [
        ([40e6, 61e6, 100e6], [60e6, 60e6, 81e6], [3e8, 3e8, 3e8], 1e9, "pass"),
        ([40e6, 61e6, 99e6], [60e6, 60e6, 81e6], [3e8, 3e8, 3e8], 1e9, "fail"),
        ([-1e6, 99e6, 103e6], [60e6, 60e6, 81e6], [3e8, 3e8, 3e8], 1e9, "fail"),
        ([40e6, 61e6, 100e6], [0, 0, 0], [4e8, 5e8, 6e8], 1e9, "pass"),
        ([-9e6, -9e6, 1e6], [0, 0, 251e6], [1e8, 2e8, 6e8], 5e9, "pass"),
        ([-9e6, -9e6, 1e6], [0, 0, 0], [1e8, 2e8, 1e9], 9.9e9, "fail"),
        ([-9e6, -9e6, 1e6], [0, 0, 0], [1e8, 2e8, 1e9], 1e10, "pass"),
    ],
)
def test_main_boards_of_china_ask_for_profit_cash_or_size(
    profit: list[float], cash_flow: list[float], revenue: list[float], cap: float, state: str
) -> None:
    company = Profile.from_dict(
        make_profile_dict(
            **{"country": "CN", "currency": "CNY", "net_income_fy": profit,
               "operating_cash_flow_fy": cash_flow, "revenue_last_fy": revenue,
               "listing.market_cap": cap}
        ),
        today=TODAY,
    )  # fmt: skip
    report = judge_gates(company, GATES, ("ipo",))
    venues = {v.id: v for v in report.venues}
    assert venues["CN_MAIN"].state == state


@pytest.mark.parametrize(
    ("profit", "revenue", "cap", "state"),
    [
        ([-1e6, 40e6, 60e6], 1e8, 1e9, "pass"),
        ([-1e6, 41e6, 59e6], 1e8, 1e9, "fail"),
        ([-1e6, 39e6, 60e6], 1e8, 1e9, "fail"),
        ([-1e6, -1e6, 110e6], 1e8, 1e9, "fail"),
        ([-9e6, -9e6, 1e6], 4e8, 1.5e9, "pass"),
        ([-9e6, -9e6, 1e6], 3.9e8, 1.5e9, "fail"),
        ([-9e6, -9e6, -1e6], 3e8, 5e9, "pass"),
        ([-9e6, -9e6, -1e6], 3e8, 4.9e9, "fail"),
    ],
)
def test_chinext_asks_for_what_it_was_raised_to_in_2024(
    profit: list[float], revenue: float, cap: float, state: str
) -> None:
    company = Profile.from_dict(
        make_profile_dict(
            **{"country": "CN", "currency": "CNY", "net_income_fy": profit,
               "revenue_last_fy": [1e8, 2e8, revenue], "listing.market_cap": cap}
        ),
        today=TODAY,
    )  # fmt: skip
    report = judge_gates(company, GATES, ("ipo",))
    venue = next(v for v in report.venues if v.id == "SZSE_CHINEXT")
    assert venue.state == state
    assert venue.read is not None


def test_a_rule_that_nobody_read_is_never_a_bare_pass() -> None:
    company = Profile.from_dict(make_profile_dict(**NORTH), today=TODAY)
    report = judge_gates(company, GATES, ("ipo",))
    shown = {row[0]: row[1] for row in venue_rows(report)}
    unread = [v for v in report.venues if v.read is None and v.state == "pass"]
    assert unread
    for venue in unread:
        assert shown[venue_name(venue)] == "pass, rule not verified"


def test_a_listing_is_no_bare_pass_by_a_rule_that_nobody_read_alone() -> None:
    """NYSE American, from memory, is the one venue open to it; beside others it is not named."""
    company = Profile.from_dict(make_profile_dict(
        **{"venue_region": "US", "founded": "2015-01-01", "stockholders_equity": 50e6, "cash": 0,
           "monthly_burn": 0, "debt": 0, "listing.market_cap": 215e6,
           "pretax_income_fy": [5e6, 6e6, 9e6], "net_income_fy": [4e6, 5e6, 7e6],
           "listing.round_lot_holders": 420, "listing.public_shares": 1.05e6,
           "listing.share_price": 5, "listing.public_float_pct": 0.07,
           "listing.offer_size": 14e6, "valuation.low": 200e6, "valuation.mid": 215e6,
           "valuation.high": 250e6}), today=TODAY)  # fmt: skip
    report = judge_gates(company, GATES, ("ipo",))
    (gate,) = (gate for gate in report.hard if gate.name == "venue")
    assert [v.id for v in report.venues if v.state == "pass"] == ["NYSE_AMERICAN"]
    assert gate.state == "pass"
    assert gate.reason.text() == "NYSE American: pass, rule not verified"
    assert gate.reason.text("zh").endswith("通过，规则未核实")
    more = profile(**NORTH)
    (gate,) = (g for g in judge_gates(more, GATES, ("ipo",)).hard if g.name == "venue")
    assert gate.reason.text().endswith(": pass")
    assert "First North" not in gate.reason.text()


AIM = {"listing.adviser_agreed": "yes", "audited_years": 1}
NORTH = {**AIM, "listing.public_float_pct": 0.1, "founded": "2025-11-01"}
VENTURE = {"listing.round_lot_holders": 200, "listing.public_shares": 1_000_000,
           "listing.public_float_pct": 0.2, "stockholders_equity": 0.0, "currency": "CAD",
           "revenue_last_fy": [0.0, 0.0, 5e5]}  # fmt: skip
BEIJING: dict[str, Any] = {
    "country": "CN", "currency": "CNY", "listing.neeq_year": "yes", "stockholders_equity": 1e8,
    "listing.round_lot_holders": 200, "listing.public_float_pct": 0.25,
}  # fmt: skip
RESEARCH = {**BEIJING, "listing.market_cap": 8e8, "revenue_last_fy": [1e8, 1e8, 2e8],
            "rd_opex_fy": [0.0, 8e6, 16e6], "opex_fy": [5e8] * 3,
            "net_income_fy": [0.0] * 3}  # fmt: skip


@pytest.mark.parametrize(
    ("region", "venue", "given", "breaks"),
    [
        ("UK", "LSE_AIM", AIM, {"listing.adviser_agreed": "no"}),
        ("UK", "LSE_AIM", AIM, {"audited_years": 0}),
        ("EU", "NASDAQ_FIRST_NORTH", NORTH, {"founded": "2026-01-01"}),
        ("EU", "NASDAQ_FIRST_NORTH", NORTH, {"listing.public_float_pct": 0.09}),
        ("CA", "TSXV_TIER2", VENTURE, {"revenue_last_fy": [0.0, 0.0, 4.9e5],
                                       "listing.offer_size": 1.9e6}),
        ("CA", "TSXV_TIER2", VENTURE, {"listing.public_float_pct": 0.19}),
        ("CN", "CN_BSE", {**BEIJING, "listing.market_cap": 2e8, "net_income_fy": [0.0, 15e6, 15e6]},
         {"net_income_fy": [0.0, 14e6, 24e6]}),
        ("CN", "CN_BSE", {**BEIJING, "listing.market_cap": 2e8, "net_income_fy": [0.0, -1.0, 25e6]},
         {"stockholders_equity": 4e8}),
        ("CN", "CN_BSE", {**BEIJING, "listing.market_cap": 4e8, "net_income_fy": [0.0] * 3,
                          "revenue_last_fy": [1e7, 9e7, 1.2e8],
                          "operating_cash_flow_fy": [-1.0, -1.0, 1.0]},
         {"revenue_last_fy": [1e7, 9.9e7, 1.2e8]}),
        ("CN", "CN_BSE", RESEARCH, {"rd_opex_fy": [9e7, 7e6, 16e6]}),
        ("CN", "CN_BSE", {**RESEARCH, "listing.market_cap": 1.5e9, "rd_opex_fy": [0.0, 2e7, 3e7],
                          "revenue_last_fy": [0.0] * 3}, {"listing.market_cap": 1.49e9}),
        ("CN", "CN_BSE", RESEARCH, {"listing.neeq_year": "no"}),
    ],
)  # fmt: skip
def test_the_newer_venues_open_at_their_thresholds(
    region: str, venue: str, given: dict[str, Any], breaks: dict[str, Any]
) -> None:
    def state(**facts: Any) -> str:
        company = profile(**{"venue_region": region, **facts})
        report = judge_gates(company, GATES, ("ipo",))
        return {v.id: v.state for v in report.venues}[venue]

    assert (state(**given), state(**{**given, **breaks})) == ("pass", "fail")


def test_no_market_that_asks_for_an_adviser_is_open_before_one_agreed() -> None:
    for region, venue in (("UK", "LSE_AIM"), ("EU", "NASDAQ_FIRST_NORTH")):
        report = judge_gates(profile(venue_region=region), GATES, ("ipo",))
        assert {v.id: v.state for v in report.venues}[venue] == "unknown"


def test_every_rule_has_the_day_on_which_its_source_was_read_or_says_that_nobody_did() -> None:
    for row in (*GATES.venues, *GATES.regulatory):
        assert "read" in row, row["id"]
        if row["read"] is not None:
            assert dt.date(2026, 11, 1) < dt.date.fromisoformat(row["read"]) < dt.date(2027, 11, 1)
    result = evaluate(Profile.from_dict(make_profile_dict(), today=TODAY), draws=100)
    for lang, word in (("en", "not read"), ("zh", "未核实")):
        shown = [row[4] for row in venue_rows(result.gates, lang)]
        assert [day == word for day in shown] == [v.read is None for v in result.gates.venues]
        days = [row[5] for row in regulator_table(result, lang).rows]
        assert all(day == word or dt.date.fromisoformat(day) for day in days)


def test_years_in_cents_that_add_up_to_a_threshold_reach_it() -> None:
    rng, lost = np.random.default_rng(3), []
    while len(lost) < 10:  # floats that add up to less than the sum of what they stand for
        first, second = (int(x) for x in rng.integers(3e8, 5e8, 2))
        cents = [first, second, 10**9 - first - second]
        years = [value / 100 for value in cents]
        if cents[2] > 0 and sum(years) < 1e7:
            lost.append(years)
    for years in lost:
        (row,) = (
            row for row in judge_gates(profile(pretax_income_fy=years), GATES, ("ipo",)).venues
            if row.id == "NYSE"
        )  # fmt: skip
        total = row.tests[0].conditions[0]
        assert (total.window, total.state) == ("sum of last 3 fiscal years", "pass"), years
    assert OPERATORS[">"](sum([2.2, 1.1]), 3.3) is False
    assert OPERATORS[">"](1_000_001, 1_000_000) is True


@pytest.mark.parametrize(
    ("founded", "day", "years"),
    [
        ("2024-03-01", "2026-03-01", 2.0),  # 730 days, the last of them the second anniversary
        ("2024-03-01", "2026-02-28", None),
        ("2021-03-01", "2024-03-01", 3.0),
        ("2024-02-29", "2026-03-01", 2.0),
        ("2024-02-29", "2026-02-28", None),
        ("2023-11-21", "2026-11-20", None),
        ("2023-11-20", "2026-11-20", 3.0),
    ],
)
def test_a_company_is_as_old_as_its_last_birthday(
    founded: str, day: str, years: float | None
) -> None:
    company = profile(founded=founded, as_of=day, **{"market.date": None})
    (age,) = facts_of(company)["operating_history_years"].years
    assert age is not None
    if years is None:
        assert age < round(age)
    else:
        assert age == years
