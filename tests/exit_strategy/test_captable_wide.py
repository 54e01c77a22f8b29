"""Cap tables in the wide form: a row for each holder, a column for each share class."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from test_captable_sheets import read, refused as _refused

from fastnn.exit_strategy.faults import in_chinese
from fastnn.exit_strategy.money.waterfall import Schedule

WIDE = """Acme Inc. as of 2026-11-01
Shareholder,Role,Common,Series Seed,Series A,Options,Total,% fully diluted
Ada Li,Founder,"4,000,000",,100000,,"4,100,000",41.0%
Ben Wu,Founder,3000000,,-,,3000000,30.0%
Carl,,500000,0,,,500000,5.0%
VC One,,,500000,1500000,,2000000,20.0%
Team,,,,,300000,300000,3.0%
Unissued pool,,,,,100000,100000,1.0%
Total,,7500000,500000,1600000,400000,10000000,100.0%
Price per share,,,2.00,4.00,0.50,,
% of total,,75.0%,5.0%,16.0%,4.0%,,
"""


def refused(tmp_path: Path, text: str | bytes, **terms: Any) -> str:
    said = _refused(tmp_path, text, **terms)
    for line in said.splitlines():
        words = re.sub(r"^ *(?:hint: |EX[0-9]+ [^ ]+: )", "", line)
        assert "problems:" in words or in_chinese(words) is not None, words
    return said


def test_a_wide_table_is_the_table_of_its_papers(tmp_path: Path) -> None:
    table = read(tmp_path, WIDE)
    assert (table.common, table.founders, table.pool) == (7.5e6, 7e6, 1e5)
    assert {c.name: (c.shares, c.invested) for c in table.classes} == {
        "Series Seed": (5e5, 1e6), "Series A": (1.6e6, 6.4e6),
    }  # fmt: skip
    assert [(o.name, o.n, o.strike) for o in table.options] == [("Options", 3e5, 0.5)]
    share = (49.35e6 + 0.15e6) / 9.9e6  # all convert, the options pay their strike
    people = table.by_person(Schedule(table.claims()).pay(49.35e6))
    assert sum(people["Ada Li"].values()) == pytest.approx(4.1e6 * share, abs=0.01)
    assert sum(people["VC One"].values()) == pytest.approx(2e6 * share, abs=0.01)
    assert "sheet_terms" in table.told


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("Total,,7500000", "Total,,7600000", "row 9 says 7,600,000 under 'Common'"),
        (",,3000000,30", ",,3100000,30", "row 4 says 3,100,000 under 'Total'"),
        ("30.0%", "31.0%", "row 4: 31.0000% of the shares, and 30.0000%"),
        ("16.0%,4", "17.0%,4", "row 11: 17.0000% of the shares, and 16.0000%"),
        ("Carl,,500000,0,,,500000,5.0%\n", "", "row 8 says 7,500,000 under 'Common'"),
        ("Series Seed", "Growth", "the column 'Growth' is not known"),
        ("Series Seed", "Notes", "the column 'Notes' may hold money or remarks"),
        ("Series Seed", "SAFE", "the column 'SAFE' may hold money or shares"),
        ("Series Seed", "Series Seed (USD)", "'Series Seed (USD)' holds money, not shares"),
        ("Series Seed", "series a", "say the same"),
        ("Series Seed", "Series A Preferred", "say the same"),
        ("Series Seed", "Common shares", "say the same"),
        ("VC One,,,500000", "VC One,,,0.05", "read as 0.05 shares"),
        ("VC One,,,500000", "VC One,,,5.0%", "a part of the shares, not their number"),
        ("VC One,,,500000", "VC One,,,n.k.", "expected a number"),
        ("Price per share,,,2.00,4.00", "Price per share,,,2.00,", "row 3 says neither the price"),
        ("4.00,0.50", "4.00,", "row 7 has no strike price"),
        ("% of total,,75", "Issue price,,,2.00,4.00,0.50,,\n% of total,,75", "two rows say the"),
        ("Carl,,500000,0,", "Carl,,,,", "row 5 has a number under 'Total'"),
        ("VC One", "", "row 6 has no holder"),
    ],
)  # fmt: skip
def test_what_does_not_agree_or_can_mean_two_things_is_refused(
    tmp_path: Path, old: str, new: str, says: str
) -> None:
    assert old in WIDE
    assert says in refused(tmp_path, WIDE.replace(old, new))


@pytest.mark.parametrize(
    "label",
    ["Post-money valuation", "Pre money", "Original purchase price ($)", "% of class",
     "Closing date", "Pct. held", "投后估值", "Bewertung", "Preis", "Amount raised (USD)"],
)  # fmt: skip
def test_a_row_that_says_something_of_the_classes_is_never_a_holder(
    tmp_path: Path, label: str
) -> None:
    assert "may be of the classes or of a holder" in refused(
        tmp_path, WIDE.replace("% of total,,", f"{label},,,,20000000,,,\n% of total,,")
    )


def test_a_holder_below_the_total_is_refused_and_one_below_a_subtotal_is_not(
    tmp_path: Path,
) -> None:
    late = "Dora,,100000,,,,100000,\nPrice per share"
    assert "row 10 ('Dora') stands below the total of row 9" in refused(
        tmp_path, WIDE.replace("Price per share", late)
    )
    part = WIDE.replace("VC One", "Total founders,,7500000,,100000,,7600000,\nVC One")
    assert read(tmp_path, part) == read(tmp_path, WIDE)
    # the pool often stands between the shares on issue and all of them
    pool = "Unissued pool,,,,,100000,100000,1.0%\n"
    issued = "Total,,7500000,500000,1600000,300000,9900000,\n"
    last = WIDE.replace(pool, issued + pool).replace(
        "Total,,7500000,500000,1600000,400000", "Fully diluted,,7500000,500000,1600000,400000"
    )
    assert read(tmp_path, last) == read(tmp_path, WIDE)
    assert "row 8 says 9,900,001" in refused(tmp_path, last.replace("9900000", "9900001"))


def test_money_of_a_class_stands_in_a_row_or_in_the_profile(tmp_path: Path) -> None:
    price = "Price per share,,,2.00,4.00,0.50,,\n"
    money = "Amount invested,,,1m,6.4m,,7.4m,\nExercise price,,,,,0.50,,\n"
    assert read(tmp_path, WIDE.replace(price, money)) == read(tmp_path, WIDE)
    assert "'Series A' was paid 6,600,000" in refused(
        tmp_path, WIDE.replace(price, price + money.replace("6.4m", "6.6m").partition("Exer")[0])
    )
    terms = [
        {"name": "Series Seed", "invested": "1m"},
        {"name": "Series A", "invested": "6.4m", "multiple": 2},
    ]
    table = read(
        tmp_path, WIDE.replace(price, ""), classes=terms, options={"name": "Options", "strike": 0.5}
    )
    assert {c.name: (c.invested, c.multiple) for c in table.classes} == {
        "Series Seed": (1e6, 1.0), "Series A": (6.4e6, 2.0),
    }  # fmt: skip
    assert table.options[0].strike == 0.5


def test_names_may_stand_in_two_rows(tmp_path: Path) -> None:
    text = """,,Common,,Series A,,
