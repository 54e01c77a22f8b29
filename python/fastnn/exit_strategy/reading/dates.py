"""The one reader of dates written as text; a day and month that can change places are refused."""

from __future__ import annotations

import datetime as dt
import re

from .amounts import AmountError

__all__ = ["read_day"]

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_YEAR_FIRST = re.compile(r"(\d{4})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})\s*日?")
_YEAR_LAST = re.compile(r"(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})")
_WORD = re.compile(
    r"(?:(\d{1,2})\.?\s+([A-Za-z]{3,9})\.?|([A-Za-z]{3,9})\.?\s+(\d{1,2}),?)\s+(\d{4})"
)


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
    try:
        if found := _YEAR_FIRST.fullmatch(words):
            return dt.date(*map(int, found.groups()))
        if found := _YEAR_LAST.fullmatch(words):
            one, two, year = map(int, found.groups())
            if one <= 12 and two <= 12 and one != two:
                raise AmountError(
                    f"{words!r} may be {dt.date(year, two, one)} or {dt.date(year, one, two)}",
                    "write year-month-day",
                    two_ways=True,
                )
            return dt.date(year, one, two) if two > 12 else dt.date(year, two, one)
        if found := _WORD.fullmatch(words):
            day, name = found[1] or found[4], (found[2] or found[3]).lower()
            if name[:3] in _MONTHS and (len(name) == 3 or name in _LONG):
                return dt.date(int(found[5]), _MONTHS.index(name[:3]) + 1, int(day))
    except AmountError:
        raise
    except ValueError:
        pass
    raise AmountError(f"{words!r} is not a date", "write year-month-day, for example 2026-11-22")


_LONG = ("january", "february", "march", "april", "june", "july", "august", "sept", "september",
         "october", "november", "december")  # fmt: skip
