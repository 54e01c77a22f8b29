"""Turn one raw value into a typed one, or say what is wrong with it.

One function per kind of `fields.Field`; each returns the value, or None after appending an `Issue`.
A value of None or "" is missing and never reaches a parser; `reading.amounts` reads numbers written
as text. Standard library only.
"""

from __future__ import annotations

import datetime as dt
import math
import re
import reprlib
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from numbers import Real
from typing import Any

from fastnn.exit_strategy.errors import ExitError, Issue, suggest, visible
from fastnn.exit_strategy.records import dataclass
from fastnn.exit_strategy.resources import cached

from .amounts import EXAMPLE, AmountError, plain_value, read_amount
from .countries import ISO_3166, code_meant
from .dates import how_to_write, read_day
from .fields import CHECKLISTS, LEVELS, Field
from .fx import ISO_4217, Rates
from .spans import GROWTH, SPENT, said_of

__all__ = ["PARSERS", "MarketReading", "Reader", "show"]

_ANSWERS = {
    "yes": True, "y": True, "true": True, "是": True,
    "no": False, "n": False, "false": False, "否": False,
    "unknown": None, "?": None, "未知": None,
}  # fmt: skip
_FUTURE_SLACK = dt.timedelta(days=1)  # a profile written east of the reader's time zone
_YEARS = (1500, 2200)  # of the common era; 1405 is a year of Iran's calendar, 2569 of Thailand's


@dataclass(frozen=True, slots=True)
class MarketReading:
    """A market score from 0 to 1 and the day it was read (None when not stated)."""

    value: float
    date: dt.date | None


@dataclass(slots=True)
class Reader:
    """What the parsers share: issues found so far, today's date, the profile's currency.

    `decimal` is the decimal mark of numbers written as text, None when it is not stated; `company`
    the name of the company, `as_of` the day its figures are of.
    """

    issues: list[Issue]
    today: dt.date
    currency: str | None = None
    rates: Rates | None = None
    decimal: str | None = None
    company: str | None = None
    as_of: dt.date | None = None

    def fail(self, code: str, field: str, value: object, message: str, hint: str) -> None:
        """Append one issue."""
        self.issues.append(Issue(code, field, message, hint, show(value)))


def show(value: object) -> str:
    """Return a short text of any value, for messages; the work is bounded whatever it holds."""
    try:
        text = _SHORT.repr(value)
    except Exception:  # a user's object may have a broken repr; the message must still come out
        text = f"<{type(value).__name__}>"
    return visible(text if len(text) <= 60 else text[:57] + "...")


_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxdict, _SHORT.maxlist, _SHORT.maxtuple = 3, 4, 6, 6
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 60

#: Kinds of fields for which text may be a percentage, a multiple ("1.5x") or money.
_PERCENT = ("number", "fraction", "score", "level", "market", "times")
_TIMES = ("times",)
_MONEY = ("money", "years")
_LARGE = (*_MONEY, "integer", "count")


def read_number(reader: Reader, row: Field, value: object, path: str = "") -> float | None:
    """Return a finite float within the row's range; text such as "12m" counts as 12,000,000."""
    path = path or row.path
    value = plain_value(value)
    if isinstance(value, str):
        return _read_text_number(reader, row, value, path)
    if isinstance(value, bool) or not isinstance(value, Real | Decimal):
        reader.fail(
            "EX103",
            path,
            value,
            f"expected a number, got {show(value)}",
            f"write a number, for example {path} = {row.example or 1}",
        )
        return None
    return _check_range(reader, row, value, path)


