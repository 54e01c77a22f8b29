"""Cap tables as people type them: units, totals, cents and years that would pay somebody else.

Each slip is refused by name, or told where the table may be meant as it is.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from exit_profiles import TODAY, make_profile_dict

from fastnn.exit_strategy.errors import ExitError, Issue
from fastnn.exit_strategy.faults import in_chinese
from fastnn.exit_strategy.money import CapTable, Note, OptionGrant, Safe, ShareClass, Vesting
from fastnn.exit_strategy.money.outcomes import parse_cap_table, run_waterfall
from fastnn.exit_strategy.money.terms import Holding
from fastnn.exit_strategy.notes import Note as Told
from fastnn.exit_strategy.profile.profile import Profile

A = {"name": "A", "shares": 2e6, "invested": 40e6}
TABLE: dict[str, Any] = {"common": 8e6, "founders": 4e6, "classes": [A]}


def company(table: dict[str, Any] = TABLE, **changes: Any) -> Profile:
    return Profile.from_dict(make_profile_dict(cap_table=table, **changes), today=TODAY)


def flags(table: dict[str, Any], **changes: Any) -> tuple[str, ...]:
    return run_waterfall(company(table, **changes), [100e6]).flags


def refused(table: dict[str, Any], match: str, **changes: Any) -> None:
    with pytest.raises(ExitError, match=match) as caught:
        company(table, **changes)
    for issue in caught.value.issues:
        assert in_chinese(issue.message), issue.message
        assert in_chinese(issue.hint), issue.hint


# ---- rows of totals -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    "name", ["Total", "TOTAL:", "  total ", "Sub-total", "Grand total", "合计", "总计", "小计",
             "合 计", "Summe", "Итого", "ＴＯＴＡＬ"]
)  # fmt: skip
def test_a_row_of_totals_is_no_paper_and_no_holder(name: str) -> None:
    total = {"name": name, "shares": 2e6, "invested": 40e6}
    refused({**TABLE, "classes": [A, total]}, "is the name of a sum")
    people = [
        {"person": "Ada", "paper": "A", "part": 0.4},
        {"person": name, "paper": "A", "part": 0.4},
    ]
    refused({**TABLE, "holders": people}, "is the name of a sum")
    kept = ShareClass("Total Ventures", 1e6, 1e6)
    assert CapTable(1e6, 1e6, (kept,)).classes == (kept,)


@pytest.mark.parametrize("other", ["ada", "ADA", "Ada", "Ａｄａ", "Ada  B"])
def test_one_person_is_not_two_by_capitals_or_spaces(other: str) -> None:
    first = "Ada B" if " " in other else "Ada"
    rows = [{"person": name, "paper": "A", "part": 0.4} for name in (f" {first} ", other)]
    if other == "Ada":
        made = company({**TABLE, "holders": rows}).cap_table
        assert {row.person for row in made.holders} == {"Ada"}
    else:
        refused({**TABLE, "holders": rows}, "EX303 cap_table.holders: the names .* look alike")


# ---- sheets -------------------------------------------------------------------------------------
def sheet(folder: Path, text: str) -> Profile:
    (folder / "cap.csv").write_text(text, encoding="utf-8")
    return company({"sheet": str(folder / "cap.csv"), "founders": ["Ada"]})


@pytest.mark.parametrize(
    "rows",
    ["Holder,Class,Shares\nAda,Common,8,500,000\nBob,Common,1,250,000\n",
     "Holder,Class,Shares\nAda,Common,8500000\nBob,Common,1250000,see note\n",
     "Holder,Common,Options\nAda,8500000,\nBob,,1,250,000\n"],
)  # fmt: skip
def test_cells_beyond_the_columns_of_a_text_file_are_not_dropped(tmp_path: Path, rows: str) -> None:
    """8,500,000 without quotation marks was read as 8 shares."""
    with pytest.raises(ExitError, match=r"row \d has \d cells below 3 columns") as caught:
        sheet(tmp_path, rows)
    assert in_chinese(caught.value.issues[0].hint)
    made = sheet(tmp_path, "Holder,Class,Shares\nAda,Common,8500000,,\nBob,Common,1250000, \n")
    assert made.cap_table.common == 9_750_000


@pytest.mark.parametrize(
    "name", ["Treasury", "Treasury stock", "Acme (treasury)", "Unissued", "Authorised but unissued",
             "Available for grant", "ESOP", "Option pool", "2020 Stock Plan", "Rounding", "库存股",
             "期权池", "Eigene Anteile", "Actions propres", "azioni proprie"]
)  # fmt: skip
def test_shares_that_nobody_holds_are_not_paid(tmp_path: Path, name: str) -> None:
    rows = f"Holder,Class,Shares\nAda,Common,8000000\n{name},Common,500000\n"
    with pytest.raises(ExitError, match="may be nobody who is paid in a sale"):
        sheet(tmp_path, rows)
    kept = rows.replace(name, "员工持股平台")
    assert sheet(tmp_path, kept).cap_table.common == 8.5e6


@pytest.mark.parametrize("name", ["Total général", "Celkem", "Razem", "Toplam", "Σ", "Outstanding"])
def test_sums_of_other_languages_are_compared_with_the_rows(tmp_path: Path, name: str) -> None:
    rows = f"Holder,Class,Shares\nAda,Common,8000000\n{name},Common,{{}}\n"
    assert sheet(tmp_path, rows.format(8_000_000)).cap_table.common == 8e6
    with pytest.raises(ExitError, match="its rows add up to 8,000,000"):
        sheet(tmp_path, rows.format(9_000_000))


def test_a_number_that_a_spreadsheet_shortened_is_refused(tmp_path: Path) -> None:
    """Excel saves 8,234,567 in a narrow column as 8.23E+06."""
    rows = "Holder,Class,Shares\nAda,Common,8.23E+06\n"
    with pytest.raises(ExitError, match="may have been shortened by a spreadsheet"):
        sheet(tmp_path, rows)
    with pytest.raises(ExitError, match=r"EX103 cash: .* shortened"):
        company(cash="1,2E+08 €")
    assert company(cash="1.2e8").cash == 1.2e8  # as people write it


def test_a_preference_that_is_the_price_of_a_share_is_no_multiple(tmp_path: Path) -> None:
    """A column with money a share, as some exports have it, was read as five times the money."""
    head = "Holder,Class,Shares,Invested,Liquidation preference\nAda,Common,8000000,,\n"
    with pytest.raises(ExitError, match="is the price of a share"):
        sheet(tmp_path, head + "Fund,Series A,2000000,10m,5\n")
    (made,) = sheet(tmp_path, head + "Fund,Series A,2000000,3m,1.5x\n").cap_table.classes
    assert made.multiple == 1.5


def test_shares_of_a_class_at_two_prices_are_told(tmp_path: Path) -> None:
    head = "Holder,Class,Shares,Price\nAda,Common,8000000,\nFund,Series A,1000000,5\n"
    made = sheet(tmp_path, head + "Note,Series A,1000000,4\n")
    assert made.cap_table.classes[0].invested == 9e6
    (told,) = {key for key in made.cap_table.told if key == "sheet_prices"}
    assert "original issue price" in Told(told).text()
    assert "原始发行价" in Told(told).text("zh")
    same = sheet(tmp_path, head + "Note,Series A,1000000,5\n")
    assert "sheet_prices" not in same.cap_table.told


def test_the_day_on_which_a_class_was_paid_for_is_read_and_several_are_told(tmp_path: Path) -> None:
    """It was dropped, so that the returns of its holders had no time."""
    head = (
        "Holder,Class,Shares,Price,Date\nAda,Common,8000000,,\nFund,Series A,1000000,5,2021-03-04\n"
    )
    table = sheet(tmp_path, head + "Note,Series A,1000000,5,2021-03-04\n").cap_table
    assert str(table.classes[0].date) == "2021-03-04"
    assert "sheet_days" not in table.told
    for other in ("2022-01-01", ""):
        table = sheet(tmp_path, head + f"Note,Series A,1000000,5,{other}\n").cap_table
        assert table.classes[0].date is None
        assert "sheet_days" in table.told
    assert "日期" in Told("sheet_days").text("zh")


# ---- thousands and millions ---------------------------------------------------------------------
@pytest.mark.parametrize("invested", [40.0, 4_000.0, 20.0])
def test_money_in_millions_thousands_or_a_share_is_refused_beside_what_was_raised(
    invested: float,
) -> None:
    says = "EX118 cap_table: papers for" if invested >= 100 else "EX303 .* of money for 2,000,000"
    refused({**TABLE, "classes": [A | {"invested": invested}]}, says)
    refused(TABLE, "EX118 cap_table: papers for", total_raised=40.0, revenue_ttm=None)
    company({**TABLE, "classes": [A | {"invested": 1e6}]})  # a first angel of a larger sum


def test_a_table_without_money_raised_is_taken() -> None:
    assert company({"common": 8e6, "founders": 4e6}).cap_table.raised == 0.0
    company(TABLE, total_raised=None)


@pytest.mark.parametrize("kind", ["safes", "notes"])
def test_the_money_of_a_safe_in_millions_is_refused_beside_its_cap(kind: str) -> None:
    money = "amount" if kind == "safes" else "principal"
    row = {"name": "S", money: 1.0, "valuation_cap": 10e6}
    refused(
        {**TABLE, kind: [row]}, rf"EX303 cap_table.{kind}\[0\].{money}: 1.0 of money under a cap"
    )
    company({**TABLE, kind: [row | {money: 1000.0}]})  # a crowd gives little each


# ---- strikes and conversion prices --------------------------------------------------------------
def test_a_strike_of_all_options_is_refused_without_a_class_to_compare_it_with() -> None:
    table = {"common": 8e6, "founders": 4e6, "options": [{"n": 1e6, "strike": 5e6}]}
    refused(table, r"EX118 cap_table.options\[0\].strike: at this price")
    company({**table, "options": [{"n": 1e6, "strike": 5.0}]})


def test_a_strike_in_cents_is_refused_or_told() -> None:
    def table(strike: float) -> dict[str, Any]:
        return {**TABLE, "options": [{"n": 1e6, "strike": strike}]}

    refused(table(30e3), "beside shares bought at 20")
    assert "strike_above_all" in flags(table(50.0))
    assert "strike_above_all" not in flags(table(12.0))


@pytest.mark.parametrize("price", [40e6, 0.00002])
def test_a_conversion_price_of_all_shares_or_of_none_is_refused(price: float) -> None:
    refused({**TABLE, "classes": [A | {"conversion_price": price}]}, "conversion_price")
    company({**TABLE, "classes": [A | {"conversion_price": 10.0}]})


@pytest.mark.parametrize("name", ["founders", "pool"])
def test_a_part_of_the_shares_is_told_to_be_a_number_of_them(name: str) -> None:
    with pytest.raises(ExitError) as caught:
        company({**TABLE, name: "75 %"})
    assert caught.value.issues[0].hint == "give the number of shares, not their part"


@pytest.mark.parametrize("ratio", ["2:1", "1:2", "1 : 1.5"])
def test_a_conversion_as_a_pair_of_numbers_is_refused_for_one(ratio: str) -> None:
    """2:1 is two for one to some and one for two to others."""
    refused({**TABLE, "classes": [A | {"conversion_ratio": ratio}]}, "write one number: 2 where")


@pytest.mark.parametrize(
    ("name", "typed", "meant"),
    [("participation", " Full ", "full"), ("participation", "NONE", "none"),
     ("anti_dilution", "Full ratchet", "full_ratchet"), ("anti_dilution", "Broad", "broad"),
     ("anti_dilution", "narrow-preferred", "narrow_preferred")],
)  # fmt: skip
def test_one_of_a_few_words_may_be_written_in_any_way(name: str, typed: str, meant: str) -> None:
    made = company({**TABLE, "classes": [A | {name: typed}]}).cap_table
    assert getattr(made.classes[0], name) == meant
    refused({**TABLE, "classes": [A | {name: "yes"}]}, "EX303.*is not a term")


def test_vesting_in_years_is_refused() -> None:
    start = "2025-01-01"
    grant = {"name": "team", "n": 1e6, "vesting": {"start": start, "months": 4, "cliff": 1}}
    refused({**TABLE, "options": [grant]}, "4 months with a cliff of 1 may be years")
    short = OptionGrant("adviser", 1e5, vesting=Vesting(dt.date(2025, 1, 1), 4, 0))
    assert CapTable(8e6, 4e6, options=(short,)).options == (short,)


@pytest.mark.parametrize("text", ["7,8", "7.8", "12,25"])
def test_a_mark_that_groups_shares_is_no_decimal_mark(text: str) -> None:
    refused({**TABLE, "classes": [A | {"shares": text}]}, "EX122.*shares: .* is read as")
    refused({**TABLE, "common": text}, "EX122 cap_table.common")
    company({**TABLE, "classes": [A | {"shares": "1,5m"}]})
    company({**TABLE, "notes": [{"name": "N", "principal": 1e6, "interest": 0.08, "years": "1.5"}]})


def test_parts_of_a_few_shares_are_told_where_the_mark_is_stated() -> None:
    few = {"common": "25.000", "founders": "15.000", "classes": [A | {"shares": "7,8"}]}
    assert "parts_of_shares" in flags(few, decimal=",")
    assert "parts_of_shares" not in flags(TABLE)


# ---- what may be meant as it is, and is told ----------------------------------------------------
def test_a_share_of_the_founders_that_the_table_contradicts_is_told() -> None:
    assert "founder_share_differs" in flags(TABLE, founder_share=0.8)
    assert "founder_share_differs" not in flags(TABLE, founder_share=0.42)
    assert "founder_share_differs" not in flags(TABLE, founder_share=None)


def test_prices_of_papers_far_from_the_valuation_are_told() -> None:
    """Shares in thousands, or shares and money exchanged, show in what they make of the company."""
    swapped = A | {"shares": 40e6, "invested": 2e6}
    assert "paper_prices_far" in flags({**TABLE, "classes": [swapped]})
    assert "paper_prices_far" in flags(
        {**TABLE, "classes": [A | {"shares": 2000.0}], "common": 8e6}
    )
    assert "paper_prices_far" not in flags(TABLE)
    golden = {"name": "state", "shares": 1, "invested": 1.0}
    assert "paper_prices_far" not in flags({**TABLE, "classes": [A, golden]})


def test_what_is_told_reads_in_both_languages() -> None:
    for key in ("founder_share_differs", "paper_prices_far", "strike_above_all"):
        english, chinese = Told(key).text("en"), Told(key).text("zh")
        assert " " in english
        assert english != chinese


def test_decimals_are_compared_as_floats_are() -> None:
    paper = ShareClass("A", Decimal("2e6"), Decimal("40e6"), conversion_ratio=Decimal("1.5"))
    table = CapTable(
        Decimal("8e6"), Decimal("4e6"), (paper,),
        (OptionGrant("team", Decimal("1e6"), Decimal("5")),),
        (Safe("S", Decimal("1e6"), Decimal("2e7")),),
        (Note("N", Decimal("1e6"), years=Decimal(0)),),
        holders=(Holding("Ada", "A", Decimal("0.5")),),
    )  # fmt: skip
    made = replace(company(), cap_table=table)
    assert len(run_waterfall(made, [100e6]).payouts[0]) == len(table.claims())


@pytest.mark.parametrize(
    ("term", "written", "value"),
    [
        ("participation", "fully participating", "full"),
        ("participation", "Non-participating", "none"),
        ("anti_dilution", "broad-based weighted average", "broad"),
        ("anti_dilution", "Full ratchet", "full_ratchet"),
        ("multiple", "150 %", 1.5),
    ],
)
def test_terms_may_be_written_as_term_sheets_do(term: str, written: str, value: object) -> None:
    issues: list[Issue] = []
    row = {"name": "A", "shares": 2e6, "invested": "8m", term: written}
    table = parse_cap_table({"common": 8e6, "founders": 7e6, "classes": [row]}, issues)
    assert table is not None, issues
    assert getattr(table.classes[0], term) == value


def test_a_safe_may_be_said_to_be_pre_money() -> None:
    issues: list[Issue] = []
    safe = {"name": "S", "amount": "1m", "valuation_cap": "10m", "post_money": "pre-money"}
    table = parse_cap_table({"common": 8e6, "safes": [safe]}, issues)
    assert table is not None, issues
    assert table.safes[0].post_money is False


@pytest.mark.parametrize("written", [8, 4.0, "12.5"])
def test_money_in_millions_or_by_the_share_is_not_what_a_class_paid_in(written: object) -> None:
    issues: list[Issue] = []
    row = {"name": "A", "shares": 2e6, "invested": written}
    assert parse_cap_table({"common": 8e6, "classes": [row]}, issues) is None
    assert issues[0].field == "cap_table.classes[0].invested"


def test_fifteen_times_is_a_slip_for_one_and_a_half() -> None:
    issues: list[Issue] = []
    row = {"name": "A", "shares": 2e6, "invested": "8m", "multiple": 15}
    assert parse_cap_table({"common": 8e6, "classes": [row]}, issues) is None
    assert "more than a paper says" in issues[0].message


@pytest.mark.parametrize(
    ("rows", "row", "typed", "meant"),
    [
        ("safes", {"name": "S", "amount": 1e6}, "cap", "valuation_cap"),
        ("notes", {"name": "N", "principal": 1e6, "years": 1, "interest": 0.05}, "Cap",
         "valuation_cap"),
        ("notes", {"name": "N", "years": 1, "interest": 0.05}, "amount", "principal"),
        ("notes", {"name": "N", "principal": 1e6, "years": 1}, "rate", "interest"),
        ("classes", A, "liquidation_preference", "multiple"),
        ("classes", A, "participation_cap", "cap"),
        ("classes", A, "rank", "seniority"),
        ("classes", {"name": "A", "shares": 2e6}, "amount", "invested"),
        ("options", {"name": "O", "n": 1e5}, "exercise_price", "strike"),
        ("options", {"name": "O", "strike": 1}, "股数", "n"),
        ("holders", {"person": "Ada", "paper": "A"}, "stake", "part"),
        ("holders", {"paper": "A", "part": 0.5}, "holder", "person"),
    ],
)  # fmt: skip
def test_a_field_by_its_name_in_the_papers_is_told_its_name_here(
    rows: str, row: dict[str, Any], typed: str, meant: str
) -> None:
    table = {**TABLE, rows: [{**row, typed: 0.5}]}
    with pytest.raises(ExitError) as caught:
        company(table)
    (issue,) = (found for found in caught.value.issues if found.message == "unknown field")
    assert issue.hint == f"did you mean {meant}?"
