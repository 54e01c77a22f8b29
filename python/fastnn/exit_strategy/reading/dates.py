"""The one reader of dates written as text; a day and month that can change places are refused."""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections.abc import Iterable

from .amounts import AmountError
from .numerals import date_in_digits

__all__ = ["how_to_write", "order_of_days", "read_day", "turned"]

#: Names of the months, January first, in English, German, French, Spanish, Italian, Portuguese,
#: Dutch, Swedish, Russian and Turkish. None of them is another month in another of these languages.
_NAMES = (
    "jan january januar jänner janvier janv enero ene gennaio gen janeiro januari января ocak",
    "feb february februar février fevrier févr fév fev febrero febbraio fevereiro februari февраля "
    "şubat",
    "mar march märz maerz mär mars marzo março maart mrt марта mart",
    "apr april avril avr abril abr aprile апреля nisan",
    "may mai mayo maggio mag maio mei maj мая mayıs",
    "jun june juni juin junio giugno giu junho июня haziran",
    "jul july juli juillet juil julio luglio lug julho июля temmuz",
    "aug august août aout agosto ago augustus augusti августа ağustos",
    "sep sept september septembre septiembre settembre setembro set сентября eylül",
    "oct okt october oktober octobre octubre ottobre ott outubro out октября ekim",
    "nov november novembre noviembre novembro ноября kasım",
    "dec dez december dezember décembre decembre déc diciembre dic dicembre dezembro декабря "
    "aralık",
)
_MONTHS = {name: k for k, names in enumerate(_NAMES, 1) for name in names.split()}

_YEAR_FIRST = r"(\d{4})\s*[-/.年년]\s*(\d{1,2})\s*[-/.月월]\s*(\d{1,2})\s*[.日일]?"
_YEAR_LAST = r"(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})"
_DAY_FIRST = (
    r"(\d{1,2})(?:\.|er|º|°|st|nd|rd|th)?[\s-]+(?:de\s+|of\s+)?([^\W\d_]+)\.?,?[\s-]+"
    r"(?:de\s+|del\s+)?(\d{4})(?:\s*г\.?)?"
)
_NAME_BETWEEN = r"(\d{4})[\s-]+([^\W\d_]+)\.?[\s-]+(\d{1,2})"
_MONTH_FIRST = r"([^\W\d_]+)\.?\s+(\d{1,2})(?:st|nd|rd|th)?,?\s+(\d{4})"
_WEEKDAY = r"(?i)^(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?\.?,?\s+"
_WEEK = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday"

#: Year 0 of the eras that companies in Taiwan and Japan count in.
_ERAS = {"民國": 1911, "民国": 1911, "令和": 2018, "平成": 1988, "昭和": 1925}
_OF_AN_ERA = rf"({'|'.join(_ERAS)})\s*(\d{{1,3}}|元)\s*年\s*(\d{{1,2}})\s*月\s*(\d{{1,2}})\s*日"


def read_day(text: str) -> dt.date:
    """Return the date in a text such as "2026-11-22", "22.11.2026" or "2026年11月22日".

    Raises:
        AmountError: not a date, or "03/04/2026", which is March to some and April to others.
    """
    words = text.strip()
    try:
        if "w" in words.lower():  # a week has seven days
            raise ValueError
        return dt.datetime.fromisoformat(words).date()
    except ValueError:
        pass
    words = date_in_digits(unicodedata.normalize("NFC", words.translate(_WIDE)))
    words = re.sub(_MIDNIGHT, "", words)
    try:
        if found := re.fullmatch(_YEAR_FIRST, words):
            return dt.date(*map(int, found.groups()))
        if found := re.fullmatch(_YEAR_LAST, words):
            one, two, year = map(int, found.groups())
            if one <= 12 and two <= 12 and one != two:
                raise AmountError(
                    f"{words!r} may be {dt.date(year, two, one)} or {dt.date(year, one, two)}",
                    "write year-month-day",
                    two_ways=True,
                )
            return dt.date(year, one, two) if two > 12 else dt.date(year, two, one)
        if found := re.fullmatch(_OF_AN_ERA, words):
            year = _ERAS[found[1]] + (1 if found[2] == "元" else int(found[2]))
            return dt.date(year, int(found[3]), int(found[4]))
        if told := re.match(_WEEKDAY, words):
            return _on_weekday(words, told)
        if found := re.fullmatch(_NAME_BETWEEN, words):
            return dt.date(int(found[1]), _MONTHS[found[2].lower()], int(found[3]))
        if found := re.fullmatch(_DAY_FIRST, words):
            return dt.date(int(found[3]), _MONTHS[found[2].lower()], int(found[1]))
        if found := re.fullmatch(_MONTH_FIRST, words):
            return dt.date(int(found[3]), _MONTHS[found[1].lower()], int(found[2]))
    except AmountError:
        raise
    except (ValueError, KeyError):
        pass
    raise AmountError(f"{words!r} is not a date", how_to_write(words))