def _read_text_number(reader: Reader, row: Field, text: str, path: str) -> float | None:
    """Read "12.5m", "HKD 250m" or "55 %"; foreign money is converted at a known rate."""
    if text[:1] not in _DIGITS and text.strip().lower().lstrip("+-") in _NOT_FINITE:
        return _check_range(reader, row, float(text), path)
    if (
        row.path in SPENT
        and ("(" in text or text.rstrip()[-1:] == "-")
        and any(char.isdigit() for char in text)
    ):
        reader.fail(
            "EX122", path, text,
            f"brackets in {show(text)} may mean money spent or, as a minus sign, money earned",
            f"write {path} without a sign where money is spent, with a minus where it is earned",
        )  # fmt: skip
        return None
    try:
        said: str | float = text
        if text[-1:] not in _DIGITS or "/" in text or not text.isascii():  # more than a number
            said = said_of(row.kind, row.path, text)
        if not isinstance(said, str):
            return _check_range(reader, row, said, path, text)
        found = read_amount(
            said, decimal=reader.decimal, currency=reader.currency, large=row.kind in _LARGE
        )
    except AmountError as error:
        code, hint = "EX122" if error.two_ways else "EX103", error.hint
        if hint == EXAMPLE:
            hint = f"write a number, for example {path} = {row.example or 1}"
            if text.strip().lower() in _ABSENT:
                hint = "leave the field out, or the cell empty, where it is not known"
            elif re.search(_ABOUT, text, re.IGNORECASE):
                hint = "write one number, the one in the middle"
        reader.fail(code, path, text, error.message, hint)
        return None
    if row.path in GROWTH and found.sign == "x":
        reader.fail(
            "EX122", path, text,
            f"{show(text)} may be growth to {found.value:g} times or by {found.value:g} times",
            f"write {found.value - 1:.0%} for sales that became {found.value:g} times as large",
        )  # fmt: skip
        return None
    wrong = (found.sign == "%" and row.kind not in _PERCENT) or (
        found.sign == "x" and row.kind not in _TIMES
    )
    if wrong:
        reader.fail(
            "EX103",
            path,
            text,
            f"expected a number, got {show(text)}",
            f"{path} is {'no multiple' if found.sign == 'x' else 'no part of a whole'}: "
            f"write it as {path} = {row.example or 1}",
        )
        return None
    number: float | None = found.value
    if found.currency and (found.currency != reader.currency or row.kind not in _MONEY):
        number = _convert(reader, row, found.value, found.currency, path)
        if number is None:
            return None
    return _check_range(reader, row, number, path, text)


#: What people write where they know nothing.
_ABSENT = frozenset(
    ("", "-", "–", "—", "?", "n/a", "na", "n.a.", "none", "null", "nil", "tbd", "tbc", "unknown",
     "#n/a", "无", "未知", "不详", "暂无")
)  # fmt: skip


#: A range, or a number that is not quite one: "12k-15k", "~5m", "5m+", "约500万".
_ABOUT = (
    r"[0-9a-z万亿]\s*(?:-|–|—|~|～|至|到|\bto\b|\.\.)\s*[$€£¥]?\s*[0-9]|^\s*(?:[~≈<>≤≥约近超]|"
    r"ca\b|circa\b|approx|about\b|around\b|roughly\b|etwa\b|rund\b|environ\b)|[+]\s*$|左右|多万"
)
_DIGITS = frozenset("0123456789")
_NOT_FINITE = frozenset({"nan", "inf", "infinity"})


def _convert(reader: Reader, row: Field, number: float, code: str, path: str) -> float | None:
    if row.kind not in _MONEY:
        reader.fail(
            "EX103",
            path,
            code,
            f"{path} is not an amount of money, so it has no currency",
            "write the number alone",
        )
        return None
    rates, own = reader.rates, reader.currency
    if rates is None or own is None or code not in rates.per_usd or own not in rates.per_usd:
        reader.fail(
            "EX119",
            path,
            code,
            f"amount in {code}, profile in {own}, and no rate is known",
            f"give [fx] {code} = units of {code} per US dollar, or convert it",
        )
        return None
    return rates.convert(number, code, own)


def _check_range(
    reader: Reader, row: Field, value: Any, path: str, text: str | None = None
) -> float | None:
    """Return a number within the row's range; a fault shows the text it was read from."""
    try:
        number = float(value)
    except (OverflowError, ValueError):
        number = math.inf
    value = value if text is None else text
    if not math.isfinite(number):
        reader.fail(
            "EX104",
            path,
            value,
            f"{show(value)} is not a finite number",
            "leave the field out when it is unknown",
        )
        return None
    if (row.low is not None and number < row.low) or (row.high is not None and number > row.high):
        reader.fail(
            "EX105",
            path,
            value,
            f"{show(value)} is outside {_bounds(row)}",
            _range_hint(row, number, "%" in str(value)),
        )
        return None
    return number


