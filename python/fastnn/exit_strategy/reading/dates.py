"""The one reader of dates written as text; a day and month that can change places are refused."""

from __future__ import annotations

import datetime as dt
import re
import unicodedata

from .amounts import AmountError

__all__ = ["read_day"]

#: Names of the months, January first, in English, German, French, Spanish, Italian, Portuguese,
#: Dutch, Swedish, Russian and Turkish. None of them is another month in another of these languages.
_NAMES = (
    "jan january januar jänner janvier enero gennaio janeiro januari января ocak",
    "feb february februar février fevrier febrero febbraio fevereiro februari февраля şubat",
    "mar march märz maerz mars marzo março maart марта mart",
    "apr april avril abril aprile апреля nisan",
    "may mai mayo maggio maio mei maj мая mayıs",
    "jun june juni juin junio giugno junho июня haziran",
    "jul july juli juillet julio luglio julho июля temmuz",
    "aug august août aout agosto augustus augusti августа ağustos",
    "sep sept september septembre septiembre settembre setembro сентября eylül",
    "oct okt october oktober octobre octubre ottobre outubro октября ekim",
    "nov november novembre noviembre novembro ноября kasım",
    "dec dez december dezember décembre decembre diciembre dicembre dezembro декабря aralık",
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
        return dt.datetime.fromisoformat(words).date()
    except ValueError:
        pass
    words = unicodedata.normalize("NFC", words.translate(_WIDE))
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
        words = re.sub(_WEEKDAY, "", words)
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
    raise AmountError(f"{words!r} is not a date", "write year-month-day, for example 2026-11-22")


#: Full-width digits and marks, as Chinese and Japanese keyboards write them.
_WIDE = {0xFF10 + k: 0x30 + k for k in range(10)} | {0xFF0D: "-", 0xFF0F: "/", 0xFF0E: "."}
