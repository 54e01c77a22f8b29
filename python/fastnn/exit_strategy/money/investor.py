"""An investor's view: what was paid, what comes back at a price, multiple and yearly return.

A holder is a person (every paper held, by its part) or one paper. Prices are headline prices of a
sale; the price that gives a wanted return is found on the rising payout. Standard library only.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from typing import Any

from fastnn.exit_strategy.errors import ExitError, Issue
from fastnn.exit_strategy.records import dataclass

from .captable import CapTable
from .deals import net_of
from .optionpricing import lowest
from .outcomes import DAYS_A_MONTH, company_of
from .terms import is_number

__all__ = [
    "FundRow",
    "Return",
    "Stake",
    "fund_view",
    "internal_rate",
    "investor_view",
    "price_for_return",
    "stake_of",
]


def internal_rate(flows: Sequence[tuple[dt.date, float]]) -> float | None:
    """Return the yearly rate at which dated flows have no value today; None if there is none.

    Days are counted over 365, as spreadsheets' XIRR does.

    Args:
        flows: (day, amount); money paid in is negative, money received positive.

    Example:
        >>> days = [dt.date(2008, 1, 1), dt.date(2008, 3, 1), dt.date(2008, 10, 30),
        ...     dt.date(2009, 2, 15), dt.date(2009, 4, 1)]
        >>> round(internal_rate(list(zip(days, (-10000, 2750, 4250, 3250, 2750)))), 6)
        0.373363
    """
    if not all(math.isfinite(amount) for _, amount in flows):
        raise ExitError(Issue("EX308", "flows", "an amount is not finite", "check the flows"))
    paid = -sum(a for _, a in flows if a < 0)
    got = sum(a for _, a in flows if a > 0)
    if paid <= 0:
        return None
    if got <= 0:
        return -1.0
    start = min(day for day, _ in flows)

    def worth(rate: float) -> float:
        return float(sum(a * (1.0 + rate) ** (-(day - start).days / 365.0) for day, a in flows))

    if all(day == start for day, _ in flows):
        return None  # no time passes
    low, high = -1.0 + 1e-9, 1.0
    while worth(high) > 0:
        high *= 2.0
        if high > 1e12:
            return None
    if worth(low) < 0:
        return -1.0
    for _ in range(300):
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        low, high = (middle, high) if worth(middle) > 0 else (low, middle)
    return 0.5 * (low + high)


@dataclass(frozen=True, slots=True)
class Stake:
    """What a holder holds: paper -> part of it (0..1), and what was paid for each on which day."""

    holder: str
    parts: Mapping[str, float]
    paid: tuple[tuple[str, dt.date | None, float], ...]  # (paper, day or None, money)

    @property
    def invested(self) -> float:
        """All money paid in."""
        return sum(money for _, _, money in self.paid)


@dataclass(frozen=True, slots=True)
class Return:
    """What one price gives: `rate` is None where a day of payment is not known."""

    price: float  # headline
    net: float  # shared among the holders at closing
    payout: float  # the expected parts of escrow and earn-out included
    multiple: float | None  # of the papers that were bought; None if nothing was paid
    rate: float | None  # a year


def stake_of(table: CapTable, holder: str) -> Stake:
    """Return what a person, or the whole of one paper, holds.

    Raises:
        ExitError: EX303 when nobody and nothing is called so.
    """
    parts: dict[str, float] = {}
    for row in table.holders:
        if row.person == holder:
            parts[row.paper] = parts.get(row.paper, 0.0) + table.part_of(row)
    if not parts and holder in table.sizes():
        parts = {holder: 1.0}
    if not parts:
        known = [*dict.fromkeys(h.person for h in table.holders), *table.sizes()]
        raise ExitError(Issue("EX303", "holder", f"{holder!r} holds nothing",
                              f"persons and papers: {', '.join(known)}", holder))  # fmt: skip
    rows: dict[str, tuple[dt.date | None, float]] = {}
    rows.update({c.name: (c.date, float(c.invested)) for c in table.classes})
    rows.update({s.name: (s.date, float(s.amount)) for s in table.safes})
    for n in table.notes:
        first = min((a.start for a in n.accruals), default=None)
        rows[n.name] = (n.date or first, float(n.principal))
    paid = tuple(
        (paper, rows[paper][0], rows[paper][1] * part)
        for paper, part in parts.items()
        if paper in rows
    )
    return Stake(holder, parts, paid)


def investor_view(
    profile: Any, holder: str, prices: Sequence[float], *, on: dt.date | None = None
) -> tuple[Return, ...]:
    """Return what a holder gets from a sale at each headline price.

    Args:
        profile: with a cap table.
        holder: a person of `cap_table.holders`, or the name of a paper.
        prices: headline prices, in the profile's currency.
        on: day of the closing; default the assumed months to close from `as_of`.

    Raises:
        ExitError: EX301 without a cap table, EX303 for an unknown holder, EX118 for a day before
            `as_of` or before a paper was paid for, EX308 for a price that is negative or not
            finite.
    """
    sale = _Sale(profile, holder, on)
    for i, price in enumerate(prices):
        if not 0 <= price < float("inf"):
            raise ExitError(Issue("EX308", f"prices[{i}]", f"{price} is not a price",
                                  "give a finite amount of zero or more", str(price)))  # fmt: skip
    return tuple(map(sale.at, prices))


def price_for_return(
    profile: Any,
    holder: str,
    *,
    multiple: float | None = None,
    rate: float | None = None,
    on: dt.date | None = None,
) -> Return:
    """Return the lowest headline price at which a holder has the wanted multiple or yearly rate.

    Args:
        profile: with a cap table.
        holder: a person or a paper.
        multiple: of the money paid in, such as 3.0; or give `rate`.
        rate: yearly, 0.25 means 25 %.
        on: day of the closing.

    Raises:
        ExitError: EX303 unless exactly one goal is given, or where what was paid (or when) is not
            known; EX118 for a sale before a paper was paid for; EX308 for a goal that no price
            reaches.
    """
    if (multiple is None) == (rate is None):
        raise ExitError(Issue("EX303", "target", "one goal is needed", "give multiple or rate"))
    sale = _Sale(profile, holder, on)
    stake = sale.stake
    if stake.invested <= 0:
        raise ExitError(Issue("EX303", "holder", f"{holder!r} paid nothing, so nothing returns",
                              "choose a holder of shares, SAFEs or notes", holder))  # fmt: skip
    if multiple is not None:
        wanted = _goal("multiple", multiple, 1e6) * stake.invested
        return sale.at(lowest(lambda price: sale.received(price, 0.0), wanted, "target"))
    assert rate is not None
    goal = _goal("rate", rate, 1e3)
    undated = [paper for paper, day, _ in stake.paid if day is None]
    if undated:
        raise ExitError(Issue("EX303", "date", f"no day of payment for {', '.join(undated)}",
                              "give date to the class, SAFE or note"))  # fmt: skip
    sale.after_payment()
    wanted = sum(
        money * (1.0 + goal) ** ((sale.day - day).days / 365.0)
        for _, day, money in stake.paid
        if day is not None
    )
    return sale.at(lowest(lambda price: sale.received(price, goal), wanted, "target"))


def _goal(name: str, value: object, most: float) -> float:
    good = is_number(value)
    if not (good and 0 < float(value) <= most):  # type: ignore[arg-type]
        raise ExitError(Issue("EX308", name, f"{value!r} is not a goal",
                              f"give a number above 0 and up to {most:g}", str(value)))  # fmt: skip
    return float(value)  # type: ignore[arg-type]


class _Sale:
    """A sale of one company on a day, as one holder sees it."""

    def __init__(self, profile: Any, holder: str, on: dt.date | None) -> None:
        table = profile.cap_table
        if table is None:
            raise ExitError(Issue("EX301", "cap_table", "the profile has no cap table",
                                  "add [cap_table] with common shares and classes"))  # fmt: skip
        self.stake = stake_of(table, holder)
        self.assumptions = profile.assumptions
        start: dt.date = profile.as_of
        self.months = float(self.assumptions.months_to_close)
        self.day = start + dt.timedelta(days=round(self.months * DAYS_A_MONTH))
        if on is not None:
            if on < start:
                raise ExitError(Issue("EX118", "on", f"{on} lies before as_of, {start}",
                                      "give the day of a sale to come", str(on)))  # fmt: skip
            self.day, self.months = on, (on - start).days / DAYS_A_MONTH
            self.after_payment()
        self.company = company_of(profile)
        schedule = self.company.grown(self.months).schedule
        bought = {paper: self.stake.parts[paper] for paper, _, _ in self.stake.paid}
        self._all = schedule.part_of(self.stake.parts)
        self._bought = schedule.part_of(bought)

    def after_payment(self) -> None:
        """Refuse a sale before the day on which a paper was paid for."""
        for paper, day in self.not_yet_paid():
            raise ExitError(Issue("EX118", "on", f"{paper} was paid for on {day}, after the sale "
                                  f"on {self.day}", "give a later day of the sale",
                                  str(self.day)))  # fmt: skip

    def not_yet_paid(self) -> list[tuple[str, dt.date]]:
        """Papers that were paid for after the sale, with the day."""
        return [
            (paper, day) for paper, day, _ in self.stake.paid if day is not None and day > self.day
        ]

    def flows(
        self, price: float, *, bought: bool = True
    ) -> tuple[float, list[tuple[dt.date, float]]]:
        """The net price at closing, and what the holder gets on which day.

        For the papers that were bought, or for all (founders' shares and grants among them); the
        expected part of the escrow and of an earn-out come later, through the waterfall.
        """
        a = self.assumptions
        bridge = net_of(float(price), self.company, a, self.months)
        released = bridge.net + bridge.escrow * a.escrow_release
        pay = self._bought if bought else self._all
        at_closing, later = pay(bridge.net), pay(released)
        earned = pay(released + bridge.earn_out) - later
        rows = [
            (0.0, at_closing),
            (a.escrow_months, later - at_closing),
            (a.earn_out_months, earned * a.earn_out_probability),
        ]
        days = [
            (self.day + dt.timedelta(days=round(months * DAYS_A_MONTH)), float(amount))
            for months, amount in rows
            if amount or not months
        ]
        return bridge.net, days

    def received(self, price: float, rate: float) -> float:
        """All that the holder gets, as of the closing at a yearly rate."""
        out = 0.0
        for day, amount in self.flows(price)[1]:
            out += float(amount * (1.0 + rate) ** (-(day - self.day).days / 365.0))
        return out

    def at(self, price: float) -> Return:
        """What one price gives."""
        net, days = self.flows(price)
        got, paid = sum(amount for _, amount in days), self.stake.invested
        whole = sum(amount for _, amount in self.flows(price, bought=False)[1])
        rate = None
        known = all(day is not None for _, day, _ in self.stake.paid)
        if paid > 0 and known and not self.not_yet_paid():
            flows = [(day, -money) for _, day, money in self.stake.paid if day is not None]
            rate = internal_rate([*flows, *days])
        return Return(float(price), net, whole, got / paid if paid > 0 else None, rate)


@dataclass(frozen=True, slots=True)
class FundRow:
    """One company in a fund, in the fund's currency: paid in, and worth at three valuations."""

    company: str
    invested: float
    worth: tuple[float, float, float]  # low, middle, high
    multiple: float | None  # at the middle
    rate: float | None


def fund_view(
    profiles: Sequence[Any], holder: str, *, currency: str = "USD"
) -> tuple[FundRow, ...]:
    """Return what a holder's stakes in several companies are worth, and all of them together.

    Each company is sold at its low, middle and high valuation after its own months to close; the
    last row, "", is the fund: gross of its own fees and carried interest.

    Args:
        profiles: with cap tables that name the holder.
        holder: a person or a paper.
        currency: of the rows.

    Raises:
        ExitError: as `investor_view`; EX301 for no companies.
    """
    if not profiles:
        raise ExitError(Issue("EX301", "profiles", "a fund of no company", "give profiles"))
    rows = []
    flows: list[tuple[dt.date, float]] = []
    dated, bought = True, 0.0
    for profile in profiles:
        sale = _Sale(profile, holder, None)
        value = profile.valuation

        def own(amount: float, profile: Any = profile) -> float:
            return float(profile.rates.convert(amount, profile.currency, currency))

        low, mid, high = (sale.at(float(x)) for x in (value.low, value.mid, value.high))
        worth = (own(low.payout), own(mid.payout), own(high.payout))
        rows.append(FundRow(profile.name, own(sale.stake.invested), worth, mid.multiple, mid.rate))
        for _, day, money in sale.stake.paid:
            dated &= day is not None
            if day is not None:
                flows.append((day, -own(money)))
        flows += [(day, own(amount)) for day, amount in sale.flows(float(value.mid))[1]]
        bought += own(sum(amount for _, amount in sale.flows(float(value.mid))[1]))
    invested = sum(row.invested for row in rows)
    total = [sum(row.worth[k] for row in rows) for k in range(3)]
    multiple = bought / invested if invested > 0 else None
    rate = internal_rate(flows) if dated and invested > 0 else None
    return (*rows, FundRow("", invested, (total[0], total[1], total[2]), multiple, rate))
