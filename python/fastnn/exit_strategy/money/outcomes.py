"""What every option pays the founders, and the sale waterfall around it.

`proceeds` values the options at the low, mid and high valuation; `run_waterfall` gives payouts per
holder at stated prices. Share counts and terms come from `captable`, the sharing from `waterfall`,
the paths from `deals`. Depends on these modules alone.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from typing import Any

import numpy as np

from fastnn.exit_strategy.contracts import BreakPoint, OptionProceeds, Proceeds
from fastnn.exit_strategy.errors import ExitError, Issue
from fastnn.exit_strategy.reading.parse import Reader
from fastnn.exit_strategy.records import dataclass

from .captable import CapTable, Holding, Note, OptionGrant, Safe, ShareClass, Vesting
from .captable_read import read_cap_table, read_row
from .claims import Claim
from .columns import COLUMN_OPTIONS, is_plain, read_companies, value_columns
from .deals import (
    Assumptions,
    Company,
    Path,
    first_root,
    headline_for,
    least,
    most,
    net_at,
    net_of,
    worth_by_price,
)
from .paths import OPTIONS, value_option
from .waterfall import break_points, lost_to_preferences, profitable_switch

__all__ = [
    "Assumptions",
    "CapTable",
    "Holding",
    "Note",
    "OptionGrant",
    "Safe",
    "ShareClass",
    "Vesting",
    "Waterfall",
    "company_of",
    "parse_assumptions",
    "parse_cap_table",
    "price_grid",
    "price_to_prefer",
    "proceeds",
    "proceeds_many",
    "run_waterfall",
]

#: Mean length of a month of the Gregorian calendar.
DAYS_A_MONTH = 365.2425 / 12

#: Options whose headline price the founders negotiate; others are compared with these.
_PRICED = ("ma", "license_hire")


_DEFAULTS = Assumptions()


def parse_cap_table(
    data: object, issues: list[Issue], reader: Reader | None = None
) -> CapTable | None:
    """Return the cap table of a raw mapping, or None after appending EX3xx issues."""
    return read_cap_table(data, issues, reader)


def parse_assumptions(
    data: object, issues: list[Issue], reader: Reader | None = None
) -> Assumptions | None:
    """Return deal assumptions ({} gives the defaults), or None after appending issues."""
    if isinstance(data, Assumptions):
        return data
    if data == {}:
        return _DEFAULTS
    found: list[Issue] = []
    own = Reader(found, dt.date.today()) if reader is None else replace(reader, issues=found)
    values = read_row(Assumptions, data, "assumptions", own, build=False)
    if not found:
        try:
            numbers: dict[str, Any] = {
                k: None if v is None else float(v) for k, v in values.items()
            }
            return Assumptions(**numbers)
        except ExitError as error:
            found = list(error.issues)
    issues += [
        i
        if i.code in ("EX103", "EX119", "EX122", "EX307")
        else Issue("EX307", i.field, i.message, i.hint, i.value)
        for i in found
    ]
    return None


@dataclass(frozen=True, slots=True)
class Waterfall:
    """Payouts of a sale: one row per price, one column per holder."""

    currency: str
    holders: tuple[str, ...]
    prices: tuple[float, ...]
    net_prices: tuple[float, ...]
    payouts: tuple[tuple[float, ...], ...]
    founder_payouts: tuple[float, ...]
    lost_to_preferences: tuple[float, ...]
    break_points: tuple[BreakPoint, ...]
    flags: tuple[str, ...] = ()
    bridges: tuple[tuple[tuple[str, float], ...], ...] = ()  # per price, from headline to net
    persons: tuple[Mapping[str, Mapping[str, float]], ...] = ()  # per price: person, paper, money
    at_closing: Mapping[str, float] = field(default_factory=dict)  # grant -> part not deferred
    doubts: tuple[str, ...] = ()  # per price: "none" or "several" choices of all are stable


#: A price below this part of the company's value is remarked: 10 is written where 10m is meant.
TINY = 1e-3


def run_waterfall(profile: Any, prices: Sequence[float]) -> Waterfall:
    """Return payouts per holder at headline prices, net of debt, fees, carve-out and escrow.

    Raises:
        ExitError: EX308 for a price that is negative or not finite.
    """
    table = profile.cap_table
    company, flags = _company(profile, table, _assumptions(profile.assumptions))
    for i, price in enumerate(prices):
        if not 0 <= price < float("inf"):
            raise ExitError(Issue("EX308", f"prices[{i}]", f"{price} is not a price",
                                  "give a finite amount of zero or more", str(price)))  # fmt: skip
    a = _assumptions(profile.assumptions)
    bridges = [net_of(price, company, a, a.months_to_close) for price in prices]
    company = company.grown(a.months_to_close)
    nets = [bridge.net for bridge in bridges]
    rows = [company.schedule.pay(net) for net in nets]
    if any(bridge.short for bridge in bridges):
        flags = (*flags, "price_below_debt")
    doubts = tuple(company.schedule.doubt_at(net) for net in nets)
    flags = (*flags, *dict.fromkeys(f"conversion_{doubt}" for doubt in doubts if doubt))
    if any(0 < price < profile.valuation.mid * TINY for price in prices):
        flags = (*flags, "price_tiny")
    return Waterfall(
        currency=str(profile.currency),
        holders=tuple(c.holder for c in company.claims),
        prices=tuple(float(p) for p in prices),
        net_prices=tuple(nets),
        payouts=tuple(tuple(row.values()) for row in rows),
        founder_payouts=tuple(company.founders(row) for row in rows),
        lost_to_preferences=tuple(
            lost_to_preferences(company.schedule, net, company.founder_parts) for net in nets
        ),
        break_points=_with_headlines(break_points(company.claims), company, a),
        flags=flags,
        bridges=tuple(bridge.steps for bridge in bridges),
        persons=() if table is None or not table.holders else tuple(map(table.by_person, rows)),
        doubts=doubts if any(doubts) else (),
        at_closing={} if table is None else table.at_closing(_closing_day(table, a)),
    )


def _closing_day(table: CapTable, a: Assumptions) -> dt.date | None:
    day = table.as_of
    return day and day + dt.timedelta(days=round(a.months_to_close * DAYS_A_MONTH))


def _with_headlines(
    points: Sequence[BreakPoint], company: Company, a: Assumptions
) -> tuple[BreakPoint, ...]:
    """Break points, which are net prices, with the headline price of a sale that leads to each."""
    return tuple(
        replace(p, headline=headline_for(p.price, company, a, a.months_to_close)) for p in points
    )


def price_grid(profile: Any) -> tuple[float, ...]:
    """Return round headline prices around the company's value, in its currency, rising."""
    value = profile.valuation
    low, mid, high = (float(x) for x in (value.low, value.mid, value.high))
    marks = (low / 2, low, (low + mid) / 2, mid, (mid + high) / 2, high, 2 * high)
    return tuple(sorted({_round(price) for price in marks if price > 0}))