def _bounds(row: Field) -> str:
    low = "-inf" if row.low is None else f"{row.low:g}"
    high = "inf" if row.high is None else f"{row.high:g}"
    return f"{low} .. {high}"


def _range_hint(row: Field, number: float, per_cent: bool = False) -> str:
    if per_cent and row.high is not None and number > row.high:
        return f"at most {row.high:.0%} is possible here"
    if row.kind in ("score", "level", "market") and 1 < number <= 100:
        of = 10 if number <= 10 else 100
        return f"scores run from 0 to 1: write {number / of:g} for {number:g} of {of}"
    share = row.kind in ("fraction", "number", "score", "level", "market")
    if share and row.high is not None and row.high < abs(number) <= 2000:
        return f"shares and rates are fractions: write {number / 100:g} for {number:g} %"
    if row.low == 0 and number < 0:
        return "give a number of 0 or more"
    return f"give a number within {_bounds(row)}"


def read_fraction(reader: Reader, row: Field, value: object) -> float | None:
    """Return a number from 0 to 1."""
    return read_number(reader, _unit_row(row), value)


@cached(maxsize=1024)
def _unit_row(row: Field) -> Field:
    return Field(row.path, row.kind, row.en, row.zh, row.example, row.required, 0.0, 1.0)


def read_integer(reader: Reader, row: Field, value: object) -> int | None:
    """Return a whole number within range."""
    number = read_number(reader, row, value)
    if number is None:
        return None
    if number != int(number):
        reader.fail(
            "EX103",
            row.path,
            value,
            f"expected a whole number, got {show(value)}",
            f"write {round(number)}",
        )
        return None
    return int(number)


def read_years(reader: Reader, row: Field, value: object) -> tuple[float | None, ...] | None:
    """Return three yearly amounts, oldest first; missing early years are None."""
    if isinstance(value, str):
        value = [part.strip() or None for part in value.split(";")]
    if isinstance(value, bool | Mapping) or not isinstance(value, Sequence | int | float | Decimal):
        reader.fail(
            "EX103",
            row.path,
            value,
            f"expected a list of yearly amounts, got {show(value)}",
            f"write up to three amounts, oldest first: {row.path} = {row.example}",
        )
        return None
    items = list(value) if isinstance(value, Sequence) else [value]
    if not 1 <= len(items) <= 3:
        reader.fail(
            "EX110",
            row.path,
            value,
            f"expected 1 to 3 yearly amounts, got {len(items)}",
            "give the last three fiscal years, oldest first",
        )
        return None
    before = len(reader.issues)
    out: list[float | None] = [None] * (3 - len(items))
    for index, item in enumerate(items):
        missing = item is None or item == ""
        out.append(None if missing else read_number(reader, row, item, f"{row.path}[{index}]"))
    return tuple(out) if len(reader.issues) == before else None


def read_text(reader: Reader, row: Field, value: object) -> str | None:
    """Return a stripped text of at most `row.high` characters."""
    if not isinstance(value, str):
        reader.fail(
            "EX103",
            row.path,
            value,
            f"expected text, got {show(value)}",
            f"write it in quotes: {row.path} = {row.example}",
        )
        return None
    text = value.strip()
    limit = int(row.high or 120)
    if not text or len(text) > limit:
        reader.fail(
            "EX111",
            row.path,
            value,
            f"text has {len(text)} characters, allowed 1 to {limit}",
            "give a short text",
        )
        return None
    if visible(text) != text:
        reader.fail(
            "EX111",
            row.path,
            value,
            "text holds control or direction marks",
            "give one line of plain text",
        )
        return None
    return text


def read_choice(reader: Reader, row: Field, value: object) -> str | None:
    """Return one of the row's choices (case does not matter)."""
    choices = {choice.lower(): choice for choice in row.choices}
    if isinstance(value, str) and value.strip().lower() in choices:
        return choices[value.strip().lower()]
    near = suggest(value.strip().lower(), choices) if isinstance(value, str) else None
    hint = f"did you mean {choices[near]!r}? " if near else ""
    reader.fail(
        "EX106",
        row.path,
        value,
        f"{show(value)} is not one of the choices",
        f"{hint}choose from: {', '.join(row.choices)}",
    )
    return None


