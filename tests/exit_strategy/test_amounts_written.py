"""Amounts, parts, counts and days as people of many countries write them: read rightly or refused.

Every row was worked out by hand; what may be read in two ways names both and says what to write.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from exit_profiles import TODAY, make_profile_dict

from fastnn.exit_strategy.errors import ExitError
from fastnn.exit_strategy.faults import in_chinese
from fastnn.exit_strategy.profile.profile import Profile
from fastnn.exit_strategy.reading.amounts import AmountError, read_amount
from fastnn.exit_strategy.reading.spans import read_part

#: Text, the profile's currency, the number, and the currency that the text names.
_READ: list[tuple[str, str, float, str | None]] = [
    # the unit before the currency or behind it, both in front of the digits
    ("MSEK 5", "SEK", 5e6, "SEK"), ("MNOK 12,5", "NOK", 12.5e6, "NOK"), ("M€ 5", "EUR", 5e6, "EUR"),
    ("USDm 5", "USD", 5e6, "USD"), ("US$m -5", "USD", -5e6, "USD"), ("$m 5", "USD", 5e6, "USD"),
    ("€k 5", "EUR", 5e3, "EUR"), ("EURbn 1.5", "EUR", 1.5e9, "EUR"), ("£m 5", "GBP", 5e6, "GBP"),
    ("RMB mn 500", "CNY", 5e8, "CNY"), ("US$ million 5", "EUR", 5e6, "USD"),
    ("百万円 500", "JPY", 5e8, "JPY"), ("Mio. € 5", "EUR", 5e6, "EUR"),
    ("Tsd. CHF 500", "CHF", 5e5, "CHF"), ("Rm 5", "USD", 5.0, "MYR"), ("Rbn 5", "ZAR", 5e9, "ZAR"),
    ("USD'000 500", "USD", 5e5, "USD"), ("HK$'000 (1,234,567)", "HKD", -1_234_567e3, "HKD"),
    ("5 USDm", "USD", 5e6, "USD"), ("5 HKD mn", "HKD", 5e6, "HKD"), ("5 MUSD", "EUR", 5e6, "USD"),
    ("TSEK 500", "SEK", 5e5, "SEK"), ("500 tkr", "NOK", 5e5, "NOK"),
    ("500 t.kr.", "DKK", 5e5, "DKK"),
    # a crown is no thousand rand, a birr and a dollar of Brunei no billions
    ("500 kr", "SEK", 500.0, "SEK"), ("500 000 kr", "NOK", 5e5, "NOK"),
    ("5 mkr", "SEK", 5e6, "SEK"),
    ("5 R", "ZAR", 5.0, "ZAR"),
    # units of more languages
    ("5 mill. kr", "NOK", 5e6, "NOK"), ("5 mia. kr.", "DKK", 5e9, "DKK"),
    ("5 milj. €", "EUR", 5e6, "EUR"), ("5 miljoen euro", "EUR", 5e6, "EUR"),
    ("2,5 millió Ft", "HUF", 2.5e6, "HUF"), ("5 tis. Kč", "CZK", 5e3, "CZK"),
    ("5 mil. Kč", "CZK", 5e6, "CZK"), ("5 mil lei", "RON", 5e6, "RON"),
    ("5 mil reais", "BRL", 5e3, "BRL"), ("5 bin TL", "TRY", 5e3, "TRY"),
    ("5 milhões de reais", "BRL", 5e6, "BRL"), ("5 millions d’euros", "EUR", 5e6, "EUR"),
    ("5 millones de pesos", "MXN", 5e6, "MXN"), ("5 milioni di euro", "EUR", 5e6, "EUR"),
    ("MM$ 5", "CLP", 5e6, "CLP"), ("5 млн тенге", "KZT", 5e6, "KZT"),
    ("5 ล้านบาท", "THB", 5e6, "THB"), ("5 مليون", "SAR", 5e6, None),
    ("5 lakh crore", "INR", 5e12, None), ("₹1,50,00,000", "INR", 1.5e7, "INR"),
    ("Rs 5,00,000/-", "INR", 5e5, "INR"), ("5m pounds", "GBP", 5e6, "GBP"),
    ("5m pounds", "EGP", 5e6, "EGP"), ("5m pounds", "EUR", 5e6, "GBP"),
    ("5 million pounds sterling", "EGP", 5e6, "GBP"), ("1.2億ドル", "USD", 1.2e8, "USD"),
    # each part in its own unit
    ("5억 3천만 원", "KRW", 5.3e8, "KRW"), ("1조 2000억", "KRW", 1.2e12, None),
    ("1兆2000億円", "JPY", 1.2e12, "JPY"), ("3兆円", "USD", 3e12, "JPY"),
    ("3兆", "JPY", 3e12, None),
    ("1億2,345万6千円", "JPY", 123_456_000.0, "JPY"), ("1万5000", "CNY", 15_000.0, None),
    ("壹佰万元整", "CNY", 1e6, "CNY"), ("三千五百万", "CNY", 3.5e7, None),
    # signs and marks
    ("1.234.567,00-", "EUR", -1_234_567.0, None), ("$(1,234,567)", "USD", -1_234_567.0, "USD"),
    ("(80k) €", "EUR", -8e4, "EUR"), ("(5) %", "EUR", -0.05, None), ("–5m", "EUR", -5e6, None),
    ("500 000:-", "SEK", 5e5, None), ("Fr. 1'000.--", "CHF", 1e3, "CHF"),
    ("٣٫٥", "AED", 3.5, None), ("١٬٢٣٤٬٥٦٧", "SAR", 1_234_567.0, None), ("۱۲۳", "IRR", 123.0, None),
    ("1\u00a0500\u00a0000", "EUR", 1.5e6, None), ("１，２３４，５６７", "JPY", 1_234_567.0, None),
    ("US$300万元", "EUR", 3e6, "USD"), ("300万元", "HKD", 3e6, "HKD"),
    # parts of a whole and multiples
    ("五成", "CNY", 0.5, None), ("三成五", "CNY", 0.35, None), ("5成半", "CNY", 0.55, None),
    ("十成", "CNY", 1.0, None), ("千分之五", "CNY", 0.005, None), ("万分之五", "CNY", 0.0005, None),
    ("%5", "TRY", 0.05, None), ("-%5", "TRY", -0.05, None), ("5٪", "AED", 0.05, None),
    ("10 pct.", "USD", 0.1, None), ("10 v.H.", "EUR", 0.1, None), ("×2.5", "USD", 2.5, None),
]  # fmt: skip


@pytest.mark.parametrize(("text", "own", "value", "currency"), _READ)
def test_an_amount_is_read_as_it_was_meant(
    text: str, own: str, value: float, currency: str | None
) -> None:
    found = read_amount(text, currency=own)
    assert found.value == pytest.approx(value, rel=1e-15)
    assert found.currency == currency


#: Text, the profile's currency, and whether it has two readings.
_REFUSED: list[tuple[str, str, bool]] = [
    ("300万元", "USD", True), ("3亿元", "EUR", True), ("元500", "JPY", True),
    ("Rm 5", "ZAR", True), ("M$ 5", "CLP", True), ("MM 5", "USD", False), ("Mio 5", "EUR", False),
    ("MSEK 5m", "SEK", False), ("MSEK 5 EUR", "SEK", False), ("GUSD 5", "USD", True),
    ("Br 5", "ETB", False), ("5 br", "ETB", False), ("B$ 5", "BND", False), ("5 B$", "BND", False),
    ("5 pesos", "USD", True), ("5 lei", "USD", True), ("5 kr", "EUR", True),
    ("5 mille kr", "NOK", True), ("5m real", "USD", False),
    ("R$ 5 mil", "BRL", True), ("5 mil €", "EUR", True), ("5兆", "CNY", True),
    ("0000", "USD", False), ("0000m", "USD", False), ("1,0000", "USD", True),
    ("12,3456", "EUR", True), ("1,0000m", "USD", True),
    ("$1,00000", "USD", True), ("1,0000", "CNY", True), ("1,2345,6789", "JPY", True),
    ("七折", "CNY", True), ("7折", "CNY", True),
    ("5-", "EUR", True), ("1,234,567-", "USD", True), ("5m-", "EUR", False), ("-5-", "EUR", True),
    ("-(5)", "EUR", False), ("((5))", "EUR", False), ("(5", "EUR", False), ("5)", "EUR", False),
    ("100 (1)", "EUR", False), ("(1) 500", "EUR", False), ("1万5", "CNY", False),
    ("1万2亿", "CNY", False), ("1,2万5千", "CNY", False), ("三成十", "CNY", False),
    ("十成五", "CNY", False), ("ten percent", "USD", False), ("5 million million", "USD", False),
    ("约500万", "CNY", False), ("5–6m", "EUR", False), ("#REF!", "USD", False), ("-", "USD", False),
    ("—", "USD", False), ("n/a", "USD", False), ("5 pp", "USD", False), ("½m", "USD", False),
]  # fmt: skip


@pytest.mark.parametrize(("text", "own", "two_ways"), _REFUSED)
def test_what_is_no_amount_or_two_is_refused_with_what_to_write(
    text: str, own: str, two_ways: bool
) -> None:
    with pytest.raises(AmountError) as caught:
        read_amount(text, currency=own)
    assert caught.value.two_ways == two_ways
    assert caught.value.hint
    data: Any = make_profile_dict(currency=own, cash=text, fx={own: 7.0} if own != "USD" else None)
    with pytest.raises(ExitError) as told:
        Profile.from_dict(data, today=TODAY)
    issue = next(issue for issue in told.value.issues if issue.field == "cash")
    assert issue.code == ("EX122" if two_ways else "EX103")
    assert text.strip() in issue.message or issue.value
    assert issue.hint


@pytest.mark.parametrize("text", ["(80k)", "$(80k)", "80,000.00-", "(80k) $"])
def test_an_accounts_minus_sign_beside_what_is_spent_is_refused(text: str) -> None:
    with pytest.raises(ExitError) as caught:
        Profile.from_dict(make_profile_dict(monthly_burn=text), today=TODAY)
    assert [issue.code for issue in caught.value.issues] == ["EX122"]


@pytest.mark.parametrize(
    ("text", "part"),
    [("一半", 0.5), ("half", 0.5), ("三分之一", 1 / 3), ("3分之2", 2 / 3), ("十分之三", 0.3),
     ("一分之三", None), ("三分之", None), ("百分之五", None)],
)  # fmt: skip
def test_a_part_in_words(text: str, part: float | None) -> None:
    assert read_part(text) == part


#: Field, text, what it holds (None: refused).
_FIELDS: list[tuple[str, str, float | None]] = [
    ("founder_share", "五成", 0.5), ("founder_share", "三分之一", 1 / 3),
    ("founder_share", "七折", None), ("founder_share", "40", None), ("founder_share", "%40", 0.4),
    ("cash", "五成", None), ("cash", "x5", None), ("cash", "USDm 5", 5e6),
    ("audited_years", "3年", 3), ("audited_years", "三年", 3), ("audited_years", "２", 2),
    ("audited_years", "3%", None), ("audited_years", "FY26", None),
    ("personal_records_held", "2万", 20_000), ("personal_records_held", "20 000", 20_000),
    ("personal_records_held", "20k", 20_000), ("personal_records_held", "20.000", None),
    ("growth_yoy", "×2.5", None), ("growth_yoy", "十成", 1.0), ("growth_yoy", "(5) %", -0.05),
]  # fmt: skip


@pytest.mark.parametrize(("path", "text", "wanted"), _FIELDS)
def test_a_field_reads_the_words_of_its_kind(path: str, text: str, wanted: float | None) -> None:
    data = make_profile_dict(**{path: text})
    if wanted is None:
        with pytest.raises(ExitError) as caught:
            Profile.from_dict(data, today=TODAY)
        issue = caught.value.issues[0]
        assert issue.field == path
        assert issue.hint
        return
    assert Profile.from_dict(data, today=TODAY)[path] == pytest.approx(wanted, rel=1e-15)


@pytest.mark.parametrize(
    ("text", "hint"),
    [("Q3 2027", "one day of it"), ("FY26", "one day of it"), ("2027年3月", "one day of it"),
     ("H1 2027", "one day of it"), ("2027年", "one day of it"), ("Ende 2026", "one day of it"),
     ("5/6/2026", "year-month-day"), ("31.02.2026", "year-month-day"), ("n/a", "year-month-day")],
)  # fmt: skip
def test_a_span_of_days_is_no_day_and_says_so(text: str, hint: str) -> None:
    with pytest.raises(ExitError) as caught:
        Profile.from_dict(make_profile_dict(as_of=text), today=TODAY)
    issue = next(issue for issue in caught.value.issues if issue.field == "as_of")
    assert hint in issue.hint
    assert text in (issue.value or issue.message)


@pytest.mark.parametrize(
    ("text", "shares"),
    [("800万股", 8e6), ("8,000,000 shares", 8e6), ("8m Aktien", 8e6), ("８００万株", 8e6),
     ("800万元", None), ("8m preferred", None), ("shares", None)],
)  # fmt: skip
def test_a_number_of_shares_may_say_that_it_counts_them(text: str, shares: float | None) -> None:
    data = make_profile_dict(cap_table={"common": text, "founders": "4m"})
    if shares is None:
        with pytest.raises(ExitError, match=r"cap_table\.common"):
            Profile.from_dict(data, today=TODAY)
        return
    table = Profile.from_dict(data, today=TODAY).cap_table
    assert table is not None
    assert table.common == shares


@pytest.mark.parametrize(
    ("text", "hint"), [("人民币", "CNY"), ("Euro", "EUR"), ("HK$", "HKD"), ("USDD", "USD")]
)
def test_a_currency_by_its_name_is_told_its_code(text: str, hint: str) -> None:
    with pytest.raises(ExitError) as caught:
        Profile.from_dict(make_profile_dict(currency=text), today=TODAY)
    issue = next(issue for issue in caught.value.issues if issue.field == "currency")
    assert issue.hint == f"did you mean {hint}?"


@pytest.mark.parametrize(
    ("name", "text", "said", "hint"),
    [("a.json", '[{"name": "A"}, {"name": "B"}]', "a list of 2", "fastnn exit batch"),
     ("a.yaml", "- name: A", "a list of 1", "leave out the list"),
     ("a.json", "5", "holds int", '{"name": "Acme AI", ...}'),
     ("a.yaml", "", "holds nothing", "name: Acme AI")],
)  # fmt: skip
def test_a_file_without_fields_says_how_they_are_written(
    name: str, text: str, said: str, hint: str, tmp_path: Path
) -> None:
    if name.endswith(".yaml"):
        pytest.importorskip("yaml")
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ExitError) as caught:
        Profile.from_file(path)
    (issue,) = caught.value.issues
    assert issue.code == "EX114"
    assert said in issue.message
    assert hint in issue.hint
    assert in_chinese(issue.message)
    assert in_chinese(issue.hint)
