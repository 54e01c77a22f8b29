"""How a listing rule reads yearly figures: "sum of last 3 fiscal years", "each of last 2" ...

A window takes yearly figures (oldest first, None = not known) and an operator with its threshold,
and returns pass, fail or unknown with the figure compared. It says fail as soon as the known years
decide it. Standard library only.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

__all__ = ["OPERATORS", "WINDOWS", "Series", "Verdict"]

OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt, "==": operator.eq,
}  # fmt: skip

Verdict = tuple[str, float | None]  # (pass | fail | unknown, figure compared)
Test = Callable[[float], bool]


class Series(NamedTuple):
    """A fact for a gate: one figure, or yearly figures; `parts` holds (numerator, denominator)."""

    years: tuple[float | None, ...]
    parts: tuple[tuple[float | None, float | None], ...] = ()

    @property
    def last(self) -> float | None:
        """The latest figure."""
        return self.years[-1] if self.years else None

    def total(self) -> float | None:
        """Aggregate of a ratio over all years: sum of numerators over sum of denominators."""
        if not self.parts or any(a is None or b is None for a, b in self.parts):
            return None
        below = sum(b for _, b in self.parts if b is not None)
        return sum(a for a, _ in self.parts if a is not None) / below if below > 0 else None


def _judge(value: float | None, test: Test) -> Verdict:
    return ("unknown", None) if value is None else ("pass" if test(value) else "fail", value)


def _all_of(values: Sequence[float | None], test: Test) -> Verdict:
    known = [value for value in values if value is not None]
    worst = min(known) if known else None
    if any(not test(value) for value in known):
        return "fail", worst
    return ("pass" if len(known) == len(values) else "unknown"), worst


def _sum(values: Sequence[float | None], test: Test) -> Verdict:
    known = [value for value in values if value is not None]
    return _judge(sum(known) if len(known) == len(values) else None, test)


def _rise(years: Sequence[float | None]) -> float | None:
    """The last year less the one before, None where one of them is not known."""
    if len(years) < 2:
        return None
    last, before = years[-1], years[-2]
    return None if last is None or before is None else last - before


def _last_or_two(series: Series, test: Test) -> Verdict:
    votes = [None if value is None else test(value) for value in series.years]
    if votes and (votes[-1] or votes.count(True) >= 2):
        return "pass", series.last
    if None in votes:
        possible = votes[-1] is None or votes.count(True) + votes.count(None) >= 2
        return ("unknown" if possible else "fail"), series.last
    return "fail", series.last


def _two_and_total(series: Series, test: Test) -> Verdict:
    votes = [None if value is None else test(value) for value in series.years]
    total = series.total()
    if total is not None and not test(total):
        return "fail", total
    if votes.count(True) + votes.count(None) < 2:
        return "fail", total
    decided = total is not None and votes.count(True) >= 2
    return ("pass" if decided else "unknown"), total


def _sum_both_positive(series: Series, test: Test) -> Verdict:
    pair = series.years[-2:]
    if any(value is not None and value <= 0 for value in pair):
        return "fail", min(value for value in pair if value is not None)
    return _sum(pair, test)


#: Text of a window in the gate files -> how to judge a series by a test of one figure.
WINDOWS: dict[str, Callable[[Series, Test], Verdict]] = {
    "": lambda s, t: _judge(s.last, t),
    "last fiscal year": lambda s, t: _judge(s.last, t),
    "last year": lambda s, t: _judge(s.last, t),
    "average of prior 12 months; at listing for an IPO": lambda s, t: _judge(s.last, t),
    "year before the last": lambda s, t: _judge(s.years[-2] if len(s.years) > 1 else None, t),
    "sum of last 3 fiscal years": lambda s, t: _sum(s.years[-3:], t),
    "sum of last 3 years": lambda s, t: _sum(s.years[-3:], t),
    "each of last 3 fiscal years": lambda s, t: _all_of(s.years[-3:], t),
    "each of last 2 fiscal years": lambda s, t: _all_of(s.years[-2:], t),
    "sum of last 2 fiscal years": lambda s, t: _sum(s.years[-2:], t),
    "last fiscal year less the year before": lambda s, t: _judge(_rise(s.years), t),
    "sum of the two years before": lambda s, t: _sum(s.years[:-1][-2:], t),
    "last fiscal year or 2 of last 3": _last_or_two,
    "each of 2 of last 3 years and in aggregate": _two_and_total,
    "last 3 years in aggregate": lambda s, t: _judge(s.total(), t),
    "sum of last 2 years, both positive": _sum_both_positive,
}