def _round(price: float) -> float:
    """Return a price to two figures."""
    return float(f"{price:.1e}")


def proceeds(
    profile: Any, cap_table: Any, assumptions: Any, options: Sequence[str], *, brief: bool = False
) -> Proceeds:
    """Value every option at the low, mid and high valuation of the profile.

    `brief` leaves out the curve, break points and indifference prices (batches do not show them).

    Raises:
        ExitError: EX207 for an option without a model, EX305 if a holder would gain by switching.
    """
    a = _assumptions(assumptions)
    company, flags = _company(profile, cap_table, a)
    value = profile.valuation
    found: dict[str, OptionProceeds] = {}
    for option in options:
        try:
            prices = (value.low, value.mid, value.high)
            paths = [value_option(option, float(price), company, a) for price in prices]
        except KeyError:
            raise ExitError(Issue("EX207", "options", f"{option!r} has no money model",
                                  f"use {', '.join(OPTIONS)}", option)) from None  # fmt: skip
        found[option] = _option_proceeds(option, float(value.mid), company, paths)
    at_closing = company.grown(a.months_to_close)
    net = net_at(float(value.mid), company, a, a.months_to_close).net
    loser = None
    if at_closing.schedule.doubt_at(net) in ("", "several"):
        loser = profitable_switch(at_closing.schedule, net)
    if loser is not None:
        raise ExitError(Issue("EX305", "cap_table", f"{loser!r} would gain by converting otherwise",
                              "please report this cap table", loser))  # fmt: skip
    points: tuple[BreakPoint, ...] = ()
    if not brief:
        points = _with_headlines(break_points(at_closing.claims), company, a)
    return Proceeds(
        currency=str(profile.currency),
        options=found,
        break_points=points,
        curve=() if brief else _curve(at_closing, points, net),
        lost_to_preferences=lost_to_preferences(at_closing.schedule, net, company.founder_parts),
        prices=() if brief else _price_rows(profile, company, a),
        indifference=() if brief else _indifference(found, float(value.high), company, a),
        flags=flags,
    )


