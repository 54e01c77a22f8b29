"""What papers come to on a day: common shares of a class, what is due, interest, favoured terms.

Standard library only.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, TypeVar

from .interest import Accrual, grown, year_part
from .terms import Note, Safe, ShareClass

__all__ = ["common_units", "favoured", "is_as_dated", "is_standard_deal", "owed", "with_interest"]

N = TypeVar("N", float, Decimal)


def common_units(row: ShareClass, number: Callable[[Any], N]) -> N:
    """The common shares that a class converts into."""
    if row.conversion_price is not None:
        return number(row.invested) / number(row.conversion_price)
    return number(row.shares) * number(row.conversion_ratio)


def owed(row: ShareClass, on: dt.date | None, number: Callable[[Any], N]) -> N:
    """What a class is due before anything is shared, on a day."""
    accrued = number(row.accrued_dividend)
    if row.dividend_rate and row.dividend_from and on:
        runs = (
            Accrual(row.dividend_rate, row.dividend_from, compounding=row.dividend_compounding),
        )
        accrued = accrued + number(row.invested) * (grown(runs, on, number) - 1)
    due = number(row.multiple) * number(row.invested) + accrued
    if row.redemption_date and on and on >= row.redemption_date:
        asked = number(row.redemption_multiple) * number(row.invested) + accrued
        due = asked if asked > due else due
    return due


def with_interest(
    note: Note, as_of: dt.date | None, on: dt.date | None, number: Callable[[Any], N]
) -> N:
    """Principal and interest of a note on a day."""
    principal = number(note.principal)
    if note.accruals:
        return principal * grown(note.accruals, on, number) if on else principal
    if note.years is None and note.date and on:
        row = (Accrual(note.interest, note.date, day_count=note.day_count),)
        return principal * grown(row, on, number)
    years = number(note.years or 0)
    if on and as_of and on > as_of:  # `years` are those to the table's day
        days, year = year_part(as_of, on, note.day_count)
        years = years + number(days) / number(year)
    return principal * (1 + number(note.interest) * years)


def is_as_dated(note: Note, as_of: dt.date) -> bool:
    """Whether the years of a note's interest are those since its date, to a quarter of a year."""
    if not note.interest or note.years is None or note.date is None:
        return True
    days, year = year_part(note.date, as_of, note.day_count)
    return abs(float(note.years) - days / year) <= 0.25


def favoured(safe: Safe | Note, papers: Sequence[Safe | Note]) -> Safe | Note:
    """Return most-favoured-nation paper with the best terms of `papers` issued after it.

    Y Combinator's form (MFN Only) amends the paper to be "identical" to one "Subsequent Convertible
    Security", which is one issued "after the issuance of this instrument": paper of the same day is
    none. Terms are not picked from several.
    """
    later = [p for p in papers if p.name != safe.name and _is_subsequent(safe, p)]
    choices: list[Safe | Note] = [safe, *later]
    capped = [p for p in choices if p.valuation_cap is not None]
    if capped:
        best = min(capped, key=lambda p: float(p.valuation_cap or 0))
    else:
        best = max(choices, key=lambda p: float(p.discount))
    if best is safe:
        return safe
    terms = {"valuation_cap": best.valuation_cap, "discount": best.discount,
             "post_money": best.post_money, "discount_in_sale": best.discount_in_sale,
             "counts_pool": best.counts_pool, "counts_capped": best.counts_capped}  # fmt: skip
    return replace(safe, **terms)  # type: ignore[arg-type]


def _is_subsequent(safe: Safe | Note, other: Safe | Note) -> bool:
    """Return whether `other` was issued after `safe`, or is to be taken so for want of a day.

    Where a day is missing and `mfn_counts_undated` does not say, paper counts as issued later; not
    so the two SAFEs of Y Combinator's standard deal, which are signed together.
    """
    if safe.date and other.date:
        return other.date > safe.date
    if safe.mfn_counts_undated is not None:
        return safe.mfn_counts_undated
    return not is_standard_deal(safe, other)


def is_standard_deal(safe: Safe | Note, other: Safe | Note) -> bool:
    """Whether two papers are Y Combinator's $375k (most favoured) and its $125k for 7 %.

    Source: ycombinator.com/deal, in force since 2022. The $375k takes the terms of the lowest cap
    "issued between the start of the batch and the next equity round".
    """
    if not (isinstance(safe, Safe) and isinstance(other, Safe) and safe.mfn and not other.mfn):
        return False
    if safe.valuation_cap is not None or other.valuation_cap is None or not other.post_money:
        return False
    part = float(other.amount) / float(other.valuation_cap)
    three = abs(float(safe.amount) - 3 * float(other.amount)) < 1e-6 * float(safe.amount)
    return three and abs(part - 0.07) < 1e-3  # in any currency