Holder,Role,Shares,%,Shares,Price,Invested
Ada,founder,6000000,75,,,
VC,,,,2000000,2,{}
"""
    assert "the column 'Common %' is not known" in refused(tmp_path, text.format("4m"))
    table = read(tmp_path, text.format("4m"), ignore="Common %")
    assert [(c.name, c.shares, c.invested) for c in table.classes] == [("Series A", 2e6, 4e6)]
    assert "are 4,000,000, not 5,000,000" in refused(tmp_path, text.format("5m"), ignore="Common %")


def test_an_export_with_letters_behind_its_classes_and_money_by_holder(tmp_path: Path) -> None:
    text = """Stakeholder Name,Common (CS),Series Seed (PS),Series A Preferred (PA),Outstanding shares,Fully diluted shares,Cash raised
Ada,6000000,,,6000000,6000000,
VC,,,2000000,2000000,2000000,4000000
Angel,,{},,{},{},{}
"""  # noqa: E501
    table = read(tmp_path, text.format(*["500000"] * 4), founders=["Ada"])
    assert [(c.name, c.invested) for c in table.classes] == [
        ("Series A Preferred", 4e6), ("Series Seed", 5e5),
    ]  # fmt: skip
    both = (
        text.format(*["500000"] * 4)
        .replace("VC,,,", "VC,,500000,")
        .replace("2000000,2000000,4000000", "2500000,2500000,4000000")
    )
    assert "row 3 says one invested for 2 papers" in refused(tmp_path, both, founders=["Ada"])


def test_sections_subtotals_and_paper_that_is_money(tmp_path: Path) -> None:
    text = """,Common,Series A,SAFE (USD)