def _on_weekday(words: str, told: re.Match[str]) -> dt.date:
    """The day of "Sunday, March 1, 2026", which must be one."""
    day = read_day(words[told.end() :])
    named, own = told[0][:3].lower(), _WEEK.split()[day.weekday()]
    if named != own[:3].lower():
        raise AmountError(f"{words!r} is a {own}", "mend the day or the name of the weekday")
    return day


def how_to_write(value: object) -> str:
    """Return how to write what is no date: a quarter, a number that counts days, a short year."""
    words = str(value).strip()
    if re.fullmatch(r"[2-6][0-9]{4}(?:\.[0-9]+)?", words):
        day = _DAY_ZERO + dt.timedelta(days=int(words[:5]))
        return f"Excel counts days so: if this is {day}, write it as year-month-day"
    if re.fullmatch(_SHORT_YEAR, words):
        return "write the year with four digits: 2026-11-22"
    if re.fullmatch(_PERIOD, words, re.IGNORECASE):
        return "name one day of it, such as the last: 2026-09-30"
    return "write year-month-day, for example 2026-11-22"


#: The day from which Excel counts, by dates after February 1900.
_DAY_ZERO = dt.date(1899, 12, 30)
_SHORT_YEAR = r"'?\d{1,2}[-/. ](?:\d{1,2}|[^\W\d_]{3,9})[-/. ]'?\d{2}"
_PERIOD = (
    r"(?:fy|h[12]|q[1-4])?\s*[-/]?\s*'?(?:\d{4}|\d{2})\s*[-/]?\s*(?:fy|h[12]|q[1-4])?|"
    r"\d{4}[-/.]\d{1,2}|\d{4}-?w\d{1,2}|\d{1,2}[-/.]\d{4}|"
    r"[^\W\d_]{3,9}\.?[ -]'?\d{2,4}|\d{4}\s*年(?:\s*\d{1,2}\s*月|.*季度|底|末)?"
)
#: The time that a spreadsheet writes behind a day.
_MIDNIGHT = r"(?i)(?<=\d|日)[ T]+(?:00?:00(?::00(?:\.0+)?)?|12:00(?::00)? ?am)$"


def order_of_days(texts: Iterable[str]) -> str | None:
    """Return "day" or "month", whichever stands first in a column of days such as "03/04/2024".

    One that can only be read in one way tells it; None where none does, or they disagree.
    """
    first = set()
    for text in texts:
        found = re.fullmatch(_YEAR_LAST, text.strip().translate(_WIDE))
        if found and int(found[1]) > 12:
            first.add("day")
        elif found and int(found[2]) > 12:
            first.add("month")
    return first.pop() if len(first) == 1 else None


def turned(text: str, order: str) -> str:
    """Return a day that can be read in two ways as year-month-day; other text as it is."""
    found = re.fullmatch(_YEAR_LAST, text.strip().translate(_WIDE))
    if not found or max(int(found[1]), int(found[2])) > 12 or int(found[1]) == int(found[2]):
        return text
    day, month = (found[1], found[2]) if order == "day" else (found[2], found[1])
    return f"{found[3]}-{int(month):02}-{int(day):02}"


#: Full-width digits and marks, as Chinese and Japanese keyboards write them.
_WIDE = {0xFF10 + k: 0x30 + k for k in range(10)} | {0xFF0D: "-", 0xFF0F: "/", 0xFF0E: "."}
