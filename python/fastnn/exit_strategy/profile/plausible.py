"""What only several fields together can show: units, signs, orders and days that contradict.

What cannot be is refused; what may be is a key for the report's warnings. Standard library only.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fastnn.exit_strategy.money.captable import CapTable
from fastnn.exit_strategy.reading.parse import Reader

from .tables import Valuation

__all__ = ["check_days", "check_scale", "check_together", "doubts"]

#: Parts of what a company sold and raised below which a value is in other units. What has failed
#: may go for a thousandth of its money, not of its sales.
_SCALE = {"revenue_ttm": 1e-3, "total_raised": 1e-4, "cap_table": 1e-4}
_PART = 1e-4  # of the money raised that the papers of a table are for, at least
_STRIKES = 1000.0  # times the value at which a strike is that of all options
_LOSS, _EARNED = 0.2, 0.1  # parts of revenue: customers who pay ahead bring no more cash than that

#: Amounts that are judged by the largest of them.
_AMOUNTS = ("cash", "committed_funds", "debt", "need_24m", "total_raised", "total_assets",
            "opex_fy", "revenue_ttm", "monthly_burn", "revenue_last_fy")  # fmt: skip
_LEAST, _MILLIONS = 1000.0, 1e-5  # less money than both may be in millions
_YEARS_APART = 100.0  # times that sales of twelve months and of the year before them differ
_YEARLY = 10.0  # times the loss that twelve months of burn are, where the burn is a year's
_SIGN = 0.35  # of a loss before tax, by which that after it may be smaller or larger


def check_scale(reader: Reader, valuation: Valuation, values: dict[str, Any], table: Any) -> None:
    """Refuse a valuation that was given in thousands or millions beside amounts in full."""
    if valuation.basis != "enterprise":
        return
    known = {"revenue_ttm": values.get("revenue_ttm"), "total_raised": values.get("total_raised")}
    if isinstance(table, CapTable):
        known["cap_table"] = table.raised
    for name, amount in known.items():
        if valuation.high < _SCALE[name] * (amount or 0.0):
            reader.fail(
                "EX118", "valuation.high", valuation.high,
                f"a value of {valuation.high:,.10g} beside {amount:,.10g} ({name})",
                "give every amount in full: 90m",
            )  # fmt: skip
            return
    raised, told = known.get("cap_table") or 0.0, values.get("total_raised") or 0.0
    if 0 < raised < _PART * told or 0 < told < _PART * raised:
        reader.fail(
            "EX118", "cap_table", raised,
            f"papers for {raised:,.10g} beside {told:,.10g} (total_raised)",
            "give every amount in full: 90m",
        )  # fmt: skip
        return
    for i, grant in enumerate(table.options if isinstance(table, CapTable) else ()):
        worth = float(grant.strike) * float(table.common)
        if worth > _STRIKES * valuation.high:
            reader.fail(
                "EX118", f"cap_table.options[{i}].strike", grant.strike,
                f"at this price the common shares are worth {worth:,.10g}, the company "
                f"{valuation.high:,.10g}",
                "give the price of one share, not of all",
            )  # fmt: skip


def check_days(
    reader: Reader, founded: dt.date | None, table: object, rounds: Sequence[Any]
) -> None:
    """Refuse papers and rounds dated before the company was founded."""
    if founded is None:
        return
    days = [(f"funding_rounds[{i}].date", row.date) for i, row in enumerate(rounds)]
    if isinstance(table, CapTable):
        days += table.days()
    for where, day in days:
        if day < founded:
            reader.fail("EX118", where, day, f"before the company was founded on {founded}",
                        "check both dates")  # fmt: skip


def check_together(reader: Reader, values: dict[str, Any]) -> None:
    """Check what only several fields together can show."""
    founded, as_of = values.get("founded"), values.get("as_of")
    if founded and as_of and founded > as_of:
        reader.fail(
            "EX118", "founded", founded, "the company was founded after as_of", "check both dates"
        )
    market_date = values.get("market.date")
    if market_date and as_of and market_date > as_of + dt.timedelta(days=31):
        reader.fail(
            "EX118",
            "market.date",
            market_date,
            "the market was read more than a month after as_of",
            "use readings from the time of the figures",
        )
    gross, ebitda = values.get("gross_margin"), values.get("ebitda_margin")
    if gross is not None and ebitda is not None and ebitda > gross:
        reader.fail(
            "EX118",
            "ebitda_margin",
            ebitda,
            "EBITDA margin is above gross margin",
            "check the two margins: EBITDA is after operating cost",
        )
    for rd, total in zip(values.get("rd_opex_fy") or (), values.get("opex_fy") or (), strict=False):
        if rd is not None and total is not None and rd > total:
            reader.fail(
                "EX118",
                "rd_opex_fy",
                rd,
                "R&D cost is above all operating cost",
                "opex_fy includes rd_opex_fy",
            )
            break
    currency, rates = values.get("currency"), reader.rates
    if currency and rates is not None and currency not in rates.per_usd:
        reader.fail(
            "EX402",
            f"fx.{currency}",
            currency,
            f"no rate for {currency} is shipped",
            f"give [fx] {currency} = units of {currency} per US dollar",
        )


def _amounts(values: Mapping[str, Any]) -> list[float]:
    found: list[float | None] = []
    for name in _AMOUNTS:
        given = values.get(name)
        found += [given] if not isinstance(given, tuple) else given
    return [abs(amount) for amount in found if amount is not None]


def doubts(profile: Any) -> Iterator[str]:
    """Keys of warnings about fields that seldom stand beside each other as they do."""
    found = _amounts(profile.values)
    least = min(_LEAST, _MILLIONS * max(found, default=0.0))
    if any(0 < amount < least for amount in found):
        yield "amount_tiny"
    burn, ebitda, revenue = profile.monthly_burn, profile.ebitda_margin, profile.revenue_ttm
    if ebitda is not None and ebitda < 0 < burn and 12 * burn > _YEARLY * -ebitda * revenue > 0:
        yield "burn_far"
    if ebitda is not None and ebitda < -_LOSS and -12 * burn > _EARNED * revenue > 0:
        yield "burn_sign"
    assets, equity = profile.total_assets, profile.stockholders_equity
    if assets is not None and 3 * assets < profile.cash:
        yield "cash_above_assets"
    if assets is not None and equity is not None and equity > 1.001 * assets:
        yield "equity_above_assets"
    yield from _doubtful_years(profile)


def _doubtful_years(profile: Any) -> Iterator[str]:
    years = [year for year in profile.revenue_last_fy or () if year]
    recent, growth = profile.revenue_ttm, profile.growth_yoy
    last = years[-1] if years else 0.0
    if min(last, recent) > 0 and max(last, recent) > _YEARS_APART * min(last, recent):
        yield "revenue_far"
    elif len(years) == 3 and recent >= years[0] > years[1] > years[2] and growth > 0:
        yield "years_reversed"
    elif len(years) > 1:
        before = last / years[-2] - 1
        if before * growth < 0 and min(abs(before), abs(growth)) > 0.2:
            yield "growth_differs"
    rows = zip(profile.pretax_income_fy or (), profile.net_income_fy or (), strict=False)
    if any(p and n and p < 0 < n and abs(n + p) < _SIGN * -p for p, n in rows):
        yield "loss_without_sign"
