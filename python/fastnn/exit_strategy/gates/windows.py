"""How a listing rule reads yearly figures: "sum of last 3 fiscal years", "each of last 2" ...

A window takes yearly figures (oldest first, None = not known) and an operator with its threshold,
and returns pass, fail or unknown with the figure compared. It says fail as soon as the known years
decide it. Standard library only.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["COLUMN_WINDOWS", "OPERATORS", "WINDOWS", "Column", "Series", "Verdict"]

#: Sums of yearly figures in cents differ from what was added by less than this part of a threshold.
_ROUNDING = 1e-12


def _at_least(value: Any, limit: Any) -> Any:
    return value >= limit - _ROUNDING * abs(limit)


def _above(value: Any, limit: Any) -> Any:
    return value > limit + _ROUNDING * abs(limit)


def _at_most(value: Any, limit: Any) -> Any:
    return value <= limit + _ROUNDING * abs(limit)


def _below(value: Any, limit: Any) -> Any:
    return value < limit - _ROUNDING * abs(limit)


#: Comparisons of a figure, or a column of them, with a threshold; what equals it but for rounding
#: equals it.
OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    ">=": _at_least, ">": _above, "<=": _at_most, "<": _below, "==": operator.eq,
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


Floats = npt.NDArray[np.float64]
Marks = npt.NDArray[np.bool_]
Holds = Callable[[Any], Any]  # of a column: whether each figure meets the threshold


class Column(NamedTuple):
    """A `Series` of many companies: (companies, years), NaN where a figure is not known."""

    years: Floats
    total: Floats  # the aggregate of a ratio

    @property
    def last(self) -> Floats:
        """The latest figures."""
        return np.asarray(self.years[:, -1])

    def at(self, back: int) -> Floats:
        """The figures some years before the last; not known where the series is shorter."""
        years = self.years
        return years[:, -1 - back] if years.shape[1] > back else np.full(len(years), np.nan)


def _figure(figure: Floats, test: Holds) -> tuple[Marks, Marks]:
    unknown = np.isnan(figure)
    return ~unknown & ~np.asarray(test(figure), np.bool_), unknown


def _each(years: Floats, test: Holds) -> tuple[Marks, Marks]:
    rows = [_figure(years[:, k], test) for k in range(years.shape[1])]
    fail = np.logical_or.reduce([failed for failed, _ in rows])
    return fail, np.logical_or.reduce([unknown for _, unknown in rows]) & ~fail


def _added(years: Floats, test: Holds) -> tuple[Marks, Marks]:
    total = np.zeros(len(years))
    for k in range(years.shape[1]):  # in the order in which `sum` adds
        total = total + years[:, k]
    return _figure(total, test)


def _votes(column: Column, test: Holds) -> tuple[Any, Any, Marks, Marks]:
    """How many years hold, how many are not known, and both of the last year."""
    rows = [_figure(column.years[:, k], test) for k in range(column.years.shape[1])]
    unknown = sum(u * 1 for _, u in rows)
    holds = sum((~f & ~u) * 1 for f, u in rows)
    return holds, unknown, ~rows[-1][0] & ~rows[-1][1], rows[-1][1]


def _column_last_or_two(column: Column, test: Holds) -> tuple[Marks, Marks]:
    holds, unknown, last_holds, last_unknown = _votes(column, test)
    passes = last_holds | (holds >= 2)
    possible = (unknown > 0) & (last_unknown | (holds + unknown >= 2))
    return ~passes & ~possible, ~passes & possible


def _column_two_and_total(column: Column, test: Holds) -> tuple[Marks, Marks]:
    holds, unknown, _, _ = _votes(column, test)
    total_fails, total_unknown = _figure(column.total, test)
    fail = total_fails | (holds + unknown < 2)
    return fail, ~fail & (total_unknown | (holds < 2))


def _column_both_positive(column: Column, test: Holds) -> tuple[Marks, Marks]:
    pair = column.years[:, -2:]
    negative = np.logical_or.reduce([pair[:, k] <= 0 for k in range(pair.shape[1])])
    fail, unknown = _added(pair, test)
    return negative | fail, ~negative & unknown


#: Text of a window -> how to judge a column: which companies fail, and of which it is not known.
COLUMN_WINDOWS: dict[str, Callable[[Column, Holds], tuple[Marks, Marks]]] = {
    "": lambda c, t: _figure(c.last, t),
    "last fiscal year": lambda c, t: _figure(c.last, t),
    "last year": lambda c, t: _figure(c.last, t),
    "average of prior 12 months; at listing for an IPO": lambda c, t: _figure(c.last, t),
    "year before the last": lambda c, t: _figure(c.at(1), t),
    "sum of last 3 fiscal years": lambda c, t: _added(c.years[:, -3:], t),
    "sum of last 3 years": lambda c, t: _added(c.years[:, -3:], t),
    "each of last 3 fiscal years": lambda c, t: _each(c.years[:, -3:], t),
    "each of last 2 fiscal years": lambda c, t: _each(c.years[:, -2:], t),
    "sum of last 2 fiscal years": lambda c, t: _added(c.years[:, -2:], t),
    "last fiscal year less the year before": lambda c, t: _figure(c.last - c.at(1), t),
    "sum of the two years before": lambda c, t: _added(c.years[:, :-1][:, -2:], t),
    "last fiscal year or 2 of last 3": _column_last_or_two,
    "each of 2 of last 3 years and in aggregate": _column_two_and_total,
    "last 3 years in aggregate": lambda c, t: _figure(c.total, t),
    "sum of last 2 years, both positive": _column_both_positive,
}