def proceeds_many(profiles: Sequence[Any], options: Sequence[str]) -> list[Proceeds]:
    """Value every option for each company, without what only a report shows.

    Companies without a cap table are valued as columns, to the same bits as one by one.
    """
    alike: dict[Assumptions, list[int]] = {}  # plain companies by their assumptions
    out: list[Proceeds | None] = [None] * len(profiles)
    for k, p in enumerate(profiles):
        a = _assumptions(p.assumptions)
        if set(options) <= set(COLUMN_OPTIONS) and is_plain(p, a):
            alike.setdefault(a, []).append(k)
        else:
            out[k] = proceeds(p, p.cap_table, p.assumptions, options, brief=True)
    for a, members in alike.items():
        chosen = [profiles[k] for k in members]
        for k, made in zip(members, _plain_proceeds(chosen, options, a), strict=True):
            out[k] = made
    return [made for made in out if made is not None]


def _plain_proceeds(
    profiles: Sequence[Any], options: Sequence[str], a: Assumptions
) -> list[Proceeds]:
    company = read_companies(profiles, a)
    values = [p.valuation for p in profiles]
    prices = [np.array([float(getattr(v, end)) for v in values]) for end in ("low", "mid", "high")]
    rows: dict[str, list[Any]] = {}
    for option in options:
        low, mid, high = (value_columns(option, price, company, a) for price in prices)
        held = most(0.0, mid.control)
        columns = (low.npv, mid.npv, high.npv, mid.months, least(1.0, held), prices[1])
        rows[option] = list(zip(*(column.tolist() for column in columns), strict=True))
    return [
        Proceeds(
            str(p.currency),
            {
                option: OptionProceeds(option, row[:3], 0.0, row[3], row[4], row[5], 0.0)
                for option, row in ((o, made[k]) for o, made in rows.items())
            },
            (), (), flags=("no_preference_data",),
        )
        for k, p in enumerate(profiles)
    ]  # fmt: skip


def price_to_prefer(
    option: str, target: float, company: Company, a: Assumptions, high: float
) -> float | None:
    """The lowest headline price at which `option` pays the founders at least `target`.

    None when a thousand times `high` is not enough; exact to 1e-9 of the price.
    """
    if option in _PRICED:
        worth = worth_by_price(option, company, a)
    else:

        def worth(price: float) -> float:
            return value_option(option, price, company, a).npv

    def missing(price: float) -> float:
        return worth(price) - target

    low, top = 0.0, max(high, 1.0)
    below, above = missing(low), missing(top)
    if below >= 0:
        return low
    while above < 0:
        low, below, top = top, above, top * 2.0
        if top > 1000.0 * max(high, 1.0):
            return None
        above = missing(top)
    return first_root(missing, (low, below), (top, above), 1e-9)


def _assumptions(given: Any) -> Assumptions:
    return Assumptions() if given is None else given


def _company(
    profile: Any, cap_table: CapTable | None, a: Assumptions
) -> tuple[Company, tuple[str, ...]]:
    stake = profile.deal.acquirer_stake
    convert = getattr(profile, "usd", None)
    common: dict[str, Any] = {
        "cash": float(profile.cash or 0.0),
        "debt": float(profile.debt or 0.0),
        "acquirer_stake": 1.0 if stake is None else float(stake),
        "usd": convert if callable(convert) else float,
        "burn": float(getattr(profile, "monthly_burn", None) or 0.0),
        "committed": float(getattr(profile, "committed_funds", None) or 0.0),
    }
    if cap_table is not None:
        parts, votes = cap_table.founder_parts(), cap_table.founder_vote_share()
        if cap_table.accrues and cap_table.as_of is not None:
            day = cap_table.as_of
            common["claims_in"] = lambda months: cap_table.claims(
                day + dt.timedelta(days=round(months * DAYS_A_MONTH))
            )
        made = Company(cap_table.claims(), parts, votes, **common)
        return made, (*cap_table.told, *contradictions(profile, cap_table, made.claims))
    share = a.founder_share if profile.founder_share is None else float(profile.founder_share)
    owners = (("founders", share), ("others", 1.0 - share))
    claims = tuple(Claim(name, 0.0, 0.0, 1, part, 0.0, None) for name, part in owners if part > 0)
    return Company(claims, {"founders": 1.0}, share, **common), ("no_preference_data",)