_COUNTRY_HINT = "use ISO 3166, for example US, CN, HK, GB, DE"


def read_country(reader: Reader, row: Field, value: object) -> str | None:
    """Return a two-letter country code in capitals; "UK" is read as GB."""
    if isinstance(value, str) and re.fullmatch(r"\s*[A-Za-z]{2}\s*", value):
        code = value.strip().upper()
        code = "GB" if code == "UK" else code
        if code in ISO_3166:
            return code
        near = code_meant(code)
        reader.fail(
            "EX106", row.path, value, f"{show(value)} is no country's code",
            f"did you mean {near}?" if near else _COUNTRY_HINT,
        )  # fmt: skip
        return None
    if value is False:  # what YAML makes of NO without quotes
        reader.fail(
            "EX106", row.path, value, "NO without quotes is an answer, not a country",
            'write it in quotes: country: "NO"',
        )  # fmt: skip
        return None
    near = code_meant(value) if isinstance(value, str) else None
    reader.fail(
        "EX106", row.path, value, f"{show(value)} is not a two-letter country code",
        f"did you mean {near}?" if near else _COUNTRY_HINT,
    )  # fmt: skip
    return None


def read_currency(reader: Reader, row: Field, value: object) -> str | None:
    """Return an ISO 4217 code in capitals."""
    code = value.strip().upper() if isinstance(value, str) else ""
    if code in ISO_4217:
        return code
    near = None
    if code:
        from .units import code_of  # words for currencies, which a profile rarely has

        near = code_of(code) or suggest(code, ISO_4217)
    reader.fail(
        "EX401",
        row.path,
        value,
        f"{show(value)} is not a currency",
        f"did you mean {near}?" if near else "use an ISO 4217 code such as USD",
    )
    return None


def read_date(reader: Reader, row: Field, value: object) -> dt.date | None:
    """Return a date that is not in the future (one day of slack)."""
    day: dt.date | None = None
    value = plain_value(value)
    if isinstance(value, dt.datetime):
        day = value.date()
    elif isinstance(value, dt.date):
        day = value
    elif isinstance(value, str):
        try:
            day = read_day(value)
        except AmountError as error:
            if error.two_ways:
                reader.fail("EX122", row.path, value, error.message, error.hint)
                return None
    if day is None:
        reader.fail(
            "EX107",
            row.path,
            value,
            f"{show(value)} is not a date",
            how_to_write(value),
        )
        return None
    if day > reader.today + _FUTURE_SLACK:
        reader.fail(
            "EX108",
            row.path,
            value,
            f"{day.isoformat()} lies in the future",
            f"today is {reader.today.isoformat()}; check the year",
        )
        return None
    if not _YEARS[0] <= day.year <= _YEARS[1]:
        reader.fail(
            "EX107",
            row.path,
            value,
            f"{day.isoformat()} is of another age",
            "write the year of the common era, such as 2026; other calendars are not read",
        )
        return None
    return day


def read_score(reader: Reader, row: Field, value: object) -> float | None:
    """Return a score from 0 to 1; five answers from 1 to 5 are averaged and scaled."""
    if isinstance(value, str) and ";" in value:
        value = [part.strip() for part in value.split(";")]
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        answers = list(value)
        if len(answers) != 5:
            reader.fail(
                "EX110",
                row.path,
                value,
                f"expected five answers, got {len(answers)}",
                "answer all five questions from 1 to 5, or give one score from 0 to 1",
            )
            return None
        points = Field(row.path, row.kind, row.en, row.zh, "3", False, 1.0, 5.0)
        got = [
            read_number(reader, points, item, f"{row.path}[{index}]")
            for index, item in enumerate(answers)
        ]
        known = [point for point in got if point is not None]
        return (sum(known) / 5 - 1) / 4 if len(known) == 5 else None
    return read_number(reader, _unit_row(row), value)


def read_level(reader: Reader, row: Field, value: object) -> float | None:
    """Return a level word as a score (none 0, very_high 1), or a score from 0 to 1."""
    if isinstance(value, str):
        word = value.strip().lower().replace(" ", "_")
        if word in LEVELS:
            return LEVELS.index(word) / (len(LEVELS) - 1)
        if not any(char.isdigit() for char in value):
            near = suggest(word, LEVELS)
            reader.fail(
                "EX106",
                row.path,
                value,
                f"{show(value)} is not a level",
                (f"did you mean {near!r}? " if near else "") + f"choose from: {', '.join(LEVELS)}",
            )
            return None
    return read_number(reader, _unit_row(row), value)