Founders,,,
Ada,6000000,,
Total founders,6000000,,
Investors,,,
VC,,2000000,
Total Energies Ventures,,1000000,500k
Total investors,,3000000,500k
Total,6000000,3000000,{}
Issue price,,2,
"""
    table = read(tmp_path, text.format("500k"), founders=["Ada"])
    assert table.classes[0].shares == 3e6
    assert [(s.name, s.amount) for s in table.safes] == [("Total Energies Ventures SAFE", 5e5)]
    assert "row 9 says 600,000" in refused(tmp_path, text.format("600k"), founders=["Ada"])


def test_german_and_chinese_tables(tmp_path: Path) -> None:
    text = """Gesellschafter;Stammanteile;Serie A;Summe;Anteil in %
Grün GmbH;25.000;;25.000;62,5
Fonds I;;10.000;10.000;25,0
Fonds II;;5.000;5.000;12,5
Summe;25.000;15.000;40.000;100,0
Preis je Anteil;;150,25;;
"""
    table = read(tmp_path, text, founders="Grün GmbH", currency="EUR", country="DE", decimal=",")
    assert (table.common, table.classes[0].shares, table.classes[0].invested) == (
        25e3, 15e3, 2_253_750.0,
    )  # fmt: skip
    text = """股东名称,普通股（万股）,天使轮（万股）,A轮（万股）,合计（万股）,持股比例,身份
张三,600,,,600,60.00%,创始人
员工持股平台,150,,,150,15.00%,
红杉,,50,100,150,15.00%,
高瓴,,,100,100,10.00%,
合计,750,50,200,1000,100.00%,
每股价格,,10,20,,,
"""
    table = read(tmp_path, text, currency="CNY")
    assert (table.common, table.founders) == (7.5e6, 6e6)
    assert [(c.name, c.shares, c.invested) for c in table.classes] == [
        ("天使轮", 5e5, 5e6), ("A轮", 2e6, 4e7),
    ]  # fmt: skip


def test_a_workbook_in_the_wide_form(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["", "Common", None, "Series A", None])
    sheet.append(["Holder", "Shares", "Role", "Shares", "Price"])
    sheet.append(["Ada", 6_000_000, "Founder", None, None])
    sheet.append(["VC", None, None, 2_000_000, 2.5])
    sheet.append(["Total", 6_000_000, None, 2_000_000, None])
    sheet.merge_cells("D1:E1")
    book.save(tmp_path / "cap.xlsx")
    table = read(tmp_path, (tmp_path / "cap.xlsx").read_bytes(), name="cap.xlsx")
    assert (table.founders, table.classes[0].invested) == (6e6, 5e6)
    sheet["D4"].number_format = "0%"
    sheet["D4"] = 0.25
    book.save(tmp_path / "cap.xlsx")
    assert "read as 0.25 shares" in refused(
        tmp_path, (tmp_path / "cap.xlsx").read_bytes(), name="cap.xlsx"
    )


def test_a_remark_that_changes_every_number_is_refused_beside_a_wide_table(tmp_path: Path) -> None:
    for remark in ("shares in thousands", "Amounts in EUR", "* in '000"):
        for text in (f"{remark}\n{WIDE}", f"{WIDE}{remark}\n"):
            assert "of the numbers" in refused(tmp_path, text)
    assert read(tmp_path, f"Amounts in USD\n{WIDE}").common == 7.5e6