def contradictions(profile: Any, table: CapTable, claims: Sequence[Claim[float]]) -> Iterator[str]:
    """Keys of what the table and the profile say differently, where one of them may be a slip."""
    units = sum(c.units for c in claims)
    share = getattr(profile, "founder_share", None)
    if units > 0 and share is not None:
        parts = table.founder_parts()
        own = sum(c.units * parts.get(c.holder, 0.0) for c in claims) / units
        if abs(own - float(share)) > _SHARES_APART:
            yield "founder_share_differs"
    value = getattr(getattr(profile, "valuation", None), "mid", None)
    paid = [float(c.invested) / float(c.shares) / float(c.conversion_ratio) for c in table.classes
            if c.conversion_price is None and c.shares >= _FEW and c.conversion_ratio]  # fmt: skip
    if paid and value and max(paid) > 0 and units > 0:
        times = float(value) / (max(paid) * units)
        if not 1 / _PRICES_APART <= times <= _PRICES_APART:
            yield "paper_prices_far"
    counts = [float(n) for n in (table.common, *(c.shares for c in table.classes))]
    if any(n < _FEW and n != int(n) for n in counts):
        yield "parts_of_shares"
    strikes = [float(o.strike) for o in table.options if o.share_class is None]
    if paid and max(paid) > 0 and any(strike > _DEAR * max(paid) for strike in strikes):
        yield "strike_above_all"


#: Definitions of a share differ by pools and converting paper; by more than this one is wrong.
_SHARES_APART = 0.1

#: A value this many times what the dearest paper was bought at is rare; mistyped units are not.
_PRICES_APART = 100.0
_DEAR = 2.0  # times the dearest share, which no option on common shares costs
_FEW = 1000  # shares; fewer are golden shares, bought for a token


def company_of(profile: Any) -> Company:
    """Return what the paths need to know of a profile's company."""
    return _company(profile, profile.cap_table, _assumptions(profile.assumptions))[0]


def _option_proceeds(
    option: str, price: float, company: Company, paths: list[Path]
) -> OptionProceeds:
    low, middle, high = paths
    own = company.founders(middle.payouts)
    total = sum(middle.payouts.values())
    return OptionProceeds(
        option=option,
        founder_npv=(low.npv, middle.npv, high.npv),
        founder_share=own / total if total > 0 else 0.0,
        months_to_cash=middle.months,
        control_after=min(1.0, max(0.0, middle.control)),
        price=price,
        net_price=middle.net,
        payouts=dict(middle.payouts),
        bridge=middle.steps,
        pay_outside_waterfall=middle.outside,
        flags=tuple(dict.fromkeys(flag for path in paths for flag in path.flags)),
    )


def _curve(
    company: Company, points: Sequence[BreakPoint], net: float
) -> tuple[tuple[float, float], ...]:
    """Founder payout at every break point, around them, and up to twice the larger price."""
    top = 2.0 * max([net, *(p.price for p in points)])
    grid = {top * i / 60.0 for i in range(61)} | {p.price for p in points} | {net}
    return tuple((x, company.founders_at(x)) for x in sorted(grid))


def _price_rows(
    profile: Any, company: Company, a: Assumptions
) -> tuple[tuple[float, float, float], ...]:
    """Headline price, net price and founders' payout of a sale around the company's value."""
    later = company.grown(a.months_to_close)
    rows = []
    for price in price_grid(profile):
        net = net_at(price, company, a, a.months_to_close).net
        rows.append((price, net, later.founders_at(net)))
    return tuple(rows)


def _indifference(
    found: dict[str, OptionProceeds], high: float, company: Company, a: Assumptions
) -> tuple[tuple[str, str, float], ...]:
    rows = []
    for b in (option for option in found if option in _PRICED):
        for other, row in found.items():
            if other == b:
                continue
            price = price_to_prefer(b, row.founder_npv[1], company, a, high)
            if price is not None:
                rows.append((other, b, price))
    return tuple(rows)
