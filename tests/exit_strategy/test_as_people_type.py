"""Six companies as people of six countries type them, each sum checked by fractions by hand.

The files differ as the programs and habits that write them do: decimal commas, 万 and crore,
apostrophes, full-width digits, currency formats of a spreadsheet, columns in semicolons and GBK.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from exit_profiles import TODAY, make_profile_dict

from fastnn.exit_strategy.batch import evaluate_many
from fastnn.exit_strategy.errors import ExitError
from fastnn.exit_strategy.money.outcomes import run_waterfall
from fastnn.exit_strategy.profile.profile import Profile
from fastnn.exit_strategy.reading.amounts import AmountError, read_amount
from fastnn.exit_strategy.reading.dates import read_day
from fastnn.exit_strategy.reading.numerals import read_numeral

#: Name -> shares, invested, multiple, rank, participation.
Classes = Mapping[str, tuple[int, int, int, int, str]]


def by_hand(net: Fraction, common: int, classes: Classes) -> dict[str, Fraction]:
    """Who gets what when nobody gains by another choice: all choices are tried, with fractions."""
    free = [name for name, row in classes.items() if row[4] == "none"]
    found = {}
    for size in range(len(free) + 1):
        for converted in itertools.combinations(free, size):
            found[frozenset(converted)] = _paid(net, common, classes, frozenset(converted))
    for choice, paid in found.items():
        if all(found[choice ^ {name}][name] <= paid[name] for name in free):
            return paid
    raise AssertionError("no choice holds")


def _paid(
    net: Fraction, common: int, classes: Classes, converted: frozenset[str]
) -> dict[str, Fraction]:
    paid, left = dict.fromkeys(["common", *classes], Fraction(0)), net
    held = {name: row for name, row in classes.items() if name not in converted}
    for rank in sorted({row[3] for row in held.values()}):
        due = {n: Fraction(row[1] * row[2]) for n, row in held.items() if row[3] == rank}
        part = min(Fraction(1), left / sum(due.values()))
        for name, amount in due.items():
            paid[name] += amount * part
        left -= sum(due.values()) * part
    units = {"common": common}
    units |= {n: row[0] for n, row in classes.items() if n in converted or row[4] == "full"}
    for name, shares in units.items():
        paid[name] += left * Fraction(shares, sum(units.values()))
    return paid


GERMANY = """
name = "Bär GmbH"
as_of = "31. Oktober 2026"
country = "DE"
sector = "software"
currency = "EUR"
decimal = ","
revenue_ttm = "12,4 Mio"
growth_yoy = "35 %"
ebitda_margin = "-12%"
audited_years = 3
cash = "3.200.000,50"
monthly_burn = "180 T€"
need_24m = "6 Mio. EUR"
valuation = {low = "25 Mio", mid = "32,5 Mio", high = "40 Mio"}
assumptions = {fee_rate = "2,5 %", escrow_rate = 0, months_to_close = 6}
[cap_table]
common = "25.000"
founders = "14.100"
[[cap_table.classes]]
name = "Seed"
shares = "6.250"
invested = "2 Mio"
seniority = 2
[[cap_table.classes]]
name = "Serie A"
shares = "7.800"
invested = "8,5 Mio"
multiple = "1x"
participation = "full"
"""

SWITZERLAND = """
name: Zürich Robotik AG
as_of: 2026-10-31
country: CH
sector: robotics
currency: CHF
revenue_ttm: "4'200'000.-"
growth_yoy: 60 %
ebitda_margin: "-0.5"
audited_years: 2
cash: "CHF 1'950'000.50"
monthly_burn: 150'000
need_24m: 5 Mio
valuation: {low: "15'000'000", mid: "Fr. 22'500'000", high: 30 Mio}
assumptions: {fee_rate: 0.02, fee_fixed: "75'000", escrow_rate: 0, months_to_close: 0}
cap_table:
  common: 1'000'000
  founders: 800'000
  classes:
    - {name: A, shares: 250'000, invested: 5 Mio, multiple: 2, seniority: 1}
"""

INDIA = {
    "name": "Neel Software Pvt Ltd", "as_of": "31/10/2026", "country": "IN", "sector": "software",
    "currency": "INR", "revenue_ttm": "₹40 crore", "growth_yoy": "45%", "ebitda_margin": "(5%)",
    "audited_years": 3, "cash": "Rs. 12,50,00,000", "monthly_burn": "25 lakh",
    "need_24m": "₹20 cr", "valuation": {"low": "150 crore", "mid": "200 cr", "high": "260 crore"},
    "assumptions": {"fee_rate": 0.03, "escrow_rate": 0, "months_to_close": 0},
    "cap_table": {"common": "10,00,000", "founders": "7,50,000", "classes": [
        {"name": "Series A", "shares": "2,50,000", "invested": "₹30 crore", "seniority": 1},
        {"name": "Seed", "shares": "1,00,000", "invested": "5 crore", "seniority": 1}]},
}  # fmt: skip

CHINA_HEAD = (
    "name;as_of;country;sector;currency;revenue_ttm;growth_yoy;ebitda_margin;audited_years;cash;"
    "monthly_burn;need_24m;valuation.low;valuation.mid;valuation.high;assumptions;cap_table"
)
CHINA_TABLES = (
    {"fee_rate": "2%", "escrow_rate": 0, "months_to_close": 0},
    {"common": "800万", "founders": "600万", "classes": [
        {"name": "天使轮", "shares": "100万", "invested": "1000万元", "seniority": 2},
        {"name": "A轮", "shares": "100万", "invested": "6千万", "multiple": 1, "seniority": 1}]},
)  # fmt: skip

JAPAN = """
name = "東京半導体"
as_of = "令和8年10月31日"
country = "JP"
sector = "semiconductor"
currency = "JPY"
revenue_ttm = "１２億円"
growth_yoy = "２０％"
ebitda_margin = 0.1
audited_years = 3
cash = "3億5000万円"
monthly_burn = 0
need_24m = "2億"
valuation = {low = "40億", mid = "50億円", high = "65億"}
assumptions = {fee_rate = 0.02, escrow_rate = 0, months_to_close = 0}
[cap_table]
common = "８万"
founders = "60 000"
[[cap_table.classes]]
name = "A種"
shares = "2万"
invested = "10億円"
seniority = 1
"""


def _german(folder: Path) -> Path:
    path = folder / "de.toml"
    path.write_text(GERMANY, encoding="utf-8")
    return path


def _swiss(folder: Path) -> Path:
    pytest.importorskip("yaml")
    path = folder / "ch.yaml"
    path.write_text(SWITZERLAND, encoding="utf-8")
    return path


def _indian(folder: Path) -> Path:
    path = folder / "in.json"
    path.write_bytes(json.dumps(INDIA, ensure_ascii=False).encode("utf-16"))
    return path


def _chinese(folder: Path) -> Path:
    plain = ["云山智能科技有限公司", "2026年10月31日", "CN", "ai_application", "CNY", "2500万",
             "80%", "-30%", "3", "1500万元", "100万", "4000万", "1.5亿", "2亿",
             "2亿6000万"]  # fmt: skip
    tables = [json.dumps(t, ensure_ascii=False).replace('"', '""') for t in CHINA_TABLES]
    row = ";".join([*plain, *(f'"{table}"' for table in tables)])
    path = folder / "cn.csv"
    path.write_bytes(f"{CHINA_HEAD}\r\n{row}\r\n".encode("gb18030"))
    return path


def _japanese(folder: Path) -> Path:
    path = folder / "jp.toml"
    path.write_text(JAPAN, encoding="utf-8")
    return path


def _american(folder: Path) -> Path:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    table = {"common": 9_000_000, "founders": 7_000_000, "classes": [
        {"name": "Series A", "shares": 2_000_000, "invested": "$8MM", "seniority": 2},
        {"name": "Series B", "shares": 1_500_000, "invested": "$15,000,000.00", "seniority": 1},
    ]}  # fmt: skip
    assumptions = {"fee_rate": "3%", "escrow_rate": "0", "months_to_close": 0}
    row: dict[str, tuple[Any, str]] = {
        "name": ("Lakeside Inc. ", "@"), "as_of": ("October 31, 2026", "@"),
        "country": ("us", "@"), "sector": ("software", "@"), "currency": ("usd", "@"),
        "revenue_ttm": (14.2e6, '"$"#,##0'), "growth_yoy": (0.4, "0%"),
        "ebitda_margin": (-0.25, "0.0%;(0.0%)"), "audited_years": (2, "0"),
        "cash": (5.5e6, "[$$-409]#,##0.00"), "monthly_burn": ("400K", "@"),
        "need_24m": (9e6, '0.0,,"M"'), "valuation.low": (50e6, "#,##0"),
        "valuation.mid": (70e6, "0.00E+00"), "valuation.high": (90e6, "General"),
        "assumptions": (json.dumps(assumptions), "@"), "cap_table": (json.dumps(table), "@"),
    }  # fmt: skip
    book.active.append(list(row))
    book.active.append([value for value, _ in row.values()])
    for cell, (_, shape) in zip(book.active[2], row.values(), strict=True):
        cell.number_format = shape
    path = folder / "us.xlsx"
    book.save(path)
    return path


#: Writer, price, the cash at closing and fees by hand, common shares, classes.
COMPANIES: list[tuple[Any, int, Fraction, Fraction, int, Classes]] = [
    (_german, 32_500_000, Fraction("3200000.5") - 6 * 180_000, Fraction(32_500_000, 40), 25_000,
     {"Seed": (6_250, 2_000_000, 1, 2, "none"), "Serie A": (7_800, 8_500_000, 1, 1, "full")}),
    (_swiss, 22_500_000, Fraction("1950000.5"), Fraction(22_500_000, 50) + 75_000, 1_000_000,
     {"A": (250_000, 5_000_000, 2, 1, "none")}),
    (_indian, 2_000_000_000, Fraction(125_000_000), Fraction(60_000_000), 1_000_000,
     {"Series A": (250_000, 300_000_000, 1, 1, "none"),
      "Seed": (100_000, 50_000_000, 1, 1, "none")}),
    (_chinese, 200_000_000, Fraction(15_000_000), Fraction(4_000_000), 8_000_000,
     {"天使轮": (1_000_000, 10_000_000, 1, 2, "none"),
      "A轮": (1_000_000, 60_000_000, 1, 1, "none")}),
    (_japanese, 5_000_000_000, Fraction(350_000_000), Fraction(100_000_000), 80_000,
     {"A種": (20_000, 1_000_000_000, 1, 1, "none")}),
    (_american, 70_000_000, Fraction(5_500_000), Fraction(2_100_000), 9_000_000,
     {"Series A": (2_000_000, 8_000_000, 1, 2, "none"),
      "Series B": (1_500_000, 15_000_000, 1, 1, "none")}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("write", "price", "cash", "fees", "common", "classes"), COMPANIES,
    ids=[row[0].__name__[1:] for row in COMPANIES],
)  # fmt: skip
def test_a_company_is_read_as_it_is_typed(
    write: Any, price: int, cash: Fraction, fees: Fraction, common: int, classes: Classes,
    tmp_path: Path,
) -> None:  # fmt: skip
    made = Profile.from_file(write(tmp_path), today=TODAY)
    assert made.valuation.mid == price
    for part in (Fraction(1), Fraction(1, 10), Fraction(3, 10), Fraction(4)):
        offered = price * part
        flat = Fraction(75_000) if write is _swiss else Fraction(0)
        paid = (fees - flat) * part + flat
        net = max(Fraction(0), offered + cash - paid)
        rows = run_waterfall(made, [float(offered)])
        assert rows.net_prices[0] == pytest.approx(float(net), abs=0.005)
        got = dict(zip(rows.holders, rows.payouts[0], strict=True))
        both = got.pop("founders") + got.pop("common")
        wanted = by_hand(net, common, classes)
        assert both == pytest.approx(float(wanted.pop("common")), abs=0.005)
        assert got == pytest.approx({k: float(v) for k, v in wanted.items()}, abs=0.005)


@pytest.mark.parametrize(
    ("text", "value", "currency"),
    [
        ("三亿五千万", 350e6, None), ("一百万", 1e6, None), ("十二亿", 1.2e9, None),
        ("两亿元", 2e8, "CNY"), ("叁佰万元", 3e6, "CNY"), ("五百万美元", 5e6, "USD"),
        ("一千零五万", 10.05e6, None), ("一万亿", 1e12, None), ("三亿零五百万", 305e6, None),
        ("百分之八", 0.08, None), ("百分之8.5", 0.085, None), ("50 bps", 0.005, None),
        ("25 basis points", 0.0025, None), ("5‰", 0.005, None), ("1.5 times", 1.5, None),
        ("1.5倍", 1.5, None),
    ],
)  # fmt: skip
def test_numerals_and_small_parts_are_read(text: str, value: float, currency: str | None) -> None:
    made = read_amount(text, currency="CNY" if currency == "CNY" else None)
    assert (made.value, made.currency) == (pytest.approx(value, rel=1e-15), currency)


def test_numerals_come_back_from_their_characters() -> None:
    """Every number below a hundred thousand, and some above, written by the rules of grammar."""

    def section(n: int) -> str:
        out, gap = "", False
        for unit, name in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
            digit, n = divmod(n, unit)
            if digit:
                out += ("零" if gap and out else "") + "零一二三四五六七八九"[digit] + name
            gap = not digit and bool(out)
        return out

    def written(n: int) -> str:
        high, low = divmod(n, 10_000)
        text = section(high) + "万" if high else ""
        return text + ("零" if high and 0 < low < 1000 else "") + section(low)

    for n in (*range(1, 100_000, 7), 99_999_999, 10_000_001, 20_000_010, 50_500_000):
        assert read_numeral(written(n)) == n, written(n)


#: A field, what people write in it, and what it holds (None: refused).
_WRITTEN = [
    ("cap_table.notes.0.interest", "8% p.a.", 0.08),
    ("cap_table.notes.0.interest", "8 % per annum", 0.08),
    ("cap_table.notes.0.interest", "年利率8%", 0.08),
    ("cap_table.notes.0.interest", "800 bps", 0.08),
    ("cap_table.notes.0.interest", "0.67% per month", None),
    ("cap_table.notes.0.years", "18 months", 1.5),
    ("cap_table.notes.0.years", "18m", 1.5),
    ("cap_table.notes.0.years", "1 year 6 months", 1.5),
    ("cap_table.notes.0.years", "1年半", 1.5),
    ("cap_table.notes.0.years", "1,5 Jahre", 1.5),
    ("cap_table.notes.0.years", "90 days", None),
    ("cap_table.options.0.vesting.months", "4 years", 48),
    ("cap_table.options.0.vesting.months", "48个月", 48),
    ("cap_table.options.0.vesting.cliff", "1 year", 12),
    ("cap_table.classes.0.dividend_rate", "8% p.a.", 0.08),
    ("cap_table.holders.0.part", "1/4", 0.25),
    ("assumptions.months_to_close", "0.75 years", 9.0),
    ("assumptions.months_to_close", "9 months", 9.0),
    ("assumptions.months_to_close", "6-9 months", None),
    ("assumptions.discount_rate", "25% a year", 0.25),
    ("assumptions.fee_rate", "3% p.a.", None),
    ("growth_yoy", "55% yoy", 0.55),
    ("growth_yoy", "2x", None),
    ("growth_yoy", "翻2倍", None),
    ("founder_share", "½", 0.5),
    ("founder_share", "1/3", 1 / 3),
    ("founder_share", "3/2", None),
    ("monthly_burn", "100k/month", 100e3),
    ("monthly_burn", "100k pcm", 100e3),
    ("monthly_burn", "1.2m p.a.", None),
    ("audited_years", "2 years", 2),
    ("cash", "1/2", None),
    ("cash", "50 bps", None),
]


@pytest.mark.parametrize(("path", "text", "wanted"), _WRITTEN)
def test_words_beside_a_number_are_read_where_they_fit(
    path: str, text: str, wanted: float | None
) -> None:
    data: Any = make_profile_dict(
        assumptions={},
        cap_table={
            "common": "6m", "founders": "5m",
            "classes": [{"name": "A", "shares": "2m", "invested": "8m",
                         "dividend_from": "2024-01-01", "dividend_rate": "5%"}],
            "notes": [{"name": "N", "principal": "1m", "interest": 0.05, "years": 1}],
            "options": [{"name": "O", "n": "100k", "strike": 0.5,
                         "vesting": {"start": "2025-01-01", "months": 48, "cliff": 12}}],
            "holders": [{"person": "Ada", "paper": "founders", "part": 0.5}],
        },
    )  # fmt: skip
    steps = [int(step) if step.isdigit() else step for step in path.split(".")]
    place = data
    for step in steps[:-1]:
        place = place[step]
    place[steps[-1]] = text
    if wanted is None:
        with pytest.raises(ExitError) as caught:
            Profile.from_dict(data, today=TODAY)
        issue = caught.value.issues[0]
        assert str(steps[-1]) in issue.field
        assert text in issue.message
        assert issue.hint
        return
    found: Any = Profile.from_dict(data, today=TODAY)
    for step in steps:
        found = found[step] if isinstance(step, int) else getattr(found, str(step))
    assert found == pytest.approx(wanted, rel=1e-15)


@pytest.mark.parametrize(
    ("text", "day"),
    [("二〇二六年三月一日", "2026-03-01"), ("二零二五年十二月三十一日", "2025-12-31"),
     ("31/12/2025 00:00", "2025-12-31"), ("12/31/2025 12:00:00 AM", "2025-12-31"),
     ("2026年03月01日 00:00", "2026-03-01")],
)  # fmt: skip
def test_days_in_characters_and_with_a_time_of_midnight_are_read(text: str, day: str) -> None:
    assert str(read_day(text)) == day


@pytest.mark.parametrize(
    ("text", "word"),
    [("Q3 2026", "one day of it"), ("FY2025", "one day of it"), ("2026-11", "one day of it"),
     ("2026年3月", "one day of it"), ("45992", "2025-12-01"), ("01/02/26", "four digits"),
     ("1 Mar 26", "four digits"), ("2026/01/03 12:00", "year-month-day")],
)  # fmt: skip
def test_what_is_no_day_is_refused_by_a_hint_that_fits_it(text: str, word: str) -> None:
    with pytest.raises(AmountError) as caught:
        read_day(text)
    assert word in caught.value.hint


@pytest.mark.parametrize("suffix", [".csv", ".xlsx"])
def test_columns_are_named_in_any_capitals_and_with_spaces(suffix: str, tmp_path: Path) -> None:
    head = ["Name", "As Of", "COUNTRY", "Sector", "currency", "Revenue TTM", "growth-yoy",
            "Audited Years", "Cash", "Monthly Burn", "need_24m", "Valuation.Low", "valuation.mid",
            "valuation.high"]  # fmt: skip
    row = ["Acme", "2025-11-01", "US", "software", "USD", "12m", "0.5", "2", "5m", "100k", "3m",
           "10m", "20m", "30m"]  # fmt: skip
    path = tmp_path / f"companies{suffix}"
    if suffix == ".csv":
        path.write_text(",".join(head) + "\n" + ",".join(row) + "\n")
    else:
        book = pytest.importorskip("openpyxl").Workbook()
        book.active.append(head)
        book.active.append(row)
        book.save(path)
    made = evaluate_many(path, draws=100)
    assert list(made["errors"]) == [""]
    assert list(made["name"]) == ["Acme"]