def read_answer(reader: Reader, row: Field, value: object, path: str = "") -> str | None:
    """Return "yes", "no" or "unknown"."""
    path = path or row.path
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str) and value.strip().lower() in _ANSWERS:
        answer = _ANSWERS[value.strip().lower()]
        return "unknown" if answer is None else ("yes" if answer else "no")
    reader.fail("EX117", path, value, f"{show(value)} is not an answer", "write yes, no or unknown")
    return None


def read_checklist(reader: Reader, row: Field, value: object) -> dict[str, str] | None:
    """Return item -> yes / no / unknown for every item of the list."""
    items = CHECKLISTS[row.path]
    if isinstance(value, str):
        value = [part.strip() for part in value.split(";")]
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        if len(value) != len(items):
            reader.fail(
                "EX110",
                row.path,
                value,
                f"expected {len(items)} answers, got {len(value)}",
                "answer every item in order, or name the items",
            )
            return None
        value = dict(zip(items, value, strict=True))
    if not isinstance(value, Mapping):
        reader.fail(
            "EX103",
            row.path,
            value,
            f"expected a table of answers, got {show(value)}",
            f'write [{row.path}] and then {items[0]} = "yes"',
        )
        return None
    out = dict.fromkeys(items, "unknown")
    before = len(reader.issues)
    for key, raw in value.items():
        if key not in out:
            near = suggest(str(key), items)
            reader.fail(
                "EX102",
                f"{row.path}.{key}",
                key,
                f"{show(key)} is not an item of this list",
                f"did you mean {near!r}?" if near else f"items: {', '.join(items)}",
            )
        elif raw is not None and raw != "":
            answer = read_answer(reader, row, raw, f"{row.path}.{key}")
            out[key] = answer or "unknown"
    return out if len(reader.issues) == before else None


def read_market(reader: Reader, row: Field, value: object) -> MarketReading | None:
    """Return a market score and its date: a number, or a table {value, date}."""
    day: dt.date | None = None
    before = len(reader.issues)
    if isinstance(value, Mapping):
        for key in value:
            if key not in ("value", "date"):
                near = suggest(str(key), ("value", "date"))
                reader.fail(
                    "EX102",
                    f"{row.path}.{key}",
                    key,
                    f"{show(key)} is not known here",
                    f"did you mean {near!r}?" if near else "give value and date",
                )
        if value.get("date") is not None:
            day = read_date(reader, Field(f"{row.path}.date", "date", "", ""), value["date"])
        value = value.get("value")
    if value is None:
        reader.fail(
            "EX101",
            f"{row.path}.value",
            value,
            "the reading has no value",
            "give a number from 0 to 1",
        )
        return None
    number = read_number(reader, _unit_row(row), value)
    if number is None or len(reader.issues) != before:
        return None
    return MarketReading(number, day)


def read_table(reader: Reader, row: Field, value: object) -> Any:
    """Return a raw table (mapping or list) for the module that knows it; CSV cells hold JSON."""
    if isinstance(value, str):
        from .files import json_of

        try:
            value = json_of(value)
        except ExitError as error:
            reader.issues.extend(error.issues)
            return None
        except (ValueError, RecursionError):
            value = None
    if isinstance(value, Mapping) or (
        isinstance(value, Sequence) and not isinstance(value, str | bytes)
    ):
        return value
    reader.fail("EX103", row.path, value, "expected a table", f"write [{row.path}] and its keys")
    return None


PARSERS: dict[str, Callable[[Reader, Field, object], Any]] = {
    "text": read_text, "date": read_date, "country": read_country, "currency": read_currency,
    "choice": read_choice, "integer": read_integer, "number": read_number, "money": read_number,
    "fraction": read_fraction, "years": read_years, "score": read_score, "level": read_level,
    "checklist": read_checklist, "answer": read_answer, "market": read_market, "table": read_table,
}  # fmt: skip
