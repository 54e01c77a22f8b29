"""What stands above a cap table's row of names: the day it is of, or that it is only planned.

Standard library only.
"""

from __future__ import annotations

import datetime as dt
import re

from fastnn.exit_strategy.reading.amounts import AmountError
from fastnn.exit_strategy.reading.dates import read_day, turned
from fastnn.exit_strategy.reading.grids import Grid
from fastnn.exit_strategy.reading.parse import Reader

from .sheet_checks import refuse_sheet
from .sheet_words import one_form

__all__ = ["check_titles"]

#: A title that says that the shares are not those of today.
_PLANNED = (
    r"\bpro[\s\-‐–]?forma\b|\b(?:projected|illustrative|hypothetical|superseded|what[\s-]if)\b"
    r"|备考|模拟|假设|预计|预测|已作废"
)
#: What stands before the day that a table is of.
_AS_OF = (
    r"(?is).*?(?:\bas (?:of|at)\b|\bdated?\b|\bstand(?: vom)?\b|\bau\b|\bal\b|截至|截止)"
    r"[\s:：]*(?:日期)?[\s:：]*(?P<day>.*?)(?:[\s:：日]*止)?"
)


def check_titles(grid: Grid, top: int, reader: Reader) -> tuple[str, ...]:
    """Refuse a table whose title says that it is planned; tell of one that is of another day.

    `top` is the row of names. Returns the keys of what a reader should be told.
    """
    own = one_form(reader.company or "")
    other = False
    for number, cells in grid[:top]:
        for cell in cells:
            if isinstance(cell, dt.date):
                day = cell.date() if isinstance(cell, dt.datetime) else cell
                other |= day != reader.as_of
            if not isinstance(cell, str) or not cell.strip():
                continue
            title = one_form(cell).replace(own, " ") if own else one_form(cell)
            said = re.search(_PLANNED, title)
            if said:
                raise refuse_sheet(
                    f"row {number} says {said[0]!r} of the table: {cell.strip()[:60]!r}",
                    "give the shares outstanding today, and a planned round to fastnn exit round; "
                    "if these are the shares of today, delete the remark",
                )
            days = _days(cell)
            other |= bool(days) and reader.as_of not in days
    return ("sheet_as_of",) if other and reader.as_of else ()


def _days(cell: str) -> set[dt.date]:
    """The days that a title may state: two of 03/04/2026, none where it states none."""
    words = cell.strip()
    found = re.fullmatch(_AS_OF, words)
    days = set()
    for text in (words, found["day"] if found else ""):
        for order in ("day", "month"):
            try:
                days.add(read_day(turned(text, order)))
            except (AmountError, ValueError):
                continue
    return days
