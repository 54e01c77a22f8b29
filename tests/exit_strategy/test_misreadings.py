"""Inputs that are easily read wrong: amounts and days of many countries, tables, papers, packages.

Each is either read as its writer meant it or refused by name; none passes in silence.
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from exit_profiles import TODAY, make_profile_dict
from test_ocf import CLASSES, PEOPLE, Item, money, option, package, person, safe, stock, tx

from fastnn.exit_strategy.batch import evaluate_many
from fastnn.exit_strategy.errors import ExitError
from fastnn.exit_strategy.evaluation import evaluate
from fastnn.exit_strategy.money.captable import CapTable, Note, OptionGrant, Safe, ShareClass
from fastnn.exit_strategy.money.ocf import read_ocf
from fastnn.exit_strategy.money.waterfall import Schedule
from fastnn.exit_strategy.profile.plausible import doubts
from fastnn.exit_strategy.profile.profile import Profile
from fastnn.exit_strategy.reading.amounts import AmountError, read_amount
from fastnn.exit_strategy.reading.dates import read_day


# ---- amounts and days of many countries ---------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "value", "currency"),
    [
        ("£1,234,567.89", 1234567.89, "GBP"),  # United Kingdom
        ("1.234.567,89 €", 1234567.89, "EUR"),  # Germany
        ("12,5 Mio. EUR", 12.5e6, "EUR"),
        ("1 234 567,89 €", 1234567.89, "EUR"),  # France
        ("3,2 Md€", 3.2e9, "EUR"),
        ("CHF 1'234'567.50", 1234567.5, "CHF"),  # Switzerland
        ("1’234’567,50 Fr.", 1234567.5, "CHF"),
        ("Fr.500", 500.0, "CHF"),
        ("4'200'000.-", 4.2e6, None),
        ("CHF 500.–", 500.0, "CHF"),
        ("1.500,- €", 1500.0, "EUR"),  # its comma is the decimal mark, so the stop groups
        ("12,000,000.--", 12e6, None),
        ("SFr. 1'500.50", 1500.5, "CHF"),
        ("R$ 1.234.567,89", 1234567.89, "BRL"),  # Brazil
        ("R$ 2,5 bilhões", 2.5e9, "BRL"),
        ("R$ 3 mi", 3e6, "BRL"),
        ("R$ 1,2 bi", 1.2e9, "BRL"),
        ("2,5 mil millones", 2.5e9, None),  # Spain
        ("₹1,23,45,678", 12345678.0, "INR"),  # India
        ("12,34,567.50", 1234567.5, None),
        ("Rs 5 crore", 5e7, "INR"),
        ("Rs.500", 500.0, "INR"),  # its stop is no decimal mark
        ("Rs. 5,00,000", 5e5, "INR"),
        ("-Rs.1.5 crore", -1.5e7, "INR"),
        ("3 crore rupees", 3e7, "INR"),
        ("₹2.5 lakhs", 2.5e5, "INR"),
        ("12 MSEK", 12e6, "SEK"),  # Sweden
        ("1 250 000 SEK", 1250000.0, "SEK"),
        ("3,4 mln zł", 3.4e6, "PLN"),  # Poland
        ("850 tys. zł", 850e3, "PLN"),
        ("1,5 млн руб.", 1.5e6, "RUB"),  # Russia
        ("руб.500", 500.0, "RUB"),
        ("Rp 5 miliar", 5e9, "IDR"),  # Indonesia
        ("Rp. 750 juta", 7.5e8, "IDR"),
        ("₫5 tỷ", 5e9, "VND"),  # Viet Nam
        ("12 triệu đồng", 1.2e7, "VND"),
        ("5 million dollars", 5e6, "USD"),  # United States
        ("USD$12m", 12e6, "USD"),
        ("$.5m", 5e5, "USD"),
        ("2,5 milyon TL", 2.5e6, "TRY"),  # Turkey
        ("5억 원", 5e8, "KRW"),  # Korea
        ("₩3,000만", 3e7, "KRW"),
        ("500万円", 5e6, "JPY"),  # Japan
        ("3,000万円", 3e7, "JPY"),
        ("R 5 000 000", 5e6, "ZAR"),
        ("1,234.5百万円", 1.2345e9, "JPY"),
        ("1億2000万円", 1.2e8, "JPY"),
        ("３．５億円", 3.5e8, "JPY"),
        ("人民币1.2亿元", 1.2e8, "CNY"),  # China
        ("港幣800萬", 8e6, "HKD"),  # Hong Kong
        ("NT$3,500萬", 3.5e7, "TWD"),  # Taiwan
        ("(1.234,5)", -1234.5, None),
        ("−4,5 Mio", -4.5e6, None),
    ],
)
def test_an_amount_of_another_country(text: str, value: float, currency: str | None) -> None:
    found = read_amount(text, currency="INR")
    assert found.value == pytest.approx(value, rel=1e-15)
    assert found.currency == currency


@pytest.mark.parametrize(
    ("text", "own", "value"), [("62 mio. kr.", "DKK", 6.2e7), ("Dh 5m", "AED", 5e6)]
)
def test_a_word_of_several_currencies_is_that_of_the_profile(
    text: str, own: str, value: float
) -> None:
    found = read_amount(text, currency=own)
    assert (found.value, found.currency) == (value, own)


@pytest.mark.parametrize(
    "text",
    [
        "1.500 €", "€ 2,500", "12.500 Mio", "3.141 kr", "1,23,4", "1,2345,678", "1.23.45.678",
        "12 34 567", "5 billones x", "5 mil", "1 Bio €", "3兆", "10..5", "1e5e5", "10 m m",
        "EUR USD 5", "5 $ €", "12.5.", "三亿五", "三百五", "三.5亿", "约三百万",
        "二〇二六", "000", "012", "5m-7m", "~5m", ">5m", "5m?", "n/a", "TBD",
        "USD.5m", "EUR.500", "No.5", "Rs.", "5 dollars euros",
        "1.500.-", "1.5.-", "500,-5", "1.2亿3千万", "1.5万5千",
    ],
)  # fmt: skip
def test_an_amount_that_may_mean_another_is_refused(text: str) -> None:
    with pytest.raises(AmountError) as caught:
        read_amount(text)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "written", "spoken"),
    [("1亿2千", 100_002_000, 120_000_000), ("一亿二千", 100_002_000, 120_000_000),
     ("3亿5百元", 300_000_500, 305_000_000), ("壹亿贰仟叁佰", 100_002_300, 123_000_000),
     ("1억 2천원", 100_002_000, 120_000_000), ("1조2천", 10**12 + 2000, 1_200_000_000_000)],
)  # fmt: skip
def test_a_unit_that_speakers_leave_out_is_asked_for(text: str, written: int, spoken: int) -> None:
    """1亿2千 was read as 100,002,000; whoever says it means 120 million."""
    with pytest.raises(AmountError, match=f"{written} .* {spoken}") as caught:
        read_amount(text)
    assert caught.value.two_ways
    for plain, value in (("1亿2千万", 1.2e8), ("一亿零二千", 100_002_000.0), ("2万3千", 23e3)):
        assert read_amount(plain).value == value


@pytest.mark.parametrize(
    ("text", "value", "code"),
    [("5,5 mlrd", 5.5e9, None), ("5,5 Mlrd. €", 5.5e9, "EUR"), ("5m LRD", 5e6, "LRD"),
     ("5000万元人民币", 5e7, "CNY"), ("5仟万", 5e7, None), ("5佰万元人民币", 5e6, "CNY"),
     ("5億ウォン", 5e8, "KRW"), ("5.000.000 đ", 5e6, "VND"), ("5 M$ CA", 5e6, "CAD"),
     ("5 $ US", 5.0, "USD"), ("5 мільйонів грн", 5e6, "UAH")],
)  # fmt: skip
def test_words_of_a_unit_are_not_taken_apart(text: str, value: float, code: str | None) -> None:
    """`5 mlrd`, five thousand million, was read as five million Liberian dollars."""
    made = read_amount(text)
    assert (made.value, made.currency) == (value, code)


@pytest.mark.parametrize(
    ("text", "own", "other"),
    [("Rp 5 M", "USD", "miliar"), ("5m", "IDR", "miliar"), ("IDR 2.5 b", "IDR", "biliun"),
     ("500 M", "CLP", "thousands"), ("5 cr", "USD", "credit"), ("1,200.50 CR", "EUR", "credit")],
)  # fmt: skip
def test_a_letter_that_is_another_unit_at_home_is_refused(text: str, own: str, other: str) -> None:
    with pytest.raises(AmountError, match=other) as caught:
        read_amount(text, currency=own)
    assert caught.value.two_ways


@pytest.mark.parametrize(
    ("text", "own", "value"),
    [("Rp 5 jt", "IDR", 5e6), ("750 rb", "IDR", 750e3), ("USD 5m", "IDR", 5e6),
     ("5 cr", "INR", 5e7), ("Rs 2.5 cr", "INR", 2.5e7), ("5 million", "IDR", 5e6),
     ("MM$ 5", "CLP", 5e6), ("M 5", "CLP", None)],
)  # fmt: skip
def test_units_with_one_meaning_are_read_there(text: str, own: str, value: float | None) -> None:
    if value is None:
        with pytest.raises(AmountError):
            read_amount(text, currency=own)
    else:
        assert read_amount(text, currency=own).value == value


def test_brackets_around_what_is_spent_are_refused_by_both_readings() -> None:
    with pytest.raises(ExitError, match="EX122 monthly_burn: brackets"):
        Profile.from_dict(make_profile_dict(monthly_burn="(360k)"), today=TODAY)
    made = Profile.from_dict(make_profile_dict(monthly_burn="360k"), today=TODAY)
    assert made.monthly_burn == 360e3


@pytest.mark.parametrize(("name", "rate"), [("growth_yoy", 15), ("ebitda_margin", -8)])
def test_a_rate_that_may_be_per_cent_is_told_as_it_is_read(name: str, rate: float) -> None:
    made = evaluate(Profile.from_dict(make_profile_dict(**{name: rate}), today=TODAY), draws=100)
    assert f"{name} is read as {rate:.0%}" in made.to_terminal().replace("\n    ", " ")
    assert f"{name} 按 {rate:.0%} 计" in made.to_markdown(lang="zh")
    plain = evaluate(
        Profile.from_dict(make_profile_dict(**{name: f"{rate} %"}), today=TODAY), draws=100
    )
    assert "is read as" not in plain.to_terminal()


def test_a_valuation_in_millions_beside_amounts_in_full_is_refused() -> None:
    worth = {"low": 40, "mid": 60, "high": 90}
    data = {k: v for k, v in make_profile_dict().items() if not k.startswith("valuation")}
    with pytest.raises(ExitError, match=r"EX118 valuation.high: a value of 90 beside"):
        Profile.from_dict({**data, "valuation": worth}, today=TODAY)
    made = Profile.from_dict({**data, "valuation": {k: f"{v}m" for k, v in worth.items()}},
                             today=TODAY)  # fmt: skip
    assert made.valuation.mid == 60e6


def test_a_company_that_loses_money_and_earns_cash_is_asked_for_the_sign_of_its_burn() -> None:
    """It is told and not refused: of many rows that are typed right some look like it."""
    data = make_profile_dict(ebitda_margin=-0.35, revenue_ttm=12e6, monthly_burn=-350e3)

    def told(**changes: float) -> bool:
        return "burn_sign" in doubts(Profile.from_dict(data | changes, today=TODAY))

    assert told()
    assert not told(monthly_burn=350e3)
    assert not told(ebitda_margin=0.3)
    assert not told(ebitda_margin=-0.1)  # customers paid ahead
    made = evaluate(Profile.from_dict(data, today=TODAY), draws=100)
    assert "above zero where cash is spent" in made.to_terminal().replace("\n    ", " ")


@pytest.mark.parametrize(
    ("code", "rate"), [("GBP", 1.34), ("EUR", 1.16), ("HKD", 0.128), ("CNY", 0.149), ("AUD", 0.71),
                       ("KRW", 0.00073)],
)  # fmt: skip
def test_dollars_per_unit_are_no_units_per_dollar(code: str, rate: float) -> None:
    """The market quotes sterling and the euro so; money would be off by the square of it."""
    with pytest.raises(ExitError, match=f"EX402 fx.{code}.*for one {code}"):
        Profile.from_dict(make_profile_dict(fx={code: rate}), today=TODAY)
    made = Profile.from_dict(make_profile_dict(fx={code: 1 / rate}), today=TODAY)
    assert made.rates.per_usd[code] == 1 / rate
    old = {code: rate, "date": "2011-07-01"}  # rates of another time are not judged by today's
    assert Profile.from_dict(make_profile_dict(fx=old), today=TODAY).rates.per_usd[code] == rate


@pytest.mark.parametrize(
    "text", ["55%", "55 %", "５５％", "55 percent", "55 per cent", "55 Pct", "55 Prozent"]
)
def test_a_share_in_words(text: str) -> None:
    found = read_amount(text)
    assert (found.value, found.sign) == (0.55, "%")


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("31.12.2025", (2025, 12, 31)), ("31/12/2025", (2025, 12, 31)),
        ("12/31/2025", (2025, 12, 31)), ("2025/12/31", (2025, 12, 31)),
        ("2025.12.31", (2025, 12, 31)), ("2025年12月31日", (2025, 12, 31)),
        ("2025년 12월 31일", (2025, 12, 31)), ("31 December 2025", (2025, 12, 31)),
        ("Dec 31, 2025", (2025, 12, 31)), ("20251231", (2025, 12, 31)),
        ("31. Dezember 2025", (2025, 12, 31)), ("31 décembre 2025", (2025, 12, 31)),
        ("31 déc. 2025", (2025, 12, 31)), ("3 févr. 2025", (2025, 2, 3)),
        ("1 set. 2025", (2025, 9, 1)),
        ("2 ago 2025", (2025, 8, 2)), ("5-ene-2025", (2025, 1, 5)), ("7 out 2025", (2025, 10, 7)),
        ("4 giu 2025", (2025, 6, 4)), ("9. Mär 2025", (2025, 3, 9)),
        ("31 de diciembre de 2025", (2025, 12, 31)), ("1er mars 2025", (2025, 3, 1)),
        ("1. März 2025", (2025, 3, 1)), ("2025-12-31T23:30:00+09:00", (2025, 12, 31)),
        ("２０２５年３月１日", (2025, 3, 1)), ("31-Dec-2025", (2025, 12, 31)),
        ("2025-DEC-31", (2025, 12, 31)), ("2025 Dec 31", (2025, 12, 31)),
        ("Wednesday, 31 December 2025", (2025, 12, 31)), ("Wed Dec 31 2025", (2025, 12, 31)),
        ("31 декабря 2025 г.", (2025, 12, 31)), ("31 Aralık 2025", (2025, 12, 31)),
        ("令和7年12月31日", (2025, 12, 31)), ("令和元年5月1日", (2019, 5, 1)),
        ("平成 31 年 4 月 30 日", (2019, 4, 30)), ("民國114年12月31日", (2025, 12, 31)),
    ],
)  # fmt: skip
def test_a_day_of_another_country(text: str, day: tuple[int, int, int]) -> None:
    assert read_day(text) == dt.date(*day)


@pytest.mark.parametrize(
    "text",
    ["01/02/2025", "1.2.2025", "31/12/25", "12-25", "2025-02-30", "30 Febrero 2025", "31.06.2025",
     "45658", "Q4 2025", "2025", "FY25", "31 Smarch 2025", "0000-01-01", "31-Dec-25",
     "Dec-2025", "Sonday 3 May 2025", "令和7年13月1日", "民國0114年1月1日", "7年1月1日"],
)  # fmt: skip
def test_a_day_that_may_be_another_or_none_is_refused(text: str) -> None:
    with pytest.raises(AmountError):
        read_day(text)


@pytest.mark.parametrize("day", ["1405-09-08", dt.date(1405, 9, 8), "0125-01-01"])
def test_a_year_of_another_calendar_is_refused(day: object) -> None:
    with pytest.raises(ExitError) as caught:
        Profile.from_dict(make_profile_dict(founded=day))
    assert [(i.code, i.field) for i in caught.value.issues] == [("EX107", "founded")]
    paper = {"name": "A", "shares": 1e6, "invested": 1e6, "redemption_date": "2572-06-30"}
    data = make_profile_dict(cap_table={"common": 9e6, "classes": [paper]})
    with pytest.raises(ExitError) as caught:
        Profile.from_dict(data)
    assert "another age" in str(caught.value)


# ---- tables as spreadsheets save them -----------------------------------------------------------
def write_rows(path: Path, encoding: str, mark: str, comma: str = ".", **changes: Any) -> Path:
    row = make_profile_dict(**changes)

    def cell(value: Any) -> str:
        if isinstance(value, list):
            return ";".join(map(cell, value))
        return f"{value:.10g}".replace(".", comma) if isinstance(value, float) else str(value)

    cells = {k: cell(v) for k, v in row.items()}
    quoted = ['"' + cell.replace('"', '""') + '"' for cell in cells.values()]
    path.write_bytes((mark.join(cells) + "\r\n" + mark.join(quoted) + "\r\n").encode(encoding))
    return path


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "gb18030"])
def test_a_table_of_any_separator_and_encoding(tmp_path: Path, mark: str, encoding: str) -> None:
    path = write_rows(tmp_path / "in.csv", encoding, mark, name="星河智能科技")
    made = evaluate_many(path, draws=100)
    assert list(made["errors"]) == [""]
    assert list(made["name"]) == ["星河智能科技"]


def test_a_german_table_needs_no_mark_where_no_cell_can_be_read_in_two_ways(tmp_path: Path) -> None:
    plain = evaluate_many(write_rows(tmp_path / "a.csv", "utf-8", ","), draws=100)
    german = write_rows(tmp_path / "b.csv", "utf-8", ";", ",", cash="60,0 Mio", debt="4.000.000,00")
    made = evaluate_many(german, draws=100)
    assert list(made["errors"]) == [""]
    assert made["founder_npv_ma"][0] == plain["founder_npv_ma"][0]
    doubtful = write_rows(tmp_path / "c.csv", "utf-8", ";", ",", cash="60.000.000", debt="4.000")
    assert "EX122" in evaluate_many(doubtful, draws=100)["errors"][0]
    stated = evaluate_many(doubtful, draws=100, decimal=",")
    assert list(stated["errors"]) == [""]


@pytest.mark.parametrize("encoding", ["cp949", "big5", "shift_jis", "cp1252"])
def test_a_name_in_an_encoding_that_may_be_another_is_no_other_name(
    tmp_path: Path, encoding: str
) -> None:
    """Korean syllables are Chinese characters to a reader that takes what fits first."""
    names = {"cp949": "한국전자", "big5": "星河智能科技", "shift_jis": "日本電気"}
    name = names.get(encoding, "Müller")
    path = write_rows(tmp_path / "in.csv", encoding, ",", name=name)
    with pytest.raises(ExitError, match="not UTF-8"):
        evaluate_many(path, draws=100)
    assert list(evaluate_many(path, draws=100, encoding=encoding)["name"]) == [name]


@pytest.mark.parametrize("title", ["Portfolio 2026\n", "# export\n", "Portfolio 2026,,,\n"])
def test_a_title_above_the_field_names_is_said_once(tmp_path: Path, title: str) -> None:
    path = write_rows(tmp_path / "in.csv", "utf-8", ",")
    path.write_text(title + path.read_text())
    with pytest.raises(ExitError, match="names no field"):
        evaluate_many(path, draws=100)


@pytest.mark.parametrize("row", [1, 3, 6])
@pytest.mark.parametrize("later", [None, 5])
def test_a_quotation_mark_that_stays_open_costs_its_own_row_alone(
    tmp_path: Path, row: int, later: int | None
) -> None:
    """The rows after it would be taken for text, up to the next mark or the end of the file."""
    data = {k: v for k, v in make_profile_dict().items() if not isinstance(v, list)}
    lines = [",".join(data)]
    for k in range(1, 8):
        cells = {**data, "name": f"C{k}"}
        if k in (row, later):
            cells["name"] = f'"{cells["name"]}'
        lines.append(",".join(map(str, cells.values())))
    path = tmp_path / "in.csv"
    path.write_text("\n".join(lines) + "\n")
    made = evaluate_many(path, draws=100)
    assert len(made["name"]) == 7
    broken = {row, later} - {None}
    for k in range(1, 8):
        if k in broken:
            assert "quotation mark" in made["errors"][k - 1]
        else:
            assert (made["name"][k - 1], made["errors"][k - 1]) == (f"C{k}", "")


def test_a_quoted_cell_of_several_lines_is_one_cell(tmp_path: Path) -> None:
    table = json.dumps({"common": 9e6, "classes": [{"name": "A", "shares": 1e6, "invested": 5e6}]},
                       indent=1)  # fmt: skip
    made = evaluate_many(write_rows(tmp_path / "in.csv", "utf-8", ",", cap_table=table), draws=100)
    assert list(made["errors"]) == [""]


# ---- papers -------------------------------------------------------------------------------------
def refused(data: dict[str, Any], word: str, **more: Any) -> None:
    with pytest.raises(ExitError, match=word):
        Profile.from_dict(make_profile_dict(cap_table=data, **more), today=TODAY)


@pytest.mark.parametrize(
    ("one", "other"), [("A", "A"), ("Series A", "series a"), ("A", "Ａ"), ("Série", "Se\u0301rie"),
                       ("Seed  1", "Seed 1"), ("founders", "Founders")],
)  # fmt: skip
def test_two_papers_of_one_name_are_refused(one: str, other: str) -> None:
    rows = [{"name": n, "shares": 1e6, "invested": 1e6} for n in (one, other)]
    rows = [row for row in rows if row["name"] != "founders"]
    refused({"common": 1e6, "classes": rows}, "used twice|look alike")


@pytest.mark.parametrize(
    ("data", "word"),
    [
        ({"common": -1e6}, "not an amount"),
        ({"common": 1e6, "founders": 2e6}, "founders hold"),
        ({"common": 1e6, "classes": [{"name": "A", "shares": "-2m", "invested": 1e6}]},
         "not an amount"),
        ({"common": 1e6, "pool": "(100k)"}, "not an amount"),
        ({"common": 1e6, "classes": [{"name": "A", "shares": 1e6, "invested": "JPY 5亿"}],
          "safes": [{"name": "S", "amount": "XAF 1m"}]}, "no rate"),
        ({"common": 1e6, "safes": [{"name": "S", "amount": "$1m and €2m"}]}, "expected a number"),
        ({"common": 1e6, "safes": [{"name": "S", "amount": 5e6, "valuation_cap": 4e6}]},
         "give away 125%"),
        ({"common": 1e6, "safes": [{"name": "S", "amount": 1e6, "discount": 1.0}]}, "discount"),
        ({"common": 1e6, "safes": [{"name": "S", "amount": 1e6, "discount": "80%"}]},
         "Discount Rate"),
        ({"common": 1e6, "notes": [{"name": "N", "principal": 1e6, "interest": 0.08, "years": 18}]},
         "18 months"),
        ({"common": 1e6, "notes": [{"name": "N", "principal": 1e6, "interest": 0.08}]},
         "the interest has no time"),
        ({"common": 8e6, "founders": 0.6}, "not their part"),
        ({"common": 8e6, "founders": 60}, "not their part"),
        ({"common": 8e6, "pool": 10}, "not their part"),
        ({"common": 8e6, "classes": [{"name": "A", "shares": 20, "invested": 5e6}]},
         "not their part"),
        ({"common": 8, "founders": 6, "classes": [{"name": "A", "shares": 2e6, "invested": 5e6}]},
         "in full"),
        ({"common": 8e6, "safes": [{"name": "S", "amount": 1e6, "valuation_cap": 10,
                                    "post_money": False}]}, "in full: 10m"),
        ({"common": 8e6, "classes": [{"name": "A", "shares": 2e6, "invested": 5e6}],
          "options": [{"name": "O", "n": 1e6, "strike": "500k"}]}, "of one share"),
        ({"common": 8e6, "classes": [{"name": "A", "shares": 2e6, "invested": 5e6,
                                      "ipo_ratchet": 0.2}]}, "promises nothing"),
        ({"common": 8e6, "classes": [{"name": "A", "shares": 2e6, "invested": 5e6,
                                      "ipo_ratchet": 20}]}, "20 % more"),
        ({"common": 1e6, "safes": [{"name": "S", "amount": 1e6, "date": "2018-01-01"}]},
         "before the company was founded"),
        ({"common": 1e6, "notes": [{"name": "N", "principal": 1e6, "interest": 8, "years": 1}]},
         "8 %"),
    ],
)  # fmt: skip
def test_papers_that_cannot_be_are_refused_by_name(data: dict[str, Any], word: str) -> None:
    refused(data, word)


def test_years_of_interest_that_contradict_a_notes_date_are_told() -> None:
    def told(**terms: Any) -> tuple[str, ...]:
        row = Note("N", 1e6, 0.08, date=dt.date(2024, 11, 20), **terms)
        return CapTable(9e6, 9e6, notes=(row,), as_of=dt.date(2026, 11, 20)).told

    assert told(years=1.0) == ("note_years",)
    assert told(years=2.0) == told(years=None) == ()


def test_small_tables_and_unlike_conversions_are_no_slips() -> None:
    CapTable(100.0, 60.0, (ShareClass("A", 20.0, 5e6),))  # a young company limited by shares
    CapTable(8e6, 6e6, (ShareClass("A", 20.0, 5e6, conversion_ratio=1e5),))
    CapTable(8e6, 0.0, (ShareClass("A", 2e6, 200.0),), (OptionGrant("O", 100.0, 0.01),))


def test_papers_that_favour_each_other_end_in_the_terms_of_a_third() -> None:
    both = (Safe("S1", 1e6, mfn=True), Safe("S2", 1e6, mfn=True))
    table = CapTable(9e6, 9e6, safes=both)
    assert Schedule(table.claims()).pay(50e6)["S1"] == pytest.approx(1e6)  # no better terms
    third = CapTable(9e6, 9e6, safes=(*both, Safe("S3", 1e6, 10e6)))
    paid = Schedule(third.claims()).pay(50e6)
    assert paid["S1"] == pytest.approx(paid["S3"])
    assert paid["S2"] == pytest.approx(5e6)


def owed_by_hand(safe_: Safe, price: float, pool: float) -> float:
    """What one SAFE beside 9m common takes of a price, from the text of the forms alone.

    It takes the better of its money and its shares. With a cap the liquidity price is cap over
    capitalization, which holds the unissued pool where the paper says so, and the SAFE itself where
    the form is post-money. With a discount that works in a sale the shares are bought below the
    price of the sale.
    """
    common, amount = 9e6, float(safe_.amount)
    counted = pool if safe_.counts_pool else 0.0
    best = min(amount, price)
    if safe_.valuation_cap is not None:
        part = amount / float(safe_.valuation_cap)
        shares = part * (common + counted)
        if safe_.post_money:
            shares = part * (common + counted) / (1 - part)
        best = max(best, price * shares / (common + shares))
    works = safe_.valuation_cap is None if safe_.discount_in_sale is None else (
        safe_.discount_in_sale
    )  # fmt: skip
    if works and safe_.discount:
        best = max(best, min(price, amount / (1 - float(safe_.discount))))
    return best


@pytest.mark.parametrize("price", [0.5e6, 1e6, 1.2e6, 5e6, 8e6, 12e6, 40e6, 400e6])
def test_every_clause_of_a_safe_beside_every_other(price: float) -> None:
    clauses = itertools.product(
        (None, 8e6, 30e6), (0.0, 0.2), (True, False), (None, True, False), (None, True, False),
        (0.0, 1e6),
    )  # fmt: skip
    for cap, discount, post, in_sale, counts, pool in clauses:
        row = Safe("S", 1e6, cap, discount, post, discount_in_sale=in_sale, counts_pool=counts)
        paid = Schedule(CapTable(9e6, 9e6, safes=(row,), pool=pool).claims()).pay(price)
        assert paid["S"] == pytest.approx(owed_by_hand(row, price, pool), rel=1e-9), row
        assert sum(paid.values()) == pytest.approx(price)


def test_a_note_in_a_sale_takes_the_best_that_its_text_gives() -> None:
    for multiple, cap, rate in itertools.product((1.0, 2.0), (None, 6e6), (0.0, 0.08)):
        row = Note("N", 1e6, rate, 1.5, cap, 0.2, multiple)
        due = 1e6 * (1 + rate * 1.5)
        for price in (0.5e6, 3e6, 20e6, 200e6):
            shares = 0.0 if cap is None else due / cap * 9e6
            wanted = max(min(price, due * multiple), price * shares / (9e6 + shares))
            got = Schedule(CapTable(9e6, 9e6, notes=(row,)).claims()).pay(price)["N"]
            low = min(price, 1e6 * multiple + due - 1e6)  # a multiple of the money, then interest
            assert got == pytest.approx(wanted, rel=1e-9) or got >= low - 1e-6, (row, price)


def test_ratchets_that_feed_each_other_are_refused_or_end() -> None:
    rows = tuple(
        ShareClass(n, 1e6, paid, anti_dilution="full_ratchet")
        for n, paid in (("A", 5e6), ("B", 20e6))
    )
    table = CapTable(2e6, 2e6, rows, (OptionGrant("O", 5e5, 1.0),))
    made = table.round(1e6, pre_money=30e6, name="C")
    total = sum(row.after for row in made.rows)
    assert made.price * total == pytest.approx(made.post_money)
    with pytest.raises(ExitError, match="take the whole pre-money valuation"):
        table.round(1e6, pre_money=20e6, name="C")  # the money behind the ratchets alone is 25m


# ---- packages -----------------------------------------------------------------------------------
EVENT: Item = {"object_type": "CE_STAKEHOLDER_RELATIONSHIP", "id": "e", "date": "2025-01-01",
               "stakeholder_id": "holder-bob", "relationship_started": "FOUNDER"}  # fmt: skip
RIGHT = {"type": "STOCK_CLASS_CONVERSION_RIGHT", "conversion_mechanism": {
    "type": "RATIO_CONVERSION", "conversion_price": money(1.0),
    "ratio": {"numerator": "1", "denominator": "1"}, "rounding_type": "NORMAL"}}  # fmt: skip
TWICE = {
    **RIGHT,
    "conversion_mechanism": {
        **RIGHT["conversion_mechanism"],  # type: ignore[dict-item]
        "ratio": {"numerator": "2", "denominator": "1"},
    },
}
COMMON_ONLY = [stock("CS-1", "Common", 5e6, 0.0001)]


@pytest.mark.parametrize(
    ("moves", "classes", "people", "word"),
    [
        ([stock("CS-1", "Common", -5e6, 0.1)], None, None, "below zero"),
        ([*COMMON_ONLY, option("O-1", -100, 1.0)], None, None, "below zero"),
        ([*COMMON_ONLY, safe("S-1", -5e5, 10e6)], None, None, "below zero"),
        (COMMON_ONLY, [*CLASSES, {**CLASSES[0], "name": "Other"}], None, "two different objects"),
        (COMMON_ONLY, None, [*PEOPLE, {**PEOPLE[0], "name": {"legal_name": "Zoe"}}],
         "two different objects"),
        ([*COMMON_ONLY, stock("A-1", "Series A", 1e6, 1.0, holder="fund")],
         [CLASSES[0], {**CLASSES[1], "conversion_rights": [RIGHT, TWICE]}], None,
         "differ in their ratio"),
        ([*COMMON_ONLY, stock("CS-1", "Common", 1e6, 0.1)], None, None, "issued twice"),
        ([*COMMON_ONLY, tx("STOCK_CANCELLATION", "CS-9", quantity="1")], None, None, "no security"),
        ([*COMMON_ONLY, {**tx("STOCK_DREAM", "CS-1")}], None, None, "not known"),
        ([*COMMON_ONLY, stock("A-1", "Series A", 1e6, 1.0, holder="fund")],
         [CLASSES[0], {**CLASSES[1], "liquidation_preference_multiple": None}], None,
         "no liquidation_preference_multiple"),
        ([*COMMON_ONLY, {**stock("A-1", "Series A", 1e6, 1.0), "share_price": None}],
         [CLASSES[0], {**CLASSES[1], "price_per_share": None}], None, "what was paid for a share"),
        ([*COMMON_ONLY, {**option("O-1", 1e5, 1.0), "exercise_price": None}], None, None,
         "no exercise_price"),
    ],
)  # fmt: skip
def test_packages_that_contradict_themselves_are_refused(
    tmp_path: Path, moves: list[Item], classes: list[Item] | None, people: list[Item] | None,
    word: str,
) -> None:  # fmt: skip
    with pytest.raises(ExitError, match=word):
        read_ocf(package(tmp_path / "p", moves, classes, people))


def test_an_event_makes_a_founder(tmp_path: Path) -> None:
    moves = [*COMMON_ONLY, stock("CS-2", "Common", 1e6, 0.1, holder="bob")]
    assert read_ocf(package(tmp_path / "a", moves)).founders == 5e6
    assert read_ocf(package(tmp_path / "b", [*moves, EVENT])).founders == 6e6
    ended = {**EVENT, "date": "2025-06-01", "relationship_ended": "FOUNDER"}
    del ended["relationship_started"]
    assert read_ocf(package(tmp_path / "c", [*moves, EVENT, ended])).founders == 5e6


#: One of every other object type of the schema, none of which changes a number of the table.
QUIET: list[Item] = [
    {"object_type": "ISSUER", "id": "i", "legal_name": "Acme"},
    {"object_type": "STOCK_LEGEND_TEMPLATE", "id": "l", "name": "L", "text": "no sale"},
    {"object_type": "STOCK_PLAN", "id": "plan", "plan_name": "P", "stock_class_id": "class-Common"},
    {"object_type": "VESTING_TERMS", "id": "v", "name": "4 years", "vesting_conditions": []},
    {"object_type": "VALUATION", "id": "409A", "price_per_share": money(1.0)},
    {"object_type": "DOCUMENT", "id": "d", "uri": "https://example.com"},
    {"object_type": "FINANCING", "id": "f", "name": "Series A", "issuance_ids": []},
    {"object_type": "CE_STAKEHOLDER_STATUS", "id": "s", "date": "2025-01-01",
     "stakeholder_id": "holder-bob", "new_status": "LEAVE_OF_ABSENCE"},
    tx("STOCK_ACCEPTANCE", "CS-1"), tx("VESTING_START", "O-1"), tx("VESTING_EVENT", "O-1"),
    tx("VESTING_ACCELERATION", "O-1", quantity="5"), tx("CONVERTIBLE_ACCEPTANCE", "SAFE-1"),
    tx("ISSUER_AUTHORIZED_SHARES_ADJUSTMENT", "x"), tx("EQUITY_COMPENSATION_ACCEPTANCE", "O-1"),
    tx("STOCK_CLASS_AUTHORIZED_SHARES_ADJUSTMENT", "x"),
    tx("WARRANT_ACCEPTANCE", "W-1"),
]  # fmt: skip


def test_other_objects_of_a_package_change_no_number(tmp_path: Path) -> None:
    folder = package(tmp_path / "a")
    plain = read_ocf(folder)
    moves = json.loads((folder / "Transactions.ocf.json").read_text())["items"]
    assert read_ocf(package(tmp_path / "b", [*moves, *QUIET])) == plain


def test_amounts_of_two_currencies_in_a_package_are_refused(tmp_path: Path) -> None:
    other = stock("CS-2", "Common", 1e6, 0.1, holder="bob")
    other["share_price"] = {"amount": "0.1", "currency": "EUR"}
    with pytest.raises(ExitError, match="one currency is needed"):
        read_ocf(package(tmp_path / "p", [*COMMON_ONLY, other]))


def test_two_people_of_one_name_stay_two(tmp_path: Path) -> None:
    twin = {**person("fund"), "id": "holder-twin"}
    moves = [*COMMON_ONLY, stock("A-1", "Series A", 1e6, 1.0, holder="fund"),
             stock("A-2", "Series A", 3e6, 1.0, holder="twin")]  # fmt: skip
    held = read_ocf(package(tmp_path / "p", moves, people=[*PEOPLE, twin])).holders
    units = sorted(float(h.units or 0) for h in held if h.paper == "Series A")
    assert units == [1e6, 3e6]


def test_a_day_is_the_weekday_that_stands_beside_it() -> None:
    assert read_day("Sunday, March 1, 2026") == read_day("Sun 1 March 2026") == dt.date(2026, 3, 1)
    for text in ("Monday, March 1, 2026", "Sat. 1 March 2026"):
        with pytest.raises(AmountError, match="is a Sunday"):
            read_day(text)
