"""Interest and dividends that run by the calendar: stepped rates, day counts, compounding.

Standard library only.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, TypeVar

from fastnn.exit_strategy.records import dataclass

__all__ = ["DAY_COUNTS", "PERIODS", "Accrual", "grown", "later", "months_between", "year_part"]

N = TypeVar("N", float, Decimal)
Rate = float | Decimal

DAY_COUNTS = ("actual/365", "actual/360", "actual/actual", "30/360")

#: Compounding -> months of a period; "simple" never adds interest to the principal.
PERIODS = {"simple": 0, "daily": 0, "monthly": 1, "quarterly": 3, "semiannual": 6, "annual": 12}


@dataclass(frozen=True, slots=True)
class Accrual:
    """One rate a year and the days it runs: from `start` to before the day after `end`."""

    rate: Rate
    start: dt.date
    end: dt.date | None = None  # the last day that earns; None: to the payment
    day_count: str = "actual/365"
    compounding: str = "simple"


def year_part(start: dt.date, end: dt.date, day_count: str) -> tuple[int, int]:
    """Return the part of a year between two days as (days, days of the year).

    actual/actual counts each day over the length of its own calendar year (ISDA).
    """
    if day_count == "30/360":
        last = 30 if end.day == 31 and start.day >= 30 else end.day
        first = min(start.day, 30)
        return (end.year - start.year) * 360 + (end.month - start.month) * 30 + last - first, 360
    if day_count == "actual/actual":
        days = 0  # in days of 1/(365 * 366) of a year
        for year in range(start.year, end.year + 1):
            first_day, next_year = dt.date(year, 1, 1), dt.date(year + 1, 1, 1)
            inside = (min(end, next_year) - max(start, first_day)).days
            days += inside * (366 if (next_year - first_day).days == 365 else 365)
        return days, 365 * 366
    return (end - start).days, 360 if day_count == "actual/360" else 365


def grown(rows: Sequence[Accrual], on: dt.date, number: Callable[[Any], N]) -> N:
    """Return what one unit of money has become on a day.

    Simple periods add up; compounding ones multiply, with whole periods counted by the calendar
    and simple interest in the last, broken one.
    """
    one = number(1)
    simple, factor = number(0), one
    for row in sorted(rows, key=lambda r: r.start):
        end = on if row.end is None else min(on, row.end + dt.timedelta(days=1))
        if end <= row.start:
            continue
        rate = number(row.rate)
        if row.compounding == "simple":
            days, year = year_part(row.start, end, row.day_count)
            simple = simple + rate * number(days) / number(year)
            continue
        if row.compounding == "daily":
            days, year = year_part(row.start, end, row.day_count)
            factor = factor * (one + rate / number(year)) ** days
            continue
        months = PERIODS[row.compounding]
        count = months_between(row.start, end) // months
        factor = factor * (one + rate * number(months) / number(12)) ** count
        days, year = year_part(later(row.start, count * months), end, row.day_count)
        factor = factor * (one + rate * number(days) / number(year))
    return factor + simple


def months_between(start: dt.date, end: dt.date) -> int:
    """Return the whole calendar months from one day to a later one, 0 if it is not later."""
    count = max(0, (end.year - start.year) * 12 + end.month - start.month)
    while count and later(start, count) > end:
        count -= 1
    return count


def later(day: dt.date, months: int) -> dt.date:
    """Return the same day some months later, or the last of a shorter month."""
    month = day.month - 1 + months
    year, month = day.year + month // 12, month % 12 + 1
    for last in (day.day, 30, 29, 28):
        try:
            return dt.date(year, month, min(day.day, last))
        except ValueError:
            continue
    raise AssertionError("every month has 28 days")
