"""Promises of the readers: what can be read in two ways is refused, everywhere in the same way."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exit_profiles import TODAY, make_profile_dict

from fastnn.exit_strategy.batch import evaluate_many
from fastnn.exit_strategy.cli import commands as cli
from fastnn.exit_strategy.criteria import load_criteria
from fastnn.exit_strategy.errors import ExitError, Issue, visible
from fastnn.exit_strategy.evaluation import evaluate
from fastnn.exit_strategy.gates.data import load_gates
from fastnn.exit_strategy.money.captable import CapTable, ShareClass
from fastnn.exit_strategy.money.outcomes import parse_assumptions, parse_cap_table, price_grid
from fastnn.exit_strategy.profile.profile import Profile, read_mapping
from fastnn.exit_strategy.profile.valuation import estimate
from fastnn.exit_strategy.reading.amounts import (
    AmountError,
    plain_value,
    read_amount,
    split_amounts,
)
from fastnn.exit_strategy.reading.dates import read_day
from fastnn.exit_strategy.reading.parse import Reader, show


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,5m", 1.5e6), ("0,2", 0.2), ("0,125", 0.125), ("1.234,56", 1234.56),
        ("1,234.56", 1234.56), ("1,234,567", 1234567), ("1.200.000", 1.2e6),
        ("12_000_000", 12e6), ("12'500", 12500), ("12’500", 12500),
        ("1\u00a0234,56", 1234.56), ("1\u202f234\u202f567", 1234567), ("(80k)", -8e4),
        ("\u22125m", -5e6), ("5 Mio", 5e6), ("5 Mio. €", 5e6), ("2 Mrd", 2e9), ("3 Mds", 3e9),
        ("12m", 12e6), ("12M", 12e6), ("12MM", 12e6), ("7k", 7e3), ("7K", 7e3), ("1.5BN", 1.5e9),
        ("500万", 5e6), ("5千万", 5e7), ("3亿", 3e8), ("1亿2000万", 1.2e8), ("８００万", 8e6),
        ("TEUR 500", 5e5), ("500 T€", 5e5), ("$8m", 8e6), ("-$8m", -8e6), ("$-8m", -8e6),
        ("HKD 8m", 8e6), ("8m hkd", 8e6), ("2.3m", 2.3e6), ("1.5e6", 1.5e6), ("55%", 0.55),
        ("55 %", 0.55), ("8x", 8.0), ("12345.678", 12345.678), ("1,23,45,678", 12345678),
    ],
)  # fmt: skip
def test_an_amount_that_has_one_reading_is_taken(text: str, value: float) -> None:
    assert read_amount(text).value == value


@pytest.mark.parametrize("text", ["7", "-7", "0.125", "1.500", "1.5", "1234.567", "00.5", "12.000"])
@pytest.mark.parametrize("decimal", [None, ".", ","])
@pytest.mark.parametrize("large", [True, False])
def test_plain_numbers_take_a_short_way_to_the_same_answer(
    text: str, decimal: str | None, large: bool
) -> None:
    def answer(words: str) -> object:
        try:
            return read_amount(words, decimal=decimal, large=large)
        except AmountError as error:
            return error.two_ways

    assert answer(text) == answer(f" {text}")  # a space in front leads the long way


@pytest.mark.parametrize("text", ["1,500", "1.500", "(1,000)", "12,500m", "5T", "5 mil", "kr 5m"])
def test_an_amount_that_has_two_readings_is_refused_and_both_are_named(text: str) -> None:
    with pytest.raises(AmountError) as caught:
        read_amount(text)
    assert caught.value.two_ways
    assert caught.value.hint


@pytest.mark.parametrize(
    "text",
    ["1,2,3", "12,", "1,23,45,67", "1_5", "1.2.3", "1,2.3", "1.234,567.89", "1'5", "--5", "abc",
     "", "=1+1", "USD 5 EUR", "12m EUR USD", "½m", "5²", "m5", "5 Miox", "1 5", "0,234,567"],
)  # fmt: skip
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(AmountError):
        read_amount(text)


def test_the_stated_decimal_mark_decides_and_what_does_not_fit_it_is_refused() -> None:
    assert read_amount("1,500", decimal=",").value == 1.5
    assert read_amount("1.500", decimal=",").value == 1500
    assert read_amount("1,500", decimal=".").value == 1500
    for text, mark in (("1.5m", ","), ("1,5m", "."), ("1.234,5", "."), ("1 234.5", ",")):
        with pytest.raises(AmountError):
            read_amount(text, decimal=mark)


def test_a_sign_of_several_currencies_means_the_companys_own_or_is_refused() -> None:
    assert read_amount("$5m", currency="HKD").currency == "HKD"
    assert read_amount("$5m", currency="EUR").currency == "USD"
    assert read_amount("¥5m", currency="JPY").currency == "JPY"
    assert read_amount("¥3亿", currency="USD").currency == "CNY"
    assert read_amount("人民币3亿元").currency == "CNY"
    with pytest.raises(AmountError, match="may be CNY or JPY"):
        read_amount("¥5m", currency="EUR")


def test_every_place_reads_amounts_alike() -> None:
    data = make_profile_dict(
        currency="EUR",
        cash="1,5m",
        growth_yoy="55 %",
        valuation={"method": "multiples", "inputs": {"metric": "3,4m", "low": "6x", "median": 9,
                                                     "high": "12"}},
        uncertainty={"revenue_ttm": {"dist": "uniform", "low": "10m", "high": "12,5m"}},
        funding_rounds=[{"date": "2024-05-01", "type": "seed", "amount": "€2 Mio"}],
        fx={"HKD": "7,84"},
        assumptions={"fee_fixed": "500k", "fee_rate": "3%", "ipo_raise": "EUR 20m"},
        cap_table={"common": "6m", "founders": "5m",
                   "classes": [{"name": "A", "shares": "2m", "invested": "1,8m", "seniority": "1"}],
                   "safes": [{"name": "S", "amount": "0,5m", "discount": "20%",
                              "post_money": "no"}]},
    )  # fmt: skip
    made = Profile.from_dict(data, today=TODAY)
    assert (made.cash, made.growth_yoy, made.valuation.low) == (1.5e6, 0.55, 3.4e6 * 6)
    assert made.uncertainty["revenue_ttm"].params == (10e6, 12.5e6)
    assert made.funding_rounds[0].amount == 2e6
    assert made.rates.per_usd["HKD"] == 7.84
    terms, table = made.assumptions, made.cap_table
    assert (terms.fee_fixed, terms.fee_rate, terms.ipo_raise) == (5e5, 0.03, 20e6)
    assert (table.common, table.classes[0].invested) == (6e6, 1.8e6)
    assert (table.safes[0].amount, table.safes[0].discount) == (5e5, 0.2)
    assert table.safes[0].post_money is False


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"cash": "1,500"}, "cash"),
        ({"valuation": {"method": "multiples",
                        "inputs": {"metric": "1,500m", "low": 1, "median": 2, "high": 3}}},
         "valuation.inputs.metric"),
        ({"cap_table": {"common": "1,500"}}, "cap_table.common"),
        ({"assumptions": {"fee_fixed": "1,500"}}, "assumptions.fee_fixed"),
        ({"uncertainty": {"cash": {"dist": "fixed", "value": "1.500"}}}, "uncertainty.cash.value"),
        ({"funding_rounds": [{"date": "03/04/2024"}]}, "funding_rounds[0].date"),
        ({"fx": {"HKD": "7,840"}}, "fx.HKD"),
    ],
)  # fmt: skip
def test_two_readings_are_refused_in_every_place_until_the_mark_is_stated(
    change: dict[str, Any], field: str
) -> None:
    with pytest.raises(ExitError) as caught:
        Profile.from_dict(make_profile_dict(**change), today=TODAY)
    assert [(i.code, i.field) for i in caught.value.issues] == [("EX122", field)]
    if "03/04" not in str(change):
        Profile.from_dict(make_profile_dict(decimal=",", **change), today=TODAY)


def test_money_in_another_currency_is_converted_in_a_cap_table_or_refused_without_a_rate() -> None:
    issues: list[Issue] = []
    data = {"common": 1, "classes": [{"name": "A", "shares": 1, "invested": "HKD 8m"}]}
    assert parse_cap_table(data, issues) is None
    assert issues[0].code == "EX119"
    made = Profile.from_dict(make_profile_dict(cap_table=data, fx={"HKD": 8.0}), today=TODAY)
    assert made.cap_table.classes[0].invested == pytest.approx(1e6)
    with_shares = {"common": "HKD 5m"}
    assert parse_cap_table(with_shares, issues := []) is None  # shares are not money
    assert issues[0].field == "cap_table.common"


def test_a_share_in_percent_is_no_amount_and_a_multiple_no_share() -> None:
    for change in ({"cash": "55%"}, {"audited_years": "2%"}, {"cash": "5x"}):
        with pytest.raises(ExitError, match="expected a number"):
            Profile.from_dict(make_profile_dict(**change), today=TODAY)
    assert parse_assumptions({"fee_rate": "3x"}, issues := []) is None
    assert issues[0].field == "assumptions.fee_rate"


def test_valuation_inputs_name_the_input_and_the_fault() -> None:
    issues: list[Issue] = []
    inputs = {"cash_flows": ["1m", "two"], "discount_rate": "25%", "exit_multiple": "8x"}
    assert estimate("dcf", inputs, issues) is None
    assert issues[0].field == "valuation.inputs.cash_flows"
    inputs["cash_flows"] = ["1m", "2m"]
    low, mid, high = estimate("dcf", inputs, []) or (0.0, 0.0, 0.0)
    assert mid == pytest.approx(1e6 / 1.25 + 2e6 / 1.25**2 + 16e6 / 1.25**2)
    assert low < mid < high


@pytest.mark.parametrize(
    ("text", "parts"),
    [("10m,30m,1.2bn", 3), ("1,5m;3m", 2), ("10000000,30000000", 2), ("EUR 5m, EUR 6m", 2)],
)
def test_a_list_of_prices_is_split_where_no_comma_can_be_a_decimal_mark(
    text: str, parts: int
) -> None:
    assert len(split_amounts(text)) == parts


@pytest.mark.parametrize("text", ["1,5m", "1,2,3", "1,500,000", "1,5m,3m"])
def test_a_list_of_prices_with_a_doubtful_comma_is_refused(text: str) -> None:
    with pytest.raises(AmountError, match="decimal comma"):
        split_amounts(text)
    assert split_amounts("1,5m", decimal=",") == ["1,5m"]


def test_the_waterfall_command_reads_prices_as_the_profile_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "acme.json"
    path.write_text(json.dumps(make_profile_dict(as_of="2026-11-01")))
    assert cli.main(["waterfall", str(path), "--prices", "1,5m"]) == cli.BAD_INPUT
    assert "EX122" in capsys.readouterr().err
    assert cli.main(["waterfall", str(path), "--prices", "1,5m", "--decimal", ","]) == 0
    assert "1.5m" in capsys.readouterr().out


def test_prices_without_a_wish_lie_around_the_companys_value() -> None:
    made = Profile.from_dict(make_profile_dict(), today=TODAY)
    grid = price_grid(made)
    assert grid == tuple(sorted(grid))
    assert grid[0] < made.valuation.low < made.valuation.high < grid[-1]


@pytest.mark.parametrize(
    ("text", "day"),
    [("2026-11-22", (2026, 11, 22)), ("2026/11/22", (2026, 11, 22)), ("22.11.2026", (2026, 11, 22)),
     ("11/22/2026", (2026, 11, 22)), ("2026年11月22日", (2026, 11, 22)),
     ("22 Nov 2026", (2026, 11, 22)), ("November 22, 2026", (2026, 11, 22)),
     ("2026-11-22 00:00:00", (2026, 11, 22)), ("05/05/2026", (2026, 5, 5))],
)  # fmt: skip
def test_a_date_with_one_reading_is_taken(text: str, day: tuple[int, int, int]) -> None:
    assert read_day(text) == dt.date(*day)


@pytest.mark.parametrize(
    "text",
    [
        "03/04/2026",
        "3.4.2026",
        "31/31/2026",
        "soon",
        "22 Foo 2026",
        "2026-W44",
        "2026W44",
        "2026-W44-3",
    ],
)
def test_a_date_with_two_readings_or_none_is_refused(text: str) -> None:
    with pytest.raises(AmountError):
        read_day(text)


@pytest.mark.parametrize(
    "text", ["12k-15k", "12k – 15k", "5m to 6m", "~5m", "ca. 5m", ">5m", "5m+", "约500万"]
)
def test_of_a_range_it_is_said_that_one_number_is_wanted(text: str) -> None:
    with pytest.raises(ExitError, match="one in the middle"):
        Profile.from_dict(make_profile_dict(cash=text), today=TODAY)
    with pytest.raises(ExitError, match="for example cash"):
        Profile.from_dict(make_profile_dict(cash="plenty"), today=TODAY)


def test_numpy_values_are_plain_values() -> None:
    made = Profile.from_dict(
        make_profile_dict(
            cash=np.float32(5e6), audited_years=np.int64(2), as_of=np.datetime64("2026-11-01"),
            revenue_last_fy=np.array([1e6, 2e6, 3e6]),
        ),
        today=TODAY,
    )  # fmt: skip
    assert (made.cash, made.audited_years) == (5e6, 2)
    assert made.revenue_last_fy == (1e6, 2e6, 3e6)
    assert made.as_of == dt.date(2026, 11, 1)
    assert plain_value(np.datetime64("NaT")) is None


def yaml_bomb(levels: int) -> str:
    rows = ['a: &a ["x","x","x","x","x","x","x","x","x"]']
    rows += [
        f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]"
        for i in range(levels)
    ]
    return "\n".join(rows)


def test_yaml_aliases_are_bounded_and_doubled_keys_and_octal_numbers_are_seen() -> None:
    pytest.importorskip("yaml")
    with pytest.raises(ExitError, match="expands to more than"):
        Profile.from_text(yaml_bomb(12), ".yaml")
    with pytest.raises(ExitError) as caught:
        Profile.from_text("cash: 1\ncash: 2\n", ".yaml")
    assert caught.value.code == "EX121"
    with pytest.raises(ExitError, match="holds itself"):
        Profile.from_text("a: &a [*a]\n", ".yaml")
    made = {key: str(value) for key, value in make_profile_dict(cash="0100").items()
            if not isinstance(value, dict)}  # fmt: skip
    text = "\n".join(f"{key}: {value}" for key, value in made.items())
    read = Profile.from_text(text, ".yaml", today=TODAY)
    assert read.cash == 100.0  # YAML 1.1 itself would say 64
    assert read.valuation.low == 350e6


def test_the_text_of_a_value_is_short_and_its_making_bounded() -> None:
    level: Any = ["x"] * 9
    for _ in range(40):
        level = [level] * 9  # 9 ** 41 values when written out
    assert len(show(level)) <= 60
    assert show("\u202eevil") == "'\\u202eevil'"


@pytest.mark.parametrize("mark", ["\x1b[2J", "\u202e", "\u2066", "\u200f", "\x9b", "\u2028"])
def test_control_and_direction_marks_do_not_pass(mark: str) -> None:
    with pytest.raises(ExitError) as caught:
        Profile.from_dict(make_profile_dict(name=f"Ac{mark}me"), today=TODAY)
    assert caught.value.code == "EX111"
    assert mark not in str(caught.value)
    with pytest.raises(ExitError) as caught:
        CapTable(1.0, 1.0, (ShareClass(f"A{mark}B", 1.0, 1.0),))
    assert mark not in str(caught.value)
    assert mark not in visible(f"a{mark}b")


def test_only_plain_files_of_a_sensible_size_are_read(tmp_path: Path) -> None:
    import os

    pipe = tmp_path / "pipe.toml"
    os.mkfifo(pipe)
    device = tmp_path / "zero.json"
    device.symlink_to("/dev/zero")
    for path in (pipe, device, tmp_path):
        with pytest.raises(ExitError) as caught:
            read_mapping(path)
        assert caught.value.code == "EX112"


def test_a_profile_in_another_encoding_is_read_or_named(tmp_path: Path) -> None:
    words = 'name = "Müller"\n'
    path = tmp_path / "p.toml"
    for encoding in ("utf-8-sig", "utf-16"):
        path.write_bytes(words.encode(encoding))
        assert read_mapping(path)["name"] == "Müller"
    path.write_bytes(words.encode("cp1252"))
    with pytest.raises(ExitError, match="not UTF-8"):
        read_mapping(path)
    path.write_bytes('name = "星河智能"\n'.encode("gbk"))
    assert read_mapping(path)["name"] == "星河智能"


def test_a_reader_without_a_company_still_reads(tmp_path: Path) -> None:
    reader = Reader([], TODAY)
    assert reader.currency is None
    assert parse_cap_table({"common": "6m"}, reader.issues, reader) == CapTable(6e6, 6e6)


def test_a_leading_tilde_is_the_home_folder_in_every_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    rows = make_profile_dict()
    (tmp_path / "co.json").write_text(json.dumps(rows, default=str), encoding="utf-8")
    company = Profile.from_file("~/co.json")
    result = evaluate(company, draws=100)
    for write, name in ((result.to_html, "r.html"), (result.to_markdown, "r.md"),
                        (result.to_json, "r.json")):  # fmt: skip
        write(f"~/{name}")
        assert (tmp_path / name).is_file()
    (tmp_path / "in.csv").write_text(
        ",".join(rows) + "\n" + ",".join(str(v) for v in rows.values()) + "\n", encoding="utf-8"
    )
    made = evaluate_many("~/in.csv", output="~/out.csv", draws=100)
    assert made.rows == 1
    assert (tmp_path / "out.csv").is_file()
    data = Path(load_gates.__code__.co_filename).parents[1] / "data"
    shipped = (data / "criteria_default.json").read_bytes()
    (tmp_path / "mine.json").write_bytes(shipped)
    assert load_criteria("~/mine.json").source is not None
    (tmp_path / "gates.json").write_text("{}", encoding="utf-8")
    load_gates("~/gates.json")
    with pytest.raises(ExitError, match="No such file"):
        Profile.from_file("~/absent.toml")
